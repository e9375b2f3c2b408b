/* SPDX-License-Identifier: MIT */
/*
 * A new release of a commit (`karta deploy NAME --commit SHA`): the same manifest as of the one that
 * is here, with the project's present configuration; else it is fetched from the bound repository.
 */
#include "control/github/github_private.h"

#include "base/str.h"

#include <string.h>

/* --- POST /agent_projects/{ref}/deploys -------------------------------------------------- */

struct redeploy {
	char *ref;
	const char *commit_sha, *message;
	bool activate, unpin;
	bool fetch; /* the commit is not here, but may be in the bound repository */
	char *token; /* of that */
	struct kt_project_row project;
	struct kt_release_row from, row;
};

static enum kt_code find_commit(
	struct kt_tx *tx, struct kt_op *op, struct redeploy *r, struct kt_err *err)
{
	enum kt_code rc = kt_tx_release_commit(
		tx, op->arena, r->project.id, r->commit_sha, &r->from, err);

	/* The bound repository may have what was never here. */
	r->fetch = rc == KT_ENOTFOUND && r->project.repo_url;
	if (r->fetch)
		rc = kt_project_unseal(op, &r->project, "repo_token", r->project.repo_token,
			r->project.repo_token_len, &r->token, err);
	if (r->fetch)
		return rc == KT_OK ? KT_ENOTFOUND : rc;
	if (rc == KT_ENOTFOUND)
		return kt_op_code(op,
			kt_fail(err, rc, 0, "project '%s' has no built release of commit %.40s",
				r->project.slug, r->commit_sha),
			404, "commit_not_found");
	if (rc == KT_ECONFLICT)
		return kt_op_code(op,
			kt_fail(err, rc, 0, "more than one commit begins with '%s'", r->commit_sha),
			409, "ambiguous_commit");
	if (rc != KT_OK)
		return rc;
	/* Asking makes it young for the sweep; its files are looked at by the build. */
	if (!kt_blobs_has(op->ctl->blobs, r->project.org_id, r->from.digest))
		return kt_op_code(op,
			kt_fail(err, KT_ENOTFOUND, 0, "the files of v%lld are no longer kept",
				(long long)r->from.version),
			410, "release_gone");
	return KT_OK;
}

static enum kt_code redeploy_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct redeploy *r = op->data;
	bool replay;
	enum kt_code rc = kt_op_idem_begin(tx, op, &replay, err);

	if (rc != KT_OK || replay)
		return rc;
	rc = kt_project_find(tx, op, r->ref, &r->project, err);
	if (rc == KT_OK)
		rc = kt_op_if_match(op, &r->project, err);
	if (rc == KT_OK && r->unpin)
		rc = kt_pinned_may_end(op, err);
	else if (rc == KT_OK && r->activate)
		rc = kt_pinned_check(tx, op, &r->project, err);
	if (rc == KT_OK)
		rc = find_commit(tx, op, r, err);
	if (rc == KT_OK)
		rc = kt_release_again(tx, op, &r->project, &r->from,
			kt_release_aim(r->activate, r->unpin), "redeploy", r->message, &r->row,
			err);
	if (rc == KT_OK)
		rc = kt_deploy_answer(tx, op, &r->project, &r->row, err);
	if (rc == KT_OK)
		rc = kt_op_idem_end(tx, op, 202, r->row.id, err);
	return rc;
}

/* The commit was fetched and has its release, or why not. */
static void redeploy_fetched(void *arg, const struct kt_result *result)
{
	struct kt_op *op = arg;

	if (result->rc != KT_OK) {
		kt_op_fail(op, result->rc, result->status, kt_arena_strdup(op->arena, result->code),
			result->extra ? kt_arena_strdup(op->arena, result->extra) : NULL, "%s",
			result->message);
		return;
	}
	kt_buf_clear(&op->json);
	kt_buf_add(&op->json, result->json, result->json_len);
	op->answer.status = result->status;
	op->answer.etag = result->etag ? kt_arena_strdup(op->arena, result->etag) : NULL;
	kt_op_end(op, KT_OK, NULL);
}

static void redeploy_start_fetch(struct kt_op *op)
{
	struct redeploy *r = op->data;
	const struct kt_publish_meta meta = {
		.commit_sha = r->commit_sha,
		.message = r->message,
		.source = "redeploy",
		.no_activate = !r->activate,
		.unpin = r->unpin,
		.as_deploy = true,
	};
	const struct kt_fetch_from from = {
		.project_id = r->project.id,
		.repo_url = r->project.repo_url,
		.token = r->token,
		.who = &op->who,
		.meta = &meta,
		.pre = &op->pre,
		.done = redeploy_fetched,
		.done_arg = op,
	};

	if (kt_fetches_full(op->ctl, op->who.org_id))
		kt_op_fail(op, KT_EUNAVAIL, 503, "too_many_builds", NULL,
			"too many commits of this organization or server are waited for already "
			"(fixed)");
	else if (!kt_github_fetch(op, &from))
		kt_op_fail(op, KT_EINVAL, 422, "commit_not_found", NULL,
			"the commit is not here, and '%.200s', which is bound, is not owner/name "
			"of a GitHub server",
			r->project.repo_url);
}

static void redeploy_done(struct kt_op *op, enum kt_code rc, const struct kt_err *err)
{
	struct redeploy *r = op->data;

	if (rc == KT_ENOTFOUND && r->fetch) {
		redeploy_start_fetch(op);
	} else {
		if (rc == KT_OK && !op->replayed)
			kt_build_begin(op->ctl, kt_index_project_put(op->ctl, &r->project), &r->row,
				op, 0);
		kt_op_end(op, rc, err);
	}
	if (r->token)
		kt_secret_wipe(r->token, strlen(r->token));
}

void kt_control_redeploy(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *doc, size_t doc_len, const struct kt_precond *pre, kt_result_fn fn, void *arg)
{
	static const char *const members[] = { "commit_sha", "message", "activate", "unpin", NULL };
	struct kt_op *op = kt_op_new(ctl, a, pre, fn, arg);
	struct redeploy *r = kt_arena_alloc(op->arena, sizeof(*r));
	KT_AUTO_JSON cJSON *root = NULL;
	struct kt_project_mem *p = kt_op_project(op, ref);
	const char *s;

	if (!p || !kt_op_doc(op, doc, doc_len, members, &root))
		return;
	op->data = r;
	r->ref = kt_arena_strdup(op->arena, p->id);
	s = kt_json_str(root, "commit_sha");
	if (!s || strlen(s) < 7 || strlen(s) > 64 || s[strspn(s, "0123456789abcdef")]) {
		kt_op_fail(op, KT_EINVAL, 422, "validation_failed", NULL,
			"'commit_sha' must be 7 to 64 lower-case hexadecimal digits");
		return;
	}
	r->commit_sha = kt_arena_strdup(op->arena, s);
	s = kt_json_str(root, "message");
	if (s && *s) {
		char text[1000];

		/* Not cut in the middle of a character. */
		(void)kt_str_copy(text, sizeof(text), s);
		r->message = kt_arena_strdup(op->arena, text);
	}
	r->activate = kt_json_bool(root, "activate", true);
	r->unpin = kt_json_bool(root, "unpin", false);
	if (ctl->draining) {
		kt_op_fail(
			op, KT_EUNAVAIL, 503, "shutting_down", NULL, "the server is shutting down");
		return;
	}
	if (!kt_builds_full(op, p))
		kt_op_step(op, KT_STEP_WRITE, redeploy_work, redeploy_done);
}
