/* SPDX-License-Identifier: MIT */
/*
 * Routes and what is checked before any handler: the Host (a page elsewhere must not reach a local
 * server by rebinding its name), the Origin (nor post to it), the media type of bodies.
 */
#include "api/api_private.h"

#include "base/str.h"

#include <string.h>
#include <strings.h>

#define S "/v1/sessions"

/* Handlers take a kt_call; the table's arg is one. */
#define ROUTE(fn)                                                                                  \
	static void route_##fn(void *arg, struct kt_exchange *ex, const struct kt_request *rq,     \
		const struct kt_params *p)                                                         \
	{                                                                                          \
		kt_api_##fn(arg, p);                                                               \
	}

ROUTE(sessions_create)
ROUTE(sessions_list)
ROUTE(sessions_get)
ROUTE(sessions_delete)
ROUTE(messages_send)
ROUTE(inputs_put)
ROUTE(interrupt)
ROUTE(events)
ROUTE(agents)
ROUTE(dev)
ROUTE(openapi)
ROUTE(healthz)
ROUTE(readyz)

static const struct kt_route routes[] = {
	{ KT_POST, S, route_sessions_create, "createSession" },
	{ KT_GET, S, route_sessions_list, "listSessions" },
	{ KT_GET, S "/{session_id}", route_sessions_get, "getSession" },
	{ KT_DELETE, S "/{session_id}", route_sessions_delete, "deleteSession" },
	{ KT_POST, S "/{session_id}/messages", route_messages_send, "sendMessage" },
	{ KT_PUT, S "/{session_id}/inputs/{request_id}", route_inputs_put, "resolveInput" },
	{ KT_POST, S "/{session_id}/interrupt", route_interrupt, "interruptTurn" },
	{ KT_GET, S "/{session_id}/events", route_events, "readEvents" },
	{ KT_GET, "/v1/agents", route_agents, "listAgents" },
	/* Only at the server itself, not per project: */
	{ KT_GET, "/v1/dev", route_dev, "getDev" },
	{ KT_GET, "/openapi.json", route_openapi, "getOpenapi" },
	{ KT_GET, "/healthz", route_healthz, "getHealth" },
	{ KT_GET, "/readyz", route_readyz, "getReadiness" },
};
#define N_PROJECT_ROUTES 9

struct kt_api *kt_api_new(const struct kt_api_config *cfg)
{
	struct kt_api *api = kt_calloc(1, sizeof(*api));

	api->cfg = *cfg;
	return api;
}

void kt_api_free(struct kt_api *api)
{
	free(api);
}

void kt_api_set_draining(struct kt_api *api)
{
	api->draining = true;
}

static bool is_loopback_name(const char *host)
{
	return kt_str_eq(host, "localhost") || kt_str_ends(host, ".localhost") ||
		kt_str_eq(host, "127.0.0.1") || kt_str_eq(host, "[::1]") || kt_str_eq(host, "::1");
}

/*
 * "http://localhost:8000" names the host and port of the request: those that were checked, which
 * an absolute target takes from itself and not from Host. Other schemes are other programs' pages.
 */
static bool same_origin(const char *origin, const struct kt_request *rq)
{
	char mine[300];
	const char *rest = kt_str_starts(origin, "http://") ? origin + 7
		: kt_str_starts(origin, "https://")         ? origin + 8
							    : NULL;

	if (rq->port > 0)
		snprintf(mine, sizeof(mine), "%s:%d", rq->host, rq->port);
	else
		snprintf(mine, sizeof(mine), "%s", rq->host);
	return rest && mine[0] && kt_str_ieq(rest, mine);
}

static bool is_json_type(const char *type)
{
	static const char json[] = "application/json";
	size_t len = sizeof(json) - 1;

	return strncasecmp(type, json, len) == 0 &&
		(type[len] == '\0' || strchr("; \t", type[len]));
}

