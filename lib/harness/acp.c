/* SPDX-License-Identifier: MIT */
/*
 * The ACP driver: a client of the Agent Client Protocol (version 1), JSON-RPC 2.0 with one object
 * a line on stdio. OpenCode is its first agent; gemini, codex-acp, claude-agent-acp and any other
 * are given by [harness] command.
 *
 *   initialize -> session/new | session/resume | session/load --ready--> READY
 *   READY --prompt--> set model, permission mode, agent (what differs) -> session/prompt = TURN
 *   TURN --answer of session/prompt--> READY
 *
 * A start that the agent refuses (not signed in) does not end the process: the driver is ready all
 * the same, each prompt tries the start again, and the turn ends with the agent's reason.
 */
#include "harness/acp_private.h"

#include "base/limits.h"
#include "base/rand.h"
#include "base/str.h"

#include <stdio.h>
#include <string.h>

enum { COMMANDS_MS = 2000 }; /* OpenCode tells them within a few ms */

static struct acp *acp_of(struct kt_driver *d)
{
	return (struct acp *)(void *)d;
}

/* --- sending ---------------------------------------------------------------------------------- */

/* One message to the agent: writer and its buffer. */
struct out {
	struct kt_buf b;
	struct kt_jw w;
};

static void out_begin(struct out *o)
{
	kt_buf_init(&o->b, KT_MAX_CHILD_QUEUE_BYTES);
	kt_jw_init(&o->w, &o->b);
	kt_jw_obj(&o->w, NULL);
	kt_jw_str(&o->w, "jsonrpc", "2.0");
}

static void out_end(struct acp *a, struct out *o)
{
	kt_jw_obj_end(&o->w);
	kt_buf_addc(&o->b, '\n');
	if (kt_buf_ok(&o->b) && !a->gone)
		a->d.sink.send(a->d.sink.arg, o->b.ptr, o->b.len);
	kt_buf_release(&o->b);
}

/* Begin a request of ours; the caller writes its params' members, then call_end(). */
static void call_begin(struct acp *a, struct out *o, enum acp_call call, const char *method)
{
	kt_assert(a->call == ACP_CALL_NONE);
	a->call = call;
	a->call_id = ++a->next_id;
	out_begin(o);
	kt_jw_int(&o->w, "id", a->call_id);
	kt_jw_str(&o->w, "method", method);
	kt_jw_obj(&o->w, "params");
	if (a->session)
		kt_jw_str(&o->w, "sessionId", a->session);
}

static void call_end(struct acp *a, struct out *o)
{
	kt_jw_obj_end(&o->w);
	out_end(a, o);
}

void kt_acp_answer_permission(struct acp *a, const char *raw_id, const char *option)
{
	struct out o;

	out_begin(&o);
	kt_jw_raw(&o.w, "id", raw_id, strlen(raw_id));
	kt_jw_obj(&o.w, "result");
	kt_jw_obj(&o.w, "outcome");
	kt_jw_str(&o.w, "outcome", option ? "selected" : "cancelled");
	if (option)
		kt_jw_str(&o.w, "optionId", option);
	kt_jw_obj_end(&o.w);
	kt_jw_obj_end(&o.w);
	out_end(a, &o);
}

/*
 * We advertise neither files nor terminals; OpenCode sends fs/write_text_file all the same, and
 * writes the file itself. An answer it needs in any case.
 */
static void acp_refuse_request(struct acp *a, const cJSON *id)
{
	struct out o;

	out_begin(&o);
	kt_jw_json(&o.w, "id", id);
	kt_jw_obj(&o.w, "error");
	kt_jw_int(&o.w, "code", -32601);
	kt_jw_str(&o.w, "message", "Method not found");
	kt_jw_obj_end(&o.w);
	out_end(a, &o);
}

void kt_acp_system(struct acp *a, const char *subtype, const char *key, const cJSON *value)
{
	KT_AUTO_JSON cJSON *data = cJSON_CreateObject();

	kt_assert(data && cJSON_AddStringToObject(data, "subtype", subtype));
	if (value)
		kt_assert(cJSON_AddItemToObject(data, key, cJSON_Duplicate(value, true)));
	else
		kt_assert(cJSON_AddNullToObject(data, key));
	kt_emit_system(&a->d, data, NULL);
}

