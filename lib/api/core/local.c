/* SPDX-License-Identifier: MIT */
/*
 * Servers that ask for no key: `karta dev`, and `karta serve` while nothing says that it hosts. Who
 * reaches one may do all that its user may, so it is for whoever sits at this machine: what came
 * from elsewhere, or from another site's page in a browser here, is refused before its route is
 * looked up. docs/security.md has what that does not keep out.
 */
#include "api/core/caller_private.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

/* --- which of the two a server is -------------------------------------------------------- */

bool kt_api_is_loopback_address(const char *host)
{
	struct in_addr v4;
	struct in6_addr v6;

	if (kt_str_eq(host, "localhost"))
		return true;
	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

const char *kt_api_hosting_sign(const struct kt_api_signs *s)
{
	if (s->had_keys)
		return "there are keys in its data folder";
	if (s->require_keys)
		return "require_keys says so";
	if (s->key_file)
		return "--key-file names a place for one";
	if (s->public_url)
		return "public_url is its address";
	if (s->trust_proxy)
		return "trust_proxy says that a proxy is in front of it";
	if (s->passed_socket)
		return "its socket was passed in";
	if (s->settings_file)
		return "there is a settings file";
	if (!kt_api_is_loopback_address(s->listen))
		return "its address is not of this machine alone";
	return NULL;
}

/* --- what it takes ----------------------------------------------------------------------- */

/* Some programs write '_' where others have '-'. */
static bool begins_with(const char *name, const char *word, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if ((name[i] == '_' ? '-' : name[i]) != word[i])
			return false;
	}
	return true;
}

const char *kt_api_forwarded_by(const struct kt_request *rq)
{
	/* Whole names, and beginnings (with a '*') of families. */
	static const char *const names[] = { "forwarded*", "via", "x-forwarded*", "x-forward-*",
		"x-forwarder-*", "x-real-ip", "x-real-port", "x-client-ip", "x-cluster-client-ip",
		"client-ip", "x-remote-*", "x-original-*", "x-proxy*", "x-coming-from", "x-scheme",
		"x-url-scheme", "x-auth-request-*", "remote-user", "front-end-https",
		"proxy-connection", "proxy-authorization", "cdn-loop", "true-client-ip",
		"incap-client-ip", "do-connecting-ip", "x-envoy-*", "x-haproxy-*", "x-varnish*",
		"x-akamai-*", "akamai-*", "x-appengine-*", "x-goog-iap-*", "x-goog-authenticated-*",
		"x-cloud-trace-*", "x-amzn-*", "x-amz-cf-*", "cloudfront-*", "x-azure-*", "x-arr-*",
		"x-vercel-*", "x-nf-*", "x-render-*", "rndr-*", "x-railway-*", "x-replit-*",
		"x-tunnel-*", "x-localtunnel-*", "x-zrok-*", "ngrok-*", "x-ngrok-*", "tailscale-*",
		"fastly-*", "x-fastly-*", "fly-*", "x-fly-*", "cf-*" };

	for (size_t i = 0; i < rq->n_headers; i++) {
		const char *name = rq->headers[i].name;

		for (size_t k = 0; k < KT_ARRAY_LEN(names); k++) {
			size_t n = strcspn(names[k], "*");

			if (begins_with(name, names[k], n) && (names[k][n] || !name[n]))
				return name;
		}
	}
	return NULL;
}

/*
 * A browser says of every request which site's page made it, also where it sends no Origin
 * (pictures, scripts, fetches that may not read the answer). Going to a page by a link is no such
 * request.
 */
static bool is_of_other_site(const struct kt_request *rq)
{
	const char *site = kt_request_header(rq, "sec-fetch-site");

	if (!site || kt_str_eq(site, "same-origin") || kt_str_eq(site, "none"))
		return false;
	return !((rq->method & (KT_GET | KT_HEAD)) &&
		kt_str_eq(kt_request_header(rq, "sec-fetch-mode"), "navigate") &&
		kt_str_eq(kt_request_header(rq, "sec-fetch-dest"), "document"));
}

bool kt_api_is_simple_type(const char *type)
{
	static const char *const simple[] = { "text/plain", "multipart/form-data",
		"application/x-www-form-urlencoded" };
	size_t len = type ? strcspn(type, "; \t,") : 0;

	for (size_t i = 0; i < KT_ARRAY_LEN(simple); i++) {
		if (len == strlen(simple[i]) && strncasecmp(type, simple[i], len) == 0)
			return true;
	}
	return !len;
}

static bool is_peer_here(const char *peer)
{
	return kt_api_is_loopback_address(
		kt_str_starts(peer, "::ffff:") ? peer + strlen("::ffff:") : peer);
}

bool kt_api_admit_keyless(struct kt_call *c)
{
	const struct kt_request *rq = c->rq;
	const char *header = kt_api_forwarded_by(rq);
	char detail[200];

	/*
	 * What nginx speaks to those behind it unless it is told otherwise, and it adds no header.
	 */
	if (!header && c->api->cfg.keyless && rq->http10)
		header = "HTTP/1.0";
	if (header || !(is_peer_here(rq->peer) || c->api->cfg.by_socket)) {
		snprintf(detail, sizeof(detail),
			"this server asks for no key, so it takes nothing that something in "
			"between "
			"passed on (%.40s); a server for others has keys: karta serve "
			"--require-keys",
			header ? header : "not from this machine");
		kt_api_fail(c, 403, "forwarded_refused", detail, NULL);
		return false;
	}
	if (is_of_other_site(rq)) {
		kt_api_fail(c, 403, "origin_refused",
			"pages of other origins may not use this local server", NULL);
		return false;
	}
	return true;
}

bool kt_api_asks_for_keys(const struct kt_api *api)
{
	return !api->cfg.keyless || kt_control_has_keys(api->cfg.control);
}

bool kt_api_has_keys(struct kt_call *c)
{
	if (kt_api_asks_for_keys(c->api))
		return true;
	kt_api_fail(c, 409, "local_server",
		"this is a local server, which asks for no key and makes none; stop it and start "
		"it "
		"with 'karta serve --require-keys' to have keys",
		NULL);
	return false;
}
