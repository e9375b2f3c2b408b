/* SPDX-License-Identifier: MIT */
/*
 * Instructions, agents, skills, commands and the default agent. What counts as one is decided by
 * the harness whose files they are: claude_files.c and opencode_files.c read as the programs do.
 */
#include "app/discover_private.h"

#include "base/fs.h"
#include "base/str.h"
#include "text/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void kt_discover_warn(struct kt_discovery *d, const char *path, const struct kt_err *why,
	const char *fix, const char *fmt, ...)
{
	KT_AUTOFREE char *shown = kt_walk_shown(d, path);
	struct kt_err at = KT_ERR_INIT;
	size_t place = 0;
	va_list ap;

	/* What is wrong above the folder, or at the user's home, is no matter of the folder. */
	if (shown[0] == '/')
		return;
	/* The place of the reason is that of the warning. */
	if (why)
		place = strspn(why->msg, "0123456789:");
	va_start(ap, fmt);
	snprintf(at.msg, sizeof(at.msg), "%.*s%s", (int)place, why ? why->msg : "",
		place ? " " : "");
	place = strlen(at.msg);
	if (vsnprintf(at.msg + place, sizeof(at.msg) - place, fmt, ap) < 0)
		at.msg[place] = '\0';
	va_end(ap);
	kt_load_note_err(d->ld, KT_WARNING, shown, fix, &at);
}

const char *kt_discover_text(struct kt_discovery *d, const cJSON *obj, const char *key)
{
	const char *s = kt_json_str(obj, key);

	return s && *s ? kt_arena_strdup(d->ld->app->arena, s) : NULL;
}

/* Grow an arena array by one zeroed element and return it. The old array stays until the end. */
static void *grow_items(struct kt_arena *arena, void **items, size_t *n, size_t *cap, size_t size)
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
static bool discovery_is_full(struct kt_discovery *d, size_t n, const char *path)
{
	if (n < KT_APP_MAX_ITEMS)
		return false;
	if (!d->full)
		kt_discover_warn(d, path, NULL, NULL,
			"more than %d agents, skills or commands (fixed): the rest is not read",
			KT_APP_MAX_ITEMS);
	d->full = true;
	return true;
}

static const char *arena_shown(struct kt_discovery *d, const char *path)
{
	KT_AUTOFREE char *shown = kt_walk_shown(d, path);

	return kt_arena_strdup(d->ld->app->arena, shown);
}

struct kt_agent *kt_discover_agent(struct kt_discovery *d, const char *name, const char *path)
{
	struct kt_app *app = d->ld->app;
	void *items = app->agents;
	struct kt_agent *a = NULL;

	for (size_t i = 0; !a && i < app->n_agents; i++) {
		if (!strcmp(app->agents[i].name, name))
			a = &app->agents[i];
	}
	if (!a) {
		if (discovery_is_full(d, app->n_agents, path))
			return NULL;
		a = grow_items(app->arena, &items, &app->n_agents, &d->agents_cap, sizeof(*a));
		app->agents = items;
	}
	*a = (struct kt_agent){ .name = kt_arena_strdup(app->arena, name),
		.file = arena_shown(d, path) };
	return a;
}

struct kt_skill *kt_discover_skill(struct kt_discovery *d, const char *name, const char *path)
{
	struct kt_app *app = d->ld->app;
	void *items = app->skills;
	struct kt_skill *s;

	for (size_t i = 0; i < app->n_skills; i++) {
		if (!strcmp(app->skills[i].name, name))
			return NULL;
	}
	if (discovery_is_full(d, app->n_skills, path))
		return NULL;
	s = grow_items(app->arena, &items, &app->n_skills, &d->skills_cap, sizeof(*s));
	app->skills = items;
	s->name = kt_arena_strdup(app->arena, name);
	s->file = arena_shown(d, path);
	return s;
}

struct kt_command *kt_discover_command(struct kt_discovery *d, const char *name, const char *path)
{
	struct kt_app *app = d->ld->app;
	void *items = app->commands;
	struct kt_command *c;

	for (size_t i = 0; i < app->n_commands; i++) {
		if (!strcmp(app->commands[i].name, name))
			return NULL;
	}
	if (discovery_is_full(d, app->n_commands, path))
		return NULL;
	c = grow_items(app->arena, &items, &app->n_commands, &d->commands_cap, sizeof(*c));
	app->commands = items;
	c->name = kt_arena_strdup(app->arena, name);
	c->file = arena_shown(d, path);
	return c;
}

static void choose_default(struct kt_discovery *d)
{
	/* Agents that the harnesses bring along and users can talk to. */
	static const char *const built_in[] = { "build", "plan", "general-purpose", "Explore",
		"Plan", "claude", "statusline-setup" };
	struct kt_app *app = d->ld->app;
	const char *name = d->default_agent;

	if (!name)
		return;
	for (size_t i = 0; i < app->n_agents; i++) {
		if (!strcmp(app->agents[i].name, name) && app->agents[i].answers) {
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
	kt_discover_warn(d, d->default_file, NULL, "correct it, or add the agent",
		kt_app_agent(app, name)
			? "the default agent '%s' is one that only other agents call"
			: "the default agent '%s' does not exist",
		name);
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
	struct kt_discovery d = { .ld = ld, .seen = KT_MAP_INIT };

	if (!ld->have_layout)
		return;
	find_instructions(ld);
	if (ld->layout == KT_HARNESS_CLAUDE)
		kt_discover_claude(&d);
	else if (ld->layout == KT_HARNESS_OPENCODE)
		kt_discover_opencode(&d);
	choose_default(&d);
	kt_map_release(&d.seen);
}
