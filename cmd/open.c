/* SPDX-License-Identifier: MIT */
/* karta open: the page of a project in a browser. */
#include "cmd/cmd.h"

#include "base/str.h"
#include "cmd/browser.h"
#include "cmd/remote.h"

#include <string.h>

struct open_args {
	const char *name;
	bool print;
};

static const struct kt_opt opts[] = {
	KT_OPT_ARG_("name", struct open_args, name, 0, "the project (default: this folder's)"),
	KT_OPT_FLAG_(0, "print", struct open_args, print, "only print the address"),
	KT_OPT_END,
};

static enum kt_code open_run(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct open_args *a = args;
	KT_AUTOFREE char *project = NULL;
	KT_AUTOFREE char *path = NULL;
	KT_AUTOFREE char *url = NULL;
	KT_AUTOFREE char *pin = NULL;
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_client *c;
	enum kt_code rc = kt_remote_start(ctx, a->name, &c, &project, err);

	if (rc != KT_OK)
		return rc;
	path = kt_remote_path(project, "");
	rc = kt_client_call(c, "GET", path, NULL, &doc, err);
	kt_client_free(c);
	if (rc != KT_OK)
		return rc;
	url = kt_strdup(kt_json_str_or(doc, "url", ""));
	/* What a browser is started with must be a web address, whatever the server says. */
	if (!kt_browser_may_open(url)) {
		(void)kt_fail(err, KT_EPROTO, 0, "the server gave no web address to open: %s", url);
		return kt_hint(err,
			"it must be https, or http on this machine; karta projects show has "
			"what the server says");
	}
	rc = a->print ? KT_OK : kt_browser_open(url, NULL, err);
	if (rc == KT_ENOTFOUND)
		kt_warn(ctx, "%s", err->msg);
	else if (rc != KT_OK)
		return rc;
	pin = kt_remote_pin(doc);
	if (pin)
		kt_say(ctx, "%s is pinned, %s", project, pin);
	if (ctx->json)
		kt_remote_json(ctx, doc);
	else
		kt_outf("%s\n", url);
	return KT_OK;
}

const struct kt_cmd kt_cmd_open = {
	.name = "open",
	.summary = "open a project's page in a browser",
	.group = KT_GROUP_SHIP,
	.opts = opts,
	.args_size = sizeof(struct open_args),
	.run = open_run,
};
