/* SPDX-License-Identifier: MIT */
/*
 * Releases: from what was published over the build to a tree that is laid out and run, until
 * nothing needs it any more.
 */
#ifndef KT_CONTROL_RELEASE_PRIVATE_H
#define KT_CONTROL_RELEASE_PRIVATE_H

#include "control/project/project_private.h"

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

/*
 * A release on its way through queue, layout, check and activation. The row is in the database
 * (queued) when a build exists; its log is builds/REL_ID.log.
 */
struct kt_build {
	struct kt_control *ctl;
	struct kt_project_mem *project;
	char release_id[KT_ID_MAX];
	int64_t version;
	struct kt_arena *arena;
	struct kt_release_row *row; /* in arena */
	struct kt_op *op; /* who asked (copied actor), for the audit row; own copy */
	bool over;
	int64_t started_ms;
	struct kt_evlog *log;
	struct kt_timer *linger; /* after the end */
	struct kt_vec waiters; /* struct kt_op * of kt_control_release_wait() */
	void *work; /* build.c's */
};
/* A line of a build's log (also into the project's log). level "info", "warn", "error". */
void kt_build_say(struct kt_build *b, const char *level, const char *fmt, ...) KT_PRINTF(3, 4);
/*
 * Start (or queue) the build of a release whose row is committed; by: who asked, or NULL. n_new: of
 * its files, -1 = not known.
 */
void kt_build_begin(struct kt_control *ctl, struct kt_project_mem *p,
	const struct kt_release_row *row, const struct kt_op *by, int64_t n_new);
/*
 * note.c: what an older version wrote beside the rows of builds that it did not end: into those
 * rows and the database; then its files go. Blocking, at start-up.
 */
KT_MUST_CHECK enum kt_code kt_notes_adopt(struct kt_control *ctl, struct kt_arena *arena,
	struct kt_release_row *rows, size_t n, struct kt_err *err);
/* Worker: look at the laid-out application; lines and problem are in b's work. */
KT_MUST_CHECK enum kt_code kt_build_check(struct kt_build *b, struct kt_err *err);
/* b has ended: last event, waiters, lingering. b->row is final. */
void kt_build_over(struct kt_build *b);
void kt_build_free(struct kt_build *b);
/* buildlog.c: open its log. */
KT_MUST_CHECK enum kt_code kt_build_open_log(struct kt_build *b, struct kt_err *err);
/* Recover what a crash left (direct.c calls it when the index is there). */
KT_MUST_CHECK enum kt_code kt_builds_recover(struct kt_control *ctl, struct kt_err *err);
/*
 * Two steps of the end. kt_builds_stop(), when `closing` is set and the store and the blobs are
 * still open: end unpackers, wait for workers; what they worked for is answered with KT_EUNAVAIL,
 * builds stay in the database as they are (taken up at the next start). kt_builds_free(), when the
 * store is closed and before the index goes: free builds, their logs and opened releases.
 */
void kt_builds_stop(struct kt_control *ctl);
void kt_builds_free(struct kt_control *ctl);
/*
 * p is being deleted (its rows are gone): end its builds, answer their waiters (404), close their
 * logs. A build that a worker still runs may stay in p->builds until the worker ended; p stays in
 * memory as long (p->deleted is set), but nothing of it is written any more.
 */
void kt_builds_cancel(struct kt_control *ctl, struct kt_project_mem *p);
/* True when as many builds of p wait as may; op is answered then. */
bool kt_builds_full(struct kt_op *op, const struct kt_project_mem *p);
/* Something that would become this preview is queued or being built. On the loop. */
bool kt_preview_building(const struct kt_project_mem *p, const char *label);

/* --- publishing (publish.c) ----------------------------------------------------------------- */

/*
 * Publish a whole archive (github.c): as kt_control_publish() with these members and no document.
 */
struct kt_publish_meta {
	const char *commit_sha, *ref, *message, *source;
	int64_t pr;
	bool fork;
	bool no_activate, unpin;
	bool as_deploy; /* answer as POST .../deploys does */
};
void kt_publish_archive(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *body_path, const struct kt_publish_meta *meta, const struct kt_precond *pre,
	kt_result_fn fn, void *arg);

/* --- rows and what they lead to ------------------------------------------------------------- */

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
/* Make op's answer that of POST .../deploys, with its status and ETag. */
KT_MUST_CHECK enum kt_code kt_deploy_answer(struct kt_tx *tx, struct kt_op *op,
	const struct kt_project_row *project, const struct kt_release_row *row, struct kt_err *err);
/* What a release becomes of which this was asked. */
enum kt_release_aim kt_release_aim(bool activate, bool unpin);
/* Next version of project p as a release of the code of `from`; adds row and audit entry. */
KT_MUST_CHECK enum kt_code kt_release_again(struct kt_tx *tx, struct kt_op *op,
	struct kt_project_row *p, const struct kt_release_row *from, enum kt_release_aim aim,
	const char *source, const char *message, struct kt_release_row *out, struct kt_err *err);
/*
 * pointer.c: in a transaction, the pointer of p goes to `to`, a release of p that is not live; what
 * it led to before is superseded and in *out_old (strings in arena), whose id is NULL when that was
 * nothing. *p and *to are changed; to write them is the caller's, with what else changes.
 */
KT_MUST_CHECK enum kt_code kt_pointer_move(struct kt_tx *tx, struct kt_arena *arena,
	struct kt_project_row *p, struct kt_release_row *to, int64_t now_us,
	struct kt_release_row *out_old, struct kt_err *err);
/* After COMMIT, on the loop: the index takes the project, and what is live now (NULL: as before). */
struct kt_project_mem *kt_pointer_moved(
	struct kt_control *ctl, const struct kt_project_row *p, const struct kt_release_row *to);
/* Give back what is open, and forget how many sessions there are. */
void kt_opened_free(struct kt_control *ctl);
/* Sessions run on it, somebody holds it, or it is being built. On the loop. */
bool kt_release_used(const struct kt_control *ctl, const char *release_id);
/* Sweep: expired previews, files of releases that nothing uses, blobs nobody names. */
void kt_releases_sweep(struct kt_control *ctl);

#endif
