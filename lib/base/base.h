/* SPDX-License-Identifier: MIT */
/*
 * Attributes, checked allocation and small helpers that every file may use.
 * Nothing here keeps state; everything is thread-safe.
 */
#ifndef KT_BASE_BASE_H
#define KT_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>

#define KT_MUST_CHECK __attribute__((warn_unused_result))
#define KT_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define KT_NORETURN __attribute__((noreturn))
#define KT_UNUSED __attribute__((unused))

#define KT_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define KT_MIN(a, b) ((a) < (b) ? (a) : (b))
#define KT_MAX(a, b) ((a) > (b) ? (a) : (b))

/* The structure of type `type` that holds `member` at address ptr. */
#define kt_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/*

 * Broken invariant (never bad input): prints file and line to stderr and aborts, also in release.

 */
#define kt_assert(cond) ((cond) ? (void)0 : kt_assert_fail(#cond, __FILE__, __LINE__))
KT_NORETURN void kt_assert_fail(const char *cond, const char *file, int line);

/* Allocate sizes that the program chose. Abort when memory is out; never return NULL. */
KT_MUST_CHECK void *kt_malloc(size_t size);
KT_MUST_CHECK void *kt_calloc(size_t n, size_t size);
KT_MUST_CHECK void *kt_realloc(void *p, size_t n, size_t size);
KT_MUST_CHECK char *kt_strdup(const char *s);
/* The same, but NULL for NULL. */
KT_MUST_CHECK char *kt_strdup_opt(const char *s);
/*
 * *slot, an allocated string or NULL, becomes a copy of s or NULL; s may be a part of the old one.
 */
void kt_str_set(char **slot, const char *s);
/* Copy n bytes and add a NUL. */
KT_MUST_CHECK char *kt_strndup(const char *s, size_t n);
/* Allocate a size that input chose. Returns NULL when memory is out. */
KT_MUST_CHECK void *kt_try_malloc(size_t size);
KT_MUST_CHECK void *kt_try_realloc(void *p, size_t size);

/* Format into new memory (the caller's, free). Aborts when memory is out. */
KT_MUST_CHECK char *kt_asprintf(const char *fmt, ...) KT_PRINTF(1, 2);

/* Grow *p (elements of size bytes, *cap of them) so that it holds at least want elements. */
void kt_grow(void **p, size_t *cap, size_t want, size_t size);

/* free() for KT_AUTOFREE and close() for KT_AUTOFD; not called directly. */
static inline void kt_cleanup_free(void *p)
{
	free(*(void **)p);
}
void kt_cleanup_fd(int *fd);

/* Locals that own something: initialise on the same line; early return is then right. */
#define KT_AUTOFREE __attribute__((cleanup(kt_cleanup_free)))
#define KT_AUTOFD __attribute__((cleanup(kt_cleanup_fd)))
/* Take an owned local out of its cleanup. */
#define KT_STEAL(p)                                                                                \
	({                                                                                         \
		__typeof__(p) kt_stolen_ = (p);                                                    \
		(p) = NULL;                                                                        \
		kt_stolen_;                                                                        \
	})
#define KT_STEAL_FD(fd)                                                                            \
	({                                                                                         \
		int kt_stolen_ = (fd);                                                             \
		(fd) = -1;                                                                         \
		kt_stolen_;                                                                        \
	})

#endif
