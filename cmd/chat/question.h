/* SPDX-License-Identifier: MIT */
/*
 * An input that a turn waits for: shown in full, asked, and the typed answer turned into the body
 * of the API. Approvals are shown exactly: what is approved must be what was seen.
 */
#ifndef KT_CMD_CHAT_QUESTION_H
#define KT_CMD_CHAT_QUESTION_H

#include "cli/term.h"
#include "client/client.h"

struct kt_question {
	char request_id[KT_CLIENT_ID_MAX];
	cJSON *data; /* of the input_required event */
	int step; /* number of the question asked now, for inputs with several */
	cJSON *answers; /* collected */
};

/* New one from an event's data (copied); NULL when it names no request. */
KT_MUST_CHECK struct kt_question *kt_question_new(const cJSON *data);
void kt_question_free(struct kt_question *q);
/* Append what it is about: the message, the tool, the exact input with its size. */
void kt_question_show(struct kt_buf *b, const struct kt_term *t, const struct kt_question *q);
/* Append the question of the present step with its numbered options; nothing for approvals. */
void kt_question_show_step(struct kt_buf *b, const struct kt_term *t, const struct kt_question *q);
/* Append what each answer to an approval means. */
void kt_question_help(struct kt_buf *b, const struct kt_term *t, const struct kt_question *q);
/* "approved once" for a decision as events have it. */
const char *kt_question_done(const char *decision);
/* The prompt to type the answer at. */
const char *kt_question_prompt(const struct kt_question *q);

/*
 * Take the input as GET .../inputs/ID gives it, in place of the part that the event showed.
 * kt_question_show() then shows all of it.
 */
void kt_question_whole(struct kt_question *q, const cJSON *data);

enum kt_question_take {
	KT_TAKE_AGAIN, /* that was no answer */
	KT_TAKE_MORE, /* fine, the next step follows */
	KT_TAKE_DONE, /* body holds the answer */
	KT_TAKE_WHOLE, /* the whole input is wanted: kt_question_whole() */
	KT_TAKE_HELP, /* kt_question_help() is wanted, and the question again */
};
/* Take one typed line. */
enum kt_question_take kt_question_take(
	struct kt_question *q, const char *line, struct kt_buf *body);
/*
 * Answer by a word given in advance ("once", "session", "deny"): appends the body; false when this
 * input cannot be answered so (a question has no yes).
 */
KT_MUST_CHECK bool kt_question_decide(
	const struct kt_question *q, const char *word, struct kt_buf *body);

/* What a decision covers beyond this call, as the server says it; NULL: nothing. BORROWS. */
const char *kt_question_covers(const struct kt_question *q, const char *decision);

#endif
