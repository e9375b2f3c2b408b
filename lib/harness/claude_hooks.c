/* SPDX-License-Identifier: MIT */
/*
 * Hooks and rules of the application that say no. Claude Code tells what a hook answered before it
 * acts upon it, and of a refused call only an error comes: so a refusal is remembered until the
 * tool's result (a call) or the turn's result (a message, `continue: false`) is there.
 */
#include "harness/claude_private.h"

#include "base/limits.h"
#include "base/str.h"

#include <string.h>

enum {
	REASON_BYTES = 4096, /* of a hook, for a person */
	DENIALS_MAX = 64, /* that wait for their result; parallel calls */
};

/* Text before the reason of a message that a hook refused, in `result` and `informational`. */
static const char *const refusal_heads[] = {
	"UserPromptSubmit operation blocked by hook:",
	"Operation stopped by hook:",
};

/* A no that waits for the result of its call. */
struct denial {
	char *tool_use_id; /* or NULL: then tool and reason tell */
	char *tool;
	char *reason;
};

static void denial_free(struct denial *d)
{
	free(d->tool_use_id);
	free(d->tool);
	free(d->reason);
	free(d);
}

static void deny_tool(
	struct kt_claude *c, const char *tool_use_id, const char *tool, const char *reason)
{
	struct denial *d = kt_calloc(1, sizeof(*d));

	d->tool_use_id = kt_strdup_opt(tool_use_id);
	d->tool = kt_strdup(tool);
	d->reason = kt_strdup(reason);
	if (c->denials.len == DENIALS_MAX)
		denial_free(kt_vec_remove(&c->denials, 0));
	kt_vec_push(&c->denials, d);
}

/* The text of a tool result: a string, or its first text block. */
static const char *hook_content_text(const cJSON *content)
{
	const cJSON *block;

	if (cJSON_IsString(content))
		return content->valuestring;
	cJSON_ArrayForEach (block, content) {
		if (kt_json_str(block, "text"))
			return kt_json_str(block, "text");
	}
	return "";
}

bool kt_claude_was_denied(
	struct kt_claude *c, const char *tool_use_id, const char *tool, const cJSON *content)
{
	for (size_t i = 0; i < c->denials.len; i++) {
		struct denial *d = c->denials.items[i];
		bool same = d->tool_use_id
			? !strcmp(d->tool_use_id, tool_use_id)
			: kt_str_eq(d->tool, tool) && strstr(hook_content_text(content), d->reason);

		if (!same)
			continue;
		denial_free(kt_vec_remove(&c->denials, i));
		return true;
	}
	return false;
}

void kt_claude_hooks_clear(struct kt_claude *c)
{
	while (c->denials.len)
		denial_free(kt_vec_remove(&c->denials, 0));
	kt_vec_release(&c->denials);
	free(KT_STEAL(c->hook_stop));
	free(KT_STEAL(c->prevented));
}

/* --- what a hook said -------------------------------------------------------------------- */

/* s without the blanks around it, cut to what a person reads; the caller's to free. */
static char *trimmed_reason(const char *s, size_t len)
{
	while (len && strchr(" \t\r\n", s[0])) {
		s++;
		len--;
	}
	while (len && strchr(" \t\r\n", s[len - 1]))
		len--;
	if (len > REASON_BYTES) {
		len = REASON_BYTES;
		while (len && ((unsigned char)s[len] & 0xC0) == 0x80)
			len--;
	}
	return kt_strndup(s, len);
}

static bool may_block(const char *event)
{
	static const char *const events[] = { "PreToolUse", "PostToolUse", "UserPromptSubmit",
		"PermissionRequest", "PreCompact", "Stop", "SubagentStop", NULL };

	for (size_t i = 0; events[i]; i++) {
		if (!strcmp(events[i], event))
			return true;
	}
	return false;
}

struct verdict {
	bool stops; /* continue: false */
	bool blocks;
	const char *reason; /* BORROWED */
};

static void read_answer(const cJSON *answer, struct verdict *v)
{
	const cJSON *own = kt_json_obj(answer, "hookSpecificOutput");
	const cJSON *decision = kt_json_obj(own, "decision");
	const char *word = kt_json_str(answer, "decision");

	if (!kt_json_bool(answer, "continue", true)) {
		v->stops = true;
		v->reason = kt_json_str_or(answer, "stopReason", "");
	} else if (kt_str_eq(kt_json_str(own, "permissionDecision"), "deny")) {
		v->blocks = true;
		v->reason = kt_json_str_or(own, "permissionDecisionReason", "");
	} else if (kt_str_eq(kt_json_str(decision, "behavior"), "deny")) {
		v->blocks = true;
		v->reason = kt_json_str_or(decision, "message", "");
	} else if (kt_str_eq(word, "block") || kt_str_eq(word, "deny")) {
		v->blocks = true;
		v->reason = kt_json_str_or(answer, "reason", "");
	}
}

