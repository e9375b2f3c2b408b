/* SPDX-License-Identifier: MIT */
/*
 * Tests of strings, strict numbers, slugs, UTF-8, hexadecimal and base64.
 */
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_compare(void **state)
{
	assert_true(kt_str_starts("abc", ""));
	assert_true(kt_str_starts("abc", "abc"));
	assert_false(kt_str_starts("abc", "abcd"));
	assert_true(kt_str_ends("abc", ""));
	assert_true(kt_str_ends("abc", "bc"));
	assert_false(kt_str_ends("bc", "abc"));
	assert_true(kt_str_eq(NULL, NULL));
	assert_false(kt_str_eq(NULL, ""));
	assert_true(kt_str_eq("a", "a"));
	assert_true(kt_str_ieq("Content-TYPE", "content-type"));
	assert_false(kt_str_ieq("abc", "ab"));
	assert_false(kt_str_ieq("ab", "abc"));
	assert_false(kt_str_ieq("@", "`"));
	assert_true(kt_str_ieq(NULL, NULL));
	assert_false(kt_str_ieq("", NULL));
}

static void test_copy(void **state)
{
	static const struct {
		const char *src;
		size_t size;
		const char *want;
		bool whole;
	} cases[] = {
		{ "abc", 4, "abc", true },
		{ "abcd", 4, "abc", false },
		{ "", 1, "", true },
		{ "a", 1, "", false },
		{ "a\xc3\xa4", 4, "a\xc3\xa4", true },
		{ "a\xc3\xa4", 3, "a", false },
		{ "\xe2\x82\xac", 3, "", false },
		{ "x\xf0\x9f\x98\x80y", 5, "x", false },
		{ "x\xf0\x9f\x98\x80y", 6, "x\xf0\x9f\x98\x80", false },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		char out[16] = "untouched";

		assert_int_equal(kt_str_copy(out, cases[i].size, cases[i].src), cases[i].whole);
		assert_string_equal(out, cases[i].want);
	}
}

static void test_int64(void **state)
{
	static const struct {
		const char *s;
		int64_t min, max, want;
		bool ok;
	} cases[] = {
		{ "0", INT64_MIN, INT64_MAX, 0, true },
		{ "-0", INT64_MIN, INT64_MAX, 0, true },
		{ "007", INT64_MIN, INT64_MAX, 7, true },
		{ "9223372036854775807", INT64_MIN, INT64_MAX, INT64_MAX, true },
		{ "9223372036854775808", INT64_MIN, INT64_MAX, 0, false },
		{ "-9223372036854775808", INT64_MIN, INT64_MAX, INT64_MIN, true },
		{ "-9223372036854775809", INT64_MIN, INT64_MAX, 0, false },
		{ "99999999999999999999", INT64_MIN, INT64_MAX, 0, false },
		{ "10", 1, 10, 10, true },
		{ "11", 1, 10, 0, false },
		{ "1", 1, 10, 1, true },
		{ "0", 1, 10, 0, false },
		{ "", 0, 10, 0, false },
		{ "-", -10, 10, 0, false },
		{ "--1", -10, 10, 0, false },
		{ "+1", 0, 10, 0, false },
		{ " 1", 0, 10, 0, false },
		{ "1 ", 0, 10, 0, false },
		{ "1a", 0, 10, 0, false },
		{ "0x1", 0, 10, 0, false },
		{ "1.0", 0, 10, 0, false },
	};
	int64_t v = 42;

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		v = 42;
		assert_int_equal(kt_str_int64(cases[i].s, cases[i].min, cases[i].max, &v),
			cases[i].ok);
		assert_int_equal(v, cases[i].ok ? cases[i].want : 42);
	}
	assert_true(kt_str_int64n("123abc", 3, 0, 1000, &v));
	assert_int_equal(v, 123);
	assert_false(kt_str_int64n("1\0002", 3, 0, 1000, &v));
	assert_false(kt_str_int64n("5", 0, 0, 1000, &v));
}

