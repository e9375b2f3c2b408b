/* SPDX-License-Identifier: MIT */
/*
 * The index: organizations, keys, projects, and the releases that names lead to, in memory. Every
 * request asks it, so nothing here waits. It follows the database: it is loaded at start-up and
 * changed on the loop when a transaction was committed.
 *
 * Who holds a struct kt_project_mem across a wait (a build, a reader of its log) may find it
 * deleted: it stays in memory until they are gone.
 */
#include "control/core/index_private.h"

#include "base/str.h"
#include "event/event.h"

#include <string.h>

/* "ORG_ID/SLUG"; ids and slugs are short and hold no slash. */
static void slug_key(char *out, size_t size, const char *org_id, const char *slug)
{
	(void)kt_str_copy(out, size, org_id);
	size_t n = strlen(out);

	out[n++] = '/';
	(void)kt_str_copy(out + n, size - n, slug);
}

#define SLUG_KEY_BYTES (KT_ID_MAX + 65)
#define MAX_LINE_BYTES 200 /* of a release's message, in memory for each project and preview */

/* --- releases that names lead to --------------------------------------------------------- */

size_t kt_release_line_len(const char *message)
{
	size_t len = strcspn(message, "\r\n");

	if (len <= MAX_LINE_BYTES)
		return len;
	/* Between characters. */
	for (len = MAX_LINE_BYTES; len && ((unsigned char)message[len] & 0xc0) == 0x80; len--)
		continue;
	return len;
}

static struct kt_release_mem *release_new(const struct kt_release_row *row)
{
	struct kt_release_mem *r = kt_calloc(1, sizeof(*r));

	(void)kt_str_copy(r->id, sizeof(r->id), row->id);
	r->version = row->version;
	r->label = kt_strdup_opt(row->preview);
	r->ref = kt_strdup_opt(row->ref);
	r->commit_sha = kt_strdup_opt(row->commit_sha);
	(void)kt_str_copy(r->digest, sizeof(r->digest), row->digest ? row->digest : "");
	r->pr = row->pr;
	r->expires_us = row->expires_us;
	if (row->message)
		r->message = kt_strndup(row->message, kt_release_line_len(row->message));
	r->created_by = kt_strdup_opt(row->created_by);
	r->created_us = row->created_us;
	r->activated_us = row->activated_us;
	return r;
}

static void release_free(struct kt_release_mem *r)
{
	if (!r)
		return;
	free(r->label);
	free(r->ref);
	free(r->commit_sha);
	free(r->message);
	free(r->created_by);
	free(r);
}

/* --- labels ------------------------------------------------------------------------------ */

/* The first to have a label keeps it: a preview never takes the name of another project. */
static void label_put(struct kt_control *ctl, const char *label, struct kt_project_mem *p,
	struct kt_release_mem *preview)
{
	struct kt_label_mem *l = kt_map_get(&ctl->labels, label);

	if (l && l->project != p)
		return;
	if (l && preview && !l->preview)
		return;
	if (!l) {
		l = kt_calloc(1, sizeof(*l));
		(void)kt_map_set(&ctl->labels, label, l);
	}
	l->project = p;
	l->preview = preview;
}

static void label_drop(struct kt_control *ctl, const char *label, const struct kt_project_mem *p,
	const struct kt_release_mem *preview)
{
	struct kt_label_mem *l = kt_map_get(&ctl->labels, label);

	if (l && l->project == p && l->preview == preview)
		free(kt_map_del(&ctl->labels, label));
}

/* --- projects ---------------------------------------------------------------------------- */

struct kt_project_mem *kt_index_project(struct kt_control *ctl, const char *org_id, const char *ref)
{
	char key[SLUG_KEY_BYTES];
	struct kt_project_mem *p;

	if (!org_id || !*org_id || !ref || !*ref || strlen(ref) > 63)
		return NULL;
	slug_key(key, sizeof(key), org_id, ref);
	p = kt_map_get(&ctl->projects_by_slug, key);
	if (p)
		return p;
	p = kt_map_get(&ctl->projects, ref);
	return p && strcmp(p->org->id, org_id) == 0 ? p : NULL;
}

struct kt_project_mem *kt_index_project_put(
	struct kt_control *ctl, const struct kt_project_row *row)
{
	struct kt_project_mem *p = kt_map_get(&ctl->projects, row->id);
	char key[SLUG_KEY_BYTES];

