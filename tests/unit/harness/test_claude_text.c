/* SPDX-License-Identifier: MIT */
/*
 * What Claude Code says arrives whole, once and in its place, however its lines come. The bench
 * compares what a client puts together from the events with the turn's text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "claude_bench.h"

/* clang-format off */
#define EVENT(body) "{\"type\":\"stream_event\",\"event\":{" body "}}\n"
#define MESSAGE(id) EVENT("\"type\":\"message_start\",\"message\":{\"id\":\"" id "\"}")
#define STOP EVENT("\"type\":\"message_stop\"")
#define BEGIN(i, kind) EVENT("\"type\":\"content_block_start\",\"index\":" i \
	",\"content_block\":{\"type\":\"" kind "\",\"" kind "\":\"\"}")
#define DELTA(i, kind, text) EVENT("\"type\":\"content_block_delta\",\"index\":" i \
	",\"delta\":{\"type\":\"" kind "_delta\",\"" kind "\":\"" text "\"}")
#define END(i) EVENT("\"type\":\"content_block_stop\",\"index\":" i)
#define LINE(id, uuid, blocks) "{\"type\":\"assistant\",\"parent_tool_use_id\":null,\"uuid\":\"" \
	uuid "\",\"message\":{\"id\":\"" id "\",\"content\":[" blocks "]}}\n"
#define TEXT(text) "{\"type\":\"text\",\"text\":\"" text "\"}"
#define WHOLE(id, text) LINE(id, id text, TEXT(text))
#define THOUGHT(id, text) LINE(id, id "r" text, \
	"{\"type\":\"thinking\",\"thinking\":\"" text "\"}")
#define CALL(id, tool) LINE(id, tool, "{\"type\":\"tool_use\",\"id\":\"" tool \
	"\",\"name\":\"Bash\",\"input\":{}}")
#define DONE(tool) "{\"type\":\"user\",\"message\":{\"content\":[{\"type\":\"tool_result\"," \
	"\"tool_use_id\":\"" tool "\",\"content\":\"x\"}]}}\n"
/* A block as the harness streams it: its line comes before its end. Blank ones have no line. */
#define SAID(i, id, text) BEGIN(i, "text") DELTA(i, "text", text) WHOLE(id, text) END(i)
#define BLANK(i, text) BEGIN(i, "text") DELTA(i, "text", text) END(i)
#define THINKS(i, id, text) BEGIN(i, "thinking") DELTA(i, "thinking", text) THOUGHT(id, text) \
	END(i)
#define SUB(text) "{\"type\":\"assistant\",\"parent_tool_use_id\":\"task\",\"message\":{\"id\":" \
	"\"sub\",\"content\":[" TEXT(text) "]}}\n"
#define SYSTEM(body) "{\"type\":\"system\"," body "}\n"
#define RESULT(more) "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false," \
	"\"stop_reason\":\"end_turn\"" more "}\n"

