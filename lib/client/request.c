/* SPDX-License-Identifier: MIT */
/*
 * A client, and one request of it: its headers, what an answer means, when it is repeated. Errors
 * are made here from problem documents.
 */
#include "client/client_private.h"

#include "base/rand.h"
#include "base/str.h"
#include "base/vec.h"
#include "net/url.h"
#include "text/json.h"

#include <poll.h>
#include <string.h>

#define TIMEOUT_MS 60000
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS 2000
#define HEADERS_MAX 8
#define SOCKET_SCHEME "unix:"
#define LAST (sizeof(((struct kt_client *)0)->last4) - 1) /* characters of a key that are shown */
#define COULD_NOT_CONNECT 7 /* CURLE_COULDNT_CONNECT */
#define SUGGEST_MS 3000 /* for a hint nobody waits long */

/* --- construction ------------------------------------------------------------------------ */

static bool is_plain_text(const char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f)
			return false;
	}
	return true;
}

enum kt_code kt_client_new(
	const struct kt_client_config *cfg, struct kt_client **out, struct kt_err *err)
{
	bool by_socket = kt_str_starts(cfg->url, SOCKET_SCHEME);
	const char *base = by_socket ? "http://localhost" : cfg->url;
	size_t len = strlen(base);
	struct kt_client *c;
	struct kt_url url;
	enum kt_code rc = kt_url_parse(base, &url, err);
	bool open_wire, local;

	if (rc != KT_OK)
		return kt_wrap(err, "the server's address");
	open_wire = !url.https && !url.loopback;
	local = url.loopback;
	kt_url_release(&url);
	if (base[strcspn(base, "?#")])
		return kt_fail(err, KT_EINVAL, 0, "the server's address must have no query");
	if (cfg->api_key && !is_plain_text(cfg->api_key))
		return kt_fail(
			err, KT_EINVAL, 0, "the API key contains blanks or control characters");
	if (cfg->api_key && open_wire) {
		(void)kt_fail(err, KT_EDENIED, 0, "the API key is not sent over plain http to '%s'",
			cfg->url);
		return kt_hint(err, "use an https address, or unset KARTA_API_KEY");
	}
	while (len && base[len - 1] == '/')
		len--;
	c = kt_calloc(1, sizeof(*c));
	c->base = kt_strndup(base, len);
	c->socket = by_socket ? kt_strdup(cfg->url + strlen(SOCKET_SCHEME)) : NULL;
	c->auth = cfg->api_key ? kt_asprintf(BEARER "%s", cfg->api_key) : NULL;
	c->key_from = kt_strdup_opt(cfg->key_from);
	/* Of what is too short to be a key of ours nothing is shown. */
	if (cfg->api_key)
		(void)kt_str_copy(c->last4, sizeof(c->last4),
			strlen(cfg->api_key) > 3 * LAST ? cfg->api_key + strlen(cfg->api_key) - LAST
							: "?");
	kt_client_set_server(c);
	c->at = cfg->named && !by_socket ? kt_asprintf(" --server %s", c->server) : kt_strdup("");
	c->local = local;
	c->timeout_ms = cfg->timeout_ms ? cfg->timeout_ms : TIMEOUT_MS;
	*out = c;
	return KT_OK;
}

void kt_client_free(struct kt_client *c)
{
	if (!c)
		return;
	if (c->auth)
		explicit_bzero(c->auth, strlen(c->auth));
	free(c->auth);
	free(c->base);
	free(c->socket);
	free(c->server);
	free(c->project);
	free(c->at);
	free(c->key_from);
	free(c->tried);
	cJSON_Delete(c->problem);
	free(c);
}

void kt_client_free_at(struct kt_client **at)
{
	kt_client_free(*at);
}

const char *kt_client_url(const struct kt_client *c)
{
	return c->base;
}

/* --- one request ------------------------------------------------------------------------- */

static enum kt_code server_unreachable(const struct kt_client *c, struct kt_err *err)
{
	(void)kt_fail(err, KT_EUNAVAIL, 0, "no karta server answers at %s", c->server);
	if (!c->local)
		return kt_hint(err, "is the address right, and does the network reach it?");
	return kt_hint(err, "start one with 'karta dev', or 'karta serve' to host projects");
}

