/* SPDX-License-Identifier: MIT */
/*
 * Unpacking: an allow-list of members in front of libarchive, which here only reads. Nothing is
 * ever written under a name that the archive chose: contents get the name of their digest, paths
 * become lines of the manifest.
 */
#include "pack/unpack_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "base/vec.h"
#include "text/clean.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PUBLISH_NAME "karta-publish.json"
#define BLOBS_PREFIX "blobs/"
#define TMP_NAME "tmp"
#define SHOWN_BYTES 160 /* of a member's name in a message */
#define MAX_PUBLISH_BYTES                                                                          \
	(KT_MAX_MANIFEST_BYTES + 1024 * 1024) /* a manifest and what is around it */
#define FOLDER_BYTES 256 /* name of the folder around everything, which is taken off */

/* A file or link of a whole archive. */
struct item {
	struct kt_file file;
	const char *target; /* of a link, else NULL */
	size_t target_len;
};

struct unpack {
	const struct kt_pack_limits *limits;
	struct kt_pack_limits wide; /* with room for the folder around everything */
	const char *staging;
	int staging_fd, blobs_fd;
	struct kt_unpack_input *in;
	struct archive *tar;
	struct kt_sha256 *sha;
	struct kt_arena *arena;
	struct kt_vec items; /* of struct item, in arena */
	struct kt_vec folders; /* paths, in arena */
	bool root_seen; /* "./" was a member: nothing is around everything */
	bool bundle;
	int64_t n_members, n_skipped, n_files, n_bytes;
	size_t n_name_bytes;
	char shown[SHOWN_BYTES * 8]; /* the present member's name, safe to print */
};

static void set_shown(struct unpack *u, const char *name)
{
	struct kt_buf b = KT_BUF_INIT(sizeof(u->shown) - 1);
	size_t len = strnlen(name, SHOWN_BYTES + 1);

	/* Escapes make it six times as long at most. */
	kt_clean_add(&b, name, KT_MIN(len, SHOWN_BYTES), true);
	if (len > SHOWN_BYTES)
		kt_buf_adds(&b, "...");
	(void)kt_str_copy(u->shown, sizeof(u->shown), b.ptr);
	kt_buf_release(&b);
}

static enum kt_code refuse_archive(struct unpack *u, const char *why, struct kt_err *err)
{
	return kt_fail(err, KT_EINVAL, 0, "archive member '%s' %s", u->shown, why);
}

static enum kt_code archive_too_much(
	struct unpack *u, const char *what, const char *limit, int64_t max, struct kt_err *err)
{
	return kt_fail(err, KT_ELIMIT, 0, "archive member '%s': %s; the limit %s is %lld", u->shown,
		what, limit, (long long)max);
}

/* Why libarchive stopped: a guard of ours, or damage. */
static enum kt_code tar_failed(struct unpack *u, struct kt_err *err)
{
	const char *text = kt_archive->error_string(u->tar);
	KT_AUTO_BUF struct kt_buf clean = KT_BUF_INIT(1000);

	if (u->in->err.code != KT_OK) {
		if (err)
			*err = u->in->err;
		if (u->n_members > 0)
			(void)kt_wrap(err, "at archive member '%s'", u->shown);
		return u->in->err.code;
	}
	kt_clean_add(&clean, text ? text : "?", text ? strnlen(text, 150) : 1, true);
	if (u->n_members == 0)
		return kt_fail(err, KT_EPROTO, 0, "this is no tar archive, or it is damaged: %s",
			clean.ptr);
	return kt_fail(err, KT_EPROTO, 0, "the archive is damaged at member '%s': %s", u->shown,
		clean.ptr);
}

/* --- contents -------------------------------------------------------------------------------- */

/* Count n more bytes of a member that has `have` so far, before they are written. */
static enum kt_code count_member_bytes(
	struct unpack *u, int64_t have, int64_t n, struct kt_err *err)
{
	if (n > u->limits->max_file_bytes - have)
		return archive_too_much(u, "the file is too large", "max_file_bytes",
			u->limits->max_file_bytes, err);
	if (n > u->limits->max_bytes - u->n_bytes - have)
		return archive_too_much(u, "together too many bytes", "max_release_bytes",
			u->limits->max_bytes, err);
	return kt_unpack_input_time(u->in, err);
}

/* Copy the present member's content of `size` bytes to fd, hashing it. */
static enum kt_code copy_content(struct unpack *u, int fd, int64_t size, struct kt_err *err)
{
	int64_t have = 0;

