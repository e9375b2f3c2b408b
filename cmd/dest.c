/* SPDX-License-Identifier: MIT */
/* The one resolution of server, key and project, and the client of them. */
#include "cmd/dest.h"

#include "base/env.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"
#include "cmd/devdir.h"
#include "cmd/remote.h"
#include "text/clean.h"
#include "text/toml.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GIT_CONFIG_BYTES ((size_t)1024 * 1024)
#define GIT_LINK_BYTES ((size_t)8192) /* of a .git file or a commondir: one path */
#define NAMES_MAX 5 /* projects named when one of them is asked for */
#define DAY_US (24 * 3600 * (int64_t)1000000)
#define SOON_US (7 * DAY_US) /* before the end of a key its user is told */

void kt_dest_release(struct kt_dest *d)
{
	kt_profile_release(&d->profile);
	free(d->project);
	*d = (struct kt_dest){ .project = NULL };
}

/* --- what the folder says ---------------------------------------------------------------- */

/* The nearest folder above, this one first, that has `name`; NULL when none does. The caller's. */
static char *folder_above(const char *name)
{
	char *dir = NULL;

	if (kt_path_real(".", &dir, NULL) != KT_OK)
		return NULL;
	for (;;) {
		KT_AUTOFREE char *path = kt_path_join(dir, name);
		struct stat st;
		char *up;

		if (stat(path, &st) == 0)
			return dir;
		if (kt_str_eq(dir, "/"))
			break;
		up = kt_path_dir(dir);
		free(dir);
		dir = up;
	}
	free(dir);
	return NULL;
}

/* One path in a file, taken from dir when it is relative; NULL when there is none. */
static char *path_in(const char *dir, const char *file, const char *prefix)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(GIT_LINK_BYTES);
	KT_AUTOFREE char *path = kt_path_join(dir, file);
	size_t n = strlen(prefix);

	if (kt_fs_read(path, &b, NULL) != KT_OK || !kt_str_starts(b.ptr, prefix))
		return NULL;
	b.ptr[n + strcspn(b.ptr + n, "\r\n")] = '\0';
	return kt_path_join(dir, b.ptr + n);
}

/*
 * The configuration file of the repository whose working folder root is. In a worktree and in a
 * submodule .git is a file that says where the repository is.
 */
static char *git_config(const char *root, const char *git)
{
	KT_AUTOFREE char *linked = NULL;
	KT_AUTOFREE char *common = NULL;

	if (kt_fs_is_dir(git))
		return kt_path_join(git, "config");
	linked = path_in(root, ".git", "gitdir: ");
	if (!linked)
		return NULL;
	common = path_in(linked, "commondir", "");
	return kt_path_join(common ? common : linked, "config");
}

/*
 * A repository that somebody else left in a folder above (as /tmp/.git) must not say where the key
 * goes: git looks at the owner for the same reason (its safe.directory).
 */
static bool is_ours(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && st.st_uid == geteuid();
}

/*
 * URL of a remote in the repository's own configuration file; NULL when there is none. A
 * look at the plain form that `git remote add` writes: libgit2 would take longer than most
 * commands.
 */
static char *remote_url(const char *name)
{
	KT_AUTOFREE char *head = kt_asprintf("[remote \"%s\"]", name);
	KT_AUTOFREE char *root = folder_above(".git");
	KT_AUTOFREE char *git = root ? kt_path_join(root, ".git") : NULL;
	KT_AUTOFREE char *path = root ? git_config(root, git) : NULL;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(GIT_CONFIG_BYTES);
	bool in = false;

	if (!path || !is_ours(git) || !is_ours(path) || kt_fs_read(path, &b, NULL) != KT_OK)
		return NULL;
	for (char *line = b.ptr, *end; *line; line = end) {
		size_t len = strcspn(line, "\n");

		end = line + len + (line[len] == '\n');
		line[len] = '\0';
		line += strspn(line, " \t");
		if (*line == '[') {
			in = kt_str_starts(line, head);
		} else if (in && kt_str_starts(line, "url")) {
			line += 3;
			line += strspn(line, " \t");
			if (*line++ == '=')
				return kt_strdup(line + strspn(line, " \t"));
		}
	}
	return NULL;
}

