/* SPDX-License-Identifier: MIT */
/* Inside of lib/net only: what the loop keeps for its neighbours. */
#ifndef KT_NET_LOOP_PRIVATE_H
#define KT_NET_LOOP_PRIVATE_H

#include "base/limits.h"
#include "net/loop.h"

/* Threads beside the loop: as many as its neighbours take, which work.c asserts. */
#define KT_LOOP_THREADS 12

/* The jobs of a loop, as far as the loop sees them. */
struct kt_loop_works {
	void (*on_loop_closing)(struct kt_loop_works *works); /* jobs may still run */
	void (*on_loop_closed)(struct kt_loop_works *works); /* all jobs are over: free it */
};

/* Where work.c keeps the jobs of this loop; NULL in it until there is one. */
struct kt_loop_works **kt_loop_works(struct kt_loop *loop);

#endif