	for (;;) {
		const void *data = NULL;
		size_t len = 0;
		la_int64_t offset = 0;
		int r = kt_archive->read_data_block(u->tar, &data, &len, &offset);
		enum kt_code rc;

		if (r == ARCHIVE_EOF)
			break;
		if (r != ARCHIVE_OK)
			return tar_failed(u, err);
		if (len == 0)
			continue;
		if (offset != have)
			return refuse_archive(u, "is a sparse file", err);
		rc = count_member_bytes(u, have, (int64_t)len, err);
		if (rc == KT_OK)
			rc = kt_fs_write_all(fd, data, len, err);
		if (rc != KT_OK)
			return rc;
		kt_sha256_update(u->sha, data, len);
		have += (int64_t)len;
	}
	if (have != size)
		return refuse_archive(u, "is a sparse file, or its size is wrong", err);
	u->n_bytes += have;
	return KT_OK;
}

static enum kt_code create_member(int dir_fd, const char *name, int *out_fd, struct kt_err *err)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return kt_fail(
			err, KT_EIO, errno, "cannot create '%s' in the staging folder", name);
	*out_fd = fd;
	return KT_OK;
}

/* Give the temporary blob its digest as name; *out_new is false when that is there already. */
static enum kt_code name_blob(
	struct unpack *u, const char *digest, bool *out_new, struct kt_err *err)
{
	bool there = faccessat(u->blobs_fd, digest, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	int r = there ? unlinkat(u->blobs_fd, TMP_NAME, 0)
		      : renameat(u->blobs_fd, TMP_NAME, u->blobs_fd, digest);

	if (r)
		return kt_fail(err, KT_EIO, errno, "cannot store blob %s", digest);
	*out_new = !there;
	return KT_OK;
}

/* Store the present member, or with `text` that, as a blob. */
static enum kt_code store_blob(struct unpack *u, int64_t size, const char *text, char *digest,
	bool *out_new, struct kt_err *err)
{
	KT_AUTOFD int fd = -1;
	enum kt_code rc = create_member(u->blobs_fd, TMP_NAME, &fd, err);

	if (rc == KT_OK && text) {
		rc = count_member_bytes(u, 0, size, err);
		if (rc == KT_OK)
			rc = kt_fs_write_all(fd, text, (size_t)size, err);
		kt_sha256_update(u->sha, text, (size_t)size);
		u->n_bytes += size;
	} else if (rc == KT_OK) {
		rc = copy_content(u, fd, size, err);
	}
	kt_sha256_hex(u->sha, digest);
	return rc == KT_OK ? name_blob(u, digest, out_new, err) : rc;
}

static enum kt_code write_unpacked_file(
	struct unpack *u, const char *name, const struct kt_buf *b, struct kt_err *err)
{
	KT_AUTOFD int fd = -1;
	enum kt_code rc = create_member(u->staging_fd, name, &fd, err);

	return rc == KT_OK ? kt_fs_write_all(fd, b->ptr, b->len, err) : rc;
}

/* --- members --------------------------------------------------------------------------------- */

/* The checks that hold for every member, whatever it is. */
static enum kt_code check_archive_member(
	struct unpack *u, struct archive_entry *e, struct kt_err *err)
{
	mode_t type = kt_archive->entry_filetype(e);

	/* Folders do not count as files, but each costs memory until the end. */
	if (++u->n_members > 2 * u->limits->max_files + 2)
		return archive_too_much(
			u, "too many members", "max_release_files", u->limits->max_files, err);
	if (kt_archive->entry_hardlink(e))
		return refuse_archive(u, "is a hard link", err);
	if (type == AE_IFCHR || type == AE_IFBLK)
		return refuse_archive(u, "is a device", err);
	if (type == AE_IFIFO)
		return refuse_archive(u, "is a FIFO", err);
	if (type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK)
		return refuse_archive(u, "is no file, folder or symbolic link", err);
	if (kt_archive->entry_sparse_count(e) > 0)
		return refuse_archive(u, "is a sparse file", err);
	if (type == AE_IFREG) {
		int64_t size = kt_archive->entry_size(e);

		if (size < 0)
			return refuse_archive(u, "has a negative size", err);
		if (u->n_files >= u->limits->max_files)
			return archive_too_much(u, "too many files", "max_release_files",
				u->limits->max_files, err);
		return count_member_bytes(u, 0, size, err);
	}
	return KT_OK;
}

static enum kt_code take_publish(struct unpack *u, struct archive_entry *e, struct kt_err *err)
{
	int64_t size = kt_archive->entry_size(e);
	char digest[KT_DIGEST_MAX];
	KT_AUTOFD int fd = -1;
	enum kt_code rc;

