/* SPDX-License-Identifier: MIT */
/* What tree.c needs of repositories: of this module only. */
#ifndef KT_GIT_GIT_PRIVATE_H
#define KT_GIT_GIT_PRIVATE_H

#include "git/git.h"
#include "git/git_dl_private.h"

/*
 * Open the repository that holds dir. env: GIT_DIR of the environment is respected. *out is the
 * caller's. Returns KT_OK, KT_ENOTFOUND, KT_EDENIED (another user's; with git's own remedy),
 * KT_EINVAL (object ids by SHA-256 and other formats that libgit2 cannot read).
 */
KT_MUST_CHECK enum kt_code kt_git_open(
	const char *dir, bool env, git_repository **out, struct kt_err *err);
/* For KT_AUTO_REPO. */
void kt_git_repo_cleanup(git_repository **repo);
#define KT_AUTO_REPO __attribute__((cleanup(kt_git_repo_cleanup)))

/* The commit rev names; *out is the caller's (kt_git->object_free()). As kt_git_resolve(). */
KT_MUST_CHECK enum kt_code kt_git_commit(
	git_repository *repo, const char *rev, git_commit **out, struct kt_err *err);
/*
 * Read a blob whole. path is for messages. *out is the caller's (kt_git->odb_object_free()).
 * Returns KT_OK, KT_ENOTFOUND (not fetched: partial clone), KT_EIO. Thread-safe.
 */
KT_MUST_CHECK enum kt_code kt_git_blob(git_odb *odb, const git_oid *oid, const char *path,
	git_odb_object **out, struct kt_err *err);

/*
 * List the files of a commit below folder sub ("" = all), in the order of a manifest, paths from
 * sub on, without those that .kartaignore or export-ignore name; sizes and digests are not yet
 * known. *out_oids has one id for each, the caller's (free). Returns KT_OK, KT_ENOTFOUND (no folder
 * sub), KT_EINVAL (submodule, path), KT_ELIMIT.
 */
KT_MUST_CHECK enum kt_code kt_git_walk(git_repository *repo, git_commit *commit, const char *sub,
	const struct kt_tree_options *opts, struct kt_files *files, git_oid **out_oids,
	struct kt_err *err);
/* Folders of a commit that hold karta.toml, as kt_git_apps(); appended to files as paths. */
KT_MUST_CHECK enum kt_code kt_git_walk_apps(
	git_repository *repo, git_commit *commit, struct kt_files *files, struct kt_err *err);

#endif
