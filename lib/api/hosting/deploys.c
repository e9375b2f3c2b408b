/* SPDX-License-Identifier: MIT */
/* Deploys: making a release of a commit that the server has. A deploy is known by its release. */
#include "api/hosting/hosting_private.h"

#include "text/json.h"

void kt_api_deploys_create(struct kt_call *c, const struct kt_params *p)
{
	KT_AUTO_JSON cJSON *body = NULL;
	const char *commit;
	struct kt_pre pre;
	struct kt_later *l;

	if (!kt_api_body(c, &body) || !kt_api_opt_str(c, body, "commit_sha", &commit))
		return;
	if (!commit) {
		kt_api_fail(c, 422, "validation_failed", "'commit_sha' is missing", NULL);
		return;
	}
	if (!kt_api_pre(c, "deploy", p->value[0], &pre))
		return;
	l = kt_api_later(c, NULL, NULL);
	kt_control_redeploy(c->api->cfg.control, &l->actor, p->value[0], c->rq->body,
		c->rq->body_len, &pre.pre, kt_api_answered, l);
}

void kt_api_deploys_get(struct kt_call *c, const struct kt_params *p)
{
	struct kt_later *l = kt_api_later(c, NULL, NULL);

	kt_control_release(c->api->cfg.control, &l->actor, p->value[0], p->value[1], false,
		kt_api_answered, l);
}
