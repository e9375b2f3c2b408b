/* SPDX-License-Identifier: MIT */
/* Event names, and frames as they are rendered and taken apart. */
#include "event/event.h"
#include "event/log_private.h"

#include "text/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void names_both_ways(void **state)
{
	(void)state;
	for (int i = 0; i < KT_EV_COUNT_; i++) {
		enum kt_event_type type = KT_EV_COUNT_;
		const char *name = kt_event_name((enum kt_event_type)i);
		assert_non_null(name);
		assert_true(kt_event_parse_name(name, &type));
		assert_int_equal(type, i);
	}
	enum kt_event_type type = KT_EV_COUNT_;
	assert_false(kt_event_parse_name("", &type));
	assert_false(kt_event_parse_name("Text", &type));
	assert_false(kt_event_parse_name("textt", &type));
	assert_int_equal(type, KT_EV_COUNT_);
}

static void envelope(void **state)
{
	(void)state;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	static const char data[] = "{\"part\":{\"type\":\"text\",\"text\":\"hi\"}}";
	static const char raw[] = "{\r\n \"a\" : 1 \n}";
	const struct kt_event_draft ev = { .type = KT_EV_TEXT,
		.turn_id = "turn_1",
		.parent_tool_use_id = "a\"b\nc",
		.data = data,
		.data_len = sizeof(data) - 1,
		.raw = raw,
		.raw_len = sizeof(raw) - 1 };
	kt_evlog_render(&b, "session_id", "sess_1", 7, &ev);
	struct kt_evframe f;
	for (size_t cut = 0; cut < b.len; cut++)
		assert_int_equal(kt_evframe_next(b.ptr, cut, &f), 0);
	kt_buf_adds(&b, "id: 8");
	assert_int_equal(kt_evframe_next(b.ptr, b.len, &f), 1);
	assert_int_equal(f.len, b.len - 5);
	assert_int_equal(f.seq, 7);
	assert_int_equal(f.type, KT_EV_TEXT);
	static const char want[] =
		"{\"type\":\"text\",\"source\":\"karta\",\"session_id\":\"sess_1\","
		"\"timestamp\":";
	assert_memory_equal(f.json, want, sizeof(want) - 1);
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_err err = KT_ERR_INIT;
	assert_int_equal(kt_json_parse(f.json, f.json_len, 0, &doc, &err), KT_OK);
	assert_true(kt_json_int(doc, "timestamp", 0) > 1700000000000);
	assert_int_equal(kt_json_int(doc, "seq", 0), 7);
	assert_string_equal(kt_json_str(doc, "turn_id"), "turn_1");
	assert_string_equal(kt_json_str(doc, "parent_tool_use_id"), "a\"b\nc");
	assert_string_equal(kt_json_str(kt_json_path(doc, "data.part"), "text"), "hi");
	assert_int_equal(kt_json_int(kt_json_get(doc, "raw"), "a", 0), 1);
	assert_null(memchr(f.json, '\n', f.json_len));
	assert_null(memchr(f.json, '\r', f.json_len));
}

static void empty_fields_are_null(void **state)
{
	(void)state;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	const struct kt_event_draft ev = { .type = KT_EV_DONE, .data = "{}", .data_len = 2 };
	kt_evlog_render(&b, "session_id", "s", 1, &ev);
	assert_non_null(strstr(b.ptr,
		"\"turn_id\":null,\"parent_tool_use_id\":null,\"data\":{},"
		"\"raw\":null}\n: "));
	assert_memory_equal(b.ptr, "id: 1\nevent: done\ndata: {\"type\":\"done\",", 39);
}

static void too_big_is_replaced(void **state)
{
	(void)state;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	size_t n = KT_MAX_EVENT_BYTES + 1;
	KT_AUTOFREE char *data = kt_malloc(n);
	memset(data, '1', n);
	const struct kt_event_draft ev = {
		.type = KT_EV_TOOL_RESULT, .data = data, .data_len = n, .raw = data, .raw_len = n
	};
	kt_evlog_render(&b, "session_id", "s", 1, &ev);
	assert_true(kt_buf_ok(&b));
	assert_non_null(
		strstr(b.ptr, "\"data\":{\"truncated\":true,\"bytes\":1048577},\"raw\":null}"));
}

/* Every byte of a frame but its end: it says itself that it was changed, or is no frame. */
static void check_of_a_frame(void **state)
{
	(void)state;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	const struct kt_event_draft ev = { .type = KT_EV_TEXT,
		.turn_id = "t",
		.data = "{\"part\":{\"type\":\"text\",\"text\":\"hi\"}}",
		.data_len = 36 };
	static const char old[] = "id: 1\nevent: text\ndata: {}\n\n";
	struct kt_evframe f;
	kt_evlog_render(&b, "session_id", "s", 17, &ev);
	assert_int_equal(kt_evframe_next(b.ptr, b.len, &f), 1);
	assert_int_equal(f.len, b.len);
	assert_int_equal(kt_evframe_check(&f), KT_LINESUM_OK);
	assert_int_equal(f.json[f.json_len - 1], '}');
	for (size_t i = 0; i + 2 < b.len; i++) {
		b.ptr[i] ^= 0x01;
		int rc = kt_evframe_next(b.ptr, b.len, &f);
		/* NONE: the check became part of the data. */
		assert_true(rc == -1 || (rc == 1 && kt_evframe_check(&f) != KT_LINESUM_OK));
		b.ptr[i] ^= 0x01;
	}
	assert_int_equal(kt_evframe_next(old, strlen(old), &f), 1);
	assert_int_equal(kt_evframe_check(&f), KT_LINESUM_NONE);
}

static void no_frames(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"\n\n",
		"x\n\n",
		"id: 1\n\n",
		"id: \nevent: text\ndata: {}\n\n",
		"id: 0\nevent: text\ndata: {}\n\n",
		"id: 1\nevent: nope\ndata: {}\n\n",
		"id: 1\nevent: text\n\n",
		"id: 1\nevent: text\ndata: {}\ndata: {}\n\n",
		"event: text\nid: 1\ndata: {}\n\n",
		"id: 99999999999999999999\nevent: text\ndata: {}\n\n",
	};
	for (size_t i = 0; i < KT_ARRAY_LEN(bad); i++) {
		struct kt_evframe f;
		assert_int_equal(kt_evframe_next(bad[i], strlen(bad[i]), &f), -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_both_ways),
		cmocka_unit_test(envelope),
		cmocka_unit_test(empty_fields_are_null),
		cmocka_unit_test(too_big_is_replaced),
		cmocka_unit_test(check_of_a_frame),
		cmocka_unit_test(no_frames),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
