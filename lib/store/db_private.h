/* SPDX-License-Identifier: MIT */
/*
 * A database as the operations see it: connections, transactions, statements. What one must be able
 * to do is struct kt_engine; each engine has a folder of its own (sqlite/). Private to lib/store.
 *
 * A statement is used like this; the first error sticks, so only the end is checked:
 *
 *	struct kt_q q;
 *	kt_q_open(&q, tx, "SELECT name FROM orgs WHERE id = $1", err);
 *	kt_q_text(&q, 1, id);
 *	while (kt_q_row(&q))
 *		... kt_q_str(&q, arena, 0) ...
 *	return kt_q_end(&q);
 */
#ifndef KT_STORE_DB_PRIVATE_H
#define KT_STORE_DB_PRIVATE_H

#include "store/store.h"

#define KT_STORE_STMTS 128 /* statements of one connection; about 60 are in the code */
#define KT_STORE_MAX_ROWS 1000000 /* of one answer; a server has fewer of anything listed whole */
#define KT_STORE_MAX_SQL_BYTES 4096 /* of a statement that is made of a table of columns */
#define KT_DB_MAX_PARAM 40 /* parameters of a statement: $1 to $40 */

/* --- engines ----------------------------------------------------------------------------- */

struct kt_db;
struct kt_stmt; /* a prepared statement, as its engine has it */

struct kt_migration {
	int number; /* 1, 2, ... */
	const char *name; /* of its file, without ".sql" */
	const char *sql;
};

/*
 * What a database must do. Each function fills err when it fails; the codes mean the same with
 * every engine: KT_ECONFLICT (a row of this key is there), KT_ENOTFOUND (refers to what is not
 * there), KT_EINVAL (refused by a rule of the schema), KT_EUNAVAIL (busy), KT_EPROTO (damaged),
 * KT_EIO (disk or connection), KT_ELIMIT, KT_ENOMEM, KT_ECANCEL, else KT_EINTERNAL.
 */
struct kt_engine {
	/* The program's own migrations in this engine's SQL, in order. */
	const struct kt_migration *migrations;
	size_t n_migrations;

	/*
	 * A connection; read_only: no write reaches the database. close() ends it. kt_db_open()
	 * and kt_db_open_first() tell it its engine.
	 */
	enum kt_code (*open)(
		const char *where, bool read_only, struct kt_db **out, struct kt_err *err);
	/*
	 * The first one of a store: the database is made when it is missing and `create`
	 * (KT_ENOTFOUND otherwise), and looked at for damage.
	 */
	enum kt_code (*open_first)(const char *where, bool create, bool read_only,
		struct kt_db **out, struct kt_err *err);
	void (*close)(struct kt_db *db);

	/* Run statements without results or parameters, with ';' between them. */
	enum kt_code (*exec)(struct kt_db *db, const char *sql, struct kt_err *err);
	/*
	 * A write transaction: no other begins one before its end. Or a read snapshot: one point in
	 * time, with all that was committed when it began.
	 */
	enum kt_code (*begin)(struct kt_db *db, bool write, struct kt_err *err);
	/* After an error nothing is open. */
	enum kt_code (*commit)(struct kt_db *db, struct kt_err *err);
	void (*rollback)(struct kt_db *db); /* does nothing outside */
	/* False when the database has ended the transaction by itself (full disk, I/O error). */
	bool (*in_tx)(struct kt_db *db);
	/* A part of the transaction that can be undone by itself: keep() or undo() ends it. */
	enum kt_code (*part)(struct kt_db *db, struct kt_err *err);
	enum kt_code (*keep)(struct kt_db *db, struct kt_err *err);
	enum kt_code (*undo)(struct kt_db *db, struct kt_err *err);

	/* Copies sql. finalize() and reset() take any state of the statement. */
	enum kt_code (*prepare)(
		struct kt_db *db, const char *sql, struct kt_stmt **out, struct kt_err *err);
	void (*finalize)(struct kt_db *db, struct kt_stmt *stmt);
	/* Bind $n (1 to KT_DB_MAX_PARAM). NULL binds NULL. BORROWS until reset(). */
	enum kt_code (*bind_text)(
		struct kt_db *db, struct kt_stmt *stmt, int n, const char *s, struct kt_err *err);
	enum kt_code (*bind_int)(
		struct kt_db *db, struct kt_stmt *stmt, int n, int64_t v, struct kt_err *err);
	enum kt_code (*bind_blob)(struct kt_db *db, struct kt_stmt *stmt, int n, const void *p,
		size_t len, struct kt_err *err);
	/* The next row: *out is false when there is none. */
	enum kt_code (*step)(struct kt_db *db, struct kt_stmt *stmt, bool *out, struct kt_err *err);
	/* Forget rows and parameters. */
	void (*reset)(struct kt_db *db, struct kt_stmt *stmt);
	/* Columns of the row, until the next step(); NULL of NULL. text() ends with NUL. */
	const char *(*text)(struct kt_stmt *stmt, int col, size_t *out_len);
	int64_t (*num)(struct kt_stmt *stmt, int col);
	const void *(*bytes)(struct kt_stmt *stmt, int col, size_t *out_len);
	/* Rows that the last statement wrote. */
	int64_t (*changes)(struct kt_db *db);

