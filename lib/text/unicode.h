/* SPDX-License-Identifier: MIT */
/*
 * The little of Unicode that terminals and names of files need: columns, normal form C (UAX 15),
 * simple case folding and characters that cannot be seen. Pure functions, thread-safe.
 */
#ifndef KT_TEXT_UNICODE_H
#define KT_TEXT_UNICODE_H

#include "base/buf.h"

/*
 * Terminal columns of cp: 0 (general categories Mn, Me and Cf, the joining Hangul letters, control
 * characters), 2 (East Asian Width W and F) or 1. The C library's wcwidth() depends on the locale.
 */
int kt_unicode_width(uint32_t cp);
/*
 * True when len bytes of valid UTF-8 are in normal form C. More than 30 combining marks in a row
 * are never (UAX 15's stream-safe format), so that the time is linear.
 */
bool kt_unicode_is_nfc(const char *s, size_t len);
/* Append len bytes of valid UTF-8 with case folded: equal results are one name on some disks. */
void kt_unicode_fold(const char *s, size_t len, struct kt_buf *out);
/* Control, bidirectional, zero-width and other characters that show nothing, and non-characters. */
bool kt_unicode_hidden(uint32_t cp);

#endif
