/* SPDX-License-Identifier: MIT */
/*
 * Editing, drawing and the history of lines. The text is kept as typed (UTF-8); control characters
 * in it (from a paste) are drawn as escapes. The cursor is a byte offset at a character's start.
 */
#include "cli/lineedit.h"

#include "base/fs.h"
#include "base/str.h"
#include "base/vec.h"
#include "text/clean.h"
#include "text/unicode.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT_MAX_BYTES ((size_t)512 * 1024) /* one message */
#define DRAW_MAX_BYTES ((size_t)4 * 1024 * 1024)
#define HISTORY_MAX 1000
#define HISTORY_MAX_BYTES ((size_t)4 * 1024 * 1024)
#define HISTORY_LINE_BYTES ((size_t)16 * 1024) /* longer lines are not worth going back to */
#define KEY_MAX_BYTES 32 /* an escape sequence */

struct kt_lineedit {
	const struct kt_term *t;
	const char *prompt;
	struct kt_buf text;
	size_t cursor;
	char key[KEY_MAX_BYTES]; /* a sequence that is not whole yet */
	size_t key_len;
	bool pasting;
	char *killed; /* what Ctrl-Y brings back, or NULL */
	struct kt_vec history; /* char *, oldest first */
	size_t at; /* in the history; its length = the draft */
	char *draft; /* of the line being typed, while in the history */
	char *path; /* of the history's file, or NULL */
	size_t drawn_rows; /* rows of the last drawing, 0 = none */
	size_t cursor_row; /* in it */
};

/* --- history ----------------------------------------------------------------------------- */

/* One entry a line: line breaks and backslashes are escaped. */
static char *unescape_entry(const char *s, size_t len)
{
	char *out = kt_malloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (s[i] == '\\' && i + 1 < len) {
			i++;
			out[n++] = s[i] == 'n' ? '\n' : s[i];
		} else {
			out[n++] = s[i];
		}
	}
	out[n] = '\0';
	return out;
}

static void add_escaped_entry(struct kt_buf *b, const char *s)
{
	for (; *s; s++) {
		if (*s == '\n')
			kt_buf_adds(b, "\\n");
		else if (*s == '\\')
			kt_buf_adds(b, "\\\\");
		else
			kt_buf_addc(b, *s);
	}
	kt_buf_addc(b, '\n');
}

static void push_entry(struct kt_lineedit *e, char *line)
{
	kt_vec_push(&e->history, line);
	if (e->history.len > HISTORY_MAX)
		free(kt_vec_remove(&e->history, 0));
}

static void load_history(struct kt_lineedit *e)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(HISTORY_MAX_BYTES);
	KT_AUTO_BUF struct kt_buf kept = KT_BUF_INIT(HISTORY_MAX_BYTES);
	size_t lines = 0;

	if (!e->path || kt_fs_read(e->path, &b, NULL) != KT_OK)
		return;
	for (const char *p = b.ptr, *end = b.ptr + b.len; p < end; lines++) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = nl ? (size_t)(nl - p) : (size_t)(end - p);

		if (n && !memchr(p, '\0', n))
			push_entry(e, unescape_entry(p, n));
		p += n + 1;
	}
	if (lines <= 2 * HISTORY_MAX)
		return;
	for (size_t i = 0; i < e->history.len; i++)
		add_escaped_entry(&kept, e->history.items[i]);
	/* A history that cannot be shortened only stays long. */
	if (kt_buf_ok(&kept) &&
		kt_fs_write_atomic(e->path, kept.ptr, kept.len, 0600, false, NULL) != KT_OK)
		return;
}

static void append_history(const struct kt_lineedit *e, const char *line)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4 * HISTORY_LINE_BYTES);
	KT_AUTOFREE char *dir = kt_path_dir(e->path);
	KT_AUTOFD int fd = -1;

	add_escaped_entry(&b, line);
	if (!kt_buf_ok(&b) || kt_fs_mkdirs(dir, 0700, NULL) != KT_OK)
		return;
	fd = open(e->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	/* What was typed is private, also when the file came from elsewhere. */
	if (fd >= 0 && fchmod(fd, 0600) == 0 && kt_fs_write_all(fd, b.ptr, b.len, NULL) != KT_OK)
		return;
}

void kt_lineedit_remember(struct kt_lineedit *e, const char *line)
{
	const char *last = e->history.len ? e->history.items[e->history.len - 1] : NULL;

	if (*line && !kt_str_eq(line, last) && strlen(line) <= HISTORY_LINE_BYTES) {
		push_entry(e, kt_strdup(line));
		if (e->path)
			append_history(e, line);
	}
	e->at = e->history.len;
}

