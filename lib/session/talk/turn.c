/* SPDX-License-Identifier: MIT */
/*
 * Turns: sending, queueing, ending. A message is an event in the log before anything runs, so that
 * every reader sees the same conversation whoever wrote it.
 */
#include "session/talk/talk_private.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "text/json.h"

#include <string.h>

#define TITLE_BYTES 80

bool kt_on_busy_parse(const char *s, enum kt_on_busy *out)
{
	static const char *const names[] = { "enqueue", "reject", "interrupt" };

	for (size_t i = 0; i < KT_ARRAY_LEN(names); i++) {
		if (!kt_str_eq(s, names[i]))
			continue;
		*out = (enum kt_on_busy)i;
		return true;
	}
	return false;
}

void kt_turn_free(struct kt_turn *t)
{
	if (!t)
		return;
	free(t->text);
	free(t->agent);
	free(t->agent_before);
	free(t->participant_name);
	free(t->participant_type);
	free(t->from_who);
	free(t->from_address);
	free(t);
}

/* The harness that answers in a session, NULL while that is not known. */
static const char *harness_of(struct kt_session *s)
{
	const struct kt_app_ref *ref = s->app ? s->app : kt_app_ref_of(s);

	return ref && ref->app ? ref->app->harness_name : NULL;
}

/* The user's message as a status event: "queued" or "turn_started". */
static void emit_message(
	struct kt_session *s, const struct kt_turn *t, const char *state, size_t position)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "state", state);
	if (position)
		kt_jw_int(&w, "position", (int64_t)position);
	kt_jw_str(&w, "agent", t->agent ? t->agent : s->current_agent);
	if (!position && harness_of(s))
		kt_jw_str(&w, "harness", harness_of(s));
	kt_jw_obj(&w, "message");
	kt_jw_str(&w, "id", t->message_id);
	kt_jw_str(&w, "role", "user");
	kt_jw_str(&w, "text", t->text);
	kt_jw_str(&w, "participant_name", t->participant_name);
	kt_jw_str(&w, "participant_type", t->participant_type);
	kt_jw_obj_end(&w);
	kt_jw_obj_end(&w);
	kt_session_emit(s, KT_EV_STATUS, t, &b);
}

static void add_participant(struct kt_session *s, const char *name, const char *type)
{
	struct kt_participant *p;

	if (!name || s->participants.len >= KT_MAX_PARTICIPANTS)
		return;
	for (size_t i = 0; i < s->participants.len; i++) {
		p = s->participants.items[i];
		if (kt_str_eq(p->name, name))
			return;
	}
	p = kt_calloc(1, sizeof(*p));
	p->name = kt_strdup(name);
	p->type = kt_strdup(type ? type : "human");
	kt_vec_push(&s->participants, p);
}

static char *one_line(const char *text, size_t len)
{
	char *line = kt_strndup(text, len);

	for (char *p = line; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	}
	return line;
}

static void set_title(struct kt_session *s, const char *text)
{
	char title[TITLE_BYTES + 1];

	if (s->title)
		return;
	kt_str_copy(title, sizeof(title), text);
	s->title = one_line(title, strlen(title));
}

enum kt_code kt_session_rename(struct kt_session *s, const char *title, struct kt_err *err)
{
	KT_AUTOFREE char *line = one_line(title, strlen(title));
	const char *from = line + strspn(line, " ");
	size_t len = strlen(from);

	while (len && from[len - 1] == ' ')
		len--;
	if (!len)
		return kt_fail(err, KT_EINVAL, 0, "'title' is empty");
	if (len > KT_MAX_TITLE_BYTES)
		return kt_fail(err, KT_EINVAL, 0, "'title' is longer than %d bytes (fixed)",
			KT_MAX_TITLE_BYTES);
	free(s->title);
	s->title = kt_strndup(from, len);
	kt_journal_session(s->reg, s);
	return KT_OK;
}

/* The session is another agent's from here on; the log says so. */
static void hand_to(struct kt_session *s, struct kt_turn *t, const char *agent)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);
	KT_AUTOFREE char *before = NULL;
	struct kt_jw w;

	if (kt_str_eq(agent, s->current_agent))
		return;
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "state", "handoff");
	kt_jw_str(&w, "from", s->current_agent);
	kt_jw_str(&w, "to", agent);
	kt_jw_obj_end(&w);
	kt_session_emit(s, KT_EV_STATUS, t, &b);
	before = s->current_agent;
	s->current_agent = kt_strdup(agent);
	if (!t->agent_before)
		t->agent_before = KT_STEAL(before);
}

