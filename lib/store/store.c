/* SPDX-License-Identifier: MIT */
/* The store as a whole: opening, closing, checking, copying. The threads are in thread.c. */
#include "store/sqlite_dl_private.h"
#include "store/store_private.h"

#include "base/fs.h"
#include "base/str.h"
#include "crypto/crypto.h"

#include <errno.h>
#include <fcntl.h>
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

/* Damage that opening alone would not show; the time it takes is bounded by the file's size. */
static enum kt_code quick_check(
	struct kt_db *db, const char *path, int64_t size, bool unclean, struct kt_err *err)
{
	struct kt_tx tx = { .db = db };
	struct kt_q q;
	enum kt_code rc = KT_OK;

	if (size > (unclean ? CHECK_UNCLEAN_BYTES : CHECK_ALWAYS_BYTES))
		return KT_OK;
	kt_q_open(&q, &tx, "PRAGMA quick_check(1)", err);
	if (kt_q_row(&q) && !kt_str_eq(kt_q_peek(&q, 0), "ok")) {
		rc = kt_fail(err, KT_EPROTO, 0, "the database '%s' is damaged: %s", path,
			kt_q_peek(&q, 0));
		kt_hint(err, "look with karta fsck, put a backup in its place");
	}
	if (kt_q_end(&q) != KT_OK)
		return kt_wrap(err, "cannot check '%s'", path);
	return rc;
}

/* Open the connection of kt_store_do(), check and migrate. */
static enum kt_code open_first(
	struct kt_store *st, const struct kt_store_config *cfg, struct kt_err *err)
{
	KT_AUTOFREE char *wal = kt_asprintf("%s-wal", cfg->path);
	struct stat s, w;
	bool unclean;
	enum kt_code rc = KT_OK;

	if (stat(cfg->path, &s) != 0) {
		if (errno != ENOENT)
			return kt_fail(err, KT_EIO, errno, "cannot open '%s'", cfg->path);
		if (!cfg->create || cfg->read_only)
			return kt_fail(
				err, KT_ENOTFOUND, 0, "there is no database '%s'", cfg->path);
		rc = make_file(cfg->path, err);
		s.st_size = 0;
	}
	/* The last one to close a database takes its log away. */
	unclean = stat(wal, &w) == 0 && w.st_size > 0;
	if (rc == KT_OK)
		rc = kt_db_open(cfg->path, cfg->read_only, &st->direct, err);
	if (rc == KT_OK && !cfg->read_only && s.st_size > 0)
		rc = quick_check(st->direct, cfg->path, s.st_size, unclean, err);
	if (rc == KT_OK)
		rc = kt_db_migrate(st->direct, cfg->path, kt_migrations, kt_n_migrations, err);
	return rc;
}

static enum kt_code open_rest(struct kt_store *st, struct kt_err *err)
{
	enum kt_code rc = KT_OK;

	if (!st->loop)
		return KT_OK;
	if (!st->read_only)
		rc = kt_db_open(st->path, false, &st->writer, err);
	for (size_t i = 0; rc == KT_OK && i < KT_STORE_READERS; i++)
		rc = kt_db_open(st->path, true, &st->readers[i], err);
	return rc == KT_OK ? kt_store_start(st, err) : rc;
}

enum kt_code kt_store_open(
	const struct kt_store_config *cfg, struct kt_store **out, struct kt_err *err)
{
	enum kt_code rc = kt_crypto_init(err);
	struct kt_store *st;

	if (rc != KT_OK)
		return rc;
	st = kt_calloc(1, sizeof(*st));
	st->path = kt_strdup(cfg->path);
	st->read_only = cfg->read_only;
	st->loop = cfg->loop;
	/* With default attributes these cannot fail on Linux. */
	kt_assert(pthread_mutex_init(&st->direct_mutex, NULL) == 0);
	kt_assert(pthread_mutex_init(&st->write_mutex, NULL) == 0);
	kt_assert(pthread_mutex_init(&st->mutex, NULL) == 0);
	kt_assert(pthread_cond_init(&st->write_cond, NULL) == 0);
	kt_assert(pthread_cond_init(&st->read_cond, NULL) == 0);
	rc = open_first(st, cfg, err);
	if (rc == KT_OK)
		rc = open_rest(st, err);
	if (rc != KT_OK) {
		kt_store_close(st);
		return rc;
	}
	*out = st;
	return KT_OK;
}

void kt_store_close(struct kt_store *st)
{
	if (!st)
		return;
	kt_store_stop(st);
	for (size_t i = 0; i < KT_STORE_READERS; i++)
		kt_db_close(st->readers[i]);
	kt_db_close(st->writer);
	/* The last connection to close moves the log into the file. */
	kt_db_close(st->direct);
	(void)pthread_cond_destroy(&st->read_cond);
	(void)pthread_cond_destroy(&st->write_cond);
	(void)pthread_mutex_destroy(&st->mutex);
	(void)pthread_mutex_destroy(&st->write_mutex);
	(void)pthread_mutex_destroy(&st->direct_mutex);
	free(st->path);
	free(st);
}

static enum kt_code do_locked(
	struct kt_store *st, bool write, kt_tx_fn fn, void *arg, struct kt_err *err)
{
	struct kt_tx tx = { .db = st->direct, .write = write };
	enum kt_code rc = kt_db_begin(st->direct, write, err);

	if (rc != KT_OK)
		return rc;
	rc = fn(&tx, arg, err);
	if (rc == KT_OK && !kt_db_in_tx(st->direct))
		rc = kt_fail(err, KT_EIO, 0, "database: the transaction was lost");
	if (rc == KT_OK)
		return kt_db_commit(st->direct, err);
	kt_db_rollback(st->direct);
	return rc;
}

