/* SPDX-License-Identifier: MIT */
/*
 * The runner, the pool and the recorder with a harness that misbehaves on demand: this very
 * program, started again with Claude Code's arguments, speaks just enough stream-json. What it does
 * is chosen by FAKE=... in its environment.
 */
#include "harness_world.h"

/* --- tests ------------------------------------------------------------------------------------ */

static void test_turns(void **state)
{
	struct world w;

	world_init(&w, "normal");
	world_start(&w, NULL);
	world_prompt(&w, "hello"); /* before it is ready */
	assert_false(kt_harness_is_ready(w.o.h));
	run_until(&w.o, &w.o.ends, 1);
	assert_string_equal(w.o.text.ptr, "hello");
	assert_string_equal(w.o.code, "-");
	assert_int_equal(strlen(kt_harness_session(w.o.h)), 36);
	world_prompt(&w, "again");
	run_until(&w.o, &w.o.ends, 2);
	assert_string_equal(w.o.log.ptr, "ready text end text end ");
	/* Closing its input is enough to end it: no signal is needed. */
	(void)said(&w, "ended", true);
	kt_harness_stop(w.o.h);
	run_until(&w.o, &w.o.gones, 1);
	assert_true(said(&w, "ended", true));
	world_end(&w);
}

static void test_environment(void **state)
{
	struct world w;

	world_init(&w, "env");
	w.extra[2] = kt_strdup("DISABLE_TELEMETRY=0");
	world_start(&w, NULL);
	world_prompt(&w, "x");
	run_until(&w.o, &w.o.ends, 1);
	/* The driver's word counts; our key and the marks of a harness around us do not pass. */
	assert_string_equal(w.o.text.ptr, "shop|sess_1|||1");
	world_end(&w);
	free(w.extra[2]);
}

/* On a hosting server nothing of the server's own environment passes but what is on the list. */
static void test_sealed_environment(void **state)
{
	static const char *const passed[] = { "\ncwd=/\n", "\nPATH=/", "\nLC_TIME=C\n",
		"\nhttps_proxy=http://proxy:1\n", "\nHOME=/private/home\n",
		"\nCLAUDE_CONFIG_DIR=/private/home/.claude\n",
		"\nXDG_DATA_HOME=/private/home/.local/share\n", "\nBOUND=of the project\n",
		"\nKARTA_PROJECT=store\n", "\nKARTA_SESSION_ID=sess_1\n", "\nKARTA_RELEASE=v7\n" };
	static const char *const kept[] = { "KARTA_MASTER_KEY", "SECRET_OF_SERVER", "KARTA_DATA",
		"AWS_", "LD_PRELOAD", "CLAUDECODE" };
	char *extra[] = { kt_strdup("BOUND=of the project"), kt_strdup("KARTA_RELEASE=v7"),
		kt_strdup("HOME=/elsewhere"), kt_strdup("KARTA_PROJECT=forged"), NULL };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_harness_start start = {
		.driver = { .app = &app,
			.program = self,
			.cwd = "/",
			.extra_env = extra,
			.sealed = true,
			.home = "/private/home" },
		.session_id = "sess_1",
		.project = "store",
	};
	struct kt_err err = KT_ERR_INIT;
	struct world w;

	assert_int_equal(setenv("KARTA_MASTER_KEY", "k", 1), 0);
	assert_int_equal(setenv("KARTA_DATA", "/data", 1), 0);
	assert_int_equal(setenv("SECRET_OF_SERVER", "s", 1), 0);
	assert_int_equal(setenv("AWS_SECRET_ACCESS_KEY", "s", 1), 0);
	assert_int_equal(setenv("LC_TIME", "C", 1), 0);
	assert_int_equal(setenv("https_proxy", "http://proxy:1", 1), 0);
	for (int with_home = 1; with_home >= 0; with_home--) {
		world_init(&w, "dump");
		if (!with_home) {
			start.driver.home = NULL;
			extra[2][0] = 'X'; /* no HOME of its own any more */
		}
		assert_int_equal(kt_harness_start(&w.env, &start, &cbs, &w.o, &w.o.h, &err), KT_OK);
		world_prompt(&w, "x");
		run_until(&w.o, &w.o.ends, 1);
		kt_buf_clear(&b);
		kt_buf_adds(&b, "\n");
		assert_int_equal(kt_fs_read(w.file + strlen("FAKE_FILE="), &b, &err), KT_OK);
		for (size_t i = 0; i < KT_ARRAY_LEN(passed) && with_home; i++) {
			if (!strstr(b.ptr, passed[i]))
				fail_msg("%s is not in%s", passed[i], b.ptr);
		}
		for (size_t i = 0; i < KT_ARRAY_LEN(kept); i++)
			assert_null(strstr(b.ptr, kept[i]));
		assert_null(strstr(b.ptr, "forged"));
		if (!with_home)
			assert_null(strstr(b.ptr, "/private"));
		world_end(&w);
	}
	for (size_t i = 0; extra[i]; i++)
		free(extra[i]);
	assert_int_equal(unsetenv("https_proxy"), 0);
}

