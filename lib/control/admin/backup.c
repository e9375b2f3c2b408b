/* SPDX-License-Identifier: MIT */
/*
 * Backup of a data folder: one tar file with everything that cannot be made again.
 *
 *	karta-backup.json   what this is
 *	sessions.jsonl, sessions/, builds/, logs/
 *	karta.db            one point in time, by SQLite's backup interface
 *	master.key
 *	blobs/              those that the releases in that karta.db may need
 *	karta-backup.list   the SHA-256 of each of them, as it was copied
 *
 * In this order, so that what refers to something is copied before it: a session that begins while
 * the copy is made is not in it, instead of being there without its release. Looking at a blob
 * makes it young, so that a server which deletes a project meanwhile leaves its blobs alone
 * (store/blob.h).
 */
#include "control/admin/backup_private.h"
#include "control/admin/fsck_private.h"
#include "control/control.h"
#include "control/release/release_private.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/str.h"
#include "base/time.h"
#include "crypto/crypto.h"
#include "pack/pack.h"
#include "store/datadir.h"
#include "text/json.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct backup {
	const char *data_dir;
	char *work; /* folder beside the file, for what is not complete */
	struct kt_tarball *tar;
	struct kt_blobs *blobs;
	struct kt_arena *arena;
	struct kt_release_row *rows;
	size_t n;
	struct kt_map added; /* "ORG/DIGEST" */
	struct kt_err *err;
};

/* --- parts -------------------------------------------------------------------------------------
 */

static enum kt_code add_mark(struct backup *b)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_BACKUP_MARK_BYTES);
	char at[64];
	struct kt_jw w;

	kt_time_iso(kt_time_us(), false, at, sizeof(at));
	kt_jw_init(&w, &text);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "format", KT_BACKUP_FORMAT);
	kt_jw_str(&w, "version", KT_VERSION);
	kt_jw_str(&w, "created_at", at);
	kt_jw_obj_end(&w);
	kt_buf_addc(&text, '\n');
	return kt_tarball_bytes(b->tar, KT_BACKUP_MARK, 0600, text.ptr, text.len, b->err);
}

/* A file of the data folder, or of `dir` when given; missing is fine unless it must be there. */
static enum kt_code backup_add_file(struct backup *b, const char *dir, const char *name, bool must)
{
	KT_AUTOFREE char *path = kt_path_join(dir, name);
	KT_AUTOFD int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT && !must)
		return KT_OK;
	if (fd < 0)
		return kt_fail(b->err, errno == ENOENT ? KT_ENOTFOUND : KT_EIO, errno,
			"cannot open '%s'", path);
	return kt_tarball_file(b->tar, name, fd, b->err);
}

static enum kt_code backup_add_folder(struct backup *b, const char *name)
{
	KT_AUTOFREE char *path = kt_path_join(b->data_dir, name);

	return kt_tarball_folder(b->tar, path, name, b->err);
}

static enum kt_code read_releases(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct backup *b = arg;

	return kt_tx_releases_in(
		tx, b->arena, (1U << (KT_REL_EXPIRED + 1)) - 1, &b->rows, &b->n, err);
}

/* Copy the database; what the releases in the copy need is what has to be added. */
static enum kt_code add_database(struct backup *b)
{
	KT_AUTOFREE char *from = kt_data_path(b->data_dir, KT_DATA_DATABASE);
	KT_AUTOFREE char *copy = kt_data_path(b->work, KT_DATA_DATABASE);
	struct kt_store_config cfg = { .path = from, .read_only = true };
	struct kt_store *st = NULL;
	enum kt_code rc = kt_store_open(&cfg, &st, b->err);

