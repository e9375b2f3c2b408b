/* SPDX-License-Identifier: MIT */
/* karta projects: list, show, create, rename, delete; bind folders and repositories to them. */
#include "cmd/cmd.h"

#include "app/app.h"
#include "base/fs.h"
#include "base/rand.h"
#include "base/str.h"
#include "cmd/projectdefault.h"
#include "cmd/releases.h"
#include "cmd/remote.h"
#include "git/git.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define OUT_MAX_BYTES ((size_t)16 * 1024 * 1024)

struct none_args {
	bool unused;
};
struct name_args {
	const char *project;
	bool no_remote; /* of create; no remote is made */
};
struct rename_args {
	const char *project;
	const char *to;
};
struct delete_args {
	const char *project;
	const char *confirm;
};
struct add_args {
	const char *dir;
	const char *name;
};
struct link_args {
	const char *project;
	const char *as;
	bool force;
};
struct bind_args {
	const char *project;
	const char *repo;
	bool token_stdin;
	const char *secret_file;
	bool none;
};

static const struct kt_opt none_opts[] = { KT_OPT_END };

/* --- list, show -------------------------------------------------------------------------- */

static const char *live_version(const cJSON *p)
{
	return kt_json_str_or(kt_json_obj(p, "current"), "version",
		kt_str_eq(kt_json_str(p, "kind"), "folder") ? "folder" : "-");
}

static enum kt_code run_projects_list(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	static const char *const head[] = { "NAME", "LIVE", "HARNESS", "URL", "PINNED" };
	size_t cols = KT_ARRAY_LEN(head) - 1;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(OUT_MAX_BYTES);
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_table *tb;
	struct kt_client *c;
	const cJSON *p;
	enum kt_code rc = kt_remote_open_host(ctx, &c, err);

	if (rc != KT_OK)
		return rc;
	rc = kt_client_call(c, "GET", "/agent_projects", NULL, &doc, err);
	kt_client_free(c);
	if (rc != KT_OK)
		return rc;
	if (ctx->json) {
		kt_remote_json(ctx, doc);
		return KT_OK;
	}
	cJSON_ArrayForEach (p, kt_json_arr(doc, "data")) {
		/* The column is there when there is something in it. */
		if (kt_json_bool(p, "pinned", false))
			cols = KT_ARRAY_LEN(head);
	}
	tb = kt_table_new(cols);
	kt_table_row(tb, head);
	cJSON_ArrayForEach (p, kt_json_arr(doc, "data")) {
		KT_AUTOFREE char *pin = kt_remote_pin(p);
		KT_AUTOFREE char *name = kt_asprintf("%s%s", kt_json_str_or(p, "slug", "?"),
			kt_json_bool(p, "default", false) ? " (default)" : "");
		const char *cells[] = { name, live_version(p), kt_json_str_or(p, "harness", "-"),
			kt_json_str_or(p, "url", ""), pin ? pin : "" };

		kt_table_row(tb, cells);
	}
	kt_table_render(&b, &ctx->out, tb);
	kt_table_free(tb);
	p = kt_json_arr(doc, "data");
	if (p && p->child)
		kt_out(b.ptr, b.len);
	else
		kt_say(ctx, "no projects yet; 'git push karta main' makes one");
	return KT_OK;
}

static const struct kt_opt name_opts[] = {
	KT_OPT_ARG_("name", struct name_args, project, 0, "the project (default: this folder's)"),
	KT_OPT_END,
};

static void print_project(const struct kt_ctx *ctx, const cJSON *p)
{
	static const char heads[] = "refs/heads/";
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(OUT_MAX_BYTES);
	const char *branch = kt_json_str(p, "production_ref");
	const cJSON *preview, *lacks;

	kt_remote_field(&b, ctx, "name", kt_json_str(p, "slug"));
	kt_remote_field(&b, ctx, "url", kt_json_str(p, "url"));
	kt_remote_field(&b, ctx, "live", live_version(p));
	kt_remote_pin_fields(&b, ctx, p);
	kt_remote_field(&b, ctx, "harness", kt_json_str(p, "harness"));
	cJSON_ArrayForEach (lacks, kt_json_arr(p, "missing_credentials")) {
		KT_AUTOFREE char *text = kt_asprintf("%s (karta config set -p %s %s=- <file)",
			cJSON_IsString(lacks) ? lacks->valuestring : "?",
			kt_json_str_or(p, "slug", ""),
			cJSON_IsString(lacks) ? lacks->valuestring : "?");

		kt_remote_field(&b, ctx, "lacks", text);
	}
	if (branch && kt_str_starts(branch, heads))
		branch += strlen(heads);
	kt_remote_field(&b, ctx, "branch", branch);
	kt_remote_field(&b, ctx, "folder", kt_json_str(p, "dir"));
	kt_remote_field(&b, ctx, "repository", kt_json_str(p, "repo_url"));
	kt_remote_field(&b, ctx, "org", kt_json_str(p, "org"));
	kt_remote_when(&b, ctx, "created", p, "created_at");
	cJSON_ArrayForEach (preview, kt_json_arr(p, "previews"))
		kt_remote_field(&b, ctx, "preview", kt_json_str(preview, "url"));
	kt_out(b.ptr, b.len);
}

