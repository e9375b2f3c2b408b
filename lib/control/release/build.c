/* SPDX-License-Identifier: MIT */
/*
 * Builds: what happens between a release's row and its being live. Those of one project run one
 *after the other in the order of their versions, those of several projects side by side.
 *
 *	queued -> building -> active | ready | preview
 *	                  \-> failed
 *
 * The tree is laid out and looked at by a worker while the row becomes "building"; then one
 * transaction flips the pointer together with everything that follows from it. A build that fails
 * changes nothing but its own row.
 */
#include "control/release/release_private.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"

#include <stdio.h>
#include <string.h>

#define HEADS "refs/heads/"
#define ROUND_US ((int64_t)60 * 1000000) /* what is left is told in whole units */

static void build_run_next(struct kt_project_mem *p);

bool kt_builds_full(struct kt_op *op, const struct kt_project_mem *p)
{
	size_t n = p->builds.len + p->publishing;

	if (n < KT_MAX_BUILDS_QUEUED)
		return false;
	kt_op_fail(op, KT_EUNAVAIL, 503, "too_many_builds", NULL,
		"%zu releases of this project are waiting already (fixed); try again later", n);
	return true;
}

bool kt_preview_building(const struct kt_project_mem *p, const char *label)
{
	for (size_t i = 0; i < p->builds.len; i++) {
		const struct kt_build *b = p->builds.items[i];

		if (kt_str_eq(b->row->preview, label))
			return true;
	}
	return false;
}

/* --- the last transaction ---------------------------------------------------------------- */

static enum kt_code build_audit(struct kt_tx *tx, struct kt_build *b, const char *action,
	const char *more, const char *value, struct kt_err *err)
{
	const struct kt_build_work *w = b->work;
	struct kt_op *op = b->op;
	const char *detail = kt_json_pairs(op->arena, "version",
		kt_version_text(op->arena, b->version), "release", b->release_id, "digest",
		b->row->digest, more, value, NULL);

	return kt_op_audit(
		tx, op, action, kt_object_project(op->arena, w->project.slug), detail, err);
}

static enum kt_code fail_row(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct kt_build *b = arg;
	struct kt_build_work *w = b->work;
	struct kt_release_row row = *b->row;
	enum kt_code rc = kt_tx_project(
		tx, b->op->arena, row.org_id, row.project_id, &w->project, err);

	row.state = KT_REL_FAILED;
	row.error_code = w->code;
	row.error = w->problem;
	row.kind = w->kind ? w->kind : row.kind;
	row.image_ref = w->image_ref;
	row.harness = w->harness;
	if (rc == KT_OK)
		rc = kt_tx_release_put(tx, &row, err);
	if (rc == KT_OK)
		rc = build_audit(tx, b, "release.fail", "error", w->code, err);
	return rc;
}

/* A newer push to the same preview takes its name. */
static enum kt_code replace_preview(
	struct kt_tx *tx, struct kt_build *b, struct kt_release_row *row, struct kt_err *err)
{
	struct kt_release_row *rows;
	size_t n;
	enum kt_code rc = kt_tx_releases_in(tx, b->op->arena, 1U << KT_REL_PREVIEW, &rows, &n, err);

	for (size_t i = 0; rc == KT_OK && i < n; i++) {
		if (strcmp(rows[i].project_id, row->project_id) != 0 ||
			!kt_str_eq(rows[i].preview, row->preview) || !strcmp(rows[i].id, row->id))
			continue;
		rows[i].state = KT_REL_EXPIRED;
		rows[i].expires_us = row->built_us;
		rc = kt_tx_release_put(tx, &rows[i], err);
	}
	row->state = KT_REL_PREVIEW;
	row->expires_us = row->built_us + b->ctl->cfg.preview_ms * 1000;
	return rc;
}

/*
 * Refs are what was pushed: a production release and a preview of a branch move theirs. A pull
 * request's branch may have any name, also that of the production branch, so it moves none; nor
 * does a release that nobody pushed.
 */
static bool moves_ref(const struct kt_release_row *row)
{
	if (!row->ref || !row->commit_sha || row->pr > 0 || row->fork)
		return false;
	return strcmp(row->source, "config") != 0 && strcmp(row->source, "redeploy") != 0;
}

static enum kt_code set_ref(
	struct kt_tx *tx, struct kt_build *b, const struct kt_release_row *row, struct kt_err *err)
{
	struct kt_build_work *w = b->work;
	const struct kt_ref_row ref = {
		.project_id = row->project_id,
		.name = row->ref,
		.commit_sha = row->commit_sha,
		.release_id = row->id,
	};
	enum kt_code rc;

