/* SPDX-License-Identifier: MIT */
/*
 * A table of due times with one timer for the earliest, which exists only while something is due:
 * an idle session costs no timer. For harness.c only.
 */
#ifndef KT_HARNESS_DUES_PRIVATE_H
#define KT_HARNESS_DUES_PRIVATE_H

#include "net/loop.h"

enum { KT_DUES = 8 };

struct kt_dues {
	struct kt_loop *loop;
	void (*fn)(void *arg); /* when the first is due, or a little before: it looks */
	void *arg;
	int64_t at_ms[KT_DUES]; /* loop time, 0 = not due */
	struct kt_timer *timer; /* NULL while nothing is due */
	int64_t timer_ms; /* when it fires */
};

/* `which` is due after delay_ms. */
void kt_dues_set(struct kt_dues *d, size_t which, int64_t delay_ms);
void kt_dues_clear(struct kt_dues *d, size_t which);
/* at_ms was changed: set the timer anew, or free it. */
void kt_dues_schedule(struct kt_dues *d);

#endif
