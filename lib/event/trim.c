/* SPDX-License-Identifier: MIT */
/*
 * Giving up the oldest part of a log. What is kept is copied on a thread, which may take a while;
 * what was appended meanwhile is copied by the loop when it is little, and the new file takes the
 * old one's place.
 */
#include "event/log_private.h"

#include "base/base.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES (256 * 1024)
#define REST_BYTES ((uint64_t)256 * 1024) /* that the loop copies */

/* The first number that is kept. */
static enum kt_code first_kept(struct kt_evlog *log, uint64_t max_bytes, int64_t before_us,
	uint64_t *out, struct kt_err *err)
{
	uint64_t seq = 0;
	*out = log->base_seq + 1;
	if (kt_evlog_bytes(log) > max_bytes) {
		enum kt_code rc = kt_evlog_seek_offset(log, log->saved_off - max_bytes, &seq, err);
		if (rc != KT_OK)
			return rc;
		*out = KT_MAX(*out, seq);
	}
	if (before_us > 0) {
		enum kt_code rc = kt_evlog_seek_time(log, before_us, &seq, err);
		if (rc != KT_OK)
			return rc;
		*out = KT_MAX(*out, seq + 1);
	}
	return KT_OK;
}

static enum kt_code open_both(struct kt_evlog *log, struct kt_evtrim *t, struct kt_err *err)
{
	char header[KT_EVLOG_HEADER_BYTES];
	enum kt_code rc = kt_evlog_dup(log, &t->from, err);
	if (rc != KT_OK)
		return rc;
	t->path = kt_asprintf("%s.new", kt_evlog_path(log));
	t->header_len = kt_evfile_header(t->keep - 1, header);
	t->to = open(t->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (t->to < 0)
		return kt_fail(err, KT_EIO, errno, "cannot create '%s'", t->path);
	return kt_fs_write_all(t->to, header, t->header_len, err);
}

enum kt_code kt_evtrim_begin(struct kt_evlog *log, uint64_t max_bytes, int64_t before_us,
	struct kt_evtrim *t, bool *out_needed, struct kt_err *err)
{
	*t = KT_EVTRIM_INIT;
	*out_needed = false;
	kt_evlog_save(log);
	if (!log->can_read || log->saved_off != log->end)
		return KT_OK;
	enum kt_code rc = first_kept(log, max_bytes, before_us, &t->keep, err);
	if (rc != KT_OK || t->keep == log->base_seq + 1)
		return rc;
	if (t->keep > log->last_seq)
		return kt_evlog_expire(log, err);
	if (!kt_evlog_find(log, t->keep, &t->off))
		return kt_fail(err, KT_EIO, 0, "event %llu of %s cannot be read",
			(unsigned long long)t->keep, kt_evlog_session(log));
	t->delta = log->file_delta;
	t->base_seq = log->base_seq;
	t->at = t->off - log->file_delta;
	t->end = log->saved_off - log->file_delta;
	rc = open_both(log, t, err);
	if (rc != KT_OK)
		kt_evtrim_release(t);
	*out_needed = rc == KT_OK;
	return rc;
}

enum kt_code kt_evtrim_copy(struct kt_evtrim *t, struct kt_err *err)
{
	KT_AUTOFREE char *piece = kt_malloc(PIECE_BYTES);
	while (t->at < t->end) {
		size_t want = (size_t)KT_MIN(t->end - t->at, (uint64_t)PIECE_BYTES);
		ssize_t n = pread(t->from, piece, want, (off_t)t->at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return kt_fail(err, KT_EIO, n < 0 ? errno : 0, "cannot read the event log");
		enum kt_code rc = kt_fs_write_all(t->to, piece, (size_t)n, err);
		if (rc != KT_OK)
			return kt_wrap(err, "'%s'", t->path);
		t->at += (uint64_t)n;
	}
	return KT_OK;
}

enum kt_code kt_evtrim_end(
	struct kt_evlog *log, struct kt_evtrim *t, bool *out_more, struct kt_err *err)
{
	*out_more = false;
	kt_evlog_save(log);
	if (!log->can_read || log->saved_off != log->end || log->file_delta != t->delta ||
		log->base_seq != t->base_seq)
		return kt_fail(err, KT_ECONFLICT, 0, "the event log of %s changed meanwhile",
			kt_evlog_session(log));
	t->end = log->saved_off - log->file_delta;
	if (t->end - t->at > REST_BYTES) {
		*out_more = true;
		return KT_OK;
	}
	enum kt_code rc = kt_evtrim_copy(t, err);
	if (rc != KT_OK)
		return rc;
	/* Readers further back take the rest of their frame from the old file. */
	kt_evreaders_lose(log, 0, t->off);
	if (rename(t->path, kt_evlog_path(log)) < 0)
		return kt_fail(err, KT_EIO, errno, "cannot replace '%s'", kt_evlog_path(log));
	free(KT_STEAL(t->path));
	kt_evlog_release_file(log);
	log->base_seq = t->keep - 1;
	log->file_start = t->off;
	log->file_delta = t->off - t->header_len;
	kt_loop_defer(log->loop, &log->tick);
	return KT_OK;
}

void kt_evtrim_release(struct kt_evtrim *t)
{
	if (t->path != NULL)
		(void)unlink(t->path);
	free(t->path);
	if (t->from >= 0)
		(void)close(t->from);
	if (t->to >= 0)
		(void)close(t->to);
	*t = KT_EVTRIM_INIT;
}
