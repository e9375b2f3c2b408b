/* SPDX-License-Identifier: MIT */
/*
 * The control plane as the data plane and the API see it: who is calling, which release a name
 * means, and every change of projects, releases, configuration and keys. direct.c and its neighbors
 * do it in this process over lib/store and lib/pack.
 *
 * Everything is on the loop's thread. What has to wait (database, disk, building) answers later by
 * a callback, always exactly once, never before the function has returned unless its comment says
 * so. Lookups that every request needs are answered from memory: the direct implementation keeps
 * all keys, projects and pointers there and changes them when the transaction is committed.
 */
#ifndef KT_CONTROL_CONTROL_H
#define KT_CONTROL_CONTROL_H

#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "base/rand.h"
#include "event/bus.h"
#include "event/event.h"
#include "net/loop.h"

struct kt_jw;
struct kt_control;
struct kt_actor;
struct kt_result;
typedef void (*kt_result_fn)(void *arg, const struct kt_result *r);
struct kt_pack_limits;
struct kt_spawner;

enum kt_scope { KT_SCOPE_READ = 1, KT_SCOPE_WRITE = 2, KT_SCOPE_ADMIN = 4 };

struct kt_control_config {
	struct kt_loop *loop;
	struct kt_bus *bus; /* told when a key ends, at most a minute after it expired; or NULL */
	struct kt_spawner *spawner; /* starts the unpack worker */
	const char *data_dir; /* karta.db, master.key, blobs/, releases/, builds/, logs/, tmp/ */
	/* "https://karta.example/base", or NULL: made from each request's Host. */
	const char *public_url;
	/* This server's address where neither that nor a request says one, or NULL. BORROWS. */
	const char *own_url;
	const char *self; /* path of this program, for the worker */
	const struct kt_pack_limits *limits; /* copied; NULL = the defaults */
	int64_t preview_ms; /* life of a preview; 0 = KT_PREVIEW_MS (72 h) */
	int64_t retention_ms; /* files of releases no longer used; 0 = KT_RELEASE_RETENTION_MS */
	int64_t max_log_bytes, max_log_ms; /* of a project's log; 0 = limits.h */
	const char *github_url; /* base for tarballs, or NULL: from the bound repository's URL */
	const char
		*private_hosts; /* that may be asked besides public ones (net/reach.h), or NULL */
	/* Which harness programs are there is asked of lib/app; a program to use whatever: */
	const char *harness_program; /* or NULL */
	bool offline; /* every harness is the rehearsal: nothing needs to be installed */
	/*
	 * Told of the first key before it is committed: a crash in between leaves a key that opens
	 * nothing, and the next start makes another; never one that nobody knows. An error undoes
	 * it. NULL: the caller does it when kt_control_bootstrap() has returned.
	 */
	enum kt_code (*first_key)(void *arg, const char *key, struct kt_err *err);
	void *first_key_arg;
};

/*
 * Open the data folder: lock it (KT_ECONFLICT: another server has it), refuse one that others may
 * write, migrate, recover (staging emptied, interrupted builds failed with code "interrupted" or
 * taken up again, expired previews ended), load the index. Blocking; at start-up.
 */
KT_MUST_CHECK enum kt_code kt_control_open(
	const struct kt_control_config *cfg, struct kt_control **out, struct kt_err *err);
/* Has a server opened the folder? */
KT_MUST_CHECK bool kt_control_is_open(const char *data_dir);
/*
 * Finish writes, close. Operations that wait are answered before it returns (KT_EUNAVAIL when they
 * were not done); no callback is called afterwards. NULL is fine.
 */
void kt_control_free(struct kt_control *ctl);
/*
 * Whether the database and the data folder take what is written. While they do not, that is tried
 * again and again. Returns KT_OK or KT_EIO (err->sys: errno).
 */
KT_MUST_CHECK enum kt_code kt_control_health(struct kt_control *ctl, struct kt_err *err);
/* No new publishes (KT_EUNAVAIL); done(arg) when running builds have ended, at most limit_ms. */
void kt_control_drain(struct kt_control *ctl, int64_t limit_ms, kt_loop_fn done, void *arg);

