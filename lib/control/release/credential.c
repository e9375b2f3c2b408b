/* SPDX-License-Identifier: MIT */
/*
 * A session of an application that lacks what its model asks for fails at its first message, so it
 * is told when it is published (check.c) and where its project is shown.
 */
#include "control/release/release_private.h"

#include "app/app.h"

#include <string.h>

/* --- GET /agent_projects/{ref} ------------------------------------------------------------- */

struct shown {
	struct kt_jw w; /* the project's object, still open */
	const char *project_id, *release_id, *harness;
	int64_t config_version;
};

static enum kt_code read_missing(struct kt_tx *tx, struct kt_op *op, const struct shown *s,
	const char **out, struct kt_err *err)
{
	struct kt_map names = KT_MAP_INIT;
	struct kt_release_row live;
	struct kt_config_row *rows = NULL;
	size_t n = 0;
	enum kt_code rc = kt_tx_release(tx, op->arena, op->who.org_id, s->release_id, &live, err);

	if (rc == KT_OK && s->config_version > 0)
		rc = kt_tx_config(tx, op->arena, s->project_id, s->config_version, &rows, &n, err);
	for (size_t i = 0; rc == KT_OK && i < n; i++)
		(void)kt_map_set(&names, rows[i].name, op);
	if (rc == KT_OK && kt_release_names(&names, live.env)) {
		KT_AUTOFREE char *dir = kt_layout_path(op->ctl, op->who.org_id, live.digest);

		*out = kt_app_credential_missing(s->harness, dir, &names);
	}
	kt_map_release(&names);
	return rc;
}

static enum kt_code credential_show_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct shown *s = op->data;
	const char *missing = NULL;
	enum kt_code rc = read_missing(tx, op, s, &missing, err);

	/* Deleted meanwhile: then there is nothing to say of it. */
	if (rc != KT_OK && rc != KT_ENOTFOUND)
		return rc;
	kt_jw_arr(&s->w, "missing_credentials");
	if (missing)
		kt_jw_str(&s->w, NULL, missing);
	kt_jw_arr_end(&s->w);
	kt_jw_obj_end(&s->w);
	return KT_OK;
}

static void show_whole_project(struct kt_op *op, const struct kt_project_mem *p)
{
	struct shown *s = kt_arena_alloc(op->arena, sizeof(*s));

	kt_jw_init(&s->w, &op->json);
	kt_jw_obj(&s->w, NULL);
	kt_write_project(&s->w, op, p);
	kt_op_etag(op, p->current ? p->current->id : NULL);
	if (!p->current || !p->harness || op->ctl->cfg.offline) {
		kt_jw_arr(&s->w, "missing_credentials");
		kt_jw_arr_end(&s->w);
		kt_jw_obj_end(&s->w);
		kt_op_end(op, KT_OK, NULL);
		return;
	}
	s->project_id = kt_arena_strdup(op->arena, p->id);
	s->release_id = kt_arena_strdup(op->arena, p->current->id);
	s->harness = kt_arena_strdup(op->arena, p->harness);
	s->config_version = p->config_version;
	op->data = s;
	kt_op_last(op, KT_STEP_READ, credential_show_work, NULL);
}

static void show_found_project(struct kt_op *op)
{
	struct kt_project_mem *p = kt_op_project(op, op->data);

	if (p)
		show_whole_project(op, p);
}

void kt_control_project(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	kt_result_fn fn, void *arg)
{
	struct kt_op *op = kt_op_new(ctl, a, NULL, fn, arg);
	struct kt_project_mem *p = kt_op_project(op, ref);
	struct kt_vec one = KT_VEC_INIT;

	if (!p)
		return;
	op->data = kt_arena_strdup(op->arena, ref);
	kt_vec_push(&one, p);
	kt_op_look(op, &one, show_found_project);
	kt_vec_release(&one);
}
