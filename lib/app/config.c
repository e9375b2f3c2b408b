/* SPDX-License-Identifier: MIT */
/* Reading karta.toml, karta.jsonc and .env into an application. */
#include "app/app_private.h"

#include "base/buf.h"
#include "base/env.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "text/dotenv.h"
#include "text/json.h"

#include <math.h>
#include <string.h>

#define JSON_INT_MAX 9007199254740992.0 /* 2^53: integers beyond it are not exact in JSON */

static const struct kt_toml empty_table = { .type = KT_TOML_TABLE };

static const struct kt_toml *read_karta_toml(struct kt_load *ld)
{
	KT_AUTOFREE char *path = kt_path_join(ld->app->dir, "karta.toml");
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_TOML_BYTES);
	struct kt_err err = KT_ERR_INIT;
	const struct kt_toml *root;
	enum kt_code rc = kt_fs_read(path, &text, &err);

	if (rc == KT_ENOTFOUND)
		return &empty_table;
	if (rc == KT_OK)
		rc = kt_toml_parse(ld->app->arena, text.ptr, text.len, &root, &err);
	if (rc != KT_OK) {
		kt_load_note_err(ld, KT_ERROR, "karta.toml", NULL, &err);
		return &empty_table;
	}
	kt_settings_check(ld, KT_SETTINGS_TOML, "karta.toml", root, NULL, 0);
	return root;
}

/*
 * A JSON value in the shape of a TOML node without places; NULL for null, which so counts as
 * absent. Depth is bounded by the JSON reader.
 */
static struct kt_toml *convert_json(struct kt_arena *arena, const cJSON *v)
{
	struct kt_toml *node = kt_arena_alloc(arena, sizeof(*node));
	struct kt_toml **tail = &node->child;

	if (cJSON_IsNull(v))
		return NULL;
	node->key = v->string ? kt_arena_strdup(arena, v->string) : NULL;
	if (cJSON_IsString(v)) {
		node->type = KT_TOML_STRING;
		node->str_len = strlen(v->valuestring);
		node->str = kt_arena_strndup(arena, v->valuestring, node->str_len);
	} else if (cJSON_IsBool(v)) {
		node->type = KT_TOML_BOOL;
		node->i = cJSON_IsTrue(v);
	} else if (cJSON_IsNumber(v)) {
		bool whole = v->valuedouble == floor(v->valuedouble) &&
			fabs(v->valuedouble) <= JSON_INT_MAX;

		node->type = whole ? KT_TOML_INT : KT_TOML_FLOAT;
		node->i = whole ? (int64_t)v->valuedouble : 0;
		node->f = v->valuedouble;
	} else {
		node->type = cJSON_IsArray(v) ? KT_TOML_ARRAY : KT_TOML_TABLE;
		for (const cJSON *c = v->child; c; c = c->next) {
			*tail = convert_json(arena, c);
			if (*tail)
				tail = &(*tail)->next;
		}
	}
	return node;
}

static const struct kt_toml *parse_jsonc(struct kt_load *ld, const char *file, struct kt_buf *text)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_err err = KT_ERR_INIT;
	const struct kt_toml *root;

	if (kt_jsonc_parse(text->ptr, text->len, &doc, &err) != KT_OK) {
		kt_load_note_err(ld, KT_ERROR, file, NULL, &err);
		return &empty_table;
	}
	root = convert_json(ld->app->arena, doc);
	if (!root || root->type != KT_TOML_TABLE) {
		kt_load_note(ld, KT_ERROR, file, 1, 1, "put the settings between { and }",
			"must hold an object");
		return &empty_table;
	}
	kt_settings_check(ld, KT_SETTINGS_JSONC, file, root, text->ptr, text->len);
	return root;
}

