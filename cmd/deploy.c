/* SPDX-License-Identifier: MIT */
/*
 * karta deploy: publish a commit, a folder, or again a commit that the server has, and follow the
 * build. The last line on stdout is the URL; the exit status is the outcome.
 */
#include "cmd/cmd.h"

#include "base/env.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"
#include "cmd/git/ci.h"
#include "cmd/git/ship.h"
#include "cmd/remote.h"
#include "text/clean.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX_BYTES ((size_t)8 * 1024 * 1024)

extern const struct kt_cmd kt_cmd_deploy;

struct deploy_args {
	const char *name;
	const char *commit;
	const char *dir;
	const char *ref;
	int64_t pr;
	struct kt_vec env, include;
	const char *message;
	bool dirty, no_activate, unpin, no_wait, dry_run, force;
};

static const struct kt_opt deploy_opts[] = {
	KT_OPT_STR_(
		0, "commit", struct deploy_args, commit, "REV", "commit to deploy (default: HEAD)"),
	KT_OPT_STR_(
		0, "dir", struct deploy_args, dir, "DIR", "folder of the application (default: .)"),
	KT_OPT_STR_(0, "ref", struct deploy_args, ref, "REF",
		"branch it counts as (default: the one that is checked out)"),
	KT_OPT_INT_(0, "pr", struct deploy_args, pr, "N", 1, INT32_MAX,
		"make it the preview of pull request N"),
	KT_OPT_LIST_('e', "env", struct deploy_args, env, "K=V",
		"variable for this release; may be repeated"),
	KT_OPT_STR_('m', "message", struct deploy_args, message, "TEXT",
		"what the release is about (default: the commit's subject)"),
	KT_OPT_FLAG_(0, "dirty", struct deploy_args, dirty,
		"deploy the files as they are, committed or not"),
	KT_OPT_LIST_(0, "include", struct deploy_args, include, "PATH",
		"send this file or folder too, though git ignores it or it looks like a secret; "
		"with files as they are; may be repeated"),
	KT_OPT_FLAG_(0, "no-activate", struct deploy_args, no_activate,
		"build and keep the release, but do not put it live"),
	KT_OPT_FLAG_(0, "unpin", struct deploy_args, unpin,
		"end the pin of a rollback when the release goes live"),
	KT_OPT_FLAG_(
		0, "no-wait", struct deploy_args, no_wait, "return when the server has taken it"),
	KT_OPT_FLAG_('n', "dry-run", struct deploy_args, dry_run,
		"pack and show what would be deployed"),
	KT_OPT_FLAG_('f', "force", struct deploy_args, force,
		"also when the branch was deployed by somebody else meanwhile"),
	KT_OPT_ARG_(
		"name", struct deploy_args, name, 0, "project (default: the name in karta.toml)"),
	KT_OPT_END,
};

/* What is deployed, once found out. */
struct deploy {
	const struct kt_ctx *ctx;
	const struct deploy_args *args;
	struct kt_talk talk;
	struct kt_ci_run ci;
	struct kt_git_info info; /* git_dir "" outside of a repository */
	struct kt_client *client;
	struct kt_ships ships; /* none: the server has the commit */
	char *named; /* project given by option or environment, or NULL */
	char sha[80]; /* "" for files as they are */
	char *ref; /* or NULL */
	const char **env;
	cJSON *results; /* array of release objects */
	const char *sub; /* folder of the application at hand */
};

/* --- what to deploy ----------------------------------------------------------------------------
 */

static enum kt_code check_deploy_env(const struct deploy_args *a, struct kt_err *err)
{
	for (size_t i = 0; i < a->env.len; i++) {
		const char *e = a->env.items[i], *eq = strchr(e, '=');

		/* Not the whole: what stands behind the sign may be a secret. */
		if (!eq || eq == e)
			return kt_fail(err, KT_EINVAL, 0, "--env takes NAME=VALUE");
		KT_AUTOFREE char *name = kt_strndup(e, (size_t)(eq - e));

		if (!kt_env_name_ok(name))
			return kt_fail(err, KT_EINVAL, 0,
				"--env: '%.80s' cannot be set: " KT_ENV_NAME_RULE, name);
	}
	return KT_OK;
}

