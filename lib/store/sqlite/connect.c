/* SPDX-License-Identifier: MIT */
/* One connection to SQLite: loading, settings, errors, transactions. */
#include "store/sqlite/sqlite_private.h"

#include "base/dl.h"
#include "base/str.h"
#include "base/time.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#define BUSY_MS 30000 /* another process writes (a command), or the disk is slow */
#define OLDEST_VERSION 3037000 /* the first with STRICT tables */

struct kt_sqlite_api kt_sqlite;

struct sqlite_db {
	struct kt_db base;
	sqlite3 *handle;
};

sqlite3 *kt_sqlite_of(struct kt_db *db)
{
	return ((struct sqlite_db *)db)->handle;
}

static pthread_once_t load_once = PTHREAD_ONCE_INIT;
static enum kt_code load_code = KT_EIO;
static struct kt_err load_err;

static void sqlite_load(void)
{
	static const char *const names[] = { KT_SO_SQLITE3, "libsqlite3.so.0", NULL };
#define SYMBOL(name) { (void **)&kt_sqlite.name, "sqlite3_" #name },
	static const struct kt_dl_symbol symbols[] = { KT_SQLITE_FUNCTIONS(SYMBOL) };
#undef SYMBOL

	load_code = kt_dl_load(names, symbols, KT_ARRAY_LEN(symbols), "libsqlite3-0", &load_err);
	if (load_code == KT_OK && kt_sqlite.libversion_number() < OLDEST_VERSION) {
		load_code = kt_fail(&load_err, KT_EIO, 0, "SQLite is too old");
		kt_hint(&load_err, "install SQLite 3.37 or newer");
	}
}

static enum kt_code load_sqlite(struct kt_err *err)
{
	(void)pthread_once(&load_once, sqlite_load);
	if (load_code != KT_OK && err)
		*err = load_err;
	return load_code;
}

/* --- errors ------------------------------------------------------------------------------ */

static enum kt_code sqlite_code_of(int rc)
{
	switch (rc) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
	case SQLITE_CONSTRAINT_ROWID:
		return KT_ECONFLICT;
	case SQLITE_CONSTRAINT_FOREIGNKEY:
		return KT_ENOTFOUND;
	default:
		break;
	}
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return KT_OK;
	case SQLITE_CONSTRAINT:
		return KT_EINVAL;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return KT_EUNAVAIL;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return KT_EPROTO;
	case SQLITE_NOMEM:
		return KT_ENOMEM;
	case SQLITE_TOOBIG:
		return KT_ELIMIT;
	case SQLITE_INTERRUPT:
		return KT_ECANCEL;
	case SQLITE_IOERR:
	case SQLITE_FULL:
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_PROTOCOL:
	case SQLITE_NOLFS:
		return KT_EIO;
	default:
		return KT_EINTERNAL;
	}
}

/* SQLite does not keep the errno of each of its failures: of these it is the disk's anyway. */
static int disk_errno(struct kt_db *db)
{
	int sys = kt_sqlite.system_errno(kt_sqlite_of(db));

	return sys > 0 ? sys : EIO;
}

enum kt_code kt_sqlite_fail(struct kt_db *db, int status, struct kt_err *err)
{
	enum kt_code rc = sqlite_code_of(status);
	int primary = status & 0xff;
	int sys = 0;

	if (primary == SQLITE_IOERR)
		sys = disk_errno(db);
	else if (primary == SQLITE_CANTOPEN)
		sys = kt_sqlite.system_errno(kt_sqlite_of(db));
	else if (primary == SQLITE_FULL)
		sys = ENOSPC;
	kt_fail(err, rc, sys, "database: %s", kt_sqlite.errmsg(kt_sqlite_of(db)));
	if (rc == KT_EPROTO)
		kt_hint(err, "it is damaged: look with karta fsck, put a backup in its place");
	else if (primary == SQLITE_FULL)
		kt_hint(err, "make room on the disk");
	return rc;
}

/* --- connections ------------------------------------------------------------------------- */

/*
 * SQLite does not wait for others when it changes the journal, though they only do the same: two
 * processes that open a new database at once. So wait here.
 */
static enum kt_code use_wal(struct kt_db *db, struct kt_err *err)
{
	int64_t until = kt_mono_us() + (int64_t)BUSY_MS * 1000;

	for (;;) {
		enum kt_code rc = kt_sqlite_exec(db, "PRAGMA journal_mode = WAL", err);

		if (rc != KT_EUNAVAIL || kt_mono_us() > until)
			return rc;
		(void)usleep(5000);
	}
}

static enum kt_code sqlite_configure(struct kt_db *db, struct kt_err *err)
{
	int on = 0;
	enum kt_code rc;

