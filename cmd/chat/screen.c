/* SPDX-License-Identifier: MIT */
/*
 * Output and input that share one terminal. From the top: output, which stays; what is still open,
 * drawn anew with each frame (cli/live.h); at the bottom the prompt or a line of state. A frame is
 * one write. Where nothing can be redrawn there is only output, and under a prompt only whole lines
 * of it.
 */
#include "cmd/chat/screen.h"

#include "base/env.h"
#include "base/fs.h"
#include "base/str.h"
#include "base/time.h"
#include "cli/lineedit.h"
#include "cli/live.h"
#include "cmd/remote.h"
#include "text/clean.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define OUT_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define KEYS_MAX_BYTES ((size_t)1024 * 1024)
#define STATE_AFTER_US 500000 /* a state that passes at once only flickers */
#define FRAME_US 25000
/* A frame that took so long is followed by one after this many times that. */
#define FRAME_COST 10
#define FLUSH_BYTES ((size_t)64 * 1024)
#define PASTE_ON "\033[?2004h"
#define PASTE_OFF "\033[?2004l"

struct kt_screen {
	struct kt_ctx *ctx;
	int fd; /* stdin, as a descriptor that libcurl can watch; 0 after its end */
	bool raw; /* we edit */
	bool redraws;
	bool interactive;
	struct termios saved;
	struct kt_lineedit *edit;
	struct kt_buf out; /* not written yet */
	struct kt_buf keys; /* not looked at yet */
	struct kt_buf aside;
	char *line;
	const char *prompt; /* wanted, or NULL */
	bool prompt_drawn, prompt_stale;
	char state[256], state_drawn[256];
	int64_t state_since_us;
	bool mid_line; /* what was written ends inside a line */
	struct kt_live *live;
	bool (*tail)(void *arg, struct kt_buf *b);
	void *tail_arg;
	struct kt_buf open; /* what it gave last */
	bool changed;
	int64_t next_frame_us;
	int ints; /* SIGINT that were taken */
};

static volatile sig_atomic_t terminated, resized;

static void on_screen_signal(int signum)
{
	if (signum == SIGWINCH)
		resized = 1;
	else
		terminated = 1;
}

bool kt_screen_terminated(void)
{
	return terminated;
}

static void catch_signals(bool keys)
{
	struct sigaction sa = { .sa_handler = on_screen_signal };

	(void)sigaction(SIGWINCH, &sa, NULL);
	if (!keys)
		return;
	(void)sigaction(SIGTERM, &sa, NULL);
	(void)sigaction(SIGHUP, &sa, NULL);
	kt_remote_catch_int();
}

static char *history_path(void)
{
	KT_AUTOFREE char *dir = kt_dir_state();

	return kt_path_join(dir, "history");
}

enum kt_code kt_screen_open(
	struct kt_ctx *ctx, bool keys, struct kt_screen **out, struct kt_err *err)
{
	bool tty = keys && isatty(STDIN_FILENO) == 1 && !ctx->no_input;
	KT_AUTOFREE char *history = tty ? history_path() : NULL;
	struct kt_screen *s = kt_calloc(1, sizeof(*s));

	s->ctx = ctx;
	s->interactive = tty;
	s->redraws = (tty || !keys) && ctx->out.is_tty && kt_env_get("TERM") &&
		!kt_str_eq(kt_env_get("TERM"), "dumb");
	s->raw = tty && s->redraws;
	kt_buf_init(&s->out, OUT_MAX_BYTES);
	kt_buf_init(&s->keys, KEYS_MAX_BYTES);
	kt_buf_init(&s->aside, KEYS_MAX_BYTES);
	kt_buf_init(&s->open, OUT_MAX_BYTES);
	if (keys)
		s->fd = KT_MAX(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3), 0);
	s->edit = kt_lineedit_new(&ctx->out, history);
	s->live = kt_live_new(&ctx->out);
	catch_signals(keys);
	if (s->raw && kt_tty_raw(s->fd, &s->saved, err) != KT_OK) {
		s->raw = false;
		kt_screen_close(s);
		return err ? err->code : KT_EIO;
	}
	if (s->raw)
		kt_out_raw(PASTE_ON, strlen(PASTE_ON));
	*out = s;
	return KT_OK;
}

