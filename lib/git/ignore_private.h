/* SPDX-License-Identifier: MIT */
/*
 * Rules of .kartaignore (gitignore(5)) and of export-ignore in .gitattributes (gitattributes(5)),
 * for somebody who walks a tree from its root: rules of a folder are pushed when it is entered and
 * popped when it is left. Read here and not by libgit2, so that a folder and a commit, on every
 * machine, leave out the same files: only what is in the tree itself counts.
 */
#ifndef KT_GIT_IGNORE_PRIVATE_H
#define KT_GIT_IGNORE_PRIVATE_H

#include "base/base.h"

struct kt_ignore; /* zero or more rules */

/* No rules yet; kt_ignore_free() ends it. */
KT_MUST_CHECK struct kt_ignore *kt_ignore_new(void);
void kt_ignore_free(struct kt_ignore *ig); /* NULL is fine */
/* How many rules there are: for kt_ignore_pop(). */
size_t kt_ignore_mark(const struct kt_ignore *ig);
/* Add the rules of a .kartaignore in folder `base` ("" = the root). */
void kt_ignore_push(struct kt_ignore *ig, const char *base, const char *text, size_t len);
/* Add the rules of a .gitattributes in folder `base`. */
void kt_ignore_push_attributes(
	struct kt_ignore *ig, const char *base, const char *text, size_t len);
/* Drop all rules that were added since the mark. */
void kt_ignore_pop(struct kt_ignore *ig, size_t mark);
/* True when path (from the root, '/' between) is to be left out; a folder with all in it. */
bool kt_ignore_match(const struct kt_ignore *ig, const char *path, bool is_dir);

#endif
