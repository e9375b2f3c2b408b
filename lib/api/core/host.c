/* SPDX-License-Identifier: MIT */
/*
 * Where a call goes on a hosting server: the server itself, a project's own host name
 * ("support-bot.karta.example"), or a project by path. Names that are not ours are refused, so that
 * a page elsewhere cannot reach this server by rebinding its own name. What a proxy says of the
 * client counts only when it is trusted.
 */
#include "api/core/caller_private.h"

#include "base/str.h"
#include "net/trust.h"
#include "net/url.h"

#include <arpa/inet.h>
#include <string.h>

void kt_api_host_init(struct kt_api *api)
{
	const char *prefix = api->cfg.path_prefix;
	struct kt_url url = { 0 };
	KT_AUTO_BUF struct kt_buf origin = KT_BUF_INIT(1024);
	size_t len;

	if (api->cfg.public_url && kt_url_parse(api->cfg.public_url, &url, NULL) == KT_OK) {
		kt_url_add_origin(&origin, &url);
		api->public_origin = kt_strdup(origin.ptr);
		/* As the authority of a request has it. */
		api->public_host = kt_asprintf(url.ipv6 ? "[%s]" : "%s", url.host);
		api->base_url = kt_strdup(api->cfg.public_url);
		for (len = strlen(api->base_url); len && api->base_url[len - 1] == '/'; len--)
			api->base_url[len - 1] = '\0';
		if (!prefix)
			prefix = url.path;
	}
	api->prefix = kt_strdup(prefix ? prefix : "");
	for (len = strlen(api->prefix); len && api->prefix[len - 1] == '/'; len--)
		api->prefix[len - 1] = '\0';
	kt_url_release(&url);
}

void kt_api_host_release(struct kt_api *api)
{
	free(api->public_host);
	free(api->public_origin);
	free(api->base_url);
	free(api->prefix);
}

/* --- what a proxy says ------------------------------------------------------------------- */

static bool copy_trimmed(const char *value, size_t len, char *out, size_t size)
{
	for (; len && strchr(" \t", *value); len--)
		value++;
	while (len && strchr(" \t", value[len - 1]))
		len--;
	if (!len || len >= size)
		return false;
	memcpy(out, value, len);
	out[len] = '\0';
	return true;
}

/* The last value of a list header that may come several times: what the nearest proxy added. */
static bool last_value(const struct kt_request *rq, const char *name, char *out, size_t size)
{
	const char *value = NULL;

	for (size_t i = 0; i < rq->n_headers; i++) {
		if (kt_str_eq(rq->headers[i].name, name))
			value = rq->headers[i].value;
	}
	if (!value)
		return false;
	if (strrchr(value, ','))
		value = strrchr(value, ',') + 1;
	return copy_trimmed(value, strlen(value), out, size);
}

struct authority {
	char host[300];
	int port;
	bool https;
};

/* "name", "name:8000", "[::1]:8000" in lower case; false for anything else. */
static bool read_authority(const char *text, struct authority *a)
{
	const char *end = text[0] == '[' ? strchr(text, ']') : NULL;
	const char *colon = strchr(end ? end : text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);
	int64_t port = 0;

	if (!len || len >= sizeof(a->host) || (colon && !kt_str_int64(colon + 1, 1, 65535, &port)))
		return false;
	for (size_t i = 0; i < len; i++) {
		char ch = text[i];

		if (ch >= 'A' && ch <= 'Z')
			ch = (char)(ch - 'A' + 'a');
		if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789.-:[]", ch))
			return false;
		a->host[i] = ch;
	}
	a->host[len] = '\0';
	a->port = (int)port;
	return true;
}

/* Whoever has a proxy in front never takes a connection for one of this machine. */
bool kt_api_is_proxied(const struct kt_call *c)
{
	return kt_api_forwarded_by(c->rq) || c->api->cfg.trust;
}

/*
 * The client of a trusted proxy: X-Forwarded-For is read from its end, where the nearest one wrote,
 * and on past proxies that are trusted too. What comes before was said by who is not.
 */
static bool read_client(struct kt_call *c)
{
	const struct kt_request *rq = c->rq;
	struct in6_addr bytes;
	char text[KT_BUDGET_ADDRESS_SIZE];
	bool told = false;

	for (size_t i = rq->n_headers; i-- > 0;) {
		const char *value = rq->headers[i].value;

		if (!kt_str_eq(rq->headers[i].name, "x-forwarded-for"))
			continue;
		for (size_t end = strlen(value); end > 0;) {
			size_t at = end;

			while (at > 0 && value[at - 1] != ',')
				at--;
			if (!copy_trimmed(value + at, end - at, text, sizeof(text)) ||
				(inet_pton(AF_INET, text, &bytes) != 1 &&
					inet_pton(AF_INET6, text, &bytes) != 1))
				return told;
			kt_str_copy(c->by->peer, sizeof(c->by->peer), text);
			told = true;
			if (!kt_trust_skips(c->api->cfg.trust, text))
				return true;
			end = at ? at - 1 : 0;
		}
	}
	return told;
}

static void read_peer(struct kt_call *c, struct authority *a)
{
	const struct kt_request *rq = c->rq;
	char text[300];

	kt_str_copy(c->by->peer, sizeof(c->by->peer), rq->peer);
	kt_str_copy(a->host, sizeof(a->host), rq->host);
	a->port = rq->port;
	c->by->proxied = kt_api_is_proxied(c);
	if (!kt_trust_has(c->api->cfg.trust, rq->peer))
		return;
	c->by->told = read_client(c);
	if (last_value(rq, "x-forwarded-proto", text, sizeof(text)))
		a->https = kt_str_ieq(text, "https");
	if (last_value(rq, "x-forwarded-host", text, sizeof(text))) {
		struct authority given = { .https = a->https };

		if (read_authority(text, &given))
			*a = given;
	}
}

