/* SPDX-License-Identifier: MIT */
/* Reader and writer of .env files; see dotenv.h for the form. */
#include "text/dotenv.h"

#include "base/limits.h"
#include "base/str.h"

#include <string.h>

struct scan {
	const char *p, *end;
	int line;
	struct kt_buf value;
};

static bool is_name_char(char c, bool first)
{
	if ((c | 32) >= 'a' && (c | 32) <= 'z')
		return true;
	return c == '_' || (!first && c >= '0' && c <= '9');
}

static void skip_dotenv_blanks(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t'))
		s->p++;
}

static void skip_line(struct scan *s)
{
	const char *lf = memchr(s->p, '\n', (size_t)(s->end - s->p));

	s->p = lf ? lf + 1 : s->end;
	s->line++;
}

/* At the opening quote; false when it is not closed. */
static bool read_quoted(struct scan *s)
{
	static const char from[] = "nrt\\\"$";
	static const char to[] = "\n\r\t\\\"$";
	char quote = *s->p++;

	for (; s->p < s->end; s->p++) {
		char c = *s->p;
		const char *esc;

		if (c == quote) {
			s->p++;
			return true;
		}
		s->line += c == '\n';
		/* A file with CRLF has the same text in it. */
		if (c == '\r' && s->p + 1 < s->end && s->p[1] == '\n')
			continue;
		if (c == '\\' && quote == '"' && s->p + 1 < s->end && s->p[1]) {
			esc = strchr(from, s->p[1]);
			if (esc) {
				c = to[esc - from];
				s->p++;
			}
		}
		kt_buf_addc(&s->value, c);
	}
	return false;
}

/* Up to the line's end, or to a comment behind a blank. */
static void read_dotenv_bare(struct scan *s)
{
	const char *start = s->p, *end;

	while (s->p < s->end && *s->p != '\n' &&
		!(*s->p == '#' && (s->p == start || s->p[-1] == ' ' || s->p[-1] == '\t')))
		s->p++;
	end = s->p;
	while (end > start && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		end--;
	kt_buf_add(&s->value, start, (size_t)(end - start));
}

/* What is wrong, or NULL; on success name and s->value are set. */
static const char *read_dotenv_line(struct scan *s, struct kt_buf *name)
{
	skip_dotenv_blanks(s);
	if (s->end - s->p > 7 && !memcmp(s->p, "export", 6) &&
		(s->p[6] == ' ' || s->p[6] == '\t')) {
		s->p += 6;
		skip_dotenv_blanks(s);
	}
	while (s->p < s->end && is_name_char(*s->p, !name->len))
		kt_buf_addc(name, *s->p++);
	skip_dotenv_blanks(s);
	if (!name->len || name->overflow || s->p >= s->end || *s->p != '=')
		return "not a NAME=value line";
	s->p++;
	skip_dotenv_blanks(s);
	if (s->p < s->end && *s->p && strchr("\"'`", *s->p)) {
		if (!read_quoted(s))
			return "the quote is not closed";
		skip_dotenv_blanks(s);
		if (s->p < s->end && (!*s->p || !strchr("#\r\n", *s->p)))
			return "text behind the closing quote";
	} else {
		read_dotenv_bare(s);
	}
	if (!kt_buf_ok(&s->value))
		return "the value is too long";
	if (memchr(s->value.ptr, '\0', s->value.len))
		return "the value holds a NUL character";
	return NULL;
}

void kt_dotenv_parse(const char *text, size_t len, kt_dotenv_fn fn, kt_dotenv_bad_fn bad, void *arg)
{
	struct scan s = { text, text + len, 1, KT_BUF_INIT(KT_MAX_CONFIG_BYTES) };
	KT_AUTO_BUF struct kt_buf name = KT_BUF_INIT(256);

	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		s.p += 3;
	while (s.p < s.end) {
		int line = s.line;
		const char *what;

		skip_dotenv_blanks(&s);
		if (s.p >= s.end || (*s.p && strchr("#\r\n", *s.p))) {
			if (s.p < s.end)
				skip_line(&s);
			continue;
		}
		kt_buf_clear(&name);
		kt_buf_clear(&s.value);
		what = read_dotenv_line(&s, &name);
		if (what)
			bad(arg, line, what);
		else
			fn(arg, line, name.ptr, s.value.ptr);
		if (s.p < s.end)
			skip_line(&s);
	}
	explicit_bzero(s.value.ptr, s.value.cap);
	kt_buf_release(&s.value);
}

/* Text that means the same with and without quotes. */
static bool is_plain_env_value(const char *value)
{
	for (const char *p = value; *p; p++) {
		if (!is_name_char(*p, false) && !strchr("/:+,@%=~^?.-", *p))
			return false;
	}
	return true;
}

void kt_dotenv_add(struct kt_buf *b, const char *name, const char *value)
{
	bool simple = !strchr(value, '\'') && !strchr(value, '\r');

	kt_buf_addf(b, "%s=", name);
	if (is_plain_env_value(value)) {
		kt_buf_adds(b, value);
	} else if (simple) {
		kt_buf_addf(b, "'%s'", value);
	} else {
		kt_buf_addc(b, '"');
		for (const char *p = value; *p; p++) {
			if (*p == '\r')
				kt_buf_adds(b, "\\r");
			else if (*p == '"' || *p == '\\' || *p == '$')
				kt_buf_addf(b, "\\%c", *p);
			else
				kt_buf_addc(b, *p);
		}
		kt_buf_addc(b, '"');
	}
	kt_buf_addc(b, '\n');
}
