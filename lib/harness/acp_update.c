/* SPDX-License-Identifier: MIT */
/*
 * Of the ACP driver: session/update notifications and permission requests as karta's events; words
 * are in acp_text.c.
 */
#include "harness/acp_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"

#include <string.h>

/* A report that a request overtook is in the same pipe already. */
#define EARLY_MS 1000

/* --- tools ------------------------------------------------------------------------------------ */

static struct acp_tool *find_tool(const struct acp *a, const char *id)
{
	for (size_t i = 0; id && i < a->tools.len; i++) {
		struct acp_tool *t = a->tools.items[i];

		if (!strcmp(t->id, id))
			return t;
	}
	return NULL;
}

/* Keep a copy of v (or nothing, NULL) in place of what is there. */
static void keep_value(struct acp *a, cJSON **slot, size_t *bytes, const cJSON *v)
{
	cJSON_Delete(*slot);
	*slot = v ? cJSON_Duplicate(v, true) : NULL;
	kt_assert(*slot || !v);
	a->d.kept -= *bytes;
	*bytes = kt_json_memory(*slot);
	a->d.kept += *bytes;
}

static void forget_trees(struct acp *a, struct acp_tool *t)
{
	keep_value(a, &t->input, &t->input_bytes, NULL);
	keep_value(a, &t->content, &t->content_bytes, NULL);
}

static void tool_free(struct acp *a, struct acp_tool *t)
{
	forget_trees(a, t);
	free(t->id);
	free(t->name);
	free(t->kind);
	free(t->title);
	free(t->parent);
	free(t->path);
	free(t);
}

void kt_acp_forget_tools(struct acp *a)
{
	for (size_t i = 0; i < a->tools.len; i++)
		tool_free(a, a->tools.items[i]);
	kt_vec_release(&a->tools);
}

static bool is_empty(const cJSON *v)
{
	return !v || cJSON_IsNull(v) || (!v->child && (cJSON_IsObject(v) || cJSON_IsArray(v)));
}

static void learn_content(struct acp *a, struct acp_tool *t, const cJSON *content)
{
	if (is_empty(content) || (kt_acp_has_diff(t->content) && !kt_acp_has_diff(content)))
		return;
	keep_value(a, &t->content, &t->content_bytes, content);
}

/* Take what this report says about the tool; true when its input changed. */
static bool learn_tool(struct acp *a, struct acp_tool *t, const cJSON *call)
{
	const char *kind = kt_json_str(call, "kind");
	const char *title = kt_json_str(call, "title");
	const cJSON *input = kt_json_get(call, "rawInput");
	const cJSON *content = kt_json_arr(call, "content");
	const cJSON *locations = kt_json_arr(call, "locations");

	if (kind)
		kt_str_set(&t->kind, kind);
	if (title)
		kt_str_set(&t->title, title);
	if (!is_empty(locations))
		kt_str_set(&t->path,
			cJSON_GetArraySize(locations) == 1 ? kt_json_str(locations->child, "path")
							   : NULL);
	learn_content(a, t, content);
	if (is_empty(input) || (t->input && cJSON_Compare(t->input, input, true)))
		return false;
	keep_value(a, &t->input, &t->input_bytes, input);
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

	if (!parent) {
		if (a->step_over)
			kt_acp_step(a);
		kt_acp_end_part(a);
	}
	t->id = kt_strdup(kt_json_str(call, "toolCallId"));
	t->name = kt_strdup(name_of(a, call));
	t->parent = kt_strdup_opt(parent);
	t->open = true;
	kt_vec_push(&a->tools, t);
	(void)learn_tool(a, t, call);
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

static void finish_tool(
	struct acp *a, struct acp_tool *t, const cJSON *output, bool failed, const char *status)
{
	t->open = false;
	kt_emit_tool_result(&a->d, t->id, output, failed, status, t->parent);
	/* Nothing more is said of it. */
	forget_trees(a, t);
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
void kt_acp_close_denied(struct acp *a)
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

		if (!t->open)
			continue;
		/* What it had shown until then is all that it gave. */
		KT_AUTO_JSON cJSON *output = t->content ? kt_acp_output(NULL, t->content, true)
							: NULL;

		finish_tool(a, t, output, true, t->denied ? "rejected" : "cancelled");
	}
}

/* OpenCode's own rules said no (2 errors of its permission module). */
static bool denied_by_rule(const struct acp *a, const cJSON *update)
{
	const char *error = kt_json_str(kt_json_get(update, "rawOutput"), "error");

	return error && (a->quirks & ACP_TITLE_IS_NAME) &&
		(kt_str_starts(error, "The user has specified a rule which prevents you") ||
			kt_str_starts(error, "The user rejected permission to use this"));
}

