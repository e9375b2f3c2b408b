/* SPDX-License-Identifier: MIT */
/* Paths of the data folder. */
#include "store/datadir.h"

#include "base/fs.h"
#include "base/str.h"

char *kt_data_path(const char *data_dir, const char *name)
{
	return kt_path_join(data_dir, name);
}

static char *path_below(const char *data_dir, const char *folder, const char *of, const char *name)
{
	return name ? kt_asprintf("%s/%s/%s/%s", data_dir, folder, of, name)
		    : kt_asprintf("%s/%s/%s", data_dir, folder, of);
}

char *kt_data_tree(const char *data_dir, const char *org_id, const char *name)
{
	return path_below(data_dir, KT_DATA_RELEASES, org_id, name);
}

char *kt_data_build_log(const char *data_dir, const char *release_id)
{
	return kt_asprintf("%s/" KT_DATA_BUILDS "/%s.log", data_dir, release_id);
}

char *kt_data_project_log(const char *data_dir, const char *project_id)
{
	return kt_asprintf("%s/" KT_DATA_LOGS "/%s.log", data_dir, project_id);
}

char *kt_data_session(const char *data_dir, const char *id, const char *name)
{
	return path_below(data_dir, KT_DATA_SESSIONS, id, name);
}

char *kt_data_setup(const char *data_dir, const char *digest)
{
	return path_below(data_dir, KT_DATA_SETUP, digest, NULL);
}

char *kt_data_tmp(const char *data_dir, const char *name)
{
	return path_below(data_dir, KT_DATA_TMP, name, NULL);
}
