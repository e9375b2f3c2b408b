/* SPDX-License-Identifier: MIT */
/*
 * Bytes of answers to the socket: at once as far as it takes them, the rest by libuv's queue. Of a
 * crowd that asks for much at once, nobody gets it before those who ask for little had theirs.
 */
#include "http/conn_private.h"

#include <string.h>

#define SEND_A_ROUND (1024 * 1024) /* then what is long goes out after what is short */
#define SHORT_BYTES 16384

/* A queued write with its copy of the bytes that did not go at once. */
struct conn_write {
	uv_write_t req;
	struct kt_conn *c;
	size_t size;
	uv_buf_t bufs[2];
	unsigned n;
	char data[];
};

static void on_written(uv_write_t *req, int status)
{
	struct conn_write *w = kt_container_of(req, struct conn_write, req);
	struct kt_conn *c = w->c;

	c->queued -= w->size;
	free(w);
	/* Also for a connection that is closing: it lives until its close callback. */
	if (c->doomed || uv_is_closing((uv_handle_t *)&c->tcp))
		return;
	if (status < 0) {
		kt_conn_doom(c);
		return;
	}
	if (uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp) > 0)
		return;
	c->writing = false;
	c->last_ms = kt_loop_now_ms(c->server->loop);
	if (c->phase == KT_CONN_WRITE)
		kt_conn_answered(c);
	else if (c->phase == KT_CONN_STREAM || c->phase == KT_CONN_STREAM_END)
		kt_stream_written(c);
	kt_conn_settle(c);
}

/*
 * Of a crowd that asks for much at once, nobody gets it before those who ask for little had theirs:
 * the kernel takes a megabyte for a few of them in the time of a hundred short answers.
 */
static bool must_wait(const struct kt_conn *c, const uv_buf_t *bufs, unsigned n)
{
	size_t len = 0;

	for (unsigned i = 0; i < n; i++)
		len += bufs[i].len;
	return c->unsent || (c->server->sent_bytes > SEND_A_ROUND && len > SHORT_BYTES);
}

ssize_t kt_conn_try(struct kt_conn *c, uv_buf_t *bufs, unsigned n)
{
	int r = must_wait(c, bufs, n) ? UV_EAGAIN : uv_try_write((uv_stream_t *)&c->tcp, bufs, n);

	if (r < 0 && r != UV_EAGAIN) {
		kt_conn_doom(c);
		return -1;
	}
	if (r > 0)
		c->server->sent_bytes += (size_t)r;
	/* A stall is counted from the last progress, or from when it began. */
	if (r > 0 || !c->writing)
		c->last_ms = kt_loop_now_ms(c->server->loop);
	return r < 0 ? 0 : r;
}

/* To the socket, and what it does not take to libuv's queue. TAKES w. */
static bool give_write(struct kt_conn *c, struct conn_write *w)
{
	if (uv_write(&w->req, (uv_stream_t *)&c->tcp, w->bufs, w->n, on_written) != 0) {
		c->queued -= w->size;
		free(w);
		kt_conn_doom(c);
		return false;
	}
	c->queue_seen = uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);
	return true;
}

void kt_conn_queue(struct kt_conn *c, uv_buf_t *bufs, unsigned n, size_t sent, bool last_fixed)
{
	unsigned n_copy = last_fixed ? n - 1 : n;
	size_t copy = 0, at = 0, skip[3];
	bool wait = sent == 0 && must_wait(c, bufs, n);

	kt_assert(n >= 1 && n <= KT_ARRAY_LEN(skip));
	for (unsigned i = 0; i < n; i++) {
		skip[i] = KT_MIN(sent, bufs[i].len);
		sent -= skip[i];
		if (i < n_copy)
			copy += bufs[i].len - skip[i];
	}
	bool fixed = last_fixed && bufs[n - 1].len > skip[n - 1];
	if (copy == 0 && !fixed)
		return;
	struct conn_write *w = kt_try_malloc(sizeof(*w) + copy);
	if (!w) {
		kt_conn_doom(c);
		return;
	}
	for (unsigned i = 0; i < n_copy; i++) {
		memcpy(w->data + at, bufs[i].base + skip[i], bufs[i].len - skip[i]);
		at += bufs[i].len - skip[i];
	}
	w->c = c;
	w->size = sizeof(*w) + copy;
	w->n = 0;
	if (copy > 0)
		w->bufs[w->n++] = uv_buf_init(w->data, (unsigned)copy);
	if (fixed)
		w->bufs[w->n++] = uv_buf_init(
			bufs[n - 1].base + skip[n - 1], (unsigned)(bufs[n - 1].len - skip[n - 1]));
	c->queued += w->size;
	if (wait && !c->writing) {
		c->unsent = w;
		kt_server_later(c->server, c);
	} else {
		if (c->unsent && !give_write(c, KT_STEAL(c->unsent))) {
			c->queued -= w->size;
			free(w);
			return;
		}
		if (!give_write(c, w))
			return;
	}
	c->writing = true;
	kt_conn_settle(c);
}

void kt_conn_send(struct kt_conn *c, uv_buf_t *bufs, unsigned n, bool last_fixed)
{
	ssize_t sent = kt_conn_try(c, bufs, n);

	if (sent >= 0)
		kt_conn_queue(c, bufs, n, (size_t)sent, last_fixed);
}

void kt_conn_send_late(struct kt_conn *c)
{
	(void)give_write(c, KT_STEAL(c->unsent));
}