/* --- the end of a turn ------------------------------------------------------------------------ */

static void withdraw_asks(struct acp *a, bool tell_agent)
{
	while (a->asks.len > 0) {
		struct acp_ask *ask = kt_vec_remove(&a->asks, 0);

		if (tell_agent)
			kt_acp_answer_permission(a, ask->raw_id, NULL);
		a->d.sink.ask_withdrawn(a->d.sink.arg, ask->id);
		kt_acp_ask_free(ask);
	}
}

struct ending {
	const char *stop_reason;
	const char *code, *message;
	bool retryable;
	struct kt_usage usage;
};

/* Close everything that is open and report; the sink may send the next prompt from within. */
static void acp_end_turn(struct acp *a, const struct ending *e)
{
	struct kt_usage usage = e->usage;
	const struct kt_usage last = e->usage;
	bool known = last.input_tokens >= 0 || last.output_tokens >= 0;

	if (!a->turn)
		return;
	if (e->message && (a->quirks & ACP_ERROR_AS_TEXT))
		kt_acp_retract_error_text(a, e->message);
	withdraw_asks(a, false);
	kt_acp_close_tools(a);
	if (a->steps > 0)
		kt_emit_step_finish(&a->d, a->steps, known ? &last : NULL, NULL);
	kt_acp_context_event(a);
	/* Tokens of the last call only are no tokens of the turn, but when it was the only one. */
	if ((a->quirks & ACP_USAGE_LAST_CALL) && a->steps > 1)
		usage = (struct kt_usage)KT_USAGE_INIT;
	kt_acp_take_cost(a, &usage);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_LINE_BYTES);

	kt_acp_turn_text(a, &text);
	const struct kt_turn_result result = {
		.stop_reason = e->stop_reason,
		.error_code = e->code,
		.error_message = e->message,
		.retryable = e->retryable,
		.text = text.ptr,
		.usage = usage,
	};

	kt_acp_forget_parts(a);
	kt_acp_forget_tools(a);
	kt_str_set(&a->text, NULL);
	kt_str_set(&a->from, NULL);
	kt_str_set(&a->agent, NULL);
	kt_str_set(&a->picking, NULL);
	a->turn = a->prompted = a->interrupted = a->denied = false;
	kt_emit_turn_end(&a->d, &result);
}

static void end_with_error(struct acp *a, const char *code, bool retryable, const char *message)
{
	const struct ending e = {
		.stop_reason = "error",
		.code = code,
		.message = message,
		.retryable = retryable,
		.usage = KT_USAGE_INIT,
	};

	acp_end_turn(a, &e);
}

static void end_interrupted(struct acp *a)
{
	const struct ending e = { .stop_reason = "interrupted", .usage = KT_USAGE_INIT };

	acp_end_turn(a, &e);
}

/* --- starting --------------------------------------------------------------------------------- */

static void send_initialize(struct acp *a)
{
	struct out o;

	call_begin(a, &o, ACP_CALL_INITIALIZE, "initialize");
	kt_jw_int(&o.w, "protocolVersion", 1);
	kt_jw_obj(&o.w, "clientCapabilities");
	kt_jw_obj(&o.w, "fs");
	kt_jw_bool(&o.w, "readTextFile", false);
	kt_jw_bool(&o.w, "writeTextFile", false);
	kt_jw_obj_end(&o.w);
	kt_jw_bool(&o.w, "terminal", false);
	kt_jw_obj_end(&o.w);
	kt_jw_obj(&o.w, "clientInfo");
	kt_jw_str(&o.w, "name", "karta");
	kt_jw_str(&o.w, "title", "karta");
	kt_jw_str(&o.w, "version", KT_VERSION);
	kt_jw_obj_end(&o.w);
	call_end(a, &o);
}

static void send_session(struct acp *a, enum acp_call call, const char *method)
{
	struct out o;

	call_begin(a, &o, call, method);
	if (call != ACP_CALL_NEW)
		kt_jw_str(&o.w, "sessionId", a->cfg.resume_id);
	kt_jw_str(&o.w, "cwd", a->cfg.cwd);
	kt_jw_arr(&o.w, "mcpServers");
	kt_jw_arr_end(&o.w);
	call_end(a, &o);
}

