/* SPDX-License-Identifier: MIT */
/*
 * What OpenCode makes of its configuration, .opencode, and the skills of others: settings from the
 * user's to the nearest folder's, then agents and commands of each .opencode, and what comes later
 * is laid over what was there. All of it was found by asking the program; tests/api/oracle.test.mjs
 * asks it again.
 */
#include "app/discover_private.h"

#include "base/env.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "text/json.h"

#include <stdio.h>
#include <string.h>

/* What was read so far; each of the objects has an agent or a command by its key. */
struct config {
	struct kt_discovery *d;
	cJSON *agents, *modes, *commands;
	struct kt_map files; /* "agent NAME" and "command NAME" to where it was last (arena) */
};

/* Lay the members of `over` over those of base[key], made when missing. */
static void lay_over(cJSON *base, const char *key, const cJSON *over)
{
	cJSON *had = cJSON_GetObjectItemCaseSensitive(base, key);

	if (!had) {
		had = cJSON_CreateObject();
		kt_assert(had && cJSON_AddItemToObject(base, key, had));
	}
	for (const cJSON *m = over->child; m; m = m->next) {
		cJSON *copy = cJSON_Duplicate(m, true);

		kt_assert(copy);
		cJSON_DeleteItemFromObjectCaseSensitive(had, m->string);
		kt_assert(cJSON_AddItemToObject(had, m->string, copy));
	}
}

static void note_file(struct config *c, const char *kind, const char *name, const char *path)
{
	KT_AUTOFREE char *key = kt_asprintf("%s %s", kind, name);

	(void)kt_map_set(&c->files, key, kt_arena_strdup(c->d->ld->app->arena, path));
}

static const char *file_of(const struct config *c, const char *kind, const char *name)
{
	KT_AUTOFREE char *key = kt_asprintf("%s %s", kind, name);
	const char *path = kt_map_get(&c->files, key);

	return path ? path : c->d->ld->app->dir;
}

/* --- opencode.json ----------------------------------------------------------------------- */

/*
 * The text for "{file:path}": trimmed, within a JSON string. False when the file is not there.
 * Where it is hosted, one outside of the folder is another one there than here: it stays empty.
 */
static bool add_opencode_file(
	const struct kt_discovery *d, struct kt_buf *out, const char *config, const char *name)
{
	KT_AUTOFREE char *dir = kt_path_dir(config);
	KT_AUTOFREE char *path = name[0] == '/' ? kt_strdup(name) : kt_path_join(dir, name);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_AGENT_FILE_BYTES);
	KT_AUTO_BUF struct kt_buf quoted = KT_BUF_INIT(6 * KT_MAX_AGENT_FILE_BYTES);
	size_t from;

	if (kt_fs_read(path, &text, NULL) != KT_OK)
		return d->ld->hosted && name[0] == '/';
	if (!kt_walk_inside(d, path))
		return true;
	while (text.len && strchr(" \t\r\n", text.ptr[text.len - 1]))
		kt_buf_truncate(&text, text.len - 1);
	from = strspn(text.ptr, " \t\r\n");
	kt_json_add_str(&quoted, text.ptr + from, text.len - from);
	if (quoted.len > 2)
		kt_buf_add(out, quoted.ptr + 1, quoted.len - 2);
	return true;
}

/* A variable of any name; those of karta's own table have a getter, the author's have not. */
static const char *any_env(const char *name)
{
	size_t n = strlen(name);

	for (char **e = kt_env_all(); n && *e; e++) {
		if (!strncmp(*e, name, n) && (*e)[n] == '=')
			return *e + n + 1;
	}
	return NULL;
}

