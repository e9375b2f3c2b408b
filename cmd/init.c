/* SPDX-License-Identifier: MIT */
/*
 * `karta init`: make a folder ready for `karta dev` and, in a git repository, for `git push karta`.
 * Asks nothing, needs no network and overwrites nothing.
 */
#include "cmd/cmd.h"

#include "app/app.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/inside.h"
#include "base/limits.h"
#include "base/str.h"
#include "cmd/remote.h"
#include "git/git.h"
#include "http/gzip.h"
#include "text/clean.h"
#include "text/json.h"
#include "text/toml.h"

#include <string.h>

#define TEXT_MAX_BYTES ((size_t)256 * 1024)
#define REMOTE "karta"

/* Embedded by scripts/embed. */
extern const struct kt_asset kt_starter[] __attribute__((visibility("hidden")));

extern const struct kt_cmd kt_cmd_init;

struct init_args {
	const char *dir;
	const char *name;
	const char *project;
	const char *harness;
	bool no_remote;
	bool force;
};

/* What became of the git remote. */
struct remote {
	char *url; /* NULL: there is none */
	char *kept; /* URL that was there and stays, or NULL */
	char *branch; /* that git is on, or NULL */
	bool added, changed;
};

static const struct kt_opt init_opts[] = {
	KT_OPT_STR_(0, "name", struct init_args, name, "NAME",
		"name of the agent (default: the folder's name)"),
	KT_OPT_CHOICE_(0, "harness", struct init_args, harness, "NAME", kt_harness_types,
		"harness that runs the agent (default: found from the files, or claude-code)"),
	KT_OPT_STR_(0, "project", struct init_args, project, "NAME",
		"project that the folder is deployed to (default: the agent's name)"),
	KT_OPT_FLAG_(0, "no-remote", struct init_args, no_remote, "leave git's remotes alone"),
	KT_OPT_FLAG_('f', "force", struct init_args, force,
		"point an existing remote karta to this server"),
	KT_OPT_ARG_("dir", struct init_args, dir, KT_OPT_DIR,
		"folder to make ready, created when missing (default: .)"),
	KT_OPT_END,
};

static void init_defaults(void *args)
{
	((struct init_args *)args)->dir = ".";
}

static void add_list(struct kt_buf *b, const struct kt_term *t, const char *word,
	enum kt_style style, const char *const *files)
{
	for (; *files; files++) {
		kt_term_add(b, t, style, word);
		kt_buf_addc(b, ' ');
		kt_clean_add(b, *files, strlen(*files), true);
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

/* --- the name ----------------------------------------------------------------------------------
 */

/* Offset of line number n (from 1) of text, or its length. */
static size_t line_at(const struct kt_buf *text, int n)
{
	const char *p = text->ptr, *end = text->ptr + text->len;

	while (--n > 0 && p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));

		p = lf ? lf + 1 : end;
	}
	return (size_t)(p - text->ptr);
}

/* `name` of TOML text, NULL when it has none; *line is its line. BORROWS from arena. */
static enum kt_code read_name(struct kt_arena *arena, const struct kt_buf *text, const char **out,
	int *line, struct kt_err *err)
{
	const struct kt_toml *doc, *v;
	enum kt_code rc = kt_toml_parse(arena, text->ptr, text->len, &doc, err);

	if (rc != KT_OK)
		return kt_wrap(err, "karta.toml");
	v = kt_toml_get(doc, "name");
	*out = v && v->type == KT_TOML_STRING ? v->str : NULL;
	*line = v ? v->line : 0;
	return KT_OK;
}

/*
 * Bind the folder to a project: the line with the name in karta.toml is written anew, the rest
 * stays as it is.
 */
static enum kt_code set_project_name(struct kt_arena *arena, const char *dir, const char *name,
	bool *changed, struct kt_err *err)
{
	KT_AUTOFD int top = -1;
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_TOML_BYTES);
	KT_AUTO_BUF struct kt_buf made = KT_BUF_INIT(KT_MAX_TOML_BYTES);
	const char *old;
	int line;
	size_t from, to;
	enum kt_code rc = kt_inside_open(dir, &top, err);

	if (rc == KT_OK)
		rc = kt_inside_read(top, "karta.toml", &text, err);
	if (rc == KT_OK)
		rc = read_name(arena, &text, &old, &line, err);
	if (rc != KT_OK || kt_str_eq(old, name))
		return rc;
	from = line ? line_at(&text, line) : 0;
	to = line ? line_at(&text, line + 1) : 0;
	kt_buf_add(&made, text.ptr, from);
	kt_buf_adds(&made, "name = ");
	kt_toml_add_str(&made, name);
	kt_buf_addc(&made, '\n');
	kt_buf_add(&made, text.ptr + to, text.len - to);
	/* A value of several lines, say: then it is for its author to change. */
	if (!kt_buf_ok(&made) || read_name(arena, &made, &old, &line, err) != KT_OK ||
		!kt_str_eq(old, name))
		return kt_fail(
			err, KT_EINVAL, 0, "cannot change the name in karta.toml to '%s'", name);
	*changed = true;
	return kt_inside_replace(top, "karta.toml", made.ptr, made.len, 0644, err);
}

