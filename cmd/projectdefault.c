/* SPDX-License-Identifier: MIT */
/* karta projects default: which project is meant by a session that names none. */
#include "cmd/projectdefault.h"

#include "base/str.h"
#include "cmd/remote.h"

struct default_args {
	const char *project;
	bool unset;
};

static const struct kt_opt opts[] = {
	KT_OPT_ARG_("name", struct default_args, project, 0,
		"the project (default: show which one it is)"),
	KT_OPT_FLAG_(0, "unset", struct default_args, unset, "have no default project"),
	KT_OPT_END,
};

/* The one that is the default now, in the caller's list; NULL when none is. */
static const cJSON *current_default(const cJSON *list)
{
	const cJSON *p;

	cJSON_ArrayForEach (p, kt_json_arr(list, "data")) {
		if (kt_json_bool(p, "default", false))
			return p;
	}
	return NULL;
}

static enum kt_code change_default_project(
	struct kt_client *c, const char *project, bool on, cJSON **out, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_remote_path(project, "");

	return kt_client_call(
		c, "PATCH", path, on ? "{\"default\":true}" : "{\"default\":false}", out, err);
}

/* The project that is (or was, with unset) the default; NULL when there is none. */
static enum kt_code carry_out(
	struct kt_client *c, const struct default_args *a, cJSON **out, struct kt_err *err)
{
	KT_AUTO_JSON cJSON *list = NULL;
	const cJSON *now;
	enum kt_code rc;

	if (a->project && !a->unset)
		return change_default_project(c, a->project, true, out, err);
	rc = kt_client_call(c, "GET", "/agent_projects", NULL, &list, err);
	now = rc == KT_OK ? current_default(list) : NULL;
	if (!now)
		return rc;
	if (a->unset)
		return change_default_project(c, kt_json_str_or(now, "id", ""), false, out, err);
	*out = cJSON_Duplicate(now, true);
	return KT_OK;
}

static enum kt_code projectdefault_run(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct default_args *a = args;
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_client *c;
	enum kt_code rc;

	if (a->project && a->unset)
		return kt_fail(err, KT_EINVAL, 0, "give a name or --unset, not both");
	rc = kt_remote_open_host(ctx, &c, err);
	if (rc != KT_OK)
		return rc;
	rc = carry_out(c, a, &doc, err);
	kt_client_free(c);
	if (rc != KT_OK)
		return rc;
	if (ctx->json)
		kt_remote_json(ctx, doc);
	else if (!doc || a->unset)
		kt_say(ctx, "There is no default project%s; karta projects default NAME sets one.",
			doc ? " any more" : "");
	else if (a->project)
		kt_say(ctx, "Sessions that name no project are of %s from now on.", a->project);
	else
		kt_outf("%s\n", kt_json_str_or(doc, "slug", "?"));
	return KT_OK;
}

const struct kt_cmd kt_cmd_projects_default = {
	.name = "default",
	.summary = "say which project a session is of that names none",
	.opts = opts,
	.args_size = sizeof(struct default_args),
	.run = projectdefault_run,
};
