/* SPDX-License-Identifier: MIT */
/*
 * Inside of the HTTP server, for the files of this module only: one connection with its one
 * exchange, and what the files do for each other. Nothing here is called from elsewhere.
 */
#ifndef KT_HTTP_CONN_PRIVATE_H
#define KT_HTTP_CONN_PRIVATE_H

#include "base/map.h"
#include "http/head_private.h"

/*
 * IDLE -> HEAD -> BODY -> HANDLE -> WRITE -> IDLE (keep-alive) or LINGER
 *                           HANDLE -> STREAM -> STREAM_END -> LINGER
 * A connection that broke is `doomed` in whatever phase it was and closed at the end of the tick.
 */
enum kt_conn_phase {
	KT_CONN_IDLE, /* nothing of a request yet */
	KT_CONN_HEAD, /* part of a head */
	KT_CONN_BODY, /* part of a body */
	KT_CONN_HANDLE, /* the handler owes an answer */
	KT_CONN_WRITE, /* answered; the kernel has not taken all of it */
	KT_CONN_STREAM, /* pulling from the stream's source */
	KT_CONN_STREAM_END, /* last chunk queued */
	KT_CONN_LINGER, /* our side shut; drop input, so that no reset eats the answer */
};

#define KT_HTTP_READ_BYTES 65536 /* one read of a connection takes at most this */

/* What only a connection with a request needs; a stream and a long idle connection have none. */
struct kt_conn_io {
	struct kt_buf in; /* raw bytes; the head of the running exchange points into it */
	size_t used; /* bytes of `in` that are behind us */
	size_t scanned; /* bytes after `used` known to hold no line end */
	struct kt_buf held; /* raw bytes that came while `in` must not move */
	struct kt_buf body;
	struct kt_buf extra; /* headers added by kt_exchange_header() */
	struct kt_chunked chunked;
	int64_t body_left, body_since_ms;
	uint64_t body_raw; /* bytes received for the body, for its minimum rate */
	uint64_t body_mark; /* of them those that came before body_since_ms */
	struct kt_head head;
};

struct kt_exchange {
	struct kt_request rq;
	kt_loop_fn close_fn;
	void *close_arg;
	const struct kt_stream_ops *ops;
	void *arg;
	uint64_t first_id; /* of kt_stream_place() */
	bool placed;
};

/* A body on its way into a file. */
struct kt_spooled {
	int fd; /* -1 when the body is whole */
	int64_t len, max_bytes;
	char *path; /* NULL when the handler took it */
};

struct kt_conn {
	uv_tcp_t tcp; /* first: its close callback frees the whole */
	struct kt_http_server *server;
	struct kt_conn *prev, *next;
	struct kt_conn *next_later; /* in server->later */
	struct kt_conn_io *io; /* NULL while idle or streaming */
	struct kt_exchange ex;
	struct kt_spooled *spool; /* NULL = the body is in memory */
	char *client; /* whose request a proxy has brought, while it runs; or NULL */
	struct kt_hold hold; /* what is kept for it, as admit.c counts it */
	size_t queued; /* bytes of answers that were copied for the socket to take later */
	struct conn_write *unsent; /* goes to the socket in a later round; or NULL */
	int64_t eof_ms; /* when the client shut its side */
	int64_t deadline_ms; /* of the phase; 0 = none */
	int64_t last_ms; /* last time that bytes went out */
	size_t queue_seen; /* write queue at the last sweep, to see progress */
	size_t dropped; /* bytes thrown away while streaming or lingering */
	enum kt_conn_phase phase;
	bool keep_alive : 1, reading : 1, eof : 1, processing : 1;
	bool writing : 1; /* a write is queued in libuv, or unsent */
	bool later : 1; /* in server->later */
	bool doomed : 1; /* close at the end of the tick */
	bool shed : 1; /* free io at the end of the tick */
	bool trim : 1; /* give large buffers back at the end of the tick */
	bool admitted : 1; /* hold was moved for the running exchange */
	bool yielded : 1; /* read on at the end of the tick */
	bool evicted : 1; /* its place was given to another: answer at the end of the tick */
	bool probed : 1; /* after its end of input it was sent something */
	bool resume : 1; /* go on with pipelined bytes or the source at the end of the tick */
	bool proxy : 1; /* of a trusted one: its clients are counted, not itself */
	bool last : 1; /* its listener has ended: no request after this one */
	bool event_stream : 1, lines : 1, chunked : 1, ending : 1, pumping : 1, again : 1;
};

struct kt_listener {
	uv_poll_t poll; /* first: its close callback frees the whole */
	struct kt_http_server *server;
	struct kt_listener *next; /* of the server */
	int fd;
	int tag;
};

struct kt_http_server {
	struct kt_loop *loop;
	struct kt_http_config cfg;
	char *server_headers;
	kt_http_fn fn;
	void *arg;
	struct kt_listener *listeners; /* list */
	struct kt_timer *sweep;
	struct kt_timer *pause; /* runs while accepting is paused for want of descriptors */
	struct kt_conn *conns; /* list */
	struct kt_conn *later, *last_later; /* list: work for the end of the tick */
	struct kt_defer defer;
	size_t sent_bytes; /* in this round */
	unsigned read_again; /* connections in this round that go on reading */
	struct kt_map per_ip; /* address -> count as a pointer */
	struct kt_buf out; /* answers are put together here */
	struct kt_buf common; /* header lines of every answer, with the Date of date_s */
	int64_t date_s;
	uint64_t id_seed, id_count;
	bool draining;
	int64_t drain_until_ms;
	kt_loop_fn drain_fn;
	void *drain_arg;
	int64_t pause_logged_ms; /* 0 = never */
	size_t n_conns;
	size_t most_conns, most_bytes; /* since the heap was trimmed last */
	bool trimmed; /* and not yet when all was quiet */
	char read_buf[KT_HTTP_READ_BYTES]; /* all connections read into it, one after the other */
};