/* Folder of dir inside the repository ("" = its root); NULL when it is not below. The caller's. */
static char *folder_in(const struct deploy *d, const char *dir)
{
	KT_AUTOFREE char *real = NULL;
	KT_AUTOFREE char *root = NULL;
	size_t n;

	if (!d->info.work_dir[0] || kt_path_real(dir, &real, NULL) != KT_OK ||
		kt_path_real(d->info.work_dir, &root, NULL) != KT_OK)
		return NULL;
	n = strlen(root);
	if (strncmp(real, root, n) != 0 || (real[n] && real[n] != '/'))
		return NULL;
	return kt_strdup(real[n] ? real + n + 1 : "");
}

static bool has_toml(const char *dir)
{
	KT_AUTOFREE char *path = kt_path_join(dir, "karta.toml");

	return kt_fs_is_file(path);
}

/* Looked for before anything is read: the folder may be a home with everything in it. */
static bool is_deployable(const char *dir)
{
	static const char *const names[] = { "CLAUDE.md", "AGENTS.md", ".claude", ".opencode" };

	for (size_t i = 0; i < KT_ARRAY_LEN(names); i++) {
		KT_AUTOFREE char *path = kt_path_join(dir, names[i]);

		if (kt_fs_is_file(path) || kt_fs_is_dir(path))
			return true;
	}
	return has_toml(dir);
}

/* Only this folder's application, or NULL to look for them. The caller's. */
static char *only_folder(const struct deploy *d)
{
	KT_AUTOFREE char *sub = folder_in(d, d->args->dir ? d->args->dir : ".");

	if (!sub || (!d->args->dir && (!sub[0] || !has_toml("."))))
		return NULL;
	return KT_STEAL(sub);
}

/* Files as they are were asked for. */
static bool wants_dirty(const struct deploy_args *a)
{
	return a->dirty || a->include.len > 0;
}

/* The paths of --include and a NULL; the caller's to free, not what is in it. */
static const char **include_list(const struct deploy_args *a)
{
	const char **list = kt_calloc(a->include.len + 1, sizeof(*list));

	for (size_t i = 0; i < a->include.len; i++)
		list[i] = a->include.items[i];
	return list;
}

static enum kt_code refuse_dirty(const struct deploy *d, struct kt_err *err)
{
	if (!d->info.dirty || d->args->commit)
		return KT_OK;
	if (kt_ci_on()) {
		kt_warn(d->ctx, "files differ from the commit; the commit is deployed");
		return KT_OK;
	}
	(void)kt_fail(err, KT_ECONFLICT, 0, "there are changes that are not committed (%s)",
		d->info.dirty_path);
	return kt_hint(err,
		"commit them, take the files as they are with --dirty, or the last commit "
		"with --commit HEAD");
}

static bool looks_like_sha(const char *s)
{
	size_t n = strlen(s);

	return n >= 7 && n <= 64 && strspn(s, "0123456789abcdef") == n;
}

/*
 * Some files of the commit are not in git, but a submodule's or kept by LFS. They are where it is
 * checked out, and nothing differs from the commit there.
 */
static enum kt_code pack_checked_out(
	struct deploy *d, struct kt_ship_options so, struct kt_err *err)
{
	struct kt_err why = *err;

	*err = (struct kt_err)KT_ERR_INIT;
	so.rev = NULL;
	so.dir = d->info.work_dir;
	if (kt_ship_find(&so, &d->ships, err) != KT_OK)
		return err->code;
	kt_talk_say(&d->talk, "%s; the files are taken from where they are checked out", why.msg);
	return KT_OK;
}

static enum kt_code pack_commit(struct deploy *d, struct kt_err *err)
{
	KT_AUTOFREE char *sub = only_folder(d);
	bool elsewhere = false;
	struct kt_ship_options so = { .dir = d->args->dir ? d->args->dir : ".",
		.sub = sub,
		.elsewhere = &elsewhere,
		.progress = d->talk.progress };
	const char *rev = d->args->commit ? d->args->commit : "HEAD";
	enum kt_code rc = refuse_dirty(d, err);

