/* SPDX-License-Identifier: MIT */
/* Writing inside of a folder in which somebody planted links. */
#include "base/inside.h"

#include "base/fs.h"
#include "base/str.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];
static int top = -1;

static char *at(const char *path)
{
	static char full[256];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	return full;
}

/* top is root/top; root/out is where nothing may get to. */
static int setup(void **state)
{
	struct kt_err err = KT_ERR_INIT;

	snprintf(root, sizeof(root), "%s", "/tmp/karta-inside-XXXXXX");
	assert_non_null(mkdtemp(root));
	assert_int_equal(mkdir(at("top"), 0755), 0);
	assert_int_equal(mkdir(at("out"), 0755), 0);
	assert_int_equal(kt_inside_open(at("top"), &top, &err), KT_OK);
	return 0;
}

static int teardown(void **state)
{
	close(top);
	return kt_fs_remove_tree(root, NULL) == KT_OK ? 0 : -1;
}

static void content_is(const char *path, const char *want)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);

	assert_int_equal(kt_fs_read(at(path), &b, NULL), KT_OK);
	assert_string_equal(b.ptr, want);
}

static size_t names_in(const char *path)
{
	char **names;
	size_t n;

	assert_int_equal(kt_fs_list(at(path), &names, &n, NULL), KT_OK);
	kt_fs_names_free(names, n);
	return n;
}

static void test_plain(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);
	struct stat st;
	int fd;

	assert_int_equal(kt_inside_write_new(top, "a/b/c.txt", "one", 3, 0640, &err), KT_OK);
	content_is("top/a/b/c.txt", "one");
	assert_int_equal(stat(at("top/a/b/c.txt"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(kt_inside_write_new(top, "a/b/c.txt", "two", 3, 0640, &err), KT_ECONFLICT);
	assert_int_equal(kt_inside_replace(top, "a//./b/c.txt", "two", 3, 0600, &err), KT_OK);
	assert_int_equal(kt_inside_append(top, "a/b/c.txt", "+3", 2, 0600, &err), KT_OK);
	assert_int_equal(kt_inside_read(top, "a/b/c.txt", &b, &err), KT_OK);
	assert_string_equal(b.ptr, "two+3");
	assert_int_equal(kt_inside_append(top, "new", "x", 1, 0600, &err), KT_OK);
	content_is("top/new", "x");
	assert_int_equal(kt_inside_dir(top, "none", false, &fd, &err), KT_ENOTFOUND);
	assert_int_equal(kt_inside_read(top, "none", &b, &err), KT_ENOTFOUND);
	assert_int_equal(kt_inside_read(top, "a/none/x", &b, &err), KT_ENOTFOUND);
	assert_int_equal(kt_inside_write_new(top, "new/x", "x", 1, 0600, &err), KT_EIO);
	/* Nothing but the two is left over. */
	assert_int_equal(names_in("top"), 2);
	assert_int_equal(names_in("top/a/b"), 1);
}

static void test_leaves(void **state)
{
	static const char *const bad[] = { "..", "../out/x", "a/../../out/x", "/tmp/x", "", ".", "a/",
		"a/.." };
	struct kt_err err = KT_ERR_INIT;

	for (size_t i = 0; i < KT_ARRAY_LEN(bad); i++) {
		assert_int_equal(
			kt_inside_write_new(top, bad[i], "x", 1, 0600, &err), KT_EINVAL);
		assert_int_equal(kt_inside_append(top, bad[i], "x", 1, 0600, &err), KT_EINVAL);
	}
	assert_int_equal(names_in("out"), 0);
}

/* Every call with a link as the file, or as a folder on the way. */
static void refused(const char *path, enum kt_code new_code)
{
	struct kt_err err = KT_ERR_INIT;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);

	assert_int_equal(kt_inside_write_new(top, path, "x", 1, 0600, &err), new_code);
	assert_int_equal(kt_inside_append(top, path, "x", 1, 0600, &err), KT_EDENIED);
	assert_int_equal(kt_inside_replace(top, path, "x", 1, 0600, &err), KT_EDENIED);
	assert_int_equal(kt_inside_read(top, path, &b, &err), KT_EDENIED);
	assert_non_null(strstr(err.msg, "is a link"));
	assert_true(err.hint[0] != '\0');
}

static void test_links(void **state)
{
	FILE *f = fopen(at("out/file"), "w");

	assert_non_null(f);
	fputs("kept", f);
	fclose(f);
	assert_int_equal(symlink("../out/file", at("top/file")), 0);
	assert_int_equal(symlink("../out/dangling", at("top/dangling")), 0);
	assert_int_equal(symlink("../out", at("top/dir")), 0);
	assert_int_equal(symlink("loop", at("top/loop")), 0);
	assert_int_equal(mkdir(at("top/deep"), 0755), 0);
	assert_int_equal(symlink("../../out", at("top/deep/dir")), 0);
	refused("file", KT_ECONFLICT);
	refused("dangling", KT_ECONFLICT);
	refused("loop", KT_ECONFLICT);
	refused("dir/x", KT_EDENIED);
	refused("dir/file", KT_EDENIED);
	refused("dir/sub/x", KT_EDENIED);
	refused("deep/dir/x", KT_EDENIED);
	content_is("out/file", "kept");
	assert_int_equal(names_in("out"), 1);
}

static void test_others(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(16);

	/* A pipe without a reader, or with one: nobody waits, nothing is written. */
	assert_int_equal(mkfifo(at("top/pipe"), 0600), 0);
	assert_int_equal(kt_inside_append(top, "pipe", "x", 1, 0600, &err), KT_EIO);
	assert_int_equal(kt_inside_read(top, "pipe", &b, &err), KT_EIO);
	assert_int_equal(kt_inside_write_new(top, "big", "12345678901234567", 17, 0600, &err), KT_OK);
	assert_int_equal(kt_inside_read(top, "big", &b, &err), KT_ELIMIT);
	assert_int_equal(b.len, 0);
}

/* Another process swaps the folder for a link all the time. */
static void test_swapped(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	char dir[256], aside[256];
	pid_t pid;

	snprintf(dir, sizeof(dir), "%s", at("top/d"));
	snprintf(aside, sizeof(aside), "%s", at("top/aside"));
	assert_int_equal(mkdir(dir, 0755), 0);
	assert_int_equal(symlink(at("out"), aside), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (;;)
			(void)renameat2(AT_FDCWD, dir, AT_FDCWD, aside, RENAME_EXCHANGE);
	}
	for (int i = 0; i < 3000; i++) {
		char name[32];
		enum kt_code rc;

		snprintf(name, sizeof(name), "d/f%d", i);
		rc = kt_inside_write_new(top, name, "x", 1, 0600, &err);
		assert_true(rc == KT_OK || rc == KT_EDENIED || rc == KT_EIO);
		rc = kt_inside_replace(top, "d/same", "x", 1, 0600, &err);
		assert_true(rc == KT_OK || rc == KT_EDENIED || rc == KT_EIO);
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(names_in("out"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leaves, setup, teardown),
		cmocka_unit_test_setup_teardown(test_links, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_swapped, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
