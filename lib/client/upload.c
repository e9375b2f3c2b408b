/* SPDX-License-Identifier: MIT */
/*
 * The body of a publish. Packing (reading, compressing) and sending overlap: a thread writes the
 * bundle into a pipe, and the request reads from its other end.
 */
#include "client/client_private.h"

#include "base/fs.h"
#include "git/git.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUNDLE_TYPE "application/vnd.karta.bundle"
#define JSON_MAX_BYTES ((size_t)512 * 1024) /* a longer document travels compressed */
#define MEMORY_MAX_BYTES ((int64_t)256 * 1024) /* of files: one packet or a few */
#define PIPE_BYTES (1024 * 1024)

void kt_client_upload_init(struct client_upload *u)
{
	memset(u, 0, sizeof(*u));
	u->read_fd = u->write_fd = -1;
	kt_buf_init(&u->memory, (size_t)4 * MEMORY_MAX_BYTES + 64 * JSON_MAX_BYTES);
}

void kt_client_upload_release(struct client_upload *u)
{
	kt_assert(!u->running);
	kt_buf_release(&u->memory);
}

static enum kt_code read_back(int fd, struct kt_buf *b, struct kt_err *err)
{
	if (lseek(fd, 0, SEEK_SET) < 0)
		return kt_fail(err, KT_EIO, errno, "cannot read the bundle");
	for (;;) {
		char *to = kt_buf_reserve(b, 65536);
		ssize_t n;

		if (!to)
			return kt_fail(
				err, KT_ELIMIT, 0, "the bundle is larger than it may be (fixed)");
		n = read(fd, to, 65536);
		if (n > 0)
			kt_buf_commit(b, (size_t)n);
		else if (n == 0)
			return KT_OK;
		else if (errno != EINTR)
			return kt_fail(err, KT_EIO, errno, "cannot read the bundle");
	}
}

static enum kt_code make_in_memory(struct client_upload *u, struct kt_err *err)
{
	KT_AUTOFD int fd = memfd_create("karta-bundle", MFD_CLOEXEC);
	int64_t bytes;
	enum kt_code rc;

	if (fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot make the bundle");
	rc = kt_tree_bundle(u->tree, u->doc, u->digests, u->n_digests, fd, &bytes, err);
	if (rc == KT_OK)
		rc = read_back(fd, &u->memory, err);
	u->made = rc == KT_OK;
	return rc;
}

static void *pack_upload(void *arg)
{
	struct client_upload *u = arg;
	int64_t bytes;

	u->packed = kt_tree_bundle(
		u->tree, u->doc, u->digests, u->n_digests, u->write_fd, &bytes, &u->err);
	(void)close(u->write_fd);
	return NULL;
}

/* The thread inherits the mask: signals are the other one's, and a closed pipe is an error here. */
static enum kt_code start_packer(struct client_upload *u, struct kt_err *err)
{
	sigset_t all, before;
	int fds[2], e;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot make a pipe");
	(void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
	u->read_fd = fds[0];
	u->write_fd = fds[1];
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	e = pthread_create(&u->thread, NULL, pack_upload, u);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	u->running = e == 0;
	if (u->running)
		return KT_OK;
	(void)close(fds[0]);
	(void)close(fds[1]);
	return kt_fail(err, KT_EIO, e, "cannot start a thread");
}

enum kt_code kt_client_upload_begin(
	struct client_upload *u, struct client_request *rq, struct kt_err *err)
{
	enum kt_code rc = KT_OK;

	if (!u->n_digests && strlen(u->doc) <= JSON_MAX_BYTES) {
		rq->body = u->doc;
		rq->body_len = strlen(u->doc);
		return KT_OK;
	}
	rq->type = BUNDLE_TYPE;
	if (u->n_bytes > MEMORY_MAX_BYTES) {
		rc = start_packer(u, err);
		rq->body_fd = u->read_fd;
		return rc;
	}
	if (!u->made)
		rc = make_in_memory(u, err);
	rq->body = u->memory.ptr;
	rq->body_len = u->memory.len;
	return rc;
}

enum kt_code kt_client_upload_end(struct client_upload *u, bool all, struct kt_err *err)
{
	if (!u->running)
		return KT_OK;
	/* A packer that still writes gets an error, and ends. */
	(void)close(u->read_fd);
	u->read_fd = -1;
	(void)pthread_join(u->thread, NULL);
	u->running = false;
	if (!all || u->packed == KT_OK)
		return KT_OK;
	if (err)
		*err = u->err;
	return u->packed;
}
