/* SPDX-License-Identifier: MIT */
/* Sessions: create or resume, list, fetch, rename, delete. */
#include "api/sessions/sessions_private.h"

#include "base/limits.h"
#include "base/str.h"
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
		kt_api_fail(c, 422, "validation_failed", "'metadata' has more than 50 keys (fixed)",
			NULL);
		return false;
	}
	kt_json_add(out, v);
	if (!kt_buf_ok(out)) {
		kt_api_fail(c, 422, "validation_failed", "'metadata' is larger than 16 KiB (fixed)",
			NULL);
		return false;
	}
	return true;
}

/* What "create" keys are remembered under: those of one organization are none of another's. */
static void create_scope(const struct kt_call *c, char *out, size_t size)
{
	if (c->by)
		snprintf(out, size, "create:%s", c->by->who.org_id);
	else
		kt_str_copy(out, size, "create");
}

static struct kt_session *create_now(
	struct kt_call *c, struct kt_session_new *n, const char *scope, const struct kt_key *key)
{
	struct kt_session *s;
	struct kt_err err = KT_ERR_INIT;

	n->key = (struct kt_request_key){ scope, key->key, key->fingerprint };
	if (kt_session_create(c->api->cfg.sessions, n, &s, &err) != KT_OK) {
		kt_api_fail_err(c, &err);
		return NULL;
	}
	return s;
}

static void send_durable(struct kt_call *c, void *data)
{
	struct kt_session *s = kt_api_session(c, data);

	if (s)
		kt_api_send_session(c, 201, s);
}

static void send_created(struct kt_call *c, struct kt_session *s)
{
	if (c->by)
		kt_api_durable(c, send_durable, kt_strdup(s->id), free);
	else
		kt_api_send_session(c, 201, s);
}

/* --- on a hosting server: the release is made ready first -------------------------------- */

struct kt_creation {
	struct kt_creation *prev, *next;
	struct kt_api *api;
	cJSON *body;
	struct kt_buf meta;
	struct kt_session_new n;
	struct kt_target target;
	struct kt_key key;
	char scope[KT_ID_MAX + 16];
};

static void creation_free(void *arg)
{
	struct kt_creation *cr = arg;

	if (cr->prev)
		cr->prev->next = cr->next;
	else
		cr->api->creations = cr->next;
	if (cr->next)
		cr->next->prev = cr->prev;
	cJSON_Delete(cr->body);
	kt_buf_release(&cr->meta);
	free(cr);
}

/* True when a creation with this key is on its way; answers the call then. */
static bool creation_runs(struct kt_call *c, const char *scope, const struct kt_key *key)
{
	for (struct kt_creation *cr = c->api->creations; cr && key->key[0]; cr = cr->next) {
		if (!kt_str_eq(cr->key.key, key->key) || !kt_str_eq(cr->scope, scope))
			continue;
		if (cr->key.fingerprint != key->fingerprint) {
			kt_api_fail(c, 422, "idempotency_key_reused",
				"this Idempotency-Key was used with another body", NULL);
			return true;
		}
		kt_exchange_header(c->ex, "Retry-After", "1");
		kt_api_fail(c, 409, "idempotent_request_running",
			"the first request with this Idempotency-Key is still running", NULL);
		return true;
	}
	return false;
}

static void on_session_prepared(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct kt_later *l = arg;
	struct kt_creation *cr = l->data;
	struct kt_session *s;

	/* Who left before anything was made does not get a session that nobody knows. */
	if (l->c.ex && rc != KT_OK) {
		kt_api_fail_err(&l->c, err);
	} else if (l->c.ex) {
		s = create_now(&l->c, &cr->n, cr->scope, &cr->key);
		if (s)
			send_created(&l->c, s);
	}
	kt_api_later_free(l);
}

/* The project of a flat call is in its body. */
static bool resolve_body(struct kt_call *c, const cJSON *body)
{
	const char *ref;

	if (c->by->target.project_id[0])
		return kt_api_has_release(c);
	if (!kt_api_opt_str(c, body, "project", &ref))
		return false;
	return kt_api_resolve_flat(c, ref) && kt_api_has_release(c);
}

static bool parent_visible(struct kt_call *c, const char *id)
{
	const struct kt_session *s;
	struct kt_err err = KT_ERR_INIT;

	if (!id)
		return true;
	s = kt_session_get(c->api->cfg.sessions, id);
	if (s && kt_api_visible(c, s))
		return true;
	(void)kt_fail(&err, KT_ENOTFOUND, 0, "there is no session '%s' to be the parent", id);
	kt_api_fail_err(c, &err);
	return false;
}

/* TAKES body and meta. */
static void create_hosted(struct kt_call *c, cJSON **body, struct kt_buf *meta,
	const struct kt_session_new *n, const char *scope, const struct kt_key *key)
{
	struct kt_creation *cr;

	if (creation_runs(c, scope, key) || !resolve_body(c, *body) ||
		!parent_visible(c, n->parent_id))
		return;
	cr = kt_calloc(1, sizeof(*cr));
	cr->api = c->api;
	cr->body = KT_STEAL(*body);
	cr->meta = *meta;
	kt_buf_init(meta, 0);
	cr->n = *n;
	cr->n.metadata = cr->meta.ptr;
	cr->target = c->by->target;
	cr->n.target = &cr->target;
	cr->key = *key;
	kt_str_copy(cr->scope, sizeof(cr->scope), scope);
	cr->next = c->api->creations;
	if (cr->next)
		cr->next->prev = cr;
	c->api->creations = cr;
	kt_sessions_prepare(c->api->cfg.sessions, &cr->target, on_session_prepared,
		kt_api_later(c, cr, creation_free));
}

