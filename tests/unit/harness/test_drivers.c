/* SPDX-License-Identifier: MIT */
/*
 * Replays real two-way transcripts of Claude Code (tests/captures/claude-*.jsonl) through its
 * driver, in random pieces, and compares the events, the ends of turns, and what the driver sends
 * with what was sent then. claude_bench.h says what the letters of a trace mean.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/env.h"
#include "base/fs.h"
#include "text/lines.h"

#include "claude_bench.h"
#include "tests/unit/patience.h"

static const char *test_root(void)
{
	for (char **e = kt_env_all(); *e; e++) {
		if (kt_str_starts(*e, "KARTA_TEST_ROOT="))
			return *e + strlen("KARTA_TEST_ROOT=");
	}
	return ".";
}

struct replay {
	struct bench b;
	cJSON *records; /* array */
	struct kt_map ids; /* request id in the capture -> ours (strdup) */
	struct kt_lines lines;
	struct kt_buf err;
	bool thinking;
	size_t compared; /* lines that were compared with the capture's */
	const char *agent; /* in force; points into records */
	bool sent_ahead; /* the next user line went out with the agent switch */
};

static cJSON *load(const char *name)
{
	KT_AUTOFREE char *path = kt_asprintf("%s/tests/captures/%s.jsonl", test_root(), name);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(1 << 26);
	cJSON *all = cJSON_CreateArray();
	struct kt_err err = KT_ERR_INIT;

	if (kt_fs_read(path, &text, &err) != KT_OK)
		fail_msg("%s", err.msg);
	for (char *p = text.ptr; *p;) {
		size_t n = strcspn(p, "\n");
		cJSON *v = NULL;

		assert_int_equal(kt_json_parse(p, n, KT_JSON_LENIENT, &v, NULL), KT_OK);
		cJSON_AddItemToArray(all, v);
		p += n + (p[n] == '\n');
	}
	return all;
}

/* Equal but for ids and what only one side needs. */
static void assert_same_line(struct replay *r, const cJSON *ours, const cJSON *then)
{
	cJSON *a = cJSON_Duplicate(ours, true);
	cJSON *t = cJSON_Duplicate(then, true);

	cJSON_DeleteItemFromObjectCaseSensitive(a, "request_id");
	cJSON_DeleteItemFromObjectCaseSensitive(t, "request_id");
	cJSON_DeleteItemFromObjectCaseSensitive(t, "uuid");
	if (!cJSON_Compare(a, t, true)) {
		char *as = cJSON_PrintUnformatted(a);
		char *ts = cJSON_PrintUnformatted(t);

		fail_msg("sent %s\nthen %s", as, ts);
	}
	cJSON_Delete(a);
	cJSON_Delete(t);
	r->compared++;
}

static bool is_user(const cJSON *record)
{
	return kt_str_eq(kt_json_str(record, "dir"), "in") &&
		kt_str_eq(kt_json_str(kt_json_obj(record, "line"), "type"), "user");
}

static void give_prompt(struct replay *r, const char *text, const char *agent)
{
	struct kt_prompt p = { .text = text, .agent = agent, .thinking = r->thinking,
		.position = (uint32_t)r->b.turns_ended + 1 };

	r->b.in_turn = true;
	r->b.d->ops->prompt(r->b.d, &p);
}

static void in_user(struct replay *r, const cJSON *line)
{
	const char *text = prompt_text(line);

	if (r->sent_ahead) {
		r->sent_ahead = false;
	} else {
		if (!r->b.ready)
			make_ready(&r->b);
		/* Turns are queued above the driver: one in the middle has no place here. */
		if (r->b.in_turn || !text || !cJSON_IsArray(kt_json_get(
						     kt_json_obj(line, "message"), "content")))
			return;
		give_prompt(r, text, r->agent);
	}
	assert_same_line(r, last_sent(&r->b), line);
}

static void map_id(struct replay *r, const cJSON *line)
{
	free(kt_map_set(&r->ids, kt_json_str(line, "request_id"),
		kt_strdup(last_request_id(&r->b))));
}

