/* SPDX-License-Identifier: MIT */
/*
 * Routes and what is checked before any handler. On a local server: the Host (a page elsewhere must
 * not reach it by rebinding its name) and the Origin (nor post to it). On a hosting server: Host
 * and Origin, then the key and its scopes, then the project. On both: the media type of bodies.
 */
#include "api/core/caller_private.h"
#include "api/hosting/hosting_private.h"
#include "api/sessions/sessions_private.h"
#include "api/web/web_private.h"

#include "base/limits.h"
#include "base/str.h"

#include <string.h>
#include <strings.h>

#define S "/v1/sessions"
#define P "/agent_projects/{project_ref}"
#define V P "/releases/{version}"

#define READ KT_SCOPE_READ
#define WRITE KT_SCOPE_WRITE
#define ADMIN KT_SCOPE_ADMIN
#define OPEN 0 /* for all: nobody signs in here */
#define ANY_KEY 0x100 /* a key, whatever its scopes */
/* Who pushes has to see where the project is and what became of it, and no more than that. */
#define PUSHER (READ | WRITE | KT_API_EITHER)

/* Where a route is. */
enum {
	LOCAL = 1, /* a local server */
	LOCAL_PROJECT = 2, /* its one project, by path */
	HOST = 4, /* a hosting server itself */
	HOST_PROJECT = 8, /* a project on it: by path, or at its own host */
	HOST_NAME = 16, /* only at its own host */
};
#define EVERY (LOCAL | LOCAL_PROJECT | HOST | HOST_PROJECT)
#define SERVER (LOCAL | HOST)

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
ROUTE(sessions_change)
ROUTE(sessions_delete)
ROUTE(messages_send)
ROUTE(inputs_get)
ROUTE(inputs_put)
ROUTE(approvals_list)
ROUTE(approvals_revoke)
ROUTE(approvals_clear)
ROUTE(interrupt)
ROUTE(events)
ROUTE(agents)
ROUTE(dev)
ROUTE(openapi)
ROUTE(healthz)
ROUTE(readyz)
ROUTE(harnesses)
ROUTE(projects_list)
ROUTE(projects_create)
ROUTE(projects_get)
ROUTE(projects_change)
ROUTE(projects_delete)
ROUTE(refs_list)
ROUTE(refs_delete)
ROUTE(releases_publish)
ROUTE(releases_list)
ROUTE(releases_get)
ROUTE(releases_manifest)
ROUTE(releases_archive)
ROUTE(releases_log)
ROUTE(releases_activate)
ROUTE(projects_activate)
ROUTE(projects_rollback)
ROUTE(projects_pin)
ROUTE(projects_unpin)
ROUTE(deploys_create)
ROUTE(deploys_get)
ROUTE(config_get)
ROUTE(config_change)
ROUTE(logs)
ROUTE(whoami)
ROUTE(keys_list)
ROUTE(keys_create)
ROUTE(keys_revoke)
ROUTE(audit_list)
ROUTE(audit_verify)
ROUTE(device_code)
ROUTE(device_token)
ROUTE(device_get)
ROUTE(device_decide)
ROUTE(usage)
ROUTE(web_sign_in)
ROUTE(web_sign_out)
ROUTE(web_hand_over)
ROUTE(github)

/* The largest body of a route; SMALL where no other is named. */
#define SMALL KT_MAX_HTTP_SMALL_BODY_BYTES
#define DOCUMENT KT_MAX_HTTP_DOCUMENT_BYTES
#define LARGE KT_MAX_HTTP_BODY_BYTES

struct rule {
	struct kt_route route;
	unsigned scope; /* needed on a hosting server; exact: admin does not imply write */
	unsigned where;
	int64_t max_body; /* 0 = SMALL */
};