static void tell_hook_outcome(
	struct kt_claude *c, const char *event, const char *name, bool stops, const char *reason)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "subtype", "hook");
	kt_jw_str(&w, "hook_event", event);
	kt_jw_str(&w, "hook_name", name);
	kt_jw_str(&w, "outcome", stops ? "stopped" : "blocked");
	kt_jw_str(&w, "reason", reason);
	kt_jw_obj_end(&w);
	if (kt_buf_ok(&b))
		kt_emit(&c->d, KT_EV_SYSTEM, b.ptr, b.len, NULL);
}

void kt_claude_hook(struct kt_claude *c, const cJSON *line)
{
	const char *event = kt_json_str_or(line, "hook_event", "");
	const char *name = kt_json_str_or(line, "hook_name", event);
	const char *out = kt_json_str_or(line, "stdout", "");
	const char *tool = strchr(name, ':');
	KT_AUTO_JSON cJSON *answer = NULL;
	struct verdict v = { 0 };

	if (kt_json_int(line, "exit_code", 0) == 2 && may_block(event)) {
		v.blocks = true;
		v.reason = kt_json_str_or(line, "stderr", "");
	} else if (kt_json_parse(out, strlen(out), KT_JSON_LENIENT, &answer, NULL) == KT_OK) {
		read_answer(answer, &v);
	}
	if (!v.stops && !v.blocks)
		return;
	KT_AUTOFREE char *reason = trimmed_reason(v.reason, strlen(v.reason));

	if (v.stops || !strcmp(event, "UserPromptSubmit")) {
		free(c->hook_stop);
		c->hook_stop = kt_strdup(reason);
	} else if (tool && (!strcmp(event, "PreToolUse") || !strcmp(event, "PermissionRequest"))) {
		deny_tool(c, NULL, tool + 1, reason);
	}
	tell_hook_outcome(c, event, name, v.stops, reason);
}

void kt_claude_denied(struct kt_claude *c, const cJSON *line)
{
	const char *id = kt_json_str(line, "tool_use_id");

	if (id)
		deny_tool(c, id, kt_json_str_or(line, "tool_name", ""), "");
}

/* --- refused messages -------------------------------------------------------------------- */

/*
 * The reason in what the program says of a refused message; the caller's to free. The message
 * itself stands behind it, and may be just what the hook does not want to see anywhere.
 */
static char *reason_of(const char *text)
{
	const char *end;

	for (size_t i = 0; i < KT_ARRAY_LEN(refusal_heads); i++) {
		if (kt_str_starts(text, refusal_heads[i]))
			text += strlen(refusal_heads[i]);
	}
	end = strstr(text, "\n\nOriginal prompt:");
	return trimmed_reason(text, end ? (size_t)(end - text) : strlen(text));
}

void kt_claude_informed(struct kt_claude *c, const cJSON *line)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	KT_AUTOFREE char *text = reason_of(kt_json_str_or(line, "content", ""));
	struct kt_jw w;

	if (kt_json_bool(line, "prevent_continuation", false)) {
		free(c->prevented);
		c->prevented = kt_strdup(text);
	}
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "subtype", "informational");
	kt_jw_str(&w, "level", kt_json_str_or(line, "level", "info"));
	kt_jw_str(&w, "content", text);
	kt_jw_obj_end(&w);
	if (kt_buf_ok(&b))
		kt_emit(&c->d, KT_EV_SYSTEM, b.ptr, b.len, NULL);
}

bool kt_claude_was_refused(struct kt_claude *c, const cJSON *line)
{
	const char *terminal = kt_json_str(line, "terminal_reason");
	const char *result = kt_json_str_or(line, "result", "");
	bool refused = kt_str_eq(terminal, "hook_stopped");

	if (kt_json_bool(line, "is_error", false))
		return false;
	/* The model was never asked. */
	if (kt_json_int(line, "num_turns", 1) == 0 || !c->step) {
		refused = refused || c->prevented;
		for (size_t i = 0; i < KT_ARRAY_LEN(refusal_heads); i++)
			refused = refused || kt_str_starts(result, refusal_heads[i]);
	}
	if (!refused)
		return false;
	if (!c->prevented && *result)
		c->prevented = reason_of(result);
	/* A hook's own words are better than what the program makes of them. */
	if (c->hook_stop && *c->hook_stop) {
		free(c->prevented);
		c->prevented = KT_STEAL(c->hook_stop);
	}
	if (!c->prevented || !*c->prevented) {
		free(c->prevented);
		c->prevented = kt_strdup("a hook of the application stopped the turn");
	}
	return true;
}
