/* SPDX-License-Identifier: MIT */
/*
 * Request head parser and chunked decoder: pure functions over bytes, fuzzed alone.
 * RFC 9112 with the doubtful parts refused: exact CRLF, no obs-fold, token names, one Host,
 * Content-Length digits only and once, Transfer-Encoding exactly "chunked", never both.
 */
#ifndef KT_HTTP_HEAD_PRIVATE_H
#define KT_HTTP_HEAD_PRIVATE_H

#include "http/http.h"

enum kt_head_result {
	KT_HEAD_MORE, /* no end of head yet, and nothing wrong so far */
	KT_HEAD_OK,
	KT_HEAD_BAD, /* *out_status says how to answer: 400, 414, 417, 431, 501, 505 */
};

struct kt_head {
	enum kt_method method;
	char *target, *query; /* into the parsed buffer */
	char *path, *host; /* into the parsed buffer, small or mem */
	int port;
	struct kt_header headers[64];
	size_t n_headers;
	int64_t content_length; /* -1 = none */
	bool chunked, keep_alive, http10, expect_continue;
	size_t head_len; /* bytes of the head, final CRLF CRLF included */
	char *mem; /* decoded path and host when they do not fit small; or NULL */
	char small[192];
};

/*
 * Parse a head at the start of buf (len bytes; changed in place: NULs are written and names
 * lowered, but only on KT_HEAD_OK). Every proper prefix of a good head gives MORE, and the verdict
 * does not depend on how the bytes were cut. *out holds pointers into itself, so it must not be
 * copied; kt_head_release() it after KT_HEAD_OK.
 */
enum kt_head_result kt_head_parse(char *buf, size_t len, struct kt_head *out, int *out_status);

/* Free what a successful kt_head_parse() took; h may be parsed into again. */
void kt_head_release(struct kt_head *h);

/*
 * Percent-decode len bytes of s into out (size bytes, NUL-terminated). plus: '+' is a blank.
 * Returns false when it does not fit, an escape is broken, or a NUL comes out.
 */
KT_MUST_CHECK bool kt_percent_decode(const char *s, size_t len, bool plus, char *out, size_t size);

/* Chunked decoder state; start with all zero. */
struct kt_chunked {
	uint64_t left; /* bytes of the current chunk still to come */
	int state;
	unsigned digits;
	bool done;
};
/*
 * Decode in place: buf[0..*len) holds raw bytes; on return the first *out_body bytes are body and
 * *out_used raw bytes were consumed. Returns false when the coding is broken (no extensions, no
 * trailers, exact CRLF).
 */
KT_MUST_CHECK bool kt_chunked_feed(
	struct kt_chunked *c, char *buf, size_t len, size_t *out_body, size_t *out_used);

#endif
