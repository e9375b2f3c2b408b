/* SPDX-License-Identifier: MIT */
/*
 * The row of a release: copied, found by what a caller calls it, and made anew of code that is
 * here already.
 */
#include "control/release/release_private.h"

#include "base/str.h"
#include "base/time.h"

#include <string.h>

struct kt_release_row *kt_release_copy(struct kt_arena *arena, const struct kt_release_row *row)
{
	struct kt_release_row *r = kt_arena_alloc(arena, sizeof(*r));

	kt_release_row_copy(arena, row, r);
	return r;
}

static enum kt_code find_word(struct kt_tx *tx, struct kt_op *op, const struct kt_project_row *p,
	const char *word, struct kt_release_row *out, struct kt_err *err)
{
	int64_t version;
	enum kt_code rc;

	if (!strcmp(word, "current"))
		word = p->current_release_id ? p->current_release_id : "";
	if (kt_str_int64(word + (*word == 'v'), 1, INT64_MAX, &version))
		return kt_tx_release_version(tx, op->arena, p->id, version, out, err);
	rc = kt_tx_release(tx, op->arena, p->org_id, word, out, err);
	if (rc == KT_OK && strcmp(out->project_id, p->id) != 0)
		rc = KT_ENOTFOUND;
	return rc;
}

enum kt_code kt_release_find(struct kt_tx *tx, struct kt_op *op, const struct kt_project_row *p,
	const char *word, struct kt_release_row *out, struct kt_err *err)
{
	struct kt_release_row row;
	enum kt_code rc = find_word(tx, op, p, word, &row, err);

	if (rc == KT_ENOTFOUND && p->dir)
		op->answer.extra = "{\"kind\":\"folder\"}";
	if (rc == KT_ENOTFOUND)
		return kt_op_code(op,
			kt_fail(err, rc, 0,
				p->dir ? "there is no release '%.40s' of %s, which is served from "
					 "a folder"
				       : "there is no release '%.40s' of %s",
				word, p->slug),
			404, "release_not_found");
	if (rc == KT_OK)
		*out = row;
	return rc;
}

enum kt_release_aim kt_release_aim(bool activate, bool unpin)
{
	if (!activate)
		return KT_AIM_READY;
	return unpin ? KT_AIM_UNPIN : KT_AIM_LIVE;
}

enum kt_code kt_release_again(struct kt_tx *tx, struct kt_op *op, struct kt_project_row *p,
	const struct kt_release_row *from, enum kt_release_aim aim, const char *source,
	const char *message, struct kt_release_row *out, struct kt_err *err)
{
	char *id = kt_arena_alloc(op->arena, KT_ID_MAX);
	struct kt_release_row row;
	enum kt_code rc;

	kt_rand_id("rel_", id);
	row = (struct kt_release_row){
		.id = id,
		.org_id = p->org_id,
		.project_id = p->id,
		.version = p->next_version,
		.state = KT_REL_QUEUED,
		.digest = from->digest,
		.kind = "file_copy",
		.commit_sha = from->commit_sha,
		.ref = from->ref,
		.message = message ? message : from->message,
		.source = source,
		.env = from->env,
		.config_version = p->config_version,
		.n_files = from->n_files,
		.n_bytes = from->n_bytes,
		.created_by = op->who.key_name[0] ? op->who.key_name : "system",
		.created_us = kt_time_us(),
		.aim = aim,
	};
	p->next_version++;
	rc = kt_tx_project_put(tx, p, err);
	if (rc == KT_OK)
		rc = kt_tx_release_add(tx, &row, err);
	if (rc == KT_OK)
		rc = kt_op_audit(tx, op, "release.create", kt_object_project(op->arena, p->slug),
			kt_json_pairs(op->arena, "version", kt_version_text(op->arena, row.version),
				"release", id, "digest", row.digest, "source", source, "of",
				kt_version_text(op->arena, from->version), NULL),
			err);
	if (rc == KT_OK)
		*out = row;
	return rc;
}

enum kt_code kt_deploy_answer(struct kt_tx *tx, struct kt_op *op,
	const struct kt_project_row *project, const struct kt_release_row *row, struct kt_err *err)
{
	struct kt_project_mem *p;
	struct kt_jw w;
	enum kt_code rc = kt_project_temp(tx, op, project, &p, err);

	if (rc != KT_OK)
		return rc;
	kt_jw_init(&w, &op->json);
	kt_jw_obj(&w, NULL);
	kt_jw_bool(&w, "accepted", true);
	kt_jw_str(&w, "project", p->slug);
	kt_jw_str(&w, "commit_sha", row->commit_sha);
	kt_jw_obj(&w, "deploy");
	kt_jw_str(&w, "id", row->id);
	kt_jw_str(&w, "version", kt_version_text(op->arena, row->version));
	kt_jw_str(&w, "state", kt_release_state_name(row->state));
	kt_jw_str(&w, "url", kt_project_url(op, p->slug, p->label));
	kt_jw_str(&w, "log",
		kt_arena_printf(op->arena, "/agent_projects/%s/deploys/%s/log", p->slug, row->id));
	kt_jw_obj_end(&w);
	kt_jw_obj_end(&w);
	kt_op_etag(op, project->current_release_id);
	op->answer.status = 202;
	return KT_OK;
}
