/* SPDX-License-Identifier: MIT */
/*
 * Claude Code's permission requests (`can_use_tool`): tool calls, questions and plans, and their
 * answers. The suggestions that come along are never sent back: they switch modes or write files.
 */
#include "harness/claude_private.h"

#include "base/limits.h"
#include "base/str.h"

#include <string.h>

/* A question that a person reads; the whole input is shown beside it. */
enum { MESSAGE_MAX_BYTES = 2000 };

struct claude_ask *kt_claude_ask(const struct kt_claude *c, const char *id)
{
	for (size_t i = 0; id && i < c->asks.len; i++) {
		struct claude_ask *a = c->asks.items[i];

		if (!strcmp(a->id, id))
			return a;
	}
	return NULL;
}

void kt_claude_ask_remove(struct kt_claude *c, struct claude_ask *a)
{
	if (!kt_vec_remove_ptr(&c->asks, a))
		return;
	free(a->id);
	free(a->tool_use_id);
	kt_shared_unref(a->input);
	free(a);
}

static void write_updated_input(struct kt_jw *w, const struct claude_ask *a, const char *answers)
{
	KT_AUTO_JSON cJSON *input = NULL;
	KT_AUTO_JSON cJSON *given = NULL;
	const cJSON *m;

	if (a->kind != CLAUDE_ASK_QUESTION || !answers ||
		kt_json_parse(answers, strlen(answers), KT_JSON_DUP_KEYS, &given, NULL) != KT_OK ||
		kt_json_parse(a->input->text, a->input->len, KT_JSON_LENIENT, &input, NULL) !=
			KT_OK ||
		!cJSON_IsObject(input)) {
		kt_jw_raw(w, "updatedInput", a->input->text, a->input->len);
		return;
	}
	kt_jw_obj(w, "updatedInput");
	cJSON_ArrayForEach (m, input) {
		if (strcmp(m->string, "answers") != 0)
			kt_jw_json(w, m->string, m);
	}
	kt_jw_obj(w, "answers");
	cJSON_ArrayForEach (m, given) {
		KT_AUTO_BUF struct kt_buf joined = KT_BUF_INIT(KT_MAX_TEXT_BYTES);
		const cJSON *one;

		if (!m->string)
			continue;
		/* Several choices are one string for this harness. */
		if (cJSON_IsArray(m)) {
			cJSON_ArrayForEach (one, m) {
				if (!cJSON_IsString(one))
					continue;
				kt_buf_adds(&joined, joined.len ? ", " : "");
				kt_buf_adds(&joined, one->valuestring);
			}
		} else if (cJSON_IsString(m)) {
			kt_buf_adds(&joined, m->valuestring);
		} else {
			kt_json_add(&joined, m);
		}
		kt_jw_strn(w, m->string, joined.ptr, joined.len);
	}
	kt_jw_obj_end(w);
	kt_jw_obj_end(w);
}

static void send_answer(struct kt_claude *c, const struct claude_ask *a, bool allow,
	const char *answers, const char *note)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_LINE_BYTES);
	struct kt_jw w;

	kt_claude_reply_begin(&w, &b, a->id);
	kt_jw_str(&w, "behavior", allow ? "allow" : "deny");
	if (allow)
		write_updated_input(&w, a, answers);
	else
		kt_jw_str(&w, "message", note && *note ? note : "The user said no.");
	kt_claude_reply_end(c, &w);
}

void kt_claude_answer(struct kt_claude *c, const char *ask_id, enum kt_decision decision,
	const char *answers, const char *note)
{
	struct claude_ask *a = kt_claude_ask(c, ask_id);

	if (!a)
		return;
	if (a->kind == CLAUDE_ASK_ELICITATION) {
		kt_claude_elicited(c, a, decision, answers);
		kt_claude_ask_remove(c, a);
		return;
	}
	if (decision == KT_DENY) {
		struct claude_tool *t = kt_claude_tool(c, a->tool_use_id);

		if (t)
			t->denied = true;
	}
	send_answer(c, a, decision != KT_DENY, answers, note);
	kt_claude_ask_remove(c, a);
}

/* One sentence for a person. */
static void claude_ask_message(
	const cJSON *request, const char *tool, const char *kind, struct kt_buf *out)
{
	const cJSON *input = kt_json_obj(request, "input");
	const char *what = kt_json_str(input, "command");
	const cJSON *questions = kt_json_arr(input, "questions");

	if (!strcmp(kind, "question")) {
		kt_buf_adds(out,
			kt_json_str_or(questions ? questions->child : NULL, "question",
				"The agent has a question"));
		return;
	}
	if (!strcmp(kind, "plan")) {
		kt_buf_adds(out, "Go on with this plan?");
		return;
	}
	if (!what)
		what = kt_json_str(input, "file_path");
	if (!what)
		what = kt_json_str(request, "description");
	kt_buf_addf(out, "Allow %s", tool);
	if (what) {
		int n = (int)strcspn(what, "\n");

		kt_buf_addf(out, ": %.*s", KT_MIN(n, 300), what);
		/* Cutting inside a UTF-8 sequence is repaired by the writer that renders it. */
		kt_buf_adds(out, what[KT_MIN(n, 300)] ? " ..." : "");
	}
	kt_buf_addc(out, '?');
}

