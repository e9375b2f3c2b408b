/* SPDX-License-Identifier: MIT */
/*
 * Text that comes in chunks and may be cut anywhere: inside a character's UTF-8 bytes, or between
 * the two halves of a surrogate pair (an agent in JavaScript cuts so; KT_JSON_BAD_BYTES keeps each
 * half as the three bytes that UTF-8 would have for it). Joined, the seam disappears.
 */
#ifndef KT_TEXT_SEAM_H
#define KT_TEXT_SEAM_H

#include "base/buf.h"

/* Bytes at the end of a chunk that may be the beginning of a character: 0 to 3. */
size_t kt_seam_open(const char *s, size_t len);
/* Append a chunk to b: a half at b's end and one at the beginning of s become one character. */
void kt_seam_add(struct kt_buf *b, const char *s, size_t len);
/*
 * s begins with bytes that are no UTF-8: append what they stand for, the character of two halves
 * or U+FFFD. Returns how many of the bytes that were.
 */
size_t kt_seam_mend(struct kt_buf *b, const char *s, size_t len);
/* Append s as valid UTF-8: kt_seam_mend() wherever it is not. */
void kt_seam_clean(struct kt_buf *b, const char *s, size_t len);

#endif
