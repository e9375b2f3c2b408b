/* SPDX-License-Identifier: MIT */
/* Paths, manifests, their differences; the properties by random trees. */
#include "pack/pack.h"

#include "base/limits.h"
#include "base/str.h"
#include "tests/unit/patience.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct kt_pack_limits limits;

static void test_path(void **state)
{
	static const struct {
		const char *path;
		enum kt_code code;
		const char *words;
	} cases[] = {
		{ "a", KT_OK, "" },
		{ "a/b/c.txt", KT_OK, "" },
		{ ".gitignore", KT_OK, "" },
		{ ".github/x", KT_OK, "" },
		{ "a/-b", KT_OK, "" },
		{ "a b/c d", KT_OK, "" },
		{ "...x", KT_OK, "" },
		{ "gr\xc3\xbc\xc3\x9f/\xe6\x97\xa5\xe6\x9c\xac.md", KT_OK, "" },
		{ "\xf0\x9f\x98\x80.md", KT_OK, "" },
		{ "", KT_EINVAL, "empty" },
		{ "/a", KT_EINVAL, "absolute" },
		{ "a//b", KT_EINVAL, "empty component" },
		{ "a/", KT_EINVAL, "empty component" },
		{ ".", KT_EINVAL, "'.'" },
		{ "a/./b", KT_EINVAL, "'.'" },
		{ "..", KT_EINVAL, "'..'" },
		{ "a/../b", KT_EINVAL, "'..'" },
		{ ".git", KT_EINVAL, "'.git'" },
		{ "a/.GiT/config", KT_EINVAL, "'.git'" },
		{ "-rf", KT_EINVAL, "begins with '-'" },
		{ "--x/a", KT_EINVAL, "begins with '-'" },
		{ "a.", KT_EINVAL, "dot or blank" },
		{ "a /b", KT_EINVAL, "dot or blank" },
		{ "a\\b", KT_EINVAL, "backslash" },
		{ "a\nb", KT_EINVAL, "\\x0a" },
		{ "a\x7f", KT_EINVAL, "control" },
		{ "a\xc2\x85", KT_EINVAL, "cannot be seen" },
		{ "a\xe2\x80\xae"
		  "b",
			KT_EINVAL, "\\u{202e}" },
		{ "a\xe2\x80\x8b", KT_EINVAL, "cannot be seen" },
		{ ".g\xe2\x80\x8cit", KT_EINVAL, "cannot be seen" },
		{ "\xef\xbb\xbf"
		  "a",
			KT_EINVAL, "cannot be seen" },
		{ "a\xff", KT_EINVAL, "not UTF-8" },
		{ "\xc0\xae", KT_EINVAL, "not UTF-8" },
		{ "\xed\xa0\x80", KT_EINVAL, "not UTF-8" },
		{ "u\xcc\x88", KT_EINVAL, "normal form" },
		{ "\xe2\x84\xab", KT_EINVAL, "normal form" },
	};
	struct kt_err err = KT_ERR_INIT;

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		enum kt_code code = kt_pack_path_check(
			cases[i].path, strlen(cases[i].path), &limits, &err);
		if (code != cases[i].code)
			print_message("case %zu: %s\n", i, cases[i].path);
		assert_int_equal(code, cases[i].code);
		if (code != KT_OK)
			assert_non_null(strstr(err.msg, cases[i].words));
	}
	assert_int_equal(kt_pack_path_check("a\0b", 3, &limits, &err), KT_EINVAL);
}

