/* SPDX-License-Identifier: MIT */
/*
 * Children with real processes: bytes through pipes, ways to die, and above all that nothing is
 * left behind. Each test tags its children's environment and looks for the tag in /proc.
 */
#include "proc/proc.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/rand.h"
#include "base/str.h"
#include "base/time.h"
#include "tests/unit/children.h"
#include "tests/unit/patience.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char tag[80]; /* "KT_TEST_TAG=..." */
static struct kt_loop *loop;
static struct kt_spawner *sp;

struct run {
	struct kt_child *child;
	struct kt_buf out;
	struct kt_buf errs;
	int gone;
	int exit_code;
	int term_signal;
	int start_error;
	int64_t gone_us;
	int *left; /* stop the loop when it gets to 0 */
	bool kill_on_out;
	bool abandon_on_out;
};

static void on_out(void *arg, const char *data, size_t len)
{
	struct run *r = arg;
	kt_buf_add(&r->out, data, len);
	if (r->kill_on_out)
		kt_child_kill_tree(r->child);
	if (r->abandon_on_out) {
		kt_child_abandon(r->child);
		if (--*r->left == 0)
			kt_loop_stop(loop);
	}
}

static void on_err(void *arg, const char *data, size_t len)
{
	struct run *r = arg;
	kt_buf_add(&r->errs, data, len);
}

static void on_gone(void *arg, int exit_code, int term_signal, int start_error)
{
	struct run *r = arg;
	r->gone++;
	r->exit_code = exit_code;
	r->term_signal = term_signal;
	r->start_error = start_error;
	r->gone_us = kt_mono_us();
	if (--*r->left == 0)
		kt_loop_stop(loop);
}

static const struct kt_child_ops ops = { on_out, on_err, on_gone };

static int setup(void **state)
{
	(void)state;
	char id[KT_ID_MAX];
	struct kt_err err = KT_ERR_INIT;
	kt_rand_id("t_", id);
	(void)snprintf(tag, sizeof(tag), "KT_TEST_TAG=%s", id);
	if (kt_spawner_start(&sp, &err) != KT_OK || kt_loop_new(&loop, &err) != KT_OK)
		return -1;
	return kt_spawner_attach(sp, loop, &err) == KT_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	kt_spawner_free(sp);
	kt_loop_free(loop);
	return 0;
}

static void start_argv(struct run *r, char *const *argv, int *left)
{
	char path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
	char *envp[] = { path, tag, NULL };
	struct kt_child_spec spec = { .argv = argv, .envp = envp, .cwd = "/tmp" };
	struct kt_err err = KT_ERR_INIT;
	*r = (struct run){ .left = left };
	kt_buf_init(&r->out, 64 * 1024 * 1024);
	kt_buf_init(&r->errs, 1024 * 1024);
	assert_int_equal(kt_child_spawn(sp, &spec, &ops, r, &r->child, &err), KT_OK);
}

static void run_loop(void);
static void end(struct run *r);

/* The file to run may be another than argv[0], by which programs with several faces go. */
static void program_and_name(void **state)
{
	(void)state;
	char name[] = "another-name", c[] = "-c", text[] = "printf %s \"$0\"";
	char *argv[] = { name, c, text, NULL };
	char path[] = "PATH=/usr/bin:/bin";
	char *envp[] = { path, tag, NULL };
	struct kt_child_spec spec = {
		.program = "/bin/sh", .argv = argv, .envp = envp, .cwd = "/"
	};
	struct run r;
	int left = 1;

	r = (struct run){ .left = &left };
	kt_buf_init(&r.out, 4096);
	kt_buf_init(&r.errs, 4096);
	assert_int_equal(kt_child_spawn(sp, &spec, &ops, &r, &r.child, NULL), KT_OK);
	run_loop();
	assert_string_equal(r.out.ptr, "another-name");
	end(&r);
}

static void start_sh(struct run *r, const char *script, int *left)
{
	char sh[] = "/bin/sh";
	char c[] = "-c";
	KT_AUTOFREE char *text = kt_strdup(script);
	char *argv[] = { sh, c, text, NULL };
	start_argv(r, argv, left);
}

