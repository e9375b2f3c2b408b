/* SPDX-License-Identifier: MIT */
/*
 * The types that OpenCode wants of its agents, commands and settings. One that is wrong keeps it
 * from starting at all, so it is an error here, with the place. What is not known here is left to
 * OpenCode, which takes any key that it does not know.
 */
#include "app/discover_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "text/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum want {
	TEXT,
	NUMBER,
	SWITCH,
	OBJECT,
	LIST,
	TEXTS, /* list of texts */
	SWITCHES, /* object of true and false */
	COUNT, /* whole number over 0 */
	MODE,
	COLOR,
	PERMISSION,
	NAME, /* text, or null for none */
	SHARE,
	UPDATE,
	LEVEL,
};

static const char *const said[] = {
	[TEXT] = "text",
	[NUMBER] = "a number",
	[SWITCH] = "true or false",
	[OBJECT] = "an object",
	[LIST] = "a list",
	[TEXTS] = "a list of texts",
	[SWITCHES] = "an object of true and false",
	[COUNT] = "a whole number over 0",
	[MODE] = "primary, subagent or all",
	[COLOR] = "#rrggbb, primary, secondary, accent, success, warning, error or info",
	[PERMISSION] = "allow, ask or deny, or an object of these",
	[NAME] = "text",
	[SHARE] = "manual, auto or disabled",
	[UPDATE] = "true, false or notify",
	[LEVEL] = "DEBUG, INFO, WARN or ERROR",
};

struct key {
	const char *name;
	enum want want;
};

static const struct key agent_keys[] = { { "name", NAME }, { "description", TEXT },
	{ "model", TEXT }, { "variant", TEXT }, { "prompt", TEXT }, { "mode", MODE },
	{ "temperature", NUMBER }, { "top_p", NUMBER }, { "tools", SWITCHES },
	{ "disable", SWITCH }, { "hidden", SWITCH }, { "options", OBJECT }, { "color", COLOR },
	{ "steps", COUNT }, { "maxSteps", COUNT }, { "permission", PERMISSION }, { NULL, TEXT } };

static const struct key command_keys[] = { { "template", TEXT }, { "description", TEXT },
	{ "agent", TEXT }, { "model", TEXT }, { "subtask", SWITCH }, { NULL, TEXT } };

static const struct key config_keys[] = { { "$schema", TEXT }, { "model", TEXT },
	{ "small_model", TEXT }, { "default_agent", TEXT }, { "username", TEXT },
	{ "agent", OBJECT }, { "agents", OBJECT }, { "mode", OBJECT }, { "command", OBJECT },
	{ "provider", OBJECT }, { "mcp", OBJECT }, { "instructions", TEXTS }, { "plugin", LIST },
	{ "permission", PERMISSION }, { "tools", SWITCHES }, { "snapshot", SWITCH },
	{ "share", SHARE }, { "autoupdate", UPDATE }, { "logLevel", LEVEL }, { NULL, TEXT } };

static bool is_one_of_words(const cJSON *v, const char *const *words)
{
	for (size_t i = 0; cJSON_IsString(v) && words[i]; i++) {
		if (!strcmp(v->valuestring, words[i]))
			return true;
	}
	return false;
}

static bool is_color(const cJSON *v)
{
	static const char *const words[] = { "primary", "secondary", "accent", "success", "warning",
		"error", "info", NULL };
	const char *s = cJSON_IsString(v) ? v->valuestring : "";

	return is_one_of_words(v, words) ||
		(strlen(s) == 7 && s[0] == '#' && strspn(s + 1, "0123456789abcdefABCDEF") == 6);
}

static bool is_permission(const cJSON *v)
{
	static const char *const actions[] = { "allow", "ask", "deny", NULL };
	/* These are decided as a whole, without patterns. */
	static const char *const flat[] = { "todowrite", "question", "webfetch", "websearch",
		"doom_loop", NULL };

	if (is_one_of_words(v, actions))
		return true;
	if (!cJSON_IsObject(v))
		return false;
	for (const cJSON *rule = v->child; rule; rule = rule->next) {
		bool whole = false;

		if (is_one_of_words(rule, actions))
			continue;
		for (size_t i = 0; flat[i]; i++)
			whole = whole || !strcmp(rule->string, flat[i]);
		if (whole || !cJSON_IsObject(rule))
			return false;
		for (const cJSON *p = rule->child; p; p = p->next) {
			if (!is_one_of_words(p, actions))
				return false;
		}
	}
	return true;
}

static bool all_members_are(const cJSON *v, cJSON_bool (*is)(const cJSON *))
{
	for (v = v->child; v; v = v->next) {
		if (!is(v))
			return false;
	}
	return true;
}

static bool fits_want(const cJSON *v, enum want want)
{
	static const char *const modes[] = { "primary", "subagent", "all", NULL };
	static const char *const shares[] = { "manual", "auto", "disabled", NULL };
	static const char *const levels[] = { "DEBUG", "INFO", "WARN", "ERROR", NULL };

	switch (want) {
	case TEXT:
		return cJSON_IsString(v);
	case NAME:
		return cJSON_IsString(v) || cJSON_IsNull(v);
	case NUMBER:
		return cJSON_IsNumber(v);
	case SWITCH:
		return cJSON_IsBool(v);
	case OBJECT:
		return cJSON_IsObject(v);
	case LIST:
		return cJSON_IsArray(v);
	case TEXTS:
		return cJSON_IsArray(v) && all_members_are(v, cJSON_IsString);
	case SWITCHES:
		return cJSON_IsObject(v) && all_members_are(v, cJSON_IsBool);
	case COUNT:
		return cJSON_IsNumber(v) && v->valuedouble > 0 &&
			floor(v->valuedouble) >= v->valuedouble;
	case MODE:
		return is_one_of_words(v, modes);
	case COLOR:
		return is_color(v);
	case PERMISSION:
		return is_permission(v);
	case SHARE:
		return is_one_of_words(v, shares);
	case UPDATE:
		return cJSON_IsBool(v) || (cJSON_IsString(v) && !strcmp(v->valuestring, "notify"));
	case LEVEL:
		return is_one_of_words(v, levels);
	}
	return true;
}

