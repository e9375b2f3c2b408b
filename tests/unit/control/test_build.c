/* SPDX-License-Identifier: MIT */
/*
 * Builds: what becomes live, what fails and how it says so, the order of a project's builds, layout,
 * and taking up what a crash interrupted.
 */
#include "work.h"

static const struct file plain[] = { CLAUDE_MD, { "notes/a.txt", "a\n", 0 },
	{ "bin/run", "#!/bin/sh\n", KT_MODE_EXEC }, { "link", "notes/a.txt", KT_MODE_LINK } };

static void test_first_release(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct stat st;

	deploy(r, &a, "beans", plain, 4,
		"\"commit_sha\":\"" SHA_A "\",\"ref\":\"main\",\"message\":\"first\"");
	ASSERT_STATUS(&a, 201);
	assert_text(&a, "version", "v1");
	assert_text(&a, "state", "active");
	assert_text(&a, "kind", "file_copy");
	assert_text(&a, "harness", "claude-code");
	assert_text(&a, "ref", "refs/heads/main");
	assert_text(&a, "message", "first");
	assert_true(kt_json_bool(a.doc, "activated", false));
	assert_true(kt_json_bool(a.doc, "active", false));
	KT_AUTOFREE char *digest = kt_strdup(text_of(&a, "digest"));
	KT_AUTOFREE char *dir = kt_layout_path(r->ctl, r->admin.org_id, digest);
	KT_AUTOFREE char *run = kt_path_join(dir, "bin/run");
	KT_AUTOFREE char *link = kt_path_join(dir, "link");
	char target[32] = "";

	assert_int_equal(stat(run, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0555);
	assert_int_equal(readlink(link, target, sizeof(target) - 1), 11);
	assert_string_equal(target, "notes/a.txt");
	assert_true(kt_layout_ready(r->ctl, r->admin.org_id, digest));
	KT_AUTOFREE char *log = log_text(r, "beans", "v1");
	assert_non_null(strstr(log, "-----> Unpacked 4 files (0 new)\n-----> Checking"));
	assert_non_null(strstr(log, "-----> Activated v1\n"));
	assert_true(kt_str_ends(log, "RELEASE activated\n"));
	/* The index follows. */
	struct kt_target t;
	assert_int_equal(kt_control_target(r->ctl, r->admin.org_id, "beans", &t, NULL), KT_OK);
	assert_int_equal(t.version, 1);
	RUN(r, &a, kt_control_refs(r->ctl, &r->actor, "beans", on_answer, &a));
	ASSERT_STATUS(&a, 200);
	assert_string_equal(kt_json_str(kt_json_get(a.doc, "refs"), "refs/heads/main"), SHA_A);
	answer_clear(&a);
}

static void test_second_supersedes(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };

	deploy_text(r, &a, "beans", "one", "");
	deploy_text(r, &a, "beans", "two", "");
	ASSERT_STATUS(&a, 201);
	assert_text(&a, "version", "v2");
	show(r, &a, "beans", "v1");
	assert_text(&a, "state", "superseded");
	assert_false(kt_json_bool(a.doc, "active", true));
	show(r, &a, "beans", "current");
	assert_text(&a, "version", "v2");
	show(r, &a, "beans", "v3");
	ASSERT_STATUS(&a, 404);
	assert_string_equal(a.code, "release_not_found");
	RUN(r, &a, kt_control_releases(r->ctl, &r->actor, "beans", 0, 1, on_answer, &a));
	assert_int_equal(cJSON_GetArraySize(kt_json_arr(a.doc, "data")), 1);
	assert_true(kt_json_bool(a.doc, "has_more", false));
	/* Another organization sees none of it. */
	RUN(r, &a, kt_control_release(
			   r->ctl, &r->stranger, "beans", "v1", false, on_answer, &a));
	ASSERT_STATUS(&a, 404);
	assert_string_equal(a.code, "project_not_found");
	answer_clear(&a);
}

