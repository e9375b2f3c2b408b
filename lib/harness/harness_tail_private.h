/* SPDX-License-Identifier: MIT */
/* The last lines that a harness wrote to stderr, for reports of its end. For harness.c only. */
#ifndef KT_HARNESS_HARNESS_TAIL_PRIVATE_H
#define KT_HARNESS_HARNESS_TAIL_PRIVATE_H

#include "base/buf.h"
#include "base/vec.h"
#include "crypto/masks.h"

enum { KT_STDERR_LINE_BYTES = 64 * 1024 };

struct kt_tail {
	struct kt_vec lines; /* char * */
	struct kt_masks hidden; /* values that are not kept */
	bool hides; /* they were told */
};

/* Values of the harness's own variables; before the first line. */
void kt_tail_hide(struct kt_tail *t, char *const *shared, char *const *extra);

/* Keep a line; shown gets it without secrets and control characters. */
void kt_tail_add(struct kt_tail *t, const char *line, size_t len, struct kt_buf *shown);
/* The last lines, joined; the caller's. */
char *kt_tail_text(const struct kt_tail *t);
void kt_tail_clear(struct kt_tail *t);
void kt_tail_release(struct kt_tail *t);

#endif
