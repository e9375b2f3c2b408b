/* SPDX-License-Identifier: MIT */
/*
 * Replays real two-way transcripts of Claude Code (tests/captures/claude-*.jsonl) through its
 * driver, in random pieces, and compares the events, the ends of turns, and what the driver sends
 * with what was sent then.
 *
 * A trace is one letter an event: s/f step start/finish, t text, r reasoning (runs are one letter),
 * T/R the same with `replace`, u tool announced, U running, c/x/d/k result completed, failed,
 * rejected, cancelled, A ask, W withdrawn, N unsolicited turn, Y system, S status, ^ in front of
 * what a sub-agent did, | a turn's end, ! resume failed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/env.h"
#include "base/fs.h"
#include "base/map.h"
#include "base/rand.h"
#include "base/str.h"
#include "harness/driver.h"
#include "text/json.h"
#include "text/lines.h"

#include <string.h>

static const char *test_root(void)
{
	for (char **e = kt_env_all(); *e; e++) {
		if (kt_str_starts(*e, "KARTA_TEST_ROOT="))
			return *e + strlen("KARTA_TEST_ROOT=");
	}
	return ".";
}

/* --- a sink that writes things down ------------------------------------------------------------ */

struct bench {
	struct kt_driver *d;
	struct kt_driver_config cfg;
	struct kt_buf trace;
	struct kt_buf ends; /* one line a turn's end */
	struct kt_buf shown; /* text as a client assembles it */
	struct kt_map parts; /* part id -> struct kt_buf * */
	struct kt_vec part_order;
	struct kt_vec sent; /* cJSON of each line sent */
	struct kt_vec asks; /* ids that are open */
	struct kt_buf last_ask; /* kind|tool|message|key|questions */
	char session[64];
	bool ready, in_turn;
	int64_t timer_ms;
	int turns_ended;
	bool all_json;
};

static void on_send(void *arg, const char *line, size_t len)
{
	struct bench *b = arg;
	cJSON *v = NULL;

	assert_true(len > 0 && line[len - 1] == '\n');
	assert_null(memchr(line, '\n', len - 1));
	assert_int_equal(kt_json_parse(line, len - 1, KT_JSON_STRICT, &v, NULL), KT_OK);
	kt_vec_push(&b->sent, v);
}

static void on_ready(void *arg, const char *session)
{
	struct bench *b = arg;

	assert_false(b->ready);
	b->ready = true;
	if (session)
		kt_str_copy(b->session, sizeof(b->session), session);
}

static void on_session(void *arg, const char *session)
{
	struct bench *b = arg;

	kt_str_copy(b->session, sizeof(b->session), session);
}

static void trace(struct bench *b, const char *parent, char letter)
{
	char last = b->trace.len ? b->trace.ptr[b->trace.len - 1] : '\0';

	if (!parent && (letter == 't' || letter == 'r') && last == letter)
		return;
	if (parent)
		kt_buf_addc(&b->trace, '^');
	kt_buf_addc(&b->trace, letter);
}

/* What a client does with a text event. */
static void assemble(struct bench *b, const cJSON *data)
{
	const char *id = kt_json_str(data, "part_id");
	const char *text = kt_json_str(kt_json_obj(data, "part"), "text");
	struct kt_buf *part;

	assert_non_null(id);
	assert_non_null(text);
	part = kt_map_get(&b->parts, id);
	if (!part) {
		part = kt_malloc(sizeof(*part));
		kt_buf_init(part, 1 << 26);
		kt_map_set(&b->parts, id, part);
		kt_vec_push(&b->part_order, part);
	}
	if (kt_json_bool(data, "replace", false))
		kt_buf_clear(part);
	kt_buf_adds(part, text);
}

static char result_letter(const cJSON *data)
{
	const char *status = kt_json_str_or(data, "status", "");

	assert_non_null(kt_json_get(data, "is_error"));
	return !strcmp(status, "completed")	? 'c'
		: !strcmp(status, "failed")	? 'x'
		: !strcmp(status, "rejected")	? 'd'
		: !strcmp(status, "cancelled")	? 'k'
						: '?';
}

