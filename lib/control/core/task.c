/* SPDX-License-Identifier: MIT */
/*
 * Work beside the loop: tasks on threads (net/work.h).
 *
 * At the end of the server the tasks that have not begun are dropped, and the ones that run are
 * waited for, so that nothing looks at the store or the blobs afterwards.
 */
#include "control/core/task_private.h"

struct kt_task {
	struct kt_work job;
	struct kt_works *works;
	kt_task_fn work;
	kt_task_done_fn done;
	void *arg;
	enum kt_code rc;
	struct kt_err err;
	struct kt_defer refused;
	struct kt_task *next, **at;
};

struct kt_works *kt_works_get(struct kt_control *ctl)
{
	if (!ctl->works) {
		ctl->works = kt_calloc(1, sizeof(*ctl->works));
		ctl->works->ctl = ctl;
	}
	return ctl->works;
}

void kt_works_forget(struct kt_map *numbers)
{
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(numbers, &pos, &key, &value))
		free(value);
	kt_map_release(numbers);
}

static void link_task(struct kt_works *w, struct kt_task *t)
{
	t->works = w;
	t->next = w->tasks;
	t->at = &w->tasks;
	if (t->next)
		t->next->at = &t->next;
	w->tasks = t;
}

static void unlink_task(struct kt_task *t)
{
	*t->at = t->next;
	if (t->next)
		t->next->at = t->at;
	t->works = NULL;
}

static void run_task(struct kt_work *job)
{
	struct kt_task *t = kt_container_of(job, struct kt_task, job);

	t->rc = t->work(t->arg, &t->err);
}

static void end_task(struct kt_task *t)
{
	t->works->ctl->on.failed(t->works->ctl, &t->err);
	unlink_task(t);
	t->done(t->arg, t->rc, &t->err);
	free(t);
}

static void task_done(struct kt_work *job)
{
	end_task(kt_container_of(job, struct kt_task, job));
}

static void task_refused(void *arg)
{
	end_task(arg);
}

void kt_task_run(struct kt_control *ctl, const struct kt_task_for *who, kt_task_fn work,
	kt_task_done_fn done, void *arg)
{
	struct kt_works *w = kt_works_get(ctl);
	struct kt_err err = KT_ERR_INIT;
	struct kt_task *t;

	if (w->stopped) {
		(void)kt_fail(&err, KT_ECANCEL, 0, "the server is shutting down");
		done(arg, KT_ECANCEL, &err);
		return;
	}
	t = kt_calloc(1, sizeof(*t));
	t->job.run = run_task;
	t->job.done = task_done;
	t->job.bytes = who->bytes;
	t->work = work;
	t->done = done;
	t->arg = arg;
	link_task(w, t);
	if (who->admitted) {
		kt_work_add(ctl->loop, who->kind, who->org_id, &t->job);
	} else if (kt_work_start(ctl->loop, who->kind, who->org_id, &t->job, &err) != KT_OK) {
		t->rc = kt_fail(&t->err, KT_EUNAVAIL, 0, "%s; try again later", err.msg);
		t->refused = (struct kt_defer){ .fn = task_refused, .arg = t };
		kt_loop_defer(ctl->loop, &t->refused);
	}
}

/* Answer a task now. */
static void stop_task(struct kt_control *ctl, struct kt_task *t)
{
	if (t->refused.queued) {
		kt_loop_undefer(ctl->loop, &t->refused);
	} else if (!kt_work_end(ctl->loop, &t->job)) {
		t->err = (struct kt_err)KT_ERR_INIT;
		t->rc = kt_fail(&t->err, KT_ECANCEL, 0, "the server is shutting down");
	}
	end_task(t);
}

void kt_tasks_stop(struct kt_works *w)
{
	while (w->tasks)
		stop_task(w->ctl, w->tasks);
}
