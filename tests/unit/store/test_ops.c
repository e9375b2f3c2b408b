/* SPDX-License-Identifier: MIT */
/* Every operation: what is put is what comes back, and what must not be is refused. */
#include "store_test.h"

#include "base/limits.h"

#define OK(call)                                                                                   \
	do {                                                                                       \
		enum kt_code c_ = (call);                                                          \
		if (c_ != KT_OK) {                                                                 \
			print_error("%s:%d: %s\n", __FILE__, __LINE__, err ? err->msg : "");       \
			return c_;                                                                 \
		}                                                                                  \
	} while (0)

static enum kt_code make_base(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct kt_project_row p1 = project("proj_1", "org_1", "bot");
	struct kt_project_row p2 = project("proj_2", "org_2", "bot");

	(void)arg;
	OK(kt_tx_org_add(tx, &org1, err));
	OK(kt_tx_org_add(tx, &org2, err));
	OK(kt_tx_project_add(tx, &p1, err));
	OK(kt_tx_project_add(tx, &p2, err));
	return KT_OK;
}

/* --- organizations and keys -------------------------------------------------------------------- */

static enum kt_code orgs_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct kt_org_row *rows = NULL, again = org1;
	size_t n = 99;

	(void)arg;
	OK(kt_tx_orgs(tx, arena, &rows, &n, err));
	assert_int_equal(n, 0);
	assert_non_null(rows);
	OK(kt_tx_org_add(tx, &org2, err));
	OK(kt_tx_org_add(tx, &org1, err));
	again.id = "org_9";
	assert_int_equal(kt_tx_org_add(tx, &again, err), KT_ECONFLICT);
	assert_non_null(strstr(err->msg, "default"));
	OK(kt_tx_orgs(tx, arena, &rows, &n, err));
	assert_int_equal(n, 2);
	assert_string_equal(rows[0].id, "org_1");
	assert_string_equal(rows[0].slug, "default");
	assert_string_equal(rows[0].name, "Default");
	assert_int_equal(rows[1].created_us, 2);
	return KT_OK;
}

static void orgs(void **state)
{
	struct kt_store *st = open_store(NULL);

	(void)state;
	run(st, true, orgs_work);
	kt_store_close(st);
}

static enum kt_code keys_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	unsigned char hash[32] = { 1, 0, 2 }, hash2[32] = { 9 };
	struct kt_key_row key = { .id = "key_1", .org_id = "org_1", .name = "ci \xe2\x82\xac",
		.prefix = "kt_live_abcdef", .last4 = "wxyz", .hash = hash, .scopes = 5,
		.created_us = 10, .created_by = "setup", .expires_us = 99 };
	struct kt_key_row *rows = NULL;
	size_t n = 0;

	(void)arg;
	OK(make_base(tx, NULL, err));
	OK(kt_tx_key_add(tx, &key, err));
	key.id = "key_2";
	/* Two keys with one hash would be one key with two owners. */
	assert_int_equal(kt_tx_key_add(tx, &key, err), KT_ECONFLICT);
	key.hash = hash2;
	key.org_id = "org_none";
	assert_int_equal(kt_tx_key_add(tx, &key, err), KT_ENOTFOUND);
	key.org_id = "org_2";
	OK(kt_tx_key_add(tx, &key, err));

	OK(kt_tx_keys(tx, arena, NULL, &rows, &n, err));
	assert_int_equal(n, 2);
	OK(kt_tx_keys(tx, arena, "org_1", &rows, &n, err));
	assert_int_equal(n, 1);
	assert_string_equal(rows[0].id, "key_1");
	assert_string_equal(rows[0].org_id, "org_1");
	assert_string_equal(rows[0].name, "ci \xe2\x82\xac");
	assert_string_equal(rows[0].prefix, "kt_live_abcdef");
	assert_string_equal(rows[0].last4, "wxyz");
	assert_memory_equal(rows[0].hash, hash, 32);
	assert_int_equal(rows[0].scopes, 5);
	assert_int_equal(rows[0].created_us, 10);
	assert_string_equal(rows[0].created_by, "setup");
	assert_int_equal(rows[0].last_used_us, 0);
	assert_int_equal(rows[0].expires_us, 99);
	assert_int_equal(rows[0].revoked_us, 0);

	assert_int_equal(kt_tx_key_revoke(tx, "org_1", "key_2", 5, err), KT_ENOTFOUND);
	OK(kt_tx_key_revoke(tx, "org_1", "key_1", 50, err));
	OK(kt_tx_key_revoke(tx, "org_1", "key_1", 60, err));
	OK(kt_tx_key_used(tx, "key_1", 70, err));
	OK(kt_tx_key_used(tx, "key_1", 65, err)); /* a late report does not turn time back */
	assert_int_equal(kt_tx_key_used(tx, "key_none", 1, err), KT_ENOTFOUND);
	OK(kt_tx_keys(tx, arena, "org_1", &rows, &n, err));
	assert_int_equal(rows[0].revoked_us, 50);
	assert_int_equal(rows[0].last_used_us, 70);
	return KT_OK;
}

