/* SPDX-License-Identifier: MIT */
/*
 * What a session's whole log is asked for is read on a thread: what became of an input, how many
 * may ask at once, and what happens when the session goes meanwhile; the transcript for a harness
 * that starts again.
 */
#include "session/talk/talk_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "fake_control.h"
#include "local.h"
#include "text/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int set_up(void **state)
{
	struct world *w = world_new();

	if (!w)
		return -1;
	put(w->app, "rehearsals/any.jsonl",
		"{\"karta_rehearsal\":1,\"match\":{\"text\":\"*\"}}\n"
		"{\"t\":1,\"end\":{\"stop_reason\":\"end_turn\",\"text\":\"hi\",\"usage\":{}}}\n");
	open_registry(w);
	*state = w;
	return 0;
}

static struct kt_session *create(struct world *w)
{
	const struct kt_session_new n = { 0 };
	struct kt_session *s = NULL;

	assert_int_equal(kt_session_create(w->reg, &n, &s, NULL), KT_OK);
	return s;
}

static void append(struct kt_session *s, enum kt_event_type type, const char *turn, const char *data)
{
	struct kt_evlog *log = NULL;
	const struct kt_event_draft ev = { .type = type, .turn_id = turn, .data = data,
		.data_len = strlen(data) };

	assert_int_equal(kt_session_log(s, &log, NULL), KT_OK);
	s->last_seq = kt_evlog_append(log, &ev);
}

static void asked(struct kt_session *s, const char *turn, const char *id)
{
	char data[300];

	(void)snprintf(data, sizeof(data), "{\"request_id\":\"%s\"}", id);
	append(s, KT_EV_INPUT_REQUIRED, turn, data);
}

static void resolved(struct kt_session *s, const char *id, const char *decision, const char *by)
{
	char data[300];

	(void)snprintf(data, sizeof(data),
		"{\"state\":\"input_resolved\",\"request_id\":\"%s\",\"decision\":\"%s\",\"by\":\"%s\"}",
		id, decision, by);
	append(s, KT_EV_STATUS, "turn_1", data);
}

struct heard {
	struct kt_loop *loop;
	int n;
	enum kt_code rc;
	struct kt_answered first;
};

static void hear(void *arg, enum kt_code rc, const struct kt_answered *first,
	const struct kt_err *err)
{
	struct heard *h = arg;

	assert_int_equal(rc, err->code);
	h->n++;
	h->rc = rc;
	h->first = *first;
	kt_loop_stop(h->loop);
}

static void is(struct world *w, struct kt_session *s, const char *id, enum kt_code rc,
	const char *by)
{
	struct heard h = { .loop = w->loop };

	assert_int_equal(kt_session_outcome(s, id, hear, &h, NULL), KT_OK);
	assert_int_equal(h.n, 0);
	kt_loop_run(w->loop);
	assert_int_equal(h.n, 1);
	assert_int_equal(h.rc, rc);
	if (rc != KT_ECONFLICT)
		return;
	assert_string_equal(h.first.by, by);
	assert_string_equal(h.first.request_id, id);
}

static void what_became_of_it(void **state)
{
	struct world *w = *state;
	struct kt_session *s = create(w);
	char id[5][KT_ID_MAX];
	struct heard h = { .loop = w->loop };

	for (size_t i = 0; i < KT_ARRAY_LEN(id); i++) {
		kt_rand_id("req_", id[i]);
		if (i < 4)
			asked(s, "turn_1", id[i]);
	}
	resolved(s, id[0], "approve_once", "user");
	resolved(s, id[1], "canceled", "harness");
	append(s, KT_EV_ERROR, "turn_2", "{\"code\":\"interrupted\"}");
	append(s, KT_EV_DONE, "turn_2", "{}");
	is(w, s, id[0], KT_ECONFLICT, "user");
	is(w, s, id[1], KT_ECONFLICT, "withdrawn");
	is(w, s, id[2], KT_ECONFLICT, "withdrawn");
	append(s, KT_EV_ERROR, "turn_1", "{\"code\":\"interrupted\"}");
	append(s, KT_EV_DONE, "turn_1", "{}");
	is(w, s, id[3], KT_ECONFLICT, "interrupted");
	is(w, s, id[4], KT_ENOTFOUND, NULL);
	/* What cannot be an id is not looked for. */
	assert_int_equal(kt_session_outcome(s, "req_1", hear, &h, NULL), KT_ENOTFOUND);
	assert_int_equal(kt_session_outcome(s, "", hear, &h, NULL), KT_ENOTFOUND);
	assert_int_equal(w->reg->searches.len, 0);
}

