/* SPDX-License-Identifier: MIT */
/*
 * The budget of bytes in flight: which limit refuses, that what is given back is there again, that
 * strangers cannot take what others have signed for, and that the oldest of them make room.
 */
#include "net/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct kt_budget *small(void)
{
	static const struct kt_budget_config cfg = {
		.server = 1000,
		.org = 600,
		.key = 400,
		.address = 700,
		.strangers = 100,
		.stranger = 60,
	};

	return kt_budget_new(&cfg);
}

/* So many bytes are strangers': what is left of their share fits, and not a byte more. */
static void expect_strangers(struct kt_budget *b, size_t bytes)
{
	struct kt_hold h[2] = { 0 };
	size_t left = 100 - bytes;

	for (int i = 0; i < 2; i++) {
		size_t n = KT_MIN(left, (size_t)60);

		kt_hold_stranger(&h[i], b, i == 0 ? "198.51.100.1" : "198.51.100.2");
		assert_int_equal(kt_hold_more(&h[i], n), KT_BUDGET_FITS);
		left -= n;
	}
	assert_int_equal(kt_hold_more(&h[1], 1), KT_BUDGET_STRANGERS);
	kt_hold_release(&h[0]);
	kt_hold_release(&h[1]);
}

static void limits_refuse_in_their_order(void **state)
{
	(void)state;
	struct kt_budget *b = small();
	struct kt_hold h[5] = { 0 };

	assert_int_equal(kt_hold_admit(&h[0], b, "org1", "key1", "192.0.2.1"), KT_BUDGET_FITS);
	assert_int_equal(kt_hold_more(&h[0], 401), KT_BUDGET_KEY);
	assert_int_equal(kt_hold_more(&h[0], SIZE_MAX), KT_BUDGET_KEY);
	assert_int_equal(h[0].bytes, 0);
	assert_int_equal(kt_hold_more(&h[0], 400), KT_BUDGET_FITS);
	assert_int_equal(kt_hold_admit(&h[1], b, "org1", "key2", "192.0.2.1"), KT_BUDGET_FITS);
	assert_int_equal(kt_hold_more(&h[1], 201), KT_BUDGET_ORG);
	assert_int_equal(kt_hold_more(&h[1], 200), KT_BUDGET_FITS);
	assert_int_equal(kt_hold_admit(&h[2], b, "org2", "key3", "192.0.2.1"), KT_BUDGET_FITS);
	assert_int_equal(kt_hold_more(&h[2], 101), KT_BUDGET_ADDRESS);
	assert_int_equal(kt_hold_more(&h[2], 100), KT_BUDGET_FITS);
	assert_int_equal(kt_hold_admit(&h[3], b, "org3", "key4", "192.0.2.2"), KT_BUDGET_FITS);
	assert_int_equal(kt_hold_more(&h[3], 301), KT_BUDGET_SERVER);
	assert_int_equal(kt_hold_more(&h[3], 300), KT_BUDGET_FITS);
	assert_int_equal(kt_budget_bytes(b), 1000);
	/* A local server has neither organizations nor keys. */
	assert_int_equal(kt_hold_admit(&h[4], b, NULL, NULL, NULL), KT_BUDGET_FITS);
	assert_int_equal(kt_hold_more(&h[4], 1), KT_BUDGET_SERVER);
	/* What is given back is there again, for each that it was counted for. */
	kt_hold_less(&h[0], 400);
	assert_int_equal(kt_hold_more(&h[4], 400), KT_BUDGET_FITS);
	for (size_t i = 0; i < 5; i++)
		kt_hold_release(&h[i]);
	assert_int_equal(kt_budget_bytes(b), 0);
	assert_int_equal(kt_budget_peak(b), 1000);
	assert_int_equal(kt_budget_peak(b), 0);
	kt_budget_free(b);
}

