/* SPDX-License-Identifier: MIT */
/*
 * Host names and addresses: which are of this machine, which are a project's, whose origin is the
 * same, and where a browser reaches the server itself.
 */
#include "api/core/caller_private.h"

#include "base/str.h"

#include <string.h>

bool kt_api_is_loopback_name(const char *host)
{
	return kt_str_eq(host, "localhost") || kt_str_ends(host, ".localhost") ||
		kt_str_eq(host, "127.0.0.1") || kt_str_eq(host, "[::1]") || kt_str_eq(host, "::1");
}

/*
 * The host and port of the request are those that were checked, which an absolute target takes
 * from itself and not from Host. Other schemes are other programs' pages.
 */
bool kt_api_same_origin(const char *origin, const char *host, int port)
{
	char mine[300];
	const char *rest = kt_str_starts(origin, "http://") ? origin + 7
		: kt_str_starts(origin, "https://")         ? origin + 8
							    : NULL;

	if (port > 0)
		snprintf(mine, sizeof(mine), "%s:%d", host, port);
	else
		snprintf(mine, sizeof(mine), "%s", host);
	return rest && mine[0] && kt_str_ieq(rest, mine);
}

/*
 * "support-bot" of "support-bot.karta.example": 1 when host is a label below suffix, -1 when it is
 * below it and yet no label, 0 for other names.
 */
static int label_below(const char *host, const char *suffix, char *out, size_t size)
{
	size_t len = strlen(host), tail = suffix ? strlen(suffix) : 0;

	if (!tail || len <= tail + 1 || host[len - tail - 1] != '.' ||
		strcmp(host + len - tail, suffix) != 0)
		return 0;
	len -= tail + 1;
	if (len >= size)
		return -1;
	memcpy(out, host, len);
	out[len] = '\0';
	return kt_str_is_slug(out) ? 1 : -1;
}

bool kt_api_label_of(const struct kt_api *api, const char *host, char *out, size_t size)
{
	const char *suffixes[] = { api->public_host, api->cfg.host_suffix, "localhost" };

	for (size_t i = 0; i < KT_ARRAY_LEN(suffixes); i++) {
		/* The longest first does not matter: a label has no dot. */
		if (label_below(host, suffixes[i], out, size) > 0)
			return true;
	}
	return false;
}

void kt_api_web_server(const struct kt_call *c, char *out, size_t size)
{
	const struct kt_caller *by = c->by;
	char port[16] = "";

	if (by->port > 0)
		(void)snprintf(port, sizeof(port), ":%d", by->port);
	/* "support-bot.localhost" has its server at "localhost", whatever the public address is. */
	if (by->label[0] && kt_str_eq(by->host + strlen(by->label) + 1, "localhost"))
		(void)snprintf(out, size, "http://localhost%s%s", port, c->api->prefix);
	else
		(void)kt_str_copy(out, size, by->base_url);
}

void kt_api_web_where(struct kt_call *c, char *out, size_t size)
{
	char server[sizeof(c->by->base_url)];

	kt_api_web_server(c, server, sizeof(server));
	if (c->by->label[0])
		(void)snprintf(out, size, "\"sign_in\":\"%s/sign-in#to=%s\"", server, c->by->host);
	else
		(void)snprintf(out, size, "\"sign_in\":\"%s/sign-in\"", c->api->prefix);
}
