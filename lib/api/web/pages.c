/* SPDX-License-Identifier: MIT */
/* What is embedded, at its addresses: the pages and the OpenAPI document. */
#include "api/web/web_private.h"

#include "base/str.h"
#include "http/gzip.h"
#include "text/json.h"

#include <stdio.h>
#include <string.h>

/* Answer with it, as gzip to who takes that. */
static void send_asset(struct kt_call *c, const struct kt_asset *a)
{
	const char *bytes;
	size_t len;

	if (a->unpacked) {
		kt_exchange_header(c->ex, "Vary", "Accept-Encoding");
		if (kt_request_takes_gzip(c->rq)) {
			kt_exchange_header(c->ex, "Content-Encoding", "gzip");
			kt_respond_static(c->ex, 200, a->type, a->data, a->len);
			return;
		}
	}
	bytes = kt_api_asset_bytes(c->api, a, &len);
	if (bytes)
		kt_respond_static(c->ex, 200, a->type, bytes, len);
	else
		kt_api_fail(c, 500, "internal_error",
			"this page cannot be unpacked: the server's log says why", NULL);
}

/* The document, with the address that this request came to as its server. */
void kt_api_openapi(struct kt_call *c, const struct kt_params *p)
{
	static const char server[] = "\"http://localhost:8000\"";
	const struct kt_asset *a = kt_api_asset(c->api, "/openapi.json");
	const char *host = kt_request_header(c->rq, "host"), *at;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(
		65536); /* up to the address, near its beginning */
	char base[400] = "";
	const char *text;
	size_t n, len;

	if (!a) {
		kt_api_fail(c, 404, "not_found", "this build has no OpenAPI document", NULL);
		return;
	}
	if (c->by)
		kt_str_copy(base, sizeof(base), c->by->base_url);
	else if (host)
		snprintf(base, sizeof(base), "http://%.300s", host);
	text = kt_api_asset_bytes(c->api, a, &len);
	at = text ? memmem(text, len, server, sizeof(server) - 1) : NULL;
	if (!at || !base[0]) {
		send_asset(c, a);
		return;
	}
	n = (size_t)(at - text);
	kt_buf_add(&b, text, n);
	kt_json_add_str(&b, base, strlen(base));
	n += sizeof(server) - 1;
	kt_respond_static_after(c->ex, 200, a->type, b.ptr, b.len, text + n, len - n);
}

/*
 * The path under which a page is embedded. A hosting server has its own pages at its own name, and
 * the chat page at a project's, also by path ("/org/name/", "/v1/projects/name/", with what the
 * page loads below it).
 */
static const char *page_path(const struct kt_place *place, const char *path)
{
	const char *rest;
	bool hosting_only = kt_str_eq(path, "/home") || kt_str_eq(path, "/device") ||
		kt_str_eq(path, "/project") || kt_str_eq(path, "/oops") ||
		(!place && kt_str_eq(path, "/sign-in"));

	if (kt_str_eq(path, "/openapi.json"))
		return "";
	if (!place)
		return hosting_only ? "" : path;
	if (place->kind == KT_PLACE_LABEL)
		return hosting_only ? "" : path;
	if (place->kind == KT_PLACE_REF)
		return kt_str_eq(path, "/v1/") || kt_str_starts(path, "/v1/assets/") ? path + 3
										     : "";
	if (kt_str_eq(path, "/"))
		return "/home";
	if (kt_str_eq(path, "/project") || kt_str_eq(path, "/oops"))
		return "";
	if (kt_str_starts(path, "/projects/") && kt_str_is_slug(path + strlen("/projects/")))
		return "/project";
	if (!kt_str_is_slug(place->org) || !kt_str_is_slug(place->name) ||
		kt_str_eq(place->org, "v1") || kt_str_eq(place->org, "projects"))
		return path;
	rest = path + strlen(place->org) + strlen(place->name) + 2;
	if (*rest && (!rest[1] || kt_str_starts(rest, "/assets/")))
		return rest;
	return path;
}

/*
 * A project's address, where it is a path, ends in its name: "/v1/projects/name". The page there
 * loads what stands below it, so a browser must ask for "/v1/projects/name/".
 */
static bool redirect_page(struct kt_call *c, const struct kt_place *place)
{
	char to[sizeof(place->name) + 1];

	if (!place || place->kind != KT_PLACE_OWN || place->org[0] ||
		!kt_str_is_slug(place->name) || !kt_str_starts(place->path, "/v1/projects/") ||
		!kt_str_eq(place->path + strlen("/v1/projects/"), place->name))
		return false;
	/* Relative: whatever prefix the server has stays before it. */
	(void)snprintf(to, sizeof(to), "%s/", place->name);
	kt_exchange_header(c->ex, "Location", to);
	kt_respond(c->ex, 308, NULL, NULL, 0);
	return true;
}

/* "/device/" is meant for "/device": pages are lenient where an address is typed. */
static bool redirect_slash(struct kt_call *c, const struct kt_place *place)
{
	KT_AUTOFREE char *path = kt_strdup(place ? place->path : c->rq->path);
	KT_AUTO_BUF struct kt_buf to = KT_BUF_INIT(64 * 1024);
	size_t len = strlen(path);
	const struct kt_asset *a;

	if (len < 3 || path[len - 1] != '/' || (place && place->kind == KT_PLACE_REF))
		return false;
	path[len - 1] = '\0';
	a = kt_api_asset(c->api, page_path(place, path));
	if (!a || !kt_str_starts(a->type, "text/html"))
		return false;
	/* Relative, as above; names of pages and projects need no escapes. */
	kt_buf_addf(&to, "..%s%s%s", strrchr(path, '/'), *c->rq->query ? "?" : "", c->rq->query);
	if (!kt_buf_ok(&to))
		return false;
	kt_exchange_header(c->ex, "Location", to.ptr);
	kt_respond(c->ex, 308, NULL, NULL, 0);
	return true;
}

bool kt_api_page(struct kt_call *c, const struct kt_place *place)
{
	const struct kt_asset *a;

	if ((c->project && !place) || !(c->rq->method & (KT_GET | KT_HEAD)))
		return false;
	if (redirect_page(c, place))
		return true;
	a = kt_api_asset(c->api, page_path(place, place ? place->path : c->rq->path));
	if (!a)
		return redirect_slash(c, place);
	kt_api_page_headers(c);
	send_asset(c, a);
	return true;
}
