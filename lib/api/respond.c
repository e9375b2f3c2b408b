/* SPDX-License-Identifier: MIT */
/* Reading bodies, writing answers and problems. */
#include "api/api_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "text/json.h"
#include "text/redact.h"

#include <string.h>
#include <strings.h>

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

bool kt_api_body(struct kt_call *c, cJSON **out)
{
	const struct kt_request *rq = c->rq;
	struct kt_err err = KT_ERR_INIT;
	cJSON *doc = NULL;
	char detail[512];
	enum kt_code rc;

	if (!rq->body_len) {
		*out = cJSON_CreateObject();
		if (*out)
			return true;
		kt_api_fail(c, 503, "no_memory", "the server is out of memory", NULL);
		return false;
	}
	rc = c->parsed ? kt_api_parse_take(c->parsed, &doc, &err)
		       : kt_api_parse_text(rq->body, rq->body_len, &doc, &err);
	if (rc == KT_ELIMIT) {
		kt_api_fail(c, 413, "too_large", err.msg, NULL);
		return false;
	}
	if (rc != KT_OK) {
		snprintf(detail, sizeof(detail), "the body is not valid JSON: %s", err.msg);
		kt_api_fail(c, 400, "bad_json", detail, NULL);
		return false;
	}
	if (!cJSON_IsObject(doc)) {
		cJSON_Delete(doc);
		kt_api_fail(c, 400, "bad_json", "the body must be a JSON object", NULL);
		return false;
	}
	*out = doc;
	return true;
}

bool kt_api_change(struct kt_call *c, const char *const *members, cJSON **out)
{
	char detail[128];

	if (!kt_api_body(c, out))
		return false;
	for (const cJSON *m = (*out)->child; m; m = m->next) {
		size_t i = 0;

		while (members[i] && strcmp(members[i], m->string) != 0)
			i++;
		if (members[i])
			continue;
		snprintf(detail, sizeof(detail), "there is no member '%.80s'", m->string);
		kt_api_fail(c, 422, "validation_failed", detail, NULL);
		return false;
	}
	return true;
}

static bool wrong_type(struct kt_call *c, const char *key, const char *type)
{
	char detail[160];

	snprintf(detail, sizeof(detail), "'%s' must be a %s", key, type);
	kt_api_fail(c, 422, "validation_failed", detail, NULL);
	return false;
}

bool kt_api_opt_str(struct kt_call *c, const cJSON *body, const char *key, const char **out)
{
	const cJSON *v = kt_json_get(body, key);

	*out = NULL;
	if (!v || cJSON_IsNull(v))
		return true;
	if (!cJSON_IsString(v))
		return wrong_type(c, key, "string");
	*out = v->valuestring;
	return true;
}

bool kt_api_opt_bool(struct kt_call *c, const cJSON *body, const char *key, bool *out)
{
	const cJSON *v = kt_json_get(body, key);

	*out = false;
	if (!v || cJSON_IsNull(v))
		return true;
	if (!cJSON_IsBool(v))
		return wrong_type(c, key, "boolean");
	*out = cJSON_IsTrue(v);
	return true;
}

static bool query_names(const char *query, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = query; p && *p; p = strchr(p, '&')) {
		if (*p == '&')
			p++;
		if (!strncmp(p, name, len) && (p[len] == '=' || p[len] == '&' || !p[len]))
			return true;
	}
	return false;
}

bool kt_api_query(struct kt_call *c, const char *name, char *out, size_t size)
{
	char detail[160];

	out[0] = '\0';
	if (!query_names(c->rq->query, name) || kt_request_query(c->rq, name, out, size))
		return true;
	snprintf(detail, sizeof(detail),
		"the query parameter '%s' takes at most %zu bytes, escaped as in a URL", name,
		size - 1);
	kt_api_fail(c, 400, "bad_query", detail, NULL);
	return false;
}

bool kt_api_query_int(struct kt_call *c, const char *name, int64_t min, int64_t max, int64_t *out)
{
	char text[32], detail[160];

	if (!query_names(c->rq->query, name) ||
		(kt_request_query(c->rq, name, text, sizeof(text)) &&
			kt_str_int64(text, min, max, out)))
		return true;
	if (max == INT64_MAX)
		snprintf(detail, sizeof(detail),
			"the query parameter '%s' takes a whole number, %lld or more", name,
			(long long)min);
	else
		snprintf(detail, sizeof(detail),
			"the query parameter '%s' takes a whole number from %lld to %lld", name,
			(long long)min, (long long)max);
	kt_api_fail(c, 400, "bad_query", detail, NULL);
	return false;
}

bool kt_api_async(const struct kt_request *rq)
{
	const char *prefer = kt_request_header(rq, "prefer");

	return prefer && strstr(prefer, "respond-async");
}

bool kt_api_accepts(const struct kt_request *rq, const char *type)
{
	const char *accept = kt_request_header(rq, "accept");

	return accept && strcasestr(accept, type);
}

struct kt_session *kt_api_session(struct kt_call *c, const char *id)
{
	struct kt_session *s = kt_session_get(c->api->cfg.sessions, id);

	if (s && !kt_api_visible(c, s))
		s = NULL;
	if (!s)
		kt_api_fail(c, 404, "session_not_found", "there is no such session", NULL);
	return s;
}

void kt_api_write_project(struct kt_jw *w, struct kt_call *c, const struct kt_session *s)
{
	const struct kt_target *t = kt_session_target(s);
	const char *name;
	char version[32];

	if (t) {
		kt_jw_obj(w, "project");
		kt_jw_str(w, "ref", t->project);
		kt_jw_str(w, "project_id", t->project_id);
		snprintf(version, sizeof(version), "v%lld", (long long)t->version);
		kt_jw_str(w, "version", t->version ? version : "dev");
		kt_jw_obj_end(w);
	} else if (c->project) {
		name = kt_sessions_app(c->api->cfg.sessions)->name;
		kt_jw_obj(w, "project");
		kt_jw_str(w, "ref", name);
		kt_jw_str(w, "project_id", name);
		kt_jw_str(w, "version", "dev");
		kt_jw_obj_end(w);
	}
}

void kt_api_write_session(struct kt_jw *w, struct kt_call *c, const struct kt_session *s)
{
	const struct kt_target *t = kt_session_target(s);
	char version[32];

	kt_session_write(w, s);
	kt_api_write_project(w, c, s);
	if (!t)
		return;
	snprintf(version, sizeof(version), "v%lld", (long long)t->version);
	kt_jw_str(w, "release", t->version ? version : NULL);
	kt_jw_str(w, "org", t->org_slug);
}

void kt_api_send_session(struct kt_call *c, int status, const struct kt_session *s)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4 * KT_MAX_EVENT_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_api_write_session(&w, c, s);
	kt_jw_obj_end(&w);
	kt_respond_json(c->ex, status, &b);
}
