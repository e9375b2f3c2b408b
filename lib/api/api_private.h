/* SPDX-License-Identifier: MIT */
/* What the files of lib/api share. */
#ifndef KT_API_API_PRIVATE_H
#define KT_API_API_PRIVATE_H

#include "api/api.h"
#include "control/control.h"
#include "crypto/crypto.h"

#include <cjson/cJSON.h>

/* The routes that are there at one kind of place. */
struct kt_table {
	struct kt_route *routes;
	unsigned *scopes; /* enum kt_scope that the route of the same index needs; 0 = none */
	int64_t *max_body; /* bytes that its body may have */
	size_t n;
};

struct kt_api {
	struct kt_api_config cfg;
	bool draining;
	struct kt_table own, project; /* at the server itself; below a project */
	struct kt_table named; /* at a project's own host */
	/* A hosting server. */
	char *public_host; /* or NULL */
	char *public_origin; /* "https://karta.example:444", or NULL */
	char *base_url; /* public_url without a slash at its end, or NULL */
	char *prefix; /* "/base" or "" */
	struct kt_later *laters;
	struct kt_parse *parses;
	struct reply *replies; /* of reply.c: those that a thread reads */
	struct kt_creation *creations; /* sessions on their way, with their idempotency keys */
	struct kt_guard *guards;
	struct kt_timer *guard_timer;
	char **unpacked; /* of assets.c: what was asked for; by its place in cfg.pages */
};

/* Who calls a hosting server, and what for. */
struct kt_caller {
	struct kt_principal who; /* key_id "" = nobody, on routes that are for all */
	struct kt_target target; /* project_id "" = the call names no project */
	char peer[64]; /* address; behind a trusted proxy the one it names */
	bool proxied; /* somebody in between forwarded it */
	bool told; /* peer is who a trusted proxy names */
	char base_url[400]; /* how this caller reaches the server */
	/*
	 * As its browser has them: the name asked for, its port (0 = none named), a proxy's https.
	 */
	char host[300];
	int port;
	bool https;
	char label[64]; /* of a project's own host, else "" */
};

/* One call on its way through a handler. */
struct kt_call {
	struct kt_api *api;
	struct kt_exchange *ex;
	const struct kt_request *rq;
	bool project; /* reached by the project family: answers name the project */
	struct kt_caller *by; /* NULL on a local server */
	struct kt_parse *parsed; /* the body, when a thread has parsed it; or NULL */
};

typedef void (*kt_call_fn)(struct kt_call *c, const struct kt_params *p);

/* host.c: where a call goes, on a hosting server */
enum kt_place_kind {
	KT_PLACE_OWN, /* the server itself */
	KT_PLACE_LABEL, /* a project's or preview's host: `name` */
	KT_PLACE_REF, /* /v1/projects/{name}/... */
	KT_PLACE_PATH, /* /{org}/{name}/v1/... */
};
struct kt_place {
	enum kt_place_kind kind;
	char org[64], name[64];
	char path[1024]; /* what is left for the routes */
};
/*
 * Look at Host, Origin and path; fills c->by's peer and base_url. Answers the call itself (421,
 * 403) and returns false when it must go no further.
 */
KT_MUST_CHECK bool kt_api_place(struct kt_call *c, struct kt_place *out);
/* Something in between forwarded the call, or may have without a word. */
bool kt_api_is_proxied(const struct kt_call *c);
/* Names of this machine that need no network: "localhost", "x.localhost", 127.0.0.1, ::1. */
bool kt_api_is_loopback_name(const char *host);
/* "http://localhost:8000" names this host and port (0 = none named). */
bool kt_api_same_origin(const char *origin, const char *host, int port);
/* Set up and release the strings of struct kt_api that host.c uses. */
void kt_api_host_init(struct kt_api *api);
void kt_api_host_release(struct kt_api *api);

