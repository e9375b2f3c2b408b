/* SPDX-License-Identifier: MIT */
/* Work beside the loop: on threads, and in a process that unpacks. */
#ifndef KT_CONTROL_TASK_PRIVATE_H
#define KT_CONTROL_TASK_PRIVATE_H

#include "control/core/index_private.h"
#include "net/work.h"

/* --- work beside the loop (task.c) ------------------------------------------------------- */

struct kt_task;
struct kt_unpack;

struct kt_works {
	struct kt_control *ctl;
	struct kt_task *tasks; /* queued or running */
	struct kt_vec unpacks; /* struct kt_unpack * */
	char unpacked_last[KT_ID_MAX]; /* the organization that got the last process */
	struct kt_unpack *ahead; /* started, without a job; or NULL */
	bool stopped;
	bool sweeping; /* trees or blobs are being looked through */
	int64_t trees_due_ms, blobs_due_ms; /* loop time */
	struct kt_map arrived; /* int64_t by organization and digest: see publish.c */
};
/* Free what such a map holds, and empty it. */
void kt_works_forget(struct kt_map *numbers);

struct kt_works *kt_works_get(struct kt_control *ctl);

/* On a worker's thread. */
typedef enum kt_code (*kt_task_fn)(void *arg, struct kt_err *err);
/* On the loop. KT_ECANCEL: the server ends, work may not have been called. */
typedef void (*kt_task_done_fn)(void *arg, enum kt_code rc, const struct kt_err *err);
struct kt_task_for {
	const char *org_id; /* "": the server itself */
	enum kt_work_kind kind;
	size_t bytes; /* held meanwhile */
	bool admitted; /* by another bound: it is never refused */
};
/*
 * Run work(arg) on a thread when it is the organization's turn, then done(arg, ...) once on the
 * loop, in a later tick; with KT_EUNAVAIL when too much of the organization waits.
 */
void kt_task_run(struct kt_control *ctl, const struct kt_task_for *who, kt_task_fn work,
	kt_task_done_fn done, void *arg);

/* Drop the tasks that have not begun, and wait for the others; w->stopped is set. */
void kt_tasks_stop(struct kt_works *w);

/* disk.c: something of the server's own failed, perhaps because of the disk. */
void kt_disk_note(struct kt_control *ctl, const struct kt_err *err);

/* --- the one-shot unpacker (unpack.c) ---------------------------------------------------- */

/* On the loop, once. err is empty when rc is KT_OK. */
typedef void (*kt_unpack_fn)(
	void *arg, enum kt_code rc, const struct kt_unpacked *u, const struct kt_err *err);
/* Start the process of the next kt_unpack_start() now; it waits some seconds. For who will push. */
void kt_unpack_ahead(struct kt_control *ctl);
/*
 * Unpack archive into the empty folder staging in a process of its own, when it is the
 * organization's turn. KT_EUNAVAIL: too many of it wait.
 */
void kt_unpack_start(struct kt_control *ctl, const char *org_id, const char *archive,
	const char *staging, kt_unpack_fn fn, void *arg);
/* Kill it and answer KT_ECANCEL. */
void kt_unpacks_stop(struct kt_works *w);

#endif
