/* SPDX-License-Identifier: MIT */
/*
 * Front matter over libyaml's events. What may multiply or change meaning is refused: aliases
 * (they can blow up), anchors, tags, directives, a second document, duplicate keys.
 */
#include "text/frontmatter.h"

#include "base/map.h"
#include "base/str.h"
#include "text/clean.h"

#include <math.h>
#include <string.h>
#include <yaml.h>

#define YAML_MAX_BYTES (64 * 1024) /* names, descriptions, tool lists: far smaller */
#define DEPTH_MAX 8

struct level {
	cJSON *node; /* owned by its parent, the outermost by reader.root */
	struct kt_map keys;
	char *key; /* of the value that comes; NULL when a key is due */
};

struct reader {
	yaml_parser_t yaml;
	cJSON *root;
	struct level level[DEPTH_MAX];
	int depth;
	bool done; /* the document has ended */
	enum kt_code code;
	struct kt_err *err;
};

static bool fail_mark(struct reader *r, const yaml_mark_t *at, const char *what)
{
	/* Marks count from 0, and the line of dashes comes first. */
	r->code = kt_fail(r->err, KT_EINVAL, 0, "%zu:%zu: %s", at->line + 2, at->column + 1, what);
	return false;
}

static bool is_word(const char *s, const char *lower, const char *title, const char *upper)
{
	return strcmp(s, lower) == 0 || strcmp(s, title) == 0 || strcmp(s, upper) == 0;
}

