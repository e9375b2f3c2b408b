/* SPDX-License-Identifier: MIT */
/*
 * Checked allocation and the failed assertion. Running out of memory for a size the program chose
 * is fatal: there is no sensible way on, and a server restarts with its log intact.
 */
#include "base/base.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

KT_NORETURN static void out_of_memory(void)
{
	static const char text[] = "fatal: out of memory\n";

	/* stdio may allocate, so the line goes straight to the descriptor. */
	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		abort();
	abort();
}

void kt_assert_fail(const char *cond, const char *file, int line)
{
	fprintf(stderr, "fatal: %s:%d: assertion failed: %s\n", file, line, cond);
	abort();
}

void *kt_try_malloc(size_t size)
{
	if (size > PTRDIFF_MAX)
		return NULL;
	return malloc(size ? size : 1);
}

void *kt_try_realloc(void *p, size_t size)
{
	if (size > PTRDIFF_MAX)
		return NULL;
	return realloc(p, size ? size : 1);
}

void *kt_malloc(size_t size)
{
	void *p = kt_try_malloc(size);

	if (!p)
		out_of_memory();
	return p;
}

void *kt_calloc(size_t n, size_t size)
{
	size_t total;
	void *p;

	if (__builtin_mul_overflow(n, size, &total) || total > PTRDIFF_MAX)
		out_of_memory();
	p = calloc(1, total ? total : 1);
	if (!p)
		out_of_memory();
	return p;
}

void *kt_realloc(void *p, size_t n, size_t size)
{
	size_t total;
	void *q;

	if (__builtin_mul_overflow(n, size, &total))
		out_of_memory();
	q = kt_try_realloc(p, total);
	if (!q)
		out_of_memory();
	return q;
}

char *kt_strndup(const char *s, size_t n)
{
	char *p;

	if (n == SIZE_MAX)
		out_of_memory();
	p = kt_malloc(n + 1);
	if (n)
		memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

char *kt_strdup(const char *s)
{
	return kt_strndup(s, strlen(s));
}

char *kt_strdup_opt(const char *s)
{
	return s ? kt_strdup(s) : NULL;
}

void kt_str_set(char **slot, const char *s)
{
	char *copy = kt_strdup_opt(s);

	free(*slot);
	*slot = copy;
}

char *kt_asprintf(const char *fmt, ...)
{
	char *s = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0 || !s)
		out_of_memory();
	return s;
}

void kt_grow(void **p, size_t *cap, size_t want, size_t size)
{
	size_t n = *cap ? *cap : 8;

	if (want <= *cap)
		return;
	while (n < want) {
		if (n > SIZE_MAX / 2)
			out_of_memory();
		n *= 2;
	}
	*p = kt_realloc(*p, n, size);
	*cap = n;
}

void kt_cleanup_fd(int *fd)
{
	if (*fd >= 0) {
		/* The caller may be on its way out with an errno to report. */
		int saved = errno;

		close(*fd);
		errno = saved;
	}
}
