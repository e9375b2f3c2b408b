/* SPDX-License-Identifier: MIT */
/*
 * Where front matter begins and ends for each harness, and the second try of each when it is no
 * YAML. All of it was found by asking the programs (Claude Code 2.1.197, OpenCode 1.18.33);
 * tests/api/oracle.test.mjs asks them again.
 */
#include "text/frontmatter.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/str.h"
#include "text/json.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Room for quotes and escapes around every value. */
#define MENDED_MAX_BYTES (3 * KT_MAX_AGENT_FILE_BYTES)

struct span {
	const char *s;
	size_t len;
};

static bool is_front_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The text as JavaScript has it: what is no UTF-8 replaced. */
static void decode_front(struct kt_buf *b, const char *s, size_t len)
{
	for (size_t i = 0; i < len;) {
		uint32_t cp;
		size_t n = kt_utf8_decode(s + i, len - i, &cp);

		if (n)
			kt_buf_add(b, s + i, n);
		else
			kt_utf8_add(b, 0xfffd);
		i += n ? n : 1;
	}
}

/* Bytes of white space at the beginning, in ASCII and beyond. */
static size_t space_len(struct span s)
{
	uint32_t cp = 0;
	size_t n;

	if (!s.len || is_front_space(*s.s))
		return s.len ? 1 : 0;
	n = kt_utf8_decode(s.s, s.len, &cp);
	if (cp == 0xa0 || cp == 0xfeff || cp == 0x1680 || cp == 0x202f || cp == 0x205f ||
		cp == 0x3000 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 || cp == 0x2029)
		return n;
	return 0;
}

/* The text without the white space around it. */
static struct span trim_span(struct span s)
{
	size_t end = 0;

	for (size_t n; (n = space_len(s)) > 0;)
		s = (struct span){ s.s + n, s.len - n };
	for (size_t i = 0; i < s.len;) {
		size_t n = space_len((struct span){ s.s + i, s.len - i });

		i += n ? n : 1;
		end = n ? end : i;
	}
	s.len = end;
	return s;
}

static const char *find_in_span(struct span in, const char *what)
{
	return memmem(in.s, in.len, what, strlen(what));
}

/* Length of the line at s without its line feed. */
static size_t span_line_len(struct span rest)
{
	const char *lf = memchr(rest.s, '\n', rest.len);

	return lf ? (size_t)(lf - rest.s) : rest.len;
}

/* Lines of the file before the front matter's text, for places in messages. */
static int lines_before(const char *file, const char *at)
{
	int n = 0;

	for (; file < at; file++)
		n += *file == '\n';
	return n;
}

/* Move the line of a message of the YAML reader to that of the file. */
static void shift_err_line(struct kt_err *err, int lines)
{
	size_t digits = strspn(err->msg, "0123456789");
	struct kt_err moved = *err;
	int64_t line;

	if (lines && kt_str_int64n(err->msg, digits, 1, INT32_MAX - lines, &line) &&
		snprintf(moved.msg, sizeof(moved.msg), "%lld%s", (long long)line + lines,
			err->msg + digits) > 0)
		*err = moved;
}

/* Parse; the document must be an object, what else there is (a list, a text) is as good as none. */
static bool parse_front(struct span yaml, enum kt_yaml_reader reader, struct kt_frontmatter *out,
	struct kt_err *err)
{
	cJSON *doc = NULL;

	if (kt_yaml_parse(yaml.s, yaml.len, reader, &doc, err) != KT_OK)
		return false;
	if (!cJSON_IsObject(doc)) {
		cJSON_Delete(doc);
		return true;
	}
	cJSON_Delete(out->data);
	out->data = doc;
	return true;
}

/* --- Claude Code ------------------------------------------------------------------------- */

/* From a first line of three dashes to the next three dashes, wherever these stand. */
static bool claude_block(struct span file, struct span *out)
{
	size_t at = 3, after = 0;
	const char *end;

	if (file.len < 4 || memcmp(file.s, "---", 3) != 0)
		return false;
	for (; at < file.len && is_front_space(file.s[at]); at++) {
		if (file.s[at] == '\n')
			after = at + 1;
	}
	if (!after)
		return false;
	*out = (struct span){ file.s + after, file.len - after };
	end = find_in_span(*out, "---");
	if (!end)
		return false;
	out->len = (size_t)(end - out->s);
	return true;
}

/* A value that Claude Code quotes at its second try. */
static bool wants_front_quotes(struct span v)
{
	static const char special[] = "{}[]*&#!|>%@`";
	bool quoted = v.len > 1 && (v.s[0] == '"' || v.s[0] == '\'') && v.s[v.len - 1] == v.s[0];

	if (quoted)
		return false;
	for (size_t i = 0; i < v.len; i++) {
		if (strchr(special, v.s[i]) && v.s[i])
			return true;
	}
	return find_in_span(v, ": ") != NULL;
}

