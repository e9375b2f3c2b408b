/* SPDX-License-Identifier: MIT */
/*
 * The TOML reader against tables of right texts (with the tree they make, written as JSON-like
 * text) and wrong ones (with the place and a part of the message).
 */
#include "text/toml.h"

#include "base/buf.h"
#include "base/limits.h"
#include "tests/unit/patience.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void dump(struct kt_buf *b, const struct kt_toml *v)
{
	switch (v->type) {
	case KT_TOML_TABLE:
	case KT_TOML_ARRAY:
		kt_buf_addc(b, v->type == KT_TOML_TABLE ? '{' : '[');
		for (const struct kt_toml *c = v->child; c; c = c->next) {
			if (c != v->child)
				kt_buf_addc(b, ',');
			if (v->type == KT_TOML_TABLE)
				kt_buf_addf(b, "%s:", c->key);
			dump(b, c);
		}
		kt_buf_addc(b, v->type == KT_TOML_TABLE ? '}' : ']');
		break;
	case KT_TOML_STRING:
		assert_int_equal(v->str[v->str_len], '\0');
		kt_buf_addc(b, '"');
		kt_buf_add(b, v->str, v->str_len);
		kt_buf_addc(b, '"');
		break;
	case KT_TOML_DATETIME:
		kt_buf_addf(b, "@%s", v->str);
		break;
	case KT_TOML_INT:
		kt_buf_addf(b, "%lld", (long long)v->i);
		break;
	case KT_TOML_FLOAT:
		kt_buf_addf(b, "f%.15g", v->f);
		break;
	case KT_TOML_BOOL:
		kt_buf_adds(b, v->i ? "true" : "false");
		break;
	}
}

struct text_case {
	const char *text, *want;
};

