/* SPDX-License-Identifier: MIT */
/*
 * Addresses of servers: http and https, without user names. Pure functions. Host names are held to
 * letters, digits, dots and hyphens, so that what is compared is what is dialled.
 */
#ifndef KT_NET_URL_H
#define KT_NET_URL_H

#include "base/buf.h"
#include "base/err.h"

#define KT_MAX_HOST_BYTES 253

struct kt_url {
	bool https;
	bool loopback; /* localhost, a name below it, 127.0.0.0/8 or ::1 */
	bool ipv6; /* host is an IPv6 address (no brackets in it) */
	char host[KT_MAX_HOST_BYTES + 1]; /* lower case */
	int port; /* given, or 80 or 443 */
	char *path; /* with query, from the slash on; "/" when there was none; no fragment */
};

/*
 * Take text apart; kt_url_release() ends *out.
 * Returns KT_OK or KT_EINVAL (what is wrong with it, never the text's user name or password).
 */
KT_MUST_CHECK enum kt_code kt_url_parse(const char *text, struct kt_url *out, struct kt_err *err);
void kt_url_release(struct kt_url *u);
/* Append "scheme://host" and ":port" where it is not the scheme's own. */
void kt_url_add_origin(struct kt_buf *b, const struct kt_url *u);
/* Same scheme, host and port. */
bool kt_url_same_origin(const struct kt_url *a, const struct kt_url *b);
/* Append s for use as one segment of a path or one value of a query (RFC 3986, unreserved stay). */
void kt_url_add_segment(struct kt_buf *b, const char *s);

#endif
