/* SPDX-License-Identifier: MIT */
/*
 * Of the ACP driver: session/update notifications and permission requests as karta's events.
 *
 * ACP has no steps. A new one begins when the messageId changes, or with what comes first after a
 * tool has finished; codex and gemini have no messageId at all.
 */
#include "harness/acp.h"

#include "base/limits.h"
#include "base/str.h"
#include "text/seam.h"

#include <string.h>

enum {
	SILENCE_MS = 1000, /* OpenCode waits 2 s and more before it calls the model again */
	/* So many equal bytes after a silence are a text that begins again (all, if it is shorter).
	 */
	RESTART_BYTES = 12,
};

static void set_str(char **slot, const char *s)
{
	char *copy = s ? kt_strdup(s) : NULL;

	free(*slot);
	*slot = copy;
}

/* --- steps -------------------------------------------------------------------------------------
 */

void kt_acp_step(struct acp *a)
{
	if (a->steps > 0)
		kt_emit_step_finish(&a->d, a->steps, NULL, NULL);
	a->steps++;
	kt_emit_step_start(&a->d, a->steps, "Model call", NULL);
	a->step_over = false;
	a->step_spoke = false;
	if (a->message_id)
		set_str(&a->last_message_id, a->message_id);
	set_str(&a->message_id, NULL);
	set_str(&a->thought_id, NULL);
}

/* --- text --------------------------------------------------------------------------------------
 */

/* Nothing is to be measured any more: a pause means nothing here. */
static void stop_listening(struct acp *a)
{
	if (!(a->quirks & ACP_DUP_TEXT))
		return;
	a->silent = false;
	a->d.sink.set_timer(a->d.sink.arg, -1);
}

static void append_text(struct acp *a, const char *text, size_t len)
{
	kt_seam_add(&a->part, text, len);
	kt_emit_text(&a->d, false, a->part_id, text, len, false, NULL);
}

void kt_acp_flush_text(struct acp *a)
{
	stop_listening(a);
	if (!a->restarting)
		return;
	a->restarting = false;
	append_text(a, a->suspect.ptr, a->suspect.len);
	kt_buf_clear(&a->suspect);
}

/* The current part is finished: keep its text for the turn's result. */
static void end_part(struct acp *a)
{
	kt_acp_flush_text(a);
	if (a->part.len > 0) {
		if (a->whole.len > 0)
			kt_buf_adds(&a->whole, "\n\n");
		kt_buf_add(&a->whole, a->part.ptr, a->part.len);
	}
	kt_buf_clear(&a->part);
	set_str(&a->part_id, NULL);
}

void kt_acp_retract_error_text(struct acp *a, const char *message)
{
	if (!a->part_id || !a->part.len || !strstr(message, a->part.ptr))
		return;
	kt_emit_text(&a->d, false, a->part_id, "", 0, true, NULL);
	kt_buf_clear(&a->part);
}

/*
 * After a silence a chunk may be the text's beginning once more, because the model was asked
 * again. Hold back while it looks so; when enough is equal the new text replaces the old, and when
 * it differs it was the text going on.
 */
static void suspect_text(struct acp *a, const char *text, size_t len)
{
	size_t n;

	a->restarting = true;
	kt_buf_add(&a->suspect, text, len);
	n = KT_MIN(a->suspect.len, a->part.len);
	if (memcmp(a->suspect.ptr, a->part.ptr, n) != 0) {
		kt_acp_flush_text(a);
		return;
	}
	if (n < KT_MIN(a->part.len, (size_t)RESTART_BYTES))
		return;
	a->restarting = false;
	kt_buf_clear(&a->part);
	kt_buf_add(&a->part, a->suspect.ptr, a->suspect.len);
	kt_emit_text(&a->d, false, a->part_id, a->suspect.ptr, a->suspect.len, true, NULL);
	kt_buf_clear(&a->suspect);
}

/* Begin the part that text with this messageId (or none) belongs to, unless it is the current. */
static void pick_part(struct acp *a, const char *message_id)
{
	KT_AUTOFREE char *id = NULL;

	if (!message_id)
		id = kt_asprintf("turn%u-step%d", a->position, a->steps);
	else if (kt_str_eq(message_id, a->last_message_id))
		id = kt_asprintf("%s-%d", message_id, a->steps);
	else
		id = kt_strdup(message_id);
	if (kt_str_eq(id, a->part_id))
		return;
	end_part(a);
	a->part_id = KT_STEAL(id);
}

