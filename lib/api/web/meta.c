/* SPDX-License-Identifier: MIT */
/* Agents, the server itself, harnesses, health. */
#include "api/web/web_private.h"

#include "base/fs.h"
#include "base/str.h"
#include "text/json.h"

#include <stdio.h>

static void write_agents(struct kt_jw *w, const struct kt_app *app, const char *key)
{
	kt_jw_arr(w, key);
	kt_jw_obj(w, NULL);
	kt_jw_str(w, "name", "default");
	kt_jw_str(w, "description", "the application's own instructions");
	kt_jw_null(w, "model");
	kt_jw_str(w, "type", "primary");
	kt_jw_bool(w, "default", kt_str_eq(app->default_agent, "default"));
	kt_jw_bool(w, "answers", true);
	kt_jw_obj_end(w);
	for (size_t i = 0; i < app->n_agents; i++) {
		const struct kt_agent *a = &app->agents[i];

		kt_jw_obj(w, NULL);
		kt_jw_str(w, "name", a->name);
		kt_jw_str(w, "description", a->description);
		kt_jw_str(w, "model", a->model);
		kt_jw_str(w, "type", a->primary ? "primary" : "auxiliary");
		kt_jw_bool(w, "default", a->is_default);
		kt_jw_bool(w, "answers", a->answers);
		kt_jw_obj_end(w);
	}
	kt_jw_arr_end(w);
}

static void send_agents(struct kt_call *c, const struct kt_app *app)
{
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

/* What is served: version is the harness's, NULL when it is not known. */
static void send_dev(
	struct kt_call *c, const struct kt_app *app, const char *version, const char *problem)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8 * 1024 * 1024);
	const struct kt_target *t = c->by ? &c->by->target : NULL;
	const struct kt_sessions *reg = c->api->cfg.sessions;
	char home[sizeof(c->by->base_url)] = "", release[32] = "";
	const char *lacks;
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "project", t ? t->project : app->name);
	/* Where a hosting server keeps its files is nobody's business. */
	kt_jw_str(&w, "dir", t ? NULL : app->dir);
	kt_jw_str(&w, "harness", app->harness_name);
	kt_jw_str(&w, "harness_version", version);
	kt_jw_str(&w, "mode", app->harness == KT_HARNESS_REHEARSAL ? "offline" : "live");
	kt_jw_str(&w, "problem", problem[0] ? problem : NULL);
	lacks = t ? kt_sessions_lacks_of(c->api->cfg.sessions, t) : NULL;
	kt_jw_arr(&w, "missing_credentials");
	if (lacks)
		kt_jw_str(&w, NULL, lacks);
	kt_jw_arr_end(&w);
	kt_jw_str(&w, "version", c->api->cfg.version);
	if (c->by)
		kt_api_web_server(c, home, sizeof(home));
	/* Where the pages of all projects are. */
	kt_jw_str(&w, "home", home[0] ? home : NULL);
	if (t && t->version)
		snprintf(release, sizeof(release), "v%lld", (long long)t->version);
	/* What a session that begins now is of. */
	kt_jw_str(&w, "release", release[0] ? release : NULL);
	kt_jw_bool(&w, "preview", t && t->preview);
	/* A preview goes its own way. */
	if (t && !t->preview)
		kt_control_write_pin(c->api->cfg.control, t->project_id, &w);
	write_agents(&w, app, "agents");
	kt_jw_arr(&w, "starters");
	for (const char *const *starter = app->starters; *starter; starter++)
		kt_jw_str(&w, NULL, *starter);
	kt_jw_arr_end(&w);
	kt_jw_int(&w, "sessions",
		(int64_t)(t ? kt_sessions_count_of(reg, t->project_id) : kt_sessions_count(reg)));
	kt_jw_obj_end(&w);
	kt_respond_json(c->ex, 200, &b);
}

/* --- of a project on a hosting server: its release is made ready first ------------------- */

struct peek {
	bool dev; /* else agents */
};

static void on_meta_prepared(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct kt_later *l = arg;
	const struct peek *pk = l->data;
	const struct kt_target *t = &l->caller.target;
	struct kt_sessions *reg = l->c.api->cfg.sessions;
	const struct kt_app *app = rc == KT_OK ? kt_sessions_app_of(reg, t) : NULL;

	if (l->c.ex && rc != KT_OK)
		kt_api_fail_err(&l->c, err);
	else if (l->c.ex && !app)
		kt_api_fail(&l->c, 503, "unavailable", "the release is not ready", NULL);
	else if (l->c.ex && pk->dev)
		send_dev(&l->c, app, NULL, kt_sessions_problem_of(reg, t));
	else if (l->c.ex)
		send_agents(&l->c, app);
	kt_api_later_free(l);
}

static void peek_release(struct kt_call *c, bool dev)
{
	struct peek *pk;
	struct kt_later *l;
	char ref[64];

	if (!c->by->target.project_id[0]) {
		if (!kt_api_query(c, "project", ref, sizeof(ref)) || !kt_api_resolve_flat(c, ref))
			return;
	}
	if (!kt_api_has_release(c))
		return;
	pk = kt_calloc(1, sizeof(*pk));
	pk->dev = dev;
	l = kt_api_later(c, pk, free);
	kt_sessions_prepare(c->api->cfg.sessions, &l->caller.target, on_meta_prepared, l);
}

void kt_api_agents(struct kt_call *c, const struct kt_params *p)
{
	if (c->by)
		peek_release(c, false);
	else
		send_agents(c, kt_sessions_app(c->api->cfg.sessions));
}