static void test_double(void **state)
{
	static const char *const bad[] = { "", "-", ".", "1.", ".5", "+1", " 1", "1 ", "1e", "1e+",
		"inf", "nan", "0x10", "1e999", "-1e999", "1,5", "1.2.3", "--1" };
	static const struct {
		const char *s;
		double want;
	} good[] = { { "0", 0 }, { "-1.5", -1.5 }, { "12.25", 12.25 }, { "1e3", 1000 },
		{ "1E-2", 0.01 }, { "2.5e+1", 25 }, { "1e-999", 0 } };
	double v;

	for (size_t i = 0; i < KT_ARRAY_LEN(bad); i++) {
		v = 42;
		assert_false(kt_str_double(bad[i], &v));
		assert_true(v == 42);
	}
	for (size_t i = 0; i < KT_ARRAY_LEN(good); i++) {
		assert_true(kt_str_double(good[i].s, &v));
		assert_true(v == good[i].want);
	}
}

static void test_size(void **state)
{
	static const struct {
		const char *s;
		int64_t want; /* -1 = none */
	} cases[] = {
		{ "0", 0 }, { "512", 512 }, { "512B", 512 }, { "64K", 65536 }, { "64k", 65536 },
		{ "10M", 10485760 }, { "10MB", 10485760 }, { "10MiB", 10485760 },
		{ "2G", (int64_t)2 << 30 }, { "1T", (int64_t)1 << 40 }, { "", -1 }, { "M", -1 },
		{ "-1", -1 }, { "1.5G", -1 }, { "10 M", -1 }, { "10X", -1 }, { "10MX", -1 },
		{ "10iB", -1 }, { "9223372036854775807", INT64_MAX }, { "9007199254740992K", -1 },
	};

	(void)state;
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		int64_t v = -1;

		assert_int_equal(kt_str_size(cases[i].s, &v), cases[i].want >= 0);
		assert_true(v == cases[i].want);
	}
}

static void test_duration(void **state)
{
	static const struct {
		const char *s;
		int64_t want; /* -1 = refused */
	} cases[] = {
		{ "90", 90000 }, { "1500ms", 1500 }, { "10s", 10000 }, { "5m", 300000 },
		{ "2h", 7200000 }, { "3d", 259200000 }, { "0", 0 }, { "", -1 }, { "s", -1 },
		{ "-1s", -1 }, { "1.5s", -1 }, { "1 s", -1 }, { "1S", -1 }, { "1w", -1 },
		{ "1sm", -1 }, { "9223372036854775807ms", INT64_MAX },
		{ "9223372036854775808ms", -1 },
		{ "9223372036854775", INT64_C(9223372036854775000) },
		{ "9223372036854776", -1 }, { "106751991167d", INT64_C(9223372036828800000) },
		{ "106751991168d", -1 },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		int64_t v = -1;

		assert_int_equal(kt_str_duration_ms(cases[i].s, &v), cases[i].want >= 0);
		assert_int_equal(v, cases[i].want);
	}
}

static void test_distance(void **state)
{
	char a[102], b[102];

	assert_int_equal(kt_str_distance("", ""), 0);
	assert_int_equal(kt_str_distance("", "abc"), 3);
	assert_int_equal(kt_str_distance("abc", ""), 3);
	assert_int_equal(kt_str_distance("kitten", "sitting"), 3);
	assert_int_equal(kt_str_distance("deploy", "depoly"), 1);
	memset(a, 'a', 101);
	memset(b, 'a', 101);
	a[100] = b[100] = '\0';
	b[0] = 'b';
	assert_int_equal(kt_str_distance(a, b), 1);
	a[100] = b[100] = 'a';
	a[101] = b[101] = '\0';
	assert_int_equal(kt_str_distance(a, b), 101);
	assert_int_equal(kt_str_distance(a, a), 0);
}

static void test_nearest(void **state)
{
	static const char *const words[] = { "deploy", "logs", "ls", "sessions", "serve", NULL };
	static const struct {
		const char *word, *want;
	} cases[] = {
		{ "depoly", "deploy" }, { "deplyo", "deploy" }, { "log", "logs" }, { "lsg", "ls" },
		{ "sess", "sessions" }, { "sesion", "sessions" }, { "server", "serve" },
		{ "xyz", NULL }, { "", NULL }, { "x", NULL }, { "frobnicate", NULL },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		const char *got = kt_str_nearest(cases[i].word, words);

		if (!kt_str_eq(got, cases[i].want))
			fail_msg("'%s' gave '%s'", cases[i].word, got ? got : "(none)");
	}
}

