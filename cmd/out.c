/* SPDX-License-Identifier: MIT */
/*
 * Writing to stdout and stderr: the one way out. Straight to the descriptor: a stream's line is out
 * when it is written, and a full disk or a closed stdout is noticed where it happens. What others
 * said is cleaned where it is formatted, and all is looked at once more here; scripts/check-output
 * sees to it that nobody goes around.
 */
#include "cmd/cmd.h"

#include "base/buf.h"
#include "text/clean.h"
#include "text/json.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define PASS_MAX_BYTES (SIZE_MAX / 2) /* what is written was bounded where it was made */

/* End as the default action of SIGPIPE would, also when the signal is ignored (the server does). */
KT_NORETURN static void die_by_pipe(void)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t set;

	(void)sigaction(SIGPIPE, &dfl, NULL);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGPIPE);
	(void)sigprocmask(SIG_UNBLOCK, &set, NULL);
	(void)raise(SIGPIPE);
	_exit(141);
}

/* Write everything, waiting when the descriptor is non-blocking; returns 0 or an errno. */
static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n >= 0) {
			data += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			struct pollfd p = { fd, POLLOUT, 0 };

			if (poll(&p, 1, -1) < 0 && errno != EINTR)
				return errno;
		} else if (errno != EINTR) {
			return errno;
		}
	}
	return 0;
}

static bool out_styles, err_styles; /* set before threads start */

void kt_out_styles(bool out, bool err)
{
	out_styles = out;
	err_styles = err;
}

void kt_out_raw(const char *data, size_t len)
{
	int e = write_all(STDOUT_FILENO, data, len);

	if (e == EPIPE)
		die_by_pipe();
	if (e) {
		struct kt_err err = KT_ERR_INIT;

		(void)kt_fail(&err, KT_EIO, e, "karta: cannot write to standard output");
		(void)write_all(STDERR_FILENO, err.msg, strlen(err.msg));
		(void)write_all(STDERR_FILENO, "\n", 1);
		_exit(kt_code_exit(KT_EIO));
	}
}

void kt_out(const char *data, size_t len)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(PASS_MAX_BYTES);

	kt_term_pass(&b, data, len, out_styles);
	kt_out_raw(b.ptr, b.len);
}

void kt_side(const char *data, size_t len)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(PASS_MAX_BYTES);

	kt_term_pass(&b, data, len, err_styles);
	/* A closed stderr is no reason to stop the work. */
	(void)write_all(STDERR_FILENO, b.ptr, b.len);
}

void kt_out_check(void)
{
	struct pollfd p = { .fd = STDOUT_FILENO };

	if (poll(&p, 1, 0) == 1 && (p.revents & POLLERR))
		die_by_pipe();
}

void kt_out_text(const struct kt_ctx *ctx, const char *text)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);
	struct kt_jw w;

	if (!ctx->json) {
		kt_out(text, strlen(text));
		return;
	}
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "schema_version", 1);
	kt_jw_str(&w, "text", text);
	kt_jw_obj_end(&w);
	kt_buf_addc(&b, '\n');
	kt_out(b.ptr, b.len);
}

void kt_outf(const char *fmt, ...)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);
	va_list ap;

	va_start(ap, fmt);
	kt_clean_vaddf(&b, fmt, ap);
	va_end(ap);
	kt_out(b.ptr, b.len);
}

void kt_say_built(const struct kt_ctx *ctx, const struct kt_buf *b)
{
	if (ctx->quiet)
		return;
	kt_side(b->ptr, b->len);
	if (!b->len || b->ptr[b->len - 1] != '\n')
		kt_side("\n", 1);
}

static void talk_prefixed(const char *prefix, const char *fmt, va_list ap) KT_PRINTF(2, 0);
static void talk_prefixed(const char *prefix, const char *fmt, va_list ap)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(TEXT_MAX_BYTES);

	kt_buf_adds(&b, prefix);
	kt_clean_vaddf(&b, fmt, ap);
	if (!b.len || b.ptr[b.len - 1] != '\n')
		kt_buf_addc(&b, '\n');
	kt_side(b.ptr, b.len);
}

void kt_say(const struct kt_ctx *ctx, const char *fmt, ...)
{
	va_list ap;

	if (ctx->quiet)
		return;
	va_start(ap, fmt);
	talk_prefixed("", fmt, ap);
	va_end(ap);
}

void kt_warn(const struct kt_ctx *ctx, const char *fmt, ...)
{
	va_list ap;

	if (ctx->quiet)
		return;
	va_start(ap, fmt);
	talk_prefixed("warning: ", fmt, ap);
	va_end(ap);
}
