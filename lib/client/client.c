/* SPDX-License-Identifier: MIT */
/*
 * Typed calls over HTTP. Each maps to one route. What changes something is sent with an idempotency
 * key, so that a lost answer can be asked for again.
 */
#include "client/client_private.h"

#include "base/limits.h"
#include "base/rand.h"
#include "base/str.h"
#include "net/url.h"
#include "text/json.h"

#include <poll.h>
#include <string.h>

/* As kt_client_call_rq(), but an answer must be an object. */
static enum kt_code call_object(
	struct kt_client *c, const struct client_request *rq, cJSON **out, struct kt_err *err)
{
	cJSON *doc = NULL;
	enum kt_code rc = kt_client_call_rq(c, rq, &doc, err);

	if (rc != KT_OK)
		return rc;
	if (!cJSON_IsObject(doc)) {
		cJSON_Delete(doc);
		return kt_fail(err, KT_EPROTO, 0, "the server's answer is not a JSON object");
	}
	*out = doc;
	return KT_OK;
}

/* --- routes ------------------------------------------------------------------------------ */

char *kt_client_session_path(const char *id, const char *rest)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_HTTP_TARGET_BYTES);

	kt_buf_adds(&b, "/v1/sessions/");
	kt_url_add_segment(&b, id);
	kt_buf_adds(&b, rest);
	/* An id of thousands of bytes is none: let the server say so of a short one. */
	if (!kt_buf_ok(&b) || !*id)
		return kt_asprintf("/v1/sessions/-%s", rest);
	return kt_buf_take(&b);
}

enum kt_code kt_client_dev(struct kt_client *c, cJSON **out, struct kt_err *err)
{
	const struct client_request rq = { .method = "GET", .path = "/v1/dev" };

	return call_object(c, &rq, out, err);
}

enum kt_code kt_client_agents(struct kt_client *c, cJSON **out, struct kt_err *err)
{
	const struct client_request rq = { .method = "GET", .path = "/v1/agents" };

	return call_object(c, &rq, out, err);
}

enum kt_code kt_client_create(
	struct kt_client *c, const char *permission_mode, cJSON **out, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf body = KT_BUF_INIT(KT_MAX_TEXT_BYTES);
	char key[KT_ID_MAX];
	struct client_request rq = { .method = "POST", .path = "/v1/sessions", .key = key };
	struct kt_jw w;

	kt_jw_init(&w, &body);
	kt_jw_obj(&w, NULL);
	if (permission_mode)
		kt_jw_str(&w, "permission_mode", permission_mode);
	kt_jw_obj_end(&w);
	if (!kt_buf_ok(&body))
		return kt_fail(err, KT_EINVAL, 0, "the permission mode is too long");
	rq.body = body.ptr;
	kt_rand_id("cli_", key);
	return call_object(c, &rq, out, err);
}

enum kt_code kt_client_get(struct kt_client *c, const char *id, cJSON **out, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_client_session_path(id, "");
	const struct client_request rq = { .method = "GET", .path = path };

	return call_object(c, &rq, out, err);
}

enum kt_code kt_client_list(
	struct kt_client *c, int64_t limit, const char *after, cJSON **out, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf path = KT_BUF_INIT(KT_MAX_HTTP_TARGET_BYTES);
	struct client_request rq = { .method = "GET" };

	kt_buf_addf(&path, "/v1/sessions?limit=%lld", (long long)limit);
	if (after) {
		kt_buf_adds(&path, "&after=");
		kt_url_add_segment(&path, after);
	}
	rq.path = path.ptr;
	return call_object(c, &rq, out, err);
}

enum kt_code kt_client_rename(
	struct kt_client *c, const char *id, const char *title, cJSON **out, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_client_session_path(id, "");
	KT_AUTO_BUF struct kt_buf body = KT_BUF_INIT(KT_MAX_TEXT_BYTES);
	struct client_request rq = { .method = "PATCH", .path = path };
	struct kt_jw w;

	kt_jw_init(&w, &body);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "title", title);
	kt_jw_obj_end(&w);
	if (!kt_buf_ok(&body))
		return kt_fail(err, KT_EINVAL, 0, "the title is too long");
	rq.body = body.ptr;
	return call_object(c, &rq, out, err);
}

enum kt_code kt_client_delete(struct kt_client *c, const char *id, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_client_session_path(id, "");
	const struct client_request rq = { .method = "DELETE", .path = path };
	KT_AUTO_JSON cJSON *doc = NULL;
	int status;

	/* Once: a repetition of one that worked would say that there is no such session. */
	return kt_client_call_once(c, &rq, &doc, &status, err);
}

enum kt_code kt_client_events(struct kt_client *c, const char *id, uint64_t after, int64_t limit,
	cJSON **out, struct kt_err *err)
{
	KT_AUTOFREE char *rest = kt_asprintf(
		"/events?after=%llu&limit=%lld", (unsigned long long)after, (long long)limit);
	KT_AUTOFREE char *path = kt_client_session_path(id, rest);
	const struct client_request rq = { .method = "GET", .path = path };

	return call_object(c, &rq, out, err);
}

enum kt_code kt_client_interrupt(
	struct kt_client *c, const char *id, bool *out_was, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_client_session_path(id, "/interrupt");
	const struct client_request rq = { .method = "POST", .path = path, .body = "{}" };
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = kt_client_call_rq(c, &rq, &doc, err);

	if (rc == KT_OK)
		*out_was = kt_json_bool(doc, "interrupted", false);
	return rc;
}

