/* SPDX-License-Identifier: MIT */
/* What a request carries, for handlers: its body as JSON, members and query parameters. */
#include "api/core/core_private.h"

#include "base/str.h"
#include "text/json.h"

#include <string.h>

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
