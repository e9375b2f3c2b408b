/* SPDX-License-Identifier: MIT */
/*
 * Draws CommonMark with the GitHub extensions (tables, strikethrough, task lists) for a terminal.
 * md4c parses; the callbacks here collect a block's text with style marks and fold it when the
 * block ends. Raw HTML is text. All text is made safe before it is kept, so no escape sequence of
 * the source reaches the terminal.
 */
#include "cli/markdown.h"

#include "base/str.h"
#include "base/vec.h"
#include "cli/fold_private.h"
#include "cli/listing_private.h"
#include "cli/markdown_private.h"
#include "text/clean.h"

#include <md4c.h>

#include <string.h>

#define BLOCK_MAX_BYTES ((size_t)4 * 1024 * 1024) /* a message of 1 MiB, escapes make it longer */
#define DEPTH_MAX 16 /* quotes and lists drawn inside each other; deeper ones share the column */
#define WIDTH_MIN 20

struct box {
	bool quote; /* else a list item */
	bool tight;
	bool started; /* the item's marker is drawn */
	char marker[24];
	size_t width;
};

struct list {
	bool ordered;
	bool tight;
	unsigned next;
};

struct draw {
	struct kt_buf *out;
	const struct kt_term *t;
	struct kt_buf text; /* inline text of the open block, with marks */
	struct kt_buf url; /* of the open link or image */
	size_t link_start; /* where the link's text begins in text */
	unsigned link_depth;
	unsigned image_depth;
	unsigned spans[7]; /* how often each mark bit is open */
	unsigned base_style; /* of headings and table heads */
	struct box boxes[DEPTH_MAX];
	size_t n_boxes; /* may pass DEPTH_MAX */
	struct list lists[DEPTH_MAX];
	size_t n_lists;
	bool need_blank; /* a blank line comes before the next block */
	bool in_code;
	struct kt_listing code; /* of the open code block */
	bool fenced;
	bool dim; /* all of it */
	const char *source;
	size_t source_len;
	struct kt_vec cells; /* char *, styled text of the open table */
	MD_ALIGN *aligns;
	size_t n_columns;
	size_t n_aligns;
};

/* --- lines ------------------------------------------------------------------------------------ */

static size_t boxes_drawn(const struct draw *d)
{
	return KT_MIN(d->n_boxes, (size_t)DEPTH_MAX);
}

static size_t width_left(const struct draw *d)
{
	size_t used = 0;
	size_t columns = (size_t)KT_MAX(d->t->columns, WIDTH_MIN);

	for (size_t i = 0; i < boxes_drawn(d); i++)
		used += d->boxes[i].width;
	return columns > used + WIDTH_MIN ? columns - used : WIDTH_MIN;
}

static void add_prefix(struct draw *d)
{
	for (size_t i = 0; i < boxes_drawn(d); i++) {
		struct box *x = &d->boxes[i];

		if (x->quote && d->in_code) {
			/* No bar is copied along with code. */
			kt_buf_adds(d->out, "  ");
		} else if (x->quote) {
			kt_term_add(d->out, d->t, KT_STYLE_DIM, d->t->utf8 ? "\xe2\x94\x82" : ">");
			kt_buf_addc(d->out, ' ');
		} else if (x->started) {
			kt_buf_addf(d->out, "%*s", (int)x->width, "");
		} else {
			kt_buf_adds(d->out, x->marker);
			x->started = true;
		}
	}
}

static void trim_line(struct kt_buf *b)
{
	while (b->len && b->ptr[b->len - 1] == ' ')
		kt_buf_truncate(b, b->len - 1);
}

static void add_code_line(struct draw *d, const char *text)
{
	add_prefix(d);
	kt_buf_adds(d->out, text);
	trim_line(d->out);
	kt_buf_addc(d->out, '\n');
}

static void free_lines(struct kt_vec *lines)
{
	for (size_t i = 0; i < lines->len; i++)
		free(lines->items[i]);
	kt_vec_release(lines);
}

