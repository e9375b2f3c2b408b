/* SPDX-License-Identifier: MIT */
/* The terminal sanitizer. */
#include "text/clean.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_cases(void **state)
{
	static const struct {
		const char *text, *want, *one_line;
	} cases[] = {
		{ "", "", "" },
		{ "plain ~", "plain ~", "plain ~" },
		{ "a\n\tb", "a\n\tb", "a\\n\\tb" },
		{ "\x1b[31mred\x1b]0;t\x07", "\\x1b[31mred\\x1b]0;t\\x07",
			"\\x1b[31mred\\x1b]0;t\\x07" },
		{ "a\rb\x7f", "a\\x0db\\x7f", "a\\x0db\\x7f" },
		{ "\xc2\x9b" "31m", "\\u009b31m", "\\u009b31m" },
		{ "a\xe2\x80\xae" "b", "a\\u202eb", "a\\u202eb" },
		{ "\xe2\x81\xa6\xd8\x9c\xe2\x80\x8f",
			"\\u2066\\u061c\\u200f", "\\u2066\\u061c\\u200f" },
		{ "\xc3\xa9\xf0\x9f\x98\x80",
			"\xc3\xa9\xf0\x9f\x98\x80", "\xc3\xa9\xf0\x9f\x98\x80" },
		{ "\xff\xc3", "\\xff\\xc3", "\\xff\\xc3" },
		{ "\xc0\x9b", "\\xc0\\x9b", "\\xc0\\x9b" },
		{ "\\x1b", "\\x1b", "\\x1b" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTO_BUF struct kt_buf a = KT_BUF_INIT(4096);
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);

		kt_clean_add(&a, cases[i].text, strlen(cases[i].text), false);
		assert_string_equal(a.ptr, cases[i].want);
		kt_clean_add(&b, cases[i].text, strlen(cases[i].text), true);
		assert_string_equal(b.ptr, cases[i].one_line);
		kt_buf_clear(&b);
		kt_clean_add(&b, a.ptr, a.len, false);
		assert_string_equal(b.ptr, a.ptr);
	}
}

static void test_nul(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64);

	kt_clean_add(&b, "a\0b", 3, false);
	assert_string_equal(b.ptr, "a\\x00b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_nul),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
