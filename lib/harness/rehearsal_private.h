/* SPDX-License-Identifier: MIT */
/*
 * Inside of the rehearsal driver: reading recorded turns (rehearsal_file.c) for playing them
 * (rehearsal.c). docs/rehearsals.md describes the format.
 */
#ifndef KT_HARNESS_REHEARSAL_PRIVATE_H
#define KT_HARNESS_REHEARSAL_PRIVATE_H

#include "base/buf.h"
#include "base/vec.h"
#include "harness/driver.h"
#include "text/json.h"

/* One recorded turn. */
struct rehearsal_turn {
	char *file; /* "rehearsals/greeting.jsonl" */
	int line; /* of its header */
	cJSON *head;
	struct kt_vec lines; /* cJSON, in order; the last one has "end" */
};

/* What looking for a turn gave. */
struct rehearsal_found {
	struct rehearsal_turn *turn; /* the caller's, or NULL */
	struct kt_buf problems; /* "file:line: what", one a line */
	struct kt_buf files; /* names of the files looked at, joined by ", " */
	size_t bytes; /* that the turn takes */
};

/*
 * Read all of dir/rehearsals/ *.jsonl and pick the turn for the prompt, of turns with at most
 * max_values values. out is initialised here and
 * released by the caller with kt_rehearsal_found_release().
 */
void kt_rehearsal_find(
	const char *dir, const struct kt_prompt *p, size_t max_values, struct rehearsal_found *out);
void kt_rehearsal_found_release(struct rehearsal_found *f);
/* The file that would answer this text: "rehearsals/where-is-my-order.jsonl". The caller's. */
char *kt_rehearsal_file_for(const char *text);

#endif
