/* SPDX-License-Identifier: MIT */
/*
 * Driver for Claude Code: "claude -p" with stream-json both ways and the control protocol for
 * permissions, interrupts, agents and thinking. One process is one conversation; a line that is
 * not understood is ignored, because the format grows with every release.
 */
#include "harness/claude_private.h"

#include "base/limits.h"
#include "base/str.h"

#include <inttypes.h>
#include <string.h>

enum {
	/* An interrupt that overtook our own message does nothing: ask again. */
	INTERRUPT_AGAIN_MS = 1000,
	/* A background turn ended first; our message was perhaps taken into it. */
	FOREIGN_RESULT_MS = 3000,
};

static struct kt_claude *claude_of(struct kt_driver *d)
{
	return kt_container_of(d, struct kt_claude, d);
}

/* --- lines to the harness ---------------------------------------------------------------- */

static void send_claude_line(struct kt_claude *c, struct kt_buf *b)
{
	kt_buf_addc(b, '\n');
	if (kt_buf_ok(b))
		c->d.sink.send(c->d.sink.arg, b->ptr, b->len);
}

void kt_claude_reply_begin(struct kt_jw *w, struct kt_buf *b, const char *id)
{
	kt_jw_init(w, b);
	kt_jw_obj(w, NULL);
	kt_jw_str(w, "type", "control_response");
	kt_jw_obj(w, "response");
	kt_jw_str(w, "subtype", "success");
	kt_jw_str(w, "request_id", id);
	kt_jw_obj(w, "response");
}

void kt_claude_reply_end(struct kt_claude *c, struct kt_jw *w)
{
	kt_jw_obj_end(w);
	kt_jw_obj_end(w);
	kt_jw_obj_end(w);
	send_claude_line(c, w->b);
}

/* Begin a control request; its id is written to id. End with request_end(). */
static void request_begin(struct kt_claude *c, struct kt_jw *w, struct kt_buf *b,
	const char *subtype, char *id, size_t id_size)
{
	KT_AUTOFREE char *fresh = kt_asprintf("karta-%" PRIu64, ++c->next_request);

	kt_str_copy(id, id_size, fresh);
	kt_jw_init(w, b);
	kt_jw_obj(w, NULL);
	kt_jw_str(w, "type", "control_request");
	kt_jw_str(w, "request_id", id);
	kt_jw_obj(w, "request");
	kt_jw_str(w, "subtype", subtype);
}

static void request_end(struct kt_claude *c, struct kt_jw *w)
{
	kt_jw_obj_end(w);
	kt_jw_obj_end(w);
	send_claude_line(c, w->b);
}

void kt_claude_send_interrupt(struct kt_claude *c)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	struct kt_jw w;
	char id[24];

	request_begin(c, &w, &b, "interrupt", id, sizeof(id));
	request_end(c, &w);
	c->d.sink.set_timer(c->d.sink.arg, INTERRUPT_AGAIN_MS);
}

static void send_agent(struct kt_claude *c, const char *agent)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	struct kt_jw w;

	request_begin(c, &w, &b, "apply_flag_settings", c->agent_id, sizeof(c->agent_id));
	kt_jw_obj(&w, "settings");
	kt_jw_str(&w, "agent", agent);
	kt_jw_obj_end(&w);
	request_end(c, &w);
	free(c->wanted_agent);
	c->wanted_agent = kt_strdup_opt(agent);
}

/* Off only when the sender says so; else as the harness does, or with the budget that is set. */
static void send_thinking(struct kt_claude *c, bool off)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	int64_t budget = c->cfg->thinking_budget_tokens;
	int64_t wanted = off ? 0 : budget > 0 ? budget : CLAUDE_THINKING_DEFAULT;
	struct kt_jw w;
	char id[24];

	if (wanted == c->thinking_sent)
		return;
	c->thinking_sent = wanted;
	request_begin(c, &w, &b, "set_max_thinking_tokens", id, sizeof(id));
	if (wanted == CLAUDE_THINKING_DEFAULT)
		kt_jw_null(&w, "max_thinking_tokens");
	else
		kt_jw_int(&w, "max_thinking_tokens", wanted);
	request_end(c, &w);
}

