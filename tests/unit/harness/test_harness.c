/* SPDX-License-Identifier: MIT */
/*
 * The runner, the pool and the recorder with a harness that misbehaves on demand: this very
 * program, started again with Claude Code's arguments, speaks just enough stream-json. What it does
 * is chosen by FAKE=... in its environment.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/env.h"
#include "base/fs.h"
#include "base/rand.h"
#include "base/str.h"
#include "base/time.h"
#include "harness/harness.h"
#include "text/json.h"
#include "tests/unit/patience.h"

#include "fake_harness.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* --- an owner --------------------------------------------------------------------------------- */

struct owner {
	struct kt_loop *loop;
	struct kt_harness *h;
	struct kt_buf log; /* what happened, a word each */
	struct kt_buf text;
	char code[40], stop[40], message[600], stderr_line[400];
	int ends, readies, gones, asks, fails, events;
	bool timed_out;
	bool answer; /* answer asks at once */
	struct kt_prompt next; /* send it at ready, when text is set */
};

static struct kt_spawner *spawner;
static char self[PATH_MAX];
static char dir[] = "/tmp/karta-harness-XXXXXX";
static struct kt_app app;

static void o_ready(void *arg, const char *session)
{
	struct owner *o = arg;

	o->readies++;
	kt_buf_adds(&o->log, "ready ");
	kt_loop_stop(o->loop);
}

static void o_session(void *arg, const char *session)
{
}

static void o_event(void *arg, const struct kt_event_draft *ev)
{
	struct owner *o = arg;

	if (ev->type == KT_EV_TEXT || ev->type == KT_EV_TOOL_USE)
		kt_buf_adds(&o->log, ev->type == KT_EV_TEXT ? "text " : "tool ");
	if (ev->type == KT_EV_TOOL_RESULT)
		kt_buf_adds(&o->log, "result ");
	o->events++;
	kt_loop_stop(o->loop);
}

static void o_unsolicited(void *arg)
{
}

static void o_ask(void *arg, const struct kt_ask *ask)
{
	struct owner *o = arg;

	o->asks++;
	if (o->answer)
		kt_harness_answer(o->h, ask->id, KT_APPROVE_SESSION, NULL, NULL);
	kt_loop_stop(o->loop);
}

static void o_withdrawn(void *arg, const char *id)
{
	struct owner *o = arg;

	kt_buf_adds(&o->log, "withdrawn ");
}

static void o_end(void *arg, const struct kt_turn_result *r)
{
	struct owner *o = arg;

	o->ends++;
	kt_str_copy(o->code, sizeof(o->code), r->error_code ? r->error_code : "-");
	kt_str_copy(o->stop, sizeof(o->stop), r->stop_reason);
	kt_str_copy(o->message, sizeof(o->message), r->error_message ? r->error_message : "");
	kt_buf_clear(&o->text);
	kt_buf_adds(&o->text, r->text);
	kt_buf_adds(&o->log, "end ");
	kt_loop_stop(o->loop);
}

static void o_stderr(void *arg, const char *line)
{
	struct owner *o = arg;

	kt_str_copy(o->stderr_line, sizeof(o->stderr_line), line);
}

static void o_resume_failed(void *arg, const char *why)
{
	struct owner *o = arg;

	o->fails++;
	kt_buf_adds(&o->log, "noresume ");
}

static void o_gone(void *arg)
{
	struct owner *o = arg;

	o->gones++;
	o->h = NULL;
	kt_buf_adds(&o->log, "gone ");
	kt_loop_stop(o->loop);
}

static const struct kt_harness_cbs cbs = {
	.ready = o_ready,
	.session_id = o_session,
	.event = o_event,
	.unsolicited = o_unsolicited,
	.ask = o_ask,
	.ask_withdrawn = o_withdrawn,
	.turn_end = o_end,
	.stderr_line = o_stderr,
	.resume_failed = o_resume_failed,
	.gone = o_gone,
};

static void on_time(void *arg)
{
	struct owner *o = arg;

	o->timed_out = true;
	kt_loop_stop(o->loop);
}

/* Run until *count reaches want. */
static void run_until(struct owner *o, const int *count, int want)
{
	struct kt_timer *t = kt_timer_new(o->loop, on_time, o);

	kt_timer_start(t, slowed_ms(PATIENCE_MS), 0);
	while (*count < want && !o->timed_out)
		kt_loop_run(o->loop);
	kt_timer_free(t);
	if (o->timed_out)
		fail_msg("nothing happened after: %s", o->log.ptr);
}

