/* SPDX-License-Identifier: MIT */
/*
 * The session protocol and the management of projects over HTTP: the flat family /v1/sessions/...,
 * the project families (/v1/projects/{ref}/..., /{org}/{agent}/v1/..., a project's own host name),
 * /agent_projects/..., keys, logs, and what a server shows besides (pages, health, the OpenAPI
 * document). Handlers translate; everything happens in lib/session and lib/control.
 *
 * Without `control` it is a local server: one project, nobody signs in, and only what the session
 * protocol needs is there. With `keyless` everything is there, and still nobody signs in.
 *
 * To add a route:
 *  1. its line with its scope in the table of routes.c, its handler in the file of its family;
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
	struct kt_budget *budget; /* that of the HTTP server, or NULL. BORROWS */
	/* served on a socket of this machine that only its user opens: no address */
	bool by_socket;
	bool any_host; /* take any Host header; false: loopback names only (DNS rebinding) */

	/* A hosting server; everything below counts only then. Strings are BORROWED. */
	struct kt_control *control; /* or NULL */
	struct kt_bus *bus; /* the control's: with a key its streams end. Or NULL */
	/* "https://karta.example/base", or NULL: from each request's Host */
	const char *public_url;
	/*
	 * another name below which projects have hosts, or NULL; those of public_url and
	 * "localhost" count by themselves
	 */
	const char *host_suffix;
	const char *path_prefix; /* "/base" or NULL: taken off the paths that begin with it */
	/* whose X-Forwarded-For, -Proto and -Host are believed, or NULL. BORROWS */
	const struct kt_trust *trust;
	const char *upload_dir; /* folder for received archives */
	int64_t max_archive_bytes; /* 0 = KT_MAX_ARCHIVE_BYTES */
	const char *harness_program; /* as kt_control_config: every harness runs by it, or NULL */
	bool offline; /* every harness is the rehearsal */
	/* With control: nobody signs in, whoever reaches it may do all (kt_api_hosting_sign()). */
	bool keyless;
};

/* What may say of a server with many projects that it is for others than who started it. */
struct kt_api_signs {
	const char *listen; /* host part of its address */
	bool had_keys; /* there is, or was, a key in its data folder */
	bool require_keys, key_file; /* somebody asked for keys */
	bool public_url, trust_proxy; /* it has another address, or somebody in front of it */
	bool settings_file, passed_socket; /* somebody set it up as a service */
};
/*
 * The first of these signs, in words that fit behind "keys are needed: "; NULL when there is none:
 * the server is for its own user on this machine, and asks for no key.
 */
const char *kt_api_hosting_sign(const struct kt_api_signs *s);
/* "localhost", an address of 127.0.0.0/8, or ::1 (without brackets). */
bool kt_api_is_loopback_address(const char *host);

/* New API over the sessions of cfg; kt_api_free() ends it. */
KT_MUST_CHECK struct kt_api *kt_api_new(const struct kt_api_config *cfg);
/*
 * Free; no request may be open any more, and sessions and control must be freed already when they
 * may still answer one. NULL is fine.
 */
void kt_api_free(struct kt_api *api);
/* The handler for kt_http_server_new(); arg is the kt_api. */
void kt_api_handle(void *arg, struct kt_exchange *ex, const struct kt_request *rq);
/*
 * For kt_http_config.spool (with arg = the kt_api): looks at the key before a body is read, says
 * how long that of a route may be, and sends archives into a file.
 */
enum kt_spool_answer kt_api_spool(
	void *arg, struct kt_exchange *ex, const struct kt_request *rq, struct kt_spool *out);
/* The server is draining: /readyz says no. */
void kt_api_set_draining(struct kt_api *api);

#endif
