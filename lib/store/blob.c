/* SPDX-License-Identifier: MIT */
/*
 * Blobs on a file system. A blob has its name only when its bytes are on disk, so whatever has the
 * name is whole; temporary files stand beside it and are swept away when they are old.
 */
#include "store/blob_private.h"

#include "base/fs.h"
#include "base/str.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODE_PLAIN 0444
#define MODE_EXEC 0555
#define PIECE_BYTES 65536
#define FRESH_S 300 /* a younger file is not touched again: no needless writes for each look */
#define SYNCFS_FILES 16 /* more files or folders than this are synced by one syncfs() */

/* --- names ------------------------------------------------------------------------------- */

static bool is_org_name(const char *s)
{
	size_t n = strlen(s);

	if (n == 0 || n >= KT_ID_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
			    (s[i] >= '0' && s[i] <= '9') || s[i] == '_' || s[i] == '-'))
			return false;
	return true;
}

/* "ORG/aa/DIGEST" with suffix ("" or ".x") into out; KT_EINVAL when one of them cannot be a name.
 */
static enum kt_code blob_name(const char *org_id, const char *digest, const char *suffix,
	char out[KT_BLOB_NAME_MAX], struct kt_err *err)
{
	if (!is_org_name(org_id))
		return kt_fail(err, KT_EINVAL, 0, "'%s' is no organization's id", org_id);
	if (!kt_digest_ok(digest))
		return kt_fail(err, KT_EINVAL, 0, "'%s' is no digest", digest);
	(void)snprintf(out, KT_BLOB_NAME_MAX, "%s/%.2s/%s%s", org_id, digest, digest, suffix);
	return KT_OK;
}

static enum kt_code fail_blob(struct kt_err *err, int sys, const char *verb, const char *name)
{
	if (sys == ENOENT)
		return kt_fail(err, KT_ENOTFOUND, 0, "there is no blob '%s'", name);
	return kt_fail(err, KT_EIO, sys, "cannot %s blob '%s'", verb, name);
}

/* --- opening ----------------------------------------------------------------------------- */

enum kt_code kt_blobs_open(const char *dir, struct kt_blobs **out, struct kt_err *err)
{
	enum kt_code rc = kt_crypto_init(err);
	struct kt_blobs *b;
	int fd;

	if (rc == KT_OK)
		rc = kt_fs_mkdirs(dir, 0700, err);
	if (rc != KT_OK)
		return rc;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot open '%s'", dir);
	b = kt_calloc(1, sizeof(*b));
	b->dir = kt_strdup(dir);
	b->dir_fd = fd;
	kt_assert(pthread_mutex_init(&b->age_mutex, NULL) == 0);
	kt_assert(pthread_mutex_init(&b->folder_mutex, NULL) == 0);
	*out = b;
	return KT_OK;
}

void kt_blobs_close(struct kt_blobs *b)
{
	if (!b)
		return;
	(void)pthread_mutex_destroy(&b->age_mutex);
	(void)pthread_mutex_destroy(&b->folder_mutex);
	kt_map_release(&b->on_disk);
	(void)close(b->dir_fd);
	free(b->dir);
	free(b);
}

/*
 * True when the file is there, in *out. Its age begins anew when it is more than a few minutes, so
 * that a sweep which has not heard of the new use yet leaves it alone.
 */
