/* SPDX-License-Identifier: MIT */
/* What all files of lib/session share: what is kept of sessions, in memory and on disk. */
#ifndef KT_SESSION_KEEP_PRIVATE_H
#define KT_SESSION_KEEP_PRIVATE_H

#include "session/session.h"

#include "base/buf.h"
#include "net/work.h"

#include <cjson/cJSON.h>
#include <stdatomic.h>

/* A loaded application, shared by the harnesses that run with it. */
struct kt_app_ref {
	unsigned refs;
	struct kt_app *app;
	uint64_t fingerprint;
	struct kt_program program;
	char problem[512]; /* why no harness can be started, or "" */
	/* the variable with its model's credential, static; NULL: nothing is known to be missing */
	const char *lacks;
	/* With control: of one release, or of a folder project as it was at checked_ms. */
	struct kt_control *control; /* has `hold`; NULL on a local server */
	uint64_t hold;
	char *dir; /* the release's tree, which nobody writes to; or the folder */
	char **env; /* "NAME=value" for its harnesses */
	bool folder;
	int64_t used_ms, checked_ms;
};

/* The sessions of one project. */
struct kt_group {
	char project_id[KT_ID_MAX], org_id[KT_ID_MAX];
	struct kt_session *oldest, *newest;
	size_t n;
	struct kt_spent spent; /* by all of them */
	unsigned pins;
	struct kt_spent gone; /* by those that were deleted */
	bool has_gone; /* in this list: */
	struct kt_group *gone_prev, *gone_next;
};

/* A release that sessions run, shared by all of them. */
struct kt_pin {
	struct kt_target target;
	unsigned refs;
	struct kt_group *group;
	char *json; /* member "target" of a journal line */
	size_t json_len;
};

/*
 * Work for a thread. run() is on such a thread and sees the job only; done() is on the loop
 * and frees the job. When the registry ends first, canceled is set, orphaned() (or NULL) is called,
 * and reg is NULL in done().
 */
struct kt_session_job {
	struct kt_work work;
	struct kt_sessions *reg;
	struct kt_session_job *prev, *next;
	void (*run)(struct kt_session_job *job);
	void (*done)(struct kt_session_job *job);
	void (*orphaned)(struct kt_session_job *job);
};

/* What the keys of one organization take. */
struct kt_idem_org {
	size_t bytes;
};
/* A key that is remembered. */
struct kt_idem_entry {
	struct kt_idem_entry *next; /* newer, of any organization */
	struct kt_idem_org *org;
	struct kt_idem what;
	size_t bytes;
	char name[]; /* "scope<LF>key" */
};

/* A key that a request uses just now. */
struct kt_used {
	struct kt_session *session;
	const struct kt_request_key *key;
	struct kt_idem what;
};

/*
 * A rewrite of the journal while the server goes on; see compact.c. Who takes a session, a sum or a
 * key off its list moves the place of the rewrite past it.
 */
struct kt_copy {
	int fd;
	char *path;
	struct kt_session *at; /* the next to be written */
	struct kt_group *gone_at; /* after the sessions; NULL: no more */
	struct kt_idem_entry *idem_at; /* after those; NULL: no more */
	bool idems; /* the sessions are written */
	bool whole; /* everything is in it; what is new goes to both files */
	bool durable; /* and on disk, but for what came meanwhile */
	bool lost; /* writing failed while it was put in place */
	struct kt_buf lines; /* what came meanwhile and belongs into it */
	size_t n_lines;
	int64_t size;
	struct kt_timer *timer;
};

/*
 * What has happened that a higher floor acts on. Set by the registry before there is any session;
 * all have to be set.
 */
struct kt_sessions_on {
	/* The next turn of the session `arg` may start: at the end of the tick. */
	kt_loop_fn turn_due;
	/* Its log was opened. after_seq: what the journal knew of, when it said what turns ran. */
	void (*log_opened)(struct kt_session *s, uint64_t after_seq);
	/* Its harness cannot be started: the turn that waits ends with this error. */
	void (*unready)(struct kt_session *s, const char *code, const char *message);
	/* Of its harness: a turn ended; a person is to be asked; an ask does not count any more. */
	void (*turn_ended)(struct kt_session *s, const struct kt_turn_result *r);
	void (*asked)(struct kt_session *s, const struct kt_ask *ask);
	void (*ask_withdrawn)(struct kt_session *s, const char *ask_id);
};

