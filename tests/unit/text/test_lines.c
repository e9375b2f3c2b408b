/* SPDX-License-Identifier: MIT */
/* Line framing: every way to cut the input gives the same lines and the same error. */
#include "text/lines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void on_line(void *arg, char *line, size_t len)
{
	struct kt_buf *b = arg;

	assert_int_equal(line[len], '\0');
	kt_buf_addc(b, '<');
	kt_buf_add(b, line, len);
	kt_buf_addc(b, '>');
	if (len > 0)
		line[0] = '#'; /* callers may change it in place */
}

/* Feed in pieces of at most `piece` bytes; "!" in the result is the error. */
static void feed(struct kt_buf *out, const char *text, size_t len, size_t piece, size_t max)
{
	struct kt_lines l;
	bool failed = false;

	kt_lines_init(&l, max);
	for (size_t i = 0; i < len; i += piece) {
		size_t n = KT_MIN(piece, len - i);
		enum kt_code code = kt_lines_feed(&l, text + i, n, on_line, out, NULL);

		if (code != KT_OK) {
			assert_int_equal(code, KT_ELIMIT);
			assert_false(failed);
			failed = true;
			kt_buf_addc(out, '!');
		}
	}
	kt_lines_end(&l, on_line, out);
	kt_lines_release(&l);
}

static void test_framing(void **state)
{
	static const struct {
		const char *text, *want;
		size_t max;
	} cases[] = {
		{ "", "", 8 },
		{ "a\nb\n", "<a><b>", 8 },
		{ "a\r\nb\r\n", "<a><b>", 8 },
		{ "\n\r\n\n", "<><><>", 8 },
		{ "a\rb\n\r\r\n", "<a\rb><\r>", 8 },
		{ "tail", "<tail>", 8 },
		{ "x\ntail\r", "<x><tail>", 8 },
		{ "12345678\n", "<12345678>", 8 },
		{ "12345678\r\nok\n", "<12345678><ok>", 8 },
		{ "12345678", "<12345678>", 8 },
		{ "a\n123456789\nb\n", "<a>!", 8 },
		{ "a\n123456789\r\nb\n", "<a>!", 8 },
		{ "12345678\r9\n", "!", 8 },
		{ "1234567890123456789", "!", 8 },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		for (size_t piece = 1; piece <= 20; piece++) {
			KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(4096);

			feed(&out, cases[i].text, strlen(cases[i].text), piece, cases[i].max);
			assert_string_equal(out.ptr, cases[i].want);
		}
	}
}

static void test_nul_stays(void **state)
{
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(64);

	feed(&out, "a\0b\nc", 5, 2, 8);
	assert_int_equal(out.len, 8);
	assert_memory_equal(out.ptr, "<a\0b><c>", 8);
}

static void test_clear(void **state)
{
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(64);
	struct kt_lines l;

	kt_lines_init(&l, 4);
	assert_int_equal(kt_lines_feed(&l, "12345", 5, on_line, &out, NULL), KT_ELIMIT);
	assert_int_equal(kt_lines_feed(&l, "\nx\n", 3, on_line, &out, NULL), KT_OK);
	assert_string_equal(out.ptr, "");
	kt_lines_clear(&l);
	assert_int_equal(kt_lines_feed(&l, "ok\n", 3, on_line, &out, NULL), KT_OK);
	assert_string_equal(out.ptr, "<ok>");
	kt_lines_release(&l);
}

/* The memory of one large line does not stay. */
static void test_large_line(void **state)
{
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(8 * 1024 * 1024);
	KT_AUTO_BUF struct kt_buf big = KT_BUF_INIT(8 * 1024 * 1024);
	struct kt_lines l;

	for (int i = 0; i < 100000; i++)
		kt_buf_adds(&big, "0123456789");
	kt_buf_addc(&big, '\n');
	kt_lines_init(&l, 4 * 1024 * 1024);
	for (size_t i = 0; i < big.len; i += 4096)
		assert_int_equal(kt_lines_feed(&l, big.ptr + i, KT_MIN((size_t)4096, big.len - i),
					 on_line, &out, NULL),
			KT_OK);
	assert_int_equal(out.len, 1000002);
	assert_true(l.buf.cap <= 256 * 1024);
	assert_int_equal(kt_lines_feed(&l, big.ptr, big.len, on_line, &out, NULL), KT_OK);
	assert_int_equal(out.len, 2000004);
	kt_lines_release(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_nul_stays),
		cmocka_unit_test(test_clear),
		cmocka_unit_test(test_large_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
