/* SPDX-License-Identifier: MIT */
/* Operations on releases and refs. */
#include "store/store_private.h"

#include "base/limits.h"

#include "base/str.h"

#include <string.h>

#define COLUMNS                                                                                    \
	"id, org_id, project_id, version, state, digest, kind, image_ref, harness, commit_sha, "   \
	"ref, message, source, env, preview, pr, fork, expires_us, config_version, n_files, "      \
	"n_bytes, error_code, error, created_by, created_us, built_us, activated_us"

#define N_STATES (KT_REL_EXPIRED + 1)
#define SHA_MIN 7 /* git's own shortest default */
#define SHA_MAX 64 /* SHA-256 repositories */

static const char *const state_names[N_STATES] = {
	[KT_REL_QUEUED] = "queued",
	[KT_REL_BUILDING] = "building",
	[KT_REL_READY] = "ready",
	[KT_REL_ACTIVE] = "active",
	[KT_REL_SUPERSEDED] = "superseded",
	[KT_REL_FAILED] = "failed",
	[KT_REL_PREVIEW] = "preview",
	[KT_REL_EXPIRED] = "expired",
};

const char *kt_release_state_name(enum kt_release_state s)
{
	kt_assert((unsigned)s < N_STATES);
	return state_names[s];
}

bool kt_release_state_parse(const char *s, enum kt_release_state *out)
{
	for (size_t i = 0; i < N_STATES; i++) {
		if (strcmp(s, state_names[i]) == 0) {
			*out = (enum kt_release_state)i;
			return true;
		}
	}
	return false;
}

static void release_read_row(struct kt_q *q, struct kt_arena *arena, struct kt_release_row *r)
{
	r->id = kt_q_str(q, arena, 0);
	r->org_id = kt_q_str(q, arena, 1);
	r->project_id = kt_q_str(q, arena, 2);
	r->version = kt_q_num(q, 3);
	/* The schema lets no other word in. */
	if (!kt_release_state_parse(kt_q_peek(q, 4), &r->state) && q->code == KT_OK)
		q->code = kt_fail(q->err, KT_EPROTO, 0, "release '%s' is in no known state", r->id);
	r->digest = kt_q_str(q, arena, 5);
	r->kind = kt_q_str(q, arena, 6);
	r->image_ref = kt_q_str(q, arena, 7);
	r->harness = kt_q_str(q, arena, 8);
	r->commit_sha = kt_q_str(q, arena, 9);
	r->ref = kt_q_str(q, arena, 10);
	r->message = kt_q_str(q, arena, 11);
	r->source = kt_q_str(q, arena, 12);
	r->env = kt_q_str(q, arena, 13);
	r->preview = kt_q_str(q, arena, 14);
	r->pr = kt_q_num(q, 15);
	r->fork = kt_q_num(q, 16) != 0;
	r->expires_us = kt_q_num(q, 17);
	r->config_version = kt_q_num(q, 18);
	r->n_files = kt_q_num(q, 19);
	r->n_bytes = kt_q_num(q, 20);
	r->error_code = kt_q_str(q, arena, 21);
	r->error = kt_q_str(q, arena, 22);
	r->created_by = kt_q_str(q, arena, 23);
	r->created_us = kt_q_num(q, 24);
	r->built_us = kt_q_num(q, 25);
	r->activated_us = kt_q_num(q, 26);
}

/* The one row of q, which is ended. */
static enum kt_code take_one(
	struct kt_q *q, struct kt_arena *arena, struct kt_release_row *out, struct kt_err *err)
{
	struct kt_release_row row = { 0 };
	bool found = kt_q_row(q);
	enum kt_code rc;

	if (found)
		release_read_row(q, arena, &row);
	rc = kt_q_end(q);
	if (rc != KT_OK)
		return rc;
	if (!found)
		return kt_fail(err, KT_ENOTFOUND, 0, "no such release");
	*out = row;
	return KT_OK;
}

