/* SPDX-License-Identifier: MIT */
/*
 * Resource limits, Landlock and seccomp, by the kernel's own interfaces. Sources: landlock(7),
 * seccomp(2), the kernel's Documentation/userspace-api.
 */
#include "proc/walls.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer)
#define __SANITIZE_THREAD__ 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#define FIRST_X32_CALL 0x40000000
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#endif

/* --- resource limits ------------------------------------------------------------------------- */

static enum kt_code limit_resource(int what, rlim_t max, const char *name, struct kt_err *err)
{
	struct rlimit r;

	if (getrlimit((__rlimit_resource_t)what, &r))
		return kt_fail(err, KT_EIO, errno, "cannot read the limit %s", name);
	/* One that is lower already stays. */
	r.rlim_max = KT_MIN(r.rlim_max, max);
	r.rlim_cur = KT_MIN(r.rlim_cur, r.rlim_max);
	if (setrlimit((__rlimit_resource_t)what, &r))
		return kt_fail(err, KT_EIO, errno, "cannot set the limit %s", name);
	return KT_OK;
}

static enum kt_code set_limits(const struct kt_walls *w, struct kt_err *err)
{
	const struct {
		int what;
		rlim_t max;
		const char *name;
	} limits[] = {
/* These reserve 16 TiB of addresses. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
		{ RLIMIT_AS, (rlim_t)w->max_address_bytes, "of memory" },
#endif
		{ RLIMIT_FSIZE, (rlim_t)w->max_file_bytes, "of file sizes" },
		{ RLIMIT_NOFILE, (rlim_t)w->max_open_files, "of open files" },
		{ RLIMIT_CPU, (rlim_t)w->max_cpu_s, "of CPU time" },
		{ RLIMIT_CORE, 0, "of core files" },
	};
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	for (size_t i = 0; i < KT_ARRAY_LEN(limits); i++) {
		enum kt_code rc = limit_resource(
			limits[i].what, limits[i].max, limits[i].name, err);

		if (rc != KT_OK)
			return rc;
	}
	/* A file that gets too large is an error to report, not the end. */
	if (sigaction(SIGXFSZ, &ignore, NULL))
		return kt_fail(err, KT_EIO, errno, "cannot ignore a signal");
	return KT_OK;
}

/* --- Landlock -------------------------------------------------------------------------------- */

#define FS_ALL_V1                                                                                  \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |                              \
		LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |                       \
		LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                   \
		LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |                       \
		LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |                       \
		LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |                     \
		LANDLOCK_ACCESS_FS_MAKE_SYM)
#define FS_INSIDE                                                                                  \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE |                            \
		LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_REMOVE_DIR |                      \
		LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                     \
		LANDLOCK_ACCESS_FS_MAKE_REG)
/* Younger than some headers: moving between folders (ABI 2), truncating (ABI 3). */
#define FS_REFER (UINT64_C(1) << 13)
#define FS_TRUNCATE (UINT64_C(1) << 14)

/* Only what is below the folder can be opened from now on; what is open stays open. */
static enum kt_code raise_landlock(int folder_fd, struct kt_err *err)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = FS_ALL_V1 };
	struct landlock_path_beneath_attr rule = { .allowed_access = FS_INSIDE,
		.parent_fd = folder_fd };
	KT_AUTOFD int set = -1;
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < 1) /* not built in, or switched off */
		return KT_OK;
	if (abi >= 2)
		attr.handled_access_fs |= FS_REFER;
	if (abi >= 3) {
		attr.handled_access_fs |= FS_TRUNCATE;
		rule.allowed_access |= FS_TRUNCATE;
	}
	set = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (set < 0 ||
		(folder_fd >= 0 &&
			syscall(SYS_landlock_add_rule, set, LANDLOCK_RULE_PATH_BENEATH, &rule,
				0)) ||
		syscall(SYS_landlock_restrict_self, set, 0))
		return kt_fail(err, KT_EIO, errno, "cannot set up Landlock");
	return KT_OK;
}

/* --- seccomp --------------------------------------------------------------------------------- */

#ifdef ARCH
/* All that reading and writing files and the C library's memory need. */
static const int allowed[] = {
	SYS_read,
	SYS_write,
	SYS_readv,
	SYS_writev,
	SYS_pread64,
	SYS_pwrite64,
	SYS_lseek,
	SYS_openat,
	SYS_close,
	SYS_fstat,
	SYS_newfstatat,
	SYS_statx,
	SYS_faccessat,
	SYS_faccessat2,
	SYS_mkdirat,
	SYS_unlinkat,
	SYS_renameat,
	SYS_renameat2,
	SYS_getdents64,
	SYS_fsync,
	SYS_fdatasync,
	SYS_ftruncate,
	SYS_ppoll,
	SYS_munmap,
	SYS_mremap,
	SYS_madvise,
	SYS_brk,
	SYS_futex,
	SYS_clock_gettime,
	SYS_gettimeofday,
	SYS_getrandom,
	SYS_getpid,
	SYS_gettid,
	SYS_sched_yield,
	SYS_sched_getaffinity,
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_sigaltstack,
	SYS_restart_syscall,
	SYS_exit,
	SYS_exit_group,
#ifdef __x86_64__
	SYS_open,
	SYS_stat,
	SYS_lstat,
	SYS_access,
	SYS_mkdir,
	SYS_unlink,
	SYS_rmdir,
	SYS_rename,
	SYS_poll,
	SYS_time,
#endif
};

