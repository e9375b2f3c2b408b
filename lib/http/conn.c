/* SPDX-License-Identifier: MIT */
/*
 * Life of one connection: bytes in, requests out to the handler, answers back, deadlines, and the
 * ways to end. The request's strings point into io->in, which therefore stays put while an
 * exchange runs; bytes that come meanwhile wait in io->held.
 */
#include "http/conn_private.h"

#include "base/limits.h"
#include "base/str.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define HELD_BYTES 65536 /* pipelined bytes kept before reading stops */
/* One head, held bytes, and reads of one tick on top. */
#define IN_BYTES (KT_MAX_HTTP_HEAD_BYTES + HELD_BYTES + 4 * KT_HTTP_READ_BYTES)
#define LINGER_MS 1000
#define LINGER_BYTES (16 * 1024 * 1024) /* an upload that was refused may be under way */
#define DRAIN_STALL_MS 2000 /* a stuck stream must not hold up the end of the server */
#define STREAM_DROP_BYTES 65536 /* nobody has to say more on a stream */
#define READS_A_ROUND 32 /* of connections that have more, so much each as fits the buffer */
#define KEEP_BYTES 16384 /* most that a buffer is kept with for the next request */
#define SHED_MS 1000 /* an idle connection gives its buffers back after this long */

static void compact_input(struct kt_conn *c);
static void process_input(struct kt_conn *c);
static void start_reading(struct kt_conn *c);

static int64_t now_of(const struct kt_conn *c)
{
	return kt_loop_now_ms(c->server->loop);
}

static void io_free(struct kt_conn *c)
{
	struct kt_conn_io *io = c->io;

	if (!io)
		return;
	kt_head_release(&io->head);
	kt_buf_release(&io->in);
	kt_buf_release(&io->held);
	kt_buf_release(&io->body);
	kt_buf_release(&io->extra);
	free(io);
	c->io = NULL;
}

static void clear_request(struct kt_request *rq)
{
	rq->method = KT_GET;
	rq->target = rq->path = rq->query = rq->host = rq->body = "";
	rq->body_path = NULL;
	rq->port = 0;
	rq->headers = NULL;
	rq->n_headers = 0;
	rq->body_len = 0;
	rq->http10 = false;
}

static struct kt_conn_io *io_get(struct kt_conn *c)
{
	if (c->io)
		return c->io;
	struct kt_conn_io *io = c->io = kt_malloc(sizeof(*io));
	io->used = io->scanned = 0;
	io->head.mem = NULL;
	kt_buf_init(&io->in, IN_BYTES);
	kt_buf_init(&io->held, HELD_BYTES + KT_HTTP_READ_BYTES);
	kt_buf_init(&io->body, c->server->cfg.max_body_bytes);
	kt_buf_init(&io->extra, 8192);
	return io;
}

void kt_conn_doom(struct kt_conn *c)
{
	if (c->doomed)
		return;
	c->doomed = true;
	kt_server_later(c->server, c);
}

void kt_conn_shed(struct kt_conn *c)
{
	c->shed = true;
	kt_server_later(c->server, c);
}

static void on_conn_closed(uv_handle_t *h)
{
	struct kt_conn *c = kt_container_of(h, struct kt_conn, tcp);

	free(c);
}

static void end_stream(struct kt_conn *c)
{
	const struct kt_stream_ops *ops = c->ex.ops;

	c->ex.ops = NULL;
	c->ex.placed = false;
	ops->closed(c->ex.arg);
	kt_spool_drop(c);
}

void kt_conn_close(struct kt_conn *c)
{
	struct kt_exchange *ex = &c->ex;

	c->doomed = true;
	kt_server_forget(c->server, c);
	if (ex->ops) {
		end_stream(c);
	} else if (c->phase == KT_CONN_HANDLE && ex->close_fn) {
		kt_loop_fn fn = ex->close_fn;
		ex->close_fn = NULL;
		fn(ex->close_arg);
	}
	kt_spool_drop(c);
	kt_conn_client_gone(c);
	io_free(c);
	free(KT_STEAL(c->unsent));
	kt_hold_release(&c->hold);
	uv_close((uv_handle_t *)&c->tcp, on_conn_closed);
}

static void stop_reading(struct kt_conn *c)
{
	if (c->reading)
		(void)uv_read_stop((uv_stream_t *)&c->tcp);
	c->reading = false;
}

