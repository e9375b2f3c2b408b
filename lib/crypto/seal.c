/* SPDX-License-Identifier: MIT */
/* Sealed values: XChaCha20-Poly1305 under the master key, bound to their context. */
#include "crypto/crypto_private.h"

#include "base/rand.h"

#include <string.h>

#define VERSION 1
#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES crypto_aead_xchacha20poly1305_ietf_ABYTES
#define HEAD_BYTES (1 + NONCE_BYTES)

void kt_seal(const struct kt_master *m, const char *context, const void *data, size_t len,
	struct kt_buf *out)
{
	char *to = kt_buf_reserve(out, HEAD_BYTES + len + TAG_BYTES);
	unsigned char *nonce;

	if (!to)
		return; /* out->overflow says so */
	to[0] = VERSION;
	/* 192 random bits never meet again, however many values one key seals. */
	nonce = (unsigned char *)to + 1;
	kt_rand_bytes(nonce, NONCE_BYTES);
	kt_assert(kt_crypto_sodium()->encrypt((unsigned char *)to + HEAD_BYTES, NULL,
			  len ? data : (const void *)"", len, (const void *)context,
			  strlen(context), NULL, nonce, m->seal) == 0);
	kt_buf_commit(out, HEAD_BYTES + len + TAG_BYTES);
}

enum kt_code kt_unseal(const struct kt_master *m, const char *context, const void *sealed,
	size_t len, struct kt_buf *out, struct kt_err *err)
{
	const unsigned char *in = sealed;
	size_t n = len - HEAD_BYTES - TAG_BYTES;
	unsigned char *to;

	if (len < HEAD_BYTES + TAG_BYTES)
		return kt_fail(err, KT_EPROTO, 0, "the sealed value is too short");
	if (in[0] != VERSION)
		return kt_fail(err, KT_EPROTO, 0, "the sealed value has version %d, not %d", in[0],
			VERSION);
	to = (unsigned char *)kt_buf_reserve(out, n);
	if (!to)
		return kt_fail(err, KT_ELIMIT, 0, "the sealed value is longer than allowed here");
	if (kt_crypto_sodium()->decrypt(to, NULL, NULL, in + HEAD_BYTES, len - HEAD_BYTES,
		    (const void *)context, strlen(context), in + 1, m->seal)) {
		*to = '\0'; /* the buffer stays as it was, with its NUL */
		return kt_fail(err, KT_EPROTO, 0,
			"the sealed value was changed or belongs to another master key");
	}
	kt_buf_commit(out, n);
	return KT_OK;
}
