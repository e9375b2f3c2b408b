/* SPDX-License-Identifier: MIT */
/* Messages, inputs, interrupts, events: what happens inside a session. */
#include "api/sessions/sessions_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "text/json.h"

#include <string.h>

static void send_turn_accepted(
	struct kt_call *c, const struct kt_session *s, const char *turn_id, size_t queued)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1024);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_bool(&w, "accepted", true);
	kt_jw_str(&w, "session_id", s->id);
	if (turn_id) {
		kt_jw_str(&w, "turn_id", turn_id);
		kt_jw_int(&w, "queued", (int64_t)queued);
	}
	kt_jw_obj_end(&w);
	kt_exchange_header(c->ex, "Preference-Applied", "respond-async");
	kt_respond_json(c->ex, 202, &b);
}

/* How the client wants its answer. */
enum answer { ANSWER_UNARY, ANSWER_STREAM, ANSWER_ASYNC };

static void answer_turn(struct kt_call *c, struct kt_session *s, enum answer how,
	const char *turn_id, uint64_t after_seq, size_t queued)
{
	struct kt_stream_start start = { .after_seq = after_seq, .turn_id = turn_id };

	switch (how) {
	case ANSWER_ASYNC:
		send_turn_accepted(c, s, turn_id, queued);
		return;
	case ANSWER_STREAM:
		kt_api_stream(c, s, &start);
		return;
	case ANSWER_UNARY:
		kt_api_wait_turn(c, s, turn_id, after_seq);
		return;
	}
}

static void send_failed(struct kt_call *c, struct kt_session *s, const struct kt_err *err)
{
	if (err->code == KT_ECONFLICT && kt_session_is_full(s)) {
		kt_api_fail(c, 409, "session_too_large", err->msg, NULL);
	} else if (err->code == KT_ECONFLICT) {
		kt_exchange_header(c->ex, "Retry-After", "1");
		kt_api_fail(c, 409, "turn_running", err->msg, NULL);
	} else if (err->code == KT_ELIMIT) {
		kt_exchange_header(c->ex, "Retry-After", "5");
		kt_api_fail(c, 429, "queue_full", err->msg, NULL);
	} else {
		kt_api_fail_err(c, err);
	}
}

/* The key was used before: give the same answer again. */
static void replay_answer(
	struct kt_call *c, struct kt_session *s, enum answer how, const struct kt_idem *seen)
{
	if (how == ANSWER_UNARY && kt_api_turn_open(s, seen->turn_id)) {
		kt_exchange_header(c->ex, "Retry-After", "1");
		kt_api_fail(c, 409, "idempotent_request_running",
			"the first request with this Idempotency-Key is still running", NULL);
		return;
	}
	answer_turn(c, s, how, seen->turn_id, seen->after_seq, 0);
}

static bool read_message(struct kt_call *c, const cJSON *body, struct kt_message *m, bool *stream)
{
	const char *on_busy;

	if (!kt_api_opt_str(c, body, "text", &m->text) ||
		!kt_api_opt_str(c, body, "agent", &m->agent) ||
		!kt_api_opt_str(c, body, "participant_name", &m->participant_name) ||
		!kt_api_opt_str(c, body, "participant_type", &m->participant_type) ||
		!kt_api_opt_bool(c, body, "thinking", &m->thinking) ||
		!kt_api_opt_bool(c, body, "stream", stream) ||
		!kt_api_opt_str(c, body, "on_busy", &on_busy))
		return false;
	m->no_thinking = cJSON_IsFalse(kt_json_get(body, "thinking"));
	if (on_busy && !kt_on_busy_parse(on_busy, &m->on_busy)) {
		kt_api_fail(c, 422, "validation_failed",
			"'on_busy' must be enqueue, reject or interrupt", NULL);
		return false;
	}
	if (m->participant_type && !kt_str_eq(m->participant_type, "human") &&
		!kt_str_eq(m->participant_type, "ai")) {
		kt_api_fail(c, 422, "validation_failed", "'participant_type' must be human or ai",
			NULL);
		return false;
	}
	return true;
}

/* A message that was taken, while it gets to the disk. */
struct taken {
	char session_id[KT_ID_MAX], turn_id[KT_ID_MAX];
	uint64_t after_seq;
	size_t queued;
	enum answer how;
};

static void answer_taken(struct kt_call *c, void *data)
{
	const struct taken *t = data;
	struct kt_session *s = kt_api_session(c, t->session_id);

	if (s)
		answer_turn(c, s, t->how, t->turn_id, t->after_seq, t->queued);
}

/* Answer when the message is on disk; a local server does not make its user wait for that. */
static void answer_sent(
	struct kt_call *c, struct kt_session *s, enum answer how, const struct kt_sent *sent)
{
	struct taken *t;