static void on_event(void *arg, const struct kt_event_draft *ev)
{
	struct bench *b = arg;
	KT_AUTO_JSON cJSON *data = NULL;
	const char *parent = ev->parent_tool_use_id;
	bool replace;

	assert_int_equal(kt_json_parse(ev->data, ev->data_len, KT_JSON_STRICT, &data, NULL), KT_OK);
	assert_true(cJSON_IsObject(data));
	replace = kt_json_bool(data, "replace", false);
	switch (ev->type) {
	case KT_EV_TEXT:
		trace(b, parent, replace ? 'T' : 't');
		if (!parent)
			assemble(b, data);
		break;
	case KT_EV_REASONING:
		trace(b, parent, replace ? 'R' : 'r');
		break;
	case KT_EV_TOOL_USE:
		assert_non_null(kt_json_str(data, "tool_name"));
		assert_non_null(kt_json_str(data, "tool_use_id"));
		trace(b, parent, kt_str_eq(kt_json_str(data, "state"), "running") ? 'U' : 'u');
		break;
	case KT_EV_TOOL_RESULT:
		assert_non_null(kt_json_str(data, "tool_use_id"));
		trace(b, parent, result_letter(data));
		break;
	case KT_EV_STEP_START:
		trace(b, parent, 's');
		break;
	case KT_EV_STEP_FINISH:
		trace(b, parent, 'f');
		break;
	case KT_EV_SYSTEM:
		assert_non_null(kt_json_str(data, "subtype"));
		trace(b, parent, 'Y');
		break;
	case KT_EV_STATUS:
		assert_non_null(kt_json_str(data, "state"));
		trace(b, parent, 'S');
		break;
	case KT_EV_INPUT_REQUIRED:
	case KT_EV_ERROR:
	case KT_EV_DONE:
	case KT_EV_GAP:
	case KT_EV_COUNT_:
		fail_msg("event type %d is not a driver's", (int)ev->type);
	}
}

static void on_unsolicited(void *arg)
{
	struct bench *b = arg;

	assert_false(b->in_turn);
	b->in_turn = true;
	trace(b, NULL, 'N');
}

static void on_ask(void *arg, const struct kt_ask *ask)
{
	struct bench *b = arg;

	assert_true(b->in_turn);
	assert_non_null(ask->id);
	assert_true(ask->key && *ask->key);
	assert_int_equal(kt_json_check(ask->input, ask->input_len, 0, NULL), KT_OK);
	kt_vec_push(&b->asks, kt_strdup(ask->id));
	trace(b, ask->parent_tool_use_id, 'A');
	kt_buf_clear(&b->last_ask);
	kt_buf_addf(&b->last_ask, "%s|%s|%s|%s|%s", ask->kind, ask->tool, ask->message, ask->key,
		ask->questions ? ask->questions : "-");
}

static bool forget_ask(struct bench *b, const char *id)
{
	for (size_t i = 0; i < b->asks.len; i++) {
		if (!strcmp(b->asks.items[i], id)) {
			free(kt_vec_remove(&b->asks, i));
			return true;
		}
	}
	return false;
}

static void on_withdrawn(void *arg, const char *id)
{
	struct bench *b = arg;

	assert_true(forget_ask(b, id));
	trace(b, NULL, 'W');
}

static void part_release(struct bench *b)
{
	for (size_t i = 0; i < b->part_order.len; i++) {
		kt_buf_release(b->part_order.items[i]);
		free(b->part_order.items[i]);
	}
	kt_vec_release(&b->part_order);
	kt_map_release(&b->parts);
}

static void on_turn_end(void *arg, const struct kt_turn_result *r)
{
	struct bench *b = arg;

	assert_true(b->in_turn);
	b->in_turn = false;
	b->turns_ended++;
	assert_int_equal(b->asks.len, 0);
	kt_buf_clear(&b->shown);
	for (size_t i = 0; i < b->part_order.len; i++) {
		const struct kt_buf *part = b->part_order.items[i];

		if (b->shown.len && part->len)
			kt_buf_adds(&b->shown, "\n\n");
		kt_buf_add(&b->shown, part->ptr, part->len);
	}
	/* What a client puts together from the deltas is what the turn's result says. */
	assert_string_equal(b->shown.ptr, r->text);
	part_release(b);
	trace(b, NULL, '|');
	kt_buf_addf(&b->ends, "%s %s %s [%.40s] %lld %lld\n", r->stop_reason,
		r->error_code ? r->error_code : "-", r->retryable ? "again" : "-", r->text,
		(long long)r->usage.total_tokens, (long long)r->usage.cost_microusd);
	if (r->error_code)
		assert_true(r->error_message && *r->error_message);
}

static void on_set_timer(void *arg, int64_t ms)
{
	struct bench *b = arg;

	b->timer_ms = ms;
}

