/* SPDX-License-Identifier: MIT */
/* Front matter: what is read, what is refused, and where the body begins. */
#include "text/frontmatter.h"

#include "base/buf.h"
#include "text/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_valid(void **state)
{
	static const struct {
		const char *text, *want, *body;
	} cases[] = {
		{ "", "{}", "" },
		{ "# Title\n", "{}", "# Title\n" },
		{ "\xef\xbb\xbf# Title\n", "{}", "# Title\n" },
		{ "----\na\n---\n", "{}", "----\na\n---\n" },
		{ "text\n---\na: 1\n---\n", "{}", "text\n---\na: 1\n---\n" },
		{ "---\n---\nbody", "{}", "body" },
		{ "---\n# comment\n---\n", "{}", "" },
		{ "---\n{}\n---\n", "{}", "" },
		{ "---\nname: helper\n---\n\nBody\n", "{\"name\":\"helper\"}", "\nBody\n" },
		{ "\xef\xbb\xbf---\r\nname: x\r\n--- \r\nBody", "{\"name\":\"x\"}", "Body" },
		{ "---\na: x\n---", "{\"a\":\"x\"}", "" },
		{ "---\na: one\nb: 'two'\nc: \"th\\tree\"\n---\n",
			"{\"a\":\"one\",\"b\":\"two\",\"c\":\"th\\tree\"}", "" },
		{ "---\na: [Read, \"2\", 3, [4]]\n---\n", "{\"a\":[\"Read\",\"2\",3,[4]]}", "" },
		{ "---\na:\n  - x\n  - k: v\n    l: w\n---\n",
			"{\"a\":[\"x\",{\"k\":\"v\",\"l\":\"w\"}]}", "" },
		{ "---\na: {b: {c: 1}}\n---\n", "{\"a\":{\"b\":{\"c\":1}}}", "" },
		{ "---\na: [~, null, Null, NULL, ]\nb:\n---\n",
			"{\"a\":[null,null,null,null],\"b\":null}", "" },
		{ "---\na: [true, True, TRUE, false, False, FALSE]\n---\n",
			"{\"a\":[true,true,true,false,false,false]}", "" },
		{ "---\na: [yes, no, on, off, y, tRUE, nULL]\n---\n",
			"{\"a\":[\"yes\",\"no\",\"on\",\"off\",\"y\",\"tRUE\",\"nULL\"]}", "" },
		{ "---\na: [0, 12, -7, +5, 007, 0o17, 0x1F, 0xff]\n---\n",
			"{\"a\":[0,12,-7,5,7,15,31,255]}", "" },
		{ "---\na: [1.5, -.5, 1., 1e3, 6.02E-2, +1.0]\n---\n",
			"{\"a\":[1.5,-0.5,1,1000,0.0602,1]}", "" },
		{ "---\na: [1_000, 0b1, 0x, 0o8, 1e, ., 1.2.3, 12:30, 2024-01-01]\n---\n",
			"{\"a\":[\"1_000\",\"0b1\",\"0x\",\"0o8\",\"1e\",\".\",\"1.2.3\",\"12:30\","
			"\"2024-01-01\"]}", "" },
		{ "---\na: \"1\"\nb: 'true'\nc: ''\n---\n",
			"{\"a\":\"1\",\"b\":\"true\",\"c\":\"\"}", "" },
		{ "---\na: |\n  one\n  two\nb: >-\n  x\n  y\n---\n",
			"{\"a\":\"one\\ntwo\\n\",\"b\":\"x y\"}", "" },
		{ "---\n1: a\ntrue: b\n\"q\": c\n---\n",
			"{\"1\":\"a\",\"true\":\"b\",\"q\":\"c\"}", "" },
		{ "---\na: {b: 1}\nc: {b: 2}\n---\n", "{\"a\":{\"b\":1},\"c\":{\"b\":2}}", "" },
		{ "---\na: \xc3\xa9\xf0\x9f\x98\x80 # c\n---\n",
			"{\"a\":\"\xc3\xa9\xf0\x9f\x98\x80\"}", "" },
		{ "---\n<<: x\n---\n", "{\"<<\":\"x\"}", "" },
		{ "---\na: [[[[[[[1]]]]]]]\n---\n", "{\"a\":[[[[[[[1]]]]]]]}", "" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);
		KT_AUTO_JSON cJSON *doc = NULL;
		struct kt_err err = KT_ERR_INIT;
		const char *text = cases[i].text;
		size_t body = 9999;
		enum kt_code code = kt_frontmatter_parse(text, strlen(text), &doc, &body, &err);

		if (code != KT_OK)
			fail_msg("'%s': %s", text, err.msg);
		kt_json_add(&b, doc);
		assert_string_equal(b.ptr, cases[i].want);
		assert_string_equal(text + body, cases[i].body);
	}
}

