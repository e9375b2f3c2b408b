/* SPDX-License-Identifier: MIT */
/*
 * Whole folders into a tar archive, as they are: for backups of a data folder, parts of which
 * belong to harnesses. Nothing in there is believed: no link is followed, whatever turns into one
 * while we look.
 */
#include "base/base.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "base/vec.h"
#include "crypto/crypto.h"
#include "pack/archive_dl_private.h"
#include "pack/pack.h"
#include "pack/tarball_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PIECE_BYTES (256 * 1024)
#define LIST_BYTES (128 * 1024) /* of lines, between two writes */

struct kt_tarball {
	struct archive *archive;
	struct archive_entry *entry;
	char *piece; /* PIECE_BYTES */
	struct kt_sha256 *sum; /* of the member that is being written */
	char digest[KT_DIGEST_MAX]; /* of the one that was */
	int list; /* a line for each member goes there; or -1 */
	struct kt_buf lines; /* on their way there */
	struct kt_sha256 *list_sum;
	size_t n_lines;
};

static enum kt_code fail_archive(struct kt_tarball *t, const char *name, struct kt_err *err)
{
	const char *why = kt_archive->error_string(t->archive);

	return kt_fail(err, KT_EIO, 0, "cannot write '%s' to the archive: %s", name,
		why ? why : "unknown reason");
}

enum kt_code kt_tarball_new(int fd, struct kt_tarball **out, struct kt_err *err)
{
	enum kt_code rc = kt_archive_load(err);
	struct kt_tarball *t;

	if (rc != KT_OK)
		return rc;
	t = kt_calloc(1, sizeof(*t));
	t->piece = kt_malloc(PIECE_BYTES);
	t->sum = kt_sha256_new();
	t->list = -1;
	kt_buf_init(&t->lines, LIST_BYTES);
	t->archive = kt_archive->write_new();
	t->entry = kt_archive->entry_new();
	kt_assert(t->archive && t->entry); /* memory is out, as in kt_malloc() */
	if (kt_archive->write_set_format_pax_restricted(t->archive) != ARCHIVE_OK ||
		kt_archive->write_set_options(t->archive, "hdrcharset=BINARY") != ARCHIVE_OK ||
		kt_archive->write_add_filter_none(t->archive) != ARCHIVE_OK ||
		kt_archive->write_set_bytes_per_block(t->archive, PIECE_BYTES) != ARCHIVE_OK ||
		kt_archive->write_set_bytes_in_last_block(t->archive, 1) != ARCHIVE_OK ||
		kt_archive->write_open_fd(t->archive, fd) != ARCHIVE_OK)
		return kt_tarball_end(t, fail_archive(t, "its beginning", err), err);
	*out = t;
	return KT_OK;
}

enum kt_code kt_tarball_end(struct kt_tarball *t, enum kt_code rc, struct kt_err *err)
{
	if (rc == KT_OK && kt_archive->write_close(t->archive) != ARCHIVE_OK)
		rc = fail_archive(t, "its end", err);
	(void)kt_archive->write_free(t->archive);
	kt_archive->entry_free(t->entry);
	kt_sha256_free(t->sum);
	kt_sha256_free(t->list_sum);
	kt_buf_release(&t->lines);
	free(t->piece);
	free(t);
	return rc;
}

/* --- the list of members ------------------------------------------------------------------ */

static enum kt_code flush_list(struct kt_tarball *t, struct kt_err *err)
{
	enum kt_code rc = kt_buf_ok(&t->lines)
		? kt_fs_write_all(t->list, t->lines.ptr, t->lines.len, err)
		: kt_fail(err, KT_ELIMIT, 0, "a name is too long");

	kt_sha256_update(t->list_sum, t->lines.ptr, t->lines.len);
	kt_buf_clear(&t->lines);
	return rc == KT_OK ? rc : kt_wrap(err, "the list of members");
}

void kt_tarball_list(struct kt_tarball *t, int fd)
{
	t->list = fd;
	t->list_sum = kt_sha256_new();
}

enum kt_code kt_tarball_list_end(struct kt_tarball *t, const char *name, struct kt_err *err)
{
	char digest[KT_DIGEST_MAX];
	int fd = t->list;
	enum kt_code rc = flush_list(t, err);

	if (rc != KT_OK)
		return rc;
	kt_sha256_hex(t->list_sum, digest);
	kt_buf_addf(&t->lines, KT_TARBALL_LIST_END "%zu %s\n", t->n_lines, digest);
	rc = flush_list(t, err);
	t->list = -1;
	return rc == KT_OK ? kt_tarball_file(t, name, fd, err) : rc;
}