static char *input_path(const char *id, const char *request_id)
{
	KT_AUTO_BUF struct kt_buf rest = KT_BUF_INIT(KT_MAX_HTTP_TARGET_BYTES / 2);

	kt_buf_adds(&rest, "/inputs/");
	kt_url_add_segment(&rest, request_id);
	return kt_client_session_path(id, rest.ptr);
}

enum kt_code kt_client_input(struct kt_client *c, const char *id, const char *request_id,
	cJSON **out, struct kt_err *err)
{
	KT_AUTOFREE char *path = input_path(id, request_id);
	struct client_request rq = { .method = "GET", .path = path };

	return kt_client_call_rq(c, &rq, out, err);
}

enum kt_code kt_client_approvals(
	struct kt_client *c, const char *id, cJSON **out, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_client_session_path(id, "/approvals");
	const struct client_request rq = { .method = "GET", .path = path };

	return call_object(c, &rq, out, err);
}

enum kt_code kt_client_revoke(struct kt_client *c, const char *id, const char *approval_id,
	cJSON **out, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf rest = KT_BUF_INIT(KT_MAX_HTTP_TARGET_BYTES / 2);
	struct client_request rq = { .method = "DELETE" };
	KT_AUTOFREE char *path = NULL;
	int status;

	kt_buf_adds(&rest, approval_id ? "/approvals/" : "/approvals");
	if (approval_id)
		kt_url_add_segment(&rest, approval_id);
	rq.path = path = kt_client_session_path(id, rest.ptr);

	/* Once: a repetition of one that worked would say that there is no such approval. */
	return kt_client_call_once(c, &rq, out, &status, err);
}

enum kt_code kt_client_answer(struct kt_client *c, const char *id, const char *request_id,
	const char *body, struct kt_err *err)
{
	KT_AUTOFREE char *path = input_path(id, request_id);
	struct client_request rq = { .method = "PUT", .body = body, .prefer = "respond-async" };
	KT_AUTO_JSON cJSON *doc = NULL;

	rq.path = path;
	return kt_client_call_rq(c, &rq, &doc, err);
}

/* --- messages ---------------------------------------------------------------------------- */

char *kt_client_message_body(const struct kt_client_message *m, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(CLIENT_BODY_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "text", m->text);
	if (m->agent)
		kt_jw_str(&w, "agent", m->agent);
	if (m->on_busy)
		kt_jw_str(&w, "on_busy", m->on_busy);
	if (m->thinking)
		kt_jw_bool(&w, "thinking", true);
	kt_jw_obj_end(&w);
	if (kt_buf_ok(&b))
		return kt_buf_take(&b);
	(void)kt_fail(err, KT_ELIMIT, 0, "the message is longer than %d bytes (fixed)",
		KT_MAX_TEXT_BYTES);
	return NULL;
}

enum kt_code kt_client_post(struct kt_client *c, const char *id, const struct kt_client_message *m,
	char *out_turn_id, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_client_session_path(id, "/messages");
	KT_AUTOFREE char *body = kt_client_message_body(m, err);
	char made[KT_ID_MAX];
	const struct client_request rq = { .method = "POST",
		.path = path,
		.body = body,
		.prefer = "respond-async",
		.key = m->idempotency_key ? m->idempotency_key : made };
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc;

	if (!body)
		return KT_ELIMIT;
	kt_rand_id("cli_", made);
	rc = call_object(c, &rq, &doc, err);
	if (rc != KT_OK)
		return rc;
	if (!kt_str_copy(out_turn_id, KT_CLIENT_ID_MAX, kt_json_str_or(doc, "turn_id", "")) ||
		!*out_turn_id)
		return kt_fail(err, KT_EPROTO, 0, "the server did not name the turn it started");
	return KT_OK;
}

/* Ask for the answer of (body, key) until the turn has ended; the first time this starts it. */
static enum kt_code ask_until_done(struct kt_client *c, const char *id, const char *body,
	const char *key, cJSON **out, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_client_session_path(id, "/messages");
	const struct client_request rq = {
		.method = "POST", .path = path, .body = body, .key = key, .total_ms = -1
	};
	bool lost = false;

	for (int n = 1;; n++) {
		cJSON *doc = NULL;
		int status;
		enum kt_code rc = kt_client_call_once(c, &rq, &doc, &status, err);

		if (rc == KT_OK) {
			*out = doc;
			return KT_OK;
		}
		/* The first connection broke, and the turn goes on: its answer comes later. */
		if (rc == KT_ECONFLICT && lost) {
			n = 1;
		} else if (n == CLIENT_TRIES || status || !kt_client_may_retry(c, rc, status)) {
			return rc;
		} else {
			lost = true;
		}
		(void)poll(NULL, 0, (int)kt_client_backoff_ms(lost ? n + 2 : n));
	}
}

enum kt_code kt_client_result(
	struct kt_client *c, const struct kt_client_follow *f, cJSON **out, struct kt_err *err)
{
	KT_AUTOFREE char *body = kt_client_message_body(f->message, err);

	if (!body)
		return KT_ELIMIT;
	return ask_until_done(c, f->session_id, body, f->key, out, err);
}