/* Draw the collected text, folded. */
static void flush_text(struct draw *d)
{
	struct kt_vec lines = KT_VEC_INIT;

	if (!d->text.len)
		return;
	kt_fold(&lines, d->text.ptr, d->text.len, width_left(d), false);
	for (size_t i = 0; i < lines.len; i++)
		add_code_line(d, lines.items[i]);
	free_lines(&lines);
	kt_buf_clear(&d->text);
}

static bool in_tight_item(const struct draw *d)
{
	size_t n = boxes_drawn(d);

	return n && !d->boxes[n - 1].quote && d->boxes[n - 1].tight;
}

static void add_style_mark(struct draw *d);

static void block_begin(struct draw *d)
{
	flush_text(d);
	if (d->need_blank)
		add_code_line(d, "");
	d->need_blank = false;
	if (d->dim)
		add_style_mark(d);
}

static void block_end(struct draw *d)
{
	flush_text(d);
	d->need_blank = !in_tight_item(d);
}

/* --- inline text ------------------------------------------------------------------------------ */

static void add_style_mark(struct draw *d)
{
	unsigned mask = d->base_style | (d->dim ? KT_MARK_DIM : 0u);

	if (!d->t->color)
		return;
	for (size_t i = 0; i < KT_ARRAY_LEN(d->spans); i++) {
		if (d->spans[i])
			mask |= 1u << i;
	}
	kt_buf_addc(&d->text, KT_MARK);
	kt_buf_addc(&d->text, (char)(0x80u | mask));
}

static void set_span(struct draw *d, unsigned bit, bool open, const char *marker)
{
	size_t i = 0;

	while (!(bit >> i & 1))
		i++;
	if (open)
		d->spans[i]++;
	else if (d->spans[i])
		d->spans[i]--;
	if (d->t->color)
		add_style_mark(d);
	else
		kt_buf_adds(&d->text, marker);
}

/* Safe text in which tabs and line ends are blanks. */
static void add_inline(struct kt_buf *b, const char *s, size_t len)
{
	while (len) {
		size_t n = 0;

		while (n < len && s[n] != '\t' && s[n] != '\n' && s[n] != '\r')
			n++;
		kt_clean_add(b, s, n, true);
		if (n < len) {
			kt_buf_addc(b, ' ');
			n++;
		}
		s += n;
		len -= n;
	}
}

static bool number_entity(const char *s, size_t len, uint32_t *out)
{
	unsigned base = 10;
	size_t i = 2;
	uint32_t v = 0;

	if (len < 4 || s[1] != '#')
		return false;
	if (s[2] == 'x' || s[2] == 'X') {
		base = 16;
		i = 3;
	}
	for (; i < len && s[i] != ';'; i++) {
		unsigned c = (unsigned char)s[i] | 0x20u;
		unsigned digit = s[i] >= '0' && s[i] <= '9' ? (unsigned)(s[i] - '0') : c - 'a' + 10;

		if (digit >= base || v > 0x10ffff)
			return false;
		v = v * base + digit;
	}
	*out = v;
	return v >= 0x20 && v <= 0x10ffff && !(v >= 0xd800 && v <= 0xdfff);
}

static void add_entity(struct kt_buf *b, const char *s, size_t len)
{
	static const struct {
		const char *name;
		const char *text;
	} names[] = {
		{ "&amp;", "&" },
		{ "&lt;", "<" },
		{ "&gt;", ">" },
		{ "&quot;", "\"" },
		{ "&apos;", "'" },
		{ "&nbsp;", "\xc2\xa0" },
		{ "&copy;", "\xc2\xa9" },
		{ "&ndash;", "\xe2\x80\x93" },
		{ "&mdash;", "\xe2\x80\x94" },
		{ "&hellip;", "\xe2\x80\xa6" },
		{ "&rarr;", "\xe2\x86\x92" },
		{ "&larr;", "\xe2\x86\x90" },
		{ "&times;", "\xc3\x97" },
		{ "&euro;", "\xe2\x82\xac" },
	};
	uint32_t cp;

	for (size_t i = 0; i < KT_ARRAY_LEN(names); i++) {
		if (strlen(names[i].name) == len && !memcmp(names[i].name, s, len)) {
			kt_buf_adds(b, names[i].text);
			return;
		}
	}
	if (number_entity(s, len, &cp)) {
		struct kt_buf one = KT_BUF_INIT(8);

		kt_utf8_add(&one, cp);
		kt_clean_add(b, one.ptr, one.len, true);
		kt_buf_release(&one);
		return;
	}
	add_inline(b, s, len);
}

