/* SPDX-License-Identifier: MIT */
/* karta.toml, karta.jsonc and .env: both generations of keys, and the places of complaints. */
#include "app_test.h"
#include "app/app_private.h"

#include "base/env.h"
#include "base/limits.h"
#include "base/str.h"

static const struct {
	const char *file, *text, *want;
} cases[] = {
	/* The first generation. */
	{ "karta.toml", "entry_point = \"main.js\"\nbuildpack = \"node\"\n",
		"karta.toml:1:1: warning: there is no file for the module of entry_point "
		"'main.js'\n" },
	{ "karta.toml", "entry_point = \"app.py\"\nbuildpack = \"python\"\n",
		"karta.toml:1:1: error: 'app.py' is no entry point: a module and what is in it, "
		"with a colon between\n" },
	{ "karta.toml", "entry_point = \"a:\"\nbuildpack = \"node\"\n",
		"karta.toml:1:1: error: 'a:' is no entry point: a module and what is in it, with "
		"a colon between\n" },
	{ "karta.toml", "entry_point = \"../x:y\"\nbuildpack = \"python\"\n",
		"karta.toml:1:1: error: '../x:y' is no entry point: a module and what is in it, "
		"with a colon between\n" },
	{ "karta.toml", "entry_point = \"anything\"\n", "" },
	/* The second generation, every key. */
	{ "karta.toml",
		"name = \"beans\"\ndeploy = true\nbuildpack = \"node\"\nentry_point = "
		"\"karta.toml:b\"\n"
		"[harness]\ntype = \"claude-code\"\nversion = \"2\"\nmodel = \"sonnet\"\n"
		"[environment]\nsetup = \"karta.toml\"\n"
		"[env]\nA = { required = false, description = \"x\" }\nB = {}\n"
		"[genui]\ncatalog_id = \"sh.karta/basic\"\nversion = 1\nenabled = true\n"
		"bundle = \"dist/x.json\"\nbundle_sha256 = "
		"\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"\n"
		"components = [{ name = \"Card\", tier = 1 }, { name = \"Map\", tier = 3 }]\n"
		"[genui.build]\nsource = \"ui\"\n"
		"[artifacts]\nmanifest = \".karta/artifacts.json\"\n"
		"[artifacts.kinds.report]\nrenderer = \"builtin.markdown\"\nschema_version = 1\n"
		"portability = \"forkable\"\nallowed_render_paths = [\"**/*.md\"]\n"
		"allowed_evidence_paths = []\nallowed_provenance_paths = []\n"
		"allowed_continuation_paths = []\nmax_share_bytes = 25000000\n"
		"publish_audiences = [\"organization\", \"named\"]\n",
		"" },
	{ "karta.toml", "starters = [\"a\", \"b\"]\n", "" },
	{ "karta.toml", "starters = [\"a\", \" \\n\", \"c\"]\n",
		"karta.toml:1:18: warning: an empty starter is not shown\n" },
	{ "karta.toml", "starters = [\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\n\"9\",\"10\"]\n",
		"karta.toml:2:1: warning: more than 8 starters: the others are not shown\n" },
	{ "karta.toml", "starters = \"a\"\n",
		"karta.toml:1:1: error: 'starters' must be an array of strings, not string\n" },
	{ "karta.toml", "", "" },
	{ "karta.toml", "naem = \"x\"\n",
		"karta.toml:1:1: warning: unknown key 'naem' (did you mean 'name'?)\n" },
	{ "karta.toml", "name = \"x\"\n\n[harness]\n  typ = \"opencode\"\n",
		"karta.toml:4:3: warning: unknown key 'harness.typ' (did you mean 'type'?)\n" },
	{ "karta.toml", "[zzzzzz]\na = 1\n", "karta.toml:1:2: warning: unknown key 'zzzzzz'\n" },
	{ "karta.toml", "deploy = \"yes\"\n",
		"karta.toml:1:1: error: 'deploy' must be true or false, not string\n" },
	{ "karta.toml", "name = \"Beans!\"\n",
		"karta.toml:1:1: error: 'name' must be lower-case letters, digits and hyphens, "
		"not 'Beans!'\n" },
	{ "karta.toml", "harness = \"claude-code\"\n",
		"karta.toml:1:1: error: 'harness' must be a table, not string\n" },
	{ "karta.toml", "[harness]\ncommand = []\n",
		"karta.toml:2:1: error: 'harness.command' must not be empty\n" },
	{ "karta.toml", "[harness]\ncommand = \"  \"\n",
		"karta.toml:2:1: error: 'harness.command' must not be empty\n" },
	{ "karta.toml", "[harness]\ncommand = [\"a\",\n  1]\n",
		"karta.toml:3:3: error: 'harness.command' must hold strings only, not integer\n" },
	{ "karta.toml", "[genui]\nversion = 0\n",
		"karta.toml:2:1: error: 'genui.version' must be at least 1, not 0\n" },
	{ "karta.toml", "[genui]\nversion = 1.5\n",
		"karta.toml:2:1: error: 'genui.version' must be an integer, not float\n" },
	{ "karta.toml", "[[genui.components]]\nname = \"a\"\ntier = 4\nteir = 1\n",
		"karta.toml:3:1: error: 'genui.components.tier' must be from 1 to 3, not 4\n"
		"karta.toml:4:1: warning: unknown key 'genui.components.teir' (did you mean "
		"'tier'?)\n" },
	{ "karta.toml", "[genui]\ncomponents = [1]\n",
		"karta.toml:2:15: error: 'genui.components' must be an array of tables, not "
		"integer\n" },
	{ "karta.toml", "[genui]\nbundle_sha256 = \"abc\"\n",
		"karta.toml:2:1: error: 'genui.bundle_sha256' must be 64 hexadecimal digits\n" },
	{ "karta.toml", "[artifacts.kinds.r]\npublish_audiences = [\"all\"]\n",
		"karta.toml:2:22: error: 'artifacts.kinds.r.publish_audiences' cannot hold "
		"'all'\n" },
	{ "karta.toml", "buildpack = \"node\"\n",
		"karta.toml:1:1: error: a buildpack needs 'entry_point'\n" },
	{ "karta.toml", "[env]\nA = \"x\"\n",
		"karta.toml:2:1: error: 'env.A' must be a table, not string\n" },
	{ "karta.toml", "[env]\n\"A B\" = {}\n",
		"karta.toml:2:1: error: 'A B' cannot be the name of a variable\n" },
	{ "karta.toml", "[env]\nNO_SUCH_VAR_HERE = { required = true }\n",
		"karta.toml:2:1: warning: the required variable 'NO_SUCH_VAR_HERE' has no "
		"value\n" },
	{ "karta.toml", "[env]\nPATH = { required = true }\n", "" },
	{ ".env", "A=1\n# c\nexport B=2\nnonsense\n\nC='x\n",
		".env:4:1: warning: not a NAME=value line\n"
		".env:6:1: warning: the quote is not closed\n" },
	/* karta.jsonc */
	{ "karta.jsonc",
		"// all keys\n{ \"cli\": { \"hidden_event_types\": [\"system\", \"step_start\"],\n"
		"\"input_required_policy\": \"prompt\", \"input_required_hidden_policy\": "
		"\"error\" },\n"
		"\"harness\": { \"claude\": { \"idle_timeout_seconds\": 60, "
		"\"thinking_budget_tokens\": "
		"10000,\n\"permission_intercept\": false, \"agent_command\": false, } },\n"
		"\"runtime\": { \"permission_mode\": \"interactive\", "
		"\"approval_timeout_seconds\": 5,\n"
		"\"approval_default\": \"approve_once\", \"event_retention_hours\": 0 },\n"
		"\"profile\": { \"name\": \"ada\", \"display_name\": \"Ada\" }, }\n",
		"" },
	{ "karta.jsonc", "{}", "" },
	{ "karta.jsonc", "{\"cli\": null, \"profile\": {\"name\": null}}", "" },
	{ "karta.jsonc", "[]", "karta.jsonc:1:1: error: must hold an object\n" },
	{ "karta.jsonc", "null", "karta.jsonc:1:1: error: must hold an object\n" },
	{ "karta.jsonc", "{\n  // c\n  \"clii\": {}\n}",
		"karta.jsonc:3:3: warning: unknown key 'clii' (did you mean 'cli'?)\n" },
	{ "karta.jsonc", "{\"cli\": {\n\t\"input_required_policy\": \"alow\"}}",
		"karta.jsonc:2:2: error: 'cli.input_required_policy' cannot be 'alow'\n" },
	{ "karta.jsonc", "{\"harness\": {\"claude\": {\n\"idle_timeout_seconds\": \"600\"}}}",
		"karta.jsonc:2:1: error: 'harness.claude.idle_timeout_seconds' must be an integer, "
		"not string\n" },
	{ "karta.jsonc", "{\"runtime\": {\"event_retention_hours\": -1}}",
		"karta.jsonc:1:14: error: 'runtime.event_retention_hours' must be from 0 to 87600, "
		"not -1\n" },
	{ "karta.jsonc", "{\"cli\": {\"hidden_event_types\": [\"a\", 2]}}",
		"karta.jsonc:1:10: error: 'cli.hidden_event_types' must hold strings only, "
		"not integer\n" },
};

