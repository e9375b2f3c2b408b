/* SPDX-License-Identifier: MIT */
/* What a turn said is read back from the log alone, whatever else is in it. */
#include "session/session.h"

#include "base/str.h"
#include "fake_control.h"
#include "text/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct kt_loop *loop;
static struct kt_evlog *log_of;

static int set_up(void **state)
{
	const struct kt_evlog_config cfg = { .session_id = "s", .max_memory_bytes = 1 << 20 };
	struct kt_err err = KT_ERR_INIT;

	return kt_loop_new(&loop, &err) == KT_OK &&
			kt_evlog_open(loop, &cfg, &log_of, &err) == KT_OK
		? 0
		: -1;
}

static int tear_down(void **state)
{
	kt_evlog_free(log_of);
	kt_loop_free(loop);
	return 0;
}

static uint64_t add(enum kt_event_type type, const char *turn, const char *parent, const char *data)
{
	const struct kt_event_draft ev = { .type = type,
		.turn_id = turn,
		.parent_tool_use_id = parent,
		.data = data,
		.data_len = strlen(data) };

	return kt_evlog_append(log_of, &ev);
}

static void say(const char *turn, const char *parent, const char *part, const char *text)
{
	KT_AUTOFREE char *data = kt_asprintf(
		"{\"part\":{\"type\":\"text\",\"text\":\"%s\"},\"part_id\":\"%s\"}", text, part);

	(void)add(KT_EV_TEXT, turn, parent, data);
}

static void start(const char *turn, const char *text)
{
	KT_AUTOFREE char *data = kt_asprintf("{\"state\":\"turn_started\",\"agent\":\"main\","
					     "\"message\":{\"role\":\"user\",\"text\":\"%s\"}}",
		text);

	(void)add(KT_EV_STATUS, turn, NULL, data);
}

static enum kt_code read_turn(
	const char *turn, uint64_t after, size_t max, struct kt_turn_said *out)
{
	struct kt_evscan scan;
	enum kt_code rc;

	assert_int_equal(kt_evscan_open(log_of, after, &scan, NULL), KT_OK);
	rc = kt_turn_read(&scan, turn, max, NULL, out, NULL);
	kt_evscan_release(&scan);
	return rc;
}

static void expect_text(const struct kt_turn_said *said, const char *text, bool whole)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);

	assert_int_equal(kt_turn_text(said, &b), whole);
	assert_string_equal(b.ptr, text);
}

static void one_among_others(void **state)
{
	struct kt_turn_said said;
	uint64_t end;

	start("t1", "first");
	say("t1", NULL, "a", "one");
	(void)add(KT_EV_DONE, "t1", NULL,
		"{\"stop_reason\":\"end_turn\",\"message\":{\"role\":\"assistant\",\"text\":"
		"\"one\"}}");
	start("t2", "second");
	say("t2", NULL, "a", "long ");
	say("t2", "toolu_1", "s", "of a sub-agent");
	say("t1", NULL, "a", "not of this turn");
	say("t2", NULL, "a", "reply");
	end = add(KT_EV_DONE, "t2", NULL,
		"{\"stop_reason\":\"max_tokens\",\"agent\":\"other\",\"usage\":{\"output_tokens\":"
		"3},"
		"\"message\":{\"role\":\"assistant\",\"text\":\"lo\",\"truncated\":true}}");
	say("t2", NULL, "a", " after its end");
	assert_int_equal(read_turn("t2", 0, 1000, &said), KT_OK);
	assert_string_equal(kt_json_str(said.user, "text"), "second");
	assert_true(kt_json_bool(said.assistant, "truncated", false));
	assert_int_equal(kt_json_int(said.usage, "output_tokens", 0), 3);
	assert_string_equal(said.stop_reason, "max_tokens");
	assert_string_equal(said.agent, "other");
	assert_null(said.error);
	expect_text(&said, "long reply", true);
	kt_turn_said_release(&said);
	/* Again, and with room for less than it said. */
	assert_int_equal(read_turn("t2", 3, 7, &said), KT_OK);
	expect_text(&said, "long re", false);
	assert_int_equal(kt_assembly_bytes(&said.reply), 10);
	kt_turn_said_release(&said);
	kt_turn_said_release(&said);
	assert_int_equal(read_turn("t1", 0, 1000, &said), KT_OK);
	expect_text(&said, "one", true);
	kt_turn_said_release(&said);
	/* Where it ends, and how far that is looked for. */
	assert_int_equal(kt_turn_end(log_of, "t2", 0, SIZE_MAX), end);
	assert_int_equal(kt_turn_end(log_of, "t1", 0, SIZE_MAX), 3);
	assert_int_equal(kt_turn_end(log_of, "t1", 0, 1), 0);
	assert_int_equal(kt_turn_end(log_of, "t1", 3, SIZE_MAX), 0);
	assert_int_equal(kt_turn_end(log_of, "t", 0, SIZE_MAX), 0);
}

static void one_that_goes_on(void **state)
{
	struct kt_turn_said said;

	start("t1", "hi");
	say("t1", NULL, "a", "so far");
	assert_int_equal(read_turn("t1", 0, 1000, &said), KT_OK);
	assert_null(said.assistant);
	assert_null(said.stop_reason);
	expect_text(&said, "so far", true);
	kt_turn_said_release(&said);
	assert_int_equal(kt_turn_end(log_of, "t1", 0, SIZE_MAX), 0);
	/* Nothing is known of one that is not there. */
	assert_int_equal(read_turn("t9", 0, 1000, &said), KT_OK);
	assert_null(said.user);
	expect_text(&said, "", true);
	kt_turn_said_release(&said);
}

static void one_that_failed(void **state)
{
	struct kt_turn_said said;

	start("t1", "hi");
	(void)add(KT_EV_ERROR, "t1", NULL, "{\"code\":\"overloaded\",\"message\":\"busy\"}");
	(void)add(KT_EV_DONE, "t1", NULL,
		"{\"stop_reason\":\"error\",\"message\":{\"role\":\"assistant\",\"text\":\"\"}}");
	assert_int_equal(read_turn("t1", 0, 1000, &said), KT_OK);
	assert_string_equal(kt_json_str(said.error, "code"), "overloaded");
	assert_string_equal(said.stop_reason, "error");
	kt_turn_said_release(&said);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_among_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_that_goes_on, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_that_failed, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
