/* SPDX-License-Identifier: MIT */
/*
 * Of the ACP driver: the command line and environment of an agent, what is known about single
 * agents, and the choices (agent, mode, model) a session advertises.
 *
 * OpenCode (1.18) never passes on a permission that a sub-agent asks for: the turn would hang for
 * ever. So it is started with a configuration in which sub-agents ask for nothing: what the user
 * made "ask" is "deny" for them, all else is as the user wrote it.
 */
#include "harness/acp_private.h"

#include "base/env.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/rand.h"
#include "base/str.h"
#include "text/frontmatter.h"

#include <string.h>

/* --- what is known about agents --------------------------------------------------------------- */

unsigned kt_acp_quirks(const char *name)
{
	static const struct {
		const char *name; /* part of agentInfo.name or of the program's name */
		unsigned quirks;
	} known[] = {
		{ "opencode",
			ACP_LOGS_CALLS | ACP_USAGE_LAST_CALL | ACP_TITLE_IS_NAME | ACP_ASKS_EARLY |
				ACP_SWALLOWS_SLASH },
		{ "claude-agent-acp", ACP_MODES_ARE_PERMISSIONS | ACP_ERROR_AS_TEXT },
		{ "claude-code-acp", ACP_MODES_ARE_PERMISSIONS | ACP_ERROR_AS_TEXT },
		{ "gemini", ACP_MODES_ARE_PERMISSIONS | ACP_USAGE_IN_META },
		{ "codex", ACP_MODES_ARE_PERMISSIONS | ACP_PREFIX_NOISE | ACP_NO_EXIT_ON_EOF },
	};

	for (size_t i = 0; name && i < KT_ARRAY_LEN(known); i++) {
		if (strcasestr(name, known[i].name))
			return known[i].quirks;
	}
	return 0;
}

/* --- choices ---------------------------------------------------------------------------------- */

void kt_acp_keep(struct acp *a, cJSON **slot, const cJSON *value)
{
	size_t bytes;

	if (!value || cJSON_IsNull(value))
		return;
	cJSON_Delete(*slot);
	*slot = cJSON_Duplicate(value, true);
	kt_assert(*slot);
	bytes = kt_json_memory(a->config) + kt_json_memory(a->modes) + kt_json_memory(a->models) +
		kt_json_memory(a->commands);
	a->d.kept += bytes - a->session_bytes;
	a->session_bytes = bytes;
}

void kt_acp_take_options(struct acp *a, const cJSON *result)
{
	kt_acp_keep(a, &a->config, kt_json_arr(result, "configOptions"));
	kt_acp_keep(a, &a->modes, kt_json_obj(result, "modes"));
	kt_acp_keep(a, &a->models, kt_json_obj(result, "models"));
}

/* The option with this id, or else of this category. */
static const cJSON *find_option(const cJSON *config, const char *word)
{
	const cJSON *o;

	cJSON_ArrayForEach (o, config) {
		if (kt_str_eq(kt_json_str(o, "id"), word))
			return o;
	}
	cJSON_ArrayForEach (o, config) {
		if (kt_str_eq(kt_json_str(o, "category"), word))
			return o;
	}
	return NULL;
}

/* Options may be grouped: then an entry holds options of its own. */
static bool offers_value(const cJSON *options, const char *key, const char *value, int depth)
{
	const cJSON *v;

	cJSON_ArrayForEach (v, options) {
		const cJSON *group = kt_json_arr(v, "options");

		if (kt_str_eq(kt_json_str(v, key), value) ||
			(group && depth < 2 && offers_value(group, key, value, depth + 1)))
			return true;
	}
	return false;
}

static bool option_choice(
	const struct acp *a, const char *word, const char *value, struct acp_choice *out)
{
	const cJSON *o = find_option(a->config, word);

	if (!offers_value(kt_json_arr(o, "options"), "value", value, 0))
		return false;
	out->config_id = kt_json_str(o, "id");
	out->current = kt_json_str(o, "currentValue");
	return out->config_id != NULL;
}

static bool mode_choice(const struct acp *a, const char *value, struct acp_choice *out)
{
	if (offers_value(kt_json_arr(a->modes, "availableModes"), "id", value, 0)) {
		out->config_id = NULL;
		out->current = kt_json_str(a->modes, "currentModeId");
		return true;
	}
	return option_choice(a, "mode", value, out);
}

