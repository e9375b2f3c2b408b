/* SPDX-License-Identifier: MIT */
/*
 * The answer that says what a turn said, read from the log, which is the only memory: a repeated
 * request long after gets the same answer. A turn of more than a little is read on a thread, and
 * its answer is sent as the client takes it: the reply is kept once, though it stands there twice.
 * What is kept for it counts for the client; with no room for all of the reply it is cut, and says
 * where the rest is.
 */
#include "api/sessions/sessions_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "net/work.h"
#include "text/json.h"

#include <string.h>

#define LONG_BYTES (4 * 1024 * 1024) /* of a turn: read by the threads for what takes longer */

/* --- one answer ---------------------------------------------------------------------------- */

struct piece {
	const char *ptr;
	size_t len;
};

struct reply {
	struct kt_work work;
	struct kt_hold hold;
	struct kt_api *api;
	struct kt_loop *loop;
	struct kt_exchange *ex; /* NULL once the client has left */
	struct reply *prev, *next; /* of those that a thread has */
	bool project;
	bool again; /* read a second time, as the turn ended meanwhile */
	char session_id[KT_ID_MAX], turn_id[KT_ID_MAX];
	uint64_t after_seq;
	/* The thread's while it has it. */
	struct kt_evscan log;
	size_t max; /* bytes of the reply that may be held */
	struct kt_turn_said v;
	struct kt_buf text; /* the reply as a JSON string */
	bool whole;
	enum kt_code rc;
	struct kt_err err;
	/* The answer. */
	struct kt_buf frame; /* all but the reply */
	size_t places[2], n_places; /* of the reply in it */
	struct piece pieces[5];
	size_t n_pieces, piece, at;
};

static void reply_free(struct reply *r)
{
	kt_evscan_release(&r->log);
	kt_turn_said_release(&r->v);
	kt_buf_release(&r->text);
	kt_buf_release(&r->frame);
	kt_hold_release(&r->hold);
	free(r);
}

/* --- reading, on a thread ------------------------------------------------------------------ */

/* Escaping can make six bytes of one: then less of it fits. */
static void write_text(struct reply *r)
{
	KT_AUTO_BUF struct kt_buf plain = KT_BUF_INIT(SIZE_MAX / 2);
	size_t max = r->max;

	r->whole = kt_turn_text(&r->v, &plain);
	if (plain.len > max) {
		r->whole = false;
		kt_buf_truncate(&plain, kt_utf8_cut(plain.ptr, plain.len, max));
	}
	kt_buf_init(&r->text, 2 * max + 1024);
	kt_json_add_str(&r->text, plain.ptr, plain.len);
	if (kt_buf_ok(&r->text))
		return;
	r->whole = false;
	kt_buf_truncate(&plain, kt_utf8_cut(plain.ptr, plain.len, max / 3));
	kt_buf_clear(&r->text);
	kt_json_add_str(&r->text, plain.ptr, plain.len);
}

static void read_reply_parts(struct kt_work *w)
{
	struct reply *r = kt_container_of(w, struct reply, work);

	r->rc = kt_turn_read(&r->log, r->turn_id, r->max, &w->canceled, &r->v, &r->err);
	kt_evscan_release(&r->log);
	if (r->rc == KT_OK && !r->v.error)
		write_text(r);
}

/* --- answering ----------------------------------------------------------------------------- */

/* Here the reply goes, as often as the answer has it. */
static void write_place(struct kt_jw *w, struct reply *r)
{
	kt_jw_raw(w, "text", "", 0);
	r->places[r->n_places++] = r->frame.len;
}

