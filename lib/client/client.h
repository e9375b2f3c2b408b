/* SPDX-License-Identifier: MIT */
/*
 * karta's own API as typed calls: sessions, messages, inputs, interrupts, event streams. Blocking,
 * one thread at a time, over net/curl.h. Everything it hands out came from the server: sanitize it
 * before printing.
 *
 * Answers that are no success become an error: 401 KT_EAUTH, 402 KT_EBUDGET, 403 KT_EDENIED, 404
 * KT_ENOTFOUND, 409 KT_ECONFLICT, 429 and 503 KT_EUNAVAIL, 504 KT_ETIMEOUT, others KT_EIO. The
 * message is what the problem document (RFC 9457) says; of 401, 403 and 404 it is words for people
 * that name key, server, project and what else it is about, with a command as the hint. No server
 * at all is KT_EUNAVAIL with a hint. What every function may return is not repeated below.
 */
#ifndef KT_CLIENT_CLIENT_H
#define KT_CLIENT_CLIENT_H

#include "base/buf.h"
#include "base/err.h"
#include "text/json.h"

#define KT_CLIENT_ID_MAX 64 /* ids of sessions, turns and requests, with NUL */

struct kt_client;

struct kt_client_config {
	const char *url; /* "http://localhost:8000", a path may follow; or "unix:/a/socket" */
	const char *api_key; /* or NULL */
	bool named; /* the address was typed: commands that are suggested repeat it */
	const char *key_from; /* the variable that the key came from, or NULL: it was signed in */
	int64_t timeout_ms; /* of one call that is no stream; 0 = 60 s */
};

/*
 * New client; the strings are copied. The key goes to this server only, and only over https or to
 * this very machine. Returns KT_OK, KT_EINVAL (URL, key) or KT_EDENIED (a key over plain http).
 */
KT_MUST_CHECK enum kt_code kt_client_new(
	const struct kt_client_config *cfg, struct kt_client **out, struct kt_err *err);
/* NULL is fine. */
void kt_client_free(struct kt_client *c);
/* For KT_AUTO_CLIENT: free the client that a variable holds. */
void kt_client_free_at(struct kt_client **at);
#define KT_AUTO_CLIENT __attribute__((cleanup(kt_client_free_at)))
/* The URL without a slash at its end. BORROWS from c. */
const char *kt_client_url(const struct kt_client *c);

/* What GET /v1/dev says about a local server. *out is the caller's, as in all calls below. */
KT_MUST_CHECK enum kt_code kt_client_dev(struct kt_client *c, cJSON **out, struct kt_err *err);
/* Agents and skills. */
KT_MUST_CHECK enum kt_code kt_client_agents(struct kt_client *c, cJSON **out, struct kt_err *err);
/*
 * Create a session; permission_mode is the harness's own word, or NULL. Repeated safely when the
 * answer is lost.
 */
KT_MUST_CHECK enum kt_code kt_client_create(
	struct kt_client *c, const char *permission_mode, cJSON **out, struct kt_err *err);
/* Fetch a session. Returns KT_ENOTFOUND when there is none. */
KT_MUST_CHECK enum kt_code kt_client_get(
	struct kt_client *c, const char *id, cJSON **out, struct kt_err *err);
/* One page of sessions, newest first: at most limit (1 to 200), older than `after` (or NULL). */
KT_MUST_CHECK enum kt_code kt_client_list(
	struct kt_client *c, int64_t limit, const char *after, cJSON **out, struct kt_err *err);
/* Give a session a title: the session as it is then. Returns KT_EINVAL for a bad title. */
KT_MUST_CHECK enum kt_code kt_client_rename(
	struct kt_client *c, const char *id, const char *title, cJSON **out, struct kt_err *err);
/* Delete a session with its events. */
KT_MUST_CHECK enum kt_code kt_client_delete(
	struct kt_client *c, const char *id, struct kt_err *err);
/* One page of events after a sequence number: {data, has_more, last_seq}. */
KT_MUST_CHECK enum kt_code kt_client_events(struct kt_client *c, const char *id, uint64_t after,
	int64_t limit, cJSON **out, struct kt_err *err);
/* Interrupt the running turn; *out_was is false when none ran. */
KT_MUST_CHECK enum kt_code kt_client_interrupt(
	struct kt_client *c, const char *id, bool *out_was, struct kt_err *err);
/* An open input with its tool_input whole: the data of its input_required event. KT_ENOTFOUND. */
KT_MUST_CHECK enum kt_code kt_client_input(struct kt_client *c, const char *id,
	const char *request_id, cJSON **out, struct kt_err *err);
