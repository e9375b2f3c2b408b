/* SPDX-License-Identifier: MIT */
/*
 * The structure of YAML: documents, mappings, sequences, anchors and tags. Scalars are read in
 * yaml_scalar.c. It goes from left to right, decides by indentation, and never goes back.
 */
#include "text/yaml.h"

#include "base/limits.h"
#include "base/str.h"
#include "text/yaml_private.h"

#include <string.h>

#define MAX_DEPTH 64 /* front matter is two or three deep; bounds the stack */
#define MAX_NODES 200000 /* more than a file of the largest size holds; bounds aliases */

/* Where a node stands: decides what it may be. */
enum place { IN_FLOW, AS_KEY, IN_SEQUENCE, IN_BLOCK };

/* What may stand at a place, worked out from it. */
struct room {
	int flow_indent, block_indent;
	bool collections, scalars; /* block ones */
	bool in_flow;
};

static bool compose_node(
	struct kt_yaml *y, int parent, enum place place, bool seek, bool compact, cJSON **out);

bool kt_yaml_fail(struct kt_yaml *y, const char *what)
{
	if (!y->failed)
		(void)kt_fail(y->err, KT_EINVAL, 0, "%d:%zu: %s", y->line + 1,
			y->pos - y->line_start + 1, what);
	y->failed = true;
	return false;
}

bool kt_yaml_break(struct kt_yaml *y)
{
	unsigned char c = kt_yaml_at(y, 0);

	if (!kt_yaml_is_break(c))
		return kt_yaml_fail(y, "a line break is expected");
	y->pos += c == '\r' && kt_yaml_at(y, 1) == '\n' ? 2 : 1;
	y->line++;
	y->line_start = y->pos;
	return true;
}

int kt_yaml_skip(struct kt_yaml *y, bool comments)
{
	int breaks = 0;

	for (;;) {
		while (kt_yaml_is_space(kt_yaml_at(y, 0)))
			y->pos++;
		if (comments && kt_yaml_at(y, 0) == '#')
			while (kt_yaml_at(y, 0) && !kt_yaml_is_break(kt_yaml_at(y, 0)))
				y->pos++;
		if (!kt_yaml_is_break(kt_yaml_at(y, 0)))
			return breaks;
		(void)kt_yaml_break(y);
		breaks++;
		y->line_indent = 0;
		while (kt_yaml_at(y, 0) == ' ' || (y->claude && kt_yaml_at(y, 0) == '\t')) {
			y->line_indent++;
			y->pos++;
		}
	}
}

bool kt_yaml_at_separator(const struct kt_yaml *y)
{
	unsigned char c = kt_yaml_at(y, 0), behind = kt_yaml_at(y, 3);

	return (c == '-' || c == '.') && kt_yaml_at(y, 1) == c && kt_yaml_at(y, 2) == c &&
		(behind == 0 || kt_yaml_is_blank(behind));
}

/* Count nodes, those of copies too: aliases must not multiply without end. */
static bool count_nodes(struct kt_yaml *y, size_t n)
{
	y->n_nodes += n;
	return y->n_nodes <= MAX_NODES || kt_yaml_fail(y, "too many values");
}

static size_t size_of_node(const cJSON *node)
{
	size_t n = 1;

	for (const cJSON *c = node ? node->child : NULL; c; c = c->next)
		n += size_of_node(c);
	return n;
}

static cJSON *or_null(cJSON *value)
{
	cJSON *node = value ? value : cJSON_CreateNull();

	kt_assert(node);
	return node;
}

/* --- mappings ---------------------------------------------------------------------------- */

/* A mapping being read, with its keys for a fast look. */
struct mapping {
	cJSON *node;
	struct kt_map keys;
};

static void mapping_begin(struct mapping *m)
{
	m->node = cJSON_CreateObject();
	kt_assert(m->node);
	m->keys = (struct kt_map)KT_MAP_INIT;
}

/* End it and give the object. */
static cJSON *mapping_take(struct mapping *m)
{
	kt_map_release(&m->keys);
	return KT_STEAL(m->node);
}

