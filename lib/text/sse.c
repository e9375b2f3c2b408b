/* SPDX-License-Identifier: MIT */
/* Reader of text/event-stream; see sse.h. One thread owns a reader. */
#include "text/sse.h"

#include "base/str.h"

#include <string.h>

#define FIELD_ROOM 64 /* bytes of a line beside the data: "data: " and a byte order mark */

void kt_sse_init(struct kt_sse *s, size_t max_event_bytes)
{
	memset(s, 0, sizeof(*s));
	kt_buf_init(&s->line, max_event_bytes + FIELD_ROOM);
	kt_buf_init(&s->data, max_event_bytes);
	s->retry_ms = -1;
}

void kt_sse_release(struct kt_sse *s)
{
	kt_buf_release(&s->line);
	kt_buf_release(&s->data);
}

static enum kt_code too_long(struct kt_sse *s, struct kt_err *err)
{
	s->line.overflow = true;
	return kt_fail(err, KT_ELIMIT, 0, "event over %zu bytes", s->data.max);
}

/* The empty line: the frame ends here. The id counts also when there is nothing to give. */
static enum kt_code dispatch_frame(struct kt_sse *s, kt_sse_fn fn, void *arg, struct kt_err *err)
{
	struct kt_sse_event ev = { s->id, s->event[0] ? s->event : "message", s->data.ptr,
		s->data.len };
	bool go_on = true;

	memcpy(s->id, s->next_id, sizeof(s->id));
	if (s->has_data)
		go_on = fn(arg, &ev);
	kt_buf_clear(&s->data);
	s->has_data = false;
	s->event[0] = '\0';
	if (go_on)
		return KT_OK;
	s->stopped = true;
	return kt_fail(err, KT_ECANCEL, 0, "reading of events was stopped");
}

static bool name_is(const char *name, size_t len, const char *what)
{
	return len == strlen(what) && memcmp(name, what, len) == 0;
}

/* Copy a short value; false when it does not fit, for a cut id would resume at a wrong place. */
static bool set_short(char *dst, size_t size, const char *v, size_t len)
{
	if (len >= size)
		return false;
	memcpy(dst, v, len);
	dst[len] = '\0';
	return true;
}

static void set_retry(struct kt_sse *s, const char *v, size_t len)
{
	int64_t ms;

	for (size_t i = 0; i < len; i++)
		if (v[i] < '0' || v[i] > '9')
			return;
	if (kt_str_int64n(v, len, 0, INT64_MAX, &ms))
		s->retry_ms = ms;
}

static enum kt_code take_field(struct kt_sse *s, const char *name, size_t nlen, const char *v,
	size_t vlen, struct kt_err *err)
{
	bool ok = true;

	if (name_is(name, nlen, "data")) {
		if (s->has_data)
			kt_buf_addc(&s->data, '\n');
		kt_buf_add(&s->data, v, vlen);
		s->has_data = true;
		ok = kt_buf_ok(&s->data);
	} else if (name_is(name, nlen, "event")) {
		ok = set_short(s->event, sizeof(s->event), v, vlen);
	} else if (name_is(name, nlen, "id")) {
		/* The standard ignores an id with NUL. */
		if (!memchr(v, '\0', vlen))
			ok = set_short(s->next_id, sizeof(s->next_id), v, vlen);
	} else if (name_is(name, nlen, "retry")) {
		set_retry(s, v, vlen);
	}
	return ok ? KT_OK : too_long(s, err);
}

static enum kt_code take_sse_line(
	struct kt_sse *s, const char *p, size_t len, kt_sse_fn fn, void *arg, struct kt_err *err)
{
	const char *colon, *v;
	size_t nlen;

	if (len > s->line.max)
		return too_long(s, err);
	if (!s->bom_done) {
		s->bom_done = true;
		if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
			p += 3;
			len -= 3;
		}
	}
	if (len == 0)
		return dispatch_frame(s, fn, arg, err);
	if (*p == ':')
		return KT_OK;
	colon = memchr(p, ':', len);
	nlen = colon ? (size_t)(colon - p) : len;
	v = colon ? colon + 1 : p + len;
	if (v < p + len && *v == ' ')
		v++;
	return take_field(s, p, nlen, v, (size_t)(p + len - v), err);
}

/* Bytes until a CR, a LF or the end. */
static size_t line_span(const char *p, const char *end)
{
	const char *lf = memchr(p, '\n', (size_t)(end - p));
	const char *stop = lf ? lf : end;
	const char *cr = memchr(p, '\r', (size_t)(stop - p));

	return (size_t)((cr ? cr : stop) - p);
}

enum kt_code kt_sse_feed(
	struct kt_sse *s, const char *data, size_t len, kt_sse_fn fn, void *arg, struct kt_err *err)
{
	const char *p = data;
	const char *end = data + len;

	if (s->stopped)
		return kt_fail(err, KT_ECANCEL, 0, "reading of events was stopped");
	if (s->line.overflow)
		return too_long(s, err);
	while (p < end) {
		enum kt_code rc;
		size_t n;

		if (s->last_cr) {
			s->last_cr = false;
			if (*p == '\n') {
				p++;
				continue;
			}
		}
		n = line_span(p, end);
		if (p + n == end || s->line.len > 0)
			kt_buf_add(&s->line, p, n);
		if (!kt_buf_ok(&s->line))
			return too_long(s, err);
		if (p + n == end)
			break;
		s->last_cr = p[n] == '\r';
		if (s->line.len > 0) {
			rc = take_sse_line(s, s->line.ptr, s->line.len, fn, arg, err);
			/* A failed line stays marked as overflown: clear only after a good one. */
			if (rc == KT_OK)
				kt_buf_clear(&s->line);
		} else {
			rc = take_sse_line(s, p, n, fn, arg, err);
		}
		if (rc != KT_OK)
			return rc;
		p += n + 1;
	}
	return KT_OK;
}