	if (!moves_ref(row) || (row->preview && !strcmp(row->ref, w->project.production_ref)))
		return KT_OK;
	rc = kt_tx_ref_set(tx, &ref, row->expected_commit, err);
	if (rc == KT_ECONFLICT)
		(void)kt_op_code(b->op, rc, 409, "ref_moved");
	else if (rc == KT_ELIMIT)
		(void)kt_op_code(b->op, rc, 422, "too_many_refs");
	return rc;
}

/*
 * Configuration changed while newer code was on its way, which is live by now: activating this one
 * would bring the old code back. A new release of the live code takes its place.
 */
static enum kt_code follow_live(struct kt_tx *tx, struct kt_build *b,
	const struct kt_release_row *row, bool *out_late, struct kt_err *err)
{
	struct kt_build_work *w = b->work;
	struct kt_release_row live;
	enum kt_code rc;

	*out_late = false;
	if (!w->project.current_release_id)
		return KT_OK;
	rc = kt_tx_release(
		tx, b->op->arena, row->org_id, w->project.current_release_id, &live, err);
	if (rc != KT_OK || !strcmp(live.digest, row->digest))
		return rc;
	*out_late = true;
	w->replaced_by = live.id;
	if (live.config_version >= row->config_version)
		return KT_OK;
	rc = kt_release_again(tx, b->op, &w->project, &live, KT_AIM_LIVE, "config",
		kt_arena_printf(
			b->op->arena, "config: version %lld", (long long)w->project.config_version),
		&w->moved, err);
	if (rc == KT_OK)
		w->replaced_by = w->moved.id;
	return rc;
}

/*
 * Does the project's pin hold this release back? Not when it is the live code with configuration
 * that was changed since, and not when it is here to end that pin. What was made before the pin
 * is held whatever it is: a rollback came after it.
 */
static enum kt_code look_at_pin(
	struct kt_tx *tx, struct kt_build *b, const struct kt_release_row *row, struct kt_err *err)
{
	struct kt_build_work *w = b->work;
	struct kt_project_row *p = &w->project;
	struct kt_pinned pin = { p->pin_reason, p->pin_by, p->pinned_us, 0 };
	struct kt_release_row live;
	enum kt_code rc;

	w->held = NULL;
	w->unpinned = false;
	if (row->preview || !p->pin_reason)
		return KT_OK;
	if (row->version >= p->pin_next && !strcmp(row->source, "config"))
		return KT_OK;
	if (row->version >= p->pin_next && row->aim == KT_AIM_UNPIN) {
		w->unpinned = true;
		return kt_pinned_end(tx, b->op, p, err);
	}
	if (p->current_release_id) {
		rc = kt_tx_release(
			tx, b->op->arena, row->org_id, p->current_release_id, &live, err);
		if (rc != KT_OK)
			return rc;
		pin.version = live.version;
	}
	w->held = kt_pinned_text(b->arena, &pin);
	return KT_OK;
}

/*
 * The preview was over before it was built: its pull request was closed, its ref deleted. The row
 * says so, and nobody but the database knows it for sure.
 */
static enum kt_code preview_is_over(
	struct kt_tx *tx, struct kt_build *b, struct kt_release_row *row, struct kt_err *err)
{
	struct kt_release_row now;
	enum kt_code rc;

	if (!row->preview)
		return KT_OK;
	rc = kt_tx_release(tx, b->op->arena, row->org_id, row->id, &now, err);
	if (rc == KT_OK && now.expires_us > 0) {
		row->state = KT_REL_EXPIRED;
		row->expires_us = now.expires_us;
	}
	return rc;
}

