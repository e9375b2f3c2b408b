/* SPDX-License-Identifier: MIT */
/*
 * Tables for listings: columns as wide as their widest cell, two blanks between. On a terminal they
 * are cut to its width, the widest first and the one that identifies never; where that leaves too
 * little each row is a few lines. Cells come from anywhere (file names, model output), so each is
 * cleaned when it is added.
 */
#include "base/str.h"
#include "cli/term.h"
#include "text/clean.h"
#include "text/unicode.h"

#include <string.h>

#define CELL_MAX_BYTES ((size_t)64 * 1024) /* a cell is one line of a listing */
#define GAP 2
#define NARROWEST ((size_t)8) /* columns that a cut cell keeps */
#define SHORT ((size_t)14) /* a time in words has at most so many */

struct kt_table {
	size_t columns;
	struct kt_vec cells; /* char *, row after row; owned */
};

struct kt_table *kt_table_new(size_t columns)
{
	struct kt_table *tb = kt_calloc(1, sizeof(*tb));

	kt_assert(columns > 0);
	tb->columns = columns;
	return tb;
}

void kt_table_row(struct kt_table *tb, const char *const *cells)
{
	for (size_t i = 0; i < tb->columns; i++) {
		const char *text = cells[i] ? cells[i] : "";
		struct kt_buf b = KT_BUF_INIT(CELL_MAX_BYTES);

		kt_clean_add(&b, text, strlen(text), true);
		kt_vec_push(&tb->cells, kt_buf_take(&b));
	}
}

/* Append text cut to width columns, an ellipsis last when something is lost. */
static void add_cut(struct kt_buf *b, const struct kt_term *t, const char *text, size_t width)
{
	const char *dots = t->utf8 ? "\xe2\x80\xa6" : "...";
	size_t dots_width = t->utf8 ? 1 : 3;
	size_t len = strlen(text), used = 0, i = 0;

	if (kt_term_width(text) <= width) {
		kt_buf_adds(b, text);
		return;
	}
	while (i < len) {
		uint32_t cp;
		size_t n = kt_utf8_decode(text + i, len - i, &cp);
		size_t w = n ? (size_t)kt_unicode_width(cp) : 1;

		if (used + w + dots_width > width)
			break;
		used += w;
		i += n ? n : 1;
	}
	kt_buf_add(b, text, i);
	kt_buf_adds(b, dots);
}

/* One line of a terminal or pipe, blanks at its end taken off. */
static void end_table_line(
	struct kt_buf *b, const struct kt_term *t, struct kt_buf *line, bool head)
{
	while (line->len && line->ptr[line->len - 1] == ' ')
		kt_buf_truncate(line, line->len - 1);
	kt_term_add(b, t, head ? KT_STYLE_DIM : KT_STYLE_NONE, line->ptr);
	kt_buf_addc(b, '\n');
}

static void add_row(struct kt_buf *b, const struct kt_term *t, const struct kt_table *tb,
	size_t row, const size_t *widths)
{
	KT_AUTO_BUF struct kt_buf line = KT_BUF_INIT(CELL_MAX_BYTES * 4);

	for (size_t i = 0; i < tb->columns; i++) {
		const char *text = tb->cells.items[row * tb->columns + i];
		size_t from = line.len;

		if (t->is_tty)
			add_cut(&line, t, text, widths[i]);
		else
			kt_buf_adds(&line, text);
		if (i + 1 == tb->columns)
			break;
		for (size_t w = kt_term_width(line.ptr + from); w < widths[i] + GAP; w++)
			kt_buf_addc(&line, ' ');
	}
	end_table_line(b, t, &line, row == 0);
}

/*
 * A row as lines of its own, for which the terminal is too narrow: the first cell, then "HEAD
 * cell".
 */
static void add_record(
	struct kt_buf *b, const struct kt_term *t, const struct kt_table *tb, size_t row)
{
	size_t head_width = 0;

