/* SPDX-License-Identifier: MIT */
/* Styles, widths, cleaning, tables, progress and prompts (on a pseudo-terminal). */
#include "cli/term.h"

#include "base/str.h"
#include "tests/unit/patience.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

static void clear_env(void)
{
	static const char *const names[] = { "NO_COLOR", "KARTA_NO_COLOR", "FORCE_COLOR",
		"CLICOLOR_FORCE", "COLUMNS", "LC_ALL", "LANG", "CI" };

	for (size_t i = 0; i < KT_ARRAY_LEN(names); i++)
		assert_int_equal(unsetenv(names[i]), 0);
	assert_int_equal(setenv("TERM", "xterm", 1), 0);
}

/* Open a pseudo-terminal; the program's side and ours. */
static void open_pty(int *out_tty, int *out_master)
{
	int m = posix_openpt(O_RDWR | O_NOCTTY);
	struct winsize ws = { .ws_row = 24, .ws_col = 33 };

	assert_true(m >= 0);
	assert_int_equal(grantpt(m), 0);
	assert_int_equal(unlockpt(m), 0);
	*out_tty = open(ptsname(m), O_RDWR | O_NOCTTY);
	assert_true(*out_tty >= 0);
	assert_int_equal(ioctl(*out_tty, TIOCSWINSZ, &ws), 0);
	*out_master = m;
}

static void test_init(void **state)
{
	struct kt_term t;
	int tty, master, fds[2];

	open_pty(&tty, &master);
	assert_int_equal(pipe(fds), 0);
	clear_env();
	kt_term_init(&t, tty, KT_COLOR_AUTO);
	assert_true(t.is_tty && t.color && !t.utf8);
	assert_int_equal(t.columns, 33);
	kt_term_init(&t, fds[1], KT_COLOR_AUTO);
	assert_true(!t.is_tty && !t.color);
	assert_int_equal(t.columns, 80);
	assert_int_equal(setenv("COLUMNS", "120", 1), 0);
	assert_int_equal(setenv("LANG", "en_US.utf8", 1), 0);
	kt_term_init(&t, fds[1], KT_COLOR_ALWAYS);
	assert_true(t.color && t.utf8);
	assert_int_equal(t.columns, 120);
	assert_int_equal(setenv("LC_ALL", "C", 1), 0);
	assert_int_equal(setenv("COLUMNS", "nonsense", 1), 0);
	assert_int_equal(setenv("TERM", "dumb", 1), 0);
	kt_term_init(&t, tty, KT_COLOR_AUTO);
	assert_true(!t.color && !t.utf8);
	assert_int_equal(setenv("FORCE_COLOR", "1", 1), 0);
	kt_term_init(&t, fds[1], KT_COLOR_AUTO);
	assert_true(t.color);
	assert_int_equal(t.columns, 80);
	assert_int_equal(setenv("NO_COLOR", "1", 1), 0);
	kt_term_init(&t, tty, KT_COLOR_AUTO);
	assert_false(t.color);
	kt_term_init(&t, tty, KT_COLOR_ALWAYS);
	assert_true(t.color);
	clear_env();
	kt_term_init(&t, tty, KT_COLOR_NEVER);
	assert_false(t.color);
	close(tty);
	close(master);
	close(fds[0]);
	close(fds[1]);
}

static void test_add_and_width(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1024);
	struct kt_term t = { .color = true };

	kt_term_add(&b, &t, KT_STYLE_RED, "red");
	assert_string_equal(b.ptr, "\033[31mred\033[0m");
	assert_int_equal(kt_term_width(b.ptr), 3);
	kt_buf_clear(&b);
	kt_term_add(&b, &t, KT_STYLE_RED, "");
	t.color = false;
	kt_term_add(&b, &t, KT_STYLE_RED, "red");
	assert_string_equal(b.ptr, "red");
	assert_int_equal(kt_term_width("\xe6\xbc\xa2" "a"), 3);
	assert_int_equal(kt_term_width("e\xcc\x81"), 1);
	assert_int_equal(kt_term_width("\xff"), 1);
	assert_int_equal(kt_term_width("\033["), 0);
}

