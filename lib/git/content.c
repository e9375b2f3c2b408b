/* SPDX-License-Identifier: MIT */
/* The contents of a tree's files: of git's blobs, of git-lfs' store or of a folder. */
#include "git/tree_private.h"

#include "base/fs.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STREAM_BYTES ((int64_t)4 * 1024 * 1024) /* files on disk from here on are read in pieces */

enum kt_code kt_tree_changed(const struct kt_file *f, struct kt_err *err)
{
	return kt_fail(err, KT_ECONFLICT, 0, "'%s' changed while it was packed", f->path);
}

ssize_t kt_tree_read_some(int fd, void *buf, size_t len)
{
	ssize_t n;
	do {
		n = read(fd, buf, len);
	} while (n < 0 && errno == EINTR);
	return n;
}

/* Where git-lfs keeps a file, NULL of others. */
static const char *lfs_of(const struct kt_tree *t, const struct kt_file *f)
{
	const struct kt_file *own = t->lfs != NULL ? kt_manifest_find(t->m, f->path) : NULL;
	return own != NULL ? t->lfs[own - t->m->files] : NULL;
}

/* Is the content of a file of the manifest a file on disk? Of a commit only what git-lfs keeps is. */
static bool is_tree_file_on_disk(const struct kt_tree *t, const struct kt_file *f)
{
	return t->odb == NULL || lfs_of(t, f) != NULL;
}

enum kt_code kt_tree_open(
	struct kt_tree *t, const struct kt_file *f, int *out_fd, struct kt_err *err)
{
	struct stat st;
	const char *lfs = lfs_of(t, f);
	KT_AUTOFREE char *path = lfs != NULL ? kt_strdup(lfs) : kt_path_join(t->root, f->path);
	/* Without O_NONBLOCK a pipe that took the file's place would hold us. */
	KT_AUTOFD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
		return kt_fail(err, KT_EIO, errno, "cannot open '%s'", path);
	if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size != f->size)
		return kt_tree_changed(f, err);
	*out_fd = KT_STEAL_FD(fd);
	return KT_OK;
}

/* The error for a file on disk whose content has another digest than the manifest says. */
static enum kt_code tree_differs(
	const struct kt_tree *t, const struct kt_file *f, struct kt_err *err)
{
	if (lfs_of(t, f) == NULL)
		return kt_tree_changed(f, err);
	(void)kt_fail(err, KT_EIO, 0, "what git-lfs keeps of '%s' is damaged", f->path);
	return kt_hint(err, "run: git lfs fsck, then git lfs pull");
}