	if (rc == KT_OK)
		rc = kt_git_resolve(so.dir, rev, d->sha, err);
	/* A commit that is not here may be there. */
	if (rc == KT_ENOTFOUND && d->args->commit && looks_like_sha(rev)) {
		(void)kt_str_copy(d->sha, sizeof(d->sha), rev);
		return KT_OK;
	}
	so.rev = d->sha;
	if (rc == KT_OK)
		rc = kt_ship_find(&so, &d->ships, err);
	if (rc == KT_EINVAL && elsewhere && !d->args->commit && !d->info.dirty &&
		d->info.work_dir[0])
		rc = pack_checked_out(d, so, err);
	return rc;
}

static enum kt_code pack_folder(struct deploy *d, struct kt_err *err)
{
	const char *dir = d->args->dir ? d->args->dir : ".";
	KT_AUTOFREE const char **include = include_list(d->args);
	/* Of a repository only the folder itself: its other applications may be half done. */
	const struct kt_ship_options so = {
		.dir = dir, .sub = "", .include = include, .progress = d->talk.progress
	};

	if (!d->args->dir && !is_deployable(dir)) {
		(void)kt_fail(err, KT_EINVAL, 0, "there is no application here");
		return kt_hint(err,
			"go to its folder, name it with --dir, or deploy a commit that the "
			"server has with --commit");
	}
	return kt_ship_find(&so, &d->ships, err);
}

static enum kt_code find_files(struct deploy *d, struct kt_err *err)
{
	const char *dir = d->args->dir ? d->args->dir : ".";
	bool as_they_are = wants_dirty(d->args), status = !d->args->commit && !as_they_are;
	enum kt_code rc = kt_git_info(dir, status, &d->info, err);

	if (rc == KT_OK && !as_they_are)
		return pack_commit(d, err);
	if (rc != KT_OK && rc != KT_ENOTFOUND)
		return rc;
	if (!d->args->commit)
		return pack_folder(d, err);
	if (as_they_are)
		return kt_fail(err, KT_EINVAL, 0, "--commit and --%s exclude each other",
			d->args->dirty ? "dirty" : "include");
	if (!looks_like_sha(d->args->commit)) {
		(void)kt_fail(err, KT_EINVAL, 0,
			"'%s' is no commit id, and there is no repository here", d->args->commit);
		return kt_hint(err, "name the commit by its id: 7 or more digits");
	}
	(void)kt_str_copy(d->sha, sizeof(d->sha), d->args->commit);
	return KT_OK;
}

static void find_deploy_ref(struct deploy *d)
{
	const char *ref = d->args->ref;

	if (!ref && d->ci.ref[0])
		ref = d->ci.ref;
	if (!ref && d->info.branch[0] && d->sha[0] && !d->args->commit)
		ref = d->info.branch;
	if (ref)
		d->ref = kt_str_starts(ref, "refs/") ? kt_strdup(ref)
						     : kt_asprintf("refs/heads/%s", ref);
}

/* --- telling -----------------------------------------------------------------------------------
 */

static void on_deploy_log(void *arg, const char *level, const char *text)
{
	struct deploy *d = arg;

	kt_talk_log(&d->talk, level, text);
	/* How it ended is told once, with the name of the release. */
	if (kt_str_starts(text, " !"))
		return;
	if (kt_str_eq(level, "error") || kt_str_starts(level, "warn"))
		kt_ci_annotate(kt_str_eq(level, "error") ? "error" : "warning", "karta deploy",
			d->sub, text);
}

static void on_progress(void *arg, int64_t done, int64_t total)
{
	kt_talk_progress(&((struct deploy *)arg)->talk, done, total);
}

static bool on_deploy_poll(void *arg)
{
	return kt_talk_poll(&((struct deploy *)arg)->talk);
}

static void ci_results(const struct deploy *d, const char *project, const cJSON *r)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
	const char *version = kt_json_str_or(r, "version", ""), *url = kt_json_str_or(r, "url", "");

	if (!kt_ci_on())
		return;
	kt_ci_output("url", url);
	kt_ci_output("release", kt_json_str_or(r, "id", ""));
	kt_ci_output("version", version);
	kt_ci_output("commit", kt_json_str_or(r, "commit_sha", d->sha));
	kt_clean_addf(&b,
		"| Project | Release | State | URL |\n| --- | --- | --- | --- |\n"
		"| %s | %s | %s | %s |\n\n",
		project, version, kt_json_str_or(r, "state", ""), url);
	kt_ci_summary(b.ptr);
}

