/* SPDX-License-Identifier: MIT */
/*
 * The log's file: its header, its end after a crash, and finding a number in it. The frames carry
 * all that is needed; there is no index to go out of step.
 */
#include "event/log_private.h"

#include "base/base.h"
#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_WORD ": karta-log base_seq="
/* Enough for most frames; windows grow fourfold up to KT_EVLOG_FRAME_BYTES. */
#define WINDOW_BYTES 8192

size_t kt_evfile_header(uint64_t base_seq, char out[KT_EVLOG_HEADER_BYTES])
{
	int n = snprintf(
		out, KT_EVLOG_HEADER_BYTES, HEADER_WORD "%llu\n\n", (unsigned long long)base_seq);
	kt_assert(n > 0 && n < KT_EVLOG_HEADER_BYTES);
	return (size_t)n;
}

/* Read up to len bytes at pos through short reads. Returns how many, -1 with errno. */
static ssize_t read_at(int fd, char *to, size_t len, uint64_t pos)
{
	size_t got = 0;
	while (got < len) {
		ssize_t n = pread(fd, to + got, len - got, (off_t)(pos + got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

enum kt_code kt_evfile_open(struct kt_evlog *log, bool create, struct kt_err *err)
{
	const char *path = kt_evlog_path(log);
	int flags = O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0);
	KT_AUTOFD int fd = open(path, flags, 0600);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return kt_fail(err, KT_EIO, errno, "cannot open '%s'", path);
	if (!S_ISREG(st.st_mode))
		return kt_fail(err, KT_EPROTO, 0, "'%s' is no regular file", path);
	if (create && st.st_size == 0) {
		char header[KT_EVLOG_HEADER_BYTES];
		size_t len = kt_evfile_header(log->base_seq, header);
		enum kt_code rc = kt_fs_write_all(fd, header, len, err);
		if (rc != KT_OK)
			return kt_wrap(err, "'%s'", path);
		st.st_size = (off_t)len;
	}
	/* Another program wrote to it, or it was replaced: offsets would lie from here on. */
	if ((uint64_t)st.st_size != log->saved_off - log->file_delta)
		return kt_fail(err, KT_EPROTO, 0, "'%s' was changed by somebody else", path);
	log->fd = KT_STEAL_FD(fd);
	return KT_OK;
}

size_t kt_evfile_view(struct kt_evlog *log, uint64_t off, const char **out)
{
	if (log->fbuf == NULL)
		log->fbuf = kt_calloc(1, sizeof(*log->fbuf));
	struct kt_evfile_buf *f = log->fbuf;
	if (f->len == 0 || off < f->off || off >= f->off + f->len) {
		struct kt_err err = KT_ERR_INIT;
		log->epoch++;
		f->len = 0;
		if (log->fd < 0 && kt_evfile_open(log, false, &err) != KT_OK)
			return 0;
		size_t want = (size_t)KT_MIN(log->saved_off - off, (uint64_t)sizeof(f->data));
		ssize_t n = read_at(log->fd, f->data, want, off - log->file_delta);
		if (n <= 0)
			return 0;
		f->off = off;
		f->len = (size_t)n;
	}
	*out = f->data + (off - f->off);
	return f->len - (size_t)(off - f->off);
}

/* --- finding ----------------------------------------------------------------------------- */

/*
 * The first frame that starts at offset `from` or later and before `to`. Its start follows two LFs,
 * which occur nowhere inside a frame. Returns 1, 0 (none) or -1 (cannot read).
 */
static int frame_from(struct kt_evlog *log, struct kt_buf *b, uint64_t from, uint64_t to,
	uint64_t *out_off, uint64_t *out_seq)
{
	uint64_t at = from == log->file_start ? from : from - 2;
	for (size_t window = WINDOW_BYTES;; window *= 4) {
		window = KT_MIN(window, (size_t)KT_EVLOG_FRAME_BYTES);
		size_t want = (size_t)KT_MIN(log->saved_off - at, (uint64_t)window);
		kt_buf_clear(b);
		char *p = kt_buf_reserve(b, want);
		ssize_t n = p == NULL ? -1 : read_at(log->fd, p, want, at - log->file_delta);
		if (n < 0)
			return -1;
		char *frame = p;
		if (from != log->file_start) {
			char *gap = memmem(p, (size_t)n, "\n\n", 2);
			frame = gap == NULL ? NULL : gap + 2;
		}
		if (frame != NULL) {
			size_t rest = (size_t)n - (size_t)(frame - p);
			const char *lf = memchr(frame, '\n', rest);
			int64_t seq = 0;
			*out_off = at + (uint64_t)(frame - p);
			if (*out_off >= to)
				return 0;
			if (lf != NULL) {
				size_t len = (size_t)(lf - frame);
				if (len <= 4 || memcmp(frame, "id: ", 4) != 0 ||
					!kt_str_int64n(frame + 4, len - 4, 1, INT64_MAX, &seq))
					return -1;
				*out_seq = (uint64_t)seq;
				return 1;
			}
		} else if (at + (uint64_t)n >= to) {
			return 0;
		}
		if ((size_t)n < window || window >= KT_EVLOG_FRAME_BYTES)
			return -1;
	}
}

bool kt_evfile_find(struct kt_evlog *log, uint64_t seq, uint64_t *out)
{
	struct kt_err err = KT_ERR_INIT;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_EVLOG_FRAME_BYTES);
	if (log->fd < 0 && kt_evfile_open(log, false, &err) != KT_OK)
		return false;
	/* Frames that start at lo have at most seq, those from hi on have more. */
	uint64_t lo = log->file_start;
	uint64_t hi = log->saved_off;
	uint64_t off = 0;
	uint64_t found = 0;
	if (frame_from(log, &b, lo, hi, &off, &found) != 1)
		return false;
	while (found != seq && hi - lo > 1) {
		uint64_t mid = lo + (hi - lo) / 2;
		uint64_t mid_off = 0;
		uint64_t mid_seq = 0;
		int rc = frame_from(log, &b, mid, hi, &mid_off, &mid_seq);
		if (rc < 0)
			return false;
		if (rc == 0 || mid_seq > seq) {
			hi = mid;
		} else {
			lo = mid_off;
			found = mid_seq;
		}
	}
	if (found != seq)
		return false;
	*out = lo;
	return true;
}

/* --- after a restart --------------------------------------------------------------------- */

/*
 * Offset after the last "\n\n" between `low` and `end`. Goes back through all of it: after a power
 * cut a file may end with any length of zeros. Returns 1, 0 (none) or -1 with errno.
 */
static int find_back(int fd, struct kt_buf *b, uint64_t low, uint64_t end, uint64_t *out)
{
	for (;;) {
		size_t window = (size_t)KT_MIN((uint64_t)KT_EVLOG_BUFFER_BYTES, end - low);
		kt_buf_clear(b);
		char *p = kt_buf_reserve(b, window);
		ssize_t n = p == NULL ? -1 : read_at(fd, p, window, end - window);
		if (n < 0)
			return -1;
		for (size_t i = (size_t)n; i >= 2; i--) {
			if (p[i - 1] == '\n' && p[i - 2] == '\n') {
				*out = end - window + i;
				return 1;
			}
		}
		if ((uint64_t)window == end - low)
			return 0;
		/* The two may lie on both sides of the window's start. */
		end -= window - 1;
	}
}

int kt_evlog_header(const char *p, size_t len, size_t *out_len, uint64_t *out_base)
{
	const size_t word = sizeof(HEADER_WORD) - 1;
	/* Its size was on the disk when the power went, but not its bytes. */
	if (len > 0 && p[0] == '\0')
		return 0;
	if (memcmp(p, HEADER_WORD, KT_MIN(len, word)) != 0)
		return -1;
	const char *end = memmem(p, len, "\n\n", 2);
	if (end == NULL)
		return len < KT_EVLOG_HEADER_BYTES ? 0 : -1;
	int64_t base = 0;
	if ((size_t)(end - p) <= word ||
		!kt_str_int64n(p + word, (size_t)(end - p) - word, 0, INT64_MAX, &base))
		return -1;
	*out_base = (uint64_t)base;
	*out_len = (size_t)(end - p) + 2;
	return 1;
}

/* Cut what follows the last whole frame, and read that frame's number. */
static enum kt_code load_end(struct kt_evlog *log, int fd, uint64_t size, struct kt_err *err)
{
	const char *path = kt_evlog_path(log);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_EVLOG_FRAME_BYTES);
	uint64_t start = log->file_start;
	uint64_t end = start;
	/* The header ends with two LFs as well, so the search starts with them. */
	int rc = find_back(fd, &b, start - 2, size, &end);
	if (rc < 0)
		return kt_fail(err, KT_EIO, errno, "cannot read '%s'", path);
	if (rc == 0)
		return kt_fail(err, KT_EPROTO, 0, "'%s' is damaged: no event ends in it", path);
	if (end < size && ftruncate(fd, (off_t)end) < 0)
		return kt_fail(err, KT_EIO, errno, "cannot cut '%s'", path);
	log->end = end;
	log->saved_off = end;
	log->last_seq = log->base_seq;
	log->saved_seq = log->base_seq;
	if (end == start)
		return KT_OK;
	uint64_t frame = start;
	rc = find_back(fd, &b, start - 2, end - 2, &frame);
	if (rc < 0)
		return kt_fail(err, KT_EIO, errno, "cannot read '%s'", path);
	log->fd = fd;
	uint64_t at = 0;
	uint64_t seq = 0;
	int got = rc == 0 ? -1 : frame_from(log, &b, frame, end, &at, &seq);
	log->fd = -1;
	if (got != 1 || at != frame || seq <= log->base_seq)
		return kt_fail(
			err, KT_EPROTO, 0, "'%s' is damaged: no number in its last event", path);
	log->last_seq = seq;
	log->saved_seq = seq;
	return KT_OK;
}

enum kt_code kt_evfile_load(struct kt_evlog *log, struct kt_err *err)
{
	const char *path = kt_evlog_path(log);
	char header[KT_EVLOG_HEADER_BYTES];
	size_t len = kt_evfile_header(0, header);
	log->file_start = len;
	log->end = len;
	log->saved_off = len;
	KT_AUTOFD int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return KT_OK;
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return kt_fail(err, KT_EIO, errno, "cannot open '%s'", path);
	ssize_t n = S_ISREG(st.st_mode) ? read_at(fd, header, sizeof(header), 0) : 0;
	if (n < 0)
		return kt_fail(err, KT_EIO, errno, "cannot read '%s'", path);
	int rc = S_ISREG(st.st_mode) ? kt_evlog_header(header, (size_t)n, &len, &log->base_seq)
				     : -1;
	if (rc < 0)
		return kt_fail(err, KT_EPROTO, 0, "'%s' is no event log", path);
	if (rc == 0) {
		/* A crash right after it was made; no event of it is left. */
		if (n > 0 && ftruncate(fd, 0) < 0)
			return kt_fail(err, KT_EIO, errno, "cannot cut '%s'", path);
		return KT_OK;
	}
	log->file_start = len;
	log->can_read = true;
	return load_end(log, fd, (uint64_t)st.st_size, err);
}
