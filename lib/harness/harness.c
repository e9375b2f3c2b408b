/* SPDX-License-Identifier: MIT */
/*
 * A running harness. Everything happens on the loop. Callbacks of the owner may stop or kill the
 * harness, so every way in counts itself (enter/leave), and the memory goes with the last one out.
 */
#include "harness/harness_private.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/str.h"
#include "harness/harness_env.h"
#include "harness/record_private.h"
#include "harness/starts_private.h"

#include <signal.h>
#include <string.h>

static void harness_free(struct kt_harness *h);

void kt_harness_enter(struct kt_harness *h)
{
	h->depth++;
}

void kt_harness_leave(struct kt_harness *h)
{
	if (--h->depth == 0 && h->dead)
		harness_free(h);
}

/* --- due times --------------------------------------------------------------------------- */

/* The harness gave a sign of life: silence counts from now, but not while it has reason to wait. */
void kt_harness_touch(struct kt_harness *h)
{
	if (!h->in_turn || !h->prompt_given)
		return;
	kt_dues_clear(&h->dues, DUE_FIRST);
	if (h->tools.len || h->asks.len || h->dues.at_ms[DUE_CANCEL])
		kt_dues_clear(&h->dues, DUE_SILENCE);
	else
		kt_dues_set(&h->dues, DUE_SILENCE,
			kt_harness_limit_ms(h->env->silence_ms, KT_TURN_SILENCE_MS));
}

/* --- ends of turns ----------------------------------------------------------------------- */

void kt_harness_set_why(struct kt_harness *h, const char *code, char *message)
{
	if (h->why_code) {
		free(message);
		return;
	}
	h->why_code = code;
	h->why_message = message;
}

static void turn_end(struct kt_harness *h, const struct kt_turn_result *given)
{
	struct kt_turn_result r = *given;

	kt_harness_give_text(h);
	KT_AUTOFREE char *why = KT_STEAL(h->why_message);

	if (!h->in_turn)
		return;
	if (h->why_code) {
		r.stop_reason = "error";
		r.error_code = h->why_code;
		r.error_message = why;
		r.retryable = !kt_str_ends(h->why_code, "_too_long") &&
			!kt_str_ends(h->why_code, "_too_large");
	} else if (h->stop != STOP_NOT && r.error_code) {
		/* That it died in the middle is what its owner asked for. */
		r.stop_reason = "interrupted";
		r.error_code = r.error_message = NULL;
		r.retryable = false;
	}
	h->why_code = NULL;
	h->in_turn = h->prompt_given = false;
	kt_map_release(&h->tools);
	kt_map_release(&h->asks);
	kt_prompt_clear(&h->prompt);
	h->dues.at_ms[DUE_FIRST] = h->dues.at_ms[DUE_SILENCE] = h->dues.at_ms[DUE_CANCEL] = 0;
	kt_dues_schedule(&h->dues);
	if (!r.text)
		r.text = "";
	kt_record_end(h->record, &r);
	KT_TELL(h, turn_end, &r);
	if (!h->dead && h->stop == STOP_TURN)
		kt_harness_stop_next(h);
}

/* End a turn that the driver knows nothing of. */
void kt_harness_abort(
	struct kt_harness *h, const char *stop_reason, const char *code, const char *message)
{
	struct kt_turn_result r = { .stop_reason = stop_reason,
		.error_code = code,
		.error_message = message,
		.retryable = kt_str_eq(code, "harness_crashed"),
		.text = "",
		.usage = KT_USAGE_INIT };

	turn_end(h, &r);
}

/*
 * Kill it; the reason goes into the end of the turn, which comes with the end of the process: were
 * it heard until then, it could end the turn itself, and the next prompt would go to a dying one.
 * TAKES message.
 */
void kt_harness_kill_because(struct kt_harness *h, const char *code, char *message)
{
	kt_log(KT_LOG_WARN, "harness", "killing %s: %s", h->ops->name, message);
	kt_harness_set_why(h, code, message);
	h->deaf = true;
	if (h->child) {
		kt_child_kill_tree(h->child);
	} else if (!h->ops->has_process) {
		h->stop = STOP_KILLED;
		kt_loop_defer(h->env->loop, &h->later);
	}
}

