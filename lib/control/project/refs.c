/* SPDX-License-Identifier: MIT */
/* Refs: what was pushed, as git asks for it, and the end of a branch and of its preview. */
#include "control/project/project_private.h"

#include "base/str.h"

#include <stdio.h>
#include <string.h>

static void write_live(struct kt_jw *w, const struct kt_release_row *r)
{
	char version[24];

	if (!r) {
		kt_jw_null(w, "live");
		return;
	}
	(void)snprintf(version, sizeof(version), "v%lld", (long long)r->version);
	kt_jw_obj(w, "live");
	kt_jw_str(w, "release", r->id);
	kt_jw_str(w, "version", version);
	kt_jw_str(w, "digest", r->digest);
	kt_jw_str(w, "commit_sha", r->commit_sha);
	kt_jw_obj_end(w);
}

static void write_limits(struct kt_jw *w, const struct kt_pack_limits *l)
{
	kt_jw_obj(w, "limits");
	kt_jw_int(w, "max_files", l->max_files);
	kt_jw_int(w, "max_bytes", l->max_bytes);
	kt_jw_int(w, "max_file_bytes", l->max_file_bytes);
	kt_jw_int(w, "max_archive_bytes", l->max_archive_bytes);
	kt_jw_int(w, "max_path_bytes", l->max_path_bytes);
	kt_jw_int(w, "max_depth", l->max_depth);
	kt_jw_obj_end(w);
}

struct refs {
	const char *project_id;
	struct kt_pack_limits limits; /* a copy: a reload may change them meanwhile */
};

static enum kt_code refs_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	const struct refs *x = op->data;
	struct kt_project_row p;
	struct kt_ref_row *refs;
	struct kt_release_row live;
	struct kt_jw w;
	size_t n;
	enum kt_code rc = kt_tx_project(tx, op->arena, op->who.org_id, x->project_id, &p, err);

	if (rc == KT_ENOTFOUND)
		return kt_op_code(op, rc, 404, "project_not_found");
	if (rc == KT_OK)
		rc = kt_tx_refs(tx, op->arena, p.id, &refs, &n, err);
	if (rc == KT_OK && p.current_release_id)
		rc = kt_tx_release(tx, op->arena, p.org_id, p.current_release_id, &live, err);
	if (rc != KT_OK)
		return rc;
	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_jw_obj(&w, "refs");
	for (size_t i = 0; i < n; i++)
		kt_jw_str(&w, refs[i].name, refs[i].commit_sha);
	kt_jw_obj_end(&w);
	write_live(&w, p.current_release_id ? &live : NULL);
	kt_jw_str(&w, "production_ref", p.production_ref);
	kt_write_pin(&w, p.pin_reason, p.pin_by, p.pinned_us);
	write_limits(&w, &x->limits);
	kt_jw_obj_end(&w);
	kt_op_etag(op, p.current_release_id);
	return KT_OK;
}

void kt_control_refs(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	struct kt_project_mem *p = kt_op_project(op, ref);
	struct refs *x;

	if (!p)
		return;
	x = kt_arena_alloc(op->arena, sizeof(*x));
	x->project_id = kt_arena_strdup(op->arena, p->id);
	x->limits = ctl->limits;
	op->data = x;
	/* This is how a push begins. */
	if (op->who.scopes & KT_SCOPE_WRITE)
		kt_unpack_ahead(ctl);
	kt_op_last(op, KT_STEP_READ, refs_work, NULL);
}

struct ref_delete {
	const char *project_id, *slug, *name;
	const char **labels; /* of previews made from it; NULL-terminated */
	char building[64]; /* label of a preview that may be on its way */
};

/* 7 of "refs/pull/7/head": however its preview was made, that is its name. 0 = another ref. */
static int64_t ref_pull_request(const char *name)
{
	static const char root[] = "refs/pull/";
	const char *n = name, *rest;
	int64_t pr;

	if (!kt_str_starts(name, root))
		return 0;
	n += strlen(root);
	rest = n + strcspn(n, "/");
	if (!kt_str_int64n(n, (size_t)(rest - n), 1, INT32_MAX, &pr))
		return 0;
	return !strcmp(rest, "/head") || !strcmp(rest, "/merge") ? pr : 0;
}

static enum kt_code ref_delete_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct ref_delete *d = op->data;
	struct kt_project_row p;
	enum kt_code rc = kt_tx_project(tx, op->arena, op->who.org_id, d->project_id, &p, err);

	if (rc == KT_ENOTFOUND)
		return kt_op_code(op, rc, 404, "project_not_found");
	if (rc == KT_OK && strcmp(p.production_ref, d->name) == 0)
		return kt_op_code(op,
			kt_fail(err, KT_ECONFLICT, 0, "'%s' is the production branch", d->name),
			409, "production_ref");
	if (rc == KT_OK)
		rc = kt_tx_ref_delete(tx, d->project_id, d->name, err);
	for (const char **l = d->labels; *l && rc == KT_OK; l++)
		rc = kt_preview_end(tx, op, d->project_id, *l, true, err);
	if (rc == KT_OK)
		rc = kt_preview_end(tx, op, d->project_id, d->building, true, err);
	if (rc == KT_OK)
		rc = kt_op_audit(tx, op, "ref.delete", kt_object_project(op->arena, p.slug),
			kt_json_pairs(op->arena, "ref", d->name, "preview", d->labels[0], NULL),
			err);
	if (rc == KT_OK)
		op->answer.status = 204;
	return rc;
}

static void ref_delete_after(struct kt_op *op)
{
	struct ref_delete *d = op->data;
	struct kt_project_mem *p = kt_map_get(&op->ctl->projects, d->project_id);

	for (const char **l = d->labels; p && *l; l++)
		kt_index_preview_drop(op->ctl, p, *l);
	if (p)
		kt_index_preview_drop(op->ctl, p, d->building);
}

void kt_control_ref_delete(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *name, kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	struct ref_delete *d = kt_arena_alloc(op->arena, sizeof(*d));
	struct kt_project_mem *p = kt_op_project(op, ref);
	int64_t pr;
	size_t n = 0;

	if (!p)
		return;
	if (!name || !kt_ref_ok(name) || !kt_str_starts(name, "refs/")) {
		kt_op_fail(
			op, KT_EINVAL, 422, "invalid_name", NULL, "'name' must be a full ref name");
		return;
	}
	d->project_id = kt_arena_strdup(op->arena, p->id);
	d->name = kt_arena_strdup(op->arena, name);
	d->labels = kt_arena_alloc(op->arena, (p->previews.len + 1) * sizeof(*d->labels));
	pr = ref_pull_request(name);
	for (size_t i = 0; i < p->previews.len; i++) {
		const struct kt_release_mem *r = p->previews.items[i];

		if (kt_str_eq(r->ref, name) || (pr && r->pr == pr))
			d->labels[n++] = kt_arena_strdup(op->arena, r->label);
	}
	kt_preview_coming(p, name, pr, d->building);
	op->data = d;
	kt_op_last(op, KT_STEP_WRITE, ref_delete_work, ref_delete_after);
}
