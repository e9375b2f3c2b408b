/* SPDX-License-Identifier: MIT */
/*
 * How things look in the API: the members of projects, releases, keys and audit entries, and the
 * URLs they are reached at. Works on the loop and inside transactions: it looks at what it is given
 * only.
 */
#include "control/core/op_private.h"

#include "base/str.h"
#include "base/time.h"
#include "net/url.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void kt_write_time(struct kt_jw *w, const char *key, int64_t us)
{
	char iso[40];

	if (us <= 0) {
		kt_jw_null(w, key);
		return;
	}
	kt_time_iso(us, false, iso, sizeof(iso));
	kt_jw_str(w, key, iso);
}

void kt_write_pin(struct kt_jw *w, const char *reason, const char *by, int64_t since_us)
{
	kt_jw_bool(w, "pinned", reason != NULL);
	kt_jw_str(w, "pin_reason", reason);
	kt_jw_str(w, "pinned_by", reason ? by : NULL);
	kt_write_time(w, "pinned_at", reason ? since_us : 0);
}

const char *kt_version_text(struct kt_arena *arena, int64_t version)
{
	return kt_arena_printf(arena, "v%lld", (long long)version);
}

/* --- names and addresses ---------------------------------------------------------------- */

/* Host names the server or its operator may want for something else; projects may be called so. */
static const char *const reserved_labels[] = { "www", "api", "admin", "karta", "app", "console",
	"dashboard", "device", "docs", "git", "hooks", "localhost", "login", "mail", "static",
	"status", "webhooks", NULL };

bool kt_label_reserved(const char *label)
{
	for (size_t i = 0; reserved_labels[i]; i++) {
		if (strcmp(reserved_labels[i], label) == 0)
			return true;
	}
	return false;
}

static bool is_address(const struct kt_url *u)
{
	return u->ipv6 || strspn(u->host, "0123456789.") == strlen(u->host);
}

/* name below the host, or as a path (always where the host is an address: it has no names below).
 */
static const char *make_url(struct kt_op *op, const char *name, bool by_path)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(2048);
	struct kt_url u;
	const char *host;
	const char *out;
	size_t path;

	if (kt_url_parse(op->by.base_url, &u, NULL) != KT_OK)
		return kt_arena_printf(op->arena,
			by_path ? "http://localhost/v1/projects/%s" : "http://%s.localhost", name);
	path = strcspn(u.path, "?#");
	while (path > 0 && u.path[path - 1] == '/')
		path--;
	if (by_path || (is_address(&u) && !u.loopback)) {
		kt_url_add_origin(&b, &u);
		kt_buf_add(&b, u.path, path);
		kt_buf_addf(&b, "/v1/projects/%s", name);
	} else {
		host = u.loopback ? "localhost" : u.host;
		kt_buf_addf(&b, "%s://%s.%s", u.https ? "https" : "http", name, host);
		if (u.port != (u.https ? 443 : 80))
			kt_buf_addf(&b, ":%d", u.port);
		kt_buf_add(&b, u.path, path);
	}
	kt_url_release(&u);
	out = kt_arena_strndup(op->arena, b.ptr, b.len);
	return out;
}

const char *kt_label_url(struct kt_op *op, const char *label)
{
	return make_url(op, label, false);
}

const char *kt_project_url(struct kt_op *op, const char *slug, const char *label)
{
	return kt_label_reserved(slug) ? make_url(op, slug, true) : make_url(op, label, false);
}

static void write_version(struct kt_jw *w, const char *key, int64_t version)
{
	char v[24];

	(void)snprintf(v, sizeof(v), "v%lld", (long long)version);
	kt_jw_str(w, key, v);
}

/* What was released, by whom and when, as far as a list shows it. */
static void write_origin(struct kt_jw *w, const struct kt_release_mem *r)
{
	kt_jw_str(w, "commit_sha", r->commit_sha);
	kt_jw_str(w, "message", r->message);
	kt_jw_str(w, "created_by", r->created_by);
	kt_write_time(w, "created_at", r->created_us);
	kt_write_time(w, "activated_at", r->activated_us);
}

static void write_previews(struct kt_jw *w, struct kt_op *op, const struct kt_project_mem *p)
{
	kt_jw_arr(w, "previews");
	for (size_t i = 0; i < p->previews.len; i++) {
		const struct kt_release_mem *r = p->previews.items[i];

		kt_jw_obj(w, NULL);
		kt_jw_str(w, "label", r->label);
		kt_jw_str(w, "url", kt_label_url(op, r->label));
		kt_jw_str(w, "release", r->id);
		write_version(w, "version", r->version);
		kt_jw_str(w, "ref", r->ref);
		if (r->pr > 0)
			kt_jw_int(w, "pr", r->pr);
		else
			kt_jw_null(w, "pr");
		kt_write_time(w, "expires_at", r->expires_us);
		write_origin(w, r);
		kt_jw_obj_end(w);
	}
	kt_jw_arr_end(w);
}