static enum kt_code build_settle(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct kt_build *b = arg;
	struct kt_build_work *w = b->work;
	struct kt_release_row row = *b->row, old;
	const char *action = "release.ready";
	bool late = false;
	enum kt_code rc = kt_tx_project(
		tx, b->op->arena, row.org_id, row.project_id, &w->project, err);

	if (rc != KT_OK)
		return rc;
	if (w->project.harness && strcmp(w->project.harness, w->harness) != 0)
		return kt_op_code(b->op,
			kt_fail(err, KT_ECONFLICT, 0, "the project's harness is %s and stays so",
				w->project.harness),
			409, "harness_fixed");
	row.kind = w->kind;
	row.image_ref = w->image_ref;
	row.harness = w->harness;
	row.built_us = kt_time_us();
	w->activated = false;
	w->moved.id = w->replaced_by = NULL;
	rc = look_at_pin(tx, b, &row, err);
	if (rc == KT_OK && !w->held && !strcmp(row.source, "config"))
		rc = follow_live(tx, b, &row, &late, err);
	if (rc == KT_OK)
		rc = preview_is_over(tx, b, &row, err);
	if (rc != KT_OK)
		return rc;
	if (row.state == KT_REL_EXPIRED) {
		action = "preview.end";
	} else if (row.preview) {
		action = "preview.create";
		rc = replace_preview(tx, b, &row, err);
	} else if (w->held || late || row.aim == KT_AIM_READY) {
		row.state = KT_REL_READY;
	} else {
		action = "release.activate";
		rc = kt_pointer_move(tx, b->op->arena, &w->project, &row, row.built_us, &old, err);
		w->activated = true;
	}
	w->project.harness = w->harness;
	if (rc == KT_OK)
		rc = kt_tx_release_put(tx, &row, err);
	if (rc == KT_OK)
		rc = kt_tx_project_put(tx, &w->project, err);
	if (rc == KT_OK && row.state != KT_REL_EXPIRED)
		rc = set_ref(tx, b, &row, err);
	if (rc == KT_OK)
		rc = build_audit(tx, b, action, row.preview ? "preview" : NULL, row.preview, err);
	w->settled = row;
	return rc;
}

/* --- the end ----------------------------------------------------------------------------- */

static void log_release(struct kt_build *b, const char *level, const char *text)
{
	const struct kt_log_line line = {
		.project_id = b->row->project_id,
		.level = level,
		.source = "release",
		.version = b->version,
		.text = text,
	};

	kt_control_log(b->ctl, &line);
}

/* A first push of another branch: its author believes that it is live now. */
static void tell_not_live(struct kt_build *b, const struct kt_project_row *p)
{
	const char *live = p->production_ref, *branch = b->row->ref;

	if (p->current_release_id || b->row->pr > 0 || !kt_str_starts(live, HEADS) || !branch ||
		!kt_str_starts(branch, HEADS))
		return;
	live += strlen(HEADS);
	kt_build_say(b, "info", "       nothing is live yet: the branch %s goes live", live);
	kt_build_say(b, "info", "         fix: git push karta %s:%s", branch + strlen(HEADS), live);
}

static void tell_end(struct kt_build *b)
{
	const struct kt_build_work *w = b->work;
	const struct kt_release_row *r = b->row;
	const struct kt_project_row *p = &w->project;
	const char *url = !p->label ? ""
		: r->preview        ? kt_label_url(b->op, r->preview)
				    : kt_project_url(b->op, p->slug, p->label);
	KT_AUTOFREE char *text = NULL;
	char until[40];

	if (r->state == KT_REL_FAILED) {
		kt_build_say(b, "error", " !     %s", r->error);
		text = kt_asprintf("v%lld failed: %s", (long long)b->version, r->error);
		log_release(b, "error", text);
	} else if (r->state == KT_REL_ACTIVE) {
		kt_build_say(b, "info", "-----> Activated v%lld", (long long)b->version);
		kt_build_say(b, "info", "       %s", url);
		if (kt_label_reserved(p->slug))
			kt_build_say(b, "info",
				"       (no project gets the host name '%s', so the address is a "
				"path)",
				p->slug);
		text = kt_asprintf("v%lld is active", (long long)b->version);
		log_release(b, "info", text);
	} else if (r->state == KT_REL_PREVIEW) {
		/* Rounded up: the first moment of it has passed already. */
		kt_time_ago(r->expires_us + ROUND_US, kt_time_us(), until, sizeof(until));
		kt_build_say(
			b, "info", "-----> Preview v%lld, ends %s", (long long)b->version, until);
		kt_build_say(b, "info", "       %s", url);
		tell_not_live(b, p);
		text = kt_asprintf("v%lld is the preview %s", (long long)b->version, r->preview);
		log_release(b, "info", text);
	} else if (r->state == KT_REL_EXPIRED) {
		kt_build_say(b, "warn",
			"-----> Built v%lld, but its preview is over: the pull request was closed "
			"or the ref deleted",
			(long long)b->version);
		text = kt_asprintf(
			"v%lld: its preview was over before it was built", (long long)b->version);
		log_release(b, "info", text);
	} else {
		kt_build_say(b, "info", "-----> Built v%lld, not activated", (long long)b->version);
		if (w->held)
			kt_build_say(b, "warn",
				"       the project is %s ('karta releases unpin' lets go)",
				w->held);
		text = kt_asprintf("v%lld is ready, not live%s%s", (long long)b->version,
			w->held ? ": the project is " : "", w->held ? w->held : "");
		log_release(b, w->held ? "warn" : "info", text);
	}
}

