/* SPDX-License-Identifier: MIT */
/*
 * A running harness. Everything happens on the loop. Callbacks of the owner may stop or kill the
 * harness, so every way in counts itself (enter/leave), and the memory goes with the last one out.
 */
#include "harness/harness.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/map.h"
#include "base/rand.h"
#include "base/str.h"
#include "harness/dues.h"
#include "harness/gather.h"
#include "harness/harness_env.h"
#include "harness/harness_tail.h"
#include "harness/record.h"
#include "harness/starts.h"
#include "text/json.h"
#include "text/lines.h"

#include <signal.h>
#include <string.h>

enum {
	STOP_INTERRUPT_MS = 2000, /* interrupt until the turn's end */
	STOP_EOF_MS = 3000, /* end of input until the exit */
	STOP_TERM_MS = 2000, /* SIGTERM until the tree is killed */
};

/* What may be due; see due_act(). */
enum due { DUE_START, DUE_FIRST, DUE_SILENCE, DUE_CANCEL, DUE_STOP, DUE_DRIVER, DUE_TEXT, DUE_N_ };

/* Steps of a polite stop. */
enum stop { STOP_NOT, STOP_TURN, STOP_EOF, STOP_TERM, STOP_KILLED };

struct kt_harness {
	struct kt_harness_env *env;
	const struct kt_driver_ops *ops;
	struct kt_driver *driver;
	struct kt_arena *arena; /* what lives as long as the harness */
	struct kt_driver_config cfg; /* strings in arena */
	const char *session_id, *project; /* in arena, or NULL */
	struct kt_child *child; /* NULL: not started, gone, or a driver without a process */
	struct kt_lines out, err;
	struct kt_tail tail;
	struct kt_harness_cbs cbs;
	void *arg;
	char *harness_session;
	struct kt_record *record; /* or NULL */

	bool ready;
	bool in_turn;
	bool prompt_given; /* the driver has the prompt of this turn */
	bool resume_retried; /* one fresh start after a failed resume */
	bool restart; /* start afresh when the process is gone */
	bool start_retried; /* a start that failed for a passing cause was made again */
	bool waits; /* another first start is on the way; see starts.h */
	enum stop stop;
	struct kt_prompt prompt; /* a copy; kept to the end of the turn */
	struct kt_gather gather;
	bool deaf; /* what it still says is not read any more */
	struct kt_map tools, asks; /* ids that are open; values mean nothing */
	/* Why we ended the turn: goes before what the driver says. */
	const char *why_code;
	char *why_message;

	struct kt_dues dues; /* by enum due */
	struct kt_defer later; /* start or end of a driver without a process */
	unsigned depth;
	bool dead;
};

static void harness_free(struct kt_harness *h);

static void enter(struct kt_harness *h)
{
	h->depth++;
}

static void leave(struct kt_harness *h)
{
	if (--h->depth == 0 && h->dead)
		harness_free(h);
}

