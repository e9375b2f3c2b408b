/* SPDX-License-Identifier: MIT */
/* Whether something is in an application's folder. */
#include "app/app_private.h"

#include "base/fs.h"
#include "base/str.h"

bool kt_app_has_file(const char *dir, const char *name)
{
	KT_AUTOFREE char *path = kt_path_join(dir, name);

	return kt_fs_is_file(path);
}

bool kt_app_has_dir(const char *dir, const char *name)
{
	KT_AUTOFREE char *path = kt_path_join(dir, name);

	return kt_fs_is_dir(path);
}
