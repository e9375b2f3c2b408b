/* SPDX-License-Identifier: MIT */
/* Agents, skills, the default agent, the fingerprint. */
#include "app_test.h"

#include "base/str.h"
#include "tests/unit/patience.h"

#include <unistd.h>

/* Unset what would let the machine's own agents in. */
static int no_home(void **state)
{
	(void)state;
	assert_int_equal(setenv("HOME", "/nonexistent", 1), 0);
	assert_int_equal(unsetenv("CLAUDE_CONFIG_DIR"), 0);
	assert_int_equal(unsetenv("XDG_CONFIG_HOME"), 0);
	return 0;
}

static void test_claude(void **state)
{
	char *dir = make_dir();
	struct kt_app *app;

	put_file(dir, "CLAUDE.md", "x");
	put_file(dir, ".claude/agents/b.md",
		"---\nname: billing\ndescription: money\nmodel: haiku\ntools: Read, Grep\n---\nbody\n");
	put_file(dir, ".claude/agents/deep/a.md",
		"---\nname: deep\ndescription: a: b\\nc\ntype: auxiliary\n---\n");
	put_file(dir, ".claude/agents/notes.txt", "no agent");
	put_file(dir, ".claude/agents/README.md", "# no agent");
	put_file(dir, ".claude/agents/.hidden/c.md",
		"---\nname: hidden\ndescription: d\nmodel: inherit\n---\n");
	put_file(dir, ".claude/skills/refund/SKILL.md",
		"---\nname: Refund Order\ndescription: how to refund\n---\n");
	put_file(dir, ".claude/commands/git/commit.md", "---\ndescription: commits\n---\nx");
	put_file(dir, ".claude/commands/plain.md", "x");
	app = load_dir(dir, NULL);
	expect_findings(app, "");
	assert_int_equal(app->n_agents, 3);
	assert_string_equal(kt_app_agent(app, "billing")->description, "money");
	assert_string_equal(kt_app_agent(app, "billing")->model, "haiku");
	assert_string_equal(kt_app_agent(app, "billing")->file, ".claude/agents/b.md");
	assert_false(kt_app_agent(app, "billing")->primary);
	assert_true(kt_app_agent(app, "billing")->answers);
	assert_string_equal(kt_app_agent(app, "deep")->file, ".claude/agents/deep/a.md");
	assert_string_equal(kt_app_agent(app, "deep")->description, "a: b\nc");
	assert_null(kt_app_agent(app, "hidden")->model);
	assert_string_equal(app->default_agent, "default");
	assert_int_equal(app->n_skills, 1);
	assert_string_equal(app->skills[0].name, "refund");
	assert_string_equal(app->skills[0].description, "how to refund");
	assert_int_equal(app->n_commands, 2);
	assert_string_equal(app->commands[0].name, "git:commit");
	assert_string_equal(app->commands[0].description, "commits");
	assert_string_equal(app->commands[1].name, "plain");
	assert_null(kt_app_agent(app, "dee"));
	assert_null(kt_app_agent(app, NULL));
	kt_app_free(app);
	drop_dir(dir);
}