/* Ask for the session: resume, load, or a new one. */
static void open_session(struct acp *a)
{
	const char *resume = a->resume_given_up ? NULL : a->cfg.resume_id;

	if (resume && a->can_resume) {
		send_session(a, ACP_CALL_RESUME, "session/resume");
	} else if (resume && a->can_load) {
		send_session(a, ACP_CALL_LOAD, "session/load");
	} else {
		send_session(a, ACP_CALL_NEW, "session/new");
	}
}

static void on_initialized(struct acp *a, const cJSON *result)
{
	const cJSON *caps = kt_json_get(result, "agentCapabilities");
	const char *name = kt_json_str(kt_json_get(result, "agentInfo"), "name");

	a->initialized = true;
	a->can_load = kt_json_bool(caps, "loadSession", false);
	a->can_resume = kt_json_obj(kt_json_get(caps, "sessionCapabilities"), "resume") != NULL;
	if (kt_acp_quirks(name))
		a->quirks = kt_acp_quirks(name);
	if (kt_json_get(result, "agentInfo"))
		kt_acp_system(a, "agent", "agent", kt_json_get(result, "agentInfo"));
	open_session(a);
}

static void advance_turn(struct acp *a);

static void session_open(struct acp *a, const cJSON *result, bool is_new)
{
	const char *id = is_new ? kt_json_str(result, "sessionId") : a->cfg.resume_id;

	kt_str_set(&a->session, id ? id : "");
	a->session_is_new = is_new;
	if (is_new && a->cost_before < 0)
		a->cost_before = 0;
	kt_acp_take_options(a, result);
	kt_str_set(&a->default_agent, kt_acp_current_agent(a));
	a->permission_set = false;
	if (!a->told_ready) {
		a->told_ready = true;
		a->d.sink.ready(a->d.sink.arg, a->session);
	} else {
		a->d.sink.session_id(a->d.sink.arg, a->session);
	}
	advance_turn(a);
}

/* The agent does not start: say so at each prompt, which tries again. */
static void start_failed(struct acp *a, const struct acp_error *e)
{
	KT_AUTOFREE char *message = kt_asprintf(
		"the agent did not start a session: %s", e->message);

	if (!a->told_ready) {
		a->told_ready = true;
		a->d.sink.ready(a->d.sink.arg, NULL);
	}
	end_with_error(a, strcmp(e->code, "internal_error") ? e->code : "harness_start_failed",
		e->retryable, message);
}

static void resume_failed(struct acp *a, const struct acp_error *e)
{
	a->resume_given_up = true;
	a->d.sink.resume_failed(a->d.sink.arg, e->message);
	open_session(a);
}

/* --- a turn ----------------------------------------------------------------------------------- */

static void send_choice(
	struct acp *a, enum acp_call call, const struct acp_choice *c, const char *value)
{
	struct out o;

	if (c->config_id) {
		call_begin(a, &o, call, "session/set_config_option");
		kt_jw_str(&o.w, "configId", c->config_id);
		kt_jw_str(&o.w, "value", value);
	} else {
		call_begin(a, &o, call, "session/set_mode");
		kt_jw_str(&o.w, "modeId", value);
	}
	call_end(a, &o);
}

/* Each of these returns true when a request went out (or the turn ended): wait for it. */

static bool set_model(struct acp *a)
{
	struct acp_choice c;
	struct out o;

	if (a->model_set || !a->cfg.model)
		return false;
	a->model_set = true;
	if (!kt_acp_model_choice(a, &c) || kt_str_eq(c.current, a->cfg.model))
		return false;
	if (c.config_id) {
		send_choice(a, ACP_CALL_SET_MODEL, &c, a->cfg.model);
		return true;
	}
	call_begin(a, &o, ACP_CALL_SET_MODEL, "session/set_model");
	kt_jw_str(&o.w, "modelId", a->cfg.model);
	call_end(a, &o);
	return true;
}

static void mode_not_found(struct acp *a, const char *mode)
{
	KT_AUTO_BUF struct kt_buf known = KT_BUF_INIT(1000);

	kt_acp_list_modes(a, &known);
	KT_AUTOFREE char *message = known.len
		? kt_asprintf(
			  "the harness has no permission mode '%s'; it has: %s", mode, known.ptr)
		: kt_asprintf("the harness has no permission modes to choose, so no '%s'", mode);

	end_with_error(a, "invalid_request", false, message);
}

