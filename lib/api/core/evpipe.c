/* SPDX-License-Identifier: MIT */
/*
 * A log as the answer to a request: a reader with a cursor behind an HTTP stream, for the logs of
 * sessions, builds and projects alike. The bytes go from the log's segments to the socket as they
 * are, or in a form that is made of them on the way (a page as JSON, the lines that a filter lets
 * through); the client leaving ends the reader and nothing else.
 */
#include "api/core/log_private.h"

#include "base/str.h"

#include <string.h>

void kt_evpipe_end(struct kt_evpipe *p)
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

static size_t evpipe_peek(void *arg, const char **out, size_t max)
{
	struct kt_evpipe *p = arg;

	if (p->form)
		return p->form->peek(p->arg, out, max);
	return p->reader ? kt_evreader_peek(p->reader, out, max) : 0;
}

static void on_evpipe_sent(void *arg, size_t n)
{
	struct kt_evpipe *p = arg;

	if (p->form) {
		p->form->sent(p->arg, n);
	} else if (p->reader) {
		kt_evreader_advance(p->reader, n);
		if (kt_evreader_done(p->reader))
			kt_evpipe_end(p);
	}
}

static bool evpipe_at_boundary(void *arg)
{
	struct kt_evpipe *p = arg;

	if (p->form)
		return !p->form->at_boundary || p->form->at_boundary(p->arg);
	return !p->reader || kt_evreader_at_boundary(p->reader);
}

static void on_evpipe_closed(void *arg)
{
	struct kt_evpipe *p = arg;

	kt_api_guard_remove(&p->guard);
	kt_loop_undefer(p->loop, &p->finish);
	kt_evreader_free(KT_STEAL(p->reader));
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
	struct kt_evpipe *p = arg;

	if (!p->form) {
		kt_evpipe_stop_here(p);
		return;
	}
	if (p->form->revoked)
		p->form->revoked(p->arg);
	kt_evpipe_end(p);
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
	p->arg = arg;
	kt_evpipe_again(p, log, after_seq);
	kt_api_guard_add(c, &p->guard, on_evpipe_revoked, p);
}

void kt_evpipe_again(struct kt_evpipe *p, struct kt_evlog *log, uint64_t after_seq)
{
	kt_evreader_free(p->reader);
	p->reader = kt_evreader_new(log, after_seq, evpipe_wake, p);
}

void kt_evpipe_begin(struct kt_evpipe *p)
{
	if (!p->form && p->reader && kt_evreader_done(p->reader))
		kt_evpipe_end(p);
	kt_stream_begin(p->ex, 200, p->type ? p->type : "text/event-stream", !p->type, &ops, p);
}

void kt_evpipe_stop_here(struct kt_evpipe *p)
{
	if (!p->reader)
		return;
	kt_evreader_stop_here(p->reader);
	if (kt_evreader_done(p->reader))
		kt_evpipe_end(p);
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
	kt_evpipe_end(p);
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
