/* SPDX-License-Identifier: MIT */
/*
 * Digests: vectors of FIPS 180-4 (NIST's examples) and RFC 4231, through both libraries, in pieces
 * of every size, from several threads.
 */
#include "crypto/crypto_private.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *text;
	size_t times;
	const char *digest;
} vectors[] = {
	{ "", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	{ "abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
		"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	{ "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
	  "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu", 1,
		"cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
	{ "a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" },
};

static void check_library(const struct kt_evp *evp)
{
	struct kt_sha256 *h = kt_sha256_new_with(evp);
	char out[KT_DIGEST_MAX];

	for (size_t i = 0; i < KT_ARRAY_LEN(vectors); i++) {
		for (size_t n = 0; n < vectors[i].times; n++)
			kt_sha256_update(h, vectors[i].text, strlen(vectors[i].text));
		kt_sha256_hex(h, out);
		assert_string_equal(out, vectors[i].digest);
	}
	/* Every way to cut a message of three blocks in two. */
	for (size_t cut = 0; cut <= 112; cut++) {
		kt_sha256_update(h, vectors[3].text, cut);
		kt_sha256_update(h, vectors[3].text + cut, 112 - cut);
		kt_sha256_hex(h, out);
		assert_string_equal(out, vectors[3].digest);
	}
	kt_sha256_free(h);
}

static void test_sodium(void **state)
{
	check_library(NULL);
}

static void test_evp(void **state)
{
	if (!kt_crypto_evp())
		skip();
	check_library(kt_crypto_evp());
}

static void test_of(void **state)
{
	char out[KT_DIGEST_MAX];

	kt_sha256_of(NULL, 0, out);
	assert_string_equal(out, vectors[0].digest);
	kt_sha256_of("abc", 3, out);
	assert_string_equal(out, vectors[1].digest);
	kt_sha256_free(NULL);
}

static void *digest_thread(void *arg)
{
	bool *ok = arg;
	char out[KT_DIGEST_MAX];

	*ok = kt_crypto_init(NULL) == KT_OK;
	for (int i = 0; i < 1000; i++) {
		kt_sha256_of("abc", 3, out);
		*ok = *ok && strcmp(out, vectors[1].digest) == 0;
	}
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[4];
	bool ok[4] = { false };

	for (size_t i = 0; i < KT_ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, digest_thread, &ok[i]), 0);
	for (size_t i = 0; i < KT_ARRAY_LEN(threads); i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(ok[i]);
	}
}

static void test_digest_ok(void **state)
{
	char s[80];

	memcpy(s, vectors[0].digest, 65);
	assert_true(kt_digest_ok(s));
	for (size_t i = 0; i < 64; i++) {
		static const char bad[] = "Gg A/:`\n\xc3";

		for (size_t k = 0; k < sizeof(bad); k++) {
			char was = s[i];

			s[i] = bad[k];
			assert_false(kt_digest_ok(s));
			s[i] = was;
		}
	}
	s[64] = '0';
	s[65] = '\0';
	assert_false(kt_digest_ok(s));
	assert_false(kt_digest_ok(""));
}

/* RFC 4231, test cases 1 to 4, 6 and 7; keys and data that repeat one byte are written so. */
static void test_hmac(void **state)
{
	unsigned char aa[131], key1[20], key4[25], dd[50], cd[50];
	static const char long_data[] =
		"This is a test using a larger than block-size key and a larger than block-size "
		"data. The key needs to be hashed before being used by the HMAC algorithm.";
	const struct {
		const void *key;
		size_t key_len;
		const void *data;
		size_t len;
		const char *mac;
	} cases[] = {
		{ key1, 20, "Hi There", 8,
			"b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
		{ "Jefe", 4, "what do ya want for nothing?", 28,
			"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
		{ aa, 20, dd, 50,
			"773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe" },
		{ key4, 25, cd, 50,
			"82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b" },
		{ aa, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 54,
			"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
		{ aa, 131, long_data, sizeof(long_data) - 1,
			"9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2" },
		/* Both empty: NULL is allowed. */
		{ NULL, 0, NULL, 0,
			"b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad" },
	};

	memset(aa, 0xaa, sizeof(aa));
	memset(key1, 0x0b, sizeof(key1));
	memset(dd, 0xdd, sizeof(dd));
	memset(cd, 0xcd, sizeof(cd));
	for (size_t i = 0; i < sizeof(key4); i++)
		key4[i] = (unsigned char)(i + 1);
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		char out[KT_DIGEST_MAX];

		kt_hmac_sha256_hex(
			cases[i].key, cases[i].key_len, cases[i].data, cases[i].len, out);
		assert_string_equal(out, cases[i].mac);
	}
}

static void test_secrets(void **state)
{
	char s[] = "secret";

	assert_true(kt_secret_eq("", ""));
	assert_true(kt_secret_eq("abc", "abc"));
	assert_false(kt_secret_eq("abc", "abd"));
	assert_false(kt_secret_eq("xbc", "abc"));
	assert_false(kt_secret_eq("abc", "ab"));
	assert_false(kt_secret_eq("", "a"));
	kt_secret_wipe(s, 6);
	for (int i = 0; i < 6; i++)
		assert_int_equal(s[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads), /* first, so that it loads the libraries */
		cmocka_unit_test(test_sodium),
		cmocka_unit_test(test_evp),
		cmocka_unit_test(test_of),
		cmocka_unit_test(test_digest_ok),
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_secrets),
	};
	return cmocka_run_group_tests_name("crypto/digest", tests, NULL, NULL);
}