/* --- what the driver causes -------------------------------------------------------------- */

void kt_harness_give_prompt(struct kt_harness *h)
{
	if (h->dead || !h->ready || h->restart || h->aside || h->stop != STOP_NOT || !h->in_turn ||
		h->prompt_given)
		return;
	h->prompt_given = true;
	kt_record_prompt(h->record, &h->prompt);
	kt_dues_set(&h->dues, DUE_FIRST,
		kt_harness_limit_ms(h->env->first_event_ms, KT_TURN_FIRST_EVENT_MS));
	if (h->ops->prompt_reads)
		kt_harness_prompt_aside(h);
	else
		h->ops->prompt(h->driver, &h->prompt);
}

static void sink_send(void *arg, const char *line, size_t len)
{
	struct kt_harness *h = arg;
	struct kt_err err = KT_ERR_INIT;

	if (h->dead || !h->child)
		return;
	/* A closed stdin needs no word: the end of the process follows. */
	if (kt_child_write(h->child, line, len, &err) == KT_ELIMIT)
		kt_harness_kill_because(
			h, "unresponsive", kt_strdup("the harness takes no input any more"));
	else
		kt_harness_count(h, 0);
}

static void sink_session(void *arg, const char *session)
{
	struct kt_harness *h = arg;

	if (!session || kt_str_eq(session, h->harness_session))
		return;
	free(h->harness_session);
	h->harness_session = kt_strdup(session);
	KT_TELL(h, session_id, h->harness_session);
}

static void sink_ready(void *arg, const char *session)
{
	struct kt_harness *h = arg;

	if (h->dead || h->ready)
		return;
	h->ready = true;
	kt_starts_end(&h->env->starts, h);
	kt_dues_clear(&h->dues, DUE_START);
	if (session && !kt_str_eq(session, h->harness_session)) {
		free(h->harness_session);
		h->harness_session = kt_strdup(session);
	}
	KT_TELL(h, ready, h->harness_session);
	kt_harness_give_prompt(h);
}

static void give_event(struct kt_harness *h, const struct kt_event_draft *ev)
{
	/* While a tool runs, silence is no sign of trouble. */
	if (h->in_turn)
		kt_tools_count(&h->tools, ev, h);
	kt_harness_touch(h);
	kt_record_event(h->record, ev);
	KT_TELL(h, event, ev);
}

/* Give on text that waits: whatever comes next comes after it. */
void kt_harness_give_text(struct kt_harness *h)
{
	struct kt_event_draft ev;
	struct kt_gather held;

	if (h->dead || !kt_gather_waits(&h->gather))
		return;
	kt_dues_clear(&h->dues, DUE_TEXT);
	h->gather.sent_ms = kt_loop_now_ms(h->env->loop);
	kt_gather_out(&h->gather, &held, &ev);
	give_event(h, &ev);
	kt_gather_release(&held);
}

static void sink_event(void *arg, const struct kt_event_draft *ev)
{
	struct kt_harness *h = arg;
	/* A rehearsal is played as it was written. */
	bool may_wait = h->ops->has_process && !h->dead;
	bool waited = kt_gather_waits(&h->gather);

	if (may_wait && kt_gather_take(&h->gather, ev, kt_loop_now_ms(h->env->loop))) {
		kt_harness_touch(h);
		if (!waited)
			kt_dues_set(&h->dues, DUE_TEXT, KT_GATHER_MS);
		return;
	}
	kt_harness_give_text(h);
	if (!h->dead)
		give_event(h, ev);
}

static void sink_unsolicited(void *arg)
{
	struct kt_harness *h = arg;

	kt_harness_give_text(h);
	if (h->dead)
		return;
	h->in_turn = h->prompt_given = true;
	kt_harness_touch(h);
	KT_TELL(h, unsolicited);
}