/* A message of the turn; with `place` the reply stands in place of its text. */
static void write_message(struct kt_jw *w, const cJSON *m, struct reply *place)
{
	const cJSON *it;

	kt_jw_obj(w, NULL);
	cJSON_ArrayForEach (it, m) {
		if (place &&
			(kt_str_eq(it->string, "truncated") || kt_str_eq(it->string, "text_bytes")))
			continue;
		if (place && kt_str_eq(it->string, "text"))
			write_place(w, place);
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

static void respond_error(struct kt_call *c, const struct kt_session *s, const struct reply *r)
{
	const struct kt_turn_said *v = &r->v;
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
	kt_jw_str(&w, "turn_id", r->turn_id);
	if (v->stop_reason)
		kt_jw_str(&w, "stop_reason", v->stop_reason);
	kt_jw_obj_end(&w);
	kt_buf_truncate(&extra, extra.len - 1);
	/* The project's log has the end of the turn, without what is cut of its output. */
	struct kt_call untold = *c;
	untold.by = NULL;
	kt_api_fail(
		&untold, status, code, kt_json_str_or(v->error, "message", code), extra.ptr + 1);
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

static void write_reply_turn(
	struct kt_jw *w, struct kt_call *c, struct kt_session *s, struct reply *r)
{
	const struct kt_turn_said *v = &r->v;

	kt_jw_obj(w, NULL);
	write_place(w, r);
	if (!r->whole) {
		kt_jw_bool(w, "truncated", true);
		kt_jw_int(w, "text_bytes", (int64_t)kt_assembly_bytes(&v->reply));
		kt_jw_int(w, "events_after", (int64_t)r->after_seq);
	}
	kt_jw_str(w, "session_id", s->id);
	kt_jw_str(w, "turn_id", r->turn_id);
	kt_jw_str(w, "agent", v->agent ? v->agent : s->current_agent);
	kt_jw_arr(w, "messages");
	if (v->user)
		write_message(w, v->user, NULL);
	if (v->assistant)
		write_message(w, v->assistant, r->whole ? r : NULL);
	kt_jw_arr_end(w);
	write_usage(w, v->usage);
	kt_jw_str(w, "stop_reason", v->assistant ? v->stop_reason : "requires_action");
	kt_session_write_pending(w, "pending_input", s);
	kt_api_write_project(w, c, s);
	kt_jw_obj_end(w);
}

static size_t reply_peek(void *arg, const char **out, size_t max)
{
	struct reply *r = arg;

	while (r->piece < r->n_pieces && r->at == r->pieces[r->piece].len) {
		r->piece++;
		r->at = 0;
	}
	if (r->piece == r->n_pieces)
		return 0;
	*out = r->pieces[r->piece].ptr + r->at;
	return KT_MIN(max, r->pieces[r->piece].len - r->at);
}

static void reply_sent(void *arg, size_t n)
{
	struct reply *r = arg;

	r->at += n;
}

static void reply_closed(void *arg)
{
	reply_free(arg);
}

static bool reply_boundary(void *arg)
{
	const char *more;

	return reply_peek(arg, &more, 1) == 0;
}

static const struct kt_stream_ops ops = { reply_peek, reply_sent, reply_closed, reply_boundary };

/* The frame with the reply at its places, in pieces; how many bytes that is. */
static size_t cut_pieces(struct reply *r)
{
	size_t from = 0, bytes = r->frame.len + r->n_places * r->text.len;

	for (size_t i = 0; i < r->n_places; i++) {
		r->pieces[r->n_pieces++] = (struct piece){ r->frame.ptr + from,
			r->places[i] - from };
		r->pieces[r->n_pieces++] = (struct piece){ r->text.ptr, r->text.len };
		from = r->places[i];
	}
	r->pieces[r->n_pieces++] = (struct piece){ r->frame.ptr + from, r->frame.len - from };
	return bytes;
}

/* TAKES r. */
static void respond_turn(struct kt_call *c, struct kt_session *s, struct reply *r)
{
	KT_AUTO_BUF struct kt_buf all = KT_BUF_INIT(KT_MAX_LOOP_BYTES);
	struct kt_jw w;
	size_t bytes;

	kt_buf_init(&r->frame, (size_t)8 * KT_MAX_EVENT_BYTES);
	kt_jw_init(&w, &r->frame);
	write_reply_turn(&w, c, s, r);
	bytes = cut_pieces(r);
	if (!kt_buf_ok(&r->frame)) {
		kt_respond_json(c->ex, 200, &r->frame);
		reply_free(r);
		return;
	}
	/* A usual one goes as any answer, and its connection lives on. */
	if (bytes <= KT_MAX_LOOP_BYTES) {
		for (size_t i = 0; i < r->n_pieces; i++)
			kt_buf_add(&all, r->pieces[i].ptr, r->pieces[i].len);
		kt_respond_json(c->ex, 200, &all);
		reply_free(r);
		return;
	}
	kt_turn_said_release(&r->v);
	/* It is less than was asked for to read it. */
	if (r->text.len + r->frame.len < r->hold.bytes)
		kt_hold_less(&r->hold, r->hold.bytes - r->text.len - r->frame.len);
	kt_respond_source(c->ex, 200, "application/json", (int64_t)bytes, &ops, r);
}

static void reply_begin(struct kt_call *c, struct kt_session *s, const char *turn_id,
	uint64_t after_seq, bool again);

/* It was read. TAKES r. */
static void answer_reply(struct kt_call *c, struct kt_session *s, struct reply *r)
{
	bool over = !kt_api_turn_open(s, r->turn_id);

	if (r->rc == KT_OK && !r->v.error && (r->v.assistant || !over)) {
		respond_turn(c, s, r);
		return;
	}
	kt_hold_release(&r->hold);
	if (r->rc != KT_OK)
		kt_api_fail_err(c, &r->err);
	else if (r->v.error)
		respond_error(c, s, r);
	else if (!r->again)
		reply_begin(c, s, r->turn_id, r->after_seq, true);
	else
		kt_api_fail(c, 410, "events_expired", "the events of this turn are no longer kept",
			NULL);
	reply_free(r);
}

/* --- beside the loop ----------------------------------------------------------------------- */

static void off_list(struct reply *r)
{
	if (r->prev)
		r->prev->next = r->next;
	else
		r->api->replies = r->next;
	if (r->next)
		r->next->prev = r->prev;
}

static void on_reply_read(struct kt_work *w)
{
	struct reply *r = kt_container_of(w, struct reply, work);
	struct kt_session *s;

	off_list(r);
	if (!r->ex) {
		reply_free(r);
		return;
	}
	struct kt_call c = { r->api, r->ex, kt_exchange_request(r->ex), r->project, NULL, NULL };

	kt_exchange_on_close(r->ex, NULL, NULL);
	s = kt_session_get(r->api->cfg.sessions, r->session_id);
	if (s) {
		answer_reply(&c, s, r);
		return;
	}
	kt_api_fail(&c, 404, "session_not_found", "the session was deleted", NULL);
	reply_free(r);
}

static void on_reply_left(void *arg)
{
	struct reply *r = arg;

	r->ex = NULL;
	/* It need not wait for its turn to be dropped. */
	if (!kt_work_cancel(r->loop, &r->work))
		return;
	off_list(r);
	reply_free(r);
}

static void start_reply(
	struct kt_call *c, const struct kt_session *s, struct reply *r, uint64_t bytes)
{
	const struct kt_target *target = kt_session_target(s);
	const char *org = target ? target->org_id : "";
	struct kt_err err = KT_ERR_INIT;

	r->work.run = read_reply_parts;
	r->work.done = on_reply_read;
	r->work.bytes = r->log.rest.len;
	if (kt_work_start(r->loop, bytes > LONG_BYTES ? KT_WORK_LONG : KT_WORK_SHORT, org, &r->work,
		    &err) != KT_OK) {
		kt_exchange_header(c->ex, "Retry-After", "1");
		kt_api_fail(c, 503, "unavailable", err.msg, NULL);
		reply_free(r);
		return;
	}
	r->next = r->api->replies;
	if (r->next)
		r->next->prev = r;
	r->api->replies = r;
	kt_exchange_on_close(r->ex, on_reply_left, r);
}

/*
 * Room for reading so much of a log: the text in its parts, in one piece and escaped, and a few
 * events as trees. Less of the text when that does not fit. The limit that refused even that.
 */
static enum kt_budget_limit make_reply_room(struct reply *r, uint64_t bytes)
{
	size_t trees = 3 * (size_t)KT_MIN(bytes, (uint64_t)KT_MAX_EVENT_BYTES) + r->log.rest.len;
	size_t max = (size_t)KT_MIN(bytes, (uint64_t)KT_MAX_REPLY_BYTES);
	enum kt_budget_limit limit;

	while ((limit = kt_hold_more(&r->hold, 3 * max + trees)) != KT_BUDGET_FITS &&
		max > KT_MAX_EVENT_BYTES)
		max = KT_MAX(max / 2, (size_t)KT_MAX_EVENT_BYTES);
	r->max = max;
	return limit;
}

static void reply_begin(struct kt_call *c, struct kt_session *s, const char *turn_id,
	uint64_t after_seq, bool again)
{
	struct reply *r = kt_calloc(1, sizeof(*r));
	struct kt_evlog *log;
	uint64_t bytes;

	r->api = c->api;
	r->loop = kt_sessions_loop(c->api->cfg.sessions);
	r->ex = c->ex;
	r->project = c->project;
	r->again = again;
	r->after_seq = after_seq;
	r->log = KT_EVSCAN_INIT;
	kt_buf_init(&r->text, 0);
	kt_buf_init(&r->frame, 0);
	(void)kt_str_copy(r->session_id, sizeof(r->session_id), s->id);
	(void)kt_str_copy(r->turn_id, sizeof(r->turn_id), turn_id);
	if (kt_session_log(s, &log, &r->err) != KT_OK ||
		kt_evscan_open(log, after_seq, &r->log, &r->err) != KT_OK) {
		kt_api_fail_err(c, &r->err);
		reply_free(r);
		return;
	}
	kt_hold_like(&r->hold, kt_exchange_hold(c->ex));
	bytes = kt_evscan_bytes(&r->log);
	if (!kt_api_fits(c, make_reply_room(r, bytes))) {
		reply_free(r);
		return;
	}
	if (bytes > KT_MAX_LOOP_BYTES) {
		start_reply(c, s, r, bytes);
		return;
	}
	read_reply_parts(&r->work);
	answer_reply(c, s, r);
}

void kt_api_reply(struct kt_call *c, struct kt_session *s, const char *turn_id, uint64_t after_seq)
{
	reply_begin(c, s, turn_id, after_seq, false);
}

void kt_api_replies_end(struct kt_api *api)
{
	while (api->replies) {
		struct reply *r = api->replies;

		(void)kt_work_end(r->loop, &r->work);
		off_list(r);
		reply_free(r);
	}
}