/* Put in what "{env:NAME}" and "{file:path}" stand for. False with an error. */
static bool put_in(
	struct kt_discovery *d, const char *path, const struct kt_buf *in, struct kt_buf *out)
{
	for (const char *p = in->ptr, *end = in->ptr + in->len; p < end;) {
		bool env = kt_str_starts(p, "{env:"), file = kt_str_starts(p, "{file:");
		const char *close = env || file ? strchr(p, '}') : NULL;
		KT_AUTOFREE char *name = NULL;
		const char *value;

		if (!close) {
			kt_buf_addc(out, *p++);
			continue;
		}
		p += env ? strlen("{env:") : strlen("{file:");
		name = kt_strndup(p, (size_t)(close - p));
		p = close + 1;
		if (env) {
			value = d->ld->hosted ? NULL : any_env(name);
			kt_buf_adds(out, value ? value : "");
		} else if (!add_opencode_file(d, out, path, name)) {
			KT_AUTOFREE char *shown = kt_discover_shown(d, path);

			kt_load_note(d->ld, KT_ERROR, shown, 0, 0, "add the file",
				"OpenCode does not start with this: {file:%s} does not exist",
				name);
			return false;
		}
	}
	return true;
}

/* A configuration file; NULL when it is missing, empty or wrong, the latter with an error. */
static cJSON *read_opencode_config(struct kt_discovery *d, const char *path)
{
	KT_AUTO_BUF struct kt_buf raw = KT_BUF_INIT(KT_MAX_AGENT_FILE_BYTES);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(8 * KT_MAX_AGENT_FILE_BYTES);
	KT_AUTO_BUF struct kt_buf valid = KT_BUF_INIT(24 * KT_MAX_AGENT_FILE_BYTES);
	KT_AUTOFREE char *shown = kt_discover_shown(d, path);
	struct kt_err err = KT_ERR_INIT;
	cJSON *doc = NULL;
	enum kt_code rc = kt_walk_inside(d, path) ? kt_fs_read(path, &raw, &err) : KT_ENOTFOUND;

	if (rc == KT_ENOTFOUND || (rc == KT_OK && !raw.len))
		return NULL;
	if (rc == KT_OK && !put_in(d, path, &raw, &text))
		return NULL;
	/* A byte that is no UTF-8 costs one character. */
	for (size_t i = 0; i < text.len;) {
		uint32_t cp;
		size_t n = kt_utf8_decode(text.ptr + i, text.len - i, &cp);

		if (n)
			kt_buf_add(&valid, text.ptr + i, n);
		else
			kt_utf8_add(&valid, 0xfffd);
		i += n ? n : 1;
	}
	if (rc == KT_OK)
		rc = kt_jsonc_parse_lenient(valid.ptr, valid.len, &doc, &err);
	if (rc != KT_OK) {
		kt_load_note_err(d->ld, KT_ERROR, shown, NULL, &err);
		return NULL;
	}
	if (kt_opencode_check_config(d, path, doc))
		return doc;
	cJSON_Delete(doc);
	return NULL;
}

static void take_members(struct config *c, cJSON *into, const char *kind, const cJSON *doc,
	const char *key, const char *path)
{
	const cJSON *members = kt_json_get(doc, key);

	for (const cJSON *m = members ? members->child : NULL; m; m = m->next) {
		lay_over(into, m->string, m);
		note_file(c, kind, m->string, path);
	}
}

static void scan_skills(struct kt_discovery *d, const char *dir, bool no_hidden);

static void take_skill_paths(struct config *c, const cJSON *doc)
{
	const cJSON *paths = kt_json_get(kt_json_get(doc, "skills"), "paths");
	const char *home = kt_env_get("HOME");

	for (const cJSON *p = cJSON_IsArray(paths) ? paths->child : NULL; p; p = p->next) {
		const char *s = cJSON_IsString(p) ? p->valuestring : NULL;
		KT_AUTOFREE char *dir = NULL;

		if (!s)
			continue;
		if (kt_str_starts(s, "~/") && home)
			dir = kt_path_join(home, s + 2);
		else
			dir = s[0] == '/' ? kt_strdup(s) : kt_path_join(c->d->ld->app->dir, s);
		scan_skills(c->d, dir, true);
	}
}

/* One configuration file, when it is there. */
static void take_config(struct config *c, const char *dir, const char *name)
{
	KT_AUTOFREE char *path = kt_path_join(dir, name);
	KT_AUTO_JSON cJSON *doc = read_opencode_config(c->d, path);
	const char *chosen;

	if (!doc)
		return;
	take_members(c, c->agents, "agent", doc, "agent", path);
	take_members(c, c->agents, "agent", doc, "agents", path);
	take_members(c, c->modes, "agent", doc, "mode", path);
	take_members(c, c->commands, "command", doc, "command", path);
	take_skill_paths(c, doc);
	chosen = kt_discover_text(c->d, doc, "default_agent");
	if (chosen) {
		c->d->default_agent = chosen;
		c->d->default_file = kt_arena_strdup(c->d->ld->app->arena, path);
	}
}