static void sink_ask(void *arg, const struct kt_ask *ask)
{
	struct kt_harness *h = arg;

	kt_harness_give_text(h);
	if (h->dead)
		return;
	kt_map_set(&h->asks, ask->id, h);
	kt_harness_touch(h);
	kt_record_ask(h->record, ask);
	KT_TELL(h, ask, ask);
}

static void sink_ask_withdrawn(void *arg, const char *ask_id)
{
	struct kt_harness *h = arg;

	kt_harness_give_text(h);
	if (h->dead)
		return;
	kt_map_del(&h->asks, ask_id);
	kt_harness_touch(h);
	KT_TELL(h, ask_withdrawn, ask_id);
}

static void sink_turn_end(void *arg, const struct kt_turn_result *result)
{
	struct kt_harness *h = arg;

	if (!h->dead)
		turn_end(h, result);
}

static void sink_set_timer(void *arg, int64_t delay_ms)
{
	struct kt_harness *h = arg;

	if (h->dead)
		return;
	if (delay_ms < 0)
		kt_dues_clear(&h->dues, DUE_DRIVER);
	else
		kt_dues_set(&h->dues, DUE_DRIVER, delay_ms);
}

static void sink_resume_failed(void *arg, const char *why)
{
	struct kt_harness *h = arg;

	kt_harness_give_text(h);
	if (h->dead)
		return;
	KT_TELL(h, resume_failed, why);
	if (h->dead || h->ops->renews || h->resume_retried || h->stop != STOP_NOT)
		return;
	h->resume_retried = h->restart = true;
	/* Its process has nothing more to say; the fresh one starts when it is gone. */
	if (h->child)
		kt_child_kill_tree(h->child);
}

static void sink_line_refused(void *arg, const char *why)
{
	struct kt_harness *h = arg;

	if (!h->dead && !h->deaf)
		kt_harness_kill_because(h, "line_too_long",
			kt_asprintf("the harness wrote a line that karta does not take apart (%s); "
				    "it was stopped",
				why));
}

static const struct kt_driver_sink sink_functions = {
	.send = sink_send,
	.ready = sink_ready,
	.session_id = sink_session,
	.event = sink_event,
	.unsolicited = sink_unsolicited,
	.ask = sink_ask,
	.ask_withdrawn = sink_ask_withdrawn,
	.turn_end = sink_turn_end,
	.set_timer = sink_set_timer,
	.resume_failed = sink_resume_failed,
	.line_refused = sink_line_refused,
};

/* --- the process ------------------------------------------------------------------------- */

static enum kt_code start_process(struct kt_harness *h, struct kt_err *err);

static const char *fresh_id(struct kt_arena *arena)
{
	char id[37];

	kt_rand_uuid(id);
	return kt_arena_strdup(arena, id);
}

/* It is over: the owner hears of it, and h goes with the last one out. */
static void harness_finish(struct kt_harness *h)
{
	kt_harness_give_text(h);
	if (h->in_turn) {
		KT_AUTOFREE char *tail = kt_tail_text(&h->tail);
		KT_AUTOFREE char *message = kt_asprintf("the harness %s%s%s",
			h->ready ? "ended in the middle of the turn" : "did not start",
			*tail ? ": " : "", tail);

		kt_harness_abort(
			h, "error", h->ready ? "harness_crashed" : "harness_start_failed", message);
	}
	KT_TELL(h, gone);
	h->dead = true;
}

static void start_anew(struct kt_harness *h);

/* The conversation could not be resumed: the same again with a new one. */
static void start_afresh(struct kt_harness *h)
{
	kt_log(KT_LOG_INFO, "harness", "resume failed, starting a new conversation");
	h->cfg.new_id = fresh_id(h->arena);
	h->cfg.resume_id = NULL;
	start_anew(h);
}

/* It died before it was ready, of something that passes: once more. True when it starts again. */
static bool start_retry(struct kt_harness *h)
{
	KT_AUTOFREE char *tail = kt_tail_text(&h->tail);

	if (h->ready || h->start_retried || h->why_code || !h->ops->passing_failure ||
		!h->ops->passing_failure(tail))
		return false;
	kt_log(KT_LOG_INFO, "harness", "the start failed and is made once more");
	h->start_retried = true;
	kt_tail_clear(&h->tail);
	start_anew(h);
	return true;
}

