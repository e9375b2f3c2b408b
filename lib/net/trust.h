/* SPDX-License-Identifier: MIT */
/*
 * Networks of addresses, and the proxies that a server's operator trusts: what they say of a client
 * (X-Forwarded-For and so on) counts, and what anybody else says of one does not.
 */
#ifndef KT_NET_TRUST_H
#define KT_NET_TRUST_H

#include "base/err.h"

struct kt_network {
	unsigned char bytes[16];
	unsigned char bits;
	bool v6;
};

/* "10.1.0.0/16", "::1": an address with or without its bits; false for anything else. */
KT_MUST_CHECK bool kt_network_parse(const char *text, size_t len, struct kt_network *out);
/* Whether the address (4 bytes, or 16 when v6) is in the network. */
bool kt_network_has(const struct kt_network *n, const unsigned char *address, bool v6);

struct kt_trust;

/*
 * Read who is trusted: "" for one proxy on this machine or in a private network, else addresses
 * and networks separated by commas ("10.1.0.0/16,::1"; "unix" is a socket of this machine).
 * kt_trust_free() ends *out. Returns KT_OK or KT_EINVAL (names the item).
 */
KT_MUST_CHECK enum kt_code kt_trust_new(
	const char *list, struct kt_trust **out, struct kt_err *err);
void kt_trust_free(struct kt_trust *t); /* NULL is fine */
/* Whether this peer (the text of an address, "local" for a Unix socket) is one of them. */
bool kt_trust_has(const struct kt_trust *t, const char *peer);
/*
 * Whether what stands before `peer` in a chain of proxies is asked for further: it is one of those
 * that were named. Of those that were not, one is all that there is.
 */
bool kt_trust_skips(const struct kt_trust *t, const char *peer);

#endif
