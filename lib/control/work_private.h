/* SPDX-License-Identifier: MIT */
/*
 * What publishing, building, activating and sweeping share inside of lib/control: work on the
 * threads, the unpacker, the laid-out trees, a build's own state.
 */
#ifndef KT_CONTROL_WORK_PRIVATE_H
#define KT_CONTROL_WORK_PRIVATE_H

#include "control/control_private.h"
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

/* delivery.c */
enum kt_verdict {
	KT_DELIVERY_NEW,
	KT_DELIVERY_SEEN,
	KT_DELIVERY_OLD,
	KT_DELIVERY_CLOSED, /* old, of a pull request that was closed since */
	KT_DELIVERY_UNPROVEN
};
/* Why nothing is done, "" of a new one. */
const char *kt_verdict_text(enum kt_verdict v);
/* In a write: judge a delivery; a new one is remembered. kt_delivery_end() follows. */
KT_MUST_CHECK enum kt_code kt_delivery_begin(struct kt_tx *tx, struct kt_arena *arena,
	const char *digest, const struct kt_heard_row *now, const char *before,
	enum kt_verdict *out, struct kt_err *err);
/* It was worked on, or failed and may come again. */
KT_MUST_CHECK enum kt_code kt_delivery_end(struct kt_tx *tx, const char *digest,
	const struct kt_heard_row *now, bool done, struct kt_err *err);

/* Run work as a write (or read) of the store with op as its argument; then done(op, ...). */
void kt_op_store(struct kt_op *op, bool write, kt_tx_fn work, kt_tx_done_fn done);

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

/* --- trees (layout.c) -------------------------------------------------------------------- */

/* "DATA/releases/ORG/DIGEST"; the caller's. */
KT_MUST_CHECK char *kt_layout_path(
	const struct kt_control *ctl, const char *org_id, const char *digest);
/* It is there and complete. One system call. */
bool kt_layout_ready(const struct kt_control *ctl, const char *org_id, const char *digest);
/*
 * Make the tree of a manifest from blobs, unless it is there. Blocking; on any thread; several at
 * once may make the same. Nothing is synced: what a power cut leaves has no marker and is made
 * again. Returns KT_OK, KT_ENOTFOUND (a blob is gone), KT_EPROTO (damaged) or KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_layout_make(
	const struct kt_control *ctl, const char *org_id, const char *digest, struct kt_err *err);
/*
 * Take the tree away from its name at once (few system calls); what is left under *out_path (the
 * caller's, NULL when there was none) is to be removed by a worker.
 */
void kt_layout_drop(
	const struct kt_control *ctl, const char *org_id, const char *digest, char **out_path);
/* Read and parse a manifest: KT_ENOTFOUND, KT_EPROTO, KT_EIO. kt_manifest_free(). Blocking. */
KT_MUST_CHECK enum kt_code kt_layout_read_manifest(struct kt_blobs *blobs, const char *org_id,
	const char *digest, struct kt_manifest **out, struct kt_err *err);
/* The manifest of a digest. As kt_layout_make(). */
KT_MUST_CHECK enum kt_code kt_layout_manifest(const struct kt_control *ctl, const char *org_id,
	const char *digest, struct kt_manifest **out, struct kt_err *err);

/* --- builds ------------------------------------------------------------------------------ */

struct kt_build_line {
	const char *level;
	const char *text;
	struct kt_build_line *next;
};

/* What one build finds out; in its arena. */
struct kt_build_work {
	int64_t n_new; /* files that came with the publish; -1 = not known */
	const char *expected; /* commit that the ref has to have, "" = none, NULL = any */
	bool started;
	size_t pending; /* steps on their way */
	bool canceled; /* its project is gone */
	/* By the worker. */
	const char *fixed_harness; /* of the project, or NULL */
	struct kt_build_line *lines, **tail;
	const char *code; /* of the problem, NULL = none */
	const char *problem; /* one line */
	const char *findings; /* several lines, or NULL */
	const char *harness, *kind, *image_ref;
	/* By the transaction. */
	struct kt_project_row project;
	struct kt_release_row settled; /* the row as it was committed */
	bool activated;
	bool unpinned;
	const char *held; /* by what it was not: kt_pinned_text(), or NULL */
	struct kt_release_row moved; /* a later release took its place; id NULL = none */
	const char *replaced_by; /* that one, or one that has its configuration; NULL = none */
};

/* What is to become of a build; what its row does not hold. */
struct kt_build_aim {
	bool activate; /* else ready */
	bool unpin; /* when it becomes active */
	const char *expected; /* commit that the ref has to have, "" = none, NULL = any */
};
/* As kt_build_start() with what a publish knows besides. n_new: of its files, -1 = not known. */
void kt_build_begin(struct kt_control *ctl, struct kt_project_mem *p,
	const struct kt_release_row *row, const struct kt_build_aim *aim, const struct kt_op *by,
	int64_t n_new);
/* Remember what the row does not hold, for a build that a crash interrupts. Blocking. */
KT_MUST_CHECK enum kt_code kt_build_note(struct kt_control *ctl, const char *release_id,
	const struct kt_build_aim *aim, struct kt_err *err);
void kt_build_unnote(struct kt_control *ctl, const char *release_id);
/* What the note says, else what is so without one; expected in arena. Blocking. */
void kt_build_read_note(struct kt_control *ctl, struct kt_arena *arena, const char *release_id,
	struct kt_build_aim *out);
/* Notes of builds that are not taken up: their transaction was never committed, or is done.
 * Blocking. */
