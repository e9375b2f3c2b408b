/* SPDX-License-Identifier: MIT */
/* Line framing; see lines.h. One thread owns a framer. */
#include "text/lines.h"

#include <string.h>

/* After a line this large its memory is given back: one 64 MiB line must not stay forever. */
#define KEEP_BYTES (256 * 1024)

/* The buffer takes one byte more than a line may have, for the CR of CRLF. */
static size_t line_max(const struct kt_lines *l)
{
	return l->buf.max - 1;
}

static void forget_line(struct kt_lines *l)
{
	size_t max = l->buf.max;

	l->scanned = 0;
	if (l->buf.cap <= KEEP_BYTES) {
		kt_buf_clear(&l->buf);
		return;
	}
	kt_buf_release(&l->buf);
	kt_buf_init(&l->buf, max);
}

void kt_lines_init(struct kt_lines *l, size_t max_line_bytes)
{
	kt_buf_init(&l->buf, max_line_bytes + 1);
	l->scanned = 0;
}

void kt_lines_release(struct kt_lines *l)
{
	kt_buf_release(&l->buf);
	l->scanned = 0;
}

void kt_lines_clear(struct kt_lines *l)
{
	forget_line(l);
}

/* Add a piece without LF; false when the line became too long, which `overflow` remembers. */
static bool add_piece(struct kt_lines *l, const char *data, size_t len)
{
	struct kt_buf *b = &l->buf;

	kt_buf_add(b, data, len);
	if (!b->overflow && b->len > line_max(l) && b->ptr[b->len - 1] != '\r')
		b->overflow = true;
	l->scanned = b->len;
	return !b->overflow;
}

static void give_line(struct kt_lines *l, kt_line_fn fn, void *arg)
{
	struct kt_buf *b = &l->buf;

	if (b->len > 0 && b->ptr[b->len - 1] == '\r')
		kt_buf_truncate(b, b->len - 1);
	/* An empty buffer is the shared empty string, which the callback must not write to. */
	if (b->len == 0) {
		char none[1] = "";

		fn(arg, none, 0);
	} else {
		fn(arg, b->ptr, b->len);
	}
	forget_line(l);
}

enum kt_code kt_lines_feed(struct kt_lines *l, const char *data, size_t len, kt_line_fn fn,
	void *arg, struct kt_err *err)
{
	const char *end = data + len;

	if (l->buf.overflow)
		return KT_OK;
	while (data < end) {
		const char *lf = memchr(data, '\n', (size_t)(end - data));

		if (!add_piece(l, data, (size_t)((lf ? lf : end) - data)))
			return kt_fail(err, KT_ELIMIT, 0, "line over %zu bytes", line_max(l));
		if (!lf)
			break;
		give_line(l, fn, arg);
		data = lf + 1;
	}
	return KT_OK;
}

char *kt_lines_take(struct kt_lines *l)
{
	return kt_buf_take(&l->buf);
}

void kt_lines_end(struct kt_lines *l, kt_line_fn fn, void *arg)
{
	if (!l->buf.overflow && l->buf.len > 0)
		give_line(l, fn, arg);
}
