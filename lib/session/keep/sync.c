/* SPDX-License-Identifier: MIT */
/*
 * On disk: one fdatasync at a time, on a thread, serves all who waited when it began.
 * Also the jobs for threads.
 */
#include "session/keep/keep_private.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define SHORT_SCAN_BYTES (4 * 1024 * 1024) /* of a log, read on the threads for what is short */

static const struct kt_err no_error = KT_ERR_INIT;

struct sync_waiter {
	kt_prepared_fn fn;
	void *arg;
};

struct sync_job {
	struct kt_session_job job;
	int fd; /* its own */
	struct kt_vec waiters;
	uint64_t written; /* what will be on disk then */
	char *from, *to, *folder; /* also put a rewritten journal in its place; or NULL */
	bool renamed; /* it is there, on disk or not */
	int error;
};

/* --- jobs -------------------------------------------------------------------------------- */

/* --- syncing ----------------------------------------------------------------------------- */

static void tell_waiters(struct kt_vec *waiters, enum kt_code rc, const struct kt_err *err)
{
	for (size_t i = 0; i < waiters->len; i++) {
		struct sync_waiter *w = waiters->items[i];

		w->fn(w->arg, rc, err);
		free(w);
	}
	kt_vec_release(waiters);
}

/* TAKES the items of waiters; who is told may wait anew. */
static void fail_all(struct kt_vec *waiters, const struct kt_err *why)
{
	struct kt_vec all = *waiters;
	struct kt_err err = *why;

	*waiters = (struct kt_vec)KT_VEC_INIT;
	tell_waiters(&all, err.code, &err);
}

/* A rename is on disk when its folder is. */
static int put_in_place(struct sync_job *sync)
{
	KT_AUTOFD int folder = open(sync->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (folder < 0 || rename(sync->from, sync->to) != 0)
		return errno;
	sync->renamed = true;
	return fsync(folder) != 0 ? errno : 0;
}

static void run_sync_job(struct kt_session_job *job)
{
	struct sync_job *sync = kt_container_of(job, struct sync_job, job);

	if (fdatasync(sync->fd) != 0)
		sync->error = errno;
	else if (sync->from)
		sync->error = put_in_place(sync);
}

static void job_free(struct sync_job *sync)
{
	for (size_t i = 0; i < sync->waiters.len; i++)
		free(sync->waiters.items[i]);
	kt_vec_release(&sync->waiters);
	(void)close(sync->fd);
	free(sync->from);
	free(sync->to);
	free(sync->folder);
	free(sync);
}

static void settle_sync(struct kt_sessions *reg, const struct sync_job *sync)
{
	bool whole = true;

	if (sync->renamed)
		whole = kt_copy_swap(reg);
	else if (sync->from)
		kt_copy_drop(reg);
	/* What the kernel had is not known to be on disk by any later sync. */
	if (sync->error)
		kt_journal_trouble(reg, true, sync->error, "sync");
	else
		reg->synced = sync->written;
	if (!whole)
		kt_journal_trouble(reg, true, EIO, "write");
	else if (sync->renamed && !sync->error && reg->journal_broken)
		kt_journal_mended(reg);
}

static void on_sync_done(struct kt_session_job *job)
{
	struct sync_job *sync = kt_container_of(job, struct sync_job, job);
	struct kt_sessions *reg = job->reg;
	struct kt_vec waiters;

	kt_session_job_end(job);
	if (!reg) {
		job_free(sync);
		return;
	}
	waiters = sync->waiters;
	sync->waiters = (struct kt_vec)KT_VEC_INIT;
	reg->syncing = false;
	reg->placing = false;
	settle_sync(reg, sync);
	kt_loop_defer(reg->loop, &reg->tick);
	if (sync->error)
		fail_all(&waiters, &reg->trouble);
	else
		tell_waiters(&waiters, KT_OK, &no_error);
	job_free(sync);
}

static void start_sync(struct kt_sessions *reg)
{
	struct sync_job *sync = kt_calloc(1, sizeof(*sync));
	bool place = kt_copy_is_due(reg);

	sync->fd = fcntl(place ? reg->copy->fd : reg->journal_fd, F_DUPFD_CLOEXEC, 0);
	if (sync->fd < 0) {
		struct kt_err err = KT_ERR_INIT;

		(void)kt_fail(&err, KT_EIO, errno, "the session journal cannot be synced");
		free(sync);
		fail_all(&reg->waiting, &err);
		return;
	}
	if (place) {
		sync->from = kt_strdup(reg->copy->path);
		sync->to = kt_journal_path(reg);
		sync->folder = kt_strdup(reg->data_dir);
	}
	sync->waiters = reg->waiting;
	reg->waiting = (struct kt_vec)KT_VEC_INIT;
	sync->written = reg->written;
	sync->job.run = run_sync_job;
	sync->job.done = on_sync_done;
	reg->syncing = true;
	reg->placing = place;
	kt_session_job_start(reg, KT_WORK_DISK, "", &sync->job);
}

void kt_sessions_tick(void *arg)
{
	struct kt_sessions *reg = arg;

	kt_journal_flush(reg);
	if (reg->trouble.code != KT_OK && reg->waiting.len)
		fail_all(&reg->waiting, &reg->trouble);
	if (!reg->syncing && (reg->waiting.len || kt_copy_is_due(reg)))
		start_sync(reg);
}

void kt_sessions_sync(struct kt_sessions *reg, kt_prepared_fn fn, void *arg)
{
	struct sync_waiter *w;

	if (!reg->control ||
		(!reg->lines.len && reg->synced == reg->written && !reg->journal_broken &&
			!reg->syncing)) {
		fn(arg, KT_OK, &no_error);
		return;
	}
	w = kt_calloc(1, sizeof(*w));
	w->fn = fn;
	w->arg = arg;
	kt_vec_push(&reg->waiting, w);
	kt_loop_defer(reg->loop, &reg->tick);
}

void kt_sync_release(struct kt_sessions *reg)
{
	for (size_t i = 0; i < reg->waiting.len; i++)
		free(reg->waiting.items[i]);
	kt_vec_release(&reg->waiting);
	while (reg->jobs) {
		struct kt_session_job *job = reg->jobs;

		atomic_store(&job->work.canceled, true);
		if (job->orphaned)
			job->orphaned(job);
		kt_session_job_end(job);
	}
}