static void test_crash(void **state)
{
	struct world w;

	world_init(&w, "crash");
	world_start(&w, NULL);
	world_prompt(&w, "x");
	run_until(&w.o, &w.o.gones, 1);
	assert_string_equal(w.o.log.ptr, "ready text end gone ");
	assert_string_equal(w.o.code, "harness_crashed");
	assert_string_equal(w.o.text.ptr, "half a");
	assert_non_null(strstr(w.o.message, "exit status 7"));
	assert_non_null(strstr(w.o.message, "out of cheese"));
	world_end(&w);
}

static void test_start_fails(void **state)
{
	struct world w;

	world_init(&w, "exit");
	world_start(&w, NULL);
	world_prompt(&w, "x");
	run_until(&w.o, &w.o.gones, 1);
	assert_string_equal(w.o.code, "harness_start_failed");
	assert_non_null(strstr(w.o.message, "no license"));
	assert_null(strstr(w.o.message, "abcdefghij"));
	assert_null(strchr(w.o.stderr_line, '\x1b'));
	world_end(&w);
}

static void test_no_program(void **state)
{
	struct world w;
	const struct kt_harness_start start = { .driver = { .app = &app,
							.program = "/nonexistent/claude" } };

	world_init(&w, "normal");
	assert_int_equal(kt_harness_start(&w.env, &start, &cbs, &w.o, &w.o.h, NULL), KT_OK);
	world_prompt(&w, "x");
	run_until(&w.o, &w.o.gones, 1);
	assert_string_equal(w.o.code, "harness_start_failed");
	assert_non_null(strstr(w.o.message, "/nonexistent/claude"));
	world_end(&w);
}

/* A kind of sandbox that is told of each start, and refuses those without a home. */
struct told_sandbox {
	struct kt_sandbox base;
	int n;
	char session[32], workspace[300], home[300];
};

static enum kt_code told_spawn(struct kt_sandbox *sb, const struct kt_sandbox_start *start,
	const struct kt_child_spec *spec, const struct kt_child_ops *ops, void *arg,
	struct kt_child **out, struct kt_err *err)
{
	struct told_sandbox *t = (struct told_sandbox *)sb;

	t->n++;
	assert_string_equal(spec->cwd, start->workspace);
	(void)kt_str_copy(t->session, sizeof(t->session), start->session_id);
	(void)kt_str_copy(t->workspace, sizeof(t->workspace), start->workspace);
	if (!start->home)
		return kt_fail(err, KT_EDENIED, 0, "no home, no start");
	(void)kt_str_copy(t->home, sizeof(t->home), start->home);
	return kt_sandbox_spawn(sandbox, start, spec, ops, arg, out, err);
}