struct kt_sessions {
	struct kt_loop *loop;
	const struct kt_sessions_on *on;
	char *dir, *data_dir, *user, *config_path, *harness_name, *harness_program, *record_dir;
	struct kt_app_options app_opts;
	struct kt_harness_env env;
	char **bound_env; /* env.extra_env: variables bound by .env */
	char *settings; /* env.settings */
	struct kt_pool *pool;
	struct kt_app_ref *app; /* of a local server */
	int64_t app_checked_ms;
	struct kt_control *control; /* NULL on a local server */
	bool own_env; /* harnesses have our environment */
	struct kt_map apps; /* release or folder project -> struct kt_app_ref */
	struct kt_map openings; /* the same -> struct opening of run/apps.c */
	struct kt_map pins; /* the same -> struct kt_pin */
	struct kt_map groups; /* project id -> struct kt_group */
	struct kt_group *gone_first, *gone_last; /* that deleted sessions took something of */
	size_t n_gone;
	struct kt_session_job *jobs;
	struct kt_vec searches; /* struct search of talk/outcome.c, that wait or run */
	struct kt_map setups; /* mark -> struct kt_setup of run/setup.c */
	struct kt_map by_id;
	struct kt_session *oldest, *newest;
	size_t n_sessions;
	struct kt_vec live; /* those with a harness, the one used longest ago first */
	struct kt_vec in_memory; /* their logs are in no file; the last turn longest ago first */
	size_t in_memory_bytes; /* of these logs */
	struct kt_map idem; /* "scope<LF>key" -> struct kt_idem_entry */
	struct kt_idem_entry *idem_first, *idem_last; /* oldest first */
	struct kt_map idem_orgs; /* organization ("" on a local server) -> struct kt_idem_org */
	int journal_fd;
	int lock_fd;
	size_t journal_lines; /* in the file, for compaction */
	int64_t journal_size; /* whole lines in the file */
	struct kt_buf lines; /* on their way into the file */
	struct kt_used *used; /* goes into the next line of its session; or NULL */
	struct kt_buf damaged; /* lines that were found damaged, as they are */
	size_t journal_damaged; /* how many */
	struct kt_defer tick; /* writes them, with control */
	bool journal_failed; /* the last write failed; `lines` are tried again */
	bool journal_broken; /* what the file has is not known: it is rewritten from memory */
	bool journal_torn; /* the file ends in half a line: nothing may follow */
	struct kt_err trouble; /* why nothing is durable now; code KT_OK: it is. See mend.c */
	struct kt_timer *mend; /* tries again, or NULL */
	int64_t mend_ms;
	uint64_t written, synced; /* counts of bytes, to know whether a sync would do anything */
	struct kt_vec waiting; /* struct sync_waiter of sync.c */
	bool syncing;
	bool placing; /* the sync puts the rewrite in the journal's place */
	struct kt_vec doomed; /* char *: deleted sessions whose folders go when that is on disk */
	struct kt_copy *copy; /* or NULL */
	int64_t copy_after_us; /* one failed: none before that, unless the journal is broken */
	uint32_t copies; /* numbers the rewrites, for kt_session.copied */
	struct kt_timer *sweep; /* event retention, unused releases */
	struct kt_session *sweep_at; /* where the pass over the sessions goes on, or NULL */
	bool draining;
	size_t running; /* turns that run or wait in a queue */
	kt_loop_fn drained;
	void *drained_arg;
	struct kt_timer *drain_timer;
};

/* --- sessions ---------------------------------------------------------------------------- */

/* session.c */
/* A new one, the newest of all, with nothing in it. BORROWS until it is freed. */
struct kt_session *kt_session_alloc(struct kt_sessions *reg, const char *id);
/* Free what a session remembers (strings and lists); it can be filled anew. */
void kt_session_clear(struct kt_session *s);
/* Take it off every list and free it with what it remembers. Nothing of it may be open or run. */
void kt_session_forget(struct kt_session *s);
/* Its folder, and the file of its log; the caller's. */
char *kt_session_dir(const struct kt_session *s);
char *kt_session_log_path(const struct kt_session *s);