	if (!p) {
		struct kt_org_mem *org = kt_map_get(&ctl->orgs, row->org_id);

		kt_assert(org != NULL);
		p = kt_calloc(1, sizeof(*p));
		p->org = org;
		(void)kt_str_copy(p->id, sizeof(p->id), row->id);
		p->created_us = row->created_us;
		(void)kt_map_set(&ctl->projects, p->id, p);
	} else if (strcmp(p->slug, row->slug) != 0 || strcmp(p->label, row->label) != 0) {
		slug_key(key, sizeof(key), p->org->id, p->slug);
		if (kt_map_get(&ctl->projects_by_slug, key) == p)
			(void)kt_map_del(&ctl->projects_by_slug, key);
		label_drop(ctl, p->label, p, NULL);
	}
	(void)kt_str_copy(p->slug, sizeof(p->slug), row->slug);
	(void)kt_str_copy(p->label, sizeof(p->label), row->label);
	kt_str_set(&p->dir, row->dir);
	/* A folder's is that of the last look at it. */
	if (!row->dir)
		kt_str_set(&p->harness, row->harness);
	kt_str_set(&p->production_ref, row->production_ref);
	kt_str_set(&p->pin_reason, row->pin_reason);
	kt_str_set(&p->pin_by, row->pin_by);
	p->pinned_us = row->pinned_us;
	kt_str_set(&p->repo_url, row->repo_url);
	p->has_webhook_secret = row->webhook_secret != NULL && row->webhook_secret_len > 0;
	p->config_version = row->config_version;
	slug_key(key, sizeof(key), p->org->id, p->slug);
	(void)kt_map_set(&ctl->projects_by_slug, key, p);
	label_put(ctl, p->label, p, NULL);
	return p;
}

static void project_free(struct kt_control *ctl, struct kt_project_mem *p)
{
	ctl->on.project_freed(ctl, p);
	release_free(p->current);
	for (size_t i = 0; i < p->previews.len; i++)
		release_free(p->previews.items[i]);
	kt_vec_release(&p->previews);
	kt_vec_release(&p->builds);
	free(p->dir);
	free(p->harness);
	free(p->production_ref);
	free(p->pin_reason);
	free(p->pin_by);
	free(p->repo_url);
	free(p);
}

void kt_index_project_drop(struct kt_control *ctl, struct kt_project_mem *p)
{
	char key[SLUG_KEY_BYTES];

	kt_assert(!p->deleted);
	slug_key(key, sizeof(key), p->org->id, p->slug);
	(void)kt_map_del(&ctl->projects_by_slug, key);
	(void)kt_map_del(&ctl->projects, p->id);
	label_drop(ctl, p->label, p, NULL);
	while (p->previews.len > 0) {
		struct kt_release_mem *r = kt_vec_remove(&p->previews, p->previews.len - 1);

		label_drop(ctl, r->label, p, r);
		release_free(r);
	}
	p->deleted = true;
	kt_vec_push(&ctl->dropped, p);
	kt_index_sweep(ctl);
}

void kt_index_sweep(struct kt_control *ctl)
{
	for (size_t i = ctl->dropped.len; i > 0; i--) {
		struct kt_project_mem *p = ctl->dropped.items[i - 1];

		if (p->builds.len > 0 || (p->log && kt_evlog_readers(p->log) > 0))
			continue;
		(void)kt_vec_remove(&ctl->dropped, i - 1);
		project_free(ctl, p);
	}
}

void kt_index_current(
	struct kt_control *ctl, struct kt_project_mem *p, const struct kt_release_row *row)
{
	(void)ctl;
	release_free(p->current);
	p->current = row ? release_new(row) : NULL;
}

void kt_index_preview_drop(struct kt_control *ctl, struct kt_project_mem *p, const char *label)
{
	for (size_t i = 0; i < p->previews.len; i++) {
		struct kt_release_mem *r = p->previews.items[i];

		if (strcmp(r->label, label) != 0)
			continue;
		label_drop(ctl, r->label, p, r);
		(void)kt_vec_remove(&p->previews, i);
		release_free(r);
		return;
	}
}

void kt_index_preview_put(
	struct kt_control *ctl, struct kt_project_mem *p, const struct kt_release_row *row)
{
	struct kt_release_mem *r;