	if (!c->by) {
		answer_turn(c, s, how, sent->turn_id, sent->after_seq, sent->queued);
		return;
	}
	t = kt_calloc(1, sizeof(*t));
	memcpy(t->session_id, s->id, sizeof(t->session_id));
	memcpy(t->turn_id, sent->turn_id, sizeof(t->turn_id));
	t->after_seq = sent->after_seq;
	t->queued = sent->queued;
	t->how = how;
	kt_api_durable(c, answer_taken, t, free);
}

void kt_api_messages_send(struct kt_call *c, const struct kt_params *p)
{
	struct kt_session *s = kt_api_session(c, p->value[0]);
	KT_AUTO_JSON cJSON *body = NULL;
	struct kt_message m = { 0 };
	struct kt_err err = KT_ERR_INIT;
	struct kt_sent sent;
	struct kt_key key;
	enum answer how;
	bool stream;

	if (!s || !kt_api_body(c, &body) || !read_message(c, body, &m, &stream) ||
		!kt_api_key(c, s->id, &key))
		return;
	how = stream || kt_api_accepts(c->rq, "text/event-stream") ? ANSWER_STREAM
		: kt_api_async(c->rq)                              ? ANSWER_ASYNC
								   : ANSWER_UNARY;
	if (key.seen) {
		replay_answer(c, s, how, key.seen);
		return;
	}
	m.key = (struct kt_request_key){ s->id, key.key, key.fingerprint };
	m.from = kt_api_origin(c);
	if (kt_session_send(s, &m, &sent, &err) != KT_OK) {
		send_failed(c, s, &err);
		return;
	}
	answer_sent(c, s, how, &sent);
}

static void answered_before(
	struct kt_call *c, const struct kt_err *err, const struct kt_answered *first)
{
	char extra[128];
	bool withdrawn = kt_str_eq(first->by, "withdrawn") || kt_str_eq(first->by, "interrupted");

	snprintf(extra, sizeof(extra), "\"decision\":\"%s\",\"by\":\"%s\"",
		withdrawn ? "canceled" : kt_decision_name(first->decision), first->by);
	kt_api_fail(c, 409, "already_answered", err->msg, extra);
}

static void on_outcome(
	void *arg, enum kt_code rc, const struct kt_answered *first, const struct kt_err *err)
{
	struct kt_later *l = arg;

	if (l->c.ex && rc == KT_ECONFLICT)
		answered_before(&l->c, err, first);
	else if (l->c.ex && rc == KT_ENOTFOUND)
		kt_api_fail(&l->c, 404, "input_not_found", err->msg, NULL);
	else if (l->c.ex)
		kt_api_fail_err(&l->c, err);
	kt_api_later_free(l);
}

/* It is not open, and long ago if ever it was: the log knows. */
static void ask_log(struct kt_call *c, struct kt_session *s, const char *request_id)
{
	struct kt_later *l = kt_api_later(c, NULL, NULL);
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc = kt_session_outcome(s, request_id, on_outcome, l, &err);

	if (rc != KT_OK)
		on_outcome(l, rc, NULL, &err);
}

/* --- an open input, sent from the one text that is kept of it ---------------------------- */

struct input_source {
	struct kt_input_doc *doc;
	size_t at;
};

static size_t input_peek(void *arg, const char **out, size_t max)
{
	const struct input_source *src = arg;

	return KT_MIN(max, kt_input_doc_at(src->doc, src->at, out));
}

static void input_sent(void *arg, size_t n)
{
	struct input_source *src = arg;

	src->at += n;
}

static void input_closed(void *arg)
{
	struct input_source *src = arg;

	kt_input_doc_unref(src->doc);
	free(src);
}

static bool input_boundary(void *arg)
{
	const struct input_source *src = arg;

	return src->at == kt_input_doc_bytes(src->doc);
}

static const struct kt_stream_ops input_ops = { input_peek, input_sent, input_closed,
	input_boundary };

/* A usual one as any answer, so that its connection lives on. TAKES doc. */
static void respond_input(struct kt_call *c, struct kt_input_doc *doc)
{
	struct input_source *src;
	const char *text;
	size_t bytes = kt_input_doc_bytes(doc);

	if (kt_input_doc_at(doc, 0, &text) == bytes && bytes <= KT_MAX_LOOP_BYTES) {
		kt_respond(c->ex, 200, "application/json", text, bytes);
		kt_input_doc_unref(doc);
		return;
	}
	src = kt_calloc(1, sizeof(*src));
	src->doc = doc;
	kt_respond_source(c->ex, 200, "application/json", (int64_t)bytes, &input_ops, src);
}

