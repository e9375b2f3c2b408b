/* SPDX-License-Identifier: MIT */
/*
 * What test_acp.c and test_acp_rules.c share: a driver with a sink that writes down what it is told
 * and holds it to the contract of driver.h.
 */
#ifndef KT_TEST_ACP_WORLD_H
#define KT_TEST_ACP_WORLD_H

#include "base/env.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "harness/driver.h"
#include "text/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* --- a sink that writes down what it is told --------------------------------------------------- */

/* A part by the rule of docs/events.md. */
struct world_part {
	char *id;
	struct kt_buf text;
};

struct world {
	struct kt_driver *d;
	struct kt_buf log; /* one line a turn, see note_turn() */
	struct kt_buf text; /* text of the turn by its events, parts joined by blank lines */
	struct kt_buf tools, asks, other;
	struct kt_buf ask_ids, withdrawn_ids;
	struct kt_vec parts; /* struct world_part */
	size_t reasoning; /* bytes */
	cJSON *output; /* of the last result */
	int contents; /* system events with content that is no text */
	int open_tools, open_steps, steps, replaced;
	char *session, *ask_id, *resume_failed, *input;
	int readies, asks_made, withdrawn;
	bool in_turn, ended;
	int64_t timer_ms;
	struct kt_vec sent; /* cJSON: messages of the driver */
	size_t sent_seen;
	char *error_message;
	bool retryable;
};

static KT_UNUSED void w_send(void *arg, const char *line, size_t len)
{
	struct world *w = arg;
	cJSON *doc = NULL;

	assert_int_equal(line[len - 1], '\n');
	assert_null(memchr(line, '\n', len - 1));
	assert_int_equal(kt_json_parse(line, len, KT_JSON_STRICT, &doc, NULL), KT_OK);
	assert_string_equal(kt_json_str(doc, "jsonrpc"), "2.0");
	kt_vec_push(&w->sent, doc);
}

static KT_UNUSED void set(char **slot, const char *s)
{
	char *copy = s ? kt_strdup(s) : NULL;

	free(*slot);
	*slot = copy;
}

static KT_UNUSED void w_ready(void *arg, const char *session)
{
	struct world *w = arg;

	w->readies++;
	set(&w->session, session);
}

static KT_UNUSED void w_session(void *arg, const char *session)
{
	set(&((struct world *)arg)->session, session);
}

static KT_UNUSED void note_text(struct world *w, const cJSON *data)
{
	const char *part = kt_json_str(data, "part_id");
	const char *text = kt_json_str(kt_json_get(data, "part"), "text");
	bool replace = kt_json_bool(data, "replace", false);

	assert_non_null(part);
	assert_non_null(text);
	struct world_part *p = NULL;

	for (size_t i = 0; i < w->parts.len && !p; i++) {
		struct world_part *one = w->parts.items[i];

		if (!strcmp(one->id, part))
			p = one;
	}
	if (!p) {
		p = kt_calloc(1, sizeof(*p));
		p->id = kt_strdup(part);
		kt_buf_init(&p->text, 1 << 20);
		kt_vec_push(&w->parts, p);
	}
	if (replace) {
		w->replaced++;
		kt_buf_clear(&p->text);
	}
	kt_buf_adds(&p->text, text);
	kt_buf_clear(&w->text);
	for (size_t i = 0; i < w->parts.len; i++) {
		const struct world_part *one = w->parts.items[i];

		if (one->text.len && w->text.len)
			kt_buf_adds(&w->text, "\n\n");
		kt_buf_add(&w->text, one->text.ptr, one->text.len);
	}
}

static KT_UNUSED void forget_parts(struct world *w)
{
	for (size_t i = 0; i < w->parts.len; i++) {
		struct world_part *p = w->parts.items[i];

		free(p->id);
		kt_buf_release(&p->text);
		free(p);
	}
	kt_vec_release(&w->parts);
}

static KT_UNUSED void note_use(struct world *w, const cJSON *data)
{
	const char *state = kt_json_str(data, "state");

	assert_non_null(kt_json_str(data, "tool_use_id"));
	assert_non_null(kt_json_obj(data, "tool_input"));
	assert_true(!strcmp(state, "pending") || !strcmp(state, "running"));
	KT_AUTOFREE char *id = kt_asprintf("<%s>", kt_json_str(data, "tool_use_id"));

	if (strstr(w->other.ptr, id))
		return;
	kt_buf_adds(&w->other, id);
	w->open_tools++;
}