void kt_build_drop_notes(struct kt_control *ctl);
/* Worker: look at the laid-out application; lines and problem are in b's work. */
KT_MUST_CHECK enum kt_code kt_build_check(struct kt_build *b, struct kt_err *err);
/* A line that a worker found. */
void kt_build_line(struct kt_build *b, const char *level, const char *fmt, ...) KT_PRINTF(3, 4);
/* b has ended: last event, waiters, lingering. b->row is final. */
void kt_build_over(struct kt_build *b);
void kt_build_free(struct kt_build *b);
/* buildlog.c: open its log. */
KT_MUST_CHECK enum kt_code kt_build_open_log(struct kt_build *b, struct kt_err *err);
/* preview.c: end those whose time is over. */
void kt_previews_sweep(struct kt_control *ctl);
/* sweep.c: collect trees (or blobs) now, unless something is being collected. For tests. */
void kt_releases_collect(struct kt_control *ctl, bool blobs);
/* Give back what is open, and forget how many sessions there are. */
void kt_opened_free(struct kt_control *ctl);
/* Sessions run on it, somebody holds it, or it is being built. On the loop. */
bool kt_release_used(const struct kt_control *ctl, const char *release_id);
/* Copy of a row with all its strings. */
struct kt_release_row *kt_release_copy(struct kt_arena *arena, const struct kt_release_row *row);
/* Answer op with the release object and what the outcome adds; or with the problem it failed with.
 */
void kt_release_answer(struct kt_op *op, const struct kt_project_mem *p,
	const struct kt_release_row *row, const struct kt_build *b);
/*
 * The release a caller names, "v7", an id or "current", of project p. Returns KT_ENOTFOUND (word
 * `release_not_found`).
 */
KT_MUST_CHECK enum kt_code kt_release_find(struct kt_tx *tx, struct kt_op *op,
	const struct kt_project_row *p, const char *word, struct kt_release_row *out,
	struct kt_err *err);
/* The project of a caller's word in a transaction. KT_ENOTFOUND (word `project_not_found`). */
KT_MUST_CHECK enum kt_code kt_project_find(struct kt_tx *tx, struct kt_op *op, const char *ref,
	struct kt_project_row *out, struct kt_err *err);
/* Make op's answer that of POST .../deploys, with its status and ETag. */
KT_MUST_CHECK enum kt_code kt_deploy_answer(struct kt_tx *tx, struct kt_op *op,
	const struct kt_project_row *project, const struct kt_release_row *row, struct kt_err *err);
/* Next version of project p as a release of the code of `from`; adds row and audit entry. */
KT_MUST_CHECK enum kt_code kt_release_again(struct kt_tx *tx, struct kt_op *op,
	struct kt_project_row *p, const struct kt_release_row *from, const char *source,
	const char *message, struct kt_release_row *out, struct kt_err *err);

/* --- the pin (pin.c) --------------------------------------------------------------------- */

struct kt_pinned {
	const char *reason; /* NULL = none */
	const char *by; /* or NULL */
	int64_t since_us; /* 0 = not known */
	int64_t version; /* that is held */
};
/* That of p, copied into arena. */
void kt_pinned_of(const struct kt_project_mem *p, struct kt_arena *arena, struct kt_pinned *out);
/* "held at v1 by admin, pinned 2 hours ago: rollback to v1". In arena. */
const char *kt_pinned_text(struct kt_arena *arena, const struct kt_pinned *pin);
/* The reason as it is kept, in arena; NULL for none. */
const char *kt_pinned_reason(struct kt_op *op, const char *reason);
/* Pin the row, or let it go, for op. The caller puts the row. */
void kt_pinned_set(const struct kt_op *op, struct kt_project_row *p, const char *reason);
/* As DELETE .../pin does: the row, and the audit entry. Nothing when there is no pin. */
KT_MUST_CHECK enum kt_code kt_pinned_end(
	struct kt_tx *tx, struct kt_op *op, struct kt_project_row *p, struct kt_err *err);
/* KT_OK, or KT_ECONFLICT with the problem `pinned`. */
KT_MUST_CHECK enum kt_code kt_pinned_check(
	struct kt_tx *tx, struct kt_op *op, const struct kt_project_row *p, struct kt_err *err);
/* The problem `pinned`; KT_ECONFLICT. */
KT_MUST_CHECK enum kt_code kt_pinned_refuse(
	struct kt_op *op, const struct kt_pinned *pin, struct kt_err *err);
/* KT_OK, or KT_EDENIED: only admins end a pin. */
KT_MUST_CHECK enum kt_code kt_pinned_may_end(struct kt_op *op, struct kt_err *err);

/* --- env of one release ------------------------------------------------------------------ */

/*
 * The JSON object of sealed values that a release row holds, from a doc's {"NAME": "value"}; NULL
 * for none. In arena. Returns KT_OK, KT_EINVAL or KT_ELIMIT.
 */
KT_MUST_CHECK enum kt_code kt_env_seal(const struct kt_control *ctl, struct kt_arena *arena,
	const char *org_id, const cJSON *env, const char **out, struct kt_err *err);
/*
 * Such an object (or NULL) without the variables that drop() names; NULL when none is left. In
 * arena. *out_any: there was one.
 */
KT_MUST_CHECK enum kt_code kt_env_without(struct kt_arena *arena, const char *sealed,
	bool (*drop)(void *arg, const char *name), void *arg, const char **out, bool *out_any,
	struct kt_err *err);
/* Call fn for each value of such an object. */
KT_MUST_CHECK enum kt_code kt_env_unseal(const struct kt_master *master, const char *org_id,
	const char *sealed, void (*fn)(void *arg, const char *name, const char *value), void *arg,
	struct kt_err *err);

/* credential.c */

/* Add the names of a release's own variables (its `env`) to names; false when it is damaged. */
bool kt_release_names(struct kt_map *names, const char *env);

#endif