void kt_api_inputs_get(struct kt_call *c, const struct kt_params *p)
{
	struct kt_session *s = kt_api_session(c, p->value[0]);
	struct kt_input_doc *doc;
	struct kt_err err = KT_ERR_INIT;

	if (!s)
		return;
	if (kt_session_input(s, p->value[1], &doc, &err) != KT_OK)
		kt_api_fail(c, 404, "input_not_found", err.msg, NULL);
	else
		respond_input(c, doc);
}

void kt_api_inputs_put(struct kt_call *c, const struct kt_params *p)
{
	struct kt_session *s = kt_api_session(c, p->value[0]);
	KT_AUTO_BUF struct kt_buf answers = KT_BUF_INIT(KT_MAX_TEXT_BYTES);
	KT_AUTO_JSON cJSON *body = NULL;
	struct kt_err err = KT_ERR_INIT;
	struct kt_answered first = { .by = "user" };
	enum kt_decision decision;
	const cJSON *given;
	const char *word;
	uint64_t after;
	enum kt_code rc;

	if (!s || !kt_api_body(c, &body) || !kt_api_opt_str(c, body, "decision", &word))
		return;
	if (!word || !kt_decision_parse(word, &decision)) {
		kt_api_fail(c, 422, "validation_failed",
			"'decision' must be approve_once, approve_session, approve_command, "
			"approve_file, approve_folder, deny or answer",
			NULL);
		return;
	}
	given = kt_json_obj(body, "answers");
	if (given)
		kt_json_add(&answers, given);
	if (!kt_buf_ok(&answers)) {
		kt_api_fail(c, 422, "validation_failed", "'answers' is larger than 512 KiB (fixed)",
			NULL);
		return;
	}
	after = kt_session_last_seq(s);
	const struct kt_actor actor = c->by ? kt_api_actor(c->by, c->rq->id)
					    : (struct kt_actor){ 0 };
	struct kt_origin from = kt_api_origin(c);

	from.actor = c->by ? &actor : NULL;

	rc = kt_session_answer(
		s, p->value[1], decision, given ? answers.ptr : NULL, &from, &first, &err);
	if (rc == KT_ECONFLICT)
		answered_before(c, &err, &first);
	else if (rc == KT_ENOTFOUND)
		ask_log(c, s, p->value[1]);
	else if (rc != KT_OK)
		kt_api_fail_err(c, &err);
	else if (kt_api_async(c->rq))
		send_turn_accepted(c, s, NULL, 0);
	else
		kt_api_wait_events(c, s, after);
}

void kt_api_interrupt(struct kt_call *c, const struct kt_params *p)
{
	struct kt_session *s = kt_api_session(c, p->value[0]);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(512);
	struct kt_jw w;

	if (!s)
		return;
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_bool(&w, "accepted", true);
	kt_jw_str(&w, "turn_id", s->turn ? s->turn->id : NULL);
	kt_jw_bool(&w, "interrupted", kt_session_interrupt(s));
	kt_jw_obj_end(&w);
	kt_respond_json(c->ex, 202, &b);
}

static void events_as_json(struct kt_call *c, struct kt_session *s, uint64_t after)
{
	struct kt_page_of page = { .session = s, .after = after };
	struct kt_err err = KT_ERR_INIT;
	int64_t limit = 1000;

	if (!kt_api_query_int(c, "limit", 1, 10000, &limit))
		return;
	page.max_events = (size_t)limit;
	if (kt_session_log(s, &page.log, &err) != KT_OK)
		kt_api_fail_err(c, &err);
	else
		kt_api_page_of_log(c, &page);
}

void kt_api_events(struct kt_call *c, const struct kt_params *p)
{
	struct kt_session *s = kt_api_session(c, p->value[0]);
	struct kt_stream_start start = { 0 };
	char until[16] = "";
	struct kt_err err = KT_ERR_INIT;
	struct kt_evlog *log;
	bool given;

	if (!s || !kt_api_cursor(c, &start.after_seq, &given))
		return;
	if (!kt_api_query(c, "until", until, sizeof(until)))
		return;
	if (until[0] && !kt_str_eq(until, "idle")) {
		kt_api_fail(c, 400, "bad_query", "'until' can only be idle", NULL);
		return;
	}
	if (kt_api_accepts(c->rq, "application/json") &&
		!kt_api_accepts(c->rq, "text/event-stream")) {
		events_as_json(c, s, start.after_seq);
		return;
	}
	start.until_idle = until[0] != '\0';
	if (kt_session_log(s, &log, &err) != KT_OK) {
		kt_api_fail_err(c, &err);
		return;
	}
	/* Nothing more will come: 204 makes an EventSource stop reconnecting. */
	if (start.until_idle && !s->turn && !s->queue.len &&
		start.after_seq >= kt_session_last_seq(s)) {
		kt_respond(c->ex, 204, NULL, NULL, 0);
		return;
	}
	kt_api_stream(c, s, &start);
}