/* --- Markdown ---------------------------------------------------------------------------- */

/* Read the front matter of an agent, mode or command; false when OpenCode leaves the file out. */
static bool read_front(
	struct kt_discovery *d, const char *path, struct kt_frontmatter *out, const char *what)
{
	if (!kt_walk_front(d, path, 0, KT_YAML_OPENCODE, out))
		return false;
	const char *why = out->why.msg + strspn(out->why.msg, "0123456789: ");

	if (out->state == KT_FRONT_SKIPPED)
		kt_discover_warn(d, path, &out->why, "put the value in quotes",
			"OpenCode does not read the %s: its front matter is no YAML (%s)", what,
			why);
	else if (out->state == KT_FRONT_UNREAD)
		kt_discover_warn(d, path, &out->why, "put the value in quotes",
			"OpenCode reads the %s without its front matter, which is no YAML (%s)",
			what, why);
	else if (out->state == KT_FRONT_MENDED)
		kt_discover_warn(d, path, &out->why, "put the value in quotes",
			"the front matter is no YAML (%s): OpenCode mends it once, and reads the "
			"%s without it after that",
			why, what);
	return out->state != KT_FRONT_SKIPPED;
}

/* A value as the name of a member, as JavaScript makes one of it. */
static void add_member_name(struct kt_buf *out, const cJSON *v)
{
	const cJSON *item;

	if (cJSON_IsString(v))
		kt_buf_adds(out, v->valuestring);
	else if (cJSON_IsNumber(v))
		kt_buf_addf(out, "%.15g", v->valuedouble);
	else if (cJSON_IsBool(v))
		kt_buf_adds(out, cJSON_IsTrue(v) ? "true" : "false");
	else if (cJSON_IsObject(v))
		kt_buf_adds(out, "[object Object]");
	else if (!cJSON_IsArray(v))
		kt_buf_adds(out, "null");
	if (!cJSON_IsArray(v))
		return;
	cJSON_ArrayForEach (item, v) {
		if (item != v->child)
			kt_buf_addc(out, ',');
		if (!cJSON_IsNull(item))
			add_member_name(out, item);
	}
}

/* The name that a file gives itself, or that of its path; the caller's. */
static char *own_name(const cJSON *front, const char *below)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_LINE_BYTES);
	const cJSON *name = kt_json_get(front, "name");

	add_member_name(&b, name);
	if (name)
		return kt_buf_take(&b);
	return kt_strndup(below, strlen(below) - strlen(".md"));
}

/* Files of one folder replace each other; the whole lies over what was there before. */
struct batch {
	struct config *c;
	cJSON *items;
	const char *kind;
};

static void read_item(void *arg, const char *path, const char *below)
{
	struct batch *b = arg;
	struct kt_discovery *d = b->c->d;
	KT_AUTO_FRONT struct kt_frontmatter front = { 0 };
	bool command = kt_str_eq(b->kind, "command"), mode = kt_str_eq(b->kind, "mode");
	KT_AUTOFREE char *name = NULL;

	/* Modes are not looked for in folders below. */
	if ((mode && strchr(below, '/')) || !read_front(d, path, &front, b->kind))
		return;
	name = own_name(front.data, below);
	/* The body of the file takes their place. */
	cJSON_DeleteItemFromObjectCaseSensitive(front.data, command ? "template" : "prompt");
	if (command            ? !kt_opencode_check_command(d, path, front.data)
			: mode ? !kt_opencode_check_mode(d, path, front.data)
			       : !kt_opencode_check_agent(d, path, front.data))
		return;
	if (cJSON_GetObjectItemCaseSensitive(b->items, name))
		kt_discover_warn(d, path, NULL, "rename one of them",
			"the %s '%s' is in another file already; OpenCode takes one of them",
			b->kind, name);
	if (mode) {
		cJSON_DeleteItemFromObjectCaseSensitive(front.data, "mode");
		kt_assert(cJSON_AddStringToObject(front.data, "mode", "primary"));
	}
	cJSON_DeleteItemFromObjectCaseSensitive(b->items, name);
	lay_over(b->items, name, front.data);
	note_file(b->c, command ? "command" : "agent", name, path);
}

