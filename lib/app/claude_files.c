/* SPDX-License-Identifier: MIT */
/*
 * What Claude Code makes of .claude: agents by the name in their front matter, the nearest folder
 * first and the user's last; skills by their folder, the user's first; commands by their path. All
 * of it was found by asking the program; tests/api/oracle.test.mjs asks it again.
 */
#include "app/discover_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "text/json.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SKILL_MAX_BYTES 1000000 /* a larger SKILL.md is not read by Claude Code */

/* A folder with agents, skills or commands: the plugin's, or NULL for a ".claude". */
struct source {
	struct kt_discovery *d;
	const struct kt_plugin *plugin;
	size_t n_marked; /* agents of the application that say they are primary */
	bool nearest; /* the application's own folder */
};

/* "\n" in a description is a line break, for agents. */
static const char *agent_description(struct kt_discovery *d, const cJSON *front)
{
	const char *s = kt_json_str(front, "description");
	char *out;
	size_t n = 0;

	if (!s || !*s)
		return NULL;
	out = kt_arena_strdup(d->ld->app->arena, s);
	for (size_t i = 0; out[i]; i++) {
		bool lf = out[i] == '\\' && out[i + 1] == 'n';

		out[n++] = lf ? '\n' : out[i];
		i += lf;
	}
	out[n] = '\0';
	return out;
}

static const char *agent_model(struct kt_discovery *d, const cJSON *front)
{
	const char *s = kt_json_str(front, "model");
	char *model;
	size_t n;

	if (!s)
		return NULL;
	s += strspn(s, " \t\r\n");
	model = kt_arena_strdup(d->ld->app->arena, s);
	n = strlen(model);
	while (n && strchr(" \t\r\n", model[n - 1]))
		model[--n] = '\0';
	return n && strcmp(model, "inherit") != 0 ? model : NULL;
}

/* Whether users are meant to talk to the agent: karta's own word, a sub-agent without it. */
static void mark_primary(struct source *src, const cJSON *front, struct kt_agent *a)
{
	const char *mode = kt_json_str(front, "mode"), *type = kt_json_str(front, "type");
	struct kt_discovery *d = src->d;

	if (kt_str_eq(type, "auxiliary") || kt_str_eq(mode, "subagent"))
		return;
	a->primary = kt_str_eq(type, "primary") || kt_str_eq(mode, "primary");
	if (!a->primary) {
		a->primary = kt_str_eq(mode, "all");
		return;
	}
	if (!src->nearest)
		return;
	src->n_marked++;
	if (src->n_marked == 1) {
		d->default_agent = a->name;
		d->default_file = kt_arena_printf(
			d->ld->app->arena, "%s/%s", d->ld->app->dir, a->file);
	}
}

/* Why a file among the agents is none; nothing for one that nobody meant as one. */
static void not_an_agent(
	struct kt_discovery *d, const char *path, const struct kt_frontmatter *front)
{
	KT_AUTOFREE char *base = kt_path_base(path);
	const cJSON *name = kt_json_get(front->data, "name");
	const cJSON *text = kt_json_get(front->data, "description");
	static const char start[] = "begin the file with ---, name: ..., description: ..., ---";

	if (front->state == KT_FRONT_NONE) {
		if (strncasecmp(base, "README", 6) != 0)
			kt_discover_warn(d, path, NULL, start,
				"no agent for Claude Code: the file does not begin with front "
				"matter between two lines of ---");
	} else if (front->state == KT_FRONT_UNREAD) {
		kt_discover_warn(d, path, &front->why, "put the value in quotes",
			"no agent for Claude Code: its front matter is no YAML (%s)",
			front->why.msg + strspn(front->why.msg, "0123456789: "));
	} else if (!cJSON_IsString(name) || !*name->valuestring) {
		kt_discover_warn(d, path, NULL,
			name && !cJSON_IsNull(name) && !cJSON_IsString(name) ? "put it in quotes"
									     : start,
			name && !cJSON_IsNull(name) && !cJSON_IsString(name)
				? "no agent for Claude Code: its 'name' is no text"
				: "no agent for Claude Code: its front matter has no 'name'");
	} else {
		kt_discover_warn(d, path, NULL,
			text && !cJSON_IsNull(text) && !cJSON_IsString(text)
				? "put it in quotes"
				: "say in it when the agent is of use",
			text && !cJSON_IsNull(text) && !cJSON_IsString(text)
				? "no agent for Claude Code: the 'description' of '%s' is no text"
				: "no agent for Claude Code: '%s' has no 'description'",
			name->valuestring);
	}
}