void kt_conn_linger(struct kt_conn *c)
{
	uv_os_fd_t fd;

	kt_conn_client_gone(c);
	c->phase = KT_CONN_LINGER;
	c->deadline_ms = now_of(c) + LINGER_MS;
	c->dropped = 0;
	kt_conn_shed(c);
	/* Held bytes may have stopped it; what is dropped must be read to be. */
	if (!c->reading && !c->eof && !c->doomed)
		start_reading(c);
	if (c->eof || uv_fileno((uv_handle_t *)&c->tcp, &fd) != 0 || shutdown(fd, SHUT_WR) != 0)
		kt_conn_doom(c);
}

void kt_conn_answered(struct kt_conn *c)
{
	struct kt_conn_io *io = c->io;

	if (c->doomed)
		return;
	kt_spool_drop(c);
	if (!c->keep_alive || c->server->draining || !io) {
		kt_conn_linger(c);
		return;
	}
	kt_conn_client_gone(c);
	c->phase = KT_CONN_IDLE;
	if (io->body.cap > KEEP_BYTES || io->in.cap > KEEP_BYTES) {
		c->trim = true;
		kt_server_later(c->server, c);
	}
	if (c->admitted)
		kt_conn_stranger(c);
	c->deadline_ms = now_of(c) + c->server->cfg.idle_ms;
	/*
	 * The request's strings stay until the next one is parsed, so that a handler may still log
	 * them; and the next handler is not run from inside this one's kt_respond().
	 */
	if (!c->processing && (io->used < io->in.len || io->held.len > 0 || !c->reading)) {
		c->resume = true;
		kt_server_later(c->server, c);
	}
}

/* Between two requests nothing large is kept; a handler may have looked at it until now. */
static void trim_conn(struct kt_conn *c)
{
	struct kt_conn_io *io = c->io;

	c->trim = false;
	if (c->phase != KT_CONN_IDLE || !io)
		return;
	clear_request(&c->ex.rq);
	kt_buf_release(&io->body);
	compact_input(c);
	if (io->in.len == 0)
		kt_buf_release(&io->in);
}

/* As many of those that have more as a round has room for; the others in the next. */
static void read_on(struct kt_conn *c)
{
	if (++c->server->read_again > READS_A_ROUND) {
		kt_server_later(c->server, c);
		return;
	}
	c->yielded = false;
	if (!c->reading && !c->eof && (!c->io || c->io->held.len <= HELD_BYTES))
		start_reading(c);
}

void kt_conn_late(struct kt_conn *c)
{
	if (c->evicted && !c->doomed)
		kt_conn_evicted(c);
	if (c->trim && !c->doomed)
		trim_conn(c);
	if (c->yielded && !c->doomed)
		read_on(c);
	if (c->unsent && !c->doomed)
		kt_conn_send_late(c);
	if (c->resume && !c->doomed) {
		c->resume = false;
		if (c->phase == KT_CONN_STREAM)
			kt_stream_pump(c);
		else
			process_input(c);
	}
	if (c->phase == KT_CONN_LINGER && c->ex.ops)
		end_stream(c);
	if (c->shed && !c->doomed) {
		c->shed = false;
		bool idle = c->phase == KT_CONN_IDLE && c->io && c->io->used == c->io->in.len &&
			c->io->held.len == 0;
		if (idle || c->phase == KT_CONN_STREAM || c->phase == KT_CONN_STREAM_END ||
			c->phase == KT_CONN_LINGER) {
			enum kt_method method = c->ex.rq.method;
			bool http10 = c->ex.rq.http10;
			clear_request(&c->ex.rq);
			c->ex.rq.method = method;
			c->ex.rq.http10 = http10;
			io_free(c);
		}
	}
	kt_conn_settle(c);
	/* Doomed just now means queued again: the next round closes it. */
	if (c->doomed && !c->later)
		kt_conn_close(c);
}

void kt_conn_drop_input(struct kt_conn *c)
{
	struct kt_conn_io *io = c->io;

	clear_request(&c->ex.rq);
	kt_spool_drop(c);
	if (!io)
		return;
	kt_head_release(&io->head);
	kt_buf_release(&io->in);
	kt_buf_release(&io->held);
	kt_buf_release(&io->body);
	io->used = io->scanned = 0;
}

void kt_conn_refuse_with(
	struct kt_conn *c, int status, const char *code, const char *detail, const char *headers)
{
	struct kt_problem p = { .status = status, .code = code, .detail = detail };
	struct kt_conn_io *io = io_get(c);