/* Lay what is in the folders dir/kind and dir/kinds over `into`. */
static void take_folder(struct config *c, const char *dir, const char *kind, cJSON *into)
{
	KT_AUTOFREE char *one = kt_path_join(dir, kind);
	KT_AUTOFREE char *many = kt_asprintf("%ss", one);
	struct batch b = { c, cJSON_CreateObject(), kind };
	const struct kt_walk how = { .fn = read_item, .arg = &b };

	kt_assert(b.items);
	kt_walk_markdown(c->d, one, &how);
	kt_walk_markdown(c->d, many, &how);
	for (const cJSON *m = b.items->child; m; m = m->next)
		lay_over(into, m->string, m);
	cJSON_Delete(b.items);
}

/* --- skills ------------------------------------------------------------------------------ */

static void read_opencode_skill(void *arg, const char *path, const char *below)
{
	struct kt_discovery *d = arg;
	KT_AUTO_FRONT struct kt_frontmatter front = { 0 };
	const cJSON *name, *description;
	struct kt_skill *s;

	(void)below;
	if (!read_front(d, path, &front, "skill"))
		return;
	name = kt_json_get(front.data, "name");
	description = kt_json_get(front.data, "description");
	if (!cJSON_IsString(name)) {
		kt_discover_warn(d, path, NULL, "add name: to it",
			name ? "no skill for OpenCode: its 'name' is no text"
			     : "no skill for OpenCode: its front matter has no 'name'");
		return;
	}
	if (description && !cJSON_IsString(description)) {
		kt_discover_warn(d, path, NULL, "put it in quotes",
			"no skill for OpenCode: the 'description' of '%s' is no text",
			name->valuestring);
		return;
	}
	s = kt_discover_skill(d, name->valuestring, path);
	if (!s)
		return;
	s->description = kt_discover_text(d, front.data, "description");
	if (!s->description)
		kt_discover_warn(d, path, NULL, "say in it when the skill is of use",
			"the skill has no 'description': the model cannot choose it");
}

static void scan_skills(struct kt_discovery *d, const char *dir, bool no_hidden)
{
	const struct kt_walk how = {
		.no_hidden = no_hidden, .only = "SKILL.md", .fn = read_opencode_skill, .arg = d
	};

	kt_walk_markdown(d, dir, &how);
}

/* Those of Claude Code and of others, which OpenCode reads as well. */
static void foreign_skills(struct kt_discovery *d, const char *base)
{
	static const char *const dirs[] = { ".claude/skills", ".agents/skills" };

	for (size_t i = 0; i < KT_ARRAY_LEN(dirs); i++) {
		KT_AUTOFREE char *dir = kt_path_join(base, dirs[i]);

		scan_skills(d, dir, false);
	}
}

/* --- all of it --------------------------------------------------------------------------- */

/*

 * Agents, commands, modes, skills and settings of a folder that is called .opencode, or the like.

 */
static void take_dir(struct config *c, const char *dir, bool settings)
{
	KT_AUTOFREE char *skill = kt_path_join(dir, "skill");
	KT_AUTOFREE char *skills = kt_path_join(dir, "skills");

	if (settings) {
		take_config(c, dir, "opencode.json");
		take_config(c, dir, "opencode.jsonc");
	}
	take_folder(c, dir, "command", c->commands);
	take_folder(c, dir, "agent", c->agents);
	take_folder(c, dir, "mode", c->agents);
	scan_skills(c->d, skill, true);
	scan_skills(c->d, skills, true);
}

