/* SPDX-License-Identifier: MIT */
/*
 * TOML 1.0: document structure. Time is linear in the text: tables with many keys are looked up
 * by hash, positions are counted once. Deliberate limit: no NUL in keys, which are C strings.
 */
#include "text/toml_parse_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "text/clean.h"

#include <string.h>

#define DEPTH_MAX 64
#define FEW_CHILDREN 16 /* tables with more are looked up by hash */
#define TOKEN_MAX 24 /* bytes of the text shown in an error */

/* One part of a dotted key. */
struct part {
	const char *key;
	const char *at;
	int line, col;
};

struct path {
	struct part part[DEPTH_MAX];
	int n;
};

void kt_toml_place(struct kt_toml_parser *tp, const char *at, int *out_line, int *out_col)
{
	if (at < tp->mark) {
		tp->mark = tp->s;
		tp->mark_line = 1;
		tp->mark_col = 1;
	}
	for (; tp->mark < at; tp->mark++) {
		if (*tp->mark == '\n') {
			tp->mark_line++;
			tp->mark_col = 1;
		} else if (((unsigned char)*tp->mark & 0xc0) != 0x80) {
			tp->mark_col++;
		}
	}
	*out_line = tp->mark_line;
	*out_col = tp->mark_col;
}

bool kt_toml_fail(struct kt_toml_parser *tp, enum kt_code rc, const char *at, const char *what)
{
	KT_AUTO_BUF struct kt_buf near = KT_BUF_INIT(400);
	const char *stop = at;
	int line, col;

	kt_toml_place(tp, at, &line, &col);
	while (stop < tp->end && (unsigned char)*stop > ' ' && stop - at < TOKEN_MAX)
		stop++;
	while (stop < tp->end && stop > at && ((unsigned char)*stop & 0xc0) == 0x80)
		stop--;
	if (at >= tp->end) {
		kt_buf_adds(&near, "the end of the text");
	} else if (*at == '\n' || *at == '\r') {
		kt_buf_adds(&near, "the end of the line");
	} else {
		kt_buf_addc(&near, '\'');
		kt_clean_add(&near, at, KT_MAX((size_t)(stop - at), (size_t)1), true);
		kt_buf_addc(&near, '\'');
	}
	tp->code = kt_fail(tp->err, rc, 0, "%d:%d: %s, near %s", line, col, what, near.ptr);
	return false;
}

static bool fail_name(struct kt_toml_parser *tp, const struct part *part, const char *what)
{
	KT_AUTO_BUF struct kt_buf msg = KT_BUF_INIT(300);

	kt_buf_addc(&msg, '\'');
	kt_clean_add(&msg, part->key, KT_MIN(strlen(part->key), (size_t)60), true);
	kt_buf_addf(&msg, "' %s", what);
	return kt_toml_fail(tp, KT_EINVAL, part->at, msg.ptr);
}

struct kt_toml_node *kt_toml_node_new(
	struct kt_toml_parser *tp, enum kt_toml_type type, int line, int col)
{
	struct kt_toml_node *node = kt_arena_alloc(tp->arena, sizeof(*node));

	node->pub.type = type;
	node->pub.line = line;
	node->pub.col = col;
	return node;
}

static struct kt_toml_node *node_of(const struct kt_toml *pub)
{
	/* Nodes are made in this file as the public part of a kt_toml_node, never const. */
	return (struct kt_toml_node *)(uintptr_t)pub;
}

static struct kt_toml_node *find_toml_node(const struct kt_toml_node *table, const char *key)
{
	if (table->n > FEW_CHILDREN)
		return kt_map_get(&table->map, key);
	return node_of(kt_toml_get(&table->pub, key));
}

void kt_toml_attach(
	struct kt_toml_parser *tp, struct kt_toml_node *parent, struct kt_toml_node *child)
{
	if (parent->last)
		parent->last->pub.next = &child->pub;
	else
		parent->pub.child = &child->pub;
	parent->last = child;
	parent->n++;
	if (parent->pub.type != KT_TOML_TABLE || parent->n <= FEW_CHILDREN)
		return;
	if (parent->n == FEW_CHILDREN + 1) {
		for (struct kt_toml *c = parent->pub.child; c; c = c->next)
			kt_map_set(&parent->map, c->key, node_of(c));
		parent->next_mapped = tp->mapped;
		tp->mapped = parent;
	} else {
		kt_map_set(&parent->map, child->pub.key, child);
	}
}