/* Chunks that are no words of the model; true when the chunk was one. */
static bool take_noise(struct acp *a, const cJSON *update, const char *text)
{
	bool noise = kt_str_starts(text, "[MODE_UPDATE] ");

	if ((a->quirks & ACP_PREFIX_NOISE) && !a->got_chunk)
		noise = noise || kt_str_starts(text, "Model metadata for `");
	if (noise)
		kt_acp_system(a, "notice", "message",
			kt_json_get(kt_json_get(update, "content"), "text"));
	return noise;
}

static void close_denied(struct acp *a);

static void message_chunk(struct acp *a, const cJSON *update)
{
	const char *text = kt_json_str(kt_json_get(update, "content"), "text");
	const char *id = kt_json_str(update, "messageId");

	if (!text || !*text || take_noise(a, update, text))
		return;
	a->got_chunk = true;
	close_denied(a);
	if (a->step_over || (id && a->message_id && strcmp(id, a->message_id) != 0))
		kt_acp_step(a);
	if (id && !kt_str_eq(id, a->message_id))
		set_str(&a->message_id, id);
	a->step_spoke = true;
	pick_part(a, id);

	bool suspicious = a->restarting || (a->silent && a->part.len > 0);

	stop_listening(a);
	if (suspicious)
		suspect_text(a, text, strlen(text));
	else
		append_text(a, text, strlen(text));
	if (a->quirks & ACP_DUP_TEXT)
		a->d.sink.set_timer(a->d.sink.arg, SILENCE_MS);
}

static void thought_chunk(struct acp *a, const cJSON *update)
{
	const char *text = kt_json_str(kt_json_get(update, "content"), "text");
	const char *id = kt_json_str(update, "messageId");

	kt_acp_flush_text(a);
	if (!text || !*text)
		return;
	if (a->step_over ||
		(a->step_spoke && id && !kt_str_eq(id, a->message_id) &&
			!kt_str_eq(id, a->thought_id)))
		kt_acp_step(a);
	if (id && !kt_str_eq(id, a->thought_id))
		set_str(&a->thought_id, id);
	if (!a->thinking)
		return;
	KT_AUTOFREE char *part = id ? kt_asprintf("%s-thought", id)
				    : kt_asprintf("turn%u-step%d-thought", a->position, a->steps);

	kt_emit_text(&a->d, true, part, text, strlen(text), false, NULL);
}

/* --- tools -------------------------------------------------------------------------------------
 */

static struct acp_tool *find_tool(const struct acp *a, const char *id)
{
	for (size_t i = 0; id && i < a->tools.len; i++) {
		struct acp_tool *t = a->tools.items[i];

		if (!strcmp(t->id, id))
			return t;
	}
	return NULL;
}

static void tool_free(struct acp_tool *t)
{
	free(t->id);
	free(t->name);
	free(t->kind);
	free(t->title);
	free(t->parent);
	free(t->path);
	cJSON_Delete(t->input);
	cJSON_Delete(t->content);
	free(t);
}

void kt_acp_forget_tools(struct acp *a)
{
	for (size_t i = 0; i < a->tools.len; i++)
		tool_free(a->tools.items[i]);
	kt_vec_release(&a->tools);
}

static bool is_empty(const cJSON *v)
{
	return !v || cJSON_IsNull(v) || (!v->child && (cJSON_IsObject(v) || cJSON_IsArray(v)));
}

static bool has_diff(const cJSON *content)
{
	const cJSON *c;

	cJSON_ArrayForEach (c, content) {
		if (kt_str_eq(kt_json_str(c, "type"), "diff"))
			return true;
	}
	return false;
}

static void learn_content(struct acp_tool *t, const cJSON *content)
{
	if (is_empty(content) || (has_diff(t->content) && !has_diff(content)))
		return;
	cJSON_Delete(t->content);
	t->content = cJSON_Duplicate(content, true);
	kt_assert(t->content);
}

