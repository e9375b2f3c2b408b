/* SPDX-License-Identifier: MIT */
/*
 * Arena of zeroed chunks: 4 KiB first, each twice the one before up to 256 KiB. A request that
 * is larger than the next chunk gets one of its own, behind the chunk in use.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ALIGN ((size_t)16)
#define FIRST_CHUNK_BYTES ((size_t)4096)
#define LAST_CHUNK_BYTES ((size_t)(256 * 1024))

struct chunk {
	struct chunk *next;
	size_t cap;
	size_t used;
	_Alignas(16) char data[];
};

struct kt_arena {
	struct chunk *head; /* the chunk in use, older and own ones behind it */
	size_t next_bytes;
};

struct kt_arena *kt_arena_new(void)
{
	struct kt_arena *a = kt_calloc(1, sizeof(*a));

	a->next_bytes = FIRST_CHUNK_BYTES;
	return a;
}

void kt_arena_free(struct kt_arena *a)
{
	if (!a)
		return;
	for (struct chunk *c = a->head, *next; c; c = next) {
		next = c->next;
		free(c);
	}
	free(a);
}

static struct chunk *new_chunk(size_t cap)
{
	struct chunk *c = kt_calloc(1, sizeof(*c) + cap);

	c->cap = cap;
	return c;
}

void *kt_arena_alloc(struct kt_arena *a, size_t size)
{
	struct chunk *c = a->head;
	void *p;

	kt_assert(size <= PTRDIFF_MAX - sizeof(struct chunk) - ALIGN);
	size = (KT_MAX(size, (size_t)1) + ALIGN - 1) & ~(ALIGN - 1);
	if (!c || size > c->cap - c->used) {
		if (c && size > a->next_bytes) {
			c = new_chunk(size);
			c->next = a->head->next;
			a->head->next = c;
		} else {
			c = new_chunk(KT_MAX(size, a->next_bytes));
			c->next = a->head;
			a->head = c;
			a->next_bytes = KT_MIN(a->next_bytes * 2, LAST_CHUNK_BYTES);
		}
	}
	p = c->data + c->used;
	c->used += size;
	return p;
}

char *kt_arena_strndup(struct kt_arena *a, const char *s, size_t n)
{
	char *p;

	kt_assert(n < SIZE_MAX);
	p = kt_arena_alloc(a, n + 1);
	if (n)
		memcpy(p, s, n);
	return p;
}

char *kt_arena_strdup(struct kt_arena *a, const char *s)
{
	return kt_arena_strndup(a, s, strlen(s));
}

char *kt_arena_strdup_opt(struct kt_arena *a, const char *s)
{
	return s ? kt_arena_strdup(a, s) : NULL;
}

char *kt_arena_printf(struct kt_arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	kt_assert(n >= 0);
	p = kt_arena_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

void kt_arena_cleanup(struct kt_arena **a)
{
	kt_arena_free(*a);
}
