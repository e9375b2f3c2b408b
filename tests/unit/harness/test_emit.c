/* SPDX-License-Identifier: MIT */
/* Helpers that all drivers share: decisions, keys of approvals, usage, and events of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/limits.h"
#include "base/str.h"
#include "harness/driver.h"
#include "text/json.h"

#include <string.h>

struct got {
	struct kt_buf text; /* text parts put together */
	size_t events;
	cJSON *last;
};

static void on_event(void *arg, const struct kt_event_draft *ev)
{
	struct got *g = arg;

	cJSON_Delete(g->last);
	assert_int_equal(kt_json_parse(ev->data, ev->data_len, 0, &g->last, NULL), KT_OK);
	assert_true(ev->data_len <= KT_MAX_EVENT_BYTES);
	g->events++;
	if (kt_json_obj(g->last, "part")) {
		if (kt_json_bool(g->last, "replace", false))
			kt_buf_clear(&g->text);
		kt_buf_adds(&g->text, kt_json_str(kt_json_obj(g->last, "part"), "text"));
	}
}

static void got_release(struct got *g)
{
	cJSON_Delete(g->last);
	kt_buf_release(&g->text);
}

static void test_decisions(void **state)
{
	static const char *const unknown[] = { "", "always", "APPROVE_ONCE", "approve" };
	enum kt_decision d;

	for (enum kt_decision i = KT_APPROVE_ONCE; i <= KT_ANSWER; i++) {
		assert_true(kt_decision_parse(kt_decision_name(i), &d));
		assert_int_equal(d, i);
	}
	assert_true(kt_decision_parse("allow", &d) && d == KT_APPROVE_ONCE);
	assert_true(kt_decision_parse("once", &d) && d == KT_APPROVE_ONCE);
	assert_true(kt_decision_parse("session", &d) && d == KT_APPROVE_SESSION);
	for (size_t i = 0; i < KT_ARRAY_LEN(unknown); i++)
		assert_false(kt_decision_parse(unknown[i], &d));
	assert_false(kt_decision_parse(NULL, &d));
}

static void test_shapes(void **state)
{
	static const struct {
		const char *tool, *input, *command, *path;
	} cases[] = {
		{ "Bash", "{\"command\":\"ls\",\"description\":\"d\"}", "ls", NULL },
		{ "bash", "{\"command\":\"ls\",\"workdir\":\"x\"}", "ls", NULL },
		{ "Bash", "{\"command\":\"ls\",\"run_in_background\":true}", NULL, NULL },
		{ "Bash", "{\"command\":7}", NULL, NULL },
		{ "execute", "{\"command\":\"ls\"}", NULL, NULL },
		{ "Write", "{\"file_path\":\"a\",\"content\":\"x\"}", NULL, "a" },
		{ "edit", "{\"filePath\":\"a\",\"oldString\":\"x\"}", NULL, "a" },
		{ "NotebookEdit", "{\"notebook_path\":\"a\"}", NULL, "a" },
		{ "Write", "{\"file_path\":\"a\",\"filePath\":\"b\"}", NULL, NULL },
		{ "Write", "{\"file_path\":\"a\",\"to\":\"b\"}", NULL, NULL },
		{ "apply_patch", "{\"file_path\":\"a\"}", NULL, NULL },
		{ "Read", "{\"file_path\":\"a\"}", NULL, NULL },
		{ "Bash", "[]", NULL, NULL },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTO_JSON cJSON *input = NULL;
		struct kt_ask ask = { 0 };

		assert_int_equal(kt_json_parse(cases[i].input, strlen(cases[i].input), 0, &input,
					 NULL),
			KT_OK);
		kt_ask_shape(&ask, cases[i].tool, input);
		if (!kt_str_eq(ask.command, cases[i].command) && (ask.command || cases[i].command))
			fail_msg("%s: command %s", cases[i].input, ask.command);
		if (!kt_str_eq(ask.path, cases[i].path) && (ask.path || cases[i].path))
			fail_msg("%s: path %s", cases[i].input, ask.path);
	}
}

static void test_usage(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1000);
	struct kt_usage u = KT_USAGE_INIT;
	struct kt_jw w;

	u.input_tokens = 3;
	u.cost_microusd = 1500000;
	kt_jw_init(&w, &b);
	kt_usage_write(&w, NULL, &u);
	assert_string_equal(b.ptr, "{\"input_tokens\":3,\"cost_usd\":1.5}");
}