void kt_toml_skip_blanks(struct kt_toml_parser *tp)
{
	while (tp->p < tp->end && (*tp->p == ' ' || *tp->p == '\t'))
		tp->p++;
}

bool kt_toml_skip_newline(struct kt_toml_parser *tp)
{
	if (tp->p < tp->end && *tp->p == '\n')
		tp->p++;
	else if (tp->end - tp->p >= 2 && tp->p[0] == '\r' && tp->p[1] == '\n')
		tp->p += 2;
	else
		return false;
	return true;
}

bool kt_toml_skip_comment(struct kt_toml_parser *tp)
{
	if (tp->p >= tp->end || *tp->p != '#')
		return true;
	for (; tp->p < tp->end && *tp->p != '\n'; tp->p++) {
		unsigned char c = (unsigned char)*tp->p;

		if (c == '\r' && tp->p + 1 < tp->end && tp->p[1] == '\n')
			break;
		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return kt_toml_fail(tp, KT_EINVAL, tp->p, "control character in a comment");
	}
	return true;
}

bool kt_toml_deeper(struct kt_toml_parser *tp, int by, const char *at)
{
	if (tp->depth + by > DEPTH_MAX)
		return kt_toml_fail(tp, KT_ELIMIT, at, "nesting over 64 levels (fixed)");
	tp->depth += by;
	return true;
}

static bool is_bare_key_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		c == '_' || c == '-';
}

static bool read_part(struct kt_toml_parser *tp, struct part *out)
{
	const char *at = tp->p;
	const char *text = at;
	size_t len;

	kt_toml_place(tp, at, &out->line, &out->col);
	out->at = at;
	if (at < tp->end && (*at == '"' || *at == '\'')) {
		if (!kt_toml_read_quoted(tp))
			return false;
		text = tp->scratch.ptr;
		len = tp->scratch.len;
		if (memchr(text, '\0', len))
			return kt_toml_fail(tp, KT_EINVAL, at, "NUL in a key");
	} else {
		while (tp->p < tp->end && is_bare_key_char(*tp->p))
			tp->p++;
		len = (size_t)(tp->p - at);
		if (len == 0)
			return kt_toml_fail(tp, KT_EINVAL, at, "key expected");
	}
	out->key = kt_arena_strndup(tp->arena, text, len);
	return true;
}

/* A dotted key; stops at the first byte that is no part of it, blanks skipped. */
static bool read_path(struct kt_toml_parser *tp, struct path *path)
{
	path->n = 0;
	for (;;) {
		if (path->n == DEPTH_MAX)
			return kt_toml_fail(tp, KT_ELIMIT, tp->p, "nesting over 64 levels (fixed)");
		kt_toml_skip_blanks(tp);
		if (!read_part(tp, &path->part[path->n]))
			return false;
		path->n++;
		kt_toml_skip_blanks(tp);
		if (tp->p >= tp->end || *tp->p != '.')
			return true;
		tp->p++;
	}
}

static struct kt_toml_node *add_child(struct kt_toml_parser *tp, struct kt_toml_node *parent,
	const struct part *part, enum kt_toml_type type, unsigned flags)
{
	struct kt_toml_node *node = kt_toml_node_new(tp, type, part->line, part->col);

	node->pub.key = part->key;
	node->flags = flags;
	kt_toml_attach(tp, parent, node);
	return node;
}

/* The table of a dotted key's part; such tables may grow only by further dotted keys. */
static struct kt_toml_node *dotted_step(
	struct kt_toml_parser *tp, struct kt_toml_node *table, const struct part *part)
{
	struct kt_toml_node *next = find_toml_node(table, part->key);

	if (!next)
		return add_child(tp, table, part, KT_TOML_TABLE, KT_TOML_BY_DOTS);
	if (next->pub.type != KT_TOML_TABLE) {
		fail_name(tp, part, "is not a table");
		return NULL;
	}
	if (next->flags & (KT_TOML_CLOSED | KT_TOML_BY_HEADER)) {
		fail_name(tp, part, "is a table that is defined elsewhere");
		return NULL;
	}
	next->flags |= KT_TOML_BY_DOTS;
	return next;
}

