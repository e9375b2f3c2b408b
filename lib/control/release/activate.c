/* SPDX-License-Identifier: MIT */
/*
 * Moving the pointer by hand: rollback (which pins) and activate. First the files of the release
 * are made sure of, beside the loop; then one transaction moves the pointer with its audit row.
 */
#include "control/release/release_private.h"

#include "base/str.h"
#include "base/time.h"

#include <string.h>

#define MAX_LOOKED 1000 /* releases among which the one before is looked for */

struct move {
	char *ref;
	const char *word; /* version, or NULL: the one before */
	const char *reason; /* or NULL */
	bool pin; /* a rollback */
	struct kt_project_row project;
	struct kt_release_row target, old;
	bool changed, moved;
};

static bool was_built(const struct kt_release_row *r)
{
	return r->built_us > 0 && !r->preview &&
		(r->state == KT_REL_READY || r->state == KT_REL_ACTIVE ||
			r->state == KT_REL_SUPERSEDED);
}

/*
 * The release that was active before the current one: the latest to have become active. While a
 * rollback is pinned, going back again goes on from there and not forth to what was left.
 */
static enum kt_code find_before(
	struct kt_tx *tx, struct kt_op *op, struct move *m, struct kt_err *err)
{
	const struct kt_project_row *p = &m->project;
	const struct kt_release_row *best = NULL;
	struct kt_release_row *rows, now = { 0 };
	size_t n;
	enum kt_code rc = KT_OK;

	if (p->current_release_id)
		rc = kt_tx_release(tx, op->arena, p->org_id, p->current_release_id, &now, err);
	if (rc == KT_OK)
		rc = kt_tx_releases(tx, op->arena, p->id, p->pin_reason ? now.version : 0,
			MAX_LOOKED, &rows, &n, err);
	for (size_t i = 0; rc == KT_OK && i < n; i++) {
		const struct kt_release_row *r = &rows[i];

		if (!was_built(r) || r->activated_us == 0 || kt_str_eq(r->id, now.id))
			continue;
		if (!best || r->activated_us > best->activated_us)
			best = r;
	}
	if (rc == KT_OK && !best)
		return kt_op_code(op,
			kt_fail(err, KT_ECONFLICT, 0, "project '%s' has no release before this one",
				p->slug),
			409, "no_previous_release");
	if (rc == KT_OK)
		m->target = *best;
	return rc;
}

static enum kt_code find_target(
	struct kt_tx *tx, struct kt_op *op, struct move *m, struct kt_err *err)
{
	enum kt_code rc = kt_project_find(tx, op, m->ref, &m->project, err);

	if (rc != KT_OK)
		return rc;
	if (m->project.dir)
		return kt_op_folder_project(op, &m->project, err);
	/* Found once: the transaction must not come to another than the one that was laid out. */
	if (m->target.id)
		rc = kt_release_find(tx, op, &m->project, m->target.id, &m->target, err);
	else if (m->word)
		rc = kt_release_find(tx, op, &m->project, m->word, &m->target, err);
	else
		rc = find_before(tx, op, m, err);
	if (rc == KT_OK && !was_built(&m->target))
		return kt_op_code(op,
			kt_fail(err, KT_ECONFLICT, 0, "v%lld was never ready: it is %s",
				(long long)m->target.version,
				kt_release_state_name(m->target.state)),
			409, "not_ready");
	return rc;
}

static enum kt_code move_find_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	return find_target(tx, op, op->data, err);
}

static enum kt_code move_layout_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	const struct move *m = op->data;
	enum kt_code rc = kt_layout_make(op->ctl, m->project.org_id, m->target.digest, err);

	if (rc == KT_ENOTFOUND || rc == KT_EPROTO)
		return kt_op_code(op,
			kt_fail(err, KT_EUNAVAIL, 0, "the files of v%lld are damaged or gone",
				(long long)m->target.version),
			410, "release_gone");
	return rc;
}

/* --- the transaction --------------------------------------------------------------------- */

static enum kt_code audit_move(
	struct kt_tx *tx, struct kt_op *op, struct move *m, int64_t config, struct kt_err *err)
{
	const char *from = m->old.id ? kt_version_text(op->arena, m->old.version) : NULL;
	const char *detail;

	if (m->pin)
		detail = kt_json_pairs(op->arena, "version",
			kt_version_text(op->arena, m->target.version), "release", m->target.id,
			"from", from, "pin_reason", m->project.pin_reason, "config_version",
			kt_arena_printf(op->arena, "%lld", (long long)m->project.config_version),
			"config_version_before",
			kt_arena_printf(op->arena, "%lld", (long long)config), NULL);
	else
		detail = kt_json_pairs(op->arena, "version",
			kt_version_text(op->arena, m->target.version), "release", m->target.id,
			"from", from, NULL);
	return kt_op_audit(tx, op, m->pin ? "release.rollback" : "release.activate",
		kt_object_project(op->arena, m->project.slug), detail, err);
}

static enum kt_code move_pointer(
	struct kt_tx *tx, struct kt_op *op, struct move *m, struct kt_err *err)
{
	struct kt_project_row *p = &m->project;
	int64_t config = p->config_version;
	bool there = kt_str_eq(p->current_release_id, m->target.id);
	enum kt_code rc = KT_OK;