static size_t digits(const char *s)
{
	return strspn(s, "0123456789");
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?  (YAML 1.2.2, 10.3.2) */
static bool is_number(const char *s)
{
	size_t whole, frac = 0;

	s += *s == '-' || *s == '+';
	whole = digits(s);
	s += whole;
	if (*s == '.') {
		frac = digits(s + 1);
		s += 1 + frac;
	}
	if (whole + frac == 0)
		return false;
	if (*s == 'e' || *s == 'E') {
		s++;
		s += *s == '-' || *s == '+';
		if (digits(s) == 0)
			return false;
		s += digits(s);
	}
	return *s == '\0';
}

/* 0o17 and 0x1F; false when it is neither. */
static bool based_number(const char *s, double *out)
{
	static const char set[] = "0123456789abcdefABCDEF";
	bool hex = s[0] == '0' && s[1] == 'x';
	double v = 0;

	if (!hex && !(s[0] == '0' && s[1] == 'o'))
		return false;
	s += 2;
	if (*s == '\0' || s[strspn(s, hex ? set : "01234567")] != '\0')
		return false;
	for (; *s; s++) {
		int d = (int)(strchr(set, *s) - set);

		v = v * (hex ? 16 : 8) + (d > 15 ? d - 6 : d);
	}
	*out = v;
	return true;
}

/* What the YAML 1.2 core schema makes of a plain scalar. */
static cJSON *plain_value(const char *s)
{
	const char *unsigned_part = s + (*s == '-' || *s == '+');
	double v;

	if (*s == '\0' || strcmp(s, "~") == 0 || is_word(s, "null", "Null", "NULL"))
		return cJSON_CreateNull();
	if (is_word(s, "true", "True", "TRUE"))
		return cJSON_CreateTrue();
	if (is_word(s, "false", "False", "FALSE"))
		return cJSON_CreateFalse();
	if (based_number(s, &v))
		return cJSON_CreateNumber(v);
	if (is_number(s)) {
		v = strtod(s, NULL);
		return isfinite(v) ? cJSON_CreateNumber(v) : NULL;
	}
	/* JSON has no infinity. */
	if (is_word(unsigned_part, ".inf", ".Inf", ".INF") || is_word(s, ".nan", ".NaN", ".NAN"))
		return NULL;
	return cJSON_CreateString(s);
}

/* Put a new value (TAKES it) where the innermost container wants one. */
static bool place(struct reader *r, cJSON *node)
{
	struct level *l = r->depth > 0 ? &r->level[r->depth - 1] : NULL;
	bool ok;

	if (!l) {
		r->root = node;
		return true;
	}
	if (l->key)
		ok = cJSON_AddItemToObject(l->node, l->key, node);
	else
		ok = cJSON_AddItemToArray(l->node, node);
	free(l->key);
	l->key = NULL;
	if (!ok) {
		cJSON_Delete(node);
		r->code = kt_fail(r->err, KT_ENOMEM, 0, "no memory for front matter");
	}
	return ok;
}

static bool key_due(const struct reader *r)
{
	const struct level *l = r->depth > 0 ? &r->level[r->depth - 1] : NULL;

	return l && cJSON_IsObject(l->node) && !l->key;
}

static bool take_key(struct reader *r, const yaml_event_t *e, const char *text)
{
	KT_AUTO_BUF struct kt_buf msg = KT_BUF_INIT(300);
	struct level *l = &r->level[r->depth - 1];

	if (kt_map_set(&l->keys, text, r)) {
		kt_buf_adds(&msg, "duplicate key '");
		kt_clean_add(&msg, text, KT_MIN(strlen(text), (size_t)60), true);
		kt_buf_addc(&msg, '\'');
		return fail_mark(r, &e->start_mark, msg.ptr);
	}
	l->key = kt_strdup(text);
	return true;
}

static bool take_scalar(struct reader *r, const yaml_event_t *e)
{
	const char *text = (const char *)e->data.scalar.value;
	bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	cJSON *node;

	if (e->data.scalar.anchor || e->data.scalar.tag)
		return fail_mark(r, &e->start_mark, "anchors and tags are not supported");
	if (strlen(text) != e->data.scalar.length)
		return fail_mark(r, &e->start_mark, "NUL in a string");
	if (key_due(r))
		return take_key(r, e, text);
	/* Plain text of nothing as the whole document: no front matter to speak of. */
	if (r->depth == 0 && !(plain && text[0] == '\0'))
		return fail_mark(r, &e->start_mark, "front matter must be a map of keys");
	if (r->depth == 0)
		return true;
	node = plain ? plain_value(text) : cJSON_CreateString(text);
	if (!node)
		return fail_mark(r, &e->start_mark, "number that JSON cannot hold");
	return place(r, node);
}

static bool open_level(struct reader *r, const yaml_event_t *e, bool map)
{
	const yaml_char_t *anchor = map ? e->data.mapping_start.anchor
					: e->data.sequence_start.anchor;
	const yaml_char_t *tag = map ? e->data.mapping_start.tag : e->data.sequence_start.tag;
	cJSON *node;

	if (anchor || tag)
		return fail_mark(r, &e->start_mark, "anchors and tags are not supported");
	if (key_due(r))
		return fail_mark(r, &e->start_mark, "a key must be a scalar");
	if (r->depth == 0 && !map)
		return fail_mark(r, &e->start_mark, "front matter must be a map of keys");
	if (r->depth == DEPTH_MAX)
		return fail_mark(r, &e->start_mark, "nesting over 8 levels");
	node = map ? cJSON_CreateObject() : cJSON_CreateArray();
	if (!node) {
		r->code = kt_fail(r->err, KT_ENOMEM, 0, "no memory for front matter");
		return false;
	}
	if (!place(r, node))
		return false;
	r->level[r->depth++] = (struct level){ node, KT_MAP_INIT, NULL };
	return true;
}

static void close_level(struct reader *r)
{
	struct level *l = &r->level[--r->depth];

	kt_map_release(&l->keys);
	free(l->key);
}

static bool take_event(struct reader *r, const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return take_scalar(r, e);
	case YAML_MAPPING_START_EVENT:
	case YAML_SEQUENCE_START_EVENT:
		return open_level(r, e, e->type == YAML_MAPPING_START_EVENT);
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		close_level(r);
		return true;
	case YAML_ALIAS_EVENT:
		return fail_mark(r, &e->start_mark, "aliases are not supported");
	case YAML_DOCUMENT_START_EVENT:
		if (r->done)
			return fail_mark(r, &e->start_mark, "a second YAML document");
		if (e->data.document_start.version_directive ||
			e->data.document_start.tag_directives.start !=
				e->data.document_start.tag_directives.end)
			return fail_mark(r, &e->start_mark, "directives are not supported");
		return true;
	case YAML_DOCUMENT_END_EVENT:
		r->done = true;
		return true;
	case YAML_STREAM_END_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_NO_EVENT:
	default:
		return true;
	}
}

