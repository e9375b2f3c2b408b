/* SPDX-License-Identifier: MIT */
/* What the files of a running harness share: harness.c, harness_line.c and harness_watch.c. */
#ifndef KT_HARNESS_HARNESS_PRIVATE_H
#define KT_HARNESS_HARNESS_PRIVATE_H

#include "harness/harness.h"

#include "base/map.h"
#include "harness/aside_private.h"
#include "harness/dues_private.h"
#include "harness/gather_private.h"
#include "harness/harness_tail_private.h"
#include "text/lines.h"

/* What may be due; see due_act(). */
enum due { DUE_START, DUE_FIRST, DUE_SILENCE, DUE_CANCEL, DUE_STOP, DUE_DRIVER, DUE_TEXT, DUE_N_ };

/* Steps of a polite stop. */
enum stop { STOP_NOT, STOP_TURN, STOP_EOF, STOP_TERM, STOP_KILLED };

struct kt_harness {
	struct kt_harness_env *env;
	const struct kt_driver_ops *ops;
	struct kt_driver *driver;
	struct kt_arena *arena; /* what lives as long as the harness */
	struct kt_driver_config cfg; /* strings in arena */
	const char *session_id, *project, *org; /* in arena, or NULL */
	struct kt_hold hold; /* of what it wrote and is kept; see kt_harness_count() */
	size_t driver_kept; /* by the driver, as far as known while a thread has it */
	struct kt_child *child; /* NULL: not started, gone, or a driver without a process */
	struct kt_lines out, err;
	bool err_skips; /* to the end of a line that is too long */
	struct kt_tail tail;
	struct kt_harness_cbs cbs;
	void *arg;
	char *harness_session;
	struct kt_record *record; /* or NULL */

	bool ready;
	bool in_turn;
	bool prompt_given; /* the driver has the prompt of this turn */
	bool resume_retried; /* one fresh start after a failed resume */
	bool restart; /* start afresh when the process is gone */
	bool start_retried; /* a start that failed for a passing cause was made again */
	bool waits; /* another first start is on the way; see starts.h */
	enum stop stop;
	struct kt_prompt prompt; /* a copy; kept to the end of the turn */
	struct kt_gather gather;
	bool deaf; /* what it still says is not read any more */
	struct kt_map tools, asks; /* ids that are open; values mean nothing */
	/* Why we ended the turn: goes before what the driver says. */
	const char *why_code;
	char *why_message;

	/* A line that is read beside the loop: the driver is its thread's until it is over. */
	struct kt_aside *aside; /* or NULL */
	struct kt_buf lines; /* whole lines that came with it */
	struct kt_vec answers; /* struct held_answer * of harness_line.c: that came meanwhile */
	bool interrupt_waits, stop_waits;

	struct kt_dues dues; /* by enum due */
	struct kt_defer later; /* start or end of a driver without a process */
	unsigned depth;
	bool dead;
};

/* Call an owner's callback, unless it wants none any more. */
#define KT_TELL(h, fn, ...)                                                                        \
	do {                                                                                       \
		if (!(h)->dead && (h)->cbs.fn)                                                     \
			(h)->cbs.fn((h)->arg, ##__VA_ARGS__);                                      \
	} while (0)

/* harness.c */
/* Every way in: the memory goes with the last one out. */
void kt_harness_enter(struct kt_harness *h);
void kt_harness_leave(struct kt_harness *h);
/* The harness gave a sign of life: silence counts from now. */
void kt_harness_touch(struct kt_harness *h);
/* Give on text that waits: whatever comes next comes after it. */
void kt_harness_give_text(struct kt_harness *h);
/* The prompt that waits, if the driver can take it now. */
void kt_harness_give_prompt(struct kt_harness *h);
/* Why we end the turn, unless that was said already. TAKES message. */
void kt_harness_set_why(struct kt_harness *h, const char *code, char *message);
/* Kill it; the reason goes into the end of the turn. TAKES message. */
void kt_harness_kill_because(struct kt_harness *h, const char *code, char *message);
/* End a turn that the driver knows nothing of. */
void kt_harness_abort(
	struct kt_harness *h, const char *stop_reason, const char *code, const char *message);

/* harness_line.c: what the process writes */
/* A line of its output; large ones go to a thread. A kt_line_fn. */
void kt_harness_line(void *arg, char *line, size_t len);
/* Bytes of its output, and of its stderr. */
void kt_harness_out(void *arg, const char *data, size_t len);
void kt_harness_err(void *arg, const char *data, size_t len);
void kt_harness_err_line(void *arg, char *line, size_t len);
/* An answer for the driver when it is back. */
void kt_harness_hold_answer(struct kt_harness *h, const char *ask_id, enum kt_decision decision,
	const char *answers, const char *note);
/* Let the driver take the prompt on a thread. */
void kt_harness_prompt_aside(struct kt_harness *h);
/* The driver is needed now, whatever is being read: wait for it. */
void kt_harness_read_out(struct kt_harness *h);
/* Count what is kept of its output; what does not fit stops it. False: that happened. */
bool kt_harness_count(struct kt_harness *h, size_t more);
/* Nothing of it is wanted any more. */
void kt_harness_read_drop(struct kt_harness *h);

/* harness_watch.c: watchdogs and the polite stop */
int64_t kt_harness_limit_ms(int64_t configured, int64_t standard);
void kt_harness_stop_next(struct kt_harness *h);
/* Something is due. A kt_loop_fn. */
void kt_harness_timer(void *arg);

#endif
