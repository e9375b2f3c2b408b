/* SPDX-License-Identifier: MIT */
/*
 * Paths and files over plain system calls. Every descriptor is opened close-on-exec, since
 * harness processes must not inherit any.
 */
#include "base/fs.h"

#include "base/env.h"
#include "base/rand.h"
#include "base/str.h"
#include "base/vec.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_NAMES 1000000 /* ten times the sessions of a data directory */
#define MAX_OPEN_LEVELS 64 /* one descriptor each while a tree is removed */
#define MOST_FDS (1024 * 1024) /* fs.nr_open of a Linux that was not told otherwise */

char *kt_path_join(const char *a, const char *b)
{
	size_t n = strlen(a);

	if (b[0] == '/' || !n)
		return kt_strdup(b);
	while (n > 1 && a[n - 1] == '/')
		n--;
	if (!b[0])
		return kt_strndup(a, n);
	return kt_asprintf("%.*s%s%s", (int)n, a, a[n - 1] == '/' ? "" : "/", b);
}

/* Length without slashes at the end; 1 for "/". */
static size_t trimmed_len(const char *path)
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	return n;
}

char *kt_path_base(const char *path)
{
	size_t end = trimmed_len(path), start = end;

	if (!end)
		return kt_strdup(".");
	if (end == 1 && path[0] == '/')
		return kt_strdup("/");
	while (start && path[start - 1] != '/')
		start--;
	return kt_strndup(path + start, end - start);
}

char *kt_path_dir(const char *path)
{
	size_t n = trimmed_len(path);

	while (n && path[n - 1] != '/')
		n--;
	if (!n)
		return kt_strdup(".");
	while (n > 1 && path[n - 1] == '/')
		n--;
	return kt_strndup(path, n);
}

/* Fill err for a failed call on path: what is not there is told apart from all else. */
static enum kt_code fail_path(struct kt_err *err, int sys, const char *verb, const char *path)
{
	bool missing = sys == ENOENT || sys == ENOTDIR;

	return kt_fail(err, missing ? KT_ENOTFOUND : KT_EIO, sys, "cannot %s '%s'", verb, path);
}

enum kt_code kt_path_real(const char *path, char **out, struct kt_err *err)
{
	char *real = realpath(path, NULL);

	if (!real)
		return fail_path(err, errno, "resolve", path);
	*out = real;
	return KT_OK;
}

