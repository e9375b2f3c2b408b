/* SPDX-License-Identifier: MIT */
/* The environment that a harness is started with; see harness_env.h. */
#include "harness/harness_env.h"

#include "base/env.h"
#include "base/str.h"

#include <string.h>

/* Not passed on: our key, and marks of a harness around us, which change how a nested one acts. */
static bool is_withheld(const char *entry)
{
	static const char *const names[] = { "KARTA_API_KEY=", "KARTA_PROC_ID=",
		"KARTA_SESSION_ID=", "KARTA_PROJECT=", "CLAUDECODE=", "CLAUDE_CODE_ENTRYPOINT=",
		"CLAUDE_CODE_SSE_PORT=", "CLAUDE_CODE_SESSION_ID=", "CLAUDE_AGENT_SDK_VERSION=",
		"CLAUDE_CODE_CHILD_SESSION=", "CLAUDE_CODE_EXECPATH=", "OPENCODE=", "OPENCODE_PID=",
		"OPENCODE_RUN_ID=", "OPENCODE_PROCESS_ROLE=", NULL };

	for (size_t i = 0; names[i]; i++) {
		if (kt_str_starts(entry, names[i]))
			return true;
	}
	return false;
}

/* Add "NAME=value" (BORROWED), in place of an earlier one of that name. */
static void env_put(struct kt_vec *env, const char *entry)
{
	const char *eq = strchr(entry, '=');
	/* The vector holds what execve() takes, which changes nothing in it. */
	void *item = (void *)(uintptr_t)entry;

	if (!eq)
		return;
	for (size_t i = 0; i < env->len; i++) {
		if (!strncmp(env->items[i], entry, (size_t)(eq - entry) + 1)) {
			env->items[i] = item;
			return;
		}
	}
	kt_vec_push(env, item);
}

void kt_harness_env_build(struct kt_arena *arena, char *const *extra,
	const struct kt_vec *of_driver, const char *project, const char *session_id,
	struct kt_vec *env)
{
	for (char **e = kt_env_all(); e && *e; e++) {
		if (!is_withheld(*e))
			env_put(env, *e);
	}
	for (char *const *e = extra; e && *e; e++)
		env_put(env, *e);
	for (size_t i = 0; i < of_driver->len; i++)
		env_put(env, of_driver->items[i]);
	if (project)
		env_put(env, kt_arena_printf(arena, "KARTA_PROJECT=%s", project));
	if (session_id)
		env_put(env, kt_arena_printf(arena, "KARTA_SESSION_ID=%s", session_id));
	kt_vec_push(env, NULL);
}
