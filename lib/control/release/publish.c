/* SPDX-License-Identifier: MIT */
/*
 * Publishing: a document, a bundle or a whole archive becomes a release's row, and its build
 * begins.
 *
 *	archive -> unpacker -> staging -> blobs        (only when something was sent)
 *	document -> manifest -> are all blobs here?    409 files_missing; what came is kept
 *	one transaction: project, version, row, audit, idempotency record -> kt_build_begin()
 *
 * Reading and hashing is a worker's; until everything is here nothing is written but blobs.
 */
#include "control/release/publish_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "store/datadir.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_ARRIVED 1000 /* uploads that are under way */

/* What was sent: see kt_control_publish() and kt_control_publish_file(). */
struct sent {
	const char *doc;
	size_t doc_len;
	const char *doc_path, *body_path;
};

/* --- the transaction --------------------------------------------------------------------- */

static enum kt_code find_or_add(
	struct kt_tx *tx, struct kt_op *op, struct publish *p, struct kt_err *err)
{
	enum kt_code rc = kt_tx_project(tx, op->arena, op->who.org_id, p->ref, &p->project, err);

	if (rc == KT_ENOTFOUND) {
		rc = kt_project_add(tx, op, p->ref, NULL, &p->project, err);
		p->builds_now = true;
	}
	if (rc != KT_OK)
		return rc;
	if (p->project.dir)
		return kt_op_folder_project(op, &p->project, err);
	return kt_op_if_match(op, &p->project, err);
}

/* The ref is where the publisher saw it. */
static enum kt_code check_expected(
	struct kt_tx *tx, struct kt_op *op, struct publish *p, struct kt_err *err)
{
	struct kt_ref_row *refs;
	const char *now = "";
	size_t n;
	enum kt_code rc;

	if (!p->expected || !p->git_ref)
		return KT_OK;
	rc = kt_tx_refs(tx, op->arena, p->project.id, &refs, &n, err);
	for (size_t i = 0; rc == KT_OK && i < n; i++) {
		if (!strcmp(refs[i].name, p->git_ref))
			now = refs[i].commit_sha;
	}
	if (rc != KT_OK || !strcmp(now, p->expected))
		return rc;
	op->answer.extra = kt_json_pairs(op->arena, "commit_sha", now, NULL);
	return kt_op_code(op,
		kt_fail(err, KT_ECONFLICT, 0, "'%s' moved meanwhile, to %.12s", p->git_ref, now),
		409, "ref_moved");
}

static void fill_row(struct kt_op *op, struct publish *p)
{
	const struct kt_project_row *pr = &p->project;
	bool production = kt_publish_for_production(p, pr->production_ref);

	if (!production)
		kt_preview_label(pr->label, p->git_ref, p->pr, p->label);
	p->row = (struct kt_release_row){
		.id = p->release_id,
		.org_id = pr->org_id,
		.project_id = pr->id,
		.version = pr->next_version,
		.state = p->builds_now ? KT_REL_BUILDING : KT_REL_QUEUED,
		.digest = p->digest,
		.kind = "file_copy",
		.commit_sha = p->commit_sha,
		.ref = p->git_ref,
		.message = p->message,
		.source = p->source,
		.env = p->env,
		.preview = production ? NULL : p->label,
		.pr = p->pr,
		.fork = p->fork,
		.config_version = pr->config_version,
		.n_files = p->n_files,
		.n_bytes = p->n_bytes,
		.created_by = op->who.key_name[0] ? op->who.key_name : "system",
		.created_us = kt_time_us(),
		.aim = kt_release_aim(p->activate, p->unpin),
		.expected_commit = p->expected,
	};
}

static enum kt_code answer_row(
	struct kt_tx *tx, struct kt_op *op, struct publish *p, struct kt_err *err)
{
	struct kt_project_mem *mem;
	struct kt_jw w;
	enum kt_code rc;

