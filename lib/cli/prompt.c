/* SPDX-License-Identifier: MIT */
/* Questions on a terminal. Asks only where somebody can answer; never guesses an answer. */
#include "base/fs.h"
#include "base/str.h"
#include "cli/term.h"
#include "text/clean.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define ANSWER_MAX_BYTES 256
#define TTY_LINE_BYTES 4095 /* Linux keeps no more of one */

static volatile sig_atomic_t caught; /* the signal that came while a line was typed unseen */

/* Read one line byte by byte, so that nothing behind it is swallowed. */
static enum kt_code read_line(int fd, struct kt_buf *b, struct kt_err *err)
{
	for (;;) {
		char c;
		ssize_t n = read(fd, &c, 1);

		if (n < 0 && errno == EINTR && !caught)
			continue;
		if (n < 0)
			return kt_fail(err, KT_EIO, errno, "cannot read the answer");
		if (n == 0 || c == '\n')
			return KT_OK;
		kt_buf_addc(b, c);
	}
}

enum kt_code kt_prompt_confirm(int in_fd, int out_fd, const char *question, const char *flag_name,
	bool *out, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(8192);
	KT_AUTO_BUF struct kt_buf answer = KT_BUF_INIT(ANSWER_MAX_BYTES);
	enum kt_code rc;

	if (isatty(in_fd) != 1) {
		(void)kt_fail(err, KT_ECONFIRM, 0, "a confirmation is needed: %s", question);
		return kt_hint(err, "there is no terminal to ask on; say %s to confirm", flag_name);
	}
	kt_clean_add(&text, question, strlen(question), true);
	kt_buf_adds(&text, " [y/N] ");
	/* What was typed before the question was seen does not answer it. */
	(void)tcflush(in_fd, TCIFLUSH);
	rc = kt_fs_write_all(out_fd, text.ptr, text.len, err);
	if (rc == KT_OK)
		rc = read_line(in_fd, &answer, err);
	if (rc != KT_OK)
		return rc;
	*out = kt_str_ieq(answer.ptr, "y") || kt_str_ieq(answer.ptr, "yes");
	return KT_OK;
}

static void on_prompt_signal(int signum)
{
	caught = signum;
}

/*
 * What a terminal cuts silently, or hands over as a line and the rest, is not the value that was
 * meant.
 */
static enum kt_code whole_line(int fd, const struct kt_buf *line, struct kt_err *err)
{
	struct pollfd more = { fd, POLLIN, 0 };

	if (line->len >= TTY_LINE_BYTES)
		return kt_fail(err, KT_EINVAL, 0,
			"a line of a terminal ends after %d characters; this one is cut",
			TTY_LINE_BYTES);
	if (poll(&more, 1, 0) > 0 && (more.revents & POLLIN))
		return kt_fail(err, KT_EINVAL, 0, "more than one line was typed or pasted");
	return KT_OK;
}

/* As kt_prompt_unseen(); a signal that came meanwhile is in `caught`, the terminal is as before. */
static enum kt_code ask_unseen(int in_fd, int out_fd, const struct kt_buf *question,
	struct kt_buf *out, struct kt_err *err)
{
	static const int ends[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP };
	struct sigaction sa = { .sa_handler = on_prompt_signal }, before[KT_ARRAY_LEN(ends)];
	struct termios shown, hidden;
	enum kt_code rc;

	if (tcgetattr(in_fd, &shown))
		return kt_fail(err, KT_EIO, errno, "cannot ask on the terminal");
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	hidden.c_lflag |= ECHONL;
	caught = 0;
	for (size_t i = 0; i < KT_ARRAY_LEN(ends); i++)
		(void)sigaction(ends[i], &sa, &before[i]);
	/* Drops what was typed before the question, so it comes before the question. */
	if (tcsetattr(in_fd, TCSAFLUSH, &hidden))
		rc = kt_fail(err, KT_EIO, errno, "cannot hide what is typed on the terminal");
	else
		rc = kt_fs_write_all(out_fd, question->ptr, question->len, err);
	if (rc == KT_OK && !caught)
		rc = read_line(in_fd, out, err);
	if (rc == KT_OK && !caught)
		rc = whole_line(in_fd, out, err);
	/*
	 * Drops what was pasted behind the line: it is a secret, too, and no command of the shell.
	 */
	(void)tcsetattr(in_fd, TCSAFLUSH, &shown);
	for (size_t i = 0; i < KT_ARRAY_LEN(ends); i++)
		(void)sigaction(ends[i], &before[i], NULL);
	return rc;
}

enum kt_code kt_prompt_unseen(
	int in_fd, int out_fd, const char *question, struct kt_buf *out, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(8192);
	enum kt_code rc;

	kt_clean_add(&text, question, strlen(question), true);
	for (;;) {
		kt_buf_clear(out);
		rc = ask_unseen(in_fd, out_fd, &text, out, err);
		if (!caught)
			return rc;
		/* Ends the program, or stops it: then the question comes again. */
		*err = (struct kt_err)KT_ERR_INIT;
		(void)raise(caught);
		caught = 0;
	}
}
