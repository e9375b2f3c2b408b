/* SPDX-License-Identifier: MIT */
/*
 * How many bytes may wait, and for whom. Whatever is kept for a client (what it has sent and is not
 * worked off, what it is to get and has not taken, what is made of either) is counted in a hold,
 * and a hold counts for the server, an organization, a key and an address together. What nobody has
 * signed for is counted apart: all of it together is little, and the oldest of it makes room.
 * Nothing here allocates memory for the bytes themselves. For the loop's thread.
 */
#ifndef KT_NET_BUDGET_H
#define KT_NET_BUDGET_H

#include "base/err.h"

/* Which limit refused. */
enum kt_budget_limit {
	KT_BUDGET_FITS = 0,
	KT_BUDGET_SERVER,
	KT_BUDGET_ORG,
	KT_BUDGET_KEY,
	KT_BUDGET_ADDRESS,
	KT_BUDGET_STRANGERS, /* of all strangers */
	KT_BUDGET_STRANGER, /* of the strangers of one address */
};

/* Most bytes at a time. */
struct kt_budget_config {
	size_t server, org, key, address;
	size_t strangers; /* all that nobody has signed for; part of `server` */
	size_t stranger; /* of that, from one address */
};
/* The defaults of limits.h. */
void kt_budget_config_init(struct kt_budget_config *cfg);

struct kt_budget;
struct kt_account;

/*
 * Bytes that wait for one client. Embedded in what owns them, all zero at first; it must not move
 * while it holds anything. A hold that was given no budget takes everything and counts nothing.
 */
struct kt_hold {
	struct kt_budget *budget; /* NULL = counts nothing */
	struct kt_account *org, *key, *address; /* NULL = has none */
	size_t bytes;
	bool stranger;
	void (*evict)(void *arg); /* or NULL; see kt_hold_evictable() */
	void *arg;
	struct kt_hold *older, *newer; /* among all strangers that may be evicted */
	struct kt_hold *address_older, *address_newer; /* and among those of its address */
};

/* New budget; kt_budget_free() ends it, after all its holds. */
KT_MUST_CHECK struct kt_budget *kt_budget_new(const struct kt_budget_config *cfg);
void kt_budget_free(struct kt_budget *b);
/* Bytes in flight. */
size_t kt_budget_bytes(const struct kt_budget *b);
/* Most bytes that were in flight since this was asked last. */
size_t kt_budget_peak(struct kt_budget *b);

/*
 * The hold is a stranger's from now on, at this address (its text); with what it has, without a
 * question. NULL address = of none.
 */
void kt_hold_stranger(struct kt_hold *h, struct kt_budget *b, const char *address);
/*
 * The hold's owner has signed: what it has counts for org and key (NULL = there is none, as on a
 * local server) and for the address from now on. Returns the limit that refused; then nothing has
 * changed.
 */
KT_MUST_CHECK enum kt_budget_limit kt_hold_admit(struct kt_hold *h, struct kt_budget *b,
	const char *org, const char *key, const char *address);
/* `h`, which is empty, counts for the same as `of` does, with no bytes yet. */
void kt_hold_like(struct kt_hold *h, const struct kt_hold *of);

/*
 * Room for `bytes` more. Returns the limit that refused; then nothing has changed. A stranger that
 * does not fit may cost the oldest of its kind their place: their evict is called from here.
 */
KT_MUST_CHECK enum kt_budget_limit kt_hold_more(struct kt_hold *h, size_t bytes);
/* Give back `bytes` of it (at most what it has). */
void kt_hold_less(struct kt_hold *h, size_t bytes);
/* Make it `bytes` in all: as kt_hold_more() or kt_hold_less(). */
KT_MUST_CHECK enum kt_budget_limit kt_hold_set(struct kt_hold *h, size_t bytes);
/*
 * While the hold is a stranger's, evict(arg) may be called when newer strangers need the room: its
 * bytes are given back already, and their memory has to go. NULL: it may not (its work is under
 * way).
 */
void kt_hold_evictable(struct kt_hold *h, void (*evict)(void *arg), void *arg);
/* Give all back; the hold is empty and counts for nobody. */
void kt_hold_release(struct kt_hold *h);

/* What a client is told about a limit. */
struct kt_budget_refusal {
	int status; /* 429: wait for your own; 503: others have taken it */
	const char *code; /* "limit_reached" or "unavailable" */
	int retry_after_s;
	char text[200]; /* names the limit, its size and what to do */
};
void kt_budget_refused(
	const struct kt_budget *b, enum kt_budget_limit limit, struct kt_budget_refusal *out);

/* What an address counts as: itself, or the /64 of an IPv6 address (a host owns one at least). */
#define KT_BUDGET_ADDRESS_SIZE 64
void kt_budget_address(const char *peer, char out[KT_BUDGET_ADDRESS_SIZE]);

#endif
