/* SPDX-License-Identifier: MIT */
/* API keys: shape, checksum, no two alike, fair characters, hashes under a master key. */
#include "crypto/crypto.h"

#include "base/fs.h"
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MANY 100000

static void test_shape(void **state)
{
	char key[KT_API_KEY_LEN + 1];

	kt_api_key_new(true, key);
	assert_int_equal(strlen(key), KT_API_KEY_LEN);
	assert_memory_equal(key, "kt_live_", 8);
	assert_true(kt_api_key_ok(key));
	kt_api_key_new(false, key);
	assert_memory_equal(key, "kt_test_", 8);
	assert_true(kt_api_key_ok(key));
}

/* Checksums computed with zlib's crc32(). */
static void test_known(void **state)
{
	static const char *const good[] = {
		"kt_live_000000000000000000000000000000000YADOc",
		"kt_test_0123456789ABCDEFGHIJKLMNOPQRSTUV1Vivq0",
		"kt_live_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz1K9oJc",
	};
	static const char *const bad[] = { "", "kt_live_", "kt_", "x",
		"kt_prod_00000000000000000000000000000000000000",
		"KT_LIVE_00000000000000000000000000000000000000",
		"kt_live_0000000000000000000000000000000000000",
		"kt_live_000000000000000000000000000000000000000",
		"kt_live_0000000000000000000000000000000-000000",
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(good); i++)
		assert_true(kt_api_key_ok(good[i]));
	for (size_t i = 0; i < KT_ARRAY_LEN(bad); i++)
		assert_false(kt_api_key_ok(bad[i]));
}

/* Any one character changed, and any two neighbors swapped, is noticed. */
static void test_typos(void **state)
{
	static const char chars[] =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_- ";
	char key[KT_API_KEY_LEN + 2];

	for (int round = 0; round < 20; round++) {
		kt_api_key_new(round % 2 == 0, key);
		for (size_t i = 0; i < KT_API_KEY_LEN; i++) {
			char was = key[i];

			for (size_t k = 0; k < sizeof(chars) - 1; k++) {
				key[i] = chars[k];
				assert_int_equal(kt_api_key_ok(key), chars[k] == was);
			}
			key[i] = was;
			if (i + 1 < KT_API_KEY_LEN && key[i] != key[i + 1]) {
				key[i] = key[i + 1];
				key[i + 1] = was;
				assert_false(kt_api_key_ok(key));
				key[i + 1] = key[i];
				key[i] = was;
			}
		}
		key[KT_API_KEY_LEN - 1] = '\0';
		assert_false(kt_api_key_ok(key));
	}
}

static void test_many(void **state)
{
	struct kt_map seen = KT_MAP_INIT;
	char key[KT_API_KEY_LEN + 1];
	int counts[256] = { 0 };

	for (int i = 0; i < MANY; i++) {
		kt_api_key_new(true, key);
		assert_null(kt_map_set(&seen, key, &seen));
		for (int k = 8; k < 40; k++)
			counts[(unsigned char)key[k]]++;
	}
	/* 3.2 million characters, 51,613 expected of each; 6 standard deviations are 1,352. */
	for (int c = 0; c < 256; c++) {
		if (counts[c] != 0)
			assert_in_range(counts[c], 50261, 52965);
	}
	kt_map_release(&seen);
}

static struct kt_master *master(const char *dir, const char *name)
{
	KT_AUTOFREE char *path = kt_path_join(dir, name);
	struct kt_master *m = NULL;

	assert_int_equal(kt_master_open(path, true, &m, NULL), KT_OK);
	return m;
}

static void test_hash(void **state)
{
	char dir[] = "/tmp/karta-test-key-XXXXXX";
	unsigned char a[KT_KEY_HASH_BYTES], b[KT_KEY_HASH_BYTES];
	char key[KT_API_KEY_LEN + 1], other[KT_API_KEY_LEN + 1];
	struct kt_master *m1, *m2;

	assert_non_null(mkdtemp(dir));
	m1 = master(dir, "one");
	m2 = master(dir, "two");
	kt_api_key_new(true, key);
	kt_api_key_new(true, other);
	kt_api_key_hash(m1, key, a);
	kt_api_key_hash(m1, key, b);
	assert_true(kt_api_key_hash_eq(a, b));
	kt_api_key_hash(m1, other, b);
	assert_false(kt_api_key_hash_eq(a, b));
	kt_api_key_hash(m2, key, b);
	assert_false(kt_api_key_hash_eq(a, b));
	memcpy(b, a, sizeof(b));
	for (size_t i = 0; i < sizeof(b); i++) {
		b[i] ^= 1;
		assert_false(kt_api_key_hash_eq(a, b));
		b[i] ^= 1;
	}
	kt_master_free(m1);
	kt_master_free(m2);
	assert_int_equal(kt_fs_remove_tree(dir, NULL), KT_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shape),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_typos),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_hash),
	};
	return cmocka_run_group_tests_name("crypto/key", tests, NULL, NULL);
}