static void run_for(struct owner *o, int64_t ms)
{
	struct kt_timer *t = kt_timer_new(o->loop, on_time, o);

	kt_timer_start(t, ms, 0);
	while (!o->timed_out)
		kt_loop_run(o->loop);
	o->timed_out = false;
	kt_timer_free(t);
}

/* Let the loop go round until the condition holds. */
#define RUN_WHILE(o, cond)                                                                         \
	do {                                                                                       \
		int64_t until_us = kt_mono_us() + slowed_ms(PATIENCE_MS) * 1000;                   \
		while (cond) {                                                                     \
			if (kt_mono_us() > until_us)                                               \
				fail_msg("for ever: %s; after: %s", #cond, (o)->log.ptr);          \
			run_for(o, 10);                                                            \
		}                                                                                  \
	} while (0)

struct world {
	struct owner o;
	struct kt_harness_env env;
	char mode[64], file[PATH_MAX];
	char *extra[5];
};

static struct kt_loop *the_loop;

static void world_init(struct world *w, const char *mode)
{
	memset(w, 0, sizeof(*w));
	w->o.loop = the_loop;
	kt_buf_init(&w->o.log, 1 << 16);
	kt_buf_init(&w->o.text, 1 << 20);
	snprintf(w->mode, sizeof(w->mode), "FAKE=%s", mode);
	snprintf(w->file, sizeof(w->file), "FAKE_FILE=%s/tool-pid", dir);
	unlink(w->file + strlen("FAKE_FILE="));
	w->extra[0] = w->mode;
	w->extra[1] = w->file;
	w->extra[2] = w->extra[3] = NULL;
	w->env = (struct kt_harness_env){ .loop = the_loop, .spawner = spawner,
		.start_ms = slowed_ms(PATIENCE_MS), .first_event_ms = slowed_ms(PATIENCE_MS),
		.silence_ms = slowed_ms(PATIENCE_MS), .cancel_ms = slowed_ms(PATIENCE_MS),
		.rehearsal_speed = 1, .extra_env = w->extra };
}

/* True when the fake harness has left this word. */
static bool said(const struct world *w, const char *what, bool forget)
{
	KT_AUTOFREE char *path = kt_asprintf("%s.%s", w->file + strlen("FAKE_FILE="), what);
	bool there = kt_fs_is_file(path);

	if (forget)
		(void)unlink(path);
	return there;
}

static void world_start(struct world *w, const char *resume)
{
	const struct kt_harness_start start = {
		.driver = { .app = &app, .program = self, .resume_id = resume },
		.session_id = "sess_1",
	};
	struct kt_err err = KT_ERR_INIT;

	assert_int_equal(kt_harness_start(&w->env, &start, &cbs, &w->o, &w->o.h, &err), KT_OK);
}

static void world_prompt(struct world *w, const char *text)
{
	struct kt_prompt p = { .text = text, .thinking = true, .position = 1 };

	kt_harness_prompt(w->o.h, &p);
}

static void world_end(struct world *w)
{
	if (w->o.h) {
		kt_harness_stop(w->o.h);
		run_until(&w->o, &w->o.gones, 1);
	}
	kt_buf_release(&w->o.log);
	kt_buf_release(&w->o.text);
}

/* --- tests ------------------------------------------------------------------------------------ */

static void test_turns(void **state)
{
	struct world w;

	world_init(&w, "normal");
	world_start(&w, NULL);
	world_prompt(&w, "hello"); /* before it is ready */
	assert_true(kt_harness_in_turn(w.o.h));
	assert_false(kt_harness_is_ready(w.o.h));
	run_until(&w.o, &w.o.ends, 1);
	assert_string_equal(w.o.text.ptr, "hello");
	assert_string_equal(w.o.code, "-");
	assert_int_equal(strlen(kt_harness_session(w.o.h)), 36);
	assert_true(kt_harness_pid(w.o.h) > 0);
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
		.driver = { .app = &app, .program = self, .cwd = "/", .extra_env = extra,
			.sealed = true, .home = "/private/home" },
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
		assert_int_equal(
			kt_harness_start(&w.env, &start, &cbs, &w.o, &w.o.h, &err), KT_OK);
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
	assert_int_equal(
		kt_harness_start(&w.env, &start, &cbs, &w.o, &w.o.h, NULL), KT_OK);
	world_prompt(&w, "x");
	run_until(&w.o, &w.o.gones, 1);
	assert_string_equal(w.o.code, "harness_start_failed");
	assert_non_null(strstr(w.o.message, "/nonexistent/claude"));
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
	RUN_WHILE(&w.o, (kt_buf_clear(&text),
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
		answers += kt_str_eq(kt_json_str(kt_json_obj(v, "answer"), "decision"),
			"approve_session");
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
		assert_int_equal(kt_harness_start(&w.env, &start, &cbs, &w.o, &w.o.h, NULL),
			KT_OK);
		if (i) {
			kt_harness_kill(w.o.h);
			w.o.h = NULL;
		}
		world_end(&w);
	}
}

/* --- first starts ----------------------------------------------------------------------------- */

enum { FIRSTS = 3 };

struct firsts {
	struct world w[FIRSTS];
	char data[PATH_MAX];
};

/* Three harnesses of an application for OpenCode, whose database is not made yet. */
static void firsts_start(struct firsts *f, const struct kt_app *opencode, const char *mode)
{
	static unsigned n;
	struct kt_err err = KT_ERR_INIT;

	snprintf(f->data, sizeof(f->data), "XDG_DATA_HOME=%s/data%u", dir, n++);
	for (int i = 0; i < FIRSTS; i++) {
		const struct kt_harness_start start = {
			.driver = { .app = opencode, .program = self },
			.session_id = "sess_1",
		};

		world_init(&f->w[i], mode);
		f->w[i].extra[2] = f->data;
		(void)said(&f->w[i], "clash", true);
		/* What they share is one environment, as in a server. */
		assert_int_equal(kt_harness_start(&f->w[0].env, &start, &cbs, &f->w[i].o,
					 &f->w[i].o.h, &err), KT_OK);
	}
}

static void firsts_end(struct firsts *f)
{
	for (int i = 0; i < FIRSTS; i++)
		world_end(&f->w[i]);
	assert_int_equal(f->w[0].env.starts.list.len, 0);
}

static void test_first_starts(void **state)
{
	struct kt_app opencode = app;
	static struct firsts f;

	opencode.harness = KT_HARNESS_OPENCODE;
	/* All at once: one makes the database, the others wait for it and do not fail. */
	firsts_start(&f, &opencode, "acp");
	for (int i = 0; i < FIRSTS; i++)
		run_until(&f.w[i].o, &f.w[i].o.readies, 1);
	assert_false(said(&f.w[0], "clash", true));
	firsts_end(&f);
	/* Those that wait may be stopped or killed, and one that is killed holds nobody up. */
	firsts_start(&f, &opencode, "acp");
	kt_harness_stop(f.w[1].o.h);
	run_until(&f.w[1].o, &f.w[1].o.gones, 1);
	kt_harness_kill(f.w[2].o.h);
	f.w[2].o.h = NULL;
	run_until(&f.w[0].o, &f.w[0].o.readies, 1);
	firsts_end(&f);
}

/* Another program was at the database: the start is made once more, unseen by the owner. */
static void test_start_is_made_again(void **state)
{
	struct kt_app opencode = app;
	static struct firsts f;

	opencode.harness = KT_HARNESS_OPENCODE;
	firsts_start(&f, &opencode, "locked");
	for (int i = 0; i < FIRSTS; i++) {
		run_until(&f.w[i].o, &f.w[i].o.readies, 1);
		assert_int_equal(f.w[i].o.gones, 0);
	}
	assert_true(said(&f.w[0], "clash", true));
	firsts_end(&f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_sealed_environment),
		cmocka_unit_test(test_crash),
		cmocka_unit_test(test_start_fails),
		cmocka_unit_test(test_no_program),
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
		cmocka_unit_test(test_first_starts),
		cmocka_unit_test(test_start_is_made_again),
	};
	struct kt_err err = KT_ERR_INIT;
	ssize_t n;
	int failed;

	if (argc > 1 && !strcmp(argv[1], "-p"))
		return fake_main(argc, argv);
	if (argc > 1 && !strcmp(argv[1], "acp"))
		return fake_opencode();
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0 || !mkdtemp(dir))
		return 1;
	/* What must not reach a harness. */
	setenv("KARTA_API_KEY", "kt_live_secret", 1);
	setenv("CLAUDECODE", "1", 1);
	if (kt_spawner_start(&spawner, &err) != KT_OK || kt_loop_new(&the_loop, &err) != KT_OK ||
		kt_spawner_attach(spawner, the_loop, &err) != KT_OK) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	app.dir = dir;
	app.name = "shop";
	app.harness = KT_HARNESS_CLAUDE;
	failed = cmocka_run_group_tests_name("harness/harness", tests, NULL, NULL);
	kt_spawner_free(spawner);
	kt_loop_free(the_loop);
	if (kt_fs_remove_tree(dir, &err) != KT_OK)
		fprintf(stderr, "%s\n", err.msg);
	return failed;
}
