/* SPDX-License-Identifier: MIT */
/* Terminal sanitizer; see clean.h. Pure. */
#include "text/clean.h"

#include "base/str.h"
#include "text/unicode.h"

#include <stdio.h>
#include <string.h>

#define SPEC_MAX 24 /* one conversion of a format */
#define NUMBER_MAX 400 /* the longest double has 309 digits before its point */

struct range {
	uint32_t first, last;
};

static bool in_clean_ranges(const struct range *r, size_t n, uint32_t cp)
{
	for (size_t i = 0; i < n; i++) {
		if (cp >= r[i].first && cp <= r[i].last)
			return true;
	}
	return false;
}

bool kt_clean_is_hidden(uint32_t cp)
{
	static const struct range ranges[] = {
		{ 0x00a0, 0x00a0 }, /* this and the next ones are blanks of other widths */
		{ 0x00ad, 0x00ad },
		{ 0x034f, 0x034f },
		{ 0x115f, 0x1160 }, /* Hangul fillers */
		{ 0x1680, 0x1680 },
		{ 0x17b4, 0x17b5 },
		{ 0x180b, 0x180f },
		{ 0x2000, 0x200f },
		{ 0x202f, 0x202f },
		{ 0x205f, 0x205f },
		{ 0x2800, 0x2800 }, /* Braille without dots */
		{ 0x3000, 0x3000 },
		{ 0x3164, 0x3164 },
		{ 0xfe00, 0xfe0f }, /* variation selectors */
		{ 0xffa0, 0xffa0 },
		{ 0xe0100, 0xe01ef },
	};

	return kt_utf8_is_unsafe(cp) || in_clean_ranges(ranges, KT_ARRAY_LEN(ranges), cp);
}

static bool is_plain_ascii(unsigned char c)
{
	return c >= 0x20 && c < 0x7f;
}

void kt_clean_add(struct kt_buf *b, const char *s, size_t len, bool one_line)
{
	const char *end = s + len;

	while (s < end) {
		const char *run = s;
		unsigned char c;
		uint32_t cp;
		size_t n;

		while (s < end && is_plain_ascii((unsigned char)*s))
			s++;
		kt_buf_add(b, run, (size_t)(s - run));
		if (s >= end)
			break;
		c = (unsigned char)*s;
		n = c < 0x80 ? 1 : kt_utf8_decode(s, (size_t)(end - s), &cp);
		if ((c == '\n' || c == '\t') && one_line)
			kt_buf_adds(b, c == '\n' ? "\\n" : "\\t");
		else if (c == '\n' || c == '\t')
			kt_buf_addc(b, (char)c);
		else if (c < 0x80 || n == 0)
			kt_buf_addf(b, "\\x%02x", c);
		else if (kt_utf8_is_unsafe(cp))
			kt_buf_addf(b, "\\u%04x", (unsigned)cp);
		else
			kt_buf_add(b, s, n);
		s += n ? n : 1;
	}
}

/* --- formats ----------------------------------------------------------------------------- */

struct conversion {
	char spec[SPEC_MAX]; /* as it stands in the format, without stars */
	bool left;
	int width; /* 0 = none */
	int precision; /* -1 = none */
	int longs; /* l: 1, ll: 2, z: 3 */
	char type;
};

static int take_conv_digits(const char **p)
{
	int v = 0;

	for (; **p >= '0' && **p <= '9'; (*p)++)
		v = v < 10000 ? v * 10 + (**p - '0') : v;
	return v;
}