/* --- names ------------------------------------------------------------------------------- */

static bool find_host(struct kt_call *c, const char *host, struct kt_place *out)
{
	const struct kt_api *api = c->api;
	const char *suffixes[] = { api->public_host, api->cfg.host_suffix, "localhost" };

	out->kind = KT_PLACE_OWN;
	for (size_t i = 0; i < KT_ARRAY_LEN(suffixes); i++) {
		if (kt_str_eq(host, suffixes[i]))
			return true;
	}
	if (kt_api_label_of(api, host, out->name, sizeof(out->name))) {
		out->kind = KT_PLACE_LABEL;
		return true;
	}
	return !host[0] || api->cfg.any_host ||
		(kt_api_is_loopback_name(host) && !kt_str_ends(host, ".localhost"));
}

/* How this caller reaches the server itself: a project's host is taken down to the server's. */
static void write_base(struct kt_call *c, const struct authority *a, const struct kt_place *place)
{
	const char *host = a->host[0] ? a->host : "localhost";
	char port[16] = "";

	if (c->api->base_url) {
		kt_str_copy(c->by->base_url, sizeof(c->by->base_url), c->api->base_url);
		return;
	}
	if (place->kind == KT_PLACE_LABEL)
		host += strlen(place->name) + 1;
	if (a->port > 0)
		snprintf(port, sizeof(port), ":%d", a->port);
	snprintf(c->by->base_url, sizeof(c->by->base_url), "%s://%s%s%s",
		a->https ? "https" : "http", host, port, c->api->prefix);
}

/* --- paths ------------------------------------------------------------------------------- */

/* Copy the segment at *p (behind a slash) when it is a name; moves *p behind it. */
static bool take_host_name(const char **p, char *out, size_t size)
{
	size_t len;

	if (**p != '/')
		return false;
	len = strcspn(*p + 1, "/");
	if (!len || len >= size)
		return false;
	memcpy(out, *p + 1, len);
	out[len] = '\0';
	*p += len + 1;
	return true;
}

/* Take the project off a path: what is left is as the flat family has it. */
static void split_path(const char *path, struct kt_place *out)
{
	const char *rest = path;

	if (out->kind == KT_PLACE_OWN && kt_str_starts(path, "/v1/projects/")) {
		rest += strlen("/v1/projects");
		if (take_host_name(&rest, out->name, sizeof(out->name)) && *rest == '/') {
			out->kind = KT_PLACE_REF;
			/* Also where the page of a project stands, which asks for "v1/...". */
			snprintf(out->path, sizeof(out->path), "%s%s",
				kt_str_starts(rest, "/v1/") ? "" : "/v1", rest);
			return;
		}
	} else if (out->kind == KT_PLACE_OWN && take_host_name(&rest, out->org, sizeof(out->org)) &&
		take_host_name(&rest, out->name, sizeof(out->name)) &&
		kt_str_starts(rest, "/v1/") && kt_str_is_slug(out->org) &&
		!kt_str_eq(out->org, "v1")) {
		out->kind = KT_PLACE_PATH;
		path = rest;
	}
	snprintf(out->path, sizeof(out->path), "%s", path);
}

static bool admit_origin(struct kt_call *c, const struct authority *a)
{
	const struct kt_request *rq = c->rq;

	/* Every Origin counts: a second one must not slip past behind the first. */
	for (size_t i = 0; i < rq->n_headers; i++) {
		const struct kt_header *h = &rq->headers[i];

		if (kt_str_eq(h->name, "origin") &&
			!kt_api_same_origin(h->value, a->host, a->port) &&
			!(c->api->public_origin && kt_str_ieq(h->value, c->api->public_origin))) {
			kt_api_fail(c, 403, "origin_refused",
				"pages of other origins may not use this server", NULL);
			return false;
		}
	}
	return true;
}

bool kt_api_place(struct kt_call *c, struct kt_place *out)
{
	size_t prefix = strlen(c->api->prefix);
	const char *path = c->rq->path;
	struct authority a = { .port = 0 };

	memset(out, 0, sizeof(*out));
	read_peer(c, &a);
	if (prefix && strncmp(path, c->api->prefix, prefix) == 0 &&
		(path[prefix] == '/' || !path[prefix]))
		path += prefix;
	if (!*path)
		path = "/";
	/*
	 * Whoever looks after the server asks by its address; the page that says 421 has its style.
	 * One that asks for no key answers nothing to a name that was pointed at it.
	 */
	if (!kt_str_eq(path, "/healthz") && !kt_str_eq(path, "/readyz") &&
		!find_host(c, a.host, out) &&
		!(kt_api_asks_for_keys(c->api) && kt_api_is_style(path))) {
		kt_api_fail(c, 421, "wrong_host", "this server does not answer to this name", NULL);
		return false;
	}
	write_base(c, &a, out);
	(void)kt_str_copy(c->by->host, sizeof(c->by->host), a.host);
	c->by->port = a.port;
	c->by->https = a.https;
	if (out->kind == KT_PLACE_LABEL)
		(void)kt_str_copy(c->by->label, sizeof(c->by->label), out->name);
	if (strlen(path) >= sizeof(out->path)) {
		kt_api_fail(c, 404, "not_found", "there is nothing at this path", NULL);
		return false;
	}
	split_path(path, out);
	return admit_origin(c, &a);
}
