/* SPDX-License-Identifier: MIT */
/* Operations on projects. */
#include "store/rows/table_private.h"

static const struct kt_col project_cols[] = {
	KT_COL_TEXT(struct kt_project_row, id, KT_COL_KEY),
	KT_COL_TEXT(struct kt_project_row, org_id, 0),
	KT_COL_TEXT(struct kt_project_row, slug, KT_COL_PUT),
	KT_COL_TEXT(struct kt_project_row, label, KT_COL_PUT),
	KT_COL_TEXT(struct kt_project_row, harness, KT_COL_PUT),
	KT_COL_TEXT(struct kt_project_row, dir, KT_COL_PUT),
	KT_COL_TEXT(struct kt_project_row, production_ref, KT_COL_PUT),
	KT_COL_TEXT(struct kt_project_row, current_release_id, KT_COL_PUT),
	KT_COL_TEXT(struct kt_project_row, pin_reason, KT_COL_PUT),
	KT_COL_INT(struct kt_project_row, next_version, KT_COL_PUT),
	KT_COL_INT(struct kt_project_row, config_version, KT_COL_PUT),
	KT_COL_TEXT(struct kt_project_row, repo_url, KT_COL_PUT),
	KT_COL_BLOB(struct kt_project_row, repo_token, KT_COL_PUT),
	KT_COL_BLOB(struct kt_project_row, webhook_secret, KT_COL_PUT),
	KT_COL_INT(struct kt_project_row, created_us, 0),
	KT_COL_TEXT(struct kt_project_row, pin_by, KT_COL_PUT),
	KT_COL_INT(struct kt_project_row, pinned_us, KT_COL_PUT),
	KT_COL_INT(struct kt_project_row, pin_next, KT_COL_PUT),
};
static const struct kt_table projects = KT_TABLE("projects", struct kt_project_row, project_cols);

static enum kt_code fail_taken(const struct kt_project_row *row, struct kt_err *err)
{
	return kt_fail(err, KT_ECONFLICT, 0,
		"the project name '%s' or its host label '%s' is taken", row->slug, row->label);
}

enum kt_code kt_tx_project_add(
	struct kt_tx *tx, const struct kt_project_row *row, struct kt_err *err)
{
	struct kt_q q;

	kt_q_insert(&q, tx, &projects, row, NULL, err);
	return kt_q_run(&q) == KT_ECONFLICT ? fail_taken(row, err) : q.code;
}

enum kt_code kt_tx_project_put(
	struct kt_tx *tx, const struct kt_project_row *row, struct kt_err *err)
{
	struct kt_q q;
	enum kt_code rc;

	kt_q_update(&q, tx, &projects, row, err);
	rc = kt_q_run_one(&q, "no such project");
	return rc == KT_ECONFLICT ? fail_taken(row, err) : rc;
}

enum kt_code kt_tx_project(struct kt_tx *tx, struct kt_arena *arena, const char *org_id,
	const char *ref, struct kt_project_row *out, struct kt_err *err)
{
	struct kt_q q;

	/* A slug has no underscore and an id has one, so at most one row answers. */
	kt_q_select(&q, tx, &projects,
		"FROM projects WHERE org_id = $1 AND slug = $2 "
		"UNION ALL SELECT * FROM projects WHERE org_id = $1 AND id = $2 LIMIT 1",
		err);
	kt_q_text(&q, 1, org_id);
	kt_q_text(&q, 2, ref);
	return kt_q_one(&q, &projects, arena, out, "no such project");
}

enum kt_code kt_tx_projects(struct kt_tx *tx, struct kt_arena *arena, const char *org_id,
	struct kt_project_row **out, size_t *out_n, struct kt_err *err)
{
	struct kt_q q;

	kt_q_select(&q, tx, &projects,
		"FROM projects WHERE CAST($1 AS TEXT) IS NULL OR org_id = $1 "
		"ORDER BY slug, org_id",
		err);
	kt_q_text(&q, 1, org_id);
	return kt_q_all(&q, &projects, arena, (void **)out, out_n);
}

enum kt_code kt_tx_project_delete(
	struct kt_tx *tx, const char *org_id, const char *id, struct kt_err *err)
{
	struct kt_q q;

	/* Its releases, refs and configuration go by their references. */
	kt_q_open(&q, tx, "DELETE FROM projects WHERE org_id = $1 AND id = $2", err);
	kt_q_text(&q, 1, org_id);
	kt_q_text(&q, 2, id);
	return kt_q_run_one(&q, "no such project");
}
