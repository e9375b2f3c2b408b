/* SPDX-License-Identifier: MIT */
/*
 * Inside of lib/text only: what the two halves of the TOML reader share. toml.c knows keys,
 * headers and which table may be opened when; toml_value.c knows values.
 */
#ifndef KT_TEXT_TOML_PARSE_PRIVATE_H
#define KT_TEXT_TOML_PARSE_PRIVATE_H

#include "base/buf.h"
#include "base/map.h"
#include "text/toml.h"

enum {
	KT_TOML_BY_HEADER = 1, /* a table with a [header] of its own: no second one */
	KT_TOML_BY_DOTS = 2, /* a table made by a dotted key: no header may open it */
	KT_TOML_CLOSED = 4, /* written as a value ({...} or [...]): nothing may be added */
};

struct kt_toml_node {
	struct kt_toml pub; /* first, so that a node is found from what callers see */
	unsigned flags;
	struct kt_toml_node *last; /* last child */
	size_t n; /* children */
	struct kt_map map; /* by key; in use when there are many children */
	struct kt_toml_node *next_mapped;
};

struct kt_toml_parser {
	struct kt_arena *arena;
	const char *s, *p, *end;
	/* Line and column of `mark`, so that positions asked in order cost one pass in all. */
	const char *mark;
	int mark_line, mark_col;
	int depth; /* of the container being read */
	struct kt_buf scratch;
	struct kt_toml_node *mapped; /* whose map must be released */
	enum kt_code code;
	struct kt_err *err;
};

/* Set the error "line:col: what, near 'token'"; at is the place. Returns false. */
bool kt_toml_fail(struct kt_toml_parser *tp, enum kt_code rc, const char *at, const char *what);
/* Line and column of at, from 1. */
void kt_toml_place(struct kt_toml_parser *tp, const char *at, int *out_line, int *out_col);
/* New node in the arena for something at the given place. */
struct kt_toml_node *kt_toml_node_new(
	struct kt_toml_parser *tp, enum kt_toml_type type, int line, int col);
/* Append a child; its key must be set and new when parent is a table. */
void kt_toml_attach(
	struct kt_toml_parser *tp, struct kt_toml_node *parent, struct kt_toml_node *child);
/* Step over spaces and tabs. */
void kt_toml_skip_blanks(struct kt_toml_parser *tp);
/* Step over one line end when there is one. */
bool kt_toml_skip_newline(struct kt_toml_parser *tp);
/* Step over a comment, up to the line end; false when it holds control characters. */
bool kt_toml_skip_comment(struct kt_toml_parser *tp);
/* Enter a container; false (error set) when that is too deep. */
bool kt_toml_deeper(struct kt_toml_parser *tp, int by, const char *at);
/* "key = value" into table. */
bool kt_toml_read_pair(struct kt_toml_parser *tp, struct kt_toml_node *table);
/* A value into node, whose place and key are set already. */
bool kt_toml_read_value(struct kt_toml_parser *tp, struct kt_toml_node *node);
/* A string with one quote on each side, as keys have it; into tp->scratch. */
bool kt_toml_read_quoted(struct kt_toml_parser *tp);

#endif
