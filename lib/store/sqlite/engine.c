/* SPDX-License-Identifier: MIT */
/* SQLite's statements, and the table of all that this engine does. */
#include "store/sqlite/sqlite_private.h"

/* The engine's numbers of its files: see lib/store/schema. */
static const struct kt_migration sqlite_migrations[] = {
#include "store/schema.h"
};

#define SQLITE_APPLICATION_ID 0x6b617274 /* "kart", in the file's header */

static sqlite3_stmt *sqlite_stmt(struct kt_stmt *stmt)
{
	return (sqlite3_stmt *)stmt;
}

static enum kt_code sqlite_prepare(
	struct kt_db *db, const char *sql, struct kt_stmt **out, struct kt_err *err)
{
	sqlite3_stmt *stmt = NULL;
	int status = kt_sqlite.prepare_v3(
		kt_sqlite_of(db), sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);

	if (status != SQLITE_OK)
		return kt_sqlite_fail(db, status, err);
	*out = (struct kt_stmt *)stmt;
	return KT_OK;
}

static void sqlite_finalize(struct kt_db *db, struct kt_stmt *stmt)
{
	(void)db;
	(void)kt_sqlite.finalize(sqlite_stmt(stmt));
}

/* SQLite takes "$2" as a name and numbers names by their first appearance. */
static int index_of(struct kt_stmt *stmt, int n)
{
	static const char *const names[KT_DB_MAX_PARAM + 1] = { NULL, "$1", "$2", "$3", "$4", "$5",
		"$6", "$7", "$8", "$9", "$10", "$11", "$12", "$13", "$14", "$15", "$16", "$17",
		"$18", "$19", "$20", "$21", "$22", "$23", "$24", "$25", "$26", "$27", "$28", "$29",
		"$30", "$31", "$32", "$33", "$34", "$35", "$36", "$37", "$38", "$39", "$40" };
	int i;

	kt_assert(n > 0 && n <= KT_DB_MAX_PARAM);
	i = kt_sqlite.bind_parameter_index(sqlite_stmt(stmt), names[n]);
	kt_assert(i > 0);
	return i;
}

static enum kt_code sqlite_bound(struct kt_db *db, int status, struct kt_err *err)
{
	return status == SQLITE_OK ? KT_OK : kt_sqlite_fail(db, status, err);
}

static enum kt_code sqlite_bind_text(
	struct kt_db *db, struct kt_stmt *stmt, int n, const char *s, struct kt_err *err)
{
	int i = index_of(stmt, n);

	return sqlite_bound(db,
		s ? kt_sqlite.bind_text(sqlite_stmt(stmt), i, s, -1, SQLITE_STATIC)
		  : kt_sqlite.bind_null(sqlite_stmt(stmt), i),
		err);
}

static enum kt_code sqlite_bind_int(
	struct kt_db *db, struct kt_stmt *stmt, int n, int64_t v, struct kt_err *err)
{
	return sqlite_bound(db, kt_sqlite.bind_int64(sqlite_stmt(stmt), index_of(stmt, n), v), err);
}

static enum kt_code sqlite_bind_blob(struct kt_db *db, struct kt_stmt *stmt, int n, const void *p,
	size_t len, struct kt_err *err)
{
	int i = index_of(stmt, n);

	return sqlite_bound(db,
		p ? kt_sqlite.bind_blob64(sqlite_stmt(stmt), i, p, len, SQLITE_STATIC)
		  : kt_sqlite.bind_null(sqlite_stmt(stmt), i),
		err);
}

static enum kt_code sqlite_step(
	struct kt_db *db, struct kt_stmt *stmt, bool *out, struct kt_err *err)
{
	int status = kt_sqlite.step(sqlite_stmt(stmt));

	*out = status == SQLITE_ROW;
	if (status != SQLITE_ROW && status != SQLITE_DONE)
		return kt_sqlite_fail(db, status, err);
	return KT_OK;
}

static void sqlite_reset(struct kt_db *db, struct kt_stmt *stmt)
{
	(void)db;
	/* The error of the last step, which was told already. */
	(void)kt_sqlite.reset(sqlite_stmt(stmt));
	(void)kt_sqlite.clear_bindings(sqlite_stmt(stmt));
}

