/* SPDX-License-Identifier: MIT */
/*
 * Instructions and the default agent. What counts as an agent, a skill or a command is decided by
 * the harness whose files they are: claude_files.c and opencode_files.c read as the programs do.
 */
#include "app/discover_private.h"

#include "base/fs.h"

#include <string.h>

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