static void test_sandbox(void **state)
{
	static const struct kt_sandbox_ops told_ops = { .name = "told", .spawn = told_spawn };
	struct told_sandbox t = { .base = { &told_ops } };
	struct kt_harness_start start = { .driver = { .app = &app, .program = self, .home = dir },
		.session_id = "sess_1" };
	struct kt_err err = KT_ERR_INIT;
	struct world w;

	world_init(&w, "normal");
	w.env.sandbox = &t.base;
	assert_int_equal(kt_harness_start(&w.env, &start, &cbs, &w.o, &w.o.h, &err), KT_OK);
	world_prompt(&w, "x");
	run_until(&w.o, &w.o.ends, 1);
	assert_int_equal(t.n, 1);
	assert_string_equal(t.session, "sess_1");
	assert_string_equal(t.workspace, dir);
	assert_string_equal(t.home, dir);
	world_end(&w);

	world_init(&w, "normal");
	w.env.sandbox = &t.base;
	start.driver.home = NULL;
	assert_int_equal(kt_harness_start(&w.env, &start, &cbs, &w.o, &w.o.h, &err), KT_EUNAVAIL);
	assert_non_null(strstr(err.msg, "no home, no start"));
	w.o.h = NULL;
	world_end(&w);
}

static void test_never_ready(void **state)
{
	struct world w;

	world_init(&w, "neverready");
	w.env.start_ms = 200;
	world_start(&w, NULL);
	world_prompt(&w, "x");
	run_until(&w.o, &w.o.gones, 1);
	assert_string_equal(w.o.code, "harness_start_failed");
	assert_non_null(strstr(w.o.message, "not ready"));
	world_end(&w);
}

static void test_silence(void **state)
{
	struct world w;

	/* No event at all; it obeys the interrupt and lives on. */
	world_init(&w, "silent");
	w.env.first_event_ms = 150;
	world_start(&w, NULL);
	world_prompt(&w, "x");
	run_until(&w.o, &w.o.ends, 1);
	assert_string_equal(w.o.code, "unresponsive");
	assert_non_null(w.o.h);
	world_end(&w);
	/* Events, and then nothing. */
	world_init(&w, "pause");
	w.env.silence_ms = 150;
	world_start(&w, NULL);
	world_prompt(&w, "x");
	run_until(&w.o, &w.o.ends, 1);
	assert_string_equal(w.o.code, "unresponsive");
	assert_string_equal(w.o.text.ptr, "one");
	world_end(&w);
}

static void test_silence_waits_for_tools_and_people(void **state)
{
	struct world w;

	world_init(&w, "slowtool");
	w.env.silence_ms = slowed_ms(500);
	world_start(&w, NULL);
	world_prompt(&w, "x");
	run_until(&w.o, &w.o.ends, 1);
	assert_string_equal(w.o.code, "-");
	world_end(&w);
	world_init(&w, "ask");
	w.env.silence_ms = slowed_ms(500);
	world_start(&w, NULL);
	world_prompt(&w, "x");
	run_until(&w.o, &w.o.asks, 1);
	run_for(&w.o, slowed_ms(1500));
	assert_int_equal(w.o.ends, 0);
	kt_harness_answer(w.o.h, "a1", KT_DENY, NULL, "no");
	run_until(&w.o, &w.o.ends, 1);
	assert_string_equal(w.o.code, "-");
	world_end(&w);
}

static void test_answer_within_ask(void **state)
{
	struct world w;

	world_init(&w, "ask");
	w.o.answer = true;
	world_start(&w, NULL);
	world_prompt(&w, "x");
	run_until(&w.o, &w.o.ends, 1);
	assert_string_equal(w.o.code, "-");
	world_end(&w);
}

static void test_interrupt(void **state)
{
	struct world w;

	world_init(&w, "pause");
	world_start(&w, NULL);
	world_prompt(&w, "x");
	run_until(&w.o, &w.o.events, 1);
	kt_harness_interrupt(w.o.h);
	run_until(&w.o, &w.o.ends, 1);
	assert_string_equal(w.o.stop, "interrupted");
	assert_string_equal(w.o.code, "-");
	world_end(&w);
	/* Before it was sent. */
	world_init(&w, "normal");
	world_start(&w, NULL);
	world_prompt(&w, "x");
	kt_harness_interrupt(w.o.h);
	assert_int_equal(w.o.ends, 1);
	assert_string_equal(w.o.stop, "interrupted");
	run_until(&w.o, &w.o.readies, 1);
	assert_string_equal(w.o.log.ptr, "end ready ");
	world_end(&w);
}

