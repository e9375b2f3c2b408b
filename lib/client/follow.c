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

#include <string.h>

#define LASTED_US 1000000 /* a connection that lasted so long was a good one */

/* How a connection went. */
struct conn {
	struct kt_client_follow *f;
	struct client_stream st;
	bool ended; /* the turn's end was given */
};

static void tell_follow_state(const struct kt_client_follow *f, enum kt_client_state state)
{
	if (f->state)
		f->state(f->arg, state);
}

static bool on_follow_event(void *arg, const struct kt_client_event *ev)
{
	struct conn *cn = arg;
	struct kt_client_follow *f = cn->f;
	bool more;

	/* The first event after a message is the message itself, under the id of its turn. */
	if (f->message && !f->turn_id[0] && ev->turn_id)
		kt_str_copy(f->turn_id, sizeof(f->turn_id), ev->turn_id);
	more = f->event(f->arg, ev);
	if (f->turn_id[0] && kt_str_eq(ev->type, "done") && kt_str_eq(ev->turn_id, f->turn_id))
		cn->ended = true;
	return more && !cn->ended;
}

static bool on_follow_poll(void *arg)
{
	struct conn *cn = arg;

	return !cn->f->poll || cn->f->poll(cn->f->arg);
}

static void on_follow_open(void *arg)
{
	tell_follow_state(((struct conn *)arg)->f, KT_CLIENT_OPEN);
}

static char *follow_path(const struct kt_client_follow *f)
{
	KT_AUTOFREE char *rest = NULL;

	if (f->message && !f->cursor)
		return kt_client_session_path(f->session_id, "/messages");
	rest = kt_asprintf("/events?after=%llu%s", (unsigned long long)f->cursor,
		f->until_idle || f->turn_id[0] ? "&until=idle" : "");
	return kt_client_session_path(f->session_id, rest);
}

/*
 * One connection. A message is posted again with its key as long as no event of it was seen: the
 * server then streams the turn that it has, or starts it.
 */
static enum kt_code follow_once(struct kt_client *c, struct conn *cn, const char *body,
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

	cn->st = (struct client_stream){ .cursor = &f->cursor,
		.event = on_follow_event,
		.poll = on_follow_poll,
		.open = on_follow_open,
		.arg = cn,
		.watch_fd = f->watch_fd };
	return kt_client_stream_run(c, &rq, &cn->st, r, err);
}

/* What a connection that is over means: KT_OK done, KT_EUNAVAIL try again, others are final. */
static enum kt_code judge_follow(struct kt_client *c, struct conn *cn, enum kt_code rc,
	const struct kt_http_reply *r, struct kt_err *err)
{
	const struct kt_client_follow *f = cn->f;

	if (cn->ended)
		return KT_OK;
	if (cn->st.stopped)
		return kt_fail(err, KT_ECANCEL, 0, "interrupted");
	if (cn->st.broken != KT_OK) {
		*err = cn->st.err;
		return cn->st.broken;
	}
	if (rc != KT_OK && !cn->st.dead)
		return rc == KT_ETIMEOUT && c->seen ? KT_EUNAVAIL : rc;
	if (rc == KT_OK && r->status == 204) {
		if (!f->turn_id[0])
			return f->until_idle ? KT_OK : KT_EUNAVAIL;
		return kt_fail(err, KT_EPROTO, 0, "the server no longer knows how the turn ended");
	}
	if (rc == KT_OK && r->status != 200) {
		rc = kt_client_take_problem(c, r, err);
		return kt_client_may_retry(c, rc, r->status) ? KT_EUNAVAIL
			: rc == KT_EUNAVAIL                  ? KT_ELIMIT
							     : rc;
	}
	return kt_fail(err, KT_EUNAVAIL, 0, "the connection to %s was lost", c->base);
}

static enum kt_code prepare_follow(struct kt_client_follow *f, char **out_body, struct kt_err *err)
{
	char key[KT_ID_MAX];

	if (!f->message)
		return KT_OK;
	*out_body = kt_client_message_body(f->message, err);
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
	rc = prepare_follow(f, &body, err);

	while (rc == KT_OK) {
		struct conn cn = { .f = f };
		int64_t began_us = kt_mono_us();
		uint64_t before = f->cursor;
		struct kt_http_reply r;

		rc = follow_once(c, &cn, body, &r, err);
		rc = judge_follow(c, &cn, rc, &r, err);
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
			tell_follow_state(f, KT_CLIENT_LOST);
		if (f->give_up_ms && kt_mono_us() - lost_us > f->give_up_ms * 1000)
			return kt_fail(err, KT_EUNAVAIL, 0, "lost the server at %s", c->base);
		if (!kt_client_pause(kt_client_backoff_ms(fails - 1), f->poll, f->arg, f->watch_fd))
			return kt_fail(err, KT_ECANCEL, 0, "interrupted");
	}
	return rc;
}
