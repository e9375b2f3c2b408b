/* SPDX-License-Identifier: MIT */
/*
 * E. Myers, "An O(ND) Difference Algorithm and Its Variations" (1986), greedy and forward, on what
 * is left between the lines that both texts begin and end with. The number of changes is bounded:
 * two texts that have nothing in common would cost their product.
 */
#include "cli/diff.h"

#include "base/str.h"
#include "text/clean.h"

#include <string.h>

#define CHANGES_MAX 800 /* that are looked for */
#define WORK_MAX ((size_t)40 * 1000 * 1000) /* steps, whatever the sizes */
#define LINE_MAX_BYTES ((size_t)512 * 1024 * 1024) /* an input's own limit is lower */

struct line {
	const char *s;
	size_t len;
	uint64_t hash;
};

struct text {
	struct line *lines;
	size_t n, cap;
};

enum change { STAYS = ' ', REMOVED = '-', ADDED = '+' };

/* What becomes of the lines, in order: so many of a kind. */
struct script {
	struct run {
		enum change what;
		size_t n;
	} * runs;
	size_t n, cap;
};

/* A text that ends with LF has an empty last line: that one without differs from it. */
static void split_text(struct text *t, const char *s)
{
	for (;;) {
		size_t len = strcspn(s, "\n");
		uint64_t hash = 14695981039346656037u;

		for (size_t i = 0; i < len; i++)
			hash = (hash ^ (unsigned char)s[i]) * 1099511628211u;
		kt_grow((void **)&t->lines, &t->cap, t->n + 1, sizeof(*t->lines));
		t->lines[t->n++] = (struct line){ s, len, hash };
		if (!s[len])
			return;
		s += len + 1;
	}
}

static bool same_line(const struct line *a, const struct line *b)
{
	return a->hash == b->hash && a->len == b->len && !memcmp(a->s, b->s, a->len);
}

static void add_run(struct script *s, enum change what, size_t n)
{
	if (!n)
		return;
	if (s->n && s->runs[s->n - 1].what == what) {
		s->runs[s->n - 1].n += n;
		return;
	}
	kt_grow((void **)&s->runs, &s->cap, s->n + 1, sizeof(*s->runs));
	s->runs[s->n++] = (struct run){ what, n };
}

/* Walk back from the end over the furthest points of each number of changes; runs come reversed. */
static void walk_back(struct script *s, const int *trace, int changes, int n, int m)
{
	const int width = 2 * CHANGES_MAX + 3, zero = CHANGES_MAX + 1;
	int x = n, y = m;

	for (int d = changes; d > 0; d--) {
		const int *v = trace + (size_t)(d - 1) * (size_t)width;
		int k = x - y;
		bool down = k == -d || (k != d && v[zero + k - 1] < v[zero + k + 1]);
		int from = down ? v[zero + k + 1] : v[zero + k - 1] + 1;

		add_run(s, STAYS, (size_t)(x - from));
		y -= x - from;
		x = from;
		add_run(s, down ? ADDED : REMOVED, 1);
		x -= !down;
		y -= down;
	}
	add_run(s, STAYS, (size_t)x);
}

/* Find the shortest script for a and b; false when it is too long. */
static bool shortest_script(
	struct script *s, const struct line *a, size_t n_a, const struct line *b, size_t n_b)
{
	const int width = 2 * CHANGES_MAX + 3, zero = CHANGES_MAX + 1;
	int n = (int)n_a, m = (int)n_b;
	KT_AUTOFREE int *trace = NULL;
	KT_AUTOFREE int *v = NULL;
	size_t work = 0;

	if (n_a > INT32_MAX / 4 || n_b > INT32_MAX / 4)
		return false;
	v = kt_calloc((size_t)width, sizeof(*v));
	trace = kt_try_malloc((size_t)CHANGES_MAX * (size_t)width * sizeof(*trace));
	for (int d = 0; trace && d < CHANGES_MAX && work < WORK_MAX; d++) {
		for (int k = -d; k <= d; k += 2) {
			bool down = k == -d || (k != d && v[zero + k - 1] < v[zero + k + 1]);
			int x = down ? v[zero + k + 1] : v[zero + k - 1] + 1, y = x - k;

			if (d == 0)
				x = y = 0;
			for (; x < n && y < m && same_line(&a[x], &b[y]); x++, y++)
				work++;
			v[zero + k] = x;
			work++;
			if (x >= n && y >= m) {
				walk_back(s, trace, d, n, m);
				return true;
			}
		}
		memcpy(trace + (size_t)d * (size_t)width, v, (size_t)width * sizeof(*v));
	}
	return false;
}

