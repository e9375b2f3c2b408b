/* SPDX-License-Identifier: MIT */
/*
 * The networks that are refused: IANA's registries of special-purpose addresses (RFC 6890 and what
 * followed), and metadata services of clouds that lie outside of them.
 */
#include "net/reach.h"

#include "base/base.h"
#include "base/str.h"
#include "net/trust.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

#define MAX_ITEMS 64

struct kt_reach {
	struct kt_network networks[MAX_ITEMS];
	size_t n_networks;
	char *names[MAX_ITEMS];
	size_t n_names;
};

static const struct {
	const char *network;
	unsigned char bits;
} denied[] = {
	{ "0.0.0.0", 8 }, /* this network */
	{ "10.0.0.0", 8 }, /* private */
	{ "100.64.0.0", 10 }, /* carriers; a metadata service (100.100.100.200) */
	{ "127.0.0.0", 8 }, /* this machine */
	{ "168.63.129.16", 32 }, /* a metadata service */
	{ "169.254.0.0", 16 }, /* link-local; metadata services */
	{ "172.16.0.0", 12 }, /* private */
	{ "192.0.0.0", 24 }, /* protocols; a metadata service (192.0.0.192) */
	{ "192.0.2.0", 24 }, /* documentation */
	{ "192.88.99.0", 24 }, /* 6to4 relays */
	{ "192.168.0.0", 16 }, /* private */
	{ "198.18.0.0", 15 }, /* measurements */
	{ "198.51.100.0", 24 }, /* documentation */
	{ "203.0.113.0", 24 }, /* documentation */
	{ "224.0.0.0", 4 }, /* multicast */
	{ "240.0.0.0", 4 }, /* reserved, broadcast */
	/* Of IPv6 only 2000::/3 is public. In it: */
	{ "2001::", 32 }, /* Teredo */
	{ "2001:10::", 28 }, /* ORCHID */
	{ "2001:20::", 28 }, { "2001:db8::", 32 }, /* documentation */
	{ "2002::", 16 }, /* 6to4 */
	{ "3fff::", 20 }, /* documentation */
};

/* A name without its dot at the end, in lower case; false when it is none. */
static bool plain_name(const char *text, size_t len, char out[KT_MAX_HOST_BYTES + 1])
{
	while (len > 0 && text[len - 1] == '.')
		len--;
	if (len == 0 || len > KT_MAX_HOST_BYTES)
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + ('a' - 'A')) : text[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'))
			return false;
		out[i] = c;
	}
	out[len] = '\0';
	return true;
}

static enum kt_code too_many(struct kt_err *err)
{
	return kt_fail(err, KT_EINVAL, 0, "at most %d hosts and networks (fixed)", MAX_ITEMS);
}

static enum kt_code add_name(struct kt_reach *r, const char *text, size_t len, struct kt_err *err)
{
	char name[KT_MAX_HOST_BYTES + 1];

	if (!plain_name(text, len, name))
		return kt_fail(err, KT_EINVAL, 0,
			"'%.*s' is no host name, address or network (10.1.0.0/16)",
			(int)KT_MIN(len, (size_t)100), text);
	if (r->n_names == MAX_ITEMS)
		return too_many(err);
	r->names[r->n_names++] = kt_strdup(name);
	return KT_OK;
}

static enum kt_code add_reach_item(
	struct kt_reach *r, const char *text, size_t len, struct kt_err *err)
{
	struct kt_network n;

	if (!kt_network_parse(text, len, &n))
		return add_name(r, text, len, err);
	if (r->n_networks == MAX_ITEMS)
		return too_many(err);
	r->networks[r->n_networks++] = n;
	return KT_OK;
}

enum kt_code kt_reach_new(const char *list, struct kt_reach **out, struct kt_err *err)
{
	struct kt_reach *r = kt_calloc(1, sizeof(*r));
	enum kt_code rc = KT_OK;

	for (const char *p = list ? list : ""; *p && rc == KT_OK;) {
		size_t len;

		p += strspn(p, ", \t");
		len = strcspn(p, ", \t");
		if (len > 0)
			rc = add_reach_item(r, p, len, err);
		p += len;
	}
	if (rc == KT_OK)
		*out = r;
	else
		kt_reach_free(r);
	return rc;
}

enum kt_code kt_reach_add_name(struct kt_reach *r, const char *host, struct kt_err *err)
{
	return add_name(r, host, strlen(host), err);
}

void kt_reach_free(struct kt_reach *r)
{
	for (size_t i = 0; r && i < r->n_names; i++)
		free(r->names[i]);
	free(r);
}

