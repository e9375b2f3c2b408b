/* SPDX-License-Identifier: MIT */
/*
 * Releases for who reads them: listings, manifests, archives, the answer of a build.
 */
#include "control/release/release_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "store/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_PAGE 200

/* --- showing ----------------------------------------------------------------------------- */

struct show {
	const char *ref, *word;
	int64_t before;
	size_t limit;
	bool manifest;
	struct kt_project_row project;
	struct kt_project_mem *p;
	struct kt_release_row row;
	/* archive */
	const char *format;
	char *path;
};

static enum kt_code release_show_project(
	struct kt_tx *tx, struct kt_op *op, struct show *s, struct kt_err *err)
{
	enum kt_code rc = kt_project_find(tx, op, s->ref, &s->project, err);

	if (rc == KT_OK)
		rc = kt_project_temp(tx, op, &s->project, &s->p, err);
	if (rc == KT_OK)
		kt_op_etag(op, s->project.current_release_id);
	return rc;
}

static enum kt_code releases_list_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct show *s = op->data;
	struct kt_release_row *rows;
	struct kt_jw w;
	size_t n, i;
	enum kt_code rc = release_show_project(tx, op, s, err);

	if (rc == KT_OK)
		rc = kt_tx_releases(
			tx, op->arena, s->project.id, s->before, s->limit + 1, &rows, &n, err);
	if (rc != KT_OK)
		return rc;
	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_jw_arr(&w, "data");
	for (i = 0; i < n && i < s->limit && op->json.len < KT_MAX_PAGE_BYTES; i++) {
		kt_jw_obj(&w, NULL);
		kt_write_release(&w, op, s->p, &rows[i],
			kt_str_eq(rows[i].id, s->project.current_release_id));
		kt_jw_obj_end(&w);
	}
	kt_jw_arr_end(&w);
	kt_jw_bool(&w, "has_more", n > i);
	kt_jw_obj_end(&w);
	return KT_OK;
}

void kt_control_releases(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	int64_t before, size_t limit, kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	struct show *s = kt_arena_alloc(op->arena, sizeof(*s));

	s->ref = kt_arena_strdup(op->arena, ref);
	s->before = before;
	s->limit = limit == 0 || limit > MAX_PAGE ? MAX_PAGE : limit;
	op->data = s;
	kt_op_last(op, KT_STEP_READ, releases_list_work, NULL);
}

static enum kt_code release_show_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct show *s = op->data;
	struct kt_jw w;
	enum kt_code rc = release_show_project(tx, op, s, err);

	if (rc == KT_OK)
		rc = kt_release_find(tx, op, &s->project, s->word, &s->row, err);
	if (rc != KT_OK)
		return rc;
	if (s->manifest) {
		rc = kt_blobs_read(op->ctl->blobs, s->row.org_id, s->row.digest, &op->json, err);
		if (rc == KT_ENOTFOUND)
			return kt_op_code(op, rc, 410, "release_gone");
		return rc;
	}
	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_write_release(
		&w, op, s->p, &s->row, kt_str_eq(s->row.id, s->project.current_release_id));
	kt_jw_obj_end(&w);
	return KT_OK;
}

void kt_control_release(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *release, bool manifest, kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	struct show *s = kt_arena_alloc(op->arena, sizeof(*s));

	s->ref = kt_arena_strdup(op->arena, ref);
	s->word = kt_arena_strdup(op->arena, release);
	s->manifest = manifest;
	op->data = s;
	kt_op_last(op, KT_STEP_READ, release_show_work, NULL);
}

/* --- waiting for the end of a build ------------------------------------------------------ */

static enum kt_code release_find_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct show *s = op->data;
	enum kt_code rc = release_show_project(tx, op, s, err);

	if (rc == KT_OK)
		rc = kt_release_find(tx, op, &s->project, s->word, &s->row, err);
	return rc;
}

