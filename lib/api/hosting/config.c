/* SPDX-License-Identifier: MIT */
/* Configuration variables of a project. */
#include "api/hosting/hosting_private.h"

#include "text/json.h"

void kt_api_config_get(struct kt_call *c, const struct kt_params *p)
{
	struct kt_later *l = kt_api_later(c, NULL, NULL);

	kt_control_config(c->api->cfg.control, &l->actor, p->value[0], kt_api_answered, l);
}

void kt_api_config_change(struct kt_call *c, const struct kt_params *p)
{
	KT_AUTO_JSON cJSON *body = NULL;
	struct kt_pre pre;
	struct kt_later *l;

	/* Parsed here for the same answers as everywhere to what is no JSON. */
	if (!kt_api_body(c, &body) || !kt_api_pre(c, "config", p->value[0], &pre))
		return;
	l = kt_api_later(c, NULL, NULL);
	kt_control_config_change(c->api->cfg.control, &l->actor, p->value[0],
		c->rq->body_len ? c->rq->body : "{}", c->rq->body_len ? c->rq->body_len : 2,
		&pre.pre, kt_api_answered, l);
}
