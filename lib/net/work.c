/* SPDX-License-Identifier: MIT */
/*
 * Work beside the loop, on libuv's threads. The queues belong to the loop; a thread sees only the
 * job it runs. Whether that has ended is shared, guarded by one mutex, for kt_work_end().
 */
#include "net/work.h"

#include "base/base.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/str.h"
#include "net/loop_private.h"

#include <malloc.h>
#include <pthread.h>
#include <string.h>

#define TRIM_BYTES (16 * 1024 * 1024)
#define HEAP_PIECE_BYTES (256 * 1024) /* larger ones are the system's */
#define TRIM_MS 500
#define TRIM_AGAIN_MS 3000 /* what slow clients held is free by then */
#define MAX_NAME_BYTES 64 /* of an organization; ids are shorter */

#define DISK_THREADS 2 /* the journal's sync, and that of its rewrite */
#define SHORT_THREADS 2
#define LONG_THREADS 3
#define PACK_THREADS 3
#define STRANGER_THREADS 1
#define NAME_THREADS 1 /* where proxies are: one question at a time (fetch.c) */
_Static_assert(DISK_THREADS + SHORT_THREADS + LONG_THREADS + PACK_THREADS + STRANGER_THREADS +
			NAME_THREADS ==
		KT_LOOP_THREADS,
	"the loop has as many threads as the kinds of work, and one");

static const size_t threads[KT_WORK_KINDS] = {
	[KT_WORK_DISK] = DISK_THREADS,
	[KT_WORK_SHORT] = SHORT_THREADS,
	[KT_WORK_LONG] = LONG_THREADS,
	[KT_WORK_PACK] = PACK_THREADS,
	[KT_WORK_STRANGER] = STRANGER_THREADS,
};
/* Of those, by one organization: another finds one free when there is more than one. */
static const size_t threads_each[KT_WORK_KINDS] = {
	[KT_WORK_DISK] = 2,
	[KT_WORK_SHORT] = 2,
	[KT_WORK_LONG] = 2,
	[KT_WORK_PACK] = KT_MAX_ARCHIVES,
	[KT_WORK_STRANGER] = 1,
};

struct fifo {
	struct kt_work *head, **tail;
	bool in_turn; /* its tenant waits for its turn in the ring of this kind */
	size_t running;
};

struct kt_work_tenant {
	char name[MAX_NAME_BYTES];
	struct fifo of[KT_WORK_KINDS];
	struct kt_work_tenant *after[KT_WORK_KINDS]; /* in the ring */
	size_t jobs, bytes; /* waiting and running */
};

/* A job at a thread. It outlives one that was ended, until libuv gives it back. */
struct kt_work_slot {
	uv_work_t uv;
	struct kt_works_of_loop *all;
	struct kt_work *w; /* NULL: nobody waits for its end any more */
	bool ended; /* guarded by slot_mutex */
};

struct kt_works_of_loop {
	struct kt_loop_works at_loop;
	uv_loop_t *uv;
	struct kt_map tenants; /* struct kt_work_tenant */
	struct {
		struct kt_work_tenant *head, **tail;
		size_t running;
	} ring[KT_WORK_KINDS];
	size_t jobs, bytes;
	size_t passed; /* bytes of jobs that are over since the heaps were trimmed */
	struct kt_work trim;
	struct kt_timer *trim_timer; /* NULL when the loop ends */
	bool trim_again;
};

static pthread_mutex_t slot_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t slot_cond = PTHREAD_COND_INITIALIZER;

static void start_trim(void *arg);

static void close_works(struct kt_loop_works *at)
{
	struct kt_works_of_loop *all = kt_container_of(at, struct kt_works_of_loop, at_loop);

	kt_timer_free(KT_STEAL(all->trim_timer));
}

static void free_works(struct kt_loop_works *at)
{
	struct kt_works_of_loop *all = kt_container_of(at, struct kt_works_of_loop, at_loop);

	kt_assert(all->jobs == 0);
	kt_map_release(&all->tenants);
	free(all);
}

static struct kt_works_of_loop *works_of(struct kt_loop *loop)
{
	struct kt_loop_works **at = kt_loop_works(loop);
	struct kt_works_of_loop *all;

