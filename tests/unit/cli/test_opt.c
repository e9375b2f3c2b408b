/* SPDX-License-Identifier: MIT */
/* The option parser: every type, spelling and error. */
#include "cli/opt.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct args {
	bool wait;
	bool no_chat;
	const char *name;
	struct kt_vec tags;
	int64_t port;
	int64_t timeout_ms;
	const char *mode;
	const char *bare;
	int level;
	const char *first;
	const char *second;
	struct kt_vec rest;
};

struct globals {
	bool json;
	bool version;
	int64_t timeout_ms;
	const char *server;
};

static const char *const modes[] = { "fast", "slow", NULL };

static const struct kt_opt opts[] = {
	KT_OPT_FLAG_('w', "wait", struct args, wait, "wait"),
	KT_OPT_FLAG_(0, "no-chat", struct args, no_chat, "no chat"),
	KT_OPT_STR_('n', "name", struct args, name, "NAME", "name"),
	KT_OPT_LIST_('t', "tag", struct args, tags, "TAG", "tag"),
	KT_OPT_INT_('p', "port", struct args, port, "PORT", 1, 65535, "port"),
	KT_OPT_DURATION_(0, "timeout", struct args, timeout_ms, "time"),
	KT_OPT_CHOICE_('m', "mode", struct args, mode, "MODE", modes, "mode"),
	{ KT_OPT_T_STR, 0, "bare", "WHERE", offsetof(struct args, bare), "bare", KT_OPT_BARE },
	KT_OPT_COUNT_('l', "level", struct args, level, "level"),
	KT_OPT_ARG_("first", struct args, first, KT_OPT_REQUIRED, "first"),
	KT_OPT_ARG_("second", struct args, second, 0, "second"),
	KT_OPT_ARGS_("rest", struct args, rest, 0, "rest"),
	KT_OPT_END,
};

static const struct kt_opt globals[] = {
	KT_OPT_FLAG_('h', "help", struct globals, json, "help"),
	KT_OPT_FLAG_(0, "json", struct globals, json, "json"),
	KT_OPT_FLAG_(0, "version", struct globals, version, "version"),
	KT_OPT_DURATION_(0, "timeout", struct globals, timeout_ms, "time"),
	KT_OPT_STR_('s', "server", struct globals, server, "URL", "server"),
	KT_OPT_END,
};

static struct args a;
static struct globals g;
static struct kt_err err;
static bool help;

/* Parse words divided by blanks; "_" is an empty word. */
static enum kt_code parse(const char *line)
{
	static char text[256];
	static char empty[1];
	char *argv[32];
	int argc = 0;
	struct kt_opt_set sets[] = { { opts, &a }, { globals, &g } };

	kt_opt_release(opts, &a);
	memset(&a, 0, sizeof(a));
	memset(&g, 0, sizeof(g));
	memset(&err, 0, sizeof(err));
	assert_true(kt_str_copy(text, sizeof(text), line));
	for (char *p = text; *p;) {
		char *end = p + strcspn(p, " ");
		bool last = *end == '\0';

		*end = '\0';
		argv[argc++] = strcmp(p, "_") ? p : empty;
		p = last ? end : end + 1;
	}
	argv[argc] = NULL;
	struct kt_opt_bad bad;

	return kt_opt_parse(sets, 2, argc, argv, &help, &bad, &err);
}

static void ok(const char *line)
{
	if (parse(line) != KT_OK)
		fail_msg("'%s': %s", line, err.msg);
	assert_false(help);
}

static void bad(const char *line, const char *msg, const char *hint)
{
	assert_int_equal(parse(line), KT_EINVAL);
	assert_string_equal(err.msg, msg);
	assert_string_equal(err.hint, hint);
}

static void test_values(void **state)
{
	ok("x");
	assert_string_equal(a.first, "x");
	assert_null(a.second);
	ok("--name=n x");
	assert_string_equal(a.name, "n");
	ok("--name n x");
	assert_string_equal(a.name, "n");
	ok("-nn x");
	assert_string_equal(a.name, "n");
	ok("-n n x");
	assert_string_equal(a.name, "n");
	ok("--name= x");
	assert_string_equal(a.name, "");
	ok("--name -- x");
	assert_string_equal(a.name, "--");
	ok("-p8000 x");
	assert_int_equal(a.port, 8000);
	ok("x --port 65535");
	assert_int_equal(a.port, 65535);
	ok("--timeout 2m x");
	assert_int_equal(a.timeout_ms, 120000);
	assert_int_equal(g.timeout_ms, 0);
	ok("-m slow x");
	assert_string_equal(a.mode, "slow");
	ok("--name a --name b x");
	assert_string_equal(a.name, "b");
	/* A value that may be left out is given by '=' only. */
	ok("x");
	assert_null(a.bare);
	ok("--bare x");
	assert_string_equal(a.bare, "");
	assert_string_equal(a.first, "x");
	ok("--bare=here x");
	assert_string_equal(a.bare, "here");
	assert_int_equal(parse("--bare= x"), KT_EINVAL);
	assert_string_equal(err.msg, "option '--bare' needs a value (WHERE)");
}

