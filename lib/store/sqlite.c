/* SPDX-License-Identifier: MIT */
/*
 * One connection to SQLite: settings, errors, cached statements. The only file, with migrate.c and
 * store.c, that calls SQLite; what the operations need is struct kt_q.
 */
#include "store/sqlite_dl_private.h"
#include "store/store_private.h"

#include "base/dl.h"
#include "base/time.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BUSY_MS 30000 /* another process writes (a command), or the disk is slow */
#define OLDEST_VERSION 3037000 /* the first with STRICT tables */
#define MAX_PARAM 40

struct kt_sqlite_api kt_sqlite;

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
	int sys = kt_sqlite.system_errno(db->db);

	return sys > 0 ? sys : EIO;
}

enum kt_code kt_db_fail(struct kt_db *db, int status, struct kt_err *err)
{
	enum kt_code rc = sqlite_code_of(status);
	int primary = status & 0xff;
	int sys = 0;

	if (primary == SQLITE_IOERR)
		sys = disk_errno(db);
	else if (primary == SQLITE_CANTOPEN)
		sys = kt_sqlite.system_errno(db->db);
	else if (primary == SQLITE_FULL)
		sys = ENOSPC;
	kt_fail(err, rc, sys, "database: %s", kt_sqlite.errmsg(db->db));
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
		enum kt_code rc = kt_db_exec(db, "PRAGMA journal_mode = WAL", err);

		if (rc != KT_EUNAVAIL || kt_mono_us() > until)
			return rc;
		(void)usleep(5000);
	}
}

static enum kt_code sqlite_configure(struct kt_db *db, struct kt_err *err)
{
	int on = 0;
	enum kt_code rc;

	if (kt_sqlite.busy_timeout(db->db, BUSY_MS) != SQLITE_OK ||
		kt_sqlite.db_config(db->db, SQLITE_DBCONFIG_DEFENSIVE, 1, &on) != SQLITE_OK)
		return kt_fail(err, KT_EINTERNAL, 0, "database: cannot configure");
	rc = kt_db_exec(db,
		"PRAGMA trusted_schema = OFF;"
		"PRAGMA cell_size_check = ON;"
		"PRAGMA foreign_keys = ON;"
		"PRAGMA synchronous = FULL;"
		"PRAGMA journal_size_limit = 16777216;",
		err);
	if (rc != KT_OK)
		return rc;
	return db->read_only ? kt_db_exec(db, "PRAGMA query_only = ON", err) : use_wal(db, err);
}

enum kt_code kt_db_open(const char *path, bool read_only, struct kt_db **out, struct kt_err *err)
{
	enum kt_code rc = load_sqlite(err);
	int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_PRIVATECACHE;
	struct kt_db *db;
	int status;

	if (rc != KT_OK)
		return rc;
	db = kt_calloc(1, sizeof(*db));
	db->read_only = read_only;
	flags |= read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
	status = kt_sqlite.open_v2(path, &db->db, flags, NULL);
	rc = status == SQLITE_OK ? sqlite_configure(db, err) : kt_db_fail(db, status, err);
	if (rc != KT_OK) {
		kt_wrap(err, "cannot open '%s'", path);
		kt_db_close(db);
		return rc;
	}
	*out = db;
	return KT_OK;
}

void kt_db_close(struct kt_db *db)
{
	if (!db)
		return;
	for (size_t i = 0; i < KT_STORE_STMTS; i++)
		(void)kt_sqlite.finalize(db->stmts[i].stmt);
	(void)kt_sqlite.close_v2(db->db);
	free(db);
}

enum kt_code kt_db_exec(struct kt_db *db, const char *sql, struct kt_err *err)
{
	int rc = kt_sqlite.exec(db->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? KT_OK : kt_db_fail(db, rc, err);
}

enum kt_code kt_db_number(struct kt_db *db, const char *sql, int64_t *out, struct kt_err *err)
{
	struct kt_tx tx = { .db = db };
	struct kt_q q;
	int64_t v = 0;
	enum kt_code rc;