static void end(struct run *r)
{
	kt_buf_release(&r->out);
	kt_buf_release(&r->errs);
}

static void on_deadline(void *arg)
{
	(void)arg;
	fail_msg("the loop did not end in time");
}

static void run_loop(void)
{
	struct kt_timer *t = kt_timer_new(loop, on_deadline, NULL);
	kt_timer_start(t, slowed_ms(PATIENCE_MS), 0);
	kt_loop_run(loop);
	kt_timer_free(t);
}

/* Living processes whose environment has `text`. */
static int count_tagged(const char *text)
{
	int n = 0;
	DIR *d = opendir("/proc");
	assert_non_null(d);
	for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		int64_t pid = 0;
		if (!kt_str_int64(e->d_name, 1, INT32_MAX, &pid) || pid == getpid())
			continue;
		char path[64];
		char env[8192];
		(void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		ssize_t len = read(fd, env, sizeof(env));
		close(fd);
		if (len > 0 && memmem(env, (size_t)len, text, strlen(text)) != NULL)
			n++;
	}
	closedir(d);
	return n;
}

static void none_is_left(void)
{
	EVENTUALLY(count_tagged(tag) == 0);
}

/* A file that a child waits for: `until [ -e FILE ]; do sleep 0.01; done`. */
static char gate[] = "/tmp/kt-proc-gate-XXXXXX";

static void start_behind_gate(struct run *r, const char *before, const char *after, int *left)
{
	(void)unlink(gate);
	KT_AUTOFREE char *text = kt_asprintf(
		"%s; until [ -e %s ]; do sleep 0.01; done; %s", before, gate, after);
	start_sh(r, text, left);
}