static void quote_line(struct kt_buf *b, struct span line)
{
	size_t key = 0, at, n;
	struct span value;

	while (key < line.len &&
		(is_letter(line.s[key]) || line.s[key] == '_' || line.s[key] == '-'))
		key++;
	at = key + 1;
	while (at < line.len && (n = space_len((struct span){ line.s + at, line.len - at })))
		at += n;
	/* White space at the end of nothing else belongs to the value. */
	if (at >= line.len && at > key + 2)
		at--;
	if (key == 0 || key >= line.len || line.s[key] != ':' || at == key + 1 || at >= line.len ||
		memchr(line.s + at, '\r', line.len - at) ||
		find_in_span((struct span){ line.s + at, line.len - at }, "\xe2\x80\xa8") ||
		find_in_span((struct span){ line.s + at, line.len - at }, "\xe2\x80\xa9")) {
		kt_buf_add(b, line.s, line.len);
		return;
	}
	value = (struct span){ line.s + at, line.len - at };
	if (!wants_front_quotes(value)) {
		kt_buf_add(b, line.s, line.len);
		return;
	}
	kt_buf_add(b, line.s, key);
	kt_buf_adds(b, ": \"");
	for (size_t i = 0; i < value.len; i++) {
		if (value.s[i] == '"' || value.s[i] == '\\')
			kt_buf_addc(b, '\\');
		kt_buf_addc(b, value.s[i]);
	}
	kt_buf_addc(b, '"');
}

static void read_claude(struct span file, struct kt_frontmatter *out)
{
	KT_AUTO_BUF struct kt_buf quoted = KT_BUF_INIT(MENDED_MAX_BYTES);
	struct kt_err again = KT_ERR_INIT;
	struct span block;

	if (!claude_block(file, &block))
		return;
	out->state = KT_FRONT_READ;
	if (parse_front(block, KT_YAML_CLAUDE, out, &out->why))
		return;
	shift_err_line(&out->why, lines_before(file.s, block.s));
	for (struct span rest = block; rest.len;) {
		size_t n = span_line_len(rest);

		quote_line(&quoted, (struct span){ rest.s, n });
		if (n < rest.len)
			kt_buf_addc(&quoted, '\n');
		n += n < rest.len;
		rest = (struct span){ rest.s + n, rest.len - n };
	}
	out->state = kt_buf_ok(&quoted) &&
			parse_front((struct span){ quoted.ptr, quoted.len }, KT_YAML_CLAUDE, out,
				&again)
		? KT_FRONT_MENDED
		: KT_FRONT_UNREAD;
}

/* --- OpenCode ---------------------------------------------------------------------------- */

/* The word behind the first dashes names a language: YAML when there is none. */
static struct span front_language(struct span rest)
{
	size_t n = span_line_len(rest), from = 0;

	while (n > 0 && is_front_space(rest.s[n - 1]))
		n--;
	while (from < n && is_front_space(rest.s[from]))
		from++;
	return (struct span){ rest.s + from, n - from };
}

static bool span_is_word(struct span s, const char *word)
{
	return s.len == strlen(word) && strncasecmp(s.s, word, s.len) == 0;
}

/* True when there is nothing but comments and blanks. */
static bool is_empty_front(struct span block)
{
	for (struct span rest = block; rest.len;) {
		size_t n = span_line_len(rest), i = 0;

		while (i < n && is_front_space(rest.s[i]))
			i++;
		if (i < n && rest.s[i] != '#')
			return false;
		n += n < rest.len;
		rest = (struct span){ rest.s + n, rest.len - n };
	}
	return true;
}

static bool read_front_json(struct span block, struct kt_frontmatter *out)
{
	cJSON *doc = NULL;

	if (kt_json_parse(block.s, block.len, KT_JSON_STRICT, &doc, &out->why) != KT_OK)
		return false;
	if (cJSON_IsObject(doc)) {
		cJSON_Delete(out->data);
		out->data = KT_STEAL(doc);
	}
	cJSON_Delete(doc);
	return true;
}

/*
 * Read text as a file. False when the harness fails: the block is no YAML, or in a language that
 * it does not know.
 */
