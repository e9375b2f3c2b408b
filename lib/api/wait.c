/* SPDX-License-Identifier: MIT */
/*
 * Unary answers: wait for a turn's end or its next pause, then read the answer from the log. The
 * log is the only memory: a repeated request long after gets the same answer.
 */
#include "api/api_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "event/assembly.h"
#include "text/json.h"

#include <string.h>

#define ANSWER_BYTES (4 * KT_MAX_REPLY_BYTES) /* the reply is in it twice, and is escaped */

struct waiter {
	struct kt_api *api;
	struct kt_exchange *ex;
	struct kt_watch watch;
	char turn_id[KT_ID_MAX]; /* "" = whichever runs */
	uint64_t after_seq;
	bool events; /* answer with the events, else with the message */
	bool project;
};

bool kt_api_turn_open(const struct kt_session *s, const char *turn_id)
{
	if (s->turn && kt_str_eq(s->turn->id, turn_id))
		return true;
	for (size_t i = 0; i < s->queue.len; i++) {
		const struct kt_turn *t = s->queue.items[i];

		if (kt_str_eq(t->id, turn_id))
			return true;
	}
	return false;
}

/* --- reading a turn back from the log ---------------------------------------------------- */

/* What is found of a turn. */
struct turn_view {
	const char *turn_id;
	uint64_t after_seq; /* its events come after this one */
	cJSON *user, *assistant, *usage, *error;
	char *stop_reason, *agent;
	struct kt_assembly reply; /* of the text events */
};

static cJSON *take(cJSON *obj, const char *key)
{
	return cJSON_DetachItemFromObjectCaseSensitive(obj, key);
}

static void replace(cJSON **slot, cJSON *v)
{
	cJSON_Delete(*slot);
	*slot = v;
}

static void set_str(char **slot, const cJSON *data, const char *key)
{
	const char *s = kt_json_str(data, key);

	if (s)
		kt_str_set(slot, s);
}

static void view_frame(struct turn_view *v, const struct kt_evframe *f)
{
	KT_AUTO_JSON cJSON *ev = NULL;
	const char *state;
	cJSON *data;

	if (f->type != KT_EV_STATUS && f->type != KT_EV_DONE && f->type != KT_EV_ERROR &&
		f->type != KT_EV_TEXT)
		return;
	if (kt_json_parse(f->json, f->json_len, KT_JSON_LENIENT, &ev, NULL) != KT_OK ||
		!kt_str_eq(kt_json_str(ev, "turn_id"), v->turn_id))
		return;
	data = cJSON_GetObjectItemCaseSensitive(ev, "data");
	if (f->type == KT_EV_TEXT) {
		if (!kt_json_str(ev, "parent_tool_use_id"))
			kt_assembly_add(&v->reply, data);
	} else if (f->type == KT_EV_STATUS) {
		state = kt_json_str(data, "state");
		if (kt_str_eq(state, "turn_started") || kt_str_eq(state, "queued")) {
			set_str(&v->agent, data, "agent");
			replace(&v->user, take(data, "message"));
		}
	} else if (f->type == KT_EV_ERROR) {
		replace(&v->error, take(ev, "data"));
	} else {
		set_str(&v->agent, data, "agent");
		set_str(&v->stop_reason, data, "stop_reason");
		replace(&v->assistant, take(data, "message"));
		replace(&v->usage, take(data, "usage"));
	}
}

static bool view_walk(void *arg, const struct kt_evframe *f)
{
	struct turn_view *v = arg;

	view_frame(v, f);
	return !v->assistant;
}

struct find_end {
	const char *turn_id;
	uint64_t seq;
};

static bool find_walk(void *arg, const struct kt_evframe *f)
{
	struct find_end *fe = arg;
	KT_AUTO_JSON cJSON *ev = NULL;

	if (f->type == KT_EV_DONE &&
		kt_json_parse(f->json, f->json_len, KT_JSON_LENIENT, &ev, NULL) == KT_OK &&
		kt_str_eq(kt_json_str(ev, "turn_id"), fe->turn_id))
		fe->seq = f->seq;
	return !fe->seq;
}

uint64_t kt_api_turn_end_seq(struct kt_evlog *log, const char *turn_id, uint64_t after_seq)
{
	struct find_end fe = { turn_id, 0 };

	kt_evlog_each(log, after_seq, find_walk, &fe);
	return fe.seq;
}

static void view_release(struct turn_view *v)
{
	cJSON_Delete(v->user);
	cJSON_Delete(v->assistant);
	cJSON_Delete(v->usage);
	cJSON_Delete(v->error);
	free(v->stop_reason);
	free(v->agent);
	kt_assembly_release(&v->reply);
}

/* --- answers ----------------------------------------------------------------------------- */

