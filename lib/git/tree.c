/* SPDX-License-Identifier: MIT */
/*
 * Trees: a manifest with the means to read its files. The digests of what is not remembered are
 * computed by all processors.
 */
#include "git/tree_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/vec.h"
#include "git/cache_private.h"
#include "git/lfs_private.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define MAX_THREADS 4
#define FILES_PER_THREAD 32 /* fewer are not worth a thread */
#define PROGRESS_FILES 64

void kt_tree_free(struct kt_tree *t)
{
	if (t == NULL)
		return;
	kt_manifest_free(t->m);
	for (size_t i = 0; t->kept != NULL && i < t->n_kept; i++)
		if (t->kept[i] != NULL)
			kt_git->odb_object_free(t->kept[i]);
	free(t->kept);
	for (size_t i = 0; i < t->n_lfs; i++)
		free(t->lfs[i]);
	free(t->lfs);
	free(t->lfs_store);
	if (t->odb != NULL)
		kt_git->odb_free(t->odb);
	kt_git_repo_cleanup(&t->repo);
	free(t->oids);
	free(t->root);
	free(t->subject);
	free(t->sub);
	free(t);
}

const struct kt_manifest *kt_tree_manifest(const struct kt_tree *t)
{
	return t->m;
}

const char *kt_tree_subject(const struct kt_tree *t)
{
	return t->subject != NULL ? t->subject : "";
}

/* --- digests ----------------------------------------------------------------------------- */

struct hashing {
	struct kt_tree *t;
	const struct kt_files *files;
	const size_t *todo; /* indexes of files */
	size_t n_todo;
	struct kt_blob_note *notes; /* one for each of todo */
	const struct kt_tree_options *opts;
	size_t n_known; /* files that are done before */
	atomic_size_t next;
	atomic_size_t done;
	atomic_size_t names; /* of the folder of objects, one for each thread */
	atomic_llong bytes;
	atomic_llong kept; /* bytes of contents in t->kept, and of those that did not fit */
	atomic_bool stop;
	pthread_mutex_t lock;
	size_t failed_at; /* guarded by lock */
	struct kt_err err; /* of failed_at, guarded by lock */
};

/* Count bytes before they are read; over the limit the rest need not be. */
static enum kt_code count_bytes(
	struct hashing *h, const struct kt_file *f, int64_t size, struct kt_err *err)
{
	const struct kt_pack_limits *l = &h->opts->limits;
	if (size > l->max_file_bytes)
		return kt_fail(err, KT_ELIMIT, 0,
			"file '%s' has %lld bytes, over the limit max_file_bytes of %lld", f->path,
			(long long)size, (long long)l->max_file_bytes);
	if (atomic_fetch_add(&h->bytes, size) > l->max_bytes - size)
		return kt_fail(err, KT_ELIMIT, 0,
			"file '%s': all files together are over the limit max_release_bytes of "
			"%lld",
			f->path, (long long)l->max_bytes);
	return KT_OK;
}

static enum kt_code hash_blob(struct hashing *h, git_odb *odb, struct kt_sha256 *sha, size_t i,
	struct kt_blob_note *out, struct kt_err *err)
{
	const struct kt_file *f = &h->files->items[i];
	git_odb_object *blob = NULL;
	size_t size = 0;
	git_object_t type = GIT_OBJECT_ANY;
	/* What is wrong with the object shows when it is read. */
	if (kt_git->odb_read_header(&size, &type, odb, &h->t->oids[i]) < 0)
		size = 0;
	enum kt_code rc = count_bytes(h, f, (int64_t)size, err);
	if (rc == KT_OK)
		rc = kt_git_blob(odb, &h->t->oids[i], f->path, &blob, err);
	if (rc != KT_OK)
		return rc;
	const void *data = kt_git->odb_object_data(blob);
	size = kt_git->odb_object_size(blob);
	kt_sha256_update(sha, data, size);
	kt_sha256_hex(sha, out->digest);
	out->size = (int64_t)size;
	out->lfs = kt_lfs_is_pointer(data, size);
	if (atomic_fetch_add(&h->kept, (long long)size) + (long long)size <= KT_KEEP_BYTES)
		h->t->kept[i] = blob;
	else
		kt_git->odb_object_free(blob);
	return KT_OK;
}