static void mapping_drop(struct mapping *m)
{
	cJSON_Delete(mapping_take(m));
}

/* A key as the readers make text of it; the caller's. */
static char *key_text(const cJSON *key)
{
	if (!key || cJSON_IsNull(key))
		return kt_strdup("null");
	if (cJSON_IsString(key))
		return kt_strdup(key->valuestring);
	if (cJSON_IsBool(key))
		return kt_strdup(cJSON_IsTrue(key) ? "true" : "false");
	if (cJSON_IsNumber(key))
		return kt_asprintf("%.15g", key->valuedouble);
	return kt_strdup("[object Object]");
}

/* Add a pair (TAKES both, either may be NULL for null). */
static bool add_yaml_pair(struct kt_yaml *y, struct mapping *m, cJSON *key, cJSON *value)
{
	KT_AUTOFREE char *text = key_text(key);
	cJSON *node = or_null(value);
	cJSON *had;

	cJSON_Delete(key);
	if (kt_str_eq(text, "<<") && (cJSON_IsObject(node) || cJSON_IsArray(node))) {
		/* Merged keys are those of other parts, never a name or a description. */
		cJSON_Delete(node);
		return true;
	}
	had = kt_map_set(&m->keys, text, node);
	if (!had)
		return cJSON_AddItemToObject(m->node, text, node);
	if (!y->claude) {
		cJSON_Delete(node);
		return kt_yaml_fail(y, "a key is there twice");
	}
	node->string = kt_strdup(text);
	return cJSON_ReplaceItemViaPointer(m->node, had, node);
}

/* State of one block mapping. */
struct block_map {
	struct mapping map;
	cJSON *key;
	bool detected; /* a key with its colon was seen */
	bool explicit_key; /* "? key" without its ": value" yet */
	bool compact;
};

/* "? " or ": " of an explicit pair. */
static bool explicit_mark(struct kt_yaml *y, struct block_map *b)
{
	if (kt_yaml_at(y, 0) == '?') {
		if (b->explicit_key && !add_yaml_pair(y, &b->map, KT_STEAL(b->key), NULL))
			return false;
		b->detected = b->explicit_key = true;
	} else if (b->explicit_key) {
		b->explicit_key = false;
	} else {
		return kt_yaml_fail(y, "a value without a key");
	}
	b->compact = true;
	y->pos++;
	return true;
}

/* What follows a node that may be a key: true when it is one, false when not, or on failure. */
static bool key_colon(struct kt_yaml *y, struct block_map *b, int line, cJSON **node)
{
	if (y->line != line) {
		if (b->detected)
			return kt_yaml_fail(y, "a key over several lines");
		return false;
	}
	while (kt_yaml_is_space(kt_yaml_at(y, 0)))
		y->pos++;
	if (kt_yaml_at(y, 0) != ':') {
		if (b->detected)
			return kt_yaml_fail(y, "a colon is missing behind a key");
		return false;
	}
	if (!kt_yaml_is_blank(kt_yaml_at(y, 1)))
		return kt_yaml_fail(y, "a blank is missing behind the colon of a key");
	y->pos++;
	if (b->explicit_key && !add_yaml_pair(y, &b->map, KT_STEAL(b->key), NULL))
		return false;
	b->detected = true;
	b->explicit_key = b->compact = false;
	cJSON_Delete(b->key);
	b->key = KT_STEAL(*node);
	return true;
}

/* The value (or the explicit key) behind a mark; leaves the position at the next key. */
static bool pair_value(struct kt_yaml *y, struct block_map *b, int indent)
{
	cJSON *value = NULL;
	int line;

	if (compose_node(y, indent, IN_BLOCK, true, b->compact, &value) && b->explicit_key) {
		cJSON_Delete(b->key);
		b->key = KT_STEAL(value);
	}
	if (y->failed) {
		cJSON_Delete(value);
		return false;
	}
	if (!b->explicit_key && !add_yaml_pair(y, &b->map, KT_STEAL(b->key), value))
		return false;
	line = y->line;
	kt_yaml_skip(y, true);
	/* OpenCode goes on with the next key behind a quoted value, on the same line. */
	if (y->claude && y->line == line && kt_yaml_at(y, 0) &&
		y->pos - y->line_start > (size_t)y->line_indent && !b->explicit_key)
		return kt_yaml_fail(y, "text behind a value");
	return true;
}