static enum kt_code releases_take_all(
	struct kt_q *q, struct kt_arena *arena, struct kt_release_row **out, size_t *out_n)
{
	struct kt_rows rows = { .size = sizeof(**out) };
	void *items = NULL;
	enum kt_code rc;

	while (kt_q_row(q)) {
		struct kt_release_row *r = kt_rows_add(&rows, q);

		if (!r)
			break;
		release_read_row(q, arena, r);
	}
	rc = kt_rows_end(&rows, q, arena, &items, out_n);
	if (rc == KT_OK)
		*out = items;
	return rc;
}

enum kt_code kt_tx_release_add(
	struct kt_tx *tx, const struct kt_release_row *row, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx,
		"INSERT INTO releases (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, "
		"$10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, "
		"$26, $27)",
		err);
	kt_q_text(&q, 1, row->id);
	kt_q_text(&q, 2, row->org_id);
	kt_q_text(&q, 3, row->project_id);
	kt_q_int(&q, 4, row->version);
	kt_q_text(&q, 5, kt_release_state_name(row->state));
	kt_q_text(&q, 6, row->digest);
	kt_q_text(&q, 7, row->kind);
	kt_q_text(&q, 8, row->image_ref);
	kt_q_text(&q, 9, row->harness);
	kt_q_text(&q, 10, row->commit_sha);
	kt_q_text(&q, 11, row->ref);
	kt_q_text(&q, 12, row->message);
	kt_q_text(&q, 13, row->source);
	kt_q_text(&q, 14, row->env);
	kt_q_text(&q, 15, row->preview);
	kt_q_int(&q, 16, row->pr);
	kt_q_int(&q, 17, row->fork);
	kt_q_int(&q, 18, row->expires_us);
	kt_q_int(&q, 19, row->config_version);
	kt_q_int(&q, 20, row->n_files);
	kt_q_int(&q, 21, row->n_bytes);
	kt_q_text(&q, 22, row->error_code);
	kt_q_text(&q, 23, row->error);
	kt_q_text(&q, 24, row->created_by);
	kt_q_int(&q, 25, row->created_us);
	kt_q_int(&q, 26, row->built_us);
	kt_q_int(&q, 27, row->activated_us);
	if (kt_q_run(&q) == KT_ECONFLICT)
		return kt_fail(err, KT_ECONFLICT, 0, "there is a version %lld already",
			(long long)row->version);
	return q.code;
}

enum kt_code kt_tx_release_put(
	struct kt_tx *tx, const struct kt_release_row *row, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx,
		"UPDATE releases SET state = $2, kind = $3, image_ref = $4, harness = $5, "
		"expires_us = $6, error_code = $7, error = $8, built_us = $9, activated_us = $10 "
		"WHERE id = $1",
		err);
	kt_q_text(&q, 1, row->id);
	kt_q_text(&q, 2, kt_release_state_name(row->state));
	kt_q_text(&q, 3, row->kind);
	kt_q_text(&q, 4, row->image_ref);
	kt_q_text(&q, 5, row->harness);
	kt_q_int(&q, 6, row->expires_us);
	kt_q_text(&q, 7, row->error_code);
	kt_q_text(&q, 8, row->error);
	kt_q_int(&q, 9, row->built_us);
	kt_q_int(&q, 10, row->activated_us);
	return kt_q_run_one(&q, "no such release");
}

enum kt_code kt_tx_release(struct kt_tx *tx, struct kt_arena *arena, const char *org_id,
	const char *release_id, struct kt_release_row *out, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx, "SELECT " COLUMNS " FROM releases WHERE id = $2 AND org_id = $1", err);
	kt_q_text(&q, 1, org_id);
	kt_q_text(&q, 2, release_id);
	return take_one(&q, arena, out, err);
}

enum kt_code kt_tx_release_version(struct kt_tx *tx, struct kt_arena *arena, const char *project_id,
	int64_t version, struct kt_release_row *out, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx, "SELECT " COLUMNS " FROM releases WHERE project_id = $1 AND version = $2",
		err);
	kt_q_text(&q, 1, project_id);
	kt_q_int(&q, 2, version);
	return take_one(&q, arena, out, err);
}

