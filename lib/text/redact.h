/* SPDX-License-Identifier: MIT */
/*
 * Removes credentials from text before it is logged: kt_live_/kt_test_ keys, sk-ant-... and sk-...
 * keys, whsec_..., tokens of GitHub, and what follows "Bearer ". The last four characters of a key
 * stay.
 */
#ifndef KT_TEXT_REDACT_H
#define KT_TEXT_REDACT_H

#include "base/buf.h"

/* Append the redacted form of len bytes to b. */
void kt_redact_add(struct kt_buf *b, const char *s, size_t len);

/*
 * Append len bytes to b without addresses of this machine: "http://127.0.0.1:8123/x" becomes
 * "(local address)". They mean nothing to a client elsewhere, and tell what listens here. Names
 * below localhost stay: those are projects.
 */
void kt_redact_local_add(struct kt_buf *b, const char *s, size_t len);

#endif
