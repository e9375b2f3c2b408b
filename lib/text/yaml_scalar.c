/* SPDX-License-Identifier: MIT */
/* The scalars of YAML: plain, quoted and block ones, and what a plain one stands for. */
#include "base/limits.h"
#include "base/str.h"
#include "text/yaml_private.h"

#include <float.h>
#include <string.h>

/* Append a piece of the text; OpenCode's reader refuses what cannot be printed. */
static void take_scalar_text(
	struct kt_yaml *y, struct kt_buf *b, size_t from, size_t to, bool quoted)
{
	for (size_t i = from; !y->claude && i < to; i++) {
		unsigned char c = (unsigned char)y->s[i];
		unsigned char next = i + 1 < to ? (unsigned char)y->s[i + 1] : 0;
		bool c1 = c == 0xc2 && next >= 0x80 && next <= 0x9f && next != 0x85;

		if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') ||
			(!quoted && (c == 0x7f || c1)))
			(void)kt_yaml_fail(y, "a control character");
	}
	if (to > from)
		kt_buf_add(b, y->s + from, to - from);
}

static void add_repeated(struct kt_buf *b, char c, int n)
{
	for (; n > 0; n--)
		kt_buf_addc(b, c);
}

/* Line breaks inside of a flow scalar: one is a space, more are one less. */
static void fold_breaks(struct kt_buf *b, int breaks)
{
	if (breaks == 1)
		kt_buf_addc(b, ' ');
	else
		add_repeated(b, '\n', breaks - 1);
}

static bool finish_scalar(struct kt_yaml *y, struct kt_buf *b, bool plain, struct kt_yaml_node *out)
{
	if (!kt_buf_ok(b))
		return kt_yaml_fail(y, "a text that is too long");
	if (y->failed)
		return false;
	out->text = kt_buf_take(b);
	out->plain = plain;
	return true;
}

/* --- plain ------------------------------------------------------------------------------- */

static bool begins_plain(const struct kt_yaml *y, bool in_flow)
{
	unsigned char c = kt_yaml_at(y, 0), next = kt_yaml_at(y, 1);

	if (c == ',' && y->claude && !in_flow)
		return true;
	if (!c || kt_yaml_is_blank(c) || kt_yaml_is_flow(c) || strchr("#&*!|>'\"%@`", c))
		return false;
	if (c == '?' || c == '-')
		return next && !kt_yaml_is_blank(next) && !(in_flow && kt_yaml_is_flow(next));
	return true;
}

/* True where a plain scalar ends before the byte at the position. */
static bool ends_plain(const struct kt_yaml *y, bool in_flow)
{
	unsigned char c = kt_yaml_at(y, 0), next = kt_yaml_at(y, 1);

	if (c == ':')
		return !next || kt_yaml_is_blank(next) || (in_flow && kt_yaml_is_flow(next));
	if (c == '#')
		return kt_yaml_is_blank((unsigned char)y->s[y->pos - 1]);
	if (y->pos == y->line_start && kt_yaml_at_separator(y))
		return true;
	return in_flow && kt_yaml_is_flow(c);
}

bool kt_yaml_plain(struct kt_yaml *y, int indent, bool in_flow, struct kt_yaml_node *out)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_AGENT_FILE_BYTES);
	size_t from = y->pos, to = y->pos;
	int breaks;

	if (!begins_plain(y, in_flow))
		return false;
	while (kt_yaml_at(y, 0) && !ends_plain(y, in_flow)) {
		unsigned char c = kt_yaml_at(y, 0);
		struct kt_yaml before;

		if (!kt_yaml_is_break(c)) {
			y->pos++;
			if (!kt_yaml_is_space(c))
				to = y->pos;
			continue;
		}
		before = *y;
		breaks = kt_yaml_skip(y, false);
		if (y->line_indent < indent || !kt_yaml_at(y, 0)) {
			*y = before;
			break;
		}
		if (ends_plain(y, in_flow))
			break;
		take_scalar_text(y, &b, from, to, false);
		fold_breaks(&b, breaks);
		from = to = y->pos;
	}
	take_scalar_text(y, &b, from, to, false);
	return b.len && finish_scalar(y, &b, true, out);
}

/* --- quoted ------------------------------------------------------------------------------ */

