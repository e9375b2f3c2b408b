/* SPDX-License-Identifier: MIT */
/* Which harness a folder is for, and where its program is. */
#include "app_test.h"

#include "base/str.h"

#include <unistd.h>

struct put {
	const char *file, *text;
};

static const struct {
	const char *name;
	struct put files[4];
	const char *override;
	enum kt_harness_type want;
	bool declared;
	const char *instructions;
	const char *want_findings;
} cases[] = {
	{ "CLAUDE.md", { { "CLAUDE.md", "hi" } }, NULL, KT_HARNESS_CLAUDE, false, "CLAUDE.md", "" },
	{ ".claude", { { ".claude/", NULL } }, NULL, KT_HARNESS_CLAUDE, false, NULL,
		"warning: no CLAUDE.md: the agent has no instructions\n" },
	{ ".claude/CLAUDE.md", { { ".claude/CLAUDE.md", "hi" } }, NULL, KT_HARNESS_CLAUDE, false,
		".claude/CLAUDE.md", "" },
	{ "AGENTS.md", { { "AGENTS.md", "hi" } }, NULL, KT_HARNESS_OPENCODE, false, "AGENTS.md",
		"" },
	{ ".opencode", { { ".opencode/", NULL }, { "AGENTS.md", "x" } }, NULL, KT_HARNESS_OPENCODE,
		false, "AGENTS.md", "" },
	{ "both", { { "CLAUDE.md", "x" }, { "AGENTS.md", "x" } }, NULL, KT_HARNESS_CLAUDE, false,
		"CLAUDE.md", "" },
	{ "declared wins", { { "CLAUDE.md", "x" }, { "karta.toml", "[harness]\ntype='opencode'" } },
		NULL, KT_HARNESS_OPENCODE, true, "CLAUDE.md", "" },
	{ "command", { { "AGENTS.md", "x" }, { "karta.toml", "[harness]\ncommand=['a','b']" } },
		NULL, KT_HARNESS_ACP, false, "AGENTS.md", "" },
	{ "acp without command",
		{ { "AGENTS.md", "x" }, { "karta.toml", "[harness]\ntype='acp'" } }, NULL,
		KT_HARNESS_ACP, true, "AGENTS.md",
		"karta.toml:2:1: error: the harness 'acp' needs [harness] command\n" },
	{ "goose without command",
		{ { "AGENTS.md", "x" }, { "karta.toml", "[harness]\ntype = 'goose'" } }, NULL,
		KT_HARNESS_ACP, true, "AGENTS.md", "" },
	{ "goose with command",
		{ { "AGENTS.md", "x" },
			{ "karta.toml", "[harness]\ntype = 'goose'\ncommand = 'goose acp'" } },
		NULL, KT_HARNESS_ACP, true, "AGENTS.md", "" },
	{ "command not used",
		{ { "CLAUDE.md", "x" },
			{ "karta.toml", "[harness]\ntype='claude-code'\ncommand='x'" } },
		NULL, KT_HARNESS_CLAUDE, true, "CLAUDE.md",
		"karta.toml:2:1: warning: [harness] command is not used by 'claude-code'\n" },
	{ "wrong type", { { "CLAUDE.md", "x" }, { "karta.toml", "[harness]\ntype='claude-coed'" } },
		NULL, KT_HARNESS_CLAUDE, false, "CLAUDE.md",
		"karta.toml:2:1: error: 'harness.type' cannot be 'claude-coed' "
		"(did you mean 'claude-code'?)\n" },
	{ "override", { { "CLAUDE.md", "x" } }, "opencode", KT_HARNESS_OPENCODE, false, "CLAUDE.md",
		"" },
	{ "override with a known one",
		{ { "AGENTS.md", "x" }, { "karta.toml", "[harness]\ncommand = 'x'" } }, "goose",
		KT_HARNESS_ACP, false, "AGENTS.md", "" },
	{ "rehearsal", { { "AGENTS.md", "x" } }, "rehearsal", KT_HARNESS_REHEARSAL, false,
		"AGENTS.md", "" },
	{ "rehearsal of nothing", { { "x", "x" } }, "rehearsal", KT_HARNESS_REHEARSAL, false, NULL,
		"" },
	{ "nothing", { { "README", "x" } }, NULL, KT_HARNESS_CLAUDE, false, NULL,
		"error: no harness application here\n" },
};

static void test_detect(void **state)
{
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		char *dir = make_dir();
		struct kt_app *app;

		for (size_t k = 0; k < KT_ARRAY_LEN(cases[i].files) && cases[i].files[k].file; k++)
			put_file(dir, cases[i].files[k].file, cases[i].files[k].text);
		app = load_dir(dir, cases[i].override);
		if (app->harness != cases[i].want || app->harness_declared != cases[i].declared ||
			!kt_str_eq(app->instructions, cases[i].instructions))
			fail_msg("%s: %s, declared %d, instructions %s", cases[i].name,
				kt_harness_name(app->harness), app->harness_declared,
				app->instructions ? app->instructions : "none");
		expect_findings(app, cases[i].want_findings);
		if (!cases[i].override) {
			KT_AUTOFREE char *name = kt_app_harness_of(dir);
			bool none = kt_str_eq(cases[i].name, "nothing");

			if (!kt_str_eq(name, none ? NULL : app->harness_name))
				fail_msg("%s: at a glance %s", cases[i].name, name ? name : "none");
		}
		kt_app_free(app);
		drop_dir(dir);
	}
}