/* True when text is a command that this harness knows ("/compact now"). */
static bool is_command(const struct kt_claude *c, const char *text)
{
	char name[128];
	size_t n = strcspn(text + 1, " \t\n");

	if (n == 0 || n >= sizeof(name))
		return false;
	memcpy(name, text + 1, n);
	name[n] = '\0';
	return kt_map_get(&c->commands, name) != NULL;
}

static void write_text_block(struct kt_jw *w, const char *text)
{
	kt_jw_obj(w, NULL);
	kt_jw_str(w, "type", "text");
	kt_jw_str(w, "text", text);
	kt_jw_obj_end(w);
}

/* The user line for a prompt, without LF; the caller's to free. */
static char *user_line(struct kt_claude *c, const struct kt_prompt *p)
{
	/* Escaping makes a byte six at most. */
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(6 * KT_MAX_TEXT_BYTES + KT_MAX_EVENT_BYTES);
	bool command = p->text[0] == '/' && is_command(c, p->text);
	KT_AUTOFREE char *escaped = NULL;
	const char *text = p->text;
	struct kt_jw w;

	/* A leading slash would make it a command ("Unknown command: /etc/hosts"). */
	if (text[0] == '/' && !command)
		text = escaped = kt_asprintf("\n%s", text);
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "type", "user");
	kt_jw_obj(&w, "message");
	kt_jw_str(&w, "role", "user");
	kt_jw_arr(&w, "content");
	/* A conversation that could not be resumed goes on with what is known of it. */
	if (!c->cfg->resume_id && c->cfg->transcript && !c->past_told && !command) {
		c->past_told = true;
		write_text_block(&w, c->cfg->transcript);
	}
	if (p->participant_name && !command) {
		KT_AUTOFREE char *from = kt_asprintf("Message from %s:", p->participant_name);

		write_text_block(&w, from);
	}
	write_text_block(&w, text);
	kt_jw_arr_end(&w);
	kt_jw_obj_end(&w);
	kt_jw_null(&w, "parent_tool_use_id");
	kt_jw_obj_end(&w);
	return kt_buf_ok(&b) ? kt_buf_take(&b) : NULL;
}

static void send_user(struct kt_claude *c, const char *line)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(strlen(line) + 1);

	kt_buf_adds(&b, line);
	send_claude_line(c, &b);
}

/* --- turns ------------------------------------------------------------------------------- */

static void turn_reset(struct kt_claude *c)
{
	kt_claude_turn_clear(c);
	kt_claude_hooks_clear(c);
	c->interrupted = false;
	c->foreign_result = false;
	c->error_kind[0] = '\0';
	free(c->error_text);
	c->error_text = NULL;
	free(c->auth_failure);
	c->auth_failure = NULL;
	free(c->held_line);
	c->held_line = NULL;
}

/* End the running turn. r's text is filled in here. */
static void turn_finish(struct kt_claude *c, struct kt_turn_result *r, bool alive)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_LINE_BYTES);
	KT_AUTOFREE char *message = kt_strdup_opt(r->error_message);

	kt_claude_close_tools(c, "cancelled");
	kt_claude_step_end(c);
	kt_claude_withdraw_asks(c, alive);
	kt_claude_turn_text(c, &text);
	c->d.sink.set_timer(c->d.sink.arg, -1);
	c->state = alive ? CLAUDE_READY : CLAUDE_DEAD;
	turn_reset(c);
	r->text = text.ptr;
	r->error_message = message;
	kt_emit_turn_end(&c->d, r);
}

