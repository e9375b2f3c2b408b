/* SPDX-License-Identifier: MIT */
/*
 * Finding a place in a log by count or time, and giving up its oldest part. The times that count
 * are those in the frames, which an appender never gives: they do not decrease but when the clock
 * is set.
 */
#include "event/log.h"

#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

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
static enum kt_code search(struct kt_evlog *log,
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

static bool beyond(struct kt_evlog *log, uint64_t off, int64_t limit)
{
	return off >= (uint64_t)limit;
}

enum kt_code kt_evlog_seek_time(
	struct kt_evlog *log, int64_t at_us, uint64_t *out_after, struct kt_err *err)
{
	uint64_t first = 0;
	/* Rounded up: an event of the very millisecond may be from before it. */
	enum kt_code code = search(
		log, at_or_after, at_us / 1000 + (at_us % 1000 > 0), &first, err);
	if (code == KT_OK)
		*out_after = first - 1;
	return code;
}

uint64_t kt_evlog_bytes(const struct kt_evlog *log)
{
	return log->saved_off - log->file_start;
}

/* Copy the file's bytes from offset `from` on behind a new header into tmp. */
static enum kt_code copy_rest(struct kt_evlog *log, uint64_t from, const char *header,
	size_t header_len, const char *tmp, struct kt_err *err)
{
	KT_AUTOFD int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot create '%s'", tmp);
	enum kt_code code = kt_fs_write_all(fd, header, header_len, err);
	while (code == KT_OK && from < log->saved_off) {
		const char *p = NULL;
		size_t n = kt_evfile_view(log, from, &p);
		if (n == 0)
			return kt_fail(err, KT_EIO, 0, "cannot read '%s'", kt_evlog_path(log));
		n = (size_t)KT_MIN((uint64_t)n, log->saved_off - from);
		code = kt_fs_write_all(fd, p, n, err);
		from += n;
	}
	return code;
}

enum kt_code kt_evlog_trim(
	struct kt_evlog *log, uint64_t max_bytes, int64_t before_us, struct kt_err *err)
{
	uint64_t keep = log->base_seq + 1;
	uint64_t first = 0;
	uint64_t off = 0;
	kt_evlog_save(log);
	if (!log->can_read || log->saved_off != log->end)
		return KT_OK;
	if (kt_evlog_bytes(log) > max_bytes) {
		enum kt_code code = search(
			log, beyond, (int64_t)(log->saved_off - max_bytes), &first, err);
		if (code != KT_OK)
			return code;
		keep = KT_MAX(keep, first);
	}
	if (before_us > 0) {
		enum kt_code code = kt_evlog_seek_time(log, before_us, &first, err);
		if (code != KT_OK)
			return code;
		keep = KT_MAX(keep, first + 1);
	}
	if (keep == log->base_seq + 1)
		return KT_OK;
	if (keep > log->last_seq)
		return kt_evlog_expire(log, err);
	if (!kt_evlog_find(log, keep, &off))
		return kt_fail(err, KT_EIO, 0, "event %llu of %s cannot be read",
			(unsigned long long)keep, kt_evlog_session(log));
	char header[KT_EVLOG_HEADER_BYTES];
	size_t len = kt_evfile_header(keep - 1, header);
	KT_AUTOFREE char *tmp = kt_asprintf("%s.new", kt_evlog_path(log));
	enum kt_code code = copy_rest(log, off, header, len, tmp, err);
	/* Readers further back take the rest of their frame from the old file. */
	if (code == KT_OK)
		kt_evreaders_lose(log, 0, off);
	if (code == KT_OK && rename(tmp, kt_evlog_path(log)) < 0)
		code = kt_fail(err, KT_EIO, errno, "cannot replace '%s'", kt_evlog_path(log));
	if (code != KT_OK) {
		(void)unlink(tmp);
		return code;
	}
	kt_evlog_release_file(log);
	log->base_seq = keep - 1;
	log->file_start = off;
	log->file_delta = off - len;
	kt_loop_defer(log->loop, &log->tick);
	return KT_OK;
}
