/* SPDX-License-Identifier: MIT */
/* The audit log: one entry a change, with who and from where; none for what failed. */
#include "rig.h"

static int entries(struct rig *r)
{
	struct answer a = { 0 };
	int n;

	(void)last_audit(r, &a, &n);
	answer_clear(&a);
	return n;
}

/* call changes something: exactly one entry, of this action. */
#define ONE(call, want_status, want_action)                                                        \
	do {                                                                                       \
		int before = entries(r), n;                                                        \
                                                                                                   \
		RUN(r, &a, call);                                                                  \
		ASSERT_STATUS(&a, want_status);                                                    \
		if (text_of(&a, "id"))                                                             \
			(void)kt_str_copy(id, sizeof(id), text_of(&a, "id"));                      \
		assert_string_equal(last_audit(r, &a, &n), want_action);                           \
		assert_int_equal(n, before + 1);                                                   \
	} while (0)
#define NONE(call)                                                                                 \
	do {                                                                                       \
		int before = entries(r);                                                           \
                                                                                                   \
		RUN(r, &a, call);                                                                  \
		assert_true(a.status >= 400);                                                      \
		assert_int_equal(entries(r), before);                                              \
	} while (0)

static void test_one_entry_a_change(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct kt_project_new p = { .slug = "bot" };
	struct kt_project_change update = { .production_ref = "trunk" }, rename = { .slug = "bot2" };
	const char *key = "{\"name\":\"k\",\"scopes\":[\"read\"]}", *var = "{\"set\":{\"A\":\"1\"}}";
	char id[KT_ID_MAX];

	ONE(kt_control_project_create(r->ctl, &r->actor, &p, NULL, on_answer, &a), 201,
		"project.create");
	NONE(kt_control_project_create(r->ctl, &r->actor, &p, NULL, on_answer, &a));
	ONE(kt_control_project_change(r->ctl, &r->actor, "bot", &update, NULL, on_answer, &a), 200,
		"project.update");
	ONE(kt_control_project_change(r->ctl, &r->actor, "bot", &rename, NULL, on_answer, &a), 200,
		"project.rename");
	NONE(kt_control_project_change(r->ctl, &r->actor, "bot", &rename, NULL, on_answer, &a));
	ONE(kt_control_config_change(
		    r->ctl, &r->actor, "bot2", var, strlen(var), NULL, on_answer, &a),
		200, "config.change");
	ONE(kt_control_ref_delete(r->ctl, &r->actor, "bot2", "refs/heads/x", on_answer, &a), 204,
		"ref.delete");
	ONE(kt_control_key_create(r->ctl, &r->actor, key, strlen(key), NULL, on_answer, &a), 201,
		"key.create");
	ONE(kt_control_key_revoke(r->ctl, &r->actor, id, on_answer, &a), 204, "key.revoke");
	NONE(kt_control_key_revoke(r->ctl, &r->actor, "key_none", on_answer, &a));
	ONE(kt_control_project_delete(r->ctl, &r->actor, "bot2", on_answer, &a), 204,
		"project.delete");
	NONE(kt_control_project_delete(r->ctl, &r->actor, "bot2", on_answer, &a));
	answer_clear(&a);
}

static void test_entry(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	int n;

	make_project(r, &r->actor, "bot");
	(void)last_audit(r, &a, &n);
	const cJSON *e = cJSON_GetArrayItem(kt_json_arr(a.doc, "data"), 0);

	assert_string_equal(kt_json_str(e, "actor"), r->admin.key_id);
	assert_string_equal(kt_json_str(e, "actor_name"), "admin");
	assert_string_equal(kt_json_str(e, "object"), "project/bot");
	assert_string_equal(kt_json_str(e, "request_id"), "req_test");
	assert_string_equal(kt_json_str(e, "remote_ip"), "127.0.0.1");
	assert_string_equal(kt_json_str(kt_json_obj(e, "detail"), "id"), project_mem(r, "bot")->id);
	assert_int_equal(strlen(kt_json_str(e, "hash")), 64);
	assert_int_equal(strlen(kt_json_str(e, "at")), strlen("2026-06-01T12:00:00+00:00"));
	e = cJSON_GetArrayItem(kt_json_arr(a.doc, "data"), n - 1);
	assert_string_equal(kt_json_str(e, "action"), "org.create");
	assert_string_equal(kt_json_str(e, "actor"), "system");
	answer_clear(&a);
}