static void keys(void **state)
{
	struct kt_store *st = open_store(NULL);

	(void)state;
	run(st, true, keys_work);
	kt_store_close(st);
}

/* --- browsers ---------------------------------------------------------------------------------- */

static enum kt_code webs_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	unsigned char hash[32] = { 1 }, hash2[32] = { 2 };
	struct kt_key_row key = { .id = "key_1", .org_id = "org_1", .name = "a", .prefix = "kt_live_abcdef",
		.last4 = "wxyz", .hash = hash, .scopes = 1, .created_us = 10, .created_by = "setup" };
	char name[65];
	struct kt_web_row w = { .hash = name, .org_id = "org_1", .key_id = "key_1" };
	struct kt_web_row *rows = NULL;
	size_t n = 0;

	(void)arg;
	OK(make_base(tx, NULL, err));
	OK(kt_tx_key_add(tx, &key, err));
	key.id = "key_2";
	key.hash = hash2;
	OK(kt_tx_key_add(tx, &key, err));
	for (int i = 0; i < 6; i++) {
		memset(name, "0123456789abcdef"[i], 64);
		name[64] = '\0';
		w.key_id = i == 5 ? "key_2" : "key_1";
		w.created_us = 100 - i;
		w.expires_us = 1000 + i;
		OK(kt_tx_web_add(tx, &w, err));
	}
	assert_int_equal(kt_tx_web_add(tx, &w, err), KT_ECONFLICT);
	w.key_id = "key_none";
	name[0] = 'f';
	assert_int_equal(kt_tx_web_add(tx, &w, err), KT_ENOTFOUND);
	/* The newest two of the first key: those that were added first. */
	OK(kt_tx_webs_trim(tx, "key_1", 2, err));
	OK(kt_tx_webs(tx, arena, &rows, &n, err));
	assert_int_equal(n, 3);
	assert_string_equal(rows[0].key_id, "key_2");
	assert_int_equal(rows[1].created_us, 99);
	assert_int_equal(rows[2].created_us, 100);
	assert_int_equal(rows[2].expires_us, 1000);
	assert_string_equal(rows[2].org_id, "org_1");
	OK(kt_tx_webs_expire(tx, 1000, err));
	OK(kt_tx_webs(tx, arena, &rows, &n, err));
	assert_int_equal(n, 2);
	OK(kt_tx_key_revoke(tx, "org_1", "key_1", 50, err));
	OK(kt_tx_webs_expire(tx, 0, err));
	OK(kt_tx_webs(tx, arena, &rows, &n, err));
	assert_int_equal(n, 1);
	OK(kt_tx_web_delete(tx, "none", err));
	OK(kt_tx_web_delete(tx, rows[0].hash, err));
	OK(kt_tx_webs(tx, arena, &rows, &n, err));
	assert_int_equal(n, 0);
	return KT_OK;
}

static void webs(void **state)
{
	struct kt_store *st = open_store(NULL);

	(void)state;
	run(st, true, webs_work);
	kt_store_close(st);
}

/* --- projects ---------------------------------------------------------------------------------- */