static void test_interrupt_ignored(void **state)
{
	struct world w;

	world_init(&w, "deaf");
	w.env.cancel_ms = 200;
	world_start(&w, NULL);
	world_prompt(&w, "x");
	run_until(&w.o, &w.o.readies, 1);
	kt_harness_interrupt(w.o.h);
	run_until(&w.o, &w.o.gones, 1);
	assert_string_equal(w.o.code, "unresponsive");
	assert_string_equal(w.o.log.ptr, "ready end gone ");
	world_end(&w);
}

static bool is_alive(pid_t pid)
{
	return kill(pid, 0) == 0 || errno != ESRCH;
}

static void test_orphan_tools_die(void **state)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(100);
	struct world w;
	int64_t pid;

	world_init(&w, "tool");
	w.env.cancel_ms = 200;
	world_start(&w, NULL);
	world_prompt(&w, "x");
	run_until(&w.o, &w.o.readies, 1);
	/* Its number, all of it. */
	RUN_WHILE(&w.o,
		(kt_buf_clear(&text),
			kt_fs_read(w.file + strlen("FAKE_FILE="), &text, NULL) != KT_OK ||
				!strchr(text.ptr, '\n')));
	assert_true(kt_str_int64n(text.ptr, strcspn(text.ptr, "\n"), 2, INT_MAX, &pid));
	assert_true(is_alive((pid_t)pid));
	kt_harness_interrupt(w.o.h);
	run_until(&w.o, &w.o.gones, 1);
	assert_string_equal(w.o.code, "unresponsive");
	RUN_WHILE(&w.o, is_alive((pid_t)pid));
	world_end(&w);
}

static void test_stubborn_is_killed(void **state)
{
	struct world w;

	world_init(&w, "stubborn");
	world_start(&w, NULL);
	run_until(&w.o, &w.o.readies, 1);
	int64_t began = kt_mono_us();

	kt_harness_stop(w.o.h);
	run_until(&w.o, &w.o.gones, 1);
	assert_true(kt_mono_us() - began > 4500000);
	world_end(&w);
}

static void test_stop_in_turn(void **state)
{
	struct world w;

	world_init(&w, "pause");
	world_start(&w, NULL);
	world_prompt(&w, "x");
	run_until(&w.o, &w.o.events, 1);
	kt_harness_stop(w.o.h);
	run_until(&w.o, &w.o.gones, 1);
	assert_string_equal(w.o.log.ptr, "ready text end gone ");
	assert_string_equal(w.o.stop, "interrupted");
	world_end(&w);
}

static void test_kill_in_every_state(void **state)
{
	static const char *const modes[] = { "normal", "pause", "tool", "exit", "crash" };

	for (size_t i = 0; i < KT_ARRAY_LEN(modes); i++) {
		for (int ms = 0; ms < 120; ms += 40) {
			struct world w;

			world_init(&w, modes[i]);
			world_start(&w, NULL);
			world_prompt(&w, "x");
			run_for(&w.o, ms + 1);
			if (w.o.h)
				kt_harness_kill(w.o.h);
			w.o.h = NULL;
			kt_buf_clear(&w.o.log);
			run_for(&w.o, 20);
			assert_string_equal(w.o.log.ptr, "");
			world_end(&w);
		}
	}
}

static void test_resume_failure_starts_afresh(void **state)
{
	struct world w;

	world_init(&w, "noresume");
	world_start(&w, "0dd0dd00-0000-4000-8000-000000000000");
	world_prompt(&w, "x");
	run_until(&w.o, &w.o.ends, 1);
	assert_int_equal(w.o.fails, 1);
	assert_string_equal(w.o.code, "-");
	assert_string_equal(w.o.text.ptr, "hello");
	assert_string_equal(w.o.log.ptr, "noresume ready text end ");
	assert_string_not_equal(kt_harness_session(w.o.h), "0dd0dd00-0000-4000-8000-000000000000");
	world_end(&w);
}

