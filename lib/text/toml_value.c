/* SPDX-License-Identifier: MIT */
/* TOML 1.0: values. Recursion is bounded by kt_toml_deeper(). */
#include "text/toml_parse_private.h"

#include "base/str.h"

#include <math.h>
#include <string.h>

static bool bad_toml_value(struct kt_toml_parser *tp, const char *at, const char *what)
{
	return kt_toml_fail(tp, KT_EINVAL, at, what);
}

/* Value of a digit in bases up to 16, or 99. */
static unsigned digit_value(char c)
{
	if (kt_is_digit(c))
		return (unsigned)(c - '0');
	if ((c | 32) >= 'a' && (c | 32) <= 'f')
		return (unsigned)((c | 32) - 'a' + 10);
	return 99;
}

static bool read_unicode(struct kt_toml_parser *tp, int digits)
{
	const char *at = tp->p - 2;
	uint32_t cp = 0;

	for (int i = 0; i < digits; i++) {
		unsigned d = tp->p < tp->end ? digit_value(*tp->p) : 99;

		if (d > 15)
			return bad_toml_value(tp, at, "escape needs more hexadecimal digits");
		cp = cp * 16 + d;
		tp->p++;
	}
	if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return bad_toml_value(tp, at, "escape is not a Unicode character");
	kt_utf8_add(&tp->scratch, cp);
	return true;
}

/* Backslash at a line end: it and all blanks and line ends after it vanish. False elsewhere. */
static bool skip_fold(struct kt_toml_parser *tp)
{
	const char *at = tp->p;

	tp->p++;
	kt_toml_skip_blanks(tp);
	if (!kt_toml_skip_newline(tp)) {
		tp->p = at;
		return false;
	}
	do
		kt_toml_skip_blanks(tp);
	while (kt_toml_skip_newline(tp));
	return true;
}

/* At a backslash. */
static bool read_escape(struct kt_toml_parser *tp, bool multi)
{
	static const char from[] = "btnfr\"\\";
	static const char to[] = "\b\t\n\f\r\"\\";
	const char *at = tp->p;
	const char *which;

	if (multi && skip_fold(tp))
		return true;
	if (tp->end - at < 2)
		return bad_toml_value(tp, at, "string is not closed");
	tp->p += 2;
	if (at[1] == 'u' || at[1] == 'U')
		return read_unicode(tp, at[1] == 'u' ? 4 : 8);
	which = at[1] ? strchr(from, at[1]) : NULL;
	if (!which)
		return bad_toml_value(tp, at, "no such escape in a string");
	kt_buf_addc(&tp->scratch, to[which - from]);
	return true;
}

static bool is_control(char c)
{
	return ((unsigned char)c < 0x20 && c != '\t') || c == 0x7f;
}

bool kt_toml_read_quoted(struct kt_toml_parser *tp)
{
	const char *open = tp->p;
	char quote = *tp->p++;

	kt_buf_clear(&tp->scratch);
	while (tp->p < tp->end && *tp->p != quote) {
		const char *run = tp->p;

		while (tp->p < tp->end && *tp->p != quote && !is_control(*tp->p) &&
			(*tp->p != '\\' || quote == '\''))
			tp->p++;
		kt_buf_add(&tp->scratch, run, (size_t)(tp->p - run));
		if (tp->p >= tp->end || *tp->p == quote)
			break;
		if (*tp->p == '\n' || *tp->p == '\r')
			break;
		if (*tp->p != '\\')
			return bad_toml_value(tp, tp->p, "control character in a string");
		if (!read_escape(tp, false))
			return false;
	}
	if (tp->p >= tp->end || *tp->p != quote)
		return bad_toml_value(tp, open, "string is not closed");
	tp->p++;
	return true;
}

/* Quotes at p, at most 5: three close the string, up to two before them belong to it. */
static int count_quotes(const struct kt_toml_parser *tp, char quote)
{
	int n = 0;

	while (n < 5 && tp->p + n < tp->end && tp->p[n] == quote)
		n++;
	return n;
}

