/* SPDX-License-Identifier: MIT */
/* Problems, and what the control plane answers. */
#include "api/core/caller_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "text/json.h"
#include "text/redact.h"

#include <string.h>

/* What was refused, in the log of the project that was asked. */
static void log_failure(struct kt_call *c, int status, const char *code, const char *detail)
{
	/* Whole: a secret is not found any more in what was cut. The log cuts, afterwards. */
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	struct kt_log_line line = {
		.level = status >= 500 ? "error" : "warn",
		.source = "api",
		.request_id = c->rq->id,
	};
	char method[64];

	if (!c->by || !c->by->target.project_id[0])
		return;
	kt_method_names(c->rq->method, method, sizeof(method));
	method[strcspn(method, ",")] = '\0';
	kt_buf_addf(&text, "%s %s: %d %s: %s", method, c->rq->path, status, code, detail);
	line.project_id = c->by->target.project_id;
	line.version = c->by->target.version;
	line.text = text.ptr;
	kt_control_log(c->api->cfg.control, &line);
}

void kt_api_fail(
	struct kt_call *c, int status, const char *code, const char *detail, const char *extra)
{
	/* Five thousand digests of missing files are the longest there is to say. */
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(512 * 1024);
	KT_AUTO_BUF struct kt_buf plain = KT_BUF_INIT(512 * 1024);
	struct kt_problem p = { .status = status, .code = code };

	/* Clients of a hosting server are elsewhere: addresses of this machine are not for them. */
	if (c->by) {
		kt_redact_local_add(&plain, detail, strlen(detail));
		detail = kt_buf_ok(&plain) && plain.len ? plain.ptr : "";
	}
	p.detail = detail;
	/*
	 * Both older body styles ("error" with "reason", and "detail") besides RFC 9457's members.
	 */
	kt_buf_adds(&b, "\"error\":");
	kt_json_add_str(&b, code, strlen(code));
	kt_buf_adds(&b, ",\"reason\":");
	kt_json_add_str(&b, detail, strlen(detail));
	if (extra) {
		kt_buf_addc(&b, ',');
		kt_buf_adds(&b, extra);
	}
	p.extra = kt_buf_ok(&b) ? b.ptr : NULL;
	log_failure(c, status, code, detail);
	if (!kt_api_problem_page(c, status, detail))
		kt_respond_problem(c->ex, &p);
}

void kt_api_fail_err(struct kt_call *c, const struct kt_err *err)
{
	static const struct {
		enum kt_code code;
		int status;
		const char *name;
	} map[] = {
		{ KT_EINVAL, 422, "validation_failed" },
		{ KT_ENOTFOUND, 404, "not_found" },
		{ KT_ECONFLICT, 409, "conflict" },
		{ KT_ELIMIT, 429, "limit_reached" },
		{ KT_EUNAVAIL, 503, "unavailable" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(map); i++) {
		if (map[i].code != err->code)
			continue;
		if (map[i].status == 503 || map[i].status == 429)
			kt_exchange_header(c->ex, "Retry-After", "1");
		kt_api_fail(c, map[i].status, map[i].name, err->msg, NULL);
		return;
	}
	if (err->code == KT_EIO && kt_errno_disk(err->sys)) {
		kt_exchange_header(c->ex, "Retry-After", "5");
		if (kt_errno_full(err->sys))
			kt_api_fail(c, 507, "storage_full", err->msg, NULL);
		else
			kt_api_fail(c, 503, "storage_failed", err->msg, NULL);
		return;
	}
	kt_api_fail(c, kt_code_http(err->code), kt_code_name(err->code), err->msg, NULL);
}

/*
 * Further members of a problem, as text without the braces: none that a problem has by itself.
 * NULL when there are none.
 */
static char *further_members(const char *extra)
{
	static const char *const own[] = { "type", "title", "status", "detail", "code",
		"request_id", "error", "reason", "message" };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(512 * 1024);
	KT_AUTO_JSON cJSON *doc = NULL;

	if (!extra || !*extra)
		return NULL;
	kt_buf_addf(&b, extra[0] == '{' ? "%s" : "{%s}", extra);
	if (!kt_buf_ok(&b) || kt_json_parse(b.ptr, b.len, KT_JSON_LENIENT, &doc, NULL) != KT_OK)
		return NULL;
	for (size_t i = 0; i < KT_ARRAY_LEN(own); i++)
		cJSON_DeleteItemFromObjectCaseSensitive(doc, own[i]);
	if (!cJSON_IsObject(doc) || !doc->child)
		return NULL;
	kt_buf_clear(&b);
	kt_json_add(&b, doc);
	if (!kt_buf_ok(&b))
		return NULL;
	return kt_strndup(b.ptr + 1, b.len - 2);
}

void kt_api_result(struct kt_call *c, const struct kt_result *r)
{
	int status = r->status ? r->status : r->rc == KT_OK ? 200 : kt_code_http(r->rc);
	char etag[KT_ID_MAX + 8];

	if (r->rc != KT_OK || status >= 400) {
		KT_AUTOFREE char *extra = further_members(r->extra);

		if (status == 503 || status == 429)
			kt_exchange_header(c->ex, "Retry-After", "1");
		kt_api_fail(c, status, r->code ? r->code : kt_code_name(r->rc),
			r->message ? r->message : kt_http_reason(status), extra);
		return;
	}
	if (r->etag) {
		snprintf(etag, sizeof(etag), r->etag[0] == '"' ? "%s" : "\"%s\"", r->etag);
		kt_exchange_header(c->ex, "ETag", etag);
	}
	if (status == 204 || !r->json)
		kt_respond(c->ex, 204, NULL, NULL, 0);
	else
		kt_respond(c->ex, status, "application/json", r->json, r->json_len);
}
