/* SPDX-License-Identifier: MIT */
/*
 * Operations: from the call, over a transaction, to the one answer. Also what every change shares:
 * the audit row, the precondition, and the record that makes a repeated request harmless.
 */
#include "control/core/op_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"

#include <stdio.h>
#include <string.h>

/* The longest answers are a manifest and a page of releases. */
#define MAX_ANSWER_BYTES (KT_MAX_MANIFEST_BYTES + 65536)

void kt_precond_copy(struct kt_arena *arena, struct kt_precond *to, const struct kt_precond *from)
{
	to->if_match = kt_arena_strdup_opt(arena, from->if_match);
	to->idem_key = kt_arena_strdup_opt(arena, from->idem_key);
	to->idem_scope = kt_arena_strdup_opt(arena, from->idem_scope);
	to->fingerprint = kt_arena_strdup_opt(arena, from->fingerprint);
}

struct kt_op *kt_op_new(struct kt_control *ctl, const struct kt_actor *a,
	const struct kt_precond *pre, kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_calloc(1, sizeof(*op));
	const char *base = ctl->public_url;

	op->ctl = ctl;
	op->arena = kt_arena_new();
	op->fn = fn;
	op->arg = arg;
	kt_buf_init(&op->json, MAX_ANSWER_BYTES);
	op->by.who = &op->who;
	if (a && a->who)
		op->who = *a->who;
	if (a) {
		op->by.request_id = kt_arena_strdup_opt(op->arena, a->request_id);
		op->by.remote_ip = kt_arena_strdup_opt(op->arena, a->remote_ip);
	}
	if (!base && a)
		base = a->base_url;
	if (!base)
		base = ctl->cfg.own_url;
	op->by.base_url = kt_arena_strdup(op->arena, base ? base : "http://localhost");
	if (pre)
		kt_precond_copy(op->arena, &op->pre, pre);
	ctl->ops++;
	return op;
}

static void op_free(struct kt_op *op)
{
	op->ctl->ops--;
	/* An answer may hold a key that is shown this once. */
	if (op->json.cap)
		kt_secret_wipe(op->json.ptr, op->json.len);
	kt_buf_release(&op->json);
	kt_arena_free(op->arena);
	free(op);
}

static void op_answer(struct kt_op *op)
{
	struct kt_result *r = &op->answer;

	if (r->rc == KT_OK) {
		r->json = op->json.ptr;
		r->json_len = op->json.len;
		r->code = r->message = r->extra = NULL;
	} else {
		if (!r->code)
			r->code = kt_code_name(r->rc);
		r->token = NULL;
		r->max_age_s = 0;
	}
	if (r->status == 0)
		r->status = kt_code_http(r->rc);
	if (op->fn)
		op->fn(op->arg, r);
	op_free(op);
}

/* Answers all that ended in this tick; those that end meanwhile are answered in the same go. */
static void answer_ended(void *arg)
{
	struct kt_control *ctl = arg;

	while (ctl->ended.len > 0) {
		struct kt_op *op = ctl->ended.items[0];

		(void)kt_vec_remove(&ctl->ended, 0);
		op_answer(op);
	}
}

void kt_ops_flush(struct kt_control *ctl)
{
	kt_loop_undefer(ctl->loop, &ctl->answer);
	answer_ended(ctl);
	kt_vec_release(&ctl->ended);
}

/* What the disk did is told as such, whatever was being done. */
static void disk_failed(struct kt_op *op, const struct kt_err *err)
{
	if (err->code != KT_EIO || !kt_errno_disk(err->sys) || op->answer.status)
		return;
	op->ctl->on.failed(op->ctl, err);
	(void)(kt_errno_full(err->sys) ? kt_op_code(op, KT_EIO, 507, "storage_full")
				       : kt_op_code(op, KT_EIO, 503, "storage_failed"));
}

void kt_op_end(struct kt_op *op, enum kt_code rc, const struct kt_err *err)
{
	struct kt_control *ctl = op->ctl;

	if (rc != KT_OK && err)
		disk_failed(op, err);

	if (rc == KT_OK && !kt_buf_ok(&op->json)) {
		rc = KT_ELIMIT;
		op->answer.code = "answer_too_large";
		op->answer.status = 500;
		op->answer.message =
			"the answer is larger than the server makes them, which is fixed";
	} else if (rc != KT_OK && !op->answer.message) {
		op->answer.message = kt_arena_strdup(
			op->arena, err && err->msg[0] ? err->msg : kt_code_name(rc));
	}
	op->answer.rc = rc;
	kt_vec_push(&ctl->ended, op);
	ctl->answer.fn = answer_ended;
	ctl->answer.arg = ctl;
	kt_loop_defer(ctl->loop, &ctl->answer);
}