void kt_screen_close(struct kt_screen *s)
{
	if (!s)
		return;
	s->prompt = NULL;
	s->state[0] = '\0';
	s->tail = NULL;
	s->changed = true;
	s->next_frame_us = 0;
	kt_screen_update(s);
	if (s->mid_line)
		kt_out_raw("\n", 1);
	if (s->raw) {
		kt_out_raw(PASTE_OFF, strlen(PASTE_OFF));
		kt_tty_restore(STDIN_FILENO, &s->saved);
	}
	if (s->fd)
		close(s->fd);
	kt_lineedit_free(s->edit);
	kt_live_free(s->live);
	kt_buf_release(&s->out);
	kt_buf_release(&s->open);
	kt_buf_release(&s->keys);
	kt_buf_release(&s->aside);
	free(s->line);
	free(s);
}

int kt_screen_fd(const struct kt_screen *s)
{
	return s->fd;
}

bool kt_screen_is_interactive(const struct kt_screen *s)
{
	return s->interactive;
}

bool kt_screen_redraws(const struct kt_screen *s)
{
	return s->redraws;
}

/* --- output ------------------------------------------------------------------------------ */

void kt_screen_tail(struct kt_screen *s, bool (*fn)(void *arg, struct kt_buf *b), void *arg)
{
	s->tail = fn;
	s->tail_arg = arg;
}

void kt_screen_changed(struct kt_screen *s)
{
	s->changed = true;
}

void kt_screen_leave(struct kt_screen *s)
{
	s->next_frame_us = 0;
	kt_screen_update(s);
	kt_live_leave(s->live);
}

struct kt_buf *kt_screen_out(struct kt_screen *s)
{
	return &s->out;
}

/* Beside a stdout that is a file or a pipe, which has what was said and nothing else. */
static void note_aside(struct kt_screen *s, enum kt_style style, const char *text)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(OUT_MAX_BYTES);

	kt_screen_update(s);
	kt_term_wrap(&b, &s->ctx->errt, style, text, 0);
	kt_say_built(s->ctx, &b);
}

void kt_screen_note(struct kt_screen *s, enum kt_style style, const char *fmt, ...)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(OUT_MAX_BYTES);
	va_list ap;

	va_start(ap, fmt);
	kt_buf_vaddf(&text, fmt, ap);
	va_end(ap);
	if (s->out.len ? s->out.ptr[s->out.len - 1] != '\n' : s->mid_line)
		kt_buf_addc(&s->out, '\n');
	if (!s->ctx->out.is_tty) {
		note_aside(s, style, text.ptr);
		return;
	}
	kt_term_wrap(&s->out, &s->ctx->out, style, text.ptr, 0);
	kt_buf_addc(&s->out, '\n');
}

void kt_screen_prompt(struct kt_screen *s, const char *prompt)
{
	if (prompt == s->prompt)
		return;
	s->prompt = prompt;
	s->prompt_stale = true;
	s->state_since_us = kt_mono_us();
	if (prompt)
		kt_lineedit_prompt(s->edit, prompt);
}

void kt_screen_state(struct kt_screen *s, const char *text)
{
	kt_str_copy(s->state, sizeof(s->state), text);
}

/* Take the size of the terminal, when that changed. */
static void take_size(struct kt_screen *s)
{
	if (!resized)
		return;
	resized = 0;
	kt_term_size(&s->ctx->out, STDOUT_FILENO);
	s->prompt_stale = true;
	s->changed = true;
}

/* Move output that may be shown now to b: whole lines, where others may follow under them. */
static void take_output(struct kt_screen *s, struct kt_buf *b, bool whole_lines)
{
	size_t n = s->out.len;

	while (whole_lines && n && s->out.ptr[n - 1] != '\n')
		n--;
	if (!n)
		return;
	kt_term_pass(b, s->out.ptr, n, s->ctx->out.color);
	s->mid_line = s->out.ptr[n - 1] != '\n';
	kt_buf_drop(&s->out, n);
	s->out.overflow = false;
}

/* --- with redrawing */

/* Take what there is to show when a frame is due; false when nothing was taken. */
static bool take_frame(struct kt_screen *s, struct kt_buf *stays)
{
	KT_AUTO_BUF struct kt_buf open = KT_BUF_INIT(OUT_MAX_BYTES);

	if (kt_mono_us() < s->next_frame_us && s->out.len < FLUSH_BYTES &&
		!(s->prompt && !s->prompt_drawn))
		return false;
	if (!s->changed && !s->out.len)
		return false;
	s->changed = false;
	kt_buf_clear(&s->open);
	if (s->tail && s->tail(s->tail_arg, &open))
		kt_term_pass(&s->open, open.ptr, open.len, s->ctx->out.color);
	take_output(s, stays, s->tail != NULL);
	return true;
}

