/* SPDX-License-Identifier: MIT */
/*
 * The database: typed operations over an engine (db_private.h). Nothing above this module sees SQL.
 * One writer thread runs the writes that wait in one transaction, each inside a savepoint of its
 * own, so that one fsync serves many and a failing one undoes only itself; readers run on a small
 * pool of threads with connections of their own.
 *
 * Times are microseconds since 1970 (UTC). Rows and their strings live in the arena given. Strings
 * of rows that may be absent are NULL. Every table carries org_id, and every lookup by a caller's
 * word takes it: another organization's row is KT_ENOTFOUND.
 *
 * To add a table or column: lib/store/schema/NNN-name.sql (a new number, never an old file), the
 * row struct here, the table of columns in the file of its family (lib/store/rows), and
 * tests/unit/store.
 */
#ifndef KT_STORE_STORE_H
#define KT_STORE_STORE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "net/loop.h"

struct kt_store;
struct kt_tx; /* an open transaction (or read snapshot) */

struct kt_store_config {
	const char *path; /* karta.db */
	struct kt_loop *loop; /* where `done` is called; NULL: only kt_store_do() may be used */
	bool create; /* make it when missing; false: KT_ENOTFOUND */
	bool read_only; /* for fsck: no migration, no write */
};

/*
 * Open, migrate (each migration in one transaction; VACUUM INTO "karta.db.before-NNN" first when
 * the database is older and not empty). Returns KT_OK, KT_ENOTFOUND, KT_EPROTO (damaged, or made by
 * a newer karta: says so), KT_EIO (also: SQLite is not installed).
 */
KT_MUST_CHECK enum kt_code kt_store_open(
	const struct kt_store_config *cfg, struct kt_store **out, struct kt_err *err);
/*
 * Finish what waits, checkpoint, close. Pending `done` calls are made before it returns; what they
 * queue is refused. On the loop's thread, not from a `done`, before the loop is freed. NULL is
 * fine.
 */
void kt_store_close(struct kt_store *st);

/* Work inside a transaction; on the writer's or a reader's thread. An error undoes it. */
typedef enum kt_code (*kt_tx_fn)(struct kt_tx *tx, void *arg, struct kt_err *err);
/* On the loop, after COMMIT (or the failure). err is empty when rc is KT_OK. */
typedef void (*kt_tx_done_fn)(void *arg, enum kt_code rc, const struct kt_err *err);

/*
 * Queue a write, on the loop's thread. At most KT_MAX_STORE_QUEUE wait: then done gets KT_EUNAVAIL
 * (later, on the loop). done may be NULL. fn must not call kt_store_do(). The loop runs on until
 * done was called.
 */
void kt_store_write(struct kt_store *st, kt_tx_fn fn, kt_tx_done_fn done, void *arg);
/*
 * Queue a read, in the same way. It sees what is committed when it begins, and the done of every
 * write that it saw is called before its own.
 */
void kt_store_read(struct kt_store *st, kt_tx_fn fn, kt_tx_done_fn done, void *arg);
/*
 * Whether the last commit reached the disk. While it did not, an entry is written and removed every
 * few seconds to see whether the next one would. Returns KT_OK or KT_EIO. On the loop's thread.
 */
KT_MUST_CHECK enum kt_code kt_store_health(struct kt_store *st, struct kt_err *err);
/* Run fn now on the calling thread (its own connection), for start-up, commands and workers. */
KT_MUST_CHECK enum kt_code kt_store_do(
	struct kt_store *st, bool write, kt_tx_fn fn, void *arg, struct kt_err *err);
/* Copy the database to path while it is in use (SQLite's backup interface), then check the copy. */
KT_MUST_CHECK enum kt_code kt_store_backup(
	struct kt_store *st, const char *path, struct kt_err *err);
/*
 * PRAGMA integrity_check and foreign_key_check; one line of text a finding appended to out.
 * KT_OK also with findings.
 */
KT_MUST_CHECK enum kt_code kt_store_check(
	struct kt_store *st, struct kt_buf *out, struct kt_err *err);

/* --- organizations and keys -------------------------------------------------------------- */

struct kt_org_row {
	const char *id; /* "org_..." */
	const char *slug;
	const char *name;
	int64_t created_us;
	const char *default_project_id; /* or NULL; not of kt_tx_org_add() */
};
/* Add a row. Returns KT_OK, KT_ECONFLICT (the id or slug is there), ... */
KT_MUST_CHECK enum kt_code kt_tx_org_add(
	struct kt_tx *tx, const struct kt_org_row *row, struct kt_err *err);
