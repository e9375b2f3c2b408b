/* SPDX-License-Identifier: MIT */
/*
 * Backup and restore of a data folder: one tar file with everything that cannot be made again.
 *
 *	karta-backup.json   what this is
 *	sessions.jsonl, sessions/, builds/, logs/
 *	karta.db            one point in time, by SQLite's backup interface
 *	master.key
 *	blobs/              those that the releases in that karta.db may need
 *
 * In this order, so that what refers to something is copied before it: a session that begins while
 * the copy is made is not in it, instead of being there without its release. Looking at a blob
 *makes it young, so that a server which deletes a project meanwhile leaves its blobs alone
 *(store/blob.h).
 */
#include "control/control.h"
#include "control/fsck_private.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/rand.h"
#include "base/str.h"
#include "base/time.h"
#include "crypto/crypto.h"
#include "pack/pack.h"
#include "text/json.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MARK "karta-backup.json"
#define FORMAT 1
#define MAX_MARK_BYTES 4096
#define MAX_FINDINGS_BYTES (1024 * 1024)

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
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(MAX_MARK_BYTES);
	char at[64];
	struct kt_jw w;

	kt_time_iso(kt_time_us(), false, at, sizeof(at));
	kt_jw_init(&w, &text);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "format", FORMAT);
	kt_jw_str(&w, "version", KT_VERSION);
	kt_jw_str(&w, "created_at", at);
	kt_jw_obj_end(&w);
	kt_buf_addc(&text, '\n');
	return kt_tarball_bytes(b->tar, MARK, 0600, text.ptr, text.len, b->err);
}

/* A file of the data folder, or of `dir` when given; missing is fine unless it must be there. */
static enum kt_code add_file(struct backup *b, const char *dir, const char *name, bool must)
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

static enum kt_code add_folder(struct backup *b, const char *name)
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
	KT_AUTOFREE char *from = kt_path_join(b->data_dir, "karta.db");
	KT_AUTOFREE char *copy = kt_path_join(b->work, "karta.db");
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
	return rc == KT_OK ? add_file(b, b->work, "karta.db", true) : rc;
}

/* One blob, once; verified, because a backup of damaged bytes is none. */
static enum kt_code add_blob(struct backup *b, const char *org_id, const char *digest)
{
	KT_AUTOFREE char *key = kt_asprintf("%s/%s", org_id, digest);
	KT_AUTOFREE char *name = kt_asprintf("blobs/%s/%.2s/%s", org_id, digest, digest);
	KT_AUTOFD int fd = -1;
	enum kt_code rc;

	if (kt_map_get(&b->added, key))
		return KT_OK;
	(void)kt_map_set(&b->added, key, b);
	rc = kt_blobs_has(b->blobs, org_id, digest)
		? kt_blobs_verify(b->blobs, org_id, digest, b->err)
		: kt_fail(b->err, KT_EPROTO, 0, "the blob %s is missing", key);
	if (rc == KT_OK)
		rc = kt_blobs_fd(b->blobs, org_id, digest, &fd, b->err);
	return rc == KT_OK ? kt_tarball_file(b->tar, name, fd, b->err) : rc;
}

static enum kt_code add_release(struct backup *b, const struct kt_release_row *r)
{
	KT_AUTOFREE char *key = kt_asprintf("%s/%s", r->org_id, r->digest);
	struct kt_manifest *m = NULL;
	enum kt_code rc;

	if (kt_map_get(&b->added, key))
		return KT_OK;
	rc = kt_fsck_manifest(b->blobs, r->org_id, r->digest, &m, b->err);
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
	KT_AUTOFREE char *path = kt_path_join(b->data_dir, "blobs");
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

static enum kt_code add_all(struct backup *b)
{
	static const char *const folders[] = { "sessions", "builds", "logs" };
	enum kt_code rc = add_mark(b);