/* One pair. False at the end of the mapping and on failure; *single is a node that is no key. */
static bool next_pair(struct kt_yaml *y, struct block_map *b, int indent, int flow, cJSON **single)
{
	unsigned char c = kt_yaml_at(y, 0);
	int line = y->line;

	if (!c)
		return false;
	if ((c == '?' || c == ':') && kt_yaml_is_blank(kt_yaml_at(y, 1))) {
		if (!explicit_mark(y, b))
			return false;
	} else {
		cJSON *node = NULL;
		bool is_key = compose_node(y, flow, AS_KEY, false, true, &node);

		if (!is_key || y->failed || !key_colon(y, b, line, &node)) {
			if (is_key && !y->failed && !b->detected)
				*single = node;
			else
				cJSON_Delete(node);
			return false;
		}
	}
	if ((y->line == line || y->line_indent > indent) && !pair_value(y, b, indent))
		return false;
	if (y->line_indent > indent && kt_yaml_at(y, 0))
		return kt_yaml_fail(y, "wrong indentation of a key");
	return y->line_indent >= indent;
}

/*
 * A block mapping, or the single node that stands where one could begin. False when there is
 * neither, or on failure.
 */
static bool block_mapping(struct kt_yaml *y, const struct room *room, cJSON **out)
{
	struct block_map b = { 0 };
	cJSON *single = NULL;

	mapping_begin(&b.map);
	while (next_pair(y, &b, room->block_indent, room->flow_indent, &single))
		;
	if (!y->failed && b.explicit_key)
		(void)add_yaml_pair(y, &b.map, KT_STEAL(b.key), NULL);
	cJSON_Delete(b.key);
	if (y->failed) {
		cJSON_Delete(single);
		mapping_drop(&b.map);
		return false;
	}
	if (b.detected) {
		*out = mapping_take(&b.map);
		return true;
	}
	mapping_drop(&b.map);
	*out = single;
	return single != NULL;
}

/* --- sequences --------------------------------------------------------------------------- */

static bool block_sequence(struct kt_yaml *y, int indent, cJSON **out)
{
	cJSON *list = NULL;

	while (kt_yaml_at(y, 0) == '-' && kt_yaml_is_blank(kt_yaml_at(y, 1))) {
		cJSON *item = NULL;
		int line;

		if (!list)
			list = cJSON_CreateArray();
		kt_assert(list);
		y->pos++;
		if (kt_yaml_skip(y, true) && y->line_indent <= indent) {
			kt_assert(cJSON_AddItemToArray(list, or_null(NULL)));
			if (y->line_indent < indent)
				break;
			continue;
		}
		line = y->line;
		(void)compose_node(y, indent, IN_SEQUENCE, false, true, &item);
		kt_assert(cJSON_AddItemToArray(list, or_null(item)));
		kt_yaml_skip(y, true);
		if (!y->failed && (y->line == line || y->line_indent > indent) && kt_yaml_at(y, 0))
			(void)kt_yaml_fail(y, "wrong indentation of an entry");
		if (y->failed || y->line_indent < indent)
			break;
	}
	*out = list;
	return list && !y->failed;
}

