/* SPDX-License-Identifier: MIT */
/* API keys, and the hashes of them that are stored. */
#include "crypto/crypto_private.h"

#include "base/rand.h"
#include "base/str.h"

#include <string.h>

#define MARK_LEN 8 /* "kt_live_" */
#define CHECK_LEN 6 /* 62^6 is above 2^32 */
#define BODY_END (KT_API_KEY_LEN - CHECK_LEN)
#define FAIR_BYTES 248 /* 4 x 62: bytes above it would make some characters likelier */

static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* CRC-32 of ISO 3309 (that of zip and PNG), bit by bit: 40 bytes a key need no table. */
static uint32_t crc32_of(const char *s, size_t len)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= (unsigned char)s[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (crc & 1 ? UINT32_C(0xedb88320) : 0);
	}
	return ~crc;
}

/* The checksum of a key's first BODY_END characters, most significant digit first. */
static void key_checksum(const char *key, char *out)
{
	uint32_t crc = crc32_of(key, BODY_END);

	for (int i = CHECK_LEN - 1; i >= 0; i--) {
		out[i] = alphabet[crc % 62];
		crc /= 62;
	}
}

void kt_api_key_new(bool live, char *out)
{
	unsigned char bytes[64];
	size_t n = MARK_LEN;

	memcpy(out, live ? "kt_live_" : "kt_test_", MARK_LEN);
	while (n < BODY_END) {
		kt_rand_bytes(bytes, sizeof(bytes));
		for (size_t i = 0; i < sizeof(bytes) && n < BODY_END; i++) {
			if (bytes[i] < FAIR_BYTES)
				out[n++] = alphabet[bytes[i] % 62];
		}
	}
	kt_secret_wipe(bytes, sizeof(bytes));
	key_checksum(out, out + BODY_END);
	out[KT_API_KEY_LEN] = '\0';
}

bool kt_api_key_ok(const char *s)
{
	char want[CHECK_LEN];

	if (!kt_str_starts(s, "kt_live_") && !kt_str_starts(s, "kt_test_"))
		return false;
	if (strspn(s + MARK_LEN, alphabet) != KT_API_KEY_LEN - MARK_LEN || s[KT_API_KEY_LEN])
		return false;
	key_checksum(s, want);
	return memcmp(want, s + BODY_END, CHECK_LEN) == 0;
}

void kt_api_key_hash(const struct kt_master *m, const char *key, unsigned char *out)
{
	kt_assert(kt_crypto_sodium()->generichash(out, KT_KEY_HASH_BYTES, (const void *)key,
			  strlen(key), m->hash, sizeof(m->hash)) == 0);
}