/* Allowed unless the third argument, a memory protection, asks for code. */
static const int no_code[] = { SYS_mmap, SYS_mprotect };

/* fcntl(2) with one of these only: others hand out locks, leases and signals. */
static const int fcntls[] = { F_GETFD, F_SETFD, F_GETFL };

/* tgkill(2) to itself only, by which abort() ends the process: see build_filter(). */
#define SELF_CALL SYS_tgkill

#define LOAD(field) (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)(field))
#define IF_EQ(value, then, otherwise)                                                              \
	(struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(value), then, otherwise)
#define IF_BITS(value, then, otherwise)                                                            \
	(struct sock_filter)                                                                       \
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (unsigned)(value), then, otherwise)
#define RETURN(value) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, (unsigned)(value))
#define NR offsetof(struct seccomp_data, nr)
/* The low half: both architectures are little-endian. */
#define ARG(i) (offsetof(struct seccomp_data, args) + 8 * (i))
#define DENY RETURN(SECCOMP_RET_ERRNO | EPERM)
#define ALLOW RETURN(SECCOMP_RET_ALLOW)

#define MAX_FILTER 200

/* Write the filter; returns its length. A block that is not meant falls through to the next. */
static size_t build_filter(struct sock_filter *f)
{
	size_t n = 0;

	/* Another architecture's calls (int 0x80) have other numbers. */
	f[n++] = LOAD(offsetof(struct seccomp_data, arch));
	f[n++] = IF_EQ(ARCH, 1, 0);
	f[n++] = RETURN(SECCOMP_RET_KILL_PROCESS);
	f[n++] = LOAD(NR);
#ifdef FIRST_X32_CALL
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST_X32_CALL, 0, 1);
	f[n++] = RETURN(SECCOMP_RET_KILL_PROCESS);
#endif
	for (size_t i = 0; i < KT_ARRAY_LEN(allowed); i++) {
		f[n++] = IF_EQ(allowed[i], 0, 1);
		f[n++] = ALLOW;
	}
	for (size_t i = 0; i < KT_ARRAY_LEN(no_code); i++) {
		f[n++] = IF_EQ(no_code[i], 0, 4);
		f[n++] = LOAD(ARG(2));
		f[n++] = IF_BITS(PROT_EXEC, 0, 1);
		f[n++] = DENY;
		f[n++] = ALLOW;
	}
	f[n++] = IF_EQ(SELF_CALL, 0, 4);
	f[n++] = LOAD(ARG(0));
	f[n++] = IF_EQ(getpid(), 0, 1);
	f[n++] = ALLOW;
	f[n++] = DENY;
	f[n++] = IF_EQ(SYS_fcntl, 1, 0);
	f[n++] = DENY; /* everything else */
	f[n++] = LOAD(ARG(1));
	for (size_t i = 0; i < KT_ARRAY_LEN(fcntls); i++) {
		f[n++] = IF_EQ(fcntls[i], 0, 1);
		f[n++] = ALLOW;
	}
	f[n++] = DENY;
	kt_assert(n <= MAX_FILTER);
	return n;
}

static enum kt_code raise_seccomp(struct kt_err *err)
{
	struct sock_filter filter[MAX_FILTER];
	struct sock_fprog prog = { .filter = filter, .len = (unsigned short)build_filter(filter) };

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0)
		return KT_OK;
	if (errno == EINVAL && prctl(PR_GET_SECCOMP) < 0) /* a kernel without it */
		return KT_OK;
	return kt_fail(err, KT_EIO, errno, "cannot set up seccomp");
}
#else
static enum kt_code raise_seccomp(struct kt_err *err)
{
	return KT_OK; /* the numbers of this architecture's calls are not known here */
}
#endif

enum kt_code kt_walls_raise(const struct kt_walls *w, struct kt_err *err)
{
	enum kt_code rc = set_limits(w, err);

	if (rc != KT_OK)
		return rc;
#ifdef __SANITIZE_ADDRESS__
	/* Its check at the end of the process starts a thread and ptrace(2)s; so once, now. */
	__lsan_do_leak_check();
#endif
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return kt_fail(err, KT_EIO, errno, "cannot give up privileges");
	rc = raise_landlock(w->folder_fd, err);
	return rc == KT_OK ? raise_seccomp(err) : rc;
}