static void add_attribute(struct kt_buf *b, const MD_ATTRIBUTE *a)
{
	for (size_t i = 0; a->text && a->substr_offsets[i] < a->size; i++) {
		const char *s = a->text + a->substr_offsets[i];
		size_t len = a->substr_offsets[i + 1] - a->substr_offsets[i];

		if (a->substr_types[i] == MD_TEXT_ENTITY)
			add_entity(b, s, len);
		else
			add_inline(b, s, len);
	}
}

static void open_url(struct draw *d, const MD_ATTRIBUTE *a)
{
	kt_buf_clear(&d->url);
	add_attribute(&d->url, a);
	d->link_start = d->text.len;
}

/* " (url)" behind a link, unless its text says the same. */
static void close_url(struct draw *d)
{
	KT_AUTO_BUF struct kt_buf plain = KT_BUF_INIT(BLOCK_MAX_BYTES);

	for (size_t i = d->link_start; i < d->text.len; i++) {
		if (d->text.ptr[i] == KT_MARK)
			i++;
		else
			kt_buf_addc(&plain, d->text.ptr[i]);
	}
	if (!d->url.len || d->url.ptr[0] == '#' || kt_str_ends(d->url.ptr, plain.ptr))
		return;
	d->spans[6]++;
	add_style_mark(d);
	kt_buf_addf(&d->text, " (%s)", d->url.ptr);
	d->spans[6]--;
	add_style_mark(d);
}

static void link_span(struct draw *d, bool open, const MD_SPAN_A_DETAIL *a)
{
	if (d->image_depth)
		return;
	if (open && d->link_depth++ == 0) {
		open_url(d, &a->href);
		set_span(d, KT_MARK_LINK, true, "");
	} else if (!open && --d->link_depth == 0) {
		set_span(d, KT_MARK_LINK, false, "");
		close_url(d);
	}
}

static void image_span(struct draw *d, bool open, const MD_SPAN_IMG_DETAIL *a)
{
	if (open && d->image_depth++ == 0) {
		kt_buf_adds(&d->text, "[image: ");
		if (!d->link_depth)
			open_url(d, &a->src);
	} else if (!open && --d->image_depth == 0) {
		kt_buf_adds(&d->text, "]");
		if (!d->link_depth)
			close_url(d);
	}
}

static int on_span(struct draw *d, MD_SPANTYPE type, void *detail, bool open)
{
	switch (type) {
	case MD_SPAN_STRONG:
		set_span(d, KT_MARK_BOLD, open, "**");
		break;
	case MD_SPAN_EM:
		set_span(d, KT_MARK_ITALIC, open, "*");
		break;
	case MD_SPAN_CODE:
		set_span(d, KT_MARK_CODE, open, "`");
		break;
	case MD_SPAN_DEL:
		set_span(d, KT_MARK_STRIKE, open, "~~");
		break;
	case MD_SPAN_A:
		link_span(d, open, detail);
		break;
	case MD_SPAN_IMG:
		image_span(d, open, detail);
		break;
	case MD_SPAN_LATEXMATH:
	case MD_SPAN_LATEXMATH_DISPLAY:
	case MD_SPAN_WIKILINK:
	case MD_SPAN_U:
		break;
	}
	return 0;
}

