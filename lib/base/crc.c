/* SPDX-License-Identifier: MIT */
/* CRC-32C: by the processor's instruction where there is one, else by a table of half bytes. */
#include "base/crc.h"

#include <string.h>

#if defined(__x86_64__)
#define HAVE_INSTRUCTION 1

__attribute__((target("sse4.2"))) static uint32_t by_instruction(
	uint32_t crc, const unsigned char *p, size_t len)
{
	uint64_t sum = crc;

	for (; len >= sizeof(sum); p += sizeof(sum), len -= sizeof(sum)) {
		unsigned long long word;

		memcpy(&word, p, sizeof(word));
		sum = __builtin_ia32_crc32di(sum, word);
	}
	for (; len; p++, len--)
		sum = __builtin_ia32_crc32qi((uint32_t)sum, *p);
	return (uint32_t)sum;
}
#endif

static uint32_t by_table(uint32_t crc, const unsigned char *p, size_t len)
{
	/* The sums of 0 to 15, four bits of the reflected polynomial 0x82f63b78. */
	static const uint32_t half[16] = { 0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
		0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6,
		0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75 };

	for (; len; p++, len--) {
		crc ^= *p;
		crc = crc >> 4 ^ half[crc & 15];
		crc = crc >> 4 ^ half[crc & 15];
	}
	return crc;
}

uint32_t kt_crc32c(uint32_t crc, const void *data, size_t len)
{
#ifdef HAVE_INSTRUCTION
	if (__builtin_cpu_supports("sse4.2"))
		return ~by_instruction(~crc, data, len);
#endif
	return ~by_table(~crc, data, len);
}