	if (size > MAX_PUBLISH_BYTES)
		return archive_too_much(
			u, "the file is too large", "of it", MAX_PUBLISH_BYTES, err);
	rc = create_member(u->staging_fd, "publish.json", &fd, err);
	if (rc == KT_OK)
		rc = copy_content(u, fd, size, err);
	kt_sha256_hex(u->sha, digest); /* begins the next one */
	u->n_bytes = 0; /* it is not part of the release */
	return rc;
}

static enum kt_code take_bundled(
	struct unpack *u, struct archive_entry *e, const char *name, struct kt_err *err)
{
	const char *want = name + strlen(BLOBS_PREFIX);
	char digest[KT_DIGEST_MAX];
	bool is_new = false;
	enum kt_code rc;

	if (kt_archive->entry_filetype(e) != AE_IFREG || !kt_str_starts(name, BLOBS_PREFIX) ||
		!kt_digest_ok(want))
		return refuse_archive(u, "does not belong into a bundle", err);
	rc = store_blob(u, kt_archive->entry_size(e), NULL, digest, &is_new, err);
	if (rc != KT_OK)
		return rc;
	if (strcmp(digest, want) != 0)
		return refuse_archive(u, "has other content than its name says", err);
	if (!is_new)
		return refuse_archive(u, "is there twice", err);
	u->n_files++;
	return KT_OK;
}

static enum kt_code take_link(
	struct unpack *u, struct archive_entry *e, struct item *it, struct kt_err *err)
{
	const char *target = kt_archive->entry_symlink(e);
	bool is_new;

	if (!target || !*target)
		return refuse_archive(u, "is a symbolic link without a target", err);
	it->target_len = strlen(target);
	if ((int64_t)it->target_len > u->limits->max_path_bytes)
		return archive_too_much(u, "the link's target is too long",
			"max_path_bytes (fixed)", u->limits->max_path_bytes, err);
	u->n_name_bytes += it->target_len;
	it->target = kt_arena_strndup(u->arena, target, it->target_len);
	it->file.mode = KT_MODE_LINK;
	it->file.size = (int64_t)it->target_len;
	return store_blob(u, it->file.size, it->target, it->file.digest, &is_new, err);
}

/* A member of a whole archive, under its name without "./" in front and '/' behind. */
static enum kt_code take_archive_member(
	struct unpack *u, struct archive_entry *e, const char *name, struct kt_err *err)
{
	mode_t type = kt_archive->entry_filetype(e);
	size_t len;
	struct item *it;
	enum kt_code rc;
	bool is_new;

	while (name[0] == '.' && name[1] == '/')
		name += 2;
	len = strlen(name);
	if (type == AE_IFDIR) {
		if (len > 1 && name[len - 1] == '/')
			len--;
		if (len == 0 || (len == 1 && name[0] == '.')) {
			u->root_seen = true;
			return KT_OK;
		}
	}
	rc = kt_pack_path_check(name, len, &u->wide, err);
	if (rc != KT_OK)
		return kt_wrap(err, "archive member");
	u->n_name_bytes += len;
	if (u->n_name_bytes > KT_MAX_MANIFEST_BYTES)
		return archive_too_much(
			u, "together too long names", "of them", KT_MAX_MANIFEST_BYTES, err);
	if (type == AE_IFDIR) {
		kt_vec_push(&u->folders, kt_arena_strndup(u->arena, name, len));
		return KT_OK;
	}
	if (u->n_files >= u->limits->max_files)
		return archive_too_much(
			u, "too many files", "max_release_files", u->limits->max_files, err);
	it = kt_arena_alloc(u->arena, sizeof(*it));
	it->file.path = kt_arena_strndup(u->arena, name, len);
	kt_vec_push(&u->items, it);
	u->n_files++;
	if (type == AE_IFLNK)
		return take_link(u, e, it, err);
	it->file.mode = kt_archive->entry_perm(e) & S_IXUSR ? KT_MODE_EXEC : KT_MODE_FILE;
	it->file.size = kt_archive->entry_size(e);
	return store_blob(u, it->file.size, NULL, it->file.digest, &is_new, err);
}

/* A repository's own: `tar` of a folder has it beside the files, and nobody means to deploy it. */
static bool is_of_git(const char *name)
{
	for (const char *p = name; *p;) {
		size_t len = strcspn(p, "/");

		if (len == 4 && strncasecmp(p, ".git", len) == 0)
			return true;
		p += len;
		p += *p == '/';
	}
	return false;
}

static enum kt_code take_all_members(struct unpack *u, struct kt_err *err)
{
	for (;;) {
		struct archive_entry *e = NULL;
		int r = kt_archive->read_next_header(u->tar, &e);
		const char *name;
		enum kt_code rc;

		if (r == ARCHIVE_EOF)
			return KT_OK;
		/*
		 * A warning is that a name is not of this process's character set, the C locale's;
		 * it is given as it is then, and checked to be UTF-8 here.
		 */
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN)
			return tar_failed(u, err);
		name = kt_archive->entry_pathname(e);
		if (!name)
			return kt_fail(err, KT_EINVAL, 0, "an archive member has no name");
		set_shown(u, name);
		if (!u->bundle && is_of_git(name)) {
			u->n_skipped++;
			rc = kt_unpack_input_time(u->in, err);
			if (rc != KT_OK)
				return rc;
			continue;
		}
		rc = check_archive_member(u, e, err);
		if (rc != KT_OK)
			return rc;
		if (u->n_members == 1 && !u->n_skipped && strcmp(name, PUBLISH_NAME) == 0 &&
			kt_archive->entry_filetype(e) == AE_IFREG) {
			u->bundle = true;
			rc = take_publish(u, e, err);
		} else if (u->bundle) {
			rc = take_bundled(u, e, name, err);
		} else {
			rc = take_archive_member(u, e, name, err);
		}
		if (rc != KT_OK)
			return rc;
	}
}

