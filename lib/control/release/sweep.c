/* SPDX-License-Identifier: MIT */
/*
 * What nobody needs any more goes: previews whose time is over, laid-out trees of old releases,
 * blobs that no release names. Looking is a worker's; the loop decides about trees, because it
 * alone knows who runs what, and takes them away by renaming before anyone can open them again.
 *
 * Trees are a cache, so taking one too many costs a moment. Blobs are not: a blob is deleted only
 * when every manifest of every release that may still be used was read, it is in none, and nobody
 * asked for it for a day (kt_blobs_has() makes it young, so a publish on its way keeps what it
 * counts on).
 */
#include "control/release/release_private.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "store/datadir.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TREES_MS (10 * 60 * 1000)
#define BLOBS_MS (60 * 60 * 1000)
#define BLOB_AGE_S (24 * 3600)
#define LOG_AGE_US (30 * 24 * 3600 * INT64_C(1000000)) /* build logs: longer than anyone asks */
#define LOG_YOUNG_S 3600
/* Newest built production releases of a project: their rollback is instant. */
#define KEEP_BUILT 5
#define MAX_DROPPED 500 /* trees of one sweep: each costs the loop two system calls */

#define ALL_STATES ((1U << (KT_REL_EXPIRED + 1)) - 1)

struct found_tree {
	char *org_id, *digest;
	struct found_tree *next;
};

struct sweep {
	struct kt_control *ctl;
	struct kt_arena *arena;
	struct kt_release_row *rows;
	size_t n;
	struct found_tree *trees;
	char **away; /* trees that lost their name */
	size_t n_away, cap_away;
	/* blobs */
	struct kt_map named; /* "ORG/DIGEST" */
	struct kt_map read; /* manifests that were read, the same */
	size_t deleted;
};

static const struct kt_task_for own = { .org_id = "", .kind = KT_WORK_LONG, .admitted = true };

static struct sweep *sweep_new(struct kt_control *ctl)
{
	struct sweep *s = kt_calloc(1, sizeof(*s));

	s->ctl = ctl;
	s->arena = kt_arena_new();
	kt_works_get(ctl)->sweeping = true;
	return s;
}

static void sweep_free(struct sweep *s)
{
	kt_works_get(s->ctl)->sweeping = false;
	for (size_t i = 0; i < s->n_away; i++)
		free(s->away[i]);
	free(s->away);
	kt_map_release(&s->named);
	kt_map_release(&s->read);
	kt_arena_free(s->arena);
	free(s);
}

static void sweep_complain(enum kt_code rc, const struct kt_err *err)
{
	if (rc != KT_OK && rc != KT_ECANCEL)
		kt_log(KT_LOG_WARN, "control", "sweep: %s", err->msg);
}

static enum kt_code sweep_read_rows(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct sweep *s = arg;

	return kt_tx_releases_in(tx, s->arena, ALL_STATES, &s->rows, &s->n, err);
}

/* Since when nothing is known of its use. */
static int64_t age_us(const struct kt_release_row *r)
{
	int64_t last = KT_MAX(KT_MAX(r->created_us, r->built_us), r->activated_us);

	return kt_time_us() - KT_MAX(last, r->state == KT_REL_EXPIRED ? r->expires_us : 0);
}

static const char *blob_key(
	char out[KT_ID_MAX + KT_DIGEST_MAX + 1], const char *org_id, const char *digest)
{
	(void)snprintf(out, KT_ID_MAX + KT_DIGEST_MAX + 1, "%s/%s", org_id, digest);
	return out;
}

/* --- trees: the look --------------------------------------------------------------------- */

static enum kt_code list_org(
	struct sweep *s, const char *root, const char *org_id, struct kt_err *err)
{
	KT_AUTOFREE char *dir = kt_path_join(root, org_id);
	char **names = NULL;
	size_t n = 0;
	enum kt_code rc = kt_fs_list(dir, &names, &n, err);

	if (rc == KT_ENOTFOUND)
		return KT_OK;
	for (size_t i = 0; rc == KT_OK && i < n; i++) {
		struct found_tree *t;

		if (!kt_digest_ok(names[i]))
			continue;
		t = kt_arena_alloc(s->arena, sizeof(*t));
		t->org_id = kt_arena_strdup(s->arena, org_id);
		t->digest = kt_arena_strdup(s->arena, names[i]);
		t->next = s->trees;
		s->trees = t;
	}
	kt_fs_names_free(names, n);
	return rc;
}

/* Logs of builds whose project is gone, or that nobody asks for any more. */
static enum kt_code remove_logs(struct sweep *s, struct kt_err *err)
{
	KT_AUTOFREE char *dir = kt_data_path(s->ctl->data_dir, KT_DATA_BUILDS);
	struct kt_map keep = KT_MAP_INIT;
	char **names = NULL;
	size_t n = 0;
	enum kt_code rc = kt_fs_list(dir, &names, &n, err);

