/* SPDX-License-Identifier: MIT */
/* Questions on a terminal. Asks only where somebody can answer; never guesses an answer. */
#include "base/clean.h"
#include "base/fs.h"
#include "base/str.h"
#include "cli/term.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MAX_BYTES 256

/* Read one line byte by byte, so that nothing behind it is swallowed. */
static enum kt_code read_line(int fd, struct kt_buf *b, struct kt_err *err)
{
	for (;;) {
		char c;
		ssize_t n = read(fd, &c, 1);

		if (n < 0 && errno == EINTR)
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
	enum kt_code code;

	if (isatty(in_fd) != 1) {
		(void)kt_fail(err, KT_ECONFIRM, 0, "a confirmation is needed: %s", question);
		return kt_hint(err, "there is no terminal to ask on; say %s to confirm", flag_name);
	}
	kt_clean_add(&text, question, strlen(question), true);
	kt_buf_adds(&text, " [y/N] ");
	code = kt_fs_write_all(out_fd, text.ptr, text.len, err);
	if (code == KT_OK)
		code = read_line(in_fd, &answer, err);
	if (code != KT_OK)
		return code;
	*out = kt_str_ieq(answer.ptr, "y") || kt_str_ieq(answer.ptr, "yes");
	return KT_OK;
}