/* The next process of a harness whose first one is gone. */
static void start_anew(struct kt_harness *h)
{
	struct kt_err err = KT_ERR_INIT;

	h->ops->close(h->driver);
	h->driver = NULL;
	h->restart = h->ready = h->prompt_given = false;
	h->dues.at_ms[DUE_FIRST] = h->dues.at_ms[DUE_SILENCE] = h->dues.at_ms[DUE_DRIVER] = 0;
	kt_map_release(&h->tools);
	kt_map_release(&h->asks);
	free(h->harness_session);
	h->harness_session = NULL;
	if (start_process(h, &err) == KT_OK)
		return;
	kt_harness_set_why(h, "harness_start_failed", kt_strdup(err.msg));
	harness_finish(h);
}

static void on_harness_gone(void *arg, int exit_code, int term_signal, int start_error)
{
	struct kt_harness *h = arg;

	kt_harness_enter(h);
	h->child = NULL;
	kt_harness_read_out(h);
	kt_starts_end(&h->env->starts, h);
	kt_lines_end(&h->out, kt_harness_line, h);
	kt_lines_end(&h->err, kt_harness_err_line, h);
	kt_lines_release(&h->out);
	kt_lines_release(&h->err);
	kt_harness_count(h, 0);
	if (start_error && !h->dead) {
		KT_AUTOFREE char *text = kt_asprintf(
			"cannot start '%s': %s", h->cfg.program, strerror(start_error));

		kt_harness_err_line(h, text, strlen(text));
	}
	if (!h->dead && h->stop == STOP_NOT && !h->restart && !start_error && start_retry(h)) {
		kt_harness_leave(h);
		return;
	}
	if (!h->dead && !h->restart) {
		KT_AUTOFREE char *tail = kt_tail_text(&h->tail);

		h->ops->gone(h->driver, exit_code, term_signal, tail);
	}
	memset(h->dues.at_ms, 0, sizeof(h->dues.at_ms));
	kt_dues_schedule(&h->dues);
	if (!h->dead && h->restart && h->stop == STOP_NOT)
		start_afresh(h);
	else if (!h->dead)
		harness_finish(h);
	kt_harness_leave(h);
}

static const struct kt_child_ops child_ops = {
	.out = kt_harness_out, .err = kt_harness_err, .gone = on_harness_gone
};

/* It is this harness's turn to start: on the next tick, as the other one still talks. */
static void harness_start_turn(void *who)
{
	struct kt_harness *h = who;

	kt_loop_defer(h->env->loop, &h->later);
}

/* Start the process, unless it has to wait. */
static enum kt_code harness_spawn(struct kt_harness *h, struct kt_err *err)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	const struct kt_harness_env_parts parts = {
		.shared = h->env->extra_env,
		.extra = h->cfg.extra_env,
		.project = h->project,
		.session_id = h->session_id,
		.sealed = h->cfg.sealed,
		.home = h->cfg.home,
	};
	const struct kt_sandbox_start start = {
		.session_id = h->session_id,
		.workspace = h->cfg.cwd,
		.home = h->cfg.home,
	};
	struct kt_child_spec spec;
	enum kt_code rc;

	kt_harness_spec(arena, h->ops, &h->cfg, &parts, &spec);
	KT_AUTOFREE char *file = h->ops->first_start_file ? h->ops->first_start_file(spec.envp)
							  : NULL;

	if (file && !kt_starts_begin(&h->env->starts, file, h, harness_start_turn)) {
		h->waits = true;
		rc = KT_OK;
	} else {
		rc = kt_sandbox_spawn(
			h->env->sandbox, &start, &spec, &child_ops, h, &h->child, err);
	}
	return rc;
}

