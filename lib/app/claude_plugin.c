/* SPDX-License-Identifier: MIT */
/*
 * The plugins that Claude Code loads for a folder: those below its skills, and those that settings
 * switch on and that are installed. Those of a project need its trust; where karta hosts it, a
 * workspace is trusted, and nothing is installed.
 */
#include "app/discover_private.h"

#include "base/env.h"
#include "base/fs.h"
#include "base/str.h"
#include "text/json.h"

#include <string.h>

char *kt_claude_home(const struct kt_discovery *d)
{
	const char *set = kt_env_get("CLAUDE_CONFIG_DIR"), *home = kt_env_get("HOME");

	if (d->ld->hosted)
		return NULL;
	return set ? kt_strdup(set) : home ? kt_path_join(home, ".claude") : NULL;
}

static cJSON *read_plugin_json(const struct kt_discovery *d, const char *dir, const char *file)
{
	KT_AUTOFREE char *path = kt_path_join(dir, file);

	return kt_walk_json(d, path);
}

/* Whether the user said that the folder can be trusted. */
static bool is_trusted(const struct kt_discovery *d)
{
	const char *set = kt_env_get("CLAUDE_CONFIG_DIR"), *home = kt_env_get("HOME");
	const char *dir = set ? set : home;
	KT_AUTO_JSON cJSON *state = NULL;
	const cJSON *projects;

	if (d->ld->hosted)
		return true;
	if (!dir)
		return false;
	state = read_plugin_json(d, dir, ".claude.json");
	projects = kt_json_get(state, "projects");
	return kt_json_bool(
		kt_json_get(projects, d->ld->app->dir), "hasTrustDialogAccepted", false);
}

void kt_claude_settings(const struct kt_discovery *d, struct kt_vec *out)
{
	static const char *const files[] = { ".claude/settings.local.json",
		".claude/settings.json" };
	KT_AUTOFREE char *user = kt_claude_home(d);
	cJSON *doc;

	for (size_t i = 0; i < KT_ARRAY_LEN(files); i++) {
		doc = read_plugin_json(d, d->ld->app->dir, files[i]);
		if (doc)
			kt_vec_push(out, doc);
	}
	doc = user ? read_plugin_json(d, user, "settings.json") : NULL;
	if (doc)
		kt_vec_push(out, doc);
}

/* Names are letters, digits and hyphens; a plugin of another one is not loaded. */
static bool is_plugin_name(const char *s)
{
	return s && *s && !strpbrk(s, " \t\r\n/\\:");
}

static void add_plugin(
	struct kt_discovery *d, const char *name, const char *dir, struct kt_vec *out)
{
	struct kt_arena *arena = d->ld->app->arena;
	struct kt_plugin *p;

	for (size_t i = 0; i < out->len; i++) {
		p = out->items[i];
		if (!strcmp(p->name, name))
			return;
	}
	p = kt_arena_alloc(arena, sizeof(*p));
	p->name = kt_arena_strdup(arena, name);
	p->dir = kt_arena_strdup(arena, dir);
	kt_vec_push(out, p);
}

/* Folders below skills that are plugins. */
static void below_skills(struct kt_discovery *d, const char *skills, struct kt_vec *out)
{
	char **names;
	size_t n;

	if (!kt_walk_list(d, skills, &names, &n))
		return;
	for (size_t i = 0; i < n; i++) {
		KT_AUTOFREE char *dir = kt_path_join(skills, names[i]);
		KT_AUTO_JSON cJSON *manifest = read_plugin_json(
			d, dir, ".claude-plugin/plugin.json");
		const char *name = kt_json_str(manifest, "name");

		if (!manifest)
			continue;
		if (is_plugin_name(name))
			add_plugin(d, name, dir, out);
		else
			kt_discover_warn(d, dir, NULL, "give it a 'name' without blanks",
				"no plugin for Claude Code: its plugin.json has no good name");
	}
	kt_fs_names_free(names, n);
}

/* Where the folder of a plugin is: in the marketplace when that is a folder, else the copy. */
static char *installed_dir(const struct kt_discovery *d, const char *user, const char *name,
	const char *market, const char *copy)
{
	KT_AUTO_JSON cJSON *known = read_plugin_json(d, user, "plugins/known_marketplaces.json");
	const cJSON *entry = kt_json_get(known, market);
	const char *root = kt_json_str(entry, "installLocation");
	KT_AUTO_JSON cJSON *list = NULL;
	const cJSON *plugins;

	if (root && kt_str_eq(kt_json_str(kt_json_get(entry, "source"), "source"), "directory"))
		list = read_plugin_json(d, root, ".claude-plugin/marketplace.json");
	plugins = kt_json_get(list, "plugins");
	for (const cJSON *p = plugins ? plugins->child : NULL; p; p = p->next) {
		const char *source = kt_json_str(p, "source");

		if (kt_str_eq(kt_json_str(p, "name"), name) && source)
			return kt_path_join(
				root, kt_str_starts(source, "./") ? source + 2 : source);
	}
	return kt_strdup_opt(copy);
}

static void add_installed(struct kt_discovery *d, const char *user, const cJSON *installed,
	const char *key, struct kt_vec *out)
{
	const char *at = strchr(key, '@');
	const cJSON *copies = kt_json_get(installed, key);
	const char *copy = kt_json_str(copies ? copies->child : NULL, "installPath");
	KT_AUTOFREE char *name = at ? kt_strndup(key, (size_t)(at - key)) : NULL;
	KT_AUTOFREE char *dir = NULL;

	if (!name)
		return;
	if (copies)
		dir = installed_dir(d, user, name, at + 1, copy);
	if (dir && kt_fs_is_dir(dir))
		add_plugin(d, name, dir, out);
}

/* Those that the settings switch on. */
static void switched_on(struct kt_discovery *d, const char *user, bool trusted, struct kt_vec *out)
{
	KT_AUTO_JSON cJSON *file = user
		? read_plugin_json(d, user, "plugins/installed_plugins.json")
		: NULL;
	const cJSON *installed = kt_json_get(file, "plugins");
	struct kt_vec all = KT_VEC_INIT;
	KT_AUTOFREE char *shown = kt_path_join(d->ld->app->dir, ".claude/settings.json");

	kt_claude_settings(d, &all);
	for (size_t i = 0; i < all.len; i++) {
		const cJSON *on = kt_json_get(all.items[i], "enabledPlugins");
		bool project = !user || i + 1 < all.len;

		for (const cJSON *p = on ? on->child : NULL; p; p = p->next) {
			if (!cJSON_IsTrue(p) || !p->string)
				continue;
			if (user && (trusted || !project))
				add_installed(d, user, installed, p->string, out);
			else if (d->ld->hosted)
				kt_discover_warn(d, shown, NULL,
					"put its folder into .claude/skills, with its "
					".claude-plugin/plugin.json",
					"the plugin '%s' is not installed where this runs: its "
					"agents and skills are not there",
					p->string);
		}
		cJSON_Delete(all.items[i]);
	}
	kt_vec_release(&all);
}

void kt_claude_plugins(struct kt_discovery *d, struct kt_vec *out)
{
	KT_AUTOFREE char *user = kt_claude_home(d);
	KT_AUTOFREE char *project = kt_path_join(d->ld->app->dir, ".claude/skills");
	bool trusted = is_trusted(d);

	if (trusted)
		below_skills(d, project, out);
	if (user) {
		KT_AUTOFREE char *skills = kt_path_join(user, "skills");

		below_skills(d, skills, out);
	}
	switched_on(d, user, trusted, out);
}
