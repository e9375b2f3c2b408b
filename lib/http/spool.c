/* SPDX-License-Identifier: MIT */
/*
 * Bodies that go to a file as they come. Written with plain write(2) on the loop: one read's bytes
 * into the page cache are a few dozen microseconds, far less than a hand-over to another thread and
 * the copy it would need.
 */
#include "http/conn_private.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void refuse_disk(struct kt_conn *c, const char *what, int error)
{
	char detail[200], buf[128];

	if (error == EMFILE || error == ENFILE) {
		(void)snprintf(detail, sizeof(detail), "the server cannot keep this upload now: %s",
			kt_strerror(error, buf, sizeof(buf)));
		kt_log(KT_LOG_ERROR, "http", "%s", detail);
		kt_conn_refuse_with(c, 503, "unavailable", detail, "Retry-After: 5\r\n");
		return;
	}
	kt_log(KT_LOG_ERROR, "http", "cannot keep an upload: %s", what);
	kt_conn_refuse(c, 507, "storage_full", "the server has no room for this upload now");
}

static void refuse_long_spool(struct kt_conn *c, int64_t max_bytes)
{
	char detail[200];

	(void)snprintf(detail, sizeof(detail),
		"the request body is larger than %lld bytes; the server's max_archive_bytes sets "
		"it",
		(long long)max_bytes);
	kt_conn_refuse(c, 413, "archive_too_large", detail);
}

bool kt_spool_begin(struct kt_conn *c, const struct kt_spool *out)
{
	const struct kt_head *h = &c->io->head;

	kt_assert(!c->spool && out->dir);
	if (!h->chunked && h->content_length > out->max_bytes) {
		refuse_long_spool(c, out->max_bytes);
		return false;
	}
	KT_AUTOFREE char *path = kt_path_join(out->dir, "upload-XXXXXX");
	int fd = mkostemp(path, O_CLOEXEC); /* 0600 */
	if (fd < 0) {
		refuse_disk(c, strerror(errno), errno);
		return false;
	}
	c->spool = kt_calloc(1, sizeof(*c->spool));
	c->spool->fd = fd;
	c->spool->max_bytes = out->max_bytes;
	c->spool->path = KT_STEAL(path);
	return true;
}

bool kt_spool_add(struct kt_conn *c, const char *p, size_t len)
{
	struct kt_spooled *sp = c->spool;
	struct kt_err err = KT_ERR_INIT;

	if (len > (uint64_t)(sp->max_bytes - sp->len)) {
		refuse_long_spool(c, sp->max_bytes);
		return false;
	}
	if (kt_fs_write_all(sp->fd, p, len, &err) != KT_OK) {
		refuse_disk(c, err.msg, err.sys);
		return false;
	}
	sp->len += (int64_t)len;
	return true;
}

bool kt_spool_end(struct kt_conn *c)
{
	struct kt_spooled *sp = c->spool;
	int fd = sp->fd;

	/* Some file systems tell only now that there is no room. */
	sp->fd = -1;
	if (close(fd) != 0 && errno != EINTR) {
		refuse_disk(c, strerror(errno), errno);
		return false;
	}
	c->ex.rq.body = "";
	c->ex.rq.body_len = (size_t)sp->len;
	c->ex.rq.body_path = sp->path;
	return true;
}

void kt_spool_drop(struct kt_conn *c)
{
	struct kt_spooled *sp = c->spool;

	if (!sp)
		return;
	c->spool = NULL;
	c->ex.rq.body_path = NULL;
	if (sp->fd >= 0)
		(void)close(sp->fd);
	/* Whoever empties the folder at start-up finds what cannot be removed now. */
	if (sp->path && unlink(sp->path) != 0 && errno != ENOENT)
		kt_log(KT_LOG_WARN, "http", "cannot remove '%s': %s", sp->path, strerror(errno));
	free(sp->path);
	free(sp);
}

char *kt_exchange_take_body(struct kt_exchange *ex)
{
	struct kt_spooled *sp = kt_conn_of(ex)->spool;

	if (!sp || sp->fd >= 0)
		return NULL;
	ex->rq.body_path = NULL;
	return KT_STEAL(sp->path);
}
