/* SPDX-License-Identifier: MIT */
/*
 * Streams: the connection pulls from its source while the socket takes bytes, so a reader that is
 * slow costs its cursor and at most one copied chunk. Event streams (WHATWG HTML 9.2) get a retry
 * line and heartbeats.
 */
#include "http/conn_private.h"

#include "base/limits.h"

#include <string.h>
#include <sys/socket.h>

#define CHUNK_BYTES 32768
#define BLOCKED_BYTES 1024 /* copied for a reader that takes nothing, to learn when it does */
#define SEND_BUF_BYTES 65536 /* the kernel would keep megabytes for a reader that is gone */

/* "2a\r\n"; returns its length. */
static unsigned chunk_line(char *out, size_t n)
{
	static const char hex[] = "0123456789abcdef";
	char rev[16];
	unsigned len = 0, at = 0;

	do {
		rev[len++] = hex[n % 16];
		n /= 16;
	} while (n > 0);
	while (len > 0)
		out[at++] = rev[--len];
	out[at++] = '\r';
	out[at++] = '\n';
	return at;
}

/*
 * Send up to n bytes at p as one chunk (bare in HTTP/1.0). Returns how many were taken; when the
 * socket takes nothing at all only a little is copied to wait for it.
 */
static size_t send_chunk(struct kt_conn *c, const char *p, size_t n)
{
	static char crlf[] = "\r\n";
	char line[20];
	/* libuv takes char * for both directions; writing does not change it. */
	char *data = (char *)(uintptr_t)p;
	uv_buf_t bufs[3];

	bufs[0] = uv_buf_init(line, c->chunked ? chunk_line(line, n) : 0);
	bufs[1] = uv_buf_init(data, (unsigned)n);
	bufs[2] = uv_buf_init(crlf, c->chunked ? 2 : 0);
	uv_buf_t *first = c->chunked ? bufs : bufs + 1;
	unsigned n_bufs = c->chunked ? 3 : 1;
	ssize_t sent = kt_conn_try(c, first, n_bufs);
	if (sent < 0)
		return n;
	if (sent == 0 && n > BLOCKED_BYTES) {
		n = BLOCKED_BYTES;
		bufs[0] = uv_buf_init(line, chunk_line(line, n));
		bufs[1].len = n;
		if (!c->chunked)
			bufs[0].len = 0;
	}
	kt_conn_queue(c, first, n_bufs, (size_t)sent, false);
	return n;
}

/* The last byte is with the kernel: `closed` is called at the end of the tick. */
static void stream_over(struct kt_conn *c)
{
	if (!c->doomed)
		kt_conn_linger(c);
}

/* Nothing more comes from the source. */
static void stream_finish(struct kt_conn *c)
{
	static char last[] = "0\r\n\r\n";
	bool framed = c->chunked && c->ex.rq.method != KT_HEAD;

	c->phase = KT_CONN_STREAM_END;
	if (framed) {
		uv_buf_t b = uv_buf_init(last, sizeof(last) - 1);
		kt_conn_send(c, &b, 1, true);
	}
	if (!c->writing)
		stream_over(c);
}

static bool stream_at_boundary(struct kt_conn *c)
{
	return !c->ex.ops->at_boundary || c->ex.ops->at_boundary(c->ex.arg);
}

/* Send until the source is empty, the socket full or the budget spent. */
static void pump_round(struct kt_conn *c)
{
	const struct kt_stream_ops *ops = c->ex.ops;
	size_t budget = KT_SSE_INFLIGHT_BYTES;

	while (!c->doomed && !c->writing && c->phase == KT_CONN_STREAM) {
		const char *p = NULL;
		if (c->server->draining && stream_at_boundary(c)) {
			stream_finish(c);
			return;
		}
		/* A fast reader of a full source must not hold up the others. */
		if (budget < CHUNK_BYTES) {
			c->resume = true;
			kt_server_later(c->server, c);
			return;
		}
		size_t n = ops->peek(c->ex.arg, &p, CHUNK_BYTES);
		if (n == 0) {
			if (c->ending)
				stream_finish(c);
			return;
		}
		kt_assert(n <= CHUNK_BYTES);
		n = send_chunk(c, p, n);
		budget -= n;
		if (!c->doomed)
			ops->sent(c->ex.arg, n);
	}
}

void kt_stream_pump(struct kt_conn *c)
{
	/* The source may wake or end its stream from within peek and sent. */
	c->again = true;
	if (c->pumping)
		return;
	c->pumping = true;
	while (c->again && c->phase == KT_CONN_STREAM) {
		c->again = false;
		pump_round(c);
	}
	c->pumping = false;
}

void kt_stream_written(struct kt_conn *c)
{
	if (c->phase == KT_CONN_STREAM_END)
		stream_over(c);
	else
		kt_stream_pump(c);
}