/* A call about one project that answers with it. */
static enum kt_code project_call(const struct kt_ctx *ctx, const char *given, const char *method,
	const char *body, cJSON **out, struct kt_err *err)
{
	KT_AUTOFREE char *project = NULL;
	KT_AUTOFREE char *path = NULL;
	struct kt_client *c;
	enum kt_code rc = kt_remote_start(ctx, given, &c, &project, err);

	if (rc != KT_OK)
		return rc;
	path = kt_remote_path(project, "");
	rc = kt_client_call(c, method, path, body, out, err);
	kt_client_free(c);
	return rc;
}

static enum kt_code run_projects_show(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct name_args *a = args;
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = project_call(ctx, a->project, "GET", NULL, &doc, err);

	if (rc != KT_OK)
		return rc;
	if (ctx->json)
		kt_remote_json(ctx, doc);
	else
		print_project(ctx, doc);
	return KT_OK;
}

/* --- create, rename, delete, add --------------------------------------------------------- */

static const struct kt_opt create_opts[] = {
	KT_OPT_ARG_("name", struct name_args, project, 0,
		"name of the project (default: that of this folder)"),
	{ KT_OPT_T_FLAG, 0, "no-remote", NULL, offsetof(struct name_args, no_remote),
		"as it is anyway", KT_OPT_HIDDEN },
	KT_OPT_END,
};

static enum kt_code create_project(
	const struct kt_ctx *ctx, const char *name, const char *dir, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf body = KT_BUF_INIT(65536);
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_client *c;
	struct kt_jw w;
	enum kt_code rc = kt_remote_open_host(ctx, &c, err);

	if (rc != KT_OK)
		return rc;
	kt_jw_init(&w, &body);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "slug", name);
	if (dir)
		kt_jw_str(&w, "dir", dir);
	kt_jw_obj_end(&w);
	rc = kt_client_call(c, "POST", "/agent_projects", body.ptr, &doc, err);
	kt_client_free(c);
	if (rc != KT_OK)
		return rc;
	if (ctx->json) {
		kt_remote_json(ctx, doc);
		return KT_OK;
	}
	kt_say(ctx, "Created %s.", name);
	kt_outf("%s\n", kt_json_str_or(doc, "url", ""));
	return KT_OK;
}

static enum kt_code run_projects_create(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct name_args *a = args;
	KT_AUTOFREE char *name = NULL;
	enum kt_code rc;

	if (a->project)
		return create_project(ctx, a->project, NULL, err);
	rc = kt_remote_project(ctx, NULL, &name, err);
	return rc == KT_OK ? create_project(ctx, name, NULL, err) : rc;
}

static const struct kt_opt add_opts[] = {
	KT_OPT_ARG_("dir", struct add_args, dir, KT_OPT_REQUIRED | KT_OPT_DIR,
		"folder on the server's machine"),
	KT_OPT_ARG_("name", struct add_args, name, 0,
		"name of the project (default: that of the application)"),
	KT_OPT_END,
};

static enum kt_code run_add(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct add_args *a = args;
	KT_AUTOFREE char *dir = NULL;
	struct kt_app *app = NULL;
	enum kt_code rc = kt_path_real(a->dir, &dir, err);

	if (rc == KT_OK && !kt_fs_is_dir(dir))
		rc = kt_fail(err, KT_EINVAL, 0, "'%s' is no folder", a->dir);
	if (rc == KT_OK)
		rc = kt_app_load(dir, NULL, &app, err);
	if (rc != KT_OK)
		return rc;
	rc = create_project(ctx, a->name ? a->name : app->name, dir, err);
	/* It may become one: the folder is read anew by each session. */
	if (rc == KT_OK && app->n_errors)
		kt_warn(ctx,
			"there is no application in %s that can run; karta doctor --dir %s says "
			"why",
			a->dir, a->dir);
	kt_app_free(app);
	return rc;
}

