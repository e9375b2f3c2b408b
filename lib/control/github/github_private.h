/* SPDX-License-Identifier: MIT */
/* Deliveries of webhooks, and commits that are fetched. */
#ifndef KT_CONTROL_GITHUB_PRIVATE_H
#define KT_CONTROL_GITHUB_PRIVATE_H

#include "control/release/release_private.h"

/* --- whether a delivery is new (delivery.c) --------------------------------------------------- */

enum kt_verdict {
	KT_DELIVERY_NEW,
	KT_DELIVERY_SEEN,
	KT_DELIVERY_OLD,
	KT_DELIVERY_CLOSED, /* old, of a pull request that was closed since */
	KT_DELIVERY_UNPROVEN
};
/* Why nothing is done, "" of a new one. */
const char *kt_verdict_text(enum kt_verdict v);
/* In a write: judge a delivery; a new one is remembered. kt_delivery_end() follows. */
KT_MUST_CHECK enum kt_code kt_delivery_begin(struct kt_tx *tx, struct kt_arena *arena,
	const char *digest, const struct kt_heard_row *now, const char *before,
	enum kt_verdict *out, struct kt_err *err);
/* It was worked on, or failed and may come again. */
KT_MUST_CHECK enum kt_code kt_delivery_end(struct kt_tx *tx, const char *digest,
	const struct kt_heard_row *now, bool done, struct kt_err *err);

/* --- fetching (github.c, fetch.c) ------------------------------------------------------------- */

/*
 * A commit that is fetched from the bound repository and published (fetch.c). Made by github.c;
 * everything it names is in its arena.
 */
struct kt_fetch {
	struct kt_control *ctl;
	struct kt_arena *arena;
	struct kt_principal who;
	struct kt_org_mem *org; /* of who; organizations stay while the server runs */
	char request_id[KT_ID_MAX], remote_ip[64];
	const char *base_url, *project_id, *url;
	char *token; /* "" = none; wiped at the end */
	const char *digest; /* of the delivery; NULL: there is none */
	struct kt_heard_row heard; /* what it told */
	struct kt_publish_meta meta;
	/* fetch.c */
	enum kt_fetch_state {
		KT_FETCH_WAITS,
		KT_FETCH_RUNS,
		KT_FETCH_HERE,
		KT_FETCH_PUBLISHES,
		KT_FETCH_ENDS
	} state;
	char *path; /* the file */
	int fd; /* of it while it is written, else -1 */
	struct kt_http_fetch *http; /* while it runs */
	int64_t bytes;
	bool closed; /* its pull request was, meanwhile */
	bool published;
	/* Who waits for it, or NULL: told once, on the loop. */
	kt_result_fn done;
	void *done_arg;
	struct kt_precond pre; /* of the publish */
};
/* Where a commit is fetched from, and for whom. */
struct kt_fetch_from {
	const char *org_id, *project_id, *repo_url, *token; /* token "" = none */
	const char *digest; /* of the delivery, or NULL */
	const struct kt_heard_row *heard; /* with digest: what it told */
	const struct kt_principal *who; /* NULL: the webhook */
	const struct kt_publish_meta *meta;
	const struct kt_precond *pre; /* or NULL */
	kt_result_fn done; /* or NULL */
	void *done_arg;
};
/* Fetch and publish; false when the address is not owner/name of a GitHub server. Copies all. */
KT_MUST_CHECK bool kt_github_fetch(struct kt_op *op, const struct kt_fetch_from *from);
/* TAKES f; says what becomes of it in the project's log. */
void kt_fetch_start(struct kt_fetch *f);
/* No more can be taken now. */
bool kt_fetches_full(const struct kt_control *ctl, const char *org_id);
/* Give up what is fetched for a pull request; false when there is nothing. */
bool kt_fetches_close(struct kt_control *ctl, const char *project_id, int64_t pr);
/* Give up all, and close their connections. */
void kt_fetches_stop(struct kt_control *ctl);

#endif