static enum kt_code read_jsonc(struct kt_load *ld, const char *config, struct kt_err *err)
{
	/* The folders of other harnesses may hold it, too. */
	static const char *const places[] = { "karta.jsonc", ".codex/karta.jsonc",
		".deepagents/karta.jsonc", ".goose/karta.jsonc" };
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_CONFIG_BYTES);
	const char *file = config;
	enum kt_code rc = KT_ENOTFOUND;
	struct kt_err own = KT_ERR_INIT;

	ld->jsonc = &empty_table;
	if (config) {
		rc = kt_fs_read(config, &text, &own);
		if (rc == KT_ENOTFOUND)
			return kt_fail(err, rc, 0, "no such file: '%s'", config);
	}
	for (size_t i = 0; !config && rc == KT_ENOTFOUND && i < KT_ARRAY_LEN(places); i++) {
		KT_AUTOFREE char *path = kt_path_join(ld->app->dir, places[i]);

		file = places[i];
		rc = kt_fs_read(path, &text, &own);
	}
	if (rc == KT_OK)
		ld->jsonc = parse_jsonc(ld, file, &text);
	else if (rc != KT_ENOTFOUND)
		kt_load_note_err(ld, KT_ERROR, file, NULL, &own);
	return KT_OK;
}

static char **split_command(struct kt_arena *arena, const struct kt_toml *v)
{
	size_t n = 0, max = v->type == KT_TOML_STRING ? v->str_len : 0;
	char **argv;

	for (const struct kt_toml *c = v->child; c; c = c->next)
		max++;
	argv = kt_arena_alloc(arena, (max + 1) * sizeof(*argv));
	for (const struct kt_toml *c = v->child; c; c = c->next)
		argv[n++] = kt_arena_strdup(arena, c->str);
	for (const char *p = v->type == KT_TOML_STRING ? v->str : ""; *p;) {
		size_t len = strcspn(p, " \t");

		if (len)
			argv[n++] = kt_arena_strndup(arena, p, len);
		p += len;
		p += strspn(p, " \t");
	}
	return argv;
}

