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

/* The next piece of the file; its length. */
static enum kt_code read_piece(
	struct kt_evscan *scan, char *piece, size_t *out_n, struct kt_err *err)
{
	size_t want = (size_t)KT_MIN((uint64_t)PIECE_BYTES, scan->end - scan->at);
	ssize_t n;
	do {
		n = pread(scan->fd, piece, want, (off_t)scan->at);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return kt_fail(err, KT_EIO, n < 0 ? errno : 0, "cannot read the event log");
	*out_n = (size_t)n;
	scan->at += (uint64_t)n;
	return KT_OK;
}

static enum kt_code scan_pieces(struct kt_evscan *scan, struct kt_evwalk *w,
	const atomic_bool *canceled, kt_evframe_fn fn, void *arg, struct kt_err *err)
{
	KT_AUTOFREE char *piece = kt_malloc(PIECE_BYTES);
	enum kt_evwalked was = KT_WALK_END;
	size_t n = 0, used;
	while (was == KT_WALK_END && scan->at < scan->end) {
		if (canceled != NULL && atomic_load(canceled))
			return kt_fail(err, KT_ECANCEL, 0, "the server is shutting down");
		enum kt_code rc = read_piece(scan, piece, &n, err);
		if (rc != KT_OK)
			return rc;
		was = kt_evwalk_bytes(w, piece, n, &used, fn, arg);
	}
	/* What is in the file of it ends with a whole frame. */
	if (was == KT_WALK_END && kt_evwalk_torn(w))
		was = KT_WALK_DAMAGED;
	if (was == KT_WALK_END)
		was = kt_evwalk_bytes(w, scan->rest.ptr, scan->rest.len, &used, fn, arg);
	return was == KT_WALK_DAMAGED ? kt_fail(err, KT_EIO, 0, "the event log is damaged") : KT_OK;
}

enum kt_code kt_evscan_run(struct kt_evscan *scan, const atomic_bool *canceled, kt_evframe_fn fn,
	void *arg, struct kt_err *err)
{
	struct kt_evwalk w;
	kt_evwalk_init(&w);
	enum kt_code rc = scan_pieces(scan, &w, canceled, fn, arg, err);
	kt_evwalk_release(&w);
	return rc;
}

void kt_evscan_release(struct kt_evscan *scan)
{
	if (scan->fd >= 0)
		(void)close(scan->fd);
	kt_buf_release(&scan->rest);
	*scan = KT_EVSCAN_INIT;
}
