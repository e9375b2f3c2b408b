/* SPDX-License-Identifier: MIT */
/*
 * What happens to events between driver and owner: text that comes in tiny pieces is put together,
 * so that a byte does not cost a frame, and tools that run are counted. For harness.c only.
 */
#ifndef KT_HARNESS_GATHER_PRIVATE_H
#define KT_HARNESS_GATHER_PRIVATE_H

#include "base/buf.h"
#include "base/map.h"
#include "event/event.h"

/* Text of one part that waits for more; none when data is empty. */
struct kt_gather {
	struct kt_buf data;
	size_t text_end; /* offset of the quote that ends the text */
	enum kt_event_type type;
	char *parent; /* or NULL */
	int64_t sent_ms; /* loop time of the last text that was given on */
};

/* An empty one, without memory; kt_gather_release() ends it. */
void kt_gather_init(struct kt_gather *g);
void kt_gather_release(struct kt_gather *g);
/*
 * True when ev waits now: it goes on with the text that waits, or is the first to wait because
 * there was text less than KT_GATHER_MS ago. False: what waits is to be given on before ev, and ev
 * may be offered again.
 */
KT_MUST_CHECK bool kt_gather_take(
	struct kt_gather *g, const struct kt_event_draft *ev, int64_t now_ms);
bool kt_gather_waits(const struct kt_gather *g);
/* Take out what waits: *out is an event of it, whose strings `held` owns from now on. */
void kt_gather_out(struct kt_gather *g, struct kt_gather *held, struct kt_event_draft *out);

/* Keep the ids of tools that run in `tools`, with value `mark`. */
void kt_tools_count(struct kt_map *tools, const struct kt_event_draft *ev, void *mark);

#endif
