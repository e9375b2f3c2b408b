/* SPDX-License-Identifier: MIT */
/* Trees from the inside: of this module only. */
#ifndef KT_GIT_TREE_PRIVATE_H
#define KT_GIT_TREE_PRIVATE_H

#include "git/git_private.h"

/* Contents that are kept of a commit; a repository of text and pictures fits. */
#define KT_KEEP_BYTES ((int64_t)64 * 1024 * 1024)
#define KT_TREE_READ_BYTES ((size_t)256 * 1024) /* of a file at a time */

struct kt_tree {
	struct kt_manifest *m;
	/* Of a commit: */
	git_repository *repo;
	git_odb *odb;
	char *sub; /* the application's folder, "" = the root */
	git_oid *oids; /* one for each file of m */
	/*
	 * Contents that were read for their digests and are likely to be sent: inflating takes as
	 * long as all the rest of a first push. One for each file of m, NULL when not kept.
	 */
	git_odb_object **kept;
	size_t n_kept;
	/*
	 * Files that git-lfs keeps: their paths in its store, NULL for others; one for each of m.
	 */
	char **lfs;
	size_t n_lfs;
	char *lfs_store;
	/* Of a folder: */
	char *root; /* absolute, the application's folder */
	struct kt_left_out left;
	char *subject;
};

/* Open a regular file that is on disk; *out_fd is the caller's. Returns KT_OK, KT_ECONFLICT. */
KT_MUST_CHECK enum kt_code kt_tree_open(
	struct kt_tree *t, const struct kt_file *f, int *out_fd, struct kt_err *err);
/* read(), again when a signal came. */
ssize_t kt_tree_read_some(int fd, void *buf, size_t len);
/* The one error for a file that is not what it was when the manifest was made. */
enum kt_code kt_tree_changed(const struct kt_file *f, struct kt_err *err);

struct kt_folder_options {
	const struct kt_pack_limits *limits;
	const char *const *include; /* as of struct kt_tree_options */
	bool loose; /* what cannot be in a release is passed over, nothing is limited or refused */
};
/*
 * List what is below dir/sub on disk (see kt_tree_folder()), in no order, sizes filled, digests
 * not. Links are checked. *out_root is the absolute folder, the caller's.
 */
KT_MUST_CHECK enum kt_code kt_folder_walk(const char *dir, const char *sub,
	const struct kt_folder_options *o, struct kt_files *files, struct kt_left_out *left,
	char **out_root, struct kt_err *err);

#endif
