/* SPDX-License-Identifier: MIT */
/* Jobs for threads: each is on the registry's list until it is done. */
#include "session/keep/keep_private.h"

#define SHORT_SCAN_BYTES (4 * 1024 * 1024) /* of a log, read on the threads for what is short */

static void on_job_work(struct kt_work *work)
{
	struct kt_session_job *job = kt_container_of(work, struct kt_session_job, work);

	job->run(job);
}

static void on_job_worked(struct kt_work *work)
{
	struct kt_session_job *job = kt_container_of(work, struct kt_session_job, work);

	job->done(job);
}

void kt_session_job_start(struct kt_sessions *reg, enum kt_work_kind kind, const char *org,
	struct kt_session_job *job)
{
	job->reg = reg;
	job->prev = NULL;
	job->next = reg->jobs;
	if (job->next)
		job->next->prev = job;
	reg->jobs = job;
	job->work.run = on_job_work;
	job->work.done = on_job_worked;
	kt_work_add(reg->loop, kind, org, &job->work);
}

enum kt_work_kind kt_scan_kind(const struct kt_evscan *scan)
{
	return kt_evscan_bytes(scan) <= SHORT_SCAN_BYTES ? KT_WORK_SHORT : KT_WORK_LONG;
}

void kt_session_job_end(struct kt_session_job *job)
{
	if (!job->reg)
		return;
	if (job->prev)
		job->prev->next = job->next;
	else
		job->reg->jobs = job->next;
	if (job->next)
		job->next->prev = job->prev;
	job->prev = job->next = NULL;
	job->reg = NULL;
}
