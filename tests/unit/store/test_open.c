/* SPDX-License-Identifier: MIT */
/* Opening of what is missing, old, newer, foreign or damaged; migrations; checking. */
#include "store_test.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static enum kt_code one_org(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	(void)arg;
	return kt_tx_org_add(tx, &org1, err);
}

static enum kt_code try_open(struct kt_store_config cfg, struct kt_err *err)
{
	struct kt_store *st = NULL;
	enum kt_code code;

	cfg.path = path;
	*err = (struct kt_err)KT_ERR_INIT;
	code = kt_store_open(&cfg, &st, err);
	if (code == KT_OK)
		kt_store_close(st);
	else
		assert_null(st);
	return code;
}

static void missing(void **state)
{
	struct kt_err err;
	struct stat s;

	(void)state;
	assert_int_equal(try_open((struct kt_store_config){ 0 }, &err), KT_ENOTFOUND);
	assert_int_equal(
		try_open((struct kt_store_config){ .create = true, .read_only = true }, &err),
		KT_ENOTFOUND);
	(void)umask(0);
	assert_int_equal(try_open((struct kt_store_config){ .create = true }, &err), KT_OK);
	(void)umask(077);
	assert_int_equal(stat(path, &s), 0);
	assert_int_equal(s.st_mode & 0777, 0600);
	assert_int_equal(try_open((struct kt_store_config){ 0 }, &err), KT_OK);
	assert_int_equal(try_open((struct kt_store_config){ .read_only = true }, &err), KT_OK);
	/* Made, but killed before anything was in it. */
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(try_open((struct kt_store_config){ .create = true }, &err), KT_OK);
	assert_int_equal(raw_number("PRAGMA user_version"), (int64_t)kt_sqlite_engine.n_migrations);
}

/* --- versions ---------------------------------------------------------------------------------- */

static void newer(void **state)
{
	struct kt_err err;

	(void)state;
	kt_store_close(open_store(NULL));
	raw("PRAGMA user_version = 900");
	assert_int_equal(try_open((struct kt_store_config){ .create = true }, &err), KT_EPROTO);
	assert_non_null(strstr(err.msg, "newer"));
	assert_non_null(strstr(err.msg, "900"));
	assert_int_equal(try_open((struct kt_store_config){ .read_only = true }, &err), KT_EPROTO);
	assert_int_equal(raw_number("PRAGMA user_version"), 900);
}

static void foreign(void **state)
{
	struct kt_err err;

	(void)state;
	kt_store_close(open_store(NULL));
	raw("PRAGMA application_id = 12345");
	assert_int_equal(try_open((struct kt_store_config){ .create = true }, &err), KT_EPROTO);
	assert_non_null(strstr(err.msg, "not a database of karta"));
	raw("PRAGMA application_id = 0; PRAGMA user_version = 0");
	assert_int_equal(try_open((struct kt_store_config){ .create = true }, &err), KT_EPROTO);
}

static enum kt_code migrate_with(const struct kt_migration *list, size_t n, struct kt_err *err)
{
	struct kt_db *db = NULL;
	enum kt_code code = kt_db_open(path, false, &db, err);

	*err = (struct kt_err)KT_ERR_INIT;
	if (code == KT_OK)
		code = kt_db_migrate(db, path, list, n, err);
	kt_db_close(db);
	return code;
}

static void migration(void **state)
{
	struct kt_migration list[4] = { kt_sqlite_engine.migrations[0],
		{ 2, "002-more", "ALTER TABLE orgs ADD COLUMN plan TEXT NOT NULL DEFAULT 'free';" },
		{ 3, "003-broken", "CREATE TABLE half (a TEXT) STRICT; SELECT no_such_function();" },
		{ 4, "004-never", "CREATE TABLE never (a TEXT) STRICT;" } };
	KT_AUTOFREE char *copy = kt_asprintf("%s.before-002", path);
	KT_AUTOFREE char *second = kt_asprintf("%s.before-003", path);
	struct kt_err err = KT_ERR_INIT;
	struct kt_db *db = NULL;
	int64_t n = 0;

	(void)state;
	/* A database of version 1 with a row in it. */
	assert_ok(kt_fs_write_new(path, "", 0, 0600, &err), err);
	assert_ok(migrate_with(list, 1, &err), err);
	assert_false(kt_fs_is_file(copy)); /* a new one needs no copy */
	raw("INSERT INTO orgs VALUES ('org_1', 'default', 'Default', 1)");
	/* A copy that was left half by an earlier attempt is no hindrance. */
	KT_AUTOFREE char *temp = kt_asprintf("%s.tmp", copy);
	assert_ok(kt_fs_write_new(temp, "half", 4, 0600, &err), err);

	assert_ok(migrate_with(list, 2, &err), err);
	assert_int_equal(raw_number("PRAGMA user_version"), 2);
	assert_int_equal(raw_number("SELECT count(*) FROM orgs WHERE plan = 'free'"), 1);
	assert_int_equal(raw_number("PRAGMA foreign_keys"), 1);
	assert_ok(kt_db_open(copy, true, &db, &err), err);
	assert_ok(kt_db_number(db, "PRAGMA user_version", &n, &err), err);
	assert_int_equal(n, 1);
	assert_ok(kt_db_number(db, "SELECT count(*) FROM orgs", &n, &err), err);
	assert_int_equal(n, 1);
	kt_db_close(db);
	assert_ok(migrate_with(list, 2, &err), err); /* nothing to do */

	/* One that fails leaves nothing, and the next ones do not run. */
	assert_int_equal(migrate_with(list, 4, &err), KT_EINTERNAL);
	assert_non_null(strstr(err.msg, "003-broken"));
	assert_int_equal(raw_number("PRAGMA user_version"), 2);
	assert_int_equal(
		raw_number("SELECT count(*) FROM sqlite_schema WHERE name IN ('half', 'never')"), 0);
	assert_true(kt_fs_is_file(second));

	/* A rebuilt table whose children then hang in the air is refused as a whole. */
	raw("INSERT INTO api_keys (id, org_id, name, prefix, last4, hash, scopes, created_us, "
	    "created_by) VALUES ('key_1', 'org_1', 'n', 'p', 'l', zeroblob(32), 1, 1, 'x')");
	list[2].sql = "DELETE FROM orgs;";
	assert_int_equal(migrate_with(list, 4, &err), KT_EPROTO);
	assert_int_equal(raw_number("SELECT count(*) FROM orgs"), 1);

	/* And a connection that may not write says what to do. */
	assert_ok(kt_db_open(path, true, &db, &err), err);
	assert_int_equal(kt_db_migrate(db, path, list, 3, &err), KT_EPROTO);
	assert_non_null(strstr(err.msg, "older"));
	kt_db_close(db);
}

