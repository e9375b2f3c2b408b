/* SPDX-License-Identifier: MIT */
/*
 * Inside of the event log, shared by log.c (appending, memory, file), file.c (file format and
 * search) and reader.c. Private to lib/event.
 *
 * Offsets are of the stream: they only grow, and a byte keeps its offset in memory and in the
 * file. A file begins with a comment frame (": karta-log base_seq=41\n\n") that no reader sees; it
 * names the last number that was forgotten before. The position in the file is the offset less
 * file_delta, which is 0 until events expire in this process.
 *
 *        file_start            saved_off
 *   file     |--------------------|
 *   memory                |--------------|
 *                      mem_off          end
 */
#ifndef KT_EVENT_LOG_PRIVATE_H
#define KT_EVENT_LOG_PRIVATE_H

#include "event/event.h"

#include "base/limits.h"

#include <string.h>

/* One whole frame: data and raw each at most KT_MAX_EVENT_BYTES, and the envelope around. */
#define KT_EVLOG_FRAME_BYTES (2 * KT_MAX_EVENT_BYTES + 16384)
#define KT_EVLOG_BUFFER_BYTES 65536
#define KT_EVLOG_HEADER_BYTES 64

/* Memory segments hold whole frames. */
struct kt_evseg {
	struct kt_evseg *next;
	uint64_t off; /* of data[0] */
	uint64_t first_seq;
	size_t len;
	size_t cap;
	char data[];
};

/* A piece of the file, for readers that are behind memory. */
struct kt_evfile_buf {
	uint64_t off;
	size_t len;
	char data[KT_EVLOG_BUFFER_BYTES];
};

/* An idle log without readers must stay small: there are a hundred thousand sessions. */
struct kt_evlog {
	struct kt_loop *loop;
	struct kt_defer tick; /* saves, then wakes */
	uint64_t end; /* offset after the last byte */
	uint64_t saved_off; /* the file has the bytes from file_start to here; frame boundary */
	uint64_t file_start;
	uint64_t file_delta;
	uint64_t last_seq;
	uint64_t saved_seq;
	uint64_t base_seq; /* numbers up to this are forgotten */
	struct kt_evseg *head;
	struct kt_evseg *tail;
	struct kt_evfile_buf *fbuf; /* or NULL */
	struct kt_evreader *readers;
	struct kt_evreader *wake_next; /* the next to wake while a walk is on */
	uint32_t mem_bytes;
	uint32_t max_mem_bytes;
	uint32_t n_readers;
	uint32_t epoch; /* grows when bytes pointed to may be gone */
	int fd; /* -1 = closed */
	bool has_file; /* false: memory only, or detached, or writing failed */
	bool failed; /* the disk did, and it is tried again */
	struct kt_timer *retry; /* or NULL */
	int64_t retry_ms;
	bool can_read; /* the file may be read */
	bool idle; /* keep nothing open */
	uint16_t path_len; /* 0 = none */
	const char *id_key; /* "session_id", or what else it is the log of */
	char names[]; /* session id, NUL, path, NUL */
};

struct kt_evreader {
	struct kt_evlog *log;
	struct kt_evreader *prev;
	struct kt_evreader *next;
	kt_loop_fn wake;
	void *arg;
	uint64_t off; /* next byte, once pending is read */
	uint64_t stop_off; /* nothing from here on is given; UINT64_MAX = no end */
	uint64_t after_seq; /* as it was made */
	uint64_t lost_from; /* not 0: a gap frame that starts here comes after pending */
	struct kt_buf pending; /* rest of a frame whose log bytes are gone, or a gap frame */
	size_t pending_at;
	const char *peeked; /* bytes last given; valid while peek_epoch is the log's */
	size_t peeked_len;
	uint32_t peek_epoch;
	char last_byte; /* last one consumed */
	bool boundary;
};

/* --- log.c ------------------------------------------------------------------------------- */

