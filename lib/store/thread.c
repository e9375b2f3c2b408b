/* SPDX-License-Identifier: MIT */
/*
 * The threads: one that writes, two that read. Jobs wait in queues; those that are done go back to
 * the loop through one uv_async. The writer takes what waits into one transaction, so that one
 * fsync serves all of it; while that runs, the next group gathers.
 */
#include "store/store_private.h"

#include "base/limits.h"
#include "base/log.h"

#include <signal.h>
#include <uv.h>

#define PROBE_MS 1000 /* between two tries of a disk that failed */
#define GROUP_MAX 256 /* a group takes some 10 ms then; who comes later waits that long at most */

/* --- queues ------------------------------------------------------------------------------ */

static void jobs_init(struct kt_jobs *q)
{
	q->head = NULL;
	q->tail = &q->head;
	q->n = 0;
}

static void jobs_push(struct kt_jobs *q, struct kt_job *j)
{
	j->next = NULL;
	*q->tail = j;
	q->tail = &j->next;
	q->n++;
}

/* Take the first n (or all) as a list. */
static struct kt_job *jobs_take(struct kt_jobs *q, size_t n)
{
	struct kt_job *first = q->head;
	struct kt_job **end = &q->head;

	while (*end && n > 0) {
		end = &(*end)->next;
		n--;
		q->n--;
	}
	q->head = *end;
	if (q->head)
		*end = NULL;
	else
		q->tail = &q->head;
	return end == &q->head ? NULL : first;
}

static void job_fail(struct kt_job *j, enum kt_code rc, const struct kt_err *err)
{
	j->code = rc;
	if (!j->err)
		j->err = kt_malloc(sizeof(*j->err));
	*j->err = *err;
	/* An operation that gave a code without a message. */
	if (j->err->code != rc)
		kt_fail(j->err, rc, 0, "the operation failed: %s", kt_code_name(rc));
}

/* --- working ----------------------------------------------------------------------------- */

/* Run one inside the group's transaction; its failure undoes itself only. */
static void run_savepoint(struct kt_db *db, struct kt_job *j)
{
	struct kt_tx tx = { .db = db, .write = true };
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc = db->engine->part(db, &err);

	if (rc == KT_OK) {
		rc = j->fn(&tx, j->arg, &err);
		if (rc == KT_OK)
			rc = db->engine->keep(db, &err);
	}
	if (rc == KT_OK)
		return;
	job_fail(j, rc, &err);
	/* What cannot be undone singly must not be committed with the others. */
	if (db->engine->in_tx(db) && db->engine->undo(db, NULL) != KT_OK)
		db->engine->rollback(db);
}

/* What the group's end says of the disk; a job that failed by itself says nothing. */
static void note_commit(struct kt_store *st, const struct kt_err *err)
{
	bool was, is = err->code == KT_EIO;

	if (!is && err->code != KT_OK)
		return;
	kt_assert(pthread_mutex_lock(&st->mutex) == 0);
	was = st->trouble.code != KT_OK;
	st->trouble = *err;
	kt_assert(pthread_mutex_unlock(&st->mutex) == 0);
	if (is && !was)
		kt_log(KT_LOG_ERROR, "store", "nothing can be stored: %s", err->msg);
	else if (was && !is)
		kt_log(KT_LOG_INFO, "store", "the database is written again");
}

static void set_committing(struct kt_store *st)
{
	kt_assert(pthread_mutex_lock(&st->mutex) == 0);
	st->committing = true;
	kt_assert(pthread_mutex_unlock(&st->mutex) == 0);
}

/*
 * Run jobs in one transaction; returns the first that was not reached, NULL when all were. When the
 * transaction is lost on the way (full disk), all that were in it have failed, and the rest goes
 * into the next one: it fails or not by itself.
 */
static struct kt_job *run_transaction(struct kt_store *st, struct kt_job *first)
{
	struct kt_db *db = st->writer;
	struct kt_err err = KT_ERR_INIT, none = KT_ERR_INIT;
	struct kt_job *rest = NULL, *j;
	enum kt_code rc = db->engine->begin(db, true, &err);

	for (j = first; j && rc == KT_OK; j = j->next) {
		run_savepoint(db, j);
		if (db->engine->in_tx(db))
			continue;
		rc = j->code != KT_OK ? j->code : KT_EIO;
		if (j->err)
			err = *j->err;
		else
			kt_fail(&err, rc, 0, "database: the transaction was lost");
		rest = j->next;
		break;
	}
	if (rc == KT_OK) {
		set_committing(st);
		rc = db->engine->commit(db, &err);
		if (rc == KT_OK) {
			__atomic_add_fetch(&st->n_commits, 1, __ATOMIC_RELAXED);
			note_commit(st, &none);
			return NULL;
		}
	}
	note_commit(st, &err);
	for (j = first; j != rest; j = j->next)
		if (j->code == KT_OK)
			job_fail(j, rc, &err);
	return rest;
}