static void so_many_at_once(void **state)
{
	struct world *w = *state;
	struct heard h = { .loop = w->loop };
	struct kt_session *s[KT_MAX_SEARCHES_EACH];
	char id[KT_ID_MAX];
	int begun = 0;

	kt_rand_id("req_", id);
	for (size_t i = 0; i < KT_ARRAY_LEN(s); i++) {
		s[i] = create(w);
		append(s[i], KT_EV_SYSTEM, NULL, "{}");
	}
	for (; begun < KT_MAX_SESSION_SEARCHES; begun++)
		assert_int_equal(kt_session_outcome(s[0], id, hear, &h, NULL), KT_OK);
	assert_int_equal(kt_session_outcome(s[0], id, hear, &h, NULL), KT_ELIMIT);
	for (size_t i = 1; begun < KT_MAX_SEARCHES_EACH; i++, begun++)
		assert_int_equal(kt_session_outcome(s[i], id, hear, &h, NULL), KT_OK);
	assert_int_equal(kt_session_outcome(s[KT_ARRAY_LEN(s) - 1], id, hear, &h, NULL), KT_ELIMIT);
	/* Deleted meanwhile: whoever asked gets an answer all the same. */
	kt_session_delete(s[0]);
	while (h.n < begun)
		kt_loop_run(w->loop);
	assert_int_equal(h.rc, KT_ENOTFOUND);
	assert_int_equal(w->reg->searches.len, 0);
	is(w, s[1], id, KT_ENOTFOUND, NULL);
}

/* tear_down() frees the registry: nobody is told, and nothing is lost. */
static void the_registry_goes(void **state)
{
	struct world *w = *state;
	static struct heard h;
	struct kt_session *s = create(w);
	char id[KT_ID_MAX];

	kt_rand_id("req_", id);
	append(s, KT_EV_SYSTEM, NULL, "{}");
	assert_int_equal(kt_session_outcome(s, id, hear, &h, NULL), KT_OK);
	assert_int_equal(h.n, 0);
}

static void note(void *arg, enum kt_note what, const char *turn_id)
{
	struct world *w = arg;

	if (what == KT_NOTE_TURN_END)
		w->ended++;
	kt_loop_stop(w->loop);
}

static void turn(struct world *w, struct kt_session *s, const char *text)
{
	const struct kt_message m = { .text = text };
	struct kt_sent sent;

	w->ended = 0;
	assert_int_equal(kt_session_send(s, &m, &sent, NULL), KT_OK);
	while (!w->ended)
		kt_loop_run(w->loop);
}

static void transcript_before_a_harness(void **state)
{
	struct world *w = *state;
	struct kt_session *s = create(w);
	const struct kt_message m = { .text = "third" };
	struct kt_sent sent;

	w->watch.note = note;
	w->watch.arg = w;
	kt_watch_add(s, &w->watch);
	turn(w, s, "first");
	turn(w, s, "second");
	/* Its harness goes: the next turn waits for the transcript. */
	kt_harness_kill(KT_STEAL(s->harness));
	(void)kt_vec_remove_ptr(&w->reg->live, s);
	kt_app_unref(KT_STEAL(s->app));
	assert_int_equal(kt_session_send(s, &m, &sent, NULL), KT_OK);
	assert_true(s->turn->held);
	assert_true(s->preparing);
	assert_null(s->harness);
	/* One that ends before it is there leaves nothing to the next. */
	assert_true(kt_session_interrupt(s));
	assert_null(s->turn);
	assert_int_equal(kt_session_send(s, &m, &sent, NULL), KT_OK);
	assert_true(s->turn->held);
	while (!s->turns || s->turn)
		kt_loop_run(w->loop);
	assert_int_equal(s->turns, 4);
	assert_null(s->past);
	assert_false(s->recalled);
	kt_watch_remove(&w->watch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_became_of_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(so_many_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_registry_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(transcript_before_a_harness, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
