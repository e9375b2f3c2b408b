/* SPDX-License-Identifier: MIT */
/* See place.h. */
#include "cmd/place.h"

#include "base/str.h"
#include "text/clean.h"

char *kt_place_reason(const cJSON *dev, const cJSON *session)
{
	const char *live = kt_json_str(dev, "release");
	const char *on = session ? kt_json_str(session, "release") : live;

	if (!on)
		return NULL;
	if (live && !kt_str_eq(on, live))
		return kt_asprintf("the session stays on it; %s is live", live);
	if (kt_json_bool(dev, "preview", false))
		return kt_strdup("a preview");
	return kt_json_bool(dev, "pinned", false) ? kt_strdup("pinned") : NULL;
}

void kt_place_say(const struct kt_ctx *ctx, struct kt_client *c, const struct kt_dest *d,
	const cJSON *session)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(65536);
	KT_AUTO_JSON cJSON *dev = NULL;
	KT_AUTOFREE char *why = NULL;
	KT_AUTOFREE char *reason = NULL;
	const char *release, *project;

	if (!ctx->errt.is_tty || ctx->quiet || ctx->json)
		return;
	/* Who cannot be asked is told about by what comes next. */
	if (session)
		(void)!kt_client_dev(c, &dev, NULL);
	why = kt_dest_why(d);
	reason = kt_place_reason(dev, session);
	if (!why && !reason && !kt_dest_elsewhere(d))
		return;
	release = kt_json_str(session, "release");
	project = kt_json_str_or(dev, "project", d->project);
	kt_clean_addf(&text, "%s%s%s%s%s", project ? project : "", release ? " " : "",
		release ? release : "", project || release ? " on " : "", d->profile.server);
	if (why || reason)
		kt_clean_addf(&text, " (%s%s%s)", reason ? reason : "", reason && why ? "; " : "",
			why ? why : "");
	kt_term_add(&b, &ctx->errt, KT_STYLE_DIM, text.ptr);
	kt_say_built(ctx, &b);
}