static int on_enter_span(MD_SPANTYPE type, void *detail, void *arg)
{
	return on_span(arg, type, detail, true);
}

static int on_leave_span(MD_SPANTYPE type, void *detail, void *arg)
{
	return on_span(arg, type, detail, false);
}

/*
 * Text of a code line at s: md4c gave its indent as blanks, and where those stand for the TABs of
 * the source, they are TABs again.
 */
static void restore_tabs(struct draw *d, const char *s)
{
	size_t at = d->text.len, blanks = 0, columns = 0;
	const char *line = s;

	while (at && d->text.ptr[at - 1] == ' ') {
		at--;
		blanks++;
	}
	if (!blanks || (at && d->text.ptr[at - 1] != '\n'))
		return;
	while (line > d->source && (line[-1] == ' ' || line[-1] == '\t'))
		line--;
	for (const char *p = line; p < s; p++)
		columns = *p == '\t' ? columns / 4 * 4 + 4 : columns + 1;
	if (columns != blanks)
		return;
	kt_buf_truncate(&d->text, at);
	kt_buf_add(&d->text, line, (size_t)(s - line));
}

static bool in_source(const struct draw *d, const char *s)
{
	return s >= d->source && s < d->source + d->source_len;
}

static int on_text(MD_TEXTTYPE type, const MD_CHAR *s, MD_SIZE len, void *arg)
{
	struct draw *d = arg;

	switch (type) {
	case MD_TEXT_NULLCHAR:
		kt_buf_adds(&d->text, "\xef\xbf\xbd");
		break;
	case MD_TEXT_BR:
		kt_buf_addc(&d->text, '\n');
		break;
	case MD_TEXT_SOFTBR:
		kt_buf_addc(&d->text, ' ');
		break;
	case MD_TEXT_ENTITY:
		add_entity(&d->text, s, len);
		break;
	case MD_TEXT_CODE:
		if (d->in_code) {
			if (in_source(d, s))
				restore_tabs(d, s);
			kt_clean_add(&d->text, s, len, false);
			break;
		}
		add_inline(&d->text, s, len);
		break;
	case MD_TEXT_NORMAL:
	case MD_TEXT_HTML:
	case MD_TEXT_LATEXMATH:
		add_inline(&d->text, s, len);
		break;
	}
	return 0;
}

/* --- blocks ----------------------------------------------------------------------------------- */

static struct box *push_box(struct draw *d)
{
	static const struct box none;
	size_t at = KT_MIN(d->n_boxes, (size_t)DEPTH_MAX - 1);

	d->n_boxes++;
	d->boxes[at] = none;
	return &d->boxes[at];
}

static void push_list(struct draw *d, bool ordered, bool tight, unsigned first)
{
	size_t at = KT_MIN(d->n_lists, (size_t)DEPTH_MAX - 1);

	block_begin(d);
	d->n_lists++;
	d->lists[at] = (struct list){ ordered, tight, first };
}

static void begin_item(struct draw *d, const MD_BLOCK_LI_DETAIL *item)
{
	struct list *l = &d->lists[KT_MIN(d->n_lists, (size_t)DEPTH_MAX) - 1];
	struct box *x;

	if (l->tight)
		d->need_blank = false;
	block_begin(d);
	x = push_box(d);
	x->tight = l->tight;
	if (l->ordered)
		snprintf(x->marker, sizeof(x->marker), "%u. ", l->next++);
	else
		snprintf(x->marker, sizeof(x->marker), "%s ", d->t->utf8 ? "\xe2\x80\xa2" : "-");
	if (item->is_task) {
		bool done = item->task_mark != ' ';

		snprintf(x->marker, sizeof(x->marker), "[%s] ", done ? "x" : " ");
	}
	x->width = kt_term_width(x->marker);
}

static void end_item(struct draw *d)
{
	flush_text(d);
	/* An empty item still shows its marker. */
	if (!d->boxes[boxes_drawn(d) - 1].started)
		add_code_line(d, "");
	d->n_boxes--;
}

