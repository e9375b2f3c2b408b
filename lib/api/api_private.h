/* SPDX-License-Identifier: MIT */
/* What the files of lib/api share. */
#ifndef KT_API_API_PRIVATE_H
#define KT_API_API_PRIVATE_H

#include "api/api.h"

#include <cjson/cJSON.h>

struct kt_api {
	struct kt_api_config cfg;
	bool draining;
};

/* One call on its way through a handler. */
struct kt_call {
	struct kt_api *api;
	struct kt_exchange *ex;
	const struct kt_request *rq;
	bool project; /* reached by the project family: answers name the project */
};

typedef void (*kt_call_fn)(struct kt_call *c, const struct kt_params *p);

/* respond.c */
/* Answer with a problem: code is stable, detail a sentence. extra: further members or NULL. */
void kt_api_fail(
	struct kt_call *c, int status, const char *code, const char *detail, const char *extra);
/* Answer with the problem that err is. */
void kt_api_fail_err(struct kt_call *c, const struct kt_err *err);
/*
 * The body as a JSON object (empty body: an empty object). Answers the call itself and returns
 * false when it is none.
 */
KT_MUST_CHECK bool kt_api_body(struct kt_call *c, cJSON **out);
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
void kt_api_write_project(struct kt_jw *w, struct kt_call *c);

/* idempotency.c */
struct kt_key {
	char key[256]; /* "" = none was sent */
	uint64_t fingerprint;
	const struct kt_idem *seen; /* what it was used for, NULL when new */
};
/* Read the header; answers the call itself (400, 422) and returns false when it cannot be used. */
KT_MUST_CHECK bool kt_api_key(struct kt_call *c, const char *scope, struct kt_key *out);

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
/* Sequence number of the turn's done event after after_seq; 0 when it is not in the log. */
uint64_t kt_api_turn_end_seq(struct kt_evlog *log, const char *turn_id, uint64_t after_seq);
/* True while the turn runs or waits in the queue. */
bool kt_api_turn_open(const struct kt_session *s, const char *turn_id);

/* sessions.c, messages.c, meta.c: handlers */
void kt_api_sessions_create(struct kt_call *c, const struct kt_params *p);
void kt_api_sessions_list(struct kt_call *c, const struct kt_params *p);
void kt_api_sessions_get(struct kt_call *c, const struct kt_params *p);
void kt_api_sessions_delete(struct kt_call *c, const struct kt_params *p);
void kt_api_messages_send(struct kt_call *c, const struct kt_params *p);
void kt_api_inputs_put(struct kt_call *c, const struct kt_params *p);
void kt_api_interrupt(struct kt_call *c, const struct kt_params *p);
void kt_api_events(struct kt_call *c, const struct kt_params *p);
void kt_api_agents(struct kt_call *c, const struct kt_params *p);
void kt_api_dev(struct kt_call *c, const struct kt_params *p);
void kt_api_openapi(struct kt_call *c, const struct kt_params *p);
void kt_api_healthz(struct kt_call *c, const struct kt_params *p);
void kt_api_readyz(struct kt_call *c, const struct kt_params *p);
/* An embedded page; false when there is none at this path. */
bool kt_api_page(struct kt_call *c);

#endif