static char *git_remote(void)
{
	return remote_url("karta");
}

enum kt_code kt_dest_remote(
	const char *name, char **out_server, char **out_project, struct kt_err *err)
{
	KT_AUTOFREE char *url = remote_url(name);

	if (url)
		return kt_remote_parse(url, out_server, out_project, err);
	(void)kt_fail(err, KT_EINVAL, 0, "there is no git remote '%s' here", name);
	return kt_hint(err,
		"'git remote -v' lists them; 'karta projects link NAME --as %s' makes it", name);
}

/* `name` of the nearest karta.toml above; NULL when there is none. */
static char *name_in_toml(void)
{
	KT_AUTOFREE char *dir = folder_above("karta.toml");
	KT_AUTOFREE char *path = dir ? kt_path_join(dir, "karta.toml") : NULL;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_TOML_BYTES);
	struct kt_arena *arena;
	const struct kt_toml *doc, *name;
	char *found = NULL;

	if (!path || kt_fs_read(path, &b, NULL) != KT_OK)
		return NULL;
	arena = kt_arena_new();
	if (kt_toml_parse(arena, b.ptr, b.len, &doc, NULL) == KT_OK) {
		name = kt_toml_get(doc, "name");
		if (name && name->type == KT_TOML_STRING && *name->str)
			found = kt_strdup(name->str);
	}
	kt_arena_free(arena);
	return found;
}

/* The nearest karta.toml, if any, is in the root of the repository: a push ships that folder. */
static bool at_root(void)
{
	KT_AUTOFREE char *toml = folder_above("karta.toml");
	KT_AUTOFREE char *root = folder_above(".git");

	return !toml || kt_str_eq(toml, root);
}

/* --- addresses --------------------------------------------------------------------------- */

static bool is_loopback(const char *host, size_t len)
{
	static const char *const names[] = { "localhost", "127.0.0.1", "[::1]" };
	static const char below[] = ".localhost";
	size_t n = sizeof(below) - 1;

	for (size_t i = 0; i < KT_ARRAY_LEN(names); i++)
		if (strlen(names[i]) == len && strncasecmp(names[i], host, len) == 0)
			return true;
	return len > n && strncasecmp(host + len - n, below, n) == 0;
}

enum kt_code kt_remote_parse(
	const char *url, char **out_server, char **out_project, struct kt_err *err)
{
	const char *at = url, *scheme = NULL, *slash, *host_end;
	KT_AUTOFREE char *server = NULL;
	size_t host_len;

	for (const char *p = url; *p; p++)
		if ((unsigned char)*p <= ' ' || *p == 0x7f)
			return kt_fail(err, KT_EINVAL, 0,
				"the remote's URL holds a blank or control byte");
	if (kt_str_starts(at, "karta::"))
		at += strlen("karta::");
	if (kt_str_starts(at, "karta://")) {
		at += strlen("karta://");
	} else if (kt_str_starts(at, "https://") || kt_str_starts(at, "http://")) {
		scheme = at[4] == 's' ? "https" : "http";
		at = strstr(at, "://") + 3;
	} else {
		kt_fail(err, KT_EINVAL, 0, "'%s' is no address of a project", url);
		return kt_hint(err, "write karta::https://HOST/PROJECT");
	}
	slash = strrchr(at, '/');
	host_len = strcspn(at, "/");
	if (!slash || !slash[1] || !host_len || memchr(at, '@', host_len) || at[0] == '-' ||
		strpbrk(at, "?#\\%")) {
		kt_fail(err, KT_EINVAL, 0, "'%s' names no project of a server", url);
		return kt_hint(err, "write karta::https://HOST/PROJECT, without user or query");
	}
	host_end = at[0] == '[' ? memchr(at, ']', host_len) : memchr(at, ':', host_len);
	if (at[0] == '[' && host_end)
		host_end++;
	if (!scheme)
		scheme = is_loopback(at, host_end ? (size_t)(host_end - at) : host_len) ? "http"
											: "https";
	server = kt_asprintf("%s://%.*s", scheme, (int)(slash - at), at);
	if (out_project)
		*out_project = kt_strdup(slash + 1);
	if (out_server)
		*out_server = KT_STEAL(server);
	return KT_OK;
}

