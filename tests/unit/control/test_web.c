/* SPDX-License-Identifier: MIT */
/* Browsers that are signed in: of a key's the oldest go, and no other key's. */
#include "rig.h"

#define HOST "localhost:8000"

struct begun {
	struct answer a;
	char token[KT_WEB_TOKEN_MAX];
};

static void on_begun(void *arg, const struct kt_result *r)
{
	struct begun *b = arg;

	(void)kt_str_copy(b->token, sizeof(b->token), r->token ? r->token : "");
	on_answer(&b->a, r);
}

static void sign_in(struct rig *r, const struct kt_actor *who, char *out)
{
	struct begun b = { 0 };

	RUN(r, &b.a, kt_control_web_begin(r->ctl, who, HOST, on_begun, &b));
	ASSERT_STATUS(&b.a, 201);
	assert_true(b.token[0] != '\0');
	memcpy(out, b.token, sizeof(b.token));
	answer_clear(&b.a);
}

static bool opens(struct rig *r, const char *token, struct kt_principal *who)
{
	return kt_control_web_principal(r->ctl, token, HOST, who, NULL) == KT_OK;
}

/* What a key has in its list, which must be what the map has of it, newest first. */
static size_t listed(struct rig *r, const char *key_id)
{
	const struct kt_web_mem *newer = NULL;
	size_t n = 0, mapped = 0, pos = 0;
	const char *key;
	void *value;

	for (const struct kt_web_mem *w = kt_index_key(r->ctl, key_id)->webs; w; w = w->older) {
		assert_ptr_equal(kt_map_get(&r->ctl->webs, w->hash), w);
		assert_true(!newer || newer->created_us >= w->created_us);
		newer = w;
		n++;
	}
	while (kt_map_next(&r->ctl->webs, &pos, &key, &value))
		mapped += kt_str_eq(((struct kt_web_mem *)value)->key_id, key_id);
	assert_int_equal(mapped, n);
	return n;
}

static void test_oldest_go(void **state)
{
	enum { MORE = 3, N = KT_MAX_WEB_SESSIONS + MORE };
	struct rig *r = *state;
	char mine[N][KT_WEB_TOKEN_MAX], theirs[2][KT_WEB_TOKEN_MAX];
	struct kt_principal who;

	sign_in(r, &r->stranger, theirs[0]);
	for (size_t i = 0; i < N; i++)
		sign_in(r, &r->actor, mine[i]);
	sign_in(r, &r->stranger, theirs[1]);
	/* As the database has it, so that a restart changes nothing. */
	for (int again = 0; again < 2; again++) {
		for (size_t i = 0; i < N; i++)
			assert_int_equal(opens(r, mine[i], &who), i >= MORE);
		assert_true(opens(r, theirs[0], &who) && opens(r, theirs[1], &who));
		assert_string_equal(who.key_id, "key_other");
		assert_int_equal(listed(r, r->admin.key_id), KT_MAX_WEB_SESSIONS);
		assert_int_equal(listed(r, "key_other"), 2);
		rig_restart(r);
	}
}

/* One from the middle of the list goes: by signing out, or in again. */
static void test_middle(void **state)
{
	struct rig *r = *state;
	char token[4][KT_WEB_TOKEN_MAX], next[KT_WEB_TOKEN_MAX];
	struct kt_principal who;
	struct kt_actor browser = { .who = &who };
	struct answer a = { 0 };

	for (size_t i = 0; i < 4; i++)
		sign_in(r, &r->actor, token[i]);
	assert_true(opens(r, token[1], &who));
	RUN(r, &a, kt_control_web_end(r->ctl, &browser, on_answer, &a));
	ASSERT_STATUS(&a, 204);
	assert_int_equal(listed(r, r->admin.key_id), 3);
	assert_true(opens(r, token[2], &who));
	sign_in(r, &browser, next);
	assert_int_equal(listed(r, r->admin.key_id), 3);
	assert_true(opens(r, token[0], &who) && opens(r, token[3], &who) && opens(r, next, &who));
	assert_false(opens(r, token[1], &who) || opens(r, token[2], &who));
	answer_clear(&a);
}

static enum kt_code add_future(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct rig *r = arg;
	enum kt_code rc = KT_OK;
	char hash[KT_DIGEST_MAX];

	for (int i = 0; rc == KT_OK && i < KT_MAX_WEB_SESSIONS; i++) {
		const struct kt_web_row row = { .hash = hash, .org_id = r->admin.org_id,
			.key_id = r->admin.key_id, .created_us = INT64_MAX / 4 + i / 2,
			.expires_us = INT64_MAX / 2 };

		(void)snprintf(hash, sizeof(hash), "%064d", i);
		rc = kt_tx_web_add(tx, &row, err);
		kt_web_put(r->ctl, &row);
	}
	return rc;
}

/* A clock that was put back: who signs in now is signed in, and memory is as the database is. */
static void test_clock_back(void **state)
{
	struct rig *r = *state;
	char token[KT_WEB_TOKEN_MAX], hash[KT_DIGEST_MAX];
	struct kt_principal who;

	assert_int_equal(kt_store_do(r->ctl->store, true, add_future, r, NULL), KT_OK);
	sign_in(r, &r->actor, token);
	for (int again = 0; again < 2; again++) {
		assert_true(opens(r, token, &who));
		assert_int_equal(listed(r, r->admin.key_id), KT_MAX_WEB_SESSIONS);
		/* Two are as old as each other: the same one went from both. */
		for (int i = 0; i < KT_MAX_WEB_SESSIONS; i++) {
			(void)snprintf(hash, sizeof(hash), "%064d", i);
			assert_int_equal(kt_map_get(&r->ctl->webs, hash) != NULL, i != 1);
		}
		rig_restart(r);
	}
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_oldest_go),
		T(test_middle),
		T(test_clock_back),
	};

	return cmocka_run_group_tests_name("control/web", tests, NULL, NULL);
}