static const struct {
	const char *name, *lines, *text;
} cases[] = {
	{ "a blank block first",
		MESSAGE("m") BLANK("0", "\\n\\n") THINKS("1", "m", "hm") SAID("2", "m", "answer") STOP
		RESULT(",\"result\":\"answer\""), "answer" },
	{ "blank blocks everywhere",
		MESSAGE("m") BLANK("0", " ") SAID("1", "m", "one") BLANK("2", "\\n\\t") BLANK("3", "")
		SAID("4", "m", "two") BLANK("5", "\\u00a0\\u3000") STOP RESULT(""), "one\n\ntwo" },
	{ "nothing but blank", MESSAGE("m") BLANK("0", "\\n\\n") STOP RESULT(",\"result\":\"\""), "" },
	{ "blanks before the words of the same block",
		MESSAGE("m") BEGIN("0", "text") DELTA("0", "text", "\\n") DELTA("0", "text", "\\n")
		DELTA("0", "text", "hi") WHOLE("m", "\\n\\nhi") END("0") STOP RESULT(""), "\n\nhi" },
	{ "the settled block has no blanks",
		MESSAGE("m") BEGIN("0", "text") DELTA("0", "text", "\\n\\nhi ") WHOLE("m", "hi") END("0")
		STOP RESULT(""), "hi" },
	{ "a blank settled block", MESSAGE("m") SAID("0", "m", " ") SAID("1", "m", "x") STOP RESULT(""),
		"x" },
	{ "text, thought, text, tool, text",
		MESSAGE("m") SAID("0", "m", "a") THINKS("1", "m", "t") SAID("2", "m", "b") CALL("m", "t1")
		STOP DONE("t1") MESSAGE("n") BLANK("0", "\\n") SAID("1", "n", "c") STOP RESULT(""),
		"a\n\nb\n\nc" },
	{ "the same words twice", MESSAGE("m") SAID("0", "m", "ok") BLANK("1", " ")
		BEGIN("2", "text") DELTA("2", "text", "ok") LINE("m", "other", TEXT("ok")) END("2") STOP
		RESULT(""), "ok\n\nok" },
	{ "one begins like the other", MESSAGE("m") BEGIN("0", "text") DELTA("0", "text", "I") END("0")
		SAID("1", "m", "I am") WHOLE("m", "I") STOP RESULT(""), "I\n\nI am" },
	{ "the settled text differs", MESSAGE("m") BEGIN("0", "text") DELTA("0", "text", "Helo wrld")
		WHOLE("m", "Hello world") END("0") STOP RESULT(""), "Hello world" },
	{ "settled after its end, differently", MESSAGE("m") BEGIN("0", "text") DELTA("0", "text", "Helo")
		END("0") WHOLE("m", "Hello") STOP RESULT(""), "Hello" },
	{ "settled after the message's end", MESSAGE("m") BEGIN("0", "text") DELTA("0", "text", "He")
		END("0") STOP WHOLE("m", "Hello") RESULT(""), "Hello" },
	{ "settled while the next message streams", MESSAGE("m") BEGIN("0", "text")
		DELTA("0", "text", "one") END("0") STOP MESSAGE("n") BEGIN("0", "text")
		DELTA("0", "text", "tw") WHOLE("m", "one!") DELTA("0", "text", "o") WHOLE("n", "two")
		END("0") STOP RESULT(""), "one!\n\ntwo" },
	{ "without deltas", WHOLE("m", "all at once") RESULT(""), "all at once" },
	{ "a block without deltas between streamed ones", MESSAGE("m") SAID("0", "m", "a")
		WHOLE("m", "b") SAID("2", "m", "c") STOP RESULT(""), "a\n\nb\n\nc" },
	{ "a line told twice", MESSAGE("m") SAID("0", "m", "a") STOP WHOLE("m", "a") RESULT(""), "a" },
	{ "two blocks stream at once", MESSAGE("m") BEGIN("0", "text") BEGIN("1", "text")
		DELTA("0", "text", "a1") DELTA("1", "text", "b1") DELTA("0", "text", " a2")
		DELTA("1", "text", " b2") WHOLE("m", "b1 b2") END("1") WHOLE("m", "a1 a2") END("0") STOP
		RESULT(""), "a1 a2\n\nb1 b2" },
	{ "the second index first", MESSAGE("m") BEGIN("1", "text") DELTA("1", "text", "late")
		BEGIN("0", "thinking") DELTA("0", "thinking", "t") WHOLE("m", "late") END("1")
		THOUGHT("m", "t") END("0") STOP RESULT(""), "late" },
	{ "an index without a block", MESSAGE("m") SAID("0", "m", "a") DELTA("7", "text", "ghost") STOP
		RESULT(""), "a" },
	{ "broken off and asked for anew", MESSAGE("m") BEGIN("0", "text") DELTA("0", "text", "Some wor")
		MESSAGE("n") SAID("0", "n", "Some words") STOP RESULT(""), "Some words" },
	{ "broken off, the whole comes without a stream", MESSAGE("m") BEGIN("0", "text")
		DELTA("0", "text", "Some wor") WHOLE("n", "Other words") RESULT(""), "Other words" },
	{ "asked for anew under the same id", MESSAGE("m") BEGIN("0", "text") DELTA("0", "text", "Some")
		MESSAGE("m") SAID("0", "m", "Some words") STOP RESULT(""), "Some words" },
	{ "taken back by another model", MESSAGE("m") SAID("0", "m", "I shall not") STOP
		SYSTEM("\"subtype\":\"model_refusal_fallback\",\"original_model\":\"a\",\"fallback_model\":"
		"\"b\",\"retracted_message_uuids\":[\"mI shall not\"]")
		MESSAGE("n") SAID("0", "n", "Here it is") STOP RESULT(""), "Here it is" },
	{ "a sub-agent between the deltas", MESSAGE("m") BEGIN("0", "text") DELTA("0", "text", "main ")
		SUB("noise") DELTA("0", "text", "text") SUB("more noise") WHOLE("m", "main text") END("0")
		STOP RESULT(""), "main text" },
	{ "kept messages are told again after a compaction", MESSAGE("m") SAID("0", "m", "a")
		CALL("m", "t1") STOP DONE("t1") SYSTEM("\"subtype\":\"compact_boundary\","
		"\"compact_metadata\":{\"preserved_messages\":{\"uuids\":[\"old\",\"ma\"]}}")
		LINE("o", "old", TEXT("said yesterday")) WHOLE("m", "a") MESSAGE("n") SAID("0", "n", "b")
		STOP RESULT(""), "a\n\nb" },
	{ "only in the result", RESULT(",\"result\":\"from a command\""), "from a command" },
	{ "only in the result after a tool", MESSAGE("m") SAID("0", "m", "I look") CALL("m", "t1") STOP
		DONE("t1") RESULT(",\"result\":\"it is 7\""), "I look\n\nit is 7" },
	{ "a result that says the same", MESSAGE("m") SAID("0", "m", "first") CALL("m", "t1") STOP
		DONE("t1") RESULT(",\"result\":\"first\""), "first" },
	{ "a result that is part of what was said", MESSAGE("m") SAID("0", "m", "It looks good")
		CALL("m", "t1") STOP DONE("t1") RESULT(",\"result\":\"good\""), "It looks good\n\ngood" },
	{ "settled before it streams", MESSAGE("m") WHOLE("m", "hello") BEGIN("0", "text")
		DELTA("0", "text", "hel") DELTA("0", "text", "lo") END("0") SAID("1", "m", "hello you") STOP
		RESULT(""), "hello\n\nhello you" },
	{ "two settled before they stream", MESSAGE("m") WHOLE("m", "a") WHOLE("m", "b") BLANK("0", "a")
		BLANK("1", "b") STOP RESULT(""), "a\n\nb" },
	{ "settled early, blank blocks around", MESSAGE("m") WHOLE("m", "a") WHOLE("m", "ab")
		BLANK("0", " ") BLANK("1", "a") BLANK("2", "\\n") BLANK("3", "ab") BLANK("4", "a") STOP
		RESULT(""), "a\n\nab\n\na" },
	{ "settled early, streamed otherwise", MESSAGE("m") WHOLE("m", "a") BEGIN("0", "text")
		DELTA("0", "text", "a") DELTA("0", "text", "nd more") END("0") STOP RESULT(""),
		"a\n\nand more" },
	{ "a blank result", RESULT(",\"result\":\" \\n\""), "" },
	{ "output of a command", SYSTEM("\"subtype\":\"local_command_output\",\"content\":\"42 %\"")
		RESULT(",\"result\":\"42 %\""), "42 %" },
	{ "blocks of unknown kinds", MESSAGE("m") SAID("0", "m", "a")
		EVENT("\"type\":\"content_block_start\",\"index\":1,\"content_block\":{\"type\":\"novel\"}")
		EVENT("\"type\":\"content_block_delta\",\"index\":1,\"delta\":{\"type\":\"novel_delta\","
		"\"novel\":\"x\"}")
		LINE("m", "nov", "{\"type\":\"novel\",\"x\":1}") END("1") SAID("2", "m", "b") STOP
		RESULT(""), "a\n\nb" },
};
/* clang-format on */

