/* SPDX-License-Identifier: MIT */
/*
 * Accounts by name, counted by reference: one is there as long as a hold is counted in it, so the
 * table is as large as what is in flight. Strangers that may be evicted stand in two lists, oldest
 * first: that of all, and that of their address, so that who fills its own share pushes out its
 * own.
 */
#include "net/budget.h"

#include "base/limits.h"
#include "base/map.h"
#include "base/str.h"

#include <arpa/inet.h>
#include <string.h>

struct kt_account {
	size_t bytes; /* signed for */
	size_t stranger_bytes; /* only of an address */
	size_t refs;
	struct kt_hold *oldest, *newest; /* strangers of this address that may be evicted */
	char name[]; /* with its kind before it */
};

struct kt_budget {
	struct kt_budget_config cfg;
	struct kt_map accounts;
	size_t bytes, stranger_bytes, peak;
	struct kt_hold *oldest, *newest;
};

void kt_budget_config_init(struct kt_budget_config *cfg)
{
	*cfg = (struct kt_budget_config){
		.server = KT_MAX_INFLIGHT_BYTES,
		.org = KT_MAX_INFLIGHT_ORG_BYTES,
		.key = KT_MAX_INFLIGHT_KEY_BYTES,
		.address = KT_MAX_INFLIGHT_ADDRESS_BYTES,
		.strangers = KT_MAX_STRANGERS_BYTES,
		.stranger = KT_MAX_STRANGERS_ADDRESS_BYTES,
	};
}

struct kt_budget *kt_budget_new(const struct kt_budget_config *cfg)
{
	struct kt_budget *b = kt_calloc(1, sizeof(*b));

	b->cfg = *cfg;
	return b;
}

void kt_budget_free(struct kt_budget *b)
{
	if (!b)
		return;
	kt_assert(b->bytes == 0 && b->accounts.len == 0);
	kt_map_release(&b->accounts);
	free(b);
}

size_t kt_budget_bytes(const struct kt_budget *b)
{
	return b->bytes;
}

size_t kt_budget_peak(struct kt_budget *b)
{
	size_t peak = b->peak;

	b->peak = b->bytes;
	return peak;
}

/* --- accounts ---------------------------------------------------------------------------- */

static struct kt_account *account_get(struct kt_budget *b, char kind, const char *name)
{
	char key[256];
	struct kt_account *a;

	if (!name || !*name)
		return NULL;
	(void)snprintf(key, sizeof(key), "%c%s", kind, name);
	a = kt_map_get(&b->accounts, key);
	if (!a) {
		size_t size = strlen(key) + 1;
		a = kt_calloc(1, sizeof(*a) + size);
		memcpy(a->name, key, size);
		(void)kt_map_set(&b->accounts, key, a);
	}
	a->refs++;
	return a;
}

static void account_put(struct kt_budget *b, struct kt_account *a)
{
	if (!a || --a->refs > 0)
		return;
	kt_assert(!a->bytes && !a->stranger_bytes);
	(void)kt_map_del(&b->accounts, a->name);
	free(a);
}

static struct kt_account *address_get(struct kt_budget *b, const char *address)
{
	char name[KT_BUDGET_ADDRESS_SIZE];

	if (!address)
		return NULL;
	kt_budget_address(address, name);
	return account_get(b, 'a', name);
}

static void put_accounts(struct kt_hold *h)
{
	account_put(h->budget, h->org);
	account_put(h->budget, h->key);
	account_put(h->budget, h->address);
	h->org = h->key = h->address = NULL;
}

/* --- counting ---------------------------------------------------------------------------- */

static bool passes_limit(size_t have, size_t more, size_t most)
{
	return more > most || have > most - more;
}

/* Would `bytes` more of what counts like h be too many? */
static enum kt_budget_limit look_at_budget(const struct kt_hold *h, size_t bytes)
{
	const struct kt_budget *b = h->budget;

	if (bytes == 0)
		return KT_BUDGET_FITS;
	if (h->stranger) {
		if (h->address && passes_limit(h->address->stranger_bytes, bytes, b->cfg.stranger))
			return KT_BUDGET_STRANGER;
		if (passes_limit(b->stranger_bytes, bytes, b->cfg.strangers))
			return KT_BUDGET_STRANGERS;
	} else {
		if (h->key && passes_limit(h->key->bytes, bytes, b->cfg.key))
			return KT_BUDGET_KEY;
		if (h->org && passes_limit(h->org->bytes, bytes, b->cfg.org))
			return KT_BUDGET_ORG;
		if (h->address && passes_limit(h->address->bytes, bytes, b->cfg.address))
			return KT_BUDGET_ADDRESS;
	}
	return passes_limit(b->bytes, bytes, b->cfg.server) ? KT_BUDGET_SERVER : KT_BUDGET_FITS;
}