/*
 * The harness does not have the agent: the session goes back to the one before, or else to the
 * application's own, so that the next message is answered.
 */
static void hand_back(struct kt_session *s, struct kt_turn *t)
{
	KT_AUTOFREE char *before = KT_STEAL(t->agent_before);
	const char *dflt = s->app ? s->app->app->default_agent : "default";

	if (!before)
		before = kt_strdup(kt_str_eq(s->current_agent, dflt) ? "default" : dflt);
	hand_to(s, t, before);
}

void kt_session_fail_turn(struct kt_session *s, const char *code, const char *message)
{
	const struct kt_turn_result r = {
		.stop_reason = "error",
		.error_code = code,
		.error_message = message,
		.text = "",
		.usage = KT_USAGE_INIT,
	};

	kt_session_turn_ended(s, &r);
}

/*
 * The agent of a message is looked up when it is sent, but for a release that was not open then.
 * False: the turn was ended.
 */
static bool knows_agent(struct kt_session *s, const struct kt_app *app)
{
	char text[KT_MAX_NAME_BYTES + 64];

	if (!s->turn->agent || kt_str_eq(s->turn->agent, "default") ||
		kt_app_agent(app, s->turn->agent))
		return true;
	snprintf(text, sizeof(text), "there is no agent '%.*s' in this release", KT_MAX_NAME_BYTES,
		s->turn->agent);
	kt_session_fail_turn(s, "agent_not_found", text);
	return false;
}

/* Give the turn to the session's harness. */
static void run_turn(struct kt_session *s)
{
	struct kt_turn *t = s->turn;
	struct kt_err err = KT_ERR_INIT;
	struct kt_prompt p = { 0 };

	t->held = false;
	if (!kt_session_is_ready(s)) {
		if (s->turn == t)
			kt_journal_session(s->reg, s);
		return;
	}
	if (s->pin && !knows_agent(s, s->app ? s->app->app : kt_app_ref_of(s)->app))
		return;
	if (kt_session_need_harness(s, &err) != KT_OK) {
		kt_session_fail_turn(s,
			err.code == KT_ENOTFOUND ? "harness_not_installed" : "harness_start_failed",
			err.msg);
		return;
	}
	p.text = t->text;
	/* "default" is the harness itself, without one of its agents. */
	p.agent = kt_app_agent(s->app->app, s->current_agent) ? s->current_agent : NULL;
	p.thinking = t->thinking;
	p.no_thinking = t->no_thinking;
	p.participant_name = t->participant_name;
	p.position = s->turns + 1;
	s->prompted = true;
	kt_journal_session(s->reg, s);
	kt_harness_prompt(s->harness, &p);
}

static void start_session_turn(struct kt_session *s, struct kt_turn *t)
{
	s->turn = t;
	s->noise = 0;
	t->state = KT_TURN_STARTING;
	t->started_us = kt_time_us();
	if (s->idle)
		kt_timer_stop(s->idle);
	emit_message(s, t, "turn_started", 0);
	if (t->agent)
		hand_to(s, t, t->agent);
	kt_session_tell(s, "info", "turn", "%s started, agent %s", t->id, s->current_agent);
	s->forgotten = false;
	s->updated_us = t->started_us;
	if (!s->stopping) {
		run_turn(s);
		return;
	}
	/* One process a session: the next one begins when the last one is gone. */
	t->held = true;
	kt_journal_session(s->reg, s);
}

/* Start the turn that waits; runs at the end of the tick, never inside a harness's callback. */
void kt_session_pump(void *arg)
{
	struct kt_session *s = arg;

	if (s->turn && s->turn->held && !s->harness)
		run_turn(s);
	else if (!s->turn && s->queue.len)
		start_session_turn(s, kt_vec_remove(&s->queue, 0));
}

/* Whom a message may be for: "default" and the agents that the harness lets answer. */
static enum kt_code check_agent(const struct kt_app *app, const char *name, struct kt_err *err)
{
	const struct kt_agent *agent = kt_app_agent(app, name);

