/* SPDX-License-Identifier: MIT */
/*
 * `karta doctor`: looks at everything `karta dev` needs and prints one fix per finding. Programs
 * are run for their version with a time limit. Credentials are looked for, never shown.
 */
#include "cmd/cmd.h"

#include "app/app.h"
#include "base/buf.h"
#include "base/env.h"
#include "base/fs.h"
#include "base/str.h"
#include "base/time.h"
#include "base/vec.h"
#include "cmd/remote.h"
#include "text/clean.h"
#include "text/json.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_MAX_BYTES ((size_t)1024 * 1024)
#define RUN_LIMIT_MS 5000
#define RUN_OUTPUT_MAX 4096
#define DEV_PORT 8000
#define HOSTED_LIMIT_MS 3000 /* for a server to answer about its project */

extern const struct kt_cmd kt_cmd_doctor;

struct doctor_args {
	const char *dir;
};

static const struct kt_opt doctor_opts[] = {
	{ KT_OPT_T_STR, 0, "dir", "DIR", offsetof(struct doctor_args, dir),
		"folder of the application (default: .)", KT_OPT_DIR },
	KT_OPT_END,
};

static void doctor_defaults(void *args)
{
	((struct doctor_args *)args)->dir = ".";
}

enum status { FINE, NOTE, WARNING, ERROR };

struct check {
	enum status status;
	const char *topic;
	const char *text;
	const char *fix; /* or NULL */
};

struct doctor {
	struct kt_arena *arena;
	struct kt_vec checks; /* struct check * in arena */
	size_t n_errors, n_warnings;
};

KT_PRINTF(5, 6)
static void add_check(struct doctor *d, enum status status, const char *topic, const char *fix,
	const char *fmt, ...)
{
	struct check *c = kt_arena_alloc(d->arena, sizeof(*c));
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8192);
	va_list ap;

	va_start(ap, fmt);
	kt_buf_vaddf(&b, fmt, ap);
	va_end(ap);
	c->status = status;
	c->topic = topic;
	c->text = kt_arena_strdup(d->arena, b.ptr);
	c->fix = fix ? kt_arena_strdup(d->arena, fix) : NULL;
	d->n_errors += status == ERROR;
	d->n_warnings += status == WARNING;
	kt_vec_push(&d->checks, c);
}

/* --- running a program ------------------------------------------------------------------- */

/* Read until end, limit or a full buffer; false when the limit passed. */
static bool read_tool_until(int fd, int64_t deadline_us, struct kt_buf *out)
{
	for (;;) {
		struct pollfd p = { fd, POLLIN, 0 };
		int64_t left_ms = (deadline_us - kt_mono_us()) / 1000;
		char bytes[512];
		ssize_t n;

		if (left_ms <= 0)
			return false;
		if (poll(&p, 1, (int)left_ms) <= 0)
			continue;
		n = read(fd, bytes, sizeof(bytes));
		if (n <= 0)
			return n == 0 || errno != EINTR;
		/* What is too much is read and dropped, so that the program does not block. */
		kt_buf_add(out, bytes, (size_t)n);
	}
}

