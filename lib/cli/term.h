/* SPDX-License-Identifier: MIT */
/*
 * What the terminal can do, colors, widths, tables, progress, prompts. lib/ never prints:
 * functions render into buffers, and cmd/ writes them; only progress and prompts are given file
 * descriptors by their caller.
 */
#ifndef KT_CLI_TERM_H
#define KT_CLI_TERM_H

#include "base/buf.h"
#include "base/err.h"
#include "base/vec.h"

enum kt_color_mode { KT_COLOR_AUTO, KT_COLOR_ALWAYS, KT_COLOR_NEVER };

struct kt_term {
	bool color; /* escape sequences may be written */
	bool is_tty;
	bool utf8;
	int columns; /* 80 when unknown */
	int rows; /* 0 when unknown */
	bool cuts; /* lines are cut off when it gets narrower; others fold them anew */
};

/*
 * Look at fd and the environment: NO_COLOR, KARTA_NO_COLOR, FORCE_COLOR, CLICOLOR_FORCE, TERM=dumb,
 * COLUMNS, LANG. mode ALWAYS and NEVER win over all of them.
 */
void kt_term_init(struct kt_term *t, int fd, enum kt_color_mode mode);

enum kt_style {
	KT_STYLE_NONE,
	KT_STYLE_BOLD,
	KT_STYLE_DIM,
	KT_STYLE_RED,
	KT_STYLE_GREEN,
	KT_STYLE_YELLOW,
	KT_STYLE_BLUE,
	KT_STYLE_CYAN,
	KT_STYLE_MAGENTA,
	KT_STYLE_ITALIC,
	KT_STYLE_UNDERLINE,
};
/* Append s, cleaned as one line (text/clean.h), in a style; plain without color. */
void kt_term_add(struct kt_buf *b, const struct kt_term *t, enum kt_style style, const char *s);
/* As kt_term_add(), with LF and TAB as they are. */
void kt_term_add_text(
	struct kt_buf *b, const struct kt_term *t, enum kt_style style, const char *s);
/*
 * The last look at what is written: append len bytes of rendered text. LF, TAB and (with `styles`)
 * the styles that this module makes pass; every other character that a terminal obeys becomes
 * \uXXXX, which is also right inside a JSON string. What comes out passes unchanged again.
 */
void kt_term_pass(struct kt_buf *b, const char *s, size_t len, bool styles);
/* The escape sequence of a style ("" for KT_STYLE_NONE). */
const char *kt_term_sgr(enum kt_style style);
/* Take the size of the terminal fd, when it tells one. */
void kt_term_size(struct kt_term *t, int fd);
/*
 * Append text, cleaned, as lines that end at blanks where the terminal would break words; those
 * that go on begin with `hang` blanks. As it is where there is no terminal.
 */
void kt_term_wrap(struct kt_buf *b, const struct kt_term *t, enum kt_style style, const char *text,
	size_t hang);
/* Append at most max columns of one cleaned line; "..." tells that something is missing. */
void kt_term_cut(struct kt_buf *b, const char *s, size_t len, size_t max);
/* Columns that s takes (escape sequences not counted). */
size_t kt_term_width(const char *s);

/*
 * Table: rows of cells, first row the header (dim). Columns are as wide as needed; when is_tty the
 * widest are cut with an ellipsis to the terminal's width, but the first one, which says what the
 * row is. In a very narrow terminal each row is a few lines "HEAD  cell". Cells are sanitized.
 */
struct kt_table;
KT_MUST_CHECK struct kt_table *kt_table_new(size_t columns);
/* Add a row of `columns` strings (copied; NULL is empty). */
void kt_table_row(struct kt_table *tb, const char *const *cells);
void kt_table_render(struct kt_buf *b, const struct kt_term *t, const struct kt_table *tb);
void kt_table_free(struct kt_table *tb);

/*
 * Progress line on fd (a terminal): spinner, text, seconds; drawn at most 10 times a second, and
 * not before 500 ms. Does nothing when fd is no terminal. kt_progress_clear() before other output.
 */
struct kt_progress;
KT_MUST_CHECK struct kt_progress *kt_progress_new(int fd, const struct kt_term *t);
void kt_progress_update(struct kt_progress *p, const char *text);
void kt_progress_clear(struct kt_progress *p);
void kt_progress_free(struct kt_progress *p);

/*
 * Ask a yes/no question on a terminal (in_fd, out_fd). Returns KT_OK with *out, or KT_ECONFIRM when
 * in_fd is no terminal (the hint names flag_name, which answers it).
 */
KT_MUST_CHECK enum kt_code kt_prompt_confirm(int in_fd, int out_fd, const char *question,
	const char *flag_name, bool *out, struct kt_err *err);
/*
 * Ask on a terminal (in_fd, out_fd) for one line that is not shown while it is typed, as getpass(3)
 * does; *out gets it without its end. A signal that ends or stops the program meanwhile finds the
 * terminal as it was. KT_EIO when the terminal does not take it or does not answer.
 */
KT_MUST_CHECK enum kt_code kt_prompt_unseen(
	int in_fd, int out_fd, const char *question, struct kt_buf *out, struct kt_err *err);

#endif
