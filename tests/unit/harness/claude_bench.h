/* SPDX-License-Identifier: MIT */
/*
 * A sink that writes down what the Claude Code driver does, for test_drivers.c and test_claude.c.
 *
 * A trace is one letter an event: s/f step start/finish, t text, r reasoning (runs are one letter),
 * T/R the same with `replace`, u tool announced, U running, c/x/d/k result completed, failed,
 * rejected, cancelled, A ask, W withdrawn, N unsolicited turn, Y system, S status, ^ in front of
 * what a sub-agent did, | a turn's end, ! resume failed.
 */
#ifndef CLAUDE_BENCH_H
#define CLAUDE_BENCH_H

#include "base/map.h"
#include "base/str.h"
#include "harness/driver.h"
#include "text/json.h"

#include <string.h>

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
	struct kt_buf last_ask; /* kind|tool|message|command or path|questions */
	char session[64];
	bool ready, in_turn;
	int64_t timer_ms;
	int turns_ended;
	bool all_json;
	struct kt_buf *output; /* of the last tool result, when set */
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
		if (b->output) {
			kt_buf_clear(b->output);
			kt_json_add(b->output, kt_json_get(data, "output"));
		}
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
	case KT_EV_LOG:
	case KT_EV_RELEASE:
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
	assert_int_equal(kt_json_check(ask->input, ask->input_len, 0, NULL), KT_OK);
	kt_vec_push(&b->asks, kt_strdup(ask->id));
	trace(b, ask->parent_tool_use_id, 'A');
	kt_buf_clear(&b->last_ask);
	kt_buf_addf(&b->last_ask, "%s|%s|%s|%s|%s", ask->kind, ask->tool, ask->message,
		ask->command ? ask->command : ask->path ? ask->path : "-",
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
		"{\"name\":\"clear\",\"aliases\":[\"reset\",\"new\"]},{\"name\":\"context\"},{\"name\":\"hi\"}],\"agents\":[]}}}",
		last_request_id(b));

	feed_text(b, line);
	assert_true(b->ready);
}

/* Text of a user line. */
static inline const char *prompt_text(const cJSON *line)
{
	const cJSON *content = kt_json_get(kt_json_obj(line, "message"), "content");

	if (cJSON_IsString(content))
		return content->valuestring;
	return kt_json_str(content ? content->child : NULL, "text");
}

#endif