/* Wait for pid until the deadline, then kill its group. Returns the wait status, -1 when killed. */
static int reap_tool(pid_t pid, int64_t deadline_us)
{
	int status;

	for (;;) {
		pid_t got = waitpid(pid, &status, WNOHANG);
		struct timespec pause = { 0, 2000000 };

		if (got == pid)
			return status;
		if ((got < 0 && errno != EINTR) || kt_mono_us() >= deadline_us)
			break;
		(void)nanosleep(&pause, NULL);
	}
	(void)kill(-pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return -1;
}

/* Start argv with output into fd, in a group of its own. Returns 0 or an errno. */
static int start_tool(char *const *argv, int fd, pid_t *out)
{
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	int rc = posix_spawn_file_actions_init(&fa);

	if (rc)
		return rc;
	rc = posix_spawnattr_init(&attr);
	if (rc) {
		posix_spawn_file_actions_destroy(&fa);
		return rc;
	}
	rc = posix_spawn_file_actions_addopen(&fa, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (!rc)
		rc = posix_spawn_file_actions_adddup2(&fa, fd, STDOUT_FILENO);
	if (!rc)
		rc = posix_spawn_file_actions_addopen(&fa, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (!rc)
		rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
	if (!rc)
		rc = posix_spawnattr_setpgroup(&attr, 0);
	if (!rc)
		rc = posix_spawn(out, argv[0], &fa, &attr, argv, kt_env_all());
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&fa);
	return rc;
}

/*
 * Run a program for its output. Returns KT_OK when it exited with 0, KT_ETIMEOUT when it was killed
 * after RUN_LIMIT_MS, KT_EIO otherwise.
 */
static enum kt_code run_tool(char *const *argv, struct kt_buf *out)
{
	int64_t deadline_us = kt_mono_us() + (int64_t)RUN_LIMIT_MS * 1000;
	int fds[2], rc, status;
	bool ended;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return KT_EIO;
	rc = start_tool(argv, fds[1], &pid);
	close(fds[1]);
	if (rc) {
		close(fds[0]);
		return KT_EIO;
	}
	ended = read_tool_until(fds[0], deadline_us, out);
	close(fds[0]);
	status = reap_tool(pid, ended ? deadline_us : 0);
	if (status == -1)
		return KT_ETIMEOUT;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? KT_OK : KT_EIO;
}

/* First word of text that begins with a digit and has a dot: "2.1.197 (Claude Code)". */
static bool find_version(const char *text, char *out, size_t size)
{
	static const char chars[] =
		"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-+_";

	for (const char *p = text; *p;) {
		size_t n;

		p += strcspn(p, "0123456789");
		n = strspn(p, chars);
		if (n && memchr(p, '.', n)) {
			snprintf(out, size, "%.*s", (int)KT_MIN(n, size - 1), p);
			return true;
		}
		p += n;
	}
	return false;
}

/* --- checks ------------------------------------------------------------------------------ */

static void check_doctor_folder(struct doctor *d, const struct kt_app *app)
{
	if (!app->n_errors)
		add_check(d, FINE, "folder", NULL, "%s: %s, %zu %s, %zu %s", app->name,
			app->harness_name, app->n_agents, app->n_agents == 1 ? "agent" : "agents",
			app->n_skills, app->n_skills == 1 ? "skill" : "skills");
	for (const struct kt_finding *f = app->findings; f; f = f->next) {
		struct kt_finding bare = *f;
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8192);
		enum status s = f->severity == KT_ERROR ? ERROR
			: f->severity == KT_WARNING     ? WARNING
							: NOTE;

		/* Only the place: the mark in front of the line is the severity. */
		bare.text = "";
		kt_finding_add(&b, &bare);
		if (f->file)
			kt_buf_truncate(&b, (size_t)(strstr(b.ptr, ": ") + 2 - b.ptr));
		else
			kt_buf_clear(&b);
		kt_buf_adds(&b, f->text);
		add_check(d, s, "folder", f->fix, "%s", b.ptr);
	}
}

/* "2" and "2.1" ask for "2.1.197"; "2.1.1" does not. */
static bool tool_version_fits(const char *wanted, const char *found)
{
	size_t n = strlen(wanted);

	return !strncmp(wanted, found, n) && (!found[n] || strchr(".-+", found[n]));
}

static void check_version(struct doctor *d, const struct kt_app *app, const char *name,
	struct kt_program *p, bool needed)
{
	static char word[] = "--version";
	char *argv[] = { p->path, word, NULL };
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(RUN_OUTPUT_MAX);
	enum kt_code rc = run_tool(argv, &out);

	if (rc == KT_ETIMEOUT) {
		add_check(d, needed ? WARNING : NOTE, "harness", "run it by hand to see why",
			"%s: no answer to --version within %d seconds (%s)", name,
			RUN_LIMIT_MS / 1000, p->path);
	} else if (rc != KT_OK) {
		add_check(d, needed ? ERROR : NOTE, "harness", "install it again",
			"%s: the program does not run (%s)", name, p->path);
	} else if (!find_version(out.ptr, p->version, sizeof(p->version))) {
		add_check(d, FINE, "harness", NULL, "%s: unknown version (%s)", name, p->path);
	} else if (needed && app->harness_version &&
		!tool_version_fits(app->harness_version, p->version)) {
		add_check(d, WARNING, "harness", "install that version, or correct karta.toml",
			"%s %s is not the version %s that [harness] version asks for (%s)", name,
			p->version, app->harness_version, p->path);
	} else {
		add_check(d, FINE, "harness", NULL, "%s %s (%s)", name, p->version, p->path);
	}
}

static void check_doctor_harness(
	struct doctor *d, const struct kt_app *app, enum kt_harness_type type, bool needed)
{
	struct kt_app other = *app;
	struct kt_program p = { 0 };
	struct kt_err err = KT_ERR_INIT;
	const char *name = type == app->harness ? app->harness_name : kt_harness_name(type);

	other.harness = type;
	if (kt_app_program(&other, &p, &err) != KT_OK) {
		if (needed)
			add_check(d, ERROR, "harness", err.hint, "%s: %s", name, err.msg);
		else
			add_check(d, NOTE, "harness", NULL, "%s: not installed, not needed here",
				name);
	} else if (type == KT_HARNESS_ACP) {
		/* Any program at all: it may not know --version and do who knows what. */
		add_check(d, FINE, "harness", NULL, "%s: %s", name, p.path);
	} else {
		check_version(d, app, name, &p, needed);
	}
}

/* Where name has a value: "the environment", ".env", or NULL. */
static const char *bound_in(const struct kt_app *app, const char *name)
{
	size_t n = strlen(name);

	for (char **e = kt_env_all(); *e; e++) {
		if (!strncmp(*e, name, n) && (*e)[n] == '=' && (*e)[n + 1])
			return "the environment";
	}
	for (size_t i = 0; i < app->n_env; i++) {
		if (!strcmp(app->env[i].name, name) && app->env[i].value)
			return ".env";
	}
	return NULL;
}

static void check_claude_credential(struct doctor *d, const struct kt_app *app)
{
	static const char *const names[] = { "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN",
		"CLAUDE_CODE_OAUTH_TOKEN" };
	const char *config = kt_env_get("CLAUDE_CONFIG_DIR"), *home = kt_env_get("HOME");
	KT_AUTOFREE char *file = NULL;

	for (size_t i = 0; i < KT_ARRAY_LEN(names); i++) {
		const char *where = bound_in(app, names[i]);

		if (where) {
			add_check(d, FINE, "credential", NULL, "%s is set in %s", names[i], where);
			return;
		}
	}
	file = config ? kt_path_join(config, ".credentials.json")
		      : kt_path_join(home ? home : "/", ".claude/.credentials.json");
	if (kt_fs_is_file(file))
		add_check(d, FINE, "credential", NULL, "Claude Code is logged in (%s)", file);
	else
		add_check(d, WARNING, "credential",
			"run 'claude' once and log in, or set ANTHROPIC_API_KEY; "
			"'karta dev --offline' needs neither",
			"no credential for Claude Code was found");
}

/* The name of a variable that looks like a provider's key, or NULL; borrowed, ends at "=". */
static const char *provider_key(void)
{
	static const char suffix[] = "_API_KEY";

	for (char **e = kt_env_all(); *e; e++) {
		size_t n = strcspn(*e, "=");

		if (n > strlen(suffix) && (*e)[n] && (*e)[n + 1] && !kt_str_starts(*e, "KARTA_") &&
			!memcmp(*e + n - strlen(suffix), suffix, strlen(suffix)))
			return *e;
	}
	return NULL;
}

static void check_opencode_credential(struct doctor *d, const struct kt_app *app)
{
	const char *data = kt_env_get("XDG_DATA_HOME"), *home = kt_env_get("HOME");
	const char *key = provider_key();
	KT_AUTOFREE char *file = data
		? kt_path_join(data, "opencode/auth.json")
		: kt_path_join(home ? home : "/", ".local/share/opencode/auth.json");

	for (size_t i = 0; !key && i < app->n_env; i++) {
		if (app->env[i].value && kt_str_ends(app->env[i].name, "_API_KEY"))
			key = app->env[i].name;
	}
	if (key)
		add_check(d, FINE, "credential", NULL, "%.*s is set", (int)strcspn(key, "="), key);
	else if (kt_fs_is_file(file))
		add_check(d, FINE, "credential", NULL, "OpenCode is logged in (%s)", file);
	else
		add_check(d, WARNING, "credential",
			"run 'opencode auth login', or set the key of your provider; "
			"'karta dev --offline' needs neither",
			"no credential for OpenCode was found");
}

/* Content of a file of /proc as a number, -1 when it is not there. */
static int64_t read_proc_number(const char *path)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64);
	int64_t v;

	if (kt_fs_read(path, &b, NULL) != KT_OK)
		return -1;
	return kt_str_int64n(b.ptr, strcspn(b.ptr, "\n"), 0, INT64_MAX, &v) ? v : -1;
}

