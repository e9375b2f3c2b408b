/* SPDX-License-Identifier: MIT */
/*
 * A line editor for prompts that other output may interrupt: it reads no descriptor and writes
 * none. Bytes of a terminal in raw mode are fed in, and it draws itself into a buffer. Lines may
 * hold line breaks (pasted text); the history is a file.
 */
#ifndef KT_CLI_LINEEDIT_H
#define KT_CLI_LINEEDIT_H

#include "base/buf.h"
#include "base/err.h"
#include "cli/term.h"

#include <termios.h>

struct kt_lineedit;

/* New editor for a terminal (BORROWED, its size may change); history is a path (copied) or NULL. */
KT_MUST_CHECK struct kt_lineedit *kt_lineedit_new(const struct kt_term *t, const char *history);
void kt_lineedit_free(struct kt_lineedit *e);

enum kt_lineedit_result {
	KT_LINE_MORE, /* all bytes taken, the line goes on */
	KT_LINE_ENTER, /* kt_lineedit_text() is a line */
	KT_LINE_INTERRUPT, /* Ctrl-C */
	KT_LINE_EOF, /* Ctrl-D in an empty line */
	KT_LINE_SUSPEND, /* Ctrl-Z */
	KT_LINE_CLEAR, /* Ctrl-L */
};
/* Feed bytes until something happens; *out_used of them were taken. */
enum kt_lineedit_result kt_lineedit_feed(
	struct kt_lineedit *e, const char *data, size_t len, size_t *out_used);
/* The text. BORROWS until the next call. */
const char *kt_lineedit_text(const struct kt_lineedit *e);
/* Replace the text, cursor at its end. */
void kt_lineedit_set(struct kt_lineedit *e, const char *text);
/* The prompt (a literal, BORROWED). */
void kt_lineedit_prompt(struct kt_lineedit *e, const char *prompt);
/* Append what draws prompt and text where the cursor is (or over the last drawing). */
void kt_lineedit_draw(struct kt_lineedit *e, struct kt_buf *b);
/* Append what removes the drawing; the cursor is then where it began. Nothing when not drawn. */
void kt_lineedit_erase(struct kt_lineedit *e, struct kt_buf *b);
/* Rows that the drawing takes; 0 when there is none. */
size_t kt_lineedit_rows(const struct kt_lineedit *e);
/* Append what leaves the drawing on the screen and goes to the line below. */
void kt_lineedit_leave(struct kt_lineedit *e, struct kt_buf *b);
/* Remember a line in the history and its file (mode 0600). A file that cannot be written is no
 * error. */
void kt_lineedit_remember(struct kt_lineedit *e, const char *line);

/* Put the terminal fd into raw mode; *out_saved is what kt_tty_restore() takes. */
KT_MUST_CHECK enum kt_code kt_tty_raw(int fd, struct termios *out_saved, struct kt_err *err);
void kt_tty_restore(int fd, const struct termios *saved);

#endif
