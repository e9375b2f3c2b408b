/* SPDX-License-Identifier: MIT */
/* Keys: made once, shown once, gone at once. */
#include "rig.h"

static void make_key(struct rig *r, struct answer *a, const char *doc, const struct kt_precond *pre)
{
	RUN(r, a, kt_control_key_create(r->ctl, &r->actor, doc, strlen(doc), pre, on_answer, a));
}

static void test_whoami(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	char last4[5];

	RUN(r, &a, kt_control_whoami(r->ctl, &r->actor, on_answer, &a));
	ASSERT_STATUS(&a, 200);
	assert_string_equal(text_of(&a, "org.slug"), "default");
	assert_string_equal(text_of(&a, "key.name"), "admin");
	(void)kt_str_copy(last4, sizeof(last4), r->admin_key + KT_API_KEY_LEN - 4);
	assert_string_equal(text_of(&a, "key.last4"), last4);
	assert_int_equal(cJSON_GetArraySize(kt_json_path(a.doc, "key.scopes")), 3);
	assert_non_null(text_of(&a, "server.version"));
	answer_clear(&a);
}

static void test_create_list_revoke(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct kt_principal who;
	char key[KT_API_KEY_LEN + 1], id[KT_ID_MAX];
	int n;

	make_key(r, &a, "{\"name\":\"ci\",\"scopes\":[\"read\",\"write\"]}", NULL);
	ASSERT_STATUS(&a, 201);
	(void)kt_str_copy(key, sizeof(key), text_of(&a, "key"));
	(void)kt_str_copy(id, sizeof(id), text_of(&a, "id"));
	assert_true(kt_api_key_ok(key));
	assert_true(kt_str_starts(key, "kt_live_"));
	assert_string_equal(text_of(&a, "created_by"), "admin");
	assert_int_equal(kt_control_principal(r->ctl, key, &who, NULL), KT_OK);
	assert_int_equal(who.scopes, KT_SCOPE_READ | KT_SCOPE_WRITE);
	assert_string_equal(last_audit(r, &a, &n), "key.create");
	assert_int_equal(n, 3);
	assert_null(strstr(a.json, key + KT_API_KEY_PREFIX_LEN));
	RUN(r, &a, kt_control_keys(r->ctl, &r->actor, on_answer, &a));
	ASSERT_STATUS(&a, 200);
	assert_int_equal(cJSON_GetArraySize(kt_json_arr(a.doc, "data")), 2);
	assert_null(strstr(a.json, key + KT_API_KEY_PREFIX_LEN));
	RUN(r, &a, kt_control_keys(r->ctl, &r->stranger, on_answer, &a));
	assert_int_equal(cJSON_GetArraySize(kt_json_arr(a.doc, "data")), 1);
	assert_null(strstr(a.json, id));
	RUN(r, &a, kt_control_key_revoke(r->ctl, &r->stranger, id, on_answer, &a));
	ASSERT_STATUS(&a, 404);
	assert_int_equal(kt_control_principal(r->ctl, key, &who, NULL), KT_OK);
	RUN(r, &a, kt_control_key_revoke(r->ctl, &r->actor, id, on_answer, &a));
	ASSERT_STATUS(&a, 204);
	assert_int_equal(kt_control_principal(r->ctl, key, &who, NULL), KT_EAUTH);
	RUN(r, &a, kt_control_key_revoke(r->ctl, &r->actor, id, on_answer, &a));
	ASSERT_STATUS(&a, 204);
	assert_string_equal(last_audit(r, &a, &n), "key.revoke");
	assert_int_equal(n, 4);
	rig_restart(r);
	assert_int_equal(kt_control_principal(r->ctl, key, &who, NULL), KT_EAUTH);
	assert_false(on_disk(r, key + KT_API_KEY_PREFIX_LEN));
	answer_clear(&a);
}

