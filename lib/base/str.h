/* SPDX-License-Identifier: MIT */
/* Strings, strict numbers, UTF-8. Pure functions. */
#ifndef KT_BASE_STR_H
#define KT_BASE_STR_H

#include "base/base.h"
#include "base/buf.h"

/* ASCII, whatever the locale. */
static inline bool kt_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* s begins / ends with the other string. */
bool kt_str_starts(const char *s, const char *prefix);
bool kt_str_ends(const char *s, const char *suffix);
/* Equal; NULL equals only NULL. */
bool kt_str_eq(const char *a, const char *b);
/* Equal ignoring ASCII case. */
bool kt_str_ieq(const char *a, const char *b);
/* Copy at most size-1 bytes and a NUL, never cutting a UTF-8 sequence; returns false when cut. */
bool kt_str_copy(char *dst, size_t size, const char *src);
/* Decimal integer, whole string, no blanks, no plus sign, within [min, max]; false otherwise. */
KT_MUST_CHECK bool kt_str_int64(const char *s, int64_t min, int64_t max, int64_t *out);
/* As kt_str_int64() for len bytes of text. */
KT_MUST_CHECK bool kt_str_int64n(const char *s, size_t len, int64_t min, int64_t max, int64_t *out);
/* Finite decimal number, whole string. */
KT_MUST_CHECK bool kt_str_double(const char *s, double *out);
/* "90", "1500ms", "10s", "5m", "2h", "3d" (a bare number is seconds) to milliseconds. */
KT_MUST_CHECK bool kt_str_duration_ms(const char *s, int64_t *out_ms);
/* "512", "64K", "10M", "2G" (of 1024; also "10MB", "10MiB") to bytes. */
KT_MUST_CHECK bool kt_str_size(const char *s, int64_t *out_bytes);
/* Edit distance, used for "did you mean"; stops counting above 100 characters. */
size_t kt_str_distance(const char *a, const char *b);
/* The candidate (NULL-terminated list) nearest to word when near enough to suggest, else NULL. */
const char *kt_str_nearest(const char *word, const char *const *candidates);
/* Slug grammar ^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$ */
bool kt_str_is_slug(const char *s);
/* Turn any text into a slug ("My App!" -> "my-app"); "app" when nothing is left. */
KT_MUST_CHECK char *kt_str_slugify(const char *s);
/* True when len bytes are valid UTF-8 (no surrogates, no overlong forms). */
bool kt_utf8_valid(const char *s, size_t len);
/*
 * Decode one code point of at most len bytes; returns bytes used, 0 when invalid or len is 0.
 */
size_t kt_utf8_decode(const char *s, size_t len, uint32_t *out_cp);
/* Length of at most max of the len bytes at s that does not end inside a UTF-8 sequence. */
size_t kt_utf8_cut(const char *s, size_t len, size_t max);
/* Append code point cp as UTF-8. */
void kt_utf8_add(struct kt_buf *b, uint32_t cp);
/*
 * A character that a terminal or an editor obeys instead of showing it: C1, those that reorder
 * text, line separators, and those that take no room at all. Joiners (U+200C, U+200D) are none:
 * writing systems and emoji need them.
 */
bool kt_utf8_is_unsafe(uint32_t cp);
/* Append lower-case hexadecimal. */
void kt_hex_add(struct kt_buf *b, const void *data, size_t len);

#endif
