/* SPDX-License-Identifier: MIT */
/* Opening a data folder, the first key, who is calling, and what names lead to. */
#include "rig.h"

static void test_bootstrap_once(void **state)
{
	struct rig *r = *state;
	struct kt_err err = KT_ERR_INIT;
	char again[KT_API_KEY_LEN + 1] = "x";
	struct kt_principal who;

	assert_true(kt_api_key_ok(r->admin_key));
	assert_string_equal(r->admin.org_slug, "default");
	assert_string_equal(r->admin.key_name, "admin");
	assert_int_equal(r->admin.scopes, KT_SCOPE_READ | KT_SCOPE_WRITE | KT_SCOPE_ADMIN);
	assert_int_equal(kt_control_bootstrap(r->ctl, again, &err), KT_OK);
	assert_string_equal(again, "");
	rig_restart(r);
	assert_int_equal(kt_control_bootstrap(r->ctl, again, &err), KT_OK);
	assert_string_equal(again, "");
	assert_int_equal(kt_control_principal(r->ctl, r->admin_key, &who, &err), KT_OK);
	assert_string_equal(who.org_id, r->admin.org_id);
	assert_false(on_disk(r, r->admin_key));
	assert_false(on_disk(r, r->admin_key + 8));
}

static void test_folder_checks(void **state)
{
	struct rig *r = *state;
	struct kt_control *first = r->ctl;
	KT_AUTOFREE char *key = kt_path_join(r->dir, "master.key");
	KT_AUTOFREE char *away = kt_path_join(r->dir, "away");
	struct kt_err err = KT_ERR_INIT;

	/* A second server. */
	assert_int_equal(rig_try_open(r, &err), KT_ECONFLICT);
	kt_control_free(first);
	rig_turn(r, 1);
	/* Others may write. */
	assert_int_equal(chmod(r->dir, 0720), 0);
	assert_int_equal(rig_try_open(r, &err), KT_EDENIED);
	assert_int_equal(chmod(r->dir, 0700), 0);
	/* A database without its key is not given a new one. */
	assert_int_equal(rename(key, away), 0);
	assert_int_equal(rig_try_open(r, &err), KT_EIO);
	assert_int_not_equal(err.hint[0], 0);
	assert_int_equal(rename(away, key), 0);
	assert_int_equal(rig_try_open(r, &err), KT_OK);
}

static void test_staging_is_emptied(void **state)
{
	struct rig *r = *state;
	KT_AUTOFREE char *left = kt_path_join(r->dir, "tmp/left");
	struct kt_err err = KT_ERR_INIT;

	assert_int_equal(kt_fs_write_new(left, "x", 1, 0600, &err), KT_OK);
	rig_restart(r);
	assert_false(kt_fs_is_file(left));
}