static void open_gate(void)
{
	int fd = open(gate, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
}

static void echo_5mb_in_random_pieces(void **state)
{
	(void)state;
	enum { TOTAL = 5 * 1000 * 1000 };
	int left = 1;
	struct run r;
	struct kt_err err = KT_ERR_INIT;
	start_sh(&r, "exec /bin/cat", &left);
	KT_AUTOFREE char *data = kt_malloc(TOTAL);
	chance_bytes(data, TOTAL);
	for (size_t at = 0; at < TOTAL;) {
		size_t n = chance_below(100000) + 1;
		n = KT_MIN(n, TOTAL - at);
		assert_int_equal(kt_child_write(r.child, data + at, n, &err), KT_OK);
		at += n;
		if (chance_below(10) == 0)
			(void)uv_run(kt_loop_uv(loop), UV_RUN_NOWAIT);
	}
	kt_child_close_stdin(r.child);
	assert_int_equal(kt_child_write(r.child, "x", 1, &err), KT_EUNAVAIL);
	run_loop();
	assert_int_equal(r.exit_code, 0);
	assert_int_equal(r.out.len, TOTAL);
	assert_memory_equal(r.out.ptr, data, TOTAL);
	end(&r);
}

static void queue_is_bounded_and_whole(void **state)
{
	(void)state;
	int left = 1;
	struct run r;
	struct kt_err err = KT_ERR_INIT;
	start_behind_gate(&r, ":", "wc -c", &left);
	KT_AUTOFREE char *data = kt_calloc(1, 1000 * 1000);
	size_t taken = 0;
	enum kt_code code = KT_OK;
	for (int i = 0; i < 30; i++) {
		code = kt_child_write(r.child, data, 1000 * 1000, &err);
		if (code != KT_OK)
			break;
		taken += 1000 * 1000;
		/* It is there when something of that fits into its pipe. */
		if (i == 3)
			while (kt_child_queued(r.child) == taken)
				(void)uv_run(kt_loop_uv(loop), UV_RUN_ONCE);
	}
	assert_int_equal(code, KT_ELIMIT);
	assert_true(taken >= 7 * 1000 * 1000);
	kt_child_close_stdin(r.child);
	open_gate();
	run_loop();
	char want[32];
	(void)snprintf(want, sizeof(want), "%zu\n", taken);
	assert_string_equal(r.out.ptr, want);
	end(&r);
}

/* An answer may be as long as a line: alone in the queue, of a process that runs. */
static void one_long_line(void **state)
{
	(void)state;
	enum { LEN = 20 * 1000 * 1000 };
	int left = 1;
	struct run r;
	struct kt_err err = KT_ERR_INIT;
	start_behind_gate(&r, ":", "wc -c", &left);
	KT_AUTOFREE char *data = kt_calloc(1, LEN);
	assert_int_equal(kt_child_write(r.child, data, LEN, &err), KT_ELIMIT);
	while (kt_child_write(r.child, data, LEN, &err) == KT_ELIMIT)
		(void)uv_run(kt_loop_uv(loop), UV_RUN_ONCE);
	assert_in_range(kt_child_queued(r.child), LEN - 1024 * 1024, LEN);
	assert_int_equal(kt_child_write(r.child, data, 1, &err), KT_ELIMIT);
	kt_child_close_stdin(r.child);
	open_gate();
	run_loop();
	assert_string_equal(r.out.ptr, "20000000\n");
	end(&r);
}

static void hundred_at_once(void **state)
{
	(void)state;
	enum { N = 100 };
	static struct run runs[N];
	int left = N;
	int64_t begin = kt_mono_us();
	for (int i = 0; i < N; i++) {
		char text[16];
		char echo[] = "/bin/echo";
		(void)snprintf(text, sizeof(text), "n%d", i);
		char *argv[] = { echo, text, NULL };
		start_argv(&runs[i], argv, &left);
	}
	int64_t asked = kt_mono_us();
	run_loop();
	int64_t done = kt_mono_us();
	for (int i = 0; i < N; i++) {
		char want[16];
		(void)snprintf(want, sizeof(want), "n%d\n", i);
		assert_int_equal(runs[i].gone, 1);
		assert_int_equal(runs[i].exit_code, 0);
		assert_int_equal(runs[i].term_signal, 0);
		assert_int_equal(runs[i].start_error, 0);
		assert_string_equal(runs[i].out.ptr, want);
		end(&runs[i]);
	}
	print_message("# %d children: asked in %lld us, all gone after %lld us\n", N,
		(long long)(asked - begin), (long long)(done - begin));
}

static void ways_to_end(void **state)
{
	(void)state;
	static const struct {
		const char *script;
		int exit_code;
		int term_signal;
	} cases[] = {
		{ "exit 0", 0, 0 },
		{ "exit 7", 7, 0 },
		{ "exit 255", 255, 0 },
		{ "kill -TERM $$", -1, SIGTERM },
		{ "kill -KILL $$", -1, SIGKILL },
		{ "exec 0<&- 1>&- 2>&-; sleep 0.05; exit 3", 3, 0 },
	};
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		int left = 1;
		struct run r;
		start_sh(&r, cases[i].script, &left);
		run_loop();
		assert_int_equal(r.exit_code, cases[i].exit_code);
		assert_int_equal(r.term_signal, cases[i].term_signal);
		assert_int_equal(r.start_error, 0);
		end(&r);
	}
}

static void cannot_start(void **state)
{
	(void)state;
	char none[] = "/no/such/program";
	char tmp[] = "/tmp";
	char *const argvs[2][2] = { { none, NULL }, { tmp, NULL } };
	const int wants[2] = { ENOENT, EACCES };
	for (int i = 0; i < 2; i++) {
		int left = 1;
		struct run r;
		struct kt_err err = KT_ERR_INIT;
		start_argv(&r, argvs[i], &left);
		assert_int_equal(kt_child_write(r.child, "hello", 5, &err), KT_OK);
		run_loop();
		assert_int_equal(r.gone, 1);
		assert_int_equal(r.start_error, wants[i]);
		assert_int_equal(r.exit_code, -1);
		assert_int_equal(r.term_signal, 0);
		end(&r);
	}
	/* One argument over what the messages take. */
	KT_AUTOFREE char *big = kt_malloc(2 * 1024 * 1024);
	memset(big, 'a', 2 * 1024 * 1024 - 1);
	big[2 * 1024 * 1024 - 1] = '\0';
	char *argv[] = { tmp, big, NULL };
	char *envp[] = { NULL };
	struct kt_child_spec spec = { .argv = argv, .envp = envp, .cwd = "/" };
	struct kt_child *c = NULL;
	struct kt_err err = KT_ERR_INIT;
	assert_int_equal(kt_child_spawn(sp, &spec, &ops, NULL, &c, &err), KT_ELIMIT);
	assert_null(c);
}

