/* SPDX-License-Identifier: MIT */
/* UTF-8 (RFC 3629). What needs the tables of Unicode is in text/unicode.h. */
#include "base/str.h"

#include <string.h>

size_t kt_utf8_decode(const char *s, size_t len, uint32_t *out_cp)
{
	const unsigned char *p = (const unsigned char *)s;
	/* The least code point of a sequence of 2, 3 and 4 bytes: less is an overlong form. */
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t cp;
	size_t n;

	if (!len)
		return 0;
	if (p[0] < 0x80) {
		*out_cp = p[0];
		return 1;
	}
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	if (len < n)
		return 0;
	cp = p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		cp = cp << 6 | (p[i] & 0x3f);
	}
	if (cp < least[n] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		return 0;
	*out_cp = cp;
	return n;
}

bool kt_utf8_valid(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len) {
		uint32_t cp;
		uint64_t word;
		size_t n;

		/* Most text is ASCII: eight bytes at a time. */
		while (len - i >= sizeof(word)) {
			memcpy(&word, s + i, sizeof(word));
			if (word & 0x8080808080808080u)
				break;
			i += sizeof(word);
		}
		if (i == len)
			break;
		n = kt_utf8_decode(s + i, len - i, &cp);
		if (!n)
			return false;
		i += n;
	}
	return true;
}

void kt_utf8_add(struct kt_buf *b, uint32_t cp)
{
	char s[4];

	/* What is no character cannot be written; the replacement character stands for it. */
	if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		cp = 0xfffd;
	if (cp < 0x80) {
		kt_buf_addc(b, (char)cp);
	} else if (cp < 0x800) {
		s[0] = (char)(0xc0 | cp >> 6);
		s[1] = (char)(0x80 | (cp & 0x3f));
		kt_buf_add(b, s, 2);
	} else if (cp < 0x10000) {
		s[0] = (char)(0xe0 | cp >> 12);
		s[1] = (char)(0x80 | (cp >> 6 & 0x3f));
		s[2] = (char)(0x80 | (cp & 0x3f));
		kt_buf_add(b, s, 3);
	} else {
		s[0] = (char)(0xf0 | cp >> 18);
		s[1] = (char)(0x80 | (cp >> 12 & 0x3f));
		s[2] = (char)(0x80 | (cp >> 6 & 0x3f));
		s[3] = (char)(0x80 | (cp & 0x3f));
		kt_buf_add(b, s, 4);
	}
}

size_t kt_utf8_cut(const char *s, size_t len, size_t max)
{
	if (len <= max)
		return len;
	while (max > 0 && ((unsigned char)s[max] & 0xc0) == 0x80)
		max--;
	return max;
}

bool kt_utf8_is_unsafe(uint32_t cp)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{ 0x80, 0x9f }, /* C1 */
		{ 0x061c, 0x061c }, /* this and the next marks reorder text (Unicode TR 36) */
		{ 0x180e, 0x180e }, { 0x200b, 0x200b }, /* zero width */
		{ 0x200e, 0x200f },
		{ 0x2028, 0x202e }, /* line separators, embeddings and overrides */
		{ 0x2060, 0x206f }, /* word joiner, invisible operators, isolates */
		{ 0xfeff, 0xfeff }, { 0xfff9, 0xfffb }, /* interlinear annotation */
		{ 0xe0000, 0xe007f }, /* tags */
	};

	if (cp < 0x80)
		return false;
	for (size_t i = 0; i < KT_ARRAY_LEN(ranges); i++) {
		if (cp >= ranges[i].first && cp <= ranges[i].last)
			return true;
	}
	return false;
}
