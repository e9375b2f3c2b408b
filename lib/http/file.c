/* SPDX-License-Identifier: MIT */
/* An answer from a file, read piece by piece as the client takes it. */
#include "http/conn_private.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES 32768

struct file_source {
	struct kt_exchange *ex;
	int fd;
	int64_t at, size;
	size_t from, have; /* of buf: what was read and not sent */
	char buf[PIECE_BYTES];
};

static size_t file_peek(void *arg, const char **out, size_t max)
{
	struct file_source *f = arg;

	if (f->have == 0 && f->at < f->size) {
		size_t want = (size_t)KT_MIN((int64_t)sizeof(f->buf), f->size - f->at);
		ssize_t n;

		do {
			n = pread(f->fd, f->buf, want, f->at);
		} while (n < 0 && errno == EINTR);
		/* Shorter than it was: the client must see a broken answer, not a short one. */
		if (n <= 0) {
			kt_log(KT_LOG_ERROR, "http", "cannot read a file to send: %s",
				n < 0 ? strerror(errno) : "it became shorter");
			kt_conn_doom(kt_conn_of(f->ex));
			return 0;
		}
		f->at += n;
		f->from = 0;
		f->have = (size_t)n;
	}
	*out = f->buf + f->from;
	return KT_MIN(max, f->have);
}

static void file_sent(void *arg, size_t n)
{
	struct file_source *f = arg;

	f->from += n;
	f->have -= n;
}

static void file_closed(void *arg)
{
	struct file_source *f = arg;

	(void)close(f->fd);
	free(f);
}

static bool file_boundary(void *arg)
{
	const struct file_source *f = arg;

	return f->at == f->size && f->have == 0;
}

static const struct kt_stream_ops file_ops = { file_peek, file_sent, file_closed, file_boundary };

void kt_respond_file(struct kt_exchange *ex, int status, const char *content_type, const char *path,
	bool unlink_after)
{
	KT_AUTOFD int fd = open(path, O_RDONLY | O_CLOEXEC);
	int error = fd < 0 ? errno : 0;
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) != 0)
		error = errno;
	if (unlink_after)
		(void)unlink(path);
	if (error) {
		const struct kt_problem p = { .status = 500,
			.code = "internal_error",
			.detail = "the file of this answer cannot be read" };

		kt_log(KT_LOG_ERROR, "http", "cannot send '%s': %s", path, strerror(error));
		kt_respond_problem(ex, &p);
		return;
	}
	struct file_source *f = kt_malloc(sizeof(*f));
	f->ex = ex;
	f->fd = KT_STEAL_FD(fd);
	f->at = 0;
	f->size = st.st_size;
	f->from = f->have = 0;
	kt_respond_source(ex, status, content_type, st.st_size, &file_ops, f);
}
