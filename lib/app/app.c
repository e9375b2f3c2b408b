/* SPDX-License-Identifier: MIT */
/* Loading a harness application: the order of the steps. */
#include "app/app_private.h"

#include "base/fs.h"
#include "base/str.h"

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