/* --- the remote --------------------------------------------------------------------------------
 */

/* Add the remote `karta` of the repository that dir is in. Without one there is nothing to do. */
static enum kt_code add_remote(const struct kt_ctx *ctx, const struct init_args *args,
	const char *project, struct remote *out, struct kt_err *err)
{
	KT_AUTOFREE struct kt_git_info *info = kt_calloc(1, sizeof(*info));
	KT_AUTOFREE char *server = NULL;
	KT_AUTOFREE char *url = NULL;
	KT_AUTOFREE char *old = NULL;
	enum kt_code rc = kt_git_info(args->dir, false, info, err);

	if (rc != KT_OK)
		return rc == KT_ENOTFOUND ? KT_OK : rc;
	rc = kt_remote_home(ctx, &server, err);
	if (rc != KT_OK)
		return rc;
	url = kt_asprintf("karta::%s/%s", server, project);
	rc = kt_remote_parse(url, NULL, NULL, err);
	if (rc != KT_OK)
		return kt_wrap(err, "the remote");
	rc = kt_git_remote_url(args->dir, REMOTE, &old, err);
	if (rc != KT_OK && rc != KT_ENOTFOUND)
		return rc;
	if (old && !kt_str_eq(old, url) && !args->force) {
		out->kept = KT_STEAL(old);
		return KT_OK;
	}
	if (!kt_str_eq(old, url)) {
		rc = kt_git_remote_set(args->dir, REMOTE, url, NULL, err);
		if (rc != KT_OK)
			return rc;
	}
	out->branch = info->branch[0] ? kt_strdup(info->branch) : NULL;
	out->added = !old;
	out->changed = old && !kt_str_eq(old, url);
	out->url = KT_STEAL(url);
	return KT_OK;
}

static void print_remote(const struct kt_ctx *ctx, const struct remote *r)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);
	const char *url = r->url ? r->url : r->kept;

	if (!url)
		return;
	kt_term_add(&b, &ctx->out, r->added || r->changed ? KT_STYLE_GREEN : KT_STYLE_DIM,
		r->added             ? "added"
			: r->changed ? "moved"
				     : "kept ");
	kt_buf_adds(&b, " git remote " REMOTE " ");
	kt_clean_add(&b, url, strlen(url), true);
	kt_buf_addc(&b, '\n');
	kt_out(b.ptr, b.len);
	if (r->kept)
		kt_warn(ctx,
			"the remote " REMOTE " goes elsewhere already; --force points it here");
}

/* --- the folder --------------------------------------------------------------------------------
 */

static void print_init_json(
	const struct kt_init_result *res, const struct kt_app *app, const struct remote *remote)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "schema_version", 1);
	kt_jw_str(&w, "name", res->name);
	kt_jw_str(&w, "dir", app->dir);
	kt_jw_str(&w, "harness", app->harness_name);
	kt_jw_bool(&w, "starter", res->starter);
	json_list(&w, "applications_below", res->below);
	json_list(&w, "written", res->written);
	json_list(&w, "kept", res->kept);
	kt_jw_str(&w, "remote", remote->url ? remote->url : remote->kept);
	kt_jw_bool(&w, "remote_added", remote->added || remote->changed);
	if (res->below[0])
		json_list(&w, "findings", (const char *const[]){ NULL });
	else
		kt_app_findings_json(&w, "findings", app);
	kt_jw_obj_end(&w);
	kt_buf_addc(&b, '\n');
	kt_out(b.ptr, b.len);
}

/* " --dir DIR" that a shell takes as one word. */
static void add_dir_option(struct kt_buf *b, const char *dir)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_-./+,:@%";
	bool quote = dir[strspn(dir, plain)] != '\0';

	kt_buf_adds(b, quote ? " --dir '" : " --dir ");
	for (const char *p = dir; *p;) {
		size_t n = strcspn(p, "'");

		kt_clean_add(b, p, n, true);
		p += n;
		if (*p == '\'') {
			kt_buf_adds(b, "'\\''");
			p++;
		}
	}
	if (quote)
		kt_buf_addc(b, '\'');
}

/* The branch main goes live, whatever the one is called that git made here. */
static void say_ship(const struct kt_ctx *ctx, const char *what, const struct remote *remote)
{
	bool other = remote->branch && !kt_str_eq(remote->branch, "main");

	if (remote->url)
		kt_say(ctx,
			"To ship %s: git add -A && git commit, then git push " REMOTE " %s%smain",
			what, other ? remote->branch : "", other ? ":" : "");
}

