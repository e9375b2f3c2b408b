/* SPDX-License-Identifier: MIT */
/*
 * Reading a whole log on a thread. The loop notes what there is to read: a descriptor of the file
 * with its range, so that the log may be trimmed, renamed or deleted meanwhile, and a copy of what
 * only memory has.
 */
#include "event/log_private.h"

#include "base/base.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES (256 * 1024)

enum kt_code kt_evlog_dup(struct kt_evlog *log, int *out_fd, struct kt_err *err)
{
	if (log->fd < 0) {
		enum kt_code rc = kt_evfile_open(log, false, err);
		if (rc != KT_OK)
			return rc;
	}
	*out_fd = fcntl(log->fd, F_DUPFD_CLOEXEC, 0);
	if (*out_fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot open '%s'", kt_evlog_path(log));
	if (log->idle && log->n_readers == 0)
		kt_evlog_release_file(log);
	return KT_OK;
}

enum kt_code kt_evscan_open(
	struct kt_evlog *log, uint64_t after_seq, struct kt_evscan *out, struct kt_err *err)
{
	uint64_t seq = KT_MAX(after_seq, log->base_seq) + 1;
	uint64_t from = log->file_start;
	*out = KT_EVSCAN_INIT;
	kt_evlog_save(log);
	if (seq > log->last_seq)
		return KT_OK;
	if (after_seq > log->base_seq && !kt_evlog_find(log, seq, &from))
		return kt_fail(err, KT_EIO, 0, "event %llu of %s cannot be read",
			(unsigned long long)seq, kt_evlog_session(log));
	if (log->can_read && from < log->saved_off) {
		enum kt_code rc = kt_evlog_dup(log, &out->fd, err);
		if (rc != KT_OK)
			return rc;
		out->at = from - log->file_delta;
		out->end = log->saved_off - log->file_delta;
		from = log->saved_off;
	}
	for (const struct kt_evseg *s = log->head; s != NULL; s = s->next) {
		size_t skip = from > s->off ? (size_t)KT_MIN(from - s->off, (uint64_t)s->len) : 0;
		kt_buf_add(&out->rest, s->data + skip, s->len - skip);
	}
	if (kt_buf_ok(&out->rest))
		return KT_OK;
	kt_evscan_release(out);
	return kt_fail(
		err, KT_ELIMIT, 0, "too many events of %s are in no file", kt_evlog_session(log));
}

uint64_t kt_evscan_bytes(const struct kt_evscan *scan)
{
	return scan->end - scan->at + scan->rest.len;
}

/* Give the whole frames of b to fn, and drop them. Returns 1, 0 (no more wanted) or -1. */
static int give_frames(struct kt_buf *b, kt_evframe_fn fn, void *arg)
{
	size_t at = 0;
	int rc = 1;
	while (rc == 1) {
		struct kt_evframe f;
		size_t used = 0;
		rc = kt_evframe_next(b->ptr + at, b->len - at, &f, &used);
		if (rc == 1 && !fn(arg, &f))
			return 0;
		at += used;
	}
	kt_buf_drop(b, at);
	return rc < 0 ? -1 : 1;
}

/* The next piece of the file, behind what b has. */
static enum kt_code read_piece(struct kt_evscan *scan, struct kt_buf *b, struct kt_err *err)
{
	/* A frame that is not whole yet is looked through again: a larger one in larger pieces. */
	uint64_t want = KT_MIN(KT_MAX((uint64_t)PIECE_BYTES, b->len), scan->end - scan->at);
	char *to = kt_buf_reserve(b, (size_t)want);
	ssize_t n = -1;
	if (to == NULL)
		return kt_fail(err, KT_EIO, 0, "the event log is damaged: a frame does not end");
	do {
		n = pread(scan->fd, to, (size_t)want, (off_t)scan->at);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return kt_fail(err, KT_EIO, n < 0 ? errno : 0, "cannot read the event log");
	kt_buf_commit(b, (size_t)n);
	scan->at += (uint64_t)n;
	return KT_OK;
}

enum kt_code kt_evscan_run(struct kt_evscan *scan, const atomic_bool *canceled, kt_evframe_fn fn,
	void *arg, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(2 * KT_EVLOG_FRAME_BYTES + PIECE_BYTES);
	int status = 1;
	while (status == 1 && scan->at < scan->end) {
		if (canceled != NULL && atomic_load(canceled))
			return kt_fail(err, KT_ECANCEL, 0, "the server is shutting down");
		enum kt_code rc = read_piece(scan, &b, err);
		if (rc != KT_OK)
			return rc;
		status = give_frames(&b, fn, arg);
	}
	if (status == 1)
		status = b.len > 0 ? -1 : give_frames(&scan->rest, fn, arg);
	return status < 0 ? kt_fail(err, KT_EIO, 0, "the event log is damaged") : KT_OK;
}

void kt_evscan_release(struct kt_evscan *scan)
{
	if (scan->fd >= 0)
		(void)close(scan->fd);
	kt_buf_release(&scan->rest);
	*scan = KT_EVSCAN_INIT;
}
