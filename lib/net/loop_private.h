/* SPDX-License-Identifier: MIT */
/* Inside of lib/net only: what the loop keeps for its neighbours. */
#ifndef KT_NET_LOOP_PRIVATE_H
#define KT_NET_LOOP_PRIVATE_H

#include "net/loop.h"

struct kt_works_of_loop;

/* Where work.c keeps the jobs of this loop; NULL in it until there is one. */
struct kt_works_of_loop **kt_loop_works(struct kt_loop *loop);
/* work.c: the loop ends; jobs may still run. NULL is fine. */
void kt_works_of_loop_close(struct kt_works_of_loop *all);
/* work.c: free it, when all jobs are over; NULL is fine. */
void kt_works_of_loop_free(struct kt_works_of_loop *all);
/* work.c: how many threads the kinds of work have together. */
size_t kt_work_threads(void);

#endif