static const char *sqlite_text(struct kt_stmt *stmt, int col, size_t *out_len)
{
	const void *p = kt_sqlite.column_text(sqlite_stmt(stmt), col);

	*out_len = p ? (size_t)kt_sqlite.column_bytes(sqlite_stmt(stmt), col) : 0;
	return p;
}

static int64_t sqlite_num(struct kt_stmt *stmt, int col)
{
	return kt_sqlite.column_int64(sqlite_stmt(stmt), col);
}

static const void *sqlite_bytes(struct kt_stmt *stmt, int col, size_t *out_len)
{
	const void *p = kt_sqlite.column_blob(sqlite_stmt(stmt), col);
	size_t len = (size_t)kt_sqlite.column_bytes(sqlite_stmt(stmt), col);

	*out_len = 0;
	if (kt_sqlite.column_type(sqlite_stmt(stmt), col) == SQLITE_NULL)
		return NULL;
	*out_len = len;
	/* SQLite gives NULL for a blob of no bytes; the caller's NULL means that it is absent. */
	return p ? p : "";
}

static int64_t sqlite_changes(struct kt_db *db)
{
	return kt_sqlite.changes64(kt_sqlite_of(db));
}

/* --- versions ---------------------------------------------------------------------------- */

static enum kt_code sqlite_version(struct kt_db *db, int64_t *out, struct kt_err *err)
{
	int64_t id = 0, version = 0, tables = 0;
	enum kt_code rc = kt_sqlite_number(db, "PRAGMA application_id", &id, err);

	if (rc == KT_OK)
		rc = kt_sqlite_number(db, "PRAGMA user_version", &version, err);
	if (rc == KT_OK)
		rc = kt_sqlite_number(db, "SELECT count(*) FROM sqlite_schema", &tables, err);
	if (rc != KT_OK)
		return rc;
	if (id == 0 && version == 0 && tables == 0)
		*out = 0;
	else
		*out = id == SQLITE_APPLICATION_ID && version >= 1 ? version : -1;
	return KT_OK;
}

static enum kt_code sqlite_set_version(struct kt_db *db, int number, struct kt_err *err)
{
	KT_AUTOFREE char *sql = kt_asprintf("PRAGMA user_version = %d; PRAGMA application_id = %d",
		number, SQLITE_APPLICATION_ID);

	return kt_sqlite_exec(db, sql, err);
}

static enum kt_code sqlite_loosen(struct kt_db *db, bool on, struct kt_err *err)
{
	return kt_sqlite_exec(
		db, on ? "PRAGMA foreign_keys = OFF" : "PRAGMA foreign_keys = ON", err);
}

static enum kt_code sqlite_dangling(struct kt_db *db, int64_t *out, struct kt_err *err)
{
	return kt_sqlite_number(db, "SELECT count(*) FROM pragma_foreign_key_check", out, err);
}

const struct kt_engine kt_sqlite_engine = {
	.migrations = sqlite_migrations,
	.n_migrations = KT_ARRAY_LEN(sqlite_migrations),
	.open = kt_sqlite_open,
	.open_first = kt_sqlite_open_first,
	.close = kt_sqlite_close,
	.exec = kt_sqlite_exec,
	.begin = kt_sqlite_begin,
	.commit = kt_sqlite_commit,
	.rollback = kt_sqlite_rollback,
	.in_tx = kt_sqlite_in_tx,
	.part = kt_sqlite_part,
	.keep = kt_sqlite_keep,
	.undo = kt_sqlite_undo,
	.prepare = sqlite_prepare,
	.finalize = sqlite_finalize,
	.bind_text = sqlite_bind_text,
	.bind_int = sqlite_bind_int,
	.bind_blob = sqlite_bind_blob,
	.step = sqlite_step,
	.reset = sqlite_reset,
	.text = sqlite_text,
	.num = sqlite_num,
	.bytes = sqlite_bytes,
	.changes = sqlite_changes,
	.version = sqlite_version,
	.set_version = sqlite_set_version,
	.keep_copy = kt_sqlite_keep_copy,
	.loosen = sqlite_loosen,
	.dangling = sqlite_dangling,
	.check = kt_sqlite_check,
	.backup = kt_sqlite_backup,
};
