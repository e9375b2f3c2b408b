/* SPDX-License-Identifier: MIT */
/*
 * Sessions: creation, the queue of turns, approvals, participants, hand-off, and the harness behind
 * each. Of one application (a local server), or each of the release it was created with (a hosting
 * server). Everything is on the loop's thread.
 *
 * A session owns its log, its running turn, its queue, its open inputs and its harness; the
 * registry owns the sessions. The journal `sessions.jsonl` holds one line for each change of a
 * session, so that a restart finds them all; event logs are opened when they are needed.
 */
#ifndef KT_SESSION_SESSION_H
#define KT_SESSION_SESSION_H

#include "app/app.h"
#include "base/map.h"
#include "base/rand.h"
#include "base/vec.h"
#include "control/control.h"
#include "event/assembly.h"
#include "event/event.h"
#include "harness/harness.h"

struct kt_jw;
struct kt_sessions;

struct kt_sessions_config {
	struct kt_loop *loop;
	struct kt_spawner *spawner;
	/* A local server: one application, served from its folder. NULL with `control`. */
	const char *dir; /* the application's folder */
	/* A hosting server: each session runs the release it was created with. */
	struct kt_control *control; /* or NULL */
	bool offline; /* with control: every harness is the rehearsal */
	/* With control: it is of one person, whose own environment harnesses have, as without. */
	bool own_env;
	const char *data_dir; /* state; made when missing */
	struct kt_app_options app;
	const char *harness_program; /* override, or NULL */
	bool record;
	double rehearsal_speed; /* 1 = as recorded */
	size_t warm; /* harnesses started ahead */
	const char *user; /* metadata.user_id of new sessions that name none, or NULL */
	int64_t start_ms, first_event_ms, silence_ms, cancel_ms; /* watchdogs; 0 = limits.h */
};

enum kt_turn_state { KT_TURN_QUEUED, KT_TURN_STARTING, KT_TURN_RUNNING, KT_TURN_WAITING };

/* Who said something to a session, and from where. Strings of at most 255 bytes are kept. */
struct kt_origin {
	const char *who; /* name of the key, or NULL: nobody signs in here */
	const char *address; /* or NULL: this machine */
	const struct kt_actor *actor; /* who signs for it, for the audit log; or NULL */
};

/* One message and what became of it; freed when it ends. */
struct kt_turn {
	char id[KT_ID_MAX];
	char message_id[KT_ID_MAX];
	enum kt_turn_state state;
	char *text;
	char *agent; /* or NULL: the session's */
	char *agent_before; /* whom the turn took the session from, or NULL */
	char *participant_name, *participant_type; /* or NULL */
	char *from_who, *from_address; /* as struct kt_origin */
	bool thinking, no_thinking;
	bool interrupting;
	bool held; /* begins when the harness that is being stopped is gone */
	const char *stop_code; /* error code to report instead of "interrupted", or NULL */
	uint64_t first_seq; /* of its first event */
	uint64_t bytes; /* of its events, about */
	uint32_t events;
	bool over; /* it passed a limit, and its harness is being stopped */
	int64_t started_us;
};

/* What a person allowed beyond one call. */
struct kt_approval {
	char id[KT_ID_MAX]; /* "" = only offered */
	enum kt_decision decision; /* the kind of it: exact call, command, file, folder */
	char *key; /* what it covers has the same */
	char *tool; /* that was asked for */
	char *words; /* what it covers, for a person */
	char *by; /* who allowed it, or NULL: whoever is at this machine */
	int64_t at_us;
};

/*
 * What an open input is for clients. Kept once, however many of them take it, and counted for the
 * session's organization as long as one does.
 */
struct kt_input_doc {
	unsigned refs;
	char *json; /* data of its input_required event */
	char *frame; /* what is around the exact input when `json` shows it in part, else NULL */
	size_t split; /* where in it the input belongs */
	struct kt_shared *whole; /* that input, with frame */
	struct kt_hold hold;
};

/* An open question to a person. */
struct kt_input {
	char request_id[KT_ID_MAX];
	char *ask_id; /* the driver's */
	struct kt_vec offers; /* struct kt_approval *: what an answer may cover besides */
	char *tool; /* that asks, or NULL */
	struct kt_input_doc *doc;
	bool question; /* wants an answer, not a yes */
	bool deny_only; /* it could not be shown */
	struct kt_timer *expiry;
	int64_t expires_us;
	struct kt_session *session;
};