bool kt_acp_agent_choice(const struct acp *a, const char *value, struct acp_choice *out)
{
	if (find_option(a->config, "agent"))
		return option_choice(a, "agent", value, out);
	/* Choosing an "agent" must never switch the questions off. */
	if (a->quirks & ACP_MODES_ARE_PERMISSIONS)
		return false;
	return mode_choice(a, value, out);
}

const char *kt_acp_current_agent(const struct acp *a)
{
	const cJSON *o = find_option(a->config, "agent");

	if (!o && !(a->quirks & ACP_MODES_ARE_PERMISSIONS)) {
		if (a->modes)
			return kt_json_str(a->modes, "currentModeId");
		o = find_option(a->config, "mode");
	}
	return kt_json_str(o, "currentValue");
}

bool kt_acp_permission_choice(const struct acp *a, const char *value, struct acp_choice *out)
{
	return mode_choice(a, value, out);
}

bool kt_acp_modes_are_agents(const struct acp *a)
{
	return !(a->quirks & ACP_MODES_ARE_PERMISSIONS) && !find_option(a->config, "agent");
}

static void list_names(const cJSON *options, const char *key, int depth, struct kt_buf *out)
{
	const cJSON *v;

	cJSON_ArrayForEach (v, options) {
		const char *name = kt_json_str(v, key);

		if (name)
			kt_buf_addf(out, "%s%s", out->len ? ", " : "", name);
		if (depth < 2)
			list_names(kt_json_arr(v, "options"), key, depth + 1, out);
	}
}

void kt_acp_list_modes(const struct acp *a, struct kt_buf *out)
{
	const cJSON *modes = kt_json_arr(a->modes, "availableModes");

	if (modes)
		list_names(modes, "id", 0, out);
	else
		list_names(kt_json_arr(find_option(a->config, "mode"), "options"), "value", 0, out);
}

const char *const *kt_acp_known_modes(const struct kt_app *app)
{
	/* OpenCode has no more modes than its agents; these two are always there. */
	static const char *const opencode[] = { "default", "build", "plan", NULL };

	return app->harness == KT_HARNESS_OPENCODE ? opencode : NULL;
}

const char *kt_acp_alias(const struct acp *a, const char *text)
{
	static const char *const names[] = { "compact", "summarize" };

	if (!(a->quirks & ACP_SWALLOWS_SLASH))
		return NULL;
	text += strspn(text, " \t\r\n");
	for (size_t i = 0; i < KT_ARRAY_LEN(names); i++) {
		if (*text == '/' && strcspn(text + 1, " \t\r\n") == strlen(names[i]) &&
			kt_str_starts(text + 1, names[i]))
			return "/compact";
	}
	return NULL;
}

enum acp_slash kt_acp_slash(const struct acp *a, const char *text)
{
	const char *name = text + strspn(text, " \t\r\n");
	const cJSON *c;

	if (*name++ != '/')
		return ACP_SLASH_NONE;
	size_t n = strcspn(name, " \t\r\n");

	cJSON_ArrayForEach (c, a->commands) {
		const char *known = kt_json_str_or(c, "name", "");

		if (strlen(known) == n && !memcmp(known, name, n))
			return n ? ACP_SLASH_COMMAND : ACP_SLASH_WORDS;
	}
	/* OpenCode has one command that it does not tell, by two names. */
	if (a->quirks & ACP_SWALLOWS_SLASH)
		return kt_acp_alias(a, text) ? ACP_SLASH_COMMAND : ACP_SLASH_WORDS;
	return a->commands ? ACP_SLASH_WORDS : ACP_SLASH_COMMAND;
}

bool kt_acp_model_choice(const struct acp *a, struct acp_choice *out)
{
	const cJSON *o = find_option(a->config, "model");

	*out = (struct acp_choice){ NULL, NULL };
	if (o) {
		out->config_id = kt_json_str(o, "id");
		out->current = kt_json_str(o, "currentValue");
		return out->config_id != NULL;
	}
	out->current = kt_json_str(a->models, "currentModelId");
	return kt_json_arr(a->models, "availableModels") != NULL;
}

/* --- starting OpenCode ------------------------------------------------------------------------ */

static cJSON *child_object(cJSON *obj, const char *key)
{
	cJSON *c = cJSON_GetObjectItemCaseSensitive(obj, key);

	if (!obj)
		return NULL;
	if (c)
		return cJSON_IsObject(c) ? c : NULL;
	c = cJSON_AddObjectToObject(obj, key);
	kt_assert(c);
	return c;
}

