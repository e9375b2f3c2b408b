/* SPDX-License-Identifier: MIT */
/* Where `karta dev` keeps the state of a folder, and how other commands find its server. */
#ifndef KT_CMD_DEVDIR_H
#define KT_CMD_DEVDIR_H

#include "base/err.h"

/*
 * State folder of the application in dir: <data>/dev/<folder name>-<hash of its real path>. New
 * memory, the caller's. Returns KT_OK or KT_ENOTFOUND (no such folder).
 */
KT_MUST_CHECK enum kt_code kt_dev_data_dir(const char *dir, char **out, struct kt_err *err);

/*
 * URL of the server that `karta dev` runs for the current folder or one above it; new memory, or
 * NULL when none runs.
 */
KT_MUST_CHECK char *kt_dev_server_url(void);

/* URL of the server whose state folder this is; new memory, or NULL when none runs. */
KT_MUST_CHECK char *kt_dev_live_url(const char *data_dir);

/*
 * URL of the `karta serve` that runs without keys on the data folder of this user's settings; new
 * memory, or NULL when none runs.
 */
KT_MUST_CHECK char *kt_local_server_url(void);

/*
 * Tell others about the server of data_dir (server.json), or that it is gone (url NULL). project
 * and dir may be NULL.
 */
KT_MUST_CHECK enum kt_code kt_dev_announce(const char *data_dir, const char *url,
	const char *project, const char *dir, struct kt_err *err);

/*
 * A new state folder for one command that is served (`karta run`), to be removed after it; that the
 * folder's setup has run is remembered in `lasting`, its state folder of kt_dev_data_dir(). Folders
 * that killed ones have left are removed. *out is the caller's.
 */
KT_MUST_CHECK enum kt_code kt_dev_once_dir(const char *lasting, char **out, struct kt_err *err);

#endif