/* An answered one, kept so that a second answer can be told the first. */
struct kt_answered {
	char request_id[KT_ID_MAX];
	enum kt_decision decision;
	/*
	 * "user", "policy", "expired", "withdrawn"; "interrupted": the server ended while it was
	 * open
	 */
	const char *by;
};

enum kt_note {
	KT_NOTE_TURN_END, /* the turn's done event is in the log */
	KT_NOTE_PAUSED, /* the turn waits for an input */
	KT_NOTE_GONE, /* the session is being deleted: let go of it now */
};
/* Somebody who waits for a session. Embedded in the waiter; unlinks itself before it dies. */
struct kt_watch {
	void (*note)(void *arg, enum kt_note note, const char *turn_id);
	void *arg;
	struct kt_session *session;
	struct kt_watch *prev, *next;
};

#define KT_ANSWERED_KEPT 32

/* What turns took, as far as their harnesses said it. */
struct kt_spent {
	int64_t input_tokens, output_tokens;
	int64_t cost_microusd; /* millionths of a US dollar */
};

/* Read only outside of lib/session. */
struct kt_session {
	struct kt_sessions *reg;
	char id[KT_ID_MAX];
	/* release it runs, shared with other sessions; NULL on a local server */
	struct kt_pin *pin;
	char *metadata; /* JSON object */
	char *title; /* given by somebody, or the first words of the first message, or NULL */
	char *current_agent;
	char *parent_id; /* or NULL */
	char *permission_mode; /* or NULL */
	char *harness_session; /* the harness's own id, or NULL */
	bool prompted; /* the harness got at least one message: it can be resumed */
	bool preparing; /* its release or workspace is being made ready */
	bool has_workspace; /* its private copy of the release is there */
	bool forgotten; /* retention took its events; none came since */
	int64_t created_us, updated_us;
	uint32_t turns; /* ended ones */
	struct kt_spent spent; /* by them; kt_spent_set() */
	struct kt_session *older, *newer; /* of all sessions */
	struct kt_session *older_of, *newer_of; /* of its project; with a pin only */
	uint32_t copied; /* the last rewrite of the journal that has it already */
	struct kt_vec participants; /* of struct kt_participant */
	struct kt_vec approvals; /* struct kt_approval *, oldest first */
	struct kt_evlog *log; /* NULL until needed */
	bool log_in_memory; /* it has no file: event_retention_hours is 0 */
	size_t in_memory; /* bytes of it that count in the registry's sum */
	uint64_t last_seq; /* as far as known while log is NULL */
	struct kt_harness *harness;
	bool stopping; /* the harness was idle for too long and is on its way out */
	struct kt_app_ref *app; /* that the harness runs with, or NULL */
	struct kt_turn *turn; /* running, or NULL */
	struct kt_vec queue; /* struct kt_turn *, waiting */
	struct kt_vec inputs; /* struct kt_input *, open, oldest first */
	struct kt_answered *answered; /* ring of KT_ANSWERED_KEPT, NULL until the first */
	unsigned n_answered;
	uint32_t noise; /* lines of the harness's stderr since the turn began */
	struct kt_timer *idle; /* stops the harness */
	struct kt_defer pump;
	struct kt_watch *watches;
	char *past; /* transcript for the harness that starts next, or NULL */
	bool recalled; /* it was read */
	struct kt_vec interrupted; /* char *: turns found unfinished at start-up */
};

struct kt_participant {
	char *name;
	char *type; /* "human" or "ai" */
};

/*
 * Open the registry: load the application, the journal, end turns that a crash cut off, start the
 * first harness ahead. Returns KT_OK, KT_ENOTFOUND (folder), KT_ECONFLICT (another server uses
 * data_dir), KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_sessions_open(
	const struct kt_sessions_config *cfg, struct kt_sessions **out, struct kt_err *err);
/* Kill every harness, close every log, free. NULL is fine. */
void kt_sessions_free(struct kt_sessions *reg);
/*
 * Take no new turns; call done(arg) once when the running ones have ended, at the latest after
 * limit_ms (then they are cut off).
 */
