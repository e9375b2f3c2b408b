/* SPDX-License-Identifier: MIT */
/* Operations on releases and refs. */
#include "store/rows/table_private.h"

#include "base/limits.h"

#include "base/str.h"

#include <string.h>

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

static const char *const aim_names[] = {
	[KT_AIM_LIVE] = "live",
	[KT_AIM_UNPIN] = "unpin",
	[KT_AIM_READY] = "ready",
};

const char *kt_release_state_name(enum kt_release_state s)
{
	kt_assert((unsigned)s < N_STATES);
	return state_names[s];
}

static const struct kt_col release_cols[] = {
	KT_COL_TEXT(struct kt_release_row, id, KT_COL_KEY),
	KT_COL_TEXT(struct kt_release_row, org_id, 0),
	KT_COL_TEXT(struct kt_release_row, project_id, 0),
	KT_COL_INT(struct kt_release_row, version, 0),
	KT_COL_WORD(struct kt_release_row, state, KT_COL_PUT, state_names),
	KT_COL_TEXT(struct kt_release_row, digest, 0),
	KT_COL_TEXT(struct kt_release_row, kind, KT_COL_PUT),
	KT_COL_TEXT(struct kt_release_row, image_ref, KT_COL_PUT),
	KT_COL_TEXT(struct kt_release_row, harness, KT_COL_PUT),
	KT_COL_TEXT(struct kt_release_row, commit_sha, 0),
	KT_COL_TEXT(struct kt_release_row, ref, 0),
	KT_COL_TEXT(struct kt_release_row, message, 0),
	KT_COL_TEXT(struct kt_release_row, source, 0),
	KT_COL_TEXT(struct kt_release_row, env, 0),
	KT_COL_TEXT(struct kt_release_row, preview, 0),
	KT_COL_INT(struct kt_release_row, pr, 0),
	KT_COL_BOOL(struct kt_release_row, fork, 0),
	KT_COL_INT(struct kt_release_row, expires_us, KT_COL_PUT),
	KT_COL_INT(struct kt_release_row, config_version, 0),
	KT_COL_INT(struct kt_release_row, n_files, 0),
	KT_COL_INT(struct kt_release_row, n_bytes, 0),
	KT_COL_TEXT(struct kt_release_row, error_code, KT_COL_PUT),
	KT_COL_TEXT(struct kt_release_row, error, KT_COL_PUT),
	KT_COL_TEXT(struct kt_release_row, created_by, 0),
	KT_COL_INT(struct kt_release_row, created_us, 0),
	KT_COL_INT(struct kt_release_row, built_us, KT_COL_PUT),
	KT_COL_INT(struct kt_release_row, activated_us, KT_COL_PUT),
	KT_COL_WORD(struct kt_release_row, aim, KT_COL_PUT, aim_names),
	KT_COL_TEXT(struct kt_release_row, expected_commit, KT_COL_PUT),
};
static const struct kt_table releases = KT_TABLE("releases", struct kt_release_row, release_cols);

void kt_release_row_copy(
	struct kt_arena *arena, const struct kt_release_row *from, struct kt_release_row *to)
{
	kt_row_copy(&releases, arena, from, to);
}

static enum kt_code release_take(struct kt_q *q, struct kt_arena *arena, struct kt_release_row *out)
{
	return kt_q_one(q, &releases, arena, out, "no such release");
}

enum kt_code kt_tx_release_add(
	struct kt_tx *tx, const struct kt_release_row *row, struct kt_err *err)
{
	struct kt_q q;

	kt_q_insert(&q, tx, &releases, row, NULL, err);
	if (kt_q_run(&q) == KT_ECONFLICT)
		return kt_fail(err, KT_ECONFLICT, 0, "there is a version %lld already",
			(long long)row->version);
	return q.code;
}

enum kt_code kt_tx_release_put(
	struct kt_tx *tx, const struct kt_release_row *row, struct kt_err *err)
{
	struct kt_q q;

