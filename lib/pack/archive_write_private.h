/* SPDX-License-Identifier: MIT */
/* Writing tar archives: of this module only. */
#ifndef KT_PACK_ARCHIVE_WRITE_PRIVATE_H
#define KT_PACK_ARCHIVE_WRITE_PRIVATE_H

#include "pack/pack.h"

struct kt_tar; /* an archive that is being written */

/*
 * Begin an archive on fd (BORROWED, written from where it stands): format "tar.zst", "tar.gz" or
 * "tar". bytes: about as much is written to it; large ones are compressed by all processors, which
 * gives the same on every machine. kt_tar_close() ends it. Returns KT_OK, KT_EINVAL (format),
 * KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_tar_open(
	const char *format, int64_t bytes, int fd, struct kt_tar **out, struct kt_err *err);
/* Begin a member; kt_tar_data() gives its bytes, exactly f->size, but for links: target. */
KT_MUST_CHECK enum kt_code kt_tar_member(struct kt_tar *t, const char *path, enum kt_file_mode mode,
	int64_t size, const char *target, struct kt_err *err);
KT_MUST_CHECK enum kt_code kt_tar_data(
	struct kt_tar *t, const void *data, size_t len, struct kt_err *err);
/*
 * Write the end of the archive if all went well (rc is KT_OK), free it, and return rc or what
 * failed at the end. *out_bytes is what was written; NULL is fine.
 */
KT_MUST_CHECK enum kt_code kt_tar_close(
	struct kt_tar *t, enum kt_code rc, int64_t *out_bytes, struct kt_err *err);

#endif
