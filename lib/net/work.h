/* SPDX-License-Identifier: MIT */
/*
 * Work beside the loop: the one way to hand something to a thread and come back.
 *
 * There are some kinds, each with threads of its own, so that what takes long never keeps what is
 * short from a thread. Of each kind the organizations take turns: a hundred jobs of one do not
 * delay another's one by more than the job that runs. What waits is bounded in jobs and in bytes,
 * for each organization and for all. All functions are for the loop's thread.
 */
#ifndef KT_NET_WORK_H
#define KT_NET_WORK_H

#include "net/loop.h"

#include <stdatomic.h>

enum kt_work_kind {
	KT_WORK_DISK, /* one sync to the disk */
	KT_WORK_SHORT, /* reading what a client sent, looking at a few files: well below a second */
	KT_WORK_LONG, /* publishes, trees, scans: as long as the limits of a release allow */
	KT_WORK_PACK, /* archives for clients, as many as they ask for */
	KT_WORK_STRANGER, /* whose signature, of all that may be: nobody has signed for it yet */
	KT_WORK_KINDS,
};

struct kt_work_slot;
struct kt_work_tenant;

/* One job, in the caller's object. The caller sets the first three, the rest is zero. */
struct kt_work {
	void (*run)(struct kt_work *w); /* on a thread */
	void (*done)(struct kt_work *w); /* on the loop, once, in a later tick; may free w */
	size_t bytes; /* of memory that it holds while it waits and runs */
	atomic_bool canceled; /* run() may look, and give up */
	/* Inside: */
	enum kt_work_kind kind;
	struct kt_work_tenant *tenant; /* NULL when it is not here (any more) */
	struct kt_work_slot *slot; /* NULL until a thread has it */
	struct kt_work *next;
};

/*
 * Queue a job of an organization (any word that names who has to wait for whom). KT_ELIMIT: too
 * much waits already, and w is the caller's again.
 */
KT_MUST_CHECK enum kt_code kt_work_start(struct kt_loop *loop, enum kt_work_kind kind,
	const char *org, struct kt_work *w, struct kt_err *err);
/* Whether kt_work_start() would take a job of so many bytes now: before they are copied. */
KT_MUST_CHECK enum kt_code kt_work_room(
	struct kt_loop *loop, const char *org, size_t bytes, struct kt_err *err);
/* Queue a job that was admitted before, by a bound of its own; "" is the server's own. */
void kt_work_add(struct kt_loop *loop, enum kt_work_kind kind, const char *org, struct kt_work *w);
/*
 * Give a job up. True: no thread had it, done() is not called and w is the caller's again. False:
 * it runs, with `canceled` set; done() is called as ever.
 */
KT_MUST_CHECK bool kt_work_cancel(struct kt_loop *loop, struct kt_work *w);
/*
 * For the end of the server: give a job up, and wait for its thread when one has it. done() is not
 * called. Returns whether it ran.
 */
bool kt_work_end(struct kt_loop *loop, struct kt_work *w);

#endif