/*
 * Is it a new call under the id of one that ended? Models that count their calls anew in each
 * answer make such ids.
 */
static bool begins_anew(const struct acp_tool *t, const cJSON *update)
{
	const char *status = kt_json_str_or(update, "status", "pending");

	return !t->open && kt_str_eq(kt_json_str(update, "sessionUpdate"), "tool_call") &&
		(!strcmp(status, "pending") || !strcmp(status, "in_progress"));
}

/* tool_call and tool_call_update: any of them may be the first that is seen of a call. */
static void tool_report(struct acp *a, const cJSON *update)
{
	const char *id = kt_json_str(update, "toolCallId");
	const char *status = kt_json_str_or(update, "status", "");
	struct acp_tool *t = find_tool(a, id);
	bool begun = false, changed = false;

	if (t && begins_anew(t, update)) {
		kt_vec_remove_ptr(&a->tools, t);
		tool_free(a, t);
		t = NULL;
	}
	if (!id || (t && !t->open))
		return;
	if (t) {
		changed = learn_tool(a, t, update);
	} else {
		t = new_tool(a, update);
		begun = true;
	}
	bool completed = !strcmp(status, "completed"), failed = !strcmp(status, "failed");
	bool running = completed || failed || t->running || !strcmp(status, "in_progress");

	if (begun || changed || running != t->running)
		emit_use(a, t, running);
	if (running)
		kt_acp_raise_held(a, id);
	if (!completed && !failed)
		return;
	KT_AUTO_JSON cJSON *output = kt_acp_output(update, t->content, failed);

	/* OpenCode calls a command that was killed by the interrupt completed. */
	if (a->interrupted && cJSON_IsString(output) && strstr(output->valuestring, "abort"))
		failed = true;
	if (failed && (t->denied || denied_by_rule(a, update)))
		status = "rejected";
	else if (failed && a->interrupted)
		status = "cancelled";
	finish_tool(a, t, output, failed, status);
}

/* --- permissions ------------------------------------------------------------------------------ */

void kt_acp_ask_free(struct acp_ask *ask)
{
	free(ask->id);
	free(ask->raw_id);
	free(ask->tool_use_id);
	free(ask->allow);
	free(ask->reject);
	cJSON_Delete(ask->held);
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

/* All that is known of what would run: the call's own input, and what the request adds to it. */
static void add_missing(cJSON *to, const cJSON *raw, bool *partial)
{
	const cJSON *m;

	cJSON_ArrayForEach (m, raw) {
		const cJSON *own = m->string ? kt_json_get(to, m->string) : NULL;

		/* Two words for one thing: nobody knows which of them counts. */
		if (own && !cJSON_Compare(own, m, true))
			*partial = true;
		if (own || !m->string)
			continue;
		cJSON *copy = cJSON_Duplicate(m, true);

		kt_assert(copy && cJSON_AddItemToObject(to, m->string, copy));
	}
}

/*
 * The exact input to show: the call's as the model gave it, with what is asked besides (OpenCode
 * asks for a folder outside and for the command in it apart); else that of the request; and where
 * an agent gives none (gemini), what the request says in other words. The caller's.
 */
static cJSON *ask_input(const struct acp *a, const struct acp_tool *t, const cJSON *call,
	const char *asked_kind, bool *partial)
{
	const cJSON *raw = kt_json_get(call, "rawInput");
	bool own = !is_empty(t->input) && cJSON_IsObject(t->input);
	bool same = kt_str_eq(t->kind, asked_kind);
	cJSON *made;

	if ((a->quirks & ACP_ASKS_EARLY) && !t->running)
		*partial = true;
	/* Of an edit the request has the difference, which is the same in other words. */
	if (own && (is_empty(raw) || t->running || (same && kt_str_eq(t->kind, "edit")))) {
		made = cJSON_Duplicate(t->input, true);
		kt_assert(made);
		if (cJSON_IsObject(raw) && (!same || !kt_str_eq(t->kind, "edit")))
			add_missing(made, raw, partial);
		return made;
	}
	if (!is_empty(raw)) {
		made = cJSON_Duplicate(raw, true);
		kt_assert(made);
		return made;
	}
	*partial = true;
	made = is_empty(t->input) ? cJSON_CreateObject() : cJSON_Duplicate(t->input, true);
	kt_assert(made);
	if (!is_empty(made))
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

/* Where a call runs: where its input says, else in the folder of the conversation. */
static char *ask_cwd(const struct acp *a, const cJSON *input)
{
	const cJSON *named = kt_json_get(input, "workdir");

	if (!named)
		named = kt_json_get(input, "cwd");
	if (!a->cfg.cwd || (named && !cJSON_IsString(named)))
		return NULL;
	return kt_path_join(a->cfg.cwd, named ? named->valuestring : "");
}

static char *acp_ask_message(const struct acp_tool *t, const cJSON *call, bool plan)
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
	bool plan = kt_str_eq(t->kind, "switch_mode"), partial = false;
	const char *asked_kind = kt_json_str_or(call, "kind", t->kind);
	KT_AUTO_JSON cJSON *input = ask_input(a, t, call, asked_kind, &partial);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_LINE_BYTES);
	KT_AUTO_BUF struct kt_buf part = KT_BUF_INIT(0);
	KT_AUTOFREE char *message = acp_ask_message(t, call, plan);
	KT_AUTOFREE char *cwd = ask_cwd(a, input);
	struct kt_shared *shared;
	size_t len;

	kt_json_add(&text, input);
	len = text.len;
	shared = kt_shared_new(kt_buf_take(&text), len);
	struct kt_ask out = {
		.id = ask->id,
		.kind = plan ? "plan" : "tool_use",
		.tool = t->name,
		.tool_use_id = t->id,
		.parent_tool_use_id = t->parent,
		.message = message,
		.partial = partial,
		.cwd = cwd,
	};

	/* Asked for something else (a folder outside): the same call is more than it says. */
	kt_ask_input(&out, shared, input, &part);
	if (!partial && kt_str_eq(t->kind, asked_kind))
		kt_ask_shape(&out, t->name, input);
	a->d.sink.ask(a->d.sink.arg, &out);
	kt_shared_unref(shared);
}

