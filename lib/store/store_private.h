/* SPDX-License-Identifier: MIT */
/*
 * Inside of the store: connections, statements, migrations, the store itself. Private to lib/store.
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
#ifndef KT_STORE_STORE_PRIVATE_H
#define KT_STORE_STORE_PRIVATE_H

#include "store/store.h"

#include <pthread.h>

struct sqlite3;
struct sqlite3_stmt;

#define KT_STORE_APPLICATION_ID 0x6b617274 /* "kart", in the file's header */
#define KT_STORE_STMTS 128 /* statements of one connection; about 60 are in the code */
#define KT_STORE_MAX_ROWS 1000000 /* of one answer; a server has fewer of anything listed whole */
#define KT_STORE_MAX_SQL_BYTES 4096 /* of a statement that is made of a table of columns */
#define KT_STORE_READERS 2

/* --- sqlite.c: one connection, used by one thread at a time ------------------------------ */

struct kt_db {
	struct sqlite3 *db;
	bool read_only;
	/* Prepared statements by an address that stands for their text: mostly a literal's. */
	struct kt_db_stmt {
		const char *name;
		struct sqlite3_stmt *stmt;
		bool busy;
	} stmts[KT_STORE_STMTS];
};

struct kt_tx {
	struct kt_db *db;
	bool write;
};

/*
 * Open a connection with the settings that all have. read_only: no write reaches the file.
 * kt_db_close() ends it. Returns KT_OK, KT_EPROTO (damaged), KT_EUNAVAIL (busy) or KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_db_open(
	const char *path, bool read_only, struct kt_db **out, struct kt_err *err);
void kt_db_close(struct kt_db *db); /* NULL is fine */
/* Fill err from what SQLite said last (rc is its code); returns the code of it. */
enum kt_code kt_db_fail(struct kt_db *db, int rc, struct kt_err *err);
/* Run statements without results. */
KT_MUST_CHECK enum kt_code kt_db_exec(struct kt_db *db, const char *sql, struct kt_err *err);
/* First column of the first row as a number (a pragma's value); 0 when there is no row. */
KT_MUST_CHECK enum kt_code kt_db_number(
	struct kt_db *db, const char *sql, int64_t *out, struct kt_err *err);
/* BEGIN IMMEDIATE (write) or a read snapshot; COMMIT; ROLLBACK, which does nothing outside. */
KT_MUST_CHECK enum kt_code kt_db_begin(struct kt_db *db, bool write, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_db_commit(struct kt_db *db, struct kt_err *err);
void kt_db_rollback(struct kt_db *db);
/* False when SQLite has ended the transaction by itself (full disk, I/O error). */
bool kt_db_in_tx(struct kt_db *db);

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

struct kt_migration {
	int number; /* 1, 2, ... */
	const char *name; /* of its file, without ".sql" */
	const char *sql;
};
/* The program's own, in order. */
extern const struct kt_migration kt_migrations[];
extern const size_t kt_n_migrations;
/*
 * Bring the database to the last of n migrations, each in one transaction, with a copy of an older
 * one (path + ".before-NNN") first. A read-only connection only has its version checked.
 * Returns KT_OK, KT_EPROTO (newer, not ours, damaged) or KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_db_migrate(struct kt_db *db, const char *path,
	const struct kt_migration *list, size_t n, struct kt_err *err);

/* --- store.c and thread.c ---------------------------------------------------------------- */

struct kt_job {
	struct kt_job *next;
	kt_tx_fn fn;
	kt_tx_done_fn done; /* or NULL */
	void *arg;
	enum kt_code code;
	struct kt_err *err; /* of a failed one, else NULL */
};
struct kt_jobs {
	struct kt_job *head;
	struct kt_job **tail;
	size_t n;
};

struct kt_store {
	char *path;
	bool read_only;
	struct kt_db *direct; /* of kt_store_do(); guarded by direct_mutex */
	pthread_mutex_t direct_mutex;
	/*
	 * Held while this process writes, so that its own threads wait in line here and SQLite's
	 * polling only meets other processes. Taken after direct_mutex.
	 */
	pthread_mutex_t write_mutex;

	struct kt_loop *loop; /* or NULL: no threads */
	struct kt_db *writer; /* the writer's thread only */
	struct kt_db *readers[KT_STORE_READERS];
	pthread_t threads[1 + KT_STORE_READERS];
	size_t n_threads;
	struct uv_async_s *async;
	size_t pending; /* jobs whose done is still to come; the loop's thread only */
	bool closing; /* the loop's thread only */

	pthread_mutex_t mutex; /* guards all below */
	pthread_cond_t write_cond, read_cond;
	struct kt_jobs writes, reads, finished;
	/*
	 * A commit can be seen before the loop has heard of it: reads that end meanwhile wait in
	 * held, so that no answer is older than one that was given before it.
	 */
	bool committing;
	struct kt_jobs held;
	bool stop;
	uint64_t n_commits; /* of the writer's groups; for tests */
	struct kt_err trouble; /* of the last commit; code KT_OK: it is on disk */
	struct kt_timer *probe; /* tries again meanwhile, or NULL; the loop's thread only */
};

/* Start the threads, their connections are there. */
KT_MUST_CHECK enum kt_code kt_store_start(struct kt_store *st, struct kt_err *err);
/* Run what is queued, end the threads, call what `done`s are left. */
void kt_store_stop(struct kt_store *st);

#endif
