/* SPDX-License-Identifier: MIT */
/*
 * karta config edit and import: many variables at once, in a dotenv file, as one release.
 *
 * What is edited has values in it, so it lies in a folder of its own that nobody else can open, on
 * the memory file system of the login session where there is one, and the folder goes with all that
 * the editor left there, also when a signal ends the program.
 */
#include "cmd/config.h"

#include "base/env.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "cmd/remote.h"
#include "text/dotenv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_NAME "config.env"

struct edit_args {
	bool no_wait;
};
struct import_args {
	const char *file;
	bool no_wait;
};

/* --- a file as a change ------------------------------------------------------------------ */

struct reading {
	cJSON *vars;
	struct kt_err err; /* of the first line that is wrong */
};

static void bad_edited_line(void *arg, int line, const char *what)
{
	struct reading *r = arg;

	if (r->err.code == KT_OK)
		(void)kt_fail(&r->err, KT_EINVAL, 0, "line %d: %s", line, what);
}

static void take_variable(void *arg, int line, const char *name, const char *value)
{
	struct reading *r = arg;
	struct kt_err err = KT_ERR_INIT;

	if (kt_config_check_name(name, &err) == KT_OK && strlen(value) > KT_MAX_CONFIG_VALUE_BYTES)
		(void)kt_fail(&err, KT_EINVAL, 0, "a value may have %d bytes (fixed)",
			KT_MAX_CONFIG_VALUE_BYTES);
	if (err.code != KT_OK) {
		bad_edited_line(r, line, err.msg);
		return;
	}
	/* The last one counts. */
	cJSON_DeleteItemFromObjectCaseSensitive(r->vars, name);
	(void)cJSON_AddStringToObject(r->vars, name, value);
}

/* The variables of a text as an object; *out is the caller's. */
static enum kt_code read_variables(const struct kt_buf *text, cJSON **out, struct kt_err *err)
{
	struct reading r = { cJSON_CreateObject(), KT_ERR_INIT };

	kt_dotenv_parse(text->ptr, text->len, take_variable, bad_edited_line, &r);
	if (r.err.code != KT_OK) {
		cJSON_Delete(r.vars);
		*err = r.err;
		return err->code;
	}
	*out = r.vars;
	return KT_OK;
}

/* Append the change from `old` to `want` and return of how many variables it is. */
static size_t add_variable_change(
	struct kt_buf *body, const cJSON *old, const cJSON *want, bool remove)
{
	const cJSON *v;
	struct kt_jw w;
	size_t n = 0;

	kt_jw_init(&w, body);
	kt_jw_obj(&w, NULL);
	kt_jw_obj(&w, "set");
	cJSON_ArrayForEach (v, want) {
		if (kt_str_eq(kt_json_str(old, v->string), v->valuestring))
			continue;
		kt_jw_str(&w, v->string, v->valuestring);
		n++;
	}
	kt_jw_obj_end(&w);
	kt_jw_arr(&w, "unset");
	cJSON_ArrayForEach (v, old) {
		if (!remove || kt_json_get(want, v->string) || !kt_env_name_ok(v->string))
			continue;
		kt_jw_str(&w, NULL, v->string);
		n++;
	}
	kt_jw_arr_end(&w);
	kt_jw_obj_end(&w);
	return n;
}

/* --- import ------------------------------------------------------------------------------ */

static const struct kt_opt import_opts[] = {
	KT_OPT_ARG_("file", struct import_args, file, KT_OPT_FILE,
		"file with NAME=value lines; - is standard input"),
	KT_OPT_FLAG_(0, "no-wait", struct import_args, no_wait, "do not wait until it is live"),
	KT_OPT_END,
};

static enum kt_code read_import(
	const struct import_args *a, struct kt_buf *text, struct kt_err *err)
{
	enum kt_code rc;

	if (!a->file && isatty(STDIN_FILENO)) {
		(void)kt_fail(err, KT_EINVAL, 0, "which file?");
		return kt_hint(err, "karta config import .env, or - to read standard input");
	}
	if (a->file && !kt_str_eq(a->file, "-"))
		rc = kt_fs_read(a->file, text, err);
	else
		rc = kt_config_stdin(text, err);
	if (rc == KT_OK && !kt_buf_ok(text))
		rc = kt_fail(err, KT_ELIMIT, 0, "it is larger than %zu bytes (fixed)", text->max);
	return rc;
}

static enum kt_code run_import(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct import_args *a = args;
	const char *shown = a->file && !kt_str_eq(a->file, "-") ? a->file : "standard input";
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_CONFIG_TEXT_BYTES);
	KT_AUTO_BUF struct kt_buf body = KT_BUF_INIT(2 * KT_CONFIG_TEXT_BYTES);
	KT_AUTO_JSON cJSON *vars = NULL;
	enum kt_code rc = read_import(a, &text, err);

	if (rc != KT_OK)
		return rc;
	rc = read_variables(&text, &vars, err);
	explicit_bzero(text.ptr, text.len);
	if (rc != KT_OK)
		return kt_wrap(err, "%s", shown);
	if (!vars->child)
		return kt_fail(err, KT_EINVAL, 0, "%s has no variables", shown);
	(void)add_variable_change(&body, NULL, vars, false);
	rc = kt_config_change(ctx, body.ptr, a->no_wait, err);
	explicit_bzero(body.ptr, body.len);
	return rc;
}

