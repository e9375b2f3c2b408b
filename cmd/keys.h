/* SPDX-License-Identifier: MIT */
/* What `karta keys create` and `karta serve keys create` share. */
#ifndef KT_CMD_KEYS_H
#define KT_CMD_KEYS_H

#include "cmd/cmd.h"

/* What a new key is to be. */
struct kt_keys_wish {
	const char *name;
	const char *scopes; /* with commas between */
	bool test;
	int64_t expires_ms; /* 0 = never */
};
/* The body of POST /v1/keys. Returns KT_OK or KT_EINVAL: a scope that is none. */
KT_MUST_CHECK enum kt_code kt_keys_body(
	const struct kt_keys_wish *wish, struct kt_buf *body, struct kt_err *err);

#endif