	kt_q_open(&q, &tx, sql, err);
	if (kt_q_row(&q))
		v = kt_q_num(&q, 0);
	rc = kt_q_end(&q);
	if (rc == KT_OK)
		*out = v;
	return rc;
}

enum kt_code kt_db_begin(struct kt_db *db, bool write, struct kt_err *err)
{
	return kt_db_exec(db, write ? "BEGIN IMMEDIATE" : "BEGIN", err);
}

enum kt_code kt_db_commit(struct kt_db *db, struct kt_err *err)
{
	enum kt_code rc = kt_db_exec(db, "COMMIT", err);

	/* A failed COMMIT may leave the transaction open; it must not be committed by the next. */
	if (rc != KT_OK)
		kt_db_rollback(db);
	return rc;
}

void kt_db_rollback(struct kt_db *db)
{
	if (kt_db_in_tx(db))
		(void)kt_sqlite.exec(db->db, "ROLLBACK", NULL, NULL, NULL);
}

bool kt_db_in_tx(struct kt_db *db)
{
	return kt_sqlite.get_autocommit(db->db) == 0;
}

/* --- statements -------------------------------------------------------------------------- */

static struct kt_db_stmt *find_slot(struct kt_db *db, const char *name)
{
	size_t at = ((uintptr_t)name >> 3) % KT_STORE_STMTS;

