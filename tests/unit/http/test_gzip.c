/* SPDX-License-Identifier: MIT */
/* Which requests take gzip, and what unpacks. */
#include "http/gzip.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool takes(const char *first, const char *second)
{
	struct kt_header headers[] = {
		{ "accept", "gzip" },
		{ "accept-encoding", first },
		{ "accept-encoding", second },
	};
	struct kt_request rq = { .headers = headers, .n_headers = second ? 3 : first ? 2 : 1 };

	return kt_request_takes_gzip(&rq);
}

static void test_takes(void **state)
{
	static const char *const yes[] = { "gzip", "GZip", "gzip, deflate, br, zstd", "br;q=1.0, gzip",
		"br,gzip;q=0.001", "gzip;q=1", "gzip ; q=0.5", "*", "deflate, *;q=0.1", "identity;q=0, gzip",
		" \tgzip", ",,gzip", "*;q=0, gzip;q=1.000" };
	static const char *const no[] = { "", " ", "identity", "br", "deflate", "gzip;q=0", "gzip;q=0.000",
		"gzip; q=0.0", "*, gzip;q=0", "*;q=0", "xgzip", "gzipx", "gzip-x", "gzip;q=", "gzip;q=x",
		"gzip;level=1", "gzip x", "\"gzip\"", ",", ";", ";q=1", "br gzip" };

	(void)state;
	for (size_t i = 0; i < KT_ARRAY_LEN(yes); i++)
		if (!takes(yes[i], NULL))
			fail_msg("refused: %s", yes[i]);
	for (size_t i = 0; i < KT_ARRAY_LEN(no); i++)
		if (takes(no[i], NULL))
			fail_msg("taken: %s", no[i]);
	assert_false(takes(NULL, NULL));
	/* Two lines are one list. */
	assert_true(takes("br", "gzip"));
	assert_false(takes("*", "gzip;q=0"));
}

/* printf 'hello hello hello\n' | gzip -9n */
static const unsigned char hello[] = { 0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xcb,
	0x48, 0xcd, 0xc9, 0xc9, 0x57, 0xc8, 0x40, 0x90, 0x5c, 0x00, 0x3b, 0x7c, 0x8a, 0xdf, 0x12, 0x00,
	0x00, 0x00 };
#define PLAIN "hello hello hello\n"
#define PLAIN_LEN (sizeof(PLAIN) - 1)

/* Exactly as long as they say, so that ASan sees any byte beyond. */
static enum kt_code unpack(const unsigned char *in, size_t len, size_t out_len, const char *want)
{
	unsigned char *copy = kt_malloc(len ? len : 1);
	char *out = kt_malloc(out_len ? out_len : 1);
	enum kt_code rc;

	memcpy(copy, in, len);
	rc = kt_gunzip(copy, len, out, out_len, NULL);
	if (rc == KT_OK)
		assert_memory_equal(out, want, out_len);
	free(copy);
	free(out);
	return rc;
}

static void test_unpack(void **state)
{
	unsigned char bad[sizeof(hello) + 1];

	(void)state;
	assert_int_equal(unpack(hello, sizeof(hello), PLAIN_LEN, PLAIN), KT_OK);
	assert_int_equal(unpack(hello, sizeof(hello), PLAIN_LEN - 1, PLAIN), KT_EPROTO);
	assert_int_equal(unpack(hello, sizeof(hello), PLAIN_LEN + 1, PLAIN), KT_EPROTO);
	for (size_t n = 0; n < sizeof(hello); n++)
		assert_int_equal(unpack(hello, n, PLAIN_LEN, PLAIN), KT_EPROTO);
	/* A byte more, or a changed one behind the head. */
	memcpy(bad, hello, sizeof(hello));
	bad[sizeof(hello)] = 0;
	assert_int_equal(unpack(bad, sizeof(bad), PLAIN_LEN, PLAIN), KT_EPROTO);
	for (size_t i = 10; i < sizeof(hello); i++) {
		memcpy(bad, hello, sizeof(hello));
		bad[i] ^= 0x20;
		assert_int_equal(unpack(bad, sizeof(hello), PLAIN_LEN, PLAIN), KT_EPROTO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_takes),
		cmocka_unit_test(test_unpack),
	};

	return cmocka_run_group_tests_name("http/gzip", tests, NULL, NULL);
}
