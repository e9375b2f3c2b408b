/* SPDX-License-Identifier: MIT */
/*
 * Projects: list, make, change, delete, and what was pushed into them (refs). Names are claimed by
 * one INSERT; everything else is read again inside the transaction that changes it.
 */
#include "control/project/project_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/rand.h"
#include "base/str.h"
#include "base/time.h"
#include "net/reach.h"
#include "net/url.h"

#include <stdio.h>
#include <string.h>

#define MAX_REF_BYTES 255
#define MAX_SECRET_BYTES 4096

/* --- reading ----------------------------------------------------------------------------- */

static int project_rows_by_slug(const void *a, const void *b)
{
	const struct kt_project_mem *const *pa = a;
	const struct kt_project_mem *const *pb = b;

	return strcmp((*pa)->slug, (*pb)->slug);
}

static void find_projects(const struct kt_op *op, struct kt_vec *out)
{
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(&op->ctl->projects, &pos, &key, &value)) {
		struct kt_project_mem *p = value;

		if (strcmp(p->org->id, op->who.org_id) == 0)
			kt_vec_push(out, p);
	}
	if (out->len > 1)
		qsort(out->items, out->len, sizeof(out->items[0]), project_rows_by_slug);
}

static void show_projects(struct kt_op *op)
{
	struct kt_vec found = KT_VEC_INIT;
	struct kt_jw w;

	find_projects(op, &found);
	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_jw_arr(&w, "data");
	for (size_t i = 0; i < found.len; i++) {
		kt_jw_obj(&w, NULL);
		kt_write_project(&w, op, found.items[i]);
		kt_jw_obj_end(&w);
	}
	kt_jw_arr_end(&w);
	kt_jw_obj_end(&w);
	kt_vec_release(&found);
	kt_op_end(op, KT_OK, NULL);
}

void kt_control_projects(
	struct kt_control *ctl, const struct kt_actor *a, kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	struct kt_vec found = KT_VEC_INIT;

	find_projects(op, &found);
	kt_op_look(op, &found, show_projects);
	kt_vec_release(&found);
}

void kt_op_show_project(struct kt_op *op, const struct kt_project_mem *p)
{
	struct kt_jw w;

	kt_buf_clear(&op->json);
	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_write_project(&w, op, p);
	kt_jw_obj_end(&w);
	kt_op_etag(op, p->current ? p->current->id : NULL);
}

enum kt_code kt_project_find(struct kt_tx *tx, struct kt_op *op, const char *ref,
	struct kt_project_row *out, struct kt_err *err)
{
	enum kt_code rc = kt_tx_project(tx, op->arena, op->who.org_id, ref, out, err);

	if (rc == KT_ENOTFOUND)
		return kt_op_code(op, kt_fail(err, rc, 0, "there is no such project"), 404,
			"project_not_found");
	return rc;
}

enum kt_code kt_project_temp(struct kt_tx *tx, struct kt_op *op, const struct kt_project_row *row,
	struct kt_project_mem **out, struct kt_err *err)
{
	struct kt_project_mem *p = kt_arena_alloc(op->arena, sizeof(*p));
	struct kt_org_mem *org = kt_arena_alloc(op->arena, sizeof(*org));
	struct kt_org_row o = { .id = NULL };
	struct kt_release_row r;
	enum kt_code rc = kt_tx_org(tx, op->arena, row->org_id, &o, err);

