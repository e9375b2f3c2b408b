/* SPDX-License-Identifier: MIT */
/*
 * Which machines a server may be made to talk to by what its clients say. What counts is the
 * address that is connected to, however it was spelled and whatever a name resolved to: everything
 * but public unicast addresses is refused (this machine, private and link-local networks,
 * carriers', metadata services, multicast, documentation, tunnels), unless the server's operator
 * allows it.
 */
#ifndef KT_NET_REACH_H
#define KT_NET_REACH_H

#include "base/err.h"
#include "net/url.h"

struct sockaddr;
struct kt_reach;

/*
 * Read what is allowed besides public addresses: host names, addresses and networks
 * ("10.1.0.0/16"), separated by commas; NULL and "" allow nothing. kt_reach_free() ends *out.
 * Returns KT_OK or KT_EINVAL (names the item).
 */
KT_MUST_CHECK enum kt_code kt_reach_new(
	const char *list, struct kt_reach **out, struct kt_err *err);
void kt_reach_free(struct kt_reach *r); /* NULL is fine */
/* Allow this host as well, as it is spelled. */
KT_MUST_CHECK enum kt_code kt_reach_add_name(
	struct kt_reach *r, const char *host, struct kt_err *err);
/* Whether host is one of the names that are allowed, in whatever case, with or without dot. */
bool kt_reach_names(const struct kt_reach *r, const char *host);
/* Whether a connection to this address may be made. Also asks for the addresses of this machine. */
bool kt_reach_address(const struct kt_reach *r, const struct sockaddr *sa);
/*
 * What can be said before anything is resolved: an address in any spelling that resolvers take
 * ("127.1", "0x7f000001", "2130706433", "localhost.") must be one that may be connected to.
 * Returns KT_OK or KT_EDENIED.
 */
KT_MUST_CHECK enum kt_code kt_reach_url(
	const struct kt_reach *r, const struct kt_url *url, struct kt_err *err);

#endif
