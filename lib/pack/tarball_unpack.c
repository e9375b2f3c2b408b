/* SPDX-License-Identifier: MIT */
/*
 * Unpacking what tarball.c packed. The archive may be anybody's by now: nothing of it gets outside
 * of the folder, and damage is told from what is only missing.
 */
#include "base/base.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "pack/archive_dl_private.h"
#include "pack/pack.h"
#include "pack/tarball_private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE_BYTES (256 * 1024)
#define BLOCK_BYTES 512 /* of a tar file */

struct unpack {
	struct archive *archive;
	int root;
	int parent; /* folder of the member before, or -1 */
	char *parent_name;
	char *last; /* name of the member before, or NULL */
	bool skip; /* what is damaged is left out */
	int64_t done; /* bytes of the archive that are behind us */
	struct kt_err *err;
};

static enum kt_code fail_read(struct unpack *u)
{
	const char *why = kt_archive->error_string(u->archive);

	if (!u->last)
		return kt_fail(u->err, KT_EPROTO, 0, "cannot read the archive: %s",
			why ? why : "it was cut off or is damaged");
	return kt_fail(u->err, KT_EPROTO, 0, "cannot read the archive after '%.150s': %s", u->last,
		why ? why : "it was cut off or is damaged");
}

bool kt_tarball_is_inside(const char *name)
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
static enum kt_code enter_unpacked_folder(struct unpack *u, const char *path)
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

static enum kt_code fill_unpacked_file(struct unpack *u, int fd, const char *name)
{
	KT_AUTOFREE char *piece = kt_malloc(PIECE_BYTES);

