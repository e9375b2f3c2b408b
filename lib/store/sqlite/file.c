/* SPDX-License-Identifier: MIT */
/* SQLite's file as a whole: making, checking, copying it. */
#include "store/sqlite/sqlite_private.h"

#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Checking reads the whole file, some 200 MiB a second. */
#define CHECK_ALWAYS_BYTES (4 * 1024 * 1024)
#define CHECK_UNCLEAN_BYTES (64 * 1024 * 1024)

/* Make the file: SQLite gives its side files the same mode. */
static enum kt_code make_file(const char *path, struct kt_err *err)
{
	KT_AUTOFREE char *dir = kt_path_dir(path);
	KT_AUTOFD int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	KT_AUTOFD int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || dir_fd < 0 || fchmod(fd, 0600) != 0 || fsync(dir_fd) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot make '%s'", path);
	return KT_OK;
}

/* --- checking ---------------------------------------------------------------------------- */

/* One line of a check; "ok" is no finding. */
static int take_finding(void *arg, int n, char **values, char **names)
{
	(void)names;
	if (n > 0 && values[0] && !kt_str_eq(values[0], "ok"))
		kt_buf_addf(arg, "%s\n", values[0]);
	return 0;
}

static int take_reference(void *arg, int n, char **values, char **names)
{
	(void)n;
	(void)names;
	kt_buf_addf(arg, "table %s, row %s: refers to a missing row of ", values[0], values[1]);
	kt_buf_addf(arg, "%s\n", values[2]);
	return 0;
}

/* Damage that opening alone would not show; the time it takes is bounded by the file's size. */
static enum kt_code quick_check(
	struct kt_db *db, const char *path, int64_t size, bool unclean, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf findings = KT_BUF_INIT(4096);

	if (size > (unclean ? CHECK_UNCLEAN_BYTES : CHECK_ALWAYS_BYTES))
		return KT_OK;
	if (kt_sqlite_each(db, "PRAGMA quick_check(1)", take_finding, &findings, err) != KT_OK)
		return kt_wrap(err, "cannot check '%s'", path);
	if (findings.len == 0)
		return KT_OK;
	findings.ptr[strcspn(findings.ptr, "\n")] = '\0';
	kt_fail(err, KT_EPROTO, 0, "the database '%s' is damaged: %s", path, findings.ptr);
	return kt_hint(err, "look with karta fsck, put a backup in its place");
}

/* Integrity and references of db, a line each; "ok" gives none. */
static enum kt_code check_all(struct kt_db *db, struct kt_buf *out, struct kt_err *err)
{
	struct kt_err why = KT_ERR_INIT;
	enum kt_code rc = kt_sqlite_each(
		db, "PRAGMA integrity_check(100)", take_finding, out, &why);

	/* So damaged that the check itself stumbles: a finding like others. */
	if (rc == KT_EPROTO)
		kt_buf_addf(out, "%s\n", why.msg);
	if (rc == KT_OK || rc == KT_EPROTO)
		rc = kt_sqlite_each(db,
			"SELECT \"table\", ifnull(rowid, 0), parent FROM "
			"pragma_foreign_key_check LIMIT 100",
			take_reference, out, &why);
	if (rc == KT_OK || rc == KT_EPROTO)
		return KT_OK;
	if (err)
		*err = why;
	return rc;
}

enum kt_code kt_sqlite_check(const char *path, struct kt_buf *out, struct kt_err *err)
{
	struct kt_db *db = NULL;
	enum kt_code rc = kt_sqlite_open(path, true, &db, err);

	if (rc == KT_OK)
		rc = check_all(db, out, err);
	kt_sqlite_close(db);
	return rc;
}

/* --- opening ----------------------------------------------------------------------------- */

enum kt_code kt_sqlite_open_first(
	const char *path, bool create, bool read_only, struct kt_db **out, struct kt_err *err)
{
	KT_AUTOFREE char *wal = kt_asprintf("%s-wal", path);
	struct kt_db *db = NULL;
	struct stat s, w;
	bool unclean;
	enum kt_code rc = KT_OK;

	if (stat(path, &s) != 0) {
		if (errno != ENOENT)
			return kt_fail(err, KT_EIO, errno, "cannot open '%s'", path);
		if (!create || read_only)
			return kt_fail(err, KT_ENOTFOUND, 0, "there is no database '%s'", path);
		rc = make_file(path, err);
		s.st_size = 0;
	}
	/* The last one to close a database takes its log away. */
	unclean = stat(wal, &w) == 0 && w.st_size > 0;
	if (rc == KT_OK)
		rc = kt_sqlite_open(path, read_only, &db, err);
	if (rc == KT_OK && !read_only && s.st_size > 0)
		rc = quick_check(db, path, s.st_size, unclean, err);
	if (rc == KT_OK)
		*out = db;
	else
		kt_sqlite_close(db);
	return rc;
}

