/* SPDX-License-Identifier: MIT */
/*
 * What a terminal can do, styles, widths, and the last look at text on its way out. Renders into
 * buffers only.
 */
#include "cli/term.h"

#include "base/env.h"
#include "base/str.h"
#include "text/clean.h"
#include "text/unicode.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SGR_END "\033[0m"
#define STYLE_MAX_BYTES 24 /* every style at once */
#define CUT_MAX_BYTES ((size_t)4096) /* of one line that is cut to some columns */

static bool env_utf8(void)
{
	const char *v = kt_env_get("LC_ALL");

	if (!v)
		v = kt_env_get("LANG");
	if (!v)
		return false;
	const char *dot = strchr(v, '.');

	return dot && (kt_str_ieq(dot + 1, "UTF-8") || kt_str_ieq(dot + 1, "UTF8"));
}

/* A switch that is on when set to anything but 0. */
static bool env_on(const char *name)
{
	const char *v = kt_env_get(name);

	return v && !kt_str_eq(v, "0");
}

static bool want_color(bool is_tty, enum kt_color_mode mode)
{
	if (mode != KT_COLOR_AUTO)
		return mode == KT_COLOR_ALWAYS;
	if (kt_env_get("NO_COLOR") || kt_env_get("KARTA_NO_COLOR"))
		return false;
	if (env_on("FORCE_COLOR") || env_on("CLICOLOR_FORCE"))
		return true;
	return is_tty && !kt_str_eq(kt_env_get("TERM"), "dumb");
}

void kt_term_init(struct kt_term *t, int fd, enum kt_color_mode mode)
{
	int64_t columns;

	t->is_tty = isatty(fd) == 1;
	t->utf8 = env_utf8();
	t->color = want_color(t->is_tty, mode);
	t->cuts = kt_env_get("XTERM_VERSION") != NULL;
	t->columns = 0;
	t->rows = 0;
	if (t->is_tty)
		kt_term_size(t, fd);
	if (t->columns)
		return;
	t->columns = 80;
	if (kt_env_get("COLUMNS") && kt_str_int64(kt_env_get("COLUMNS"), 20, 1000, &columns))
		t->columns = (int)columns;
}

void kt_term_size(struct kt_term *t, int fd)
{
	struct winsize ws = { 0 };

	if (ioctl(fd, TIOCGWINSZ, &ws) != 0)
		return;
	if (ws.ws_col > 0)
		t->columns = ws.ws_col;
	if (ws.ws_row > 0)
		t->rows = ws.ws_row;
}

const char *kt_term_sgr(enum kt_style style)
{
	static const char *const sgr[] = {
		[KT_STYLE_NONE] = "",
		[KT_STYLE_BOLD] = "\033[1m",
		[KT_STYLE_DIM] = "\033[2m",
		[KT_STYLE_RED] = "\033[31m",
		[KT_STYLE_GREEN] = "\033[32m",
		[KT_STYLE_YELLOW] = "\033[33m",
		[KT_STYLE_BLUE] = "\033[34m",
		[KT_STYLE_CYAN] = "\033[36m",
		[KT_STYLE_MAGENTA] = "\033[35m",
		[KT_STYLE_ITALIC] = "\033[3m",
		[KT_STYLE_UNDERLINE] = "\033[4m",
	};

	return sgr[style];
}

static void add_styled(struct kt_buf *b, const struct kt_term *t, enum kt_style style,
	const char *s, bool one_line)
{
	bool styled = t->color && style != KT_STYLE_NONE && *s;

	if (styled)
		kt_buf_adds(b, kt_term_sgr(style));
	kt_clean_add(b, s, strlen(s), one_line);
	if (styled)
		kt_buf_adds(b, SGR_END);
}

void kt_term_add(struct kt_buf *b, const struct kt_term *t, enum kt_style style, const char *s)
{
	add_styled(b, t, style, s, true);
}

void kt_term_add_text(struct kt_buf *b, const struct kt_term *t, enum kt_style style, const char *s)
{
	add_styled(b, t, style, s, false);
}

/*
 * Bytes of the style at s as this module and Markdown make them (none hides text); 0 = it is none.
 */
static size_t style_len(const char *s, size_t len)
{
	static const char codes[] = " 0 1 2 3 4 9 31 32 33 34 35 36 ";
	char code[5] = " ";
	size_t n = 1;

	if (len < 3 || s[1] != '[')
		return 0;
	for (size_t i = 2; i < len && i < STYLE_MAX_BYTES; i++) {
		if (s[i] >= '0' && s[i] <= '9' && n < sizeof(code) - 2) {
			code[n++] = s[i];
			continue;
		}
		code[n] = ' ';
		code[n + 1] = '\0';
		if (n == 1 || (s[i] != ';' && s[i] != 'm') || !strstr(codes, code))
			return 0;
		if (s[i] == 'm')
			return i + 1;
		n = 1;
	}
	return 0;
}

static void add_escape(struct kt_buf *b, uint32_t cp)
{
	if (cp >= 0x10000)
		kt_buf_addf(b, "\\u%04x\\u%04x", (unsigned)(0xd800 + ((cp - 0x10000) >> 10)),
			(unsigned)(0xdc00 + ((cp - 0x10000) & 0x3ff)));
	else
		kt_buf_addf(b, "\\u%04x", (unsigned)cp);
}