/* --- life -------------------------------------------------------------------------------- */

struct kt_lineedit *kt_lineedit_new(const struct kt_term *t, const char *history)
{
	struct kt_lineedit *e = kt_calloc(1, sizeof(*e));

	e->t = t;
	e->prompt = "";
	e->path = kt_strdup_opt(history);
	kt_buf_init(&e->text, TEXT_MAX_BYTES);
	load_history(e);
	e->at = e->history.len;
	return e;
}

void kt_lineedit_free(struct kt_lineedit *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->history.len; i++)
		free(e->history.items[i]);
	kt_vec_release(&e->history);
	kt_buf_release(&e->text);
	free(e->killed);
	free(e->draft);
	free(e->path);
	free(e);
}

const char *kt_lineedit_text(const struct kt_lineedit *e)
{
	return e->text.ptr;
}

void kt_lineedit_set(struct kt_lineedit *e, const char *text)
{
	kt_buf_clear(&e->text);
	kt_buf_adds(&e->text, text);
	e->text.overflow = false;
	e->cursor = e->text.len;
	e->at = e->history.len;
}

void kt_lineedit_prompt(struct kt_lineedit *e, const char *prompt)
{
	e->prompt = prompt;
}

/* --- editing ----------------------------------------------------------------------------- */

static size_t char_before(const struct kt_lineedit *e, size_t at)
{
	while (at > 0 && ((unsigned char)e->text.ptr[--at] & 0xc0) == 0x80)
		;
	return at;
}

static size_t char_after(const struct kt_lineedit *e, size_t at)
{
	if (at < e->text.len)
		at++;
	while (at < e->text.len && ((unsigned char)e->text.ptr[at] & 0xc0) == 0x80)
		at++;
	return at;
}

/* A combining character goes with the one before it. */
static bool is_combining(const struct kt_lineedit *e, size_t at)
{
	uint32_t cp;

	return at < e->text.len && (unsigned char)e->text.ptr[at] >= 0x80 &&
		kt_utf8_decode(e->text.ptr + at, e->text.len - at, &cp) && cp >= 0x300 &&
		kt_unicode_width(cp) == 0;
}

static size_t left_of(const struct kt_lineedit *e, size_t at)
{
	do
		at = char_before(e, at);
	while (at > 0 && is_combining(e, at));
	return at;
}

static size_t right_of(const struct kt_lineedit *e, size_t at)
{
	do
		at = char_after(e, at);
	while (is_combining(e, at));
	return at;
}

static bool is_edit_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\t';
}

static size_t word_left(const struct kt_lineedit *e, size_t at)
{
	while (at > 0 && is_edit_blank(e->text.ptr[at - 1]))
		at--;
	while (at > 0 && !is_edit_blank(e->text.ptr[at - 1]))
		at--;
	return at;
}

static size_t word_right(const struct kt_lineedit *e, size_t at)
{
	while (at < e->text.len && is_edit_blank(e->text.ptr[at]))
		at++;
	while (at < e->text.len && !is_edit_blank(e->text.ptr[at]))
		at++;
	return at;
}

static void insert_typed(struct kt_lineedit *e, const char *s, size_t len)
{
	KT_AUTOFREE char *tail = kt_strndup(e->text.ptr + e->cursor, e->text.len - e->cursor);
	size_t tail_len = e->text.len - e->cursor;

	if (e->text.len + len > TEXT_MAX_BYTES)
		return;
	kt_buf_truncate(&e->text, e->cursor);
	kt_buf_add(&e->text, s, len);
	kt_buf_add(&e->text, tail, tail_len);
	e->cursor += len;
}

static void cut_typed(struct kt_lineedit *e, size_t from, size_t to, bool keep)
{
	KT_AUTOFREE char *tail = kt_strndup(e->text.ptr + to, e->text.len - to);

	if (from >= to)
		return;
	if (keep) {
		free(e->killed);
		e->killed = kt_strndup(e->text.ptr + from, to - from);
	}
	kt_buf_truncate(&e->text, from);
	kt_buf_adds(&e->text, tail);
	e->cursor = from;
}

static size_t line_start(const struct kt_lineedit *e)
{
	size_t at = e->cursor;

	while (at > 0 && e->text.ptr[at - 1] != '\n')
		at--;
	return at;
}

static size_t edit_line_end(const struct kt_lineedit *e)
{
	size_t at = e->cursor;

	while (at < e->text.len && e->text.ptr[at] != '\n')
		at++;
	return at;
}

