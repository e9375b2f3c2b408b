/* SPDX-License-Identifier: MIT */
/*
 * What is found in a folder goes into the application: agents, skills, commands, and warnings about
 * files, with paths as they are shown.
 */
#include "app/discover_private.h"

#include "base/str.h"
#include "text/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

char *kt_discover_shown(const struct kt_discovery *d, const char *path)
{
	const char *dir = d->ld->app->dir;
	size_t n = strlen(dir);

	if (!strncmp(path, dir, n) && path[n] == '/')
		return kt_strdup(path + n + 1);
	return kt_strdup(path);
}

void kt_discover_warn(struct kt_discovery *d, const char *path, const struct kt_err *why,
	const char *fix, const char *fmt, ...)
{
	KT_AUTOFREE char *shown = kt_discover_shown(d, path);
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
	KT_AUTOFREE char *shown = kt_discover_shown(d, path);

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

const struct kt_agent *kt_app_agent(const struct kt_app *app, const char *name)
{
	for (size_t i = 0; name && i < app->n_agents; i++) {
		if (!strcmp(app->agents[i].name, name))
			return &app->agents[i];
	}
	return NULL;
}