static enum kt_code projects_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct kt_project_row p = project("proj_3", "org_1", "bot"), got = { 0 }, *rows = NULL;
	struct kt_release_row r = release("rel_1", "proj_3", 1, KT_REL_ACTIVE);
	size_t n = 0;

	(void)arg;
	OK(make_base(tx, NULL, err));
	/* One name in one organization, one label on the server. */
	assert_int_equal(kt_tx_project_add(tx, &p, err), KT_ECONFLICT);
	p.slug = "zed";
	p.label = "proj_1";
	assert_int_equal(kt_tx_project_add(tx, &p, err), KT_ECONFLICT);
	assert_non_null(strstr(err->msg, "taken"));
	p.label = "zed";
	p.org_id = "org_none";
	assert_int_equal(kt_tx_project_add(tx, &p, err), KT_ENOTFOUND);
	p.org_id = "org_1";
	OK(kt_tx_project_add(tx, &p, err));

	OK(kt_tx_project(tx, arena, "org_1", "zed", &got, err));
	assert_string_equal(got.id, "proj_3");
	assert_null(got.harness);
	assert_null(got.dir);
	assert_null(got.current_release_id);
	assert_null(got.pin_reason);
	assert_null(got.repo_url);
	assert_null(got.repo_token);
	assert_int_equal(got.repo_token_len, 0);
	assert_int_equal(got.next_version, 1);
	OK(kt_tx_project(tx, arena, "org_1", "proj_3", &got, err));
	assert_string_equal(got.slug, "zed");
	/* Another organization's is not there, by id or by name. */
	assert_int_equal(kt_tx_project(tx, arena, "org_2", "proj_3", &got, err), KT_ENOTFOUND);
	assert_int_equal(kt_tx_project(tx, arena, "org_2", "zed", &got, err), KT_ENOTFOUND);

	OK(kt_tx_release_add(tx, &r, err));
	p.harness = "claude";
	p.dir = "/srv/x";
	p.production_ref = "refs/heads/live";
	p.current_release_id = "rel_1";
	p.pin_reason = "rollback";
	p.next_version = 7;
	p.config_version = 3;
	p.repo_url = "https://git.example/x";
	p.repo_token = "a\0b";
	p.repo_token_len = 3;
	p.webhook_secret = "";
	p.webhook_secret_len = 0;
	OK(kt_tx_project_put(tx, &p, err));
	OK(kt_tx_project(tx, arena, "org_1", "zed", &got, err));
	assert_string_equal(got.harness, "claude");
	assert_string_equal(got.dir, "/srv/x");
	assert_string_equal(got.production_ref, "refs/heads/live");
	assert_string_equal(got.current_release_id, "rel_1");
	assert_string_equal(got.pin_reason, "rollback");
	assert_int_equal(got.next_version, 7);
	assert_int_equal(got.config_version, 3);
	assert_string_equal(got.repo_url, "https://git.example/x");
	assert_int_equal(got.repo_token_len, 3);
	assert_memory_equal(got.repo_token, "a\0b", 3);
	assert_non_null(got.webhook_secret); /* empty is not absent */
	assert_int_equal(got.created_us, 3);

	p.slug = "bot";
	assert_int_equal(kt_tx_project_put(tx, &p, err), KT_ECONFLICT);
	p.slug = "zed";
	p.current_release_id = "rel_none";
	assert_int_equal(kt_tx_project_put(tx, &p, err), KT_ENOTFOUND);
	p.id = "proj_none";
	assert_int_equal(kt_tx_project_put(tx, &p, err), KT_ENOTFOUND);

	OK(kt_tx_projects(tx, arena, "org_1", &rows, &n, err));
	assert_int_equal(n, 2);
	assert_string_equal(rows[0].slug, "bot");
	assert_string_equal(rows[1].slug, "zed");
	OK(kt_tx_projects(tx, arena, NULL, &rows, &n, err));
	assert_int_equal(n, 3);
	return KT_OK;
}

static void projects(void **state)
{
	struct kt_store *st = open_store(NULL);

	(void)state;
	run(st, true, projects_work);
	kt_store_close(st);
}

static enum kt_code delete_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct kt_project_row p = project("proj_1", "org_1", "bot");
	struct kt_release_row r = release("rel_1", "proj_1", 1, KT_REL_ACTIVE);
	struct kt_ref_row ref = { "proj_1", "refs/heads/main", "abc", "rel_1" };
	struct kt_config_row var = { "KEY", "v", 1 };

	(void)arg;
	OK(make_base(tx, NULL, err));
	OK(kt_tx_release_add(tx, &r, err));
	OK(kt_tx_ref_set(tx, &ref, NULL, err));
	OK(kt_tx_config_add(tx, "proj_1", 1, &var, 1, err));
	p.current_release_id = "rel_1";
	OK(kt_tx_project_put(tx, &p, err));
	assert_int_equal(kt_tx_project_delete(tx, "org_2", "proj_1", err), KT_ENOTFOUND);
	OK(kt_tx_project_delete(tx, "org_1", "proj_1", err));
	assert_int_equal(kt_tx_project_delete(tx, "org_1", "proj_1", err), KT_ENOTFOUND);
	return KT_OK;
}

static void project_delete(void **state)
{
	struct kt_store *st = open_store(NULL);

	(void)state;
	run(st, true, delete_work);
	kt_store_close(st);
	assert_int_equal(raw_number("SELECT count(*) FROM projects"), 1);
	assert_int_equal(raw_number("SELECT (SELECT count(*) FROM releases) + "
				    "(SELECT count(*) FROM refs) + "
				    "(SELECT count(*) FROM config_vars)"),
		0);
	assert_int_equal(raw_number("SELECT count(*) FROM pragma_foreign_key_check"), 0);
}

/* --- releases ---------------------------------------------------------------------------------- */