bool kt_remote_is_plain(const char *url)
{
	const char *host = strstr(url, "://");
	size_t n;

	if (!kt_str_starts(url, "http://"))
		return false;
	host += strlen("://");
	n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");
	return !is_loopback(host, n);
}

/* --- the server -------------------------------------------------------------------------- */

/* A copy without the slashes at its end. */
static char *dup_url(const char *url)
{
	size_t n = strlen(url);

	while (n && url[n - 1] == '/')
		n--;
	return kt_strndup(url, n);
}

/* Server of the remote; NULL when there is none, or its address is none of a project. */
static char *server_of_remote(void)
{
	KT_AUTOFREE char *remote = git_remote();
	char *server = NULL;

	if (remote && kt_remote_parse(remote, &server, NULL, NULL) != KT_OK)
		return NULL;
	return server;
}

/* The address that the line, the environment or the folder gives; NULL: none of them. */
static char *given_server(const struct kt_ctx *ctx, bool dev, enum kt_from *from)
{
	char *url = NULL;

	*from = KT_FROM_NOTHING;
	if (ctx->server) {
		*from = ctx->server == kt_env_get("KARTA_SERVER") ? KT_FROM_ENV : KT_FROM_LINE;
		return dup_url(ctx->server);
	}
	if (ctx->profile) {
		*from = KT_FROM_PROFILE;
		return NULL;
	}
	if (dev)
		url = kt_dev_server_url();
	if (url) {
		*from = KT_FROM_DEV;
		return url;
	}
	url = server_of_remote();
	if (url)
		*from = KT_FROM_REMOTE;
	return url;
}

/* Where nobody has signed in and nobody looks, the default would only be a riddle. */
static enum kt_code take_default(struct kt_dest *d, struct kt_err *err)
{
	d->profile.server = kt_local_server_url();
	if (d->profile.server) {
		d->server_from = KT_FROM_LOCAL;
		return KT_OK;
	}
	if (!kt_env_get("CI") && !kt_env_get("GITHUB_ACTIONS")) {
		d->profile.server = kt_strdup(KT_DEFAULT_URL);
		d->server_from = KT_FROM_DEFAULT;
		return KT_OK;
	}
	(void)kt_fail(err, KT_EINVAL, 0, "KARTA_SERVER is not set");
	return kt_hint(err, "set it to the server's address%s; 'karta keys create ci' makes a key",
		kt_env_get("KARTA_API_KEY") ? "" : ", and KARTA_API_KEY to a key of it");
}

enum kt_code kt_dest_server(
	const struct kt_ctx *ctx, bool dev, struct kt_dest *d, struct kt_err *err)
{
	KT_AUTOFREE char *url = given_server(ctx, dev, &d->server_from);
	enum kt_code rc;

	if (url && kt_env_get("KARTA_API_KEY")) {
		d->profile.server = KT_STEAL(url);
		return KT_OK;
	}
	rc = kt_profile_find(
		d->server_from == KT_FROM_PROFILE ? ctx->profile : NULL, url, &d->profile, err);
	if (rc == KT_OK && d->server_from == KT_FROM_NOTHING)
		d->server_from = KT_FROM_LOGIN;
	if (rc != KT_ENOTFOUND || d->server_from == KT_FROM_PROFILE)
		return rc;
	/* No error: nothing of it shall be told later. */
	if (err)
		*err = (struct kt_err)KT_ERR_INIT;
	if (!url)
		return take_default(d, err);
	d->profile.server = KT_STEAL(url);
	return KT_OK;
}