static void test_garbage(void **state)
{
	struct world w;

	world_init(&w, "garbage");
	world_start(&w, NULL);
	world_prompt(&w, "x");
	run_until(&w.o, &w.o.ends, 1);
	assert_string_equal(w.o.text.ptr, "fine");
	world_end(&w);
}

static void test_pool(void **state)
{
	struct world w;
	struct kt_pool *p;

	world_init(&w, "normal");
	p = kt_pool_new(&w.env, 1);
	assert_null(kt_pool_take(p, 1, &cbs, &w.o));
	(void)said(&w, "ready", true);
	kt_pool_set(p, &app, self, 1);
	RUN_WHILE(&w.o, !said(&w, "ready", false));
	/* Another state of the folder: not this one. */
	assert_null(kt_pool_take(p, 2, &cbs, &w.o));
	w.o.h = kt_pool_take(p, 1, &cbs, &w.o);
	assert_non_null(w.o.h);
	assert_null(kt_pool_take(p, 1, &cbs, &w.o)); /* the next is not started yet */
	RUN_WHILE(&w.o, !kt_harness_is_ready(w.o.h));
	(void)said(&w, "ready", true);
	world_prompt(&w, "x");
	run_until(&w.o, &w.o.ends, 1);
	assert_string_equal(w.o.text.ptr, "hello");
	RUN_WHILE(&w.o, !said(&w, "ready", false));
	struct owner second = { .loop = the_loop };

	kt_buf_init(&second.log, 1 << 16);
	kt_buf_init(&second.text, 1 << 16);
	second.h = kt_pool_take(p, 1, &cbs, &second);
	assert_non_null(second.h);
	assert_ptr_not_equal(second.h, w.o.h);
	kt_harness_stop(second.h);
	run_until(&second, &second.gones, 1);
	kt_buf_release(&second.log);
	kt_buf_release(&second.text);
	/* An edited folder replaces what waits. */
	run_for(&w.o, 400);
	kt_pool_set(p, &app, self, 2);
	assert_null(kt_pool_take(p, 1, &cbs, &w.o));
	kt_pool_set(p, NULL, NULL, 0);
	kt_pool_free(p);
	world_end(&w);
}

static void test_pool_gives_up_on_a_broken_harness(void **state)
{
	struct world w;
	struct kt_pool *p;

	world_init(&w, "exit");
	p = kt_pool_new(&w.env, 1);
	(void)said(&w, "ended", true);
	kt_pool_set(p, &app, self, 1);
	RUN_WHILE(&w.o, !said(&w, "ended", false));
	/* What is taken before its end was noticed goes; no other one is there at once. */
	while ((w.o.h = kt_pool_take(p, 1, &cbs, &w.o)))
		run_until(&w.o, &w.o.gones, w.o.gones + 1);
	kt_pool_free(p);
	world_end(&w);
}