static void test_failed_build_changes_nothing(void **state)
{
	struct rig *r = *state;
	const struct file broken[] = { CLAUDE_MD, { "karta.toml", "name = \n", 0 } };
	const char *push = "\"commit_sha\":\"" SHA_B "\",\"ref\":\"refs/heads/main\","
			   "\"expected_commit\":\"" SHA_A "\"";
	struct answer a = { 0 };

	deploy_text(r, &a, "beans", "one",
		"\"commit_sha\":\"" SHA_A "\",\"ref\":\"main\",\"expected_commit\":\"\"");
	ASSERT_STATUS(&a, 201);
	deploy(r, &a, "beans", broken, 2, push);
	ASSERT_STATUS(&a, 422);
	assert_string_equal(a.code, "build_failed");
	assert_non_null(strstr(a.message, "karta.toml:1"));
	assert_non_null(strstr(a.extra, "\"invalid_application\""));
	show(r, &a, "beans", "current");
	assert_text(&a, "version", "v1");
	show(r, &a, "beans", "v2");
	assert_text(&a, "state", "failed");
	assert_text(&a, "error.code", "invalid_application");
	/* Asked for again, when the build is long over. */
	RUN(r, &a, kt_control_release_wait(r->ctl, &r->actor, "beans", "v2", on_answer, &a));
	ASSERT_STATUS(&a, 422);
	/* The ref did not move, so the same commit can be pushed again. */
	deploy_text(r, &a, "beans", "two", push);
	ASSERT_STATUS(&a, 201);
	assert_text(&a, "version", "v3");
	KT_AUTOFREE char *log = log_text(r, "beans", "v2");
	assert_non_null(strstr(log, " !     karta.toml:1"));
	assert_true(kt_str_ends(log, "RELEASE not activated\n"));
	answer_clear(&a);
}

/* A fault in one agent is in the log and stops nothing; one that stops OpenCode stops the build. */
static void test_faults_of_agents(void **state)
{
	struct rig *r = *state;
	const struct file left_out[] = { CLAUDE_MD,
		{ ".claude/agents/README.md", "# Agents\n", 0 },
		{ ".claude/agents/good.md", "---\nname: good\ndescription: Use it: now\n---\nx\n", 0 },
		{ ".claude/agents/mute.md", "---\nname: mute\n---\nx\n", 0 } };
	const struct file stopped[] = { { "AGENTS.md", "x", 0 },
		{ ".opencode/agent/a.md", "---\ntools: Read, Grep\n---\nx\n", 0 } };
	struct answer a = { 0 };

	deploy(r, &a, "beans", left_out, 4, "");
	ASSERT_STATUS(&a, 201);
	{
		KT_AUTOFREE char *log = log_text(r, "beans", "v1");

		assert_non_null(strstr(log, ".claude/agents/mute.md: warning: no agent for Claude "
					    "Code: 'mute' has no 'description'"));
		assert_non_null(strstr(log, "fix: say in it when the agent is of use"));
		assert_null(strstr(log, "README"));
	}
	deploy(r, &a, "tea", stopped, 2, "");
	ASSERT_STATUS(&a, 422);
	assert_string_equal(a.code, "build_failed");
	assert_non_null(strstr(a.message, ".opencode/agent/a.md:1:1: error: OpenCode does not start "
					  "with this: 'tools' must be"));
	answer_clear(&a);
}

static void test_ref_moved(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };

	deploy_text(r, &a, "beans", "one", "\"commit_sha\":\"" SHA_A "\",\"ref\":\"main\"");
	publish(r, &a, "beans", (const struct file[]){ { "CLAUDE.md", "two", 0 } }, 1,
		"\"commit_sha\":\"" SHA_B "\",\"ref\":\"main\",\"expected_commit\":\"\"");
	ASSERT_STATUS(&a, 409);
	assert_string_equal(a.code, "ref_moved");
	assert_string_equal(a.extra, "{\"commit_sha\":\"" SHA_A "\"}");
	/* Forced. */
	deploy_text(r, &a, "beans", "two",
		"\"commit_sha\":\"" SHA_B "\",\"ref\":\"main\",\"expected_commit\":\"\","
		"\"force\":true");
	ASSERT_STATUS(&a, 201);
	answer_clear(&a);
}