/* clang-format off */
static const struct rule rules[] = {
	{ { KT_POST, S, route_sessions_create, "createSession" }, WRITE, EVERY, LARGE },
	{ { KT_GET, S, route_sessions_list, "listSessions" }, READ, EVERY },
	{ { KT_GET, S "/{session_id}", route_sessions_get, "getSession" }, READ, EVERY },
	{ { KT_PATCH, S "/{session_id}", route_sessions_change, "changeSession" }, WRITE, EVERY },
	{ { KT_DELETE, S "/{session_id}", route_sessions_delete, "deleteSession" }, WRITE, EVERY },
	{ { KT_POST, S "/{session_id}/messages", route_messages_send, "sendMessage" }, WRITE, EVERY, LARGE },
	{ { KT_GET, S "/{session_id}/inputs/{request_id}", route_inputs_get, "getInput" },
		READ, EVERY },
	{ { KT_PUT, S "/{session_id}/inputs/{request_id}", route_inputs_put, "resolveInput" },
		WRITE, EVERY, LARGE },
	{ { KT_GET, S "/{session_id}/approvals", route_approvals_list, "listApprovals" }, READ, EVERY },
	{ { KT_DELETE, S "/{session_id}/approvals", route_approvals_clear, "revokeApprovals" },
		WRITE, EVERY },
	{ { KT_DELETE, S "/{session_id}/approvals/{approval_id}", route_approvals_revoke,
		"revokeApproval" }, WRITE, EVERY },
	{ { KT_POST, S "/{session_id}/interrupt", route_interrupt, "interruptTurn" }, WRITE, EVERY },
	{ { KT_GET, S "/{session_id}/events", route_events, "readEvents" }, READ, EVERY },
	{ { KT_GET, "/v1/agents", route_agents, "listAgents" }, READ, EVERY },
	{ { KT_GET, "/v1/dev", route_dev, "getDev" }, READ, LOCAL | HOST_PROJECT },
	/* The server itself. */
	{ { KT_GET, "/openapi.json", route_openapi, "getOpenapi" }, OPEN, SERVER | HOST_PROJECT },
	{ { KT_GET, "/healthz", route_healthz, "getHealth" }, OPEN, SERVER | HOST_PROJECT },
	{ { KT_GET, "/readyz", route_readyz, "getReadiness" }, OPEN, SERVER | HOST_PROJECT },
	{ { KT_GET, "/harnesses.json", route_harnesses, "getHarnesses" }, OPEN, HOST },
	/* Projects and releases. */
	{ { KT_GET, "/agent_projects", route_projects_list, "listProjects" }, READ, HOST },
	{ { KT_POST, "/agent_projects", route_projects_create, "createProject" }, WRITE, HOST, DOCUMENT },
	{ { KT_GET, P, route_projects_get, "getProject" }, READ, HOST },
	{ { KT_PATCH, P, route_projects_change, "changeProject" }, WRITE, HOST, DOCUMENT },
	{ { KT_DELETE, P, route_projects_delete, "deleteProject" }, ADMIN, HOST },
	{ { KT_GET, P "/refs", route_refs_list, "listRefs" }, PUSHER, HOST },
	{ { KT_DELETE, P "/refs", route_refs_delete, "deleteRef" }, WRITE, HOST },
	{ { KT_POST, P "/releases", route_releases_publish, "publishRelease" }, WRITE, HOST, LARGE },
	{ { KT_PUT, P "/releases", route_releases_publish, "uploadRelease" }, WRITE, HOST, LARGE },
	{ { KT_GET, P "/releases", route_releases_list, "listReleases" }, READ, HOST },
	{ { KT_GET, V, route_releases_get, "getRelease" }, PUSHER, HOST },
	{ { KT_GET, V "/manifest", route_releases_manifest, "getManifest" }, READ, HOST },
	{ { KT_GET, V "/archive", route_releases_archive, "getArchive" }, READ, HOST },
	{ { KT_GET, V "/log", route_releases_log, "readBuildLog" }, PUSHER, HOST },
	{ { KT_POST, V "/activate", route_releases_activate, "activateRelease" }, WRITE, HOST, DOCUMENT },
	{ { KT_POST, P "/activate", route_projects_activate, "activateVersion" }, WRITE, HOST, DOCUMENT },
	{ { KT_POST, P "/rollback", route_projects_rollback, "rollBack" }, ADMIN, HOST, DOCUMENT },
	{ { KT_PUT, P "/pin", route_projects_pin, "pinProject" }, ADMIN, HOST, DOCUMENT },
	{ { KT_DELETE, P "/pin", route_projects_unpin, "unpinProject" }, ADMIN, HOST },
	{ { KT_POST, P "/deploys", route_deploys_create, "createDeploy" }, WRITE, HOST, LARGE },
	{ { KT_GET, P "/deploys/{version}", route_deploys_get, "getDeploy" }, PUSHER, HOST },
	{ { KT_GET, P "/deploys/{version}/log", route_releases_log, "readDeployLog" }, PUSHER, HOST },
	{ { KT_GET, P "/config", route_config_get, "getConfig" }, READ, HOST },
	{ { KT_PATCH, P "/config", route_config_change, "changeConfig" }, WRITE, HOST, LARGE },
	{ { KT_GET, P "/logs", route_logs, "readLogs" }, READ, HOST },
	/* Keys, audit, signing in. */
	{ { KT_GET, "/v1/whoami", route_whoami, "whoAmI" }, ANY_KEY, HOST },
	{ { KT_GET, "/v1/keys", route_keys_list, "listKeys" }, READ, HOST },
	{ { KT_POST, "/v1/keys", route_keys_create, "createKey" }, ADMIN, HOST, DOCUMENT },
	{ { KT_DELETE, "/v1/keys/{key_id}", route_keys_revoke, "revokeKey" }, ANY_KEY, HOST },
	{ { KT_GET, "/v1/usage", route_usage, "listUsage" }, READ, HOST },
	{ { KT_GET, "/v1/audit", route_audit_list, "listAudit" }, ADMIN, HOST },
	{ { KT_GET, "/v1/audit/verify", route_audit_verify, "verifyAudit" }, ADMIN, HOST },
	{ { KT_POST, "/v1/device/code", route_device_code, "beginDevice" }, OPEN, HOST },
	{ { KT_POST, "/v1/device/token", route_device_token, "pollDevice" }, OPEN, HOST },
	{ { KT_GET, "/v1/device/{user_code}", route_device_get, "getDevice" }, ADMIN, HOST },
	{ { KT_POST, "/v1/device/{user_code}", route_device_decide, "decideDevice" }, ADMIN, HOST },
	/* Browsers. */
	{ { KT_POST, "/v1/web/session", route_web_sign_in, "signIn" }, OPEN, HOST | HOST_NAME },
	{ { KT_DELETE, "/v1/web/session", route_web_sign_out, "signOut" }, ANY_KEY, HOST | HOST_NAME },
	{ { KT_POST, "/v1/web/handover", route_web_hand_over, "handOver" }, ANY_KEY, HOST },
	{ { KT_POST, "/webhooks/github", route_github, "receiveGithub" }, OPEN, HOST, LARGE },
	{ { KT_POST, "/webhooks/github/{project_id}", route_github, "receiveGithubOf" }, OPEN, HOST, LARGE },
};
/* clang-format on */