void kt_op_fail(struct kt_op *op, enum kt_code rc, int status, const char *code, const char *extra,
	const char *fmt, ...)
{
	struct kt_err err = KT_ERR_INIT;
	va_list ap;

	op->answer.status = status;
	op->answer.code = code;
	op->answer.extra = extra;
	va_start(ap, fmt);
	(void)vsnprintf(err.msg, sizeof(err.msg), fmt, ap);
	va_end(ap);
	kt_op_end(op, rc, &err);
}

enum kt_code kt_op_code(struct kt_op *op, enum kt_code rc, int status, const char *code)
{
	op->answer.status = status;
	op->answer.code = code;
	return rc;
}

/* --- steps ------------------------------------------------------------------------------- */

static enum kt_code step_in_tx(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct kt_op *op = arg;

	return op->work(tx, op, err);
}

static enum kt_code step_on_thread(void *arg, struct kt_err *err)
{
	return step_in_tx(NULL, arg, err);
}

static void step_done(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct kt_op *op = arg;

	/* What was set for success does not describe a failed COMMIT. */
	if (rc != KT_OK && !op->answer.code)
		op->answer.status = 0;
	if (rc == KT_ECANCEL)
		rc = kt_op_code(op, KT_EUNAVAIL, 503, "shutting_down");
	op->next(op, rc, err);
}

void kt_op_step(struct kt_op *op, const struct kt_step *where, kt_step_fn work, kt_next_fn next)
{
	struct kt_control *ctl = op->ctl;
	struct kt_task_for pool = where->pool;
	struct kt_err err = KT_ERR_INIT;

	op->work = work;
	op->next = next;
	if (where->in == KT_IN_POOL) {
		pool.org_id = pool.org_id ? pool.org_id : op->who.org_id;
		kt_task_run(ctl, &pool, step_on_thread, step_done, op);
	} else if (ctl->closing || kt_works_get(ctl)->stopped) {
		(void)kt_fail(&err, KT_ECANCEL, 0, "the server is shutting down");
		step_done(op, KT_ECANCEL, &err);
	} else if (where->in == KT_IN_WRITE) {
		kt_store_write(ctl->store, step_in_tx, step_done, op);
	} else {
		kt_store_read(ctl->store, step_in_tx, step_done, op);
	}
}

static void last_done(struct kt_op *op, enum kt_code rc, const struct kt_err *err)
{
	if (rc == KT_OK && op->after && !op->replayed)
		op->after(op);
	kt_op_end(op, rc, err);
}

void kt_op_last(struct kt_op *op, const struct kt_step *where, kt_step_fn work,
	void (*after)(struct kt_op *op))
{
	op->after = after;
	kt_op_step(op, where, work, last_done);
}

/* --- what changes share ------------------------------------------------------------------ */

struct kt_project_mem *kt_op_project(struct kt_op *op, const char *ref)
{
	struct kt_project_mem *p = kt_index_project(op->ctl, op->who.org_id, ref);

	if (!p)
		kt_op_fail(op, KT_ENOTFOUND, 404, "project_not_found", NULL,
			"there is no such project");
	return p;
}

void kt_op_etag(struct kt_op *op, const char *release_id)
{
	op->answer.etag = kt_arena_printf(
		op->arena, "\"%s\"", release_id && *release_id ? release_id : "none");
}

enum kt_code kt_op_audit(struct kt_tx *tx, struct kt_op *op, const char *action, const char *object,
	const char *detail, struct kt_err *err)
{
	struct kt_audit_row row = {
		.at_us = kt_time_us(),
		.org_id = op->who.org_id,
		.actor = op->who.key_id[0] ? op->who.key_id : "system",
		.actor_name = op->who.key_name[0] ? op->who.key_name : "system",
		.action = action,
		.object = object,
		.detail = detail,
		.request_id = op->by.request_id,
		.remote_ip = op->by.remote_ip,
	};

	return kt_tx_audit_add(tx, &row, err);
}

/* One of the entity tags of an If-Match list is tag (RFC 9110, 13.1.1: strong comparison). */
static bool tag_listed(const char *list, const char *tag)
{
	size_t len = strlen(tag);

	for (const char *s = list; *s; s++) {
		const char *end;

		if (*s == '*')
			return true;
		if (*s == 'W' && s[1] == '/' && s[2] == '"') {
			s = strchr(s + 3, '"');
			if (!s)
				return false;
			continue;
		}
		if (*s != '"')
			continue;
		end = strchr(s + 1, '"');
		if (!end)
			return false;
		if ((size_t)(end - s - 1) == len && strncmp(s + 1, tag, len) == 0)
			return true;
		s = end;
	}
	return false;
}