static void test_long_text(void **state)
{
	struct got g = { .text = KT_BUF_INIT(1 << 26) };
	struct kt_driver d = { .sink = { .arg = &g, .event = on_event } };
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(1 << 26);

	/* The worst for escaping, and three-byte characters at every place of a cut. */
	for (int i = 0; i < 400000; i++)
		kt_buf_adds(&text, i % 3 ? "\x01" : "\xe2\x82\xac");
	kt_emit_text(&d, false, "p", text.ptr, text.len, true, NULL);
	assert_true(g.events > 1);
	assert_string_equal(g.text.ptr, text.ptr);
	kt_emit_text(&d, false, "p", "", 0, true, NULL);
	assert_string_equal(g.text.ptr, "");
	got_release(&g);
}

static void test_long_tool(void **state)
{
	struct got g = { .text = KT_BUF_INIT(1 << 20) };
	struct kt_driver d = { .sink = { .arg = &g, .event = on_event } };
	char *big = kt_malloc(5000001);
	cJSON *input = cJSON_CreateObject();
	const char *shown;

	memset(big, 'x', 5000000);
	big[5000000] = '\0';
	cJSON_AddStringToObject(input, "content", big);
	cJSON_AddStringToObject(input, "file_path", "a.txt");
	kt_emit_tool_use(&d, "t1", "Write", input, "running", NULL);
	shown = kt_json_str(kt_json_obj(g.last, "tool_input"), "content");
	assert_true(strlen(shown) < 100000);
	assert_non_null(strstr(shown, "more bytes were cut"));
	assert_string_equal(kt_json_str(kt_json_obj(g.last, "tool_input"), "file_path"), "a.txt");
	assert_true(kt_json_bool(g.last, "truncated", false));
	assert_string_equal(kt_json_str(g.last, "tool_use_id"), "t1");
	cJSON_Delete(input);
	free(big);
	/* Very many members, nested deep: still one event. */
	input = cJSON_CreateArray();
	for (int i = 0; i < 300000; i++)
		cJSON_AddItemToArray(input, cJSON_CreateString("twelve bytes"));
	kt_emit_tool_edit(&d, "t1", NULL, input, NULL);
	assert_true(kt_json_bool(g.last, "truncated", false));
	assert_null(kt_json_get(g.last, "patch"));
	kt_emit_tool_result(&d, "t2", input, false, "completed", "p1");
	assert_string_equal(kt_json_str(g.last, "status"), "completed");
	assert_true(kt_json_bool(g.last, "truncated", false));
	cJSON_Delete(input);
	got_release(&g);
}

static void test_small_tool_is_whole(void **state)
{
	struct got g = { .text = KT_BUF_INIT(1 << 20) };
	struct kt_driver d = { .sink = { .arg = &g, .event = on_event } };

	kt_emit_tool_result(&d, "t", NULL, true, "cancelled", NULL);
	assert_true(cJSON_IsNull(kt_json_get(g.last, "output")));
	assert_true(kt_json_bool(g.last, "is_error", false));
	assert_null(kt_json_get(g.last, "truncated"));
	kt_emit_step_start(&d, 2, NULL, NULL);
	assert_int_equal(kt_json_int(g.last, "step_index", 0), 2);
	assert_string_equal(kt_json_str(g.last, "description"), "");
	kt_emit_step_finish(&d, 2, NULL, NULL);
	assert_null(kt_json_get(g.last, "usage"));
	got_release(&g);
}

/* Half a picture is none: it is left out whole, and the words beside it stay. */
static void test_large_picture(void **state)
{
	struct got g = { .text = KT_BUF_INIT(1 << 20) };
	struct kt_driver d = { .sink = { .arg = &g, .event = on_event } };
	KT_AUTO_BUF struct kt_buf data = KT_BUF_INIT(2 << 20);
	KT_AUTO_JSON cJSON *blocks = cJSON_CreateArray();
	cJSON *words = cJSON_CreateObject(), *picture = cJSON_CreateObject();

	for (int i = 0; i < (1 << 20) / 4; i++)
		kt_buf_adds(&data, "QUJD");
	cJSON_AddStringToObject(words, "text", "words");
	cJSON_AddStringToObject(picture, "mimeType", "image/png");
	cJSON_AddStringToObject(picture, "data", data.ptr);
	cJSON_AddItemToArray(blocks, words);
	cJSON_AddItemToArray(blocks, picture);
	kt_emit_tool_result(&d, "t", blocks, false, "completed", NULL);
	assert_true(kt_json_bool(g.last, "truncated", false));
	const cJSON *out = kt_json_arr(g.last, "output");

	assert_string_equal(kt_json_str(out->child, "text"), "words");
	assert_string_equal(kt_json_str(out->child->next, "mimeType"), "image/png");
	assert_null(kt_json_get(out->child->next, "data"));
	assert_int_equal(kt_json_int(out->child->next, "omitted_bytes", 0), 1 << 20);
	got_release(&g);
}