static struct acp_ask *held_ask(const struct acp *a, const char *tool_id)
{
	for (size_t i = 0; i < a->asks.len; i++) {
		struct acp_ask *ask = a->asks.items[i];

		if (ask->held && (!tool_id || !strcmp(ask->tool_use_id, tool_id)))
			return ask;
	}
	return NULL;
}

void kt_acp_raise_held(struct acp *a, const char *tool_id)
{
	struct acp_ask *ask;

	/* Whoever is told may answer at once, and the list is another. */
	while ((ask = held_ask(a, tool_id)) != NULL) {
		KT_AUTO_JSON cJSON *call = KT_STEAL(ask->held);
		const struct acp_tool *t = find_tool(a, ask->tool_use_id);

		if (!held_ask(a, NULL))
			a->d.sink.set_timer(a->d.sink.arg, -1);
		if (t)
			raise_ask(a, ask, t, call);
	}
}

void kt_acp_permission(struct acp *a, const cJSON *id, const cJSON *params)
{
	const cJSON *call = kt_json_obj(params, "toolCall");
	const cJSON *options = kt_json_arr(params, "options");
	const char *tool_id = kt_json_str(call, "toolCallId");
	KT_AUTO_BUF struct kt_buf raw = KT_BUF_INIT(KT_MAX_LINE_BYTES);
	struct acp_tool *t = find_tool(a, tool_id);
	/* Of the calls of a sub-agent there are no reports to wait for. */
	bool early = (a->quirks & ACP_ASKS_EARLY) && t && !t->running;
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
		bool better = !t->running && learn_tool(a, t, call);

		learn_content(a, t, kt_json_arr(call, "content"));
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
	if (early) {
		ask->held = cJSON_Duplicate(call, true);
		kt_assert(ask->held);
		a->d.sink.set_timer(a->d.sink.arg, EARLY_MS);
		return;
	}
	raise_ask(a, ask, t, call);
}

/* --- the rest --------------------------------------------------------------------------------- */

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
		const cJSON *list = kt_json_arr(update, "availableCommands");

		kt_acp_system(a, "commands", "commands", list);
		if (list)
			kt_acp_take_commands(a, list);
	} else if (!strcmp(kind, "config_option_update")) {
		kt_acp_take_options(a, update);
		kt_acp_system(a, "config_options", "options", kt_json_get(update, "configOptions"));
	} else if (!strcmp(kind, "current_mode_update")) {
		mode_update(a, update);
	} else if (!strcmp(kind, "usage_update")) {
		kt_acp_usage_update(a, update);
	} else if (!a->prompted) {
		return; /* late words of a turn that is over */
	} else if (!strcmp(kind, "agent_message_chunk")) {
		kt_acp_chunk(a, update, false);
	} else if (!strcmp(kind, "agent_thought_chunk")) {
		kt_acp_chunk(a, update, true);
	} else if (!strcmp(kind, "tool_call") || !strcmp(kind, "tool_call_update")) {
		tool_report(a, update);
	} else if (!strcmp(kind, "plan")) {
		plan_update(a, update);
	}
}