/* The first of its project's builds has ended: the next one's turn. */
static void build_leave(struct kt_build *b)
{
	struct kt_project_mem *p = b->project;
	struct kt_control *ctl = b->ctl;

	(void)kt_vec_remove_ptr(&p->builds, b);
	kt_build_over(b);
	if (p->deleted)
		kt_index_sweep(ctl);
	else
		build_run_next(p);
}

/* Who waits for b gets the answer of the release that took its place. */
static void hand_over(struct kt_build *b, struct kt_project_mem *p)
{
	struct kt_build_work *w = b->work;
	struct kt_build *next;

	kt_build_say(b, "info", "-----> v%lld takes its place: newer code went live meanwhile",
		(long long)w->moved.version);
	kt_build_begin(b->ctl, p, &w->moved, b->op, -1);
	next = kt_map_get(&b->ctl->builds, w->moved.id);
	while (b->waiters.len > 0)
		kt_vec_push(&next->waiters, kt_vec_remove(&b->waiters, 0));
}

static void build_finish(struct kt_build *b)
{
	struct kt_build_work *w = b->work;
	struct kt_control *ctl = b->ctl;

	if (!w->canceled) {
		struct kt_project_mem *p = kt_pointer_moved(
			ctl, &w->project, w->activated ? b->row : NULL);

		if (b->row->state == KT_REL_PREVIEW)
			kt_index_preview_put(ctl, p, b->row);
		if (w->moved.id)
			hand_over(b, p);
		tell_end(b);
	}
	build_leave(b);
}

/* At the server's end the row stays as it is, for the next start. */
static bool builds_stopped(const struct kt_build *b)
{
	return b->ctl->closing || kt_works_get(b->ctl)->stopped;
}

static void build_fail_done(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct kt_build *b = arg;
	struct kt_build_work *w = b->work;

	w->pending--;
	if (builds_stopped(b))
		return;
	if (rc != KT_OK && !w->canceled) {
		kt_log(KT_LOG_ERROR, "control", "release %s: its failure cannot be written: %s",
			b->release_id, err->msg);
		if (!w->project.id)
			w->canceled = true;
	}
	b->row->state = KT_REL_FAILED;
	b->row->error_code = w->code;
	b->row->error = w->problem;
	b->row->harness = w->harness;
	build_finish(b);
}

static void fail_build(struct kt_build *b, const char *code, const char *message)
{
	struct kt_build_work *w = b->work;

	if (!w->code) {
		w->code = code;
		w->problem = kt_arena_strdup(b->arena, message);
	}
	w->activated = w->unpinned = false;
	w->held = NULL;
	w->pending++;
	kt_store_write(b->ctl->store, fail_row, build_fail_done, b);
}

static void build_settled(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct kt_build *b = arg;
	struct kt_build_work *w = b->work;

	w->pending--;
	if (builds_stopped(b))
		return;
	if (rc == KT_OK)
		*b->row = w->settled;
	if (rc == KT_OK || w->canceled)
		build_finish(b);
	else
		fail_build(b, b->op->answer.code ? b->op->answer.code : kt_code_name(rc), err->msg);
}

static void next_step(struct kt_build *b)
{
	struct kt_build_work *w = b->work;

	if (--w->pending > 0 || builds_stopped(b))
		return;
	for (const struct kt_build_line *l = w->lines; l && !w->canceled; l = l->next)
		kt_build_say(b, l->level, "%s", l->text);
	if (w->canceled) {
		build_finish(b);
	} else if (w->code) {
		fail_build(b, w->code, w->problem);
	} else {
		w->pending++;
		kt_store_write(b->ctl->store, build_settle, build_settled, b);
	}
}

static enum kt_code build_check_work(void *arg, struct kt_err *err)
{
	return kt_build_check(arg, err);
}

static void build_checked(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct kt_build *b = arg;
	struct kt_build_work *w = b->work;

	if (rc != KT_OK && !w->code) {
		w->code = rc == KT_EIO ? "storage" : kt_code_name(rc);
		w->problem = kt_arena_strdup(b->arena, err->msg);
	}
	next_step(b);
}

static enum kt_code mark_building(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	const struct kt_build *b = arg;
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct kt_release_row row;
	enum kt_code rc = kt_tx_release(tx, arena, b->row->org_id, b->row->id, &row, err);

	/* As it is now: its preview may be over already. */
	row.state = KT_REL_BUILDING;
	return rc == KT_OK ? kt_tx_release_put(tx, &row, err) : rc;
}

