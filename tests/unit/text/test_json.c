/* SPDX-License-Identifier: MIT */
/* The JSON validator against a table of right and wrong texts; getters; the writer. */
#include "text/json.h"

#include "base/limits.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct text_case {
	const char *text;
	const char *what; /* part of the error; NULL when the text is right */
};

static const struct text_case strict_cases[] = {
	{ "null", NULL },
	{ " \t\r\n true \n", NULL },
	{ "false", NULL },
	{ "0", NULL },
	{ "-0", NULL },
	{ "-12.5e+3", NULL },
	{ "1E-2", NULL },
	{ "\"\"", NULL },
	{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"", NULL },
	{ "\"\\ud83d\\ude00\"", NULL },
	{ "\"\xf0\x9f\x98\x80\x7f\"", NULL },
	{ "[]", NULL },
	{ "{}", NULL },
	{ "[[],{},[{}]]", NULL },
	{ "{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}]}", NULL },
	{ "{\"\":1,\" \":2}", NULL },
	{ "{\"a\":1,\"A\":2}", NULL },
	{ "", "1:1: value expected" },
	{ "   ", "1:4: value expected" },
	{ "nul", "value expected" },
	{ "True", "value expected" },
	{ "nulll", "1:5: end of the text expected" },
	{ "1 2", "1:3: end of the text expected" },
	{ "{} {}", "end of the text expected" },
	{ "+1", "value expected" },
	{ "01", "leading zero" },
	{ "-", "digit expected" },
	{ "-a", "digit expected" },
	{ "1.", "digit expected" },
	{ ".5", "value expected" },
	{ "1e", "digit expected" },
	{ "1e+", "digit expected" },
	{ "0x10", "end of the text expected" },
	{ "NaN", "value expected" },
	{ "Infinity", "value expected" },
	{ "'a'", "value expected" },
	{ "\"a", "1:1: string is not closed" },
	{ "\"a\\", "string is not closed" },
	{ "\"\\x\"", "no such escape" },
	{ "\"\\u12g4\"", "four hexadecimal digits" },
	{ "\"\\u12", "four hexadecimal digits" },
	{ "\"\\u0000\"", "\\u0000 is not allowed" },
	{ "\"\\ud800\"", "half a surrogate pair" },
	{ "\"\\ud800\\u0041\"", "half a surrogate pair" },
	{ "\"\\udc00\"", "half a surrogate pair" },
	{ "\"a\nb\"", "1:3: control character" },
	{ "\"\x01\"", "control character" },
	{ "\"\xff\"", "invalid UTF-8" },
	{ "\"\xc0\x80\"", "invalid UTF-8" },
	{ "\"\xed\xa0\x80\"", "invalid UTF-8" },
	{ "\"\xf4\x90\x80\x80\"", "invalid UTF-8" },
	{ "\"\xe2\x82\"", "invalid UTF-8" },
	{ "\xef\xbb\xbf{}", "value expected" },
	{ "[1,]", "1:4: value expected" },
	{ "[,1]", "value expected" },
	{ "[1 2]", "',' or ']' expected" },
	{ "[1}", "',' or ']' expected" },
	{ "[", "value expected" },
	{ "]", "value expected" },
	{ "{\"a\":1,}", "1:8: key in double quotes expected" },
	{ "{a:1}", "key in double quotes expected" },
	{ "{1:1}", "key in double quotes expected" },
	{ "{\"a\" 1}", "':' expected" },
	{ "{\"a\":}", "value expected" },
	{ "{\"a\":1", "',' or '}' expected, not the end" },
	{ "{\"a\":1]", "',' or '}' expected" },
	{ "{\"a\":1,\n \"a\":2}", "2:2: duplicate key 'a'" },
	{ "{\"a\":1,\"\\u0061\":2}", "duplicate key 'a'" },
	{ "{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}", "duplicate key" },
	{ "[{\"x\":{\"k\":1},\"y\":[],\"x\":3}]", "duplicate key 'x'" },
	{ "{\"\\n\":1,\"\\u000a\":2}", "duplicate key '\\n'" },
	{ "/* c */ 1", "value expected" },
	{ "[\f1]", "value expected" },
};

