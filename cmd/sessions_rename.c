/* SPDX-License-Identifier: MIT */
/* karta sessions rename: what a session is called in lists. */
#include "cmd/cmd.h"

#include "base/limits.h"
#include "cmd/remote.h"

#include <string.h>

extern const struct kt_cmd kt_cmd_sessions_rename;

struct rename_args {
	const char *id;
	const char *title;
};

static const struct kt_opt rename_opts[] = {
	KT_OPT_ARG_("id", struct rename_args, id, KT_OPT_REQUIRED | KT_OPT_SESSION, "the session"),
	KT_OPT_ARG_("title", struct rename_args, title, KT_OPT_REQUIRED, "its new title"),
	KT_OPT_END,
};

static enum kt_code run_sessions_rename(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct rename_args *a = args;
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_client *c;
	enum kt_code rc;

	/* What the server would say of a longer one is that its body is too large. */
	if (strlen(a->title) > KT_MAX_TITLE_BYTES)
		return kt_fail(err, KT_EINVAL, 0, "the title is longer than %d bytes (fixed)",
			KT_MAX_TITLE_BYTES);
	rc = kt_remote_open(ctx, &c, err);
	if (rc != KT_OK)
		return rc;
	rc = kt_client_rename(c, a->id, a->title, &doc, err);
	kt_client_free(c);
	if (rc != KT_OK)
		return kt_wrap(err, "'%s'", a->id);
	if (ctx->json)
		kt_remote_json(ctx, doc);
	else
		kt_outf("%s\n", kt_json_str_or(doc, "title", ""));
	return KT_OK;
}

const struct kt_cmd kt_cmd_sessions_rename = {
	.name = "rename",
	.summary = "give a session another title",
	.group = KT_GROUP_TALK,
	.opts = rename_opts,
	.args_size = sizeof(struct rename_args),
	.run = run_sessions_rename,
};