/* What the line of state says now, "" for nothing. */
static const char *state_now(const struct kt_screen *s)
{
	bool shown = !(s->prompt && s->raw) && kt_mono_us() - s->state_since_us >= STATE_AFTER_US;

	return shown ? s->state : "";
}

static void add_state(struct kt_screen *s, struct kt_buf *b)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(sizeof(s->state) * 8);

	if (!s->state_drawn[0])
		return;
	kt_term_cut(&text, s->state_drawn, strlen(s->state_drawn),
		(size_t)KT_MAX(s->ctx->out.columns, 8) - 1);
	kt_term_add(b, &s->ctx->out, KT_STYLE_DIM, text.ptr);
}

static void update_drawing(struct kt_screen *s)
{
	bool prompt = s->prompt && s->raw;
	int64_t start = kt_mono_us();
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4 * OUT_MAX_BYTES);
	KT_AUTO_BUF struct kt_buf drawn = KT_BUF_INIT(3 * OUT_MAX_BYTES);
	KT_AUTO_BUF struct kt_buf stays = KT_BUF_INIT(OUT_MAX_BYTES);
	KT_AUTO_BUF struct kt_buf now = KT_BUF_INIT(2 * OUT_MAX_BYTES);

	/* All that follows costs as much as the open block is large. */
	if (!take_frame(s, &stays) && kt_str_eq(state_now(s), s->state_drawn) &&
		prompt == s->prompt_drawn && !(prompt && s->prompt_stale))
		return;
	kt_str_copy(s->state_drawn, sizeof(s->state_drawn), state_now(s));
	kt_buf_add(&now, s->open.ptr, s->open.len);
	add_state(s, &now);
	kt_live_draw(s->live, &drawn, &stays, &now);
	if (s->prompt_drawn)
		kt_lineedit_erase(s->edit, &b);
	kt_buf_add(&b, drawn.ptr, drawn.len);
	if (prompt) {
		kt_lineedit_draw(s->edit, &b);
		kt_live_below(s->live, kt_lineedit_rows(s->edit));
	}
	s->prompt_drawn = prompt;
	s->prompt_stale = false;
	if (b.len)
		kt_out_raw(b.ptr, b.len);
	s->next_frame_us = kt_mono_us() + KT_MAX(FRAME_US, FRAME_COST * (kt_mono_us() - start));
}

/* --- without */

static void update_lines(struct kt_screen *s)
{
	bool prompt = s->prompt && s->interactive;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(OUT_MAX_BYTES + KEYS_MAX_BYTES);
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(OUT_MAX_BYTES);

	take_output(s, &out, prompt);
	if (s->prompt_drawn && (out.len || !prompt || s->prompt_stale)) {
		kt_buf_addc(&b, '\n');
		s->prompt_drawn = false;
	}
	kt_buf_add(&b, out.ptr, out.len);
	if (prompt && !s->prompt_drawn) {
		if (s->mid_line)
			kt_buf_addc(&b, '\n');
		s->mid_line = false;
		kt_buf_adds(&b, s->prompt);
		s->prompt_drawn = true;
		s->prompt_stale = false;
	}
	if (b.len)
		kt_out_raw(b.ptr, b.len);
}

void kt_screen_update(struct kt_screen *s)
{
	take_size(s);
	if (s->redraws)
		update_drawing(s);
	else
		update_lines(s);
}

/* --- input ------------------------------------------------------------------------------- */

static void fill_screen_input(struct kt_screen *s)
{
	struct pollfd p = { s->fd, POLLIN, 0 };

	while (s->fd && s->keys.len < KEYS_MAX_BYTES / 2 && poll(&p, 1, 0) > 0) {
		char chunk[4096];
		ssize_t n = read(s->fd, chunk, sizeof(chunk));

		if (n > 0) {
			kt_buf_add(&s->keys, chunk, (size_t)n);
		} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
			close(s->fd);
			s->fd = 0;
		} else {
			return;
		}
	}
	/* A flood of keys that nobody takes: what is too much is dropped, so that Ctrl-C is seen.
	 */
	if (s->keys.len >= KEYS_MAX_BYTES / 2 && !s->prompt)
		kt_buf_clear(&s->keys);
}

static void set_line(struct kt_screen *s, const char *text, size_t len)
{
	free(s->line);
	s->line = kt_strndup(text, len);
}

/*
 * The line was given: it stays on the screen, above what is open there, and an empty one follows.
 */
