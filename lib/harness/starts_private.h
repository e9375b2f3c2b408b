/* SPDX-License-Identifier: MIT */
/*
 * First starts, one at a time. A harness that makes its database when it starts for the first time
 * fails when two of them make the same one (OpenCode: "table already exists", "database is
 * locked"). So where the file that the first start makes is not there yet, others wait until that
 * start is over. Other servers and programs are not seen here. On the loop.
 */
#ifndef KT_HARNESS_STARTS_PRIVATE_H
#define KT_HARNESS_STARTS_PRIVATE_H

#include "base/vec.h"

/* Starts on the way; zeroed, it holds nothing, and it holds nothing when no start is on the way. */
struct kt_starts {
	struct kt_vec list; /* struct start */
};

/*
 * `who` wants to start, and its first start makes `file`. True: now. False: it waits, and go(who)
 * is called when it is its turn; then it asks again. kt_starts_end() must follow in either case.
 */
bool kt_starts_begin(struct kt_starts *s, const char *file, void *who, void (*go)(void *who));
/* The start of `who` is over, well or not, or is not wanted any more. */
void kt_starts_end(struct kt_starts *s, void *who);

#endif