/* The default project is this one of the organization, or none (NULL). */
KT_MUST_CHECK enum kt_code kt_tx_org_default(
	struct kt_tx *tx, const char *org_id, const char *project_id, struct kt_err *err);
/* The organization's row. Returns KT_OK, KT_ENOTFOUND, ... */
KT_MUST_CHECK enum kt_code kt_tx_org(struct kt_tx *tx, struct kt_arena *arena, const char *org_id,
	struct kt_org_row *out, struct kt_err *err);
/* Every organization, oldest first. */
KT_MUST_CHECK enum kt_code kt_tx_orgs(struct kt_tx *tx, struct kt_arena *arena,
	struct kt_org_row **out, size_t *out_n, struct kt_err *err);

struct kt_key_row {
	const char *id; /* "key_..." */
	const char *org_id;
	const char *name;
	const char *prefix; /* first 14 characters */
	const char *last4;
	const unsigned char *hash; /* KT_KEY_HASH_BYTES (32) */
	unsigned scopes; /* bits of enum kt_scope (control/control.h) */
	int64_t created_us;
	const char *created_by; /* name of a key, "setup", "login" */
	int64_t last_used_us; /* 0 = never */
	int64_t expires_us; /* 0 = never */
	int64_t revoked_us; /* 0 = valid */
};
/* Add a row. Returns KT_OK, KT_ECONFLICT (the id or hash is there), ... */
KT_MUST_CHECK enum kt_code kt_tx_key_add(
	struct kt_tx *tx, const struct kt_key_row *row, struct kt_err *err);
/* Keys of one organization, or of all (org_id NULL), oldest first, revoked ones too. */
KT_MUST_CHECK enum kt_code kt_tx_keys(struct kt_tx *tx, struct kt_arena *arena, const char *org_id,
	struct kt_key_row **out, size_t *out_n, struct kt_err *err);