static void in_request(struct replay *r, const cJSON *line, const cJSON *next)
{
	const cJSON *request = kt_json_obj(line, "request");
	const char *subtype = kt_json_str_or(request, "subtype", "");
	const char *agent = kt_json_str(kt_json_obj(request, "settings"), "agent");

	if (!strcmp(subtype, "initialize")) {
		map_id(r, line);
	} else if (!strcmp(subtype, "interrupt") && r->b.in_turn) {
		size_t before = r->b.sent.len;

		r->b.d->ops->interrupt(r->b.d);
		assert_true(r->b.sent.len == before + 1);
		assert_same_line(r, last_sent(&r->b), line);
		map_id(r, line);
	} else if (agent) {
		while (next && !is_user(next))
			next = next->next;
		assert_non_null(next);
		r->agent = agent;
		give_prompt(r, prompt_text(kt_json_obj(next, "line")), agent);
		assert_same_line(r, last_sent(&r->b), line);
		map_id(r, line);
		r->sent_ahead = true;
	}
}

static void in_response(struct replay *r, const cJSON *line)
{
	const cJSON *response = kt_json_obj(line, "response");
	const char *id = kt_json_str(response, "request_id");
	const cJSON *body = kt_json_obj(response, "response");
	const cJSON *answers = kt_json_obj(kt_json_obj(body, "updatedInput"), "answers");
	const char *behavior = kt_json_str(body, "behavior");
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(1 << 20);
	size_t before = r->b.sent.len;
	bool open = forget_ask(&r->b, id);

	if (!open && !behavior)
		return; /* a hook or an in-process tool: not ours */
	kt_json_add(&text, answers);
	r->b.d->ops->answer(r->b.d, id,
		kt_str_eq(behavior, "allow") ? (answers ? KT_ANSWER : KT_APPROVE_ONCE) : KT_DENY,
		answers ? text.ptr : NULL, kt_json_str(body, "message"));
	assert_int_equal(r->b.sent.len, before + (open ? 1 : 0));
	/* Some captures tried answers that the driver never gives. */
	if (!open || !behavior || kt_json_get(body, "updatedPermissions") ||
		kt_json_get(body, "interrupt") ||
		(!strcmp(behavior, "allow") && !kt_json_get(body, "updatedInput")))
		return;
	assert_same_line(r, last_sent(&r->b), line);
}

static void framed_line(void *arg, char *line, size_t len)
{
	struct replay *r = arg;

	r->b.d->ops->line(r->b.d, line, len);
}

static void out_line(struct replay *r, const cJSON *line)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(1 << 26);
	KT_AUTO_JSON cJSON *copy = cJSON_Duplicate(line, true);
	cJSON *response = cJSON_GetObjectItemCaseSensitive(copy, "response");
	const char *mine = kt_json_str(response, "request_id");

	mine = mine ? kt_map_get(&r->ids, mine) : NULL;
	if (mine)
		cJSON_ReplaceItemInObjectCaseSensitive(response, "request_id",
			cJSON_CreateString(mine));
	if (cJSON_IsString(copy))
		kt_buf_adds(&text, copy->valuestring);
	else
		kt_json_add(&text, copy);
	kt_buf_addc(&text, '\n');
	for (size_t at = 0; at < text.len;) {
		size_t n = 1 + chance_below(chance_below(8) ? 4000 : 7);

		n = KT_MIN(n, text.len - at);
		assert_int_equal(kt_lines_feed(&r->lines, text.ptr + at, n, framed_line, r, NULL),
			KT_OK);
		at += n;
	}
}

static void gone(struct replay *r, const cJSON *exit)
{
	int code = cJSON_IsNumber(exit) ? exit->valueint : -1;

	r->b.d->ops->gone(r->b.d, code, code < 0 ? 9 : 0, r->err.ptr);
}

