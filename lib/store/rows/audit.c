/* SPDX-License-Identifier: MIT */
/*
 * The audit log: every row holds the hash of the row before it, so that a change anywhere breaks
 * all that follows; the table audit_head holds the end of the chain, so that a cut at the end shows
 * too. Who writes both can forge a whole new chain: that is seen by comparing with a head that was
 * written down elsewhere.
 */
#include "store/rows/table_private.h"

#include "crypto/crypto.h"

#include <endian.h>
#include <string.h>

static const struct kt_col audit_cols[] = {
	KT_COL_INT(struct kt_audit_row, seq, KT_COL_KEY),
	KT_COL_INT(struct kt_audit_row, at_us, 0),
	KT_COL_TEXT(struct kt_audit_row, org_id, 0),
	KT_COL_TEXT(struct kt_audit_row, actor, 0),
	KT_COL_TEXT(struct kt_audit_row, actor_name, 0),
	KT_COL_TEXT(struct kt_audit_row, action, 0),
	KT_COL_TEXT(struct kt_audit_row, object, 0),
	KT_COL_TEXT(struct kt_audit_row, detail, 0),
	KT_COL_TEXT(struct kt_audit_row, request_id, 0),
	KT_COL_TEXT(struct kt_audit_row, remote_ip, 0),
	KT_COL_TEXT(struct kt_audit_row, prev_hash, 0),
	KT_COL_TEXT(struct kt_audit_row, hash, 0),
};
static const struct kt_table audit = KT_TABLE("audit", struct kt_audit_row, audit_cols);

static void hash_int(struct kt_sha256 *h, int64_t v)
{
	uint64_t le = htole64((uint64_t)v);

	kt_sha256_update(h, &le, sizeof(le));
}

/* Length and bytes; NULL has a length that no text has. */
static void hash_text(struct kt_sha256 *h, const char *s)
{
	size_t len = s ? strlen(s) : 0;

	hash_int(h, s ? (int64_t)len : -1);
	if (len)
		kt_sha256_update(h, s, len);
}

/* The canonical encoding is versioned: a row of another encoding never verifies as this one. */
static void hash_row(struct kt_sha256 *h, const struct kt_audit_row *r, char *out)
{
	hash_text(h, "karta-audit-1");
	hash_int(h, r->seq);
	hash_text(h, r->prev_hash);
	hash_int(h, r->at_us);
	hash_text(h, r->org_id);
	hash_text(h, r->actor);
	hash_text(h, r->actor_name);
	hash_text(h, r->action);
	hash_text(h, r->object);
	hash_text(h, r->detail);
	hash_text(h, r->request_id);
	hash_text(h, r->remote_ip);
	kt_sha256_hex(h, out);
}

/* The end of the chain as it was written down: 0 and "" at the start. */
static enum kt_code audit_read_head(struct kt_tx *tx, int64_t *seq, char *hash, struct kt_err *err)
{
	struct kt_q q;
	bool ok = false;
	enum kt_code rc;

	kt_q_open(&q, tx, "SELECT seq, hash FROM audit_head WHERE id = 1", err);
	if (kt_q_row(&q) && strlen(kt_q_peek(&q, 1)) < KT_DIGEST_MAX) {
		*seq = kt_q_num(&q, 0);
		memcpy(hash, kt_q_peek(&q, 1), strlen(kt_q_peek(&q, 1)) + 1);
		ok = true;
	}
	rc = kt_q_end(&q);
	if (rc == KT_OK && !ok)
		rc = kt_fail(err, KT_EPROTO, 0, "the head of the audit log is damaged");
	return rc;
}

enum kt_code kt_tx_audit_add(struct kt_tx *tx, const struct kt_audit_row *row, struct kt_err *err)
{
	char prev[KT_DIGEST_MAX] = "", hash[KT_DIGEST_MAX];
	struct kt_audit_row full = *row;
	struct kt_sha256 *h;
	struct kt_q q;
	enum kt_code rc = audit_read_head(tx, &full.seq, prev, err);

	if (rc != KT_OK)
		return rc;
	full.seq++;
	full.prev_hash = prev;
	h = kt_sha256_new();
	hash_row(h, &full, hash);
	kt_sha256_free(h);
	full.hash = hash;
	kt_q_insert(&q, tx, &audit, &full, NULL, err);
	rc = kt_q_run(&q);
	if (rc != KT_OK)
		return rc;
	kt_q_open(&q, tx, "UPDATE audit_head SET seq = $1, hash = $2 WHERE id = 1", err);
	kt_q_int(&q, 1, full.seq);
	kt_q_text(&q, 2, hash);
	return kt_q_run_one(&q, "the head of the audit log is gone");
}

enum kt_code kt_tx_audit(struct kt_tx *tx, struct kt_arena *arena, const char *org_id,
	int64_t before, size_t limit, struct kt_audit_row **out, size_t *out_n, struct kt_err *err)
{
	struct kt_q q;

	kt_q_select(&q, tx, &audit,
		"FROM audit WHERE org_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3", err);
	kt_q_text(&q, 1, org_id);
	kt_q_int(&q, 2, before > 0 ? before : INT64_MAX);
	kt_q_int(&q, 3, (int64_t)KT_MIN(limit, (size_t)KT_STORE_MAX_ROWS));
	return kt_q_all(&q, &audit, arena, (void **)out, out_n);
}

struct chain {
	int64_t n, bad;
	char last[KT_DIGEST_MAX]; /* hash of the row before */
};

/* Is this row the one that follows? */
static void check_row(struct chain *c, struct kt_sha256 *h, const struct kt_audit_row *r)
{
	char hash[KT_DIGEST_MAX];

	c->n++;
	hash_row(h, r, hash);
	if (r->seq != c->n || strcmp(r->prev_hash, c->last) != 0 || strcmp(r->hash, hash) != 0)
		c->bad = c->n;
	memcpy(c->last, hash, sizeof(hash));
}

enum kt_code kt_tx_audit_verify(
	struct kt_tx *tx, int64_t *out_n, int64_t *out_bad, char *out_head, struct kt_err *err)
{
	struct chain c = { 0 };
	struct kt_sha256 *h = kt_sha256_new();
	char head[KT_DIGEST_MAX] = "";
	int64_t head_seq = 0;
	struct kt_q q;
	enum kt_code rc;

	kt_q_select(&q, tx, &audit, "FROM audit ORDER BY seq", err);
	while (c.bad == 0 && kt_q_row(&q)) {
		KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
		struct kt_audit_row row = { 0 };

		kt_q_read(&q, &audit, arena, &row);
		check_row(&c, h, &row);
	}
	kt_sha256_free(h);
	rc = kt_q_end(&q);
	if (rc == KT_OK)
		rc = audit_read_head(tx, &head_seq, head, NULL) == KT_OK ? KT_OK : KT_EPROTO;
	if (rc == KT_EPROTO && c.bad == 0)
		c.bad = c.n + 1;
	else if (rc != KT_OK && rc != KT_EPROTO)
		return rc;
	/* Rows are missing at the end, or were added without the head. */
	if (c.bad == 0 && (head_seq != c.n || strcmp(head, c.last) != 0))
		c.bad = KT_MIN(head_seq, c.n) + 1;
	*out_n = c.n;
	*out_bad = c.bad;
	memcpy(out_head, c.last, sizeof(c.last));
	return KT_OK;
}