static bool read_multi(struct kt_toml_parser *tp)
{
	const char *open = tp->p;
	char quote = *open;

	tp->p += 3;
	kt_toml_skip_newline(tp);
	kt_buf_clear(&tp->scratch);
	while (tp->p < tp->end) {
		const char *run = tp->p;
		int quotes = count_quotes(tp, quote);

		if (quotes >= 3) {
			kt_buf_add(&tp->scratch, tp->p, (size_t)quotes - 3);
			tp->p += quotes;
			return true;
		}
		tp->p += quotes;
		while (tp->p < tp->end && *tp->p != quote && !is_control(*tp->p) &&
			(*tp->p != '\\' || quote == '\''))
			tp->p++;
		kt_toml_skip_newline(tp);
		kt_buf_add(&tp->scratch, run, (size_t)(tp->p - run));
		if (tp->p >= tp->end)
			break;
		if (*tp->p == '\\' && quote == '"') {
			if (!read_escape(tp, true))
				return false;
		} else if (is_control(*tp->p) && tp->p == run) {
			return bad_toml_value(tp, tp->p, "control character in a string");
		}
	}
	return bad_toml_value(tp, open, "string is not closed");
}

static bool read_string(struct kt_toml_parser *tp, struct kt_toml_node *node)
{
	bool multi = count_quotes(tp, *tp->p) >= 3;

	if (!(multi ? read_multi(tp) : kt_toml_read_quoted(tp)))
		return false;
	node->pub.type = KT_TOML_STRING;
	node->pub.str_len = tp->scratch.len;
	node->pub.str = kt_arena_strndup(tp->arena, tp->scratch.ptr, tp->scratch.len);
	return true;
}

/* Exactly n digits at *p within [lo, hi]; steps over them. */
static bool take_number(const char **p, const char *end, int n, int lo, int hi, int *out)
{
	int v = 0;

	if (end - *p < n)
		return false;
	for (int i = 0; i < n; i++) {
		if (!kt_is_digit((*p)[i]))
			return false;
		v = v * 10 + ((*p)[i] - '0');
	}
	if (v < lo || v > hi)
		return false;
	*p += n;
	*out = v;
	return true;
}

static bool take_char(const char **p, const char *end, char c)
{
	if (*p >= end || **p != c)
		return false;
	(*p)++;
	return true;
}

static bool take_date(const char **p, const char *end)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int y, m, d;
	bool leap;

	if (!take_number(p, end, 4, 0, 9999, &y) || !take_char(p, end, '-') ||
		!take_number(p, end, 2, 1, 12, &m) || !take_char(p, end, '-') ||
		!take_number(p, end, 2, 1, 31, &d))
		return false;
	leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
	return d <= days[m - 1] + (m == 2 && leap);
}

/* Seconds up to 60: RFC 3339 has leap seconds. */
static bool take_time(const char **p, const char *end)
{
	int v;

	if (!take_number(p, end, 2, 0, 23, &v) || !take_char(p, end, ':') ||
		!take_number(p, end, 2, 0, 59, &v) || !take_char(p, end, ':') ||
		!take_number(p, end, 2, 0, 60, &v))
		return false;
	if (!take_char(p, end, '.'))
		return true;
	if (*p >= end || !kt_is_digit(**p))
		return false;
	while (*p < end && kt_is_digit(**p))
		(*p)++;
	return true;
}

static bool take_offset(const char **p, const char *end)
{
	int v;

	if (take_char(p, end, 'Z') || take_char(p, end, 'z'))
		return true;
	if (!take_char(p, end, '+') && !take_char(p, end, '-'))
		return false;
	return take_number(p, end, 2, 0, 23, &v) && take_char(p, end, ':') &&
		take_number(p, end, 2, 0, 59, &v);
}

static bool is_datetime(const char *p, const char *end)
{
	if (end - p > 2 && p[2] == ':')
		return take_time(&p, end) && p == end;
	if (!take_date(&p, end))
		return false;
	if (p == end)
		return true;
	if (*p != 'T' && *p != 't' && *p != ' ')
		return false;
	p++;
	if (!take_time(&p, end))
		return false;
	return p == end || (take_offset(&p, end) && p == end);
}

/* Digits of base with single underscores between them; steps over them. */
static bool take_digits(const char **p, const char *end, unsigned base)
{
	const char *start = *p;

	while (*p < end) {
		if (**p == '_') {
			if (*p == start || (*p)[-1] == '_')
				return false;
		} else if (digit_value(**p) >= base) {
			break;
		}
		(*p)++;
	}
	return *p > start && (*p)[-1] != '_';
}

