/* SPDX-License-Identifier: MIT */
/*
 * Tests of clocks and time text.
 */
#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define S INT64_C(1000000)

static void test_clocks(void **state)
{
	int64_t a = kt_mono_us(), b = kt_mono_us();

	assert_true(b >= a);
	/* Later than 2020 and before 2100. */
	assert_true(kt_time_us() > 1577836800 * S && kt_time_us() < 4102444800 * S);
}

static void test_iso(void **state)
{
	static const struct {
		int64_t us;
		const char *plain, *with_us;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00+00:00", "1970-01-01T00:00:00.000000+00:00" },
		{ 1780315200 * S + 42, "2026-06-01T12:00:00+00:00",
			"2026-06-01T12:00:00.000042+00:00" },
		{ -1, "1969-12-31T23:59:59+00:00", "1969-12-31T23:59:59.999999+00:00" },
		{ 951782400 * S, "2000-02-29T00:00:00+00:00", "2000-02-29T00:00:00.000000+00:00" },
		{ 253402300799 * S, "9999-12-31T23:59:59+00:00",
			"9999-12-31T23:59:59.000000+00:00" },
		{ 253402300800 * S, "9999-12-31T23:59:59+00:00",
			"9999-12-31T23:59:59.000000+00:00" },
		{ -62167219200 * S, "0000-01-01T00:00:00+00:00",
			"0000-01-01T00:00:00.000000+00:00" },
		{ -62167219201 * S, "0000-01-01T00:00:00+00:00",
			"0000-01-01T00:00:00.000000+00:00" },
	};
	char out[33];

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		kt_time_iso(cases[i].us, false, out, sizeof(out));
		assert_string_equal(out, cases[i].plain);
		kt_time_iso(cases[i].us, true, out, sizeof(out));
		assert_string_equal(out, cases[i].with_us);
	}
	kt_time_iso(INT64_MIN, true, out, sizeof(out));
	kt_time_iso(INT64_MAX, true, out, sizeof(out));
	assert_int_equal(strlen(out), 32);
}

static void test_parse(void **state)
{
	static const struct {
		const char *s;
		int64_t us;
	} cases[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "2026-06-01T12:00:00+00:00", 1780315200 * S },
		{ "2026-06-01t12:00:00z", 1780315200 * S },
		{ "2026-06-01 12:00:00Z", 1780315200 * S },
		{ "2026-06-01T14:00:00+02:00", 1780315200 * S },
		{ "2026-06-01T06:30:00-05:30", 1780315200 * S },
		{ "2026-06-01T12:00:00.5Z", 1780315200 * S + 500000 },
		{ "2026-06-01T12:00:00.000042Z", 1780315200 * S + 42 },
		{ "2026-06-01T12:00:00.123456789Z", 1780315200 * S + 123456 },
		{ "1969-12-31T23:59:59.999999Z", -1 },
		{ "2016-12-31T23:59:60Z", 1483228800 * S },
		{ "2000-02-29T00:00:00Z", 951782400 * S },
		{ "1780315200", 1780315200 * S },
		{ "0", 0 },
		{ "-1", -S },
		{ "253402300799", 253402300799 * S },
	};
	static const char *const bad[] = { "", "now", "253402300800", "2026-06-01",
		"2026-06-01T12:00:00", "2026-06-01T12:00Z", "2026-13-01T12:00:00Z",
		"2026-00-01T12:00:00Z", "2026-06-31T12:00:00Z", "2026-06-00T12:00:00Z",
		"2026-02-29T12:00:00Z", "1900-02-29T12:00:00Z", "2026-06-01T24:00:00Z",
		"2026-06-01T12:60:00Z", "2026-06-01T12:00:61Z", "2026-06-01T12:00:00.Z",
		"2026-06-01T12:00:00Zx", "2026-06-01T12:00:00+0000", "2026-06-01T12:00:00+24:00",
		"2026-06-01T12:00:00+00:60", "2026-06-01T12:00:00+00:00 ", "2026-6-1T12:00:00Z",
		"-026-06-01T12:00:00Z", "2026-06-01T-1:00:00Z", " 1780315200", "1.5",
		"2026/06/01" };

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		int64_t us = 77;

		if (!kt_time_parse(cases[i].s, &us) || us != cases[i].us)
			fail_msg("'%s' gave %lld", cases[i].s, (long long)us);
	}
	for (size_t i = 0; i < KT_ARRAY_LEN(bad); i++) {
		int64_t us = 77;

		if (kt_time_parse(bad[i], &us) || us != 77)
			fail_msg("'%s' was taken", bad[i]);
	}
}

