/* SPDX-License-Identifier: MIT */
/* The limits of packing and unpacking that hold when nobody says other ones. */
#include "pack/pack.h"

#include "base/limits.h"

void kt_pack_limits_init(struct kt_pack_limits *l)
{
	*l = (struct kt_pack_limits){
		.max_files = KT_MAX_PACK_FILES,
		.max_bytes = KT_MAX_PACK_BYTES,
		.max_file_bytes = KT_MAX_PACK_FILE_BYTES,
		.max_archive_bytes = KT_MAX_ARCHIVE_BYTES,
		.max_ratio = KT_MAX_PACK_RATIO,
		.max_path_bytes = KT_MAX_PACK_PATH_BYTES,
		.max_depth = KT_MAX_PACK_DEPTH,
		.max_ms = KT_UNPACK_MS,
	};
}
