/* SPDX-License-Identifier: MIT */
/*
 * Who calls a hosting server: one bearer key in one Authorization header, or a browser that is
 * signed in (cookie.c); the scopes, and the project that the call names. Another organization's things
 * are not there: the same 404 as for what never was. Streams end soon after their key was revoked.
 */
#include "api/core/caller_private.h"

#include "base/str.h"

#include <string.h>
#include <strings.h>

#define GUARD_MS 2000 /* how often the keys of open streams are looked at */

/* The key of the only Authorization header, or NULL. */
static const char *bearer_of(const struct kt_request *rq)
{
	const char *value = NULL;

	for (size_t i = 0; i < rq->n_headers; i++) {
		if (!kt_str_eq(rq->headers[i].name, "authorization"))
			continue;
		if (value)
			return NULL;
		value = rq->headers[i].value;
	}
	if (!value || strncasecmp(value, "bearer", 6) != 0 || value[6] != ' ')
		return NULL;
	value += 6 + strspn(value + 6, " ");
	return *value && !strpbrk(value, " \t,") ? value : NULL;
}

/* A key in a URL ends up in logs and histories: whoever sends one there has to be told. */
static bool key_in_query(const char *query)
{
	return strstr(query, "kt_live_") || strstr(query, "kt_test_") ||
		kt_str_starts(query, "access_token=") || strstr(query, "&access_token=");
}

/* One body for every reason: it must not tell which keys there are. */
static bool send_unauthorized(struct kt_call *c)
{
	char where[900];

	if (kt_api_from_page(c->rq)) {
		kt_api_web_where(c, where, sizeof(where));
		kt_api_fail(c, 401, "unauthorized", "sign in", where);
		return false;
	}
	kt_exchange_header(c->ex, "WWW-Authenticate", "Bearer realm=\"karta\"");
	kt_api_fail(c, 401, "unauthorized",
		"send a valid API key as 'Authorization: Bearer kt_...', once, and not in the URL",
		NULL);
	return false;
}

bool kt_api_fits(struct kt_call *c, enum kt_budget_limit limit)
{
	struct kt_budget_refusal r;
	char retry[16];

	if (limit == KT_BUDGET_FITS)
		return true;
	kt_budget_refused(c->api->cfg.budget, limit, &r);
	(void)snprintf(retry, sizeof(retry), "%d", r.retry_after_s);
	kt_exchange_header(c->ex, "Retry-After", retry);
	kt_api_fail(c, r.status, r.code, r.text, NULL);
	return false;
}

bool kt_api_count(struct kt_call *c, const char *org, const char *key)
{
	const char *address = c->by ? c->by->peer : c->rq->peer;

	return kt_api_fits(c, kt_exchange_admit(c->ex, org, key, address));
}

bool kt_api_authorize(struct kt_call *c, unsigned scopes)
{
	const char *bearer = bearer_of(c->rq);
	char web[KT_WEB_TOKEN_MAX];
	struct kt_err err = KT_ERR_INIT;
	bool either = scopes & KT_API_EITHER;
	enum kt_code rc;

	scopes &= KT_SCOPE_READ | KT_SCOPE_WRITE | KT_SCOPE_ADMIN;
	if (!kt_api_asks_for_keys(c->api)) {
		if (kt_control_local(c->api->cfg.control, &c->by->who, &err) == KT_OK)
			return kt_api_count(c, c->by->who.org_id, c->by->who.key_id);
		kt_api_fail_err(c, &err);
		return false;
	}
	if (key_in_query(c->rq->query))
		return send_unauthorized(c);
	if (bearer)
		rc = kt_control_principal(c->api->cfg.control, bearer, &c->by->who, &err);
	else if (kt_api_web_token(c, web))
		rc = kt_control_web_principal(
			c->api->cfg.control, web, c->by->host, &c->by->who, &err);
	else
		rc = KT_EAUTH;
	explicit_bzero(web, sizeof(web));
	if (rc == KT_EAUTH)
		return send_unauthorized(c);
	/*
	 * What a key in Authorization gets no cache keeps for others; of a cookie they do not know.
	 */
	if (c->by->who.web[0])
		kt_exchange_header(c->ex, "Cache-Control", "no-store");
	if (rc != KT_OK) {
		kt_exchange_header(c->ex, "Retry-After", "5");
		kt_api_fail(c, 503, "unavailable", "keys cannot be checked now", NULL);
		return false;
	}
	if (either ? !(c->by->who.scopes & scopes) : (c->by->who.scopes & scopes) != scopes) {
		const char *lacks = either        ? "read' or 'write"
			: scopes & KT_SCOPE_ADMIN ? "admin"
			: scopes & KT_SCOPE_WRITE ? "write"
						  : "read";
		char detail[96], member[32];

		snprintf(detail, sizeof(detail), "this key lacks the scope '%s'", lacks);
		snprintf(member, sizeof(member), "\"scope\":\"%s\"", lacks);
		kt_api_fail(c, 403, "forbidden", detail, either ? NULL : member);
		return false;
	}
	return kt_api_count(c, c->by->who.org_id, c->by->who.key_id);
}

