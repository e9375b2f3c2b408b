/* SPDX-License-Identifier: MIT */
/*
 * Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07): the same key with the same body
 * gives the same result, with another body 422. The value may be quoted or bare.
 */
#include "api/core/core_private.h"

#include "base/limits.h"
#include "base/str.h"

#include <string.h>

/* FNV-1a, 64 bits: tells another body from the same one; not a defence against forgery. */
uint64_t kt_api_fingerprint(const char *s, size_t len)
{
	uint64_t h = 1469598103934665603ULL;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)s[i]) * 1099511628211ULL;
	return h;
}

bool kt_api_key_header(struct kt_call *c, char out[256])
{
	const char *v = kt_request_header(c->rq, "idempotency-key");
	size_t len;

	out[0] = '\0';
	if (!v)
		return true;
	len = strlen(v);
	if (len >= 2 && v[0] == '"' && v[len - 1] == '"') {
		v++;
		len -= 2;
	}
	if (!len || len > KT_MAX_IDEMPOTENCY_KEY_BYTES || memchr(v, '"', len)) {
		kt_api_fail(c, 400, "bad_idempotency_key",
			"Idempotency-Key must be 1 to 255 characters", NULL);
		return false;
	}
	memcpy(out, v, len);
	out[len] = '\0';
	return true;
}

bool kt_api_key(struct kt_call *c, const char *scope, struct kt_key *out)
{
	memset(out, 0, sizeof(*out));
	if (!kt_api_key_header(c, out->key))
		return false;
	if (!out->key[0])
		return true;
	out->fingerprint = kt_api_fingerprint(c->rq->body, c->rq->body_len);
	out->seen = kt_idem_get(c->api->cfg.sessions, scope, out->key);
	if (out->seen && out->seen->fingerprint != out->fingerprint) {
		kt_api_fail(c, 422, "idempotency_key_reused",
			"this Idempotency-Key was used with another body", NULL);
		return false;
	}
	if (!out->seen && kt_idem_is_full(c->api->cfg.sessions, scope)) {
		kt_exchange_header(c->ex, "Retry-After", "60");
		kt_api_fail(c, 429, "limit_reached",
			"the Idempotency-Keys of the last 24 hours have 32 MiB (fixed): wait, or "
			"send "
			"fewer of them; a key that was used already still works",
			NULL);
		return false;
	}
	return true;
}