/* A part of a module's name: a word as Python and JavaScript have them, or of a file's name. */
static bool is_module_word(const char *s, size_t len)
{
	static const char chars[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

	for (size_t i = 0; i < len; i++) {
		if (!strchr(chars, s[i]) && !strchr("-$", s[i]) && (unsigned char)s[i] < 0x80)
			return false;
	}
	return len > 0;
}

/*
 * "module:attribute", both of words with a '.' (in the module also a '/') between; for Node.js the
 * module alone will do.
 */
static bool is_entry_point(const char *s, bool node)
{
	bool attribute = false;

	for (;;) {
		size_t len = strcspn(s, attribute ? "." : "./:");

		if (!is_module_word(s, len))
			return false;
		s += len;
		if (!*s)
			return attribute || node;
		attribute |= *s++ == ':';
	}
}

/* The file of a module: as it is written, or as Python and Node.js look for it. */
static bool has_module(const struct kt_load *ld, const char *entry_point)
{
	static const char *const forms[] = { "%s", "%s.py", "%s/__init__.py", "%s.js", "%s.mjs",
		"%s.cjs", "%s.ts", "%s/index.js", "%s/index.ts" };
	static const char *const roots[] = { "", "src/" };
	size_t len = strcspn(entry_point, ":");
	KT_AUTOFREE char *module = kt_strndup(entry_point, len);
	KT_AUTOFREE char *path = kt_strdup(module);

	for (char *p = path; *p; p++)
		*p = (char)(*p == '.' ? '/' : *p);
	for (size_t i = 0; i < KT_ARRAY_LEN(roots) * KT_ARRAY_LEN(forms); i++) {
		const char *form = forms[i / KT_ARRAY_LEN(roots)] + 2;
		const char *root = roots[i % KT_ARRAY_LEN(roots)];
		KT_AUTOFREE char *as_is = kt_asprintf("%s%s%s", root, module, form);
		KT_AUTOFREE char *as_path = kt_asprintf("%s%s%s", root, path, form);

		if (kt_app_has_file(ld->app->dir, as_is) || kt_app_has_file(ld->app->dir, as_path))
			return true;
	}
	return false;
}

/* What a buildpack starts has to be said, and be there. */
static void check_entry_point(struct kt_load *ld)
{
	const struct kt_toml *build = kt_settings_get(KT_SETTINGS_TOML, ld->toml, "buildpack");
	const struct kt_toml *entry = kt_settings_get(KT_SETTINGS_TOML, ld->toml, "entry_point");

	ld->app->buildpack = build ? build->str : NULL;
	if (!build)
		return;
	if (!entry)
		kt_load_note(ld, KT_ERROR, "karta.toml", build->line, build->col,
			"add entry_point = \"module:attribute\", or remove buildpack",
			"a buildpack needs 'entry_point'");
	else if (!is_entry_point(entry->str, kt_str_eq(build->str, "node")))
		kt_load_note(ld, KT_ERROR, "karta.toml", entry->line, entry->col,
			"write entry_point = \"module:attribute\"",
			"'%.80s' is no entry point: a module and what is in it, with a colon "
			"between",
			entry->str);
	else if (!has_module(ld, entry->str))
		kt_load_note(ld, KT_WARNING, "karta.toml", entry->line, entry->col, NULL,
			"there is no file for the module of entry_point '%.80s'", entry->str);
}

/* The script is one of the folder; that it is there is said before a session misses it. */
static void check_setup(struct kt_load *ld)
{
	const struct kt_toml *v = kt_settings_get(KT_SETTINGS_TOML, ld->toml, "environment.setup");
	const char *path = v ? v->str : "";

	while (kt_str_starts(path, "./"))
		path += 2;
	if (!*path)
		return;
	if (path[0] == '/' || kt_str_starts(path, "../") || strstr(path, "/../") ||
		kt_str_eq(path, ".."))
		kt_load_note(ld, KT_ERROR, "karta.toml", v->line, v->col,
			"name a script of this folder", "setup '%.80s' is outside of the folder",
			path);
	else if (!kt_app_has_file(ld->app->dir, path))
		kt_load_note(ld, KT_ERROR, "karta.toml", v->line, v->col,
			"write the script, or correct its path", "there is no setup script '%.80s'",
			path);
	else
		ld->app->setup = path;
}

/*
 * The project's configuration of Codex: Codex reads it itself and does not start with a broken one.
 * Its model is told like that of karta.toml, which comes before it.
 */
static void read_codex(struct kt_load *ld)
{
	static const char file[] = ".codex/config.toml";
	KT_AUTOFREE char *path = kt_path_join(ld->app->dir, file);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_TOML_BYTES);
	struct kt_err err = KT_ERR_INIT;
	const struct kt_toml *root, *model;
	enum kt_code rc = kt_fs_read(path, &text, &err);

	if (rc == KT_ENOTFOUND)
		return;
	if (rc == KT_OK)
		rc = kt_toml_parse(ld->app->arena, text.ptr, text.len, &root, &err);
	if (rc != KT_OK) {
		kt_load_note_err(ld, KT_ERROR, file, NULL, &err);
		return;
	}
	model = kt_toml_get(root, "model");
	if (!ld->app->model && model && model->type == KT_TOML_STRING && model->str[0])
		ld->app->model = model->str;
}

static const char blank[] = " \t\r\n";

/* Those that can be shown; of the others it is said why they are not. */
static void read_starters(struct kt_load *ld)
{
	const struct kt_toml *v = kt_settings_get(KT_SETTINGS_TOML, ld->toml, "starters");
	size_t n = 0;

	for (const struct kt_toml *c = v ? v->child : NULL; c; c = c->next) {
		if (n == KT_MAX_STARTERS) {
			kt_load_note(ld, KT_WARNING, "karta.toml", c->line, c->col,
				"keep those that matter most",
				"more than %d starters: the others are not shown", KT_MAX_STARTERS);
			return;
		}
		if (c->str[strspn(c->str, blank)] == '\0')
			kt_load_note(ld, KT_WARNING, "karta.toml", c->line, c->col, NULL,
				"an empty starter is not shown");
		else if (c->str_len > KT_MAX_STARTER_BYTES)
			kt_load_note(ld, KT_WARNING, "karta.toml", c->line, c->col, "shorten it",
				"a starter of more than %d bytes is not shown",
				KT_MAX_STARTER_BYTES);
		else
			ld->app->starters[n++] = c->str;
	}
}