	if (agent ? agent->answers : kt_str_eq(name, "default"))
		return KT_OK;
	if (agent)
		return kt_fail(err, KT_EINVAL, 0,
			"the agent '%s' is one that only other agents call: %s lets no message be "
			"for it",
			name, kt_harness_name(app->harness));
	return kt_fail(err, KT_EINVAL, 0, "there is no agent '%s' in this application", name);
}

static enum kt_code check_message(
	struct kt_session *s, const struct kt_message *m, struct kt_err *err)
{
	const struct kt_app *app;

	if (kt_sessions_draining(s->reg))
		return kt_fail(err, KT_EUNAVAIL, 0, "the server is shutting down");
	if (!m->text || !*m->text)
		return kt_fail(err, KT_EINVAL, 0, "'text' is required and must not be empty");
	if (strlen(m->text) > KT_MAX_TEXT_BYTES)
		return kt_fail(err, KT_EINVAL, 0, "'text' is longer than %d bytes (fixed)",
			KT_MAX_TEXT_BYTES);
	if (m->participant_name && strlen(m->participant_name) > KT_MAX_NAME_BYTES)
		return kt_fail(err, KT_EINVAL, 0,
			"'participant_name' is longer than %d bytes (fixed)", KT_MAX_NAME_BYTES);
	/* Nobody could be told that it was taken. */
	if (s->pin && kt_sessions_health(s->reg, err) != KT_OK)
		return KT_EIO;
	app = s->pin ? kt_sessions_app_of(s->reg, &s->pin->target) : kt_sessions_app(s->reg);
	return app && m->agent ? check_agent(app, m->agent, err) : KT_OK;
}

static struct kt_turn *turn_new(const struct kt_message *m)
{
	struct kt_turn *t = kt_calloc(1, sizeof(*t));

	kt_rand_id("turn_", t->id);
	kt_rand_id("msg_", t->message_id);
	t->text = kt_strdup(m->text);
	t->agent = kt_strdup_opt(m->agent);
	t->participant_name = kt_strdup_opt(m->participant_name);
	t->participant_type = kt_strdup_opt(m->participant_type);
	t->from_who = kt_strdup_opt(m->from.who);
	t->from_address = kt_strdup_opt(m->from.address);
	t->thinking = m->thinking;
	t->no_thinking = m->no_thinking;
	return t;
}

enum kt_code kt_session_send(
	struct kt_session *s, const struct kt_message *m, struct kt_sent *out, struct kt_err *err)
{
	enum kt_code rc = check_message(s, m, err);
	bool busy = s->turn || s->queue.len;
	struct kt_used used;
	struct kt_turn *t;

	if (rc != KT_OK)
		return rc;
	if (busy && m->on_busy == KT_BUSY_REJECT)
		return kt_fail(err, KT_ECONFLICT, 0, "a turn is running in this session");
	if (kt_session_is_full(s))
		return kt_fail(err, KT_ECONFLICT, 0,
			"the events of this session have %d MiB (fixed): go on in a new session",
			KT_MAX_SESSION_BYTES / (1024 * 1024));
	if (s->queue.len >= KT_MAX_TURN_QUEUE)
		return kt_fail(err, KT_ELIMIT, 0,
			"%d messages are waiting in this session already (fixed)",
			KT_MAX_TURN_QUEUE);
	t = turn_new(m);
	set_title(s, m->text);
	add_participant(s, m->participant_name, m->participant_type);
	memset(out, 0, sizeof(*out));
	memcpy(out->turn_id, t->id, sizeof(out->turn_id));
	out->after_seq = kt_session_last_seq(s);
	s->reg->running++;
	kt_used_begin(&used, s, &m->key, t->id, out->after_seq);
	if (!busy) {
		start_session_turn(s, t);
		kt_used_end(&used);
		return KT_OK;
	}
	if (m->on_busy == KT_BUSY_INTERRUPT)
		kt_vec_insert(&s->queue, 0, t);
	else
		kt_vec_push(&s->queue, t);
	out->queued = m->on_busy == KT_BUSY_INTERRUPT ? 1 : s->queue.len;
	emit_message(s, t, "queued", out->queued);
	kt_journal_session(s->reg, s);
	kt_used_end(&used);
	if (m->on_busy == KT_BUSY_INTERRUPT)
		kt_session_interrupt(s);
	return KT_OK;
}

