/* SPDX-License-Identifier: MIT */
/* Operations on organizations and API keys. */
#include "store/rows/table_private.h"

/* --- organizations ----------------------------------------------------------------------- */

static const struct kt_col org_cols[] = {
	KT_COL_TEXT(struct kt_org_row, id, KT_COL_KEY),
	KT_COL_TEXT(struct kt_org_row, slug, 0),
	KT_COL_TEXT(struct kt_org_row, name, 0),
	KT_COL_INT(struct kt_org_row, created_us, 0),
	KT_COL_TEXT(struct kt_org_row, default_project_id, KT_COL_PUT),
};
static const struct kt_table orgs = KT_TABLE("orgs", struct kt_org_row, org_cols);

enum kt_code kt_tx_org_add(struct kt_tx *tx, const struct kt_org_row *row, struct kt_err *err)
{
	struct kt_q q;

	kt_q_insert(&q, tx, &orgs, row, NULL, err);
	if (kt_q_run(&q) == KT_ECONFLICT)
		return kt_fail(
			err, KT_ECONFLICT, 0, "there is an organization '%s' already", row->slug);
	return q.code;
}

enum kt_code kt_tx_org_default(
	struct kt_tx *tx, const char *org_id, const char *project_id, struct kt_err *err)
{
	const struct kt_org_row row = { .id = org_id, .default_project_id = project_id };
	struct kt_q q;

	kt_q_update(&q, tx, &orgs, &row, err);
	return kt_q_run_one(&q, "no such organization");
}

enum kt_code kt_tx_org(struct kt_tx *tx, struct kt_arena *arena, const char *org_id,
	struct kt_org_row *out, struct kt_err *err)
{
	struct kt_q q;

	kt_q_select(&q, tx, &orgs, "FROM orgs WHERE id = $1", err);
	kt_q_text(&q, 1, org_id);
	return kt_q_one(&q, &orgs, arena, out, "no such organization");
}

enum kt_code kt_tx_orgs(struct kt_tx *tx, struct kt_arena *arena, struct kt_org_row **out,
	size_t *out_n, struct kt_err *err)
{
	struct kt_q q;

	kt_q_select(&q, tx, &orgs, "FROM orgs ORDER BY created_us, id", err);
	return kt_q_all(&q, &orgs, arena, (void **)out, out_n);
}

/* --- keys -------------------------------------------------------------------------------- */

#define HASH_BYTES 32

static const struct kt_col key_cols[] = {
	KT_COL_TEXT(struct kt_key_row, id, KT_COL_KEY),
	KT_COL_TEXT(struct kt_key_row, org_id, 0),
	KT_COL_TEXT(struct kt_key_row, name, 0),
	KT_COL_TEXT(struct kt_key_row, prefix, 0),
	KT_COL_TEXT(struct kt_key_row, last4, 0),
	/* The schema says that it has so many. */
	KT_COL_BYTES(struct kt_key_row, hash, 0, HASH_BYTES),
	KT_COL_SMALL(struct kt_key_row, scopes, 0),
	KT_COL_INT(struct kt_key_row, created_us, 0),
	KT_COL_TEXT(struct kt_key_row, created_by, 0),
	KT_COL_INT(struct kt_key_row, last_used_us, 0),
	KT_COL_INT(struct kt_key_row, expires_us, 0),
	KT_COL_INT(struct kt_key_row, revoked_us, 0),
};
static const struct kt_table api_keys = KT_TABLE("api_keys", struct kt_key_row, key_cols);

enum kt_code kt_tx_key_add(struct kt_tx *tx, const struct kt_key_row *row, struct kt_err *err)
{
	struct kt_q q;

	kt_q_insert(&q, tx, &api_keys, row, NULL, err);
	return kt_q_run(&q);
}

enum kt_code kt_tx_keys(struct kt_tx *tx, struct kt_arena *arena, const char *org_id,
	struct kt_key_row **out, size_t *out_n, struct kt_err *err)
{
	struct kt_q q;

	kt_q_select(&q, tx, &api_keys,
		"FROM api_keys WHERE CAST($1 AS TEXT) IS NULL OR org_id = $1 "
		"ORDER BY created_us, id",
		err);
	kt_q_text(&q, 1, org_id);
	return kt_q_all(&q, &api_keys, arena, (void **)out, out_n);
}

enum kt_code kt_tx_key_revoke(
	struct kt_tx *tx, const char *org_id, const char *key_id, int64_t at_us, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx,
		"UPDATE api_keys SET revoked_us = CASE revoked_us WHEN 0 THEN $3 ELSE revoked_us "
		"END "
		"WHERE org_id = $1 AND id = $2",
		err);
	kt_q_text(&q, 1, org_id);
	kt_q_text(&q, 2, key_id);
	kt_q_int(&q, 3, at_us);
	return kt_q_run_one(&q, "no such key");
}

enum kt_code kt_tx_key_used(struct kt_tx *tx, const char *key_id, int64_t at_us, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx,
		"UPDATE api_keys SET last_used_us = CASE WHEN last_used_us < $2 THEN $2 "
		"ELSE last_used_us END WHERE id = $1",
		err);
	kt_q_text(&q, 1, key_id);
	kt_q_int(&q, 2, at_us);
	return kt_q_run_one(&q, "no such key");
}