static const char *ask_kind(const char *tool)
{
	if (!strcmp(tool, "AskUserQuestion"))
		return "question";
	return !strcmp(tool, "ExitPlanMode") ? "plan" : "tool_use";
}

static struct kt_shared *json_text(const cJSON *v)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_LINE_BYTES);
	size_t len;

	if (v)
		kt_json_add(&b, v);
	else
		kt_buf_adds(&b, "{}");
	len = b.len;
	return kt_shared_new(kt_buf_take(&b), len);
}

struct claude_ask *kt_claude_ask_add(struct kt_claude *c, const char *id, const char *tool_use_id,
	enum claude_ask_kind kind, const cJSON *input)
{
	struct claude_ask *a = kt_calloc(1, sizeof(*a));

	a->id = kt_strdup(id);
	a->tool_use_id = kt_strdup_opt(tool_use_id);
	a->input = json_text(input);
	a->kind = kind;
	kt_vec_push(&c->asks, a);
	return a;
}

/* {question, header, options, multi} of the harness's own form. */
static char *questions_text(const cJSON *input)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	const cJSON *q;
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_arr(&w, NULL);
	cJSON_ArrayForEach (q, kt_json_arr(input, "questions")) {
		kt_jw_obj(&w, NULL);
		kt_jw_str(&w, "question", kt_json_str_or(q, "question", ""));
		kt_jw_str(&w, "header", kt_json_str_or(q, "header", ""));
		if (kt_json_arr(q, "options")) {
			kt_jw_json(&w, "options", kt_json_arr(q, "options"));
		} else {
			kt_jw_arr(&w, "options");
			kt_jw_arr_end(&w);
		}
		kt_jw_bool(&w, "multi", kt_json_bool(q, "multiSelect", false));
		kt_jw_obj_end(&w);
	}
	kt_jw_arr_end(&w);
	return kt_buf_take(&b);
}

void kt_claude_can_use_tool(struct kt_claude *c, const char *id, const cJSON *request)
{
	const cJSON *input = kt_json_obj(request, "input");
	const char *tool = kt_json_str_or(request, "tool_name", "tool");
	const char *tool_use_id = kt_json_str(request, "tool_use_id");
	const char *agent_id = kt_json_str(request, "agent_id");
	const struct claude_task *task = agent_id ? kt_map_get(&c->tasks, agent_id) : NULL;
	const char *parent = task ? task->tool_use_id : NULL;
	const char *kind = ask_kind(tool);
	KT_AUTO_BUF struct kt_buf message = KT_BUF_INIT(MESSAGE_MAX_BYTES);
	KT_AUTO_BUF struct kt_buf part = KT_BUF_INIT(0);
	KT_AUTOFREE char *questions = NULL;

	if (kt_claude_ask(c, id))
		return;
	kt_claude_turn_seen(c);
	/* The question may overtake the announcement of the call it is about. */
	if (tool_use_id)
		kt_claude_tool_running(c, tool_use_id, tool, input, parent);
	bool question = !strcmp(kind, "question");
	const struct claude_ask *a = kt_claude_ask_add(
		c, id, tool_use_id, question ? CLAUDE_ASK_QUESTION : CLAUDE_ASK_TOOL, input);

	if (question)
		questions = questions_text(input);
	claude_ask_message(request, tool, kind, &message);
	struct kt_ask ask = {
		.id = a->id,
		.kind = kind,
		.tool = tool,
		.tool_use_id = tool_use_id,
		.parent_tool_use_id = parent,
		.sub_agent = task ? task->agent : NULL,
		.message = message.ptr,
		.cwd = kt_claude_cwd(c, tool, tool_use_id),
		.questions = questions,
	};

	kt_ask_input(&ask, a->input, input, &part);
	kt_ask_shape(&ask, tool, input);
	c->d.sink.ask(c->d.sink.arg, &ask);
}

/* No ask outlives its turn. A background task that still waits is told no. */
void kt_claude_withdraw_asks(struct kt_claude *c, bool alive)
{
	while (c->asks.len) {
		struct claude_ask *a = c->asks.items[0];

		if (alive && a->kind == CLAUDE_ASK_ELICITATION)
			kt_claude_elicitation_void(c, a);
		else if (alive)
			send_answer(c, a, false, NULL, "The turn has ended.");
		c->d.sink.ask_withdrawn(c->d.sink.arg, a->id);
		kt_claude_ask_remove(c, a);
	}
}
