/* SPDX-License-Identifier: MIT */
/* Previews: names, replacement, expiry, ends, what they may know. */
#include "work.h"

static void test_labels(void **state)
{
	static const struct {
		const char *slug, *ref;
		int64_t pr;
		const char *want;
	} cases[] = {
		{ "beans", "refs/heads/feature", 0, "beans-feature" },
		{ "beans", "refs/heads/Feature/New_Thing!", 0, "beans-feature-new-thing" },
		{ "beans", "refs/tags/v1.2", 0, "beans-tags-v1-2" },
		{ "beans", "refs/heads/x", 7, "beans-pr-7" },
		{ "beans", NULL, 0, "beans-preview" },
	};
	char out[64], other[64];

	(void)state;
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		kt_preview_label(cases[i].slug, cases[i].ref, cases[i].pr, out);
		assert_string_equal(out, cases[i].want);
		assert_true(kt_slug_ok(out));
	}
	/* In another script, and too long: still a label, and told apart. */
	kt_preview_label("beans", "refs/heads/\xe6\x97\xa5", 0, out);
	kt_preview_label("beans", "refs/heads/\xe6\x9c\xac", 0, other);
	assert_true(kt_slug_ok(out) && kt_slug_ok(other) && strcmp(out, other) != 0);
	kt_preview_label("beans",
		"refs/heads/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", 0,
		out);
	kt_preview_label("beans",
		"refs/heads/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2", 0,
		other);
	assert_true(strlen(out) == 63 && kt_slug_ok(out) && strcmp(out, other) != 0);
}

static void test_branch(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct kt_target t;

	deploy_text(r, &a, "beans", "one", "\"commit_sha\":\"" SHA_A "\",\"ref\":\"main\"");
	deploy_text(r, &a, "beans", "two", "\"commit_sha\":\"" SHA_B "\",\"ref\":\"feature\"");
	ASSERT_STATUS(&a, 201);
	assert_text(&a, "state", "preview");
	assert_text(&a, "preview", "beans-feature");
	assert_non_null(strstr(text_of(&a, "url"), "//beans-feature."));
	assert_false(kt_json_bool(a.doc, "activated", true));
	assert_int_equal(kt_control_target_host(r->ctl, "beans-feature", &t, NULL), KT_OK);
	assert_true(t.preview && t.version == 2);
	/* The pointer stays; both refs are there. */
	assert_int_equal(project_mem(r, "beans")->current->version, 1);
	RUN(r, &a, kt_control_refs(r->ctl, &r->actor, "beans", on_answer, &a));
	assert_string_equal(kt_json_str(kt_json_get(a.doc, "refs"), "refs/heads/feature"), SHA_B);
	assert_string_equal(kt_json_str(kt_json_get(a.doc, "refs"), "refs/heads/main"), SHA_A);
	/* The next push replaces it. */
	deploy_text(r, &a, "beans", "three", "\"commit_sha\":\"" SHA_C "\",\"ref\":\"feature\"");
	assert_text(&a, "preview", "beans-feature");
	show(r, &a, "beans", "v2");
	assert_text(&a, "state", "expired");
	assert_int_equal(kt_control_target_host(r->ctl, "beans-feature", &t, NULL), KT_OK);
	assert_int_equal(t.version, 3);
	/* Deleting the branch ends it. */
	RUN(r, &a, kt_control_ref_delete(
			   r->ctl, &r->actor, "beans", "refs/heads/feature", on_answer, &a));
	ASSERT_STATUS(&a, 204);
	show(r, &a, "beans", "v3");
	assert_text(&a, "state", "expired");
	assert_int_equal(
		kt_control_target_host(r->ctl, "beans-feature", &t, NULL), KT_ENOTFOUND);
	answer_clear(&a);
}

/* A pull request from a branch called like the production one must not move that one's ref. */
static void test_pull_request(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };

	deploy_text(r, &a, "beans", "one", "\"commit_sha\":\"" SHA_A "\",\"ref\":\"main\"");
	deploy_text(r, &a, "beans", "two",
		"\"commit_sha\":\"" SHA_B "\",\"ref\":\"main\",\"pr\":7,\"fork\":true");
	assert_text(&a, "preview", "beans-pr-7");
	assert_text(&a, "state", "preview");
	RUN(r, &a, kt_control_refs(r->ctl, &r->actor, "beans", on_answer, &a));
	assert_string_equal(kt_json_str(kt_json_get(a.doc, "refs"), "refs/heads/main"), SHA_A);
	assert_int_equal(project_mem(r, "beans")->current->version, 1);
	answer_clear(&a);
}

static void test_label_of_another(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };

	make_project(r, &r->actor, "beans");
	make_project(r, &r->actor, "beans-feature");
	publish(r, &a, "beans", (const struct file[]){ CLAUDE_MD }, 1, "\"ref\":\"feature\"");
	ASSERT_STATUS(&a, 409);
	assert_string_equal(a.code, "label_taken");
	answer_clear(&a);
}

struct opening {
	int n;
	enum kt_code rc;
	uint64_t hold;
	char dir[256], env[1024];
};

static void on_opened(
	void *arg, enum kt_code rc, const struct kt_opened *opened, const struct kt_err *err)
{
	struct opening *o = arg;
	size_t at = 0;

	(void)err;
	o->n++;
	o->rc = rc;
	if (rc != KT_OK)
		return;
	o->hold = opened->hold;
	(void)kt_str_copy(o->dir, sizeof(o->dir), opened->dir);
	o->env[0] = '\0';
	for (char *const *e = opened->env; *e; e++)
		at += (size_t)snprintf(o->env + at, sizeof(o->env) - at, "%s\n", *e);
}

