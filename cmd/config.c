/* SPDX-License-Identifier: MIT */
/* karta config: a project's config vars. A change makes a new release of the live code. */
#include "cmd/cmd.h"

#include "base/env.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"
#include "cmd/config.h"
#include "cmd/git/ship.h"
#include "cmd/remote.h"
#include "text/clean.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct show_args {
	bool shell;
};
struct get_args {
	const char *name;
};
struct set_args {
	struct kt_vec pairs;
	bool no_wait;
};
struct unset_args {
	struct kt_vec names;
	bool no_wait;
};

enum kt_code kt_config_fetch(const struct kt_ctx *ctx, struct kt_client **c, char **project,
	cJSON **out, struct kt_err *err)
{
	KT_AUTOFREE char *path = NULL;
	enum kt_code rc = kt_remote_start(ctx, NULL, c, project, err);

	if (rc != KT_OK)
		return rc;
	path = kt_remote_path(*project, "/config");
	return kt_client_call(*c, "GET", path, NULL, out, err);
}

/* --- list, get --------------------------------------------------------------------------- */

static const struct kt_opt show_opts[] = {
	KT_OPT_FLAG_('s', "shell", struct show_args, shell, "as NAME='value' lines for a shell"),
	KT_OPT_END,
};

/* In single quotes, which sh takes as they are; one inside ends them, is escaped, and begins anew.
 */
static void add_sh_quoted(struct kt_buf *b, const char *s)
{
	kt_buf_addc(b, '\'');
	for (; *s; s++) {
		if (*s == '\'')
			kt_buf_adds(b, "'\\''");
		else
			kt_buf_addc(b, *s);
	}
	kt_buf_addc(b, '\'');
}

/* What is read by a shell must not hold a command of the server's. */
static bool is_name(const char *s)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

	return *s && !(*s >= '0' && *s <= '9') && !s[strspn(s, letters)];
}

static enum kt_code run_config_show(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct show_args *a = args;
	KT_AUTO_JSON cJSON *doc = NULL;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_CONFIG_TEXT_BYTES);
	const cJSON *v;
	bool hidden = false;
	KT_AUTO_CLIENT struct kt_client *c = NULL;
	KT_AUTOFREE char *project = NULL;
	enum kt_code rc = kt_config_fetch(ctx, &c, &project, &doc, err);

	if (rc != KT_OK)
		return rc;
	if (ctx->json) {
		kt_remote_json(ctx, doc);
		return KT_OK;
	}
	v = kt_json_obj(doc, "vars");
	if (v && !v->child)
		kt_say(ctx, "no config vars; 'karta config set NAME=VALUE' sets one");
	cJSON_ArrayForEach (v, kt_json_obj(doc, "vars")) {
		const char *value = cJSON_IsString(v) ? v->valuestring : NULL;

		hidden = hidden || !value;
		if (a->shell && value && !is_name(v->string)) {
			kt_warn(ctx, "'%s' is no name that a shell takes", v->string);
		} else if (a->shell && value) {
			kt_clean_addf(&b, "%s=", v->string);
			add_sh_quoted(&b, value);
			kt_buf_addc(&b, '\n');
		} else if (!a->shell) {
			kt_clean_addf(&b, "%s: %s\n", v->string, value ? value : "(hidden)");
		}
	}
	if (a->shell)
		kt_remote_exact(ctx, b.ptr, b.len);
	else
		kt_remote_text(b.ptr, b.len);
	if (hidden)
		kt_say(ctx, "values are shown to keys with scope admin only");
	return KT_OK;
}

static const struct kt_opt get_opts[] = {
	KT_OPT_ARG_("name", struct get_args, name, KT_OPT_REQUIRED, "the variable"),
	KT_OPT_END,
};

/* The variable that was meant, as far as one can tell; NULL otherwise. */
static const char *near_name(const cJSON *vars, const char *name)
{
	struct kt_vec names = KT_VEC_INIT;
	const char *near = NULL;
	const cJSON *v;

	cJSON_ArrayForEach (v, vars) {
		if (kt_str_ieq(v->string, name))
			near = v->string;
		kt_vec_push(&names, v->string);
	}
	kt_vec_push(&names, NULL);
	if (!near)
		near = kt_str_nearest(name, (const char *const *)names.items);
	kt_vec_release(&names);
	return near;
}

