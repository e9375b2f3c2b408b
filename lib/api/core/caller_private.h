/* SPDX-License-Identifier: MIT */
/* Who calls, from where and for which project; what the caller may see. */
#ifndef KT_API_CALLER_PRIVATE_H
#define KT_API_CALLER_PRIVATE_H

#include "api/core/core_private.h"

/* names.c */
/* Names of this machine that need no network: "localhost", "x.localhost", 127.0.0.1, ::1. */
bool kt_api_is_loopback_name(const char *host);
/* "http://localhost:8000" names this host and port (0 = none named). */
bool kt_api_same_origin(const char *origin, const char *host, int port);
/* "support-bot" of "support-bot.karta.example"; false when host is no project's name here. */
KT_MUST_CHECK bool kt_api_label_of(
	const struct kt_api *api, const char *host, char *out, size_t size);
/* The address of the server itself, as the browser that asks reaches it. */
void kt_api_web_server(const struct kt_call *c, char *out, size_t size);
/* The member of a 401 that tells a page where one signs in. */
void kt_api_web_where(struct kt_call *c, char *out, size_t size);

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
/* Set up and release the strings of struct kt_api that host.c uses. */
void kt_api_host_init(struct kt_api *api);
void kt_api_host_release(struct kt_api *api);

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

/* cookie.c: browsers that are signed in, on a hosting server */
/* What the browser was given to be signed in with, when this call may be made with it. */
KT_MUST_CHECK bool kt_api_web_token(const struct kt_call *c, char out[KT_WEB_TOKEN_MAX]);
/* Give it this token for so long; "" and 0 take it away. */
void kt_api_set_cookie(struct kt_call *c, const char *token, int64_t age_s);
/* All that the browser says of the page that asks: it is this very origin's. */
KT_MUST_CHECK bool kt_api_is_own_page(const struct kt_call *c);
/* It reaches this server by https. */
bool kt_api_is_https(const struct kt_call *c);

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

/* session.c: sessions as callers see them */
/* The session of the path; answers 404 and returns NULL when there is none. */
struct kt_session *kt_api_session(struct kt_call *c, const char *id);
/* Answer with a session object. */
void kt_api_send_session(struct kt_call *c, int status, const struct kt_session *s);
/* The session object, with its project and release where the answer names them. */
void kt_api_write_session(struct kt_jw *w, struct kt_call *c, const struct kt_session *s);
/* `project`, where the answer names it. */
void kt_api_write_project(struct kt_jw *w, struct kt_call *c, const struct kt_session *s);
/* True while the turn runs or waits in the queue. */
bool kt_api_turn_open(const struct kt_session *s, const char *turn_id);

#endif
