/* SPDX-License-Identifier: MIT */
/*
 * Completion scripts for bash, zsh and fish, generated from the command table. The scripts are
 * plain tables plus a little code that finds the command on the line; they start no program, but
 * for session ids.
 */
#include "cli/help.h"

#include "base/str.h"

#include <string.h>

struct gen {
	struct kt_buf *b;
	const char *prog;
	const struct kt_cmd *const *cmds;
	const struct kt_opt *globals;
	bool has_ids; /* `sessions list` can print bare ids */
};

typedef void (*opt_fn)(struct gen *g, const char *path, const struct kt_opt *o);

static bool completes_shown(const struct kt_opt *o)
{
	return !(o->flags & KT_OPT_HIDDEN);
}

/* Append s inside single quotes of a shell that ends them with '\''. */
static void add_quoted(struct kt_buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == '\'')
			kt_buf_adds(b, "'\\''");
		else
			kt_buf_addc(b, *s);
	}
}

static void add_choices(struct kt_buf *b, const struct kt_opt *o)
{
	for (size_t i = 0; o->choices[i]; i++)
		kt_buf_addf(b, "%s%s", i ? " " : "", o->choices[i]);
}

static void each_opt(struct gen *g, const char *path, const struct kt_opt *opts, opt_fn fn)
{
	for (const struct kt_opt *o = opts; o && o->type != KT_OPT_T_END; o++)
		fn(g, path, o);
}

static const struct kt_opt *find_opt(const struct kt_opt *opts, const char *name)
{
	for (const struct kt_opt *o = opts; o && o->type != KT_OPT_T_END; o++) {
		if (!kt_opt_is_arg(o) && kt_str_eq(o->name, name))
			return o;
	}
	return NULL;
}

/* --- bash ------------------------------------------------------------------------------------- */

/* The word that tells the script how to complete a value. */
static void bash_kind(struct gen *g, const struct kt_opt *o)
{
	if (o->choices) {
		kt_buf_adds(g->b, "'words ");
		add_choices(g->b, o);
		kt_buf_adds(g->b, "'");
	} else if (o->flags & KT_OPT_FILE) {
		kt_buf_adds(g->b, "'file'");
	} else if (o->flags & KT_OPT_DIR) {
		kt_buf_adds(g->b, "'dir'");
	} else if ((o->flags & KT_OPT_SESSION) && g->has_ids) {
		kt_buf_adds(g->b, "'session'");
	} else if (o->flags & KT_OPT_COMMAND) {
		kt_buf_adds(g->b, "'command'");
	} else {
		kt_buf_adds(g->b, "'any'");
	}
}

static void bash_opt_kind(struct gen *g, const char *path, const struct kt_opt *o)
{
	const char *any = *path ? "" : "*";

	if (!kt_opt_takes_value(o))
		return;
	kt_buf_adds(g->b, "\t");
	if (o->name)
		kt_buf_addf(g->b, "%s'%s --%s'", any, path, o->name);
	if (o->short_name)
		kt_buf_addf(g->b, "%s%s'%s -%c'", o->name ? " | " : "", any, path, o->short_name);
	kt_buf_adds(g->b, ") kind=");
	bash_kind(g, o);
	kt_buf_adds(g->b, " ;;\n");
}

static void bash_kinds(void *arg, const struct kt_cmd *const *path, size_t n)
{
	struct gen *g = arg;
	KT_AUTO_BUF struct kt_buf name = KT_BUF_INIT(256);
	const struct kt_opt *o = path[n - 1]->opts;
	int at = 0;

	kt_cmd_path_add(&name, path, n);
	each_opt(g, name.ptr, o, bash_opt_kind);
	for (; o && o->type != KT_OPT_T_END; o++) {
		if (!kt_opt_is_arg(o))
			continue;
		if (o->type == KT_OPT_T_ARG)
			kt_buf_addf(g->b, "\t'%s #%d') kind=", name.ptr, at++);
		else
			kt_buf_addf(g->b, "\t'%s #'*) kind=", name.ptr);
		bash_kind(g, o);
		kt_buf_adds(g->b, " ;;\n");
	}
}

