/* SPDX-License-Identifier: MIT */
/* What the files of lib/session share. */
#ifndef KT_SESSION_SESSION_PRIVATE_H
#define KT_SESSION_SESSION_PRIVATE_H

#include "session/session.h"

#include "base/buf.h"

#include <cjson/cJSON.h>

/* A loaded application, shared by the harnesses that run with it. */
struct kt_app_ref {
	unsigned refs;
	struct kt_app *app;
	uint64_t fingerprint;
	struct kt_program program;
	char problem[512]; /* why no harness can be started, or "" */
};

struct kt_sessions {
	struct kt_loop *loop;
	char *dir, *data_dir, *user, *config_path, *harness_name, *harness_program, *record_dir;
	struct kt_app_options app_opts;
	struct kt_harness_env env;
	char **bound_env; /* env.extra_env: variables bound by .env */
	struct kt_pool *pool;
	struct kt_app_ref *app;
	int64_t app_checked_ms;
	struct kt_map by_id;
	struct kt_vec order; /* struct kt_session *, oldest first */
	struct kt_vec live; /* those with a harness, the one used longest ago first */
	struct kt_map idem; /* "scope<LF>key" -> struct kt_idem */
	struct kt_vec idem_order; /* char *: oldest first */
	int journal_fd;
	int lock_fd;
	size_t journal_lines; /* in the file, for compaction */
	struct kt_timer *sweep; /* event retention */
	bool draining;
	size_t running; /* turns that run or wait in a queue */
	kt_loop_fn drained;
	void *drained_arg;
	struct kt_timer *drain_timer;
};

/* journal.c */
KT_MUST_CHECK enum kt_code kt_journal_load(struct kt_sessions *reg, struct kt_err *err);
void kt_journal_session(struct kt_sessions *reg, const struct kt_session *s);
void kt_journal_deleted(struct kt_sessions *reg, const char *id);
void kt_journal_idem(
	struct kt_sessions *reg, const char *scope, const char *key, const struct kt_idem *what);
char *kt_session_dir(const struct kt_session *s);
char *kt_session_log_path(const struct kt_session *s);

/* registry.c */
struct kt_session *kt_session_alloc(struct kt_sessions *reg, const char *id);
void kt_session_free(struct kt_session *s);
/* Free what a session remembers (strings and lists); it can be filled anew. */
void kt_session_clear(struct kt_session *s);
struct kt_app_ref *kt_app_ref_current(struct kt_sessions *reg);
void kt_app_unref(struct kt_app_ref *ref);
void kt_sessions_turn_done(struct kt_sessions *reg);

/* turn.c */
void kt_session_emit(struct kt_session *s, enum kt_event_type type, const struct kt_turn *t,
	const struct kt_buf *data);
void kt_session_status(struct kt_session *s, const struct kt_turn *t, const char *state,
	const char *key, const char *value);
void kt_session_notify(struct kt_session *s, enum kt_note note, const char *turn_id);
void kt_session_end_interrupted(struct kt_session *s);
void kt_turn_free(struct kt_turn *t);

/* runner.c: the harness behind a session */
KT_MUST_CHECK enum kt_code kt_session_need_harness(struct kt_session *s, struct kt_err *err);
void kt_session_turn_ended(struct kt_session *s, const struct kt_turn_result *r);
void kt_session_arm_idle(struct kt_session *s);
void kt_session_pump(void *arg);
extern const struct kt_harness_cbs kt_session_harness_cbs;

/* inputs.c */
void kt_session_asked(struct kt_session *s, const struct kt_ask *ask);
void kt_session_ask_withdrawn(struct kt_session *s, const char *ask_id);
void kt_session_drop_inputs(struct kt_session *s, const char *by);

#endif