static bool blob_use(struct kt_blobs *b, const char *name, struct stat *out)
{
	bool there;

	kt_assert(pthread_mutex_lock(&b->age_mutex) == 0);
	there = fstatat(b->dir_fd, name, out, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(out->st_mode);
	if (there && kt_time_us() / 1000000 - (int64_t)out->st_mtime > FRESH_S)
		there = utimensat(b->dir_fd, name, NULL, AT_SYMLINK_NOFOLLOW) == 0;
	kt_assert(pthread_mutex_unlock(&b->age_mutex) == 0);
	return there;
}

bool kt_blobs_has(struct kt_blobs *b, const char *org_id, const char *digest)
{
	char name[KT_BLOB_NAME_MAX];
	struct stat st;

	return blob_name(org_id, digest, "", name, NULL) == KT_OK && blob_use(b, name, &st);
}

enum kt_code kt_blobs_fd(
	struct kt_blobs *b, const char *org_id, const char *digest, int *out_fd, struct kt_err *err)
{
	char name[KT_BLOB_NAME_MAX];
	enum kt_code rc = blob_name(org_id, digest, "", name, err);
	int fd;

	if (rc != KT_OK)
		return rc;
	fd = openat(b->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return fail_blob(err, errno, "open", name);
	*out_fd = fd;
	return KT_OK;
}

/* Read once, through EINTR. */
static ssize_t blob_read_some(int fd, void *at, size_t len)
{
	ssize_t n;

	do
		n = read(fd, at, len);
	while (n < 0 && errno == EINTR);
	return n;
}

enum kt_code kt_blobs_read(struct kt_blobs *b, const char *org_id, const char *digest,
	struct kt_buf *buf, struct kt_err *err)
{
	KT_AUTOFD int fd = -1;
	enum kt_code rc = kt_blobs_fd(b, org_id, digest, &fd, err);
	struct stat st;
	size_t left;

	if (rc != KT_OK)
		return rc;
	if (fstat(fd, &st) != 0)
		return fail_blob(err, EIO, "read", digest);
	if (!kt_buf_ok(buf) || (uintmax_t)st.st_size > buf->max - buf->len)
		return kt_fail(
			err, KT_ELIMIT, 0, "blob '%s' is larger than %zu bytes", digest, buf->max);
	for (left = (size_t)st.st_size; left > 0;) {
		char *at = kt_buf_reserve(buf, left);
		ssize_t n;

		if (!at)
			return kt_fail(err, KT_ENOMEM, 0, "no memory to read blob '%s'", digest);
		n = blob_read_some(fd, at, left);
		if (n <= 0)
			return kt_fail(
				err, KT_EIO, n < 0 ? errno : 0, "cannot read blob '%s'", digest);
		kt_buf_commit(buf, (size_t)n);
		left -= (size_t)n;
	}
	return KT_OK;
}

/* --- putting ----------------------------------------------------------------------------- */

/* Sync one folder below the store's ("." = itself). */
static enum kt_code blob_sync_folder(struct kt_blobs *b, const char *name, struct kt_err *err)
{
	KT_AUTOFD int fd = openat(b->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* EINVAL: a file system whose folders cannot be synced, and need not be. */
	if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP))
		return kt_fail(err, KT_EIO, errno, "cannot sync '%s/%s'", b->dir, name);
	return KT_OK;
}

/* The folder of a blob's name ("ORG/aa/..."), made when missing. */
static enum kt_code blob_make_folders(struct kt_blobs *b, const char *name, struct kt_err *err)
{
	char path[KT_BLOB_NAME_MAX];

	for (const char *p = strchr(name, '/'); p; p = strchr(p + 1, '/')) {
		(void)snprintf(path, sizeof(path), "%.*s", (int)(p - name), name);
		if (mkdirat(b->dir_fd, path, 0700) != 0 && errno != EEXIST)
			return kt_fail(err, KT_EIO, errno, "cannot make '%s/%s'", b->dir, path);
	}
	return KT_OK;
}

static bool is_on_disk(struct kt_blobs *b, const char *folder)
{
	bool known;

	kt_assert(pthread_mutex_lock(&b->folder_mutex) == 0);
	known = kt_map_get(&b->on_disk, folder) != NULL;
	kt_assert(pthread_mutex_unlock(&b->folder_mutex) == 0);
	return known;
}

static void note_on_disk(struct kt_blobs *b, const char *folder)
{
	kt_assert(pthread_mutex_lock(&b->folder_mutex) == 0);
	(void)kt_map_set(&b->on_disk, folder, b);
	kt_assert(pthread_mutex_unlock(&b->folder_mutex) == 0);
}

/*
 * Sync what a folder ("ORG/aa") holds, and the entries of itself and the one above: another thread
 * may have made them a moment ago and not have synced them yet. Once in a process is enough for
 * these: folders stay.
 */
static enum kt_code sync_folders(struct kt_blobs *b, const char *folder, struct kt_err *err)
{
	char org[KT_BLOB_NAME_MAX];
	enum kt_code rc = blob_sync_folder(b, folder, err);

	(void)kt_str_copy(org, sizeof(org), folder);
	*strchr(org, '/') = '\0';
	if (rc == KT_OK && !is_on_disk(b, folder)) {
		rc = blob_sync_folder(b, org, err);
		if (rc == KT_OK)
			note_on_disk(b, folder);
	}
	if (rc == KT_OK && !is_on_disk(b, org)) {
		rc = blob_sync_folder(b, ".", err);
		if (rc == KT_OK)
			note_on_disk(b, org);
	}
	return rc;
}

/* The folder of a blob's name. */
static enum kt_code sync_folder_of(struct kt_blobs *b, const char *name, struct kt_err *err)
{
	char folder[KT_BLOB_NAME_MAX];

	(void)kt_str_copy(folder, sizeof(folder), name);
	*strrchr(folder, '/') = '\0';
	return sync_folders(b, folder, err);
}

/* A new file beside `name`; its own name into temp. */
static enum kt_code make_temp(struct kt_blobs *b, const char *name, char temp[KT_BLOB_NAME_MAX],
	int *out_fd, struct kt_err *err)
{
	char id[KT_ID_MAX];
	int fd;

	kt_rand_id(KT_BLOB_TEMP, id);
	(void)snprintf(
		temp, KT_BLOB_NAME_MAX, "%.*s/%s", (int)(strrchr(name, '/') - name), name, id);
	fd = openat(b->dir_fd, temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot make '%s/%s'", b->dir, temp);
	*out_fd = fd;
	return KT_OK;
}

enum presence { ABSENT, PRESENT, CUT };

/* Is the blob there, with this many bytes? One of another size is damaged: to be replaced. */
static enum presence blob_look(struct kt_blobs *b, const char *name, off_t size)
{
	struct stat st;

	if (!blob_use(b, name, &st))
		return ABSENT;
	return st.st_size == size ? PRESENT : CUT;
}

/*
 * Give the whole and synced file from_fd/from its name. When another thread was faster, its file
 * stays and this one goes: replacing a file makes it vanish for who is linking it just now.
 * Returns 0 or an errno.
 */
static int give_name(
	struct kt_blobs *b, int from_fd, const char *from, const char *name, bool replace)
{
	if (!replace) {
		if (renameat2(from_fd, from, b->dir_fd, name, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno == EEXIST)
			return unlinkat(from_fd, from, 0) == 0 ? 0 : errno;
		if (errno != EINVAL && errno != ENOSYS)
			return errno;
		/* A file system that cannot tell. */
	}
	return renameat(from_fd, from, b->dir_fd, name) == 0 ? 0 : errno;
}

enum kt_code kt_blobs_put(struct kt_blobs *b, const char *org_id, const void *data, size_t len,
	char *out_digest, struct kt_err *err)
{
	char digest[KT_DIGEST_MAX], name[KT_BLOB_NAME_MAX], temp[KT_BLOB_NAME_MAX];
	KT_AUTOFD int fd = -1;
	enum presence there;
	enum kt_code rc;
	int sys;

	kt_sha256_of(data, len, digest);
	rc = blob_name(org_id, digest, "", name, err);
	if (rc != KT_OK)
		return rc;
	there = blob_look(b, name, (off_t)len);
	if (there == PRESENT) {
		memcpy(out_digest, digest, sizeof(digest));
		return sync_folder_of(b, name, err);
	}
	rc = blob_make_folders(b, name, err);
	if (rc == KT_OK)
		rc = make_temp(b, name, temp, &fd, err);
	if (rc != KT_OK)
		return rc;
	rc = kt_fs_write_all(fd, data, len, err);
	if (rc == KT_OK && (fchmod(fd, MODE_PLAIN) != 0 || fsync(fd) != 0))
		rc = fail_blob(err, errno, "write", name);
	sys = rc == KT_OK ? give_name(b, b->dir_fd, temp, name, there == CUT) : 0;
	if (sys != 0)
		rc = fail_blob(err, sys, "rename", name);
	if (rc != KT_OK) {
		(void)unlinkat(b->dir_fd, temp, 0);
		return rc;
	}
	rc = sync_folder_of(b, name, err);
	if (rc == KT_OK)
		memcpy(out_digest, digest, sizeof(digest));
	return rc;
}

/* --- adopting ---------------------------------------------------------------------------- */

struct adoption {
	struct kt_blobs *b;
	const char *org_id;
	int from; /* the staging folder */
	char **names;
	size_t n;
	bool touched[256]; /* folders by the first byte of the digest */
};

static unsigned first_byte(const char *digest)
{
	unsigned v = 0;

	for (size_t i = 0; i < 2; i++)
		v = v * 16 + (unsigned)(digest[i] <= '9' ? digest[i] - '0' : digest[i] - 'a' + 10);
	return v;
}

/* Modes of all, contents on disk. What is not a plain file of one name is refused. */
static enum kt_code adopt_sync(struct adoption *a, size_t count, struct kt_err *err)
{
	for (size_t i = 0; i < a->n; i++) {
		KT_AUTOFD int fd = -1;
		struct stat st;

		if (!kt_digest_ok(a->names[i]))
			continue;
		/* Opened before asked: a pipe of this name must not be waited for. */
		fd = openat(a->from, a->names[i],
			O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) != 0)
			return kt_fail(
				err, KT_EIO, errno, "cannot open received file '%s'", a->names[i]);
		if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
			return kt_fail(err, KT_EPROTO, 0, "received '%s' is not a plain file",
				a->names[i]);
		if (fchmod(fd, MODE_PLAIN) != 0 || (count <= SYNCFS_FILES && fsync(fd) != 0))
			return kt_fail(
				err, KT_EIO, errno, "cannot sync received file '%s'", a->names[i]);
	}
	if (count > SYNCFS_FILES && syncfs(a->from) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot sync received files");
	return KT_OK;
}

/* Give one its name in the store; drop it when there is one already. */
static enum kt_code adopt_one(struct adoption *a, const char *digest, struct kt_err *err)
{
	char name[KT_BLOB_NAME_MAX];
	struct stat st;
	enum presence there;
	enum kt_code rc = blob_name(a->org_id, digest, "", name, err);
	int sys;

	if (rc != KT_OK)
		return rc;
	a->touched[first_byte(digest)] = true;
	if (fstatat(a->from, digest, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot take received file '%s'", digest);
	there = blob_look(a->b, name, st.st_size);
	if (there == PRESENT) {
		if (unlinkat(a->from, digest, 0) != 0)
			return kt_fail(err, KT_EIO, errno, "cannot remove received '%s'", digest);
		return KT_OK;
	}
	sys = give_name(a->b, a->from, digest, name, there == CUT);
	if (sys == ENOENT) {
		rc = blob_make_folders(a->b, name, err);
		if (rc != KT_OK)
			return rc;
		sys = give_name(a->b, a->from, digest, name, false);
	}
	return sys == 0 ? KT_OK
			: kt_fail(err, KT_EIO, sys, "cannot take received file '%s'", digest);
}

/* The names that they got. Each folder is a commit of the file system's, of many one is enough. */
static enum kt_code adopt_sync_folders(struct adoption *a, struct kt_err *err)
{
	enum kt_code rc = KT_OK;
	size_t n = 0;
	bool at_once;

	for (unsigned i = 0; i < 256; i++)
		n += a->touched[i];
	at_once = n > SYNCFS_FILES;
	if (at_once && syncfs(a->b->dir_fd) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot sync '%s'", a->b->dir);
	if (at_once)
		note_on_disk(a->b, a->org_id);
	for (unsigned i = 0; rc == KT_OK && i < 256; i++) {
		char folder[KT_BLOB_NAME_MAX];

		if (!a->touched[i])
			continue;
		(void)snprintf(folder, sizeof(folder), "%s/%02x", a->org_id, i);
		if (at_once)
			note_on_disk(a->b, folder);
		else
			rc = sync_folders(a->b, folder, err);
	}
	return rc;
}

static enum kt_code adopt_all(struct adoption *a, size_t *out_n, struct kt_err *err)
{
	size_t count = 0;
	enum kt_code rc;

	for (size_t i = 0; i < a->n; i++)
		count += kt_digest_ok(a->names[i]);
	rc = adopt_sync(a, count, err);
	for (size_t i = 0; rc == KT_OK && i < a->n; i++)
		if (kt_digest_ok(a->names[i]))
			rc = adopt_one(a, a->names[i], err);
	if (rc == KT_OK)
		rc = adopt_sync_folders(a, err);
	if (rc == KT_OK)
		*out_n = count;
	return rc;
}

enum kt_code kt_blobs_adopt(struct kt_blobs *b, const char *org_id, const char *staging,
	size_t *out_n, struct kt_err *err)
{
	KT_AUTOFD int from = open(staging, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct adoption a = { .b = b, .org_id = org_id, .from = from };
	enum kt_code rc;

	if (!is_org_name(org_id))
		return kt_fail(err, KT_EINVAL, 0, "'%s' is no organization's id", org_id);
	if (from < 0)
		return kt_fail(err, errno == ENOENT ? KT_ENOTFOUND : KT_EIO, errno,
			"cannot open '%s'", staging);
	rc = kt_fs_list(staging, &a.names, &a.n, err);
	if (rc != KT_OK)
		return rc;
	rc = adopt_all(&a, out_n, err);
	kt_fs_names_free(a.names, a.n);
	return rc;
}

/* --- linking ----------------------------------------------------------------------------- */

/* Share or copy the bytes of one file with another, which is empty. */
static enum kt_code blob_copy_bytes(int from, int to, const char *name, struct kt_err *err)
{
	KT_AUTOFREE char *piece = NULL;

	if (ioctl(to, FICLONE, from) == 0)
		return KT_OK;
	piece = kt_malloc(PIECE_BYTES);
	for (;;) {
		ssize_t n = blob_read_some(from, piece, PIECE_BYTES);
		enum kt_code rc;

		if (n == 0)
			return KT_OK;
		if (n < 0)
			return fail_blob(err, errno, "read", name);
		rc = kt_fs_write_all(to, piece, (size_t)n, err);
		if (rc != KT_OK)
			return rc;
	}
}

/*
 * Make the executable twin of a blob: a mode belongs to the file, not to its names. It is synced
 * before it is named, as everything here; its folder is not, because it can be made again.
 */
static enum kt_code make_twin(
	struct kt_blobs *b, const char *name, const char *twin, struct kt_err *err)
{
	char temp[KT_BLOB_NAME_MAX];
	KT_AUTOFD int from = openat(b->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	KT_AUTOFD int to = -1;
	enum kt_code rc;
	int sys;

	if (from < 0)
		return fail_blob(err, errno, "open", name);
	rc = make_temp(b, name, temp, &to, err);
	if (rc != KT_OK)
		return rc;
	rc = blob_copy_bytes(from, to, name, err);
	if (rc == KT_OK && (fchmod(to, MODE_EXEC) != 0 || fdatasync(to) != 0))
		rc = fail_blob(err, errno, "write", twin);
	/* A descriptor open for writing makes the file busy for who executes it. */
	if (to >= 0 && close(KT_STEAL_FD(to)) != 0 && rc == KT_OK && errno != EINTR)
		rc = fail_blob(err, errno, "write", twin);
	sys = rc == KT_OK ? give_name(b, b->dir_fd, temp, twin, false) : 0;
	if (sys != 0)
		rc = fail_blob(err, sys, "rename", twin);
	if (rc != KT_OK)
		(void)unlinkat(b->dir_fd, temp, 0);
	return rc;
}

/* For other file systems, and files that have all the names they can have. */
static enum kt_code copy_to(struct kt_blobs *b, const char *name, bool exec, int dir_fd,
	const char *path, struct kt_err *err)
{
	KT_AUTOFD int from = openat(b->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	KT_AUTOFD int to = -1;
	enum kt_code rc;

	if (from < 0)
		return fail_blob(err, errno, "open", name);
	to = openat(dir_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0)
		return kt_fail(err, KT_EIO, errno, "cannot make '%s'", path);
	rc = blob_copy_bytes(from, to, name, err);
	if (rc == KT_OK && fchmod(to, exec ? MODE_EXEC : MODE_PLAIN) != 0)
		rc = kt_fail(err, KT_EIO, errno, "cannot set the mode of '%s'", path);
	if (rc != KT_OK)
		(void)unlinkat(dir_fd, path, 0);
	return rc;
}

enum kt_code kt_blobs_link(struct kt_blobs *b, const char *org_id, const char *digest, bool exec,
	int dir_fd, const char *path, struct kt_err *err)
{
	char plain[KT_BLOB_NAME_MAX], name[KT_BLOB_NAME_MAX];
	enum kt_code rc = blob_name(org_id, digest, exec ? ".x" : "", name, err);

	if (rc != KT_OK)
		return rc;
	if (linkat(b->dir_fd, name, dir_fd, path, 0) == 0)
		return KT_OK;
	if (errno == ENOENT) {
		rc = blob_name(org_id, digest, "", plain, err);
		if (faccessat(b->dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
			rc = exec ? make_twin(b, plain, name, err)
				  : fail_blob(err, ENOENT, "link", plain);
		if (rc != KT_OK)
			return rc;
		/* Also when it was there: another thread may have made it a moment ago. */
		if (linkat(b->dir_fd, name, dir_fd, path, 0) == 0)
			return KT_OK;
	}
	if (errno == EXDEV || errno == EMLINK || errno == EPERM || errno == ENOTSUP)
		return copy_to(b, name, exec, dir_fd, path, err);
	return kt_fail(err, KT_EIO, errno, "cannot link '%s'", path);
}

/* --- verifying --------------------------------------------------------------------------- */

/* Hash the file `name`; KT_EPROTO when its bytes are not those of digest. */
static enum kt_code verify_file(
	struct kt_blobs *b, const char *name, const char *digest, struct kt_err *err)
{
	KT_AUTOFD int fd = openat(b->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char found[KT_DIGEST_MAX];

	if (fd < 0)
		return fail_blob(err, errno, "open", name);
	if (!kt_sha256_fd(fd, found))
		return fail_blob(err, errno, "read", name);
	if (strcmp(found, digest) != 0)
		return kt_fail(
			err, KT_EPROTO, 0, "blob '%s' is damaged: its digest is %s", name, found);
	return KT_OK;
}

enum kt_code kt_blobs_verify(
	struct kt_blobs *b, const char *org_id, const char *digest, struct kt_err *err)
{
	char name[KT_BLOB_NAME_MAX], twin[KT_BLOB_NAME_MAX];
	enum kt_code rc = blob_name(org_id, digest, "", name, err);

	if (rc == KT_OK)
		rc = blob_name(org_id, digest, ".x", twin, err);
	if (rc == KT_OK)
		rc = verify_file(b, name, digest, err);
	if (rc == KT_OK && faccessat(b->dir_fd, twin, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		rc = verify_file(b, twin, digest, err);
	return rc;
}