static void bash_opt_name(struct gen *g, const char *path, const struct kt_opt *o)
{
	if (!completes_shown(o) || kt_opt_is_arg(o))
		return;
	if (o->name)
		kt_buf_addf(g->b, " --%s", o->name);
	if (o->short_name)
		kt_buf_addf(g->b, " -%c", o->short_name);
}

static void add_sub_names(struct gen *g, const struct kt_cmd *const *subs)
{
	bool any = false;

	for (size_t i = 0; subs && subs[i]; i++) {
		if (subs[i]->hidden)
			continue;
		kt_buf_addf(g->b, "%s%s", any ? " " : "", subs[i]->name);
		any = true;
	}
}

static void bash_lists(void *arg, const struct kt_cmd *const *path, size_t n)
{
	struct gen *g = arg;

	kt_buf_adds(g->b, "\t'");
	kt_cmd_path_add(g->b, path, n);
	kt_buf_adds(g->b, "') subs='");
	add_sub_names(g, path[n - 1]->subs);
	kt_buf_adds(g->b, "' opts='");
	each_opt(g, "", path[n - 1]->opts, bash_opt_name);
	kt_buf_adds(g->b, "' ;;\n");
}

/* Which kind of value follows, and the walk along the line. @ stands for the program's name. */
static const char bash_code[] =
	"_@()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} word path='' kind='' subs='' opts='' prefix=''\n"
	"\tlocal i nargs=0 skip=0 ended=0 IFS=$' \\t\\n'\n"
	"\tCOMPREPLY=()\n"
	"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	"\t\tword=${COMP_WORDS[i]}\n"
	"\t\tif ((skip)); then\n"
	"\t\t\t[[ $word == '=' ]] || skip=0\n"
	"\t\telif ((!ended)) && [[ $word == -- ]]; then\n"
	"\t\t\tended=1\n"
	"\t\telif ((!ended)) && [[ $word == -?* ]]; then\n"
	"\t\t\t_@_kind \"$path $word\"\n"
	"\t\t\t[[ -z $kind ]] || skip=1\n"
	"\t\telse\n"
	"\t\t\t_@_lists \"$path\"\n"
	"\t\t\tif [[ \" $subs \" == *\" $word \"* ]] && ((!ended && !nargs)); then\n"
	"\t\t\t\tpath=${path:+$path }$word\n"
	"\t\t\telse\n"
	"\t\t\t\tnargs=$((nargs + 1))\n"
	"\t\t\tfi\n"
	"\t\tfi\n"
	"\tdone\n"
	"\t[[ $cur != '=' ]] || cur=''\n"
	"\tif ((!skip && !ended)) && [[ $cur == --*=* ]]; then\n"
	"\t\t_@_kind \"$path ${cur%%=*}\"\n"
	"\t\tprefix=${cur%%=*}= cur=${cur#*=} skip=1\n"
	"\tfi\n"
	"\t_@_lists \"$path\"\n"
	"\tif ((!skip && !ended)) && [[ $cur == -* ]]; then\n"
	"\t\tkind=\"words $opts\"\n"
	"\telif ((!skip)); then\n"
	"\t\t_@_kind \"$path #$nargs\"\n"
	"\t\tif [[ -n $subs ]] && ((!nargs && !ended)); then\n"
	"\t\t\tkind=\"words $subs\"\n"
	"\t\tfi\n"
	"\tfi\n"
	"\t[[ $kind != command ]] || { _@_lists ''; kind=\"words $subs\"; }\n"
	"\t[[ $kind != session ]] || kind=\"words $(@ sessions list --ids 2>/dev/null)\"\n"
	"\tIFS=$' \\t\\n'\n"
	"\tcase $kind in\n"
	"\tfile) local IFS=$'\\n'; compopt -o filenames 2>/dev/null\n"
	"\t\tCOMPREPLY=($(compgen -P \"$prefix\" -f -- \"$cur\")) ;;\n"
	"\tdir) local IFS=$'\\n'; compopt -o filenames 2>/dev/null\n"
	"\t\tCOMPREPLY=($(compgen -P \"$prefix\" -d -- \"$cur\")) ;;\n"
	"\t'words '*) COMPREPLY=($(compgen -P \"$prefix\" -W \"${kind#words }\" -- \"$cur\")) ;;\n"
	"\tesac\n"
	"}\n"
	"complete -F _@ @\n";

