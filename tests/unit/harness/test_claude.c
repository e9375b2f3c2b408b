/* SPDX-License-Identifier: MIT */
/* Single points of the Claude Code driver that no transcript shows, and lines of any kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/arena.h"

#include "claude_bench.h"
#include "tests/unit/patience.h"

static void open_ready(struct bench *b)
{
	const struct kt_driver_config cfg = { .program = "/usr/bin/claude", .cwd = "/app",
		.new_id = "5f9b7a3e-0000-4000-8000-000000000001" };

	bench_open(b, &kt_driver_claude, &cfg);
	make_ready(b);
}

static void prompt(struct bench *b, const char *text, const char *agent, bool thinking)
{
	struct kt_prompt p = { .text = text, .agent = agent, .thinking = thinking, .position = 1 };

	b->in_turn = true;
	b->d->ops->prompt(b->d, &p);
}

static void test_command_line(void **state)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct kt_driver_config cfg = { .program = "/usr/bin/claude", .cwd = "/app",
		.new_id = "NEW", .resume_id = "OLD", .model = "m", .permission_mode = "plan" };
	struct kt_vec argv = KT_VEC_INIT;
	struct kt_vec env = KT_VEC_INIT;
	KT_AUTO_BUF struct kt_buf line = KT_BUF_INIT(4096);

	kt_driver_claude.command(&cfg, arena, &argv, &env);
	for (size_t i = 0; i < argv.len; i++)
		kt_buf_addf(&line, "%s ", (const char *)argv.items[i]);
	assert_string_equal(line.ptr,
		"/usr/bin/claude -p --input-format stream-json --output-format stream-json "
		"--verbose --include-partial-messages --permission-prompt-tool stdio "
		"--include-hook-events "
		"--resume OLD --model m --permission-mode plan ");
	/* It would make tool commands fail where its sandbox cannot start. */
	for (size_t i = 0; i < env.len; i++)
		assert_false(kt_str_starts(env.items[i], "CLAUDE_CODE_SUBPROCESS_ENV_SCRUB"));
	kt_vec_release(&argv);
	kt_vec_release(&env);
	cfg = (struct kt_driver_config){ .program = "c", .cwd = "/app", .new_id = "NEW" };
	kt_driver_claude.command(&cfg, arena, &argv, &env);
	assert_string_equal(argv.items[argv.len - 2], "--session-id");
	assert_string_equal(argv.items[argv.len - 1], "NEW");
	assert_string_equal(env.items[0], "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1");
	kt_vec_release(&argv);
	kt_vec_release(&env);
}

