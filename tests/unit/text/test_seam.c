/* SPDX-License-Identifier: MIT */
/* Text cut inside a character, and put together again. */
#include "text/seam.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HIGH "\xed\xa0\xbd" /* D83D */
#define LOW "\xed\xb8\x80" /* DE00 */
#define GRIN "\xf0\x9f\x98\x80"

static void test_open(void **state)
{
	static const struct {
		const char *text;
		size_t open;
	} cases[] = {
		{ "", 0 }, { "a", 0 }, { GRIN, 0 }, { "\xe2\x82\xac", 0 }, { "x" LOW, 0 },
		{ "a" HIGH, 3 }, { HIGH, 3 }, { HIGH "a", 0 },
		{ "a\xf0", 1 }, { "a\xf0\x9f", 2 }, { "a\xf0\x9f\x98", 3 }, { "a\xc3", 1 },
		{ "a\xe2\x82", 2 }, { "a\xed\xa0", 2 },
		/* No beginning of anything: nothing to wait for. */
		{ "a\x80", 0 }, { "\x80\x80\x80\x80", 0 }, { "a\xff", 0 }, { "a\xc0", 0 },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++)
		assert_int_equal(
			kt_seam_open(cases[i].text, strlen(cases[i].text)), cases[i].open);
}

static void test_add(void **state)
{
	static const struct {
		const char *one, *two, *want;
	} cases[] = {
		{ "a" HIGH, LOW "b", "a" GRIN "b" },
		{ "a" HIGH, "b", "a" HIGH "b" },
		{ "a", LOW "b", "a" LOW "b" },
		{ "a" HIGH, HIGH, "a" HIGH HIGH },
		{ "a\xf0\x9f", "\x98\x80", "a" GRIN },
		{ "", LOW, LOW },
		{ "x", "", "x" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(100);

		kt_seam_add(&b, cases[i].one, strlen(cases[i].one));
		kt_seam_add(&b, cases[i].two, strlen(cases[i].two));
		assert_string_equal(b.ptr, cases[i].want);
	}
}

static void test_mend(void **state)
{
	static const struct {
		const char *text, *want;
		size_t used;
	} cases[] = {
		{ HIGH LOW "a", GRIN, 6 },
		{ HIGH "a", "\xef\xbf\xbd", 3 },
		{ LOW HIGH, "\xef\xbf\xbd", 3 },
		{ "\xffz", "\xef\xbf\xbd", 1 },
		{ "\xed\xa0", "\xef\xbf\xbd", 1 },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(100);

		assert_int_equal(
			kt_seam_mend(&b, cases[i].text, strlen(cases[i].text)), cases[i].used);
		assert_string_equal(b.ptr, cases[i].want);
	}
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(100);

	kt_seam_clean(&b, "a" HIGH LOW "\xc3\xa9\xff" HIGH, 13);
	assert_string_equal(b.ptr, "a" GRIN "\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_mend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
