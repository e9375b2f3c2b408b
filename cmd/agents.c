/* SPDX-License-Identifier: MIT */
/* `karta agents`: the agents, skills and commands of a folder, and what is wrong with its files. */
#include "cmd/cmd.h"

#include "app/app.h"
#include "base/buf.h"
#include "base/str.h"
#include "text/json.h"

#include <stdlib.h>

#define TEXT_MAX_BYTES ((size_t)16 * 1024 * 1024)

extern const struct kt_cmd kt_cmd_agents;

struct agents_args {
	const char *dir;
};

static const struct kt_opt agents_opts[] = {
	{ KT_OPT_T_STR, 0, "dir", "DIR", offsetof(struct agents_args, dir),
		"folder of the application (default: .)", KT_OPT_DIR },
	KT_OPT_END,
};

static void agents_defaults(void *args)
{
	((struct agents_args *)args)->dir = ".";
}

static const char *role_of(const struct kt_agent *a)
{
	return a->is_default ? "default" : a->primary ? "primary" : "sub-agent";
}

/* The main agent has no file of its own unless one is marked: it is the harness and CLAUDE.md. */
static bool main_is_harness(const struct kt_app *app)
{
	return kt_str_eq(app->default_agent, "default") && !kt_app_agent(app, "default");
}

static void add_agents(struct kt_buf *b, const struct kt_ctx *ctx, const struct kt_app *app)
{
	static const char *const head[] = { "AGENT", "ROLE", "MODEL", "FILE", "DESCRIPTION" };
	struct kt_table *tb = kt_table_new(KT_ARRAY_LEN(head));

	kt_table_row(tb, head);
	if (main_is_harness(app)) {
		const char *const row[] = { "default", "default", app->model ? app->model : "-",
			app->instructions ? app->instructions : "-", "the main agent" };

		kt_table_row(tb, row);
	}
	for (size_t i = 0; i < app->n_agents; i++) {
		const struct kt_agent *a = &app->agents[i];
		const char *const row[] = { a->name, role_of(a), a->model ? a->model : "-", a->file,
			a->description ? a->description : "" };

		kt_table_row(tb, row);
	}
	kt_table_render(b, &ctx->out, tb);
	kt_table_free(tb);
}

static void add_skills(struct kt_buf *b, const struct kt_ctx *ctx, const struct kt_app *app)
{
	static const char *const head[] = { "SKILL", "FILE", "DESCRIPTION" };
	struct kt_table *tb;

	if (!app->n_skills)
		return;
	tb = kt_table_new(KT_ARRAY_LEN(head));
	kt_table_row(tb, head);
	for (size_t i = 0; i < app->n_skills; i++) {
		const struct kt_skill *s = &app->skills[i];
		const char *const row[] = { s->name, s->file,
			s->description ? s->description : "" };

		kt_table_row(tb, row);
	}
	kt_buf_addc(b, '\n');
	kt_table_render(b, &ctx->out, tb);
	kt_table_free(tb);
}

static void add_commands(struct kt_buf *b, const struct kt_ctx *ctx, const struct kt_app *app)
{
	static const char *const head[] = { "COMMAND", "FILE", "DESCRIPTION" };
	struct kt_table *tb;

	if (!app->n_commands)
		return;
	tb = kt_table_new(KT_ARRAY_LEN(head));
	kt_table_row(tb, head);
	for (size_t i = 0; i < app->n_commands; i++) {
		const struct kt_command *c = &app->commands[i];
		KT_AUTOFREE char *name = kt_asprintf("/%s", c->name);
		const char *const row[] = { name, c->file, c->description ? c->description : "" };

		kt_table_row(tb, row);
	}
	kt_buf_addc(b, '\n');
	kt_table_render(b, &ctx->out, tb);
	kt_table_free(tb);
}

