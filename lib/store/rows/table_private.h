/* SPDX-License-Identifier: MIT */
/*
 * Rows as tables of their columns: a column is named once, and is then inserted, updated, read and
 * copied. Private to lib/store.
 *
 *	static const struct kt_col cols[] = {
 *		KT_COL_TEXT(struct kt_org_row, id, KT_COL_KEY),
 *		KT_COL_INT(struct kt_org_row, created_us, 0),
 *	};
 *	static const struct kt_table orgs = KT_TABLE("orgs", struct kt_org_row, cols);
 */
#ifndef KT_STORE_ROWS_TABLE_PRIVATE_H
#define KT_STORE_ROWS_TABLE_PRIVATE_H

#include "store/db_private.h"

#include <stddef.h>

enum kt_col_type {
	KT_COL_IS_TEXT, /* const char *; NULL is NULL */
	KT_COL_IS_INT, /* int64_t */
	KT_COL_IS_SMALL, /* int or unsigned */
	KT_COL_IS_BOOL, /* bool, stored as 0 or 1 */
	KT_COL_IS_WORD, /* an enum, stored as one of `words` */
	KT_COL_IS_BLOB, /* const void *, its length a size_t at len_at, or `len` where that is not 0 */
};

#define KT_COL_KEY 1U /* kt_q_update() finds the row by it */
#define KT_COL_PUT 2U /* kt_q_update() writes it; the others never change */

struct kt_col {
	const char *name;
	enum kt_col_type type;
	unsigned flags;
	size_t at; /* offset in the row */
	size_t len_at;
	size_t len; /* fixed */
	const char *const *words;
	size_t n_words;
};

struct kt_table {
	const char *name;
	const struct kt_col *cols;
	size_t n_cols;
	size_t row_size;
	char key[2]; /* their addresses name the statements of kt_q_insert() and kt_q_update() */
};

/* 0; does not compile unless the member has the type. */
#define KT_COL_CHECK(row, member, ctype)                                                           \
	(0 * sizeof(char[_Generic(((row *)0)->member, ctype : 1, default : -1)]))
#define KT_COL_TEXT(row, member, how)                                                              \
	{                                                                                          \
		.name = #member, .type = KT_COL_IS_TEXT, .flags = (how),                           \
		.at = offsetof(row, member) + KT_COL_CHECK(row, member, const char *)              \
	}
#define KT_COL_INT(row, member, how)                                                               \
	{                                                                                          \
		.name = #member, .type = KT_COL_IS_INT, .flags = (how),                            \
		.at = offsetof(row, member) + KT_COL_CHECK(row, member, int64_t)                   \
	}
#define KT_COL_SMALL(row, member, how)                                                             \
	{                                                                                          \
		.name = #member, .type = KT_COL_IS_SMALL, .flags = (how),                          \
		.at = offsetof(row, member) +                                                      \
			0 * sizeof(char[sizeof(((row *)0)->member) == sizeof(int) ? 1 : -1])       \
	}
#define KT_COL_BOOL(row, member, how)                                                              \
	{                                                                                          \
		.name = #member, .type = KT_COL_IS_BOOL, .flags = (how),                           \
		.at = offsetof(row, member) + KT_COL_CHECK(row, member, bool)                      \
	}
#define KT_COL_WORD(row, member, how, list)                                                        \
	{                                                                                          \
		.name = #member, .type = KT_COL_IS_WORD, .flags = (how),                           \
		.at = offsetof(row, member), .words = (list), .n_words = KT_ARRAY_LEN(list)        \
	}
#define KT_COL_BLOB(row, member, how)                                                              \
	{                                                                                          \
		.name = #member, .type = KT_COL_IS_BLOB, .flags = (how),                           \
		.at = offsetof(row, member) + KT_COL_CHECK(row, member, const void *),             \
		.len_at = offsetof(row, member##_len) + KT_COL_CHECK(row, member##_len, size_t)    \
	}
#define KT_COL_BYTES(row, member, how, n)                                                          \
	{                                                                                          \
		.name = #member, .type = KT_COL_IS_BLOB, .flags = (how),                           \
		.at = offsetof(row, member), .len = (n)                                            \
	}
#define KT_TABLE(table, row, columns)                                                              \
	{                                                                                          \
		.name = (table), .cols = (columns), .n_cols = KT_ARRAY_LEN(columns),               \
		.row_size = sizeof(row)                                                            \
	}

/* INSERT all columns of the row, then `tail` (a literal: "ON CONFLICT ..."; NULL: nothing). */
void kt_q_insert(struct kt_q *q, struct kt_tx *tx, const struct kt_table *t, const void *row,
	const char *tail, struct kt_err *err);
/* UPDATE the columns that may change, of the row with this key. */
void kt_q_update(struct kt_q *q, struct kt_tx *tx, const struct kt_table *t, const void *row,
	struct kt_err *err);
/*
 * SELECT all columns, then `tail`, a literal that names this statement ("FROM orgs WHERE id = $1");
 * "SELECT *" inside of it stands for the columns again (UNION ALL).
 */
void kt_q_select(struct kt_q *q, struct kt_tx *tx, const struct kt_table *t, const char *tail,
	struct kt_err *err);
/* The row that kt_q_row() found, of a kt_q_select(), into *row; strings live in the arena. */
void kt_q_read(struct kt_q *q, const struct kt_table *t, struct kt_arena *arena, void *row);
/* The first row, and the end of q. Returns KT_OK, KT_ENOTFOUND with `missing`, or its error. */
KT_MUST_CHECK enum kt_code kt_q_one(struct kt_q *q, const struct kt_table *t,
	struct kt_arena *arena, void *out, const char *missing);
/* All rows, an array in the arena, and the end of q. On an error *out is as it was. */
KT_MUST_CHECK enum kt_code kt_q_all(struct kt_q *q, const struct kt_table *t,
	struct kt_arena *arena, void **out, size_t *out_n);
/* A copy of the row with all that it points to. */
void kt_row_copy(const struct kt_table *t, struct kt_arena *arena, const void *from, void *to);

#endif