static void test_bad_documents(void **state)
{
	static const struct {
		const char *doc;
		int status;
	} cases[] = {
		{ "", 400 },
		{ "[]", 400 },
		{ "{\"name\":\"a\",\"name\":\"b\",\"scopes\":[\"read\"]}", 400 },
		{ "{}", 422 },
		{ "{\"name\":\"a\"}", 422 },
		{ "{\"name\":\"\",\"scopes\":[\"read\"]}", 422 },
		{ "{\"name\":\"a\\nb\",\"scopes\":[\"read\"]}", 422 },
		{ "{\"name\":\"a\",\"scopes\":[]}", 422 },
		{ "{\"name\":\"a\",\"scopes\":[\"root\"]}", 422 },
		{ "{\"name\":\"a\",\"scopes\":\"read\"}", 422 },
		{ "{\"name\":\"a\",\"scopes\":[\"read\"],\"test\":1}", 422 },
		{ "{\"name\":\"a\",\"scopes\":[\"read\"],\"expires_in_s\":0}", 422 },
		{ "{\"name\":\"a\",\"scopes\":[\"read\"],\"expires_in_s\":\"1\"}", 422 },
		{ "{\"name\":\"a\",\"scopes\":[\"read\"],\"org\":\"other\"}", 422 },
	};
	struct rig *r = *state;
	struct answer a = { 0 };
	int n;

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		make_key(r, &a, cases[i].doc, NULL);
		ASSERT_STATUS(&a, cases[i].status);
	}
	(void)last_audit(r, &a, &n);
	assert_int_equal(n, 2);
	answer_clear(&a);
}

static void test_test_key_and_expiry(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct kt_principal who;

	make_key(r, &a, "{\"name\":\"t\",\"scopes\":[\"read\"],\"test\":true,\"expires_in_s\":60}",
		NULL);
	ASSERT_STATUS(&a, 201);
	assert_true(kt_str_starts(text_of(&a, "key"), "kt_test_"));
	assert_non_null(text_of(&a, "expires_at"));
	assert_int_equal(kt_control_principal(r->ctl, text_of(&a, "key"), &who, NULL), KT_OK);
	kt_index_key(r->ctl, text_of(&a, "id"))->expires_us = kt_time_us();
	assert_int_equal(kt_control_principal(r->ctl, text_of(&a, "key"), &who, NULL), KT_EAUTH);
	answer_clear(&a);
}

/* A repeated request makes no second key, and does not show the first one again. */
static void test_idempotent(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct kt_precond pre = {
		.idem_key = "k", .idem_scope = "POST /v1/keys", .fingerprint = "f"
	};
	const char *doc = "{\"name\":\"ci\",\"scopes\":[\"read\"]}";
	char id[KT_ID_MAX], key[KT_API_KEY_LEN + 1];

	make_key(r, &a, doc, &pre);
	ASSERT_STATUS(&a, 201);
	(void)kt_str_copy(id, sizeof(id), text_of(&a, "id"));
	(void)kt_str_copy(key, sizeof(key), text_of(&a, "key"));
	make_key(r, &a, doc, &pre);
	ASSERT_STATUS(&a, 201);
	assert_string_equal(text_of(&a, "id"), id);
	assert_null(text_of(&a, "key"));
	assert_false(on_disk(r, key + KT_API_KEY_PREFIX_LEN));
	RUN(r, &a, kt_control_keys(r->ctl, &r->actor, on_answer, &a));
	assert_int_equal(cJSON_GetArraySize(kt_json_arr(a.doc, "data")), 2);
	answer_clear(&a);
}

static void test_last_admin_key(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };

	RUN(r, &a, kt_control_key_revoke(r->ctl, &r->actor, r->admin.key_id, on_answer, &a));
	ASSERT_STATUS(&a, 409);
	assert_string_equal(a.code, "last_admin_key");
	make_key(r, &a, "{\"name\":\"second\",\"scopes\":[\"admin\"],\"expires_in_s\":600}", NULL);
	ASSERT_STATUS(&a, 201);
	/* By prefix. */
	char prefix[KT_API_KEY_PREFIX_LEN + 1];

	(void)kt_str_copy(prefix, sizeof(prefix), r->admin_key);
	RUN(r, &a, kt_control_key_revoke(r->ctl, &r->actor, prefix, on_answer, &a));
	ASSERT_STATUS(&a, 204);
	RUN(r, &a, kt_control_whoami(r->ctl, &r->actor, on_answer, &a));
	ASSERT_STATUS(&a, 200); /* asked with a principal from before; the API asks anew */
	struct kt_principal who;

	assert_int_equal(kt_control_principal(r->ctl, r->admin_key, &who, NULL), KT_EAUTH);
	answer_clear(&a);
	/* For the teardown's sake only. */
	kt_index_key(r->ctl, r->admin.key_id)->revoked_us = 0;
}