/* Two pushes on the same old commit: the second is told when its turn comes. */
static void test_two_pushes(void **state)
{
	struct rig *r = *state;
	const struct file one[] = { { "CLAUDE.md", "one", 0 } };
	const struct file two[] = { { "CLAUDE.md", "two", 0 } };
	KT_AUTOFREE char *d1 = doc_of(one, 1,
		"\"commit_sha\":\"" SHA_A "\",\"ref\":\"main\",\"expected_commit\":\"\"");
	KT_AUTOFREE char *d2 = doc_of(two, 1,
		"\"commit_sha\":\"" SHA_B "\",\"ref\":\"main\",\"expected_commit\":\"\"");
	struct answer a = { 0 }, b = { 0 };

	put_blobs(r, one, 1);
	put_blobs(r, two, 1);
	make_project(r, &r->actor, "beans");
	kt_control_publish(
		r->ctl, &r->actor, "beans", d1, strlen(d1), NULL, NULL, on_answer, &a);
	kt_control_publish(
		r->ctl, &r->actor, "beans", d2, strlen(d2), NULL, NULL, on_answer, &b);
	rig_wait(r, &a, 1);
	rig_wait(r, &b, 1);
	struct answer *both[] = { &a, &b };
	int won = 0;

	/* Which one comes first is open: they are read side by side. */
	for (int i = 0; i < 2; i++) {
		if (both[i]->status == 202) {
			KT_AUTOFREE char *id = kt_strdup(text_of(both[i], "id"));

			RUN(r, both[i], kt_control_release_wait(
						r->ctl, &r->actor, "beans", id, on_answer, both[i]));
		}
		won += both[i]->status == 201;
		assert_true(both[i]->status == 201 || !strcmp(both[i]->code, "ref_moved") ||
			strstr(both[i]->extra, "\"ref_moved\""));
	}
	assert_int_equal(won, 1);
	answer_clear(&a);
	answer_clear(&b);
}

static void test_serialized(void **state)
{
	struct rig *r = *state;
	struct answer a[6] = { 0 }, last = { 0 };
	char text[32];

	make_project(r, &r->actor, "beans");
	for (int i = 0; i < 6; i++) {
		(void)snprintf(text, sizeof(text), "text %d", i);
		const struct file f[] = { { "CLAUDE.md", text, 0 } };
		KT_AUTOFREE char *doc = doc_of(f, 1, "");

		put_blobs(r, f, 1);
		kt_control_publish(r->ctl, &r->actor, "beans", doc, strlen(doc), NULL, NULL,
			on_answer, &a[i]);
	}
	for (int i = 0; i < 6; i++) {
		rig_wait(r, &a[i], 1);
		ASSERT_STATUS(&a[i], 202);
		answer_clear(&a[i]);
	}
	RUN(r, &last, kt_control_release_wait(r->ctl, &r->actor, "beans", "v6", on_answer, &last));
	ASSERT_STATUS(&last, 201);
	show(r, &last, "beans", "current");
	assert_text(&last, "version", "v6");
	for (int v = 1; v < 6; v++) {
		(void)snprintf(text, sizeof(text), "v%d", v);
		show(r, &last, "beans", text);
		assert_text(&last, "state", "superseded");
	}
	answer_clear(&last);
}

static void test_harness_is_fixed(void **state)
{
	struct rig *r = *state;
	const struct file other[] = { { "AGENTS.md", "x", 0 },
		{ "karta.toml", "[harness]\ntype = \"opencode\"\n", 0 } };
	struct answer a = { 0 };

	deploy_text(r, &a, "beans", "one", "");
	deploy(r, &a, "beans", other, 2, "");
	ASSERT_STATUS(&a, 422);
	assert_non_null(strstr(a.extra, "\"harness_fixed\""));
	answer_clear(&a);
}

static void test_kinds(void **state)
{
	struct rig *r = *state;
	const struct file docker[] = { CLAUDE_MD, { "Dockerfile", "FROM scratch\n", 0 } };
	const struct file pack[] = { CLAUDE_MD,
		{ "karta.toml", "buildpack = \"python\"\nentry_point = \"a:b\"\n", 0 } };
	struct answer a = { 0 };
	char want[128];

	deploy(r, &a, "beans", docker, 2, "");
	ASSERT_STATUS(&a, 201);
	assert_text(&a, "kind", "dockerfile");
	(void)snprintf(
		want, sizeof(want), "karta/default/beans:%.12s", text_of(&a, "digest"));
	assert_text(&a, "image_ref", want);
	KT_AUTOFREE char *log = log_text(r, "beans", "v1");
	assert_non_null(strstr(log, "images are not built yet"));
	deploy(r, &a, "beans", pack, 2, "");
	assert_text(&a, "kind", "buildpack");
	answer_clear(&a);
}

