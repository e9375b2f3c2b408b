/* SPDX-License-Identifier: MIT */
/* A drawing that is replaced in place, on a terminal of our own. */
#include "cli/live.h"

#include "cli/markdown.h"
#include "tests/unit/cli/vt.h"

#include <stdio.h>

static uint64_t seed = 88172645463325252u;

static size_t dice(size_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (size_t)(seed % n);
}

static void put(struct kt_live *l, struct vt *v, const char *stays, const char *now)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 24), s = KT_BUF_INIT(1 << 24);
	KT_AUTO_BUF struct kt_buf n = KT_BUF_INIT(1 << 24);

	kt_buf_adds(&s, stays);
	kt_buf_adds(&n, now);
	kt_live_draw(l, &b, &s, &n);
	vt_feed(v, b.ptr, b.len);
}

/* What is visible above the cursor is what it would be had only `want` been written. */
static void shows(struct vt *v, const char *want)
{
	struct vt w;
	size_t n;

	vt_init(&w, v->columns, v->height);
	vt_feed(&w, want, strlen(want));
	n = KT_MIN(v->row - v->top, w.row - w.top);
	for (size_t i = 0; i <= n; i++) {
		if (vt_same_row(v, v->row - i, &w, w.row - i))
			continue;
		print_message("%zu rows above the cursor; on the screen:\n", i);
		vt_print(v);
		print_message("wanted:\n");
		vt_print(&w);
		fail();
	}
	/* Nothing is left below. */
	for (size_t i = v->row + 1; i < v->n; i++)
		assert_int_equal(vt_used(v, &v->rows[i]), 0);
	assert_int_equal(v->column, w.column);
	vt_release(&w);
}

static void test_in_place(void **state)
{
	struct kt_term t = { .columns = 10, .rows = 5 };
	struct kt_live *l = kt_live_new(&t);
	struct vt v;

	vt_init(&v, 10, 5);
	put(l, &v, "", "one\n");
	put(l, &v, "", "one two\nthree\nwait");
	shows(&v, "one two\nthree\nwait");
	put(l, &v, "one\ntwo\n", "x");
	shows(&v, "one\ntwo\nx");
	put(l, &v, "", "abcdefghijklmnop\n\tq\n");
	shows(&v, "one\ntwo\nabcdefghijklmnop\n\tq\n");
	put(l, &v, "", "abcdefghijklmnopq\nabc\n");
	shows(&v, "one\ntwo\nabcdefghijklmnopq\nabc\n");
	put(l, &v, "", "a\n\tb\n");
	shows(&v, "two\na\n\tb\n");
	put(l, &v, "end\n", "");
	shows(&v, "end\n");
	assert_false(kt_live_is_drawn(l));
	kt_live_free(l);
	kt_live_free(NULL);
	vt_release(&v);
}

/* Taller than the screen: what scrolled away is left alone, the rest is right. */
static void test_tall(void **state)
{
	struct kt_term t = { .columns = 10, .rows = 4 };
	struct kt_live *l = kt_live_new(&t);
	struct vt v;

	vt_init(&v, 10, 4);
	put(l, &v, "", "1\n2\n3\n4\n5\n6\n");
	put(l, &v, "", "1\n2\n3\n4\nfive\n6\n7\n");
	shows(&v, "1\n2\n3\n4\nfive\n6\n7\n");
	assert_int_equal(v.row, 7);
	put(l, &v, "", "A\nB\nC\nD\nE\nF\nG\nH\n");
	shows(&v, "A\nB\nC\nD\nE\nF\nG\nH\n");
	put(l, &v, "short\nnow\n", "");
	assert_int_equal(v.row - v.top, 2);
	shows(&v, "short\nnow\n");
	kt_live_free(l);
	vt_release(&v);
}

/* Rows that a prompt used below the drawing pushed it up. */
static void test_below(void **state)
{
	struct kt_term t = { .columns = 10, .rows = 4 };
	struct kt_live *l = kt_live_new(&t);
	struct vt v;

	vt_init(&v, 10, 4);
	put(l, &v, "", "1\n2\n");
	vt_feed(&v, "> a\nb\nc\033[2A\r\033[J", 15);
	kt_live_below(l, 3);
	put(l, &v, "", "one\ntwo\n");
	shows(&v, "one\ntwo\n");
	kt_live_free(l);
	vt_release(&v);
}

static const char *const pieces[] = {
	"A plain sentence with a few words in it.", "\n\n", "\n", "**bold words** and *some* `code`",
	"**bold that goes on ", "and ends**", "`open code ",
	"\xe4\xb8\xad\xe6\x96\x87\xe5\xad\x97\xe7\xac\xa6\xe5\xae\xbd", " ",
	"- item\n", "- item one\n- item two\n  - nested\n", "1. first\n",
	"2. second\n\n", "\n\n```c\nint a;\n\tif (x)\n\n\n", "}\n```\n\n", "\n\n~~~\nplain\n", "\n~~~\n",
	"\n\n| a | b |\n|---|---|\n| 1 | 2 |\n", "| three words here | x |\n", "\n# Heading\n", "\n## T `x`\n\n",
	"> quoted text\n", "\n---\n", "[a link](https://example.org/a/long/path)", "[half](https://exam",
	"https://example.org/an/address/that/is/wider/than/a/small/screen/is/ever/going/to/be/here",
	"\xf0\x9f\x98\x80 \xf0\x9f\x91\x8d", "&amp; <b> \\* x_y_z", "\n\n- a\n\n- b\n\n  c\n", "text\n===\n",
	"\n```\nxx", "e\xcc\x81", "\r\n", "***", "__", "~~gone~~", "1", "#", "\t", "    indented\n",
};