static enum kt_code run_get(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct get_args *a = args;
	KT_AUTO_JSON cJSON *doc = NULL;
	KT_AUTO_CLIENT struct kt_client *c = NULL;
	KT_AUTOFREE char *project = NULL;
	const char *near;
	const cJSON *v;
	enum kt_code rc = kt_config_fetch(ctx, &c, &project, &doc, err);

	if (rc != KT_OK)
		return rc;
	v = kt_json_get(kt_json_obj(doc, "vars"), a->name);
	if (!v) {
		(void)kt_fail(err, KT_ENOTFOUND, 0, "'%s' is not set for %s on %s", a->name,
			project, kt_client_url(c));
		near = near_name(kt_json_obj(doc, "vars"), a->name);
		if (near)
			return kt_hint(err, "did you mean %s?", near);
		return kt_hint(err, "'karta config -p %s' lists what is", project);
	}
	if (!cJSON_IsString(v)) {
		(void)kt_fail(err, KT_EDENIED, 0, "values are shown to keys with scope admin only");
		return kt_client_hint_admin(c, err);
	}
	if (ctx->json) {
		KT_AUTO_JSON cJSON *one = cJSON_CreateObject();

		cJSON_AddStringToObject(one, "name", a->name);
		cJSON_AddStringToObject(one, "value", v->valuestring);
		kt_remote_json(ctx, one);
		return KT_OK;
	}
	kt_remote_exact(ctx, v->valuestring, strlen(v->valuestring));
	kt_out("\n", 1);
	return KT_OK;
}

/* --- set, unset -------------------------------------------------------------------------- */

static const struct kt_opt set_opts[] = {
	KT_OPT_ARGS_("name=value", struct set_args, pairs, KT_OPT_REQUIRED,
		"variables; NAME or NAME=- reads the value from standard input, NAME=@FILE from a "
		"file"),
	KT_OPT_FLAG_(0, "no-wait", struct set_args, no_wait, "do not wait until it is live"),
	{ KT_OPT_T_FLAG, 0, "detach", NULL, offsetof(struct set_args, no_wait), "as --no-wait",
		KT_OPT_HIDDEN },
	KT_OPT_END,
};

static const struct kt_opt unset_opts[] = {
	KT_OPT_ARGS_("name", struct unset_args, names, KT_OPT_REQUIRED, "variables"),
	KT_OPT_FLAG_(0, "no-wait", struct unset_args, no_wait, "do not wait until it is live"),
	KT_OPT_END,
};

enum kt_code kt_config_stdin(struct kt_buf *out, struct kt_err *err)
{
	char piece[4096];
	ssize_t n;

	while ((n = read(STDIN_FILENO, piece, sizeof(piece))) > 0 && kt_buf_ok(out))
		kt_buf_add(out, piece, (size_t)n);
	explicit_bzero(piece, sizeof(piece));
	return n < 0 ? kt_fail(err, KT_EIO, errno, "cannot read standard input") : KT_OK;
}

/* The value of one NAME=VALUE argument, its last line end taken off when it was read. */
static enum kt_code value_of(const char *text, struct kt_buf *out, struct kt_err *err)
{
	bool from_file = true;
	enum kt_code rc = KT_OK;

	if (kt_str_eq(text, "-")) {
		rc = kt_config_stdin(out, err);
	} else if (*text == '@') {
		rc = kt_fs_read(text + 1, out, err);
	} else {
		kt_buf_adds(out, text);
		from_file = false;
	}
	if (rc != KT_OK)
		return rc;
	if (!kt_buf_ok(out))
		return kt_fail(err, KT_ELIMIT, 0, "a value may have %d bytes (fixed)",
			KT_MAX_CONFIG_VALUE_BYTES);
	if (from_file && out->len && out->ptr[out->len - 1] == '\n')
		kt_buf_truncate(out, out->len - 1);
	if (memchr(out->ptr, '\0', out->len))
		return kt_fail(err, KT_EINVAL, 0, "a value may not hold NUL bytes");
	return KT_OK;
}

/* What the server would refuse, too: known here already, it is wrong usage. */
enum kt_code kt_config_check_name(const char *name, struct kt_err *err)
{
	if (kt_env_name_ok(name))
		return KT_OK;
	return kt_fail(err, KT_EINVAL, 0, "'%.80s' cannot be set: " KT_ENV_NAME_RULE, name);
}

/*
 * NAME alone: a person types the value unseen, one line; a script has it on standard input, and
 * whole: NAME=-. Nothing at all is a file that was empty or a pipe that failed, no value.
 */
static enum kt_code read_value(const char *name, bool whole, struct kt_buf *out, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf question = KT_BUF_INIT(256);
	enum kt_code rc;

	if (!whole && isatty(STDIN_FILENO)) {
		kt_clean_addf(&question, "%s (not shown): ", name);
		rc = kt_prompt_unseen(STDIN_FILENO, STDERR_FILENO, question.ptr, out, err);
		if (rc == KT_EINVAL)
			(void)kt_hint(err,
				"karta config set %s=@FILE takes a value of any length and lines",
				name);
	} else {
		rc = value_of("-", out, err);
	}
	if (rc != KT_OK || out->len)
		return rc;
	(void)kt_fail(err, KT_EINVAL, 0, "there is no value for %s on standard input", name);
	return kt_hint(err,
		"karta config set %s=VALUE, or %s=@FILE for what nobody may see; %s= is empty",
		name, name, name);
}