void kt_api_sessions_create(struct kt_call *c, const struct kt_params *p)
{
	KT_AUTO_BUF struct kt_buf meta = KT_BUF_INIT(KT_MAX_METADATA_BYTES);
	KT_AUTO_JSON cJSON *body = NULL;
	struct kt_session_new n = { 0 };
	const char *resume;
	char scope[KT_ID_MAX + 16];
	struct kt_session *s;
	struct kt_key key;

	create_scope(c, scope, sizeof(scope));
	if (!kt_api_body(c, &body) || !read_metadata(c, body, &meta) ||
		!kt_api_opt_str(c, body, "session_id", &resume) ||
		!kt_api_opt_str(c, body, "parent_id", &n.parent_id) ||
		!kt_api_opt_str(c, body, "permission_mode", &n.permission_mode) ||
		!kt_api_key(c, scope, &key))
		return;
	if (key.seen || resume) {
		/*
		 * An unknown id is not made up: resuming a session that is not there is an error.
		 */
		s = kt_api_session(c, key.seen ? key.seen->session_id : resume);
		if (s)
			send_created(c, s);
		return;
	}
	n.metadata = meta.ptr;
	if (c->by) {
		create_hosted(c, &body, &meta, &n, scope, &key);
		return;
	}
	s = create_now(c, &n, scope, &key);
	if (s)
		send_created(c, s);
}

/* The next one, newest first, that the caller may see. */
static const struct kt_session *older(const struct kt_call *c, const struct kt_session *s)
{
	const struct kt_sessions *reg = c->api->cfg.sessions;

	if (c->by && c->by->target.project_id[0])
		return kt_session_older_of(reg, c->by->target.project_id, s);
	do
		s = kt_session_older(reg, s);
	while (s && !kt_api_visible(c, s));
	return s;
}

void kt_api_sessions_list(struct kt_call *c, const struct kt_params *p)
{
	/* One session may pass the page's size: metadata, and the input that it waits for. */
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT((size_t)3 * KT_MAX_PAGE_BYTES);
	struct kt_sessions *reg = c->api->cfg.sessions;
	const struct kt_session *s = NULL;
	char text[64], ref[64];
	int64_t limit = LIST_DEFAULT, n = 0;
	struct kt_jw w;

	if (c->by && !c->by->target.project_id[0]) {
		if (!kt_api_query(c, "project", ref, sizeof(ref)) ||
			(ref[0] && !kt_api_resolve_ref(c, ref)))
			return;
	}
	if (!kt_api_query_int(c, "limit", 1, LIST_MAX, &limit) ||
		!kt_api_query(c, "after", text, sizeof(text)))
		return;
	if (text[0]) {
		s = kt_session_get(reg, text);
		if (!s || !kt_api_visible(c, s)) {
			kt_api_fail(c, 400, "bad_query", "'after' names no session", NULL);
			return;
		}
	}
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_arr(&w, "data");
	s = older(c, s);
	for (; s && n < limit && b.len < KT_MAX_PAGE_BYTES; n++, s = older(c, s)) {
		kt_jw_obj(&w, NULL);
		kt_api_write_session(&w, c, s);
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

static void send_changed(struct kt_call *c, void *data)
{
	struct kt_session *s = kt_api_session(c, data);

	if (s)
		kt_api_send_session(c, 200, s);
}

void kt_api_sessions_change(struct kt_call *c, const struct kt_params *p)
{
	struct kt_session *s = kt_api_session(c, p->value[0]);
	KT_AUTO_JSON cJSON *body = NULL;
	struct kt_err err = KT_ERR_INIT;
	const char *title;

	if (!s || !kt_api_body(c, &body) || !kt_api_opt_str(c, body, "title", &title))
		return;
	if (!title) {
		kt_api_fail(c, 422, "validation_failed",
			"'title' is missing: it is what can be changed", NULL);
		return;
	}
	/* Nobody could be told that it is done. */
	if ((c->by && kt_sessions_health(c->api->cfg.sessions, &err) != KT_OK) ||
		kt_session_rename(s, title, &err) != KT_OK) {
		kt_api_fail_err(c, &err);
		return;
	}
	kt_api_durable(c, send_changed, kt_strdup(s->id), free);
}

static void send_deleted(struct kt_call *c, void *data)
{
	kt_respond(c->ex, 204, NULL, NULL, 0);
}

void kt_api_sessions_delete(struct kt_call *c, const struct kt_params *p)
{
	struct kt_session *s = kt_api_session(c, p->value[0]);
	struct kt_err err = KT_ERR_INIT;

	if (!s)
		return;
	/* Nobody could be told that it is done. */
	if (c->by && kt_sessions_health(c->api->cfg.sessions, &err) != KT_OK) {
		kt_api_fail_err(c, &err);
		return;
	}
	kt_session_delete(s);
	kt_api_durable(c, send_deleted, NULL, NULL);
}
