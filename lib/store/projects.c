/* SPDX-License-Identifier: MIT */
/* Operations on projects. */
#include "store/store_private.h"

#define COLUMNS                                                                                    \
	"id, org_id, slug, label, harness, dir, production_ref, current_release_id, pin_reason, "  \
	"next_version, config_version, repo_url, repo_token, webhook_secret, created_us, pin_by, " \
	"pinned_us, pin_next"

static void bind_row(struct kt_q *q, const struct kt_project_row *row)
{
	kt_q_text(q, 1, row->id);
	kt_q_text(q, 3, row->slug);
	kt_q_text(q, 4, row->label);
	kt_q_text(q, 5, row->harness);
	kt_q_text(q, 6, row->dir);
	kt_q_text(q, 7, row->production_ref);
	kt_q_text(q, 8, row->current_release_id);
	kt_q_text(q, 9, row->pin_reason);
	kt_q_int(q, 10, row->next_version);
	kt_q_int(q, 11, row->config_version);
	kt_q_text(q, 12, row->repo_url);
	kt_q_blob(q, 13, row->repo_token, row->repo_token_len);
	kt_q_blob(q, 14, row->webhook_secret, row->webhook_secret_len);
	kt_q_text(q, 16, row->pin_by);
	kt_q_int(q, 17, row->pinned_us);
	kt_q_int(q, 18, row->pin_next);
}

static void project_read_row(struct kt_q *q, struct kt_arena *arena, struct kt_project_row *r)
{
	r->id = kt_q_str(q, arena, 0);
	r->org_id = kt_q_str(q, arena, 1);
	r->slug = kt_q_str(q, arena, 2);
	r->label = kt_q_str(q, arena, 3);
	r->harness = kt_q_str(q, arena, 4);
	r->dir = kt_q_str(q, arena, 5);
	r->production_ref = kt_q_str(q, arena, 6);
	r->current_release_id = kt_q_str(q, arena, 7);
	r->pin_reason = kt_q_str(q, arena, 8);
	r->next_version = kt_q_num(q, 9);
	r->config_version = kt_q_num(q, 10);
	r->repo_url = kt_q_str(q, arena, 11);
	r->repo_token = kt_q_bytes(q, arena, 12, &r->repo_token_len);
	r->webhook_secret = kt_q_bytes(q, arena, 13, &r->webhook_secret_len);
	r->created_us = kt_q_num(q, 14);
	r->pin_by = kt_q_str(q, arena, 15);
	r->pinned_us = kt_q_num(q, 16);
	r->pin_next = kt_q_num(q, 17);
}

static enum kt_code fail_taken(const struct kt_project_row *row, struct kt_err *err)
{
	return kt_fail(err, KT_ECONFLICT, 0,
		"the project name '%s' or its host label '%s' is taken", row->slug, row->label);
}

enum kt_code kt_tx_project_add(
	struct kt_tx *tx, const struct kt_project_row *row, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx,
		"INSERT INTO projects (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, "
		"$10, $11, $12, $13, $14, $15, $16, $17, $18)",
		err);
	bind_row(&q, row);
	kt_q_text(&q, 2, row->org_id);
	kt_q_int(&q, 15, row->created_us);
	return kt_q_run(&q) == KT_ECONFLICT ? fail_taken(row, err) : q.code;
}

enum kt_code kt_tx_project_put(
	struct kt_tx *tx, const struct kt_project_row *row, struct kt_err *err)
{
	struct kt_q q;
	enum kt_code rc;

	kt_q_open(&q, tx,
		"UPDATE projects SET slug = $3, label = $4, harness = $5, dir = $6, "
		"production_ref = $7, current_release_id = $8, pin_reason = $9, next_version = "
		"$10, "
		"config_version = $11, repo_url = $12, repo_token = $13, webhook_secret = $14, "
		"pin_by = $16, pinned_us = $17, pin_next = $18 "
		"WHERE id = $1",
		err);
	bind_row(&q, row);
	rc = kt_q_run_one(&q, "no such project");
	return rc == KT_ECONFLICT ? fail_taken(row, err) : rc;
}

enum kt_code kt_tx_project(struct kt_tx *tx, struct kt_arena *arena, const char *org_id,
	const char *ref, struct kt_project_row *out, struct kt_err *err)
{
	struct kt_q q;
	struct kt_project_row row = { 0 };
	bool found;
	enum kt_code rc;

	/* A slug has no underscore and an id has one, so at most one row answers. */
	kt_q_open(&q, tx,
		"SELECT " COLUMNS " FROM projects WHERE org_id = $1 AND slug = $2 "
		"UNION ALL SELECT " COLUMNS " FROM projects WHERE org_id = $1 AND id = $2 LIMIT 1",
		err);
	kt_q_text(&q, 1, org_id);
	kt_q_text(&q, 2, ref);
	found = kt_q_row(&q);
	if (found)
		project_read_row(&q, arena, &row);
	rc = kt_q_end(&q);
	if (rc != KT_OK)
		return rc;
	if (!found)
		return kt_fail(err, KT_ENOTFOUND, 0, "no such project");
	*out = row;
	return KT_OK;
}

enum kt_code kt_tx_projects(struct kt_tx *tx, struct kt_arena *arena, const char *org_id,
	struct kt_project_row **out, size_t *out_n, struct kt_err *err)
{
	struct kt_rows rows = { .size = sizeof(**out) };
	struct kt_q q;
	void *items = NULL;
	enum kt_code rc;

	kt_q_open(&q, tx,
		"SELECT " COLUMNS " FROM projects WHERE $1 IS NULL OR org_id = $1 "
		"ORDER BY slug, org_id",
		err);
	kt_q_text(&q, 1, org_id);
	while (kt_q_row(&q)) {
		struct kt_project_row *r = kt_rows_add(&rows, &q);

		if (!r)
			break;
		project_read_row(&q, arena, r);
	}
	rc = kt_rows_end(&rows, &q, arena, &items, out_n);
	if (rc == KT_OK)
		*out = items;
	return rc;
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
