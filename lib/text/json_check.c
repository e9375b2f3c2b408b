/* SPDX-License-Identifier: MIT */
/*
 * The JSON validator: one pass over the bytes, a bit per open container instead of recursion, so
 * that hostile nesting costs no stack. It also finds what cJSON would get wrong ("fix"), so that
 * only such texts are copied before parsing. No state; thread-safe.
 */
#include "text/json_check_private.h"

#include "base/limits.h"
#include "base/map.h"
#include "base/str.h"
#include "text/clean.h"
#include "text/json.h"

#include <stdio.h>
#include <string.h>

/* Harness output repeats tool results in tool results; 512 stays below cJSON's own 1000. */
#define DEEP_MAX 512
/* Objects with more keys than this are checked with a hash map instead of by comparing. */
#define FEW_KEYS 32
/* cJSON copies a number to 64 bytes with its NUL and drops what is longer. */
#define CJSON_NUMBER_MAX 63

struct name {
	size_t off, len; /* in check.names, followed by a NUL */
};

/* What is known of an open container; kept only when duplicate keys matter. */
struct frame {
	size_t first; /* index of its first name */
	size_t names_len;
	struct kt_map map; /* in use when it has more than FEW_KEYS names */
};

struct check {
	const unsigned char *s, *p, *end;
	int flags;
	int depth, max_depth;
	size_t nodes, max_nodes;
	uint64_t is_obj[DEEP_MAX / 64];
	struct kt_json_faults faults;
	enum kt_code code;
	struct kt_err *err;
	struct frame *frames;
	size_t frames_cap;
	struct name *list;
	size_t list_len, list_cap;
	struct kt_buf names;
};

/* 0 plain; 1 ends a plain run: quote, backslash, control character, first byte above ASCII. */
static const unsigned char string_stop[256] = {
	[0 ... 31] = 1,
	['"'] = 1,
	['\\'] = 1,
	[128 ... 255] = 1,
};

void kt_text_line_col(const char *s, size_t off, int *out_line, int *out_col)
{
	int line = 1;
	int col = 1;

	for (size_t i = 0; i < off; i++) {
		if (s[i] == '\n') {
			line++;
			col = 1;
		} else if (((unsigned char)s[i] & 0xc0) != 0x80) {
			col++;
		}
	}
	*out_line = line;
	*out_col = col;
}

static bool json_fail_at(struct check *c, const unsigned char *at, const char *what)
{
	int line, col;

	kt_text_line_col((const char *)c->s, (size_t)(at - c->s), &line, &col);
	c->code = kt_fail(c->err, KT_EINVAL, 0, "%d:%d: %s", line, col, what);
	return false;
}

static bool fail_here(struct check *c, const char *expected)
{
	KT_AUTO_BUF struct kt_buf msg = KT_BUF_INIT(200);
	uint32_t cp;
	size_t n;

	if (c->p >= c->end) {
		kt_buf_addf(&msg, "%s expected, not the end of the text", expected);
	} else {
		n = kt_utf8_decode((const char *)c->p, (size_t)(c->end - c->p), &cp);
		kt_buf_addf(&msg, "%s expected, not '", expected);
		kt_clean_add(&msg, (const char *)c->p, n ? n : 1, true);
		kt_buf_addc(&msg, '\'');
	}
	return json_fail_at(c, c->p, msg.ptr);
}

/* A stray control character between values is no more than a blank when bad bytes may be. */
static void skip_json_blanks(struct check *c)
{
	bool any = c->flags & KT_JSON_BAD_BYTES;

	while (c->p < c->end &&
		(*c->p == ' ' || *c->p == '\n' || *c->p == '\t' || *c->p == '\r' ||
			(any && *c->p < 0x20)))
		c->p++;
}

static int json_hex_value(unsigned char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	if ((ch | 32) >= 'a' && (ch | 32) <= 'f')
		return (ch | 32) - 'a' + 10;
	return -1;
}

/* The four digits after "\u" at p; -1 when they are not there. */
static int32_t read_json_hex4(const unsigned char *p, const unsigned char *end)
{
	int32_t v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int d = json_hex_value(p[i]);

		if (d < 0)
			return -1;
		v = v * 16 + d;
	}
	return v;
}

