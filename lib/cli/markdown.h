/* SPDX-License-Identifier: MIT */
/*
 * Markdown in a terminal (md4c parses, we draw): headings, emphasis, code, lists, quotes, tables,
 * links as "text (url)". A stream can be drawn piece by piece: complete blocks are final, the
 * unfinished tail is drawn when it is complete or at the end, and before that as often as wanted.
 */
#ifndef KT_CLI_MARKDOWN_H
#define KT_CLI_MARKDOWN_H

#include "base/buf.h"
#include "cli/term.h"

/* Append the drawn form of len bytes; plain text with markers kept readable when no color. */
void kt_markdown_render(struct kt_buf *b, const struct kt_term *t, const char *md, size_t len);

struct kt_markdown;
/*
 * New renderer of a stream, for the terminal *t (BORROWED, its size may change); dim: all of it is
 * drawn so. kt_markdown_free() ends it.
 */
KT_MUST_CHECK struct kt_markdown *kt_markdown_new(const struct kt_term *t, bool dim);
/* Feed text as it streams; appends to b the drawn form of every block that is complete now. */
void kt_markdown_feed(struct kt_markdown *m, struct kt_buf *b, const char *text, size_t len);
/*
 * Append what is held, drawn as far as it came: it stands below what was drawn until more comes.
 * Takes as long as drawing the open block does. Returns false when there is nothing to show.
 */
bool kt_markdown_tail(const struct kt_markdown *m, struct kt_buf *b);
/* Draw what is left; what follows begins a block. */
void kt_markdown_break(struct kt_markdown *m, struct kt_buf *b);
/* Draw what is left and start afresh. */
void kt_markdown_end(struct kt_markdown *m, struct kt_buf *b);
/* Free the renderer and what it holds undrawn; NULL is fine. */
void kt_markdown_free(struct kt_markdown *m);

#endif