static void run_read(struct kt_db *db, struct kt_job *j)
{
	struct kt_tx tx = { .db = db };
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc = db->engine->begin(db, false, &err);

	if (rc == KT_OK)
		rc = j->fn(&tx, j->arg, &err);
	db->engine->rollback(db);
	if (rc != KT_OK)
		job_fail(j, rc, &err);
}

static void jobs_push_all(struct kt_jobs *q, struct kt_job *list)
{
	while (list) {
		struct kt_job *j = list;

		list = list->next;
		jobs_push(q, j);
	}
}

static void finish_writes(struct kt_store *st, struct kt_job *list)
{
	kt_assert(pthread_mutex_lock(&st->mutex) == 0);
	st->committing = false;
	jobs_push_all(&st->finished, list);
	jobs_push_all(&st->finished, jobs_take(&st->held, SIZE_MAX));
	kt_assert(pthread_mutex_unlock(&st->mutex) == 0);
	(void)uv_async_send(st->async);
}

static void finish_read(struct kt_store *st, struct kt_job *job)
{
	bool held;

	kt_assert(pthread_mutex_lock(&st->mutex) == 0);
	held = st->committing;
	jobs_push(held ? &st->held : &st->finished, job);
	kt_assert(pthread_mutex_unlock(&st->mutex) == 0);
	if (!held)
		(void)uv_async_send(st->async);
}

/* Wait for jobs of q; NULL when the store stops and none is left. */
static struct kt_job *next_jobs(
	struct kt_store *st, struct kt_jobs *q, pthread_cond_t *cond, size_t max)
{
	struct kt_job *list;

	kt_assert(pthread_mutex_lock(&st->mutex) == 0);
	while (!q->head && !st->stop)
		kt_assert(pthread_cond_wait(cond, &st->mutex) == 0);
	list = jobs_take(q, max);
	kt_assert(pthread_mutex_unlock(&st->mutex) == 0);
	return list;
}

static void *write_thread(void *arg)
{
	struct kt_store *st = arg;
	struct kt_job *list;

	while ((list = next_jobs(st, &st->writes, &st->write_cond, GROUP_MAX)) != NULL) {
		struct kt_job *rest = list;

		kt_assert(pthread_mutex_lock(&st->write_mutex) == 0);
		while (rest)
			rest = run_transaction(st, rest);
		kt_assert(pthread_mutex_unlock(&st->write_mutex) == 0);
		finish_writes(st, list);
	}
	return NULL;
}

struct reader_start {
	struct kt_store *st;
	struct kt_db *db;
};

static void *read_thread(void *arg)
{
	struct reader_start *start = arg;
	struct kt_store *st = start->st;
	struct kt_db *db = start->db;
	struct kt_job *job;

	free(start);
	while ((job = next_jobs(st, &st->reads, &st->read_cond, 1)) != NULL) {
		run_read(db, job);
		finish_read(st, job);
	}
	return NULL;
}

/* --- on the loop ------------------------------------------------------------------------- */

/* Pages that are really written: a commit of nothing proves nothing. */
static enum kt_code store_probe_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	const struct kt_idem_row row = {
		.org_id = "", .scope = "probe", .key = "", .fingerprint = ""
	};
	struct kt_idem_row there;
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	enum kt_code rc = kt_tx_idem_begin(tx, arena, &row, &there, err);

	return rc == KT_OK ? kt_tx_idem_forget(tx, "", "probe", "", err) : rc;
}

static void on_probe(void *arg)
{
	kt_store_write(arg, store_probe_work, NULL, NULL);
}

enum kt_code kt_store_health(struct kt_store *st, struct kt_err *err)
{
	struct kt_err why;

	kt_assert(pthread_mutex_lock(&st->mutex) == 0);
	why = st->trouble;
	kt_assert(pthread_mutex_unlock(&st->mutex) == 0);
	if (err && why.code != KT_OK)
		*err = why;
	return why.code;
}

/* A job's failure or success was noted: begin or end to try by ourselves. */
static void set_probe(struct kt_store *st, bool on)
{
	if (on == (st->probe != NULL) || st->closing)
		return;
	if (on) {
		st->probe = kt_timer_new(st->loop, on_probe, st);
		kt_timer_start(st->probe, PROBE_MS, PROBE_MS);
	} else {
		kt_timer_free(st->probe);
		st->probe = NULL;
	}
}

static void store_deliver(struct kt_store *st)
{
	struct kt_job *list;
	bool trouble;

	kt_assert(pthread_mutex_lock(&st->mutex) == 0);
	list = jobs_take(&st->finished, SIZE_MAX);
	trouble = st->trouble.code != KT_OK;
	kt_assert(pthread_mutex_unlock(&st->mutex) == 0);
	set_probe(st, trouble);
	while (list) {
		struct kt_job *j = list;
		static const struct kt_err none = KT_ERR_INIT;

		list = j->next;
		st->pending--;
		if (j->done)
			j->done(j->arg, j->code, j->err ? j->err : &none);
		free(j->err);
		free(j);
	}
	if (st->pending == 0 && !st->closing)
		uv_unref((uv_handle_t *)st->async);
}