	c->keep_alive = false;
	kt_buf_clear(&io->extra);
	kt_buf_adds(&io->extra, headers);
	clear_request(&c->ex.rq);
	kt_respond_id(c->server, c->ex.rq.id);
	c->phase = KT_CONN_HANDLE;
	kt_respond_problem(&c->ex, &p);
}

void kt_conn_refuse(struct kt_conn *c, int status, const char *code, const char *detail)
{
	kt_conn_refuse_with(c, status, code, detail, "");
}

static void refuse_long_body(struct kt_conn *c, size_t max_bytes)
{
	bool mib = max_bytes % (1024 * 1024) == 0, kib = max_bytes % 1024 == 0;
	char detail[120];

	(void)snprintf(detail, sizeof(detail),
		"the request body is larger than %zu %s, which is fixed",
		max_bytes /
			(mib                  ? 1024 * 1024
					: kib ? 1024
					      : 1),
		mib           ? "MiB"
			: kib ? "KiB"
			      : "bytes");
	kt_conn_refuse(c, 413, "too_large", detail);
}

static void handle_request(struct kt_conn *c)
{
	struct kt_http_server *s = c->server;
	struct kt_request *rq = &c->ex.rq;

	if (!c->spool) {
		rq->body = c->io->body.ptr;
		rq->body_len = c->io->body.len;
	}
	c->phase = KT_CONN_HANDLE;
	c->deadline_ms = 0;
	s->fn(s->arg, &c->ex, rq);
}

/* Take body bytes from p (len of them); returns how many were the body's. */
static size_t take_body(struct kt_conn *c, char *p, size_t len)
{
	struct kt_conn_io *io = c->io;
	size_t body, used;
	bool done;

	if (io->head.chunked) {
		if (!kt_chunked_feed(&io->chunked, p, len, &body, &used)) {
			kt_conn_refuse(c, 400, "bad_request", "the chunked body is malformed");
			return len;
		}
		done = io->chunked.done;
	} else {
		body = used = (int64_t)len < io->body_left ? len : (size_t)io->body_left;
		io->body_left -= (int64_t)body;
		done = io->body_left == 0;
	}
	io->body_raw += used;
	if (c->spool) {
		if (!kt_spool_add(c, p, body) || (done && !kt_spool_end(c)))
			return len;
	} else {
		kt_buf_add(&io->body, p, body);
		if (!kt_buf_ok(&io->body)) {
			refuse_long_body(c, io->body.max);
			return len;
		}
	}
	kt_conn_settle(c);
	if (c->phase != KT_CONN_BODY)
		return len;
	if (done)
		handle_request(c);
	return used;
}

/* Ask where the body goes; false when the request is answered already. */
static bool place_body(struct kt_conn *c)
{
	struct kt_http_server *s = c->server;
	enum kt_spool_answer answer = KT_SPOOL_MEMORY;
	struct kt_spool spool = { .max_bytes = (int64_t)s->cfg.max_body_bytes };
	bool keep_alive = c->keep_alive;

	if (s->cfg.spool) {
		/*
		 * An answer that is given now ends the connection: the body is not taken from it.
		 */
		c->keep_alive = false;
		c->phase = KT_CONN_HANDLE;
		c->deadline_ms = 0;
		answer = s->cfg.spool(s->cfg.spool_arg, &c->ex, &c->ex.rq, &spool);
		if (answer == KT_SPOOL_ANSWERED)
			return false;
		c->keep_alive = keep_alive;
	}
	if (answer == KT_SPOOL_FILE)
		return kt_spool_begin(c, &spool);
	if (!c->io->head.chunked && c->io->head.content_length > spool.max_bytes) {
		refuse_long_body(c, (size_t)spool.max_bytes);
		return false;
	}
	kt_buf_release(&c->io->body); /* its memory may be more than this one may have */
	kt_buf_init(&c->io->body, (size_t)spool.max_bytes);
	return true;
}

