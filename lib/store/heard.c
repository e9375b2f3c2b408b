/* SPDX-License-Identifier: MIT */
/* Operations on what webhooks delivered: digests of bodies, and the newest of each target. */
#include "store/store_private.h"

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
		"LIMIT -1 OFFSET $2)",
		err);
	kt_q_text(&q, 1, project_id);
	kt_q_int(&q, 2, KT_MAX_DELIVERIES);
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

enum kt_code kt_tx_heard(struct kt_tx *tx, struct kt_arena *arena, const char *project_id,
	const char *target, struct kt_heard_row *out, struct kt_err *err)
{
	struct kt_q q;
	bool found;
	enum kt_code rc;

	kt_q_open(&q, tx,
		"SELECT org_id, commit_sha, at_us, closed, done FROM heard "
		"WHERE project_id = $1 AND target = $2",
		err);
	kt_q_text(&q, 1, project_id);
	kt_q_text(&q, 2, target);
	found = kt_q_row(&q);
	if (found)
		*out = (struct kt_heard_row){
			.org_id = kt_q_str(&q, arena, 0),
			.project_id = project_id,
			.target = target,
			.commit_sha = kt_q_str(&q, arena, 1),
			.at_us = kt_q_num(&q, 2),
			.closed = kt_q_num(&q, 3) != 0,
			.done = kt_q_num(&q, 4) != 0,
		};
	rc = kt_q_end(&q);
	return rc == KT_OK && !found ? kt_fail(err, KT_ENOTFOUND, 0, "nothing was heard of it")
				     : rc;
}

static enum kt_code heard_put(struct kt_tx *tx, const struct kt_heard_row *row, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx,
		"INSERT INTO heard (org_id, project_id, target, commit_sha, at_us, closed, done) "
		"VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (project_id, target) DO UPDATE "
		"SET commit_sha = $4, at_us = $5, closed = $6, done = $7",
		err);
	kt_q_text(&q, 1, row->org_id);
	kt_q_text(&q, 2, row->project_id);
	kt_q_text(&q, 3, row->target);
	kt_q_text(&q, 4, row->commit_sha);
	kt_q_int(&q, 5, row->at_us);
	kt_q_int(&q, 6, row->closed);
	kt_q_int(&q, 7, row->done);
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
