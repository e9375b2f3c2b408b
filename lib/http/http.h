/* SPDX-License-Identifier: MIT */
/*
 * HTTP/1.1 server on the loop: a strict parser (RFC 9112; anything doubtful is refused and the
 * connection closed), limits and deadlines on everything, keep-alive and pipelining, streams that
 * pull from their source, and graceful drain. TLS is a proxy's work.
 *
 * Sources: RFC 9110, RFC 9112, RFC 9457 (problem details), WHATWG HTML 9.2 (event streams).
 */
#ifndef KT_HTTP_HTTP_H
#define KT_HTTP_HTTP_H

#include "base/buf.h"
#include "base/err.h"
#include "net/budget.h"
#include "net/loop.h"
#include "net/trust.h"

enum kt_method {
	KT_GET = 1,
	KT_HEAD = 2,
	KT_POST = 4,
	KT_PUT = 8,
	KT_DELETE = 16,
	KT_PATCH = 32,
	KT_OPTIONS = 64,
};

struct kt_header {
	const char *name; /* lower case */
	const char *value; /* blanks trimmed */
};

/*
 * A request; lives as long as its exchange. Strings are NUL-terminated. Once a stream has begun
 * and the handler returned, only method, http10, tag, peer and id are left (the head was freed).
 */
struct kt_request {
	enum kt_method method; /* HEAD is told apart, yet runs the GET route */
	const char *target; /* as received */
	const char *path; /* percent-decoded UTF-8, no query, control bytes or dot segments */
	const char *query; /* raw, without '?'; "" when none */
	/* Authority in lower case, no port ("[::1]" with brackets); "" in HTTP/1.0 without Host. */
	const char *host;
	int port; /* of the authority; 0 when it names none */
	const struct kt_header *headers;
	size_t n_headers;
	const char *body; /* a NUL follows it; "" when none */
	size_t body_len;
	const char *body_path; /* a spooled body is in this file (removed with ex), else NULL */
	bool http10;
	int tag; /* of the listener that it came by */
	char peer[64]; /* address text */
	char id[40]; /* "req_" id of ours, sent back as Request-Id */
};

struct kt_http_server;
struct kt_exchange; /* one request and its answer */

/* Value of a request header (name in lower case), NULL when absent. */
const char *kt_request_header(const struct kt_request *rq, const char *name);
/*
 * Value of a query parameter, percent-decoded into out (size bytes); false when absent, too long
 * or badly encoded.
 */
KT_MUST_CHECK bool kt_request_query(
	const struct kt_request *rq, const char *name, char *out, size_t size);

enum kt_spool_answer {
	KT_SPOOL_MEMORY, /* as usual: held in memory, max_bytes at most */
	KT_SPOOL_FILE, /* written to a file as it comes */
	KT_SPOOL_ANSWERED, /* fn has answered ex (401, 413, ...): the body is not read */
};
struct kt_spool {
	const char *dir; /* folder for the file. BORROWED during the call */
	int64_t max_bytes; /* a longer body is refused with 413; preset to max_body_bytes */
};
/*
 * Asked once for each request with a body, when its head is there and nothing of the body was
 * taken: may it come, how long may it be, and where does it go? Whoever needs a key is asked for it
 * here. rq has no body yet. With `Expect: 100-continue` the 100 is sent only after MEMORY or FILE.
 */
typedef enum kt_spool_answer (*kt_spool_fn)(
	void *arg, struct kt_exchange *ex, const struct kt_request *rq, struct kt_spool *out);

struct kt_http_config {
	kt_spool_fn spool; /* NULL: bodies are held in memory */
	void *spool_arg;
	struct kt_budget *budget; /* what connections keep is counted here, or NULL. BORROWS */
	size_t max_body_bytes; /* KT_MAX_HTTP_BODY_BYTES; of a route: struct kt_spool */
	size_t max_conns; /* KT_MAX_HTTP_CONNS */
	/*
	 * Per IPv4 address or IPv6 /64, half of max_conns at most; 0 = no limit of its own. Of a
	 * proxy that is trusted its clients are counted, each by the requests that run for it.
	 */
	size_t max_conns_per_ip;
	const struct kt_trust *trust; /* the proxies, or NULL. BORROWS */
	int64_t head_ms, body_ms, idle_ms, stall_ms, drain_ms;
	/*
	 * A body that goes to a file has no deadline; in each upload_grace_ms it has to bring
	 * upload_grace_ms x upload_bytes_per_s, or it is refused with 408.
	 */
	int64_t upload_grace_ms, upload_bytes_per_s;
	int64_t heartbeat_ms; /* comment on silent event streams */
	/*
	 * A client that has shut its side and waits is sent an interim answer after this: one that
	 * is gone answers with a reset.
	 */
	int64_t probe_ms;
	const char *server_headers; /* lines added to every answer ("X: y\r\n"), or NULL */
};
/* The defaults of limits.h. */
void kt_http_config_init(struct kt_http_config *cfg);
/* Caps on connections that leave some of this many descriptors for files and harnesses. */
void kt_http_config_files(struct kt_http_config *cfg, size_t max_fds);

