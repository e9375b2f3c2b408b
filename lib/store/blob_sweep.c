/* SPDX-License-Identifier: MIT */
/* Walking through all blobs, and deleting those that nobody wants to keep. */
#include "store/blob_private.h"

#include "base/fs.h"
#include "base/str.h"
#include "base/time.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMP_AGE_S 3600 /* no file takes longer to be written */

struct sweep {
	struct kt_blobs *b;
	bool (*keep)(
		void *arg, const char *org_id, const char *digest, int64_t size, int64_t age_s);
	void *arg;
	const char *org_id;
	size_t deleted;
	struct kt_err *err;
};

static enum kt_code drop_blob(struct sweep *s, const char *name)
{
	if (unlinkat(s->b->dir_fd, name, 0) != 0 && errno != ENOENT)
		return kt_fail(s->err, KT_EIO, errno, "cannot delete '%s/%s'", s->b->dir, name);
	return KT_OK;
}

/* What is no blob: old temporary files and twins without a blob go, others are not ours. */
static enum kt_code sweep_other(struct sweep *s, const char *path, const char *file, int64_t age_s)
{
	char blob[2 * KT_BLOB_NAME_MAX];

	if (kt_str_starts(file, KT_BLOB_TEMP))
		return age_s > TEMP_AGE_S ? drop_blob(s, path) : KT_OK;
	if (strlen(file) != KT_DIGEST_MAX + 1 || !kt_str_ends(file, ".x"))
		return KT_OK;
	(void)snprintf(blob, sizeof(blob), "%.*s", (int)strlen(path) - 2, path);
	/* Not kt_blobs_has(): looking is no use of it. */
	if (faccessat(s->b->dir_fd, blob, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
		return KT_OK;
	return drop_blob(s, path);
}

static int64_t age_of(const struct stat *st)
{
	return KT_MAX(kt_time_us() / 1000000 - (int64_t)st->st_mtime, 0);
}

/* Keep or delete one blob; who asks for it meanwhile finds it deleted or makes it young before. */
static enum kt_code sweep_blob(struct sweep *s, const char *path, const char *digest)
{
	struct stat st;
	bool kept = true;
	enum kt_code rc = KT_OK;

	kt_assert(pthread_mutex_lock(&s->b->age_mutex) == 0);
	if (fstatat(s->b->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		kept = s->keep(s->arg, s->org_id, digest, st.st_size, age_of(&st));
	if (!kept)
		rc = drop_blob(s, path);
	kt_assert(pthread_mutex_unlock(&s->b->age_mutex) == 0);
	if (!kept && rc == KT_OK)
		s->deleted++;
	return rc;
}

static enum kt_code sweep_file(struct sweep *s, const char *folder, const char *file)
{
	char path[2 * KT_BLOB_NAME_MAX];
	struct stat st;

	if (snprintf(path, sizeof(path), "%s/%s", folder, file) >= (int)sizeof(path))
		return KT_OK; /* longer than any name of ours */
	if (fstatat(s->b->dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT
			? KT_OK
			: kt_fail(s->err, KT_EIO, errno, "cannot look at '%s/%s'", s->b->dir, path);
	if (!S_ISREG(st.st_mode))
		return KT_OK;
	/* A twin sorts after its blob, so it goes in the same sweep. */
	return kt_digest_ok(file) ? sweep_blob(s, path, file)
				  : sweep_other(s, path, file, age_of(&st));
}

/* Call fn for every name of a folder of the store. */
static enum kt_code each_name(struct sweep *s, const char *folder,
	enum kt_code (*fn)(struct sweep *s, const char *folder, const char *name))
{
	KT_AUTOFREE char *path = kt_path_join(s->b->dir, folder);
	char **names = NULL;
	size_t n = 0;
	enum kt_code rc = kt_fs_list(path, &names, &n, s->err);

	if (rc == KT_ENOTFOUND)
		return KT_OK; /* not a folder, or gone */
	for (size_t i = 0; rc == KT_OK && i < n; i++)
		rc = fn(s, folder, names[i]);
	if (names)
		kt_fs_names_free(names, n);
	return rc;
}

static enum kt_code sweep_folder(struct sweep *s, const char *org_id, const char *name)
{
	char folder[KT_BLOB_NAME_MAX];

	if (strlen(name) != 2)
		return KT_OK;
	(void)snprintf(folder, sizeof(folder), "%s/%s", org_id, name);
	return each_name(s, folder, sweep_file);
}

static enum kt_code sweep_org(struct sweep *s, const char *top, const char *name)
{
	(void)top;
	if (strlen(name) >= KT_ID_MAX)
		return KT_OK;
	s->org_id = name;
	return each_name(s, name, sweep_folder);
}

enum kt_code kt_blobs_sweep(struct kt_blobs *b,
	bool (*keep)(
		void *arg, const char *org_id, const char *digest, int64_t size, int64_t age_s),
	void *arg, size_t *out_deleted, struct kt_err *err)
{
	struct sweep s = { .b = b, .keep = keep, .arg = arg, .err = err };
	enum kt_code rc = each_name(&s, ".", sweep_org);

	if (rc == KT_OK)
		*out_deleted = s.deleted;
	return rc;
}
