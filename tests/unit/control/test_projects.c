/* SPDX-License-Identifier: MIT */
/* Projects: names and who may have them, changes, what another organization sees, refs. */
#include "rig.h"

static void create(struct rig *r, struct answer *a, const struct kt_actor *who, const char *slug,
	const struct kt_precond *pre)
{
	struct kt_project_new p = { .slug = slug };

	RUN(r, a, kt_control_project_create(r->ctl, who, &p, pre, on_answer, a));
}

static void test_create_and_show(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	int n;

	create(r, &a, &r->actor, "support-bot", NULL);
	ASSERT_STATUS(&a, 201);
	assert_string_equal(text_of(&a, "slug"), "support-bot");
	assert_string_equal(text_of(&a, "org"), "default");
	assert_string_equal(text_of(&a, "kind"), "release");
	assert_string_equal(text_of(&a, "url"), "http://support-bot.localhost:8000");
	assert_string_equal(text_of(&a, "production_ref"), "refs/heads/main");
	assert_string_equal(a.etag, "\"none\"");
	assert_true(cJSON_IsNull(kt_json_get(a.doc, "current")));
	assert_non_null(text_of(&a, "created_at"));
	KT_AUTOFREE char *id = kt_strdup(text_of(&a, "id"));

	assert_string_equal(last_audit(r, &a, &n), "project.create");
	assert_int_equal(n, 3); /* org.create, key.create */
	RUN(r, &a, kt_control_project(r->ctl, &r->actor, id, on_answer, &a));
	ASSERT_STATUS(&a, 200);
	rig_restart(r);
	RUN(r, &a, kt_control_projects(r->ctl, &r->actor, on_answer, &a));
	assert_int_equal(cJSON_GetArraySize(kt_json_arr(a.doc, "data")), 1);
	RUN(r, &a, kt_control_projects(r->ctl, &r->stranger, on_answer, &a));
	assert_int_equal(cJSON_GetArraySize(kt_json_arr(a.doc, "data")), 0);
	answer_clear(&a);
}