static void test_path_limits(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	char path[1200];

	memset(path, 'a', sizeof(path));
	assert_int_equal(kt_pack_path_check(path, 255, &limits, NULL), KT_OK);
	assert_int_equal(kt_pack_path_check(path, 256, &limits, &err), KT_EINVAL);
	for (size_t i = 100; i < sizeof(path); i += 100)
		path[i] = '/';
	assert_int_equal(kt_pack_path_check(path, 1024, &limits, NULL), KT_OK);
	assert_int_equal(kt_pack_path_check(path, 1025, &limits, &err), KT_ELIMIT);
	assert_non_null(strstr(err.msg, "max_path_bytes"));
	for (size_t i = 1; i < sizeof(path); i += 2)
		path[i] = '/';
	assert_int_equal(kt_pack_path_check(path, 63, &limits, NULL), KT_OK);
	assert_int_equal(kt_pack_path_check(path, 65, &limits, &err), KT_ELIMIT);
	assert_non_null(strstr(err.msg, "max_depth"));
}

static enum kt_code parse(const char *text, struct kt_err *err)
{
	struct kt_manifest *m = NULL;
	enum kt_code code = kt_manifest_parse(text, strlen(text), &limits, &m, err);

	kt_manifest_free(m);
	return code;
}

static void test_parse(void **state)
{
	static const char text[] = "100755 0 " A " a b\n"
				   "100644 12 " B " a/c\n"
				   "120000 3 " A " d\n";
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(4096);
	struct kt_manifest *m = NULL;
	char digest[KT_DIGEST_MAX];

	assert_int_equal(kt_manifest_parse(text, strlen(text), &limits, &m, NULL), KT_OK);
	assert_int_equal(m->n_files, 3);
	assert_int_equal(m->n_bytes, 15);
	assert_string_equal(m->files[0].path, "a b");
	assert_int_equal(m->files[0].mode, KT_MODE_EXEC);
	assert_int_equal(m->files[2].mode, KT_MODE_LINK);
	assert_string_equal(m->files[1].digest, B);
	assert_ptr_equal(kt_manifest_find(m, "a/c"), &m->files[1]);
	assert_null(kt_manifest_find(m, "a"));
	kt_manifest_render(m, &out);
	assert_string_equal(out.ptr, text);
	kt_sha256_of(text, strlen(text), digest);
	assert_string_equal(m->digest, digest);
	kt_manifest_free(m);
	assert_int_equal(kt_manifest_parse("", 0, &limits, &m, NULL), KT_OK);
	assert_int_equal(m->n_files, 0);
	kt_manifest_free(m);
}

