/* SPDX-License-Identifier: MIT */
/* Tools for people, see toolview.h. */
#include "cmd/chat/toolview.h"

#include "base/str.h"
#include "text/clean.h"
#include "text/unicode.h"

#include <string.h>

#define VIEW_MAX_BYTES ((size_t)512 * 1024 * 1024) /* an input's own limit is lower */
#define DEPTH_MAX 8 /* of what is in each other; below it stands as JSON */
#define LINE_BYTES ((size_t)4096)
#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."

static void add_blanks(struct kt_buf *b, size_t n)
{
	while (n--)
		kt_buf_addc(b, ' ');
}

/* --- the gist ---------------------------------------------------------------------------- */

static const char *const path_keys[] = { "file_path", "filePath", "notebook_path", "path" };

static const char *path_of(const cJSON *input)
{
	const char *path = NULL;

	for (size_t i = 0; i < KT_ARRAY_LEN(path_keys) && !path; i++)
		path = kt_json_str(input, path_keys[i]);
	return path;
}

/* The end of a path says more than its beginning. */
static void add_path(struct kt_buf *b, const char *path, size_t max)
{
	KT_AUTO_BUF struct kt_buf clean = KT_BUF_INIT(VIEW_MAX_BYTES);
	const char *p, *end;
	size_t width;

	kt_clean_add(&clean, path, strlen(path), true);
	p = clean.ptr;
	end = p + clean.len;
	width = kt_term_width(p);
	if (width <= max || max < 8) {
		kt_term_cut(b, path, strlen(path), max);
		return;
	}
	while (p < end && width + 3 > max) {
		uint32_t cp;
		size_t n = kt_utf8_decode(p, (size_t)(end - p), &cp);

		width -= n ? (size_t)kt_unicode_width(cp) : 1;
		p += n ? n : 1;
	}
	kt_buf_adds(b, "...");
	kt_clean_add(b, p, strlen(p), true);
}

void kt_tool_gist(struct kt_buf *b, const cJSON *input, size_t max_columns)
{
	static const char *const keys[] = { "url", "pattern", "query", "description", "name",
		"prompt" };
	const char *text = kt_json_str(input, "command"), *path = path_of(input);

	if (!text && path) {
		add_path(b, path, max_columns);
		return;
	}
	for (size_t i = 0; i < KT_ARRAY_LEN(keys) && !text; i++)
		text = kt_json_str(input, keys[i]);
	for (const cJSON *m = cJSON_IsObject(input) ? input->child : NULL; m && !text; m = m->next)
		text = cJSON_IsString(m) ? m->valuestring : NULL;
	if (text)
		kt_term_cut(b, text, strlen(text), max_columns);
}

/* --- edits ------------------------------------------------------------------------------- */

static const struct pair {
	const char *was, *is;
} pairs[] = {
	{ "old_string", "new_string" },
	{ "oldString", "newString" },
	{ "oldText", "newText" },
};

/* What of an input is drawn as differences: a list of edits, or two texts (before: may be NULL). */
struct edit {
	const cJSON *list, *was, *is;
};

/* The texts before and after in an object that holds both. */
static bool pair_of(const cJSON *o, struct edit *e)
{
	for (size_t i = 0; i < KT_ARRAY_LEN(pairs); i++) {
		e->was = kt_json_get(o, pairs[i].was);
		e->is = kt_json_get(o, pairs[i].is);
		if (cJSON_IsString(e->is) && (cJSON_IsString(e->was) || cJSON_IsNull(e->was)))
			return true;
	}
	*e = (struct edit){ 0 };
	return false;
}

/* Edits in a list; whatever else is in it is not ours. */
static bool edit_list_of(const cJSON *input, const char *name, struct edit *e)
{
	const cJSON *list = kt_json_arr(input, name), *item;
	struct edit one;

	cJSON_ArrayForEach (item, list) {
		if (!pair_of(item, &one))
			return false;
	}
	e->list = list && list->child ? list : NULL;
	return e->list != NULL;
}

