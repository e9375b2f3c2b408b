/* SPDX-License-Identifier: MIT */
/* Pointers of Git LFS: what they say, and what is none or would lead elsewhere. */
#include "git/lfs_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MAGIC "version https://git-lfs.github.com/spec/v1\n"
#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static bool parses(const char *text, struct kt_lfs *out)
{
	return kt_lfs_parse(text, strlen(text), out);
}

static void test_pointers(void **state)
{
	struct kt_lfs lfs;

	(void)state;
	assert_true(parses(MAGIC "oid sha256:" HEX "\nsize 12345\n", &lfs));
	assert_string_equal(lfs.digest, HEX);
	assert_int_equal(lfs.size, 12345);
	assert_true(parses(MAGIC "ext-0-foo sha256:" HEX "\noid sha256:" HEX "\nsize 0", &lfs));
	assert_int_equal(lfs.size, 0);
}

static void test_others(void **state)
{
	static const char *const others[] = {
		"",
		"oid sha256:" HEX "\nsize 1\n",
		MAGIC,
		MAGIC "oid sha256:" HEX "\n",
		MAGIC "size 1\n",
		MAGIC "oid sha256:" HEX "0\nsize 1\n",
		MAGIC "oid sha256:../../../../../../etc/passwd\nsize 1\n",
		MAGIC "oid sha1:" HEX "\nsize 1\n",
		MAGIC "oid sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\nsize 1\n",
		MAGIC "oid sha256:" HEX "\nsize -1\n",
		MAGIC "oid sha256:" HEX "\nsize 1 2\n",
		MAGIC "oid sha256:" HEX "\nsize 99999999999999999999\n",
		MAGIC "oidsha256:" HEX "\nsize 1\n",
	};
	char large[2048];
	struct kt_lfs lfs;

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (parses(others[i], &lfs))
			fail_msg("taken: %s", others[i]);
	}
	/* A pointer is small; a text file that begins like one is a text file. */
	memset(large, '\n', sizeof(large));
	memcpy(large, MAGIC, sizeof(MAGIC) - 1);
	assert_false(kt_lfs_is_pointer(large, sizeof(large)));
	assert_true(kt_lfs_is_pointer(large, 1024));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pointers),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
