/* SPDX-License-Identifier: MIT */
/* Operations on configuration: each version is the whole set, and never changes. */
#include "store/rows/table_private.h"

static const struct kt_col var_cols[] = {
	KT_COL_TEXT(struct kt_config_row, name, KT_COL_KEY),
	KT_COL_BLOB(struct kt_config_row, value, 0),
};
static const struct kt_table config_vars = KT_TABLE("config_vars", struct kt_config_row, var_cols);

enum kt_code kt_tx_config(struct kt_tx *tx, struct kt_arena *arena, const char *project_id,
	int64_t version, struct kt_config_row **out, size_t *out_n, struct kt_err *err)
{
	struct kt_q q;

	kt_q_select(&q, tx, &config_vars,
		"FROM config_vars WHERE project_id = $1 AND version = $2 ORDER BY name", err);
	kt_q_text(&q, 1, project_id);
	kt_q_int(&q, 2, version);
	return kt_q_all(&q, &config_vars, arena, (void **)out, out_n);
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
		"SELECT 1 + max(v) FROM ("
		"SELECT config_version AS v FROM projects WHERE id = $1 "
		"UNION ALL SELECT version FROM config_vars WHERE project_id = $1 "
		"UNION ALL SELECT config_version FROM releases WHERE project_id = $1) AS used "
		"WHERE EXISTS (SELECT 1 FROM projects WHERE id = $1)",
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