static const struct text_case valid[] = {
	{ "", "{}" },
	{ "\n\n  \t\n", "{}" },
	{ "# only a comment", "{}" },
	{ "\xef\xbb\xbf" "a=1", "{a:1}" },
	{ "a = 1 # c\r\nb=2\r\n", "{a:1,b:2}" },
	/* keys */
	{ "a-b_c9 = 1", "{a-b_c9:1}" },
	{ "1234 = 1", "{1234:1}" },
	{ "-1 = 1\n_ = 2", "{-1:1,_:2}" },
	{ "\"a b\" = 1\n'c\"d' = 2", "{a b:1,c\"d:2}" },
	{ "\"\" = 1", "{:1}" },
	{ "'' = 1", "{:1}" },
	{ "\"\\u00e9\" = 1", "{\xc3\xa9:1}" },
	{ "a.b.c = 1\na.b.d = 2", "{a:{b:{c:1,d:2}}}" },
	{ "a . \"b.c\" . d = 1", "{a:{b.c:{d:1}}}" },
	{ "3.14 = 1", "{3:{14:1}}" },
	{ "true = 1\ninf = 2\n2020-01-01 = 3", "{true:1,inf:2,2020-01-01:3}" },
	{ "a.x=1\nb=2\na.y=3", "{a:{x:1,y:3},b:2}" },
	/* integers */
	{ "a=[0,+0,-0,+99,-17,1_000,5_349_221,1_2_3]", "{a:[0,0,0,99,-17,1000,5349221,123]}" },
	{ "a=[0xDEADBEEF,0xdead_beef,0o755,0b1101_0110,0x0,0x00ff]",
		"{a:[3735928559,3735928559,493,214,0,255]}" },
	{ "a=[9223372036854775807,-9223372036854775808,0x7fffffffffffffff]",
		"{a:[9223372036854775807,-9223372036854775808,9223372036854775807]}" },
	/* floats */
	{ "a=[1.0,+1.5,-0.25,5e+22,1e06,-2E-2,6.5e-3,1_0.2_5,0e0,0.0]",
		"{a:[f1,f1.5,f-0.25,f5e+22,f1000000,f-0.02,f0.0065,f10.25,f0,f0]}" },
	{ "a=[inf,+inf,-inf]", "{a:[finf,finf,f-inf]}" },
	{ "a=1e10\nb=123e-5\nc=1.5e-9", "{a:f10000000000,b:f0.00123,c:f1.5e-09}" },
	/* booleans */
	{ "a=true\nb=false", "{a:true,b:false}" },
	/* basic strings */
	{ "a=\"\"", "{a:\"\"}" },
	{ "a=\"x # no comment\"", "{a:\"x # no comment\"}" },
	{ "a=\"\\b\\t\\n\\f\\r\\\"\\\\\"", "{a:\"\b\t\n\f\r\"\\\"}" },
	{ "a=\"\\u00E9\\U0001F600\"", "{a:\"\xc3\xa9\xf0\x9f\x98\x80\"}" },
	{ "a=\"tab\there\"", "{a:\"tab\there\"}" },
	{ "a=\"\xe2\x82\xac\"", "{a:\"\xe2\x82\xac\"}" },
	/* literal strings */
	{ "a='C:\\x\\u12'", "{a:\"C:\\x\\u12\"}" },
	{ "a='\"'", "{a:\"\"\"}" },
	{ "a=''", "{a:\"\"}" },
	/* multi-line strings */
	{ "a=\"\"\"\"\"\"", "{a:\"\"}" },
	{ "a=\"\"\"\nx\ny\"\"\"", "{a:\"x\ny\"}" },
	{ "a=\"\"\"\r\nx\r\ny\"\"\"", "{a:\"x\r\ny\"}" },
	{ "a=\"\"\"x \\\n\n  \t y\"\"\"", "{a:\"x y\"}" },
	{ "a=\"\"\"x \\  \r\n  y\"\"\"", "{a:\"x y\"}" },
	{ "a=\"\"\"\\\n  \"\"\"", "{a:\"\"}" },
	{ "a=\"\"\"x\"\"y\"\"\"", "{a:\"x\"\"y\"}" },
	{ "a=\"\"\"\"\"x\"\"\"\"\"", "{a:\"\"\"x\"\"\"}" },
	{ "a=\"\"\"x\\\"\"\"\"", "{a:\"x\"\"}" },
	{ "a=\"\"\"\\u0041\\\\\n\"\"\"", "{a:\"A\\\n\"}" },
	{ "a='''\nC:\\ '' \\\ny'''", "{a:\"C:\\ '' \\\ny\"}" },
	{ "a=''''x'''''", "{a:\"'x''\"}" },
	{ "a=''''''", "{a:\"\"}" },
	/* dates and times */
	{ "a=1979-05-27T07:32:00Z", "{a:@1979-05-27T07:32:00Z}" },
	{ "a=1979-05-27t00:32:00.999999z", "{a:@1979-05-27t00:32:00.999999z}" },
	{ "a=1979-05-27 07:32:00-07:00 # c", "{a:@1979-05-27 07:32:00-07:00}" },
	{ "a=1979-05-27T07:32:00.5", "{a:@1979-05-27T07:32:00.5}" },
	{ "a=1979-05-27 # c", "{a:@1979-05-27}" },
	{ "a=[07:32:00,00:32:00.999,23:59:60]", "{a:[@07:32:00,@00:32:00.999,@23:59:60]}" },
	{ "a=2000-02-29\nb=2024-02-29\nc=0000-12-31",
		"{a:@2000-02-29,b:@2024-02-29,c:@0000-12-31}" },
	/* arrays */
	{ "a=[]", "{a:[]}" },
	{ "a=[ 1, 'x', [ 2, 3.5 ], {b=1}, ]", "{a:[1,\"x\",[2,f3.5],{b:1}]}" },
	{ "a=[ # c\n 1 # d\n , # e\n\n 2 ]", "{a:[1,2]}" },
	{ "a=[\r\n]", "{a:[]}" },
	{ "a=[\"#\",\"]\"]", "{a:[\"#\",\"]\"]}" },
	/* inline tables */
	{ "a={}", "{a:{}}" },
	{ "a={ b = 1, c = \"x\" }", "{a:{b:1,c:\"x\"}}" },
	{ "a={b.c=1,b.d=2,e={f=3}}", "{a:{b:{c:1,d:2},e:{f:3}}}" },
	{ "a={b=[\n1,\n2\n],c='''\n'''}", "{a:{b:[1,2],c:\"\"}}" },
	/* tables */
	{ "[a]\nx=1\n[b]\ny=2", "{a:{x:1},b:{y:2}}" },
	{ "[a]\n[a.b]\n[a.b.c]", "{a:{b:{c:{}}}}" },
	{ "[a.b]\nx=1\n[a]\ny=2", "{a:{b:{x:1},y:2}}" },
	{ "[ a . \"b\" . 'c' ] # c", "{a:{b:{c:{}}}}" },
	{ "[a]\nb.c=1\n[a.b.d]\nx=1", "{a:{b:{c:1,d:{x:1}}}}" },
	{ "[a.b.c]\n[a]\nd.e=1", "{a:{b:{c:{}},d:{e:1}}}" },
	{ "[x]\n[y]\n[x.z]", "{x:{z:{}},y:{}}" },
	{ "a=1\n[b]", "{a:1,b:{}}" },
	{ "  [a]\n\tb=1", "{a:{b:1}}" },
	/* arrays of tables */
	{ "[[a]]\nx=1\n[[a]]\n[[a]]\nx=2", "{a:[{x:1},{},{x:2}]}" },
	{ "[[f]]\nn=1\n[f.p]\nc=1\n[[f.v]]\nn=2\n[[f.v]]\nn=3\n[[f]]\n[[f.v]]\nn=4",
		"{f:[{n:1,p:{c:1},v:[{n:2},{n:3}]},{v:[{n:4}]}]}" },
	{ "[a.b]\n[[a.c]]\nx=1", "{a:{b:{},c:[{x:1}]}}" },
	{ "[[a.b]]\n[a]\nx=1", "{a:{b:[{}],x:1}}" },
	{ "[[a]]\nb.c=1\n[[a]]\nb.c=2", "{a:[{b:{c:1}},{b:{c:2}}]}" },
	{ "[[ a . b ]]", "{a:{b:[{}]}}" },
};

