/* SPDX-License-Identifier: MIT */
/*
 * Paths and files. Paths are bytes without NUL. Functions that return a path return new memory,
 * the caller's to free.
 */
#ifndef KT_BASE_FS_H
#define KT_BASE_FS_H

#include "base/buf.h"
#include "base/err.h"

/* Join with one slash; an absolute b stands alone. */
KT_MUST_CHECK char *kt_path_join(const char *a, const char *b);
/* Last component ("/a/b/" -> "b"); "/" for the root. */
KT_MUST_CHECK char *kt_path_base(const char *path);
/* All but the last component; "." when there is none. */
KT_MUST_CHECK char *kt_path_dir(const char *path);
/* Absolute path with links resolved. Returns KT_ENOTFOUND or KT_EIO. */
KT_MUST_CHECK enum kt_code kt_path_real(const char *path, char **out, struct kt_err *err);

/* Exists (links followed) and is a regular file / a directory. */
bool kt_fs_is_file(const char *path);
bool kt_fs_is_dir(const char *path);
/* A regular file (links followed) that we may execute. */
bool kt_fs_is_program(const char *path);
/* Make a directory and its parents with mode (0700 for state). Existing is fine. */
KT_MUST_CHECK enum kt_code kt_fs_mkdirs(const char *path, mode_t mode, struct kt_err *err);
/*
 * Read a whole regular file into b (appended; b's max bounds it).
 * Returns KT_OK, KT_ENOTFOUND, KT_ELIMIT (larger than b allows) or KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_fs_read(const char *path, struct kt_buf *b, struct kt_err *err);
/* As kt_fs_read() from a descriptor, which stays open; path is for errors. */
KT_MUST_CHECK enum kt_code kt_fs_read_fd(
	int fd, const char *path, struct kt_buf *b, struct kt_err *err);
/*
 * Replace path by len bytes: temporary name beside it, optional fsync of file and folder, rename.
 * Either the old or the new content is there, whatever happens.
 */
KT_MUST_CHECK enum kt_code kt_fs_write_atomic(const char *path, const void *data, size_t len,
	mode_t mode, bool durable, struct kt_err *err);
/* Create path with the content; KT_ECONFLICT when it exists already. */
KT_MUST_CHECK enum kt_code kt_fs_write_new(
	const char *path, const void *data, size_t len, mode_t mode, struct kt_err *err);
/* What an errno says of the disk: it has no room (or a quota or limit has none), it fails. */
bool kt_errno_full(int sys);
bool kt_errno_disk(int sys);
/* Write all of len bytes to fd, through short writes and EINTR. */
KT_MUST_CHECK enum kt_code kt_fs_write_all(
	int fd, const void *data, size_t len, struct kt_err *err);
/* Remove a file or a tree without following links; a missing path is fine. */
KT_MUST_CHECK enum kt_code kt_fs_remove_tree(const char *path, struct kt_err *err);
/*
 * Names in a folder, sorted by bytes, without "." and ".."; *out is an array of n strings, free
 * with kt_fs_names_free(). Returns KT_ENOTFOUND when the folder is not there.
 */
KT_MUST_CHECK enum kt_code kt_fs_list(
	const char *path, char ***out, size_t *out_n, struct kt_err *err);
void kt_fs_names_free(char **names, size_t n);
/*
 * First executable regular file called name on PATH (or name itself when it has a slash), or NULL.
 */
KT_MUST_CHECK char *kt_fs_which(const char *name);
/* Non-blocking (on = true) or blocking mode of fd. */
KT_MUST_CHECK enum kt_code kt_fd_nonblock(int fd, bool on, struct kt_err *err);

/*
 * As many descriptors as the system lets us have: the soft limit becomes the hard one. Children
 * that are started before keep theirs. Returns how many may be open now.
 */
size_t kt_fd_raise_limit(void);

/* XDG places, each made by nobody yet: "$XDG_..._HOME/karta" or its default under $HOME. */
KT_MUST_CHECK char *kt_dir_config(void); /* KARTA_CONFIG_DIR first */
KT_MUST_CHECK char *kt_dir_state(void);
KT_MUST_CHECK char *kt_dir_data(void); /* KARTA_DATA first */

#endif
