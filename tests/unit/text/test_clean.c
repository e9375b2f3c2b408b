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
		{ "a\xe2\x80\x8b" "b\xef\xbb\xbf\xe2\x81\xa0", "a\\u200bb\\ufeff\\u2060",
			"a\\u200bb\\ufeff\\u2060" },
		{ "\xf3\xa0\x81\x81", "\\ue0041", "\\ue0041" },
		/* An emoji of several, and Persian, need their joiners. */
		{ "\xe2\x80\x8d\xe2\x80\x8c", "\xe2\x80\x8d\xe2\x80\x8c",
			"\xe2\x80\x8d\xe2\x80\x8c" },
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

static void test_format(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(200);

	kt_clean_addf(&b, "\x1b[1m%s|%%|%d|%lld|%zu|%02x|%.1f|%c", "a\x1b\nb", -7, 1LL << 40,
		(size_t)9, 11u, 2.25, 'c');
	assert_string_equal(b.ptr, "\x1b[1ma\\x1b\\nb|%|-7|1099511627776|9|0b|2.2|c");
	kt_buf_clear(&b);
	kt_clean_addf(&b, "[%-5s][%5s][%.*s][%-3d][%03ld][%*s][%s]", "\xc3\xa9", "ab", 2, "xyz", 4,
		5L, 3, "q", "");
	assert_string_equal(b.ptr, "[\xc3\xa9    ][   ab][xy][4  ][005][  q][]");
	kt_buf_clear(&b);
	/* Nothing of what does not fit, and the mark that it did not. */
	kt_clean_addf(&b, "kept");
	kt_clean_addf(&b, "head %s%s%s", "123456789012345678901234567890123456789012345678901234567890",
		"123456789012345678901234567890123456789012345678901234567890123456789012345678",
		"123456789012345678901234567890123456789012345678901234567890123456789012345678");
	assert_string_equal(b.ptr, "kept");
	assert_false(kt_buf_ok(&b));
}

static void test_hidden(void **state)
{
	static const uint32_t hidden[] = { 0x200d, 0x200b, 0xad, 0x3164, 0xfe0f, 0xa0, 0x3000,
		0x2800, 0x202e, 0xe0101 };

	for (size_t i = 0; i < KT_ARRAY_LEN(hidden); i++)
		assert_true(kt_clean_is_hidden(hidden[i]));
	assert_false(kt_clean_is_hidden('a'));
	assert_false(kt_clean_is_hidden(0x1f600));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
