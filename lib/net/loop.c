/* SPDX-License-Identifier: MIT */
/*
 * The loop over libuv. libuv frees nothing by itself and closes handles in a later step; here each
 * handle's memory goes in its close callback, so that callers can free at any time, also inside
 * the handle's own callback. One thread.
 */
#include "net/loop_private.h"

#include "base/base.h"
#include "base/env.h"
#include "base/str.h"
#include "base/time.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

struct kt_loop {
	uv_loop_t uv;
	/* Both run the queue: before the loop sleeps, and after input was read. */
	uv_prepare_t prepare;
	uv_check_t check;
	/*
	 * Active exactly while the queue is not empty. An active idle handle makes libuv poll
	 * without blocking, and being referenced it keeps kt_loop_run() from ending early.
	 */
	uv_idle_t idle;
	struct kt_defer *head;
	struct kt_defer **tail;
	struct kt_slice *slices;
	struct kt_slice **slices_tail;
	struct kt_defer slice_round; /* queued while there are slices */
	uint64_t round; /* grows each time that input was read */
	struct kt_loop_works *works; /* of work.c, which knows their shape */
	uv_work_t first_work;
};

struct kt_timer {
	uv_timer_t uv;
	struct kt_loop *loop;
	uint64_t round; /* in which it was started, or fired last */
	kt_loop_fn fn;
	void *arg;
};

struct kt_signal {
	uv_signal_t uv;
	void (*fn)(void *arg, int signum);
	void *arg;
};

/* What all slices take at a time, and one of them more: nobody notices. */
#define SLICES_US 2000

/* Marks this module's handles, whose memory must go when kt_loop_free() closes what is left. */
enum handle_kind { HANDLE_TIMER = 0x6b74, HANDLE_SIGNAL };

static void on_idle(uv_idle_t *h)
{
	(void)h; /* it only keeps poll from blocking */
}

static void run_queue(struct kt_loop *loop)
{
	/*
	 * What the callbacks queue goes behind the mark and into the next round, after more input
	 * was read: two objects that wake each other must not starve the network.
	 */
	struct kt_defer mark = { .fn = NULL, .arg = NULL, .next = NULL, .queued = true };
	*loop->tail = &mark;
	loop->tail = &mark.next;
	while (loop->head != &mark) {
		struct kt_defer *d = loop->head;
		loop->head = d->next;
		d->next = NULL;
		d->queued = false;
		d->fn(d->arg);
	}
	loop->head = mark.next;
	if (loop->head == NULL) {
		loop->tail = &loop->head;
		(void)uv_idle_stop(&loop->idle);
	}
}

static void on_prepare(uv_prepare_t *h)
{
	run_queue(h->data);
}

static void on_check(uv_check_t *h)
{
	struct kt_loop *loop = h->data;
	loop->round++;
	run_queue(loop);
}

/* A part of the slices; the rest in the next round. */
static void run_slices(void *arg)
{
	struct kt_loop *loop = arg;
	int64_t until = kt_mono_us() + SLICES_US;
	/* One that queues itself anew has this called again, whether or not any is left then. */
	while (loop->slices != NULL) {
		struct kt_slice *s = loop->slices;
		loop->slices = s->next;
		if (loop->slices == NULL)
			loop->slices_tail = &loop->slices;
		s->next = NULL;
		s->queued = false;
		s->fn(s->arg);
		if (kt_mono_us() >= until)
			break;
	}
	if (loop->slices != NULL)
		kt_loop_defer(loop, &loop->slice_round);
}

/*
 * From 1.45 to 1.48 libuv hands epoll_ctl to io_uring and may do it after the descriptor was closed
 * and its number given to another connection, whose events are then lost (libuv issue 4323). It
 * reads the variable once, when the first loop is made; children do not inherit it.
 */
static int init_uv(uv_loop_t *uv)
{
	bool affected = uv_version() >= 0x012d00 && uv_version() < 0x013100;
	bool ours = affected && setenv("UV_USE_IO_URING", "0", 0) == 0;
	int rc = uv_loop_init(uv);

	if (ours)
		(void)unsetenv("UV_USE_IO_URING");
	return rc;
}

static void on_no_work(uv_work_t *req)
{
	(void)req;
}

static void on_no_work_done(uv_work_t *req, int status)
{
	(void)req;
	(void)status;
}

