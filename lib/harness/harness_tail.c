/* SPDX-License-Identifier: MIT */
/* The last lines of stderr; see harness_tail.h. */
#include "harness/harness_tail.h"

#include "base/clean.h"
#include "base/limits.h"
#include "text/redact.h"

#include <string.h>

enum {
	TAIL_LINE_BYTES = 1000, /* of one line */
	TAIL_BYTES = 16 * 1024,
};

void kt_tail_add(struct kt_tail *t, const char *line, size_t len, struct kt_buf *shown)
{
	KT_AUTO_BUF struct kt_buf safe = KT_BUF_INIT((size_t)2 * KT_STDERR_LINE_BYTES);

	kt_redact_add(&safe, line, len);
	kt_clean_add(shown, safe.ptr, safe.len, true);
	if (t->lines.len == KT_MAX_STDERR_LINES)
		free(kt_vec_remove(&t->lines, 0));
	kt_vec_push(&t->lines, kt_strndup(shown->ptr, KT_MIN(shown->len, (size_t)TAIL_LINE_BYTES)));
}

char *kt_tail_text(const struct kt_tail *t)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TAIL_BYTES);
	size_t from = t->lines.len;
	size_t bytes = 0;

	while (from > 0) {
		size_t n = strlen(t->lines.items[from - 1]) + 1;

		if (bytes + n > TAIL_BYTES)
			break;
		bytes += n;
		from--;
	}
	for (size_t i = from; i < t->lines.len; i++) {
		if (i > from)
			kt_buf_addc(&b, '\n');
		kt_buf_adds(&b, t->lines.items[i]);
	}
	return kt_buf_take(&b);
}

void kt_tail_clear(struct kt_tail *t)
{
	for (size_t i = 0; i < t->lines.len; i++)
		free(t->lines.items[i]);
	kt_vec_release(&t->lines);
}