/* The second half of a surrogate pair: "\uDC00".."\uDFFF" at p; -1 when it is not there. */
static int32_t low_half(const unsigned char *p, const unsigned char *end)
{
	int32_t v;

	if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return -1;
	v = read_json_hex4(p + 2, end);
	return v >= 0xdc00 && v <= 0xdfff ? v : -1;
}

/* At a backslash; steps over the escape. */
static bool check_escape(struct check *c)
{
	const unsigned char *at = c->p;
	int32_t v;

	if (c->end - at < 2)
		return json_fail_at(c, at, "string is not closed");
	if (at[1] != 'u') {
		if (at[1] == 0 || !strchr("\"\\/bfnrt", at[1]))
			return json_fail_at(c, at, "no such escape in a string");
		c->p += 2;
		return true;
	}
	v = read_json_hex4(at + 2, c->end);
	if (v < 0)
		return json_fail_at(c, at, "\\u needs four hexadecimal digits");
	c->p += 6;
	if (v == 0) {
		if (!(c->flags & KT_JSON_NUL_ESCAPE))
			return json_fail_at(c, at, "\\u0000 is not allowed in a string");
		c->faults.any = true;
	} else if (v >= 0xd800 && v <= 0xdfff) {
		if (v < 0xdc00 && low_half(c->p, c->end) >= 0) {
			c->p += 6;
		} else {
			if (!(c->flags & KT_JSON_NUL_ESCAPE))
				return json_fail_at(c, at, "half a surrogate pair in a string");
			c->faults.any = true;
		}
	}
	return true;
}

/* At the opening quote; steps behind the closing one. */
static bool check_json_string(struct check *c)
{
	const unsigned char *open = c->p++;

	for (;;) {
		uint32_t cp;
		size_t n;

		while (c->p < c->end && !string_stop[*c->p])
			c->p++;
		if (c->p >= c->end)
			return json_fail_at(c, open, "string is not closed");
		if (*c->p == '"') {
			c->p++;
			return true;
		}
		if (*c->p == '\\') {
			if (!check_escape(c))
				return false;
			continue;
		}
		if (*c->p < 0x20) {
			if (!(c->flags & KT_JSON_BAD_BYTES))
				return json_fail_at(c, c->p, "control character in a string");
			c->faults.any = true;
			c->faults.controls++;
			c->p++;
			continue;
		}
		n = kt_utf8_decode((const char *)c->p, (size_t)(c->end - c->p), &cp);
		if (n == 0 && !(c->flags & KT_JSON_BAD_BYTES))
			return json_fail_at(c, c->p, "invalid UTF-8");
		c->p += n ? n : 1;
	}
}

static bool skip_json_digits(struct check *c)
{
	const unsigned char *start = c->p;

	while (c->p < c->end && *c->p >= '0' && *c->p <= '9')
		c->p++;
	return c->p > start;
}

static bool check_number(struct check *c)
{
	const unsigned char *start = c->p;

	if (*c->p == '-')
		c->p++;
	if (c->p < c->end && *c->p == '0')
		c->p++;
	else if (!skip_json_digits(c))
		return fail_here(c, "digit");
	if (c->p < c->end && *c->p >= '0' && *c->p <= '9')
		return json_fail_at(c, start, "number with a leading zero");
	if (c->p < c->end && *c->p == '.') {
		c->p++;
		if (!skip_json_digits(c))
			return fail_here(c, "digit");
	}
	if (c->p < c->end && (*c->p | 32) == 'e') {
		c->p++;
		if (c->p < c->end && (*c->p == '+' || *c->p == '-'))
			c->p++;
		if (!skip_json_digits(c))
			return fail_here(c, "digit");
	}
	if (c->p - start > CJSON_NUMBER_MAX)
		c->faults.any = true;
	return true;
}

static bool check_json_word(struct check *c, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(c->end - c->p) < n || memcmp(c->p, word, n) != 0)
		return fail_here(c, "value");
	c->p += n;
	return true;
}

static bool in_object(const struct check *c)
{
	unsigned at = (unsigned)c->depth - 1;

	return c->is_obj[at / 64] >> (at % 64) & 1;
}

