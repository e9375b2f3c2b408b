/* SPDX-License-Identifier: MIT */
/*
 * Rewriting the journal with what counts only. At start, and on a local server, in one go. A
 * hosting server has too many sessions for that: it writes a second file in pieces while it goes
 * on.
 *
 *   walking --at the newest--> whole --on disk--> durable --a sync puts it in place--> (gone)
 *
 * While walking, a line of a session that the second file has already goes to both files, one of a
 * session that it has not yet only to the first: the walk will write what is true then.
 */
#include "session/keep/keep_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES (256 * 1024) /* of lines, between two looks at the loop */
#define COPY_LINES_BYTES (64 * 1024 * 1024)

static int create_copy(const char *path, struct kt_err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		(void)kt_fail(err, KT_EIO, errno, "cannot write '%s'", path);
	return fd;
}

/* Lines of sessions from *at on until the piece is full or there are no more. */
static size_t write_piece(struct kt_sessions *reg, struct kt_session **at, struct kt_buf *b)
{
	size_t n = 0;

	while (*at && b->len < PIECE_BYTES) {
		(*at)->copied = reg->copies;
		kt_journal_write_session(b, *at, NULL);
		kt_buf_addc(b, '\n');
		*at = (*at)->newer;
		n++;
	}
	return n;
}

enum kt_code kt_journal_compact(struct kt_sessions *reg, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(COPY_LINES_BYTES);
	KT_AUTOFREE char *path = kt_journal_path(reg);
	KT_AUTOFREE char *beside = kt_asprintf("%s.new", path);
	struct kt_session *at = reg->oldest;
	struct kt_group *gone_at = reg->gone_first;
	struct kt_idem_entry *idem_at = reg->idem_first;
	KT_AUTOFD int fd = create_copy(beside, err);
	enum kt_code rc = fd < 0 ? KT_EIO : KT_OK;
	int64_t size = 0;

	reg->copies++;
	kt_journal_write_damaged(&b, reg);
	for (bool more = true; rc == KT_OK && more;) {
		more = write_piece(reg, &at, &b) > 0 || kt_journal_write_gone(&b, &gone_at) > 0 ||
			kt_journal_write_idems(&b, &idem_at) > 0;
		size += (int64_t)b.len;
		rc = kt_buf_ok(&b) ? kt_fs_write_all(fd, b.ptr, b.len, err)
				   : kt_fail(err, KT_ELIMIT, 0, "the session journal is too large");
		kt_buf_clear(&b);
	}
	if (rc == KT_OK && reg->control && fdatasync(fd) != 0)
		rc = kt_fail(err, KT_EIO, errno, "cannot write '%s'", beside);
	if (rc == KT_OK && rename(beside, path) != 0)
		rc = kt_fail(err, KT_EIO, errno, "cannot replace '%s'", path);
	if (rc != KT_OK) {
		(void)unlink(beside);
		return rc;
	}
	(void)close(reg->journal_fd);
	reg->journal_fd = KT_STEAL_FD(fd);
	reg->journal_torn = false;
	reg->journal_size = size;
	reg->journal_lines = reg->n_sessions + reg->n_gone + reg->idem.len + reg->journal_damaged;
	return KT_OK;
}

/* --- while the server goes on ------------------------------------------------------------ */

struct copy_sync {
	struct kt_session_job job;
	int fd; /* its own */
	int error;
};

static void give_up(struct kt_sessions *reg, const char *why)
{
	/* Of one that is broken the log was told, and the next try comes soon. */
	if (!reg->journal_broken)
		kt_log(KT_LOG_ERROR, "session", "the session journal cannot be rewritten: %s", why);
	reg->copy_after_us = kt_mono_us() + (int64_t)KT_REWRITE_PAUSE_MS * 1000;
	/* Its name may be the journal's already. */
	if (reg->placing)
		reg->copy->lost = true;
	else
		kt_copy_drop(reg);
}

static void run_copy_sync(struct kt_session_job *job)
{
	struct copy_sync *sync = kt_container_of(job, struct copy_sync, job);

	if (fdatasync(sync->fd) != 0)
		sync->error = errno;
}

static void on_copy_synced(struct kt_session_job *job)
{
	struct copy_sync *sync = kt_container_of(job, struct copy_sync, job);
	struct kt_sessions *reg = job->reg;

	kt_session_job_end(job);
	if (reg && reg->copy && sync->error) {
		give_up(reg, strerror(sync->error));
	} else if (reg && reg->copy) {
		reg->copy->durable = true;
		/* The next sync puts it in place; have one. */
		kt_loop_defer(reg->loop, &reg->tick);
	}
	(void)close(sync->fd);
	free(sync);
}

