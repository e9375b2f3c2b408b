/* SPDX-License-Identifier: MIT */
/*
 * What has to be there before the harness of a session can be started: of a pinned one its release,
 * opened, and its own copy of the release's tree; then what the application's setup makes
 * (setup.c); then, in a session with turns, its transcript. The turn waits for all (`held`).
 */
#include "session/run/run_private.h"

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
		s->reg->on->unready(s, code, err->msg);
}

static void on_prepared(struct kt_session *s, enum kt_code rc, const struct kt_err *err)
{
	/* Never on another release: what it said and did belongs to this one. */
	go_on(s, rc, "release_unavailable", err);
}

static void on_folder_copied(struct kt_session *s, enum kt_code rc, const struct kt_err *err)
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

static void on_set_up(struct kt_session *s, enum kt_code rc, const struct kt_err *err)
{
	go_on(s, rc, "setup_failed", err);
}

/* Its transcript is read, as far as that could be. */
static void on_recalled(struct kt_session *s, enum kt_code rc, const struct kt_err *err)
{
	go_on(s, rc, NULL, err);
}

bool kt_session_is_ready(struct kt_session *s)
{
	struct kt_app_ref *ref;
	bool copy, setup, recall;

	if (s->harness)
		return true;
	if (s->preparing) {
		s->turn->held = true;
		return false;
	}
	ref = s->pin ? kt_app_ref_fresh(s) : kt_app_ref_of(s);
	copy = ref && s->pin && needs_workspace(s, ref);
	setup = ref && !copy && kt_setup_needed(s, ref);
	recall = ref && !copy && !setup && kt_transcript_needed(s);
	if (ref && !copy && !setup && !recall)
		return true;
	s->preparing = true;
	s->turn->held = true;
	/* Each may be over, with the turn, when it returns. */
	if (copy)
		kt_workspace_make(s, ref, on_folder_copied);
	else if (setup)
		kt_setup_run(s, ref, on_set_up);
	else if (recall)
		kt_transcript_read(s, on_recalled);
	else
		kt_session_prepare(s, on_prepared);
	return false;
}