/* Take over limits, preview_ms, retention_ms, max_log_bytes and max_log_ms of cfg (reload). */
void kt_control_tune(struct kt_control *ctl, const struct kt_control_config *cfg);

/*
 * First start: the organization "default" and its admin key (all scopes), unless there are keys.
 * out_key (KT_API_KEY_LEN + 1 bytes) is "" when nothing had to be made.
 */
KT_MUST_CHECK enum kt_code kt_control_bootstrap(
	struct kt_control *ctl, char *out_key, struct kt_err *err);
/* The same without a key: for a server that asks for none. */
KT_MUST_CHECK enum kt_code kt_control_bootstrap_local(struct kt_control *ctl, struct kt_err *err);
/* There is a key, or was one: whoever starts a server on this folder has to ask for it. */
bool kt_control_has_keys(const struct kt_control *ctl);

/* --- who --------------------------------------------------------------------------------- */

struct kt_principal {
	char org_id[KT_ID_MAX];
	char org_slug[64];
	char key_id[KT_ID_MAX];
	char key_name[128];
	unsigned scopes; /* enum kt_scope */
	char web[65]; /* which browser's session stands for the key, "" = the key itself */
};
/*
 * The principal of a bearer key, from memory. Every failure takes the same path and time.
 * Returns KT_OK, KT_EAUTH (no such key, malformed, revoked, expired) or KT_EUNAVAIL (cannot tell:
 * fail closed).
 */
KT_MUST_CHECK enum kt_code kt_control_principal(
	struct kt_control *ctl, const char *bearer, struct kt_principal *out, struct kt_err *err);

/* --- browsers that are signed in (web.c) -------------------------------------------------- */

/*
 * A session of a browser stands for a key: its scopes, and no longer than it. The browser holds one
 * token for each host name that it visits; a token is good for its host only, and all of a session
 * end together.
 */
#define KT_WEB_TOKEN_MAX 100 /* bytes with NUL of tokens and codes */
/*
 * As kt_control_principal() for a token that came to `host`: KT_OK, KT_EAUTH (also: signed out,
 * expired, the key is revoked or expired, the token is another host's) or KT_EUNAVAIL.
 */
KT_MUST_CHECK enum kt_code kt_control_web_principal(struct kt_control *ctl, const char *token,
	const char *host, struct kt_principal *out, struct kt_err *err);
/* The same by kt_principal's `web`, for what is open longer than a request. */
KT_MUST_CHECK enum kt_code kt_control_web_again(
	struct kt_control *ctl, const char *web, struct kt_principal *out, struct kt_err *err);
/*
 * A new session of the caller's key, at `host`; the one that the caller came with ends. 201 with
 * {"org","key","expires_at"}; the result has its token and max_age_s.
 */
void kt_control_web_begin(struct kt_control *ctl, const struct kt_actor *a, const char *host,
	kt_result_fn fn, void *arg);
/* End the caller's session: 204, also when it has none. */
void kt_control_web_end(
	struct kt_control *ctl, const struct kt_actor *a, kt_result_fn fn, void *arg);
/*
 * Take a session over to another host of this server: a code (out: KT_WEB_TOKEN_MAX) that is good
 * once, for KT_WEB_CODE_MS, at this host and together with `state`, which the page that asked for
 * it made up. token as for kt_control_web_principal(), of from_host. Returns KT_OK, KT_EAUTH.
 */
KT_MUST_CHECK enum kt_code kt_control_web_code(struct kt_control *ctl, const char *token,
	const char *from_host, const char *host, const char *state, char *out, struct kt_err *err);
/* The token for `host` and its max_age_s. Returns KT_OK, KT_EAUTH (whatever is wrong). */
KT_MUST_CHECK enum kt_code kt_control_web_redeem(struct kt_control *ctl, const char *code,
	const char *host, const char *state, char *out_token, int64_t *out_age_s,
	struct kt_err *err);

/*
 * The principal of a server without keys: it may do all, in the organization "default". Returns
 * KT_OK, KT_EUNAVAIL (not open), KT_EAUTH (there are keys).
 */
KT_MUST_CHECK enum kt_code kt_control_local(
	struct kt_control *ctl, struct kt_principal *out, struct kt_err *err);

