/* SPDX-License-Identifier: MIT */
/* Loading a harness application: the order of the steps, and the names of harnesses. */
#include "app/app_private.h"

#include "base/fs.h"
#include "base/str.h"

#include <string.h>

static const char *const harness_names[] = {
	[KT_HARNESS_CLAUDE] = "claude-code",
	[KT_HARNESS_OPENCODE] = "opencode",
	[KT_HARNESS_ACP] = "acp",
	[KT_HARNESS_REHEARSAL] = "rehearsal",
};

const char *kt_harness_name(enum kt_harness_type type)
{
	return harness_names[type];
}

bool kt_harness_parse(const char *name, enum kt_harness_type *out)
{
	if (kt_str_eq(name, "claude")) {
		*out = KT_HARNESS_CLAUDE;
		return true;
	}
	for (size_t i = 0; i < KT_ARRAY_LEN(harness_names); i++) {
		if (kt_str_eq(name, harness_names[i])) {
			*out = (enum kt_harness_type)i;
			return true;
		}
	}
	return false;
}

enum kt_code kt_app_no_harness(const char *name, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf list = KT_BUF_INIT(300);

	for (size_t i = 0; kt_harness_types[i]; i++)
		kt_buf_addf(&list, "%s%s", i ? ", " : "", kt_harness_types[i]);
	(void)kt_fail(err, KT_EINVAL, 0, "no such harness: '%s'", name);
	return kt_hint(err, "use one of %s", list.ptr);
}

bool kt_app_has_file(const char *dir, const char *name)
{
	KT_AUTOFREE char *path = kt_path_join(dir, name);

	return kt_fs_is_file(path);
}

bool kt_app_has_dir(const char *dir, const char *name)
{
	KT_AUTOFREE char *path = kt_path_join(dir, name);

	return kt_fs_is_dir(path);
}

static struct kt_app *new_app(const char *dir)
{
	struct kt_arena *arena = kt_arena_new();
	struct kt_app *app = kt_arena_alloc(arena, sizeof(*app));
	KT_AUTOFREE char *base = kt_path_base(dir);
	KT_AUTOFREE char *slug = kt_str_slugify(base);

	app->arena = arena;
	app->dir = kt_arena_strdup(arena, dir);
	app->name = kt_arena_strdup(arena, slug);
	app->harness = KT_HARNESS_CLAUDE;
	app->harness_name = kt_harness_name(app->harness);
	app->default_agent = "default";
	return app;
}

enum kt_code kt_app_load(
	const char *dir, const struct kt_app_options *opts, struct kt_app **out, struct kt_err *err)
{
	const char *harness = opts ? opts->harness : NULL;
	const char *name = NULL;
	KT_AUTOFREE char *real = NULL;
	enum kt_harness_type override;
	struct kt_load ld = { 0 };
	enum kt_code rc;

	if (harness) {
		name = kt_harness_type_find(harness, &override);
		if (!name)
			return kt_app_no_harness(harness, err);
	}
	rc = kt_path_real(dir, &real, err);
	if (rc != KT_OK)
		return rc;
	if (!kt_fs_is_dir(real))
		return kt_fail(err, KT_ENOTFOUND, 0, "'%s' is not a folder", dir);
	ld.app = new_app(real);
	ld.hosted = opts && opts->hosted;
	rc = kt_load_settings(&ld, opts ? opts->config : NULL, err);
	if (rc != KT_OK) {
		kt_app_free(ld.app);
		return rc;
	}
	kt_load_detect(&ld, name, name ? &override : NULL);
	kt_load_env(&ld);
	kt_load_discover(&ld);
	*out = ld.app;
	return KT_OK;
}

void kt_app_free(struct kt_app *app)
{
	/* The application lies in its own arena. */
	if (app)
		kt_arena_free(app->arena);
}

const struct kt_agent *kt_app_agent(const struct kt_app *app, const char *name)
{
	for (size_t i = 0; name && i < app->n_agents; i++) {
		if (!strcmp(app->agents[i].name, name))
			return &app->agents[i];
	}
	return NULL;
}