static int yaml_hex_value(unsigned char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* The escape behind a backslash. */
static bool read_yaml_escape(struct kt_yaml *y, struct kt_buf *b)
{
	static const char from[] = "abt\tnvfre \"/\\";
	static const char to[] = "\a\b\t\t\n\v\f\r\033 \"/\\";
	unsigned char c = kt_yaml_at(y, 0);
	const char *at = c ? strchr(from, c) : NULL;
	int n = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
	uint32_t cp = 0;

	y->pos++;
	if (at) {
		kt_buf_addc(b, to[at - from]);
		return true;
	}
	if (c == 'N' || c == '_' || c == 'L' || c == 'P' || c == '0') {
		kt_utf8_add(b,
			c == 'N'           ? 0x85
				: c == '_' ? 0xa0
				: c == 'L' ? 0x2028
				: c == 'P' ? 0x2029
					   : 0xfffd);
		return true;
	}
	if (!n)
		return kt_yaml_fail(y, "an unknown escape");
	for (; n > 0; n--, y->pos++) {
		int digit = yaml_hex_value(kt_yaml_at(y, 0));

		if (digit < 0)
			return kt_yaml_fail(y, "a hexadecimal digit is expected");
		cp = cp * 16 + (uint32_t)digit;
	}
	/* No JSON text holds these. */
	if (cp == 0 || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		cp = 0xfffd;
	kt_utf8_add(b, cp);
	return true;
}

/* A line break within quotes; from and to are the piece before it. */
static void quoted_break(struct kt_yaml *y, struct kt_buf *b, size_t from)
{
	size_t to = y->pos;

	while (to > from && kt_yaml_is_space((unsigned char)y->s[to - 1]))
		to--;
	take_scalar_text(y, b, from, y->claude ? to : y->pos, true);
	fold_breaks(b, kt_yaml_skip(y, false));
}

bool kt_yaml_quoted(struct kt_yaml *y, struct kt_yaml_node *out)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_AGENT_FILE_BYTES);
	unsigned char quote = kt_yaml_at(y, 0);
	size_t from;

	if (quote != '"' && quote != '\'')
		return false;
	y->pos++;
	from = y->pos;
	while (kt_yaml_at(y, 0) && !y->failed) {
		unsigned char c = kt_yaml_at(y, 0);

		if (c == quote && !(quote == '\'' && kt_yaml_at(y, 1) == quote)) {
			take_scalar_text(y, &b, from, y->pos, true);
			y->pos++;
			return finish_scalar(y, &b, false, out);
		}
		if (c == quote) {
			take_scalar_text(y, &b, from, y->pos + 1, true);
			y->pos += 2;
			from = y->pos;
		} else if (c == '\\' && quote == '"') {
			take_scalar_text(y, &b, from, y->pos, true);
			y->pos++;
			if (kt_yaml_is_break(kt_yaml_at(y, 0)))
				(void)kt_yaml_skip(y, false);
			else
				(void)read_yaml_escape(y, &b);
			from = y->pos;
		} else if (kt_yaml_is_break(c)) {
			quoted_break(y, &b, from);
			from = y->pos;
		} else if (y->pos == y->line_start && kt_yaml_at_separator(y)) {
			return kt_yaml_fail(y, "the document ends within quotes");
		} else {
			y->pos++;
		}
	}
	return kt_yaml_fail(y, "a quote is not closed");
}

/* --- block ------------------------------------------------------------------------------- */

struct block {
	bool folded;
	char chomp; /* '+', '-' or 0 */
	int indent;
	bool know_indent;
	bool has_text;
	bool deeper; /* the last line of a folded one began with a blank */
	int empty; /* lines since the last text */
};

static bool block_head(struct kt_yaml *y, int indent, struct block *k)
{
	k->folded = kt_yaml_at(y, 0) == '>';
	k->indent = indent;
	for (y->pos++;; y->pos++) {
		unsigned char c = kt_yaml_at(y, 0);

		if (c == '+' || c == '-') {
			if (k->chomp)
				return kt_yaml_fail(y, "two marks for the end of a block");
			k->chomp = (char)c;
		} else if (c >= '1' && c <= '9' && !k->know_indent) {
			k->indent = indent + (c - '0') - 1;
			k->know_indent = true;
		} else if (c >= '0' && c <= '9') {
			return kt_yaml_fail(y, "a wrong indentation of a block");
		} else {
			break;
		}
	}
	if (kt_yaml_is_space(kt_yaml_at(y, 0))) {
		while (kt_yaml_is_space(kt_yaml_at(y, 0)))
			y->pos++;
		if (kt_yaml_at(y, 0) == '#')
			while (kt_yaml_at(y, 0) && !kt_yaml_is_break(kt_yaml_at(y, 0)))
				y->pos++;
	}
	return true;
}

