/* SPDX-License-Identifier: MIT */
/*
 * What a start carries beside arguments: further descriptors, which must be those of this child
 * however many start at once, and another user, which must be all that is left of rights.
 */
#include "proc/proc.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/str.h"
#include "tests/unit/children.h"
#include "tests/unit/patience.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

static struct kt_loop *loop;
static struct kt_spawner *sp;

struct run {
	struct kt_child *child;
	struct kt_buf out;
	int exit_code, start_error;
	int *left;
};

static void on_out(void *arg, const char *data, size_t len)
{
	struct run *r = arg;
	kt_buf_add(&r->out, data, len);
}

static void on_gone(void *arg, int exit_code, int term_signal, int start_error)
{
	struct run *r = arg;
	r->exit_code = exit_code;
	r->start_error = start_error;
	if (--*r->left == 0)
		kt_loop_stop(loop);
}

static const struct kt_child_ops ops = { on_out, on_out, on_gone };

static int begin(void)
{
	if (kt_spawner_start(&sp, NULL) != KT_OK || kt_loop_new(&loop, NULL) != KT_OK)
		return -1;
	return kt_spawner_attach(sp, loop, NULL) == KT_OK ? 0 : -1;
}

static int setup(void **state)
{
	return begin();
}

static int teardown(void **state)
{
	kt_spawner_free(sp);
	kt_loop_free(loop);
	return 0;
}

static enum kt_code try_start(
	struct run *r, const char *script, struct kt_child_spec spec, int *left)
{
	char sh[] = "/bin/sh", c[] = "-c", path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
	KT_AUTOFREE char *text = kt_strdup(script);
	char *argv[] = { sh, c, text, NULL };
	char *envp[] = { path, NULL };

	*r = (struct run){ .left = left };
	kt_buf_init(&r->out, 1024 * 1024);
	spec.argv = argv;
	spec.envp = envp;
	if (!spec.cwd)
		spec.cwd = "/";
	return kt_child_spawn(sp, &spec, &ops, r, &r->child, NULL);
}

static void on_deadline(void *arg)
{
	fail_msg("the loop did not end in time");
}

static void run_loop(void)
{
	struct kt_timer *t = kt_timer_new(loop, on_deadline, NULL);

	kt_timer_start(t, slowed_ms(PATIENCE_MS), 0);
	kt_loop_run(loop);
	kt_timer_free(t);
}

/* Run it to its end; what it said is to be released. */
static struct run run(const char *script, struct kt_child_spec spec)
{
	struct run r;
	int left = 1;

	assert_int_equal(try_start(&r, script, spec, &left), KT_OK);
	run_loop();
	return r;
}

static void says(const char *script, struct kt_child_spec spec, const char *what)
{
	struct run r = run(script, spec);

	if (r.start_error)
		fail_msg("did not start: %s", strerror(r.start_error));
	assert_string_equal(r.out.ptr, what);
	kt_buf_release(&r.out);
}

/* The reading end of a pipe that has text. */
static int full_pipe(const char *text)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], text, strlen(text)), (ssize_t)strlen(text));
	close(fds[1]);
	return fds[0];
}

/* --- descriptors --------------------------------------------------------------------------------- */

static void descriptors(void **state)
{
	int fds[KT_MAX_CHILD_FDS + 1];
	struct kt_child_spec spec = { .fds = fds, .n_fds = 2 };
	struct run r;
	int left = 1;

	for (int i = 0; i <= KT_MAX_CHILD_FDS; i++) {
		char text[2] = { (char)('a' + i), '\0' };
		fds[i] = full_pipe(text);
	}
	says("cat <&4; cat <&3; ls /proc/self/fd | tr '\\n' ' '", spec, "ba0 1 2 3 4 5 ");
	/* All there can be; the caller's are its own again when the call has returned. */
	spec.fds = fds + 1;
	spec.n_fds = KT_MAX_CHILD_FDS;
	for (int i = 1; i <= KT_MAX_CHILD_FDS; i++) {
		close(fds[i]);
		fds[i] = full_pipe("x");
	}
	assert_int_equal(try_start(&r, "cat <&3 <&4; cat /dev/fd/10; [ -e /proc/self/fd/11 ] || echo -",
				 spec, &left),
		KT_OK);
	for (int i = 1; i <= KT_MAX_CHILD_FDS; i++)
		close(fds[i]);
	run_loop();
	assert_string_equal(r.out.ptr, "xx-\n");
	kt_buf_release(&r.out);
	spec.fds = fds;
	spec.n_fds = KT_MAX_CHILD_FDS + 1;
	assert_int_equal(try_start(&r, "true", spec, &left), KT_ELIMIT);
	spec.n_fds = 2;
	fds[1] = -1;
	assert_int_equal(try_start(&r, "true", spec, &left), KT_EIO);
	close(fds[0]);
	/* A refused one leaves nothing in the way of the next. */
	spec.n_fds = 1;
	fds[0] = full_pipe("next");
	says("cat <&3", spec, "next");
	close(fds[0]);
}

