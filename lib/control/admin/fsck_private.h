/* SPDX-License-Identifier: MIT */
/* What the files of fsck share. Private to lib/control. */
#ifndef KT_CONTROL_FSCK_PRIVATE_H
#define KT_CONTROL_FSCK_PRIVATE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/map.h"
#include "store/blob.h"
#include "store/store.h"

struct kt_manifest;
struct kt_master;

struct kt_fsck {
	const char *data_dir;
	bool deep;
	bool serving; /* a server has the folder: staging may be in use */
	struct kt_buf *out;
	size_t findings;
	struct kt_arena *arena;
	struct kt_store *store; /* NULL: it cannot be opened, which is a finding */
	struct kt_blobs *blobs; /* NULL: there are none */
	/* One snapshot of the rows. */
	struct kt_project_row *projects;
	size_t n_projects;
	struct kt_release_row *releases; /* by project and version */
	size_t n_releases;
	struct kt_map seen; /* "ORG/DIGEST" of blobs that were looked at -> finding or not */
	struct kt_map manifests; /* "ORG/DIGEST" -> struct kt_manifest, that are whole */
};

/* Add a finding; when out is full it is only counted. */
void kt_fsck_say(struct kt_fsck *f, const char *invariant, const char *object, const char *fmt, ...)
	KT_PRINTF(4, 5);

/*
 * Add a line about what a server that was killed has left: the next start removes it, so it is no
 * finding and no damage.
 */
void kt_fsck_left(struct kt_fsck *f, const char *object);

/* --- fsck_files.c: what is on disk. Each returns KT_OK also with findings. --------------- */

/* Manifest and files of every release that may be used again; then, deep, every blob. */
KT_MUST_CHECK enum kt_code kt_fsck_blobs(struct kt_fsck *f, struct kt_err *err);
/* Trees that are marked complete are what their manifests say. */
KT_MUST_CHECK enum kt_code kt_fsck_trees(struct kt_fsck *f, struct kt_err *err);
/* What is left in tmp/. */
KT_MUST_CHECK enum kt_code kt_fsck_staging(struct kt_fsck *f, struct kt_err *err);
/* May this release be used again: by a rollback, a redeploy, a session? */
bool kt_fsck_usable(const struct kt_release_row *r);

/* --- fsck_sealed.c ----------------------------------------------------------------------- */

/* Every sealed value opens with the master key. */
KT_MUST_CHECK enum kt_code kt_fsck_sealed(
	struct kt_fsck *f, const struct kt_master *m, struct kt_err *err);

/* --- fsck_logs.c ------------------------------------------------------------------------- */

/* The journal of sessions, its lines. Event logs of builds, projects and sessions: frames whole,
 * numbers dense, turns ended once. */
KT_MUST_CHECK enum kt_code kt_fsck_logs(struct kt_fsck *f, struct kt_err *err);

#endif
