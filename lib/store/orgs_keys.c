/* SPDX-License-Identifier: MIT */
/* Operations on organizations and API keys. */
#include "store/store_private.h"

/* --- organizations ----------------------------------------------------------------------- */

enum kt_code kt_tx_org_add(struct kt_tx *tx, const struct kt_org_row *row, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx, "INSERT INTO orgs (id, slug, name, created_us) VALUES ($1, $2, $3, $4)",
		err);
	kt_q_text(&q, 1, row->id);
	kt_q_text(&q, 2, row->slug);
	kt_q_text(&q, 3, row->name);
	kt_q_int(&q, 4, row->created_us);
	if (kt_q_run(&q) == KT_ECONFLICT)
		return kt_fail(
			err, KT_ECONFLICT, 0, "there is an organization '%s' already", row->slug);
	return q.code;
}

enum kt_code kt_tx_org_default(
	struct kt_tx *tx, const char *org_id, const char *project_id, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx, "UPDATE orgs SET default_project_id = $2 WHERE id = $1", err);
	kt_q_text(&q, 1, org_id);
	kt_q_text(&q, 2, project_id);
	return kt_q_run_one(&q, "no such organization");
}

#define ORG_COLUMNS "id, slug, name, created_us, default_project_id"

static void read_org(struct kt_q *q, struct kt_arena *arena, struct kt_org_row *r)
{
	r->id = kt_q_str(q, arena, 0);
	r->slug = kt_q_str(q, arena, 1);
	r->name = kt_q_str(q, arena, 2);
	r->created_us = kt_q_num(q, 3);
	r->default_project_id = kt_q_str(q, arena, 4);
}

enum kt_code kt_tx_org(struct kt_tx *tx, struct kt_arena *arena, const char *org_id,
	struct kt_org_row *out, struct kt_err *err)
{
	struct kt_q q;
	bool found = false;
	enum kt_code rc;

	kt_q_open(&q, tx, "SELECT " ORG_COLUMNS " FROM orgs WHERE id = $1", err);
	kt_q_text(&q, 1, org_id);
	while (kt_q_row(&q)) {
		read_org(&q, arena, out);
		found = true;
	}
	rc = kt_q_end(&q);
	if (rc == KT_OK && !found)
		rc = kt_fail(err, KT_ENOTFOUND, 0, "no such organization");
	return rc;
}

enum kt_code kt_tx_orgs(struct kt_tx *tx, struct kt_arena *arena, struct kt_org_row **out,
	size_t *out_n, struct kt_err *err)
{
	struct kt_rows rows = { .size = sizeof(**out) };
	struct kt_q q;
	void *items = NULL;
	enum kt_code rc;

	kt_q_open(&q, tx, "SELECT " ORG_COLUMNS " FROM orgs ORDER BY created_us, id", err);
	while (kt_q_row(&q)) {
		struct kt_org_row *r = kt_rows_add(&rows, &q);

		if (!r)
			break;
		read_org(&q, arena, r);
	}
	rc = kt_rows_end(&rows, &q, arena, &items, out_n);
	if (rc == KT_OK)
		*out = items;
	return rc;
}

/* --- keys -------------------------------------------------------------------------------- */

#define HASH_BYTES 32

enum kt_code kt_tx_key_add(struct kt_tx *tx, const struct kt_key_row *row, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx,
		"INSERT INTO api_keys (id, org_id, name, prefix, last4, hash, scopes, created_us, "
		"created_by, last_used_us, expires_us, revoked_us) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
		err);
	kt_q_text(&q, 1, row->id);
	kt_q_text(&q, 2, row->org_id);
	kt_q_text(&q, 3, row->name);
	kt_q_text(&q, 4, row->prefix);
	kt_q_text(&q, 5, row->last4);
	kt_q_blob(&q, 6, row->hash, HASH_BYTES);
	kt_q_int(&q, 7, row->scopes);
	kt_q_int(&q, 8, row->created_us);
	kt_q_text(&q, 9, row->created_by);
	kt_q_int(&q, 10, row->last_used_us);
	kt_q_int(&q, 11, row->expires_us);
	kt_q_int(&q, 12, row->revoked_us);
	return kt_q_run(&q);
}

enum kt_code kt_tx_keys(struct kt_tx *tx, struct kt_arena *arena, const char *org_id,
	struct kt_key_row **out, size_t *out_n, struct kt_err *err)
{
	struct kt_rows rows = { .size = sizeof(**out) };
	struct kt_q q;
	void *items = NULL;
	size_t len;
	enum kt_code rc;

	kt_q_open(&q, tx,
		"SELECT id, org_id, name, prefix, last4, hash, scopes, created_us, created_by, "
		"last_used_us, expires_us, revoked_us FROM api_keys "
		"WHERE $1 IS NULL OR org_id = $1 ORDER BY created_us, id",
		err);
	kt_q_text(&q, 1, org_id);
	while (kt_q_row(&q)) {
		struct kt_key_row *r = kt_rows_add(&rows, &q);

		if (!r)
			break;
		r->id = kt_q_str(&q, arena, 0);
		r->org_id = kt_q_str(&q, arena, 1);
		r->name = kt_q_str(&q, arena, 2);
		r->prefix = kt_q_str(&q, arena, 3);
		r->last4 = kt_q_str(&q, arena, 4);
		/* The schema says that it has HASH_BYTES. */
		r->hash = kt_q_bytes(&q, arena, 5, &len);
		r->scopes = (unsigned)kt_q_num(&q, 6);
		r->created_us = kt_q_num(&q, 7);
		r->created_by = kt_q_str(&q, arena, 8);
		r->last_used_us = kt_q_num(&q, 9);
		r->expires_us = kt_q_num(&q, 10);
		r->revoked_us = kt_q_num(&q, 11);
	}
	rc = kt_rows_end(&rows, &q, arena, &items, out_n);
	if (rc == KT_OK)
		*out = items;
	return rc;
}

enum kt_code kt_tx_key_revoke(
	struct kt_tx *tx, const char *org_id, const char *key_id, int64_t at_us, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx,
		"UPDATE api_keys SET revoked_us = iif(revoked_us = 0, $3, revoked_us) "
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

	kt_q_open(&q, tx, "UPDATE api_keys SET last_used_us = max(last_used_us, $2) WHERE id = $1",
		err);
	kt_q_text(&q, 1, key_id);
	kt_q_int(&q, 2, at_us);
	return kt_q_run_one(&q, "no such key");
}
