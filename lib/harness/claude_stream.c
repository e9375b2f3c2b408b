/* SPDX-License-Identifier: MIT */
/*
 * Claude Code's messages to events. Text comes thrice: as deltas, as whole blocks in `assistant`
 * lines, and (the last block) in the result. Deltas are shown as they come; the `assistant` line
 * is authoritative and corrects them. It does not say which block it is of, and blank blocks have
 * none: part_waiting() finds it. A message that broke off is taken back.
 */
#include "harness/claude_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "text/seam.h"

#include <string.h>

#define SEEN_ENTRY_BYTES 64 /* of the table, besides the uuid */

/* --- parts ------------------------------------------------------------------------------- */

static void claude_part_free(struct kt_claude *c, struct claude_part *p)
{
	c->d.kept -= p->text.len;
	free(p->id);
	free(p->message_id);
	free(p->line_uuid);
	kt_buf_release(&p->text);
	free(p);
}

/* tool_id: NULL for text, whose id is made: unique in the turn even if a message id comes twice. */
static struct claude_part *part_add(struct kt_claude *c, enum claude_part_kind kind,
	const char *message_id, const char *tool_id)
{
	struct claude_part *p = kt_calloc(1, sizeof(*p));

	p->kind = kind;
	p->id = tool_id ? kt_strdup(tool_id) : kt_asprintf("%s.%zu", message_id, c->parts.len);
	p->message_id = kt_strdup(message_id);
	p->index = -1;
	kt_buf_init(&p->text, KT_MAX_LINE_BYTES);
	kt_vec_push(&c->parts, p);
	return p;
}

static struct claude_part *part_at(const struct kt_claude *c, size_t i)
{
	return c->parts.items[i];
}

/* Reasoning is kept for the replace rules but shown only when it was asked for. */
static bool is_part_shown(const struct kt_claude *c, const struct claude_part *p)
{
	return p->kind == CLAUDE_PART_TEXT || (p->kind == CLAUDE_PART_REASONING && c->thinking);
}

/* What the harness leaves out: text of nothing but what JavaScript's trim() removes. */
static bool is_blank_text(const char *text)
{
	static const char *const wide[] = { "\u00A0", "\u1680", "\u2000", "\u2001", "\u2002",
		"\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200A",
		"\u2028", "\u2029", "\u202F", "\u205F", "\u3000", "\uFEFF" };
	size_t i = 0;

	while (i < KT_ARRAY_LEN(wide)) {
		text += strspn(text, " \t\r\n\v\f");
		for (i = 0; i < KT_ARRAY_LEN(wide) && !kt_str_starts(text, wide[i]); i++)
			;
		if (i < KT_ARRAY_LEN(wide))
			text += strlen(wide[i]);
	}
	return *text == '\0';
}

static bool is_prefix(const char *start, size_t start_len, const char *text, size_t len)
{
	return start_len <= len && !memcmp(start, text, start_len);
}

/* Clients get text; then they have all of the part. */
static void part_show(
	struct kt_claude *c, struct claude_part *p, const char *text, size_t len, bool replace)
{
	p->shown = p->text.len;
	if (!p->told)
		kt_vec_push(&c->told, p);
	p->told = true;
	kt_emit_text(&c->d, p->kind == CLAUDE_PART_REASONING, p->id, text, len, replace, NULL);
}

/* A block of the open message whose line came before it streamed, and begins like p; or NULL. */
static struct claude_part *told_early(const struct kt_claude *c, const struct claude_part *p)
{
	struct claude_part *found = NULL;

	for (size_t i = c->message_first; i < c->parts.len; i++) {
		struct claude_part *q = part_at(c, i);

		if (!q->whole || q->kind != p->kind ||
			!is_prefix(p->text.ptr, p->text.len, q->text.ptr, q->text.len))
			continue;
		if (!found || (q->text.len == p->text.len && found->text.len != p->text.len))
			found = q;
	}
	return found;
}

static void part_append(struct kt_claude *c, struct claude_part *p, const char *text)
{
	size_t len = strlen(text);

	c->d.kept -= p->text.len;
	kt_seam_add(&p->text, text, len);
	c->d.kept += p->text.len;
	if (!is_part_shown(c, p) || len == 0)
		return;
	/* Its whole text came first: there is news only where the two differ. */
	if (!p->shown && told_early(c, p))
		return;
	/* A chunk goes as it is: half a character at its end finds its rest further on. */
	if (p->shown)
		part_show(c, p, text, len, false);
	else if (!is_blank_text(p->text.ptr))
		part_show(c, p, p->text.ptr, p->text.len, false);
}

