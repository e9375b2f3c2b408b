/* SPDX-License-Identifier: MIT */
/*
 * What the program carries: pages and documents, most of them as gzip. Browsers get them as they
 * are here; for others one is unpacked at its first request and kept, so that all of it together
 * is never more than the program would have been larger by.
 */
#include "api/core/core_private.h"

#include "base/log.h"
#include "base/str.h"
#include "http/gzip.h"

static const char page_policy[] =
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
	"connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; "
	"frame-ancestors 'none'";

const struct kt_asset *kt_api_asset(const struct kt_api *api, const char *path)
{
	for (const struct kt_asset *a = api->cfg.pages; a && a->path; a++) {
		if (kt_str_eq(a->path, path))
			return a;
	}
	return NULL;
}

static size_t count_assets(const struct kt_api *api)
{
	size_t n = 0;

	while (api->cfg.pages && api->cfg.pages[n].path)
		n++;
	return n;
}

const char *kt_api_asset_bytes(struct kt_api *api, const struct kt_asset *a, size_t *out_len)
{
	size_t i = (size_t)(a - api->cfg.pages);
	struct kt_err err = KT_ERR_INIT;

	*out_len = a->unpacked ? a->unpacked : a->len;
	if (!a->unpacked)
		return (const char *)a->data;
	if (!api->unpacked)
		api->unpacked = kt_calloc(count_assets(api), sizeof(*api->unpacked));
	if (!api->unpacked[i]) {
		char *bytes = kt_malloc(a->unpacked);

		if (kt_gunzip(a->data, a->len, bytes, a->unpacked, &err) == KT_OK) {
			api->unpacked[i] = bytes;
		} else {
			kt_log(KT_LOG_ERROR, "api", "%s: %s", a->path, err.msg);
			free(bytes);
		}
	}
	return api->unpacked[i];
}

void kt_api_assets_release(struct kt_api *api)
{
	for (size_t i = api->unpacked ? count_assets(api) : 0; i > 0; i--)
		free(api->unpacked[i - 1]);
	free(api->unpacked);
}

void kt_api_page_headers(struct kt_call *c)
{
	kt_exchange_header(c->ex, "Content-Security-Policy", page_policy);
	kt_exchange_header(c->ex, "Referrer-Policy", "no-referrer");
	kt_exchange_header(c->ex, "Cache-Control", "no-cache");
}

bool kt_api_is_style(const char *path)
{
	return kt_str_eq(path, "/assets/page.css");
}