	for (size_t i = 0; i < s->n; i++) {
		if (s->rows[i].state == KT_REL_ACTIVE || age_us(&s->rows[i]) < LOG_AGE_US)
			(void)kt_map_set(&keep, s->rows[i].id, s);
	}
	for (size_t i = 0; rc == KT_OK && i < n; i++) {
		KT_AUTOFREE char *path = kt_path_join(dir, names[i]);
		size_t len = strlen(names[i]);
		struct stat st;

		if (!kt_str_ends(names[i], ".log"))
			continue;
		names[i][len - 4] = '\0';
		/* A young one may be of a release that is younger than the rows that were read. */
		if (kt_map_get(&keep, names[i]) || stat(path, &st) != 0 ||
			kt_time_us() / 1000000 - (int64_t)st.st_mtime < LOG_YOUNG_S)
			continue;
		if (unlink(path) != 0 && errno != ENOENT)
			rc = kt_fail(err, KT_EIO, errno, "cannot remove '%s'", path);
	}
	kt_fs_names_free(names, n);
	kt_map_release(&keep);
	return rc;
}

static enum kt_code look_trees(void *arg, struct kt_err *err)
{
	struct sweep *s = arg;
	KT_AUTOFREE char *root = kt_data_path(s->ctl->data_dir, KT_DATA_RELEASES);
	char **orgs = NULL;
	size_t n = 0;
	enum kt_code rc = kt_fs_list(root, &orgs, &n, err);

	for (size_t i = 0; rc == KT_OK && i < n; i++)
		rc = list_org(s, root, orgs[i], err);
	kt_fs_names_free(orgs, n);
	if (rc == KT_OK)
		rc = kt_store_do(s->ctl->store, false, sweep_read_rows, s, err);
	if (rc == KT_OK)
		rc = remove_logs(s, err);
	return rc;
}

/* --- trees: the decision ----------------------------------------------------------------- */

static bool is_built(const struct kt_release_row *r)
{
	return r->built_us > 0 && !r->preview;
}

/* Newest versions of each project first. */
static int sweep_by_version(const void *a, const void *b)
{
	const struct kt_release_row *x = a, *y = b;
	int c = strcmp(x->project_id, y->project_id);

	if (c)
		return c;
	return (x->version < y->version) - (x->version > y->version);
}

static bool release_needed(
	const struct sweep *s, const struct kt_release_row *r, size_t n_newer_built)
{
	if (r->state == KT_REL_ACTIVE || r->state == KT_REL_PREVIEW || r->state == KT_REL_QUEUED ||
		r->state == KT_REL_BUILDING)
		return true;
	if (is_built(r) && n_newer_built < KEEP_BUILT)
		return true;
	return age_us(r) < s->ctl->cfg.retention_ms * 1000 || kt_release_used(s->ctl, r->id);
}

static void mark_needed(struct sweep *s)
{
	char key[KT_ID_MAX + KT_DIGEST_MAX + 1];
	size_t built = 0;

	if (s->n > 1)
		qsort(s->rows, s->n, sizeof(*s->rows), sweep_by_version);
	for (size_t i = 0; i < s->n; i++) {
		const struct kt_release_row *r = &s->rows[i];

		if (i == 0 || strcmp(r->project_id, s->rows[i - 1].project_id) != 0)
			built = 0;
		if (release_needed(s, r, built))
			(void)kt_map_set(&s->named, blob_key(key, r->org_id, r->digest), s->ctl);
		built += is_built(r);
	}
}

/* Builds and opened releases that are younger than the rows that were read. */
static void mark_young(struct sweep *s)
{
	char key[KT_ID_MAX + KT_DIGEST_MAX + 1];
	size_t pos = 0;
	const char *id;
	void *value;

	while (kt_map_next(&s->ctl->builds, &pos, &id, &value)) {
		const struct kt_build *b = value;

		(void)kt_map_set(&s->named, blob_key(key, b->row->org_id, b->row->digest), s->ctl);
	}
}

static void take_away(struct sweep *s, const struct found_tree *t)
{
	char *path = NULL;

	kt_layout_drop(s->ctl, t->org_id, t->digest, &path);
	if (!path)
		return;
	kt_grow((void **)&s->away, &s->cap_away, s->n_away + 1, sizeof(*s->away));
	s->away[s->n_away++] = path;
}

static enum kt_code remove_away(void *arg, struct kt_err *err)
{
	struct sweep *s = arg;
	enum kt_code rc = KT_OK;

	for (size_t i = 0; rc == KT_OK && i < s->n_away; i++)
		rc = kt_fs_remove_tree(s->away[i], err);
	return rc;
}

static void trees_removed(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct sweep *s = arg;

	sweep_complain(rc, err);
	if (s->n_away > 0)
		kt_log(KT_LOG_DEBUG, "control", "sweep: files of %zu releases removed", s->n_away);
	sweep_free(s);
}

