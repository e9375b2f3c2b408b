/* SPDX-License-Identifier: MIT */
/*
 * Previews: their names and their ends. A preview is a release at a URL of its own; it never
 * touches the project's pointer. When it is over, sessions that run on it go on.
 */
#include "control/project/project_private.h"

#include "base/log.h"
#include "base/str.h"
#include "base/time.h"

#include <stdio.h>
#include <string.h>

#define MAX_LABEL 63 /* a label of a host name, RFC 1035 2.3.4 */
#define HASH_DIGITS 6

/* Cut to a label; what was cut off is told apart by a few digits of its digest. */
static void cut_label(const char *text, char *out)
{
	char digest[KT_DIGEST_MAX];
	size_t len = strlen(text);

	if (len <= MAX_LABEL) {
		memcpy(out, text, len + 1);
		return;
	}
	kt_sha256_of(text, len, digest);
	len = MAX_LABEL - HASH_DIGITS - 1;
	memcpy(out, text, len);
	while (len > 0 && out[len - 1] == '-')
		len--;
	(void)snprintf(out + len, MAX_LABEL + 1 - len, "-%.*s", HASH_DIGITS, digest);
}

void kt_preview_label(const char *slug, const char *ref, int64_t pr, char *out)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);
	const char *name = ref ? ref : "preview";

	if (pr > 0) {
		kt_buf_addf(&b, "%s-pr-%lld", slug, (long long)pr);
	} else {
		if (kt_str_starts(name, "refs/heads/"))
			name += strlen("refs/heads/");
		else if (kt_str_starts(name, "refs/"))
			name += strlen("refs/");
		kt_buf_addf(&b, "%s-", slug);
		for (const char *s = name; *s; s++) {
			char c = *s;

			if (c >= 'A' && c <= 'Z')
				c = (char)(c + 'a' - 'A');
			if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')))
				c = '-';
			if (c != '-' || b.ptr[b.len - 1] != '-')
				kt_buf_addc(&b, c);
		}
		while (b.len > 0 && b.ptr[b.len - 1] == '-')
			kt_buf_truncate(&b, b.len - 1);
		/* Nothing but signs, as in a name in another script. */
		if (b.len <= strlen(slug)) {
			char digest[KT_DIGEST_MAX];

			kt_sha256_of(name, strlen(name), digest);
			kt_buf_addf(&b, "-%.*s", HASH_DIGITS, digest);
		}
	}
	cut_label(b.ptr, out);
}

enum kt_code kt_preview_end(struct kt_tx *tx, struct kt_op *op, const char *project_id,
	const char *label, bool builds, struct kt_err *err)
{
	unsigned states = 1U << KT_REL_PREVIEW |
		(builds ? 1U << KT_REL_QUEUED | 1U << KT_REL_BUILDING : 0);
	struct kt_project_row p;
	struct kt_release_row *rows;
	size_t n;
	enum kt_code rc = kt_tx_project(tx, op->arena, op->who.org_id, project_id, &p, err);

	if (rc == KT_OK)
		rc = kt_tx_releases_in(tx, op->arena, states, &rows, &n, err);
	for (size_t i = 0; rc == KT_OK && i < n; i++) {
		struct kt_release_row *r = &rows[i];

		if (strcmp(r->project_id, p.id) != 0 || !kt_str_eq(r->preview, label))
			continue;
		r->expires_us = kt_time_us();
		/* The state of one that is built is its build's. */
		if (r->state != KT_REL_PREVIEW) {
			rc = kt_tx_release_put(tx, r, err);
			continue;
		}
		r->state = KT_REL_EXPIRED;
		rc = kt_tx_release_put(tx, r, err);
		if (rc == KT_OK)
			rc = kt_op_audit(tx, op, "preview.end",
				kt_object_project(op->arena, p.slug),
				kt_json_pairs(op->arena, "preview", label, "version",
					kt_version_text(op->arena, r->version), "release", r->id,
					NULL),
				err);
	}
	return rc;
}

void kt_preview_coming(const struct kt_project_mem *p, const char *ref, int64_t pr, char *out)
{
	kt_preview_label(p->label, ref, pr, out);
	for (size_t i = 0; i < p->previews.len; i++) {
		const struct kt_release_mem *r = p->previews.items[i];

		if (kt_str_eq(r->label, out) && !(ref && kt_str_eq(r->ref, ref)) &&
			!(pr && r->pr == pr))
			out[0] = '\0';
	}
}