/* "support-bot" of "support-bot.karta.example"; false when host is no project's name here. */
KT_MUST_CHECK bool kt_api_label_of(
	const struct kt_api *api, const char *host, char *out, size_t size);

/* web.c: browsers that are signed in */
/* A page of this server asks. */
bool kt_api_from_page(const struct kt_request *rq);
/* What the browser was given to be signed in with, when this call may be made with it. */
KT_MUST_CHECK bool kt_api_web_token(const struct kt_call *c, char out[KT_WEB_TOKEN_MAX]);
/* The address of the server itself, as the browser that asks reaches it. */
void kt_api_web_server(const struct kt_call *c, char *out, size_t size);
/* The member of a 401 that tells a page where one signs in. */
void kt_api_web_where(struct kt_call *c, char *out, size_t size);

/* local.c: servers that ask for no key */
/* Name of a header that says that something in between passed the request on, or NULL. */
const char *kt_api_forwarded_by(const struct kt_request *rq);
/*
 * From this machine, passed on by nothing, and no other site's page made it? Answers 403 itself and
 * returns false. Host and Origin are looked at besides.
 */
KT_MUST_CHECK bool kt_api_admit_keyless(struct kt_call *c);
/* A page of any site can send a body of this type (NULL = none) without asking first. */
bool kt_api_is_simple_type(const char *type);
/* From the first key on, wherever it came from, every request needs one. */
bool kt_api_asks_for_keys(const struct kt_api *api);
/* A server that asks for no key makes none. Answers 409 itself and returns false. */
KT_MUST_CHECK bool kt_api_has_keys(struct kt_call *c);

/* auth.c */
#define KT_API_EITHER 0x200 /* one of the scopes is enough */
/*
 * Who calls, and may they (all of scopes, or with KT_API_EITHER one of them): fills c->by->who.
 * Answers 401, 403, 503 itself and returns false.
 */
KT_MUST_CHECK bool kt_api_authorize(struct kt_call *c, unsigned scopes);
/* False when a limit of what may be in flight refused: answers 429 or 503, naming it. */
KT_MUST_CHECK bool kt_api_fits(struct kt_call *c, enum kt_budget_limit limit);
/*
 * What is kept for the call counts for this organization and key from now on (NULL on a local
 * server). Answers 429 or 503 itself and returns false when they have too much in flight.
 */
KT_MUST_CHECK bool kt_api_count(struct kt_call *c, const char *org, const char *key);
/* Who does it, for lib/control. BORROWS both. On a hosting server. */
struct kt_actor kt_api_actor(const struct kt_caller *by, const char *request_id);
/* Who calls, for a session. What came through something in between is never from this machine. */
struct kt_origin kt_api_origin(const struct kt_call *c);
/* Answer 404: there is no such project, or it is not the caller's. Returns false. */
bool kt_api_no_project(struct kt_call *c);
/* The project of a place, into c->by->target. Answers 404 itself and returns false. */
KT_MUST_CHECK bool kt_api_resolve(struct kt_call *c, const struct kt_place *place);
/* The project `ref` of the caller's organization. Answers 404 itself and returns false. */
KT_MUST_CHECK bool kt_api_resolve_ref(struct kt_call *c, const char *ref);
/*
 * The project of a call at the server itself: ref, or when that is NULL or "" the organization's
 * default one, or its only one. Answers 404 or 422, which names the choices, itself and returns
 * false.
 */
KT_MUST_CHECK bool kt_api_resolve_flat(struct kt_call *c, const char *ref);
/* True when the project of the call has a release to run; else answers 409. */
KT_MUST_CHECK bool kt_api_has_release(struct kt_call *c);
/* The session is one that the caller may know of. */
bool kt_api_visible(const struct kt_call *c, const struct kt_session *s);
/*
 * Watches the key of a stream and the project it is of: revoked(arg) soon after the key stopped
 * being good or the project was deleted. Embedded in what owns the stream; nothing happens on a
 * local server. Its fn must not free it at once.
 */
