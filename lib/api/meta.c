/* SPDX-License-Identifier: MIT */
/* Agents, the local server itself, health, the OpenAPI document, pages. */
#include "api/api_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "text/json.h"

#include <string.h>

static const char page_policy[] =
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
	"connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
	"frame-ancestors 'none'";

static void write_agents(struct kt_jw *w, const struct kt_app *app, const char *key)
{
	kt_jw_arr(w, key);
	kt_jw_obj(w, NULL);
	kt_jw_str(w, "name", "default");
	kt_jw_str(w, "description", "the application's own instructions");
	kt_jw_null(w, "model");
	kt_jw_str(w, "type", "primary");
	kt_jw_bool(w, "default", kt_str_eq(app->default_agent, "default"));
	kt_jw_obj_end(w);
	for (size_t i = 0; i < app->n_agents; i++) {
		const struct kt_agent *a = &app->agents[i];

		kt_jw_obj(w, NULL);
		kt_jw_str(w, "name", a->name);
		kt_jw_str(w, "description", a->description);
		kt_jw_str(w, "model", a->model);
		kt_jw_str(w, "type", a->primary ? "primary" : "auxiliary");
		kt_jw_bool(w, "default", a->is_default);
		kt_jw_obj_end(w);
	}
	kt_jw_arr_end(w);
}

void kt_api_agents(struct kt_call *c, const struct kt_params *p)
{
	const struct kt_app *app = kt_sessions_app(c->api->cfg.sessions);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8 * 1024 * 1024);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	write_agents(&w, app, "data");
	kt_jw_arr(&w, "skills");
	for (size_t i = 0; i < app->n_skills; i++) {
		kt_jw_obj(&w, NULL);
		kt_jw_str(&w, "name", app->skills[i].name);
		kt_jw_str(&w, "description", app->skills[i].description);
		kt_jw_obj_end(&w);
	}
	kt_jw_arr_end(&w);
	kt_jw_obj_end(&w);
	kt_respond_json(c->ex, 200, &b);
}

void kt_api_dev(struct kt_call *c, const struct kt_params *p)
{
	struct kt_sessions *reg = c->api->cfg.sessions;
	const struct kt_app *app = kt_sessions_app(reg);
	const struct kt_program *prog = kt_sessions_program(reg);
	const char *problem = kt_sessions_problem(reg);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8 * 1024 * 1024);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "project", app->name);
	kt_jw_str(&w, "dir", app->dir);
	kt_jw_str(&w, "harness", kt_harness_name(app->harness));
	kt_jw_str(&w, "harness_version", prog->version[0] ? prog->version : NULL);
	kt_jw_str(&w, "mode", app->harness == KT_HARNESS_REHEARSAL ? "offline" : "live");
	kt_jw_str(&w, "problem", problem[0] ? problem : NULL);
	kt_jw_str(&w, "version", c->api->cfg.version);
	write_agents(&w, app, "agents");
	kt_jw_int(&w, "sessions", (int64_t)kt_sessions_count(reg));
	kt_jw_obj_end(&w);
	kt_respond_json(c->ex, 200, &b);
}

static const struct kt_asset *find_page(const struct kt_api *api, const char *path)
{
	for (const struct kt_asset *a = api->cfg.pages; a && a->path; a++) {
		if (kt_str_eq(a->path, path))
			return a;
	}
	return NULL;
}

void kt_api_openapi(struct kt_call *c, const struct kt_params *p)
{
	const struct kt_asset *a = find_page(c->api, "/openapi.json");

	if (a)
		kt_respond_static(c->ex, 200, a->type, a->data, a->len);
	else
		kt_api_fail(c, 404, "not_found", "this build has no OpenAPI document", NULL);
}

void kt_api_healthz(struct kt_call *c, const struct kt_params *p)
{
	static const char ok[] = "{\"status\":\"ok\"}\n";

	kt_respond_static(c->ex, 200, "application/json", ok, sizeof(ok) - 1);
}

void kt_api_readyz(struct kt_call *c, const struct kt_params *p)
{
	static const char ready[] = "{\"status\":\"ready\"}\n";

	if (c->api->draining) {
		kt_exchange_header(c->ex, "Retry-After", "5");
		kt_api_fail(c, 503, "draining", "the server is shutting down", NULL);
		return;
	}
	kt_respond_static(c->ex, 200, "application/json", ready, sizeof(ready) - 1);
}

bool kt_api_page(struct kt_call *c)
{
	const struct kt_asset *a;

	if (c->project || !(c->rq->method & (KT_GET | KT_HEAD)))
		return false;
	a = find_page(c->api, c->rq->path);
	if (!a || kt_str_eq(a->path, "/openapi.json"))
		return false;
	kt_exchange_header(c->ex, "Content-Security-Policy", page_policy);
	kt_exchange_header(c->ex, "Referrer-Policy", "no-referrer");
	kt_exchange_header(c->ex, "Cache-Control", "no-cache");
	kt_respond_static(c->ex, 200, a->type, a->data, a->len);
	return true;
}