static void go_history(struct kt_lineedit *e, bool back)
{
	size_t to = back ? e->at - 1 : e->at + 1;

	if ((back && e->at == 0) || (!back && e->at >= e->history.len))
		return;
	if (e->at == e->history.len) {
		free(e->draft);
		e->draft = kt_strdup(e->text.ptr);
	}
	kt_lineedit_set(e, to == e->history.len ? e->draft : (const char *)e->history.items[to]);
	e->at = to;
}

/* Up and down move within a text of several lines first. */
static void go_line(struct kt_lineedit *e, bool up)
{
	size_t start = line_start(e), column = e->cursor - start, end = edit_line_end(e);

	if (up ? start == 0 : end == e->text.len) {
		go_history(e, up);
		return;
	}
	e->cursor = up ? start - 1 : end + 1;
	start = line_start(e);
	e->cursor = KT_MIN(start + column, edit_line_end(e));
	while (e->cursor < e->text.len && ((unsigned char)e->text.ptr[e->cursor] & 0xc0) == 0x80)
		e->cursor--;
}

/* --- keys -------------------------------------------------------------------------------- */

/* A whole escape sequence, without its ESC. */
static void do_sequence(struct kt_lineedit *e, const char *seq)
{
	static const struct {
		const char *seq;
		char action;
	} keys[] = {
		{ "[A", 'u' },
		{ "OA", 'u' },
		{ "[B", 'd' },
		{ "OB", 'd' },
		{ "[C", 'r' },
		{ "OC", 'r' },
		{ "[D", 'l' },
		{ "OD", 'l' },
		{ "[H", 'h' },
		{ "OH", 'h' },
		{ "[1~", 'h' },
		{ "[7~", 'h' },
		{ "[F", 'e' },
		{ "OF", 'e' },
		{ "[4~", 'e' },
		{ "[8~", 'e' },
		{ "[3~", 'x' },
		{ "[1;5D", 'b' },
		{ "[1;3D", 'b' },
		{ "b", 'b' },
		{ "[1;5C", 'f' },
		{ "[1;3C", 'f' },
		{ "f", 'f' },
		{ "\r", 'n' },
		{ "\n", 'n' },
		{ "\x7f", 'w' },
		{ "[200~", 'p' },
	};
	char action = 0;

	for (size_t i = 0; i < KT_ARRAY_LEN(keys) && !action; i++)
		action = kt_str_eq(seq, keys[i].seq) ? keys[i].action : 0;
	switch (action) {
	case 'u':
	case 'd':
		go_line(e, action == 'u');
		break;
	case 'r':
		e->cursor = right_of(e, e->cursor);
		break;
	case 'l':
		e->cursor = left_of(e, e->cursor);
		break;
	case 'h':
		e->cursor = line_start(e);
		break;
	case 'e':
		e->cursor = edit_line_end(e);
		break;
	case 'x':
		cut_typed(e, e->cursor, right_of(e, e->cursor), false);
		break;
	case 'b':
		e->cursor = word_left(e, e->cursor);
		break;
	case 'f':
		e->cursor = word_right(e, e->cursor);
		break;
	case 'n':
		insert_typed(e, "\n", 1);
		break;
	case 'w':
		cut_typed(e, word_left(e, e->cursor), e->cursor, true);
		break;
	case 'p':
		e->pasting = true;
		break;
	default:
		break;
	}
}

static enum kt_lineedit_result do_control(struct kt_lineedit *e, char c)
{
	switch (c) {
	case '\r':
	case '\n':
		return KT_LINE_ENTER;
	case 3: /* Ctrl-C */
		return KT_LINE_INTERRUPT;
	case 4: /* Ctrl-D */
		if (!e->text.len)
			return KT_LINE_EOF;
		cut_typed(e, e->cursor, right_of(e, e->cursor), false);
		break;
	case 12: /* Ctrl-L */
		return KT_LINE_CLEAR;
	case 26: /* Ctrl-Z */
		return KT_LINE_SUSPEND;
	case 1: /* Ctrl-A */
		e->cursor = line_start(e);
		break;
	case 5: /* Ctrl-E */
		e->cursor = edit_line_end(e);
		break;
	case 2: /* Ctrl-B */
		e->cursor = left_of(e, e->cursor);
		break;
	case 6: /* Ctrl-F */
		e->cursor = right_of(e, e->cursor);
		break;
	case 8: /* Ctrl-H */
	case 127:
		cut_typed(e, left_of(e, e->cursor), e->cursor, false);
		break;
	case 11: /* Ctrl-K */
		cut_typed(e, e->cursor, edit_line_end(e), true);
		break;
	case 21: /* Ctrl-U */
		cut_typed(e, line_start(e), e->cursor, true);
		break;
	case 23: /* Ctrl-W */
		cut_typed(e, word_left(e, e->cursor), e->cursor, true);
		break;
	case 25: /* Ctrl-Y */
		if (e->killed)
			insert_typed(e, e->killed, strlen(e->killed));
		break;
	case 16: /* Ctrl-P */
	case 14: /* Ctrl-N */
		go_history(e, c == 16);
		break;
	default:
		break;
	}
	return KT_LINE_MORE;
}

