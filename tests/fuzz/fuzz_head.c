/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target for the request head. Beyond "no crash": the verdict does not depend on how the
 * bytes are cut; an accepted head, written out again, parses to the same; no path reaches a
 * handler with control bytes or dot segments.
 */
#include "http/head_private.h"

#include "base/limits.h"
#include "base/str.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Parse an exact copy, so that any read beyond is seen. */
static enum kt_head_result parse(
	const void *data, size_t len, struct kt_head *h, int *status, char **out_copy)
{
	*out_copy = kt_malloc(len ? len : 1);
	memcpy(*out_copy, data, len);
	*status = 0;
	return kt_head_parse(*out_copy, len, h, status);
}

static void check_path(const struct kt_head *h)
{
	const char *p = h->path;

	kt_assert(*p == '/' || (h->method == KT_OPTIONS && strcmp(p, "*") == 0));
	kt_assert(kt_utf8_valid(p, strlen(p)));
	for (; *p; p++) {
		kt_assert((unsigned char)*p >= ' ' && *p != 0x7f);
		if (p[0] == '/' && p[1] == '.')
			kt_assert(p[2] && p[2] != '/' && (p[2] != '.' || (p[3] && p[3] != '/')));
	}
}

static const char *name_of(enum kt_method method)
{
	static char out[32];

	kt_method_names(method, out, sizeof(out));
	return method == KT_GET ? "GET" : out;
}

/* Write h out and parse that: everything but the bytes between must come back. */
static void check_round(const struct kt_head *h)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	KT_AUTOFREE char *copy = NULL;
	struct kt_head again;
	int status;

	kt_buf_addf(&b, "%s %s HTTP/1.%d\r\n", name_of(h->method), h->target, h->http10 ? 0 : 1);
	for (size_t i = 0; i < h->n_headers; i++)
		kt_buf_addf(&b, "%s: %s\r\n", h->headers[i].name, h->headers[i].value);
	kt_buf_adds(&b, "\r\n");
	if (b.len > KT_MAX_HTTP_HEAD_BYTES)
		return; /* blanks that were left out before may push it over */
	kt_assert(parse(b.ptr, b.len, &again, &status, &copy) == KT_HEAD_OK);
	kt_assert(again.head_len == b.len);
	kt_assert(again.method == h->method && again.http10 == h->http10);
	kt_assert(strcmp(again.target, h->target) == 0);
	kt_assert(strcmp(again.path, h->path) == 0);
	kt_assert(strcmp(again.query, h->query) == 0);
	kt_assert(strcmp(again.host, h->host) == 0 && again.port == h->port);
	kt_assert(again.content_length == h->content_length && again.chunked == h->chunked);
	kt_assert(!(again.chunked && again.content_length >= 0));
	kt_assert(again.keep_alive == h->keep_alive);
	kt_assert(again.expect_continue == h->expect_continue);
	kt_assert(again.n_headers == h->n_headers);
	for (size_t i = 0; i < h->n_headers; i++) {
		kt_assert(strcmp(again.headers[i].name, h->headers[i].name) == 0);
		kt_assert(strcmp(again.headers[i].value, h->headers[i].value) == 0);
	}
	kt_head_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	KT_AUTOFREE char *copy = NULL;
	struct kt_head h;
	int status;
	enum kt_head_result r = parse(data, len, &h, &status, &copy);

	kt_assert(r != KT_HEAD_BAD || (status >= 400 && status <= 505));
	kt_assert(r != KT_HEAD_MORE || len < KT_MAX_HTTP_HEAD_BYTES);
	kt_assert(r != KT_HEAD_OK || (h.head_len <= len && h.head_len <= KT_MAX_HTTP_HEAD_BYTES));
	size_t whole = r == KT_HEAD_OK ? h.head_len : len;
	/* Cut at every byte of short inputs, at about 64 places of long ones. */
	for (size_t cut = 0; cut < whole; cut += 1 + whole / 64) {
		KT_AUTOFREE char *part = NULL;
		struct kt_head ph;
		int part_status;
		enum kt_head_result pr = parse(data, cut, &ph, &part_status, &part);
		kt_assert(pr != KT_HEAD_OK);
		if (pr == KT_HEAD_BAD)
			kt_assert(r == KT_HEAD_BAD && part_status == status);
		else
			kt_assert(memcmp(part, data, cut) == 0);
	}
	if (r != KT_HEAD_OK)
		return 0;
	check_path(&h);
	check_round(&h);
	kt_head_release(&h);
	return 0;
}