static void pass_is(const char *in, bool styles, const char *want)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1024);
	KT_AUTO_BUF struct kt_buf again = KT_BUF_INIT(1024);

	kt_term_pass(&b, in, strlen(in), styles);
	assert_string_equal(b.ptr, want);
	kt_term_pass(&again, b.ptr, b.len, styles);
	assert_string_equal(again.ptr, want);
}

static void test_pass(void **state)
{
	pass_is("a\n\tb", false, "a\n\tb");
	pass_is("\033[31mred\033[0m", true, "\033[31mred\033[0m");
	pass_is("\033[0;1;3;36mx\033[0m", true, "\033[0;1;3;36mx\033[0m");
	pass_is("\033[31mred", false, "\\u001b[31mred");
	/* What hides, colors the ground, or is no style at all. */
	pass_is("\033[8mx", true, "\\u001b[8mx");
	pass_is("\033[31;7mx", true, "\\u001b[31;7mx");
	pass_is("\033[41mx\033[2Jy", true, "\\u001b[41mx\\u001b[2Jy");
	pass_is("\033[;mx\033[mx", true, "\\u001b[;mx\\u001b[mx");
	pass_is("\033[0001mx\033[", true, "\\u001b[0001mx\\u001b[");
	pass_is("\033]0;t\007\r\x7f", true, "\\u001b]0;t\\u0007\\u000d\\u007f");
	pass_is("\xc2\x9b" "1m\xe2\x80\xae\xff", true, "\\u009b1m\\u202e\\ufffd");
	pass_is("\xf3\xa0\x81\x81", true, "\\udb40\\udc41");
	pass_is("\xf0\x9f\x90\x9b", true, "\xf0\x9f\x90\x9b");
}

static void test_add_cleans(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1024);
	const struct kt_term t = { .color = true };

	kt_term_add(&b, &t, KT_STYLE_RED, "a\n\033[0m");
	kt_term_add_text(&b, &t, KT_STYLE_NONE, "a\n\033[0m");
	assert_string_equal(b.ptr, "\033[31ma\\n\\x1b[0m\033[0ma\n\\x1b[0m");
}

static void test_table(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
	struct kt_term t = { .columns = 30 };
	struct kt_table *tb = kt_table_new(3);

	kt_table_row(tb, (const char *[]){ "ID", "STATE", "TITLE" });
	kt_table_row(tb, (const char *[]){ "1", NULL, "a title that is rather long" });
	kt_table_row(tb, (const char *[]){ "22", "\xe6\xbc\xa2\xe6\xbc\xa2", "x\033[0m" });
	kt_table_row(tb, (const char *[]){ "333", "", "" });
	kt_table_render(&b, &t, tb);
	assert_string_equal(b.ptr, "ID   STATE  TITLE\n"
		"1           a title that is rather long\n"
		"22   \xe6\xbc\xa2\xe6\xbc\xa2   x\\x1b[0m\n"
		"333\n");
	t.is_tty = true;
	kt_buf_clear(&b);
	kt_table_render(&b, &t, tb);
	assert_non_null(strstr(b.ptr, "\n1           a title that is...\n"));
	t.utf8 = true;
	t.color = true;
	kt_buf_clear(&b);
	kt_table_render(&b, &t, tb);
	assert_non_null(strstr(b.ptr, "\n1           a title that is r\xe2\x80\xa6\n"));
	assert_true(kt_str_starts(b.ptr, "\033[2mID   STATE  TITLE\033[0m\n"));
	kt_table_free(tb);
	kt_table_free(NULL);
}

/* Lines of what is drawn that are wider than the terminal. */
static int too_wide(const char *text, int columns)
{
	int n = 0;

	for (const char *p = text; *p;) {
		size_t len = strcspn(p, "\n");
		char line[512];

		snprintf(line, sizeof(line), "%.*s", (int)len, p);
		n += (int)kt_term_width(line) > columns;
		p += len + (p[len] == '\n');
	}
	return n;
}

