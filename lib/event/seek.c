/* SPDX-License-Identifier: MIT */
/*
 * Finding a place in a log by count or time. The times that count are those in the frames, which an
 * appender never gives: they do not decrease but when the clock is set.
 */
#include "event/log_private.h"

#include "base/str.h"

#include <string.h>

/* The timestamp stands before any data: in the first bytes of a frame. */
#define FRAME_HEAD_BYTES 4096

/* Milliseconds since 1970 of the frame at off; -1 when it cannot be read. */
static int64_t time_at(struct kt_evlog *log, uint64_t off)
{
	static const char word[] = "\"timestamp\":";
	char text[FRAME_HEAD_BYTES];
	size_t n = kt_evlog_copy(log, off, text, sizeof(text));
	int64_t ms = 0;
	const char *at = memmem(text, n, word, sizeof(word) - 1);
	if (at == NULL)
		return -1;
	at += sizeof(word) - 1;
	const char *end = text + n;
	const char *p = at;
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return kt_str_int64n(at, (size_t)(p - at), 0, INT64_MAX, &ms) ? ms : -1;
}

enum kt_code kt_evlog_seek_last(
	struct kt_evlog *log, uint64_t n, uint64_t *out_after, struct kt_err *err)
{
	uint64_t kept = log->last_seq - log->base_seq;
	*out_after = n >= kept ? log->base_seq : log->last_seq - n;
	return KT_OK;
}

/* First number from base_seq + 1 on for which past() holds; last_seq + 1 when there is none. */
static enum kt_code search_evlog(struct kt_evlog *log,
	bool (*past)(struct kt_evlog *log, uint64_t off, int64_t limit), int64_t limit,
	uint64_t *out, struct kt_err *err)
{
	uint64_t lo = log->base_seq + 1;
	uint64_t hi = log->last_seq + 1;
	while (lo < hi) {
		uint64_t mid = lo + (hi - lo) / 2;
		uint64_t off = 0;
		if (!kt_evlog_find(log, mid, &off))
			return kt_fail(err, KT_EIO, 0, "event %llu of %s cannot be read",
				(unsigned long long)mid, kt_evlog_session(log));
		if (past(log, off, limit))
			hi = mid;
		else
			lo = mid + 1;
	}
	*out = lo;
	return KT_OK;
}

static bool at_or_after(struct kt_evlog *log, uint64_t off, int64_t ms)
{
	return time_at(log, off) >= ms;
}

static bool is_beyond_offset(struct kt_evlog *log, uint64_t off, int64_t limit)
{
	return off >= (uint64_t)limit;
}

enum kt_code kt_evlog_seek_offset(
	struct kt_evlog *log, uint64_t off, uint64_t *out_seq, struct kt_err *err)
{
	return search_evlog(log, is_beyond_offset, (int64_t)off, out_seq, err);
}

int64_t kt_evlog_begin_us(struct kt_evlog *log)
{
	uint64_t off = log->can_read ? log->file_start : kt_evlog_mem_off(log);
	int64_t ms = log->last_seq > log->base_seq ? time_at(log, off) : -1;
	return ms < 0 ? INT64_MAX : ms * 1000;
}

enum kt_code kt_evlog_seek_time(
	struct kt_evlog *log, int64_t at_us, uint64_t *out_after, struct kt_err *err)
{
	uint64_t first = 0;
	/* Rounded up: an event of the very millisecond may be from before it. */
	enum kt_code rc = search_evlog(
		log, at_or_after, at_us / 1000 + (at_us % 1000 > 0), &first, err);
	if (rc == KT_OK)
		*out_after = first - 1;
	return rc;
}

uint64_t kt_evlog_bytes(const struct kt_evlog *log)
{
	return log->saved_off - log->file_start;
}