/*
 * Called with each whole request. The handler answers now or later by kt_respond*() or
 * kt_stream_begin() on ex, exactly once. ex lives until its answer is sent or the client is gone;
 * with kt_exchange_on_close() a handler that answers later learns of the latter.
 */
typedef void (*kt_http_fn)(void *arg, struct kt_exchange *ex, const struct kt_request *rq);

/* New server on loop; fn(arg, ...) gets its requests. kt_http_server_free() ends it. */
KT_MUST_CHECK enum kt_code kt_http_server_new(struct kt_loop *loop,
	const struct kt_http_config *cfg, kt_http_fn fn, void *arg, struct kt_http_server **out,
	struct kt_err *err);
/* Listening sockets that no server has yet: connections wait in them. */
struct kt_http_sockets {
	int fds[2];
	int n;
	int port;
};
/*
 * Listen on a numeric address or "localhost" (127.0.0.1 and ::1); port 0 picks one. kt_http_serve()
 * or kt_http_unbind() ends it. Returns KT_ECONFLICT when the port is taken, KT_EDENIED when not
 * allowed, KT_EINVAL.
 */
KT_MUST_CHECK enum kt_code kt_http_bind(
	const char *host, int port, struct kt_http_sockets *out, struct kt_err *err);
void kt_http_unbind(struct kt_http_sockets *sockets);
/*
 * A server's listeners are a list, which may change while it serves. Each has a tag, by which the
 * requests of its connections and those of others are told apart; several may have the same.
 *
 * Serve on these as well (TAKES them, also when it fails). Returns KT_OK, KT_EIO or KT_EUNAVAIL
 * (the server is drained).
 */
KT_MUST_CHECK enum kt_code kt_http_serve(
	struct kt_http_server *s, struct kt_http_sockets *sockets, int tag, struct kt_err *err);
/* The same of one socket that is bound and listening, however it was made (TAKES fd). */
KT_MUST_CHECK enum kt_code kt_http_serve_fd(
	struct kt_http_server *s, int fd, int tag, struct kt_err *err);
/*
 * End the listeners with this tag: nobody is accepted any more, idle connections of theirs close,
 * what runs is answered as its connection's last, streams go on to their ends.
 */
void kt_http_unserve(struct kt_http_server *s, int tag);
/*
 * Stop accepting, let running requests end (at most drain_ms), end streams at an event boundary,
 * then call done(arg). Idle connections close at once.
 */
void kt_http_drain(struct kt_http_server *s, kt_loop_fn done, void *arg);
/* Close everything now and free. NULL is fine. */
void kt_http_server_free(struct kt_http_server *s);

/*
 * Who ex is for, as soon as that is known: what its connection keeps counts for org and key (NULL
 * on a local server) and for the client's address from now on, until ex has ended. Before anything
 * is begun for it. Returns the limit that is passed: kt_budget_refused() has the answer.
 */
KT_MUST_CHECK enum kt_budget_limit kt_exchange_admit(
	struct kt_exchange *ex, const char *org, const char *key, const char *address);
/* As kt_exchange_admit() for a request that nobody signs. */
void kt_exchange_stranger(struct kt_exchange *ex, const char *address);
/*
 * The client that a trusted proxy says ex is of: one more request that runs for this address, until
 * ex has ended. May be said again. False when the address has too many; then nothing has changed.
 */
KT_MUST_CHECK bool kt_exchange_client(struct kt_exchange *ex, const char *address);
/* What ex is counted in, for kt_hold_like(). BORROWS until ex ends. */
const struct kt_hold *kt_exchange_hold(struct kt_exchange *ex);

/*
 * The file of a spooled body as the caller's own: it is not removed with ex any more. Returns its
 * path, the caller's to unlink and free; NULL when there is none (any more). For a handler that
 * needs the file longer than the client may stay.
 */
KT_MUST_CHECK char *kt_exchange_take_body(struct kt_exchange *ex);
/* The request that ex answers. BORROWS until ex ends. */
const struct kt_request *kt_exchange_request(const struct kt_exchange *ex);
/*
 * Call fn(arg) if the client leaves before the handler has answered. Once; NULL fn unsets, and so
 * do kt_respond*() and kt_stream_begin(). Never called from within a function of this header but
 * kt_http_server_free().
 */
void kt_exchange_on_close(struct kt_exchange *ex, kt_loop_fn fn, void *arg);
/* Add a header to the answer; name and value are checked and copied. Before responding. */
void kt_exchange_header(struct kt_exchange *ex, const char *name, const char *value);

/* Answer with a body (copied). status 204 and 304 send none. HEAD sends the length only. */
void kt_respond(
	struct kt_exchange *ex, int status, const char *content_type, const void *body, size_t len);
