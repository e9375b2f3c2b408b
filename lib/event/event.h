/* SPDX-License-Identifier: MIT */
/*
 * Event types and the append-only log of a session.
 *
 * The log is one sequence of bytes: the very frames of the event stream
 * ("id: 7\nevent: text\ndata: {...}\n: 0a1b2c3d\n\n", the comment being a check of what is before
 * it; text/linesum.h), rendered once at append. The newest part is in memory in shared segments,
 * all of it is in a file, and a byte has the same offset in both; a reader is an offset. So a
 * thousand readers share one copy, one write sends everything that waits, and a reader goes on
 * after a restart of the server as if nothing had been.
 *
 * To add an event type:
 *  1. a line in enum kt_event_type and in the table in event.c;
 *  2. its data in docs/events.md and in lib/api/openapi.json  (tests/api/openapi fails without);
 *  3. the page's reducer lib/api/web/src/state.js and the terminal's cmd/chat/render.c
 *     (tests/unit/event/test_event.c and tests/web/state.test.mjs walk the table).
 */
#ifndef KT_EVENT_EVENT_H
#define KT_EVENT_EVENT_H

#include "base/buf.h"
#include "base/err.h"
#include "net/loop.h"
#include "text/linesum.h"

#include <stdatomic.h>

enum kt_event_type {
	KT_EV_TEXT, /* part{type,text}, part_id, replace? */
	KT_EV_TOOL_USE, /* tool_name, tool_input, tool_use_id, state */
	KT_EV_TOOL_RESULT, /* tool_use_id, output, is_error, status */
	KT_EV_REASONING, /* part{type,text}, part_id */
	KT_EV_STEP_START, /* step_index, description */
	KT_EV_STEP_FINISH, /* step_index, usage? */
	KT_EV_INPUT_REQUIRED, /* request_id, kind, tool, tool_input, message, options, expires_at */
	KT_EV_ERROR, /* message, code, retryable */
	KT_EV_DONE, /* usage, message, stop_reason */
	KT_EV_STATUS, /* state, ... */
	KT_EV_SYSTEM, /* harness-internal */
	KT_EV_GAP, /* first, last: sequence numbers that are no longer kept */
	/* level, source, text, release?, session_id?, request_id?: of projects and builds */
	KT_EV_LOG,
	KT_EV_RELEASE, /* the release object, error?: ends a build's log */
	KT_EV_COUNT_
};

/* "text", "tool_use", ... */
const char *kt_event_name(enum kt_event_type type);
/* Type of a name; false when unknown. */
KT_MUST_CHECK bool kt_event_parse_name(const char *name, enum kt_event_type *out);

/* What an appender gives; the log adds seq and timestamp and renders the envelope. */
struct kt_event_draft {
	enum kt_event_type type;
	const char *turn_id; /* or NULL */
	const char *parent_tool_use_id; /* sub-agent events, or NULL */
	const char *data; /* JSON object text */
	/* over KT_MAX_EVENT_BYTES: data is replaced by {"truncated":true,"bytes":n} */
	size_t data_len;
	const char *raw; /* harness's original as JSON text, or NULL */
	size_t raw_len;
};

struct kt_evlog;
struct kt_evreader;

struct kt_evlog_config {
	const char *path; /* file, or NULL for memory only */
	const char *session_id; /* or the id of what else it is the log of */
	const char
		*id_key; /* member that names it in each event, a constant; NULL = "session_id" */
	size_t max_memory_bytes; /* KT_MAX_LOG_MEMORY_BYTES */
};

/*
 * Open or create a log. An existing file is read from its end only; a torn last frame (crash in
 * mid-write) is cut off. kt_evlog_free() ends it.
 * Returns KT_OK, KT_EIO or KT_EPROTO (the file is no event log).
 */
KT_MUST_CHECK enum kt_code kt_evlog_open(struct kt_loop *loop, const struct kt_evlog_config *cfg,
	struct kt_evlog **out, struct kt_err *err);