static void big_arguments(void **state)
{
	(void)state;
	enum { N = 7, LEN = 100000 };
	char echo[] = "/bin/echo";
	char *argv[N + 2] = { echo };
	for (int i = 1; i <= N; i++) {
		argv[i] = kt_malloc(LEN + 1);
		memset(argv[i], 'a' + i, LEN);
		argv[i][LEN] = '\0';
	}
	int left = 1;
	struct run r;
	start_argv(&r, argv, &left);
	run_loop();
	assert_int_equal(r.start_error, 0);
	assert_int_equal(r.out.len, N * (LEN + 1));
	for (int i = 1; i <= N; i++)
		free(argv[i]);
	end(&r);
}

static void child_that_does_not_read(void **state)
{
	(void)state;
	int left = 1;
	struct run r;
	struct kt_err err = KT_ERR_INIT;
	start_behind_gate(&r, "exec 0<&-; echo ready", "exit 5", &left);
	while (r.out.len == 0)
		(void)uv_run(kt_loop_uv(loop), UV_RUN_ONCE);
	/* The spawner may hold its end of the pipe for a moment after the child ran. */
	EVENTUALLY(kt_child_write(r.child, "x", 1, &err) == KT_EUNAVAIL);
	assert_int_equal(kt_child_write(r.child, "x", 1, &err), KT_EUNAVAIL);
	open_gate();
	run_loop();
	assert_int_equal(r.exit_code, 5);
	end(&r);
}

static void hygiene(void **state)
{
	(void)state;
	int left = 3;
	struct run env;
	struct run fds;
	struct run sig;
	/* Descriptors of this process that must not be seen by children. */
	int leak = open("/dev/null", O_RDONLY);
	char prog[] = "/usr/bin/env";
	char *argv[] = { prog, NULL };
	start_argv(&env, argv, &left);
	char ls[] = "/bin/ls";
	char dir[] = "/proc/self/fd";
	char *ls_argv[] = { ls, dir, NULL };
	start_argv(&fds, ls_argv, &left);
	start_sh(&sig, "grep -E '^Sig(Blk|Ign)' /proc/self/status; pwd; ps -o pgid= -p $$ | tr -d ' '; "
		"echo $$", &left);
	run_loop();
	close(leak);
	char want[256];
	(void)snprintf(want, sizeof(want), "PATH=/usr/local/bin:/usr/bin:/bin\n%s\nKARTA_PROC_ID=", tag);
	assert_true(kt_str_starts(env.out.ptr, want));
	const char *id = env.out.ptr + strlen(want);
	assert_int_equal(strspn(id, "0123456789") + 1, strlen(id));
	/* 3 is the folder that ls itself reads. */
	assert_string_equal(fds.out.ptr, "0\n1\n2\n3\n");
	/* glibc's posix_spawn() leaves its two internal signals, 32 and 33, ignored. */
	assert_true(kt_str_starts(sig.out.ptr,
			    "SigBlk:\t0000000000000000\nSigIgn:\t0000000180000000\n/tmp\n") ||
		kt_str_starts(sig.out.ptr,
			"SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n/tmp\n"));
	char *group = strstr(sig.out.ptr, "/tmp\n") + 5;
	char *pid = strchr(group, '\n');
	assert_non_null(pid);
	*pid++ = '\0';
	assert_true(strlen(group) > 0 && kt_str_starts(pid, group));
	end(&env);
	end(&fds);
	end(&sig);
}

