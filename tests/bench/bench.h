/* SPDX-License-Identifier: MIT */
/* What the benchmark programs share: the clock that both ends of a measurement read. */
#ifndef KT_BENCH_H
#define KT_BENCH_H

#include "base/base.h"

#include <time.h>

/* Wall clock in nanoseconds: comparable between the processes of one machine. */
static inline int64_t bench_wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Monotonic clock in microseconds, with the precision of the clock. */
static inline double bench_mono_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Order of doubles, for qsort(). */
static inline int bench_cmp(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

#endif
