/* SPDX-License-Identifier: MIT */
/*
 * Signing in a machine: it shows a code, an administrator approves it on the page /device, the
 * machine gets a key of its own. In the shape of RFC 8628.
 */
#include "api/hosting/hosting_private.h"

#include "base/str.h"
#include "text/json.h"

typedef void (*device_fn)(struct kt_control *ctl, const struct kt_actor *a, const char *doc,
	size_t doc_len, kt_result_fn fn, void *arg);

static void by_document(struct kt_call *c, device_fn fn)
{
	KT_AUTO_JSON cJSON *body = NULL;
	struct kt_later *l;

	if (!kt_api_has_keys(c) || !kt_api_body(c, &body))
		return;
	l = kt_api_later(c, NULL, NULL);
	/* RFC 8628 3.2 and RFC 6749 5.1: what has codes or keys in it is not kept. */
	kt_exchange_header(c->ex, "Cache-Control", "no-store");
	fn(c->api->cfg.control, &l->actor, c->rq->body_len ? c->rq->body : "{}",
		c->rq->body_len ? c->rq->body_len : 2, kt_api_answered, l);
}

void kt_api_device_code(struct kt_call *c, const struct kt_params *p)
{
	by_document(c, kt_control_device_begin);
}

void kt_api_device_token(struct kt_call *c, const struct kt_params *p)
{
	by_document(c, kt_control_device_poll);
}

void kt_api_device_get(struct kt_call *c, const struct kt_params *p)
{
	struct kt_later *l = kt_api_later(c, NULL, NULL);

	kt_control_device_show(c->api->cfg.control, &l->actor, p->value[0], kt_api_answered, l);
}

void kt_api_device_decide(struct kt_call *c, const struct kt_params *p)
{
	KT_AUTO_JSON cJSON *body = NULL;
	struct kt_later *l;
	const cJSON *approve;

	if (!kt_api_body(c, &body))
		return;
	approve = kt_json_get(body, "approve");
	if (!cJSON_IsBool(approve)) {
		kt_api_fail(c, 422, "validation_failed", "'approve' must be true or false", NULL);
		return;
	}
	l = kt_api_later(c, NULL, NULL);
	kt_control_device_decide(c->api->cfg.control, &l->actor, p->value[0], cJSON_IsTrue(approve),
		kt_api_answered, l);
}