/* A message of the turn; with text, that stands in place of its own. */
static void write_message(struct kt_jw *w, const cJSON *m, const struct kt_buf *text)
{
	const cJSON *it;

	kt_jw_obj(w, NULL);
	cJSON_ArrayForEach (it, m) {
		if (text &&
			(kt_str_eq(it->string, "truncated") || kt_str_eq(it->string, "text_bytes")))
			continue;
		if (text && kt_str_eq(it->string, "text"))
			kt_jw_strn(w, "text", text->ptr, text->len);
		else if (!cJSON_IsNull(it))
			kt_jw_json(w, it->string, it);
	}
	kt_jw_arr(w, "parts");
	kt_jw_arr_end(w);
	kt_jw_obj_end(w);
}

/* HTTP status of a turn that failed, for clients that wait for it. docs/errors.md lists them. */
static int status_of(const char *code)
{
	static const struct {
		const char *code;
		int status;
	} map[] = {
		{ "auth_failed", 422 },
		{ "model_not_found", 422 },
		{ "invalid_request", 422 },
		{ "agent_not_found", 422 },
		{ "no_rehearsal", 422 },
		{ "input_required", 422 },
		{ "prompt_too_long", 422 },
		{ "session_too_large", 409 },
		{ "refused", 422 },
		{ "max_turns", 422 },
		{ "budget_exceeded", 402 },
		{ "rate_limited", 429 },
		{ "limit_reached", 429 },
		{ "overloaded", 503 },
		{ "connection_failed", 503 },
		{ "harness_not_installed", 503 },
		{ "harness_start_failed", 503 },
		{ "release_unavailable", 503 },
		{ "setup_failed", 503 },
		{ "interrupted", 503 },
		{ "unavailable", 503 },
		{ "unresponsive", 504 },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(map); i++) {
		if (kt_str_eq(map[i].code, code))
			return map[i].status;
	}
	return 502;
}

static void respond_error(struct kt_call *c, const struct kt_session *s, const struct turn_view *v)
{
	const char *code = kt_json_str_or(v->error, "code", "internal_error");
	int status = status_of(code);
	KT_AUTO_BUF struct kt_buf extra = KT_BUF_INIT(4096);
	struct kt_jw w;

	if (status == 503 || status == 429)
		kt_exchange_header(c->ex, "Retry-After", "5");
	/* Members for the problem, without the braces around them. */
	kt_jw_init(&w, &extra);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "session_id", s->id);
	kt_jw_str(&w, "turn_id", v->turn_id);
	if (v->stop_reason)
		kt_jw_str(&w, "stop_reason", v->stop_reason);
	kt_jw_obj_end(&w);
	kt_buf_truncate(&extra, extra.len - 1);
	kt_api_fail(c, status, code, kt_json_str_or(v->error, "message", code), extra.ptr + 1);
}

static void write_usage(struct kt_jw *w, const cJSON *usage)
{
	if (usage) {
		kt_jw_json(w, "usage", usage);
		return;
	}
	kt_jw_obj(w, "usage");
	kt_jw_obj_end(w);
}

/*
 * The reply: what `done` says when it has all of it, else what the text events say, cut after
 * max_bytes. True when it is whole.
 */
static bool reply_text(const struct turn_view *v, size_t max_bytes, struct kt_buf *out)
{
	const char *text = kt_json_str(v->assistant, "text");

	if (text && !kt_json_bool(v->assistant, "truncated", false)) {
		kt_buf_adds(out, text);
		return true;
	}
	kt_assembly_join(&v->reply, out);
	if (out->len <= max_bytes)
		return kt_assembly_whole(&v->reply);
	kt_buf_truncate(out, kt_utf8_cut(out->ptr, out->len, max_bytes));
	return false;
}

static void write_turn(struct kt_jw *w, struct kt_call *c, struct kt_session *s,
	const struct turn_view *v, size_t max_bytes)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(SIZE_MAX / 2);
	bool whole = reply_text(v, max_bytes, &text);

	kt_jw_obj(w, NULL);
	kt_jw_strn(w, "text", text.ptr, text.len);
	if (!whole) {
		kt_jw_bool(w, "truncated", true);
		kt_jw_int(w, "text_bytes", (int64_t)kt_assembly_bytes(&v->reply));
		kt_jw_int(w, "events_after", (int64_t)v->after_seq);
	}
	kt_jw_str(w, "session_id", s->id);
	kt_jw_str(w, "turn_id", v->turn_id);
	kt_jw_str(w, "agent", v->agent ? v->agent : s->current_agent);
	kt_jw_arr(w, "messages");
	if (v->user)
		write_message(w, v->user, NULL);
	if (v->assistant)
		write_message(w, v->assistant, whole ? &text : NULL);
	kt_jw_arr_end(w);
	write_usage(w, v->usage);
	kt_jw_str(w, "stop_reason", v->assistant ? v->stop_reason : "requires_action");
	kt_session_write_pending(w, "pending_input", s);
	kt_api_write_project(w, c, s);
	kt_jw_obj_end(w);
}

