/* SPDX-License-Identifier: MIT */
/*
 * What a terminal can do, styles, widths, and text made safe to print. Renders into buffers only.
 * The escapes equal those of text/clean.h, which stands beside this module and cannot be used here.
 */
#include "cli/term.h"

#include "base/env.h"
#include "base/str.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

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
	struct winsize ws = { 0 };
	int64_t columns;

	t->is_tty = isatty(fd) == 1;
	t->utf8 = env_utf8();
	t->color = want_color(t->is_tty, mode);
	t->columns = 80;
	if (t->is_tty && ioctl(fd, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0)
		t->columns = ws.ws_col;
	else if (kt_env_get("COLUMNS") && kt_str_int64(kt_env_get("COLUMNS"), 20, 1000, &columns))
		t->columns = (int)columns;
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

void kt_term_add(struct kt_buf *b, const struct kt_term *t, enum kt_style style, const char *s)
{
	bool styled = t->color && style != KT_STYLE_NONE && *s;

	if (styled)
		kt_buf_adds(b, kt_term_sgr(style));
	kt_buf_adds(b, s);
	if (styled)
		kt_buf_adds(b, "\033[0m");
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
			width += (size_t)kt_utf8_width(cp);
		else
			width++;
		i += n ? n : 1;
	}
	return width;
}

/* Characters that reorder text and so make it show what it is not (Unicode TR 36). */
static bool is_bidi(uint32_t cp)
{
	return cp == 0x061c || cp == 0x200e || cp == 0x200f || (cp >= 0x202a && cp <= 0x202e) ||
		(cp >= 0x2066 && cp <= 0x2069);
}

void kt_term_clean(struct kt_buf *b, const char *s, size_t len, bool one_line)
{
	for (size_t i = 0; i < len;) {
		uint32_t cp;
		size_t n = kt_utf8_decode(s + i, len - i, &cp);

		if (!n) {
			kt_buf_addf(b, "\\x%02x", (unsigned char)s[i]);
			n = 1;
		} else if (!one_line && (cp == '\n' || cp == '\t')) {
			kt_buf_addc(b, s[i]);
		} else if (cp < 0x20 || cp == 0x7f) {
			kt_buf_addf(b, "\\x%02x", (unsigned)cp);
		} else if ((cp >= 0x80 && cp < 0xa0) || is_bidi(cp) || cp == 0x2028 ||
			cp == 0x2029) {
			kt_buf_addf(b, "\\u%04x", (unsigned)cp);
		} else {
			kt_buf_add(b, s + i, n);
		}
		i += n;
	}
}