/* All of it is written: the slow way to the disk, of hundreds of megabytes perhaps. */
static void sync_copy(struct kt_sessions *reg)
{
	struct copy_sync *sync = kt_calloc(1, sizeof(*sync));

	reg->copy->whole = true;
	sync->fd = fcntl(reg->copy->fd, F_DUPFD_CLOEXEC, 0);
	if (sync->fd < 0) {
		free(sync);
		give_up(reg, strerror(errno));
		return;
	}
	sync->job.run = run_copy_sync;
	sync->job.done = on_copy_synced;
	kt_session_job_start(reg, KT_WORK_DISK, "", &sync->job);
}

static void walk_journal(void *arg)
{
	struct kt_sessions *reg = arg;
	struct kt_copy *copy = reg->copy;
	size_t n;

	n = write_piece(reg, &copy->at, &copy->lines);
	if (!n) {
		if (!copy->idems) {
			copy->gone_at = reg->gone_first;
			copy->idem_at = reg->idem_first;
		}
		copy->idems = true;
		n = kt_journal_write_gone(&copy->lines, &copy->gone_at);
	}
	if (!n)
		n = kt_journal_write_idems(&copy->lines, &copy->idem_at);
	copy->n_lines += n;
	kt_copy_flush(reg);
	if (!reg->copy)
		return;
	if (n)
		kt_timer_start(copy->timer, 1, 0);
	else
		sync_copy(reg);
}

void kt_copy_begin(struct kt_sessions *reg)
{
	struct kt_err err = KT_ERR_INIT;
	struct kt_copy *copy;

	if (reg->copy || reg->placing)
		return;
	copy = kt_calloc(1, sizeof(*copy));
	KT_AUTOFREE char *path = kt_journal_path(reg);
	copy->path = kt_asprintf("%s.new", path);
	copy->fd = create_copy(copy->path, &err);
	copy->at = reg->oldest;
	kt_buf_init(&copy->lines, COPY_LINES_BYTES);
	kt_journal_write_damaged(&copy->lines, reg);
	copy->timer = kt_timer_new(reg->loop, walk_journal, reg);
	reg->copy = copy;
	reg->copies++;
	if (copy->fd < 0)
		give_up(reg, err.msg);
	else
		kt_timer_start(copy->timer, 1, 0);
}

void kt_copy_flush(struct kt_sessions *reg)
{
	struct kt_copy *copy = reg->copy;
	struct kt_err err = KT_ERR_INIT;

	if (copy->lost) {
		copy->lines.overflow = false;
		kt_buf_clear(&copy->lines);
		return;
	}
	if (!kt_buf_ok(&copy->lines)) {
		give_up(reg, "out of memory");
		return;
	}
	if (copy->lines.len &&
		kt_fs_write_all(copy->fd, copy->lines.ptr, copy->lines.len, &err) != KT_OK) {
		give_up(reg, err.msg);
		return;
	}
	copy->size += (int64_t)copy->lines.len;
	kt_buf_clear(&copy->lines);
}

bool kt_copy_has(const struct kt_sessions *reg, const struct kt_session *s)
{
	/* At the end of the walk only sessions that are new since are not marked. */
	return reg->copy && (s->copied == reg->copies || !reg->copy->at);
}

bool kt_copy_is_due(const struct kt_sessions *reg)
{
	return reg->copy && reg->copy->durable;
}

bool kt_copy_swap(struct kt_sessions *reg)
{
	struct kt_copy *copy = reg->copy;
	bool lost = copy->lost;

	(void)close(reg->journal_fd);
	reg->journal_fd = KT_STEAL_FD(copy->fd);
	reg->journal_size = copy->size;
	reg->journal_lines = copy->n_lines;
	reg->journal_torn = lost && ftruncate(reg->journal_fd, copy->size) != 0;
	free(KT_STEAL(copy->path)); /* it has another name now */
	kt_copy_drop(reg);
	return !lost;
}

void kt_copy_drop(struct kt_sessions *reg)
{
	struct kt_copy *copy = KT_STEAL(reg->copy);

	if (!copy)
		return;
	if (copy->fd >= 0)
		(void)close(copy->fd);
	if (copy->path)
		(void)unlink(copy->path);
	kt_timer_free(copy->timer);
	kt_buf_release(&copy->lines);
	free(copy->path);
	free(copy);
}