static void test_unbound(void **state)
{
	struct rig *r = *state;
	const struct file f[] = { CLAUDE_MD,
		{ "karta.toml", "[env.STRIPE_KEY]\nrequired = true\n[env.OTHER]\n", 0 } };
	const char *set = "{\"set\":{\"STRIPE_KEY\":\"sk-secret-value\"}}";
	struct answer a = { 0 };

	deploy(r, &a, "beans", f, 2, "");
	ASSERT_STATUS(&a, 422);
	assert_non_null(strstr(a.extra, "\"config_unbound\""));
	assert_non_null(strstr(a.message, "karta config set STRIPE_KEY="));
	assert_null(strstr(a.message, "OTHER"));
	/* A fork gets no secrets, but its preview comes up. */
	deploy(r, &a, "beans", f, 2, "\"pr\":4,\"fork\":true");
	ASSERT_STATUS(&a, 201);
	/* With the release. */
	deploy(r, &a, "beans", f, 2, "\"env\":{\"STRIPE_KEY\":\"sk-in-release\"}");
	ASSERT_STATUS(&a, 201);
	assert_false(on_disk(r, "sk-in-release"));
	/* By the project. */
	RUN(r, &a, kt_control_config_change(
			   r->ctl, &r->actor, "beans", set, strlen(set), NULL, on_answer, &a));
	ASSERT_STATUS(&a, 200);
	deploy(r, &a, "beans", f, 2, "");
	ASSERT_STATUS(&a, 201);
	answer_clear(&a);
}

/* Newer code that goes live before a configuration's release must not be lost by it. */
static void test_config_follows_live(void **state)
{
	struct rig *r = *state;
	const struct file two[] = { { "CLAUDE.md", "two", 0 } };
	KT_AUTOFREE char *doc = doc_of(two, 1, "");
	const char *set = "{\"set\":{\"NAME\":\"some value\"}}";
	struct answer a = { 0 }, b = { 0 };
	char digest[KT_DIGEST_MAX];

	deploy_text(r, &a, "beans", "one", "");
	put_blobs(r, two, 1);
	answer_clear(&a);
	kt_control_publish(
		r->ctl, &r->actor, "beans", doc, strlen(doc), NULL, NULL, on_answer, &a);
	rig_wait(r, &a, 1);
	(void)kt_str_copy(digest, sizeof(digest), text_of(&a, "digest"));
	kt_control_config_change(
		r->ctl, &r->actor, "beans", set, strlen(set), NULL, on_answer, &b);
	rig_wait(r, &b, 1);
	ASSERT_STATUS(&b, 200);
	KT_AUTOFREE char *id = kt_strdup(text_of(&b, "release.id"));
	RUN(r, &a, kt_control_release_wait(r->ctl, &r->actor, "beans", id, on_answer, &a));
	ASSERT_STATUS(&a, 201);
	/* When the code comes after the configuration's release, a release of both follows it. */
	for (int i = 0; i < 500; i++) {
		show(r, &a, "beans", "current");
		if (kt_json_int(a.doc, "config_version", 0) == 1 &&
			kt_str_eq(text_of(&a, "digest"), digest))
			break;
		(void)usleep(10000);
	}
	assert_text(&a, "digest", digest);
	assert_int_equal(kt_json_int(a.doc, "config_version", 0), 1);
	answer_clear(&a);
	answer_clear(&b);
}

struct left {
	struct rig *r;
	enum kt_release_state state;
	const char *project, *id, *digest, *source;
	int64_t config_version;
	struct kt_release_row row; /* out */
	enum kt_release_aim aim;
	const char *expected, *ref;
};