/* True when the sequence after ESC is whole: "[" to a final byte, "O" and one, or one byte. */
static bool sequence_whole(const char *seq, size_t len)
{
	unsigned char last = len ? (unsigned char)seq[len - 1] : 0;

	if (len == 0 || (len == 1 && (seq[0] == '[' || seq[0] == 'O')))
		return false;
	if (seq[0] == '[')
		return last >= 0x40 && last <= 0x7e;
	return true;
}

static size_t utf8_length(unsigned char lead)
{
	return lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc2 ? 2 : 0;
}

/* One more byte of a key that began earlier; clears the key when it is whole. */
static void go_on_key(struct kt_lineedit *e, char c)
{
	uint32_t cp;

	e->key[e->key_len++] = c;
	e->key[e->key_len] = '\0';
	if (e->key[0] == '\033') {
		if (!sequence_whole(e->key + 1, e->key_len - 1) && e->key_len < KEY_MAX_BYTES - 1)
			return;
		if (e->pasting && kt_str_eq(e->key + 1, "[201~"))
			e->pasting = false;
		else if (!e->pasting)
			do_sequence(e, e->key + 1);
	} else {
		if (e->key_len < utf8_length((unsigned char)e->key[0]))
			return;
		if (kt_utf8_decode(e->key, e->key_len, &cp) == e->key_len)
			insert_typed(e, e->key, e->key_len);
	}
	e->key_len = 0;
}

enum kt_lineedit_result kt_lineedit_feed(
	struct kt_lineedit *e, const char *data, size_t len, size_t *out_used)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)data[i];
		enum kt_lineedit_result r;

		*out_used = i + 1;
		/* Ctrl-C gets out of everything, also of a paste whose end never came. */
		if (c == 3) {
			e->key_len = 0;
			e->pasting = false;
			return KT_LINE_INTERRUPT;
		}
		if (e->key_len || c == '\033' || c >= 0x80) {
			if (e->key_len || c == '\033' || utf8_length(c))
				go_on_key(e, (char)c);
		} else if (e->pasting && c != 0) {
			char one = c == '\r' ? '\n' : (char)c;

			insert_typed(e, &one, 1);
		} else if (c == '\t') {
			insert_typed(e, "  ", 2);
		} else if (c < 0x20 || c == 127) {
			r = do_control(e, (char)c);
			if (r != KT_LINE_MORE)
				return r;
		} else {
			insert_typed(e, (const char *)&data[i], 1);
		}
	}
	*out_used = len;
	return KT_LINE_MORE;
}

/* --- drawing ----------------------------------------------------------------------------- */

/* The drawing, row by row: rows[i] is the offset in `b` where row i begins. */
struct layout {
	struct kt_buf b;
	size_t *rows;
	size_t n_rows, cap;
	size_t column, columns;
	size_t cursor_row, cursor_column;
};

static void new_row(struct layout *l)
{
	kt_grow((void **)&l->rows, &l->cap, l->n_rows + 1, sizeof(*l->rows));
	l->rows[l->n_rows++] = l->b.len;
	l->column = 0;
}

static void put_layout(struct layout *l, const char *s, size_t len, size_t width)
{
	if (l->column + width > l->columns)
		new_row(l);
	kt_buf_add(&l->b, s, len);
	l->column += width;
}

/* One character of the text; line breaks begin a row, control characters become escapes. */
static void put_char(struct layout *l, const char *s, size_t len)
{
	KT_AUTO_BUF struct kt_buf clean = KT_BUF_INIT(64);
	uint32_t cp = 0;

	if (*s == '\n') {
		new_row(l);
		put_layout(l, "  ", 2, 2);
		return;
	}
	kt_clean_add(&clean, s, len, true);
	if (clean.len == len && kt_utf8_decode(s, len, &cp) == len)
		put_layout(l, s, len, (size_t)kt_unicode_width(cp));
	else
		put_layout(l, clean.ptr, clean.len, clean.len);
}

