/* SPDX-License-Identifier: MIT */
/* What the stream of Markdown needs of its drawing, and of guesses about text without an end. */
#ifndef KT_CLI_MARKDOWN_PRIVATE_H
#define KT_CLI_MARKDOWN_PRIVATE_H

#include "base/buf.h"
#include "cli/term.h"

/* As kt_markdown_render(); dim: everything in it is. */
void kt_markdown_draw(
	struct kt_buf *b, const struct kt_term *t, const char *md, size_t len, bool dim);
/*
 * Append len bytes of Markdown that goes on, in the form in which they are shown meanwhile: marks
 * that are open are closed, and what may turn out to be a mark is left out. styles: emphasis and
 * the like are drawn, otherwise the marks stay as they are.
 */
void kt_markdown_mend(struct kt_buf *b, const char *md, size_t len, bool styles);

#endif