/* Read the conversion behind a '%'; its stars are taken from ap. */
static const char *read_conversion(const char *p, struct conversion *c, va_list *ap)
{
	char flags[8] = "";
	size_t n = 0;
	static const char *const longs[] = { "", "l", "ll", "z" };

	*c = (struct conversion){ .precision = -1 };
	for (; *p && strchr("-+ #0", *p); p++) {
		c->left = c->left || *p == '-';
		if (n + 1 < sizeof(flags))
			flags[n++] = *p;
	}
	if (*p == '*') {
		c->width = va_arg(*ap, int);
		p++;
	} else {
		c->width = take_conv_digits(&p);
	}
	if (*p == '.') {
		p++;
		if (*p == '*') {
			c->precision = va_arg(*ap, int);
			p++;
		} else {
			c->precision = take_conv_digits(&p);
		}
	}
	for (; *p == 'l' || *p == 'z' || *p == 'h'; p++)
		c->longs = *p == 'z' ? 3 : *p == 'l' ? c->longs + 1 : c->longs;
	kt_assert(*p && c->longs < 4);
	c->type = *p;
	(void)snprintf(c->spec, sizeof(c->spec), "%%%s*.*%s%c", flags, longs[c->longs], c->type);
	return p + 1;
}

static void add_string(struct kt_buf *b, const struct conversion *c, const char *s)
{
	size_t len = !s ? 0 : c->precision >= 0 ? strnlen(s, (size_t)c->precision) : strlen(s);
	size_t columns = 0, pad;
	struct kt_buf clean = KT_BUF_INIT(b->max);

	kt_clean_add(&clean, s ? s : "", len, true);
	for (size_t i = 0; i < clean.len;) {
		uint32_t cp = 0;
		size_t n = kt_utf8_decode(clean.ptr + i, clean.len - i, &cp);

		columns += n ? (size_t)kt_unicode_width(cp) : 1;
		i += n ? n : 1;
	}
	pad = c->width > 0 && (size_t)c->width > columns ? (size_t)c->width - columns : 0;
	for (size_t i = 0; i < pad && !c->left; i++)
		kt_buf_addc(b, ' ');
	/* A text that is too long for b must leave the mark there. */
	if (clean.overflow)
		b->overflow = true;
	kt_buf_add(b, clean.ptr, clean.len);
	for (size_t i = 0; i < pad && c->left; i++)
		kt_buf_addc(b, ' ');
	kt_buf_release(&clean);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void add_conv_number(struct kt_buf *b, const struct conversion *c, va_list *ap)
{
	char text[NUMBER_MAX];
	int n;

	if (strchr("fgeEG", c->type))
		n = snprintf(
			text, sizeof(text), c->spec, c->width, c->precision, va_arg(*ap, double));
	else if (c->longs == 3)
		n = snprintf(
			text, sizeof(text), c->spec, c->width, c->precision, va_arg(*ap, size_t));
	else if (c->longs == 2)
		n = snprintf(text, sizeof(text), c->spec, c->width, c->precision,
			va_arg(*ap, long long));
	else if (c->longs == 1)
		n = snprintf(
			text, sizeof(text), c->spec, c->width, c->precision, va_arg(*ap, long));
	else
		n = snprintf(text, sizeof(text), c->spec, c->width, c->precision, va_arg(*ap, int));
	if (n > 0)
		kt_buf_add(b, text, KT_MIN((size_t)n, sizeof(text) - 1));
}
#pragma GCC diagnostic pop

void kt_clean_vaddf(struct kt_buf *b, const char *fmt, va_list ap)
{
	size_t from = b->len;
	va_list args;

	va_copy(args, ap);
	while (*fmt) {
		size_t n = strcspn(fmt, "%");
		struct conversion c;

		kt_buf_add(b, fmt, n);
		fmt += n;
		if (!*fmt)
			break;
		if (fmt[1] == '%') {
			kt_buf_addc(b, '%');
			fmt += 2;
			continue;
		}
		fmt = read_conversion(fmt + 1, &c, &args);
		if (c.type == 's') {
			add_string(b, &c, va_arg(args, const char *));
		} else if (c.type == 'c') {
			char one = (char)va_arg(args, int);

			kt_clean_add(b, &one, 1, true);
		} else {
			kt_assert(strchr("diuxXofgeEG", c.type));
			add_conv_number(b, &c, &args);
		}
	}
	va_end(args);
	/* Nothing of a text that is not whole, as with kt_buf_addf(). */
	if (b->overflow)
		kt_buf_truncate(b, from);
}

void kt_clean_addf(struct kt_buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	kt_clean_vaddf(b, fmt, ap);
	va_end(ap);
}
