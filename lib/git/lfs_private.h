/* SPDX-License-Identifier: MIT */
/* Files of a commit that git-lfs keeps: of this module only. */
#ifndef KT_GIT_LFS_PRIVATE_H
#define KT_GIT_LFS_PRIVATE_H

#include "git/git_private.h"

/* What a pointer says of the file that it stands for. */
struct kt_lfs {
	char digest[KT_DIGEST_MAX]; /* its SHA-256, which is what a manifest has of a file */
	int64_t size;
};

/* Does a file begin as a pointer does? */
bool kt_lfs_is_pointer(const void *data, size_t len);
/* Read a pointer; false when it is none, or says nothing that is known. */
bool kt_lfs_parse(const char *data, size_t len, struct kt_lfs *out);
/* The folder of what git-lfs keeps in a repository; the caller's. */
char *kt_lfs_store(git_repository *repo);
/* Path of the file in that folder; the caller's, NULL when it is not there. */
char *kt_lfs_path(const char *store, const struct kt_lfs *lfs);

#endif
