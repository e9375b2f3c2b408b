/* SPDX-License-Identifier: MIT */
/*
 * The loop: one thread owns everything that moves. A thin layer over libuv that hides its
 * asynchronous closing (handles free themselves) and adds "run this at the end of the tick", on
 * which the coalescing of events rests. All functions are for the loop's thread.
 */
#ifndef KT_NET_LOOP_H
#define KT_NET_LOOP_H

#include "base/err.h"

#include <uv.h>

struct kt_loop;
struct kt_timer;
struct kt_signal;

/* A callback; may free the object that called it. */
typedef void (*kt_loop_fn)(void *arg);

/* New loop, kt_loop_free() ends it. */
KT_MUST_CHECK enum kt_code kt_loop_new(struct kt_loop **out, struct kt_err *err);
/* Close what is left, run until closed, free. NULL is fine. */
void kt_loop_free(struct kt_loop *loop);
/* The libuv loop, for modules with handles of their own. BORROWS. */
uv_loop_t *kt_loop_uv(struct kt_loop *loop);
/* Run until kt_loop_stop() or nothing is left to wait for. */
void kt_loop_run(struct kt_loop *loop);
/* Make kt_loop_run() return after this tick. */
void kt_loop_stop(struct kt_loop *loop);
/* Milliseconds of the loop's monotonic clock (cached once a tick). */
int64_t kt_loop_now_ms(struct kt_loop *loop);

/*
 * Call fn(arg) once at the end of this tick, after all input that is ready was read and before the
 * loop sleeps. Calls made while the queue runs go into the next round of the same tick.
 */
struct kt_defer {
	kt_loop_fn fn;
	void *arg;
	struct kt_defer *next;
	bool queued;
};
/*
 * d lives in the caller's object and is queued at most once; kt_loop_undefer() before freeing it.
 */
void kt_loop_defer(struct kt_loop *loop, struct kt_defer *d);
void kt_loop_undefer(struct kt_loop *loop, struct kt_defer *d);

/*
 * Call fn(arg) once when it is its turn: for work that goes on in pieces of a millisecond or so.
 * Whoever queues more goes behind the others. However many there are, all of them together take
 * some milliseconds at a time, and between these the loop does everything else.
 */
struct kt_slice {
	kt_loop_fn fn;
	void *arg;
	struct kt_slice *next;
	bool queued;
};
/* As above; kt_loop_unslice() before freeing it. */
void kt_loop_slice(struct kt_loop *loop, struct kt_slice *s);
void kt_loop_unslice(struct kt_loop *loop, struct kt_slice *s);

/* New stopped timer; it keeps the loop running only while started. */
KT_MUST_CHECK struct kt_timer *kt_timer_new(struct kt_loop *loop, kt_loop_fn fn, void *arg);
/*
 * Fire after delay_ms, then every repeat_ms (0 = once), but once at most before input is read
 * again. Restarts a running timer.
 */
void kt_timer_start(struct kt_timer *t, int64_t delay_ms, int64_t repeat_ms);
void kt_timer_stop(struct kt_timer *t);
bool kt_timer_active(const struct kt_timer *t);
/* Stop and free; NULL is fine; may be called from the timer's own callback. */
void kt_timer_free(struct kt_timer *t);

/* Call fn(arg, signum) on the loop for each signal. Does not keep the loop running. */
KT_MUST_CHECK enum kt_code kt_signal_new(struct kt_loop *loop, int signum,
	void (*fn)(void *arg, int signum), void *arg, struct kt_signal **out, struct kt_err *err);
void kt_signal_free(struct kt_signal *s);

#endif
