/* SPDX-License-Identifier: MIT */
/* The data folder: what is where in it. Nobody else puts its paths together (scripts/check-style). */
#ifndef KT_STORE_DATADIR_H
#define KT_STORE_DATADIR_H

#include "base/base.h"

/* Files and folders of its top. */
#define KT_DATA_DATABASE "karta.db"
#define KT_DATA_MASTER_KEY "master.key"
#define KT_DATA_LOCK "lock" /* held by the server */
#define KT_DATA_BLOBS "blobs" /* ORG/the first two digits/DIGEST */
#define KT_DATA_RELEASES "releases" /* ORG/DIGEST, laid out; DIGEST.ok when that is whole */
#define KT_DATA_BUILDS "builds" /* RELEASE.log */
#define KT_DATA_LOGS "logs" /* PROJECT.log */
#define KT_DATA_SESSIONS "sessions" /* ID/events.log, ID/workspace, ID/home */
#define KT_DATA_JOURNAL "sessions.jsonl"
#define KT_DATA_SETUP "setup" /* DIGEST: marks of scripts that ran in a folder that is served */
#define KT_DATA_TMP "tmp" /* emptied at the start */
#define KT_DATA_TRASH "trash" /* what is being removed */
#define KT_DATA_TRASH_OLD "trash.old"

/* All of these are the caller's, free. */

/* "DIR/NAME". */
char *kt_data_path(const char *data_dir, const char *name);
/* A name in the folder of an organization's trees; name NULL: that folder. */
char *kt_data_tree(const char *data_dir, const char *org_id, const char *name);
/* The logs of a build and of a project. */
char *kt_data_build_log(const char *data_dir, const char *release_id);
char *kt_data_project_log(const char *data_dir, const char *project_id);
/* A name in the folder of a session; name NULL: that folder. */
char *kt_data_session(const char *data_dir, const char *id, const char *name);
/* The mark of a setup script, by its digest. */
char *kt_data_setup(const char *data_dir, const char *digest);
/* A name in the folder for what is half done. */
char *kt_data_tmp(const char *data_dir, const char *name);

#endif