/* Starts with and without, small and large, in one queue: each child gets its own. */
static void each_its_own(void **state)
{
	enum { N = 60 };
	struct run runs[N];
	KT_AUTOFREE char *pad = kt_malloc(100001);
	int left = N;

	memset(pad, ' ', 100000);
	pad[100000] = '\0';
	for (int i = 0; i < N; i++) {
		int fds[2], n = i % 3;
		struct kt_child_spec spec = { .fds = fds, .n_fds = (size_t)n };
		KT_AUTOFREE char *script = kt_asprintf("cat %s %s </dev/null; echo; exit%s %d",
			n > 0 ? "/dev/fd/3" : "", n > 1 ? "/dev/fd/4" : "", i % 4 ? "" : pad, i);

		for (int f = 0; f < n; f++) {
			char text[40];
			snprintf(text, sizeof(text), "%d.%d,", i, f);
			fds[f] = full_pipe(text);
		}
		assert_int_equal(try_start(&runs[i], script, spec, &left), KT_OK);
		for (int f = 0; f < n; f++)
			close(fds[f]);
	}
	run_loop();
	for (int i = 0; i < N; i++) {
		char text[60] = "";
		size_t len = 0;

		for (int f = 0; f < i % 3; f++)
			len += (size_t)snprintf(
				text + len, sizeof(text) - len, "%d.%d,", i, f);
		snprintf(text + len, sizeof(text) - len, "\n");
		assert_string_equal(runs[i].out.ptr, text);
		assert_int_equal(runs[i].exit_code, i);
		kt_buf_release(&runs[i].out);
	}
}

/* A spawner without room for descriptors says so, and the next ones get theirs. */
static void no_room(void **state)
{
	int fds[KT_MAX_CHILD_FDS];
	struct kt_child_spec spec = { .fds = fds, .n_fds = KT_MAX_CHILD_FDS };
	struct rlimit before, few;
	struct run r;

	for (int i = 0; i < KT_MAX_CHILD_FDS; i++)
		fds[i] = full_pipe("a");
	says("cat /dev/fd/10", spec, "a");
	assert_int_equal(prlimit(spawner_pid(), RLIMIT_NOFILE, NULL, &before), 0);
	few = before;
	few.rlim_cur = 8;
	assert_int_equal(prlimit(spawner_pid(), RLIMIT_NOFILE, &few, NULL), 0);
	for (int i = 0; i < 2; i++) {
		r = run("cat <&3", spec);
		assert_int_equal(r.start_error, EMFILE);
		kt_buf_release(&r.out);
	}
	assert_int_equal(prlimit(spawner_pid(), RLIMIT_NOFILE, &before, NULL), 0);
	for (int i = 0; i < KT_MAX_CHILD_FDS; i++)
		close(fds[i]);
	fds[0] = full_pipe("b");
	spec.n_fds = 1;
	says("cat <&3", spec, "b");
	close(fds[0]);
}

/* --- another user -------------------------------------------------------------------------------- */

static const struct kt_child_user nobody = { NOBODY, NOBODY };

static bool is_root(void)
{
	if (geteuid() == 0)
		return true;
	print_message("# not root: nobody to become\n");
	return false;
}