static void begin_code_block(struct draw *d, const MD_BLOCK_CODE_DETAIL *code)
{
	KT_AUTO_BUF struct kt_buf info = KT_BUF_INIT(BLOCK_MAX_BYTES);

	block_begin(d);
	kt_buf_clear(&d->text);
	add_attribute(&info, &code->info);
	kt_listing_begin(&d->code, info.ptr, info.len);
	d->fenced = code->fence_char != 0;
	d->in_code = true;
}

static void draw_code(struct draw *d)
{
	char *p = d->text.ptr;
	char *end = p + d->text.len;

	if (d->fenced && !d->t->color) {
		add_prefix(d);
		kt_listing_fence(&d->code, d->out, true);
	}
	while (p < end) {
		char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t len = (size_t)((nl ? nl : end) - p);

		add_prefix(d);
		if (!d->fenced && !d->t->color)
			kt_buf_adds(d->out, "    ");
		kt_listing_line(&d->code, d->out, d->t, p, len);
		p += len + (nl != NULL);
	}
	if (d->fenced && !d->t->color) {
		add_prefix(d);
		kt_listing_fence(&d->code, d->out, false);
	}
	d->in_code = false;
	kt_buf_clear(&d->text);
}

static void draw_rule(struct draw *d)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(BLOCK_MAX_BYTES);

	for (size_t i = 0; i < KT_MIN(width_left(d), (size_t)60); i++)
		kt_buf_adds(&b, d->t->utf8 ? "\xe2\x94\x80" : "-");
	add_prefix(d);
	kt_term_add(d->out, d->t, KT_STYLE_DIM, b.ptr);
	kt_buf_addc(d->out, '\n');
}

static void begin_heading(struct draw *d, unsigned level)
{
	block_begin(d);
	if (d->t->color) {
		d->base_style = KT_MARK_HEAD | (level == 1 ? KT_MARK_LINK : 0u);
		add_style_mark(d);
		return;
	}
	for (unsigned i = 0; i < level; i++)
		kt_buf_addc(&d->text, '#');
	kt_buf_addc(&d->text, ' ');
}

/* --- tables ----------------------------------------------------------------------------------- */

/* Widths of the columns: natural, or the widest made narrower until the table fits. */
static void fit_columns(const struct draw *d, size_t *widths)
{
	size_t n = d->n_columns;
	size_t gaps = 3 * (n - 1), total = 0;
	size_t limit = width_left(d) > gaps ? width_left(d) - gaps : 0;

	for (size_t i = 0; i < n; i++)
		widths[i] = 1;
	for (size_t i = 0; i < d->cells.len; i++) {
		const char *s = d->cells.items[i];

		widths[i % n] = KT_MAX(widths[i % n], kt_fold_width(s, strlen(s)));
	}
	for (size_t i = 0; i < n; i++)
		total += widths[i];
	while (total > limit) {
		size_t widest = 0;

		for (size_t i = 1; i < n; i++) {
			if (widths[i] > widths[widest])
				widest = i;
		}
		if (widths[widest] <= 4)
			break;
		/* By the whole excess at first: a cell may be a megabyte wide. */
		size_t cut = KT_MIN(total - limit, KT_MAX(widths[widest] / 4, (size_t)1));

		cut = KT_MIN(cut, widths[widest] - 4);
		widths[widest] -= cut;
		total -= cut;
	}
}

static void add_cell(struct draw *d, const char *text, size_t column, const size_t *widths)
{
	MD_ALIGN align = column < d->n_aligns ? d->aligns[column] : MD_ALIGN_DEFAULT;
	size_t w = kt_term_width(text);
	size_t pad = widths[column] > w ? widths[column] - w : 0;
	size_t before = align == MD_ALIGN_RIGHT ? pad : align == MD_ALIGN_CENTER ? pad / 2 : 0;

	if (column) {
		kt_buf_addc(d->out, ' ');
		kt_term_add(d->out, d->t, KT_STYLE_DIM, d->t->utf8 ? "\xe2\x94\x82" : "|");
		kt_buf_addc(d->out, ' ');
	}
	kt_buf_addf(d->out, "%*s%s%*s", (int)before, "", text, (int)(pad - before), "");
}

