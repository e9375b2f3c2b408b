/* SPDX-License-Identifier: MIT */
/* Operations on configuration: each version is the whole set, and never changes. */
#include "store/store_private.h"

enum kt_code kt_tx_config(struct kt_tx *tx, struct kt_arena *arena, const char *project_id,
	int64_t version, struct kt_config_row **out, size_t *out_n, struct kt_err *err)
{
	struct kt_rows rows = { .size = sizeof(**out) };
	struct kt_q q;
	void *items = NULL;
	enum kt_code rc;

	kt_q_open(&q, tx,
		"SELECT name, value FROM config_vars WHERE project_id = $1 AND version = $2 "
		"ORDER BY name",
		err);
	kt_q_text(&q, 1, project_id);
	kt_q_int(&q, 2, version);
	while (kt_q_row(&q)) {
		struct kt_config_row *r = kt_rows_add(&rows, &q);

		if (!r)
			break;
		r->name = kt_q_str(&q, arena, 0);
		r->value = kt_q_bytes(&q, arena, 1, &r->value_len);
	}
	rc = kt_rows_end(&rows, &q, arena, &items, out_n);
	if (rc == KT_OK)
		*out = items;
	return rc;
}

enum kt_code kt_tx_config_add(struct kt_tx *tx, const char *project_id, int64_t version,
	const struct kt_config_row *rows, size_t n, struct kt_err *err)
{
	enum kt_code rc = KT_OK;

	for (size_t i = 0; rc == KT_OK && i < n; i++) {
		struct kt_q q;

		kt_q_open(&q, tx,
			"INSERT INTO config_vars (org_id, project_id, version, name, value) "
			"SELECT org_id, id, $2, $3, $4 FROM projects WHERE id = $1",
			err);
		kt_q_text(&q, 1, project_id);
		kt_q_int(&q, 2, version);
		kt_q_text(&q, 3, rows[i].name);
		kt_q_blob(&q, 4, rows[i].value, rows[i].value_len);
		rc = kt_q_run_one(&q, "no such project");
	}
	return rc;
}

enum kt_code kt_tx_config_next(
	struct kt_tx *tx, const char *project_id, int64_t *out, struct kt_err *err)
{
	struct kt_q q;
	int64_t next = 0;
	enum kt_code rc;

	kt_q_open(&q, tx,
		"SELECT 1 + max(config_version, "
		"ifnull((SELECT max(version) FROM config_vars WHERE project_id = $1), 0), "
		"ifnull((SELECT max(config_version) FROM releases WHERE project_id = $1), 0)) "
		"FROM projects WHERE id = $1",
		err);
	kt_q_text(&q, 1, project_id);
	if (kt_q_row(&q))
		next = kt_q_num(&q, 0);
	rc = kt_q_end(&q);
	if (rc == KT_OK && next == 0)
		rc = kt_fail(err, KT_ENOTFOUND, 0, "no such project");
	if (rc == KT_OK)
		*out = next;
	return rc;
}
