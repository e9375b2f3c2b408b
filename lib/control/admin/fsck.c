/* SPDX-License-Identifier: MIT */
/*
 * Checking a data folder. Reads only, also while a server uses the folder: the rows are one
 * snapshot, blobs do not change, and logs only grow. What is wrong is a finding and no error; an
 * error is that checking itself was not possible.
 */
#include "control/admin/fsck_private.h"
#include "control/control.h"

#include "base/fs.h"
#include "crypto/crypto.h"
#include "pack/pack.h"
#include "store/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define ALL_STATES ((1U << (KT_REL_EXPIRED + 1)) - 1)
#define MAX_GAPS 10 /* named of one project */

/* --- rows -------------------------------------------------------------------------------- */

struct audit_end {
	int64_t n, bad;
	char head[KT_DIGEST_MAX];
};

struct snapshot {
	struct kt_fsck *f;
	struct audit_end audit;
};

static enum kt_code fsck_read_rows(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct snapshot *s = arg;
	struct kt_fsck *f = s->f;
	enum kt_code rc = kt_tx_projects(tx, f->arena, NULL, &f->projects, &f->n_projects, err);

	if (rc == KT_OK)
		rc = kt_tx_releases_in(tx, f->arena, ALL_STATES, &f->releases, &f->n_releases, err);
	if (rc == KT_OK)
		rc = kt_tx_audit_verify(tx, &s->audit.n, &s->audit.bad, s->audit.head, err);
	return rc;
}

static int fsck_by_version(const void *a, const void *b)
{
	const struct kt_release_row *x = a, *y = b;
	int c = strcmp(x->project_id, y->project_id);

	return c ? c : (x->version > y->version) - (x->version < y->version);
}