/* A release of a database from before it was in its row what a build is to come to. */
static void build_aim(void **state)
{
	struct kt_err err = KT_ERR_INIT;

	(void)state;
	assert_ok(kt_fs_write_new(path, "", 0, 0600, &err), err);
	assert_ok(migrate_with(kt_sqlite_engine.migrations, 6, &err), err);
	raw("INSERT INTO orgs (id, slug, name, created_us) VALUES ('org_1', 'default', 'Default', 1);"
	    "INSERT INTO projects (id, org_id, slug, label, production_ref, next_version, config_version, "
	    "created_us) VALUES ('proj_1', 'org_1', 'a', 'a', 'refs/heads/main', 2, 0, 1);"
	    "INSERT INTO releases (id, org_id, project_id, version, state, digest, kind, source, "
	    "created_by, created_us) VALUES ('rel_1', 'org_1', 'proj_1', 1, 'queued', 'd', 'file_copy', "
	    "'cli', 'x', 1)");
	assert_ok(migrate_with(kt_sqlite_engine.migrations, kt_sqlite_engine.n_migrations, &err), err);
	assert_int_equal(raw_number("SELECT count(*) FROM releases WHERE aim = 'live' "
				    "AND expected_commit IS NULL"), 1);
}

/* --- damage ------------------------------------------------------------------------------------ */

static void overwrite(off_t at, size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(pwrite(fd, "\xa5", 1, at + (off_t)i), 1);
	(void)close(fd);
}

static void damaged(void **state)
{
	static const struct {
		off_t at;
		size_t len;
	} cases[] = { { 0, 100 }, { 100, 200 }, { 4096, 4096 }, { 3 * 4096, 100 },
		{ 0, 65536 } };
	struct kt_err err;

	(void)state;
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		struct kt_store *st = open_store(NULL);

		run(st, true, one_org);
		kt_store_close(st);
		overwrite(cases[i].at, cases[i].len);
		assert_int_equal(
			try_open((struct kt_store_config){ .create = true }, &err), KT_EPROTO);
		if (!strstr(err.msg, path) || !err.hint[0])
			print_error("%zu: %s (%s)\n", i, err.msg, err.hint);
		assert_non_null(strstr(err.msg, path));
		assert_true(err.hint[0] != '\0');
		assert_int_equal(unlink(path), 0);
	}
	/* A folder, and no right to read. */
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(try_open((struct kt_store_config){ .create = true }, &err), KT_EIO);
	assert_int_equal(rmdir(path), 0);
}

static void check_finds(void **state)
{
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(65536);
	struct kt_store_config cfg = { .path = path, .read_only = true };
	struct kt_err err = KT_ERR_INIT;
	struct kt_store *st = open_store(NULL);

	(void)state;
	run(st, true, one_org);
	assert_ok(kt_store_check(st, &out, &err), err);
	assert_string_equal(out.ptr, "");
	kt_store_close(st);

	raw("PRAGMA foreign_keys = OFF; INSERT INTO refs VALUES ('org_1', 'proj_none', 'r', 'c', NULL)");
	assert_ok(kt_store_open(&cfg, &st, &err), err);
	assert_ok(kt_store_check(st, &out, &err), err);
	assert_non_null(strstr(out.ptr, "refs"));
	assert_non_null(strstr(out.ptr, "projects"));
	kt_store_close(st);

	kt_buf_clear(&out);
	overwrite(4 * 4096, 4096);
	assert_ok(kt_store_open(&cfg, &st, &err), err); /* looking must be possible */
	assert_ok(kt_store_check(st, &out, &err), err);
	assert_true(out.len > 0);
	kt_store_close(st);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(missing, setup, teardown),
		cmocka_unit_test_setup_teardown(newer, setup, teardown),
		cmocka_unit_test_setup_teardown(foreign, setup, teardown),
		cmocka_unit_test_setup_teardown(migration, setup, teardown),
		cmocka_unit_test_setup_teardown(build_aim, setup, teardown),
		cmocka_unit_test_setup_teardown(damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(check_finds, setup, teardown),
	};
	return cmocka_run_group_tests_name("store/open", tests, NULL, NULL);
}