/* Agents that come with OpenCode; one of those is an own one when it is given a role. */
static bool is_adjusted(const char *name, const cJSON *agent)
{
	static const char *const built_in[] = { "build", "plan", "general", "explore" };
	static const char *const inner[] = { "title", "summary", "compaction" };

	for (size_t i = 0; i < KT_ARRAY_LEN(inner); i++) {
		if (!strcmp(name, inner[i]))
			return true;
	}
	for (size_t i = 0; i < KT_ARRAY_LEN(built_in); i++) {
		if (!strcmp(name, built_in[i]))
			return !kt_json_str(agent, "prompt") && !kt_json_str(agent, "description");
	}
	return false;
}

static void add_agent(struct config *c, const cJSON *agent)
{
	struct kt_discovery *d = c->d;
	const char *given = kt_json_str(agent, "name");
	const char *name = given ? given : agent->string;
	bool inner = !strcmp(name, "general") || !strcmp(name, "explore");
	const char *mode = kt_json_str(agent, "mode");
	struct kt_agent *a;

	if (kt_json_bool(agent, "disable", false) || is_adjusted(name, agent))
		return;
	a = kt_discover_agent(d, name, file_of(c, "agent", agent->string));
	if (!a)
		return;
	if (!mode)
		mode = inner ? "subagent" : "all";
	a->description = kt_discover_text(d, agent, "description");
	a->model = kt_discover_text(d, agent, "model");
	a->primary = strcmp(mode, "subagent") != 0;
	a->answers = a->primary && !kt_json_bool(agent, "hidden", false);
}

static void add_opencode_all(struct config *c)
{
	for (const cJSON *m = c->modes->child; m; m = m->next) {
		KT_AUTO_JSON cJSON *primary = cJSON_CreateObject();

		kt_assert(primary && cJSON_AddStringToObject(primary, "mode", "primary"));
		lay_over(c->agents, m->string, m);
		lay_over(c->agents, m->string, primary);
	}
	for (const cJSON *a = c->agents->child; a; a = a->next)
		add_agent(c, a);
	for (const cJSON *m = c->commands->child; m; m = m->next) {
		struct kt_command *command = kt_discover_command(
			c->d, m->string, file_of(c, "command", m->string));

		if (command)
			command->description = kt_discover_text(c->d, m, "description");
	}
}

/* OpenCode's folder among the user's settings; NULL when hosted or unknown. The caller's. */
static char *user_dir(const struct kt_discovery *d)
{
	const char *set = kt_env_get("XDG_CONFIG_HOME"), *home = kt_env_get("HOME");

	if (d->ld->hosted || !home)
		return NULL;
	return set && *set ? kt_path_join(set, "opencode") : kt_path_join(home, ".config/opencode");
}

void kt_discover_opencode(struct kt_discovery *d)
{
	const char *home = d->ld->hosted ? NULL : kt_env_get("HOME");
	struct config c = { .d = d,
		.agents = cJSON_CreateObject(),
		.modes = cJSON_CreateObject(),
		.commands = cJSON_CreateObject(),
		.files = KT_MAP_INIT };
	KT_AUTOFREE char *user = user_dir(d);
	struct kt_vec up = KT_VEC_INIT;

	kt_assert(c.agents && c.modes && c.commands);
	kt_walk_up(d, false, &up);
	if (home)
		foreign_skills(d, home);
	for (size_t i = 0; i < up.len; i++)
		foreign_skills(d, up.items[i]);
	if (user) {
		take_config(&c, user, "config.json");
		take_config(&c, user, "opencode.json");
		take_config(&c, user, "opencode.jsonc");
	}
	for (size_t i = up.len; i-- > 0;) {
		take_config(&c, up.items[i], "opencode.json");
		take_config(&c, up.items[i], "opencode.jsonc");
	}
	if (user)
		take_dir(&c, user, false);
	/* The folders above are laid over the nearest, and the user's over all. */
	for (size_t i = 0; i < up.len; i++) {
		KT_AUTOFREE char *dir = kt_path_join(up.items[i], ".opencode");

		take_dir(&c, dir, true);
	}
	if (home) {
		KT_AUTOFREE char *dir = kt_path_join(home, ".opencode");

		take_dir(&c, dir, true);
	}
	add_opencode_all(&c);
	cJSON_Delete(c.agents);
	cJSON_Delete(c.modes);
	cJSON_Delete(c.commands);
	kt_map_release(&c.files);
	kt_vec_release(&up);
}
