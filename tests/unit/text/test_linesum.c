/* SPDX-License-Identifier: MIT */
/* The check of a line: known values, every flipped bit, lines that have none. */
#include "text/linesum.h"

#include "base/crc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_values(void **state)
{
	unsigned char zeros[32] = { 0 }, ones[32];
	char digits[9];

	(void)state;
	/* RFC 3720, B.4. */
	memset(ones, 0xff, sizeof(ones));
	assert_int_equal(kt_crc32c(0, zeros, 32), 0x8a9136aa);
	assert_int_equal(kt_crc32c(0, ones, 32), 0x62a8ab43);
	assert_int_equal(kt_crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(kt_crc32c(kt_crc32c(0, "1234", 4), "56789", 5), 0xe3069283);
	assert_int_equal(kt_crc32c(0, "", 0), 0);
	kt_linesum_text("123456789", 9, digits);
	assert_string_equal(digits, "e3069283");
}

static void test_every_bit(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(256);
	size_t body;

	(void)state;
	kt_buf_adds(&b, "before\n");
	kt_buf_adds(&b, "{\"id\":\"sess_1\",\"x\":[1,2]}");
	body = b.len - 1;
	kt_linesum_add(&b, 7);
	assert_true(kt_buf_ok(&b));
	assert_int_equal(b.len, body + 18);
	assert_int_equal(kt_linesum_check(b.ptr + 7, b.len - 7), KT_LINESUM_OK);
	for (size_t i = 7; i < b.len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			enum kt_linesum got;

			b.ptr[i] ^= (char)(1 << bit);
			got = kt_linesum_check(b.ptr + 7, b.len - 7);
			/* What names the check is itself in no check. */
			assert_true(got == KT_LINESUM_BAD || (got == KT_LINESUM_NONE && i >= body));
			b.ptr[i] ^= (char)(1 << bit);
		}
	}
	for (size_t n = 0; n < b.len - 7; n++)
		assert_int_not_equal(kt_linesum_check(b.ptr + 7, n), KT_LINESUM_OK);
	assert_int_equal(kt_linesum_check("{\"id\":\"sess_1\"}", 15), KT_LINESUM_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_every_bit),
	};

	return cmocka_run_group_tests_name("linesum", tests, NULL, NULL);
}
