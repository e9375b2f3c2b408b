/* SPDX-License-Identifier: MIT */
/*
 * Decoder of the chunked coding (RFC 9112 7.1), in place. Extensions and trailers are refused:
 * nobody needs them in requests, and they are where implementations disagree.
 */
#include "http/head_private.h"

#include <string.h>

enum {
	AT_SIZE = 0, /* hex digits          -> AT_SIZE_LF on CR */
	AT_SIZE_LF, /* LF after a size     -> AT_DATA, or AT_END_CR when it was 0 */
	AT_DATA, /* `left` bytes        -> AT_DATA_CR */
	AT_DATA_CR, /* CR after the data   -> AT_DATA_LF */
	AT_DATA_LF, /* LF after the data   -> AT_SIZE */
	AT_END_CR, /* CR of the last line -> AT_END_LF */
	AT_END_LF, /* LF of the last line -> done */
};

static int chunk_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* One byte of framing; false when it is not the one that must come. */
static bool frame_byte(struct kt_chunked *c, char b)
{
	switch (c->state) {
	case AT_SIZE: {
		int v = chunk_digit(b);
		if (v >= 0) {
			/* 8 digits: 4 GiB is far beyond any body limit, and cannot overflow. */
			if (c->digits == 8)
				return false;
			c->left = c->left * 16 + (uint64_t)v;
			c->digits++;
			return true;
		}
		c->state = AT_SIZE_LF;
		return b == '\r' && c->digits > 0;
	}
	case AT_SIZE_LF:
		c->state = c->left > 0 ? AT_DATA : AT_END_CR;
		return b == '\n';
	case AT_DATA_CR:
		c->state = AT_DATA_LF;
		return b == '\r';
	case AT_DATA_LF:
		c->state = AT_SIZE;
		c->digits = 0;
		return b == '\n';
	case AT_END_CR:
		c->state = AT_END_LF;
		return b == '\r';
	default:
		c->done = true;
		return b == '\n';
	}
}

bool kt_chunked_feed(
	struct kt_chunked *c, char *buf, size_t len, size_t *out_body, size_t *out_used)
{
	size_t body = 0, at = 0;

	while (at < len && !c->done) {
		if (c->state != AT_DATA) {
			if (!frame_byte(c, buf[at++]))
				return false;
			continue;
		}
		size_t n = len - at < c->left ? len - at : (size_t)c->left;
		memmove(buf + body, buf + at, n);
		body += n;
		at += n;
		c->left -= n;
		if (c->left == 0)
			c->state = AT_DATA_CR;
	}
	*out_body = body;
	*out_used = at;
	return true;
}
