/* SPDX-License-Identifier: MIT */
/*
 * Where files come from: a commit or a folder becomes a tree, which is a manifest (pack/pack.h) with
 * the means to read its files; and what git knows of a place.
 *
 * Blocking; one object one thread. libgit2 (git_dl.c) is loaded on first use. Sources: git's
 * gitattributes(5), gitignore(5); Git LFS pointer format v1.
 */
#ifndef KT_GIT_GIT_H
#define KT_GIT_GIT_H

#include "pack/pack.h"

struct kt_tree; /* a manifest with the means to read its files */

struct kt_tree_options {
	const char *sub; /* the application's folder in the repository, "" or NULL = its root */
	/*
	 * Of a folder: files and folders, from its root on, that are taken although git ignores
	 * them or they look like secrets; NULL-terminated, or NULL.
	 */
	const char *const *include;
	/* Of a commit: set when it is refused for a file whose content is not in git; or NULL. */
	bool *elsewhere;
	struct kt_pack_limits limits;
	/* Called now and then with how far it is; or NULL. */
	void (*progress)(void *arg, size_t done, size_t total);
	void *arg;
};
/*
 * A commit (any revision git takes) of the repository that holds dir (GIT_DIR respected). Files
 * that `.kartaignore` (gitignore syntax, in the tree) or the attribute export-ignore name are left
 * out. Digests of git blobs are remembered in GIT_DIR/karta/, so that only new blobs are read.
 * Returns KT_OK, KT_ENOTFOUND (repository, revision), KT_EINVAL (submodule, LFS pointer, bad path,
 * link that leaves the tree: names it), KT_ELIMIT, KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_tree_commit(const char *dir, const char *rev,
	const struct kt_tree_options *opts, struct kt_tree **out, struct kt_err *err);
/*
 * A folder as it is on disk, with or without git: `.git`, `.kartaignore`d files, what git ignores
 * (without a repository: what the folder's .gitignore files say) and `node_modules` are left out,
 * unless git has them. A file that looks like a secret is refused.
 * Returns as kt_tree_commit(); KT_EINVAL also for secrets, for a submodule that is not checked out
 * and for something to include that is not there.
 */
KT_MUST_CHECK enum kt_code kt_tree_folder(const char *dir, const struct kt_tree_options *opts,
	struct kt_tree **out, struct kt_err *err);
void kt_tree_free(struct kt_tree *t);
/* What was left out of a folder: files and folders that git ignores, folders of packages. */
struct kt_left_out {
	size_t n_ignored, n_modules;
};
/* BORROWS from t. */
const struct kt_left_out *kt_tree_left_out(const struct kt_tree *t);
/* BORROWS from t. */
const struct kt_manifest *kt_tree_manifest(const struct kt_tree *t);
/* First line of the commit's message, "" for a folder. BORROWS. */
const char *kt_tree_subject(const struct kt_tree *t);
/* Append a file's content. */
KT_MUST_CHECK enum kt_code kt_tree_read(
	struct kt_tree *t, const struct kt_file *f, struct kt_buf *out, struct kt_err *err);
/*
 * Append the content that file f of an earlier manifest has in that commit of the same repository.
 * Returns KT_OK, KT_ENOTFOUND (git has no such commit or file; t is a folder), KT_ECONFLICT (it has
 * another content there), KT_ELIMIT, KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_tree_read_at(struct kt_tree *t, const char *commit,
	const struct kt_file *f, struct kt_buf *out, struct kt_err *err);
/* kt_bundle_write() of the files of t that have these digests. */
KT_MUST_CHECK enum kt_code kt_tree_bundle(struct kt_tree *t, const char *publish_json,
	const char *const *digests, size_t n, int fd, int64_t *out_bytes, struct kt_err *err);

/* What git knows of the place of dir: for `karta deploy` and the remote helper. */
struct kt_git_info {
	char git_dir[4096];
	char work_dir[4096]; /* "" when bare */
	char head_sha[80]; /* "" when there is no commit yet */
	char branch[256]; /* short name, "" when detached */
	bool dirty; /* tracked files differ from HEAD, or untracked ones are there */
	char dirty_path[256]; /* one of them, cut */
	bool shallow;
	char object_format[16]; /* "sha1" or "sha256" */
};
/* with_status: compute dirty (reads the whole work tree). KT_ENOTFOUND: no repository. */
KT_MUST_CHECK enum kt_code kt_git_info(
	const char *dir, bool with_status, struct kt_git_info *out, struct kt_err *err);
/* The commit that rev names, peeled (tags too): full id into out (80 bytes). */
KT_MUST_CHECK enum kt_code kt_git_resolve(
	const char *dir, const char *rev, char *out, struct kt_err *err);
/*
 * Is `commit` a descendant of `ancestor` (not the same)? Both as kt_git_resolve() takes them.
 * Returns KT_OK, KT_ENOTFOUND or KT_EIO (a shallow clone may not know).
 */
KT_MUST_CHECK enum kt_code kt_git_descends(
	const char *dir, const char *commit, const char *ancestor, bool *out, struct kt_err *err);
/* Set or change a remote's URL. *out_old is its URL before, or NULL; the caller's. */
KT_MUST_CHECK enum kt_code kt_git_remote_set(
	const char *dir, const char *name, const char *url, char **out_old, struct kt_err *err);
/*
 * Tell git-lfs that what it keeps needs to go nowhere for pushes to the remote `name`: its
 * lfspushurl becomes the repository itself, unless somebody has set another one. *out_set: it is
 * new. Returns KT_OK, KT_ENOTFOUND, KT_EDENIED (the configuration is a link) or KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_git_lfs_push_here(
	const char *dir, const char *name, bool *out_set, struct kt_err *err);
/* URL of a remote. KT_ENOTFOUND. *out is the caller's. */
KT_MUST_CHECK enum kt_code kt_git_remote_url(
	const char *dir, const char *name, char **out, struct kt_err *err);
/*
 * Folders of a commit (rev) or, with rev NULL, of the work tree that hold a karta.toml, relative
 * ("" = the root), sorted; *out is an array of n strings, free with kt_fs_names_free().
 */
KT_MUST_CHECK enum kt_code kt_git_apps(
	const char *dir, const char *rev, char ***out, size_t *out_n, struct kt_err *err);

/*
 * Remember the manifest of a digest next to the repository (GIT_DIR/karta/manifests), and find it.
 */
void kt_manifest_cache_put(const char *git_dir, const struct kt_manifest *m);
KT_MUST_CHECK enum kt_code kt_manifest_cache_get(
	const char *git_dir, const char *digest, struct kt_manifest **out, struct kt_err *err);

#endif