/* Call an owner's callback, unless it wants none any more. */
#define TELL(h, fn, ...)                                                                           \
	do {                                                                                       \
		if (!(h)->dead && (h)->cbs.fn)                                                     \
			(h)->cbs.fn((h)->arg, ##__VA_ARGS__);                                      \
	} while (0)

/* --- due times --------------------------------------------------------------------------- */

static void on_timer(void *arg);

static int64_t limit_ms(int64_t configured, int64_t standard)
{
	return configured > 0 ? configured : standard;
}

/* The harness gave a sign of life: silence counts from now, but not while it has reason to wait. */
static void touch(struct kt_harness *h)
{
	if (!h->in_turn || !h->prompt_given)
		return;
	kt_dues_clear(&h->dues, DUE_FIRST);
	if (h->tools.len || h->asks.len || h->dues.at_ms[DUE_CANCEL])
		kt_dues_clear(&h->dues, DUE_SILENCE);
	else
		kt_dues_set(
			&h->dues, DUE_SILENCE, limit_ms(h->env->silence_ms, KT_TURN_SILENCE_MS));
}

/* --- ends of turns ----------------------------------------------------------------------- */

static void set_why(struct kt_harness *h, const char *code, char *message)
{
	if (h->why_code) {
		free(message);
		return;
	}
	h->why_code = code;
	h->why_message = message;
}

static void stop_next(struct kt_harness *h);
static void give_text(struct kt_harness *h);

static void turn_end(struct kt_harness *h, const struct kt_turn_result *given)
{
	struct kt_turn_result r = *given;

	give_text(h);
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
	TELL(h, turn_end, &r);
	if (!h->dead && h->stop == STOP_TURN)
		stop_next(h);
}

/* End a turn that the driver knows nothing of. */
static void turn_abort(
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

/* Kill it; the reason goes into the end of the turn. TAKES message. */
static void kill_because(struct kt_harness *h, const char *code, char *message)
{
	kt_log(KT_LOG_WARN, "harness", "killing %s: %s", h->ops->name, message);
	set_why(h, code, message);
	if (h->child) {
		kt_child_kill_tree(h->child);
	} else if (!h->ops->has_process) {
		h->stop = STOP_KILLED;
		kt_loop_defer(h->env->loop, &h->later);
	}
}

/* --- what the driver causes -------------------------------------------------------------- */

static void give_prompt(struct kt_harness *h)
{
	h->prompt_given = true;
	kt_record_prompt(h->record, &h->prompt);
	kt_dues_set(&h->dues, DUE_FIRST, limit_ms(h->env->first_event_ms, KT_TURN_FIRST_EVENT_MS));
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
		kill_because(h, "unresponsive", kt_strdup("the harness takes no input any more"));
}

static void sink_session(void *arg, const char *session)
{
	struct kt_harness *h = arg;

	if (!session || kt_str_eq(session, h->harness_session))
		return;
	free(h->harness_session);
	h->harness_session = kt_strdup(session);
	TELL(h, session_id, h->harness_session);
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
	TELL(h, ready, h->harness_session);
	if (!h->dead && h->stop == STOP_NOT && h->in_turn && !h->prompt_given)
		give_prompt(h);
}

static void give_event(struct kt_harness *h, const struct kt_event_draft *ev)
{
	/* While a tool runs, silence is no sign of trouble. */
	if (h->in_turn)
		kt_tools_count(&h->tools, ev, h);
	touch(h);
	kt_record_event(h->record, ev);
	TELL(h, event, ev);
}

/* Give on text that waits: whatever comes next comes after it. */
static void give_text(struct kt_harness *h)
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
		touch(h);
		if (!waited)
			kt_dues_set(&h->dues, DUE_TEXT, KT_GATHER_MS);
		return;
	}
	give_text(h);
	if (!h->dead)
		give_event(h, ev);
}

static void sink_unsolicited(void *arg)
{
	struct kt_harness *h = arg;

	give_text(h);
	if (h->dead)
		return;
	h->in_turn = h->prompt_given = true;
	touch(h);
	TELL(h, unsolicited);
}

static void sink_ask(void *arg, const struct kt_ask *ask)
{
	struct kt_harness *h = arg;

	give_text(h);
	if (h->dead)
		return;
	kt_map_set(&h->asks, ask->id, h);
	touch(h);
	kt_record_ask(h->record, ask);
	TELL(h, ask, ask);
}