/* Offset of the first byte in memory; end when there is none. */
static inline uint64_t kt_evlog_mem_off(const struct kt_evlog *log)
{
	return log->head != NULL ? log->head->off : log->end;
}

/* The id of the session. BORROWS. */
static inline const char *kt_evlog_session(const struct kt_evlog *log)
{
	return log->names;
}

/* The path of the file, "" when there is none. BORROWS. */
static inline const char *kt_evlog_path(const struct kt_evlog *log)
{
	return log->names + strlen(log->names) + 1;
}

/* Write what is not in the file yet. Failing turns has_file off until a later try, and is logged.
 */
void kt_evlog_save(struct kt_evlog *log);
/* The log is idle and nobody reads from the file any more: close what is open. */
void kt_evlog_release_file(struct kt_evlog *log);
/* Append the frame of one event to b; member id_key names whose event it is. */
void kt_evlog_render(struct kt_buf *b, const char *id_key, const char *id, uint64_t seq,
	const struct kt_event_draft *ev);

/* --- event.c ----------------------------------------------------------------------------- */

/* What comes after the next two LFs, which end a frame and occur nowhere else; NULL: no such. */
const char *kt_evframe_end(const char *p, size_t len);

/* --- scan.c ------------------------------------------------------------------------------ */

/* A descriptor of the caller's own for the log's file. Returns KT_OK, KT_EIO or KT_EPROTO. */
KT_MUST_CHECK enum kt_code kt_evlog_dup(struct kt_evlog *log, int *out_fd, struct kt_err *err);

/* --- seek.c ------------------------------------------------------------------------------ */

/* The first number at or after an offset, or the one after the last. */
KT_MUST_CHECK enum kt_code kt_evlog_seek_offset(
	struct kt_evlog *log, uint64_t off, uint64_t *out_seq, struct kt_err *err);

/* --- file.c ------------------------------------------------------------------------------ */

/* The comment frame at the start of a file; returns its length. */
size_t kt_evfile_header(uint64_t base_seq, char out[KT_EVLOG_HEADER_BYTES]);
/*
 * Open the file for appending; with create, make it with its header. Checks that its size is what
 * the log knows. Returns KT_OK or KT_EIO / KT_EPROTO.
 */
KT_MUST_CHECK enum kt_code kt_evfile_open(struct kt_evlog *log, bool create, struct kt_err *err);
/* Read an existing file's header and end into the log's fields, cutting a torn tail. */
KT_MUST_CHECK enum kt_code kt_evfile_load(struct kt_evlog *log, struct kt_err *err);
/* Point *out at bytes of the file at offset off (in the file); 0 when they cannot be read. */
size_t kt_evfile_view(struct kt_evlog *log, uint64_t off, const char **out);
/* Offset of the frame with number seq, which is in the file. */
KT_MUST_CHECK bool kt_evfile_find(struct kt_evlog *log, uint64_t seq, uint64_t *out);

/* --- view.c ------------------------------------------------------------------------------ */

/* Point *out at the bytes at offset off, from memory or the file; 0 when there are none. */
size_t kt_evlog_view(struct kt_evlog *log, uint64_t off, const char **out);
/* Copy up to size bytes from offset off on, across segments and buffers; returns how many. */
size_t kt_evlog_copy(struct kt_evlog *log, uint64_t off, char *out, size_t size);
/* Offset of the frame with number seq; false when it is not to be had. */
KT_MUST_CHECK bool kt_evlog_find(struct kt_evlog *log, uint64_t seq, uint64_t *out);

/* --- readers.c --------------------------------------------------------------------------- */

/*
 * The bytes from offset `from` to `before` are about to go: readers there keep the rest of the
 * frame they are in, and get a gap next.
 */
void kt_evreaders_lose(struct kt_evlog *log, uint64_t from, uint64_t before);
/* End a frame whose rest cannot be had; what came of it is no JSON, and parsers say so. */
void kt_evreader_cut(struct kt_evreader *r);
/* Wake all that have something to read. */
void kt_evreaders_wake(struct kt_evlog *log);

#endif
