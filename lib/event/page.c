/* SPDX-License-Identifier: MIT */
/*
 * Pages of a log: how much of it one has, that as text, and the envelopes of its events taken out of
 * the bytes of frames where they lie, so that a page need not be built to be sent. A frame is lines
 * that tell by their first byte what they are; only "data: " is of the envelope.
 */
#include "event/log_private.h"

#include "base/base.h"

#include <string.h>

size_t kt_evenv_next(struct kt_evenv *e, const char *p, size_t len, bool *out_envelope)
{
	const char *lf;
	size_t n;

	*out_envelope = false;
	if (!e->line) {
		if (*p == '\n')
			return 1;
		e->line = *p;
		e->skip = *p == 'd' ? sizeof("data: ") - 1 : 0;
	}
	if (e->skip) {
		n = KT_MIN(len, (size_t)e->skip);
		e->skip = (uint8_t)(e->skip - n);
		e->n += !e->skip;
		return n;
	}
	lf = memchr(p, '\n', len);
	n = lf ? (size_t)(lf - p) : len;
	if (e->line == 'd' && n > 0) {
		*out_envelope = true;
		return n;
	}
	if (lf)
		e->line = 0;
	return n + (lf != NULL);
}

struct page_walk {
	struct kt_evpage pg;
	size_t max_events, max_bytes;
	struct kt_buf *b; /* for the envelopes, or NULL */
};

static bool page_frame(void *arg, const struct kt_evframe *f)
{
	struct page_walk *w = arg;
	struct kt_evpage *pg = &w->pg;

	/* The first goes out whatever its size, or paging would stand still. */
	if (pg->n > 0 && pg->bytes + f->json_len + 1 > w->max_bytes)
		return false;
	if (w->b) {
		if (pg->n > 0)
			kt_buf_addc(w->b, ',');
		kt_buf_add(w->b, f->json, f->json_len);
	}
	pg->bytes += f->json_len + (pg->n > 0);
	pg->n++;
	pg->last = f->seq;
	return pg->n < w->max_events;
}

static enum kt_code page_walk(
	struct kt_evlog *log, uint64_t after_seq, struct page_walk *w, struct kt_err *err)
{
	w->pg.last = KT_MIN(after_seq, kt_evlog_last_seq(log));
	if (w->max_events == 0)
		return KT_OK;
	return kt_evlog_each(log, after_seq, SIZE_MAX, page_frame, w, err);
}

enum kt_code kt_evpage_measure(struct kt_evlog *log, uint64_t after_seq, size_t max_events,
	size_t max_bytes, struct kt_evpage *out, struct kt_err *err)
{
	struct page_walk w = { .max_events = max_events, .max_bytes = max_bytes };
	enum kt_code rc = page_walk(log, after_seq, &w, err);

	*out = w.pg;
	return rc;
}

enum kt_code kt_evlog_read(struct kt_evlog *log, uint64_t after_seq, size_t max_events,
	size_t max_bytes, struct kt_buf *b, size_t *out_n, uint64_t *out_last, struct kt_err *err)
{
	struct page_walk w = { .max_events = max_events, .max_bytes = max_bytes, .b = b };
	size_t start = b->len;
	enum kt_code rc = page_walk(log, after_seq, &w, err);

	if (rc == KT_OK && !kt_buf_ok(b))
		rc = kt_fail(err, KT_ELIMIT, 0, "too many events for one answer");
	if (rc != KT_OK && kt_buf_ok(b))
		kt_buf_truncate(b, start);
	*out_n = w.pg.n;
	*out_last = w.pg.last;
	return rc;
}
