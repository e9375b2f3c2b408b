/* SPDX-License-Identifier: MIT */
/* Sessions as callers see them: the one of a path, its turns, and the session object. */
#include "api/core/caller_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "text/json.h"

struct kt_session *kt_api_session(struct kt_call *c, const char *id)
{
	struct kt_session *s = kt_session_get(c->api->cfg.sessions, id);

	if (s && !kt_api_visible(c, s))
		s = NULL;
	if (!s)
		kt_api_fail(c, 404, "session_not_found", "there is no such session", NULL);
	return s;
}

bool kt_api_turn_open(const struct kt_session *s, const char *turn_id)
{
	if (s->turn && kt_str_eq(s->turn->id, turn_id))
		return true;
	for (size_t i = 0; i < s->queue.len; i++) {
		const struct kt_turn *t = s->queue.items[i];

		if (kt_str_eq(t->id, turn_id))
			return true;
	}
	return false;
}

void kt_api_write_project(struct kt_jw *w, struct kt_call *c, const struct kt_session *s)
{
	const struct kt_target *t = kt_session_target(s);
	const char *name;
	char version[32];

	if (t) {
		kt_jw_obj(w, "project");
		kt_jw_str(w, "ref", t->project);
		kt_jw_str(w, "project_id", t->project_id);
		snprintf(version, sizeof(version), "v%lld", (long long)t->version);
		kt_jw_str(w, "version", t->version ? version : "dev");
		kt_jw_obj_end(w);
	} else if (c->project) {
		name = kt_sessions_app(c->api->cfg.sessions)->name;
		kt_jw_obj(w, "project");
		kt_jw_str(w, "ref", name);
		kt_jw_str(w, "project_id", name);
		kt_jw_str(w, "version", "dev");
		kt_jw_obj_end(w);
	}
}

void kt_api_write_session(struct kt_jw *w, struct kt_call *c, const struct kt_session *s)
{
	const struct kt_target *t = kt_session_target(s);
	char version[32];

	kt_session_write(w, s);
	kt_api_write_project(w, c, s);
	if (!t)
		return;
	snprintf(version, sizeof(version), "v%lld", (long long)t->version);
	kt_jw_str(w, "release", t->version ? version : NULL);
	kt_jw_str(w, "org", t->org_slug);
}

void kt_api_send_session(struct kt_call *c, int status, const struct kt_session *s)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4 * KT_MAX_EVENT_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_api_write_session(&w, c, s);
	kt_jw_obj_end(&w);
	kt_respond_json(c->ex, status, &b);
}
