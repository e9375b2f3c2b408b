/* SPDX-License-Identifier: MIT */
/*
 * The proxy that the environment names for a URL, as libcurl looks for it. Private to lib/net: what
 * connects through it has to tell it from other machines.
 */
#ifndef KT_NET_PROXY_PRIVATE_H
#define KT_NET_PROXY_PRIVATE_H

#include "net/url.h"

struct addrinfo;
struct sockaddr;

/* Where it is, for getaddrinfo(). */
struct kt_proxy {
	char host[KT_MAX_HOST_BYTES + 1];
	char port[8];
};

/* False: there is none. Nothing is resolved. */
KT_MUST_CHECK bool kt_proxy_find(const struct kt_url *url, struct kt_proxy *out);
/* Whether it listens at this address and port, when its name led to `at`; false of NULL. */
bool kt_proxy_is_at(const struct addrinfo *at, const struct sockaddr *sa);

#endif