static bool open_container(struct check *c, bool obj)
{
	unsigned at = (unsigned)c->depth;
	char what[48];

	if (c->depth >= c->max_depth) {
		snprintf(what, sizeof(what), "nesting over %d levels", c->max_depth);
		return json_fail_at(c, c->p, what);
	}
	c->p++;
	c->depth++;
	c->is_obj[at / 64] &= ~(1ull << (at % 64));
	c->is_obj[at / 64] |= (uint64_t)obj << (at % 64);
	if (!(c->flags & KT_JSON_DUP_KEYS)) {
		void *frames = c->frames;

		kt_grow(&frames, &c->frames_cap, (size_t)c->depth, sizeof(*c->frames));
		c->frames = frames;
		c->frames[at] = (struct frame){ c->list_len, c->names.len, KT_MAP_INIT };
	}
	return true;
}

static void close_container(struct check *c)
{
	c->depth--;
	if (!(c->flags & KT_JSON_DUP_KEYS)) {
		struct frame *f = &c->frames[c->depth];

		kt_map_release(&f->map);
		c->list_len = f->first;
		kt_buf_truncate(&c->names, f->names_len);
	}
}

static size_t put_utf8(char *out, uint32_t cp)
{
	size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;

	for (size_t i = n; i-- > 1; cp >>= 6)
		out[i] = (char)(0x80 | (cp & 0x3f));
	out[0] = (char)(n == 1 ? cp : (0xf00u >> n & 0xf0u) | cp);
	return n;
}

char *kt_json_unquote(char *s, size_t len, size_t *out_len)
{
	static const char from[] = "bfnrt";
	static const char to[] = "\b\f\n\r\t";
	const unsigned char *p = (unsigned char *)s + 1, *end = (unsigned char *)s + len - 1;
	char *out = s + 1;

	while (p < end) {
		const unsigned char *esc = memchr(p, '\\', (size_t)(end - p));
		size_t plain = (size_t)((esc ? esc : end) - p);
		int32_t v, low;

		memmove(out, p, plain);
		out += plain;
		if (!esc)
			break;
		p = esc + 2;
		if (esc[1] != 'u') {
			const char *at = strchr(from, esc[1]);

			*out++ = at ? to[at - from] : (char)esc[1];
			continue;
		}
		v = read_json_hex4(p, end);
		p += 4;
		if (v >= 0xd800 && v <= 0xdbff && (low = low_half(p, end)) >= 0) {
			v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
			p += 6;
		}
		/* Never longer than its escape. */
		out += put_utf8(out, (uint32_t)v);
	}
	*out = '\0';
	*out_len = (size_t)(out - (s + 1));
	return s + 1;
}

/* Append the text of a checked string without its quotes; NUL becomes U+FFFD as in the parse. */
static void add_decoded(struct kt_buf *b, const unsigned char *p, const unsigned char *end)
{
	static const char from[] = "bfnrt";
	static const char to[] = "\b\f\n\r\t";

	while (p < end) {
		const unsigned char *esc = memchr(p, '\\', (size_t)(end - p));
		int32_t v, low;

		kt_buf_add(b, p, (size_t)((esc ? esc : end) - p));
		if (!esc)
			return;
		p = esc + 2;
		if (esc[1] != 'u') {
			const char *at = strchr(from, esc[1]);

			kt_buf_addc(b, at ? to[at - from] : (char)esc[1]);
			continue;
		}
		v = read_json_hex4(p, end);
		p += 4;
		if (v >= 0xd800 && v <= 0xdbff && (low = low_half(p, end)) >= 0) {
			v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
			p += 6;
		}
		if (v <= 0 || (v >= 0xd800 && v <= 0xdfff))
			v = 0xfffd;
		kt_utf8_add(b, (uint32_t)v);
	}
}

static bool fail_duplicate(struct check *c, const unsigned char *at, const struct name *n)
{
	KT_AUTO_BUF struct kt_buf msg = KT_BUF_INIT(300);

	kt_buf_adds(&msg, "duplicate key '");
	kt_clean_add(&msg, c->names.ptr + n->off, KT_MIN(n->len, (size_t)60), true);
	kt_buf_addc(&msg, '\'');
	return json_fail_at(c, at, msg.ptr);
}

