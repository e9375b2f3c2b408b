/* SPDX-License-Identifier: MIT */
/* fsck: blobs, laid-out trees, staging. */
#include "control/admin/fsck_private.h"
#include "control/release/release_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/rand.h"
#include "base/str.h"
#include "crypto/crypto.h"
#include "pack/pack.h"
#include "store/datadir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_MAX (KT_ID_MAX + KT_DIGEST_MAX + 1)

static char good, bad; /* values of f->seen */

static const char *blob_key_of(char out[KEY_MAX], const char *org_id, const char *digest)
{
	(void)snprintf(out, KEY_MAX, "%s/%s", org_id, digest);
	return out;
}

bool kt_fsck_usable(const struct kt_release_row *r)
{
	return r->state != KT_REL_FAILED && r->state != KT_REL_EXPIRED;
}

/* --- blobs ------------------------------------------------------------------------------- */

/* Size of a blob without using it (kt_blobs_has() would make it young); -1 when it is missing. */
static int64_t blob_size(struct kt_fsck *f, const char *org_id, const char *digest)
{
	KT_AUTOFD int fd = -1;
	struct stat st;

	if (kt_blobs_fd(f->blobs, org_id, digest, &fd, NULL) != KT_OK || fstat(fd, &st) != 0)
		return -1;
	return st.st_size;
}

/* I3: one file of a release. Each blob is looked at once. */
static void check_release_file(struct kt_fsck *f, const struct kt_release_row *r,
	const struct kt_file *file, size_t *n_missing)
{
	char key[KEY_MAX];
	const void *known = kt_map_get(&f->seen, blob_key_of(key, r->org_id, file->digest));
	int64_t size;

	if (known) {
		*n_missing += known == &bad;
		return;
	}
	size = blob_size(f, r->org_id, file->digest);
	(void)kt_map_set(&f->seen, key, size == file->size ? &good : &bad);
	if (size == file->size)
		return;
	if (size < 0)
		++*n_missing;
	else
		kt_fsck_say(f, "I3", key, "the blob of '%s' has %lld bytes and not %lld",
			file->path, (long long)size, (long long)file->size);
}

static void check_release(struct kt_fsck *f, const struct kt_release_row *r)
{
	char key[KEY_MAX];
	struct kt_manifest *m = NULL;
	struct kt_err why = KT_ERR_INIT;
	const char *object = kt_arena_printf(f->arena, "release/%s", r->id);
	size_t missing = 0;

	if (kt_map_get(&f->manifests, blob_key_of(key, r->org_id, r->digest)))
		return;
	if (!f->blobs ||
		kt_layout_read_manifest(f->blobs, r->org_id, r->digest, &m, &why) != KT_OK) {
		kt_fsck_say(f, "I3", object, "v%lld: %s", (long long)r->version,
			f->blobs ? why.msg : "there are no blobs");
		return;
	}
	(void)kt_map_set(&f->manifests, key, m);
	for (size_t i = 0; i < m->n_files; i++)
		check_release_file(f, r, &m->files[i], &missing);
	if (missing > 0)
		kt_fsck_say(f, "I3", object, "v%lld: the blobs of %zu of its %zu files are missing",
			(long long)r->version, missing, m->n_files);
}

struct blob_name {
	struct blob_name *next;
	const char *org_id, *digest;
};

struct blob_names {
	struct kt_arena *arena;
	struct blob_name *first;
};

/* Only remembers: the store is locked during the call. */
static bool remember_blob(
	void *arg, const char *org_id, const char *digest, int64_t size, int64_t age_s)
{
	struct blob_names *all = arg;
	struct blob_name *b = kt_arena_alloc(all->arena, sizeof(*b));

	(void)size;
	(void)age_s;
	b->org_id = kt_arena_strdup(all->arena, org_id);
	b->digest = kt_arena_strdup(all->arena, digest);
	b->next = all->first;
	all->first = b;
	return true;
}

/* Every byte of every blob. */
static enum kt_code check_blob_bytes(struct kt_fsck *f, struct kt_err *err)
{
	struct blob_names all = { .arena = f->arena };
	size_t deleted = 0;
	enum kt_code rc = kt_blobs_sweep(f->blobs, remember_blob, &all, &deleted, err);

