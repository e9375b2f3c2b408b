/* SPDX-License-Identifier: MIT */
/* Finding server, key and project; what commands print of them; Ctrl-C as a counter. */
#include "cmd/remote.h"

#include "app/app.h"
#include "base/clean.h"
#include "base/env.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"
#include "cmd/devdir.h"
#include "cmd/profile.h"
#include "text/toml.h"

#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define GIT_CONFIG_BYTES ((size_t)1024 * 1024)
#define DEFAULT_URL "http://localhost:8000"
#define DAY_US (24 * 3600 * (int64_t)1000000)
#define SOON_US (7 * DAY_US) /* before the end of a key its user is told */

static volatile sig_atomic_t ints;

/* --- the server ----------------------------------------------------------------------------------
 */

/* The nearest folder above that holds `name`, joined with it; NULL when none does. */
static char *find_above(const char *name)
{
	char *dir = NULL;

	if (kt_path_real(".", &dir, NULL) != KT_OK)
		return NULL;
	for (;;) {
		char *path = kt_path_join(dir, name);
		char *up;

		if (kt_fs_is_file(path)) {
			free(dir);
			return path;
		}
		free(path);
		if (kt_str_eq(dir, "/"))
			break;
		up = kt_path_dir(dir);
		free(dir);
		dir = up;
	}
	free(dir);
	return NULL;
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
 * URL of the remote `karta` in the repository's own configuration file; NULL when there is none. A
 * look at the plain form that `git remote add` writes: libgit2 would take longer than most
 * commands.
 */
static char *git_remote(void)
{
	KT_AUTOFREE char *path = find_above(".git/config");
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(GIT_CONFIG_BYTES);
	bool in = false;

	if (!path || !is_ours(path) || kt_fs_read(path, &b, NULL) != KT_OK)
		return NULL;
	for (char *line = b.ptr, *end; *line; line = end) {
		size_t len = strcspn(line, "\n");

		end = line + len + (line[len] == '\n');
		line[len] = '\0';
		line += strspn(line, " \t");
		if (*line == '[') {
			in = kt_str_starts(line, "[remote \"karta\"]");
		} else if (in && kt_str_starts(line, "url")) {
			line += 3;
			line += strspn(line, " \t");
			if (*line++ == '=')
				return kt_strdup(line + strspn(line, " \t"));
		}
	}
	return NULL;
}

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

/*
 * What --server, --profile, the folder and the profiles say. *out_many: not by an address that was
 * given, nor by that of a local server, which have one project.
 */
static enum kt_code find_server(const struct kt_ctx *ctx, bool dev, struct kt_profile *out,
	bool *out_many, struct kt_err *err)
{
	KT_AUTOFREE char *remote = NULL;
	KT_AUTOFREE char *url = NULL;
	enum kt_code rc;

	*out_many = false;
	if (ctx->server) {
		url = kt_strdup(ctx->server);
	} else if (ctx->profile) {
		*out_many = true;
		return kt_profile_find(ctx->profile, NULL, out, err);
	} else {
		url = dev ? kt_dev_server_url() : NULL;
		remote = url ? NULL : git_remote();
		if (remote && kt_remote_parse(remote, &url, NULL, NULL) != KT_OK)
			url = NULL;
		*out_many = remote && url;
	}
	for (size_t n = url ? strlen(url) : 0; n && url[n - 1] == '/'; n--)
		url[n - 1] = '\0';
	if (kt_env_get("KARTA_API_KEY") && url) {
		out->server = KT_STEAL(url);
		return KT_OK;
	}
	rc = kt_profile_find(NULL, url, out, err);
	if (rc == KT_OK && !url)
		*out_many = true;
	if (rc == KT_ENOTFOUND) {
		/* No error: nothing of it shall be told later. */
		if (err)
			*err = (struct kt_err)KT_ERR_INIT;
		if (!url)
			url = kt_local_server_url();
		out->server = url ? KT_STEAL(url) : kt_strdup(DEFAULT_URL);
		rc = KT_OK;
	}
	return rc;
}

/* The key that a login made ends: whoever uses it hears of it in time, and why it is refused. */
static void warn_of_end(const struct kt_ctx *ctx, const struct kt_profile *p)
{
	int64_t left = p->expires_us - kt_time_us();
	char at[64];

	if (!p->expires_us || kt_env_get("KARTA_API_KEY") || left > SOON_US)
		return;
	kt_time_iso(p->expires_us, false, at, sizeof(at));
	if (left <= 0)
		kt_warn(ctx, "the key for %s ended at %s; a new one: karta login", p->server, at);
	else
		kt_warn(ctx, "the key for %s ends in %lld days, at %s; a new one: karta login",
			p->server, (long long)(left / DAY_US), at);
}

/* The client of a server, or of one project there. */
static enum kt_code open_client(const struct kt_ctx *ctx, const struct kt_profile *found,
	const char *project, struct kt_client **out, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf url = KT_BUF_INIT(65536);
	const char *key = kt_env_get("KARTA_API_KEY");
	struct kt_client_config cfg = { .api_key = key ? key : found->key,
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
	return kt_hint(err, "it begins with http:// or https://, as %s", DEFAULT_URL);
}

/* The project of the remote, when its server is the one that is meant; NULL otherwise. */
static char *project_of_remote(const struct kt_ctx *ctx, const char *remote)
{
	KT_AUTOFREE char *server = NULL;
	char *project = NULL;
	size_t n = ctx->server ? strlen(ctx->server) : 0;

	if (!remote || kt_remote_parse(remote, &server, &project, NULL) != KT_OK)
		return NULL;
	while (n && ctx->server[n - 1] == '/')
		n--;
	if ((!ctx->server || (strlen(server) == n && !strncmp(server, ctx->server, n))) &&
		!(ctx->profile && !ctx->server))
		return project;
	free(project);
	return NULL;
}

/*
 * An address that was given may be that of a server with many projects, of one project there, or of
 * a local server: that of the folder's remote is the first, and others are asked. Only a server
 * with many says which harnesses it has; nobody needs a key for that.
 */
static bool has_projects(const struct kt_ctx *ctx, const struct kt_profile *found)
{
	KT_AUTOFREE char *remote = git_remote();
	KT_AUTOFREE char *project = ctx->server ? project_of_remote(ctx, remote) : NULL;
	struct kt_client *c = NULL;
	KT_AUTO_JSON cJSON *doc = NULL;
	bool many;

	if (!ctx->server || project)
		return project;
	if (open_client(ctx, found, NULL, &c, NULL) != KT_OK)
		return false;
	many = kt_client_call(c, "GET", "/harnesses.json", NULL, &doc, NULL) == KT_OK &&
		kt_json_arr(doc, "harnesses");
	kt_client_free(c);
	return many;
}

enum kt_code kt_remote_open(const struct kt_ctx *ctx, struct kt_client **out, struct kt_err *err)
{
	KT_AUTO_PROFILE struct kt_profile found = { 0 };
	KT_AUTOFREE char *named = NULL;
	const char *project = ctx->project;
	bool many;
	enum kt_code rc;

	/* The socket of `karta run`: one folder, served to its own child. */
	if (ctx->server && kt_str_starts(ctx->server, "unix:")) {
		found.server = kt_strdup(ctx->server);
		return open_client(ctx, &found, NULL, out, err);
	}
	rc = find_server(ctx, !project, &found, &many, err);
	if (rc != KT_OK)
		return rc;
	if (!project && kt_remote_project(ctx, NULL, &named, NULL) == KT_OK &&
		(many || has_projects(ctx, &found)))
		project = named;
	warn_of_end(ctx, &found);
	return open_client(ctx, &found, project, out, err);
}

enum kt_code kt_remote_open_host(
	const struct kt_ctx *ctx, struct kt_client **out, struct kt_err *err)
{
	KT_AUTO_PROFILE struct kt_profile found = { 0 };
	bool many;
	enum kt_code rc = find_server(ctx, false, &found, &many, err);

	if (rc != KT_OK)
		return rc;
	warn_of_end(ctx, &found);
	return open_client(ctx, &found, NULL, out, err);
}

enum kt_code kt_remote_server(const struct kt_ctx *ctx, char **out, struct kt_err *err)
{
	KT_AUTO_PROFILE struct kt_profile found = { 0 };
	struct kt_client *c;
	bool many;
	enum kt_code rc = find_server(ctx, false, &found, &many, err);

	if (rc != KT_OK)
		return rc;
	/* A key that cannot be had is no reason not to ask for another one. */
	free(found.key);
	found.key = NULL;
	found.secret_service = false;
	rc = open_client(ctx, &found, NULL, &c, err);
	if (rc != KT_OK)
		return rc;
	*out = kt_strdup(kt_client_url(c));
	kt_client_free(c);
	return KT_OK;
}

/* --- the project ------------------------------------------------------------------------- */

/* `name` of the nearest karta.toml above; NULL when there is none. */
static char *name_in_toml(void)
{
	KT_AUTOFREE char *path = find_above("karta.toml");
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
	KT_AUTOFREE char *toml = find_above("karta.toml");
	KT_AUTOFREE char *config = find_above(".git/config");
	size_t n = toml ? strlen(toml) - strlen("karta.toml") : 0;

	return !toml ||
		(config && !strncmp(toml, config, n) && kt_str_eq(config + n, ".git/config"));
}

enum kt_code kt_remote_project(
	const struct kt_ctx *ctx, const char *given, char **out, struct kt_err *err)
{
	KT_AUTOFREE char *remote = NULL;

	if (!given)
		given = ctx->project;
	if (given && !*given)
		return kt_fail(err, KT_EINVAL, 0, "the project's name is empty");
	if (given) {
		*out = kt_strdup(given);
		return KT_OK;
	}
	remote = git_remote();
	*out = at_root() ? project_of_remote(ctx, remote) : NULL;
	if (!*out)
		*out = name_in_toml();
	if (*out || (remote && kt_remote_parse(remote, NULL, out, NULL) == KT_OK))
		return KT_OK;
	kt_fail(err, KT_EINVAL, 0, "which project? This folder has no karta.toml with a name");
	return kt_hint(err, "name it with --project NAME, or run 'karta init' here");
}

enum kt_code kt_remote_start(const struct kt_ctx *ctx, const char *given, struct kt_client **out,
	char **out_project, struct kt_err *err)
{
	enum kt_code rc = out_project ? kt_remote_project(ctx, given, out_project, err) : KT_OK;

	return rc == KT_OK ? kt_remote_open_host(ctx, out, err) : rc;
}

char *kt_remote_path(const char *project, const char *rest)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);

	kt_buf_adds(&b, "/agent_projects/");
	kt_url_segment(&b, project);
	kt_buf_adds(&b, rest);
	return kt_buf_take(&b);
}