/* Who does something, for the audit log. */
struct kt_actor {
	const struct kt_principal *who; /* NULL = the system */
	const char *request_id, *remote_ip; /* or NULL */
	/* Of this request, when there is no public_url: "http://localhost:8000". */
	const char *base_url;
};

/* --- which release: for sessions --------------------------------------------------------- */

/* What a name means now; copied, so that it can be kept. */
struct kt_target {
	char org_id[KT_ID_MAX], org_slug[64];
	char project_id[KT_ID_MAX], project[64]; /* slug */
	char release_id[KT_ID_MAX]; /* "" = nothing active yet, or a folder served from disk */
	int64_t version; /* 0 = a folder served from disk */
	bool folder;
	bool preview;
};
/*
 * The project `ref` (slug or id) of an organization and its current release.
 * Returns KT_ENOTFOUND (also: another organization's), KT_ECONFLICT (no active release: *out has
 * organization and project all the same, release_id is "").
 */
KT_MUST_CHECK enum kt_code kt_control_target(struct kt_control *ctl, const char *org_id,
	const char *ref, struct kt_target *out, struct kt_err *err);
/*
 * The project of a call that names none: the organization's default one, else its only one.
 * Returns as kt_control_target(), or KT_EINVAL when it could be several: *choices gets the names of
 * at most KT_FLAT_CHOICES of them, in order, as the members of a JSON array.
 */
#define KT_FLAT_CHOICES 20
KT_MUST_CHECK enum kt_code kt_control_target_flat(struct kt_control *ctl, const char *org_id,
	struct kt_target *out, struct kt_buf *choices, struct kt_err *err);
/* As above by organization slug and project slug ("/org/agent/v1/..."). */
KT_MUST_CHECK enum kt_code kt_control_target_path(struct kt_control *ctl, const char *org_slug,
	const char *slug, struct kt_target *out, struct kt_err *err);
/* As above by host label ("support-bot", "support-bot-pr-7"): projects and previews. */
KT_MUST_CHECK enum kt_code kt_control_target_host(
	struct kt_control *ctl, const char *label, struct kt_target *out, struct kt_err *err);

/* A release made ready to run. */
struct kt_opened {
	const char *dir; /* its tree on disk: never write there; of a folder project: the folder */
	bool folder; /* served from disk: run there, read it again when it changed */
	char *const *env; /* "NAME=value", NULL-terminated: config vars and KARTA_* */
	uint64_t hold; /* give back by kt_control_release_close() */
};
typedef void (*kt_opened_fn)(
	void *arg, enum kt_code rc, const struct kt_opened *opened, const struct kt_err *err);
/*
 * Lay out the files of a release when they are not there (from its blobs), open its configuration.
 * Its files stay while it is open or a session is counted on it. opened is valid during the call.
 * May call fn before it returns (everything was ready).
 */
void kt_control_release_open(
	struct kt_control *ctl, const struct kt_target *t, kt_opened_fn fn, void *arg);
void kt_control_release_close(struct kt_control *ctl, uint64_t hold);
/* A session of this release began (+1) or was deleted (-1); told at start-up for each that lives.
 */
void kt_control_session_count(struct kt_control *ctl, const char *release_id, int delta);

/* --- changes and listings ---------------------------------------------------------------- */

/*
 * The answer of an operation: the JSON of the API (docs/api.md), or a problem. `code` is the stable
 * word of a problem ("files_missing"); extra its further members as JSON text, or NULL.
 * Valid during the call.
 */
struct kt_result {
	enum kt_code rc;
	int status; /* HTTP: 200, 201, 202, 204; of problems 4xx, 5xx */
	const char *code, *message;
	const char *extra;
	const char *json;
	size_t json_len;
	const char *etag; /* of the project's pointer, or NULL */
	const char *token; /* of a browser's session that began, or NULL */
	const char *release; /* id of the one that was made, also of a repeat; or NULL */
	int64_t max_age_s;
};

/*
 * Preconditions every change may carry. A publish comes without a fingerprint: it is made here of
 * what is published (digest, commit, ref, and so on), so that a document and the bundle that
 * follows it are one request.
 */
