/* SPDX-License-Identifier: MIT */
/* Builds at the start of the server, and at its end. */
#include "control/release/release_private.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "store/datadir.h"

/* --- start ------------------------------------------------------------------------------- */

struct left {
	struct kt_arena *arena;
	struct kt_release_row *rows;
	size_t n;
};

static enum kt_code read_left(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct left *l = arg;

	return kt_tx_releases_in(
		tx, l->arena, 1U << KT_REL_QUEUED | 1U << KT_REL_BUILDING, &l->rows, &l->n, err);
}

/* Trees that never got their name. */
static void remove_half_made(struct kt_control *ctl)
{
	KT_AUTOFREE char *root = kt_data_path(ctl->data_dir, KT_DATA_RELEASES);
	char **orgs, **names;
	size_t n_orgs, n;

	if (kt_fs_list(root, &orgs, &n_orgs, NULL) != KT_OK)
		return;
	for (size_t i = 0; i < n_orgs; i++) {
		KT_AUTOFREE char *dir = kt_path_join(root, orgs[i]);

		if (kt_fs_list(dir, &names, &n, NULL) != KT_OK)
			continue;
		for (size_t k = 0; k < n; k++) {
			KT_AUTOFREE char *path = kt_path_join(dir, names[k]);
			struct kt_err err = KT_ERR_INIT;

			if (kt_str_starts(names[k], ".tmp-") &&
				kt_fs_remove_tree(path, &err) != KT_OK)
				kt_log(KT_LOG_WARN, "control", "%s", err.msg);
		}
		kt_fs_names_free(names, n);
	}
	kt_fs_names_free(orgs, n_orgs);
}

enum kt_code kt_builds_recover(struct kt_control *ctl, struct kt_err *err)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct left l = { .arena = arena };
	enum kt_code rc = kt_store_do(ctl->store, false, read_left, &l, err);

	if (rc != KT_OK)
		return rc;
	remove_half_made(ctl);
	rc = kt_notes_adopt(ctl, arena, l.rows, l.n, err);
	if (rc != KT_OK)
		return rc;
	/* Everything a build needs was there before its row: it begins anew, in order of age. */
	for (size_t i = 0; i < l.n; i++) {
		struct kt_project_mem *p = kt_map_get(&ctl->projects, l.rows[i].project_id);

		if (!p)
			continue;
		kt_log(KT_LOG_INFO, "control",
			"%s v%lld: the build was interrupted and begins anew", p->slug,
			(long long)l.rows[i].version);
		kt_build_begin(ctl, p, &l.rows[i], NULL, -1);
	}
	kt_releases_sweep(ctl);
	return KT_OK;
}

/* --- end --------------------------------------------------------------------------------- */

void kt_builds_stop(struct kt_control *ctl)
{
	struct kt_works *w = kt_works_get(ctl);

	w->stopped = true;
	kt_unpacks_stop(w);
	kt_tasks_stop(w);
}

static void free_build(struct kt_build *b)
{
	struct kt_op *op;

	while (b->waiters.len > 0) {
		op = kt_vec_remove(&b->waiters, 0);
		kt_op_fail(op, KT_EUNAVAIL, 503, "shutting_down", NULL,
			"the server is shutting down; the build goes on when it is back");
	}
	if (b->op)
		kt_op_end(b->op, KT_OK, NULL);
	kt_build_free(b);
}

void kt_builds_free(struct kt_control *ctl)
{
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(&ctl->projects, &pos, &key, &value))
		kt_vec_release(&((struct kt_project_mem *)value)->builds);
	for (size_t i = 0; i < ctl->dropped.len; i++)
		kt_vec_release(&((struct kt_project_mem *)ctl->dropped.items[i])->builds);
	while (pos = 0, kt_map_next(&ctl->builds, &pos, &key, &value)) {
		/* The key goes with its entry. */
		(void)kt_map_del(&ctl->builds, key);
		free_build(value);
	}
	kt_map_release(&ctl->builds);
	kt_opened_free(ctl);
	if (ctl->works)
		kt_works_forget(&ctl->works->arrived);
	free(ctl->works);
	ctl->works = NULL;
}