static void finish_line(struct kt_screen *s)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KEYS_MAX_BYTES);

	if (s->raw && kt_live_is_drawn(s->live)) {
		kt_lineedit_erase(s->edit, &b);
		kt_screen_note(s, KT_STYLE_NONE, "%s%s", s->prompt, s->line);
	} else if (s->raw) {
		kt_lineedit_leave(s->edit, &b);
		kt_live_leave(s->live);
	}
	if (b.len)
		kt_out_raw(b.ptr, b.len);
	s->prompt_drawn = false;
	kt_lineedit_set(s->edit, "");
}

/* Stop the whole job, as Ctrl-Z does elsewhere; comes back when it goes on. */
static void suspend_job(struct kt_screen *s)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);
	struct termios now;

	kt_lineedit_erase(s->edit, &b);
	s->prompt_drawn = false;
	kt_live_leave(s->live);
	kt_buf_adds(&b, PASTE_OFF);
	kt_out_raw(b.ptr, b.len);
	kt_tty_restore(s->fd, &s->saved);
	(void)kill(0, SIGTSTP);
	if (kt_tty_raw(s->fd, &now, NULL) == KT_OK)
		kt_out_raw(PASTE_ON, strlen(PASTE_ON));
	s->prompt_stale = true;
}

static enum kt_screen_key read_edited(struct kt_screen *s)
{
	while (s->keys.len) {
		size_t used = 0;
		enum kt_lineedit_result r = kt_lineedit_feed(
			s->edit, s->keys.ptr, s->keys.len, &used);

		kt_buf_drop(&s->keys, used);
		s->prompt_stale = true;
		switch (r) {
		case KT_LINE_ENTER:
			set_line(s, kt_lineedit_text(s->edit), strlen(kt_lineedit_text(s->edit)));
			kt_screen_update(s);
			finish_line(s);
			return KT_KEY_LINE;
		case KT_LINE_INTERRUPT:
			return KT_KEY_INTERRUPT;
		case KT_LINE_EOF:
			return KT_KEY_EOF;
		case KT_LINE_SUSPEND:
			suspend_job(s);
			break;
		case KT_LINE_CLEAR:
			kt_live_leave(s->live);
			kt_out_raw("\033[H\033[2J", 7);
			break;
		case KT_LINE_MORE:
			break;
		}
	}
	return s->fd ? KT_KEY_NONE : KT_KEY_EOF;
}

static enum kt_screen_key read_plain(struct kt_screen *s)
{
	char *nl = memchr(s->keys.ptr, '\n', s->keys.len);
	size_t n = nl ? (size_t)(nl - s->keys.ptr) : s->keys.len;

	if (!nl && (s->fd || !s->keys.len))
		return s->fd ? KT_KEY_NONE : KT_KEY_EOF;
	set_line(s, s->keys.ptr, n);
	kt_buf_drop(&s->keys, nl ? n + 1 : n);
	s->prompt_drawn = false;
	return KT_KEY_LINE;
}

enum kt_screen_key kt_screen_read(struct kt_screen *s)
{
	char *c;

	fill_screen_input(s);
	if (kt_remote_ints() > s->ints) {
		s->ints++;
		return KT_KEY_INTERRUPT;
	}
	if (s->prompt)
		return s->raw ? read_edited(s) : read_plain(s);
	c = s->raw ? memchr(s->keys.ptr, 3, s->keys.len) : NULL;
	if (!c)
		return KT_KEY_NONE;
	kt_buf_drop(&s->keys, (size_t)(c - s->keys.ptr) + 1);
	return KT_KEY_INTERRUPT;
}

const char *kt_screen_line(const struct kt_screen *s)
{
	return s->line ? s->line : "";
}

const char *kt_screen_draft(const struct kt_screen *s)
{
	return kt_lineedit_text(s->edit);
}

void kt_screen_set_draft(struct kt_screen *s, const char *text)
{
	kt_lineedit_set(s->edit, text);
	s->prompt_stale = true;
}

void kt_screen_set_aside(struct kt_screen *s, bool aside)
{
	if (!s->interactive)
		return;
	if (aside) {
		fill_screen_input(s);
		/* Where the system edits lines, one that was begun cannot be read, but dropped. */
		if (!s->raw && s->fd)
			(void)tcflush(s->fd, TCIFLUSH);
		kt_buf_add(&s->aside, s->keys.ptr, s->keys.len);
		kt_buf_clear(&s->keys);
		return;
	}
	kt_buf_add(&s->aside, s->keys.ptr, s->keys.len);
	kt_buf_clear(&s->keys);
	kt_buf_add(&s->keys, s->aside.ptr, s->aside.len);
	kt_buf_clear(&s->aside);
}

void kt_screen_remember(struct kt_screen *s, const char *line)
{
	if (s->interactive)
		kt_lineedit_remember(s->edit, line);
}
