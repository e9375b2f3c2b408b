/* SPDX-License-Identifier: MIT */
/*
 * What others tell us. The signature is the credential, over the body as it came: nothing is parsed
 * before it was checked.
 */
#include "api/api_private.h"

void kt_api_github(struct kt_call *c, const struct kt_params *p)
{
	const struct kt_request *rq = c->rq;
	const char *event = kt_request_header(rq, "x-github-event");
	const char *signature = kt_request_header(rq, "x-hub-signature-256");
	const char *delivery = kt_request_header(rq, "x-github-delivery");
	struct kt_later *l = kt_api_later(c, NULL, NULL);

	kt_control_github(c->api->cfg.control, &l->actor, event ? event : "",
		signature ? signature : "", delivery ? delivery : "", rq->body, rq->body_len,
		kt_api_answered, l);
}