/* --- printing ---------------------------------------------------------------------------- */

void kt_remote_json(const struct kt_ctx *ctx, const cJSON *doc)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "schema_version", 1);
	for (const cJSON *m = doc ? doc->child : NULL; m; m = m->next)
		kt_jw_json(&w, m->string, m);
	kt_jw_obj_end(&w);
	kt_remote_json_line(b.ptr, b.len);
}

void kt_remote_field(
	struct kt_buf *b, const struct kt_ctx *ctx, const char *name, const char *value)
{
	char label[24];

	if (!value || !*value)
		return;
	snprintf(label, sizeof(label), "%-12s", name);
	kt_term_add(b, &ctx->out, KT_STYLE_DIM, label);
	kt_clean_add(b, value, strlen(value), true);
	kt_buf_addc(b, '\n');
}

void kt_remote_ago(const cJSON *obj, const char *key, char *out, size_t size)
{
	int64_t us;

	if (kt_time_parse(kt_json_str_or(obj, key, ""), &us))
		kt_time_ago(us, kt_time_us(), out, size);
	else
		kt_str_copy(out, size, "-");
}

char *kt_remote_pin(const cJSON *obj)
{
	const char *by = kt_json_str(obj, "pinned_by");
	char ago[64];

	if (!kt_json_bool(obj, "pinned", false))
		return NULL;
	kt_remote_ago(obj, "pinned_at", ago, sizeof(ago));
	return kt_asprintf("%s%s%s: %s", ago, by ? " by " : "", by ? by : "",
		kt_json_str_or(obj, "pin_reason", "no reason given"));
}