	for (size_t i = 0; i < KT_STORE_STMTS; i++) {
		struct kt_db_stmt *s = &db->stmts[(at + i) % KT_STORE_STMTS];

		if (s->name == name || !s->name)
			return s;
	}
	return NULL;
}

static void query_fail(struct kt_q *q, int rc)
{
	if (q->code == KT_OK)
		q->code = kt_db_fail(q->db, rc, q->err);
}

bool kt_q_find(struct kt_q *q, struct kt_tx *tx, const char *name, struct kt_err *err)
{
	struct kt_db_stmt *s = find_slot(tx->db, name);

	*q = (struct kt_q){ .db = tx->db, .s = s, .name = name, .err = err, .code = KT_OK };
	kt_assert(s && !s->busy);
	s->busy = s->stmt != NULL;
	return s->busy;
}

void kt_q_prepare(struct kt_q *q, const char *sql)
{
	int rc = kt_sqlite.prepare_v3(
		q->db->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &q->s->stmt, NULL);

	if (rc != SQLITE_OK) {
		query_fail(q, rc);
		return;
	}
	q->s->name = q->name;
	q->s->busy = true;
}

void kt_q_open(struct kt_q *q, struct kt_tx *tx, const char *sql, struct kt_err *err)
{
	if (!kt_q_find(q, tx, sql, err))
		kt_q_prepare(q, sql);
}

/* SQLite takes "$2" as a name and numbers names by their first appearance. */
static int index_of(struct kt_q *q, int n)
{
	static const char *const names[MAX_PARAM + 1] = { NULL, "$1", "$2", "$3", "$4", "$5", "$6",
		"$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14", "$15", "$16", "$17", "$18",
		"$19", "$20", "$21", "$22", "$23", "$24", "$25", "$26", "$27", "$28", "$29", "$30",
		"$31", "$32", "$33", "$34", "$35", "$36", "$37", "$38", "$39", "$40" };
	int i;

	kt_assert(n > 0 && n <= MAX_PARAM);
	i = kt_sqlite.bind_parameter_index(q->s->stmt, names[n]);
	kt_assert(i > 0);
	return i;
}

static void check_bind(struct kt_q *q, int rc)
{
	if (rc != SQLITE_OK)
		query_fail(q, rc);
}

void kt_q_text(struct kt_q *q, int n, const char *s)
{
	if (q->code != KT_OK)
		return;
	check_bind(q,
		s ? kt_sqlite.bind_text(q->s->stmt, index_of(q, n), s, -1, SQLITE_STATIC)
		  : kt_sqlite.bind_null(q->s->stmt, index_of(q, n)));
}

void kt_q_int(struct kt_q *q, int n, int64_t v)
{
	if (q->code == KT_OK)
		check_bind(q, kt_sqlite.bind_int64(q->s->stmt, index_of(q, n), v));
}

void kt_q_blob(struct kt_q *q, int n, const void *p, size_t len)
{
	if (q->code != KT_OK)
		return;
	check_bind(q,
		p ? kt_sqlite.bind_blob64(q->s->stmt, index_of(q, n), p, len, SQLITE_STATIC)
		  : kt_sqlite.bind_null(q->s->stmt, index_of(q, n)));
}

bool kt_q_row(struct kt_q *q)
{
	int rc;

	if (q->code != KT_OK)
		return false;
	rc = kt_sqlite.step(q->s->stmt);
	if (rc == SQLITE_ROW)
		return true;
	if (rc != SQLITE_DONE)
		query_fail(q, rc);
	return false;
}

const char *kt_q_str(struct kt_q *q, struct kt_arena *arena, int col)
{
	const void *p = kt_sqlite.column_text(q->s->stmt, col);

	if (!p)
		return NULL;
	return kt_arena_strndup(arena, p, (size_t)kt_sqlite.column_bytes(q->s->stmt, col));
}

int64_t kt_q_num(struct kt_q *q, int col)
{
	return kt_sqlite.column_int64(q->s->stmt, col);
}

const void *kt_q_bytes(struct kt_q *q, struct kt_arena *arena, int col, size_t *out_len)
{
	const void *p = kt_sqlite.column_blob(q->s->stmt, col);
	size_t len = (size_t)kt_sqlite.column_bytes(q->s->stmt, col);

	*out_len = 0;
	if (kt_sqlite.column_type(q->s->stmt, col) == SQLITE_NULL)
		return NULL;
	*out_len = len;
	/* SQLite gives NULL for a blob of no bytes; the caller's NULL means that it is absent. */
	return kt_arena_strndup(arena, p ? p : "", len);
}

const char *kt_q_peek(struct kt_q *q, int col)
{
	const void *p = kt_sqlite.column_text(q->s->stmt, col);

	return p ? p : "";
}

enum kt_code kt_q_end(struct kt_q *q)
{
	if (q->s->busy) {
		/* The error of the last step, which was told already. */
		(void)kt_sqlite.reset(q->s->stmt);
		(void)kt_sqlite.clear_bindings(q->s->stmt);
		q->s->busy = false;
	}
	return q->code;
}

enum kt_code kt_q_run(struct kt_q *q)
{
	while (kt_q_row(q))
		continue;
	return kt_q_end(q);
}

enum kt_code kt_q_run_one(struct kt_q *q, const char *missing)
{
	enum kt_code rc = kt_q_run(q);

	if (rc == KT_OK && kt_sqlite.changes64(q->db->db) == 0)
		return kt_fail(q->err, KT_ENOTFOUND, 0, "%s", missing);
	return rc;
}

/* --- rows -------------------------------------------------------------------------------- */

void *kt_rows_add(struct kt_rows *r, struct kt_q *q)
{
	char *at;

	if (r->len >= KT_STORE_MAX_ROWS) {
		q->code = kt_fail(q->err, KT_ELIMIT, 0, "more than %d rows", KT_STORE_MAX_ROWS);
		return NULL;
	}
	kt_grow(&r->items, &r->cap, r->len + 1, r->size);
	at = (char *)r->items + r->len * r->size;
	memset(at, 0, r->size);
	r->len++;
	return at;
}

enum kt_code kt_rows_end(
	struct kt_rows *r, struct kt_q *q, struct kt_arena *arena, void **out, size_t *out_n)
{
	enum kt_code rc = kt_q_end(q);

	if (rc == KT_OK) {
		/* One more than needed: an empty answer has an address too. */
		*out = kt_arena_alloc(arena, (r->len + 1) * r->size);
		if (r->len)
			memcpy(*out, r->items, r->len * r->size);
		*out_n = r->len;
	}
	free(r->items);
	return rc;
}