static void build_marked(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct kt_build *b = arg;

	/* Only what listings show meanwhile depends on it. */
	if (rc != KT_OK)
		kt_log(KT_LOG_WARN, "control", "release %s: %s", b->release_id, err->msg);
	next_step(b);
}

/* --- starting ---------------------------------------------------------------------------- */

static void build_start(struct kt_build *b)
{
	struct kt_build_work *w = b->work;
	struct kt_project_mem *p = b->project;
	const struct kt_release_row *r = b->row;
	bool marked_already = r->state == KT_REL_BUILDING;

	b->row->state = KT_REL_BUILDING;
	w->fixed_harness = p->harness ? kt_arena_strdup(b->arena, p->harness) : NULL;
	w->image_ref = kt_arena_printf(
		b->arena, "karta/%s/%s:%.12s", p->org->slug, p->slug, r->digest);
	if (w->n_new >= 0)
		kt_build_say(b, "info", "-----> Unpacked %lld file%s (%lld new)",
			(long long)r->n_files, r->n_files == 1 ? "" : "s", (long long)w->n_new);
	else
		kt_build_say(b, "info", "-----> Taking up %lld file%s", (long long)r->n_files,
			r->n_files == 1 ? "" : "s");
	w->started = true;
	w->pending = marked_already ? 1 : 2;
	if (!marked_already)
		kt_store_write(b->ctl->store, mark_building, build_marked, b);
	kt_task_run(b->ctl, &(struct kt_task_for){ p->org->id, KT_WORK_LONG, 0, true },
		build_check_work, build_checked, b);
}

static void build_run_next(struct kt_project_mem *p)
{
	struct kt_build *b = p->builds.len > 0 ? p->builds.items[0] : NULL;

	if (!b || p->deleted || builds_stopped(b) || ((struct kt_build_work *)b->work)->started)
		return;
	build_start(b);
}

static struct kt_build *new_build(struct kt_control *ctl, struct kt_project_mem *p,
	const struct kt_release_row *row, const struct kt_op *by)
{
	struct kt_build *b = kt_calloc(1, sizeof(*b));
	struct kt_build_work *w;

	b->ctl = ctl;
	b->project = p;
	b->arena = kt_arena_new();
	b->row = kt_release_copy(b->arena, row);
	b->version = row->version;
	b->started_ms = kt_loop_now_ms(ctl->loop);
	(void)kt_str_copy(b->release_id, sizeof(b->release_id), row->id);
	b->op = kt_op_new(ctl, by ? &by->by : NULL, NULL, NULL, NULL);
	/* The system acts for the organization whose release it is. */
	(void)kt_str_copy(b->op->who.org_id, sizeof(b->op->who.org_id), row->org_id);
	(void)kt_str_copy(b->op->who.org_slug, sizeof(b->op->who.org_slug), p->org->slug);
	w = kt_arena_alloc(b->arena, sizeof(*w));
	w->tail = &w->lines;
	w->n_new = -1;
	b->work = w;
	return b;
}

void kt_build_begin(struct kt_control *ctl, struct kt_project_mem *p,
	const struct kt_release_row *row, const struct kt_op *by, int64_t n_new)
{
	struct kt_build *b = new_build(ctl, p, row, by);
	struct kt_build_work *w = b->work;
	struct kt_err err = KT_ERR_INIT;

	w->n_new = n_new;
	if (kt_build_open_log(b, &err) != KT_OK)
		kt_log(KT_LOG_ERROR, "control", "the log of release %s: %s", b->release_id,
			err.msg);
	(void)kt_map_set(&ctl->builds, b->release_id, b);
	kt_vec_push(&p->builds, b);
	if (p->builds.len > 1)
		kt_build_say(b, "info", "-----> Waiting for %zu build%s before this one",
			p->builds.len - 1, p->builds.len == 2 ? "" : "s");
	build_run_next(p);
}

void kt_builds_cancel(struct kt_control *ctl, struct kt_project_mem *p)
{
	for (size_t i = p->builds.len; i > 0; i--) {
		struct kt_build *b = p->builds.items[i - 1];
		struct kt_build_work *w = b->work;

		w->canceled = true;
		/* One that runs ends when its worker has ended. */
		if (w->pending > 0)
			continue;
		(void)kt_vec_remove(&p->builds, i - 1);
		kt_build_over(b);
	}
}
