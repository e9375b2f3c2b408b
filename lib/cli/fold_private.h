/* SPDX-License-Identifier: MIT */
/*
 * Folding of styled text to lines. Styled text is UTF-8 without control characters in which the
 * two bytes KT_MARK, 0x80|mask set the style from there on; so text keeps its style across folds
 * and inside tables, and measuring needs no knowledge of escape sequences.
 */
#ifndef KT_CLI_FOLD_PRIVATE_H
#define KT_CLI_FOLD_PRIVATE_H

#include "base/buf.h"
#include "base/vec.h"

#define KT_MARK '\001'

enum {
	KT_MARK_BOLD = 1,
	KT_MARK_ITALIC = 2,
	KT_MARK_CODE = 4,
	KT_MARK_LINK = 8,
	KT_MARK_STRIKE = 16,
	KT_MARK_HEAD = 32,
	KT_MARK_DIM = 64,
};

/* Columns of styled text. */
size_t kt_fold_width(const char *s, size_t len);
/*
 * Fold len bytes at blanks to width columns and push the lines (char *, the caller's to free; each
 * with its own escape sequences) onto lines. LF is a forced break. A word that is too wide stays
 * whole (an address must stay clickable) unless hard.
 */
void kt_fold(struct kt_vec *lines, const char *s, size_t len, size_t width, bool hard);

#endif
