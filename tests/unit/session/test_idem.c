/* SPDX-License-Identifier: MIT */
/* Idempotency keys: what is promised for a day is kept, whatever other organizations do. */
#include "hosting.h"

#include "session/talk/talk_private.h"

/* Keys of the largest size under scope until no more are taken. Returns how many. */
static size_t fill(struct kt_sessions *reg, const char *scope)
{
	const struct kt_idem what = { .at_us = kt_time_us() };
	char key[KT_MAX_IDEMPOTENCY_KEY_BYTES + 1];
	size_t n = 0;

	for (; !kt_idem_is_full(reg, scope); n++) {
		(void)snprintf(key, sizeof(key), "%0255zu", n);
		kt_idem_put(reg, scope, key, &what);
	}
	return n;
}

static void test_others_take_nothing(void **state)
{
	struct world *w = *state;
	struct kt_target t = target("shop", "rel_1", 1);
	struct kt_session_new new = { .target = &t, .key = { "create:org_1", "mine", 7 } };
	struct kt_session *s = NULL;
	char first[KT_MAX_IDEMPOTENCY_KEY_BYTES + 1];
	char id[KT_ID_MAX];
	size_t n;

	s = create(w, &t);
	assert_int_equal(kt_session_create(w->reg, &new, &s, NULL), KT_OK);
	memcpy(id, s->id, sizeof(id));
	assert_string_equal(t.org_id, "org_1");
	n = fill(w->reg, "create:org_2");
	assert_in_range(n, 10001, KT_MAX_IDEMPOTENCY_BYTES / (2 * KT_MAX_IDEMPOTENCY_KEY_BYTES));
	(void)snprintf(first, sizeof(first), "%0255zu", (size_t)0);
	assert_non_null(kt_idem_get(w->reg, "create:org_2", first));
	assert_false(kt_idem_is_full(w->reg, "create:org_1"));
	assert_non_null(kt_idem_get(w->reg, "create:org_1", "mine"));
	/* Keys in a session are those of its organization. */
	(void)fill(w->reg, id);
	assert_true(kt_idem_is_full(w->reg, "create:org_1"));
	assert_non_null(kt_idem_get(w->reg, "create:org_1", "mine"));
	assert_int_equal(kt_journal_compact(w->reg, NULL), KT_OK);
	restart(w);
	assert_non_null(kt_idem_get(w->reg, "create:org_1", "mine"));
	assert_string_equal(kt_idem_get(w->reg, "create:org_1", "mine")->session_id, id);
	assert_non_null(kt_idem_get(w->reg, "create:org_2", first));
	assert_true(kt_idem_is_full(w->reg, "create:org_2"));
	assert_true(kt_idem_is_full(w->reg, id));
	assert_false(kt_idem_is_full(w->reg, "create:org_3"));
}

/* What deleted sessions took is their project's, also in a journal that was written anew. */
static void test_what_deleted_sessions_took(void **state)
{
	struct world *w = *state;
	struct kt_target t = target("shop", "rel_1", 1), other = target("mill", "rel_2", 1);
	struct kt_project_spent one;
	size_t pos;

	for (int i = 0; i < 3; i++) {
		struct kt_session *s = create(w, &t);

		kt_spent_set(s, (struct kt_spent){ 10, 5, 1000 });
		kt_session_delete(s);
	}
	kt_session_delete(create(w, &other));
	for (int i = 0; i < 3; i++) {
		pos = 0;
		assert_true(kt_sessions_spent(w->reg, &pos, &one));
		assert_string_equal(one.project_id, t.project_id);
		assert_string_equal(one.org_id, t.org_id);
		assert_int_equal(one.sessions, 0);
		assert_int_equal(one.spent.input_tokens, 30);
		assert_int_equal(one.spent.output_tokens, 15);
		assert_int_equal(one.spent.cost_microusd, 3000);
		assert_false(kt_sessions_spent(w->reg, &pos, &one));
		if (i == 1)
			assert_int_equal(kt_journal_compact(w->reg, NULL), KT_OK);
		restart(w);
	}
	/* While serving, in pieces: what is deleted meanwhile is in the new file, too. */
	struct kt_session *s = create(w, &t);
	/* Whatever is said of one, the sum of all that there may be is one. */
	kt_spent_set(s, (struct kt_spent){ INT64_MAX, INT64_MAX, INT64_MAX });
	assert_true(s->spent.input_tokens <= INT64_MAX / KT_MAX_SESSIONS);
	assert_true(s->spent.cost_microusd <= INT64_MAX / KT_MAX_SESSIONS);
	kt_spent_set(s, (struct kt_spent){ 1, 1, 1 });
	kt_copy_begin(w->reg);
	kt_session_delete(s);
	while (w->reg->copy) {
		run_ms(1);
		(void)sync_now(w);
	}
	restart(w);
	pos = 0;
	assert_true(kt_sessions_spent(w->reg, &pos, &one));
	assert_int_equal(one.spent.input_tokens, 31);
	kt_sessions_delete_of(w->reg, t.project_id);
	pos = 0;
	assert_false(kt_sessions_spent(w->reg, &pos, &one));
	/* The project went while the server was away. */
	fake.deleted = true;
	restart(w);
	pos = 0;
	assert_false(kt_sessions_spent(w->reg, &pos, &one));
	fake.deleted = false;
}

static void test_a_day(void **state)
{
	struct world *w = *state;
	int64_t day_us = (int64_t)KT_IDEMPOTENCY_MS * 1000;
	struct kt_idem what = { .at_us = kt_time_us() - day_us - 1000000 };

	kt_idem_put(w->reg, "create:org_1", "old", &what);
	assert_null(kt_idem_get(w->reg, "create:org_1", "old"));
	what.at_us += day_us / 2;
	kt_idem_put(w->reg, "create:org_1", "new", &what);
	assert_non_null(kt_idem_get(w->reg, "create:org_1", "new"));
	assert_int_equal(w->reg->idem.len, 1);
	/* Sent again after a day: another request. */
	what.fingerprint = 9;
	kt_idem_put(w->reg, "create:org_1", "old", &what);
	assert_int_equal(kt_idem_get(w->reg, "create:org_1", "old")->fingerprint, 9);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(test_others_take_nothing),
		CASE(test_what_deleted_sessions_took),
		CASE(test_a_day),
	};
	return hosting_main(argc, argv, "idem", tests, KT_ARRAY_LEN(tests));
}