static bool is_text(const cJSON *front, const char *key)
{
	const char *s = kt_json_str(front, key);

	return s && *s;
}

/* Two files of one folder with one name: the file system decides which of them counts. */
static void warn_of_twin(struct kt_discovery *d, const char *name, const char *path)
{
	const struct kt_agent *same = kt_app_agent(d->ld->app, name);

	if (same)
		kt_discover_warn(d, path, NULL, "rename one of them",
			"the agent '%s' is in %s already; Claude Code takes one of them", name,
			same->file);
}

static void read_agent(void *arg, const char *path, const char *below)
{
	struct source *src = arg;
	struct kt_discovery *d = src->d;
	KT_AUTO_FRONT struct kt_frontmatter front = { 0 };
	struct kt_agent *a;
	const char *name;

	if (!kt_walk_front(d, path, KT_MAX_AGENT_FILE_BYTES, KT_YAML_CLAUDE, &front))
		return;
	if (!is_text(front.data, "name") || !is_text(front.data, "description")) {
		not_an_agent(d, path, &front);
		return;
	}
	name = kt_json_str(front.data, "name");
	warn_of_twin(d, name, path);
	a = kt_discover_agent(d, name, path);
	if (!a)
		return;
	a->description = agent_description(d, front.data);
	a->model = agent_model(d, front.data);
	a->answers = true;
	mark_primary(src, front.data, a);
	(void)below;
}

/* "team:reviewer": the path below the folder, without its ending, with colons. */
static char *colon_name(const char *below)
{
	char *name = kt_strndup(below, strlen(below) - strlen(".md"));

	for (char *p = name; *p; p++) {
		if (*p == '/')
			*p = ':';
	}
	return name;
}

/* An agent of a plugin: nothing in its front matter must be there. */
static void read_plugin_agent(void *arg, const char *path, const char *below)
{
	struct source *src = arg;
	struct kt_discovery *d = src->d;
	KT_AUTO_FRONT struct kt_frontmatter front = { 0 };
	KT_AUTOFREE char *own = colon_name(below);
	KT_AUTOFREE char *name = NULL;
	char *last = strrchr(own, ':');
	const char *given;
	struct kt_agent *a;

	if (!kt_walk_front(d, path, KT_MAX_AGENT_FILE_BYTES, KT_YAML_CLAUDE, &front))
		return;
	given = is_text(front.data, "name") ? kt_json_str(front.data, "name")
		: last                      ? last + 1
					    : own;
	if (last)
		name = kt_asprintf("%s:%.*s:%s", src->plugin->name, (int)(last - own), own, given);
	else
		name = kt_asprintf("%s:%s", src->plugin->name, given);
	a = kt_discover_agent(d, name, path);
	if (!a)
		return;
	a->answers = true;
	a->model = agent_model(d, front.data);
	a->description = agent_description(d, front.data);
	if (!a->description)
		a->description = kt_arena_printf(
			d->ld->app->arena, "Agent from %s plugin", src->plugin->name);
}

/* --- skills ------------------------------------------------------------------------------ */

/* A description as Claude Code takes it: numbers and booleans are as good as text. */
static const char *loose_text(struct kt_discovery *d, const cJSON *front, const char *key)
{
	const cJSON *v = kt_json_get(front, key);
	struct kt_arena *arena = d->ld->app->arena;

	if (cJSON_IsNumber(v))
		return kt_arena_printf(arena, "%.15g", v->valuedouble);
	if (cJSON_IsBool(v))
		return cJSON_IsTrue(v) ? "true" : "false";
	if (!cJSON_IsString(v) || !v->valuestring[strspn(v->valuestring, " \t\r\n")])
		return NULL;
	return kt_arena_strdup(arena, v->valuestring);
}