/* One entry of a flow collection: into map, or into list. */
static bool flow_entry(struct kt_yaml *y, int indent, struct mapping *map, cJSON *list)
{
	bool explicit = kt_yaml_at(y, 0) == '?' && kt_yaml_is_blank(kt_yaml_at(y, 1));
	cJSON *key = NULL, *value = NULL;
	bool pair = explicit || map;
	int line;

	if (explicit) {
		y->pos++;
		kt_yaml_skip(y, true);
	}
	line = y->line;
	(void)compose_node(y, indent, IN_FLOW, false, true, &key);
	kt_yaml_skip(y, true);
	if (!y->failed && (explicit || y->line == line) && kt_yaml_at(y, 0) == ':') {
		pair = true;
		y->pos++;
		kt_yaml_skip(y, true);
		(void)compose_node(y, indent, IN_FLOW, false, true, &value);
	}
	if (y->failed) {
		cJSON_Delete(key);
		cJSON_Delete(value);
		return false;
	}
	if (map)
		return add_yaml_pair(y, map, key, value);
	if (pair) {
		struct mapping one;

		mapping_begin(&one);
		(void)add_yaml_pair(y, &one, key, value);
		key = mapping_take(&one);
	}
	return cJSON_AddItemToArray(list, or_null(key));
}

static bool flow_collection(struct kt_yaml *y, int indent, cJSON **out)
{
	bool is_map = kt_yaml_at(y, 0) == '{';
	unsigned char end = is_map ? '}' : ']';
	struct mapping map = { NULL, KT_MAP_INIT };
	bool more = true;
	cJSON *list = NULL;

	if (!is_map && kt_yaml_at(y, 0) != '[')
		return false;
	if (is_map)
		mapping_begin(&map);
	else
		list = cJSON_CreateArray();
	kt_assert(map.node || list);
	y->pos++;
	while (!y->failed) {
		kt_yaml_skip(y, true);
		if (!kt_yaml_at(y, 0)) {
			(void)kt_yaml_fail(y, "a bracket is not closed");
		} else if (kt_yaml_at(y, 0) == end) {
			y->pos++;
			break;
		} else if (!more) {
			(void)kt_yaml_fail(y, "a comma is missing between entries");
		} else if (flow_entry(y, indent, is_map ? &map : NULL, list)) {
			kt_yaml_skip(y, true);
			more = kt_yaml_at(y, 0) == ',';
			y->pos += more;
		}
	}
	*out = is_map ? mapping_take(&map) : list;
	return !y->failed;
}

/* --- nodes ------------------------------------------------------------------------------- */

/* Tags and anchor before a node. */
struct properties {
	char *tag, *anchor; /* or NULL */
};

static void properties_release(struct properties *p)
{
	free(p->tag);
	free(p->anchor);
}

/* The word behind "&", "*" or "!": up to a blank, or a bracket or comma. */
static char *read_yaml_word(struct kt_yaml *y, bool flow_ends)
{
	size_t start = y->pos;

	while (kt_yaml_at(y, 0) && !kt_yaml_is_blank(kt_yaml_at(y, 0)) &&
		!(flow_ends && kt_yaml_is_flow(kt_yaml_at(y, 0))))
		y->pos++;
	return kt_strndup(y->s + start, y->pos - start);
}

/* One tag or anchor; false when there is none, or on failure. */
static bool read_property(struct kt_yaml *y, struct properties *p)
{
	unsigned char c = kt_yaml_at(y, 0);
	char **into = c == '!' ? &p->tag : &p->anchor;

	if (c != '!' && c != '&')
		return false;
	if (*into)
		return kt_yaml_fail(y, "two tags or anchors of one value");
	y->pos += c == '&';
	*into = read_yaml_word(y, c == '&');
	if (!**into)
		return kt_yaml_fail(y, "an anchor without a name");
	if (c == '!' && !y->claude && (*into)[strcspn(*into, ",[]{}")])
		return kt_yaml_fail(y, "a tag with brackets");
	return true;
}

static bool read_alias(struct kt_yaml *y, struct kt_yaml_node *out)
{
	KT_AUTOFREE char *name = NULL;
	const cJSON *node;

	if (kt_yaml_at(y, 0) != '*')
		return false;
	y->pos++;
	name = read_yaml_word(y, true);
	node = name[0] ? kt_map_get(&y->anchors, name) : NULL;
	if (!node)
		return kt_yaml_fail(y, "an alias of nothing");
	if (!count_nodes(y, size_of_node(node)))
		return false;
	out->value = cJSON_Duplicate(node, true);
	kt_assert(out->value);
	return true;
}