static void check_case(const struct text_case *tc, int flags)
{
	struct kt_err err = KT_ERR_INIT;
	enum kt_code code = kt_json_check(tc->text, strlen(tc->text), flags, &err);

	if (tc->what ? code != KT_EINVAL || !strstr(err.msg, tc->what) : code != KT_OK)
		fail_msg("'%s': code %d, message '%s', wanted '%s'", tc->text, code, err.msg,
			tc->what ? tc->what : "ok");
}

static void test_strict(void **state)
{
	for (size_t i = 0; i < KT_ARRAY_LEN(strict_cases); i++)
		check_case(&strict_cases[i], KT_JSON_STRICT);
}

/* What is wrong only for strict reading is right in lenient reading, and nothing else is. */
static void test_lenient(void **state)
{
	for (size_t i = 0; i < KT_ARRAY_LEN(strict_cases); i++) {
		struct text_case tc = strict_cases[i];

		if (tc.what && (strstr(tc.what, "duplicate") || strstr(tc.what, "surrogate") ||
				strstr(tc.what, "u0000")))
			tc.what = NULL;
		check_case(&tc, KT_JSON_LENIENT);
	}
}

static void test_nul_inside(void **state)
{
	const char text[] = "[1,\0 2]";

	assert_int_equal(kt_json_check(text, sizeof(text) - 1, 0, NULL), KT_EINVAL);
	assert_int_equal(kt_json_check("1\0", 2, 0, NULL), KT_EINVAL);
}

static void nest(struct kt_buf *b, int depth)
{
	for (int i = 0; i < depth; i++)
		kt_buf_adds(b, i % 2 ? "{\"a\":" : "[");
	kt_buf_addc(b, '1');
	for (int i = depth - 1; i >= 0; i--)
		kt_buf_addc(b, i % 2 ? '}' : ']');
}

static void test_depth(void **state)
{
	static const struct {
		int depth, flags;
		enum kt_code code;
	} cases[] = {
		{ 64, KT_JSON_STRICT, KT_OK },
		{ 65, KT_JSON_STRICT, KT_EINVAL },
		{ 512, KT_JSON_DEEP, KT_OK },
		{ 513, KT_JSON_DEEP, KT_EINVAL },
		{ 512, KT_JSON_LENIENT, KT_OK },
		{ 200000, KT_JSON_LENIENT, KT_EINVAL },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4 * 1024 * 1024);
		KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(4 * 1024 * 1024);
		KT_AUTO_JSON cJSON *doc = NULL;
		enum kt_code code;

		nest(&b, cases[i].depth);
		code = kt_json_parse(b.ptr, b.len, cases[i].flags, &doc, NULL);
		assert_int_equal(code, cases[i].code);
		if (code != KT_OK)
			continue;
		kt_json_add(&out, doc);
		assert_string_equal(out.ptr, b.ptr);
	}
}

/* Objects above and below the size where the check goes over to a hash map. */
static void test_many_keys(void **state)
{
	for (int n = 30; n < 36; n++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 * 1024);
		struct kt_err err = KT_ERR_INIT;

		kt_buf_adds(&b, "{\"inner\":{\"k1\":1}");
		for (int i = 1; i < n; i++)
			kt_buf_addf(&b, ",\"k%d\":{\"k1\":%d}", i, i);
		kt_buf_addc(&b, '}');
		assert_int_equal(kt_json_check(b.ptr, b.len, 0, &err), KT_OK);
		kt_buf_truncate(&b, b.len - 1);
		kt_buf_addf(&b, ",\"\\u006b%d\":0}", n - 1);
		assert_int_equal(kt_json_check(b.ptr, b.len, 0, &err), KT_EINVAL);
		assert_non_null(strstr(err.msg, "duplicate key 'k"));
	}
}

