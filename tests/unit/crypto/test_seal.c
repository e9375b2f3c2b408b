/* SPDX-License-Identifier: MIT */
/* Sealed values: round trip, every byte matters, so do key and context; stored forms stay. */
#include "crypto/crypto.h"

#include "base/fs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define OVERHEAD 41 /* version, nonce, tag */
#define CONTEXT "config/org_1/proj_2/API_KEY"

static char root[] = "/tmp/karta-test-seal-XXXXXX";

static struct kt_master *master_of(const char *name, const void *key)
{
	KT_AUTOFREE char *path = kt_path_join(root, name);
	struct kt_master *m = NULL;

	if (key)
		assert_int_equal(kt_fs_write_atomic(path, key, 32, 0600, false, NULL), KT_OK);
	assert_int_equal(kt_master_open(path, true, &m, NULL), KT_OK);
	return m;
}

static void test_round_trip(void **state)
{
	struct kt_master *m = master_of("key", NULL);
	char data[1000];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7);
	for (size_t len = 0; len <= sizeof(data); len += len < 70 ? 1 : 93) {
		KT_AUTO_BUF struct kt_buf sealed = KT_BUF_INIT(2000);
		KT_AUTO_BUF struct kt_buf again = KT_BUF_INIT(2000);
		KT_AUTO_BUF struct kt_buf open = KT_BUF_INIT(2000);

		kt_buf_adds(&open, "head");
		kt_seal(m, CONTEXT, data, len, &sealed);
		assert_int_equal(sealed.len, len + OVERHEAD);
		assert_int_equal(sealed.ptr[0], 1);
		assert_int_equal(
			kt_unseal(m, CONTEXT, sealed.ptr, sealed.len, &open, NULL), KT_OK);
		assert_int_equal(open.len, len + 4);
		assert_memory_equal(open.ptr + 4, data, len);
		/* Never the same twice. */
		kt_seal(m, CONTEXT, data, len, &again);
		assert_memory_not_equal(again.ptr, sealed.ptr, sealed.len);
	}
	kt_master_free(m);
}

static void test_tamper(void **state)
{
	struct kt_master *m = master_of("key", NULL), *other = master_of("other", NULL);
	KT_AUTO_BUF struct kt_buf sealed = KT_BUF_INIT(200);
	KT_AUTO_BUF struct kt_buf open = KT_BUF_INIT(200);
	struct kt_err err = KT_ERR_INIT;

	kt_buf_adds(&open, "before");
	kt_seal(m, CONTEXT, "a secret value", 14, &sealed);
	for (size_t i = 0; i < sealed.len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			sealed.ptr[i] ^= (char)(1 << bit);
			assert_int_equal(
				kt_unseal(m, CONTEXT, sealed.ptr, sealed.len, &open, &err),
				KT_EPROTO);
			sealed.ptr[i] ^= (char)(1 << bit);
		}
	}
	for (size_t len = 0; len < sealed.len; len++)
		assert_int_equal(
			kt_unseal(m, CONTEXT, sealed.ptr, len, &open, &err), KT_EPROTO);
	assert_int_equal(
		kt_unseal(other, CONTEXT, sealed.ptr, sealed.len, &open, &err), KT_EPROTO);
	assert_int_equal(kt_unseal(m, "", sealed.ptr, sealed.len, &open, &err), KT_EPROTO);
	assert_int_equal(kt_unseal(m, "config/org_1/proj_2/API_KEX", sealed.ptr, sealed.len, &open,
				 &err),
		KT_EPROTO);
	/* No message shows the value; nothing was appended. */
	assert_null(strstr(err.msg, "secret value"));
	assert_string_equal(open.ptr, "before");
	assert_int_equal(open.len, 6);
	kt_master_free(m);
	kt_master_free(other);
}

static void test_bounds(void **state)
{
	struct kt_master *m = master_of("key", NULL);
	KT_AUTO_BUF struct kt_buf sealed = KT_BUF_INIT(OVERHEAD + 5);
	KT_AUTO_BUF struct kt_buf small = KT_BUF_INIT(OVERHEAD + 4);
	KT_AUTO_BUF struct kt_buf open = KT_BUF_INIT(4);

	kt_seal(m, CONTEXT, "12345", 5, &small);
	assert_false(kt_buf_ok(&small));
	assert_int_equal(small.len, 0);
	kt_seal(m, CONTEXT, "12345", 5, &sealed);
	assert_true(kt_buf_ok(&sealed));
	assert_int_equal(
		kt_unseal(m, CONTEXT, sealed.ptr, sealed.len, &open, NULL), KT_ELIMIT);
	kt_master_free(m);
}

/* A value sealed long ago under a known key still opens, and hashes of keys stay what they are. */
static void test_stored(void **state)
{
	static const unsigned char key[32] = "0123456789abcdef0123456789abcde\n";
	static const unsigned char sealed[] = {
		0x01, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a,
		0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16,
		0x17, 0x9b, 0x7b, 0x7b, 0xb1, 0xee, 0xd3, 0xe4, 0x61, 0xa5, 0x7d, 0xaa,
		0x29, 0xf0, 0xf8, 0x5a, 0x24, 0x96, 0x31, 0x1f, 0x09, 0xdd, 0xb3 };
	static const unsigned char hash[KT_KEY_HASH_BYTES] = {
		0xef, 0xd4, 0x40, 0x30, 0xcf, 0xfe, 0x37, 0xc8, 0xab, 0x37, 0xc7, 0xdf,
		0xe3, 0xf7, 0xb7, 0x2e, 0xb5, 0x43, 0x25, 0xc0, 0x94, 0x94, 0xde, 0xe9,
		0x09, 0xb4, 0xd7, 0x6a, 0x16, 0x2c, 0x37, 0xe7 };
	struct kt_master *m = master_of("known", key);
	KT_AUTO_BUF struct kt_buf open = KT_BUF_INIT(200);
	unsigned char got[KT_KEY_HASH_BYTES];

	assert_int_equal(kt_unseal(m, CONTEXT, sealed, sizeof(sealed), &open, NULL), KT_OK);
	assert_string_equal(open.ptr, "stored");
	kt_api_key_hash(m, "kt_live_00000000000000000000000000000000000000", got);
	assert_memory_equal(got, hash, sizeof(hash));
	kt_master_free(m);
}

static int set_up(void **state)
{
	return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
	return kt_fs_remove_tree(root, NULL) == KT_OK ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_tamper),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_stored),
	};
	return cmocka_run_group_tests_name("crypto/seal", tests, set_up, tear_down);
}