void kt_api_dev(struct kt_call *c, const struct kt_params *p)
{
	struct kt_sessions *reg = c->api->cfg.sessions;
	const struct kt_app *app;
	const struct kt_program *prog;

	if (c->by) {
		peek_release(c, true);
		return;
	}
	app = kt_sessions_app(reg);
	prog = kt_sessions_program(reg);
	send_dev(c, app, prog->version[0] ? prog->version : NULL, kt_sessions_problem(reg));
}

/* --- harnesses --------------------------------------------------------------------------- */

/*
 * The version of an installed program without running it: what the package.json in its folder or
 * one of the two above says.
 */
static char *package_version(const char *program)
{
	KT_AUTOFREE char *dir = NULL;

	if (kt_path_real(program, &dir, NULL) != KT_OK)
		return NULL;
	for (int up = 0; up < 3; up++) {
		KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(256 * 1024);
		KT_AUTO_JSON cJSON *doc = NULL;
		KT_AUTOFREE char *above = kt_path_dir(dir);
		KT_AUTOFREE char *file = kt_path_join(above, "package.json");

		free(dir);
		dir = KT_STEAL(above);
		if (kt_fs_read(file, &text, NULL) != KT_OK ||
			kt_json_parse(text.ptr, text.len, KT_JSON_LENIENT, &doc, NULL) != KT_OK)
			continue;
		return kt_strdup(kt_json_str_or(doc, "version", ""));
	}
	return NULL;
}

static void add_word_list(struct kt_jw *w, const char *key, const char *const *words)
{
	kt_jw_arr(w, key);
	for (; *words; words++)
		kt_jw_str(w, NULL, *words);
	kt_jw_arr_end(w);
}

struct known {
	enum kt_harness_type type;
	const char *capabilities[6], *auth[3];
	const struct kt_known_harness *known; /* or NULL */
};

static void add_harness(struct kt_jw *w, const struct kt_api *api, const struct known *k)
{
	char *command[] = { NULL, NULL };
	struct kt_app app = { .dir = "/", .harness = k->type, .harness_command = command };
	struct kt_program prog = { .path = "" };
	KT_AUTOFREE char *version = NULL;

	KT_AUTOFREE char *word = k->known ? kt_strdup(k->known->command[0]) : NULL;

	command[0] = word;
	if (api->cfg.harness_program)
		kt_str_copy(prog.path, sizeof(prog.path), api->cfg.harness_program);
	else if (kt_app_program(&app, &prog, NULL) != KT_OK)
		return;
	/* What speaks for a known harness has versions of its own. */
	if (prog.path[0] && !k->known)
		version = package_version(prog.path);
	kt_jw_obj(w, NULL);
	kt_jw_str(w, "id", k->known ? k->known->type : kt_harness_name(k->type));
	kt_jw_arr(w, "versions");
	if (version && *version)
		kt_jw_str(w, NULL, version);
	kt_jw_arr_end(w);
	kt_jw_str(w, "default", version && *version ? version : NULL);
	add_word_list(w, "capabilities", k->capabilities);
	add_word_list(w, "auth", k->auth);
	kt_jw_obj_end(w);
}

void kt_api_harnesses(struct kt_call *c, const struct kt_params *p)
{
	static const struct known live[] = {
		{ KT_HARNESS_CLAUDE, { "resume", "approvals", "thinking", "questions" },
			{ "api_key", "oauth_subscription" } },
		{ KT_HARNESS_OPENCODE, { "resume", "approvals" }, { "api_key" } },
	};
	static const struct known offline = { KT_HARNESS_REHEARSAL, { "approvals", "thinking" },
		{ "none" } };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_arr(&w, "harnesses");
	if (c->api->cfg.offline)
		add_harness(&w, c->api, &offline);
	for (size_t i = 0; !c->api->cfg.offline && i < KT_ARRAY_LEN(live); i++)
		add_harness(&w, c->api, &live[i]);
	for (size_t i = 0; !c->api->cfg.offline && kt_known_harness(i); i++) {
		const struct known k = { .type = KT_HARNESS_ACP,
			.capabilities = { "approvals" },
			.auth = { "api_key" },
			.known = kt_known_harness(i) };

		add_harness(&w, c->api, &k);
	}
	kt_jw_arr_end(&w);
	kt_jw_obj_end(&w);
	kt_respond_json(c->ex, 200, &b);
}

/* --- health ------------------------------------------------------------------------------ */

void kt_api_healthz(struct kt_call *c, const struct kt_params *p)
{
	static const char ok[] = "{\"status\":\"ok\"}\n";

	kt_respond_static(c->ex, 200, "application/json", ok, sizeof(ok) - 1);
}

/* Whether what has to be on disk gets there. */
static bool is_well(struct kt_api *api, struct kt_err *err)
{
	size_t n = kt_evlogs_failed();

	if (kt_sessions_health(api->cfg.sessions, err) != KT_OK ||
		(api->cfg.control && kt_control_health(api->cfg.control, err) != KT_OK))
		return false;
	if (n > 0)
		(void)kt_fail(err, KT_EIO, 0,
			"events of %zu log%s are in memory only: writing them failed", n,
			n == 1 ? "" : "s");
	return n == 0;
}

void kt_api_readyz(struct kt_call *c, const struct kt_params *p)
{
	static const char ready[] = "{\"status\":\"ready\"}\n";
	struct kt_err err = KT_ERR_INIT;

	if (c->api->draining) {
		kt_exchange_header(c->ex, "Retry-After", "5");
		kt_api_fail(c, 503, "draining", "the server is shutting down", NULL);
		return;
	}
	if (!is_well(c->api, &err)) {
		kt_exchange_header(c->ex, "Retry-After", "5");
		kt_api_fail(c, 503, "storage_failed", err.msg, NULL);
		return;
	}
	kt_respond_static(c->ex, 200, "application/json", ready, sizeof(ready) - 1);
}
