/* SPDX-License-Identifier: MIT */
/* Unary answers: wait for a turn's end or its next pause; then reply.c reads it from the log. */
#include "api/sessions/sessions_private.h"

#include "base/str.h"
#include "text/json.h"

#include <string.h>

struct waiter {
	struct kt_api *api;
	struct kt_exchange *ex;
	struct kt_watch watch;
	char turn_id[KT_ID_MAX]; /* "" = whichever runs */
	uint64_t after_seq;
	bool events; /* answer with the events, else with the message */
	bool project;
};

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

static void on_wait_left(void *arg)
{
	waiter_free(arg);
}

static void on_wait_note(void *arg, enum kt_note what, const char *turn_id)
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
		kt_api_reply(&c, s, w->turn_id, w->after_seq);
	waiter_free(w);
}

static void wait_for_turn(struct kt_call *c, struct kt_session *s, const char *turn_id,
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
	w->watch.note = on_wait_note;
	w->watch.arg = w;
	kt_watch_add(s, &w->watch);
	kt_exchange_on_close(c->ex, on_wait_left, w);
}

void kt_api_wait_turn(
	struct kt_call *c, struct kt_session *s, const char *turn_id, uint64_t after_seq)
{
	bool paused = s->turn && kt_str_eq(s->turn->id, turn_id) &&
		s->turn->state == KT_TURN_WAITING;

	if (paused || !kt_api_turn_open(s, turn_id))
		kt_api_reply(c, s, turn_id, after_seq);
	else
		wait_for_turn(c, s, turn_id, after_seq, false);
}

void kt_api_wait_events(struct kt_call *c, struct kt_session *s, uint64_t after_seq)
{
	if (!s->turn || s->turn->state == KT_TURN_WAITING)
		answer_events(c, s, after_seq);
	else
		wait_for_turn(c, s, s->turn->id, after_seq, true);
}
