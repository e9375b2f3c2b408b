/* SPDX-License-Identifier: MIT */
/*
 * Sanitizer and redaction: cleaned text is valid UTF-8 without control characters (but LF and TAB)
 * and without those that reorder or hide text, and cleaning it again changes nothing. Redacted text
 * never grows by more than its marks and redacting does not crash.
 */
#include "base/str.h"
#include "text/clean.h"
#include "text/redact.h"

#include <stdlib.h>

#define ROOM (64 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *s, size_t len, bool one_line)
{
	KT_AUTO_BUF struct kt_buf a = KT_BUF_INIT(ROOM);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(ROOM);

	kt_clean_add(&a, s, len, one_line);
	for (size_t i = 0; i < a.len;) {
		uint32_t cp = 0;
		size_t n = kt_utf8_decode(a.ptr + i, a.len - i, &cp);

		if (n == 0 || (cp < 0x20 && (one_line || (cp != '\n' && cp != '\t'))) ||
			(cp >= 0x7f && cp < 0xa0) || (cp >= 0x2028 && cp <= 0x202e) ||
			(cp >= 0x2060 && cp <= 0x206f) || cp == 0x200b || cp == 0x200e ||
			cp == 0x200f || cp == 0x61c || cp == 0xfeff)
			abort();
		i += n;
	}
	kt_clean_add(&b, a.ptr, a.len, one_line);
	if (a.len != b.len || memcmp(a.ptr, b.ptr, a.len) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	KT_AUTO_BUF struct kt_buf r = KT_BUF_INIT(ROOM);
	const char *s = size ? (const char *)data : "";

	check(s, size, false);
	check(s, size, true);
	kt_redact_add(&r, s, size);
	if (r.len > size * 2)
		abort();
	return 0;
}