static void json_agents(struct kt_jw *w, const struct kt_app *app)
{
	kt_jw_arr(w, "agents");
	if (main_is_harness(app)) {
		kt_jw_obj(w, NULL);
		kt_jw_str(w, "name", "default");
		kt_jw_str(w, "role", "default");
		kt_jw_str(w, "description", NULL);
		kt_jw_str(w, "model", app->model);
		kt_jw_str(w, "file", app->instructions);
		kt_jw_bool(w, "answers", true);
		kt_jw_obj_end(w);
	}
	for (size_t i = 0; i < app->n_agents; i++) {
		const struct kt_agent *a = &app->agents[i];

		kt_jw_obj(w, NULL);
		kt_jw_str(w, "name", a->name);
		kt_jw_str(w, "role", role_of(a));
		kt_jw_str(w, "description", a->description);
		kt_jw_str(w, "model", a->model);
		kt_jw_str(w, "file", a->file);
		kt_jw_bool(w, "answers", a->answers);
		kt_jw_obj_end(w);
	}
	kt_jw_arr_end(w);
}

static void print_agents_json(const struct kt_app *app)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "schema_version", 1);
	kt_jw_str(&w, "name", app->name);
	kt_jw_str(&w, "dir", app->dir);
	kt_jw_str(&w, "harness", app->harness_name);
	kt_jw_str(&w, "instructions", app->instructions);
	kt_jw_str(&w, "default_agent", app->default_agent);
	json_agents(&w, app);
	kt_jw_arr(&w, "skills");
	for (size_t i = 0; i < app->n_skills; i++) {
		kt_jw_obj(&w, NULL);
		kt_jw_str(&w, "name", app->skills[i].name);
		kt_jw_str(&w, "description", app->skills[i].description);
		kt_jw_str(&w, "file", app->skills[i].file);
		kt_jw_obj_end(&w);
	}
	kt_jw_arr_end(&w);
	kt_jw_arr(&w, "commands");
	for (size_t i = 0; i < app->n_commands; i++) {
		kt_jw_obj(&w, NULL);
		kt_jw_str(&w, "name", app->commands[i].name);
		kt_jw_str(&w, "description", app->commands[i].description);
		kt_jw_str(&w, "file", app->commands[i].file);
		kt_jw_obj_end(&w);
	}
	kt_jw_arr_end(&w);
	kt_app_findings_json(&w, "findings", app);
	kt_jw_obj_end(&w);
	kt_buf_addc(&b, '\n');
	kt_out(b.ptr, b.len);
}

static void print_agents_text(const struct kt_ctx *ctx, const struct kt_app *app)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);
	struct kt_ctx loud = { 0 };

	kt_app_findings_add(&b, app);
	if (b.len)
		kt_say_built(app->n_errors ? &loud : ctx, &b);
	kt_buf_clear(&b);
	if (app->instructions || app->n_agents || app->n_skills || app->n_commands) {
		add_agents(&b, ctx, app);
		add_skills(&b, ctx, app);
		add_commands(&b, ctx, app);
	}
	kt_out(b.ptr, b.len);
}

static enum kt_code cmd_agents(struct kt_ctx *ctx, const void *arg, struct kt_err *err)
{
	const struct agents_args *args = arg;
	struct kt_app *app;
	size_t n_errors;
	enum kt_code rc = kt_app_load(args->dir, NULL, &app, err);

	if (rc != KT_OK)
		return rc;
	if (ctx->json)
		print_agents_json(app);
	else
		print_agents_text(ctx, app);
	n_errors = app->n_errors;
	kt_app_free(app);
	if (!n_errors)
		return KT_OK;
	/* The object that was printed holds the errors; main() would print a second one. */
	if (ctx->json)
		exit(1);
	return kt_fail(err, KT_EIO, 0, "%zu %s in the application", n_errors,
		n_errors == 1 ? "error" : "errors");
}

const struct kt_cmd kt_cmd_agents = {
	.name = "agents",
	.summary = "list the agents, skills and commands of a folder",
	.group = KT_GROUP_START,
	.opts = agents_opts,
	.args_size = sizeof(struct agents_args),
	.defaults = agents_defaults,
	.run = cmd_agents,
	.examples = "karta agents\nkarta agents --dir support-bot --json\n",
};
