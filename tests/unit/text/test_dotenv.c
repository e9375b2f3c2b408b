/* SPDX-License-Identifier: MIT */
/* dotenv files: what the common libraries read, what none of them should, and the way back. */
#include "text/dotenv.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void collect(void *arg, int line, const char *name, const char *value)
{
	(void)line;
	kt_buf_addf(arg, "%s=%s;", name, value);
}

static void bad(void *arg, int line, const char *what)
{
	kt_buf_addf(arg, "(%d: %s)", line, what);
}

static void expect(const char *text, const char *want)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(100000);

	kt_dotenv_parse(text, strlen(text), collect, bad, &b);
	if (strcmp(b.ptr, want) != 0)
		fail_msg("%s: %s", text, b.ptr);
}

static void test_plain(void **state)
{
	(void)state;
	expect("", "");
	expect("# only\n\n  # words\n", "");
	expect("A=1\nB=two words  \n C = 3 \nD=\nE=x", "A=1;B=two words;C=3;D=;E=x;");
	expect("export A=1\nexport\tB=2\nexported=3\n", "A=1;B=2;exported=3;");
	expect("\xef\xbb\xbf" "A=1\r\nB='x'\r\nC=\"y\"\r\n", "A=1;B=x;C=y;");
	expect("A=1 # one\nB=a#b\nC=#none\nD= # none\n", "A=1;B=a#b;C=;D=;");
	expect("A=$B ${C} \\n\nU=postgres://u:p@h/db?x=1&y=2\n", "A=$B ${C} \\n;U=postgres://u:p@h/db?x=1&y=2;");
	expect("A=it's\nB=say \"x\"\n", "A=it's;B=say \"x\";");
	expect("A=1\nA=2\n", "A=1;A=2;");
}

static void test_quoted(void **state)
{
	(void)state;
	expect("A='a # b $c \\n \"d\"' # e\nB=2\n", "A=a # b $c \\n \"d\";B=2;");
	expect("A=\"a\\nb\\tc\\\"d\\\\e\\$f\\x\"\n", "A=a\nb\tc\"d\\e$f\\x;");
	expect("A=`it's \"x\"`\n", "A=it's \"x\";");
	expect("A=\"one\ntwo\r\nthree\"\nB='x\ny'\n", "A=one\ntwo\nthree;B=x\ny;");
	expect("A=''\nB=\"\"#c\n", "A=;B=;");
	expect("A=\"x\\\ny\"\n", "A=x\\\ny;");
}

static void test_refused(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1000);

	(void)state;
	expect("A=1\nB\nC=2\n", "A=1;(2: not a NAME=value line)C=2;");
	expect("=1\n1A=x\nA B=1\n", "(1: not a NAME=value line)(2: not a NAME=value line)(3: not a NAME=value line)");
	expect("A='x\n\n", "(1: the quote is not closed)");
	expect("\nA=\"x\\\"\n", "(2: the quote is not closed)");
	expect("A='x\ny'z\nB=1\n", "(1: text behind the closing quote)B=1;");
	kt_dotenv_parse("A=1\0\n", 5, collect, bad, &b);
	assert_string_equal(b.ptr, "(1: the value holds a NUL character)");
	kt_buf_clear(&b);
	kt_dotenv_parse("\0A=1\nB='x'\0y\n", 12, collect, bad, &b);
	assert_string_equal(b.ptr, "(1: not a NAME=value line)(2: text behind the closing quote)");
}

static void test_back(void **state)
{
	static const char *const values[] = { "", "1", "two words", " edges ", "it's", "say \"x\"",
		"it's \"$x\" \\ `y`", "a\nb\n", "a\r\nb's", "#x", "a #x", "'x'", "\\n", "$HOME",
		"postgres://u:p%40@h:5/db?a=b", "=", "\t", "umlaut \xc3\xa4" };
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(100000);
	KT_AUTO_BUF struct kt_buf want = KT_BUF_INIT(100000);
	KT_AUTO_BUF struct kt_buf got = KT_BUF_INIT(100000);

	(void)state;
	for (size_t i = 0; i < KT_ARRAY_LEN(values); i++) {
		kt_dotenv_add(&text, "N", values[i]);
		kt_buf_addf(&want, "N=%s;", values[i]);
	}
	kt_dotenv_parse(text.ptr, text.len, collect, bad, &got);
	assert_string_equal(got.ptr, want.ptr);
	kt_buf_clear(&text);
	kt_dotenv_add(&text, "A", "plain");
	kt_dotenv_add(&text, "B", "two words");
	assert_string_equal(text.ptr, "A=plain\nB='two words'\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_quoted),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
