/* SPDX-License-Identifier: MIT */
/*
 * Where the harness of a pinned session runs: a private copy of the release's tree, because it may
 * write, and the tree is shared. File systems that can share blocks do (FICLONE), but never by hard
 * links: a write through one would change the release for everybody. Copying and removing are done
 * on a thread of libuv's.
 */
#include "session/run/run_private.h"

#include "base/fs.h"
#include "base/log.h"
#include "base/str.h"
#include "store/datadir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DEPTH 64 /* twice what a release may have */
#define PIECE_BYTES (128 * 1024)

char *kt_session_workspace(const struct kt_session *s)
{
	return kt_data_session(s->reg->data_dir, s->id, "workspace");
}

char *kt_session_home(const struct kt_session *s)
{
	return kt_data_session(s->reg->data_dir, s->id, "home");
}

/* --- copying ----------------------------------------------------------------------------- */

struct copier {
	const atomic_bool *canceled;
	bool no_clone, no_range; /* the file system cannot: do not ask for each file */
};

static enum kt_code fail_at(struct kt_err *err, const char *name)
{
	return kt_fail(err, KT_EIO, errno, "cannot copy '%s'", name);
}

/* Through memory, where the kernel cannot do it alone. */
static int copy_bytes(struct copier *c, int from, int to)
{
	KT_AUTOFREE char *buf = kt_malloc(PIECE_BYTES);
	ssize_t n;

	while ((n = read(from, buf, PIECE_BYTES)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || kt_fs_write_all(to, buf, (size_t)n, NULL) != KT_OK)
			return -1;
		if (atomic_load(c->canceled)) {
			errno = ECANCELED;
			return -1;
		}
	}
	return 0;
}

static int copy_data(struct copier *c, int from, int to)
{
	ssize_t n;

	if (!c->no_clone && ioctl(to, FICLONE, from) == 0)
		return 0;
	c->no_clone = true;
	while (!c->no_range) {
		n = copy_file_range(from, NULL, to, NULL, 64 * PIECE_BYTES, 0);
		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR) {
			if (errno == ENOSPC || errno == EDQUOT || errno == EIO)
				return -1;
			/* Not between these two; what was copied so far stands. */
			c->no_range = true;
		}
		if (atomic_load(c->canceled)) {
			errno = ECANCELED;
			return -1;
		}
	}
	return copy_bytes(c, from, to);
}

static enum kt_code copy_file(struct copier *c, int from_dir, int to_dir, const char *name,
	mode_t mode, struct kt_err *err)
{
	KT_AUTOFD int from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	KT_AUTOFD int to = from < 0
		? -1
		: openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (from < 0 || to < 0 || copy_data(c, from, to) != 0 ||
		fchmod(to, (mode & 0777) | 0200) != 0)
		return fail_at(err, name);
	return KT_OK;
}

static enum kt_code copy_link(int from_dir, int to_dir, const char *name, struct kt_err *err)
{
	char target[4096];
	ssize_t n = readlinkat(from_dir, name, target, sizeof(target));

	if (n < 0 || (size_t)n >= sizeof(target))
		return fail_at(err, name);
	target[n] = '\0';
	return symlinkat(target, to_dir, name) == 0 ? KT_OK : fail_at(err, name);
}

static enum kt_code copy_tree(
	struct copier *c, int from, int to, unsigned depth, struct kt_err *err);

static enum kt_code copy_folder(struct copier *c, int from_dir, int to_dir, const char *name,
	mode_t mode, unsigned depth, struct kt_err *err)
{
	KT_AUTOFD int from = openat(
		from_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	KT_AUTOFD int to = -1;

	if (from < 0 || mkdirat(to_dir, name, 0700) != 0)
		return fail_at(err, name);
	to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0)
		return fail_at(err, name);
	enum kt_code rc = copy_tree(c, from, to, depth + 1, err);
	if (rc == KT_OK && fchmod(to, (mode & 0777) | 0700) != 0)
		return fail_at(err, name);
	return rc;
}

static enum kt_code copy_entry(
	struct copier *c, int from, int to, const char *name, unsigned depth, struct kt_err *err)
{
	struct stat st;

	if (atomic_load(c->canceled))
		return kt_fail(err, KT_ECANCEL, 0, "the server is shutting down");
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return fail_at(err, name);
	if (S_ISREG(st.st_mode))
		return copy_file(c, from, to, name, st.st_mode, err);
	if (S_ISLNK(st.st_mode))
		return copy_link(from, to, name, err);
	if (S_ISDIR(st.st_mode))
		return copy_folder(c, from, to, name, st.st_mode, depth, err);
	return KT_OK; /* a release has nothing else */
}