/* Take what this report says about the tool; true when its input changed. */
static bool learn(struct acp_tool *t, const cJSON *call)
{
	const char *kind = kt_json_str(call, "kind");
	const char *title = kt_json_str(call, "title");
	const cJSON *input = kt_json_get(call, "rawInput");
	const cJSON *content = kt_json_arr(call, "content");
	const cJSON *locations = kt_json_arr(call, "locations");

	if (kind)
		set_str(&t->kind, kind);
	if (title)
		set_str(&t->title, title);
	if (!is_empty(locations))
		set_str(&t->path,
			cJSON_GetArraySize(locations) == 1 ? kt_json_str(locations->child, "path")
							   : NULL);
	learn_content(t, content);
	if (is_empty(input) || (t->input && cJSON_Compare(t->input, input, true)))
		return false;
	cJSON_Delete(t->input);
	t->input = cJSON_Duplicate(input, true);
	kt_assert(t->input);
	return true;
}

/* The name of a tool from what its first report says. */
static const char *name_of(const struct acp *a, const cJSON *call)
{
	const char *named = kt_json_str(kt_json_path(call, "_meta.claudeCode"), "toolName");
	const char *title = kt_json_str(call, "title");

	if (named)
		return named;
	if ((a->quirks & ACP_TITLE_IS_NAME) && title && *title && !strchr(title, ' '))
		return title;
	return kt_json_str_or(call, "kind", "tool");
}

static struct acp_tool *new_tool(struct acp *a, const cJSON *call)
{
	const char *parent = kt_json_str(kt_json_path(call, "_meta.claudeCode"), "parentToolUseId");
	struct acp_tool *t = kt_calloc(1, sizeof(*t));

	kt_acp_flush_text(a);
	if (a->step_over && !parent)
		kt_acp_step(a);
	t->id = kt_strdup(kt_json_str(call, "toolCallId"));
	t->name = kt_strdup(name_of(a, call));
	t->parent = parent ? kt_strdup(parent) : NULL;
	t->open = true;
	kt_vec_push(&a->tools, t);
	(void)learn(t, call);
	return t;
}

/* The model's list of things to do, where it is only a tool's input (OpenCode's todowrite). */
static void todo_plan(struct acp *a, const struct acp_tool *t)
{
	const cJSON *todos = kt_json_arr(t->input, "todos");
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	struct kt_jw w;

	if (!(a->quirks & ACP_TITLE_IS_NAME) || !todos || strcmp(t->name, "todowrite") != 0)
		return;
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "state", "plan");
	kt_jw_json(&w, "entries", todos);
	kt_jw_obj_end(&w);
	if (kt_buf_ok(&b))
		kt_emit(&a->d, KT_EV_STATUS, b.ptr, b.len, NULL);
}

static void emit_use(struct acp *a, struct acp_tool *t, bool running)
{
	KT_AUTO_JSON cJSON *none = NULL;

	t->running = running;
	if (!t->input) {
		none = cJSON_CreateObject();
		kt_assert(none);
		if (t->title && strcmp(t->title, t->name) != 0)
			kt_assert(cJSON_AddStringToObject(none, "title", t->title));
	}
	kt_emit_tool_use(&a->d, t->id, t->name, t->input ? t->input : none,
		running ? "running" : "pending", t->parent);
	if (running)
		todo_plan(a, t);
}

/* A diff as text, for clients that show blocks only: the old lines, then the new ones. */
static char *diff_text(const cJSON *diff)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	static const char *const keys[] = { "oldText", "newText" };

	kt_buf_addf(&b, "%s\n", kt_json_str_or(diff, "path", ""));
	for (size_t i = 0; i < KT_ARRAY_LEN(keys); i++) {
		const char *p = kt_json_str_or(diff, keys[i], "");

		while (*p) {
			size_t n = strcspn(p, "\n");

			kt_buf_addc(&b, i ? '+' : '-');
			kt_buf_add(&b, p, n);
			kt_buf_addc(&b, '\n');
			p += n + (p[n] == '\n');
		}
	}
	return kt_buf_take(&b);
}

/* The text that content blocks hold, joined; the caller's, NULL when there is none. */
static char *content_text(const cJSON *content)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_LINE_BYTES);
	const cJSON *c;

	cJSON_ArrayForEach (c, content) {
		const char *text = kt_json_str(kt_json_get(c, "content"), "text");

		if (!text)
			continue;
		if (b.len > 0)
			kt_buf_addc(&b, '\n');
		kt_buf_adds(&b, text);
	}
	return b.len > 0 ? kt_buf_take(&b) : NULL;
}

/* The words in rawOutput: agents give a string, or an object that holds one. */
static const char *raw_text(const cJSON *raw)
{
	static const char *const keys[] = { "output", "error", "formatted_output",
		"aggregated_output", "stdout" };

	if (cJSON_IsString(raw))
		return raw->valuestring;
	for (size_t i = 0; i < KT_ARRAY_LEN(keys); i++) {
		const char *s = kt_json_str(raw, keys[i]);

		if (s && *s)
			return s;
	}
	return NULL;
}

