/* SPDX-License-Identifier: MIT */
/*
 * Files that come in the document itself, as what is between the head and the tail of one that is
 * here: of a small change that is all there is to send, and no archive needs to be unpacked.
 */
#include "control/release/publish_private.h"

#include "base/str.h"

#include <string.h>

#define PATCHES_MAX 64
#define PATCHED_MAX_BYTES ((size_t)8 * 1024 * 1024)

static enum kt_code refuse_patch(struct kt_op *op, struct kt_err *err, const char *what)
{
	return kt_op_code(op, kt_fail(err, KT_EINVAL, 0, "'files' of the document: %s", what), 422,
		"validation_failed");
}

/* When the server lacks what it is made from, it lacks the file too, and says so later. */
static enum kt_code take_patch(
	struct kt_op *op, struct publish *p, const cJSON *item, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf old = KT_BUF_INIT(PATCHED_MAX_BYTES);
	KT_AUTO_BUF struct kt_buf made = KT_BUF_INIT(PATCHED_MAX_BYTES);
	const char *from = kt_json_str(item, "from"), *text = kt_json_str(item, "text");
	int64_t head = kt_json_int(item, "head", 0), tail = kt_json_int(item, "tail", 0);
	char digest[KT_DIGEST_MAX];
	enum kt_code rc;

	if (!item->string || !kt_digest_ok(item->string) || !from || !kt_digest_ok(from) || !text)
		return refuse_patch(
			op, err, "each has the digest that it gives, 'from' and 'text'");
	rc = kt_blobs_read(op->ctl->blobs, op->who.org_id, from, &old, err);
	if (rc == KT_ENOTFOUND || rc == KT_ELIMIT) {
		*err = (struct kt_err)KT_ERR_INIT;
		return KT_OK;
	}
	if (rc != KT_OK)
		return rc;
	if (head < 0 || tail < 0 || head > (int64_t)old.len || tail > (int64_t)old.len - head)
		return refuse_patch(op, err, "'head' and 'tail' are more than there is");
	kt_buf_add(&made, old.ptr, (size_t)head);
	kt_buf_adds(&made, text);
	kt_buf_add(&made, old.ptr + old.len - (size_t)tail, (size_t)tail);
	if (!kt_buf_ok(&made) || (int64_t)made.len > p->limits.max_file_bytes)
		return refuse_patch(op, err, "one is too large to come in a document");
	kt_sha256_of(made.ptr, made.len, digest);
	if (strcmp(digest, item->string) != 0)
		return refuse_patch(op, err, "one has other content than its name says");
	rc = kt_blobs_put(op->ctl->blobs, op->who.org_id, made.ptr, made.len, digest, err);
	if (rc == KT_OK)
		p->n_new++;
	return rc;
}

enum kt_code kt_publish_patches(
	struct kt_op *op, struct publish *p, const cJSON *files, struct kt_err *err)
{
	const cJSON *item;
	enum kt_code rc = KT_OK;
	int n = 0;

	cJSON_ArrayForEach (item, files) {
		if (++n > PATCHES_MAX)
			return refuse_patch(
				op, err, "there are more than 64, which is the limit (fixed)");
		rc = take_patch(op, p, item, err);
		if (rc != KT_OK)
			return rc;
	}
	return rc;
}