/* False when the skill or command is not for users: user-invocable that is anything but true. */
static bool for_users(const cJSON *front)
{
	const cJSON *v = kt_json_get(front, "user-invocable");

	return !v || cJSON_IsTrue(v) || (cJSON_IsString(v) && !strcmp(v->valuestring, "true"));
}

/* True when a pattern leaves out something: "**" alone does not. */
static bool is_pattern(const char *s, size_t len)
{
	while (len && strchr(" \t", *s)) {
		s++;
		len--;
	}
	while (len && strchr(" \t", s[len - 1]))
		len--;
	if (len >= 3 && !memcmp(s + len - 3, "/**", 3))
		len -= 3;
	return len && !(len == 2 && !memcmp(s, "**", 2));
}

/* True when the skill waits for files of some pattern ("paths"), and is not there before. */
static bool waits_for_paths(const cJSON *front)
{
	const cJSON *v = kt_json_get(front, "paths");
	const cJSON *item = cJSON_IsArray(v) ? v->child : v;

	for (; item; item = cJSON_IsArray(v) ? item->next : NULL) {
		const char *s = cJSON_IsString(item) ? item->valuestring : NULL;

		while (s && *s) {
			size_t n = strcspn(s, ",");

			if (is_pattern(s, n))
				return true;
			s += n + (s[n] == ',');
		}
	}
	return false;
}

/* Whether Claude Code lists it as a skill; says why not. */
static bool is_offered_skill(struct kt_discovery *d, const char *path,
	const struct kt_frontmatter *front, bool described)
{
	KT_AUTOFREE char *shown = kt_discover_shown(d, path);

	if (front->state == KT_FRONT_UNREAD) {
		kt_discover_warn(d, path, &front->why, "put the value in quotes",
			"its front matter is no YAML, so Claude Code offers the skill to nobody "
			"but who calls it (%s)",
			front->why.msg + strspn(front->why.msg, "0123456789: "));
		return false;
	}
	if (!for_users(front->data)) {
		kt_load_note(d->ld, KT_NOTE, shown, 0, 0, NULL,
			"the skill is for the model only (user-invocable): it is not listed");
		return false;
	}
	if (waits_for_paths(front->data)) {
		kt_load_note(d->ld, KT_NOTE, shown, 0, 0, NULL,
			"the skill waits for files of its 'paths': it is not listed");
		return false;
	}
	if (!described)
		kt_discover_warn(d, path, NULL, "say in it when the skill is of use",
			"the skill has no 'description': the model cannot choose it, only /name "
			"calls it");
	return described;
}

/* A skill or what is as good as one, by the name that it is called by. */
static void read_claude_skill(struct source *src, const char *path, const char *name)
{
	struct kt_discovery *d = src->d;
	KT_AUTO_FRONT struct kt_frontmatter front = { 0 };
	const char *description;
	struct kt_command *c;
	struct kt_skill *s;
	bool described;

	if (!kt_fs_is_file(path) || !kt_walk_first(d, path) ||
		!kt_walk_front(d, path, SKILL_MAX_BYTES, KT_YAML_CLAUDE, &front))
		return;
	description = loose_text(d, front.data, "description");
	described = description || loose_text(d, front.data, "when_to_use");
	if (is_offered_skill(d, path, &front, described)) {
		s = kt_discover_skill(d, name, path);
		if (s)
			s->description = description;
	} else if (for_users(front.data) && !waits_for_paths(front.data)) {
		c = kt_discover_command(d, name, path);
		if (c)
			c->description = description;
	}
}

static void walk_skills(struct source *src, const char *dir, bool quiet)
{
	struct kt_discovery *d = src->d;
	char **names;
	size_t n;

	if (!kt_walk_list(d, dir, &names, &n))
		return;
	for (size_t i = 0; i < n; i++) {
		KT_AUTOFREE char *folder = kt_path_join(dir, names[i]);
		KT_AUTOFREE char *file = kt_path_join(folder, "SKILL.md");
		KT_AUTOFREE char *manifest = kt_path_join(folder, ".claude-plugin/plugin.json");

		if (!kt_fs_is_dir(folder))
			continue;
		if (kt_fs_is_file(file))
			read_claude_skill(src, file, names[i]);
		else if (!quiet && !kt_fs_is_file(manifest))
			kt_discover_warn(
				d, folder, NULL, "add SKILL.md to it", "the skill has no SKILL.md");
	}
	kt_fs_names_free(names, n);
}

