/* SPDX-License-Identifier: MIT */
/* Inside of the module: the loaded functions, and what a master key is. */
#ifndef KT_CRYPTO_CRYPTO_PRIVATE_H
#define KT_CRYPTO_CRYPTO_PRIVATE_H

#include "crypto/crypto.h"

#include <sodium.h>

/* libsodium: the slots are filled when kt_crypto_init() has returned KT_OK. */
struct kt_sodium {
	__typeof__(sodium_init) *init;
	__typeof__(sodium_malloc) *malloc;
	__typeof__(sodium_free) *free;
	__typeof__(sodium_mprotect_readonly) *readonly;
	__typeof__(crypto_hash_sha256_init) *sha256_init;
	__typeof__(crypto_hash_sha256_update) *sha256_update;
	__typeof__(crypto_hash_sha256_final) *sha256_final;
	__typeof__(crypto_auth_hmacsha256_init) *hmac_init;
	__typeof__(crypto_auth_hmacsha256_update) *hmac_update;
	__typeof__(crypto_auth_hmacsha256_final) *hmac_final;
	__typeof__(crypto_generichash) *generichash;
	__typeof__(crypto_kdf_derive_from_key) *kdf;
	__typeof__(crypto_aead_xchacha20poly1305_ietf_encrypt) *encrypt;
	__typeof__(crypto_aead_xchacha20poly1305_ietf_decrypt) *decrypt;
};

/*
 * libcrypto: of use only when kt_crypto_evp() is not NULL. Declared here, because <openssl/evp.h>
 * has parameters called `rand`, which base/banned.h does not let through.
 */
struct evp_md_st;
struct evp_md_ctx_st;
struct engine_st;
struct kt_evp {
	struct evp_md_ctx_st *(*ctx_new)(void);
	void (*ctx_free)(struct evp_md_ctx_st *ctx);
	int (*init)(struct evp_md_ctx_st *ctx, const struct evp_md_st *type, struct engine_st *e);
	int (*update)(struct evp_md_ctx_st *ctx, const void *data, size_t len);
	int (*final)(struct evp_md_ctx_st *ctx, unsigned char *out, unsigned int *out_len);
	const struct evp_md_st *(*sha256)(void);
};

/* The tables; load them when nobody has. The first asserts that loading worked. */
const struct kt_sodium *kt_crypto_sodium(void);
const struct kt_evp *kt_crypto_evp(void); /* NULL: there is none, or it gives wrong digests */

/* As kt_sha256_new(), with the library chosen: NULL is libsodium. */
KT_MUST_CHECK struct kt_sha256 *kt_sha256_new_with(const struct kt_evp *evp);

#define KT_MASTER_BYTES 32

/* Two keys derived from the one in the file, so that no key has two uses. */
struct kt_master {
	unsigned char hash[KT_MASTER_BYTES]; /* of API keys */
	unsigned char seal[KT_MASTER_BYTES];
};

#endif
