/* SPDX-License-Identifier: MIT */
/* Text that several keep and nobody changes: one copy, counted. Any thread may hold one. */
#ifndef KT_BASE_SHARED_H
#define KT_BASE_SHARED_H

#include "base/base.h"

#include <stdatomic.h>

struct kt_shared {
	atomic_size_t refs;
	size_t len;
	char *text; /* NUL-terminated */
};

/* Of a text with memory of its own (TAKES it), with one reference. */
KT_MUST_CHECK struct kt_shared *kt_shared_new(char *text, size_t len);
/* One reference more; NULL is fine. */
struct kt_shared *kt_shared_ref(struct kt_shared *s);
/* One less; the last one frees it. NULL is fine. */
void kt_shared_unref(struct kt_shared *s);

#endif