/* A folder of applications is none itself. */
static void print_below(
	const struct kt_ctx *ctx, const struct kt_init_result *res, const struct remote *remote)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);

	for (size_t i = 0; res->below[i]; i++) {
		kt_buf_adds(&b, i ? ", " : "");
		kt_clean_add(&b, res->below[i], strlen(res->below[i]), true);
	}
	kt_say(ctx, "The applications are in %s; this folder is none and has no karta.toml.",
		b.ptr);
	kt_say(ctx,
		"Those whose karta.toml has deploy = true are shipped; 'karta init FOLDER' "
		"writes one.");
	say_ship(ctx, "them", remote);
}

static void print_init_text(const struct kt_ctx *ctx, const struct init_args *args,
	const struct kt_init_result *res, const struct kt_app *app, const struct remote *remote)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);

	add_list(&b, &ctx->out, "wrote", KT_STYLE_GREEN, res->written);
	add_list(&b, &ctx->out, "kept ", KT_STYLE_DIM, res->kept);
	kt_out(b.ptr, b.len);
	print_remote(ctx, remote);
	kt_buf_clear(&b);
	if (res->below[0]) {
		print_below(ctx, res, remote);
		return;
	}
	/* What is still missing, each with what to do; a folder that is fine has nothing here. */
	kt_app_findings_add(&b, app);
	if (b.len)
		kt_say_built(ctx, &b);
	if (app->n_errors)
		return;
	kt_buf_clear(&b);
	kt_buf_adds(&b, "karta dev");
	if (!kt_str_eq(args->dir, "."))
		add_dir_option(&b, args->dir);
	kt_say(ctx, "%s is ready. Next: %s", res->name, b.ptr);
	if (res->starter)
		kt_say(ctx, "Without a key or a harness: %s --offline", b.ptr);
	say_ship(ctx, "it", remote);
}

static enum kt_code init_folder(const struct kt_ctx *ctx, const struct init_args *args,
	struct kt_arena *arena, struct remote *remote, struct kt_err *err)
{
	const char *name = args->project ? args->project : args->name;
	struct kt_init_result res;
	struct kt_app *app;
	bool renamed = false;
	enum kt_code rc = kt_app_init(arena, args->dir, name, args->harness, &res, err);

	if (rc == KT_OK && args->project && !res.below[0]) {
		rc = set_project_name(arena, args->dir, args->project, &renamed, err);
		res.name = args->project;
	}
	if (renamed && !ctx->quiet)
		kt_say(ctx, "karta.toml: the name is %s now", args->project);
	if (rc == KT_OK)
		rc = kt_app_load(args->dir, NULL, &app, err);
	if (rc != KT_OK)
		return rc;
	if (!args->no_remote)
		rc = add_remote(ctx, args, res.name, remote, err);
	if (rc == KT_OK && ctx->json)
		print_init_json(&res, app, remote);
	else if (rc == KT_OK)
		print_init_text(ctx, args, &res, app, remote);
	kt_app_free(app);
	return rc;
}

/* The starter as it is laid out: the program carries its files as gzip. */
static enum kt_code unpack_starter(
	struct kt_arena *arena, const struct kt_asset **out, struct kt_err *err)
{
	struct kt_asset *files;
	size_t n = 0;

	while (kt_starter[n].path)
		n++;
	files = kt_arena_alloc(arena, (n + 1) * sizeof(*files));
	memcpy(files, kt_starter, (n + 1) * sizeof(*files));
	for (struct kt_asset *f = files; f->path; f++) {
		unsigned char *bytes;

		if (!f->unpacked)
			continue;
		bytes = kt_arena_alloc(arena, f->unpacked);
		if (kt_gunzip(f->data, f->len, bytes, f->unpacked, err) != KT_OK)
			return kt_wrap(err, "the starter's '%s'", f->path);
		f->data = bytes;
		f->len = f->unpacked;
		f->unpacked = 0;
	}
	*out = files;
	return KT_OK;
}

static enum kt_code cmd_init(struct kt_ctx *ctx, const void *arg, struct kt_err *err)
{
	const struct init_args *args = arg;
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct remote remote = { .url = NULL };
	const struct kt_asset *starter = NULL;
	enum kt_code rc;

	if (args->name && args->project && !kt_str_eq(args->name, args->project))
		return kt_fail(err, KT_EINVAL, 0, "--name and --project say different names");
	rc = unpack_starter(arena, &starter, err);
	if (rc != KT_OK)
		return rc;
	kt_app_set_starter(starter);
	rc = init_folder(ctx, args, arena, &remote, err);
	free(remote.url);
	free(remote.branch);
	free(remote.kept);
	return rc;
}

const struct kt_cmd kt_cmd_init = {
	.name = "init",
	.summary = "make a folder ready: settings, a starter when empty, git remote",
	.group = KT_GROUP_START,
	.opts = init_opts,
	.args_size = sizeof(struct init_args),
	.defaults = init_defaults,
	.run = cmd_init,
	.examples = "karta init my-agent\nkarta init --harness opencode\n",
};