static bool set_permission(struct acp *a)
{
	const char *mode = a->cfg.permission_mode;
	struct acp_choice c;

	if (a->permission_set || !mode)
		return false;
	if (!kt_acp_permission_choice(a, mode, &c)) {
		/* karta's word for none in particular. */
		if (!strcmp(mode, "default"))
			return false;
		mode_not_found(a, mode);
		return true;
	}
	a->permission_set = true;
	if (kt_acp_modes_are_agents(a)) {
		/* Then it is the agent of every turn: set_agent(). */
		kt_str_set(&a->default_agent, mode);
		return false;
	}
	if (kt_str_eq(c.current, mode))
		return false;
	send_choice(a, ACP_CALL_SET_PERMISSION, &c, mode);
	return true;
}

static void agent_not_found(struct acp *a, const char *name)
{
	KT_AUTOFREE char *message = kt_asprintf(
		"the harness has no agent '%s' that could lead a conversation", name);

	end_with_error(a, "agent_not_found", false, message);
}

static bool set_agent(struct acp *a)
{
	struct acp_choice c = { NULL, NULL };
	const char *want = a->agent;

	/*
	 * "default" is karta's word for no agent in particular, unless the harness has one so
	 * named.
	 */
	if (!want || (!strcmp(want, "default") && !kt_acp_agent_choice(a, want, &c)))
		want = a->default_agent;
	if (a->permission_set && kt_acp_modes_are_agents(a) && !kt_str_eq(want, a->default_agent)) {
		KT_AUTOFREE char *message = kt_asprintf(
			"the session's permission mode '%s' is an agent of this harness, so that a "
			"message cannot choose '%s'; send it without an agent",
			a->default_agent, want);

		end_with_error(a, "invalid_request", false, message);
		return true;
	}
	if (!want || kt_str_eq(want, kt_acp_current_agent(a)))
		return false;
	if (!kt_acp_agent_choice(a, want, &c)) {
		if (want == a->default_agent)
			return false;
		agent_not_found(a, want);
		return true;
	}
	kt_str_set(&a->picking, want);
	send_choice(a, ACP_CALL_SET_AGENT, &c, want);
	return true;
}

static void text_block(struct out *o, const char *text, bool for_user)
{
	kt_jw_obj(&o->w, NULL);
	kt_jw_str(&o->w, "type", "text");
	kt_jw_str(&o->w, "text", text);
	if (for_user) {
		kt_jw_obj(&o->w, "annotations");
		kt_jw_arr(&o->w, "audience");
		kt_jw_str(&o->w, NULL, "user");
		kt_jw_arr_end(&o->w);
		kt_jw_obj_end(&o->w);
	}
	kt_jw_obj_end(&o->w);
}

/*
 * Words that begin with '/' and name no command must reach the model: OpenCode throws them away,
 * Claude says that it has no such command. For OpenCode a block in front that is for the user's
 * eyes only makes it no command; for others a line break does.
 */
static void literal_slash(struct acp *a, struct out *o)
{
	KT_AUTOFREE char *text = NULL;

	if (a->quirks & ACP_SWALLOWS_SLASH) {
		text_block(o, "Message:", true);
		text_block(o, a->text, false);
		return;
	}
	text = kt_asprintf("\n%s", a->text);
	text_block(o, text, false);
}

static void send_prompt(struct acp *a)
{
	enum acp_slash slash = kt_acp_slash(a, a->text);
	struct out o;

	call_begin(a, &o, ACP_CALL_PROMPT, "session/prompt");
	kt_jw_arr(&o.w, "prompt");
	/*
	 * A command must be the only block: what else there is to say comes with the next message.
	 */
	if (slash == ACP_SLASH_COMMAND) {
		const char *alias = kt_acp_alias(a, a->text);

		text_block(&o, alias ? alias : a->text, false);
	} else {
		if (a->session_is_new && a->cfg.transcript)
			text_block(&o, a->cfg.transcript, false);
		a->session_is_new = false;
		if (a->from && *a->from) {
			KT_AUTOFREE char *from = kt_asprintf("Message from %s:", a->from);

			text_block(&o, from, false);
		}
		if (slash == ACP_SLASH_WORDS)
			literal_slash(a, &o);
		else
			text_block(&o, a->text, false);
	}
	kt_jw_arr_end(&o.w);
	a->prompted = true;
	call_end(a, &o);
	kt_acp_step(a);
}

