/* SPDX-License-Identifier: MIT */
/*
 * The ACP driver's words where no transcript helps: calls that are made again, parts, commands and
 * words, what tools give.
 */
#include "acp_ready.h"

#define LOG "timestamp=2026-11-30T08:18:09.581Z level=INFO run=300f5e51 message="
#define CALL(id) LOG "process session.id=s1 messageID=" id
#define TRY LOG "stream providerID=s modelID=m session.id=s1 small=false agent=build mode=primary"

/* Lines in "<" are chunks of message m1, others are of stderr. */
static void play(struct world *w, const char *const *lines)
{
	for (; *lines; lines++) {
		if (**lines != '<') {
			bool log = w->d->ops->err_line(w->d, *lines);

			assert_int_equal(log, kt_str_starts(*lines, "timestamp="));
			continue;
		}
		KT_AUTOFREE char *text = kt_asprintf(CHUNK("m1", "%s"), *lines + 1);

		line(w, text);
	}
}

/*
 * Only OpenCode's log tells a call that was made again from a model that repeats itself: with it
 * what the first try said is void, without it every chunk counts.
 */
static void test_calls_made_again(void **state)
{
	static const struct {
		const char *lines[10];
		const char *text;
		int replaced;
	} cases[] = {
		{ { CALL("m1"), TRY, "<ha", "<ha", "<ha" }, "hahaha", 0 },
		{ { "<1", "<1", "<0 euros" }, "110 euros", 0 },
		{ { "<Some words", "<Some words complete" }, "Some wordsSome words complete", 0 },
		{ { CALL("m1"), TRY, "<Some", "< words", TRY, "<Some", "< words", "< complete" },
			"Some words complete", 1 },
		{ { CALL("m1"), TRY, "<Some", TRY, "<Other ", TRY, "<words" }, "words", 2 },
		{ { CALL("m1"), TRY, TRY, "<once" }, "once", 0 },
		/* The last try fails as well: what it said stays, with the error. */
		{ { CALL("m1"), TRY, "<ab", TRY, "<ab" }, "ab", 1 },
		/* Titles, other sessions, the next call, other words on stderr. */
		{ { CALL("m1"), TRY, "<a", LOG "stream session.id=s1 small=true agent=title", "<a" },
			"aa", 0 },
		{ { CALL("m1"), TRY, "<a", LOG "stream session.id=s11 small=false", "<a" }, "aa", 0 },
		{ { CALL("m1"), TRY, "<a", CALL("m2"), TRY, TRY, "<a" }, "aa", 0 },
		{ { CALL("m1"), TRY, "<a", "message=stream session.id=s1 small=false", "", "<a" },
			"aa", 0 },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		struct world w;

		world_ready(&w, NULL);
		prompt_as(&w, "hi", NULL);
		play(&w, cases[i].lines);
		answer_last(&w, "\"result\":{\"stopReason\":\"end_turn\"}");
		assert_string_equal(w.text.ptr, cases[i].text);
		assert_int_equal(w.replaced, cases[i].replaced);
		world_close(&w);
	}
}

#define TOOL(id, status, more)                                                                     \
	UPDATE("\"sessionUpdate\":\"tool_call_update\",\"toolCallId\":\"" id "\",\"title\":\"bash\"," \
	       "\"kind\":\"execute\",\"status\":\"" status "\"" more)

/* A call that had begun a tool before it broke off: neither words nor steps are doubled. */
static void test_again_after_a_tool(void **state)
{
	static const char *const first[] = { CALL("m1"), TRY, "<I look. ", NULL };
	static const char *const second[] = { "<and see", TRY, "<I look. ", NULL };
	struct world w;

	world_ready(&w, NULL);
	prompt_as(&w, "hi", NULL);
	play(&w, first);
	line(&w, TOOL("t1", "in_progress", ""));
	line(&w, TOOL("t1", "completed", ",\"rawOutput\":{\"output\":\"seen\"}"));
	play(&w, second);
	line(&w, TOOL("t2", "in_progress", ""));
	line(&w, CHUNK("m1", "and see"));
	line(&w, TOOL("t2", "completed", ",\"rawOutput\":{\"output\":\"seen\"}"));
	line(&w, CHUNK("m2", "Done."));
	answer_last(&w, "\"result\":{\"stopReason\":\"end_turn\"}");
	assert_true(kt_str_starts(w.log.ptr,
		"end_turn||I look. \n\nand see\n\nDone.| completed completed||2|"));
	assert_int_equal(w.replaced, 2);
	world_close(&w);
}