/* Append the diffs of content to blocks; true when there were any. */
static bool add_diffs(cJSON *blocks, const cJSON *content)
{
	const cJSON *c;

	cJSON_ArrayForEach (c, content) {
		if (!kt_str_eq(kt_json_str(c, "type"), "diff"))
			continue;
		cJSON *block = cJSON_Duplicate(c, true);
		KT_AUTOFREE char *shown = diff_text(c);

		kt_assert(block && cJSON_AddStringToObject(block, "text", shown));
		kt_assert(cJSON_AddItemToArray(blocks, block));
	}
	return blocks->child != NULL;
}

/*
 * What the tool gave: a string, or blocks when there are diffs beside it. Some agents show the
 * diff of an edit only before it is made. The caller's.
 */
static cJSON *output_of(const cJSON *update, const struct acp_tool *t, bool failed)
{
	const cJSON *raw = kt_json_get(update, "rawOutput");
	const cJSON *content = kt_json_arr(update, "content");
	KT_AUTOFREE char *joined = content_text(content);
	const char *text = raw_text(raw);
	cJSON *blocks = cJSON_CreateArray();

	kt_assert(blocks);
	if (!text)
		text = joined;
	if (!add_diffs(blocks, content) && (failed || !add_diffs(blocks, t->content))) {
		cJSON_Delete(blocks);
		if (!text && cJSON_IsArray(raw))
			return cJSON_Duplicate(raw, true);
		return cJSON_CreateString(text ? text : "");
	}
	if (text) {
		cJSON *block = cJSON_CreateObject();

		kt_assert(block && cJSON_AddStringToObject(block, "type", "text") &&
			cJSON_AddStringToObject(block, "text", text) &&
			cJSON_InsertItemInArray(blocks, 0, block));
	}
	return blocks;
}

static void finish_tool(
	struct acp *a, struct acp_tool *t, const cJSON *output, bool failed, const char *status)
{
	t->open = false;
	kt_emit_tool_result(&a->d, t->id, output, failed, status, t->parent);
	if (t->parent)
		return;
	for (size_t i = 0; i < a->tools.len; i++) {
		const struct acp_tool *other = a->tools.items[i];

		if (other->open && !other->parent)
			return;
	}
	a->step_over = true;
}

/* gemini says nothing more of a call that was denied: the model going on is its end. */
static void close_denied(struct acp *a)
{
	for (size_t i = 0; i < a->tools.len; i++) {
		struct acp_tool *t = a->tools.items[i];

		if (t->open && t->denied)
			finish_tool(a, t, NULL, true, "rejected");
	}
}

void kt_acp_close_tools(struct acp *a)
{
	for (size_t i = 0; i < a->tools.len; i++) {
		struct acp_tool *t = a->tools.items[i];

		if (t->open)
			finish_tool(a, t, NULL, true, t->denied ? "rejected" : "cancelled");
	}
}

/* tool_call and tool_call_update: any of them may be the first that is seen of a call. */
static void tool_report(struct acp *a, const cJSON *update)
{
	const char *id = kt_json_str(update, "toolCallId");
	const char *status = kt_json_str_or(update, "status", "");
	struct acp_tool *t = find_tool(a, id);
	bool begun = false, changed = false;

	if (!id || (t && !t->open))
		return;
	if (t) {
		changed = learn(t, update);
	} else {
		t = new_tool(a, update);
		begun = true;
	}
	bool completed = !strcmp(status, "completed"), failed = !strcmp(status, "failed");
	bool running = completed || failed || t->running || !strcmp(status, "in_progress");

	if (begun || changed || running != t->running)
		emit_use(a, t, running);
	if (!completed && !failed)
		return;
	KT_AUTO_JSON cJSON *output = output_of(update, t, failed);

	/* OpenCode calls a command that was killed by the interrupt completed. */
	if (a->interrupted && cJSON_IsString(output) && strstr(output->valuestring, "abort"))
		failed = true;
	if (failed && t->denied)
		status = "rejected";
	else if (failed && a->interrupted)
		status = "cancelled";
	finish_tool(a, t, output, failed, status);
}

/* --- permissions -------------------------------------------------------------------------------
 */