	for (const struct blob_name *b = all.first; rc == KT_OK && b; b = b->next) {
		char key[KEY_MAX];
		struct kt_err why = KT_ERR_INIT;

		switch ((int)kt_blobs_verify(f->blobs, b->org_id, b->digest, &why)) {
		case KT_OK:
		case KT_ENOTFOUND: /* a server has deleted it meanwhile */
			break;
		default:
			kt_fsck_say(f, "I3", blob_key_of(key, b->org_id, b->digest), "%s", why.msg);
			break;
		}
	}
	return rc;
}

enum kt_code kt_fsck_blobs(struct kt_fsck *f, struct kt_err *err)
{
	for (size_t i = 0; i < f->n_releases; i++)
		if (kt_fsck_usable(&f->releases[i]))
			check_release(f, &f->releases[i]);
	return f->blobs && f->deep ? check_blob_bytes(f, err) : KT_OK;
}

/* --- trees ------------------------------------------------------------------------------- */

struct tree {
	struct kt_fsck *f;
	const char *object; /* "releases/ORG/DIGEST" */
	const struct kt_manifest *m;
	size_t n_files; /* that are in it */
};

/* True when the bytes of the file at path have this digest. */
static bool has_digest(const char *path, const char *digest)
{
	KT_AUTOFD int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	char found[KT_DIGEST_MAX];

	return fd >= 0 && kt_sha256_fd(fd, found) && strcmp(found, digest) == 0;
}

static bool link_matches(const char *path, const struct kt_file *file)
{
	char target[KT_MAX_PATH_BYTES + 1], digest[KT_DIGEST_MAX];
	ssize_t n = readlink(path, target, sizeof(target));

	if (n < 0 || (size_t)n == sizeof(target))
		return false;
	kt_sha256_of(target, (size_t)n, digest);
	return strcmp(digest, file->digest) == 0;
}

/* What is wrong with a file of the tree, or NULL. */
static const char *file_problem(
	struct tree *t, const char *path, const struct stat *st, const struct kt_file *file)
{
	if (!file)
		return "is not in the manifest";
	if (file->mode == KT_MODE_LINK)
		return S_ISLNK(st->st_mode) && link_matches(path, file) ? NULL : "was changed";
	if (!S_ISREG(st->st_mode))
		return "is no file any more";
	if (((st->st_mode & S_IXUSR) != 0) != (file->mode == KT_MODE_EXEC))
		return "has another mode";
	if (st->st_size != file->size || (t->f->deep && !has_digest(path, file->digest)))
		return "was changed";
	return NULL;
}

struct list {
	char **items;
	size_t len, cap;
};

static void list_push(struct list *l, char *s)
{
	kt_grow((void **)&l->items, &l->cap, l->len + 1, sizeof(*l->items));
	l->items[l->len++] = s;
}

/* One entry; folders are put on the list of those to come. */
static void check_entry(struct tree *t, const char *root, const char *rel, struct list *todo)
{
	KT_AUTOFREE char *path = kt_asprintf("%s/%s", root, rel);
	struct stat st;
	const char *why;

	if (lstat(path, &st) != 0) {
		if (errno != ENOENT)
			kt_fsck_say(t->f, "I1", t->object, "cannot look at '%s'", rel);
		return;
	}
	if (S_ISDIR(st.st_mode)) {
		list_push(todo, kt_strdup(rel));
		return;
	}
	t->n_files++;
	why = file_problem(t, path, &st, kt_manifest_find(t->m, rel));
	if (why)
		kt_fsck_say(t->f, "I1", t->object, "the file '%s' %s", rel, why);
}

static enum kt_code fsck_walk_tree(struct tree *t, const char *root, struct kt_err *err)
{
	struct list todo = { 0 };
	enum kt_code rc = KT_OK;