void kt_claude_turn_seen(struct kt_claude *c)
{
	if (c->state != CLAUDE_READY)
		return;
	turn_reset(c);
	c->state = CLAUDE_TURN;
	c->unsolicited = true;
	c->thinking = false;
	c->d.sink.unsolicited(c->d.sink.arg);
}

static void claude_prompt(struct kt_driver *d, const struct kt_prompt *p)
{
	struct kt_claude *c = claude_of(d);
	/* Our own word for "no named agent". */
	const char *agent = kt_str_eq(p->agent, "default") ? NULL : p->agent;

	if (c->state != CLAUDE_READY)
		return;
	turn_reset(c);
	c->state = CLAUDE_TURN;
	c->unsolicited = false;
	c->thinking = p->thinking;
	KT_AUTOFREE char *line = user_line(c, p);

	if (!line) {
		struct kt_turn_result r = { .stop_reason = "error",
			.error_code = "invalid_request",
			.error_message =
				"the message is longer than a line to the harness may be (fixed)",
			.usage = KT_USAGE_INIT };

		turn_finish(c, &r, true);
		return;
	}
	send_thinking(c, p->no_thinking);
	if (!c->agent_id[0] && kt_str_eq(agent, c->agent)) {
		send_user(c, line);
		return;
	}
	c->held_line = KT_STEAL(line);
	send_agent(c, agent);
}

static void agent_answered(struct kt_claude *c, const cJSON *response, bool ok)
{
	KT_AUTOFREE char *held = KT_STEAL(c->held_line);

	c->agent_id[0] = '\0';
	if (ok) {
		free(c->agent);
		c->agent = KT_STEAL(c->wanted_agent);
		if (held)
			send_user(c, held);
		return;
	}
	if (!held)
		return;
	KT_AUTOFREE char *message = kt_asprintf(
		"%s", kt_json_str_or(response, "error", "the harness does not know this agent"));
	struct kt_turn_result r = { .stop_reason = "error",
		.error_code = "agent_not_found",
		.error_message = message,
		.usage = KT_USAGE_INIT };

	turn_finish(c, &r, true);
}

static void claude_answer(struct kt_driver *d, const char *ask_id, enum kt_decision decision,
	const char *answers, const char *note)
{
	kt_claude_answer(claude_of(d), ask_id, decision, answers, note);
}

static void claude_interrupt(struct kt_driver *d)
{
	struct kt_claude *c = claude_of(d);
	struct kt_turn_result r = { .stop_reason = "interrupted", .usage = KT_USAGE_INIT };

	if (c->state != CLAUDE_TURN)
		return;
	/* Not sent yet: there is nothing to stop in the harness. */
	if (c->held_line) {
		turn_finish(c, &r, true);
		return;
	}
	c->interrupted = true;
	kt_claude_send_interrupt(c);
}

/* --- the result line --------------------------------------------------------------------- */

static void claude_resume_failed(struct kt_claude *c, const char *why)
{
	if (c->resume_failed_told)
		return;
	c->resume_failed_told = true;
	c->state = CLAUDE_DEAD;
	turn_reset(c);
	c->d.sink.resume_failed(c->d.sink.arg, why);
}

static bool is_resume_failure(const struct kt_claude *c, const char *text)
{
	return c->cfg->resume_id && text && strstr(text, "No conversation found");
}

static void result_line(struct kt_claude *c, const cJSON *line)
{
	struct kt_turn_result r = { .stop_reason = "end_turn", .usage = KT_USAGE_INIT };
	const char *origin = kt_json_str(kt_json_obj(line, "origin"), "kind");

	if (is_resume_failure(c, kt_claude_first_error(line))) {
		claude_resume_failed(c, kt_claude_first_error(line));
		return;
	}
	/* The end of a background turn that came between: our own is still to come. */
	if (c->state == CLAUDE_TURN && !c->unsolicited && !c->interrupted &&
		kt_str_eq(origin, "task-notification")) {
		c->foreign_result = true;
		c->d.sink.set_timer(c->d.sink.arg, FOREIGN_RESULT_MS);
		return;
	}
	if (c->state != CLAUDE_TURN)
		return;
	kt_claude_take_usage(c, line, &r.usage);
	kt_claude_name_result(c, line, &r);
	if (!r.error_code && strcmp(r.stop_reason, "interrupted") != 0)
		kt_claude_result_text(c, line);
	turn_finish(c, &r, true);
}