static enum kt_code add_config_pair(struct kt_jw *w, const char *pair, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf value = KT_BUF_INIT(KT_MAX_CONFIG_VALUE_BYTES);
	size_t len = strcspn(pair, "=");
	KT_AUTOFREE char *name = kt_strndup(pair, len);
	enum kt_code rc;

	if (!len) {
		kt_fail(err, KT_EINVAL, 0, "'%s' is not NAME=VALUE", pair);
		return kt_hint(err, "karta config set GREETING='Good morning'");
	}
	rc = kt_config_check_name(name, err);
	if (rc == KT_OK)
		rc = pair[len] && !kt_str_eq(pair + len, "=-")
			? value_of(pair + len + 1, &value, err)
			: read_value(name, pair[len] != '\0', &value, err);
	if (rc == KT_OK)
		kt_jw_strn(w, name, value.ptr, value.len);
	explicit_bzero(value.ptr, value.len);
	return rc;
}

/* The build's lines are told when it fails, or to who wants to hear everything. */
struct follow {
	struct kt_talk talk;
	struct kt_vec lines; /* char * */
};

static void on_config_log(void *arg, const char *level, const char *text)
{
	struct follow *f = arg;

	if (f->talk.ctx->verbose)
		kt_talk_log(&f->talk, level, text);
	else if (kt_str_eq(level, "error"))
		kt_vec_push(&f->lines, kt_strdup(text));
}

static bool on_config_poll(void *arg)
{
	return kt_talk_poll(&((struct follow *)arg)->talk);
}

/* Until the release of a change is live, or it is known that it will not be. */
static enum kt_code wait_live(const struct kt_ctx *ctx, struct kt_client *c, const char *project,
	const cJSON *release, struct kt_err *err)
{
	struct follow f = { .talk = { .ctx = ctx, .prefix = "", .quiet = ctx->quiet },
		.lines = KT_VEC_INIT };
	const struct kt_client_publish p = {
		.project = project, .log = on_config_log, .poll = on_config_poll, .arg = &f
	};
	const char *version = kt_json_str_or(release, "version", "the release");
	KT_AUTO_JSON cJSON *end = NULL;
	enum kt_code rc;

	if (ctx->timeout_ms)
		f.talk.until_us = kt_mono_us() + ctx->timeout_ms * 1000;
	kt_remote_catch_int();
	rc = kt_client_follow_release(c, &p, kt_json_str_or(release, "id", ""), &end, err);
	kt_remote_let_int();
	if (rc == KT_ECANCEL && !f.talk.timed_out)
		kt_remote_die_by_int();
	if (rc == KT_ECANCEL)
		rc = kt_fail(err, KT_ETIMEOUT, 0, "gave up waiting for %s to go live", version);
	for (size_t i = 0; i < f.lines.len; i++) {
		if (rc != KT_OK)
			kt_talk_log(&f.talk, "error", f.lines.items[i]);
		free(f.lines.items[i]);
	}
	kt_vec_release(&f.lines);
	if (rc != KT_OK)
		(void)kt_wrap(err, "the configuration is kept, but not live");
	return rc;
}

enum kt_code kt_config_change(
	const struct kt_ctx *ctx, const char *body, bool no_wait, struct kt_err *err)
{
	KT_AUTOFREE char *project = NULL;
	KT_AUTOFREE char *path = NULL;
	KT_AUTO_JSON cJSON *doc = NULL;
	const cJSON *release;
	struct kt_client *c;
	const char *version;
	enum kt_code rc = kt_remote_start(ctx, NULL, &c, &project, err);

	if (rc != KT_OK)
		return rc;
	path = kt_remote_path(project, "/config");
	rc = kt_client_call(c, "PATCH", path, body, &doc, err);
	release = kt_json_obj(doc, "release");
	version = kt_json_str(release, "version");
	if (rc == KT_OK && version && !no_wait)
		rc = wait_live(ctx, c, project, release, err);
	kt_client_free(c);
	if (rc != KT_OK)
		return rc;
	if (ctx->json)
		kt_remote_json(ctx, doc);
	if (version && no_wait)
		kt_say(ctx, "%s is being made of the new configuration.", version);
	else if (version)
		kt_say(ctx, "Done: %s has the new configuration and is live; new sessions get it.",
			version);
	else
		kt_say(ctx, "Done, without a release: none is live, or nothing has changed.");
	if (version && kt_json_bool(release, "pinned", false))
		kt_say(ctx, "%s stays pinned: %s", project,
			kt_json_str_or(release, "pin_reason", ""));
	return KT_OK;
}