static void add_if_missing(cJSON *obj, const char *key, cJSON *value)
{
	if (!obj || cJSON_GetObjectItemCaseSensitive(obj, key)) {
		cJSON_Delete(value);
		return;
	}
	kt_assert(value && cJSON_AddItemToObject(obj, key, value));
}

/* A permission in which nothing is asked: "ask" -> "deny", in patterns too. */
static cJSON *without_ask(const cJSON *permission)
{
	cJSON *copy = cJSON_Duplicate(permission, true);

	kt_assert(copy);
	if (cJSON_IsString(copy) && !strcmp(copy->valuestring, "ask"))
		kt_assert(cJSON_SetValuestring(copy, "deny"));
	for (cJSON *p = copy->child; p; p = p->next) {
		if (cJSON_IsString(p) && !strcmp(p->valuestring, "ask"))
			kt_assert(cJSON_SetValuestring(p, "deny"));
	}
	return copy;
}

/* Put the permissions of one configuration over those before: one word stands for every tool. */
static void add_permissions(cJSON *out, const cJSON *user)
{
	if (cJSON_IsString(user)) {
		cJSON_DeleteItemFromObjectCaseSensitive(out, "*");
		kt_assert(cJSON_AddItemToObject(out, "*", without_ask(user)));
	}
	for (const cJSON *p = cJSON_IsObject(user) ? user->child : NULL; p; p = p->next) {
		cJSON_DeleteItemFromObjectCaseSensitive(out, p->string);
		kt_assert(cJSON_AddItemToObject(out, p->string, without_ask(p)));
	}
}

/*
 * What sub-agents get: the user's permissions without questions, from the folder's configurations
 * (an array, lowest first) and from the user's own. OpenCode itself asks about paths
 * outside of the folder, about repeated calls and about .env files, so these are named as well.
 */
static cJSON *sub_agent_permission(const cJSON *folder, const cJSON *user)
{
	cJSON *out = cJSON_CreateObject();
	const cJSON *file;

	kt_assert(out);
	cJSON_ArrayForEach (file, folder) {
		add_permissions(out, kt_json_get(file, "permission"));
	}
	add_permissions(out, user);
	add_if_missing(out, "external_directory", cJSON_CreateString("deny"));
	add_if_missing(out, "doom_loop", cJSON_CreateString("deny"));
	if (!cJSON_GetObjectItemCaseSensitive(out, "read")) {
		cJSON *read = cJSON_AddObjectToObject(out, "read");

		kt_assert(read && cJSON_AddStringToObject(read, "*", "allow") &&
			cJSON_AddStringToObject(read, "*.env", "deny") &&
			cJSON_AddStringToObject(read, "*.env.*", "deny") &&
			cJSON_AddStringToObject(read, "*.env.example", "allow"));
	}
	return out;
}

/*
 * Give agent `name` the permissions, as far as it has none of its own in the configuration. Those
 * that a file of the folder gives it count, without questions.
 */
static void restrict_agent(
	cJSON *config, const cJSON *folder, const char *name, const cJSON *permission)
{
	cJSON *agent = child_object(child_object(config, "agent"), name);
	cJSON *own = agent ? child_object(agent, "permission") : NULL;
	KT_AUTO_JSON cJSON *all = cJSON_Duplicate(permission, true);
	const cJSON *file;

	kt_assert(all);
	cJSON_ArrayForEach (file, folder) {
		const cJSON *there = kt_json_get(kt_json_get(file, "agent"), name);

		add_permissions(all, kt_json_get(there, "permission"));
	}
	for (const cJSON *p = all->child; own && p; p = p->next) {
		cJSON *copy = cJSON_Duplicate(p, true);

		kt_assert(copy);
		add_if_missing(own, p->string, copy);
	}
}

/* The folder's OpenCode configurations as an array, lowest first; the caller's. */
static cJSON *folder_configs(const char *cwd)
{
	static const char *const names[] = { "opencode.json", "opencode.jsonc",
		".opencode/opencode.json", ".opencode/opencode.jsonc" };
	cJSON *out = cJSON_CreateArray();

	kt_assert(out);
	for (size_t i = 0; i < KT_ARRAY_LEN(names); i++) {
		KT_AUTOFREE char *path = kt_path_join(cwd, names[i]);
		KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_CONFIG_BYTES);
		cJSON *doc = NULL;

		if (kt_fs_read(path, &text, NULL) == KT_OK &&
			kt_jsonc_parse(text.ptr, text.len, &doc, NULL) == KT_OK)
			kt_assert(cJSON_AddItemToArray(out, doc));
	}
	return out;
}