struct kt_precond {
	const char *if_match; /* ETag of the pointer, or NULL */
	const char *idem_key, *idem_scope, *fingerprint; /* Idempotency-Key, or NULL */
};

/* {"data":[project,...]}, by name. */
void kt_control_projects(
	struct kt_control *ctl, const struct kt_actor *a, kt_result_fn fn, void *arg);
/* One project, by name or id. */
void kt_control_project(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	kt_result_fn fn, void *arg);
struct kt_project_new {
	const char *slug;
	const char *dir; /* serve this folder from disk, or NULL */
};
/* 201 with the project; 409 `project_exists`. */
void kt_control_project_create(struct kt_control *ctl, const struct kt_actor *a,
	const struct kt_project_new *p, const struct kt_precond *pre, kt_result_fn fn, void *arg);
/* NULL members stay as they are. */
struct kt_project_change {
	const char *slug; /* rename: the old name's URL is gone */
	const char *production_ref; /* "refs/heads/main" or "main" */
	const char *repo_url; /* "" unbinds */
	const char *repo_token; /* "" forgets */
	const char *webhook_secret;
	const bool *is_default; /* it is, or is no longer, the project of calls that name none */
};
void kt_control_project_change(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const struct kt_project_change *p, const struct kt_precond *pre, kt_result_fn fn,
	void *arg);
void kt_control_project_delete(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	kt_result_fn fn, void *arg);

/* {"refs":{name: sha},"live":{version,release,digest,commit_sha}|null,"production_ref","pinned",
 * ...}; an unknown project is KT_ENOTFOUND. */
void kt_control_refs(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	kt_result_fn fn, void *arg);
/* Delete a ref; when a preview was made from it, the preview is over. */
void kt_control_ref_delete(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *name, kt_result_fn fn, void *arg);

/*
 * Publish. `doc` is the JSON of a publish (docs/api.md "Publish"), `body_path` the file of a
 * received archive (it stays the caller's and must be there until fn is called). Three ways: doc
 * alone               the document, with manifest, delta or digest; doc and body_path       a whole
 * archive: doc has what came beside it (commit_sha, ref, message, pr, fork, activate, force; "{}"
 * when nothing did) and no manifest; body_path, doc NULL     a bundle: its first member
 * karta-publish.json is the document. fn is called when the release has its row (202-like, state
 * queued or building: then follow its build log), or with 409 `files_missing`
 * {"missing":[digest...]} , 422, 404 and so on. The project is made when it does not exist yet
 * (needs scope write, as everything here).
 */
void kt_control_publish(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *doc, size_t doc_len, const char *body_path, const struct kt_precond *pre,
	kt_result_fn fn, void *arg);
/* The same of a document alone that is in a file, which must be there until fn is called. */
void kt_control_publish_file(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *doc_path, const struct kt_precond *pre, kt_result_fn fn, void *arg);
/* Make a release of a commit the server has: {"commit_sha", "message"?, "activate"?}. */
void kt_control_redeploy(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *doc, size_t doc_len, const struct kt_precond *pre, kt_result_fn fn, void *arg);
/* The final answer of a build: the release object, or the problem it failed with. */
void kt_control_release_wait(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *release, kt_result_fn fn, void *arg);
/*
 * The log of a build: `log` events {"level","text"} and one last `release` event with the release
 * object and, when it failed, "error":{"code","message"}. It stays the control's, and is there while
 * a reader is attached or for KT_BUILD_LOG_MS after the build's end.
 */
struct kt_build_log {
	struct kt_evlog *log;
	int64_t version; /* of the release */
	bool over;
};
/*
 * `release` is an id or "v7". Only what is built, or was looked for by kt_control_build_find(), is
 * found. Returns KT_OK, KT_ENOTFOUND, KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_control_build_log(struct kt_control *ctl, const struct kt_actor *a,
	const char *ref, const char *release, struct kt_build_log *out, struct kt_err *err);

/* Look for a build that ended long ago and open its log; or 404. Nothing is answered but that. */
void kt_control_build_find(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *release, kt_result_fn fn, void *arg);