/* Answer with JSON text held by b (b stays the caller's). */
void kt_respond_json(struct kt_exchange *ex, int status, const struct kt_buf *b);
/* Answer with bytes that live for ever (embedded pages): not copied. */
void kt_respond_static(
	struct kt_exchange *ex, int status, const char *content_type, const void *body, size_t len);
/* The same behind a few bytes that are copied: what differs from answer to answer. */
void kt_respond_static_after(struct kt_exchange *ex, int status, const char *content_type,
	const void *first, size_t first_len, const void *rest, size_t len);

/*
 * Answer with the bytes of a file: its length is told, the connection closes afterwards. The file
 * is opened before this returns; unlink_after: its name is gone then, too (also when that fails). A
 * file that cannot be opened is a problem with status 500.
 */
void kt_respond_file(struct kt_exchange *ex, int status, const char *content_type, const char *path,
	bool unlink_after);

/*
 * A stream pulls: the connection asks its source for bytes when it can send, so a slow reader
 * costs nothing but its cursor.
 */
struct kt_stream_ops {
	/*
	 * Point *out at up to max bytes ready to send and return their number; 0 = nothing now
	 * (call kt_stream_wake() when there is). They must stay valid until `sent` or
	 * `closed` is called next.
	 */
	size_t (*peek)(void *arg, const char **out, size_t max);
	/* n of the bytes offered were taken. */
	void (*sent)(void *arg, size_t n);
	/*
	 * The stream is over (client left, stalled, drained, or kt_stream_end()). Last call; ex is
	 * gone afterwards. Never called from within kt_stream_*(), but later in the tick.
	 */
	void (*closed)(void *arg);
	/*
	 * True when the bytes sent so far end at a boundary where the stream may be cut; NULL = it
	 * may be cut anywhere. Heartbeats and drain wait for one, so an endless source should not
	 * always offer bytes across its boundaries.
	 */
	bool (*at_boundary)(void *arg);
};

/*
 * The event stream that is about to begin goes on behind this number: the client is told by an `id`
 * without an event, so that it resumes there when it loses the connection before the first event.
 */
void kt_stream_place(struct kt_exchange *ex, uint64_t id);
/*
 * The stream that is about to begin is of lines of text: a proxy is told not to keep them, and an
 * empty line is its heartbeat.
 */
void kt_stream_lines(struct kt_exchange *ex);
/*
 * Begin a stream as the answer to ex: with any status from 200 on and the headers that were added,
 * chunked (or until close for HTTP/1.0). event_stream adds the headers of server-sent events, a
 * `retry:` line first and heartbeats. HEAD, 204 and 304 get headers only, and `closed` is called.
 */
void kt_stream_begin(struct kt_exchange *ex, int status, const char *content_type,
	bool event_stream, const struct kt_stream_ops *ops, void *arg);
/*
 * Answer with `length` bytes of a source, as the client takes them; the connection closes
 * afterwards. Of HEAD, 204 and 304 as kt_stream_begin().
 */
void kt_respond_source(struct kt_exchange *ex, int status, const char *content_type, int64_t length,
	const struct kt_stream_ops *ops, void *arg);
/* There may be bytes now. Cheap; sends at once as far as the socket takes it. */
void kt_stream_wake(struct kt_exchange *ex);
/*
 * Send what is ready, then end the stream properly (and the connection: a stream's answer always
 * says Connection: close). `closed` is called when done.
 */
void kt_stream_end(struct kt_exchange *ex);

/*
 * Router: patterns like "/v1/sessions/{id}/events"; {name} is one segment, not empty. Literal
 * segments win over parameters. The table is walked by the OpenAPI test.
 */
struct kt_params {
	const char *value[4];
	size_t n;
};
struct kt_route {
	unsigned methods; /* KT_GET | ...; a GET route answers HEAD too */
	const char *pattern;
	void (*fn)(void *arg, struct kt_exchange *ex, const struct kt_request *rq,
		const struct kt_params *params);
	const char *operation; /* OpenAPI operationId */
};
/*
 * Find the route of a request. Returns the route with params set (values percent-decoded, copied
 * into scratch of size bytes), or NULL with *out_allow = methods that the path knows (0 = 404,
 * else 405).
 */
const struct kt_route *kt_route_find(const struct kt_route *routes, size_t n,
	const struct kt_request *rq, struct kt_params *params, char *scratch, size_t size,
	unsigned *out_allow);
/* "GET, HEAD, POST" for an Allow header. */
void kt_method_names(unsigned methods, char *out, size_t size);

/* RFC 9457 problem: application/problem+json from parts; members `extra` is JSON text or NULL. */
struct kt_problem {
	int status;
	const char *code; /* stable machine word; `type` is "urn:karta:problem:CODE" */
	const char *title; /* NULL = the status' reason phrase */
	const char *detail;
	const char *extra; /* further members: "\"decision\":\"deny\"", or NULL */
};
void kt_respond_problem(struct kt_exchange *ex, const struct kt_problem *p);
/* Reason phrase of a status ("Not Found"). */
const char *kt_http_reason(int status);

#endif
