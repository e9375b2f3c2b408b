/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing inside of a folder that somebody else may have filled: a repository that was
 * cloned, an archive that was unpacked, a folder that a harness works in. Paths are relative to a
 * descriptor of the folder and have no "..". No link is followed, neither the last part nor a
 * folder on the way, also when one is put there meanwhile: what meets one fails with KT_EDENIED.
 */
#ifndef KT_BASE_INSIDE_H
#define KT_BASE_INSIDE_H

#include "base/buf.h"
#include "base/err.h"

/* Open the folder itself; links that lead to it are the caller's choice. */
KT_MUST_CHECK enum kt_code kt_inside_open(const char *dir, int *out_fd, struct kt_err *err);
/*
 * Open a folder inside ("" is top itself); with `make` what is missing is made, of mode 0777 less
 * the umask. Returns KT_OK, KT_ENOTFOUND, KT_EDENIED (a link) or KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_inside_dir(
	int top, const char *path, bool make, int *out_fd, struct kt_err *err);
/* As kt_fs_read(). */
KT_MUST_CHECK enum kt_code kt_inside_read(
	int top, const char *path, struct kt_buf *b, struct kt_err *err);
/* Create a file, with its folders; KT_ECONFLICT when anything is there. */
KT_MUST_CHECK enum kt_code kt_inside_write_new(
	int top, const char *path, const void *data, size_t len, mode_t mode, struct kt_err *err);
/* Append to a regular file, or create it. */
KT_MUST_CHECK enum kt_code kt_inside_append(
	int top, const char *path, const void *data, size_t len, mode_t mode, struct kt_err *err);
/* Replace a regular file, or create it, as kt_fs_write_atomic() (not durable); makes folders. */
KT_MUST_CHECK enum kt_code kt_inside_replace(
	int top, const char *path, const void *data, size_t len, mode_t mode, struct kt_err *err);

#endif
