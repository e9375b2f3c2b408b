/* SPDX-License-Identifier: MIT */
/* SHA-256 and what is made of it; comparing and wiping secrets. */
#include "crypto/crypto_private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES 65536 /* read at a time */

struct kt_sha256 {
	const struct kt_evp *evp; /* NULL: libsodium's state is used */
	struct evp_md_ctx_st *ctx;
	crypto_hash_sha256_state state;
};

static void digest_hex(const unsigned char *in, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < KT_SHA256_BYTES; i++) {
		out[2 * i] = digits[in[i] >> 4];
		out[2 * i + 1] = digits[in[i] & 15];
	}
	out[2 * KT_SHA256_BYTES] = '\0';
}

/* After kt_crypto_init() tried it once, a digest only fails when memory is out. */
static void start_digest(struct kt_sha256 *h)
{
	if (h->evp)
		kt_assert(h->evp->init(h->ctx, h->evp->sha256(), NULL) == 1);
	else
		kt_assert(kt_crypto_sodium()->sha256_init(&h->state) == 0);
}

struct kt_sha256 *kt_sha256_new_with(const struct kt_evp *evp)
{
	struct kt_sha256 *h = kt_calloc(1, sizeof(*h));

	h->evp = evp;
	if (evp) {
		h->ctx = evp->ctx_new();
		kt_assert(h->ctx != NULL);
	}
	start_digest(h);
	return h;
}

struct kt_sha256 *kt_sha256_new(void)
{
	return kt_sha256_new_with(kt_crypto_evp());
}

void kt_sha256_update(struct kt_sha256 *h, const void *data, size_t len)
{
	if (len == 0)
		return;
	if (h->evp)
		kt_assert(h->evp->update(h->ctx, data, len) == 1);
	else
		kt_assert(kt_crypto_sodium()->sha256_update(&h->state, data, len) == 0);
}

void kt_sha256_hex(struct kt_sha256 *h, char *out)
{
	unsigned char digest[KT_SHA256_BYTES];

	if (h->evp)
		kt_assert(h->evp->final(h->ctx, digest, NULL) == 1);
	else
		kt_assert(kt_crypto_sodium()->sha256_final(&h->state, digest) == 0);
	digest_hex(digest, out);
	start_digest(h);
}

void kt_sha256_free(struct kt_sha256 *h)
{
	if (!h)
		return;
	if (h->evp)
		h->evp->ctx_free(h->ctx);
	free(h);
}

void kt_sha256_of(const void *data, size_t len, char *out)
{
	struct kt_sha256 *h = kt_sha256_new();

	kt_sha256_update(h, data, len);
	kt_sha256_hex(h, out);
	kt_sha256_free(h);
}

bool kt_sha256_fd(int fd, char *out)
{
	KT_AUTOFREE char *piece = kt_malloc(PIECE_BYTES);
	struct kt_sha256 *h = kt_sha256_new();
	ssize_t n;
	int e;

	while ((n = read(fd, piece, PIECE_BYTES)) > 0 || (n < 0 && errno == EINTR)) {
		if (n > 0)
			kt_sha256_update(h, piece, (size_t)n);
	}
	e = errno;
	kt_sha256_hex(h, out);
	kt_sha256_free(h);
	errno = e;
	return n == 0;
}

bool kt_digest_ok(const char *s)
{
	return strspn(s, "0123456789abcdef") == KT_DIGEST_MAX - 1 && !s[KT_DIGEST_MAX - 1];
}

void kt_hmac_sha256_hex(const void *key, size_t key_len, const void *data, size_t len, char *out)
{
	const struct kt_sodium *sodium = kt_crypto_sodium();
	crypto_auth_hmacsha256_state state;
	unsigned char mac[KT_SHA256_BYTES];

	/* Both may be NULL when they are empty, which memcpy() does not allow. */
	kt_assert(sodium->hmac_init(&state, key_len ? key : "", key_len) == 0);
	if (len > 0)
		kt_assert(sodium->hmac_update(&state, data, len) == 0);
	kt_assert(sodium->hmac_final(&state, mac) == 0);
	digest_hex(mac, out);
	kt_secret_wipe(&state, sizeof(state));
	kt_secret_wipe(mac, sizeof(mac));
}

/* Which byte differs must not show in the time; that the lengths differ may. */
static bool same_bytes(const unsigned char *a, const unsigned char *b, size_t len)
{
	volatile unsigned char differ = 0;

	for (size_t i = 0; i < len; i++)
		differ = (unsigned char)(differ | (a[i] ^ b[i]));
	return differ == 0;
}

bool kt_secret_eq(const char *a, const char *b)
{
	size_t len = strlen(a);

	return len == strlen(b) && same_bytes((const void *)a, (const void *)b, len);
}

bool kt_api_key_hash_eq(const unsigned char *a, const unsigned char *b)
{
	return same_bytes(a, b, KT_KEY_HASH_BYTES);
}

void kt_secret_wipe(void *p, size_t len)
{
	explicit_bzero(p, len);
}
