/* SPDX-License-Identifier: MIT */
/* Operations on their way, and how things look in JSON. */
#ifndef KT_CONTROL_OP_PRIVATE_H
#define KT_CONTROL_OP_PRIVATE_H

#include "control/core/index_private.h"
#include "control/core/task_private.h"

/* --- operations (op.c) ------------------------------------------------------------------- */

struct kt_op;
/* A step of an operation: in a transaction, or (tx NULL) on a thread of the pool. */
typedef enum kt_code (*kt_step_fn)(struct kt_tx *tx, struct kt_op *op, struct kt_err *err);
/* What follows it, on the loop. err is empty when rc is KT_OK. */
typedef void (*kt_next_fn)(struct kt_op *op, enum kt_code rc, const struct kt_err *err);

/*
 * One operation: filled on the loop, worked on in steps beside it, answered on the loop.
 * Everything it needs on the way is in its arena or in `data`.
 */
struct kt_op {
	struct kt_control *ctl;
	struct kt_arena *arena;
	/* The caller: org_id "" = the system; strings in arena, base_url is public_url or that of
	 * the request. */
	struct kt_principal who;
	struct kt_actor by;
	struct kt_precond pre; /* strings in arena */
	kt_result_fn fn; /* NULL: nobody waits */
	void *arg;
	void *data; /* the operation's own; in arena */
	/* Its step. */
	kt_step_fn work;
	kt_next_fn next;
	/* On the loop when the last one was committed, before the answer; or NULL. */
	void (*after)(struct kt_op *op);
	/*
	 * The answer: status 0 is by rc, code NULL of a problem kt_code_name(), the token is wiped
	 * with the arena, json is put together in the buffer.
	 */
	struct kt_result answer;
	struct kt_buf json;
	/* Set by kt_op_idem_begin() when the answer comes from an earlier request: `after` is
	 * skipped. */
	bool replayed;
};
/* The strings of *to are copies in arena. */
void kt_precond_copy(struct kt_arena *arena, struct kt_precond *to, const struct kt_precond *from);
/* New operation for a caller (a NULL: the system). */
KT_MUST_CHECK struct kt_op *kt_op_new(struct kt_control *ctl, const struct kt_actor *a,
	const struct kt_precond *pre, kt_result_fn fn, void *arg);
/* Where a step is done: a transaction that reads or writes, or the pool. */
struct kt_step {
	enum { KT_IN_READ, KT_IN_WRITE, KT_IN_POOL } in;
	struct kt_task_for pool; /* org_id NULL: the caller's */
};
#define KT_STEP_READ (&(const struct kt_step){ .in = KT_IN_READ })
#define KT_STEP_WRITE (&(const struct kt_step){ .in = KT_IN_WRITE })
#define KT_STEP_POOL(...) (&(const struct kt_step){ .in = KT_IN_POOL, .pool = { __VA_ARGS__ } })
/*
 * Do the next step of op, then next(op, ...). At the server's end that is called with KT_EUNAVAIL
 * (503 `shutting_down` is set), perhaps before this returns and without the step.
 */
void kt_op_step(struct kt_op *op, const struct kt_step *where, kt_step_fn work, kt_next_fn next);
/* The last step: then after (or NULL) unless it failed or is a repeat, then answer and free. */
void kt_op_last(struct kt_op *op, const struct kt_step *where, kt_step_fn work,
	void (*after)(struct kt_op *op));
/* Answer (on the loop, in a later tick when called from within the API's call) and free. */
void kt_op_end(struct kt_op *op, enum kt_code rc, const struct kt_err *err);
/* Answer a problem: code is the stable word. extra in the arena, or NULL. */
void kt_op_fail(struct kt_op *op, enum kt_code rc, int status, const char *code, const char *extra,
	const char *fmt, ...) KT_PRINTF(6, 7);
/*
 * The project a caller names, on the loop; NULL when there is none: op is then answered with 404
 * `project_not_found` and must not be touched any more.
 */