static void test_findings(void **state)
{
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		char *dir = make_dir();
		struct kt_app *app;

		put_file(dir, "CLAUDE.md", "x");
		put_file(dir, cases[i].file, cases[i].text);
		app = load_dir(dir, "claude-code");
		expect_findings(app, cases[i].want);
		kt_app_free(app);
		drop_dir(dir);
	}
}

static void test_syntax(void **state)
{
	static const struct {
		const char *file, *text, *start;
	} bad[] = {
		{ "karta.toml", "name = \"x\"\ndeploy = \n", "karta.toml:2:10: error: " },
		{ "karta.jsonc", "{\n\"a\": 1,\n\"b\" 2}", "karta.jsonc:3:" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(bad); i++) {
		char *dir = make_dir();
		struct kt_app *app;
		KT_AUTOFREE char *got = NULL;

		put_file(dir, "CLAUDE.md", "x");
		put_file(dir, bad[i].file, bad[i].text);
		app = load_dir(dir, NULL);
		got = findings(app);
		assert_int_equal(app->n_errors, 1);
		if (!kt_str_starts(got, bad[i].start))
			fail_msg("%s", got);
		/* A broken file leaves the defaults. */
		assert_int_equal(app->idle_timeout_ms, 600000);
		kt_app_free(app);
		drop_dir(dir);
	}
}

static void test_toml_values(void **state)
{
	char *dir = make_dir();
	struct kt_app *app;

	put_file(dir, "karta.toml",
		"name = \"beans\"\ndeploy = true\n[harness]\ntype = \"acp\"\nversion = \"1.2\"\n"
		"model = \"m\"\ncommand = \" goose  acp\\t-v \"\n"
		"[env]\nTOKEN = { required = true, description = \"for x\" }\nOTHER = {}\nNONE = "
		"{}\n");
	put_file(dir, "AGENTS.md", "x");
	put_file(dir, ".env", "TOKEN = \"a b\\n\"  # c\nOTHER=x # y\nNONE=\nUNKNOWN=1\n");
	app = load_dir(dir, NULL);
	expect_findings(app, "");
	assert_string_equal(app->name, "beans");
	assert_true(app->deploy);
	assert_string_equal(app->harness_version, "1.2");
	assert_string_equal(app->model, "m");
	assert_string_equal(app->harness_command[0], "goose");
	assert_string_equal(app->harness_command[1], "acp");
	assert_string_equal(app->harness_command[2], "-v");
	assert_null(app->harness_command[3]);
	assert_int_equal(app->n_env, 3);
	assert_string_equal(app->env[0].name, "TOKEN");
	assert_true(app->env[0].required);
	assert_string_equal(app->env[0].description, "for x");
	assert_string_equal(app->env[0].value, "a b\n");
	assert_string_equal(app->env[1].value, "x");
	assert_false(app->env[1].required);
	assert_null(app->env[2].value);
	kt_app_free(app);
	drop_dir(dir);
}

static void test_dotenv(void **state)
{
	static const struct {
		const char *text, *value;
	} lines[] = {
		{ "V=plain", "plain" },
		{ "V=a#b", "a#b" },
		{ "V=a #b", "a" },
		{ "V = a b \t\r\n", "a b" },
		{ "V='a \\n # \"'", "a \\n # \"" },
		{ "V=\"l1\nl2\"\n", "l1\nl2" },
		{ "V=\"q\\\"\\$\\\\x\\y\"", "q\"$\\x\\y" },
		{ "\xef\xbb\xbf"
		  "V=1",
			"1" },
		{ "V=1\nV=2", "2" },
		{ "exportV=1\nexport\tV=3", "3" },
		{ "V=#no", NULL },
		{ "V=''", NULL },
		{ "#V=1", NULL },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(lines); i++) {
		char *dir = make_dir();
		struct kt_app *app;

		put_file(dir, "CLAUDE.md", "x");
		put_file(dir, "karta.toml", "[env]\nV = {}\n");
		put_file(dir, ".env", lines[i].text);
		app = load_dir(dir, NULL);
		assert_int_equal(app->n_env, 1);
		if (!kt_str_eq(app->env[0].value, lines[i].value))
			fail_msg("%s: %s", lines[i].text, app->env[0].value);
		kt_app_free(app);
		drop_dir(dir);
	}
}

static void test_jsonc_values(void **state)
{
	static const struct {
		const char *text;
		enum kt_input_policy policy, hidden;
	} policies[] = {
		{ "{}", KT_INPUT_PROMPT, KT_INPUT_DENY },
		{ "{\"runtime\":{\"permission_mode\":\"interactive\"}}", KT_INPUT_PROMPT,
			KT_INPUT_DENY },
		{ "{\"runtime\":{\"permission_mode\":\"autonomous\"}}", KT_INPUT_APPROVE_SESSION,
			KT_INPUT_DENY },
		{ "{\"runtime\":{\"permission_mode\":\"autonomous\"},"
		  "\"cli\":{\"input_required_policy\":\"deny\"}}",
			KT_INPUT_DENY, KT_INPUT_DENY },
		{ "{\"cli\":{\"input_required_policy\":\"error\","
		  "\"input_required_hidden_policy\":\"approve_once\"}}",
			KT_INPUT_ERROR, KT_INPUT_APPROVE_ONCE },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(policies); i++) {
		char *dir = make_dir();
		struct kt_app *app;

		put_file(dir, "CLAUDE.md", "x");
		put_file(dir, "karta.jsonc", policies[i].text);
		app = load_dir(dir, NULL);
		assert_int_equal(app->input_policy, policies[i].policy);
		assert_int_equal(app->input_hidden_policy, policies[i].hidden);
		assert_int_equal(app->approval_timeout_ms, KT_APPROVAL_MS);
		assert_int_equal(app->approval_default, KT_INPUT_DENY);
		assert_int_equal(app->event_retention_ms, 24 * 3600 * 1000);
		assert_int_equal(app->thinking_budget_tokens, 0);
		kt_app_free(app);
		drop_dir(dir);
	}
}

static void test_config_option(void **state)
{
	char *dir = make_dir();
	KT_AUTOFREE char *config = kt_path_join(dir, "other.jsonc");
	struct kt_app_options opts = { .config = config };
	struct kt_app *app = NULL;

	put_file(dir, "CLAUDE.md", "x");
	put_file(dir, "karta.jsonc", "{\"profile\":{\"name\":\"wrong\"}}");
	put_file(dir, "other.jsonc",
		"{\"profile\":{\"name\":\"ada\",\"display_name\":\"Ada\"},"
		"\"cli\":{\"hidden_event_types\":[\"a\",\"b\"]},"
		"\"harness\":{\"claude\":{\"idle_timeout_seconds\":2,\"thinking_budget_tokens\":7}}"
		","
		"\"runtime\":{\"approval_timeout_seconds\":3,\"approval_default\":\"approve_once\","
		"\"event_retention_hours\":1}}");
	assert_int_equal(kt_app_load(dir, &opts, &app, NULL), KT_OK);
	assert_string_equal(app->profile_name, "ada");
	assert_string_equal(app->profile_display_name, "Ada");
	assert_string_equal(app->hidden_event_types[1], "b");
	assert_null(app->hidden_event_types[2]);
	assert_int_equal(app->idle_timeout_ms, 2000);
	assert_int_equal(app->thinking_budget_tokens, 7);
	assert_int_equal(app->approval_timeout_ms, 3000);
	assert_int_equal(app->approval_default, KT_INPUT_APPROVE_ONCE);
	assert_int_equal(app->event_retention_ms, 3600000);
	kt_app_free(app);
	drop_dir(dir);
}

/* However many there are, the list ends and an error is in it. */
static void test_many(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	char *dir = make_dir();
	struct kt_app *app;

	for (int i = 0; i < 1000; i++)
		kt_buf_addf(&b, "qqqqq%d = 1\n", i);
	kt_buf_adds(&b, "[genui]\nversion = 0\n");
	put_file(dir, "CLAUDE.md", "x");
	put_file(dir, "karta.toml", b.ptr);
	app = load_dir(dir, NULL);
	assert_int_equal(app->n_warnings, 200);
	assert_int_equal(app->n_errors, 1);
	kt_app_free(app);
	drop_dir(dir);
}

/* Control bytes from a file never reach the terminal. */
static void test_clean(void **state)
{
	char *dir = make_dir();
	struct kt_app *app;
	KT_AUTOFREE char *got = NULL;

	put_file(dir, "CLAUDE.md", "x");
	put_file(dir, "karta.toml", "\"a\\u001b[31m\\n\" = 1\n");
	app = load_dir(dir, NULL);
	got = findings(app);
	assert_null(strchr(got, '\x1b'));
	assert_ptr_equal(strchr(got, '\n'), got + strlen(got) - 1);
	kt_app_free(app);
	drop_dir(dir);
}

/* The text below ".It Ic key" in a page, up to the next item or the list's end; NULL without one.
 */
static char *item(const char *page, const char *key)
{
	KT_AUTOFREE char *head = kt_asprintf("\n.It Ic %s\n", key);
	const char *at = strstr(page, head), *next, *el;

	if (!at)
		return NULL;
	at += strlen(head) - 1;
	next = strstr(at, "\n.It ");
	el = strstr(at, "\n.El");
	if (!next || (el && el < next))
		next = el;
	return kt_strndup(at, next ? (size_t)(next - at) : strlen(at));
}

static void manual_says(const char *key, const char *text, const char *value)
{
	if (value && !strstr(text, value))
		fail_msg("%s: the manual does not say '%s'", key, value);
}

static void manual_says_number(const char *key, const char *text, int64_t value)
{
	KT_AUTOFREE char *digits = kt_asprintf("%lld", (long long)value);

	manual_says(key, text, digits);
}

/* Every key of the table is in its manual page with its values, and no other key is. */
static void test_manual(void **state)
{
	static const char *const names[] = { [KT_SETTINGS_TOML] = "karta.toml",
		[KT_SETTINGS_JSONC] = "karta.jsonc" };
	const char *root = ".";

	(void)state;
	for (char **e = kt_env_all(); *e; e++) {
		if (kt_str_starts(*e, "KARTA_TEST_ROOT="))
			root = strchr(*e, '=') + 1;
	}
	for (size_t i = 0; i < KT_ARRAY_LEN(names); i++) {
		KT_AUTOFREE char *file = kt_asprintf("man/%s.5", names[i]);
		KT_AUTOFREE char *page = get_file(root, file);
		size_t in_table = 0, in_page = 0;

		for (size_t k = 0; k < kt_n_settings; k++) {
			const struct kt_setting *st = &kt_settings[k];
			KT_AUTOFREE char *text = NULL;

			if (st->file != i)
				continue;
			in_table++;
			text = item(page, st->path);
			if (!text)
				fail_msg("%s: not in %s", st->path, file);
			manual_says(st->path, text, st->unit);
			manual_says(st->path, text, st->dflt);
			if (st->type == KT_SET_INT)
				manual_says_number(st->path, text, st->min);
			if (st->type == KT_SET_INT && st->max != INT64_MAX)
				manual_says_number(st->path, text, st->max);
			for (size_t c = 0; st->choices && st->choices[c]; c++)
				manual_says(st->path, text, st->choices[c]);
		}
		for (const char *p = page; (p = strstr(p, "\n.It Ic ")); p++)
			in_page++;
		assert_true(in_table > 10);
		assert_int_equal(in_page, in_table);
	}
}

/* Hosted: who hosts it binds the variables, whatever this process has in its environment. */
static void test_hosted(void **state)
{
	char *dir = make_dir();
	const struct kt_app_options opts = { .hosted = true };
	struct kt_app *app = NULL;

	(void)state;
	put_file(dir, "CLAUDE.md", "x");
	put_file(dir, "karta.toml",
		"buildpack = \"python\"\nentry_point = \"karta.toml:b\"\n"
		"[env]\nNO_SUCH_VAR_HERE = { required = true }\n");
	assert_int_equal(kt_app_load(dir, &opts, &app, NULL), KT_OK);
	expect_findings(app, "");
	assert_int_equal(app->n_env, 1);
	assert_true(app->env[0].required);
	assert_string_equal(app->buildpack, "python");
	kt_app_free(app);
	drop_dir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_findings),
		cmocka_unit_test(test_hosted),
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_toml_values),
		cmocka_unit_test(test_dotenv),
		cmocka_unit_test(test_jsonc_values),
		cmocka_unit_test(test_config_option),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_manual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
