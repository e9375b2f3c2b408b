/* SPDX-License-Identifier: MIT */
/* Inside of lib/client: one request with the client's headers, and what its answer means. */
#ifndef KT_CLIENT_CLIENT_PRIVATE_H
#define KT_CLIENT_CLIENT_PRIVATE_H

#include "client/client.h"
#include "net/curl.h"
#include "pack/pack.h"
#include "text/sse.h"

#include <pthread.h>

#define BEARER "Authorization: Bearer "
#define CLIENT_TRIES 6 /* with backoff 3 s: a restart of a local server takes less */
#define CLIENT_BODY_BYTES ((size_t)8 * 1024 * 1024) /* a request: text of 512 KiB, escaped */

struct kt_client {
	char *base;
	char *socket; /* that leads there, or NULL */
	char *server; /* the base without the project that it is of */
	char *project; /* that project, or NULL */
	char *auth; /* header line, or NULL */
	char *at; /* " --server URL" behind a command that is suggested, or "" */
	char last4[5]; /* how the key ends; "" without one */
	char *key_from; /* the variable that has the key, or NULL */
	char *tried; /* path of the last request, or NULL */
	int64_t timeout_ms;
	bool absent_is_fine; /* what is asked for may well not be there: nothing is suggested */
	bool local; /* the address is this machine */
	bool seen; /* the server answered before: when it is gone now, it may come back */
	cJSON *problem; /* document of the last failure, or NULL */
};

struct client_request {
	const char *method;
	const char *path; /* from "/v1" on */
	const char *body; /* JSON text, or NULL */
	size_t body_len; /* 0 = body is a string */
	int body_fd; /* as in struct kt_http_call, with sent */
	struct kt_http_sent *sent;
	const char *type; /* Content-Type; NULL = application/json */
	const char *accept; /* NULL = application/json */
	const char *prefer; /* or NULL */
	const char *key; /* Idempotency-Key, or NULL */
	int64_t total_ms; /* 0 = the client's, -1 = none */
};

/*
 * Do one request; hook (may be NULL) brings the streaming members. Any status is KT_OK; *out must
 * be released in every case.
 */
KT_MUST_CHECK enum kt_code kt_client_do(struct kt_client *c, const struct client_request *rq,
	const struct kt_http_call *hook, struct kt_http_reply *out, struct kt_err *err);
/* The error that an answer which is no success stands for; keeps its document. */
enum kt_code kt_client_take_problem(
	struct kt_client *c, const struct kt_http_reply *r, struct kt_err *err);
/*
 * Say in err what an answer with this status means to a person, with what was tried and what to
 * type next; text is the sentence of its document, or NULL. False: it has no words of its own.
 */
bool kt_client_words(const struct kt_client *c, int status, const char *text, struct kt_err *err);
/* When what failed names a project that is not there: asks for those that are, and says the near.
 */
void kt_client_suggest(struct kt_client *c, enum kt_code rc, struct kt_err *err);
/* The project that the last request was about, new memory; NULL: about none. */
char *kt_client_tried_project(const struct kt_client *c);
/* Find server and project in the base. */
void kt_client_set_server(struct kt_client *c);
/* Forget the document of the last failure. */
void kt_client_forget_problem(struct kt_client *c);
/* One try; *out_status is 0 when there was no answer. *out is NULL for an answer without body. */
KT_MUST_CHECK enum kt_code kt_client_call_once(struct kt_client *c, const struct client_request *rq,
	cJSON **out, int *out_status, struct kt_err *err);
/* A request that may be repeated: it reads, or carries a key. */
KT_MUST_CHECK enum kt_code kt_client_call_rq(
	struct kt_client *c, const struct client_request *rq, cJSON **out, struct kt_err *err);
/* "/v1/sessions/ID" and more, with the id escaped; new memory. */
char *kt_client_session_path(const char *id, const char *rest);
/* The body of a message; new memory, or NULL when it is too long (err is set). */
char *kt_client_message_body(const struct kt_client_message *m, struct kt_err *err);
/* Milliseconds to wait before try number n (from 1): doubling, bounded, spread. */
int64_t kt_client_backoff_ms(int n);
/* True when a server that was there may answer a repetition: lost, or starting again. */
bool kt_client_may_retry(const struct kt_client *c, enum kt_code rc, int status);
/* Wait, with poll (or NULL) going on and watch_fd waking it. False: poll said stop. */
bool kt_client_pause(int64_t ms, bool (*poll_fn)(void *arg), void *arg, int watch_fd);