static void claude_timer(struct kt_driver *d)
{
	struct kt_claude *c = claude_of(d);
	struct kt_turn_result r = { .stop_reason = "end_turn", .usage = KT_USAGE_INIT };

	if (c->state != CLAUDE_TURN)
		return;
	if (c->interrupted || c->auth_failure)
		kt_claude_send_interrupt(c);
	else if (c->foreign_result)
		turn_finish(c, &r, true);
}

/* --- control lines ----------------------------------------------------------------------- */

void kt_claude_take_commands(struct kt_claude *c, const cJSON *commands)
{
	const cJSON *command, *alias;

	if (!commands)
		return;
	kt_map_release(&c->commands);
	c->d.kept += kt_json_memory(commands) - c->commands_bytes;
	c->commands_bytes = kt_json_memory(commands);
	cJSON_ArrayForEach (command, commands) {
		const char *name = cJSON_IsString(command) ? command->valuestring
							   : kt_json_str(command, "name");

		if (name)
			kt_map_set(&c->commands, name, c);
		cJSON_ArrayForEach (alias, kt_json_arr(command, "aliases")) {
			if (cJSON_IsString(alias))
				kt_map_set(&c->commands, alias->valuestring, c);
		}
	}
}

static void became_ready(struct kt_claude *c, const cJSON *answer)
{
	kt_claude_take_commands(c, kt_json_arr(answer, "commands"));
	c->initialize_id[0] = '\0';
	c->state = CLAUDE_READY;
	c->d.sink.ready(c->d.sink.arg, c->session);
}

static void control_response(struct kt_claude *c, const cJSON *line)
{
	const cJSON *response = kt_json_obj(line, "response");
	const char *id = kt_json_str_or(response, "request_id", "");
	bool ok = kt_str_eq(kt_json_str(response, "subtype"), "success");

	if (!*id)
		return;
	/* A refused initialize (a release without it) still is a harness that answers. */
	if (!strcmp(id, c->initialize_id) && c->state == CLAUDE_STARTING)
		became_ready(c, kt_json_obj(response, "response"));
	else if (!strcmp(id, c->agent_id))
		agent_answered(c, response, ok);
}

/* A request that we never asked for must be answered, or the harness waits for ever. */
static void claude_refuse_request(struct kt_claude *c, const char *id, const char *subtype)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	KT_AUTOFREE char *text = kt_asprintf("unsupported request: %s", subtype);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "type", "control_response");
	kt_jw_obj(&w, "response");
	kt_jw_str(&w, "subtype", "error");
	kt_jw_str(&w, "request_id", id);
	kt_jw_str(&w, "error", text);
	kt_jw_obj_end(&w);
	kt_jw_obj_end(&w);
	send_claude_line(c, &b);
}

static void control_request(struct kt_claude *c, const cJSON *line)
{
	const cJSON *request = kt_json_obj(line, "request");
	const char *id = kt_json_str(line, "request_id");
	const char *subtype = kt_json_str_or(request, "subtype", "");

	if (!id)
		return;
	if (!strcmp(subtype, "can_use_tool"))
		kt_claude_can_use_tool(c, id, request);
	else if (!strcmp(subtype, "elicitation"))
		kt_claude_elicitation(c, id, request);
	else if (!strcmp(subtype, "hook_callback"))
		kt_claude_place(c, id, request);
	else
		claude_refuse_request(c, id, subtype);
}

