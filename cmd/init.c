/* SPDX-License-Identifier: MIT */
/* `karta init`: make a folder ready for `karta dev`. Asks nothing and overwrites nothing. */
#include "cmd/cmd.h"

#include "app/app.h"
#include "base/buf.h"
#include "base/str.h"
#include "text/json.h"

#include <string.h>

#define TEXT_MAX_BYTES ((size_t)256 * 1024)

/* Embedded by scripts/embed. */
extern const struct kt_asset kt_starter[] __attribute__((visibility("hidden")));

extern const struct kt_cmd kt_cmd_init;

struct init_args {
	const char *dir;
	const char *name;
	const char *harness;
};

static const char *const harnesses[] = { "claude-code", "opencode", "acp", NULL };

static const struct kt_opt init_opts[] = {
	KT_OPT_STR_(0, "name", struct init_args, name, "NAME",
		"name of the agent (default: the folder's name)"),
	KT_OPT_CHOICE_(0, "harness", struct init_args, harness, "NAME", harnesses,
		"harness that runs the agent (default: found from the files, or claude-code)"),
	KT_OPT_ARG_("dir", struct init_args, dir, KT_OPT_DIR,
		"folder to make ready, created when missing (default: .)"),
	KT_OPT_END,
};

static void defaults(void *args)
{
	((struct init_args *)args)->dir = ".";
}

static void add_list(struct kt_buf *b, const struct kt_term *t, const char *word,
	enum kt_style style, const char *const *files)
{
	for (; *files; files++) {
		kt_term_add(b, t, style, word);
		kt_buf_addc(b, ' ');
		kt_term_clean(b, *files, strlen(*files), true);
		kt_buf_addc(b, '\n');
	}
}

static void json_list(struct kt_jw *w, const char *key, const char *const *files)
{
	kt_jw_arr(w, key);
	for (; *files; files++)
		kt_jw_str(w, NULL, *files);
	kt_jw_arr_end(w);
}

static void print_json(const struct kt_init_result *res, const struct kt_app *app)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "schema_version", 1);
	kt_jw_str(&w, "name", res->name);
	kt_jw_str(&w, "dir", app->dir);
	kt_jw_str(&w, "harness", kt_harness_name(app->harness));
	kt_jw_bool(&w, "starter", res->starter);
	json_list(&w, "written", res->written);
	json_list(&w, "kept", res->kept);
	kt_app_findings_json(&w, "findings", app);
	kt_jw_obj_end(&w);
	kt_buf_addc(&b, '\n');
	kt_out(b.ptr, b.len);
}

/* " --dir DIR" that a shell takes as one word. */
static void add_dir(struct kt_buf *b, const char *dir)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_-./+,:@%";
	bool quote = dir[strspn(dir, plain)] != '\0';

	kt_buf_adds(b, quote ? " --dir '" : " --dir ");
	for (const char *p = dir; *p;) {
		size_t n = strcspn(p, "'");

		kt_term_clean(b, p, n, true);
		p += n;
		if (*p == '\'') {
			kt_buf_adds(b, "'\\''");
			p++;
		}
	}
	if (quote)
		kt_buf_addc(b, '\'');
}

static void print_text(const struct kt_ctx *ctx, const struct init_args *args,
	const struct kt_init_result *res, const struct kt_app *app)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);

	add_list(&b, &ctx->out, "wrote", KT_STYLE_GREEN, res->written);
	add_list(&b, &ctx->out, "kept ", KT_STYLE_DIM, res->kept);
	kt_out(b.ptr, b.len);
	kt_buf_clear(&b);
	/* What is still missing, each with what to do; a folder that is fine has nothing here. */
	kt_app_findings_add(&b, app);
	if (b.len)
		kt_say(ctx, "%s", b.ptr);
	if (app->n_errors)
		return;
	kt_buf_clear(&b);
	kt_buf_adds(&b, "karta dev");
	if (!kt_str_eq(args->dir, "."))
		add_dir(&b, args->dir);
	kt_say(ctx, "%s is ready. Next: %s", res->name, b.ptr);
	if (res->starter)
		kt_say(ctx, "Without a key or a harness: %s --offline", b.ptr);
}

static enum kt_code cmd_init(struct kt_ctx *ctx, const void *arg, struct kt_err *err)
{
	const struct init_args *args = arg;
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct kt_init_result res;
	struct kt_app *app;
	enum kt_code code;

	kt_app_set_starter(kt_starter);
	code = kt_app_init(arena, args->dir, args->name, args->harness, &res, err);
	if (code == KT_OK)
		code = kt_app_load(args->dir, NULL, &app, err);
	if (code != KT_OK)
		return code;
	if (ctx->json)
		print_json(&res, app);
	else
		print_text(ctx, args, &res, app);
	kt_app_free(app);
	return KT_OK;
}

const struct kt_cmd kt_cmd_init = {
	.name = "init",
	.summary = "make a folder ready: settings, and a starter when it is empty",
	.group = KT_GROUP_START,
	.opts = init_opts,
	.args_size = sizeof(struct init_args),
	.defaults = defaults,
	.run = cmd_init,
	.examples = "karta init my-agent\nkarta init --harness opencode\n",
};