/* Text of checked digits to a number; false when it does not fit. */
static bool to_int(const char *p, const char *end, unsigned base, bool negative, int64_t *out)
{
	uint64_t most = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
	uint64_t v = 0;

	for (; p < end; p++) {
		unsigned d = digit_value(*p);

		if (*p == '_')
			continue;
		if (v > (most - d) / base)
			return false;
		v = v * base + d;
	}
	*out = negative ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

static bool set_float(struct kt_toml_parser *tp, struct kt_toml_node *node, const char *p,
	const char *end, bool negative)
{
	const char *at = negative ? p - 1 : p;
	double v;

	kt_buf_clear(&tp->scratch);
	for (; p < end; p++)
		if (*p != '_')
			kt_buf_addc(&tp->scratch, *p);
	v = strtod(tp->scratch.ptr, NULL);
	if (!isfinite(v))
		return bad_toml_value(tp, at, "number is out of range");
	node->pub.type = KT_TOML_FLOAT;
	node->pub.f = negative ? -v : v;
	return true;
}

/* 0x, 0o and 0b, which take no sign. */
static bool read_based(
	struct kt_toml_parser *tp, struct kt_toml_node *node, const char *at, const char *end)
{
	unsigned base = at[1] == 'x' ? 16 : at[1] == 'o' ? 8 : 2;
	const char *p = at + 2;

	if (!take_digits(&p, end, base) || p != end)
		return bad_toml_value(tp, at, "invalid number");
	node->pub.type = KT_TOML_INT;
	if (!to_int(at + 2, end, base, false, &node->pub.i))
		return bad_toml_value(tp, at, "number is out of range");
	return true;
}

static bool read_toml_number(
	struct kt_toml_parser *tp, struct kt_toml_node *node, const char *at, const char *end)
{
	bool negative = *at == '-';
	const char *num = at + (*at == '-' || *at == '+');
	const char *p = num;
	bool is_float = false;

	if (end - num == 3 && (memcmp(num, "inf", 3) == 0 || memcmp(num, "nan", 3) == 0)) {
		node->pub.type = KT_TOML_FLOAT;
		node->pub.f = *num == 'i' ? HUGE_VAL : (double)NAN;
		node->pub.f = negative ? -node->pub.f : node->pub.f;
		return true;
	}
	if (num == at && end - at > 2 && *at == '0' && strchr("xob", at[1]))
		return read_based(tp, node, at, end);
	if (!take_digits(&p, end, 10))
		return bad_toml_value(
			tp, at, kt_is_digit(*at) || num > at ? "invalid number" : "value expected");
	if (p - num > 1 && *num == '0')
		return bad_toml_value(tp, at, "number with a leading zero");
	if (take_char(&p, end, '.')) {
		is_float = true;
		if (!take_digits(&p, end, 10))
			return bad_toml_value(tp, at, "digits expected after the point");
	}
	if (take_char(&p, end, 'e') || take_char(&p, end, 'E')) {
		is_float = true;
		if (!take_char(&p, end, '+'))
			take_char(&p, end, '-');
		if (!take_digits(&p, end, 10))
			return bad_toml_value(tp, at, "digits expected in the exponent");
	}
	if (p != end)
		return bad_toml_value(tp, at, "invalid number");
	if (is_float)
		return set_float(tp, node, num, end, negative);
	node->pub.type = KT_TOML_INT;
	if (!to_int(num, end, 10, negative, &node->pub.i))
		return bad_toml_value(tp, at, "number is out of range");
	return true;
}

static void skip_word(struct kt_toml_parser *tp)
{
	while (tp->p < tp->end && *tp->p &&
		(kt_is_digit(*tp->p) || ((*tp->p | 32) >= 'a' && (*tp->p | 32) <= 'z') ||
			strchr("+-_.:", *tp->p)))
		tp->p++;
}

/* Booleans, numbers, dates and times: everything that stands without quotes. */
static bool read_toml_bare(struct kt_toml_parser *tp, struct kt_toml_node *node)
{
	const char *at = tp->p;
	size_t len;

	skip_word(tp);
	/* A blank instead of T: only where a date is followed by a digit. */
	if (tp->p - at == 10 && at[4] == '-' && tp->end - tp->p >= 2 && *tp->p == ' ' &&
		kt_is_digit(tp->p[1])) {
		tp->p++;
		skip_word(tp);
	}
	len = (size_t)(tp->p - at);
	if (len == 0)
		return bad_toml_value(tp, at, "value expected");
	if ((len == 4 && memcmp(at, "true", 4) == 0) || (len == 5 && memcmp(at, "false", 5) == 0)) {
		node->pub.type = KT_TOML_BOOL;
		node->pub.i = len == 4;
		return true;
	}
	if (!kt_is_digit(*at) || len < 5 || !(at[2] == ':' || at[4] == '-'))
		return read_toml_number(tp, node, at, tp->p);
	/* "1e10-3" has the shape as well: whatever is no date here is no number either. */
	if (at[4] == '-' && (at[3] | 32) == 'e')
		return read_toml_number(tp, node, at, tp->p);
	if (!is_datetime(at, tp->p))
		return bad_toml_value(tp, at, "invalid date or time");
	node->pub.type = KT_TOML_DATETIME;
	node->pub.str_len = len;
	node->pub.str = kt_arena_strndup(tp->arena, at, len);
	return true;
}

/* Blanks, line ends and comments between the elements of an array. */
static bool skip_between(struct kt_toml_parser *tp)
{
	do {
		kt_toml_skip_blanks(tp);
		if (!kt_toml_skip_comment(tp))
			return false;
	} while (kt_toml_skip_newline(tp));
	return true;
}

static bool read_array(struct kt_toml_parser *tp, struct kt_toml_node *node)
{
	const char *open = tp->p++;

	node->pub.type = KT_TOML_ARRAY;
	for (;;) {
		struct kt_toml_node *item;
		int line, col;

		if (!skip_between(tp))
			return false;
		if (tp->p < tp->end && *tp->p == ']')
			break;
		if (tp->p >= tp->end)
			return bad_toml_value(tp, open, "array is not closed");
		kt_toml_place(tp, tp->p, &line, &col);
		item = kt_toml_node_new(tp, KT_TOML_TABLE, line, col);
		if (!kt_toml_read_value(tp, item))
			return false;
		kt_toml_attach(tp, node, item);
		if (!skip_between(tp))
			return false;
		if (tp->p < tp->end && *tp->p == ',')
			tp->p++;
		else if (tp->p >= tp->end)
			return bad_toml_value(tp, open, "array is not closed");
		else if (*tp->p != ']')
			return bad_toml_value(tp, tp->p, "',' or ']' expected");
	}
	tp->p++;
	return true;
}

static bool read_inline_table(struct kt_toml_parser *tp, struct kt_toml_node *node)
{
	const char *open = tp->p++;

	node->pub.type = KT_TOML_TABLE;
	kt_toml_skip_blanks(tp);
	if (tp->p < tp->end && *tp->p == '}') {
		tp->p++;
		return true;
	}
	for (;;) {
		if (tp->p >= tp->end)
			return bad_toml_value(tp, open, "inline table is not closed");
		if (!kt_toml_read_pair(tp, node))
			return false;
		kt_toml_skip_blanks(tp);
		if (tp->p < tp->end && *tp->p == '}')
			break;
		if (tp->p >= tp->end)
			return bad_toml_value(tp, open, "inline table is not closed");
		if (*tp->p != ',')
			return bad_toml_value(tp, tp->p, "',' or '}' expected");
		tp->p++;
		kt_toml_skip_blanks(tp);
	}
	tp->p++;
	return true;
}

bool kt_toml_read_value(struct kt_toml_parser *tp, struct kt_toml_node *node)
{
	const char *at = tp->p;
	bool ok;

	node->flags |= KT_TOML_CLOSED;
	if (at >= tp->end)
		return bad_toml_value(tp, at, "value expected");
	if (*at == '"' || *at == '\'')
		return read_string(tp, node);
	if (*at != '[' && *at != '{')
		return read_toml_bare(tp, node);
	if (!kt_toml_deeper(tp, 1, at))
		return false;
	ok = *at == '[' ? read_array(tp, node) : read_inline_table(tp, node);
	tp->depth--;
	return ok;
}
