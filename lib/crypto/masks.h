/* SPDX-License-Identifier: MIT */
/*
 * Values that must not be seen, and text without them. The work is bounded by the text, however
 * many values there are and however they look: text that would take too long is hidden. One thread
 * at a time.
 */
#ifndef KT_CRYPTO_MASKS_H
#define KT_CRYPTO_MASKS_H

#include "base/buf.h"
#include "base/map.h"

struct kt_mask;
struct kt_masks {
	struct kt_map values; /* value -> struct kt_mask */
	struct kt_mask **slots; /* by what they begin with */
	size_t n, n_slots;
};

/* A value, and the longer ones of its lines; short ones are words that text is full of. */
void kt_masks_add(struct kt_masks *m, const char *value);
/* The values of "NAME=value" strings, NULL-terminated; env may be NULL. */
void kt_masks_add_env(struct kt_masks *m, char *const *env);
/* Add what `from` has, and empty that. */
void kt_masks_take(struct kt_masks *m, struct kt_masks *from);
/* Wipe and free; it is empty and usable again. */
void kt_masks_release(struct kt_masks *m);
/*
 * Append len bytes of text with *** in place of each value until out has max bytes or a little
 * more; a value is never cut in two.
 */
void kt_masks_apply(
	const struct kt_masks *m, const char *text, size_t len, size_t max, struct kt_buf *out);

#endif
