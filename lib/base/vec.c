/* SPDX-License-Identifier: MIT */
/*
 * The growing array of pointers.
 */
#include "base/vec.h"

#include <string.h>

void kt_vec_push(struct kt_vec *v, void *p)
{
	kt_vec_insert(v, v->len, p);
}

void kt_vec_insert(struct kt_vec *v, size_t at, void *p)
{
	kt_assert(at <= v->len);
	kt_grow((void **)&v->items, &v->cap, v->len + 1, sizeof(*v->items));
	memmove(v->items + at + 1, v->items + at, (v->len - at) * sizeof(*v->items));
	v->items[at] = p;
	v->len++;
}

void *kt_vec_remove(struct kt_vec *v, size_t at)
{
	void *p;

	kt_assert(at < v->len);
	p = v->items[at];
	v->len--;
	memmove(v->items + at, v->items + at + 1, (v->len - at) * sizeof(*v->items));
	return p;
}

bool kt_vec_remove_ptr(struct kt_vec *v, const void *p)
{
	for (size_t i = 0; i < v->len; i++) {
		if (v->items[i] == p) {
			kt_vec_remove(v, i);
			return true;
		}
	}
	return false;
}

void kt_vec_release(struct kt_vec *v)
{
	free(v->items);
	v->items = NULL;
	v->len = 0;
	v->cap = 0;
}
