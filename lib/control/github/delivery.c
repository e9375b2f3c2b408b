/* SPDX-License-Identifier: MIT */
/*
 * Whether a delivery of a webhook is new. Its signature says that the forge wrote it, not when it
 * was sent: who ever saw one can send it again, under another X-GitHub-Delivery, which is not
 * signed. So a body that was worked on is known by its digest, and what it tells must be newer than
 * what is known of its branch or pull request: by the forge's own time (pushed_at, updated_at), and
 * where two have the same or none, by the chain of commits (before, after). What is not provably
 * newer changes nothing.
 */
#include "control/github/github_private.h"

#include "base/str.h"
#include "base/time.h"

#include <string.h>

/* What `now` is beside the newest that is known of the same target; before: the commit that it says
 * it follows, or NULL. */
static enum kt_verdict judge_delivery(
	const struct kt_heard_row *known, const struct kt_heard_row *now, const char *before)
{
	bool timed = known->at_us > 0 && now->at_us > 0;
	bool same = strcmp(known->commit_sha, now->commit_sha) == 0 && known->closed == now->closed;

	if (timed && now->at_us != known->at_us)
		return now->at_us > known->at_us ? KT_DELIVERY_NEW : KT_DELIVERY_OLD;
	/* The newest of all, once more: after a failure it is tried again. */
	if (same)
		return known->done ? KT_DELIVERY_SEEN : KT_DELIVERY_NEW;
	/* Of the same second: an end follows what it ends, a reopening an end. */
	if (timed && now->closed != known->closed)
		return KT_DELIVERY_NEW;
	if (before && strcmp(before, known->commit_sha) == 0)
		return KT_DELIVERY_NEW;
	return timed ? KT_DELIVERY_OLD : KT_DELIVERY_UNPROVEN;
}

const char *kt_verdict_text(enum kt_verdict v)
{
	static const char *const texts[] = {
		[KT_DELIVERY_NEW] = "",
		[KT_DELIVERY_SEEN] = "this delivery was seen",
		[KT_DELIVERY_OLD] = "a newer state is known",
		[KT_DELIVERY_CLOSED] = "the pull request was closed",
		[KT_DELIVERY_UNPROVEN] = "it cannot be told whether it is newer than what is known",
	};

	return texts[v];
}

/*
 * A branch that somebody moved by another way than the webhook is known by that, from the time on
 * at which it was.
 */
static enum kt_code moved_otherwise(struct kt_tx *tx, struct kt_arena *arena,
	const struct kt_heard_row *now, struct kt_heard_row *known, bool *have, struct kt_err *err)
{
	struct kt_ref_row *refs;
	struct kt_release_row r;
	bool from_webhook = false;
	size_t n;
	enum kt_code rc = kt_tx_refs(tx, arena, now->project_id, &refs, &n, err);

	for (size_t i = 0; rc == KT_OK && i < n; i++) {
		if (strcmp(refs[i].name, now->target) != 0 ||
			(*have && strcmp(refs[i].commit_sha, known->commit_sha) == 0))
			continue;
		r.created_us = 0;
		if (refs[i].release_id)
			rc = kt_tx_release(tx, arena, now->org_id, refs[i].release_id, &r, err);
		from_webhook = rc == KT_OK && refs[i].release_id && kt_str_eq(r.source, "webhook");
		if (rc == KT_ENOTFOUND)
			rc = KT_OK;
		/* The forge's times are of whole seconds. */
		r.created_us -= r.created_us % 1000000;
		if (rc != KT_OK || (*have && (from_webhook || known->at_us > r.created_us)))
			break;
		*known = (struct kt_heard_row){
			.commit_sha = refs[i].commit_sha, .at_us = r.created_us, .done = true
		};
		*have = true;
		break;
	}
	return rc;
}

static enum kt_code known_of(struct kt_tx *tx, struct kt_arena *arena,
	const struct kt_heard_row *now, struct kt_heard_row *known, bool *have, struct kt_err *err)
{
	enum kt_code rc = kt_tx_heard(tx, arena, now->project_id, now->target, known, err);

	*have = rc == KT_OK;
	if (rc != KT_OK && rc != KT_ENOTFOUND)
		return rc;
	if (kt_str_starts(now->target, "refs/"))
		return moved_otherwise(tx, arena, now, known, have, err);
	return KT_OK;
}

/* A pull request of which nothing is known, perhaps because that was too long ago. */
static enum kt_code judge_unknown(struct kt_tx *tx, struct kt_arena *arena,
	const struct kt_heard_row *now, enum kt_verdict *out, struct kt_err *err)
{
	struct kt_heard_row floor;
	enum kt_code rc;

	*out = KT_DELIVERY_NEW;
	if (kt_str_starts(now->target, "refs/") || now->at_us == 0)
		return KT_OK;
	rc = kt_tx_heard(tx, arena, now->project_id, KT_HEARD_FORGOTTEN, &floor, err);
	if (rc == KT_OK && now->at_us <= floor.at_us)
		*out = KT_DELIVERY_OLD;
	return rc == KT_ENOTFOUND ? KT_OK : rc;
}

enum kt_code kt_delivery_begin(struct kt_tx *tx, struct kt_arena *arena, const char *digest,
	const struct kt_heard_row *now, const char *before, enum kt_verdict *out,
	struct kt_err *err)
{
	struct kt_heard_row known;
	bool have = false, seen = false;
	enum kt_code rc = kt_tx_delivery_seen(tx, now->project_id, digest, &seen, err);

	if (rc == KT_OK && seen) {
		*out = KT_DELIVERY_SEEN;
		return KT_OK;
	}
	if (rc == KT_OK)
		rc = known_of(tx, arena, now, &known, &have, err);
	if (rc == KT_OK && !have)
		rc = judge_unknown(tx, arena, now, out, err);
	else if (rc == KT_OK)
		*out = judge_delivery(&known, now, before);
	if (rc == KT_OK && have && known.closed && !now->closed && *out == KT_DELIVERY_OLD)
		*out = KT_DELIVERY_CLOSED;
	if (rc != KT_OK || *out != KT_DELIVERY_NEW)
		return rc;
	rc = kt_tx_delivery_add(tx, now->org_id, now->project_id, digest, kt_time_us(), err);
	return rc == KT_OK ? kt_tx_heard_put(tx, arena, now, err) : rc;
}

enum kt_code kt_delivery_end(struct kt_tx *tx, const char *digest, const struct kt_heard_row *now,
	bool done, struct kt_err *err)
{
	enum kt_code rc = kt_tx_delivery_end(tx, now->project_id, digest, done, err);

	return rc == KT_OK && done ? kt_tx_heard_done(tx, now, err) : rc;
}