/* {"data":[release,...],"has_more"}: newest first, below version `before` (0 = from the newest). */
void kt_control_releases(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	int64_t before, size_t limit, kt_result_fn fn, void *arg);
/* `release` is "v7", an id or "current". With `manifest` the result is its text. */
void kt_control_release(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *release, bool manifest, kt_result_fn fn, void *arg);
/*
 * Its files as an archive, written to a file (json = path of it, the caller's to unlink).
 * format: "tar.gz" or "tar.zst".
 */
void kt_control_release_archive(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *release, const char *format, kt_result_fn fn, void *arg);
/* Flip the pointer back: to `version` ("v3"), or the one that was active before; pins. */
void kt_control_rollback(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *version, const char *reason, const struct kt_precond *pre, kt_result_fn fn,
	void *arg);
/* Flip the pointer to a release that was built; idempotent. 409 `pinned` when pinned. */
void kt_control_activate(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *version, const struct kt_precond *pre, kt_result_fn fn, void *arg);
/*
 * Hold the current release: no other becomes current but by a rollback, until unpin. A release of
 * the same code with new configuration does. 409 `no_release` when there is none. The project.
 */
void kt_control_pin(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *reason, kt_result_fn fn, void *arg);
/* The members pinned, pin_reason, pinned_by, pinned_at of a project, for a document of the API. */
void kt_control_write_pin(struct kt_control *ctl, const char *project_id, struct kt_jw *w);
void kt_control_unpin(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	kt_result_fn fn, void *arg);

/* {"version":n,"vars":{NAME: value}}; values are null without scope admin. */
void kt_control_config(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	kt_result_fn fn, void *arg);
/* {"set":{NAME: value},"unset":[NAME]}: a new version, and a new release of the live code. */
void kt_control_config_change(struct kt_control *ctl, const struct kt_actor *a, const char *ref,
	const char *doc, size_t doc_len, const struct kt_precond *pre, kt_result_fn fn, void *arg);

/* Organization, key and scopes of the caller. */
void kt_control_whoami(
	struct kt_control *ctl, const struct kt_actor *a, kt_result_fn fn, void *arg);
/* {"data":[key,...]}, oldest first, revoked ones too; without the keys themselves. */
void kt_control_keys(struct kt_control *ctl, const struct kt_actor *a, kt_result_fn fn, void *arg);
/* {"name","scopes":["read"],"test":false,"expires_in_s"?}: the answer has "key", this once. */
void kt_control_key_create(struct kt_control *ctl, const struct kt_actor *a, const char *doc,
	size_t doc_len, const struct kt_precond *pre, kt_result_fn fn, void *arg);
/* By id or prefix. */
void kt_control_key_revoke(struct kt_control *ctl, const struct kt_actor *a, const char *id,
	kt_result_fn fn, void *arg);

/* Device authorization, in the shape of RFC 8628. No principal is needed for the first two. */
void kt_control_device_begin(struct kt_control *ctl, const struct kt_actor *a, const char *doc,
	size_t doc_len, kt_result_fn fn, void *arg);
/* {"device_code"}: 400 authorization_pending, slow_down, expired_token, access_denied, or the key.
 */
void kt_control_device_poll(struct kt_control *ctl, const struct kt_actor *a, const char *doc,
	size_t doc_len, kt_result_fn fn, void *arg);
/* What a user code asks for: {"client_name","scopes","created_at"}. */
void kt_control_device_show(struct kt_control *ctl, const struct kt_actor *a, const char *user_code,
	kt_result_fn fn, void *arg);
/* Approve or deny; needs scope admin. */
void kt_control_device_decide(struct kt_control *ctl, const struct kt_actor *a,
	const char *user_code, bool approve, kt_result_fn fn, void *arg);

/* {"data":[entry,...],"has_more"}: newest first, below number `before` (0 = from the newest). */
void kt_control_audit(struct kt_control *ctl, const struct kt_actor *a, int64_t before,
	size_t limit, kt_result_fn fn, void *arg);
/*
 * Somebody with a key decided what a harness asked for, or took back what was allowed: an entry of
 * its own for each of KT_MAX_AUDITED_DECISIONS an hour of the organization, then one whenever the
 * number of those that were left out has doubled. object: "session/ID"; detail: a JSON object.
 * Written on a thread; what goes wrong is logged.
 */