/* The member is written: its line, and its digest for who asks. */
static enum kt_code end_member(
	struct kt_tarball *t, const char *name, const struct stat *st, struct kt_err *err)
{
	kt_sha256_hex(t->sum, t->digest);
	if (t->list < 0)
		return KT_OK;
	kt_tarball_line(&t->lines, name, st->st_mode, st->st_size, t->digest);
	t->n_lines++;
	return t->lines.len > LIST_BYTES / 2 || !kt_buf_ok(&t->lines) ? flush_list(t, err) : KT_OK;
}

const char *kt_tarball_digest(const struct kt_tarball *t)
{
	return t->digest;
}

/* --- members --------------------------------------------------------------------------------- */

static enum kt_code add_tar_header(struct kt_tarball *t, const char *name, const struct stat *st,
	const char *target, struct kt_err *err)
{
	struct archive_entry *e = t->entry;

	(void)kt_archive->entry_clear(e);
	/* Names of harnesses may be any bytes, and stay those (hdrcharset=BINARY). */
	kt_archive->entry_copy_pathname(e, name);
	kt_archive->entry_set_filetype(e, st->st_mode & S_IFMT);
	kt_archive->entry_set_perm(e, st->st_mode & 0777);
	kt_archive->entry_set_size(e, S_ISREG(st->st_mode) ? st->st_size : 0);
	kt_archive->entry_set_mtime(e, st->st_mtime, 0);
	if (target)
		kt_archive->entry_copy_symlink(e, target);
	/* A warning says that a name was written as bytes. */
	return kt_archive->write_header(t->archive, e) >= ARCHIVE_WARN ? KT_OK
								       : fail_archive(t, name, err);
}

static enum kt_code add_tar_data(
	struct kt_tarball *t, const char *name, const void *data, size_t len, struct kt_err *err)
{
	if (len > 0 && kt_archive->write_data(t->archive, data, len) != (la_ssize_t)len)
		return fail_archive(t, name, err);
	kt_sha256_update(t->sum, data, len);
	return KT_OK;
}

enum kt_code kt_tarball_bytes(struct kt_tarball *t, const char *name, mode_t mode, const void *data,
	size_t len, struct kt_err *err)
{
	struct stat st = { .st_mode = S_IFREG | mode, .st_size = (off_t)len };
	enum kt_code rc = add_tar_header(t, name, &st, NULL, err);

	if (rc == KT_OK)
		rc = add_tar_data(t, name, data, len, err);
	return rc == KT_OK ? end_member(t, name, &st, err) : rc;
}

enum kt_code kt_tarball_file(struct kt_tarball *t, const char *name, int fd, struct kt_err *err)
{
	struct stat st;
	off_t left;
	bool ended = false;
	enum kt_code rc;

