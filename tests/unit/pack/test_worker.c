/* SPDX-License-Identifier: MIT */
/*
 * The unpack worker's walls: what a taken-over process could try, each tried in a child behind them;
 * and the worker's command line. That it still unpacks is in test_unpack.c.
 */
#include "pack/archive_dl_private.h"
#include "pack/pack.h"
#include "pack/walls_private.h"

#include "base/fs.h"
#include "base/str.h"
#include "text/json.h"

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

static char root[] = "/tmp/karta-test-worker-XXXXXX";

static char *at(const char *name)
{
	return kt_path_join(root, name);
}

struct places {
	char *staging, *inside, *outside, *link;
};

/* Runs fn behind the walls and returns the child's status. */
static int behind_walls(int (*fn)(const struct places *))
{
	KT_AUTOFREE char *staging = at("staging"), *inside = at("staging/inside");
	KT_AUTOFREE char *outside = at("outside"), *link = at("staging/link");
	struct places places = { staging, inside, outside, link };
	struct kt_pack_limits limits;
	int status;
	pid_t pid;

	kt_pack_limits_init(&limits);
	assert_int_equal(kt_fs_mkdirs(staging, 0700, NULL), KT_OK);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct kt_err err = KT_ERR_INIT;

		if (kt_walls_raise(staging, &limits, &err) != KT_OK)
			_exit(200);
		_exit(fn(&places));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(kt_fs_remove_tree(staging, NULL), KT_OK);
	return status;
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

static int probe_limits(const struct places *p)
{
	char block[4096] = { 1 };
	int fd = open(p->inside, O_RDWR | O_CREAT | O_EXCL, 0600);

	/* 256 MiB a file and 64 MiB for what is written beside them. */
	if (fd < 0 || pwrite(fd, block, sizeof(block), (off_t)320 << 20) != -1 || errno != EFBIG)
		return 1;
	for (int i = 0; i < 100; i++) {
		if (open(p->inside, O_RDONLY) < 0)
			return errno == EMFILE ? 0 : 2;
	}
	return 3;
}

static void test_limits(void **state)
{
	assert_int_equal(behind_walls(probe_limits), 0);
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

/* --- the command line ---------------------------------------------------------------------------- */

static int run_worker(int argc, char **argv, struct kt_buf *out)
{
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)dup2(fds[1], STDOUT_FILENO);
		_exit(kt_unpack_worker(argc, argv));
	}
	close(fds[1]);
	while ((n = read(fds[0], kt_buf_reserve(out, 4096), 4096)) > 0)
		kt_buf_commit(out, (size_t)n);
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void check_refused(const char *archive, const char *staging, const char *limits,
	enum kt_code code, const char *says)
{
	KT_AUTOFREE char *a = kt_strdup(archive), *s = kt_strdup(staging), *l = kt_strdup(limits);
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(10000);
	KT_AUTO_JSON cJSON *doc = NULL;
	char name[] = "karta-unpack";
	char *argv[] = { name, a, s, l, NULL };

	assert_int_equal(run_worker(4, argv, &out), 1);
	assert_int_equal(kt_json_parse(out.ptr, out.len, KT_JSON_STRICT, &doc, NULL), KT_OK);
	assert_int_equal(out.ptr[out.len - 1], '\n');
	assert_false(kt_json_bool(doc, "ok", true));
	assert_string_equal(kt_json_str(doc, "code"), kt_code_name(code));
	if (!strstr(kt_json_str(doc, "message"), says))
		fail_msg("'%s' is not in: %s", says, out.ptr);
}

static void test_arguments(void **state)
{
	KT_AUTOFREE char *archive = at("archive"), *staging = at("s"), *missing = at("missing");
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(10000);
	char name[] = "karta-unpack";
	char *argv[] = { name, NULL };
	static const char *const bad[] = { "", "x", "[]", "{\"max_files\":0}",
		"{\"max_ratio\":-1}", "{\"max_bytes\":1e300}", "{\"max_ms\":\"1\"}", "{} {}" };

	assert_int_equal(kt_fs_mkdirs(staging, 0700, NULL), KT_OK);
	assert_int_equal(kt_fs_write_new(archive, "no tar", 6, 0600, NULL), KT_OK);
	assert_int_equal(run_worker(1, argv, &out), 1);
	assert_non_null(strstr(out.ptr, "usage"));
	for (size_t i = 0; i < KT_ARRAY_LEN(bad); i++)
		check_refused(archive, staging, bad[i], KT_EINVAL, "limits");
	check_refused(missing, staging, "{}", KT_EIO, "missing");
	check_refused(archive, missing, "{}", KT_EIO, "staging");
	check_refused(archive, staging, "{}", KT_EPROTO, "no tar archive");
	check_refused(archive, staging, "{\"max_archive_bytes\":5}", KT_ELIMIT, "is 5");
}

/* A worker that was started ahead: its job comes on stdin. Gives its exit status. */
static int run_with_job(const char *job, struct kt_buf *out)
{
	char name[] = "karta-unpack", dash[] = "-";
	char *argv[] = { name, dash, NULL };
	int fds[2], before = dup(STDIN_FILENO), status;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], job, strlen(job)), (ssize_t)strlen(job));
	close(fds[1]);
	assert_true(dup2(fds[0], STDIN_FILENO) >= 0);
	close(fds[0]);
	status = run_worker(2, argv, out);
	(void)dup2(before, STDIN_FILENO);
	close(before);
	return status;
}

static void test_job_on_stdin(void **state)
{
	KT_AUTOFREE char *archive = at("archive"), *staging = at("s");
	static const struct {
		const char *limits, *says;
	} cases[] = {
		{ "{}", "no tar archive" },
		{ "{\"max_archive_bytes\":5}", "is 5" },
		{ "[]", "no object" },
		{ "{\"max_files\":0}", "max_files" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(10000);
		KT_AUTOFREE char *job = kt_asprintf(
			"{\"archive\":\"%s\",\"staging\":\"%s\",\"limits\":%s}", archive, staging,
			cases[i].limits);

		assert_int_equal(run_with_job(job, &out), 1);
		if (!strstr(out.ptr, cases[i].says))
			fail_msg("'%s' is not in: %s", cases[i].says, out.ptr);
	}
	KT_AUTO_BUF struct kt_buf none = KT_BUF_INIT(10000), half = KT_BUF_INIT(10000);

	assert_int_equal(run_with_job("", &none), 1);
	assert_non_null(strstr(none.ptr, "no job"));
	assert_int_equal(run_with_job("{\"archive\":\"", &half), 1);
	assert_non_null(strstr(half.ptr, "\"ok\":false"));
}

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
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_arch),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_job_on_stdin),
	};
	return cmocka_run_group_tests_name("pack/worker", tests, set_up, tear_down);
}
