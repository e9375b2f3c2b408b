/* SPDX-License-Identifier: MIT */
/*
 * Help text and the machine-readable dump, both read off the command table. The usage line is made
 * in one place, so --help, error messages and the man pages' synopsis cannot differ.
 */
#include "cli/help.h"

#include "base/str.h"

#include <string.h>

#define DEPTH_MAX 4 /* sub-commands of sub-commands are two deep at most */
#define LEFT_MAX 26 /* wider names put their text on the next line */
#define TEXT_MAX_BYTES ((size_t)64 * 1024)

static bool is_opt_in_help(const struct kt_opt *o)
{
	return !(o->flags & KT_OPT_HIDDEN);
}

static bool in_list(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = list; p && *p; p += strspn(p, ", ")) {
		size_t n = strcspn(p, ", ");

		if (n == len && !memcmp(p, name, n))
			return true;
		p += n;
	}
	return false;
}

const struct kt_cmd *kt_cmd_find(const struct kt_cmd *const *cmds, const char *name)
{
	for (size_t i = 0; cmds && cmds[i]; i++) {
		if (kt_str_eq(cmds[i]->name, name) || in_list(cmds[i]->aliases, name))
			return cmds[i];
	}
	return NULL;
}

void kt_cmd_path_add(struct kt_buf *b, const struct kt_cmd *const *path, size_t n)
{
	for (size_t i = 0; i < n; i++)
		kt_buf_addf(b, "%s%s", i ? " " : "", path[i]->name);
}

static void walk_cmds(const struct kt_cmd *const *cmds, const struct kt_cmd **path, size_t n,
	kt_cmd_walk_fn fn, void *arg)
{
	kt_assert(n < DEPTH_MAX);
	for (size_t i = 0; cmds && cmds[i]; i++) {
		if (cmds[i]->hidden)
			continue;
		path[n] = cmds[i];
		fn(arg, path, n + 1);
		walk_cmds(cmds[i]->subs, path, n + 1, fn, arg);
	}
}

void kt_cmd_walk(const struct kt_cmd *const *cmds, kt_cmd_walk_fn fn, void *arg)
{
	const struct kt_cmd *path[DEPTH_MAX];

	walk_cmds(cmds, path, 0, fn, arg);
}

/* "[--port PORT]", "<session>", "[<text>...]": one word of the usage line. */
static void add_usage_word(struct kt_buf *b, const struct kt_opt *o)
{
	bool required = (o->flags & KT_OPT_REQUIRED) != 0;

	if (kt_opt_is_arg(o)) {
		kt_buf_addf(b, "%s<%s>%s%s", required ? "" : "[", o->name,
			o->type == KT_OPT_T_ARGS ? "..." : "", required ? "" : "]");
		return;
	}
	kt_buf_addc(b, '[');
	if (o->name)
		kt_buf_addf(b, "--%s", o->name);
	else
		kt_buf_addf(b, "-%c", o->short_name);
	if (kt_opt_takes_value(o))
		kt_buf_addf(b, " %s", o->value ? o->value : "VALUE");
	kt_buf_addc(b, ']');
	if (o->type == KT_OPT_T_LIST)
		kt_buf_adds(b, "...");
}

static void usage_words(
	struct kt_vec *words, const char *prog, const struct kt_cmd *const *path, size_t n)
{
	const struct kt_cmd *cmd = path[n - 1];
	struct kt_buf first = KT_BUF_INIT(256);

	kt_buf_addf(&first, "%s ", prog);
	kt_cmd_path_add(&first, path, n);
	kt_vec_push(words, kt_buf_take(&first));
	if (cmd->subs && !cmd->run) {
		kt_vec_push(words, kt_strdup("<command>"));
		kt_vec_push(words, kt_strdup("[<args>...]"));
		return;
	}
	for (int args = 0; args < 2; args++) {
		for (const struct kt_opt *o = cmd->opts; o && o->type != KT_OPT_T_END; o++) {
			struct kt_buf word = KT_BUF_INIT(256);

			if (!is_opt_in_help(o) || kt_opt_is_arg(o) != (args == 1))
				continue;
			add_usage_word(&word, o);
			kt_vec_push(words, kt_buf_take(&word));
		}
	}
}

static void release_words(struct kt_vec *words)
{
	for (size_t i = 0; i < words->len; i++)
		free(words->items[i]);
	kt_vec_release(words);
}

void kt_help_usage(struct kt_buf *b, const char *prog, const struct kt_cmd *const *path, size_t n)
{
	struct kt_vec words = KT_VEC_INIT;

	usage_words(&words, prog, path, n);
	for (size_t i = 0; i < words.len; i++)
		kt_buf_addf(b, "%s%s", i ? " " : "", (const char *)words.items[i]);
	release_words(&words);
}