	if (p->as_deploy)
		return kt_deploy_answer(tx, op, &p->project, &p->row, err);
	rc = kt_project_temp(tx, op, &p->project, &mem, err);
	if (rc != KT_OK)
		return rc;
	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_write_release(&w, op, mem, &p->row, false);
	kt_jw_obj_end(&w);
	kt_op_etag(op, p->project.current_release_id);
	op->answer.status = 202;
	return KT_OK;
}

/*
 * What is published tells one publish from another under the same key, not how it was sent: a
 * document and the bundle that follows it are one.
 */
static void set_fingerprint(struct kt_op *op, const struct publish *p)
{
	const char *text;
	char *digest;

	if (!op->pre.idem_key || op->pre.fingerprint)
		return;
	text = kt_arena_printf(op->arena, "%s\n%s\n%s\n%s\n%s\n%lld %d %d %d%s", p->digest,
		p->commit_sha ? p->commit_sha : "", p->git_ref ? p->git_ref : "",
		p->message ? p->message : "", p->env_mac ? p->env_mac : "", (long long)p->pr,
		p->fork, p->preview, p->activate, p->unpin ? " unpin" : "");
	digest = kt_arena_alloc(op->arena, KT_DIGEST_MAX);
	kt_sha256_of(text, strlen(text), digest);
	op->pre.fingerprint = digest;
}

static enum kt_code publish_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct publish *p = op->data;
	bool replay;
	enum kt_code rc;

	set_fingerprint(op, p);
	rc = kt_op_idem_begin(tx, op, &replay, err);
	if (rc != KT_OK || replay)
		return rc;
	rc = find_or_add(tx, op, p, err);
	if (rc == KT_OK && kt_publish_is_held(p, p->project.production_ref))
		rc = kt_pinned_check(tx, op, &p->project, err);
	if (rc == KT_OK && p->unpin)
		rc = kt_pinned_may_end(op, err);
	if (rc == KT_OK)
		rc = check_expected(tx, op, p, err);
	if (rc != KT_OK)
		return rc;
	fill_row(op, p);
	p->project.next_version++;
	rc = kt_tx_project_put(tx, &p->project, err);
	if (rc == KT_OK)
		rc = kt_tx_release_add(tx, &p->row, err);
	if (rc == KT_OK)
		rc = kt_op_audit(tx, op, "release.create",
			kt_object_project(op->arena, p->project.slug),
			kt_json_pairs(op->arena, "version",
				kt_version_text(op->arena, p->row.version), "release",
				p->release_id, "digest", p->digest, "ref", p->git_ref, "commit_sha",
				p->commit_sha, NULL),
			err);
	if (rc == KT_OK)
		rc = answer_row(tx, op, p, err);
	if (rc == KT_OK)
		rc = kt_op_idem_end(tx, op, 202, p->release_id, err);
	return rc;
}

static void publish_done(struct kt_op *op, enum kt_code rc, const struct kt_err *err)
{
	struct publish *p = op->data;
	struct kt_project_mem *mem = kt_map_get(&op->ctl->projects, p->counted);

	if (mem)
		mem->publishing--;
	if (rc == KT_OK && !op->replayed) {
		mem = kt_index_project_put(op->ctl, &p->project);
		kt_build_begin(op->ctl, mem, &p->row, op, (int64_t)p->n_new);
	}
	kt_op_end(op, rc, err);
}

/* --- the way through --------------------------------------------------------------------- */

/* A task: thousands of files perhaps. At the end of the server they stay for its next start. */
static enum kt_code publish_clean(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	(void)tx;
	(void)err;
	kt_publish_remove_staging(op);
	return KT_OK;
}

static void publish_cleaned(struct kt_op *op, enum kt_code rc, const struct kt_err *err)
{
	const struct publish *p = op->data;

	(void)rc;
	(void)err;
	kt_op_end(op, p->rc, &p->err);
}

static void end_publish(struct kt_op *op, enum kt_code rc, const struct kt_err *err)
{
	struct publish *p = op->data;

	p->rc = rc;
	p->err = *err;
	/* The worker did it unless it was never called. */
	if (p->staging)
		kt_op_step(op, KT_STEP_POOL(.kind = KT_WORK_LONG, .admitted = true), publish_clean,
			publish_cleaned);
	else
		publish_cleaned(op, KT_OK, NULL);
}