static void feed_lines(struct bench *b, const char *lines)
{
	for (const char *end; (end = strchr(lines, '\n')) != NULL; lines = end + 1) {
		KT_AUTOFREE char *line = kt_strndup(lines, (size_t)(end - lines));

		feed_text(b, line);
	}
}

static void begin(struct bench *b, const char *text)
{
	const struct kt_driver_config cfg = { .program = "/usr/bin/claude", .cwd = "/app",
		.new_id = "5f9b7a3e-0000-4000-8000-000000000001" };
	struct kt_prompt p = { .text = text, .thinking = true, .position = 1 };

	bench_open(b, &kt_driver_claude, &cfg);
	make_ready(b);
	b->in_turn = true;
	b->d->ops->prompt(b->d, &p);
}

static void test_text(void **state)
{
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		struct bench b;

		begin(&b, "x");
		feed_lines(&b, cases[i].lines);
		if (b.in_turn || strcmp(b.shown.ptr, cases[i].text) != 0)
			fail_msg("%s: [%s]", cases[i].name, b.shown.ptr);
		bench_close(&b);
	}
}

/* A client that prints what it gets, event by event, never has to take a good answer back. */
static void test_nothing_good_is_replaced(void **state)
{
	struct bench b;

	begin(&b, "x");
	feed_lines(&b, cases[0].lines);
	assert_string_equal(b.trace.ptr, "srtf|");
	bench_close(&b);
}

