/* SPDX-License-Identifier: MIT */
/*
 * Pages of a log: how much of it one has, and the envelopes of its events taken out of the bytes
 * of frames where they lie, so that a page need not be built to be sent. A frame is lines that
 * tell by their first byte what they are; only "data: " is of the envelope.
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
		e->bad = e->bad || !strchr("ied:", *p);
		e->skip = *p == 'd' ? sizeof("data: ") - 1 : 0;
		if (*p == 'i')
			e->seq = 0;
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
	for (size_t i = 0; e->line == 'i' && i < n; i++)
		if (p[i] >= '0' && p[i] <= '9')
			e->seq = e->seq * 10 + (uint64_t)(p[i] - '0');
	if (lf)
		e->line = 0;
	return n + (lf != NULL);
}

/* Look at a piece of the log; true when the page is full. */
static bool page_take(struct kt_evpage *pg, struct kt_evenv *e, const char *p, size_t len,
	size_t max_events, size_t max_bytes)
{
	size_t at = 0;

	while (at < len && !e->bad) {
		bool envelope;
		bool ended = !e->line && p[at] == '\n';
		size_t n = kt_evenv_next(e, p + at, len - at, &envelope);

		at += n;
		if (envelope)
			e->bytes += n;
		if (!ended)
			continue;
		/* The first goes out whatever its size, or paging would stand still. */
		if (pg->n > 0 && pg->bytes + e->bytes + 1 > max_bytes)
			return true;
		pg->bytes += e->bytes + (pg->n > 0);
		e->bytes = 0;
		pg->n++;
		pg->last = e->seq;
		if (pg->n >= max_events)
			return true;
	}
	return e->bad;
}

enum kt_code kt_evpage_measure(struct kt_evlog *log, uint64_t after_seq, size_t max_events,
	size_t max_bytes, struct kt_evpage *out, struct kt_err *err)
{
	struct kt_evpage pg = { .last = KT_MIN(after_seq, log->last_seq) };
	struct kt_evreader *r = kt_evreader_new(log, after_seq, NULL, NULL);
	struct kt_evenv e = { .n = 0 };
	bool full = max_events == 0;
	const char *p;
	size_t n;

	while (!full && (n = kt_evreader_peek(r, &p, KT_EVLOG_BUFFER_BYTES)) > 0) {
		full = page_take(&pg, &e, p, n, max_events, max_bytes);
		kt_evreader_advance(r, n);
	}
	kt_evreader_free(r);
	if (e.bad)
		return kt_fail(
			err, KT_EIO, 0, "the event log of %s is damaged", kt_evlog_session(log));
	*out = pg;
	return KT_OK;
}