	if (!m->pin && !there) {
		rc = kt_pinned_check(tx, op, p, err);
		if (rc != KT_OK)
			return rc;
	}
	m->changed = !there || (m->pin && (!p->pin_reason || m->reason));
	if (!m->changed)
		return KT_OK;
	if (!there)
		rc = kt_pointer_move(tx, op->arena, p, &m->target, kt_time_us(), &m->old, err);
	m->moved = !there;
	if (rc == KT_OK && m->moved)
		rc = kt_tx_release_put(tx, &m->target, err);
	if (m->pin)
		kt_pinned_set(op, p,
			m->reason ? m->reason
				  : kt_arena_printf(op->arena, "rollback to v%lld",
					    (long long)m->target.version));
	/* Configuration goes with the code, and the next deploy goes on from it. */
	p->config_version = m->target.config_version;
	if (rc == KT_OK)
		rc = kt_tx_project_put(tx, p, err);
	if (rc == KT_OK)
		rc = audit_move(tx, op, m, config, err);
	return rc;
}

static enum kt_code answer_move(
	struct kt_tx *tx, struct kt_op *op, struct move *m, struct kt_err *err)
{
	struct kt_project_mem *p;
	struct kt_jw w;
	enum kt_code rc = kt_project_temp(tx, op, &m->project, &p, err);

	if (rc != KT_OK)
		return rc;
	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_write_release(&w, op, p, &m->target, true);
	if (m->pin)
		kt_jw_str(&w, "rolled_back_from",
			m->old.id ? kt_version_text(op->arena, m->old.version) : NULL);
	kt_jw_obj_end(&w);
	kt_op_etag(op, m->project.current_release_id);
	op->answer.status = 200;
	return KT_OK;
}

static enum kt_code move_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct move *m = op->data;
	bool replay;
	enum kt_code rc = kt_op_idem_begin(tx, op, &replay, err);

	if (rc != KT_OK || replay)
		return rc;
	rc = find_target(tx, op, m, err);
	if (rc == KT_OK)
		rc = kt_op_if_match(op, &m->project, err);
	if (rc == KT_OK)
		rc = move_pointer(tx, op, m, err);
	if (rc == KT_OK)
		rc = answer_move(tx, op, m, err);
	if (rc == KT_OK)
		rc = kt_op_idem_end(tx, op, 200, m->target.id, err);
	return rc;
}

static void log_move(struct kt_op *op, const struct move *m)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(1024);
	struct kt_log_line line = {
		.project_id = m->project.id,
		.level = "info",
		.source = "release",
		.version = m->target.version,
		.request_id = op->by.request_id,
	};

	kt_buf_addf(&text, m->pin ? "rolled back to v%lld" : "v%lld is active",
		(long long)m->target.version);
	if (m->old.id)
		kt_buf_addf(&text, ", before it v%lld", (long long)m->old.version);
	if (m->pin)
		kt_buf_addf(&text, "; pinned: %s", m->project.pin_reason);
	line.text = text.ptr;
	kt_control_log(op->ctl, &line);
}

static void move_done(struct kt_op *op)
{
	struct move *m = op->data;

	if (!m->changed)
		return;
	(void)kt_pointer_moved(op->ctl, &m->project, m->moved ? &m->target : NULL);
	log_move(op, m);
}

static void laid_out(struct kt_op *op, enum kt_code rc, const struct kt_err *err)
{
	if (rc != KT_OK)
		kt_op_end(op, rc, err);
	else
		kt_op_last(op, KT_STEP_WRITE, move_work, move_done);
}

static void move_found(struct kt_op *op, enum kt_code rc, const struct kt_err *err)
{
	const struct move *m = op->data;

	if (rc != KT_OK && op->pre.idem_key) {
		/* It may be a repeat of what succeeded when it was possible: the record decides. */
		op->answer.status = 0;
		op->answer.code = NULL;
		kt_op_last(op, KT_STEP_WRITE, move_work, move_done);
	} else if (rc != KT_OK) {
		kt_op_end(op, rc, err);
	} else if (kt_layout_ready(op->ctl, m->project.org_id, m->target.digest)) {
		kt_op_last(op, KT_STEP_WRITE, move_work, move_done);
	} else {
		kt_op_step(op, KT_STEP_POOL(.kind = KT_WORK_LONG), move_layout_work, laid_out);
	}
}

static void begin_move(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *version, const char *reason, bool pin, const struct kt_precond *pre,
	kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, pre, fn, arg);
	struct move *m = kt_arena_alloc(op->arena, sizeof(*m));
	struct kt_project_mem *p = kt_op_project(op, ref);

	if (!p)
		return;
	op->data = m;
	m->ref = kt_arena_strdup(op->arena, p->id);
	m->word = version && *version ? kt_arena_strdup(op->arena, version) : NULL;
	m->reason = kt_pinned_reason(op, reason);
	m->pin = pin;
	if (!pin && !m->word) {
		kt_op_fail(op, KT_EINVAL, 422, "validation_failed", NULL, "'version' is needed");
		return;
	}
	kt_op_step(op, KT_STEP_READ, move_find_work, move_found);
}

void kt_control_rollback(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *version, const char *reason, const struct kt_precond *pre, kt_result_fn fn,
	void *arg)
{
	begin_move(ctl, a, ref, version, reason, true, pre, fn, arg);
}

void kt_control_activate(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *version, const struct kt_precond *pre, kt_result_fn fn, void *arg)
{
	begin_move(ctl, a, ref, version, NULL, false, pre, fn, arg);
}