void kt_control_audit_decision(struct kt_control *ctl, const struct kt_actor *a, const char *action,
	const char *object, const char *detail);
/* {"ok":true,"entries":n,"head":"..."} or {"ok":false,"first_bad":seq,...}. */
void kt_control_audit_verify(
	struct kt_control *ctl, const struct kt_actor *a, kt_result_fn fn, void *arg);

struct kt_github_delivery {
	const char *project; /* id that the address names, or NULL: of any bound project */
	const char *event, *signature; /* X-GitHub-Event, X-Hub-Signature-256; or NULL */
	const char *body;
	size_t len;
};
/* The signature is checked before anything is parsed. */
void kt_control_github(struct kt_control *ctl, const struct kt_actor *a,
	const struct kt_github_delivery *d, kt_result_fn fn, void *arg);

/* --- the project's log ------------------------------------------------------------------- */

struct kt_log_line {
	const char *project_id;
	const char *level; /* "debug", "info", "warn", "error" */
	const char *source; /* "build", "release", "session", "turn", "harness", "api" */
	int64_t version; /* of the release, 0 = none */
	const char *session_id, *request_id; /* or NULL */
	const char *text; /* redacted here */
};
/* Append a line; does nothing for an unknown project. */
void kt_control_log(struct kt_control *ctl, const struct kt_log_line *line);
/* The log of a project, opened when needed: `log` events. BORROWS; close with the reader. */
KT_MUST_CHECK enum kt_code kt_control_project_log(struct kt_control *ctl, const struct kt_actor *a,
	const char *ref, struct kt_evlog **out, struct kt_err *err);

/* --- operations on a data folder, without a server --------------------------------------- */

/*
 * Check the invariants of a data folder (also while a server uses it): database, one active and
 * complete release a project, digests of every manifest and blob (deep: every byte), versions
 * without unexplained gaps, staging, the audit chain, event logs dense. One finding a line:
 * {"invariant":"I3","object":"...","message":"..."} appended to out (NDJSON); *out_findings counts.
 * What a killed server has left and the next start removes is a line with "left_over":true, and
 * not counted.
 */
KT_MUST_CHECK enum kt_code kt_control_fsck(const char *data_dir, bool deep, struct kt_buf *out,
	size_t *out_findings, struct kt_err *err);
/*
 * Make a key in a data folder (also while a server uses it, which takes it up at once; *out_served
 * says whether one did): for who has lost the last one. `doc` is the JSON of POST /v1/keys; org is
 * a slug, or NULL when there is one organization. The answer of that route, the key's text in it,
 * is appended to out; the audit log says who by uid. Returns KT_OK, KT_EINVAL, KT_ENOTFOUND (no
 * data folder, no such organization), KT_ELIMIT, KT_EPROTO, KT_EIO; or, the key being made and in
 * out, what kept the server that runs from taking it up.
 */
KT_MUST_CHECK enum kt_code kt_control_key_make(const char *data_dir, const char *org,
	const char *doc, size_t doc_len, struct kt_buf *out, bool *out_served, struct kt_err *err);
/* Everything but caches into one tar file (database by its backup interface, then blobs, keys). */
KT_MUST_CHECK enum kt_code kt_control_backup(
	const char *data_dir, const char *file, struct kt_err *err);
struct kt_restore {
	bool force; /* replace what is in the data folder */
	bool skip_damaged; /* leave out what is damaged, instead of refusing all of it */
	/* What is damaged, one JSON object a line: {"member": its name, "message"}, and what comes
	 * of it: {"object", "message"} as of kt_control_fsck(). Or NULL. */
	struct kt_buf *out;
};
/*
 * Unpack beside data_dir, compare every member with the digest that the backup has of it, check as
 * fsck does, then put it in its place (which must be empty or `force`). *out_lost: how many members
 * are damaged, or else findings, as of a backup without digests. Returns KT_OK, KT_ENOTFOUND (no
 * such file), KT_ECONFLICT (the place is not empty, or used by a server), KT_EPROTO (no backup, or
 * a damaged one: nothing was changed) or KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_control_restore(const char *data_dir, const char *file,
	const struct kt_restore *how, size_t *out_lost, struct kt_err *err);

#endif
