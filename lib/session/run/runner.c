/* SPDX-License-Identifier: MIT */
/*
 * The harness behind a session: taken from the pool or started, its callbacks turned into events
 * of the session's log, stopped when the session has been idle for long enough. A session whose
 * harness is gone goes on at the next message with the conversation resumed.
 */
#include "session/run/run_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"

#include <string.h>

static void on_ready(void *arg, const char *harness_session)
{
	struct kt_session *s = arg;

	if (!harness_session || kt_str_eq(s->harness_session, harness_session))
		return;
	free(s->harness_session);
	s->harness_session = kt_strdup(harness_session);
	kt_journal_session(s->reg, s);
}

static void on_runner_event(void *arg, const struct kt_event_draft *draft)
{
	struct kt_session *s = arg;
	struct kt_event_draft ev = *draft;
	struct kt_evlog *log;

	if (s->turn) {
		ev.turn_id = s->turn->id;
		if (s->turn->state == KT_TURN_STARTING)
			s->turn->state = KT_TURN_RUNNING;
	}
	if (kt_session_may_log(s, ev.type, ev.data_len) && kt_session_log(s, &log, NULL) == KT_OK)
		s->last_seq = kt_evlog_append(log, &ev);
}

/* The harness works without a message of ours: a turn of its own, so that readers see its end. */
static void on_unsolicited(void *arg)
{
	struct kt_session *s = arg;
	struct kt_turn *t;

	if (s->turn)
		return;
	if (s->idle)
		kt_timer_stop(s->idle);
	t = kt_calloc(1, sizeof(*t));
	kt_rand_id("turn_", t->id);
	kt_rand_id("msg_", t->message_id);
	t->text = kt_strdup("");
	t->started_us = kt_time_us();
	t->state = KT_TURN_RUNNING;
	s->turn = t;
	s->noise = 0;
	s->forgotten = false;
	s->reg->running++;
	kt_session_status(s, t, "turn_started", "origin", "harness");
}

static void on_ask(void *arg, const struct kt_ask *ask)
{
	struct kt_session *s = arg;

	s->reg->on->asked(s, ask);
}

static void on_ask_withdrawn(void *arg, const char *ask_id)
{
	struct kt_session *s = arg;

	s->reg->on->ask_withdrawn(s, ask_id);
}

static void on_turn_end(void *arg, const struct kt_turn_result *r)
{
	struct kt_session *s = arg;

	s->reg->on->turn_ended(s, r);
}

static void on_stderr(void *arg, const char *line, const char *raw)
{
	struct kt_session *s = arg;

	/* Lines that come without end would fill the log, and the time of everybody. */
	if (s->noise > KT_MAX_NOISE_LINES)
		return;
	if (s->noise++ == KT_MAX_NOISE_LINES)
		line = raw = "the harness writes more lines than are kept of a turn (fixed)";
	if (s->pin)
		kt_session_tell(s, "info", "harness", "%s", raw);
	else
		kt_log(KT_LOG_INFO, "harness", "%s: %s", s->id, line);
}

static void on_resume_failed(void *arg, const char *why)
{
	struct kt_session *s = arg;
	KT_AUTO_BUF struct kt_buf plain = KT_BUF_INIT(KT_MAX_EVENT_BYTES / 2);

	kt_log(KT_LOG_WARN, "session", "%s: the conversation could not be resumed: %s", s->id, why);
	kt_session_tell(s, "warn", "session", "the conversation could not be resumed: %s", why);
	free(KT_STEAL(s->harness_session));
	kt_session_status(s, s->turn, "resume_failed", "detail", kt_session_plain(s, why, &plain));
}

static void on_runner_gone(void *arg)
{
	struct kt_session *s = arg;

	s->harness = NULL;
	s->stopping = false;
	(void)kt_vec_remove_ptr(&s->reg->live, s);
	kt_app_unref(KT_STEAL(s->app));
	if (s->idle)
		kt_timer_stop(s->idle);
	if (s->turn && s->turn->held)
		kt_loop_defer(s->reg->loop, &s->pump);
}

static const struct kt_harness_cbs session_harness_cbs = {
	.ready = on_ready,
	.session_id = on_ready,
	.event = on_runner_event,
	.unsolicited = on_unsolicited,
	.ask = on_ask,
	.ask_withdrawn = on_ask_withdrawn,
	.turn_end = on_turn_end,
	.stderr_line = on_stderr,
	.resume_failed = on_resume_failed,
	.gone = on_runner_gone,
};

/* A program of the release itself is run from the session's copy, beside which it may write. */
static char *own_program(const struct kt_app_ref *ref, const char *workspace)
{
	const char *dir = ref->app->dir, *path = ref->program.path;
	size_t n = strlen(dir);

	if (!workspace || strncmp(path, dir, n) != 0 || path[n] != '/')
		return path[0] ? kt_strdup(path) : NULL;
	return kt_path_join(workspace, path + n + 1);
}

