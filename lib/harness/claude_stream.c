/* SPDX-License-Identifier: MIT */
/*
 * Claude Code's messages to events. Text comes thrice: as deltas, as whole blocks in `assistant`
 * lines, and (the last block) in the result. Deltas are shown as they come; the `assistant` line
 * is authoritative and corrects them. A message that broke off is taken back.
 */
#include "harness/claude.h"

#include "base/limits.h"
#include "base/str.h"
#include "text/seam.h"

#include <string.h>

/* --- parts ------------------------------------------------------------------------------- */

static void part_free(struct claude_part *p)
{
	free(p->id);
	kt_buf_release(&p->text);
	free(p);
}

static struct claude_part *part_add(struct kt_claude *c, enum claude_part_kind kind, char *id)
{
	struct claude_part *p = kt_calloc(1, sizeof(*p));

	p->kind = kind;
	p->id = id;
	kt_buf_init(&p->text, KT_MAX_LINE_BYTES);
	kt_vec_push(&c->parts, p);
	return p;
}

static struct claude_part *part_at(const struct kt_claude *c, size_t i)
{
	return c->parts.items[i];
}

/* Reasoning is kept for the replace rules but shown only when it was asked for. */
static bool shown(const struct kt_claude *c, const struct claude_part *p)
{
	return p->kind == CLAUDE_PART_TEXT || (p->kind == CLAUDE_PART_REASONING && c->thinking);
}

static void part_append(struct kt_claude *c, struct claude_part *p, const char *text)
{
	size_t len = strlen(text);

	if (len == 0)
		return;
	kt_seam_add(&p->text, text, len);
	if (shown(c, p))
		kt_emit_text(
			&c->d, p->kind == CLAUDE_PART_REASONING, p->id, text, len, false, NULL);
}

/* The whole text is known: show what is missing, or replace what was shown. */
static void part_settle(struct kt_claude *c, struct claude_part *p, const char *text)
{
	size_t len = strlen(text);

	p->final = true;
	if (len >= p->text.len && !memcmp(text, p->text.ptr, p->text.len)) {
		part_append(c, p, text + p->text.len);
		return;
	}
	kt_buf_clear(&p->text);
	kt_buf_add(&p->text, text, len);
	if (shown(c, p))
		kt_emit_text(&c->d, p->kind == CLAUDE_PART_REASONING, p->id, text, len, true, NULL);
}

void kt_claude_turn_clear(struct kt_claude *c)
{
	for (size_t i = 0; i < c->parts.len; i++)
		part_free(part_at(c, i));
	kt_vec_release(&c->parts);
	c->message_first = 0;
	free(c->message_id);
	c->message_id = NULL;
	c->message_open = false;
	c->block = NULL;
	c->step = 0;
	c->step_open = false;
	c->sub_parts = 0;
}

void kt_claude_turn_text(const struct kt_claude *c, struct kt_buf *out)
{
	for (size_t i = 0; i < c->parts.len; i++) {
		const struct claude_part *p = part_at(c, i);

		if (p->kind != CLAUDE_PART_TEXT || p->text.len == 0)
			continue;
		if (out->len)
			kt_buf_adds(out, "\n\n");
		kt_buf_add(out, p->text.ptr, p->text.len);
	}
}

/* --- steps ------------------------------------------------------------------------------- */

void kt_claude_step_end(struct kt_claude *c)
{
	static const struct kt_usage unknown = KT_USAGE_INIT;
	bool known = c->step_usage.output_tokens >= 0;

	if (!c->step_open)
		return;
	c->step_open = false;
	kt_emit_step_finish(&c->d, c->step, known ? &c->step_usage : NULL, NULL);
	c->step_usage = unknown;
}

void kt_claude_step_begin(struct kt_claude *c)
{
	static const struct kt_usage unknown = KT_USAGE_INIT;

	kt_claude_step_end(c);
	c->step++;
	c->step_open = true;
	c->step_usage = unknown;
	kt_emit_step_start(&c->d, c->step, "Model call", NULL);
}

