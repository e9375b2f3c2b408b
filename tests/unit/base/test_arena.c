/* SPDX-License-Identifier: MIT */
/*
 * Tests of the arena and of checked allocation.
 */
#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void check_block(unsigned char *p, size_t n)
{
	assert_non_null(p);
	assert_int_equal((uintptr_t)p % 16, 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(p[i], 0);
}

/* Blocks of all sizes around those of the chunks: zeroed, aligned, and none overlaps another. */
static void test_alloc(void **state)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 4095, 4096, 4097, 1, 8192, 100000, 7,
		256 * 1024, 256 * 1024 + 1, 1000000, 3 };
	KT_AUTO_ARENA struct kt_arena *a = kt_arena_new();
	unsigned char *got[KT_ARRAY_LEN(sizes) * 8];

	for (size_t i = 0; i < KT_ARRAY_LEN(got); i++) {
		size_t n = sizes[i % KT_ARRAY_LEN(sizes)];

		got[i] = kt_arena_alloc(a, n);
		check_block(got[i], n);
		memset(got[i], (int)i, n);
	}
	for (size_t i = 0; i < KT_ARRAY_LEN(got); i++) {
		size_t n = sizes[i % KT_ARRAY_LEN(sizes)];

		for (size_t k = 0; k < n; k++) {
			if (got[i][k] != (unsigned char)i)
				fail_msg("block %zu was written over", i);
		}
	}
}

static void test_many_small(void **state)
{
	KT_AUTO_ARENA struct kt_arena *a = kt_arena_new();
	char *last = NULL;

	for (int i = 0; i < 100000; i++) {
		char *p = kt_arena_alloc(a, 24);

		assert_ptr_not_equal(p, last);
		assert_int_equal(p[0], 0);
		memset(p, 'x', 24);
		last = p;
	}
}

static void test_strings(void **state)
{
	KT_AUTO_ARENA struct kt_arena *a = kt_arena_new();
	char raw[3] = { 'a', 'b', 'c' };
	char big[5000];

	assert_string_equal(kt_arena_strndup(a, raw, 3), "abc");
	assert_string_equal(kt_arena_strndup(a, NULL, 0), "");
	assert_string_equal(kt_arena_strdup(a, "text"), "text");
	assert_string_equal(kt_arena_printf(a, "%d-%s", 7, "x"), "7-x");
	assert_string_equal(kt_arena_printf(a, "%s", ""), "");
	memset(big, 'b', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	assert_string_equal(kt_arena_printf(a, "%s", big), big);
	kt_arena_free(NULL);
}

static void test_checked_alloc(void **state)
{
	KT_AUTOFREE char *s = kt_asprintf("%s %d", "a", 1), *empty = kt_strdup("");
	KT_AUTOFREE char *part = kt_strndup("abcdef", 3), *none = kt_malloc(0);
	KT_AUTOFREE int *zeros = kt_calloc(10, sizeof(int));
	void *grown = NULL;
	size_t cap = 0;

	assert_string_equal(s, "a 1");
	assert_string_equal(empty, "");
	assert_string_equal(part, "abc");
	assert_non_null(none);
	for (int i = 0; i < 10; i++)
		assert_int_equal(zeros[i], 0);
	zeros = kt_realloc(zeros, 20, sizeof(int));
	zeros[19] = 1;
	assert_null(kt_try_malloc((size_t)PTRDIFF_MAX + 1));
	assert_null(kt_try_realloc(NULL, SIZE_MAX));
	kt_grow(&grown, &cap, 0, 8);
	assert_null(grown);
	kt_grow(&grown, &cap, 1, 8);
	assert_int_equal(cap, 8);
	kt_grow(&grown, &cap, 8, 8);
	assert_int_equal(cap, 8);
	kt_grow(&grown, &cap, 9, 8);
	assert_int_equal(cap, 16);
	memset(grown, 0, 128);
	free(grown);
}

static void test_steal(void **state)
{
	KT_AUTOFREE char *p = kt_strdup("mine");
	char *q = KT_STEAL(p);
	int fd = dup(0);
	KT_AUTOFD int owned = fd;
	int stolen = KT_STEAL_FD(owned);

	assert_null(p);
	assert_string_equal(q, "mine");
	free(q);
	assert_int_equal(owned, -1);
	assert_int_equal(stolen, fd);
	{
		KT_AUTOFD int again = stolen;

		assert_true(again >= 0 || fd < 0);
	}
	/* Closed by the scope's end. */
	assert_int_equal(close(stolen), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alloc),         cmocka_unit_test(test_many_small),
		cmocka_unit_test(test_strings),       cmocka_unit_test(test_checked_alloc),
		cmocka_unit_test(test_steal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
