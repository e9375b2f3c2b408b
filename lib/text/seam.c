/* SPDX-License-Identifier: MIT */
/* Joining text that was cut inside a character; see seam.h. Pure. */
#include "text/seam.h"

#include "base/str.h"

enum { HALF_BYTES = 3 };

/* The half of a surrogate pair (0xD800 to 0xDFFF) that s begins with, or 0. */
static uint32_t half_at(const char *s, size_t len)
{
	const unsigned char *p = (const unsigned char *)s;

	if (len < HALF_BYTES || p[0] != 0xed || (p[1] & 0xe0) != 0xa0 || (p[2] & 0xc0) != 0x80)
		return 0;
	return 0xd000 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
}

static bool is_high(uint32_t half)
{
	return half >= 0xd800 && half < 0xdc00;
}

static bool is_low(uint32_t half)
{
	return half >= 0xdc00;
}

static uint32_t join_surrogates(uint32_t high, uint32_t low)
{
	return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

/* Bytes of the sequence that begins with c; 0 when none does. */
static size_t sequence_bytes(unsigned char c)
{
	if (c >= 0xc2 && c < 0xe0)
		return 2;
	if (c >= 0xe0 && c < 0xf0)
		return 3;
	return c >= 0xf0 && c < 0xf5 ? 4 : 0;
}

size_t kt_seam_open(const char *s, size_t len)
{
	if (len >= HALF_BYTES && is_high(half_at(s + len - HALF_BYTES, HALF_BYTES)))
		return HALF_BYTES;
	for (size_t n = 1; n <= 3 && n <= len; n++) {
		unsigned char c = (unsigned char)s[len - n];

		if ((c & 0xc0) != 0x80)
			return sequence_bytes(c) > n ? n : 0;
	}
	return 0;
}

void kt_seam_add(struct kt_buf *b, const char *s, size_t len)
{
	uint32_t low = half_at(s, len);
	uint32_t high = b->len >= HALF_BYTES ? half_at(b->ptr + b->len - HALF_BYTES, HALF_BYTES)
					     : 0;

	if (is_high(high) && is_low(low)) {
		kt_buf_truncate(b, b->len - HALF_BYTES);
		kt_utf8_add(b, join_surrogates(high, low));
		s += HALF_BYTES;
		len -= HALF_BYTES;
	}
	kt_buf_add(b, s, len);
}

size_t kt_seam_mend(struct kt_buf *b, const char *s, size_t len)
{
	uint32_t half = half_at(s, len);
	uint32_t next = half ? half_at(s + HALF_BYTES, len - HALF_BYTES) : 0;

	if (is_high(half) && is_low(next)) {
		kt_utf8_add(b, join_surrogates(half, next));
		return (size_t)2 * HALF_BYTES;
	}
	kt_utf8_add(b, 0xfffd);
	return half ? HALF_BYTES : 1;
}

void kt_seam_clean(struct kt_buf *b, const char *s, size_t len)
{
	const char *end = s + len;

	while (s < end) {
		uint32_t cp;
		size_t n = kt_utf8_decode(s, (size_t)(end - s), &cp);

		if (n)
			kt_buf_add(b, s, n);
		s += n ? n : kt_seam_mend(b, s, (size_t)(end - s));
	}
}