	if (rc == KT_OK)
		rc = add_file(b, b->data_dir, "sessions.jsonl", false);
	for (size_t i = 0; rc == KT_OK && i < KT_ARRAY_LEN(folders); i++)
		rc = add_folder(b, folders[i]);
	if (rc == KT_OK)
		rc = add_database(b);
	if (rc == KT_OK)
		rc = add_file(b, b->data_dir, "master.key", true);
	return rc == KT_OK ? add_blobs(b) : rc;
}

/* --- the file ----------------------------------------------------------------------------------
 */

static enum kt_code sync_parent(const char *path, struct kt_err *err)
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
	KT_AUTOFD int fd = open(tar, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	enum kt_code rc;

	if (fd < 0)
		return kt_fail(b->err, KT_EIO, errno, "cannot make '%s'", tar);
	rc = kt_tarball_new(fd, &b->tar, b->err);
	if (rc != KT_OK)
		return rc;
	rc = kt_tarball_end(b->tar, add_all(b), b->err);
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
		rc = sync_parent(file, err);
	if (kt_fs_remove_tree(work, NULL) != KT_OK)
		kt_log(KT_LOG_WARN, "backup", "cannot remove '%s'", work);
	return rc;
}

/* --- restore -----------------------------------------------------------------------------------
 */

/* Is this folder what a backup was unpacked to? Takes the mark away. */
static enum kt_code take_mark(const char *dir, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_path_join(dir, MARK);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(MAX_MARK_BYTES);
	KT_AUTO_JSON cJSON *doc = NULL;
	int64_t format;

	if (kt_fs_read(path, &text, NULL) != KT_OK ||
		kt_json_parse(text.ptr, text.len, KT_JSON_STRICT, &doc, NULL) != KT_OK)
		return kt_fail(err, KT_EPROTO, 0, "the archive is no backup of karta");
	format = kt_json_int(doc, "format", 0);
	if (format != FORMAT) {
		kt_fail(err, KT_EPROTO, 0, "the backup has format %lld, this program knows %d",
			(long long)format, FORMAT);
		return kt_hint(err, "use the version of karta that made it: %s",
			kt_json_str_or(doc, "version", "unknown"));
	}
	if (unlink(path) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot remove '%s'", path);
	return KT_OK;
}

static enum kt_code check_restored(const char *dir, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(MAX_FINDINGS_BYTES);
	KT_AUTO_JSON cJSON *first = NULL;
	size_t n = 0;
	enum kt_code rc = kt_control_fsck(dir, true, &out, &n, err);

	if (rc != KT_OK || n == 0)
		return rc;
	if (kt_json_parse(out.ptr, strcspn(out.ptr, "\n"), KT_JSON_LENIENT, &first, NULL) != KT_OK)
		return kt_fail(err, KT_EPROTO, 0, "the backup is damaged");
	return kt_fail(err, KT_EPROTO, 0, "the backup is damaged: %s %s: %s",
		kt_json_str_or(first, "invariant", "?"), kt_json_str_or(first, "object", "?"),
		kt_json_str_or(first, "message", "?"));
}

/*
 * May data_dir be replaced: it is missing, empty, or (force) not used by a server. *out_lock keeps
 * a server from starting in it meanwhile.
 */
static enum kt_code check_place(
	const char *data_dir, bool force, bool *out_full, int *out_lock, struct kt_err *err)
{
	KT_AUTOFREE char *lock = kt_path_join(data_dir, "lock");
	KT_AUTOFD int fd = -1;
	char **names = NULL;
	size_t n = 0;
	enum kt_code rc = kt_fs_list(data_dir, &names, &n, err);

	if (rc == KT_OK)
		kt_fs_names_free(names, n);
	if (rc == KT_ENOTFOUND)
		return kt_fs_is_file(data_dir) ? rc : KT_OK;
	if (rc != KT_OK)
		return rc;
	*out_full = n > 0;
	if (n > 0 && !force) {
		kt_fail(err, KT_ECONFLICT, 0, "'%s' is not empty", data_dir);
		return kt_hint(err, "restore to another folder, or replace it with --force");
	}
	if (n > 0) {
		fd = open(lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0)
			return kt_fail(err, KT_EIO, errno, "cannot open '%s'", lock);
		if (flock(fd, LOCK_EX | LOCK_NB) != 0)
			return kt_fail(err, KT_ECONFLICT, 0, "a server uses '%s': stop it first",
				data_dir);
		*out_lock = KT_STEAL_FD(fd);
	}
	return KT_OK;
}

/* The old folder, if it was not empty, stays beside the new one. */
static enum kt_code put_in_place(
	const char *temp, const char *data_dir, bool full, struct kt_err *err)
{
	char id[KT_ID_MAX];
	KT_AUTOFREE char *old = NULL;

	if (full) {
		kt_rand_id(".replaced-", id);
		old = kt_asprintf("%s%.18s", data_dir, id);
		if (rename(data_dir, old) != 0)
			return kt_fail(err, KT_EIO, errno, "cannot rename '%s'", data_dir);
	}
	/* Over an empty folder, too. */
	if (rename(temp, data_dir) != 0) {
		enum kt_code rc = kt_fail(err, KT_EIO, errno, "cannot rename '%s'", temp);

		if (old && rename(old, data_dir) != 0)
			kt_hint(err, "the old folder is '%s'", old);
		return rc;
	}
	if (old)
		kt_log(KT_LOG_INFO, "backup", "the old folder is kept as '%s'", old);
	return sync_parent(data_dir, err);
}

/* The folder itself when data_dir is a link; without a slash at the end, or the rest would go
 * inside.
 */
static char *find_place(const char *data_dir)
{
	KT_AUTOFREE char *parent = kt_path_dir(data_dir);
	KT_AUTOFREE char *base = kt_path_base(data_dir);
	char *real = NULL;

	if (kt_path_real(data_dir, &real, NULL) == KT_OK)
		return real;
	return kt_path_join(parent, base);
}

enum kt_code kt_control_restore(
	const char *data_dir, const char *file, bool force, struct kt_err *err)
{
	KT_AUTOFREE char *place = find_place(data_dir);
	KT_AUTOFREE char *parent = kt_path_dir(place);
	KT_AUTOFREE char *temp = kt_asprintf("%s.restore-XXXXXX", place);
	KT_AUTOFD int lock = -1;
	KT_AUTOFD int fd = open(file, O_RDONLY | O_CLOEXEC);
	bool full = false;
	enum kt_code rc;

	if (fd < 0)
		return kt_fail(err, errno == ENOENT ? KT_ENOTFOUND : KT_EIO, errno,
			"cannot open '%s'", file);
	rc = check_place(place, force, &full, &lock, err);
	if (rc == KT_OK)
		rc = kt_fs_mkdirs(parent, 0700, err);
	if (rc != KT_OK)
		return rc;
	if (!mkdtemp(temp))
		return kt_fail(err, KT_EIO, errno, "cannot make a folder beside '%s'", place);
	rc = kt_tarball_unpack(fd, temp, err);
	if (rc == KT_OK)
		rc = take_mark(temp, err);
	if (rc == KT_OK)
		rc = check_restored(temp, err);
	if (rc == KT_OK)
		rc = put_in_place(temp, place, full, err);
	if (rc != KT_OK && kt_fs_remove_tree(temp, NULL) != KT_OK)
		kt_log(KT_LOG_WARN, "backup", "cannot remove '%s'", temp);
	return rc;
}
