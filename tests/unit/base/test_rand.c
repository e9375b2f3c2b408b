/* SPDX-License-Identifier: MIT */
/*
 * Tests of random bytes and identifiers: form, range, and that the spread is not absurd.
 */
#include "base/rand.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_bytes(void **state)
{
	unsigned char a[1000] = { 0 }, b[1000] = { 0 };
	int seen[256] = { 0 }, kinds = 0;

	kt_rand_bytes(a, sizeof(a));
	kt_rand_bytes(b, sizeof(b) - 1);
	assert_memory_not_equal(a, b, 999);
	assert_int_equal(b[999], 0);
	kt_rand_bytes(NULL, 0);
	for (size_t i = 0; i < sizeof(a); i++)
		kinds += !seen[a[i]]++;
	/* 1000 draws of 256 leave about 5 out; 100 missing does not happen by chance. */
	assert_true(kinds > 156);
}

static void test_below(void **state)
{
	int count[10] = { 0 };

	for (int i = 0; i < 20000; i++) {
		uint64_t v = kt_rand_below(10);

		assert_true(v < 10);
		count[v]++;
	}
	/* 2000 each with a deviation of 42: ten deviations are out of the question. */
	for (int i = 0; i < 10; i++)
		assert_in_range(count[i], 1580, 2420);
	assert_int_equal(kt_rand_below(1), 0);
	for (int i = 0; i < 100; i++)
		assert_true(kt_rand_below(UINT64_MAX / 2 + 2) <= UINT64_MAX / 2 + 1);
}

static void test_id(void **state)
{
	char a[KT_ID_MAX], b[KT_ID_MAX];
	int seen[128] = { 0 }, kinds = 0;

	for (int i = 0; i < 200; i++) {
		kt_rand_id("sess_", a);
		kt_rand_id("sess_", b);
		assert_string_not_equal(a, b);
		assert_int_equal(strlen(a), 27);
		assert_true(kt_str_starts(a, "sess_"));
		for (const char *p = a + 5; *p; p++) {
			assert_true((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') ||
				(*p >= 'A' && *p <= 'Z'));
			kinds += !seen[(int)*p]++;
		}
	}
	assert_int_equal(kinds, 62);
	kt_rand_id("", a);
	assert_int_equal(strlen(a), 22);
	/* The longest prefix that fits. */
	kt_rand_id("12345678901234567", a);
	assert_int_equal(strlen(a), KT_ID_MAX - 1);
}

static void test_uuid(void **state)
{
	char u[37], v[37];

	for (int i = 0; i < 100; i++) {
		kt_rand_uuid(u);
		kt_rand_uuid(v);
		assert_string_not_equal(u, v);
		assert_int_equal(strlen(u), 36);
		for (int k = 0; k < 36; k++) {
			if (k == 8 || k == 13 || k == 18 || k == 23)
				assert_int_equal(u[k], '-');
			else
				assert_non_null(strchr("0123456789abcdef", u[k]));
		}
		assert_int_equal(u[14], '4');
		assert_non_null(strchr("89ab", u[19]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes), cmocka_unit_test(test_below),
		cmocka_unit_test(test_id),    cmocka_unit_test(test_uuid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