/* conn.c */

/*
 * Take over a connected, non-blocking socket of listener l (closed when that fails). With busy it
 * is told that there are too many, in these words.
 */
void kt_conn_open(const struct kt_listener *l, int fd, const char *peer, const char *busy);
/* Close at the end of this tick. */
void kt_conn_doom(struct kt_conn *c);
/* Free io at the end of this tick. */
void kt_conn_shed(struct kt_conn *c);
/* End of the tick: do what was put off. c may be gone afterwards. */
void kt_conn_late(struct kt_conn *c);
/* Close now; tells handler or stream. The memory goes in a later step of the loop. */
void kt_conn_close(struct kt_conn *c);
/* The answer is with the kernel: go on with the next request, or linger. */
void kt_conn_answered(struct kt_conn *c);
/* Shut our side and wait shortly for the client to close (RFC 9112 9.6). */
void kt_conn_linger(struct kt_conn *c);
/* Answer `status` for the parser or a deadline and end the connection. */
void kt_conn_refuse(struct kt_conn *c, int status, const char *code, const char *detail);
/* As kt_conn_refuse() with further header lines. */
void kt_conn_refuse_with(
	struct kt_conn *c, int status, const char *code, const char *detail, const char *headers);
/* Free what came of a request that is not whole. */
void kt_conn_drop_input(struct kt_conn *c);
/* Deadlines, stalls, heartbeats: once a sweep. */
void kt_conn_sweep(struct kt_conn *c, int64_t now_ms);

/* send.c */

/*
 * Send up to 3 pieces: now what the socket takes, the rest from a queued copy (or from the piece
 * itself when it is the last one and fixed). The connection is doomed when it broke.
 */
void kt_conn_send(struct kt_conn *c, uv_buf_t *bufs, unsigned n, bool last_fixed);
/*
 * As much as the socket takes now: bytes sent, or -1 when the connection broke (doomed then). Of
 * what is long none once a round has sent its share: kt_conn_queue() puts that off then.
 */
ssize_t kt_conn_try(struct kt_conn *c, uv_buf_t *bufs, unsigned n);
/* Queue what is left of the pieces from byte `sent` on; nothing when nothing is left. */
void kt_conn_queue(struct kt_conn *c, uv_buf_t *bufs, unsigned n, size_t sent, bool last_fixed);
/* End of the tick: give the socket what was put off. */
void kt_conn_send_late(struct kt_conn *c);

/* admit.c */

/* Count what the connection keeps now; one that does not fit is refused, or closed. */
void kt_conn_settle(struct kt_conn *c);
/* No request runs: it counts for the connection's own address. */
void kt_conn_stranger(struct kt_conn *c);
/* The request that kt_exchange_client() counted has ended. */
void kt_conn_client_gone(struct kt_conn *c);
/* End of the tick: say that its place was given to another. */
void kt_conn_evicted(struct kt_conn *c);

/* respond.c */

/* Status line and headers common to all answers, up to but without the empty line, into s->out. */
void kt_respond_head(struct kt_exchange *ex, int status, const char *content_type);
/* A new "req_" id. */
void kt_respond_id(struct kt_http_server *s, char *out);

/* spool.c */

/* Begin a file for the body as out says; the connection is refused when that fails. */
KT_MUST_CHECK bool kt_spool_begin(struct kt_conn *c, const struct kt_spool *out);
/* Append body bytes; false when the connection was refused (too long, disk full). */
KT_MUST_CHECK bool kt_spool_add(struct kt_conn *c, const char *p, size_t len);
/* The body is whole: tell the request. False when the connection was refused. */
KT_MUST_CHECK bool kt_spool_end(struct kt_conn *c);
/* The exchange is over: remove the file unless it was taken. */
void kt_spool_drop(struct kt_conn *c);

/* stream.c */

/* Send what the source has and the socket takes. */
void kt_stream_pump(struct kt_conn *c);
/* The queued write of a stream is done. */
void kt_stream_written(struct kt_conn *c);
/* Heartbeat when due, or at once when the client has shut its side and may be gone. */
void kt_stream_sweep(struct kt_conn *c, int64_t now_ms);

/* server.c */

/* A connection closed; counts it out. */
void kt_server_forget(struct kt_http_server *s, struct kt_conn *c);
/* Run kt_conn_late() for c at the end of this tick. */
void kt_server_later(struct kt_http_server *s, struct kt_conn *c);
/* One more (or less, or 0) of this address; returns how many there were. */
size_t kt_server_count(struct kt_http_server *s, const char *peer, int change);

/* The connection that an exchange is part of. */
static inline struct kt_conn *kt_conn_of(struct kt_exchange *ex)
{
	return kt_container_of(ex, struct kt_conn, ex);
}

#endif