static void step_usage(struct kt_claude *c, const cJSON *usage)
{
	struct kt_usage *u = &c->step_usage;

	u->input_tokens = kt_json_int(usage, "input_tokens", -1);
	u->output_tokens = kt_json_int(usage, "output_tokens", -1);
	u->cache_read_tokens = kt_json_int(usage, "cache_read_input_tokens", -1);
	u->cache_write_tokens = kt_json_int(usage, "cache_creation_input_tokens", -1);
	if (u->input_tokens >= 0 && u->output_tokens >= 0)
		u->total_tokens = u->input_tokens + u->output_tokens +
			KT_MAX(u->cache_read_tokens, 0) + KT_MAX(u->cache_write_tokens, 0);
}

/* --- tools ------------------------------------------------------------------------------- */

struct claude_tool *kt_claude_tool(const struct kt_claude *c, const char *id)
{
	for (size_t i = 0; id && i < c->tools.len; i++) {
		struct claude_tool *t = c->tools.items[i];

		if (!strcmp(t->id, id))
			return t;
	}
	return NULL;
}

static struct claude_tool *tool_add(
	struct kt_claude *c, const char *id, const char *name, const char *parent)
{
	struct claude_tool *t = kt_calloc(1, sizeof(*t));

	t->id = kt_strdup(id);
	t->name = kt_strdup(name);
	t->parent = parent ? kt_strdup(parent) : NULL;
	kt_vec_push(&c->tools, t);
	return t;
}

static void tool_remove(struct kt_claude *c, struct claude_tool *t)
{
	if (!kt_vec_remove_ptr(&c->tools, t))
		return;
	free(t->id);
	free(t->name);
	free(t->parent);
	free(t);
}

void kt_claude_tool_running(struct kt_claude *c, const char *id, const char *name,
	const cJSON *input, const char *parent)
{
	struct claude_tool *t = kt_claude_tool(c, id);

	if (t && t->running)
		return;
	if (!t)
		t = tool_add(c, id, name, parent);
	t->running = true;
	kt_emit_tool_use(&c->d, id, name, input, "running", parent);
}

void kt_claude_close_tools(struct kt_claude *c, const char *status)
{
	while (c->tools.len) {
		struct claude_tool *t = c->tools.items[0];

		kt_emit_tool_result(
			&c->d, t->id, NULL, true, t->denied ? "rejected" : status, t->parent);
		tool_remove(c, t);
	}
}

void kt_claude_forget_tools(struct kt_claude *c)
{
	while (c->tools.len)
		tool_remove(c, c->tools.items[0]);
	kt_vec_release(&c->tools);
}

static void tool_result(struct kt_claude *c, const cJSON *block, const char *parent)
{
	const char *id = kt_json_str(block, "tool_use_id");
	bool is_error = kt_json_bool(block, "is_error", false);
	struct claude_tool *t = kt_claude_tool(c, id);
	const char *status = "completed";

	if (!id)
		return;
	if (t && t->denied)
		status = "rejected";
	else if (is_error)
		status = c->interrupted ? "cancelled" : "failed";
	kt_emit_tool_result(&c->d, id, kt_json_get(block, "content"), is_error, status,
		parent      ? parent
			: t ? t->parent
			    : NULL);
	if (t)
		tool_remove(c, t);
}

/* --- the streaming message --------------------------------------------------------------- */

void kt_claude_drop_message(struct kt_claude *c)
{
	if (!c->message_open)
		return;
	for (size_t i = c->message_first; i < c->parts.len; i++) {
		struct claude_part *p = part_at(c, i);
		struct claude_tool *t;

		/* A tool that already runs goes on; only a half-read call is void. */
		if (p->kind == CLAUDE_PART_TOOL) {
			t = kt_claude_tool(c, p->id);
			if (t && !t->running) {
				kt_emit_tool_result(&c->d, t->id, NULL, true, "cancelled", NULL);
				tool_remove(c, t);
			}
		} else if (p->text.len) {
			part_settle(c, p, "");
		}
	}
	c->message_open = false;
	c->block = NULL;
}

