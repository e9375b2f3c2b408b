/* SPDX-License-Identifier: MIT */
/*
 * Markdown that arrives in pieces. Text is held until a block is surely complete: at a line that
 * follows a blank one, is not indented, is outside a code fence and does not go on with a list; or
 * at a fence that is not indented, behind which each line is complete by itself. What is drawn is
 * final; the rest can be drawn at any time as what it is so far.
 */
#include "cli/markdown.h"

#include "base/str.h"
#include "cli/listing_private.h"
#include "cli/markdown_private.h"

#include <string.h>

/* An unfinished block; then it is drawn as it is. */
#define PENDING_MAX_BYTES ((size_t)1024 * 1024)
#define PIECE_BYTES ((size_t)64 * 1024)

enum marker { MARKER_NO, MARKER_YES, MARKER_UNKNOWN };

struct kt_markdown {
	const struct kt_term *t;
	bool dim;
	struct kt_buf pending;
	size_t line; /* start of the first line that is not looked at yet */
	size_t seen; /* behind it, what is known to hold no line end */
	bool after_cr; /* an LF that comes next belongs to it */
	bool drawn; /* something was drawn: the next block is set off by a blank line */
	bool after_blank;
	bool in_list; /* the last unindented line began a list item */
	char fence; /* '`' or '~' inside a fence, else 0 */
	size_t fence_len;
	/* Inside a fence that is not indented: its lines are drawn one by one. */
	bool in_code;
	struct kt_listing code;
	size_t blank_lines; /* held: at the end of a fence without an end they are none */
};

struct kt_markdown *kt_markdown_new(const struct kt_term *t, bool dim)
{
	struct kt_markdown *m = kt_calloc(1, sizeof(*m));

	m->t = t;
	m->dim = dim;
	kt_buf_init(&m->pending, PENDING_MAX_BYTES + PIECE_BYTES);
	return m;
}

static bool is_blank_line(const char *s, size_t len)
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

	kt_markdown_draw(b, m->t, m->pending.ptr, n, m->dim);
	if (b->len > start)
		m->drawn = true;
	else
		kt_buf_truncate(b, before);
	kt_buf_drop(&m->pending, n);
	m->line = 0;
	m->seen -= KT_MIN(m->seen, n);
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
	} else if (s[i] == m->fence && n >= m->fence_len && is_blank_line(s + i + n, len - i - n)) {
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

	if (m->fence || !m->after_blank || len == 0 || is_blank_line(s, 1))
		return false;
	marker = list_marker(s, len, complete);
	return marker != MARKER_UNKNOWN && !(m->in_list && marker == MARKER_YES);
}

static void take_markdown_line(struct kt_markdown *m, const char *s, size_t len)
{
	bool blank = is_blank_line(s, len);

	if (!m->fence && !blank && s[0] != ' ' && s[0] != '\t') {
		bool item = list_marker(s, len, true) == MARKER_YES;

		/* A line right under an item goes on with it; one after a blank line does not. */
		m->in_list = item || (m->in_list && !m->after_blank);
	}
	follow_fence(m, s, len);
	m->after_blank = blank;
}

/* Does the line open a fence that is not indented? It ends whatever is open. */
static bool opens_code(const struct kt_markdown *m, const char *s)
{
	return m->fence && (s[0] == '`' || s[0] == '~');
}

static void begin_fence(struct kt_markdown *m, struct kt_buf *b, size_t len)
{
	const char *s = m->pending.ptr;
	size_t n = m->fence_len;

	if (m->drawn)
		kt_buf_addc(b, '\n');
	m->drawn = true;
	m->in_code = true;
	n += strspn(s + n, " \t");
	kt_listing_begin(&m->code, s + n, len - KT_MIN(n, len));
	if (!m->t->color)
		kt_listing_fence(&m->code, b, true);
}

static void draw_blank_lines(struct kt_markdown *m, struct kt_buf *b)
{
	for (; m->blank_lines; m->blank_lines--)
		kt_buf_addc(b, '\n');
}

static void end_code(struct kt_markdown *m, struct kt_buf *b)
{
	if (!m->t->color)
		kt_listing_fence(&m->code, b, false);
	m->in_code = false;
	m->fence = 0;
	m->blank_lines = 0;
	m->after_blank = true;
	m->in_list = false;
}

static bool closes_code(const struct kt_markdown *m, const char *s, size_t len)
{
	size_t i = 0, n = 0;

	while (i < len && i < 3 && s[i] == ' ')
		i++;
	while (i + n < len && s[i + n] == m->fence)
		n++;
	return n >= m->fence_len && is_blank_line(s + i + n, len - i - n);
}

