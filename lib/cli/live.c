/* SPDX-License-Identifier: MIT */
/*
 * A drawing is a list of rows. All places are counted from its first row: where that stands on the
 * screen is not known and need not be, because a row is out of reach exactly when the lowest row
 * that was ever used is a screen's height further down.
 *
 * A line that is wider than the screen is folded by the terminal, so that it is copied as one line;
 * its rows end "soft", and each begins with the style that it goes on with.
 */
#include "cli/live.h"

#include "base/str.h"
#include "text/unicode.h"

#include <string.h>

#define ROWS_UNKNOWN 24
#define TAB_COLUMNS 8
#define STYLE_MAX_BYTES ((size_t)256)
#define ROW_MAX_BYTES ((size_t)64 * 1024 * 1024) /* a row of marks that take no column */

enum end { END_LF, END_SOFT, END_OPEN };

struct row {
	char *text;
	size_t columns; /* that it takes */
	size_t style; /* bytes at its beginning that only repeat a style */
	enum end end; /* END_OPEN: the last one, and it had no LF */
};

struct rows {
	struct row *items;
	size_t n, cap;
};

struct kt_live {
	const struct kt_term *t;
	struct rows rows;
	size_t columns; /* that they were drawn for */
	size_t used; /* the lowest row that was used */
	size_t first; /* the first row that can be reached */
};

static size_t columns_of(const struct kt_term *t)
{
	return (size_t)KT_MAX(t->columns, 2);
}

struct kt_live *kt_live_new(const struct kt_term *t)
{
	struct kt_live *l = kt_calloc(1, sizeof(*l));

	l->t = t;
	l->columns = columns_of(t);
	return l;
}

static void clear_rows(struct rows *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->items[i].text);
	r->n = 0;
}

void kt_live_free(struct kt_live *l)
{
	if (!l)
		return;
	clear_rows(&l->rows);
	free(l->rows.items);
	free(l);
}

void kt_live_leave(struct kt_live *l)
{
	clear_rows(&l->rows);
	l->used = 0;
	l->first = 0;
}

bool kt_live_is_drawn(const struct kt_live *l)
{
	return l->rows.n > 0;
}

/* --- text as rows ------------------------------------------------------------------------ */

struct splitter {
	struct rows *out;
	size_t width;
	struct kt_buf row, style; /* style: what a row that goes on begins with */
	size_t at, repeated;
};

static void end_row(struct splitter *s, enum end end)
{
	struct rows *r = s->out;

	kt_grow((void **)&r->items, &r->cap, r->n + 1, sizeof(*r->items));
	r->items[r->n++] = (struct row){ kt_strndup(s->row.ptr, s->row.len), s->at, s->repeated,
		end };
	kt_buf_clear(&s->row);
	s->at = 0;
	s->repeated = 0;
	if (end == END_SOFT) {
		kt_buf_add(&s->row, s->style.ptr, s->style.len);
		s->repeated = s->style.len;
	} else {
		kt_buf_clear(&s->style);
	}
}

/* The escape sequence at p; returns its length. */
static size_t take_style(struct splitter *s, const char *p, size_t len)
{
	const char *end = memchr(p, 'm', len);
	size_t n = end ? (size_t)(end - p) + 1 : len;

	if (n > 2 && p[2] == '0')
		kt_buf_clear(&s->style);
	if (!kt_str_starts(p, "\033[0m"))
		kt_buf_add(&s->style, p, n);
	kt_buf_add(&s->row, p, n);
	return n;
}

static void split_line(struct splitter *s, const char *p, size_t len)
{
	for (size_t i = 0; i < len;) {
		uint32_t cp;
		size_t n, w;

		if (p[i] == '\033') {
			i += take_style(s, p + i, len - i);
			continue;
		}
		n = kt_utf8_decode(p + i, len - i, &cp);
		w = n ? (size_t)kt_unicode_width(cp) : 1;
		n = n ? n : 1;
		if (p[i] == '\t')
			/* It stops in the last column. */
			w = KT_MIN(TAB_COLUMNS - s->at % TAB_COLUMNS,
				s->width - 1 - KT_MIN(s->at, s->width - 1));
		else if (s->at + w > s->width)
			end_row(s, END_SOFT);
		kt_buf_add(&s->row, p + i, n);
		s->at += w;
		i += n;
	}
}

static void split_rows(struct rows *out, const char *text, size_t len, size_t width)
{
	struct splitter s = { .out = out, .width = width };
	const char *end = text + len;

	kt_buf_init(&s.row, ROW_MAX_BYTES);
	kt_buf_init(&s.style, STYLE_MAX_BYTES);
	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((nl ? nl : end) - text);

		split_line(&s, text, n);
		end_row(&s, nl ? END_LF : END_OPEN);
		text += n + (nl != NULL);
	}
	kt_buf_release(&s.row);
	kt_buf_release(&s.style);
}

/* --- where rows are ---------------------------------------------------------------------- */

/* The row of the cursor behind the first n rows. */
static size_t cursor_row(const struct rows *r, size_t n)
{
	return n && r->items[n - 1].end == END_OPEN ? n - 1 : n;
}

static size_t screen_rows(const struct kt_live *l)
{
	return l->t->rows > 1 ? (size_t)l->t->rows : ROWS_UNKNOWN;
}

/* Rows that scrolled away. */
static size_t rows_gone(const struct kt_live *l)
{
	return l->used + 1 > screen_rows(l) ? l->used + 1 - screen_rows(l) : 0;
}