	kt_assert(row->preview != NULL);
	kt_index_preview_drop(ctl, p, row->preview);
	r = release_new(row);
	kt_vec_push(&p->previews, r);
	label_put(ctl, r->label, p, r);
}

/* --- organizations and keys -------------------------------------------------------------- */

void kt_index_org_put(struct kt_control *ctl, const struct kt_org_row *row)
{
	struct kt_org_mem *org = kt_map_get(&ctl->orgs, row->id);

	if (!org) {
		org = kt_calloc(1, sizeof(*org));
		(void)kt_str_copy(org->id, sizeof(org->id), row->id);
		(void)kt_map_set(&ctl->orgs, org->id, org);
	} else {
		(void)kt_map_del(&ctl->orgs_by_slug, org->slug);
	}
	(void)kt_str_copy(org->slug, sizeof(org->slug), row->slug);
	kt_str_set(&org->name, row->name);
	(void)kt_str_copy(org->default_project, sizeof(org->default_project),
		row->default_project_id ? row->default_project_id : "");
	(void)kt_map_set(&ctl->orgs_by_slug, org->slug, org);
}

struct kt_key_mem *kt_index_key(struct kt_control *ctl, const char *key_id)
{
	return key_id && *key_id ? kt_map_get(&ctl->keys_by_id, key_id) : NULL;
}

void kt_index_key_put(struct kt_control *ctl, const struct kt_key_row *row)
{
	struct kt_key_mem *k = kt_index_key(ctl, row->id);
	struct kt_org_mem *org = kt_map_get(&ctl->orgs, row->org_id);

	kt_assert(org != NULL);
	if (!k) {
		k = kt_calloc(1, sizeof(*k));
		(void)kt_str_copy(k->who.key_id, sizeof(k->who.key_id), row->id);
		(void)kt_str_copy(k->prefix, sizeof(k->prefix), row->prefix);
		(void)kt_str_copy(k->last4, sizeof(k->last4), row->last4);
		memcpy(k->hash, row->hash, sizeof(k->hash));
		k->next = kt_map_get(&ctl->keys, k->prefix);
		(void)kt_map_set(&ctl->keys, k->prefix, k);
		(void)kt_map_set(&ctl->keys_by_id, k->who.key_id, k);
		k->used_us = row->last_used_us;
	}
	(void)kt_str_copy(k->who.org_id, sizeof(k->who.org_id), org->id);
	(void)kt_str_copy(k->who.org_slug, sizeof(k->who.org_slug), org->slug);
	(void)kt_str_copy(k->who.key_name, sizeof(k->who.key_name), row->name);
	k->who.scopes = row->scopes;
	k->expires_us = row->expires_us;
	k->revoked_us = row->revoked_us;
}

/* --- browsers that are signed in -------------------------------------------------------- */

/* Out of its key's list, which is short whatever strangers do. */
static void web_unlink(struct kt_control *ctl, const struct kt_web_mem *w)
{
	struct kt_key_mem *k = kt_index_key(ctl, w->key_id);
	struct kt_web_mem **at = k ? &k->webs : NULL;

	while (at && *at && *at != w)
		at = &(*at)->older;
	if (at && *at)
		*at = w->older;
}

void kt_web_drop(struct kt_control *ctl, const char *hash)
{
	struct kt_web_mem *w = kt_map_del(&ctl->webs, hash);

	if (!w)
		return;
	web_unlink(ctl, w);
	free(w);
}

/* The order in which the database drops them: a clock may have been put back. */
static bool goes_first(const struct kt_web_mem *a, const struct kt_web_mem *b)
{
	return a->created_us != b->created_us ? a->created_us < b->created_us
					      : strcmp(a->hash, b->hash) > 0;
}

void kt_web_put(struct kt_control *ctl, const struct kt_web_row *row)
{
	struct kt_key_mem *k = kt_index_key(ctl, row->key_id);
	struct kt_web_mem *w, **at;

	kt_web_drop(ctl, row->hash);
	if (!k)
		return; /* it would open nothing */
	w = kt_calloc(1, sizeof(*w));
	(void)kt_str_copy(w->hash, sizeof(w->hash), row->hash);
	(void)kt_str_copy(w->key_id, sizeof(w->key_id), row->key_id);
	w->created_us = row->created_us;
	w->expires_us = row->expires_us;
	for (at = &k->webs; *at && goes_first(w, *at);)
		at = &(*at)->older;
	w->older = *at;
	*at = w;
	(void)kt_map_set(&ctl->webs, w->hash, w);
}