/* Blank words are no part of their own; what stands between words is not moved. */
static void test_parts(void **state)
{
	struct world w;

	world_ready(&w, NULL);
	prompt_as(&w, "hi", NULL);
	line(&w, CHUNK("m1", "\\n"));
	line(&w, CHUNK("m1", ""));
	line(&w, CHUNK("m1", " a"));
	line(&w, CHUNK("m1", " \\n"));
	line(&w, CHUNK("m1", "b"));
	line(&w, UPDATE("\"sessionUpdate\":\"agent_thought_chunk\",\"messageId\":\"p1\","
			"\"content\":{\"type\":\"text\",\"text\":\"hm\"}"));
	line(&w, CHUNK("m1", "c"));
	line(&w, TOOL("t1", "completed", ""));
	line(&w, CHUNK("m1", "\\n\\n"));
	line(&w, TOOL("t2", "completed", ""));
	line(&w, CHUNK("m2", "d"));
	line(&w, UPDATE("\"sessionUpdate\":\"agent_message_chunk\",\"messageId\":\"m2\","
			"\"content\":{\"type\":\"resource_link\",\"name\":\"n\",\"uri\":\"file:///n\"}"));
	line(&w, UPDATE("\"sessionUpdate\":\"agent_message_chunk\",\"messageId\":\"m2\","
			"\"content\":{\"type\":\"image\",\"mimeType\":\"image/png\",\"data\":\"AA==\"}"));
	answer_last(&w, "\"result\":{\"stopReason\":\"end_turn\"}");
	assert_true(kt_str_starts(
		w.log.ptr, "end_turn||\n a \nb\n\nc\n\nd[n](file:///n)| completed completed||"));
	assert_int_equal(w.parts.len, 3);
	assert_int_equal(w.contents, 1);
	world_close(&w);
}

/* Words that come with the answer alone arrive, and are not said twice. */
static void test_words_of_the_answer(void **state)
{
	static const struct {
		const char *chunk, *member, *text;
	} cases[] = {
		{ NULL, "\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\",\"text\":\"b\"}]", "ab" },
		{ NULL, "\"text\":\"plain\"", "plain" },
		{ NULL, "\"message\":{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"m\"}]}", "m" },
		{ NULL, "\"_meta\":{}", "" },
		{ "said", "\"text\":\"said\"", "said" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTOFREE char *answer = kt_asprintf(
			"\"result\":{\"stopReason\":\"max_tokens\",%s}", cases[i].member);
		KT_AUTOFREE char *log = kt_asprintf("max_tokens||%s||", cases[i].text);
		struct world w;

		world_ready(&w, NULL);
		prompt_as(&w, "hi", NULL);
		if (cases[i].chunk)
			line(&w, CHUNK("m1", "said"));
		answer_last(&w, answer);
		assert_true(kt_str_starts(w.log.ptr, log));
		world_close(&w);
	}
}

static const char *first_text(const cJSON *out, int which)
{
	const cJSON *blocks = kt_json_arr(kt_json_get(out, "params"), "prompt");

	return kt_json_str(cJSON_GetArrayItem(blocks, which), "text");
}

/* Commands go as they are; words that only look so reach the model. */
static void test_slash(void **state)
{
	static const struct {
		const char *text, *first, *second;
	} cases[] = {
		{ "/init now", "/init now", NULL },
		{ "/compact", "/compact", NULL },
		{ "/summarize", "/compact", NULL },
		{ "/etc/hosts is what?", "Message:", "/etc/hosts is what?" },
		{ " /initial", "Message:", " /initial" },
		{ "/", "Message:", "/" },
		{ "a /init", "a /init", NULL },
	};
	struct world w;

	world_ready(&w, NULL);
	/* The list comes a moment later, and is waited for where it matters. */
	prompt_as(&w, "/init", NULL);
	sent_nothing(&w);
	assert_true(w.timer_ms > 0);
	line(&w, UPDATE("\"sessionUpdate\":\"available_commands_update\",\"availableCommands\":["
			"{\"name\":\"init\"},{\"name\":\"review\"}]"));
	expect_method(&w, "session/prompt");
	answer_last(&w, "\"result\":{\"stopReason\":\"end_turn\"}");
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		prompt_as(&w, cases[i].text, NULL);
		const cJSON *out = sent(&w);

		assert_string_equal(first_text(out, 0), cases[i].first);
		if (cases[i].second)
			assert_string_equal(first_text(out, 1), cases[i].second);
		else
			assert_null(first_text(out, 1));
		answer_last(&w, "\"result\":{\"stopReason\":\"end_turn\"}");
	}
	world_close(&w);
	/* No list comes: OpenCode's one command without it, else words. */
	world_ready(&w, NULL);
	prompt_as(&w, "/etc/hosts is what?", NULL);
	sent_nothing(&w);
	w.d->ops->timer(w.d);
	assert_string_equal(first_text(sent(&w), 0), "Message:");
	world_close(&w);
}

/* What the session tells of itself stays, and is counted: a list that is another takes its place. */
static void test_lists_count(void **state)
{
	KT_AUTO_BUF struct kt_buf list = KT_BUF_INIT(1 << 20);
	struct world w;
	size_t before;

	world_ready(&w, NULL);
	before = w.d->kept;
	for (int i = 0; i < 1000; i++)
		kt_buf_addf(&list, "%s{\"name\":\"command%d\"}", i ? "," : "", i);
	KT_AUTOFREE char *text = kt_asprintf(UPDATE(
		"\"sessionUpdate\":\"available_commands_update\",\"availableCommands\":[%s]"), list.ptr);
	line(&w, text);
	assert_true(w.d->kept > before + 1000 * 2 * sizeof(cJSON));
	line(&w, UPDATE("\"sessionUpdate\":\"available_commands_update\",\"availableCommands\":[]"));
	assert_true(w.d->kept < before + 1000);
	world_close(&w);
}

