/* SPDX-License-Identifier: MIT */
/* Columns, normal form C, case folding and hidden characters; the tables come from the build. */
#include "text/unicode.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_width(void **state)
{
	static const struct {
		uint32_t cp;
		int want;
	} cases[] = {
		{ 0, 0 },
		{ '\n', 0 },
		{ 0x1b, 0 },
		{ ' ', 1 },
		{ 'a', 1 },
		{ 0x7f, 0 },
		{ 0x9f, 0 },
		{ 0xa0, 1 },
		{ 0xad, 1 },
		{ 0xe4, 1 },
		{ 0x300, 0 },
		{ 0x36f, 0 },
		{ 0x370, 1 },
		{ 0x200b, 0 },
		{ 0x200d, 0 },
		{ 0x1100, 2 },
		{ 0x1161, 0 },
		{ 0x3042, 2 },
		{ 0x4e00, 2 },
		{ 0x9fff, 2 },
		{ 0xac00, 2 },
		{ 0xd7a3, 2 },
		{ 0xfe0f, 0 },
		{ 0xff01, 2 },
		{ 0xff61, 1 },
		{ 0x1f600, 2 },
		{ 0x20000, 2 },
		{ 0x2500, 1 },
		{ 0x20ac, 1 },
		{ 0x302a, 0 },
		{ 0xe0100, 0 },
		{ 0x1f6dc, 2 },
		/* Not assigned: of one column, but where a block is wide, or both neighbors are. */
		{ 0x378, 1 },
		{ 0xfdd0, 1 },
		{ 0x10ffff, 1 },
		{ 0x2fffd, 2 },
		{ 0x2e9a, 2 },
		{ 0xe0002, 0 },
		{ 0xe000, 1 },
		{ 0xd800, 1 },
		{ 0x110000, 1 },
		{ UINT32_MAX, 1 },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		int got = kt_unicode_width(cases[i].cp);

		if (got != cases[i].want)
			fail_msg("U+%04X has width %d", (unsigned)cases[i].cp, got);
	}
}

static void test_nfc(void **state)
{
	static const struct {
		const char *text;
		bool nfc;
	} cases[] = {
		{ "plain", true },
		{ "\xc3\xa9", true }, /* e acute */
		{ "e\xcc\x81", false },
		{ "x\xcc\x81", true }, /* x has no composite */
		{ "\xc3\xa9\xcc\xa3",
			false }, /* e acute, dot below: e with dot below comes first */
		{ "\xe1\xba\xb9\xcc\x81", true },
		{ "x\xcc\xa3\xcc\x81", true }, /* classes 220, 230 */
		{ "x\xcc\x81\xcc\xa3", false }, /* 230, 220 */
		{ "\xe1\x84\x80\xe1\x85\xa1", false }, /* Hangul in parts */
		{ "\xea\xb0\x80", true },
		{ "\xea\xb0\x80\xe1\x86\xa8", false },
		{ "\xe0\xa5\x98", false }, /* a composition exclusion */
		{ "\xe0\xa4\x95\xe0\xa4\xbc", true },
		{ "\xd0\xb8\xcc\x86", false }, /* Cyrillic short i in parts */
		{ "\xce\xb1\xcd\x82", false }, /* alpha with perispomeni in parts */
		{ "\xcc\x81"
		  "a",
			true },
		{ "\xf0\x91\x82\x99\xf0\x91\x82\xba", false }, /* Kaithi, beyond U+FFFF */
		{ "\xf0\x91\x82\x9a", true },
		{ "\xf0\x91\x82\x99\xcc\x81", true },
	};
	char marks[64] = "a";

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		if (kt_unicode_is_nfc(cases[i].text, strlen(cases[i].text)) != cases[i].nfc)
			print_message("case %zu\n", i);
		assert_int_equal(
			kt_unicode_is_nfc(cases[i].text, strlen(cases[i].text)), cases[i].nfc);
	}
	for (size_t i = 0; i < 31; i++) {
		marks[1 + 2 * i] = '\xcc';
		marks[2 + 2 * i] = '\x96'; /* grave below: no composite with a */
	}
	assert_true(kt_unicode_is_nfc(marks, 61));
	assert_false(kt_unicode_is_nfc(marks, 63));
}

static void test_fold(void **state)
{
	static const struct {
		uint32_t cp, want;
	} cases[] = {
		{ '@', '@' },
		{ 'A', 'a' },
		{ 'Z', 'z' },
		{ '[', '[' },
		{ 'a', 'a' },
		{ 0xb5, 0x3bc },
		{ 0xd7, 0xd7 },
		{ 0xdf, 0xdf },
		{ 0x100, 0x101 },
		{ 0x101, 0x101 },
		{ 0x12e, 0x12f },
		{ 0x12f, 0x12f },
		{ 0x130, 0x130 },
		{ 0x139, 0x13a },
		{ 0x178, 0xff },
		{ 0x17f, 's' },
		{ 0x1c4, 0x1c6 },
		{ 0x1c5, 0x1c6 },
		{ 0x1c6, 0x1c6 },
		{ 0x3c2, 0x3c3 },
		{ 0x410, 0x430 },
		{ 0x1e9e, 0xdf },
		{ 0x1f59, 0x1f51 },
		{ 0x1f5a, 0x1f5a },
		{ 0x212a, 'k' },
		{ 0xab70, 0x13a0 },
		{ 0x1e921, 0x1e943 },
		{ 0x1e922, 0x1e922 },
		{ 0x10ffff, 0x10ffff },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTO_BUF struct kt_buf s = KT_BUF_INIT(8);
		KT_AUTO_BUF struct kt_buf folded = KT_BUF_INIT(8);
		uint32_t got = 0;

		kt_utf8_add(&s, cases[i].cp);
		kt_unicode_fold(s.ptr, s.len, &folded);
		assert_int_equal(kt_utf8_decode(folded.ptr, folded.len, &got), folded.len);
		if (got != cases[i].want)
			fail_msg("U+%04X becomes U+%04X", (unsigned)cases[i].cp, (unsigned)got);
	}
}

static void test_hidden(void **state)
{
	static const uint32_t hidden[] = { 0, 0x1f, 0x7f, 0xad, 0x200b, 0x2029, 0x202e, 0xfdd0,
		0xfeff, 0xffff, 0x1d173, 0xe0041, 0x10fffe };

	for (size_t i = 0; i < KT_ARRAY_LEN(hidden); i++)
		assert_true(kt_unicode_hidden(hidden[i]));
	assert_false(kt_unicode_hidden(' '));
	assert_false(kt_unicode_hidden(0x300));
	assert_false(kt_unicode_hidden(0xfe0f));
	assert_false(kt_unicode_hidden(0x1f600));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_nfc),
		cmocka_unit_test(test_fold),
		cmocka_unit_test(test_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