/* What a system event tells is cut in the same way, never dropped. */
static void test_large_system(void **state)
{
	struct got g = { .text = KT_BUF_INIT(1 << 20) };
	struct kt_driver d = { .sink = { .arg = &g, .event = on_event } };
	KT_AUTO_BUF struct kt_buf data = KT_BUF_INIT(4 << 20);
	KT_AUTO_JSON cJSON *event = cJSON_CreateObject(), *many = cJSON_CreateObject();
	cJSON *picture = cJSON_AddObjectToObject(event, "content");
	cJSON *list = cJSON_AddArrayToObject(many, "list");

	cJSON_AddStringToObject(event, "subtype", "content");
	cJSON_AddStringToObject(picture, "mimeType", "image/png");
	for (int i = 0; i < (2 << 20) / 4; i++)
		kt_buf_adds(&data, "QUJD");
	cJSON_AddStringToObject(picture, "data", data.ptr);
	kt_emit_system(&d, event, NULL);
	assert_true(kt_json_bool(g.last, "truncated", false));
	assert_string_equal(kt_json_str(g.last, "subtype"), "content");
	assert_int_equal(kt_json_int(kt_json_get(g.last, "content"), "omitted_bytes", 0), 2 << 20);
	cJSON_AddStringToObject(many, "subtype", "many");
	for (int i = 0; i < 999; i++) {
		cJSON *inner = cJSON_CreateArray();

		for (int k = 0; k < 999; k++)
			cJSON_AddItemToArray(inner, cJSON_CreateNull());
		cJSON_AddItemToArray(list, inner);
	}
	kt_emit_system(&d, many, NULL);
	assert_string_equal(kt_json_str(g.last, "subtype"), "many");
	assert_true(kt_json_bool(g.last, "truncated", false));
	assert_null(kt_json_get(g.last, "list"));
	got_release(&g);
}

#define HIGH "\xed\xa0\xbd" /* halves of a grin, as KT_JSON_HARNESS gives them */
#define LOW "\xed\xb8\x80"
#define GRIN "\xf0\x9f\x98\x80"
#define BAD "\xef\xbf\xbd"

/* What was cut inside a character is whole again; what has no rest is one U+FFFD. */
static void test_cut_characters(void **state)
{
	struct got g = { .text = KT_BUF_INIT(1 << 20) };
	struct kt_driver d = { .sink = { .arg = &g, .event = on_event } };
	KT_AUTO_JSON cJSON *none = cJSON_CreateObject();

	kt_emit_text(&d, false, "p", "grin " HIGH, 8, false, NULL);
	assert_string_equal(g.text.ptr, "grin ");
	/* Reasoning and a sub-agent's text have their own parts. */
	kt_emit_text(&d, true, "r", HIGH, 3, false, NULL);
	kt_emit_text(&d, false, "s", "\xf0\x9f", 2, false, "sub");
	kt_emit_text(&d, false, "p", LOW "!", 4, false, NULL);
	assert_string_equal(g.text.ptr, "grin " GRIN "!");
	kt_emit_text(&d, true, "r", LOW, 3, false, NULL);
	kt_emit_text(&d, false, "s", "\x98\x80", 2, false, "sub");
	assert_string_equal(g.text.ptr, "grin " GRIN "!" GRIN GRIN);
	kt_buf_clear(&g.text);
	/* The ends of a part: another part, a tool, the step, itself written anew. */
	kt_emit_text(&d, false, "p", HIGH, 3, false, NULL);
	kt_emit_text(&d, false, "q", "q", 1, false, NULL);
	assert_string_equal(g.text.ptr, BAD "q");
	kt_emit_text(&d, false, "q", HIGH, 3, false, NULL);
	kt_emit_tool_use(&d, "t", "Bash", none, "running", NULL);
	assert_string_equal(g.text.ptr, BAD "q" BAD);
	kt_emit_text(&d, false, "q", HIGH, 3, false, NULL);
	kt_emit_step_finish(&d, 1, NULL, NULL);
	kt_emit_text(&d, false, "q", LOW, 3, false, NULL);
	assert_string_equal(g.text.ptr, BAD "q" BAD BAD BAD);
	kt_emit_text(&d, false, "q", HIGH, 3, false, NULL);
	kt_emit_text(&d, false, "q", "new", 3, true, NULL);
	assert_string_equal(g.text.ptr, "new");
	kt_emit_text(&d, false, "q", HIGH, 3, false, NULL);
	kt_emit_release(&d);
	got_release(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_long_tool),
		cmocka_unit_test(test_small_tool_is_whole),
		cmocka_unit_test(test_large_picture),
		cmocka_unit_test(test_large_system),
		cmocka_unit_test(test_cut_characters),
	};

	return cmocka_run_group_tests_name("harness/emit", tests, NULL, NULL);
}
