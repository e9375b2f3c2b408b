/* SPDX-License-Identifier: MIT */
/* Operations on the sessions of browsers. */
#include "store/store_private.h"

enum kt_code kt_tx_web_add(struct kt_tx *tx, const struct kt_web_row *row, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx,
		"INSERT INTO web_sessions (hash, org_id, key_id, created_us, expires_us) "
		"VALUES ($1, $2, $3, $4, $5)",
		err);
	kt_q_text(&q, 1, row->hash);
	kt_q_text(&q, 2, row->org_id);
	kt_q_text(&q, 3, row->key_id);
	kt_q_int(&q, 4, row->created_us);
	kt_q_int(&q, 5, row->expires_us);
	return kt_q_run(&q);
}

enum kt_code kt_tx_webs(struct kt_tx *tx, struct kt_arena *arena, struct kt_web_row **out,
	size_t *out_n, struct kt_err *err)
{
	struct kt_rows rows = { .size = sizeof(**out) };
	struct kt_q q;
	void *items = NULL;
	enum kt_code rc;

	kt_q_open(&q, tx,
		"SELECT hash, org_id, key_id, created_us, expires_us FROM web_sessions "
		"ORDER BY created_us, hash",
		err);
	while (kt_q_row(&q)) {
		struct kt_web_row *r = kt_rows_add(&rows, &q);

		if (!r)
			break;
		r->hash = kt_q_str(&q, arena, 0);
		r->org_id = kt_q_str(&q, arena, 1);
		r->key_id = kt_q_str(&q, arena, 2);
		r->created_us = kt_q_num(&q, 3);
		r->expires_us = kt_q_num(&q, 4);
	}
	rc = kt_rows_end(&rows, &q, arena, &items, out_n);
	if (rc == KT_OK)
		*out = items;
	return rc;
}

enum kt_code kt_tx_web_delete(struct kt_tx *tx, const char *hash, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx, "DELETE FROM web_sessions WHERE hash = $1", err);
	kt_q_text(&q, 1, hash);
	return kt_q_run(&q);
}

enum kt_code kt_tx_webs_trim(struct kt_tx *tx, const char *key_id, size_t keep, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx,
		"DELETE FROM web_sessions WHERE key_id = $1 AND hash NOT IN (SELECT hash FROM "
		"web_sessions WHERE key_id = $1 ORDER BY created_us DESC, hash LIMIT $2)",
		err);
	kt_q_text(&q, 1, key_id);
	kt_q_int(&q, 2, (int64_t)keep);
	return kt_q_run(&q);
}

enum kt_code kt_tx_webs_expire(struct kt_tx *tx, int64_t now_us, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx,
		"DELETE FROM web_sessions WHERE expires_us <= $1 OR key_id IN "
		"(SELECT id FROM api_keys WHERE revoked_us > 0)",
		err);
	kt_q_int(&q, 1, now_us);
	return kt_q_run(&q);
}
