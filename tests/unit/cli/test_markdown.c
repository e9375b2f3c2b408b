/* SPDX-License-Identifier: MIT */
/* Markdown drawn for a terminal, whole and in pieces. */
#include "cli/markdown.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct kt_term plain = { .columns = 40, .utf8 = true };
static const struct kt_term ascii = { .columns = 40 };
static const struct kt_term color = { .columns = 40, .utf8 = true, .color = true };

struct sample {
	const char *md;
	const char *want;
};

static void draw_is(const struct kt_term *t, const char *md, const char *want)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);

	kt_markdown_render(&b, t, md, strlen(md));
	assert_string_equal(b.ptr, want);
}

static void test_plain(void **state)
{
	static const struct sample samples[] = {
		{ "", "" },
		{ "hello", "hello\n" },
		{ "one\ntwo", "one two\n" },
		{ "one  \ntwo", "one\ntwo\n" },
		{ "one\n\n\n\ntwo\n", "one\n\ntwo\n" },
		{ "# Title\ntext", "# Title\n\ntext\n" },
		{ "a **b** *c* `d` ~~e~~", "a **b** *c* `d` ~~e~~\n" },
		{ "- a\n- b\n  - c\n- d\n\nend",
			"\xe2\x80\xa2 a\n\xe2\x80\xa2 b\n  \xe2\x80\xa2 c\n\xe2\x80\xa2 d\n\nend\n" },
		{ "- a\n\n- b\n", "\xe2\x80\xa2 a\n\n\xe2\x80\xa2 b\n" },
		{ "9. a\n10. b\n", "9. a\n10. b\n" },
		{ "- [x] done\n- [ ] open\n", "[x] done\n[ ] open\n" },
		{ "-\n- b\n", "\xe2\x80\xa2\n\xe2\x80\xa2 b\n" },
		{ "> a\n>\n> b\n\nc", "\xe2\x94\x82 a\n\xe2\x94\x82\n\xe2\x94\x82 b\n\nc\n" },
		{ "```c\nint x;\n\n  y\n```\nend", "```c\nint x;\n\n  y\n```\n\nend\n" },
		{ "- a\n  ```\n  x\n  ```\n- b", "\xe2\x80\xa2 a\n  ```\n  x\n  ```\n\xe2\x80\xa2 b\n" },
		{ "[text](https://x.y/z)", "text (https://x.y/z)\n" },
		{ "<https://x.y/z>", "https://x.y/z\n" },
		{ "<a@b.cd>", "a@b.cd\n" },
		{ "![cat](c.png)", "[image: cat] (c.png)\n" },
		{ "[![cat](c.png)](https://x.y)", "[image: cat] (https://x.y)\n" },
		{ "&lt;b&gt; &amp; &#x41; &unknown; &#27;", "<b> & A &unknown; &#27;\n" },
		{ "<b>x</b>", "<b>x</b>\n" },
		{ "<kbd>\nX\n</kbd>", "<kbd> X </kbd>\n" },
		{ "<code>\n\nX", "<code>\n\nX\n" },
		{ "<details>\n<summary>More</summary>\n\n*x*\n\n</details>\n",
			"<details> <summary>More</summary>\n\n*x*\n\n</details>\n" },
		{ "<script>x()</script>\n<!-- c -->\n<?php x ?>\n<!D>\n<![CDATA[y]]>",
			"<script>x()</script> <!-- c --> <?php x\n?> <!D> <![CDATA[y]]>\n" },
		{ "a very long line that is folded at the width of forty columns",
			"a very long line that is folded at the\nwidth of forty columns\n" },
		{ "- a very long item that is folded at the width of forty columns",
			"\xe2\x80\xa2 a very long item that is folded at the\n  width of forty columns\n" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(samples); i++)
		draw_is(&plain, samples[i].md, samples[i].want);
}

static void test_ascii(void **state)
{
	draw_is(&ascii, "- a\n\n> b\n\n---\n", "- a\n\n> b\n\n----------------------------------------\n");
	draw_is(&ascii, "|a|b|\n|---|--:|\n|1|22|\n", "a |  b\n--+---\n1 | 22\n");
}

static void test_tables(void **state)
{
	draw_is(&plain, "| a | b |\n|:-:|---|\n| 1 | two |\n| three | |\n",
		"  a   \xe2\x94\x82 b\n"
		"\xe2\x94\x80\xe2\x94\x80\xe2\x94\x80\xe2\x94\x80\xe2\x94\x80\xe2\x94\x80\xe2\x94\xbc"
		"\xe2\x94\x80\xe2\x94\x80\xe2\x94\x80\xe2\x94\x80\n"
		"  1   \xe2\x94\x82 two\n"
		"three \xe2\x94\x82\n");
	draw_is(&ascii, "|x|y|\n|---|---|\n|k|a long cell which does not fit into the width at all|\n",
		"x | y\n"
		"--+-------------------------------------\n"
		"k | a long cell which does not fit into\n"
		"  | the width at all\n");
	draw_is(&ascii, "|x|\n|---|\n|0123456789012345678901234567890123456789012345|\n",
		"x\n----------------------------------------\n"
		"0123456789012345678901234567890123456789\n012345\n");
}

static void test_color(void **state)
{
	draw_is(&color, "a **b c** d", "a \033[0;1mb c\033[0m d\n");
	draw_is(&color, "# T", "\033[0;4;1;35mT\033[0m\n");
	draw_is(&color, "## T `x`", "\033[0;1;35mT \033[0;36;1;35mx\033[0m\n");
	draw_is(&color, "**a *b***", "\033[0;1ma \033[0;1;3mb\033[0m\n");
	draw_is(&color, "```\nx\n```", "\033[36mx\033[0m\n");
	draw_is(&color, "> ```\n> x\n> ```", "  \033[36mx\033[0m\n");
	draw_is(&color, "```go\nif x { // y\n\t`a\nb`\n}\n```",
		"\033[35mif\033[0m x { \033[2m// y\033[0m\n"
		"\t\033[32m`a\033[0m\n\033[32mb`\033[0m\n}\n");
	draw_is(&color, "```diff\n-a\n+b\n c\n```",
		"\033[31m-a\033[0m\n\033[32m+b\033[0m\n c\n");
	draw_is(&color, "[t](https://u)", "\033[0;4mt\033[0;2m (https://u)\033[0m\n");
	draw_is(&color, "**bold words that are folded at the width of forty**",
		"\033[0;1mbold words that are folded at the width\033[0m\n\033[0;1mof forty\033[0m\n");
}

static void test_hostile(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8 << 20);
	KT_AUTO_BUF struct kt_buf deep = KT_BUF_INIT(1 << 20);

	draw_is(&color, "a\033]0;x\007b `\033[2J`\n", "a\\x1b]0;x\\x07b \033[0;36m\\x1b[2J\033[0m\n");
	draw_is(&color, "\001\201x", "\\x01\\x81x\n");
	draw_is(&plain, "```\n\033[2J\n```", "```\n\\x1b[2J\n```\n");
	draw_is(&plain, "[a](<\xe2\x80\xaex>)", "a (\\u202ex)\n");
	for (int i = 0; i < 2000; i++)
		kt_buf_adds(&deep, "> ");
	kt_buf_adds(&deep, "x\n");
	for (int i = 0; i < 200; i++)
		kt_buf_addf(&deep, "%*s- y\n", i * 2, "");
	kt_markdown_render(&b, &plain, deep.ptr, deep.len);
	assert_true(kt_buf_ok(&b));
	assert_non_null(strstr(b.ptr, "y\n"));
	kt_buf_clear(&deep);
	for (int i = 0; i < 3000; i++)
		kt_buf_adds(&deep, "[*_`~~![");
	kt_markdown_render(&b, &color, deep.ptr, deep.len);
	assert_true(kt_buf_ok(&b));
}

