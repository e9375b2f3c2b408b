/* SPDX-License-Identifier: MIT */
/*
 * Markdown whose end is not there yet, made into what it will probably be. Only the last block is
 * looked at, with the rules of CommonMark in short: what is guessed wrong is on the screen until
 * the next piece of text comes.
 */
#include "cli/markdown_private.h"

#include "base/str.h"

#include <string.h>

#define OPEN_MAX 16 /* marks inside each other */

struct mark {
	char c;
	size_t n;
};

struct scan {
	const char *s;
	size_t len;
	struct mark open[OPEN_MAX];
	size_t n_open;
	size_t code; /* backticks of the code that is open, 0 = none */
	size_t bracket; /* where the text of a link begins, behind its '[' */
	size_t target; /* where its address begins, behind "](" */
	size_t cut; /* behind this nothing is shown: it may be half a mark */
};

static bool is_marker(char c)
{
	return strchr("-=*+#`~|:>_.)[]!<&\\( \t", c) || (c >= '0' && c <= '9');
}

/* A last line of nothing but marks may become anything: a rule, a heading, an item, a fence. */
static size_t without_half_line(const char *s, size_t len)
{
	size_t i = len;

	while (i && s[i - 1] != '\n') {
		if (!is_marker(s[i - 1]))
			return len;
		i--;
	}
	return i;
}

static bool begins_block(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len && (s[i] == ' ' || s[i] == '\t'))
		i++;
	if (i == len || s[i] == '\n' || strchr("#>|", s[i]))
		return true;
	if (strchr("-*+", s[i]))
		return i + 1 < len && s[i + 1] == ' ';
	while (i < len && s[i] >= '0' && s[i] <= '9')
		i++;
	return i && i < len && (s[i] == '.' || s[i] == ')');
}

/* Where the last block that holds words begins; its fences are not ours. */
static size_t last_block(const char *s, size_t len)
{
	size_t at = len;

	while (at) {
		size_t line = at - 1;

		while (line && s[line - 1] != '\n')
			line--;
		if (begins_block(s + line, len - line))
			return line;
		at = line;
	}
	return 0;
}

/* Is a fence open at the end? Then nothing is a mark. */
static bool in_fence(const char *s, size_t len)
{
	char fence = 0;
	size_t fence_len = 0;

	for (size_t at = 0; at < len;) {
		const char *nl = memchr(s + at, '\n', len - at);
		size_t end = nl ? (size_t)(nl - s) : len, i = at, n = 0;

		while (i < end && strchr(" \t>", s[i]))
			i++;
		while (i + n < end && s[i + n] == s[i] && (s[i] == '`' || s[i] == '~'))
			n++;
		if (n >= 3 && !fence) {
			fence = s[i];
			fence_len = n;
		} else if (n >= fence_len && fence && s[i] == fence) {
			fence = 0;
		}
		at = end + 1;
	}
	return fence != 0;
}

static bool is_space(const struct scan *sc, size_t i)
{
	return i >= sc->len || strchr(" \t\n", sc->s[i]);
}

static bool is_alnum(const struct scan *sc, size_t i)
{
	char c = i < sc->len ? sc->s[i] : ' ';

	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		(unsigned char)c >= 0x80;
}

/* A run of n marks at i. */
static void take_run(struct scan *sc, size_t i, size_t n)
{
	char c = sc->s[i];
	bool before = i && !is_space(sc, i - 1), after = !is_space(sc, i + n);
	bool closes = before && (c != '_' || !is_alnum(sc, i + n));
	bool opens = after && (c != '_' || !i || !is_alnum(sc, i - 1));

	while (closes && n && sc->n_open && sc->open[sc->n_open - 1].c == c) {
		struct mark *top = &sc->open[sc->n_open - 1];
		size_t both = KT_MIN(n, top->n);

		/* "**bold*": the other half has not come yet. */
		if (i + n == sc->len && both < top->n) {
			sc->cut = i;
			return;
		}
		n -= both;
		top->n -= both;
		sc->n_open -= top->n == 0;
	}
	if (!n || (c == '~' && n != 2))
		return;
	if (i + n >= sc->len)
		sc->cut = sc->len - n;
	else if (opens && sc->n_open < OPEN_MAX)
		sc->open[sc->n_open++] = (struct mark){ c, n };
}

/* Code at i: past it, or it is open. */
static size_t mend_code(struct scan *sc, size_t i, size_t n)
{
	for (size_t j = i + n; j < sc->len; j++) {
		size_t k = 0;

		while (j + k < sc->len && sc->s[j + k] == '`')
			k++;
		if (k == n)
			return j + k;
		j += k;
	}
	if (i + n >= sc->len)
		sc->cut = i;
	else
		sc->code = n;
	return sc->len;
}

static void scan_marks(struct scan *sc)
{
	for (size_t i = 0; i < sc->len;) {
		char c = sc->s[i];
		size_t n = 1;

		if (c == '\\') {
			i += 2;
			continue;
		}
		while (i + n < sc->len && sc->s[i + n] == c)
			n++;
		if (sc->target && c == ')') {
			sc->target = sc->bracket = 0;
		} else if (c == '`') {
			i = mend_code(sc, i, n);
			continue;
		} else if (!sc->target && (c == '*' || c == '_' || c == '~')) {
			take_run(sc, i, n);
		} else if (c == '[' && !sc->target) {
			sc->bracket = i + n;
		} else if (c == ']' && sc->bracket) {
			if (n == 1 && i + 1 < sc->len && sc->s[i + 1] == '(')
				sc->target = i + 2;
			else if (i + n < sc->len)
				sc->bracket = 0;
		} else if (sc->target && c == '\n') {
			sc->target = sc->bracket = 0;
		}
		i += n;
	}
}

/* Append the last block with its marks closed. */
static void add_closed(struct kt_buf *b, struct scan *sc)
{
	size_t end = KT_MIN(sc->cut, sc->len), trail;

	if (sc->target && !sc->code) {
		/* A link is its text until its address is there. */
		kt_buf_add(b, sc->s, sc->bracket - 1);
		kt_buf_add(b, sc->s + sc->bracket, sc->target - 2 - sc->bracket);
		end = sc->len;
	} else {
		trail = end;
		while (trail && strchr(" \t\n", sc->s[trail - 1]))
			trail--;
		kt_buf_add(b, sc->s, trail);
		end = trail;
	}
	for (size_t i = 0; i < sc->code; i++)
		kt_buf_addc(b, '`');
	while (sc->n_open) {
		const struct mark *top = &sc->open[--sc->n_open];

		for (size_t i = 0; i < top->n; i++)
			kt_buf_addc(b, top->c);
	}
	kt_buf_add(b, sc->s + end, sc->len - end > 0 && sc->cut >= sc->len ? sc->len - end : 0);
}

void kt_markdown_mend(struct kt_buf *b, const char *md, size_t len, bool styles)
{
	struct scan sc = { .cut = SIZE_MAX };
	size_t from;

	if (in_fence(md, len)) {
		size_t end = without_half_line(md, len);
		size_t line = end;

		/* Code of marks alone is code, unless it may be the fence. */
		while (line < len && strchr(" \t`~", md[line]))
			line++;
		kt_buf_add(b, md, line < len ? len : end);
		return;
	}
	len = without_half_line(md, len);
	from = last_block(md, len);
	kt_buf_add(b, md, from);
	sc.s = md + from;
	sc.len = len - from;
	if (styles) {
		scan_marks(&sc);
		add_closed(b, &sc);
	} else {
		kt_buf_add(b, sc.s, sc.len);
	}
}
