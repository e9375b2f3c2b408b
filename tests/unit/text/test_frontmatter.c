/* SPDX-License-Identifier: MIT */
/*
 * Front matter as each harness reads it. The rows are what Claude Code 2.1.197 and OpenCode 1.18.33
 * answered when they were asked; tests/api/oracle.test.mjs asks them again.
 */
#include "text/frontmatter.h"

#include "base/buf.h"
#include "text/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NONE KT_FRONT_NONE
#define READ KT_FRONT_READ
#define MENDED KT_FRONT_MENDED
#define UNREAD KT_FRONT_UNREAD
#define SKIPPED KT_FRONT_SKIPPED

static void expect(const char *text, size_t len, enum kt_yaml_reader reader,
	enum kt_front_state state, const char *want)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	KT_AUTO_FRONT struct kt_frontmatter f = { 0 };

	kt_frontmatter_read(text, len, reader, &f);
	kt_json_add(&b, f.data);
	if (f.state != state || (want && strcmp(b.ptr, want) != 0))
		fail_msg("%s: '%s': state %d %s (%s), wanted %d %s",
			reader == KT_YAML_CLAUDE ? "claude" : "opencode", text, f.state, b.ptr,
			f.why.msg, state, want);
	/* There is a reason exactly when something was not read at once. */
	assert_int_equal(f.why.msg[0] != '\0', state >= MENDED);
}

