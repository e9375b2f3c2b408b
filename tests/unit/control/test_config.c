/* SPDX-License-Identifier: MIT */
/* Config vars: sealed, versioned with releases, and seen by nobody who must not. */
#include "work.h"

static void change(struct rig *r, struct answer *a, const char *doc, const struct kt_precond *pre)
{
	RUN(r, a, kt_control_config_change(
			  r->ctl, &r->actor, "bot", doc, strlen(doc), pre, on_answer, a));
}

static void show_config(struct rig *r, struct answer *a, const struct kt_actor *who)
{
	RUN(r, a, kt_control_config(r->ctl, who, "bot", on_answer, a));
	ASSERT_STATUS(a, 200);
}

static void test_set_and_show(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct kt_principal plain = r->admin;
	struct kt_actor reader = { .who = &plain };
	int n;

	plain.scopes = KT_SCOPE_READ | KT_SCOPE_WRITE;
	make_project(r, &r->actor, "bot");
	show_config(r, &a, &r->actor);
	assert_string_equal(a.json, "{\"version\":0,\"vars\":{}}");
	change(r, &a, "{\"set\":{\"TOKEN\":\"s3cret-s3cret-s3cret\",\"B\":\"\"}}", NULL);
	ASSERT_STATUS(&a, 200);
	assert_string_equal(a.json, "{\"version\":1,\"release\":null}");
	show_config(r, &a, &r->actor);
	assert_string_equal(
		a.json, "{\"version\":1,\"vars\":{\"B\":\"\",\"TOKEN\":\"s3cret-s3cret-s3cret\"}}");
	show_config(r, &a, &reader);
	assert_string_equal(a.json, "{\"version\":1,\"vars\":{\"B\":null,\"TOKEN\":null}}");
	assert_string_equal(last_audit(r, &a, &n), "config.change");
	assert_int_equal(n, 4);
	assert_null(strstr(a.json, "s3cret"));
	assert_non_null(strstr(a.json, "\"set\":[\"TOKEN\",\"B\"]"));
	assert_false(on_disk(r, "s3cret-s3cret-s3cret"));
	/* The same again changes nothing, and leaves no entry. */
	change(r, &a, "{\"set\":{\"TOKEN\":\"s3cret-s3cret-s3cret\"},\"unset\":[\"NONE\"]}", NULL);
	ASSERT_STATUS(&a, 200);
	assert_string_equal(a.json, "{\"version\":1,\"release\":null}");
	(void)last_audit(r, &a, &n);
	assert_int_equal(n, 4);
	change(r, &a, "{\"unset\":[\"B\"]}", NULL);
	rig_restart(r);
	show_config(r, &a, &r->actor);
	assert_string_equal(a.json, "{\"version\":2,\"vars\":{\"TOKEN\":\"s3cret-s3cret-s3cret\"}}");
	answer_clear(&a);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *doc;
		int status;
	} cases[] = {
		{ "x", 400 },
		{ "{\"vars\":{}}", 422 },
		{ "{\"set\":[]}", 422 },
		{ "{\"unset\":{}}", 422 },
		{ "{\"unset\":[1]}", 422 },
		{ "{\"set\":{\"A\":1}}", 422 },
		{ "{\"set\":{\"A\":null}}", 422 },
		{ "{\"set\":{\"\":\"x\"}}", 422 },
		{ "{\"set\":{\"1A\":\"x\"}}", 422 },
		{ "{\"set\":{\"A-B\":\"x\"}}", 422 },
		{ "{\"set\":{\"A=B\":\"x\"}}", 422 },
		{ "{\"set\":{\"\xc3\x84\":\"x\"}}", 422 },
		{ "{\"set\":{\"KARTA_API_KEY\":\"x\"}}", 422 },
		{ "{\"set\":{\"LD_PRELOAD\":\"x\"}}", 422 },
		{ "{\"set\":{\"A\":\"x\"},\"unset\":[\"A\"]}", 422 },
		{ "{\"set\":{\"A\":\"x\\u0000y\"}}", 400 },
	};
	struct rig *r = *state;
	struct answer a = { 0 };

	make_project(r, &r->actor, "bot");
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		change(r, &a, cases[i].doc, NULL);
		ASSERT_STATUS(&a, cases[i].status);
	}
	change(r, &a, "{\"set\":{\"PATH\":\"/x\",\"_a\":\"y\"},\"unset\":[]}", NULL);
	ASSERT_STATUS(&a, 200);
	show_config(r, &a, &r->actor);
	assert_int_equal(kt_json_int(a.doc, "version", -1), 1);
	answer_clear(&a);
}

static void test_limits(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);

	make_project(r, &r->actor, "bot");
	kt_buf_adds(&b, "{\"set\":{\"A\":\"");
	for (int i = 0; i <= KT_MAX_CONFIG_VALUE_BYTES; i++)
		kt_buf_addc(&b, 'x');
	kt_buf_adds(&b, "\"}}");
	change(r, &a, b.ptr, NULL);
	ASSERT_STATUS(&a, 422);
	kt_buf_clear(&b);
	kt_buf_adds(&b, "{\"set\":{");
	for (int i = 0; i <= KT_MAX_CONFIG_VARS; i++)
		kt_buf_addf(&b, "%s\"V%d\":\"\"", i ? "," : "", i);
	kt_buf_adds(&b, "}}");
	change(r, &a, b.ptr, NULL);
	ASSERT_STATUS(&a, 422);
	assert_string_equal(a.code, "too_many_config_vars");
	show_config(r, &a, &r->actor);
	assert_int_equal(kt_json_int(a.doc, "version", -1), 0);
	answer_clear(&a);
}

