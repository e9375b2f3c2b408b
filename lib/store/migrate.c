/* SPDX-License-Identifier: MIT */
/*
 * Migrations: numbered SQL that the binary carries (lib/store/schema, scripts/embed-schema). The
 * number of the last one that ran is the file's user_version.
 */
#include "store/sqlite_dl_private.h"
#include "store/store_private.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

const struct kt_migration kt_migrations[] = {
#include "store/schema.h"
};
const size_t kt_n_migrations = KT_ARRAY_LEN(kt_migrations);

/* What the file is: its version, 0 when it is new and empty. */
static enum kt_code read_version(
	struct kt_db *db, const char *path, size_t newest, int64_t *out, struct kt_err *err)
{
	int64_t id = 0, version = 0, tables = 0;
	/* One snapshot: another process may be making it. */
	enum kt_code rc = kt_db_begin(db, false, err);

	if (rc == KT_OK)
		rc = kt_db_number(db, "PRAGMA application_id", &id, err);
	if (rc == KT_OK)
		rc = kt_db_number(db, "PRAGMA user_version", &version, err);
	if (rc == KT_OK)
		rc = kt_db_number(db, "SELECT count(*) FROM sqlite_schema", &tables, err);
	kt_db_rollback(db);
	if (rc != KT_OK) {
		kt_wrap(err, "cannot read '%s'", path);
		return rc;
	}
	if (id == 0 && version == 0 && tables == 0) {
		*out = 0;
		return KT_OK;
	}
	if (id != KT_STORE_APPLICATION_ID || version < 1)
		return kt_fail(err, KT_EPROTO, 0, "'%s' is not a database of karta", path);
	if ((uint64_t)version > newest) {
		kt_fail(err, KT_EPROTO, 0,
			"'%s' was made by a newer karta: its version is %lld, this program knows "
			"%zu",
			path, (long long)version, newest);
		return kt_hint(err, "use the newer program, or put back the copy it made before");
	}
	*out = version;
	return KT_OK;
}

/* Push the copy and its name to the disk. */
static enum kt_code sync_file(const char *path, struct kt_err *err)
{
	KT_AUTOFREE char *dir = kt_path_dir(path);
	KT_AUTOFD int fd = open(path, O_RDONLY | O_CLOEXEC);
	KT_AUTOFD int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || dir_fd < 0 || fchmod(fd, 0600) != 0 || fsync(fd) != 0 || fsync(dir_fd) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot sync '%s'", path);
	return KT_OK;
}

/* A copy of the database as it is, for going back. */
static enum kt_code keep_copy(struct kt_db *db, const char *path, int number, struct kt_err *err)
{
	KT_AUTOFREE char *copy = kt_asprintf("%s.before-%03d", path, number);
	KT_AUTOFREE char *temp = kt_asprintf("%s.tmp", copy);
	struct kt_tx tx = { .db = db };
	struct kt_q q;
	enum kt_code rc;

	if (unlink(temp) != 0 && errno != ENOENT)
		return kt_fail(err, KT_EIO, errno, "cannot remove '%s'", temp);
	kt_q_open(&q, &tx, "VACUUM INTO $1", err);
	kt_q_text(&q, 1, temp);
	rc = kt_q_run(&q);
	if (rc == KT_OK)
		rc = sync_file(temp, err);
	if (rc == KT_OK && rename(temp, copy) != 0)
		rc = kt_fail(err, KT_EIO, errno, "cannot rename '%s'", temp);
	if (rc == KT_OK)
		rc = sync_file(copy, err);
	if (rc != KT_OK) {
		kt_wrap(err, "cannot copy the database before migrating it");
		(void)unlink(temp);
	}
	return rc;
}

static enum kt_code run_migration(
	struct kt_db *db, const struct kt_migration *m, bool first, struct kt_err *err)
{
	char set[96];
	int64_t broken = 0;
	enum kt_code rc = kt_db_exec(db, m->sql, err);

	if (rc == KT_OK)
		rc = kt_db_number(
			db, "SELECT count(*) FROM pragma_foreign_key_check", &broken, err);
	if (rc == KT_OK && broken > 0)
		rc = kt_fail(err, KT_EPROTO, 0, "%lld rows refer to what is not there",
			(long long)broken);
	if (rc != KT_OK)
		return rc;
	(void)snprintf(set, sizeof(set), "PRAGMA user_version = %d", m->number);
	rc = kt_db_exec(db, set, err);
	if (rc == KT_OK && first) {
		(void)snprintf(
			set, sizeof(set), "PRAGMA application_id = %d", KT_STORE_APPLICATION_ID);
		rc = kt_db_exec(db, set, err);
	}
	return rc;
}

/*
 * All steps up in one transaction: nobody meets a database between two of them, and takes it for an
 * old one. Another process may have been here first: then nothing.
 */
static enum kt_code step_up(
	struct kt_db *db, const struct kt_migration *list, size_t n, struct kt_err *err)
{
	int64_t version = 0;
	enum kt_code rc = kt_db_begin(db, true, err);

	if (rc != KT_OK)
		return rc;
	rc = kt_db_number(db, "PRAGMA user_version", &version, err);
	for (size_t i = (size_t)version; rc == KT_OK && i < n; i++) {
		rc = run_migration(db, &list[i], list[i].number == 1, err);
		if (rc != KT_OK)
			kt_wrap(err, "migration %s", list[i].name);
	}
	if (rc == KT_OK)
		return kt_db_commit(db, err);
	kt_db_rollback(db);
	return rc;
}

enum kt_code kt_db_migrate(struct kt_db *db, const char *path, const struct kt_migration *list,
	size_t n, struct kt_err *err)
{
	int64_t version = 0;
	enum kt_code rc = read_version(db, path, n, &version, err);

	if (rc != KT_OK || version == (int64_t)n)
		return rc;
	if (db->read_only) {
		kt_fail(err, KT_EPROTO, 0, "'%s' was made by an older karta", path);
		return kt_hint(err, "start the server once: it brings the database up to date");
	}
	if (version > 0)
		rc = keep_copy(db, path, (int)version + 1, err);
	/* Tables are rebuilt under their old names: references are checked at the end instead. */
	if (rc == KT_OK)
		rc = kt_db_exec(db, "PRAGMA foreign_keys = OFF", err);
	if (rc == KT_OK)
		rc = step_up(db, list, n, err);
	/* Who gets an error closes the connection. */
	return rc == KT_OK ? kt_db_exec(db, "PRAGMA foreign_keys = ON", err) : rc;
}