/* Line and column of a key of a JSON file; 1:1 for front matter. */
static void locate_key(const char *path, const char *key, int *line, int *col)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_AGENT_FILE_BYTES);

	*line = *col = 1;
	if (kt_str_ends(path, ".md"))
		return;
	if (kt_fs_read(path, &text, NULL) != KT_OK ||
		!kt_jsonc_locate(text.ptr, text.len, key, line, col))
		*line = *col = 0;
}

static void refuse_key(struct kt_discovery *d, const char *path, const char *key, const char *what)
{
	KT_AUTOFREE char *shown = kt_discover_shown(d, path);
	int line, col;

	locate_key(path, key, &line, &col);
	kt_load_note(d->ld, KT_ERROR, shown, line, col,
		kt_str_ends(path, ".md") ? "correct it; a text with special characters goes in "
					   "quotes"
					 : "correct it",
		"OpenCode does not start with this: '%s' must be %s", key, what);
}

/* Check the keys of an object that is at prefix ("" or "agent.x.") in the file. */
static bool check_keys(struct kt_discovery *d, const char *path, const char *prefix,
	const cJSON *object, const struct key *keys)
{
	bool fine = true;

	for (; keys->name; keys++) {
		const cJSON *v = kt_json_get(object, keys->name);
		KT_AUTOFREE char *full = kt_asprintf("%s%s", prefix, keys->name);

		if (!v || fits_want(v, keys->want))
			continue;
		refuse_key(d, path, full, said[keys->want]);
		fine = false;
	}
	return fine;
}

bool kt_opencode_check_agent(struct kt_discovery *d, const char *path, const cJSON *agent)
{
	return check_keys(d, path, "", agent, agent_keys);
}

bool kt_opencode_check_mode(struct kt_discovery *d, const char *path, const cJSON *mode)
{
	for (const struct key *k = agent_keys; k->name; k++) {
		const cJSON *v = kt_json_get(mode, k->name);

		if (!v || fits_want(v, k->want))
			continue;
		kt_discover_warn(d, path, NULL, "correct it",
			"no mode for OpenCode: '%s' must be %s", k->name, said[k->want]);
		return false;
	}
	return true;
}

bool kt_opencode_check_command(struct kt_discovery *d, const char *path, const cJSON *command)
{
	return check_keys(d, path, "", command, command_keys);
}

/* Each member of config's object `key`. */
static bool check_key_members(struct kt_discovery *d, const char *path, const cJSON *config,
	const char *key, const struct key *keys)
{
	const cJSON *object = kt_json_get(config, key);
	bool fine = true;

	for (const cJSON *m = cJSON_IsObject(object) ? object->child : NULL; m; m = m->next) {
		KT_AUTOFREE char *at = kt_asprintf("%s.%s", key, m->string);
		KT_AUTOFREE char *prefix = kt_asprintf("%s.", at);

		if (!cJSON_IsObject(m)) {
			refuse_key(d, path, at, said[OBJECT]);
			fine = false;
		} else if (keys == command_keys && !kt_json_get(m, "template")) {
			refuse_key(d, path, at, "an object with a 'template'");
			fine = false;
		} else if (!check_keys(d, path, prefix, m, keys)) {
			fine = false;
		}
	}
	return fine;
}

/* Servers are local ones with a command, remote ones with an address, or only switched. */
static bool check_servers(struct kt_discovery *d, const char *path, const cJSON *config)
{
	const cJSON *servers = kt_json_get(config, "mcp");
	bool fine = true;

	for (const cJSON *s = cJSON_IsObject(servers) ? servers->child : NULL; s; s = s->next) {
		const char *type = kt_json_str(s, "type");
		KT_AUTOFREE char *at = kt_asprintf("mcp.%s", s->string);
		bool local = kt_str_eq(type, "local") && kt_json_get(s, "command") &&
			fits_want(kt_json_get(s, "command"), TEXTS);
		bool remote = kt_str_eq(type, "remote") && kt_json_str(s, "url");
		bool bare = !kt_json_get(s, "type") && cJSON_IsBool(kt_json_get(s, "enabled"));

		if (local || remote || bare)
			continue;
		refuse_key(d, path, at,
			"a local server with a 'command' list, or a remote one with a 'url'");
		fine = false;
	}
	return fine;
}

bool kt_opencode_check_config(struct kt_discovery *d, const char *path, const cJSON *config)
{
	KT_AUTOFREE char *shown = kt_discover_shown(d, path);
	bool fine;

	if (!cJSON_IsObject(config)) {
		kt_load_note(d->ld, KT_ERROR, shown, 1, 1, "correct it",
			"OpenCode does not start with this: the configuration must be an object");
		return false;
	}
	fine = check_keys(d, path, "", config, config_keys);
	fine = check_key_members(d, path, config, "agent", agent_keys) && fine;
	fine = check_key_members(d, path, config, "agents", agent_keys) && fine;
	fine = check_key_members(d, path, config, "mode", agent_keys) && fine;
	fine = check_key_members(d, path, config, "command", command_keys) && fine;
	return check_servers(d, path, config) && fine;
}
