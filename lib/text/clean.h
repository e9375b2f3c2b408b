/* SPDX-License-Identifier: MIT */
/*
 * Terminal sanitizer: makes text of unknown origin safe to print. C0 but LF and TAB, DEL, C1,
 * bidirectional controls and invalid UTF-8 become visible escapes ("\x1b", "\u202e"). Idempotent.
 */
#ifndef KT_TEXT_CLEAN_H
#define KT_TEXT_CLEAN_H

#include "base/buf.h"

/* Append the safe form of len bytes to b; with one_line, LF and TAB are escaped too. */
void kt_clean_add(struct kt_buf *b, const char *s, size_t len, bool one_line);

#endif
