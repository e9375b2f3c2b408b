/* SPDX-License-Identifier: MIT */
/*
 * Records turns as rehearsals: one file a turn, JSON lines, that the rehearsal driver replays
 * (docs/rehearsals.md is the format). Sits between a driver and its owner, so that all harnesses
 * are recorded alike. Credentials are redacted. A file that cannot be written is logged, and the
 * turn goes on.
 */
#ifndef KT_HARNESS_RECORD_PRIVATE_H
#define KT_HARNESS_RECORD_PRIVATE_H

#include "harness/driver.h"

struct kt_record;

/* New recorder that writes into dir (made when the first turn is written). Strings are copied. */
KT_MUST_CHECK struct kt_record *kt_record_new(const char *dir, const char *harness);
/* Drop a turn that has not ended; NULL is fine. */
void kt_record_free(struct kt_record *r);
/* A turn begins now; times count from here. */
void kt_record_prompt(struct kt_record *r, const struct kt_prompt *p);
/* What happened in it. Outside of a turn these do nothing; r may be NULL. */
void kt_record_event(struct kt_record *r, const struct kt_event_draft *ev);
void kt_record_ask(struct kt_record *r, const struct kt_ask *ask);
void kt_record_answer(
	struct kt_record *r, const char *ask_id, enum kt_decision decision, const char *answers);
/* The turn is over: write its file. */
void kt_record_end(struct kt_record *r, const struct kt_turn_result *result);

#endif