bool kt_fs_is_file(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool kt_fs_is_dir(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

enum kt_code kt_fs_mkdirs(const char *path, mode_t mode, struct kt_err *err)
{
	KT_AUTOFREE char *copy = kt_strdup(path);
	char *p = copy;

	if (!path[0])
		return kt_fail(err, KT_EINVAL, 0, "cannot make a folder without a name");
	while (*p) {
		char end;

		p += strspn(p, "/");
		p += strcspn(p, "/");
		end = *p;
		*p = '\0';
		if (mkdir(copy, mode) != 0) {
			int sys = errno;

			/* Some mounts answer EACCES or EROFS for what is there already. */
			if (!kt_fs_is_dir(copy))
				return kt_fail(err, KT_EIO, sys == EEXIST ? ENOTDIR : sys,
					"cannot make folder '%s'", copy);
		}
		*p = end;
	}
	return KT_OK;
}

static enum kt_code read_fd(
	int fd, const char *path, off_t size, struct kt_buf *b, struct kt_err *err)
{
	for (;;) {
		size_t left = b->max - b->len, want = 1;
		char probe, *at = &probe;
		ssize_t n;

		if (left) {
			/* One byte more than the size says, so that the end shows at once. */
			want = KT_MIN(left, KT_MAX((size_t)size + 1, (size_t)512));
			at = kt_buf_reserve(b, want);
			if (!at)
				return kt_fail(err, KT_ENOMEM, 0, "no memory to read '%s'", path);
		}
		n = read(fd, at, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_path(err, errno, "read", path);
		if (n == 0)
			return KT_OK;
		if (!left)
			return kt_fail(
				err, KT_ELIMIT, 0, "'%s' is larger than %zu bytes", path, b->max);
		kt_buf_commit(b, (size_t)n);
		size = size > n ? size - n : 0;
	}
}

enum kt_code kt_fs_read(const char *path, struct kt_buf *b, struct kt_err *err)
{
	/* Non-blocking, or opening a pipe that somebody put there would wait for its writer. */
	KT_AUTOFD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	return fd < 0 ? fail_path(err, errno, "open", path) : kt_fs_read_fd(fd, path, b, err);
}

enum kt_code kt_fs_read_fd(int fd, const char *path, struct kt_buf *b, struct kt_err *err)
{
	size_t before = b->len;
	enum kt_code rc;
	struct stat st;

	if (fstat(fd, &st) != 0)
		return fail_path(err, errno, "read", path);
	if (!S_ISREG(st.st_mode))
		return kt_fail(err, KT_EIO, S_ISDIR(st.st_mode) ? EISDIR : 0,
			S_ISDIR(st.st_mode) ? "cannot read '%s'" : "'%s' is not a regular file",
			path);
	if (!kt_buf_ok(b) || (uintmax_t)st.st_size > b->max - b->len)
		return kt_fail(err, KT_ELIMIT, 0, "'%s' is larger than %zu bytes", path, b->max);
	rc = read_fd(fd, path, st.st_size, b, err);
	if (rc != KT_OK)
		kt_buf_truncate(b, before);
	return rc;
}

bool kt_errno_full(int sys)
{
	return sys == ENOSPC || sys == EDQUOT || sys == EFBIG;
}

bool kt_errno_disk(int sys)
{
	return sys == EIO || sys == EROFS || sys == ENODEV || sys == ENXIO || sys == ESTALE ||
		kt_errno_full(sys);
}

enum kt_code kt_fs_write_all(int fd, const void *data, size_t len, struct kt_err *err)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n >= 0) {
			p += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			/* A descriptor shared with somebody who made it non-blocking. */
			struct pollfd wait = { .fd = fd, .events = POLLOUT };

			if (poll(&wait, 1, -1) < 0 && errno != EINTR)
				return kt_fail(err, KT_EIO, errno, "cannot write");
		} else if (errno != EINTR) {
			return kt_fail(err, KT_EIO, errno, "cannot write");
		}
	}
	return KT_OK;
}

/* Write and close *fd, which is the file at path. */
static enum kt_code fs_fill_file(int *fd, const char *path, const void *data, size_t len,
	mode_t mode, bool durable, struct kt_err *err)
{
	enum kt_code rc = kt_fs_write_all(*fd, data, len, err);
	int status;

	if (rc != KT_OK) {
		kt_wrap(err, "'%s'", path);
		return rc;
	}
	if (fchmod(*fd, mode) != 0)
		return fail_path(err, errno, "set the mode of", path);
	if (durable && fsync(*fd) != 0)
		return fail_path(err, errno, "sync", path);
	status = close(*fd);
	*fd = -1;
	/* Network file systems report a full disk only here. */
	if (status != 0 && errno != EINTR)
		return fail_path(err, errno, "write", path);
	return KT_OK;
}

static enum kt_code sync_dir(const char *dir, struct kt_err *err)
{
	KT_AUTOFD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fail_path(err, errno, "open", dir);
	/* EINVAL: a file system whose folders cannot be synced, and need not be. */
	if (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP)
		return fail_path(err, errno, "sync", dir);
	return KT_OK;
}

enum kt_code kt_fs_write_atomic(const char *path, const void *data, size_t len, mode_t mode,
	bool durable, struct kt_err *err)
{
	KT_AUTOFREE char *dir = kt_path_dir(path);
	KT_AUTOFREE char *temp = NULL;
	KT_AUTOFD int fd = -1;
	char name[KT_ID_MAX];
	enum kt_code rc;

	kt_rand_id(".karta-tmp-", name);
	temp = kt_path_join(dir, name);
	/* Private until fchmod() gives the mode asked for, whatever the umask. */
	fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fail_path(err, errno, "write", path);
	rc = fs_fill_file(&fd, temp, data, len, mode, durable, err);
	if (rc == KT_OK && rename(temp, path) != 0)
		rc = fail_path(err, errno, "replace", path);
	if (rc != KT_OK) {
		unlink(temp);
		return rc;
	}
	return durable ? sync_dir(dir, err) : KT_OK;
}

