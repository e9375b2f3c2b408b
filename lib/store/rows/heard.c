/* SPDX-License-Identifier: MIT */
/* Operations on what webhooks delivered: digests of bodies, and the newest of each target. */
#include "store/rows/table_private.h"

#include "base/limits.h"

enum kt_code kt_tx_delivery_seen(
	struct kt_tx *tx, const char *project_id, const char *digest, bool *out, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx, "SELECT 1 FROM deliveries WHERE project_id = $1 AND digest = $2", err);
	kt_q_text(&q, 1, project_id);
	kt_q_text(&q, 2, digest);
	*out = kt_q_row(&q);
	return kt_q_end(&q);
}

enum kt_code kt_tx_delivery_add(struct kt_tx *tx, const char *org_id, const char *project_id,
	const char *digest, int64_t at_us, struct kt_err *err)
{
	struct kt_q q;
	enum kt_code rc;

	kt_q_open(&q, tx,
		"INSERT INTO deliveries (org_id, project_id, digest, done, delivered_us) "
		"VALUES ($1, $2, $3, 0, $4) ON CONFLICT DO NOTHING",
		err);
	kt_q_text(&q, 1, org_id);
	kt_q_text(&q, 2, project_id);
	kt_q_text(&q, 3, digest);
	kt_q_int(&q, 4, at_us);
	rc = kt_q_run(&q);
	if (rc != KT_OK)
		return rc;
	kt_q_open(&q, tx,
		"DELETE FROM deliveries WHERE project_id = $1 AND digest IN (SELECT digest FROM "
		"deliveries WHERE project_id = $1 ORDER BY delivered_us DESC, digest "
		"LIMIT $3 OFFSET $2)",
		err);
	kt_q_text(&q, 1, project_id);
	kt_q_int(&q, 2, KT_MAX_DELIVERIES);
	kt_q_int(&q, 3, KT_STORE_MAX_ROWS);
	return kt_q_run(&q);
}

enum kt_code kt_tx_delivery_end(
	struct kt_tx *tx, const char *project_id, const char *digest, bool done, struct kt_err *err)
{
	struct kt_q q;

	if (done)
		kt_q_open(&q, tx,
			"UPDATE deliveries SET done = 1 WHERE project_id = $1 AND digest = $2",
			err);
	else
		kt_q_open(&q, tx, "DELETE FROM deliveries WHERE project_id = $1 AND digest = $2",
			err);
	kt_q_text(&q, 1, project_id);
	kt_q_text(&q, 2, digest);
	return kt_q_run(&q);
}

enum kt_code kt_tx_deliveries_recover(struct kt_tx *tx, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx, "DELETE FROM deliveries WHERE done = 0", err);
	return kt_q_run(&q);
}

static const struct kt_col heard_cols[] = {
	KT_COL_TEXT(struct kt_heard_row, org_id, 0),
	KT_COL_TEXT(struct kt_heard_row, project_id, KT_COL_KEY),
	KT_COL_TEXT(struct kt_heard_row, target, KT_COL_KEY),
	KT_COL_TEXT(struct kt_heard_row, commit_sha, KT_COL_PUT),
	KT_COL_INT(struct kt_heard_row, at_us, KT_COL_PUT),
	KT_COL_BOOL(struct kt_heard_row, closed, KT_COL_PUT),
	KT_COL_BOOL(struct kt_heard_row, done, KT_COL_PUT),
};
static const struct kt_table heard = KT_TABLE("heard", struct kt_heard_row, heard_cols);

enum kt_code kt_tx_heard(struct kt_tx *tx, struct kt_arena *arena, const char *project_id,
	const char *target, struct kt_heard_row *out, struct kt_err *err)
{
	struct kt_q q;

	kt_q_select(&q, tx, &heard, "FROM heard WHERE project_id = $1 AND target = $2", err);
	kt_q_text(&q, 1, project_id);
	kt_q_text(&q, 2, target);
	return kt_q_one(&q, &heard, arena, out, "nothing was heard of it");
}

static enum kt_code heard_put(struct kt_tx *tx, const struct kt_heard_row *row, struct kt_err *err)
{
	struct kt_q q;

	kt_q_insert(&q, tx, &heard, row,
		"ON CONFLICT (project_id, target) DO UPDATE SET commit_sha = excluded.commit_sha, "
		"at_us = excluded.at_us, closed = excluded.closed, done = excluded.done",
		err);
	return kt_q_run(&q);
}

/* The target to forget when there are too many; NULL when there are not. */
static enum kt_code too_old(struct kt_tx *tx, struct kt_arena *arena, const char *project_id,
	struct kt_heard_row *out, struct kt_err *err)
{
	struct kt_q q;

	*out = (struct kt_heard_row){ .project_id = project_id };
	kt_q_open(&q, tx,
		"SELECT org_id, target, at_us FROM heard WHERE project_id = $1 AND "
		"target LIKE 'pull/_%' AND target <> 'pull/*' "
		"ORDER BY at_us DESC, target LIMIT 1 OFFSET $2",
		err);
	kt_q_text(&q, 1, project_id);
	kt_q_int(&q, 2, KT_MAX_HEARD);
	if (kt_q_row(&q)) {
		out->org_id = kt_q_str(&q, arena, 0);
		out->target = kt_q_str(&q, arena, 1);
		out->at_us = kt_q_num(&q, 2);
	}
	return kt_q_end(&q);
}

enum kt_code kt_tx_heard_put(struct kt_tx *tx, struct kt_arena *arena,
	const struct kt_heard_row *row, struct kt_err *err)
{
	struct kt_heard_row old;
	struct kt_q q;
	enum kt_code rc = heard_put(tx, row, err);

	if (rc == KT_OK)
		rc = too_old(tx, arena, row->project_id, &old, err);
	if (rc != KT_OK || !old.target)
		return rc;
	kt_q_open(&q, tx, "DELETE FROM heard WHERE project_id = $1 AND target = $2", err);
	kt_q_text(&q, 1, old.project_id);
	kt_q_text(&q, 2, old.target);
	rc = kt_q_run(&q);
	/* What is older than something forgotten stays old. */
	old.target = KT_HEARD_FORGOTTEN;
	old.commit_sha = "";
	return rc == KT_OK ? heard_put(tx, &old, err) : rc;
}

enum kt_code kt_tx_heard_done(struct kt_tx *tx, const struct kt_heard_row *row, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx,
		"UPDATE heard SET done = 1 WHERE project_id = $1 AND target = $2 AND "
		"commit_sha = $3 AND at_us = $4",
		err);
	kt_q_text(&q, 1, row->project_id);
	kt_q_text(&q, 2, row->target);
	kt_q_text(&q, 3, row->commit_sha);
	kt_q_int(&q, 4, row->at_us);
	return kt_q_run(&q);
}