/* Another project's host name cannot become a preview's. */
static bool label_taken(struct kt_op *op, const struct publish *p)
{
	const struct kt_project_mem *mem = kt_index_project(op->ctl, op->who.org_id, p->ref);
	const struct kt_label_mem *l;
	char label[64];

	if (!mem || kt_publish_for_production(p, mem->production_ref))
		return false;
	kt_preview_label(mem->label, p->git_ref, p->pr, label);
	l = kt_map_get(&op->ctl->labels, label);
	return l && (l->project != mem || !l->preview);
}

/*
 * An upload of many files comes in several bundles, and each but the last is answered with what is
 * still missing. What came with those counts as new, too.
 */
static void count_new(struct kt_op *op, struct publish *p, bool whole)
{
	struct kt_map *arrived = &kt_works_get(op->ctl)->arrived;
	const char *key = kt_arena_printf(op->arena, "%s/%s", op->who.org_id, p->digest);
	int64_t *before = p->digest[0] ? kt_map_get(arrived, key) : NULL;

	if (whole && before) {
		p->n_new += (size_t)*before;
		free(kt_map_del(arrived, key));
	} else if (!whole && p->n_new && before) {
		*before += (int64_t)p->n_new;
	} else if (!whole && p->n_new && p->digest[0]) {
		if (arrived->len >= MAX_ARRIVED)
			kt_works_forget(arrived);
		before = kt_malloc(sizeof(*before));
		*before = (int64_t)p->n_new;
		(void)kt_map_set(arrived, key, before);
	}
}

static void publish_prepared(struct kt_op *op, enum kt_code rc, const struct kt_err *err)
{
	struct publish *p = op->data;
	struct kt_project_mem *mem = kt_index_project(op->ctl, op->who.org_id, p->ref);

	count_new(op, p, rc == KT_OK);
	if (rc != KT_OK) {
		end_publish(op, rc, err);
		return;
	}
	/* Many may have begun when there was room for one. */
	if (mem && kt_builds_full(op, mem))
		return;
	if (label_taken(op, p)) {
		kt_op_fail(op, KT_ECONFLICT, 409, "label_taken", NULL,
			"a project has the host name that this preview would get");
		return;
	}
	p->builds_now = mem && mem->builds.len == 0 && mem->publishing == 0;
	if (mem) {
		mem->publishing++;
		memcpy(p->counted, mem->id, sizeof(p->counted));
	}
	kt_op_step(op, KT_STEP_WRITE, publish_work, publish_done);
}

static void on_unpacked(
	void *arg, enum kt_code rc, const struct kt_unpacked *u, const struct kt_err *err)
{
	struct kt_op *op = arg;
	struct publish *p = op->data;

	if (rc == KT_OK) {
		p->unpacked = *u;
		kt_op_step(op, KT_STEP_POOL(.kind = KT_WORK_LONG), kt_publish_prepare,
			publish_prepared);
		return;
	}
	if (rc == KT_ECANCEL)
		rc = kt_op_code(op, KT_EUNAVAIL, 503, "shutting_down");
	else if (rc != KT_EIO && rc != KT_EUNAVAIL)
		rc = kt_op_code(op, rc, 422, "archive_refused");
	end_publish(op, rc, err);
}

static void publish_unpack(struct kt_op *op)
{
	struct publish *p = op->data;
	struct kt_err err = KT_ERR_INIT;
	KT_AUTOFREE char *path = kt_data_tmp(op->ctl->data_dir, "up-XXXXXX");
	char *staging = kt_arena_strdup(op->arena, path);

	if (!mkdtemp(staging)) {
		kt_op_end(op,
			kt_fail(&err, KT_EIO, errno, "cannot make a folder in '%s/tmp'",
				op->ctl->data_dir),
			&err);
		return;
	}
	p->staging = staging;
	kt_unpack_start(op->ctl, op->who.org_id, p->body_path, staging, on_unpacked, op);
}