static void stderr_is_apart(void **state)
{
	(void)state;
	int left = 1;
	struct run r;
	start_sh(&r, "echo out; echo bad >&2", &left);
	run_loop();
	assert_string_equal(r.out.ptr, "out\n");
	assert_string_equal(r.errs.ptr, "bad\n");
	end(&r);
}

#define TREE                                                                                       \
	"setsid sleep 300 & setsid sh -c 'setsid sleep 300 & sleep 300' & "                        \
	"sleep 0.2; (setsid sleep 300 &) ; echo up; sleep 300"

static void kill_tree_leaves_nothing(void **state)
{
	(void)state;
	int left = 1;
	struct run r;
	struct run other;
	int other_left = 1;
	start_sh(&other, "setsid sleep 300 & echo up; sleep 300", &other_left);
	while (other.out.len == 0)
		(void)uv_run(kt_loop_uv(loop), UV_RUN_ONCE);
	start_sh(&r, TREE, &left);
	r.kill_on_out = true;
	int64_t begin = kt_mono_us();
	run_loop();
	print_message("# killed %lld us after start\n", (long long)(r.gone_us - begin));
	assert_int_equal(r.term_signal, SIGKILL);
	/* The other child's two or three processes live on. */
	EVENTUALLY(count_tagged(tag) <= 3);
	assert_true(count_tagged(tag) >= 2);
	kt_child_kill_tree(other.child);
	run_loop();
	none_is_left();
	end(&r);
	end(&other);
}

static void fork_storm_is_killed(void **state)
{
	(void)state;
	int left = 1;
	struct run r;
	/* Each generation starts the next in a new session and ends, and so runs from its killer. */
	start_sh(&r, "S='[ $1 -gt 3000 ] || setsid sh -c \"$S\" x $(($1+1)) &'; export S; "
		"sh -c \"$S\" x 0 & sh -c \"$S\" x 0 & sleep 0.3; echo up; sleep 300", &left);
	r.kill_on_out = true;
	run_loop();
	none_is_left();
	end(&r);
}

static void orphan_with_the_pipe_is_cut(void **state)
{
	(void)state;
	int left = 1;
	struct run r;
	/* The last has no marker any more. */
	start_sh(&r, "setsid sleep 301 & (setsid sleep 302 &) ; "
		"(env -i PATH=$PATH setsid sleep 303 &) ; echo bye; exit 4", &left);
	/* It would take 300 s otherwise, and run_loop() does not wait that long. */
	run_loop();
	assert_int_equal(r.exit_code, 4);
	assert_string_equal(r.out.ptr, "bye\n");
	none_is_left();
	end(&r);
}

static void abandoned(void **state)
{
	(void)state;
	int left = 2;
	struct run a;
	struct run b;
	start_sh(&a, "setsid sleep 300 & sleep 300", &left);
	kt_child_abandon(a.child); /* before it is started */
	start_sh(&b, "setsid sleep 300 & echo up; sleep 300", &left);
	b.abandon_on_out = true;
	left--;
	run_loop();
	none_is_left();
	assert_int_equal(a.gone, 0);
	assert_int_equal(b.gone, 0);
	end(&a);
	end(&b);
}

static void free_kills_all(void **state)
{
	(void)state;
	int left = 3;
	struct run runs[3];
	for (int i = 0; i < 3; i++)
		start_sh(&runs[i], TREE, &left);
	while (runs[0].out.len == 0 || runs[1].out.len == 0)
		(void)uv_run(kt_loop_uv(loop), UV_RUN_ONCE);
	int64_t begin = kt_mono_us();
	kt_spawner_free(sp);
	sp = NULL;
	print_message("# freed in %lld us\n", (long long)(kt_mono_us() - begin));
	assert_int_equal(count_tagged(tag), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(runs[i].gone, 0);
		end(&runs[i]);
	}
}

