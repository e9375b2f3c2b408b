/* SPDX-License-Identifier: MIT */
/*
 * Hash map from strings to pointers (open addressing, SipHash with a per-process key, so that
 * hostile keys cannot collide on purpose). Keys are copied; values are the caller's.
 */
#ifndef KT_BASE_MAP_H
#define KT_BASE_MAP_H

#include "base/base.h"

struct kt_map {
	struct kt_map_slot *slots;
	size_t len;
	size_t cap; /* power of two or 0 */
	size_t used; /* len + tombstones */
};
#define KT_MAP_INIT                                                                                \
	{                                                                                          \
		NULL, 0, 0, 0                                                                      \
	}

/* Value of key, NULL when absent. */
void *kt_map_get(const struct kt_map *m, const char *key);
/* Set key to value (not NULL); returns the value replaced, or NULL. */
void *kt_map_set(struct kt_map *m, const char *key, void *value);
/* Remove key; returns its value, or NULL. */
void *kt_map_del(struct kt_map *m, const char *key);
/*
 * Walk: *pos starts at 0; returns false at the end. The map must not change while walking, but for
 * kt_map_del() of the key just returned.
 */
bool kt_map_next(const struct kt_map *m, size_t *pos, const char **out_key, void **out_value);
/* Free keys and table; the map is empty and usable again. */
void kt_map_release(struct kt_map *m);

#endif