	if (rc != KT_OK)
		return rc;
	(void)kt_str_copy(org->id, sizeof(org->id), op->who.org_id);
	(void)kt_str_copy(org->slug, sizeof(org->slug), op->who.org_slug);
	(void)kt_str_copy(org->default_project, sizeof(org->default_project),
		o.default_project_id ? o.default_project_id : "");
	p->org = org;
	(void)kt_str_copy(p->id, sizeof(p->id), row->id);
	(void)kt_str_copy(p->slug, sizeof(p->slug), row->slug);
	(void)kt_str_copy(p->label, sizeof(p->label), row->label);
#define COPY(s) ((s) ? kt_arena_strdup(op->arena, (s)) : NULL)
	p->dir = COPY(row->dir);
	p->harness = COPY(row->harness);
	p->production_ref = COPY(row->production_ref);
	p->pin_reason = COPY(row->pin_reason);
	p->pin_by = COPY(row->pin_by);
	p->pinned_us = row->pinned_us;
	p->repo_url = COPY(row->repo_url);
#undef COPY
	p->config_version = row->config_version;
	p->created_us = row->created_us;
	if (row->current_release_id)
		rc = kt_tx_release(tx, op->arena, row->org_id, row->current_release_id, &r, err);
	if (row->current_release_id && rc == KT_OK) {
		p->current = kt_arena_alloc(op->arena, sizeof(*p->current));
		(void)kt_str_copy(p->current->id, sizeof(p->current->id), r.id);
		p->current->version = r.version;
		p->current->commit_sha = kt_arena_strdup_opt(op->arena, r.commit_sha);
		p->current->created_by = kt_arena_strdup_opt(op->arena, r.created_by);
		p->current->created_us = r.created_us;
		p->current->activated_us = r.activated_us;
		if (r.message)
			p->current->message = kt_arena_strndup(
				op->arena, r.message, kt_release_line_len(r.message));
	}
	if (rc == KT_OK)
		*out = p;
	return rc;
}

/* --- making ------------------------------------------------------------------------------ */

static enum kt_code name_check(struct kt_op *op, const char *slug, struct kt_err *err)
{
	if (!kt_slug_ok(slug))
		return kt_op_code(op,
			kt_fail(err, KT_EINVAL, 0,
				"'%.80s' is no project name: 1 to 63 lower-case letters, digits "
				"and inner "
				"hyphens",
				slug ? slug : ""),
			422, "invalid_name");
	return KT_OK;
}

enum kt_code kt_project_new_check(struct kt_op *op, const char *slug, struct kt_err *err)
{
	size_t pos = 0, n = 0;
	const char *key;
	void *value;
	enum kt_code rc = name_check(op, slug, err);

	if (rc != KT_OK)
		return rc;
	while (kt_map_next(&op->ctl->projects, &pos, &key, &value)) {
		struct kt_project_mem *p = value;

		if (strcmp(p->org->id, op->who.org_id) == 0)
			n++;
	}
	if (n >= KT_MAX_PROJECTS)
		return kt_op_code(op,
			kt_fail(err, KT_ELIMIT, 0,
				"an organization has at most %d projects (fixed)", KT_MAX_PROJECTS),
			422, "too_many_projects");
	return KT_OK;
}

static enum kt_code slug_taken(struct kt_op *op, const char *slug, struct kt_err *err)
{
	return kt_op_code(op,
		kt_fail(err, KT_ECONFLICT, 0, "there is a project '%s' already", slug), 409,
		"project_exists");
}

/* KT_OK when the organization has no project of this slug (other than `but`). */
static enum kt_code slug_free(
	struct kt_tx *tx, struct kt_op *op, const char *slug, const char *but, struct kt_err *err)
{
	struct kt_project_row row;
	enum kt_code rc = kt_tx_project(tx, op->arena, op->who.org_id, slug, &row, NULL);

	if (rc == KT_ENOTFOUND)
		return KT_OK;
	if (rc != KT_OK)
		return kt_fail(err, rc, 0, "cannot look for project '%s'", slug);
	return but && strcmp(row.id, but) == 0 ? KT_OK : slug_taken(op, slug, err);
}

/* The n-th label to try: the slug, with the organization's, with something random. */
static const char *label_candidate(struct kt_op *op, const char *slug, unsigned n)
{
	char id[KT_ID_MAX], label[160];
	size_t room = 63;

	if (n == 0)
		return kt_arena_strdup(op->arena, slug);
	if (n == 1 && op->who.org_slug[0]) {
		(void)snprintf(label, sizeof(label), "%s-%s", slug, op->who.org_slug);
		if (strlen(label) <= room)
			return kt_arena_strdup(op->arena, label);
	}
	kt_rand_id("", id);
	for (size_t i = 0; id[i]; i++)
		id[i] = (char)((id[i] >= 'A' && id[i] <= 'Z') ? id[i] + 32 : id[i]);
	(void)snprintf(label, sizeof(label), "%.58s-%.4s", slug, id);
	return kt_arena_strdup(op->arena, label);
}

