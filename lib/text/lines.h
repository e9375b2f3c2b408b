/* SPDX-License-Identifier: MIT */
/*
 * Line framing: bytes in arbitrary pieces in, whole lines out (without LF or CRLF). A line over
 * the maximum is reported once, and nothing is given until the framer is cleared.
 */
#ifndef KT_TEXT_LINES_H
#define KT_TEXT_LINES_H

#include "base/buf.h"
#include "base/err.h"

/* One line, NUL-terminated, valid during the call only; may be changed in place. */
typedef void (*kt_line_fn)(void *arg, char *line, size_t len);

struct kt_lines {
	struct kt_buf buf;
	size_t scanned; /* bytes of buf known to hold no LF */
};

/* Begin with nothing read; kt_lines_release() frees what is held. */
void kt_lines_init(struct kt_lines *l, size_t max_line_bytes);
void kt_lines_release(struct kt_lines *l);
/* Forget the line begun and that one was too long. */
void kt_lines_clear(struct kt_lines *l);
/*
 * Feed len bytes; fn is called for each line that is complete. fn must not release l.
 * Returns KT_OK or KT_ELIMIT (a line over the maximum).
 */
KT_MUST_CHECK enum kt_code kt_lines_feed(struct kt_lines *l, const char *data, size_t len,
	kt_line_fn fn, void *arg, struct kt_err *err);
/* Within fn: keep the line that was given. The caller's, NUL-terminated. */
KT_MUST_CHECK char *kt_lines_take(struct kt_lines *l);
/* At end of input: gives what is left without a LF, if anything. */
void kt_lines_end(struct kt_lines *l, kt_line_fn fn, void *arg);

#endif