static void test_flags(void **state)
{
	ok("-w x");
	assert_true(a.wait);
	ok("--wait --no-wait x");
	assert_false(a.wait);
	ok("--no-chat x");
	assert_true(a.no_chat);
	ok("-lll x");
	assert_int_equal(a.level, 3);
	ok("-wlp80 x");
	assert_true(a.wait);
	assert_int_equal(a.level, 1);
	assert_int_equal(a.port, 80);
	ok("--json x");
	assert_true(g.json);
}

static void test_lists_and_args(void **state)
{
	ok("-ta --tag b --tag=c x y z w");
	assert_int_equal(a.tags.len, 3);
	assert_string_equal(a.tags.items[2], "c");
	assert_string_equal(a.second, "y");
	assert_int_equal(a.rest.len, 2);
	assert_string_equal(a.rest.items[1], "w");
	ok("- -- --wait -x");
	assert_string_equal(a.first, "-");
	assert_string_equal(a.second, "--wait");
	assert_string_equal(a.rest.items[0], "-x");
	assert_false(a.wait);
	ok("_ -w");
	assert_string_equal(a.first, "");
}

static void test_abbreviations(void **state)
{
	ok("--na n x");
	assert_string_equal(a.name, "n");
	ok("--no-w x");
	ok("--ti 1s x");
	assert_int_equal(a.timeout_ms, 1000);
	ok("--v x");
	assert_true(g.version);
	bad("--n x", "option '--n' is ambiguous: '--no-wait', '--no-chat', '--name', '--no-json', "
		"'--no-version'", "");
	bad("--no-x x", "unknown option '--no-x'", "");
}

static void test_errors(void **state)
{
	bad("", "missing argument <first>", "");
	bad("--prot 1 x", "unknown option '--prot'", "did you mean '--port'?");
	bad("--prot=1 x", "unknown option '--prot'", "did you mean '--port'?");
	bad("-port 1 x", "'--port': 'ort' is not a whole number", "");
	bad("-z x", "unknown option '-z'", "");
	bad("-wz x", "unknown option '-z'", "");
	bad("x --name", "option '--name' needs a value (NAME)", "");
	bad("x -n", "option '--name' needs a value (NAME)", "");
	bad("--wait=yes x", "option '--wait' takes no value", "");
	bad("--port 0 x", "'--port': 0 is not between 1 and 65535", "");
	bad("--port 99999999999999999999 x", "'--port': '99999999999999999999' is not a whole number",
		"");
	bad("--port 1x x", "'--port': '1x' is not a whole number", "");
	bad("--timeout 1y x", "'--timeout': '1y' is not a time",
		"write it as 90, 1500ms, 10s, 5m, 2h or 3d");
	bad("--mode solw x", "'--mode': 'solw' is not one of fast, slow", "did you mean 'slow'?");
	bad("--=x", "unknown option '--'", "");
}

static void test_surplus(void **state)
{
	static const struct kt_opt none[] = { KT_OPT_END };
	char word[] = "x";
	char *argv[] = { word, NULL };
	const struct kt_opt_set set = { none, NULL };
	struct kt_opt_bad bad;

	assert_int_equal(kt_opt_parse(&set, 1, 1, argv, &help, &bad, &err), KT_EINVAL);
	assert_string_equal(err.msg, "unexpected argument 'x'");
	assert_int_equal(kt_opt_parse(&set, 1, 0, argv, &help, &bad, NULL), KT_OK);
}

static void test_help(void **state)
{
	static const char *const lines[] = { "--help", "-h", "-wh", "--he", "--help --nonsense", "x -h" };

	for (size_t i = 0; i < KT_ARRAY_LEN(lines); i++) {
		assert_int_equal(parse(lines[i]), KT_OK);
		assert_true(help);
	}
	assert_int_equal(parse("-- --help"), KT_OK);
	assert_false(help);
	bad("--no-help x", "unknown option '--no-help'", "");
}

static void test_first_positional(void **state)
{
	struct kt_opt_set sets[] = { { opts, NULL }, { globals, NULL } };
	char name[] = "--name", wait[] = "-w", np[] = "-wn", eq[] = "--name=x", word[] = "word";
	char dashes[] = "--", unknown[] = "--unknown";
	char *a1[] = { name, wait, word, NULL };
	char *a2[] = { wait, eq, word, NULL };
	char *a3[] = { dashes, word, NULL };
	char *a4[] = { unknown, word, NULL };
	char *a5[] = { np, word, word, NULL };

	assert_int_equal(kt_opt_first_positional(sets, 2, 3, a1), 2);
	assert_int_equal(kt_opt_first_positional(sets, 2, 3, a2), 2);
	assert_int_equal(kt_opt_first_positional(sets, 2, 2, a3), 2);
	assert_int_equal(kt_opt_first_positional(sets, 2, 2, a4), 1);
	assert_int_equal(kt_opt_first_positional(sets, 2, 3, a5), 2);
	assert_int_equal(kt_opt_first_positional(sets, 2, 1, a1), 1);
}

static int tidy(void **state)
{
	kt_opt_release(opts, &a);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_lists_and_args),
		cmocka_unit_test(test_abbreviations),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_surplus),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_first_positional),
	};

	return cmocka_run_group_tests(tests, NULL, tidy);
}