static bool label_of_preview(const struct kt_release_row *previews, size_t n, const char *label)
{
	for (size_t i = 0; i < n; i++) {
		if (kt_str_eq(previews[i].preview, label))
			return true;
	}
	return false;
}

/* Write row under the first free label; `put` as kt_tx_project_add() or kt_tx_project_put(). */
static enum kt_code put_labeled(struct kt_tx *tx, struct kt_op *op, struct kt_project_row *row,
	enum kt_code (*put)(struct kt_tx *tx, const struct kt_project_row *row, struct kt_err *err),
	struct kt_err *err)
{
	struct kt_release_row *previews;
	size_t n;
	enum kt_code rc;

	rc = kt_tx_releases_in(tx, op->arena, 1U << KT_REL_PREVIEW, &previews, &n, err);
	if (rc != KT_OK)
		return rc;
	/* The slug is known to be free, so a conflict can only be the label's. */
	for (unsigned i = 0; i < 16; i++) {
		row->label = label_candidate(op, row->slug, i);
		if (kt_label_reserved(row->label) || label_of_preview(previews, n, row->label))
			continue;
		rc = put(tx, row, err);
		if (rc != KT_ECONFLICT)
			return rc;
	}
	return kt_fail(err, KT_ECONFLICT, 0, "no free host name for project '%s'", row->slug);
}

enum kt_code kt_project_add(struct kt_tx *tx, struct kt_op *op, const char *slug, const char *dir,
	struct kt_project_row *out, struct kt_err *err)
{
	char id[KT_ID_MAX];
	struct kt_project_row row = {
		.org_id = op->who.org_id,
		.slug = kt_arena_strdup(op->arena, slug),
		.dir = dir ? kt_arena_strdup(op->arena, dir) : NULL,
		.production_ref = "refs/heads/main",
		.next_version = 1,
		.created_us = kt_time_us(),
	};
	enum kt_code rc = slug_free(tx, op, slug, NULL, err);

	kt_rand_id("proj_", id);
	row.id = kt_arena_strdup(op->arena, id);
	if (rc == KT_OK)
		rc = put_labeled(tx, op, &row, kt_tx_project_add, err);
	if (rc == KT_OK)
		rc = kt_op_audit(tx, op, "project.create", kt_object_project(op->arena, slug),
			dir ? kt_json_pairs(op->arena, "id", id, "dir", dir, NULL)
			    : kt_json_pairs(op->arena, "id", id, NULL),
			err);
	if (rc == KT_OK)
		*out = row;
	return rc;
}

struct create {
	const char *slug, *dir;
	struct kt_project_row row;
};

static enum kt_code project_create_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct create *c = op->data;
	struct kt_project_mem *p = NULL;
	bool replay;
	enum kt_code rc = kt_op_idem_begin(tx, op, &replay, err);

	if (rc != KT_OK || replay)
		return rc;
	rc = kt_project_add(tx, op, c->slug, c->dir, &c->row, err);
	if (rc == KT_OK)
		rc = kt_project_temp(tx, op, &c->row, &p, err);
	if (rc != KT_OK)
		return rc;
	op->answer.status = 201;
	kt_op_show_project(op, p);
	return kt_op_idem_end(tx, op, 201, NULL, err);
}

static void project_create_after(struct kt_op *op)
{
	struct create *c = op->data;

	(void)kt_index_project_put(op->ctl, &c->row);
}

/* The folder's real path, in op's arena; else op is answered. */
static bool check_dir(struct kt_op *op, const char *dir, const char **out)
{
	KT_AUTOFREE char *real = NULL;

	if (!(op->who.scopes & KT_SCOPE_ADMIN)) {
		kt_op_fail(op, KT_EDENIED, 403, "forbidden", "\"scope\":\"admin\"",
			"serving a folder needs a key with scope admin");
		return false;
	}
	if (dir[0] != '/' || strlen(dir) >= KT_MAX_PATH_BYTES ||
		kt_path_real(dir, &real, NULL) != KT_OK || !kt_fs_is_dir(real)) {
		kt_op_fail(op, KT_EINVAL, 422, "validation_failed", NULL,
			"'dir' must be the absolute path of a folder that is there");
		return false;
	}
	*out = kt_arena_strdup(op->arena, real);
	return true;
}

