/* SPDX-License-Identifier: MIT */
/* SQLite as an engine (struct kt_engine): what its files share. Private to lib/store/sqlite. */
#ifndef KT_STORE_SQLITE_SQLITE_PRIVATE_H
#define KT_STORE_SQLITE_SQLITE_PRIVATE_H

#include "store/db_private.h"
#include "store/sqlite/sqlite_dl_private.h"

/* --- connect.c: the functions of struct kt_engine, and these ----------------------------- */

sqlite3 *kt_sqlite_of(struct kt_db *db);
/* Fill err from what SQLite said last (status is its code); returns the code of it. */
enum kt_code kt_sqlite_fail(struct kt_db *db, int status, struct kt_err *err);
/* Run statements; fn gets each row as text (sqlite3_exec()'s callback). fn returns 0. */
typedef int (*kt_sqlite_row_fn)(void *arg, int n, char **values, char **names);
KT_MUST_CHECK enum kt_code kt_sqlite_each(
	struct kt_db *db, const char *sql, kt_sqlite_row_fn fn, void *arg, struct kt_err *err);
/* The first column of the last row as a number (a pragma's value); 0 when there is no row. */
KT_MUST_CHECK enum kt_code kt_sqlite_number(
	struct kt_db *db, const char *sql, int64_t *out, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_sqlite_open(
	const char *path, bool read_only, struct kt_db **out, struct kt_err *err);
void kt_sqlite_close(struct kt_db *db); /* NULL is fine */
KT_MUST_CHECK enum kt_code kt_sqlite_exec(struct kt_db *db, const char *sql, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_sqlite_begin(struct kt_db *db, bool write, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_sqlite_commit(struct kt_db *db, struct kt_err *err);
void kt_sqlite_rollback(struct kt_db *db);
bool kt_sqlite_in_tx(struct kt_db *db);
KT_MUST_CHECK enum kt_code kt_sqlite_part(struct kt_db *db, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_sqlite_keep(struct kt_db *db, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_sqlite_undo(struct kt_db *db, struct kt_err *err);

/* --- file.c: the file as a whole --------------------------------------------------------- */

KT_MUST_CHECK enum kt_code kt_sqlite_open_first(
	const char *path, bool create, bool read_only, struct kt_db **out, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_sqlite_check(
	const char *path, struct kt_buf *out, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_sqlite_backup(const char *from, const char *path, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_sqlite_keep_copy(
	struct kt_db *db, const char *path, int number, struct kt_err *err);

#endif
