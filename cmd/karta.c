/* SPDX-License-Identifier: MIT */
/*
 * main(): finds the command on the line, parses its options, runs it, prints the one error line
 * and maps the code to the exit status. Nothing else is done before the command starts.
 */
#include "cmd/cmd.h"

#include "base/buf.h"
#include "base/env.h"
#include "base/fs.h"
#include "base/str.h"
#include "cli/help.h"
#include "cmd/dest.h"
#include "cmd/foreign.h"
#include "cmd/git/git_remote.h"
#include "pack/pack.h"
#include "text/clean.h"
#include "text/json.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX_BYTES ((size_t)1024 * 1024)
#define DEPTH_MAX 4
#define SETS_MAX 16 /* a command with its sub-commands' options */
#define FOREIGN_WORDS 3 /* the longest entry of the table of words from elsewhere */

struct globals {
	bool help;
	bool version;
	bool json;
	bool quiet;
	int verbose;
	bool debug;
	bool no_color;
	const char *color;
	bool no_input;
	bool yes;
	const char *server;
	const char *profile;
	const char *project;
	const char *remote;
	int64_t timeout_ms;
};

/* Programs that have a command line of their own, chosen by the name they are started as. */
struct applet {
	const char *name;
	int (*main)(int argc, char **argv);
};

/* One run: where the command line led to. */
struct run {
	struct kt_ctx ctx;
	struct globals globals;
	const struct kt_cmd *path[DEPTH_MAX];
	size_t depth;
	int argc; /* what is left of the line */
	char **argv; /* owned array of borrowed words */
	char *own_words; /* karta's, for words from elsewhere; owned, argv points into it */
	struct kt_vec own_options; /* likewise, for options; owned */
	char *remote_server, *remote_project; /* of --remote */
	bool usage_error;
};

static const char *const color_modes[] = { "auto", "always", "never", NULL };

const struct kt_opt kt_global_opts[] = {
	KT_OPT_FLAG_('h', "help", struct globals, help, "show help"),
	KT_OPT_FLAG_(0, "version", struct globals, version, "print the version"),
	KT_OPT_FLAG_(0, "json", struct globals, json, "print one JSON object, errors too"),
	{ KT_OPT_T_FLAG, 'j', NULL, NULL, offsetof(struct globals, json), "as --json",
		KT_OPT_HIDDEN },
	KT_OPT_FLAG_('q', "quiet", struct globals, quiet, "print results and errors only"),
	KT_OPT_COUNT_('v', "verbose", struct globals, verbose, "say more; twice says all"),
	KT_OPT_FLAG_(0, "debug", struct globals, debug, "show what is sent and received"),
	KT_OPT_CHOICE_(0, "color", struct globals, color, "WHEN", color_modes, "use color"),
	KT_OPT_FLAG_(0, "no-color", struct globals, no_color, "same as --color=never"),
	KT_OPT_FLAG_(0, "no-input", struct globals, no_input, "never ask; fail instead"),
	KT_OPT_FLAG_('y', "yes", struct globals, yes, "answer yes to every question"),
	KT_OPT_STR_(0, "server", struct globals, server, "URL", "server to talk to"),
	KT_OPT_STR_('p', "project", struct globals, project, "NAME",
		"project (default: that of this folder)"),
	{ KT_OPT_T_STR, 'a', "app", "NAME", offsetof(struct globals, project), "as --project",
		KT_OPT_HIDDEN },
	KT_OPT_STR_('r', "remote", struct globals, remote, "NAME",
		"git remote that names server and project (default: karta)"),
	KT_OPT_STR_(0, "profile", struct globals, profile, "NAME", "server one is signed in to"),
	KT_OPT_DURATION_(
		0, "timeout", struct globals, timeout_ms, "give up after this long: 30s, 5m"),
	KT_OPT_END,
};

