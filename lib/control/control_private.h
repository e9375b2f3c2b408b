/* SPDX-License-Identifier: MIT */
/*
 * What the files of lib/control share: the index in memory, operations on their way, builds.
 *
 * Everything but the work inside a transaction (kt_tx_fn) and inside a worker runs on the loop.
 * The index is changed on the loop only, after the transaction that it follows was committed.
 */
#ifndef KT_CONTROL_CONTROL_PRIVATE_H
#define KT_CONTROL_CONTROL_PRIVATE_H

#include "control/control.h"
#include "crypto/masks.h"

#include "base/arena.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/vec.h"
#include "crypto/crypto.h"
#include "pack/pack.h"
#include "proc/proc.h"
#include "store/blob.h"
#include "store/store.h"
#include "text/json.h"

/* --- the index: what names lead to (index.c) --------------------------------------------- */

struct kt_org_mem {
	char id[KT_ID_MAX];
	char slug[64];
	char *name;
	char default_project[KT_ID_MAX]; /* id, "" = none; one that was deleted is none */
	unsigned archives; /* being made */
	unsigned fetches, fetches_run; /* from GitHub: all of them; on a thread */
	uint64_t fetch_turn; /* when one began last */
	int64_t decided_hour; /* that the next two are of */
	unsigned decided, decided_more; /* told one by one in the audit log; only counted */
};

struct kt_key_mem {
	struct kt_principal who; /* as handed out */
	char prefix[KT_API_KEY_PREFIX_LEN + 1];
	char last4[5];
	unsigned char hash[KT_KEY_HASH_BYTES];
	int64_t expires_us, revoked_us;
	bool ended; /* the listener was told that it expired */
	int64_t used_us; /* written to the row at most once a minute */
	int64_t web_hour; /* that the next one is of */
	unsigned web_sign_ins;
	struct kt_web_mem *webs; /* newest first, at most KT_MAX_WEB_SESSIONS */
	struct kt_key_mem *next; /* same prefix */
};

/* A browser that is signed in (web.c). */
struct kt_web_mem {
	char hash[KT_DIGEST_MAX]; /* its name in memory and in the database */
	char key_id[KT_ID_MAX];
	int64_t created_us, expires_us;
	struct kt_web_mem *older; /* same key */
	struct kt_web_code {
		char hash[KT_DIGEST_MAX]; /* of code, host and state; "" = none */
		int64_t until_ms; /* loop time */
	} codes[KT_MAX_WEB_CODES];
};

/* A release that a name leads to: a project's current one, or a preview. */
struct kt_release_mem {
	char id[KT_ID_MAX];
	int64_t version;
	char *label; /* of a preview, else NULL */
	char *ref; /* or NULL */
	char *commit_sha; /* or NULL */
	char digest[KT_DIGEST_MAX];
	int64_t pr;
	int64_t expires_us; /* 0 = never */
	char *message, *created_by; /* or NULL; a message's first line, cut */
	int64_t created_us, activated_us;
};

struct kt_build;

struct kt_project_mem {
	struct kt_org_mem *org;
	char id[KT_ID_MAX];
	char slug[64];
	char label[64];
	char *dir; /* folder project, else NULL */
	char *harness; /* or NULL; of a folder: as it was seen last (folders.c) */
	char *production_ref;
	char *pin_reason; /* NULL = not pinned */
	char *pin_by; /* or NULL */
	int64_t pinned_us; /* 0 = not known */
	char *repo_url; /* or NULL */
	bool has_webhook_secret;
	int64_t config_version;
	int64_t created_us;
	struct kt_release_mem *current; /* or NULL */
	struct kt_vec previews; /* struct kt_release_mem * */
	bool deleted; /* gone from the index; freed when no build or reader needs it */
	/* log.c */
	struct kt_evlog *log; /* NULL until needed */
	struct kt_log_trim *trim; /* of log.c: the log is being trimmed; or NULL */
	int64_t log_used_ms; /* loop time of the last line */
	struct kt_masks secrets; /* never written to the log */
	bool secrets_loaded, secrets_loading;
	struct kt_vec log_waiting; /* struct kt_log_line *, until the secrets are loaded */
	size_t log_waiting_bytes, log_lost; /* lines that had no place there */
	/* build.c */
	struct kt_vec builds; /* struct kt_build *, the first one runs */
	size_t publishing; /* builds whose rows are being written */
};