static void message_start(struct kt_claude *c, const cJSON *event)
{
	const char *id = kt_json_str_or(kt_json_obj(event, "message"), "id", "message");

	kt_claude_drop_message(c);
	if (!c->step_open)
		kt_claude_step_begin(c);
	free(c->message_id);
	c->message_id = kt_strdup(id);
	c->message_first = c->parts.len;
	c->message_open = true;
}

/* Unique in the turn even if a message id comes twice (a message that is asked for anew). */
static char *part_id(const struct kt_claude *c)
{
	return kt_asprintf("%s.%zu", c->message_id, c->parts.len);
}

static void block_start(struct kt_claude *c, const cJSON *event)
{
	const cJSON *block = kt_json_obj(event, "content_block");
	const char *type = kt_json_str_or(block, "type", "");

	c->block = NULL;
	if (!c->message_open)
		return;
	if (!strcmp(type, "text")) {
		c->block = part_add(c, CLAUDE_PART_TEXT, part_id(c));
		part_append(c, c->block, kt_json_str_or(block, "text", ""));
	} else if (!strcmp(type, "thinking")) {
		c->block = part_add(c, CLAUDE_PART_REASONING, part_id(c));
		part_append(c, c->block, kt_json_str_or(block, "thinking", ""));
	} else if (kt_str_ends(type, "tool_use") && kt_json_str(block, "id")) {
		const char *id = kt_json_str(block, "id");
		const char *name = kt_json_str_or(block, "name", "tool");

		part_add(c, CLAUDE_PART_TOOL, kt_strdup(id));
		if (kt_claude_tool(c, id))
			return;
		tool_add(c, id, name, NULL);
		kt_emit_tool_use(&c->d, id, name, kt_json_obj(block, "input"), "pending", NULL);
	}
}

static void block_delta(struct kt_claude *c, const cJSON *event)
{
	const cJSON *delta = kt_json_obj(event, "delta");
	const char *type = kt_json_str_or(delta, "type", "");

	if (!c->block || c->block->final)
		return;
	if (!strcmp(type, "text_delta") && c->block->kind == CLAUDE_PART_TEXT)
		part_append(c, c->block, kt_json_str_or(delta, "text", ""));
	else if (!strcmp(type, "thinking_delta") && c->block->kind == CLAUDE_PART_REASONING)
		part_append(c, c->block, kt_json_str_or(delta, "thinking", ""));
}

void kt_claude_stream_event(struct kt_claude *c, const cJSON *line)
{
	const cJSON *event = kt_json_obj(line, "event");
	const char *type = kt_json_str_or(event, "type", "");

	/* Sub-agents never stream; should one begin to, its whole lines are enough. */
	if (kt_json_str(line, "parent_tool_use_id"))
		return;
	kt_claude_turn_seen(c);
	if (!strcmp(type, "message_start")) {
		message_start(c, event);
	} else if (!strcmp(type, "content_block_start")) {
		block_start(c, event);
	} else if (!strcmp(type, "content_block_delta")) {
		block_delta(c, event);
	} else if (!strcmp(type, "content_block_stop")) {
		c->block = NULL;
	} else if (!strcmp(type, "message_delta")) {
		step_usage(c, kt_json_obj(event, "usage"));
	} else if (!strcmp(type, "message_stop")) {
		c->message_open = false;
		c->block = NULL;
		kt_claude_step_end(c);
	}
}

/* --- whole messages ---------------------------------------------------------------------- */

/* The part that the next whole block of this kind settles; a new one if none waits. */
static struct claude_part *part_waiting(struct kt_claude *c, enum claude_part_kind kind)
{
	for (size_t i = c->message_first; i < c->parts.len; i++) {
		struct claude_part *p = part_at(c, i);

		if (p->kind == kind && !p->final)
			return p;
	}
	return part_add(c, kind, part_id(c));
}