static enum kt_code hash_link(struct hashing *h, const char *full, const struct kt_file *f,
	struct kt_blob_note *out, struct kt_err *err)
{
	char target[KT_MAX_PACK_PATH_BYTES + 1];
	ssize_t n = readlink(full, target, sizeof(target));
	if (n != f->size)
		return kt_tree_changed(f, err);
	/* Checked again: it is this target that is packed. */
	enum kt_code rc = kt_manifest_check_link(f, target, (size_t)n, err);
	if (rc == KT_OK)
		rc = count_bytes(h, f, n, err);
	kt_sha256_of(target, (size_t)n, out->digest);
	out->size = n;
	return rc;
}

static enum kt_code hash_file(struct hashing *h, struct kt_sha256 *sha, size_t i,
	struct kt_blob_note *out, struct kt_err *err)
{
	const struct kt_file *f = &h->files->items[i];
	*out = (struct kt_blob_note){ 0 };
	if (f->mode == KT_MODE_LINK) {
		KT_AUTOFREE char *full = kt_path_join(h->t->root, f->path);
		return hash_link(h, full, f, out, err);
	}
	KT_AUTOFD int fd = -1;
	enum kt_code rc = count_bytes(h, f, f->size, err);
	if (rc == KT_OK)
		rc = kt_tree_open(h->t, f, &fd, err);
	if (rc != KT_OK)
		return rc;
	KT_AUTOFREE char *buf = kt_malloc(KT_TREE_READ_BYTES);
	ssize_t n;
	while ((n = kt_tree_read_some(fd, buf, KT_TREE_READ_BYTES)) > 0 && out->size <= f->size) {
		if (out->size == 0)
			out->lfs = kt_lfs_is_pointer(buf, (size_t)n);
		out->size += n;
		kt_sha256_update(sha, buf, (size_t)n);
	}
	kt_sha256_hex(sha, out->digest);
	if (n < 0)
		return kt_fail(err, KT_EIO, errno, "cannot read '%s'", f->path);
	return out->size == f->size ? KT_OK : kt_tree_changed(f, err);
}

static void note_failure(struct hashing *h, size_t i, const struct kt_err *err)
{
	(void)pthread_mutex_lock(&h->lock);
	if (h->err.code == KT_OK || i < h->failed_at) {
		h->failed_at = i;
		h->err = *err;
	}
	(void)pthread_mutex_unlock(&h->lock);
	atomic_store(&h->stop, true);
}

/* Take files until there are none. odb: NULL for a folder. report: in the caller's own thread. */
static void hash_some(struct hashing *h, git_odb *odb, bool report)
{
	struct kt_sha256 *sha = kt_sha256_new();
	struct kt_err err = KT_ERR_INIT;
	for (;;) {
		size_t k = atomic_fetch_add(&h->next, 1);
		if (k >= h->n_todo || atomic_load(&h->stop))
			break;
		enum kt_code rc = odb != NULL
			? hash_blob(h, odb, sha, h->todo[k], &h->notes[k], &err)
			: hash_file(h, sha, h->todo[k], &h->notes[k], &err);
		if (rc != KT_OK) {
			note_failure(h, k, &err);
			break;
		}
		size_t done = atomic_fetch_add(&h->done, 1) + 1;
		if (report && h->opts->progress != NULL && done % PROGRESS_FILES == 0)
			h->opts->progress(h->opts->arg, h->n_known + done, h->files->len);
	}
	kt_sha256_free(sha);
}

/*
 * libgit2 inflates one object of a pack at a time, for all who have the pack open by the same name.
 * So each thread opens the objects by another name of the same folder.
 */
static void *hash_thread(void *arg)
{
	struct hashing *h = arg;
	git_odb *odb = NULL;
	if (h->t->odb == NULL) {
		hash_some(h, NULL, false);
		return NULL;
	}
	KT_AUTO_BUF struct kt_buf path = KT_BUF_INIT(KT_MAX_PATH_BYTES);
	kt_buf_adds(&path, kt_git->repository_commondir(h->t->repo));
	for (size_t i = atomic_fetch_add(&h->names, 1) + 1; i > 0; i--)
		kt_buf_adds(&path, "/.");
	kt_buf_adds(&path, "/objects");
	/* Without it the other threads do the work. */
	if (kt_buf_ok(&path) && kt_git->odb_open(&odb, path.ptr) == 0) {
		hash_some(h, odb, false);
		kt_git->odb_free(odb);
	}
	return NULL;
}