/* What a host label means. */
struct kt_label_mem {
	struct kt_project_mem *project;
	struct kt_release_mem *preview; /* NULL: the project's current release */
};

struct kt_control {
	struct kt_control_config cfg; /* strings owned below */
	char *data_dir, *public_url, *self, *github_url, *harness_program;
	struct kt_reach *reach; /* what clients may make the server ask */
	struct kt_pack_limits limits;
	struct kt_loop *loop;
	struct kt_store *store;
	struct kt_blobs *blobs;
	struct kt_master *master;
	int lock_fd;
	struct kt_bell *bell; /* bell.c */
	bool draining, closing;
	/*
	 * What happens below is told above; set at once by who opens the plane (direct.c). On the
	 * loop.
	 */
	struct {
		/* Something of the server's own failed, perhaps because of the disk. */
		void (*failed)(struct kt_control *ctl, const struct kt_err *err);
		/* The rows of p are gone; it is about to leave the index. */
		void (*project_deleted)(struct kt_control *ctl, struct kt_project_mem *p);
		/* Nothing refers to p any more: it is freed next. */
		void (*project_freed)(struct kt_control *ctl, struct kt_project_mem *p);
	} on;
	/* index.c */
	struct kt_map orgs, orgs_by_slug; /* id / slug -> struct kt_org_mem */
	struct kt_map keys; /* prefix -> struct kt_key_mem, chained */
	struct kt_map keys_by_id;
	struct kt_map projects; /* id -> struct kt_project_mem */
	struct kt_map projects_by_slug; /* "ORG_ID/SLUG" */
	struct kt_map labels; /* label -> struct kt_label_mem */
	struct kt_map webs; /* hash -> struct kt_web_mem */
	/* device.c */
	struct kt_map devices; /* device code -> struct kt_device */
	/* build.c, release.c */
	struct kt_map builds; /* release id -> struct kt_build: running and lately ended */
	struct kt_map opened; /* release id -> struct kt_open_release */
	struct kt_map sessions; /* release id -> count, as struct kt_count */
	uint64_t next_hold;
	struct kt_works *works; /* task.c: work on threads, unpackers, collecting garbage */
	struct kt_timer *drain; /* looks whether the builds are over */
	int64_t drain_until_ms;
	kt_loop_fn drained;
	void *drained_arg;
	struct kt_timer *sweep; /* previews, files of old releases, old idempotency keys, logs */
	size_t ops; /* operations on their way */
	/* op.c */
	struct kt_defer answer;
	struct kt_vec ended; /* struct kt_op *: answered at the end of the tick */
	/* index.c */
	bool loaded;
	struct kt_vec dropped; /* struct kt_project_mem * that were deleted */
	/* keys.c */
	void (*on_revoke)(void *arg, const char *key_id);
	void *revoke_arg;
	/* log.c */
	struct {
		struct kt_timer *timer; /* goes on with the sweep */
		size_t at; /* in `projects` */
		bool walking, listing;
		struct kt_log_files *files; /* of log.c: found, and being looked at; or NULL */
		int64_t pass_ms; /* loop time of the last look at every log file */
	} logs;
	/* disk.c */
	struct {
		struct kt_err trouble; /* of the last file that failed; code KT_OK: none since */
		struct kt_timer *timer; /* tries again, or NULL */
		int64_t ms;
		bool probing;
	} disk;
	/* github.c */
	size_t fetches_run; /* of them those on a thread */
	uint64_t fetch_turns; /* fetches that were begun */
	struct kt_vec fetches; /* struct kt_fetch *, in the order of their deliveries */
};

/* Load everything from the store. Blocking, at start-up. */
KT_MUST_CHECK enum kt_code kt_index_load(struct kt_control *ctl, struct kt_err *err);
void kt_index_free(struct kt_control *ctl);
/* By slug or id; NULL when the organization has none of that name. */
struct kt_project_mem *kt_index_project(
	struct kt_control *ctl, const char *org_id, const char *ref);
