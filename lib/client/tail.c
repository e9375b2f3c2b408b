/* SPDX-License-Identifier: MIT */
/*
 * The management API's calls that have no function of their own: any JSON call, downloads, and
 * event streams that are followed across lost connections.
 */
#include "client/client_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/rand.h"
#include "base/str.h"
#include "base/time.h"
#include "net/url.h"

#include <string.h>

#define LASTED_US 1000000 /* a connection that lasted so long was a good one */

void kt_url_segment(struct kt_buf *out, const char *segment)
{
	kt_url_add_segment(out, segment);
}

enum kt_code kt_client_call(struct kt_client *c, const char *method, const char *path,
	const char *body, cJSON **out, struct kt_err *err)
{
	bool get = !strcmp(method, "GET"), changes = !get && strcmp(method, "DELETE") != 0;
	char key[KT_ID_MAX];
	const struct client_request rq = {
		.method = method, .path = path, .body = body, .key = changes ? key : NULL
	};
	cJSON *doc = NULL;
	enum kt_code rc;
	int status;

	kt_rand_id("cli_", key);
	/* A DELETE once: a repetition of one that worked would say that there is no such thing. */
	if (get || changes)
		rc = kt_client_call_rq(c, &rq, &doc, err);
	else
		rc = kt_client_call_once(c, &rq, &doc, &status, err);
	if (!get && !changes)
		kt_client_suggest(c, rc, err);
	if (rc == KT_OK && out)
		*out = doc;
	else
		cJSON_Delete(doc);
	return rc;
}

/* --- downloads --------------------------------------------------------------------------- */

struct download {
	int fd;
	enum kt_code failed;
	struct kt_err err;
};

static bool save_piece(void *arg, const char *data, size_t len)
{
	struct download *d = arg;

	d->failed = kt_fs_write_all(d->fd, data, len, &d->err);
	return d->failed == KT_OK;
}

enum kt_code kt_client_download(struct kt_client *c, const char *path, int fd, struct kt_err *err)
{
	const struct client_request rq = {
		.method = "GET", .path = path, .accept = "*/*", .total_ms = -1
	};
	struct download d = { .fd = fd };
	const struct kt_http_call hook = { .on_data = save_piece, .arg = &d };
	struct kt_http_reply r;
	enum kt_code rc;

	kt_client_forget_problem(c);
	rc = kt_client_do(c, &rq, &hook, &r, err);
	if (d.failed != KT_OK) {
		rc = d.failed;
		if (err)
			*err = d.err;
	} else if (rc == KT_OK && (r.status < 200 || r.status > 299)) {
		rc = kt_client_take_problem(c, &r, err);
	}
	kt_http_reply_release(&r);
	return rc;
}

/* --- streams ----------------------------------------------------------------------------- */

struct tail {
	struct kt_client_tail *t;
	bool done; /* event() said that this was all */
};

static bool on_tail_event(void *arg, const struct kt_client_event *ev)
{
	struct tail *tl = arg;

	tl->done = !tl->t->event(tl->t->arg, ev);
	return !tl->done;
}

static bool on_tail_poll(void *arg)
{
	const struct kt_client_tail *t = ((struct tail *)arg)->t;

	return !t->poll || t->poll(t->arg);
}

static void tell_tail_state(const struct kt_client_tail *t, enum kt_client_state state)
{
	if (t->state)
		t->state(t->arg, state);
}

static void on_tail_open(void *arg)
{
	tell_tail_state(((struct tail *)arg)->t, KT_CLIENT_OPEN);
}

static char *tail_path(const struct kt_client_tail *t)
{
	if (!t->cursor && !t->from_start_given)
		return kt_strdup(t->path);
	return kt_asprintf("%s%cafter=%llu", t->path, strchr(t->path, '?') ? '&' : '?',
		(unsigned long long)t->cursor);
}

/* One connection: KT_OK it is over for good, KT_EUNAVAIL try again, others are final. */
static enum kt_code tail_once(struct kt_client *c, struct tail *tl, struct kt_err *err)
{
	KT_AUTOFREE char *path = tail_path(tl->t);
	const struct client_request rq = {
		.method = "GET", .path = path, .accept = "text/event-stream", .total_ms = -1
	};
	struct client_stream st = { .cursor = &tl->t->cursor,
		.event = on_tail_event,
		.poll = on_tail_poll,
		.open = on_tail_open,
		.arg = tl };
	struct kt_http_reply r;
	enum kt_code rc = kt_client_stream_run(c, &rq, &st, &r, err);
	int status = rc == KT_OK ? r.status : 0;

	tl->t->from_start_given = tl->t->from_start_given || st.placed;
	if (tl->done || status == 204 || (status == 200 && tl->t->once && !st.dead)) {
		rc = KT_OK;
	} else if (st.stopped) {
		rc = kt_fail(err, KT_ECANCEL, 0, "interrupted");
	} else if (st.broken != KT_OK) {
		rc = st.broken;
		*err = st.err;
	} else if (status && status != 200) {
		rc = kt_client_take_problem(c, &r, err);
		kt_client_suggest(c, rc, err);
		if (kt_client_may_retry(c, rc, status))
			rc = KT_EUNAVAIL;
		else if (rc == KT_EUNAVAIL)
			rc = KT_ELIMIT; /* 429: trying again would make it worse */
	} else if (rc == KT_OK || st.dead || (rc == KT_ETIMEOUT && c->seen)) {
		rc = kt_fail(err, KT_EUNAVAIL, 0, "the connection to %s was lost", c->base);
	}
	kt_http_reply_release(&r);
	return rc;
}

enum kt_code kt_client_tail(struct kt_client *c, struct kt_client_tail *t, struct kt_err *err)
{
	struct tail tl = { .t = t };
	struct kt_err own = KT_ERR_INIT;
	int64_t lost_us = 0;
	int fails = 0;

	if (!err)
		err = &own;
	kt_client_forget_problem(c);
	for (;;) {
		int64_t began_us = kt_mono_us();
		uint64_t before = t->cursor;
		enum kt_code rc = tail_once(c, &tl, err);

		if (rc != KT_EUNAVAIL || !c->seen)
			return rc;
		if (t->cursor != before || kt_mono_us() - began_us > LASTED_US)
			fails = 0;
		/* A stream that gave something and ended is worth no word and no pause. */
		if (!fails++) {
			lost_us = kt_mono_us();
			continue;
		}
		if (fails == 2)
			tell_tail_state(t, KT_CLIENT_LOST);
		if (t->give_up_ms && kt_mono_us() - lost_us > t->give_up_ms * 1000)
			return kt_fail(err, KT_EUNAVAIL, 0, "lost the server at %s", c->base);
		if (!kt_client_pause(kt_client_backoff_ms(fails - 1), t->poll, t->arg, 0))
			return kt_fail(err, KT_ECANCEL, 0, "interrupted");
	}
}