static enum kt_code add_left(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct left *l = arg;
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct kt_project_row p;
	struct kt_release_row row = {
		.id = l->id,
		.org_id = l->r->admin.org_id,
		.state = l->state,
		.digest = l->digest,
		.kind = "file_copy",
		.source = l->source ? l->source : "cli",
		.config_version = l->config_version,
		.created_by = "admin",
		.created_us = 7,
		.aim = l->aim,
		.expected_commit = l->expected,
		.ref = l->ref,
		.commit_sha = l->ref ? "2222222222222222222222222222222222222222" : NULL,
	};
	enum kt_code rc = kt_tx_project(tx, arena, l->r->admin.org_id, l->project, &p, err);

	if (rc != KT_OK)
		return rc;
	row.project_id = p.id;
	row.version = p.next_version++;
	rc = kt_tx_project_put(tx, &p, err);
	if (rc == KT_OK)
		rc = kt_tx_release_add(tx, &row, err);
	l->row = row;
	l->row.project_id = NULL;
	return rc;
}

/* The same, when newer code is live by the time that the configuration's release is built. */
static void test_config_comes_late(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	char one[KT_DIGEST_MAX], two[KT_DIGEST_MAX];
	struct kt_project_mem *p;

	deploy_text(r, &a, "beans", "one", "");
	(void)kt_str_copy(one, sizeof(one), text_of(&a, "digest"));
	deploy_text(r, &a, "beans", "two", "");
	(void)kt_str_copy(two, sizeof(two), text_of(&a, "digest"));
	struct left l = { .r = r, .project = "beans", .id = "rel_late", .digest = one,
		.source = "config", .config_version = 1 };
	assert_int_equal(kt_store_do(r->ctl->store, true, add_left, &l, NULL), KT_OK);
	p = project_mem(r, "beans");
	l.row.project_id = p->id;
	kt_build_begin(r->ctl, p, &l.row, NULL, -1);
	/* Who waits gets what took its place. */
	RUN(r, &a, kt_control_release_wait(r->ctl, &r->actor, "beans", "v3", on_answer, &a));
	ASSERT_STATUS(&a, 201);
	assert_text(&a, "version", "v4");
	assert_text(&a, "digest", two);
	assert_true(kt_json_bool(a.doc, "active", false));
	show(r, &a, "beans", "v3");
	assert_text(&a, "state", "ready");
	KT_AUTOFREE char *log = log_text(r, "beans", "v3");
	assert_non_null(strstr(log, "v4 takes its place"));
	answer_clear(&a);
}

static void test_recovery(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	char digest[KT_DIGEST_MAX];
	KT_AUTOFREE char *half = NULL;

	deploy_text(r, &a, "beans", "one", "");
	(void)kt_str_copy(digest, sizeof(digest), text_of(&a, "digest"));
	struct left l[] = {
		{ .r = r, .state = KT_REL_BUILDING, .project = "beans", .id = "rel_building",
			.digest = digest },
		{ .r = r, .project = "beans", .id = "rel_queued", .digest = digest,
			.aim = KT_AIM_READY } };
	assert_int_equal(kt_store_do(r->ctl->store, true, add_left, &l[0], NULL), KT_OK);
	assert_int_equal(kt_store_do(r->ctl->store, true, add_left, &l[1], NULL), KT_OK);
	half = kt_asprintf("%s/releases/%s/.tmp-x", r->dir, r->admin.org_id);
	assert_int_equal(kt_fs_mkdirs(half, 0700, NULL), KT_OK);
	rig_restart(r);
	assert_false(kt_fs_is_dir(half));
	RUN(r, &a, kt_control_release_wait(r->ctl, &r->actor, "beans", "v3", on_answer, &a));
	ASSERT_STATUS(&a, 201);
	assert_text(&a, "state", "ready");
	show(r, &a, "beans", "v2");
	assert_text(&a, "state", "active");
	answer_clear(&a);
}

static struct kt_project_mem *pin_beans(struct rig *r, struct answer *a)
{
	RUN(r, a, kt_control_pin(r->ctl, &r->actor, "beans", "why", on_answer, a));
	ASSERT_STATUS(a, 200);
	return project_mem(r, "beans");
}