/* Put a project as the row says (new, renamed or changed); current and previews stay. */
struct kt_project_mem *kt_index_project_put(
	struct kt_control *ctl, const struct kt_project_row *row);
void kt_index_project_drop(struct kt_control *ctl, struct kt_project_mem *p);
/* Bytes of a release's message that lists show: its first line, cut where it is long. */
size_t kt_release_line_len(const char *message);
/* The pointer now leads to this release (NULL: to none). */
void kt_index_current(
	struct kt_control *ctl, struct kt_project_mem *p, const struct kt_release_row *row);
/* A preview begins (replacing one of the same label), or ends. */
void kt_index_preview_put(
	struct kt_control *ctl, struct kt_project_mem *p, const struct kt_release_row *row);
void kt_index_preview_drop(struct kt_control *ctl, struct kt_project_mem *p, const char *label);
void kt_index_key_put(struct kt_control *ctl, const struct kt_key_row *row);
struct kt_key_mem *kt_index_key(struct kt_control *ctl, const char *key_id);
void kt_index_org_put(struct kt_control *ctl, const struct kt_org_row *row);
/* A browser signed in, or is no longer. */
void kt_web_put(struct kt_control *ctl, const struct kt_web_row *row);
void kt_web_drop(struct kt_control *ctl, const char *hash);
/* Free the deleted projects that nothing refers to any more. */
void kt_index_sweep(struct kt_control *ctl);

/* --- operations (op.c) ------------------------------------------------------------------- */

/*
 * One operation: filled on the loop, worked on in a transaction or worker, answered on the loop.
 * Everything it needs on the way is in its arena or in `data`.
 */
struct kt_op {
	struct kt_control *ctl;
	struct kt_arena *arena;
	struct kt_principal who; /* org_id "" = the system */
	char request_id[KT_ID_MAX], remote_ip[64];
	char *base_url; /* public_url, or that of the request; in arena */
	kt_result_fn fn; /* NULL: nobody waits */
	void *arg;
	struct kt_precond pre; /* strings in arena */
	void *data; /* the operation's own; in arena */
	kt_tx_fn work;
	/* On the loop when committed, before the answer; or NULL. */
	void (*after)(struct kt_op *op);
	/* The answer. */
	int status; /* 0: by rc */
	const char *code; /* of a problem; NULL: kt_code_name() */
	const char *extra;
	const char *etag;
	const char *token; /* of web.c; in arena, wiped with it */
	int64_t max_age_s;
	struct kt_buf json;
	enum kt_code rc;
	const char *message;
	/* Set by kt_op_idem_begin() when the answer comes from an earlier request: `after` is
	 * skipped. */
	bool replayed;
	/* What the earlier request made (also when it still runs), or NULL. */
	const char *replay_release;
};
/* The strings of *to are copies in arena. */
void kt_precond_copy(struct kt_arena *arena, struct kt_precond *to, const struct kt_precond *from);
/* New operation for a caller (a NULL: the system). */
KT_MUST_CHECK struct kt_op *kt_op_new(struct kt_control *ctl, const struct kt_actor *a,
	const struct kt_precond *pre, kt_result_fn fn, void *arg);
/* Run op->work as a write (or read) transaction, then op->after, then answer and free. */
void kt_op_write(struct kt_op *op, kt_tx_fn work, void (*after)(struct kt_op *op));
void kt_op_read(struct kt_op *op, kt_tx_fn work);
/* Answer (on the loop, in a later tick when called from within the API's call) and free. */
void kt_op_end(struct kt_op *op, enum kt_code rc, const struct kt_err *err);
/* Answer a problem: code is the stable word. extra in the arena, or NULL. */
void kt_op_fail(struct kt_op *op, enum kt_code rc, int status, const char *code, const char *extra,
	const char *fmt, ...) KT_PRINTF(6, 7);
/*
 * The project a caller names, on the loop; NULL when there is none: op is then answered with 404
 * `project_not_found` and must not be touched any more.
 */