/* Give the value of a node its type by tag and text. */
static bool resolve_node(struct kt_yaml *y, const char *tag, struct kt_yaml_node *n)
{
	static const char *const known[] = { "!", "!!str", "!!int", "!!float", "!!bool", "!!null",
		"!!map", "!!seq", "!!timestamp", "!!binary", "!!merge", "!!set", "!!omap",
		"!!pairs", "!<tag:yaml.org,2002:str>" };
	bool text = kt_str_eq(tag, "!") || kt_str_eq(tag, "!!str");
	bool fine = !tag || y->claude;

	for (size_t i = 0; !fine && i < KT_ARRAY_LEN(known); i++)
		fine = kt_str_eq(tag, known[i]);
	if (!fine)
		return kt_yaml_fail(y, "an unknown tag");
	if (!n->text)
		return true;
	n->value = n->plain && !text ? kt_yaml_typed(y, n->text) : cJSON_CreateString(n->text);
	kt_assert(n->value);
	return true;
}

/* The node itself, behind its properties. */
static bool read_content(struct kt_yaml *y, const struct room *room, const struct properties *p,
	struct kt_yaml_node *n)
{
	if (room->collections) {
		if (block_sequence(y, room->block_indent, &n->value) || y->failed)
			return !y->failed;
		if (block_mapping(y, room, &n->value) || y->failed)
			return !y->failed;
	}
	if (flow_collection(y, room->flow_indent, &n->value) || y->failed)
		return !y->failed;
	if ((room->scalars && kt_yaml_block(y, room->flow_indent, n)) || y->failed)
		return !y->failed;
	if (kt_yaml_quoted(y, n) || y->failed)
		return !y->failed;
	if (read_alias(y, n) || y->failed) {
		if (!y->failed && (p->tag || p->anchor))
			return kt_yaml_fail(y, "an alias with a tag or an anchor");
		return !y->failed;
	}
	return kt_yaml_plain(y, room->flow_indent, room->in_flow, n);
}

static void keep_anchor(struct kt_yaml *y, const char *name, const cJSON *value)
{
	cJSON *copy;

	if (!name || !count_nodes(y, size_of_node(value)))
		return;
	copy = value ? cJSON_Duplicate(value, true) : cJSON_CreateNull();
	kt_assert(copy);
	cJSON_Delete(kt_map_set(&y->anchors, name, copy));
}

static int indent_against(const struct kt_yaml *y, int parent)
{
	return (y->line_indent > parent) - (y->line_indent < parent);
}

/* As compose_node(), one level deeper. */
static bool compose_here(
	struct kt_yaml *y, int parent, enum place place, bool seek, bool compact, cJSON **out)
{
	bool block = place == IN_BLOCK || place == IN_SEQUENCE;
	struct properties p = { 0 };
	struct kt_yaml_node n = { 0 };
	struct room room = { .collections = block, .scalars = block };
	bool new_line = false, has = false;
	int status = 1;

	if (seek && kt_yaml_skip(y, true)) {
		new_line = true;
		status = indent_against(y, parent);
	}
	while (status == 1 && read_property(y, &p)) {
		room.collections = block;
		if (kt_yaml_skip(y, true)) {
			new_line = true;
			status = indent_against(y, parent);
		} else {
			room.collections = false;
		}
	}
	room.collections = room.collections && (new_line || compact);
	room.in_flow = place == IN_FLOW;
	room.flow_indent = block ? parent + 1 : parent;
	room.block_indent = (int)(y->pos - y->line_start);
	if (!y->failed && status == 1)
		has = read_content(y, &room, &p, &n);
	else if (!y->failed && status == 0 && place == IN_BLOCK && room.collections)
		/* A list may stand at the column of its key. */
		has = block_sequence(y, room.block_indent, &n.value);
	if (!y->failed && (has || p.tag))
		(void)resolve_node(y, p.tag, &n);
	if (!y->failed)
		keep_anchor(y, p.anchor, n.value);
	has = (has || p.tag || p.anchor) && !y->failed && count_nodes(y, 1);
	properties_release(&p);
	free(n.text);
	if (!has) {
		cJSON_Delete(n.value);
		return false;
	}
	*out = n.value;
	return true;
}

