/* SPDX-License-Identifier: MIT */
/* The API and its calls; reading what they ask and answering them. */
#ifndef KT_API_CORE_PRIVATE_H
#define KT_API_CORE_PRIVATE_H

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
	struct reply *replies; /* of sessions/reply.c: those that a thread reads */
	struct kt_creation *creations; /* sessions on their way, with their idempotency keys */
	struct kt_guard *guards;
	struct kt_listener keys;
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

/* ask.c: what a request says of the answer it wants */
/* True when the client prefers not to wait (RFC 7240). */
bool kt_api_async(const struct kt_request *rq);
/* True when Accept names text/event-stream / asks for JSON. */
bool kt_api_accepts(const struct kt_request *rq, const char *type);
/* True when the answer should be an event stream. */
bool kt_api_wants_stream(const struct kt_request *rq);
/* True when it should be lines of text: it is what Accept names first. */
bool kt_api_wants_lines(const struct kt_request *rq);
/* A page of this server asks. */
bool kt_api_from_page(const struct kt_request *rq);

/* assets.c: what is embedded */
/* What is embedded under a path, or NULL. */
const struct kt_asset *kt_api_asset(const struct kt_api *api, const char *path);
/* Its bytes, not as gzip; NULL when they cannot be had, which was logged. */
const char *kt_api_asset_bytes(struct kt_api *api, const struct kt_asset *a, size_t *out_len);
void kt_api_assets_release(struct kt_api *api);
/* What all pages are sent with. */
void kt_api_page_headers(struct kt_call *c);
/* The style of the page about a problem, which is the same at any name. */
bool kt_api_is_style(const char *path);

/* oops.c */
/* Answer a person's browser with a page about a problem; false: it is for JSON. */
KT_MUST_CHECK bool kt_api_problem_page(struct kt_call *c, int status, const char *detail);

/* respond.c */
/* Answer with a problem: code is stable, detail a sentence. extra: further members or NULL. */
void kt_api_fail(
	struct kt_call *c, int status, const char *code, const char *detail, const char *extra);
/* Answer with the problem that err is. */
void kt_api_fail_err(struct kt_call *c, const struct kt_err *err);
/* Answer with what the control plane says. */
void kt_api_result(struct kt_call *c, const struct kt_result *r);

/* body.c */
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

/* parse.c: bodies that a thread parses */
/* A body was parsed, well or not: kt_api_parse_take() says. BORROWS parsed. */
typedef void (*kt_parsed_fn)(struct kt_api *api, struct kt_exchange *ex, struct kt_parse *parsed);
/*
 * Have a large body parsed on a thread, after which on_parsed() handles the request again; also
 * answers the call itself when that cannot be. False: go on, there is nothing to wait for.
 */
KT_MUST_CHECK bool kt_api_parse_ahead(struct kt_call *c, kt_parsed_fn on_parsed);
/* What came of it; *out is the caller's. */
KT_MUST_CHECK enum kt_code kt_api_parse_take(struct kt_parse *p, cJSON **out, struct kt_err *err);
/* Parse the text of a body here and now. Thread-safe. */
KT_MUST_CHECK enum kt_code kt_api_parse_text(
	const char *s, size_t len, cJSON **out, struct kt_err *err);
/* End those under way. */
void kt_api_parses_end(struct kt_api *api);

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

#endif