/* The commands are told a moment after the session is open; true while they are waited for. */
static bool await_commands(struct acp *a)
{
	if (a->commands || a->commands_awaited || kt_acp_slash(a, a->text) == ACP_SLASH_NONE)
		return false;
	a->d.sink.set_timer(a->d.sink.arg, COMMANDS_MS);
	return true;
}

void kt_acp_take_commands(struct acp *a, const cJSON *list)
{
	kt_acp_keep(a, &a->commands, list);
	if (a->turn && !a->prompted)
		advance_turn(a);
}

/* Do the next thing that the open turn needs. */
static void advance_turn(struct acp *a)
{
	if (!a->turn || a->call != ACP_CALL_NONE)
		return;
	if (a->interrupted) {
		end_interrupted(a);
	} else if (!a->initialized) {
		send_initialize(a);
	} else if (!a->session) {
		open_session(a);
	} else if (!set_model(a) && !set_permission(a) && !set_agent(a) && !await_commands(a)) {
		send_prompt(a);
	}
}

static void acp_prompt(struct kt_driver *d, const struct kt_prompt *p)
{
	struct acp *a = acp_of(d);

	kt_assert(!a->turn);
	a->turn = true;
	a->thinking = p->thinking;
	a->position = p->position;
	a->steps = 0;
	a->step_over = a->got_chunk = false;
	kt_str_set(&a->message_id, NULL);
	kt_str_set(&a->agent, p->agent);
	kt_str_set(&a->from, p->participant_name);
	kt_str_set(&a->text, p->text);
	advance_turn(a);
}

/* session/prompt was answered: the turn is over. */
static void prompt_done(struct acp *a, const cJSON *result)
{
	const char *why = kt_json_str_or(result, "stopReason", "end_turn");
	struct ending e = { .stop_reason = why };

	kt_acp_answer_words(a, result);
	kt_acp_read_usage(a, result, &e.usage);
	/* OpenCode says 0 of a call that was cut off: it does not know. */
	if (e.usage.total_tokens == 0)
		e.usage = (struct kt_usage)KT_USAGE_INIT;
	if (a->interrupted) {
		e.stop_reason = "interrupted";
	} else if (!strcmp(why, "cancelled")) {
		/* codex ends the turn so when a request is denied. */
		e.stop_reason = a->denied ? "end_turn" : "interrupted";
	} else if (!strcmp(why, "max_turn_requests")) {
		e.stop_reason = "max_turns";
	} else if (!strcmp(why, "refusal")) {
		e.code = "refused";
		e.message = "the model refused to go on";
	}
	acp_end_turn(a, &e);
}

/* --- what comes in ---------------------------------------------------------------------------- */

static void call_failed(struct acp *a, enum acp_call call, const struct acp_error *e)
{
	switch (call) {
	case ACP_CALL_RESUME:
	case ACP_CALL_LOAD:
		resume_failed(a, e);
		return;
	case ACP_CALL_NONE:
	case ACP_CALL_INITIALIZE:
	case ACP_CALL_NEW:
		start_failed(a, e);
		return;
	case ACP_CALL_SET_AGENT:
		agent_not_found(a, a->picking ? a->picking : "");
		return;
	case ACP_CALL_SET_MODEL:
		a->model_set = false;
		end_with_error(a, "model_not_found", false, e->message);
		return;
	case ACP_CALL_SET_PERMISSION:
		a->permission_set = false;
		end_with_error(a, "invalid_request", false, e->message);
		return;
	case ACP_CALL_PROMPT:
		if (a->interrupted)
			end_interrupted(a);
		else
			end_with_error(a, e->code, e->retryable, e->message);
		return;
	}
}

