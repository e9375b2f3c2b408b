/* SPDX-License-Identifier: MIT */
#include "net/trust.h"

#include "base/base.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <string.h>

#define MAX_ITEMS 64
#define UNIX_PEER "local" /* as the HTTP server calls it */

struct kt_trust {
	struct kt_network networks[MAX_ITEMS];
	size_t n;
	bool unix_too;
	bool named; /* by the operator */
};

static const char nearby[] = "127.0.0.0/8,::1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,"
			     "169.254.0.0/16,fc00::/7,fe80::/10,unix";

bool kt_network_parse(const char *text, size_t len, struct kt_network *out)
{
	char host[INET6_ADDRSTRLEN];
	const char *slash = memchr(text, '/', len);
	size_t n = slash ? (size_t)(slash - text) : len;
	int64_t bits;

	if (n >= sizeof(host))
		return false;
	memcpy(host, text, n);
	host[n] = '\0';
	*out = (struct kt_network){ .v6 = inet_pton(AF_INET6, host, out->bytes) == 1 };
	if (inet_pton(out->v6 ? AF_INET6 : AF_INET, host, out->bytes) != 1)
		return false;
	bits = out->v6 ? 128 : 32;
	if (slash && !kt_str_int64n(slash + 1, len - n - 1, 0, bits, &bits))
		return false;
	out->bits = (unsigned char)bits;
	return true;
}

bool kt_network_has(const struct kt_network *n, const unsigned char *address, bool v6)
{
	unsigned whole = n->bits / 8, rest = n->bits % 8;

	if (n->v6 != v6 || memcmp(address, n->bytes, whole) != 0)
		return false;
	return rest == 0 || ((address[whole] ^ n->bytes[whole]) >> (8 - rest)) == 0;
}

static enum kt_code add_trust_item(
	struct kt_trust *t, const char *text, size_t len, struct kt_err *err)
{
	if (len == 4 && memcmp(text, "unix", 4) == 0) {
		t->unix_too = true;
		return KT_OK;
	}
	if (t->n == MAX_ITEMS)
		return kt_fail(
			err, KT_EINVAL, 0, "at most %d addresses and networks (fixed)", MAX_ITEMS);
	if (!kt_network_parse(text, len, &t->networks[t->n]))
		return kt_fail(err, KT_EINVAL, 0,
			"'%.*s' is no address or network (10.1.0.0/16, ::1)",
			(int)KT_MIN(len, (size_t)100), text);
	t->n++;
	return KT_OK;
}

enum kt_code kt_trust_new(const char *list, struct kt_trust **out, struct kt_err *err)
{
	struct kt_trust *t = kt_calloc(1, sizeof(*t));
	enum kt_code rc = KT_OK;

	t->named = *list;
	for (const char *p = *list ? list : nearby; *p && rc == KT_OK;) {
		size_t len;

		p += strspn(p, ", \t");
		len = strcspn(p, ", \t");
		if (len > 0)
			rc = add_trust_item(t, p, len, err);
		p += len;
	}
	/* A list of nothing would trust nobody, which is said by leaving it out. */
	if (rc == KT_OK && !t->n && !t->unix_too)
		rc = kt_fail(err, KT_EINVAL, 0, "'%s' names no address", list);
	if (rc == KT_OK)
		*out = t;
	else
		kt_trust_free(t);
	return rc;
}

void kt_trust_free(struct kt_trust *t)
{
	free(t);
}

bool kt_trust_has(const struct kt_trust *t, const char *peer)
{
	struct in6_addr a = { 0 };
	const unsigned char *bytes = a.s6_addr;
	bool v6 = true;

	if (!t)
		return false;
	if (kt_str_eq(peer, UNIX_PEER))
		return t->unix_too;
	if (inet_pton(AF_INET6, peer, &a) != 1) {
		v6 = false;
		if (inet_pton(AF_INET, peer, a.s6_addr) != 1)
			return false;
	} else if (IN6_IS_ADDR_V4MAPPED(&a)) {
		v6 = false;
		bytes += 12;
	}
	for (size_t i = 0; i < t->n; i++)
		if (kt_network_has(&t->networks[i], bytes, v6))
			return true;
	return false;
}

bool kt_trust_skips(const struct kt_trust *t, const char *peer)
{
	return t && t->named && kt_trust_has(t, peer);
}