/* The head is whole: fill in the request and see whether a body comes. */
static void begin_request(struct kt_conn *c)
{
	struct kt_http_server *s = c->server;
	struct kt_conn_io *io = c->io;
	struct kt_head *h = &io->head;
	struct kt_request *rq = &c->ex.rq;

	rq->method = h->method;
	rq->target = h->target;
	rq->path = h->path;
	rq->query = h->query;
	rq->host = h->host;
	rq->port = h->port;
	rq->headers = h->headers;
	rq->n_headers = h->n_headers;
	rq->http10 = h->http10;
	rq->body = "";
	rq->body_len = 0;
	rq->body_path = NULL;
	kt_buf_clear(&io->extra);
	kt_buf_clear(&io->body);
	kt_respond_id(s, rq->id);
	c->keep_alive = h->keep_alive;
	if (!h->chunked && h->content_length <= 0) {
		handle_request(c);
		return;
	}
	if (!place_body(c))
		return;
	c->phase = KT_CONN_BODY;
	c->deadline_ms = c->spool ? 0 : now_of(c) + s->cfg.body_ms;
	io->body_since_ms = now_of(c);
	io->body_left = h->content_length;
	io->body_raw = io->body_mark = 0;
	io->chunked = (struct kt_chunked){ 0 };
	if (h->expect_continue && !h->http10 && io->used == io->in.len && io->held.len == 0) {
		static char go[] = "HTTP/1.1 100 Continue\r\n\r\n";
		uv_buf_t b = uv_buf_init(go, sizeof(go) - 1);
		kt_conn_send(c, &b, 1, true);
	}
}

/* Close the gap of spent bytes and append what came while an exchange ran. */
static void compact_input(struct kt_conn *c)
{
	struct kt_conn_io *io = c->io;

	if (io->used > 0 && (io->used == io->in.len || io->held.len > 0 || io->used > HELD_BYTES)) {
		kt_buf_drop(&io->in, io->used);
		io->used = 0;
	}
	if (io->held.len > 0) {
		kt_buf_add(&io->in, io->held.ptr, io->held.len);
		kt_buf_release(&io->held);
	}
	if (!kt_buf_ok(&io->in))
		kt_conn_doom(c); /* memory is out; lost bytes must not be parsed around */
}

/* Returns true when there may be more to do at once. */
static bool step_head(struct kt_conn *c)
{
	struct kt_conn_io *io = c->io;
	int status;

	compact_input(c);
	size_t have = io->in.len - io->used;
	if (c->doomed || have == 0) {
		if (c->eof)
			kt_conn_doom(c);
		return false;
	}
	if (c->phase == KT_CONN_IDLE) {
		c->phase = KT_CONN_HEAD;
		c->deadline_ms = now_of(c) + c->server->cfg.head_ms;
		io->scanned = 0;
	}
	char *p = io->in.ptr + io->used;
	kt_head_release(&io->head);
	/* A head sent byte by byte is not parsed anew for each: only a line end brings news. */
	if (io->scanned > 0 && have < KT_MAX_HTTP_HEAD_BYTES &&
		!memchr(p + io->scanned, '\n', have - io->scanned)) {
		io->scanned = have;
		return false;
	}
	switch (kt_head_parse(p, have, &io->head, &status)) {
	case KT_HEAD_OK:
		io->used += io->head.head_len;
		begin_request(c);
		return true;
	case KT_HEAD_BAD:
		kt_conn_refuse(c, status,
			status == 501                            ? "not_implemented"
				: status == 505                  ? "version_not_supported"
				: status == 414 || status == 431 ? "too_large"
								 : "bad_request",
			status == 414 ? "the path with its query is over 8 KiB, which is fixed"
				: status == 431
				? "the request head is over 16 KiB or 64 headers, which is "
				  "fixed"
				: "the request head is malformed or not supported");
		return false;
	case KT_HEAD_MORE:
	default:
		io->scanned = have;
		if (c->eof)
			kt_conn_doom(c);
		return false;
	}
}

static bool step_body(struct kt_conn *c)
{
	struct kt_conn_io *io = c->io;

	if (io->used < io->in.len) {
		size_t used = take_body(c, io->in.ptr + io->used, io->in.len - io->used);
		if (c->io)
			io->used += used;
		return true;
	}
	if (c->eof)
		kt_conn_doom(c);
	return false;
}

static void process_input(struct kt_conn *c)
{
	bool more = true;

	c->processing = true;
	while (more && !c->doomed && c->io) {
		if (c->phase == KT_CONN_IDLE || c->phase == KT_CONN_HEAD)
			more = step_head(c);
		else if (c->phase == KT_CONN_BODY)
			more = step_body(c);
		else
			more = false;
	}
	c->processing = false;
	if (!c->doomed && !c->reading && !c->eof)
		if (!c->io || c->io->held.len == 0)
			start_reading(c);
}