/* The whole text is known: show what is missing, or replace what was shown. */
static void part_settle(struct kt_claude *c, struct claude_part *p, const char *text)
{
	size_t len = strlen(text);
	bool goes_on = is_prefix(p->text.ptr, p->shown, text, len);

	p->final = true;
	c->d.kept -= p->text.len;
	kt_buf_clear(&p->text);
	/* Blank is nothing, as long as nothing else was shown. */
	if (!is_blank_text(text))
		kt_buf_add(&p->text, text, len);
	c->d.kept += p->text.len;
	if (!is_part_shown(c, p))
		return;
	if (!goes_on || p->shown > p->text.len)
		part_show(c, p, p->text.ptr, p->text.len, true);
	else if (p->shown < p->text.len)
		part_show(c, p, p->text.ptr + p->shown, p->text.len - p->shown, false);
}

void kt_claude_turn_clear(struct kt_claude *c)
{
	for (size_t i = 0; i < c->parts.len; i++)
		claude_part_free(c, part_at(c, i));
	kt_vec_release(&c->parts);
	kt_vec_release(&c->told);
	c->message_first = 0;
	free(c->message_id);
	c->message_id = NULL;
	c->message_open = false;
	kt_map_release(&c->seen);
	c->d.kept -= c->seen_bytes;
	c->seen_bytes = 0;
	c->step = 0;
	c->step_open = false;
	c->sub_parts = 0;
}