enum kt_code kt_fs_write_new(
	const char *path, const void *data, size_t len, mode_t mode, struct kt_err *err)
{
	KT_AUTOFD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	enum kt_code rc;

	if (fd < 0 && errno == EEXIST)
		return kt_fail(err, KT_ECONFLICT, 0, "'%s' exists already", path);
	if (fd < 0)
		return fail_path(err, errno, "create", path);
	rc = fs_fill_file(&fd, path, data, len, mode, false, err);
	if (rc != KT_OK)
		unlink(path);
	return rc;
}

static bool is_dot(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static int empty_dir(int top, int fd, unsigned level, bool *moved);

/* Remove one entry of the folder fd. Returns 0 or an errno. */
static int remove_entry(int top, int fd, const char *name, unsigned level, bool *moved)
{
	int child, sys;

	if (unlinkat(fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	/* Linux says EISDIR for a folder, POSIX allows EPERM. */
	if (errno != EISDIR && errno != EPERM)
		return errno;
	sys = errno;
	if (level >= MAX_OPEN_LEVELS) {
		char flat[KT_ID_MAX];

		/* Deeper folders are brought up, so that no depth can use up the descriptors. */
		kt_rand_id(".karta-rm-", flat);
		if (renameat(fd, name, top, flat) != 0)
			return errno;
		*moved = true;
		return 0;
	}
	child = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (child < 0)
		return errno == ENOTDIR || errno == ELOOP ? sys : errno;
	sys = empty_dir(top, child, level + 1, moved);
	if (sys)
		return sys;
	return unlinkat(fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT ? 0 : errno;
}

/* Remove all entries of the folder fd (TAKES fd). Returns 0 or an errno. */
static int empty_dir(int top, int fd, unsigned level, bool *moved)
{
	DIR *d = fdopendir(fd);
	struct dirent *e;
	int sys = 0;

	if (!d) {
		sys = errno;
		close(fd);
		return sys;
	}
	/* Caches keep folders read-only; what cannot be changed shows at the first unlinkat(). */
	if (fchmod(fd, 0700) != 0)
		sys = 0;
	for (;;) {
		errno = 0;
		e = readdir(d);
		if (!e) {
			sys = errno;
			break;
		}
		if (is_dot(e->d_name))
			continue;
		sys = remove_entry(top, dirfd(d), e->d_name, level, moved);
		if (sys)
			break;
	}
	closedir(d);
	return sys;
}

enum kt_code kt_fs_remove_tree(const char *path, struct kt_err *err)
{
	KT_AUTOFD int top = -1;
	bool moved = true;

	/* An empty setting joined with nothing must not cost everything. */
	if (path[0] == '/' && trimmed_len(path) == 1)
		return kt_fail(err, KT_EINVAL, 0, "cannot remove '/'");
	if (unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR)
		return KT_OK;
	if (errno != EISDIR && errno != EPERM)
		return kt_fail(err, KT_EIO, errno, "cannot remove '%s'", path);
	top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (top < 0)
		return kt_fail(err, KT_EIO, errno, "cannot remove '%s'", path);
	while (moved) {
		int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		int sys;

		moved = false;
		sys = fd < 0 ? errno : empty_dir(top, fd, 0, &moved);
		if (sys)
			return kt_fail(err, KT_EIO, sys, "cannot remove '%s'", path);
	}
	if (rmdir(path) != 0 && errno != ENOENT)
		return kt_fail(err, KT_EIO, errno, "cannot remove '%s'", path);
	return KT_OK;
}

static int compare_dir_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

enum kt_code kt_fs_list(const char *path, char ***out, size_t *out_n, struct kt_err *err)
{
	struct kt_vec names = KT_VEC_INIT;
	enum kt_code rc = KT_OK;
	DIR *d = opendir(path);

	if (!d)
		return fail_path(err, errno, "list", path);
	for (;;) {
		struct dirent *e;

		errno = 0;
		e = readdir(d);
		if (!e) {
			if (errno)
				rc = kt_fail(err, KT_EIO, errno, "cannot list '%s'", path);
			break;
		}
		if (is_dot(e->d_name))
			continue;
		if (names.len == MAX_NAMES) {
			rc = kt_fail(err, KT_ELIMIT, 0, "'%s' holds more than %d names", path,
				MAX_NAMES);
			break;
		}
		kt_vec_push(&names, kt_strdup(e->d_name));
	}
	closedir(d);
	if (rc != KT_OK) {
		kt_fs_names_free((char **)names.items, names.len);
		return rc;
	}
	if (names.len)
		qsort(names.items, names.len, sizeof(*names.items), compare_dir_names);
	*out = (char **)names.items;
	*out_n = names.len;
	return KT_OK;
}

void kt_fs_names_free(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

bool kt_fs_is_program(const char *path)
{
	return kt_fs_is_file(path) && faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0;
}

char *kt_fs_which(const char *name)
{
	const char *p = kt_env_get("PATH");

	if (strchr(name, '/'))
		return kt_fs_is_program(name) ? kt_strdup(name) : NULL;
	while (p && name[0]) {
		size_t n = strcspn(p, ":");

		/* Relative places would run what lies in the folder at hand; they are skipped. */
		if (p[0] == '/') {
			KT_AUTOFREE char *dir = kt_strndup(p, n);
			KT_AUTOFREE char *full = kt_path_join(dir, name);

			if (kt_fs_is_program(full))
				return KT_STEAL(full);
		}
		p = p[n] ? p + n + 1 : NULL;
	}
	return NULL;
}

size_t kt_fd_raise_limit(void)
{
	struct rlimit r, more;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0)
		return 1024; /* what every system gives */
	more = (struct rlimit){ r.rlim_max, r.rlim_max };
	/* "Unlimited" is more than the kernel takes. */
	if (more.rlim_cur == RLIM_INFINITY)
		more.rlim_cur = MOST_FDS;
	if (more.rlim_cur > r.rlim_cur && setrlimit(RLIMIT_NOFILE, &more) == 0)
		r = more;
	return (size_t)r.rlim_cur;
}

enum kt_code kt_fd_nonblock(int fd, bool on, struct kt_err *err)
{
	int flags = fcntl(fd, F_GETFL);
	int want;

	if (flags < 0)
		return kt_fail(err, KT_EIO, errno, "cannot read the mode of a descriptor");
	want = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	if (want != flags && fcntl(fd, F_SETFL, want) < 0)
		return kt_fail(err, KT_EIO, errno, "cannot set the mode of a descriptor");
	return KT_OK;
}

static char *home_dir(void)
{
	const char *home = kt_env_get("HOME");
	struct passwd pw, *found = NULL;
	char text[4096];

	if (home)
		return kt_strdup(home);
	if (getpwuid_r(geteuid(), &pw, text, sizeof(text), &found) == 0 && found && pw.pw_dir)
		return kt_strdup(pw.pw_dir);
	return kt_strdup("/");
}

/* own (may be NULL), else $xdg/karta, else ~/fallback/karta. */
static char *user_folder(const char *own, const char *xdg, const char *fallback)
{
	const char *set = own ? kt_env_get(own) : NULL;
	KT_AUTOFREE char *home = NULL;

	if (set)
		return kt_strdup(set);
	set = kt_env_get(xdg);
	/* The XDG Base Directory Specification wants relative values ignored. */
	if (set && set[0] == '/')
		return kt_path_join(set, "karta");
	home = home_dir();
	return kt_asprintf("%s/%s/karta", kt_str_eq(home, "/") ? "" : home, fallback);
}

char *kt_dir_config(void)
{
	return user_folder("KARTA_CONFIG_DIR", "XDG_CONFIG_HOME", ".config");
}

char *kt_dir_state(void)
{
	return user_folder(NULL, "XDG_STATE_HOME", ".local/state");
}

char *kt_dir_data(void)
{
	return user_folder("KARTA_DATA", "XDG_DATA_HOME", ".local/share");
}