static void test_names(void **state)
{
	static const char *const bad[] = { "", "-a", "a-", "A", "a_b", "a.b", "a/b", "é", NULL,
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	struct rig *r = *state;
	struct answer a = { 0 };

	for (size_t i = 0; i < KT_ARRAY_LEN(bad); i++) {
		create(r, &a, &r->actor, bad[i], NULL);
		ASSERT_STATUS(&a, 422);
		assert_string_equal(a.code, "invalid_name");
	}
	create(r, &a, &r->actor, "a", NULL);
	ASSERT_STATUS(&a, 201);
	create(r, &a, &r->actor, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
		NULL);
	ASSERT_STATUS(&a, 201);
	create(r, &a, &r->actor, "a", NULL);
	ASSERT_STATUS(&a, 409);
	assert_string_equal(a.code, "project_exists");
	/* What no host may be called, a project may; its address is a path. */
	create(r, &a, &r->actor, "app", NULL);
	ASSERT_STATUS(&a, 201);
	assert_string_equal(text_of(&a, "url"), "http://localhost:8000/v1/projects/app");
	create(r, &a, &r->stranger, "app", NULL);
	ASSERT_STATUS(&a, 201);
	answer_clear(&a);
}

/* A slug belongs to an organization, a label to the server. */
static void test_labels(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct kt_project_change ch = { .slug = "agent" };

	make_project(r, &r->actor, "bot");
	create(r, &a, &r->stranger, "bot", NULL);
	ASSERT_STATUS(&a, 201);
	assert_string_equal(text_of(&a, "url"), "http://bot-other.localhost:8000");
	make_project(r, &r->stranger, "agent");
	RUN(r, &a, kt_control_project_change(r->ctl, &r->actor, "bot", &ch, NULL, on_answer, &a));
	ASSERT_STATUS(&a, 200);
	assert_string_equal(text_of(&a, "url"), "http://agent-default.localhost:8000");
	/* Both are taken: something random. */
	create(r, &a, &r->stranger, "bot-other2", NULL);
	make_project(r, &r->actor, "x-other");
	make_project(r, &r->actor, "x");
	create(r, &a, &r->stranger, "x", NULL);
	ASSERT_STATUS(&a, 201);
	assert_true(kt_str_starts(text_of(&a, "url"), "http://x-"));
	assert_int_equal(strlen(text_of(&a, "url")), strlen("http://x-abcd.localhost:8000"));
	answer_clear(&a);
}

static void test_label_of_a_preview_is_taken(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct live pr = {
		.version = 1, .preview = "bot-pr-7", .pr = 7, .expires_us = kt_time_us() + 60000000
	};

	make_project(r, &r->actor, "bot");
	pr.project_id = project_mem(r, "bot")->id;
	make_live(r, &pr);
	create(r, &a, &r->stranger, "bot-pr-7", NULL);
	ASSERT_STATUS(&a, 201);
	assert_string_equal(text_of(&a, "url"), "http://bot-pr-7-other.localhost:8000");
	answer_clear(&a);
}

static void test_first_publish_race(void **state)
{
	enum { N = 50 };
	struct rig *r = *state;
	struct answer a[N] = { 0 };
	struct kt_project_new p = { .slug = "race" };
	int made[2] = { 0, 0 }, taken = 0;

	for (int i = 0; i < N; i++)
		kt_control_project_create(
			r->ctl, i % 2 ? &r->stranger : &r->actor, &p, NULL, on_answer, &a[i]);
	for (int i = 0; i < N; i++) {
		rig_wait(r, &a[i], 1);
		made[i % 2] += a[i].status == 201;
		taken += a[i].status == 409;
		answer_clear(&a[i]);
	}
	assert_int_equal(made[0], 1);
	assert_int_equal(made[1], 1);
	assert_int_equal(taken, N - 2);
}

static void test_idempotent_create(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct kt_precond pre = {
		.idem_key = "k1", .idem_scope = "POST /agent_projects", .fingerprint = "f1"
	};
	int n;

	create(r, &a, &r->actor, "bot", &pre);
	ASSERT_STATUS(&a, 201);
	KT_AUTOFREE char *first = kt_strdup(a.json);

	rig_restart(r);
	create(r, &a, &r->actor, "bot", &pre);
	ASSERT_STATUS(&a, 201);
	assert_string_equal(a.json, first);
	(void)last_audit(r, &a, &n);
	assert_int_equal(n, 3);
	pre.fingerprint = "f2";
	create(r, &a, &r->actor, "bot2", &pre);
	ASSERT_STATUS(&a, 422);
	assert_string_equal(a.code, "idempotency_mismatch");
	/* Another organization's keys are its own. */
	create(r, &a, &r->stranger, "bot2", &pre);
	ASSERT_STATUS(&a, 201);
	/* A request that failed left nothing: the same key may be used again. */
	pre = (struct kt_precond){ .idem_key = "k2", .idem_scope = "s", .fingerprint = "f" };
	create(r, &a, &r->actor, "bot", &pre);
	ASSERT_STATUS(&a, 409);
	assert_string_equal(a.code, "project_exists");
	create(r, &a, &r->actor, "bot", &pre);
	assert_string_equal(a.code, "project_exists");
	answer_clear(&a);
}

static void test_folder_project(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct kt_target t;
	struct kt_project_new p = { .slug = "local", .dir = r->dir };
	struct kt_principal plain = r->admin;
	struct kt_actor who = { .who = &plain };

	plain.scopes = KT_SCOPE_READ | KT_SCOPE_WRITE;
	RUN(r, &a, kt_control_project_create(r->ctl, &who, &p, NULL, on_answer, &a));
	ASSERT_STATUS(&a, 403);
	RUN(r, &a, kt_control_project_create(r->ctl, &r->actor, &p, NULL, on_answer, &a));
	ASSERT_STATUS(&a, 201);
	assert_string_equal(text_of(&a, "kind"), "folder");
	assert_string_equal(text_of(&a, "dir"), r->dir);
	assert_int_equal(kt_control_target(r->ctl, r->admin.org_id, "local", &t, NULL), KT_OK);
	assert_true(t.folder);
	assert_int_equal(t.version, 0);
	assert_string_equal(t.release_id, "");
	p = (struct kt_project_new){ .slug = "gone", .dir = "/nonexistent/folder" };
	RUN(r, &a, kt_control_project_create(r->ctl, &r->actor, &p, NULL, on_answer, &a));
	ASSERT_STATUS(&a, 422);
	p.dir = "tmp";
	RUN(r, &a, kt_control_project_create(r->ctl, &r->actor, &p, NULL, on_answer, &a));
	ASSERT_STATUS(&a, 422);
	answer_clear(&a);
}

static void test_rename(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct live v1 = { .version = 1 };
	struct kt_target t;
	struct kt_project_change ch = { .slug = "new-name" };
	struct kt_precond pre = { .if_match = "\"rel_wrong\"" };

	make_project(r, &r->actor, "old-name");
	make_project(r, &r->actor, "third");
	v1.project_id = project_mem(r, "old-name")->id;
	make_live(r, &v1);
	RUN(r, &a,
		kt_control_project_change(r->ctl, &r->actor, "old-name", &ch, &pre, on_answer, &a));
	ASSERT_STATUS(&a, 412);
	assert_string_equal(a.code, "precondition_failed");
	KT_AUTOFREE char *tag = kt_asprintf("W/\"x\", \"%s\"", v1.id);

	pre.if_match = tag;
	RUN(r, &a,
		kt_control_project_change(r->ctl, &r->actor, "old-name", &ch, &pre, on_answer, &a));
	ASSERT_STATUS(&a, 200);
	assert_string_equal(text_of(&a, "slug"), "new-name");
	assert_string_equal(text_of(&a, "current.release"), v1.id);
	assert_int_equal(kt_control_target_host(r->ctl, "old-name", &t, NULL), KT_ENOTFOUND);
	assert_int_equal(
		kt_control_target(r->ctl, r->admin.org_id, "old-name", &t, NULL), KT_ENOTFOUND);
	assert_int_equal(kt_control_target_host(r->ctl, "new-name", &t, NULL), KT_OK);
	ch.slug = "third";
	RUN(r, &a,
		kt_control_project_change(r->ctl, &r->actor, "new-name", &ch, NULL, on_answer, &a));
	ASSERT_STATUS(&a, 409);
	ch.slug = "Bad";
	RUN(r, &a,
		kt_control_project_change(r->ctl, &r->actor, "new-name", &ch, NULL, on_answer, &a));
	ASSERT_STATUS(&a, 422);
	rig_restart(r);
	assert_int_equal(kt_control_target_host(r->ctl, "new-name", &t, NULL), KT_OK);
	answer_clear(&a);
}

static void test_bind(void **state)
{
	static const char token[] = "ghp_0123456789abcdefTOKEN",
			  secret[] = "hook-secret-0123456789";
	static const char *const bad[] = { "ftp://example.com/x", "http://example.com/a/b",
		"https://user:pw@example.com/a/b", "nonsense", "http://localhost:9/a/b",
		"https://127.0.0.1/a/b", "https://[::1]/a/b",
		/* The same in other spellings, and what else is not public. */
		"https://2130706433/a/b", "https://0x7f000001/a/b", "https://0177.0.0.1/a/b",
		"https://127.1/a/b", "https://0/a/b", "https://0x7f.1/a/b",
		"https://[::ffff:127.0.0.1]/a/b", "https://[::ffff:7f00:1]/a/b",
		"https://[::127.0.0.1]/a/b", "https://localhost./a/b", "https://LOCALHOST/a/b",
		"https://x.localhost./a/b", "https://127.0.0.1./a/b", "https://10.0.0.1/a/b",
		"https://169.254.169.254/a/b", "https://[fd00:ec2::254]/a/b",
		"https://[64:ff9b::a9fe:a9fe]/a/b", "https://[fe80::1]/a/b" };
	struct rig *r = *state;
	struct answer a = { 0 };
	struct kt_project_change ch = { .repo_url = "https://github.com/acme/bot/",
		.repo_token = token,
		.webhook_secret = secret,
		.production_ref = "trunk" };
	int n;

	make_project(r, &r->actor, "bot");
	RUN(r, &a, kt_control_project_change(r->ctl, &r->actor, "bot", &ch, NULL, on_answer, &a));
	ASSERT_STATUS(&a, 200);
	assert_string_equal(text_of(&a, "repo_url"), "https://github.com/acme/bot");
	assert_string_equal(text_of(&a, "production_ref"), "refs/heads/trunk");
	assert_null(strstr(a.json, token));
	assert_null(strstr(a.json, secret));
	assert_true(project_mem(r, "bot")->has_webhook_secret);
	assert_string_equal(last_audit(r, &a, &n), "project.update");
	assert_null(strstr(a.json, token));
	assert_null(strstr(a.json, secret));
	assert_false(on_disk(r, token));
	assert_false(on_disk(r, secret));
	/* The token goes to the server it was given for, and to no other. */
	ch = (struct kt_project_change){ .repo_url = "https://github.com/acme/other" };
	RUN(r, &a, kt_control_project_change(r->ctl, &r->actor, "bot", &ch, NULL, on_answer, &a));
	ASSERT_STATUS(&a, 200);
	assert_string_equal(last_audit(r, &a, &n), "project.update");
	assert_null(strstr(a.json, "\"repo_token\":\"removed\""));
	ch = (struct kt_project_change){ .repo_url = "https://evil.example/acme/bot" };
	RUN(r, &a, kt_control_project_change(r->ctl, &r->actor, "bot", &ch, NULL, on_answer, &a));
	ASSERT_STATUS(&a, 200);
	assert_string_equal(last_audit(r, &a, &n), "project.update");
	assert_non_null(strstr(a.json, "\"repo_token\":\"removed\""));
	for (size_t i = 0; i < KT_ARRAY_LEN(bad); i++) {
		ch = (struct kt_project_change){ .repo_url = bad[i] };
		RUN(r, &a,
			kt_control_project_change(
				r->ctl, &r->actor, "bot", &ch, NULL, on_answer, &a));
		ASSERT_STATUS(&a, 422);
	}
	ch = (struct kt_project_change){ .production_ref = "a..b" };
	RUN(r, &a, kt_control_project_change(r->ctl, &r->actor, "bot", &ch, NULL, on_answer, &a));
	ASSERT_STATUS(&a, 422);
	ch = (struct kt_project_change){ .repo_url = "" };
	RUN(r, &a, kt_control_project_change(r->ctl, &r->actor, "bot", &ch, NULL, on_answer, &a));
	ASSERT_STATUS(&a, 200);
	assert_null(text_of(&a, "repo_url"));
	assert_false(project_mem(r, "bot")->has_webhook_secret);
	answer_clear(&a);
}

static void test_delete(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct live v1 = { .version = 1 };
	struct live pr = {
		.version = 2, .preview = "bot-pr-1", .pr = 1, .expires_us = kt_time_us() + 60000000
	};
	struct kt_target t;
	struct kt_evlog *log;
	int before, after;

	make_project(r, &r->actor, "bot");
	v1.project_id = pr.project_id = project_mem(r, "bot")->id;
	make_live(r, &v1);
	make_live(r, &pr);
	struct kt_log_line line = { .project_id = v1.project_id, .text = "hello" };
	KT_AUTOFREE char *path = kt_asprintf("%s/logs/%s.log", r->dir, v1.project_id);

	kt_control_log(r->ctl, &line);
	rig_turn(r, 5);
	assert_true(kt_fs_is_file(path));
	assert_int_equal(kt_control_project_log(r->ctl, &r->actor, "bot", &log, NULL), KT_OK);
	/* A reader of the log outlives its project. */
	struct kt_evreader *reader = kt_evreader_new(log, 0, NULL, NULL);

	(void)last_audit(r, &a, &before);
	RUN(r, &a, kt_control_project_delete(r->ctl, &r->stranger, "bot", on_answer, &a));
	ASSERT_STATUS(&a, 404);
	RUN(r, &a, kt_control_project_delete(r->ctl, &r->actor, "bot", on_answer, &a));
	ASSERT_STATUS(&a, 204);
	assert_null(a.json);
	assert_int_equal(kt_control_target_host(r->ctl, "bot", &t, NULL), KT_ENOTFOUND);
	assert_int_equal(kt_control_target_host(r->ctl, "bot-pr-1", &t, NULL), KT_ENOTFOUND);
	const char *bytes;

	assert_true(kt_evreader_peek(reader, &bytes, 10) > 0);
	kt_evreader_free(reader);
	kt_index_sweep(r->ctl);
	assert_int_equal(r->ctl->dropped.len, 0);
	assert_false(kt_fs_is_file(path));
	assert_string_equal(last_audit(r, &a, &after), "project.delete");
	assert_int_equal(after, before + 1);
	make_project(r, &r->actor, "bot");
	rig_restart(r);
	assert_non_null(project_mem(r, "bot"));
	answer_clear(&a);
}

/* What is another's and what is not there differ in nothing. */
static void test_strangers(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 }, b = { 0 };
	struct kt_project_change ch = { .production_ref = "x" };

	make_project(r, &r->actor, "bot");
	const char *const refs[] = { "bot", project_mem(r, "bot")->id };

#define SAME(call_foreign, call_missing)                                                           \
	do {                                                                                       \
		RUN(r, &a, call_foreign);                                                          \
		RUN(r, &b, call_missing);                                                          \
		assert_int_equal(a.status, 404);                                                   \
		assert_int_equal(b.status, 404);                                                   \
		assert_string_equal(a.code, b.code);                                               \
		assert_string_equal(a.message, b.message);                                         \
		assert_null(a.json);                                                               \
	} while (0)
	for (size_t i = 0; i < KT_ARRAY_LEN(refs); i++) {
		SAME(kt_control_project(r->ctl, &r->stranger, refs[i], on_answer, &a),
			kt_control_project(r->ctl, &r->stranger, "none", on_answer, &b));
		SAME(kt_control_project_change(
			     r->ctl, &r->stranger, refs[i], &ch, NULL, on_answer, &a),
			kt_control_project_change(
				r->ctl, &r->stranger, "none", &ch, NULL, on_answer, &b));
		SAME(kt_control_project_delete(r->ctl, &r->stranger, refs[i], on_answer, &a),
			kt_control_project_delete(r->ctl, &r->stranger, "none", on_answer, &b));
		SAME(kt_control_refs(r->ctl, &r->stranger, refs[i], on_answer, &a),
			kt_control_refs(r->ctl, &r->stranger, "none", on_answer, &b));
		SAME(kt_control_ref_delete(
			     r->ctl, &r->stranger, refs[i], "refs/heads/x", on_answer, &a),
			kt_control_ref_delete(
				r->ctl, &r->stranger, "none", "refs/heads/x", on_answer, &b));
		SAME(kt_control_config(r->ctl, &r->stranger, refs[i], on_answer, &a),
			kt_control_config(r->ctl, &r->stranger, "none", on_answer, &b));
		SAME(kt_control_config_change(
			     r->ctl, &r->stranger, refs[i], "{}", 2, NULL, on_answer, &a),
			kt_control_config_change(
				r->ctl, &r->stranger, "none", "{}", 2, NULL, on_answer, &b));
	}
	answer_clear(&a);
	answer_clear(&b);
}