static enum kt_code release_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct kt_release_row r = { .id = "rel_1", .org_id = "org_1", .project_id = "proj_1",
		.version = 4, .state = KT_REL_BUILDING, .digest = "dd", .kind = "file_copy",
		.image_ref = "img", .harness = "claude", .commit_sha = "0123456789abcdef", .ref = "r",
		.message = "m", .source = "git", .env = "{}", .preview = "bot-pr-7", .pr = 7,
		.fork = true, .expires_us = 11, .config_version = 12, .n_files = 13, .n_bytes = 14,
		.error_code = "e", .error = "why", .created_by = "ci", .created_us = 15,
		.built_us = 16, .activated_us = 17, .aim = KT_AIM_UNPIN,
		.expected_commit = "fedcba9876543210" };
	struct kt_release_row got = { 0 };

	(void)arg;
	OK(make_base(tx, NULL, err));
	OK(kt_tx_release_add(tx, &r, err));
	/* A copy has nothing of the row that it was made of. */
	struct kt_arena *own = kt_arena_new();
	struct kt_release_row row = { 0 };
	OK(kt_tx_release(tx, own, "org_1", "rel_1", &row, err));
	kt_release_row_copy(arena, &row, &got);
	kt_arena_free(own);
	assert_string_equal(got.id, "rel_1");
	assert_string_equal(got.org_id, "org_1");
	assert_string_equal(got.project_id, "proj_1");
	assert_int_equal(got.version, 4);
	assert_int_equal(got.state, KT_REL_BUILDING);
	assert_string_equal(got.digest, "dd");
	assert_string_equal(got.kind, "file_copy");
	assert_string_equal(got.image_ref, "img");
	assert_string_equal(got.harness, "claude");
	assert_string_equal(got.commit_sha, "0123456789abcdef");
	assert_string_equal(got.ref, "r");
	assert_string_equal(got.message, "m");
	assert_string_equal(got.source, "git");
	assert_string_equal(got.env, "{}");
	assert_string_equal(got.preview, "bot-pr-7");
	assert_int_equal(got.pr, 7);
	assert_true(got.fork);
	assert_int_equal(got.expires_us, 11);
	assert_int_equal(got.config_version, 12);
	assert_int_equal(got.n_files, 13);
	assert_int_equal(got.n_bytes, 14);
	assert_string_equal(got.error_code, "e");
	assert_string_equal(got.error, "why");
	assert_string_equal(got.created_by, "ci");
	assert_int_equal(got.created_us, 15);
	assert_int_equal(got.built_us, 16);
	assert_int_equal(got.activated_us, 17);
	assert_int_equal(got.aim, KT_AIM_UNPIN);
	assert_string_equal(got.expected_commit, "fedcba9876543210");
	assert_int_equal(kt_tx_release(tx, arena, "org_2", "rel_1", &got, err), KT_ENOTFOUND);
	assert_int_equal(kt_tx_release(tx, arena, "org_1", "rel_2", &got, err), KT_ENOTFOUND);

	/* The number is taken. */
	r.id = "rel_2";
	assert_int_equal(kt_tx_release_add(tx, &r, err), KT_ECONFLICT);

	r = (struct kt_release_row){ .id = "rel_1", .state = KT_REL_ACTIVE, .kind = "dockerfile",
		.version = 99, .digest = "changed", .expires_us = 1, .built_us = 2,
		.activated_us = 3, .aim = KT_AIM_READY, .expected_commit = "" };
	OK(kt_tx_release_put(tx, &r, err));
	OK(kt_tx_release_version(tx, arena, "proj_1", 4, &got, err));
	assert_int_equal(got.state, KT_REL_ACTIVE);
	assert_string_equal(got.kind, "dockerfile");
	assert_null(got.image_ref);
	assert_null(got.harness);
	assert_null(got.error);
	assert_int_equal(got.expires_us, 1);
	assert_int_equal(got.built_us, 2);
	assert_int_equal(got.activated_us, 3);
	assert_int_equal(got.aim, KT_AIM_READY);
	assert_string_equal(got.expected_commit, "");
	assert_string_equal(got.digest, "dd"); /* what may not change did not */
	assert_string_equal(got.env, "{}");
	assert_int_equal(kt_tx_release_version(tx, arena, "proj_1", 5, &got, err), KT_ENOTFOUND);
	r.id = "rel_none";
	assert_int_equal(kt_tx_release_put(tx, &r, err), KT_ENOTFOUND);
	return KT_OK;
}

static void release_rows(void **state)
{
	struct kt_store *st = open_store(NULL);

	(void)state;
	run(st, true, release_work);
	kt_store_close(st);
}