/* Every Origin and Content-Type counts: a second one must not slip past behind the first. */
static bool admit_fields(struct kt_call *c)
{
	const struct kt_request *rq = c->rq;

	for (size_t i = 0; i < rq->n_headers; i++) {
		const struct kt_header *h = &rq->headers[i];

		if (kt_str_eq(h->name, "origin") && !same_origin(h->value, rq)) {
			kt_api_fail(c, 403, "origin_refused",
				"pages of other origins may not use this local server", NULL);
			return false;
		}
		if (rq->body_len && kt_str_eq(h->name, "content-type") && !is_json_type(h->value)) {
			kt_api_fail(c, 415, "unsupported_media_type",
				"send Content-Type: application/json", NULL);
			return false;
		}
	}
	return true;
}

/* Answers the call itself and returns false when it must go no further. */
static bool admit(struct kt_call *c)
{
	const struct kt_request *rq = c->rq;

	if (!c->api->cfg.any_host && rq->host[0] && !is_loopback_name(rq->host)) {
		kt_api_fail(c, 421, "wrong_host",
			"this local server answers to localhost and 127.0.0.1 only", NULL);
		return false;
	}
	return admit_fields(c);
}

static const char *project_name(struct kt_call *c)
{
	return kt_sessions_app(c->api->cfg.sessions)->name;
}

/*
 * Take the project family off a path: "/v1/projects/NAME/sessions/x" and "/ORG/NAME/v1/sessions/x"
 * become "/v1/sessions/x". Returns 1 when it did (rewritten into out), 0 for other paths, -1 when
 * the project is not this one.
 */
static int strip_project(struct kt_call *c, char *out, size_t size)
{
	const char *path = c->rq->path, *rest, *name = project_name(c);
	size_t len = strlen(name);

	if (kt_str_starts(path, "/v1/projects/")) {
		path += strlen("/v1/projects/");
		rest = strchr(path, '/');
	} else {
		rest = strstr(path, "/v1/");
		if (!rest || rest == path)
			return 0;
		/* "/org/agent": the agent is the project, a local server has no organizations. */
		path = memchr(path + 1, '/', (size_t)(rest - path) - 1);
		if (!path)
			return 0;
		path++;
	}
	if (!rest)
		return 0;
	if ((size_t)(rest - path) != len || memcmp(path, name, len) != 0)
		return -1;
	if (kt_str_starts(rest, "/v1/"))
		rest += 3;
	snprintf(out, size, "/v1%s", rest);
	return 1;
}

static void not_found(struct kt_call *c, unsigned allow)
{
	char names[64];

	if (!allow) {
		kt_api_fail(c, 404, "not_found", "there is nothing at this path", NULL);
		return;
	}
	kt_method_names(allow, names, sizeof(names));
	kt_exchange_header(c->ex, "Allow", names);
	kt_api_fail(c, 405, "method_not_allowed", "this path does not take this method", NULL);
}

void kt_api_handle(void *arg, struct kt_exchange *ex, const struct kt_request *rq)
{
	struct kt_call c = { arg, ex, rq, false };
	struct kt_request rewritten = *rq;
	size_t n_routes = KT_ARRAY_LEN(routes);
	const struct kt_route *r;
	struct kt_params params;
	char path[1024], scratch[512];
	unsigned allow = 0;
	int stripped;

	if (!admit(&c))
		return;
	stripped = strlen(rq->path) < sizeof(path) ? strip_project(&c, path, sizeof(path)) : 0;
	if (stripped < 0) {
		kt_api_fail(&c, 404, "project_not_found", "there is no such project here", NULL);
		return;
	}
	if (stripped) {
		c.project = true;
		rewritten.path = path;
		n_routes = N_PROJECT_ROUTES;
	}
	r = kt_route_find(routes, n_routes, &rewritten, &params, scratch, sizeof(scratch), &allow);
	if (r)
		r->fn(&c, ex, rq, &params);
	else if (allow || !kt_api_page(&c))
		not_found(&c, allow);
}
