/* SPDX-License-Identifier: MIT */
/*
 * The pin: while it is set, the code that is live stays, whatever is published. It holds code, not
 * configuration: a release of the live code with new configuration becomes current all the same,
 * unless it was made before the pin (a rollback takes configuration back, too).
 */
#include "control/project/project_private.h"

#include "base/str.h"
#include "base/time.h"

#define MAX_REASON_BYTES 200

void kt_control_write_pin(struct kt_control *ctl, const char *project_id, struct kt_jw *w)
{
	const struct kt_project_mem *p = kt_map_get(&ctl->projects, project_id);

	kt_write_pin(w, p ? p->pin_reason : NULL, p ? p->pin_by : NULL, p ? p->pinned_us : 0);
}

const char *kt_pinned_reason(struct kt_op *op, const char *reason)
{
	char text[MAX_REASON_BYTES];

	if (!reason || !*reason)
		return NULL;
	(void)kt_str_copy(text, sizeof(text), reason);
	return kt_arena_strdup(op->arena, text);
}

void kt_pinned_set(const struct kt_op *op, struct kt_project_row *p, const char *reason)
{
	p->pin_reason = reason;
	p->pin_by = op->who.key_name[0] ? op->who.key_name : "system";
	p->pinned_us = kt_time_us();
	p->pin_next = p->next_version;
}

static void pin_clear(struct kt_project_row *p)
{
	p->pin_reason = p->pin_by = NULL;
	p->pinned_us = p->pin_next = 0;
}

const char *kt_pinned_text(struct kt_arena *arena, const struct kt_pinned *pin)
{
	char ago[64] = "";

	/* Who reads it may live in another zone than this machine. */
	if (pin->since_us > 0)
		kt_time_ago(pin->since_us, kt_time_us(), ago, sizeof(ago));
	return kt_arena_printf(arena, "held at v%lld%s%s%s%s: %s", (long long)pin->version,
		pin->by ? " by " : "", pin->by ? pin->by : "", ago[0] ? ", pinned " : "", ago,
		pin->reason);
}

enum kt_code kt_pinned_refuse(struct kt_op *op, const struct kt_pinned *pin, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf extra = KT_BUF_INIT(4096);
	struct kt_jw w;

	kt_jw_init(&w, &extra);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "version", kt_version_text(op->arena, pin->version));
	kt_write_pin(&w, pin->reason, pin->by, pin->since_us);
	kt_jw_obj_end(&w);
	op->answer.extra = kt_arena_strndup(op->arena, extra.ptr, extra.len);
	return kt_op_code(op,
		kt_fail(err, KT_ECONFLICT, 0, "the project is pinned, %s",
			kt_pinned_text(op->arena, pin)),
		409, "pinned");
}

void kt_pinned_of(const struct kt_project_mem *p, struct kt_arena *arena, struct kt_pinned *out)
{
	*out = (struct kt_pinned){ .reason = NULL };
	if (!p || !p->pin_reason)
		return;
	out->reason = kt_arena_strdup(arena, p->pin_reason);
	out->by = p->pin_by ? kt_arena_strdup(arena, p->pin_by) : NULL;
	out->since_us = p->pinned_us;
	out->version = p->current ? p->current->version : 0;
}

enum kt_code kt_pinned_check(
	struct kt_tx *tx, struct kt_op *op, const struct kt_project_row *p, struct kt_err *err)
{
	struct kt_pinned pin = { p->pin_reason, p->pin_by, p->pinned_us, 0 };
	struct kt_release_row live;
	enum kt_code rc = KT_OK;

	if (!p->pin_reason)
		return KT_OK;
	if (p->current_release_id) {
		rc = kt_tx_release(tx, op->arena, p->org_id, p->current_release_id, &live, err);
		if (rc != KT_OK)
			return rc;
		pin.version = live.version;
	}
	return kt_pinned_refuse(op, &pin, err);
}

enum kt_code kt_pinned_may_end(struct kt_op *op, struct kt_err *err)
{
	if (op->who.scopes & KT_SCOPE_ADMIN)
		return KT_OK;
	(void)kt_fail(err, KT_EDENIED, 0, "'unpin' needs a key with the scope admin");
	op->answer.extra = "\"scope\":\"admin\"";
	return kt_op_code(op, KT_EDENIED, 403, "forbidden");
}

/* --- pin, unpin -------------------------------------------------------------------------- */

struct pin {
	const char *project_id, *reason;
	bool unpin;
	struct kt_project_row project;
};

static enum kt_code pin_row(struct kt_tx *tx, struct kt_op *op, struct pin *x, struct kt_err *err)
{
	struct kt_project_row *p = &x->project;
	enum kt_code rc;

	if (p->dir)
		return kt_op_code(op,
			kt_fail(err, KT_ECONFLICT, 0, "project '%s' is served from a folder",
				p->slug),
			409, "folder_project");
	if (!p->current_release_id)
		return kt_op_code(op,
			kt_fail(err, KT_ECONFLICT, 0, "project '%s' has no release to hold",
				p->slug),
			409, "no_release");
	/* Again is fine; with another reason it is this one's from now on. */
	if (p->pin_reason && (!x->reason || kt_str_eq(x->reason, p->pin_reason)))
		return KT_OK;
	kt_pinned_set(op, p, x->reason ? x->reason : "pinned by hand");
	rc = kt_tx_project_put(tx, p, err);
	if (rc != KT_OK)
		return rc;
	return kt_op_audit(tx, op, "project.pin", kt_object_project(op->arena, p->slug),
		kt_json_pairs(op->arena, "pin_reason", p->pin_reason, "release",
			p->current_release_id, NULL),
		err);
}

enum kt_code kt_pinned_end(
	struct kt_tx *tx, struct kt_op *op, struct kt_project_row *p, struct kt_err *err)
{
	const char *reason = p->pin_reason;
	enum kt_code rc;

	if (!reason)
		return KT_OK;
	pin_clear(p);
	rc = kt_tx_project_put(tx, p, err);
	if (rc != KT_OK)
		return rc;
	return kt_op_audit(tx, op, "project.unpin", kt_object_project(op->arena, p->slug),
		kt_json_pairs(op->arena, "pin_reason", reason, NULL), err);
}

static enum kt_code pin_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct pin *x = op->data;
	enum kt_code rc = kt_project_find(tx, op, x->project_id, &x->project, err);

	if (rc != KT_OK)
		return rc;
	return x->unpin ? kt_pinned_end(tx, op, &x->project, err) : pin_row(tx, op, x, err);
}

static void pin_after(struct kt_op *op)
{
	const struct pin *x = op->data;

	kt_op_show_project(op, kt_index_project_put(op->ctl, &x->project));
	op->answer.status = 200;
}

static void pin_begin(struct kt_control *ctl, const struct kt_actor *a, const char *ref, bool unpin,
	const char *reason, kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	struct pin *x = kt_arena_alloc(op->arena, sizeof(*x));
	const struct kt_project_mem *p = kt_op_project(op, ref);

	if (!p)
		return;
	op->data = x;
	x->project_id = kt_arena_strdup(op->arena, p->id);
	x->reason = kt_pinned_reason(op, reason);
	x->unpin = unpin;
	kt_op_last(op, KT_STEP_WRITE, pin_work, pin_after);
}

void kt_control_pin(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *reason, kt_result_fn fn, void *arg)
{
	pin_begin(ctl, a, ref, false, reason, fn, arg);
}

void kt_control_unpin(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	kt_result_fn fn, void *arg)
{
	pin_begin(ctl, a, ref, true, NULL, fn, arg);
}