static void count_in(struct kt_hold *h, size_t bytes)
{
	h->bytes += bytes;
	h->budget->bytes += bytes;
	h->budget->peak = KT_MAX(h->budget->peak, h->budget->bytes);
	if (h->stranger) {
		h->budget->stranger_bytes += bytes;
		if (h->address)
			h->address->stranger_bytes += bytes;
		return;
	}
	if (h->org)
		h->org->bytes += bytes;
	if (h->key)
		h->key->bytes += bytes;
	if (h->address)
		h->address->bytes += bytes;
}

static void count_out(struct kt_hold *h, size_t bytes)
{
	kt_assert(bytes <= h->bytes);
	h->bytes -= bytes;
	h->budget->bytes -= bytes;
	if (h->stranger) {
		h->budget->stranger_bytes -= bytes;
		if (h->address)
			h->address->stranger_bytes -= bytes;
		return;
	}
	if (h->org)
		h->org->bytes -= bytes;
	if (h->key)
		h->key->bytes -= bytes;
	if (h->address)
		h->address->bytes -= bytes;
}

/* --- strangers that may be evicted ------------------------------------------------------- */

static bool is_hold_queued(const struct kt_hold *h)
{
	return h->older || h->newer || h->budget->oldest == h;
}

static void queue_add(struct kt_hold *h)
{
	struct kt_budget *b = h->budget;
	struct kt_account *a = h->address;

	h->older = b->newest;
	*(b->newest ? &b->newest->newer : &b->oldest) = h;
	b->newest = h;
	if (!a)
		return;
	h->address_older = a->newest;
	*(a->newest ? &a->newest->address_newer : &a->oldest) = h;
	a->newest = h;
}

static void queue_remove(struct kt_hold *h)
{
	struct kt_budget *b = h->budget;
	struct kt_account *a = h->address;

	if (!is_hold_queued(h))
		return;
	*(h->older ? &h->older->newer : &b->oldest) = h->newer;
	*(h->newer ? &h->newer->older : &b->newest) = h->older;
	h->older = h->newer = NULL;
	if (!a)
		return;
	*(h->address_older ? &h->address_older->address_newer : &a->oldest) = h->address_newer;
	*(h->address_newer ? &h->address_newer->address_older : &a->newest) = h->address_older;
	h->address_older = h->address_newer = NULL;
}

/* In line from its first byte on: who drips does not become younger. */
static void queue_look(struct kt_hold *h)
{
	bool wanted = h->stranger && h->evict && h->bytes > 0;

	if (wanted && !is_hold_queued(h))
		queue_add(h);
	else if (!wanted)
		queue_remove(h);
}

/* Evict the oldest but h; false when there is none. */
static bool make_budget_room(struct kt_hold *h, enum kt_budget_limit limit)
{
	struct kt_hold *old = NULL;

	if (limit == KT_BUDGET_STRANGER) {
		old = h->address->oldest;
		if (old == h)
			old = h->address_newer;
	} else if (limit == KT_BUDGET_STRANGERS) {
		old = h->budget->oldest;
		if (old == h)
			old = h->newer;
	}
	if (!old)
		return false;
	queue_remove(old);
	count_out(old, old->bytes);
	old->evict(old->arg);
	return true;
}

/* --- holds ------------------------------------------------------------------------------- */

void kt_hold_stranger(struct kt_hold *h, struct kt_budget *b, const char *address)
{
	size_t bytes = h->bytes;
	struct kt_account *a = b ? address_get(b, address) : NULL;

	kt_hold_release(h);
	h->budget = b;
	if (!b)
		return;
	h->stranger = true;
	h->address = a;
	count_in(h, bytes);
	queue_look(h);
}

static bool is_account(const struct kt_account *a, const char *name)
{
	return name && *name ? a && kt_str_eq(a->name + 1, name) : !a;
}

/* It was admitted for the same already, as a request with a body is twice. */
static bool is_admitted(
	const struct kt_hold *h, const char *org, const char *key, const char *address)
{
	char name[KT_BUDGET_ADDRESS_SIZE] = "";

	if (!h->budget || h->stranger || !is_account(h->org, org) || !is_account(h->key, key))
		return false;
	if (address)
		kt_budget_address(address, name);
	return is_account(h->address, name);
}

enum kt_budget_limit kt_hold_admit(struct kt_hold *h, struct kt_budget *b, const char *org,
	const char *key, const char *address)
{
	struct kt_hold next = { .budget = b };
	size_t bytes = h->bytes;
	enum kt_budget_limit limit;

	if (!b || is_admitted(h, org, key, address))
		return KT_BUDGET_FITS;
	next.org = account_get(b, 'o', org);
	next.key = account_get(b, 'k', key);
	next.address = address_get(b, address);
	if (h->budget) {
		queue_remove(h);
		count_out(h, bytes);
	}
	limit = look_at_budget(&next, bytes);
	if (limit != KT_BUDGET_FITS) {
		put_accounts(&next);
		if (h->budget) {
			count_in(h, bytes);
			queue_look(h);
		}
		return limit;
	}
	kt_hold_release(h);
	*h = next;
	count_in(h, bytes);
	return KT_BUDGET_FITS;
}

