/* SPDX-License-Identifier: MIT */
/*
 * Does an application have what its model asks for? What cannot be known (a helper program, a
 * provider of one's own) counts as there.
 */
#include "app/app.h"
#include "base/fs.h"
#include "base/map.h"
#include "base/str.h"
#include "text/clean.h"

#include <string.h>

#define MAX_FILE_BYTES ((size_t)262144) /* of a settings file that is looked through */

static bool file_mentions(const char *dir, const char *file, const char *word)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(MAX_FILE_BYTES);
	KT_AUTOFREE char *path = kt_path_join(dir, file);

	return kt_fs_read(path, &text, NULL) == KT_OK && strstr(text.ptr, word);
}

static const char *missing_of_claude(const char *dir, const struct kt_map *names)
{
	static const char *const any[] = { "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN",
		"CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX",
		"CLAUDE_CODE_USE_FOUNDRY", "apiKeyHelper" };
	static const char *const files[] = { ".claude/settings.json", ".env" };

	for (size_t i = 0; i < KT_ARRAY_LEN(any); i++) {
		if (kt_map_get(names, any[i]))
			return NULL;
		for (size_t k = 0; k < KT_ARRAY_LEN(files); k++) {
			if (file_mentions(dir, files[k], any[i]))
				return NULL;
		}
	}
	return any[0];
}

/* OpenCode has models that need no key: only one that names its provider is known to. */
static const char *missing_of_opencode(const char *dir, const struct kt_map *names)
{
	static const struct {
		const char *model, *name;
	} providers[] = {
		{ "\"anthropic/", "ANTHROPIC_API_KEY" },
		{ "\"openai/", "OPENAI_API_KEY" },
		{ "\"google/", "GOOGLE_GENERATIVE_AI_API_KEY" },
		{ "\"openrouter/", "OPENROUTER_API_KEY" },
	};
	static const char *const files[] = { "opencode.json", "opencode.jsonc", "karta.toml" };

	for (size_t k = 0; k < KT_ARRAY_LEN(files); k++) {
		if (file_mentions(dir, files[k], "apiKey"))
			return NULL;
	}
	for (size_t i = 0; i < KT_ARRAY_LEN(providers); i++) {
		if (kt_map_get(names, providers[i].name) ||
			file_mentions(dir, ".env", providers[i].name))
			continue;
		for (size_t k = 0; k < KT_ARRAY_LEN(files); k++) {
			if (file_mentions(dir, files[k], providers[i].model))
				return providers[i].name;
		}
	}
	return NULL;
}

const char *kt_app_credential_missing(
	const char *harness, const char *dir, const struct kt_map *names)
{
	if (kt_str_eq(harness, "claude-code"))
		return missing_of_claude(dir, names);
	if (kt_str_eq(harness, "opencode"))
		return missing_of_opencode(dir, names);
	return NULL;
}