static enum kt_code commits_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	static const struct {
		const char *id, *sha;
		enum kt_release_state state;
	} rows[] = {
		{ "rel_1", "aaaaaaa111aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", KT_REL_SUPERSEDED },
		{ "rel_2", "aaaaaaa222aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", KT_REL_READY },
		{ "rel_3", "aaaaaaa111aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", KT_REL_EXPIRED },
		{ "rel_4", "aaaaaaa111aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", KT_REL_FAILED },
		{ "rel_5", "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", KT_REL_QUEUED },
		{ "rel_6", "ffffffffffffffffffffffffffffffffffffffff", KT_REL_ACTIVE },
		{ "rel_7", "cccccccc11", KT_REL_READY },
		{ "rel_8", "cccccccc11cccccccccccccccccccccccccccccc", KT_REL_READY },
	};
	struct kt_release_row got = { 0 };

	(void)arg;
	OK(make_base(tx, NULL, err));
	for (size_t i = 0; i < KT_ARRAY_LEN(rows); i++) {
		struct kt_release_row r =
			release(rows[i].id, "proj_1", (int64_t)i + 1, rows[i].state);

		r.commit_sha = rows[i].sha;
		OK(kt_tx_release_add(tx, &r, err));
	}
	/* Newest that was built; a later failure of the same commit does not count. */
	OK(kt_tx_release_commit(tx, arena, "proj_1", rows[0].sha, &got, err));
	assert_string_equal(got.id, "rel_3");
	OK(kt_tx_release_commit(tx, arena, "proj_1", "AAAAAAA2", &got, err));
	assert_string_equal(got.id, "rel_2");
	OK(kt_tx_release_commit(tx, arena, "proj_1", "fffffff", &got, err));
	assert_string_equal(got.id, "rel_6");
	assert_int_equal(
		kt_tx_release_commit(tx, arena, "proj_1", "aaaaaaa", &got, err), KT_ECONFLICT);
	/* One of them was fetched by a part of its name. */
	OK(kt_tx_release_commit(tx, arena, "proj_1", "ccccccc", &got, err));
	assert_string_equal(got.id, "rel_8");
	static const char *const none[] = { "bbbbbbb", "aaaaaa", "", "aaaaaa%", "aaaaaa_a",
		"ggggggg", "aaaaaaa111aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	for (size_t i = 0; i < KT_ARRAY_LEN(none); i++)
		assert_int_equal(kt_tx_release_commit(tx, arena, "proj_1", none[i], &got, err),
			KT_ENOTFOUND);
	assert_int_equal(kt_tx_release_commit(tx, arena, "proj_2", rows[0].sha, &got, err),
		KT_ENOTFOUND);
	return KT_OK;
}

static void commits(void **state)
{
	struct kt_store *st = open_store(NULL);

	(void)state;
	run(st, true, commits_work);
	kt_store_close(st);
}

static enum kt_code lists_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct kt_release_row *rows = NULL;
	size_t n = 0;

	(void)arg;
	OK(make_base(tx, NULL, err));
	for (int i = 1; i <= 5; i++) {
		char id[32];
		struct kt_release_row r = release(id, "proj_1", i, KT_REL_SUPERSEDED);

		(void)snprintf(id, sizeof(id), "rel_%d", i);
		r.state = i == 5 ? KT_REL_PREVIEW : i == 2 ? KT_REL_QUEUED : r.state;
		r.created_us = 100 - i;
		OK(kt_tx_release_add(tx, &r, err));
	}
	OK(kt_tx_releases(tx, arena, "proj_1", 0, 3, &rows, &n, err));
	assert_int_equal(n, 3);
	assert_string_equal(rows[0].id, "rel_5");
	assert_string_equal(rows[2].id, "rel_3");
	OK(kt_tx_releases(tx, arena, "proj_1", 3, 100, &rows, &n, err));
	assert_int_equal(n, 2);
	assert_string_equal(rows[0].id, "rel_2");
	OK(kt_tx_releases(tx, arena, "proj_1", 1, SIZE_MAX, &rows, &n, err));
	assert_int_equal(n, 0);
	OK(kt_tx_releases(tx, arena, "proj_2", 0, 100, &rows, &n, err));
	assert_int_equal(n, 0);
	OK(kt_tx_releases_in(
		tx, arena, 1U << KT_REL_QUEUED | 1U << KT_REL_PREVIEW, &rows, &n, err));
	assert_int_equal(n, 2);
	assert_string_equal(rows[0].id, "rel_5"); /* it has the older time */
	assert_string_equal(rows[1].id, "rel_2");
	OK(kt_tx_releases_in(tx, arena, 0, &rows, &n, err));
	assert_int_equal(n, 0);
	OK(kt_tx_releases_in(tx, arena, ~0U, &rows, &n, err));
	assert_int_equal(n, 5);
	return KT_OK;
}

static void lists(void **state)
{
	struct kt_store *st = open_store(NULL);

	(void)state;
	run(st, true, lists_work);
	kt_store_close(st);
}