static KT_UNUSED void note_result(struct world *w, const cJSON *data, const char *parent)
{
	const char *status = kt_json_str(data, "status");
	const cJSON *out = kt_json_get(data, "output");

	KT_AUTOFREE char *id = kt_asprintf("<%s>", kt_json_str(data, "tool_use_id"));
	char *used = strstr(w->other.ptr, id);

	/* The id may come again. */
	if (used)
		*used = '>';
	w->open_tools--;
	cJSON_Delete(w->output);
	w->output = cJSON_Duplicate(out, true);
	kt_buf_addf(&w->tools, " %s%s%s", parent ? "sub:" : "", status,
		cJSON_IsArray(out) ? "+diff" : "");
	assert_int_equal(kt_json_bool(data, "is_error", false), strcmp(status, "completed") != 0);
}

static KT_UNUSED void w_event(void *arg, const struct kt_event_draft *ev)
{
	struct world *w = arg;
	KT_AUTO_JSON cJSON *data = NULL;

	assert_int_equal(kt_json_parse(ev->data, ev->data_len, KT_JSON_STRICT, &data, NULL), KT_OK);
	if (ev->type == KT_EV_SYSTEM) {
		if (!strcmp(kt_json_str(data, "subtype"), "notice"))
			kt_buf_adds(&w->asks, " notice");
		else if (!strcmp(kt_json_str(data, "subtype"), "content"))
			w->contents++;
		return;
	}
	assert_true(w->in_turn); /* nothing but system events outside of a turn */
	if (ev->type == KT_EV_TEXT)
		note_text(w, data);
	else if (ev->type == KT_EV_REASONING)
		w->reasoning += strlen(kt_json_str(kt_json_get(data, "part"), "text"));
	else if (ev->type == KT_EV_TOOL_USE)
		note_use(w, data);
	else if (ev->type == KT_EV_TOOL_RESULT)
		note_result(w, data, ev->parent_tool_use_id);
	else if (ev->type == KT_EV_STEP_START) {
		assert_int_equal(kt_json_int(data, "step_index", -1), ++w->steps);
		w->open_steps++;
	} else if (ev->type == KT_EV_STEP_FINISH) {
		w->open_steps--;
	} else if (ev->type == KT_EV_STATUS) {
		assert_string_equal(kt_json_str(data, "state"), "plan");
		kt_buf_addf(&w->asks, " plan:%d", cJSON_GetArraySize(kt_json_arr(data, "entries")));
	}
}

static KT_UNUSED void w_unsolicited(void *arg)
{
	fail();
}

static KT_UNUSED void w_ask(void *arg, const struct kt_ask *ask)
{
	struct world *w = arg;
	KT_AUTO_JSON cJSON *input = NULL;

	assert_int_equal(kt_json_parse(ask->input, ask->input_len, KT_JSON_STRICT, &input, NULL), KT_OK);
	assert_true(cJSON_IsObject(input));
	assert_true(!strcmp(ask->kind, "tool_use") || !strcmp(ask->kind, "plan"));
	/* What it is about; "?" when that is not certain. */
	kt_buf_addf(&w->asks, " ask(%s|%s|%s)", ask->tool, ask->message,
		ask->partial ? "?" : ask->command ? ask->command : ask->path ? ask->path : "-");
	w->asks_made++;
	set(&w->ask_id, ask->id);
	kt_buf_addf(&w->ask_ids, "%s ", ask->id);
	set(&w->input, ask->input);
}

static KT_UNUSED void w_withdrawn(void *arg, const char *ask_id)
{
	struct world *w = arg;

	w->withdrawn++;
	kt_buf_addf(&w->withdrawn_ids, "%s ", ask_id);
}