enum kt_code kt_op_if_match(struct kt_op *op, const struct kt_project_row *p, struct kt_err *err)
{
	const char *now = p->current_release_id ? p->current_release_id : "none";

	if (!op->pre.if_match || tag_listed(op->pre.if_match, now))
		return KT_OK;
	return kt_op_code(op,
		kt_fail(err, KT_ECONFLICT, 0, "the project changed: its current release is %s",
			now),
		412, "precondition_failed");
}

enum kt_code kt_op_folder_project(
	struct kt_op *op, const struct kt_project_row *p, struct kt_err *err)
{
	return kt_op_code(op,
		kt_fail(err, KT_ECONFLICT, 0,
			"project '%s' is served from a folder: what is in it is live without a "
			"release; ship to a project of another name",
			p->slug),
		409, "folder_project");
}

bool kt_op_doc(
	struct kt_op *op, const char *doc, size_t len, const char *const *members, cJSON **out)
{
	struct kt_err err = KT_ERR_INIT;
	KT_AUTO_JSON cJSON *root = NULL;

	if (kt_json_parse(doc ? doc : "", doc ? len : 0, KT_JSON_STRICT, &root, &err) != KT_OK) {
		kt_op_fail(
			op, KT_EINVAL, 400, "bad_json", NULL, "the body is not JSON: %s", err.msg);
		return false;
	}
	if (!cJSON_IsObject(root)) {
		kt_op_fail(op, KT_EINVAL, 400, "bad_json", NULL, "the body must be a JSON object");
		return false;
	}
	for (const cJSON *m = root->child; m; m = m->next) {
		size_t i = 0;

		while (members[i] && strcmp(members[i], m->string) != 0)
			i++;
		if (!members[i]) {
			kt_op_fail(op, KT_EINVAL, 422, "validation_failed", NULL,
				"there is no member '%.80s'", m->string);
			return false;
		}
	}
	*out = KT_STEAL(root);
	return true;
}

/* --- idempotency ------------------------------------------------------------------------- */

static void idem_row(const struct kt_op *op, struct kt_idem_row *row)
{
	*row = (struct kt_idem_row){
		.org_id = op->who.org_id,
		.scope = op->pre.idem_scope ? op->pre.idem_scope : "",
		.key = op->pre.idem_key,
		.fingerprint = op->pre.fingerprint ? op->pre.fingerprint : "",
		.created_us = kt_time_us(),
	};
}

enum kt_code kt_op_idem_begin(
	struct kt_tx *tx, struct kt_op *op, bool *out_replay, struct kt_err *err)
{
	struct kt_idem_row row, seen = { 0 };
	struct kt_err first = KT_ERR_INIT;
	enum kt_code rc;

	*out_replay = false;
	if (!op->pre.idem_key)
		return KT_OK;
	idem_row(op, &row);
	rc = kt_tx_idem_begin(tx, op->arena, &row, &seen, &first);
	if (rc == KT_OK)
		return KT_OK;
	if (rc != KT_ECONFLICT) {
		if (err)
			*err = first;
		return rc == KT_ELIMIT ? kt_op_code(op, rc, 429, "limit_reached") : rc;
	}
	if (!kt_str_eq(seen.fingerprint, row.fingerprint))
		return kt_op_code(op,
			kt_fail(err, KT_ECONFLICT, 0,
				"this Idempotency-Key was used with another request"),
			422, "idempotency_mismatch");
	op->answer.release = seen.release_id;
	if (seen.status == 0)
		return kt_op_code(op,
			kt_fail(err, KT_ECONFLICT, 0, "the first request with this key still runs"),
			409, "idempotent_request_running");
	op->answer.status = seen.status;
	kt_buf_clear(&op->json);
	kt_buf_adds(&op->json, seen.body ? seen.body : "");
	op->replayed = true;
	*out_replay = true;
	return KT_OK;
}

enum kt_code kt_op_idem_end(
	struct kt_tx *tx, struct kt_op *op, int status, const char *release_id, struct kt_err *err)
{
	struct kt_idem_row row;

	op->answer.release = release_id;
	if (!op->pre.idem_key)
		return KT_OK;
	idem_row(op, &row);
	row.status = status;
	row.release_id = release_id;
	row.body = op->json.ptr;
	return kt_tx_idem_end(tx, &row, err);
}
