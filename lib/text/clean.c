/* SPDX-License-Identifier: MIT */
/* Terminal sanitizer; see clean.h. Pure. */
#include "text/clean.h"

#include "base/str.h"

/* Characters that reorder or break what follows them on a terminal or in an editor. */
static bool is_unsafe(uint32_t cp)
{
	return (cp >= 0x80 && cp <= 0x9f) || cp == 0x061c || cp == 0x200e || cp == 0x200f ||
		(cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069);
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f;
}

void kt_clean_add(struct kt_buf *b, const char *s, size_t len, bool one_line)
{
	const char *end = s + len;

	while (s < end) {
		const char *run = s;
		unsigned char c;
		uint32_t cp;
		size_t n;

		while (s < end && is_plain((unsigned char)*s))
			s++;
		kt_buf_add(b, run, (size_t)(s - run));
		if (s >= end)
			break;
		c = (unsigned char)*s;
		n = c < 0x80 ? 1 : kt_utf8_decode(s, (size_t)(end - s), &cp);
		if ((c == '\n' || c == '\t') && one_line)
			kt_buf_adds(b, c == '\n' ? "\\n" : "\\t");
		else if (c == '\n' || c == '\t')
			kt_buf_addc(b, (char)c);
		else if (c < 0x80 || n == 0)
			kt_buf_addf(b, "\\x%02x", c);
		else if (is_unsafe(cp))
			kt_buf_addf(b, "\\u%04x", (unsigned)cp);
		else
			kt_buf_add(b, s, n);
		s += n ? n : 1;
	}
}
