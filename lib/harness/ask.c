/* SPDX-License-Identifier: MIT */
/*
 * The input of an ask. The exact text is kept once, by whoever needs it; of one that may be too
 * large for an event the driver makes the part to show, as it has the tree at hand, and reads a
 * line that large on a thread.
 */
#include "harness/driver.h"

#include "base/limits.h"
#include "text/json.h"

/* What else an event of an ask says fits beside it. */
#define PART_BYTES (KT_MAX_EVENT_BYTES / 4 * 3)

/* What is shown of a long string in an input that is too large for an event. */
static const size_t cuts[] = { 64 * 1024, 1024, 64 };

void kt_ask_input(
	struct kt_ask *ask, struct kt_shared *text, const cJSON *input, struct kt_buf *part)
{
	ask->shared = text;
	ask->input = text->text;
	ask->input_len = text->len;
	if (text->len < KT_MAX_EVENT_BYTES / 2 || kt_crypto_init(NULL) != KT_OK)
		return;
	for (size_t i = 0; i < KT_ARRAY_LEN(cuts); i++) {
		struct kt_jw w;

		kt_buf_release(part);
		kt_buf_init(part, PART_BYTES);
		kt_jw_init(&w, part);
		kt_emit_cut_json(&w, NULL, input, cuts[i]);
		if (!kt_buf_ok(part))
			continue;
		ask->part = part->ptr;
		kt_sha256_of(text->text, text->len, ask->sha256);
		return;
	}
}