static enum kt_code refs_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct kt_ref_row ref = { "proj_1", "refs/heads/main", "aaa", NULL }, *rows = NULL;
	size_t n = 0;

	(void)arg;
	OK(make_base(tx, NULL, err));
	assert_int_equal(kt_tx_ref_set(tx, &ref, "bbb", err), KT_ECONFLICT);
	OK(kt_tx_ref_set(tx, &ref, "", err));
	assert_int_equal(kt_tx_ref_set(tx, &ref, "", err), KT_ECONFLICT);
	ref.commit_sha = "bbb";
	ref.release_id = "rel_1";
	assert_int_equal(kt_tx_ref_set(tx, &ref, "ccc", err), KT_ECONFLICT);
	assert_int_equal(kt_tx_ref_set(tx, &ref, "ccc", NULL), KT_ECONFLICT);
	OK(kt_tx_ref_set(tx, &ref, "aaa", err));
	ref.name = "refs/heads/dev";
	OK(kt_tx_ref_set(tx, &ref, NULL, err));
	OK(kt_tx_refs(tx, arena, "proj_1", &rows, &n, err));
	assert_int_equal(n, 2);
	assert_string_equal(rows[0].name, "refs/heads/dev");
	assert_string_equal(rows[1].project_id, "proj_1");
	assert_string_equal(rows[1].commit_sha, "bbb");
	assert_string_equal(rows[1].release_id, "rel_1");
	OK(kt_tx_ref_delete(tx, "proj_1", "refs/heads/dev", err));
	OK(kt_tx_ref_delete(tx, "proj_1", "refs/heads/dev", err));
	OK(kt_tx_refs(tx, arena, "proj_1", &rows, &n, err));
	assert_int_equal(n, 1);
	ref.project_id = "proj_none";
	assert_int_equal(kt_tx_ref_set(tx, &ref, NULL, err), KT_ENOTFOUND);
	return KT_OK;
}

static void refs(void **state)
{
	struct kt_store *st = open_store(NULL);

	(void)state;
	run(st, true, refs_work);
	kt_store_close(st);
}

/* --- configuration and idempotency ------------------------------------------------------------- */

static enum kt_code config_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct kt_config_row in[] = { { "B", "x\0y", 3 }, { "A", "", 0 } }, *rows = NULL;
	struct kt_release_row r = release("rel_1", "proj_1", 1, KT_REL_ACTIVE);
	int64_t next = 0;
	size_t n = 0;

	(void)arg;
	OK(make_base(tx, NULL, err));
	OK(kt_tx_config_next(tx, "proj_1", &next, err));
	assert_int_equal(next, 1);
	OK(kt_tx_config_add(tx, "proj_1", 1, in, 2, err));
	OK(kt_tx_config_add(tx, "proj_1", 2, in, 1, err));
	OK(kt_tx_config_add(tx, "proj_1", 3, NULL, 0, err));
	assert_int_equal(kt_tx_config_add(tx, "proj_1", 1, in, 1, err), KT_ECONFLICT);
	assert_int_equal(kt_tx_config_add(tx, "proj_none", 1, in, 1, err), KT_ENOTFOUND);
	OK(kt_tx_config(tx, arena, "proj_1", 1, &rows, &n, err));
	assert_int_equal(n, 2);
	assert_string_equal(rows[0].name, "A");
	assert_non_null(rows[0].value);
	assert_int_equal(rows[0].value_len, 0);
	assert_int_equal(rows[1].value_len, 3);
	assert_memory_equal(rows[1].value, "x\0y", 3);
	OK(kt_tx_config(tx, arena, "proj_1", 3, &rows, &n, err));
	assert_int_equal(n, 0);
	OK(kt_tx_config_next(tx, "proj_1", &next, err));
	assert_int_equal(next, 3);
	r.config_version = 8;
	OK(kt_tx_release_add(tx, &r, err));
	OK(kt_tx_config_next(tx, "proj_1", &next, err));
	assert_int_equal(next, 9);
	assert_int_equal(kt_tx_config_next(tx, "proj_none", &next, err), KT_ENOTFOUND);
	return KT_OK;
}

static void config(void **state)
{
	struct kt_store *st = open_store(NULL);

	(void)state;
	run(st, true, config_work);
	kt_store_close(st);
}

/* Too many pull requests: the oldest is forgotten, and stays old. Digests are as many. */
static enum kt_code heard_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct kt_heard_row row = { .org_id = "org_1", .project_id = "proj_1" }, got;
	bool seen;
	int n = 0;

	(void)arg;
	for (int i = 1; i <= KT_MAX_HEARD + 5; i++) {
		char text[64];

		(void)snprintf(text, sizeof(text), "pull/%d", i);
		row.target = text;
		row.commit_sha = "abc";
		row.at_us = i * 10;
		OK(kt_tx_heard_put(tx, arena, &row, err));
		(void)snprintf(text, sizeof(text), "digest%d", i);
		OK(kt_tx_delivery_add(tx, "org_1", "proj_1", text, i, err));
	}
	row.target = "refs/heads/main";
	row.at_us = 1; /* the oldest: not a pull request */
	OK(kt_tx_heard_put(tx, arena, &row, err));
	OK(kt_tx_heard(tx, arena, "proj_1", "refs/heads/main", &got, err));
	for (int i = 1; i <= 6; i++) {
		char text[64];

		(void)snprintf(text, sizeof(text), "pull/%d", i);
		n += kt_tx_heard(tx, arena, "proj_1", text, &got, NULL) == KT_ENOTFOUND;
		(void)snprintf(text, sizeof(text), "digest%d", i);
		OK(kt_tx_delivery_seen(tx, "proj_1", text, &seen, err));
		assert_int_equal(seen, i == 6);
	}
	assert_int_equal(n, 5);
	OK(kt_tx_heard(tx, arena, "proj_1", KT_HEARD_FORGOTTEN, &got, err));
	assert_int_equal(got.at_us, 50);
	/* Another project knows nothing of it. */
	assert_int_equal(kt_tx_heard(tx, arena, "proj_2", "pull/900", &got, NULL), KT_ENOTFOUND);
	OK(kt_tx_delivery_end(tx, "proj_1", "digest900", true, err));
	OK(kt_tx_deliveries_recover(tx, err));
	OK(kt_tx_delivery_seen(tx, "proj_1", "digest900", &seen, err));
	assert_true(seen);
	OK(kt_tx_delivery_seen(tx, "proj_1", "digest901", &seen, err));
	assert_false(seen);
	return KT_OK;
}