static const char *dest_server_from(const struct kt_dest *d)
{
	static const char *const words[] = {
		[KT_FROM_NOTHING] = "nothing",
		[KT_FROM_LINE] = "--server",
		[KT_FROM_ENV] = "KARTA_SERVER",
		[KT_FROM_PROFILE] = "the profile",
		[KT_FROM_DEV] = "karta dev, which runs here",
		[KT_FROM_REMOTE] = "the git remote",
		[KT_FROM_LOGIN] = "the last login",
		[KT_FROM_LOCAL] = "karta serve, which runs here",
		[KT_FROM_DEFAULT] = "the default",
	};

	return words[d->server_from];
}

/* --- the project ------------------------------------------------------------------------- */

enum kt_code kt_dest_project(
	const struct kt_ctx *ctx, const char *given, struct kt_dest *d, struct kt_err *err)
{
	const char *line = given ? given : ctx->project;
	const char *on = d->profile.server;
	KT_AUTOFREE char *remote = NULL;
	KT_AUTOFREE char *server = NULL;
	KT_AUTOFREE char *there = NULL;

	if (line && !*line)
		return kt_fail(err, KT_EINVAL, 0, "the project's name is empty");
	if (line) {
		d->project = kt_strdup(line);
		d->project_from = line == kt_env_get("KARTA_PROJECT") ? KT_FROM_ENV : KT_FROM_LINE;
		return KT_OK;
	}
	remote = git_remote();
	if (remote && kt_remote_parse(remote, &server, &there, NULL) != KT_OK)
		there = NULL;
	d->project_from = KT_FROM_REMOTE;
	if (there && at_root() && (!on || kt_str_eq(server, on))) {
		d->project = KT_STEAL(there);
		return KT_OK;
	}
	d->project = name_in_toml();
	if (d->project)
		d->project_from = KT_FROM_TOML;
	else
		d->project = KT_STEAL(there);
	if (!d->project)
		d->project_from = KT_FROM_NOTHING;
	return KT_OK;
}

static enum kt_code which_project(const struct kt_dest *d, const cJSON *list, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf names = KT_BUF_INIT(4096);
	const cJSON *p;
	int n = 0;

	cJSON_ArrayForEach (p, list) {
		if (n++ < NAMES_MAX)
			kt_clean_addf(
				&names, "%s%s", n > 1 ? ", " : "", kt_json_str_or(p, "slug", "?"));
	}
	if (list && !n) {
		(void)kt_fail(
			err, KT_EINVAL, 0, "which project? %s has none yet", d->profile.server);
		return kt_hint(err, "'karta init' and 'git push karta main' make one of a folder");
	}
	if (list)
		(void)kt_fail(err, KT_EINVAL, 0,
			"which project? This folder names none, and %s has %s%s", d->profile.server,
			names.ptr, n > NAMES_MAX ? ", ..." : "");
	else
		(void)kt_fail(err, KT_EINVAL, 0,
			"which project? This folder has no karta.toml with a name");
	return kt_hint(err, "name it with --project NAME, or run 'karta init' here");
}

/* Nothing names a project: what the server has decides, its only one or its default. */
static enum kt_code only_project(struct kt_client *c, struct kt_dest *d, struct kt_err *err)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = kt_client_call(c, "GET", "/agent_projects", NULL, &doc, err);
	const cJSON *list = rc == KT_OK ? kt_json_arr(doc, "data") : NULL;
	const cJSON *p, *meant = list && cJSON_GetArraySize(list) == 1 ? list->child : NULL;

	/* A key may be one that lists none. */
	if (rc != KT_OK && rc != KT_EDENIED)
		return rc;
	d->project_from = KT_FROM_ONLY;
	cJSON_ArrayForEach (p, list) {
		if (meant || !kt_json_bool(p, "default", false))
			continue;
		meant = p;
		d->project_from = KT_FROM_DEFAULT;
	}
	if (!meant || !kt_json_str(meant, "slug"))
		return which_project(d, list, err);
	d->project = kt_strdup(kt_json_str(meant, "slug"));
	return KT_OK;
}