static const struct kt_opt rename_opts[] = {
	KT_OPT_ARG_("name", struct rename_args, project, KT_OPT_REQUIRED,
		"the project; alone, the new name of this folder's"),
	KT_OPT_ARG_("new", struct rename_args, to, 0, "its new name"),
	KT_OPT_END,
};

/* A repository here that pushes to the old name shall push to the new one. */
static void move_remote(const struct kt_ctx *ctx, const char *from, const char *to)
{
	KT_AUTOFREE char *url = NULL;
	KT_AUTOFREE char *server = NULL;
	KT_AUTOFREE char *project = NULL;
	KT_AUTOFREE char *moved = NULL;
	KT_AUTOFREE char *old = NULL;

	if (kt_git_remote_url(".", "karta", &url, NULL) != KT_OK ||
		kt_remote_parse(url, &server, &project, NULL) != KT_OK || !kt_str_eq(project, from))
		return;
	moved = kt_asprintf("karta::%s/%s", server, to);
	if (kt_git_remote_set(".", "karta", moved, &old, NULL) == KT_OK)
		kt_say(ctx, "The git remote karta of this repository follows.");
}

static enum kt_code run_projects_rename(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct rename_args *a = args;
	KT_AUTO_BUF struct kt_buf body = KT_BUF_INIT(65536);
	KT_AUTO_JSON cJSON *doc = NULL;
	const char *to = a->to ? a->to : a->project;
	KT_AUTOFREE char *from = NULL;
	KT_AUTOFREE char *path = NULL;
	KT_AUTO_CLIENT struct kt_client *c = NULL;
	struct kt_jw w;
	enum kt_code rc = kt_remote_start(ctx, a->to ? a->project : NULL, &c, &from, err);

	if (rc == KT_OK && !a->to && kt_str_eq(from, to))
		rc = kt_fail(err, KT_EINVAL, 0,
			"missing argument <new>: this folder's project is "
			"'%s' already",
			to);
	if (rc != KT_OK)
		return rc;
	kt_jw_init(&w, &body);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "slug", to);
	kt_jw_obj_end(&w);
	path = kt_remote_path(from, "");
	rc = kt_client_call(c, "PATCH", path, body.ptr, &doc, err);
	if (rc != KT_OK)
		return rc;
	move_remote(ctx, from, to);
	if (ctx->json) {
		kt_remote_json(ctx, doc);
		return KT_OK;
	}
	kt_say(ctx, "Renamed %s to %s; the old address is gone.", from, to);
	kt_outf("%s\n", kt_json_str_or(doc, "url", ""));
	return KT_OK;
}

/* A project that is named, by the argument or with --project: none is meant by where one is. */
static enum kt_code take_named_project(
	const struct kt_ctx *ctx, const char *given, const char **out, struct kt_err *err)
{
	*out = given ? given : ctx->project;
	if (*out && **out)
		return KT_OK;
	(void)kt_fail(err, KT_EINVAL, 0, "missing argument <name>: which project?");
	return kt_hint(err, "'karta projects list' lists them");
}

static const struct kt_opt delete_opts[] = {
	KT_OPT_ARG_("name", struct delete_args, project, 0, "the project, here or with --project"),
	KT_OPT_STR_('c', "confirm", struct delete_args, confirm, "NAME",
		"the name once more, instead of being asked"),
	KT_OPT_END,
};

static enum kt_code run_projects_delete(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct delete_args *a = args;
	const char *name;
	KT_AUTOFREE char *what = NULL;
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = take_named_project(ctx, a->project, &name, err);

	if (rc != KT_OK)
		return rc;
	what = kt_asprintf("delete the project %s", name);
	rc = kt_remote_confirm(ctx, what, name, a->confirm, err);
	if (rc == KT_OK)
		rc = project_call(ctx, name, "DELETE", NULL, &doc, err);
	if (rc != KT_OK)
		return rc;
	if (ctx->json)
		kt_remote_json(ctx, doc);
	kt_say(ctx, "Deleted %s with its releases and configuration.", name);
	return KT_OK;
}

/* --- link, bind -------------------------------------------------------------------------- */

static const struct kt_opt link_opts[] = {
	KT_OPT_ARG_("name", struct link_args, project, 0,
		"the project, here or with --project (default: that of this folder)"),
	KT_OPT_STR_(
		0, "as", struct link_args, as, "NAME", "name of the git remote (default: karta)"),
	{ KT_OPT_T_STR, 'r', "remote", "NAME", offsetof(struct link_args, as), "as --as",
		KT_OPT_HIDDEN },
	KT_OPT_FLAG_('f', "force", struct link_args, force, "replace a remote that is there"),
	KT_OPT_END,
};

