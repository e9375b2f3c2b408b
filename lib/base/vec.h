/* SPDX-License-Identifier: MIT */
/* A growing array of pointers. The vector owns its array, never what the pointers name. */
#ifndef KT_BASE_VEC_H
#define KT_BASE_VEC_H

#include "base/base.h"

struct kt_vec {
	void **items;
	size_t len;
	size_t cap;
};
#define KT_VEC_INIT                                                                                \
	{                                                                                          \
		NULL, 0, 0                                                                         \
	}

/* Append p. */
void kt_vec_push(struct kt_vec *v, void *p);
/* Insert p before index at (at <= len). */
void kt_vec_insert(struct kt_vec *v, size_t at, void *p);
/* Remove the item at index at, keeping order, and return it. */
void *kt_vec_remove(struct kt_vec *v, size_t at);
/* Remove the first item that equals p; false when there is none. */
bool kt_vec_remove_ptr(struct kt_vec *v, const void *p);
/* Free the array; the vector is empty and usable again. */
void kt_vec_release(struct kt_vec *v);

#endif