void kt_control_project_create(struct kt_control *ctl, const struct kt_actor *a,
	const struct kt_project_new *p, const struct kt_precond *pre, kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, pre, fn, arg);
	struct create *c = kt_arena_alloc(op->arena, sizeof(*c));
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc = kt_project_new_check(op, p->slug, &err);

	op->data = c;
	if (rc != KT_OK) {
		kt_op_end(op, rc, &err);
		return;
	}
	c->slug = kt_arena_strdup(op->arena, p->slug);
	if (p->dir && !check_dir(op, p->dir, &c->dir))
		return;
	kt_op_last(op, KT_STEP_WRITE, project_create_work, project_create_after);
}

/* --- changing ---------------------------------------------------------------------------- */

struct change {
	char project_id[KT_ID_MAX];
	const char *slug, *production_ref, *repo_url; /* NULL = stays; repo_url "" = unbind */
	/* Sealed; len 0 with `set` = forget. */
	bool set_token, set_secret;
	struct kt_buf token, secret;
	bool set_default, is_default;
	char default_project[KT_ID_MAX]; /* of the organization, afterwards */
	struct kt_project_row row;
};

static enum kt_code change_slug(
	struct kt_tx *tx, struct kt_op *op, struct change *c, struct kt_err *err)
{
	enum kt_code rc = slug_free(tx, op, c->slug, c->row.id, err);

	c->row.slug = c->slug;
	return rc == KT_OK ? put_labeled(tx, op, &c->row, kt_tx_project_put, err) : rc;
}

/* What was given for one server is not for another: a token would be sent to it. */
static bool other_server(const char *before, const char *after)
{
	struct kt_url a, b;
	bool same;

	if (!before || !after || kt_url_parse(before, &a, NULL) != KT_OK)
		return before && after;
	if (kt_url_parse(after, &b, NULL) != KT_OK) {
		kt_url_release(&a);
		return true;
	}
	same = kt_url_same_origin(&a, &b);
	kt_url_release(&a);
	kt_url_release(&b);
	return !same;
}

static void change_apply(struct change *c)
{
	if (c->repo_url && other_server(c->row.repo_url, c->repo_url))
		c->set_token = true; /* to the one given now, or none */
	if (c->production_ref)
		c->row.production_ref = c->production_ref;
	if (c->repo_url)
		c->row.repo_url = c->repo_url[0] ? c->repo_url : NULL;
	/* Without a repository there is nothing its token and secret are for. */
	if (c->set_token || (c->repo_url && !c->repo_url[0])) {
		c->row.repo_token = c->token.len ? c->token.ptr : NULL;
		c->row.repo_token_len = c->token.len;
	}
	if (c->set_secret || (c->repo_url && !c->repo_url[0])) {
		c->row.webhook_secret = c->secret.len ? c->secret.ptr : NULL;
		c->row.webhook_secret_len = c->secret.len;
	}
}

static const char *change_detail(struct kt_op *op, const struct change *c, const char *old_slug)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(16384);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "id", c->row.id);
	if (c->slug) {
		kt_jw_str(&w, "from", old_slug);
		kt_jw_str(&w, "to", c->slug);
	}
	if (c->production_ref)
		kt_jw_str(&w, "production_ref", c->production_ref);
	if (c->repo_url)
		kt_jw_str(&w, "repo_url", c->repo_url);
	if (c->set_token)
		kt_jw_str(&w, "repo_token", c->token.len ? "set" : "removed");
	if (c->set_secret)
		kt_jw_str(&w, "webhook_secret", c->secret.len ? "set" : "removed");
	if (c->set_default)
		kt_jw_bool(&w, "default", c->is_default);
	kt_jw_obj_end(&w);
	return kt_arena_strdup(op->arena, b.ptr);
}

/* One project of the organization at most: another one that was it is no longer. */
static enum kt_code change_default(
	struct kt_tx *tx, struct kt_op *op, struct change *c, struct kt_err *err)
{
	struct kt_org_row org;
	enum kt_code rc = kt_tx_org(tx, op->arena, op->who.org_id, &org, err);
	const char *now = rc == KT_OK ? org.default_project_id : NULL;