static void open_target(struct rig *r, struct opening *o, const char *label)
{
	struct kt_target t;

	memset(o, 0, sizeof(*o));
	assert_int_equal(kt_control_target_host(r->ctl, label, &t, NULL), KT_OK);
	kt_control_release_open(r->ctl, &t, on_opened, o);
	RIG_WHILE(r, o->n == 0);
	assert_int_equal(o->n, 1);
}

static void test_env_of_releases(void **state)
{
	struct rig *r = *state;
	const char *set = "{\"set\":{\"TOKEN\":\"s3cret-value\",\"BOTH\":\"of the project\"}}";
	struct answer a = { 0 };
	struct opening o, p;
	KT_AUTOFREE char *file = NULL;

	deploy_text(r, &a, "beans", "one", "");
	RUN(r, &a, kt_control_config_change(
			   r->ctl, &r->actor, "beans", set, strlen(set), NULL, on_answer, &a));
	deploy_text(r, &a, "beans", "two",
		"\"commit_sha\":\"" SHA_A "\",\"env\":{\"BOTH\":\"of the release\"}");
	ASSERT_STATUS(&a, 201);
	open_target(r, &o, "beans");
	assert_int_equal(o.rc, KT_OK);
	assert_non_null(strstr(o.env, "TOKEN=s3cret-value\n"));
	assert_non_null(strstr(o.env, "BOTH=of the release\n"));
	assert_null(strstr(o.env, "of the project"));
	assert_non_null(strstr(o.env, "KARTA_ENVIRONMENT=production\n"));
	assert_non_null(strstr(o.env, "KARTA_COMMIT_SHA=" SHA_A "\n"));
	file = kt_path_join(o.dir, "CLAUDE.md");
	assert_true(kt_fs_is_file(file));
	/* Shared while it is held, gone with the last. */
	open_target(r, &p, "beans");
	assert_string_equal(p.dir, o.dir);
	assert_true(p.hold != o.hold);
	assert_int_equal(r->ctl->opened.len, 1);
	kt_control_release_close(r->ctl, o.hold);
	assert_int_equal(r->ctl->opened.len, 1);
	kt_control_release_close(r->ctl, p.hold);
	assert_int_equal(r->ctl->opened.len, 0);
	/* A preview has them too, a fork's has none. */
	deploy_text(r, &a, "beans", "three", "\"pr\":1");
	open_target(r, &o, "beans-pr-1");
	assert_non_null(strstr(o.env, "TOKEN=s3cret-value\n"));
	assert_non_null(strstr(o.env, "KARTA_ENVIRONMENT=preview\n"));
	deploy_text(r, &a, "beans", "four", "\"pr\":2,\"fork\":true");
	open_target(r, &o, "beans-pr-2");
	assert_int_equal(o.rc, KT_OK);
	assert_null(strstr(o.env, "TOKEN"));
	answer_clear(&a);
}

/* Cut short on disk: refused, with a row in the audit log; others go on. */
static void test_damaged_is_refused(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct opening o;
	char file[KT_DIGEST_MAX], digest[KT_DIGEST_MAX];
	KT_AUTOFREE char *blob = NULL, *away = NULL;

	deploy_text(r, &a, "beans", "one", "");
	(void)kt_str_copy(digest, sizeof(digest), text_of(&a, "digest"));
	kt_sha256_of("one", 3, file);
	blob = kt_asprintf("%s/blobs/%s/%.2s/%s", r->dir, r->admin.org_id, file, file);
	assert_int_equal(chmod(blob, 0600), 0);
	assert_int_equal(truncate(blob, 1), 0);
	kt_layout_drop(r->ctl, r->admin.org_id, digest, &away);
	open_target(r, &o, "beans");
	assert_int_equal(o.rc, KT_EUNAVAIL);
	assert_int_equal(r->ctl->opened.len, 0);
	assert_audit(r, "release.damaged");
	deploy_text(r, &a, "beans", "two", "");
	open_target(r, &o, "beans");
	assert_int_equal(o.rc, KT_OK);
	answer_clear(&a);
}

static void test_expiry(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct kt_target t;
	struct opening o;

	r->ctl->cfg.preview_ms = slowed_ms(2000);
	deploy_text(r, &a, "beans", "one", "\"ref\":\"feature\"");
	ASSERT_STATUS(&a, 201);
	open_target(r, &o, "beans-feature");
	kt_releases_sweep(r->ctl);
	rig_turn(r, 20);
	assert_int_equal(kt_control_target_host(r->ctl, "beans-feature", &t, NULL), KT_OK);
	rig_turn(r, slowed_ms(2000));
	kt_releases_sweep(r->ctl);
	RIG_WHILE(r, kt_control_target_host(r->ctl, "beans-feature", &t, NULL) == KT_OK);
	assert_int_equal(
		kt_control_target_host(r->ctl, "beans-feature", &t, NULL), KT_ENOTFOUND);
	assert_audit(r, "preview.end");
	show(r, &a, "beans", "v1");
	assert_text(&a, "state", "expired");
	/* Who runs it goes on. */
	assert_true(kt_fs_is_dir(o.dir));
	kt_control_release_close(r->ctl, o.hold);
	/* A push brings it back. */
	deploy_text(r, &a, "beans", "one", "\"ref\":\"feature\"");
	assert_text(&a, "state", "preview");
	answer_clear(&a);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_labels),
		T(test_branch),
		T(test_pull_request),
		T(test_label_of_another),
		T(test_env_of_releases),
		T(test_damaged_is_refused),
		T(test_expiry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
