/* SPDX-License-Identifier: MIT */
/*
 * The reply of a turn, put together from its text events by the rule of docs/events.md: parts in
 * the order of their first event, each what came since its last replacement, a blank line between
 * those that are not empty. Whoever needs the whole reply uses this: a `done` event carries only
 * its beginning when it is long. No state beside the structure; one thread.
 */
#ifndef KT_EVENT_ASSEMBLY_H
#define KT_EVENT_ASSEMBLY_H

#include "base/buf.h"
#include "base/vec.h"

#include <cjson/cJSON.h>

struct kt_assembly {
	struct kt_vec parts; /* in the order they began */
	size_t kept, max_bytes; /* bytes of text held, and how many may be */
};

/* An empty reply that holds at most max_bytes of text. */
void kt_assembly_init(struct kt_assembly *a, size_t max_bytes);
/* Free what it holds; it is empty and usable again. */
void kt_assembly_release(struct kt_assembly *a);
/*
 * Take the data of a text event of the main agent: part.text is appended to the part `part_id`,
 * or with `replace` stands in its place. What passes max_bytes is counted, not held.
 */
void kt_assembly_add(struct kt_assembly *a, const cJSON *data);
/* True when the part began already. */
bool kt_assembly_has(const struct kt_assembly *a, const char *part_id);
/* Append the reply to out, up to the first byte that was not held. */
void kt_assembly_join(const struct kt_assembly *a, struct kt_buf *out);
/* Length of the whole reply in bytes, with what was not held. */
size_t kt_assembly_bytes(const struct kt_assembly *a);
/* True when kt_assembly_join() gives all of it. */
bool kt_assembly_whole(const struct kt_assembly *a);

#endif