static void test_fix(void **state)
{
	char *dir = make_dir();
	struct kt_app *app = load_dir(dir, NULL);

	assert_int_equal(app->n_errors, 1);
	assert_string_equal(app->findings->fix, "run 'karta init'");
	kt_app_free(app);
	drop_dir(dir);
}

static void test_refused(void **state)
{
	struct kt_app_options opts = { .harness = "emacs" };
	struct kt_err err = KT_ERR_INIT;
	struct kt_app *app = NULL;
	char *dir = make_dir();

	assert_int_equal(kt_app_load(dir, &opts, &app, &err), KT_EINVAL);
	assert_string_equal(err.msg, "no such harness: 'emacs'");
	opts = (struct kt_app_options){ .config = "/nonexistent/karta.jsonc" };
	assert_int_equal(kt_app_load(dir, &opts, &app, &err), KT_ENOTFOUND);
	assert_int_equal(kt_app_load("/nonexistent", NULL, &app, &err), KT_ENOTFOUND);
	assert_int_equal(kt_app_load("/dev/null", NULL, &app, &err), KT_ENOTFOUND);
	assert_null(app);
	drop_dir(dir);
}

static void test_names(void **state)
{
	enum kt_harness_type t;

	for (int i = KT_HARNESS_CLAUDE; i <= KT_HARNESS_REHEARSAL; i++) {
		assert_true(kt_harness_parse(kt_harness_name((enum kt_harness_type)i), &t));
		assert_int_equal(t, i);
	}
	assert_true(kt_harness_parse("claude", &t));
	assert_int_equal(t, KT_HARNESS_CLAUDE);
	assert_false(kt_harness_parse("", &t));
	assert_false(kt_harness_parse("goose", &t));
}

/* Types that a known program speaks for: its command, unless karta.toml has one. */
static void test_known(void **state)
{
	static const char *const types[] = { "codex-cli", "deepagents", "goose" };

	for (size_t i = 0; i < KT_ARRAY_LEN(types); i++) {
		const struct kt_known_harness *k = kt_known_harness_find(types[i]);

		assert_ptr_equal(kt_known_harness(i), k);
		assert_string_equal(k->type, types[i]);
		assert_non_null(k->command[0]);
		assert_non_null(k->install);
	}
	assert_null(kt_known_harness(KT_ARRAY_LEN(types)));
	assert_null(kt_known_harness_find("acp"));
	assert_string_equal(kt_known_harness_find("goose")->command[1], "acp");
}

static void make_program(const char *dir, const char *file)
{
	KT_AUTOFREE char *path = kt_path_join(dir, file);

	put_file(dir, file, "#!/bin/sh\n");
	assert_int_equal(kt_fs_write_atomic(path, "#!/bin/sh\n", 10, 0755, false, NULL), KT_OK);
}

static void expect_program(const char *dir, const char *want)
{
	struct kt_app *app = load_dir(dir, NULL);
	struct kt_program p = { 0 };
	struct kt_err err = KT_ERR_INIT;
	enum kt_code code = kt_app_program(app, &p, &err);

	if (want) {
		KT_AUTOFREE char *path = kt_path_join(dir, want);

		assert_int_equal(code, KT_OK);
		assert_string_equal(p.path, path);
		assert_string_equal(p.version, "");
	} else {
		assert_int_equal(code, KT_ENOTFOUND);
		assert_true(err.hint[0]);
	}
	kt_app_free(app);
}

static void test_program(void **state)
{
	char *dir = make_dir();
	KT_AUTOFREE char *bin = kt_path_join(dir, "bin");
	KT_AUTOFREE char *own = kt_path_join(dir, "own");

	assert_int_equal(setenv("PATH", bin, 1), 0);
	assert_int_equal(unsetenv("KARTA_CLAUDE"), 0);
	put_file(dir, "CLAUDE.md", "x");
	expect_program(dir, NULL);
	make_program(dir, "node_modules/.bin/claude");
	expect_program(dir, "node_modules/.bin/claude");
	make_program(dir, "bin/claude");
	expect_program(dir, "bin/claude");
	assert_int_equal(setenv("KARTA_CLAUDE", own, 1), 0);
	expect_program(dir, NULL);
	make_program(dir, "own");
	expect_program(dir, "own");
	put_file(dir, "karta.toml", "[harness]\ncommand = ['agent', '--acp']");
	expect_program(dir, NULL);
	make_program(dir, "bin/agent");
	expect_program(dir, "bin/agent");
	put_file(dir, "karta.toml", "[harness]\ncommand = 'tools/agent --acp'");
	make_program(dir, "tools/agent");
	expect_program(dir, "tools/agent");
	drop_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_detect),
		cmocka_unit_test(test_fix),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
