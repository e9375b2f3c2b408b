/* SPDX-License-Identifier: MIT */
/*
 * The list of members at the end of a backup, which says what each of them has to be. A line a
 * member, in the order in which they were written:
 *
 *	f 0644 1234 SHA-256 sessions/sess_x/events.log
 *
 * "f" a file, "d" a folder, "l" a link (the digest is of where it leads); mode, size, digest, name
 * (bytes up to 0x20, 0x7f and "%" as "%0a"). The last line has the number of lines and the digest
 *of all of them:
 *
 *	end 17 SHA-256
 *
 * Private to lib/pack.
 */
#ifndef KT_PACK_TARBALL_PRIVATE_H
#define KT_PACK_TARBALL_PRIVATE_H

#include "base/buf.h"

#include <sys/types.h>

#define KT_TARBALL_LIST_END "end "

/* Add a line to b. */
void kt_tarball_line(
	struct kt_buf *b, const char *name, mode_t mode, off_t size, const char *digest);
/* Relative, without empty, "." and ".." components. */
bool kt_tarball_is_inside(const char *name);

#endif
