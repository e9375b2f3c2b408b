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