struct heard {
	int n;
	struct rig *r;
	const char *key;
};

static void on_keys(void *arg, enum kt_topic topic, uint64_t number)
{
	struct heard *h = arg;
	struct kt_principal who;

	assert_int_equal(topic, KT_TOPIC_KEYS);
	h->n++;
	/* It does not work any more when its streams are told to end. */
	assert_int_equal(kt_control_principal(h->r->ctl, h->key, &who, NULL), KT_EAUTH);
}

static void test_revoke_under_load(void **state)
{
	enum { N = 50 };
	struct rig *r = *state;
	struct answer a = { 0 };
	struct heard heard = { .r = r };
	struct kt_listener ear = { 0 };
	static char keys[N][KT_API_KEY_LEN + 1], ids[N][KT_ID_MAX];

	for (int i = 0; i < N; i++) {
		make_key(r, &a, "{\"name\":\"k\",\"scopes\":[\"read\"]}", NULL);
		(void)kt_str_copy(keys[i], sizeof(keys[i]), text_of(&a, "key"));
		(void)kt_str_copy(ids[i], sizeof(ids[i]), text_of(&a, "id"));
	}
	kt_bus_listen(r->bus, &ear, KT_TOPIC_KEYS, on_keys, &heard);
	for (int i = 0; i < N; i++) {
		struct kt_principal who;

		heard.key = keys[i];
		assert_int_equal(kt_control_principal(r->ctl, keys[i], &who, NULL), KT_OK);
		RUN(r, &a, kt_control_key_revoke(r->ctl, &r->actor, ids[i], on_answer, &a));
		ASSERT_STATUS(&a, 204);
		assert_int_equal(heard.n, i + 1);
		assert_int_equal(kt_control_principal(r->ctl, keys[i], &who, NULL), KT_EAUTH);
	}
	/* One that expires: once. */
	make_key(r, &a, "{\"name\":\"k\",\"scopes\":[\"read\"],\"expires_in_s\":60}", NULL);
	heard.key = text_of(&a, "key");
	kt_keys_sweep(r->ctl);
	assert_int_equal(heard.n, N);
	kt_index_key(r->ctl, text_of(&a, "id"))->expires_us = kt_time_us();
	kt_keys_sweep(r->ctl);
	kt_keys_sweep(r->ctl);
	assert_int_equal(heard.n, N + 1);
	kt_bus_leave(&ear);
	answer_clear(&a);
}

static void test_last_used_is_written_now_and_then(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct kt_principal who;
	struct kt_key_mem *k = kt_index_key(r->ctl, r->admin.key_id);
	int64_t first = k->used_us;

	assert_true(first > 0); /* rig_setup() asked */
	for (int i = 0; i < 1000; i++)
		assert_int_equal(kt_control_principal(r->ctl, r->admin_key, &who, NULL), KT_OK);
	assert_int_equal(k->used_us, first);
	/* Writes are done in their order; a read may see what was before them. */
	make_project(r, &r->actor, "bot");
	RUN(r, &a, kt_control_keys(r->ctl, &r->actor, on_answer, &a));
	assert_non_null(
		kt_json_str(cJSON_GetArrayItem(kt_json_arr(a.doc, "data"), 0), "last_used_at"));
	k->used_us = kt_time_us() - 61 * (int64_t)1000000;
	assert_int_equal(kt_control_principal(r->ctl, r->admin_key, &who, NULL), KT_OK);
	assert_true(k->used_us >= first);
	answer_clear(&a);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_whoami),
		T(test_create_list_revoke),
		T(test_bad_documents),
		T(test_test_key_and_expiry),
		T(test_idempotent),
		T(test_last_admin_key),
		T(test_revoke_under_load),
		T(test_last_used_is_written_now_and_then),
	};

	return cmocka_run_group_tests_name("control/keys", tests, NULL, NULL);
}