static void trees_seen(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct sweep *s = arg;
	char key[KT_ID_MAX + KT_DIGEST_MAX + 1];

	sweep_complain(rc, err);
	if (rc != KT_OK || !s->trees || kt_works_get(s->ctl)->stopped) {
		sweep_free(s);
		return;
	}
	mark_needed(s);
	mark_young(s);
	for (const struct found_tree *t = s->trees; t && s->n_away < MAX_DROPPED; t = t->next) {
		if (!kt_map_get(&s->named, blob_key(key, t->org_id, t->digest)))
			take_away(s, t);
	}
	kt_task_run(s->ctl, &own, remove_away, trees_removed, s);
}

/* --- blobs ------------------------------------------------------------------------------- */

/* Every digest that a manifest names, and its own. */
static enum kt_code name_files(
	struct sweep *s, const char *org_id, const char *digest, struct kt_err *err)
{
	char key[KT_ID_MAX + KT_DIGEST_MAX + 1];
	struct kt_manifest *m;
	enum kt_code rc;

	if (kt_map_get(&s->read, blob_key(key, org_id, digest)))
		return KT_OK;
	rc = kt_layout_manifest(s->ctl, org_id, digest, &m, err);
	if (rc != KT_OK)
		return kt_wrap(err, "nothing is deleted, 'karta fsck' tells more");
	(void)kt_map_set(&s->read, key, s);
	(void)kt_map_set(&s->named, key, s);
	for (size_t i = 0; i < m->n_files; i++)
		(void)kt_map_set(&s->named, blob_key(key, org_id, m->files[i].digest), s);
	kt_manifest_free(m);
	return KT_OK;
}

/* Failed ones and previews that are over are not used again when their time is over, too. */
static bool may_be_used(const struct sweep *s, const struct kt_release_row *r)
{
	if (r->state != KT_REL_FAILED && r->state != KT_REL_EXPIRED)
		return true;
	return age_us(r) < s->ctl->cfg.retention_ms * 1000;
}

static bool keep_blob(
	void *arg, const char *org_id, const char *digest, int64_t size, int64_t age_s)
{
	struct sweep *s = arg;
	char key[KT_ID_MAX + KT_DIGEST_MAX + 1];

	(void)size;
	return age_s < BLOB_AGE_S || kt_map_get(&s->named, blob_key(key, org_id, digest));
}

static enum kt_code sweep_blobs(void *arg, struct kt_err *err)
{
	struct sweep *s = arg;
	enum kt_code rc = kt_store_do(s->ctl->store, false, sweep_read_rows, s, err);

	for (size_t i = 0; rc == KT_OK && i < s->n; i++) {
		const struct kt_release_row *r = &s->rows[i];

		/* Released by the loop before it started this: those that sessions run. */
		if (may_be_used(s, r) || kt_map_get(&s->read, r->id))
			rc = name_files(s, r->org_id, r->digest, err);
	}
	if (rc == KT_OK)
		rc = kt_blobs_sweep(s->ctl->blobs, keep_blob, s, &s->deleted, err);
	return rc;
}

static void blobs_swept(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct sweep *s = arg;

	sweep_complain(rc, err);
	if (s->deleted > 0)
		kt_log(KT_LOG_INFO, "control", "sweep: %zu blobs deleted", s->deleted);
	sweep_free(s);
}

/* Ids of releases in use go into `read`, next to the digests; ids and digests cannot be mixed up.
 */
static void note_used(struct sweep *s, const struct kt_map *m)
{
	size_t pos = 0;
	const char *id;
	void *value;

	while (kt_map_next(m, &pos, &id, &value))
		(void)kt_map_set(&s->read, id, s);
}

static void start_trees(struct kt_works *w)
{
	struct sweep *s = sweep_new(w->ctl);

	kt_task_run(w->ctl, &own, look_trees, trees_seen, s);
}

static void start_blobs(struct kt_works *w)
{
	struct sweep *s = sweep_new(w->ctl);

	note_used(s, &w->ctl->sessions);
	note_used(s, &w->ctl->opened);
	note_used(s, &w->ctl->builds);
	kt_task_run(w->ctl, &own, sweep_blobs, blobs_swept, s);
}

/* --- when -------------------------------------------------------------------------------- */

void kt_releases_sweep(struct kt_control *ctl)
{
	struct kt_works *w = kt_works_get(ctl);
	int64_t now = kt_loop_now_ms(ctl->loop);

	if (ctl->closing || w->stopped)
		return;
	kt_previews_sweep(ctl);
	if (w->trees_due_ms == 0) {
		/* Not at the start: it has to be quick. */
		w->trees_due_ms = now + KT_MIN(TREES_MS, ctl->cfg.retention_ms);
		w->blobs_due_ms = now + BLOBS_MS;
		return;
	}
	if (w->sweeping)
		return;
	if (now >= w->trees_due_ms) {
		w->trees_due_ms = now + KT_MIN(TREES_MS, ctl->cfg.retention_ms);
		start_trees(w);
	} else if (now >= w->blobs_due_ms) {
		w->blobs_due_ms = now + BLOBS_MS;
		start_blobs(w);
	}
}
