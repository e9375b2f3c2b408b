/* SPDX-License-Identifier: MIT */
/* Operations on the sessions of browsers. */
#include "store/rows/table_private.h"

static const struct kt_col web_cols[] = {
	KT_COL_TEXT(struct kt_web_row, hash, KT_COL_KEY),
	KT_COL_TEXT(struct kt_web_row, org_id, 0),
	KT_COL_TEXT(struct kt_web_row, key_id, 0),
	KT_COL_INT(struct kt_web_row, created_us, 0),
	KT_COL_INT(struct kt_web_row, expires_us, 0),
};
static const struct kt_table web_sessions = KT_TABLE("web_sessions", struct kt_web_row, web_cols);

enum kt_code kt_tx_web_add(struct kt_tx *tx, const struct kt_web_row *row, struct kt_err *err)
{
	struct kt_q q;

	kt_q_insert(&q, tx, &web_sessions, row, NULL, err);
	return kt_q_run(&q);
}

enum kt_code kt_tx_webs(struct kt_tx *tx, struct kt_arena *arena, struct kt_web_row **out,
	size_t *out_n, struct kt_err *err)
{
	struct kt_q q;

	kt_q_select(&q, tx, &web_sessions, "FROM web_sessions ORDER BY created_us, hash", err);
	return kt_q_all(&q, &web_sessions, arena, (void **)out, out_n);
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