/* What an interrupted build is to come to is in its row: it ends a pin, and its ref has to be there. */
static void test_recovery_keeps_the_aim(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	char digest[KT_DIGEST_MAX];

	deploy_text(r, &a, "beans", "one", "");
	(void)kt_str_copy(digest, sizeof(digest), text_of(&a, "digest"));
	(void)pin_beans(r, &a);
	struct left l[] = {
		{ .r = r, .project = "beans", .id = "rel_held", .digest = digest },
		{ .r = r, .project = "beans", .id = "rel_unpin", .digest = digest, .aim = KT_AIM_UNPIN },
		{ .r = r, .project = "beans", .id = "rel_ready", .digest = digest, .aim = KT_AIM_READY },
		{ .r = r, .project = "beans", .id = "rel_moved", .digest = digest,
			.ref = "refs/heads/main", .expected = "1111111111111111111111111111111111111111" },
		{ .r = r, .project = "beans", .id = "rel_first", .digest = digest,
			.ref = "refs/heads/main", .expected = "" } };
	for (size_t i = 0; i < KT_ARRAY_LEN(l); i++)
		assert_int_equal(kt_store_do(r->ctl->store, true, add_left, &l[i], NULL), KT_OK);
	rig_restart(r);
	RUN(r, &a, kt_control_release_wait(r->ctl, &r->actor, "beans", "v6", on_answer, &a));
	static const char *const states[] = { "ready", "superseded", "ready", "failed", "active" };
	for (size_t i = 0; i < KT_ARRAY_LEN(l); i++) {
		show(r, &a, "beans", l[i].id);
		assert_text(&a, "state", states[i]);
	}
	assert_null(project_mem(r, "beans")->pin_reason);
	answer_clear(&a);
}

struct noted {
	struct rig *r;
	const char *id;
	struct kt_release_row row;
	struct kt_arena *arena;
};

static enum kt_code find_noted(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	struct noted *n = arg;

	return kt_tx_release(tx, n->arena, n->r->admin.org_id, n->id, &n->row, err);
}

static void write_note(struct rig *r, const char *name, const char *text)
{
	KT_AUTOFREE char *path = kt_asprintf("%s/builds/%s", r->dir, name);

	assert_int_equal(kt_fs_write_new(path, text, strlen(text), 0600, NULL), KT_OK);
}

/* An older version was killed while it built: it kept in files what has columns now. */
static void test_notes_of_an_older_version(void **state)
{
	static const char *const names[] = { "rel_noted_ready.json", "rel_noted_unpin.json",
		"rel_noted_moved.json", "rel_noted_torn.json", "rel_noted_never.json",
		".karta-tmp-x" };
	static const struct {
		const char *id, *note, *state;
		enum kt_release_aim aim;
		const char *expected;
	} want[] = {
		{ "rel_noted_ready", "{\"activate\":false,\"unpin\":true}", "ready", KT_AIM_READY, NULL },
		{ "rel_noted_unpin", "{\"activate\":true,\"unpin\":true,\"expected\":\"\"}",
			"superseded", KT_AIM_UNPIN, "" },
		{ "rel_noted_moved", "{\"activate\":true,\"unpin\":false,\"expected\":\"abc\"}",
			"failed", KT_AIM_LIVE, "abc" },
		{ "rel_noted_torn", "{\"activ", "active", KT_AIM_LIVE, NULL },
		{ "rel_noted_none", NULL, "active", KT_AIM_LIVE, NULL },
	};
	struct rig *r = *state;
	struct answer a = { 0 };
	char digest[KT_DIGEST_MAX];
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();

	deploy_text(r, &a, "beans", "one", "");
	(void)kt_str_copy(digest, sizeof(digest), text_of(&a, "digest"));
	deploy_text(r, &a, "rice", "one", "");
	(void)pin_beans(r, &a);
	for (size_t i = 0; i < KT_ARRAY_LEN(want); i++) {
		struct left l = { .r = r, .project = want[i].note ? "beans" : "rice", .id = want[i].id,
			.digest = digest, .ref = want[i].expected ? "refs/heads/main" : NULL };

		assert_int_equal(kt_store_do(r->ctl->store, true, add_left, &l, NULL), KT_OK);
		if (want[i].note)
			write_note(r, names[i], want[i].note);
	}
	write_note(r, names[4], "{\"activate\":false}");
	write_note(r, names[5], "{\"activ");
	rig_restart(r);
	for (size_t i = 0; i < KT_ARRAY_LEN(names); i++) {
		KT_AUTOFREE char *path = kt_asprintf("%s/builds/%s", r->dir, names[i]);

		assert_false(kt_fs_is_file(path));
	}
	RUN(r, &a, kt_control_release_wait(r->ctl, &r->actor, "rice", "v2", on_answer, &a));
	RUN(r, &a, kt_control_release_wait(r->ctl, &r->actor, "beans", "v5", on_answer, &a));
	for (size_t i = 0; i < KT_ARRAY_LEN(want); i++) {
		struct noted n = { r, want[i].id, { 0 }, arena };

		assert_int_equal(kt_store_do(r->ctl->store, false, find_noted, &n, NULL), KT_OK);
		assert_string_equal(kt_release_state_name(n.row.state), want[i].state);
		assert_int_equal(n.row.aim, want[i].aim);
		assert_true(kt_str_eq(n.row.expected_commit, want[i].expected));
	}
	answer_clear(&a);
}