static void on_resume_failed(void *arg, const char *why)
{
	struct bench *b = arg;

	assert_non_null(strstr(why, "No conversation found"));
	trace(b, NULL, '!');
	b->in_turn = false;
}

static void bench_open(struct bench *b, const struct kt_driver_ops *ops,
	const struct kt_driver_config *cfg)
{
	struct kt_driver_sink sink = {
		.arg = b,
		.send = on_send,
		.ready = on_ready,
		.session_id = on_session,
		.event = on_event,
		.unsolicited = on_unsolicited,
		.ask = on_ask,
		.ask_withdrawn = on_withdrawn,
		.turn_end = on_turn_end,
		.set_timer = on_set_timer,
		.resume_failed = on_resume_failed,
	};

	memset(b, 0, sizeof(*b));
	b->cfg = *cfg;
	b->timer_ms = -1;
	kt_buf_init(&b->trace, 1 << 20);
	kt_buf_init(&b->ends, 1 << 20);
	kt_buf_init(&b->shown, 1 << 26);
	kt_buf_init(&b->last_ask, 1 << 20);
	b->d = ops->open(&b->cfg, &sink);
	ops->start(b->d);
}

static void bench_close(struct bench *b)
{
	b->d->ops->close(b->d);
	part_release(b);
	kt_buf_release(&b->trace);
	kt_buf_release(&b->ends);
	kt_buf_release(&b->shown);
	kt_buf_release(&b->last_ask);
	for (size_t i = 0; i < b->sent.len; i++)
		cJSON_Delete(b->sent.items[i]);
	kt_vec_release(&b->sent);
	while (b->asks.len)
		free(kt_vec_remove(&b->asks, 0));
	kt_vec_release(&b->asks);
}

static void feed_text(struct bench *b, const char *text)
{
	char *line = kt_strdup(text);

	b->d->ops->line(b->d, line, strlen(line));
	free(line);
}

static cJSON *last_sent(struct bench *b)
{
	return b->sent.len ? b->sent.items[b->sent.len - 1] : NULL;
}

static const char *last_request_id(struct bench *b)
{
	return kt_json_str(last_sent(b), "request_id");
}

static void make_ready(struct bench *b)
{
	KT_AUTOFREE char *line = kt_asprintf(
		"{\"type\":\"control_response\",\"response\":{\"subtype\":\"success\","
		"\"request_id\":\"%s\",\"response\":{\"commands\":[{\"name\":\"compact\"},"
		"{\"name\":\"clear\"},{\"name\":\"context\"},{\"name\":\"hi\"}],\"agents\":[]}}}",
		last_request_id(b));

	feed_text(b, line);
	assert_true(b->ready);
}

/* --- replay of a capture ----------------------------------------------------------------------- */

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

static const char *prompt_text(const cJSON *line)
{
	const cJSON *content = kt_json_get(kt_json_obj(line, "message"), "content");

	if (cJSON_IsString(content))
		return content->valuestring;
	return kt_json_str(content ? content->child : NULL, "text");
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
		/* Turns are queued above the driver: one that came in the middle has no place here. */
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
		size_t n = 1 + kt_rand_below(kt_rand_below(8) ? 4000 : 7);

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
		"Bash:mkdir -p out && echo hi > out/a.txt|-");
	replay_end(&r);
	replay(&r, "claude-51-ask-user-question", true);
	assert_true(kt_str_starts(r.b.last_ask.ptr,
		"question|AskUserQuestion|Which colour?|AskUserQuestion:"));
	assert_true(kt_str_ends(r.b.last_ask.ptr,
		"|[{\"question\":\"Which colour?\",\"header\":\"Colour\",\"options\":"
		"[{\"label\":\"Red\",\"description\":\"r\"},"
		"{\"label\":\"Blue\",\"description\":\"b\"}],\"multi\":false}]"));
	replay_end(&r);
}