/* Append a template with every @ replaced by the program's name. */
static void add_template(struct gen *g, const char *text)
{
	for (; *text; text++) {
		if (*text == '@')
			kt_buf_adds(g->b, g->prog);
		else
			kt_buf_addc(g->b, *text);
	}
}

static void bash_script(struct gen *g)
{
	add_template(g,
		"# shellcheck shell=bash disable=SC2207\n"
		"# bash completion of @, made by '@ completion bash'; changes here are lost\n"
		"_@_kind()\n{\n\tkind=''\n\tcase $1 in\n");
	kt_cmd_walk(g->cmds, bash_kinds, g);
	each_opt(g, "", g->globals, bash_opt_kind);
	add_template(g, "\tesac\n}\n_@_lists()\n{\n\tsubs='' opts=''\n\tcase $1 in\n\t'') subs='");
	add_sub_names(g, g->cmds);
	kt_buf_adds(g->b, "' ;;\n");
	kt_cmd_walk(g->cmds, bash_lists, g);
	kt_buf_adds(g->b, "\tesac\n\topts+='");
	each_opt(g, "", g->globals, bash_opt_name);
	kt_buf_adds(g->b, "'\n}\n");
	add_template(g, bash_code);
}

/* --- zsh -------------------------------------------------------------------------------------- */

/* Text inside [...] or before a colon of an _arguments specification, in single quotes. */
static void zsh_text(struct kt_buf *b, const char *s)
{
	for (; *s; s++) {
		char one[2] = { *s, '\0' };

		if (strchr("[]:\\", *s))
			kt_buf_addc(b, '\\');
		add_quoted(b, one);
	}
}

static void zsh_action(struct gen *g, const struct kt_opt *o)
{
	zsh_text(g->b, o->value ? o->value : o->name);
	kt_buf_addc(g->b, ':');
	if (o->choices) {
		kt_buf_addc(g->b, '(');
		add_choices(g->b, o);
		kt_buf_addc(g->b, ')');
	} else if (o->flags & KT_OPT_FILE) {
		kt_buf_adds(g->b, "_files");
	} else if (o->flags & KT_OPT_DIR) {
		kt_buf_adds(g->b, "_files -/");
	} else if ((o->flags & KT_OPT_SESSION) && g->has_ids) {
		kt_buf_addf(g->b, "_%s_session_ids", g->prog);
	} else if (o->flags & KT_OPT_COMMAND) {
		kt_buf_addf(g->b, "_%s_commands", g->prog);
	}
}

static void zsh_opt(struct gen *g, const char *path, const struct kt_opt *o)
{
	bool value = kt_opt_takes_value(o);
	bool both = o->short_name && o->name;
	bool many = o->type == KT_OPT_T_LIST || o->type == KT_OPT_T_COUNT;

	if (!completes_shown(o) || kt_opt_is_arg(o))
		return;
	kt_buf_adds(g->b, "\t\t");
	if (many)
		kt_buf_adds(g->b, "'*'");
	else if (both)
		kt_buf_addf(g->b, "'(-%c --%s)'", o->short_name, o->name);
	if (both)
		kt_buf_addf(g->b, "{-%c%s,--%s%s}", o->short_name, value ? "+" : "", o->name,
			value ? "=" : "");
	else if (o->name)
		kt_buf_addf(g->b, "--%s%s", o->name, value ? "=" : "");
	else
		kt_buf_addf(g->b, "-%c%s", o->short_name, value ? "+" : "");
	kt_buf_adds(g->b, "'[");
	zsh_text(g->b, o->help ? o->help : "");
	kt_buf_addc(g->b, ']');
	if (value) {
		kt_buf_addc(g->b, ':');
		zsh_action(g, o);
	}
	kt_buf_adds(g->b, "'\n");
}

