/* SPDX-License-Identifier: MIT */
/*
 * The words of a shell command that means the same in every shell: one program and its arguments.
 * No parser of a shell: whatever a shell could take for more than plain words is refused.
 */
#ifndef KT_TEXT_SHELL_H
#define KT_TEXT_SHELL_H

#include "base/err.h"
#include "base/vec.h"

/*
 * Split command into words (char *, the caller's) appended to out. False, with nothing appended,
 * when it has separators, redirections, expansions, globs, comments, assignments, escapes, control
 * characters or bytes that are not ASCII, or more than 64 words; or when its first word is no bare
 * name of a program.
 */
KT_MUST_CHECK bool kt_shell_words(const char *command, struct kt_vec *out);

#endif
