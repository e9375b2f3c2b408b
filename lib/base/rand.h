/* SPDX-License-Identifier: MIT */
/* Random bytes and identifiers from getrandom(2). Aborts if the kernel gives none. */
#ifndef KT_BASE_RAND_H
#define KT_BASE_RAND_H

#include "base/base.h"

#define KT_ID_MAX 40 /* prefix, 22 base62 characters, NUL, with room */

/* Fill out with len random bytes. */
void kt_rand_bytes(void *out, size_t len);
/* Uniform in [0, n). */
uint64_t kt_rand_below(uint64_t n);
/* prefix + 22 base62 characters (130 bits): "sess_4fQ...". out holds KT_ID_MAX bytes. */
void kt_rand_id(const char *prefix, char *out);
/* Could kt_rand_id(prefix) have made it? */
bool kt_rand_is_id(const char *prefix, const char *id);
/* Random UUID (RFC 9562 version 4) in lower case; out holds 37 bytes. */
void kt_rand_uuid(char *out);

#endif
