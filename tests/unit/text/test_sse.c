/* SPDX-License-Identifier: MIT */
/* The event stream reader: WHATWG HTML 9.2, and every way to cut the stream. */
#include "text/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool on_event(void *arg, const struct kt_sse_event *ev)
{
	struct kt_buf *b = arg;

	assert_int_equal(strlen(ev->data), ev->data_len);
	kt_buf_addf(b, "<%s|%s|%s>", ev->id, ev->event, ev->data);
	return strcmp(ev->data, "stop") != 0;
}

static void feed(struct kt_buf *out, const char *text, size_t piece, size_t max)
{
	size_t len = strlen(text);
	struct kt_sse s;

	kt_sse_init(&s, max);
	for (size_t i = 0; i < len; i += piece) {
		enum kt_code code =
			kt_sse_feed(&s, text + i, KT_MIN(piece, len - i), on_event, out, NULL);

		if (code != KT_OK) {
			kt_buf_adds(out, code == KT_ECANCEL ? "stopped" : "limit");
			break;
		}
	}
	if (s.retry_ms >= 0)
		kt_buf_addf(out, "retry %lld", (long long)s.retry_ms);
	kt_sse_release(&s);
}

static void test_streams(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "", "" },
		{ "data: a\n\n", "<|message|a>" },
		{ "data:a\r\n\r\n", "<|message|a>" },
		{ "data: a\r\rdata: b\r\r", "<|message|a><|message|b>" },
		{ "data: a\n", "" },
		{ "data:  two\ndata\ndata:x\n\n", "<|message| two\n\nx>" },
		{ "data\n\n", "<|message|>" },
		{ "data\ndata\n\n", "<|message|\n>" },
		{ "event: e\nid: 7\ndata: x\n\ndata: y\n\n", "<7|e|x><7|message|y>" },
		{ "id: 7\n\ndata: y\n\nid\ndata: z\n\n", "<7|message|y><|message|z>" },
		{ "event: lost\n\ndata: a\n\n", "<|message|a>" },
		{ ": comment\n:\n\n:x\ndata: a\n\n", "<|message|a>" },
		{ "\xef\xbb\xbf" "data: a\n\n", "<|message|a>" },
		{ "data: a\n\n\xef\xbb\xbf" "data: b\n\n", "<|message|a>" },
		{ "retry: 1500\nretry: 12x\nretry:\n", "retry 1500" },
		{ "retry: 99999999999999999999\n", "" },
		{ "Data: a\nother: b\ndata : c\n\n", "" },
		{ "data: a:b: c\n\n", "<|message|a:b: c>" },
		{ "data: stop\n\ndata: after\n\n", "<|message|stop>stopped" },
		{ "\n\n\r\n\r\rdata: a\n\n", "<|message|a>" },
		{ "data: \xc3\xa9\n\n", "<|message|\xc3\xa9>" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		for (size_t piece = 1; piece < 48; piece++) {
			KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(4096);

			feed(&out, cases[i].text, piece, 1000);
			if (strcmp(out.ptr, cases[i].want) != 0)
				fail_msg("case %zu in pieces of %zu: %s", i, piece, out.ptr);
		}
	}
}

static void test_limits(void **state)
{
	KT_AUTO_BUF struct kt_buf in = KT_BUF_INIT(4096);

	for (size_t piece = 1; piece < 40; piece++) {
		KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(4096);

		feed(&out, "data: 12345678\n\ndata: 1234\ndata: 5678\n\n", piece, 8);
		assert_string_equal(out.ptr, "<|message|12345678>limit");
		kt_buf_clear(&out);
		kt_buf_clear(&in);
		kt_buf_addf(&in, "id: %0255d\ndata:x\n\nid: %0256d\ndata:y\n\n", 1, 1);
		feed(&out, in.ptr, piece, 1000);
		assert_int_equal(out.len, 1 + 255 + 11 + 5);
		kt_buf_clear(&out);
		kt_buf_clear(&in);
		kt_buf_addf(&in, ":%0100d\n", 1);
		feed(&out, in.ptr, piece, 8);
		assert_string_equal(out.ptr, "limit");
	}
}

/* A failure stays; an id counts only when its frame has ended. */
static void test_state(void **state)
{
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(4096);
	struct kt_sse s;

	kt_sse_init(&s, 8);
	assert_int_equal(kt_sse_feed(&s, "id: 1\ndata: a\n\nid: 2\ndata: b\n", 29, on_event, &out,
				 NULL),
		KT_OK);
	assert_string_equal(s.id, "1");
	assert_int_equal(kt_sse_feed(&s, "\n", 1, on_event, &out, NULL), KT_OK);
	assert_string_equal(s.id, "2");
	assert_int_equal(kt_sse_feed(&s, "data: 123456789\n", 16, on_event, &out, NULL), KT_ELIMIT);
	assert_int_equal(kt_sse_feed(&s, "\n\n", 2, on_event, &out, NULL), KT_ELIMIT);
	kt_sse_release(&s);
	kt_sse_init(&s, 8);
	assert_int_equal(kt_sse_feed(&s, "data:stop\n\n", 11, on_event, &out, NULL), KT_ECANCEL);
	assert_int_equal(kt_sse_feed(&s, "data:a\n\n", 8, on_event, &out, NULL), KT_ECANCEL);
	kt_sse_release(&s);
	assert_string_equal(out.ptr, "<1|message|a><2|message|b><|message|stop>");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
