/* SPDX-License-Identifier: MIT */
/* Inside of lib/client: one request with the client's headers, and what its answer means. */
#ifndef KT_CLIENT_CLIENT_PRIVATE_H
#define KT_CLIENT_CLIENT_PRIVATE_H

#include "client/client.h"
#include "net/curl.h"

#define CLIENT_BODY_BYTES ((size_t)8 * 1024 * 1024) /* a request: text of 512 KiB, escaped */

struct kt_client {
	char *base;
	char *auth; /* header line, or NULL */
	int64_t timeout_ms;
	bool seen; /* the server answered before: when it is gone now, it may come back */
};

struct client_request {
	const char *method;
	const char *path; /* from "/v1" on */
	const char *body; /* JSON text, or NULL */
	const char *accept; /* NULL = application/json */
	const char *prefer; /* or NULL */
	const char *key; /* Idempotency-Key, or NULL */
	int64_t total_ms; /* 0 = the client's, -1 = none */
};

/*
 * Do one request; hook (may be NULL) brings the streaming members. Any status is KT_OK; *out must
 * be released in every case.
 */
KT_MUST_CHECK enum kt_code client_do(struct kt_client *c, const struct client_request *rq,
	const struct kt_http_call *hook, struct kt_http_reply *out, struct kt_err *err);
/* The error that an answer which is no success stands for. */
enum kt_code client_problem(const struct kt_http_reply *r, struct kt_err *err);
/* "/v1/sessions/ID" and more, with the id escaped; new memory. */
char *client_session_path(const char *id, const char *rest);
/* The body of a message; new memory, or NULL when it is too long (err is set). */
char *client_message_body(const struct kt_client_message *m, struct kt_err *err);
/* Milliseconds to wait before try number n (from 1): doubling, bounded, spread. */
int64_t client_backoff_ms(int n);
/* True when a server that was there may answer a repetition: lost, or starting again. */
bool client_may_retry(const struct kt_client *c, enum kt_code code, int status);

#endif
