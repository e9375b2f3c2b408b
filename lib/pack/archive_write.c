/* SPDX-License-Identifier: MIT */
/*
 * Tar archives by libarchive, always the same for the same files: no owner, time 0, no name of who
 * wrote it. In GNU's format, which has long names as the bytes they are: for pax libarchive wants
 * to translate them from the locale's character set, and crashes where that is ASCII (3.6.2).
 */
#include "pack/archive_write_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "pack/archive_dl_private.h"

#include <string.h>
#include <unistd.h>

/* Level 1 costs a third of level 3 in time, and is 2 % larger, for source code and images. */
#define ZSTD_LEVEL "2"
#define THREADS_FROM_BYTES (4 * 1024 * 1024)
#define MAX_THREADS 4
#define GZIP_LEVEL "6"
#define BLOCK_BYTES (256 * 1024) /* handed to write(2) at once */

struct kt_tar {
	struct archive *archive;
	struct archive_entry *entry;
	int fd;
	int64_t bytes;
	struct kt_err write_err; /* of write(2) in the callback */
};

static enum kt_code tar_fail(struct kt_tar *t, const char *what, struct kt_err *err)
{
	if (t->write_err.code != KT_OK) {
		if (err != NULL)
			*err = t->write_err;
		return t->write_err.code;
	}
	const char *why = kt_archive->error_string(t->archive);
	return kt_fail(err, KT_EIO, 0, "cannot write the archive (%s): %s", what,
		why != NULL ? why : "unknown reason");
}

/*
 * Never says that it failed: libarchive 3.6.2 does not free its block when an archive has ended
 * with an error. What failed is in write_err, looked at after each call; the rest goes nowhere.
 */
static la_ssize_t on_write(struct archive *a, void *arg, const void *data, size_t len)
{
	struct kt_tar *t = arg;
	(void)a;
	if (t->fd >= 0 && kt_fs_write_all(t->fd, data, len, &t->write_err) != KT_OK)
		t->fd = -1;
	t->bytes += (int64_t)len;
	return (la_ssize_t)len;
}

static int set_filter(struct archive *a, const char *format, int64_t bytes)
{
	if (strcmp(format, "tar") == 0)
		return kt_archive->write_add_filter_none(a);
	if (strcmp(format, "tar.gz") == 0) {
		int rc = kt_archive->write_add_filter_gzip(a);
		if (rc == ARCHIVE_OK)
			rc = kt_archive->write_set_filter_option(
				a, "gzip", "compression-level", GZIP_LEVEL);
		/* Without a value: off. The time of writing would be in the header. */
		if (rc == ARCHIVE_OK)
			rc = kt_archive->write_set_filter_option(a, "gzip", "timestamp", NULL);
		return rc;
	}
	int rc = kt_archive->write_add_filter_zstd(a);
	if (rc == ARCHIVE_OK)
		rc = kt_archive->write_set_filter_option(
			a, "zstd", "compression-level", ZSTD_LEVEL);
	if (rc == ARCHIVE_OK && bytes >= THREADS_FROM_BYTES) {
		char threads[8];
		long cpus = sysconf(_SC_NPROCESSORS_ONLN);
		(void)snprintf(threads, sizeof(threads), "%d",
			(int)KT_MIN(KT_MAX(cpus, 1), (long)MAX_THREADS));
		/* A libzstd that was built without threads says no: then it takes longer. */
		(void)kt_archive->write_set_filter_option(a, "zstd", "threads", threads);
	}
	return rc;
}

enum kt_code kt_tar_open(
	const char *format, int64_t bytes, int fd, struct kt_tar **out, struct kt_err *err)
{
	if (strcmp(format, "tar") != 0 && strcmp(format, "tar.gz") != 0 &&
		strcmp(format, "tar.zst") != 0)
		return kt_fail(err, KT_EINVAL, 0,
			"archive format '%s' is not one of tar.zst, tar.gz, tar", format);
	enum kt_code rc = kt_archive_load(err);
	if (rc != KT_OK)
		return rc;
	struct kt_tar *t = kt_calloc(1, sizeof(*t));
	t->fd = fd;
	t->archive = kt_archive->write_new();
	t->entry = kt_archive->entry_new();
	kt_assert(t->archive != NULL && t->entry != NULL); /* memory is out, as in kt_malloc() */
	if (kt_archive->write_set_format_gnutar(t->archive) != ARCHIVE_OK ||
		set_filter(t->archive, format, bytes) != ARCHIVE_OK ||
		kt_archive->write_set_bytes_per_block(t->archive, BLOCK_BYTES) != ARCHIVE_OK ||
		kt_archive->write_set_bytes_in_last_block(t->archive, 1) != ARCHIVE_OK ||
		kt_archive->write_open2(t->archive, t, NULL, on_write, NULL, NULL) != ARCHIVE_OK)
		return kt_tar_close(t, tar_fail(t, "start", err), NULL, err);
	*out = t;
	return KT_OK;
}