static void test_slash(void **state)
{
	static const struct {
		const char *text, *sent;
	} cases[] = {
		{ "/etc/hosts is a file", "\n/etc/hosts is a file" },
		{ "/compact now", "/compact now" },
		{ "/compactor", "\n/compactor" },
		{ "/reset", "/reset" },
		{ "/new and more", "/new and more" },
		{ "/newer", "\n/newer" },
		{ "/", "\n/" },
		{ "a / b", "a / b" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		struct bench b;

		open_ready(&b);
		prompt(&b, cases[i].text, NULL, true);
		assert_string_equal(prompt_text(last_sent(&b)), cases[i].sent);
		bench_close(&b);
	}
}

static void test_agent_not_found(void **state)
{
	struct bench b;

	open_ready(&b);
	prompt(&b, "hello", "nobody", true);
	KT_AUTOFREE char *line = kt_asprintf("{\"type\":\"control_response\",\"response\":{"
		"\"subtype\":\"error\",\"request_id\":\"%s\",\"error\":\"Agent not found\"}}",
		last_request_id(&b));

	feed_text(&b, line);
	assert_string_equal(b.ends.ptr, "error agent_not_found - [] -1 -1\n");
	/* The next turn with the default agent goes straight on. */
	prompt(&b, "again", "default", true);
	assert_string_equal(prompt_text(last_sent(&b)), "again");
	bench_close(&b);
}

static void test_interrupt_before_the_message_is_sent(void **state)
{
	struct bench b;

	open_ready(&b);
	prompt(&b, "hello", "reviewer", true);
	b.d->ops->interrupt(b.d);
	assert_string_equal(b.ends.ptr, "interrupted - - [] -1 -1\n");
	/* The switch may still come through: the next turn asks for its own agent. */
	prompt(&b, "again", NULL, true);
	assert_string_equal(kt_json_str(kt_json_obj(last_sent(&b), "request"), "subtype"),
		"apply_flag_settings");
	bench_close(&b);
}

static void test_thinking_switch(void **state)
{
	struct bench b;
	const cJSON *sent;

	struct kt_prompt off = { .text = "one", .no_thinking = true, .position = 1 };

	open_ready(&b);
	b.in_turn = true;
	b.d->ops->prompt(b.d, &off);
	sent = kt_json_obj(b.sent.items[1], "request");
	assert_string_equal(kt_json_str(sent, "subtype"), "set_max_thinking_tokens");
	assert_int_equal(kt_json_int(sent, "max_thinking_tokens", -7), 0);
	feed_text(&b, "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false}");
	off.text = "two";
	b.in_turn = true;
	b.d->ops->prompt(b.d, &off);
	assert_int_equal(b.sent.len, 4); /* initialize, thinking, one, two */
	feed_text(&b, "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false}");
	/* Not said: as the harness does by itself, only hidden. */
	prompt(&b, "three", NULL, false);
	sent = kt_json_obj(b.sent.items[4], "request");
	assert_true(cJSON_IsNull(kt_json_get(sent, "max_thinking_tokens")));
	feed_text(&b, "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false}");
	prompt(&b, "four", NULL, true);
	assert_int_equal(b.sent.len, 7); /* nothing to switch */
	bench_close(&b);
}

/* What is approved is what runs: a number that no double holds comes back digit by digit. */
static void test_approved_input_is_exact(void **state)
{
	static const char input[] = "{\"id\":1234567890123456789,\"x\":0.1}";
	KT_AUTO_BUF struct kt_buf sent = KT_BUF_INIT(65536);
	const cJSON *answer;
	struct bench b;

	open_ready(&b);
	prompt(&b, "one", NULL, true);
	feed_text(&b, "{\"type\":\"control_request\",\"request_id\":\"r1\",\"request\":{\"subtype\":"
		      "\"can_use_tool\",\"tool_name\":\"mcp__x__y\",\"tool_use_id\":\"t1\","
		      "\"input\":{\"id\":1234567890123456789,\"x\":0.1}}}");
	assert_int_equal(b.asks.len, 1);
	KT_AUTOFREE char *id = kt_vec_remove(&b.asks, 0);
	b.d->ops->answer(b.d, id, KT_APPROVE_ONCE, NULL, NULL);
	answer = kt_json_path(last_sent(&b), "response.response");
	kt_json_add(&sent, kt_json_obj(answer, "updatedInput"));
	assert_string_equal(sent.ptr, input);
	feed_text(&b, "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false}");
	bench_close(&b);
}

static void test_interrupt_is_repeated(void **state)
{
	struct bench b;

	open_ready(&b);
	prompt(&b, "one", NULL, true);
	b.d->ops->interrupt(b.d);
	assert_true(b.timer_ms > 0);
	size_t before = b.sent.len;

	b.d->ops->timer(b.d);
	assert_int_equal(b.sent.len, before + 1);
	feed_text(&b, "{\"type\":\"result\",\"subtype\":\"error_during_execution\","
		      "\"is_error\":true,\"terminal_reason\":\"aborted_streaming\"}");
	assert_int_equal(b.timer_ms, -1);
	assert_string_equal(b.ends.ptr, "interrupted - - [] -1 -1\n");
	bench_close(&b);
}

static void test_background_turn_ends_inside_ours(void **state)
{
	struct bench b;

	open_ready(&b);
	prompt(&b, "one", NULL, true);
	feed_text(&b, "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,"
		      "\"origin\":{\"kind\":\"task-notification\"}}");
	assert_true(b.in_turn);
	assert_true(b.timer_ms > 0);
	feed_text(&b, "{\"type\":\"system\",\"subtype\":\"status\",\"status\":\"requesting\"}");
	assert_int_equal(b.timer_ms, -1);
	feed_text(&b, "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false}");
	assert_false(b.in_turn);
	/* Taken into that turn: no other result comes. */
	prompt(&b, "two", NULL, true);
	feed_text(&b, "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,"
		      "\"origin\":{\"kind\":\"task-notification\"}}");
	b.d->ops->timer(b.d);
	assert_false(b.in_turn);
	bench_close(&b);
}

static void test_unknown_request_is_answered(void **state)
{
	struct bench b;

	open_ready(&b);
	feed_text(&b, "{\"type\":\"control_request\",\"request_id\":\"x1\","
		      "\"request\":{\"subtype\":\"novelty\"}}");
	assert_string_equal(kt_json_str(kt_json_obj(last_sent(&b), "response"), "subtype"),
		"error");
	assert_string_equal(kt_json_str(kt_json_obj(last_sent(&b), "response"), "request_id"),
		"x1");
	bench_close(&b);
}

/* Whatever comes, in whatever state, nothing breaks and the turn still can end. */
static void test_any_line(void **state)
{
	static const char *const lines[] = {
		"", " ", "{", "[]", "null", "\"x\"", "{}", "{\"type\":7}", "{\"type\":\"nothing\"}",
		"\xff\xfe{", "{\"type\":\"assistant\"}", "{\"type\":\"assistant\",\"message\":7}",
		"{\"type\":\"assistant\",\"message\":{\"id\":\"m\",\"content\":[7,null,{},"
		"{\"type\":\"text\"},{\"type\":\"tool_use\"},{\"type\":\"thinking\"},"
		"{\"type\":\"tool_use\",\"id\":\"t1\"},{\"type\":\"tool_result\"}]}}",
		"{\"type\":\"assistant\",\"parent_tool_use_id\":\"p\",\"message\":{\"content\":["
		"{\"type\":\"text\"},{\"type\":\"tool_use\",\"id\":\"t2\"}]}}",
		"{\"type\":\"user\"}", "{\"type\":\"user\",\"message\":{\"content\":\"x\"}}",
		"{\"type\":\"user\",\"message\":{\"content\":[{\"type\":\"tool_result\"}]}}",
		"{\"type\":\"system\"}", "{\"type\":\"system\",\"subtype\":\"init\"}",
		"{\"type\":\"system\",\"subtype\":\"api_retry\",\"error_status\":\"x\"}",
		"{\"type\":\"system\",\"subtype\":\"api_retry\",\"error_status\":401}",
		"{\"type\":\"system\",\"subtype\":\"task_started\"}",
		"{\"type\":\"system\",\"subtype\":\"status\",\"status\":\"requesting\"}",
		"{\"type\":\"stream_event\"}", "{\"type\":\"stream_event\",\"event\":{}}",
		"{\"type\":\"stream_event\",\"event\":{\"type\":\"message_start\"}}",
		"{\"type\":\"stream_event\",\"event\":{\"type\":\"content_block_start\"}}",
		"{\"type\":\"stream_event\",\"event\":{\"type\":\"content_block_start\","
		"\"content_block\":{\"type\":\"text\",\"text\":\"a\"}}}",
		"{\"type\":\"stream_event\",\"event\":{\"type\":\"content_block_delta\"}}",
		"{\"type\":\"stream_event\",\"event\":{\"type\":\"content_block_delta\","
		"\"delta\":{\"type\":\"text_delta\",\"text\":\"b\\u0000c\"}}}",
		"{\"type\":\"stream_event\",\"event\":{\"type\":\"message_delta\"}}",
		"{\"type\":\"stream_event\",\"event\":{\"type\":\"message_stop\"}}",
		"{\"type\":\"control_request\"}",
		"{\"type\":\"control_request\",\"request_id\":\"a\"}",
		"{\"type\":\"control_request\",\"request_id\":\"a\",\"request\":{\"subtype\":"
		"\"can_use_tool\"}}",
		"{\"type\":\"control_request\",\"request_id\":\"b\",\"request\":{\"subtype\":"
		"\"can_use_tool\",\"tool_name\":\"AskUserQuestion\","
		"\"input\":{\"questions\":[1]}}}",
		"{\"type\":\"control_response\"}",
		"{\"type\":\"control_response\",\"response\":{}}",
		"{\"type\":\"control_cancel_request\"}",
		"{\"type\":\"control_cancel_request\",\"request_id\":\"a\"}",
		"{\"type\":\"rate_limit_event\"}",
		"{\"type\":\"control_request\",\"request_id\":\"c\",\"request\":{\"subtype\":"
		"\"elicitation\"}}",
		"{\"type\":\"control_request\",\"request_id\":\"d\",\"request\":{\"subtype\":"
		"\"elicitation\",\"requested_schema\":{\"properties\":{\"a\":7,\"b\":{\"enum\":7},"
		"\"c\":{\"type\":\"array\"}},\"required\":7}}}",
		"{\"type\":\"system\",\"subtype\":\"hook_response\"}",
		"{\"type\":\"system\",\"subtype\":\"hook_response\",\"hook_event\":\"PreToolUse\","
		"\"hook_name\":\"PreToolUse:\",\"exit_code\":2}",
		"{\"type\":\"system\",\"subtype\":\"hook_response\",\"hook_event\":\"Stop\","
		"\"stdout\":\"{\\\"continue\\\":false}\"}",
		"{\"type\":\"system\",\"subtype\":\"permission_denied\",\"tool_use_id\":\"t1\"}",
		"{\"type\":\"system\",\"subtype\":\"informational\",\"prevent_continuation\":true}",
		"{\"type\":\"system\",\"subtype\":\"compact_boundary\",\"compact_metadata\":"
		"{\"preserved_messages\":{\"uuids\":[7,\"u\"]}}}",
		"{\"type\":\"system\",\"subtype\":\"model_refusal_fallback\","
		"\"retracted_message_uuids\":[7,\"u\"]}",
		"{\"type\":\"system\",\"subtype\":\"commands_changed\",\"commands\":[7,\"x\",{}]}",
		"{\"type\":\"system\",\"subtype\":\"local_command_output\",\"content\":\"out\"}",
		"{\"type\":\"assistant\",\"uuid\":\"u\",\"message\":{\"id\":\"m\",\"content\":["
		"{\"type\":\"text\",\"text\":\"said\"},{\"type\":\"odd\"}]}}",
		"{\"type\":\"result\",\"origin\":7,\"modelUsage\":{\"a\":1},\"errors\":[1]}",
		"{\"type\":\"result\",\"is_error\":true}",
	};

	for (int round = 0; round < 400; round++) {
		struct bench b;

		open_ready(&b);
		if (round % 2)
			prompt(&b, "x", NULL, round % 3 == 0);
		for (int i = 0; i < 60; i++) {
			feed_text(&b, lines[chance_below(KT_ARRAY_LEN(lines))]);
			if (chance_below(10) == 0 && b.in_turn)
				b.d->ops->interrupt(b.d);
			if (chance_below(10) == 0 && b.timer_ms > 0)
				b.d->ops->timer(b.d);
			if (chance_below(5) == 0 && b.asks.len) {
				KT_AUTOFREE char *id = kt_vec_remove(&b.asks, 0);

				b.d->ops->answer(b.d, id, (enum kt_decision)chance_below(4),
					chance_below(2) ? "{\"q\":[\"a\",1],\"r\":2}" : NULL,
					NULL);
			}
		}
		b.d->ops->gone(b.d, 1, 0, "");
		assert_false(b.in_turn);
		bench_close(&b);
	}
}

static void test_malformed_is_told_once(void **state)
{
	struct bench b;

	open_ready(&b);
	for (int i = 0; i < 5; i++)
		feed_text(&b, "not json");
	assert_string_equal(b.trace.ptr, "Y");
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_command_line),
		cmocka_unit_test(test_slash),
		cmocka_unit_test(test_agent_not_found),
		cmocka_unit_test(test_interrupt_before_the_message_is_sent),
		cmocka_unit_test(test_thinking_switch),
		cmocka_unit_test(test_approved_input_is_exact),
		cmocka_unit_test(test_interrupt_is_repeated),
		cmocka_unit_test(test_background_turn_ends_inside_ours),
		cmocka_unit_test(test_unknown_request_is_answered),
		cmocka_unit_test(test_any_line),
		cmocka_unit_test(test_malformed_is_told_once),
	};

	return cmocka_run_group_tests_name("harness/claude", tests, NULL, NULL);
}
