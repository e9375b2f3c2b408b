/* SPDX-License-Identifier: MIT */
/* What backup.c and restore.c share. Private to lib/control. */
#ifndef KT_CONTROL_BACKUP_PRIVATE_H
#define KT_CONTROL_BACKUP_PRIVATE_H

#include "base/err.h"

/* First member: what this is. */
#define KT_BACKUP_MARK "karta-backup.json"
#define KT_BACKUP_MARK_BYTES 4096
/* Last member: the digests of all others. Format 1 had none. */
#define KT_BACKUP_LIST "karta-backup.list"
#define KT_BACKUP_FORMAT 2

/* A rename to path is on the disk when this returns. */
KT_MUST_CHECK enum kt_code kt_backup_sync_parent(const char *path, struct kt_err *err);

#endif