void kt_sessions_drain(struct kt_sessions *reg, int64_t limit_ms, kt_loop_fn done, void *arg);
/* The loop that they live on. */
struct kt_loop *kt_sessions_loop(const struct kt_sessions *reg);

/*
 * The application of a local server as it is on disk now (reloaded when its files changed); NULL
 * with control. BORROWS until the next tick.
 */
const struct kt_app *kt_sessions_app(struct kt_sessions *reg);
/* The program of its harness; path "" when it is not installed. Of a local server. */
const struct kt_program *kt_sessions_program(const struct kt_sessions *reg);
/* Settings of the folder that its user agreed to: for harnesses started from now on. Copied. */
void kt_sessions_set_settings(struct kt_sessions *reg, const char *settings);
/* Why the harness cannot run here, "" when it can. Of a local server. */
const char *kt_sessions_problem(const struct kt_sessions *reg);

/*
 * With control: make a release ready for sessions (its files laid out, its application read), then
 * fn(arg, rc, err). May call fn before it returns (it was ready already).
 * rc is KT_OK, KT_ENOTFOUND, KT_EIO, KT_EUNAVAIL.
 */
typedef void (*kt_prepared_fn)(void *arg, enum kt_code rc, const struct kt_err *err);
void kt_sessions_prepare(
	struct kt_sessions *reg, const struct kt_target *t, kt_prepared_fn fn, void *arg);
/*
 * The application of a prepared release; NULL when it is not prepared. BORROWS until the next tick.
 */
const struct kt_app *kt_sessions_app_of(struct kt_sessions *reg, const struct kt_target *t);
/* Why the harness of that release cannot run here, "" when it can. */
const char *kt_sessions_problem_of(struct kt_sessions *reg, const struct kt_target *t);
/*
 * The variable with its model's credential that nothing gives it; NULL: none is known to be
 * missing.
 */
const char *kt_sessions_lacks_of(struct kt_sessions *reg, const struct kt_target *t);
/* The release a session runs; NULL on a local server. */
const struct kt_target *kt_session_target(const struct kt_session *s);
/*
 * With control: fn(arg, rc, err) when everything that was journaled so far is on disk (one
 * fdatasync, off the loop, serves all who wait). On a local server fn is called at once.
 */
void kt_sessions_sync(struct kt_sessions *reg, kt_prepared_fn fn, void *arg);
/*
 * Whether the journal can be written. While it cannot (full or failing disk), it is tried again and
 * again; with control no session is made and no message taken until then, without it things go on
 * in memory. Returns KT_OK or KT_EIO (err->sys: errno).
 */
KT_MUST_CHECK enum kt_code kt_sessions_health(const struct kt_sessions *reg, struct kt_err *err);

/* The Idempotency-Key of a request that makes something. */
struct kt_request_key {
	const char *scope; /* "create", a session's id */
	const char *key; /* NULL or "" = none */
	uint64_t fingerprint; /* of the request's body */
};

struct kt_session_new {
	const struct kt_target *target; /* with control: prepared; else NULL */
	const char *metadata; /* JSON object text (checked by the caller), or NULL */
	const char *parent_id;
	const char *permission_mode;
	struct kt_request_key
		key; /* remembered with the session: both or neither outlive a crash */
};
/*
 * Create. Returns KT_OK, KT_ENOTFOUND (parent), KT_ELIMIT (KT_MAX_SESSIONS), KT_EUNAVAIL (draining,
 * or n->target is not prepared) or KT_EIO (the journal cannot be written).
 */
KT_MUST_CHECK enum kt_code kt_session_create(struct kt_sessions *reg,
	const struct kt_session_new *n, struct kt_session **out, struct kt_err *err);
/* By id, NULL when there is none. BORROWS until it is deleted. */
struct kt_session *kt_session_get(const struct kt_sessions *reg, const char *id);
/* Newest first: the session that comes after `after` (NULL: the newest); NULL at the end. */
struct kt_session *kt_session_older(const struct kt_sessions *reg, const struct kt_session *after);
/* How many there are. */
size_t kt_sessions_count(const struct kt_sessions *reg);
/* As kt_session_older() and kt_sessions_count(), of the sessions of one project, with control. */
struct kt_session *kt_session_older_of(
	const struct kt_sessions *reg, const char *project_id, const struct kt_session *after);