/* --- telling ----------------------------------------------------------------------------- */

static bool is_obvious(const struct kt_dest *d)
{
	bool named = d->project_from == KT_FROM_LINE || !d->project;

	switch (d->server_from) {
	case KT_FROM_LINE:
	case KT_FROM_PROFILE:
		return named;
	case KT_FROM_DEV: {
		KT_AUTOFREE char *remote = git_remote();

		return !remote;
	}
	case KT_FROM_REMOTE: {
		KT_AUTOFREE char *name = name_in_toml();

		return named || d->project_from == KT_FROM_TOML ||
			(d->project_from == KT_FROM_REMOTE &&
				(!name || kt_str_eq(name, d->project)));
	}
	case KT_FROM_LOGIN:
		return (named || d->project_from == KT_FROM_TOML) && kt_profile_count() == 1;
	case KT_FROM_LOCAL:
		return named || d->project_from == KT_FROM_TOML;
	case KT_FROM_NOTHING:
	case KT_FROM_ENV:
	case KT_FROM_TOML:
	case KT_FROM_DEFAULT:
	case KT_FROM_ONLY:
		break;
	}
	return false;
}

char *kt_dest_why(const struct kt_dest *d)
{
	static const char *const words[] = {
		[KT_FROM_NOTHING] = "",
		[KT_FROM_LINE] = "",
		[KT_FROM_ENV] = ", project from KARTA_PROJECT",
		[KT_FROM_REMOTE] = ", project from the git remote",
		[KT_FROM_TOML] = ", project from karta.toml",
		[KT_FROM_ONLY] = ", its only project",
		[KT_FROM_DEFAULT] = ", its default project",
	};

	return is_obvious(d)
		? NULL
		: kt_asprintf("server from %s%s", dest_server_from(d), words[d->project_from]);
}

bool kt_dest_elsewhere(const struct kt_dest *d)
{
	KT_AUTOFREE char *remote = git_remote();
	KT_AUTOFREE char *name = name_in_toml();
	KT_AUTOFREE char *server = NULL;
	KT_AUTOFREE char *there = NULL;

	if (kt_str_starts(d->profile.server, "unix:") ||
		(remote && kt_remote_parse(remote, &server, &there, NULL) != KT_OK))
		return false;
	if (server && !kt_str_eq(server, d->profile.server))
		return true;
	return d->project && (there || name) && !kt_str_eq(d->project, there) &&
		!kt_str_eq(d->project, name);
}

void kt_dest_say(const struct kt_ctx *ctx, const struct kt_dest *d)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
	KT_AUTOFREE char *why = NULL;
	KT_AUTOFREE char *text = NULL;

	if (!ctx->errt.is_tty || ctx->quiet || ctx->json)
		return;
	why = kt_dest_why(d);
	if (!why)
		return;
	text = kt_asprintf("%s%s%s (%s)", d->project ? d->project : "", d->project ? " on " : "",
		d->profile.server, why);
	kt_term_add(&b, &ctx->errt, KT_STYLE_DIM, text);
	kt_say_built(ctx, &b);
}

/* --- the client -------------------------------------------------------------------------- */

/* The key that a login made ends: whoever uses it hears of it in time, and why it is refused. */
static void warn_of_end(const struct kt_ctx *ctx, const struct kt_profile *p)
{
	int64_t left = p->expires_us - kt_time_us();
	char at[64];

	if (!p->expires_us || kt_env_get("KARTA_API_KEY") || left > SOON_US)
		return;
	kt_time_ago(p->expires_us, kt_time_us(), at, sizeof(at));
	kt_warn(ctx, "the key for %s %s %s; a new one: karta login --server %s", p->server,
		left <= 0 ? "ended" : "ends", at, p->server);
}

