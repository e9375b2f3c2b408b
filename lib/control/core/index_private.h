/* SPDX-License-Identifier: MIT */
/*
 * The control plane as its files see it: the struct, and the index in memory.
 *
 * Everything but the work inside a transaction (kt_tx_fn) and inside a worker runs on the loop.
 * The index is changed on the loop only, after the transaction that it follows was committed.
 */
#ifndef KT_CONTROL_INDEX_PRIVATE_H
#define KT_CONTROL_INDEX_PRIVATE_H

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
	unsigned fetches, fetches_run; /* from GitHub: all of them; under way */
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
	struct kt_http_fetcher *fetcher; /* NULL until the first one runs */
	size_t fetches_run; /* of them those under way */
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

#endif