void kt_help_usage_folded(struct kt_buf *b, const struct kt_term *t, const char *prog,
	const struct kt_cmd *const *path, size_t n)
{
	struct kt_vec words = KT_VEC_INIT;
	size_t limit = (size_t)KT_MAX(t->columns, 40);
	size_t indent, at;

	usage_words(&words, prog, path, n);
	kt_term_add(b, t, KT_STYLE_BOLD, "usage:");
	indent = strlen("usage: ") + strlen(words.items[0]);
	if (indent > limit / 2)
		indent = 11;
	at = strlen("usage:");
	for (size_t i = 0; i < words.len; i++) {
		size_t w = kt_term_width(words.items[i]);

		if (i && at + 1 + w > limit) {
			kt_buf_addf(b, "\n%*s", (int)indent, "");
			at = indent;
		}
		kt_buf_addf(b, " %s", (const char *)words.items[i]);
		at += 1 + w;
	}
	kt_buf_addc(b, '\n');
	release_words(&words);
}

/* Append text folded at blanks; the cursor is at column `from`, further lines start there too. */
static void add_folded(struct kt_buf *b, const struct kt_term *t, size_t from, const char *text)
{
	size_t limit = (size_t)KT_MAX(t->columns, 40);
	size_t at = from;

	while (*text) {
		size_t n = strcspn(text, " ");
		KT_AUTOFREE char *word = kt_strndup(text, n);
		size_t w = kt_term_width(word);

		if (at > from && at + 1 + w > limit) {
			kt_buf_addf(b, "\n%*s", (int)from, "");
			at = from;
		}
		if (at > from) {
			kt_buf_addc(b, ' ');
			at++;
		}
		kt_buf_adds(b, word);
		at += w;
		text += n;
		text += strspn(text, " ");
	}
	kt_buf_addc(b, '\n');
}

void kt_help_item(struct kt_buf *b, const struct kt_term *t, const char *left, size_t left_width,
	const char *text)
{
	size_t w = kt_term_width(left);

	kt_buf_adds(b, "  ");
	kt_term_add(b, t, KT_STYLE_CYAN, left);
	if (w > left_width)
		kt_buf_addf(b, "\n%*s", (int)left_width + 4, "");
	else
		kt_buf_addf(b, "%*s", (int)(left_width - w) + 2, "");
	add_folded(b, t, left_width + 4, text);
}

static void add_title(struct kt_buf *b, const struct kt_term *t, const char *title)
{
	kt_buf_addc(b, '\n');
	kt_term_add(b, t, KT_STYLE_BOLD, title);
	kt_buf_addc(b, '\n');
}

/* "-p, --port PORT" */
static char *opt_left(const struct kt_opt *o)
{
	struct kt_buf b = KT_BUF_INIT(256);

	if (kt_opt_is_arg(o)) {
		kt_buf_addf(&b, "<%s>", o->name);
		return kt_buf_take(&b);
	}
	if (o->short_name)
		kt_buf_addf(&b, "-%c%s", o->short_name, o->name ? ", " : "");
	else
		kt_buf_adds(&b, "    ");
	if (o->name)
		kt_buf_addf(&b, "--%s", o->name);
	if (kt_opt_takes_value(o))
		kt_buf_addf(&b, " %s", o->value ? o->value : "VALUE");
	return kt_buf_take(&b);
}

static char *opt_right(const struct kt_opt *o)
{
	struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);

	kt_buf_adds(&b, o->help ? o->help : "");
	for (size_t i = 0; o->choices && o->choices[i]; i++)
		kt_buf_addf(&b, "%s%s", i ? ", " : ": ", o->choices[i]);
	return kt_buf_take(&b);
}

/* A titled list of the options (or, with args, of the positionals) of a table. */
static void add_opts(struct kt_buf *b, const struct kt_term *t, const char *title,
	const struct kt_opt *opts, bool args)
{
	size_t width = 0;
	bool any = false;

	for (const struct kt_opt *o = opts; o && o->type != KT_OPT_T_END; o++) {
		if (!is_opt_in_help(o) || kt_opt_is_arg(o) != args)
			continue;
		KT_AUTOFREE char *left = opt_left(o);

		if (kt_term_width(left) <= LEFT_MAX)
			width = KT_MAX(width, kt_term_width(left));
	}
	for (const struct kt_opt *o = opts; o && o->type != KT_OPT_T_END; o++) {
		if (!is_opt_in_help(o) || kt_opt_is_arg(o) != args)
			continue;
		KT_AUTOFREE char *left = opt_left(o);
		KT_AUTOFREE char *right = opt_right(o);

		if (!any)
			add_title(b, t, title);
		any = true;
		kt_help_item(b, t, left, width, right);
	}
}

static size_t names_width(const struct kt_cmd *const *cmds)
{
	size_t width = 0;

	for (size_t i = 0; cmds && cmds[i]; i++) {
		if (!cmds[i]->hidden)
			width = KT_MAX(width, strlen(cmds[i]->name));
	}
	return width;
}

static void add_globals_line(
	struct kt_buf *b, const struct kt_term *t, const struct kt_opt *globals)
{
	KT_AUTO_BUF struct kt_buf list = KT_BUF_INIT(TEXT_MAX_BYTES);