enum kt_code kt_client_do(struct kt_client *c, const struct client_request *rq,
	const struct kt_http_call *hook, struct kt_http_reply *out, struct kt_err *err)
{
	KT_AUTOFREE char *url = kt_asprintf("%s%s", c->base, rq->path);
	KT_AUTOFREE char *accept = kt_asprintf(
		"Accept: %s", rq->accept ? rq->accept : "application/json");
	KT_AUTOFREE char *prefer = rq->prefer ? kt_asprintf("Prefer: %s", rq->prefer) : NULL;
	KT_AUTOFREE char *key = rq->key ? kt_asprintf("Idempotency-Key: %s", rq->key) : NULL;
	KT_AUTOFREE char *type = rq->body || rq->body_fd > 0
		? kt_asprintf("Content-Type: %s", rq->type ? rq->type : "application/json")
		: NULL;
	const char *const lines[] = { accept, prefer, key, c->auth, type };
	const char *headers[HEADERS_MAX] = { NULL };
	struct kt_http_call call = hook ? *hook : (struct kt_http_call){ 0 };
	struct kt_err own = KT_ERR_INIT;
	enum kt_code rc;
	size_t n = 0;

	if (!err)
		err = &own;
	free(c->tried);
	c->tried = kt_strdup(rq->path);
	for (size_t i = 0; i < KT_ARRAY_LEN(lines); i++) {
		if (lines[i])
			headers[n++] = lines[i];
	}
	call.method = rq->method;
	call.url = url;
	call.unix_socket = c->socket;
	call.headers = headers;
	call.body = rq->body;
	call.body_len = rq->body_len || !rq->body ? rq->body_len : strlen(rq->body);
	call.body_fd = rq->body_fd;
	call.sent = rq->sent;
	call.total_ms = rq->total_ms < 0 ? 0 : (rq->total_ms ? rq->total_ms : c->timeout_ms);
	memset(out, 0, sizeof(*out));
	kt_buf_init(&out->body, 0);
	rc = kt_http_do(&call, out, err);
	if (rc == KT_OK)
		c->seen = true;
	else if (rc == KT_EUNAVAIL && !c->seen && err->sys == COULD_NOT_CONNECT)
		return server_unreachable(c, err);
	return rc;
}

static enum kt_code code_of(int status)
{
	switch (status) {
	case 401:
		return KT_EAUTH;
	case 402:
		return KT_EBUDGET;
	case 403:
		return KT_EDENIED;
	case 404:
		return KT_ENOTFOUND;
	case 409:
	case 412:
		return KT_ECONFLICT;
	case 429:
	case 503:
		return KT_EUNAVAIL;
	case 504:
		return KT_ETIMEOUT;
	default:
		return KT_EIO;
	}
}

void kt_client_forget_problem(struct kt_client *c)
{
	cJSON_Delete(c->problem);
	c->problem = NULL;
}

const cJSON *kt_client_problem(const struct kt_client *c)
{
	return c->problem;
}

enum kt_code kt_client_take_problem(
	struct kt_client *c, const struct kt_http_reply *r, struct kt_err *err)
{
	static const char *const members[] = { "detail", "message", "reason", "title", "error" };
	enum kt_code rc = code_of(r->status);
	const char *text = NULL;
	cJSON *doc = NULL;

	kt_client_forget_problem(c);
	if (r->body.len &&
		kt_json_parse(r->body.ptr, r->body.len, KT_JSON_LENIENT, &doc, NULL) == KT_OK)
		c->problem = doc;
	for (size_t i = 0; i < KT_ARRAY_LEN(members) && !text; i++)
		text = kt_json_str(c->problem, members[i]);
	if (kt_client_words(c, r->status, text, err))
		return rc;
	if (text)
		(void)kt_fail(err, rc, 0, "%s", text);
	else
		(void)kt_fail(err, rc, 0, "%s answered with status %d", c->server, r->status);
	if (rc == KT_EUNAVAIL && r->retry_after_s > 0)
		return kt_hint(err, "try again in %lld s", (long long)r->retry_after_s);
	if (r->status >= 500 && r->request_id[0])
		return kt_hint(err, "the server's log has more under request %s", r->request_id);
	return rc;
}