/* karta has none of its own: a harness may make one, with this. */
static void check_sandbox(struct doctor *d)
{
	KT_AUTOFREE char *bwrap = kt_fs_which("bwrap");
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(RUN_OUTPUT_MAX);
	static char user[] = "--unshare-user", pid[] = "--unshare-pid", bind[] = "--ro-bind",
		    root[] = "/", prog[] = "--version";
	char *argv[] = { bwrap, user, pid, bind, root, root, bwrap, prog, NULL };

	if (!bwrap) {
		add_check(d, NOTE, "sandbox", NULL,
			"bwrap is not on PATH: a harness that has a sandbox cannot make one");
		return;
	}
	if (run_tool(argv, &out) == KT_OK) {
		add_check(d, FINE, "sandbox", NULL, "bwrap and user namespaces work (%s)", bwrap);
	} else if (read_proc_number("/proc/sys/user/max_user_namespaces") == 0) {
		add_check(d, NOTE, "sandbox", "sudo sysctl user.max_user_namespaces=15000",
			"user namespaces are switched off (user.max_user_namespaces is 0)");
	} else if (read_proc_number("/proc/sys/kernel/unprivileged_userns_clone") == 0) {
		add_check(d, NOTE, "sandbox", "sudo sysctl kernel.unprivileged_userns_clone=1",
			"user namespaces are for root only (kernel.unprivileged_userns_clone is "
			"0)");
	} else if (read_proc_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") ==
		1) {
		add_check(d, NOTE, "sandbox", "give bwrap an AppArmor profile that allows userns",
			"AppArmor keeps bwrap from making user namespaces");
	} else {
		add_check(d, NOTE, "sandbox",
			"run 'bwrap --unshare-user --ro-bind / / true' to see why",
			"bwrap cannot make a sandbox here, as is usual inside a container");
	}
}