/* --- the manifest of a whole archive --------------------------------------------------------- */

/* Length of the first component, when it is `first` or nothing is known yet; else 0. */
static bool shares_top(const char *path, const char **first, size_t *first_len)
{
	size_t len = strcspn(path, "/");

	if (!*first) {
		*first = path;
		*first_len = len;
	}
	return len == *first_len && memcmp(path, *first, len) == 0;
}

/* How much of every path is the one folder around everything: its name and the slash, or 0. */
static size_t top_len(const struct unpack *u)
{
	const char *first = NULL;
	size_t len = 0;

	if (u->root_seen)
		return 0;
	for (size_t i = 0; i < u->items.len; i++) {
		const struct item *it = u->items.items[i];

		if (!strchr(it->file.path, '/') || !shares_top(it->file.path, &first, &len))
			return 0;
	}
	for (size_t i = 0; i < u->folders.len; i++) {
		if (!shares_top(u->folders.items[i], &first, &len))
			return 0;
	}
	return first ? len + 1 : 0;
}

/* What can only be checked when all members are known. */
static enum kt_code check_unpacked_tree(
	const struct unpack *u, const struct kt_manifest *m, size_t top, struct kt_err *err)
{
	for (size_t i = 0; i < u->items.len; i++) {
		const struct item *it = u->items.items[i];

		if (it->target) {
			enum kt_code rc = kt_manifest_check_link(
				&it->file, it->target, it->target_len, err);

			if (rc != KT_OK)
				return kt_wrap(err, "archive member");
		}
	}
	for (size_t i = 0; i < u->folders.len; i++) {
		const char *path = u->folders.items[i];

		if (strlen(path) > top && kt_manifest_find(m, path + top))
			return kt_fail(err, KT_EINVAL, 0,
				"archive member '%s' is a file and a folder", path + top);
	}
	return KT_OK;
}

static enum kt_code write_manifest(struct unpack *u, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_MANIFEST_BYTES);
	struct kt_file *files = kt_calloc(u->items.len + 1, sizeof(*files));
	struct kt_manifest *m = NULL;
	size_t top = top_len(u);
	enum kt_code rc;

	for (size_t i = 0; i < u->items.len; i++) {
		struct item *it = u->items.items[i];

		it->file.path += top;
		files[i] = it->file;
	}
	if (u->items.len == 0)
		rc = kt_fail(err, KT_EINVAL, 0, "the archive holds no files");
	else
		rc = kt_manifest_make(files, u->items.len, u->limits, &m, err);
	if (rc == KT_OK)
		rc = check_unpacked_tree(u, m, top, err);
	if (rc == KT_OK) {
		kt_manifest_render(m, &text);
		rc = kt_buf_ok(&text)
			? write_unpacked_file(u, "manifest", &text, err)
			: kt_fail(err, KT_ELIMIT, 0,
				  "the archive's manifest is longer than %d bytes (fixed)",
				  KT_MAX_MANIFEST_BYTES);
	}
	kt_manifest_free(m);
	free(files);
	return rc;
}