static void zsh_arg(struct gen *g, const char *path, const struct kt_opt *o)
{
	if (!kt_opt_is_arg(o))
		return;
	if (o->type == KT_OPT_T_ARGS)
		kt_buf_adds(g->b, "\t\t'*:");
	else
		kt_buf_addf(g->b, "\t\t'%s:", (o->flags & KT_OPT_REQUIRED) ? "" : ":");
	zsh_action(g, o);
	kt_buf_adds(g->b, "'\n");
}

/* "_karta_sessions_show": the function that completes one command. */
static void zsh_name(struct gen *g, const struct kt_cmd *const *path, size_t n)
{
	kt_buf_addf(g->b, "_%s", g->prog);
	for (size_t i = 0; i < n; i++) {
		kt_buf_addc(g->b, '_');
		for (const char *p = path[i]->name; *p; p++)
			kt_buf_addc(g->b, *p == '-' ? '_' : *p);
	}
}

static void zsh_describe(struct gen *g, const struct kt_cmd *const *subs)
{
	kt_buf_adds(g->b, "\tlocal -a names=(\n");
	for (size_t i = 0; subs[i]; i++) {
		if (subs[i]->hidden)
			continue;
		kt_buf_addf(g->b, "\t\t'%s:", subs[i]->name);
		add_quoted(g->b, subs[i]->summary);
		kt_buf_adds(g->b, "'\n");
	}
	kt_buf_adds(g->b, "\t)\n\t_describe -t commands command names\n");
}

/* A function that completes the sub-commands, and hands on when one is typed. */
static void zsh_dispatch(
	struct gen *g, const struct kt_cmd *const *path, size_t n, const struct kt_cmd *const *subs)
{
	const struct kt_cmd *deeper[8];

	kt_assert(n + 1 < KT_ARRAY_LEN(deeper));
	for (size_t i = 0; i < n; i++)
		deeper[i] = path[i];
	zsh_name(g, path, n);
	kt_buf_adds(g->b, "_commands()\n{\n");
	zsh_describe(g, subs);
	kt_buf_adds(g->b, "}\n");
	zsh_name(g, path, n);
	add_template(g,
		"()\n{\n\tlocal curcontext=$curcontext state line ret=1\n"
		"\tlocal -A opt_args\n\tlocal -a opts=(\n");
	each_opt(g, "", n ? path[n - 1]->opts : NULL, zsh_opt);
	add_template(g, "\t)\n\t_arguments -C -s -S $opts $_@_globals '1: :");
	zsh_name(g, path, n);
	kt_buf_adds(g->b,
		"_commands' '*:: :->rest' && ret=0\n"
		"\t[[ $state == rest ]] || return ret\n\tcase $line[1] in\n");
	for (size_t i = 0; subs[i]; i++) {
		if (subs[i]->hidden)
			continue;
		deeper[n] = subs[i];
		kt_buf_addf(g->b, "\t%s) ", subs[i]->name);
		zsh_name(g, deeper, n + 1);
		kt_buf_adds(g->b, " && ret=0 ;;\n");
	}
	kt_buf_adds(g->b, "\tesac\n\treturn ret\n}\n");
}

