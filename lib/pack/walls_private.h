/* SPDX-License-Identifier: MIT */
/*
 * The walls of the unpack worker. They hold for the whole process and cannot be taken down again.
 */
#ifndef KT_PACK_WALLS_PRIVATE_H
#define KT_PACK_WALLS_PRIVATE_H

#include "pack/pack.h"

/*
 * Give up every right that unpacking into the folder staging does not need: resource limits, no new
 * privileges, Landlock and a seccomp filter. What this kernel does not have is left out; what it
 * has and refuses is an error. Call with one thread, when all libraries are loaded and all files
 * open. Returns KT_OK or KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_walls_raise(
	const char *staging, const struct kt_pack_limits *l, struct kt_err *err);

#endif