static const struct applet applets[] = {
	{ "karta-unpack", kt_unpack_worker },
	{ "git-remote-karta", kt_git_remote_main },
	{ NULL, NULL },
};

char *kt_plugin_find(const char *name)
{
	KT_AUTOFREE char *file = kt_asprintf("karta-%s", name);

	if (!*name || *name == '-' || strchr(name, '/'))
		return NULL;
	return kt_fs_which(file);
}

enum kt_code kt_plugin_exec(
	const char *name, const char *path, int argc, char *const *argv, struct kt_err *err)
{
	KT_AUTOFREE char *prog = kt_asprintf("karta-%s", name);
	KT_AUTOFREE char **words = kt_calloc((size_t)argc + 2, sizeof(*words));

	words[0] = prog;
	for (int i = 0; i < argc; i++)
		words[i + 1] = argv[i];
	(void)execv(path, words);
	return kt_fail(err, KT_EIO, errno, "cannot run '%s'", path);
}

/*
 * Descriptors 0 to 2 must be open, or the first file or socket takes their place and gets our
 * output. A closed stdout becomes one that cannot be written to, so that output still fails.
 */
static bool open_standard_fds(void)
{
	for (int fd = 0; fd <= 2; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		if (open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) != fd)
			return false;
	}
	return true;
}

/* True when the line asks for JSON; known before parsing, for errors of the parser itself. */
static bool wants_json(int argc, char *const *argv)
{
	bool json = kt_env_flag("KARTA_JSON");

	for (int i = 0; i < argc && !kt_str_eq(argv[i], "--"); i++) {
		if (kt_str_eq(argv[i], "--json") || kt_str_eq(argv[i], "-j"))
			json = true;
		else if (kt_str_eq(argv[i], "--no-json"))
			json = false;
	}
	return json;
}

static void init_terms(struct run *r)
{
	enum kt_color_mode mode = KT_COLOR_AUTO;

	if (kt_str_eq(r->globals.color, "always"))
		mode = KT_COLOR_ALWAYS;
	if (kt_str_eq(r->globals.color, "never") || r->globals.no_color)
		mode = KT_COLOR_NEVER;
	kt_term_init(&r->ctx.out, STDOUT_FILENO, mode);
	kt_term_init(&r->ctx.errt, STDERR_FILENO, mode);
	kt_out_styles(r->ctx.out.color, r->ctx.errt.color);
}

/* What the environment says is the default of the options. */
static enum kt_code defaults_from_env(struct globals *g, struct kt_err *err)
{
	const char *timeout = kt_env_get("KARTA_TIMEOUT");

	g->json = kt_env_flag("KARTA_JSON");
	g->debug = kt_env_flag("KARTA_DEBUG");
	g->server = kt_env_get("KARTA_SERVER");
	g->profile = kt_env_get("KARTA_PROFILE");
	g->project = kt_env_get("KARTA_PROJECT");
	if (!timeout || kt_str_duration_ms(timeout, &g->timeout_ms))
		return KT_OK;
	(void)kt_fail(err, KT_EINVAL, 0, "KARTA_TIMEOUT: '%s' is not a time", timeout);
	return kt_hint(err, "write it as 90, 1500ms, 10s, 5m, 2h or 3d");
}

static void fill_ctx(struct run *r)
{
	const struct globals *g = &r->globals;
	struct kt_ctx *c = &r->ctx;

	c->json = g->json;
	c->quiet = g->quiet;
	c->verbose = g->verbose;
	c->debug = g->debug;
	c->no_input = g->no_input || isatty(STDIN_FILENO) != 1;
	c->yes = g->yes;
	c->server = g->server;
	/* A profile on the line goes before a server of the environment. */
	if (g->profile && g->profile != kt_env_get("KARTA_PROFILE") &&
		g->server == kt_env_get("KARTA_SERVER"))
		c->server = NULL;
	c->profile = g->profile;
	c->project = g->project;
	c->timeout_ms = g->timeout_ms;
}