/*
 * A client may shut its side as soon as it has asked: what it asked for still goes out, also what
 * waits pipelined behind it. One that is gone for good looks the same until it is sent something,
 * see sweep_eof().
 */
static void on_eof(struct kt_conn *c)
{
	const struct kt_conn_io *io = c->io;

	c->eof = true;
	c->eof_ms = now_of(c);
	if (c->phase == KT_CONN_STREAM)
		kt_stream_sweep(c, c->eof_ms);
	else if (c->phase == KT_CONN_IDLE && (!io || (io->used == io->in.len && !io->held.len)))
		kt_conn_doom(c);
	else if (c->phase == KT_CONN_HEAD || c->phase == KT_CONN_BODY || c->phase == KT_CONN_LINGER)
		kt_conn_doom(c);
}

static void take_input(struct kt_conn *c, const uv_buf_t *buf, size_t len)
{
	size_t used = 0;

	switch (c->phase) {
	case KT_CONN_LINGER:
	case KT_CONN_STREAM:
	case KT_CONN_STREAM_END:
		c->dropped += len;
		if (c->dropped > (c->phase == KT_CONN_LINGER ? LINGER_BYTES : STREAM_DROP_BYTES))
			kt_conn_doom(c);
		return;
	case KT_CONN_IDLE:
	case KT_CONN_HEAD:
		(void)io_get(c);
		compact_input(c);
		kt_buf_add(&c->io->in, buf->base, len);
		process_input(c);
		return;
	case KT_CONN_BODY:
		c->processing = true;
		used = take_body(c, buf->base, len);
		c->processing = false;
		break;
	case KT_CONN_HANDLE:
	case KT_CONN_WRITE:
	default:
		break;
	}
	if (c->doomed || !c->io || c->phase == KT_CONN_LINGER)
		return;
	kt_buf_add(&c->io->held, buf->base + used, len - used);
	if (c->phase == KT_CONN_IDLE)
		process_input(c);
	else if (c->io->held.len > HELD_BYTES)
		stop_reading(c);
}

/*
 * There is more, but the others come first: libuv would read up to 32 times from one connection
 * before it looks at the next.
 */
static void yield_conn(struct kt_conn *c)
{
	stop_reading(c);
	c->yielded = true;
	kt_server_later(c->server, c);
}

static void on_conn_read(uv_stream_t *tcp, ssize_t n, const uv_buf_t *buf)
{
	struct kt_conn *c = tcp->data;

	if (n == 0 || c->doomed || c->evicted)
		return;
	if (n > 0) {
		take_input(c, buf, (size_t)n);
		kt_conn_settle(c);
		if (c->phase == KT_CONN_LINGER && !c->ex.ops) {
			clear_request(&c->ex.rq);
			io_free(c);
		}
		if ((size_t)n == buf->len && c->reading)
			yield_conn(c);
		return;
	}
	stop_reading(c);
	if (n == UV_EOF)
		on_eof(c);
	else
		kt_conn_doom(c);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *out)
{
	struct kt_conn *c = h->data;

	/* Before the key is known no more is read than a head can be. */
	bool head = c->phase == KT_CONN_IDLE || c->phase == KT_CONN_HEAD;

	*out = uv_buf_init(
		c->server->read_buf, head ? KT_MAX_HTTP_HEAD_BYTES : sizeof(c->server->read_buf));
}

static void start_reading(struct kt_conn *c)
{
	if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_conn_read) != 0) {
		kt_conn_doom(c);
		return;
	}
	c->reading = true;
}

void kt_conn_open(const struct kt_listener *l, int fd, const char *peer, const char *busy)
{
	struct kt_http_server *s = l->server;
	struct kt_conn *c = kt_calloc(1, sizeof(*c));

	c->server = s;
	c->last_ms = kt_loop_now_ms(s->loop);
	c->deadline_ms = c->last_ms + s->cfg.idle_ms;
	clear_request(&c->ex.rq);
	c->ex.rq.tag = l->tag;
	(void)kt_str_copy(c->ex.rq.peer, sizeof(c->ex.rq.peer), peer);
	kt_assert(uv_tcp_init(kt_loop_uv(s->loop), &c->tcp) == 0);
	c->tcp.data = c;
	c->next = s->conns;
	if (c->next)
		c->next->prev = c;
	s->conns = c;
	s->n_conns++;
	s->most_conns = KT_MAX(s->most_conns, s->n_conns);
	c->proxy = kt_trust_has(s->cfg.trust, peer);
	kt_conn_stranger(c);
	if (uv_tcp_open(&c->tcp, fd) != 0) {
		(void)close(fd);
		kt_conn_doom(c);
		return;
	}
	start_reading(c);
	if (busy && !c->doomed)
		kt_conn_refuse_with(c, 503, "unavailable", busy, "Retry-After: 5\r\n");
}