void kt_remote_pin_fields(struct kt_buf *b, const struct kt_ctx *ctx, const cJSON *obj)
{
	const char *by = kt_json_str(obj, "pinned_by"), *at = kt_json_str(obj, "pinned_at");
	KT_AUTOFREE char *who = kt_asprintf(
		"%s%s%s", by ? by : "", by && at ? ", " : "", at ? at : "");

	if (!kt_json_bool(obj, "pinned", false))
		return;
	kt_remote_field(b, ctx, "pinned", kt_json_str_or(obj, "pin_reason", "yes"));
	kt_remote_field(b, ctx, "pinned by", who);
}

enum kt_code kt_remote_check_mode(const char *session, const char *mode, struct kt_err *err)
{
	if (!session || !mode)
		return KT_OK;
	(void)kt_fail(
		err, KT_EINVAL, 0, "--permission-mode is for a new session, not with --session");
	return kt_hint(err, "karta sessions show %s says which mode it has", session);
}

enum kt_code kt_remote_confirm(const struct kt_ctx *ctx, const char *what, const char *name,
	const char *given, struct kt_err *err)
{
	char typed[256];
	size_t n = 0;

	if (given && !kt_str_eq(given, name))
		return kt_fail(
			err, KT_EINVAL, 0, "--confirm says '%s', the name is '%s'", given, name);
	if (given || ctx->yes)
		return KT_OK;
	if (ctx->no_input) {
		kt_fail(err, KT_ECONFIRM, 0, "a confirmation is needed to %s", what);
		return kt_hint(err, "add --confirm=%s", name);
	}
	kt_say(ctx, "To %s, type its name, %s:", what, name);
	while (n + 1 < sizeof(typed) && read(STDIN_FILENO, typed + n, 1) == 1 && typed[n] != '\n')
		n++;
	typed[n] = '\0';
	if (!kt_str_eq(typed, name))
		return kt_fail(err, KT_ECANCEL, 0, "not confirmed; nothing was done");
	return KT_OK;
}