struct kt_project_mem *kt_op_project(struct kt_op *op, const char *ref);
/* Set the answer's ETag to that of a pointer that leads to this release (NULL: to none). */
void kt_op_etag(struct kt_op *op, const char *release_id);
/*
 * The JSON object of a request, on the loop: strict, with no other members than `members`
 * (NULL-terminated). False when it is not that: op is then answered (400 `bad_json`, 422
 * `validation_failed`) and must not be touched any more. *out is the caller's, cJSON_Delete().
 */
KT_MUST_CHECK bool kt_op_doc(
	struct kt_op *op, const char *doc, size_t len, const char *const *members, cJSON **out);
/* Give the answers that wait for the end of the tick now (kt_control_free()). */
void kt_ops_flush(struct kt_control *ctl);
/* Set the stable word and status that a failure inside `work` is answered with; returns rc. */
enum kt_code kt_op_code(struct kt_op *op, enum kt_code rc, int status, const char *code);
/* One audit row, in the transaction of op. detail: JSON object text or NULL. */
KT_MUST_CHECK enum kt_code kt_op_audit(struct kt_tx *tx, struct kt_op *op, const char *action,
	const char *object, const char *detail, struct kt_err *err);
/* If-Match of op against the pointer of p ("\"rel_...\"" or "*"). KT_OK or KT_ECONFLICT (412). */
KT_MUST_CHECK enum kt_code kt_op_if_match(
	struct kt_op *op, const struct kt_project_row *p, struct kt_err *err);
/* A folder that is served has no releases: the refusal of what needs them (409). */
KT_MUST_CHECK enum kt_code kt_op_folder_project(
	struct kt_op *op, const struct kt_project_row *p, struct kt_err *err);
/*
 * Idempotency inside the transaction: first use begins the row and returns false; a repeat of an
 * ended request sets op's answer from the row and returns true; other body or still running: rc.
 * kt_op_idem_end() stores the answer that op->json holds.
 */
KT_MUST_CHECK enum kt_code kt_op_idem_begin(
	struct kt_tx *tx, struct kt_op *op, bool *out_replay, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_op_idem_end(
	struct kt_tx *tx, struct kt_op *op, int status, const char *release_id, struct kt_err *err);

/* --- JSON of things (render.c): members inside an open object ---------------------------- */

void kt_write_project(struct kt_jw *w, struct kt_op *op, const struct kt_project_mem *p);
/* p may be of the index or made for the purpose; active: the pointer leads here. */
void kt_write_release(struct kt_jw *w, struct kt_op *op, const struct kt_project_mem *p,
	const struct kt_release_row *r, bool active);
void kt_write_key(struct kt_jw *w, const struct kt_key_row *k);
/* Member `key`: ["read", ...]. */
void kt_write_scopes(struct kt_jw *w, const char *key, unsigned scopes);
void kt_write_audit(struct kt_jw *w, const struct kt_audit_row *a);
/* "http://support-bot.localhost:8000" for a label, from op's base URL. In the op's arena. */
const char *kt_label_url(struct kt_op *op, const char *label);
/* The URL of a project: by its label, or by path when its name cannot be a host name here. */
const char *kt_project_url(struct kt_op *op, const char *slug, const char *label);
/* The label is kept for the server's own use; a project of this name has its address by path. */
bool kt_label_reserved(const char *label);
/* RFC 3339 with milliseconds, or null for 0. */
void kt_write_time(struct kt_jw *w, const char *key, int64_t us);
/* The members pinned, pin_reason, pinned_by, pinned_at; reason NULL = not pinned. */
void kt_write_pin(struct kt_jw *w, const char *reason, const char *by, int64_t since_us);
/* {"action detail"} helper: a JSON object of string pairs, NULL-terminated list; in arena. */
const char *kt_json_pairs(struct kt_arena *arena, ...);

/* "project/SLUG", the object of audit rows. */
const char *kt_object_project(struct kt_arena *arena, const char *slug);
/* "v7" in the arena. */
const char *kt_version_text(struct kt_arena *arena, int64_t version);
/* Slug of a name: lower-case letters, digits, inner hyphens, 1 to 63. */
bool kt_slug_ok(const char *s);

#endif
