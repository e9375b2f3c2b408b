/* SPDX-License-Identifier: MIT */
/*
 * The control plane in this process: opening and closing a data folder, in the order that makes a
 * crash at any point harmless; draining; the sweep; the first start.
 */
#include "control/access/access_private.h"
#include "control/control_private.h"
#include "control/github/github_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "net/reach.h"
#include "net/url.h"
#include "store/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define SWEEP_MS 60000
#define SWEEP_MIN_MS 1000
#define DRAIN_LOOK_MS 20

/* --- the data folder --------------------------------------------------------------------- */

/* Whoever can write here can change what runs: nobody but us and root may. */
static enum kt_code check_data_folder(const char *path, struct kt_err *err)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot look at '%s'", path);
	if (!S_ISDIR(st.st_mode))
		return kt_fail(err, KT_EINVAL, 0, "'%s' is not a folder", path);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return kt_fail(err, KT_EDENIED, 0, "'%s' belongs to another user", path);
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		(void)kt_fail(err, KT_EDENIED, 0, "others may write to '%s'", path);
		return kt_hint(err, "chmod go-w '%s'", path);
	}
	return KT_OK;
}

static enum kt_code lock_folder(struct kt_control *ctl, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_data_path(ctl->data_dir, KT_DATA_LOCK);

	ctl->lock_fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (ctl->lock_fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot open '%s'", path);
	if (flock(ctl->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return KT_OK;
	if (errno == EWOULDBLOCK) {
		(void)kt_fail(err, KT_ECONFLICT, 0, "another server uses '%s'", ctl->data_dir);
		return kt_hint(err,
			"karta talks to that one as it is: 'karta projects'; --data DIR "
			"serves another folder");
	}
	return kt_fail(err, KT_EIO, errno, "cannot lock '%s'", path);
}

bool kt_control_is_open(const char *data_dir)
{
	KT_AUTOFREE char *path = kt_data_path(data_dir, KT_DATA_LOCK);
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	bool taken = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;

	if (fd >= 0)
		(void)close(fd);
	return taken;
}

static enum kt_code make_data_folders(struct kt_control *ctl, struct kt_err *err)
{
	static const char *const names[] = { KT_DATA_RELEASES, KT_DATA_BUILDS, KT_DATA_LOGS,
		KT_DATA_TMP };
	KT_AUTOFREE char *tmp = kt_data_path(ctl->data_dir, KT_DATA_TMP);
	enum kt_code rc;

	/* What a crash left there was never acknowledged. */
	rc = kt_fs_remove_tree(tmp, err);
	for (size_t i = 0; rc == KT_OK && i < KT_ARRAY_LEN(names); i++) {
		KT_AUTOFREE char *path = kt_path_join(ctl->data_dir, names[i]);

		rc = kt_fs_mkdirs(path, 0700, err);
	}
	return rc;
}

/* A master key that a crash interrupted, or its second name: nobody else writes here now. */
static enum kt_code remove_half_keys(const struct kt_control *ctl, struct kt_err *err)
{
	char **names;
	size_t n;
	enum kt_code rc = kt_fs_list(ctl->data_dir, &names, &n, err);

	if (rc != KT_OK)
		return rc;
	for (size_t i = 0; i < n; i++) {
		KT_AUTOFREE char *path = kt_path_join(ctl->data_dir, names[i]);

		if (kt_str_starts(names[i], KT_DATA_MASTER_KEY ".new-"))
			(void)unlink(path);
	}
	kt_fs_names_free(names, n);
	return KT_OK;
}

static enum kt_code open_store(struct kt_control *ctl, struct kt_err *err)
{
	KT_AUTOFREE char *db = kt_data_path(ctl->data_dir, KT_DATA_DATABASE);
	KT_AUTOFREE char *key = kt_data_path(ctl->data_dir, KT_DATA_MASTER_KEY);
	KT_AUTOFREE char *blobs = kt_data_path(ctl->data_dir, KT_DATA_BLOBS);
	struct kt_store_config cfg = { .path = db, .loop = ctl->loop, .create = true };
	/* A database without its key holds hashes that nobody can check: do not make a new key. */
	bool fresh = !kt_fs_is_file(db);
	enum kt_code rc;

	rc = kt_master_open(key, fresh, &ctl->master, err);
	if (rc == KT_ENOTFOUND) {
		(void)kt_fail(err, KT_EIO, 0,
			"'%s' is missing: the keys and configuration in the "
			"database cannot be read without it",
			key);
		return kt_hint(err, "put the file of the backup back in its place");
	}
	if (rc == KT_OK)
		rc = kt_blobs_open(blobs, &ctl->blobs, err);
	if (rc == KT_OK)
		rc = kt_store_open(&cfg, &ctl->store, err);
	return rc;
}

/* --- recovery ---------------------------------------------------------------------------- */

static enum kt_code expire_idempotency(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	bool running = arg != NULL;
	enum kt_code rc = kt_tx_idem_expire(
		tx, kt_time_us() - (int64_t)KT_IDEMPOTENCY_MS * 1000, running, err);

	return rc == KT_OK && running ? kt_tx_deliveries_recover(tx, err) : rc;
}

static void idem_expired(void *arg, enum kt_code rc, const struct kt_err *err)
{
	(void)arg;
	if (rc != KT_OK)
		kt_log(KT_LOG_WARN, "control", "old idempotency keys: %s", err->msg);
}

static void on_sweep(void *arg)
{
	struct kt_control *ctl = arg;

	kt_store_write(ctl->store, expire_idempotency, idem_expired, NULL);
	kt_keys_sweep(ctl);
	kt_webs_sweep(ctl);
	kt_devices_sweep(ctl);
	kt_logs_sweep(ctl);
	kt_releases_sweep(ctl);
	kt_index_sweep(ctl);
}

/* Often enough for the shortest life that it ends, seldom enough to cost nothing. */
void kt_sweep_start(struct kt_control *ctl)
{
	const struct kt_control_config *cfg = &ctl->cfg;
	int64_t life = KT_MIN(KT_MIN(cfg->preview_ms, cfg->retention_ms), cfg->max_log_ms);
	int64_t ms = KT_MIN(KT_MAX(life / 2, SWEEP_MIN_MS), SWEEP_MS);

	kt_timer_start(ctl->sweep, ms, ms);
}

static enum kt_code recover_rows(struct kt_control *ctl, struct kt_err *err)
{
	enum kt_code rc;

	/* Requests that ran when the server died have no effect in the database: they may be
	 * repeated. */
	rc = kt_store_do(ctl->store, true, expire_idempotency, ctl, err);
	if (rc == KT_OK)
		rc = kt_index_load(ctl, err);
	if (rc == KT_OK)
		rc = kt_builds_recover(ctl, err);
	return rc;
}

/* --- open, close ------------------------------------------------------------------------- */

static char *dup_or_null(const char *s)
{
	return s && *s ? kt_strdup(s) : NULL;
}

static struct kt_control *control_new(const struct kt_control_config *cfg)
{
	struct kt_control *ctl = kt_calloc(1, sizeof(*ctl));

	ctl->cfg = *cfg;
	ctl->data_dir = kt_strdup(cfg->data_dir);
	ctl->public_url = dup_or_null(cfg->public_url);
	ctl->self = dup_or_null(cfg->self);
	ctl->github_url = dup_or_null(cfg->github_url);
	ctl->harness_program = dup_or_null(cfg->harness_program);
	ctl->cfg.data_dir = ctl->data_dir;
	ctl->cfg.public_url = ctl->public_url;
	ctl->cfg.self = ctl->self;
	ctl->cfg.github_url = ctl->github_url;
	ctl->cfg.harness_program = ctl->harness_program;
	if (ctl->cfg.preview_ms <= 0)
		ctl->cfg.preview_ms = KT_PREVIEW_MS;
	if (ctl->cfg.retention_ms <= 0)
		ctl->cfg.retention_ms = KT_RELEASE_RETENTION_MS;
	if (ctl->cfg.max_log_bytes <= 0)
		ctl->cfg.max_log_bytes = KT_MAX_PROJECT_LOG_BYTES;
	if (ctl->cfg.max_log_ms <= 0)
		ctl->cfg.max_log_ms = KT_PROJECT_LOG_MS;
	if (cfg->limits)
		ctl->limits = *cfg->limits;
	else
		kt_pack_limits_init(&ctl->limits);
	ctl->cfg.limits = &ctl->limits;
	ctl->on.failed = kt_disk_note;
	ctl->on.project_deleted = kt_builds_cancel;
	ctl->on.project_freed = kt_log_drop;
	ctl->loop = cfg->loop;
	ctl->lock_fd = -1;
	ctl->next_hold = 1;
	return ctl;
}

/* Where the operator says that GitHub is may be asked, wherever that is. */
static enum kt_code set_reach(struct kt_control *ctl, struct kt_err *err)
{
	enum kt_code rc = kt_reach_new(ctl->cfg.private_hosts, &ctl->reach, err);
	struct kt_url u;

	ctl->cfg.private_hosts = NULL;
	if (rc != KT_OK)
		return kt_wrap(err, "private_hosts");
	if (!ctl->github_url)
		return KT_OK;
	rc = kt_url_parse(ctl->github_url, &u, err);
	if (rc != KT_OK)
		return kt_wrap(err, "github_url");
	if (!u.ipv6)
		rc = kt_reach_add_name(ctl->reach, u.host, err);
	kt_url_release(&u);
	return rc;
}

enum kt_code kt_control_open(
	const struct kt_control_config *cfg, struct kt_control **out, struct kt_err *err)
{
	struct kt_control *ctl;
	enum kt_code rc = kt_crypto_init(err);

	if (rc != KT_OK)
		return rc;
	ctl = control_new(cfg);
	rc = set_reach(ctl, err);
	if (rc == KT_OK)
		rc = kt_fs_mkdirs(ctl->data_dir, 0700, err);
	if (rc == KT_OK)
		rc = check_data_folder(ctl->data_dir, err);
	if (rc == KT_OK)
		rc = lock_folder(ctl, err);
	if (rc == KT_OK)
		rc = make_data_folders(ctl, err);
	if (rc == KT_OK)
		rc = remove_half_keys(ctl, err);
	if (rc == KT_OK)
		rc = open_store(ctl, err);
	if (rc == KT_OK)
		rc = recover_rows(ctl, err);
	if (rc == KT_OK)
		rc = kt_bell_start(ctl, err);
	if (rc != KT_OK) {
		kt_control_free(ctl);
		return rc;
	}
	ctl->sweep = kt_timer_new(ctl->loop, on_sweep, ctl);
	kt_sweep_start(ctl);
	*out = ctl;
	return KT_OK;
}

void kt_control_free(struct kt_control *ctl)
{
	if (!ctl)
		return;
	ctl->draining = true;
	ctl->closing = true;
	kt_bell_stop(ctl);
	kt_timer_free(ctl->sweep);
	kt_timer_free(ctl->drain);
	kt_timer_free(ctl->disk.timer);
	kt_fetches_stop(ctl);
	kt_logs_settle(ctl);
	kt_builds_stop(ctl);
	/* Writes that were accepted are finished, and their answers given, before anything goes. */
	kt_store_close(ctl->store);
	ctl->store = NULL;
	kt_builds_free(ctl);
	kt_ops_flush(ctl);
	kt_devices_free(ctl);
	kt_logs_free(ctl);
	kt_index_free(ctl);
	kt_map_release(&ctl->builds);
	kt_map_release(&ctl->opened);
	kt_map_release(&ctl->sessions);
	if (ctl->blobs)
		kt_blobs_close(ctl->blobs);
	kt_master_free(ctl->master);
	if (ctl->lock_fd >= 0)
		(void)close(ctl->lock_fd);
	free(ctl->data_dir);
	free(ctl->public_url);
	free(ctl->self);
	free(ctl->github_url);
	kt_reach_free(ctl->reach);
	free(ctl->harness_program);
	free(ctl);
}

/* --- draining ---------------------------------------------------------------------------- */

static bool control_is_busy(const struct kt_control *ctl)
{
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(&ctl->builds, &pos, &key, &value)) {
		const struct kt_build *b = value;

		if (!b->over)
			return true;
	}
	return ctl->fetches.len > 0;
}

static void look_drained(void *arg)
{
	struct kt_control *ctl = arg;
	kt_loop_fn done = ctl->drained;

	if (control_is_busy(ctl) && kt_loop_now_ms(ctl->loop) < ctl->drain_until_ms)
		return;
	kt_timer_free(ctl->drain);
	ctl->drain = NULL;
	ctl->drained = NULL;
	if (done)
		done(ctl->drained_arg);
}

void kt_control_drain(struct kt_control *ctl, int64_t limit_ms, kt_loop_fn done, void *arg)
{
	ctl->draining = true;
	ctl->drained = done;
	ctl->drained_arg = arg;
	ctl->drain_until_ms = kt_loop_now_ms(ctl->loop) + limit_ms;
	if (!ctl->drain)
		ctl->drain = kt_timer_new(ctl->loop, look_drained, ctl);
	kt_timer_start(ctl->drain, 0, DRAIN_LOOK_MS);
}

#define FIRST_ORG "default"

/* --- first start ------------------------------------------------------------------------- */

struct bootstrap {
	bool add_org, add_key; /* what is not there yet */
	struct kt_org_row org;
	struct kt_key_row key;
	char org_id[KT_ID_MAX], key_id[KT_ID_MAX];
	char text[KT_API_KEY_LEN + 1];
	char prefix[KT_API_KEY_PREFIX_LEN + 1];
	unsigned char hash[KT_KEY_HASH_BYTES];
	const struct kt_control_config *cfg;
};

static enum kt_code setup_audit(struct kt_tx *tx, const struct bootstrap *b, const char *action,
	const char *object, const char *detail, struct kt_err *err)
{
	struct kt_audit_row row = {
		.at_us = b->org.created_us,
		.org_id = b->org_id,
		.actor = "system",
		.actor_name = "setup",
		.action = action,
		.object = object,
		.detail = detail,
	};

	return kt_tx_audit_add(tx, &row, err);
}

static enum kt_code add_first(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct bootstrap *b = arg;
	char object[KT_ID_MAX + 8];
	enum kt_code rc = b->add_org ? kt_tx_org_add(tx, &b->org, err) : KT_OK;

	(void)snprintf(object, sizeof(object), "org/%s", b->org.slug);
	if (rc == KT_OK && b->add_org)
		rc = setup_audit(tx, b, "org.create", object, NULL, err);
	if (rc != KT_OK || !b->add_key)
		return rc;
	rc = kt_tx_key_add(tx, &b->key, err);
	(void)snprintf(object, sizeof(object), "key/%s", b->key_id);
	if (rc == KT_OK)
		rc = setup_audit(tx, b, "key.create", object,
			"{\"name\":\"admin\",\"scopes\":\"read,write,admin\"}", err);
	if (rc == KT_OK && b->cfg->first_key)
		rc = b->cfg->first_key(b->cfg->first_key_arg, b->text, err);
	return rc;
}

/* The only organization there is, or NULL. */
static const struct kt_org_mem *first_org(const struct kt_control *ctl)
{
	return kt_map_get(&ctl->orgs_by_slug, FIRST_ORG);
}

/* out_key NULL: without a key. */
static enum kt_code bootstrap_org(struct kt_control *ctl, char *out_key, struct kt_err *err)
{
	const struct kt_org_mem *org = first_org(ctl);
	struct bootstrap b = { .cfg = &ctl->cfg,
		.add_org = ctl->orgs.len == 0,
		.add_key = out_key && !kt_control_has_keys(ctl) };
	int64_t now = kt_time_us();
	enum kt_code rc;

	if (out_key)
		*out_key = '\0';
	if (!b.add_org && !b.add_key)
		return KT_OK;
	if (!b.add_org && !org)
		return kt_fail(err, KT_ECONFLICT, 0, "there is no organization '%s'", FIRST_ORG);
	if (b.add_org)
		kt_rand_id("org_", b.org_id);
	else
		(void)kt_str_copy(b.org_id, sizeof(b.org_id), org->id);
	kt_rand_id("key_", b.key_id);
	kt_api_key_new(true, b.text);
	kt_api_key_hash(ctl->master, b.text, b.hash);
	(void)kt_str_copy(b.prefix, sizeof(b.prefix), b.text);
	b.org = (struct kt_org_row){
		.id = b.org_id, .slug = FIRST_ORG, .name = "Default", .created_us = now
	};
	b.key = (struct kt_key_row){
		.id = b.key_id,
		.org_id = b.org_id,
		.name = "admin",
		.prefix = b.prefix,
		.last4 = b.text + KT_API_KEY_LEN - 4,
		.hash = b.hash,
		.scopes = KT_SCOPE_READ | KT_SCOPE_WRITE | KT_SCOPE_ADMIN,
		.created_us = now,
		.created_by = "setup",
	};
	rc = kt_store_do(ctl->store, true, add_first, &b, err);
	if (rc == KT_OK && b.add_org)
		kt_index_org_put(ctl, &b.org);
	if (rc == KT_OK && b.add_key) {
		kt_index_key_put(ctl, &b.key);
		memcpy(out_key, b.text, sizeof(b.text));
	}
	kt_secret_wipe(&b, sizeof(b));
	return rc;
}

enum kt_code kt_control_bootstrap(struct kt_control *ctl, char *out_key, struct kt_err *err)
{
	return bootstrap_org(ctl, out_key, err);
}

enum kt_code kt_control_bootstrap_local(struct kt_control *ctl, struct kt_err *err)
{
	return bootstrap_org(ctl, NULL, err);
}

enum kt_code kt_control_local(struct kt_control *ctl, struct kt_principal *out, struct kt_err *err)
{
	const struct kt_org_mem *org = first_org(ctl);

	if (!ctl->loaded || ctl->closing || !org)
		return kt_fail(err, KT_EUNAVAIL, 0, "the data folder is not open");
	if (kt_control_has_keys(ctl))
		return kt_fail(err, KT_EAUTH, 0, "there are keys now, and this call had none");
	*out = (struct kt_principal){ .scopes = KT_SCOPE_READ | KT_SCOPE_WRITE | KT_SCOPE_ADMIN };
	(void)kt_str_copy(out->org_id, sizeof(out->org_id), org->id);
	(void)kt_str_copy(out->org_slug, sizeof(out->org_slug), org->slug);
	(void)kt_str_copy(out->key_id, sizeof(out->key_id), "local");
	(void)kt_str_copy(out->key_name, sizeof(out->key_name), "local");
	return KT_OK;
}
