/* SPDX-License-Identifier: MIT */
/*
 * Event streams over lost connections. The cursor counts whole events only, and each connection
 * asks for what comes after it; numbers at or below it are dropped. So a cut in mid-frame, a second
 * delivery and a restarted server all come to the same sequence.
 */
#include "client/client_private.h"

#include "base/limits.h"
#include "base/rand.h"
#include "base/str.h"
#include "base/time.h"
#include "text/sse.h"

#include <poll.h>
#include <string.h>

#define EVENT_MAX_BYTES ((size_t)3 * KT_MAX_EVENT_BYTES) /* data, raw, envelope */
/* Three comments missed: the connection is dead. */
#define SILENCE_US (3 * (int64_t)KT_SSE_HEARTBEAT_MS * 1000)
#define SLICE_MS 100
#define LASTED_US 1000000 /* a connection that lasted so long was a good one */

/* How a connection went. */
struct conn {
	struct kt_client *c;
	struct kt_client_follow *f;
	struct kt_sse sse;
	int64_t last_us; /* of the last bytes */
	bool got; /* bytes came */
	bool stopped; /* a callback said stop */
	bool ended; /* the turn's end was given */
	bool dead; /* silent for too long */
	enum kt_code broken; /* KT_OK, or why its bytes make no sense */
	struct kt_err err;
};

static void tell(const struct kt_client_follow *f, enum kt_client_state state)
{
	if (f->state)
		f->state(f->arg, state);
}

static bool give(struct conn *cn, const struct kt_client_event *ev)
{
	struct kt_client_follow *f = cn->f;

	/* The first event after a message is the message itself, under the id of its turn. */
	if (f->message && !f->turn_id[0] && ev->turn_id)
		kt_str_copy(f->turn_id, sizeof(f->turn_id), ev->turn_id);
	if (ev->seq)
		f->cursor = ev->seq;
	if (!f->event(f->arg, ev))
		cn->stopped = true;
	if (f->turn_id[0] && kt_str_eq(ev->type, "done") && kt_str_eq(ev->turn_id, f->turn_id))
		cn->ended = true;
	return !cn->stopped && !cn->ended;
}

static bool on_frame(void *arg, const struct kt_sse_event *frame)
{
	struct conn *cn = arg;
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_client_event ev = { .json = frame->data, .json_len = frame->data_len };
	int64_t seq;

	cn->broken = kt_json_parse(frame->data, frame->data_len, KT_JSON_LENIENT, &doc, NULL);
	if (cn->broken != KT_OK || !cJSON_IsObject(doc)) {
		cn->broken = kt_fail(
			&cn->err, KT_EPROTO, 0, "the server sent an event that is no JSON");
		return false;
	}
	seq = kt_json_int(doc, "seq", 0);
	if (seq <= 0 && !kt_str_int64(frame->id, 1, INT64_MAX, &seq))
		seq = 0;
	ev.seq = (uint64_t)seq;
	if (ev.seq && ev.seq <= cn->f->cursor)
		return true;
	ev.type = kt_json_str_or(doc, "type", frame->event);
	ev.turn_id = kt_json_str(doc, "turn_id");
	ev.parent = kt_json_str(doc, "parent_tool_use_id");
	ev.time_ms = kt_json_int(doc, "timestamp", 0);
	ev.data = kt_json_obj(doc, "data");
	return give(cn, &ev);
}

static bool on_data(void *arg, const char *data, size_t len)
{
	struct conn *cn = arg;
	enum kt_code rc;

	if (!cn->got)
		tell(cn->f, KT_CLIENT_OPEN);
	cn->got = true;
	cn->c->seen = true;
	cn->last_us = kt_mono_us();
	rc = kt_sse_feed(&cn->sse, data, len, on_frame, cn, &cn->err);
	if (rc == KT_ELIMIT)
		cn->broken = rc;
	return rc == KT_OK;
}

static bool on_poll(void *arg)
{
	struct conn *cn = arg;

	if (cn->f->poll && !cn->f->poll(cn->f->arg)) {
		cn->stopped = true;
		return false;
	}
	cn->dead = kt_mono_us() - cn->last_us > SILENCE_US;
	return !cn->dead;
}

static char *follow_path(const struct kt_client_follow *f)
{
	KT_AUTOFREE char *rest = NULL;

	if (f->message && !f->cursor)
		return client_session_path(f->session_id, "/messages");
	rest = kt_asprintf("/events?after=%llu%s", (unsigned long long)f->cursor,
		f->until_idle || f->turn_id[0] ? "&until=idle" : "");
	return client_session_path(f->session_id, rest);
}

/*
 * One connection. A message is posted again with its key as long as no event of it was seen: the
 * server then streams the turn that it has, or starts it.
 */
