/* SPDX-License-Identifier: MIT */
/*
 * Tests of the bounded buffer: limits to the byte, formatting, ownership.
 */
#include "base/buf.h"

#include "base/vec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_empty(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(10);
	KT_AUTOFREE char *s = NULL;

	assert_string_equal(b.ptr, "");
	kt_buf_add(&b, NULL, 0);
	kt_buf_adds(&b, "");
	kt_buf_addf(&b, "%s", "");
	kt_buf_truncate(&b, 0);
	kt_buf_drop(&b, 0);
	kt_buf_commit(&b, 0);
	assert_true(kt_buf_ok(&b));
	assert_int_equal(b.len, 0);
	s = kt_buf_take(&b);
	assert_string_equal(s, "");
}

/* Appending len bytes to a buffer that may hold max, by each of the ways there are. */
static void test_limit(void **state)
{
	static const struct {
		size_t max, before, len;
		bool ok;
	} cases[] = {
		{ 0, 0, 1, false },     { 1, 0, 1, true },      { 1, 0, 2, false },
		{ 10, 4, 6, true },     { 10, 4, 7, false },    { 63, 0, 63, true },
		{ 63, 0, 64, false },   { 64, 0, 64, true },    { 64, 0, 65, false },
		{ 100, 64, 36, true },  { 100, 64, 37, false }, { 1000, 0, 1000, true },
		{ 1000, 0, 1001, false }, { 5000, 4999, 1, true }, { 5000, 5000, 1, false },
	};
	char data[6000];

	memset(data, 'x', sizeof(data));
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		for (int way = 0; way < 3; way++) {
			KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(cases[i].max);
			size_t want = cases[i].before + (cases[i].ok ? cases[i].len : 0);

			kt_buf_add(&b, data, cases[i].before);
			assert_true(kt_buf_ok(&b));
			if (way == 0)
				kt_buf_add(&b, data, cases[i].len);
			else if (way == 1)
				kt_buf_addf(&b, "%.*s", (int)cases[i].len, data);
			else
				for (size_t k = 0; k < cases[i].len; k++)
					kt_buf_addc(&b, 'x');
			assert_int_equal(kt_buf_ok(&b), cases[i].ok);
			/* Byte by byte all fits but the last one. */
			if (way == 2 && !cases[i].ok)
				want = cases[i].max;
			assert_int_equal(b.len, want);
			assert_int_equal(strlen(b.ptr), want);
			assert_true(b.cap <= cases[i].max + 1);
		}
	}
}

static void test_overflow_sticks(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4);
	KT_AUTOFREE char *s = NULL;

	kt_buf_adds(&b, "abc");
	kt_buf_adds(&b, "de");
	kt_buf_adds(&b, "f");
	kt_buf_addf(&b, "%d", 1);
	assert_string_equal(b.ptr, "abc");
	assert_null(kt_buf_reserve(&b, 0));
	s = kt_buf_take(&b);
	assert_string_equal(s, "abc");
	assert_false(kt_buf_ok(&b));
	kt_buf_clear(&b);
	kt_buf_adds(&b, "abcd");
	assert_true(kt_buf_ok(&b));
	assert_string_equal(b.ptr, "abcd");
}

static void test_huge_requests(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(SIZE_MAX);

	kt_buf_adds(&b, "a");
	assert_null(kt_buf_reserve(&b, SIZE_MAX));
	kt_buf_clear(&b);
	assert_null(kt_buf_reserve(&b, SIZE_MAX - 1));
	kt_buf_clear(&b);
	/* No machine has it: memory out must be an overflow, not an abort. */
	assert_null(kt_buf_reserve(&b, (size_t)PTRDIFF_MAX + 1));
	assert_false(kt_buf_ok(&b));
	kt_buf_clear(&b);
	kt_buf_adds(&b, "b");
	assert_string_equal(b.ptr, "b");
}

static void test_reserve_commit(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8);
	char *at = kt_buf_reserve(&b, 8);

	assert_non_null(at);
	memcpy(at, "12345678", 8);
	kt_buf_commit(&b, 3);
	assert_string_equal(b.ptr, "123");
	assert_non_null(kt_buf_reserve(&b, 5));
	assert_null(kt_buf_reserve(&b, 6));
}

static void test_drop_truncate(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(100);

	kt_buf_adds(&b, "hello world");
	kt_buf_drop(&b, 6);
	assert_string_equal(b.ptr, "world");
	kt_buf_truncate(&b, 3);
	assert_string_equal(b.ptr, "wor");
	kt_buf_drop(&b, 3);
	assert_string_equal(b.ptr, "");
	kt_buf_adds(&b, "again");
	assert_string_equal(b.ptr, "again");
	kt_buf_release(&b);
	assert_int_equal(b.max, 100);
	kt_buf_adds(&b, "new");
	assert_string_equal(b.ptr, "new");
}

/* Formatted appends of every length around the places where memory grows. */
static void test_format_growth(void **state)
{
	for (int n = 0; n < 300; n++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1000);

		kt_buf_addf(&b, "%d:", 7);
		kt_buf_addf(&b, "%0*d", n, 0);
		kt_buf_addf(&b, "%s", "end");
		assert_true(kt_buf_ok(&b));
		assert_int_equal(b.len, 2 + KT_MAX(n, 1) + 3);
		assert_string_equal(b.ptr + b.len - 3, "end");
	}
}

static void test_vec(void **state)
{
	struct kt_vec v = KT_VEC_INIT;
	int n[100];

	for (int i = 0; i < 100; i++)
		kt_vec_push(&v, &n[i]);
	kt_vec_insert(&v, 0, &n[50]);
	assert_int_equal(v.len, 101);
	assert_ptr_equal(v.items[0], &n[50]);
	assert_ptr_equal(v.items[100], &n[99]);
	assert_true(kt_vec_remove_ptr(&v, &n[50]));
	assert_ptr_equal(v.items[0], &n[0]);
	assert_ptr_equal(v.items[50], &n[50]);
	assert_ptr_equal(kt_vec_remove(&v, 99), &n[99]);
	assert_ptr_equal(kt_vec_remove(&v, 0), &n[0]);
	assert_false(kt_vec_remove_ptr(&v, &v));
	assert_int_equal(v.len, 98);
	kt_vec_insert(&v, 98, &n[0]);
	assert_ptr_equal(v.items[98], &n[0]);
	kt_vec_release(&v);
	assert_null(v.items);
	kt_vec_push(&v, &n[1]);
	assert_int_equal(v.len, 1);
	kt_vec_release(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),           cmocka_unit_test(test_limit),
		cmocka_unit_test(test_overflow_sticks), cmocka_unit_test(test_huge_requests),
		cmocka_unit_test(test_reserve_commit),  cmocka_unit_test(test_drop_truncate),
		cmocka_unit_test(test_format_growth),   cmocka_unit_test(test_vec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