static void test_pages(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	int64_t before = 0, last = INT64_MAX;
	int seen = 0;

	for (int i = 0; i < 10; i++) {
		char slug[16];

		(void)snprintf(slug, sizeof(slug), "bot-%d", i);
		make_project(r, i % 2 ? &r->stranger : &r->actor, slug);
	}
	for (bool more = true; more;) {
		RUN(r, &a, kt_control_audit(r->ctl, &r->actor, before, 3, on_answer, &a));
		const cJSON *data = kt_json_arr(a.doc, "data"), *e;

		assert_true(cJSON_GetArraySize(data) <= 3);
		cJSON_ArrayForEach(e, data)
		{
			before = kt_json_int(e, "seq", 0);
			assert_true(before < last);
			last = before;
			seen++;
			assert_string_not_equal(kt_json_str(e, "actor"), "key_other");
		}
		more = kt_json_bool(a.doc, "has_more", false);
	}
	assert_int_equal(seen, 2 + 5);
	RUN(r, &a, kt_control_audit(r->ctl, &r->stranger, 0, 0, on_answer, &a));
	assert_int_equal(cJSON_GetArraySize(kt_json_arr(a.doc, "data")), 5);
	answer_clear(&a);
}

static void test_verify(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };

	make_project(r, &r->actor, "bot");
	rig_restart(r);
	RUN(r, &a, kt_control_audit_verify(r->ctl, &r->actor, on_answer, &a));
	ASSERT_STATUS(&a, 200);
	assert_true(kt_json_bool(a.doc, "ok", false));
	assert_int_equal(kt_json_int(a.doc, "entries", 0), 3);
	assert_int_equal(strlen(text_of(&a, "head")), 64);
	answer_clear(&a);
}

/* Decisions are many: their number is told when their list has become long. */
static void test_decisions(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	int64_t before = 0;
	int decided = 0, left_out = 0, foreign = 0;

	for (int i = 0; i < KT_MAX_AUDITED_DECISIONS + 300; i++)
		kt_control_audit_decision(r->ctl, &r->actor, "approval.decide", "session/ses_1",
			"{\"decision\":\"deny\"}");
	make_project(r, &r->actor, "bot"); /* written after them */
	/* Another organization has its own. */
	kt_control_audit_decision(r->ctl, &r->stranger, "approval.revoke", "session/ses_2", "{}");
	make_project(r, &r->stranger, "bot");
	for (bool more = true; more;) {
		RUN(r, &a, kt_control_audit(r->ctl, &r->actor, before, 500, on_answer, &a));
		const cJSON *e;

		cJSON_ArrayForEach(e, kt_json_arr(a.doc, "data"))
		{
			const char *action = kt_json_str(e, "action");
			const cJSON *detail = kt_json_obj(e, "detail");

			before = kt_json_int(e, "seq", 0);
			foreign += strcmp(action, "approval.revoke") == 0;
			if (strcmp(action, "approval.decide") == 0) {
				decided++;
				assert_string_equal(kt_json_str(detail, "decision"), "deny");
				assert_string_equal(kt_json_str(e, "object"), "session/ses_1");
				assert_string_equal(kt_json_str(e, "actor"), r->admin.key_id);
			} else if (strcmp(action, "approval.more") == 0) {
				/* Newest first: 256 of the 300, 128, ... 1. */
				assert_int_equal(kt_json_int(detail, "left_out", 0), 256 >> left_out);
				left_out++;
			}
		}
		more = kt_json_bool(a.doc, "has_more", false);
	}
	assert_int_equal(decided, KT_MAX_AUDITED_DECISIONS);
	assert_int_equal(left_out, 9);
	assert_int_equal(foreign, 0);
	RUN(r, &a, kt_control_audit(r->ctl, &r->stranger, 0, 0, on_answer, &a));
	assert_int_equal(cJSON_GetArraySize(kt_json_arr(a.doc, "data")), 2);
	RUN(r, &a, kt_control_audit_verify(r->ctl, &r->actor, on_answer, &a));
	assert_true(kt_json_bool(a.doc, "ok", false));
	answer_clear(&a);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_one_entry_a_change),
		T(test_entry),
		T(test_pages),
		T(test_verify),
		T(test_decisions),
	};

	return cmocka_run_group_tests_name("control/audit", tests, NULL, NULL);
}