static void test_table_fits(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
	struct kt_term t = { .columns = 60, .is_tty = true, .utf8 = true };
	struct kt_table *tb = kt_table_new(4);

	kt_table_row(tb, (const char *[]){ "ID", "WHEN", "NAME", "TITLE" });
	kt_table_row(tb, (const char *[]){ "key_0123456789abcdefghij", "59 minutes ago", "ci",
		"\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2" });
	kt_table_row(tb, (const char *[]){ "key_1", "", "a name that goes on", "and a title too" });
	kt_table_render(&b, &t, tb);
	/* What is long is cut, what identifies and a time are not. */
	assert_string_equal(b.ptr,
		"ID                        WHEN            NAME      TITLE\n"
		"key_0123456789abcdefghij  59 minutes ago  ci        \xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2\xe2\x80\xa6\n"
		"key_1                                     a name \xe2\x80\xa6  and a t\xe2\x80\xa6\n");
	for (t.columns = 30; t.columns < 100; t.columns++) {
		kt_buf_clear(&b);
		kt_table_render(&b, &t, tb);
		assert_int_equal(too_wide(b.ptr, t.columns), 0);
		assert_non_null(strstr(b.ptr, "key_0123456789abcdefghij"));
	}
	/* Too narrow for a line: one for each cell that has something in it. */
	t.columns = 30;
	kt_buf_clear(&b);
	kt_table_render(&b, &t, tb);
	assert_non_null(strstr(b.ptr, "\nkey_1\n  NAME   a name that goes on\n  TITLE  and a title too\n"));
	kt_table_free(tb);
}

static void test_progress(void **state)
{
	char got[512];
	int tty, master;
	struct kt_term t;
	struct kt_progress *p;
	ssize_t n;

	clear_env();
	open_pty(&tty, &master);
	assert_int_equal(fcntl(master, F_SETFL, O_NONBLOCK), 0);
	kt_term_init(&t, tty, KT_COLOR_NEVER);
	p = kt_progress_new(tty, &t);
	kt_progress_update(p, "early");
	assert_int_equal(read(master, got, sizeof(got)), -1);
	assert_int_equal(usleep(550000), 0);
	for (int i = 0; i < 100; i++)
		kt_progress_update(p, "loading a text that is wider than the terminal");
	n = read(master, got, sizeof(got) - 1);
	assert_true(n > 0);
	got[n] = '\0';
	/* "0s", or more when it was late. */
	char *text = strstr(got, " 0s");
	if (!text)
		text = got + n - 3;
	assert_true(strspn(text, " 0123456789") == strlen(text) - 1 && kt_str_ends(got, "s"));
	*text = '\0';
	assert_string_equal(got, "\r\033[K| loading a text that i");
	kt_progress_free(p);
	n = read(master, got, sizeof(got) - 1);
	assert_true(n == 4 && !memcmp(got, "\r\033[K", 4));
	kt_progress_free(NULL);
	close(tty);
	close(master);
}

struct typist {
	int master;
	const char *typed;
	bool done;
};

/* Types once the question is there. */
static void *type_answer(void *arg)
{
	struct typist *t = arg;
	char got[256] = "";
	size_t len = 0;

	while (!strstr(got, "Remove\\x1b[2J it? [y/N] ")) {
		ssize_t n = read(t->master, got + len, sizeof(got) - 1 - len);

		if (n <= 0)
			return NULL;
		len += (size_t)n;
		got[len] = '\0';
	}
	t->done = write(t->master, t->typed, strlen(t->typed)) > 0;
	return NULL;
}

static enum kt_code ask(const char *typed, bool *out)
{
	struct kt_err err = KT_ERR_INIT;
	struct typist t = { .typed = typed };
	pthread_t thread;
	enum kt_code code;
	int tty;

