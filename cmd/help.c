/* SPDX-License-Identifier: MIT */
/*
 * `karta help`: the overview or a command's help, both from the table. --dump prints the table for
 * scripts/check-docs, which compares it with the manual.
 */
#include "cmd/cmd.h"

#include "base/buf.h"
#include "base/env.h"
#include "base/fs.h"
#include "base/str.h"
#include "cli/help.h"
#include "cmd/foreign.h"
#include "text/clean.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX_BYTES ((size_t)1024 * 1024)
#define DEPTH_MAX 4
#define PLUGINS_MAX 1000

extern const struct kt_cmd kt_cmd_help;

struct help_args {
	bool all;
	bool dump;
	struct kt_vec command;
};

static const struct kt_opt help_opts[] = {
	KT_OPT_FLAG_('a', "all", struct help_args, all, "list the plug-in commands on PATH too"),
	{ KT_OPT_T_FLAG, 0, "dump", NULL, offsetof(struct help_args, dump),
		"print the table of commands for scripts", KT_OPT_HIDDEN },
	KT_OPT_ARGS_("command", struct help_args, command, KT_OPT_COMMAND,
		"the command, and its sub-command; or heroku, fly, gh, vercel, docker, kubectl"),
	KT_OPT_END,
};

static bool name_is_known(const struct kt_vec *names, const char *name)
{
	for (size_t i = 0; i < names->len; i++) {
		if (kt_str_eq(names->items[i], name))
			return true;
	}
	return kt_cmd_find(kt_commands, name) != NULL;
}

/* Collect the karta-NAME programs of one folder that are not hidden by an earlier one. */
static void collect_programs(struct kt_vec *names, const char *dir)
{
	char **files;
	size_t n;

	if (kt_fs_list(dir, &files, &n, NULL) != KT_OK)
		return;
	for (size_t i = 0; i < n && names->len < PLUGINS_MAX; i++) {
		const char *name = files[i] + strlen("karta-");
		KT_AUTOFREE char *path = kt_path_join(dir, files[i]);

		if (!kt_str_starts(files[i], "karta-") || !*name || name_is_known(names, name))
			continue;
		if (kt_fs_is_file(path) && faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0)
			kt_vec_push(names, kt_strdup(name));
	}
	kt_fs_names_free(files, n);
}

static void add_plugins(struct kt_buf *b, const struct kt_term *t)
{
	const char *path = kt_env_get("PATH");
	struct kt_vec names = KT_VEC_INIT;

	while (path && *path) {
		size_t n = strcspn(path, ":");
		KT_AUTOFREE char *dir = n ? kt_strndup(path, n) : kt_strdup(".");

		collect_programs(&names, dir);
		path += n + (path[n] == ':');
	}
	kt_buf_addc(b, '\n');
	kt_term_add(b, t, KT_STYLE_BOLD, "plug-in commands on PATH");
	kt_buf_adds(b, "\n");
	for (size_t i = 0; i < names.len; i++) {
		kt_buf_adds(b, "  ");
		kt_clean_add(b, names.items[i], strlen(names.items[i]), true);
		kt_buf_adds(b, "\n");
		free(names.items[i]);
	}
	if (!names.len)
		kt_buf_adds(b, "  none (a program karta-NAME on PATH is the command NAME)\n");
	kt_vec_release(&names);
}

static void add_dump(struct kt_buf *b, const char *prog)
{
	kt_help_dump(b, prog, kt_commands, kt_global_opts);
	kt_foreign_dump(b);
	for (const struct kt_env_var *v = kt_env_table(); v->name; v++)
		kt_clean_addf(b, "env\t%s\t%s\n", v->name, v->help);
	for (int code = 0; code < KT_CODE_COUNT_; code++)
		kt_clean_addf(b, "exit\t%d\t%s\n", kt_code_exit((enum kt_code)code),
			kt_code_name((enum kt_code)code));
}

void kt_help_all(struct kt_buf *b, const struct kt_term *t, const char *prog)
{
	kt_help_overview(b, t, prog, kt_commands, kt_global_opts,
		"'karta help heroku' has karta's words for Heroku's; so do fly, gh, vercel, "
		"docker, kubectl and others.");
}

/* The command that was perhaps meant, or where the list is. */
static enum kt_code hint_nearest(
	const struct kt_cmd *const *cmds, const char *parent, const char *name, struct kt_err *err)
{
	struct kt_vec names = KT_VEC_INIT;
	const char *near;

	for (size_t i = 0; cmds[i]; i++) {
		if (!cmds[i]->hidden)
			kt_vec_push(&names, (void *)(uintptr_t)cmds[i]->name);
	}
	kt_vec_push(&names, NULL);
	near = kt_str_nearest(name, (const char *const *)names.items);
	if (near)
		(void)kt_hint(err, "did you mean '%s'?", near);
	else
		(void)kt_hint(err, "'karta help%s%s' lists the commands", parent ? " " : "",
			parent ? parent : "");
	kt_vec_release(&names);
	return KT_EINVAL;
}

static enum kt_code unknown_help_topic(const char *name, struct kt_err *err)
{
	KT_AUTOFREE char *plugin = kt_plugin_find(name);