static void draw_row(struct draw *d, size_t row, const size_t *widths)
{
	size_t n = d->n_columns, height = 1;
	KT_AUTOFREE struct kt_vec *cells = kt_calloc(n, sizeof(*cells));

	for (size_t i = 0; i < n; i++) {
		const char *s = d->cells.items[row * n + i];

		kt_fold(&cells[i], s, strlen(s), widths[i], true);
		height = KT_MAX(height, cells[i].len);
	}
	for (size_t line = 0; line < height; line++) {
		add_prefix(d);
		for (size_t i = 0; i < n; i++)
			add_cell(d, line < cells[i].len ? cells[i].items[line] : "", i, widths);
		trim_line(d->out);
		kt_buf_addc(d->out, '\n');
	}
	for (size_t i = 0; i < n; i++)
		free_lines(&cells[i]);
}

static void draw_table_rule(struct draw *d, const size_t *widths)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(BLOCK_MAX_BYTES);
	const char *dash = d->t->utf8 ? "\xe2\x94\x80" : "-";

	for (size_t i = 0; i < d->n_columns; i++) {
		if (i)
			kt_buf_adds(
				&b, d->t->utf8 ? "\xe2\x94\x80\xe2\x94\xbc\xe2\x94\x80" : "-+-");
		for (size_t w = 0; w < widths[i]; w++)
			kt_buf_adds(&b, dash);
	}
	add_prefix(d);
	kt_term_add(d->out, d->t, KT_STYLE_DIM, b.ptr);
	kt_buf_addc(d->out, '\n');
}

static void clear_table(struct draw *d)
{
	free_lines(&d->cells);
	free(d->aligns);
	d->aligns = NULL;
	d->n_aligns = 0;
	d->n_columns = 0;
}

static void draw_table(struct draw *d)
{
	size_t n = d->n_columns;
	KT_AUTOFREE size_t *widths = kt_calloc(KT_MAX(n, (size_t)1), sizeof(*widths));

	if (n) {
		fit_columns(d, widths);
		for (size_t row = 0; row < d->cells.len / n; row++) {
			draw_row(d, row, widths);
			if (row == 0)
				draw_table_rule(d, widths);
		}
	}
	clear_table(d);
}

static void begin_table(struct draw *d, const MD_BLOCK_TABLE_DETAIL *table)
{
	block_begin(d);
	clear_table(d);
	d->n_columns = table->col_count;
	d->aligns = kt_calloc(KT_MAX(d->n_columns, (size_t)1), sizeof(*d->aligns));
}

static void begin_cell(struct draw *d, const MD_BLOCK_TD_DETAIL *cell, bool head)
{
	if (d->n_aligns < d->n_columns)
		d->aligns[d->n_aligns++] = cell->align;
	d->base_style = head ? KT_MARK_BOLD : 0;
	if (head || d->dim)
		add_style_mark(d);
}

static void end_cell(struct draw *d)
{
	d->base_style = 0;
	kt_vec_push(&d->cells, kt_buf_take(&d->text));
}

/* --- md4c's callbacks ------------------------------------------------------------------------- */

