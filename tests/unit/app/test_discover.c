/* SPDX-License-Identifier: MIT */
/* Agents, skills, the default agent, the fingerprint. */
#include "app_test.h"

#include "base/str.h"
#include "tests/unit/patience.h"

#include <unistd.h>

static void test_claude(void **state)
{
	char *dir = make_dir();
	struct kt_app *app;

	put_file(dir, "CLAUDE.md", "x");
	put_file(dir, ".claude/agents/b.md",
		"---\nname: billing\ndescription: money\nmodel: haiku\ntools: Read, Grep\n---\nbody\n");
	put_file(dir, ".claude/agents/deep/a.md", "---\nname: deep\ntype: auxiliary\n---\n");
	put_file(dir, ".claude/agents/notes.txt", "no agent");
	put_file(dir, ".claude/agents/.hidden/c.md", "no agent");
	put_file(dir, ".claude/skills/refund/SKILL.md",
		"---\nname: refund-order\ndescription: how to refund\n---\n");
	app = load_dir(dir, NULL);
	expect_findings(app, "");
	assert_int_equal(app->n_agents, 2);
	assert_string_equal(app->agents[0].name, "billing");
	assert_string_equal(app->agents[0].description, "money");
	assert_string_equal(app->agents[0].model, "haiku");
	assert_string_equal(app->agents[0].file, ".claude/agents/b.md");
	assert_false(app->agents[0].primary);
	assert_string_equal(app->agents[1].file, ".claude/agents/deep/a.md");
	assert_string_equal(app->default_agent, "default");
	assert_int_equal(app->n_skills, 1);
	assert_string_equal(app->skills[0].name, "refund-order");
	assert_string_equal(app->skills[0].description, "how to refund");
	assert_ptr_equal(kt_app_agent(app, "deep"), &app->agents[1]);
	assert_null(kt_app_agent(app, "dee"));
	assert_null(kt_app_agent(app, NULL));
	kt_app_free(app);
	drop_dir(dir);
}

static void test_bad_files(void **state)
{
	char *dir = make_dir();
	struct kt_app *app;

	put_file(dir, "CLAUDE.md", "x");
	put_file(dir, ".claude/agents/a.md", "no front matter");
	put_file(dir, ".claude/agents/b.md", "---\nname: 12\n---\n");
	put_file(dir, ".claude/agents/c.md", "---\nname: x\n  y: [\n---\n");
	put_file(dir, ".claude/agents/d.md", "---\nname: one\n---\n");
	put_file(dir, ".claude/agents/e.md", "---\nname: one\n---\n");
	put_file(dir, ".claude/skills/s/SKILL.md", "text");
	put_file(dir, ".claude/skills/t/other.md", "text");
	app = load_dir(dir, NULL);
	assert_int_equal(app->n_agents, 1);
	assert_int_equal(app->n_skills, 1);
	assert_string_equal(app->skills[0].name, "s");
	assert_int_equal(app->n_errors, 3);
	{
		KT_AUTOFREE char *got = findings(app);

		assert_non_null(strstr(got,
			".claude/agents/a.md:1:1: error: the agent has no 'name' in its front matter\n"));
		assert_non_null(strstr(got,
			".claude/agents/b.md:1:1: error: 'name' in the front matter must be text\n"));
		assert_non_null(strstr(got, ".claude/agents/c.md:3:"));
		assert_non_null(strstr(got,
			".claude/agents/e.md:1:1: warning: the agent 'one' is in "
			".claude/agents/d.md already\n"));
		assert_non_null(strstr(got, ".claude/skills/s/SKILL.md:1:1: warning: "));
		assert_non_null(strstr(got, ".claude/skills/t: warning: the skill has no SKILL.md\n"));
	}
	kt_app_free(app);
	drop_dir(dir);
}

static void test_claude_primary(void **state)
{
	char *dir = make_dir();
	struct kt_app *app;

	put_file(dir, "CLAUDE.md", "x");
	put_file(dir, ".claude/agents/a.md", "---\nname: a\n---\n");
	put_file(dir, ".claude/agents/b.md", "---\nname: b\ntype: primary\n---\n");
	app = load_dir(dir, NULL);
	assert_string_equal(app->default_agent, "b");
	assert_true(kt_app_agent(app, "b")->is_default);
	assert_true(kt_app_agent(app, "b")->primary);
	assert_false(kt_app_agent(app, "a")->is_default);
	kt_app_free(app);
	put_file(dir, ".claude/agents/c.md", "---\nname: c\nmode: primary\n---\n");
	app = load_dir(dir, NULL);
	assert_string_equal(app->default_agent, "default");
	expect_findings(app,
		".claude/agents/c.md:1:1: error: several primary agents and no default: 'b' and 'c'\n");
	kt_app_free(app);
	drop_dir(dir);
}

