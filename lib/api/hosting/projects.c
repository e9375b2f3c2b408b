/* SPDX-License-Identifier: MIT */
/* Projects, their refs, pointers and pins. */
#include "api/hosting/hosting_private.h"

#include "base/str.h"
#include "text/json.h"

#include <string.h>

void kt_api_projects_list(struct kt_call *c, const struct kt_params *p)
{
	struct kt_later *l = kt_api_later(c, NULL, NULL);

	kt_control_projects(c->api->cfg.control, &l->actor, kt_api_answered, l);
}

/*
 * A folder of this machine may be served only by who is at this machine: by an administrator's key,
 * over loopback, and not through anything in between.
 */
static bool may_name_folder(struct kt_call *c)
{
	const char *peer = c->rq->peer;

	/* A proxy that says nothing of itself still passes on the name that it was asked by. */
	if ((c->by->who.scopes & KT_SCOPE_ADMIN) && !c->by->proxied &&
		kt_api_is_loopback_name(c->rq->host) &&
		(kt_str_starts(peer, "127.") || kt_str_eq(peer, "::1") ||
			kt_str_starts(peer, "::ffff:127.")))
		return true;
	kt_api_fail(c, 403, "forbidden",
		"'dir' needs a key with the scope 'admin' and a client on the same machine",
		c->by->who.scopes & KT_SCOPE_ADMIN ? NULL : "\"scope\":\"admin\"");
	return false;
}

void kt_api_projects_create(struct kt_call *c, const struct kt_params *p)
{
	static const char *const members[] = { "slug", "dir", NULL };
	KT_AUTO_JSON cJSON *body = NULL;
	struct kt_project_new n = { 0 };
	struct kt_pre pre;
	struct kt_later *l;

	if (!kt_api_change(c, members, &body) || !kt_api_opt_str(c, body, "slug", &n.slug) ||
		!kt_api_opt_str(c, body, "dir", &n.dir))
		return;
	if (!n.slug) {
		kt_api_fail(c, 422, "validation_failed", "'slug' is missing", NULL);
		return;
	}
	if ((n.dir && !may_name_folder(c)) || !kt_api_pre(c, "project", "", &pre))
		return;
	l = kt_api_later(c, NULL, NULL);
	kt_control_project_create(c->api->cfg.control, &l->actor, &n, &pre.pre, kt_api_answered, l);
}

void kt_api_projects_get(struct kt_call *c, const struct kt_params *p)
{
	struct kt_later *l = kt_api_later(c, NULL, NULL);

	kt_control_project(c->api->cfg.control, &l->actor, p->value[0], kt_api_answered, l);
}

void kt_api_projects_change(struct kt_call *c, const struct kt_params *p)
{
	static const char *const members[] = { "slug", "production_ref", "repo_url", "repo_token",
		"webhook_secret", "default", NULL };
	KT_AUTO_JSON cJSON *body = NULL;
	struct kt_project_change ch = { 0 };
	bool is_default = false;
	struct kt_pre pre;
	struct kt_later *l;

	if (!kt_api_change(c, members, &body) || !kt_api_opt_str(c, body, "slug", &ch.slug) ||
		!kt_api_opt_str(c, body, "production_ref", &ch.production_ref) ||
		!kt_api_opt_str(c, body, "repo_url", &ch.repo_url) ||
		!kt_api_opt_str(c, body, "repo_token", &ch.repo_token) ||
		!kt_api_opt_str(c, body, "webhook_secret", &ch.webhook_secret) ||
		!kt_api_opt_bool(c, body, "default", &is_default) ||
		!kt_api_pre(c, "change", p->value[0], &pre))
		return;
	if (cJSON_IsBool(kt_json_get(body, "default")))
		ch.is_default = &is_default;
	l = kt_api_later(c, NULL, NULL);
	kt_control_project_change(
		c->api->cfg.control, &l->actor, p->value[0], &ch, &pre.pre, kt_api_answered, l);
}

/* Its sessions go with it, whether the client waits for that or not. */
static void on_project_deleted(void *arg, const struct kt_result *r)
{
	struct kt_later *l = arg;

	if (r->rc == KT_OK)
		kt_sessions_delete_of(l->c.api->cfg.sessions, l->data);
	kt_api_answered(l, r);
}