size_t kt_sessions_count_of(const struct kt_sessions *reg, const char *project_id);
/* Of one project: how many sessions are there, and what all turns took, also of deleted ones. */
struct kt_project_spent {
	const char *org_id, *project_id;
	size_t sessions;
	struct kt_spent spent;
};
/*
 * The next project that has or had sessions (*pos = 0: the first); false at the end. BORROWS until
 * a session is created or deleted.
 */
KT_MUST_CHECK bool kt_sessions_spent(
	const struct kt_sessions *reg, size_t *pos, struct kt_project_spent *out);
/* {"input_tokens","output_tokens","cost_usd"}. */
void kt_spent_write(struct kt_jw *w, const char *key, const struct kt_spent *spent);
/* The project was deleted: its sessions are, too. */
void kt_sessions_delete_of(struct kt_sessions *reg, const char *project_id);
/*
 * Give a session a title: one line of 1 to KT_MAX_TITLE_BYTES, without blanks around it; control
 * characters become blanks. Journaled. Returns KT_OK or KT_EINVAL.
 */
KT_MUST_CHECK enum kt_code kt_session_rename(
	struct kt_session *s, const char *title, struct kt_err *err);
/* Delete with log and harness; watchers get KT_NOTE_GONE. */
void kt_session_delete(struct kt_session *s);

enum kt_on_busy { KT_BUSY_ENQUEUE, KT_BUSY_REJECT, KT_BUSY_INTERRUPT };
/* "enqueue", "reject", "interrupt"; false when unknown. */
KT_MUST_CHECK bool kt_on_busy_parse(const char *s, enum kt_on_busy *out);

struct kt_message {
	const char *text;
	const char *agent; /* or NULL */
	const char *participant_name, *participant_type; /* or NULL */
	bool thinking; /* reason, and surface it */
	bool no_thinking; /* do not reason; neither: as the harness does, not surfaced */
	enum kt_on_busy on_busy;
	struct kt_request_key key; /* remembered with the turn, as above */
	struct kt_origin from;
};
struct kt_sent {
	char turn_id[KT_ID_MAX];
	uint64_t after_seq; /* its events come after this number */
	size_t queued; /* turns before it */
};
/*
 * Send a message: start a turn or queue it.
 * Returns KT_OK, KT_EINVAL (text, agent), KT_ECONFLICT (busy and `reject`, or full), KT_ELIMIT
 * (queue full), KT_EUNAVAIL (draining).
 */
KT_MUST_CHECK enum kt_code kt_session_send(
	struct kt_session *s, const struct kt_message *m, struct kt_sent *out, struct kt_err *err);
/* Stop the running turn; false when none runs. */
bool kt_session_interrupt(struct kt_session *s);
/*
 * An open input: the data of its input_required event, tool_input whole. *out is the caller's
 * reference, also when it is answered meanwhile. Returns KT_OK or KT_ENOTFOUND (never asked, or not
 * open any more).
 */
KT_MUST_CHECK enum kt_code kt_session_input(struct kt_session *s, const char *request_id,
	struct kt_input_doc **out, struct kt_err *err);
/* Its size, and its bytes from `at` on: how many there are in one piece at *out, 0 at the end. */
size_t kt_input_doc_bytes(const struct kt_input_doc *d);
size_t kt_input_doc_at(const struct kt_input_doc *d, size_t at, const char **out);
/* Let go of it, before the registry ends. NULL is fine. */
void kt_input_doc_unref(struct kt_input_doc *d);
/*
 * Answer an open input; answers is a JSON object for KT_ANSWER, else NULL. The event tells `from`,
 * and the audit log when somebody signs for it.
 * Returns KT_OK, KT_ENOTFOUND (not open, nor among the last that were: kt_session_outcome() finds
 * out), KT_ECONFLICT (answered already: *out_first says how), KT_EINVAL (this decision does not
 * fit).
 */
KT_MUST_CHECK enum kt_code kt_session_answer(struct kt_session *s, const char *request_id,
	enum kt_decision decision, const char *answers, const struct kt_origin *from,
	struct kt_answered *out_first, struct kt_err *err);

/*
 * What became of an input that kt_session_answer() does not know, read from the log on a thread.
 * KT_OK: fn(arg, rc, first, err) is called in a later tick, also when the session is deleted
 * meanwhile, but not when the registry is freed; rc is KT_ECONFLICT (it was open once; *first says
 * how it ended), KT_ENOTFOUND (never asked) or KT_EIO. Else it is not called: KT_ENOTFOUND (no such
 * id), KT_ELIMIT (too many such searches, see limits.h) or KT_EIO.
 */