/* Tried, as rights do not tell of a full, read-only or special file system. */
static bool can_make_folder(const char *dir)
{
	KT_AUTOFREE char *probe = kt_path_join(dir, ".karta-doctor-XXXXXX");

	return mkdtemp(probe) && rmdir(probe) == 0;
}

static void check_data(struct doctor *d)
{
	KT_AUTOFREE char *data = kt_dir_data();
	KT_AUTOFREE char *at = kt_strdup(data);
	KT_AUTOFREE char *fix = NULL;
	struct stat st;

	/* Not made yet: then what counts is the folder that it will be made in. */
	while (stat(at, &st) != 0 && errno == ENOENT && !kt_str_eq(at, "/") &&
		!kt_str_eq(at, ".")) {
		char *up = kt_path_dir(at);

		free(at);
		at = up;
	}
	if (!can_make_folder(at)) {
		add_check(d, ERROR, "data",
			"correct its permissions, or set KARTA_DATA to another folder",
			"cannot write to the data folder %s", data);
	} else if (kt_str_eq(at, data) && (st.st_mode & 077) != 0) {
		fix = kt_asprintf("chmod 700 '%s'", data);
		add_check(d, WARNING, "data", fix, "other users can look into the data folder %s",
			data);
	} else {
		add_check(
			d, FINE, "data", NULL, "the data folder %s is writable and private", data);
	}
}