	if (rc == KT_OK && c->set_default && c->is_default)
		now = c->row.id;
	else if (rc == KT_OK && c->set_default && kt_str_eq(now, c->row.id))
		now = NULL;
	if (rc == KT_OK && !kt_str_eq(now, org.default_project_id))
		rc = kt_tx_org_default(tx, op->who.org_id, now, err);
	(void)kt_str_copy(c->default_project, sizeof(c->default_project), now ? now : "");
	return rc;
}

static enum kt_code project_change_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct change *c = op->data;
	struct kt_project_mem *p = NULL;
	const char *old;
	bool replay;
	enum kt_code rc = kt_op_idem_begin(tx, op, &replay, err);

	if (rc != KT_OK || replay)
		return rc;
	rc = kt_tx_project(tx, op->arena, op->who.org_id, c->project_id, &c->row, err);
	if (rc == KT_ENOTFOUND)
		return kt_op_code(op, rc, 404, "project_not_found");
	if (rc == KT_OK)
		rc = kt_op_if_match(op, &c->row, err);
	if (rc != KT_OK)
		return rc;
	old = c->row.slug;
	change_apply(c);
	if (c->slug && strcmp(c->slug, old) == 0)
		c->slug = NULL;
	rc = c->slug ? change_slug(tx, op, c, err) : kt_tx_project_put(tx, &c->row, err);
	if (rc == KT_OK)
		rc = change_default(tx, op, c, err);
	if (rc == KT_OK)
		rc = kt_op_audit(tx, op, c->slug ? "project.rename" : "project.update",
			kt_object_project(op->arena, old), change_detail(op, c, old), err);
	if (rc == KT_OK)
		rc = kt_project_temp(tx, op, &c->row, &p, err);
	if (rc != KT_OK)
		return rc;
	kt_op_show_project(op, p);
	return kt_op_idem_end(tx, op, 200, NULL, err);
}

static void project_change_after(struct kt_op *op)
{
	struct change *c = op->data;
	struct kt_project_mem *p = kt_index_project_put(op->ctl, &c->row);

	memcpy(p->org->default_project, c->default_project, sizeof(c->default_project));
	/* With its previews, which the transaction did not look at. */
	kt_op_show_project(op, p);
}

bool kt_ref_ok(const char *s)
{
	size_t len = strlen(s);

	if (len == 0 || len > MAX_REF_BYTES || s[0] == '/' || s[0] == '-' || s[len - 1] == '/' ||
		s[len - 1] == '.' || strstr(s, "..") || strstr(s, "//") || strstr(s, "@{") ||
		!kt_utf8_valid(s, len))
		return false;
	for (; *s; s++) {
		if ((unsigned char)*s <= ' ' || *s == 0x7f || strchr("~^:?*[\\", *s))
			return false;
	}
	return true;
}

static bool project_invalid(struct kt_op *op, const char *text)
{
	kt_op_fail(op, KT_EINVAL, 422, "validation_failed", NULL, "%s", text);
	return false;
}

static bool take_ref(struct kt_op *op, const char *ref, const char **out)
{
	if (!kt_ref_ok(ref))
		return project_invalid(op, "'production_ref' must be the name of a branch");
	*out = kt_str_starts(ref, "refs/") ? kt_arena_strdup(op->arena, ref)
					   : kt_arena_printf(op->arena, "refs/heads/%s", ref);
	return true;
}

static bool take_repo(struct kt_op *op, const char *url, const char **out)
{
	struct kt_err err = KT_ERR_INIT;
	struct kt_url u;
	size_t len = strlen(url);
	bool ok, https;

	if (len > 0) {
		if (len > 1024 || kt_url_parse(url, &u, &err) != KT_OK)
			return project_invalid(
				op, "'repo_url' must be an https URL without user name");
		/* What is not public is not for whoever may write to a project. What the name leads
		 * to shows when it is asked (fetch.c). */
		ok = kt_reach_url(op->ctl->reach, &u, &err) == KT_OK;
		https = u.https;
		kt_url_release(&u);
		if (!https)
			return project_invalid(op, "'repo_url' must begin with https://");
		if (!ok)
			return project_invalid(
				op, kt_arena_printf(op->arena, "'repo_url': %s", err.msg));
	}
	while (len > 0 && url[len - 1] == '/')
		len--;
	*out = kt_arena_strndup(op->arena, url, len);
	return true;
}

