/* SPDX-License-Identifier: MIT */
/*
 * Work beside the loop: tasks on libuv's thread pool, and operations whose transaction is followed
 * by more.
 *
 * A task belongs to the loop; its state alone is shared with the worker, guarded by one mutex. At
 * the end of the server those that have not begun are dropped, and the ones that run are waited
 * for, so that nothing looks at the store or the blobs afterwards.
 */
#include "control/work_private.h"

#include <pthread.h>

enum task_state { QUEUED, RUNNING, DONE, DROPPED };

struct kt_task {
	uv_work_t uv;
	struct kt_works *works; /* NULL: answered already, only this shell is left */
	kt_task_fn work;
	kt_task_done_fn done;
	void *arg;
	enum kt_code rc;
	struct kt_err err;
	enum task_state state; /* guarded by task_mutex */
	struct kt_task *next, **at;
};

static pthread_mutex_t task_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t task_cond = PTHREAD_COND_INITIALIZER;

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

static void on_work(uv_work_t *uv)
{
	struct kt_task *t = uv->data;
	bool go;

	pthread_mutex_lock(&task_mutex);
	go = t->state == QUEUED;
	if (go)
		t->state = RUNNING;
	pthread_mutex_unlock(&task_mutex);
	if (!go)
		return;
	t->rc = t->work(t->arg, &t->err);
	pthread_mutex_lock(&task_mutex);
	t->state = DONE;
	pthread_cond_broadcast(&task_cond);
	pthread_mutex_unlock(&task_mutex);
}

static void on_worked(uv_work_t *uv, int status)
{
	struct kt_task *t = uv->data;

	(void)status;
	if (t->works) {
		unlink_task(t);
		t->done(t->arg, t->rc, &t->err);
	}
	free(t);
}

void kt_task_run(struct kt_control *ctl, kt_task_fn work, kt_task_done_fn done, void *arg)
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
	t->uv.data = t;
	t->work = work;
	t->done = done;
	t->arg = arg;
	link_task(w, t);
	/* Fails for a missing callback only. */
	kt_assert(uv_queue_work(kt_loop_uv(ctl->loop), &t->uv, on_work, on_worked) == 0);
}

/* Answer a task now; its shell is freed when libuv gives it back. */
static void end_task(struct kt_task *t)
{
	struct kt_err err = KT_ERR_INIT;
	bool dropped;

	unlink_task(t);
	pthread_mutex_lock(&task_mutex);
	while (t->state == RUNNING)
		pthread_cond_wait(&task_cond, &task_mutex);
	dropped = t->state == QUEUED;
	if (dropped)
		t->state = DROPPED;
	pthread_mutex_unlock(&task_mutex);
	(void)uv_cancel((uv_req_t *)&t->uv);
	if (dropped)
		t->rc = kt_fail(&err, KT_ECANCEL, 0, "the server is shutting down");
	t->done(t->arg, t->rc, dropped ? &err : &t->err);
}

void kt_builds_stop(struct kt_control *ctl)
{
	struct kt_works *w = kt_works_get(ctl);

	w->stopped = true;
	kt_unpacks_stop(w);
	while (w->tasks)
		end_task(w->tasks);
}

/* --- operations with more than one step -------------------------------------------------- */

struct step {
	struct kt_op *op;
	kt_tx_fn work;
	kt_tx_done_fn done;
};

static enum kt_code step_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct step *s = arg;

	return s->work(tx, s->op, err);
}

static void step_done(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct step s = *(struct step *)arg;

	free(arg);
	/* What was set for success does not describe a failed COMMIT. */
	if (rc != KT_OK && !s.op->code)
		s.op->status = 0;
	s.done(s.op, rc, err);
}

void kt_op_store(struct kt_op *op, bool write, kt_tx_fn work, kt_tx_done_fn done)
{
	struct kt_control *ctl = op->ctl;
	struct kt_err err = KT_ERR_INIT;
	struct step *s;

	if (ctl->closing || kt_works_get(ctl)->stopped) {
		(void)kt_fail(&err, KT_EUNAVAIL, 0, "the server is shutting down");
		done(op, kt_op_code(op, KT_EUNAVAIL, 503, "shutting_down"), &err);
		return;
	}
	s = kt_calloc(1, sizeof(*s));
	*s = (struct step){ .op = op, .work = work, .done = done };
	if (write)
		kt_store_write(ctl->store, step_work, step_done, s);
	else
		kt_store_read(ctl->store, step_work, step_done, s);
}
