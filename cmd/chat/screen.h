/* SPDX-License-Identifier: MIT */
/*
 * The terminal of the chat: output above, a prompt or a line of state below, keys in between. With
 * a capable terminal it edits lines itself (raw mode); otherwise lines come as the system gives
 * them, and nothing is ever redrawn.
 */
#ifndef KT_CMD_CHAT_SCREEN_H
#define KT_CMD_CHAT_SCREEN_H

#include "cmd/cmd.h"

struct kt_buf;
struct kt_screen;

/*
 * Open stdout, and with `keys` stdin, for a talk. kt_screen_close() restores the terminal. Without
 * keys there is no prompt, and SIGTERM and SIGHUP end the program as ever.
 */
KT_MUST_CHECK enum kt_code kt_screen_open(
	struct kt_ctx *ctx, bool keys, struct kt_screen **out, struct kt_err *err);
/* Leave the terminal as it was found. NULL is fine. */
void kt_screen_close(struct kt_screen *s);
/* Descriptor to watch for keys; 0 when no more can come. */
int kt_screen_fd(const struct kt_screen *s);
/* True when a person can be asked here. */
bool kt_screen_is_interactive(const struct kt_screen *s);

/* True when what is on the screen can be drawn again. */
bool kt_screen_redraws(const struct kt_screen *s);
/*
 * Who draws what is still open, below the output: fn appends whole lines. It is called when
 * kt_screen_changed() said so, at most 40 times a second, and so seldom that it takes a tenth of
 * the time.
 */
void kt_screen_tail(struct kt_screen *s, bool (*fn)(void *arg, struct kt_buf *b), void *arg);
void kt_screen_changed(struct kt_screen *s);
/* Others write to the terminal now: all is shown, and what is drawn stays as it is. */
void kt_screen_leave(struct kt_screen *s);
/* Where output is appended; kt_screen_update() shows it. BORROWS. */
struct kt_buf *kt_screen_out(struct kt_screen *s);
/* Say a line of ours, sanitized, on a line of its own; on stderr when stdout is no terminal. */
void kt_screen_note(struct kt_screen *s, enum kt_style style, const char *fmt, ...) KT_PRINTF(3, 4);
/* The prompt that is wanted (a literal), or NULL: keys wait, and the state is shown instead. */
void kt_screen_prompt(struct kt_screen *s, const char *prompt);
/* What is going on, shown while there is no prompt; "" for nothing. Copied. */
void kt_screen_state(struct kt_screen *s, const char *text);
/* Show what changed. */
void kt_screen_update(struct kt_screen *s);

enum kt_screen_key { KT_KEY_NONE, KT_KEY_LINE, KT_KEY_INTERRUPT, KT_KEY_EOF };
/*
 * Take keys; does not wait. A line is kt_screen_line() until the next call. Without a prompt only
 * Ctrl-C is looked at, the other keys stay for the next prompt.
 */
enum kt_screen_key kt_screen_read(struct kt_screen *s);
const char *kt_screen_line(const struct kt_screen *s);
/* The unfinished line, and another in its place. BORROWS until the next call. */
const char *kt_screen_draft(const struct kt_screen *s);
void kt_screen_set_draft(struct kt_screen *s, const char *text);
/*
 * Set keys that came before aside: they were not meant as an answer to what is asked now. Or bring
 * them back.
 */
void kt_screen_set_aside(struct kt_screen *s, bool aside);
/* Remember a line in the history. */
void kt_screen_remember(struct kt_screen *s, const char *line);
/* True after SIGTERM or SIGHUP. */
bool kt_screen_terminated(void);

#endif