/* --- copying ----------------------------------------------------------------------------- */

/* All pages in one step: one read snapshot, which no writer has to wait for. */
static enum kt_code copy_pages(struct kt_db *from, struct kt_db *to, struct kt_err *err)
{
	sqlite3_backup *b = kt_sqlite.backup_init(
		kt_sqlite_of(to), "main", kt_sqlite_of(from), "main");
	int status;

	if (!b)
		return kt_sqlite_fail(to, kt_sqlite.extended_errcode(kt_sqlite_of(to)), err);
	status = kt_sqlite.backup_step(b, -1);
	/* Failures show on the connection of the copy, whichever side they come from. */
	if (kt_sqlite.backup_finish(b) != SQLITE_OK || status != SQLITE_DONE) {
		enum kt_code rc = kt_sqlite_fail(
			to, status == SQLITE_DONE ? SQLITE_IOERR : status, err);

		return rc == KT_OK ? kt_fail(err, KT_EIO, 0, "database: cannot copy") : rc;
	}
	return KT_OK;
}

/* Copy to the file temp, which was made empty, and look at the copy. */
static enum kt_code copy_and_check(const char *path, const char *temp, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf findings = KT_BUF_INIT(65536);
	struct kt_db *from = NULL, *to = NULL;
	enum kt_code rc = kt_sqlite_open(path, true, &from, err);

	if (rc == KT_OK)
		rc = kt_sqlite_open(temp, false, &to, err);
	if (rc == KT_OK)
		rc = copy_pages(from, to, err);
	/* One file, complete without a log beside it. */
	if (rc == KT_OK)
		rc = kt_sqlite_exec(to, "PRAGMA journal_mode = DELETE", err);
	if (rc == KT_OK)
		rc = check_all(to, &findings, err);
	kt_sqlite_close(from);
	kt_sqlite_close(to);
	if (rc == KT_OK && findings.len > 0) {
		findings.ptr[strcspn(findings.ptr, "\n")] = '\0';
		rc = kt_fail(
			err, KT_EPROTO, 0, "the copy of the database is damaged: %s", findings.ptr);
	}
	return rc;
}

enum kt_code kt_sqlite_backup(const char *from, const char *path, struct kt_err *err)
{
	KT_AUTOFREE char *dir = kt_path_dir(path);
	KT_AUTOFREE char *temp = kt_asprintf("%s.tmp", path);
	KT_AUTOFREE char *wal = kt_asprintf("%s-wal", temp);
	KT_AUTOFREE char *shm = kt_asprintf("%s-shm", temp);
	KT_AUTOFD int fd = -1;
	KT_AUTOFD int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum kt_code rc;

	if (dir_fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot open '%s'", dir);
	if (unlink(temp) != 0 && errno != ENOENT)
		return kt_fail(err, KT_EIO, errno, "cannot remove '%s'", temp);
	fd = open(temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot make '%s'", temp);
	rc = copy_and_check(from, temp, err);
	if (rc == KT_OK && fsync(fd) != 0)
		rc = kt_fail(err, KT_EIO, errno, "cannot sync '%s'", temp);
	/* link() and not rename(): what is there already is not the copy's to replace. */
	if (rc == KT_OK && link(temp, path) != 0)
		rc = kt_fail(err, errno == EEXIST ? KT_ECONFLICT : KT_EIO, errno,
			"cannot make '%s'", path);
	(void)unlink(temp);
	(void)unlink(wal);
	(void)unlink(shm);
	if (rc == KT_OK && fsync(dir_fd) != 0)
		rc = kt_fail(err, KT_EIO, errno, "cannot sync '%s'", dir);
	return rc;
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

static enum kt_code vacuum_into(struct kt_db *db, const char *path, struct kt_err *err)
{
	sqlite3_stmt *stmt = NULL;
	enum kt_code rc = KT_OK;
	int status = kt_sqlite.prepare_v3(kt_sqlite_of(db), "VACUUM INTO $1", -1, 0, &stmt, NULL);

	if (status == SQLITE_OK)
		status = kt_sqlite.bind_text(stmt, 1, path, -1, SQLITE_STATIC);
	if (status == SQLITE_OK)
		status = kt_sqlite.step(stmt);
	if (status != SQLITE_DONE)
		rc = kt_sqlite_fail(db, status, err);
	(void)kt_sqlite.finalize(stmt);
	return rc;
}

enum kt_code kt_sqlite_keep_copy(struct kt_db *db, const char *path, int number, struct kt_err *err)
{
	KT_AUTOFREE char *copy = kt_asprintf("%s.before-%03d", path, number);
	KT_AUTOFREE char *temp = kt_asprintf("%s.tmp", copy);
	enum kt_code rc;

	if (unlink(temp) != 0 && errno != ENOENT)
		return kt_fail(err, KT_EIO, errno, "cannot remove '%s'", temp);
	rc = vacuum_into(db, temp, err);
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
