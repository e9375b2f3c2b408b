/* SPDX-License-Identifier: MIT */
#include "crypto/masks.h"

#include "crypto/crypto.h"

#include <string.h>

#define MIN_VALUE 8 /* shorter values are words that lines are full of */
#define MIN_LINE 16 /* a line of a longer value, such as a certificate */
#define MAX_LINES 1024 /* of one value: twice those of the longest certificate */
#define FIRST_SLOTS 64
/*
 * Values that are compared for one text, a long one counting more: a millisecond or two. Twenty
 * thousand lines of certificates that all begin alike do not come near.
 */
#define MAX_WORK 200000
#define WORK_BYTES 64

struct kt_mask {
	struct kt_mask *next; /* in its slot */
	size_t len;
	char value[];
};

static size_t slot_of(const struct kt_masks *m, const char *s)
{
	uint64_t k;

	memcpy(&k, s, sizeof(k));
	k *= UINT64_C(0x9E3779B97F4A7C15);
	return (size_t)(k >> 32) & (m->n_slots - 1);
}

static void put_mask(struct kt_masks *m, struct kt_mask *mask)
{
	struct kt_mask **slot = &m->slots[slot_of(m, mask->value)];

	mask->next = *slot;
	*slot = mask;
}

static void grow_masks(struct kt_masks *m)
{
	size_t pos = 0;
	const char *key;
	void *value;

	free(m->slots);
	m->n_slots = m->n_slots ? 2 * m->n_slots : FIRST_SLOTS;
	m->slots = kt_calloc(m->n_slots, sizeof(*m->slots));
	while (kt_map_next(&m->values, &pos, &key, &value))
		put_mask(m, value);
}

/* False: it was there. */
static bool add_one(struct kt_masks *m, const char *s, size_t len)
{
	struct kt_mask *mask = kt_malloc(sizeof(*mask) + len + 1);

	memcpy(mask->value, s, len);
	mask->value[len] = '\0';
	mask->len = len;
	if (kt_map_get(&m->values, mask->value)) {
		kt_secret_wipe(mask->value, len);
		free(mask);
		return false;
	}
	if (m->n >= m->n_slots)
		grow_masks(m);
	(void)kt_map_set(&m->values, mask->value, mask);
	put_mask(m, mask);
	m->n++;
	return true;
}

void kt_masks_add(struct kt_masks *m, const char *value)
{
	size_t len = strlen(value), lines = 0;

	if (len < MIN_VALUE || !add_one(m, value, len) || !strchr(value, '\n'))
		return;
	for (const char *s = value; *s && lines < MAX_LINES; lines++) {
		size_t n = strcspn(s, "\r\n");

		if (n >= MIN_LINE)
			(void)add_one(m, s, n);
		s += n;
		s += strspn(s, "\r\n");
	}
}

void kt_masks_add_env(struct kt_masks *m, char *const *env)
{
	for (; env && *env; env++) {
		const char *eq = strchr(*env, '=');

		if (eq)
			kt_masks_add(m, eq + 1);
	}
}

void kt_masks_take(struct kt_masks *m, struct kt_masks *from)
{
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(&from->values, &pos, &key, &value))
		(void)add_one(m, key, strlen(key));
	kt_masks_release(from);
}

void kt_masks_release(struct kt_masks *m)
{
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(&m->values, &pos, &key, &value)) {
		struct kt_mask *mask = value;

		kt_secret_wipe(mask->value, mask->len);
		free(mask);
	}
	kt_map_release(&m->values);
	free(m->slots);
	*m = (struct kt_masks){ 0 };
}

/* The length of the longest value that text begins with, or 0. *work is what may be done yet. */
static size_t longest_mask(const struct kt_masks *m, const char *text, size_t len, size_t *work)
{
	const struct kt_mask *mask = len < MIN_VALUE ? NULL : m->slots[slot_of(m, text)];
	size_t found = 0;

	for (; mask && *work > 0; mask = mask->next) {
		size_t cost = 1;

		if (mask->len > found && mask->len <= len) {
			cost += mask->len / WORK_BYTES;
			if (memcmp(mask->value, text, mask->len) == 0)
				found = mask->len;
		}
		*work -= KT_MIN(*work, cost);
	}
	return found;
}

void kt_masks_apply(
	const struct kt_masks *m, const char *text, size_t len, size_t max, struct kt_buf *out)
{
	size_t from = 0, at = 0, work = MAX_WORK;

	while (m->n && at < len && out->len + (at - from) < max) {
		size_t n = longest_mask(m, text + at, len - at, &work);

		if (!n && work > 0) {
			at++;
			continue;
		}
		kt_buf_add(out, text + from, at - from);
		kt_buf_adds(out, "***");
		if (!work)
			return;
		at += n;
		from = at;
	}
	if (out->len < max)
		kt_buf_add(out, text + from, KT_MIN(len - from, max - out->len));
}
