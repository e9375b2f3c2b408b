/* SPDX-License-Identifier: MIT */
#include "net/proxy_private.h"

#include "base/base.h"
#include "base/env.h"
#include "base/str.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define DEFAULT_PORT 1080 /* libcurl's, for all kinds but https */

/* libcurl's variables, not karta's; of http only the small one, for CGI's sake. */
static const char *from_environment(bool https)
{
	static const char *const of_https[] = { "https_proxy", "HTTPS_PROXY", "all_proxy",
		"ALL_PROXY", NULL };
	static const char *const of_http[] = { "http_proxy", "all_proxy", "ALL_PROXY", NULL };

	for (const char *const *name = https ? of_https : of_http; *name; name++) {
		size_t len = strlen(*name);

		for (char **var = kt_env_all(); *var; var++)
			if (strncmp(*var, *name, len) == 0 && (*var)[len] == '=' && (*var)[len + 1])
				return *var + len + 1;
	}
	return NULL;
}

/* "[scheme://][user:password@]host[:port][/]" */
static bool take_apart(const char *text, char host[KT_MAX_HOST_BYTES + 1], int64_t *port)
{
	const char *p = strstr(text, "://"), *at, *end, *colon;

	*port = kt_str_starts(text, "https://") ? 443 : DEFAULT_PORT;
	p = p ? p + 3 : text;
	end = p + strcspn(p, "/?#");
	while ((at = memchr(p, '@', (size_t)(end - p))) != NULL)
		p = at + 1;
	if (*p == '[') {
		const char *close = memchr(p, ']', (size_t)(end - p));

		if (!close)
			return false;
		p++;
		colon = close + 1 < end && close[1] == ':' ? close + 1 : NULL;
		at = close;
	} else {
		colon = memchr(p, ':', (size_t)(end - p));
		at = colon ? colon : end;
	}
	if (at == p || at - p > KT_MAX_HOST_BYTES)
		return false;
	memcpy(host, p, (size_t)(at - p));
	host[at - p] = '\0';
	return !colon || kt_str_int64n(colon + 1, (size_t)(end - colon) - 1, 1, 65535, port);
}

bool kt_proxy_find(const struct kt_url *url, struct kt_proxy *out)
{
	const char *text = from_environment(url->https);
	int64_t port;

	if (!text || !take_apart(text, out->host, &port))
		return false;
	(void)snprintf(out->port, sizeof(out->port), "%d", (int)port);
	return true;
}

bool kt_proxy_is_at(const struct addrinfo *at, const struct sockaddr *sa)
{
	for (const struct addrinfo *i = at; i; i = i->ai_next) {
		struct sockaddr_in a4, b4;
		struct sockaddr_in6 a6, b6;

		if (i->ai_family != sa->sa_family)
			continue;
		if (i->ai_family == AF_INET) {
			memcpy(&a4, i->ai_addr, sizeof(a4));
			memcpy(&b4, sa, sizeof(b4));
			if (a4.sin_port == b4.sin_port && a4.sin_addr.s_addr == b4.sin_addr.s_addr)
				return true;
		} else if (i->ai_family == AF_INET6) {
			memcpy(&a6, i->ai_addr, sizeof(a6));
			memcpy(&b6, sa, sizeof(b6));
			if (a6.sin6_port == b6.sin6_port &&
				memcmp(&a6.sin6_addr, &b6.sin6_addr, 16) == 0)
				return true;
		}
	}
	return false;
}
