/* SPDX-License-Identifier: MIT */
/* Rows as tables of their columns: statements made of them, binding, reading, copying. */
#include "store/rows/table_private.h"

#include <string.h>

static void *member_of(const struct kt_col *c, const void *row)
{
	return (char *)(uintptr_t)row + c->at;
}

static size_t blob_len(const struct kt_col *c, const void *row)
{
	return c->len > 0 ? c->len : *(const size_t *)((const char *)row + c->len_at);
}

static void set_blob_len(const struct kt_col *c, void *row, size_t len)
{
	if (c->len == 0)
		*(size_t *)(void *)((char *)row + c->len_at) = len;
}

/* --- statements -------------------------------------------------------------------------- */

static void add_columns(struct kt_buf *b, const struct kt_table *t)
{
	for (size_t i = 0; i < t->n_cols; i++)
		kt_buf_addf(b, "%s%s", i > 0 ? ", " : "", t->cols[i].name);
}

/* Columns with this flag as "name = $n". */
static void add_settings(
	struct kt_buf *b, const struct kt_table *t, unsigned flag, const char *between)
{
	const char *sep = "";

	for (size_t i = 0; i < t->n_cols; i++) {
		if (!(t->cols[i].flags & flag))
			continue;
		kt_buf_addf(b, "%s%s = $%zu", sep, t->cols[i].name, i + 1);
		sep = between;
	}
}

static void bind_column(struct kt_q *q, int n, const struct kt_col *c, const void *row)
{
	const void *at = member_of(c, row);
	int word;

	switch (c->type) {
	case KT_COL_IS_TEXT:
		kt_q_text(q, n, *(const char *const *)at);
		break;
	case KT_COL_IS_INT:
		kt_q_int(q, n, *(const int64_t *)at);
		break;
	case KT_COL_IS_SMALL:
		kt_q_int(q, n, *(const int *)at);
		break;
	case KT_COL_IS_BOOL:
		kt_q_int(q, n, *(const bool *)at);
		break;
	case KT_COL_IS_WORD:
		word = *(const int *)at;
		kt_assert(word >= 0 && (size_t)word < c->n_words);
		kt_q_text(q, n, c->words[word]);
		break;
	case KT_COL_IS_BLOB:
		kt_q_blob(q, n, *(const void *const *)at, blob_len(c, row));
		break;
	}
}

static void bind_columns(struct kt_q *q, const struct kt_table *t, const void *row, unsigned flags)
{
	for (size_t i = 0; i < t->n_cols; i++)
		if (flags == 0 || (t->cols[i].flags & flags))
			bind_column(q, (int)i + 1, &t->cols[i], row);
}

void kt_q_insert(struct kt_q *q, struct kt_tx *tx, const struct kt_table *t, const void *row,
	const char *tail, struct kt_err *err)
{
	if (!kt_q_find(q, tx, tail ? tail : &t->key[0], err)) {
		KT_AUTO_BUF struct kt_buf sql = KT_BUF_INIT(KT_STORE_MAX_SQL_BYTES);

		kt_buf_addf(&sql, "INSERT INTO %s (", t->name);
		add_columns(&sql, t);
		kt_buf_adds(&sql, ") VALUES (");
		for (size_t i = 0; i < t->n_cols; i++)
			kt_buf_addf(&sql, "%s$%zu", i > 0 ? ", " : "", i + 1);
		kt_buf_addf(&sql, ") %s", tail ? tail : "");
		kt_q_prepare(q, sql.ptr);
	}
	bind_columns(q, t, row, 0);
}

void kt_q_update(struct kt_q *q, struct kt_tx *tx, const struct kt_table *t, const void *row,
	struct kt_err *err)
{
	if (!kt_q_find(q, tx, &t->key[1], err)) {
		KT_AUTO_BUF struct kt_buf sql = KT_BUF_INIT(KT_STORE_MAX_SQL_BYTES);

		kt_buf_addf(&sql, "UPDATE %s SET ", t->name);
		add_settings(&sql, t, KT_COL_PUT, ", ");
		kt_buf_adds(&sql, " WHERE ");
		add_settings(&sql, t, KT_COL_KEY, " AND ");
		kt_q_prepare(q, sql.ptr);
	}
	bind_columns(q, t, row, KT_COL_PUT | KT_COL_KEY);
}