/* With something live a change is a release of the same code. */
static void test_release_of_live(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct kt_precond pre = { .idem_key = "k", .idem_scope = "s", .fingerprint = "f" };
	char id[KT_ID_MAX], digest[KT_DIGEST_MAX];
	int n, again;

	deploy_text(r, &a, "bot", "You are Beans.\n", "\"ref\":\"main\"");
	assert_text(&a, "version", "v1");
	(void)kt_str_copy(digest, sizeof(digest), text_of(&a, "digest"));
	change(r, &a, "{\"set\":{\"MODE\":\"fast\"}}", &pre);
	ASSERT_STATUS(&a, 200);
	assert_text(&a, "release.version", "v2");
	assert_text(&a, "release.source", "config");
	assert_text(&a, "release.digest", digest);
	(void)kt_str_copy(id, sizeof(id), text_of(&a, "release.id"));
	RUN(r, &a, kt_control_release_wait(r->ctl, &r->actor, "bot", id, on_answer, &a));
	show(r, &a, "bot", "current");
	assert_text(&a, "id", id);
	assert_text(&a, "state", "active");
	assert_int_equal(kt_json_int(a.doc, "config_version", 0), 1);
	(void)last_audit(r, &a, &n);
	change(r, &a, "{\"set\":{\"MODE\":\"fast\"}}", &pre);
	assert_text(&a, "release.id", id);
	(void)last_audit(r, &a, &again);
	assert_int_equal(n, again);
	/* If-Match of what was live before. */
	pre = (struct kt_precond){ .if_match = "\"rel_before\"" };
	change(r, &a, "{\"set\":{\"MODE\":\"slow\"}}", &pre);
	ASSERT_STATUS(&a, 412);
	show_config(r, &a, &r->actor);
	assert_text(&a, "vars.MODE", "fast");
	answer_clear(&a);
}

static void test_rollback_restores(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	char id[KT_ID_MAX];

	deploy_text(r, &a, "bot", "You are Beans.\n", "\"ref\":\"main\"");
	change(r, &a, "{\"set\":{\"MODE\":\"one\"}}", NULL);
	(void)kt_str_copy(id, sizeof(id), text_of(&a, "release.id"));
	RUN(r, &a, kt_control_release_wait(r->ctl, &r->actor, "bot", id, on_answer, &a));
	change(r, &a, "{\"unset\":[\"MODE\"]}", NULL);
	(void)kt_str_copy(id, sizeof(id), text_of(&a, "release.id"));
	RUN(r, &a, kt_control_release_wait(r->ctl, &r->actor, "bot", id, on_answer, &a));
	show_config(r, &a, &r->actor);
	assert_string_equal(a.json, "{\"version\":2,\"vars\":{}}");
	RUN(r, &a, kt_control_rollback(
			   r->ctl, &r->actor, "bot", "v2", "bad", NULL, on_answer, &a));
	ASSERT_STATUS(&a, 200);
	show_config(r, &a, &r->actor);
	assert_string_equal(a.json, "{\"version\":1,\"vars\":{\"MODE\":\"one\"}}");
	/* The empty set of v3 keeps its number: this is a new one. */
	change(r, &a, "{\"set\":{\"MODE\":\"two\"}}", NULL);
	ASSERT_STATUS(&a, 200);
	assert_int_equal(kt_json_int(a.doc, "version", 0), 3);
	answer_clear(&a);
}

/* A value moved to another name, project or organization does not open. */
static enum kt_code swap_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct rig *r = arg;
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct kt_project_mem *p = project_mem(r, "bot"), *q = project_mem(r, "twin");
	struct kt_config_row *rows;
	struct kt_project_row row;
	size_t n;
	enum kt_code rc = kt_tx_config(tx, arena, p->id, 1, &rows, &n, err);

	if (rc == KT_OK)
		rc = kt_tx_config_add(tx, q->id, 1, rows, n, err);
	if (rc == KT_OK)
		rc = kt_tx_project(tx, arena, r->admin.org_id, q->id, &row, err);
	row.config_version = 1;
	return rc == KT_OK ? kt_tx_project_put(tx, &row, err) : rc;
}

static void test_sealed_to_its_place(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct kt_err err = KT_ERR_INIT;

	make_project(r, &r->actor, "bot");
	make_project(r, &r->actor, "twin");
	change(r, &a, "{\"set\":{\"TOKEN\":\"abc\"}}", NULL);
	assert_int_equal(kt_store_do(r->ctl->store, true, swap_work, r, &err), KT_OK);
	RUN(r, &a, kt_control_config(r->ctl, &r->actor, "twin", on_answer, &a));
	assert_int_not_equal(a.rc, KT_OK);
	assert_null(strstr(a.message, "abc"));
	answer_clear(&a);
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_set_and_show),
		T(test_refusals),
		T(test_limits),
		T(test_release_of_live),
		T(test_rollback_restores),
		T(test_sealed_to_its_place),
	};

	return cmocka_run_group_tests_name("control/config", tests, NULL, NULL);
}
