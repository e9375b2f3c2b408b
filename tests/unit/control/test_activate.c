/* SPDX-License-Identifier: MIT */
/* Moving the pointer by hand: rollback and its pin, activate, unpin, redeploy. */
#include "work.h"

static void rollback(struct rig *r, struct answer *a, const char *version, const char *reason)
{
	RUN(r, a, kt_control_rollback(
			  r->ctl, &r->actor, "beans", version, reason, NULL, on_answer, a));
}

static void activate(struct rig *r, struct answer *a, const char *version)
{
	RUN(r, a, kt_control_activate(r->ctl, &r->actor, "beans", version, NULL, on_answer, a));
}

/* Publish what is refused. */
static void refused_text(struct rig *r, struct answer *a, const char *text, const char *more)
{
	const struct file files[] = { { "CLAUDE.md", text, 0 } };

	publish(r, a, "beans", files, 1, more);
}

static void set_config(struct rig *r, struct answer *a, const char *value)
{
	KT_AUTOFREE char *doc = kt_asprintf("{\"set\":{\"NAME\":\"%s\"}}", value);

	RUN(r, a, kt_control_config_change(
			  r->ctl, &r->actor, "beans", doc, strlen(doc), NULL, on_answer, a));
	ASSERT_STATUS(a, 200);
	if (!text_of(a, "release.id"))
		return;
	KT_AUTOFREE char *id = kt_strdup(text_of(a, "release.id"));
	RUN(r, a, kt_control_release_wait(r->ctl, &r->actor, "beans", id, on_answer, a));
	ASSERT_STATUS(a, 201);
}

static void config_is(struct rig *r, struct answer *a, const char *value)
{
	RUN(r, a, kt_control_config(r->ctl, &r->actor, "beans", on_answer, a));
	ASSERT_STATUS(a, 200);
	assert_text(a, "vars.NAME", value);
}

static void test_rollback_pins(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };

	deploy_text(r, &a, "beans", "one", "");
	rollback(r, &a, NULL, NULL);
	ASSERT_STATUS(&a, 409);
	assert_string_equal(a.code, "no_previous_release");
	deploy_text(r, &a, "beans", "two", "");
	deploy_text(r, &a, "beans", "three", "");
	rollback(r, &a, NULL, NULL);
	ASSERT_STATUS(&a, 200);
	assert_text(&a, "version", "v2");
	assert_text(&a, "rolled_back_from", "v3");
	assert_text(&a, "state", "active");
	assert_true(kt_json_bool(a.doc, "pinned", false));
	assert_audit(r, "release.rollback");
	assert_string_equal(project_mem(r, "beans")->pin_reason, "rollback to v2");
	assert_int_equal(project_mem(r, "beans")->current->version, 2);
	/* Again: further back, not forth. */
	rollback(r, &a, NULL, "still bad");
	assert_text(&a, "version", "v1");
	assert_string_equal(project_mem(r, "beans")->pin_reason, "still bad");
	/* A deploy is refused, unless it is to be stored only. */
	refused_text(r, &a, "four", "");
	ASSERT_STATUS(&a, 409);
	assert_string_equal(a.code, "pinned");
	assert_non_null(strstr(a.message, "held at v1 by admin, pinned "));
	assert_non_null(strstr(a.message, ": still bad"));
	deploy_text(r, &a, "beans", "four", "\"activate\":false");
	ASSERT_STATUS(&a, 201);
	assert_text(&a, "state", "ready");
	assert_false(kt_json_bool(a.doc, "activated", true));
	activate(r, &a, "v4");
	ASSERT_STATUS(&a, 409);
	assert_string_equal(a.code, "pinned");
	activate(r, &a, "v1"); /* it is there */
	ASSERT_STATUS(&a, 200);
	RUN(r, &a, kt_control_unpin(r->ctl, &r->actor, "beans", on_answer, &a));
	ASSERT_STATUS(&a, 200);
	assert_false(kt_json_bool(a.doc, "pinned", true));
	assert_audit(r, "project.unpin");
	activate(r, &a, "v4");
	ASSERT_STATUS(&a, 200);
	assert_audit(r, "release.activate");
	/* After a deploy "before" is what was live before it, and that was v1. */
	rollback(r, &a, NULL, NULL);
	assert_text(&a, "version", "v1");
	answer_clear(&a);
}