static void test_slug(void **state)
{
	static const struct {
		const char *text, *slug;
	} cases[] = {
		{ "My App!", "my-app" }, { "", "app" }, { "---", "app" }, { "a", "a" },
		{ "-a--b-", "a-b" }, { "A_b.c", "a-b-c" }, { "caf\xc3\xa9 2", "caf-2" },
	};
	char s[66];

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTOFREE char *got = kt_str_slugify(cases[i].text);

		assert_string_equal(got, cases[i].slug);
		assert_true(kt_str_is_slug(got));
	}
	assert_false(kt_str_is_slug(""));
	assert_false(kt_str_is_slug("-a"));
	assert_false(kt_str_is_slug("a-"));
	assert_false(kt_str_is_slug("A"));
	assert_false(kt_str_is_slug("a_b"));
	assert_true(kt_str_is_slug("a--b"));
	memset(s, 'a', 65);
	s[63] = '\0';
	assert_true(kt_str_is_slug(s));
	s[63] = 'a';
	s[64] = '\0';
	assert_false(kt_str_is_slug(s));
	/* Whatever is cut at the limit, no dash stays at the end. */
	for (size_t gap = 55; gap < 65; gap++) {
		KT_AUTOFREE char *got = NULL;

		memset(s, 'a', 65);
		s[65] = '\0';
		s[gap] = ' ';
		got = kt_str_slugify(s);
		assert_true(kt_str_is_slug(got));
	}
}

static void test_utf8_valid(void **state)
{
	static const struct {
		const char *s;
		bool ok;
	} cases[] = {
		{ "", true }, { "plain text longer than a word", true }, { "\xc2\x80", true },
		{ "\xdf\xbf", true }, { "\xe0\xa0\x80", true }, { "\xef\xbf\xbf", true },
		{ "\xed\x9f\xbf", true }, { "\xee\x80\x80", true }, { "\xf0\x90\x80\x80", true },
		{ "\xf4\x8f\xbf\xbf", true }, { "12345678\xe2\x82\xac" "12345678", true },
		{ "\x80", false }, { "\xbf", false }, { "\xc0\x80", false }, { "\xc1\xbf", false },
		{ "\xe0\x9f\xbf", false }, { "\xf0\x8f\xbf\xbf", false }, { "\xed\xa0\x80", false },
		{ "\xed\xbf\xbf", false }, { "\xf4\x90\x80\x80", false },
		{ "\xf5\x80\x80\x80", false },
		{ "\xff", false }, { "\xc2", false }, { "\xe2\x82", false },
		{ "\xf0\x9f\x98", false },
		{ "\xc2 ", false }, { "1234567\xc2", false }, { "12345678\x80", false },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		if (kt_utf8_valid(cases[i].s, strlen(cases[i].s)) != cases[i].ok)
			fail_msg("case %zu", i);
	}
	assert_true(kt_utf8_valid("a\0b", 3));
}

/* Every code point goes out and comes back the same. */
static void test_utf8_round_trip(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8);
	uint32_t cp = 0;

	for (uint32_t i = 0; i <= 0x10ffff; i++) {
		if (i == 0xd800)
			i = 0xe000;
		kt_buf_clear(&b);
		kt_utf8_add(&b, i);
		if (kt_utf8_decode(b.ptr, b.len, &cp) != b.len || cp != i)
			fail_msg("U+%04X", (unsigned)i);
		if (b.len > 1 && kt_utf8_decode(b.ptr, b.len - 1, &cp) != 0)
			fail_msg("U+%04X cut", (unsigned)i);
	}
	assert_int_equal(kt_utf8_decode("a", 0, &cp), 0);
	kt_buf_clear(&b);
	kt_utf8_add(&b, 0xd800);
	assert_string_equal(b.ptr, "\xef\xbf\xbd");
	kt_buf_clear(&b);
	kt_utf8_add(&b, 0x110000);
	assert_string_equal(b.ptr, "\xef\xbf\xbd");
}

static void test_hex(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8);

	kt_hex_add(&b, "\x00\x7f\x80\xff", 4);
	assert_string_equal(b.ptr, "007f80ff");
	kt_hex_add(&b, "x", 1);
	assert_false(kt_buf_ok(&b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare),    cmocka_unit_test(test_copy),
		cmocka_unit_test(test_int64),      cmocka_unit_test(test_double),
		cmocka_unit_test(test_duration), cmocka_unit_test(test_size),   cmocka_unit_test(test_distance),
		cmocka_unit_test(test_nearest),    cmocka_unit_test(test_slug),
		cmocka_unit_test(test_utf8_valid), cmocka_unit_test(test_utf8_round_trip),
		cmocka_unit_test(test_hex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