static void test_unknown_block_is_told(void **state)
{
	struct bench b;

	begin(&b, "x");
	feed_lines(&b, LINE("m", "u", "{\"type\":\"novel\",\"x\":1}") RESULT(""));
	assert_string_equal(b.trace.ptr, "Y|");
	bench_close(&b);
}

/* --- refusals ---------------------------------------------------------------------------- */

#define HOOK(event, name, out, err, code)                                                          \
	"{\"type\":\"system\",\"subtype\":\"hook_response\",\"hook_event\":\"" event               \
	"\",\"hook_name\":\"" name "\",\"stdout\":\"" out "\",\"stderr\":\"" err                   \
	"\",\"exit_code\":" code "}\n"
#define REFUSED_TEXT                                                                               \
	"UserPromptSubmit operation blocked by hook:\\n[check]: no cards\\n\\n\\nOriginal "        \
	"prompt: 4111"
#define INFORMED(text)                                                                             \
	"{\"type\":\"system\",\"subtype\":\"informational\",\"content\":\"" text                   \
	"\",\"level\":\"warning\",\"prevent_continuation\":true}\n"
#define NO_TURN(text) RESULT(",\"num_turns\":0,\"result\":\"" text "\"")

static char last_message[256];

static void keep_result(void *arg, const struct kt_turn_result *r)
{
	kt_str_copy(last_message, sizeof(last_message), r->error_message ? r->error_message : "");
	on_turn_end(arg, r);
}