static const struct text_case invalid[] = {
	{ "a", "1:2: '=' expected" },
	{ "a =", "1:4: value expected" },
	{ "a = # c", "value expected" },
	{ "= 1", "1:1: key expected" },
	{ "a = 1 b = 2", "1:7: end of line expected, near 'b'" },
	{ "a\n= 1", "'=' expected" },
	{ "a.=1", "1:3: key expected" },
	{ ".a=1", "key expected" },
	{ "a..b=1", "key expected" },
	{ "\xc3\xa9=1", "key expected, near '\xc3\xa9=1'" },
	{ "a b = 1", "1:3: '=' expected" },
	{ "\"\"\"a\"\"\" = 1", "'=' expected" },
	{ "\"a\nb\" = 1", "1:1: string is not closed" },
	{ "\"a\\u0000\" = 1", "NUL in a key" },
	{ "a=1\na=2", "2:1: 'a' is defined twice" },
	{ "a=1\n\"a\"=2", "'a' is defined twice" },
	{ "a=1\na.b=2", "2:1: 'a' is not a table" },
	{ "a.b=1\na=2", "'a' is defined twice" },
	{ "a.b=1\na.b.c=2", "2:3: 'b' is not a table" },
	{ "a=[1]\na.b=2", "'a' is not a table" },
	{ "a=1\rb=2", "end of line expected" },
	{ "a=1 # x\x01", "1:8: control character in a comment" },
	{ "# \x7f", "control character in a comment" },
	{ "# a\rb", "control character in a comment" },
	{ "a='\xff'", "1:4: invalid UTF-8" },
	{ "# \xed\xa0\x80", "invalid UTF-8" },
	{ "a=1\x00", "" }, /* see test_nul() */
	/* numbers */
	{ "a=01", "leading zero" },
	{ "a=-01", "leading zero" },
	{ "a=1__0", "invalid number" },
	{ "a=_1", "value expected" },
	{ "a=1_", "invalid number" },
	{ "a=+", "invalid number" },
	{ "a=+-1", "invalid number" },
	{ "a=0x", "invalid number" },
	{ "a=0xg", "invalid number" },
	{ "a=0x_1", "invalid number" },
	{ "a=0b12", "invalid number" },
	{ "a=0o8", "invalid number" },
	{ "a=0X1", "invalid number" },
	{ "a=+0x1", "invalid number" },
	{ "a=9223372036854775808", "1:3: number is out of range" },
	{ "a=-9223372036854775809", "1:3: number is out of range" },
	{ "a=0x8000000000000000", "out of range" },
	{ "a=1.", "digits expected after the point" },
	{ "a=.5", "value expected" },
	{ "a=1.e2", "digits expected after the point" },
	{ "a=1._5", "digits expected after the point" },
	{ "a=1_.5", "invalid number" },
	{ "a=1e", "digits expected in the exponent" },
	{ "a=1e_5", "digits expected in the exponent" },
	{ "a=1e5.5", "invalid number" },
	{ "a=00.5", "leading zero" },
	{ "a=1.2.3", "invalid number" },
	{ "a=1e999", "out of range" },
	{ "a=Inf", "value expected" },
	{ "a=infinity", "value expected" },
	{ "a=+nano", "invalid number" },
	{ "a=True", "value expected" },
	{ "a=truer", "value expected" },
	{ "a=bare", "1:3: value expected, near 'bare'" },
	/* strings */
	{ "a=\"x", "1:3: string is not closed" },
	{ "a='x", "string is not closed" },
	{ "a=\"x\ny\"", "string is not closed" },
	{ "a='x\ny'", "string is not closed" },
	{ "a=\"\\x41\"", "1:4: no such escape" },
	{ "a=\"\\e\"", "no such escape" },
	{ "a=\"\\", "string is not closed" },
	{ "a=\"\\u12\"", "hexadecimal digits" },
	{ "a=\"\\ud800\"", "not a Unicode character" },
	{ "a=\"\\U00110000\"", "not a Unicode character" },
	{ "a=\"\\UFFFFFFFF\"", "not a Unicode character" },
	{ "a=\"\x01\"", "control character in a string" },
	{ "a='\x7f'", "control character in a string" },
	{ "a=\"\"\"x\"\"", "string is not closed" },
	{ "a=\"\"\"x\\ y\"\"\"", "no such escape" },
	{ "a=\"\"\"x\ry\"\"\"", "control character in a string" },
	{ "a='''\x01'''", "control character in a string" },
	{ "a=\"\"\"x\"\"\"\"\"\"", "end of line expected" },
	{ "a='''x''''''", "end of line expected" },
	{ "a='''x", "1:3: string is not closed" },
	/* dates and times */
	{ "a=2021-13-01", "invalid date" },
	{ "a=2021-00-01", "invalid date" },
	{ "a=2021-02-29", "invalid date" },
	{ "a=1900-02-29", "invalid date" },
	{ "a=2021-04-31", "invalid date" },
	{ "a=2021-1-1", "invalid date" },
	{ "a=2021-01-01T", "invalid date" },
	{ "a=2021-01-01T24:00:00", "invalid date" },
	{ "a=2021-01-01T00:60:00", "invalid date" },
	{ "a=2021-01-01T00:00:61", "invalid date" },
	{ "a=2021-01-01T00:00", "invalid date" },
	{ "a=2021-01-01T00:00:00.", "invalid date" },
	{ "a=2021-01-01T00:00:00+1:00", "invalid date" },
	{ "a=2021-01-01T00:00:00+24:00", "invalid date" },
	{ "a=2021-01-01T00:00:00ZZ", "invalid date" },
	{ "a=2021-01-01  00:00:00", "end of line expected" },
	{ "a=07:32", "invalid date" },
	{ "a=7:32:00", "invalid number" },
	{ "a=07:32:00Z", "invalid date" },
	{ "a=21-01-01", "invalid number" },
	/* arrays */
	{ "a=[1", "1:3: array is not closed" },
	{ "a=[", "array is not closed" },
	{ "a=[1 2]", "1:6: ',' or ']' expected" },
	{ "a=[,1]", "value expected" },
	{ "a=[1,,2]", "value expected" },
	{ "a=]", "value expected" },
	{ "a=[1}", "',' or ']' expected" },
	{ "a=[b=1]", "value expected" },
	/* inline tables */
	{ "a={", "inline table is not closed" },
	{ "a={b=1", "inline table is not closed" },
	{ "a={b=1,}", "key expected" },
	{ "a={,}", "key expected" },
	{ "a={b=1 c=2}", "',' or '}' expected" },
	{ "a={\nb=1}", "key expected" },
	{ "a={b=1\n}", "',' or '}' expected" },
	{ "a={b=1 # c\n}", "',' or '}' expected" },
	{ "a={b=1,b=2}", "1:8: 'b' is defined twice" },
	{ "a={b={c=1},b.d=2}", "'b' is a table that is defined elsewhere" },
	{ "a={b.c=1,b={d=1}}", "'b' is defined twice" },
	{ "a={}\na.b=1", "'a' is a table that is defined elsewhere" },
	{ "a={}\n[a.b]", "'a' is a value and cannot be extended" },
	{ "a={b={}}\n[a.b.c]", "cannot be extended" },
	{ "a={}\n[a]", "'a' is defined twice" },
	/* tables */
	{ "[a]\n[a]", "2:2: 'a' is defined twice" },
	{ "[a.b]\n[a]\n[a]", "'a' is defined twice" },
	{ "[a]\nb=1\n[a.b]", "'b' is defined twice" },
	{ "[a]\nb=1\n[a.b.c]", "'b' is a value" },
	{ "[a]\nb.c=1\n[a.b]", "'b' is defined twice" },
	{ "a.b=1\n[a]", "'a' is defined twice" },
	{ "[a.b.c]\nz=9\n[a]\nb.c.t=1", "'c' is a table that is defined elsewhere" },
	{ "[a.b.c.d]\nz=9\n[a]\nb.c.d.k.t=1", "'d' is a table that is defined elsewhere" },
	{ "[a]\n[b]\na.c=1\n[b.a]", "'a' is defined twice" },
	{ "[]", "key expected" },
	{ "[a", "']' expected" },
	{ "[a\n]", "']' expected" },
	{ "[a.]", "key expected" },
	{ "[a b]", "']' expected" },
	{ "[a]x=1", "end of line expected" },
	{ "[a] [b]", "end of line expected" },
	/* arrays of tables */
	{ "[[a]", "']]' expected" },
	{ "[[a] ]", "']]' expected" },
	{ "[ [a]]", "key expected" },
	{ "[a]\n[[a]]", "'a' is not an array of tables" },
	{ "[[a]]\n[a]", "'a' is defined twice" },
	{ "a=[]\n[[a]]", "'a' is not an array of tables" },
	{ "a=[{}]\n[[a]]", "'a' is not an array of tables" },
	{ "a=[{}]\n[a.b]", "cannot be extended" },
	{ "[a.b]\n[[a]]", "'a' is not an array of tables" },
	{ "[[a.b]]\n[a]\nb.y=2", "'b' is not a table" },
	{ "[[a]]\nb=1\n[[a.b]]", "'b' is not an array of tables" },
	{ "[[a]]\n[a.b]\n[[a.b]]", "'b' is not an array of tables" },
};