/* The line breaks before a line of text. */
static void block_breaks(const struct kt_yaml *y, struct block *k, struct kt_buf *b)
{
	int breaks = k->has_text ? 1 + k->empty : k->empty;

	if (!k->folded) {
		add_repeated(b, '\n', breaks);
	} else if (kt_yaml_is_space(kt_yaml_at(y, 0))) {
		k->deeper = true;
		add_repeated(b, '\n', breaks);
	} else if (k->deeper) {
		k->deeper = false;
		add_repeated(b, '\n', k->empty + 1);
	} else if (k->empty) {
		add_repeated(b, '\n', k->empty);
	} else if (k->has_text) {
		kt_buf_addc(b, ' ');
	}
}

/* One line; false at the end of the block. */
static bool read_block_line(struct kt_yaml *y, struct block *k, struct kt_buf *b)
{
	size_t from;

	if (!kt_yaml_at(y, 0) || !kt_yaml_break(y))
		return false;
	y->line_indent = 0;
	while ((!k->know_indent || y->line_indent < k->indent) && kt_yaml_at(y, 0) == ' ') {
		y->line_indent++;
		y->pos++;
	}
	if (!k->know_indent && y->line_indent > k->indent)
		k->indent = y->line_indent;
	if (kt_yaml_is_break(kt_yaml_at(y, 0))) {
		k->empty++;
		return true;
	}
	if (y->line_indent < k->indent || !kt_yaml_at(y, 0)) {
		if (k->chomp == '+')
			add_repeated(b, '\n', k->has_text ? 1 + k->empty : k->empty);
		else if (!k->chomp && k->has_text)
			kt_buf_addc(b, '\n');
		return false;
	}
	block_breaks(y, k, b);
	k->has_text = k->know_indent = true;
	k->empty = 0;
	from = y->pos;
	while (kt_yaml_at(y, 0) && !kt_yaml_is_break(kt_yaml_at(y, 0)))
		y->pos++;
	take_scalar_text(y, b, from, y->pos, false);
	return true;
}

bool kt_yaml_block(struct kt_yaml *y, int indent, struct kt_yaml_node *out)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_AGENT_FILE_BYTES);
	struct block k = { 0 };

	if (kt_yaml_at(y, 0) != '|' && kt_yaml_at(y, 0) != '>')
		return false;
	if (!block_head(y, indent, &k))
		return false;
	while (read_block_line(y, &k, &b))
		;
	return finish_scalar(y, &b, false, out);
}

/* --- types ------------------------------------------------------------------------------- */

static bool is_yaml_word(const char *s, const char *lower, const char *title, const char *upper)
{
	return strcmp(s, lower) == 0 || strcmp(s, title) == 0 || strcmp(s, upper) == 0;
}

/* Length of digits of a base, with "_" between them where that is allowed. */
static bool all_digits(const char *s, int base, bool underscores, double *out)
{
	double v = 0;
	bool any = false;

	for (; *s; s++) {
		int digit = yaml_hex_value((unsigned char)*s);

		if (underscores && *s == '_')
			continue;
		if (digit < 0 || digit >= base)
			return false;
		v = v * base + digit;
		any = true;
	}
	*out = v;
	return any;
}

/* Integers: decimal, 0x, 0o (core), 0b and a leading 0 (OpenCode's, which is of YAML 1.1). */
static bool read_yaml_integer(const struct kt_yaml *y, const char *s, double *out)
{
	bool minus = *s == '-';
	bool old = !y->claude;
	int base = 10;

	s += *s == '-' || *s == '+';
	if (s[0] == '0' && s[1] == 'x')
		base = 16;
	else if (s[0] == '0' && s[1] == 'o' && y->claude)
		base = 8;
	else if (s[0] == '0' && s[1] == 'b' && old)
		base = 2;
	if (base != 10)
		s += 2;
	else if (old && s[0] == '0' && s[1])
		base = 8;
	if (*s == '_' || (*s && s[strlen(s) - 1] == '_') || !all_digits(s, base, old, out))
		return false;
	if (minus)
		*out = -*out;
	return true;
}

static size_t digit_run(const char *s, bool underscores)
{
	return strspn(s, underscores ? "0123456789_" : "0123456789");
}

