/* SPDX-License-Identifier: MIT */
/* Help and completion text from the command table. Everything is appended to a buffer. */
#ifndef KT_CLI_HELP_H
#define KT_CLI_HELP_H

#include "base/buf.h"
#include "cli/opt.h"
#include "cli/term.h"

/* "karta sessions show [--json] <session>": the usage line, also the man page's synopsis. */
void kt_help_usage(struct kt_buf *b, const char *prog, const struct kt_cmd *const *path, size_t n);
/* The usage line with its title "usage:", folded to the terminal's width; a line end is added. */
void kt_help_usage_folded(struct kt_buf *b, const struct kt_term *t, const char *prog,
	const struct kt_cmd *const *path, size_t n);
/* Full --help of a command (path from the top command to it). */
void kt_help_command(struct kt_buf *b, const struct kt_term *t, const char *prog,
	const struct kt_cmd *const *path, size_t n, const struct kt_opt *globals);
/* `karta help`: commands by group, global options, and a note for the end (NULL: none). */
void kt_help_overview(struct kt_buf *b, const struct kt_term *t, const char *prog,
	const struct kt_cmd *const *cmds, const struct kt_opt *globals, const char *note);
/*
 * Append "  left      text", an entry of a two-column list whose left column is left_width wide;
 * the text is folded at the terminal's width.
 */
void kt_help_item(struct kt_buf *b, const struct kt_term *t, const char *left, size_t left_width,
	const char *text);
/* Completion script for "bash", "zsh" or "fish"; KT_EINVAL for another shell. */
KT_MUST_CHECK enum kt_code kt_help_completion(struct kt_buf *b, const char *shell, const char *prog,
	const struct kt_cmd *const *cmds, const struct kt_opt *globals, struct kt_err *err);
/*
 * Machine-readable dump of the table, a line each, for scripts that compare documents with it:
 * "command<TAB>sessions show<TAB>summary", "usage<TAB>...", "option<TAB>sessions
 * show<TAB>--json<TAB>-x<TAB>VALUE<TAB>help".
 */
void kt_help_dump(struct kt_buf *b, const char *prog, const struct kt_cmd *const *cmds,
	const struct kt_opt *globals);
/*
 * Call fn for every command and sub-command that is not hidden, parents first; path leads from the
 * top command to it.
 */
typedef void (*kt_cmd_walk_fn)(void *arg, const struct kt_cmd *const *path, size_t n);
void kt_cmd_walk(const struct kt_cmd *const *cmds, kt_cmd_walk_fn fn, void *arg);
/* Append the names of a path with blanks between: "sessions show". */
void kt_cmd_path_add(struct kt_buf *b, const struct kt_cmd *const *path, size_t n);
/* Find a command (or alias) by name in a NULL-terminated list. */
const struct kt_cmd *kt_cmd_find(const struct kt_cmd *const *cmds, const char *name);

#endif