static void whole_block(struct kt_claude *c, const cJSON *block)
{
	const char *type = kt_json_str_or(block, "type", "");

	if (!strcmp(type, "text")) {
		part_settle(
			c, part_waiting(c, CLAUDE_PART_TEXT), kt_json_str_or(block, "text", ""));
	} else if (!strcmp(type, "thinking")) {
		part_settle(c, part_waiting(c, CLAUDE_PART_REASONING),
			kt_json_str_or(block, "thinking", ""));
	} else if (kt_str_ends(type, "tool_use") && kt_json_str(block, "id")) {
		kt_claude_tool_running(c, kt_json_str(block, "id"),
			kt_json_str_or(block, "name", "tool"), kt_json_get(block, "input"), NULL);
	} else if (kt_str_ends(type, "tool_result")) {
		tool_result(c, block, NULL);
	}
}

static void sub_block(
	struct kt_claude *c, const cJSON *block, const char *message_id, const char *parent)
{
	const char *type = kt_json_str_or(block, "type", "");
	bool reasoning = !strcmp(type, "thinking");

	if (!strcmp(type, "text") || (reasoning && c->thinking)) {
		const char *text = kt_json_str_or(block, reasoning ? "thinking" : "text", "");
		KT_AUTOFREE char *id = kt_asprintf("%s.s%u", message_id, c->sub_parts++);

		if (*text)
			kt_emit_text(&c->d, reasoning, id, text, strlen(text), false, parent);
	} else if (kt_str_ends(type, "tool_use") && kt_json_str(block, "id")) {
		kt_claude_tool_running(c, kt_json_str(block, "id"),
			kt_json_str_or(block, "name", "tool"), kt_json_get(block, "input"), parent);
	} else if (kt_str_ends(type, "tool_result")) {
		tool_result(c, block, parent);
	}
}

/* "<synthetic>": text of the program, not of the model. Returns true when it is not to be shown. */
static bool synthetic(struct kt_claude *c, const cJSON *line, const cJSON *content)
{
	const char *kind = kt_json_str(line, "error");
	const cJSON *first = content ? content->child : NULL;
	const char *text = kt_json_str_or(first, "text", "");

	if (kind) {
		kt_str_copy(c->error_kind, sizeof(c->error_kind), kind);
		free(c->error_text);
		c->error_text = kt_strdup(text);
		return true;
	}
	/* What /clear answers. */
	return !strcmp(text, "(no content)");
}

void kt_claude_assistant(struct kt_claude *c, const cJSON *line)
{
	const cJSON *message = kt_json_obj(line, "message");
	const cJSON *content = kt_json_arr(message, "content");
	const char *parent = kt_json_str(line, "parent_tool_use_id");
	const char *id = kt_json_str_or(message, "id", "message");
	const cJSON *block;

	if (kt_str_eq(kt_json_str(message, "model"), "<synthetic>") && !parent) {
		if (synthetic(c, line, content))
			return;
	}
	if (parent) {
		cJSON_ArrayForEach (block, content) {
			sub_block(c, block, id, parent);
		}
		return;
	}
	kt_claude_turn_seen(c);
	if (!kt_str_eq(c->message_id, id)) {
		/* Not the message that was streaming: that broke off and was asked for anew. */
		kt_claude_drop_message(c);
		free(c->message_id);
		c->message_id = kt_strdup(id);
		c->message_first = c->parts.len;
	}
	cJSON_ArrayForEach (block, content) {
		whole_block(c, block);
	}
}

void kt_claude_user(struct kt_claude *c, const cJSON *line)
{
	const cJSON *content = kt_json_arr(kt_json_obj(line, "message"), "content");
	const char *parent = kt_json_str(line, "parent_tool_use_id");
	const cJSON *block;

	/* Replays are echoes of local commands; other user text is a prompt, which we know. */
	if (kt_json_bool(line, "isReplay", false))
		return;
	cJSON_ArrayForEach (block, content) {
		if (kt_str_ends(kt_json_str_or(block, "type", ""), "tool_result"))
			tool_result(c, block, parent);
	}
}