/*
 * One connection that answers with an event stream. Zero it, fill the first part. Each whole event
 * with a number above the cursor is given once, and moves the cursor.
 */
struct client_stream {
	uint64_t *cursor;
	int64_t patience_us; /* without a byte before the answer begins; 0 = as later */
	bool (*event)(void *arg, const struct kt_client_event *ev); /* false: stop */
	bool (*poll)(void *arg); /* or NULL */
	void (*open)(void *arg); /* the first bytes came; or NULL */
	/* The first bytes are no event stream: they go here, or NULL to take them as one. */
	struct kt_buf *json;
	/*
	 * They are lines of text, which begin with a version's 'v': each is given here, without its
	 * end. NULL to take them as an event stream. false: stop.
	 */
	bool (*line)(void *arg, const char *text);
	void *arg;
	int watch_fd;
	/* The outcome. */
	bool got; /* bytes came */
	bool stopped; /* a callback said stop */
	bool dead; /* silent for too long */
	bool placed; /* the server said where the stream is: cursor is meant, also when it is 0 */
	enum kt_code broken; /* KT_OK, or why its bytes make no sense */
	struct kt_err err; /* of broken */
	/* The module's. */
	struct kt_client *c;
	const struct kt_http_sent *sent;
	struct kt_sse sse;
	int64_t last_us; /* of the last bytes, in either direction */
	int64_t last_sent;
	bool is_json, is_text;
	struct kt_buf rest; /* of a line whose end has not come */
};
/* Do the request and feed the stream. As kt_client_do(). */
KT_MUST_CHECK enum kt_code kt_client_stream_run(struct kt_client *c,
	const struct client_request *rq, struct client_stream *st, struct kt_http_reply *out,
	struct kt_err *err);

/*
 * Files of a publish, told by what is new in them against a commit that the server has live.
 * Returns the member `files` of the document (docs/api.md "Publish"), the caller's; NULL: some of
 * them is new, or no text, or changed too much for that, and they are better sent as a bundle.
 */
struct kt_tree;
struct client_patches {
	struct kt_tree *tree;
	const struct kt_manifest *m, *base; /* of the tree, of the live release */
	const char *commit; /* of the live release */
	const char *const *digests; /* of m: what the server lacks */
	size_t n_digests;
};
char *kt_client_patches(const struct client_patches *of);

/*
 * The body of a publish: the document alone as JSON, or a bundle with it and files of the tree. A
 * small bundle is made in memory and can be sent again as it is; a larger one is packed by a thread
 * into a pipe while it is sent, and the tree must be left alone until kt_client_upload_end().
 */
struct client_upload {
	/* Filled by the caller; borrowed. */
	struct kt_tree *tree;
	const char *doc;
	const char *const *digests;
	size_t n_digests;
	int64_t n_bytes; /* of the files, unpacked */
	/* The module's. */
	struct kt_buf memory;
	bool made; /* memory holds the bundle */
	bool running;
	pthread_t thread;
	int read_fd, write_fd; /* ends of the pipe while it runs */
	enum kt_code packed; /* what the thread came to */
	struct kt_err err;
};
/* Begin with nothing. */
void kt_client_upload_init(struct client_upload *u);
/* Free what is held; nothing may run. */
void kt_client_upload_release(struct client_upload *u);
/* Make ready and set body and type of rq. Each time it is followed by kt_client_upload_end(). */
KT_MUST_CHECK enum kt_code kt_client_upload_begin(
	struct client_upload *u, struct client_request *rq, struct kt_err *err);
/*
 * End the thread. all: the request took the body to its end, so that a failure of the packer is why
 * the body was too short: then it is returned.
 */
KT_MUST_CHECK enum kt_code kt_client_upload_end(
	struct client_upload *u, bool all, struct kt_err *err);

#endif
