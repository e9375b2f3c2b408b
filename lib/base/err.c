/* SPDX-License-Identifier: MIT */
/*
 * Error values and the one table that maps a code to its name, exit status and HTTP status.
 */
#include "base/err.h"

#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

struct code_info {
	const char *name;
	int exit_status;
	int http;
};

static const struct code_info codes[KT_CODE_COUNT_] = {
	[KT_OK] = { "ok", 0, 200 },
	[KT_EINVAL] = { "invalid", 2, 400 },
	[KT_ENOTFOUND] = { "not_found", 5, 404 },
	[KT_EAUTH] = { "unauthenticated", 4, 401 },
	[KT_EDENIED] = { "denied", 4, 403 },
	[KT_ECONFLICT] = { "conflict", 6, 409 },
	[KT_ELIMIT] = { "limit", 1, 422 },
	[KT_ETIMEOUT] = { "timeout", 3, 504 },
	[KT_EUNAVAIL] = { "unavailable", 3, 503 },
	[KT_EIO] = { "io", 1, 500 },
	[KT_EPROTO] = { "protocol", 3, 502 },
	[KT_ENOMEM] = { "no_memory", 1, 503 },
	[KT_ECANCEL] = { "canceled", 130, 503 },
	[KT_EBUDGET] = { "budget", 7, 402 },
	[KT_EGATE] = { "gate", 8, 422 },
	[KT_ECONFIRM] = { "confirm", 9, 400 },
	[KT_EINTERNAL] = { "internal", 1, 500 },
};

static const struct code_info *info_of(enum kt_code code)
{
	/* A code from elsewhere (a cast, a corrupted file) counts as our bug. */
	return (unsigned)code < KT_CODE_COUNT_ ? &codes[code] : &codes[KT_EINTERNAL];
}

/*
 * Messages quote paths and remote text. Control bytes in them would break the promise of one line
 * and could drive the reader's terminal, so each becomes a blank (C1 controls are C2 80..C2 9F).
 */
static void make_one_line(char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)s[0], next = (unsigned char)s[1];

		if (c < 0x20 || c == 0x7f) {
			*s = ' ';
		} else if (c == 0xc2 && next >= 0x80 && next < 0xa0) {
			s[0] = ' ';
			s[1] = ' ';
		}
	}
}

/*
 * Format into tmp first, as arguments may point into the error being written. tmp is SPARE bytes
 * larger than the text may be, so that vsnprintf() never is the one that cuts: it would cut through
 * characters, and kt_str_copy() does not.
 */
#define SPARE 4
KT_PRINTF(3, 0)
static void format_err(char *tmp, size_t size, const char *fmt, va_list ap)
{
	if (vsnprintf(tmp, size, fmt, ap) < 0)
		tmp[0] = '\0';
	make_one_line(tmp);
}

const char *kt_strerror(int sys, char *buf, size_t size)
{
	const char *text = strerror_r(sys, buf, size);
	struct rlimit r;

	if (sys != EMFILE || getrlimit(RLIMIT_NOFILE, &r) != 0)
		return text;
	snprintf(buf, size, "too many open files (LimitNOFILE, 'ulimit -n' is %llu)",
		(unsigned long long)r.rlim_cur);
	return buf;
}

/*

 * What the last kt_fail() of this thread returned: all that is known to a caller without a kt_err.

 */
static _Thread_local enum kt_code last_code = KT_EINTERNAL;

enum kt_code kt_fail(struct kt_err *err, enum kt_code code, int sys, const char *fmt, ...)
{
	char tmp[sizeof(err->msg) + SPARE], buf[128], tail[sizeof(buf) + 2] = "";
	int saved = errno;
	va_list ap;

	/* Descriptors are there again when somebody else has let go of some. */
	if (code == KT_EIO && (sys == EMFILE || sys == ENFILE))
		code = KT_EUNAVAIL;
	last_code = code;
	if (!err)
		return code;
	va_start(ap, fmt);
	format_err(tmp, sizeof(tmp), fmt, ap);
	va_end(ap);
	if (sys > 0)
		snprintf(tail, sizeof(tail), ": %s", kt_strerror(sys, buf, sizeof(buf)));
	err->code = code;
	err->sys = sys;
	err->hint[0] = '\0';
	/* A long subject is cut, the reason never. */
	kt_str_copy(err->msg, sizeof(err->msg) - strlen(tail), tmp);
	memcpy(err->msg + strlen(err->msg), tail, strlen(tail) + 1);
	errno = saved;
	return code;
}

enum kt_code kt_hint(struct kt_err *err, const char *fmt, ...)
{
	char tmp[sizeof(err->hint) + SPARE];
	va_list ap;

	if (!err)
		return last_code;
	va_start(ap, fmt);
	format_err(tmp, sizeof(tmp), fmt, ap);
	va_end(ap);
	kt_str_copy(err->hint, sizeof(err->hint), tmp);
	return err->code;
}

enum kt_code kt_wrap(struct kt_err *err, const char *fmt, ...)
{
	char what[sizeof(err->msg) + SPARE], tmp[sizeof(what) + sizeof(err->msg) + 2];
	va_list ap;

	if (!err)
		return last_code;
	va_start(ap, fmt);
	format_err(what, sizeof(what), fmt, ap);
	va_end(ap);
	snprintf(tmp, sizeof(tmp), "%s: %s", what, err->msg);
	kt_str_copy(err->msg, sizeof(err->msg), tmp);
	return err->code;
}

const char *kt_code_name(enum kt_code code)
{
	return info_of(code)->name;
}

int kt_code_exit(enum kt_code code)
{
	return info_of(code)->exit_status;
}

int kt_code_http(enum kt_code code)
{
	return info_of(code)->http;
}