static void replay_record(struct replay *r, const cJSON *record)
{
	const char *dir = kt_json_str_or(record, "dir", "");
	const cJSON *line = kt_json_get(record, "line");
	const char *type = kt_json_str_or(line, "type", "");

	if (!strcmp(dir, "out")) {
		out_line(r, line);
	} else if (!strcmp(dir, "err") && cJSON_IsString(line)) {
		kt_buf_adds(&r->err, r->err.len ? "\n" : "");
		kt_buf_adds(&r->err, line->valuestring);
	} else if (!strcmp(dir, "exit")) {
		gone(r, line);
	} else if (!strcmp(dir, "in") && !strcmp(type, "user")) {
		in_user(r, line);
	} else if (!strcmp(dir, "in") && !strcmp(type, "control_request")) {
		in_request(r, line, record->next);
	} else if (!strcmp(dir, "in") && !strcmp(type, "control_response")) {
		in_response(r, line);
	}
}

static const char *argument(const cJSON *argv, const char *name)
{
	const cJSON *a;

	cJSON_ArrayForEach(a, argv) {
		if (!strcmp(a->valuestring, name))
			return a->next ? a->next->valuestring : NULL;
	}
	return NULL;
}

static void replay(struct replay *r, const char *name, bool thinking)
{
	const cJSON *record;
	const cJSON *argv;

	memset(r, 0, sizeof(*r));
	r->records = load(name);
	r->thinking = thinking;
	kt_buf_init(&r->err, 1 << 20);
	kt_lines_init(&r->lines, 1 << 26);
	argv = kt_json_path(r->records->child, "line.argv");
	const struct kt_driver_config cfg = {
		.program = "/usr/bin/claude",
		.cwd = "/app",
		.resume_id = argument(argv, "--resume"),
		.new_id = "5f9b7a3e-0000-4000-8000-000000000001",
		/* Captures left thinking as it was: with it on and no budget nothing is sent. */
	};

	bench_open(&r->b, &kt_driver_claude, &cfg);
	cJSON_ArrayForEach(record, r->records) {
		replay_record(r, record);
	}
	/* Some were cut before the end of the process. */
	if (r->b.in_turn)
		r->b.d->ops->gone(r->b.d, -1, 9, r->err.ptr);
}

static void replay_end(struct replay *r)
{
	const char *key;
	void *value;

	bench_close(&r->b);
	for (size_t pos = 0; kt_map_next(&r->ids, &pos, &key, &value);)
		free(value);
	kt_map_release(&r->ids);
	kt_lines_release(&r->lines);
	kt_buf_release(&r->err);
	cJSON_Delete(r->records);
}

struct expected {
	const char *name;
	const char *trace;
	const char *ends;
};

static const struct expected expected[] = {
#include "claude_expected.h"
};

static void test_replays(void **state)
{
	size_t wrong = 0;

	for (size_t i = 0; i < KT_ARRAY_LEN(expected); i++) {
		const struct expected *e = &expected[i];
		struct replay r;

		replay(&r, e->name, true);
		if (strcmp(r.b.trace.ptr, e->trace) != 0 || strcmp(r.b.ends.ptr, e->ends) != 0) {
			print_error("%s\n trace %s\n  want %s\n ends\n%s want\n%s", e->name,
				r.b.trace.ptr, e->trace, r.b.ends.ptr, e->ends);
			wrong++;
		}
		assert_false(r.b.in_turn);
		replay_end(&r);
	}
	assert_int_equal(wrong, 0);
}

/* Every capture in the folder is in the table: a new one cannot be forgotten. */
static void test_table_is_whole(void **state)
{
	KT_AUTOFREE char *dir = kt_asprintf("%s/tests/captures", test_root());
	char **names = NULL;
	size_t n = 0;
	size_t found = 0;

	assert_int_equal(kt_fs_list(dir, &names, &n, NULL), KT_OK);
	for (size_t i = 0; i < n; i++) {
		bool known = false;

		if (!kt_str_starts(names[i], "claude-") || kt_str_starts(names[i], "claude-acp"))
			continue;
		for (size_t k = 0; !known && k < KT_ARRAY_LEN(expected); k++)
			known = kt_str_starts(names[i], expected[k].name) &&
				!strcmp(names[i] + strlen(expected[k].name), ".jsonl");
		if (!known)
			print_error("no expectation for %s\n", names[i]);
		found += known;
	}
	kt_fs_names_free(names, n);
	assert_int_equal(found, KT_ARRAY_LEN(expected));
}

