/* SPDX-License-Identifier: MIT */
/*
 * Reading one large line beside the loop, or the files for a prompt. The driver runs on a thread,
 * as on the loop: it is a state machine that knows nothing but its lines. What it causes is written
 * down and played to its sink on the loop, a little in each tick. Until then the driver is not to
 * be called. For harness_line.c only.
 */
#ifndef KT_HARNESS_ASIDE_PRIVATE_H
#define KT_HARNESS_ASIDE_PRIVATE_H

#include "harness/driver.h"
#include "net/loop.h"

struct kt_aside;

/*
 * Bytes that reading a line of len may take: the line, the strings of its tree, and what it causes.
 * The values of the tree (KT_MAX_LINE_VALUES) come besides: two threads have one each at most.
 */
size_t kt_aside_cost(size_t len);

/* Who has the driver otherwise. */
struct kt_aside_owner {
	kt_loop_fn over; /* on the loop: all was played; it may free */
	kt_loop_fn enter, leave; /* around calls of the sink */
	void *arg;
};

/*
 * Let d read the line (TAKES it). org: who has to wait for whom. What would cause more than
 * kt_aside_cost() allows for is refused as a line that is too large.
 */
KT_MUST_CHECK struct kt_aside *kt_aside_new(struct kt_loop *loop, const char *org,
	struct kt_driver *d, char *line, size_t len, const struct kt_aside_owner *owner);
/* Let d take the prompt, which is copied. */
KT_MUST_CHECK struct kt_aside *kt_aside_prompt(struct kt_loop *loop, const char *org,
	struct kt_driver *d, const struct kt_prompt *p, const struct kt_aside_owner *owner);
/* Whether the driver is its thread's still. */
bool kt_aside_has_driver(const struct kt_aside *a);
/* Bytes that it has just now. */
size_t kt_aside_bytes(const struct kt_aside *a);
/* Wait for the thread, play everything now, and free. over() is not called any more. */
void kt_aside_finish(struct kt_aside *a);
/* Give it up, waiting for a thread that is at it; over() is not called any more. NULL is fine. */
void kt_aside_free(struct kt_aside *a);

#endif
