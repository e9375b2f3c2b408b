/* SPDX-License-Identifier: MIT */
/* What an MCP server asks through Claude Code becomes a question; the answers become its values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "claude_bench.h"

#define REQUEST(body)                                                                              \
	"{\"type\":\"control_request\",\"request_id\":\"e1\",\"request\":{\"subtype\":"            \
	"\"elicitation\",\"mcp_server_name\":\"toy\"," body "}}"
#define FORM                                                                                       \
	REQUEST("\"message\":\"Who travels?\",\"mode\":\"form\",\"requested_schema\":{\"type\":"   \
		"\"object\",\"required\":[\"name\",\"age\"],\"properties\":{\"name\":{\"type\":"   \
		"\"string\",\"title\":\"Name\",\"description\":\"as in the passport\"},\"age\":{"  \
		"\"type\":\"integer\"},\"window\":{\"type\":\"boolean\"},\"meal\":{\"type\":"      \
		"\"string\",\"enum\":[\"f\",\"p\"],\"enumNames\":[\"Fish\",\"Pasta\"]},\"seat\":{" \
		"\"oneOf\":[{\"const\":\"a\",\"title\":\"Aisle\"},{\"const\":\"w\"}]},\"bags\":{"  \
		"\"type\":\"array\",\"items\":{\"type\":\"string\",\"enum\":[\"s\",\"m\"]}},"      \
		"\"rate\":{\"type\":\"number\"}}}")
#define NAME "\"Who travels?\\nName: as in the passport\":\"Bob\",\"age\":\"42\""

static void open_turn(struct bench *b)
{
	const struct kt_driver_config cfg = { .program = "/usr/bin/claude", .cwd = "/app" };
	struct kt_prompt p = { .text = "x", .position = 1 };

	bench_open(b, &kt_driver_claude, &cfg);
	make_ready(b);
	b->in_turn = true;
	b->d->ops->prompt(b->d, &p);
}

/* {"action":...} of the last line that was sent, as JSON text. */
static const char *answered(struct bench *b, struct kt_buf *out)
{
	kt_buf_clear(out);
	kt_json_add(out, kt_json_path(last_sent(b), "response.response"));
	return out->ptr;
}

static void end_turn(struct bench *b)
{
	feed_text(b, "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false}");
	bench_close(b);
}

static void test_form(void **state)
{
	static const struct {
		enum kt_decision decision;
		const char *answers, *sent;
		bool told;
	} cases[] = {
		{ KT_ANSWER, "{" NAME "}",
			"{\"action\":\"accept\",\"content\":{\"name\":\"Bob\",\"age\":42}}", false },
		{ KT_ANSWER,
			"{\"name\":\"Bob\",\"age\":7,\"window\":\"No\",\"meal\":\"pasta\",\"seat\":"
			"\"Aisle\",\"bags\":[\"s\",\"m\"],\"rate\":\"1.5\"}",
			"{\"action\":\"accept\",\"content\":{\"name\":\"Bob\",\"age\":7,\"window\":"
			"false,\"meal\":\"p\",\"seat\":\"a\",\"bags\":[\"s\",\"m\"],\"rate\":1.5}}",
			false },
		{ KT_ANSWER, "{" NAME ",\"window (optional: - leaves it out)\":\"-\",\"meal\":\"\"}",
			"{\"action\":\"accept\",\"content\":{\"name\":\"Bob\",\"age\":42}}", false },
		{ KT_ANSWER, "{\"name\":\"Bob\",\"age\":\"old\"}", "{\"action\":\"decline\"}", true },
		{ KT_ANSWER, "{\"name\":\"Bob\"}", "{\"action\":\"decline\"}", true },
		{ KT_ANSWER, "{" NAME ",\"meal\":\"soup\"}", "{\"action\":\"decline\"}", true },
		{ KT_ANSWER, "{" NAME ",\"bags\":[\"s\",\"xl\"]}", "{\"action\":\"decline\"}", true },
		{ KT_ANSWER, "not json", "{\"action\":\"cancel\"}", false },
		{ KT_DENY, NULL, "{\"action\":\"decline\"}", false },
	};
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(65536);

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		struct bench b;

		open_turn(&b);
		feed_text(&b, FORM);
		assert_string_equal(b.trace.ptr, "A");
		assert_non_null(strstr(b.last_ask.ptr, "question|elicitation|toy asks: Who travels?|"));
		assert_non_null(strstr(b.last_ask.ptr, "{\"label\":\"Pasta\"}"));
		assert_non_null(strstr(b.last_ask.ptr, "\"multi\":true"));
		assert_true(forget_ask(&b, "e1"));
		b.d->ops->answer(b.d, "e1", cases[i].decision, cases[i].answers, NULL);
		if (strcmp(answered(&b, &out), cases[i].sent) != 0)
			fail_msg("%zu: %s", i, out.ptr);
		assert_string_equal(b.trace.ptr, cases[i].told ? "AY" : "A");
		end_turn(&b);
	}
}

static void test_plain(void **state)
{
	static const char *const requests[] = {
		REQUEST("\"message\":\"Really?\",\"requested_schema\":{\"properties\":{}}"),
		REQUEST("\"message\":\"Pay\",\"mode\":\"url\",\"url\":\"https://x.invalid/\""),
		REQUEST("\"message\":7"),
	};
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(65536);

	for (size_t i = 0; i < KT_ARRAY_LEN(requests) * 2; i++) {
		struct bench b;

		open_turn(&b);
		feed_text(&b, requests[i / 2]);
		assert_non_null(strstr(b.last_ask.ptr, "{\"label\":\"Accept\"}"));
		assert_true(forget_ask(&b, "e1"));
		b.d->ops->answer(b.d, "e1", KT_ANSWER,
			i % 2 ? "{\"q\":\"Decline\"}" : "{\"q\":\"Accept\"}", NULL);
		assert_string_equal(answered(&b, &out),
			i % 2 ? "{\"action\":\"decline\"}"
			      : "{\"action\":\"accept\",\"content\":{}}");
		end_turn(&b);
	}
}

/* Nobody is left waiting: neither the server at the turn's end, nor where there is no turn. */
static void test_nobody_to_ask(void **state)
{
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(65536);
	struct bench b;

	open_turn(&b);
	feed_text(&b, FORM);
	feed_text(&b, "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false}");
	assert_string_equal(b.trace.ptr, "AW|");
	assert_string_equal(answered(&b, &out), "{\"action\":\"cancel\"}");
	feed_text(&b, FORM);
	assert_string_equal(b.trace.ptr, "AW|Y");
	assert_string_equal(answered(&b, &out), "{\"action\":\"cancel\"}");
	bench_close(&b);
	/* The harness itself takes it back. */
	open_turn(&b);
	feed_text(&b, FORM);
	feed_text(&b, "{\"type\":\"control_cancel_request\",\"request_id\":\"e1\"}");
	assert_string_equal(b.trace.ptr, "AW");
	end_turn(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_nobody_to_ask),
	};

	return cmocka_run_group_tests_name("harness/claude_elicit", tests, NULL, NULL);
}