/* A driver that speaks to a process has transcripts to be tested with. */
static void test_every_driver_has_captures(void **state)
{
	static const struct {
		enum kt_harness_type type;
		const char *prefix;
	} drivers[] = {
		{ KT_HARNESS_CLAUDE, "claude-0" },
		{ KT_HARNESS_OPENCODE, "opencode-acp-" },
		{ KT_HARNESS_ACP, "gemini-acp-" },
	};
	KT_AUTOFREE char *dir = kt_asprintf("%s/tests/captures", test_root());
	char **names = NULL;
	size_t n = 0;

	assert_int_equal(kt_fs_list(dir, &names, &n, NULL), KT_OK);
	for (enum kt_harness_type t = KT_HARNESS_CLAUDE; t <= KT_HARNESS_REHEARSAL; t++) {
		const struct kt_driver_ops *ops = kt_driver_for(t);
		bool found = !ops->has_process;

		assert_non_null(ops);
		for (size_t k = 0; k < KT_ARRAY_LEN(drivers); k++) {
			for (size_t i = 0; drivers[k].type == t && i < n; i++)
				found = found || kt_str_starts(names[i], drivers[k].prefix);
		}
		if (!found)
			fail_msg("no capture for driver %s", ops->name);
	}
	kt_fs_names_free(names, n);
}

static void test_lines_were_compared(void **state)
{
	static const struct {
		const char *name;
		size_t lines;
	} cases[] = {
		{ "claude-03-permission-once", 2 },
		{ "claude-09-interrupt-permission", 3 },
		{ "claude-51-ask-user-question", 2 },
		{ "claude-52-plan-mode", 4 },
		{ "claude-58-agent-switch", 3 },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		struct replay r;

		replay(&r, cases[i].name, true);
		assert_true(r.compared >= cases[i].lines);
		replay_end(&r);
	}
}

static void test_thinking_hidden_unless_asked(void **state)
{
	struct replay r;

	replay(&r, "claude-41-think-adaptive", true);
	assert_non_null(strchr(r.b.trace.ptr, 'r'));
	replay_end(&r);
	replay(&r, "claude-41-think-adaptive", false);
	assert_null(strchr(r.b.trace.ptr, 'r'));
	assert_non_null(strchr(r.b.trace.ptr, 't'));
	replay_end(&r);
}

static void test_ask_says_what(void **state)
{
	struct replay r;

	replay(&r, "claude-03-permission-once", true);
	assert_string_equal(r.b.last_ask.ptr,
		"tool_use|Bash|Allow Bash: mkdir -p out && echo hi > out/a.txt?|"
		"mkdir -p out && echo hi > out/a.txt|-");
	replay_end(&r);
	replay(&r, "claude-51-ask-user-question", true);
	assert_true(kt_str_starts(r.b.last_ask.ptr,
		"question|AskUserQuestion|Which colour?|-|"));
	assert_true(kt_str_ends(r.b.last_ask.ptr,
		"|[{\"question\":\"Which colour?\",\"header\":\"Colour\",\"options\":"
		"[{\"label\":\"Red\",\"description\":\"r\"},"
		"{\"label\":\"Blue\",\"description\":\"b\"}],\"multi\":false}]"));
	replay_end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replays),
		cmocka_unit_test(test_table_is_whole),
		cmocka_unit_test(test_every_driver_has_captures),
		cmocka_unit_test(test_lines_were_compared),
		cmocka_unit_test(test_thinking_hidden_unless_asked),
		cmocka_unit_test(test_ask_says_what),
	};

	return cmocka_run_group_tests_name("harness/drivers", tests, NULL, NULL);
}