/* The first n rows of another width as rows of this one. */
static void fold_again(struct rows *out, const struct rows *old, size_t n, size_t width)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(SIZE_MAX / 2);

	for (size_t i = 0; i < n; i++) {
		kt_buf_adds(&text, old->items[i].text + old->items[i].style);
		if (old->items[i].end == END_LF)
			kt_buf_addc(&text, '\n');
	}
	split_rows(out, text.ptr, text.len, width);
}

/* The terminal has another width: what was drawn takes other rows. */
static void follow_width(struct kt_live *l)
{
	struct rows old = l->rows, *r = &l->rows;
	size_t was = cursor_row(r, r->n), is, gone;

	if (l->columns == columns_of(l->t))
		return;
	l->columns = columns_of(l->t);
	if (!r->n || l->t->cuts)
		return;
	*r = (struct rows){ .n = 0 };
	fold_again(r, &old, l->first, l->columns);
	gone = r->n;
	clear_rows(r);
	fold_again(r, &old, old.n, l->columns);
	clear_rows(&old);
	free(old.items);
	is = cursor_row(r, r->n);
	l->used = l->used + is > was ? l->used + is - was : 0;
	l->first = KT_MIN(KT_MAX(gone, rows_gone(l)), r->n);
}

void kt_live_below(struct kt_live *l, size_t rows)
{
	size_t last = cursor_row(&l->rows, l->rows.n) + rows;

	l->used = KT_MAX(l->used, last ? last - 1 : 0);
	l->first = KT_MIN(KT_MAX(l->first, rows_gone(l)), l->rows.n);
}

/* --- drawing ----------------------------------------------------------------------------- */

static bool same_row(const struct row *a, const struct row *b)
{
	return a->end == b->end && !strcmp(a->text, b->text);
}

/* Is there a row before and behind which nothing can be erased, where something has to be? */
static bool erase_first(const struct kt_live *l, const struct row *rows, size_t n, size_t old)
{
	const struct row *last = n ? &rows[n - 1] : NULL;

	for (size_t i = 1; i < n && i < old; i++) {
		if (rows[i - 1].end == END_SOFT && strchr(rows[i].text, '\t'))
			return true;
	}
	return old > n && last && last->end == END_OPEN && last->columns >= l->columns;
}

/* Write rows over `old` ones, in the first of which the cursor is. */
static void write_rows(
	const struct kt_live *l, struct kt_buf *b, const struct row *rows, size_t n, size_t old)
{
	if (erase_first(l, rows, n, old)) {
		kt_buf_adds(b, "\033[J");
		old = 0;
	}
	for (size_t i = 0; i < n; i++) {
		const struct row *r = &rows[i];
		bool full = r->columns >= l->columns, on = i && rows[i - 1].end == END_SOFT;

		/*
		 * A TAB leaves what was there; and behind a full row the cursor still is in its
		 * last column.
		 */
		if (i < old && !on && (full || strchr(r->text, '\t')))
			kt_buf_adds(b, "\033[K");
		/* A style is repeated where it is not known already. */
		kt_buf_adds(b, r->text + (i ? r->style : 0));
		if (i < old && !full)
			kt_buf_adds(b, "\033[K");
		if (r->end == END_LF)
			kt_buf_addc(b, '\n');
	}
	if (old > n)
		kt_buf_adds(b, "\033[J");
}

/* The row to begin with when rows that changed are out of reach: the last screenful's. */
static size_t last_screenful(const struct kt_live *l, const struct rows *now, size_t from)
{
	size_t end = cursor_row(now, now->n) + 1;

	return KT_MIN(KT_MIN(from, now->n), end > screen_rows(l) ? end - screen_rows(l) : 0);
}

/* Keep the rows from `kept` on, of which all places are counted from now on. */
static void take_rows(struct kt_live *l, struct rows *now, size_t kept)
{
	clear_rows(&l->rows);
	free(l->rows.items);
	for (size_t i = 0; i < kept; i++)
		free(now->items[i].text);
	if (kept)
		memmove(now->items, now->items + kept, (now->n - kept) * sizeof(*now->items));
	now->n -= kept;
	l->rows = *now;
	l->used -= KT_MIN(l->used, kept);
	l->first -= KT_MIN(l->first, kept);
}

void kt_live_draw(struct kt_live *l, struct kt_buf *b, const struct kt_buf *stays,
	const struct kt_buf *drawing)
{
	struct rows now = { .n = 0 }, *was = &l->rows;
	size_t equal = 0, from, new_from, cursor, kept;
	bool gone;

	follow_width(l);
	split_rows(&now, stays->ptr, stays->len, l->columns);
	kept = now.n;
	split_rows(&now, drawing->ptr, drawing->len, l->columns);
	while (equal < was->n && equal < now.n && same_row(&was->items[equal], &now.items[equal]))
		equal++;
	gone = equal < l->first;
	from = gone ? l->first : equal;
	new_from = gone ? last_screenful(l, &now, from) : equal;
	cursor = cursor_row(was, was->n);
	if (from < was->n || new_from < now.n) {
		if (cursor > from)
			kt_buf_addf(b, "\033[%zuA", cursor - from);
		if (from < was->n)
			kt_buf_addc(b, '\r');
		write_rows(l, b, now.items + new_from, now.n - new_from, was->n - from);
	}
	/* Row `from` of the old ones is row `new_from` of the new ones. */
	l->used = l->used + new_from > from ? l->used + new_from - from : 0;
	l->used = KT_MAX(l->used, cursor_row(&now, now.n));
	l->first = KT_MIN(KT_MAX(gone ? new_from : l->first, rows_gone(l)), now.n);
	take_rows(l, &now, kept);
}
