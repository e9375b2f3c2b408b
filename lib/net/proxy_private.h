/* SPDX-License-Identifier: MIT */
/*
 * The proxy that the environment names for a URL, as libcurl looks for it. Private to lib/net: what
 * connects through it has to tell it from other machines.
 */
#ifndef KT_NET_PROXY_PRIVATE_H
#define KT_NET_PROXY_PRIVATE_H

#include "net/url.h"

struct sockaddr;
struct kt_proxy;

/* NULL: there is none, or its name means nothing. Resolves its name. kt_proxy_free() ends it. */
struct kt_proxy *kt_proxy_of(const struct kt_url *url);
void kt_proxy_free(struct kt_proxy *p); /* NULL is fine */
/* Whether it is what listens at this address and port; false of NULL. */
bool kt_proxy_is_at(const struct kt_proxy *p, const struct sockaddr *sa);

#endif