static bool edit_of(const cJSON *input, struct edit *e)
{
	*e = (struct edit){ 0 };
	if (edit_list_of(input, "edits", e) || edit_list_of(input, "content", e) ||
		pair_of(input, e))
		return true;
	if (path_of(input))
		e->is = kt_json_get(input, "content");
	if (!cJSON_IsString(e->is))
		e->is = kt_json_str(input, "notebook_path") ? kt_json_get(input, "new_source")
							    : NULL;
	return cJSON_IsString(e->is);
}

static void draw_pair(
	struct kt_buf *b, const struct kt_term *t, const struct edit *e, struct kt_diff *d)
{
	kt_diff_draw(
		b, t, cJSON_IsString(e->was) ? e->was->valuestring : "", e->is->valuestring, d);
}

bool kt_tool_diff(struct kt_buf *b, const struct kt_term *t, const cJSON *input, struct kt_diff *d)
{
	struct edit e, one;
	const cJSON *item;

	if (!edit_of(input, &e))
		return false;
	if (!e.list)
		draw_pair(b, t, &e, d);
	cJSON_ArrayForEach (item, e.list) {
		if (item != e.list->child && d->shown < d->max_lines) {
			add_blanks(b, d->indent);
			kt_buf_adds(b, "...\n");
		}
		if (pair_of(item, &one))
			draw_pair(b, t, &one, d);
	}
	return true;
}

/* Does an edit of a list have nothing that its differences do not show? */
static bool is_bare_edit(const cJSON *input, const cJSON *item)
{
	const char *path = path_of(input);
	struct edit e;

	if (!pair_of(item, &e))
		return false;
	for (const cJSON *m = item->child; m; m = m->next) {
		const char *name = m->string ? m->string : "";
		bool usual = kt_str_eq(name, "replace_all") || kt_str_eq(name, "replaceAll")
			? cJSON_IsFalse(m)
			: cJSON_IsString(m) &&
				kt_str_eq(m->valuestring,
					kt_str_eq(name, "type")           ? "diff"
						: kt_str_eq(name, "path") ? path
									  : NULL);

		if (m != e.was && m != e.is && !usual)
			return false;
	}
	return true;
}

bool kt_tool_in_diff(const cJSON *input, const cJSON *member)
{
	const cJSON *item;
	struct edit e;

	if (!edit_of(input, &e))
		return false;
	if (!e.list)
		return member == e.is || (member == e.was && cJSON_IsString(member));
	if (member != e.list)
		return false;
	cJSON_ArrayForEach (item, e.list) {
		if (!is_bare_edit(input, item))
			return false;
	}
	return true;
}

/* --- members ----------------------------------------------------------------------------- */

/* Cleaned text with every line set off, so that no line of it can pass for one of ours. */
static void add_block(
	struct kt_buf *b, const struct kt_term *t, const char *s, size_t len, int indent)
{
	for (;;) {
		const char *nl = memchr(s, '\n', len);
		size_t n = nl ? (size_t)(nl - s) : len;

		add_blanks(b, (size_t)indent);
		kt_term_add(b, t, KT_STYLE_DIM, t->utf8 ? "│ " : "| ");
		kt_clean_add(b, s, n, false);
		kt_buf_addc(b, '\n');
		if (!nl)
			return;
		s = nl + 1;
		len -= n + 1;
	}
}

/* Would a text be taken for something that is none? */
static bool tool_wants_quotes(const char *s)
{
	int64_t number;

	return !*s || kt_str_eq(s, "true") || kt_str_eq(s, "false") || kt_str_eq(s, "null") ||
		kt_str_int64(s, INT64_MIN, INT64_MAX, &number);
}

static void add_tool_value(
	struct kt_buf *b, const struct kt_term *t, const cJSON *v, int indent, int depth)
{
	KT_AUTO_BUF struct kt_buf json = KT_BUF_INIT(VIEW_MAX_BYTES);

