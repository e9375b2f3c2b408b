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
#include "pack/archive_dl_private.h"
#include "pack/pack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PIECE_BYTES (256 * 1024)

struct kt_tarball {
	struct archive *archive;
	struct archive_entry *entry;
	char *piece; /* PIECE_BYTES */
};

static enum kt_code fail_archive(struct kt_tarball *t, const char *name, struct kt_err *err)
{
	const char *why = kt_archive->error_string(t->archive);

	return kt_fail(err, KT_EIO, 0, "cannot write '%s' to the archive: %s", name,
		why ? why : "unknown reason");
}

enum kt_code kt_tarball_new(int fd, struct kt_tarball **out, struct kt_err *err)
{
	enum kt_code code = kt_archive_load(err);
	struct kt_tarball *t;

	if (code != KT_OK)
		return code;
	t = kt_calloc(1, sizeof(*t));
	t->piece = kt_malloc(PIECE_BYTES);
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

enum kt_code kt_tarball_end(struct kt_tarball *t, enum kt_code code, struct kt_err *err)
{
	if (code == KT_OK && kt_archive->write_close(t->archive) != ARCHIVE_OK)
		code = fail_archive(t, "its end", err);
	(void)kt_archive->write_free(t->archive);
	kt_archive->entry_free(t->entry);
	free(t->piece);
	free(t);
	return code;
}

/* --- members -----------------------------------------------------------------------------------
 */

static enum kt_code add_header(struct kt_tarball *t, const char *name, const struct stat *st,
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

static enum kt_code add_data(
	struct kt_tarball *t, const char *name, const void *data, size_t len, struct kt_err *err)
{
	if (len == 0 || kt_archive->write_data(t->archive, data, len) == (la_ssize_t)len)
		return KT_OK;
	return fail_archive(t, name, err);
}

enum kt_code kt_tarball_bytes(struct kt_tarball *t, const char *name, mode_t mode, const void *data,
	size_t len, struct kt_err *err)
{
	struct stat st = { .st_mode = S_IFREG | mode, .st_size = (off_t)len };
	enum kt_code code = add_header(t, name, &st, NULL, err);

	return code == KT_OK ? add_data(t, name, data, len, err) : code;
}

enum kt_code kt_tarball_file(struct kt_tarball *t, const char *name, int fd, struct kt_err *err)
{
	struct stat st;
	off_t left;
	bool ended = false;
	enum kt_code code;

	if (fstat(fd, &st) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot read '%s'", name);
	if (!S_ISREG(st.st_mode))
		return kt_fail(err, KT_EINVAL, 0, "'%s' is no regular file", name);
	code = add_header(t, name, &st, NULL, err);
	for (left = st.st_size; code == KT_OK && left > 0;) {
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
		code = add_data(t, name, t->piece, (size_t)n, err);
		left -= n;
	}
	return code;
}

/* --- folders -----------------------------------------------------------------------------------
 */

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
static enum kt_code left_out(struct walk *w, const char *rel)
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

static enum kt_code add_link(struct walk *w, int dir, const char *file, const char *rel,
	const char *name, const struct stat *st)
{
	char target[KT_MAX_PATH_BYTES + 1];
	ssize_t n = readlinkat(dir, file, target, sizeof(target) - 1);

	if (n < 0)
		return left_out(w, rel);
	target[n] = '\0';
	return add_header(w->t, name, st, target, w->err);
}

static enum kt_code add_entry(struct walk *w, int dir, const char *folder, const char *file)
{
	KT_AUTOFREE char *rel = strcmp(folder, ".") == 0 ? kt_strdup(file)
							 : kt_asprintf("%s/%s", folder, file);
	KT_AUTOFREE char *name = kt_asprintf("%s/%s", w->name, rel);
	struct stat st;

	if (fstatat(dir, file, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return left_out(w, rel);
	if (S_ISDIR(st.st_mode)) {
		kt_vec_push(&w->todo, KT_STEAL(rel));
		return KT_OK;
	}
	if (S_ISLNK(st.st_mode))
		return add_link(w, dir, file, rel, name, &st);
	if (S_ISREG(st.st_mode)) {
		/* It may be something else by now: not to be waited for, nor to be believed. */
		KT_AUTOFD int fd = openat(
			dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

		if (fd < 0 || fstat(fd, &st) != 0)
			return left_out(w, rel);
		return S_ISREG(st.st_mode) ? kt_tarball_file(w->t, name, fd, w->err) : KT_OK;
	}
	return KT_OK;
}

static enum kt_code add_folder(struct walk *w, const char *folder)
{
	int fd = open_below(w->root, folder);
	KT_AUTOFREE char *name = strcmp(folder, ".") == 0 ? kt_strdup(w->name)
							  : kt_asprintf("%s/%s", w->name, folder);
	struct dirent *e;
	struct stat st;
	enum kt_code code;
	DIR *d;

	if (fd < 0)
		return left_out(w, folder);
	d = fdopendir(fd);
	if (!d || fstat(fd, &st) != 0) {
		code = kt_fail(w->err, KT_EIO, errno, "cannot read '%s'", name);
		(void)(d ? closedir(d) : close(fd));
		return code;
	}
	code = add_header(w->t, name, &st, NULL, w->err);
	while (code == KT_OK) {
		errno = 0;
		e = readdir(d);
		if (!e) {
			code = errno ? left_out(w, folder) : KT_OK;
			break;
		}
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			code = add_entry(w, fd, folder, e->d_name);
	}
	(void)closedir(d);
	return code;
}

enum kt_code kt_tarball_folder(
	struct kt_tarball *t, const char *dir, const char *name, struct kt_err *err)
{
	KT_AUTOFD int root = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct walk w = { .t = t, .root = root, .name = name, .err = err };
	enum kt_code code = KT_OK;

	if (root < 0)
		return errno == ENOENT ? KT_OK
				       : kt_fail(err, KT_EIO, errno, "cannot open '%s'", dir);
	kt_vec_push(&w.todo, kt_strdup("."));
	while (w.todo.len > 0) {
		KT_AUTOFREE char *folder = kt_vec_remove(&w.todo, w.todo.len - 1);

		if (code == KT_OK)
			code = add_folder(&w, folder);
	}
	kt_vec_release(&w.todo);
	return code;
}

/* --- unpacking ---------------------------------------------------------------------------------
 */

struct unpack {
	struct archive *archive;
	int root;
	int parent; /* folder of the member before, or -1 */
	char *parent_name;
	struct kt_err *err;
};

static enum kt_code fail_read(struct unpack *u)
{
	const char *why = kt_archive->error_string(u->archive);

	return kt_fail(
		u->err, KT_EPROTO, 0, "cannot read the archive: %s", why ? why : "unknown reason");
}

/* Relative, without empty, "." and ".." components. */
static bool is_inside(const char *name)
{
	if (name[0] == '/' || name[0] == '\0' || strlen(name) >= KT_MAX_PATH_BYTES)
		return false;
	while (*name) {
		size_t n = strcspn(name, "/");

		if (n == 0 || (n == 1 && name[0] == '.') ||
			(n == 2 && name[0] == '.' && name[1] == '.'))
			return false;
		name += n;
		/* One slash at the end is how tar writes folders. */
		if (*name == '/')
			name++;
	}
	return true;
}

/* Open the folder `path` ("" = the root) below the root, made when missing; no link on the way. */
static enum kt_code enter(struct unpack *u, const char *path)
{
	KT_AUTOFD int fd = -1;

	if (u->parent >= 0 && strcmp(u->parent_name, path) == 0)
		return KT_OK;
	fd = openat(u->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (const char *p = path; fd >= 0 && *p;) {
		size_t n = strcspn(p, "/");
		KT_AUTOFREE char *part = kt_strndup(p, n);
		int next;

		if (mkdirat(fd, part, 0700) != 0 && errno != EEXIST)
			return kt_fail(u->err, KT_EIO, errno, "cannot make '%s'", path);
		next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		(void)close(fd);
		fd = next;
		p += n + (p[n] == '/');
	}
	if (fd < 0)
		return kt_fail(u->err, errno == ELOOP || errno == ENOTDIR ? KT_EPROTO : KT_EIO,
			errno, "cannot enter '%s'", path);
	if (u->parent >= 0)
		(void)close(u->parent);
	free(u->parent_name);
	u->parent = KT_STEAL_FD(fd);
	u->parent_name = kt_strdup(path);
	return KT_OK;
}

static enum kt_code fill_file(struct unpack *u, int fd, const char *name)
{
	KT_AUTOFREE char *piece = kt_malloc(PIECE_BYTES);

	for (;;) {
		la_ssize_t n = kt_archive->read_data(u->archive, piece, PIECE_BYTES);
		enum kt_code code;

		if (n == 0)
			return KT_OK;
		if (n < 0)
			return fail_read(u);
		code = kt_fs_write_all(fd, piece, (size_t)n, u->err);
		if (code != KT_OK) {
			kt_wrap(u->err, "'%s'", name);
			return code;
		}
	}
}

/* Make the member `base` in the folder that was entered. */
static enum kt_code make_member(
	struct unpack *u, struct archive_entry *e, const char *name, const char *base)
{
	mode_t perm = (mode_t)kt_archive->entry_perm(e) & 0777;
	const char *target;

	switch (kt_archive->entry_filetype(e)) {
	case AE_IFDIR:
		/* Ours to write in, or what is below could not be put there. */
		if ((mkdirat(u->parent, base, 0700) != 0 && errno != EEXIST) ||
			fchmodat(u->parent, base, perm | 0700, 0) != 0)
			return kt_fail(u->err, KT_EIO, errno, "cannot make '%s'", name);
		return KT_OK;
	case AE_IFLNK:
		target = kt_archive->entry_symlink(e);
		if (!target || symlinkat(target, u->parent, base) != 0)
			return kt_fail(u->err, target ? KT_EIO : KT_EPROTO, target ? errno : 0,
				"cannot make '%s'", name);
		return KT_OK;
	case AE_IFREG: {
		KT_AUTOFD int fd = openat(u->parent, base,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		enum kt_code code;

		if (fd < 0)
			return kt_fail(u->err, errno == EEXIST ? KT_EPROTO : KT_EIO, errno,
				"cannot make '%s'", name);
		code = fill_file(u, fd, name);
		if (code == KT_OK && fchmod(fd, perm) != 0)
			code = kt_fail(u->err, KT_EIO, errno, "cannot set the mode of '%s'", name);
		return code;
	}
	default:
		return kt_fail(u->err, KT_EPROTO, 0, "'%s' is no file, folder or link", name);
	}
}

static enum kt_code unpack_member(struct unpack *u, struct archive_entry *e)
{
	const char *given = kt_archive->entry_pathname(e);
	KT_AUTOFREE char *name = NULL;
	const char *base;
	char *slash;
	enum kt_code code;

	if (!given || !is_inside(given) || kt_archive->entry_hardlink(e))
		return kt_fail(u->err, KT_EPROTO, 0, "the archive has a member '%s' that cannot be",
			given ? given : "");
	name = kt_strdup(given);
	if (kt_str_ends(name, "/"))
		name[strlen(name) - 1] = '\0';
	slash = strrchr(name, '/');
	base = slash ? slash + 1 : name;
	if (slash)
		*slash = '\0';
	code = enter(u, slash ? name : "");
	if (slash)
		*slash = '/';
	return code == KT_OK ? make_member(u, e, name, base) : code;
}

static enum kt_code unpack_all(struct unpack *u, int fd)
{
	struct archive *a = u->archive;
	enum kt_code code = KT_OK;

	if (kt_archive->read_support_format_tar(a) < ARCHIVE_WARN ||
		kt_archive->read_support_filter_gzip(a) < ARCHIVE_WARN ||
		kt_archive->read_support_filter_zstd(a) < ARCHIVE_WARN ||
		kt_archive->read_open_fd(a, fd, PIECE_BYTES) != ARCHIVE_OK)
		return fail_read(u);
	while (code == KT_OK) {
		struct archive_entry *e = NULL;
		int rc = kt_archive->read_next_header(a, &e);

		if (rc == ARCHIVE_EOF)
			break;
		code = rc >= ARCHIVE_WARN ? unpack_member(u, e) : fail_read(u);
	}
	return code;
}

enum kt_code kt_tarball_unpack(int fd, const char *dir, struct kt_err *err)
{
	KT_AUTOFD int root = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct unpack u = { .root = root, .parent = -1, .err = err };
	enum kt_code code = kt_archive_load(err);

	if (code != KT_OK)
		return code;
	if (root < 0)
		return kt_fail(err, KT_EIO, errno, "cannot open '%s'", dir);
	u.archive = kt_archive->read_new();
	kt_assert(u.archive);
	code = unpack_all(&u, fd);
	(void)kt_archive->read_free(u.archive);
	if (u.parent >= 0)
		(void)close(u.parent);
	free(u.parent_name);
	if (code == KT_OK && syncfs(root) != 0)
		code = kt_fail(err, KT_EIO, errno, "cannot sync '%s'", dir);
	return code;
}
