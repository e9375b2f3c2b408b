/* SPDX-License-Identifier: MIT */
/*
 * Tests of the string map against a plain array as the model.
 */
#include "base/map.h"
#include "tests/unit/patience.h"


#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define KEYS 500

static void test_empty(void **state)
{
	struct kt_map m = KT_MAP_INIT;
	size_t pos = 0;

	assert_null(kt_map_get(&m, "a"));
	assert_null(kt_map_del(&m, "a"));
	assert_false(kt_map_next(&m, &pos, NULL, NULL));
	kt_map_release(&m);
}

static void test_set_replaces(void **state)
{
	struct kt_map m = KT_MAP_INIT;
	char key[] = "key";
	int a, b;

	assert_null(kt_map_set(&m, key, &a));
	/* The map has its own copy. */
	key[0] = 'x';
	assert_ptr_equal(kt_map_get(&m, "key"), &a);
	assert_null(kt_map_get(&m, "xey"));
	assert_ptr_equal(kt_map_set(&m, "key", &b), &a);
	assert_int_equal(m.len, 1);
	assert_null(kt_map_set(&m, "", &a));
	assert_ptr_equal(kt_map_get(&m, ""), &a);
	assert_ptr_equal(kt_map_del(&m, "key"), &b);
	assert_null(kt_map_get(&m, "key"));
	assert_null(kt_map_del(&m, "key"));
	assert_int_equal(m.len, 1);
	kt_map_release(&m);
	assert_null(kt_map_set(&m, "again", &a));
	kt_map_release(&m);
}

/* Keys of every length up to some words of the hash, which differ in the last byte only. */
static void test_key_lengths(void **state)
{
	struct kt_map m = KT_MAP_INIT;
	char key[40];
	int value[40][2];

	for (int way = 0; way < 2; way++) {
		for (size_t n = 1; n < sizeof(key) - 1; n++) {
			for (int last = 0; last < 2; last++) {
				memset(key, 'k', n);
				key[n - 1] = (char)('a' + last);
				key[n] = '\0';
				if (way == 0)
					assert_null(kt_map_set(&m, key, &value[n][last]));
				else
					assert_ptr_equal(kt_map_get(&m, key), &value[n][last]);
			}
		}
	}
	kt_map_release(&m);
}

static void test_against_model(void **state)
{
	struct kt_map m = KT_MAP_INIT;
	static int store[KEYS];
	int *model[KEYS] = { NULL };
	size_t len = 0;
	char key[32];

	for (int step = 0; step < 20000; step++) {
		size_t k = chance_below(KEYS);
		int *v = &store[chance_below(KEYS)];

		snprintf(key, sizeof(key), "key-%zu", k);
		switch (chance_below(3)) {
		case 0:
			assert_ptr_equal(kt_map_set(&m, key, v), model[k]);
			len += !model[k];
			model[k] = v;
			break;
		case 1:
			assert_ptr_equal(kt_map_del(&m, key), model[k]);
			len -= model[k] != NULL;
			model[k] = NULL;
			break;
		default:
			assert_ptr_equal(kt_map_get(&m, key), model[k]);
		}
		assert_int_equal(m.len, len);
		assert_true(m.used <= m.cap / 4 * 3);
	}
	/* Adding and removing for ever must not make the table grow. */
	assert_true(m.cap <= 4 * KEYS);
	kt_map_release(&m);
}

static void test_walk(void **state)
{
	struct kt_map m = KT_MAP_INIT;
	int seen[KEYS] = { 0 };
	const char *name;
	void *value;
	char key[32];
	size_t pos = 0;

	for (int i = 0; i < KEYS; i++) {
		snprintf(key, sizeof(key), "%d", i);
		kt_map_set(&m, key, &seen[i]);
	}
	while (kt_map_next(&m, &pos, &name, &value)) {
		(*(int *)value)++;
		if (strlen(name) == 3)
			assert_ptr_equal(kt_map_del(&m, name), value);
	}
	for (int i = 0; i < KEYS; i++)
		assert_int_equal(seen[i], 1);
	assert_int_equal(m.len, 100);
	kt_map_release(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),       cmocka_unit_test(test_set_replaces),
		cmocka_unit_test(test_key_lengths), cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