/* Lower-case hexadecimal of sha into out (SHA_MAX + 2 bytes); false when it is no commit's name. */
static bool clean_sha(const char *sha, char *out)
{
	size_t n = strlen(sha);

	if (n < SHA_MIN || n > SHA_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = sha[i];

		if (c >= 'A' && c <= 'F')
			c = (char)(c - 'A' + 'a');
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		out[i] = c;
	}
	out[n] = '\0';
	return true;
}

#define BUILT "state NOT IN ('queued', 'building', 'failed')"

enum kt_code kt_tx_release_commit(struct kt_tx *tx, struct kt_arena *arena, const char *project_id,
	const char *sha, struct kt_release_row *out, struct kt_err *err)
{
	char low[SHA_MAX + 2], high[SHA_MAX + 2];
	char full[SHA_MAX + 2] = "";
	struct kt_q q;
	size_t n = 0;
	enum kt_code rc;

	if (!clean_sha(sha, low))
		return kt_fail(err, KT_ENOTFOUND, 0,
			"a commit is named by at least %d hexadecimal digits", SHA_MIN);
	/* All names that begin with low are below low + 'g', the letter after 'f'. */
	(void)kt_str_copy(high, sizeof(high), low);
	memcpy(high + strlen(high), "g", 2);
	kt_q_open(&q, tx,
		"SELECT DISTINCT commit_sha FROM releases WHERE project_id = $1 "
		"AND commit_sha >= $2 AND commit_sha < $3 AND " BUILT " ORDER BY commit_sha",
		err);
	kt_q_text(&q, 1, project_id);
	kt_q_text(&q, 2, low);
	kt_q_text(&q, 3, high);
	/* One that was fetched by a short name is the commit whose name begins with it. */
	while (n < 2 && kt_q_row(&q)) {
		n += !full[0] || !kt_str_starts(kt_q_peek(&q, 0), full);
		(void)kt_str_copy(full, sizeof(full), kt_q_peek(&q, 0));
	}
	rc = kt_q_end(&q);
	if (rc != KT_OK)
		return rc;
	if (n > 1)
		return kt_fail(
			err, KT_ECONFLICT, 0, "'%s' is the beginning of several commits", low);
	kt_q_open(&q, tx,
		"SELECT " COLUMNS " FROM releases WHERE project_id = $1 AND commit_sha = $2 "
		"AND " BUILT " ORDER BY version DESC LIMIT 1",
		err);
	kt_q_text(&q, 1, project_id);
	kt_q_text(&q, 2, full);
	return take_one(&q, arena, out, err);
}

enum kt_code kt_tx_releases(struct kt_tx *tx, struct kt_arena *arena, const char *project_id,
	int64_t before, size_t limit, struct kt_release_row **out, size_t *out_n,
	struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx,
		"SELECT " COLUMNS " FROM releases WHERE project_id = $1 AND version < $2 "
		"ORDER BY version DESC LIMIT $3",
		err);
	kt_q_text(&q, 1, project_id);
	kt_q_int(&q, 2, before > 0 ? before : INT64_MAX);
	kt_q_int(&q, 3, (int64_t)KT_MIN(limit, (size_t)KT_STORE_MAX_ROWS));
	return releases_take_all(&q, arena, out, out_n);
}

enum kt_code kt_tx_releases_in(struct kt_tx *tx, struct kt_arena *arena, unsigned states,
	struct kt_release_row **out, size_t *out_n, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx,
		"SELECT " COLUMNS " FROM releases WHERE state IN ($1, $2, $3, $4, $5, $6, $7, $8) "
		"ORDER BY created_us, project_id, version",
		err);
	for (unsigned i = 0; i < N_STATES; i++)
		kt_q_text(&q, (int)i + 1, states & (1U << i) ? state_names[i] : NULL);
	return releases_take_all(&q, arena, out, out_n);
}

/* --- refs -------------------------------------------------------------------------------- */