void kt_hold_like(struct kt_hold *h, const struct kt_hold *of)
{
	kt_assert(!h->bytes && !h->address && !h->org && !h->key);
	*h = (struct kt_hold){
		.budget = of->budget,
		.org = of->org,
		.key = of->key,
		.address = of->address,
		.stranger = of->stranger,
	};
	if (h->org)
		h->org->refs++;
	if (h->key)
		h->key->refs++;
	if (h->address)
		h->address->refs++;
}

enum kt_budget_limit kt_hold_more(struct kt_hold *h, size_t bytes)
{
	enum kt_budget_limit limit;

	if (!h->budget) {
		h->bytes += bytes;
		return KT_BUDGET_FITS;
	}
	while ((limit = look_at_budget(h, bytes)) != KT_BUDGET_FITS) {
		if (!make_budget_room(h, limit))
			return limit;
	}
	count_in(h, bytes);
	queue_look(h);
	return KT_BUDGET_FITS;
}

void kt_hold_less(struct kt_hold *h, size_t bytes)
{
	if (!h->budget) {
		kt_assert(bytes <= h->bytes);
		h->bytes -= bytes;
		return;
	}
	count_out(h, bytes);
	queue_look(h);
}

enum kt_budget_limit kt_hold_set(struct kt_hold *h, size_t bytes)
{
	if (bytes > h->bytes)
		return kt_hold_more(h, bytes - h->bytes);
	kt_hold_less(h, h->bytes - bytes);
	return KT_BUDGET_FITS;
}

void kt_hold_evictable(struct kt_hold *h, void (*evict)(void *arg), void *arg)
{
	h->evict = evict;
	h->arg = arg;
	if (h->budget)
		queue_look(h);
}

void kt_hold_release(struct kt_hold *h)
{
	if (h->budget) {
		queue_remove(h);
		count_out(h, h->bytes);
		put_accounts(h);
	}
	h->budget = NULL;
	h->bytes = 0;
	h->stranger = false;
}

/* --- words ------------------------------------------------------------------------------- */

void kt_budget_refused(
	const struct kt_budget *b, enum kt_budget_limit limit, struct kt_budget_refusal *out)
{
	const struct {
		const char *whose;
		size_t most;
		bool shared;
	} of[] = {
		[KT_BUDGET_FITS] = { "the server", b->cfg.server, true },
		[KT_BUDGET_SERVER] = { "the server", b->cfg.server, true },
		[KT_BUDGET_ORG] = { "this organization", b->cfg.org, false },
		[KT_BUDGET_KEY] = { "this key", b->cfg.key, false },
		[KT_BUDGET_ADDRESS] = { "this address", b->cfg.address, false },
		[KT_BUDGET_STRANGERS] = { "what is sent without a key", b->cfg.strangers, true },
		[KT_BUDGET_STRANGER] = { "what is sent without a key from this address",
			b->cfg.stranger, false },
	};
	size_t most = of[limit].most;
	bool whole = most >= 1024 * 1024;

	out->status = of[limit].shared ? 503 : 429;
	out->code = of[limit].shared ? "unavailable" : "limit_reached";
	out->retry_after_s = of[limit].shared ? 5 : 1;
	(void)snprintf(out->text, sizeof(out->text),
		"the bytes in flight of %s are at their limit of %zu %s, which is fixed; wait for "
		"running requests to end",
		of[limit].whose, whole ? most / (1024 * 1024) : most, whole ? "MiB" : "bytes");
}

void kt_budget_address(const char *peer, char out[KT_BUDGET_ADDRESS_SIZE])
{
	struct in6_addr a;

	if (strchr(peer, ':') && inet_pton(AF_INET6, peer, &a) == 1) {
		/* ::ffff:192.0.2.1 is that IPv4 address, by whatever way it came. */
		if (IN6_IS_ADDR_V4MAPPED(&a)) {
			if (inet_ntop(AF_INET, a.s6_addr + 12, out, KT_BUDGET_ADDRESS_SIZE))
				return;
		}
		memset(a.s6_addr + 8, 0, 8);
		if (inet_ntop(AF_INET6, &a, out, KT_BUDGET_ADDRESS_SIZE))
			return;
	}
	if (!kt_str_copy(out, KT_BUDGET_ADDRESS_SIZE, peer))
		out[0] = '\0';
}