static enum kt_code run_link(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct link_args *a = args;
	KT_AUTO_JSON cJSON *doc = NULL;
	KT_AUTOFREE char *url = NULL;
	KT_AUTOFREE char *old = NULL;
	KT_AUTOFREE char *name = NULL;
	const char *remote = a->as ? a->as : "karta";
	struct kt_client *c;
	enum kt_code rc = kt_remote_start(ctx, a->project, &c, &name, err);

	if (rc != KT_OK)
		return rc;
	url = kt_asprintf("karta::%s/%s", kt_client_url(c), name);
	kt_client_free(c);
	/* A name that is not there would be found out at the first push only. */
	rc = project_call(ctx, name, "GET", NULL, &doc, err);
	if (rc != KT_OK)
		return rc;
	if (kt_git_remote_url(".", remote, &old, NULL) == KT_OK && !kt_str_eq(old, url) &&
		!a->force) {
		kt_fail(err, KT_ECONFLICT, 0, "this repository is linked to %s", old);
		return kt_hint(err, "add --force to link it anew");
	}
	free(KT_STEAL(old));
	rc = kt_git_remote_set(".", remote, url, &old, err);
	if (rc != KT_OK)
		return rc;
	if (ctx->json)
		kt_remote_json(ctx, doc);
	kt_say(ctx, "git push %s main ships this repository to %s.", remote, name);
	return KT_OK;
}

static const struct kt_opt bind_opts[] = {
	KT_OPT_ARG_("name", struct bind_args, project, KT_OPT_REQUIRED, "the project"),
	KT_OPT_STR_(0, "repo", struct bind_args, repo, "URL", "repository on GitHub"),
	KT_OPT_FLAG_(0, "token-stdin", struct bind_args, token_stdin,
		"read a token that may read the repository from standard input"),
	{ KT_OPT_T_STR, 0, "secret-file", "FILE", offsetof(struct bind_args, secret_file),
		"file with the webhook's secret (default: a new one, printed)", KT_OPT_FILE },
	KT_OPT_FLAG_(0, "none", struct bind_args, none, "undo the binding"),
	KT_OPT_END,
};

static enum kt_code read_line_of(int fd, char *out, size_t size, struct kt_err *err)
{
	size_t n = 0;
	ssize_t got = 1;

	while (n + 1 < size && (got = read(fd, out + n, 1)) == 1 && out[n] != '\n')
		n++;
	out[n] = '\0';
	if (got < 0)
		return kt_fail(err, KT_EIO, errno, "cannot read");
	return n ? KT_OK : kt_fail(err, KT_EINVAL, 0, "there is nothing to read");
}

static enum kt_code webhook_secret(
	const struct bind_args *a, char *out, size_t size, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);
	enum kt_code rc;

	if (!a->secret_file) {
		char id[KT_ID_MAX];

		kt_rand_id("whsec_", id);
		kt_str_copy(out, size, id);
		return KT_OK;
	}
	rc = kt_fs_read(a->secret_file, &b, err);
	if (rc != KT_OK)
		return rc;
	b.ptr[strcspn(b.ptr, "\r\n")] = '\0';
	kt_str_copy(out, size, b.ptr);
	return *out ? KT_OK : kt_fail(err, KT_EINVAL, 0, "'%s' is empty", a->secret_file);
}

/* What has to be entered at GitHub. A secret that was made here is shown this once. */
static void tell_bound(const struct kt_ctx *ctx, const struct bind_args *a, const char *server,
	const char *secret, cJSON *doc)
{
	KT_AUTOFREE char *hook = kt_asprintf(
		"%s/webhooks/github/%s", server, kt_json_str_or(doc, "id", ""));
	bool made = !a->none && !a->secret_file;

	if (ctx->json) {
		if (!a->none)
			kt_assert(cJSON_AddStringToObject(doc, "webhook_url", hook));
		if (made)
			kt_assert(cJSON_AddStringToObject(doc, "webhook_secret", secret));
		kt_remote_json(ctx, doc);
		return;
	}
	if (a->none) {
		kt_say(ctx, "%s is bound to no repository.", a->project);
		return;
	}
	kt_say(ctx, "Add a webhook to %s: events push and pull_request, type application/json,",
		a->repo);
	kt_outf("url     %s\n", hook);
	if (made)
		kt_outf("secret  %s\n", secret);
}

