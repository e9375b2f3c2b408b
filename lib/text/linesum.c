/* SPDX-License-Identifier: MIT */
#include "text/linesum.h"

#include "base/crc.h"

#include <string.h>

#define MEMBER ",\"sum\":\""
#define MEMBER_LEN (sizeof(MEMBER) - 1)
#define DIGITS 8
#define TAIL_LEN (MEMBER_LEN + DIGITS + 2)

void kt_linesum_text(const void *data, size_t len, char out[9])
{
	static const char hex[] = "0123456789abcdef";
	uint32_t sum = kt_crc32c(0, data, len);

	for (int i = DIGITS - 1; i >= 0; i--, sum >>= 4)
		out[i] = hex[sum & 15];
	out[DIGITS] = '\0';
}

void kt_linesum_add(struct kt_buf *b, size_t from)
{
	char digits[DIGITS + 1];

	if (!kt_buf_ok(b))
		return;
	kt_assert(b->len > from && b->ptr[b->len - 1] == '}');
	kt_buf_truncate(b, b->len - 1);
	kt_linesum_text(b->ptr + from, b->len - from, digits);
	kt_buf_adds(b, MEMBER);
	kt_buf_add(b, digits, DIGITS);
	kt_buf_adds(b, "\"}");
}

enum kt_linesum kt_linesum_check(const char *line, size_t len)
{
	char digits[DIGITS + 1];
	const char *tail;

	if (len < TAIL_LEN)
		return KT_LINESUM_NONE;
	tail = line + len - TAIL_LEN;
	if (memcmp(tail, MEMBER, MEMBER_LEN) != 0 || memcmp(line + len - 2, "\"}", 2) != 0)
		return KT_LINESUM_NONE;
	kt_linesum_text(line, len - TAIL_LEN, digits);
	return memcmp(tail + MEMBER_LEN, digits, DIGITS) == 0 ? KT_LINESUM_OK : KT_LINESUM_BAD;
}