const struct kt_cmd kt_cmd_config_import = {
	.name = "import",
	.summary = "set the variables of a dotenv file and release them",
	.opts = import_opts,
	.args_size = sizeof(struct import_args),
	.run = run_import,
	.aliases = "bulk",
	.examples = "karta config import .env.production\n"
		    "karta config --shell -p shop | karta config import - -p shop-test\n",
};

/* --- the editor -------------------------------------------------------------------------- */

/* For the handler, which may call little. */
static char private_dir[4096], private_file[4096 + sizeof(FILE_NAME) + 1];

/* The file, and what the editor keeps beside it. */
static void on_end(int signum)
{
	static char entries[8192] __attribute__((aligned(8)));
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	int dir = open(private_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n;

	while (dir >= 0 && (n = getdents64(dir, entries, sizeof(entries))) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *e = (const void *)(entries + at);

			(void)unlinkat(dir, e->d_name, 0);
			at += e->d_reclen;
		}
	}
	(void)rmdir(private_dir);
	(void)sigaction(signum, &dfl, NULL);
	(void)raise(signum);
}

static enum kt_code make_private(const char *text, size_t len, struct kt_err *err)
{
	const char *base = kt_env_get("XDG_RUNTIME_DIR");
	static const int ends[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP };
	struct sigaction sa = { .sa_handler = on_end };
	struct stat st;