struct kt_guard {
	struct kt_guard *prev, *next;
	struct kt_api *api; /* NULL = not on the list */
	char bearer[KT_API_KEY_LEN + 1];
	char web[KT_DIGEST_MAX]; /* a browser's session, instead; with neither there are no keys */
	char project_id[KT_ID_MAX]; /* "" = of no project */
	kt_loop_fn revoked;
	void *arg;
};
void kt_api_guard_add(struct kt_call *c, struct kt_guard *g, kt_loop_fn revoked, void *arg);
void kt_api_guard_remove(struct kt_guard *g);
/* Look at every guard of an API (arg) now: a key was revoked, or the timer says so. */
void kt_api_guards_look(void *arg);

/* later.c: calls that are answered later */
struct kt_later {
	struct kt_call c; /* ex is NULL once the client has left */
	struct kt_caller caller;
	struct kt_actor actor;
	char request_id[40];
	void *data; /* the handler's own */
	void (*free_data)(void *data); /* or NULL */
	struct kt_later *prev, *next;
};
/* Keep what an answer later needs. TAKES data. kt_api_later_free() ends it, when answered. */
KT_MUST_CHECK struct kt_later *kt_api_later(
	struct kt_call *c, void *data, void (*free_data)(void *data));
void kt_api_later_free(struct kt_later *l);
/*
 * A kt_result_fn: give the result to the client, if it is still there, and free arg (a kt_later).
 */
void kt_api_answered(void *arg, const struct kt_result *r);
/*
 * Call fn(c, data) when all that was journaled is on disk, then free data; at once on a local
 * server. fn has to answer; it is not called when the client left or the disk failed.
 */
typedef void (*kt_durable_fn)(struct kt_call *c, void *data);
void kt_api_durable(struct kt_call *c, kt_durable_fn fn, void *data, void (*free_data)(void *data));
/* Preconditions of a change, from the headers. */
struct kt_pre {
	struct kt_precond pre;
	char key[256], scope[200], fingerprint[24];
};
/* `what` is the operation, ref its object. Answers 400 itself and returns false. */
KT_MUST_CHECK bool kt_api_pre(
	struct kt_call *c, const char *what, const char *ref, struct kt_pre *out);

/* parse.c: bodies that a thread parses */
/*
 * Have a large body parsed on a thread, after which the request is handled again; also answers the
 * call itself when that cannot be. False: go on, there is nothing to wait for.
 */
KT_MUST_CHECK bool kt_api_parse_ahead(struct kt_call *c);
/* What came of it; *out is the caller's. */
KT_MUST_CHECK enum kt_code kt_api_parse_take(struct kt_parse *p, cJSON **out, struct kt_err *err);
/* Parse the text of a body here and now. Thread-safe. */
KT_MUST_CHECK enum kt_code kt_api_parse_text(
	const char *s, size_t len, cJSON **out, struct kt_err *err);
/* End those under way. */
void kt_api_parses_end(struct kt_api *api);
/* routes.c: handle a request whose body was parsed. */
void kt_api_handle_parsed(struct kt_api *api, struct kt_exchange *ex, struct kt_parse *parsed);

/* respond.c */
/* Answer with a problem: code is stable, detail a sentence. extra: further members or NULL. */
void kt_api_fail(
	struct kt_call *c, int status, const char *code, const char *detail, const char *extra);
/* Answer with the problem that err is. */
void kt_api_fail_err(struct kt_call *c, const struct kt_err *err);
/* Answer with what the control plane says. */
void kt_api_result(struct kt_call *c, const struct kt_result *r);
/*
 * The body as a JSON object (empty body: an empty object). Answers the call itself and returns
 * false when it is none.
 */
KT_MUST_CHECK bool kt_api_body(struct kt_call *c, cJSON **out);
/*
 * The same for what changes a hosting server: 422 for a member that is none of these (NULL ends
 * them), since a misspelt one must not be as if it were absent.
 */