void kt_claude_turn_text(const struct kt_claude *c, struct kt_buf *out)
{
	for (size_t i = 0; i < c->told.len; i++) {
		const struct claude_part *p = c->told.items[i];

		if (p->kind != CLAUDE_PART_TEXT || is_blank_text(p->text.ptr))
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
	t->parent = kt_strdup_opt(parent);
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

/*
 * What an edit changed, as Claude Code tells it beside the result: an array of {old_start,
 * new_start, lines}, the caller's; NULL when it tells nothing of the kind.
 */
static cJSON *edit_patch(const cJSON *told)
{
	const cJSON *hunks = kt_json_arr(told, "structuredPatch"), *h, *line;
	cJSON *patch = NULL;

	cJSON_ArrayForEach (h, hunks) {
		cJSON *hunk = cJSON_CreateObject();
		cJSON *lines = cJSON_AddArrayToObject(hunk, "lines");

		kt_assert(lines &&
			cJSON_AddNumberToObject(
				hunk, "old_start", (double)kt_json_int(h, "oldStart", 0)) &&
			cJSON_AddNumberToObject(
				hunk, "new_start", (double)kt_json_int(h, "newStart", 0)));
		cJSON_ArrayForEach (line, kt_json_arr(h, "lines")) {
			if (cJSON_IsString(line) && strchr(" +-", line->valuestring[0]))
				kt_assert(cJSON_AddItemToArray(
					lines, cJSON_CreateString(line->valuestring)));
		}
		if (!patch)
			patch = cJSON_CreateArray();
		kt_assert(cJSON_AddItemToArray(patch, hunk));
	}
	return patch;
}

/* told: what the harness says of the result beside it, or NULL. */
static void tool_result(
	struct kt_claude *c, const cJSON *block, const char *parent, const cJSON *told)
{
	const char *id = kt_json_str(block, "tool_use_id");
	bool is_error = kt_json_bool(block, "is_error", false);
	struct claude_tool *t = kt_claude_tool(c, id);
	const char *status = "completed";

	if (!id)
		return;
	if ((t && t->denied) ||
		(is_error &&
			kt_claude_was_denied(
				c, id, t ? t->name : NULL, kt_json_get(block, "content"))))
		status = "rejected";
	else if (is_error)
		status = c->interrupted ? "cancelled" : "failed";
	KT_AUTO_JSON cJSON *patch = strcmp(status, "completed") == 0 ? edit_patch(told) : NULL;

	if (!parent && t)
		parent = t->parent;
	if (patch)
		kt_emit_tool_edit(&c->d, id, kt_json_get(block, "content"), patch, parent);
	else
		kt_emit_tool_result(
			&c->d, id, kt_json_get(block, "content"), is_error, status, parent);
	if (t)
		tool_remove(c, t);
}

/* --- the streaming message --------------------------------------------------------------- */

/* Take back what a part said; a tool that already runs goes on, only a half-read call is void. */
static void part_retract(struct kt_claude *c, struct claude_part *p)
{
	struct claude_tool *t;

	p->index = -1;
	if (p->kind != CLAUDE_PART_TOOL) {
		part_settle(c, p, "");
		return;
	}
	t = kt_claude_tool(c, p->id);
	if (t && !t->running) {
		kt_emit_tool_result(&c->d, t->id, NULL, true, "cancelled", NULL);
		tool_remove(c, t);
	}
}

void kt_claude_drop_message(struct kt_claude *c)
{
	if (!c->message_open)
		return;
	for (size_t i = c->message_first; i < c->parts.len; i++)
		part_retract(c, part_at(c, i));
	c->message_open = false;
}

void kt_claude_retract_line(struct kt_claude *c, const char *uuid)
{
	for (size_t i = 0; uuid && i < c->parts.len; i++) {
		if (kt_str_eq(part_at(c, i)->line_uuid, uuid))
			part_retract(c, part_at(c, i));
	}
}

static void message_begin(struct kt_claude *c, const char *id)
{
	kt_claude_drop_message(c);
	free(c->message_id);
	c->message_id = kt_strdup(id);
	c->message_first = c->parts.len;
}

static void message_start(struct kt_claude *c, const cJSON *event)
{
	message_begin(c, kt_json_str_or(kt_json_obj(event, "message"), "id", "message"));
	if (!c->step_open)
		kt_claude_step_begin(c);
	c->message_open = true;
}

/* The block of the open message that streams under this index, or NULL. The last one counts. */
static struct claude_part *streaming_part(const struct kt_claude *c, int64_t index)
{
	for (size_t i = c->parts.len; c->message_open && i > c->message_first; i--) {
		struct claude_part *p = part_at(c, i - 1);

		if (p->index == index)
			return p;
	}
	return NULL;
}

/* A block of a kind that is not known is told as it is; what is encrypted says nothing. */
static void other_block(struct kt_claude *c, const cJSON *block, const char *parent)
{
	KT_AUTO_JSON cJSON *data = NULL;
	const char *type = kt_json_str_or(block, "type", "");

	if (!*type || !strcmp(type, "redacted_thinking"))
		return;
	data = cJSON_CreateObject();
	kt_assert(data && cJSON_AddStringToObject(data, "subtype", "content_block") &&
		cJSON_AddStringToObject(data, "block_type", type) &&
		cJSON_AddItemToObject(data, "block", cJSON_Duplicate(block, true)));
	kt_emit_system(&c->d, data, parent);
}

static void block_start(struct kt_claude *c, const cJSON *event)
{
	const cJSON *block = kt_json_obj(event, "content_block");
	const char *type = kt_json_str_or(block, "type", "");
	bool reasoning = !strcmp(type, "thinking");

	if (!c->message_open)
		return;
	if (!strcmp(type, "text") || reasoning) {
		struct claude_part *p = part_add(c,
			reasoning ? CLAUDE_PART_REASONING : CLAUDE_PART_TEXT, c->message_id, NULL);

		p->index = kt_json_int(event, "index", 0);
		part_append(c, p, kt_json_str_or(block, reasoning ? "thinking" : "text", ""));
	} else if (kt_str_ends(type, "tool_use") && kt_json_str(block, "id")) {
		const char *id = kt_json_str(block, "id");
		const char *name = kt_json_str_or(block, "name", "tool");

		part_add(c, CLAUDE_PART_TOOL, c->message_id, id);
		if (kt_claude_tool(c, id))
			return;
		tool_add(c, id, name, NULL);
		kt_emit_tool_use(&c->d, id, name, kt_json_obj(block, "input"), "pending", NULL);
	}
}

static void block_delta(struct kt_claude *c, const cJSON *event)
{
	struct claude_part *p = streaming_part(c, kt_json_int(event, "index", 0));
	const cJSON *delta = kt_json_obj(event, "delta");
	const char *type = kt_json_str_or(delta, "type", "");

	if (!p || p->final)
		return;
	if (!strcmp(type, "text_delta") && p->kind == CLAUDE_PART_TEXT)
		part_append(c, p, kt_json_str_or(delta, "text", ""));
	else if (!strcmp(type, "thinking_delta") && p->kind == CLAUDE_PART_REASONING)
		part_append(c, p, kt_json_str_or(delta, "thinking", ""));
}

static void block_stop(struct kt_claude *c, const cJSON *event)
{
	struct claude_part *p = streaming_part(c, kt_json_int(event, "index", 0));
	struct claude_part *early;

	if (!p)
		return;
	p->index = -1;
	early = p->shown || is_blank_text(p->text.ptr) ? NULL : told_early(c, p);
	if (early)
		early->whole = false;
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
		block_stop(c, event);
	} else if (!strcmp(type, "message_delta")) {
		step_usage(c, kt_json_obj(event, "usage"));
	} else if (!strcmp(type, "message_stop")) {
		c->message_open = false;
		kt_claude_step_end(c);
	}
}

/* --- whole messages ---------------------------------------------------------------------- */

/*
 * How well a part fits a whole block's text; 0: not at all. The part that streams is the part that
 * is settled, but for one that has the very text already. Blank parts that ended are left out by
 * the harness: they never fit.
 */
static int part_fits(const struct claude_part *p, const char *text, size_t len)
{
	bool blank = is_blank_text(p->text.ptr);

	if (!blank && p->text.len == len && !memcmp(p->text.ptr, text, len))
		return 5;
	if (p->index >= 0)
		return is_prefix(p->text.ptr, p->text.len, text, len) ? 4 : 2;
	if (blank)
		return 0;
	return is_prefix(p->text.ptr, p->text.len, text, len) ? 3 : 1;
}

/* The part that a whole block of this kind settles; a new one if none fits. */
static struct claude_part *part_waiting(
	struct kt_claude *c, enum claude_part_kind kind, const char *message_id, const char *text)
{
	struct claude_part *best = NULL;
	size_t len = strlen(text);
	int best_fit = 0;

	for (size_t i = 0; i < c->parts.len; i++) {
		struct claude_part *p = part_at(c, i);
		int fit = p->kind == kind && !p->final && kt_str_eq(p->message_id, message_id)
			? part_fits(p, text, len)
			: 0;

		if (fit > best_fit) {
			best = p;
			best_fit = fit;
		}
	}
	if (best)
		return best;
	best = part_add(c, kind, message_id, NULL);
	best->whole = true;
	return best;
}

static void whole_text(struct kt_claude *c, enum claude_part_kind kind, const char *text,
	const char *message_id, const char *uuid)
{
	struct claude_part *p = part_waiting(c, kind, message_id, text);

	part_settle(c, p, text);
	if (uuid && !p->line_uuid)
		p->line_uuid = kt_strdup(uuid);
}

static void whole_block(
	struct kt_claude *c, const cJSON *block, const char *message_id, const char *uuid)
{
	const char *type = kt_json_str_or(block, "type", "");

	if (!strcmp(type, "text")) {
		whole_text(
			c, CLAUDE_PART_TEXT, kt_json_str_or(block, "text", ""), message_id, uuid);
	} else if (!strcmp(type, "thinking")) {
		whole_text(c, CLAUDE_PART_REASONING, kt_json_str_or(block, "thinking", ""),
			message_id, uuid);
	} else if (kt_str_ends(type, "tool_use") && kt_json_str(block, "id")) {
		const char *id = kt_json_str(block, "id");

		if (!kt_claude_tool(c, id))
			part_add(c, CLAUDE_PART_TOOL, message_id, id);
		kt_claude_tool_running(c, id, kt_json_str_or(block, "name", "tool"),
			kt_json_get(block, "input"), NULL);
	} else if (kt_str_ends(type, "tool_result")) {
		tool_result(c, block, NULL, NULL);
	} else {
		other_block(c, block, NULL);
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

		if (!is_blank_text(text))
			kt_emit_text(&c->d, reasoning, id, text, strlen(text), false, parent);
	} else if (kt_str_ends(type, "tool_use") && kt_json_str(block, "id")) {
		kt_claude_tool_running(c, kt_json_str(block, "id"),
			kt_json_str_or(block, "name", "tool"), kt_json_get(block, "input"), parent);
	} else if (kt_str_ends(type, "tool_result")) {
		tool_result(c, block, parent, NULL);
	} else if (!reasoning) {
		other_block(c, block, parent);
	}
}

/* "<synthetic>": text of the program, not of the model. Returns true when it is not to be shown. */
static bool take_synthetic(struct kt_claude *c, const cJSON *line, const cJSON *content)
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

/* True for a message that streams or of which there are parts. */
static bool is_known_message(const struct kt_claude *c, const char *id)
{
	if (kt_str_eq(c->message_id, id))
		return true;
	for (size_t i = 0; i < c->parts.len; i++) {
		if (kt_str_eq(part_at(c, i)->message_id, id))
			return true;
	}
	return false;
}

void kt_claude_mark_seen(struct kt_claude *c, const char *uuid)
{
	size_t bytes = SEEN_ENTRY_BYTES + strlen(uuid);

	if (kt_map_set(&c->seen, uuid, c))
		return;
	c->seen_bytes += bytes;
	c->d.kept += bytes;
}

/* True when a line of this uuid was read already. */
static bool seen_before(struct kt_claude *c, const char *uuid)
{
	if (!uuid)
		return false;
	if (kt_map_get(&c->seen, uuid))
		return true;
	kt_claude_mark_seen(c, uuid);
	return false;
}

void kt_claude_assistant(struct kt_claude *c, const cJSON *line)
{
	const cJSON *message = kt_json_obj(line, "message");
	const cJSON *content = kt_json_arr(message, "content");
	const char *parent = kt_json_str(line, "parent_tool_use_id");
	const char *id = kt_json_str_or(message, "id", "message");
	const char *uuid = kt_json_str(line, "uuid");
	static const char *const sub_error[] = { "error", "parent_tool_use_id", NULL };
	const cJSON *block;

	if (seen_before(c, uuid))
		return;
	if (kt_str_eq(kt_json_str(message, "model"), "<synthetic>") && !parent) {
		if (take_synthetic(c, line, content))
			return;
	}
	if (parent && kt_json_str(line, "error")) {
		/* The program's words, not the sub-agent's; what it comes to is in its result. */
		kt_claude_tell(c, "sub_agent_error", line, sub_error);
		return;
	}
	if (parent) {
		cJSON_ArrayForEach (block, content) {
			sub_block(c, block, id, parent);
		}
		return;
	}
	kt_claude_turn_seen(c);
	/* Not the message that was streaming: that broke off and was asked for anew. */
	if (!is_known_message(c, id))
		message_begin(c, id);
	cJSON_ArrayForEach (block, content) {
		whole_block(c, block, id, uuid);
	}
}

void kt_claude_user(struct kt_claude *c, const cJSON *line)
{
	const cJSON *content = kt_json_arr(kt_json_obj(line, "message"), "content");
	const char *parent = kt_json_str(line, "parent_tool_use_id");
	const cJSON *block, *told = kt_json_obj(line, "tool_use_result");

	/* Replays are echoes of local commands; other user text is a prompt, which we know. */
	if (kt_json_bool(line, "isReplay", false))
		return;
	cJSON_ArrayForEach (block, content) {
		if (kt_str_ends(kt_json_str_or(block, "type", ""), "tool_result"))
			tool_result(
				c, block, parent, cJSON_GetArraySize(content) == 1 ? told : NULL);
	}
}

/* --- text that comes in no message ------------------------------------------------------- */

/* Has the model said anything since the last tool call? */
static bool has_last_text(const struct kt_claude *c)
{
	for (size_t i = c->parts.len; i > 0; i--) {
		const struct claude_part *p = part_at(c, i - 1);

		if (p->kind == CLAUDE_PART_TOOL)
			return false;
		if (p->kind == CLAUDE_PART_TEXT && !is_blank_text(p->text.ptr))
			return true;
	}
	return false;
}

static void claude_say_text(struct kt_claude *c, const char *message_id, const char *text)
{
	part_settle(c, part_add(c, CLAUDE_PART_TEXT, message_id, NULL), text);
}

void kt_claude_local_output(struct kt_claude *c, const cJSON *line)
{
	if (c->state == CLAUDE_TURN && !seen_before(c, kt_json_str(line, "uuid")))
		claude_say_text(c, "command", kt_json_str_or(line, "content", ""));
}

/* Did the model say just this, in one block? */
static bool was_said(const struct kt_claude *c, const char *text)
{
	for (size_t i = 0; i < c->told.len; i++) {
		const struct claude_part *p = c->told.items[i];

		if (p->kind == CLAUDE_PART_TEXT && !strcmp(p->text.ptr, text))
			return true;
	}
	return false;
}

void kt_claude_result_text(struct kt_claude *c, const cJSON *line)
{
	const char *text = kt_json_str_or(line, "result", "");

	if (!is_blank_text(text) && !has_last_text(c) && !was_said(c, text))
		claude_say_text(c, "result", text);
}