struct kt_project_mem *kt_op_project(struct kt_op *op, const char *ref);
/* Set the answer's ETag to that of a pointer that leads to this release (NULL: to none). */
void kt_op_etag(struct kt_op *op, const char *release_id);
/* Who op acts for, to start another operation; out points into op. */
void kt_op_actor(const struct kt_op *op, struct kt_actor *out);
/*
 * The JSON object of a request, on the loop: strict, with no other members than `members`
 * (NULL-terminated). False when it is not that: op is then answered (400 `bad_json`, 422
 * `validation_failed`) and must not be touched any more. *out is the caller's, cJSON_Delete().
 */
KT_MUST_CHECK bool kt_op_doc(
	struct kt_op *op, const char *doc, size_t len, const char *const *members, cJSON **out);
/* Give the answers that wait for the end of the tick now (kt_control_free()). */
void kt_ops_flush(struct kt_control *ctl);
/* Set the stable word and status that a failure inside `work` is answered with; returns rc. */
enum kt_code kt_op_code(struct kt_op *op, enum kt_code rc, int status, const char *code);
/* One audit row, in the transaction of op. detail: JSON object text or NULL. */
KT_MUST_CHECK enum kt_code kt_op_audit(struct kt_tx *tx, struct kt_op *op, const char *action,
	const char *object, const char *detail, struct kt_err *err);
/* If-Match of op against the pointer of p ("\"rel_...\"" or "*"). KT_OK or KT_ECONFLICT (412). */
KT_MUST_CHECK enum kt_code kt_op_if_match(
	struct kt_op *op, const struct kt_project_row *p, struct kt_err *err);
/* A folder that is served has no releases: the refusal of what needs them (409). */
KT_MUST_CHECK enum kt_code kt_op_folder_project(
	struct kt_op *op, const struct kt_project_row *p, struct kt_err *err);
/*
 * Idempotency inside the transaction: first use begins the row and returns false; a repeat of an
 * ended request sets op's answer from the row and returns true; other body or still running: rc.
 * kt_op_idem_end() stores the answer that op->json holds.
 */