static void plugin_skills(struct source *src)
{
	struct kt_discovery *d = src->d;
	KT_AUTOFREE char *dir = kt_path_join(src->plugin->dir, "skills");
	KT_AUTOFREE char *top = kt_path_join(dir, "SKILL.md");
	char **names;
	size_t n;

	if (kt_fs_is_file(top)) {
		/* The whole folder is one skill, which has the name it gives itself. */
		KT_AUTO_FRONT struct kt_frontmatter front = { 0 };
		KT_AUTOFREE char *name = NULL;

		if (!kt_walk_front(d, top, SKILL_MAX_BYTES, KT_YAML_CLAUDE, &front))
			return;
		name = kt_asprintf("%s:%s", src->plugin->name,
			is_text(front.data, "name") ? kt_json_str(front.data, "name") : "skills");
		read_claude_skill(src, top, name);
		return;
	}
	if (!kt_walk_list(d, dir, &names, &n))
		return;
	for (size_t i = 0; i < n; i++) {
		KT_AUTOFREE char *file = kt_asprintf("%s/%s/SKILL.md", dir, names[i]);
		KT_AUTOFREE char *name = kt_asprintf("%s:%s", src->plugin->name, names[i]);

		read_claude_skill(src, file, name);
	}
	kt_fs_names_free(names, n);
}

/* --- commands ---------------------------------------------------------------------------- */

static void add_claude_command(struct source *src, const char *path, const char *own)
{
	struct kt_discovery *d = src->d;
	KT_AUTO_FRONT struct kt_frontmatter front = { 0 };
	KT_AUTOFREE char *name = src->plugin ? kt_asprintf("%s:%s", src->plugin->name, own)
					     : kt_strdup(own);
	const char *description;
	const cJSON *hidden;
	struct kt_command *c;
	struct kt_skill *s;

	if (!kt_walk_first(d, path) ||
		!kt_walk_front(d, path, KT_MAX_AGENT_FILE_BYTES, KT_YAML_CLAUDE, &front) ||
		!for_users(front.data))
		return;
	description = loose_text(d, front.data, "description");
	hidden = kt_json_get(front.data, "disable-model-invocation");
	c = kt_discover_command(d, name, path);
	if (c)
		c->description = description;
	/* One that only users call is listed among the skills as well. */
	if (!src->plugin && description &&
		(cJSON_IsTrue(hidden) ||
			(cJSON_IsString(hidden) && !strcmp(hidden->valuestring, "true")))) {
		s = kt_discover_skill(d, name, path);
		if (s)
			s->description = description;
	}
}

/* Files in dir in the order of their names; base is the name so far, with a colon, or "". */
static void walk_commands(struct source *src, const char *dir, const char *base, int depth)
{
	KT_AUTOFREE char *skill = kt_path_join(dir, "SKILL.md");
	bool one = base[0] && kt_fs_is_file(skill);
	char **names;
	size_t n;

	if (!kt_walk_first(src->d, dir) || !kt_walk_list(src->d, dir, &names, &n))
		return;
	if (one) {
		/* A folder with SKILL.md is one command, and what else is in it belongs to it. */
		KT_AUTOFREE char *own = kt_strndup(base, strlen(base) - 1);

		add_claude_command(src, skill, own);
	}
	for (size_t i = 0; i < n; i++) {
		KT_AUTOFREE char *path = kt_path_join(dir, names[i]);

		if (kt_fs_is_dir(path) && depth < KT_APP_MAX_DEPTH) {
			KT_AUTOFREE char *below = kt_asprintf("%s%s:", base, names[i]);

			walk_commands(src, path, below, depth + 1);
		} else if (!one && kt_str_ends(names[i], ".md") && kt_fs_is_file(path)) {
			KT_AUTOFREE char *own = kt_asprintf(
				"%s%.*s", base, (int)strlen(names[i]) - 3, names[i]);

			add_claude_command(src, path, own);
		}
	}
	kt_fs_names_free(names, n);
}

