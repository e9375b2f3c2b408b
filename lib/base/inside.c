/* SPDX-License-Identifier: MIT */
/* Descriptors all the way down; see inside.h. */
#include "base/inside.h"

#include "base/fs.h"
#include "base/rand.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

static enum kt_code inside_fail(struct kt_err *err, int sys, const char *verb, const char *path)
{
	bool missing = sys == ENOENT || sys == ENOTDIR;

	return kt_fail(err, missing ? KT_ENOTFOUND : KT_EIO, sys, "cannot %s '%s'", verb, path);
}

static enum kt_code is_link(struct kt_err *err, const char *path)
{
	(void)kt_fail(err, KT_EDENIED, 0, "'%s' is a link, which is not followed", path);
	(void)kt_hint(err, "put a file or folder of its own there, or remove it");
	return KT_EDENIED;
}

/* Whether the last part of path in the folder fd is a link. */
static bool link_at(int fd, const char *name)
{
	struct stat st;

	return fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

enum kt_code kt_inside_open(const char *dir, int *out_fd, struct kt_err *err)
{
	int fd = open(dir, DIR_FLAGS);

	if (fd < 0)
		return inside_fail(err, errno, "open", dir);
	*out_fd = fd;
	return KT_OK;
}

/* One step: the folder `name` in the folder *fd takes its place. */
static enum kt_code inside_step(
	int *fd, const char *name, const char *path, bool make, struct kt_err *err)
{
	int next, sys;

	if (kt_str_eq(name, ".."))
		return kt_fail(err, KT_EINVAL, 0, "'%s' leads out of its folder", path);
	if (make && mkdirat(*fd, name, 0777) != 0 && errno != EEXIST)
		return inside_fail(err, errno, "make the folder of", path);
	next = openat(*fd, name, DIR_FLAGS | O_NOFOLLOW);
	sys = errno;
	if (next < 0 && link_at(*fd, name))
		return is_link(err, path);
	if (next < 0)
		return make ? kt_fail(err, KT_EIO, sys, "cannot open the folder of '%s'", path)
			    : inside_fail(err, sys, "open", path);
	(void)close(*fd);
	*fd = next;
	return KT_OK;
}

/* Open the folder that the last part of path is in; *out_name is that part. */
static enum kt_code open_parent(int top, const char *path, bool make, int *out_fd,
	const char **out_name, struct kt_err *err)
{
	const char *slash = strrchr(path, '/');
	KT_AUTOFREE char *dir = kt_strndup(path, slash ? (size_t)(slash - path) : 0);

	*out_name = slash ? slash + 1 : path;
	if (!**out_name || kt_str_eq(*out_name, ".") || kt_str_eq(*out_name, ".."))
		return kt_fail(err, KT_EINVAL, 0, "'%s' names no file", path);
	return kt_inside_dir(top, dir, make, out_fd, err);
}

enum kt_code kt_inside_dir(int top, const char *path, bool make, int *out_fd, struct kt_err *err)
{
	KT_AUTOFD int fd = openat(top, ".", DIR_FLAGS);
	enum kt_code rc = KT_OK;

	if (fd < 0)
		return inside_fail(err, errno, "open the folder of", path);
	if (path[0] == '/')
		return kt_fail(err, KT_EINVAL, 0, "'%s' is not inside of a folder", path);
	for (const char *p = path; rc == KT_OK && *p;) {
		KT_AUTOFREE char *name = kt_strndup(p, strcspn(p, "/"));

		if (*name && !kt_str_eq(name, "."))
			rc = inside_step(&fd, name, path, make, err);
		p += strlen(name);
		p += strspn(p, "/");
	}
	if (rc == KT_OK)
		*out_fd = KT_STEAL_FD(fd);
	return rc;
}

enum kt_code kt_inside_read(int top, const char *path, struct kt_buf *b, struct kt_err *err)
{
	KT_AUTOFD int dir = -1;
	KT_AUTOFD int fd = -1;
	const char *name;
	enum kt_code rc = open_parent(top, path, false, &dir, &name, err);

	if (rc != KT_OK)
		return rc;
	fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return errno == ELOOP ? is_link(err, path) : inside_fail(err, errno, "open", path);
	return kt_fs_read_fd(fd, path, b, err);
}

/* Write and close *fd; what was created and could not be filled goes. */
static enum kt_code inside_fill(int *fd, int dir, const char *name, const char *path,
	const void *data, size_t len, mode_t mode, struct kt_err *err)
{
	enum kt_code rc = kt_fs_write_all(*fd, data, len, err);
	int status;

	if (rc != KT_OK) {
		(void)kt_wrap(err, "'%s'", path);
	} else if (fchmod(*fd, mode) != 0) {
		rc = inside_fail(err, errno, "set the mode of", path);
	} else {
		status = close(*fd);
		*fd = -1;
		if (status != 0 && errno != EINTR)
			rc = inside_fail(err, errno, "write", path);
	}
	if (rc != KT_OK)
		(void)unlinkat(dir, name, 0);
	return rc;
}

enum kt_code kt_inside_write_new(
	int top, const char *path, const void *data, size_t len, mode_t mode, struct kt_err *err)
{
	KT_AUTOFD int dir = -1;
	KT_AUTOFD int fd = -1;
	const char *name;
	enum kt_code rc = open_parent(top, path, true, &dir, &name, err);

	if (rc != KT_OK)
		return rc;
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		return kt_fail(err, KT_ECONFLICT, 0, "'%s' exists already", path);
	if (fd < 0)
		return inside_fail(err, errno, "create", path);
	return inside_fill(&fd, dir, name, path, data, len, mode, err);
}

enum kt_code kt_inside_append(
	int top, const char *path, const void *data, size_t len, mode_t mode, struct kt_err *err)
{
	KT_AUTOFD int dir = -1;
	KT_AUTOFD int fd = -1;
	struct stat st;
	const char *name;
	enum kt_code rc = open_parent(top, path, true, &dir, &name, err);

	if (rc != KT_OK)
		return rc;
	fd = openat(dir, name,
		O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		mode);
	if (fd < 0)
		return errno == ELOOP ? is_link(err, path) : inside_fail(err, errno, "write", path);
	if (fstat(fd, &st) != 0)
		return inside_fail(err, errno, "write", path);
	if (!S_ISREG(st.st_mode))
		return kt_fail(err, KT_EIO, 0, "'%s' is not a regular file", path);
	rc = kt_fs_write_all(fd, data, len, err);
	return rc == KT_OK ? rc : kt_wrap(err, "'%s'", path);
}

enum kt_code kt_inside_replace(
	int top, const char *path, const void *data, size_t len, mode_t mode, struct kt_err *err)
{
	KT_AUTOFD int dir = -1;
	KT_AUTOFD int fd = -1;
	char temp[KT_ID_MAX];
	const char *name;
	enum kt_code rc = open_parent(top, path, true, &dir, &name, err);

	if (rc != KT_OK)
		return rc;
	/* rename() would put a file in its place, where its owner wanted a link. */
	if (link_at(dir, name))
		return is_link(err, path);
	kt_rand_id(".karta-tmp-", temp);
	fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return inside_fail(err, errno, "write", path);
	rc = inside_fill(&fd, dir, temp, path, data, len, mode, err);
	if (rc == KT_OK && renameat(dir, temp, dir, name) != 0) {
		rc = inside_fail(err, errno, "replace", path);
		(void)unlinkat(dir, temp, 0);
	}
	return rc;
}
