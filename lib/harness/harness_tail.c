/* SPDX-License-Identifier: MIT */
/* The last lines of stderr; see harness_tail.h. */
#include "harness/harness_tail_private.h"

#include "base/limits.h"
#include "text/clean.h"
#include "text/redact.h"

#include <string.h>

enum {
	TAIL_LINE_BYTES = 1000, /* of one line */
	TAIL_BYTES = 16 * 1024,
};

void kt_tail_hide(struct kt_tail *t, char *const *shared, char *const *extra)
{
	kt_masks_add_env(&t->hidden, shared);
	kt_masks_add_env(&t->hidden, extra);
	t->hides = true;
}

void kt_tail_add(struct kt_tail *t, const char *line, size_t len, struct kt_buf *shown)
{
	KT_AUTO_BUF struct kt_buf plain = KT_BUF_INIT((size_t)2 * KT_STDERR_LINE_BYTES);
	KT_AUTO_BUF struct kt_buf safe = KT_BUF_INIT((size_t)2 * KT_STDERR_LINE_BYTES);

	kt_masks_apply(&t->hidden, line, len, KT_STDERR_LINE_BYTES, &plain);
	kt_redact_add(&safe, plain.ptr, plain.len);
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

void kt_tail_release(struct kt_tail *t)
{
	kt_tail_clear(t);
	kt_masks_release(&t->hidden);
	t->hides = false;
}