/* --- all of it ------------------------------------------------------------------------------- */

static enum kt_code open_staging(struct unpack *u, struct kt_err *err)
{
	char **names = NULL;
	size_t n = 0;
	enum kt_code rc = kt_fs_list(u->staging, &names, &n, err);

	if (rc != KT_OK)
		return rc;
	kt_fs_names_free(names, n);
	if (n > 0)
		return kt_fail(err, KT_ECONFLICT, 0, "the staging folder is not empty");
	u->staging_fd = open(u->staging, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (u->staging_fd < 0 || mkdirat(u->staging_fd, "blobs", 0700))
		return kt_fail(err, KT_EIO, errno, "cannot use the staging folder");
	u->blobs_fd = openat(
		u->staging_fd, "blobs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (u->blobs_fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot use the staging folder");
	return KT_OK;
}

static enum kt_code open_tar(struct unpack *u, struct kt_err *err)
{
	u->tar = kt_archive->read_new();
	if (!u->tar)
		return kt_fail(err, KT_ENOMEM, 0, "no memory to unpack");
	if (kt_archive->read_support_format_tar(u->tar) != ARCHIVE_OK ||
		kt_archive->read_open(u->tar, u->in, NULL, kt_unpack_input_read, NULL) !=
			ARCHIVE_OK)
		return tar_failed(u, err);
	return KT_OK;
}

static enum kt_code run_unpack(struct unpack *u, int fd, struct kt_err *err)
{
	enum kt_code rc = kt_unpack_input_open(u->in, fd, u->limits, err);

	if (rc == KT_OK)
		rc = open_tar(u, err);
	if (rc == KT_OK)
		rc = take_all_members(u, err);
	if (rc == KT_OK)
		rc = kt_unpack_input_finish(u->in, kt_archive->filter_bytes(u->tar, 0), err);
	if (rc == KT_OK && !u->bundle)
		rc = write_manifest(u, err);
	return rc;
}

/* Messages quote names and link targets; whoever made them must not write to a terminal. */
static void clean_message(struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8 * sizeof(err->msg));

	kt_clean_add(&b, err->msg, strlen(err->msg), true);
	(void)kt_str_copy(err->msg, sizeof(err->msg), b.ptr);
}

/* Leave the staging folder as it was found. */
static void clean_up(struct unpack *u)
{
	KT_AUTOFREE char *blobs = kt_path_join(u->staging, "blobs");

	if (kt_fs_remove_tree(blobs, NULL) != KT_OK)
		kt_log(KT_LOG_WARN, "unpack", "cannot empty the staging folder '%s'", u->staging);
	(void)unlinkat(u->staging_fd, "publish.json", 0);
	(void)unlinkat(u->staging_fd, "manifest", 0);
}

static void release_unpack(struct unpack *u)
{
	if (u->tar)
		(void)kt_archive->read_free(u->tar);
	kt_unpack_input_release(u->in);
	free(u->in);
	kt_sha256_free(u->sha);
	kt_vec_release(&u->items);
	kt_vec_release(&u->folders);
	kt_arena_free(u->arena);
	kt_cleanup_fd(&u->blobs_fd);
	kt_cleanup_fd(&u->staging_fd);
}

enum kt_code kt_unpack(int fd, const char *staging, const struct kt_pack_limits *l,
	struct kt_unpacked *out, struct kt_err *err)
{
	struct unpack u = { .limits = l,
		.wide = *l,
		.staging = staging,
		.staging_fd = -1,
		.blobs_fd = -1,
		.items = KT_VEC_INIT,
		.folders = KT_VEC_INIT };
	enum kt_code rc = kt_crypto_init(err);

	if (rc == KT_OK)
		rc = kt_archive_load(err);
	if (rc != KT_OK)
		return rc;
	u.wide.max_depth++;
	u.wide.max_path_bytes += FOLDER_BYTES;
	u.in = kt_calloc(1, sizeof(*u.in));
	u.sha = kt_sha256_new();
	u.arena = kt_arena_new();
	rc = open_staging(&u, err);
	if (rc == KT_OK)
		rc = run_unpack(&u, fd, err);
	if (rc == KT_OK)
		*out = (struct kt_unpacked){ u.bundle, u.n_files, u.n_bytes };
	else if (u.blobs_fd >= 0)
		clean_up(&u);
	if (rc != KT_OK && err)
		clean_message(err);
	release_unpack(&u);
	return rc;
}