/* set_mode is answered by {} and, by some agents, no update: remember what is current now. */
static void mode_set(struct acp *a)
{
	if (a->modes && a->picking) {
		cJSON *copy = cJSON_CreateString(a->picking);

		cJSON_DeleteItemFromObjectCaseSensitive(a->modes, "currentModeId");
		kt_assert(copy && cJSON_AddItemToObject(a->modes, "currentModeId", copy));
	}
	kt_str_set(&a->picking, NULL);
}

static void call_answered(struct acp *a, enum acp_call call, const cJSON *result)
{
	switch (call) {
	case ACP_CALL_NONE:
		return;
	case ACP_CALL_INITIALIZE:
		on_initialized(a, result);
		return;
	case ACP_CALL_NEW:
		session_open(a, result, true);
		return;
	case ACP_CALL_RESUME:
	case ACP_CALL_LOAD:
		session_open(a, result, false);
		return;
	case ACP_CALL_SET_AGENT:
		kt_acp_take_options(a, result);
		mode_set(a);
		advance_turn(a);
		return;
	case ACP_CALL_SET_MODEL:
	case ACP_CALL_SET_PERMISSION:
		kt_acp_take_options(a, result);
		advance_turn(a);
		return;
	case ACP_CALL_PROMPT:
		prompt_done(a, result);
		return;
	}
}

static void on_answer(struct acp *a, const cJSON *msg)
{
	const cJSON *error = kt_json_obj(msg, "error");
	enum acp_call call = a->call;

	if (call == ACP_CALL_NONE || kt_json_int(msg, "id", -1) != a->call_id)
		return;
	a->call = ACP_CALL_NONE;
	if (error) {
		struct acp_error e;

		kt_acp_error(error, &e);
		call_failed(a, call, &e);
		free(e.message);
		return;
	}
	call_answered(a, call, kt_json_get(msg, "result"));
}

static void on_update(struct acp *a, const cJSON *params)
{
	/*
	 * One process may hold other sessions (a fork): they are not ours. The replay is not news.
	 */
	if (a->call == ACP_CALL_LOAD ||
		(a->session && !kt_str_eq(kt_json_str(params, "sessionId"), a->session)))
		return;
	kt_acp_update(a, kt_json_get(params, "update"));
}

static void acp_line(struct kt_driver *d, char *line, size_t len)
{
	struct acp *a = acp_of(d);
	bool refused;
	KT_AUTO_JSON cJSON *msg = kt_parse_line(d, line, len, &refused);

	if (!msg) {
		/* Some agents print words of their own on stdout; a message that broke is told. */
		if (!refused && line[strspn(line, " \t")] == '{' && a->malformed++ == 0)
			kt_emit_malformed(&a->d, len);
		return;
	}
	const char *method = kt_json_str(msg, "method");
	const cJSON *id = kt_json_get(msg, "id");
	const cJSON *params = kt_json_get(msg, "params");

	if (!method) {
		on_answer(a, msg);
	} else if (!id) {
		if (!strcmp(method, "session/update"))
			on_update(a, params);
	} else if (!strcmp(method, "session/request_permission")) {
		kt_acp_permission(a, id, params);
	} else {
		acp_refuse_request(a, id);
	}
}

/* --- the other operations --------------------------------------------------------------------- */

static struct kt_driver *acp_open(
	const struct kt_driver_config *cfg, const struct kt_driver_sink *sink)
{
	struct acp *a = kt_calloc(1, sizeof(*a));
	const char *slash = cfg->program ? strrchr(cfg->program, '/') : NULL;

	a->d.ops = &kt_driver_acp;
	a->d.sink = *sink;
	a->cfg = *cfg;
	a->quirks = kt_acp_quirks(slash ? slash + 1 : cfg->program);
	if (!a->quirks && cfg->app && cfg->app->harness_command) {
		for (char *const *w = cfg->app->harness_command; *w && !a->quirks; w++)
			a->quirks = kt_acp_quirks(*w);
	}
	kt_rand_id("ask_", a->nonce);
	a->cost_before = a->cost_now = -1;
	/* More of it than an event may have is nothing that anybody reads. */
	kt_buf_init(&a->blank, KT_MAX_EVENT_BYTES);
	return &a->d;
}

static void acp_start(struct kt_driver *d)
{
	send_initialize(acp_of(d));
}

