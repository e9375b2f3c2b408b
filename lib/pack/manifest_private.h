/* SPDX-License-Identifier: MIT */
/* What the files of this module share about manifests. */
#ifndef KT_PACK_MANIFEST_PRIVATE_H
#define KT_PACK_MANIFEST_PRIVATE_H

#include "pack/pack.h"

/* Limits that nothing reaches: for text that was checked when it was made. */
extern const struct kt_pack_limits kt_pack_no_limits;

/*
 * An array of files that grows, its paths in an arena: what a manifest is made from.
 * Zero-initialize, end with kt_files_release().
 */
struct kt_files {
	struct kt_arena *arena;
	struct kt_file *items;
	size_t len, cap;
};

/* Append a file and return it; path is copied, digest is "". */
struct kt_file *kt_files_add(
	struct kt_files *f, const char *path, size_t len, enum kt_file_mode mode, int64_t size);
/* Free everything; empty and usable again. */
void kt_files_release(struct kt_files *f);

#endif
