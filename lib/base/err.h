/* SPDX-License-Identifier: MIT */
/*
 * The error value: made where something fails, wrapped on the way up, printed only by main()
 * or by the response writer. By value on the caller's stack: no allocation, thread-safe.
 * Messages follow git: lower-case first word, no full stop, subject in single quotes.
 */
#ifndef KT_BASE_ERR_H
#define KT_BASE_ERR_H

#include "base/base.h"

#include <stdarg.h>

enum kt_code {
	KT_OK = 0,
	KT_EINVAL, /* bad input or usage */
	KT_ENOTFOUND, /* no such thing */
	KT_EAUTH, /* not signed in */
	KT_EDENIED, /* signed in, not allowed */
	KT_ECONFLICT, /* state forbids it: busy, answered, changed */
	KT_ELIMIT, /* over a stated maximum */
	KT_ETIMEOUT, /* a deadline passed */
	KT_EUNAVAIL, /* the other side is not there; later may work */
	KT_EIO, /* the operating system said no */
	KT_EPROTO, /* the other side broke its protocol */
	KT_ENOMEM, /* an input-sized allocation failed */
	KT_ECANCEL, /* given up on request */
	KT_EBUDGET, /* a budget is exhausted */
	KT_EGATE, /* checks failed */
	KT_ECONFIRM, /* a confirmation is needed and there is no terminal */
	KT_EINTERNAL, /* a bug of ours */
	KT_CODE_COUNT_
};

struct kt_err {
	enum kt_code code;
	int sys; /* errno, CURLcode or 0 */
	char msg[400]; /* one line, no full stop */
	char hint[240]; /* what to do next, or "" ; printed on a line of its own */
};

#define KT_ERR_INIT                                                                                \
	{                                                                                          \
		KT_OK, 0, "", ""                                                                   \
	}

/* Text of an errno, in buf or static; that of EMFILE says what the limit is and who sets it. */
const char *kt_strerror(int sys, char *buf, size_t size);

/*
 * Fill err (NULL allowed) and return code. When sys is an errno (> 0) its text is appended
 * after ": ". A KT_EIO for want of descriptors becomes KT_EUNAVAIL: it passes.
 */
enum kt_code kt_fail(struct kt_err *err, enum kt_code code, int sys, const char *fmt, ...)
	KT_PRINTF(4, 5);

/*
 * Set the "what to do next" line of err; returns err->code, or the code of this thread's last
 * kt_fail() when err is NULL.
 */
enum kt_code kt_hint(struct kt_err *err, const char *fmt, ...) KT_PRINTF(2, 3);

/* Put "what: " in front of err's message; returns as kt_hint(). */
enum kt_code kt_wrap(struct kt_err *err, const char *fmt, ...) KT_PRINTF(2, 3);

/* Stable machine word of a code ("not_found", "invalid", ...), used as error.type in JSON. */
const char *kt_code_name(enum kt_code code);
/* Exit status of a command that ended with code (docs: karta(1) EXIT STATUS). */
int kt_code_exit(enum kt_code code);
/* HTTP status that fits code. */
int kt_code_http(enum kt_code code);

#endif