bool kt_session_interrupt(struct kt_session *s)
{
	if (!s->turn)
		return false;
	if (!s->turn->interrupting) {
		s->turn->interrupting = true;
		kt_session_status(s, s->turn, "interrupting", NULL, NULL);
		if (s->turn->held) {
			const struct kt_turn_result r = {
				.stop_reason = "interrupted", .text = "", .usage = KT_USAGE_INIT
			};

			kt_session_turn_ended(s, &r);
		} else if (s->harness) {
			kt_harness_interrupt(s->harness);
		}
	}
	return true;
}

void kt_turn_asked(struct kt_session *s, const struct kt_ask *ask)
{
	if (kt_session_asked(s, ask))
		kt_session_interrupt(s);
}

static void emit_error(struct kt_session *s, const struct kt_turn *t, const char *code,
	const char *message, bool retryable)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_EVENT_BYTES / 2);
	struct kt_jw w;

	message = kt_session_plain(s, message ? message : code, &text);
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "code", code);
	kt_jw_str(&w, "message", message);
	kt_jw_bool(&w, "retryable", retryable);
	kt_jw_obj_end(&w);
	kt_session_emit(s, KT_EV_ERROR, t, &b);
}

/* The data of a done event with at most max_text bytes of the message's text. */
static void render_done(struct kt_buf *b, const struct kt_session *s, const struct kt_turn *t,
	const struct kt_turn_result *r, size_t max_text)
{
	const char *text = r->text ? r->text : "";
	size_t len = strlen(text), keep = kt_utf8_cut(text, len, max_text);
	char id[KT_ID_MAX];
	struct kt_jw w;

	kt_rand_id("msg_", id);
	kt_jw_init(&w, b);
	kt_jw_obj(&w, NULL);
	kt_usage_write(&w, "usage", &r->usage);
	kt_jw_obj(&w, "message");
	kt_jw_str(&w, "id", id);
	kt_jw_str(&w, "role", "assistant");
	kt_jw_strn(&w, "text", text, keep);
	if (keep < len) {
		kt_jw_bool(&w, "truncated", true);
		kt_jw_int(&w, "text_bytes", (int64_t)len);
	}
	kt_jw_obj_end(&w);
	kt_jw_str(&w, "stop_reason", r->stop_reason ? r->stop_reason : "end_turn");
	kt_jw_str(&w, "agent", s->current_agent);
	kt_jw_int(&w, "duration_ms", (kt_time_us() - t->started_us) / 1000);
	kt_jw_obj_end(&w);
}

static void emit_done(struct kt_session *s, const struct kt_turn *t, const struct kt_turn_result *r)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);

	render_done(&b, s, t, r, SIZE_MAX);
	/*
	 * Too long for one event: its end must come all the same. The text events have all of it.
	 */
	if (!kt_buf_ok(&b)) {
		kt_buf_clear(&b);
		render_done(&b, s, t, r, KT_MAX_EVENT_BYTES / 8);
	}
	kt_session_emit(s, KT_EV_DONE, t, &b);
}

/*
 * How much of why a turn failed goes to the project's log: not the pieces of a program's output,
 * which the log has whole, as what is secret is only found in what was not cut.
 */
static int without_output(const char *code, const char *why)
{
	static const char *const quoting[] = { "harness_crashed", "harness_start_failed",
		"setup_failed" };
	const char *colon = strstr(why, ": ");

	for (size_t i = 0; colon && code && i < KT_ARRAY_LEN(quoting); i++) {
		if (kt_str_eq(code, quoting[i]))
			return (int)(colon - why);
	}
	return (int)strlen(why);
}

/*
 * What the harness says of a credential that was not taken is for who sits before it: "Please run
 * /login". On a server it is a variable of the project.
 */
static char *auth_words(const struct kt_session *s, const char *message)
{
	static const char login[] = "Please run /login";
	const struct kt_target *t = s->pin ? kt_session_target(s) : NULL;
	const struct kt_app *app = s->app ? s->app->app : NULL;
	const char *at = message ? strstr(message, login) : NULL;
	size_t len = at ? (size_t)(at - message) : message ? strlen(message) : 0;

	if (!t)
		return kt_strdup_opt(message);
	/* "Invalid API key · Please run /login" */
	while (len && (message[len - 1] == ' ' || (unsigned char)message[len - 1] >= 0x80))
		len--;
	return kt_asprintf(
		"the model's API did not take the credential of %s%s%.*s%s: karta config "
		"set -p %s %s=- <file, then a new session",
		t->project, len ? " (" : "", (int)KT_MIN(len, 300), message ? message : "",
		len ? ")" : "", t->project,
		app && app->harness == KT_HARNESS_CLAUDE ? "ANTHROPIC_API_KEY"
							 : "its provider's variable, as "
							   "ANTHROPIC_API_KEY");
}