static void test_refs(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct live v1 = { .version = 1 };
	struct live br = { .version = 2,
		.preview = "bot-feature-x",
		.ref = "refs/heads/feature/x",
		.expires_us = kt_time_us() + 60000000 };
	struct kt_target t;

	make_project(r, &r->actor, "bot");
	RUN(r, &a, kt_control_refs(r->ctl, &r->actor, "bot", on_answer, &a));
	ASSERT_STATUS(&a, 200);
	assert_true(cJSON_IsNull(kt_json_get(a.doc, "live")));
	v1.project_id = br.project_id = project_mem(r, "bot")->id;
	make_live(r, &v1);
	make_live(r, &br);
	RUN(r, &a, kt_control_refs(r->ctl, &r->actor, "bot", on_answer, &a));
	ASSERT_STATUS(&a, 200);
	assert_int_equal(cJSON_GetArraySize(kt_json_get(a.doc, "refs")), 2);
	assert_string_equal(text_of(&a, "live.version"), "v1");
	assert_string_equal(text_of(&a, "live.release"), v1.id);
	assert_int_equal(
		kt_json_int(kt_json_get(a.doc, "limits"), "max_files", 0), KT_MAX_PACK_FILES);
	RUN(r, &a,
		kt_control_ref_delete(r->ctl, &r->actor, "bot", "refs/heads/main", on_answer, &a));
	ASSERT_STATUS(&a, 409);
	assert_string_equal(a.code, "production_ref");
	RUN(r, &a,
		kt_control_ref_delete(
			r->ctl, &r->actor, "bot", "refs/heads/feature/x", on_answer, &a));
	ASSERT_STATUS(&a, 204);
	assert_int_equal(kt_control_target_host(r->ctl, "bot-feature-x", &t, NULL), KT_ENOTFOUND);
	RUN(r, &a,
		kt_control_ref_delete(
			r->ctl, &r->actor, "bot", "refs/heads/feature/x", on_answer, &a));
	ASSERT_STATUS(&a, 204);
	RUN(r, &a, kt_control_refs(r->ctl, &r->actor, "bot", on_answer, &a));
	assert_int_equal(cJSON_GetArraySize(kt_json_get(a.doc, "refs")), 1);
	RUN(r, &a, kt_control_ref_delete(r->ctl, &r->actor, "bot", "x y", on_answer, &a));
	ASSERT_STATUS(&a, 422);
	rig_restart(r);
	assert_int_equal(kt_control_target_host(r->ctl, "bot-feature-x", &t, NULL), KT_ENOTFOUND);
	answer_clear(&a);
}