/* What a session may do without asking: {data}. */
KT_MUST_CHECK enum kt_code kt_client_approvals(
	struct kt_client *c, const char *id, cJSON **out, struct kt_err *err);
/* Revoke one approval, or all of them (NULL): {revoked}. Returns KT_ENOTFOUND. */
KT_MUST_CHECK enum kt_code kt_client_revoke(struct kt_client *c, const char *id,
	const char *approval_id, cJSON **out, struct kt_err *err);
/*
 * Answer an input with a body like {"decision":"approve_once"}; does not wait for what follows.
 * Returns KT_ENOTFOUND (never asked) or KT_ECONFLICT (answered already).
 */
KT_MUST_CHECK enum kt_code kt_client_answer(struct kt_client *c, const char *id,
	const char *request_id, const char *body, struct kt_err *err);

struct kt_client_message {
	const char *text;
	const char *agent; /* or NULL: the session's */
	const char *on_busy; /* "enqueue", "reject", "interrupt" or NULL */
	const char *idempotency_key; /* or NULL: one is made */
	bool thinking;
};

/*
 * Send a message and do not wait: its events come through kt_client_follow(). Repeated with one
 * idempotency key when the answer is lost. out_turn_id holds KT_CLIENT_ID_MAX bytes.
 */
KT_MUST_CHECK enum kt_code kt_client_post(struct kt_client *c, const char *id,
	const struct kt_client_message *m, char *out_turn_id, struct kt_err *err);

/* One event. Pointers are valid during the call only. */
struct kt_client_event {
	uint64_t seq;
	const char *type; /* "text", ... */
	const char *turn_id; /* or NULL */
	const char *parent; /* parent_tool_use_id, or NULL */
	int64_t time_ms; /* since 1970, 0 when not told */
	const cJSON *data; /* its member, or NULL */
	const cJSON *doc; /* the envelope */
	const char *json; /* its text, one line */
	size_t json_len;
};

enum kt_client_state {
	KT_CLIENT_OPEN, /* the stream is there */
	KT_CLIENT_LOST, /* it broke; the next try follows by itself */
};

/*
 * An event stream that outlives connections: each event is given exactly once, in order, whatever
 * happens to the connection or the server. Zero it, fill the first part, call kt_client_follow();
 * when that returned KT_ECANCEL it may be called again and goes on where it was.
 */
struct kt_client_follow {
	const char *session_id;
	/* The first connection sends this message and the stream ends with its turn; or NULL. */
	const struct kt_client_message *message;
	uint64_t cursor; /* last sequence number seen; the stream begins after it */
	char turn_id[KT_CLIENT_ID_MAX]; /* end with this turn; found by itself for a message */
	bool until_idle; /* end when no turn runs or waits any more */
	int64_t give_up_ms; /* without a connection for so long: KT_EUNAVAIL; 0 = never */
	/* Return false to stop after this event. */
	bool (*event)(void *arg, const struct kt_client_event *ev);
	/* At least every 100 ms and when watch_fd is readable; false to stop. Or NULL. */
	bool (*poll)(void *arg);
	void (*state)(void *arg, enum kt_client_state state); /* or NULL */
	void *arg;
	int watch_fd; /* 0 or less = none */
	/* The module's. */
	char key[KT_CLIENT_ID_MAX];
	bool sent;
};

/*
 * Follow. Returns KT_OK (it ended as asked), KT_ECANCEL (a callback stopped it), KT_ENOTFOUND (no
 * such session), KT_EPROTO (the end of the turn is no longer kept by the server).
 */
KT_MUST_CHECK enum kt_code kt_client_follow(
	struct kt_client *c, struct kt_client_follow *f, struct kt_err *err);
/*
 * The whole answer of a message that was followed to its end. A lost connection does not lose it. A
 * turn that failed is an error with its message.
 */
KT_MUST_CHECK enum kt_code kt_client_result(
	struct kt_client *c, const struct kt_client_follow *f, cJSON **out, struct kt_err *err);

/* --- the management API (docs/api.md) ---------------------------------------------------- */

/*
 * Any call: method and path ("/agent_projects/x/releases"; encode with kt_url_segment()), body is
 * JSON text or NULL. A POST, PATCH or PUT carries an Idempotency-Key of its own and is repeated
 * when the answer is lost. *out is NULL for an answer without a body; out may be NULL. After a
 * failure kt_client_problem() tells more.
 */
KT_MUST_CHECK enum kt_code kt_client_call(struct kt_client *c, const char *method, const char *path,
	const char *body, cJSON **out, struct kt_err *err);
/*
 * The problem document of the last call that failed: `code` and whatever members it has. NULL when
 * there was none. BORROWS until the next call.
 */