static bool read_yaml(struct reader *r)
{
	bool end = false;

	while (!end) {
		yaml_event_t e;
		bool ok;

		if (!yaml_parser_parse(&r->yaml, &e)) {
			const char *what = r->yaml.problem ? r->yaml.problem : "invalid YAML";
			bool lexical = r->yaml.error != YAML_READER_ERROR;

			return fail_mark(r, lexical ? &r->yaml.problem_mark : &r->yaml.mark, what);
		}
		ok = take_event(r, &e);
		end = e.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&e);
		if (!ok)
			return false;
	}
	return true;
}

static enum kt_code parse_yaml(const char *s, size_t len, cJSON **out, struct kt_err *err)
{
	struct reader r = { .err = err };

	if (!yaml_parser_initialize(&r.yaml))
		return kt_fail(err, KT_ENOMEM, 0, "no memory for front matter");
	yaml_parser_set_encoding(&r.yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.yaml, (const unsigned char *)s, len);
	read_yaml(&r);
	while (r.depth > 0)
		close_level(&r);
	yaml_parser_delete(&r.yaml);
	if (r.code == KT_OK && !r.root)
		r.root = cJSON_CreateObject();
	if (r.code == KT_OK && r.root)
		*out = r.root;
	else
		cJSON_Delete(r.root);
	return r.code == KT_OK && !r.root ? kt_fail(err, KT_ENOMEM, 0, "no memory") : r.code;
}

/* Bytes of the line at s with its line end; *out_dashes says that it is "---". */
static size_t line_len(const char *s, size_t len, bool *out_dashes)
{
	const char *lf = memchr(s, '\n', len);
	size_t n = lf ? (size_t)(lf - s) : len;
	size_t text = n;

	while (text > 0 && (s[text - 1] == ' ' || s[text - 1] == '\t' || s[text - 1] == '\r'))
		text--;
	*out_dashes = text == 3 && memcmp(s, "---", 3) == 0;
	return n + (lf != NULL);
}

enum kt_code kt_frontmatter_parse(
	const char *s, size_t len, cJSON **out, size_t *out_body_off, struct kt_err *err)
{
	size_t bom = len >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
	size_t start, at;
	bool dashes = false;
	enum kt_code code;

	start = bom;
	if (len > bom)
		start += line_len(s + bom, len - bom, &dashes);
	if (!dashes) {
		cJSON *none = cJSON_CreateObject();

		if (!none)
			return kt_fail(err, KT_ENOMEM, 0, "no memory for front matter");
		*out = none;
		*out_body_off = bom;
		return KT_OK;
	}
	dashes = false;
	for (at = start; at < len && !dashes;) {
		size_t n = line_len(s + at, len - at, &dashes);

		if (at - start > YAML_MAX_BYTES)
			return kt_fail(err, KT_EINVAL, 0, "1:1: front matter over %d bytes",
				YAML_MAX_BYTES);
		if (dashes) {
			code = parse_yaml(s + start, at - start, out, err);
			if (code == KT_OK)
				*out_body_off = at + n;
			return code;
		}
		at += n;
	}
	return kt_fail(err, KT_EINVAL, 0, "1:1: front matter has no closing line of three dashes");
}