static void test_urls(void **state)
{
	static const struct {
		const char *base, *want;
	} cases[] = {
		{ "http://localhost:8000", "http://bot.localhost:8000" },
		{ "http://127.0.0.1:8000", "http://bot.localhost:8000" },
		{ "http://[::1]:8000/", "http://bot.localhost:8000" },
		{ "https://karta.example", "https://bot.karta.example" },
		{ "https://karta.example:444/base/", "https://bot.karta.example:444/base" },
		{ "http://192.0.2.7:8000/base", "http://192.0.2.7:8000/base/v1/projects/bot" },
	};
	struct rig *r = *state;

	free(r->ctl->public_url);
	r->ctl->public_url = NULL;
	make_project(r, &r->actor, "bot");
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		struct answer a = { 0 };

		r->actor.base_url = cases[i].base;
		RUN(r, &a, kt_control_project(r->ctl, &r->actor, "bot", on_answer, &a));
		assert_string_equal(text_of(&a, "url"), cases[i].want);
		answer_clear(&a);
	}
}

/* Closing answers what waits; each once. */
static void test_close_with_requests_on_their_way(void **state)
{
	struct rig *r = *state;
	struct answer a[20] = { 0 };
	char slug[20];

	for (int i = 0; i < 20; i++) {
		struct kt_project_new p = { .slug = slug };

		(void)snprintf(slug, sizeof(slug), "bot-%d", i);
		kt_control_project_create(r->ctl, &r->actor, &p, NULL, on_answer, &a[i]);
	}
	rig_restart(r);
	for (int i = 0; i < 20; i++) {
		(void)snprintf(slug, sizeof(slug), "bot-%d", i);
		assert_int_equal(a[i].n, 1);
		assert_int_equal(a[i].status == 201, project_mem(r, slug) != NULL);
		answer_clear(&a[i]);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_create_and_show),
		T(test_names),
		T(test_labels),
		T(test_label_of_a_preview_is_taken),
		T(test_first_publish_race),
		T(test_idempotent_create),
		T(test_folder_project),
		T(test_rename),
		T(test_bind),
		T(test_delete),
		T(test_strangers),
		T(test_refs),
		T(test_urls),
		T(test_close_with_requests_on_their_way),
	};

	return cmocka_run_group_tests_name("control/projects", tests, NULL, NULL);
}