enum kt_code kt_tar_member(struct kt_tar *t, const char *path, enum kt_file_mode mode, int64_t size,
	const char *target, struct kt_err *err)
{
	struct archive_entry *e = t->entry;
	(void)kt_archive->entry_clear(e);
	kt_archive->entry_set_pathname(e, path);
	kt_archive->entry_set_filetype(e, mode == KT_MODE_LINK ? S_IFLNK : S_IFREG);
	kt_archive->entry_set_perm(e,
		mode == KT_MODE_FILE           ? 0644
			: mode == KT_MODE_EXEC ? 0755
					       : 0777);
	kt_archive->entry_set_size(e, mode == KT_MODE_LINK ? 0 : size);
	kt_archive->entry_set_mtime(e, 0, 0);
	if (mode == KT_MODE_LINK)
		kt_archive->entry_set_symlink(e, target);
	if (kt_archive->write_header(t->archive, e) != ARCHIVE_OK || t->write_err.code != KT_OK)
		return tar_fail(t, path, err);
	return KT_OK;
}

enum kt_code kt_tar_data(struct kt_tar *t, const void *data, size_t len, struct kt_err *err)
{
	bool taken = len == 0 || kt_archive->write_data(t->archive, data, len) == (la_ssize_t)len;
	return taken && t->write_err.code == KT_OK ? KT_OK : tar_fail(t, "content", err);
}

enum kt_code kt_tar_close(struct kt_tar *t, enum kt_code rc, int64_t *out_bytes, struct kt_err *err)
{
	if (rc == KT_OK &&
		(kt_archive->write_close(t->archive) != ARCHIVE_OK || t->write_err.code != KT_OK))
		rc = tar_fail(t, "end", err);
	if (rc == KT_OK && out_bytes != NULL)
		*out_bytes = t->bytes;
	/* Freeing an archive that has not ended writes what it still has. */
	if (rc != KT_OK)
		t->fd = -1;
	(void)kt_archive->write_free(t->archive);
	kt_archive->entry_free(t->entry);
	free(t);
	return rc;
}

static enum kt_code write_tar_file(
	struct kt_tar *t, const struct kt_file *f, struct kt_buf *content, struct kt_err *err)
{
	const char *target = f->mode == KT_MODE_LINK ? content->ptr : NULL;
	if (content->len != (size_t)f->size)
		return kt_fail(err, KT_EPROTO, 0, "the content of '%s' has %zu bytes and not %lld",
			f->path, content->len, (long long)f->size);
	enum kt_code rc = kt_tar_member(t, f->path, f->mode, f->size, target, err);
	if (rc == KT_OK && target == NULL)
		rc = kt_tar_data(t, content->ptr, content->len, err);
	return rc;
}

enum kt_code kt_archive_write(const struct kt_manifest *m, const char *format, kt_file_read_fn read,
	void *arg, int fd, struct kt_err *err)
{
	struct kt_tar *t = NULL;
	KT_AUTO_BUF struct kt_buf content = KT_BUF_INIT(0);
	enum kt_code rc = kt_tar_open(format, m->n_bytes, fd, &t, err);
	if (rc != KT_OK)
		return rc;
	for (size_t i = 0; i < m->n_files && rc == KT_OK; i++) {
		const struct kt_file *f = &m->files[i];
		kt_buf_clear(&content);
		/* One byte more, so that a file that is too long shows. */
		content.max = (size_t)f->size + 1;
		rc = read(arg, f, &content, err);
		if (rc == KT_OK)
			rc = write_tar_file(t, f, &content, err);
	}
	return kt_tar_close(t, rc, NULL, err);
}
