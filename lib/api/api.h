/* SPDX-License-Identifier: MIT */
/*
 * The session protocol over HTTP: the flat family /v1/sessions/..., the project family
 * /v1/projects/{ref}/sessions/..., and what a local server shows besides (pages, agents, health,
 * the OpenAPI document). Handlers translate; everything happens in lib/session.
 *
 * To add a route:
 *  1. its line in the table of routes.c, its handler in the file of its family;
 *  2. lib/api/openapi.json                       (tests/api/openapi.test.mjs fails without);
 *  3. a test in tests/api/                       (tests/api/openapi.test.mjs fails for an operation
 * not exercised);
 *  4. docs/api.md                                (tests/api/openapi.test.mjs fails without).
 */
#ifndef KT_API_API_H
#define KT_API_API_H

#include "http/http.h"
#include "session/session.h"

struct kt_api;

struct kt_api_config {
	struct kt_sessions *sessions; /* BORROWS */
	const struct kt_asset *pages; /* path, type, bytes; ends with a NULL path. BORROWS */
	const char *version; /* of karta */
	bool any_host; /* take any Host header; false: loopback names only (DNS rebinding) */
};

/* New API over the sessions of cfg; kt_api_free() ends it. */
KT_MUST_CHECK struct kt_api *kt_api_new(const struct kt_api_config *cfg);
/* Free; no request may be open any more. NULL is fine. */
void kt_api_free(struct kt_api *api);
/* The handler for kt_http_server_new(); arg is the kt_api. */
void kt_api_handle(void *arg, struct kt_exchange *ex, const struct kt_request *rq);
/* The server is draining: /readyz says no. */
void kt_api_set_draining(struct kt_api *api);

#endif
