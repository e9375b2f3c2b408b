/* SPDX-License-Identifier: MIT */
/* The session protocol: its handlers, and how a turn is answered. */
#ifndef KT_API_SESSIONS_PRIVATE_H
#define KT_API_SESSIONS_PRIVATE_H

#include "api/core/log_private.h"

/* stream.c */
struct kt_stream_start {
	uint64_t after_seq;
	const char *turn_id; /* end with this turn's end, or NULL */
	bool until_idle; /* end when no turn runs */
};
void kt_api_stream(struct kt_call *c, struct kt_session *s, const struct kt_stream_start *start);

/* wait.c: unary answers */
void kt_api_wait_turn(
	struct kt_call *c, struct kt_session *s, const char *turn_id, uint64_t after_seq);
void kt_api_wait_events(struct kt_call *c, struct kt_session *s, uint64_t after_seq);

/* reply.c: answer with what a turn said that has ended or is paused, from the log */
void kt_api_reply(struct kt_call *c, struct kt_session *s, const char *turn_id, uint64_t after_seq);
/* The server ends. */
void kt_api_replies_end(struct kt_api *api);

/* sessions.c: handlers */
void kt_api_sessions_create(struct kt_call *c, const struct kt_params *p);
void kt_api_sessions_list(struct kt_call *c, const struct kt_params *p);
void kt_api_sessions_get(struct kt_call *c, const struct kt_params *p);
void kt_api_sessions_change(struct kt_call *c, const struct kt_params *p);
void kt_api_sessions_delete(struct kt_call *c, const struct kt_params *p);

/* messages.c: handlers */
void kt_api_messages_send(struct kt_call *c, const struct kt_params *p);
void kt_api_inputs_get(struct kt_call *c, const struct kt_params *p);
void kt_api_inputs_put(struct kt_call *c, const struct kt_params *p);
void kt_api_interrupt(struct kt_call *c, const struct kt_params *p);
void kt_api_events(struct kt_call *c, const struct kt_params *p);

/* approvals.c: handlers */
void kt_api_approvals_list(struct kt_call *c, const struct kt_params *p);
void kt_api_approvals_revoke(struct kt_call *c, const struct kt_params *p);
void kt_api_approvals_clear(struct kt_call *c, const struct kt_params *p);

#endif