	open_pty(&tty, &t.master);
	/* Typed ahead, it is no answer. */
	assert_int_equal(write(t.master, "y\n", 2), 2);
	assert_int_equal(pthread_create(&thread, NULL, type_answer, &t), 0);
	code = kt_prompt_confirm(tty, tty, "Remove\033[2J it?", "--yes", out, &err);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(t.done);
	close(tty);
	close(t.master);
	return code;
}

static void test_confirm(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	bool yes = false;
	int fds[2];

	assert_int_equal(ask("y\n", &yes), KT_OK);
	assert_true(yes);
	assert_int_equal(ask("YES\n", &yes), KT_OK);
	assert_true(yes);
	assert_int_equal(ask("\n", &yes), KT_OK);
	assert_false(yes);
	yes = true;
	assert_int_equal(ask("yesterday\n", &yes), KT_OK);
	assert_false(yes);
	yes = true;
	assert_int_equal(ask("\004", &yes), KT_OK);
	assert_false(yes);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(kt_prompt_confirm(fds[0], fds[1], "Remove it?", "--yes", &yes, &err),
		KT_ECONFIRM);
	assert_string_equal(err.msg, "a confirmation is needed: Remove it?");
	assert_non_null(strstr(err.hint, "--yes"));
	close(fds[0]);
	close(fds[1]);
}

static void wrap_is(int columns, size_t hang, const char *text, const char *want)
{
	const struct kt_term t = { .columns = columns, .is_tty = true };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 16);

	kt_term_wrap(&b, &t, KT_STYLE_NONE, text, hang);
	assert_string_equal(b.ptr ? b.ptr : "", want);
}

static void test_wrap(void **state)
{
	const struct kt_term pipe = { .columns = 20 };
	const struct kt_term color = { .columns = 20, .is_tty = true, .color = true };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 16);

	wrap_is(20, 2, "", "");
	wrap_is(20, 2, "fits\n  as it is\n", "fits\n  as it is\n");
	wrap_is(20, 2, "words that do not fit on one", "words that do not\n  fit on one");
	wrap_is(20, 0, "averyveryveryverylongword and more", "averyveryveryverylongword\nand more");
	wrap_is(20, 0, "\xe4\xb8\xad\xe6\x96\x87 \xe4\xb8\xad\xe6\x96\x87 \xe4\xb8\xad\xe6\x96\x87 \xe4\xb8\xad\xe6\x96\x87 x",
		"\xe4\xb8\xad\xe6\x96\x87 \xe4\xb8\xad\xe6\x96\x87 \xe4\xb8\xad\xe6\x96\x87 \xe4\xb8\xad\xe6\x96\x87\nx");
	wrap_is(20, 0, "\033[2J", "\\x1b[2J");
	kt_term_wrap(&b, &pipe, KT_STYLE_DIM, "words that do not fit on one", 2);
	assert_string_equal(b.ptr, "words that do not fit on one");
	kt_buf_clear(&b);
	/* Each line has its style for itself. */
	kt_term_wrap(&b, &color, KT_STYLE_DIM, "words that do not fit on one", 2);
	assert_string_equal(b.ptr, "\033[2mwords that do not\033[0m\n  \033[2mfit on one\033[0m");
}

static void test_cut(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 16);

	kt_term_cut(&b, "short", 5, 10);
	kt_buf_addc(&b, '|');
	kt_term_cut(&b, "a line that is long", 19, 10);
	kt_buf_addc(&b, '|');
	kt_term_cut(&b, "\xe4\xb8\xad\xe6\x96\x87\xe4\xb8\xad\xe6\x96\x87\xe4\xb8\xad\xe6\x96\x87", 18, 10);
	assert_string_equal(b.ptr, "short|a line ...|\xe4\xb8\xad\xe6\x96\x87\xe4\xb8\xad...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init),
		cmocka_unit_test(test_add_and_width),
		cmocka_unit_test(test_pass),
		cmocka_unit_test(test_add_cleans),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_table_fits),
		cmocka_unit_test(test_progress),
		cmocka_unit_test(test_confirm),
		cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