/* The client of a server, or of one project there. */
static enum kt_code open_client(const struct kt_ctx *ctx, const struct kt_profile *found,
	const char *project, struct kt_client **out, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf url = KT_BUF_INIT(65536);
	const char *key = kt_env_get("KARTA_API_KEY");
	struct kt_client_config cfg = { .api_key = key ? key : found->key,
		.named = ctx->server && ctx->server != kt_env_get("KARTA_SERVER"),
		.key_from = key ? "KARTA_API_KEY" : NULL,
		.timeout_ms = ctx->timeout_ms };
	enum kt_code rc;

	if (!key && found->secret_service && !found->key) {
		kt_fail(err, KT_EAUTH, 0, "the key of %s is with the Secret Service, %s",
			found->server, "which does not give it");
		return kt_hint(err, "unlock the keyring, or set KARTA_API_KEY");
	}
	kt_buf_adds(&url, found->server);
	if (project) {
		kt_buf_adds(&url, "/v1/projects/");
		kt_url_segment(&url, project);
	}
	cfg.url = url.ptr;
	rc = kt_client_new(&cfg, out, err);
	if (rc != KT_EINVAL || strstr(url.ptr, "://"))
		return rc;
	(void)kt_fail(err, KT_EINVAL, 0, "'%s' is not the address of a server", url.ptr);
	return kt_hint(err, "it begins with http:// or https://, as %s", KT_DEFAULT_URL);
}

/*
 * An address that was given may be that of a server with many projects, of one project there, or of
 * a local server: that of the folder's remote is the first, and others are asked. Only a server
 * with many says which harnesses it has; nobody needs a key for that.
 */
static enum kt_code has_many(
	const struct kt_ctx *ctx, const struct kt_dest *d, bool *out, struct kt_err *err)
{
	KT_AUTOFREE char *remote = NULL;
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_client *c = NULL;
	enum kt_code rc;

	*out = d->server_from != KT_FROM_DEV;
	if (d->server_from != KT_FROM_LINE && d->server_from != KT_FROM_ENV &&
		d->server_from != KT_FROM_DEFAULT)
		return KT_OK;
	remote = server_of_remote();
	if (kt_str_eq(remote, d->profile.server))
		return KT_OK;
	rc = open_client(ctx, &d->profile, NULL, &c, err);
	if (rc != KT_OK)
		return rc;
	rc = kt_client_call(c, "GET", "/harnesses.json", NULL, &doc, err);
	kt_client_free(c);
	*out = rc == KT_OK && kt_json_arr(doc, "harnesses");
	/* Who does not answer is not asked again. */
	return rc == KT_EUNAVAIL || rc == KT_ETIMEOUT ? rc : KT_OK;
}

enum kt_code kt_dest_open(
	const struct kt_ctx *ctx, struct kt_dest *d, struct kt_client **out, struct kt_err *err)
{
	struct kt_client *c = NULL;
	bool many = false;
	enum kt_code rc;

	/* The socket of `karta run`: one folder, served to its own child. */
	if (ctx->server && kt_str_starts(ctx->server, "unix:")) {
		d->profile.server = kt_strdup(ctx->server);
		d->server_from = KT_FROM_LINE;
		return open_client(ctx, &d->profile, NULL, out, err);
	}
	rc = kt_dest_server(ctx, !ctx->project, d, err);
	if (rc == KT_OK)
		rc = kt_dest_project(ctx, NULL, d, err);
	if (rc == KT_OK)
		rc = has_many(ctx, d, &many, err);
	if (rc != KT_OK)
		return rc;
	warn_of_end(ctx, &d->profile);
	if (!many) {
		free(KT_STEAL(d->project));
		d->project_from = KT_FROM_NOTHING;
	} else if (!d->project) {
		rc = open_client(ctx, &d->profile, NULL, &c, err);
		if (rc == KT_OK)
			rc = only_project(c, d, err);
		kt_client_free(c);
	}
	return rc == KT_OK ? open_client(ctx, &d->profile, d->project, out, err) : rc;
}