/* Nothing behind the given length is read: md4c 0.4.8 took the ")" behind "[](-" for its link. */
static void test_length_is_kept(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1024);

	kt_markdown_render(&b, &plain, "x [](-)", 6);
	assert_string_equal(b.ptr, "x [](-\n");
}

/* Noise of all sorts: what is drawn depends on the text alone and holds no raw control. */
static void test_noise(void **state)
{
	uint64_t x = 88172645463325252u;
	static const char letters[] = "`*_~[]()!<>#-+|:\n\n  1.a\t&;\033\xe2\x80\xae\\\"=x0";
	char text[400];

	for (int round = 0; round < 3000; round++) {
		KT_AUTO_BUF struct kt_buf one = KT_BUF_INIT(1 << 20);
		KT_AUTO_BUF struct kt_buf two = KT_BUF_INIT(1 << 20);
		struct kt_term t = { .color = round & 1, .utf8 = round & 2, .columns = round % 90 };
		size_t n = (size_t)(x % sizeof(text));

		for (size_t i = 0; i < sizeof(text); i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			text[i] = letters[x % (sizeof(letters) - 1)];
		}
		KT_AUTOFREE char *exact = kt_strndup(text, n);

		kt_markdown_render(&one, &t, text, n);
		kt_markdown_render(&two, &t, exact, n);
		assert_string_equal(one.ptr, two.ptr);
		assert_null(memchr(one.ptr, '\001', one.len));
		if (!t.color)
			assert_null(memchr(one.ptr, '\033', one.len));
	}
}