static void a_hold_like_another_counts_for_the_same(void **state)
{
	(void)state;
	struct kt_budget *b = small();
	struct kt_hold h = { 0 }, tree = { 0 };

	assert_int_equal(kt_hold_admit(&h, b, "org1", "key1", "192.0.2.1"), KT_BUDGET_FITS);
	assert_int_equal(kt_hold_set(&h, 300), KT_BUDGET_FITS);
	kt_hold_like(&tree, &h);
	assert_int_equal(tree.bytes, 0);
	assert_int_equal(kt_hold_more(&tree, 101), KT_BUDGET_KEY);
	/* It may outlive the one it was made after. */
	kt_hold_release(&h);
	assert_int_equal(kt_hold_set(&tree, 400), KT_BUDGET_FITS);
	assert_int_equal(kt_hold_set(&tree, 401), KT_BUDGET_KEY);
	assert_int_equal(kt_hold_set(&tree, 10), KT_BUDGET_FITS);
	assert_int_equal(kt_budget_bytes(b), 10);
	kt_hold_release(&tree);
	kt_budget_free(b);
}

static void signing_moves_the_bytes(void **state)
{
	(void)state;
	struct kt_budget *b = small();
	struct kt_hold h = { 0 }, other = { 0 };

	kt_hold_stranger(&h, b, "192.0.2.1");
	assert_int_equal(kt_hold_more(&h, 60), KT_BUDGET_FITS);
	expect_strangers(b, 60);
	/* The key is full: it stays what it was. */
	assert_int_equal(kt_hold_admit(&other, b, "org1", "key1", "192.0.2.2"), KT_BUDGET_FITS);
	assert_int_equal(kt_hold_more(&other, 350), KT_BUDGET_FITS);
	assert_int_equal(kt_hold_admit(&h, b, "org1", "key1", "192.0.2.1"), KT_BUDGET_KEY);
	assert_true(h.stranger);
	expect_strangers(b, 60);
	kt_hold_less(&other, 350);
	assert_int_equal(kt_hold_admit(&h, b, "org1", "key1", "192.0.2.1"), KT_BUDGET_FITS);
	expect_strangers(b, 0);
	assert_int_equal(kt_budget_bytes(b), 60);
	/* The same again changes nothing, and the way back is there, too. */
	assert_int_equal(kt_hold_admit(&h, b, "org1", "key1", "192.0.2.1"), KT_BUDGET_FITS);
	kt_hold_stranger(&h, b, "192.0.2.1");
	expect_strangers(b, 60);
	kt_hold_release(&h);
	kt_hold_release(&other);
	kt_budget_free(b);
}

struct guest {
	struct kt_hold hold;
	int evicted;
};

static void evicted(void *arg)
{
	struct guest *g = arg;

	g->evicted++;
	assert_int_equal(g->hold.bytes, 0);
	kt_hold_release(&g->hold);
}

static void arrive(struct guest *g, struct kt_budget *b, const char *address)
{
	kt_hold_stranger(&g->hold, b, address);
	kt_hold_evictable(&g->hold, evicted, g);
}

