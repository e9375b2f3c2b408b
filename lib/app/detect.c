/* SPDX-License-Identifier: MIT */
/* Which harness a folder is for: what karta.toml declares, else what the files suggest. */
#include "app/app_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"

#include <string.h>

bool kt_app_guess(const char *dir, enum kt_harness_type *out)
{
	if (kt_app_has_dir(dir, ".claude") || kt_app_has_file(dir, "CLAUDE.md")) {
		*out = KT_HARNESS_CLAUDE;
		return true;
	}
	if (kt_app_has_dir(dir, ".opencode") || kt_app_has_file(dir, "AGENTS.md")) {
		*out = KT_HARNESS_OPENCODE;
		return true;
	}
	return false;
}

char *kt_app_harness_of(const char *dir)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	KT_AUTOFREE char *path = kt_path_join(dir, "karta.toml");
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_TOML_BYTES);
	enum kt_harness_type type = KT_HARNESS_ACP;
	const struct kt_toml *root = NULL, *v = NULL;

	if (kt_fs_read(path, &text, NULL) == KT_OK &&
		kt_toml_parse(arena, text.ptr, text.len, &root, NULL) == KT_OK)
		v = kt_settings_get(KT_SETTINGS_TOML, root, "harness.type");
	if (v)
		return kt_strdup(kt_harness_parse(v->str, &type) ? kt_harness_name(type) : v->str);
	if ((root && kt_settings_get(KT_SETTINGS_TOML, root, "harness.command")) ||
		kt_app_guess(dir, &type))
		return kt_strdup(kt_harness_name(type));
	return NULL;
}

/* The command of a harness that is known, unless karta.toml has one. */
static void take_known(struct kt_load *ld, const char *type)
{
	struct kt_app *app = ld->app;
	const struct kt_known_harness *k = kt_known_harness_find(type);
	size_t n = 0;

	if (!k || app->harness_command)
		return;
	app->known = k;
	app->harness_command = kt_arena_alloc(app->arena, sizeof(k->command));
	for (; k->command[n]; n++)
		app->harness_command[n] = kt_arena_strdup(app->arena, k->command[n]);
	app->harness_command[n] = NULL;
}

static void need_command(struct kt_load *ld, const char *type, const struct kt_toml *at)
{
	if (ld->app->harness_command)
		return;
	kt_load_note(ld, KT_ERROR, at ? "karta.toml" : NULL, at ? at->line : 0, at ? at->col : 0,
		"add command = [\"program\", \"argument\"] to [harness] in karta.toml: a program "
		"that "
		"speaks the Agent Client Protocol",
		"the harness '%s' needs [harness] command", type);
}

void kt_load_detect(
	struct kt_load *ld, const char *override_type, const enum kt_harness_type *override)
{
	const struct kt_toml *v = kt_settings_get(KT_SETTINGS_TOML, ld->toml, "harness.type");
	const struct kt_toml *table = kt_toml_get(ld->toml, "harness");
	struct kt_app *app = ld->app;
	bool tried = table && table->type == KT_TOML_TABLE && kt_toml_get(table, "type");
	enum kt_harness_type type = KT_HARNESS_ACP;
	bool known = true;

	app->harness_declared = v != NULL;
	if (v) {
		/* Known names without a driver of their own are ACP agents. */
		if (!kt_harness_parse(v->str, &type))
			type = KT_HARNESS_ACP;
	} else if (!app->harness_command) {
		known = kt_app_guess(app->dir, &type);
	}
	if (override && *override != KT_HARNESS_REHEARSAL) {
		type = *override;
		known = true;
	}
	app->harness = override ? *override : known ? type : KT_HARNESS_CLAUDE;
	app->harness_name = kt_harness_name(app->harness);
	if (app->harness == KT_HARNESS_ACP && v && !override) {
		app->harness_name = v->str;
		take_known(ld, v->str);
	} else if (override_type && kt_known_harness_find(override_type)) {
		/* The command in karta.toml is that of another, unless it says that it is not. */
		if (!v || !kt_str_eq(v->str, override_type))
			app->harness_command = NULL;
		app->harness_name = kt_known_harness_find(override_type)->type;
		take_known(ld, override_type);
	}
	if (app->harness == KT_HARNESS_ACP)
		need_command(ld, v ? v->str : "acp", v);
	else if (app->harness_command && v && app->harness != KT_HARNESS_REHEARSAL)
		kt_load_note(ld, KT_WARNING, "karta.toml", v->line, v->col,
			"set type = \"acp\", or remove the command",
			"[harness] command is not used by '%s'", kt_harness_name(app->harness));
	if (known && type == KT_HARNESS_REHEARSAL)
		known = kt_app_guess(app->dir, &type);
	else if (!known && !override && !tried)
		/* Where `karta init` was, it has nothing more to give. */
		kt_load_note(ld, KT_ERROR, NULL, 0, 0,
			kt_app_has_file(app->dir, "karta.toml")
				? "write CLAUDE.md or AGENTS.md: who the agent is, and what it is "
				  "to do"
				: "run 'karta init'",
			"no harness application here");
	ld->have_layout = known;
	ld->layout = type;
}
