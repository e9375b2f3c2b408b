/* SPDX-License-Identifier: MIT */
/* JSON with comments, and the place of keys in it. */
#include "text/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		const char *want; /* compact JSON, or part of the error */
		bool ok;
	} cases[] = {
		{ "{}", "{}", true },
		{ "// c\n{\"a\":1}// end", "{\"a\":1}", true },
		{ "/* a\n * b */ [1, /* c */ 2 /**/]", "[1,2]", true },
		{ "{\"a\":[1,2,],\n}", "{\"a\":[1,2]}", true },
		{ "[1, // one\n 2, /* two */ ]", "[1,2]", true },
		{ "[[1,],{\"a\":{},},]", "[[1],{\"a\":{}}]", true },
		{ "{\"a\":\"// no /* comment */ , ]\"}",
			"{\"a\":\"// no /* comment */ , ]\"}", true },
		{ "[\"a\\\"//\",]", "[\"a\\\"//\"]", true },
		{ "[\"\\\\\",]", "[\"\\\\\"]", true },
		{ "\xef\xbb\xbf{}", "{}", true },
		{ "[\"a\",\"b\",]\r\n", "[\"a\",\"b\"]", true },
		{ "[,]", "1:2: value expected", false },
		{ "{,}", "1:2: key in double quotes", false },
		{ "[1,,]", "1:4: value expected", false },
		{ "{\"a\":,}", "1:6: value expected", false },
		{ ",", "value expected", false },
		{ "[1,/* x", "1:4: comment is not closed", false },
		{ "/*/", "1:1: comment is not closed", false },
		{ "/", "value expected", false },
		{ "{\n // c\n \"a\": x }", "3:7: value expected", false },
		{ "{\"a\":1,\"a\":2}", "1:8: duplicate key", false },
		{ "[\"a\n\",]", "1:4: control character", false },
		{ "{\"a\": 'b'}", "value expected", false },
		{ "", "value expected", false },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTOFREE char *text = kt_strdup(cases[i].text);
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);
		KT_AUTO_JSON cJSON *doc = NULL;
		struct kt_err err = KT_ERR_INIT;
		enum kt_code code = kt_jsonc_parse(text, strlen(text), &doc, &err);

		if (code == KT_OK)
			kt_json_add(&b, doc);
		if (code != (cases[i].ok ? KT_OK : KT_EINVAL) ||
		    (cases[i].ok ? strcmp(b.ptr, cases[i].want) != 0 :
				   !strstr(err.msg, cases[i].want)))
			fail_msg("'%s': code %d '%s' %s", cases[i].text, code, err.msg, b.ptr);
	}
}

static void test_locate(void **state)
{
	static const char text[] = "// \"cli\": 1\n"
				   "{\n"
				   "  \"other\": {\"cli\": {\"x\": 1}, \"l\": [{\"cli\": 2}]},\n"
				   "  \"cli\": { /* \"mode\": 0 */\n"
				   "    \"s\": \"mode\", \"mode\": \"a\", \"deep\": {\"k\": []}\n"
				   "  },\n"
				   "  \"last\": \"cli\"\n"
				   "}\n";
	static const struct {
		const char *path;
		int line, col; /* 0 when not found */
	} cases[] = {
		{ "other", 3, 3 }, { "other.cli", 3, 13 }, { "other.cli.x", 3, 21 },
		{ "cli", 4, 3 }, { "cli.mode", 5, 18 }, { "cli.s", 5, 5 }, { "cli.deep.k", 5, 40 },
		{ "last", 7, 3 }, { "last.x", 0, 0 }, { "mode", 0, 0 }, { "cli.none", 0, 0 },
		{ "cli.s.x", 0, 0 }, { "other.l.cli", 0, 0 }, { "", 0, 0 },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		int line = 0;
		int col = 0;
		bool found = kt_jsonc_locate(text, strlen(text), cases[i].path, &line, &col);

		if (found != (cases[i].line > 0) || line != cases[i].line || col != cases[i].col)
			fail_msg("'%s': %d %d:%d", cases[i].path, found, line, col);
	}
}

static void test_locate_broken(void **state)
{
	static const char *const texts[] = { "", "{", "}", "]]", "{\"a", "{\"", "\"a\"", "[\"a\"]",
		"{/*", "{\"b\" \"a\" ", "{{{{\"a\"", "{\"b\":]\"a\"}" };
	int line, col;

	for (size_t i = 0; i < KT_ARRAY_LEN(texts); i++)
		assert_false(kt_jsonc_locate(texts[i], strlen(texts[i]), "a.b", &line, &col));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_locate),
		cmocka_unit_test(test_locate_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
