/* SPDX-License-Identifier: MIT */
/* What the two halves of a publish share: reading it on a thread, and making its row. */
#ifndef KT_CONTROL_PUBLISH_PRIVATE_H
#define KT_CONTROL_PUBLISH_PRIVATE_H

#include "control/release/release_private.h"

struct publish {
	char *ref; /* slug or id of the project */
	char *doc; /* NULL: it is in the bundle, or in a file */
	size_t doc_len;
	char *doc_path, *body_path, *staging;
	/* The document's text, and where in it these are; the worker's. */
	struct kt_buf text;
	char *manifest_text, *delta_text;
	size_t manifest_len, delta_len;
	struct kt_buf rest; /* its other members, as a document */
	struct kt_jw rest_writer;
	bool large; /* has the gate */
	struct kt_unpacked unpacked;
	struct kt_pack_limits limits;
	char live[KT_DIGEST_MAX]; /* manifest of the project's live release, or "" */
	bool builds_now; /* no other build of the project is before it */
	struct kt_pinned pin; /* of the project when this began */
	const char *production_ref; /* then, NULL = there was no project */
	/* What it says. */
	const char *commit_sha, *git_ref, *message, *source, *env;
	const char *env_mac; /* tells variables from others; sealing does so each time anew */
	int64_t pr;
	bool fork, preview;
	bool as_deploy; /* answered as a deploy */
	bool activate, unpin;
	const char *expected; /* commit that the ref has to have, "" = none, NULL = any */
	/* What came of it. */
	struct kt_manifest *manifest; /* NULL again before the transaction */
	struct kt_manifest *base;
	char digest[KT_DIGEST_MAX];
	char release_id[KT_ID_MAX];
	int64_t n_files, n_bytes;
	size_t n_new;
	char label[64]; /* of a preview */
	enum kt_code rc; /* it failed with this */
	struct kt_err err;
	char counted[KT_ID_MAX]; /* the project in whose `publishing` this one is */
	struct kt_project_row project;
	struct kt_release_row row;
};

/*
 * Worker: read what was sent, put its files and its manifest among the blobs, and find out whether
 * everything is here.
 */
KT_MUST_CHECK enum kt_code kt_publish_prepare(
	struct kt_tx *tx, struct kt_op *op, struct kt_err *err);
/*
 * Worker: put the files that the document itself brings among the blobs: an object of digests, each
 * with `from` (the digest of one that is here), `head` and `tail` (how many bytes of it stay in front
 * and behind) and `text` (what is between). NULL: it brings none.
 */
KT_MUST_CHECK enum kt_code kt_publish_patches(
	struct kt_op *op, struct publish *p, const cJSON *files, struct kt_err *err);
/* Its staging folder, which the worker removes unless it was never called. */
void kt_publish_remove_staging(struct kt_op *op);
/* It is for production, of a project with this production ref. */
bool kt_publish_for_production(const struct publish *p, const char *production_ref);
/* A pin would be in its way. */
bool kt_publish_is_held(const struct publish *p, const char *production_ref);

#endif