static void remove_word(struct run *r, int at)
{
	memmove(&r->argv[at], &r->argv[at + 1], (size_t)(r->argc - at) * sizeof(*r->argv));
	r->argc--;
}

/* "sessions:list" becomes two words when "sessions" is a command with sub-commands. */
static const struct kt_cmd *find_colon(struct run *r, const char *word)
{
	const char *colon = strchr(word, ':');

	if (!colon || r->depth)
		return NULL;
	KT_AUTOFREE char *head = kt_strndup(word, (size_t)(colon - word));
	const struct kt_cmd *top = kt_cmd_find(kt_commands, head);
	const struct kt_cmd *sub = top ? kt_cmd_find(top->subs, colon + 1) : NULL;

	if (sub)
		r->path[r->depth++] = top;
	return sub;
}

/* The command with sub-commands before the colon of "sessions:x", or NULL. */
static const struct kt_cmd *colon_parent(const char *word)
{
	KT_AUTOFREE char *head = kt_strndup(word, strcspn(word, ":"));
	const struct kt_cmd *cmd = strchr(word, ':') ? kt_cmd_find(kt_commands, head) : NULL;

	return cmd && cmd->subs ? cmd : NULL;
}

static bool takes_arguments(const struct kt_cmd *cmd)
{
	for (const struct kt_opt *o = cmd->opts; o && o->type != KT_OPT_T_END; o++) {
		if (kt_opt_is_arg(o))
			return true;
	}
	return false;
}

/* The word at `at` follows an option whose value, if it has one, stands behind a '='. */
static bool is_lost_value(
	const struct run *r, const struct kt_cmd *parent, int at, struct kt_err *err)
{
	const char *before = at > 0 ? r->argv[at - 1] : "", *word = r->argv[at];
	size_t len = strcspn(before, "=");

	if (!kt_str_starts(before, "--"))
		return false;
	for (const struct kt_opt *o = parent ? parent->opts : NULL; o && o->type != KT_OPT_T_END;
		o++) {
		if (!(o->flags & KT_OPT_BARE) || strlen(o->name) != len - 2 ||
			memcmp(o->name, before + 2, len - 2) != 0)
			continue;
		(void)kt_fail(err, KT_EINVAL, 0, "unexpected argument '%s'", word);
		if (before[len])
			(void)kt_hint(
				err, "put a value with blanks in quotes: \"%s %s\"", before, word);
		else
			(void)kt_hint(err, "a value stands behind a '=': %s=%s", before, word);
		return true;
	}
	return false;
}

static enum kt_code unknown_command(struct run *r, const char *word, struct kt_err *err)
{
	const struct kt_cmd *parent = r->depth ? r->path[r->depth - 1] : colon_parent(word);
	const struct kt_cmd *const *cmds = parent ? parent->subs : kt_commands;
	struct kt_vec names = KT_VEC_INIT;
	const char *near;

	if (parent && !r->depth)
		word = strchr(word, ':') + 1;
	for (size_t i = 0; cmds[i]; i++) {
		if (!cmds[i]->hidden)
			kt_vec_push(&names, (void *)(uintptr_t)cmds[i]->name);
	}
	kt_vec_push(&names, NULL);
	near = kt_str_nearest(word, (const char *const *)names.items);
	if (parent)
		(void)kt_fail(err, KT_EINVAL, 0, "'%s' is not a command of 'karta %s'", word,
			parent->name);
	else
		(void)kt_fail(err, KT_EINVAL, 0, "'%s' is not a karta command", word);
	if (!parent && kt_str_eq(word, "git"))
		(void)kt_hint(
			err, "git itself ships: 'git push karta main', without karta before it");
	else if (!parent && kt_foreign_knows(word))
		(void)kt_hint(err, "leave out '%s'; 'karta help %s' has karta's words for its",
			word, word);
	else if (near)
		(void)kt_hint(err, "did you mean '%s'?", near);
	else
		(void)kt_hint(err, "'karta help%s%s' lists the commands", parent ? " " : "",
			parent ? parent->name : "");
	kt_vec_release(&names);
	return KT_EINVAL;
}