KT_MUST_CHECK enum kt_code kt_op_idem_begin(
	struct kt_tx *tx, struct kt_op *op, bool *out_replay, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_op_idem_end(
	struct kt_tx *tx, struct kt_op *op, int status, const char *release_id, struct kt_err *err);

/* --- JSON of things (render.c): members inside an open object ---------------------------- */

void kt_write_project(struct kt_jw *w, struct kt_op *op, const struct kt_project_mem *p);
/* p may be of the index or made for the purpose; active: the pointer leads here. */
void kt_write_release(struct kt_jw *w, struct kt_op *op, const struct kt_project_mem *p,
	const struct kt_release_row *r, bool active);
void kt_write_key(struct kt_jw *w, const struct kt_key_row *k);
/* Member `key`: ["read", ...]. */
void kt_write_scopes(struct kt_jw *w, const char *key, unsigned scopes);
void kt_write_audit(struct kt_jw *w, const struct kt_audit_row *a);
/* "http://support-bot.localhost:8000" for a label, from op's base URL. In the op's arena. */
const char *kt_label_url(struct kt_op *op, const char *label);
/* The URL of a project: by its label, or by path when its name cannot be a host name here. */
const char *kt_project_url(struct kt_op *op, const char *slug, const char *label);
/* The label is kept for the server's own use; a project of this name has its address by path. */
bool kt_label_reserved(const char *label);
/* RFC 3339 with milliseconds, or null for 0. */
void kt_write_time(struct kt_jw *w, const char *key, int64_t us);
/* The members pinned, pin_reason, pinned_by, pinned_at; reason NULL = not pinned. */
void kt_write_pin(struct kt_jw *w, const char *reason, const char *by, int64_t since_us);
/* {"action detail"} helper: a JSON object of string pairs, NULL-terminated list; in arena. */
const char *kt_json_pairs(struct kt_arena *arena, ...);

/* "project/SLUG", the object of audit rows. */
const char *kt_object_project(struct kt_arena *arena, const char *slug);
/* "v7" in the arena. */
const char *kt_version_text(struct kt_arena *arena, int64_t version);
/* Slug of a name: lower-case letters, digits, inner hyphens, 1 to 63. */
bool kt_slug_ok(const char *s);

/* --- projects (projects.c) --------------------------------------------------------------- */

/*
 * May op make a project of this name: grammar, number of projects. On the loop,
 * before kt_project_add(). Returns KT_OK or the problem (word and status are set in op).
 */
KT_MUST_CHECK enum kt_code kt_project_new_check(
	struct kt_op *op, const char *slug, struct kt_err *err);
/*
 * Add a project with a free host label and its audit row ("project.create"), in op's transaction;
 * *out is in op's arena. Returns KT_ECONFLICT (word `project_exists`) when the slug is taken. When
 * the transaction is committed: kt_index_project_put().
 */
KT_MUST_CHECK enum kt_code kt_project_add(struct kt_tx *tx, struct kt_op *op, const char *slug,
	const char *dir, struct kt_project_row *out, struct kt_err *err);

/* A project as a row says, to render it inside a transaction: with its current release, without
 * previews. In op's arena. */
KT_MUST_CHECK enum kt_code kt_project_temp(struct kt_tx *tx, struct kt_op *op,
	const struct kt_project_row *row, struct kt_project_mem **out, struct kt_err *err);
/* Make op's answer the project, with its ETag. */
void kt_op_show_project(struct kt_op *op, const struct kt_project_mem *p);
/* Look at the folders among these projects (struct kt_project_mem *), then call then(op). */
void kt_op_look(struct kt_op *op, const struct kt_vec *projects, void (*then)(struct kt_op *op));
/* Context under which a project's "repo_token" or "webhook_secret" is sealed. In arena. */
const char *kt_project_context(
	struct kt_arena *arena, const char *what, const char *org_id, const char *project_id);
/* A name git takes for a ref (git-check-ref-format), as far as it matters here. */
bool kt_ref_ok(const char *s);

/* --- keys (keys.c) ----------------------------------------------------------------------- */

struct kt_new_key {
	struct kt_key_row row;
	char id[KT_ID_MAX];
	char text[KT_API_KEY_LEN + 1]; /* wiped when it was shown */
	char prefix[KT_API_KEY_PREFIX_LEN + 1];
	unsigned char hash[KT_KEY_HASH_BYTES];
};
/* What is wanted of a new key. */
struct kt_key_wish {
	const char *name; /* BORROWS */
	unsigned scopes;
	bool test;
	int64_t expires_us; /* 0 = never */
};
/* From the JSON of a request; KT_EINVAL with what is wrong. BORROWS the document. */
KT_MUST_CHECK enum kt_code kt_key_wish_take(
	const cJSON *doc, struct kt_key_wish *out, struct kt_err *err);
/* A new key of an organization, all of it in arena; nothing is written yet. */
struct kt_new_key *kt_key_new(struct kt_arena *arena, const struct kt_master *master,
	const char *org_id, const struct kt_key_wish *wish, const char *created_by);
/* KT_ELIMIT when the organization has as many valid keys as it may. */
KT_MUST_CHECK enum kt_code kt_key_room(
	struct kt_tx *tx, struct kt_arena *arena, const char *org_id, struct kt_err *err);
/* "read,write" */
const char *kt_scope_words(unsigned scopes);
/* Append it as an object, its text too when that is wanted. */
void kt_key_render(struct kt_buf *b, const struct kt_new_key *k, bool with_text);
/* Add it with its audit row, in op's transaction; then kt_index_key_put(). */
KT_MUST_CHECK enum kt_code kt_key_add(
	struct kt_tx *tx, struct kt_op *op, const struct kt_new_key *k, struct kt_err *err);
/* ["read", "write"] to bits; false when it is not a list of scopes with one at least. */
KT_MUST_CHECK bool kt_scopes_parse(const cJSON *list, unsigned *out);
#define KT_BELL_NAME "bell" /* in the data folder */
/* The bell for keys that were made in the data folder by another process (bell.c, keymake.c). */
KT_MUST_CHECK enum kt_code kt_bell_start(struct kt_control *ctl, struct kt_err *err);
void kt_bell_stop(struct kt_control *ctl);
/* Tell the listener of keys whose time is over. */
void kt_keys_sweep(struct kt_control *ctl);
/* 1 to 100 bytes of UTF-8 without control characters. */
bool kt_key_name_ok(const char *name);

/* --- builds (build.c, publish.c), releases (release.c) ----------------------------------- */

/*
 * A release on its way through queue, layout, check and activation. The row is in the database
 * (queued) when a build exists; its log is builds/REL_ID.log.
 */
struct kt_build {
	struct kt_control *ctl;
	struct kt_project_mem *project;
	char release_id[KT_ID_MAX];
	int64_t version;
	struct kt_arena *arena;
	struct kt_release_row *row; /* in arena */
	struct kt_op *op; /* who asked (copied actor), for the audit row; own copy */
	bool activate; /* else ready */
	bool unpin; /* when it becomes active */
	bool over;
	int64_t started_ms;
	struct kt_evlog *log;
	struct kt_timer *linger; /* after the end */
	struct kt_vec waiters; /* struct kt_op * of kt_control_release_wait() */
	void *work; /* build.c's */
};
/* Start (or queue) the build of a release whose row was just committed. */
void kt_build_start(struct kt_control *ctl, struct kt_project_mem *p,
	const struct kt_release_row *row, bool activate, const struct kt_op *by);
/* A line of a build's log (also into the project's log). level "info", "warn", "error". */
void kt_build_say(struct kt_build *b, const char *level, const char *fmt, ...) KT_PRINTF(3, 4);
/*
 * Publish a whole archive (github.c): as kt_control_publish() with these members and no document.
 */
struct kt_publish_meta {
	const char *commit_sha, *ref, *message, *source;
	int64_t pr;
	bool fork;
	bool no_activate, unpin;
	bool as_deploy; /* answer as POST .../deploys does */
};
void kt_publish_archive(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *body_path, const struct kt_publish_meta *meta, const struct kt_precond *pre,
	kt_result_fn fn, void *arg);
/* Recover what a crash left (direct.c calls it when the index is there). */
KT_MUST_CHECK enum kt_code kt_builds_recover(struct kt_control *ctl, struct kt_err *err);
/*
 * Two steps of the end. kt_builds_stop(), when `closing` is set and the store and the blobs are
 * still open: end unpackers, wait for workers; what they worked for is answered with KT_EUNAVAIL,
 * builds stay in the database as they are (taken up at the next start). kt_builds_free(), when the
 * store is closed and before the index goes: free builds, their logs and opened releases.
 */
void kt_builds_stop(struct kt_control *ctl);
void kt_builds_free(struct kt_control *ctl);
/*
 * p is being deleted (its rows are gone): end its builds, answer their waiters (404), close their
 * logs. A build that a worker still runs may stay in p->builds until the worker ended; p stays in
 * memory as long (p->deleted is set), but nothing of it is written any more.
 */
void kt_builds_cancel(struct kt_control *ctl, struct kt_project_mem *p);
/* True when as many builds of p wait as may; op is answered then. */
bool kt_builds_full(struct kt_op *op, const struct kt_project_mem *p);
/* Sweep: expired previews, files of releases that nothing uses, blobs nobody names. */
void kt_releases_sweep(struct kt_control *ctl);
/*
 * End a preview (ref deleted, pull request closed, expired), in the op's transaction; with builds
 * also what is still to become it: it is marked, and its build ends without a preview.
 */
KT_MUST_CHECK enum kt_code kt_preview_end(struct kt_tx *tx, struct kt_op *op,
	const char *project_id, const char *label, bool builds, struct kt_err *err);
/* Something that would become this preview is queued or being built. On the loop. */
bool kt_preview_building(const struct kt_project_mem *p, const char *label);
/*
 * Label of the preview that may be on its way from a ref or pull request (0 = none); "" when
 * another one has that label: two branches may make the same. out: 64 bytes.
 */
void kt_preview_coming(const struct kt_project_mem *p, const char *ref, int64_t pr, char *out);
/* End a preview with its builds, in a transaction of its own. On the loop. */
void kt_preview_close(struct kt_control *ctl, const struct kt_project_mem *p, const char *label);
/* Label of a preview: "<slug>-pr-7" or "<slug>-<branch as a slug>", cut to 63. out: 64 bytes. */
void kt_preview_label(const char *slug, const char *ref, int64_t pr, char *out);

/* log.c */
/* A value that must not get into p's log: config vars, env of a release. Short ones are ignored. */
void kt_log_secret(struct kt_project_mem *p, const char *value);
/* Forget log and secrets of a project; of a deleted one its file goes too. */
void kt_log_drop(struct kt_control *ctl, struct kt_project_mem *p);
/* The server ends: what waits is written while the store is there. */
void kt_logs_settle(struct kt_control *ctl);
void kt_logs_free(struct kt_control *ctl);
void kt_logs_sweep(struct kt_control *ctl);
/* direct.c: sweep from now on as often as the settings ask for. */
void kt_sweep_start(struct kt_control *ctl);
/* principal.c: the key is used now */
void kt_key_note_use(struct kt_control *ctl, struct kt_key_mem *k, int64_t now_us);
/* web.c */
/* Forget sessions that are over, here and in the database. */
void kt_webs_sweep(struct kt_control *ctl);
/* device.c */
void kt_devices_free(struct kt_control *ctl);
/* Forget logins whose time is over. */
void kt_devices_sweep(struct kt_control *ctl);
/*
 * A commit that is fetched from the bound repository and published (fetch.c). Made by github.c;
 * everything it names is in its arena.
 */
struct kt_fetch {
	struct kt_control *ctl;
	struct kt_arena *arena;
	struct kt_principal who;
	struct kt_org_mem *org; /* of who; organizations stay while the server runs */
	char request_id[KT_ID_MAX], remote_ip[64];
	const char *base_url, *project_id, *url;
	char *token; /* "" = none; wiped at the end */
	const char *digest; /* of the delivery; NULL: there is none */
	struct kt_heard_row heard; /* what it told */
	struct kt_publish_meta meta;
	/* fetch.c */
	enum kt_fetch_state {
		KT_FETCH_WAITS,
		KT_FETCH_RUNS,
		KT_FETCH_HERE,
		KT_FETCH_PUBLISHES,
		KT_FETCH_ENDS
	} state;
	char *path; /* the file */
	char *last_url;
	int64_t max_bytes;
	bool stop; /* atomic */
	bool closed; /* its pull request was, meanwhile */
	bool published;
	/* Who waits for it, or NULL: told once, on the loop. */
	kt_result_fn done;
	void *done_arg;
	struct kt_precond pre; /* of the publish */
};
/* Where a commit is fetched from, and for whom. */
struct kt_fetch_from {
	const char *org_id, *project_id, *repo_url, *token; /* token "" = none */
	const char *digest; /* of the delivery, or NULL */
	const struct kt_heard_row *heard; /* with digest: what it told */
	const struct kt_principal *who; /* NULL: the webhook */
	const struct kt_publish_meta *meta;
	const struct kt_precond *pre; /* or NULL */
	kt_result_fn done; /* or NULL */
	void *done_arg;
};
/* Fetch and publish; false when the address is not owner/name of a GitHub server. Copies all. */
KT_MUST_CHECK bool kt_github_fetch(struct kt_op *op, const struct kt_fetch_from *from);
/* What is sealed in a project's row under `what`, "" when nothing is; in op's arena. */
KT_MUST_CHECK enum kt_code kt_project_unseal(struct kt_op *op, const struct kt_project_row *p,
	const char *what, const void *sealed, size_t len, char **out, struct kt_err *err);

/* TAKES f; says what becomes of it in the project's log. */
void kt_fetch_start(struct kt_fetch *f);
/* No more can be taken now. */
bool kt_fetches_full(const struct kt_control *ctl, const char *org_id);
/* Give up what is fetched for a pull request; false when there is nothing. */
bool kt_fetches_close(struct kt_control *ctl, const char *project_id, int64_t pr);
/* Give up all: downloads that run end soon, the others at once. */
void kt_fetches_stop(struct kt_control *ctl);
/* Context under which a config var's value is sealed. In arena. */
const char *kt_config_context(
	struct kt_arena *arena, const char *org_id, const char *project_id, const char *name);

#endif
