/* SPDX-License-Identifier: MIT */
/*
 * Readers: each is an offset into the log. They share its bytes; of their own they have only the
 * rest of a frame that the log gave up under them, or a gap frame.
 */
#include "event/log_private.h"

#include "base/base.h"
#include "base/limits.h"
#include "base/log.h"
#include "text/json.h"

#include <string.h>

/* Render the gap frame and go to the first number that is to be had. */
static void make_gap(struct kt_evreader *r)
{
	struct kt_evlog *log = r->log;
	uint64_t first = r->lost_from;
	uint64_t in_memory = log->head != NULL ? log->head->first_seq : log->last_seq + 1;
	uint64_t next = log->base_seq + 1;
	r->lost_from = 0;
	r->off = log->end;
	/* Lost although the log keeps it: the file cannot be read, or lacks it. */
	if (first >= next || (next <= log->last_seq && !kt_evlog_find(log, next, &r->off)))
		next = KT_MAX(in_memory, first);
	if (next <= log->last_seq && !kt_evlog_find(log, next, &r->off))
		next = log->last_seq + 1;
	if (next <= first)
		return;
	KT_AUTO_BUF struct kt_buf data = KT_BUF_INIT(128);
	kt_buf_addf(&data, "{\"first\":%llu,\"last\":%llu}", (unsigned long long)first,
		(unsigned long long)(next - 1));
	const struct kt_event_draft ev = {
		.type = KT_EV_GAP, .data = data.ptr, .data_len = data.len
	};
	kt_evlog_render(&r->pending, log->id_key, kt_evlog_session(log), next - 1, &ev);
}

/* --- reading ----------------------------------------------------------------------------- */

struct kt_evreader *kt_evreader_new(
	struct kt_evlog *log, uint64_t after_seq, kt_loop_fn wake, void *arg)
{
	struct kt_evreader *r = kt_calloc(1, sizeof(*r));
	uint64_t seq = KT_MIN(after_seq, log->last_seq) + 1;
	r->log = log;
	r->wake = wake;
	r->arg = arg;
	r->after_seq = seq - 1;
	r->boundary = true;
	kt_buf_init(&r->pending, KT_EVLOG_FRAME_BYTES + 1024);
	r->off = log->end;
	r->stop_off = UINT64_MAX;
	if (seq <= log->last_seq) {
		if (seq <= log->base_seq || !kt_evlog_find(log, seq, &r->off))
			r->lost_from = seq;
	}
	r->next = log->readers;
	if (r->next != NULL)
		r->next->prev = r;
	log->readers = r;
	log->n_readers++;
	return r;
}

void kt_evreader_free(struct kt_evreader *r)
{
	if (r == NULL)
		return;
	struct kt_evlog *log = r->log;
	if (log->wake_next == r)
		log->wake_next = r->next;
	if (r->prev != NULL)
		r->prev->next = r->next;
	else
		log->readers = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
	log->n_readers--;
	if (log->idle && log->n_readers == 0)
		kt_evlog_release_file(log);
	kt_buf_release(&r->pending);
	free(r);
}

size_t kt_evreader_peek(struct kt_evreader *r, const char **out, size_t max)
{
	struct kt_evlog *log = r->log;
	const char *p = NULL;
	size_t len = 0;
	/* Between ticks, too, nobody sees what a restart would forget. */
	if (log->has_file && log->saved_off != log->end)
		kt_evlog_save(log);
	if (r->pending_at == r->pending.len) {
		if (r->pending.len > 0) {
			kt_buf_release(&r->pending);
			r->pending_at = 0;
		}
		if (r->off >= r->stop_off && r->lost_from == 0)
			return 0;
		if (r->lost_from == 0 && r->off < log->end) {
			len = kt_evlog_view(log, r->off, &p);
			/*
			 * Not lost, and yet not there: the part that the file lacks since writing
			 * failed, or the file cannot be read.
			 */
			if (len == 0 && !r->boundary)
				kt_evreader_cut(r);
			if (len == 0)
				r->lost_from = r->off == log->saved_off ? log->saved_seq + 1
									: r->after_seq + 1;
		}
		if (len == 0 && r->lost_from != 0) {
			make_gap(r);
			if (r->pending.len == 0 && r->off < log->end)
				len = kt_evlog_view(log, r->off, &p);
		}
		len = r->off < r->stop_off ? KT_MIN(len, r->stop_off - r->off) : 0;
	}
	if (r->pending_at < r->pending.len) {
		p = r->pending.ptr + r->pending_at;
		len = r->pending.len - r->pending_at;
	}
	if (len == 0) {
		/* Caught up on an idle log: nothing stays open for it. */
		if (log->idle && log->has_file && (log->fd >= 0 || log->fbuf != NULL))
			kt_evlog_release_file(log);
		return 0;
	}
	r->peeked = p;
	r->peeked_len = len;
	r->peek_epoch = log->epoch;
	*out = p;
	return KT_MIN(len, max);
}