static void test_parse_refuses(void **state)
{
	static const struct {
		const char *text;
		enum kt_code code;
		const char *words;
	} cases[] = {
		{ "100644 1 " A " a", KT_EPROTO, "line feed" },
		{ "\n", KT_EPROTO, "line 1" },
		{ "100600 1 " A " a\n", KT_EPROTO, "mode" },
		{ "040000 1 " A " a\n", KT_EPROTO, "mode" },
		{ "100644  1 " A " a\n", KT_EPROTO, "size" },
		{ "100644 01 " A " a\n", KT_EPROTO, "size" },
		{ "100644 +1 " A " a\n", KT_EPROTO, "size" },
		{ "100644 -0 " A " a\n", KT_EPROTO, "size" },
		{ "100644 9223372036854775808 " A " a\n", KT_EPROTO, "size" },
		{ "100644 1 " A "a a\n", KT_EPROTO, "digest" },
		{ "100644 1 A" A " a\n", KT_EPROTO, "digest" },
		{ "100644 1 A" B "\n", KT_EPROTO, "digest" },
		{ "100644 1 " A " \n", KT_EPROTO, "path" },
		{ "100644 1 " A " a\r\n", KT_EINVAL, "control" },
		{ "100644 1 " A " ../a\n", KT_EINVAL, "'..'" },
		{ "120000 0 " A " a\n", KT_EINVAL, "target" },
		{ "120000 1025 " A " a\n", KT_ELIMIT, "target" },
		{ "100644 268435457 " A " a\n", KT_ELIMIT, "max_file_bytes" },
		{ "100644 268435456 " A " a\n100644 268435456 " A " b\n100644 1 " A " c\n",
			KT_ELIMIT, "max_release_bytes" },
		{ "100644 1 " A " b\n100644 1 " A " a\n", KT_EPROTO, "sorted" },
		{ "100644 1 " A " a\n100644 1 " A " a\n", KT_EPROTO, "twice" },
		{ "100644 1 " A " A\n100644 1 " A " a\n", KT_EINVAL, "case" },
		{ "100644 1 " A " \xc3\x84\n100644 1 " A " \xc3\xa4\n", KT_EINVAL, "case" },
		{ "100644 1 " A " \xd0\x96\n100644 1 " A " \xd0\xb6\n", KT_EINVAL, "case" },
		{ "100644 1 " A " \xce\xa3\n100644 1 " A " \xcf\x82\n", KT_EINVAL, "case" },
		{ "100644 1 " A " \xc3\x9f\n100644 1 " A " \xe1\xba\x9e\n", KT_EINVAL, "case" },
		{ "100644 1 " A " a\n100644 1 " A " a-b\n100644 1 " A " a/b\n", KT_EINVAL,
			"folder" },
		{ "100644 1 " A " A\n100644 1 " A " a/b\n", KT_EINVAL, "folder" },
	};
	struct kt_err err = KT_ERR_INIT;

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		enum kt_code code = parse(cases[i].text, &err);
		if (code != cases[i].code || !strstr(err.msg, cases[i].words))
			print_message("case %zu: %d %s\n", i, code, err.msg);
		assert_int_equal(code, cases[i].code);
		assert_non_null(strstr(err.msg, cases[i].words));
	}
	/* Folders that differ in case only are no file each. */
	assert_int_equal(parse("100644 1 " A " A/x\n100644 1 " A " a/y\n", &err), KT_OK);
	struct kt_pack_limits two = limits;
	struct kt_manifest *m = NULL;
	two.max_files = 1;
	static const char text[] = "100644 1 " A " a\n100644 1 " A " b\n";
	assert_int_equal(kt_manifest_parse(text, strlen(text), &two, &m, &err), KT_ELIMIT);
	assert_non_null(strstr(err.msg, "max_release_files"));
}

static void test_make_refuses(void **state)
{
	struct kt_file f[2] = { { "a", KT_MODE_FILE, 1, A }, { "a", KT_MODE_FILE, 1, B } };
	struct kt_manifest *m = NULL;
	struct kt_err err = KT_ERR_INIT;

	assert_int_equal(kt_manifest_make(f, 2, &limits, &m, &err), KT_EINVAL);
	f[1].path = "b";
	memset(f[1].digest, 'B', 64);
	assert_int_equal(kt_manifest_make(f, 2, &limits, &m, &err), KT_EINVAL);
	memset(f[1].digest, 'b', 64);
	f[1].size = -1;
	assert_int_equal(kt_manifest_make(f, 2, &limits, &m, &err), KT_EINVAL);
	f[1].size = 1;
	assert_int_equal(kt_manifest_make(f, 2, &limits, &m, &err), KT_OK);
	kt_manifest_free(m);
	kt_manifest_free(NULL);
}

static void test_link(void **state)
{
	static const struct {
		const char *path, *target;
		bool ok;
	} cases[] = {
		{ "l", "a", true },
		{ "l", "a/b", true },
		{ "l", ".", true },
		{ "l", "./a", true },
		{ "l", "..a", true },
		{ "d/l", "..", true },
		{ "d/l", "../a", true },
		{ "d/e/l", "../../a", true },
		{ "d/e/l", ".././../a", true },
		{ "l", "/etc/passwd", false },
		{ "l", "..", false },
		{ "l", "../a", false },
		{ "l", "./../a", false },
		{ "d/l", "../../a", false },
		{ "d/l", "a/../../..", false },
		/* Where "a/.." leads nobody knows: a may be a link. */
		{ "l", "a/../b", false },
		{ "l", "", false },
		{ "l", "\xff", false },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		struct kt_file f = { cases[i].path, KT_MODE_LINK, 1, A };
		bool ok = kt_manifest_check_link(
				  &f, cases[i].target, strlen(cases[i].target), NULL) == KT_OK;
		if (ok != cases[i].ok)
			print_message("%s -> %s\n", cases[i].path, cases[i].target);
		assert_int_equal(ok, cases[i].ok);
	}
	struct kt_file f = { "l", KT_MODE_LINK, 1, A };
	assert_int_equal(kt_manifest_check_link(&f, "a\0b", 3, NULL), KT_EINVAL);
}