static void test_only_what_was_ready(void **state)
{
	struct rig *r = *state;
	const struct file broken[] = { CLAUDE_MD, { "karta.toml", "name = \n", 0 } };
	struct answer a = { 0 };

	deploy_text(r, &a, "beans", "one", "");
	deploy(r, &a, "beans", broken, 2, "");
	deploy_text(r, &a, "beans", "three", "\"pr\":3");
	rollback(r, &a, "v2", NULL);
	ASSERT_STATUS(&a, 409);
	assert_string_equal(a.code, "not_ready");
	rollback(r, &a, "v3", NULL);
	assert_string_equal(a.code, "not_ready");
	rollback(r, &a, "v9", NULL);
	ASSERT_STATUS(&a, 404);
	activate(r, &a, "v2");
	assert_string_equal(a.code, "not_ready");
	assert_int_equal(project_mem(r, "beans")->current->version, 1);
	answer_clear(&a);
}

static void test_config_goes_back(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };

	deploy_text(r, &a, "beans", "one", "");
	set_config(r, &a, "old");
	set_config(r, &a, "new");
	config_is(r, &a, "new");
	rollback(r, &a, "v2", NULL);
	ASSERT_STATUS(&a, 200);
	config_is(r, &a, "old");
	RUN(r, &a, kt_control_unpin(r->ctl, &r->actor, "beans", on_answer, &a));
	/* The next deploy goes on with it, the next change makes a version of its own. */
	deploy_text(r, &a, "beans", "two", "");
	assert_int_equal(kt_json_int(a.doc, "config_version", 0), 1);
	set_config(r, &a, "newest");
	config_is(r, &a, "newest");
	show(r, &a, "beans", "current");
	assert_int_equal(kt_json_int(a.doc, "config_version", 0), 3);
	answer_clear(&a);
}

/* The pin holds code: new configuration goes live, and the pin stays. */
static void test_pin_and_configuration(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	char one[KT_DIGEST_MAX];

	deploy_text(r, &a, "beans", "one", "");
	(void)kt_str_copy(one, sizeof(one), text_of(&a, "digest"));
	set_config(r, &a, "leaked");
	deploy_text(r, &a, "beans", "two", "");
	rollback(r, &a, "v2", NULL);
	set_config(r, &a, "fresh");
	assert_text(&a, "version", "v4");
	assert_true(kt_json_bool(a.doc, "activated", false));
	assert_text(&a, "digest", one);
	assert_text(&a, "pinned_by", "admin");
	assert_true(kt_json_bool(a.doc, "pinned", false));
	assert_int_equal(project_mem(r, "beans")->current->version, 4);
	assert_string_equal(project_mem(r, "beans")->pin_reason, "rollback to v2");
	config_is(r, &a, "fresh");
	/* A pin by hand; again with a reason, which is kept. */
	RUN(r, &a, kt_control_unpin(r->ctl, &r->actor, "beans", on_answer, &a));
	RUN(r, &a, kt_control_pin(r->ctl, &r->actor, "beans", NULL, on_answer, &a));
	ASSERT_STATUS(&a, 200);
	assert_text(&a, "pin_reason", "pinned by hand");
	RUN(r, &a, kt_control_pin(r->ctl, &r->actor, "beans", "the fair", on_answer, &a));
	assert_text(&a, "pin_reason", "the fair");
	RUN(r, &a, kt_control_pin(r->ctl, &r->actor, "beans", NULL, on_answer, &a));
	assert_text(&a, "pin_reason", "the fair");
	assert_audit(r, "project.pin");
	answer_clear(&a);
}

