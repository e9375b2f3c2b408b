/* SPDX-License-Identifier: MIT */
/* Help, usage, dump and completions of a small table. */
#include "cli/help.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

struct args {
	bool wait;
	bool secret;
	const char *dir;
	struct kt_vec tags;
	int64_t port;
	const char *shell;
};

static const char *const shells[] = { "bash", "zsh", NULL };
static const struct kt_opt globals[] = {
	KT_OPT_FLAG_(0, "json", struct args, wait, "print JSON"),
	KT_OPT_END,
};
static const struct kt_opt run_opts[] = {
	KT_OPT_INT_('p', "port", struct args, port, "PORT", 1, 65535, "port to listen on"),
	KT_OPT_FLAG_(0, "wait", struct args, wait, "it's [odd]: yes"),
	{ KT_OPT_T_FLAG, 0, "secret", NULL, offsetof(struct args, secret), "no", KT_OPT_HIDDEN },
	KT_OPT_LIST_('t', "tag", struct args, tags, "TAG", "tags"),
	KT_OPT_ARG_("dir", struct args, dir, KT_OPT_REQUIRED | KT_OPT_DIR, "the folder"),
	KT_OPT_ARGS_("rest", struct args, tags, 0, "the rest"),
	KT_OPT_END,
};
static const struct kt_opt show_opts[] = {
	{ KT_OPT_T_ARG, 0, "shell", "shell", offsetof(struct args, shell), "the shell", 0, 0, 0,
		shells },
	KT_OPT_END,
};

static enum kt_code run(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	return KT_OK;
}

static const struct kt_cmd cmd_show = { .name = "show", .summary = "show one", .opts = show_opts,
	.run = run };
static const struct kt_cmd cmd_ghost = { .name = "ghost", .summary = "unseen", .run = run,
	.hidden = true };
static const struct kt_cmd *const subs[] = { &cmd_show, &cmd_ghost, NULL };
static const struct kt_cmd cmd_run = { .name = "run", .summary = "run it", .opts = run_opts,
	.run = run, .examples = "prog run .\n", .group = KT_GROUP_START };
static const struct kt_cmd cmd_things = { .name = "things", .summary = "work on things",
	.subs = subs, .aliases = "thing, th", .group = KT_GROUP_OTHER };
static const struct kt_cmd *const cmds[] = { &cmd_run, &cmd_things, &cmd_ghost, NULL };

static const struct kt_term plain = { .columns = 60 };

static bool has(const struct kt_buf *b, const char *what)
{
	if (strstr(b->ptr, what))
		return true;
	print_message("%s", b->ptr);
	return false;
}

static void test_find(void **state)
{
	assert_ptr_equal(kt_cmd_find(cmds, "run"), &cmd_run);
	assert_ptr_equal(kt_cmd_find(cmds, "thing"), &cmd_things);
	assert_ptr_equal(kt_cmd_find(cmds, "th"), &cmd_things);
	assert_null(kt_cmd_find(cmds, "thin"));
	assert_null(kt_cmd_find(cmds, ""));
	assert_null(kt_cmd_find(NULL, "run"));
}

static void test_usage(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);
	const struct kt_cmd *path[] = { &cmd_things, &cmd_show };
	const struct kt_cmd *top[] = { &cmd_run };

	kt_help_usage(&b, "prog", top, 1);
	assert_string_equal(b.ptr,
		"prog run [--port PORT] [--wait] [--tag TAG]... <dir> [<rest>...]");
	kt_buf_clear(&b);
	kt_help_usage(&b, "prog", path, 2);
	assert_string_equal(b.ptr, "prog things show [<shell>]");
	kt_buf_clear(&b);
	kt_help_usage(&b, "prog", path, 1);
	assert_string_equal(b.ptr, "prog things <command> [<args>...]");
}

static void test_command(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
	const struct kt_cmd *top[] = { &cmd_run };
	const struct kt_cmd *things[] = { &cmd_things };

	kt_help_command(&b, &plain, "prog", top, 1, globals);
	assert_string_equal(b.ptr,
		"usage: prog run [--port PORT] [--wait] [--tag TAG]... <dir>\n"
		"                [<rest>...]\n"
		"\nrun it\n"
		"\narguments\n"
		"  <dir>   the folder\n"
		"  <rest>  the rest\n"
		"\noptions\n"
		"  -p, --port PORT  port to listen on\n"
		"      --wait       it's [odd]: yes\n"
		"  -t, --tag TAG    tags\n"
		"\noptions of every command (see 'karta help')\n"
		"  --json\n"
		"\nexamples\n"
		"  prog run .\n");
	kt_buf_clear(&b);
	kt_help_command(&b, &plain, "prog", things, 1, globals);
	assert_true(has(&b, "\ncommands\n  show  show one\n"));
	assert_null(strstr(b.ptr, "ghost"));
}

static void test_overview(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
	struct kt_term color = { .columns = 60, .color = true };

	kt_help_overview(&b, &plain, "prog", cmds, globals, NULL);
	assert_true(has(&b, "\nstart a project\n  run     run it\n"));
	assert_true(has(&b, "\nother\n  things  work on things\n"));
	assert_null(strstr(b.ptr, "ghost"));
	assert_null(strstr(b.ptr, "talk to agents"));
	assert_null(strchr(b.ptr, '\033'));
	kt_buf_clear(&b);
	kt_help_overview(&b, &color, "prog", cmds, globals, NULL);
	assert_non_null(strchr(b.ptr, '\033'));
}

static void test_dump(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);

	kt_help_dump(&b, "prog", cmds, globals);
	assert_true(has(&b, "option\t\t--json\t\t\tprint JSON\n"));
	assert_true(has(&b, "command\trun\trun it\n"));
	assert_true(has(&b, "option\trun\t--port\t-p\tPORT\tport to listen on\n"));
	assert_true(has(&b, "argument\trun\tdir\t\t\tthe folder\n"));
	assert_true(has(&b, "usage\tthings show\tprog things show [<shell>]\n"));
	assert_null(strstr(b.ptr, "secret"));
	assert_null(strstr(b.ptr, "ghost"));
	assert_null(strstr(b.ptr, "usage\tthings\t"));
}

static void test_completion(void **state)
{
	static const char *const names[] = { "bash", "zsh", "fish" };
	struct kt_err err = KT_ERR_INIT;

	for (size_t i = 0; i < KT_ARRAY_LEN(names); i++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);

		assert_int_equal(kt_help_completion(&b, names[i], "prog", cmds, globals, &err), KT_OK);
		assert_true(has(&b, "port"));
		assert_true(has(&b, "bash zsh"));
		assert_null(strstr(b.ptr, "ghost"));
		assert_null(strstr(b.ptr, "@"));
	}
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);

	assert_int_equal(kt_help_completion(&b, "csh", "prog", cmds, globals, &err), KT_EINVAL);
	KT_AUTO_BUF struct kt_buf tiny = KT_BUF_INIT(10);

	assert_int_equal(kt_help_completion(&tiny, "zsh", "prog", cmds, globals, &err), KT_ELIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_overview),
		cmocka_unit_test(test_dump),
		cmocka_unit_test(test_completion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