static void test_invalid(void **state)
{
	static const struct {
		const char *text, *what;
	} cases[] = {
		{ "---\na: 1\n", "1:1: front matter has no closing line" },
		{ "---", "1:1: front matter has no closing line" },
		{ "---\na: 1\n----\n", "no closing line" },
		{ "---\na: &x 1\n---\n", "2:4: anchors and tags" },
		{ "---\na: &x [1]\n---\n", "anchors and tags" },
		{ "---\na: *x\n---\n", "2:4: aliases" },
		{ "---\na: !!str 1\n---\n", "anchors and tags" },
		{ "---\na: !x {b: 1}\n---\n", "anchors and tags" },
		{ "---\n&k a: 1\n---\n", "anchors and tags" },
		{ "---\na: 1\nb: 2\na: 3\n---\n", "4:1: duplicate key 'a'" },
		{ "---\na: {b: 1, \"b\": 2}\n---\n", "2:11: duplicate key 'b'" },
		{ "---\n- a\n---\n", "2:1: front matter must be a map" },
		{ "---\njust text\n---\n", "2:1: front matter must be a map" },
		{ "---\n~\n---\n", "must be a map" },
		{ "---\n[a]: 1\n---\n", "2:1: a key must be a scalar" },
		{ "---\n? {a: 1}\n: 1\n---\n", "a key must be a scalar" },
		{ "---\na: [[[[[[[[1]]]]]]]]\n---\n", "2:11: nesting over 8 levels" },
		{ "---\na: [1\n---\n", "3:1: did not find" },
		{ "---\na: \"x\n---\n", "3:1: found unexpected end" },
		{ "---\na:\n\t- b\n---\n", "3:1: found character that cannot start" },
		{ "---\na: 1\n b: 2\n---\n", "3:" },
		{ "---\na: \"x\\0y\"\n---\n", "2:4: NUL in a string" },
		{ "---\na: .inf\n---\n", "JSON cannot hold" },
		{ "---\na: -.INF\n---\n", "JSON cannot hold" },
		{ "---\na: .nan\n---\n", "JSON cannot hold" },
		{ "---\na: 1e999\n---\n", "JSON cannot hold" },
		{ "---\n%YAML 1.2\n---\n", "3:1: did not find" },
		{ "---\na: 1\n--- b\n---\n", "a second YAML document" },
		{ "---\na: 1\n...\nb: 1\n---\n", "4:" },
		{ "---\na: \xff\n---\n", ":" },
		{ "---\na: \x01\n---\n", ":" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTO_JSON cJSON *doc = NULL;
		struct kt_err err = KT_ERR_INIT;
		const char *text = cases[i].text;
		size_t body;
		enum kt_code code = kt_frontmatter_parse(text, strlen(text), &doc, &body, &err);

		if (code != KT_EINVAL || doc || !strstr(err.msg, cases[i].what))
			fail_msg("'%s': '%s', wanted '%s'", text, err.msg, cases[i].what);
	}
}

static void test_size(void **state)
{
	for (int over = 0; over < 2; over++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(256 * 1024);
		KT_AUTO_JSON cJSON *doc = NULL;
		struct kt_err err = KT_ERR_INIT;
		size_t body;
		enum kt_code code;

		kt_buf_adds(&b, "---\n");
		while (b.len < 4 + 65536 - 64)
			kt_buf_addf(&b, "k%05zu: v\n", b.len);
		while (b.len < 4 + 65536 + (size_t)over - 1)
			kt_buf_addc(&b, '#');
		kt_buf_adds(&b, "\n---\nbody");
		code = kt_frontmatter_parse(b.ptr, b.len, &doc, &body, &err);
		assert_int_equal(code, over ? KT_EINVAL : KT_OK);
		if (over)
			assert_non_null(strstr(err.msg, "over 65536 bytes"));
		else
			assert_string_equal(b.ptr + body, "body");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
