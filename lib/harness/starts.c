/* SPDX-License-Identifier: MIT */
/* First starts, one at a time; see starts.h. */
#include "harness/starts_private.h"

#include "base/base.h"
#include "base/fs.h"

#include <stdlib.h>
#include <string.h>

struct start {
	char *file;
	void *who;
	void (*go)(void *who); /* NULL: it is on the way; else it waits */
};

static struct start *find_start_of(const struct kt_starts *s, const char *file)
{
	for (size_t i = 0; i < s->list.len; i++) {
		struct start *one = s->list.items[i];

		if (!one->go && !strcmp(one->file, file))
			return one;
	}
	return NULL;
}

bool kt_starts_begin(struct kt_starts *s, const char *file, void *who, void (*go)(void *who))
{
	bool wait = find_start_of(s, file) != NULL;
	struct start *one;

	if (!wait && kt_fs_is_file(file))
		return true;
	one = kt_calloc(1, sizeof(*one));
	one->file = kt_strdup(file);
	one->who = who;
	one->go = wait ? go : NULL;
	kt_vec_push(&s->list, one);
	return !wait;
}

/* All that wait for file may try: the first of them holds the others up, if need be. */
static void wake_starts(struct kt_starts *s, const char *file)
{
	for (size_t i = 0; i < s->list.len;) {
		struct start *one = s->list.items[i];

		if (!one->go || strcmp(one->file, file) != 0) {
			i++;
			continue;
		}
		(void)kt_vec_remove(&s->list, i);
		one->go(one->who);
		free(one->file);
		free(one);
	}
}

void kt_starts_end(struct kt_starts *s, void *who)
{
	for (size_t i = 0; i < s->list.len; i++) {
		struct start *one = s->list.items[i];

		if (one->who != who)
			continue;
		(void)kt_vec_remove(&s->list, i);
		if (!one->go)
			wake_starts(s, one->file);
		free(one->file);
		free(one);
		break;
	}
	if (s->list.len == 0)
		kt_vec_release(&s->list);
}