/*
 * Place of the first word that is no option and no option's value. Options of the sub-commands are
 * known too, so that `karta sessions --limit 3 list` finds "list".
 */
static int first_word(const struct run *r, const struct kt_cmd *parent)
{
	struct kt_opt_set sets[SETS_MAX] = { { parent ? parent->opts : NULL, NULL },
		{ kt_global_opts, NULL } };
	size_t n = 2;

	for (size_t i = 0; parent && parent->subs && parent->subs[i] && n < SETS_MAX; i++)
		sets[n++].opts = parent->subs[i]->opts;
	return kt_opt_first_positional(sets, n, r->argc, r->argv);
}

/* Put the words of `text` (blanks between, it is cut up) at the beginning of the line. */
static void insert_words(struct run *r, char *text, const char *rest)
{
	size_t n = 0, cap = (size_t)r->argc + strlen(text) / 2 + 3;
	char **argv = kt_calloc(cap, sizeof(*argv));

	for (char *at = text; *at;) {
		size_t len = strcspn(at, " ");

		argv[n++] = at;
		at += len;
		if (*at)
			*at++ = '\0';
	}
	if (rest)
		argv[n++] = (char *)(uintptr_t)rest;
	memcpy(argv + n, r->argv, (size_t)r->argc * sizeof(*argv));
	free(r->argv);
	r->argv = argv;
	r->argc += (int)n;
}

/*
 * The word at `at` is none of karta's here. When somebody who comes from elsewhere means something
 * by it, the line gets karta's words for that, *out_done; or the error says what there is instead.
 */
static enum kt_code from_elsewhere(struct run *r, int at, bool *out_done, struct kt_err *err)
{
	const struct kt_opt_set globals = { kt_global_opts, NULL };
	const char *words[FOREIGN_WORDS];
	int place[FOREIGN_WORDS];
	const struct kt_foreign *f;
	const char *rest = NULL;
	size_t n = 0, own = r->depth, used;

	*out_done = false;
	/* Once only: karta's own words are no longer looked up. */
	if (r->own_words || r->depth > 1)
		return KT_OK;
	if (own)
		words[n++] = r->path[0]->name;
	while (n < FOREIGN_WORDS && at < r->argc) {
		place[n] = at;
		words[n++] = r->argv[at++];
		at += kt_opt_first_positional(&globals, 1, r->argc - at, r->argv + at);
	}
	f = kt_foreign_find(words, n, own + 1, &used, &rest);
	if (!f)
		return KT_OK;
	if (!f->to)
		return kt_fail(err, KT_EINVAL, 0, "no '%s' here: %s", f->words, f->say);
	while (used-- > own)
		remove_word(r, place[used]);
	r->own_words = kt_strdup(f->to);
	insert_words(r, r->own_words, rest);
	r->depth = 0;
	*out_done = true;
	return KT_OK;
}

/*
 * Walk down the table: take the first word that is no option as the command, then as its
 * sub-command, and so on. The words taken are removed from the line; what is left is the command's.
 */