	kt_q_update(&q, tx, &releases, row, err);
	return kt_q_run_one(&q, "no such release");
}

enum kt_code kt_tx_release(struct kt_tx *tx, struct kt_arena *arena, const char *org_id,
	const char *release_id, struct kt_release_row *out, struct kt_err *err)
{
	struct kt_q q;

	kt_q_select(&q, tx, &releases, "FROM releases WHERE id = $2 AND org_id = $1", err);
	kt_q_text(&q, 1, org_id);
	kt_q_text(&q, 2, release_id);
	return release_take(&q, arena, out);
}

enum kt_code kt_tx_release_version(struct kt_tx *tx, struct kt_arena *arena, const char *project_id,
	int64_t version, struct kt_release_row *out, struct kt_err *err)
{
	struct kt_q q;

	kt_q_select(&q, tx, &releases, "FROM releases WHERE project_id = $1 AND version = $2", err);
	kt_q_text(&q, 1, project_id);
	kt_q_int(&q, 2, version);
	return release_take(&q, arena, out);
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
	kt_q_select(&q, tx, &releases,
		"FROM releases WHERE project_id = $1 AND commit_sha = $2 "
		"AND " BUILT " ORDER BY version DESC LIMIT 1",
		err);
	kt_q_text(&q, 1, project_id);
	kt_q_text(&q, 2, full);
	return release_take(&q, arena, out);
}

enum kt_code kt_tx_releases(struct kt_tx *tx, struct kt_arena *arena, const char *project_id,
	int64_t before, size_t limit, struct kt_release_row **out, size_t *out_n,
	struct kt_err *err)
{
	struct kt_q q;

	kt_q_select(&q, tx, &releases,
		"FROM releases WHERE project_id = $1 AND version < $2 "
		"ORDER BY version DESC LIMIT $3",
		err);
	kt_q_text(&q, 1, project_id);
	kt_q_int(&q, 2, before > 0 ? before : INT64_MAX);
	kt_q_int(&q, 3, (int64_t)KT_MIN(limit, (size_t)KT_STORE_MAX_ROWS));
	return kt_q_all(&q, &releases, arena, (void **)out, out_n);
}

enum kt_code kt_tx_releases_in(struct kt_tx *tx, struct kt_arena *arena, unsigned states,
	struct kt_release_row **out, size_t *out_n, struct kt_err *err)
{
	struct kt_q q;

	kt_q_select(&q, tx, &releases,
		"FROM releases WHERE state IN ($1, $2, $3, $4, $5, $6, $7, $8) "
		"ORDER BY created_us, project_id, version",
		err);
	for (unsigned i = 0; i < N_STATES; i++)
		kt_q_text(&q, (int)i + 1, states & (1U << i) ? state_names[i] : NULL);
	return kt_q_all(&q, &releases, arena, (void **)out, out_n);
}

/* --- refs -------------------------------------------------------------------------------- */

static const struct kt_col ref_cols[] = {
	KT_COL_TEXT(struct kt_ref_row, project_id, KT_COL_KEY),
	KT_COL_TEXT(struct kt_ref_row, name, KT_COL_KEY),
	KT_COL_TEXT(struct kt_ref_row, commit_sha, KT_COL_PUT),
	KT_COL_TEXT(struct kt_ref_row, release_id, KT_COL_PUT),
};
static const struct kt_table refs = KT_TABLE("refs", struct kt_ref_row, ref_cols);

enum kt_code kt_tx_refs(struct kt_tx *tx, struct kt_arena *arena, const char *project_id,
	struct kt_ref_row **out, size_t *out_n, struct kt_err *err)
{
	struct kt_q q;

	kt_q_select(&q, tx, &refs, "FROM refs WHERE project_id = $1 ORDER BY name", err);
	kt_q_text(&q, 1, project_id);
	return kt_q_all(&q, &refs, arena, (void **)out, out_n);
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
