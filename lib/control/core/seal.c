/* SPDX-License-Identifier: MIT */
/*
 * For what a value is sealed: it opens nowhere else. (Those of one release: env.c.)
 */
#include "control/core/op_private.h"
#include "control/core/seal_private.h"

#define MAX_SECRET_BYTES 4096

const char *kt_config_context(
	struct kt_arena *arena, const char *org_id, const char *project_id, const char *name)
{
	return kt_arena_printf(arena, "config/%s/%s/%s", org_id, project_id, name);
}

const char *kt_project_context(
	struct kt_arena *arena, const char *what, const char *org_id, const char *project_id)
{
	return kt_arena_printf(arena, "%s/%s/%s", what, org_id, project_id);
}

enum kt_code kt_project_unseal(struct kt_op *op, const struct kt_project_row *p, const char *what,
	const void *sealed, size_t len, char **out, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(MAX_SECRET_BYTES);
	enum kt_code rc = KT_OK;

	if (len > 0)
		rc = kt_unseal(op->ctl->master,
			kt_project_context(op->arena, what, p->org_id, p->id), sealed, len, &b,
			err);
	if (rc == KT_OK)
		*out = kt_arena_strndup(op->arena, b.ptr, b.len);
	if (b.len)
		kt_secret_wipe(b.ptr, b.len);
	return rc;
}
