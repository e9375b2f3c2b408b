/* SPDX-License-Identifier: MIT */
/* What is said in a session: turns, what a person is asked, who waits. */
#ifndef KT_SESSION_TALK_PRIVATE_H
#define KT_SESSION_TALK_PRIVATE_H

#include "session/run/run_private.h"

/* watch.c */
/* Tell all who watch. */
void kt_session_notify(struct kt_session *s, enum kt_note note, const char *turn_id);

/* ask.c */
/* {"key", "address"}: who it is, and from where when that is not this machine. */
void kt_origin_write(struct kt_jw *w, const char *key, const struct kt_origin *o);
/*
 * What `from` decided, into the audit log when somebody signs for it. in: the input it was about,
 * or NULL; a: what is remembered, or is not any more, or NULL.
 */
void kt_origin_audit(const struct kt_session *s, const struct kt_origin *from,
	const struct kt_input *in, const char *decision, const struct kt_approval *a);
/*
 * Make in->doc, or set in->deny_only. False when there is no room for it among what sessions of the
 * organization keep; *out_why (a constant) is for harness and user then.
 */
KT_MUST_CHECK bool kt_input_render(
	struct kt_input *in, const struct kt_ask *ask, const char **out_why);

/* outcome.c */
/* KT_ECONFLICT with what became of it. */
KT_MUST_CHECK enum kt_code kt_answered_fail(const struct kt_answered *first, struct kt_err *err);

/* inputs.c */
/*
 * The harness asks: it is answered by what is remembered or by a policy, or an input is opened.
 * True: the policy is that the turn fails, and it has to be interrupted.
 */
KT_MUST_CHECK bool kt_session_asked(struct kt_session *s, const struct kt_ask *ask);
/* The harness does not wait for an answer any more. */
void kt_session_ask_withdrawn(struct kt_session *s, const char *ask_id);
/* Close all that are open. by: who does, for the log; NULL: nobody is told. */
void kt_session_drop_inputs(struct kt_session *s, const char *by);

/* turn.c */
/* Start the turn that waits (arg: the session); at the end of the tick, in no harness's callback. */
void kt_session_pump(void *arg);
/* A harness asks. */
void kt_turn_asked(struct kt_session *s, const struct kt_ask *ask);
/* The running turn is over: close its inputs, say so in the log, let the next one start. */
void kt_session_turn_ended(struct kt_session *s, const struct kt_turn_result *r);
/* End the running turn with an error of ours. */
void kt_session_fail_turn(struct kt_session *s, const char *code, const char *message);
/*
 * Turns that a crash cut off get their end in the log. after_seq: what the journal knew of, when it
 * said that they ran.
 */
void kt_session_end_interrupted(struct kt_session *s, uint64_t after_seq);
/* NULL is fine. */
void kt_turn_free(struct kt_turn *t);

#endif