static void random_document(struct kt_buf *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		kt_buf_adds(b, pieces[dice(KT_ARRAY_LEN(pieces))]);
}

struct stage {
	struct kt_term t;
	struct kt_markdown *m;
	struct kt_live *l;
	struct kt_buf all; /* what was given for good */
	struct vt v;
};

static void stage_init(struct stage *s, size_t columns, size_t rows)
{
	s->t = (struct kt_term){ .color = dice(4) > 0, .utf8 = dice(4) > 0, .columns = (int)columns,
		.rows = (int)rows };
	s->m = kt_markdown_new(&s->t, dice(4) == 0);
	s->l = kt_live_new(&s->t);
	kt_buf_init(&s->all, 1 << 24);
	vt_init(&s->v, columns, rows);
}

static void stage_release(struct stage *s)
{
	kt_markdown_free(s->m);
	kt_live_free(s->l);
	kt_buf_release(&s->all);
	vt_release(&s->v);
}

/* One frame: what is final since the last, and the open block with a line of state at times. */
static void frame(struct stage *s, const struct kt_buf *stays, bool last)
{
	KT_AUTO_BUF struct kt_buf now = KT_BUF_INIT(1 << 24), b = KT_BUF_INIT(1 << 24);
	KT_AUTO_BUF struct kt_buf want = KT_BUF_INIT(1 << 24);

	if (!last) {
		(void)!kt_markdown_tail(s->m, &now);
		if (dice(2))
			kt_buf_adds(&now, dice(2) ? "waiting 3 s" : "waiting for what may be long");
	}
	kt_live_draw(s->l, &b, stays, &now);
	vt_feed(&s->v, b.ptr, b.len);
	kt_buf_add(&s->all, stays->ptr, stays->len);
	kt_buf_add(&want, s->all.ptr, s->all.len);
	kt_buf_add(&want, now.ptr, now.len);
	shows(&s->v, want.ptr);
}

static void stream(struct stage *s, const char *text, size_t len)
{
	KT_AUTO_BUF struct kt_buf stays = KT_BUF_INIT(1 << 24);

	for (size_t i = 0; i < len;) {
		size_t n = 1 + dice(dice(8) ? 12 : 200);

		n = KT_MIN(n, len - i);

		kt_markdown_feed(s->m, &stays, text + i, n);
		i += n;
		if (dice(3))
			continue;
		frame(s, &stays, false);
		kt_buf_clear(&stays);
	}
	kt_markdown_end(s->m, &stays);
	frame(s, &stays, true);
}

/* Whatever the pieces, the screen ends as if only the final form had been written. */
static void test_random_documents(void **state)
{
	for (int round = 0; round < 200; round++) {
		KT_AUTO_BUF struct kt_buf doc = KT_BUF_INIT(1 << 20), whole = KT_BUF_INIT(1 << 24);
		struct kt_markdown *m;
		struct stage s;

		stage_init(&s, 20 + dice(dice(2) ? 20 : 180), 3 + dice(dice(2) ? 10 : 60));
		random_document(&doc, 1 + dice(40));
		m = kt_markdown_new(&s.t, false);
		stream(&s, doc.ptr, doc.len);
		shows(&s.v, s.all.ptr);
		/* And the final form does not depend on the pieces. */
		kt_markdown_free(s.m);
		s.m = kt_markdown_new(&s.t, false);
		kt_buf_clear(&s.all);
		stream(&s, doc.ptr, doc.len);
		kt_markdown_feed(m, &whole, doc.ptr, doc.len);
		kt_markdown_end(m, &whole);
		assert_string_equal(s.all.ptr, whole.ptr);
		kt_markdown_free(m);
		stage_release(&s);
	}
}

/* The open block follows the width, in a terminal that folds lines anew. */
static void test_resize(void **state)
{
	static const char list[] = "- a first item of some words\n- \xe4\xb8\xad\xe6\x96\x87\xe5\xad\x97 "
		"and **bold words** that are folded\n- https://example.org/an/address/that/is/wide\n- end";

	for (int round = 0; round < 200; round++) {
		KT_AUTO_BUF struct kt_buf stays = KT_BUF_INIT(1 << 20);
		struct stage s;

		stage_init(&s, 20 + dice(60), 40);
		for (size_t i = 0; i < strlen(list); i++) {
			kt_markdown_feed(s.m, &stays, list + i, 1);
			if (dice(4) == 0)
				frame(&s, &stays, false);
			if (dice(20) == 0) {
				s.t.columns = (int)(20 + dice(60));
				s.t.rows = (int)(30 + dice(20));
				vt_resize(&s.v, (size_t)s.t.columns, (size_t)s.t.rows);
			}
		}
		kt_markdown_end(s.m, &stays);
		frame(&s, &stays, true);
		shows(&s.v, stays.ptr);
		assert_int_equal(s.v.top, 0);
		stage_release(&s);
	}
}

/* A long answer in small pieces: what goes to the terminal is in proportion. */
static void test_cheap(void **state)
{
	KT_AUTO_BUF struct kt_buf doc = KT_BUF_INIT(1 << 20);
	struct stage s;

	stage_init(&s, 80, 24);
	kt_buf_adds(&doc, "```c\n");
	for (int i = 0; i < 2000; i++)
		kt_buf_addf(&doc, "\tline number %d of the code\n", i);
	stream(&s, doc.ptr, doc.len);
	assert_true(s.v.bytes < 12 * doc.len);
	stage_release(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_place),
		cmocka_unit_test(test_tall),
		cmocka_unit_test(test_below),
		cmocka_unit_test(test_random_documents),
		cmocka_unit_test(test_resize),
		cmocka_unit_test(test_cheap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