/* A random tree: about one of `dense` of 400 possible files, with random content. */
static struct kt_manifest *random_tree(const struct kt_manifest *near)
{
	struct kt_file files[400];
	size_t n = 0;
	struct kt_manifest *m = NULL;
	static char names[400][32];

	for (size_t i = 0; i < 400; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "d%zu/%s%zu-\xc3\xbc.txt", i % 7,
			i % 3 ? "f " : "sub/g", i);
		const struct kt_file *old = near ? kt_manifest_find(near, names[i]) : NULL;
		if (chance_below(10) == 0)
			continue;
		struct kt_file *f = &files[n++];
		if (old && chance_below(8)) {
			*f = *old;
			continue;
		}
		f->path = names[i];
		f->mode = chance_below(4) ? KT_MODE_FILE : KT_MODE_EXEC;
		f->size = (int64_t)chance_below(100000);
		uint64_t r = chance_below(3);
		kt_sha256_of(&r, sizeof(r), f->digest);
	}
	for (size_t i = n; i > 1; i--) {
		size_t j = chance_below(i);
		struct kt_file t = files[i - 1];
		files[i - 1] = files[j];
		files[j] = t;
	}
	assert_int_equal(kt_manifest_make(files, n, &limits, &m, NULL), KT_OK);
	return m;
}

static void expect_same(const struct kt_manifest *a, const struct kt_manifest *b)
{
	assert_int_equal(a->n_files, b->n_files);
	assert_int_equal(a->n_bytes, b->n_bytes);
	assert_string_equal(a->digest, b->digest);
}

static void test_random(void **state)
{
	for (int i = 0; i < 100; i++) {
		KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(1 << 20);
		KT_AUTO_BUF struct kt_buf delta = KT_BUF_INIT(1 << 20);
		KT_AUTO_BUF struct kt_buf none = KT_BUF_INIT(1 << 20);
		struct kt_manifest *a = random_tree(NULL);
		struct kt_manifest *b = random_tree(chance_below(2) ? a : NULL);
		struct kt_manifest *c = NULL;
		kt_manifest_render(a, &text);
		assert_int_equal(kt_manifest_parse(text.ptr, text.len, &limits, &c, NULL), KT_OK);
		expect_same(a, c);
		kt_manifest_free(c);
		kt_manifest_delta(a, b, &delta);
		assert_int_equal(
			kt_manifest_apply(a, delta.ptr, delta.len, &limits, &c, NULL), KT_OK);
		expect_same(b, c);
		kt_manifest_delta(b, c, &none);
		assert_int_equal(none.len, 0);
		kt_manifest_free(c);
		/* A delta fits no other base: b has what it adds, and not what it removes. */
		if (delta.len)
			assert_int_equal(
				kt_manifest_apply(b, delta.ptr, delta.len, &limits, &c, NULL),
				KT_EPROTO);
		kt_manifest_free(a);
		kt_manifest_free(b);
	}
}