static enum kt_code find_karta_command(struct run *r, struct kt_err *err)
{
	for (;;) {
		const struct kt_cmd *parent = r->depth ? r->path[r->depth - 1] : NULL;
		const struct kt_cmd *const *cmds = parent ? parent->subs : kt_commands;
		int at = first_word(r, parent);
		const struct kt_cmd *cmd;
		enum kt_code rc;
		bool done;

		if (at == r->argc)
			return KT_OK;
		cmd = cmds ? kt_cmd_find(cmds, r->argv[at]) : NULL;
		if (!cmd)
			cmd = find_colon(r, r->argv[at]);
		if (!cmd && !parent) {
			const char *word = r->argv[at];
			KT_AUTOFREE char *plugin = kt_plugin_find(word);

			if (plugin) {
				remove_word(r, at);
				return kt_plugin_exec(word, plugin, r->argc, r->argv, err);
			}
		}
		if (!cmd) {
			rc = from_elsewhere(r, at, &done, err);
			if (rc != KT_OK)
				return rc;
			if (done)
				continue;
		}
		if (!cmd && !cmds)
			return KT_OK;
		if (!cmd && (!parent || !parent->run || !takes_arguments(parent)))
			return is_lost_value(r, parent, at, err)
				? KT_EINVAL
				: unknown_command(r, r->argv[at], err);
		if (!cmd)
			return KT_OK;
		kt_assert(r->depth < DEPTH_MAX);
		r->path[r->depth++] = cmd;
		remove_word(r, at);
	}
}

static void print_help(struct run *r)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);

	if (r->depth)
		kt_help_command(&b, &r->ctx.out, r->ctx.prog, r->path, r->depth, kt_global_opts);
	else
		kt_help_all(&b, &r->ctx.out, r->ctx.prog);
	/* The options behind --help were not read. */
	r->ctx.json = wants_json(r->argc, r->argv);
	kt_out_text(&r->ctx, b.ptr);
}

/* `karta --version`, with or without a command: the version command with the same options. */
static enum kt_code print_version(struct run *r, struct kt_err *err)
{
	const struct kt_cmd *version = kt_cmd_find(kt_commands, "version");
	KT_AUTOFREE void *args = kt_calloc(1, version->args_size);

	return version->run(&r->ctx, args, err);
}

static enum kt_code no_command(struct run *r, struct kt_err *err)
{
	if (r->depth == 0 && r->argc == 0) {
		print_help(r);
		return KT_OK;
	}
	/* Alone, -v asks other programs for their version. */
	if (r->depth == 0 && r->argc == 1 && kt_str_eq(r->argv[0], "-v"))
		return print_version(r, err);
	r->usage_error = true;
	(void)kt_fail(err, KT_EINVAL, 0, "no command given");
	if (r->depth)
		return kt_hint(err, "'karta help %s' lists them", r->path[0]->name);
	return kt_hint(err, "'karta help' lists the commands");
}

/* A table whose struct is larger than args_size would write behind the allocation. */
static void check_command_table(const struct kt_cmd *cmd)
{
	for (const struct kt_opt *o = cmd->opts; o && o->type != KT_OPT_T_END; o++)
		kt_assert(o->offset < cmd->args_size);
}

/*
 * The option that parsing stopped at is one that people know from elsewhere: the line gets karta's
 * own instead, *out_done; or the error says what there is.
 */
static enum kt_code option_from_elsewhere(
	struct run *r, const struct kt_opt_bad *bad, bool *out_done, struct kt_err *err)
{
	KT_AUTOFREE char *command = kt_asprintf("%s%s%s", r->depth ? r->path[0]->name : "",
		r->depth > 1 ? " " : "", r->depth > 1 ? r->path[1]->name : "");
	char *word = r->argv[bad->at], *value = strchr(word, '=');
	const struct kt_foreign_option *o = kt_foreign_option_find(command, word, bad->known);

	*out_done = false;
	if (!o)
		return KT_EINVAL;
	if (!o->to) {
		*err = (struct kt_err)KT_ERR_INIT;
		return kt_fail(err, KT_EINVAL, 0, "no '%.*s' here: %s", (int)strcspn(word, "="),
			word, o->say);
	}
	if (!*o->to || (kt_str_eq(o->to, "=") && !value)) {
		remove_word(r, bad->at);
	} else if (kt_str_eq(o->to, "=")) {
		r->argv[bad->at] = value + 1;
	} else {
		char *own = kt_asprintf("%s%s", o->to, value ? value : "");

		kt_vec_push(&r->own_options, own);
		r->argv[bad->at] = own;
	}
	*out_done = true;
	return KT_OK;
}

