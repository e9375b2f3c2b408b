/* SPDX-License-Identifier: MIT */
/* What the sessions of each project took: tokens and money, as their harnesses said it. */
#include "api/hosting/hosting_private.h"

#include "base/str.h"
#include "text/json.h"

void kt_api_usage(struct kt_call *c, const struct kt_params *p)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8 * 1024 * 1024);
	struct kt_project_spent one;
	struct kt_target t;
	struct kt_jw w;
	size_t pos = 0;

	(void)p;
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_arr(&w, "data");
	while (kt_sessions_spent(c->api->cfg.sessions, &pos, &one)) {
		/* Its name now; without an active release it is there all the same. */
		if (!kt_str_eq(one.org_id, c->by->who.org_id) ||
			kt_control_target(c->api->cfg.control, one.org_id, one.project_id, &t,
				NULL) == KT_ENOTFOUND)
			continue;
		kt_jw_obj(&w, NULL);
		kt_jw_str(&w, "project", t.project);
		kt_jw_str(&w, "project_id", t.project_id);
		kt_jw_int(&w, "sessions", (int64_t)one.sessions);
		kt_spent_write(&w, "usage", &one.spent);
		kt_jw_obj_end(&w);
	}
	kt_jw_arr_end(&w);
	kt_jw_obj_end(&w);
	kt_respond_json(c->ex, 200, &b);
}
