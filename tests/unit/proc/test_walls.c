/* SPDX-License-Identifier: MIT */
/*
 * The walls: what a taken-over process could try, each tried in a child behind them. That the
 * unpack worker still works behind them is in tests/unit/pack.
 */
#include "proc/walls.h"

#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/karta-test-walls-XXXXXX";

static char *at(const char *name)
{
	return kt_path_join(root, name);
}

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#define MAX_FILE_BYTES (1024 * 1024)
#define MAX_FILES 20

struct places {
	char *folder, *inside, *outside, *link;
};

/* Runs fn behind the walls and returns the child's status. */
static int behind(bool with_folder, int (*fn)(const struct places *))
{
	KT_AUTOFREE char *folder = at("folder"), *inside = at("folder/inside");
	KT_AUTOFREE char *outside = at("outside"), *link = at("folder/link");
	struct places places = { folder, inside, outside, link };
	KT_AUTOFD int folder_fd = -1;
	struct kt_walls walls = { .folder_fd = -1,
		.max_address_bytes = (int64_t)1024 * 1024 * 1024,
		.max_file_bytes = MAX_FILE_BYTES,
		.max_cpu_s = 1,
		.max_open_files = MAX_FILES };
	int status;
	pid_t pid;

	assert_int_equal(kt_fs_mkdirs(folder, 0700, NULL), KT_OK);
	if (with_folder)
		folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	walls.folder_fd = folder_fd;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct kt_err err = KT_ERR_INIT;

		if (kt_walls_raise(&walls, &err) != KT_OK)
			_exit(200);
		_exit(fn(&places));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(kt_fs_remove_tree(folder, NULL), KT_OK);
	return status;
}

static int behind_walls(int (*fn)(const struct places *))
{
	return behind(true, fn);
}

/* A probe is refused with EPERM; its number is the exit status when it is not. */
#define DENIED(n, call)                                                                            \
	do {                                                                                       \
		errno = 0;                                                                         \
		if ((long)(call) != -1L || errno != EPERM)                                         \
			return (n);                                                                \
	} while (0)

static int probe_calls(const struct places *p)
{
	char name[] = "/bin/true";
	char *argv[] = { name, NULL };
	struct rlimit r = { RLIM_INFINITY, RLIM_INFINITY };

	DENIED(1, socket(AF_INET, SOCK_STREAM, 0));
	DENIED(2, socket(AF_UNIX, SOCK_DGRAM, 0));
	DENIED(3, socket(AF_VSOCK, SOCK_STREAM, 0));
	DENIED(4, syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, NULL));
	DENIED(5, syscall(SYS_execve, name, argv, argv));
	DENIED(6, syscall(SYS_execveat, AT_FDCWD, name, argv, argv, 0));
	DENIED(7, syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
	DENIED(8, syscall(SYS_clone3, NULL, 0));
	DENIED(9, syscall(SYS_ptrace, PTRACE_ATTACH, getppid(), 0, 0));
	DENIED(10, syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0));
	DENIED(11, kill(getppid(), 0));
	DENIED(12, syscall(SYS_tgkill, getppid(), getppid(), 0));
	DENIED(13, syscall(SYS_unshare, 0x10000000));
	DENIED(14, syscall(SYS_io_uring_setup, 1, NULL));
	DENIED(15, syscall(SYS_bpf, 0, NULL, 0));
	DENIED(16, syscall(SYS_keyctl, 0, 0, 0, 0, 0));
	DENIED(17, syscall(SYS_mount, "none", root, "tmpfs", 0, NULL));
	DENIED(18, syscall(SYS_pidfd_open, getppid(), 0));
	DENIED(19, syscall(SYS_personality, 0));
	DENIED(20, syscall(SYS_prlimit64, 0, RLIMIT_CORE, &r, NULL));
	DENIED(21, syscall(SYS_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0));
	DENIED(22, syscall(SYS_seccomp, 0, 0, NULL));
	DENIED(23, syscall(SYS_memfd_create, "x", 0));
	DENIED(24, syscall(SYS_fchmodat, AT_FDCWD, root, 0777));
	DENIED(25, syscall(SYS_linkat, AT_FDCWD, "/etc/passwd", AT_FDCWD, p->link, 0));
	DENIED(26, syscall(SYS_symlinkat, "/etc/passwd", AT_FDCWD, p->link));
	DENIED(27, syscall(SYS_mknodat, AT_FDCWD, p->link, S_IFIFO | 0600, 0));
	DENIED(28, syscall(SYS_setuid, 0));
	DENIED(29, syscall(SYS_ioctl, 0, 0x5412, "x")); /* TIOCSTI */
	DENIED(30, fcntl(0, F_SETOWN, getppid()));
	DENIED(31, mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	DENIED(32, syscall(SYS_mprotect, &r, 4096, PROT_READ | PROT_WRITE | PROT_EXEC));
	return 0;
}