static void test_valid(void **state)
{
	for (size_t i = 0; i < KT_ARRAY_LEN(valid); i++) {
		KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);
		const struct kt_toml *root = NULL;
		struct kt_err err = KT_ERR_INIT;
		const char *text = valid[i].text;

		if (kt_toml_parse(arena, text, strlen(text), &root, &err) != KT_OK)
			fail_msg("'%s': %s", text, err.msg);
		dump(&b, root);
		if (strcmp(b.ptr, valid[i].want) != 0)
			fail_msg("'%s': %s, wanted %s", text, b.ptr, valid[i].want);
	}
}

static void test_invalid(void **state)
{
	for (size_t i = 0; i < KT_ARRAY_LEN(invalid); i++) {
		KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
		const struct kt_toml *root = NULL;
		struct kt_err err = KT_ERR_INIT;
		const char *text = invalid[i].text;
		/* The one text with an empty message ends in a NUL that counts. */
		size_t len = strlen(text) + (invalid[i].want[0] == '\0');

		if (kt_toml_parse(arena, text, len, &root, &err) != KT_EINVAL || root ||
		    !strstr(err.msg, invalid[i].want))
			fail_msg("'%s': '%s', wanted '%s'", text, err.msg, invalid[i].want);
	}
}

static const struct kt_toml *must_parse(struct kt_arena *arena, const char *text)
{
	const struct kt_toml *root = NULL;

	assert_int_equal(kt_toml_parse(arena, text, strlen(text), &root, NULL), KT_OK);
	return root;
}