static enum kt_code run_set(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct set_args *a = args;
	KT_AUTO_BUF struct kt_buf body = KT_BUF_INIT(KT_CONFIG_TEXT_BYTES);
	size_t from_stdin = 0;
	struct kt_jw w;
	enum kt_code rc = KT_OK;

	for (size_t i = 0; i < a->pairs.len; i++) {
		const char *eq = strchr(a->pairs.items[i], '=');

		from_stdin += !eq || kt_str_eq(eq + 1, "-");
	}
	if (from_stdin > 1)
		return kt_fail(err, KT_EINVAL, 0,
			"standard input can give the value of one variable only");
	kt_jw_init(&w, &body);
	kt_jw_obj(&w, NULL);
	kt_jw_obj(&w, "set");
	for (size_t i = 0; i < a->pairs.len && rc == KT_OK; i++)
		rc = add_config_pair(&w, a->pairs.items[i], err);
	kt_jw_obj_end(&w);
	kt_jw_obj_end(&w);
	if (rc == KT_OK)
		rc = kt_config_change(ctx, body.ptr, a->no_wait, err);
	explicit_bzero(body.ptr, body.len);
	return rc;
}

/* A variable that a is not set is nothing to fail for, but to say: it may be a slip. */
static void tell_unset(const struct kt_ctx *ctx, const struct unset_args *a)
{
	struct kt_ctx quiet = *ctx; /* where it talks to is said once, by the change */
	KT_AUTO_JSON cJSON *doc = NULL;
	KT_AUTO_CLIENT struct kt_client *c = NULL;
	KT_AUTOFREE char *project = NULL;
	const cJSON *vars;

	quiet.quiet = true;
	if (kt_config_fetch(&quiet, &c, &project, &doc, NULL) != KT_OK)
		return;
	vars = kt_json_obj(doc, "vars");
	for (size_t i = 0; i < a->names.len; i++) {
		const char *name = a->names.items[i];
		const char *near = near_name(vars, name);

		if (!kt_json_get(vars, name))
			kt_say(ctx, "%s was not set%s%s%s", name, near ? "; did you mean " : "",
				near ? near : "", near ? "?" : "");
	}
}

static enum kt_code run_unset(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct unset_args *a = args;
	KT_AUTO_BUF struct kt_buf body = KT_BUF_INIT(KT_CONFIG_TEXT_BYTES);
	struct kt_jw w;
	enum kt_code rc = KT_OK;

	kt_jw_init(&w, &body);
	kt_jw_obj(&w, NULL);
	kt_jw_arr(&w, "unset");
	for (size_t i = 0; i < a->names.len && rc == KT_OK; i++) {
		rc = kt_config_check_name(a->names.items[i], err);
		kt_jw_str(&w, NULL, a->names.items[i]);
	}
	kt_jw_arr_end(&w);
	kt_jw_obj_end(&w);
	if (rc != KT_OK)
		return rc;
	tell_unset(ctx, a);
	return kt_config_change(ctx, body.ptr, a->no_wait, err);
}

static const struct kt_cmd list_cmd = {
	.name = "list",
	.summary = "list the variables",
	.opts = show_opts,
	.args_size = sizeof(struct show_args),
	.run = run_config_show,
	.aliases = "ls",
};
static const struct kt_cmd get_cmd = {
	.name = "get",
	.summary = "print one value",
	.opts = get_opts,
	.args_size = sizeof(struct get_args),
	.run = run_get,
};
static const struct kt_cmd set_cmd = {
	.name = "set",
	.summary = "set variables and release them",
	.opts = set_opts,
	.args_size = sizeof(struct set_args),
	.run = run_set,
	.aliases = "add, put",
};
static const struct kt_cmd unset_cmd = {
	.name = "unset",
	.summary = "remove variables and release that",
	.opts = unset_opts,
	.args_size = sizeof(struct unset_args),
	.run = run_unset,
	.aliases = "rm, remove, delete",
};
static const struct kt_cmd *const subs[] = { &list_cmd, &get_cmd, &set_cmd, &unset_cmd,
	&kt_cmd_config_edit, &kt_cmd_config_import, NULL };

const struct kt_cmd kt_cmd_config = {
	.name = "config",
	.summary = "config vars of a project",
	.group = KT_GROUP_SHIP,
	.opts = show_opts,
	.args_size = sizeof(struct show_args),
	.run = run_config_show,
	.subs = subs,
	.aliases = "env",
	.examples =
		"karta config                                list them\n"
		"karta config set GREETING=hello             set one, and release it\n"
		"karta config set ANTHROPIC_API_KEY=- <file  a secret, not on the command line\n"
		"karta config edit                           all of them in your editor\n"
		"karta config import .env                    what a file has\n",
};