static enum kt_code connect_once(struct kt_client *c, struct conn *cn, const char *body,
	struct kt_http_reply *r, struct kt_err *err)
{
	struct kt_client_follow *f = cn->f;
	KT_AUTOFREE char *path = follow_path(f);
	bool post = f->message && !f->cursor;
	const struct client_request rq = { .method = post ? "POST" : "GET",
		.path = path,
		.body = post ? body : NULL,
		.key = post ? f->key : NULL,
		.accept = "text/event-stream",
		.total_ms = -1 };
	const struct kt_http_call hook = {
		.on_data = on_data, .on_poll = on_poll, .arg = cn, .watch_fd = f->watch_fd
	};
	enum kt_code rc;

	kt_sse_init(&cn->sse, EVENT_MAX_BYTES);
	cn->last_us = kt_mono_us();
	rc = client_do(c, &rq, &hook, r, err);
	kt_sse_release(&cn->sse);
	return rc;
}

/* Wait before the next try, with the caller's poll going on. False: it said stop. */
static bool pause_for(const struct kt_client_follow *f, int64_t ms)
{
	int64_t until = kt_mono_us() + ms * 1000;

	for (;;) {
		int64_t left = (until - kt_mono_us()) / 1000;
		struct pollfd p = { f->watch_fd, POLLIN, 0 };

		if (left <= 0)
			return true;
		(void)poll(&p, f->watch_fd > 0, (int)KT_MIN(left, SLICE_MS));
		if (f->poll && !f->poll(f->arg))
			return false;
	}
}

/* What a connection that is over means: KT_OK done, KT_EUNAVAIL try again, others are final. */
static enum kt_code judge(struct kt_client *c, struct conn *cn, enum kt_code rc,
	const struct kt_http_reply *r, struct kt_err *err)
{
	const struct kt_client_follow *f = cn->f;

	if (cn->ended)
		return KT_OK;
	if (cn->stopped)
		return kt_fail(err, KT_ECANCEL, 0, "interrupted");
	if (cn->broken != KT_OK) {
		*err = cn->err;
		return cn->broken;
	}
	if (rc != KT_OK && !cn->dead)
		return rc == KT_ETIMEOUT && c->seen ? KT_EUNAVAIL : rc;
	if (rc == KT_OK && r->status == 204) {
		if (!f->turn_id[0])
			return f->until_idle ? KT_OK : KT_EUNAVAIL;
		return kt_fail(err, KT_EPROTO, 0, "the server no longer knows how the turn ended");
	}
	if (rc == KT_OK && r->status != 200) {
		rc = client_problem(r, err);
		return client_may_retry(c, rc, r->status) ? KT_EUNAVAIL
			: rc == KT_EUNAVAIL               ? KT_ELIMIT
							  : rc;
	}
	return kt_fail(err, KT_EUNAVAIL, 0, "the connection to %s was lost", c->base);
}

static enum kt_code prepare(struct kt_client_follow *f, char **out_body, struct kt_err *err)
{
	char key[KT_ID_MAX];

	if (!f->message)
		return KT_OK;
	*out_body = client_message_body(f->message, err);
	if (!*out_body)
		return KT_ELIMIT;
	if (f->key[0])
		return KT_OK;
	kt_rand_id("cli_", key);
	if (!kt_str_copy(f->key, sizeof(f->key),
		    f->message->idempotency_key ? f->message->idempotency_key : key))
		return kt_fail(err, KT_EINVAL, 0, "the idempotency key is longer than %d bytes",
			KT_CLIENT_ID_MAX - 1);
	return KT_OK;
}

enum kt_code kt_client_follow(struct kt_client *c, struct kt_client_follow *f, struct kt_err *err)
{
	KT_AUTOFREE char *body = NULL;
	struct kt_err own = KT_ERR_INIT;
	int64_t lost_us = 0;
	int fails = 0;
	enum kt_code rc;

	if (!err)
		err = &own;
	rc = prepare(f, &body, err);

	while (rc == KT_OK) {
		struct conn cn = { .c = c, .f = f };
		int64_t began_us = kt_mono_us();
		uint64_t before = f->cursor;
		struct kt_http_reply r;

		rc = connect_once(c, &cn, body, &r, err);
		rc = judge(c, &cn, rc, &r, err);
		kt_http_reply_release(&r);
		if (rc != KT_EUNAVAIL || !c->seen)
			return rc;
		rc = KT_OK;
		if (f->cursor != before || kt_mono_us() - began_us > LASTED_US)
			fails = 0;
		if (!fails++) {
			/* A stream that worked and ended is worth no word and no pause. */
			lost_us = kt_mono_us();
			continue;
		}
		if (fails == 2)
			tell(f, KT_CLIENT_LOST);
		if (f->give_up_ms && kt_mono_us() - lost_us > f->give_up_ms * 1000)
			return kt_fail(err, KT_EUNAVAIL, 0, "lost the server at %s", c->base);
		if (!pause_for(f, client_backoff_ms(fails - 1)))
			return kt_fail(err, KT_ECANCEL, 0, "interrupted");
	}
	return rc;
}
