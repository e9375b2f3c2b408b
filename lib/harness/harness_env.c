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

/* What a program needs to run at all, and nothing that could be a secret. */
static bool is_harmless(const char *entry)
{
	static const char *const names[] = { "PATH=", "LANG=", "LC_",
		"TZ=", "TMPDIR=", "TERM=", "SSL_CERT_FILE=", "HTTPS_PROXY=", "HTTP_PROXY=",
		"NO_PROXY=", "https_proxy=", "http_proxy=", "no_proxy=", NULL };

	for (size_t i = 0; names[i]; i++) {
		if (kt_str_starts(entry, names[i]))
			return true;
	}
	return false;
}

/*
 * The entry of a proxy without user name and password, wherever its '@' is: the address stays, so
 * that who has to use the proxy is told so by it and does not go around it.
 */
static const char *without_password(struct kt_arena *arena, const char *entry)
{
	const char *eq = strchr(entry, '='), *at = strrchr(entry, '@'), *scheme;

	if (!eq || !at || eq - entry < 6 || strncasecmp(eq - 6, "_proxy", 6) != 0)
		return entry;
	scheme = strstr(eq, "://");
	if (!scheme || scheme > at)
		return kt_arena_printf(arena, "%.*s%s", (int)(eq + 1 - entry), entry, at + 1);
	return kt_arena_printf(arena, "%.*s%s", (int)(scheme + 3 - entry), entry, at + 1);
}

/* Whose home it is: where log-ins are found. */
static bool is_of_home(const char *entry)
{
	static const char *const names[] = { "HOME=", "USER=", "LOGNAME=", "SHELL=",
		"XDG_CONFIG_HOME=", "XDG_DATA_HOME=", "XDG_STATE_HOME=", "XDG_CACHE_HOME=",
		"CLAUDE_CONFIG_DIR=", NULL };

	for (size_t i = 0; names[i]; i++) {
		if (kt_str_starts(entry, names[i]))
			return true;
	}
	return false;
}

static void put_all_env(struct kt_vec *env, char *const *entries)
{
	for (char *const *e = entries; e && *e; e++)
		env_put(env, *e);
}

static void put_home(struct kt_arena *arena, const char *home, struct kt_vec *env)
{
	static const struct {
		const char *name, *below;
	} places[] = {
		{ "HOME", "" },
		{ "CLAUDE_CONFIG_DIR", "/.claude" },
		{ "XDG_CONFIG_HOME", "/.config" },
		{ "XDG_DATA_HOME", "/.local/share" },
		{ "XDG_STATE_HOME", "/.local/state" },
		{ "XDG_CACHE_HOME", "/.cache" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(places); i++)
		env_put(env,
			kt_arena_printf(arena, "%s=%s%s", places[i].name, home, places[i].below));
}

void kt_harness_env_build(
	struct kt_arena *arena, const struct kt_harness_env_parts *parts, struct kt_vec *env)
{
	for (char **e = kt_env_all(); e && *e; e++) {
		if (parts->sealed ? is_harmless(*e) || (!parts->home && is_of_home(*e))
				  : !is_withheld(*e))
			env_put(env, parts->sealed ? without_password(arena, *e) : *e);
	}
	put_all_env(env, parts->shared);
	put_all_env(env, parts->extra);
	for (size_t i = 0; i < parts->of_driver->len; i++)
		env_put(env, parts->of_driver->items[i]);
	if (parts->home)
		put_home(arena, parts->home, env);
	if (parts->project)
		env_put(env, kt_arena_printf(arena, "KARTA_PROJECT=%s", parts->project));
	if (parts->session_id)
		env_put(env, kt_arena_printf(arena, "KARTA_SESSION_ID=%s", parts->session_id));
	kt_vec_push(env, NULL);
}

/* The items of v in arena; v is released. */
static char *const *harness_items(struct kt_arena *arena, struct kt_vec *v)
{
	char **items = kt_arena_alloc(arena, v->len * sizeof(*items));

	memcpy(items, v->items, v->len * sizeof(*items));
	kt_vec_release(v);
	return items;
}

void kt_harness_spec(struct kt_arena *arena, const struct kt_driver_ops *ops,
	const struct kt_driver_config *cfg, const struct kt_harness_env_parts *parts,
	struct kt_child_spec *out)
{
	struct kt_harness_env_parts all = *parts;
	struct kt_vec argv = KT_VEC_INIT;
	struct kt_vec of_driver = KT_VEC_INIT;
	struct kt_vec env = KT_VEC_INIT;

	ops->command(cfg, arena, &argv, &of_driver);
	kt_vec_push(&argv, NULL);
	all.of_driver = &of_driver;
	kt_harness_env_build(arena, &all, &env);
	kt_vec_release(&of_driver);
	*out = (struct kt_child_spec){
		.argv = harness_items(arena, &argv),
		.envp = harness_items(arena, &env),
		.cwd = cfg->cwd,
	};
}