/* How a turn ended, in the server's log or the project's. */
static void log_end(const struct kt_session *s, const struct kt_turn *t,
	const struct kt_turn_result *r, const char *code, const char *message)
{
	const char *how = code ? code : r->stop_reason ? r->stop_reason : "end_turn";
	const char *why = code && message ? message : "";
	long long ms = (kt_time_us() - t->started_us) / 1000;
	char tokens[48] = "";

	if (!s->pin) {
		kt_log(code ? KT_LOG_WARN : KT_LOG_INFO, "turn", "%s %s: %s%s%s (%lld ms)", s->id,
			t->id, how, *why ? ": " : "", why, ms);
		return;
	}
	if (r->usage.total_tokens >= 0)
		snprintf(tokens, sizeof(tokens), ", %lld tokens", (long long)r->usage.total_tokens);
	kt_session_tell(s, code ? "error" : "info", "turn", "%s ended: %s%s%.*s (%lld ms%s)", t->id,
		how, *why ? ": " : "", without_output(code, why), why, ms, tokens);
}

void kt_session_turn_ended(struct kt_session *s, const struct kt_turn_result *r)
{
	struct kt_turn *t = s->turn;
	const char *code = r->error_code;
	const char *message = r->error_message;
	KT_AUTOFREE char *said = NULL;

	if (!t)
		return;
	if (kt_str_eq(code, "auth_failed"))
		message = said = auth_words(s, message);
	kt_session_drop_inputs(s, "turn_ended");
	kt_transcript_drop(s);
	if (t->stop_code) {
		code = t->stop_code;
		message = "a tool asked for an approval, and the policy is to fail then";
	}
	if (code)
		emit_error(s, t, code, message, r->retryable);
	if (kt_str_eq(code, "agent_not_found"))
		hand_back(s, t);
	emit_done(s, t, r);
	log_end(s, t, r, code, message);
	s->turn = NULL;
	s->turns++;
	kt_spent_add(s, &r->usage);
	s->updated_us = kt_time_us();
	kt_journal_session(s->reg, s);
	kt_session_notify(s, KT_NOTE_TURN_END, t->id);
	kt_turn_free(t);
	if (s->queue.len) {
		kt_loop_defer(s->reg->loop, &s->pump);
	} else {
		if (s->log)
			kt_evlog_idle(s->log);
		kt_session_arm_idle(s);
	}
	kt_memory_log_count(s);
	kt_sessions_turn_done(s->reg);
}

/*
 * True when the log tells the end of this turn already, after the line of the journal that says
 * that it runs: the server stopped before the next line was on the disk; or the two were copied one
 * after the other, to a backup, and there may be any number of turns in between.
 */
static bool ended_in_log(const struct kt_session *s, const char *turn_id, uint64_t after_seq)
{
	return kt_turn_end(s->log, turn_id, after_seq, SIZE_MAX) != 0;
}

/* A crash cut turns off, the running one and those that waited: say so in the log. */
void kt_session_end_interrupted(struct kt_session *s, uint64_t after_seq)
{
	struct kt_turn_result r = {
		.stop_reason = "error",
		.text = "",
		.usage = KT_USAGE_INIT,
	};

	if (!s->interrupted.len)
		return;
	while (s->interrupted.len) {
		KT_AUTOFREE char *id = kt_vec_remove(&s->interrupted, 0);
		struct kt_turn t = { .started_us = kt_time_us() };

		if (ended_in_log(s, id, after_seq)) {
			s->turns++;
			continue;
		}
		kt_str_copy(t.id, sizeof(t.id), id);
		emit_error(s, &t, "interrupted",
			"the server stopped before this turn was done; send a message to go on",
			true);
		emit_done(s, &t, &r);
		s->turns++;
	}
	kt_journal_session(s->reg, s);
}