static void heard(void **state)
{
	struct kt_store *st = open_store(NULL);

	(void)state;
	run(st, true, make_base);
	run(st, true, heard_work);
	kt_store_close(st);
}

static enum kt_code idem_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct kt_idem_row row = { .org_id = "org_1", .scope = "POST /x", .key = "k1",
		.fingerprint = "f1", .created_us = 100 };
	struct kt_idem_row got = { 0 };

	(void)arg;
	OK(kt_tx_idem_begin(tx, arena, &row, &got, err));
	assert_null(got.key);
	row.fingerprint = "f2";
	assert_int_equal(kt_tx_idem_begin(tx, arena, &row, &got, err), KT_ECONFLICT);
	assert_string_equal(got.fingerprint, "f1");
	assert_string_equal(got.scope, "POST /x");
	assert_int_equal(got.status, 0);
	assert_null(got.release_id);
	assert_null(got.body);
	assert_int_equal(got.created_us, 100);
	/* Another organization's or another route's key is another key. */
	row.org_id = "org_2";
	OK(kt_tx_idem_begin(tx, arena, &row, &got, err));
	row.scope = "POST /y";
	OK(kt_tx_idem_begin(tx, arena, &row, &got, err));
	row = (struct kt_idem_row){ .org_id = "org_1", .scope = "POST /x", .key = "k1",
		.status = 201, .release_id = "rel_1", .body = "{}" };
	OK(kt_tx_idem_end(tx, &row, err));
	assert_int_equal(kt_tx_idem_begin(tx, arena, &row, &got, err), KT_EINVAL); /* no fingerprint */
	row.fingerprint = "f1";
	assert_int_equal(kt_tx_idem_begin(tx, arena, &row, &got, err), KT_ECONFLICT);
	assert_int_equal(got.status, 201);
	assert_string_equal(got.release_id, "rel_1");
	assert_string_equal(got.body, "{}");
	row.key = "none";
	assert_int_equal(kt_tx_idem_end(tx, &row, err), KT_ENOTFOUND);

	OK(kt_tx_idem_forget(tx, "org_1", "POST /x", "k1", err));
	OK(kt_tx_idem_forget(tx, "org_1", "POST /x", "k1", err));
	row.key = "k1";
	row.created_us = 200;
	OK(kt_tx_idem_begin(tx, arena, &row, &got, err));
	row.status = 201;
	OK(kt_tx_idem_end(tx, &row, err));
	OK(kt_tx_idem_expire(tx, 100, false, err)); /* nothing is older */
	row.org_id = "org_2";
	assert_int_equal(kt_tx_idem_begin(tx, arena, &row, &got, err), KT_ECONFLICT);
	OK(kt_tx_idem_expire(tx, 50, true, err)); /* the two that still ran */
	OK(kt_tx_idem_begin(tx, arena, &row, &got, err));
	row.org_id = "org_1";
	assert_int_equal(kt_tx_idem_begin(tx, arena, &row, &got, err), KT_ECONFLICT);
	OK(kt_tx_idem_expire(tx, 201, false, err));
	OK(kt_tx_idem_begin(tx, arena, &row, &got, err));
	return KT_OK;
}

/* One organization's keys take nothing from another's, and are not given up for new ones. */
static enum kt_code idem_room_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct kt_idem_row row = { .org_id = "org_1", .scope = "s", .fingerprint = "f" };
	struct kt_idem_row got = { 0 };
	char key[16];

	(void)arg;
	row.key = key;
	for (int i = 0; i < KT_MAX_IDEMPOTENCY_ROWS; i++) {
		struct kt_q q;

		(void)snprintf(key, sizeof(key), "%d", i);
		kt_q_open(&q, tx,
			"INSERT INTO idempotency (org_id, scope, key, fingerprint, status, "
			"created_us) VALUES ('org_1', 's', $1, 'f', 200, 1)",
			err);
		kt_q_text(&q, 1, key);
		OK(kt_q_run(&q));
	}
	(void)snprintf(key, sizeof(key), "0");
	assert_int_equal(kt_tx_idem_begin(tx, arena, &row, &got, err), KT_ECONFLICT);
	row.org_id = "org_2";
	OK(kt_tx_idem_begin(tx, arena, &row, &got, err));
	row.org_id = "org_1";
	(void)snprintf(key, sizeof(key), "more");
	assert_int_equal(kt_tx_idem_begin(tx, arena, &row, &got, err), KT_ELIMIT);
	assert_non_null(strstr(err->msg, "10000 Idempotency-Keys"));
	return KT_OK;
}