/* --- single points ----------------------------------------------------------------------------- */

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
		"--resume OLD --model m --permission-mode plan ");
	for (size_t i = 0; i < env.len; i++)
		assert_false(kt_str_starts(env.items[i], "CLAUDE_CODE_SUBPROCESS_ENV_SCRUB"));
	kt_vec_release(&argv);
	kt_vec_release(&env);
	cfg = (struct kt_driver_config){ .program = "c", .cwd = "/app", .new_id = "NEW" };
	kt_driver_claude.command(&cfg, arena, &argv, &env);
	assert_string_equal(argv.items[argv.len - 2], "--session-id");
	assert_string_equal(argv.items[argv.len - 1], "NEW");
	assert_string_equal(env.items[env.len - 1], "CLAUDE_CODE_SUBPROCESS_ENV_SCRUB=1");
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
		"\"subtype\":\"error\",\"request_id\":\"%s\",\"error\":\"Agent nobody not found\"}}",
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

	open_ready(&b);
	prompt(&b, "one", NULL, false);
	sent = kt_json_obj(b.sent.items[1], "request");
	assert_string_equal(kt_json_str(sent, "subtype"), "set_max_thinking_tokens");
	assert_int_equal(kt_json_int(sent, "max_thinking_tokens", -7), 0);
	feed_text(&b, "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false}");
	prompt(&b, "two", NULL, false);
	assert_int_equal(b.sent.len, 4); /* initialize, thinking, one, two */
	feed_text(&b, "{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false}");
	prompt(&b, "three", NULL, true);
	sent = kt_json_obj(b.sent.items[4], "request");
	assert_true(cJSON_IsNull(kt_json_get(sent, "max_thinking_tokens")));
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
	feed_text(&b, "{\"type\":\"result\",\"subtype\":\"error_during_execution\",\"is_error\":true,"
		      "\"terminal_reason\":\"aborted_streaming\"}");
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
	assert_string_equal(kt_json_str(kt_json_obj(last_sent(&b), "response"), "subtype"), "error");
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
		"{\"type\":\"control_request\"}", "{\"type\":\"control_request\",\"request_id\":\"a\"}",
		"{\"type\":\"control_request\",\"request_id\":\"a\",\"request\":{\"subtype\":"
		"\"can_use_tool\"}}",
		"{\"type\":\"control_request\",\"request_id\":\"b\",\"request\":{\"subtype\":"
		"\"can_use_tool\",\"tool_name\":\"AskUserQuestion\",\"input\":{\"questions\":[1]}}}",
		"{\"type\":\"control_response\"}", "{\"type\":\"control_response\",\"response\":{}}",
		"{\"type\":\"control_cancel_request\"}",
		"{\"type\":\"control_cancel_request\",\"request_id\":\"a\"}",
		"{\"type\":\"rate_limit_event\"}",
		"{\"type\":\"result\",\"origin\":7,\"modelUsage\":{\"a\":1},\"errors\":[1]}",
		"{\"type\":\"result\",\"is_error\":true}",
	};

	for (int round = 0; round < 400; round++) {
		struct bench b;

		open_ready(&b);
		if (round % 2)
			prompt(&b, "x", NULL, round % 3 == 0);
		for (int i = 0; i < 60; i++) {
			feed_text(&b, lines[kt_rand_below(KT_ARRAY_LEN(lines))]);
			if (kt_rand_below(10) == 0 && b.in_turn)
				b.d->ops->interrupt(b.d);
			if (kt_rand_below(10) == 0 && b.timer_ms > 0)
				b.d->ops->timer(b.d);
			if (kt_rand_below(5) == 0 && b.asks.len) {
				KT_AUTOFREE char *id = kt_vec_remove(&b.asks, 0);

				b.d->ops->answer(b.d, id, (enum kt_decision)kt_rand_below(4),
					kt_rand_below(2) ? "{\"q\":[\"a\",1],\"r\":2}" : NULL,
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
		cmocka_unit_test(test_replays),
		cmocka_unit_test(test_table_is_whole),
		cmocka_unit_test(test_every_driver_has_captures),
		cmocka_unit_test(test_lines_were_compared),
		cmocka_unit_test(test_thinking_hidden_unless_asked),
		cmocka_unit_test(test_ask_says_what),
		cmocka_unit_test(test_command_line),
		cmocka_unit_test(test_slash),
		cmocka_unit_test(test_agent_not_found),
		cmocka_unit_test(test_interrupt_before_the_message_is_sent),
		cmocka_unit_test(test_thinking_switch),
		cmocka_unit_test(test_interrupt_is_repeated),
		cmocka_unit_test(test_background_turn_ends_inside_ours),
		cmocka_unit_test(test_unknown_request_is_answered),
		cmocka_unit_test(test_any_line),
		cmocka_unit_test(test_malformed_is_told_once),
	};

	return cmocka_run_group_tests_name("harness/drivers", tests, NULL, NULL);
}