	if (*at)
		return kt_container_of(*at, struct kt_works_of_loop, at_loop);
	all = kt_calloc(1, sizeof(*all));
	all->at_loop.on_loop_closing = close_works;
	all->at_loop.on_loop_closed = free_works;
	all->uv = kt_loop_uv(loop);
	all->trim_timer = kt_timer_new(loop, start_trim, all);
	/*
	 * Else each large buffer that is freed raises what the end of a thread's heap keeps, and the
	 * nodes of a tree that was freed are put aside, which no end is cut for.
	 */
	(void)mallopt(M_MMAP_THRESHOLD, HEAP_PIECE_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, HEAP_PIECE_BYTES);
	(void)mallopt(M_MXFAST, 0);
	for (int k = 0; k < KT_WORK_KINDS; k++)
		all->ring[k].tail = &all->ring[k].head;
	*at = &all->at_loop;
	return all;
}

static struct kt_work_tenant *tenant_of(struct kt_works_of_loop *all, const char *name)
{
	struct kt_work_tenant *t = kt_map_get(&all->tenants, name);

	if (t)
		return t;
	t = kt_calloc(1, sizeof(*t));
	(void)kt_str_copy(t->name, sizeof(t->name), name);
	for (int k = 0; k < KT_WORK_KINDS; k++)
		t->of[k].tail = &t->of[k].head;
	(void)kt_map_set(&all->tenants, t->name, t);
	return t;
}

/* --- taking turns ------------------------------------------------------------------------ */

/* Behind the others of its kind, when it has a job and may have another thread. */
static void take_turn(struct kt_works_of_loop *all, struct kt_work_tenant *t, enum kt_work_kind k)
{
	struct fifo *f = &t->of[k];

	if (f->in_turn || !f->head || f->running >= threads_each[k])
		return;
	f->in_turn = true;
	t->after[k] = NULL;
	*all->ring[k].tail = t;
	all->ring[k].tail = &t->after[k];
}

static void leave_ring(struct kt_works_of_loop *all, struct kt_work_tenant *t, enum kt_work_kind k)
{
	struct kt_work_tenant **at = &all->ring[k].head;

	if (!t->of[k].in_turn)
		return;
	while (*at != t)
		at = &(*at)->after[k];
	*at = t->after[k];
	if (all->ring[k].tail == &t->after[k])
		all->ring[k].tail = at;
	t->of[k].in_turn = false;
}

/* The job is over for its organization, which goes with its last one. */
static void leave_work(struct kt_works_of_loop *all, struct kt_work *w)
{
	struct kt_work_tenant *t = w->tenant;

	w->tenant = NULL;
	all->jobs--;
	all->bytes -= w->bytes;
	all->passed += w->bytes;
	t->jobs--;
	t->bytes -= w->bytes;
	if (t->jobs > 0)
		return;
	(void)kt_map_del(&all->tenants, t->name);
	free(t);
}

static void dispatch_work(struct kt_works_of_loop *all, enum kt_work_kind k);
static void enter_work(struct kt_works_of_loop *all, struct kt_work_tenant *t, enum kt_work_kind k,
	struct kt_work *w);

static void run_trim(struct kt_work *w)
{
	(void)w;
	(void)malloc_trim(0);
}

static void on_trimmed(struct kt_work *w)
{
	(void)w;
}

/*
 * What threads made and the loop freed stays in the heaps of the threads. A moment after a crowd of
 * large jobs is over, when its requests are answered, it is given back, by a thread.
 */
static void trim_after_works(struct kt_works_of_loop *all)
{
	if (all->jobs > 0 || all->passed < TRIM_BYTES || !all->trim_timer)
		return;
	all->trim_again = true;
	kt_timer_start(all->trim_timer, TRIM_MS, 0);
}

static void start_trim(void *arg)
{
	struct kt_works_of_loop *all = arg;

	if (all->jobs > 0)
		return;
	all->passed = 0;
	if (all->trim_again)
		kt_timer_start(all->trim_timer, TRIM_AGAIN_MS, 0);
	all->trim_again = false;
	all->trim = (struct kt_work){ .run = run_trim, .done = on_trimmed };
	enter_work(all, tenant_of(all, ""), KT_WORK_SHORT, &all->trim);
}

static void on_uv_work(uv_work_t *uv)
{
	struct kt_work_slot *slot = kt_container_of(uv, struct kt_work_slot, uv);

	/* Nobody takes it from a slot that has not ended. */
	slot->w->run(slot->w);
	pthread_mutex_lock(&slot_mutex);
	slot->ended = true;
	pthread_cond_broadcast(&slot_cond);
	pthread_mutex_unlock(&slot_mutex);
}

/* Its thread is free: the next. */
static void give_back(struct kt_works_of_loop *all, struct kt_work *w)
{
	struct kt_work_tenant *t = w->tenant;
	enum kt_work_kind k = w->kind;

	all->ring[k].running--;
	t->of[k].running--;
	take_turn(all, t, k);
	w->slot = NULL;
	leave_work(all, w);
	dispatch_work(all, k);
}