void kt_acp_ask_free(struct acp_ask *ask)
{
	free(ask->id);
	free(ask->raw_id);
	free(ask->tool_use_id);
	free(ask->allow);
	free(ask->reject);
	free(ask);
}

static char *option_of(const cJSON *options, const char *kind)
{
	const cJSON *o;

	cJSON_ArrayForEach (o, options) {
		const char *id = kt_json_str(o, "optionId");

		if (id && kt_str_eq(kt_json_str(o, "kind"), kind))
			return kt_strdup(id);
	}
	return NULL;
}

/* The shell command of an input: a string, or argv of "sh -c COMMAND". NULL when unclear. */
static const char *command_of(const cJSON *input)
{
	const cJSON *command = kt_json_get(input, "command");

	if (cJSON_IsString(command))
		return command->valuestring;
	if (cJSON_IsArray(command) && cJSON_GetArraySize(command) == 3) {
		const cJSON *flag = cJSON_GetArrayItem(command, 1);
		const cJSON *text = cJSON_GetArrayItem(command, 2);

		if (cJSON_IsString(flag) && cJSON_IsString(text) && flag->valuestring[0] == '-' &&
			kt_str_ends(flag->valuestring, "c"))
			return text->valuestring;
	}
	return NULL;
}

/* What approve_session remembers. Names differ by agent, so shells and edits get karta's own. */
static void ask_key(const struct acp_tool *t, const cJSON *input, struct kt_buf *out)
{
	const char *command = command_of(input);
	KT_AUTO_JSON cJSON *plain = cJSON_CreateObject();

	kt_assert(plain);
	if (kt_str_eq(t->kind, "execute") && command) {
		kt_assert(cJSON_AddStringToObject(plain, "command", command));
		kt_ask_key("Bash", plain, out);
	} else if (kt_str_eq(t->kind, "edit") && t->path) {
		kt_assert(cJSON_AddStringToObject(plain, "file_path", t->path));
		kt_ask_key("Edit", plain, out);
	} else {
		kt_ask_key(t->name, input, out);
	}
}

/*
 * The exact input to show: an edit's as the model gave it; else that of the request; and where an
 * agent gives none (gemini), what the request says in other words. The caller's.
 */
static cJSON *ask_input(const struct acp_tool *t, const cJSON *call)
{
	const cJSON *raw = kt_json_get(call, "rawInput");
	cJSON *made;

	if (is_empty(raw) || (kt_str_eq(t->kind, "edit") && !is_empty(t->input)))
		raw = t->input;
	made = is_empty(raw) ? cJSON_CreateObject() : cJSON_Duplicate(raw, true);
	kt_assert(made);
	if (!is_empty(raw))
		return made;
	if (t->title)
		kt_assert(cJSON_AddStringToObject(made, "title", t->title));
	if (t->path)
		kt_assert(cJSON_AddStringToObject(made, "path", t->path));
	if (t->content) {
		cJSON *copy = cJSON_Duplicate(t->content, true);

		kt_assert(copy && cJSON_AddItemToObject(made, "content", copy));
	}
	return made;
}

static char *ask_message(const struct acp_tool *t, const cJSON *call, bool plan)
{
	const char *title = kt_json_str(call, "title");

	if (!title)
		title = t->title;
	if (plan)
		return kt_strdup(title ? title : "Approve the plan?");
	if (title && strcmp(title, t->name) != 0)
		return kt_asprintf("Allow %s: %s?", t->name, title);
	return kt_asprintf("Allow %s?", t->name);
}

static void raise_ask(
	struct acp *a, const struct acp_ask *ask, const struct acp_tool *t, const cJSON *call)
{
	bool plan = kt_str_eq(t->kind, "switch_mode");
	KT_AUTO_JSON cJSON *input = ask_input(t, call);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_LINE_BYTES);
	KT_AUTO_BUF struct kt_buf key = KT_BUF_INIT(KT_MAX_LINE_BYTES);
	KT_AUTOFREE char *message = ask_message(t, call, plan);

	kt_json_add(&text, input);
	ask_key(t, input, &key);
	const struct kt_ask out = {
		.id = ask->id,
		.kind = plan ? "plan" : "tool_use",
		.tool = t->name,
		.tool_use_id = t->id,
		.parent_tool_use_id = t->parent,
		.message = message,
		.key = key.ptr,
		.input = text.ptr,
		.input_len = text.len,
	};

	a->d.sink.ask(a->d.sink.arg, &out);
}