	for (;;) {
		la_ssize_t n = kt_archive->read_data(u->archive, piece, PIECE_BYTES);
		enum kt_code rc;

		if (n == 0)
			return KT_OK;
		if (n < 0)
			return fail_read(u);
		rc = kt_fs_write_all(fd, piece, (size_t)n, u->err);
		if (rc != KT_OK) {
			kt_wrap(u->err, "'%s'", name);
			return rc;
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
		if (!target)
			return kt_fail(u->err, KT_EPROTO, 0, "the link '%s' leads nowhere", name);
		if (symlinkat(target, u->parent, base) == 0)
			return KT_OK;
		if (errno == EEXIST)
			return kt_fail(u->err, KT_EPROTO, 0, "the archive has '%s' twice", name);
		return kt_fail(u->err, KT_EIO, errno, "cannot make '%s'", name);
	case AE_IFREG: {
		KT_AUTOFD int fd = openat(u->parent, base,
			O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		enum kt_code rc;

		if (fd < 0 && errno == EEXIST)
			return kt_fail(u->err, KT_EPROTO, 0, "the archive has '%s' twice", name);
		if (fd < 0)
			return kt_fail(u->err, KT_EIO, errno, "cannot make '%s'", name);
		rc = fill_unpacked_file(u, fd, name);
		if (rc == KT_OK && fchmod(fd, perm) != 0)
			rc = kt_fail(u->err, KT_EIO, errno, "cannot set the mode of '%s'", name);
		return rc;
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
	enum kt_code rc;

	if (!given || !kt_tarball_is_inside(given) || kt_archive->entry_hardlink(e))
		return kt_fail(u->err, KT_EPROTO, 0, "the archive has a member '%s' that cannot be",
			given ? given : "");
	name = kt_strdup(given);
	if (kt_str_ends(name, "/"))
		name[strlen(name) - 1] = '\0';
	slash = strrchr(name, '/');
	base = slash ? slash + 1 : name;
	if (slash)
		*slash = '\0';
	rc = enter_unpacked_folder(u, slash ? name : "");
	if (slash)
		*slash = '/';
	if (rc == KT_OK)
		rc = make_member(u, e, name, base);
	free(u->last);
	u->last = KT_STEAL(name);
	return rc;
}

/* Begin to read at offset `start` of fd. */
static enum kt_code open_archive(struct unpack *u, int fd, off_t start)
{
	struct archive *a = u->archive;

	if (lseek(fd, start, SEEK_SET) != start)
		return kt_fail(u->err, KT_EIO, errno, "cannot read the archive");
	if (kt_archive->read_support_format_tar(a) < ARCHIVE_WARN ||
		kt_archive->read_support_filter_gzip(a) < ARCHIVE_WARN ||
		kt_archive->read_support_filter_zstd(a) < ARCHIVE_WARN ||
		/* Zeros among damaged bytes are no end. */
		(u->skip &&
			kt_archive->read_set_options(a, "read_concatenated_archives") !=
				ARCHIVE_OK) ||
		kt_archive->read_open_fd(a, fd, PIECE_BYTES) != ARCHIVE_OK)
		return fail_read(u);
	return KT_OK;
}

/* All members from here on; KT_EPROTO where the archive cannot be read on. */
static enum kt_code unpack_all(struct unpack *u)
{
	enum kt_code rc = KT_OK;

	while (rc == KT_OK) {
		struct archive_entry *e = NULL;
		int status;

		u->done = kt_archive->filter_bytes(u->archive, 0);
		status = kt_archive->read_next_header(u->archive, &e);

		if (status == ARCHIVE_EOF)
			break;
		if (status < ARCHIVE_WARN)
			return fail_read(u);
		rc = unpack_member(u, e);
		/* What there is of it is looked at later. */
		if (rc == KT_EPROTO && u->skip)
			rc = KT_OK;
	}
	return rc;
}

/* Is this block the header of a member? */
static bool is_header(const unsigned char *block)
{
	unsigned sum = 8 * ' ', want = 0;

	for (size_t i = 0; i < BLOCK_BYTES; i++)
		sum += i >= 148 && i < 156 ? 0 : block[i];
	for (size_t i = 148; i < 156 && block[i] >= '0' && block[i] <= '7'; i++)
		want = want * 8 + block[i] - '0';
	return sum == want && memcmp(block + 257, "ustar", 5) == 0;
}

/* The offset of the next header from `at` on; the end of the file when there is none. */
static off_t find_header(int fd, off_t at, off_t end)
{
	KT_AUTOFREE unsigned char *piece = kt_malloc(PIECE_BYTES);

	while (at < end) {
		ssize_t n = pread(fd, piece, PIECE_BYTES, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < BLOCK_BYTES)
			break;
		for (ssize_t i = 0; i + BLOCK_BYTES <= n; i += BLOCK_BYTES)
			if (is_header(piece + i))
				return at + i;
		at += n / BLOCK_BYTES * BLOCK_BYTES;
	}
	return end;
}

/* From offset *at on. *at: where to go on after a header that is none, else the end. */
static enum kt_code unpack_from(struct unpack *u, int fd, off_t *at, off_t end)
{
	off_t start = *at;
	enum kt_code rc;

	u->archive = kt_archive->read_new();
	kt_assert(u->archive);
	rc = open_archive(u, fd, start);
	if (rc == KT_OK)
		rc = unpack_all(u);
	*at = end;
	/* Offsets in a compressed archive are none of the file. */
	if (rc == KT_EPROTO && kt_archive->filter_code(u->archive, 0) == ARCHIVE_FILTER_NONE) {
		off_t blocks = (u->done + BLOCK_BYTES - 1) / BLOCK_BYTES;

		*at = find_header(fd, start + KT_MAX(blocks, 1) * BLOCK_BYTES, end);
	}
	(void)kt_archive->read_free(u->archive);
	return rc;
}

enum kt_code kt_tarball_unpack(int fd, const char *dir, bool skip, struct kt_err *err)
{
	KT_AUTOFD int root = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct unpack u = { .root = root, .parent = -1, .skip = skip, .err = err };
	enum kt_code rc = kt_archive_load(err);
	off_t at = 0;
	struct stat st;

	if (rc != KT_OK)
		return rc;
	if (root < 0 || fstat(fd, &st) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot open '%s'", dir);
	do {
		rc = unpack_from(&u, fd, &at, st.st_size);
	} while (skip && rc == KT_EPROTO && at < st.st_size);
	/* Whether that was an archive is seen by what is there. */
	if (skip && rc == KT_EPROTO)
		rc = KT_OK;
	if (u.parent >= 0)
		(void)close(u.parent);
	free(u.parent_name);
	free(u.last);
	if (rc == KT_OK && syncfs(root) != 0)
		rc = kt_fail(err, KT_EIO, errno, "cannot sync '%s'", dir);
	return rc;
}