/* Where it begins and ends. */
static void test_frame(void **state)
{
	static const struct {
		const char *text;
		enum kt_front_state claude, opencode;
		const char *c_want, *o_want;
	} cases[] = {
		{ "", NONE, NONE, "{}", "{}" },
		{ "# Title\n", NONE, NONE, "{}", "{}" },
		{ "---\nd: x\n---\nBody\n", READ, READ, "{\"d\":\"x\"}", "{\"d\":\"x\"}" },
		{ "---\r\nd: x\r\n---\r\nBody\r\n", READ, READ, "{\"d\":\"x\"}", "{\"d\":\"x\"}" },
		{ "---  \nd: x\n--- \t\nBody\n", READ, READ, "{\"d\":\"x\"}", "{\"d\":\"x\"}" },
		{ "\xef\xbb\xbf---\nd: x\n---\n", NONE, READ, "{}", "{\"d\":\"x\"}" },
		{ "\n---\nd: x\n---\n", NONE, NONE, "{}", "{}" },
		{ " ---\nd: x\n---\n", NONE, NONE, "{}", "{}" },
		{ "----\nd: x\n----\n", NONE, NONE, "{}", "{}" },
		{ "---\nd: x\n----\n", READ, READ, "{\"d\":\"x\"}", "{\"d\":\"x\"}" },
		{ "---\nd: x\n", NONE, READ, "{}", "{\"d\":\"x\"}" },
		{ "---\nd: x\n---", READ, READ, "{\"d\":\"x\"}", "{\"d\":\"x\"}" },
		{ "---\nd: x\n  ---\ny\n", READ, UNREAD, "{\"d\":\"x\"}", "{}" },
		{ "---\nd: a --- b\n---\n", READ, READ, "{\"d\":\"a\"}", "{\"d\":\"a --- b\"}" },
		{ "---yaml\nd: x\n---\n", NONE, READ, "{}", "{\"d\":\"x\"}" },
		{ "---json\n{\"d\":\"x\"}\n---\n", NONE, READ, "{}", "{\"d\":\"x\"}" },
		{ "---toml\nd = 1\n---\n", NONE, UNREAD, "{}", "{}" },
		{ "---\n---\nBody", READ, READ, "{}", "{}" },
		{ "---\n# comment\n---\n", READ, READ, "{}", "{}" },
		{ "---\njust text\n---\n", READ, READ, "{}", "{}" },
		{ "---\n- a\n- b\n---\n", READ, READ, "{}", "{}" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		size_t len = strlen(cases[i].text);

		expect(cases[i].text, len, KT_YAML_CLAUDE, cases[i].claude, cases[i].c_want);
		expect(cases[i].text, len, KT_YAML_OPENCODE, cases[i].opencode, cases[i].o_want);
	}
}

/* What is no YAML, or nearly none, in the value of a key. */
static void test_values(void **state)
{
	static const struct {
		const char *value;
		enum kt_front_state claude;
		const char *c_want; /* JSON of the value, NULL for none at all */
		enum kt_front_state opencode;
		const char *o_want;
	} cases[] = {
		{ "a: b", MENDED, "\"a: b\"", MENDED, "\"a: b\"" },
		{ "say \"hi: x\" now", MENDED, "\"say \\\"hi: x\\\" now\"", MENDED,
			"\"say \\\"hi: x\\\" now\"" },
		{ "@foo", MENDED, "\"@foo\"", UNREAD, NULL },
		{ "@foo: x", MENDED, "\"@foo: x\"", MENDED, "\"@foo: x\"" },
		{ "`foo` bar", MENDED, "\"`foo` bar\"", UNREAD, NULL },
		{ "!foo bar", READ, "\"bar\"", UNREAD, NULL },
		{ "! bar", READ, "\"bar\"", READ, "\"bar\"" },
		{ "%foo", MENDED, "\"%foo\"", UNREAD, NULL },
		{ "[x] y", MENDED, "\"[x] y\"", UNREAD, NULL },
		{ "[x] y: z", MENDED, "\"[x] y: z\"", READ, "[\"x\"]" },
		{ "[x, y]", READ, "[\"x\",\"y\"]", READ, "[\"x\",\"y\"]" },
		{ "{x}", READ, "{\"x\":null}", READ, "{\"x\":null}" },
		{ "{x} y", MENDED, "\"{x} y\"", UNREAD, NULL },
		{ "*foo bar", MENDED, "\"*foo bar\"", UNREAD, NULL },
		{ "**bold** x", MENDED, "\"**bold** x\"", UNREAD, NULL },
		{ "&foo bar", READ, "\"bar\"", READ, "\"bar\"" },
		{ "# foo", READ, "null", READ, "null" },
		{ "foo # bar", READ, "\"foo\"", READ, "\"foo\"" },
		{ "foo#bar", READ, "\"foo#bar\"", READ, "\"foo#bar\"" },
		{ "| foo", MENDED, "\"| foo\"", UNREAD, NULL },
		{ "> foo", MENDED, "\"> foo\"", UNREAD, NULL },
		{ ", foo", READ, "\", foo\"", UNREAD, NULL },
		{ "- foo", UNREAD, NULL, UNREAD, NULL },
		{ "\"foo", UNREAD, NULL, UNREAD, NULL },
		{ "\"foo\" bar", UNREAD, NULL, UNREAD, NULL },
		{ "\"foo\" bar: x", MENDED, "\"\\\"foo\\\" bar: x\"", READ, "\"foo\"" },
		{ "'foo's bar'", UNREAD, NULL, UNREAD, NULL },
		{ "'foo''s'", READ, "\"foo's\"", READ, "\"foo's\"" },
		{ "\"a\\nb\"", READ, "\"a\\nb\"", READ, "\"a\\nb\"" },
		{ "42", READ, "42", READ, "42" },
		{ "1.50", READ, "1.5", READ, "1.5" },
		{ "010", READ, "10", READ, "8" },
		{ "0x1F", READ, "31", READ, "31" },
		{ "1_000", READ, "\"1_000\"", READ, "1000" },
		{ "10:30", READ, "\"10:30\"", READ, "630" },
		{ "-1:00:01.5", READ, "\"-1:00:01.5\"", READ, "-3601.5" },
		{ "010:30.5", READ, "\"010:30.5\"", READ, "630.5" },
		{ "010:30", READ, "\"010:30\"", READ, "\"010:30\"" },
		{ "10:60", READ, "\"10:60\"", READ, "\"10:60\"" },
		{ "true", READ, "true", READ, "true" },
		{ "yes", READ, "\"yes\"", READ, "\"yes\"" },
		{ "~", READ, "null", READ, "null" },
		{ "2024-01-01", READ, "\"2024-01-01\"", READ, "{\"date\":\"2024-01-01\"}" },
		{ "http://x.y", READ, "\"http://x.y\"", READ, "\"http://x.y\"" },
		{ "it's fine", READ, "\"it's fine\"", READ, "\"it's fine\"" },
		{ "a\x07" "b", READ, NULL, UNREAD, NULL },
		{ "one\nd: two", READ, "\"two\"", UNREAD, NULL },
		{ "one\n  two\n  three", READ, "\"one two three\"", READ, "\"one two three\"" },
		{ "a: b\n  c", UNREAD, NULL, MENDED, "\"a: b\\nc\"" },
		{ "one\ntwo", UNREAD, NULL, UNREAD, NULL },
		{ "|\n  lit\n  text", READ, "\"lit\\ntext\\n\"", READ, "\"lit\\ntext\\n\"" },
		{ ">-\n  a\n  b\n\n  c", READ, "\"a b\\nc\"", READ, "\"a b\\nc\"" },
		{ "\n  - a\n  - k: v", READ, "[\"a\",{\"k\":\"v\"}]", READ, "[\"a\",{\"k\":\"v\"}]" },
		{ "\n\t- a", READ, "[\"a\"]", READ, "[\"a\"]" },
		{ "&x v\ne: *x", READ, "\"v\"", READ, "\"v\"" },
		{ "!!str 42", READ, "\"42\"", READ, "\"42\"" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);

		kt_buf_addf(&b, "---\nd: %s\n---\nBody.\n", cases[i].value);
		for (int o = 0; o < 2; o++) {
			enum kt_front_state want = o ? cases[i].opencode : cases[i].claude;
			const char *value = o ? cases[i].o_want : cases[i].c_want;
			KT_AUTO_BUF struct kt_buf got = KT_BUF_INIT(4096);
			KT_AUTO_FRONT struct kt_frontmatter f = { 0 };

			expect(b.ptr, b.len, o ? KT_YAML_OPENCODE : KT_YAML_CLAUDE, want, NULL);
			kt_frontmatter_read(
				b.ptr, b.len, o ? KT_YAML_OPENCODE : KT_YAML_CLAUDE, &f);
			if (value)
				kt_json_add(&got, kt_json_get(f.data, "d"));
			if (value && strcmp(got.ptr, value) != 0)
				fail_msg("%d: '%s': %s, wanted %s", o, cases[i].value, got.ptr,
					value);
			if (!value && want == UNREAD)
				assert_null(f.data->child);
		}
	}
}

/* Other encodings, sizes, and what multiplies. */
static void test_bytes(void **state)
{
	static const char latin[] = "---\nd: caf\xe9 x\n---\n";
	static const char nul[] = "---\nd: a\0b\n---\n";
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	KT_AUTO_FRONT struct kt_frontmatter f = { 0 };

	expect(latin, sizeof(latin) - 1, KT_YAML_CLAUDE, READ, "{\"d\":\"caf\xef\xbf\xbd x\"}");
	expect(latin, sizeof(latin) - 1, KT_YAML_OPENCODE, READ, "{\"d\":\"caf\xef\xbf\xbd x\"}");
	expect(nul, sizeof(nul) - 1, KT_YAML_CLAUDE, READ, "{\"d\":\"a\"}");
	expect(nul, sizeof(nul) - 1, KT_YAML_OPENCODE, UNREAD, "{}");
	kt_buf_adds(&b, "---\nd: |\n");
	while (b.len < 300 * 1024)
		kt_buf_adds(&b, "  more than 64 KiB\n");
	kt_buf_adds(&b, "e: x\n---\n");
	kt_frontmatter_read(b.ptr, b.len, KT_YAML_CLAUDE, &f);
	assert_int_equal(f.state, READ);
	assert_string_equal(kt_json_str(f.data, "e"), "x");
	kt_frontmatter_release(&f);
	/* Ten times ten times ten ...: a bomb of aliases is no YAML. */
	kt_buf_clear(&b);
	kt_buf_adds(&b, "---\na: &a [x,x,x,x,x,x,x,x,x,x]\n");
	for (char c = 'b'; c < 'j'; c++)
		kt_buf_addf(&b, "%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c - 1,
			c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1);
	kt_buf_adds(&b, "---\n");
	kt_frontmatter_read(b.ptr, b.len, KT_YAML_OPENCODE, &f);
	assert_int_equal(f.state, UNREAD);
	kt_frontmatter_release(&f);
	/* So is what is nested without end. */
	kt_buf_clear(&b);
	kt_buf_adds(&b, "---\na: ");
	for (int i = 0; i < 10000; i++)
		kt_buf_addc(&b, '[');
	kt_buf_adds(&b, "\n---\n");
	kt_frontmatter_read(b.ptr, b.len, KT_YAML_OPENCODE, &f);
	assert_int_equal(f.state, UNREAD);
}

/* The line of a reason is the line of the file. */
static void test_places(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "---\nname: x\nd: [a\n---\n", "4:1: a bracket is not closed" },
		{ "---\nd: \"x\n---\n", "3:1: a quote is not closed" },
		{ "---\nx: y\nd: !foo z\n---\n", "3:10: an unknown tag" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTO_FRONT struct kt_frontmatter f = { 0 };

		kt_frontmatter_read(
			cases[i].text, strlen(cases[i].text), KT_YAML_OPENCODE, &f);
		if (strncmp(f.why.msg, cases[i].why, strlen(cases[i].why)) != 0)
			fail_msg("'%s': '%s'", cases[i].text, f.why.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
