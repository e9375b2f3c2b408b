/* SPDX-License-Identifier: MIT */
/* Keys, and who a key is. */
#include "api/hosting/hosting_private.h"

#include "base/str.h"
#include "text/json.h"

void kt_api_whoami(struct kt_call *c, const struct kt_params *p)
{
	struct kt_later *l = kt_api_later(c, NULL, NULL);

	kt_control_whoami(c->api->cfg.control, &l->actor, kt_api_answered, l);
}

void kt_api_keys_list(struct kt_call *c, const struct kt_params *p)
{
	struct kt_later *l = kt_api_later(c, NULL, NULL);

	kt_control_keys(c->api->cfg.control, &l->actor, kt_api_answered, l);
}

void kt_api_keys_create(struct kt_call *c, const struct kt_params *p)
{
	KT_AUTO_JSON cJSON *body = NULL;
	struct kt_pre pre;
	struct kt_later *l;

	if (!kt_api_has_keys(c) || !kt_api_body(c, &body) || !kt_api_pre(c, "key", "", &pre))
		return;
	l = kt_api_later(c, NULL, NULL);
	/* The answer holds a secret: nobody in between may keep it. */
	kt_exchange_header(c->ex, "Cache-Control", "no-store");
	kt_control_key_create(c->api->cfg.control, &l->actor, c->rq->body_len ? c->rq->body : "{}",
		c->rq->body_len ? c->rq->body_len : 2, &pre.pre, kt_api_answered, l);
}

void kt_api_keys_revoke(struct kt_call *c, const struct kt_params *p)
{
	struct kt_later *l = kt_api_later(c, NULL, NULL);

	kt_control_key_revoke(c->api->cfg.control, &l->actor, p->value[0], kt_api_answered, l);
}