static void test_calls(void **state)
{
	assert_int_equal(behind_walls(probe_calls), 0);
}

static bool landlocked(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1;
}

static int refused(int fd)
{
	return fd < 0 && errno == EACCES;
}

static int probe_files(const struct places *p)
{
	int fd = open(p->inside, O_RDWR | O_CREAT | O_EXCL, 0600);

	if (fd < 0 || write(fd, "x", 1) != 1 || close(fd))
		return 1;
	if (unlink(p->inside))
		return 2;
	if (!refused(open("/etc/passwd", O_RDONLY)) || !refused(open("/proc/self/mem", O_RDWR)) ||
		!refused(open("/", O_RDONLY | O_DIRECTORY)))
		return 3;
	if (!refused(open(p->outside, O_RDONLY)) || !refused(open(p->outside, O_WRONLY)) ||
		!refused(open(p->outside, O_WRONLY | O_TRUNC)))
		return 4;
	if (!refused(unlink(p->outside)) || !refused(rename(p->outside, p->inside)))
		return 5;
	if (!refused(mkdir("/tmp/karta-test-no", 0700)))
		return 6;
	return 0;
}

static void test_files(void **state)
{
	KT_AUTOFREE char *outside = at("outside");
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(100);

	if (!landlocked())
		skip();
	assert_int_equal(kt_fs_write_new(outside, "outside", 7, 0600, NULL), KT_OK);
	assert_int_equal(behind_walls(probe_files), 0);
	assert_int_equal(kt_fs_read(outside, &b, NULL), KT_OK);
	assert_string_equal(b.ptr, "outside");
}

static int probe_no_folder(const struct places *p)
{
	if (!refused(open(p->inside, O_RDWR | O_CREAT | O_EXCL, 0600)) ||
		!refused(open(p->outside, O_RDONLY)) || !refused(open("/etc/passwd", O_RDONLY)))
		return 1;
	return 0;
}

static void test_no_folder(void **state)
{
	if (!landlocked())
		skip();
	assert_int_equal(behind(false, probe_no_folder), 0);
}

static int probe_limits(const struct places *p)
{
	char block[4096] = { 1 };
	int fd = open(p->inside, O_RDWR | O_CREAT | O_EXCL, 0600);

	if (fd < 0 || pwrite(fd, block, sizeof(block), MAX_FILE_BYTES - 4096) != 4096)
		return 1;
	if (pwrite(fd, block, sizeof(block), MAX_FILE_BYTES) != -1 || errno != EFBIG)
		return 2;
	/* Some of the numbers are inherited ones'. */
	do {
		fd = open(p->inside, O_RDONLY);
		if (fd >= MAX_FILES)
			return 3;
	} while (fd >= 0);
	if (errno != EMFILE)
		return 4;
#ifndef __SANITIZE_ADDRESS__
	if (mmap(NULL, (size_t)1 << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
		MAP_FAILED)
		return 5;
#endif
	return 0;
}

static void test_limits(void **state)
{
	assert_int_equal(behind_walls(probe_limits), 0);
}

static int probe_cpu(const struct places *p)
{
	for (volatile unsigned i = 0;; i++)
		;
	return 0;
}

/* Whoever computes without an end is ended. */
static void test_cpu(void **state)
{
	int status = behind_walls(probe_cpu);

	assert_true(WIFSIGNALED(status));
	assert_true(WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGXCPU);
}

static int probe_abort(const struct places *p)
{
	abort();
}

/* A broken invariant still ends the process as such. */
static void test_abort(void **state)
{
	int status = behind_walls(probe_abort);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_false(WCOREDUMP(status));
}

#ifdef __x86_64__
static int probe_32_bit(const struct places *p)
{
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory"); /* getpid of i386 */
	return 1;
}

static int probe_x32(const struct places *p)
{
	(void)syscall(0x40000000 + SYS_getpid);
	return 1;
}

static void test_arch(void **state)
{
	int status = behind_walls(probe_32_bit);

	assert_true(WIFSIGNALED(status));
	/* A kernel without 32-bit calls says SIGSEGV. */
	assert_true(WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV);
	status = behind_walls(probe_x32);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}
#else
static void test_arch(void **state)
{
	skip();
}
#endif

static int set_up(void **state)
{
	return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
	return kt_fs_remove_tree(root, NULL) == KT_OK ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_no_folder),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_cpu),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_arch),
	};
	return cmocka_run_group_tests_name("proc/walls", tests, set_up, tear_down);
}