/* Texts of a start, freed when it is done. */
struct pinned {
	char *workspace, *home, *settings;
};

static void pinned_release(struct pinned *p)
{
	free(p->workspace);
	free(p->home);
	free(p->settings);
}

/* What a pinned session's harness is given besides: its folder, its home, its release. */
static void start_pinned(struct kt_session *s, const struct kt_app_ref *ref,
	struct kt_harness_start *start, struct pinned *out)
{
	const struct kt_driver_ops *ops = kt_driver_for(ref->app->harness);

	start->driver.extra_env = ref->env;
	start->project = s->pin->target.project;
	start->org = s->pin->target.org_id;
	start->driver.sealed = !s->reg->own_env;
	/* Only an administrator, on this machine, makes a project of a folder. */
	if (ref->folder && ops->grants)
		start->driver.settings = out->settings = ops->grants(ref->app->dir, NULL);
	if (ref->folder || !ops->has_process)
		return;
	start->driver.cwd = out->workspace = kt_session_workspace(s);
	start->driver.home = out->home = kt_session_home(s);
	/* Who may push decides what runs. */
	start->driver.trusted = true;
}

enum kt_code kt_session_need_harness(struct kt_session *s, struct kt_err *err)
{
	struct kt_sessions *reg = s->reg;
	struct kt_harness_start start = { 0 };
	KT_AUTOFREE char *past = KT_STEAL(s->past);
	__attribute__((cleanup(pinned_release))) struct pinned own = { 0 };
	KT_AUTOFREE char *program = NULL;
	struct kt_app_ref *ref;
	enum kt_code rc;

	if (s->harness)
		return KT_OK;
	s->recalled = false;
	ref = kt_app_ref_of(s);
	if (ref->problem[0])
		return kt_fail(err, KT_ENOTFOUND, 0, "%s", ref->problem);
	ref->refs++;
	s->app = ref;
	start.driver.app = ref->app;
	if (s->pin)
		start_pinned(s, ref, &start, &own);
	start.driver.program = program = own_program(ref, own.workspace);
	start.session_id = s->id;
	start.driver.turns_before = s->turns;
	start.driver.permission_mode = s->permission_mode;
	if (s->turns && s->harness_session) {
		start.driver.resume_id = s->harness_session;
	} else if (!s->permission_mode && reg->pool) {
		s->harness = kt_pool_take(reg->pool, ref->fingerprint, &session_harness_cbs, s);
		if (s->harness) {
			kt_vec_push(&reg->live, s);
			on_ready(s, kt_harness_session(s->harness));
			return KT_OK;
		}
	}
	/*
	 * Even a harness that resumes may have lost it: Claude Code writes its file with a delay.
	 */
	start.driver.transcript = past;
	rc = kt_harness_start(&reg->env, &start, &session_harness_cbs, s, &s->harness, err);
	if (rc != KT_OK) {
		s->harness = NULL;
		kt_app_unref(KT_STEAL(s->app));
		return rc;
	}
	kt_vec_push(&reg->live, s);
	return KT_OK;
}

static void stop_harness(struct kt_session *s)
{
	kt_log(KT_LOG_DEBUG, "session", "%s: idle, stopping its harness", s->id);
	s->stopping = true;
	kt_harness_stop(s->harness);
}

static void idle_over(void *arg)
{
	struct kt_session *s = arg;

	if (s->turn || s->queue.len || !s->harness)
		return;
	stop_harness(s);
}

/* Too many idle harnesses: the one that was used longest ago goes; its session can resume. */
static void trim_idle(struct kt_sessions *reg)
{
	struct kt_session *oldest = NULL;
	size_t idle = 0;

	for (size_t i = 0; i < reg->live.len; i++) {
		struct kt_session *s = reg->live.items[i];

		if (s->turn || s->queue.len || s->stopping)
			continue;
		if (!oldest)
			oldest = s;
		idle++;
	}
	if (idle > KT_MAX_IDLE_HARNESSES)
		stop_harness(oldest);
}

void kt_session_arm_idle(struct kt_session *s)
{
	if (!s->harness || !s->app)
		return;
	if (kt_vec_remove_ptr(&s->reg->live, s))
		kt_vec_push(&s->reg->live, s);
	trim_idle(s->reg);
	if (!s->harness || s->app->app->idle_timeout_ms <= 0)
		return;
	if (!s->idle)
		s->idle = kt_timer_new(s->reg->loop, idle_over, s);
	kt_timer_start(s->idle, s->app->app->idle_timeout_ms, 0);
}
