/* SPDX-License-Identifier: MIT */
/*
 * What is remembered of git's blobs in GIT_DIR/karta/digests: SHA-256, size, whether it is an LFS
 * pointer. A cache: damaged or unwritable, it is as if it were not there.
 */
#ifndef KT_GIT_CACHE_PRIVATE_H
#define KT_GIT_CACHE_PRIVATE_H

#include "git/git.h"

#define KT_BLOB_ID_BYTES 20

struct kt_blob_note {
	int64_t size;
	char digest[KT_DIGEST_MAX];
	bool lfs; /* a Git LFS pointer */
};

struct kt_digests;

/* Read what is remembered for a repository; kt_digests_free() ends it. Never fails. */
KT_MUST_CHECK struct kt_digests *kt_digests_open(const char *git_dir);
/* What is known of a blob; false when nothing is. */
KT_MUST_CHECK bool kt_digests_get(
	const struct kt_digests *d, const unsigned char *id, struct kt_blob_note *out);
/* Remember a blob. */
void kt_digests_put(struct kt_digests *d, const unsigned char *id, const struct kt_blob_note *note);
/* Write what is new, if anything is, replacing the file at once. */
void kt_digests_save(struct kt_digests *d);
void kt_digests_free(struct kt_digests *d); /* NULL is fine */

#endif