/* What a page needs to lead on from a project that has nothing to show; NULL for other clients. */
static const char *lead_on(const struct kt_call *c, char *out, size_t size)
{
	char server[sizeof(c->by->base_url)];

	if (!kt_api_from_page(c->rq))
		return NULL;
	kt_api_web_server(c, server, sizeof(server));
	(void)snprintf(out, size, "\"server\":\"%s\",\"project\":\"%s\",\"local\":%s", server,
		c->by->target.project, kt_api_asks_for_keys(c->api) ? "false" : "true");
	return out;
}

bool kt_api_no_project(struct kt_call *c)
{
	char more[600];

	memset(&c->by->target, 0, sizeof(c->by->target));
	kt_api_fail(c, 404, "project_not_found", "there is no such project",
		lead_on(c, more, sizeof(more)));
	return false;
}

/* What a lookup of a project came to. */
static bool take_target(struct kt_call *c, enum kt_code rc, const struct kt_err *err)
{
	const struct kt_target *t = &c->by->target;

	if (rc != KT_OK && rc != KT_ENOTFOUND && rc != KT_ECONFLICT) {
		kt_api_fail_err(c, err);
		return false;
	}
	/* Without an active release the project is there all the same. */
	if (rc == KT_ENOTFOUND || !t->project_id[0] || !kt_str_eq(t->org_id, c->by->who.org_id))
		return kt_api_no_project(c);
	return true;
}

bool kt_api_resolve_ref(struct kt_call *c, const char *ref)
{
	struct kt_control *ctl = c->api->cfg.control;
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc;

	memset(&c->by->target, 0, sizeof(c->by->target));
	rc = kt_control_target(ctl, c->by->who.org_id, ref, &c->by->target, &err);
	/* A preview by path, where there are no names below the server's. */
	if (rc == KT_ENOTFOUND)
		rc = kt_control_target_host(ctl, ref, &c->by->target, &err);
	return take_target(c, rc, &err);
}

bool kt_api_resolve_flat(struct kt_call *c, const char *ref)
{
	KT_AUTO_BUF struct kt_buf names = KT_BUF_INIT((size_t)KT_FLAT_CHOICES * 80);
	KT_AUTO_BUF struct kt_buf extra = KT_BUF_INIT((size_t)KT_FLAT_CHOICES * 80 + 64);
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc;

	if (ref && *ref)
		return kt_api_resolve_ref(c, ref);
	memset(&c->by->target, 0, sizeof(c->by->target));
	rc = kt_control_target_flat(
		c->api->cfg.control, c->by->who.org_id, &c->by->target, &names, &err);
	if (rc == KT_ENOTFOUND) {
		kt_api_fail(c, 404, "project_not_found",
			"there is no project yet: 'karta project add DIR NAME' or "
			"'git push karta main' makes one",
			NULL);
		return false;
	}
	if (rc == KT_EINVAL) {
		kt_buf_addf(&extra, "\"projects\":[%s]", names.ptr);
		kt_api_fail(c, 422, "project_ambiguous",
			"there are several projects: name one as 'project', or "
			"'karta projects default NAME' says which is meant",
			extra.ptr);
		return false;
	}
	/* The answer says which one it is. */
	c->project = true;
	return take_target(c, rc, &err);
}

