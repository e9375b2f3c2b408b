/* SPDX-License-Identifier: MIT */
/*
 * Projects that are served from a folder: which harness it is for may change with every edit, so
 * folders are looked at, on a thread, before their projects are told.
 */
#include "control/project/project_private.h"

#include "app/app.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>

#define MAX_LOOKS 256 /* folders, for one answer; of the others it is said what was known */

struct look {
	struct kt_op *op;
	void (*then)(struct kt_op *op);
	size_t n;
	struct folder {
		char project_id[KT_ID_MAX];
		const char *dir;
		char *harness;
	} folders[];
};

static enum kt_code look_work(void *arg, struct kt_err *err)
{
	struct look *l = arg;

	(void)err;
	for (size_t i = 0; i < l->n; i++)
		l->folders[i].harness = kt_app_harness_of(l->folders[i].dir);
	return KT_OK;
}

static void look_done(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct look *l = arg;

	for (size_t i = 0; i < l->n; i++) {
		struct folder *f = &l->folders[i];
		struct kt_project_mem *p = kt_map_get(&l->op->ctl->projects, f->project_id);

		if (rc == KT_OK && p && kt_str_eq(p->dir, f->dir))
			kt_str_set(&p->harness, f->harness);
		free(f->harness);
	}
	if (rc == KT_ECANCEL)
		kt_op_end(l->op, rc, err);
	else /* too much waits: what was known is better than no answer */
		l->then(l->op);
}

void kt_op_look(struct kt_op *op, const struct kt_vec *projects, void (*then)(struct kt_op *op))
{
	size_t most = KT_MIN(projects->len, MAX_LOOKS);
	struct look *l = kt_arena_alloc(op->arena, sizeof(*l) + most * sizeof(l->folders[0]));

	l->op = op;
	l->then = then;
	l->n = 0;
	for (size_t i = 0; i < projects->len && l->n < most; i++) {
		const struct kt_project_mem *p = projects->items[i];
		struct folder *f = &l->folders[l->n];

		if (!p->dir)
			continue;
		*f = (struct folder){ .dir = kt_arena_strdup(op->arena, p->dir) };
		(void)kt_str_copy(f->project_id, sizeof(f->project_id), p->id);
		l->n++;
	}
	if (l->n)
		kt_task_run(op->ctl,
			&(struct kt_task_for){ op->who.org_id, KT_WORK_SHORT, 0, false }, look_work,
			look_done, l);
	else
		then(op);
}
