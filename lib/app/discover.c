/* SPDX-License-Identifier: MIT */
/*
 * Instructions, agents and skills, from the harness's own files. Claude Code: .claude/agents and
 * .claude/skills. OpenCode: .opencode/agent(s) and .opencode/skill(s), agents in its configuration
 * file, and Claude's skills, which it reads as well.
 */
#include "app/app_private.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "text/frontmatter.h"
#include "text/json.h"

#include <stdio.h>
#include <string.h>

struct discovery {
	struct kt_load *ld;
	size_t agents_cap, skills_cap;
	size_t visits;
	size_t n_marked; /* agents marked as primary in so many words */
	const char *marked;
	bool full; /* a maximum was passed and noted */
};

static const char *arena_str(struct discovery *d, const cJSON *obj, const char *key)
{
	const char *s = kt_json_str(obj, key);

	return s && *s ? kt_arena_strdup(d->ld->app->arena, s) : NULL;
}

/* Grow an arena array by one zeroed element and return it. The old array stays until the end. */
static void *grow(struct kt_arena *arena, void **items, size_t *n, size_t *cap, size_t size)
{
	if (*n == *cap) {
		size_t want = *cap ? *cap * 2 : 8;
		void *bigger = kt_arena_alloc(arena, want * size);

		if (*n)
			memcpy(bigger, *items, *n * size);
		*items = bigger;
		*cap = want;
	}
	return (char *)*items + (*n)++ * size;
}

/* True when one more of what there are n of is too many. */
static bool is_full(struct discovery *d, size_t n, const char *file)
{
	if (n < KT_APP_MAX_ITEMS && d->visits < KT_APP_MAX_VISITS)
		return false;
	if (!d->full)
		kt_load_note(d->ld, KT_WARNING, file, 0, 0, NULL,
			"more than %d agents or skills: the rest is not read", KT_APP_MAX_ITEMS);
	d->full = true;
	return true;
}

/* Read the front matter of a file (relative); NULL when a finding was made. The caller's. */
static cJSON *read_front(struct discovery *d, const char *file)
{
	KT_AUTOFREE char *path = kt_path_join(d->ld->app->dir, file);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_AGENT_FILE_BYTES);
	struct kt_err err = KT_ERR_INIT;
	cJSON *front = NULL;
	size_t body;

	if (kt_fs_read(path, &text, &err) == KT_OK &&
		kt_frontmatter_parse(text.ptr, text.len, &front, &body, &err) == KT_OK)
		return front;
	kt_load_note_err(d->ld, KT_ERROR, file, NULL, &err);
	return NULL;
}

/* Note keys that must be text and are not; false when one was found. */
static bool check_texts(struct discovery *d, const cJSON *front, const char *file)
{
	static const char *const keys[] = { "name", "description", "model", "type", "mode" };
	bool fine = true;

	for (size_t i = 0; i < KT_ARRAY_LEN(keys); i++) {
		const cJSON *v = kt_json_get(front, keys[i]);

		if (!v || cJSON_IsNull(v) || cJSON_IsString(v))
			continue;
		kt_load_note(d->ld, KT_ERROR, file, 1, 1, "put it in quotes",
			"'%s' in the front matter must be text", keys[i]);
		fine = false;
	}
	return fine;
}

/*
 * Whether users may talk to the agent. A sub-agent of Claude Code is one unless it says otherwise;
 * an agent of OpenCode is both ("mode: all") unless it says otherwise.
 */
static bool is_primary(struct discovery *d, const cJSON *front, bool opencode)
{
	const char *mode = kt_json_str(front, "mode"), *type = kt_json_str(front, "type");

	if (kt_str_eq(type, "auxiliary") || kt_str_eq(mode, "subagent"))
		return false;
	if (kt_str_eq(type, "primary") || kt_str_eq(mode, "primary")) {
		d->n_marked++;
		return true;
	}
	return opencode || kt_str_eq(mode, "all");
}

static void add_agent(
	struct discovery *d, const cJSON *front, const char *name, const char *file, bool opencode)
{
	struct kt_app *app = d->ld->app;
	const struct kt_agent *same = kt_app_agent(app, name);
	size_t marked = d->n_marked;
	void *items = app->agents;
	struct kt_agent *a;

	if (same) {
		kt_load_note(d->ld, KT_WARNING, file, 1, 1, "rename one of them",
			"the agent '%s' is in %s already", name, same->file);
		return;
	}
	a = grow(app->arena, &items, &app->n_agents, &d->agents_cap, sizeof(*a));
	app->agents = items;
	a->name = kt_arena_strdup(app->arena, name);
	a->description = arena_str(d, front, "description");
	a->model = arena_str(d, front, "model");
	a->file = kt_arena_strdup(app->arena, file);
	a->primary = is_primary(d, front, opencode);
	if (d->n_marked == marked)
		return;
	if (!marked)
		d->marked = a->name;
	else if (!opencode)
		kt_load_note(d->ld, KT_ERROR, file, 1, 1, "mark one agent only with type: primary",
			"several primary agents and no default: '%s' and '%s'", d->marked, a->name);
}

