/* SPDX-License-Identifier: MIT */
/*
 * Reader of text/event-stream (WHATWG HTML 9.2): bytes in arbitrary pieces in, events out. Used by
 * the client and by tests; the server writes frames itself.
 */
#ifndef KT_TEXT_SSE_H
#define KT_TEXT_SSE_H

#include "base/buf.h"
#include "base/err.h"

struct kt_sse_event {
	const char *id; /* last event id, "" when none was ever sent */
	const char *event; /* "message" when the frame named none */
	const char *data; /* lines joined by LF */
	size_t data_len;
};
/* Strings are valid during the call only. Return false to stop feeding. */
typedef bool (*kt_sse_fn)(void *arg, const struct kt_sse_event *ev);

struct kt_sse {
	struct kt_buf line, data;
	char id[256]; /* of the last whole frame: where to resume */
	char next_id[256]; /* of the frame being read */
	char event[64];
	int64_t retry_ms; /* -1 until the server says */
	bool has_data, bom_done, last_cr, stopped;
};

/* Begin with nothing read; kt_sse_release() frees what is held. */
void kt_sse_init(struct kt_sse *s, size_t max_event_bytes);
void kt_sse_release(struct kt_sse *s);
/* Feed bytes. Returns KT_OK, KT_ECANCEL (fn said stop) or KT_ELIMIT. */
KT_MUST_CHECK enum kt_code kt_sse_feed(struct kt_sse *s, const char *data, size_t len, kt_sse_fn fn,
	void *arg, struct kt_err *err);

#endif