void kt_term_pass(struct kt_buf *b, const char *s, size_t len, bool styles)
{
	for (size_t i = 0; i < len;) {
		size_t from = i, n = 0;
		uint32_t cp = 0;

		while (i < len && (unsigned char)s[i] >= 0x20 && (unsigned char)s[i] < 0x7f)
			i++;
		kt_buf_add(b, s + from, i - from);
		if (i == len)
			break;
		if (s[i] == '\033' && styles)
			n = style_len(s + i, len - i);
		if (!n && (unsigned char)s[i] < 0x80) {
			cp = (unsigned char)s[i];
			if (cp == '\n' || cp == '\t')
				n = 1;
		} else if (!n) {
			n = kt_utf8_decode(s + i, len - i, &cp);
			if (!n)
				cp = 0xfffd;
			else if (kt_utf8_is_unsafe(cp))
				from = i + n, n = 0;
		}
		if (n) {
			kt_buf_add(b, s + i, n);
			i += n;
		} else {
			add_escape(b, cp);
			i = from > i ? from : i + 1;
		}
	}
}

/* Bytes of the escape sequence at s (ESC [ ... final byte), 0 when it is none. */
static size_t escape_len(const char *s, size_t len)
{
	if (len < 2 || s[0] != '\033' || s[1] != '[')
		return 0;
	for (size_t i = 2; i < len; i++) {
		if (s[i] >= 0x40 && s[i] <= 0x7e)
			return i + 1;
	}
	return len;
}

size_t kt_term_width(const char *s)
{
	size_t len = strlen(s);
	size_t width = 0;

	for (size_t i = 0; i < len;) {
		size_t n = escape_len(s + i, len - i);
		uint32_t cp;

		if (n) {
			i += n;
			continue;
		}
		n = kt_utf8_decode(s + i, len - i, &cp);
		if (n)
			width += (size_t)kt_unicode_width(cp);
		else
			width++;
		i += n ? n : 1;
	}
	return width;
}

/* Bytes of the next line of s, which has `width` columns: up to a blank, or all of a long word. */
static size_t wrap_len(const char *s, size_t len, size_t width)
{
	size_t columns = 0, blank = 0;

	for (size_t i = 0; i < len;) {
		uint32_t cp;
		size_t n = kt_utf8_decode(s + i, len - i, &cp);

		columns += n ? (size_t)kt_unicode_width(cp) : 1;
		if (s[i] == ' ' && i && s[i - 1] != ' ')
			blank = i;
		if (columns > width && blank)
			return blank;
		i += n ? n : 1;
	}
	return len;
}

/* One line of cleaned text; returns without its end. */
static void wrap_line(struct kt_buf *b, const struct kt_term *t, enum kt_style style, const char *s,
	size_t len, size_t hang)
{
	size_t columns = (size_t)KT_MAX(t->columns, 20), at = 0;

	hang = KT_MIN(hang, columns / 2);
	do {
		size_t n = t->is_tty ? wrap_len(s + at, len - at, at ? columns - hang : columns)
				     : len;
		KT_AUTOFREE char *line = kt_strndup(s + at, n);

		if (at)
			kt_buf_addf(b, "\n%*s", (int)hang, "");
		add_styled(b, t, style, line, false);
		at += n;
		while (at < len && s[at] == ' ')
			at++;
	} while (at < len);
}

void kt_term_wrap(struct kt_buf *b, const struct kt_term *t, enum kt_style style, const char *text,
	size_t hang)
{
	KT_AUTO_BUF struct kt_buf clean = KT_BUF_INIT(SIZE_MAX / 2);
	const char *s;

	kt_clean_add(&clean, text, strlen(text), false);
	for (s = clean.ptr ? clean.ptr : ""; *s;) {
		size_t len = strcspn(s, "\n");

		wrap_line(b, t, style, s, len, hang);
		s += len;
		if (*s == '\n')
			kt_buf_addc(b, *s++);
	}
}

void kt_term_cut(struct kt_buf *b, const char *s, size_t len, size_t max)
{
	KT_AUTO_BUF struct kt_buf clean = KT_BUF_INIT(CUT_MAX_BYTES * 8);
	size_t columns = 0, at = 0;

	kt_clean_add(&clean, s, KT_MIN(len, CUT_MAX_BYTES), true);
	while (at < clean.len) {
		uint32_t cp;
		size_t n = kt_utf8_decode(clean.ptr + at, clean.len - at, &cp);
		size_t w = n ? (size_t)kt_unicode_width(cp) : 1;

		if (columns + w > max)
			break;
		columns += w;
		at += n ? n : 1;
	}
	if (at == clean.len && len <= CUT_MAX_BYTES) {
		kt_buf_add(b, clean.ptr, clean.len);
		return;
	}
	/* Room for the dots: whole characters go until there is. */
	while (at && columns + 3 > max) {
		uint32_t cp;
		size_t end = at;

		at--;
		while (at && ((unsigned char)clean.ptr[at] & 0xc0) == 0x80)
			at--;
		columns -= kt_utf8_decode(clean.ptr + at, end - at, &cp)
			? (size_t)kt_unicode_width(cp)
			: 1;
	}
	kt_buf_add(b, clean.ptr, at);
	kt_buf_adds(b, "...");
}
