/* SPDX-License-Identifier: MIT */
/* What a session is allowed to do without asking: listing and revoking. */
#include "api/sessions/sessions_private.h"

#include "base/limits.h"
#include "text/json.h"

/* Words of each are 8 KiB at most. */
#define LIST_MAX_BYTES (KT_MAX_REMEMBERED * (size_t)16 * 1024)

void kt_api_approvals_list(struct kt_call *c, const struct kt_params *p)
{
	struct kt_session *s = kt_api_session(c, p->value[0]);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(LIST_MAX_BYTES);
	struct kt_jw w;

	if (!s)
		return;
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_session_write_approvals(&w, "data", s);
	kt_jw_obj_end(&w);
	kt_respond_json(c->ex, 200, &b);
}

static void send_revoked(struct kt_call *c, void *data)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64);
	const size_t *n = data;

	kt_buf_addf(&b, "{\"revoked\":%zu}", *n);
	kt_respond_json(c->ex, 200, &b);
}

/* Answered when a restart would not bring them back. */
static void take_back_approval(struct kt_call *c, struct kt_session *s, const char *id)
{
	const struct kt_actor actor = c->by ? kt_api_actor(c->by, c->rq->id)
					    : (struct kt_actor){ 0 };
	struct kt_origin from = kt_api_origin(c);
	size_t *n = kt_calloc(1, sizeof(*n));

	from.actor = c->by ? &actor : NULL;
	*n = kt_session_revoke(s, id, &from);
	if (id && !*n) {
		free(n);
		kt_api_fail(c, 404, "approval_not_found",
			"there is no such approval in this session (any more)", NULL);
		return;
	}
	kt_api_durable(c, send_revoked, n, free);
}

void kt_api_approvals_revoke(struct kt_call *c, const struct kt_params *p)
{
	struct kt_session *s = kt_api_session(c, p->value[0]);

	if (s)
		take_back_approval(c, s, p->value[1]);
}

void kt_api_approvals_clear(struct kt_call *c, const struct kt_params *p)
{
	struct kt_session *s = kt_api_session(c, p->value[0]);

	if (s)
		take_back_approval(c, s, NULL);
}