KT_MUST_CHECK bool kt_api_change(struct kt_call *c, const char *const *members, cJSON **out);
/* String member that may be absent or null; answers 422 and returns false for other types. */
KT_MUST_CHECK bool kt_api_opt_str(
	struct kt_call *c, const cJSON *body, const char *key, const char **out);
KT_MUST_CHECK bool kt_api_opt_bool(
	struct kt_call *c, const cJSON *body, const char *key, bool *out);
/*
 * Query parameter that may be absent: then out is "". Answers 400 and returns false when it is too
 * long for out or badly encoded.
 */
KT_MUST_CHECK bool kt_api_query(struct kt_call *c, const char *name, char *out, size_t size);
/* As kt_api_query() for a number from min to max; *out stays as it is when absent. */
KT_MUST_CHECK bool kt_api_query_int(
	struct kt_call *c, const char *name, int64_t min, int64_t max, int64_t *out);
/* True when the client prefers not to wait (RFC 7240). */
bool kt_api_async(const struct kt_request *rq);
/* True when Accept names text/event-stream / asks for JSON. */
bool kt_api_accepts(const struct kt_request *rq, const char *type);
/* The session of the path; answers 404 and returns NULL when there is none. */
struct kt_session *kt_api_session(struct kt_call *c, const char *id);
/* Answer with a session object. */
void kt_api_send_session(struct kt_call *c, int status, const struct kt_session *s);
/* The session object, with its project and release where the answer names them. */
void kt_api_write_session(struct kt_jw *w, struct kt_call *c, const struct kt_session *s);
/* `project`, where the answer names it. */
void kt_api_write_project(struct kt_jw *w, struct kt_call *c, const struct kt_session *s);

/* idempotency.c */
struct kt_key {
	char key[256]; /* "" = none was sent */
	uint64_t fingerprint;
	const struct kt_idem *seen; /* what it was used for, NULL when new */
};
/* The Idempotency-Key header, "" when there is none; answers 400 itself and returns false. */
KT_MUST_CHECK bool kt_api_key_header(struct kt_call *c, char out[256]);
/* Tells one body from another. */
uint64_t kt_api_fingerprint(const char *s, size_t len);
/* Read the header; answers the call itself (400, 422) and returns false when it cannot be used. */
KT_MUST_CHECK bool kt_api_key(struct kt_call *c, const char *scope, struct kt_key *out);

/* evpipe.c: the bytes of a log as the answer to a request */
struct kt_evpipe {
	struct kt_exchange *ex;
	struct kt_evreader *reader; /* NULL once its log is gone */
	struct kt_loop *loop;
	struct kt_defer finish;
	struct kt_guard guard;
	bool ended;
	kt_loop_fn woke; /* there is something new, before it is sent; or NULL */
	kt_loop_fn closed; /* last call: the owner frees itself */
	void *arg;
};
/* Attach to log after a number; kt_evpipe_begin() starts the answer. */
void kt_evpipe_open(struct kt_evpipe *p, struct kt_call *c, struct kt_evlog *log,
	uint64_t after_seq, kt_loop_fn closed, void *arg);
/* Begin the answer. May call closed() at once (HEAD): the owner is not touched any more. */
void kt_evpipe_begin(struct kt_evpipe *p);
/* End at the log's present end, or after a number that is in it. */
void kt_evpipe_stop_here(struct kt_evpipe *p);
void kt_evpipe_stop_after(struct kt_evpipe *p, uint64_t seq);
/* The log goes away: let go of it now, and end. */
void kt_evpipe_drop(struct kt_evpipe *p);
/* evpage.c: a page of a log as JSON */
struct kt_page_of {
	struct kt_evlog *log;
	uint64_t after;
	size_t max_events;
	struct kt_session *session; /* whose log it is, or NULL */
	bool session_too; /* {"events":..,"session":{..}} instead of {"data":..} */
	bool growing; /* more will come, so there is more */
};
/* Answer with whole events of at most KT_MAX_PAGE_BYTES, as the client takes them. */
void kt_api_page_of_log(struct kt_call *c, const struct kt_page_of *of);
/* True when the answer should be an event stream. */
bool kt_api_wants_stream(const struct kt_request *rq);
/*
 * The cursor: Last-Event-ID (a reconnect) before ?after= (which EventSource repeats unchanged).
 * *out_given is false when neither is there. Answers 400 itself and returns false.
 */
