/* SPDX-License-Identifier: MIT */
/*
 * A bell: a socket in a folder with which another process of the same user, or of root, tells a
 * server to look again at what that process has changed there. Nothing is said with it, and it
 * gives no rights: who rings can only make the server look.
 */
#ifndef KT_NET_BELL_H
#define KT_NET_BELL_H

#include "base/err.h"
#include "net/loop.h"

struct kt_bell;

/*
 * Hang up the bell dir/name; what is left there of an earlier one is replaced. fn is called on the
 * loop for one who rings, or several; they wait for kt_bell_answer(). Does not keep the loop
 * running.
 */
KT_MUST_CHECK enum kt_code kt_bell_new(struct kt_loop *loop, const char *dir, const char *name,
	kt_loop_fn fn, void *arg, struct kt_bell **out, struct kt_err *err);
/*
 * It was looked: tell those who had rung before fn was called. Who has rung since then has fn
 * called again, at the end of the tick. Not `done`: they are told that it did not work.
 */
void kt_bell_answer(struct kt_bell *bell, bool done);
/* Take it down. NULL is fine; not inside fn. */
void kt_bell_free(struct kt_bell *bell);

/*
 * Ring, and wait for the answer. Blocks. Returns KT_OK (it was looked since), KT_ENOTFOUND (nobody
 * is there), KT_ETIMEOUT, KT_EUNAVAIL (it did not work there) or KT_EDENIED.
 */
KT_MUST_CHECK enum kt_code kt_bell_ring(
	const char *dir, const char *name, int timeout_ms, struct kt_err *err);

#endif