/*
 * libuv reads the number of its threads from the environment when they are first needed, and four
 * are too few for the kinds of work. So they are needed now, while there is no other thread that
 * could read the environment; what the user has set is there again afterwards, for the children.
 */
static void start_threads(struct kt_loop *loop)
{
	static const char name[] = "UV_THREADPOOL_SIZE";
	KT_AUTOFREE char *given = NULL;
	char n[24];

	for (char **e = kt_env_all(); *e && !given; e++) {
		if (kt_str_starts(*e, "UV_THREADPOOL_SIZE="))
			given = kt_strdup(*e + sizeof(name));
	}
	(void)snprintf(n, sizeof(n), "%d", KT_LOOP_THREADS);
	if (setenv(name, n, 1) != 0)
		return; /* fewer threads, and more waiting */
	/* Fails for a missing callback only. */
	kt_assert(uv_queue_work(&loop->uv, &loop->first_work, on_no_work, on_no_work_done) == 0);
	if (given)
		(void)setenv(name, given, 1);
	else
		(void)unsetenv(name);
}

enum kt_code kt_loop_new(struct kt_loop **out, struct kt_err *err)
{
	struct kt_loop *loop = kt_calloc(1, sizeof(*loop));
	loop->tail = &loop->head;
	loop->slices_tail = &loop->slices;
	loop->slice_round = (struct kt_defer){ .fn = run_slices, .arg = loop };
	int rc = init_uv(&loop->uv);
	if (rc < 0) {
		free(loop);
		return kt_fail(err, KT_EIO, -rc, "cannot make an event loop");
	}
	/* These three cannot fail: they only link a structure into the loop. */
	kt_assert(uv_prepare_init(&loop->uv, &loop->prepare) == 0);
	kt_assert(uv_check_init(&loop->uv, &loop->check) == 0);
	kt_assert(uv_idle_init(&loop->uv, &loop->idle) == 0);
	loop->prepare.data = loop;
	loop->check.data = loop;
	kt_assert(uv_prepare_start(&loop->prepare, on_prepare) == 0);
	kt_assert(uv_check_start(&loop->check, on_check) == 0);
	uv_unref((uv_handle_t *)&loop->prepare);
	uv_unref((uv_handle_t *)&loop->check);
	start_threads(loop);
	*out = loop;
	return KT_OK;
}

struct kt_loop_works **kt_loop_works(struct kt_loop *loop)
{
	return &loop->works;
}

static void on_handle_closed(uv_handle_t *h)
{
	/* uv is the first member of both kinds, so this is the whole object. */
	free(h);
}

static void close_left(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (uv_is_closing(h))
		return;
	bool ours = (h->type == UV_TIMER && h->data == (void *)(intptr_t)HANDLE_TIMER) ||
		(h->type == UV_SIGNAL && h->data == (void *)(intptr_t)HANDLE_SIGNAL);
	uv_close(h, ours ? on_handle_closed : NULL);
}

void kt_loop_free(struct kt_loop *loop)
{
	if (loop == NULL)
		return;
	if (loop->works)
		loop->works->on_loop_closing(loop->works);
	uv_walk(&loop->uv, close_left, NULL);
	/* Close callbacks are left to run, and jobs; closed streams' requests end, canceled. */
	(void)uv_run(&loop->uv, UV_RUN_DEFAULT);
	kt_assert(uv_loop_close(&loop->uv) == 0);
	if (loop->works)
		loop->works->on_loop_closed(loop->works);
	free(loop);
}

uv_loop_t *kt_loop_uv(struct kt_loop *loop)
{
	return &loop->uv;
}

