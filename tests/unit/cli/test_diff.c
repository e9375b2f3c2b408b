/* SPDX-License-Identifier: MIT */
/* Differences by lines. */
#include "cli/diff.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct kt_term plain = { .columns = 40 };
static const struct kt_term color = { .columns = 40, .color = true };

static void diff_is(const char *was, const char *is, size_t context, const char *want)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_diff d = { .context = context, .max_lines = SIZE_MAX };

	kt_diff_draw(&b, &plain, was, is, &d);
	assert_string_equal(b.ptr ? b.ptr : "", want);
}

static void test_draw(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_diff d = { .context = 0, .max_lines = 2, .indent = 2 };

	diff_is("", "", 3, "");
	diff_is("a\n", "a\n", 3, "");
	diff_is("a\nb\nc\n", "a\nB\nc\n", SIZE_MAX, "  a\n- b\n+ B\n  c\n");
	diff_is("", "a\nb\n", 3, "+ a\n+ b\n");
	diff_is("a\n\n", "", 3, "- a\n- \n");
	/* An end of the last line is a change. */
	diff_is("a\nb", "a\nb\n", SIZE_MAX, "  a\n  b\n+ \n");
	diff_is("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "1\n2\nx\n4\n5\n6\n7\n8\ny\n", 1,
		"  2\n- 3\n+ x\n  4\n  ...\n  8\n- 9\n+ y\n");
	/* What is shown cannot pass for something else. */
	diff_is("a", "\033[2J\xe2\x80\xae", 0, "- a\n+ \\x1b[2J\\u202e\n");
	kt_diff_draw(&b, &color, "a\nb\n", "c\nd\n", &d);
	assert_string_equal(b.ptr, "  \033[31m- a\033[0m\n  \033[31m- b\033[0m\n");
	assert_int_equal(d.added, 2);
	assert_int_equal(d.removed, 2);
	assert_int_equal(d.left_out, 2);
}

/* Read back: without the added lines it is the old text, without the removed ones the new. */
static void check(const char *was, const char *is, size_t most)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT((size_t)64 << 20);
	KT_AUTO_BUF struct kt_buf old = KT_BUF_INIT((size_t)64 << 20);
	KT_AUTO_BUF struct kt_buf now = KT_BUF_INIT((size_t)64 << 20);
	struct kt_diff d = { .context = SIZE_MAX, .max_lines = SIZE_MAX };

	kt_diff_draw(&b, &plain, was, is, &d);
	for (const char *p = b.ptr ? b.ptr : ""; *p;) {
		size_t len = strcspn(p, "\n");

		if (*p != '+')
			kt_buf_add(&old, p + 2, len - 1);
		if (*p != '-')
			kt_buf_add(&now, p + 2, len - 1);
		p += len + 1;
	}
	assert_string_equal(old.len ? old.ptr : "", was);
	assert_string_equal(now.len ? now.ptr : "", is);
	assert_true(d.added + d.removed <= most);
}

static void test_random(void **state)
{
	uint64_t x = 88172645463325252u;

	for (int round = 0; round < 500; round++) {
		KT_AUTO_BUF struct kt_buf was = KT_BUF_INIT(1 << 20), is = KT_BUF_INIT(1 << 20);
		size_t changes = 0;

		for (int i = 0; i < 60; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			bool change = x % 8 == 0;

			kt_buf_addf(&was, "%c\n", (int)('a' + x / 8 % 3));
			changes += change;
			if (!change || x / 64 % 2)
				kt_buf_addf(&is, "%c\n", (int)((change ? 'n' : 'a') + x / 8 % 3));
		}
		check(was.ptr, is.ptr, 2 * changes);
	}
}

/* Large texts cost what they have to: nothing in common, or a few changes in a million lines. */
static void test_large(void **state)
{
	KT_AUTO_BUF struct kt_buf was = KT_BUF_INIT((size_t)64 << 20);
	KT_AUTO_BUF struct kt_buf is = KT_BUF_INIT((size_t)64 << 20);

	for (int i = 0; i < 30000; i++) {
		kt_buf_addf(&was, "%d\n", i);
		kt_buf_addf(&is, "x%d\n", i);
	}
	check(was.ptr, is.ptr, SIZE_MAX);
	kt_buf_clear(&is);
	for (int i = 0; i < 30000; i++)
		kt_buf_addf(&is, i % 3000 == 7 ? "y%d\n" : "%d\n", i);
	check(was.ptr, is.ptr, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_draw),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
