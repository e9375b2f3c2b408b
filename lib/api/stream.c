/* SPDX-License-Identifier: MIT */
/*
 * Event streams: a reader with a cursor behind an HTTP response. The bytes go from the log's
 * segments to the socket as they are; the client leaving ends the reader and nothing else.
 */
#include "api/api_private.h"

#include "base/str.h"

#include <string.h>

struct stream {
	struct kt_exchange *ex;
	struct kt_evreader *reader; /* NULL once the session is gone */
	struct kt_watch watch;
	struct kt_defer finish;
	struct kt_loop *loop;
	char turn_id[KT_ID_MAX]; /* "" = any */
	bool until_idle;
	bool ended;
};

static void end_later(struct stream *st)
{
	if (!st->ended)
		kt_loop_defer(st->loop, &st->finish);
}

/* Outside of the connection's callbacks, because ending frees the stream. */
static void finish(void *arg)
{
	struct stream *st = arg;

	if (st->ended)
		return;
	st->ended = true;
	kt_stream_end(st->ex);
}

static size_t peek(void *arg, const char **out, size_t max)
{
	struct stream *st = arg;

	return st->reader ? kt_evreader_peek(st->reader, out, max) : 0;
}

static void sent(void *arg, size_t n)
{
	struct stream *st = arg;

	if (!st->reader)
		return;
	kt_evreader_advance(st->reader, n);
	if (kt_evreader_done(st->reader))
		end_later(st);
}

static bool at_boundary(void *arg)
{
	struct stream *st = arg;

	return !st->reader || kt_evreader_at_boundary(st->reader);
}

static void closed(void *arg)
{
	struct stream *st = arg;

	kt_watch_remove(&st->watch);
	kt_loop_undefer(st->loop, &st->finish);
	kt_evreader_free(st->reader);
	free(st);
}

static void wake(void *arg)
{
	struct stream *st = arg;

	kt_stream_wake(st->ex);
}

static void stop_here(struct stream *st)
{
	kt_evreader_stop_here(st->reader);
	if (kt_evreader_done(st->reader))
		end_later(st);
	else
		kt_stream_wake(st->ex);
}

static void note(void *arg, enum kt_note what, const char *turn_id)
{
	struct stream *st = arg;
	const struct kt_session *s = st->watch.session;

	switch (what) {
	case KT_NOTE_GONE:
		kt_watch_remove(&st->watch);
		kt_evreader_free(KT_STEAL(st->reader));
		end_later(st);
		return;
	case KT_NOTE_TURN_END:
		if (st->reader &&
			((st->turn_id[0] && kt_str_eq(st->turn_id, turn_id)) ||
				(st->until_idle && !s->queue.len)))
			stop_here(st);
		return;
	case KT_NOTE_PAUSED:
		return;
	}
}

static const struct kt_stream_ops ops = { peek, sent, closed, at_boundary };

void kt_api_stream(struct kt_call *c, struct kt_session *s, const struct kt_stream_start *start)
{
	struct kt_err err = KT_ERR_INIT;
	struct kt_evlog *log;
	struct stream *st;

	if (kt_session_log(s, &log, &err) != KT_OK) {
		kt_api_fail_err(c, &err);
		return;
	}
	st = kt_calloc(1, sizeof(*st));
	st->ex = c->ex;
	st->loop = kt_sessions_loop(c->api->cfg.sessions);
	st->finish.fn = finish;
	st->finish.arg = st;
	st->until_idle = start->until_idle;
	if (start->turn_id)
		kt_str_copy(st->turn_id, sizeof(st->turn_id), start->turn_id);
	st->watch.note = note;
	st->watch.arg = st;
	kt_watch_add(s, &st->watch);
	st->reader = kt_evreader_new(log, start->after_seq, wake, st);
	kt_exchange_header(c->ex, "Karta-Session-Id", s->id);
	if (start->turn_id)
		kt_exchange_header(c->ex, "Karta-Turn-Id", start->turn_id);
	/* The turn is over already (a replayed request, or one that ended at once). */
	if (st->turn_id[0] && !kt_api_turn_open(s, st->turn_id))
		kt_evreader_stop_after(
			st->reader, kt_api_turn_end_seq(log, st->turn_id, start->after_seq));
	else if (st->until_idle && !s->turn && !s->queue.len)
		kt_evreader_stop_here(st->reader);
	if (kt_evreader_done(st->reader))
		end_later(st);
	/* May call closed() at once (HEAD): st is not touched any more. */
	kt_stream_begin(c->ex, "text/event-stream", true, &ops, st);
}
