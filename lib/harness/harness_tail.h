/* SPDX-License-Identifier: MIT */
/* The last lines that a harness wrote to stderr, for reports of its end. For harness.c only. */
#ifndef KT_HARNESS_HARNESS_TAIL_H
#define KT_HARNESS_HARNESS_TAIL_H

#include "base/buf.h"
#include "base/vec.h"

enum { KT_STDERR_LINE_BYTES = 64 * 1024 };

struct kt_tail {
	struct kt_vec lines; /* char * */
};

/* Keep a line; shown gets it without secrets and control characters. */
void kt_tail_add(struct kt_tail *t, const char *line, size_t len, struct kt_buf *shown);
/* The last lines, joined; the caller's. */
char *kt_tail_text(const struct kt_tail *t);
void kt_tail_clear(struct kt_tail *t);

#endif