/* Start the process, if it has one and need not wait, and say hello. */
static enum kt_code harness_launch(struct kt_harness *h, struct kt_err *err)
{
	h->waits = false;
	if (h->ops->has_process && harness_spawn(h, err) != KT_OK) {
		kt_starts_end(&h->env->starts, h);
		return kt_wrap(err, "cannot start the harness");
	}
	if (h->waits)
		return KT_OK;
	kt_dues_set(&h->dues, DUE_START, kt_harness_limit_ms(h->env->start_ms, KT_TURN_START_MS));
	if (h->ops->has_process)
		h->ops->start(h->driver);
	else
		kt_loop_defer(h->env->loop, &h->later);
	return KT_OK;
}

/* Open the driver and start. */
static enum kt_code start_process(struct kt_harness *h, struct kt_err *err)
{
	struct kt_driver_sink sink = sink_functions;

	sink.arg = h;
	h->driver = h->ops->open(&h->cfg, &sink);
	kt_lines_init(&h->out, KT_MAX_LINE_BYTES);
	kt_lines_init(&h->err, KT_STDERR_LINE_BYTES);
	if (h->ops->prepare && h->ops->prepare(&h->cfg, err) != KT_OK)
		return kt_wrap(err, "cannot start the harness");
	return harness_launch(h, err);
}

/*
 * Drivers without a process start, and end, on the next tick as those with one do; those that had
 * to wait start here.
 */
static void on_later(void *arg)
{
	struct kt_err err = KT_ERR_INIT;
	struct kt_harness *h = arg;

	kt_harness_enter(h);
	if (h->stop == STOP_NOT && h->waits) {
		if (harness_launch(h, &err) != KT_OK) {
			kt_harness_set_why(h, "harness_start_failed", kt_strdup(err.msg));
			harness_finish(h);
		}
	} else if (h->stop == STOP_NOT) {
		h->ops->start(h->driver);
	} else {
		h->ops->gone(h->driver, 0, 0, "");
		if (!h->dead)
			harness_finish(h);
	}
	kt_harness_leave(h);
}

void kt_harness_kill(struct kt_harness *h)
{
	kt_harness_enter(h);
	if (h->child)
		kt_child_abandon(KT_STEAL(h->child));
	kt_loop_undefer(h->env->loop, &h->later);
	h->dead = true;
	kt_harness_read_drop(h);
	kt_harness_leave(h);
}

static void harness_free(struct kt_harness *h)
{
	kt_loop_undefer(h->env->loop, &h->later);
	kt_harness_read_drop(h);
	kt_starts_end(&h->env->starts, h);
	if (h->driver)
		h->ops->close(h->driver);
	kt_timer_free(h->dues.timer);
	kt_lines_release(&h->out);
	kt_lines_release(&h->err);
	kt_tail_release(&h->tail);
	kt_map_release(&h->tools);
	kt_map_release(&h->asks);
	kt_gather_release(&h->gather);
	kt_record_free(h->record);
	kt_prompt_clear(&h->prompt);
	free(h->harness_session);
	free(h->why_message);
	kt_hold_release(&h->hold);
	kt_arena_free(h->arena);
	free(h);
}

/* --- public ------------------------------------------------------------------------------ */

static const char *arena_dup(struct kt_harness *h, const char *s)
{
	return s ? kt_arena_strdup(h->arena, s) : NULL;
}

