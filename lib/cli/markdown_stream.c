/* SPDX-License-Identifier: MIT */
/*
 * Markdown that arrives in pieces. Text is held until a block is surely complete: at a line that
 * follows a blank one, is not indented, is outside a code fence and does not go on with a list.
 * What is drawn is final, so a stream needs no cursor movement and can be piped.
 */
#include "cli/markdown.h"

#include "base/str.h"

#include <string.h>

#define PENDING_MAX_BYTES                                                                          \
	((size_t)1024 * 1024) /* an unfinished block; then it is drawn as it is                    \
			       */
#define PIECE_BYTES ((size_t)64 * 1024)

enum marker { MARKER_NO, MARKER_YES, MARKER_UNKNOWN };

struct kt_markdown {
	struct kt_term t;
	struct kt_buf pending;
	size_t line; /* start of the first line that is not looked at yet */
	bool drawn; /* something was drawn: the next block is set off by a blank line */
	bool after_blank;
	bool in_list; /* the last unindented line began a list item */
	char fence; /* '`' or '~' inside a fence, else 0 */
	size_t fence_len;
};

struct kt_markdown *kt_markdown_new(const struct kt_term *t)
{
	struct kt_markdown *m = kt_calloc(1, sizeof(*m));

	m->t = *t;
	kt_buf_init(&m->pending, PENDING_MAX_BYTES + PIECE_BYTES);
	return m;
}

static bool is_blank(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] != ' ' && s[i] != '\t' && s[i] != '\r')
			return false;
	}
	return true;
}

/* Draw the first n bytes and start afresh behind them. */
static void draw_head(struct kt_markdown *m, struct kt_buf *b, size_t n)
{
	size_t before = b->len;

	if (m->drawn)
		kt_buf_addc(b, '\n');
	size_t start = b->len;

	kt_markdown_render(b, &m->t, m->pending.ptr, n);
	if (b->len > start)
		m->drawn = true;
	else
		kt_buf_truncate(b, before);
	kt_buf_drop(&m->pending, n);
	m->line = 0;
	m->after_blank = false;
	m->in_list = false;
}

/* Does the line begin a list item? Unknown while too little of it is there. */
static enum marker list_marker(const char *s, size_t len, bool complete)
{
	size_t i = 0;

	if (len && strchr("-*+", s[0])) {
		i = 1;
	} else {
		while (i < len && i < 9 && s[i] >= '0' && s[i] <= '9')
			i++;
		if (i == 0)
			return len ? MARKER_NO : MARKER_UNKNOWN;
		if (i == len)
			return complete ? MARKER_NO : MARKER_UNKNOWN;
		if (s[i] != '.' && s[i] != ')')
			return MARKER_NO;
		i++;
	}
	if (i == len)
		return complete ? MARKER_YES : MARKER_UNKNOWN;
	return s[i] == ' ' || s[i] == '\t' || s[i] == '\r' ? MARKER_YES : MARKER_NO;
}

/* Follow code fences over one complete line. */
static void follow_fence(struct kt_markdown *m, const char *s, size_t len)
{
	size_t i = 0, n = 0;

	while (i < len && (s[i] == ' ' || s[i] == '\t'))
		i++;
	while (i + n < len && s[i + n] == s[i] && (s[i] == '`' || s[i] == '~'))
		n++;
	if (n < 3)
		return;
	if (!m->fence) {
		/* "```x```" on one line is code in a paragraph. */
		if (s[i] == '`' && memchr(s + i + n, '`', len - i - n))
			return;
		m->fence = s[i];
		m->fence_len = n;
	} else if (s[i] == m->fence && n >= m->fence_len && is_blank(s + i + n, len - i - n)) {
		m->fence = 0;
	}
}

/*
 * Look at the line at m->line, of which len bytes are there. Returns true when the text before it
 * can be drawn.
 */
static bool can_split(struct kt_markdown *m, const char *s, size_t len, bool complete)
{
	enum marker marker;

	if (m->fence || !m->after_blank || len == 0 || is_blank(s, 1))
		return false;
	marker = list_marker(s, len, complete);
	return marker != MARKER_UNKNOWN && !(m->in_list && marker == MARKER_YES);
}

static void take_line(struct kt_markdown *m, const char *s, size_t len)
{
	bool blank = is_blank(s, len);

	if (!m->fence && !blank && s[0] != ' ' && s[0] != '\t') {
		bool item = list_marker(s, len, true) == MARKER_YES;

		/* A line right under an item goes on with it; one after a blank line does not. */
		m->in_list = item || (m->in_list && !m->after_blank);
	}
	follow_fence(m, s, len);
	m->after_blank = blank;
}

static void scan(struct kt_markdown *m, struct kt_buf *b)
{
	for (;;) {
		char *s = m->pending.ptr + m->line;
		size_t left = m->pending.len - m->line;
		char *nl = memchr(s, '\n', left);
		size_t len = nl ? (size_t)(nl - s) : left;

		if (m->line && can_split(m, s, len, nl != NULL)) {
			draw_head(m, b, m->line);
			continue;
		}
		if (!nl)
			return;
		take_line(m, s, len);
		m->line += len + 1;
	}
}

static void feed_piece(struct kt_markdown *m, struct kt_buf *b, const char *text, size_t len)
{
	if (m->pending.len + len > PENDING_MAX_BYTES) {
		draw_head(m, b, m->pending.len);
		m->fence = 0;
	}
	kt_buf_add(&m->pending, text, len);
	scan(m, b);
}

void kt_markdown_feed(struct kt_markdown *m, struct kt_buf *b, const char *text, size_t len)
{
	while (len) {
		size_t n = KT_MIN(len, PIECE_BYTES);

		feed_piece(m, b, text, n);
		text += n;
		len -= n;
	}
}

void kt_markdown_end(struct kt_markdown *m, struct kt_buf *b)
{
	draw_head(m, b, m->pending.len);
	m->fence = 0;
	m->drawn = false;
}

void kt_markdown_free(struct kt_markdown *m)
{
	if (!m)
		return;
	kt_buf_release(&m->pending);
	free(m);
}