bool kt_toml_read_pair(struct kt_toml_parser *tp, struct kt_toml_node *table)
{
	struct path path;
	const struct part *last;
	int depth = tp->depth;

	if (!read_path(tp, &path))
		return false;
	if (tp->p >= tp->end || *tp->p != '=')
		return kt_toml_fail(tp, KT_EINVAL, tp->p, "'=' expected after the key");
	tp->p++;
	if (!kt_toml_deeper(tp, path.n, path.part[0].at))
		return false;
	for (int i = 0; i < path.n - 1; i++) {
		table = dotted_step(tp, table, &path.part[i]);
		if (!table)
			return false;
	}
	last = &path.part[path.n - 1];
	if (find_toml_node(table, last->key))
		return fail_name(tp, last, "is defined twice");
	kt_toml_skip_blanks(tp);
	tp->depth--;
	/* Attached before its value is read; the value cannot name its own table. */
	if (!kt_toml_read_value(tp, add_child(tp, table, last, KT_TOML_TABLE, KT_TOML_CLOSED)))
		return false;
	tp->depth = depth;
	return true;
}

/* A part of a header before the last: tables are made as needed, arrays mean their last table. */
static struct kt_toml_node *header_step(
	struct kt_toml_parser *tp, struct kt_toml_node *table, const struct part *part)
{
	struct kt_toml_node *next = find_toml_node(table, part->key);

	if (!next)
		return add_child(tp, table, part, KT_TOML_TABLE, 0);
	if (next->flags & KT_TOML_CLOSED) {
		fail_name(tp, part, "is a value and cannot be extended");
		return NULL;
	}
	/* Only arrays of tables are arrays without being closed, and those are never empty. */
	return next->pub.type == KT_TOML_ARRAY ? next->last : next;
}

static struct kt_toml_node *open_table(
	struct kt_toml_parser *tp, struct kt_toml_node *parent, const struct part *part)
{
	struct kt_toml_node *node = find_toml_node(parent, part->key);

	if (!node)
		return add_child(tp, parent, part, KT_TOML_TABLE, KT_TOML_BY_HEADER);
	if (node->flags || node->pub.type != KT_TOML_TABLE) {
		fail_name(tp, part, "is defined twice");
		return NULL;
	}
	node->flags = KT_TOML_BY_HEADER;
	node->pub.line = part->line;
	node->pub.col = part->col;
	return node;
}

static struct kt_toml_node *open_element(
	struct kt_toml_parser *tp, struct kt_toml_node *parent, const struct part *part)
{
	struct kt_toml_node *array = find_toml_node(parent, part->key);
	struct kt_toml_node *node;

	if (!array)
		array = add_child(tp, parent, part, KT_TOML_ARRAY, 0);
	if (array->pub.type != KT_TOML_ARRAY || (array->flags & KT_TOML_CLOSED)) {
		fail_name(tp, part, "is not an array of tables");
		return NULL;
	}
	node = kt_toml_node_new(tp, KT_TOML_TABLE, part->line, part->col);
	node->flags = KT_TOML_BY_HEADER;
	kt_toml_attach(tp, array, node);
	return node;
}

/* At '['; *out_table is where the pairs that follow go. */
static bool read_toml_header(
	struct kt_toml_parser *tp, struct kt_toml_node *root, struct kt_toml_node **out_table)
{
	bool element = tp->end - tp->p >= 2 && tp->p[1] == '[';
	struct kt_toml_node *table = root;
	struct path path;

	tp->p += element ? 2 : 1;
	if (!read_path(tp, &path))
		return false;
	if (tp->p >= tp->end || *tp->p != ']')
		return kt_toml_fail(tp, KT_EINVAL, tp->p, "']' expected");
	tp->p++;
	if (element && (tp->p >= tp->end || *tp->p != ']'))
		return kt_toml_fail(tp, KT_EINVAL, tp->p, "']]' expected");
	tp->p += element;
	tp->depth = 0;
	if (!kt_toml_deeper(tp, path.n + element, path.part[0].at))
		return false;
	for (int i = 0; i < path.n - 1; i++) {
		table = header_step(tp, table, &path.part[i]);
		if (!table)
			return false;
		if (table->pub.type != KT_TOML_TABLE)
			return fail_name(tp, &path.part[i], "is not a table");
	}
	if (element)
		table = open_element(tp, table, &path.part[path.n - 1]);
	else
		table = open_table(tp, table, &path.part[path.n - 1]);
	if (table)
		*out_table = table;
	return table != NULL;
}

