/* SPDX-License-Identifier: MIT */
/*
 * Reading one large line beside the loop. The driver runs on a thread, as on the loop: it is a
 * state machine that knows nothing but its lines. What it causes is written down and played to its
 * sink on the loop, a little in each tick. Until then the driver is not to be called. For
 * harness_line.c only.
 */
#ifndef KT_HARNESS_ASIDE_H
#define KT_HARNESS_ASIDE_H

#include "harness/driver.h"
#include "net/loop.h"

struct kt_aside;

/* Who has the driver otherwise. */
struct kt_aside_owner {
	kt_loop_fn over; /* on the loop: all was played; it may free */
	kt_loop_fn enter, leave; /* around calls of the sink */
	void *arg;
};

/* Let d read the line (TAKES it). org: who has to wait for whom. */
KT_MUST_CHECK struct kt_aside *kt_aside_new(struct kt_loop *loop, const char *org,
	struct kt_driver *d, char *line, size_t len, const struct kt_aside_owner *owner);
/* Wait for the thread, play everything now, and free. over() is not called any more. */
void kt_aside_finish(struct kt_aside *a);
/* Give it up, waiting for a thread that is at it; over() is not called any more. NULL is fine. */
void kt_aside_free(struct kt_aside *a);

#endif