bool kt_api_resolve(struct kt_call *c, const struct kt_place *place)
{
	struct kt_control *ctl = c->api->cfg.control;
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc;

	switch (place->kind) {
	case KT_PLACE_OWN:
		return true;
	case KT_PLACE_REF:
		return kt_api_resolve_ref(c, place->name);
	case KT_PLACE_LABEL:
		rc = kt_control_target_host(ctl, place->name, &c->by->target, &err);
		return take_target(c, rc, &err);
	case KT_PLACE_PATH:
		if (!kt_str_eq(place->org, c->by->who.org_slug))
			return kt_api_no_project(c);
		rc = kt_control_target_path(ctl, place->org, place->name, &c->by->target, &err);
		if (rc == KT_ENOTFOUND)
			return kt_api_resolve_ref(c, place->name);
		return take_target(c, rc, &err);
	}
	return false;
}

bool kt_api_has_release(struct kt_call *c)
{
	const struct kt_target *t = &c->by->target;
	char more[600];

	if (t->folder || t->release_id[0])
		return true;
	kt_api_fail(c, 409, "no_release", "this project has no active release yet",
		lead_on(c, more, sizeof(more)));
	return false;
}

bool kt_api_visible(const struct kt_call *c, const struct kt_session *s)
{
	const struct kt_target *t;

	if (!c->by)
		return true;
	t = kt_session_target(s);
	return t && kt_str_eq(t->org_id, c->by->who.org_id) &&
		(!c->by->target.project_id[0] ||
			kt_str_eq(t->project_id, c->by->target.project_id));
}

struct kt_actor kt_api_actor(const struct kt_caller *by, const char *request_id)
{
	return (struct kt_actor){
		.who = &by->who,
		.request_id = request_id,
		.remote_ip = by->peer,
		.base_url = by->base_url,
	};
}

struct kt_origin kt_api_origin(const struct kt_call *c)
{
	const char *peer = c->by ? c->by->peer : c->rq->peer;
	bool here = (kt_api_is_loopback_name(peer) || c->api->cfg.by_socket) &&
		!kt_api_is_proxied(c);

	return (struct kt_origin){
		.who = c->by && c->by->who.key_id[0] ? c->by->who.key_name : NULL,
		.address = here || !*peer ? NULL : peer,
	};
}

/* --- streams whose key may be revoked ---------------------------------------------------- */

static bool is_guard_over(struct kt_control *ctl, const struct kt_guard *g)
{
	struct kt_principal who;
	struct kt_target target;
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc = g->web[0] ? kt_control_web_again(ctl, g->web, &who, &err)
		: g->bearer[0]      ? kt_control_principal(ctl, g->bearer, &who, &err)
				    : kt_control_local(ctl, &who, &err);

	if (rc == KT_OK && g->project_id[0])
		rc = kt_control_target(ctl, who.org_id, g->project_id, &target, &err);
	return rc == KT_EAUTH || rc == KT_ENOTFOUND;
}

void kt_api_guards_look(void *arg)
{
	struct kt_api *api = arg;

	for (struct kt_guard *g = api->guards, *next; g; g = next) {
		next = g->next;
		if (is_guard_over(api->cfg.control, g))
			g->revoked(g->arg);
	}
}

void kt_api_guard_add(struct kt_call *c, struct kt_guard *g, kt_loop_fn revoked, void *arg)
{
	struct kt_api *api = c->api;
	const char *bearer;

	memset(g, 0, sizeof(*g));
	if (!c->by || !c->by->who.key_id[0])
		return;
	bearer = kt_api_asks_for_keys(c->api) ? bearer_of(c->rq) : "";
	if (c->by->who.web[0])
		(void)kt_str_copy(g->web, sizeof(g->web), c->by->who.web);
	else if (!bearer || !kt_str_copy(g->bearer, sizeof(g->bearer), bearer))
		return;
	memcpy(g->project_id, c->by->target.project_id, sizeof(g->project_id));
	g->api = api;
	g->revoked = revoked;
	g->arg = arg;
	g->next = api->guards;
	if (g->next)
		g->next->prev = g;
	api->guards = g;
	if (!api->guard_timer)
		api->guard_timer = kt_timer_new(
			kt_sessions_loop(api->cfg.sessions), kt_api_guards_look, api);
	if (!kt_timer_active(api->guard_timer))
		kt_timer_start(api->guard_timer, GUARD_MS, GUARD_MS);
}

void kt_api_guard_remove(struct kt_guard *g)
{
	if (!g->api)
		return;
	if (g->prev)
		g->prev->next = g->next;
	else
		g->api->guards = g->next;
	if (g->next)
		g->next->prev = g->prev;
	if (!g->api->guards)
		kt_timer_stop(g->api->guard_timer);
	explicit_bzero(g, sizeof(*g));
}