	if (!globals)
		return;
	add_title(b, t, "options of every command (see 'karta help')");
	for (const struct kt_opt *o = globals; o->type != KT_OPT_T_END; o++) {
		if (is_opt_in_help(o) && o->name)
			kt_buf_addf(&list, "%s--%s", list.len ? " " : "", o->name);
	}
	kt_buf_adds(b, "  ");
	add_folded(b, t, 2, list.ptr);
}

void kt_help_command(struct kt_buf *b, const struct kt_term *t, const char *prog,
	const struct kt_cmd *const *path, size_t n, const struct kt_opt *globals)
{
	const struct kt_cmd *cmd = path[n - 1];
	struct kt_term plain = *t;

	plain.color = false;
	kt_help_usage_folded(b, t, prog, path, n);
	kt_buf_addc(b, '\n');
	add_folded(b, &plain, 0, cmd->summary);
	if (cmd->subs) {
		size_t width = names_width(cmd->subs);

		add_title(b, t, "commands");
		for (size_t i = 0; cmd->subs[i]; i++) {
			if (!cmd->subs[i]->hidden)
				kt_help_item(
					b, t, cmd->subs[i]->name, width, cmd->subs[i]->summary);
		}
	}
	add_opts(b, t, "arguments", cmd->opts, true);
	add_opts(b, t, "options", cmd->opts, false);
	add_globals_line(b, t, globals);
	if (cmd->examples) {
		add_title(b, t, "examples");
		for (const char *p = cmd->examples; *p;) {
			size_t len = strcspn(p, "\n");

			kt_buf_addf(b, "  %.*s\n", (int)len, p);
			p += len + (p[len] == '\n');
		}
	}
}

void kt_help_overview(struct kt_buf *b, const struct kt_term *t, const char *prog,
	const struct kt_cmd *const *cmds, const struct kt_opt *globals, const char *note)
{
	static const char *const titles[] = {
		[KT_GROUP_START] = "start a project",
		[KT_GROUP_SHIP] = "ship releases",
		[KT_GROUP_TALK] = "talk to agents",
		[KT_GROUP_ACCOUNT] = "sign in",
		[KT_GROUP_SERVE] = "host projects",
		[KT_GROUP_OTHER] = "other",
	};
	size_t width = names_width(cmds);
	struct kt_term plain = *t;

	plain.color = false;
	kt_term_add(b, t, KT_STYLE_BOLD, "usage:");
	kt_buf_addf(b, " %s [<options>] <command> [<args>...]\n", prog);
	for (size_t g = 0; g < KT_ARRAY_LEN(titles); g++) {
		bool any = false;

		for (size_t i = 0; cmds[i]; i++) {
			if (cmds[i]->hidden || cmds[i]->group != (enum kt_cmd_group)g)
				continue;
			if (!any)
				add_title(b, t, titles[g]);
			any = true;
			kt_help_item(b, t, cmds[i]->name, width, cmds[i]->summary);
		}
	}
	add_opts(b, t, "options of every command", globals, false);
	kt_buf_addf(b, "\n'%s help <command>' tells more about a command.\n", prog);
	if (note)
		add_folded(b, &plain, 0, note);
}

static void dump_opts(struct kt_buf *b, const char *path, const struct kt_opt *opts)
{
	for (const struct kt_opt *o = opts; o && o->type != KT_OPT_T_END; o++) {
		char short_name[3] = { '-', o->short_name, '\0' };

		if (!is_opt_in_help(o))
			continue;
		kt_buf_addf(b, "%s\t%s\t%s%s\t%s\t%s\t%s\n",
			kt_opt_is_arg(o) ? "argument" : "option", path,
			kt_opt_is_arg(o) ? "" : "--", o->name ? o->name : "",
			o->short_name ? short_name : "",
			kt_opt_takes_value(o) && o->value ? o->value : "", o->help ? o->help : "");
	}
}

struct dump {
	struct kt_buf *b;
	const char *prog;
};

static void dump_command(void *arg, const struct kt_cmd *const *path, size_t n)
{
	struct dump *d = arg;
	const struct kt_cmd *cmd = path[n - 1];
	KT_AUTO_BUF struct kt_buf name = KT_BUF_INIT(256);

	kt_cmd_path_add(&name, path, n);
	kt_buf_addf(d->b, "command\t%s\t%s\n", name.ptr, cmd->summary);
	if (cmd->run) {
		kt_buf_addf(d->b, "usage\t%s\t", name.ptr);
		kt_help_usage(d->b, d->prog, path, n);
		kt_buf_addc(d->b, '\n');
	}
	dump_opts(d->b, name.ptr, cmd->opts);
}

void kt_help_dump(struct kt_buf *b, const char *prog, const struct kt_cmd *const *cmds,
	const struct kt_opt *globals)
{
	struct dump d = { b, prog };

	dump_opts(b, "", globals);
	kt_cmd_walk(cmds, dump_command, &d);
}