const cJSON *kt_client_problem(const struct kt_client *c);
/* How to get a key with scope admin, as the hint of err. Returns its code. */
enum kt_code kt_client_hint_admin(const struct kt_client *c, struct kt_err *err);
/* Download: 2xx bodies go to fd. */
KT_MUST_CHECK enum kt_code kt_client_download(
	struct kt_client *c, const char *path, int fd, struct kt_err *err);
/* Append one path segment, percent-encoded. */
void kt_url_segment(struct kt_buf *out, const char *segment);

/*
 * Follow any event stream of the server that resumes by Last-Event-ID (logs of projects and
 * builds): across lost connections and server restarts, each event once, in order.
 */
struct kt_client_tail {
	const char *path; /* with its query, without `after` */
	uint64_t cursor; /* begin after this number; moves with each event */
	bool from_start_given; /* cursor is meant: send it also when 0 */
	bool once; /* the server ends it by itself: a proper end is the end */
	int64_t give_up_ms; /* without a connection for so long: KT_EUNAVAIL; 0 = never */
	/* Return false to stop after this event (then KT_OK). */
	bool (*event)(void *arg, const struct kt_client_event *ev);
	bool (*poll)(void *arg); /* at least every 100 ms; false to stop (KT_ECANCEL); or NULL */
	void (*state)(void *arg, enum kt_client_state state); /* or NULL */
	void *arg;
};
/* Returns KT_OK (the server ended it for good, or event() did), KT_ECANCEL, KT_ENOTFOUND, ... */
KT_MUST_CHECK enum kt_code kt_client_tail(
	struct kt_client *c, struct kt_client_tail *t, struct kt_err *err);

/* A publish, by the protocol of docs/api.md "Publish". */
struct kt_tree;
struct kt_client_publish {
	const char *project;
	struct kt_tree *tree; /* NULL: redeploy commit_sha from what the server has */
	const char *git_dir; /* where manifests are remembered, or NULL */
	const char *commit_sha, *ref, *message, *source; /* or NULL */
	/*
	 * Digest of the live release when the caller has asked for the refs, "" = there is none;
	 * NULL = not known, it is asked for.
	 */
	const char *live_digest;
	const char *live_commit; /* of the live release, which git may have; or NULL */
	const char *expected; /* commit the ref is at as far as we know, "" = new; NULL = any */
	const char *const *env; /* "K=V", NULL-terminated, or NULL */
	int64_t pr; /* 0 = none */
	bool fork, force, no_activate, preview;
	bool unpin; /* end the pin when it becomes active */
	bool no_wait; /* return when the server has taken it */
	/*
	 * The release object need not be whole: its id, version, state, what stands beside it, and
	 * a few more. The server then tells the build in a tenth of the bytes.
	 */
	bool brief;
	/* Build log, line by line; or NULL. */
	void (*log)(void *arg, const char *level, const char *text);
	/* Bytes sent of all (total 0 = not known yet); or NULL. */
	void (*progress)(void *arg, int64_t done, int64_t total);
	bool (*poll)(void *arg); /* false: let go (KT_ECANCEL); the server goes on; or NULL */
	void *arg;
};
/*
 * Would this publish be held by the project's pin? `refs` is the project's answer to .../refs.
 * Returns KT_OK, or KT_ECONFLICT ("held at v1 since ..."): the caller adds what lets go as a hint.
 */
KT_MUST_CHECK enum kt_code kt_client_publish_held(
	const struct kt_client_publish *p, const cJSON *refs, struct kt_err *err);
/*
 * Follow the build of a release that is on its way to its end, with the log(), poll(), arg and
 * project of p alone; the rest as kt_client_publish().
 */
KT_MUST_CHECK enum kt_code kt_client_follow_release(struct kt_client *c,
	const struct kt_client_publish *p, const char *release_id, cJSON **out, struct kt_err *err);
/*
 * Publish and follow the build to its end. What the server lacks is sent by a second thread packing
 * and this one sending. A lost connection is repaired: what was received is kept there.
 *
 * *out is the release object (the caller's) with `activated`, `pinned` and `took_ms` added where
 * the server told them; NULL when there is none. It is set also when the build failed (KT_EIO; its
 * "error" says why) and when it was let go (KT_ECANCEL; perhaps with its "id" alone).
 * Returns KT_OK, KT_ECONFLICT (stored but not live, *out is set; or held by a pin, or the ref
 * moved, or others: kt_client_problem() has the code), KT_EIO (build failed), KT_ECANCEL, KT_EAUTH,
 * ...
 */
KT_MUST_CHECK enum kt_code kt_client_publish(
	struct kt_client *c, const struct kt_client_publish *p, cJSON **out, struct kt_err *err);

#endif
