/* SPDX-License-Identifier: MIT */
/*
 * Tables for listings: columns as wide as their widest cell, two blanks between. Cells come from
 * anywhere (file names, model output), so each is cleaned when it is added.
 */
#include "base/clean.h"
#include "base/str.h"
#include "cli/term.h"

#include <string.h>

#define CELL_MAX_BYTES ((size_t)64 * 1024) /* a cell is one line of a listing */
#define GAP 2

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
		size_t w = n ? (size_t)kt_utf8_width(cp) : 1;

		if (used + w + dots_width > width)
			break;
		used += w;
		i += n ? n : 1;
	}
	kt_buf_add(b, text, i);
	kt_buf_adds(b, dots);
}

static void add_row(struct kt_buf *b, const struct kt_term *t, const struct kt_table *tb,
	size_t row, const size_t *widths)
{
	struct kt_buf line = KT_BUF_INIT(CELL_MAX_BYTES * 4);
	size_t at = 0;

	for (size_t i = 0; i < tb->columns; i++) {
		const char *text = tb->cells.items[row * tb->columns + i];
		size_t columns = (size_t)t->columns;

		if (i + 1 < tb->columns) {
			kt_buf_adds(&line, text);
			for (size_t w = kt_term_width(text); w < widths[i] + GAP; w++)
				kt_buf_addc(&line, ' ');
			at += widths[i] + GAP;
		} else if (t->is_tty && at + 8 < columns) {
			add_cut(&line, t, text, columns - at);
		} else {
			kt_buf_adds(&line, text);
		}
	}
	while (line.len && line.ptr[line.len - 1] == ' ')
		kt_buf_truncate(&line, line.len - 1);
	kt_term_add(b, t, row == 0 ? KT_STYLE_DIM : KT_STYLE_NONE, line.ptr);
	kt_buf_addc(b, '\n');
	kt_buf_release(&line);
}

void kt_table_render(struct kt_buf *b, const struct kt_term *t, const struct kt_table *tb)
{
	KT_AUTOFREE size_t *widths = kt_calloc(tb->columns, sizeof(*widths));
	size_t rows = tb->cells.len / tb->columns;

	for (size_t i = 0; i < tb->cells.len; i++) {
		size_t w = kt_term_width(tb->cells.items[i]);

		widths[i % tb->columns] = KT_MAX(widths[i % tb->columns], w);
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