int64_t kt_client_backoff_ms(int n)
{
	int64_t ms = BACKOFF_FIRST_MS;

	while (--n > 0 && ms < BACKOFF_MAX_MS)
		ms *= 2;
	ms = KT_MIN(ms, BACKOFF_MAX_MS);
	/* Between 70 and 130 %, so that many clients do not come back at once. */
	return ms * (int64_t)(70 + kt_rand_below(61)) / 100;
}

bool kt_client_may_retry(const struct kt_client *c, enum kt_code rc, int status)
{
	if (!c->seen || status == 429)
		return false;
	return rc == KT_EUNAVAIL || status == 502 || status == 503 || status == 504;
}

/* The answer as JSON; NULL when it has no body. */
static enum kt_code read_reply(
	struct kt_client *c, const struct kt_http_reply *r, cJSON **out, struct kt_err *err)
{
	enum kt_code rc;

	if (r->status < 200 || r->status > 299)
		return kt_client_take_problem(c, r, err);
	if (!r->body.len) {
		*out = NULL;
		return KT_OK;
	}
	rc = kt_json_parse(r->body.ptr, r->body.len, KT_JSON_LENIENT, out, err);
	if (rc == KT_OK)
		return KT_OK;
	if (rc == KT_ELIMIT)
		return kt_wrap(err, "the server's answer");
	(void)kt_fail(err, KT_EPROTO, 0, "the server's answer is not JSON");
	return kt_hint(err, "is this the address of a karta server?");
}

enum kt_code kt_client_call_once(struct kt_client *c, const struct client_request *rq, cJSON **out,
	int *out_status, struct kt_err *err)
{
	struct kt_http_reply r;
	enum kt_code rc;

	kt_client_forget_problem(c);
	rc = kt_client_do(c, rq, NULL, &r, err);
	*out_status = rc == KT_OK ? r.status : 0;
	if (rc == KT_OK)
		rc = read_reply(c, &r, out, err);
	kt_http_reply_release(&r);
	return rc;
}

/* As kt_client_call_rq(), but a failure is not explained. */
static enum kt_code call_again(
	struct kt_client *c, const struct client_request *rq, cJSON **out, struct kt_err *err)
{
	for (int n = 1;; n++) {
		cJSON *doc = NULL;
		int status;
		enum kt_code rc = kt_client_call_once(c, rq, &doc, &status, err);

		if (rc == KT_OK) {
			*out = doc;
			return KT_OK;
		}
		if (n == CLIENT_TRIES || !kt_client_may_retry(c, rc, status))
			return rc;
		(void)poll(NULL, 0, (int)kt_client_backoff_ms(n));
	}
}

void kt_client_suggest(struct kt_client *c, enum kt_code rc, struct kt_err *err)
{
	const struct kt_client_config cfg = { .url = c->server,
		.api_key = c->auth ? c->auth + strlen(BEARER) : NULL,
		.timeout_ms = SUGGEST_MS };
	const struct client_request list = { .method = "GET", .path = "/agent_projects" };
	KT_AUTO_CLIENT struct kt_client *other = NULL;
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_vec names = KT_VEC_INIT;
	const char *near, *name;
	const cJSON *p;
	KT_AUTOFREE char *project = NULL;

	if (rc != KT_ENOTFOUND || c->socket || !err || c->absent_is_fine ||
		!kt_str_eq(kt_json_str(c->problem, "code"), "project_not_found"))
		return;
	project = kt_client_tried_project(c);
	if (!project || kt_client_new(&cfg, &other, NULL) != KT_OK ||
		call_again(other, &list, &doc, NULL) != KT_OK)
		return;
	cJSON_ArrayForEach (p, kt_json_arr(doc, "data")) {
		name = kt_json_str(p, "slug");
		if (name)
			kt_vec_push(&names, (void *)(uintptr_t)name);
	}
	kt_vec_push(&names, NULL);
	near = kt_str_nearest(project, (const char *const *)names.items);
	if (near)
		(void)kt_hint(err, "did you mean '%s'? 'karta projects%s' lists all", near, c->at);
	kt_vec_release(&names);
}

enum kt_code kt_client_call_rq(
	struct kt_client *c, const struct client_request *rq, cJSON **out, struct kt_err *err)
{
	enum kt_code rc = call_again(c, rq, out, err);

	if (rc != KT_OK)
		kt_client_suggest(c, rc, err);
	return rc;
}
