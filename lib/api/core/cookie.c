/* SPDX-License-Identifier: MIT */
/*
 * What a browser that is signed in shows (docs/design/web.md). The cookie is only ever the page's:
 * it counts when a header says that a page of ours asks, which no other origin's page can send
 * without a leave that this server gives nobody, and when nothing that the browser says of the page
 * speaks against it. A bearer key beside it wins.
 */
#include "api/core/caller_private.h"

#include "base/str.h"

#include <string.h>

bool kt_api_is_https(const struct kt_call *c)
{
	return c->by->https ||
		(kt_str_starts(c->by->base_url, "https:") && !kt_api_is_loopback_name(c->by->host));
}

/* The server's own paths begin here, for a browser. */
static const char *cookie_path(const struct kt_call *c)
{
	return c->by->label[0] || !c->api->prefix[0] ? "/" : c->api->prefix;
}

/* Browsers do not tell ports of one name apart: two servers must not take each other's. */
static void cookie_name(const struct kt_call *c, char *out, size_t size)
{
	const char *kind = !kt_api_is_https(c)   ? ""
		: kt_str_eq(cookie_path(c), "/") ? "__Host-"
						 : "__Secure-";

	if (c->by->port > 0)
		(void)snprintf(out, size, "%skarta-%d", kind, c->by->port);
	else
		(void)snprintf(out, size, "%skarta", kind);
}

void kt_api_set_cookie(struct kt_call *c, const char *token, int64_t age_s)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(2048);
	char name[40];

	cookie_name(c, name, sizeof(name));
	kt_buf_addf(&b, "%s=%s; Path=%s; Max-Age=%lld; HttpOnly; SameSite=Strict%s", name, token,
		cookie_path(c), (long long)age_s, kt_api_is_https(c) ? "; Secure" : "");
	kt_exchange_header(c->ex, "Set-Cookie", b.ptr);
	kt_exchange_header(c->ex, "Cache-Control", "no-store");
}

/* The value of the only cookie of our name; false when there is none, or more than one. */
static bool find_cookie(const struct kt_call *c, char out[KT_WEB_TOKEN_MAX])
{
	char name[40];
	size_t len, found = 0;

	cookie_name(c, name, sizeof(name));
	len = strlen(name);
	for (size_t i = 0; i < c->rq->n_headers; i++) {
		const char *p = c->rq->headers[i].value;

		if (!kt_str_eq(c->rq->headers[i].name, "cookie"))
			continue;
		while (*p) {
			size_t n;

			p += strspn(p, " \t;");
			n = strcspn(p, ";");
			if (n > len && p[len] == '=' && memcmp(p, name, len) == 0) {
				if (n - len - 1 >= KT_WEB_TOKEN_MAX || found++ > 0)
					return false;
				memcpy(out, p + len + 1, n - len - 1);
				out[n - len - 1] = '\0';
			}
			p += n;
		}
	}
	return found == 1;
}

/* All that the browser says of the page that asks: it is this very origin's. */
bool kt_api_is_own_page(const struct kt_call *c)
{
	const struct kt_request *rq = c->rq;
	bool told = false;

	for (size_t i = 0; i < rq->n_headers; i++) {
		const struct kt_header *h = &rq->headers[i];

		if (kt_str_eq(h->name, "sec-fetch-site")) {
			if (!kt_str_eq(h->value, "same-origin"))
				return false;
			told = true;
		} else if (kt_str_eq(h->name, "origin")) {
			if (!kt_api_same_origin(h->value, c->by->host, c->by->port))
				return false;
			told = true;
		}
	}
	/* Browsers leave both out where a GET goes over plain http to another machine. */
	return kt_api_from_page(rq) && (told || (rq->method & (KT_GET | KT_HEAD)));
}

bool kt_api_web_token(const struct kt_call *c, char out[KT_WEB_TOKEN_MAX])
{
	return !kt_request_header(c->rq, "authorization") && kt_api_is_own_page(c) &&
		find_cookie(c, out);
}