void kt_api_projects_delete(struct kt_call *c, const struct kt_params *p)
{
	struct kt_control *ctl = c->api->cfg.control;
	struct kt_target t = { .project_id = "" };
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc = kt_control_target(ctl, c->by->who.org_id, p->value[0], &t, &err);
	struct kt_later *l = kt_api_later(
		c, kt_strdup(rc == KT_ENOTFOUND ? "" : t.project_id), free);

	kt_control_project_delete(ctl, &l->actor, p->value[0], on_project_deleted, l);
}

void kt_api_refs_list(struct kt_call *c, const struct kt_params *p)
{
	struct kt_later *l = kt_api_later(c, NULL, NULL);

	kt_control_refs(c->api->cfg.control, &l->actor, p->value[0], kt_api_answered, l);
}

void kt_api_refs_delete(struct kt_call *c, const struct kt_params *p)
{
	char name[512];
	struct kt_later *l;

	if (!kt_api_query(c, "name", name, sizeof(name)))
		return;
	if (!name[0]) {
		kt_api_fail(c, 400, "bad_query", "'name' is missing: ?name=refs/heads/x", NULL);
		return;
	}
	l = kt_api_later(c, NULL, NULL);
	kt_control_ref_delete(
		c->api->cfg.control, &l->actor, p->value[0], name, kt_api_answered, l);
}

/* --- the pointer ------------------------------------------------------------------------- */

static void activate_release(struct kt_call *c, const char *ref, const char *version)
{
	struct kt_pre pre;
	struct kt_later *l;

	if (!kt_api_pre(c, "activate", ref, &pre))
		return;
	/* What is asked for may be in the path; it is the same request in the body. */
	snprintf(pre.fingerprint, sizeof(pre.fingerprint), "%016llx",
		(unsigned long long)kt_api_fingerprint(version, strlen(version)));
	l = kt_api_later(c, NULL, NULL);
	kt_control_activate(
		c->api->cfg.control, &l->actor, ref, version, &pre.pre, kt_api_answered, l);
}

void kt_api_releases_activate(struct kt_call *c, const struct kt_params *p)
{
	activate_release(c, p->value[0], p->value[1]);
}

void kt_api_projects_activate(struct kt_call *c, const struct kt_params *p)
{
	static const char *const members[] = { "version", NULL };
	KT_AUTO_JSON cJSON *body = NULL;
	const char *version;

	if (!kt_api_change(c, members, &body) || !kt_api_opt_str(c, body, "version", &version))
		return;
	if (!version)
		kt_api_fail(c, 422, "validation_failed", "'version' is missing", NULL);
	else
		activate_release(c, p->value[0], version);
}

void kt_api_projects_rollback(struct kt_call *c, const struct kt_params *p)
{
	static const char *const members[] = { "version", "reason", NULL };
	KT_AUTO_JSON cJSON *body = NULL;
	const char *version, *reason;
	struct kt_pre pre;
	struct kt_later *l;

	if (!kt_api_change(c, members, &body) || !kt_api_opt_str(c, body, "version", &version) ||
		!kt_api_opt_str(c, body, "reason", &reason) ||
		!kt_api_pre(c, "rollback", p->value[0], &pre))
		return;
	l = kt_api_later(c, NULL, NULL);
	kt_control_rollback(c->api->cfg.control, &l->actor, p->value[0], version, reason, &pre.pre,
		kt_api_answered, l);
}

void kt_api_projects_pin(struct kt_call *c, const struct kt_params *p)
{
	static const char *const members[] = { "reason", NULL };
	KT_AUTO_JSON cJSON *body = NULL;
	const char *reason;
	struct kt_later *l;

	if (!kt_api_change(c, members, &body) || !kt_api_opt_str(c, body, "reason", &reason))
		return;
	l = kt_api_later(c, NULL, NULL);
	kt_control_pin(c->api->cfg.control, &l->actor, p->value[0], reason, kt_api_answered, l);
}

void kt_api_projects_unpin(struct kt_call *c, const struct kt_params *p)
{
	struct kt_later *l = kt_api_later(c, NULL, NULL);

	kt_control_unpin(c->api->cfg.control, &l->actor, p->value[0], kt_api_answered, l);
}