/* The releases of a project: the first, and how many there are. */
static const struct kt_release_row *releases_of(
	const struct kt_fsck *f, const char *project_id, size_t *out_n)
{
	size_t lo = 0, hi = f->n_releases, end;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (strcmp(f->releases[mid].project_id, project_id) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (end = lo; end < f->n_releases; end++)
		if (strcmp(f->releases[end].project_id, project_id) != 0)
			break;
	*out_n = end - lo;
	return f->releases + lo;
}

/* I1: the pointer leads to a release of this project that is active, and no other one is. */
static void check_pointer(struct kt_fsck *f, const struct kt_project_row *p,
	const struct kt_release_row *r, size_t n, const char *object)
{
	const char *current = p->current_release_id;
	bool found = false;

	for (size_t i = 0; i < n; i++) {
		bool is_current = current && strcmp(r[i].id, current) == 0;

		found = found || is_current;
		if (is_current && r[i].state != KT_REL_ACTIVE)
			kt_fsck_say(f, "I1", object, "the pointer leads to v%lld, which is %s",
				(long long)r[i].version, kt_release_state_name(r[i].state));
		else if (!is_current && r[i].state == KT_REL_ACTIVE)
			kt_fsck_say(f, "I1", object,
				"v%lld is active, but the pointer does not lead to it",
				(long long)r[i].version);
	}
	if (current && !found)
		kt_fsck_say(f, "I1", object, "the pointer leads to '%s', which is no release of it",
			current);
}

/* I2: versions are 1, 2, 3 ... up to the next one; failed builds have rows too. */
static void check_versions(struct kt_fsck *f, const struct kt_project_row *p,
	const struct kt_release_row *r, size_t n, const char *object)
{
	int64_t want = 1;
	int gaps = 0;

	for (size_t i = 0; i < n; i++) {
		if (r[i].version < want)
			kt_fsck_say(
				f, "I2", object, "v%lld is there twice", (long long)r[i].version);
		else if (r[i].version > want && gaps++ < MAX_GAPS)
			kt_fsck_say(f, "I2", object, "v%lld is missing%s", (long long)want,
				r[i].version > want + 1 ? ", and more" : "");
		want = r[i].version + 1;
	}
	if (p->next_version < want)
		kt_fsck_say(f, "I2", object,
			"the next version would be v%lld, which is there already",
			(long long)p->next_version);
	else if (p->next_version > want)
		kt_fsck_say(f, "I2", object, "v%lld is missing", (long long)want);
}

static void check_projects(struct kt_fsck *f)
{
	if (f->n_releases > 1)
		qsort(f->releases, f->n_releases, sizeof(*f->releases), fsck_by_version);
	for (size_t i = 0; i < f->n_projects; i++) {
		const struct kt_project_row *p = &f->projects[i];
		const char *object = kt_arena_printf(f->arena, "project/%s", p->slug);
		size_t n;
		const struct kt_release_row *r = releases_of(f, p->id, &n);

		check_pointer(f, p, r, n, object);
		check_versions(f, p, r, n, object);
	}
}

/* --- the database ------------------------------------------------------------------------ */

/* I9: SQLite's own check, a line of its a finding. */
static enum kt_code fsck_check_integrity(struct kt_fsck *f, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf lines = KT_BUF_INIT(1024 * 1024);
	enum kt_code rc = kt_store_check(f->store, &lines, err);

	if (rc != KT_OK)
		return rc;
	for (char *at = lines.ptr, *lf; (lf = strchr(at, '\n')) != NULL; at = lf + 1)
		kt_fsck_say(f, "I9", KT_DATA_DATABASE, "%.*s", (int)(lf - at), at);
	return KT_OK;
}

static enum kt_code check_database(struct kt_fsck *f, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_data_path(f->data_dir, KT_DATA_DATABASE);
	struct kt_store_config cfg = { .path = path, .read_only = true };
	struct kt_err why = KT_ERR_INIT;
	struct snapshot s = { .f = f };
	enum kt_code rc = kt_store_open(&cfg, &f->store, &why);

	if (rc == KT_OK)
		rc = fsck_check_integrity(f, &why);
	if (rc == KT_OK)
		rc = kt_store_do(f->store, false, fsck_read_rows, &s, &why);
	if (rc == KT_EPROTO) {
		kt_fsck_say(f, "I9", KT_DATA_DATABASE, "%s", why.msg);
		return KT_OK;
	}
	if (rc != KT_OK) {
		if (err)
			*err = why;
		return rc;
	}
	if (s.audit.bad > 0)
		kt_fsck_say(f, "I7", "audit", "the chain is broken at entry %lld of %lld",
			(long long)s.audit.bad, (long long)s.audit.n);
	check_projects(f);
	return KT_OK;
}

/* --- the master key ---------------------------------------------------------------------- */

/* Without it no key and no variable can be read; one that others can read is none. */
static enum kt_code check_master(struct kt_fsck *f, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_data_path(f->data_dir, KT_DATA_MASTER_KEY);
	struct kt_master *m = NULL;
	struct kt_err why = KT_ERR_INIT;
	enum kt_code rc = KT_OK;

	if (kt_master_open(path, false, &m, &why) != KT_OK)
		kt_fsck_say(f, "I9", KT_DATA_MASTER_KEY, "%s", why.msg);
	else
		rc = kt_fsck_sealed(f, m, err);
	kt_master_free(m);
	if (rc != KT_EPROTO)
		return rc;
	/* What is damaged is said already. */
	return KT_OK;
}

/* --- all of it --------------------------------------------------------------------------- */

/* A server that runs holds the lock. */
static bool is_serving(const char *data_dir)
{
	KT_AUTOFREE char *path = kt_data_path(data_dir, KT_DATA_LOCK);
	KT_AUTOFD int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

static enum kt_code fsck_check_all(struct kt_fsck *f, struct kt_err *err)
{
	KT_AUTOFREE char *blobs = kt_data_path(f->data_dir, KT_DATA_BLOBS);
	enum kt_code rc = check_database(f, err);

	if (rc == KT_OK)
		rc = check_master(f, err);
	if (rc != KT_OK)
		return rc;
	if (kt_fs_is_dir(blobs))
		rc = kt_blobs_open(blobs, &f->blobs, err);
	if (rc == KT_OK)
		rc = kt_fsck_blobs(f, err);
	if (rc == KT_OK)
		rc = kt_fsck_trees(f, err);
	if (rc == KT_OK && !f->serving)
		rc = kt_fsck_staging(f, err);
	if (rc == KT_OK)
		rc = kt_fsck_logs(f, err);
	return rc;
}

enum kt_code kt_control_fsck(const char *data_dir, bool deep, struct kt_buf *out,
	size_t *out_findings, struct kt_err *err)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct kt_fsck f = { .data_dir = data_dir, .deep = deep, .out = out, .arena = arena };
	size_t pos = 0;
	const char *key;
	void *value;
	enum kt_code rc = kt_crypto_init(err);

	if (rc == KT_OK && !kt_fs_is_dir(data_dir))
		rc = kt_fail(err, KT_ENOTFOUND, 0, "there is no folder '%s'", data_dir);
	if (rc != KT_OK)
		return rc;
	f.serving = is_serving(data_dir);
	rc = fsck_check_all(&f, err);
	while (kt_map_next(&f.manifests, &pos, &key, &value))
		kt_manifest_free(value);
	kt_map_release(&f.manifests);
	kt_map_release(&f.seen);
	kt_blobs_close(f.blobs);
	kt_store_close(f.store);
	if (rc == KT_OK)
		*out_findings = f.findings;
	return rc;
}