static void wait_found(struct kt_op *op, enum kt_code rc, const struct kt_err *err)
{
	struct show *s = op->data;
	struct kt_project_mem *now;
	struct kt_build *b;

	if (rc != KT_OK) {
		kt_op_end(op, rc, err);
		return;
	}
	b = kt_map_get(&op->ctl->builds, s->row.id);
	now = kt_map_get(&op->ctl->projects, s->project.id);
	if (b && !b->over)
		kt_vec_push(&b->waiters, op);
	else if (s->row.state != KT_REL_QUEUED && s->row.state != KT_REL_BUILDING)
		kt_release_answer(op, s->p, &s->row, NULL);
	else if (b && b->row->state != KT_REL_QUEUED && b->row->state != KT_REL_BUILDING)
		/* It ended while the row was read, or its end could not be written. */
		kt_release_answer(op, now ? now : s->p, b->row, NULL);
	else if (!now)
		kt_op_fail(op, KT_ENOTFOUND, 404, "project_not_found", NULL,
			"there is no such project");
	else
		kt_op_fail(op, KT_EUNAVAIL, 503, "not_building", NULL,
			"v%lld waits for the server's next start", (long long)s->row.version);
}

void kt_control_release_wait(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *release, kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	struct show *s = kt_arena_alloc(op->arena, sizeof(*s));

	s->ref = kt_arena_strdup(op->arena, ref);
	s->word = kt_arena_strdup(op->arena, release);
	op->data = s;
	kt_op_step(op, KT_STEP_READ, release_find_work, wait_found);
}

/* --- archives ---------------------------------------------------------------------------- */

static enum kt_code read_blob(
	void *arg, const struct kt_file *f, struct kt_buf *out, struct kt_err *err)
{
	struct kt_op *op = arg;
	struct show *s = op->data;

	return kt_blobs_read(op->ctl->blobs, s->row.org_id, f->digest, out, err);
}

static enum kt_code archive_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct show *s = op->data;
	struct kt_manifest *m = NULL;
	KT_AUTOFD int fd = -1;
	enum kt_code rc = kt_layout_manifest(op->ctl, s->row.org_id, s->row.digest, &m, err);

	if (rc == KT_ENOTFOUND)
		return kt_op_code(op, rc, 410, "release_gone");
	if (rc != KT_OK)
		return rc;
	fd = mkostemp(s->path, O_CLOEXEC);
	if (fd < 0)
		rc = kt_fail(err, KT_EIO, errno, "cannot make '%s'", s->path);
	else
		rc = kt_archive_write(m, s->format, read_blob, op, fd, err);
	kt_manifest_free(m);
	if (rc != KT_OK && fd >= 0)
		(void)unlink(s->path);
	if (rc == KT_ENOTFOUND)
		return kt_op_code(op, rc, 410, "release_gone");
	return rc;
}

static void archive_done(struct kt_op *op, enum kt_code rc, const struct kt_err *err)
{
	const struct show *s = op->data;
	struct kt_org_mem *org = kt_map_get(&op->ctl->orgs, op->who.org_id);

	if (org)
		org->archives--;
	if (rc == KT_OK)
		kt_buf_adds(&op->json, s->path);
	kt_op_end(op, rc, err);
}

static void archive_found(struct kt_op *op, enum kt_code rc, const struct kt_err *err)
{
	struct kt_org_mem *org = kt_map_get(&op->ctl->orgs, op->who.org_id);

	if (rc != KT_OK) {
		kt_op_end(op, rc, err);
		return;
	}
	/* Packing takes seconds, and the workers are there for all organizations. */
	if (org && org->archives >= KT_MAX_ARCHIVES) {
		kt_op_fail(op, KT_EUNAVAIL, 503, "too_many_archives", NULL,
			"%d archives are being made for this organization already (fixed)",
			KT_MAX_ARCHIVES);
		return;
	}
	if (org)
		org->archives++;
	kt_op_step(op, KT_STEP_POOL(.kind = KT_WORK_PACK), archive_work, archive_done);
}

void kt_control_release_archive(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *release, const char *format, kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	struct show *s = kt_arena_alloc(op->arena, sizeof(*s));
	KT_AUTOFREE char *path = NULL;

	if (!format || (strcmp(format, "tar.gz") != 0 && strcmp(format, "tar.zst") != 0)) {
		kt_op_fail(op, KT_EINVAL, 422, "validation_failed", NULL,
			"'format' is tar.gz or tar.zst");
		return;
	}
	s->ref = kt_arena_strdup(op->arena, ref);
	s->word = kt_arena_strdup(op->arena, release);
	s->format = kt_arena_strdup(op->arena, format);
	path = kt_data_tmp(ctl->data_dir, "archive-XXXXXX");
	s->path = kt_arena_strdup(op->arena, path);
	op->data = s;
	kt_op_step(op, KT_STEP_READ, release_find_work, archive_found);
}