/* Write what waits, wake nobody, free. Readers must be freed before. NULL is fine. */
void kt_evlog_free(struct kt_evlog *log);
/*
 * Append; returns the sequence number (from 1). Readers are woken once at the end of the tick,
 * after the bytes are in the file. A write error is logged once, and the log goes on in memory; the
 * file is tried again until it takes what memory has.
 */
uint64_t kt_evlog_append(struct kt_evlog *log, const struct kt_event_draft *ev);
/* How many logs wait for their disk, in this process. On the loop's thread. */
size_t kt_evlogs_failed(void);
/* Last sequence number, 0 when empty; first that is still kept. */
uint64_t kt_evlog_last_seq(const struct kt_evlog *log);
uint64_t kt_evlog_first_seq(const struct kt_evlog *log);
/* Bytes in memory (segments), for tests and metrics. */
size_t kt_evlog_memory(const struct kt_evlog *log);
/* Readers attached. */
size_t kt_evlog_readers(const struct kt_evlog *log);
/*
 * Nothing is going on: release memory segments and the file descriptor. Readers that are behind
 * read from the file. Memory-only logs keep what is within max_memory_bytes.
 */
void kt_evlog_idle(struct kt_evlog *log);
/*
 * Never use a number up to seq again: a power cut may have taken events whose numbers readers saw.
 * When the log ends before it, what is left is forgotten too, and readers get a gap up to seq.
 */
KT_MUST_CHECK enum kt_code kt_evlog_skip_to(struct kt_evlog *log, uint64_t seq, struct kt_err *err);
/* Forget all events up to now (retention); later readers from before get a gap. */
KT_MUST_CHECK enum kt_code kt_evlog_expire(struct kt_evlog *log, struct kt_err *err);
/*
 * Forget the oldest events so that the file holds at most max_bytes, and those older than before_us
 * (microseconds since 1970; 0 = any age), at a frame's boundary: the file is written anew beside
 * the old one and renamed. Readers further back get a gap.
 *
 * kt_evtrim_begin() on the loop says whether there is anything to copy; kt_evtrim_copy() does so on
 * a thread; kt_evtrim_end() on the loop puts it in place, or wants to have more copied first. The
 * log may be used meanwhile. Not for two at once. What is not put in place is removed by
 * kt_evtrim_release(). Returns KT_OK, KT_EIO, or KT_ECONFLICT: the log was emptied or trimmed
 * meanwhile.
 */
struct kt_evtrim {
	int from, to;
	char *path; /* of the new file, or NULL */
	size_t header_len;
	uint64_t at, end; /* in the old file: what is to be copied */
	uint64_t keep, off; /* the first event that is kept, and its offset */
	uint64_t delta, base_seq; /* of the log as it was */
};
#define KT_EVTRIM_INIT                                                                             \
	(struct kt_evtrim)                                                                         \
	{                                                                                          \
		.from = -1, .to = -1                                                               \
	}