enum kt_code kt_harness_start(struct kt_harness_env *env, const struct kt_harness_start *start,
	const struct kt_harness_cbs *cbs, void *arg, struct kt_harness **out, struct kt_err *err)
{
	const struct kt_app *app = start->driver.app;
	const struct kt_driver_ops *ops = kt_driver_for(app->harness);
	struct kt_harness *h;

	if (ops->has_process && !start->driver.program)
		return kt_fail(err, KT_EUNAVAIL, 0, "no program for harness '%s'", ops->name);
	h = kt_calloc(1, sizeof(*h));
	h->env = env;
	h->ops = ops;
	h->cbs = *cbs;
	h->arg = arg;
	h->arena = kt_arena_new();
	h->session_id = arena_dup(h, start->session_id);
	h->org = arena_dup(h, start->org);
	/* Without a byte it always fits. */
	kt_assert(kt_hold_admit(&h->hold, env->budget, h->org, NULL, NULL) == KT_BUDGET_FITS);
	h->project = arena_dup(h, start->project ? start->project : app->name);
	kt_gather_init(&h->gather);
	kt_buf_init(&h->lines, KT_MAX_LINE_BYTES);
	h->dues.loop = env->loop;
	h->dues.fn = kt_harness_timer;
	h->dues.arg = h;
	h->later.fn = on_later;
	h->later.arg = h;
	if (env->record_dir && app->harness != KT_HARNESS_REHEARSAL)
		h->record = kt_record_new(env->record_dir, kt_harness_name(app->harness));
	kt_driver_config_copy(h->arena, &start->driver, &h->cfg);
	if (!h->cfg.cwd)
		h->cfg.cwd = app->dir;
	if (!h->cfg.new_id)
		h->cfg.new_id = fresh_id(h->arena);
	if (!h->cfg.model)
		h->cfg.model = app->model;
	if (!h->cfg.thinking_budget_tokens)
		h->cfg.thinking_budget_tokens = app->thinking_budget_tokens;
	if (!h->cfg.settings)
		h->cfg.settings = env->settings;
	h->cfg.speed = env->rehearsal_speed;
	if (start_process(h, err) != KT_OK) {
		harness_free(h);
		return KT_EUNAVAIL;
	}
	*out = h;
	return KT_OK;
}

void kt_harness_adopt(struct kt_harness *h, const struct kt_harness_cbs *cbs, void *arg)
{
	h->cbs = *cbs;
	h->arg = arg;
}

bool kt_harness_is_ready(const struct kt_harness *h)
{
	return h->ready;
}

const struct kt_hold *kt_harness_hold(const struct kt_harness *h)
{
	return &h->hold;
}

const char *kt_harness_session(const struct kt_harness *h)
{
	return h->harness_session;
}

void kt_harness_prompt(struct kt_harness *h, const struct kt_prompt *p)
{
	kt_assert(!h->in_turn && !h->dead);
	kt_harness_enter(h);
	kt_prompt_clear(&h->prompt);
	kt_prompt_copy(p, &h->prompt);
	h->in_turn = true;
	h->prompt_given = false;
	kt_harness_give_prompt(h);
	kt_harness_leave(h);
}

void kt_harness_answer(struct kt_harness *h, const char *ask_id, enum kt_decision decision,
	const char *answers, const char *note)
{
	kt_harness_enter(h);
	kt_harness_give_text(h);
	if (h->aside && !h->dead) {
		kt_harness_hold_answer(h, ask_id, decision, answers, note);
	} else if (h->driver && kt_map_del(&h->asks, ask_id)) {
		kt_record_answer(h->record, ask_id, decision, answers);
		kt_harness_touch(h);
		h->ops->answer(h->driver, ask_id,
			decision == KT_DENY || decision == KT_ANSWER ? decision : KT_APPROVE_ONCE,
			answers, note);
	}
	kt_harness_leave(h);
}

void kt_harness_fail(struct kt_harness *h, const char *code, const char *message)
{
	if (h->dead || h->deaf)
		return;
	kt_harness_enter(h);
	kt_harness_kill_because(h, code, kt_strdup(message));
	kt_harness_leave(h);
}

void kt_harness_interrupt(struct kt_harness *h)
{
	if (!h->in_turn || h->dead)
		return;
	if (h->aside) {
		h->interrupt_waits = true;
		return;
	}
	kt_harness_enter(h);
	kt_harness_give_text(h);
	if (!h->prompt_given) {
		kt_harness_abort(h, "interrupted", NULL, NULL);
	} else if (!h->dues.at_ms[DUE_CANCEL]) {
		kt_dues_clear(&h->dues, DUE_FIRST);
		kt_dues_clear(&h->dues, DUE_SILENCE);
		kt_dues_set(&h->dues, DUE_CANCEL,
			kt_harness_limit_ms(h->env->cancel_ms, KT_TURN_CANCEL_MS));
		h->ops->interrupt(h->driver);
	}
	kt_harness_leave(h);
}