KT_MUST_CHECK bool kt_api_cursor(struct kt_call *c, uint64_t *out, bool *out_given);

/* stream.c */
struct kt_stream_start {
	uint64_t after_seq;
	const char *turn_id; /* end with this turn's end, or NULL */
	bool until_idle; /* end when no turn runs */
};
void kt_api_stream(struct kt_call *c, struct kt_session *s, const struct kt_stream_start *start);

/* wait.c: unary answers */
void kt_api_wait_turn(
	struct kt_call *c, struct kt_session *s, const char *turn_id, uint64_t after_seq);
void kt_api_wait_events(struct kt_call *c, struct kt_session *s, uint64_t after_seq);
/* True while the turn runs or waits in the queue. */
bool kt_api_turn_open(const struct kt_session *s, const char *turn_id);

/* reply.c: answer with what a turn said that has ended or is paused, from the log */
void kt_api_reply(struct kt_call *c, struct kt_session *s, const char *turn_id, uint64_t after_seq);
/* The server ends. */
void kt_api_replies_end(struct kt_api *api);

/* publish.c, releases.c */
/* True when this request's body is an archive or a document of its own size. */
bool kt_api_is_publish(const struct kt_route *r);
/* The build's log as a stream; answers the call. release is an id or "v7". */
void kt_api_build_stream(struct kt_call *c, const char *ref, const char *release);

/* sessions.c, messages.c, approvals.c, meta.c: handlers */
void kt_api_sessions_create(struct kt_call *c, const struct kt_params *p);
void kt_api_sessions_list(struct kt_call *c, const struct kt_params *p);
void kt_api_sessions_get(struct kt_call *c, const struct kt_params *p);
void kt_api_sessions_change(struct kt_call *c, const struct kt_params *p);
void kt_api_sessions_delete(struct kt_call *c, const struct kt_params *p);
void kt_api_messages_send(struct kt_call *c, const struct kt_params *p);
void kt_api_inputs_get(struct kt_call *c, const struct kt_params *p);
void kt_api_inputs_put(struct kt_call *c, const struct kt_params *p);
void kt_api_approvals_list(struct kt_call *c, const struct kt_params *p);
void kt_api_approvals_revoke(struct kt_call *c, const struct kt_params *p);
void kt_api_approvals_clear(struct kt_call *c, const struct kt_params *p);
void kt_api_interrupt(struct kt_call *c, const struct kt_params *p);
void kt_api_events(struct kt_call *c, const struct kt_params *p);
void kt_api_agents(struct kt_call *c, const struct kt_params *p);
void kt_api_dev(struct kt_call *c, const struct kt_params *p);
void kt_api_openapi(struct kt_call *c, const struct kt_params *p);
void kt_api_healthz(struct kt_call *c, const struct kt_params *p);
void kt_api_readyz(struct kt_call *c, const struct kt_params *p);
void kt_api_harnesses(struct kt_call *c, const struct kt_params *p);
/*
 * projects.c, releases.c, publish.c, deploys.c, config.c, keys.c, audit.c, device.c, webhooks.c,
 * logs.c: handlers of a hosting server
 */