/* Ctrl-C, or the time is over: what was begun goes on without us. */
static enum kt_code let_go(
	struct deploy *d, const char *project, const cJSON *release, struct kt_err *err)
{
	const char *id = kt_json_str(release, "id");

	if (d->talk.timed_out) {
		(void)kt_fail(err, KT_ETIMEOUT, 0, "gave up waiting; %s",
			id ? "the deploy goes on" : "nothing was released");
		return id ? kt_hint(err, "release %s: karta logs -p %s -f", id, project)
			  : KT_ETIMEOUT;
	}
	d->talk.quiet = false;
	if (id) {
		kt_talk_say(&d->talk, "The deploy goes on without this terminal: release %s", id);
		kt_talk_say(&d->talk, "Follow it: karta logs -p %s -f; see: karta releases -p %s",
			project, project);
	} else {
		kt_talk_say(&d->talk,
			"Nothing was released. What was sent is kept for the next deploy.");
	}
	kt_remote_die_by_int();
}

/* --- publishing --------------------------------------------------------------------------------
 */

static enum kt_code project_of(const struct deploy *d, size_t i, char **out, struct kt_err *err)
{
	if (d->ships.n) {
		*out = kt_ship_project(&d->ships, i, d->named);
		if (*out)
			return KT_OK;
	}
	return kt_remote_project(d->ctx, d->named, out, err);
}

/* What was asked for counts more than what the job runs for. */
static int64_t deploy_pull_request(const struct deploy *d)
{
	if (d->args->pr)
		return d->args->pr;
	return d->args->ref ? 0 : d->ci.pr;
}

/* Where the branch is on the server, so that a race is noticed; *live is for the delta. */
static enum kt_code ask_for_deploy_refs(struct deploy *d, const char *project,
	const struct kt_client_publish *pub, char **expected, char **live, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_remote_path(project, "/refs");
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = kt_client_call(d->client, "GET", path, NULL, &doc, err);

	if (rc == KT_ENOTFOUND)
		rc = KT_OK;
	if (rc == KT_OK)
		rc = kt_client_publish_held(pub, doc, err);
	if (rc != KT_OK)
		return rc;
	*live = kt_strdup(kt_json_str_or(kt_json_obj(doc, "live"), "digest", ""));
	/* A pull request has no branch of its own here: its name may be that of any. */
	if (d->ref && d->sha[0] && !d->args->force && !deploy_pull_request(d))
		*expected = kt_strdup(kt_json_str_or(kt_json_obj(doc, "refs"), d->ref, ""));
	return KT_OK;
}

/*
 * What stayed behind, so that nobody looks for it on the server. Told when all is sent: the file
 * that this goes to may be in the folder.
 */
static void tell_left_out(struct deploy *d, const struct kt_tree *tree)
{
	const struct kt_left_out *left = tree ? kt_tree_left_out(tree) : NULL;

	if (left && (left->n_modules || left->n_ignored))
		kt_talk_say(&d->talk, "Left out: %s%s%s (--include PATH sends one)",
			left->n_modules ? "node_modules" : "",
			left->n_modules && left->n_ignored ? ", " : "",
			left->n_ignored == 0           ? ""
				: left->n_ignored == 1 ? "one that git ignores"
						       : "some that git ignores");
}

static enum kt_code show_plan(
	struct deploy *d, size_t i, const char *project, const char *live, struct kt_err *err)
{
	const struct kt_manifest *m = kt_tree_manifest(d->ships.items[i].tree);
	cJSON *plan = cJSON_CreateObject();
	char size[16];

	kt_ship_size(m->n_bytes, size);
	(void)cJSON_AddStringToObject(plan, "project", project);
	(void)cJSON_AddStringToObject(plan, "digest", m->digest);
	(void)cJSON_AddNumberToObject(plan, "files", (double)m->n_files);
	(void)cJSON_AddNumberToObject(plan, "bytes", (double)m->n_bytes);
	(void)cJSON_AddStringToObject(plan, "commit_sha", d->sha);
	(void)cJSON_AddStringToObject(plan, "ref", d->ref ? d->ref : "");
	(void)cJSON_AddBoolToObject(plan, "live", kt_str_eq(m->digest, live));
	(void)cJSON_AddItemToArray(d->results, plan);
	kt_talk_say(&d->talk, "Would deploy %zu files (%s) of %s%s%.7s as %s%s", m->n_files, size,
		d->ships.items[i].sub[0] ? d->ships.items[i].sub : "this folder",
		d->sha[0] ? " at " : "", d->sha, project,
		kt_str_eq(m->digest, live) ? ": the very files that are live" : "");
	tell_left_out(d, d->ships.items[i].tree);
	return KT_OK;
}