/* Take the rules of these places out of the table. */
static void make_table(struct kt_table *t, unsigned where)
{
	t->routes = kt_calloc(KT_ARRAY_LEN(rules), sizeof(*t->routes));
	t->scopes = kt_calloc(KT_ARRAY_LEN(rules), sizeof(*t->scopes));
	t->max_body = kt_calloc(KT_ARRAY_LEN(rules), sizeof(*t->max_body));
	for (size_t i = 0; i < KT_ARRAY_LEN(rules); i++) {
		if (!(rules[i].where & where))
			continue;
		t->routes[t->n] = rules[i].route;
		t->scopes[t->n] = rules[i].scope;
		t->max_body[t->n++] = rules[i].max_body ? rules[i].max_body : SMALL;
	}
}

static void table_release(struct kt_table *t)
{
	free(t->routes);
	free(t->scopes);
	free(t->max_body);
}

static void on_keys_changed(void *arg, enum kt_topic topic, uint64_t number)
{
	kt_api_guards_look(arg);
}

struct kt_api *kt_api_new(const struct kt_api_config *cfg)
{
	struct kt_api *api = kt_calloc(1, sizeof(*api));

	api->cfg = *cfg;
	if (!api->cfg.max_archive_bytes)
		api->cfg.max_archive_bytes = KT_MAX_ARCHIVE_BYTES;
	make_table(&api->own, cfg->control ? HOST : LOCAL);
	make_table(&api->project, cfg->control ? HOST_PROJECT : LOCAL_PROJECT);
	make_table(&api->named, HOST_PROJECT | HOST_NAME);
	if (cfg->control) {
		kt_api_host_init(api);
		kt_bus_listen(cfg->bus, &api->keys, KT_TOPIC_KEYS, on_keys_changed, api);
	}
	return api;
}