/*
 * "plan" is an agent of OpenCode that must not edit, but what the user allows everybody goes before
 * that, shell commands may do anything, and sub-agents have permissions of their own. A session
 * in permission mode "plan" must not write: it edits plans only, has no sub-agents but the one that
 * looks around, and a person is asked about commands. What the user says of the agent plan itself
 * stays.
 */
static void restrict_plan(cJSON *config, const cJSON *folder)
{
	static const char text[] =
		"{\"edit\":{\"*\":\"deny\",\".opencode/plans/*.md\":\"allow\"},"
		"\"task\":{\"*\":\"deny\",\"explore\":\"allow\"},\"bash\":\"ask\"}";
	cJSON *own = child_object(
		child_object(child_object(config, "agent"), "plan"), "permission");
	KT_AUTO_JSON cJSON *plan = NULL;
	const cJSON *file;

	if (kt_json_parse(text, sizeof(text) - 1, KT_JSON_STRICT, &plan, NULL) != KT_OK)
		return;
	cJSON_ArrayForEach (file, folder) {
		const cJSON *theirs = kt_json_get(kt_json_path(file, "agent.plan"), "permission");

		for (const cJSON *p = cJSON_IsObject(theirs) ? theirs->child : NULL; p; p = p->next)
			cJSON_DeleteItemFromObjectCaseSensitive(plan, p->string);
		/* A command that nobody may run is not to be asked about. */
		if (kt_str_eq(kt_json_str(kt_json_get(file, "permission"), "bash"), "deny"))
			cJSON_DeleteItemFromObjectCaseSensitive(plan, "bash");
	}
	if (kt_str_eq(kt_json_str(kt_json_get(config, "permission"), "bash"), "deny"))
		cJSON_DeleteItemFromObjectCaseSensitive(plan, "bash");
	for (const cJSON *p = plan->child; own && p; p = p->next) {
		cJSON *copy = cJSON_Duplicate(p, true);

		kt_assert(copy);
		add_if_missing(own, p->string, copy);
	}
}

/* True when the agent's Markdown file has permissions of its own: they are the user's word. */
static bool has_own_permission(const char *cwd, const struct kt_agent *agent)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_AGENT_FILE_BYTES);
	KT_AUTO_FRONT struct kt_frontmatter front = { 0 };

	if (!agent->file)
		return false;
	KT_AUTOFREE char *path = agent->file[0] == '/' ? kt_strdup(agent->file)
						       : kt_path_join(cwd, agent->file);

	if (kt_fs_read(path, &text, NULL) != KT_OK)
		return false;
	kt_frontmatter_read(text.ptr, text.len, KT_YAML_OPENCODE, &front);
	return kt_json_get(front.data, "permission") != NULL;
}

/*
 * The user's own OPENCODE_CONFIG_CONTENT: what is bound for this harness first, then .env of the
 * folder, as for the harness.
 */
static const char *user_content(const struct kt_driver_config *cfg)
{
	static const char name[] = "OPENCODE_CONFIG_CONTENT=";
	const struct kt_app *app = cfg->app;

	for (char *const *e = cfg->extra_env; e && *e; e++) {
		if (kt_str_starts(*e, name))
			return *e + sizeof(name) - 1;
	}
	for (size_t i = 0; app && i < app->n_env; i++) {
		if (kt_str_eq(app->env[i].name, "OPENCODE_CONFIG_CONTENT") && app->env[i].value)
			return app->env[i].value;
	}
	return cfg->sealed ? NULL : kt_env_get("OPENCODE_CONFIG_CONTENT");
}

