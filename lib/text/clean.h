/* SPDX-License-Identifier: MIT */
/*
 * Text of unknown origin made safe to print: C0 but LF and TAB, DEL, C1, characters that reorder
 * or hide text, and invalid UTF-8 become visible escapes ("\x1b", "\u202e"). Idempotent.
 */
#ifndef KT_TEXT_CLEAN_H
#define KT_TEXT_CLEAN_H

#include "base/buf.h"

/*
 * As kt_utf8_is_unsafe(), for a name that a person compares with another one: also joiners,
 * variation selectors, soft hyphens, fillers, and blanks that are none to the eye.
 */
bool kt_clean_is_hidden(uint32_t cp);
/* Append the safe form of len bytes to b; with one_line, LF and TAB are escaped too. */
void kt_clean_add(struct kt_buf *b, const char *s, size_t len, bool one_line);
/*
 * Append formatted text in which what each %s names is cleaned, as one line. The format is the
 * program's own and is taken as it is. Knows %s %c %d %i %u %x %X %o %f %g %e with flags, width
 * (of %s: columns) and precision.
 */
void kt_clean_addf(struct kt_buf *b, const char *fmt, ...) KT_PRINTF(2, 3);
void kt_clean_vaddf(struct kt_buf *b, const char *fmt, va_list ap) KT_PRINTF(2, 0);

#endif