static void apply_toml(struct kt_load *ld)
{
	struct kt_app *app = ld->app;
	const struct kt_toml *v = kt_settings_get(KT_SETTINGS_TOML, ld->toml, "name");

	if (v)
		app->name = v->str;
	v = kt_settings_get(KT_SETTINGS_TOML, ld->toml, "deploy");
	app->deploy = v && v->i;
	app->no_deploy = v && !v->i;
	app->harness_version = kt_settings_str(KT_SETTINGS_TOML, ld->toml, "harness.version");
	app->model = kt_settings_str(KT_SETTINGS_TOML, ld->toml, "harness.model");
	v = kt_settings_get(KT_SETTINGS_TOML, ld->toml, "harness.command");
	if (v)
		app->harness_command = split_command(app->arena, v);
	check_entry_point(ld);
	v = kt_settings_get(KT_SETTINGS_TOML, ld->toml, "harness.type");
	if (v && kt_str_eq(v->str, "codex-cli"))
		read_codex(ld);
	check_setup(ld);
	read_starters(ld);
}

static enum kt_input_policy policy_of(const char *s, enum kt_input_policy dflt)
{
	static const char *const names[] = {
		[KT_INPUT_PROMPT] = "prompt",
		[KT_INPUT_DENY] = "deny",
		[KT_INPUT_APPROVE_ONCE] = "approve_once",
		[KT_INPUT_APPROVE_SESSION] = "approve_session",
		[KT_INPUT_ERROR] = "error",
	};

	for (size_t i = 0; s && i < KT_ARRAY_LEN(names); i++) {
		if (!strcmp(s, names[i]))
			return (enum kt_input_policy)i;
	}
	return dflt;
}

static const char **string_list(struct kt_arena *arena, const struct kt_toml *array)
{
	const char **list;
	size_t n = 0;

	for (const struct kt_toml *c = array->child; c; c = c->next)
		n++;
	list = kt_arena_alloc(arena, (n + 1) * sizeof(*list));
	n = 0;
	for (const struct kt_toml *c = array->child; c; c = c->next)
		list[n++] = c->str;
	return list;
}

static const char *jsonc_str(const struct kt_load *ld, const char *path)
{
	return kt_settings_str(KT_SETTINGS_JSONC, ld->jsonc, path);
}

static int64_t jsonc_int(const struct kt_load *ld, const char *path)
{
	return kt_settings_int(KT_SETTINGS_JSONC, ld->jsonc, path);
}

static void apply_jsonc(struct kt_load *ld)
{
	struct kt_app *app = ld->app;
	const struct kt_toml *hidden = kt_settings_get(
		KT_SETTINGS_JSONC, ld->jsonc, "cli.hidden_event_types");
	enum kt_input_policy asked = KT_INPUT_PROMPT;

	if (hidden)
		app->hidden_event_types = string_list(app->arena, hidden);
	app->permission_mode = jsonc_str(ld, "runtime.permission_mode");
	if (kt_str_eq(app->permission_mode, "autonomous"))
		asked = KT_INPUT_APPROVE_SESSION;
	app->input_policy = policy_of(jsonc_str(ld, "cli.input_required_policy"), asked);
	app->input_hidden_policy = policy_of(
		jsonc_str(ld, "cli.input_required_hidden_policy"), KT_INPUT_DENY);
	app->idle_timeout_ms = 1000 * jsonc_int(ld, "harness.claude.idle_timeout_seconds");
	app->thinking_budget_tokens = jsonc_int(ld, "harness.claude.thinking_budget_tokens");
	app->approval_timeout_ms = 1000 * jsonc_int(ld, "runtime.approval_timeout_seconds");
	app->approval_default = policy_of(jsonc_str(ld, "runtime.approval_default"), KT_INPUT_DENY);
	app->event_retention_ms = 3600000 * jsonc_int(ld, "runtime.event_retention_hours");
	app->profile_name = jsonc_str(ld, "profile.name");
	app->profile_display_name = jsonc_str(ld, "profile.display_name");
}