/* "end_turn|code|text|tools|asks|steps|tokens|cost" */
static KT_UNUSED void w_turn_end(void *arg, const struct kt_turn_result *r)
{
	struct world *w = arg;

	assert_true(w->in_turn);
	assert_int_equal(w->open_tools, 0);
	assert_int_equal(w->open_steps, 0);
	assert_string_equal(w->text.ptr, r->text);
	assert_int_equal(!!r->error_code, !!r->error_message);
	kt_buf_addf(&w->log, "%s|%s|%s|%s|%s|%d", r->stop_reason, r->error_code ? r->error_code : "",
		r->text, w->tools.ptr, w->asks.ptr, w->steps);
	kt_buf_addf(&w->log, "|%lld/%lld/%lld|%lld|think %zu|replaced %d\n",
		(long long)r->usage.input_tokens, (long long)r->usage.output_tokens,
		(long long)r->usage.total_tokens, (long long)r->usage.cost_microusd, w->reasoning,
		w->replaced);
	set(&w->error_message, r->error_message);
	w->retryable = r->retryable;
	w->in_turn = false;
	w->ended = true;
}

static KT_UNUSED void w_set_timer(void *arg, int64_t delay_ms)
{
	((struct world *)arg)->timer_ms = delay_ms;
}

static KT_UNUSED void w_resume_failed(void *arg, const char *why)
{
	set(&((struct world *)arg)->resume_failed, why);
}

static KT_UNUSED void world_open(struct world *w, const struct kt_driver_config *cfg)
{
	const struct kt_driver_sink sink = {
		.arg = w, .send = w_send, .ready = w_ready, .session_id = w_session,
		.event = w_event, .unsolicited = w_unsolicited, .ask = w_ask,
		.ask_withdrawn = w_withdrawn, .turn_end = w_turn_end, .set_timer = w_set_timer,
		.resume_failed = w_resume_failed,
	};

	*w = (struct world){ .timer_ms = -1 };
	kt_buf_init(&w->log, 1 << 20);
	kt_buf_init(&w->text, 1 << 20);
	kt_buf_init(&w->tools, 1 << 16);
	kt_buf_init(&w->asks, 1 << 20);
	kt_buf_init(&w->other, 1 << 16);
	kt_buf_init(&w->ask_ids, 1 << 16);
	kt_buf_init(&w->withdrawn_ids, 1 << 16);
	w->d = kt_driver_acp.open(cfg, &sink);
}

static KT_UNUSED void world_close(struct world *w)
{
	w->d->ops->close(w->d);
	for (size_t i = 0; i < w->sent.len; i++)
		cJSON_Delete(w->sent.items[i]);
	kt_vec_release(&w->sent);
	kt_buf_release(&w->log);
	kt_buf_release(&w->text);
	kt_buf_release(&w->tools);
	kt_buf_release(&w->asks);
	kt_buf_release(&w->other);
	kt_buf_release(&w->ask_ids);
	kt_buf_release(&w->withdrawn_ids);
	forget_parts(w);
	cJSON_Delete(w->output);
	free(w->session);
	free(w->ask_id);
	free(w->input);
	free(w->resume_failed);
	free(w->error_message);
}

static KT_UNUSED void turn_begin(struct world *w)
{
	kt_buf_clear(&w->text);
	kt_buf_clear(&w->tools);
	kt_buf_clear(&w->asks);
	kt_buf_clear(&w->other);
	forget_parts(w);
	w->reasoning = 0;
	w->steps = w->replaced = 0;
	w->in_turn = true;
	w->ended = false;
}

static KT_UNUSED void prompt_as(struct world *w, const char *text, const char *agent)
{
	const struct kt_prompt p = { .text = text, .agent = agent, .thinking = true, .position = 1 };

	turn_begin(w);
	w->d->ops->prompt(w->d, &p);
}

static KT_UNUSED void line(struct world *w, const char *text)
{
	KT_AUTOFREE char *copy = kt_strdup(text);

	w->d->ops->line(w->d, copy, strlen(copy));
}

/* The next message of the driver that was not looked at. */
static KT_UNUSED const cJSON *sent(struct world *w)
{
	assert_true(w->sent_seen < w->sent.len);
	return w->sent.items[w->sent_seen++];
}

static KT_UNUSED void sent_nothing(const struct world *w)
{
	assert_int_equal(w->sent_seen, w->sent.len);
}

#endif