/* Publishing and letting go in one step: both happen, or neither. */
static void test_publish_unpins(void **state)
{
	struct rig *r = *state;
	const struct file broken[] = { CLAUDE_MD, { "karta.toml", "name = \n", 0 } };
	struct answer a = { 0 };

	deploy_text(r, &a, "beans", "one", "");
	deploy_text(r, &a, "beans", "two", "");
	rollback(r, &a, "v1", NULL);
	r->admin.scopes = KT_SCOPE_READ | KT_SCOPE_WRITE;
	refused_text(r, &a, "three", "\"unpin\":true");
	ASSERT_STATUS(&a, 403);
	r->admin.scopes |= KT_SCOPE_ADMIN;
	deploy(r, &a, "beans", broken, 2, "\"unpin\":true");
	ASSERT_STATUS(&a, 422);
	assert_non_null(project_mem(r, "beans")->pin_reason);
	deploy_text(r, &a, "beans", "three", "\"unpin\":true");
	ASSERT_STATUS(&a, 201);
	assert_true(kt_json_bool(a.doc, "activated", false));
	assert_null(project_mem(r, "beans")->pin_reason);
	assert_audit(r, "release.activate");
	/* Who waits for it is told of the project as it is then, however the two meet. */
	for (int i = 0; i < 60; i++) {
		rollback(r, &a, "v1", NULL);
		deploy_text(r, &a, "beans", "four", "\"unpin\":true");
		assert_false(kt_json_bool(a.doc, "pinned", true));
	}
	answer_clear(&a);
}

static void test_rollback_is_idempotent(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	int n, again;
	const struct kt_precond pre = {
		.idem_key = "k1", .idem_scope = "POST rollback", .fingerprint = "f"
	};

	deploy_text(r, &a, "beans", "one", "");
	deploy_text(r, &a, "beans", "two", "");
	rollback(r, &a, "v1", NULL);
	assert_non_null(last_audit(r, &a, &n));
	rollback(r, &a, "v1", NULL);
	ASSERT_STATUS(&a, 200);
	assert_non_null(last_audit(r, &a, &again));
	assert_int_equal(n, again);
	RUN(r, &a, kt_control_unpin(r->ctl, &r->actor, "beans", on_answer, &a));
	deploy_text(r, &a, "beans", "three", "");
	for (int i = 0; i < 3; i++) {
		RUN(r, &a, kt_control_rollback(r->ctl, &r->actor, "beans", NULL, NULL, &pre,
				   on_answer, &a));
		ASSERT_STATUS(&a, 200);
		assert_text(&a, "version", "v1");
	}
	answer_clear(&a);
}

static void test_if_match(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct kt_precond pre = { .if_match = "\"rel_of_yesterday\"" };
	char etag[64];

	deploy_text(r, &a, "beans", "one", "");
	deploy_text(r, &a, "beans", "two", "");
	show(r, &a, "beans", "current");
	(void)kt_str_copy(etag, sizeof(etag), a.etag);
	RUN(r, &a, kt_control_rollback(
			   r->ctl, &r->actor, "beans", "v1", NULL, &pre, on_answer, &a));
	ASSERT_STATUS(&a, 412);
	pre.if_match = etag;
	RUN(r, &a, kt_control_rollback(
			   r->ctl, &r->actor, "beans", "v1", NULL, &pre, on_answer, &a));
	ASSERT_STATUS(&a, 200);
	assert_string_not_equal(a.etag, etag);
	answer_clear(&a);
}

/* The files come back from the blobs; without blobs nothing moves. */
static void test_files_are_made_sure_of(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	char digest[KT_DIGEST_MAX];
	KT_AUTOFREE char *away = NULL, *blob = NULL;

	deploy_text(r, &a, "beans", "one", "");
	(void)kt_str_copy(digest, sizeof(digest), text_of(&a, "digest"));
	deploy_text(r, &a, "beans", "two", "");
	kt_layout_drop(r->ctl, r->admin.org_id, digest, &away);
	assert_non_null(away);
	assert_false(kt_layout_ready(r->ctl, r->admin.org_id, digest));
	rollback(r, &a, "v1", NULL);
	ASSERT_STATUS(&a, 200);
	assert_true(kt_layout_ready(r->ctl, r->admin.org_id, digest));
	activate(r, &a, "v1");
	RUN(r, &a, kt_control_unpin(r->ctl, &r->actor, "beans", on_answer, &a));
	activate(r, &a, "v2");
	ASSERT_STATUS(&a, 200);
	free(KT_STEAL(away));
	kt_layout_drop(r->ctl, r->admin.org_id, digest, &away);
	blob = kt_asprintf("%s/blobs/%s/%.2s/%s", r->dir, r->admin.org_id, digest, digest);
	assert_int_equal(unlink(blob), 0);
	rollback(r, &a, "v1", NULL);
	ASSERT_STATUS(&a, 410);
	assert_string_equal(a.code, "release_gone");
	assert_int_equal(project_mem(r, "beans")->current->version, 2);
	answer_clear(&a);
}