/* [-+]? ( digits [. digits] | . digits ) [e [-+] digits] */
static bool read_yaml_float(const struct kt_yaml *y, const char *text, double *out)
{
	bool old = !y->claude;
	const char *s = text + (*text == '-' || *text == '+');
	KT_AUTOFREE char *bare = NULL;
	size_t whole, frac = 0, n = 0;

	whole = *s == '_' ? 0 : digit_run(s, old);
	s += whole;
	if (*s == '.') {
		frac = digit_run(s + 1, old);
		s += 1 + frac;
	}
	if (whole + frac == 0)
		return false;
	if (*s == 'e' || *s == 'E') {
		s++;
		s += *s == '-' || *s == '+';
		if (!digit_run(s, false))
			return false;
		s += digit_run(s, false);
	}
	if (*s)
		return false;
	bare = kt_strdup(text);
	for (const char *p = text; *p; p++) {
		if (*p != '_')
			bare[n++] = *p;
	}
	bare[n] = '\0';
	*out = strtod(bare, NULL);
	return true;
}

/* Base 60, of YAML 1.1: 10:30:45 is an integer, 10:30:45.5 a float. */
static bool read_sexagesimal(const char *text, double *out)
{
	const char *s = text + (*text == '-' || *text == '+');
	double v = 0, fraction = 0, unit = 1;
	bool zero = *s == '0', parts = false;

	if (*s < '0' || *s > '9')
		return false;
	for (; digit_run(s, true); s++) {
		if (*s != '_')
			v = v * 10 + (*s - '0');
	}
	for (; *s == ':'; parts = true) {
		size_t n = digit_run(++s, false);

		if (n < 1 || n > 2 || (n == 2 && *s > '5'))
			return false;
		v = v * 60 + (n == 2 ? (s[0] - '0') * 10 + s[1] - '0' : s[0] - '0');
		s += n;
	}
	if (!parts || (*s ? *s != '.' || s[1 + digit_run(s + 1, true)] : zero))
		return false;
	for (s += *s == '.'; *s; s++) {
		if (*s != '_')
			fraction += (*s - '0') * (unit /= 10);
	}
	*out = *text == '-' ? -(v + fraction) : v + fraction;
	return true;
}

static bool read_yaml_number(const struct kt_yaml *y, const char *s, double *out)
{
	const char *bare = s + (*s == '-' || *s == '+');

	if (is_yaml_word(bare, ".inf", ".Inf", ".INF") || is_yaml_word(s, ".nan", ".NaN", ".NAN")) {
		*out = *s == '-' ? -DBL_MAX : DBL_MAX;
		return true;
	}
	if (!read_yaml_integer(y, s, out) && !read_yaml_float(y, s, out) &&
		(y->claude || !read_sexagesimal(s, out)))
		return false;
	/* JSON knows no infinity. */
	if (*out > DBL_MAX || *out < -DBL_MAX)
		*out = *out > 0 ? DBL_MAX : -DBL_MAX;
	return true;
}

/* 2024-01-01, alone or with a time behind it. */
static bool is_date(const char *s)
{
	static const char day[] = "dddd-dd-dd";

	for (size_t i = 0; day[i]; i++) {
		if (day[i] == 'd' ? s[i] < '0' || s[i] > '9' : s[i] != '-')
			return false;
	}
	s += sizeof(day) - 1;
	if (!*s)
		return true;
	if (*s != 'T' && *s != 't' && *s != ' ' && *s != '\t')
		return false;
	s += 1 + strspn(s + 1, " \t");
	return digit_run(s, false) && s[digit_run(s, false)] == ':' &&
		!s[strspn(s, "0123456789:.Zz+- \t")];
}

cJSON *kt_yaml_typed(const struct kt_yaml *y, const char *text)
{
	double v;

	if (*text == '\0' || strcmp(text, "~") == 0 || is_yaml_word(text, "null", "Null", "NULL"))
		return cJSON_CreateNull();
	if (is_yaml_word(text, "true", "True", "TRUE"))
		return cJSON_CreateTrue();
	if (is_yaml_word(text, "false", "False", "FALSE"))
		return cJSON_CreateFalse();
	if (read_yaml_number(y, text, &v))
		return cJSON_CreateNumber(v);
	if (!y->claude && is_date(text)) {
		cJSON *date = cJSON_CreateObject();

		if (date && cJSON_AddStringToObject(date, "date", text))
			return date;
		cJSON_Delete(date);
		return NULL;
	}
	return cJSON_CreateString(text);
}