/* What can be said before anything is read. */
static bool may_begin(struct kt_op *op, const char *ref)
{
	struct kt_project_mem *mem = kt_index_project(op->ctl, op->who.org_id, ref);
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc;

	if (op->ctl->draining) {
		kt_op_fail(
			op, KT_EUNAVAIL, 503, "shutting_down", NULL, "the server is shutting down");
		return false;
	}
	if (mem && kt_builds_full(op, mem))
		return false;
	rc = mem ? KT_OK : kt_project_new_check(op, ref, &err);
	if (rc != KT_OK)
		kt_op_end(op, rc, &err);
	return rc == KT_OK;
}

static void publish_begin(
	struct kt_op *op, const char *ref, const struct sent *sent, bool as_deploy)
{
	struct kt_control *ctl = op->ctl;
	struct publish *p = kt_arena_alloc(op->arena, sizeof(*p));
	const struct kt_project_mem *mem;

	op->data = p;
	p->as_deploy = as_deploy;
	if (!may_begin(op, ref))
		return;
	mem = kt_index_project(ctl, op->who.org_id, ref);
	if (mem && mem->current)
		memcpy(p->live, mem->current->digest, sizeof(p->live));
	kt_pinned_of(mem, op->arena, &p->pin);
	if (mem)
		p->production_ref = kt_arena_strdup(op->arena, mem->production_ref);
	p->ref = kt_arena_strdup(op->arena, ref);
	p->limits = ctl->limits;
	kt_rand_id("rel_", p->release_id);
	if (sent->doc) {
		p->doc = kt_arena_strndup(op->arena, sent->doc, sent->doc_len);
		p->doc_len = sent->doc_len;
	}
	if (sent->doc_path)
		p->doc_path = kt_arena_strdup(op->arena, sent->doc_path);
	if (sent->body_path) {
		p->body_path = kt_arena_strdup(op->arena, sent->body_path);
		publish_unpack(op);
	} else if (sent->doc || sent->doc_path) {
		kt_op_step(op, KT_STEP_POOL(.kind = KT_WORK_LONG, .bytes = p->doc_len),
			kt_publish_prepare, publish_prepared);
	} else {
		kt_op_fail(op, KT_EINVAL, 422, "validation_failed", NULL, "nothing was sent");
	}
}

void kt_control_publish(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *doc, size_t doc_len, const char *body_path, const struct kt_precond *pre,
	kt_result_fn fn, void *arg)
{
	const struct sent sent = { .doc = doc, .doc_len = doc_len, .body_path = body_path };

	publish_begin(kt_op_new(ctl, a, pre, fn, arg), ref, &sent, false);
}

void kt_control_publish_file(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *doc_path, const struct kt_precond *pre, kt_result_fn fn, void *arg)
{
	const struct sent sent = { .doc_path = doc_path };

	publish_begin(kt_op_new(ctl, a, pre, fn, arg), ref, &sent, false);
}

void kt_publish_archive(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *body_path, const struct kt_publish_meta *meta, const struct kt_precond *pre,
	kt_result_fn fn, void *arg)
{
	KT_AUTO_BUF struct kt_buf doc = KT_BUF_INIT(KT_MAX_HTTP_BODY_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &doc);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "commit_sha", meta->commit_sha);
	kt_jw_str(&w, "ref", meta->ref);
	kt_jw_str(&w, "message", meta->message);
	kt_jw_str(&w, "source", meta->source);
	kt_jw_int(&w, "pr", meta->pr);
	kt_jw_bool(&w, "fork", meta->fork);
	kt_jw_bool(&w, "activate", !meta->no_activate);
	kt_jw_bool(&w, "unpin", meta->unpin);
	kt_jw_obj_end(&w);
	publish_begin(kt_op_new(ctl, a, pre, fn, arg), ref,
		&(struct sent){ .doc = doc.ptr, .doc_len = doc.len, .body_path = body_path },
		meta->as_deploy);
}