static void test_places(void **state)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	const struct kt_toml *root = must_parse(arena,
		"\xef\xbb\xbf# \xc3\xa9\n  a = [1,\n 'x']\n[t.u]\n"
		"\"\xc3\xa9\".v = {w=1}\n[[l]]\n[[l]]");
	const struct kt_toml *v;

	v = kt_toml_get(root, "a");
	assert_int_equal(v->line * 100 + v->col, 203);
	assert_int_equal(v->child->line * 100 + v->child->col, 208);
	assert_int_equal(v->child->next->line * 100 + v->child->next->col, 302);
	v = kt_toml_get(kt_toml_get(root, "t"), "u");
	assert_int_equal(v->line * 100 + v->col, 404);
	v = kt_toml_get(kt_toml_get(v, "\xc3\xa9"), "v");
	assert_int_equal(v->line * 100 + v->col, 505);
	v = kt_toml_get(v, "w");
	assert_int_equal(v->line * 100 + v->col, 510);
	v = kt_toml_get(root, "l")->child->next;
	assert_int_equal(v->line * 100 + v->col, 703);
	assert_null(v->key);
	assert_null(kt_toml_get(root, "none"));
	assert_null(kt_toml_get(kt_toml_get(root, "a"), "x"));
	assert_null(kt_toml_get(NULL, "x"));
}