static void zsh_command(void *arg, const struct kt_cmd *const *path, size_t n)
{
	struct gen *g = arg;
	const struct kt_cmd *cmd = path[n - 1];

	if (cmd->subs) {
		zsh_dispatch(g, path, n, cmd->subs);
		return;
	}
	zsh_name(g, path, n);
	kt_buf_adds(g->b, "()\n{\n\tlocal -a specs=(\n");
	each_opt(g, "", cmd->opts, zsh_opt);
	each_opt(g, "", cmd->opts, zsh_arg);
	add_template(g, "\t)\n\t_arguments -s -S $specs $_@_globals\n}\n");
}

static void zsh_script(struct gen *g)
{
	add_template(g,
		"#compdef @\n"
		"# zsh completion of @, made by '@ completion zsh'; changes here are lost\n"
		"typeset -ga _@_globals=(\n");
	each_opt(g, "", g->globals, zsh_opt);
	kt_buf_adds(g->b, ")\n");
	if (g->has_ids)
		add_template(g,
			"_@_session_ids()\n{\n"
			"\tlocal -a ids=(${(f)\"$(@ sessions list --ids 2>/dev/null)\"})\n"
			"\tcompadd -a ids\n}\n");
	kt_cmd_walk(g->cmds, zsh_command, g);
	zsh_dispatch(g, NULL, 0, g->cmds);
	/* Works as an autoloaded file on fpath and when sourced. */
	add_template(g,
		"if [[ $funcstack[1] == _@ ]]; then\n\t_@\nelse\n"
		"\tcompdef _@ @\nfi\n");
}

/* --- fish ------------------------------------------------------------------------------------- */

static void fish_text(struct kt_buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == '\'' || *s == '\\')
			kt_buf_addc(b, '\\');
		kt_buf_addc(b, *s);
	}
}

static void fish_values(struct gen *g, const struct kt_opt *o)
{
	if (o->choices) {
		kt_buf_adds(g->b, " -x -a '");
		add_choices(g->b, o);
		kt_buf_adds(g->b, "'");
	} else if (o->flags & KT_OPT_FILE) {
		kt_buf_adds(g->b, kt_opt_is_arg(o) ? " -F" : " -r -F");
	} else if (o->flags & KT_OPT_DIR) {
		kt_buf_adds(g->b, " -x -a '(__fish_complete_directories (commandline -ct))'");
	} else if ((o->flags & KT_OPT_SESSION) && g->has_ids) {
		kt_buf_addf(g->b, " -x -a '(%s sessions list --ids 2>/dev/null)'", g->prog);
	} else if (o->flags & KT_OPT_COMMAND) {
		kt_buf_adds(g->b, " -x -a '");
		add_sub_names(g, g->cmds);
		kt_buf_adds(g->b, "'");
	} else {
		kt_buf_adds(g->b, " -x");
	}
}

static bool completes_opt(const struct gen *g, const struct kt_opt *o)
{
	return o->choices || (o->flags & (KT_OPT_FILE | KT_OPT_DIR | KT_OPT_COMMAND)) ||
		((o->flags & KT_OPT_SESSION) && g->has_ids);
}

static void fish_opt(struct gen *g, const char *path, const struct kt_opt *o)
{
	if (!completes_shown(o) || (kt_opt_is_arg(o) && !completes_opt(g, o)))
		return;
	kt_buf_addf(g->b, "complete -c %s", g->prog);
	if (*path)
		kt_buf_addf(g->b, " -n '__%s_at \"%s\"'", g->prog, path);
	if (!kt_opt_is_arg(o)) {
		if (o->short_name)
			kt_buf_addf(g->b, " -s %c", o->short_name);
		if (o->name)
			kt_buf_addf(g->b, " -l %s", o->name);
	}
	if (kt_opt_is_arg(o) || kt_opt_takes_value(o))
		fish_values(g, o);
	kt_buf_adds(g->b, " -d '");
	fish_text(g->b, o->help ? o->help : "");
	kt_buf_adds(g->b, "'\n");
}