static void on_uv_worked(uv_work_t *uv, int status)
{
	struct kt_work_slot *slot = kt_container_of(uv, struct kt_work_slot, uv);
	struct kt_work *w = slot->w;

	(void)status;
	if (w) {
		give_back(slot->all, w);
		w->done(w);
		trim_after_works(slot->all);
	}
	free(slot);
}

static void dispatch_work(struct kt_works_of_loop *all, enum kt_work_kind k)
{
	while (all->ring[k].running < threads[k] && all->ring[k].head) {
		struct kt_work_tenant *t = all->ring[k].head;
		struct fifo *f = &t->of[k];
		struct kt_work *w = f->head;
		struct kt_work_slot *slot = kt_calloc(1, sizeof(*slot));

		leave_ring(all, t, k);
		f->head = w->next;
		if (!f->head)
			f->tail = &f->head;
		w->next = NULL;
		f->running++;
		all->ring[k].running++;
		slot->all = all;
		slot->w = w;
		w->slot = slot;
		take_turn(all, t, k);
		/* Fails for a missing callback only. */
		kt_assert(uv_queue_work(all->uv, &slot->uv, on_uv_work, on_uv_worked) == 0);
	}
}

/* --- for callers ------------------------------------------------------------------------- */

static void enter_work(struct kt_works_of_loop *all, struct kt_work_tenant *t, enum kt_work_kind k,
	struct kt_work *w)
{
	w->kind = k;
	w->tenant = t;
	w->slot = NULL;
	w->next = NULL;
	atomic_store(&w->canceled, false);
	*t->of[k].tail = w;
	t->of[k].tail = &w->next;
	t->jobs++;
	t->bytes += w->bytes;
	all->jobs++;
	all->bytes += w->bytes;
	take_turn(all, t, k);
	dispatch_work(all, k);
}

enum kt_code kt_work_room(struct kt_loop *loop, const char *org, size_t bytes, struct kt_err *err)
{
	const struct kt_works_of_loop *all = works_of(loop);
	const struct kt_work_tenant *t = kt_map_get(&all->tenants, org);

	if (t && (t->jobs >= KT_MAX_WORK_JOBS_EACH || t->bytes + bytes > KT_MAX_WORK_BYTES_EACH))
		return kt_fail(err, KT_ELIMIT, 0,
			"%zu jobs of this organization with %zu bytes wait already (fixed)",
			t->jobs, t->bytes);
	if (all->jobs >= KT_MAX_WORK_JOBS || all->bytes + bytes > KT_MAX_WORK_BYTES)
		return kt_fail(err, KT_ELIMIT, 0,
			"the server has %zu jobs with %zu bytes to do already (fixed)", all->jobs,
			all->bytes);
	return KT_OK;
}

enum kt_code kt_work_start(struct kt_loop *loop, enum kt_work_kind kind, const char *org,
	struct kt_work *w, struct kt_err *err)
{
	struct kt_works_of_loop *all = works_of(loop);
	enum kt_code rc = kt_work_room(loop, org, w->bytes, err);

	if (rc == KT_OK)
		enter_work(all, tenant_of(all, org), kind, w);
	return rc;
}

void kt_work_add(struct kt_loop *loop, enum kt_work_kind kind, const char *org, struct kt_work *w)
{
	struct kt_works_of_loop *all = works_of(loop);

	enter_work(all, tenant_of(all, org), kind, w);
}

bool kt_work_cancel(struct kt_loop *loop, struct kt_work *w)
{
	struct kt_works_of_loop *all = works_of(loop);
	struct kt_work_tenant *t = w->tenant;
	struct fifo *f;
	struct kt_work **at;

	atomic_store(&w->canceled, true);
	if (!t || w->slot)
		return false;
	f = &t->of[w->kind];
	for (at = &f->head; *at != w; at = &(*at)->next)
		;
	*at = w->next;
	if (f->tail == &w->next)
		f->tail = at;
	if (!f->head)
		leave_ring(all, t, w->kind);
	leave_work(all, w);
	return true;
}

bool kt_work_end(struct kt_loop *loop, struct kt_work *w)
{
	struct kt_work_slot *slot = w->slot;

	if (kt_work_cancel(loop, w))
		return false;
	if (!slot)
		return true;
	pthread_mutex_lock(&slot_mutex);
	while (!slot->ended)
		pthread_cond_wait(&slot_cond, &slot_mutex);
	pthread_mutex_unlock(&slot_mutex);
	slot->w = NULL;
	give_back(works_of(loop), w);
	return true;
}
