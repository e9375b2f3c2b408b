/* SPDX-License-Identifier: MIT */
/*
 * Option tables. One table a command: parsing, help, the man page's synopsis, the completions and
 * the tests all read it. Values land in the command's own argument struct (offsets, no statics),
 * so a table is const and can be walked without running the command.
 */
#ifndef KT_CLI_OPT_H
#define KT_CLI_OPT_H

#include "base/err.h"
#include "base/vec.h"

enum kt_opt_type {
	KT_OPT_T_END,
	KT_OPT_T_FLAG, /* bool; also --no-NAME */
	KT_OPT_T_STR, /* const char * (BORROWS argv) */
	KT_OPT_T_LIST, /* struct kt_vec of const char *; may be repeated */
	KT_OPT_T_INT, /* int64_t within [min, max] */
	KT_OPT_T_DURATION, /* int64_t milliseconds */
	KT_OPT_T_CHOICE, /* const char *, one of `choices` */
	KT_OPT_T_ARG, /* positional: const char * */
	KT_OPT_T_ARGS, /* rest of the positionals: struct kt_vec */
	KT_OPT_T_COUNT, /* int, one more each time it is given (-vv) */
};

enum {
	KT_OPT_REQUIRED = 1, /* positional that must be there */
	KT_OPT_HIDDEN = 2, /* parsed, not shown in help (aliases) */
	KT_OPT_FILE = 4, /* completes file names */
	KT_OPT_DIR = 8, /* completes folders */
	KT_OPT_SESSION = 16, /* completes session ids of the local server */
	KT_OPT_COMMAND = 32, /* completes names of commands */
	KT_OPT_BARE = 64, /* of a string: --NAME alone is "", a value is given by --NAME=VALUE */
};

struct kt_opt {
	enum kt_opt_type type;
	char short_name; /* 0 = none */
	const char *name; /* long name, or the positional's name */
	const char *value; /* name of the value in help ("PORT"), NULL for flags */
	size_t offset;
	const char *help; /* one line, lower case, no full stop */
	int flags;
	int64_t min, max;
	const char *const *choices; /* NULL-terminated; checked for positionals too */
};

#define KT_OPT_FLAG_(s, n, st, f, h)                                                               \
	{                                                                                          \
		KT_OPT_T_FLAG, s, n, NULL, offsetof(st, f), h                                      \
	}
#define KT_OPT_COUNT_(s, n, st, f, h)                                                              \
	{                                                                                          \
		KT_OPT_T_COUNT, s, n, NULL, offsetof(st, f), h                                     \
	}
#define KT_OPT_STR_(s, n, st, f, v, h)                                                             \
	{                                                                                          \
		KT_OPT_T_STR, s, n, v, offsetof(st, f), h                                          \
	}
#define KT_OPT_LIST_(s, n, st, f, v, h)                                                            \
	{                                                                                          \
		KT_OPT_T_LIST, s, n, v, offsetof(st, f), h                                         \
	}
#define KT_OPT_INT_(s, n, st, f, v, lo, hi, h)                                                     \
	{                                                                                          \
		KT_OPT_T_INT, s, n, v, offsetof(st, f), h, 0, lo, hi                               \
	}
#define KT_OPT_DURATION_(s, n, st, f, h)                                                           \
	{                                                                                          \
		KT_OPT_T_DURATION, s, n, "TIME", offsetof(st, f), h                                \
	}
#define KT_OPT_CHOICE_(s, n, st, f, v, c, h)                                                       \
	{                                                                                          \
		KT_OPT_T_CHOICE, s, n, v, offsetof(st, f), h, 0, 0, 0, c                           \
	}
#define KT_OPT_ARG_(n, st, f, fl, h)                                                               \
	{                                                                                          \
		KT_OPT_T_ARG, 0, n, n, offsetof(st, f), h, fl                                      \
	}
#define KT_OPT_ARGS_(n, st, f, fl, h)                                                              \
	{                                                                                          \
		KT_OPT_T_ARGS, 0, n, n, offsetof(st, f), h, fl                                     \
	}
#define KT_OPT_END                                                                                 \
	{                                                                                          \
		KT_OPT_T_END                                                                       \
	}

struct kt_ctx;

enum kt_cmd_group {
	KT_GROUP_START,
	KT_GROUP_SHIP, /* deploys and what runs */
	KT_GROUP_TALK,
	KT_GROUP_ACCOUNT,
	KT_GROUP_SERVE,
	KT_GROUP_OTHER,
};

/*
 * One command. A command with sub-commands has `subs` (NULL-terminated) and no run function,
 * or one that runs when no sub-command is named.
 */
struct kt_cmd {
	const char *name;
	const char *summary; /* one line, lower case, no full stop */
	enum kt_cmd_group group;
	const struct kt_opt *opts;
	size_t args_size; /* bytes of the argument struct; zeroed, then filled by defaults */
	void (*defaults)(void *args); /* NULL = all zero */
	enum kt_code (*run)(struct kt_ctx *ctx, const void *args, struct kt_err *err);
	const struct kt_cmd *const *subs;
	const char *examples; /* lines for the end of --help, or NULL */
	const char *aliases; /* comma separated, or NULL */
	bool hidden;
};

/* One option table and the struct that it fills. */
struct kt_opt_set {
	const struct kt_opt *opts;
	void *args;
};
/* The option that parsing stopped at. */
struct kt_opt_bad {
	int at; /* its word in argv; -1: it was something else */
	bool known; /* it is one, and the line ends where its value should be */
};
/*
 * Parse argv[0..argc) (without the command's name) by several tables: a name is looked up in the
 * first table first, so a command's own option wins over a global one; positionals come from
 * sets[0] alone. Options and positionals mix; "--" ends options; long names may be shortened while
 * unique; --name=value and --name value, -p8000 and -p 8000, bundled flags; "-" alone is a
 * positional. --help / -h anywhere sets *out_help and stops. An unknown option is KT_EINVAL with
 * the nearest name as hint; *out_bad says which one it was.
 */
KT_MUST_CHECK enum kt_code kt_opt_parse(const struct kt_opt_set *sets, size_t n, int argc,
	char *const *argv, bool *out_help, struct kt_opt_bad *out_bad, struct kt_err *err);
/*
 * Index of the first word of argv[0..argc) that is neither an option of these tables nor the value
 * of one; argc when there is none, or when "--" comes first. Reports no errors: an unknown option
 * counts as a flag, kt_opt_parse() will name it. The args members are not used.
 */
int kt_opt_first_positional(const struct kt_opt_set *sets, size_t n, int argc, char *const *argv);
/* True for types that take a value ("--name VALUE"); false for flags, counts and positionals. */
bool kt_opt_takes_value(const struct kt_opt *o);
/* True for positionals. */
bool kt_opt_is_arg(const struct kt_opt *o);
/* Release what kt_opt_parse() allocated in args (the vectors of LIST and ARGS). */
void kt_opt_release(const struct kt_opt *opts, void *args);

#endif