static void respond_turn(struct kt_call *c, struct kt_session *s, struct turn_view *v)
{
	/* Escaping can make six bytes of one: then less of the text fits. */
	static const size_t most[] = { KT_MAX_REPLY_BYTES, KT_MAX_REPLY_BYTES / 16 };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(ANSWER_BYTES);

	if (v->error) {
		respond_error(c, s, v);
		return;
	}
	for (size_t i = 0; i < KT_ARRAY_LEN(most); i++) {
		struct kt_jw w;

		kt_buf_clear(&b);
		kt_jw_init(&w, &b);
		write_turn(&w, c, s, v, most[i]);
		if (kt_buf_ok(&b))
			break;
	}
	kt_respond_json(c->ex, 200, &b);
}

static void answer_turn(
	struct kt_call *c, struct kt_session *s, const char *turn_id, uint64_t after_seq)
{
	struct turn_view v = { .turn_id = turn_id, .after_seq = after_seq };
	struct kt_err err = KT_ERR_INIT;
	struct kt_evlog *log;

	if (kt_session_log(s, &log, &err) != KT_OK) {
		kt_api_fail_err(c, &err);
		return;
	}
	kt_assembly_init(&v.reply, KT_MAX_REPLY_BYTES);
	kt_evlog_each(log, after_seq, view_walk, &v);
	if (!v.assistant && !kt_api_turn_open(s, turn_id))
		kt_api_fail(c, 410, "events_expired", "the events of this turn are no longer kept",
			NULL);
	else
		respond_turn(c, s, &v);
	view_release(&v);
}

static void answer_events(struct kt_call *c, struct kt_session *s, uint64_t after_seq)
{
	struct kt_page_of page = {
		.session = s, .session_too = true, .after = after_seq, .max_events = SIZE_MAX
	};
	struct kt_err err = KT_ERR_INIT;

	if (kt_session_log(s, &page.log, &err) != KT_OK)
		kt_api_fail_err(c, &err);
	else
		kt_api_page_of_log(c, &page);
}

/* --- waiting ----------------------------------------------------------------------------- */

static void waiter_free(struct waiter *w)
{
	kt_watch_remove(&w->watch);
	free(w);
}

static void left(void *arg)
{
	waiter_free(arg);
}

static void note(void *arg, enum kt_note what, const char *turn_id)
{
	struct waiter *w = arg;
	struct kt_call c = { w->api, w->ex, kt_exchange_request(w->ex), w->project, NULL };
	struct kt_session *s = w->watch.session;

	if (what != KT_NOTE_GONE && w->turn_id[0] && !kt_str_eq(turn_id, w->turn_id))
		return;
	kt_exchange_on_close(w->ex, NULL, NULL);
	if (what == KT_NOTE_GONE)
		kt_api_fail(&c, 404, "session_not_found", "the session was deleted", NULL);
	else if (w->events)
		answer_events(&c, s, w->after_seq);
	else
		answer_turn(&c, s, w->turn_id, w->after_seq);
	waiter_free(w);
}

static void wait_for(struct kt_call *c, struct kt_session *s, const char *turn_id,
	uint64_t after_seq, bool events)
{
	struct waiter *w = kt_calloc(1, sizeof(*w));

	w->api = c->api;
	w->ex = c->ex;
	w->project = c->project;
	w->after_seq = after_seq;
	w->events = events;
	if (turn_id)
		kt_str_copy(w->turn_id, sizeof(w->turn_id), turn_id);
	w->watch.note = note;
	w->watch.arg = w;
	kt_watch_add(s, &w->watch);
	kt_exchange_on_close(c->ex, left, w);
}

void kt_api_wait_turn(
	struct kt_call *c, struct kt_session *s, const char *turn_id, uint64_t after_seq)
{
	bool paused = s->turn && kt_str_eq(s->turn->id, turn_id) &&
		s->turn->state == KT_TURN_WAITING;

	if (paused || !kt_api_turn_open(s, turn_id))
		answer_turn(c, s, turn_id, after_seq);
	else
		wait_for(c, s, turn_id, after_seq, false);
}

void kt_api_wait_events(struct kt_call *c, struct kt_session *s, uint64_t after_seq)
{
	if (!s->turn || s->turn->state == KT_TURN_WAITING)
		answer_events(c, s, after_seq);
	else
		wait_for(c, s, s->turn->id, after_seq, true);
}