void kt_loop_run(struct kt_loop *loop)
{
	(void)uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void kt_loop_stop(struct kt_loop *loop)
{
	uv_stop(&loop->uv);
}

int64_t kt_loop_now_ms(struct kt_loop *loop)
{
	return (int64_t)uv_now(&loop->uv);
}

void kt_loop_defer(struct kt_loop *loop, struct kt_defer *d)
{
	if (d->queued)
		return;
	kt_assert(d->fn != NULL);
	d->queued = true;
	d->next = NULL;
	*loop->tail = d;
	loop->tail = &d->next;
	if (!uv_is_active((uv_handle_t *)&loop->idle) && !uv_is_closing((uv_handle_t *)&loop->idle))
		(void)uv_idle_start(&loop->idle, on_idle);
}

void kt_loop_undefer(struct kt_loop *loop, struct kt_defer *d)
{
	if (!d->queued)
		return;
	struct kt_defer **p = &loop->head;
	while (*p != NULL && *p != d)
		p = &(*p)->next;
	kt_assert(*p == d);
	*p = d->next;
	if (loop->tail == &d->next)
		loop->tail = p;
	d->next = NULL;
	d->queued = false;
}

void kt_loop_slice(struct kt_loop *loop, struct kt_slice *s)
{
	if (s->queued)
		return;
	kt_assert(s->fn != NULL);
	s->queued = true;
	s->next = NULL;
	*loop->slices_tail = s;
	loop->slices_tail = &s->next;
	kt_loop_defer(loop, &loop->slice_round);
}

void kt_loop_unslice(struct kt_loop *loop, struct kt_slice *s)
{
	if (!s->queued)
		return;
	struct kt_slice **p = &loop->slices;
	while (*p != NULL && *p != s)
		p = &(*p)->next;
	kt_assert(*p == s);
	*p = s->next;
	if (loop->slices_tail == &s->next)
		loop->slices_tail = p;
	s->next = NULL;
	s->queued = false;
	if (loop->slices == NULL)
		kt_loop_undefer(loop, &loop->slice_round);
}

static void on_timer(uv_timer_t *h)
{
	struct kt_timer *t = kt_container_of(h, struct kt_timer, uv);
	/*
	 * libuv (before 1.45) goes on with timers until none is due: those that start each other
	 * would keep it from the network.
	 */
	if (t->round == t->loop->round) {
		(void)uv_timer_start(h, on_timer, 1, uv_timer_get_repeat(h));
		return;
	}
	t->round = t->loop->round;
	t->fn(t->arg);
}

struct kt_timer *kt_timer_new(struct kt_loop *loop, kt_loop_fn fn, void *arg)
{
	struct kt_timer *t = kt_calloc(1, sizeof(*t));
	kt_assert(uv_timer_init(&loop->uv, &t->uv) == 0);
	t->uv.data = (void *)(intptr_t)HANDLE_TIMER;
	t->loop = loop;
	t->round = UINT64_MAX;
	t->fn = fn;
	t->arg = arg;
	return t;
}

void kt_timer_start(struct kt_timer *t, int64_t delay_ms, int64_t repeat_ms)
{
	/* libuv counts from the tick's cached time, which is old after long work in this tick. */
	uv_update_time(t->uv.loop);
	t->round = t->loop->round;
	kt_assert(uv_timer_start(&t->uv, on_timer, (uint64_t)KT_MAX(delay_ms, 0),
			  (uint64_t)KT_MAX(repeat_ms, 0)) == 0);
}

void kt_timer_stop(struct kt_timer *t)
{
	(void)uv_timer_stop(&t->uv);
}

bool kt_timer_active(const struct kt_timer *t)
{
	return uv_is_active((const uv_handle_t *)&t->uv);
}

void kt_timer_free(struct kt_timer *t)
{
	if (t == NULL)
		return;
	uv_close((uv_handle_t *)&t->uv, on_handle_closed);
}

static void on_loop_signal(uv_signal_t *h, int signum)
{
	struct kt_signal *s = kt_container_of(h, struct kt_signal, uv);
	s->fn(s->arg, signum);
}

enum kt_code kt_signal_new(struct kt_loop *loop, int signum, void (*fn)(void *arg, int signum),
	void *arg, struct kt_signal **out, struct kt_err *err)
{
	struct kt_signal *s = kt_calloc(1, sizeof(*s));
	int rc = uv_signal_init(&loop->uv, &s->uv);
	if (rc < 0) {
		free(s);
		return kt_fail(err, KT_EIO, -rc, "cannot watch signal %d", signum);
	}
	s->uv.data = (void *)(intptr_t)HANDLE_SIGNAL;
	s->fn = fn;
	s->arg = arg;
	rc = uv_signal_start(&s->uv, on_loop_signal, signum);
	if (rc < 0) {
		uv_close((uv_handle_t *)&s->uv, on_handle_closed);
		return kt_fail(err, KT_EIO, -rc, "cannot watch signal %d", signum);
	}
	uv_unref((uv_handle_t *)&s->uv);
	*out = s;
	return KT_OK;
}

void kt_signal_free(struct kt_signal *s)
{
	if (s == NULL)
		return;
	uv_close((uv_handle_t *)&s->uv, on_handle_closed);
}
