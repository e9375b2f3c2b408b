/* SPDX-License-Identifier: MIT */
/* Text that several keep; see shared.h. */
#include "base/shared.h"

struct kt_shared *kt_shared_new(char *text, size_t len)
{
	struct kt_shared *s = kt_calloc(1, sizeof(*s));

	atomic_init(&s->refs, 1);
	s->text = text;
	s->len = len;
	return s;
}

struct kt_shared *kt_shared_ref(struct kt_shared *s)
{
	if (s)
		atomic_fetch_add(&s->refs, 1);
	return s;
}

void kt_shared_unref(struct kt_shared *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) > 1)
		return;
	free(s->text);
	free(s);
}
