/* SPDX-License-Identifier: MIT */
/*
 * Randomness straight from the kernel: identifiers double as secrets in places, so there is no
 * generator of our own to seed, fork or get wrong.
 */
#include "base/rand.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define ID_CHARS 22

void kt_rand_bytes(void *out, size_t len)
{
	unsigned char *p = out;

	while (len) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		kt_assert(n > 0);
		p += n;
		len -= (size_t)n;
	}
}

uint64_t kt_rand_below(uint64_t n)
{
	uint64_t v, skip;

	kt_assert(n > 0);
	/* 2^64 mod n values at the low end would make the first ones more likely. */
	skip = -n % n;
	do {
		kt_rand_bytes(&v, sizeof(v));
	} while (v < skip);
	return v % n;
}

void kt_rand_id(const char *prefix, char *out)
{
	static const char digits[] =
		"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	size_t len = strlen(prefix), end = len + ID_CHARS;
	unsigned char bytes[32];

	kt_assert(end < KT_ID_MAX);
	memcpy(out, prefix, len);
	while (len < end) {
		kt_rand_bytes(bytes, sizeof(bytes));
		for (size_t i = 0; i < sizeof(bytes) && len < end; i++) {
			/* 248 is the largest multiple of 62 in a byte; the rest would be uneven. */
			if (bytes[i] < 248)
				out[len++] = digits[bytes[i] % 62];
		}
	}
	out[len] = '\0';
}

bool kt_rand_is_id(const char *prefix, const char *id)
{
	size_t len = strlen(prefix), n = 0;

	if (strncmp(id, prefix, len) != 0)
		return false;
	for (id += len; (*id >= '0' && *id <= '9') || (*id >= 'A' && *id <= 'Z') ||
		(*id >= 'a' && *id <= 'z');
		id++)
		n++;
	return !*id && n == ID_CHARS;
}

void kt_rand_uuid(char *out)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char b[16];

	kt_rand_bytes(b, sizeof(b));
	/* RFC 9562 5.4: version 4, variant 10. */
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	for (size_t i = 0; i < sizeof(b); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = digits[b[i] >> 4];
		*out++ = digits[b[i] & 15];
	}
	*out = '\0';
}