/* What Claude Code leaves out is a warning with the reason, and stops nothing else. */
static void test_left_out(void **state)
{
	static const struct {
		const char *file, *text, *warning;
	} cases[] = {
		{ "a.md", "no front matter", ":1: warning: no agent" },
		{ "b.md", "---\nname: 12\ndescription: d\n---\n", "its 'name' is no text" },
		{ "c.md", "---\nname: x\n  y: [\n---\n",
			".claude/agents/c.md:3:4: warning: no agent for Claude Code: its front matter is no YAML (" },
		{ "d.md", "---\nname: d\n---\n", "'d' has no 'description'" },
		{ "e.md", "---\nname: e\ndescription: [x]\n---\n", "'description' of 'e' is no text" },
		{ "f.md", "\xef\xbb\xbf---\nname: f\ndescription: d\n---\n",
			"does not begin with front matter" },
		{ "g.md", "---\ndescription: d\n---\n", "no 'name'" },
	};
	char *dir = make_dir();
	struct kt_app *app;

	put_file(dir, "CLAUDE.md", "x");
	put_file(dir, ".claude/agents/good.md", "---\nname: good\ndescription: d\n---\n");
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTOFREE char *path = kt_asprintf(".claude/agents/%s", cases[i].file);

		put_file(dir, path, cases[i].text);
	}
	put_file(dir, ".claude/skills/s/SKILL.md", "text");
	put_file(dir, ".claude/skills/t/other.md", "text");
	put_file(dir, ".claude/skills/u/SKILL.md",
		"---\ndescription: d\nuser-invocable: false\n---\n");
	put_file(dir, ".claude/skills/v/SKILL.md", "---\ndescription: d\npaths: \"*.c\"\n---\n");
	app = load_dir(dir, NULL);
	assert_int_equal(app->n_agents, 1);
	assert_int_equal(app->n_errors, 0);
	assert_int_equal(app->n_skills, 0);
	/* It can be called, though. */
	assert_int_equal(app->n_commands, 1);
	assert_string_equal(app->commands[0].name, "s");
	{
		KT_AUTOFREE char *got = findings(app);

		for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
			if (!strstr(got, cases[i].file) ||
				(i && !strstr(got, cases[i].warning)))
				fail_msg("%s: %s", cases[i].file, got);
		}
		assert_non_null(strstr(got, ".claude/skills/t: warning: the skill has no SKILL.md\n"));
		assert_non_null(strstr(got, "s/SKILL.md: warning: the skill has no 'description'"));
		assert_non_null(strstr(got, "u/SKILL.md: note: the skill is for the model only"));
		assert_non_null(strstr(got, "v/SKILL.md: note: the skill waits for files"));
	}
	kt_app_free(app);
	drop_dir(dir);
}

static void test_claude_default(void **state)
{
	char *dir = make_dir();
	struct kt_app *app;

	put_file(dir, "CLAUDE.md", "x");
	put_file(dir, ".claude/agents/a.md", "---\nname: a\ndescription: d\n---\n");
	put_file(dir, ".claude/agents/b.md", "---\nname: b\ndescription: d\ntype: primary\n---\n");
	app = load_dir(dir, NULL);
	assert_string_equal(app->default_agent, "b");
	assert_true(kt_app_agent(app, "b")->is_default);
	assert_true(kt_app_agent(app, "b")->primary);
	assert_false(kt_app_agent(app, "a")->is_default);
	kt_app_free(app);
	put_file(dir, ".claude/agents/c.md", "---\nname: c\ndescription: d\nmode: primary\n---\n");
	app = load_dir(dir, NULL);
	assert_string_equal(app->default_agent, "default");
	assert_int_equal(app->n_warnings, 1);
	assert_int_equal(app->n_errors, 0);
	kt_app_free(app);
	/* The settings' word counts where no agent says so itself. */
	put_file(dir, ".claude/settings.json", "{\"agent\": \"a\"}");
	app = load_dir(dir, NULL);
	assert_string_equal(app->default_agent, "a");
	kt_app_free(app);
	drop_dir(dir);
}