/* Seal a secret into memory of op's arena. */
static bool take_secret(struct kt_op *op, const char *what, const char *name, const char *value,
	const char *project_id, struct kt_buf *out)
{
	KT_AUTO_BUF struct kt_buf sealed = KT_BUF_INIT(MAX_SECRET_BYTES + 64);
	size_t len = strlen(value);

	if (len > MAX_SECRET_BYTES || strpbrk(value, "\r\n"))
		return project_invalid(op,
			kt_arena_printf(op->arena,
				"'%s' must be one line of at most %d bytes (fixed)", name,
				MAX_SECRET_BYTES));
	*out = (struct kt_buf)KT_BUF_INIT(MAX_SECRET_BYTES + 64);
	if (len == 0)
		return true;
	kt_seal(op->ctl->master, kt_project_context(op->arena, what, op->who.org_id, project_id),
		value, len, &sealed);
	out->ptr = kt_arena_strndup(op->arena, sealed.ptr, sealed.len);
	out->len = sealed.len;
	return true;
}

void kt_control_project_change(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const struct kt_project_change *p, const struct kt_precond *pre, kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, pre, fn, arg);
	struct change *c = kt_arena_alloc(op->arena, sizeof(*c));
	struct kt_project_mem *mem = kt_index_project(ctl, op->who.org_id, ref);
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc;

	op->data = c;
	if (!mem && op->pre.idem_key) {
		/* A rename that is repeated: this name is gone, but the key knows the answer. */
		kt_op_last(op, KT_STEP_WRITE, project_change_work, project_change_after);
		return;
	}
	if (!kt_op_project(op, ref))
		return;
	(void)kt_str_copy(c->project_id, sizeof(c->project_id), mem->id);
	if (p->slug && strcmp(p->slug, mem->slug) != 0) {
		rc = name_check(op, p->slug, &err);
		if (rc != KT_OK) {
			kt_op_end(op, rc, &err);
			return;
		}
		c->slug = kt_arena_strdup(op->arena, p->slug);
	}
	c->set_default = p->is_default != NULL;
	c->is_default = p->is_default && *p->is_default;
	c->set_token = p->repo_token != NULL;
	c->set_secret = p->webhook_secret != NULL;
	if ((p->production_ref && !take_ref(op, p->production_ref, &c->production_ref)) ||
		(p->repo_url && !take_repo(op, p->repo_url, &c->repo_url)) ||
		(p->repo_token &&
			!take_secret(op, "repo_token", "repo_token", p->repo_token, mem->id,
				&c->token)) ||
		(p->webhook_secret &&
			!take_secret(op, "webhook_secret", "webhook_secret", p->webhook_secret,
				mem->id, &c->secret)))
		return;
	kt_op_last(op, KT_STEP_WRITE, project_change_work, project_change_after);
}

/* --- deleting ---------------------------------------------------------------------------- */

static enum kt_code project_delete_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	const char *id = op->data;
	struct kt_project_row row;
	enum kt_code rc = kt_tx_project(tx, op->arena, op->who.org_id, id, &row, err);

	if (rc == KT_ENOTFOUND)
		return kt_op_code(op, rc, 404, "project_not_found");
	if (rc == KT_OK)
		rc = kt_tx_project_delete(tx, op->who.org_id, id, err);
	if (rc == KT_OK)
		rc = kt_op_audit(tx, op, "project.delete", kt_object_project(op->arena, row.slug),
			kt_json_pairs(op->arena, "id", id, NULL), err);
	if (rc == KT_OK)
		op->answer.status = 204;
	return rc;
}

static void project_delete_after(struct kt_op *op)
{
	struct kt_project_mem *p = kt_map_get(&op->ctl->projects, op->data);

	if (!p)
		return;
	op->ctl->on.project_deleted(op->ctl, p);
	kt_index_project_drop(op->ctl, p);
}

void kt_control_project_delete(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	struct kt_project_mem *p = kt_op_project(op, ref);

	if (!p)
		return;
	op->data = kt_arena_strdup(op->arena, p->id);
	kt_op_last(op, KT_STEP_WRITE, project_delete_work, project_delete_after);
}