static void sink_ask_withdrawn(void *arg, const char *ask_id)
{
	struct kt_harness *h = arg;

	give_text(h);
	if (h->dead)
		return;
	kt_map_del(&h->asks, ask_id);
	touch(h);
	TELL(h, ask_withdrawn, ask_id);
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

	give_text(h);
	if (h->dead)
		return;
	TELL(h, resume_failed, why);
	if (h->dead || h->ops->renews || h->resume_retried || h->stop != STOP_NOT)
		return;
	h->resume_retried = h->restart = true;
	/* Its process has nothing more to say; the fresh one starts when it is gone. */
	if (h->child)
		kt_child_kill_tree(h->child);
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
static void finish(struct kt_harness *h)
{
	give_text(h);
	if (h->in_turn) {
		KT_AUTOFREE char *tail = kt_tail_text(&h->tail);
		KT_AUTOFREE char *message = kt_asprintf("the harness %s%s%s",
			h->ready ? "ended in the middle of the turn" : "did not start",
			*tail ? ": " : "", tail);

		turn_abort(
			h, "error", h->ready ? "harness_crashed" : "harness_start_failed", message);
	}
	TELL(h, gone);
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
	set_why(h, "harness_start_failed", kt_strdup(err.msg));
	finish(h);
}

static void on_line(void *arg, char *line, size_t len)
{
	struct kt_harness *h = arg;

	if (h->dead || h->restart || h->deaf || !h->driver)
		return;
	touch(h);
	h->ops->line(h->driver, line, len);
}

static void on_out(void *arg, const char *data, size_t len)
{
	struct kt_harness *h = arg;

	enter(h);
	if (kt_lines_feed(&h->out, data, len, on_line, h, NULL) != KT_OK && !h->why_code)
		kill_because(h, "line_too_long",
			kt_asprintf("the harness wrote a line of over %d MiB, which is more than "
				    "karta reads (fixed); it was stopped",
				KT_MAX_LINE_BYTES / (1024 * 1024)));
	leave(h);
}

static void on_err_line(void *arg, char *line, size_t len)
{
	KT_AUTO_BUF struct kt_buf shown = KT_BUF_INIT((size_t)8 * KT_STDERR_LINE_BYTES);
	struct kt_harness *h = arg;

	if (h->dead || len == 0)
		return;
	if (h->driver && h->ops->err_line && h->ops->err_line(h->driver, line))
		return;
	kt_tail_add(&h->tail, line, len, &shown);
	TELL(h, stderr_line, shown.ptr);
}

static void on_err(void *arg, const char *data, size_t len)
{
	struct kt_harness *h = arg;

	enter(h);
	/* An endless line is dropped; what comes after it is read again. */
	if (kt_lines_feed(&h->err, data, len, on_err_line, h, NULL) != KT_OK) {
		kt_lines_release(&h->err);
		kt_lines_init(&h->err, KT_STDERR_LINE_BYTES);
	}
	leave(h);
}

static void on_gone(void *arg, int exit_code, int term_signal, int start_error)
{
	struct kt_harness *h = arg;

	enter(h);
	h->child = NULL;
	kt_starts_end(&h->env->starts, h);
	kt_lines_end(&h->out, on_line, h);
	kt_lines_end(&h->err, on_err_line, h);
	kt_lines_release(&h->out);
	kt_lines_release(&h->err);
	if (start_error && !h->dead) {
		KT_AUTOFREE char *text = kt_asprintf(
			"cannot start '%s': %s", h->cfg.program, strerror(start_error));

		on_err_line(h, text, strlen(text));
	}
	if (!h->dead && h->stop == STOP_NOT && !h->restart && !start_error && start_retry(h)) {
		leave(h);
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
		finish(h);
	leave(h);
}

static const struct kt_child_ops child_ops = { .out = on_out, .err = on_err, .gone = on_gone };

/* It is this harness's turn to start: on the next tick, as the other one still talks. */
static void start_turn(void *who)
{
	struct kt_harness *h = who;

	kt_loop_defer(h->env->loop, &h->later);
}

/* Start the process, unless it has to wait. */
static enum kt_code spawn(struct kt_harness *h, struct kt_err *err)
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
	struct kt_child_spec spec;
	enum kt_code code;

	kt_harness_spec(arena, h->ops, &h->cfg, &parts, &spec);
	KT_AUTOFREE char *file = h->ops->first_start_file ? h->ops->first_start_file(spec.envp)
							  : NULL;

	if (file && !kt_starts_begin(&h->env->starts, file, h, start_turn)) {
		h->waits = true;
		code = KT_OK;
	} else {
		code = kt_child_spawn(h->env->spawner, &spec, &child_ops, h, &h->child, err);
	}
	return code;
}

/* Start the process, if it has one and need not wait, and say hello. */
static enum kt_code launch(struct kt_harness *h, struct kt_err *err)
{
	h->waits = false;
	if (h->ops->has_process && spawn(h, err) != KT_OK) {
		kt_starts_end(&h->env->starts, h);
		return kt_wrap(err, "cannot start the harness");
	}
	if (h->waits)
		return KT_OK;
	kt_dues_set(&h->dues, DUE_START, limit_ms(h->env->start_ms, KT_TURN_START_MS));
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
	return launch(h, err);
}

/*
 * Drivers without a process start, and end, on the next tick as those with one do; those that had
 * to wait start here.
 */
static void on_later(void *arg)
{
	struct kt_err err = KT_ERR_INIT;
	struct kt_harness *h = arg;

	enter(h);
	if (h->stop == STOP_NOT && h->waits) {
		if (launch(h, &err) != KT_OK) {
			set_why(h, "harness_start_failed", kt_strdup(err.msg));
			finish(h);
		}
	} else if (h->stop == STOP_NOT) {
		h->ops->start(h->driver);
	} else {
		h->ops->gone(h->driver, 0, 0, "");
		if (!h->dead)
			finish(h);
	}
	leave(h);
}

/* --- stopping ---------------------------------------------------------------------------- */

/* The next, harder step. */
static void stop_next(struct kt_harness *h)
{
	kt_dues_clear(&h->dues, DUE_STOP);
	if (!h->ops->has_process || h->waits) {
		kt_loop_defer(h->env->loop, &h->later);
		return;
	}
	if (!h->child)
		return;
	if (h->stop < STOP_EOF && h->ops->exits_on_eof(h->driver)) {
		h->stop = STOP_EOF;
		kt_child_close_stdin(h->child);
		kt_dues_set(&h->dues, DUE_STOP, STOP_EOF_MS);
	} else if (h->stop < STOP_TERM) {
		h->stop = STOP_TERM;
		kt_child_signal(h->child, SIGTERM);
		kt_dues_set(&h->dues, DUE_STOP, STOP_TERM_MS);
	} else if (h->stop < STOP_KILLED) {
		h->stop = STOP_KILLED;
		kt_child_kill_tree(h->child);
	}
}

void kt_harness_stop(struct kt_harness *h)
{
	if (h->dead || h->stop != STOP_NOT)
		return;
	enter(h);
	h->stop = STOP_TURN;
	if (h->in_turn && h->prompt_given) {
		kt_dues_set(&h->dues, DUE_STOP, STOP_INTERRUPT_MS);
		h->ops->interrupt(h->driver);
	} else {
		if (h->in_turn)
			turn_abort(h, "interrupted", NULL, NULL);
		if (!h->dead && h->stop == STOP_TURN)
			stop_next(h);
	}
	leave(h);
}

void kt_harness_kill(struct kt_harness *h)
{
	enter(h);
	if (h->child)
		kt_child_abandon(KT_STEAL(h->child));
	kt_loop_undefer(h->env->loop, &h->later);
	h->dead = true;
	leave(h);
}

static void harness_free(struct kt_harness *h)
{
	kt_loop_undefer(h->env->loop, &h->later);
	kt_starts_end(&h->env->starts, h);
	if (h->driver)
		h->ops->close(h->driver);
	kt_timer_free(h->dues.timer);
	kt_lines_release(&h->out);
	kt_lines_release(&h->err);
	kt_tail_clear(&h->tail);
	kt_map_release(&h->tools);
	kt_map_release(&h->asks);
	kt_gather_release(&h->gather);
	kt_record_free(h->record);
	kt_prompt_clear(&h->prompt);
	free(h->harness_session);
	free(h->why_message);
	kt_arena_free(h->arena);
	free(h);
}

/* --- watchdogs --------------------------------------------------------------------------- */

/* Nothing comes: ask it to stop, and let the cancel watchdog do the rest. */
static void unresponsive(struct kt_harness *h, int64_t ms, const char *what)
{
	kt_dues_clear(&h->dues, DUE_FIRST);
	kt_dues_clear(&h->dues, DUE_SILENCE);
	set_why(h, "unresponsive",
		kt_asprintf("%s for %lld s (fixed)", what, (long long)((ms + 999) / 1000)));
	kt_dues_set(&h->dues, DUE_CANCEL, limit_ms(h->env->cancel_ms, KT_TURN_CANCEL_MS));
	h->ops->interrupt(h->driver);
}

static void due_act(struct kt_harness *h, enum due which)
{
	int64_t start_ms = limit_ms(h->env->start_ms, KT_TURN_START_MS);

	switch (which) {
	case DUE_START:
		kill_because(h, "harness_start_failed",
			kt_asprintf("the harness was not ready after %lld s (fixed)",
				(long long)((start_ms + 999) / 1000)));
		break;
	case DUE_FIRST:
		unresponsive(h, limit_ms(h->env->first_event_ms, KT_TURN_FIRST_EVENT_MS),
			"no answer to the message");
		break;
	case DUE_SILENCE:
		unresponsive(
			h, limit_ms(h->env->silence_ms, KT_TURN_SILENCE_MS), "no sign of life");
		break;
	case DUE_CANCEL:
		kill_because(h, "unresponsive",
			kt_strdup("the harness did not stop the turn and was killed"));
		break;
	case DUE_STOP:
		stop_next(h);
		break;
	case DUE_DRIVER:
		h->ops->timer(h->driver);
		break;
	case DUE_TEXT:
		give_text(h);
		break;
	case DUE_N_:
		break;
	}
}

static void on_timer(void *arg)
{
	struct kt_harness *h = arg;
	int64_t now = kt_loop_now_ms(h->env->loop);

	enter(h);
	for (size_t i = 0; i < DUE_N_ && !h->dead; i++) {
		if (!h->dues.at_ms[i] || h->dues.at_ms[i] > now)
			continue;
		h->dues.at_ms[i] = 0;
		due_act(h, (enum due)i);
	}
	if (!h->dead)
		kt_dues_schedule(&h->dues);
	leave(h);
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
	h->project = arena_dup(h, start->project ? start->project : app->name);
	kt_gather_init(&h->gather);
	h->dues.loop = env->loop;
	h->dues.fn = on_timer;
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

bool kt_harness_in_turn(const struct kt_harness *h)
{
	return h->in_turn;
}

const char *kt_harness_session(const struct kt_harness *h)
{
	return h->harness_session;
}

pid_t kt_harness_pid(const struct kt_harness *h)
{
	return h->child ? kt_child_pid(h->child) : 0;
}

void kt_harness_prompt(struct kt_harness *h, const struct kt_prompt *p)
{
	kt_assert(!h->in_turn && !h->dead);
	enter(h);
	kt_prompt_clear(&h->prompt);
	kt_prompt_copy(p, &h->prompt);
	h->in_turn = true;
	h->prompt_given = false;
	if (h->ready && !h->restart)
		give_prompt(h);
	leave(h);
}

void kt_harness_answer(struct kt_harness *h, const char *ask_id, enum kt_decision decision,
	const char *answers, const char *note)
{
	enter(h);
	give_text(h);
	if (h->driver && kt_map_del(&h->asks, ask_id)) {
		kt_record_answer(h->record, ask_id, decision, answers);
		touch(h);
		h->ops->answer(h->driver, ask_id,
			decision == KT_DENY || decision == KT_ANSWER ? decision : KT_APPROVE_ONCE,
			answers, note);
	}
	leave(h);
}

void kt_harness_fail(struct kt_harness *h, const char *code, const char *message)
{
	if (h->dead || h->deaf)
		return;
	enter(h);
	h->deaf = true;
	kill_because(h, code, kt_strdup(message));
	leave(h);
}

void kt_harness_interrupt(struct kt_harness *h)
{
	if (!h->in_turn || h->dead)
		return;
	enter(h);
	give_text(h);
	if (!h->prompt_given) {
		turn_abort(h, "interrupted", NULL, NULL);
	} else if (!h->dues.at_ms[DUE_CANCEL]) {
		kt_dues_clear(&h->dues, DUE_FIRST);
		kt_dues_clear(&h->dues, DUE_SILENCE);
		kt_dues_set(&h->dues, DUE_CANCEL, limit_ms(h->env->cancel_ms, KT_TURN_CANCEL_MS));
		h->ops->interrupt(h->driver);
	}
	leave(h);
}