enum kt_code kt_tx_refs(struct kt_tx *tx, struct kt_arena *arena, const char *project_id,
	struct kt_ref_row **out, size_t *out_n, struct kt_err *err)
{
	struct kt_rows rows = { .size = sizeof(**out) };
	struct kt_q q;
	void *items = NULL;
	enum kt_code rc;

	kt_q_open(&q, tx,
		"SELECT project_id, name, commit_sha, release_id FROM refs WHERE project_id = $1 "
		"ORDER BY name",
		err);
	kt_q_text(&q, 1, project_id);
	while (kt_q_row(&q)) {
		struct kt_ref_row *r = kt_rows_add(&rows, &q);

		if (!r)
			break;
		r->project_id = kt_q_str(&q, arena, 0);
		r->name = kt_q_str(&q, arena, 1);
		r->commit_sha = kt_q_str(&q, arena, 2);
		r->release_id = kt_q_str(&q, arena, 3);
	}
	rc = kt_rows_end(&rows, &q, arena, &items, out_n);
	if (rc == KT_OK)
		*out = items;
	return rc;
}

/* KT_ECONFLICT unless the ref's commit is `expected` ("" = it is not there). */
static enum kt_code check_ref(
	struct kt_tx *tx, const struct kt_ref_row *row, const char *expected, struct kt_err *err)
{
	struct kt_q q;
	bool same;
	enum kt_code rc;

	kt_q_open(&q, tx, "SELECT commit_sha FROM refs WHERE project_id = $1 AND name = $2", err);
	kt_q_text(&q, 1, row->project_id);
	kt_q_text(&q, 2, row->name);
	same = strcmp(kt_q_row(&q) ? kt_q_peek(&q, 0) : "", expected) == 0;
	rc = kt_q_end(&q);
	if (rc == KT_OK && !same)
		rc = kt_fail(err, KT_ECONFLICT, 0, "'%s' has moved", row->name);
	return rc;
}

/* Who lists them gets all, so there must be an end. What was set in vain goes with the transaction.
 */
static enum kt_code check_ref_count(struct kt_tx *tx, const char *project_id, struct kt_err *err)
{
	struct kt_q q;
	int64_t n = 0;
	enum kt_code rc;

	kt_q_open(&q, tx, "SELECT count(*) FROM refs WHERE project_id = $1", err);
	kt_q_text(&q, 1, project_id);
	if (kt_q_row(&q))
		n = kt_q_num(&q, 0);
	rc = kt_q_end(&q);
	if (rc == KT_OK && n > KT_MAX_REFS)
		rc = kt_fail(err, KT_ELIMIT, 0,
			"the project has %d branches already (fixed); delete some", KT_MAX_REFS);
	return rc;
}

enum kt_code kt_tx_ref_set(
	struct kt_tx *tx, const struct kt_ref_row *row, const char *expected, struct kt_err *err)
{
	enum kt_code rc = expected ? check_ref(tx, row, expected, err) : KT_OK;
	struct kt_q q;

	if (rc != KT_OK)
		return rc;
	kt_q_open(&q, tx,
		"INSERT INTO refs (org_id, project_id, name, commit_sha, release_id) "
		"SELECT org_id, id, $2, $3, $4 FROM projects WHERE id = $1 "
		"ON CONFLICT (project_id, name) DO UPDATE SET commit_sha = excluded.commit_sha, "
		"release_id = excluded.release_id",
		err);
	kt_q_text(&q, 1, row->project_id);
	kt_q_text(&q, 2, row->name);
	kt_q_text(&q, 3, row->commit_sha);
	kt_q_text(&q, 4, row->release_id);
	rc = kt_q_run_one(&q, "no such project");
	return rc == KT_OK ? check_ref_count(tx, row->project_id, err) : rc;
}

enum kt_code kt_tx_ref_delete(
	struct kt_tx *tx, const char *project_id, const char *name, struct kt_err *err)
{
	struct kt_q q;

	kt_q_open(&q, tx, "DELETE FROM refs WHERE project_id = $1 AND name = $2", err);
	kt_q_text(&q, 1, project_id);
	kt_q_text(&q, 2, name);
	return kt_q_run(&q);
}