static void compare_texts(struct script *s, const struct text *was, const struct text *is)
{
	struct script middle = { .n = 0 };
	size_t head = 0, tail = 0, most = KT_MIN(was->n, is->n);

	while (head < most && same_line(&was->lines[head], &is->lines[head]))
		head++;
	while (tail < most - head &&
		same_line(&was->lines[was->n - 1 - tail], &is->lines[is->n - 1 - tail]))
		tail++;
	add_run(s, STAYS, head);
	if (shortest_script(&middle, was->lines + head, was->n - head - tail, is->lines + head,
		    is->n - head - tail)) {
		while (middle.n) {
			middle.n--;
			add_run(s, middle.runs[middle.n].what, middle.runs[middle.n].n);
		}
	} else {
		add_run(s, REMOVED, was->n - head - tail);
		add_run(s, ADDED, is->n - head - tail);
	}
	add_run(s, STAYS, tail);
	free(middle.runs);
}

static void add_indent(struct kt_buf *b, const struct kt_diff *d)
{
	for (size_t i = 0; i < d->indent; i++)
		kt_buf_addc(b, ' ');
}

static void draw_line(struct kt_buf *b, const struct kt_term *t, const struct line *line,
	enum change what, struct kt_diff *d)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(LINE_MAX_BYTES);

	d->added += what == ADDED;
	d->removed += what == REMOVED;
	if (d->shown >= d->max_lines) {
		d->left_out++;
		return;
	}
	d->shown++;
	kt_buf_addf(&text, "%c ", (char)what);
	kt_clean_add(&text, line->s, line->len, false);
	add_indent(b, d);
	kt_term_add_text(b, t,
		what == ADDED             ? KT_STYLE_GREEN
			: what == REMOVED ? KT_STYLE_RED
					  : KT_STYLE_DIM,
		text.ptr);
	kt_buf_addc(b, '\n');
}

/* Lines that stay: those near a change, and a word for the others. */
static void draw_run(struct kt_buf *b, const struct kt_term *t, const struct line *lines, size_t n,
	bool first, bool last, struct kt_diff *d)
{
	size_t before = first ? 0 : KT_MIN(d->context, n);
	size_t after = last ? 0 : KT_MIN(d->context, n - before);

	/* The end of the last line is no line. */
	if (last && n == 1 && !lines[0].len)
		return;
	for (size_t i = 0; i < n; i++) {
		if (d->context == SIZE_MAX || i < before || i >= n - after) {
			if (last && i == n - 1 && !lines[i].len)
				return;
			draw_line(b, t, &lines[i], STAYS, d);
			continue;
		}
		if (i == before && !first && !last && d->shown < d->max_lines) {
			add_indent(b, d);
			kt_term_add(b, t, KT_STYLE_DIM, "  ...");
			kt_buf_addc(b, '\n');
		}
	}
}

void kt_diff_draw(struct kt_buf *b, const struct kt_term *t, const char *was, const char *is,
	struct kt_diff *d)
{
	struct text old = { .n = 0 }, now = { .n = 0 };
	struct script s = { .n = 0 };
	size_t at_old = 0, at_now = 0;

	/* No text has no line, and then the end of the other's last line is none. */
	if (*was)
		split_text(&old, was);
	if (*is)
		split_text(&now, is);
	if (!old.n && now.n > 1 && !now.lines[now.n - 1].len)
		now.n--;
	if (!now.n && old.n > 1 && !old.lines[old.n - 1].len)
		old.n--;
	compare_texts(&s, &old, &now);
	for (size_t i = 0; i < s.n; i++) {
		const struct run *r = &s.runs[i];

		if (r->what == STAYS)
			draw_run(b, t, now.lines + at_now, r->n, i == 0, i + 1 == s.n, d);
		for (size_t k = 0; r->what != STAYS && k < r->n; k++)
			draw_line(b, t,
				r->what == ADDED ? &now.lines[at_now + k] : &old.lines[at_old + k],
				r->what, d);
		at_old += r->what == ADDED ? 0 : r->n;
		at_now += r->what == REMOVED ? 0 : r->n;
	}
	free(old.lines);
	free(now.lines);
	free(s.runs);
}