	/* That of another user (su, sudo) is no place for values: he can put other folders there.
	 */
	if (!base || stat(base, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		base = kt_env_get("TMPDIR");
	if (strlen(base ? base : "") + 64 > sizeof(private_dir))
		return kt_fail(err, KT_EINVAL, 0, "the path of the temporary folder is too long");
	snprintf(private_dir, sizeof(private_dir), "%s/karta-config-XXXXXX", base ? base : "/tmp");
	if (!mkdtemp(private_dir))
		return kt_fail(err, KT_EIO, errno, "cannot make '%s'", private_dir);
	snprintf(private_file, sizeof(private_file), "%s/" FILE_NAME, private_dir);
	for (size_t i = 0; i < KT_ARRAY_LEN(ends); i++)
		(void)sigaction(ends[i], &sa, NULL);
	return kt_fs_write_new(private_file, text, len, 0600, err);
}

static void remove_private(void)
{
	if (private_dir[0])
		(void)!kt_fs_remove_tree(private_dir, NULL);
	private_dir[0] = '\0';
}

/* As git does: the shell reads the variable, which may have options and quotes. */
static enum kt_code run_editor(struct kt_err *err)
{
	const char *editor = kt_env_get("VISUAL");
	struct sigaction ign = { .sa_handler = SIG_IGN }, was_int, was_quit;
	KT_AUTOFREE char *script = NULL;
	char sh[] = "/bin/sh", opt[] = "-c", name[] = "editor";
	char *argv[] = { sh, opt, NULL, name, private_file, NULL };
	posix_spawnattr_t attr;
	sigset_t set;
	pid_t pid;
	int e, status;

	if (!editor)
		editor = kt_env_get("EDITOR");
	/* Who names an editor may have a script; vi without a terminal is nobody's wish. */
	if (!editor && (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))) {
		(void)kt_fail(
			err, KT_ECONFIRM, 0, "an editor needs a person, and there is no terminal");
		return kt_hint(err, "set EDITOR, or use: karta config import FILE");
	}
	if (!editor) {
		KT_AUTOFREE char *vi = kt_fs_which("vi");
		KT_AUTOFREE char *nano = vi ? NULL : kt_fs_which("nano");

		editor = vi ? "vi" : nano ? "nano" : NULL;
	}
	if (!editor) {
		(void)kt_fail(err, KT_ENOTFOUND, 0, "there is no editor");
		return kt_hint(err, "set EDITOR, or use: karta config import FILE");
	}
	script = kt_asprintf("%s \"$@\"", editor);
	argv[2] = script;
	/* Ctrl-C is the editor's while it runs. */
	(void)sigaction(SIGINT, &ign, &was_int);
	(void)sigaction(SIGQUIT, &ign, &was_quit);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGQUIT);
	e = posix_spawnattr_init(&attr);
	if (!e) {
		(void)posix_spawnattr_setsigdefault(&attr, &set);
		(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
		e = posix_spawn(&pid, sh, NULL, &attr, argv, kt_env_all());
		(void)posix_spawnattr_destroy(&attr);
	}
	while (!e && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	(void)sigaction(SIGINT, &was_int, NULL);
	(void)sigaction(SIGQUIT, &was_quit, NULL);
	if (e)
		return kt_fail(err, KT_EIO, e, "cannot start the editor");
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return kt_fail(err, KT_ECANCEL, 0,
			"the editor '%s' did not end well; nothing was changed", editor);
	return KT_OK;
}

/* --- edit -------------------------------------------------------------------------------- */

static const struct kt_opt edit_opts[] = {
	KT_OPT_FLAG_(0, "no-wait", struct edit_args, no_wait, "do not wait until it is live"),
	KT_OPT_END,
};

static enum kt_code write_out(
	const struct kt_ctx *ctx, const cJSON *vars, struct kt_buf *text, struct kt_err *err)
{
	const cJSON *v;

	kt_buf_adds(text,
		"# NAME=value, quoted where needed. What is changed, added or taken out becomes "
		"one\n"
		"# release when the editor ends; an empty file or an error of the editor changes\n"
		"# nothing.\n");
	cJSON_ArrayForEach (v, vars) {
		if (!cJSON_IsString(v))
			return kt_fail(err, KT_EDENIED, 0,
				"values are shown to keys with scope admin only");
		/* A server that has such a name does not get to write lines of the file. */
		if (kt_env_name_ok(v->string))
			kt_dotenv_add(text, v->string, v->valuestring);
		else
			kt_warn(ctx, "'%s' is no name of a variable and stays as it is", v->string);
	}
	return kt_buf_ok(text) ? KT_OK
			       : kt_fail(err, KT_ELIMIT, 0, "the variables are too many to edit");
}

/* One round: the editor, and what it left as a change of *out_n variables. */
static enum kt_code edit_once(
	const cJSON *old, struct kt_buf *body, size_t *out_n, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_CONFIG_TEXT_BYTES);
	KT_AUTO_JSON cJSON *want = NULL;
	enum kt_code rc = run_editor(err);

	if (rc == KT_OK)
		rc = kt_fs_read(private_file, &text, err);
	if (rc == KT_OK)
		rc = read_variables(&text, &want, err);
	explicit_bzero(text.ptr, text.len);
	if (rc != KT_OK)
		return rc;
	/* More likely a mistake than the wish to lose them all. */
	if (!want->child && old && old->child) {
		(void)kt_fail(err, KT_ECANCEL, 0, "the file is empty; nothing was changed");
		return kt_hint(err, "'karta config unset NAME' takes a variable out");
	}
	kt_buf_clear(body);
	*out_n = add_variable_change(body, old, want, true);
	return KT_OK;
}

/* What was typed must not be lost for one line that is wrong. */
static bool edit_again(const struct kt_ctx *ctx, enum kt_code rc, const struct kt_err *why)
{
	struct kt_err err = KT_ERR_INIT;
	bool yes = false;

	if (rc != KT_EINVAL || ctx->no_input)
		return false;
	kt_warn(ctx, "%s", why->msg);
	return kt_prompt_confirm(STDIN_FILENO, STDERR_FILENO, "Edit it again?", "--yes", &yes,
		       &err) == KT_OK &&
		yes;
}

static enum kt_code edit_variables(
	const struct kt_ctx *ctx, const cJSON *vars, bool no_wait, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_CONFIG_TEXT_BYTES);
	KT_AUTO_BUF struct kt_buf body = KT_BUF_INIT(2 * KT_CONFIG_TEXT_BYTES);
	size_t n = 0;
	enum kt_code rc = write_out(ctx, vars, &text, err);

	if (rc == KT_OK)
		rc = make_private(text.ptr, text.len, err);
	explicit_bzero(text.ptr, text.len);
	if (rc != KT_OK)
		return rc;
	do {
		*err = (struct kt_err)KT_ERR_INIT;
		rc = edit_once(vars, &body, &n, err);
		if (rc == KT_OK && n)
			rc = kt_config_change(ctx, body.ptr, no_wait, err);
	} while (edit_again(ctx, rc, err));
	explicit_bzero(body.ptr, body.len);
	if (rc != KT_OK || n)
		return rc;
	if (ctx->json)
		kt_remote_json(ctx, NULL);
	kt_say(ctx, "Nothing has changed.");
	return KT_OK;
}

static enum kt_code run_edit(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct edit_args *a = args;
	KT_AUTO_CLIENT struct kt_client *c = NULL;
	KT_AUTOFREE char *project = NULL;
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = kt_config_fetch(ctx, &c, &project, &doc, err);

	if (rc != KT_OK)
		return rc;
	rc = edit_variables(ctx, kt_json_obj(doc, "vars"), a->no_wait, err);
	remove_private();
	if (rc == KT_EDENIED && !err->hint[0])
		(void)kt_client_hint_admin(c, err);
	return rc;
}

const struct kt_cmd kt_cmd_config_edit = {
	.name = "edit",
	.summary = "change the variables in an editor and release that",
	.opts = edit_opts,
	.args_size = sizeof(struct edit_args),
	.run = run_edit,
};
