/* SPDX-License-Identifier: MIT */
/*
 * The difference of two texts by lines, drawn: "- old", "+ new", and what stays with a blank
 * before it. The shortest one for texts that have much in common (Myers), all old lines and then
 * all new ones for texts that have not.
 */
#ifndef KT_CLI_DIFF_H
#define KT_CLI_DIFF_H

#include "cli/term.h"

struct kt_diff {
	size_t context; /* lines shown around a change; SIZE_MAX = all */
	size_t max_lines; /* shown; SIZE_MAX = all */
	size_t indent; /* blanks before each line */
	/* Results, added to what is there. */
	size_t added, removed; /* lines */
	size_t shown, left_out; /* lines; what stays and is not shown counts in neither */
};

/* Append the difference between two texts of any origin, cleaned, as whole lines. */
void kt_diff_draw(struct kt_buf *b, const struct kt_term *t, const char *was, const char *is,
	struct kt_diff *d);

#endif
