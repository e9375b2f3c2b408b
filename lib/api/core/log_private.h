/* SPDX-License-Identifier: MIT */
/* Logs as answers. */
#ifndef KT_API_LOG_PRIVATE_H
#define KT_API_LOG_PRIVATE_H

#include "api/core/caller_private.h"

/* evpipe.c: the bytes of a log as the answer to a request */
struct kt_evpipe {
	struct kt_exchange *ex;
	struct kt_evreader *reader; /* NULL once its log is gone */
	struct kt_loop *loop;
	struct kt_defer finish;
	struct kt_guard guard;
	bool ended;
	/*
	 * What a frame is told as: a line or more, each with its end, added to the buffer. NULL:
	 * the frames go out as they are.
	 */
	void (*tell)(const struct kt_evframe *f, struct kt_buf *out);
	struct kt_evwalk walk; /* with tell */
	struct kt_buf text; /* what is to be sent */
	size_t text_at; /* of text, sent */
	kt_loop_fn woke; /* there is something new, before it is sent; or NULL */
	kt_loop_fn closed; /* last call: the owner frees itself */
	void *arg;
};
/* Attach to log after a number; kt_evpipe_begin() starts the answer. */
void kt_evpipe_open(struct kt_evpipe *p, struct kt_call *c, struct kt_evlog *log,
	uint64_t after_seq, kt_loop_fn closed, void *arg);
/* Begin the answer. May call closed() at once (HEAD): the owner is not touched any more. */
void kt_evpipe_begin(struct kt_evpipe *p);
/* End at the log's present end, or after a number that is in it. */
void kt_evpipe_stop_here(struct kt_evpipe *p);
void kt_evpipe_stop_after(struct kt_evpipe *p, uint64_t seq);
/* The log goes away: let go of it now, and end. */
void kt_evpipe_drop(struct kt_evpipe *p);
/*
 * The cursor: Last-Event-ID (a reconnect) before ?after= (which EventSource repeats unchanged).
 * *out_given is false when neither is there. Answers 400 itself and returns false.
 */
KT_MUST_CHECK bool kt_api_cursor(struct kt_call *c, uint64_t *out, bool *out_given);

/* evpage.c: a page of a log as JSON */
struct kt_page_of {
	struct kt_evlog *log;
	uint64_t after;
	size_t max_events;
	struct kt_session *session; /* whose log it is, or NULL */
	bool session_too; /* {"events":..,"session":{..}} instead of {"data":..} */
	bool growing; /* more will come, so there is more */
};
/* Answer with whole events of at most KT_MAX_PAGE_BYTES, as the client takes them. */
void kt_api_page_of_log(struct kt_call *c, const struct kt_page_of *of);

#endif