/* Every failure is the same answer. */
static void test_principal_failures(void **state)
{
	struct rig *r = *state;
	char unknown[KT_API_KEY_LEN + 1], wrong[KT_API_KEY_LEN + 1];
	char same_prefix[KT_API_KEY_LEN + 1];
	struct kt_err first = KT_ERR_INIT;
	struct kt_principal who = { .org_id = "untouched" };

	kt_api_key_new(true, unknown);
	memcpy(wrong, r->admin_key, sizeof(wrong));
	wrong[20] = wrong[20] == 'a' ? 'b' : 'a';
	memcpy(same_prefix, unknown, sizeof(unknown));
	memcpy(same_prefix, r->admin_key, KT_API_KEY_PREFIX_LEN);
	const char *const bad[] = { unknown, wrong, same_prefix, "", "kt_live_", "Bearer x", NULL,
		"kt_live_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };

	for (size_t i = 0; i < KT_ARRAY_LEN(bad); i++) {
		struct kt_err err = KT_ERR_INIT;

		assert_int_equal(kt_control_principal(r->ctl, bad[i], &who, &err), KT_EAUTH);
		if (i == 0)
			first = err;
		assert_memory_equal(&first, &err, sizeof(err));
	}
	assert_string_equal(who.org_id, "untouched");
	kt_index_key(r->ctl, r->admin.key_id)->expires_us = kt_time_us() - 1;
	struct kt_err err = KT_ERR_INIT;

	assert_int_equal(kt_control_principal(r->ctl, r->admin_key, &who, &err), KT_EAUTH);
	assert_memory_equal(&first, &err, sizeof(err));
	kt_index_key(r->ctl, r->admin.key_id)->expires_us = kt_time_us() + 5000000;
	assert_int_equal(kt_control_principal(r->ctl, r->admin_key, &who, &err), KT_OK);
	/* Fail closed. */
	r->ctl->loaded = false;
	assert_int_equal(kt_control_principal(r->ctl, r->admin_key, &who, &err), KT_EUNAVAIL);
	r->ctl->loaded = true;
}

static void test_two_keys_of_one_prefix(void **state)
{
	struct rig *r = *state;
	struct kt_key_row row = { .id = "key_twin", .org_id = r->admin.org_id, .name = "twin",
		.last4 = "xxxx", .scopes = KT_SCOPE_READ, .created_by = "test" };
	char prefix[KT_API_KEY_PREFIX_LEN + 1];
	unsigned char hash[KT_KEY_HASH_BYTES] = { 9 };
	struct kt_principal who;
	struct kt_err err = KT_ERR_INIT;

	(void)kt_str_copy(prefix, sizeof(prefix), r->admin_key);
	row.prefix = prefix;
	row.hash = hash;
	kt_index_key_put(r->ctl, &row);
	assert_int_equal(kt_control_principal(r->ctl, r->admin_key, &who, &err), KT_OK);
	assert_string_equal(who.key_name, "admin");
}

static void test_targets(void **state)
{
	struct rig *r = *state;
	struct kt_target t;
	struct kt_err err = KT_ERR_INIT;
	struct live v1 = { .version = 1 };
	struct live pr = { .version = 2, .preview = "bot-pr-7", .pr = 7, .ref = "refs/pull/7/head",
		.expires_us = kt_time_us() + 60000000 };
	struct live old = { .version = 3, .preview = "bot-old", .ref = "refs/heads/old",
		.expires_us = kt_time_us() - 1 };

	make_project(r, &r->actor, "bot");
	v1.project_id = pr.project_id = old.project_id = project_mem(r, "bot")->id;
	assert_int_equal(kt_control_target(r->ctl, r->admin.org_id, "bot", &t, &err), KT_ECONFLICT);
	/* Its sessions of before can be found all the same. */
	assert_string_equal(t.project_id, v1.project_id);
	assert_string_equal(t.org_id, r->admin.org_id);
	assert_string_equal(t.release_id, "");
	make_live(r, &v1);
	make_live(r, &pr);
	make_live(r, &old);
	for (int again = 0; again < 2; again++) {
		assert_int_equal(
			kt_control_target(r->ctl, r->admin.org_id, "bot", &t, &err), KT_OK);
		assert_string_equal(t.release_id, v1.id);
		assert_int_equal(t.version, 1);
		assert_false(t.preview);
		assert_int_equal(kt_control_target(r->ctl, r->admin.org_id,
					 project_mem(r, "bot")->id, &t, &err),
			KT_OK);
		assert_int_equal(
			kt_control_target_path(r->ctl, "default", "bot", &t, &err), KT_OK);
		assert_string_equal(t.project, "bot");
		assert_int_equal(kt_control_target_host(r->ctl, "BOT", &t, &err), KT_OK);
		assert_string_equal(t.release_id, v1.id);
		assert_int_equal(kt_control_target_host(r->ctl, "bot-pr-7", &t, &err), KT_OK);
		assert_string_equal(t.release_id, pr.id);
		assert_true(t.preview);
		assert_int_equal(
			kt_control_target(r->ctl, r->admin.org_id, "bot-pr-7", &t, &err), KT_OK);
		assert_int_equal(
			kt_control_target_host(r->ctl, "bot-old", &t, &err), KT_ENOTFOUND);
		/* Another organization's is as one that is not there. */
		assert_int_equal(
			kt_control_target(r->ctl, r->other.org_id, "bot", &t, &err), KT_ENOTFOUND);
		assert_int_equal(kt_control_target(r->ctl, r->other.org_id, "bot-pr-7", &t, &err),
			KT_ENOTFOUND);
		assert_int_equal(kt_control_target(r->ctl, r->other.org_id,
					 project_mem(r, "bot")->id, &t, &err),
			KT_ENOTFOUND);
		assert_int_equal(
			kt_control_target_path(r->ctl, "other", "bot", &t, &err), KT_ENOTFOUND);
		assert_int_equal(
			kt_control_target_path(r->ctl, "nobody", "bot", &t, &err), KT_ENOTFOUND);
		assert_int_equal(kt_control_target(r->ctl, "", "bot", &t, &err), KT_ENOTFOUND);
		assert_int_equal(kt_control_target_host(r->ctl, "", &t, &err), KT_ENOTFOUND);
		if (again == 0)
			rig_restart(r);
	}
}

static void test_preview_never_takes_a_projects_label(void **state)
{
	struct rig *r = *state;
	struct live v1 = { .version = 1 };
	struct live pr = { .version = 1, .preview = "bot", .ref = "refs/heads/x",
		.expires_us = kt_time_us() + 60000000 };
	struct kt_target t;
	struct kt_err err = KT_ERR_INIT;

	make_project(r, &r->actor, "bot");
	make_project(r, &r->stranger, "evil");
	v1.project_id = project_mem(r, "bot")->id;
	pr.project_id = kt_index_project(r->ctl, r->other.org_id, "evil")->id;
	make_live(r, &v1);
	make_live(r, &pr);
	assert_int_equal(kt_control_target_host(r->ctl, "bot", &t, &err), KT_OK);
	assert_string_equal(t.release_id, v1.id);
	kt_index_preview_drop(r->ctl, kt_index_project(r->ctl, r->other.org_id, "evil"), "bot");
	assert_int_equal(kt_control_target_host(r->ctl, "bot", &t, &err), KT_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bootstrap_once, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_folder_checks, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_staging_is_emptied, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_principal_failures, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_two_keys_of_one_prefix, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(test_targets, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(
			test_preview_never_takes_a_projects_label, rig_setup, rig_teardown),
	};

	return cmocka_run_group_tests_name("control/index", tests, NULL, NULL);
}