static void sweep_deadline(struct kt_conn *c)
{
	if (c->phase == KT_CONN_HEAD)
		kt_conn_refuse(c, 408, "timeout",
			"the request head took too long; the time for it is fixed");
	else if (c->phase == KT_CONN_BODY)
		kt_conn_refuse(c, 408, "timeout",
			"the request body took too long; the time for it is fixed");
	else
		kt_conn_doom(c);
}

/* How long a reader may take nothing. Streams can be resumed, so they wait less at the end. */
static int64_t stall_ms(const struct kt_conn *c)
{
	bool stream = c->phase == KT_CONN_STREAM || c->phase == KT_CONN_STREAM_END;
	int64_t ms = c->server->cfg.stall_ms;

	return stream && c->server->draining ? KT_MIN(ms, (int64_t)DRAIN_STALL_MS) : ms;
}

/*
 * The least speed of a body. One in memory has a deadline besides, so its average will do; one that
 * goes to a file is looked at anew each time, as a fast beginning must not pay for hours of
 * nothing.
 */
static void sweep_body(struct kt_conn *c, int64_t now_ms)
{
	const struct kt_http_config *cfg = &c->server->cfg;
	struct kt_conn_io *io = c->io;
	int64_t ms = now_ms - io->body_since_ms;
	int64_t late_ms = c->spool ? ms : ms - cfg->upload_grace_ms;
	int64_t got = (int64_t)(io->body_raw - io->body_mark);

	if (ms < cfg->upload_grace_ms)
		return;
	if (got < late_ms * cfg->upload_bytes_per_s / 1000) {
		kt_conn_refuse(c, 408, "timeout", "the request body comes too slowly");
		return;
	}
	if (!c->spool)
		return;
	io->body_since_ms = now_ms;
	io->body_mark = io->body_raw;
}

/*
 * The client has shut its side and waits. Is it still there? Who has gone answers the next byte
 * with a reset; any client of HTTP/1.1 takes an interim answer (RFC 9110 15.2).
 */
static void sweep_eof(struct kt_conn *c, int64_t now_ms)
{
	static char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
	struct pollfd p = { .fd = -1 };

	if (uv_fileno((uv_handle_t *)&c->tcp, &p.fd) != 0 ||
		(poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)))) {
		kt_conn_doom(c);
		return;
	}
	if (c->probed || now_ms - c->eof_ms < c->server->cfg.probe_ms)
		return;
	if (c->phase == KT_CONN_HANDLE && !c->ex.rq.http10) {
		uv_buf_t b = uv_buf_init(interim, sizeof(interim) - 1);
		c->probed = true;
		kt_conn_send(c, &b, 1, true);
	} else if (c->phase == KT_CONN_STREAM && !c->event_stream) {
		kt_conn_doom(c); /* nothing can be put between the source's bytes */
	}
}

void kt_conn_sweep(struct kt_conn *c, int64_t now_ms)
{
	if (c->doomed)
		return;
	if (c->eof) {
		sweep_eof(c, now_ms);
		if (c->doomed)
			return;
	}
	if (c->writing) {
		size_t queue = uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);
		if (queue != c->queue_seen) {
			c->queue_seen = queue;
			c->last_ms = now_ms;
		} else if (now_ms - c->last_ms >= stall_ms(c)) {
			kt_conn_doom(c);
		}
		return;
	}
	if (c->deadline_ms > 0 && now_ms >= c->deadline_ms) {
		sweep_deadline(c);
		return;
	}
	if (c->phase == KT_CONN_BODY) {
		sweep_body(c, now_ms);
	} else if (c->phase == KT_CONN_STREAM) {
		kt_stream_sweep(c, now_ms);
	} else if (c->phase == KT_CONN_IDLE && c->io && now_ms - c->last_ms >= SHED_MS) {
		kt_conn_shed(c);
	}
}

void kt_exchange_on_close(struct kt_exchange *ex, kt_loop_fn fn, void *arg)
{
	ex->close_fn = fn;
	ex->close_arg = arg;
}

const struct kt_request *kt_exchange_request(const struct kt_exchange *ex)
{
	return &ex->rq;
}