static void fish_sub(struct gen *g, const char *parent, const struct kt_cmd *cmd)
{
	kt_buf_addf(g->b, "complete -c %s -n '__%s_at \"%s\"' -a %s -d '", g->prog, g->prog, parent,
		cmd->name);
	fish_text(g->b, cmd->summary);
	kt_buf_adds(g->b, "'\n");
}

static void fish_command(void *arg, const struct kt_cmd *const *path, size_t n)
{
	struct gen *g = arg;
	KT_AUTO_BUF struct kt_buf parent = KT_BUF_INIT(256);
	KT_AUTO_BUF struct kt_buf name = KT_BUF_INIT(256);

	kt_cmd_path_add(&parent, path, n - 1);
	kt_cmd_path_add(&name, path, n);
	fish_sub(g, parent.ptr, path[n - 1]);
	each_opt(g, name.ptr, path[n - 1]->opts, fish_opt);
}

static void fish_path(void *arg, const struct kt_cmd *const *path, size_t n)
{
	struct gen *g = arg;

	kt_buf_adds(g->b, " '");
	kt_cmd_path_add(g->b, path, n);
	kt_buf_adds(g->b, "'");
}

static void fish_value_opt(struct gen *g, const char *path, const struct kt_opt *o)
{
	if (!kt_opt_takes_value(o))
		return;
	if (o->name)
		kt_buf_addf(g->b, " --%s", o->name);
	if (o->short_name)
		kt_buf_addf(g->b, " -%c", o->short_name);
}

static void fish_value_opts(void *arg, const struct kt_cmd *const *path, size_t n)
{
	each_opt(arg, "", path[n - 1]->opts, fish_value_opt);
}

static void fish_script(struct gen *g)
{
	add_template(g,
		"# fish completion of @, made by '@ completion fish'; changes here are lost\n"
		"function __@_path\n\tset -l path\n\tset -l skip 0\n\tset -l words (commandline "
		"-opc)\n"
		"\tfor w in $words[2..-1]\n\t\tif test $skip = 1\n\t\t\tset skip 0\n"
		"\t\telse if contains -- $w");
	kt_cmd_walk(g->cmds, fish_value_opts, g);
	each_opt(g, "", g->globals, fish_value_opt);
	add_template(g,
		"\n\t\t\tset skip 1\n\t\telse if not string match -q -- '-*' $w\n"
		"\t\t\tset -l try (string join ' ' $path $w)\n\t\t\tif contains -- \"$try\"");
	kt_cmd_walk(g->cmds, fish_path, g);
	add_template(g,
		"\n\t\t\t\tset path $try\n\t\t\tend\n\t\tend\n\tend\n\techo \"$path\"\nend\n"
		"function __@_at\n\ttest \"$(__@_path)\" = \"$argv[1]\"\nend\ncomplete -c @ -f\n");
	each_opt(g, "", g->globals, fish_opt);
	kt_cmd_walk(g->cmds, fish_command, g);
}

enum kt_code kt_help_completion(struct kt_buf *b, const char *shell, const char *prog,
	const struct kt_cmd *const *cmds, const struct kt_opt *globals, struct kt_err *err)
{
	struct gen g = { b, prog, cmds, globals, false };
	const struct kt_cmd *sessions = kt_cmd_find(cmds, "sessions");
	const struct kt_cmd *list = sessions ? kt_cmd_find(sessions->subs, "list") : NULL;

	g.has_ids = list && find_opt(list->opts, "ids");
	if (kt_str_eq(shell, "bash"))
		bash_script(&g);
	else if (kt_str_eq(shell, "zsh"))
		zsh_script(&g);
	else if (kt_str_eq(shell, "fish"))
		fish_script(&g);
	else
		return kt_fail(err, KT_EINVAL, 0, "no completion for the shell '%s'", shell);
	if (!kt_buf_ok(b))
		return kt_fail(err, KT_ELIMIT, 0, "the completion script is too large");
	return KT_OK;
}
