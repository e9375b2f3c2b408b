/* SPDX-License-Identifier: MIT */
/* Logs as answers. */
#ifndef KT_API_LOG_PRIVATE_H
#define KT_API_LOG_PRIVATE_H

#include "api/core/caller_private.h"

/* evpipe.c: a log as the answer to a request */
/*
 * A form other than the log's own bytes: a source that takes what it gives from the pipe's reader
 * and calls kt_evpipe_end() when that was all. As in struct kt_stream_ops, with the pipe's arg.
 */
struct kt_evform {
	size_t (*peek)(void *arg, const char **out, size_t max);
	void (*sent)(void *arg, size_t n);
	bool (*at_boundary)(void *arg); /* or NULL */
	kt_loop_fn revoked; /* who reads may not any more: it ends after this; or NULL */
};
struct kt_evpipe {
	struct kt_exchange *ex;
	struct kt_evreader *reader; /* NULL once its log is gone, or nothing more is wanted of it */
	struct kt_loop *loop;
	struct kt_defer finish;
	struct kt_guard guard;
	bool ended;
	const struct kt_evform *form; /* NULL: the bytes go out as they are */
	const char *type; /* of the answer; NULL: it is an event stream */
	kt_loop_fn woke; /* there is something new, before it is sent; or NULL */
	kt_loop_fn closed; /* last call: the owner frees itself */
	void *arg;
};
/* Attach to log after a number; kt_evpipe_begin() starts the answer. */
void kt_evpipe_open(struct kt_evpipe *p, struct kt_call *c, struct kt_evlog *log,
	uint64_t after_seq, kt_loop_fn closed, void *arg);
/* Go on after another number of the log. */
void kt_evpipe_again(struct kt_evpipe *p, struct kt_evlog *log, uint64_t after_seq);
/* Begin the answer. May call closed() at once (HEAD): the owner is not touched any more. */
void kt_evpipe_begin(struct kt_evpipe *p);
/* Nothing more comes: what is ready goes out, later in the tick, and it ends. */
void kt_evpipe_end(struct kt_evpipe *p);
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