/* The server ends at any point of builds; what was accepted is finished by the next one. */
static void test_end_in_the_middle(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 }, w = { 0 };
	char text[32];

	for (int round = 0; round < 8; round++) {
		(void)snprintf(text, sizeof(text), "text %d", round);
		publish(r, &a, "beans", (const struct file[]){ { "CLAUDE.md", text, 0 } }, 1, "");
		ASSERT_STATUS(&a, 202);
		KT_AUTOFREE char *id = kt_strdup(text_of(&a, "id"));
		kt_control_release_wait(r->ctl, &r->actor, "beans", id, on_answer, &w);
		if (round & 1)
			rig_turn(r, round);
		rig_restart(r);
		assert_int_equal(w.n, 1);
		assert_true(w.status == 201 || w.status == 503);
		answer_clear(&w);
		RUN(r, &a, kt_control_release_wait(r->ctl, &r->actor, "beans", id, on_answer, &a));
		ASSERT_STATUS(&a, 201);
		assert_text(&a, "state", "active");
	}
	answer_clear(&a);
}

static void test_stale_tree_is_replaced(void **state)
{
	struct rig *r = *state;
	const struct file f[] = { CLAUDE_MD };
	struct kt_manifest *m = manifest_of(f, 1);
	KT_AUTOFREE char *dir = kt_layout_path(r->ctl, r->admin.org_id, m->digest);
	KT_AUTOFREE char *wrong = kt_path_join(dir, "wrong");
	struct answer a = { 0 };

	assert_int_equal(kt_fs_mkdirs(wrong, 0755, NULL), KT_OK);
	deploy(r, &a, "beans", f, 1, "");
	ASSERT_STATUS(&a, 201);
	assert_string_equal(text_of(&a, "digest"), m->digest);
	assert_false(kt_fs_is_dir(wrong));
	kt_manifest_free(m);
	answer_clear(&a);
}

static void test_project_deleted_meanwhile(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 }, w = { 0 };

	for (int round = 0; round < 6; round++) {
		publish(r, &a, "beans", (const struct file[]){ { "CLAUDE.md", "x", 0 } }, 1, "");
		ASSERT_STATUS(&a, 202);
		KT_AUTOFREE char *id = kt_strdup(text_of(&a, "id"));
		kt_control_release_wait(r->ctl, &r->actor, "beans", id, on_answer, &w);
		if (round & 1)
			rig_turn(r, round);
		RUN(r, &a, kt_control_project_delete(r->ctl, &r->actor, "beans", on_answer, &a));
		ASSERT_STATUS(&a, 204);
		rig_wait(r, &w, 1);
		assert_true(w.status == 201 || w.status == 404);
		answer_clear(&w);
	}
	answer_clear(&a);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(test_first_release),
		T(test_second_supersedes),
		T(test_failed_build_changes_nothing),
		T(test_faults_of_agents),
		T(test_ref_moved),
		T(test_two_pushes),
		T(test_serialized),
		T(test_harness_is_fixed),
		T(test_kinds),
		T(test_unbound),
		T(test_config_follows_live),
		T(test_config_comes_late),
		T(test_recovery),
		T(test_recovery_keeps_the_aim),
		T(test_notes_of_an_older_version),
		T(test_end_in_the_middle),
		T(test_stale_tree_is_replaced),
		T(test_project_deleted_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
