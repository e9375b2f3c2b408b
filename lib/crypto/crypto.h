/* SPDX-License-Identifier: MIT */
/*
 * Digests, API keys, sealed values. libsodium for everything that is ours; SHA-256 of file contents
 * through libcrypto when it is there, because it uses the processor's instructions for it. Both are
 * loaded on first use. Thread-safe; nothing here blocks but the reading of a key file.
 *
 * Sources: FIPS 180-4, RFC 2104, RFC 7693 (BLAKE2b), draft-irtf-cfrg-xchacha (XChaCha20-Poly1305).
 */
#ifndef KT_CRYPTO_CRYPTO_H
#define KT_CRYPTO_CRYPTO_H

#include "base/buf.h"
#include "base/err.h"

#define KT_SHA256_BYTES 32
#define KT_DIGEST_MAX 65 /* 64 lower-case hexadecimal digits and NUL */

/* Load the libraries; call once before anything else of this module. Returns KT_OK or KT_EIO. */
KT_MUST_CHECK enum kt_code kt_crypto_init(struct kt_err *err);

struct kt_sha256; /* a running digest */
/* An empty digest, the caller's: kt_sha256_free(). */
KT_MUST_CHECK struct kt_sha256 *kt_sha256_new(void);
/* Append len bytes to the message. */
void kt_sha256_update(struct kt_sha256 *h, const void *data, size_t len);
/* Write the digest as text (KT_DIGEST_MAX bytes); h is ready for a new message afterwards. */
void kt_sha256_hex(struct kt_sha256 *h, char *out);
void kt_sha256_free(struct kt_sha256 *h); /* NULL is fine */
/* Digest of one piece of memory, as text. */
void kt_sha256_of(const void *data, size_t len, char *out);
/* Digest of what can still be read from fd, as text. False with errno set when reading fails. */
KT_MUST_CHECK bool kt_sha256_fd(int fd, char *out);
/* True when s is 64 lower-case hexadecimal digits. */
bool kt_digest_ok(const char *s);

/* HMAC-SHA256 as 64 lower-case hexadecimal digits. */
void kt_hmac_sha256_hex(const void *key, size_t key_len, const void *data, size_t len, char *out);
/* Equal, compared in constant time; false when the lengths differ. */
bool kt_secret_eq(const char *a, const char *b);
/* Overwrite len bytes in a way that is not optimized away. */
void kt_secret_wipe(void *p, size_t len);

/*
 * API keys: "kt_live_" or "kt_test_", 32 random base62 characters (190 bits), 6 base62 characters
 * of CRC-32 over all before them, so that a mistyped key is told from an unknown one without a
 * lookup.
 */
#define KT_API_KEY_LEN 46
#define KT_API_KEY_PREFIX_LEN 14 /* "kt_live_" + 6: found by it, shown in lists */
#define KT_KEY_HASH_BYTES 32

struct kt_master; /* the server's master key, in locked memory where the system allows */

/* Write a new key (KT_API_KEY_LEN + 1 bytes). */
void kt_api_key_new(bool live, char *out);
/* True when s has the shape and the checksum of a key. */
bool kt_api_key_ok(const char *s);
/* Keyed BLAKE2b of a key under the master key: what is stored. out holds KT_KEY_HASH_BYTES. */
void kt_api_key_hash(const struct kt_master *m, const char *key, unsigned char *out);
/* Hashes equal, in constant time. */
bool kt_api_key_hash_eq(const unsigned char *a, const unsigned char *b);

/*
 * Read the master key from path; with create, make it (32 random bytes, 0600, fsynced with its
 * folder) when missing. Returns KT_OK, KT_ENOTFOUND (missing, no create), KT_EDENIED (readable by
 * others: says chmod) or KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_master_open(
	const char *path, bool create, struct kt_master **out, struct kt_err *err);
void kt_master_free(struct kt_master *m); /* wipes; NULL is fine */

/*
 * Seal len bytes so that only this master key and the same context open them: 1 byte version, 24
 * nonce, ciphertext, 16 tag, XChaCha20-Poly1305 with context ("config/org_x/proj_y/NAME") as
 * additional data. Appended to out.
 */
void kt_seal(const struct kt_master *m, const char *context, const void *data, size_t len,
	struct kt_buf *out);
/* Open what kt_seal() made. Returns KT_OK or KT_EPROTO (changed, another key or context). */
KT_MUST_CHECK enum kt_code kt_unseal(const struct kt_master *m, const char *context,
	const void *sealed, size_t len, struct kt_buf *out, struct kt_err *err);

#endif
