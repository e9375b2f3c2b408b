/* SPDX-License-Identifier: MIT */
/*
 * What keeps a process inside that reads bytes of strangers: resource limits, no new privileges,
 * Landlock and a seccomp filter. They hold for the whole process and cannot be taken down again.
 */
#ifndef KT_PROC_WALLS_H
#define KT_PROC_WALLS_H

#include "base/err.h"

/* What is left to it. A limit that the process has already and that is lower stays. */
struct kt_walls {
	int folder_fd; /* of the folder that it may open, make and remove files in, or -1; borrowed */
	int64_t max_address_bytes; /* of memory; without a limit in a sanitizer's build */
	int64_t max_file_bytes; /* of each file it writes: more is EFBIG, not its end */
	int64_t max_cpu_s; /* then the kernel ends it */
	int64_t max_open_files;
};

/*
 * Give up every right that computing, and files in its folder, do not need: no sockets, programs,
 * processes or threads, no signals to others, no code in new memory; nothing can be opened but
 * what is in the folder, and what is open stays so. What this kernel does not have is left out;
 * what it has and refuses is an error, after which some walls may stand: the process is to end.
 * Call with one thread, when all libraries are loaded and all files open.
 * Returns KT_OK or KT_EIO.
 */
KT_MUST_CHECK enum kt_code kt_walls_raise(const struct kt_walls *w, struct kt_err *err);

#endif