/* --- all of it --------------------------------------------------------------------------- */

/* Agents: what is read later replaces what was read before, so the nearest comes last. */
static size_t read_agents(struct kt_discovery *d, const struct kt_vec *up, const char *user)
{
	struct source src = { .d = d };
	const struct kt_walk how = { .once = true, .fn = read_agent, .arg = &src };

	if (user) {
		KT_AUTOFREE char *dir = kt_path_join(user, "agents");

		kt_walk_markdown(d, dir, &how);
	}
	for (size_t i = up->len; i-- > 0;) {
		KT_AUTOFREE char *dir = kt_path_join(up->items[i], ".claude/agents");

		src.nearest = i == 0;
		kt_walk_markdown(d, dir, &how);
	}
	return src.n_marked;
}

static void read_plugins(struct kt_discovery *d)
{
	struct kt_vec plugins = KT_VEC_INIT;

	kt_claude_plugins(d, &plugins);
	for (size_t i = 0; i < plugins.len; i++) {
		struct source src = { .d = d, .plugin = plugins.items[i] };
		const struct kt_walk how = { .once = true, .fn = read_plugin_agent, .arg = &src };
		KT_AUTOFREE char *agents = kt_path_join(src.plugin->dir, "agents");
		KT_AUTOFREE char *commands = kt_path_join(src.plugin->dir, "commands");

		kt_walk_markdown(d, agents, &how);
		plugin_skills(&src);
		walk_commands(&src, commands, "", 0);
	}
	kt_vec_release(&plugins);
}

/* Skills and commands: the first of a name counts, so the user's come first. */
static void read_skills(struct kt_discovery *d, const struct kt_vec *up, const char *user)
{
	struct source src = { .d = d };

	for (size_t i = 0; i <= up->len; i++) {
		KT_AUTOFREE char *base = i > 0 ? kt_path_join(up->items[i - 1], ".claude")
			: user                 ? kt_strdup(user)
					       : NULL;
		KT_AUTOFREE char *skills = base ? kt_path_join(base, "skills") : NULL;

		if (skills)
			walk_skills(&src, skills, i != 1);
	}
	for (size_t i = 0; i <= up->len; i++) {
		KT_AUTOFREE char *base = i > 0 ? kt_path_join(up->items[i - 1], ".claude")
			: user                 ? kt_strdup(user)
					       : NULL;
		KT_AUTOFREE char *commands = base ? kt_path_join(base, "commands") : NULL;

		if (commands)
			walk_commands(&src, commands, "", 0);
	}
}

/* "agent" of the settings is who answers without a choice; the strongest settings count. */
static void read_settings(struct kt_discovery *d)
{
	struct kt_vec all = KT_VEC_INIT;

	kt_claude_settings(d, &all);
	for (size_t i = 0; i < all.len; i++) {
		if (!d->default_agent)
			d->default_agent = kt_discover_text(d, all.items[i], "agent");
		cJSON_Delete(all.items[i]);
	}
	if (d->default_agent && !d->default_file)
		d->default_file = kt_arena_printf(
			d->ld->app->arena, "%s/.claude/settings.json", d->ld->app->dir);
	kt_vec_release(&all);
}

void kt_discover_claude(struct kt_discovery *d)
{
	KT_AUTOFREE char *user = kt_claude_home(d);
	struct kt_vec up = KT_VEC_INIT;
	size_t marked;

	kt_walk_up(d, true, &up);
	marked = read_agents(d, &up, user);
	if (marked > 1) {
		kt_discover_warn(d, d->default_file, NULL, "mark one agent only with type: primary",
			"several agents say that they are primary: none of them is the default");
		d->default_agent = NULL;
		d->default_file = NULL;
	}
	read_skills(d, &up, user);
	read_plugins(d);
	read_settings(d);
	kt_vec_release(&up);
}