static void test_record(void **state)
{
	KT_AUTOFREE char *rehearsals = kt_path_join(dir, "rehearsals");
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(1 << 20);
	KT_AUTOFREE char *file = NULL;
	KT_AUTOFREE char *second = NULL;
	struct world w;
	char **names;
	size_t n;

	world_init(&w, "ask");
	w.o.answer = true;
	w.env.record_dir = rehearsals;
	world_start(&w, NULL);
	world_prompt(&w, "Where is my order, please? key sk-ant-api03-abcdefghijklmnopqrstuvwxyz");
	run_until(&w.o, &w.o.ends, 1);
	world_prompt(&w, "Where is my order, please? \"Bearer abcdefghijklmnopqrstuvw\" ok");
	run_until(&w.o, &w.o.ends, 2);
	world_end(&w);
	assert_int_equal(kt_fs_list(rehearsals, &names, &n, NULL), KT_OK);
	assert_int_equal(n, 2);
	assert_string_equal(names[0], "where-is-my-order-please-1.jsonl");
	assert_string_equal(names[1], "where-is-my-order-please-2.jsonl");
	file = kt_path_join(rehearsals, names[0]);
	second = kt_path_join(rehearsals, names[1]);
	kt_fs_names_free(names, n);
	assert_int_equal(kt_fs_read(second, &text, NULL), KT_OK);
	assert_null(strstr(text.ptr, "abcdefghij"));
	assert_int_equal(kt_json_check(text.ptr, strcspn(text.ptr, "\n"), 0, NULL), KT_OK);
	kt_buf_clear(&text);
	assert_int_equal(kt_fs_read(file, &text, NULL), KT_OK);
	assert_null(strstr(text.ptr, "abcdefghij"));
	int line = 0;
	int asks = 0;
	int answers = 0;
	int ends = 0;

	for (char *at = text.ptr; *at; line++) {
		KT_AUTO_JSON cJSON *v = NULL;
		size_t len = strcspn(at, "\n");

		assert_int_equal(kt_json_parse(at, len, 0, &v, NULL), KT_OK);
		if (line == 0) {
			assert_int_equal(kt_json_int(v, "karta_rehearsal", 0), 1);
			assert_int_equal(kt_json_int(kt_json_obj(v, "match"), "position", 0), 1);
		} else {
			assert_true(kt_json_int(v, "t", -1) >= 0);
		}
		asks += kt_str_eq(kt_json_str(kt_json_obj(v, "ask"), "id"), "a1");
		answers += kt_str_eq(
			kt_json_str(kt_json_obj(v, "answer"), "decision"), "approve_session");
		ends += kt_json_obj(v, "end") != NULL;
		at += len + 1;
	}
	assert_int_equal(asks, 1);
	assert_int_equal(answers, 1);
	assert_int_equal(ends, 1);
}

/* What the recorder writes, the rehearsal driver plays; and a driver without a process runs. */
static void test_recorded_turn_is_played(void **state)
{
	KT_AUTOFREE char *rehearsals = kt_path_join(dir, "rehearsals");
	struct kt_app offline = app;
	const struct kt_harness_start start = { .driver = { .app = &offline },
		.session_id = "sess_2" };
	struct world w;

	assert_int_equal(kt_fs_remove_tree(rehearsals, NULL), KT_OK);
	world_init(&w, "ask");
	w.o.answer = true;
	w.env.record_dir = rehearsals;
	world_start(&w, NULL);
	world_prompt(&w, "remove x");
	run_until(&w.o, &w.o.ends, 1);
	world_end(&w);
	world_init(&w, "normal");
	w.env.record_dir = rehearsals;
	world_start(&w, NULL);
	world_prompt(&w, "say hello");
	run_until(&w.o, &w.o.ends, 1);
	world_end(&w);
	offline.harness = KT_HARNESS_REHEARSAL;
	world_init(&w, "normal");
	w.env.record_dir = rehearsals; /* replays are not recorded again */
	assert_int_equal(kt_harness_start(&w.env, &start, &cbs, &w.o, &w.o.h, NULL), KT_OK);
	assert_int_equal(w.o.readies, 0); /* never from within the start */
	world_prompt(&w, "say hello");
	run_until(&w.o, &w.o.ends, 1);
	assert_string_equal(w.o.text.ptr, "hello");
	assert_string_equal(w.o.code, "-");
	world_prompt(&w, "remove x");
	run_until(&w.o, &w.o.asks, 1);
	run_for(&w.o, 100);
	assert_int_equal(w.o.ends, 1); /* it waits for the answer */
	kt_harness_stop(w.o.h);
	run_until(&w.o, &w.o.gones, 1);
	assert_int_equal(w.o.ends, 2);
	assert_string_equal(w.o.stop, "interrupted");
	world_end(&w);
	/* Stopped while idle, and killed. */
	for (int i = 0; i < 2; i++) {
		world_init(&w, "normal");
		assert_int_equal(kt_harness_start(&w.env, &start, &cbs, &w.o, &w.o.h, NULL), KT_OK);
		if (i) {
			kt_harness_kill(w.o.h);
			w.o.h = NULL;
		}
		world_end(&w);
	}
}