void kt_api_projects_list(struct kt_call *c, const struct kt_params *p);
void kt_api_projects_create(struct kt_call *c, const struct kt_params *p);
void kt_api_projects_get(struct kt_call *c, const struct kt_params *p);
void kt_api_projects_change(struct kt_call *c, const struct kt_params *p);
void kt_api_projects_delete(struct kt_call *c, const struct kt_params *p);
void kt_api_refs_list(struct kt_call *c, const struct kt_params *p);
void kt_api_refs_delete(struct kt_call *c, const struct kt_params *p);
void kt_api_releases_publish(struct kt_call *c, const struct kt_params *p);
void kt_api_releases_list(struct kt_call *c, const struct kt_params *p);
void kt_api_releases_get(struct kt_call *c, const struct kt_params *p);
void kt_api_releases_manifest(struct kt_call *c, const struct kt_params *p);
void kt_api_releases_archive(struct kt_call *c, const struct kt_params *p);
void kt_api_releases_log(struct kt_call *c, const struct kt_params *p);
void kt_api_releases_activate(struct kt_call *c, const struct kt_params *p);
void kt_api_projects_activate(struct kt_call *c, const struct kt_params *p);
void kt_api_projects_rollback(struct kt_call *c, const struct kt_params *p);
void kt_api_projects_pin(struct kt_call *c, const struct kt_params *p);
void kt_api_projects_unpin(struct kt_call *c, const struct kt_params *p);
void kt_api_deploys_create(struct kt_call *c, const struct kt_params *p);
void kt_api_deploys_get(struct kt_call *c, const struct kt_params *p);
void kt_api_config_get(struct kt_call *c, const struct kt_params *p);
void kt_api_config_change(struct kt_call *c, const struct kt_params *p);
void kt_api_logs(struct kt_call *c, const struct kt_params *p);
void kt_api_whoami(struct kt_call *c, const struct kt_params *p);
void kt_api_keys_list(struct kt_call *c, const struct kt_params *p);
void kt_api_keys_create(struct kt_call *c, const struct kt_params *p);
void kt_api_keys_revoke(struct kt_call *c, const struct kt_params *p);
void kt_api_audit_list(struct kt_call *c, const struct kt_params *p);
void kt_api_audit_verify(struct kt_call *c, const struct kt_params *p);
void kt_api_device_code(struct kt_call *c, const struct kt_params *p);
void kt_api_device_token(struct kt_call *c, const struct kt_params *p);
void kt_api_device_get(struct kt_call *c, const struct kt_params *p);
void kt_api_device_decide(struct kt_call *c, const struct kt_params *p);
void kt_api_usage(struct kt_call *c, const struct kt_params *p);
void kt_api_web_sign_in(struct kt_call *c, const struct kt_params *p);
void kt_api_web_sign_out(struct kt_call *c, const struct kt_params *p);
void kt_api_web_hand_over(struct kt_call *c, const struct kt_params *p);
void kt_api_github(struct kt_call *c, const struct kt_params *p);
/*
 * An embedded page; false when there is none at this path. place is NULL on a local server.
 */
bool kt_api_page(struct kt_call *c, const struct kt_place *place);
/* What all pages are sent with. */
void kt_api_page_headers(struct kt_call *c);
/* What is embedded under a path, or NULL. */
const struct kt_asset *kt_api_asset(const struct kt_api *api, const char *path);
/* Its bytes, not as gzip; NULL when they cannot be had, which was logged. */
const char *kt_api_asset_bytes(struct kt_api *api, const struct kt_asset *a, size_t *out_len);
/* Answer with it, as gzip to who takes that. */
void kt_api_send_asset(struct kt_call *c, const struct kt_asset *a);
void kt_api_assets_release(struct kt_api *api);
/* oops.c: the style of its page, which is the same at any name. */
bool kt_api_is_style(const char *path);
/* oops.c: answer a person's browser with a page about a problem; false: it is for JSON. */
KT_MUST_CHECK bool kt_api_problem_page(struct kt_call *c, int status, const char *detail);

#endif