static enum kt_code run_bind(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct bind_args *a = args;
	KT_AUTO_BUF struct kt_buf body = KT_BUF_INIT(65536);
	KT_AUTO_JSON cJSON *doc = NULL;
	char token[1024] = "", secret[256] = "";
	struct kt_client *c = NULL;
	struct kt_jw w;
	enum kt_code rc = KT_OK;

	if (!a->repo == !a->none)
		return kt_fail(err, KT_EINVAL, 0, "give --repo URL, or --none");
	if (a->token_stdin)
		rc = read_line_of(STDIN_FILENO, token, sizeof(token), err);
	if (rc == KT_OK && a->repo)
		rc = webhook_secret(a, secret, sizeof(secret), err);
	if (rc != KT_OK)
		return rc;
	kt_jw_init(&w, &body);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "repo_url", a->repo ? a->repo : "");
	if (a->none || token[0])
		kt_jw_str(&w, "repo_token", token);
	kt_jw_str(&w, "webhook_secret", secret);
	kt_jw_obj_end(&w);
	rc = project_call(ctx, a->project, "PATCH", body.ptr, &doc, err);
	if (rc == KT_OK)
		rc = kt_remote_open_host(ctx, &c, err);
	if (rc == KT_OK)
		tell_bound(ctx, a, kt_client_url(c), secret, doc);
	kt_client_free(c);
	explicit_bzero(body.ptr, body.len);
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(token, sizeof(token));
	return rc;
}

/* --- the table --------------------------------------------------------------------------- */

static const struct kt_cmd list_cmd = {
	.name = "list",
	.summary = "list projects",
	.opts = none_opts,
	.args_size = sizeof(struct none_args),
	.run = run_projects_list,
	.aliases = "ls",
};
static const struct kt_cmd show_cmd = {
	.name = "show",
	.summary = "show one project",
	.opts = name_opts,
	.args_size = sizeof(struct name_args),
	.run = run_projects_show,
	.aliases = "info",
};
static const struct kt_cmd create_cmd = {
	.name = "create",
	.summary = "make an empty project and reserve its address",
	.opts = create_opts,
	.args_size = sizeof(struct name_args),
	.run = run_projects_create,
};
static const struct kt_cmd add_cmd = {
	.name = "add",
	.summary = "serve a folder of the server's machine from disk",
	.opts = add_opts,
	.args_size = sizeof(struct add_args),
	.run = run_add,
};
static const struct kt_cmd rename_cmd = {
	.name = "rename",
	.summary = "give a project another name and address",
	.opts = rename_opts,
	.args_size = sizeof(struct rename_args),
	.run = run_projects_rename,
};
static const struct kt_cmd delete_cmd = {
	.name = "delete",
	.summary = "delete a project with everything",
	.opts = delete_opts,
	.args_size = sizeof(struct delete_args),
	.run = run_projects_delete,
	.aliases = "destroy, rm",
};
static const struct kt_cmd link_cmd = {
	.name = "link",
	.summary = "make this repository push to a project",
	.opts = link_opts,
	.args_size = sizeof(struct link_args),
	.run = run_link,
};
static const struct kt_cmd bind_cmd = {
	.name = "bind",
	.summary = "deploy pushes and pull requests of a GitHub repository",
	.opts = bind_opts,
	.args_size = sizeof(struct bind_args),
	.run = run_bind,
};
static const struct kt_cmd releases_cmd = {
	.name = "releases",
	.summary = "list a project's releases",
	.opts = kt_releases_opts,
	.args_size = sizeof(struct kt_releases_args),
	.defaults = kt_releases_defaults,
	.run = kt_releases_run,
};
static const struct kt_cmd *const subs[] = { &list_cmd, &show_cmd, &create_cmd, &add_cmd,
	&rename_cmd, &delete_cmd, &link_cmd, &bind_cmd, &kt_cmd_projects_default, &releases_cmd,
	NULL };

const struct kt_cmd kt_cmd_projects = {
	.name = "projects",
	.summary = "projects and their addresses",
	.group = KT_GROUP_SHIP,
	.opts = none_opts,
	.args_size = sizeof(struct none_args),
	.run = run_projects_list,
	.subs = subs,
	.aliases = "project, apps",
	.examples = "karta projects                        list them\n"
		    "karta projects link support-bot       this repository pushes there\n"
		    "karta projects add ./bot my-bot      serve a folder from disk\n",
};