void kt_evreader_advance(struct kt_evreader *r, size_t n)
{
	if (n == 0)
		return;
	struct kt_evlog *log = r->log;
	const char *p = NULL;
	size_t seen = n;
	if (r->pending_at < r->pending.len) {
		kt_assert(n <= r->pending.len - r->pending_at);
		p = r->pending.ptr + r->pending_at;
		r->pending_at += n;
	} else {
		kt_assert(n <= log->end - r->off);
		p = r->peeked;
		if (r->peek_epoch != log->epoch || n > r->peeked_len) {
			seen = kt_evlog_view(log, r->off, &p);
		}
		r->off += n;
	}
	if (seen < n) {
		/* The file stopped being readable in between; peek tells of it. */
		r->last_byte = '\0';
		r->boundary = false;
		return;
	}
	char before = n >= 2 ? p[n - 2] : r->last_byte;
	r->last_byte = p[n - 1];
	r->boundary = before == '\n' && r->last_byte == '\n';
	/* A second advance after one peek starts where this one ended. */
	r->peeked = p + n;
	r->peeked_len -= KT_MIN(n, r->peeked_len);
}

bool kt_evreader_at_boundary(const struct kt_evreader *r)
{
	return r->boundary;
}

void kt_evreader_stop_here(struct kt_evreader *r)
{
	r->stop_off = r->log->end;
}

void kt_evreader_stop_after(struct kt_evreader *r, uint64_t seq)
{
	uint64_t off = r->log->end;
	/* What was forgotten ends where the reader's gap does: at the first number that is kept. */
	if (seq < r->log->last_seq &&
		!kt_evlog_find(r->log, KT_MAX(seq, r->log->base_seq) + 1, &off))
		off = r->log->end;
	r->stop_off = off;
}

bool kt_evreader_done(const struct kt_evreader *r)
{
	return r->lost_from == 0 && r->pending_at == r->pending.len && r->off >= r->stop_off;
}

/* --- paging ------------------------------------------------------------------------------ */

struct page {
	struct kt_buf *b;
	size_t max_events;
	size_t max_bytes;
	size_t n;
	size_t bytes;
	uint64_t last;
	bool full;
};

/* Take whole frames out of acc; returns false on bytes that are no frame. */
static bool take_page_frames(struct page *pg, struct kt_buf *acc)
{
	size_t at = 0;
	while (!pg->full) {
		struct kt_evframe f;
		size_t used = 0;
		int rc = kt_evframe_next(acc->ptr + at, acc->len - at, &f, &used);
		if (rc < 0)
			return false;
		if (rc == 0)
			break;
		/* The first goes out whatever its size, or paging would stand still. */
		if (pg->n > 0 && pg->bytes + f.json_len + 1 > pg->max_bytes) {
			pg->full = true;
			break;
		}
		if (pg->n > 0)
			kt_buf_addc(pg->b, ',');
		kt_buf_add(pg->b, f.json, f.json_len);
		pg->bytes += f.json_len + (pg->n > 0);
		pg->n++;
		pg->last = f.seq;
		pg->full = pg->n >= pg->max_events;
		at += used;
	}
	kt_buf_drop(acc, at);
	return true;
}

enum kt_code kt_evlog_read(struct kt_evlog *log, uint64_t after_seq, size_t max_events,
	size_t max_bytes, struct kt_buf *b, size_t *out_n, uint64_t *out_last, struct kt_err *err)
{
	struct page pg = { .b = b,
		.max_events = max_events,
		.max_bytes = max_bytes,
		.last = KT_MIN(after_seq, log->last_seq),
		.full = max_events == 0 };
	KT_AUTO_BUF struct kt_buf acc = KT_BUF_INIT(KT_EVLOG_FRAME_BYTES + KT_EVLOG_BUFFER_BYTES);
	size_t start = b->len;
	struct kt_evreader *r = kt_evreader_new(log, after_seq, NULL, NULL);
	enum kt_code rc = KT_OK;
	while (!pg.full && rc == KT_OK) {
		const char *p = NULL;
		size_t n = kt_evreader_peek(r, &p, KT_EVLOG_BUFFER_BYTES);
		if (n == 0)
			break;
		kt_buf_add(&acc, p, n);
		kt_evreader_advance(r, n);
		if (!kt_buf_ok(&acc) || !take_page_frames(&pg, &acc))
			rc = kt_fail(err, KT_EIO, 0, "the event log of %s is damaged",
				kt_evlog_session(log));
	}
	kt_evreader_free(r);
	if (rc == KT_OK && !kt_buf_ok(b))
		rc = kt_fail(err, KT_ELIMIT, 0, "too many events for one answer");
	if (rc != KT_OK) {
		if (kt_buf_ok(b))
			kt_buf_truncate(b, start);
		return rc;
	}
	*out_n = pg.n;
	*out_last = pg.last;
	return KT_OK;
}

void kt_evlog_each(struct kt_evlog *log, uint64_t after_seq, kt_evframe_fn fn, void *arg)
{
	struct kt_evreader *r = kt_evreader_new(log, after_seq, NULL, NULL);
	struct kt_buf whole = KT_BUF_INIT(KT_EVLOG_FRAME_BYTES + KT_SSE_INFLIGHT_BYTES);
	const char *bytes;
	bool more = true;
	size_t n;

	while (more && (n = kt_evreader_peek(r, &bytes, KT_SSE_INFLIGHT_BYTES)) > 0) {
		struct kt_evframe f;
		size_t used, at = 0;

		kt_buf_add(&whole, bytes, n);
		kt_evreader_advance(r, n);
		while (more && kt_evframe_next(whole.ptr + at, whole.len - at, &f, &used) == 1) {
			more = fn(arg, &f);
			at += used;
		}
		kt_buf_drop(&whole, at);
		if (!kt_buf_ok(&whole))
			break;
	}
	kt_buf_release(&whole);
	kt_evreader_free(r);
}
