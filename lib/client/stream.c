/* SPDX-License-Identifier: MIT */
/*
 * One connection with an event stream: frames become events, numbers at or below the cursor are
 * dropped, silence ends it. What to do when it is over is up to follow.c, tail.c and publish.c.
 */
#include "client/client_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"

#include <poll.h>
#include <string.h>

#define EVENT_MAX_BYTES ((size_t)3 * KT_MAX_EVENT_BYTES) /* data, raw, envelope */
/* Three comments missed: the connection is dead. */
#define SILENCE_US (3 * (int64_t)KT_SSE_HEARTBEAT_MS * 1000)
#define SLICE_MS 100

static bool on_frame(void *arg, const struct kt_sse_event *frame)
{
	struct client_stream *st = arg;
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_client_event ev = { .json = frame->data, .json_len = frame->data_len };
	int64_t seq;

	st->broken = kt_json_parse(frame->data, frame->data_len, KT_JSON_LENIENT, &doc, NULL);
	if (st->broken != KT_OK || !cJSON_IsObject(doc)) {
		st->broken = kt_fail(
			&st->err, KT_EPROTO, 0, "the server sent an event that is no JSON");
		return false;
	}
	seq = kt_json_int(doc, "seq", 0);
	if (seq <= 0 && !kt_str_int64(frame->id, 1, INT64_MAX, &seq))
		seq = 0;
	ev.seq = (uint64_t)seq;
	if (ev.seq && ev.seq <= *st->cursor)
		return true;
	ev.doc = doc;
	ev.type = kt_json_str_or(doc, "type", frame->event);
	ev.turn_id = kt_json_str(doc, "turn_id");
	ev.parent = kt_json_str(doc, "parent_tool_use_id");
	ev.time_ms = kt_json_int(doc, "timestamp", 0);
	ev.data = kt_json_obj(doc, "data");
	if (ev.seq)
		*st->cursor = ev.seq;
	if (!st->event(st->arg, &ev))
		st->stopped = true;
	return !st->stopped;
}

/* An id without an event: where to go on, before anything came. */
static void take_place(struct client_stream *st)
{
	int64_t id;

	if (!st->sse.id[0] || !kt_str_int64(st->sse.id, 0, INT64_MAX, &id))
		return;
	st->placed = true;
	*st->cursor = KT_MAX(*st->cursor, (uint64_t)id);
}

/* An event stream begins neither with a brace nor with a version. */
static void tell_kind(struct client_stream *st, const char *data, size_t len)
{
	st->is_json = st->json && len && data[0] == '{';
	st->is_text = st->line && len && data[0] == 'v';
}

/* Lines as they are whole; an empty one is a heartbeat. */
static bool feed_lines(struct client_stream *st, const char *data, size_t len)
{
	while (len) {
		const char *end = memchr(data, '\n', len);
		size_t n = end ? (size_t)(end - data) : len;

		kt_buf_add(&st->rest, data, n);
		if (!kt_buf_ok(&st->rest)) {
			st->broken = kt_fail(&st->err, KT_EPROTO, 0,
				"the server sent a line of more than %zu bytes", EVENT_MAX_BYTES);
			return false;
		}
		if (!end)
			return true;
		if (st->rest.len && !st->line(st->arg, st->rest.ptr)) {
			st->stopped = true;
			return false;
		}
		kt_buf_clear(&st->rest);
		data += n + 1;
		len -= n + 1;
	}
	return true;
}

static bool on_data(void *arg, const char *data, size_t len)
{
	struct client_stream *st = arg;
	enum kt_code rc;

	if (!st->got)
		tell_kind(st, data, len);
	if (!st->got && st->open)
		st->open(st->arg);
	st->got = true;
	st->c->seen = true;
	st->last_us = kt_mono_us();
	if (st->is_text)
		return feed_lines(st, data, len);
	if (st->is_json) {
		kt_buf_add(st->json, data, len);
		return kt_buf_ok(st->json);
	}
	rc = kt_sse_feed(&st->sse, data, len, on_frame, st, &st->err);
	if (rc == KT_ELIMIT)
		st->broken = rc;
	take_place(st);
	return rc == KT_OK;
}

static bool on_stream_poll(void *arg)
{
	struct client_stream *st = arg;
	int64_t patience_us = st->got || !st->patience_us ? SILENCE_US : st->patience_us;

	if (st->poll && !st->poll(st->arg)) {
		st->stopped = true;
		return false;
	}
	if (st->sent && st->sent->bytes != st->last_sent) {
		st->last_sent = st->sent->bytes;
		st->last_us = kt_mono_us();
	}
	st->dead = kt_mono_us() - st->last_us > patience_us;
	return !st->dead;
}

enum kt_code kt_client_stream_run(struct kt_client *c, const struct client_request *rq,
	struct client_stream *st, struct kt_http_reply *out, struct kt_err *err)
{
	const struct kt_http_call hook = {
		.on_data = on_data, .on_poll = on_stream_poll, .arg = st, .watch_fd = st->watch_fd
	};
	enum kt_code rc;

	st->c = c;
	st->sent = rq->sent;
	st->last_us = kt_mono_us();
	kt_buf_init(&st->rest, EVENT_MAX_BYTES);
	kt_sse_init(&st->sse, EVENT_MAX_BYTES);
	rc = kt_client_do(c, rq, &hook, out, err);
	kt_sse_release(&st->sse);
	kt_buf_release(&st->rest);
	return rc;
}

bool kt_client_pause(int64_t ms, bool (*poll_fn)(void *arg), void *arg, int watch_fd)
{
	int64_t until = kt_mono_us() + ms * 1000;

	for (;;) {
		int64_t left = (until - kt_mono_us()) / 1000;
		struct pollfd p = { watch_fd, POLLIN, 0 };

		if (left <= 0)
			return true;
		(void)poll(&p, watch_fd > 0, (int)KT_MIN(left, SLICE_MS));
		if (poll_fn && !poll_fn(arg))
			return false;
	}
}