/* What is answered is kept: few keys with long answers are as many bytes. */
static enum kt_code idem_bytes_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	const size_t len = KT_MAX_IDEMPOTENCY_ANSWER_BYTES / 4;
	KT_AUTOFREE char *body = kt_malloc(len + 1);
	struct kt_idem_row row = { .org_id = "org_3", .scope = "s", .fingerprint = "f",
		.status = 200, .body = body };
	struct kt_idem_row got = { 0 };
	char key[16];

	(void)arg;
	row.key = key;
	memset(body, 'a', len);
	body[len] = '\0';
	for (int i = 0; i < 4; i++) {
		(void)snprintf(key, sizeof(key), "%d", i);
		OK(kt_tx_idem_begin(tx, arena, &row, &got, err));
		OK(kt_tx_idem_end(tx, &row, err));
	}
	(void)snprintf(key, sizeof(key), "more");
	assert_int_equal(kt_tx_idem_begin(tx, arena, &row, &got, err), KT_ELIMIT);
	assert_non_null(strstr(err->msg, "32 MiB"));
	OK(kt_tx_idem_forget(tx, "org_3", "s", "more", err)); /* as rolling back would */
	/* What is there is answered all the same, and others have their own. */
	(void)snprintf(key, sizeof(key), "3");
	assert_int_equal(kt_tx_idem_begin(tx, arena, &row, &got, err), KT_ECONFLICT);
	row.org_id = "org_4";
	OK(kt_tx_idem_begin(tx, arena, &row, &got, err));
	row.org_id = "org_3";
	OK(kt_tx_idem_forget(tx, "org_3", "s", "0", err));
	(void)snprintf(key, sizeof(key), "more");
	OK(kt_tx_idem_begin(tx, arena, &row, &got, err));
	return KT_OK;
}

static void idempotency(void **state)
{
	struct kt_store *st = open_store(NULL);

	(void)state;
	run(st, true, idem_work);
	kt_store_close(st);
	st = open_store(NULL);
	run(st, true, idem_room_work);
	kt_store_close(st);
	st = open_store(NULL);
	run(st, true, idem_bytes_work);
	kt_store_close(st);
}

/* Text that is SQL, and text with every awkward character, is only text. */
static enum kt_code hostile_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	static const char *const texts[] = { "'; DROP TABLE projects; --", "\"", "%", "_", "$1", "?",
		"\xf0\x9f\x92\xa9", "a\nb", "NULL" };
	struct kt_project_row got = { 0 };

	(void)arg;
	OK(make_base(tx, NULL, err));
	for (size_t i = 0; i < KT_ARRAY_LEN(texts); i++) {
		char id[32];
		struct kt_project_row p = project(id, "org_1", texts[i]);

		(void)snprintf(id, sizeof(id), "proj_h%zu", i);
		assert_int_equal(
			kt_tx_project(tx, arena, "org_1", texts[i], &got, err), KT_ENOTFOUND);
		OK(kt_tx_project_add(tx, &p, err));
		OK(kt_tx_project(tx, arena, "org_1", texts[i], &got, err));
		assert_string_equal(got.slug, texts[i]);
	}
	return KT_OK;
}

static void hostile_text(void **state)
{
	struct kt_store *st = open_store(NULL);

	(void)state;
	run(st, true, hostile_work);
	kt_store_close(st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(orgs, setup, teardown),
		cmocka_unit_test_setup_teardown(keys, setup, teardown),
		cmocka_unit_test_setup_teardown(webs, setup, teardown),
		cmocka_unit_test_setup_teardown(projects, setup, teardown),
		cmocka_unit_test_setup_teardown(project_delete, setup, teardown),
		cmocka_unit_test_setup_teardown(release_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(commits, setup, teardown),
		cmocka_unit_test_setup_teardown(lists, setup, teardown),
		cmocka_unit_test_setup_teardown(refs, setup, teardown),
		cmocka_unit_test_setup_teardown(config, setup, teardown),
		cmocka_unit_test_setup_teardown(heard, setup, teardown),
		cmocka_unit_test_setup_teardown(idempotency, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile_text, setup, teardown),
	};
	return cmocka_run_group_tests_name("store/ops", tests, NULL, NULL);
}
