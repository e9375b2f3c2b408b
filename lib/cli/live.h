/* SPDX-License-Identifier: MIT */
/*
 * The part of a terminal that is still drawn anew: what stays is above it, for good. A new drawing
 * is written over the old one from the first line that differs, in one piece, and nothing is erased
 * that is not written again at once. Lines that scrolled away are left alone. It reads and writes
 * no descriptor, and knows the screen only from what went through it.
 */
#ifndef KT_CLI_LIVE_H
#define KT_CLI_LIVE_H

#include "cli/term.h"

struct kt_live;

/* New one for a terminal (BORROWED; its columns and rows may change). kt_live_free() ends it. */
KT_MUST_CHECK struct kt_live *kt_live_new(const struct kt_term *t);
void kt_live_free(struct kt_live *l);
/*
 * Append to b what shows `stays` (whole lines, for good) where the drawing begins, and `now` below
 * it as the new drawing. The cursor is behind the last line of the old drawing, and afterwards
 * behind that of the new one: on a line of its own when `now` ends with LF. Both have styles and
 * TABs as kt_term_pass() leaves them.
 */
void kt_live_draw(
	struct kt_live *l, struct kt_buf *b, const struct kt_buf *stays, const struct kt_buf *now);
/* Rows below the drawing were used by others, who left the cursor where it was. */
void kt_live_below(struct kt_live *l, size_t rows);
/* The drawing, if there is one, stays as it is; the next begins where the cursor is then. */
void kt_live_leave(struct kt_live *l);
/* True while there is a drawing. */
bool kt_live_is_drawn(const struct kt_live *l);

#endif