void kt_acp_permission(struct acp *a, const cJSON *id, const cJSON *params)
{
	const cJSON *call = kt_json_obj(params, "toolCall");
	const cJSON *options = kt_json_arr(params, "options");
	const char *tool_id = kt_json_str(call, "toolCallId");
	KT_AUTO_BUF struct kt_buf raw = KT_BUF_INIT(KT_MAX_LINE_BYTES);
	struct acp_tool *t = find_tool(a, tool_id);
	struct acp_ask *ask;

	kt_json_add(&raw, id);
	if (!a->prompted || a->interrupted || !tool_id) {
		kt_acp_answer_permission(a, raw.ptr, NULL);
		return;
	}
	if (!t) {
		t = new_tool(a, call);
		emit_use(a, t, false);
	} else {
		/* OpenCode's request may come before the report that has the input. */
		bool better = !t->running && learn(t, call);

		learn_content(t, kt_json_arr(call, "content"));
		if (better)
			emit_use(a, t, false);
	}
	ask = kt_calloc(1, sizeof(*ask));
	ask->id = kt_asprintf("%s-%u", a->nonce, ++a->asks_made);
	ask->raw_id = kt_strdup(raw.ptr);
	ask->tool_use_id = kt_strdup(tool_id);
	ask->allow = option_of(options, "allow_once");
	ask->reject = option_of(options, "reject_once");
	kt_vec_push(&a->asks, ask);
	raise_ask(a, ask, t, call);
}

/* --- the rest ----------------------------------------------------------------------------------
 */

static void usage_update(struct acp *a, const cJSON *update)
{
	const cJSON *cost = kt_json_obj(update, "cost");
	double amount = kt_json_num(cost, "amount", -1);

	a->context_used = kt_json_int(update, "used", a->context_used);
	a->context_size = kt_json_int(update, "size", a->context_size);
	a->context_changed = true;
	/* codex tells its usage after each model call, and that is all that ends one. */
	if (a->step_spoke && !a->message_id)
		a->step_over = true;
	if (amount < 0 || amount > 1e9 ||
		!kt_str_ieq(kt_json_str_or(cost, "currency", "USD"), "USD"))
		return;
	a->cost_now = (int64_t)(amount * 1e6 + 0.5);
	/* Between turns the sum is that of the turns before (a resumed session tells it so). */
	if (!a->prompted)
		a->cost_before = a->cost_now;
}

static void plan_update(struct acp *a, const cJSON *update)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "state", "plan");
	kt_jw_json(&w, "entries", kt_json_arr(update, "entries"));
	kt_jw_obj_end(&w);
	if (kt_buf_ok(&b))
		kt_emit(&a->d, KT_EV_STATUS, b.ptr, b.len, NULL);
}

static void mode_update(struct acp *a, const cJSON *update)
{
	const cJSON *mode = kt_json_get(update, "currentModeId");

	if (!cJSON_IsString(mode))
		return;
	if (a->modes) {
		cJSON *copy = cJSON_Duplicate(mode, true);

		cJSON_DeleteItemFromObjectCaseSensitive(a->modes, "currentModeId");
		kt_assert(copy && cJSON_AddItemToObject(a->modes, "currentModeId", copy));
	}
	kt_acp_system(a, "mode", "mode", mode);
}

void kt_acp_update(struct acp *a, const cJSON *update)
{
	const char *kind = kt_json_str_or(update, "sessionUpdate", "");

	if (!strcmp(kind, "available_commands_update")) {
		kt_acp_system(a, "commands", "commands", kt_json_get(update, "availableCommands"));
	} else if (!strcmp(kind, "config_option_update")) {
		kt_acp_take_options(a, update);
		kt_acp_system(a, "config_options", "options", kt_json_get(update, "configOptions"));
	} else if (!strcmp(kind, "current_mode_update")) {
		mode_update(a, update);
	} else if (!strcmp(kind, "usage_update")) {
		usage_update(a, update);
	} else if (!a->prompted) {
		return; /* late words of a turn that is over */
	} else if (!strcmp(kind, "agent_message_chunk")) {
		message_chunk(a, update);
	} else if (!strcmp(kind, "agent_thought_chunk")) {
		thought_chunk(a, update);
	} else if (!strcmp(kind, "tool_call") || !strcmp(kind, "tool_call_update")) {
		tool_report(a, update);
	} else if (!strcmp(kind, "plan")) {
		plan_update(a, update);
	}
}