	/*
	 * What the database is: the number of its last migration, 0 when it is new and empty, -1
	 * when it is not ours. In a transaction.
	 */
	enum kt_code (*version)(struct kt_db *db, int64_t *out, struct kt_err *err);
	/* Write the number; in the transaction of its migration. */
	enum kt_code (*set_version)(struct kt_db *db, int number, struct kt_err *err);
	/* Make what is needed for going back to before migration `number`. */
	enum kt_code (*keep_copy)(
		struct kt_db *db, const char *where, int number, struct kt_err *err);
	/* Tables are rebuilt under their old names: references are not followed while on. */
	enum kt_code (*loosen)(struct kt_db *db, bool on, struct kt_err *err);
	/* Rows that refer to what is not there. */
	enum kt_code (*dangling)(struct kt_db *db, int64_t *out, struct kt_err *err);

	/* kt_store_check() and kt_store_backup(), on connections of their own. */
	enum kt_code (*check)(const char *where, struct kt_buf *out, struct kt_err *err);
	enum kt_code (*backup)(const char *where, const char *path, struct kt_err *err);
};

extern const struct kt_engine kt_sqlite_engine;

/* engine.c: the engine of a database by its name; a connection by its engine's function. */
const struct kt_engine *kt_engine_of(const char *where);
KT_MUST_CHECK enum kt_code kt_db_open(
	const char *where, bool read_only, struct kt_db **out, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_db_open_first(
	const char *where, bool create, bool read_only, struct kt_db **out, struct kt_err *err);

/* --- a connection, used by one thread at a time ------------------------------------------ */

/* The first member of an engine's own. */
struct kt_db {
	const struct kt_engine *engine;
	bool read_only;
	/* Prepared statements by an address that stands for their text: mostly a literal's. */
	struct kt_db_stmt {
		const char *name;
		struct kt_stmt *stmt;
		bool busy;
	} stmts[KT_STORE_STMTS];
};

struct kt_tx {
	struct kt_db *db;
	bool write;
};

/* NULL is fine. */
void kt_db_close(struct kt_db *db);
/* First column of the first row as a number; 0 when there is no row. */
KT_MUST_CHECK enum kt_code kt_db_number(
	struct kt_db *db, const char *sql, int64_t *out, struct kt_err *err);

/* --- statements -------------------------------------------------------------------------- */

struct kt_q {
	struct kt_db *db;
	struct kt_db_stmt *s;
	const char *name; /* of the statement */
	struct kt_err *err;
	enum kt_code code;
};
/* Take the statement of this text, a literal; it must not be open already. */
void kt_q_open(struct kt_q *q, struct kt_tx *tx, const char *sql, struct kt_err *err);
/*
 * The same in two steps, for a text that is made: take the statement that has this address as its
 * name; false when it is not prepared yet, which kt_q_prepare() does then. It copies sql.
 */
KT_MUST_CHECK bool kt_q_find(
	struct kt_q *q, struct kt_tx *tx, const char *name, struct kt_err *err);
void kt_q_prepare(struct kt_q *q, const char *sql);
/* Bind $n. NULL binds NULL. BORROWS until kt_q_end(). */
void kt_q_text(struct kt_q *q, int n, const char *s);
void kt_q_int(struct kt_q *q, int n, int64_t v);
void kt_q_blob(struct kt_q *q, int n, const void *p, size_t len);
/* Step: true when there is a row. */
bool kt_q_row(struct kt_q *q);
/* Columns of the row, copied into the arena; NULL of NULL. */
const char *kt_q_str(struct kt_q *q, struct kt_arena *arena, int col);
int64_t kt_q_num(struct kt_q *q, int col);
const void *kt_q_bytes(struct kt_q *q, struct kt_arena *arena, int col, size_t *out_len);
/* Text of a column without a copy, until the next step; "" of NULL. */
const char *kt_q_peek(struct kt_q *q, int col);
/* Give the statement back; returns the first error. */
KT_MUST_CHECK enum kt_code kt_q_end(struct kt_q *q);
/* Step to the end and give it back. */
KT_MUST_CHECK enum kt_code kt_q_run(struct kt_q *q);
/* The same, and KT_ENOTFOUND with this message when no row was changed. */
KT_MUST_CHECK enum kt_code kt_q_run_one(struct kt_q *q, const char *missing);

/* Rows that are collected before they are moved into an arena. */
struct kt_rows {
	void *items;
	size_t len, cap, size;
};
/* Room for one more, zeroed; NULL (q fails with KT_ELIMIT) when there are too many. */
void *kt_rows_add(struct kt_rows *r, struct kt_q *q);
/* End q; on success *out is the array in the arena. Frees what was collected. */
KT_MUST_CHECK enum kt_code kt_rows_end(
	struct kt_rows *r, struct kt_q *q, struct kt_arena *arena, void **out, size_t *out_n);

/* --- migrate.c --------------------------------------------------------------------------- */

/*
 * Bring the database to the last of n migrations, each in one transaction, with a copy of an older
 * one first. A read-only connection only has its version checked. `where` names it in messages.
 * Returns KT_OK, KT_EPROTO (newer, not ours, damaged) or KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_db_migrate(struct kt_db *db, const char *where,
	const struct kt_migration *list, size_t n, struct kt_err *err);

#endif