static enum kt_code hash_all(struct hashing *h, struct kt_err *err)
{
	pthread_t threads[MAX_THREADS - 1];
	size_t n_threads = 0;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t want = KT_MIN((size_t)KT_MAX(cpus, 1), (size_t)MAX_THREADS);
	want = KT_MIN(want, h->n_todo / FILES_PER_THREAD + 1);
	(void)pthread_mutex_init(&h->lock, NULL);
	while (n_threads + 1 < want &&
		pthread_create(&threads[n_threads], NULL, hash_thread, h) == 0)
		n_threads++;
	hash_some(h, h->t->odb, true);
	while (n_threads > 0)
		(void)pthread_join(threads[--n_threads], NULL);
	(void)pthread_mutex_destroy(&h->lock);
	if (h->err.code != KT_OK && err != NULL)
		*err = h->err;
	return h->err.code;
}

static enum kt_code refuse_lfs(
	const struct kt_file *f, const struct kt_tree_options *opts, struct kt_err *err)
{
	if (opts->elsewhere != NULL)
		*opts->elsewhere = true;
	(void)kt_fail(
		err, KT_EINVAL, 0, "'%s' is a Git LFS pointer, its content is not here", f->path);
	return kt_hint(err, "run: git lfs pull, then push or deploy again");
}

/* File i of a commit is a pointer: what it stands for takes its place, when it is here. */
static bool take_lfs(struct kt_tree *t, struct kt_files *files, size_t i)
{
	struct kt_file *f = &files->items[i];
	git_odb_object *blob = NULL;
	struct kt_lfs lfs;
	if (t->odb == NULL || kt_git_blob(t->odb, &t->oids[i], f->path, &blob, NULL) != KT_OK)
		return false;
	bool known = kt_lfs_parse(
		kt_git->odb_object_data(blob), kt_git->odb_object_size(blob), &lfs);
	kt_git->odb_object_free(blob);
	if (!known)
		return false;
	if (t->lfs == NULL) {
		t->lfs = kt_calloc(files->len, sizeof(*t->lfs));
		t->n_lfs = files->len;
		t->lfs_store = kt_lfs_store(t->repo);
	}
	t->lfs[i] = kt_lfs_path(t->lfs_store, &lfs);
	if (t->lfs[i] == NULL)
		return false;
	f->size = lfs.size;
	memcpy(f->digest, lfs.digest, sizeof(f->digest));
	return true;
}

static enum kt_code take_note(struct kt_tree *t, struct kt_files *files, size_t i,
	const struct kt_blob_note *note, const struct kt_tree_options *opts, struct kt_err *err)
{
	struct kt_file *f = &files->items[i];
	f->size = note->size;
	memcpy(f->digest, note->digest, sizeof(f->digest));
	if (!note->lfs || f->mode == KT_MODE_LINK || take_lfs(t, files, i))
		return KT_OK;
	return refuse_lfs(f, opts, err);
}

/* Size and digest of each file; d (or NULL) is asked first and told what is new. */
static enum kt_code fill_tree(struct kt_tree *t, struct kt_files *files,
	const struct kt_tree_options *opts, struct kt_digests *d, struct kt_err *err)
{
	KT_AUTOFREE size_t *todo = kt_calloc(files->len + 1, sizeof(*todo));
	size_t n_todo = 0;
	enum kt_code rc = KT_OK;
	for (size_t i = 0; i < files->len && rc == KT_OK; i++) {
		struct kt_blob_note note;
		if (d != NULL && kt_digests_get(d, t->oids[i].id, &note))
			rc = take_note(t, files, i, &note, opts, err);
		else
			todo[n_todo++] = i;
	}
	if (rc != KT_OK || n_todo == 0)
		return rc;
	KT_AUTOFREE struct kt_blob_note *notes = kt_calloc(n_todo, sizeof(*notes));
	if (t->odb != NULL) {
		t->kept = kt_calloc(files->len, sizeof(*t->kept));
		t->n_kept = files->len;
	}
	struct hashing h = { .t = t,
		.files = files,
		.todo = todo,
		.n_todo = n_todo,
		.notes = notes,
		.opts = opts,
		.n_known = files->len - n_todo,
		.err = KT_ERR_INIT };
	rc = hash_all(&h, err);
	for (size_t k = 0; k < n_todo && rc == KT_OK; k++) {
		if (d != NULL)
			kt_digests_put(d, t->oids[todo[k]].id, &notes[k]);
		rc = take_note(t, files, todo[k], &notes[k], opts, err);
	}
	return rc;
}

/* --- commits ----------------------------------------------------------------------------- */

