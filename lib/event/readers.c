/* SPDX-License-Identifier: MIT */
/*
 * What a log does to its readers: it takes bytes from under them, and wakes them. Each keeps of its
 * own only the rest of a frame that the log gave up under it.
 */
#include "event/log_private.h"

#include "base/base.h"

#include <string.h>

/* The number of the frame that starts at off; 0 when it cannot be read. */
static uint64_t seq_at(struct kt_evlog *log, uint64_t off)
{
	char text[32]; /* "id: " and at most 20 digits */
	size_t n = kt_evlog_copy(log, off, text, sizeof(text));
	if (n < 5 || memcmp(text, "id: ", 4) != 0)
		return 0;
	uint64_t seq = 0;
	for (size_t i = 4; i < n && text[i] >= '0' && text[i] <= '9'; i++)
		seq = seq * 10 + (uint64_t)(text[i] - '0');
	return seq;
}

/* Copy the rest of the frame that r is in, so that it can be finished without the log. */
static bool carry_frame(struct kt_evreader *r)
{
	struct kt_evlog *log = r->log;
	char last = r->last_byte;
	for (;;) {
		const char *p = NULL;
		size_t len = kt_evlog_view(log, r->off, &p);
		if (len == 0)
			return false;
		size_t n = 0;
		bool end = false;
		while (n < len && !end) {
			end = last == '\n' && p[n] == '\n';
			last = p[n++];
		}
		kt_buf_add(&r->pending, p, n);
		r->off += n;
		if (end)
			return kt_buf_ok(&r->pending);
	}
}

void kt_evreader_cut(struct kt_evreader *r)
{
	kt_buf_clear(&r->pending);
	kt_buf_adds(&r->pending, "\n\n");
}

void kt_evreaders_lose(struct kt_evlog *log, uint64_t from, uint64_t before)
{
	for (struct kt_evreader *r = log->readers; r != NULL; r = r->next) {
		if (r->lost_from != 0 || r->off < from || r->off >= before)
			continue;
		if (r->pending_at == r->pending.len) {
			kt_buf_clear(&r->pending);
			r->pending_at = 0;
			if (!r->boundary && !carry_frame(r))
				kt_evreader_cut(r);
		}
		if (r->off >= before)
			continue;
		uint64_t seq = seq_at(log, r->off);
		r->lost_from = seq != 0 ? seq : r->after_seq + 1;
	}
}

void kt_evreaders_wake(struct kt_evlog *log)
{
	/* A callback may free its reader and others; kt_evreader_free() moves wake_next on. */
	for (struct kt_evreader *r = log->readers; r != NULL; r = log->wake_next) {
		log->wake_next = r->next;
		bool news = r->off < log->end || r->lost_from != 0 ||
			r->pending_at < r->pending.len;
		if (r->wake != NULL && news)
			r->wake(r->arg);
	}
	log->wake_next = NULL;
}