static int on_enter_block(MD_BLOCKTYPE type, void *detail, void *arg)
{
	struct draw *d = arg;
	struct box *x;

	switch (type) {
	case MD_BLOCK_QUOTE:
		block_begin(d);
		x = push_box(d);
		x->quote = true;
		x->width = 2;
		break;
	case MD_BLOCK_UL:
		push_list(d, false, ((MD_BLOCK_UL_DETAIL *)detail)->is_tight != 0, 0);
		break;
	case MD_BLOCK_OL:
		push_list(d, true, ((MD_BLOCK_OL_DETAIL *)detail)->is_tight != 0,
			((MD_BLOCK_OL_DETAIL *)detail)->start);
		break;
	case MD_BLOCK_LI:
		begin_item(d, detail);
		break;
	case MD_BLOCK_HR:
		block_begin(d);
		draw_rule(d);
		d->need_blank = !in_tight_item(d);
		break;
	case MD_BLOCK_H:
		begin_heading(d, ((MD_BLOCK_H_DETAIL *)detail)->level);
		break;
	case MD_BLOCK_CODE:
		begin_code_block(d, detail);
		break;
	case MD_BLOCK_P:
	case MD_BLOCK_HTML:
		block_begin(d);
		break;
	case MD_BLOCK_TABLE:
		begin_table(d, detail);
		break;
	case MD_BLOCK_TH:
	case MD_BLOCK_TD:
		begin_cell(d, detail, type == MD_BLOCK_TH);
		break;
	case MD_BLOCK_DOC:
	case MD_BLOCK_THEAD:
	case MD_BLOCK_TBODY:
	case MD_BLOCK_TR:
		break;
	}
	return 0;
}

static int on_leave_block(MD_BLOCKTYPE type, void *detail, void *arg)
{
	struct draw *d = arg;

	switch (type) {
	case MD_BLOCK_QUOTE:
		flush_text(d);
		d->n_boxes--;
		block_end(d);
		break;
	case MD_BLOCK_UL:
	case MD_BLOCK_OL:
		d->n_lists--;
		block_end(d);
		break;
	case MD_BLOCK_LI:
		end_item(d);
		break;
	case MD_BLOCK_H:
		d->base_style = 0;
		block_end(d);
		break;
	case MD_BLOCK_CODE:
		draw_code(d);
		block_end(d);
		break;
	case MD_BLOCK_P:
	case MD_BLOCK_HTML:
		block_end(d);
		break;
	case MD_BLOCK_TABLE:
		draw_table(d);
		block_end(d);
		break;
	case MD_BLOCK_TH:
	case MD_BLOCK_TD:
		end_cell(d);
		break;
	case MD_BLOCK_DOC:
	case MD_BLOCK_HR:
	case MD_BLOCK_THEAD:
	case MD_BLOCK_TBODY:
	case MD_BLOCK_TR:
		break;
	}
	return 0;
}

void kt_markdown_draw(
	struct kt_buf *b, const struct kt_term *t, const char *md, size_t len, bool dim)
{
	static const MD_PARSER parser = {
		.flags = MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_TASKLISTS |
			MD_FLAG_NOHTML,
		.enter_block = on_enter_block,
		.leave_block = on_leave_block,
		.enter_span = on_enter_span,
		.leave_span = on_leave_span,
		.text = on_text,
	};
	struct draw d = { .out = b, .t = t, .dim = dim };
	size_t before = b->len;
	/* md4c 0.4.8 looks one byte behind some inputs, and takes what it finds there for text. */
	KT_AUTOFREE char *copy = len < UINT32_MAX / 2 ? kt_try_malloc(len + 2) : NULL;

	kt_buf_init(&d.text, BLOCK_MAX_BYTES);
	kt_buf_init(&d.url, BLOCK_MAX_BYTES);
	if (copy) {
		memcpy(copy, md, len);
		memcpy(copy + len, "\n", 2);
		d.source = copy;
		d.source_len = len;
	}
	if (!copy || md_parse(copy, (MD_SIZE)len + 1, &parser, &d) != 0) {
		/* Out of memory: the words are worth more than their looks. */
		kt_buf_truncate(b, before);
		kt_clean_add(b, md, len, false);
	}
	clear_table(&d);
	kt_buf_release(&d.text);
	kt_buf_release(&d.url);
}

void kt_markdown_render(struct kt_buf *b, const struct kt_term *t, const char *md, size_t len)
{
	kt_markdown_draw(b, t, md, len, false);
}
