/* SPDX-License-Identifier: MIT */
/*
 * Bodies that are too large to be parsed on the loop. A thread parses a copy; then the request is
 * handled anew from its beginning, with the document at hand, so that what was true before (the key
 * is good, the project is there) is looked at again. No handler has to know.
 */
#include "api/core/caller_private.h"

#include "base/limits.h"
#include "net/work.h"
#include "text/json.h"

struct kt_parse {
	struct kt_work work;
	struct kt_hold hold; /* of the copy and the tree */
	struct kt_api *api;
	struct kt_loop *loop;
	struct kt_exchange *ex; /* NULL once the client has left */
	kt_parsed_fn on_parsed;
	char *text;
	size_t len;
	cJSON *doc;
	struct kt_err err;
	struct kt_parse *prev, *next;
};

static void parse_free(struct kt_parse *p)
{
	if (p->prev)
		p->prev->next = p->next;
	else
		p->api->parses = p->next;
	if (p->next)
		p->next->prev = p->prev;
	cJSON_Delete(p->doc);
	free(p->text);
	kt_hold_release(&p->hold);
	free(p);
}

enum kt_code kt_api_parse_text(const char *s, size_t len, cJSON **out, struct kt_err *err)
{
	return kt_json_parse_max(s, len, KT_JSON_STRICT, KT_MAX_BODY_NODES, out, err);
}

enum kt_code kt_api_parse_take(struct kt_parse *p, cJSON **out, struct kt_err *err)
{
	if (p->err.code != KT_OK) {
		*err = p->err;
		return err->code;
	}
	*out = KT_STEAL(p->doc);
	return KT_OK;
}

static void parse_body(struct kt_work *w)
{
	struct kt_parse *p = kt_container_of(w, struct kt_parse, work);

	/* p->err has it. */
	if (kt_api_parse_text(p->text, p->len, &p->doc, &p->err) != KT_OK)
		p->doc = NULL;
}

static void on_body_parsed(struct kt_work *w)
{
	struct kt_parse *p = kt_container_of(w, struct kt_parse, work);

	free(KT_STEAL(p->text));
	if (p->ex) {
		kt_exchange_on_close(p->ex, NULL, NULL);
		p->on_parsed(p->api, p->ex, p);
	}
	parse_free(p);
}

static void on_parse_left(void *arg)
{
	struct kt_parse *p = arg;

	p->ex = NULL;
	/* It need not wait for its turn to be dropped. */
	if (kt_work_cancel(p->loop, &p->work))
		parse_free(p);
}

bool kt_api_parse_ahead(struct kt_call *c, kt_parsed_fn on_parsed)
{
	const struct kt_request *rq = c->rq;
	const char *org = c->by ? c->by->who.org_id : "";
	struct kt_loop *loop = kt_sessions_loop(c->api->cfg.sessions);
	struct kt_err err = KT_ERR_INIT;
	struct kt_parse *p;
	size_t bytes;

	if (c->parsed || rq->body_len <= KT_MAX_LOOP_BYTES)
		return false;
	/* The copy, and the tree, whose strings are not longer than it. */
	bytes = 2 * rq->body_len;
	if (kt_work_room(loop, org, bytes, &err) != KT_OK) {
		kt_exchange_header(c->ex, "Retry-After", "1");
		kt_api_fail(c, 503, "unavailable", err.msg, NULL);
		return true;
	}
	p = kt_calloc(1, sizeof(*p));
	kt_hold_like(&p->hold, kt_exchange_hold(c->ex));
	if (!kt_api_fits(c, kt_hold_more(&p->hold, bytes))) {
		kt_hold_release(&p->hold);
		free(p);
		return true;
	}
	p->api = c->api;
	p->loop = loop;
	p->ex = c->ex;
	p->on_parsed = on_parsed;
	p->text = kt_strndup(rq->body, rq->body_len);
	p->len = rq->body_len;
	p->next = c->api->parses;
	if (p->next)
		p->next->prev = p;
	c->api->parses = p;
	p->work.run = parse_body;
	p->work.done = on_body_parsed;
	p->work.bytes = bytes;
	/* There is room: it was looked. */
	kt_work_add(loop, KT_WORK_SHORT, org, &p->work);
	kt_exchange_on_close(c->ex, on_parse_left, p);
	return true;
}

void kt_api_parses_end(struct kt_api *api)
{
	while (api->parses) {
		struct kt_parse *p = api->parses;

		(void)kt_work_end(p->loop, &p->work);
		parse_free(p);
	}
}