static void control_cancel(struct kt_claude *c, const cJSON *line)
{
	struct claude_ask *a = kt_claude_ask(c, kt_json_str(line, "request_id"));

	if (!a)
		return;
	c->d.sink.ask_withdrawn(c->d.sink.arg, a->id);
	kt_claude_ask_remove(c, a);
}

static void rate_limit_line(struct kt_claude *c, const cJSON *line)
{
	static const char *const names[] = { "status", "resetsAt", "rateLimitType", "utilization",
		NULL };

	kt_claude_tell(c, "rate_limit", kt_json_obj(line, "rate_limit_info"), names);
}

static void malformed_line(struct kt_claude *c, size_t len)
{
	/* One event tells it; a harness that prints garbage must not fill the log with it. */
	if (c->malformed++ == 0)
		kt_emit_malformed(&c->d, len);
}

static void claude_line(struct kt_driver *d, char *text, size_t len)
{
	static const struct {
		const char *type;
		void (*fn)(struct kt_claude *c, const cJSON *line);
	} types[] = {
		{ "stream_event", kt_claude_stream_event },
		{ "assistant", kt_claude_assistant },
		{ "user", kt_claude_user },
		{ "system", kt_claude_system },
		{ "result", result_line },
		{ "control_request", control_request },
		{ "control_response", control_response },
		{ "control_cancel_request", control_cancel },
		{ "rate_limit_event", rate_limit_line },
	};
	struct kt_claude *c = claude_of(d);
	bool refused;

	if (c->state == CLAUDE_DEAD || len == 0)
		return;
	KT_AUTO_JSON cJSON *line = kt_parse_line(d, text, len, &refused);

	if (!line) {
		if (!refused)
			malformed_line(c, len);
		return;
	}
	const char *type = kt_json_str_or(line, "type", "");

	for (size_t i = 0; i < KT_ARRAY_LEN(types); i++) {
		if (!strcmp(type, types[i].type)) {
			types[i].fn(c, line);
			return;
		}
	}
}

/* --- life -------------------------------------------------------------------------------- */

static void push_arg(struct kt_arena *arena, struct kt_vec *v, const char *a, const char *b)
{
	kt_vec_push(v, kt_arena_strdup(arena, a));
	if (b)
		kt_vec_push(v, kt_arena_strdup(arena, b));
}

static void claude_command(const struct kt_driver_config *cfg, struct kt_arena *arena,
	struct kt_vec *argv, struct kt_vec *env)
{
	static const char *const settings[] = {
		"CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1",
		"DISABLE_TELEMETRY=1",
		"DISABLE_AUTOUPDATER=1",
		"CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS=1",
	};

	push_arg(arena, argv, cfg->program, "-p");
	push_arg(arena, argv, "--input-format", "stream-json");
	push_arg(arena, argv, "--output-format", "stream-json");
	push_arg(arena, argv, "--verbose", "--include-partial-messages");
	push_arg(arena, argv, "--permission-prompt-tool", "stdio");
	/* Else a hook's reason to stop a turn would never be told. */
	push_arg(arena, argv, "--include-hook-events", NULL);
	if (cfg->resume_id)
		push_arg(arena, argv, "--resume", cfg->resume_id);
	else if (cfg->new_id)
		push_arg(arena, argv, "--session-id", cfg->new_id);
	if (cfg->model)
		push_arg(arena, argv, "--model", cfg->model);
	if (cfg->permission_mode)
		push_arg(arena, argv, "--permission-mode", cfg->permission_mode);
	if (cfg->settings)
		push_arg(arena, argv, "--settings", cfg->settings);
	for (size_t i = 0; i < KT_ARRAY_LEN(settings); i++)
		push_arg(arena, env, settings[i], NULL);
	/*
	 * CLAUDE_CODE_SUBPROCESS_ENV_SCRUB is deliberately not among them: it hides credentials
	 * from tool commands, but needs bubblewrap and socat, and without them every command fails
	 * ("Sandbox is required but failed to initialize", 2.1.197).
	 */
}