/* The options and arguments of the command, those from elsewhere by their own name. */
static enum kt_code parse_command(
	struct run *r, const struct kt_cmd *cmd, void *args, bool *help, struct kt_err *err)
{
	const struct kt_opt *opts = cmd ? cmd->opts : NULL;
	struct kt_opt_set sets[] = { { opts, args }, { kt_global_opts, &r->globals } };
	const struct globals unset = r->globals;
	struct kt_opt_bad bad;
	enum kt_code rc;
	bool again;

	do {
		again = false;
		if (cmd && cmd->defaults)
			cmd->defaults(args);
		rc = kt_opt_parse(sets, KT_ARRAY_LEN(sets), r->argc, r->argv, help, &bad, err);
		r->usage_error = rc != KT_OK;
		if (rc == KT_OK || bad.at < 0)
			break;
		if (option_from_elsewhere(r, &bad, &again, err) == KT_OK && again) {
			kt_opt_release(opts, args);
			if (cmd)
				memset(args, 0, cmd->args_size);
			r->globals = unset;
			*err = (struct kt_err)KT_ERR_INIT;
		} else if (kt_str_starts(err->msg, "no '")) {
			r->usage_error = false;
		}
	} while (again);
	return rc;
}

/* --remote is the server and the project of a git remote, as typed. */
static enum kt_code take_remote(struct run *r, struct kt_err *err)
{
	struct globals *g = &r->globals;
	enum kt_code rc;

	if (!g->remote)
		return KT_OK;
	rc = kt_dest_remote(g->remote, &r->remote_server, &r->remote_project, err);
	if (rc != KT_OK)
		return rc;
	if (!g->server || g->server == kt_env_get("KARTA_SERVER"))
		g->server = r->remote_server;
	if (!g->project || g->project == kt_env_get("KARTA_PROJECT"))
		g->project = r->remote_project;
	return KT_OK;
}

static enum kt_code run_command(struct run *r, struct kt_err *err)
{
	const struct kt_cmd *cmd = r->depth ? r->path[r->depth - 1] : NULL;
	const struct kt_opt *opts = cmd ? cmd->opts : NULL;
	KT_AUTOFREE void *args = kt_calloc(1, cmd && cmd->args_size ? cmd->args_size : 1);
	bool help = false;
	enum kt_code rc;

	if (cmd)
		check_command_table(cmd);
	rc = parse_command(r, cmd, args, &help, err);
	if (rc != KT_OK && !cmd && !err->hint[0])
		(void)kt_hint(err, "'karta help' lists the options");
	init_terms(r);
	if (rc == KT_OK && !help)
		rc = take_remote(r, err);
	if (rc == KT_OK && help) {
		print_help(r);
	} else if (rc == KT_OK) {
		fill_ctx(r);
		if (r->globals.version)
			rc = print_version(r, err);
		else if (!cmd || !cmd->run)
			rc = no_command(r, err);
		else
			rc = cmd->run(&r->ctx, args, err);
	}
	kt_opt_release(opts, args);
	return rc;
}

static void print_error_json(
	const struct kt_turn_error *turn, enum kt_code rc, const struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(16384);
	const char *message = err->msg[0] ? err->msg : kt_code_name(rc);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "schema_version", 1);
	kt_jw_str(&w, "message", message);
	kt_jw_obj(&w, "error");
	/* The turn knows better than the exit status what went wrong. */
	kt_jw_str(&w, "type", turn->code[0] ? turn->code : kt_code_name(rc));
	kt_jw_int(&w, "code", kt_code_exit(rc));
	kt_jw_str(&w, "message", message);
	kt_jw_str(&w, "hint", err->hint[0] ? err->hint : NULL);
	if (turn->turn_id[0]) {
		kt_jw_str(&w, "session_id", turn->session_id);
		kt_jw_str(&w, "turn_id", turn->turn_id);
	}
	kt_jw_obj_end(&w);
	kt_jw_obj_end(&w);
	kt_buf_addc(&b, '\n');
	kt_out(b.ptr, b.len);
}