void kt_stream_sweep(struct kt_conn *c, int64_t now_ms)
{
	static const char ping[] = ": ping\n\n";

	bool due = now_ms - c->last_ms >= c->server->cfg.heartbeat_ms;

	if (!(c->event_stream || c->lines) || !(due || (c->eof && !c->probed)) || c->writing ||
		!stream_at_boundary(c))
		return;
	c->probed = c->eof;
	if (c->lines)
		(void)send_chunk(c, "\n", 1);
	else
		(void)send_chunk(c, ping, sizeof(ping) - 1);
}

/* The kernel's send buffer is part of what a dead reader costs. */
static void limit_kernel_buffer(struct kt_conn *c)
{
	int bytes = SEND_BUF_BYTES;
	uv_os_fd_t fd;

	/* A failure only costs memory. */
	if (uv_fileno((uv_handle_t *)&c->tcp, &fd) == 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

/* length = bytes of the source, -1 = not known (chunked, or until close). */
static void stream_start(struct kt_exchange *ex, int status, const char *content_type,
	bool event_stream, int64_t length, const struct kt_stream_ops *ops, void *arg)
{
	struct kt_conn *c = kt_conn_of(ex);
	struct kt_buf *b = &c->server->out;
	bool bodiless = status == 204 || status == 304;
	bool head_only = bodiless || ex->rq.method == KT_HEAD;

	kt_assert(c->phase == KT_CONN_HANDLE && !ex->ops && status >= 200);
	ex->close_fn = NULL;
	ex->ops = ops;
	ex->arg = arg;
	c->event_stream = event_stream;
	c->chunked = !ex->rq.http10 && length < 0 && !bodiless;
	/* What the client says during a stream is not kept, so it cannot be a next request. */
	c->keep_alive = false;
	c->phase = KT_CONN_STREAM;
	c->deadline_ms = 0;
	c->dropped = 0;
	if (c->doomed)
		return;
	if (event_stream)
		content_type = "text/event-stream";
	kt_respond_head(ex, status, bodiless ? NULL : content_type);
	if (event_stream && !bodiless)
		kt_buf_adds(b, "Cache-Control: no-store\r\n");
	if ((event_stream || c->lines) && !bodiless)
		kt_buf_adds(b, "X-Accel-Buffering: no\r\n");
	if (c->chunked)
		kt_buf_adds(b, "Transfer-Encoding: chunked\r\n");
	if (length >= 0 && !bodiless)
		kt_buf_addf(b, "Content-Length: %lld\r\n", (long long)length);
	kt_buf_adds(b, "\r\n");
	if (event_stream && !head_only) {
		char retry[64], line[20];
		int n = snprintf(retry, sizeof(retry), "retry: %d\n\n", KT_SSE_RETRY_MS);
		if (ex->placed)
			n += snprintf(retry + n, sizeof(retry) - (size_t)n, "id: %llu\n\n",
				(unsigned long long)ex->first_id);
		if (c->chunked)
			kt_buf_add(b, line, chunk_line(line, (size_t)n));
		kt_buf_add(b, retry, (size_t)n);
		if (c->chunked)
			kt_buf_adds(b, "\r\n");
	}
	if (!kt_buf_ok(b)) {
		kt_conn_doom(c);
		return;
	}
	limit_kernel_buffer(c);
	uv_buf_t head = uv_buf_init(b->ptr, (unsigned)b->len);
	kt_conn_send(c, &head, 1, false);
	kt_conn_shed(c);
	if (head_only)
		stream_finish(c);
	else
		kt_stream_pump(c);
}

void kt_stream_place(struct kt_exchange *ex, uint64_t id)
{
	ex->first_id = id;
	ex->placed = true;
}

void kt_stream_lines(struct kt_exchange *ex)
{
	kt_conn_of(ex)->lines = true;
}

void kt_stream_begin(struct kt_exchange *ex, int status, const char *content_type,
	bool event_stream, const struct kt_stream_ops *ops, void *arg)
{
	stream_start(ex, status, content_type, event_stream, -1, ops, arg);
}

void kt_respond_source(struct kt_exchange *ex, int status, const char *content_type, int64_t length,
	const struct kt_stream_ops *ops, void *arg)
{
	stream_start(ex, status, content_type, false, length, ops, arg);
	kt_stream_end(ex);
}

void kt_stream_wake(struct kt_exchange *ex)
{
	struct kt_conn *c = kt_conn_of(ex);

	if (!c->doomed && !c->writing && c->phase == KT_CONN_STREAM)
		kt_stream_pump(c);
}

void kt_stream_end(struct kt_exchange *ex)
{
	struct kt_conn *c = kt_conn_of(ex);

	c->ending = true;
	kt_stream_wake(ex);
}