/* 100,000 keys: a quadratic check would take minutes here. */
static void test_keys_linear(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8 * 1024 * 1024);

	kt_buf_addc(&b, '{');
	for (int i = 0; i < 100000; i++)
		kt_buf_addf(&b, "%s\"key%d\":0", i ? "," : "", i);
	kt_buf_addc(&b, '}');
	assert_int_equal(kt_json_check(b.ptr, b.len, 0, NULL), KT_OK);
}

/* A text of too many values never becomes a tree, nor anything else that grows with them. */
static void test_values_are_counted(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	cJSON *doc = NULL;
	struct kt_err err = KT_ERR_INIT;

	kt_buf_addc(&b, '[');
	for (int i = 0; i < 9; i++)
		kt_buf_adds(&b, i % 2 ? "1," : "{\"k\":[]},");
	kt_buf_adds(&b, "null]");
	/* The array, five objects with an array each, four numbers and the null. */
	assert_int_equal(kt_json_parse_max(b.ptr, b.len, 0, 16, &doc, &err), KT_OK);
	cJSON_Delete(doc);
	doc = NULL;
	assert_int_equal(kt_json_parse_max(b.ptr, b.len, 0, 15, &doc, &err), KT_ELIMIT);
	assert_null(doc);
	assert_string_equal(err.msg, "the JSON text has over 15 values, which is the limit (fixed)");
	kt_buf_clear(&b);
	kt_buf_addc(&b, '[');
	for (int i = 0; i < KT_MAX_JSON_NODES - 2; i++)
		kt_buf_adds(&b, "1,");
	kt_buf_adds(&b, "1]");
	assert_int_equal(kt_json_parse(b.ptr, b.len, KT_JSON_HARNESS, &doc, &err), KT_OK);
	cJSON_Delete(doc);
	doc = NULL;
	b.ptr[b.len - 1] = ',';
	kt_buf_adds(&b, "1]");
	assert_int_equal(kt_json_parse(b.ptr, b.len, KT_JSON_HARNESS, &doc, &err), KT_ELIMIT);
}

static enum kt_code note_member(void *arg, const struct kt_json_member *m, struct kt_err *err)
{
	struct kt_buf *b = arg;
	size_t len = 0;
	const char *s = kt_json_member_str(m, &len);

	if (!strcmp(m->key, "stop"))
		return kt_fail(err, KT_ECANCEL, 0, "enough");
	kt_buf_adds(b, m->key);
	kt_buf_addc(b, s ? '~' : '=');
	kt_buf_add(b, s ? s : m->value, s ? len : m->len);
	assert_true(!s || s[len] == '\0');
	kt_buf_addc(b, ';');
	return KT_OK;
}

static void test_members(void **state)
{
	static const struct {
		const char *text, *members, *error;
	} cases[] = {
		{ "{}", "", NULL },
		{ " { } ", "", NULL },
		{ "{\"a\":1}", "a=1;", NULL },
		{ "\n{ \"a\" : -1.5e3 , \"b\":null,\"c\" :true}\n", "a=-1.5e3;b=null;c=true;", NULL },
		{ "{\"a\":[1,{\"b\":\"]}\"}] ,\"d\":{\"e\":[\"\\\"}\"]}}",
			"a=[1,{\"b\":\"]}\"}];d={\"e\":[\"\\\"}\"]};", NULL },
		{ "{\"a\":\"x\\ny\\\\\\\"\\/\",\"b\":\"\"}", "a~x\ny\\\"/;b~;", NULL },
		{ "{\"\\u0061\":\"\\u00e9\\ud83d\\ude00\\u20ac\\u0041\"}", "a~\xc3\xa9\xf0\x9f\x98\x80\xe2\x82\xac" "A;", NULL },
		{ "{\"a\":\"\\\\\",\"b\":\"c\"}", "a~\\;b~c;", NULL },
		{ "[1]", "", "the document must be an object" },
		{ "\"s\"", "", "the document must be an object" },
		{ "{\"a\":1,\"a\":2}", "", "1:8: duplicate key 'a'" },
		{ "{\"a\":1", "", "1:7: ',' or '}' expected, not the end of the text" },
		{ "{\"a\":1,\"stop\":2,\"b\":3}", "a=1;", "enough" },
		{ "{\"a\":[1,2,3,4,5,6,7,8]}", "",
			"the JSON text has over 8 values, which is the limit (fixed)" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1000);
		KT_AUTOFREE char *text = kt_strdup(cases[i].text);
		struct kt_err err = KT_ERR_INIT;
		enum kt_code rc =
			kt_json_members(text, strlen(text), 8, note_member, &b, &err);

		assert_string_equal(b.ptr, cases[i].members);
		assert_int_equal(rc == KT_OK, cases[i].error == NULL);
		if (cases[i].error)
			assert_string_equal(err.msg, cases[i].error);
	}
}