enum kt_code kt_remote_open(const struct kt_ctx *ctx, struct kt_client **out, struct kt_err *err)
{
	KT_AUTO_DEST struct kt_dest d = { .project = NULL };
	enum kt_code rc = kt_dest_open(ctx, &d, out, err);

	if (rc == KT_OK)
		kt_dest_say(ctx, &d);
	return rc;
}

enum kt_code kt_remote_start(const struct kt_ctx *ctx, const char *given, struct kt_client **out,
	char **out_project, struct kt_err *err)
{
	KT_AUTO_DEST struct kt_dest d = { .project = NULL };
	struct kt_client *c = NULL;
	enum kt_code rc = kt_dest_server(ctx, false, &d, err);

	if (rc == KT_OK && out_project)
		rc = kt_dest_project(ctx, given, &d, err);
	if (rc != KT_OK)
		return rc;
	warn_of_end(ctx, &d.profile);
	rc = open_client(ctx, &d.profile, NULL, &c, err);
	if (rc == KT_OK && out_project && !d.project)
		rc = only_project(c, &d, err);
	if (rc != KT_OK) {
		kt_client_free(c);
		return rc;
	}
	kt_dest_say(ctx, &d);
	if (out_project)
		*out_project = KT_STEAL(d.project);
	*out = c;
	return KT_OK;
}

enum kt_code kt_remote_open_host(
	const struct kt_ctx *ctx, struct kt_client **out, struct kt_err *err)
{
	return kt_remote_start(ctx, NULL, out, NULL, err);
}

enum kt_code kt_remote_server(const struct kt_ctx *ctx, char **out, struct kt_err *err)
{
	KT_AUTO_DEST struct kt_dest d = { .project = NULL };
	struct kt_client *c;
	enum kt_code rc = kt_dest_server(ctx, false, &d, err);

	if (rc != KT_OK)
		return rc;
	/* A key that cannot be had is no reason not to ask for another one. */
	free(KT_STEAL(d.profile.key));
	d.profile.secret_service = false;
	rc = open_client(ctx, &d.profile, NULL, &c, err);
	if (rc != KT_OK)
		return rc;
	*out = kt_strdup(kt_client_url(c));
	kt_client_free(c);
	return KT_OK;
}

char *kt_remote_given(const struct kt_ctx *ctx)
{
	enum kt_from from;

	return given_server(ctx, false, &from);
}

enum kt_code kt_remote_home(const struct kt_ctx *ctx, char **out, struct kt_err *err)
{
	KT_AUTO_DEST struct kt_dest d = { .project = NULL };
	enum kt_code rc = KT_ENOTFOUND;

	if (ctx->server)
		d.profile.server = dup_url(ctx->server);
	else
		rc = kt_profile_find(ctx->profile, NULL, &d.profile, err);
	if (rc != KT_OK && (rc != KT_ENOTFOUND || (ctx->profile && !ctx->server)))
		return rc;
	*out = d.profile.server ? KT_STEAL(d.profile.server) : kt_strdup(KT_DEFAULT_URL);
	return KT_OK;
}

enum kt_code kt_remote_project(
	const struct kt_ctx *ctx, const char *given, char **out, struct kt_err *err)
{
	KT_AUTO_DEST struct kt_dest d = { .project = NULL };
	enum kt_code rc;

	/* Without the key, which may have to be asked for; the remote is of no profile's server. */
	d.profile.server = given_server(ctx, false, &d.server_from);
	if (d.server_from == KT_FROM_PROFILE)
		d.profile.server = kt_strdup("");
	rc = kt_dest_project(ctx, given, &d, err);
	if (rc == KT_OK && !d.project)
		rc = which_project(&d, NULL, err);
	if (rc == KT_OK)
		*out = KT_STEAL(d.project);
	return rc;
}