/* base is the file's path below the agents folder. */
static void read_agent(struct discovery *d, const char *file, const char *base, bool opencode)
{
	KT_AUTO_JSON cJSON *front = read_front(d, file);
	KT_AUTOFREE char *own = kt_strndup(base, strlen(base) - strlen(".md"));
	const char *name;

	if (!front || !check_texts(d, front, file))
		return;
	name = kt_json_str(front, "name");
	if (name && *name) {
		add_agent(d, front, name, file, opencode);
	} else if (opencode) {
		add_agent(d, front, own, file, opencode);
	} else {
		KT_AUTOFREE char *fix = kt_asprintf(
			"begin the file with ---, name: %s, description: ..., ---", own);

		kt_load_note(d->ld, KT_ERROR, file, 1, 1, fix,
			"the agent has no 'name' in its front matter");
	}
}

/* Agents in folder dir; base is dir below the agents folder, "" for itself. */
static void walk_agents(
	struct discovery *d, const char *dir, const char *base, bool opencode, int depth)
{
	KT_AUTOFREE char *full = kt_path_join(d->ld->app->dir, dir);
	char **names;
	size_t n;

	if (kt_fs_list(full, &names, &n, NULL) != KT_OK)
		return;
	for (size_t i = 0; i < n; i++) {
		KT_AUTOFREE char *file = kt_path_join(dir, names[i]);
		KT_AUTOFREE char *below = base[0] ? kt_path_join(base, names[i])
						  : kt_strdup(names[i]);
		bool markdown = kt_str_ends(names[i], ".md") && strlen(names[i]) > strlen(".md");

		d->visits++;
		if (is_full(d, d->ld->app->n_agents, dir))
			break;
		if (markdown && kt_app_has_file(d->ld->app->dir, file))
			read_agent(d, file, below, opencode);
		else if (depth < KT_APP_MAX_DEPTH && names[i][0] != '.' &&
			kt_app_has_dir(d->ld->app->dir, file))
			walk_agents(d, file, below, opencode, depth + 1);
	}
	kt_fs_names_free(names, n);
}

/* --- skills ------------------------------------------------------------------------------ */

static void add_skill(struct discovery *d, const cJSON *front, const char *folder, const char *file)
{
	struct kt_app *app = d->ld->app;
	const char *name = kt_json_str(front, "name");
	void *items = app->skills;
	struct kt_skill *s;

	if (!name || !*name) {
		KT_AUTOFREE char *fix = kt_asprintf("add name: %s", folder);

		kt_load_note(d->ld, KT_WARNING, file, 1, 1, fix,
			"the skill has no 'name' in its front matter");
		name = folder;
	}
	if (!kt_json_str(front, "description"))
		kt_load_note(d->ld, KT_WARNING, file, 1, 1, "say in it when the skill is of use",
			"the skill has no 'description', so the model cannot choose it");
	for (size_t i = 0; i < app->n_skills; i++) {
		if (!strcmp(app->skills[i].name, name)) {
			kt_load_note(d->ld, KT_WARNING, file, 1, 1, "rename one of them",
				"the skill '%s' is in %s already", name, app->skills[i].file);
			return;
		}
	}
	s = grow(app->arena, &items, &app->n_skills, &d->skills_cap, sizeof(*s));
	app->skills = items;
	s->name = kt_arena_strdup(app->arena, name);
	s->description = arena_str(d, front, "description");
	s->file = kt_arena_strdup(app->arena, file);
}

static void walk_skills(struct discovery *d, const char *dir)
{
	KT_AUTOFREE char *full = kt_path_join(d->ld->app->dir, dir);
	char **names;
	size_t n;

	if (kt_fs_list(full, &names, &n, NULL) != KT_OK)
		return;
	for (size_t i = 0; i < n; i++) {
		KT_AUTOFREE char *folder = kt_path_join(dir, names[i]);
		KT_AUTOFREE char *file = kt_path_join(folder, "SKILL.md");
		KT_AUTO_JSON cJSON *front = NULL;

		d->visits++;
		if (is_full(d, d->ld->app->n_skills, dir))
			break;
		if (names[i][0] == '.' || !kt_app_has_dir(d->ld->app->dir, folder))
			continue;
		if (!kt_app_has_file(d->ld->app->dir, file)) {
			kt_load_note(d->ld, KT_WARNING, folder, 0, 0, "add SKILL.md to it",
				"the skill has no SKILL.md");
			continue;
		}
		front = read_front(d, file);
		if (front && check_texts(d, front, file))
			add_skill(d, front, names[i], file);
	}
	kt_fs_names_free(names, n);
}