static const char *const *claude_modes(const struct kt_app *app)
{
	/* The choices of --permission-mode (2.1.197). */
	static const char *const modes[] = { "default", "plan", "acceptEdits", "dontAsk", "auto",
		"bypassPermissions", NULL };

	return modes;
}

static struct kt_driver *claude_open(
	const struct kt_driver_config *cfg, const struct kt_driver_sink *sink)
{
	struct kt_claude *c = kt_calloc(1, sizeof(*c));
	const char *session = cfg->resume_id ? cfg->resume_id : cfg->new_id;

	c->d.ops = &kt_driver_claude;
	c->d.sink = *sink;
	c->cfg = cfg;
	c->state = CLAUDE_NEW;
	c->thinking_sent = CLAUDE_THINKING_DEFAULT;
	c->session = kt_strdup_opt(session);
	return &c->d;
}

static void claude_start(struct kt_driver *d)
{
	struct kt_claude *c = claude_of(d);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	struct kt_jw w;

	c->state = CLAUDE_STARTING;
	request_begin(c, &w, &b, "initialize", c->initialize_id, sizeof(c->initialize_id));
	kt_jw_bool(&w, "forwardSubagentText", true);
	kt_claude_place_hooks(&w);
	request_end(c, &w);
}

static const char *last_line(const char *text)
{
	const char *lf = strrchr(text, '\n');

	return lf ? lf + 1 : text;
}

static void claude_gone(
	struct kt_driver *d, int exit_code, int term_signal, const char *stderr_tail)
{
	struct kt_claude *c = claude_of(d);
	KT_AUTOFREE char *message = NULL;
	const char *last = last_line(stderr_tail);

	if (c->state == CLAUDE_DEAD)
		return;
	if (is_resume_failure(c, stderr_tail)) {
		claude_resume_failed(c, last);
		return;
	}
	if (c->state != CLAUDE_TURN) {
		c->state = CLAUDE_DEAD;
		return;
	}
	message = kt_asprintf("Claude Code ended in the middle of the turn (%s %d)%s%.300s",
		term_signal ? "signal" : "exit status", term_signal ? term_signal : exit_code,
		*last ? ": " : "", last);
	struct kt_turn_result r = { .stop_reason = "error",
		.error_code = "harness_crashed",
		.error_message = message,
		.retryable = true,
		.usage = KT_USAGE_INIT };

	if (c->auth_failure) {
		r.error_code = "auth_failed";
		r.error_message = c->auth_failure;
		r.retryable = false;
	}
	turn_finish(c, &r, false);
}

static bool claude_exits_on_eof(const struct kt_driver *d)
{
	return true;
}

static void claude_close(struct kt_driver *d)
{
	struct kt_claude *c = claude_of(d);

	kt_emit_release(d);
	turn_reset(c);
	while (c->asks.len)
		kt_claude_ask_remove(c, c->asks.items[0]);
	kt_vec_release(&c->asks);
	kt_claude_forget_tools(c);
	kt_claude_places_clear(c);
	kt_claude_forget_tasks(c);
	kt_map_release(&c->commands);
	free(c->session);
	free(c->agent);
	free(c->wanted_agent);
	free(c);
}

const struct kt_driver_ops kt_driver_claude = {
	.name = "claude-code",
	.has_process = true,
	.resumes = true,
	.permission_modes = claude_modes,
	.grants = kt_claude_grants,
	.trusts = kt_claude_trusts,
	.prepare = kt_claude_prepare,
	.command = claude_command,
	.open = claude_open,
	.start = claude_start,
	.line = claude_line,
	.prompt = claude_prompt,
	.answer = claude_answer,
	.interrupt = claude_interrupt,
	.gone = claude_gone,
	.timer = claude_timer,
	.exits_on_eof = claude_exits_on_eof,
	.close = claude_close,
};