void kt_q_select(struct kt_q *q, struct kt_tx *tx, const struct kt_table *t, const char *tail,
	struct kt_err *err)
{
	static const char again[] = "SELECT *";

	if (!kt_q_find(q, tx, tail, err)) {
		KT_AUTO_BUF struct kt_buf sql = KT_BUF_INIT(KT_STORE_MAX_SQL_BYTES);
		const char *at = tail;

		kt_buf_adds(&sql, "SELECT ");
		add_columns(&sql, t);
		kt_buf_addc(&sql, ' ');
		for (const char *next; (next = strstr(at, again)); at = next + sizeof(again) - 1) {
			kt_buf_add(&sql, at, (size_t)(next - at));
			kt_buf_adds(&sql, "SELECT ");
			add_columns(&sql, t);
		}
		kt_buf_adds(&sql, at);
		kt_q_prepare(q, sql.ptr);
	}
}

/* --- reading and copying ----------------------------------------------------------------- */

static void read_col_word(
	struct kt_q *q, int col, const struct kt_table *t, const struct kt_col *c, int *out)
{
	const char *word = kt_q_peek(q, col);

	for (size_t i = 0; i < c->n_words; i++) {
		if (strcmp(word, c->words[i]) == 0) {
			*out = (int)i;
			return;
		}
	}
	/* The schema lets no other word in. */
	if (q->code == KT_OK)
		q->code = kt_fail(
			q->err, KT_EPROTO, 0, "a row of %s has no known %s", t->name, c->name);
}

void kt_q_read(struct kt_q *q, const struct kt_table *t, struct kt_arena *arena, void *row)
{
	for (size_t i = 0; i < t->n_cols; i++) {
		const struct kt_col *c = &t->cols[i];
		void *at = member_of(c, row);
		int col = (int)i;
		size_t len;

		switch (c->type) {
		case KT_COL_IS_TEXT:
			*(const char **)at = kt_q_str(q, arena, col);
			break;
		case KT_COL_IS_INT:
			*(int64_t *)at = kt_q_num(q, col);
			break;
		case KT_COL_IS_SMALL:
			*(int *)at = (int)kt_q_num(q, col);
			break;
		case KT_COL_IS_BOOL:
			*(bool *)at = kt_q_num(q, col) != 0;
			break;
		case KT_COL_IS_WORD:
			read_col_word(q, col, t, c, at);
			break;
		case KT_COL_IS_BLOB:
			*(const void **)at = kt_q_bytes(q, arena, col, &len);
			set_blob_len(c, row, len);
			break;
		}
	}
}

enum kt_code kt_q_one(struct kt_q *q, const struct kt_table *t, struct kt_arena *arena, void *out,
	const char *missing)
{
	KT_AUTOFREE void *row = kt_calloc(1, t->row_size);
	bool found = kt_q_row(q);
	enum kt_code rc;

	if (found)
		kt_q_read(q, t, arena, row);
	rc = kt_q_end(q);
	if (rc != KT_OK)
		return rc;
	if (!found)
		return kt_fail(q->err, KT_ENOTFOUND, 0, "%s", missing);
	memcpy(out, row, t->row_size);
	return KT_OK;
}

enum kt_code kt_q_all(
	struct kt_q *q, const struct kt_table *t, struct kt_arena *arena, void **out, size_t *out_n)
{
	struct kt_rows rows = { .size = t->row_size };

	while (kt_q_row(q)) {
		void *row = kt_rows_add(&rows, q);

		if (!row)
			break;
		kt_q_read(q, t, arena, row);
	}
	return kt_rows_end(&rows, q, arena, out, out_n);
}

void kt_row_copy(const struct kt_table *t, struct kt_arena *arena, const void *from, void *to)
{
	memcpy(to, from, t->row_size);
	for (size_t i = 0; i < t->n_cols; i++) {
		const struct kt_col *c = &t->cols[i];
		void *at = member_of(c, to);

		if (c->type == KT_COL_IS_TEXT && *(const char **)at)
			*(const char **)at = kt_arena_strdup(arena, *(const char **)at);
		else if (c->type == KT_COL_IS_BLOB && *(const void **)at)
			*(const void **)at = kt_arena_strndup(
				arena, *(const void **)at, blob_len(c, to));
	}
}
