/* SPDX-License-Identifier: MIT */
/*
 * Laid-out trees: releases/ORG_ID/DIGEST/ is what a harness runs in, made of hard links to blobs,
 * with DIGEST.ok beside it when it is complete. Trees are a cache of the blobs: they can be made
 * again at any time, so nothing here is synced, and what has no marker is thrown away.
 *
 * Blocking and thread-safe: a tree is built under a name of its own; only its last step, from the
 * look at the marker to the marker, is for one thread at a time.
 */
#include "control/release/release_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "store/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPLIT_FILES 500 /* so many are worth a second thread */

static pthread_mutex_t place_mutex = PTHREAD_MUTEX_INITIALIZER;

char *kt_layout_path(const struct kt_control *ctl, const char *org_id, const char *digest)
{
	return kt_data_tree(ctl->data_dir, org_id, digest);
}

static char *marker_path(const struct kt_control *ctl, const char *org_id, const char *digest)
{
	KT_AUTOFREE char *name = kt_asprintf("%s.ok", digest);

	return kt_data_tree(ctl->data_dir, org_id, name);
}

bool kt_layout_ready(const struct kt_control *ctl, const char *org_id, const char *digest)
{
	KT_AUTOFREE char *marker = marker_path(ctl, org_id, digest);

	return faccessat(AT_FDCWD, marker, F_OK, 0) == 0;
}

enum kt_code kt_layout_read_manifest(struct kt_blobs *blobs, const char *org_id, const char *digest,
	struct kt_manifest **out, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_MANIFEST_BYTES);
	struct kt_pack_limits any;
	struct kt_manifest *m = NULL;
	enum kt_code rc = kt_blobs_read(blobs, org_id, digest, &text, err);

	if (rc != KT_OK)
		return rc;
	/* It was within the limits of its day; those of today do not take it away. */
	kt_pack_limits_init(&any);
	any.max_files = INT64_MAX;
	any.max_bytes = INT64_MAX;
	any.max_file_bytes = INT64_MAX;
	rc = kt_manifest_take(&text, &any, &m, err);
	if (rc != KT_OK)
		return rc == KT_ENOMEM ? rc : kt_fail(err, KT_EPROTO, 0, "its manifest is damaged");
	if (strcmp(m->digest, digest) != 0) {
		kt_manifest_free(m);
		return kt_fail(err, KT_EPROTO, 0, "its manifest has another digest than its name");
	}
	*out = m;
	return KT_OK;
}

enum kt_code kt_layout_manifest(const struct kt_control *ctl, const char *org_id,
	const char *digest, struct kt_manifest **out, struct kt_err *err)
{
	enum kt_code rc = kt_layout_read_manifest(ctl->blobs, org_id, digest, out, err);

	return rc == KT_EPROTO ? kt_fail(err, rc, 0, "the manifest %.12s is damaged", digest) : rc;
}

/* --- building ---------------------------------------------------------------------------- */

struct tree {
	const struct kt_control *ctl;
	const char *org_id;
	int fd; /* of the folder that becomes the tree */
	char made[KT_MAX_PACK_PATH_BYTES + 1]; /* folder of the file before: it is there */
	size_t made_len;
};

/* Make the folders of path; files are sorted, so most share those of the one before. */
static enum kt_code make_parents(struct tree *t, const char *path, struct kt_err *err)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	char dir[sizeof(t->made)];

	if (len >= sizeof(dir))
		return kt_fail(err, KT_ELIMIT, 0, "the path '%s' is too long", path);
	if (len == 0 ||
		(len <= t->made_len && !memcmp(t->made, path, len) &&
			(t->made[len] == '/' || t->made[len] == '\0')))
		return KT_OK;
	memcpy(dir, path, len);
	dir[len] = '\0';
	for (size_t i = 1; i <= len; i++) {
		char c = dir[i];

		if (c != '/' && c != '\0')
			continue;
		/* As far as the last one goes, they are there. */
		if (i <= t->made_len && !memcmp(t->made, dir, i) &&
			(t->made[i] == '/' || t->made[i] == '\0'))
			continue;
		dir[i] = '\0';
		if (mkdirat(t->fd, dir, 0755) != 0 && errno != EEXIST)
			return kt_fail(err, KT_EIO, errno, "cannot make the folder '%s'", dir);
		dir[i] = c;
	}
	memcpy(t->made, dir, len + 1);
	t->made_len = len;
	return KT_OK;
}

