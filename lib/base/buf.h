/* SPDX-License-Identifier: MIT */
/*
 * A growing byte buffer with a maximum. Invariants: ptr is never NULL and always NUL-terminated
 * after len bytes. An append that would pass max (or for which memory is out) appends nothing and
 * sets `overflow`; later appends do nothing. So writers append freely and check once at the end
 * with kt_buf_ok(). One thread owns a buffer.
 */
#ifndef KT_BASE_BUF_H
#define KT_BASE_BUF_H

#include "base/base.h"

#include <stdarg.h>

struct kt_buf {
	char *ptr;
	size_t len;
	size_t cap; /* 0 = ptr is the shared empty string */
	size_t max; /* most bytes that len may reach */
	bool overflow;
};

extern char kt_buf_empty[1];
#define KT_BUF_INIT(max_bytes)                                                                     \
	{                                                                                          \
		kt_buf_empty, 0, 0, (max_bytes), false                                             \
	}
#define KT_AUTO_BUF __attribute__((cleanup(kt_buf_release)))

/* Start an empty buffer that may hold max_bytes. */
void kt_buf_init(struct kt_buf *b, size_t max_bytes);
/* Free the memory; the buffer is empty and usable again. */
void kt_buf_release(struct kt_buf *b);
/* Set len to 0 and clear overflow; keeps the memory. */
void kt_buf_clear(struct kt_buf *b);
/* Append len bytes. */
void kt_buf_add(struct kt_buf *b, const void *data, size_t len);
/* Append a C string. */
void kt_buf_adds(struct kt_buf *b, const char *s);
/* Append one byte. */
void kt_buf_addc(struct kt_buf *b, char c);
/* Append formatted text. */
void kt_buf_addf(struct kt_buf *b, const char *fmt, ...) KT_PRINTF(2, 3);
void kt_buf_vaddf(struct kt_buf *b, const char *fmt, va_list ap) KT_PRINTF(2, 0);
/* Remove the first n bytes (n <= len). */
void kt_buf_drop(struct kt_buf *b, size_t n);
/* Cut to n bytes (n <= len). */
void kt_buf_truncate(struct kt_buf *b, size_t n);
/* Make room for n more bytes and return where they go, NULL (overflow set) if that passes max. */
char *kt_buf_reserve(struct kt_buf *b, size_t n);
/* Count n bytes written at the place kt_buf_reserve() gave. */
void kt_buf_commit(struct kt_buf *b, size_t n);
/* The text as new memory, the caller's to free; the buffer is empty afterwards. */
KT_MUST_CHECK char *kt_buf_take(struct kt_buf *b);
/* True when no append was refused. */
static inline bool kt_buf_ok(const struct kt_buf *b)
{
	return !b->overflow;
}

#endif