static void test_opencode(void **state)
{
	char *dir = make_dir();
	struct kt_app *app;

	put_file(dir, "AGENTS.md", "x");
	put_file(dir, ".opencode/agents/support.md", "---\ndescription: helps\nmode: primary\n---\n");
	put_file(dir, ".opencode/agent/team/old.md", "---\nmode: subagent\n---\n");
	put_file(dir, ".opencode/agents/both.md", "no front matter");
	put_file(dir, ".opencode/skills/a/SKILL.md", "---\nname: a\ndescription: d\n---\n");
	put_file(dir, ".claude/skills/b/SKILL.md", "---\nname: b\ndescription: d\n---\n");
	put_file(dir, "karta.toml", "[harness]\ntype = \"opencode\"\n");
	app = load_dir(dir, NULL);
	expect_findings(app, "");
	assert_int_equal(app->n_agents, 3);
	assert_true(kt_app_agent(app, "support")->primary);
	assert_true(kt_app_agent(app, "both")->primary);
	assert_false(kt_app_agent(app, "team/old")->primary);
	assert_int_equal(app->n_skills, 2);
	assert_string_equal(app->default_agent, "default");
	kt_app_free(app);

	put_file(dir, ".opencode/opencode.jsonc",
		"{ // c\n \"default_agent\": \"support\", \"agent\": {\"cfg\": {\"description\": \"x\"},"
		"\"build\": {\"model\": \"m\"}, \"off\": {\"disable\": true, \"prompt\": \"x\"}}, }");
	app = load_dir(dir, NULL);
	expect_findings(app, "");
	assert_int_equal(app->n_agents, 4);
	assert_string_equal(kt_app_agent(app, "cfg")->file, ".opencode/opencode.jsonc");
	assert_string_equal(app->default_agent, "support");
	assert_true(kt_app_agent(app, "support")->is_default);
	kt_app_free(app);

	put_file(dir, ".opencode/opencode.jsonc", "{\"default_agent\": \"nobody\"}");
	app = load_dir(dir, NULL);
	expect_findings(app,
		".opencode/opencode.jsonc: warning: the default agent 'nobody' does not exist\n");
	assert_string_equal(app->default_agent, "default");
	kt_app_free(app);
	put_file(dir, ".opencode/opencode.jsonc", "{\"default_agent\": \"plan\"}");
	app = load_dir(dir, NULL);
	expect_findings(app, "");
	kt_app_free(app);
	put_file(dir, ".opencode/opencode.jsonc", "{");
	app = load_dir(dir, NULL);
	assert_int_equal(app->n_errors, 1);
	kt_app_free(app);
	drop_dir(dir);
}

/* A link to itself must not be followed for ever. */
static void test_loop(void **state)
{
	char *dir = make_dir();
	KT_AUTOFREE char *link = kt_path_join(dir, ".claude/agents/loop");
	KT_AUTOFREE char *link2 = kt_path_join(dir, ".claude/agents/loop2");
	struct kt_app *app;

	put_file(dir, "CLAUDE.md", "x");
	put_file(dir, ".claude/agents/a.md", "---\nname: a\n---\n");
	assert_int_equal(symlink(".", link), 0);
	assert_int_equal(symlink(".", link2), 0);
	app = load_dir(dir, NULL);
	assert_int_equal(app->n_agents, 1);
	assert_int_not_equal(kt_app_fingerprint(dir), 0);
	kt_app_free(app);
	drop_dir(dir);
}

static void test_fingerprint(void **state)
{
	static const struct {
		const char *file, *text;
		bool changes;
	} steps[] = {
		{ "CLAUDE.md", "a", true },
		{ "CLAUDE.md", "b", true },
		{ ".claude/agents/a.md", "x", true },
		{ ".claude/agents/a.md", "y", true },
		{ ".claude/skills/s/SKILL.md", "y", true },
		{ ".claude/settings.json", "{}", true },
		{ ".opencode/opencode.jsonc", "{}", true },
		{ ".opencode/node_modules/x/index.js", "1", false },
		{ ".opencode/node_modules/x/index.js", "2", false },
		{ "karta.toml", "", true },
		{ "karta.jsonc", "{}", true },
		{ ".mcp.json", "{}", true },
		{ ".env", "A=1", true },
		{ "AGENTS.md", "x", true },
		{ "src/main.c", "x", false },
		{ ".karta/log", "x", false },
	};
	char *dir = make_dir();
	KT_AUTOFREE char *path = kt_path_join(dir, ".claude/agents/a.md");
	uint64_t last = kt_app_fingerprint(dir);

	for (size_t i = 0; i < KT_ARRAY_LEN(steps); i++) {
		bool want = steps[i].changes;
		uint64_t now;

		put_file(dir, steps[i].file, steps[i].text);
		now = kt_app_fingerprint(dir);
		if ((now != last) != want)
			fail_msg("%s: %s", steps[i].file, now == last ? "same" : "changed");
		assert_true(now == kt_app_fingerprint(dir));
		last = now;
	}
	assert_int_equal(unlink(path), 0);
	assert_true(kt_app_fingerprint(dir) != last);
	assert_true(kt_app_fingerprint("/nonexistent") == 0);
	drop_dir(dir);
}

static void test_fingerprint_cost(void **state)
{
	char *dir = make_dir();
	int64_t start, took;

	put_file(dir, "CLAUDE.md", "x");
	for (int i = 0; i < 30; i++) {
		char file[64];

		snprintf(file, sizeof(file), ".claude/agents/a%d.md", i);
		put_file(dir, file, "---\nname: x\n---\n");
	}
	start = cpu_us();
	for (int i = 0; i < 100; i++)
		assert_int_not_equal(kt_app_fingerprint(dir), 0);
	took = (cpu_us() - start) / 100;
	print_message("# fingerprint of 31 files: %lld us\n", (long long)took);
	/* Fifty times the goal of 100 us, for the sanitizers: it is not proportional to much else. */
	assert_true(took < 5000);
	drop_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_claude),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_claude_primary),
		cmocka_unit_test(test_opencode),
		cmocka_unit_test(test_loop),
		cmocka_unit_test(test_fingerprint),
		cmocka_unit_test(test_fingerprint_cost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