/* Remember the key between the quotes at open and before end; false when the object has it. */
static bool note_key(struct check *c, const unsigned char *open, const unsigned char *end)
{
	struct frame *f = &c->frames[c->depth - 1];
	struct name n = { c->names.len, 0 };
	size_t have = c->list_len - f->first;
	void *list = c->list;

	add_decoded(&c->names, open + 1, end - 1);
	n.len = c->names.len - n.off;
	kt_buf_addc(&c->names, '\0');
	if (!kt_buf_ok(&c->names)) {
		c->code = kt_fail(c->err, KT_ENOMEM, 0, "no memory to check JSON keys");
		return false;
	}
	if (have < FEW_KEYS) {
		for (size_t i = f->first; i < c->list_len; i++) {
			const struct name *o = &c->list[i];

			if (o->len == n.len &&
				memcmp(c->names.ptr + o->off, c->names.ptr + n.off, n.len) == 0)
				return fail_duplicate(c, open, &n);
		}
	} else {
		if (have == FEW_KEYS)
			for (size_t i = f->first; i < c->list_len; i++)
				kt_map_set(&f->map, c->names.ptr + c->list[i].off, c);
		if (kt_map_set(&f->map, c->names.ptr + n.off, c))
			return fail_duplicate(c, open, &n);
	}
	kt_grow(&list, &c->list_cap, c->list_len + 1, sizeof(*c->list));
	c->list = list;
	c->list[c->list_len++] = n;
	return true;
}

/* Key and colon. */
static bool check_key(struct check *c)
{
	const unsigned char *open;

	skip_json_blanks(c);
	open = c->p;
	if (c->p >= c->end || *c->p != '"')
		return fail_here(c, "key in double quotes");
	if (!check_json_string(c))
		return false;
	if (!(c->flags & KT_JSON_DUP_KEYS) && !note_key(c, open, c->p))
		return false;
	skip_json_blanks(c);
	if (c->p >= c->end || *c->p != ':')
		return fail_here(c, "':'");
	c->p++;
	return true;
}

/* Behind '{' or '[': true with *out_empty when the container closes at once. */
static bool enter_container(struct check *c, bool obj, bool *out_empty)
{
	if (!open_container(c, obj))
		return false;
	skip_json_blanks(c);
	*out_empty = c->p < c->end && *c->p == (obj ? '}' : ']');
	if (!*out_empty)
		return !obj || check_key(c);
	c->p++;
	close_container(c);
	return true;
}

/* One value, but only the beginning of one that holds more; *out_open says which it was. */
static bool check_json_value(struct check *c, bool *out_open)
{
	bool empty;

	*out_open = false;
	skip_json_blanks(c);
	if (c->p >= c->end)
		return fail_here(c, "value");
	if (c->nodes++ >= c->max_nodes) {
		c->code = kt_fail(c->err, KT_ELIMIT, 0,
			"the JSON text has over %zu values, which is the limit (fixed)",
			c->max_nodes);
		return false;
	}
	switch (*c->p) {
	case '{':
	case '[':
		if (!enter_container(c, *c->p == '{', &empty))
			return false;
		*out_open = !empty;
		return true;
	case '"':
		return check_json_string(c);
	case 't':
		return check_json_word(c, "true");
	case 'f':
		return check_json_word(c, "false");
	case 'n':
		return check_json_word(c, "null");
	default:
		if (*c->p == '-' || (*c->p >= '0' && *c->p <= '9'))
			return check_number(c);
		return fail_here(c, "value");
	}
}

/* After a value: closes what closes; *out_more says that a further value is due. */
static bool check_after(struct check *c, bool *out_more)
{
	*out_more = false;
	for (;;) {
		bool obj;

		skip_json_blanks(c);
		if (c->depth == 0)
			return c->p >= c->end || fail_here(c, "end of the text");
		obj = in_object(c);
		if (c->p < c->end && *c->p == ',') {
			c->p++;
			*out_more = true;
			return !obj || check_key(c);
		}
		if (c->p >= c->end || *c->p != (obj ? '}' : ']'))
			return fail_here(c, obj ? "',' or '}'" : "',' or ']'");
		c->p++;
		close_container(c);
	}
}

