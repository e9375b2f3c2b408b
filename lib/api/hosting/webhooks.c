/* SPDX-License-Identifier: MIT */
/*
 * What others tell us. The signature is the credential, over the body as it came: nothing is parsed
 * before it was checked.
 */
#include "api/hosting/hosting_private.h"

void kt_api_github(struct kt_call *c, const struct kt_params *p)
{
	const struct kt_request *rq = c->rq;
	struct kt_later *l = kt_api_later(c, NULL, NULL);

	kt_control_github(c->api->cfg.control, &l->actor,
		&(struct kt_github_delivery){
			.project = p->n > 0 ? p->value[0] : NULL,
			.event = kt_request_header(rq, "x-github-event"),
			.signature = kt_request_header(rq, "x-hub-signature-256"),
			.body = rq->body,
			.len = rq->body_len,
		},
		kt_api_answered, l);
}
