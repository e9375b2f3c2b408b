/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer target for the chunked decoder. The first byte picks how the rest is cut; the result
 * must be that of one piece, and an accepted message must be what a plain reading of RFC 9112 7.1
 * gives.
 */
#include "http/head_private.h"

#include "base/buf.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct result {
	bool ok, done;
	size_t used;
};

static struct result decode(const uint8_t *data, size_t len, size_t step, struct kt_buf *out)
{
	struct kt_chunked c = { 0 };
	struct result r = { true, false, 0 };

	while (r.used < len && !c.done) {
		size_t n = KT_MIN(step, len - r.used), body = 0, used = 0;
		KT_AUTOFREE char *piece = kt_malloc(n);
		memcpy(piece, data + r.used, n);
		if (!kt_chunked_feed(&c, piece, n, &body, &used)) {
			r.ok = false;
			return r;
		}
		kt_assert(body <= used && used <= n && (used == n || c.done));
		kt_buf_add(out, piece, body);
		r.used += used;
	}
	r.done = c.done;
	return r;
}

/* Read an accepted message again, slowly; its body must be `body`. */
static void check_plain(const uint8_t *p, size_t len, const struct kt_buf *body)
{
	size_t at = 0, sum = 0;

	for (;;) {
		uint64_t n = 0;
		while (at < len && p[at] != '\r') {
			const char *hex = "0123456789abcdef";
			char c = (char)p[at++];
			const char *d = strchr(hex, c >= 'A' && c <= 'F' ? c + 32 : c);
			kt_assert(c && d);
			n = n * 16 + (uint64_t)(d - hex);
		}
		kt_assert(len - at >= 2 && p[at + 1] == '\n');
		at += 2;
		kt_assert(n <= len - at);
		kt_assert(n <= body->len - sum && memcmp(body->ptr + sum, p + at, n) == 0);
		sum += n;
		at += n;
		kt_assert(len - at >= 2 && p[at] == '\r' && p[at + 1] == '\n');
		at += 2;
		if (n == 0)
			break;
	}
	kt_assert(at == len && sum == body->len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len < 1)
		return 0;
	KT_AUTO_BUF struct kt_buf whole = KT_BUF_INIT(1 << 20);
	KT_AUTO_BUF struct kt_buf cut = KT_BUF_INIT(1 << 20);
	size_t step = 1 + data[0] % 31;

	data++;
	len--;
	struct result a = decode(data, len, len ? len : 1, &whole);
	struct result b = decode(data, len, step, &cut);
	kt_assert(a.ok == b.ok);
	if (!a.ok)
		return 0;
	kt_assert(a.done == b.done && a.used == b.used && whole.len == cut.len);
	kt_assert(memcmp(whole.ptr, cut.ptr, whole.len) == 0);
	if (a.done)
		check_plain(data, a.used, &whole);
	return 0;
}