	if (cJSON_IsString(v) && strchr(v->valuestring, '\n')) {
		kt_buf_addf(b, " (%zu bytes)\n", strlen(v->valuestring));
		add_block(b, t, v->valuestring, strlen(v->valuestring), indent + 2);
	} else if (cJSON_IsString(v)) {
		bool quoted = tool_wants_quotes(v->valuestring);

		kt_buf_adds(b, quoted ? " \"" : " ");
		kt_clean_add(b, v->valuestring, strlen(v->valuestring), true);
		kt_buf_adds(b, quoted ? "\"\n" : "\n");
	} else if (v->child && depth < DEPTH_MAX) {
		kt_buf_addc(b, '\n');
		for (const cJSON *m = v->child; m; m = m->next) {
			add_blanks(b, (size_t)indent + 2);
			if (m->string)
				kt_clean_add(b, m->string, strlen(m->string), true);
			kt_buf_addc(b, m->string ? ':' : '-');
			add_tool_value(b, t, m, indent + 2, depth + 1);
		}
	} else {
		kt_json_add(&json, v);
		kt_buf_addc(b, ' ');
		kt_clean_add(b, json.ptr, json.len, true);
		kt_buf_addc(b, '\n');
	}
}

void kt_tool_member(struct kt_buf *b, const struct kt_term *t, const char *name, const cJSON *value)
{
	/* No name passes for a line of ours. */
	bool plain = *name && !name[strspn(name, NAME_CHARS)];

	kt_buf_adds(b, plain ? "  " : "  \"");
	kt_clean_add(b, name, strlen(name), true);
	kt_buf_adds(b, plain ? ":" : "\":");
	add_tool_value(b, t, value, 2, 0);
}

/* --- results ----------------------------------------------------------------------------- */

/* One line without what colors it, its TABs as blanks. */
static void add_output_line(
	struct kt_buf *b, const struct kt_term *t, const char *s, size_t len, size_t indent)
{
	KT_AUTO_BUF struct kt_buf line = KT_BUF_INIT(2 * LINE_BYTES);
	KT_AUTO_BUF struct kt_buf cut = KT_BUF_INIT(VIEW_MAX_BYTES);
	size_t columns = (size_t)KT_MAX(t->columns, 20);

	len = kt_utf8_cut(s, len, LINE_BYTES);
	for (size_t i = 0; i < len; i++) {
		size_t n = i + 2;

		if (s[i] == '\033' && i + 1 < len && s[i + 1] == '[') {
			while (n < len && strchr("0123456789;", s[n]))
				n++;
			if (n < len && s[n] == 'm') {
				i = n;
				continue;
			}
		}
		if (s[i] == '\t')
			kt_buf_adds(&line, "  ");
		else if (s[i] != '\r')
			kt_buf_add(&line, s + i, 1);
	}
	kt_term_cut(&cut, line.ptr ? line.ptr : "", line.len,
		t->is_tty ? columns - indent - 1 : LINE_BYTES);
	add_blanks(b, indent);
	kt_term_add(b, t, KT_STYLE_DIM, cut.ptr ? cut.ptr : "");
	kt_buf_addc(b, '\n');
}

struct lines {
	size_t shown, more;
};

static void add_tool_lines(struct kt_buf *b, const struct kt_term *t, const char *s, size_t indent,
	size_t max_lines, struct lines *l)
{
	while (*s) {
		size_t len = strcspn(s, "\n");

		if (l->shown < max_lines) {
			add_output_line(b, t, s, len, indent);
			l->shown++;
		} else {
			l->more++;
		}
		s += len + (s[len] == '\n');
	}
}

void kt_tool_output(struct kt_buf *b, const struct kt_term *t, const cJSON *output, size_t indent,
	size_t max_lines)
{
	KT_AUTO_BUF struct kt_buf more = KT_BUF_INIT(LINE_BYTES);
	struct lines l = { 0 };
	const cJSON *block;

	if (cJSON_IsString(output))
		add_tool_lines(b, t, output->valuestring, indent, max_lines, &l);
	else if (cJSON_IsObject(output))
		add_tool_lines(b, t, kt_json_str_or(output, "text", ""), indent, max_lines, &l);
	else
		cJSON_ArrayForEach (block, output) {
			if (!kt_str_eq(kt_json_str(block, "type"), "diff"))
				add_tool_lines(b, t, kt_json_str_or(block, "text", ""), indent,
					max_lines, &l);
		}
	if (!l.more)
		return;
	kt_clean_addf(&more, "... %zu more line%s", l.more, l.more == 1 ? "" : "s");
	add_blanks(b, indent);
	kt_term_add(b, t, KT_STYLE_DIM, more.ptr);
	kt_buf_addc(b, '\n');
}