static bool check_json_text(struct check *c)
{
	bool open, more;

	do {
		do {
			if (!check_json_value(c, &open))
				return false;
		} while (open);
		if (!check_after(c, &more))
			return false;
	} while (more);
	return true;
}

enum kt_code kt_json_check_faults(const char *s, size_t len, int flags, size_t max_nodes,
	struct kt_json_faults *out_faults, struct kt_err *err)
{
	struct check c = {
		.s = (const unsigned char *)s,
		.p = (const unsigned char *)s,
		.end = (const unsigned char *)s + len,
		.flags = flags,
		.max_depth = flags & KT_JSON_DEEP ? DEEP_MAX : KT_MAX_JSON_DEPTH,
		.max_nodes = max_nodes,
		.err = err,
		.names = KT_BUF_INIT(SIZE_MAX / 4),
	};

	/* It does not count; its callers step over it, too. */
	if ((flags & KT_JSON_BAD_BYTES) && len >= 3 && !memcmp(s, "\xef\xbb\xbf", 3))
		c.p += 3;
	if (check_json_text(&c))
		*out_faults = c.faults;
	if (!(flags & KT_JSON_DUP_KEYS))
		while (c.depth > 0)
			close_container(&c);
	kt_buf_release(&c.names);
	free(c.frames);
	free(c.list);
	return c.code;
}

/*
 * Copy a number; one that cJSON would cut is written with 17 digits, which say the same, and blanks
 * to its length. Returns its length.
 */
static size_t copy_number(char *out, const char *s, size_t len)
{
	size_t n = 0;
	char text[40];
	double v;
	int w;

	while (n < len && (strchr("+-.eE", s[n]) || (s[n] >= '0' && s[n] <= '9')) && s[n])
		n++;
	memcpy(out, s, n);
	if (n <= CJSON_NUMBER_MAX)
		return n;
	out[n] = '\0';
	v = strtod(out, NULL);
	/* cJSON writes what is not finite as null: keep it a number that reads as infinite. */
	w = v - v != 0 ? snprintf(text, sizeof(text), "%s1e999", v < 0 ? "-" : "")
		       : snprintf(text, sizeof(text), "%.17g", v);
	memset(out, ' ', n);
	memcpy(out, text, (size_t)w);
	return n;
}

/*

 * Copy an escape of s, at a backslash in a string; *in is what it takes, returns what was written.

 */
static size_t copy_escape(char *out, const char *s, size_t len, bool keep_halves, size_t *in)
{
	const unsigned char *end = (const unsigned char *)s + len;
	int32_t v;

	*in = 2;
	if (len < 2 || s[1] != 'u') {
		memcpy(out, s, 2);
		return 2;
	}
	*in = 6;
	v = read_json_hex4((const unsigned char *)s + 2, end);
	memcpy(out, s, 6);
	if (v >= 0xd800 && v < 0xdc00 && low_half((const unsigned char *)s + 6, end) >= 0) {
		memcpy(out + 6, s + 6, 6);
		*in = 12;
		return 12;
	}
	if (v >= 0xd800 && v <= 0xdfff && keep_halves) {
		out[0] = (char)0xed;
		out[1] = (char)(0x80 | ((v >> 6) & 0x3f));
		out[2] = (char)(0x80 | (v & 0x3f));
		return 3;
	}
	if (v == 0 || (v >= 0xd800 && v <= 0xdfff))
		memcpy(out + 2, "fffd", 4);
	return 6;
}

size_t kt_json_fix(char *out, const char *s, size_t len, int flags)
{
	bool in_string = false;
	size_t n = 0;

	for (size_t i = 0; i < len;) {
		size_t took = 1;

		if (in_string && s[i] == '\\') {
			n += copy_escape(out + n, s + i, len - i, flags & KT_JSON_BAD_BYTES, &took);
		} else if (in_string && (unsigned char)s[i] < 0x20 && s[i] != '\t') {
			memcpy(out + n, "\xef\xbf\xbd", 3);
			n += 3;
		} else if (!in_string && (s[i] == '-' || (s[i] >= '0' && s[i] <= '9'))) {
			took = copy_number(out + n, s + i, len - i);
			n += took;
		} else {
			in_string ^= s[i] == '"';
			out[n++] = s[i];
		}
		i += took;
	}
	out[n] = '\0';
	return n;
}