/* Read exactly the file's size and no more; false when it has another one. */
static bool read_exactly(int fd, char *to, size_t size)
{
	char more;
	size_t at = 0;
	while (at < size) {
		ssize_t n = kt_tree_read_some(fd, to + at, size - at);
		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return kt_tree_read_some(fd, &more, 1) == 0;
}

static enum kt_code folder_content(
	struct kt_tree *t, const struct kt_file *f, struct kt_content *out, struct kt_err *err)
{
	char digest[KT_DIGEST_MAX];
	size_t size = (size_t)f->size;
	bool whole;
	KT_AUTOFREE char *data = kt_try_malloc(size + 1);
	if (data == NULL)
		return kt_fail(err, KT_ENOMEM, 0, "no memory to read '%s'", f->path);
	if (f->mode == KT_MODE_LINK) {
		KT_AUTOFREE char *path = kt_path_join(t->root, f->path);
		whole = readlink(path, data, size + 1) == (ssize_t)size;
	} else {
		KT_AUTOFD int fd = -1;
		enum kt_code rc = kt_tree_open(t, f, &fd, err);
		if (rc != KT_OK)
			return rc;
		whole = read_exactly(fd, data, size);
	}
	if (!whole)
		return kt_tree_changed(f, err);
	kt_sha256_of(data, size, digest);
	if (strcmp(digest, f->digest) != 0)
		return tree_differs(t, f, err);
	out->len = size;
	out->data = data;
	out->owner = KT_STEAL(data);
	out->free_owner = free;
	return KT_OK;
}

static void free_object(void *object)
{
	kt_git->odb_object_free(object);
}

/*
 * Content of file number i of the manifest, checked against its digest when it comes from a folder.
 * Returns KT_OK, KT_ECONFLICT (it changed), KT_ENOTFOUND, KT_EIO. Thread-safe.
 */
static enum kt_code tree_content(
	struct kt_tree *t, size_t i, struct kt_content *out, struct kt_err *err)
{
	const struct kt_file *f = &t->m->files[i];
	git_odb_object *object = NULL;
	enum kt_code rc = KT_OK;
	if (is_tree_file_on_disk(t, f))
		return folder_content(t, f, out, err);
	if (i < t->n_kept && t->kept[i] != NULL) {
		if (kt_git->odb_object_dup(&object, t->kept[i]) < 0)
			return kt_git_fail(err, KT_ENOMEM, "cannot read '%s'", f->path);
	} else {
		rc = kt_git_blob(t->odb, &t->oids[i], f->path, &object, err);
	}
	if (rc != KT_OK)
		return rc;
	size_t len = kt_git->odb_object_size(object);
	if ((int64_t)len != f->size) {
		kt_git->odb_object_free(object);
		return kt_tree_changed(f, err);
	}
	*out = (struct kt_content){ .data = kt_git->odb_object_data(object),
		.len = len,
		.owner = object,
		.free_owner = free_object };
	return KT_OK;
}

enum kt_code kt_tree_read(
	struct kt_tree *t, const struct kt_file *f, struct kt_buf *out, struct kt_err *err)
{
	struct kt_content c = { 0 };
	const struct kt_file *own = kt_manifest_find(t->m, f->path);
	if (own == NULL)
		return kt_fail(err, KT_ENOTFOUND, 0, "there is no file '%s'", f->path);
	enum kt_code rc = tree_content(t, (size_t)(own - t->m->files), &c, err);
	if (rc != KT_OK)
		return rc;
	kt_buf_add(out, c.data, c.len);
	kt_content_release(&c);
	if (!kt_buf_ok(out))
		return kt_fail(
			err, KT_ELIMIT, 0, "file '%s' is larger than %zu bytes", f->path, out->max);
	return KT_OK;
}

/* The id of the blob that path is in a commit. */
static enum kt_code find_blob_at(
	struct kt_tree *t, const char *commit, const char *path, git_oid *out, struct kt_err *err)
{
	KT_AUTOFREE char *full = kt_path_join(t->sub, path);
	git_commit *c = NULL;
	git_tree *root = NULL;
	git_tree_entry *e = NULL;
	enum kt_code rc = kt_git_commit(t->repo, commit, &c, err);
	if (rc != KT_OK)
		return rc;
	if (kt_git->commit_tree(&root, c) < 0 ||
		kt_git->tree_entry_bypath(&e, root, t->sub[0] ? full : path) < 0)
		rc = kt_fail(err, KT_ENOTFOUND, 0, "there is no file '%s' in %.7s", path, commit);
	else
		*out = *kt_git->tree_entry_id(e);
	kt_git->tree_entry_free(e);
	kt_git->tree_free(root);
	kt_git->object_free((git_object *)c);
	return rc;
}

enum kt_code kt_tree_read_at(struct kt_tree *t, const char *commit, const struct kt_file *f,
	struct kt_buf *out, struct kt_err *err)
{
	char digest[KT_DIGEST_MAX];
	git_odb_object *object = NULL;
	git_oid oid;
	if (t->odb == NULL)
		return kt_fail(err, KT_ENOTFOUND, 0, "a folder has no commits");
	enum kt_code rc = find_blob_at(t, commit, f->path, &oid, err);
	if (rc == KT_OK)
		rc = kt_git_blob(t->odb, &oid, f->path, &object, err);
	if (rc != KT_OK)
		return rc;
	size_t len = kt_git->odb_object_size(object);
	kt_sha256_of(kt_git->odb_object_data(object), len, digest);
	if (strcmp(digest, f->digest) != 0)
		rc = kt_fail(err, KT_ECONFLICT, 0, "'%s' is another one in %.7s", f->path, commit);
	else
		kt_buf_add(out, kt_git->odb_object_data(object), len);
	kt_git->odb_object_free(object);
	if (rc == KT_OK && !kt_buf_ok(out))
		rc = kt_fail(
			err, KT_ELIMIT, 0, "file '%s' is larger than %zu bytes", f->path, out->max);
	return rc;
}

/* --- bundles ----------------------------------------------------------------------------- */

static enum kt_code read_bundled(void *arg, size_t i, struct kt_content *out, struct kt_err *err)
{
	return tree_content(arg, i, out, err);
}

/* Large files on disk. */
static bool is_in_pieces(void *arg, size_t i)
{
	const struct kt_tree *t = arg;
	const struct kt_file *f = &t->m->files[i];
	return f->size >= STREAM_BYTES && f->mode != KT_MODE_LINK && is_tree_file_on_disk(t, f);
}

static enum kt_code give_pieces(
	void *arg, size_t i, kt_piece_fn piece, void *to, struct kt_err *err)
{
	struct kt_tree *t = arg;
	const struct kt_file *f = &t->m->files[i];
	char digest[KT_DIGEST_MAX];
	KT_AUTOFD int fd = -1;
	enum kt_code rc = kt_tree_open(t, f, &fd, err);
	if (rc != KT_OK)
		return rc;
	KT_AUTOFREE char *buf = kt_malloc(KT_TREE_READ_BYTES);
	struct kt_sha256 *sha = kt_sha256_new();
	int64_t left = f->size;
	while (rc == KT_OK && left > 0) {
		ssize_t n = kt_tree_read_some(fd, buf, KT_TREE_READ_BYTES);
		if (n <= 0 || n > left) {
			rc = kt_tree_changed(f, err);
			break;
		}
		kt_sha256_update(sha, buf, (size_t)n);
		rc = piece(to, buf, (size_t)n, err);
		left -= n;
	}
	kt_sha256_hex(sha, digest);
	kt_sha256_free(sha);
	if (rc == KT_OK && strcmp(digest, f->digest) != 0)
		rc = tree_differs(t, f, err);
	return rc;
}

enum kt_code kt_tree_bundle(struct kt_tree *t, const char *publish_json, const char *const *digests,
	size_t n, int fd, int64_t *out_bytes, struct kt_err *err)
{
	const struct kt_bundle_source source = {
		.read = read_bundled, .in_pieces = is_in_pieces, .pieces = give_pieces, .arg = t
	};
	return kt_bundle_write(t->m, &source, publish_json, digests, n, fd, out_bytes, err);
}
