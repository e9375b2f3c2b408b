/* SPDX-License-Identifier: MIT */
/* What has to be there for a turn: the application, a folder, a harness. */
#ifndef KT_SESSION_RUN_PRIVATE_H
#define KT_SESSION_RUN_PRIVATE_H

#include "session/keep/keep_private.h"

/* One of the things that a harness needs is there, or why not; s is alive. */
typedef void (*kt_ready_fn)(struct kt_session *s, enum kt_code rc, const struct kt_err *err);

/* drain.c */
/* No turn is taken any more. */
bool kt_sessions_draining(const struct kt_sessions *reg);
/* A turn that reg->running counted has ended. */
void kt_sessions_turn_done(struct kt_sessions *reg);

/* apps.c */
/* Read the folder of a local server. KT_OK, or as kt_app_load(): then it stays as it was. */
KT_MUST_CHECK enum kt_code kt_app_load_local(struct kt_sessions *reg, struct kt_err *err);
/* The application of a session's release, NULL while it is not prepared. Local: the current one. */
struct kt_app_ref *kt_app_ref_of(struct kt_session *s);
/* As kt_app_ref_of(), but NULL too for a folder that was not looked at just now. */
struct kt_app_ref *kt_app_ref_fresh(struct kt_session *s);
/* Open the release of s; on_prepared is called when that is over, at once perhaps. */
void kt_session_prepare(struct kt_session *s, kt_ready_fn on_prepared);
/* Let go of releases that nothing has used for a while. */
void kt_apps_sweep(struct kt_sessions *reg);
/* The registry ends. */
void kt_apps_release(struct kt_sessions *reg);

/* workspace.c */
/* Where a pinned session runs and lives: data_dir/sessions/ID/workspace, .../home. */
char *kt_session_workspace(const struct kt_session *s);
char *kt_session_home(const struct kt_session *s);
/* Copy the tree of ref for s, off the loop; on_copied is called in a later tick. */
void kt_workspace_make(struct kt_session *s, struct kt_app_ref *ref, kt_ready_fn on_copied);
/* Remove a session's folder; with control when its deletion is on disk, and off the loop. */
void kt_session_remove_dir(const struct kt_session *s);
/* What a crash left to be removed. */
void kt_trash_empty(struct kt_sessions *reg);
/* The registry ends: what waits to be removed is, at the next start. */
void kt_doomed_release(struct kt_sessions *reg);

/* setup.c */
/* The application's setup has to run before s can have a harness. */
bool kt_setup_needed(const struct kt_session *s, const struct kt_app_ref *ref);
/* Run it, or wait for the run of another session; then on_set_up, at once perhaps. */
void kt_setup_run(struct kt_session *s, struct kt_app_ref *ref, kt_ready_fn on_set_up);
/* s goes away with its workspace. */
void kt_setup_drop(struct kt_session *s);
/* The registry ends. */
void kt_setups_release(struct kt_sessions *reg);

/* transcript.c: the conversation so far as text, in case it cannot be resumed */
/* A harness that starts now needs it, and it was not read yet. */
bool kt_transcript_needed(const struct kt_session *s);
/* Read it for the turn that waits; then on_recalled (KT_OK always), at once perhaps. */
void kt_transcript_read(struct kt_session *s, kt_ready_fn on_recalled);
/* It is of no use any more, or taken. */
void kt_transcript_drop(struct kt_session *s);

/* ready.c */
/* True when the harness may be started now; else the turn waits, or was ended with an error. */
KT_MUST_CHECK bool kt_session_is_ready(struct kt_session *s);

/* caps.c */
/*
 * May an event of the harness with len bytes of data be logged? Counts it, and stops a harness
 * whose turn or session passes its limit; then only what closes the turn is logged.
 */
KT_MUST_CHECK bool kt_session_may_log(struct kt_session *s, enum kt_event_type type, size_t len);

/* runner.c: the harness behind a session */
/*
 * Have one: the one that is there, one from the pool, or a new one. Returns KT_OK, KT_ENOTFOUND (its
 * program) or what starting it returned.
 */
KT_MUST_CHECK enum kt_code kt_session_need_harness(struct kt_session *s, struct kt_err *err);
/* Nothing runs or waits: stop it after a while, or at once when too many are idle. */
void kt_session_arm_idle(struct kt_session *s);

#endif