enum kt_code kt_load_settings(struct kt_load *ld, const char *config, struct kt_err *err)
{
	enum kt_code rc;

	ld->toml = read_karta_toml(ld);
	rc = read_jsonc(ld, config, err);
	if (rc != KT_OK)
		return rc;
	apply_toml(ld);
	apply_jsonc(ld);
	return KT_OK;
}

/* --- [env] and .env ---------------------------------------------------------------------- */

static bool is_env_name(const char *s)
{
	static const char chars[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

	return *s && !strchr("0123456789", *s) && !s[strspn(s, chars)];
}

static void bind_value(void *arg, int line, const char *name, const char *value)
{
	struct kt_load *ld = arg;

	for (size_t i = 0; i < ld->app->n_env; i++) {
		/* An empty value binds nothing: "NAME=" is how templates of .env files look. */
		if (!strcmp(ld->app->env[i].name, name))
			ld->app->env[i].value = *value ? kt_arena_strdup(ld->app->arena, value)
						       : NULL;
	}
}

static void bad_dotenv_line(void *arg, int line, const char *what)
{
	kt_load_note(arg, KT_WARNING, ".env", line, 1, "write NAME=value", "%s", what);
}

static void read_dotenv(struct kt_load *ld)
{
	KT_AUTOFREE char *path = kt_path_join(ld->app->dir, ".env");
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_CONFIG_BYTES);
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc = kt_fs_read(path, &text, &err);

	if (rc == KT_OK)
		kt_dotenv_parse(text.ptr, text.len, bind_value, bad_dotenv_line, ld);
	else if (rc != KT_ENOTFOUND)
		kt_load_note_err(ld, KT_ERROR, ".env", NULL, &err);
	/* The copies in the arena are wanted; this one is not. */
	explicit_bzero(text.ptr, text.cap);
}

static bool in_environment(const char *name)
{
	size_t n = strlen(name);

	for (char **e = kt_env_all(); *e; e++) {
		if (!strncmp(*e, name, n) && (*e)[n] == '=' && (*e)[n + 1])
			return true;
	}
	return false;
}

/* One table of [env]; false when it is no declaration. */
static bool declare_env(struct kt_load *ld, const struct kt_toml *t, struct kt_env_decl *out)
{
	const struct kt_toml *v;

	if (t->type != KT_TOML_TABLE)
		return false;
	if (!is_env_name(t->key)) {
		kt_load_note(ld, KT_ERROR, "karta.toml", t->line, t->col,
			"use letters, digits and underscores",
			"'%s' cannot be the name of a variable", t->key);
		return false;
	}
	out->name = t->key;
	v = kt_toml_get(t, "required");
	out->required = v && v->type == KT_TOML_BOOL && v->i;
	v = kt_toml_get(t, "description");
	out->description = v && v->type == KT_TOML_STRING ? v->str : NULL;
	return true;
}

void kt_load_env(struct kt_load *ld)
{
	const struct kt_toml *env = kt_toml_get(ld->toml, "env");
	struct kt_app *app = ld->app;
	size_t max = 0;

	for (const struct kt_toml *t = env ? env->child : NULL; t && max < KT_APP_MAX_ITEMS;
		t = t->next)
		max++;
	if (max && env->type == KT_TOML_TABLE) {
		app->env = kt_arena_alloc(app->arena, max * sizeof(*app->env));
		for (const struct kt_toml *t = env->child; t && app->n_env < max; t = t->next)
			app->n_env += declare_env(ld, t, &app->env[app->n_env]);
	}
	read_dotenv(ld);
	for (size_t i = 0; i < app->n_env; i++) {
		const struct kt_env_decl *d = &app->env[i];
		const struct kt_toml *t = kt_toml_get(env, d->name);
		KT_AUTOFREE char *fix = kt_asprintf("add %s=... to .env", d->name);

		if (d->required && !d->value && !ld->hosted && !in_environment(d->name))
			kt_load_note(ld, KT_WARNING, "karta.toml", t->line, t->col, fix,
				"the required variable '%s' has no value", d->name);
	}
}
