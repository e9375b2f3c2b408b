/* SPDX-License-Identifier: MIT */
/*
 * A running harness: one driver, its process, line framing, the tail of stderr and the watchdogs
 * (start, first event, silence, cancel). Belongs to one session, or to the pool of started-ahead
 * ones until a session takes it.
 */
#ifndef KT_HARNESS_HARNESS_H
#define KT_HARNESS_HARNESS_H

#include "harness/driver.h"
#include "harness/starts_private.h"
#include "net/budget.h"
#include "net/loop.h"
#include "proc/proc.h"
#include "sandbox/sandbox.h"

struct kt_harness;
struct kt_pool;

/* What every harness of a server shares. BORROWED for the life of all harnesses. */
struct kt_harness_env {
	struct kt_loop *loop;
	struct kt_sandbox *sandbox;
	int64_t start_ms, first_event_ms, silence_ms, cancel_ms; /* 0 = limits.h */
	double rehearsal_speed;
	const char *record_dir; /* write rehearsals there, or NULL */
	char *const *extra_env; /* "NAME=value", NULL-terminated: .env of the folder, or NULL */
	const char *settings; /* of the folder, that its owner agreed to; JSON or NULL */
	struct kt_budget *budget; /* what is kept of what they write is counted here, or NULL */
	struct kt_starts starts; /* the harnesses' own; zeroed */
};

/* To the owner; all on the loop. A callback may stop the harness. */
struct kt_harness_cbs {
	void (*ready)(void *arg, const char *harness_session);
	void (*session_id)(void *arg, const char *harness_session);
	void (*event)(void *arg, const struct kt_event_draft *ev);
	void (*unsolicited)(void *arg);
	void (*ask)(void *arg, const struct kt_ask *ask);
	void (*ask_withdrawn)(void *arg, const char *ask_id);
	void (*turn_end)(void *arg, const struct kt_turn_result *result);
	/*
	 * One line of its stderr, sanitized and redacted; raw as it was written, for whoever knows
	 * more secrets, which are found only in what was not changed yet.
	 */
	void (*stderr_line)(void *arg, const char *line, const char *raw);
	/* resume did not work; a fresh conversation was begun instead. */
	void (*resume_failed)(void *arg, const char *why);
	/*
	 * The process is gone (crash, stop or exit); h is freed after this call. An open turn was
	 * ended.
	 */
	void (*gone)(void *arg);
};

struct kt_harness_start {
	/*
	 * What the driver gets; strings are copied, app and extra_env are BORROWED until gone. Not
	 * set, and then filled in: cwd (the application's folder), new_id (a fresh one), model and
	 * thinking_budget_tokens (the application's), settings (the server's); speed always is that
	 * of the server.
	 */
	struct kt_driver_config driver;
	/* ours, given to the harness as KARTA_SESSION_ID; copied; NULL in the pool */
	const char *session_id;
	const char *org; /* whose budget and turn it is; NULL: the server's own; copied */
	const char *project; /* KARTA_PROJECT; NULL = the application's name; copied */
};

/*
 * Start one. *out is the module's until cbs->gone. Returns KT_EUNAVAIL when nothing can be started.
 */
KT_MUST_CHECK enum kt_code kt_harness_start(struct kt_harness_env *env,
	const struct kt_harness_start *start, const struct kt_harness_cbs *cbs, void *arg,
	struct kt_harness **out, struct kt_err *err);
/* Change the owner (taken from the pool). */
void kt_harness_adopt(struct kt_harness *h, const struct kt_harness_cbs *cbs, void *arg);
bool kt_harness_is_ready(const struct kt_harness *h);
/* What it is counted in, for kt_hold_like(). BORROWS until it is gone. */
const struct kt_hold *kt_harness_hold(const struct kt_harness *h);
/* Its own session id, NULL when not known yet. */
const char *kt_harness_session(const struct kt_harness *h);
/* Send a message; waits inside until the harness is ready. Only when no turn runs (asserted). */
void kt_harness_prompt(struct kt_harness *h, const struct kt_prompt *p);
/* Answer an ask (APPROVE_SESSION is given on as ONCE). */
void kt_harness_answer(struct kt_harness *h, const char *ask_id, enum kt_decision decision,
	const char *answers, const char *note);
/*
 * Interrupt the running turn. If it has not ended after cancel_ms the process is killed, and the
 * turn ends with "unresponsive".
 */
void kt_harness_interrupt(struct kt_harness *h);
/*
 * Kill it, and read nothing that it still says: its turn ends with this code (a constant) and
 * message. Also from within a callback.
 */
void kt_harness_fail(struct kt_harness *h, const char *code, const char *message);
/* Stop politely (close stdin, then SIGTERM, then kill the tree); gone follows. */
void kt_harness_stop(struct kt_harness *h);
/* Kill the tree now; no callback is called any more. */
void kt_harness_kill(struct kt_harness *h);

/*
 * Started-ahead harnesses, `size` of them, for one application. A changed fingerprint of the folder
 * replaces them. kt_pool_take() gives a started one (ready or still starting) to its new owner, or
 * NULL; the pool starts another a moment later.
 */
KT_MUST_CHECK struct kt_pool *kt_pool_new(struct kt_harness_env *env, size_t size);
/*
 * Tell what to start ahead (a new load of the folder); NULL app empties the pool. BORROWS app until
 * the next call.
 */
void kt_pool_set(
	struct kt_pool *p, const struct kt_app *app, const char *program, uint64_t fingerprint);
struct kt_harness *kt_pool_take(
	struct kt_pool *p, uint64_t fingerprint, const struct kt_harness_cbs *cbs, void *arg);
void kt_pool_free(struct kt_pool *p);

#endif
