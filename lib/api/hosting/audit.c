/* SPDX-License-Identifier: MIT */
/* The audit log. */
#include "api/hosting/hosting_private.h"

#define LIST_DEFAULT 50
#define LIST_MAX 500

void kt_api_audit_list(struct kt_call *c, const struct kt_params *p)
{
	int64_t before = 0, limit = LIST_DEFAULT;
	struct kt_later *l;

	if (!kt_api_query_int(c, "before", 1, INT64_MAX, &before) ||
		!kt_api_query_int(c, "limit", 1, LIST_MAX, &limit))
		return;
	l = kt_api_later(c, NULL, NULL);
	kt_control_audit(c->api->cfg.control, &l->actor, before, (size_t)limit, kt_api_answered, l);
}

void kt_api_audit_verify(struct kt_call *c, const struct kt_params *p)
{
	struct kt_later *l = kt_api_later(c, NULL, NULL);

	kt_control_audit_verify(c->api->cfg.control, &l->actor, kt_api_answered, l);
}