	if (plugin) {
		char help[] = "--help";
		char *const argv[] = { help, NULL };

		return kt_plugin_exec(name, plugin, 1, argv, err);
	}
	(void)kt_fail(err, KT_EINVAL, 0, "no help for '%s': no such command", name);
	return hint_nearest(kt_commands, NULL, name, err);
}

static enum kt_code unknown_sub(const struct kt_cmd *parent, const char *name, struct kt_err *err)
{
	if (!parent->subs)
		return kt_fail(err, KT_EINVAL, 0, "'karta %s' has no sub-commands", parent->name);
	(void)kt_fail(err, KT_EINVAL, 0, "'%s' is not a command of 'karta %s'", name, parent->name);
	return hint_nearest(parent->subs, parent->name, name, err);
}

/* The command that words lead to, with its parents. */
static enum kt_code find_path(
	const struct kt_vec *words, const struct kt_cmd **path, size_t *out_n, struct kt_err *err)
{
	const struct kt_cmd *const *cmds = kt_commands;
	const char *first = words->items[0], *colon = strchr(first, ':');
	KT_AUTOFREE char *head = colon ? kt_strndup(first, (size_t)(colon - first)) : NULL;
	struct kt_vec line = KT_VEC_INIT;
	enum kt_code rc = KT_OK;
	size_t n = 0;

	/* "sessions:list" is "sessions list" here too. */
	if (colon && kt_cmd_find(cmds, head)) {
		kt_vec_push(&line, head);
		kt_vec_push(&line, (void *)(uintptr_t)(colon + 1));
	} else {
		kt_vec_push(&line, words->items[0]);
	}
	for (size_t i = 1; i < words->len; i++)
		kt_vec_push(&line, words->items[i]);
	for (; n < line.len && n < DEPTH_MAX && rc == KT_OK; n++) {
		path[n] = kt_cmd_find(cmds, line.items[n]);
		if (!path[n])
			rc = n ? unknown_sub(path[n - 1], line.items[n], err)
			       : unknown_help_topic(line.items[n], err);
		else
			cmds = path[n]->subs;
	}
	kt_vec_release(&line);
	*out_n = n;
	return rc;
}

/* Karta's words of an entry that has some, without the options: they lead to a command. */
static enum kt_code foreign_path(const struct kt_foreign *f, const char *rest,
	const struct kt_cmd **path, size_t *out_n, struct kt_err *err)
{
	KT_AUTOFREE char *text = kt_strdup(f->to);
	struct kt_vec words = KT_VEC_INIT;
	enum kt_code rc;

	for (char *at = text; *at && *at != '-';) {
		size_t len = strcspn(at, " ");

		kt_vec_push(&words, at);
		at += len;
		if (*at)
			*at++ = '\0';
	}
	if (rest)
		kt_vec_push(&words, (void *)(uintptr_t)rest);
	rc = find_path(&words, path, out_n, err);
	kt_vec_release(&words);
	return rc;
}

static enum kt_code add_help_command(
	struct kt_buf *b, struct kt_ctx *ctx, const struct kt_vec *words, struct kt_err *err)
{
	const struct kt_cmd *path[DEPTH_MAX];
	struct kt_err why = KT_ERR_INIT;
	const struct kt_foreign *f;
	const char *first = words->items[0], *rest;
	size_t n, used, own = strcspn(first, ":");
	KT_AUTOFREE char *head = kt_strndup(first, own);
	enum kt_code rc = find_path(words, path, &n, &why);

	if (rc == KT_OK) {
		kt_help_command(b, &ctx->out, ctx->prog, path, n, kt_global_opts);
		return KT_OK;
	}
	if (words->len == 1 && kt_foreign_knows(first)) {
		kt_foreign_help(b, &ctx->out, first);
		return KT_OK;
	}
	f = kt_foreign_find((const char *const *)words->items, words->len,
		kt_cmd_find(kt_commands, head) ? 2 : 1, &used, &rest);
	if (!f) {
		*err = why;
		return rc;
	}
	if (!f->to)
		return kt_fail(err, KT_EINVAL, 0, "no '%s' here: %s", f->words, f->say);
	rc = foreign_path(f, rest, path, &n, err);
	if (rc != KT_OK)
		return rc;
	kt_say(ctx, "'%s' is 'karta %s' here:", f->words, f->to);
	kt_help_command(b, &ctx->out, ctx->prog, path, n, kt_global_opts);
	return KT_OK;
}

static enum kt_code cmd_help(struct kt_ctx *ctx, const void *arg, struct kt_err *err)
{
	const struct help_args *args = arg;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);
	enum kt_code rc = KT_OK;

	if (args->dump)
		add_dump(&b, ctx->prog);
	else if (args->command.len)
		rc = add_help_command(&b, ctx, &args->command, err);
	else
		kt_help_all(&b, &ctx->out, ctx->prog);
	if (rc != KT_OK)
		return rc;
	if (args->all)
		add_plugins(&b, &ctx->out);
	kt_out_text(ctx, b.ptr);
	return KT_OK;
}

const struct kt_cmd kt_cmd_help = {
	.name = "help",
	.summary = "show help about karta or a command",
	.group = KT_GROUP_OTHER,
	.opts = help_opts,
	.args_size = sizeof(struct help_args),
	.run = cmd_help,
	.examples = "karta help dev\nkarta sessions show --help\n"
		    "karta help heroku            its commands, and karta's\n",
};