/* Nearest first for agents; the user's are read where the author runs it, not where it is hosted. */
static void test_claude_places(void **state)
{
	const struct kt_app_options hosted = { .hosted = true };
	struct kt_err err = KT_ERR_INIT;
	char *dir = make_dir();
	KT_AUTOFREE char *home = kt_path_join(dir, "home");
	KT_AUTOFREE char *sub = kt_path_join(dir, "repo/sub");
	KT_AUTOFREE char *link = kt_path_join(dir, "repo/sub/.claude/agents/link.md");
	struct kt_app *app;

	assert_int_equal(setenv("HOME", home, 1), 0);
	put_file(dir, "repo/.git/HEAD", "x");
	put_file(dir, ".claude/agents/out.md", "---\nname: outside\ndescription: d\n---\n");
	put_file(dir, "home/.claude/agents/x.md", "---\nname: x\ndescription: user\n---\n");
	put_file(dir, "home/.claude/agents/u.md", "---\nname: u\ndescription: user\n---\n");
	put_file(dir, "home/.claude/skills/s/SKILL.md", "---\ndescription: user\n---\n");
	put_file(dir, "repo/.claude/agents/x.md", "---\nname: x\ndescription: repo\n---\n");
	put_file(dir, "repo/.claude/agents/r.md", "---\nname: r\ndescription: repo\n---\n");
	put_file(dir, "repo/sub/.claude/agents/x.md", "---\nname: x\ndescription: sub\n---\n");
	put_file(dir, "repo/sub/.claude/skills/s/SKILL.md", "---\ndescription: sub\n---\n");
	put_file(dir, "repo/sub/CLAUDE.md", "x");
	put_file(dir, "repo/other.md", "---\nname: linked\ndescription: d\n---\n");
	assert_int_equal(symlink("../../../other.md", link), 0);
	app = load_dir(sub, NULL);
	assert_int_equal(app->n_agents, 4);
	assert_string_equal(kt_app_agent(app, "x")->description, "sub");
	assert_string_equal(kt_app_agent(app, "r")->description, "repo");
	assert_non_null(kt_app_agent(app, "u"));
	assert_non_null(kt_app_agent(app, "linked"));
	assert_int_equal(app->n_skills, 1);
	assert_string_equal(app->skills[0].description, "user");
	kt_app_free(app);
	assert_int_equal(kt_app_load(sub, &hosted, &app, &err), KT_OK);
	assert_int_equal(app->n_agents, 1);
	assert_string_equal(app->skills[0].description, "sub");
	kt_app_free(app);
	drop_dir(dir);
	no_home(state);
}

