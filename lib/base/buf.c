/* SPDX-License-Identifier: MIT */
/*
 * The bounded byte buffer. Memory doubles from 64 bytes and never passes max + 1 (the NUL).
 */
#include "base/buf.h"

#include <stdio.h>
#include <string.h>

#define FIRST_BYTES 64

/* Shared by all empty buffers, hence never written to. */
char kt_buf_empty[1];

void kt_buf_init(struct kt_buf *b, size_t max_bytes)
{
	b->ptr = kt_buf_empty;
	b->len = 0;
	b->cap = 0;
	b->max = max_bytes;
	b->overflow = false;
}

void kt_buf_release(struct kt_buf *b)
{
	if (b->cap)
		free(b->ptr);
	kt_buf_init(b, b->max);
}

void kt_buf_clear(struct kt_buf *b)
{
	kt_buf_truncate(b, 0);
	b->overflow = false;
}

char *kt_buf_reserve(struct kt_buf *b, size_t n)
{
	/* SIZE_MAX bytes can never be had, so the last one need not be addressable. */
	size_t most = b->max < SIZE_MAX ? b->max + 1 : SIZE_MAX;
	size_t cap = b->cap ? b->cap : KT_MIN(FIRST_BYTES, most);
	char *p;

	if (b->overflow)
		return NULL;
	if (n > b->max - b->len || b->len + n == SIZE_MAX) {
		b->overflow = true;
		return NULL;
	}
	while (cap < b->len + n + 1)
		cap = cap > most / 2 ? most : cap * 2;
	if (cap == b->cap)
		return b->ptr + b->len;
	p = kt_try_realloc(b->cap ? b->ptr : NULL, cap);
	if (!p) {
		b->overflow = true;
		return NULL;
	}
	p[b->len] = '\0';
	b->ptr = p;
	b->cap = cap;
	return b->ptr + b->len;
}

void kt_buf_commit(struct kt_buf *b, size_t n)
{
	if (!n)
		return;
	kt_assert(b->cap > b->len && n < b->cap - b->len);
	b->len += n;
	b->ptr[b->len] = '\0';
}

void kt_buf_add(struct kt_buf *b, const void *data, size_t len)
{
	char *at;

	if (!len)
		return;
	/* Room for it is the usual case; max is kept, for cap is never over max + 1. */
	at = len < b->cap - b->len && !b->overflow ? b->ptr + b->len : kt_buf_reserve(b, len);
	if (!at)
		return;
	memcpy(at, data, len);
	kt_buf_commit(b, len);
}

void kt_buf_adds(struct kt_buf *b, const char *s)
{
	kt_buf_add(b, s, strlen(s));
}

void kt_buf_addc(struct kt_buf *b, char c)
{
	if (b->cap - b->len <= 1 || b->overflow) {
		kt_buf_add(b, &c, 1);
		return;
	}
	b->ptr[b->len++] = c;
	b->ptr[b->len] = '\0';
}

void kt_buf_addf(struct kt_buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	kt_buf_vaddf(b, fmt, ap);
	va_end(ap);
}

void kt_buf_vaddf(struct kt_buf *b, const char *fmt, va_list ap)
{
	size_t room = b->cap ? b->cap - b->len : 0;
	va_list again;
	char *at;
	int n;

	if (b->overflow)
		return;
	va_copy(again, ap);
	n = vsnprintf(room ? b->ptr + b->len : NULL, room, fmt, ap);
	if (n >= 0 && (size_t)n < room) {
		kt_buf_commit(b, (size_t)n);
	} else if (n < 0) {
		b->overflow = true;
	} else if (n > 0) {
		at = kt_buf_reserve(b, (size_t)n);
		if (at && vsnprintf(at, (size_t)n + 1, fmt, again) == n)
			kt_buf_commit(b, (size_t)n);
		else
			b->overflow = true;
	}
	va_end(again);
	/* A try that did not fit left a piece of text behind the end. */
	if (b->cap)
		b->ptr[b->len] = '\0';
}

void kt_buf_drop(struct kt_buf *b, size_t n)
{
	kt_assert(n <= b->len);
	if (!n)
		return;
	memmove(b->ptr, b->ptr + n, b->len - n + 1);
	b->len -= n;
}

void kt_buf_truncate(struct kt_buf *b, size_t n)
{
	kt_assert(n <= b->len);
	b->len = n;
	if (b->cap)
		b->ptr[n] = '\0';
}

char *kt_buf_take(struct kt_buf *b)
{
	char *s = b->cap ? b->ptr : kt_strdup("");

	b->ptr = kt_buf_empty;
	b->len = 0;
	b->cap = 0;
	/* overflow stays, so that a check after the take still sees that the text is not whole. */
	return s;
}
