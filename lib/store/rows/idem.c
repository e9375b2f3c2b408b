/* SPDX-License-Identifier: MIT */
/* Operations on idempotency keys: what was asked under a key, and what was answered. */
#include "store/rows/table_private.h"

#include "base/limits.h"

static const struct kt_col idem_cols[] = {
	KT_COL_TEXT(struct kt_idem_row, org_id, KT_COL_KEY),
	KT_COL_TEXT(struct kt_idem_row, scope, KT_COL_KEY),
	KT_COL_TEXT(struct kt_idem_row, key, KT_COL_KEY),
	KT_COL_TEXT(struct kt_idem_row, fingerprint, 0),
	KT_COL_SMALL(struct kt_idem_row, status, 0),
	KT_COL_TEXT(struct kt_idem_row, release_id, 0),
	KT_COL_TEXT(struct kt_idem_row, body, 0),
	KT_COL_INT(struct kt_idem_row, created_us, 0),
};
static const struct kt_table idempotency = KT_TABLE("idempotency", struct kt_idem_row, idem_cols);

/* Insert; *inserted is false when the key is there already. */
static enum kt_code idem_insert(
	struct kt_tx *tx, const struct kt_idem_row *row, bool *inserted, struct kt_err *err)
{
	struct kt_q q;
	const struct kt_idem_row running = { .org_id = row->org_id,
		.scope = row->scope,
		.key = row->key,
		.fingerprint = row->fingerprint,
		.created_us = row->created_us };

	kt_q_insert(&q, tx, &idempotency, &running, "ON CONFLICT DO NOTHING RETURNING 1", err);
	*inserted = kt_q_row(&q);
	return *inserted ? kt_q_run(&q) : kt_q_end(&q);
}

/*
 * Has the organization room for one more? What is remembered is not given up for it: that would do
 * a change twice.
 */
static enum kt_code idem_room(struct kt_tx *tx, const char *org_id, struct kt_err *err)
{
	struct kt_q q;
	int64_t n = 0, bytes = 0;
	enum kt_code rc;

	kt_q_open(&q, tx,
		"SELECT count(*), coalesce(sum(bytes), 0) FROM idempotency WHERE org_id = $1", err);
	kt_q_text(&q, 1, org_id);
	if (kt_q_row(&q)) {
		n = kt_q_num(&q, 0);
		bytes = kt_q_num(&q, 1);
	}
	rc = kt_q_end(&q);
	if (rc == KT_OK && bytes >= KT_MAX_IDEMPOTENCY_ANSWER_BYTES)
		rc = kt_fail(err, KT_ELIMIT, 0,
			"the answers to this organization's Idempotency-Keys of the last 24 hours "
			"have %d MiB (fixed): wait, or send fewer of them",
			KT_MAX_IDEMPOTENCY_ANSWER_BYTES / (1024 * 1024));
	if (rc == KT_OK && n > KT_MAX_IDEMPOTENCY_ROWS)
		rc = kt_fail(err, KT_ELIMIT, 0,
			"%d Idempotency-Keys of this organization's last 24 hours are remembered "
			"(fixed): wait, or send fewer of them",
			KT_MAX_IDEMPOTENCY_ROWS);
	return rc;
}

enum kt_code kt_tx_idem_begin(struct kt_tx *tx, struct kt_arena *arena,
	const struct kt_idem_row *row, struct kt_idem_row *out, struct kt_err *err)
{
	struct kt_q q;
	bool inserted = false;
	enum kt_code rc = idem_insert(tx, row, &inserted, err);

	if (rc == KT_OK && inserted)
		return idem_room(tx, row->org_id, err);
	if (rc != KT_OK)
		return rc;
	kt_q_select(&q, tx, &idempotency,
		"FROM idempotency WHERE org_id = $1 AND scope = $2 AND key = $3", err);
	kt_q_text(&q, 1, row->org_id);
	kt_q_text(&q, 2, row->scope);
	kt_q_text(&q, 3, row->key);
	rc = kt_q_one(&q, &idempotency, arena, out, "no such Idempotency-Key");
	if (rc == KT_OK)
		rc = kt_fail(err, KT_ECONFLICT, 0, "this Idempotency-Key was used already");
	return rc;
}

enum kt_code kt_tx_idem_end(struct kt_tx *tx, const struct kt_idem_row *row, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx,
		"UPDATE idempotency SET status = $4, release_id = $5, body = $6, bytes = $7 "
		"WHERE org_id = $1 AND scope = $2 AND key = $3",
		err);
	kt_q_text(&q, 1, row->org_id);
	kt_q_text(&q, 2, row->scope);
	kt_q_text(&q, 3, row->key);
	kt_q_int(&q, 4, row->status);
	kt_q_text(&q, 5, row->release_id);
	kt_q_text(&q, 6, row->body);
	kt_q_int(&q, 7, row->body ? (int64_t)strlen(row->body) : 0);
	return kt_q_run_one(&q, "no such Idempotency-Key");
}

enum kt_code kt_tx_idem_forget(struct kt_tx *tx, const char *org_id, const char *scope,
	const char *key, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx, "DELETE FROM idempotency WHERE org_id = $1 AND scope = $2 AND key = $3",
		err);
	kt_q_text(&q, 1, org_id);
	kt_q_text(&q, 2, scope);
	kt_q_text(&q, 3, key);
	return kt_q_run(&q);
}

enum kt_code kt_tx_idem_expire(
	struct kt_tx *tx, int64_t before_us, bool running, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx,
		"DELETE FROM idempotency WHERE created_us < $1 OR ($2 <> 0 AND status = 0)", err);
	kt_q_int(&q, 1, before_us);
	kt_q_int(&q, 2, running);
	return kt_q_run(&q);
}
