/* SPDX-License-Identifier: MIT */
/* Lines of code in color. Nothing is put before or behind them: what is copied is the code. */
#ifndef KT_CLI_LISTING_PRIVATE_H
#define KT_CLI_LISTING_PRIVATE_H

#include "base/buf.h"
#include "cli/term.h"

struct kt_listing_language;

struct kt_listing {
	char name[24]; /* the first word behind the fence */
	const struct kt_listing_language *language; /* NULL = not one that is known */
	char inside; /* what the last line left open: 0, '*' a comment, else the quote */
};

/* Begin a block; info is what stands behind the opening fence. */
void kt_listing_begin(struct kt_listing *c, const char *info, size_t len);
/* Append one line (without its end), cleaned, and LF. */
void kt_listing_line(
	struct kt_listing *c, struct kt_buf *b, const struct kt_term *t, const char *s, size_t len);
/* Append the fence before or behind the lines, for where there is no color. */
void kt_listing_fence(const struct kt_listing *c, struct kt_buf *b, bool opening);

#endif