/* Links of a commit; their targets are small, and only the path tells whether they are fine. */
static enum kt_code check_links(struct kt_tree *t, struct kt_files *files, struct kt_err *err)
{
	enum kt_code rc = KT_OK;
	for (size_t i = 0; i < files->len && rc == KT_OK; i++) {
		git_odb_object *blob = NULL;
		const struct kt_file *f = &files->items[i];
		if (f->mode != KT_MODE_LINK || f->size > KT_MAX_PACK_PATH_BYTES)
			continue; /* too long: the manifest's limit says so */
		rc = kt_git_blob(t->odb, &t->oids[i], f->path, &blob, err);
		if (rc != KT_OK)
			break;
		rc = kt_manifest_check_link(
			f, kt_git->odb_object_data(blob), kt_git->odb_object_size(blob), err);
		kt_git->odb_object_free(blob);
	}
	return rc;
}

/* A folder inside the tree: "app/", "./app" and "" are fine; what leaves the tree is not. */
static enum kt_code clean_sub(const char *sub, char **out, struct kt_err *err)
{
	struct kt_buf b = KT_BUF_INIT(KT_MAX_PATH_BYTES);
	const char *s = sub != NULL ? sub : "";
	enum kt_code rc = KT_OK;
	if (s[0] == '/')
		rc = kt_fail(err, KT_EINVAL, 0, "'%s' is absolute", s);
	while (*s != '\0' && rc == KT_OK) {
		size_t n = strcspn(s, "/");
		if (n == 2 && s[0] == '.' && s[1] == '.')
			rc = kt_fail(err, KT_EINVAL, 0, "'%s' leads out of the folder", sub);
		if (n > 1 || (n == 1 && s[0] != '.')) {
			if (b.len > 0)
				kt_buf_addc(&b, '/');
			kt_buf_add(&b, s, n);
		}
		s += n;
		s += *s == '/';
	}
	if (rc == KT_OK && !kt_buf_ok(&b))
		rc = kt_fail(err, KT_ELIMIT, 0, "'%.100s' is too long", sub);
	if (rc == KT_OK)
		*out = kt_buf_take(&b);
	kt_buf_release(&b);
	return rc;
}

static enum kt_code check_order(
	const struct kt_manifest *m, const struct kt_files *files, struct kt_err *err)
{
	for (size_t i = 0; i < m->n_files; i++)
		if (strcmp(m->files[i].path, files->items[i].path) != 0)
			return kt_fail(err, KT_EPROTO, 0,
				"the folder of '%s' is not sorted: the repository is damaged",
				files->items[i].path);
	return KT_OK;
}

static enum kt_code load_commit(struct kt_tree *t, git_commit *commit,
	const struct kt_tree_options *opts, const char *sub, struct kt_err *err)
{
	struct kt_files files = { 0 };
	const char *subject = kt_git->commit_summary(commit);
	t->subject = kt_strdup(subject != NULL ? subject : "");
	t->sub = kt_strdup(sub);
	if (kt_git->repository_odb(&t->odb, t->repo) < 0)
		return kt_git_fail(err, KT_EIO, "cannot read the repository's objects");
	struct kt_digests *d = kt_digests_open(kt_git->repository_commondir(t->repo));
	enum kt_code rc = kt_git_walk(t->repo, commit, sub, opts, &files, &t->oids, err);
	if (rc == KT_OK)
		rc = fill_tree(t, &files, opts, d, err);
	if (rc == KT_OK)
		rc = check_links(t, &files, err);
	if (rc == KT_OK)
		rc = kt_manifest_make(files.items, files.len, &opts->limits, &t->m, err);
	if (rc == KT_OK)
		rc = check_order(t->m, &files, err);
	kt_digests_save(d); /* also of a tree that is refused: it is tried again */
	kt_digests_free(d);
	kt_files_release(&files);
	return rc;
}

enum kt_code kt_tree_commit(const char *dir, const char *rev, const struct kt_tree_options *opts,
	struct kt_tree **out, struct kt_err *err)
{
	KT_AUTOFREE char *sub = NULL;
	git_commit *commit = NULL;
	struct kt_tree *t = kt_calloc(1, sizeof(*t));
	enum kt_code rc = clean_sub(opts->sub, &sub, err);
	if (rc == KT_OK)
		rc = kt_git_open(dir, true, &t->repo, err);
	if (rc == KT_OK)
		rc = kt_git_commit(t->repo, rev, &commit, err);
	if (rc == KT_OK) {
		rc = load_commit(t, commit, opts, sub, err);
		kt_git->object_free((git_object *)commit);
	}
	if (rc == KT_OK)
		*out = t;
	else
		kt_tree_free(t);
	return rc;
}

/* --- folders ----------------------------------------------------------------------------- */