/* log.c */
/* How long its events are kept after the last turn, in ms; 0 = not at all. */
int64_t kt_session_retention_ms(const struct kt_session *s);

/* memory.c */
/* A turn of s has ended: count its log when it is in memory only; the oldest make room. */
void kt_memory_log_count(struct kt_session *s);
/* It counts no more. */
void kt_memory_log_forget(struct kt_session *s);

/* grants.c */
/* It is on no list. */
void kt_approval_free(struct kt_approval *a);
/* Free a list of them. */
void kt_approvals_release(struct kt_vec *list);
/* In a line of the journal, and out of it. */
void kt_approvals_save(struct kt_jw *w, const struct kt_session *s);
void kt_approvals_load(struct kt_session *s, const cJSON *doc);

/* tell.c */
/* Append an event of ours to the log of s; t: its turn, or NULL; data: the JSON of it. */
void kt_session_emit(struct kt_session *s, enum kt_event_type type, const struct kt_turn *t,
	const struct kt_buf *data);
/* A status event {"state", key: value}; key NULL: without. */
void kt_session_status(struct kt_session *s, const struct kt_turn *t, const char *state,
	const char *key, const char *value);
/* A line in the log of the session's project; nothing on a local server. */
void kt_session_tell(const struct kt_session *s, const char *level, const char *source,
	const char *fmt, ...) KT_PRINTF(4, 5);
/*
 * text as a client may read it: on a hosting server without addresses of this machine (in buf), on
 * a local one as it is.
 */
const char *kt_session_plain(const struct kt_session *s, const char *text, struct kt_buf *buf);

/* --- releases and projects --------------------------------------------------------------- */

/* group.c */
/*
 * The sessions of a project, made when it has none; kt_group_put() when pins or has_gone ended:
 * frees it when both did.
 */
struct kt_group *kt_group_get(struct kt_sessions *reg, const char *org_id, const char *project_id);
void kt_group_put(struct kt_sessions *reg, struct kt_group *g);
/* Add to a project's sum what is now among its sessions, or (sign -1) no more. */
void kt_spent_group(struct kt_group *g, const struct kt_spent *spent, int sign);

/* pins.c */
#define KT_RELEASE_KEY_MAX (KT_ID_MAX + 2)
/* What releases are told apart by. */
void kt_release_key(const struct kt_target *t, char out[KT_RELEASE_KEY_MAX]);
/* The pin of a release, made when there is none. The reference is the caller's. */
struct kt_pin *kt_pin_get(struct kt_sessions *reg, const struct kt_target *t);
/* Put s among the sessions of its pin's project. TAKES the reference to pin. */
void kt_pin_set(struct kt_session *s, struct kt_pin *pin);
/* Take it off them; nothing when it has no pin. */
void kt_pin_clear(struct kt_session *s);

/* app_ref.c */
/* The application of a release, which counts as used now; NULL while it is not open. BORROWS. */
struct kt_app_ref *kt_app_ref_find(struct kt_sessions *reg, const struct kt_target *t);
/* Let go of it; the last one frees it. NULL is fine. */
void kt_app_unref(struct kt_app_ref *ref);
/* Free "NAME=value", which end with NULL; wipe: what was in them too. NULL is fine. */
void kt_free_env(char **env);
void kt_wipe_env(char **env);

/* spent.c */
/* What the session's turns took in all is this now; its project's sum follows. */
void kt_spent_set(struct kt_session *s, struct kt_spent now);
/* A turn ended. */
void kt_spent_add(struct kt_session *s, const struct kt_usage *usage);
/* The session is deleted: what it took stays its project's. */
void kt_gone_add(struct kt_session *s);
/* Its project is deleted, too. */
void kt_gone_drop(struct kt_sessions *reg, const char *project_id);
/* Member "gone" of a journal line, and back; some lines of them from *at on, which moves. */
void kt_gone_write(struct kt_jw *w, const struct kt_group *g);
void kt_gone_load(struct kt_sessions *reg, const cJSON *gone);
size_t kt_journal_write_gone(struct kt_buf *b, struct kt_group **at);
/* Those of projects that are deleted; NULL: all of them. */
void kt_gone_sweep(struct kt_sessions *reg,
	bool (*is_deleted)(
		const struct kt_sessions *reg, const char *org_id, const char *project_id));