static void test_nan_and_nul(void **state)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	const struct kt_toml *root = must_parse(arena, "a=nan\nb=-nan\nc=\"x\\u0000y\"\nd=-0.0");

	assert_true(isnan(kt_toml_get(root, "a")->f));
	assert_true(isnan(kt_toml_get(root, "b")->f));
	assert_int_equal(kt_toml_get(root, "c")->str_len, 3);
	assert_memory_equal(kt_toml_get(root, "c")->str, "x\0y", 4);
	assert_true(signbit(kt_toml_get(root, "d")->f));
}

static void repeat(struct kt_buf *b, const char *s, int n)
{
	for (int i = 0; i < n; i++)
		kt_buf_adds(b, s);
}

static enum kt_code parse_code(const struct kt_buf *b)
{
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	const struct kt_toml *root;

	return kt_toml_parse(arena, b->ptr, b->len, &root, NULL);
}

static void test_depth(void **state)
{
	static const struct {
		const char *head, *open, *mid, *close, *tail;
		int most;
	} cases[] = {
		{ "a=", "[", "", "]", "", 64 },
		{ "", "a={", "", "}", "", 64 },
		{ "", "a.", "a=1", "", "", 63 },
		{ "[", "a.", "a]", "", "", 63 },
		{ "[[", "a.", "a]]", "", "", 62 },
		{ "[a.a.a]\n", "a.", "a=1", "", "", 60 },
		{ "[a.a.a]\na=", "[", "", "]", "", 61 },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		for (int more = 0; more < 2; more++) {
			KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_TOML_BYTES);

			kt_buf_adds(&b, cases[i].head);
			repeat(&b, cases[i].open, cases[i].most + more);
			kt_buf_adds(&b, cases[i].mid);
			repeat(&b, cases[i].close, cases[i].most + more);
			if (parse_code(&b) != (more ? KT_ELIMIT : KT_OK))
				fail_msg("depth case %zu with %d more", i, more);
		}
	}
}