typedef void (*kt_outcome_fn)(
	void *arg, enum kt_code rc, const struct kt_answered *first, const struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_session_outcome(struct kt_session *s, const char *request_id,
	kt_outcome_fn fn, void *arg, struct kt_err *err);

/* Its events have KT_MAX_SESSION_BYTES: it can be read, but takes no message. */
bool kt_session_is_full(struct kt_session *s);

/* Write what is allowed in s beyond single calls, as an array. */
void kt_session_write_approvals(struct kt_jw *w, const char *key, const struct kt_session *s);
/*
 * Take back the approval id, or all of them (NULL): the next such call asks again. Returns how many
 * there were; that they are gone is journaled, and in the audit log when somebody signs for it.
 */
size_t kt_session_revoke(struct kt_session *s, const char *id, const struct kt_origin *from);

/* The log, opened when needed. Returns KT_OK or KT_EIO. */
KT_MUST_CHECK enum kt_code kt_session_log(
	struct kt_session *s, struct kt_evlog **out, struct kt_err *err);
/* The number of its last event, 0 before the first; without opening the log. */
uint64_t kt_session_last_seq(const struct kt_session *s);

/*
 * What a turn said, read back from its session's log, which is the only memory of it: who asks again
 * long after gets the same. Members are NULL that the log has not (yet).
 */
struct kt_turn_said {
	cJSON *user, *assistant; /* messages; `assistant` when it ended, unless it is cut off */
	cJSON *usage, *error; /* as its events have them */
	char *stop_reason, *agent;
	struct kt_assembly reply; /* of the text events, as far as there was room */
};
/*
 * Read a turn: log begins behind the number that kt_session_send() gave with it (after_seq), and is
 * read up to the turn's end. At most max_bytes of its text are held. On any thread, with a scan of
 * the caller's own; *canceled (or NULL) ends it. kt_turn_said_release() ends *out, whatever is
 * returned. Returns KT_OK, also when the log has nothing of it; KT_EIO or KT_ECANCEL.
 */
KT_MUST_CHECK enum kt_code kt_turn_read(struct kt_evscan *log, const char *turn_id,
	size_t max_bytes, const atomic_bool *canceled, struct kt_turn_said *out,
	struct kt_err *err);
/*
 * Append the reply: what its end says when that has all of it, else what the text events say. True
 * when it is whole; else kt_assembly_bytes(&said->reply) is how long it was.
 */
KT_MUST_CHECK bool kt_turn_text(const struct kt_turn_said *said, struct kt_buf *out);
/* Free what is in it; it is zeros then. Zeros are fine. */
void kt_turn_said_release(struct kt_turn_said *said);
/*
 * The number of the event that ends a turn, looked for in max_bytes of events after after_seq, on
 * the loop's thread (kt_evlog_each()); 0: it is not there.
 */
uint64_t kt_turn_end(
	struct kt_evlog *log, const char *turn_id, uint64_t after_seq, size_t max_bytes);

/* Watch a session; several watchers are fine. kt_watch_remove() before the watcher dies. */
void kt_watch_add(struct kt_session *s, struct kt_watch *w);
void kt_watch_remove(struct kt_watch *w);

/* Write the session object of the API (members only, inside an open object). */
void kt_session_write(struct kt_jw *w, const struct kt_session *s);
/* The open input's object, or null. */
void kt_session_write_pending(struct kt_jw *w, const char *key, const struct kt_session *s);

/* Idempotency: what a key was used for. Kept 24 h and over restarts. */
struct kt_idem {
	char session_id[KT_ID_MAX];
	char turn_id[KT_ID_MAX]; /* "" for create */
	uint64_t after_seq;
	uint64_t fingerprint; /* of the request's body */
	int64_t at_us;
};
/* What key was used for in scope ("create", a session's id), NULL when new. */
const struct kt_idem *kt_idem_get(
	const struct kt_sessions *reg, const char *scope, const char *key);

/* No new key in scope: those of its organization have KT_MAX_IDEMPOTENCY_BYTES. */
bool kt_idem_is_full(struct kt_sessions *reg, const char *scope);

#endif
