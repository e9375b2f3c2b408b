/* SPDX-License-Identifier: MIT */
/*
 * What a connection keeps in memory, counted in the budget. A connection is a stranger's until its
 * request is admitted, and again when that has ended; what it has is looked at whenever it may have
 * grown, and one that does not fit is answered and closed. A head that comes in one piece is judged
 * before it is counted, so strangers who have used up what there is for them are not noticed by
 * who signs.
 */
#include "http/conn_private.h"

#include "base/str.h"

/* So little is queued without a question: answers that refuse, the probe of a slow stream. */
#define FREE_QUEUE_BYTES 2048

/* Bytes kept for the request; a connection between two of them has its small buffers at most. */
static size_t conn_footprint(const struct kt_conn *c)
{
	const struct kt_conn_io *io = c->io;

	if (!io || c->phase == KT_CONN_IDLE || c->phase == KT_CONN_LINGER)
		return c->queued;
	return c->queued + sizeof(*io) + io->in.cap + io->held.cap + io->body.cap + io->extra.cap;
}

static void refuse_conn(struct kt_conn *c, enum kt_budget_limit limit)
{
	struct kt_budget_refusal r;
	char retry[48];

	kt_budget_refused(c->server->cfg.budget, limit, &r);
	(void)snprintf(retry, sizeof(retry), "Retry-After: %d\r\n", r.retry_after_s);
	kt_conn_refuse_with(c, r.status, r.code, r.text, retry);
}

static bool is_partial(const struct kt_conn *c)
{
	return c->phase == KT_CONN_HEAD || c->phase == KT_CONN_BODY;
}

/*
 * Newer strangers need the room. What came of a request goes now and its answer at the end of the
 * tick; who does not take an answer has had its time.
 */
static void evict_conn(void *arg)
{
	struct kt_conn *c = arg;

	if (!is_partial(c)) {
		kt_conn_doom(c);
		return;
	}
	kt_conn_drop_input(c);
	c->evicted = true;
	kt_server_later(c->server, c);
}

void kt_conn_evicted(struct kt_conn *c)
{
	c->evicted = false;
	if (is_partial(c))
		kt_conn_refuse_with(c, 503, "unavailable",
			"newer requests without a key needed the room of this one, which was not "
			"whole yet; send it at once",
			"Retry-After: 5\r\n");
}

void kt_conn_settle(struct kt_conn *c)
{
	enum kt_budget_limit limit;

	if (c->doomed || c->evicted || !c->hold.budget)
		return;
	kt_hold_evictable(&c->hold, is_partial(c) || c->writing ? evict_conn : NULL, c);
	limit = kt_hold_set(&c->hold, conn_footprint(c));
	if (limit == KT_BUDGET_FITS)
		return;
	if (is_partial(c))
		refuse_conn(c, limit);
	else if (c->queued > FREE_QUEUE_BYTES || (c->io && c->io->held.cap))
		kt_conn_doom(c); /* it takes too little of what it asks for */
}

void kt_conn_stranger(struct kt_conn *c)
{
	c->admitted = false;
	kt_hold_release(&c->hold);
	kt_hold_stranger(&c->hold, c->server->cfg.budget, c->ex.rq.peer);
}

enum kt_budget_limit kt_exchange_admit(
	struct kt_exchange *ex, const char *org, const char *key, const char *address)
{
	struct kt_conn *c = kt_conn_of(ex);

	if (c->doomed)
		return KT_BUDGET_FITS;
	c->admitted = true;
	return kt_hold_admit(&c->hold, c->server->cfg.budget, org, key, address);
}

void kt_exchange_stranger(struct kt_exchange *ex, const char *address)
{
	struct kt_conn *c = kt_conn_of(ex);

	if (c->doomed || kt_str_eq(address, ex->rq.peer))
		return;
	c->admitted = true;
	kt_hold_stranger(&c->hold, c->server->cfg.budget, address);
}

bool kt_exchange_client(struct kt_exchange *ex, const char *address)
{
	struct kt_conn *c = kt_conn_of(ex);
	struct kt_http_server *s = c->server;

	if (!c->proxy || c->client || c->doomed || !s->cfg.max_conns_per_ip)
		return true;
	if (kt_server_count(s, address, 1) >= s->cfg.max_conns_per_ip) {
		(void)kt_server_count(s, address, -1);
		return false;
	}
	c->client = kt_strdup(address);
	return true;
}

void kt_conn_client_gone(struct kt_conn *c)
{
	if (c->client)
		(void)kt_server_count(c->server, c->client, -1);
	free(c->client);
	c->client = NULL;
}

const struct kt_hold *kt_exchange_hold(struct kt_exchange *ex)
{
	return &kt_conn_of(ex)->hold;
}