static void test_size(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_TOML_BYTES + 1);

	repeat(&b, "#", KT_MAX_TOML_BYTES);
	assert_int_equal(parse_code(&b), KT_OK);
	kt_buf_addc(&b, '#');
	assert_int_equal(parse_code(&b), KT_ELIMIT);
}

/* Texts of the largest size on which a quadratic reader would take many seconds. */
static void test_linear(void **state)
{
	static const struct {
		const char *head, *unit;
		bool number; /* the unit has a %d */
	} cases[] = {
		{ "", "k%d=1\n", true },
		{ "", "[t%d]\n", true },
		{ "", "[[a]]\n", false },
		{ "", "[a.b%d]\n", true },
		{ "a=[", "1,", false },
		{ "a=[", "{b=1},", false },
		{ "a={x=1", ",k%d=1", true },
		{ "", "a.b.k%d=1\n", true },
		{ "a=\"", "\\n", false },
		{ "a=\"\"\"", "\"\" ", false },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_TOML_BYTES);
		int64_t start = cpu_us();

		kt_buf_adds(&b, cases[i].head);
		for (int n = 0; kt_buf_ok(&b); n++) {
			if (cases[i].number) {
				char num[12];

				snprintf(num, sizeof(num), "%d", n);
				kt_buf_add(&b, cases[i].unit,
					strcspn(cases[i].unit, "%"));
				kt_buf_adds(&b, num);
				kt_buf_adds(&b, strchr(cases[i].unit, 'd') + 1);
			} else {
				kt_buf_adds(&b, cases[i].unit);
			}
		}
		(void)!parse_code(&b);
		assert_true(cpu_us() - start < 5000000);
	}
}

static void test_helpers(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);
	KT_AUTO_BUF struct kt_buf doc = KT_BUF_INIT(4096);
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	static const char text[] = "a\"b\\c\n\t\x01\x7f\xc3\xa9";

	kt_toml_add_str(&b, text);
	assert_string_equal(b.ptr, "\"a\\\"b\\\\c\\n\\t\\u0001\\u007F\xc3\xa9\"");
	kt_buf_addf(&doc, "a=%s", b.ptr);
	assert_string_equal(kt_toml_get(must_parse(arena, doc.ptr), "a")->str, text);
	kt_buf_clear(&b);
	kt_toml_add_str(&b, "x\xff");
	assert_string_equal(b.ptr, "\"x\xef\xbf\xbd\"");
	assert_string_equal(kt_toml_type_name(KT_TOML_TABLE), "table");
	assert_string_equal(kt_toml_type_name(KT_TOML_DATETIME), "date-time");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_nan_and_nul),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_linear),
		cmocka_unit_test(test_helpers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