void kt_remote_text(const char *text, size_t len)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8 * TEXT_MAX_BYTES);

	kt_clean_add(&b, text, len, false);
	kt_out(b.ptr, b.len);
}

void kt_remote_exact(const struct kt_ctx *ctx, const char *text, size_t len)
{
	if (ctx->out.is_tty)
		kt_remote_text(text, len);
	else
		kt_out_raw(text, len);
}

void kt_remote_json_line(const char *json, size_t len)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8 * TEXT_MAX_BYTES);

	kt_buf_add(&b, json, len);
	/* Inside a string it would be an escape: what is between values stays on the line. */
	for (size_t i = 0; i < b.len; i++) {
		if (b.ptr[i] == '\n' || b.ptr[i] == '\r' || b.ptr[i] == '\t')
			b.ptr[i] = ' ';
	}
	kt_buf_addc(&b, '\n');
	kt_out(b.ptr, b.len);
}

static void on_int(int signum)
{
	ints = ints + 1;
}

void kt_remote_catch_int(void)
{
	struct sigaction sa = { .sa_handler = on_int };

	ints = 0;
	(void)sigaction(SIGINT, &sa, NULL);
}

void kt_remote_die_by_int(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };

	(void)sigaction(SIGINT, &dfl, NULL);
	(void)raise(SIGINT);
	_exit(128 + SIGINT);
}

int kt_remote_ints(void)
{
	return ints;
}