static void on_async(uv_async_t *h)
{
	store_deliver(h->data);
}

static void queue_job(
	struct kt_store *st, struct kt_jobs *q, pthread_cond_t *cond, struct kt_job *j)
{
	struct kt_err err = KT_ERR_INIT;
	bool refused = false;

	/* The loop goes on while an answer is to come. */
	if (st->pending++ == 0 && !st->closing)
		uv_ref((uv_handle_t *)st->async);
	kt_assert(pthread_mutex_lock(&st->mutex) == 0);
	if (st->closing)
		kt_fail(&err, KT_EUNAVAIL, 0, "the server is shutting down");
	else if (q == &st->writes && st->read_only)
		kt_fail(&err, KT_EDENIED, 0, "the database is open for reading only");
	else if (q->n >= KT_MAX_STORE_QUEUE)
		kt_fail(&err, KT_EUNAVAIL, 0, "too much waits for the database");
	refused = err.code != KT_OK;
	if (refused) {
		job_fail(j, err.code, &err);
		jobs_push(&st->finished, j);
	} else {
		jobs_push(q, j);
		kt_assert(pthread_cond_signal(cond) == 0);
	}
	kt_assert(pthread_mutex_unlock(&st->mutex) == 0);
	if (refused && !st->closing)
		(void)uv_async_send(st->async);
}

static struct kt_job *new_job(struct kt_store *st, kt_tx_fn fn, kt_tx_done_fn done, void *arg)
{
	struct kt_job *j = kt_calloc(1, sizeof(*j));

	kt_assert(st->loop);
	j->fn = fn;
	j->done = done;
	j->arg = arg;
	return j;
}

void kt_store_write(struct kt_store *st, kt_tx_fn fn, kt_tx_done_fn done, void *arg)
{
	queue_job(st, &st->writes, &st->write_cond, new_job(st, fn, done, arg));
}

void kt_store_read(struct kt_store *st, kt_tx_fn fn, kt_tx_done_fn done, void *arg)
{
	queue_job(st, &st->reads, &st->read_cond, new_job(st, fn, done, arg));
}

/* --- start and end ----------------------------------------------------------------------- */

static enum kt_code store_start_thread(
	struct kt_store *st, void *(*fn)(void *arg), void *arg, struct kt_err *err)
{
	sigset_t all, old;
	int rc;

	/* Signals are the loop's. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&st->threads[st->n_threads], NULL, fn, arg);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
		return kt_fail(err, KT_EIO, rc, "cannot start a thread");
	st->n_threads++;
	return KT_OK;
}

enum kt_code kt_store_start(struct kt_store *st, struct kt_err *err)
{
	enum kt_code rc = KT_OK;
	int status;

	jobs_init(&st->writes);
	jobs_init(&st->reads);
	jobs_init(&st->finished);
	jobs_init(&st->held);
	st->async = kt_calloc(1, sizeof(*st->async));
	status = uv_async_init(kt_loop_uv(st->loop), st->async, on_async);
	if (status != 0) {
		free(st->async);
		st->async = NULL;
		return kt_fail(err, KT_EIO, -status, "cannot wait for the database");
	}
	st->async->data = st;
	uv_unref((uv_handle_t *)st->async);
	if (st->writer)
		rc = store_start_thread(st, write_thread, st, err);
	for (size_t i = 0; rc == KT_OK && i < KT_STORE_READERS; i++) {
		struct reader_start *start = kt_malloc(sizeof(*start));

		*start = (struct reader_start){ .st = st, .db = st->readers[i] };
		rc = store_start_thread(st, read_thread, start, err);
		if (rc != KT_OK)
			free(start);
	}
	return rc;
}

static void on_async_closed(uv_handle_t *h)
{
	free(h);
}

void kt_store_stop(struct kt_store *st)
{
	if (!st->async)
		return;
	kt_assert(pthread_mutex_lock(&st->mutex) == 0);
	st->stop = true;
	kt_assert(pthread_cond_broadcast(&st->write_cond) == 0);
	kt_assert(pthread_cond_broadcast(&st->read_cond) == 0);
	kt_assert(pthread_mutex_unlock(&st->mutex) == 0);
	set_probe(st, false);
	st->closing = true;
	for (size_t i = 0; i < st->n_threads; i++)
		kt_assert(pthread_join(st->threads[i], NULL) == 0);
	/* What a `done` queues now is refused, and its own `done` called in the next round. */
	while (st->pending > 0)
		store_deliver(st);
	uv_close((uv_handle_t *)st->async, on_async_closed);
	st->async = NULL;
}
