/* SPDX-License-Identifier: MIT */
/* karta sessions approvals: what a session may do without asking, and taking it back. */
#include "cmd/cmd.h"

#include "base/str.h"
#include "cmd/remote.h"

#include <string.h>

#define OUT_MAX_BYTES ((size_t)64 * 1024 * 1024)

extern const struct kt_cmd kt_cmd_sessions_approvals;

struct approvals_args {
	const char *id;
	const char *revoke;
	bool all;
};

static const struct kt_opt approvals_opts[] = {
	KT_OPT_STR_(0, "revoke", struct approvals_args, revoke, "ID",
		"ask again for what this approval covers"),
	KT_OPT_FLAG_(0, "all", struct approvals_args, all, "revoke all of them"),
	KT_OPT_ARG_(
		"id", struct approvals_args, id, KT_OPT_REQUIRED | KT_OPT_SESSION, "the session"),
	KT_OPT_END,
};

static void print_approvals(const struct kt_ctx *ctx, const cJSON *list)
{
	static const char *const head[] = { "ID", "GIVEN", "BY", "COVERS" };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(OUT_MAX_BYTES);
	struct kt_table *tb;
	const cJSON *a;

	if (!list || !list->child) {
		kt_say(ctx,
			"nothing is allowed without asking, but what the agent's own rules allow");
		return;
	}
	tb = kt_table_new(KT_ARRAY_LEN(head));
	kt_table_row(tb, head);
	cJSON_ArrayForEach (a, list) {
		char given[64];
		const char *cells[] = { kt_json_str_or(a, "id", "?"), given,
			kt_json_str_or(a, "approved_by", "-"), kt_json_str_or(a, "words", "?") };

		kt_remote_ago(a, "approved_at", given, sizeof(given));
		kt_table_row(tb, cells);
	}
	kt_table_render(&b, &ctx->out, tb);
	kt_table_free(tb);
	kt_out(b.ptr, b.len);
}

static enum kt_code run_approvals(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct approvals_args *a = args;
	bool take = a->revoke || a->all;
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_client *c;
	enum kt_code rc;

	if (a->revoke && a->all)
		return kt_fail(err, KT_EINVAL, 0, "--revoke and --all do not go together");
	rc = kt_remote_open(ctx, &c, err);
	if (rc != KT_OK)
		return rc;
	rc = take ? kt_client_revoke(c, a->id, a->revoke, &doc, err)
		  : kt_client_approvals(c, a->id, &doc, err);
	kt_client_free(c);
	if (rc != KT_OK)
		return rc;
	if (ctx->json)
		kt_remote_json(ctx, doc);
	else if (take)
		kt_say(ctx, "revoked: %lld", (long long)kt_json_int(doc, "revoked", 0));
	else
		print_approvals(ctx, kt_json_arr(doc, "data"));
	return KT_OK;
}

const struct kt_cmd kt_cmd_sessions_approvals = {
	.name = "approvals",
	.summary = "show what a session may do without asking, or revoke it",
	.group = KT_GROUP_TALK,
	.opts = approvals_opts,
	.args_size = sizeof(struct approvals_args),
	.run = run_approvals,
};