static void test_message_is_one_line(void **state)
{
	struct kt_err err = KT_ERR_INIT;

	assert_int_equal(kt_json_check("[\x1b]", 3, 0, &err), KT_EINVAL);
	assert_string_equal(err.msg, "1:2: value expected, not '\\x1b'");
	assert_int_equal(kt_json_check("[\xc3\xa9\xc3\xa9\n ,", 8, 0, &err), KT_EINVAL);
	assert_string_equal(err.msg, "1:2: value expected, not '\xc3\xa9'");
	assert_int_equal(kt_json_check("[\"\xc3\xa9\" x", 7, 0, &err), KT_EINVAL);
	assert_non_null(strstr(err.msg, "1:6: "));
}

/* What cJSON alone would misread. */
static void test_fixes(void **state)
{
	static const struct text_case cases[] = {
		{ "[\"a\\u0000b\"]", "[\"a\xef\xbf\xbd" "b\"]" },
		{ "{\"k\\u0000\":1}", "{\"k\xef\xbf\xbd\":1}" },
		{ "[\"\\ud800x\"]", "[\"\xef\xbf\xbdx\"]" },
		{ "[\"\\udc00\\ud800\"]", "[\"\xef\xbf\xbd\xef\xbf\xbd\"]" },
		{ "[\"\\ud800\\ud83d\\ude00\\u0000\"]",
			"[\"\xef\xbf\xbd\xf0\x9f\x98\x80\xef\xbf\xbd\"]" },
		{ "[\"\\\\u0000\\u0000\"]", "[\"\\\\u0000\xef\xbf\xbd\"]" },
		{ "[0.5000000000000000000000000000000000000000000000000000000000000000000001,7]",
			"[0.5,7]" },
		{ "[-100000000000000000000000000000000000000000000000000000000000000000000,\"1\"]",
			"[-100000000000000000000000000000000000000000000000000000000000000000000,\"1\"]" },
		{ "[9007199254740993,1e999,{\"7\":-12345678901234567890.5e3},\"9007199254740993\"]",
			"[9007199254740993,1e999,{\"7\":-12345678901234567890.5e3},\"9007199254740993\"]" },
		{ "{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(4096);
		KT_AUTO_JSON cJSON *doc = NULL;

		assert_int_equal(kt_json_parse(cases[i].text, strlen(cases[i].text),
					 KT_JSON_LENIENT, &doc, NULL),
			KT_OK);
		kt_json_add(&out, doc);
		assert_string_equal(out.ptr, cases[i].what);
	}
}

/* One bad byte of a harness costs one character; what strict reading refuses else stays refused. */
static void test_bad_bytes(void **state)
{
	static const struct {
		const char *text, *what; /* NULL: refused */
		size_t len; /* 0: as a string */
	} cases[] = {
		{ "{\"a\":\"x\xff" "y\"}", "{\"a\":\"x\xef\xbf\xbd" "y\"}", 0 },
		{ "[\"a\x01z\",\"b\x1f\",\"tab\there\"]",
			"[\"a\xef\xbf\xbdz\",\"b\xef\xbf\xbd\",\"tab\\there\"]", 0 },
		{ "[\"a\0z\"]", "[\"a\xef\xbf\xbdz\"]", 7 },
		{ "[\"\\u0000\",\"\\ud800x\",\"x\\udc00\"]",
			"[\"\xef\xbf\xbd\",\"\xef\xbf\xbdx\",\"x\xef\xbf\xbd\"]", 0 },
		{ "[\"\\ud83d\\ude00\",\"\xed\xa0\xbd\"]",
			"[\"\xf0\x9f\x98\x80\",\"\xef\xbf\xbd\"]", 0 },
		{ "[\"\x02\",12345678901234567890123456789012345678901234567890123456789012345]",
			"[\"\xef\xbf\xbd\",12345678901234567890123456789012345678901234567890123456789012345]",
			0 },
		{ "\xef\xbb\xbf{\"\xfe\":1}", "{\"\xef\xbf\xbd\":1}", 0 },
		{ "\xef\xbb\xbf" "0", "0", 0 },
		{ "{\x01\"a\"\x02:\x03" "1}\x0b", "{\"a\":1}", 0 },
		{ "[\"\\x\"]", NULL, 0 },
		{ "[tr\x01ue]", NULL, 0 },
		{ "[\"open]", NULL, 0 },
		{ "\xff[]", NULL, 0 },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		size_t len = cases[i].len ? cases[i].len : strlen(cases[i].text);
		KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(4096);
		KT_AUTO_JSON cJSON *doc = NULL;

		assert_int_equal(kt_json_parse(cases[i].text, len, KT_JSON_HARNESS, &doc, NULL),
			cases[i].what ? KT_OK : KT_EINVAL);
		if (!cases[i].what)
			continue;
		kt_json_add(&out, doc);
		assert_string_equal(out.ptr, cases[i].what);
	}
}

static void test_getters(void **state)
{
	static const char text[] =
		"{\"s\":\"x\",\"n\":12,\"f\":1.5,\"big\":9007199254740992,\"over\":1e300,"
		"\"inf\":1e999,\"t\":true,\"z\":null,\"a\":[1],\"o\":{\"p\":{\"q\":\"deep\"}},"
		"\"S\":\"upper\",\"d\":1,\"d\":2}";
	KT_AUTO_JSON cJSON *doc = NULL;

	assert_int_equal(kt_json_parse(text, strlen(text), KT_JSON_LENIENT, &doc, NULL), KT_OK);
	assert_string_equal(kt_json_str(doc, "s"), "x");
	assert_string_equal(kt_json_str(doc, "S"), "upper");
	assert_null(kt_json_str(doc, "n"));
	assert_null(kt_json_str(doc, "none"));
	assert_string_equal(kt_json_str_or(doc, "z", "dflt"), "dflt");
	assert_int_equal(kt_json_int(doc, "n", -1), 12);
	assert_int_equal(kt_json_int(doc, "f", -1), -1);
	assert_int_equal(kt_json_int(doc, "big", -1), 9007199254740992);
	assert_int_equal(kt_json_int(doc, "over", -1), -1);
	assert_int_equal(kt_json_int(doc, "inf", -1), -1);
	assert_int_equal(kt_json_int(doc, "s", -1), -1);
	assert_int_equal(kt_json_int(doc, "d", -1), 2);
	assert_true(kt_json_num(doc, "f", 0) == 1.5);
	assert_true(kt_json_num(doc, "inf", 7) == 7);
	assert_true(kt_json_bool(doc, "t", false));
	assert_true(kt_json_bool(doc, "n", true));
	assert_non_null(kt_json_arr(doc, "a"));
	assert_null(kt_json_arr(doc, "o"));
	assert_non_null(kt_json_obj(doc, "o"));
	assert_null(kt_json_obj(doc, "a"));
	assert_string_equal(kt_json_path(doc, "o.p.q")->valuestring, "deep");
	assert_null(kt_json_path(doc, "o.p.q.r"));
	assert_null(kt_json_path(doc, "o.x.q"));
	assert_null(kt_json_path(doc, "o.pp"));
	assert_null(kt_json_get(NULL, "a"));
	assert_null(kt_json_get(kt_json_arr(doc, "a"), "a"));
}

static void test_writer(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);
	KT_AUTO_JSON cJSON *doc = cJSON_Parse("{\"x\":[1,null]}");
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "s", "a\"b");
	kt_jw_str(&w, "none", NULL);
	kt_jw_strn(&w, "n", "a\0b", 3);
	kt_jw_arr(&w, "a");
	kt_jw_arr(&w, NULL);
	kt_jw_arr_end(&w);
	kt_jw_int(&w, NULL, INT64_MIN);
	kt_jw_int(&w, NULL, INT64_MAX);
	kt_jw_int(&w, NULL, 0);
	kt_jw_num(&w, NULL, 0.1);
	kt_jw_num(&w, NULL, -3.0);
	kt_jw_num(&w, NULL, (double)INFINITY);
	kt_jw_num(&w, NULL, 1e300);
	kt_jw_bool(&w, NULL, true);
	kt_jw_null(&w, NULL);
	kt_jw_arr_end(&w);
	kt_jw_obj(&w, "o");
	kt_jw_obj_end(&w);
	kt_jw_raw(&w, "r", "[7]", 3);
	kt_jw_json(&w, "j", doc);
	kt_jw_json(&w, "k\n", NULL);
	kt_jw_obj_end(&w);
	assert_string_equal(b.ptr,
		"{\"s\":\"a\\\"b\",\"none\":null,\"n\":\"a\\u0000b\",\"a\":[[],"
		"-9223372036854775808,9223372036854775807,0,0.1,-3,null,1e+300,true,null],"
		"\"o\":{},\"r\":[7],\"j\":{\"x\":[1,null]},\"k\\n\":null}");
}

