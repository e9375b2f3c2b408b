/* SPDX-License-Identifier: MIT */
/* Projects: their rows, folders, pins, previews and logs. */
#ifndef KT_CONTROL_PROJECT_PRIVATE_H
#define KT_CONTROL_PROJECT_PRIVATE_H

#include "control/core/op_private.h"
#include "control/core/seal_private.h"
#include "control/core/task_private.h"

/* --- projects (projects.c) --------------------------------------------------------------- */

/*
 * May op make a project of this name: grammar, number of projects. On the loop,
 * before kt_project_add(). Returns KT_OK or the problem (word and status are set in op).
 */
KT_MUST_CHECK enum kt_code kt_project_new_check(
	struct kt_op *op, const char *slug, struct kt_err *err);
/*
 * Add a project with a free host label and its audit row ("project.create"), in op's transaction;
 * *out is in op's arena. Returns KT_ECONFLICT (word `project_exists`) when the slug is taken. When
 * the transaction is committed: kt_index_project_put().
 */
KT_MUST_CHECK enum kt_code kt_project_add(struct kt_tx *tx, struct kt_op *op, const char *slug,
	const char *dir, struct kt_project_row *out, struct kt_err *err);
/* The project of a caller's word in a transaction. KT_ENOTFOUND (word `project_not_found`). */
KT_MUST_CHECK enum kt_code kt_project_find(struct kt_tx *tx, struct kt_op *op, const char *ref,
	struct kt_project_row *out, struct kt_err *err);
/* A project as a row says, to render it inside a transaction: with its current release, without
 * previews. In op's arena. */
KT_MUST_CHECK enum kt_code kt_project_temp(struct kt_tx *tx, struct kt_op *op,
	const struct kt_project_row *row, struct kt_project_mem **out, struct kt_err *err);
/* Make op's answer the project, with its ETag. */
void kt_op_show_project(struct kt_op *op, const struct kt_project_mem *p);
/* Look at the folders among these projects (struct kt_project_mem *), then call then(op). */
void kt_op_look(struct kt_op *op, const struct kt_vec *projects, void (*then)(struct kt_op *op));
/* A name git takes for a ref (git-check-ref-format), as far as it matters here. */
bool kt_ref_ok(const char *s);

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

/* --- previews (preview.c) ------------------------------------------------------------------ */

/*
 * End a preview (ref deleted, pull request closed, expired), in the op's transaction; with builds
 * also what is still to become it: it is marked, and its build ends without a preview.
 */
KT_MUST_CHECK enum kt_code kt_preview_end(struct kt_tx *tx, struct kt_op *op,
	const char *project_id, const char *label, bool builds, struct kt_err *err);
/*
 * Label of the preview that may be on its way from a ref or pull request (0 = none); "" when
 * another one has that label: two branches may make the same. out: 64 bytes.
 */
void kt_preview_coming(const struct kt_project_mem *p, const char *ref, int64_t pr, char *out);
/* End a preview with its builds, in a transaction of its own. On the loop. */
void kt_preview_close(struct kt_control *ctl, const struct kt_project_mem *p, const char *label);
/* Label of a preview: "<slug>-pr-7" or "<slug>-<branch as a slug>", cut to 63. out: 64 bytes. */
void kt_preview_label(const char *slug, const char *ref, int64_t pr, char *out);
/* End those whose time is over. */
void kt_previews_sweep(struct kt_control *ctl);

/* --- logs (log.c) --------------------------------------------------------------------------- */

/* A value that must not get into p's log: config vars, env of a release. Short ones are ignored. */
void kt_log_secret(struct kt_project_mem *p, const char *value);
/* Forget log and secrets of a project; of a deleted one its file goes too. */
void kt_log_drop(struct kt_control *ctl, struct kt_project_mem *p);
/* The server ends: what waits is written while the store is there. */
void kt_logs_settle(struct kt_control *ctl);
void kt_logs_free(struct kt_control *ctl);
void kt_logs_sweep(struct kt_control *ctl);

#endif
