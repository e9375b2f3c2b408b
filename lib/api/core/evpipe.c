/* SPDX-License-Identifier: MIT */
/*
 * The bytes of a log as the answer to a request: a reader with a cursor behind an HTTP stream, for
 * the logs of sessions, builds and projects alike. The bytes go from the log's segments to the
 * socket as they are, or are told as lines of text; the client leaving ends the reader and nothing
 * else.
 */
#include "api/core/log_private.h"

#include "base/str.h"

#include <string.h>

#define TELL_BYTES 32768 /* of frames, made text in one step */
#define TEXT_MAX_BYTES ((size_t)8 * 1024 * 1024) /* of one frame is less */

static void evpipe_end_later(struct kt_evpipe *p)
{
	if (!p->ended)
		kt_loop_defer(p->loop, &p->finish);
}

/* Outside of the connection's callbacks, because ending frees the stream. */
static void evpipe_finish(void *arg)
{
	struct kt_evpipe *p = arg;

	if (p->ended)
		return;
	p->ended = true;
	kt_stream_end(p->ex);
}

static bool tell_frame(void *arg, const struct kt_evframe *f)
{
	struct kt_evpipe *p = arg;

	p->tell(f, &p->text);
	return true;
}

/* With tell: make text of what the reader has, a piece at a time. */
static void evpipe_tell(struct kt_evpipe *p)
{
	enum kt_evwalked was = KT_WALK_MORE;

	kt_buf_clear(&p->text);
	p->text_at = 0;
	while (p->reader && was == KT_WALK_MORE && !p->text.len)
		was = kt_evwalk_reader(&p->walk, p->reader, TELL_BYTES, tell_frame, p);
	if (was == KT_WALK_DAMAGED)
		evpipe_end_later(p);
}

static size_t peek_text(struct kt_evpipe *p, const char **out, size_t max)
{
	if (p->text_at == p->text.len)
		evpipe_tell(p);
	/* Frames that are told by nothing were the last. */
	if (p->text_at == p->text.len && p->reader && kt_evreader_done(p->reader))
		evpipe_end_later(p);
	*out = p->text.ptr + p->text_at;
	return KT_MIN(p->text.len - p->text_at, max);
}

static size_t evpipe_peek(void *arg, const char **out, size_t max)
{
	struct kt_evpipe *p = arg;

	if (p->tell)
		return peek_text(p, out, max);
	return p->reader ? kt_evreader_peek(p->reader, out, max) : 0;
}

static void on_evpipe_sent(void *arg, size_t n)
{
	struct kt_evpipe *p = arg;

	if (p->tell)
		p->text_at += n;
	else if (p->reader)
		kt_evreader_advance(p->reader, n);
	if (p->reader && p->text_at == p->text.len && kt_evreader_done(p->reader))
		evpipe_end_later(p);
}

static bool evpipe_at_boundary(void *arg)
{
	struct kt_evpipe *p = arg;

	if (p->tell)
		return !p->text_at || p->text.ptr[p->text_at - 1] == '\n';
	return !p->reader || kt_evreader_at_boundary(p->reader);
}

static void on_evpipe_closed(void *arg)
{
	struct kt_evpipe *p = arg;

	kt_api_guard_remove(&p->guard);
	kt_loop_undefer(p->loop, &p->finish);
	kt_evreader_free(KT_STEAL(p->reader));
	kt_evwalk_release(&p->walk);
	kt_buf_release(&p->text);
	p->closed(p->arg);
}

static void evpipe_wake(void *arg)
{
	struct kt_evpipe *p = arg;

	if (p->woke)
		p->woke(p->arg);
	kt_stream_wake(p->ex);
}

static void on_evpipe_revoked(void *arg)
{
	kt_evpipe_stop_here(arg);
}

static const struct kt_stream_ops ops = { evpipe_peek, on_evpipe_sent, on_evpipe_closed,
	evpipe_at_boundary };

void kt_evpipe_open(struct kt_evpipe *p, struct kt_call *c, struct kt_evlog *log,
	uint64_t after_seq, kt_loop_fn closed_fn, void *arg)
{
	p->ex = c->ex;
	p->loop = kt_sessions_loop(c->api->cfg.sessions);
	p->finish.fn = evpipe_finish;
	p->finish.arg = p;
	p->closed = closed_fn;
	kt_evwalk_init(&p->walk);
	kt_buf_init(&p->text, TEXT_MAX_BYTES);
	p->arg = arg;
	p->reader = kt_evreader_new(log, after_seq, evpipe_wake, p);
	kt_api_guard_add(c, &p->guard, on_evpipe_revoked, p);
}

void kt_evpipe_begin(struct kt_evpipe *p)
{
	if (p->reader && kt_evreader_done(p->reader))
		evpipe_end_later(p);
	if (p->tell)
		kt_stream_lines(p->ex);
	kt_stream_begin(
		p->ex, 200, p->tell ? "text/plain; charset=utf-8" : NULL, !p->tell, &ops, p);
}

void kt_evpipe_stop_here(struct kt_evpipe *p)
{
	if (!p->reader)
		return;
	kt_evreader_stop_here(p->reader);
	if (kt_evreader_done(p->reader))
		evpipe_end_later(p);
	else
		kt_stream_wake(p->ex);
}

void kt_evpipe_stop_after(struct kt_evpipe *p, uint64_t seq)
{
	if (p->reader)
		kt_evreader_stop_after(p->reader, seq);
}

void kt_evpipe_drop(struct kt_evpipe *p)
{
	kt_evreader_free(KT_STEAL(p->reader));
	evpipe_end_later(p);
}

bool kt_api_cursor(struct kt_call *c, uint64_t *out, bool *out_given)
{
	const char *header = kt_request_header(c->rq, "last-event-id");
	int64_t v = -1;

	if (!header || !*header) {
		if (!kt_api_query_int(c, "after", 0, INT64_MAX, &v))
			return false;
	} else if (!kt_str_int64(header, 0, INT64_MAX, &v)) {
		kt_api_fail(c, 400, "bad_cursor", "Last-Event-ID must be a sequence number", NULL);
		return false;
	}
	*out_given = v >= 0;
	*out = v >= 0 ? (uint64_t)v : 0;
	return true;
}
