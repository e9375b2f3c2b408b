/* SPDX-License-Identifier: MIT */
/*
 * Calls that are answered later: what they need then, and what happens when the client leaves
 * meanwhile (the work goes on, nobody hears of it). Also the preconditions of changes.
 */
#include "api/core/core_private.h"

#include "base/str.h"

#include <string.h>

static void on_later_left(void *arg)
{
	struct kt_later *l = arg;

	l->c.ex = NULL;
	l->c.rq = NULL;
}

struct kt_later *kt_api_later(struct kt_call *c, void *data, void (*free_data)(void *data))
{
	struct kt_later *l = kt_calloc(1, sizeof(*l));

	l->c = *c;
	l->c.parsed = NULL;
	l->c.rq = kt_exchange_request(c->ex);
	l->data = data;
	l->free_data = free_data;
	kt_str_copy(l->request_id, sizeof(l->request_id), c->rq->id);
	l->actor.request_id = l->request_id;
	if (c->by) {
		l->caller = *c->by;
		l->c.by = &l->caller;
		l->actor.who = l->caller.who.key_id[0] ? &l->caller.who : NULL;
		l->actor.remote_ip = l->caller.peer;
		l->actor.base_url = l->caller.base_url;
	}
	l->next = c->api->laters;
	if (l->next)
		l->next->prev = l;
	c->api->laters = l;
	kt_exchange_on_close(c->ex, on_later_left, l);
	return l;
}

void kt_api_later_free(struct kt_later *l)
{
	if (l->prev)
		l->prev->next = l->next;
	else
		l->c.api->laters = l->next;
	if (l->next)
		l->next->prev = l->prev;
	if (l->free_data)
		l->free_data(l->data);
	free(l);
}

void kt_api_answered(void *arg, const struct kt_result *r)
{
	struct kt_later *l = arg;

	if (l->c.ex)
		kt_api_result(&l->c, r);
	kt_api_later_free(l);
}

/* --- on disk ----------------------------------------------------------------------------- */

struct durable {
	kt_durable_fn fn;
	void *data;
	void (*free_data)(void *data);
};

static void durable_free(void *arg)
{
	struct durable *d = arg;

	if (d->free_data)
		d->free_data(d->data);
	free(d);
}

static void on_later_synced(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct kt_later *l = arg;
	struct durable *d = l->data;

	if (l->c.ex && rc != KT_OK)
		kt_api_fail_err(&l->c, err);
	else if (l->c.ex)
		d->fn(&l->c, d->data);
	kt_api_later_free(l);
}

void kt_api_durable(struct kt_call *c, kt_durable_fn fn, void *data, void (*free_data)(void *data))
{
	struct durable *d;

	if (!c->by) {
		fn(c, data);
		if (free_data)
			free_data(data);
		return;
	}
	d = kt_calloc(1, sizeof(*d));
	d->fn = fn;
	d->data = data;
	d->free_data = free_data;
	kt_sessions_sync(c->api->cfg.sessions, on_later_synced, kt_api_later(c, d, durable_free));
}

/* --- preconditions ----------------------------------------------------------------------- */

bool kt_api_pre(struct kt_call *c, const char *what, const char *ref, struct kt_pre *out)
{
	memset(out, 0, sizeof(*out));
	out->pre.if_match = kt_request_header(c->rq, "if-match");
	if (!kt_api_key_header(c, out->key))
		return false;
	if (!out->key[0])
		return true;
	snprintf(out->scope, sizeof(out->scope), "%s:%s:%.63s", c->by->who.org_id, what, ref);
	/* What is published is told apart by what it is, not by how it was sent. */
	if (!kt_str_eq(what, "publish"))
		snprintf(out->fingerprint, sizeof(out->fingerprint), "%016llx",
			(unsigned long long)kt_api_fingerprint(c->rq->body, c->rq->body_len));
	out->pre.idem_key = out->key;
	out->pre.idem_scope = out->scope;
	out->pre.fingerprint = out->fingerprint[0] ? out->fingerprint : NULL;
	return true;
}