static void test_redeploy(void **state)
{
	struct rig *r = *state;
	const char *doc = "{\"commit_sha\":\"aaaaaaa\",\"message\":\"again\"}";
	const char *quiet = "{\"commit_sha\":\"" SHA_A "\",\"activate\":false}";
	const char *none = "{\"commit_sha\":\"" SHA_C "\"}";
	struct answer a = { 0 };
	char digest[KT_DIGEST_MAX];

	deploy_text(r, &a, "beans", "one", "\"commit_sha\":\"" SHA_A "\",\"ref\":\"main\"");
	(void)kt_str_copy(digest, sizeof(digest), text_of(&a, "digest"));
	deploy_text(r, &a, "beans", "two", "\"commit_sha\":\"" SHA_B "\",\"ref\":\"main\"");
	RUN(r, &a, kt_control_redeploy(
			   r->ctl, &r->actor, "beans", none, strlen(none), NULL, on_answer, &a));
	ASSERT_STATUS(&a, 404);
	assert_string_equal(a.code, "commit_not_found");
	RUN(r, &a, kt_control_redeploy(
			   r->ctl, &r->actor, "beans", doc, strlen(doc), NULL, on_answer, &a));
	ASSERT_STATUS(&a, 202);
	assert_text(&a, "deploy.version", "v3");
	assert_text(&a, "commit_sha", SHA_A);
	RUN(r, &a, kt_control_release_wait(r->ctl, &r->actor, "beans", "v3", on_answer, &a));
	ASSERT_STATUS(&a, 201);
	assert_text(&a, "digest", digest);
	assert_text(&a, "source", "redeploy");
	assert_text(&a, "message", "again");
	assert_true(kt_json_bool(a.doc, "active", false));
	/* Nobody pushed: the ref stays. */
	RUN(r, &a, kt_control_refs(r->ctl, &r->actor, "beans", on_answer, &a));
	assert_string_equal(kt_json_str(kt_json_get(a.doc, "refs"), "refs/heads/main"), SHA_B);
	RUN(r, &a, kt_control_redeploy(
			   r->ctl, &r->actor, "beans", quiet, strlen(quiet), NULL, on_answer, &a));
	RUN(r, &a, kt_control_release_wait(r->ctl, &r->actor, "beans", "v4", on_answer, &a));
	assert_text(&a, "state", "ready");
	answer_clear(&a);
}

/* Two who flip against readers of the index: it is always one of the two, and complete. */
static void test_flippers(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 }, f[2] = { 0 };
	struct kt_target t;

	deploy_text(r, &a, "beans", "one", "");
	deploy_text(r, &a, "beans", "two", "");
	for (int i = 0; i < 40; i++) {
		answer_clear(&f[0]);
		answer_clear(&f[1]);
		kt_control_activate(
			r->ctl, &r->actor, "beans", "v1", NULL, on_answer, &f[0]);
		kt_control_activate(
			r->ctl, &r->actor, "beans", "v2", NULL, on_answer, &f[1]);
		while (f[0].n < 1 || f[1].n < 1) {
			rig_turn(r, 1);
			assert_int_equal(
				kt_control_target(r->ctl, r->admin.org_id, "beans", &t, NULL),
				KT_OK);
			assert_true(t.version == 1 || t.version == 2);
		}
		ASSERT_STATUS(&f[0], 200);
		ASSERT_STATUS(&f[1], 200);
	}
	show(r, &a, "beans", "v1");
	bool first = kt_json_bool(a.doc, "active", false);
	show(r, &a, "beans", "v2");
	assert_true(first != kt_json_bool(a.doc, "active", false));
	answer_clear(&a);
	answer_clear(&f[0]);
	answer_clear(&f[1]);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_rollback_pins),
		T(test_only_what_was_ready),
		T(test_config_goes_back),
		T(test_pin_and_configuration),
		T(test_publish_unpins),
		T(test_rollback_is_idempotent),
		T(test_if_match),
		T(test_files_are_made_sure_of),
		T(test_redeploy),
		T(test_flippers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