	for (size_t i = 1; i < tb->columns; i++)
		head_width = KT_MAX(head_width, kt_term_width(tb->cells.items[i]));
	kt_term_add(b, t, KT_STYLE_BOLD, tb->cells.items[row * tb->columns]);
	kt_buf_addc(b, '\n');
	for (size_t i = 1; i < tb->columns; i++) {
		const char *head = tb->cells.items[i],
			   *text = tb->cells.items[row * tb->columns + i];
		size_t room = (size_t)t->columns;
		KT_AUTO_BUF struct kt_buf cell = KT_BUF_INIT(CELL_MAX_BYTES);
		KT_AUTO_BUF struct kt_buf label = KT_BUF_INIT(CELL_MAX_BYTES * 2);

		if (!*text)
			continue;
		kt_buf_addf(&label, "  %s", head);
		for (size_t w = kt_term_width(head); w < head_width + GAP; w++)
			kt_buf_addc(&label, ' ');
		room -= KT_MIN(room, kt_term_width(label.ptr));
		add_cut(&cell, t, text, KT_MAX(room, NARROWEST));
		kt_term_add(b, t, KT_STYLE_DIM, label.ptr);
		kt_buf_adds(b, cell.ptr);
		kt_buf_addc(b, '\n');
	}
}

/* Natural widths of the columns; returns their sum with the gaps. */
static size_t measure_columns(const struct kt_table *tb, size_t *widths)
{
	size_t sum = GAP * (tb->columns - 1);

	for (size_t i = 0; i < tb->cells.len; i++) {
		size_t w = kt_term_width(tb->cells.items[i]);

		widths[i % tb->columns] = KT_MAX(widths[i % tb->columns], w);
	}
	for (size_t i = 0; i < tb->columns; i++)
		sum += widths[i];
	return sum;
}

/*
 * Take columns off the widest of those that are wider than `over`, one by one, until the sum fits.
 * The first column says which row it is and stays whole; the others keep their heading. Returns the
 * sum that is left.
 */
static size_t shrink_columns(
	const struct kt_table *tb, size_t *widths, size_t sum, size_t room, const size_t *over)
{
	while (sum > room) {
		size_t widest = 0, most = 0;

		for (size_t i = 1; i < tb->columns; i++) {
			size_t least = KT_MAX(kt_term_width(tb->cells.items[i]), NARROWEST);

			if (widths[i] > KT_MAX(least, over[i]) && widths[i] >= most) {
				widest = i;
				most = widths[i];
			}
		}
		if (!widest)
			break;
		widths[widest]--;
		sum--;
	}
	return sum;
}

/* Cut to the room that there is: long texts lose first, times and words last. False: too narrow. */
static bool fit_table(const struct kt_table *tb, size_t *widths, size_t sum, size_t room)
{
	KT_AUTOFREE size_t *over = kt_calloc(tb->columns, sizeof(*over));

	for (size_t i = 0; i < tb->columns; i++)
		over[i] = widths[i] <= SHORT ? widths[i] : 0;
	sum = shrink_columns(tb, widths, sum, room, over);
	memset(over, 0, tb->columns * sizeof(*over));
	return shrink_columns(tb, widths, sum, room, over) <= room;
}

void kt_table_render(struct kt_buf *b, const struct kt_term *t, const struct kt_table *tb)
{
	KT_AUTOFREE size_t *widths = kt_calloc(tb->columns, sizeof(*widths));
	size_t rows = tb->cells.len / tb->columns, room = (size_t)t->columns;
	size_t sum = measure_columns(tb, widths);

	/* Nothing of a cell wider than the terminal would be seen: no need to go there in steps. */
	for (size_t i = 1; t->is_tty && i < tb->columns; i++) {
		sum -= widths[i] - KT_MIN(widths[i], room);
		widths[i] = KT_MIN(widths[i], room);
	}
	if (t->is_tty && !fit_table(tb, widths, sum, room)) {
		for (size_t row = 1; row < rows; row++)
			add_record(b, t, tb, row);
		return;
	}
	for (size_t row = 0; row < rows; row++)
		add_row(b, t, tb, row, widths);
}

void kt_table_free(struct kt_table *tb)
{
	if (!tb)
		return;
	for (size_t i = 0; i < tb->cells.len; i++)
		free(tb->cells.items[i]);
	kt_vec_release(&tb->cells);
	free(tb);
}