/* Held by a pin: what to do about it. */
static enum kt_code hint_pin(const char *project, enum kt_code rc, struct kt_err *err)
{
	if (rc != KT_ECONFLICT)
		return rc;
	if (kt_str_starts(err->msg, "held at "))
		(void)kt_wrap(err, "%s is pinned", project);
	return kt_hint(err,
		"'karta releases unpin %s', or --unpin, lets it go live; --no-activate stores it",
		project);
}

static enum kt_code deploy_one(struct deploy *d, size_t i, struct kt_err *err)
{
	const struct deploy_args *a = d->args;
	struct kt_tree *tree = d->ships.n ? d->ships.items[i].tree : NULL;
	KT_AUTOFREE char *project = NULL;
	KT_AUTOFREE char *expected = NULL;
	KT_AUTOFREE char *live = NULL;
	int64_t began_us = kt_mono_us();
	cJSON *release = NULL;
	enum kt_code rc = project_of(d, i, &project, err);

	struct kt_client_publish pub = { .project = project,
		.tree = tree,
		.git_dir = d->info.git_dir[0] ? d->info.git_dir : NULL,
		.commit_sha = d->sha[0] ? d->sha : NULL,
		.ref = d->ref,
		.message = a->message ? a->message : (tree ? kt_tree_subject(tree) : NULL),
		.source = "cli",
		.env = d->env,
		.pr = deploy_pull_request(d),
		.fork = d->ci.fork,
		.force = a->force,
		.no_activate = a->no_activate,
		.unpin = a->unpin,
		.no_wait = a->no_wait,
		.log = on_deploy_log,
		.progress = on_progress,
		.poll = on_deploy_poll,
		.arg = d };

	if (rc == KT_OK && tree)
		rc = ask_for_deploy_refs(d, project, &pub, &expected, &live, err);
	if (rc != KT_OK)
		return hint_pin(project, rc, err);
	if (a->dry_run && tree)
		return show_plan(d, i, project, live, err);
	pub.live_digest = live;
	pub.expected = expected;
	d->sub = tree ? d->ships.items[i].sub : "";
	if (d->ships.n > 1)
		kt_talk_say(&d->talk, "-----> %s (%s)", project, d->sub[0] ? d->sub : ".");
	kt_remote_catch_int();
	rc = kt_client_publish(d->client, &pub, &release, err);
	kt_remote_let_int();
	if (d->talk.progress)
		kt_progress_clear(d->talk.progress);
	if (rc == KT_ECANCEL)
		rc = let_go(d, project, release, err);
	if (rc == KT_OK) {
		tell_left_out(d, tree);
		kt_talk_released(&d->talk, project, release, began_us);
	}
	if (release && rc != KT_ETIMEOUT)
		ci_results(d, project, release);
	if (release)
		(void)cJSON_AddItemToArray(d->results, release);
	else if (kt_str_eq(kt_json_str(kt_client_problem(d->client), "code"), "pinned"))
		(void)hint_pin(project, rc, err);
	return rc;
}

static enum kt_code deploy_all(struct deploy *d, struct kt_err *err)
{
	size_t n = d->ships.n ? d->ships.n : 1;
	enum kt_code worst = KT_OK;

	for (size_t i = 0; i < n; i++) {
		struct kt_err one = KT_ERR_INIT;
		enum kt_code rc = deploy_one(d, i, &one);

		if (rc == KT_OK)
			continue;
		if (n > 1 && d->ships.items[i].name)
			(void)kt_wrap(&one, "%s", d->ships.items[i].name);
		/* All but the first are told of at once; the first is the command's error. */
		if (worst != KT_OK)
			on_deploy_log(d, "error", one.msg);
		else
			*err = one;
		if (worst == KT_OK)
			worst = rc;
		if (rc == KT_EUNAVAIL || rc == KT_EAUTH || rc == KT_ETIMEOUT)
			break;
	}
	return worst;
}