static void the_oldest_strangers_make_room(void **state)
{
	(void)state;
	struct kt_budget *b = small();
	struct guest g[6] = { 0 };

	arrive(&g[0], b, "192.0.2.1");
	arrive(&g[1], b, "192.0.2.2");
	arrive(&g[2], b, "192.0.2.2");
	assert_int_equal(kt_hold_more(&g[0].hold, 30), KT_BUDGET_FITS);
	assert_int_equal(kt_hold_more(&g[1].hold, 30), KT_BUDGET_FITS);
	assert_int_equal(kt_hold_more(&g[2].hold, 20), KT_BUDGET_FITS);
	/* Dripping does not make it younger. */
	assert_int_equal(kt_hold_more(&g[1].hold, 5), KT_BUDGET_FITS);
	/* An address that fills its own share pushes out its own, though another is older. */
	assert_int_equal(kt_hold_more(&g[2].hold, 15), KT_BUDGET_FITS);
	assert_int_equal(g[0].evicted, 0);
	assert_int_equal(g[1].evicted, 1);
	assert_int_equal(kt_budget_bytes(b), 65);
	/* In sum it is the oldest of all. */
	arrive(&g[3], b, "192.0.2.3");
	assert_int_equal(kt_hold_more(&g[3].hold, 36), KT_BUDGET_FITS);
	assert_int_equal(g[0].evicted, 1);
	assert_int_equal(g[2].evicted, 0);
	/* Whose work is under way stays; then the newest is refused. */
	kt_hold_evictable(&g[2].hold, NULL, NULL);
	kt_hold_evictable(&g[3].hold, NULL, NULL);
	arrive(&g[4], b, "192.0.2.4");
	assert_int_equal(kt_hold_more(&g[4].hold, 40), KT_BUDGET_STRANGERS);
	assert_int_equal(g[4].hold.bytes, 0);
	assert_int_equal(kt_hold_more(&g[4].hold, 61), KT_BUDGET_STRANGER);
	/* Who signs is not one of them any more. */
	assert_int_equal(kt_hold_more(&g[4].hold, 20), KT_BUDGET_FITS);
	assert_int_equal(
		kt_hold_admit(&g[4].hold, b, "org1", "key1", "192.0.2.4"), KT_BUDGET_FITS);
	arrive(&g[5], b, "192.0.2.5");
	assert_int_equal(kt_hold_more(&g[5].hold, 60), KT_BUDGET_STRANGERS);
	assert_int_equal(g[4].evicted, 0);
	for (size_t i = 0; i < 6; i++)
		kt_hold_release(&g[i].hold);
	assert_int_equal(kt_budget_bytes(b), 0);
	kt_budget_free(b);
}

static void addresses(void **state)
{
	(void)state;
	static const struct {
		const char *peer, *counts_as;
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1" },
		{ "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::" },
		{ "2001:db8:1:2::", "2001:db8:1:2::" },
		{ "::1", "::" },
		{ "::ffff:192.0.2.1", "192.0.2.1" },
		{ "local", "local" },
		{ "", "" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		char out[KT_BUDGET_ADDRESS_SIZE];
		kt_budget_address(cases[i].peer, out);
		assert_string_equal(out, cases[i].counts_as);
	}
	/* A /64 is one. */
	struct kt_budget *b = small();
	struct kt_hold x = { 0 }, y = { 0 };
	kt_hold_stranger(&x, b, "2001:db8::1");
	kt_hold_stranger(&y, b, "2001:db8::2");
	assert_int_equal(kt_hold_more(&x, 60), KT_BUDGET_FITS);
	assert_int_equal(kt_hold_more(&y, 1), KT_BUDGET_STRANGER);
	kt_hold_release(&x);
	kt_hold_release(&y);
	kt_budget_free(b);
}

static void words_name_the_limit(void **state)
{
	(void)state;
	struct kt_budget_config cfg;
	struct kt_budget_refusal r;

	kt_budget_config_init(&cfg);
	struct kt_budget *b = kt_budget_new(&cfg);
	kt_budget_refused(b, KT_BUDGET_KEY, &r);
	assert_int_equal(r.status, 429);
	assert_string_equal(r.code, "limit_reached");
	assert_non_null(strstr(r.text, "this key are at their limit of 64 MiB"));
	kt_budget_refused(b, KT_BUDGET_STRANGERS, &r);
	assert_int_equal(r.status, 503);
	assert_string_equal(r.code, "unavailable");
	assert_true(r.retry_after_s > 0);
	assert_non_null(strstr(r.text, "16 MiB"));
	kt_budget_refused(b, KT_BUDGET_ORG, &r);
	assert_non_null(strstr(r.text, "this organization"));
	kt_budget_refused(b, KT_BUDGET_SERVER, &r);
	assert_int_equal(r.status, 503);
	kt_budget_free(b);
	/* Without a budget everything fits: what has none is bounded elsewhere. */
	struct kt_hold h = { 0 };
	assert_int_equal(kt_hold_more(&h, 1u << 30), KT_BUDGET_FITS);
	kt_hold_less(&h, 5);
	kt_hold_release(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_refuse_in_their_order),
		cmocka_unit_test(a_hold_like_another_counts_for_the_same),
		cmocka_unit_test(signing_moves_the_bytes),
		cmocka_unit_test(the_oldest_strangers_make_room),
		cmocka_unit_test(addresses),
		cmocka_unit_test(words_name_the_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