/* --- OpenCode's configuration ------------------------------------------------------------ */

static void config_agents(struct discovery *d, const cJSON *doc, const char *file)
{
	const cJSON *agents = kt_json_obj(doc, "agent");

	for (const cJSON *a = agents ? agents->child : NULL; a; a = a->next) {
		if (is_full(d, d->ld->app->n_agents, file))
			break;
		/* Built-in agents are adjusted there as well; those stay the harness's own. */
		if (!cJSON_IsObject(a) || kt_json_bool(a, "disable", false) ||
			!(kt_json_str(a, "prompt") || kt_json_str(a, "description")) ||
			kt_app_agent(d->ld->app, a->string))
			continue;
		add_agent(d, a, a->string, file, true);
	}
}

/* Returns the default agent that OpenCode's configuration names (arena), or NULL. */
static const char *read_opencode(struct discovery *d, const char **out_file)
{
	/* The nearest to the folder's own settings wins, as in OpenCode. */
	static const char *const files[] = { ".opencode/opencode.jsonc", ".opencode/opencode.json",
		"opencode.jsonc", "opencode.json" };
	const char *dflt = NULL;

	for (size_t i = 0; i < KT_ARRAY_LEN(files); i++) {
		KT_AUTOFREE char *path = kt_path_join(d->ld->app->dir, files[i]);
		KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_CONFIG_BYTES);
		KT_AUTO_JSON cJSON *doc = NULL;
		struct kt_err err = KT_ERR_INIT;
		enum kt_code code = kt_fs_read(path, &text, &err);

		if (code == KT_ENOTFOUND)
			continue;
		if (code == KT_OK)
			code = kt_jsonc_parse(text.ptr, text.len, &doc, &err);
		if (code != KT_OK) {
			kt_load_note_err(d->ld, KT_ERROR, files[i], NULL, &err);
			continue;
		}
		config_agents(d, doc, files[i]);
		if (!dflt) {
			dflt = arena_str(d, doc, "default_agent");
			*out_file = files[i];
		}
	}
	return dflt;
}

static void choose_default(struct discovery *d, const char *configured, const char *file)
{
	/* Agents that OpenCode brings along and users can talk to. */
	static const char *const built_in[] = { "build", "plan" };
	struct kt_app *app = d->ld->app;
	const char *name = configured;

	if (!name && d->ld->layout == KT_HARNESS_CLAUDE && d->n_marked == 1)
		name = d->marked;
	if (!name)
		return;
	for (size_t i = 0; i < app->n_agents; i++) {
		if (!strcmp(app->agents[i].name, name)) {
			app->agents[i].is_default = true;
			app->default_agent = app->agents[i].name;
			return;
		}
	}
	/* "default" leaves the choice to the harness, which reads the same setting. */
	for (size_t i = 0; i < KT_ARRAY_LEN(built_in); i++) {
		if (!strcmp(name, built_in[i]))
			return;
	}
	kt_load_note(d->ld, KT_WARNING, file, 0, 0, "correct 'default_agent', or add the agent",
		"the default agent '%s' does not exist", name);
}

static void find_instructions(struct kt_load *ld)
{
	static const char *const claude[] = { "CLAUDE.md", ".claude/CLAUDE.md", NULL };
	static const char *const other[] = { "AGENTS.md", "CLAUDE.md", NULL };
	const char *const *names = ld->layout == KT_HARNESS_CLAUDE ? claude : other;

	for (size_t i = 0; names[i]; i++) {
		if (kt_app_has_file(ld->app->dir, names[i])) {
			ld->app->instructions = names[i];
			return;
		}
	}
	kt_load_note(ld, KT_WARNING, NULL, 0, 0,
		names == claude ? "write CLAUDE.md: who the agent is, and what it is to do"
				: "write AGENTS.md: who the agent is, and what it is to do",
		"no %s: the agent has no instructions", names[0]);
}

void kt_load_discover(struct kt_load *ld)
{
	struct discovery d = { .ld = ld };
	const char *configured = NULL, *file = NULL;

	if (!ld->have_layout)
		return;
	find_instructions(ld);
	if (ld->layout == KT_HARNESS_CLAUDE) {
		walk_agents(&d, ".claude/agents", "", false, 0);
		walk_skills(&d, ".claude/skills");
	} else if (ld->layout == KT_HARNESS_OPENCODE) {
		walk_agents(&d, ".opencode/agents", "", true, 0);
		walk_agents(&d, ".opencode/agent", "", true, 0);
		walk_skills(&d, ".opencode/skills");
		walk_skills(&d, ".opencode/skill");
		walk_skills(&d, ".claude/skills");
		configured = read_opencode(&d, &file);
	}
	choose_default(&d, configured, file);
}