	if (fstat(fd, &st) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot read '%s'", name);
	if (!S_ISREG(st.st_mode))
		return kt_fail(err, KT_EINVAL, 0, "'%s' is no regular file", name);
	rc = add_tar_header(t, name, &st, NULL, err);
	for (left = st.st_size; rc == KT_OK && left > 0;) {
		size_t want = (size_t)KT_MIN(left, (off_t)PIECE_BYTES);
		ssize_t n = ended ? 0 : pread(fd, t->piece, want, st.st_size - left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return kt_fail(err, KT_EIO, errno, "cannot read '%s'", name);
		if (n == 0) {
			/* It became shorter; the archive was promised this many bytes. */
			ended = true;
			memset(t->piece, 0, want);
			n = (ssize_t)want;
		}
		rc = add_tar_data(t, name, t->piece, (size_t)n, err);
		left -= n;
	}
	return rc == KT_OK ? end_member(t, name, &st, err) : rc;
}

/* --- folders --------------------------------------------------------------------------------- */

struct walk {
	struct kt_tarball *t;
	int root;
	const char *name; /* of root in the archive */
	struct kt_vec todo; /* char *: folders below root to come, "." = root */
	struct kt_err *err;
};

/* Open a folder below root; a link on the way is an error (ELOOP). */
static int open_below(int root, const char *path)
{
	struct open_how how = { .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
	long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));

	/* Before Linux 5.6, and under filters that do not know it. */
	if (fd < 0 && (errno == ENOSYS || errno == EPERM))
		fd = openat(root, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return (int)fd;
}

/* What errno says of something that may vanish or be closed to us: leave it out, or fail. */
static enum kt_code tarball_left_out(struct walk *w, const char *rel)
{
	int sys = errno;

	switch (sys) {
	case ENOENT:
	case ENOTDIR:
		return KT_OK;
	case EACCES:
	case EPERM:
	case ELOOP:
	case ENAMETOOLONG:
	case ENXIO:
		kt_log(KT_LOG_WARN, "backup", "'%s/%s' is left out: %s", w->name, rel,
			strerror(sys));
		return KT_OK;
	default:
		return kt_fail(w->err, KT_EIO, sys, "cannot read '%s/%s'", w->name, rel);
	}
}

static enum kt_code add_tar_link(struct walk *w, int dir, const char *file, const char *rel,
	const char *name, const struct stat *st)
{
	char target[KT_MAX_PATH_BYTES + 1];
	ssize_t n = readlinkat(dir, file, target, sizeof(target) - 1);

	if (n < 0)
		return tarball_left_out(w, rel);
	target[n] = '\0';
	struct stat link = { .st_mode = S_IFLNK | 0777, .st_size = (off_t)n };
	enum kt_code rc = add_tar_header(w->t, name, st, target, w->err);
	kt_sha256_update(w->t->sum, target, (size_t)n);
	return rc == KT_OK ? end_member(w->t, name, &link, w->err) : rc;
}

static enum kt_code add_entry(struct walk *w, int dir, const char *folder, const char *file)
{
	KT_AUTOFREE char *rel = strcmp(folder, ".") == 0 ? kt_strdup(file)
							 : kt_asprintf("%s/%s", folder, file);
	KT_AUTOFREE char *name = kt_asprintf("%s/%s", w->name, rel);
	struct stat st;

	if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return tarball_left_out(w, rel);
	if (S_ISDIR(st.st_mode)) {
		kt_vec_push(&w->todo, KT_STEAL(rel));
		return KT_OK;
	}
	if (S_ISLNK(st.st_mode))
		return add_tar_link(w, dir, file, rel, name, &st);
	if (S_ISREG(st.st_mode)) {
		/* It may be something else by now: not to be waited for, nor to be believed. */
		KT_AUTOFD int fd = openat(
			dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

		if (fd < 0 || fstat(fd, &st) != 0)
			return tarball_left_out(w, rel);
		return S_ISREG(st.st_mode) ? kt_tarball_file(w->t, name, fd, w->err) : KT_OK;
	}
	return KT_OK;
}

static enum kt_code add_tar_folder(struct walk *w, const char *folder)
{
	int fd = open_below(w->root, folder);
	KT_AUTOFREE char *name = strcmp(folder, ".") == 0 ? kt_strdup(w->name)
							  : kt_asprintf("%s/%s", w->name, folder);
	struct dirent *e;
	struct stat st;
	enum kt_code rc;
	DIR *d;

	if (fd < 0)
		return tarball_left_out(w, folder);
	d = fdopendir(fd);
	if (!d || fstat(fd, &st) != 0) {
		rc = kt_fail(w->err, KT_EIO, errno, "cannot read '%s'", name);
		(void)(d ? closedir(d) : close(fd));
		return rc;
	}
	st.st_size = 0;
	rc = add_tar_header(w->t, name, &st, NULL, w->err);
	if (rc == KT_OK)
		rc = end_member(w->t, name, &st, w->err);
	while (rc == KT_OK) {
		errno = 0;
		e = readdir(d);
		if (!e) {
			rc = errno ? tarball_left_out(w, folder) : KT_OK;
			break;
		}
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = add_entry(w, fd, folder, e->d_name);
	}
	(void)closedir(d);
	return rc;
}

enum kt_code kt_tarball_folder(
	struct kt_tarball *t, const char *dir, const char *name, struct kt_err *err)
{
	KT_AUTOFD int root = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct walk w = { .t = t, .root = root, .name = name, .err = err };
	enum kt_code rc = KT_OK;

	if (root < 0)
		return errno == ENOENT ? KT_OK
				       : kt_fail(err, KT_EIO, errno, "cannot open '%s'", dir);
	kt_vec_push(&w.todo, kt_strdup("."));
	while (w.todo.len > 0) {
		KT_AUTOFREE char *folder = kt_vec_remove(&w.todo, w.todo.len - 1);

		if (rc == KT_OK)
			rc = add_tar_folder(&w, folder);
	}
	kt_vec_release(&w.todo);
	return rc;
}
