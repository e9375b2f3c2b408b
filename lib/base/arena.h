/* SPDX-License-Identifier: MIT */
/*
 * Arena: many small allocations freed together. Objects are never freed singly and never outlive
 * the arena. One thread owns an arena. Aborts when memory is out.
 */
#ifndef KT_BASE_ARENA_H
#define KT_BASE_ARENA_H

#include "base/base.h"

struct kt_arena;

/* New arena, kt_arena_free() ends it. */
KT_MUST_CHECK struct kt_arena *kt_arena_new(void);
/* Free everything; NULL is fine. */
void kt_arena_free(struct kt_arena *a);
/* Zeroed memory, aligned for any type, that lives as long as the arena. */
void *kt_arena_alloc(struct kt_arena *a, size_t size);
/* Copy of n bytes plus a NUL. */
char *kt_arena_strndup(struct kt_arena *a, const char *s, size_t n);
char *kt_arena_strdup(struct kt_arena *a, const char *s);
/* The same, but NULL for NULL. */
char *kt_arena_strdup_opt(struct kt_arena *a, const char *s);
/* Formatted copy. */
char *kt_arena_printf(struct kt_arena *a, const char *fmt, ...) KT_PRINTF(2, 3);
/* Cleanup helper for KT_AUTO_ARENA. */
void kt_arena_cleanup(struct kt_arena **a);
#define KT_AUTO_ARENA __attribute__((cleanup(kt_arena_cleanup)))

#endif