/* What is written reads back the same, over all the years there are. */
static void test_round_trip(void **state)
{
	for (int64_t t = -62167219200 * S; t < 253402300799 * S; t += INT64_C(86399123457) * 371) {
		char out[33];
		int64_t back = 0;

		kt_time_iso(t, true, out, sizeof(out));
		assert_true(kt_time_parse(out, &back));
		assert_int_equal(back, t);
	}
}

static void test_human(void **state)
{
	/* Now is 2026-06-01 12:00:00 UTC, a Monday; the zone is five hours behind. */
	static const struct {
		int64_t seconds; /* before now */
		const char *text;
	} cases[] = {
		{ 30, "30 seconds ago" }, { 86399, "23 hours ago" }, { 86400, "May 31 07:00" },
		{ -3600, "in 1 hour" }, { -86400, "Jun 2 07:00" }, { 151 * 86400, "Jan 1 07:00" },
		{ 160 * 86400, "Dec 23 07:00" }, { 200 * 86400, "Nov 13 2025" },
		{ -200 * 86400, "Dec 18 07:00" }, { -400 * 86400, "Jul 6 2027" },
	};
	char out[64];

	(void)state;
	assert_int_equal(setenv("TZ", "XXX5", 1), 0);
	tzset();
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		kt_time_human(1780315200 * S - cases[i].seconds * S, 1780315200 * S, out, sizeof(out));
		assert_string_equal(out, cases[i].text);
	}
	kt_time_human(INT64_MIN, 1780315200 * S, out, sizeof(out));
	kt_time_human(INT64_MAX, 1780315200 * S, out, sizeof(out));
	assert_int_equal(unsetenv("TZ"), 0);
	tzset();
}

static void test_ago(void **state)
{
	static const struct {
		int64_t seconds;
		const char *want;
	} cases[] = {
		{ 0, "just now" }, { 1, "1 second ago" }, { 59, "59 seconds ago" },
		{ 60, "1 minute ago" }, { 3599, "59 minutes ago" }, { 3600, "1 hour ago" },
		{ 7200, "2 hours ago" }, { 86399, "23 hours ago" }, { 86400, "1 day ago" },
		{ 5 * 86400, "5 days ago" }, { 30 * 86400 - 1, "29 days ago" },
		{ 30 * 86400, "1 month ago" }, { 365 * 86400, "1 year ago" },
		{ 800 * 86400, "2 years ago" }, { -60, "in 1 minute" }, { -7200, "in 2 hours" },
	};
	char out[40];

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		kt_time_ago(1780315200 * S, (1780315200 + cases[i].seconds) * S, out, sizeof(out));
		assert_string_equal(out, cases[i].want);
	}
	kt_time_ago(INT64_MIN, INT64_MAX, out, sizeof(out));
	kt_time_ago(0, 7200 * S, out, 6);
	assert_string_equal(out, "2 hou");
}

/* What is shown on a terminal, and typed back, is of the zone of the machine. */
static void test_local(void **state)
{
	static const struct {
		const char *text;
		int64_t want; /* seconds, 0 = none */
	} cases[] = {
		{ "2026-06-01 17:30:05", 1780315205 }, { "2026-06-01 17:30", 1780315200 },
		{ "2026-06-01T17:30", 1780315200 }, { "2026-06-01", 1780252200 },
		{ "17:30", 1780315200 }, { "17:29:59", 1780315199 },
		{ "17:31", 1780315260 - 86400 }, { "2026-02-31", 0 }, { "17:30x", 0 }, { "", 0 },
		{ "noon", 0 }, { "25:00", 0 }, { "2026-13-01", 0 },
	};
	char out[40];
	int64_t us;

	assert_int_equal(setenv("TZ", "IST-5:30", 1), 0);
	tzset();
	kt_time_log(1780315200 * S, out, sizeof(out));
	assert_string_equal(out, "Jun  1 17:30:00");
	kt_time_log(INT64_MIN, out, sizeof(out));
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		us = 0;
		assert_int_equal(kt_time_parse_local(cases[i].text, 1780315210 * S, &us), cases[i].want != 0);
		assert_int_equal(us, cases[i].want * S);
	}
	assert_int_equal(unsetenv("TZ"), 0);
	tzset();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clocks), cmocka_unit_test(test_iso),
		cmocka_unit_test(test_parse),  cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_ago),
		cmocka_unit_test(test_human), cmocka_unit_test(test_local),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
