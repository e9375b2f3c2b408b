/* SPDX-License-Identifier: MIT */
/*
 * Blobs: file contents named by their SHA-256, kept once per organization under
 * DIR/ORG_ID/aa/DIGEST (mode 0444) with, for executable files, a second copy DIGEST.x (0555) made
 * when first linked. Per organization, because who names a digest must not get another's bytes.
 *
 * A blob gets its name only when its bytes are on disk: temporary name, fsync (one syncfs for
 * many), rename, fsync of the folders. Blocking; for worker threads. Thread-safe.
 */
#ifndef KT_STORE_BLOB_H
#define KT_STORE_BLOB_H

#include "base/buf.h"
#include "base/err.h"

struct kt_blobs;

/* Open the blob folder, made when missing (0700). kt_blobs_close() ends it. */
KT_MUST_CHECK enum kt_code kt_blobs_open(
	const char *dir, struct kt_blobs **out, struct kt_err *err);
void kt_blobs_close(struct kt_blobs *b);
/*
 * True when the organization has this blob. Asking is using: its age for kt_blobs_sweep() begins
 * anew, so that it is still there when what asked has its row.
 */
bool kt_blobs_has(struct kt_blobs *b, const char *org_id, const char *digest);
/* Store bytes under their digest, durably. *out_digest holds 65 bytes. */
KT_MUST_CHECK enum kt_code kt_blobs_put(struct kt_blobs *b, const char *org_id, const void *data,
	size_t len, char *out_digest, struct kt_err *err);
/*
 * Take every file of the folder `staging` that is named by a digest (its content was hashed by who
 * wrote it) into the store, durably: sync once, rename, sync folders. Files that are there already
 * are dropped, and count as new for kt_blobs_sweep(). *out_n is the number of files. No file named
 * by a digest is left in staging, which is on the store's file system. Returns KT_OK, KT_ENOTFOUND
 * (no staging), KT_EPROTO (something that is not a plain file) or KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_blobs_adopt(struct kt_blobs *b, const char *org_id,
	const char *staging, size_t *out_n, struct kt_err *err);
/* Read a whole blob into buf. Returns KT_OK, KT_ENOTFOUND, KT_ELIMIT, KT_EIO. */
KT_MUST_CHECK enum kt_code kt_blobs_read(struct kt_blobs *b, const char *org_id, const char *digest,
	struct kt_buf *buf, struct kt_err *err);
/* Open a blob for reading; *out_fd is the caller's. Returns KT_OK, KT_ENOTFOUND, KT_EIO. */
KT_MUST_CHECK enum kt_code kt_blobs_fd(struct kt_blobs *b, const char *org_id, const char *digest,
	int *out_fd, struct kt_err *err);
/*
 * Put the blob at dir_fd/path as a hard link (a copy where links do not reach), executable or not.
 * The parent folder is there already. Returns KT_OK, KT_ENOTFOUND (no such blob), KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_blobs_link(struct kt_blobs *b, const char *org_id, const char *digest,
	bool exec, int dir_fd, const char *path, struct kt_err *err);
/* Hash the stored bytes again. Returns KT_OK, KT_ENOTFOUND or KT_EPROTO (damaged). */
KT_MUST_CHECK enum kt_code kt_blobs_verify(
	struct kt_blobs *b, const char *org_id, const char *digest, struct kt_err *err);
/*
 * Call keep for every blob of every organization with its size and its age in seconds since it was
 * last put, adopted or asked for (a few minutes inexact); when it returns false the blob is
 * deleted. Old temporary files go as well. keep must not call this module.
 */
KT_MUST_CHECK enum kt_code kt_blobs_sweep(struct kt_blobs *b,
	bool (*keep)(
		void *arg, const char *org_id, const char *digest, int64_t size, int64_t age_s),
	void *arg, size_t *out_deleted, struct kt_err *err);

#endif