/* Returns KT_ENOTFOUND; revoking twice keeps the first time. */
KT_MUST_CHECK enum kt_code kt_tx_key_revoke(struct kt_tx *tx, const char *org_id,
	const char *key_id, int64_t at_us, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_tx_key_used(
	struct kt_tx *tx, const char *key_id, int64_t at_us, struct kt_err *err);

/* --- browsers that are signed in --------------------------------------------------------- */

struct kt_web_row {
	const char *hash; /* 64 hexadecimal digits; unique */
	const char *org_id, *key_id;
	int64_t created_us, expires_us;
};
/* Add a row. Returns KT_OK, KT_ECONFLICT, ... */
KT_MUST_CHECK enum kt_code kt_tx_web_add(
	struct kt_tx *tx, const struct kt_web_row *row, struct kt_err *err);
/* All of them, oldest first. */
KT_MUST_CHECK enum kt_code kt_tx_webs(struct kt_tx *tx, struct kt_arena *arena,
	struct kt_web_row **out, size_t *out_n, struct kt_err *err);
/* Deleting what is not there is fine. */
KT_MUST_CHECK enum kt_code kt_tx_web_delete(struct kt_tx *tx, const char *hash, struct kt_err *err);
/* Keep the newest `keep` of a key. */
KT_MUST_CHECK enum kt_code kt_tx_webs_trim(
	struct kt_tx *tx, const char *key_id, size_t keep, struct kt_err *err);
/* Delete those whose time is over at now_us, and those of revoked keys. */
KT_MUST_CHECK enum kt_code kt_tx_webs_expire(struct kt_tx *tx, int64_t now_us, struct kt_err *err);

/* --- projects ---------------------------------------------------------------------------- */

struct kt_project_row {
	const char *id; /* "proj_..." */
	const char *org_id;
	const char *slug; /* unique in its organization */
	const char *label; /* host label, unique on the server */
	const char *harness; /* fixed by the first release; NULL before it */
	const char *dir; /* folder served from disk, else NULL */
	const char *production_ref; /* "refs/heads/main" */
	const char *current_release_id; /* or NULL */
	const char *pin_reason; /* not NULL: the pointer is pinned */
	const char *pin_by; /* name of the key that pinned it, or NULL */
	int64_t pinned_us; /* 0 = not pinned, or not known since when */
	int64_t pin_next; /* next_version when it was pinned */
	int64_t next_version; /* of the next release: 1, 2, ... */
	int64_t config_version; /* 0 = none set */
	const char *repo_url; /* bound repository, or NULL */
	const void *repo_token; /* sealed, or NULL */
	size_t repo_token_len;
	const void *webhook_secret; /* sealed, or NULL */
	size_t webhook_secret_len;
	int64_t created_us;
};
/* Returns KT_ECONFLICT when slug or label is taken. */
KT_MUST_CHECK enum kt_code kt_tx_project_add(
	struct kt_tx *tx, const struct kt_project_row *row, struct kt_err *err);
/* Write every field but id, org_id, created_us. Returns KT_ENOTFOUND, KT_ECONFLICT. */
KT_MUST_CHECK enum kt_code kt_tx_project_put(
	struct kt_tx *tx, const struct kt_project_row *row, struct kt_err *err);
/* By id or slug. Returns KT_ENOTFOUND. */
KT_MUST_CHECK enum kt_code kt_tx_project(struct kt_tx *tx, struct kt_arena *arena,
	const char *org_id, const char *ref, struct kt_project_row *out, struct kt_err *err);
/* Of one organization, or of all (org_id NULL), by slug. */
KT_MUST_CHECK enum kt_code kt_tx_projects(struct kt_tx *tx, struct kt_arena *arena,
	const char *org_id, struct kt_project_row **out, size_t *out_n, struct kt_err *err);
/* With its releases, refs and config. */
KT_MUST_CHECK enum kt_code kt_tx_project_delete(
	struct kt_tx *tx, const char *org_id, const char *id, struct kt_err *err);

/* --- releases ---------------------------------------------------------------------------- */

enum kt_release_state {
	KT_REL_QUEUED,
	KT_REL_BUILDING,
	KT_REL_READY, /* built, never active (pinned, --no-activate) */
	KT_REL_ACTIVE, /* the project's pointer is here */
	KT_REL_SUPERSEDED, /* was active */
	KT_REL_FAILED,
	KT_REL_PREVIEW, /* built, at a URL of its own */
	KT_REL_EXPIRED, /* a preview that is over */
};
/* What a release is to become when it is built; a preview is one whatever this says. */
enum kt_release_aim {
	KT_AIM_LIVE, /* active */
	KT_AIM_UNPIN, /* active, and the pin that was there when it was published ends */
	KT_AIM_READY, /* ready */
};
/* "queued", ... as stored and shown. */
const char *kt_release_state_name(enum kt_release_state s);

struct kt_release_row {
	const char *id; /* "rel_..." */
	const char *org_id;
	const char *project_id;
	int64_t version; /* 1, 2, ... */
	enum kt_release_state state;
	const char *digest; /* of the manifest, itself a blob */
	const char *kind; /* "file_copy", "dockerfile", "buildpack" */
	const char *image_ref; /* or NULL */
	const char *harness; /* or NULL until built */
	const char *commit_sha; /* or NULL */
	const char *ref; /* "refs/heads/main", or NULL */
	const char *message; /* or NULL */
	const char *source; /* "git", "cli", "archive", "webhook", "config", "redeploy" */
	const char
		*env; /* JSON object of KEY: value for this release only; sealed values; or NULL */
	const char *preview; /* host label of a preview, or NULL: production */
	int64_t pr; /* number of the pull request, 0 = none */
	bool fork; /* from a fork: gets no secrets */
	int64_t expires_us; /* of a preview; 0 = never */
	int64_t config_version;
	int64_t n_files, n_bytes;
	const char *error_code; /* of a failed one */
	const char *error; /* one line */
	const char *created_by; /* name of the key */
	int64_t created_us, built_us, activated_us; /* 0 = not yet */
	enum kt_release_aim aim;
	const char *expected_commit; /* that the ref has to have, "" = none, NULL = any */
};
/* A copy of the row with all that it points to, in the arena. */
void kt_release_row_copy(
	struct kt_arena *arena, const struct kt_release_row *from, struct kt_release_row *to);
/* Add a row. Returns KT_OK, KT_ECONFLICT (the id or version is there), ... */
KT_MUST_CHECK enum kt_code kt_tx_release_add(
	struct kt_tx *tx, const struct kt_release_row *row, struct kt_err *err);
/*
 * Change what may change after creation: state, kind, image_ref, harness, expires_us, error_code,
 * error, built_us, activated_us; aim and expected_commit (of what an older version began).
 * Returns KT_ENOTFOUND.
 */
KT_MUST_CHECK enum kt_code kt_tx_release_put(
	struct kt_tx *tx, const struct kt_release_row *row, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_tx_release(struct kt_tx *tx, struct kt_arena *arena,
	const char *org_id, const char *release_id, struct kt_release_row *out, struct kt_err *err);
/* By number. */
KT_MUST_CHECK enum kt_code kt_tx_release_version(struct kt_tx *tx, struct kt_arena *arena,
	const char *project_id, int64_t version, struct kt_release_row *out, struct kt_err *err);
/* The newest that was built (not queued, building, failed) of a commit, by full sha or unique
 * prefix of 7 and more. Returns KT_ENOTFOUND, KT_ECONFLICT (ambiguous). */
KT_MUST_CHECK enum kt_code kt_tx_release_commit(struct kt_tx *tx, struct kt_arena *arena,
	const char *project_id, const char *sha, struct kt_release_row *out, struct kt_err *err);
/* Newest first, with version < before (0: all), at most limit. */
KT_MUST_CHECK enum kt_code kt_tx_releases(struct kt_tx *tx, struct kt_arena *arena,
	const char *project_id, int64_t before, size_t limit, struct kt_release_row **out,
	size_t *out_n, struct kt_err *err);
/*
 * Of every project: in one of `states` (bit mask of 1 << state), oldest first. For start-up
 * (queued, building, preview) and for collecting garbage.
 */
KT_MUST_CHECK enum kt_code kt_tx_releases_in(struct kt_tx *tx, struct kt_arena *arena,
	unsigned states, struct kt_release_row **out, size_t *out_n, struct kt_err *err);

/* Refs as pushed: name -> commit. */
struct kt_ref_row {
	const char *project_id;
	const char *name;
	const char *commit_sha;
	const char *release_id;
};
KT_MUST_CHECK enum kt_code kt_tx_refs(struct kt_tx *tx, struct kt_arena *arena,
	const char *project_id, struct kt_ref_row **out, size_t *out_n, struct kt_err *err);
/*
 * Set name when its commit is `expected` now ("" = does not exist; NULL = whatever it is).
 * Returns KT_ECONFLICT when it is another, KT_ELIMIT when there are KT_MAX_REFS others.
 */
KT_MUST_CHECK enum kt_code kt_tx_ref_set(
	struct kt_tx *tx, const struct kt_ref_row *row, const char *expected, struct kt_err *err);
/* Deleting what is not there is fine. */
KT_MUST_CHECK enum kt_code kt_tx_ref_delete(
	struct kt_tx *tx, const char *project_id, const char *name, struct kt_err *err);

/* --- config vars: each version is the whole set ------------------------------------------ */

struct kt_config_row {
	const char *name;
	const void *value; /* sealed */
	size_t value_len;
};
/* The variables of a version, by name; rows live in the arena. */
KT_MUST_CHECK enum kt_code kt_tx_config(struct kt_tx *tx, struct kt_arena *arena,
	const char *project_id, int64_t version, struct kt_config_row **out, size_t *out_n,
	struct kt_err *err);
/* Write all variables of a new version. */
KT_MUST_CHECK enum kt_code kt_tx_config_add(struct kt_tx *tx, const char *project_id,
	int64_t version, const struct kt_config_row *rows, size_t n, struct kt_err *err);

/* The next free version: above every one that has rows or that a release or the project names. */
KT_MUST_CHECK enum kt_code kt_tx_config_next(
	struct kt_tx *tx, const char *project_id, int64_t *out, struct kt_err *err);

/* --- audit: append-only by triggers, chained by hash ------------------------------------- */

struct kt_audit_row {
	int64_t seq; /* 1, 2, ...; given by the store */
	int64_t at_us;
	const char *org_id;
	const char *actor; /* "key_...", "system", "webhook" */
	const char *actor_name;
	const char *action; /* "release.activate" */
	const char *object; /* "project/support-bot", "key/key_..." */
	const char *detail; /* JSON object, no secrets; or NULL */
	const char *request_id, *remote_ip; /* or NULL */
	const char *prev_hash, *hash; /* hexadecimal; given by the store */
};
/*
 * Append: seq and hash = SHA-256 over a canonical encoding (each field's length and bytes) of
 * seq, prev_hash and all fields. In the caller's transaction.
 */
KT_MUST_CHECK enum kt_code kt_tx_audit_add(
	struct kt_tx *tx, const struct kt_audit_row *row, struct kt_err *err);
/* Of one organization, newest first, seq < before (0: all), at most limit. */
KT_MUST_CHECK enum kt_code kt_tx_audit(struct kt_tx *tx, struct kt_arena *arena, const char *org_id,
	int64_t before, size_t limit, struct kt_audit_row **out, size_t *out_n, struct kt_err *err);
/*
 * Check the chain from the first row on. *out_n rows were read, *out_bad is the seq of the first
 * wrong one (0 = none), out_head (65 bytes) the last hash. KT_OK also when it is broken.
 */
KT_MUST_CHECK enum kt_code kt_tx_audit_verify(
	struct kt_tx *tx, int64_t *out_n, int64_t *out_bad, char *out_head, struct kt_err *err);
/* --- deliveries of webhooks -------------------------------------------------------------- */

/* Bodies that were worked on, or are; of each project the last KT_MAX_DELIVERIES. */
KT_MUST_CHECK enum kt_code kt_tx_delivery_seen(struct kt_tx *tx, const char *project_id,
	const char *digest, bool *out, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_tx_delivery_add(struct kt_tx *tx, const char *org_id,
	const char *project_id, const char *digest, int64_t at_us, struct kt_err *err);
/* Its work is over: done, or (it failed) forgotten, so that it may come again. */
KT_MUST_CHECK enum kt_code kt_tx_delivery_end(struct kt_tx *tx, const char *project_id,
	const char *digest, bool done, struct kt_err *err);
/* At start-up: what a server that ended left half-done may come again. */
KT_MUST_CHECK enum kt_code kt_tx_deliveries_recover(struct kt_tx *tx, struct kt_err *err);

/* The newest that was heard of a branch or pull request. */
struct kt_heard_row {
	const char *org_id, *project_id;
	const char *target; /* "refs/heads/main", "pull/7" */
	const char *commit_sha;
	int64_t at_us; /* as the sender says; 0 = not told */
	bool closed; /* a pull request's end */
	bool done; /* it was worked on */
};
/* At its time, and what is not newer: pull requests that were forgotten. */
#define KT_HEARD_FORGOTTEN "pull/*"
/* Returns KT_ENOTFOUND. */
KT_MUST_CHECK enum kt_code kt_tx_heard(struct kt_tx *tx, struct kt_arena *arena,
	const char *project_id, const char *target, struct kt_heard_row *out, struct kt_err *err);
/* Set it. Of more than KT_MAX_HEARD pull requests the oldest is forgotten. */
KT_MUST_CHECK enum kt_code kt_tx_heard_put(struct kt_tx *tx, struct kt_arena *arena,
	const struct kt_heard_row *row, struct kt_err *err);
/* It was worked on, when it is the newest still. */
KT_MUST_CHECK enum kt_code kt_tx_heard_done(
	struct kt_tx *tx, const struct kt_heard_row *row, struct kt_err *err);

/* --- idempotency ------------------------------------------------------------------------- */

struct kt_idem_row {
	const char *org_id;
	const char *scope; /* method and route */
	const char *key;
	const char *fingerprint; /* digest of the request */
	int status; /* 0 = still running */
	const char *release_id; /* what it made, or NULL */
	const char *body; /* the answer, or NULL */
	int64_t created_us;
};
/*
 * Insert, running. Returns KT_ECONFLICT when the key is there; then *out is what is there. Returns
 * KT_ELIMIT when the organization has KT_MAX_IDEMPOTENCY_ROWS, or answers of
 * KT_MAX_IDEMPOTENCY_ANSWER_BYTES: roll back then.
 */
KT_MUST_CHECK enum kt_code kt_tx_idem_begin(struct kt_tx *tx, struct kt_arena *arena,
	const struct kt_idem_row *row, struct kt_idem_row *out, struct kt_err *err);
/* Give the answer (status, release_id, body). */
KT_MUST_CHECK enum kt_code kt_tx_idem_end(
	struct kt_tx *tx, const struct kt_idem_row *row, struct kt_err *err);
/* Forget one (the request failed before any effect). */
KT_MUST_CHECK enum kt_code kt_tx_idem_forget(struct kt_tx *tx, const char *org_id,
	const char *scope, const char *key, struct kt_err *err);
/* Forget those made before at_us; at start-up also those still running (all = true). */
KT_MUST_CHECK enum kt_code kt_tx_idem_expire(
	struct kt_tx *tx, int64_t before_us, bool running, struct kt_err *err);

#endif
