/* SPDX-License-Identifier: MIT */
/*
 * What a tool is asked to do and what it gave back, for people: edits as differences, results by
 * their first lines, inputs without JSON. Everything is cleaned here.
 */
#ifndef KT_CMD_CHAT_TOOLVIEW_H
#define KT_CMD_CHAT_TOOLVIEW_H

#include "cli/diff.h"
#include "text/json.h"

/* Append the essential part of a tool's input (command, path, ...) on one line of at most max
 * columns. */
void kt_tool_gist(struct kt_buf *b, const cJSON *input, size_t max_columns);
/*
 * Append what an edit changes, whichever way it is said (Claude's Edit, MultiEdit, Write and
 * NotebookEdit, OpenCode's tools, differences of ACP). Returns false, and appends nothing, when
 * the input is none.
 */
KT_MUST_CHECK bool kt_tool_diff(
	struct kt_buf *b, const struct kt_term *t, const cJSON *input, struct kt_diff *d);
/* True when what kt_tool_diff() draws of the input shows all of this member: nothing else may be
 * left out beside it. */
bool kt_tool_in_diff(const cJSON *input, const cJSON *member);
/* Append one member of an input as "name: value", over lines where it has several. */
void kt_tool_member(
	struct kt_buf *b, const struct kt_term *t, const char *name, const cJSON *value);
/*
 * Append the first lines of a result (text, blocks), each cut to the terminal and set off by
 * `indent` blanks, and how many more there are.
 */
void kt_tool_output(struct kt_buf *b, const struct kt_term *t, const cJSON *output, size_t indent,
	size_t max_lines);

#endif