static void test_strings(void **state)
{
	static const struct text_case cases[] = {
		{ "", "\"\"" },
		{ "plain", "\"plain\"" },
		{ "\b\t\n\f\r\"\\/", "\"\\b\\t\\n\\f\\r\\\"\\\\/\"" },
		{ "\x01\x0b\x1f\x7f", "\"\\u0001\\u000b\\u001f\x7f\"" },
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
			"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
		{ "a\xff" "b", "\"a\xef\xbf\xbd" "b\"" },
		{ "\xed\xa0\x80", "\"\xef\xbf\xbd\"" },
		{ "\xed\xa0\xbd\xed\xb8\x80", "\"\xf0\x9f\x98\x80\"" },
		{ "x\xe2\x82", "\"x\xef\xbf\xbd\xef\xbf\xbd\"" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);

		kt_json_add_str(&b, cases[i].text, strlen(cases[i].text));
		assert_string_equal(b.ptr, cases[i].what);
	}
}

/* Every byte, alone and between others, gives a text that the validator takes. */
static void test_strings_always_valid(void **state)
{
	for (int c = 0; c < 256; c++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);
		char s[3] = { 'a', (char)c, 'b' };

		kt_json_add_str(&b, s, 3);
		assert_int_equal(
			kt_json_check(b.ptr, b.len, c ? 0 : KT_JSON_NUL_ESCAPE, NULL), KT_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_strict),
		cmocka_unit_test(test_lenient),
		cmocka_unit_test(test_nul_inside),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_many_keys),
		cmocka_unit_test(test_keys_linear),
		cmocka_unit_test(test_values_are_counted),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_message_is_one_line),
		cmocka_unit_test(test_fixes),
		cmocka_unit_test(test_bad_bytes),
		cmocka_unit_test(test_getters),
		cmocka_unit_test(test_writer),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_strings_always_valid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