static void print_error(struct run *r, bool json, enum kt_code rc, const struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);
	const struct kt_term *t = &r->ctx.errt;
	struct kt_ctx loud = { 0 };

	kt_term_add(&b, t, KT_STYLE_RED, "karta:");
	kt_buf_addc(&b, ' ');
	kt_clean_add(&b, err->msg[0] ? err->msg : kt_code_name(rc),
		strlen(err->msg[0] ? err->msg : kt_code_name(rc)), true);
	if (err->hint[0]) {
		kt_buf_addc(&b, '\n');
		kt_term_add(&b, t, KT_STYLE_YELLOW, "hint:");
		kt_buf_addc(&b, ' ');
		kt_clean_add(&b, err->hint, strlen(err->hint), true);
	}
	if (r->usage_error && r->depth) {
		kt_buf_addc(&b, '\n');
		kt_help_usage_folded(&b, t, r->ctx.prog, r->path, r->depth);
		kt_buf_truncate(&b, b.len - 1); /* kt_say_built() ends the line */
	}
	kt_say_built(&loud, &b);
	if (json)
		print_error_json(&r->ctx.turn, rc, err);
}

/* Started as karta-NAME (a link): the command NAME. Other names are plain karta. */
static const struct kt_cmd *command_of_name(const char *argv0)
{
	const char *slash = strrchr(argv0, '/');
	const char *base = slash ? slash + 1 : argv0;

	if (!kt_str_starts(base, "karta-"))
		return NULL;
	return kt_cmd_find(kt_commands, base + strlen("karta-"));
}

/* By the name it is started as, or by its first word where there can be no link of that name. */
static int applet_main(int argc, char **argv, bool *out_found)
{
	const char *slash = strrchr(argv[0], '/');
	const char *base = slash ? slash + 1 : argv[0];
	bool word = argc > 1 && kt_str_eq(argv[1], "git-remote-karta");

	for (const struct applet *a = applets; a->name; a++) {
		if (kt_str_eq(a->name, word ? argv[1] : base)) {
			*out_found = true;
			return word ? a->main(argc - 1, argv + 1) : a->main(argc, argv);
		}
	}
	*out_found = false;
	return 0;
}

int main(int argc, char **argv)
{
	struct run r = { .ctx = { .prog = "karta" } };
	struct kt_err err = KT_ERR_INIT;
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	enum kt_code rc = KT_OK;
	bool found = false;
	bool json;
	int status;

	if (!open_standard_fds() || argc < 1)
		return kt_code_exit(KT_EIO);
	/* A parent may have it ignored; `karta sessions list | head -1` must end quietly. */
	(void)sigaction(SIGPIPE, &dfl, NULL);
	status = applet_main(argc, argv, &found);
	if (found)
		return status;

	r.argc = argc - 1;
	r.argv = kt_calloc((size_t)argc + 1, sizeof(*r.argv));
	memcpy(r.argv, argv + 1, (size_t)r.argc * sizeof(*r.argv));
	json = wants_json(r.argc, r.argv);
	init_terms(&r);
	if (command_of_name(argv[0]))
		r.path[r.depth++] = command_of_name(argv[0]);
	rc = find_karta_command(&r, &err);
	if (rc == KT_OK)
		rc = defaults_from_env(&r.globals, &err);
	if (rc == KT_OK)
		rc = run_command(&r, &err);
	if (rc != KT_OK)
		print_error(&r, json, rc, &err);
	free(r.argv);
	free(r.own_words);
	free(r.remote_server);
	free(r.remote_project);
	while (r.own_options.len)
		free(kt_vec_remove(&r.own_options, 0));
	kt_vec_release(&r.own_options);
	return kt_code_exit(rc);
}