static enum kt_code copy_tree(
	struct copier *c, int from, int to, unsigned depth, struct kt_err *err)
{
	enum kt_code rc = KT_OK;
	const struct dirent *e;
	int fd = fcntl(from, F_DUPFD_CLOEXEC, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir) {
		if (fd >= 0)
			(void)close(fd);
		return fail_at(err, "a folder");
	}
	if (depth > MAX_DEPTH)
		rc = kt_fail(err, KT_ELIMIT, 0, "folders nest deeper than %d (fixed)", MAX_DEPTH);
	for (errno = 0; rc == KT_OK && (e = readdir(dir)) != NULL; errno = 0) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = copy_entry(c, from, to, e->d_name, depth, err);
	}
	if (rc == KT_OK && errno)
		rc = fail_at(err, "a folder");
	(void)closedir(dir);
	return rc;
}

/* --- the job ----------------------------------------------------------------------------- */

struct copy_job {
	struct kt_session_job job;
	char id[KT_ID_MAX];
	struct kt_app_ref *ref; /* keeps the tree; not for the thread */
	char *from, *to, *home;
	kt_ready_fn on_copied;
	enum kt_code rc;
	struct kt_err err;
};

static enum kt_code make_workspace(struct copy_job *copy)
{
	KT_AUTOFREE char *part = kt_asprintf("%s.part", copy->to);
	KT_AUTOFREE char *claude = kt_path_join(copy->home, ".claude");
	struct copier c = { .canceled = &copy->job.work.canceled };
	struct kt_err *err = &copy->err;
	enum kt_code rc = kt_fs_mkdirs(claude, 0700, err);