static void check_port(struct doctor *d)
{
	KT_AUTOFD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(DEV_PORT) };
	int on = 1;

	sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0) {
		add_check(d, ERROR, "port", "look at the limits of this machine",
			"cannot make a socket");
		return;
	}
	/* The very steps of the server: a port that is bound but silent shows only at listen(). */
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0 || listen(fd, 1) != 0)
		add_check(d, NOTE, "port", NULL,
			"port %d is taken: karta dev picks the next free one", DEV_PORT);
	else
		add_check(d, FINE, "port", NULL, "port %d is free", DEV_PORT);
}

static void check_git(struct doctor *d)
{
	static char word[] = "--version";
	KT_AUTOFREE char *git = kt_fs_which("git");
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(RUN_OUTPUT_MAX);
	char *argv[] = { git, word, NULL };
	char version[64];

	if (!git)
		add_check(
			d, WARNING, "git", "install git", "git is not on PATH: deploying needs it");
	else if (run_tool(argv, &out) == KT_OK && find_version(out.ptr, version, sizeof(version)))
		add_check(d, FINE, "git", NULL, "git %s (%s)", version, git);
	else
		add_check(d, WARNING, "git", "install it again", "git does not run (%s)", git);
}

/*
 * The project that this folder is deployed to, when something names its server: what is there may
 * lack what is here. Who does not answer at once is not waited for.
 */
static void check_hosted(struct doctor *d, const struct kt_ctx *ctx)
{
	struct kt_ctx brief = *ctx;
	KT_AUTO_CLIENT struct kt_client *c = NULL;
	KT_AUTOFREE char *given = kt_remote_given(ctx);
	KT_AUTOFREE char *project = NULL;
	KT_AUTOFREE char *path = NULL;
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_err err = KT_ERR_INIT;
	const cJSON *name;
	size_t n = 0;

	brief.quiet = true;
	brief.timeout_ms = HOSTED_LIMIT_MS;
	if ((!given && !ctx->profile) || kt_remote_project(ctx, NULL, &project, NULL) != KT_OK ||
		kt_remote_open_host(&brief, &c, &err) != KT_OK)
		return;
	path = kt_remote_path(project, "");
	if (kt_client_call(c, "GET", path, NULL, &doc, &err) != KT_OK) {
		add_check(d, NOTE, "hosted", err.hint[0] ? err.hint : NULL, "%s", err.msg);
		return;
	}
	cJSON_ArrayForEach (name, kt_json_arr(doc, "missing_credentials")) {
		const char *word = cJSON_IsString(name) ? name->valuestring : "?";
		KT_AUTOFREE char *fix = kt_asprintf(
			"karta config set -p %s %s=- <file", project, word);

		add_check(d, WARNING, "hosted", fix, "%s on %s has no %s: its sessions will fail",
			project, kt_client_url(c), word);
		n++;
	}
	if (!n)
		add_check(d, FINE, "hosted", NULL, "%s on %s: %s", project, kt_client_url(c),
			kt_json_str_or(kt_json_obj(doc, "current"), "version", "no release yet"));
}

static void check_doctor_topics(
	struct doctor *d, const struct kt_ctx *ctx, const struct kt_app *app)
{
	static const enum kt_harness_type types[] = { KT_HARNESS_CLAUDE, KT_HARNESS_OPENCODE };
	bool has_harness = app->instructions || app->harness_declared || app->harness_command ||
		!app->n_errors;

	check_doctor_folder(d, app);
	if (app->harness == KT_HARNESS_ACP)
		check_doctor_harness(d, app, app->harness, true);
	for (size_t i = 0; i < KT_ARRAY_LEN(types); i++)
		check_doctor_harness(d, app, types[i], has_harness && types[i] == app->harness);
	if (has_harness && app->harness == KT_HARNESS_CLAUDE)
		check_claude_credential(d, app);
	else if (has_harness && app->harness == KT_HARNESS_OPENCODE)
		check_opencode_credential(d, app);
	check_sandbox(d);
	check_data(d);
	check_port(d);
	check_git(d);
	check_hosted(d, ctx);
}

