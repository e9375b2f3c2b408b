/* SPDX-License-Identifier: MIT */
/*
 * TOML: no crash, an error has a place and one line, the tree is whole (keys unique, places
 * within the text, depth bounded), and time stays within a bound that is linear in the text.
 */
#include "base/limits.h"
#include "base/map.h"
#include "base/time.h"
#include "text/toml.h"

#include <stdlib.h>

/* Far above what a sanitized build needs; a quadratic reader passes it on 256 KiB. */
#define US_PER_BYTE 40
#define US_BASE 1000000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_tree(const struct kt_toml *v, int depth)
{
	struct kt_map keys = KT_MAP_INIT;

	if (depth > 65 || v->line < 1 || v->col < 1)
		abort();
	if ((v->type == KT_TOML_STRING || v->type == KT_TOML_DATETIME) && v->str[v->str_len])
		abort();
	if (v->child && v->type != KT_TOML_TABLE && v->type != KT_TOML_ARRAY)
		abort();
	for (const struct kt_toml *c = v->child; c; c = c->next) {
		if ((v->type == KT_TOML_TABLE) != (c->key != NULL))
			abort();
		if (c->key && kt_map_set(&keys, c->key, &keys))
			abort();
		check_tree(c, depth + 1);
	}
	kt_map_release(&keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	const struct kt_toml *root = NULL;
	struct kt_err err = KT_ERR_INIT;
	int64_t start = kt_mono_us();
	enum kt_code code = kt_toml_parse(arena, size ? (const char *)data : "", size, &root, &err);

	if (kt_mono_us() - start > US_BASE + (int64_t)size * US_PER_BYTE)
		abort();
	if (code == KT_OK) {
		check_tree(root, 0);
	} else {
		if (code != KT_EINVAL && code != KT_ELIMIT)
			abort();
		if (root || err.msg[0] < '1' || err.msg[0] > '9' || !strchr(err.msg, ':') ||
			strchr(err.msg, '\n'))
			abort();
	}
	return 0;
}