void kt_api_free(struct kt_api *api)
{
	if (!api)
		return;
	kt_api_parses_end(api);
	kt_api_replies_end(api);
	while (api->laters)
		kt_api_later_free(api->laters);
	kt_bus_leave(&api->keys);
	kt_timer_free(api->guard_timer);
	kt_api_host_release(api);
	table_release(&api->own);
	table_release(&api->project);
	table_release(&api->named);
	kt_api_assets_release(api);
	free(api);
}

void kt_api_set_draining(struct kt_api *api)
{
	api->draining = true;
}

static bool is_json_type(const char *type)
{
	static const char json[] = "application/json";
	size_t len = sizeof(json) - 1;

	return strncasecmp(type, json, len) == 0 &&
		(type[len] == '\0' || strchr("; \t", type[len]));
}

/* A body is JSON and says so. Every Content-Type counts: a second one must not slip past. */
static bool admit_type(struct kt_call *c)
{
	const struct kt_request *rq = c->rq;
	bool said = false, other = false;

	for (size_t i = 0; i < rq->n_headers; i++) {
		const struct kt_header *h = &rq->headers[i];

		if (!kt_str_eq(h->name, "content-type"))
			continue;
		said = true;
		other = other || !is_json_type(h->value);
	}
	if (said && !other)
		return true;
	kt_api_fail(c, 415, "unsupported_media_type", "send Content-Type: application/json", NULL);
	return false;
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

/* The body of such a route is JSON, which its handler gets parsed. */
static bool reads_json(const struct kt_route *r)
{
	return r->fn != route_releases_publish && r->fn != route_github &&
		(r->methods & (KT_POST | KT_PUT | KT_PATCH));
}

/* --- a local server ---------------------------------------------------------------------- */

/*
 * Answers the call itself and returns false when it must go no further. Every Origin counts: a
 * second one must not slip past behind the first.
 */
static bool admit_call(struct kt_call *c)
{
	const struct kt_request *rq = c->rq;

	if (!c->api->cfg.any_host && rq->host[0] && !kt_api_is_loopback_name(rq->host)) {
		kt_api_fail(c, 421, "wrong_host",
			"this local server answers to names of this machine only", NULL);
		return false;
	}
	for (size_t i = 0; i < rq->n_headers; i++) {
		const struct kt_header *h = &rq->headers[i];

		if (kt_str_eq(h->name, "origin") &&
			!kt_api_same_origin(h->value, rq->host, rq->port)) {
			kt_api_fail(c, 403, "origin_refused",
				"pages of other origins may not use this local server", NULL);
			return false;
		}
	}
	return kt_api_admit_keyless(c);
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

/* A request on its way to its route. */
struct way {
	struct kt_caller by;
	struct kt_place place; /* of a hosting server */
	char path[1024]; /* of a local one, when it was rewritten */
	struct kt_params params;
	char scratch[512];
	const struct kt_route *route; /* NULL when there is none */
	unsigned scope, allow;
	int64_t max_body;
};

static void find_route(
	struct way *way, const struct kt_table *t, const struct kt_request *rq, const char *path)
{
	struct kt_request rewritten = *rq;

	rewritten.path = path;
	way->route = kt_route_find(t->routes, t->n, &rewritten, &way->params, way->scratch,
		sizeof(way->scratch), &way->allow);
	if (!way->route)
		return;
	way->scope = t->scopes[way->route - t->routes];
	way->max_body = t->max_body[way->route - t->routes];
}

static bool find_local(struct kt_call *c, struct way *way)
{
	const struct kt_request *rq = c->rq;
	int stripped;

	if (!admit_call(c) || !kt_api_count(c, NULL, NULL))
		return false;
	stripped = strlen(rq->path) < sizeof(way->path)
		? strip_project(c, way->path, sizeof(way->path))
		: 0;
	if (stripped < 0) {
		kt_api_fail(c, 404, "project_not_found", "there is no such project", NULL);
		return false;
	}
	c->project = stripped;
	way->scope = OPEN;
	find_route(way, stripped ? &c->api->project : &c->api->own, rq,
		stripped ? way->path : rq->path);
	return true;
}

/* --- a hosting server -------------------------------------------------------------------- */

static bool find_hosted(struct kt_call *c, struct way *way)
{
	c->by = &way->by;
	if (!kt_api_place(c, &way->place) || (c->api->cfg.keyless && !kt_api_admit_keyless(c)))
		return false;
	if (way->by.told && !kt_exchange_client(c->ex, way->by.peer)) {
		kt_exchange_header(c->ex, "Retry-After", "1");
		kt_api_fail(c, 429, "limit_reached",
			"too many requests of this address run at a time; wait for some to end",
			NULL);
		return false;
	}
	kt_exchange_stranger(c->ex, way->by.peer);
	c->project = way->place.kind == KT_PLACE_REF || way->place.kind == KT_PLACE_PATH;
	find_route(way,
		way->place.kind == KT_PLACE_OWN             ? &c->api->own
			: way->place.kind == KT_PLACE_LABEL ? &c->api->named
							    : &c->api->project,
		c->rq, way->place.path);
	return true;
}

/* --- both -------------------------------------------------------------------------------- */

/*
 * Host, Origin, path, key, scopes, project: all that can be said before the body. False when the
 * call was answered.
 */
static bool find_way(struct kt_call *c, struct way *way)
{
	bool hosted = c->api->cfg.control;

	if (!(hosted ? find_hosted(c, way) : find_local(c, way)))
		return false;
	if (!way->route) {
		if (way->allow || !kt_api_page(c, hosted ? &way->place : NULL))
			not_found(c, way->allow);
		return false;
	}
	return !hosted || way->scope == OPEN ||
		(kt_api_authorize(c, way->scope) && kt_api_resolve(c, &way->place));
}

/* True when this request's body is an archive or a document of its own size. */
static bool is_publish(const struct kt_route *r)
{
	return r->fn == route_releases_publish;
}

/* True when the body is small and JSON: it can stay in memory. */
static bool is_small_document(const struct kt_request *rq)
{
	const char *type = kt_request_header(rq, "content-type");
	const char *length = kt_request_header(rq, "content-length");
	int64_t n;

	return type && is_json_type(type) && length &&
		kt_str_int64(length, 0, KT_MAX_HTTP_BODY_BYTES, &n);
}

static enum kt_spool_answer spool_publish(struct kt_call *c, struct kt_spool *out)
{
	const struct kt_api_config *cfg = &c->api->cfg;

	if (c->api->draining) {
		kt_exchange_header(c->ex, "Retry-After", "5");
		kt_api_fail(c, 503, "draining", "the server is shutting down", NULL);
		return KT_SPOOL_ANSWERED;
	}
	/* Another site's form, or fetch that needs no leave, can send these types and none. */
	if (cfg->keyless && (c->rq->method & KT_POST) &&
		kt_api_is_simple_type(kt_request_header(c->rq, "content-type"))) {
		kt_api_fail(c, 415, "unsupported_media_type",
			"send Content-Type: application/gzip, or another one of archives", NULL);
		return KT_SPOOL_ANSWERED;
	}
	if (is_small_document(c->rq) || !cfg->upload_dir)
		return KT_SPOOL_MEMORY;
	out->dir = cfg->upload_dir;
	out->max_bytes = cfg->max_archive_bytes;
	return KT_SPOOL_FILE;
}

enum kt_spool_answer kt_api_spool(
	void *arg, struct kt_exchange *ex, const struct kt_request *rq, struct kt_spool *out)
{
	struct kt_call c = { arg, ex, rq, false, NULL, NULL };
	struct way way = { .allow = 0 };

	if (!find_way(&c, &way))
		return KT_SPOOL_ANSWERED;
	out->max_bytes = way.max_body;
	if (is_publish(way.route))
		return spool_publish(&c, out);
	/* A chunked body may turn out to be none, which needs no type. */
	if (kt_request_header(rq, "transfer-encoding") || admit_type(&c))
		return KT_SPOOL_MEMORY;
	return KT_SPOOL_ANSWERED;
}

/* A kt_parsed_fn, and with NULL the first handling of a request. */
static void handle_call(struct kt_api *api, struct kt_exchange *ex, struct kt_parse *parsed)
{
	const struct kt_request *rq = kt_exchange_request(ex);
	struct kt_call c = { api, ex, rq, false, NULL, parsed };
	struct way way = { .allow = 0 };

	if (!find_way(&c, &way))
		return;
	if (rq->body_len && !is_publish(way.route) && !admit_type(&c))
		return;
	if (!reads_json(way.route) || !kt_api_parse_ahead(&c, handle_call))
		way.route->fn(&c, ex, rq, &way.params);
}

void kt_api_handle(void *arg, struct kt_exchange *ex, const struct kt_request *rq)
{
	(void)rq;
	handle_call(arg, ex, NULL);
}
