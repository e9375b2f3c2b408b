/* SPDX-License-Identifier: MIT */
/*
 * What test_harness.c and test_first_starts.c share: an owner of harnesses, and the program's own
 * other self, which is started again as the harness (fake_harness.h).
 */
#ifndef HARNESS_WORLD_H
#define HARNESS_WORLD_H

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
	char code[40], stop[40], message[600], stderr_line[400], stderr_raw[400];
	int ends, readies, gones, asks, fails, events;
	bool timed_out;
	bool answer; /* answer asks at once */
	struct kt_prompt next; /* send it at ready, when text is set */
};

static struct kt_spawner *spawner;
static struct kt_sandbox *sandbox;
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

static void o_stderr(void *arg, const char *line, const char *raw)
{
	struct owner *o = arg;

	kt_str_copy(o->stderr_line, sizeof(o->stderr_line), line);
	kt_str_copy(o->stderr_raw, sizeof(o->stderr_raw), raw);
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

static KT_UNUSED const struct kt_harness_cbs cbs = {
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
static KT_UNUSED void run_until(struct owner *o, const int *count, int want)
{
	struct kt_timer *t = kt_timer_new(o->loop, on_time, o);

	kt_timer_start(t, slowed_ms(PATIENCE_MS), 0);
	while (*count < want && !o->timed_out)
		kt_loop_run(o->loop);
	kt_timer_free(t);
	if (o->timed_out)
		fail_msg("nothing happened after: %s", o->log.ptr);
}

static KT_UNUSED void run_for(struct owner *o, int64_t ms)
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

static KT_UNUSED void world_init(struct world *w, const char *mode)
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
	w->env = (struct kt_harness_env){ .loop = the_loop, .sandbox = sandbox,
		.start_ms = slowed_ms(PATIENCE_MS), .first_event_ms = slowed_ms(PATIENCE_MS),
		.silence_ms = slowed_ms(PATIENCE_MS), .cancel_ms = slowed_ms(PATIENCE_MS),
		.rehearsal_speed = 1, .extra_env = w->extra };
}

/* True when the fake harness has left this word. */
static KT_UNUSED bool said(const struct world *w, const char *what, bool forget)
{
	KT_AUTOFREE char *path = kt_asprintf("%s.%s", w->file + strlen("FAKE_FILE="), what);
	bool there = kt_fs_is_file(path);

	if (forget)
		(void)unlink(path);
	return there;
}

static KT_UNUSED void world_start(struct world *w, const char *resume)
{
	const struct kt_harness_start start = {
		.driver = { .app = &app, .program = self, .resume_id = resume },
		.session_id = "sess_1",
	};
	struct kt_err err = KT_ERR_INIT;

	assert_int_equal(kt_harness_start(&w->env, &start, &cbs, &w->o, &w->o.h, &err), KT_OK);
}

static KT_UNUSED void world_prompt(struct world *w, const char *text)
{
	struct kt_prompt p = { .text = text, .thinking = true, .position = 1 };

	kt_harness_prompt(w->o.h, &p);
}

static KT_UNUSED void world_end(struct world *w)
{
	if (w->o.h) {
		kt_harness_stop(w->o.h);
		run_until(&w->o, &w->o.gones, 1);
	}
	kt_buf_release(&w->o.log);
	kt_buf_release(&w->o.text);
}

/* As the harness: what it does is the exit status, from 0. -1: this is the test, and all is set up. */
static int world_main(int argc, char **argv)
{
	struct kt_err err = KT_ERR_INIT;
	ssize_t n;

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
	sandbox = kt_sandbox_none(spawner);
	app.dir = dir;
	app.name = "shop";
	app.harness = KT_HARNESS_CLAUDE;
	return -1;
}

static void world_over(void)
{
	struct kt_err err = KT_ERR_INIT;

	kt_sandbox_free(sandbox);
	kt_spawner_free(spawner);
	kt_loop_free(the_loop);
	if (kt_fs_remove_tree(dir, &err) != KT_OK)
		fprintf(stderr, "%s\n", err.msg);
}

#endif