/* Those paths as they are compared, and a NULL; each is to be freed. */
static enum kt_code clean_include(const char *const *list, struct kt_vec *out, struct kt_err *err)
{
	enum kt_code rc = KT_OK;
	for (; list != NULL && *list != NULL && rc == KT_OK; list++) {
		char *path = NULL;
		rc = clean_sub(*list, &path, err);
		if (rc == KT_OK)
			kt_vec_push(out, path);
	}
	kt_vec_push(out, NULL);
	return rc;
}

const struct kt_left_out *kt_tree_left_out(const struct kt_tree *t)
{
	return &t->left;
}

enum kt_code kt_tree_folder(const char *dir, const struct kt_tree_options *opts,
	struct kt_tree **out, struct kt_err *err)
{
	KT_AUTOFREE char *sub = NULL;
	struct kt_vec include = KT_VEC_INIT;
	struct kt_files files = { 0 };
	struct kt_tree *t = kt_calloc(1, sizeof(*t));
	enum kt_code rc = clean_sub(opts->sub, &sub, err);
	if (rc == KT_OK)
		rc = clean_include(opts->include, &include, err);
	const struct kt_folder_options fo = { .limits = &opts->limits,
		.include = (const char *const *)include.items };
	if (rc == KT_OK)
		rc = kt_folder_walk(dir, sub, &fo, &files, &t->left, &t->root, err);
	if (rc == KT_OK)
		rc = fill_tree(t, &files, opts, NULL, err);
	if (rc == KT_OK)
		rc = kt_manifest_make(files.items, files.len, &opts->limits, &t->m, err);
	for (size_t i = 0; i < include.len; i++)
		free(include.items[i]);
	kt_vec_release(&include);
	kt_files_release(&files);
	if (rc == KT_OK)
		*out = t;
	else
		kt_tree_free(t);
	return rc;
}

/* --- applications ------------------------------------------------------------------------ */

static int compare_tree_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Folders of the work tree with a karta.toml: the files of that name, which is then taken off. */
static enum kt_code folder_apps(const char *dir, struct kt_files *files, struct kt_err *err)
{
	static const char name[] = "karta.toml";
	KT_AUTOFREE char *root = NULL;
	KT_AUTO_REPO git_repository *repo = NULL;
	struct kt_files all = { 0 };
	/* From the top of the work tree, as for a commit. */
	if (kt_git_open(dir, false, &repo, NULL) == KT_OK &&
		kt_git->repository_workdir(repo) != NULL)
		dir = kt_git->repository_workdir(repo);
	struct kt_left_out left = { 0 };
	const struct kt_folder_options fo = { .limits = &kt_pack_no_limits, .loose = true };
	enum kt_code rc = kt_folder_walk(dir, "", &fo, &all, &left, &root, err);
	for (size_t i = 0; i < all.len && rc == KT_OK; i++) {
		const char *slash = strrchr(all.items[i].path, '/');
		const char *base = slash != NULL ? slash + 1 : all.items[i].path;
		if (all.items[i].mode != KT_MODE_LINK && strcmp(base, name) == 0)
			(void)kt_files_add(files, all.items[i].path,
				slash != NULL ? (size_t)(slash - all.items[i].path) : 0,
				KT_MODE_FILE, 0);
	}
	kt_files_release(&all);
	return rc;
}

static enum kt_code commit_apps(
	const char *dir, const char *rev, struct kt_files *files, struct kt_err *err)
{
	KT_AUTO_REPO git_repository *repo = NULL;
	git_commit *commit = NULL;
	enum kt_code rc = kt_git_open(dir, true, &repo, err);
	if (rc == KT_OK)
		rc = kt_git_commit(repo, rev, &commit, err);
	if (rc != KT_OK)
		return rc;
	rc = kt_git_walk_apps(repo, commit, files, err);
	kt_git->object_free((git_object *)commit);
	return rc;
}

enum kt_code kt_git_apps(
	const char *dir, const char *rev, char ***out, size_t *out_n, struct kt_err *err)
{
	struct kt_files files = { 0 };
	enum kt_code rc = rev != NULL ? commit_apps(dir, rev, &files, err)
				      : folder_apps(dir, &files, err);
	if (rc == KT_OK) {
		char **names = kt_calloc(files.len + 1, sizeof(*names));
		for (size_t i = 0; i < files.len; i++)
			names[i] = kt_strdup(files.items[i].path);
		qsort(names, files.len, sizeof(*names), compare_tree_names);
		*out = names;
		*out_n = files.len;
	}
	kt_files_release(&files);
	return rc;
}