static enum kt_code put_link(struct tree *t, const struct kt_file *f, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf target = KT_BUF_INIT(KT_MAX_PATH_BYTES);
	enum kt_code rc = kt_blobs_read(t->ctl->blobs, t->org_id, f->digest, &target, err);

	if (rc != KT_OK)
		return rc;
	rc = kt_manifest_check_link(f, target.ptr, target.len, err);
	if (rc != KT_OK)
		return rc;
	if (symlinkat(target.ptr, t->fd, f->path) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot make the link '%s'", f->path);
	return KT_OK;
}

static enum kt_code put_file(struct tree *t, const struct kt_file *f, struct kt_err *err)
{
	struct stat st;
	enum kt_code rc = make_parents(t, f->path, err);

	if (rc != KT_OK)
		return rc;
	if (f->mode == KT_MODE_LINK)
		return put_link(t, f, err);
	rc = kt_blobs_link(
		t->ctl->blobs, t->org_id, f->digest, f->mode == KT_MODE_EXEC, t->fd, f->path, err);
	if (rc != KT_OK)
		return rc;
	/* Cheap, and tells a blob that was cut short from a whole one. */
	if (fstatat(t->fd, f->path, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot look at '%s'", f->path);
	if (st.st_size != f->size)
		return kt_fail(err, KT_EPROTO, 0, "the file '%s' is damaged: %lld bytes, not %lld",
			f->path, (long long)st.st_size, (long long)f->size);
	return KT_OK;
}

/* A run of a manifest's files. */
struct part {
	struct tree tree;
	const struct kt_file *files;
	size_t n;
	enum kt_code rc;
	struct kt_err err;
};

static void *put_part(void *arg)
{
	struct part *p = arg;

	for (size_t i = 0; p->rc == KT_OK && i < p->n; i++)
		p->rc = put_file(&p->tree, &p->files[i], &p->err);
	return NULL;
}

/* The thread inherits the mask: signals are the loop's. */
static bool part_start_thread(pthread_t *out, struct part *p)
{
	sigset_t all, before;
	int e;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	e = pthread_create(out, NULL, put_part, p);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return e == 0;
}

/*
 * Put the files of m. Making links is all system calls, of which two threads do twice as many; they
 * may meet in a folder.
 */
static enum kt_code tree_put_all(
	const struct tree *t, const struct kt_manifest *m, struct kt_err *err)
{
	size_t half = m->n_files < SPLIT_FILES ? m->n_files : m->n_files / 2;
	struct part a = { .tree = *t, .files = m->files, .n = half, .err = KT_ERR_INIT };
	struct part b = {
		.tree = *t, .files = m->files + half, .n = m->n_files - half, .err = KT_ERR_INIT
	};
	pthread_t thread;
	bool threaded = b.n > 0 && part_start_thread(&thread, &b);

	(void)put_part(&a);
	if (threaded)
		(void)pthread_join(thread, NULL);
	else
		(void)put_part(&b);
	if (a.rc == KT_OK)
		a = b;
	if (a.rc != KT_OK && err)
		*err = a.err;
	return a.rc;
}

static enum kt_code build_tree(const struct kt_control *ctl, const char *org_id, const char *digest,
	const char *dir, struct kt_err *err)
{
	struct kt_manifest *m = NULL;
	struct tree t = { .ctl = ctl, .org_id = org_id };
	KT_AUTOFD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum kt_code rc;

	/* mkdtemp() made it for us alone; a harness may run as somebody else. */
	if (fd < 0 || fchmod(fd, 0755) != 0)
		return kt_fail(err, KT_EIO, errno, "cannot open '%s'", dir);
	rc = kt_layout_manifest(ctl, org_id, digest, &m, err);
	t.fd = fd;
	if (rc == KT_OK)
		rc = tree_put_all(&t, m, err);
	kt_manifest_free(m);
	return rc;
}

/* Give the finished tree its name, unless another thread was faster. */
static enum kt_code tree_place(const struct kt_control *ctl, const char *org_id, const char *digest,
	const char *temp, struct kt_err *err)
{
	KT_AUTOFREE char *path = kt_layout_path(ctl, org_id, digest);
	KT_AUTOFREE char *marker = marker_path(ctl, org_id, digest);
	int fd;

	if (kt_layout_ready(ctl, org_id, digest))
		return KT_OK;
	if (rename(temp, path) != 0) {
		/* The rest of a crash: it has no marker, so nobody uses it. */
		enum kt_code rc = kt_fs_remove_tree(path, err);

		if (rc != KT_OK)
			return rc;
		if (rename(temp, path) != 0)
			return kt_fail(err, KT_EIO, errno, "cannot rename '%s'", temp);
	}
	fd = open(marker, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return kt_fail(err, KT_EIO, errno, "cannot make '%s'", marker);
	(void)close(fd);
	return KT_OK;
}

enum kt_code kt_layout_make(
	const struct kt_control *ctl, const char *org_id, const char *digest, struct kt_err *err)
{
	KT_AUTOFREE char *parent = kt_data_tree(ctl->data_dir, org_id, NULL);
	KT_AUTOFREE char *temp = kt_asprintf("%s/.tmp-XXXXXX", parent);
	enum kt_code rc;

	if (kt_layout_ready(ctl, org_id, digest))
		return KT_OK;
	rc = kt_fs_mkdirs(parent, 0755, err);
	if (rc != KT_OK)
		return rc;
	if (!mkdtemp(temp))
		return kt_fail(err, KT_EIO, errno, "cannot make a folder in '%s'", parent);
	rc = build_tree(ctl, org_id, digest, temp, err);
	if (rc == KT_OK) {
		pthread_mutex_lock(&place_mutex);
		rc = tree_place(ctl, org_id, digest, temp, err);
		pthread_mutex_unlock(&place_mutex);
	}
	/* Gone when it got its name; removing what is not there is fine. */
	if (kt_fs_remove_tree(temp, NULL) != KT_OK && rc == KT_OK)
		rc = kt_fail(err, KT_EIO, 0, "cannot remove '%s'", temp);
	return rc;
}

void kt_layout_drop(
	const struct kt_control *ctl, const char *org_id, const char *digest, char **out_path)
{
	KT_AUTOFREE char *path = kt_layout_path(ctl, org_id, digest);
	KT_AUTOFREE char *marker = marker_path(ctl, org_id, digest);
	KT_AUTOFREE char *name = NULL;
	char id[KT_ID_MAX];
	char *away;

	*out_path = NULL;
	kt_rand_id("", id);
	name = kt_asprintf(".tmp-%s", id);
	away = kt_data_tree(ctl->data_dir, org_id, name);
	pthread_mutex_lock(&place_mutex);
	(void)unlink(marker);
	if (rename(path, away) == 0)
		*out_path = KT_STEAL(away);
	pthread_mutex_unlock(&place_mutex);
	free(away);
}
