/* SPDX-License-Identifier: MIT */
/* Names and files of the blob store, shared by blob.c and blob_sweep.c. Private to lib/store. */
#ifndef KT_STORE_BLOB_PRIVATE_H
#define KT_STORE_BLOB_PRIVATE_H

#include "store/blob.h"

#include "base/map.h"
#include "base/rand.h"
#include "crypto/crypto.h"

#include <pthread.h>
#include <sys/stat.h>

#define KT_BLOB_NAME_MAX (KT_ID_MAX + KT_DIGEST_MAX + 16) /* "ORG/aa/DIGEST.x" */
#define KT_BLOB_TEMP ".tmp-" /* how names of unfinished files begin */

struct kt_blobs {
	char *dir;
	int dir_fd;
	/* Held while a blob is looked at to be kept or deleted, and while its age begins anew. */
	pthread_mutex_t age_mutex;
	/*
	 * Folders ("ORG" and "ORG/aa") whose own entry this process has synced: that of a blob in
	 * them is all that has to be synced then. Guarded by folder_mutex.
	 */
	struct kt_map on_disk;
	pthread_mutex_t folder_mutex;
};

#endif