static void spawner_killed(void **state)
{
	(void)state;
	int left = 2;
	struct run r[2];
	for (int i = 0; i < 2; i++) {
		start_sh(&r[i], "echo up; sleep 300", &left);
		while (r[i].out.len == 0)
			(void)uv_run(kt_loop_uv(loop), UV_RUN_ONCE);
	}
	assert_int_equal(kill(spawner_pid(), SIGKILL), 0);
	run_loop();
	for (int i = 0; i < 2; i++) {
		assert_int_equal(r[i].gone, 1);
		assert_int_equal(r[i].term_signal, SIGKILL);
		end(&r[i]);
	}
	none_is_left();
	char prog[] = "/bin/true";
	char *argv[] = { prog, NULL };
	char *envp[] = { NULL };
	struct kt_child_spec spec = { .argv = argv, .envp = envp, .cwd = "/" };
	struct kt_child *c = NULL;
	struct kt_err err = KT_ERR_INIT;
	assert_int_equal(kt_child_spawn(sp, &spec, &ops, NULL, &c, &err), KT_EUNAVAIL);
}

/* A loop has threads, and server_killed() makes one after a fork: the sanitizer is to bear it. */
__attribute__((visibility("default"))) const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "die_after_fork=0";
}

/* A server of its own, which tells by one byte that its children are up, and then is killed. */
KT_NORETURN static void serve(int up)
{
	struct kt_err err = KT_ERR_INIT;
	if (kt_spawner_start(&sp, &err) != KT_OK || kt_loop_new(&loop, &err) != KT_OK ||
		kt_spawner_attach(sp, loop, &err) != KT_OK)
		_exit(1);
	int left = 4;
	struct run runs[4];
	for (int i = 0; i < 4; i++)
		start_sh(&runs[i], i == 3 ? "trap '' TERM HUP INT; " TREE : TREE, &left);
	for (;;) {
		(void)uv_run(kt_loop_uv(loop), UV_RUN_ONCE);
		if (runs[0].out.len > 0 && runs[1].out.len > 0 && runs[2].out.len > 0 &&
			runs[3].out.len > 0 && write(up, "u", 1) == 1)
			break;
	}
	for (;;)
		(void)pause();
}

static void server_killed(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		int fds[2];
		assert_int_equal(pipe(fds), 0);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			serve(fds[1]);
		close(fds[1]);
		char c = 0;
		assert_int_equal(read(fds[0], &c, 1), 1);
		EVENTUALLY(count_tagged(tag) >= 20);
		int64_t begin = kt_mono_us();
		assert_int_equal(kill(pid, SIGKILL), 0);
		none_is_left();
		print_message("# none left %lld us after the server's death\n",
			(long long)(kt_mono_us() - begin));
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		/* The spawner holds nothing of the server: this end is closed with both. */
		assert_int_equal(read(fds[0], &c, 1), 0);
		close(fds[0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(program_and_name, setup, teardown),
		cmocka_unit_test_setup_teardown(echo_5mb_in_random_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(queue_is_bounded_and_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(one_long_line, setup, teardown),
		cmocka_unit_test_setup_teardown(hundred_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(ways_to_end, setup, teardown),
		cmocka_unit_test_setup_teardown(cannot_start, setup, teardown),
		cmocka_unit_test_setup_teardown(big_arguments, setup, teardown),
		cmocka_unit_test_setup_teardown(child_that_does_not_read, setup, teardown),
		cmocka_unit_test_setup_teardown(hygiene, setup, teardown),
		cmocka_unit_test_setup_teardown(stderr_is_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(kill_tree_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(fork_storm_is_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(orphan_with_the_pipe_is_cut, setup, teardown),
		cmocka_unit_test_setup_teardown(abandoned, setup, teardown),
		cmocka_unit_test_setup_teardown(free_kills_all, setup, teardown),
		cmocka_unit_test_setup_teardown(spawner_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(server_killed, setup, teardown),
	};
	int fd = mkstemp(gate);
	if (fd < 0)
		return 1;
	close(fd);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(gate);
	return failed;
}