	if (kt_sqlite.busy_timeout(kt_sqlite_of(db), BUSY_MS) != SQLITE_OK ||
		kt_sqlite.db_config(kt_sqlite_of(db), SQLITE_DBCONFIG_DEFENSIVE, 1, &on) !=
			SQLITE_OK)
		return kt_fail(err, KT_EINTERNAL, 0, "database: cannot configure");
	rc = kt_sqlite_exec(db,
		"PRAGMA trusted_schema = OFF;"
		"PRAGMA cell_size_check = ON;"
		"PRAGMA foreign_keys = ON;"
		"PRAGMA synchronous = FULL;"
		"PRAGMA journal_size_limit = 16777216;",
		err);
	if (rc != KT_OK)
		return rc;
	return db->read_only ? kt_sqlite_exec(db, "PRAGMA query_only = ON", err) : use_wal(db, err);
}

enum kt_code kt_sqlite_open(
	const char *path, bool read_only, struct kt_db **out, struct kt_err *err)
{
	enum kt_code rc = load_sqlite(err);
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_PRIVATECACHE;
	struct sqlite_db *sdb;
	struct kt_db *db;
	int status;

	if (rc != KT_OK)
		return rc;
	sdb = kt_calloc(1, sizeof(*sdb));
	db = &sdb->base;
	db->read_only = read_only;
	flags |= read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
	status = kt_sqlite.open_v2(path, &sdb->handle, flags, NULL);
	rc = status == SQLITE_OK ? sqlite_configure(db, err) : kt_sqlite_fail(db, status, err);
	if (rc != KT_OK) {
		kt_wrap(err, "cannot open '%s'", path);
		kt_sqlite_close(db);
		return rc;
	}
	*out = db;
	return KT_OK;
}

void kt_sqlite_close(struct kt_db *db)
{
	if (!db)
		return;
	(void)kt_sqlite.close_v2(kt_sqlite_of(db));
	free((struct sqlite_db *)db);
}

enum kt_code kt_sqlite_exec(struct kt_db *db, const char *sql, struct kt_err *err)
{
	return kt_sqlite_each(db, sql, NULL, NULL, err);
}

enum kt_code kt_sqlite_each(
	struct kt_db *db, const char *sql, kt_sqlite_row_fn fn, void *arg, struct kt_err *err)
{
	int status = kt_sqlite.exec(kt_sqlite_of(db), sql, fn, arg, NULL);

	return status == SQLITE_OK ? KT_OK : kt_sqlite_fail(db, status, err);
}

static int sqlite_take_number(void *arg, int n, char **values, char **names)
{
	(void)names;
	/* What is no number ends the statement: SQLITE_ABORT. */
	return n > 0 && values[0] && kt_str_int64(values[0], INT64_MIN, INT64_MAX, arg) ? 0 : 1;
}

enum kt_code kt_sqlite_number(struct kt_db *db, const char *sql, int64_t *out, struct kt_err *err)
{
	*out = 0;
	return kt_sqlite_each(db, sql, sqlite_take_number, out, err);
}

enum kt_code kt_sqlite_begin(struct kt_db *db, bool write, struct kt_err *err)
{
	return kt_sqlite_exec(db, write ? "BEGIN IMMEDIATE" : "BEGIN", err);
}

enum kt_code kt_sqlite_commit(struct kt_db *db, struct kt_err *err)
{
	enum kt_code rc = kt_sqlite_exec(db, "COMMIT", err);

	/* A failed COMMIT may leave the transaction open; it must not be committed by the next. */
	if (rc != KT_OK)
		kt_sqlite_rollback(db);
	return rc;
}

void kt_sqlite_rollback(struct kt_db *db)
{
	if (kt_sqlite_in_tx(db))
		(void)kt_sqlite.exec(kt_sqlite_of(db), "ROLLBACK", NULL, NULL, NULL);
}

bool kt_sqlite_in_tx(struct kt_db *db)
{
	return kt_sqlite.get_autocommit(kt_sqlite_of(db)) == 0;
}

/* --- parts of a transaction -------------------------------------------------------------- */

enum kt_code kt_sqlite_part(struct kt_db *db, struct kt_err *err)
{
	return kt_sqlite_exec(db, "SAVEPOINT job", err);
}

enum kt_code kt_sqlite_keep(struct kt_db *db, struct kt_err *err)
{
	return kt_sqlite_exec(db, "RELEASE job", err);
}

enum kt_code kt_sqlite_undo(struct kt_db *db, struct kt_err *err)
{
	return kt_sqlite_exec(db, "ROLLBACK TO job; RELEASE job", err);
}