static void runs_as(void **state)
{
	struct kt_child_spec spec = { .user = &nobody };
	int fd = full_pipe("given");

	if (!is_root()) {
		close(fd);
		skip();
	}
	says("id -u; id -g; id -G; grep -E '^(Uid|Gid|Groups|NoNewPrivs|Cap(Inh|Prm|Eff|Amb)):' "
	     "/proc/self/status | tr -d ' \\t'",
		spec,
		"65534\n65534\n65534\nUid:65534655346553465534\nGid:65534655346553465534\n"
		"Groups:\nCapInh:0000000000000000\nCapPrm:0000000000000000\n"
		"CapEff:0000000000000000\nCapAmb:0000000000000000\nNoNewPrivs:1\n");
	/* What it may not open it gets opened; signals are as for every child. */
	spec.fds = &fd;
	spec.n_fds = 1;
	says("cat <&3; while read -r name value; do case $name in SigBlk: | SigIgn:) "
	     "echo $((0x$value & 0x7fffffff));; esac; done </proc/self/status",
		spec, "given0\n0\n");
	close(fd);
	spec.n_fds = 0;
	/* A group of its own, and an exit status. */
	struct run r = run("[ $(ps -o pgid= -p $$) = $$ ] && exit 7", spec);
	assert_int_equal(r.exit_code, 7);
	kt_buf_release(&r.out);
}

static void refused_as(void **state)
{
	static const struct kt_child_user roots[] = { { 0, NOBODY }, { NOBODY, 0 }, { 0, 0 } };
	char dir[] = "/tmp/kt-start-XXXXXX";
	struct kt_child_spec spec = { .user = &nobody };
	struct run r;
	int left = 1;

	for (size_t i = 0; i < KT_ARRAY_LEN(roots); i++) {
		spec.user = &roots[i];
		assert_int_equal(try_start(&r, "true", spec, &left), KT_EINVAL);
	}
	if (!is_root())
		skip();
	/* A folder and a program that are root's only. */
	spec.user = &nobody;
	assert_non_null(mkdtemp(dir));
	spec.cwd = dir;
	r = run("true", spec);
	assert_int_equal(r.start_error, EACCES);
	kt_buf_release(&r.out);
	KT_AUTOFREE char *program = kt_path_join(dir, "sh");
	assert_int_equal(symlink("/bin/sh", program), 0);
	spec.cwd = "/";
	spec.program = program;
	r = run("true", spec);
	assert_int_equal(r.start_error, EACCES);
	kt_buf_release(&r.out);
	spec.program = "/there/is/none";
	r = run("true", spec);
	assert_int_equal(r.start_error, ENOENT);
	kt_buf_release(&r.out);
	assert_int_equal(unlink(program), 0);
	assert_int_equal(rmdir(dir), 0);
	spec.program = NULL;
	says("id -u", spec, "65534\n");
}

/* Who may not become somebody else stays nobody: the start fails, it does not run as it is. */
static void not_allowed(void **state)
{
	static const struct kt_child_user other = { NOBODY - 1, NOBODY - 1 };
	struct kt_child_spec spec = { .user = &other };
	int status;
	pid_t pid;

	if (!is_root())
		skip();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct run r;
		int left = 1;

		if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY) ||
			begin() || try_start(&r, "id -u", spec, &left) != KT_OK)
			_exit(100);
		kt_loop_run(loop);
		_exit(r.out.len ? 101 : r.start_error);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EPERM);
}

/* What another user's child leaves behind goes as everyone's does. */
static void others_are_killed(void **state)
{
	struct kt_child_spec spec = { .user = &nobody };
	struct run r;
	int64_t pid = 0;
	int left = 1;

	if (!is_root())
		skip();
	assert_int_equal(
		try_start(&r, "setsid sleep 300 & echo $!; sleep 300", spec, &left), KT_OK);
	while (r.out.len == 0 || r.out.ptr[r.out.len - 1] != '\n')
		(void)uv_run(kt_loop_uv(loop), UV_RUN_ONCE);
	assert_true(kt_str_int64n(r.out.ptr, r.out.len - 1, 1, INT32_MAX, &pid));
	assert_int_equal(kill((pid_t)pid, 0), 0);
	kt_child_kill_tree(r.child);
	run_loop();
	EVENTUALLY(kill((pid_t)pid, 0) != 0);
	kt_buf_release(&r.out);
}

/* A loop has threads, and not_allowed() makes one after a fork: the sanitizer is to bear it. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "die_after_fork=0";
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(descriptors, setup, teardown),
		cmocka_unit_test_setup_teardown(each_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(runs_as, setup, teardown),
		cmocka_unit_test_setup_teardown(refused_as, setup, teardown),
		cmocka_unit_test(not_allowed),
		cmocka_unit_test_setup_teardown(others_are_killed, setup, teardown),
	};
	return cmocka_run_group_tests_name("proc/start", tests, NULL, NULL);
}