/* --- output ------------------------------------------------------------------------------ */

static void print_doctor_json(const struct doctor *d, const struct kt_app *app)
{
	static const char *const words[] = { "ok", "note", "warning", "error" };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "schema_version", 1);
	kt_jw_bool(&w, "ok", d->n_errors == 0);
	kt_jw_str(&w, "dir", app->dir);
	kt_jw_int(&w, "errors", (int64_t)d->n_errors);
	kt_jw_int(&w, "warnings", (int64_t)d->n_warnings);
	kt_jw_arr(&w, "checks");
	for (size_t i = 0; i < d->checks.len; i++) {
		const struct check *c = d->checks.items[i];

		kt_jw_obj(&w, NULL);
		kt_jw_str(&w, "topic", c->topic);
		kt_jw_str(&w, "status", words[c->status]);
		kt_jw_str(&w, "text", c->text);
		kt_jw_str(&w, "fix", c->fix);
		kt_jw_obj_end(&w);
	}
	kt_jw_arr_end(&w);
	kt_jw_obj_end(&w);
	kt_buf_addc(&b, '\n');
	kt_out(b.ptr, b.len);
}

static void print_doctor_text(const struct kt_ctx *ctx, const struct doctor *d)
{
	static const struct {
		const char *mark, *ascii;
		enum kt_style style;
	} marks[] = {
		{ "\u2713", "+", KT_STYLE_GREEN },
		{ "-", "-", KT_STYLE_DIM },
		{ "!", "!", KT_STYLE_YELLOW },
		{ "\u2717", "x", KT_STYLE_RED },
	};
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);

	for (size_t i = 0; i < d->checks.len; i++) {
		const struct check *c = d->checks.items[i];

		/* --quiet keeps what wants doing. */
		if (ctx->quiet && c->status < WARNING)
			continue;
		kt_term_add(&b, &ctx->out, marks[c->status].style,
			ctx->out.utf8 ? marks[c->status].mark : marks[c->status].ascii);
		kt_clean_addf(&b, " %-10s ", c->topic);
		kt_clean_add(&b, c->text, strlen(c->text), true);
		kt_buf_addc(&b, '\n');
		if (c->fix) {
			kt_buf_adds(&b, "             fix: ");
			kt_clean_add(&b, c->fix, strlen(c->fix), true);
			kt_buf_addc(&b, '\n');
		}
	}
	kt_out(b.ptr, b.len);
}

static enum kt_code cmd_doctor(struct kt_ctx *ctx, const void *arg, struct kt_err *err)
{
	const struct doctor_args *args = arg;
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct doctor d = { .arena = arena };
	struct kt_app *app;
	enum kt_code rc = kt_app_load(args->dir, NULL, &app, err);

	if (rc != KT_OK)
		return rc;
	check_doctor_topics(&d, ctx, app);
	if (ctx->json)
		print_doctor_json(&d, app);
	else
		print_doctor_text(ctx, &d);
	kt_app_free(app);
	kt_vec_release(&d.checks);
	if (!d.n_errors)
		return KT_OK;
	/* The object that was printed holds the errors; main() would print a second one. */
	if (ctx->json) {
		kt_arena_free(KT_STEAL(arena));
		exit(1);
	}
	return kt_fail(err, KT_EIO, 0, "%zu %s in the way of karta dev", d.n_errors,
		d.n_errors == 1 ? "problem stands" : "problems stand");
}

const struct kt_cmd kt_cmd_doctor = {
	.name = "doctor",
	.summary = "check what karta dev needs, with a fix for each finding",
	.group = KT_GROUP_START,
	.opts = doctor_opts,
	.args_size = sizeof(struct doctor_args),
	.defaults = doctor_defaults,
	.run = cmd_doctor,
	.examples = "karta doctor\nkarta doctor --dir support-bot --json\n",
};