/* One turn in this mode for this organization: the code of its end. */
static const char *counted_turn(
	struct world *w, const char *mode, struct kt_budget *b, const char *org)
{
	const struct kt_harness_start start = {
		.driver = { .app = &app, .program = self }, .session_id = "sess_1", .org = org
	};

	world_init(w, mode);
	w->env.budget = b;
	assert_int_equal(kt_harness_start(&w->env, &start, &cbs, &w->o, &w->o.h, NULL), KT_OK);
	world_prompt(w, "x");
	run_until(&w->o, &w->o.ends, 1);
	return w->o.code;
}

static void test_what_it_writes_is_counted(void **state)
{
	const struct kt_budget_config cfg = { .server = 2 << 20, .org = 512 << 10 };
	struct kt_budget *b = kt_budget_new(&cfg);
	struct kt_hold other = { 0 };
	struct world w;

	/* A line that does not end. */
	assert_string_equal(counted_turn(&w, "endless", b, "o1"), "limit_reached");
	assert_non_null(strstr(w.o.message, "this organization"));
	run_until(&w.o, &w.o.gones, 1);
	assert_int_equal(kt_budget_bytes(b), 0);
	world_end(&w);
	/* It fits as it is written, but not with what reading it takes; for the server it does. */
	assert_string_equal(counted_turn(&w, "large", b, "o1"), "limit_reached");
	world_end(&w);
	assert_string_equal(counted_turn(&w, "large", b, NULL), "-");
	assert_int_equal(w.o.text.len, 200000);
	assert_int_equal(kt_budget_bytes(b), 0);
	assert_in_range(kt_budget_peak(b), 3 * 200000, 2 << 20);
	world_end(&w);
	/* What the driver keeps of a turn: here lines of 20 KB each. */
	assert_string_equal(counted_turn(&w, "wordy", b, "o1"), "limit_reached");
	world_end(&w);
	assert_string_equal(counted_turn(&w, "wordy", b, NULL), "-");
	assert_in_range(kt_budget_peak(b), 64 * 20000 - 2 * 65536, 2 << 20);
	assert_int_equal(kt_budget_bytes(b), 0);
	world_end(&w);
	/* Others have it. */
	assert_int_equal(kt_hold_admit(&other, b, "o2", NULL, NULL), KT_BUDGET_FITS);
	assert_int_equal(kt_hold_more(&other, 300 << 10), KT_BUDGET_FITS);
	assert_string_equal(counted_turn(&w, "normal", b, "o1"), "-");
	world_end(&w);
	kt_hold_release(&other);
	assert_int_equal(kt_hold_admit(&other, b, NULL, NULL, NULL), KT_BUDGET_FITS);
	assert_int_equal(kt_hold_more(&other, 2 << 20), KT_BUDGET_FITS);
	assert_string_equal(counted_turn(&w, "large", b, "o1"), "unavailable");
	world_end(&w);
	kt_hold_release(&other);
	kt_budget_free(b);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_it_writes_is_counted),
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_sealed_environment),
		cmocka_unit_test(test_crash),
		cmocka_unit_test(test_start_fails),
		cmocka_unit_test(test_no_program),
		cmocka_unit_test(test_sandbox),
		cmocka_unit_test(test_never_ready),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_silence_waits_for_tools_and_people),
		cmocka_unit_test(test_answer_within_ask),
		cmocka_unit_test(test_interrupt),
		cmocka_unit_test(test_interrupt_ignored),
		cmocka_unit_test(test_orphan_tools_die),
		cmocka_unit_test(test_stubborn_is_killed),
		cmocka_unit_test(test_stop_in_turn),
		cmocka_unit_test(test_kill_in_every_state),
		cmocka_unit_test(test_resume_failure_starts_afresh),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_pool_gives_up_on_a_broken_harness),
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_recorded_turn_is_played),
	};
	int status = world_main(argc, argv);

	if (status >= 0)
		return status;
	status = cmocka_run_group_tests_name("harness/harness", tests, NULL, NULL);
	world_over();
	return status;
}
