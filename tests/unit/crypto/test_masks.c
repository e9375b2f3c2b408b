/* SPDX-License-Identifier: MIT */
/* Text without values that must not be seen, and what that may cost. */
#include "crypto/masks.h"

#include "base/buf.h"
#include "base/time.h"
#include "tests/unit/patience.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void is(const struct kt_masks *m, const char *text, const char *want)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);

	kt_masks_apply(m, text, strlen(text), 32768, &b);
	assert_string_equal(b.ptr, want);
}

static void test_values(void **state)
{
	struct kt_masks m = { 0 };

	is(&m, "hunter2hunter2", "hunter2hunter2");
	kt_masks_add(&m, "hunter2hunter2");
	kt_masks_add(&m, "hunter2hunter2");
	kt_masks_add(&m, "hunter2hunter2-and-more");
	kt_masks_add(&m, "seven77");
	kt_masks_add(&m, "-----BEGIN KEY-----\nMIIBVgIBADANBgkq\r\nabc\n");
	is(&m, "", "");
	is(&m, "hunter2hunter2", "***");
	is(&m, "hunter2hunter", "hunter2hunter");
	is(&m, "xhunter2hunter2-and-morex", "x***x");
	is(&m, "hunter2hunter2-and-mor", "***-and-mor");
	is(&m, "hunter2hunter2hunter2hunter2", "******");
	is(&m, "hunter2hunter2hunter2", "***hunter2");
	is(&m, "seven77 is a word", "seven77 is a word");
	is(&m, "a MIIBVgIBADANBgkq b -----BEGIN KEY----- c abc", "a *** b *** c abc");
	kt_masks_release(&m);
	is(&m, "hunter2hunter2", "hunter2hunter2");
}

/* Against the plain way, with values and texts of few letters, so that much begins alike. */
static void test_against_the_plain_way(void **state)
{
	unsigned x = 12345;

	for (int round = 0; round < 200; round++) {
		struct kt_masks m = { 0 }, more = { 0 };
		char values[12][24], text[400];
		KT_AUTO_BUF struct kt_buf got = KT_BUF_INIT(4096);
		KT_AUTO_BUF struct kt_buf want = KT_BUF_INIT(4096);

		for (size_t i = 0; i < sizeof(text); i++) {
			x = x * 1103515245 + 12345;
			text[i] = i + 1 < sizeof(text) ? "ab"[(x >> 16) % 9 == 0] : '\0';
		}
		for (size_t i = 0; i < KT_ARRAY_LEN(values); i++) {
			size_t n = 8 + (x >> 18) % 12;

			x = x * 1103515245 + 12345;
			memcpy(values[i], text + (x >> 16) % (sizeof(text) - 24), n);
			values[i][n] = '\0';
			kt_masks_add(i % 2 ? &m : &more, values[i]);
		}
		kt_masks_take(&m, &more);
		for (size_t at = 0; text[at];) {
			size_t best = 0;

			for (size_t i = 0; i < KT_ARRAY_LEN(values); i++) {
				size_t n = strlen(values[i]);

				if (n > best && strncmp(text + at, values[i], n) == 0)
					best = n;
			}
			if (best)
				kt_buf_adds(&want, "***");
			else
				kt_buf_addc(&want, text[at]);
			at += best ? best : 1;
		}
		kt_masks_apply(&m, text, strlen(text), 4000, &got);
		assert_string_equal(got.ptr, want.ptr);
		kt_masks_release(&m);
	}
}

static void test_cut(void **state)
{
	struct kt_masks m = { 0 };

	kt_masks_add(&m, "0123456789");
	for (size_t max = 1; max < 40; max++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(100);

		kt_masks_apply(&m, "abc0123456789def0123456789ghi", 29, max, &b);
		assert_true(b.len <= max + 2);
		assert_null(strchr(b.ptr, '0'));
	}
	kt_masks_release(&m);
}

/* As many values as a project can have, and a text made to look like all of them. */
static void test_what_it_may_cost(void **state)
{
	enum { VALUES = 1000, PREFIX = 3000, TEXT = 65536 };
	struct kt_masks m = { 0 };
	char *value = kt_calloc(1, PREFIX + 32), *text = kt_malloc(TEXT + 1);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT + 16);
	int64_t began;

	memset(value, 'A', PREFIX);
	for (int i = 0; i < VALUES; i++) {
		(void)snprintf(value + PREFIX, 32, "%d-end", i);
		kt_masks_add(&m, value);
	}
	memset(text, 'A', TEXT);
	text[TEXT] = '\0';
	began = kt_mono_us();
	kt_masks_apply(&m, text, TEXT, TEXT, &b);
	assert_true(kt_mono_us() - began < 1000 * slowed_ms(500));
	/* What could not be looked at is not shown. */
	assert_true(kt_buf_ok(&b) && b.len < 10000);
	assert_string_equal(b.ptr + b.len - 3, "***");
	kt_masks_release(&m);

	/* One that is found eight thousand times, among many that are not. */
	for (int i = 0; i < VALUES; i++) {
		(void)snprintf(value, 32, "%08d-value", i);
		kt_masks_add(&m, value);
	}
	kt_masks_add(&m, "01234567");
	for (size_t i = 0; i < TEXT; i++)
		text[i] = (char)('0' + i % 8);
	kt_buf_clear(&b);
	began = kt_mono_us();
	kt_masks_apply(&m, text, TEXT, TEXT, &b);
	assert_true(kt_mono_us() - began < 1000 * slowed_ms(500));
	assert_int_equal(b.len, TEXT / 8 * 3);
	kt_masks_release(&m);
	free(value);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_against_the_plain_way),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_what_it_may_cost),
	};

	return cmocka_run_group_tests_name("control/masks", tests, NULL, NULL);
}