static bool opencode_once(struct span file, struct kt_frontmatter *out, struct kt_err *err)
{
	struct span block, lang;
	const char *end;

	if (file.len >= 3 && memcmp(file.s, "\xef\xbb\xbf", 3) == 0)
		file = (struct span){ file.s + 3, file.len - 3 };
	if (file.len < 3 || memcmp(file.s, "---", 3) != 0 || (file.len > 3 && file.s[3] == '-'))
		return true;
	block = (struct span){ file.s + 3, file.len - 3 };
	lang = front_language(block);
	if (lang.len)
		block = (struct span){ lang.s + lang.len,
			(size_t)(file.s + file.len - (lang.s + lang.len)) };
	end = find_in_span(block, "\n---");
	if (end)
		block.len = (size_t)(end - block.s);
	out->state = KT_FRONT_READ;
	if (is_empty_front(block))
		return true;
	if (span_is_word(lang, "json"))
		return read_front_json(block, out);
	if (lang.len && !span_is_word(lang, "yaml") && !span_is_word(lang, "yml"))
		return kt_fail(err, KT_EINVAL, 0, "1:4: front matter in an unknown language") ==
			KT_OK;
	if (parse_front(block, KT_YAML_OPENCODE, out, err))
		return true;
	shift_err_line(err, lines_before(file.s, block.s));
	return false;
}

/* A line of "key: value" with a colon in the value becomes a block, as OpenCode does it. */
static bool add_front_block_line(struct kt_buf *b, struct span line)
{
	struct span value;
	size_t key = 0, at;

	while (key < line.len &&
		(is_letter(line.s[key]) || line.s[key] == '_' ||
			(key && line.s[key] >= '0' && line.s[key] <= '9')))
		key++;
	at = key;
	while (at < line.len && is_front_space(line.s[at]))
		at++;
	if (key == 0 || at >= line.len || line.s[at] != ':')
		return false;
	value = trim_span((struct span){ line.s + at + 1, line.len - at - 1 });
	if (!value.len || *value.s == '"' || *value.s == '\'' || !memchr(value.s, ':', value.len))
		return false;
	kt_buf_add(b, line.s, key);
	kt_buf_adds(b, ": |-\n  ");
	kt_buf_add(b, value.s, value.len);
	return true;
}

/* The whole file with the front matter mended into b; false when nothing changed. */
static bool make_blocks(struct kt_buf *b, struct span file)
{
	const char *start = memchr(file.s, '\n', file.len), *end;
	struct span rest;
	bool changed = false;

	/* Only a first line of nothing but dashes is looked at. */
	if (!start || !(start - file.s == 3 || (start - file.s == 4 && file.s[3] == '\r')) ||
		memcmp(file.s, "---", 3) != 0)
		return false;
	start++;
	rest = (struct span){ start, (size_t)(file.s + file.len - start) };
	end = find_in_span(rest, "\n---");
	if (!end)
		return false;
	kt_buf_add(b, file.s, (size_t)(start - file.s));
	for (rest.len = (size_t)(end - start);;) {
		size_t n = span_line_len(rest);
		struct span line = { rest.s, n };
		bool last = n == rest.len;

		if (line.len && line.s[line.len - 1] == '\r')
			line.len--;
		if (add_front_block_line(b, line))
			changed = true;
		else
			kt_buf_add(b, line.s, line.len);
		if (last)
			break;
		kt_buf_addc(b, '\n');
		rest = (struct span){ rest.s + n + 1, rest.len - n - 1 };
	}
	kt_buf_add(b, end, (size_t)(file.s + file.len - end));
	return kt_buf_ok(b) && changed;
}

static void read_opencode(struct span file, struct kt_frontmatter *out)
{
	KT_AUTO_BUF struct kt_buf mended = KT_BUF_INIT(MENDED_MAX_BYTES);
	struct kt_err again = KT_ERR_INIT;

	if (opencode_once(file, out, &out->why))
		return;
	if (!make_blocks(&mended, file))
		/* It remembers the file as one without front matter. */
		out->state = KT_FRONT_UNREAD;
	else if (opencode_once((struct span){ mended.ptr, mended.len }, out, &again))
		out->state = KT_FRONT_MENDED;
	else
		out->state = KT_FRONT_SKIPPED;
}

void kt_frontmatter_read(
	const char *s, size_t len, enum kt_yaml_reader reader, struct kt_frontmatter *out)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(MENDED_MAX_BYTES);

	*out = (struct kt_frontmatter){ .why = KT_ERR_INIT };
	out->data = cJSON_CreateObject();
	kt_assert(out->data);
	decode_front(&text, s, len);
	if (!kt_buf_ok(&text)) {
		(void)kt_fail(&out->why, KT_EINVAL, 0, "1:1: the file is too large");
		out->state = KT_FRONT_UNREAD;
	} else if (reader == KT_YAML_CLAUDE) {
		read_claude((struct span){ text.ptr, text.len }, out);
	} else {
		read_opencode((struct span){ text.ptr, text.len }, out);
	}
}

void kt_frontmatter_release(struct kt_frontmatter *f)
{
	cJSON_Delete(f->data);
	f->data = NULL;
}
