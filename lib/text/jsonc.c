/* SPDX-License-Identifier: MIT */
/*
 * JSON with comments: comments and trailing commas are overwritten with blanks, then it is strict
 * JSON. Also the place of a key in such a text, for complaints about settings. No state.
 */
#include "text/json.h"

#include "base/limits.h"
#include "text/json_check_private.h"

#include <string.h>

static enum kt_code jsonc_fail_at(const char *s, size_t off, const char *what, struct kt_err *err)
{
	int line, col;

	kt_text_line_col(s, off, &line, &col);
	return kt_fail(err, KT_EINVAL, 0, "%d:%d: %s", line, col, what);
}

/* Offset behind the string that opens at i, or len. */
static size_t jsonc_string_end(const char *s, size_t len, size_t i)
{
	for (i++; i < len && s[i] != '"' && s[i] != '\n'; i++)
		if (s[i] == '\\' && i + 1 < len && s[i + 1] != '\n')
			i++;
	return i < len ? i + 1 : len;
}

/* Line ends stay, so that lines are counted as before. */
static void blank_out(char *s, size_t from, size_t to)
{
	for (; from < to; from++)
		if (s[from] != '\n' && s[from] != '\r')
			s[from] = ' ';
}

/* Offset behind the comment that opens at i; 0 when it is not closed. */
static size_t comment_end(const char *s, size_t len, size_t i)
{
	const char *end;

	if (s[i + 1] == '/') {
		end = memchr(s + i, '\n', len - i);
		return end ? (size_t)(end - s) : len;
	}
	end = len - i >= 4 ? memmem(s + i + 2, len - i - 2, "*/", 2) : NULL;
	return end ? (size_t)(end - s) + 2 : 0;
}

/* Comments and trailing commas to blanks. */
static enum kt_code blank_comments(char *s, size_t len, struct kt_err *err)
{
	size_t comma = 0; /* place of the last significant byte, when that is a comma that may go */
	bool have_comma = false;
	char before = '\0'; /* last significant byte */
	size_t i = 0;

	if (len >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0)
		blank_out(s, 0, 3);
	while (i < len) {
		char c = s[i];
		size_t end = i + 1;

		if (c == '/' && i + 1 < len && (s[i + 1] == '/' || s[i + 1] == '*')) {
			end = comment_end(s, len, i);
			if (end == 0)
				return jsonc_fail_at(s, i, "comment is not closed", err);
			blank_out(s, i, end);
			i = end;
			continue;
		}
		if (c == '"')
			end = jsonc_string_end(s, len, i);
		if ((c == '}' || c == ']') && have_comma)
			s[comma] = ' ';
		if (c != ' ' && c != '\t' && c != '\n' && c != '\r') {
			/* A comma behind nothing is an error that strict parsing must see. */
			have_comma = c == ',' && before && !strchr("[{,:", before);
			comma = i;
			before = c;
		}
		i = end;
	}
	return KT_OK;
}

enum kt_code kt_jsonc_parse(char *s, size_t len, cJSON **out, struct kt_err *err)
{
	enum kt_code rc = blank_comments(s, len, err);

	return rc == KT_OK ? kt_json_parse(s, len, KT_JSON_STRICT, out, err) : rc;
}

enum kt_code kt_jsonc_parse_lenient(char *s, size_t len, cJSON **out, struct kt_err *err)
{
	enum kt_code rc = blank_comments(s, len, err);

	return rc == KT_OK ? kt_json_parse(s, len, KT_JSON_LENIENT, out, err) : rc;
}

/* Walk state of kt_jsonc_locate(). */
struct walk {
	const char *path; /* what is left of it */
	int depth; /* of open containers */
	int matched; /* containers from the outermost that lie on the path */
	bool is_obj[KT_MAX_JSON_DEPTH];
	bool want_key; /* the next string in an object is a key */
	bool entered; /* the value that comes belongs to the part last matched */
};

/* A string at depth; true when it is the key that was searched. */
static bool at_key(struct walk *w, const char *key, size_t len)
{
	size_t n = strcspn(w->path, ".");

	w->want_key = false;
	w->entered = false;
	if (w->depth != w->matched || len != n || memcmp(key, w->path, n) != 0)
		return false;
	if (w->path[n] == '\0')
		return true;
	w->entered = true;
	w->path += n + 1;
	return false;
}

/* A container opens or closes; false when the key cannot come any more. */
static bool at_bracket(struct walk *w, char c)
{
	bool obj = c == '{';

	if (c == '{' || c == '[') {
		if (w->depth == KT_MAX_JSON_DEPTH)
			return false;
		if (w->entered || w->depth == 0) {
			if (!obj)
				return false;
			w->matched++;
		}
		w->is_obj[w->depth++] = obj;
		w->want_key = obj;
		w->entered = false;
		return true;
	}
	w->depth--;
	w->want_key = false;
	return w->depth >= w->matched && w->depth > 0;
}

bool kt_jsonc_locate(const char *s, size_t len, const char *path, int *out_line, int *out_col)
{
	struct walk w = { .path = path };

	for (size_t i = 0; i < len;) {
		size_t end = i + 1;

		if (s[i] == '/' && i + 1 < len && (s[i + 1] == '/' || s[i + 1] == '*')) {
			end = comment_end(s, len, i);
			if (end == 0)
				return false;
		} else if (s[i] == '"') {
			end = jsonc_string_end(s, len, i);
			if (w.depth == 0 || end < i + 2)
				return false;
			if (w.want_key && w.is_obj[w.depth - 1] &&
				at_key(&w, s + i + 1, end - i - 2)) {
				kt_text_line_col(s, i, out_line, out_col);
				return true;
			}
		} else if (s[i] == ',') {
			/* What was entered held no object: its parts cannot be found elsewhere. */
			if (w.entered)
				return false;
			w.want_key = w.depth > 0 && w.is_obj[w.depth - 1];
		} else if (memchr("{}[]", s[i], 4) && !at_bracket(&w, s[i])) {
			return false;
		}
		i = end;
	}
	return false;
}