/* Plugins need trust, which a hosted workspace has. */
static void test_claude_plugins(void **state)
{
	const struct kt_app_options hosted = { .hosted = true };
	struct kt_err err = KT_ERR_INIT;
	char *dir = make_dir();
	struct kt_app *app;

	put_file(dir, "CLAUDE.md", "x");
	put_file(dir, ".claude/skills/kit/.claude-plugin/plugin.json", "{\"name\": \"kit\"}");
	put_file(dir, ".claude/skills/kit/agents/a.md", "no front matter");
	put_file(dir, ".claude/skills/kit/agents/s/b.md", "---\nname: bee\ndescription: d\n---\n");
	put_file(dir, ".claude/skills/kit/skills/one/SKILL.md", "---\ndescription: d\n---\n");
	put_file(dir, ".claude/skills/kit/commands/go.md", "x");
	app = load_dir(dir, NULL);
	assert_int_equal(app->n_agents + app->n_skills + app->n_commands, 0);
	kt_app_free(app);
	assert_int_equal(kt_app_load(dir, &hosted, &app, &err), KT_OK);
	expect_findings(app, "");
	assert_string_equal(kt_app_agent(app, "kit:a")->description, "Agent from kit plugin");
	assert_non_null(kt_app_agent(app, "kit:s:bee"));
	assert_int_equal(app->n_skills, 1);
	assert_string_equal(app->skills[0].name, "kit:one");
	assert_int_equal(app->n_commands, 1);
	assert_string_equal(app->commands[0].name, "kit:go");
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
	put_file(dir, ".claude/skills/b/SKILL.md", "---\nname: bee\ndescription: d\n---\n");
	put_file(dir, ".opencode/command/x/go.md", "---\ndescription: goes\n---\n");
	put_file(dir, ".opencode/mode/calm.md", "---\ndescription: a mode\nmode: all\n---\n");
	put_file(dir, "karta.toml", "[harness]\ntype = \"opencode\"\n");
	app = load_dir(dir, NULL);
	expect_findings(app, "");
	assert_int_equal(app->n_agents, 4);
	assert_true(kt_app_agent(app, "support")->primary);
	assert_true(kt_app_agent(app, "both")->primary);
	assert_false(kt_app_agent(app, "team/old")->primary);
	assert_false(kt_app_agent(app, "team/old")->answers);
	assert_true(kt_app_agent(app, "calm")->answers);
	assert_int_equal(app->n_skills, 2);
	assert_string_equal(app->skills[0].name, "bee");
	assert_int_equal(app->n_commands, 1);
	assert_string_equal(app->commands[0].name, "x/go");
	assert_string_equal(app->default_agent, "default");
	kt_app_free(app);

	put_file(dir, ".opencode/opencode.jsonc",
		"{ // c\n \"default_agent\": \"support\", \"agent\": {\"cfg\": {},"
		"\"support\": {\"model\": \"a/b\", \"description\": \"weaker\"},"
		"\"build\": {\"model\": \"m\"}, \"off\": {\"disable\": true, \"prompt\": \"x\"}}, }");
	put_file(dir, "opencode.json", "{\"agent\": {\"cfg\": {\"description\": \"{env:KARTA_NO}x\"}}}");
	app = load_dir(dir, NULL);
	expect_findings(app, "");
	assert_int_equal(app->n_agents, 5);
	assert_string_equal(kt_app_agent(app, "cfg")->file, ".opencode/opencode.jsonc");
	assert_string_equal(kt_app_agent(app, "cfg")->description, "x");
	/* The file lies over the settings, key by key. */
	assert_string_equal(kt_app_agent(app, "support")->description, "helps");
	assert_string_equal(kt_app_agent(app, "support")->model, "a/b");
	assert_string_equal(app->default_agent, "support");
	assert_true(kt_app_agent(app, "support")->is_default);
	kt_app_free(app);

	put_file(dir, "opencode.json", "{}");
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

/* What keeps OpenCode from starting is an error with its place; what it mends is a warning. */
static void test_opencode_refuses(void **state)
{
	static const struct {
		const char *file, *text, *want;
	} cases[] = {
		{ ".opencode/agent/a.md", "---\ntools: Read, Grep\n---\n",
			".opencode/agent/a.md:1:1: error: OpenCode does not start with this: 'tools' must be an object of true and false\n" },
		{ ".opencode/agent/a.md", "---\ndescription: 42\n---\n", "'description' must be text" },
		{ ".opencode/agent/a.md", "---\nname: 42\n---\n", "'name' must be text" },
		{ ".opencode/agent/a.md", "---\nmode: main\n---\n", "'mode' must be primary, subagent or all" },
		{ ".opencode/agent/a.md", "---\ncolor: blue\n---\n", "'color' must be #rrggbb" },
		{ ".opencode/agent/a.md", "---\npermission:\n  webfetch:\n    x: allow\n---\n", "'permission' must be" },
		{ ".opencode/command/a.md", "---\ndescription:\n---\n", "'description' must be text" },
		{ "opencode.json", "{\n \"agent\": {\"a\": {\"steps\": 0}}}",
			"opencode.json:2:18: error: OpenCode does not start with this: 'agent.a.steps' must be a whole number over 0\n" },
		{ "opencode.json", "{\"command\": {\"c\": {}}}", "'command.c' must be an object with a 'template'" },
		{ "opencode.json", "[]", "must be an object" },
		{ "opencode.json", "{\"instructions\": \"x\"}", "'instructions' must be a list of texts" },
		{ "opencode.json", "{\"agent\": {\"a\": {\"prompt\": \"{file:./no.md}\"}}}", "{file:./no.md} does not exist" },
	};
	static const struct {
		const char *text, *want;
	} mended[] = {
		{ "---\ndescription: a: b\n---\n", "OpenCode mends it once" },
		{ "---\ndescription: @x\n---\n", "without its front matter" },
		{ "---\ndescription: a: b\n\tx\n---\n", "OpenCode does not read the agent" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases) + KT_ARRAY_LEN(mended); i++) {
		size_t k = i - KT_ARRAY_LEN(cases);
		bool refused = i < KT_ARRAY_LEN(cases);
		const char *want = refused ? cases[i].want : mended[k].want;
		char *dir = make_dir();
		struct kt_app *app;

		put_file(dir, "AGENTS.md", "x");
		put_file(dir, ".opencode/agent/good.md", "---\ndescription: d\n---\n");
		put_file(dir, refused ? cases[i].file : ".opencode/agent/a.md",
			refused ? cases[i].text : mended[k].text);
		app = load_dir(dir, "opencode");
		{
			KT_AUTOFREE char *got = findings(app);

			if (app->n_errors != (refused ? 1 : 0) || !strstr(got, want))
				fail_msg("'%s': %s", want, got);
		}
		assert_non_null(kt_app_agent(app, "good"));
		kt_app_free(app);
		drop_dir(dir);
	}
}

/* What a push shows of the server must be what was pushed. */
static void test_hosted_stays_inside(void **state)
{
	char *dir = make_dir();
	KT_AUTOFREE char *app_dir = kt_path_join(dir, "app");
	KT_AUTOFREE char *config = kt_asprintf(
		"{\"agent\": {\"x\": {\"description\": \"{file:%s/secret.md}|{file:../secret.md}|"
		"{env:HOME}\"}}}",
		dir);

	put_file(dir, "secret.md", "---\nname: secret\ndescription: of the server\n---\n");
	put_file(dir, "agents/a.md", "---\nname: a\ndescription: of the server\n---\n");
	put_file(dir, "skills/s/SKILL.md", "---\nname: s\ndescription: of the server\n---\n");
	put_file(dir, "app/CLAUDE.md", "x");
	put_file(dir, "app/.claude/agents/own.md", "---\nname: own\ndescription: d\n---\n");
	put_file(dir, "app/opencode.json", config);
	for (int i = 0; i < 3; i++) {
		static const char *const links[][2] = {
			{ "../../../secret.md", "app/.claude/agents/link.md" },
			{ "../../../agents", "app/.claude/agents/more" },
			{ "../../skills", "app/.claude/skills" },
		};
		KT_AUTOFREE char *at = kt_path_join(dir, links[i][1]);

		assert_int_equal(symlink(links[i][0], at), 0);
	}
	for (int i = 0; i < 2; i++) {
		const struct kt_app_options opts = { .harness = i ? "opencode" : "claude-code",
			.hosted = true };
		struct kt_err err = KT_ERR_INIT;
		struct kt_app *app;

		assert_int_equal(kt_app_load(app_dir, &opts, &app, &err), KT_OK);
		assert_int_equal(app->n_agents, 1);
		assert_int_equal(app->n_skills, 0);
		assert_string_equal(app->agents[0].description, i ? "||" : "d");
		kt_app_free(app);
	}
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
	put_file(dir, ".claude/agents/a.md", "---\nname: a\ndescription: d\n---\n");
	assert_int_equal(symlink(".", link), 0);
	assert_int_equal(symlink(".", link2), 0);
	app = load_dir(dir, NULL);
	expect_findings(app, "");
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
		cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_claude_default),
		cmocka_unit_test(test_claude_places),
		cmocka_unit_test(test_claude_plugins),
		cmocka_unit_test(test_opencode),
		cmocka_unit_test(test_opencode_refuses),
		cmocka_unit_test(test_hosted_stays_inside),
		cmocka_unit_test(test_loop),
		cmocka_unit_test(test_fingerprint),
		cmocka_unit_test(test_fingerprint_cost),
	};

	return cmocka_run_group_tests(tests, no_home, NULL);
}
