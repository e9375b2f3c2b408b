/* SPDX-License-Identifier: MIT */
/* What an application's model needs, and who may give it. */
#include "app_test.h"

#include "base/map.h"

static const char *missing(const char *dir, const char *harness, const char *name)
{
	struct kt_map names = KT_MAP_INIT;
	const char *out;

	if (name)
		(void)kt_map_set(&names, name, &names);
	out = kt_app_credential_missing(harness, dir, &names);
	kt_map_release(&names);
	return out;
}

static void test_claude(void **state)
{
	char *dir = make_dir();

	(void)state;
	assert_string_equal(missing(dir, "claude-code", "PATH"), "ANTHROPIC_API_KEY");
	assert_null(missing(dir, "claude-code", "CLAUDE_CODE_USE_BEDROCK"));
	put_file(dir, ".env", "OTHER=1\n");
	assert_string_equal(missing(dir, "claude-code", NULL), "ANTHROPIC_API_KEY");
	put_file(dir, ".claude/settings.json", "{\"apiKeyHelper\":\"./key.sh\"}");
	assert_null(missing(dir, "claude-code", NULL));
	drop_dir(dir);
}

static void test_opencode(void **state)
{
	char *dir = make_dir();

	(void)state;
	/* It has models that need none. */
	assert_null(missing(dir, "opencode", NULL));
	put_file(dir, "opencode.json", "{\"model\":\"openai/gpt\"}");
	assert_string_equal(missing(dir, "opencode", "ANTHROPIC_API_KEY"), "OPENAI_API_KEY");
	assert_null(missing(dir, "opencode", "OPENAI_API_KEY"));
	put_file(dir, ".env", "OPENAI_API_KEY=\n");
	assert_null(missing(dir, "opencode", NULL));
	put_file(dir, "karta.toml", "model = \"google/gemini\"\n");
	assert_string_equal(missing(dir, "opencode", NULL), "GOOGLE_GENERATIVE_AI_API_KEY");
	put_file(dir, "opencode.json", "{\"options\":{\"apiKey\":\"x\"}}");
	assert_null(missing(dir, "opencode", NULL));
	drop_dir(dir);
}

/* Of others nothing is known. */
static void test_others(void **state)
{
	char *dir = make_dir();

	(void)state;
	assert_null(missing(dir, "acp", NULL));
	assert_null(missing(dir, "rehearsal", NULL));
	drop_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_claude),
		cmocka_unit_test(test_opencode),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests_name("app/credential", tests, NULL, NULL);
}
