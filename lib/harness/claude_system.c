/* SPDX-License-Identifier: MIT */
/*
 * Claude Code's `system` lines: what it tells about itself, its steps, tasks and retries. What is
 * not known is left out, because kinds are added with every release.
 */
#include "harness/claude_private.h"

#include "base/limits.h"
#include "base/str.h"

#include <inttypes.h>
#include <string.h>

void kt_claude_tell(
	struct kt_claude *c, const char *subtype, const cJSON *from, const char *const *names)
{
	KT_AUTO_JSON cJSON *data = cJSON_CreateObject();

	kt_assert(data && cJSON_AddStringToObject(data, "subtype", subtype));
	for (; *names; names++) {
		const cJSON *v = kt_json_get(from, *names);

		if (v && !cJSON_IsNull(v))
			kt_assert(cJSON_AddItemToObject(data, *names, cJSON_Duplicate(v, true)));
	}
	kt_emit_system(&c->d, data, NULL);
}

static void api_retry(struct kt_claude *c, const cJSON *line)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	int64_t status = kt_json_int(line, "error_status", 0);
	const char *kind = kt_json_str_or(line, "error", "");
	struct kt_turn_result named = { 0 };
	struct kt_jw w;

	kt_claude_drop_message(c);
	kt_claude_name_error(&named, kind, status, status ? "" : "ECONN");
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "state", "retrying");
	kt_jw_int(&w, "attempt", kt_json_int(line, "attempt", 0));
	kt_jw_int(&w, "max_retries", kt_json_int(line, "max_retries", 0));
	kt_jw_int(&w, "delay_ms", (int64_t)kt_json_num(line, "retry_delay_ms", 0));
	if (status)
		kt_jw_int(&w, "error_status", status);
	kt_jw_str(&w, "code", named.error_code);
	kt_jw_obj_end(&w);
	kt_emit(&c->d, KT_EV_STATUS, b.ptr, b.len, NULL);
	/* It would try a wrong key ten times, for minutes. */
	if ((status == 401 || status == 403) && c->state == CLAUDE_TURN && !c->auth_failure) {
		c->auth_failure = kt_asprintf("the model's API refused the credentials "
					      "(HTTP %" PRId64 "): check the key or log in again",
			status);
		kt_claude_send_interrupt(c);
	}
}

static void task_free(struct claude_task *t)
{
	if (!t)
		return;
	free(t->tool_use_id);
	free(t->agent);
	free(t);
}

static void task_started(struct kt_claude *c, const cJSON *line)
{
	const char *task = kt_json_str(line, "task_id");
	const char *tool = kt_json_str(line, "tool_use_id");

	if (!task || !tool)
		return;
	struct claude_task *t = kt_calloc(1, sizeof(*t));
	t->tool_use_id = kt_strdup(tool);
	t->agent = kt_strdup_opt(kt_json_str(line, "subagent_type"));
	task_free(kt_map_set(&c->tasks, task, t));
}

void kt_claude_forget_tasks(struct kt_claude *c)
{
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(&c->tasks, &pos, &key, &value))
		task_free(value);
	kt_map_release(&c->tasks);
}

static void init_line(struct kt_claude *c, const cJSON *line)
{
	static const char *const names[] = { "model", "permissionMode", "claude_code_version",
		"mcp_servers", "apiKeySource", NULL };
	const char *session = kt_json_str(line, "session_id");

	if (session && !kt_str_eq(session, c->session)) {
		free(c->session);
		c->session = kt_strdup(session);
		c->d.sink.session_id(c->d.sink.arg, c->session);
	}
	kt_claude_tell(c, "init", line, names);
}

/* A background turn that ended in ours was not the last one after all. */
static void not_the_last(struct kt_claude *c)
{
	if (!c->foreign_result)
		return;
	c->foreign_result = false;
	c->d.sink.set_timer(c->d.sink.arg, -1);
}

static void status_line(struct kt_claude *c, const cJSON *line)
{
	static const char *const names[] = { "status", "compact_result", "permissionMode", NULL };

	if (kt_str_eq(kt_json_str(line, "status"), "requesting")) {
		not_the_last(c);
		kt_claude_turn_seen(c);
		if (c->state == CLAUDE_TURN)
			kt_claude_step_begin(c);
		return;
	}
	kt_claude_tell(c, "status", line, names);
}

/* Messages that are kept whole are told again after it. */
static void on_compacted(struct kt_claude *c, const cJSON *line)
{
	static const char *const lists[] = { "uuids", "all_uuids" };
	const cJSON *kept = kt_json_obj(
		kt_json_obj(line, "compact_metadata"), "preserved_messages");
	const cJSON *uuid;

	for (size_t i = 0; i < KT_ARRAY_LEN(lists); i++) {
		cJSON_ArrayForEach (uuid, kt_json_arr(kept, lists[i])) {
			if (cJSON_IsString(uuid))
				kt_claude_mark_seen(c, uuid->valuestring);
		}
	}
}

/* Another model answers instead: what the first one said may be void. */
static void model_changed(struct kt_claude *c, const cJSON *line)
{
	const cJSON *uuid;

	cJSON_ArrayForEach (uuid, kt_json_arr(line, "retracted_message_uuids")) {
		if (cJSON_IsString(uuid))
			kt_claude_retract_line(c, uuid->valuestring);
	}
}

void kt_claude_system(struct kt_claude *c, const cJSON *line)
{
	static const char *const compact[] = { "compact_metadata", NULL };
	static const char *const model[] = { "trigger", "direction", "original_model",
		"fallback_model", "api_refusal_category", "content", NULL };
	static const char *const denied[] = { "tool_name", "tool_use_id", "decision_reason_type",
		"decision_reason", "message", NULL };
	static const char *const notification[] = { "key", "text", "priority", NULL };
	static const char *const task[] = { "task_id", "tool_use_id", "description",
		"subagent_type", "task_type", "status", "summary", "last_tool_name", "usage",
		"patch", NULL };
	const char *subtype = kt_json_str_or(line, "subtype", "");

	if (!strcmp(subtype, "init")) {
		not_the_last(c);
		init_line(c, line);
	} else if (!strcmp(subtype, "status")) {
		status_line(c, line);
	} else if (!strcmp(subtype, "api_retry")) {
		api_retry(c, line);
	} else if (!strcmp(subtype, "compact_boundary")) {
		on_compacted(c, line);
		kt_claude_tell(c, subtype, line, compact);
	} else if (kt_str_starts(subtype, "task_")) {
		if (!strcmp(subtype, "task_started"))
			task_started(c, line);
		kt_claude_tell(c, subtype, line, task);
	} else if (kt_str_starts(subtype, "model_")) {
		model_changed(c, line);
		kt_claude_tell(c, subtype, line, model);
	} else if (!strcmp(subtype, "hook_response")) {
		kt_claude_hook(c, line);
	} else if (!strcmp(subtype, "permission_denied")) {
		kt_claude_denied(c, line);
		kt_claude_tell(c, subtype, line, denied);
	} else if (!strcmp(subtype, "informational")) {
		kt_claude_informed(c, line);
	} else if (!strcmp(subtype, "notification")) {
		kt_claude_tell(c, subtype, line, notification);
	} else if (!strcmp(subtype, "local_command_output")) {
		kt_claude_local_output(c, line);
	} else if (!strcmp(subtype, "commands_changed")) {
		kt_claude_take_commands(c, kt_json_arr(line, "commands"));
	}
}