static void lay_out_edit(const struct kt_lineedit *e, struct layout *l)
{
	size_t at = 0;

	/* The last column stays free: terminals differ in what they do behind it. */
	l->columns = e->t->columns > 8 ? (size_t)e->t->columns - 1 : 7;
	kt_buf_init(&l->b, DRAW_MAX_BYTES);
	new_row(l);
	for (size_t i = 0, n = strlen(e->prompt); i < n;) {
		uint32_t cp;
		size_t len = KT_MAX(kt_utf8_decode(e->prompt + i, n - i, &cp), (size_t)1);

		put_char(l, e->prompt + i, len);
		i += len;
	}
	for (;;) {
		size_t next = char_after(e, at);

		if (at == e->cursor) {
			l->cursor_row = l->n_rows - 1;
			l->cursor_column = l->column;
		}
		if (at >= e->text.len)
			return;
		put_char(l, e->text.ptr + at, next - at);
		/* A wide character that went to the next row takes the cursor along. */
		if (at == e->cursor && e->text.ptr[at] != '\n' && l->n_rows - 1 > l->cursor_row) {
			l->cursor_row = l->n_rows - 1;
			l->cursor_column = 0;
		}
		at = next;
	}
}

static size_t edit_screen_rows(void)
{
	struct winsize ws = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_row > 2)
		return ws.ws_row - 1;
	return 23;
}

void kt_lineedit_erase(struct kt_lineedit *e, struct kt_buf *b)
{
	if (!e->drawn_rows)
		return;
	if (e->cursor_row)
		kt_buf_addf(b, "\033[%zuA", e->cursor_row);
	kt_buf_adds(b, "\r\033[J");
	e->drawn_rows = 0;
}

void kt_lineedit_draw(struct kt_lineedit *e, struct kt_buf *b)
{
	struct layout l = { .n_rows = 0 };
	size_t first = 0, last, most = edit_screen_rows();

	kt_lineedit_erase(e, b);
	lay_out_edit(e, &l);
	last = l.n_rows;
	/* Of a text taller than the screen, the part around the cursor. */
	if (l.n_rows > most) {
		first = l.cursor_row >= most ? l.cursor_row - most + 1 : 0;
		last = first + most;
	}
	for (size_t i = first; i < last; i++) {
		size_t end = i + 1 < l.n_rows ? l.rows[i + 1] : l.b.len;

		kt_buf_adds(b, i > first ? "\r\n" : "");
		kt_buf_add(b, l.b.ptr + l.rows[i], end - l.rows[i]);
	}
	e->drawn_rows = last - first;
	e->cursor_row = l.cursor_row - first;
	if (e->drawn_rows - 1 > e->cursor_row)
		kt_buf_addf(b, "\033[%zuA", e->drawn_rows - 1 - e->cursor_row);
	kt_buf_adds(b, "\r");
	if (l.cursor_column)
		kt_buf_addf(b, "\033[%zuC", l.cursor_column);
	kt_buf_release(&l.b);
	free(l.rows);
}

size_t kt_lineedit_rows(const struct kt_lineedit *e)
{
	return e->drawn_rows;
}

void kt_lineedit_leave(struct kt_lineedit *e, struct kt_buf *b)
{
	if (!e->drawn_rows)
		return;
	if (e->drawn_rows - 1 > e->cursor_row)
		kt_buf_addf(b, "\033[%zuB", e->drawn_rows - 1 - e->cursor_row);
	kt_buf_adds(b, "\r\n");
	e->drawn_rows = 0;
}

/* --- the terminal ------------------------------------------------------------------------ */

enum kt_code kt_tty_raw(int fd, struct termios *out_saved, struct kt_err *err)
{
	struct termios raw, saved;

	if (tcgetattr(fd, &saved))
		return kt_fail(err, KT_EIO, errno, "cannot read the terminal's settings");
	raw = saved;
	raw.c_iflag &= ~(tcflag_t)(BRKINT | ICRNL | INPCK | ISTRIP | IXON);
	raw.c_lflag &= ~(tcflag_t)(ECHO | ICANON | IEXTEN | ISIG);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(fd, TCSADRAIN, &raw))
		return kt_fail(err, KT_EIO, errno, "cannot change the terminal's settings");
	*out_saved = saved;
	return KT_OK;
}

void kt_tty_restore(int fd, const struct termios *saved)
{
	(void)tcsetattr(fd, TCSADRAIN, saved);
}