void kt_write_project(struct kt_jw *w, struct kt_op *op, const struct kt_project_mem *p)
{
	kt_jw_str(w, "id", p->id);
	kt_jw_str(w, "slug", p->slug);
	kt_jw_str(w, "org", p->org->slug);
	kt_jw_str(w, "url", kt_project_url(op, p->slug, p->label));
	kt_jw_bool(w, "default", kt_str_eq(p->org->default_project, p->id));
	kt_jw_str(w, "kind", p->dir ? "folder" : "release");
	if (p->dir)
		kt_jw_str(w, "dir", p->dir);
	kt_jw_str(w, "harness", p->harness);
	kt_jw_str(w, "production_ref", p->production_ref);
	if (p->current) {
		kt_jw_obj(w, "current");
		kt_jw_str(w, "release", p->current->id);
		write_version(w, "version", p->current->version);
		write_origin(w, p->current);
		kt_jw_obj_end(w);
	} else {
		kt_jw_null(w, "current");
	}
	kt_write_pin(w, p->pin_reason, p->pin_by, p->pinned_us);
	kt_jw_int(w, "config_version", p->config_version);
	kt_jw_str(w, "repo_url", p->repo_url);
	write_previews(w, op, p);
	kt_write_time(w, "created_at", p->created_us);
}

void kt_write_release(struct kt_jw *w, struct kt_op *op, const struct kt_project_mem *p,
	const struct kt_release_row *r, bool active)
{
	kt_jw_str(w, "id", r->id);
	kt_jw_str(w, "project", p->slug);
	write_version(w, "version", r->version);
	kt_jw_str(w, "state", kt_release_state_name(r->state));
	kt_jw_str(w, "digest", r->digest);
	kt_jw_str(w, "kind", r->kind);
	kt_jw_str(w, "image_ref", r->image_ref);
	kt_jw_str(w, "harness", r->harness);
	kt_jw_str(w, "commit_sha", r->commit_sha);
	kt_jw_str(w, "ref", r->ref);
	kt_jw_str(w, "message", r->message);
	kt_jw_str(w, "source", r->source);
	kt_jw_str(w, "preview", r->preview);
	if (r->pr > 0)
		kt_jw_int(w, "pr", r->pr);
	else
		kt_jw_null(w, "pr");
	kt_jw_bool(w, "fork", r->fork);
	kt_jw_str(w, "url",
		r->preview ? kt_label_url(op, r->preview) : kt_project_url(op, p->slug, p->label));
	kt_write_time(w, "expires_at", r->expires_us);
	kt_jw_int(w, "config_version", r->config_version);
	kt_jw_int(w, "files", r->n_files);
	kt_jw_int(w, "bytes", r->n_bytes);
	kt_jw_str(w, "created_by", r->created_by);
	kt_write_time(w, "created_at", r->created_us);
	kt_write_time(w, "built_at", r->built_us);
	kt_write_time(w, "activated_at", r->activated_us);
	if (r->error_code || r->error) {
		kt_jw_obj(w, "error");
		kt_jw_str(w, "code", r->error_code ? r->error_code : "build_failed");
		kt_jw_str(w, "message", r->error);
		kt_jw_obj_end(w);
	} else {
		kt_jw_null(w, "error");
	}
	kt_jw_bool(w, "active", active);
	kt_write_pin(w, p->pin_reason, p->pin_by, p->pinned_us);
}

void kt_write_scopes(struct kt_jw *w, const char *key, unsigned scopes)
{
	kt_jw_arr(w, key);
	if (scopes & KT_SCOPE_READ)
		kt_jw_str(w, NULL, "read");
	if (scopes & KT_SCOPE_WRITE)
		kt_jw_str(w, NULL, "write");
	if (scopes & KT_SCOPE_ADMIN)
		kt_jw_str(w, NULL, "admin");
	kt_jw_arr_end(w);
}

void kt_write_key(struct kt_jw *w, const struct kt_key_row *k)
{
	kt_jw_str(w, "id", k->id);
	kt_jw_str(w, "name", k->name);
	kt_jw_str(w, "prefix", k->prefix);
	kt_jw_str(w, "last4", k->last4);
	kt_write_scopes(w, "scopes", k->scopes);
	kt_write_time(w, "created_at", k->created_us);
	kt_jw_str(w, "created_by", k->created_by);
	kt_write_time(w, "last_used_at", k->last_used_us);
	kt_write_time(w, "expires_at", k->expires_us);
	kt_write_time(w, "revoked_at", k->revoked_us);
}

void kt_write_audit(struct kt_jw *w, const struct kt_audit_row *a)
{
	kt_jw_int(w, "seq", a->seq);
	kt_write_time(w, "at", a->at_us);
	kt_jw_str(w, "actor", a->actor);
	kt_jw_str(w, "actor_name", a->actor_name);
	kt_jw_str(w, "action", a->action);
	kt_jw_str(w, "object", a->object);
	/* Made by kt_json_pairs() or a writer; what is not one JSON value stays out all the same.
	 */
	if (a->detail && kt_json_check(a->detail, strlen(a->detail), KT_JSON_STRICT, NULL) == KT_OK)
		kt_jw_raw(w, "detail", a->detail, strlen(a->detail));
	else
		kt_jw_raw(w, "detail", "{}", 2);
	kt_jw_str(w, "request_id", a->request_id);
	kt_jw_str(w, "remote_ip", a->remote_ip);
	kt_jw_str(w, "hash", a->hash);
}

const char *kt_json_pairs(struct kt_arena *arena, ...)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
	struct kt_jw w;
	const char *key;
	va_list ap;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	va_start(ap, arena);
	while ((key = va_arg(ap, const char *)) != NULL) {
		const char *value = va_arg(ap, const char *);

		kt_jw_str(&w, key, value);
	}
	va_end(ap);
	kt_jw_obj_end(&w);
	return kt_arena_strdup(arena, kt_buf_ok(&b) ? b.ptr : "{}");
}

bool kt_slug_ok(const char *s)
{
	return s && kt_str_is_slug(s);
}

const char *kt_object_project(struct kt_arena *arena, const char *slug)
{
	return kt_arena_printf(arena, "project/%s", slug);
}