bool kt_reach_names(const struct kt_reach *r, const char *host)
{
	char name[KT_MAX_HOST_BYTES + 1];

	if (!r || !plain_name(host, strlen(host), name))
		return false;
	for (size_t i = 0; i < r->n_names; i++)
		if (strcmp(r->names[i], name) == 0)
			return true;
	return false;
}

static bool is_denied(const unsigned char *a, bool v6)
{
	if (v6 && (a[0] & 0xe0) != 0x20)
		return true;
	for (size_t i = 0; i < KT_ARRAY_LEN(denied); i++) {
		const char *text = denied[i].network;
		struct kt_network n;

		kt_assert(kt_network_parse(text, strlen(text), &n));
		n.bits = denied[i].bits;
		if (kt_network_has(&n, a, v6))
			return true;
	}
	return false;
}

static bool is_allowed(const struct kt_reach *r, const unsigned char *a, bool v6)
{
	for (size_t i = 0; r && i < r->n_networks; i++)
		if (kt_network_has(&r->networks[i], a, v6))
			return true;
	return false;
}

/* An address of this machine, however public it is: its other services are not for clients. */
static bool is_own(const unsigned char *a, bool v6)
{
	struct ifaddrs *all = NULL;
	bool own = false;

	if (getifaddrs(&all) != 0)
		return false;
	for (const struct ifaddrs *i = all; i && !own; i = i->ifa_next) {
		if (!i->ifa_addr)
			continue;
		if (v6 && i->ifa_addr->sa_family == AF_INET6) {
			struct sockaddr_in6 sa;

			memcpy(&sa, i->ifa_addr, sizeof(sa));
			own = memcmp(&sa.sin6_addr, a, 16) == 0;
		} else if (!v6 && i->ifa_addr->sa_family == AF_INET) {
			struct sockaddr_in sa;

			memcpy(&sa, i->ifa_addr, sizeof(sa));
			own = memcmp(&sa.sin_addr, a, 4) == 0;
		}
	}
	freeifaddrs(all);
	return own;
}

/* ::ffff:a.b.c.d and ::a.b.c.d are judged as a.b.c.d. */
static bool holds_v4(const unsigned char *a)
{
	static const unsigned char zeros[10];

	return memcmp(a, zeros, 10) == 0 &&
		((a[10] == 0xff && a[11] == 0xff) || (a[10] == 0 && a[11] == 0));
}

bool kt_reach_address(const struct kt_reach *r, const struct sockaddr *sa)
{
	unsigned char a[16] = { 0 };
	bool v6 = sa->sa_family == AF_INET6;

	if (v6) {
		struct sockaddr_in6 in;

		memcpy(&in, sa, sizeof(in));
		memcpy(a, &in.sin6_addr, 16);
		if (is_allowed(r, a, true))
			return true;
		v6 = !holds_v4(a);
		if (!v6)
			memmove(a, a + 12, 4);
	} else if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		memcpy(a, &in.sin_addr, 4);
	} else {
		return false;
	}
	return is_allowed(r, a, v6) || (!is_denied(a, v6) && !is_own(a, v6));
}

enum kt_code kt_reach_url(const struct kt_reach *r, const struct kt_url *url, struct kt_err *err)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
	char name[KT_MAX_HOST_BYTES + 1];
	struct addrinfo *found = NULL;
	bool ok = true;

	if (kt_reach_names(r, url->host))
		return KT_OK;
	/* With its dot taken off an address is one to some resolvers, and a name to others. */
	if (!url->ipv6 && !plain_name(url->host, strlen(url->host), name))
		return kt_fail(err, KT_EDENIED, 0, "'%s' is no host name", url->host);
	if (getaddrinfo(url->ipv6 ? url->host : name, NULL, &hints, &found) == 0) {
		for (const struct addrinfo *i = found; i && ok; i = i->ai_next)
			ok = kt_reach_address(r, i->ai_addr);
		freeaddrinfo(found);
	} else {
		struct in_addr loop = { htonl(INADDR_LOOPBACK) };
		struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr = loop };

		if (kt_str_eq(name, "localhost") || kt_str_ends(name, ".localhost"))
			ok = kt_reach_address(r, (struct sockaddr *)&here);
	}
	if (ok)
		return KT_OK;
	(void)kt_fail(err, KT_EDENIED, 0, "'%s' is this machine or in a network that is not public",
		url->host);
	return kt_hint(err, "the server's operator may allow it (private_hosts)");
}