static void webs_free(struct kt_control *ctl)
{
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(&ctl->webs, &pos, &key, &value))
		free(value);
	kt_map_release(&ctl->webs);
}

/* --- start and end ----------------------------------------------------------------------- */

struct load {
	struct kt_control *ctl;
	struct kt_arena *arena;
};

static enum kt_code load_current(
	struct kt_tx *tx, struct load *l, const struct kt_project_row *row, struct kt_err *err)
{
	struct kt_project_mem *p = kt_index_project_put(l->ctl, row);
	struct kt_release_row r;
	enum kt_code rc;

	if (!row->current_release_id)
		return KT_OK;
	rc = kt_tx_release(tx, l->arena, row->org_id, row->current_release_id, &r, err);
	if (rc != KT_OK)
		return kt_wrap(err, "project '%s': its current release", row->slug);
	kt_index_current(l->ctl, p, &r);
	return KT_OK;
}

static enum kt_code load_all(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct load *l = arg;
	struct kt_org_row *orgs;
	struct kt_key_row *keys;
	struct kt_project_row *projects;
	struct kt_release_row *previews;
	struct kt_web_row *webs;
	size_t n;
	enum kt_code rc;

	rc = kt_tx_orgs(tx, l->arena, &orgs, &n, err);
	if (rc != KT_OK)
		return rc;
	for (size_t i = 0; i < n; i++)
		kt_index_org_put(l->ctl, &orgs[i]);
	rc = kt_tx_keys(tx, l->arena, NULL, &keys, &n, err);
	if (rc != KT_OK)
		return rc;
	for (size_t i = 0; i < n; i++)
		kt_index_key_put(l->ctl, &keys[i]);
	rc = kt_tx_webs(tx, l->arena, &webs, &n, err);
	if (rc != KT_OK)
		return rc;
	for (size_t i = 0; i < n; i++)
		kt_web_put(l->ctl, &webs[i]);
	rc = kt_tx_projects(tx, l->arena, NULL, &projects, &n, err);
	if (rc != KT_OK)
		return rc;
	for (size_t i = 0; i < n; i++) {
		rc = load_current(tx, l, &projects[i], err);
		if (rc != KT_OK)
			return rc;
	}
	rc = kt_tx_releases_in(tx, l->arena, 1U << KT_REL_PREVIEW, &previews, &n, err);
	if (rc != KT_OK)
		return rc;
	for (size_t i = 0; i < n; i++) {
		struct kt_project_mem *p = kt_map_get(&l->ctl->projects, previews[i].project_id);

		if (p && previews[i].preview)
			kt_index_preview_put(l->ctl, p, &previews[i]);
	}
	return KT_OK;
}

enum kt_code kt_index_load(struct kt_control *ctl, struct kt_err *err)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct load l = { .ctl = ctl, .arena = arena };
	enum kt_code rc = kt_store_do(ctl->store, false, load_all, &l, err);

	ctl->loaded = rc == KT_OK;
	return rc;
}

/* Free every value of a map, then the map. */
static void drop_values(struct kt_map *m)
{
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(m, &pos, &key, &value))
		free(value);
	kt_map_release(m);
}

void kt_index_free(struct kt_control *ctl)
{
	size_t pos = 0;
	const char *key;
	void *value;

	ctl->loaded = false;
	while (kt_map_next(&ctl->projects, &pos, &key, &value))
		project_free(ctl, value);
	kt_map_release(&ctl->projects);
	kt_map_release(&ctl->projects_by_slug);
	for (size_t i = 0; i < ctl->dropped.len; i++)
		project_free(ctl, ctl->dropped.items[i]);
	kt_vec_release(&ctl->dropped);
	drop_values(&ctl->labels);
	webs_free(ctl);
	kt_map_release(&ctl->keys);
	drop_values(&ctl->keys_by_id);
	pos = 0;
	while (kt_map_next(&ctl->orgs, &pos, &key, &value)) {
		struct kt_org_mem *org = value;

		free(org->name);
		free(org);
	}
	kt_map_release(&ctl->orgs);
	kt_map_release(&ctl->orgs_by_slug);
}