/*
 * Read a node at the position, when there is one: its value (NULL is null) is the caller's. parent
 * is the indentation that it must pass; seek skips to it, over lines; compact lets a collection
 * begin on the line of its mark. False when there is none, or on failure.
 */
static bool compose_node(
	struct kt_yaml *y, int parent, enum place place, bool seek, bool compact, cJSON **out)
{
	bool has = false;

	if (y->depth == MAX_DEPTH)
		return kt_yaml_fail(y, "nesting too deep");
	y->depth++;
	has = compose_here(y, parent, place, seek, compact, out);
	y->depth--;
	return has;
}

/* --- the document ------------------------------------------------------------------------ */

static void compose_document(struct kt_yaml *y, cJSON **out)
{
	bool directive;

	while (y->line_indent == 0 && kt_yaml_is_space(kt_yaml_at(y, 0))) {
		y->pos++;
		if (y->s[y->pos - 1] == ' ' || y->claude)
			y->line_indent++;
	}
	kt_yaml_skip(y, true);
	directive = kt_yaml_at(y, 0) == '%' && y->line_indent == 0;
	while (kt_yaml_at(y, 0) == '%' && y->line_indent == 0) {
		while (kt_yaml_at(y, 0) && !kt_yaml_is_break(kt_yaml_at(y, 0)))
			y->pos++;
		kt_yaml_skip(y, true);
	}
	if (y->line_indent == 0 && kt_yaml_at(y, 0) == '-' && kt_yaml_at_separator(y)) {
		y->pos += 3;
		kt_yaml_skip(y, true);
	} else if (directive) {
		(void)kt_yaml_fail(y, "dashes are missing behind a directive");
		return;
	}
	(void)compose_node(y, y->line_indent - 1, IN_BLOCK, false, true, out);
	if (y->failed)
		return;
	kt_yaml_skip(y, true);
	if (y->pos == y->line_start && kt_yaml_at_separator(y) && kt_yaml_at(y, 0) == '.') {
		y->pos += 3;
		kt_yaml_skip(y, true);
	}
	if (kt_yaml_at(y, 0))
		(void)kt_yaml_fail(y, "the text does not go on as YAML");
}

enum kt_code kt_yaml_parse(
	const char *s, size_t len, enum kt_yaml_reader reader, cJSON **out, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(4 * KT_MAX_AGENT_FILE_BYTES);
	struct kt_yaml y = {
		.claude = reader == KT_YAML_CLAUDE, .anchors = KT_MAP_INIT, .err = err
	};
	const char *nul = len ? memchr(s, '\0', len) : NULL;
	cJSON *doc = NULL;
	const char *key;
	size_t at = 0;
	void *copy;

	if (nul && !y.claude)
		return kt_fail(err, KT_EINVAL, 0, "1:1: a NUL character");
	/* The last line ends as the others do. */
	kt_buf_add(&text, s, nul ? (size_t)(nul - s) : len);
	if (!text.len || text.ptr[text.len - 1] != '\n')
		kt_buf_addc(&text, '\n');
	if (!kt_buf_ok(&text))
		return kt_fail(err, KT_EINVAL, 0, "1:1: the text is too long");
	y.s = text.ptr;
	y.len = text.len;
	compose_document(&y, &doc);
	while (kt_map_next(&y.anchors, &at, &key, &copy))
		cJSON_Delete(copy);
	kt_map_release(&y.anchors);
	if (y.failed) {
		cJSON_Delete(doc);
		return KT_EINVAL;
	}
	*out = doc;
	return KT_OK;
}
