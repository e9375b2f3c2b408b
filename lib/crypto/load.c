/* SPDX-License-Identifier: MIT */
/* The only file that knows the sonames of libsodium and libcrypto. */
#include "crypto/crypto_private.h"

#include "base/dl.h"

#include <pthread.h>
#include <string.h>

static struct kt_sodium sodium; /* the three are written once, guarded by load_once */
static struct kt_evp evp;
static bool have_evp;

static pthread_once_t load_once = PTHREAD_ONCE_INIT;
static struct kt_err load_error;

#define SODIUM(slot, name)                                                                         \
	{                                                                                          \
		(void **)&sodium.slot, name                                                        \
	}
#define EVP(slot, name)                                                                            \
	{                                                                                          \
		(void **)&evp.slot, name                                                           \
	}

static enum kt_code load_sodium(void)
{
	static const char *const sonames[] = { KT_SO_SODIUM, NULL };
	static const struct kt_dl_symbol symbols[] = {
		SODIUM(init, "sodium_init"),
		SODIUM(malloc, "sodium_malloc"),
		SODIUM(free, "sodium_free"),
		SODIUM(readonly, "sodium_mprotect_readonly"),
		SODIUM(sha256_init, "crypto_hash_sha256_init"),
		SODIUM(sha256_update, "crypto_hash_sha256_update"),
		SODIUM(sha256_final, "crypto_hash_sha256_final"),
		SODIUM(hmac_init, "crypto_auth_hmacsha256_init"),
		SODIUM(hmac_update, "crypto_auth_hmacsha256_update"),
		SODIUM(hmac_final, "crypto_auth_hmacsha256_final"),
		SODIUM(generichash, "crypto_generichash"),
		SODIUM(kdf, "crypto_kdf_derive_from_key"),
		SODIUM(encrypt, "crypto_aead_xchacha20poly1305_ietf_encrypt"),
		SODIUM(decrypt, "crypto_aead_xchacha20poly1305_ietf_decrypt"),
	};
	enum kt_code rc = kt_dl_load(
		sonames, symbols, KT_ARRAY_LEN(symbols), "libsodium23", &load_error);

	if (rc == KT_OK && sodium.init() < 0)
		rc = kt_fail(&load_error, KT_EIO, 0, "cannot set up libsodium");
	return rc;
}

static bool load_evp(void)
{
	static const char *const sonames[] = { KT_SO_CRYPTO, NULL };
	static const struct kt_dl_symbol symbols[] = {
		EVP(ctx_new, "EVP_MD_CTX_new"),
		EVP(ctx_free, "EVP_MD_CTX_free"),
		EVP(init, "EVP_DigestInit_ex"),
		EVP(update, "EVP_DigestUpdate"),
		EVP(final, "EVP_DigestFinal_ex"),
		EVP(sha256, "EVP_sha256"),
	};
	static const unsigned char empty[4] = { 0xe3, 0xb0, 0xc4, 0x42 };
	unsigned char out[KT_SHA256_BYTES] = { 0 };
	struct evp_md_ctx_st *ctx = NULL;
	bool ok;

	if (kt_dl_load(sonames, symbols, KT_ARRAY_LEN(symbols), "libssl3", NULL))
		return false;
	/*
	 * The first digest reads libcrypto's configuration, which may forbid things; and the worker
	 * that unpacks could not read it later.
	 */
	ctx = evp.ctx_new();
	ok = ctx && evp.init(ctx, evp.sha256(), NULL) == 1 && evp.final(ctx, out, NULL) == 1 &&
		memcmp(out, empty, sizeof(empty)) == 0;
	evp.ctx_free(ctx);
	return ok;
}

static void load_crypto(void)
{
	if (load_sodium() == KT_OK)
		have_evp = load_evp();
}

enum kt_code kt_crypto_init(struct kt_err *err)
{
	(void)pthread_once(&load_once, load_crypto);
	if (load_error.code != KT_OK && err)
		*err = load_error;
	return load_error.code;
}

const struct kt_sodium *kt_crypto_sodium(void)
{
	kt_assert(kt_crypto_init(NULL) == KT_OK);
	return &sodium;
}

const struct kt_evp *kt_crypto_evp(void)
{
	kt_assert(kt_crypto_init(NULL) == KT_OK);
	return have_evp ? &evp : NULL;
}
