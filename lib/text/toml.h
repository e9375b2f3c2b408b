/* SPDX-License-Identifier: MIT */
/*
 * TOML 1.0 reader. The tree lives in the caller's arena; every node knows its line and column,
 * so that a complaint can name the place. Reading only: writers edit the text.
 */
#ifndef KT_TEXT_TOML_H
#define KT_TEXT_TOML_H

#include "base/arena.h"
#include "base/err.h"

enum kt_toml_type {
	KT_TOML_TABLE,
	KT_TOML_ARRAY,
	KT_TOML_STRING,
	KT_TOML_INT,
	KT_TOML_FLOAT,
	KT_TOML_BOOL,
	KT_TOML_DATETIME, /* text kept in str */
};

struct kt_toml {
	enum kt_toml_type type;
	const char *key; /* name in the parent table; NULL in arrays and at the root */
	int line, col; /* of the key, or of the value in an array; from 1 */
	const char *str; /* STRING and DATETIME: NUL-terminated text */
	size_t str_len;
	int64_t i; /* INT; BOOL 0 or 1 */
	double f;
	struct kt_toml *child; /* first child of TABLE and ARRAY, in order of appearance */
	struct kt_toml *next; /* next sibling */
};

/*
 * Parse len bytes (UTF-8, at most KT_MAX_TOML_BYTES, nesting 64) into a table in arena.
 * Returns KT_OK or KT_EINVAL / KT_ELIMIT with "line:column: what".
 */
KT_MUST_CHECK enum kt_code kt_toml_parse(struct kt_arena *arena, const char *s, size_t len,
	const struct kt_toml **out, struct kt_err *err);
/* Child of a table by key, NULL when absent. */
const struct kt_toml *kt_toml_get(const struct kt_toml *table, const char *key);
/* "string", "integer", "table", ... */
const char *kt_toml_type_name(enum kt_toml_type type);
/* Append s as a TOML basic string with quotes. */
struct kt_buf;
void kt_toml_add_str(struct kt_buf *b, const char *s);

#endif