KT_MUST_CHECK enum kt_code kt_evtrim_begin(struct kt_evlog *log, uint64_t max_bytes,
	int64_t before_us, struct kt_evtrim *t, bool *out_needed, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_evtrim_copy(struct kt_evtrim *t, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_evtrim_end(
	struct kt_evlog *log, struct kt_evtrim *t, bool *out_more, struct kt_err *err);
void kt_evtrim_release(struct kt_evtrim *t);
/* When the first event that is kept was appended, in microseconds since 1970; INT64_MAX: none. */
int64_t kt_evlog_begin_us(struct kt_evlog *log);
/* Bytes of the log that are kept (in its file). */
uint64_t kt_evlog_bytes(const struct kt_evlog *log);
/*
 * Sequence number after which the last n events begin (for `--lines`), and the one before the first
 * event at or after at_us (for `--since`).
 */
KT_MUST_CHECK enum kt_code kt_evlog_seek_last(
	struct kt_evlog *log, uint64_t n, uint64_t *out_after, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_evlog_seek_time(
	struct kt_evlog *log, int64_t at_us, uint64_t *out_after, struct kt_err *err);
/*
 * Write out and stop using the file (before it is deleted with its session).
 */
void kt_evlog_detach(struct kt_evlog *log);

/*
 * New reader after sequence number after_seq (0 = from the beginning). wake(arg) is called on the
 * loop when there may be something new; it may be NULL. If events after after_seq are no longer
 * kept, or a memory-only log dropped them while the reader slept, the next bytes it sees are one
 * `gap` frame that names the first and the last lost number; its id is the last lost number.
 * after_seq beyond the last number is taken as the last number.
 */
KT_MUST_CHECK struct kt_evreader *kt_evreader_new(
	struct kt_evlog *log, uint64_t after_seq, kt_loop_fn wake, void *arg);
void kt_evreader_free(struct kt_evreader *r);
/*
 * Point *out at contiguous bytes that come next, at most max; 0 when there are none now. They are
 * valid until the next call on this log or reader. May cut frames; kt_evreader_at_boundary()
 * tells whether what was consumed ends with a whole frame.
 */
size_t kt_evreader_peek(struct kt_evreader *r, const char **out, size_t max);
void kt_evreader_advance(struct kt_evreader *r, size_t n);
bool kt_evreader_at_boundary(const struct kt_evreader *r);
/* Give nothing that is appended from now on: the reader ends at the log's present end. */
void kt_evreader_stop_here(struct kt_evreader *r);
/* End after the frame of sequence number seq, which is in the log already (later ones: as above).
 */
void kt_evreader_stop_after(struct kt_evreader *r, uint64_t seq);
/* True when stopped and everything up to there was consumed. */
bool kt_evreader_done(const struct kt_evreader *r);

/*
 * --- walking over frames: the one way, for who has bytes (fsck), a reader (logs that are looked
 * through in slices), a log (on the loop, bounded) and a whole log (kt_evscan_run(), on a thread).
 */

/* One frame, taken apart. Pointers into the bytes given; the giver owns them. */
struct kt_evframe {
	uint64_t seq;
	enum kt_event_type type;
	const char *bytes; /* all of it, as it is in the log */
	size_t len;
	const char *json; /* the envelope */
	size_t json_len;
};
/* The first frame of buf. Returns 1, 0 (it is not whole yet) or -1 (that is no frame). */
int kt_evframe_next(const char *buf, size_t len, struct kt_evframe *out);
/* Its check: NONE before there were checks. Reads all of the frame. */
enum kt_linesum kt_evframe_check(const struct kt_evframe *f);

/*
 * Given each whole frame in turn; false: no more. The bytes of f are valid until it returns, and it
 * must not touch the log they are from.
 */
typedef bool (*kt_evframe_fn)(void *arg, const struct kt_evframe *f);
/*
 * A walk, which keeps nothing between two calls but the part of a frame whose end has not come. What
 * is left of it when there are no more bytes was torn: kt_evwalk_torn() tells. kt_evwalk_init()
 * begins, kt_evwalk_release() ends a walk.
 */
struct kt_evwalk {
	struct kt_buf part;
};
void kt_evwalk_init(struct kt_evwalk *w);
void kt_evwalk_release(struct kt_evwalk *w);
static inline bool kt_evwalk_torn(const struct kt_evwalk *w)
{
	return w->part.len > 0;
}
enum kt_evwalked {
	KT_WALK_MORE, /* `max` bytes were taken: call again, in the next slice */
	KT_WALK_END, /* all that is there was taken */
	KT_WALK_STOPPED, /* fn wants no more; the walk stands behind the frame it had last */
	KT_WALK_DAMAGED, /* what comes next is no frame, or does not end: the walk is over */
};
/*
 * The next len bytes, from a frame's start on or as they follow those given before. *out_used were
 * taken: all, but when it stopped or is damaged. Never KT_WALK_MORE.
 */
KT_MUST_CHECK enum kt_evwalked kt_evwalk_bytes(struct kt_evwalk *w, const char *p, size_t len,
	size_t *out_used, kt_evframe_fn fn, void *arg);
/*
 * The next of a reader, max bytes at most; the same reader each time, and nobody else advances it.
 * So who is on the loop's thread looks through any log in slices. Gaps are frames as well.
 */
KT_MUST_CHECK enum kt_evwalked kt_evwalk_reader(
	struct kt_evwalk *w, struct kt_evreader *r, size_t max, kt_evframe_fn fn, void *arg);
/*
 * Each whole frame after after_seq that is there now, a gap first where one is, up to the one with
 * which envelopes of max_bytes were given. Blocks on the file: on the loop's thread max_bytes is
 * what a slice may take, unless no client decides how large the log is.
 * Returns KT_OK or KT_EIO (damaged; fn was given what is before).
 */
KT_MUST_CHECK enum kt_code kt_evlog_each(struct kt_evlog *log, uint64_t after_seq, size_t max_bytes,
	kt_evframe_fn fn, void *arg, struct kt_err *err);
/*
 * What the file of a log begins with: *out_len bytes, and the number up to which events are
 * forgotten. Returns 1, 0 (cut off within it, or its bytes were not on the disk when the power went:
 * no event of it is left) or -1 (this is no event log). 64 bytes are enough to tell.
 */
int kt_evlog_header(const char *p, size_t len, size_t *out_len, uint64_t *out_base);

/*
 * A walk over a whole log, on a thread. kt_evscan_open() notes on the loop what there is after
 * after_seq; from then on the scan needs the log no more, which may be trimmed or deleted.
 * kt_evscan_run() may be on any thread, once; *canceled (or NULL) ends it. There are no gaps. What
 * is in no file is copied: kt_evlog_memory() at most.
 */
struct kt_evscan {
	int fd; /* of the file, or -1 */
	uint64_t at, end; /* in the file */
	struct kt_buf rest;
};
#define KT_EVSCAN_INIT                                                                             \
	(struct kt_evscan)                                                                         \
	{                                                                                          \
		.fd = -1, .rest = KT_BUF_INIT(UINT32_MAX)                                          \
	}
KT_MUST_CHECK enum kt_code kt_evscan_open(
	struct kt_evlog *log, uint64_t after_seq, struct kt_evscan *out, struct kt_err *err);
/* How much it has to read. */
uint64_t kt_evscan_bytes(const struct kt_evscan *scan);
/* Returns KT_OK, KT_EIO (or damaged) or KT_ECANCEL. */
KT_MUST_CHECK enum kt_code kt_evscan_run(struct kt_evscan *scan, const atomic_bool *canceled,
	kt_evframe_fn fn, void *arg, struct kt_err *err);
void kt_evscan_release(struct kt_evscan *scan);
/*
 * How much a page has of whole events after after_seq: at most max_events, and max_bytes of
 * envelopes with commas between, but always one event when there is one. A gap counts as an event.
 * Looks at what the page has and no more, and keeps none of it. Returns KT_OK or KT_EIO (damaged).
 */
struct kt_evpage {
	size_t n, bytes;
	uint64_t last; /* number of the last event of the page */
};
KT_MUST_CHECK enum kt_code kt_evpage_measure(struct kt_evlog *log, uint64_t after_seq,
	size_t max_events, size_t max_bytes, struct kt_evpage *out, struct kt_err *err);
/*
 * Takes the envelopes out of the bytes of frames, which may come in any pieces. Begin with zeros.
 */
struct kt_evenv {
	size_t n; /* envelopes that began */
	uint8_t skip;
	char line; /* what the line begins with; 0: at its start */
};
/*
 * Length of the next run of p (len > 0): of one envelope, or of what is beside envelopes. The part
 * of an envelope's run that was not taken may be given again.
 */
size_t kt_evenv_next(struct kt_evenv *e, const char *p, size_t len, bool *out_envelope);
/*
 * Read whole frames after after_seq until max_events or max_bytes, appending to b the envelopes as
 * a JSON array's inside ("{...},{...}"). *out_n events, *out_last = last seq read. A gap is given
 * as a gap event first.
 */
KT_MUST_CHECK enum kt_code kt_evlog_read(struct kt_evlog *log, uint64_t after_seq,
	size_t max_events, size_t max_bytes, struct kt_buf *b, size_t *out_n, uint64_t *out_last,
	struct kt_err *err);

#endif
