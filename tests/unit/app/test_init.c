/* SPDX-License-Identifier: MIT */
/* Making a folder ready: nothing is overwritten, the second run changes nothing. */
#include "app_test.h"

#include "base/str.h"

#include <sys/stat.h>
#include <unistd.h>

#define ASSET(p, s)                                                                                \
	{                                                                                          \
		p, NULL, (const unsigned char *)(s), sizeof(s) - 1                                 \
	}

static const struct kt_asset starter[] = {
	ASSET("CLAUDE.md", "You are Beans.\n"),
	ASSET("karta.toml",
		"# Beans\nname = \"support-bot\"\ndeploy = true\n\n[harness]\ntype = "
		"\"claude-code\"\n"
		"version = \"2\"\n\n[env]\nname = { required = false }\n"),
	ASSET(".claude/agents/billing.md",
		"---\nname: billing\ndescription: >\n  money\n  matters\ntools: Read, Grep\n"
		"model: haiku\n---\nYou bill.\n"),
	ASSET(".claude/skills/refund/SKILL.md", "---\nname: refund\ndescription: d\n---\n"),
	ASSET(".claude/settings.json", "{}\n"),
	ASSET("rehearsals/hello.jsonl", "{}\n"),
	{ NULL, NULL, NULL, 0 },
};

static size_t count(const char **list)
{
	size_t n = 0;

	while (list[n])
		n++;
	return n;
}

static bool has(const char **list, const char *file)
{
	for (; *list; list++) {
		if (!strcmp(*list, file))
			return true;
	}
	return false;
}

static void run(struct kt_arena *arena, const char *dir, const char *name, const char *harness,
	struct kt_init_result *res)
{
	struct kt_err err = KT_ERR_INIT;

	if (kt_app_init(arena, dir, name, harness, res, &err) != KT_OK)
		fail_msg("init: %s", err.msg);
}

static void expect_text(const char *dir, const char *file, const char *want)
{
	KT_AUTOFREE char *got = get_file(dir, file);

	assert_string_equal(got, want);
}

static void test_starter(void **state)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct kt_init_result res = { 0 };
	char *root = make_dir();
	KT_AUTOFREE char *dir = kt_path_join(root, "new/My Bot");
	struct kt_app *app;
	uint64_t print;

	kt_app_set_starter(starter);
	run(arena, dir, NULL, NULL, &res);
	assert_true(res.starter);
	assert_string_equal(res.name, "my-bot");
	assert_int_equal(count(res.written), 7);
	assert_int_equal(count(res.kept), 0);
	expect_text(dir, "karta.toml",
		"# Beans\nname = \"my-bot\"\ndeploy = true\n\n[harness]\ntype = \"claude-code\"\n"
		"version = \"2\"\n\n[env]\nname = { required = false }\n");
	expect_text(dir, ".gitignore", ".karta/\n.env\n.claude/settings.local.json\n");
	app = load_dir(dir, NULL);
	expect_findings(app, "");
	assert_string_equal(app->name, "my-bot");
	assert_int_equal(app->n_agents, 1);
	kt_app_free(app);

	print = kt_app_fingerprint(dir);
	run(arena, dir, "other", "opencode", &res);
	assert_false(res.starter);
	assert_string_equal(res.name, "my-bot");
	assert_int_equal(count(res.written), 0);
	assert_true(has(res.kept, "karta.toml"));
	assert_true(has(res.kept, ".gitignore"));
	assert_true(kt_app_fingerprint(dir) == print);
	drop_dir(root);
}

static void test_starter_opencode(void **state)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct kt_init_result res = { 0 };
	char *dir = make_dir();
	struct kt_app *app;

	kt_app_set_starter(starter);
	put_file(dir, "README.md", "mine");
	put_file(dir, ".gitignore", "/.karta\n*.o");
	run(arena, dir, "beans", "opencode", &res);
	assert_true(res.starter);
	expect_text(dir, ".gitignore", "/.karta\n*.o\n.env\n.claude/settings.local.json\n");
	expect_text(dir, "AGENTS.md", "You are Beans.\n");
	expect_text(dir, ".opencode/agents/billing.md",
		"---\nname: billing\ndescription: >\n  money\n  matters\nmode: subagent\n---\n"
		"You bill.\n");
	expect_text(dir, "README.md", "mine");
	app = load_dir(dir, NULL);
	expect_findings(app, "");
	assert_int_equal(app->harness, KT_HARNESS_OPENCODE);
	assert_true(app->harness_declared);
	assert_null(app->harness_version);
	assert_int_equal(app->n_agents, 1);
	assert_false(app->agents[0].primary);
	assert_int_equal(app->n_skills, 1);
	kt_app_free(app);
	drop_dir(dir);
}