	if (rc != KT_OK)
		return rc;
	rc = kt_store_backup(st, copy, b->err);
	kt_store_close(st);
	if (rc != KT_OK)
		return rc;
	cfg.path = copy;
	rc = kt_store_open(&cfg, &st, b->err);
	if (rc != KT_OK)
		return rc;
	rc = kt_store_do(st, false, read_releases, b, b->err);
	kt_store_close(st);
	return rc == KT_OK ? backup_add_file(b, b->work, KT_DATA_DATABASE, true) : rc;
}

/* One blob, once. What was copied has to be what its name says: a backup of damaged bytes is none.
 */
static enum kt_code add_blob(struct backup *b, const char *org_id, const char *digest)
{
	KT_AUTOFREE char *key = kt_asprintf("%s/%s", org_id, digest);
	KT_AUTOFREE char *name = kt_asprintf(KT_DATA_BLOBS "/%s/%.2s/%s", org_id, digest, digest);
	KT_AUTOFD int fd = -1;
	enum kt_code rc;

	if (kt_map_get(&b->added, key))
		return KT_OK;
	(void)kt_map_set(&b->added, key, b);
	if (!kt_blobs_has(b->blobs, org_id, digest))
		return kt_fail(b->err, KT_EPROTO, 0, "the blob %s is missing", key);
	rc = kt_blobs_fd(b->blobs, org_id, digest, &fd, b->err);
	if (rc == KT_OK)
		rc = kt_tarball_file(b->tar, name, fd, b->err);
	if (rc == KT_OK && strcmp(kt_tarball_digest(b->tar), digest) != 0)
		return kt_fail(b->err, KT_EPROTO, 0, "the blob %s has another digest", key);
	return rc;
}

static enum kt_code add_release(struct backup *b, const struct kt_release_row *r)
{
	KT_AUTOFREE char *key = kt_asprintf("%s/%s", r->org_id, r->digest);
	struct kt_manifest *m = NULL;
	enum kt_code rc;

	if (kt_map_get(&b->added, key))
		return KT_OK;
	rc = kt_layout_read_manifest(b->blobs, r->org_id, r->digest, &m, b->err);
	for (size_t i = 0; rc == KT_OK && i < m->n_files; i++)
		rc = add_blob(b, r->org_id, m->files[i].digest);
	if (rc == KT_OK)
		rc = add_blob(b, r->org_id, r->digest);
	kt_manifest_free(m);
	if (rc == KT_ENOTFOUND || rc == KT_EPROTO) {
		kt_wrap(b->err, "release %s (v%lld)", r->id, (long long)r->version);
		kt_hint(b->err, "the data folder is damaged: look with karta fsck");
		return KT_EPROTO;
	}
	return rc;
}

/* A preview that is over may be gone already; what is there still is good for its sessions. */
static enum kt_code add_expired(struct backup *b, const struct kt_release_row *r)
{
	struct kt_err why = KT_ERR_INIT, *err = b->err;
	enum kt_code rc;

	b->err = &why;
	rc = add_release(b, r);
	b->err = err;
	if (rc == KT_OK || rc == KT_EPROTO)
		return KT_OK;
	if (err)
		*err = why;
	return rc;
}

static enum kt_code add_blobs(struct backup *b)
{
	KT_AUTOFREE char *path = kt_data_path(b->data_dir, KT_DATA_BLOBS);
	enum kt_code rc = KT_OK;

	if (b->n == 0)
		return KT_OK;
	rc = kt_blobs_open(path, &b->blobs, b->err);
	for (size_t i = 0; rc == KT_OK && i < b->n; i++)
		if (kt_fsck_usable(&b->rows[i]))
			rc = add_release(b, &b->rows[i]);
	for (size_t i = 0; rc == KT_OK && i < b->n; i++)
		if (b->rows[i].state == KT_REL_EXPIRED)
			rc = add_expired(b, &b->rows[i]);
	return rc;
}

