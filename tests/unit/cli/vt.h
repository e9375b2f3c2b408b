/* SPDX-License-Identifier: MIT */
/*
 * A terminal for tests: cells with their style, automatic wrapping with the pending wrap of the
 * last column, scrolling, the few sequences that are used, and lines that are folded anew when the
 * width changes. What it does not know fails the test.
 */
#ifndef KT_TEST_VT_H
#define KT_TEST_VT_H

#include "base/str.h"
#include "text/unicode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define VT_COLUMNS 240
#define VT_ROWS 30000

struct vt_cell {
	uint32_t cp; /* 0 = nothing was written; 1 = the second half of a wide one */
	uint32_t style;
};

struct vt_row {
	struct vt_cell *cells;
	bool wraps; /* goes on in the next */
};

struct vt {
	size_t columns, height;
	struct vt_row *rows; /* all of them; the screen is from `top` on */
	size_t n, top;
	size_t row, column; /* of the cursor */
	bool pending;
	uint32_t style;
	size_t bytes;
};

static inline void vt_init(struct vt *v, size_t columns, size_t height)
{
	memset(v, 0, sizeof(*v));
	v->columns = columns;
	v->height = height;
	v->rows = kt_calloc(VT_ROWS, sizeof(*v->rows));
}

static inline void vt_release(struct vt *v)
{
	for (size_t i = 0; i < v->n; i++)
		free(v->rows[i].cells);
	free(v->rows);
}

static inline struct vt_row *vt_row(struct vt *v, size_t at)
{
	while (v->n <= at) {
		assert_true(v->n < VT_ROWS);
		v->rows[v->n++].cells = kt_calloc(VT_COLUMNS, sizeof(struct vt_cell));
	}
	return &v->rows[at];
}

static inline void vt_down(struct vt *v)
{
	v->row++;
	if (v->row >= v->top + v->height)
		v->top = v->row + 1 - v->height;
}

static inline void vt_erase(struct vt *v, size_t row, size_t from)
{
	struct vt_row *r = vt_row(v, row);

	for (size_t i = from; i < v->columns; i++)
		r->cells[i] = (struct vt_cell){ 0, 0 };
	r->wraps = false;
}

static inline void vt_put(struct vt *v, uint32_t cp)
{
	size_t w = (size_t)kt_unicode_width(cp);
	struct vt_row *r;

	if (w == 0)
		return;
	if (v->pending || v->column + w > v->columns) {
		vt_row(v, v->row)->wraps = true;
		vt_down(v);
		v->column = 0;
		v->pending = false;
	}
	r = vt_row(v, v->row);
	for (size_t i = 0; i < w; i++)
		r->cells[v->column + i] = (struct vt_cell){ i ? 1 : cp, v->style };
	v->column += w;
	if (v->column >= v->columns) {
		v->column = v->columns - 1;
		v->pending = true;
	}
}

static inline size_t vt_sequence(struct vt *v, const char *s, size_t len)
{
	size_t n = 0, i = 2;
	uint32_t hash = 5381;

	assert_true(len > 2 && s[1] == '[');
	while (s[i] >= '0' && s[i] <= ';') {
		if (s[i] != ';')
			n = n * 10 + (size_t)(s[i] - '0');
		hash = hash * 33 + (unsigned char)s[i++];
	}
	v->pending = v->pending && s[i] == 'm';
	switch (s[i]) {
	case 'm':
		/* "0;1;35" is a style of its own, "0" is none. */
		v->style = s[i - 1] == '0' && i == 3 ? 0 : s[2] == '0' ? hash : v->style * 31 + hash;
		break;
	case 'A':
		v->row = KT_MAX(v->row - KT_MIN(n ? n : 1, v->row), v->top);
		break;
	case 'K':
		vt_erase(v, v->row, v->column);
		break;
	case 'J':
		vt_erase(v, v->row, v->column);
		for (size_t r = v->row + 1; r < v->n; r++)
			vt_erase(v, r, 0);
		break;
	default:
		fail_msg("a sequence that ends with %c", s[i]);
	}
	return i + 1;
}

static inline void vt_feed(struct vt *v, const char *s, size_t len)
{
	v->bytes += len;
	for (size_t i = 0; i < len;) {
		uint32_t cp;
		size_t n;

		if (s[i] == '\n' || s[i] == '\r') {
			if (s[i] == '\n')
				vt_down(v);
			v->column = 0;
			v->pending = false;
			i++;
		} else if (s[i] == '\t') {
			v->column = KT_MIN(v->column / 8 * 8 + 8, v->columns - 1);
			v->pending = false;
			i++;
		} else if (s[i] == '\033') {
			i += vt_sequence(v, s + i, len - i);
		} else {
			n = kt_utf8_decode(s + i, len - i, &cp);
			assert_true(n > 0);
			vt_put(v, cp);
			i += n;
		}
	}
}

static inline size_t vt_used(const struct vt *v, const struct vt_row *r)
{
	size_t n = v->columns;

	while (n && !r->cells[n - 1].cp)
		n--;
	return n;
}

/* The width becomes another one: lines are folded anew, and the cursor stays at its place. */
static inline void vt_resize(struct vt *v, size_t columns, size_t height)
{
	struct vt now;
	size_t cursor_row = 0, cursor_column = 0, top = 0;

	vt_init(&now, columns, height);
	for (size_t i = 0; i < KT_MAX(v->n, v->row + 1); i++) {
		struct vt_row *r = vt_row(v, i);
		size_t used = vt_used(v, r);

		if (i == v->top)
			top = now.row;
		for (size_t k = 0; k < used; k++) {
			if (i == v->row && k == v->column) {
				cursor_row = now.row;
				cursor_column = now.column;
			}
			now.style = r->cells[k].style;
			if (r->cells[k].cp == 0)
				now.column++;
			else if (r->cells[k].cp != 1)
				vt_put(&now, r->cells[k].cp);
		}
		if (i == v->row && v->column >= used) {
			cursor_row = now.row;
			cursor_column = KT_MIN(now.column, columns - 1);
		}
		if (!r->wraps) {
			vt_down(&now);
			now.column = 0;
			now.pending = false;
		}
	}
	now.style = v->style;
	now.row = cursor_row;
	now.column = cursor_column;
	now.top = KT_MAX(top, cursor_row + 1 > height ? cursor_row + 1 - height : 0);
	now.bytes = v->bytes;
	vt_release(v);
	*v = now;
}

static inline bool vt_same_row(struct vt *a, size_t ra, struct vt *b, size_t rb)
{
	for (size_t i = 0; i < a->columns; i++) {
		struct vt_cell x = vt_row(a, ra)->cells[i], y = vt_row(b, rb)->cells[i];

		x.cp = x.cp ? x.cp : ' ';
		y.cp = y.cp ? y.cp : ' ';
		if (x.cp != y.cp || (x.cp != ' ' && x.style != y.style))
			return false;
	}
	return true;
}

static inline void vt_print(struct vt *v)
{
	for (size_t i = v->top; i <= v->row; i++) {
		print_message("|");
		for (size_t k = 0; k < v->columns; k++) {
			struct kt_buf b = KT_BUF_INIT(8);
			uint32_t cp = vt_row(v, i)->cells[k].cp;

			if (cp != 1)
				kt_utf8_add(&b, cp ? cp : ' ');
			print_message("%s", b.ptr ? b.ptr : "");
			kt_buf_release(&b);
		}
		print_message("|\n");
	}
}

#endif