static void test_existing(void **state)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct kt_init_result res = { 0 };
	char *dir = make_dir();
	struct kt_app *app;

	kt_app_set_starter(starter);
	put_file(dir, "AGENTS.md", "mine");
	put_file(dir, "main.py", "mine");
	run(arena, dir, "snake", NULL, &res);
	assert_false(res.starter);
	assert_int_equal(count(res.written), 2);
	expect_text(dir, "AGENTS.md", "mine");
	app = load_dir(dir, NULL);
	expect_findings(app, "");
	assert_string_equal(app->name, "snake");
	assert_int_equal(app->harness, KT_HARNESS_OPENCODE);
	assert_true(app->harness_declared);
	kt_app_free(app);
	drop_dir(dir);
}

/* Files of the user and no instructions: karta.toml only, and loading says what is missing. */
static void test_no_instructions(void **state)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct kt_init_result res = { 0 };
	char *dir = make_dir();
	struct kt_app *app;

	kt_app_set_starter(starter);
	put_file(dir, "main.py", "mine");
	run(arena, dir, NULL, NULL, &res);
	assert_false(res.starter);
	app = load_dir(dir, NULL);
	expect_findings(app, "error: no harness application here\n");
	kt_app_free(app);
	drop_dir(dir);
	dir = make_dir();
	put_file(dir, "main.py", "mine");
	run(arena, dir, NULL, "claude", &res);
	app = load_dir(dir, NULL);
	expect_findings(app, "warning: no CLAUDE.md: the agent has no instructions\n");
	kt_app_free(app);
	drop_dir(dir);
}

static void test_no_starter(void **state)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct kt_init_result res = { 0 };
	char *dir = make_dir();

	kt_app_set_starter(NULL);
	run(arena, dir, "x", NULL, &res);
	assert_false(res.starter);
	assert_int_equal(count(res.written), 2);
	drop_dir(dir);
}

static void test_refused(void **state)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct kt_init_result res = { 0 };
	struct kt_err err = KT_ERR_INIT;
	char *dir = make_dir();
	KT_AUTOFREE char *below = kt_path_join(dir, "file/x");
	char **names;
	size_t n;

	assert_int_equal(kt_app_init(arena, dir, "Not A Slug", NULL, &res, &err), KT_EINVAL);
	assert_true(err.hint[0]);
	assert_int_equal(kt_app_init(arena, dir, NULL, "emacs", &res, &err), KT_EINVAL);
	put_file(dir, "file", "x");
	assert_int_equal(kt_app_init(arena, below, NULL, NULL, &res, &err), KT_EIO);
	assert_null(res.name);
	assert_int_equal(kt_fs_list(dir, &names, &n, NULL), KT_OK);
	assert_int_equal(n, 1);
	kt_fs_names_free(names, n);
	drop_dir(dir);
}

/* A dangling link in the place of a file counts as a file of the user. */
static void test_link(void **state)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	struct kt_init_result res = { 0 };
	char *dir = make_dir();
	KT_AUTOFREE char *link = kt_path_join(dir, "karta.toml");
	KT_AUTOFREE char *target = kt_path_join(dir, "target");

	assert_int_equal(symlink("target", link), 0);
	run(arena, dir, "x", NULL, &res);
	assert_false(kt_fs_is_file(target));
	assert_true(has(res.kept, "karta.toml"));
	drop_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_starter),
		cmocka_unit_test(test_starter_opencode),
		cmocka_unit_test(test_existing),
		cmocka_unit_test(test_no_instructions),
		cmocka_unit_test(test_no_starter),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