static void test_delta(void **state)
{
	static const char base_text[] = "100644 1 " A " a\n100644 1 " A " c\n100644 1 " A " e\n";
	static const struct {
		const char *delta;
		enum kt_code code;
	} cases[] = {
		{ "", KT_OK },
		{ "-a\n", KT_OK },
		{ "+100644 2 " B " b\n-c\n", KT_OK },
		{ "+100755 1 " A " a\n", KT_OK },
		{ "-a\n-c\n-e\n+100644 1 " A " f\n", KT_OK },
		{ "-a", KT_EPROTO },
		{ "-\n", KT_EPROTO },
		{ "\n", KT_EPROTO },
		{ "a\n", KT_EPROTO },
		{ "-b\n", KT_EPROTO },
		{ "-c\n-a\n", KT_EPROTO },
		{ "-a\n-a\n", KT_EPROTO },
		{ "-a\n+100644 1 " B " a\n", KT_EPROTO },
		{ "+100644 1 " A " a\n", KT_EPROTO },
		{ "+100644 1 " A "  a\n", KT_OK },
		{ "+100644 1 " A " A\n", KT_EINVAL },
		{ "+100644 1 " A " a/b\n", KT_EINVAL },
		{ "+100644 1 " A " ../b\n", KT_EINVAL },
	};
	struct kt_manifest *base = NULL;
	struct kt_err err = KT_ERR_INIT;

	assert_int_equal(
		kt_manifest_parse(base_text, strlen(base_text), &limits, &base, NULL), KT_OK);
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		struct kt_manifest *m = NULL;
		enum kt_code code = kt_manifest_apply(
			base, cases[i].delta, strlen(cases[i].delta), &limits, &m, &err);
		if (code != cases[i].code)
			print_message("case %zu: %d %s\n", i, code, err.msg);
		assert_int_equal(code, cases[i].code);
		kt_manifest_free(m);
	}
	struct kt_manifest *m = NULL;
	assert_int_equal(kt_manifest_apply(base, "-a\0x\n", 5, &limits, &m, &err), KT_EPROTO);
	kt_manifest_free(base);
}

static void test_glob(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool match;
	} cases[] = {
		{ "foo", "foo", true },
		{ "foo", "bar", false },
		{ "", "", true },
		{ "???", "foo", true },
		{ "??", "foo", false },
		{ "*", "foo", true },
		{ "f*", "foo", true },
		{ "*f", "foo", false },
		{ "*foo*", "foo", true },
		{ "*ob*a*r*", "foobar", true },
		{ "foo\\*", "foo*", true },
		{ "foo\\*bar", "foobar", false },
		{ "[ab]c", "bc", true },
		{ "[!ab]c", "bc", false },
		{ "[^ab]c", "cc", true },
		{ "[a-c]b", "bb", true },
		{ "[]a]x", "]x", true },
		{ "[[:digit:]x]", "7", true },
		{ "[[:alpha:]]", "7", false },
		{ "[a", "[a", false },
		{ "a?b", "a/b", false },
		{ "a*b", "a/b", false },
		{ "a[/]b", "a/b", false },
		{ "**/foo", "foo", true },
		{ "**/foo", "a/b/foo", true },
		{ "**/foo", "xfoo", false },
		{ "foo/**", "foo/a/b", true },
		{ "foo/**", "foo", false },
		{ "a/**/b", "a/b", true },
		{ "a/**/b", "a/x/y/b", true },
		{ "a/**/b", "axb", false },
		{ "a**b", "a/b", false },
		{ "a/*/b", "a/x/b", true },
		{ "a/*/b", "a/x/y/b", false },
		{ "*a*a*a*a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
			false },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		bool match = kt_pack_glob(cases[i].pattern, cases[i].path);
		if (match != cases[i].match)
			print_message("%s %s\n", cases[i].pattern, cases[i].path);
		assert_int_equal(match, cases[i].match);
	}
}

static int set_up(void **state)
{
	kt_pack_limits_init(&limits);
	return kt_crypto_init(NULL) == KT_OK ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),
		cmocka_unit_test(test_path_limits),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_make_refuses),
		cmocka_unit_test(test_link),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_delta),
		cmocka_unit_test(test_glob),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