enum kt_code kt_store_do(
	struct kt_store *st, bool write, kt_tx_fn fn, void *arg, struct kt_err *err)
{
	enum kt_code rc;

	if (write && st->read_only)
		return kt_fail(err, KT_EDENIED, 0, "the database is open for reading only");
	kt_assert(pthread_mutex_lock(&st->direct_mutex) == 0);
	if (write)
		kt_assert(pthread_mutex_lock(&st->write_mutex) == 0);
	rc = do_locked(st, write, fn, arg, err);
	if (write)
		kt_assert(pthread_mutex_unlock(&st->write_mutex) == 0);
	kt_assert(pthread_mutex_unlock(&st->direct_mutex) == 0);
	return rc;
}

/* --- checking ---------------------------------------------------------------------------- */

/* PRAGMA integrity_check on db, its lines into out; "ok" gives none. */
static enum kt_code store_check_integrity(struct kt_db *db, struct kt_buf *out, struct kt_err *err)
{
	struct kt_tx tx = { .db = db };
	struct kt_err why = KT_ERR_INIT;
	struct kt_q q;

	kt_q_open(&q, &tx, "PRAGMA integrity_check(100)", &why);
	while (kt_q_row(&q))
		if (!kt_str_eq(kt_q_peek(&q, 0), "ok"))
			kt_buf_addf(out, "%s\n", kt_q_peek(&q, 0));
	if (kt_q_end(&q) == KT_OK)
		return KT_OK;
	/* So damaged that the check itself stumbles: a finding like others. */
	if (q.code == KT_EPROTO) {
		kt_buf_addf(out, "%s\n", why.msg);
		return KT_OK;
	}
	if (err)
		*err = why;
	return q.code;
}

static enum kt_code check_references(struct kt_db *db, struct kt_buf *out, struct kt_err *err)
{
	struct kt_tx tx = { .db = db };
	struct kt_err why = KT_ERR_INIT;
	struct kt_q q;

	kt_q_open(&q, &tx,
		"SELECT \"table\", ifnull(rowid, 0), parent FROM pragma_foreign_key_check LIMIT "
		"100",
		&why);
	while (kt_q_row(&q)) {
		kt_buf_addf(out, "table %s", kt_q_peek(&q, 0));
		kt_buf_addf(
			out, ", row %lld: refers to a missing row of ", (long long)kt_q_num(&q, 1));
		kt_buf_addf(out, "%s\n", kt_q_peek(&q, 2));
	}
	if (kt_q_end(&q) == KT_OK || q.code == KT_EPROTO)
		return KT_OK;
	if (err)
		*err = why;
	return q.code;
}

enum kt_code kt_store_check(struct kt_store *st, struct kt_buf *out, struct kt_err *err)
{
	struct kt_db *db = NULL;
	enum kt_code rc = kt_db_open(st->path, true, &db, err);

	if (rc == KT_OK)
		rc = store_check_integrity(db, out, err);
	if (rc == KT_OK)
		rc = check_references(db, out, err);
	kt_db_close(db);
	if (rc == KT_OK && !kt_buf_ok(out))
		return kt_fail(err, KT_ELIMIT, 0, "too many findings");
	return rc;
}

/* --- copying ----------------------------------------------------------------------------- */

/* All pages in one step: one read snapshot, which no writer has to wait for. */
static enum kt_code copy_pages(struct kt_db *from, struct kt_db *to, struct kt_err *err)
{
	sqlite3_backup *b = kt_sqlite.backup_init(to->db, "main", from->db, "main");
	int status;

	if (!b)
		return kt_db_fail(to, kt_sqlite.extended_errcode(to->db), err);
	status = kt_sqlite.backup_step(b, -1);
	/* Failures show on the connection of the copy, whichever side they come from. */
	if (kt_sqlite.backup_finish(b) != SQLITE_OK || status != SQLITE_DONE) {
		enum kt_code rc = kt_db_fail(
			to, status == SQLITE_DONE ? SQLITE_IOERR : status, err);

		return rc == KT_OK ? kt_fail(err, KT_EIO, 0, "database: cannot copy") : rc;
	}
	return KT_OK;
}

/* Copy to the file temp, which was made empty, and look at the copy. */
static enum kt_code copy_and_check(struct kt_store *st, const char *temp, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf findings = KT_BUF_INIT(65536);
	struct kt_db *from = NULL, *to = NULL;
	enum kt_code rc = kt_db_open(st->path, true, &from, err);

	if (rc == KT_OK)
		rc = kt_db_open(temp, false, &to, err);
	if (rc == KT_OK)
		rc = copy_pages(from, to, err);
	/* One file, complete without a log beside it. */
	if (rc == KT_OK)
		rc = kt_db_exec(to, "PRAGMA journal_mode = DELETE", err);
	if (rc == KT_OK)
		rc = store_check_integrity(to, &findings, err);
	if (rc == KT_OK)
		rc = check_references(to, &findings, err);
	kt_db_close(from);
	kt_db_close(to);
	if (rc == KT_OK && findings.len > 0) {
		findings.ptr[strcspn(findings.ptr, "\n")] = '\0';
		rc = kt_fail(
			err, KT_EPROTO, 0, "the copy of the database is damaged: %s", findings.ptr);
	}
	return rc;
}

enum kt_code kt_store_backup(struct kt_store *st, const char *path, struct kt_err *err)
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
	rc = copy_and_check(st, temp, err);
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