static void draw_code_line(struct kt_markdown *m, struct kt_buf *b, const char *s, size_t len)
{
	struct kt_term plain = *m->t;

	draw_blank_lines(m, b);
	plain.color = plain.color && !m->dim;
	kt_listing_line(&m->code, b, &plain, s, len);
}

/* One line inside the fence. */
static void take_fence_line(struct kt_markdown *m, struct kt_buf *b, const char *s, size_t len)
{
	if (closes_code(m, s, len)) {
		draw_blank_lines(m, b);
		end_code(m, b);
	} else if (!len) {
		m->blank_lines++;
	} else {
		draw_code_line(m, b, s, len);
	}
}

/* A line of len bytes is there, at m->line. */
static void take_whole(struct kt_markdown *m, struct kt_buf *b, size_t len)
{
	const char *s = m->pending.ptr + m->line;
	bool outside = !m->fence;

	if (!m->in_code) {
		take_markdown_line(m, s, len);
		m->line += len + 1;
		if (!outside || !opens_code(m, s))
			return;
		m->line -= len + 1;
		if (m->line) {
			char fence = m->fence;

			draw_head(m, b, m->line);
			m->fence = fence;
		}
		begin_fence(m, b, len);
	} else {
		take_fence_line(m, b, s, len);
	}
	kt_buf_drop(&m->pending, len + 1);
	m->line = 0;
}

static void scan_markdown(struct kt_markdown *m, struct kt_buf *b)
{
	for (;;) {
		size_t from = KT_MAX(m->seen, m->line);
		char *nl = memchr(m->pending.ptr + from, '\n', m->pending.len - from);
		char *s = m->pending.ptr + m->line;
		size_t len = (size_t)((nl ? nl : m->pending.ptr + m->pending.len) - s);

		if (m->line && can_split(m, s, len, nl != NULL)) {
			draw_head(m, b, m->line);
			continue;
		}
		m->seen = nl ? 0 : m->pending.len;
		if (!nl)
			return;
		take_whole(m, b, len);
	}
}

/* Append text with every line end as LF. */
static void add_lines(struct kt_markdown *m, const char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = 0;

		while (i + n < len && text[i + n] != '\r' && text[i + n] != '\n')
			n++;
		kt_buf_add(&m->pending, text + i, n);
		i += n;
		if (n)
			m->after_cr = false;
		if (i == len)
			return;
		if (text[i] == '\r' || !m->after_cr)
			kt_buf_addc(&m->pending, '\n');
		m->after_cr = text[i] == '\r';
		i++;
	}
}

static void feed_piece(struct kt_markdown *m, struct kt_buf *b, const char *text, size_t len)
{
	if (m->pending.len + len > PENDING_MAX_BYTES)
		kt_markdown_break(m, b);
	add_lines(m, text, len);
	scan_markdown(m, b);
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

bool kt_markdown_tail(const struct kt_markdown *m, struct kt_buf *b)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(2 * PENDING_MAX_BYTES);
	size_t before = b->len, start;

	if (m->in_code) {
		struct kt_markdown now = *m;

		/* It may yet become the closing fence. */
		if (m->pending.len &&
			strspn(m->pending.ptr, m->fence == '`' ? " `" : " ~") < m->pending.len)
			draw_code_line(&now, b, m->pending.ptr, m->pending.len);
		return b->len > before;
	}
	kt_markdown_mend(&text, m->pending.ptr, m->pending.len, m->t->color);
	if (m->drawn)
		kt_buf_addc(b, '\n');
	start = b->len;
	kt_markdown_draw(b, m->t, text.ptr, text.len, m->dim);
	if (b->len == start)
		kt_buf_truncate(b, before);
	return b->len > before;
}

void kt_markdown_break(struct kt_markdown *m, struct kt_buf *b)
{
	if (m->in_code && m->pending.len)
		take_fence_line(m, b, m->pending.ptr, m->pending.len);
	if (m->in_code)
		end_code(m, b);
	else
		draw_head(m, b, m->pending.len);
	kt_buf_clear(&m->pending);
	m->line = 0;
	m->seen = 0;
	m->fence = 0;
}

void kt_markdown_end(struct kt_markdown *m, struct kt_buf *b)
{
	kt_markdown_break(m, b);
	m->drawn = false;
	m->after_blank = false;
	m->after_cr = false;
}

void kt_markdown_free(struct kt_markdown *m)
{
	if (!m)
		return;
	kt_buf_release(&m->pending);
	free(m);
}