	list_push(&todo, kt_strdup(""));
	while (todo.len > 0) {
		KT_AUTOFREE char *dir = todo.items[--todo.len];
		KT_AUTOFREE char *path = kt_path_join(root, dir);
		char **names = NULL;
		size_t n = 0;

		/* Those on the list are still freed when one cannot be read. */
		if (rc == KT_OK)
			rc = kt_fs_list(path, &names, &n, err);
		if (rc == KT_ENOTFOUND)
			rc = KT_OK; /* taken away meanwhile */
		for (size_t i = 0; i < n; i++) {
			KT_AUTOFREE char *rel = kt_path_join(dir, names[i]);

			check_entry(t, root, rel, &todo);
		}
		if (names)
			kt_fs_names_free(names, n);
	}
	free(todo.items);
	return rc;
}

/* One tree that has its marker; files that a server takes away meanwhile are no findings. */
static enum kt_code check_release_tree(
	struct kt_fsck *f, const char *org_id, const char *digest, struct kt_err *err)
{
	KT_AUTOFREE char *root = kt_data_tree(f->data_dir, org_id, digest);
	KT_AUTOFREE char *marker = kt_asprintf("%s.ok", root);
	char key[KEY_MAX];
	struct kt_manifest *own = NULL;
	struct tree t = { .f = f };
	enum kt_code rc;

	t.object = kt_arena_printf(f->arena, KT_DATA_RELEASES "/%s/%s", org_id, digest);
	t.m = kt_map_get(&f->manifests, blob_key_of(key, org_id, digest));
	/* Of a release that is over: its blobs may be gone, and the tree is next. */
	if (!t.m &&
		(!f->blobs ||
			kt_layout_read_manifest(f->blobs, org_id, digest, &own, NULL) != KT_OK))
		return KT_OK;
	if (own)
		t.m = own;
	rc = fsck_walk_tree(&t, root, err);
	if (rc == KT_OK && t.n_files < t.m->n_files && kt_fs_is_file(marker))
		kt_fsck_say(f, "I1", t.object, "%zu of its %zu files are missing",
			t.m->n_files - t.n_files, t.m->n_files);
	kt_manifest_free(own);
	return rc;
}

static enum kt_code check_org_trees(struct kt_fsck *f, const char *org_id, struct kt_err *err)
{
	KT_AUTOFREE char *dir = kt_data_tree(f->data_dir, org_id, NULL);
	char **names = NULL;
	size_t n = 0;
	enum kt_code rc = kt_fs_list(dir, &names, &n, err);

	for (size_t i = 0; rc == KT_OK && i < n; i++) {
		char digest[KT_DIGEST_MAX];

		if (strlen(names[i]) != KT_DIGEST_MAX + 2 || !kt_str_ends(names[i], ".ok"))
			continue;
		memcpy(digest, names[i], KT_DIGEST_MAX - 1);
		digest[KT_DIGEST_MAX - 1] = '\0';
		if (kt_digest_ok(digest))
			rc = check_release_tree(f, org_id, digest, err);
	}
	if (names)
		kt_fs_names_free(names, n);
	return rc == KT_ENOTFOUND ? KT_OK : rc;
}

enum kt_code kt_fsck_trees(struct kt_fsck *f, struct kt_err *err)
{
	KT_AUTOFREE char *dir = kt_data_path(f->data_dir, KT_DATA_RELEASES);
	char **names = NULL;
	size_t n = 0;
	enum kt_code rc = kt_fs_list(dir, &names, &n, err);

	for (size_t i = 0; rc == KT_OK && i < n; i++)
		rc = check_org_trees(f, names[i], err);
	if (names)
		kt_fs_names_free(names, n);
	return rc == KT_ENOTFOUND ? KT_OK : rc;
}

/* --- staging ----------------------------------------------------------------------------- */

enum kt_code kt_fsck_staging(struct kt_fsck *f, struct kt_err *err)
{
	KT_AUTOFREE char *dir = kt_data_path(f->data_dir, KT_DATA_TMP);
	char **names = NULL;
	size_t n = 0;
	enum kt_code rc = kt_fs_list(dir, &names, &n, err);

	for (size_t i = 0; rc == KT_OK && i < n; i++) {
		KT_AUTOFREE char *object = kt_path_join(KT_DATA_TMP, names[i]);

		kt_fsck_left(f, object);
	}
	if (names)
		kt_fs_names_free(names, n);
	return rc == KT_ENOTFOUND ? KT_OK : rc;
}