/* --- the result --------------------------------------------------------------------------------
 */

static void print_result(const struct deploy *d)
{
	const cJSON *r, *first = d->results->child;

	if (d->ctx->json) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);
		struct kt_jw w;

		kt_jw_init(&w, &b);
		kt_jw_obj(&w, NULL);
		kt_jw_int(&w, "schema_version", 1);
		kt_jw_bool(&w, "dry_run", d->args->dry_run);
		kt_jw_str(&w, "url", kt_json_str(first, "url"));
		kt_jw_json(&w, d->args->dry_run ? "plan" : "release", first);
		kt_jw_json(&w, d->args->dry_run ? "plans" : "releases", d->results);
		kt_jw_obj_end(&w);
		kt_remote_json_line(b.ptr, b.len);
		return;
	}
	cJSON_ArrayForEach (r, d->results) {
		const char *url = kt_json_str(r, "url");

		if (url)
			kt_outf("%s\n", url);
	}
}

static void release_deploy(struct deploy *d)
{
	kt_progress_free(d->talk.progress);
	kt_client_free(d->client);
	kt_ships_release(&d->ships);
	cJSON_Delete(d->results);
	free(d->named);
	free(d->ref);
	free(d->env);
}

static enum kt_code prepare_deploy(struct deploy *d, struct kt_err *err)
{
	const char *project = d->args->name ? d->args->name : d->ctx->project;
	enum kt_code rc = check_deploy_env(d->args, err);

	d->named = kt_strdup_opt(project);
	/* As a push has it: the remote of this repository comes before the name in karta.toml. */
	if (!d->named && !d->args->dir && kt_remote_project(d->ctx, NULL, &d->named, NULL) != KT_OK)
		d->named = NULL;
	if (rc == KT_OK)
		rc = find_files(d, err);
	if (rc == KT_OK && !d->ships.n &&
		(d->args->env.len || d->args->pr || d->args->ref || d->args->dry_run))
		rc = kt_fail(err, KT_EINVAL, 0,
			"commit %s is not here, and the server deploys it again as it was: without "
			"--env, --pr, --ref and --dry-run",
			d->sha);
	if (rc != KT_OK)
		return rc;
	find_deploy_ref(d);
	d->env = kt_calloc(d->args->env.len + 1, sizeof(*d->env));
	for (size_t i = 0; i < d->args->env.len; i++)
		d->env[i] = d->args->env.items[i];
	return kt_remote_open_host(d->ctx, &d->client, err);
}

static enum kt_code cmd_deploy(struct kt_ctx *ctx, const void *arg, struct kt_err *err)
{
	KT_AUTOFREE struct deploy *d = kt_calloc(1, sizeof(*d));
	enum kt_code rc;

	d->ctx = ctx;
	d->args = arg;
	d->results = cJSON_CreateArray();
	d->talk = (struct kt_talk){ .ctx = ctx, .prefix = "", .quiet = ctx->quiet };
	if (!ctx->quiet)
		d->talk.progress = kt_progress_new(STDERR_FILENO, &ctx->errt);
	if (ctx->timeout_ms)
		d->talk.until_us = kt_mono_us() + ctx->timeout_ms * 1000;
	kt_ci_read(&d->ci);
	rc = prepare_deploy(d, err);
	if (rc == KT_OK)
		rc = deploy_all(d, err);
	if (rc == KT_OK)
		print_result(d);
	else
		kt_ci_annotate("error", "karta deploy", d->sub, err->msg);
	kt_ci_defuse(err->msg);
	kt_ci_defuse(err->hint);
	release_deploy(d);
	return rc;
}

const struct kt_cmd kt_cmd_deploy = {
	.name = "deploy",
	.summary = "build a commit or folder and put it live",
	.group = KT_GROUP_SHIP,
	.opts = deploy_opts,
	.args_size = sizeof(struct deploy_args),
	.run = cmd_deploy,
	.examples = "karta deploy                       the commit that is checked out\n"
		    "karta deploy shop --commit 1a2b3c4 again a commit that the server has\n"
		    "karta deploy --dirty --no-activate the files as they are, not live yet\n",
};
