/* SPDX-License-Identifier: MIT */
/*
 * The pointer: which release of its project is live. Nobody else writes the states active and
 * superseded, a project's current_release_id, and what the index knows of them
 * (scripts/check-style).
 */
#include "control/release/release_private.h"

enum kt_code kt_pointer_move(struct kt_tx *tx, struct kt_arena *arena, struct kt_project_row *p,
	struct kt_release_row *to, int64_t now_us, struct kt_release_row *out_old,
	struct kt_err *err)
{
	enum kt_code rc = KT_OK;

	out_old->id = NULL;
	if (p->current_release_id) {
		rc = kt_tx_release(tx, arena, p->org_id, p->current_release_id, out_old, err);
		if (rc != KT_OK)
			return rc;
		out_old->state = KT_REL_SUPERSEDED;
		rc = kt_tx_release_put(tx, out_old, err);
	}
	to->state = KT_REL_ACTIVE;
	to->activated_us = now_us;
	p->current_release_id = to->id;
	return rc;
}

struct kt_project_mem *kt_pointer_moved(
	struct kt_control *ctl, const struct kt_project_row *p, const struct kt_release_row *to)
{
	struct kt_project_mem *mem = kt_index_project_put(ctl, p);

	if (to)
		kt_index_current(ctl, mem, to);
	return mem;
}
