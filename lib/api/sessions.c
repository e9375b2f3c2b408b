/* SPDX-License-Identifier: MIT */
/* Sessions: create or resume, list, fetch, delete. */
#include "api/api_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"
#include "text/json.h"

#include <string.h>

#define LIST_DEFAULT 50
#define LIST_MAX 200

/* Metadata as text; false when the call was answered. */
static bool read_metadata(struct kt_call *c, const cJSON *body, struct kt_buf *out)
{
	const cJSON *v = kt_json_get(body, "metadata");

	if (!v || cJSON_IsNull(v)) {
		kt_buf_adds(out, "{}");
		return true;
	}
	if (!cJSON_IsObject(v)) {
		kt_api_fail(c, 422, "validation_failed", "'metadata' must be an object", NULL);
		return false;
	}
	if (cJSON_GetArraySize(v) > KT_MAX_METADATA_KEYS) {
		kt_api_fail(c, 422, "validation_failed", "'metadata' has more than 50 keys", NULL);
		return false;
	}
	kt_json_add(out, v);
	if (!kt_buf_ok(out)) {
		kt_api_fail(c, 422, "validation_failed", "'metadata' is larger than 16 KiB", NULL);
		return false;
	}
	return true;
}

static void create_new(struct kt_call *c, const struct kt_session_new *n, struct kt_key *key)
{
	struct kt_session *s;
	struct kt_err err = KT_ERR_INIT;

	if (kt_session_create(c->api->cfg.sessions, n, &s, &err) != KT_OK) {
		kt_api_fail_err(c, &err);
		return;
	}
	if (key->key[0]) {
		struct kt_idem what = { .fingerprint = key->fingerprint, .at_us = kt_time_us() };

		memcpy(what.session_id, s->id, sizeof(what.session_id));
		kt_idem_put(c->api->cfg.sessions, "create", key->key, &what);
	}
	kt_api_send_session(c, 201, s);
}

void kt_api_sessions_create(struct kt_call *c, const struct kt_params *p)
{
	KT_AUTO_BUF struct kt_buf meta = KT_BUF_INIT(KT_MAX_METADATA_BYTES);
	KT_AUTO_JSON cJSON *body = NULL;
	struct kt_session_new n = { 0 };
	const char *resume;
	struct kt_session *s;
	struct kt_key key;

	if (!kt_api_body(c, &body) || !read_metadata(c, body, &meta) ||
		!kt_api_opt_str(c, body, "session_id", &resume) ||
		!kt_api_opt_str(c, body, "parent_id", &n.parent_id) ||
		!kt_api_opt_str(c, body, "permission_mode", &n.permission_mode) ||
		!kt_api_key(c, "create", &key))
		return;
	if (key.seen) {
		s = kt_api_session(c, key.seen->session_id);
		if (s)
			kt_api_send_session(c, 201, s);
		return;
	}
	if (resume) {
		/* An unknown id is not made up: resuming a session that is not there is an error.
		 */
		s = kt_api_session(c, resume);
		if (s)
			kt_api_send_session(c, 201, s);
		return;
	}
	n.metadata = meta.ptr;
	create_new(c, &n, &key);
}

void kt_api_sessions_list(struct kt_call *c, const struct kt_params *p)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 * 1024 * 1024);
	struct kt_sessions *reg = c->api->cfg.sessions;
	const struct kt_session *s = NULL;
	char text[64];
	int64_t limit = LIST_DEFAULT, n = 0;
	struct kt_jw w;

	if (!kt_api_query_int(c, "limit", 1, LIST_MAX, &limit) ||
		!kt_api_query(c, "after", text, sizeof(text)))
		return;
	if (text[0]) {
		s = kt_session_get(reg, text);
		if (!s) {
			kt_api_fail(c, 400, "bad_query", "'after' names no session", NULL);
			return;
		}
	}
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_arr(&w, "data");
	s = kt_session_older(reg, s);
	for (; s && n < limit; n++, s = kt_session_older(reg, s)) {
		kt_jw_obj(&w, NULL);
		kt_session_write(&w, s);
		if (c->project)
			kt_api_write_project(&w, c);
		kt_jw_obj_end(&w);
	}
	kt_jw_arr_end(&w);
	kt_jw_bool(&w, "has_more", s != NULL);
	kt_jw_obj_end(&w);
	kt_respond_json(c->ex, 200, &b);
}

void kt_api_sessions_get(struct kt_call *c, const struct kt_params *p)
{
	struct kt_session *s = kt_api_session(c, p->value[0]);

	if (s)
		kt_api_send_session(c, 200, s);
}

void kt_api_sessions_delete(struct kt_call *c, const struct kt_params *p)
{
	struct kt_session *s = kt_api_session(c, p->value[0]);

	if (!s)
		return;
	kt_session_delete(s);
	kt_respond(c->ex, 204, NULL, NULL, 0);
}
