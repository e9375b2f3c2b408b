/* SPDX-License-Identifier: MIT */
/* Statements over any engine: those of a connection are prepared once and found again. */
#include "store/db_private.h"

#include <string.h>

void kt_db_close(struct kt_db *db)
{
	if (!db)
		return;
	for (size_t i = 0; i < KT_STORE_STMTS; i++)
		if (db->stmts[i].stmt)
			db->engine->finalize(db, db->stmts[i].stmt);
	db->engine->close(db);
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
	q->code = q->db->engine->prepare(q->db, sql, &q->s->stmt, q->err);
	if (q->code != KT_OK)
		return;
	q->s->name = q->name;
	q->s->busy = true;
}

void kt_q_open(struct kt_q *q, struct kt_tx *tx, const char *sql, struct kt_err *err)
{
	if (!kt_q_find(q, tx, sql, err))
		kt_q_prepare(q, sql);
}

void kt_q_text(struct kt_q *q, int n, const char *s)
{
	if (q->code == KT_OK)
		q->code = q->db->engine->bind_text(q->db, q->s->stmt, n, s, q->err);
}

void kt_q_int(struct kt_q *q, int n, int64_t v)
{
	if (q->code == KT_OK)
		q->code = q->db->engine->bind_int(q->db, q->s->stmt, n, v, q->err);
}

void kt_q_blob(struct kt_q *q, int n, const void *p, size_t len)
{
	if (q->code == KT_OK)
		q->code = q->db->engine->bind_blob(q->db, q->s->stmt, n, p, len, q->err);
}

bool kt_q_row(struct kt_q *q)
{
	bool row = false;

	if (q->code == KT_OK)
		q->code = q->db->engine->step(q->db, q->s->stmt, &row, q->err);
	return q->code == KT_OK && row;
}

const char *kt_q_str(struct kt_q *q, struct kt_arena *arena, int col)
{
	size_t len = 0;
	const char *p = q->db->engine->text(q->s->stmt, col, &len);

	return p ? kt_arena_strndup(arena, p, len) : NULL;
}

int64_t kt_q_num(struct kt_q *q, int col)
{
	return q->db->engine->num(q->s->stmt, col);
}

const void *kt_q_bytes(struct kt_q *q, struct kt_arena *arena, int col, size_t *out_len)
{
	const void *p = q->db->engine->bytes(q->s->stmt, col, out_len);

	return p ? kt_arena_strndup(arena, p, *out_len) : NULL;
}

const char *kt_q_peek(struct kt_q *q, int col)
{
	size_t len = 0;
	const char *p = q->db->engine->text(q->s->stmt, col, &len);

	return p ? p : "";
}

enum kt_code kt_q_end(struct kt_q *q)
{
	if (q->s->busy) {
		q->db->engine->reset(q->db, q->s->stmt);
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

	if (rc == KT_OK && q->db->engine->changes(q->db) == 0)
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
