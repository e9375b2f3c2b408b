/* SPDX-License-Identifier: MIT */
/*
 * What has to be there before the harness of a pinned session can be started: its release, opened,
 * and its own copy of the release's tree. The turn waits for both (`held`).
 */
#include "session/session_private.h"

#include "base/fs.h"

/* Go on with the turn that waits, or end it. */
static void go_on(struct kt_session *s, enum kt_code rc, const char *code, const struct kt_err *err)
{
	s->preparing = false;
	if (!s->turn || !s->turn->held)
		return;
	if (rc == KT_OK)
		kt_loop_defer(s->reg->loop, &s->pump);
	else
		kt_session_fail_turn(s, code, err->msg);
}

void kt_session_prepared(struct kt_session *s, enum kt_code rc, const struct kt_err *err)
{
	/* Never on another release: what it said and did belongs to this one. */
	if (s)
		go_on(s, rc, "release_unavailable", err);
}

static void copied(struct kt_session *s, enum kt_code rc, const struct kt_err *err)
{
	s->has_workspace = rc == KT_OK;
	go_on(s, rc, "harness_start_failed", err);
}

static bool needs_workspace(struct kt_session *s, const struct kt_app_ref *ref)
{
	KT_AUTOFREE char *path = NULL;

	if (s->has_workspace || ref->folder || ref->problem[0] ||
		!kt_driver_for(ref->app->harness)->has_process)
		return false;
	path = kt_session_workspace(s);
	s->has_workspace = kt_fs_is_dir(path);
	return !s->has_workspace;
}

bool kt_session_is_ready(struct kt_session *s)
{
	struct kt_app_ref *ref;

	if (!s->pin || s->harness)
		return true;
	if (!s->preparing) {
		ref = kt_app_ref_fresh(s);
		if (ref && !needs_workspace(s, ref))
			return true;
		s->preparing = true;
		s->turn->held = true;
		if (ref)
			kt_workspace_make(s, ref, copied);
		else
			kt_session_prepare(s);
		return false;
	}
	s->turn->held = true;
	return false;
}
