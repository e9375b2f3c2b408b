/* SPDX-License-Identifier: MIT */
/*
 * Tests of the environment and its table.
 */
#include "base/env.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_table(void **state)
{
	size_t n = 0;

	for (const struct kt_env_var *v = kt_env_table(); v->name; v++, n++) {
		assert_int_equal(strspn(v->name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"), strlen(v->name));
		assert_true(v->help[0] && !strchr(v->help, '\n') && !kt_str_ends(v->help, "."));
		for (const struct kt_env_var *w = kt_env_table(); w != v; w++)
			assert_string_not_equal(v->name, w->name);
	}
	assert_true(n > 40);
}

static void test_get(void **state)
{
	unsetenv("KARTA_SERVER");
	assert_null(kt_env_get("KARTA_SERVER"));
	setenv("KARTA_SERVER", "", 1);
	assert_null(kt_env_get("KARTA_SERVER"));
	/* A longer name with the same start is another variable. */
	unsetenv("KARTA_SERVER");
	setenv("KARTA_SERVERS", "no", 1);
	assert_null(kt_env_get("KARTA_SERVER"));
	setenv("KARTA_SERVER", "a=b", 1);
	assert_string_equal(kt_env_get("KARTA_SERVER"), "a=b");
	assert_non_null(kt_env_all());
}

static void test_no_environment(void **state)
{
	char **saved = environ;

	environ = NULL;
	assert_null(kt_env_get("HOME"));
	assert_null(kt_env_all()[0]);
	environ = saved;
}

static void test_flag(void **state)
{
	static const struct {
		const char *value;
		bool want;
	} cases[] = {
		{ "1", true }, { "true", true }, { "TRUE", true }, { "yes", true }, { "On", true },
		{ "", false }, { "0", false }, { "false", false }, { "no", false },
		{ "off", false },
		{ "11", false }, { " 1", false },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		setenv("KARTA_DEBUG", cases[i].value, 1);
		assert_int_equal(kt_env_flag("KARTA_DEBUG"), cases[i].want);
	}
	unsetenv("KARTA_DEBUG");
	assert_false(kt_env_flag("KARTA_DEBUG"));
}

/* Asking for what is not in the table is a bug, and must show as one. */
static void test_unknown_name(void **state)
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		if (!freopen("/dev/null", "w", stderr))
			_exit(3);
		_exit(kt_env_get("KARTA_NO_SUCH_NAME") ? 1 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void test_name_ok(void **state)
{
	char longest[130];

	memset(longest, 'A', sizeof(longest));
	longest[129] = '\0';
	assert_false(kt_env_name_ok(longest));
	longest[128] = '\0';
	assert_true(kt_env_name_ok(longest));
	assert_true(kt_env_name_ok("_") && kt_env_name_ok("a1_B") && kt_env_name_ok("KARTA"));
	assert_false(kt_env_name_ok("") || kt_env_name_ok("1A") || kt_env_name_ok("A-B"));
	assert_false(kt_env_name_ok("A ") || kt_env_name_ok("KARTA_X") || kt_env_name_ok("LD_X"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),          cmocka_unit_test(test_get),
		cmocka_unit_test(test_no_environment), cmocka_unit_test(test_flag),
		cmocka_unit_test(test_unknown_name),   cmocka_unit_test(test_name_ok),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
