/* SPDX-License-Identifier: MIT */
/* Event streams of sessions: a log's bytes, until a turn ends or none runs any more. */
#include "api/sessions/sessions_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "text/json.h"

#include <string.h>

struct stream {
	struct kt_evpipe pipe;
	struct kt_watch watch;
	char turn_id[KT_ID_MAX]; /* "" = any */
	bool until_idle;
};

static void on_stream_closed(void *arg)
{
	struct stream *st = arg;

	kt_watch_remove(&st->watch);
	free(st);
}

static void on_stream_note(void *arg, enum kt_note what, const char *turn_id)
{
	struct stream *st = arg;
	const struct kt_session *s = st->watch.session;

	switch (what) {
	case KT_NOTE_GONE:
		kt_watch_remove(&st->watch);
		kt_evpipe_drop(&st->pipe);
		return;
	case KT_NOTE_TURN_END:
		if ((st->turn_id[0] && kt_str_eq(st->turn_id, turn_id)) ||
			(st->until_idle && !s->queue.len))
			kt_evpipe_stop_here(&st->pipe);
		return;
	case KT_NOTE_PAUSED:
		return;
	}
}

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
	st->until_idle = start->until_idle;
	if (start->turn_id)
		kt_str_copy(st->turn_id, sizeof(st->turn_id), start->turn_id);
	st->watch.note = on_stream_note;
	st->watch.arg = st;
	kt_watch_add(s, &st->watch);
	kt_evpipe_open(&st->pipe, c, log, start->after_seq, on_stream_closed, st);
	kt_exchange_header(c->ex, "Karta-Session-Id", s->id);
	if (start->turn_id)
		kt_exchange_header(c->ex, "Karta-Turn-Id", start->turn_id);
	/* The turn is over already (a replayed request, or one that ended at once). */
	bool over = st->turn_id[0] && !kt_api_turn_open(s, st->turn_id);
	uint64_t end = 0;
	/* So far behind that it is not found, a replayed stream of it ends with the log instead. */
	if (over)
		end = kt_turn_end(log, st->turn_id, start->after_seq, KT_MAX_EVENT_BYTES);
	if (end)
		kt_evpipe_stop_after(&st->pipe, end);
	else if (over || (st->until_idle && !s->turn && !s->queue.len))
		kt_evreader_stop_here(st->pipe.reader);
	kt_evpipe_begin(&st->pipe);
}
