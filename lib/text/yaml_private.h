/* SPDX-License-Identifier: MIT */
/* Inside of the YAML reader: where it is in the text, and the scalars. */
#ifndef KT_TEXT_YAML_PRIVATE_H
#define KT_TEXT_YAML_PRIVATE_H

#include "base/buf.h"
#include "base/map.h"
#include "text/yaml.h"

struct kt_yaml {
	const char *s;
	size_t len;
	size_t pos;
	size_t line_start; /* position */
	int line; /* from 0 */
	int line_indent; /* of the line at pos */
	bool claude;
	int depth;
	size_t n_nodes;
	struct kt_map anchors; /* to copies of nodes */
	struct kt_err *err;
	bool failed;
};

/* One node: a value, or the text of a scalar that is not typed yet. */
struct kt_yaml_node {
	cJSON *value; /* collection or alias; NULL is null */
	char *text; /* scalar, or NULL */
	bool plain; /* the scalar has no quotes: its text says its type */
};

/* Byte at the position, or so many behind it; 0 at the end. */
static inline unsigned char kt_yaml_at(const struct kt_yaml *y, size_t ahead)
{
	return y->pos + ahead < y->len ? (unsigned char)y->s[y->pos + ahead] : 0;
}

static inline bool kt_yaml_is_break(unsigned char c)
{
	return c == '\n' || c == '\r';
}

static inline bool kt_yaml_is_space(unsigned char c)
{
	return c == ' ' || c == '\t';
}

static inline bool kt_yaml_is_blank(unsigned char c)
{
	return kt_yaml_is_space(c) || kt_yaml_is_break(c);
}

static inline bool kt_yaml_is_flow(unsigned char c)
{
	return c == ',' || c == '[' || c == ']' || c == '{' || c == '}';
}

/* Fail at the position; false. The first error counts. */
bool kt_yaml_fail(struct kt_yaml *y, const char *what);
/* Step over a line break; fails when there is none. */
bool kt_yaml_break(struct kt_yaml *y);
/* Skip blanks, line breaks and, when asked, comments; returns the number of line breaks. */
int kt_yaml_skip(struct kt_yaml *y, bool comments);
/* True at "---" or "..." with a blank behind it. */
bool kt_yaml_at_separator(const struct kt_yaml *y);

/* Read a scalar of the kind when there is one at the position; false when not, or on failure. */
bool kt_yaml_plain(struct kt_yaml *y, int indent, bool in_flow, struct kt_yaml_node *out);
bool kt_yaml_quoted(struct kt_yaml *y, struct kt_yaml_node *out);
bool kt_yaml_block(struct kt_yaml *y, int indent, struct kt_yaml_node *out);
/* The value that a scalar without quotes and tag stands for; the caller's. */
KT_MUST_CHECK cJSON *kt_yaml_typed(const struct kt_yaml *y, const char *text);

#endif
