/* SPDX-License-Identifier: MIT */
/* Plain words of a shell command, and everything that is none. */
#include "text/shell.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The words with '|' between, or "-" when there are none. */
static void expect(const char *command, const char *words)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(100000);
	struct kt_vec v = KT_VEC_INIT;

	if (kt_shell_words(command, &v)) {
		for (size_t i = 0; i < v.len; i++)
			kt_buf_addf(&b, "%s%s", i ? "|" : "", (char *)v.items[i]);
	} else {
		assert_int_equal(v.len, 0);
		kt_buf_addc(&b, '-');
	}
	if (strcmp(b.ptr, words) != 0)
		fail_msg("%s: %s", command, b.ptr);
	while (v.len)
		free(kt_vec_remove(&v, v.len - 1));
	kt_vec_release(&v);
}

static void test_words(void **state)
{
	(void)state;
	expect("ls", "ls");
	expect("  ls\t -l  a/b.c ", "ls|-l|a/b.c");
	expect("ls 'a b' \"c d\" e'f'g", "ls|a b|c d|efg");
	expect("ls ''", "ls|");
	expect("ls '$x `y` ;|&<>*?[]{}()#~!\\' \"'\"", "ls|$x `y` ;|&<>*?[]{}()#~!\\|'");
	expect("git diff HEAD~2 HEAD^ a..b --x=y a,b:c@d%e+f", "git|diff|HEAD~2|HEAD^|a..b|--x=y|a,b:c@d%e+f");
}

static void test_doubtful(void **state)
{
	static const char *const no[] = { "", " ", "ls;", "ls ; x", "ls && x", "ls || x", "ls | x", "ls &",
		"ls\n", "ls\nx", "ls\r", "\nls", "ls > x", "ls < x", "ls 2>x", "ls >& x", "ls <<x", "ls $x",
		"ls ${x}", "ls $(x)", "ls `x`", "ls \"$x\"", "ls \"`x`\"", "ls \"a\\\"b\"", "ls \"!x\"",
		"ls $'x'", "ls *", "ls a?", "ls [a]", "ls {a,b}", "ls ~", "ls ~x", "ls a=~", "ls a:~",
		"ls =x", "ls ^x", "ls #x", "ls a#b", "ls !x", "ls a\\b", "ls \\", "ls 'a", "ls \"a", "x=1 ls",
		"x=1", "/bin/ls", "./ls", "~/ls", "'ls'", "l's'", "\"ls\"", "l\\s", "LS", "ls2", "-ls", "(ls)",
		"{ ls", "! ls", "ls \x01", "ls \x7f", "ls 'a\tb'", "ls 'a\nb'", "ls \xc3\xa9",
		"ls '\xc3\xa9'", "l\xd1\x95", "ls\xc2\xa0x", "ls \xe2\x80\x8bx" };

	(void)state;
	for (size_t i = 0; i < KT_ARRAY_LEN(no); i++)
		expect(no[i], "-");
	/* Every single byte that is no plain one, in the middle of a word and as one. */
	for (int c = 1; c < 256; c++) {
		char text[8] = { 'l', 's', ' ', 'a', (char)c, 'b', 0 };
		bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			strchr("_./,:@%+-=~^", c);

		if (!plain && c != ' ' && c != '\t')
			expect(text, "-");
	}
}

static void test_limits(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(100000);

	(void)state;
	kt_buf_adds(&b, "ls");
	for (int i = 0; i < 64; i++)
		kt_buf_adds(&b, " a");
	expect(b.ptr, "-");
	kt_buf_clear(&b);
	kt_buf_adds(&b, "ls ");
	for (int i = 0; i < 5000; i++)
		kt_buf_addc(&b, 'a');
	expect(b.ptr, "-");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_doubtful),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