static enum kt_code backup_add_all(struct backup *b)
{
	static const char *const folders[] = { KT_DATA_SESSIONS, KT_DATA_BUILDS, KT_DATA_LOGS };
	KT_AUTOFREE char *list = kt_path_join(b->work, "list");
	KT_AUTOFD int fd = open(list, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	enum kt_code rc;

	if (fd < 0)
		return kt_fail(b->err, KT_EIO, errno, "cannot make '%s'", list);
	kt_tarball_list(b->tar, fd);
	rc = add_mark(b);

	if (rc == KT_OK)
		rc = backup_add_file(b, b->data_dir, KT_DATA_JOURNAL, false);
	for (size_t i = 0; rc == KT_OK && i < KT_ARRAY_LEN(folders); i++)
		rc = backup_add_folder(b, folders[i]);
	if (rc == KT_OK)
		rc = add_database(b);
	if (rc == KT_OK)
		rc = backup_add_file(b, b->data_dir, KT_DATA_MASTER_KEY, true);
	if (rc == KT_OK)
		rc = add_blobs(b);
	return rc == KT_OK ? kt_tarball_list_end(b->tar, KT_BACKUP_LIST, b->err) : rc;
}

/* --- the file ----------------------------------------------------------------------------------
 */

enum kt_code kt_backup_sync_parent(const char *path, struct kt_err *err)
{
	KT_AUTOFREE char *dir = kt_path_dir(path);
	KT_AUTOFD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP))
		return kt_fail(err, KT_EIO, errno, "cannot sync '%s'", dir);
	return KT_OK;
}

/* Rename when there is nothing of the new name. Returns 0 or an errno. */
static int rename_new(const char *from, const char *to)
{
	struct stat st;

	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return errno;
	/* A file system that cannot tell. */
	if (lstat(to, &st) == 0)
		return EEXIST;
	return rename(from, to) == 0 ? 0 : errno;
}

static enum kt_code write_tar(struct backup *b, const char *tar)
{
	KT_AUTOFD int fd = open(tar, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	enum kt_code rc;

	if (fd < 0)
		return kt_fail(b->err, KT_EIO, errno, "cannot make '%s'", tar);
	rc = kt_tarball_new(fd, &b->tar, b->err);
	if (rc != KT_OK)
		return rc;
	rc = kt_tarball_end(b->tar, backup_add_all(b), b->err);
	if (rc == KT_OK && fsync(fd) != 0)
		rc = kt_fail(b->err, KT_EIO, errno, "cannot sync '%s'", tar);
	return rc;
}

enum kt_code kt_control_backup(const char *data_dir, const char *file, struct kt_err *err)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	KT_AUTOFREE char *work = kt_asprintf("%s.tmp-XXXXXX", file);
	KT_AUTOFREE char *tar = NULL;
	struct backup b = { .data_dir = data_dir, .arena = arena, .err = err };
	struct stat st;
	int sys;
	enum kt_code rc = kt_crypto_init(err);

	if (rc != KT_OK)
		return rc;
	if (lstat(file, &st) == 0)
		return kt_fail(err, KT_ECONFLICT, 0, "'%s' exists already", file);
	/* Beside the file: it has room for all of it, and renaming works. 0700: secrets. */
	if (!mkdtemp(work))
		return kt_fail(err, KT_EIO, errno, "cannot make a folder beside '%s'", file);
	b.work = work;
	tar = kt_path_join(work, "backup.tar");
	rc = write_tar(&b, tar);
	kt_blobs_close(b.blobs);
	kt_map_release(&b.added);
	if (rc == KT_OK) {
		sys = rename_new(tar, file);
		if (sys != 0)
			rc = kt_fail(err, sys == EEXIST ? KT_ECONFLICT : KT_EIO, sys,
				"cannot make '%s'", file);
	}
	if (rc == KT_OK)
		rc = kt_backup_sync_parent(file, err);
	if (kt_fs_remove_tree(work, NULL) != KT_OK)
		kt_log(KT_LOG_WARN, "backup", "cannot remove '%s'", work);
	return rc;
}