/* Nothing that a tool gave is dropped: pictures, files, links, differences, terminals. */
static void test_output_blocks(void **state)
{
	static const struct {
		const char *more, *output;
	} cases[] = {
		{ "\"rawOutput\":\"plain\"", "\"plain\"" },
		{ "\"rawOutput\":{\"output\":\"read\"},\"content\":[{\"type\":\"content\",\"content\":"
		  "{\"type\":\"text\",\"text\":\"read\"}},{\"type\":\"content\",\"content\":{\"type\":"
		  "\"image\",\"mimeType\":\"image/png\",\"data\":\"AA==\"}}]",
			"[{\"type\":\"text\",\"text\":\"read\"},{\"type\":\"image\",\"mimeType\":"
			"\"image/png\",\"data\":\"AA==\"}]" },
		{ "\"content\":[{\"type\":\"content\",\"content\":{\"type\":\"resource_link\",\"uri\":"
		  "\"u\",\"name\":\"n\"}},{\"type\":\"content\",\"content\":{\"type\":\"audio\","
		  "\"mimeType\":\"audio/wav\",\"data\":\"AA==\"}},{\"type\":\"content\",\"content\":"
		  "{\"type\":\"resource\",\"resource\":{\"uri\":\"u\",\"text\":\"t\"}}},"
		  "{\"type\":\"terminal\",\"terminalId\":\"x\"}]",
			"[{\"type\":\"resource_link\",\"uri\":\"u\",\"name\":\"n\"},{\"type\":\"audio\","
			"\"mimeType\":\"audio/wav\",\"data\":\"AA==\"},{\"type\":\"resource\","
			"\"resource\":{\"uri\":\"u\",\"text\":\"t\"}},{\"type\":\"terminal\","
			"\"terminalId\":\"x\"}]" },
		{ "\"rawOutput\":{\"output\":\"read\",\"attachments\":[{\"type\":\"file\",\"mime\":"
		  "\"application/pdf\",\"filename\":\"a.pdf\",\"url\":\"data:application/pdf;base64,AA==\"},"
		  "{\"type\":\"file\",\"mime\":\"image/png\",\"url\":\"data:image/png;base64,AA==\"}]}",
			"[{\"type\":\"text\",\"text\":\"read\"},{\"resource\":{\"uri\":\"a.pdf\","
			"\"mimeType\":\"application/pdf\",\"blob\":\"AA==\"},\"type\":\"resource\"}]" },
		{ "\"rawOutput\":{\"rows\":3}", "\"{\\\"rows\\\":3}\"" },
		{ "\"rawOutput\":7", "\"7\"" },
		{ "\"title\":\"nothing\"", "\"\"" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTOFREE char *text = kt_asprintf(
			UPDATE("\"sessionUpdate\":\"tool_call_update\",\"toolCallId\":\"t\","
			       "\"status\":\"completed\",%s"), cases[i].more);
		KT_AUTO_BUF struct kt_buf got = KT_BUF_INIT(1 << 16);
		struct world w;

		world_ready(&w, NULL);
		prompt_as(&w, "hi", NULL);
		line(&w, text);
		kt_json_add(&got, w.output);
		assert_string_equal(got.ptr, cases[i].output);
		answer_last(&w, "\"result\":{\"stopReason\":\"end_turn\"}");
		world_close(&w);
	}
}

/* A model may count its calls anew in each answer: the same id is another call. */
static void test_id_again(void **state)
{
	static const char *const kinds[] = { "tool_call", "tool_call_update", "tool_call_update" };
	static const char *const statuses[] = { "pending", "in_progress", "completed" };
	struct world w;

	world_ready(&w, NULL);
	prompt_as(&w, "hi", NULL);
	for (int i = 0; i < 9; i++) {
		KT_AUTOFREE char *text = kt_asprintf(
			UPDATE("\"sessionUpdate\":\"%s\",\"toolCallId\":\"call_0\",\"title\":\"%s\","
			       "\"status\":\"%s\",\"rawInput\":{\"n\":%d},\"rawOutput\":\"out %d\""),
			kinds[i % 3], i < 3 ? "read" : "write", statuses[i % 3], i / 3, i / 3);

		line(&w, text);
		/* Told twice, it is one call. */
		if (i == 5)
			line(&w, text);
	}
	assert_string_equal(w.output->valuestring, "out 2");
	answer_last(&w, "\"result\":{\"stopReason\":\"end_turn\"}");
	assert_non_null(strstr(w.log.ptr, " completed completed completed|"));
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_made_again),
		cmocka_unit_test(test_again_after_a_tool),
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_words_of_the_answer),
		cmocka_unit_test(test_slash),
		cmocka_unit_test(test_lists_count),
		cmocka_unit_test(test_output_blocks),
		cmocka_unit_test(test_id_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