/* --- the journal ------------------------------------------------------------------------- */

/* lines.c */
/* The file; the caller's. */
char *kt_journal_path(const struct kt_sessions *reg);
/*
 * Write to b: the line of a session (used: what its request's key was used for, or NULL); those of
 * all keys; those that were damaged.
 */
void kt_journal_write_session(
	struct kt_buf *b, const struct kt_session *s, const struct kt_used *used);
/* From *at on, in pieces: returns how many, 0 at the end. */
size_t kt_journal_write_idems(struct kt_buf *b, struct kt_idem_entry **at);
void kt_journal_write_damaged(struct kt_buf *b, const struct kt_sessions *reg);

/* compact.c */
/* Rewrite the journal now, with what counts only. */
KT_MUST_CHECK enum kt_code kt_journal_compact(struct kt_sessions *reg, struct kt_err *err);
/* Begin to, in pieces, with control. */
void kt_copy_begin(struct kt_sessions *reg);
/* Write what came meanwhile. */
void kt_copy_flush(struct kt_sessions *reg);
/* A line of s belongs into the rewrite too: the walk has been there. */
bool kt_copy_has(const struct kt_sessions *reg, const struct kt_session *s);
/* It has all and is durable: the next sync may put it in the journal's place. */
bool kt_copy_is_due(const struct kt_sessions *reg);
/* It is in its place now. False: what came meanwhile could not be written into it. */
KT_MUST_CHECK bool kt_copy_swap(struct kt_sessions *reg);
/* Give it up, if there is one. */
void kt_copy_drop(struct kt_sessions *reg);

/* mend.c */
/*
 * The journal could not be written or synced (error: errno). broken: the file is not known any
 * more.
 */
void kt_journal_trouble(struct kt_sessions *reg, bool broken, int error, const char *doing);
/* It is written again. */
void kt_journal_mended(struct kt_sessions *reg);
/* The registry ends: what only memory has goes to the disk if it can. */
void kt_journal_last_chance(struct kt_sessions *reg);

/* idem.c */
/* Remember it, without writing it. */
void kt_idem_put(
	struct kt_sessions *reg, const char *scope, const char *key, const struct kt_idem *what);
/* Forget what is older than a day. */
void kt_idem_expire(struct kt_sessions *reg);
/* The registry ends. */
void kt_idem_release(struct kt_sessions *reg);

/* journal.c */
/* Read it and open it for more. Returns KT_OK, KT_EIO or KT_EPROTO. */
KT_MUST_CHECK enum kt_code kt_journal_load(struct kt_sessions *reg, struct kt_err *err);
/* The state of a session; with what kt_used_begin() said, when that is of this session. */
void kt_journal_session(struct kt_sessions *reg, struct kt_session *s);
/* It is deleted, with what its project took till now. */
void kt_journal_deleted(struct kt_sessions *reg, const struct kt_session *s);
/* Write what waits; tells mend.c when that fails. */
void kt_journal_flush(struct kt_sessions *reg);
/*
 * The request with this key (or without one) makes s, or turn_id in it (or NULL): the next line of
 * s says so as well. kt_used_end() writes that line when nothing else did.
 */
void kt_used_begin(struct kt_used *used, struct kt_session *s, const struct kt_request_key *key,
	const char *turn_id, uint64_t after_seq);
void kt_used_end(struct kt_used *used);

/* job.c */
/* Give a job of an organization ("": of the server) to a thread. TAKES job. */
void kt_session_job_start(struct kt_sessions *reg, enum kt_work_kind kind, const char *org,
	struct kt_session_job *job);
/* Take a job that is done off the registry's list. */
void kt_session_job_end(struct kt_session_job *job);
/* Which threads a scan is for: a small log does not wait behind publishes. */
enum kt_work_kind kt_scan_kind(const struct kt_evscan *scan);

/* sync.c */
/* End of the tick: write, and let who waits for the disk wait for it. */
void kt_sessions_tick(void *arg);
/* The registry ends: nobody waits any more, and jobs for threads are canceled. */
void kt_sync_release(struct kt_sessions *reg);

#endif