/* The configuration for OpenCode, in arena; NULL when the user's content is no JSON object. */
static const char *opencode_content(const struct kt_driver_config *cfg, struct kt_arena *arena)
{
	const char *given = user_content(cfg);
	KT_AUTO_JSON cJSON *config = NULL;
	KT_AUTO_JSON cJSON *permission = NULL;

	if (given) {
		KT_AUTOFREE char *copy = kt_strdup(given);

		if (kt_jsonc_parse(copy, strlen(copy), &config, NULL) != KT_OK ||
			!cJSON_IsObject(config))
			return NULL;
	} else {
		config = cJSON_CreateObject();
		kt_assert(config);
	}
	KT_AUTO_JSON cJSON *folder = folder_configs(cfg->cwd);

	permission = sub_agent_permission(folder, kt_json_get(config, "permission"));
	restrict_agent(config, folder, "general", permission);
	restrict_agent(config, folder, "explore", permission);
	for (size_t i = 0; cfg->app && i < cfg->app->n_agents; i++) {
		const struct kt_agent *agent = &cfg->app->agents[i];

		if (!agent->primary && !has_own_permission(cfg->cwd, agent))
			restrict_agent(config, folder, agent->name, permission);
	}
	if (kt_str_eq(cfg->permission_mode, "plan"))
		restrict_plan(config, folder);
	add_if_missing(
		child_object(config, "experimental"), "continue_loop_on_deny", cJSON_CreateTrue());

	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(4 * KT_MAX_CONFIG_BYTES);

	kt_json_add(&out, config);
	return kt_buf_ok(&out) ? kt_arena_strndup(arena, out.ptr, out.len) : NULL;
}

static void opencode_env(
	const struct kt_driver_config *cfg, struct kt_arena *arena, struct kt_vec *env)
{
	const char *content = opencode_content(cfg, arena);
	char password[KT_ID_MAX];

	/* It always opens an HTTP port on loopback: nobody else may talk to it. */
	kt_rand_id("", password);
	kt_vec_push(env, kt_arena_printf(arena, "OPENCODE_SERVER_PASSWORD=%s", password));
	kt_vec_push(env, kt_arena_strdup(arena, "OPENCODE_DISABLE_AUTOUPDATE=1"));
	kt_vec_push(env, kt_arena_strdup(arena, "OPENCODE_DISABLE_SHARE=1"));
	/* The log, for kt_acp_log_line(). */
	kt_vec_push(env, kt_arena_strdup(arena, "OPENCODE_PRINT_LOGS=1"));
	kt_vec_push(env, kt_arena_strdup(arena, "OPENCODE_LOG_LEVEL=INFO"));
	if (content)
		kt_vec_push(env, kt_arena_printf(arena, "OPENCODE_CONFIG_CONTENT=%s", content));
}

void kt_acp_command(const struct kt_driver_config *cfg, struct kt_arena *arena, struct kt_vec *argv,
	struct kt_vec *env)
{
	char *const *command = cfg->app ? cfg->app->harness_command : NULL;

	kt_assert(cfg->program);
	kt_vec_push(argv, kt_arena_strdup(arena, cfg->program));
	if (cfg->app && cfg->app->harness == KT_HARNESS_OPENCODE) {
		kt_vec_push(argv, kt_arena_strdup(arena, "acp"));
		opencode_env(cfg, arena, env);
		return;
	}
	for (size_t i = 1; command && command[0] && command[i]; i++)
		kt_vec_push(argv, kt_arena_strdup(arena, command[i]));
}

/* --- OpenCode's database ---------------------------------------------------------------------- */

static const char *env_value(char *const *env, const char *name)
{
	size_t n = strlen(name);
	const char *found = NULL;

	for (; *env; env++) {
		if (!strncmp(*env, name, n) && (*env)[n] == '=' && (*env)[n + 1])
			found = *env + n + 1;
	}
	return found;
}

char *kt_acp_first_start_file(char *const *env)
{
	const char *db = env_value(env, "OPENCODE_DB");
	const char *data = env_value(env, "XDG_DATA_HOME");
	const char *home = env_value(env, "HOME");

	/* Set by opencode_env(); other agents have no database that is known here. */
	if (!env_value(env, "OPENCODE_SERVER_PASSWORD"))
		return NULL;
	if (db && *db == '/')
		return kt_strdup(db);
	if (data)
		return kt_asprintf("%s/opencode/%s", data, db ? db : "opencode.db");
	return home ? kt_asprintf("%s/.local/share/opencode/%s", home, db ? db : "opencode.db")
		    : NULL;
}

/* Two that bring the database up to date at once (another server's, the user's own). */
bool kt_acp_passing_failure(const char *stderr_tail)
{
	return strstr(stderr_tail, "database is locked") || strstr(stderr_tail, "SQLITE_BUSY") ||
		(strstr(stderr_tail, "Failed query:") &&
			(strstr(stderr_tail, "CREATE ") || strstr(stderr_tail, "ALTER ") ||
				strstr(stderr_tail, "DROP ")));
}