static const char story[] = "# Title\n\nOne *paragraph*\nof two lines.\n\n"
	"```c\nint a;\n\nint b;\n```\n\n- item\n\n  more of it\n\n- second\n\nAfter.\n\n"
	"1. x\n\n2. y\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n> quote\n\n~~~\n```\n\n~~~\n\nThe end.";

/* Drawing in pieces of every size gives what drawing the whole gives. */
static void test_stream_equals_whole(void **state)
{
	KT_AUTO_BUF struct kt_buf whole = KT_BUF_INIT(1 << 20);

	kt_markdown_render(&whole, &plain, story, strlen(story));
	for (size_t piece = 1; piece <= strlen(story); piece++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
		struct kt_markdown *m = kt_markdown_new(&plain, false);

		for (size_t i = 0; i < strlen(story); i += piece)
			kt_markdown_feed(m, &b, story + i, KT_MIN(piece, strlen(story) - i));
		kt_markdown_end(m, &b);
		kt_markdown_free(m);
		assert_string_equal(b.ptr, whole.ptr);
	}
}

static void feed_is(struct kt_markdown *m, const char *text, const char *want)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);

	kt_markdown_feed(m, &b, text, strlen(text));
	assert_string_equal(b.ptr, want);
}

static void test_stream_steps(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_markdown *m = kt_markdown_new(&plain, false);

	feed_is(m, "one", "");
	feed_is(m, " and\n\n", "");
	feed_is(m, "t", "one and\n");
	feed_is(m, "wo\n\n```sh x\na\n\n", "\ntwo\n\n```sh\na\n");
	feed_is(m, "b\r", "\nb\n");
	feed_is(m, "\n```\n\n", "```\n");
	feed_is(m, "1", "");
	feed_is(m, "0 apples", "");
	kt_markdown_end(m, &b);
	assert_string_equal(b.ptr, "\n10 apples\n");
	kt_buf_clear(&b);
	kt_markdown_end(m, &b);
	assert_string_equal(b.ptr, "");
	feed_is(m, "fresh\n\nx", "fresh\n");
	kt_markdown_free(m);
	kt_markdown_free(NULL);
}

/* A block without an end is drawn when it passes the maximum, and nothing is lost. */
static void test_stream_bounded(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT((size_t)16 << 20);
	struct kt_markdown *m = kt_markdown_new(&plain, false);
	size_t count = 0;

	for (int i = 0; i < 40000; i++)
		kt_markdown_feed(m, &b, "forty bytes of text without any end now ", 40);
	assert_true(b.len > 1000000);
	kt_markdown_end(m, &b);
	assert_true(kt_buf_ok(&b));
	for (const char *p = b.ptr; (p = memmem(p, (size_t)(b.ptr + b.len - p), "forty", 5)); p++)
		count++;
	assert_int_equal(count, 40000);
	kt_markdown_free(m);
}

/* What is guessed of an unfinished block, whatever it holds. */
static void test_unfinished_link(void **state)
{
	static const char *const texts[] = { "see [a](b", "see [a](b[c", "see [a](b[[c[", "see [a](b![" };

	for (size_t i = 0; i < KT_ARRAY_LEN(texts); i++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
		struct kt_markdown *m = kt_markdown_new(&color, false);

		kt_markdown_feed(m, &b, texts[i], strlen(texts[i]));
		assert_true(kt_markdown_tail(m, &b));
		assert_string_equal(b.ptr, "see a\n");
		kt_markdown_free(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_unfinished_link),
		cmocka_unit_test(test_ascii),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_color),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_length_is_kept),
		cmocka_unit_test(test_noise),
		cmocka_unit_test(test_stream_equals_whole),
		cmocka_unit_test(test_stream_steps),
		cmocka_unit_test(test_stream_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