	if (rc == KT_OK)
		rc = kt_fs_remove_tree(part, err);
	if (rc == KT_OK)
		rc = kt_fs_mkdirs(part, 0700, err);
	if (rc != KT_OK)
		return rc;
	KT_AUTOFD int from = open(copy->from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	KT_AUTOFD int to = open(part, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0 || to < 0)
		return fail_at(err, copy->from);
	rc = copy_tree(&c, from, to, 0, err);
	if (rc != KT_OK)
		return rc;
	/* Whole or not there. */
	return rename(part, copy->to) == 0 ? KT_OK : fail_at(err, copy->to);
}

static void run_copy(struct kt_session_job *job)
{
	struct copy_job *copy = kt_container_of(job, struct copy_job, job);

	copy->rc = make_workspace(copy);
}

static void copy_over(struct kt_session_job *job)
{
	struct copy_job *copy = kt_container_of(job, struct copy_job, job);
	struct kt_sessions *reg = job->reg;
	struct kt_session *s = reg ? kt_session_get(reg, copy->id) : NULL;

	kt_session_job_end(job);
	kt_app_unref(copy->ref);
	if (s)
		copy->on_copied(s, copy->rc, &copy->err);
	free(copy->from);
	free(copy->to);
	free(copy->home);
	free(copy);
}

/* The control plane may be gone before the thread is done. */
static void copy_orphaned(struct kt_session_job *job)
{
	struct copy_job *copy = kt_container_of(job, struct copy_job, job);

	kt_app_unref(KT_STEAL(copy->ref));
}

void kt_workspace_make(struct kt_session *s, struct kt_app_ref *ref, kt_ready_fn on_copied)
{
	struct copy_job *copy = kt_calloc(1, sizeof(*copy));

	memcpy(copy->id, s->id, sizeof(copy->id));
	ref->refs++;
	copy->ref = ref;
	copy->from = kt_strdup(ref->dir);
	copy->to = kt_session_workspace(s);
	copy->home = kt_session_home(s);
	copy->on_copied = on_copied;
	copy->job.run = run_copy;
	copy->job.done = copy_over;
	copy->job.orphaned = copy_orphaned;
	kt_session_job_start(s->reg, KT_WORK_LONG, s->pin ? s->pin->target.org_id : "", &copy->job);
}

/* --- removing ---------------------------------------------------------------------------- */

struct remove_job {
	struct kt_session_job job;
	char *path;
	struct kt_err err;
	enum kt_code rc;
};

static void run_remove(struct kt_session_job *job)
{
	struct remove_job *rm = kt_container_of(job, struct remove_job, job);

	rm->rc = kt_fs_remove_tree(rm->path, &rm->err);
}

static void on_removed(struct kt_session_job *job)
{
	struct remove_job *rm = kt_container_of(job, struct remove_job, job);

	kt_session_job_end(job);
	/* The next start tries again. */
	if (rm->rc != KT_OK)
		kt_log(KT_LOG_WARN, "session", "%s", rm->err.msg);
	free(rm->path);
	free(rm);
}

/* TAKES path. */
static void remove_later(struct kt_sessions *reg, char *path)
{
	struct remove_job *rm = kt_calloc(1, sizeof(*rm));

	rm->path = path;
	rm->job.run = run_remove;
	rm->job.done = on_removed;
	kt_session_job_start(reg, KT_WORK_LONG, "", &rm->job);
}

/* Put the folder of a session that is no more into the trash, and empty that on a thread. */
static void to_trash(struct kt_sessions *reg, const char *id)
{
	KT_AUTOFREE char *dir = kt_data_session(reg->data_dir, id, NULL);
	KT_AUTOFREE char *trash = kt_data_path(reg->data_dir, KT_DATA_TRASH);
	KT_AUTOFREE char *there = kt_path_join(trash, id);
	struct kt_err err = KT_ERR_INIT;

	if (kt_fs_mkdirs(trash, 0700, &err) != KT_OK || rename(dir, there) != 0)
		kt_log(KT_LOG_WARN, "session", "cannot remove '%s': %s", dir,
			err.code ? err.msg : strerror(errno));
	else
		remove_later(reg, KT_STEAL(there));
}

/* The deletion that waited longest is on the disk, or cannot be. */
static void on_deleted(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct kt_sessions *reg = arg;
	KT_AUTOFREE char *id = kt_vec_remove(&reg->doomed, 0);

	if (rc == KT_OK)
		to_trash(reg, id);
}

void kt_session_remove_dir(const struct kt_session *s)
{
	struct kt_sessions *reg = s->reg;
	KT_AUTOFREE char *dir = kt_session_dir(s);
	struct kt_err err = KT_ERR_INIT;

	if (!reg->control) {
		if (kt_fs_remove_tree(dir, &err) != KT_OK)
			kt_log(KT_LOG_WARN, "session", "%s", err.msg);
		return;
	}
	if (!kt_fs_is_dir(dir))
		return; /* it never had a turn */
	/* A session that a power cut brings back must have its conversation. */
	kt_vec_push(&reg->doomed, kt_strdup(s->id));
	kt_sessions_sync(reg, on_deleted, reg);
}

void kt_doomed_release(struct kt_sessions *reg)
{
	for (size_t i = 0; i < reg->doomed.len; i++)
		free(reg->doomed.items[i]);
	kt_vec_release(&reg->doomed);
}

/* --- what was left ----------------------------------------------------------------------- */

struct look_job {
	struct kt_session_job job;
	char *path;
	char **names;
	size_t n;
};

static void run_look(struct kt_session_job *job)
{
	struct look_job *look = kt_container_of(job, struct look_job, job);

	if (kt_fs_list(look->path, &look->names, &look->n, NULL) != KT_OK)
		look->n = 0;
}

static void on_looked(struct kt_session_job *job)
{
	struct look_job *look = kt_container_of(job, struct look_job, job);
	struct kt_sessions *reg = job->reg;

	kt_session_job_end(job);
	for (size_t i = 0; reg && i < look->n; i++)
		if (kt_str_starts(look->names[i], "sess_") && !kt_session_get(reg, look->names[i]))
			to_trash(reg, look->names[i]);
	if (look->names)
		kt_fs_names_free(look->names, look->n);
	free(look->path);
	free(look);
}

void kt_trash_empty(struct kt_sessions *reg)
{
	KT_AUTOFREE char *trash = kt_data_path(reg->data_dir, KT_DATA_TRASH);
	KT_AUTOFREE char *old = kt_data_path(reg->data_dir, KT_DATA_TRASH_OLD);
	struct look_job *look;

	/* Under another name, so that what is deleted from now on is not in the way. */
	(void)rename(trash, old);
	if (kt_fs_is_dir(old))
		remove_later(reg, KT_STEAL(old));
	/*
	 * Whose session is deleted, but was not in the trash yet. A damaged line may be a session
	 * that somebody wants back.
	 */
	if (reg->journal_damaged)
		return;
	look = kt_calloc(1, sizeof(*look));
	look->path = kt_data_path(reg->data_dir, KT_DATA_SESSIONS);
	look->job.run = run_look;
	look->job.done = on_looked;
	kt_session_job_start(reg, KT_WORK_LONG, "", &look->job);
}