static void test_refused_turns(void **state)
{
	static const struct {
		const char *lines, *end, *message;
	} refusals[] = {
		{ HOOK("UserPromptSubmit", "UserPromptSubmit", "", "no cards\\n", "2")
				INFORMED(REFUSED_TEXT) NO_TURN(REFUSED_TEXT),
			"refused refused - []", "no cards" },
		{ INFORMED(REFUSED_TEXT) NO_TURN(REFUSED_TEXT), "refused refused - []",
			"[check]: no cards" },
		{ NO_TURN(REFUSED_TEXT), "refused refused - []", "[check]: no cards" },
		{ HOOK("UserPromptSubmit", "UserPromptSubmit",
			  "{\\\"continue\\\":false,\\\"stopReason\\\":\\\"closed\\\"}", "", "0")
				INFORMED("Operation stopped by hook: closed")
					NO_TURN("Operation stopped by hook: closed"),
			"refused refused - []", "closed" },
		{ MESSAGE("m") CALL("m", "t1") STOP HOOK("PostToolUse", "PostToolUse:Bash",
			  "{\\\"continue\\\":false,\\\"stopReason\\\":\\\"enough\\\"}", "", "0")
				DONE("t1") RESULT(",\"result\":\"\",\"num_turns\":2,"
						  "\"terminal_reason\":\"hook_stopped\""),
			"refused refused - []", "enough" },
		/* A hook that has nothing against the end of a finished turn. */
		{ MESSAGE("m") SAID("0", "m", "done") STOP HOOK("Stop", "Stop",
			  "{\\\"continue\\\":false,\\\"stopReason\\\":\\\"enough\\\"}", "", "0")
				RESULT(",\"result\":\"done\",\"num_turns\":1,"
				       "\"terminal_reason\":\"stop_hook_prevented\""),
			"end_turn - - [done]", "" },
		/* The model may say what it likes. */
		{ MESSAGE("m") SAID("0", "m", "Operation stopped by hook: no") STOP RESULT(
			  ",\"num_turns\":1,\"result\":\"Operation stopped by hook: no\""),
			"end_turn - - [Operation stopped by hook: no]", "" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(refusals); i++) {
		struct bench b;

		begin(&b, "4111");
		b.d->sink.turn_end = keep_result;
		feed_lines(&b, refusals[i].lines);
		if (!kt_str_starts(b.ends.ptr, refusals[i].end) ||
			strcmp(last_message, refusals[i].message) != 0)
			fail_msg("%zu: %s %s", i, b.ends.ptr, last_message);
		bench_close(&b);
	}
}

#define FAILS(tool, text)                                                                          \
	"{\"type\":\"user\",\"message\":{\"content\":[{\"type\":\"tool_result\",\"is_error\":"     \
	"true,\"tool_use_id\":\"" tool "\",\"content\":" text "}]}}\n"
#define PRE(out, err, code) HOOK("PreToolUse", "PreToolUse:Bash", out, err, code)
#define NO_JSON                                                                                    \
	"{\\\"hookSpecificOutput\\\":{\\\"permissionDecision\\\":\\\"deny\\\",\\\""                \
	"permissionDecisionReason\\\":\\\"not here\\\"}}"

static void test_refused_calls(void **state)
{
	static const struct {
		const char *lines, *trace;
	} calls[] = {
		{ PRE("", "not that\\n", "2")
				FAILS("t1", "\"PreToolUse:Bash hook error: [x]: not that\\n\""),
			"UYd" },
		{ PRE(NO_JSON, "", "0") FAILS("t1", "\"not here\""), "UYd" },
		{ PRE(NO_JSON, "", "0") FAILS("t1", "[{\"type\":\"text\",\"text\":\"not here\"}]"),
			"UYd" },
		{ "{\"type\":\"system\",\"subtype\":\"permission_denied\",\"tool_name\":\"Bash\","
		  "\"tool_use_id\":\"t1\",\"message\":\"denied\"}\n" FAILS("t1", "\"denied\""),
			"UYd" },
		/* A hook that lets it pass, and a call that fails by itself. */
		{ PRE("{}", "", "0") FAILS("t1", "\"exit 1\""), "Ux" },
		{ PRE("", "odd", "1") FAILS("t1", "\"exit 1\""), "Ux" },
		/* The refusal of one call is not that of another. */
		{ PRE(NO_JSON, "", "0") FAILS("t1", "\"exit 1\"") FAILS("t2", "\"not here\""),
			"UYxx" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(calls); i++) {
		struct bench b;

		begin(&b, "x");
		feed_lines(&b, CALL("m", "t1"));
		feed_lines(&b, calls[i].lines);
		if (strcmp(b.trace.ptr, calls[i].trace) != 0)
			fail_msg("%zu: %s", i, b.trace.ptr);
		feed_lines(&b, RESULT(""));
		bench_close(&b);
	}
}

static void test_images_arrive(void **state)
{
	struct bench b;
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(65536);

	begin(&b, "x");
	b.output = &out;
	feed_lines(&b, CALL("m", "t1") "{\"type\":\"user\",\"message\":{\"content\":[{\"type\":"
		"\"tool_result\",\"tool_use_id\":\"t1\",\"content\":[{\"type\":\"image\",\"source\":"
		"{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"AAAA\"}}]}]}}\n");
	assert_string_equal(out.ptr, "[{\"type\":\"image\",\"source\":{\"type\":\"base64\","
				     "\"media_type\":\"image/png\",\"data\":\"AAAA\"}}]");
	feed_lines(&b, RESULT(""));
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_nothing_good_is_replaced),
		cmocka_unit_test(test_unknown_block_is_told),
		cmocka_unit_test(test_refused_turns),
		cmocka_unit_test(test_refused_calls),
		cmocka_unit_test(test_images_arrive),
	};

	return cmocka_run_group_tests_name("harness/claude_text", tests, NULL, NULL);
}