struct closing {
	char project_id[KT_ID_MAX];
	char label[64];
};

static enum kt_code close_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	const struct closing *c = op->data;
	enum kt_code rc = kt_preview_end(tx, op, c->project_id, c->label, true, err);

	return rc == KT_ENOTFOUND ? KT_OK : rc;
}

static void close_after(struct kt_op *op)
{
	const struct closing *c = op->data;
	struct kt_project_mem *p = kt_map_get(&op->ctl->projects, c->project_id);

	if (p)
		kt_index_preview_drop(op->ctl, p, c->label);
}

void kt_preview_close(struct kt_control *ctl, const struct kt_project_mem *p, const char *label)
{
	struct kt_op *op = kt_op_new(ctl, NULL, NULL, NULL, NULL);
	struct closing *c = kt_arena_alloc(op->arena, sizeof(*c));

	(void)kt_str_copy(op->who.org_id, sizeof(op->who.org_id), p->org->id);
	(void)kt_str_copy(c->project_id, sizeof(c->project_id), p->id);
	(void)kt_str_copy(c->label, sizeof(c->label), label);
	op->data = c;
	kt_op_last(op, KT_STEP_WRITE, close_work, close_after);
}

/* --- expiry ------------------------------------------------------------------------------ */

struct expiry {
	char project_id[KT_ID_MAX];
	char label[64];
	char release_id[KT_ID_MAX];
	int64_t version;
	bool ended;
};

/* A push may have come between the look at the index and this transaction: its release lives on. */
static enum kt_code preview_expire_work(struct kt_tx *tx, struct kt_op *op, struct kt_err *err)
{
	struct expiry *e = op->data;
	struct kt_release_row row;
	enum kt_code rc = kt_tx_release(tx, op->arena, op->who.org_id, e->release_id, &row, err);

	if (rc == KT_ENOTFOUND ||
		(rc == KT_OK && (row.state != KT_REL_PREVIEW || row.expires_us > kt_time_us())))
		return KT_OK;
	if (rc == KT_OK)
		rc = kt_preview_end(tx, op, e->project_id, e->label, false, err);
	e->ended = rc == KT_OK;
	return rc;
}

static void preview_expired(struct kt_op *op)
{
	const struct expiry *e = op->data;
	struct kt_project_mem *p = kt_map_get(&op->ctl->projects, e->project_id);
	const struct kt_log_line line = {
		.project_id = e->project_id,
		.level = "info",
		.source = "release",
		.version = e->version,
		.text = "the preview is over: nothing was pushed to it",
	};

	if (!e->ended || !p)
		return;
	kt_index_preview_drop(op->ctl, p, e->label);
	kt_control_log(op->ctl, &line);
}

static void preview_expire(
	struct kt_control *ctl, const struct kt_project_mem *p, const struct kt_release_mem *r)
{
	struct kt_op *op = kt_op_new(ctl, NULL, NULL, NULL, NULL);
	struct expiry *e = kt_arena_alloc(op->arena, sizeof(*e));

	(void)kt_str_copy(op->who.org_id, sizeof(op->who.org_id), p->org->id);
	(void)kt_str_copy(e->project_id, sizeof(e->project_id), p->id);
	(void)kt_str_copy(e->label, sizeof(e->label), r->label);
	(void)kt_str_copy(e->release_id, sizeof(e->release_id), r->id);
	e->version = r->version;
	op->data = e;
	kt_op_last(op, KT_STEP_WRITE, preview_expire_work, preview_expired);
}

void kt_previews_sweep(struct kt_control *ctl)
{
	int64_t now = kt_time_us();
	size_t pos = 0;
	const char *key;
	void *value;

	while (kt_map_next(&ctl->projects, &pos, &key, &value)) {
		const struct kt_project_mem *p = value;

		for (size_t i = 0; i < p->previews.len; i++) {
			const struct kt_release_mem *r = p->previews.items[i];

			if (r->expires_us > 0 && r->expires_us <= now)
				preview_expire(ctl, p, r);
		}
	}
}
