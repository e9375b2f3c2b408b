/* SPDX-License-Identifier: MIT */
/* Addresses of servers (RFC 3986, narrowed to what a command line needs). */
#include "net/url.h"

#include "base/base.h"
#include "base/limits.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <string.h>

static enum kt_code bad_url(struct kt_err *err, const char *what)
{
	(void)kt_fail(err, KT_EINVAL, 0, "not an address of a server: %s", what);
	return kt_hint(err, "write it as https://example.com or http://127.0.0.1:8080");
}

static bool host_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
}

/* Lower-case name or IPv4 address of len bytes into u; false when it is neither. */
static bool set_name(struct kt_url *u, const char *s, size_t len)
{
	if (len == 0 || len > KT_MAX_HOST_BYTES || s[0] == '.' || s[0] == '-')
		return false;
	for (size_t i = 0; i < len; i++) {
		char c = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + ('a' - 'A')) : s[i];
		if (!host_char(c) || (c == '.' && i > 0 && s[i - 1] == '.'))
			return false;
		u->host[i] = c;
	}
	u->host[len] = '\0';
	struct in_addr v4;
	if (inet_pton(AF_INET, u->host, &v4) == 1)
		u->loopback = ntohl(v4.s_addr) >> 24 == 127;
	else
		/* RFC 6761, 6.3: all names below "localhost" are this machine; libcurl knows it. */
		u->loopback = strcmp(u->host, "localhost") == 0 ||
			kt_str_ends(u->host, ".localhost");
	return true;
}

static bool set_ipv6(struct kt_url *u, const char *s, size_t len)
{
	struct in6_addr v6;
	if (len == 0 || len >= INET6_ADDRSTRLEN)
		return false;
	memcpy(u->host, s, len);
	u->host[len] = '\0';
	if (inet_pton(AF_INET6, u->host, &v6) != 1)
		return false;
	/* One spelling for each address, so that origins compare. */
	if (inet_ntop(AF_INET6, &v6, u->host, sizeof(u->host)) == NULL)
		return false;
	u->ipv6 = true;
	u->loopback = IN6_IS_ADDR_LOOPBACK(&v6);
	return true;
}

static enum kt_code set_path(struct kt_url *u, const char *s, struct kt_err *err)
{
	size_t len = strcspn(s, "#");
	for (size_t i = 0; i < len; i++)
		if (s[i] <= ' ' || s[i] >= 0x7f || strchr("\\\"<>", s[i]) != NULL)
			return bad_url(err, "a blank or a character that must be percent-encoded");
	KT_AUTOFREE char *text = kt_strndup(s, len);
	u->path = kt_asprintf("%s%s", text[0] == '/' ? "" : "/", text);
	return KT_OK;
}

enum kt_code kt_url_parse(const char *text, struct kt_url *out, struct kt_err *err)
{
	struct kt_url u = { .https = false };
	const char *p = text;
	if (strlen(text) > KT_MAX_HTTP_TARGET_BYTES)
		return bad_url(err, "it is too long");
	if (strncasecmp(p, "https://", 8) == 0) {
		u.https = true;
		p += 8;
	} else if (strncasecmp(p, "http://", 7) == 0) {
		p += 7;
	} else {
		return bad_url(err, "it must start with http:// or https://");
	}
	size_t len = strcspn(p, "/?#");
	if (memchr(p, '@', len) != NULL)
		return bad_url(err, "user names and passwords do not belong in it");
	const char *end = p + len;
	const char *colon = NULL;
	bool ok = false;
	if (*p == '[') {
		const char *close = memchr(p, ']', len);
		if (close == NULL || (close + 1 != end && close[1] != ':'))
			return bad_url(err, "wrong brackets");
		ok = set_ipv6(&u, p + 1, (size_t)(close - p) - 1);
		colon = close + 1 != end ? close + 1 : NULL;
	} else {
		colon = memchr(p, ':', len);
		ok = set_name(&u, p, (size_t)((colon != NULL ? colon : end) - p));
	}
	if (!ok)
		return bad_url(err, "wrong host name");
	int64_t port = u.https ? 443 : 80;
	if (colon != NULL && !kt_str_int64n(colon + 1, (size_t)(end - colon) - 1, 1, 65535, &port))
		return bad_url(err, "wrong port");
	u.port = (int)port;
	enum kt_code rc = set_path(&u, end, err);
	if (rc == KT_OK)
		*out = u;
	return rc;
}

void kt_url_release(struct kt_url *u)
{
	free(u->path);
	*u = (struct kt_url){ .https = false };
}

void kt_url_add_origin(struct kt_buf *b, const struct kt_url *u)
{
	kt_buf_addf(b, u->ipv6 ? "%s://[%s]" : "%s://%s", u->https ? "https" : "http", u->host);
	if (u->port != (u->https ? 443 : 80))
		kt_buf_addf(b, ":%d", u->port);
}

bool kt_url_same_origin(const struct kt_url *a, const struct kt_url *b)
{
	return a->https == b->https && a->port == b->port && strcmp(a->host, b->host) == 0;
}

void kt_url_add_segment(struct kt_buf *b, const char *s)
{
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
		if (plain)
			kt_buf_addc(b, (char)c);
		else
			kt_buf_addf(b, "%%%02X", c);
	}
}