static bool read_document(struct kt_toml_parser *tp, struct kt_toml_node *root)
{
	struct kt_toml_node *table = root;

	while (tp->p < tp->end) {
		char c;

		kt_toml_skip_blanks(tp);
		c = tp->p < tp->end ? *tp->p : '\n';
		if (c == '[' && !read_toml_header(tp, root, &table))
			return false;
		if (c != '[' && c != '#' && c != '\n' && c != '\r' && !kt_toml_read_pair(tp, table))
			return false;
		kt_toml_skip_blanks(tp);
		if (!kt_toml_skip_comment(tp))
			return false;
		if (tp->p < tp->end && !kt_toml_skip_newline(tp))
			return kt_toml_fail(tp, KT_EINVAL, tp->p, "end of line expected");
	}
	return true;
}

static bool check_utf8(struct kt_toml_parser *tp)
{
	const char *p = tp->p;

	if (kt_utf8_valid(p, (size_t)(tp->end - p)))
		return true;
	while (p < tp->end) {
		uint32_t cp;
		size_t n = kt_utf8_decode(p, (size_t)(tp->end - p), &cp);

		if (n == 0)
			break;
		p += n;
	}
	return kt_toml_fail(tp, KT_EINVAL, p, "invalid UTF-8");
}

enum kt_code kt_toml_parse(struct kt_arena *arena, const char *s, size_t len,
	const struct kt_toml **out, struct kt_err *err)
{
	struct kt_toml_parser tp = {
		.arena = arena,
		.mark_line = 1,
		.mark_col = 1,
		.scratch = KT_BUF_INIT(KT_MAX_TOML_BYTES),
		.err = err,
	};
	struct kt_toml_node *root;

	if (len > KT_MAX_TOML_BYTES)
		return kt_fail(
			err, KT_ELIMIT, 0, "1:1: text over %d bytes (fixed)", KT_MAX_TOML_BYTES);
	if (len >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0) {
		s += 3;
		len -= 3;
	}
	tp.s = tp.p = tp.mark = s;
	tp.end = s + len;
	root = kt_toml_node_new(&tp, KT_TOML_TABLE, 1, 1);
	root->flags = KT_TOML_BY_HEADER;
	if (check_utf8(&tp) && read_document(&tp, root))
		*out = &root->pub;
	for (struct kt_toml_node *n = tp.mapped; n; n = n->next_mapped)
		kt_map_release(&n->map);
	kt_buf_release(&tp.scratch);
	return tp.code;
}

const struct kt_toml *kt_toml_get(const struct kt_toml *table, const char *key)
{
	if (!table || table->type != KT_TOML_TABLE)
		return NULL;
	for (const struct kt_toml *c = table->child; c; c = c->next)
		if (strcmp(c->key, key) == 0)
			return c;
	return NULL;
}

const char *kt_toml_type_name(enum kt_toml_type type)
{
	static const char *const names[] = {
		[KT_TOML_TABLE] = "table",
		[KT_TOML_ARRAY] = "array",
		[KT_TOML_STRING] = "string",
		[KT_TOML_INT] = "integer",
		[KT_TOML_FLOAT] = "float",
		[KT_TOML_BOOL] = "boolean",
		[KT_TOML_DATETIME] = "date-time",
	};

	return (size_t)type < KT_ARRAY_LEN(names) ? names[type] : "value";
}

void kt_toml_add_str(struct kt_buf *b, const char *s)
{
	static const char from[] = "\b\t\n\f\r\"\\";
	static const char to[] = "btnfr\"\\";
	const char *end = s + strlen(s);

	kt_buf_addc(b, '"');
	while (s < end) {
		unsigned char c = (unsigned char)*s;
		const char *at = strchr(from, c);
		uint32_t cp;
		size_t n = kt_utf8_decode(s, (size_t)(end - s), &cp);

		if (at)
			kt_buf_addf(b, "\\%c", to[at - from]);
		else if (c < 0x20 || c == 0x7f)
			kt_buf_addf(b, "\\u%04X", c);
		else if (n == 0)
			kt_buf_adds(b, "\xef\xbf\xbd");
		else
			kt_buf_add(b, s, n);
		s += n ? n : 1;
	}
	kt_buf_addc(b, '"');
}