static void acp_answer(struct kt_driver *d, const char *ask_id, enum kt_decision decision,
	const char *answers, const char *note)
{
	struct acp *a = acp_of(d);
	bool deny = decision == KT_DENY;

	for (size_t i = 0; i < a->asks.len; i++) {
		struct acp_ask *ask = a->asks.items[i];

		if (strcmp(ask->id, ask_id) != 0)
			continue;
		(void)kt_vec_remove(&a->asks, i);
		for (size_t k = 0; deny && k < a->tools.len; k++) {
			struct acp_tool *t = a->tools.items[k];

			if (!strcmp(t->id, ask->tool_use_id))
				t->denied = true;
		}
		a->denied = a->denied || deny;
		kt_acp_answer_permission(a, ask->raw_id, deny ? ask->reject : ask->allow);
		kt_acp_ask_free(ask);
		return;
	}
}

static void acp_interrupt(struct kt_driver *d)
{
	struct acp *a = acp_of(d);
	struct out o;

	if (!a->turn || a->interrupted)
		return;
	a->interrupted = true;
	if (!a->prompted)
		return; /* the answer that is waited for ends the turn */
	out_begin(&o);
	kt_jw_str(&o.w, "method", "session/cancel");
	kt_jw_obj(&o.w, "params");
	kt_jw_str(&o.w, "sessionId", a->session);
	kt_jw_obj_end(&o.w);
	out_end(a, &o);
	withdraw_asks(a, true);
}

static void acp_gone(struct kt_driver *d, int exit_code, int term_signal, const char *stderr_tail)
{
	struct acp *a = acp_of(d);
	const char *tail = stderr_tail ? stderr_tail : "";
	KT_AUTOFREE char *message = term_signal
		? kt_asprintf("the agent was ended by signal %d%s%s", term_signal,
			  *tail ? ": " : "", tail)
		: kt_asprintf(
			  "the agent exited with code %d%s%s", exit_code, *tail ? ": " : "", tail);

	a->gone = true;
	a->call = ACP_CALL_NONE;
	end_with_error(a, "harness_crashed", true, message);
}

static bool acp_err_line(struct kt_driver *d, const char *line)
{
	return kt_acp_log_line(acp_of(d), line);
}

/* The agent tells no commands; or not what a call that it asks for is. */
static void acp_timer(struct kt_driver *d)
{
	struct acp *a = acp_of(d);

	if (a->prompted) {
		kt_acp_raise_held(a, NULL);
		return;
	}
	a->commands_awaited = true;
	if (a->turn)
		advance_turn(a);
}

static bool acp_exits_on_eof(const struct kt_driver *d)
{
	const struct acp *a = (const struct acp *)(const void *)d;

	return !(a->quirks & ACP_NO_EXIT_ON_EOF);
}

static void acp_close(struct kt_driver *d)
{
	struct acp *a = acp_of(d);

	kt_emit_release(d);
	while (a->asks.len > 0)
		kt_acp_ask_free(kt_vec_remove(&a->asks, 0));
	kt_vec_release(&a->asks);
	kt_acp_forget_tools(a);
	cJSON_Delete(a->config);
	cJSON_Delete(a->modes);
	cJSON_Delete(a->models);
	cJSON_Delete(a->commands);
	free(a->session);
	free(a->default_agent);
	free(a->text);
	free(a->from);
	free(a->agent);
	free(a->picking);
	free(a->message_id);
	free(a->thought_id);
	kt_acp_forget_parts(a);
	free(a->call_message);
	kt_buf_release(&a->blank);
	free(a);
}

const struct kt_driver_ops kt_driver_acp = {
	.name = "acp",
	.has_process = true,
	.resumes = true,
	.renews = true,
	.permission_modes = kt_acp_known_modes,
	.command = kt_acp_command,
	.first_start_file = kt_acp_first_start_file,
	.passing_failure = kt_acp_passing_failure,
	.open = acp_open,
	.start = acp_start,
	.line = acp_line,
	.err_line = acp_err_line,
	.prompt = acp_prompt,
	.answer = acp_answer,
	.interrupt = acp_interrupt,
	.gone = acp_gone,
	.timer = acp_timer,
	.exits_on_eof = acp_exits_on_eof,
	.close = acp_close,
};
