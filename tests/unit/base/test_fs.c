/* SPDX-License-Identifier: MIT */
/*
 * Tests of paths and files, in a folder of their own under the temporary folder.
 */
#include "base/fs.h"

#include "base/rand.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/karta-test-fs-XXXXXX";

/* Path below root, the caller's to free. */
static char *at(const char *name)
{
	return kt_path_join(root, name);
}

static void put(const char *path, const char *text)
{
	assert_int_equal(kt_fs_write_atomic(path, text, strlen(text), 0600, false, NULL), KT_OK);
}

static void check_content(const char *path, const char *want)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1000);

	assert_int_equal(kt_fs_read(path, &b, NULL), KT_OK);
	assert_string_equal(b.ptr, want);
}

static void test_paths(void **state)
{
	static const char *const joins[][3] = {
		{ "a", "b", "a/b" }, { "a/", "b", "a/b" }, { "a//", "b", "a/b" },
		{ "/", "b", "/b" }, { "a", "/b", "/b" },
		{ "", "b", "b" }, { "a", "", "a" }, { "", "", "" },
		{ "//", "b", "/b" },
	};
	static const char *const parts[][3] = {
		{ "/a/b/", "b", "/a" }, { "/a/b", "b", "/a" }, { "/a", "a", "/" },
		{ "/", "/", "/" }, { "//", "/", "/" },
		{ "a", "a", "." }, { "a/", "a", "." }, { "a//b", "b", "a" },
		{ "", ".", "." }, { "//a", "a", "/" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(joins); i++) {
		KT_AUTOFREE char *got = kt_path_join(joins[i][0], joins[i][1]);

		assert_string_equal(got, joins[i][2]);
	}
	for (size_t i = 0; i < KT_ARRAY_LEN(parts); i++) {
		KT_AUTOFREE char *base = kt_path_base(parts[i][0]);
		KT_AUTOFREE char *dir = kt_path_dir(parts[i][0]);

		assert_string_equal(base, parts[i][1]);
		assert_string_equal(dir, parts[i][2]);
	}
}

static void test_real(void **state)
{
	KT_AUTOFREE char *link = at("real-link"), *missing = at("real-missing"), *got = NULL;
	KT_AUTOFREE char *below = at("real-link/x");

	put(missing, "x");
	assert_int_equal(symlink(missing, link), 0);
	assert_int_equal(kt_path_real(link, &got, NULL), KT_OK);
	assert_string_equal(got, missing);
	assert_int_equal(unlink(missing), 0);
	free(got);
	got = NULL;
	assert_int_equal(kt_path_real(link, &got, NULL), KT_ENOTFOUND);
	assert_int_equal(kt_path_real(below, &got, NULL), KT_ENOTFOUND);
	assert_null(got);
}

static void test_mkdirs(void **state)
{
	KT_AUTOFREE char *deep = at("m/a//b/c/"), *file = at("m/file"), *below = at("m/file/d");
	KT_AUTOFREE char *mid = at("m/a");
	struct kt_err err = KT_ERR_INIT;
	struct stat st;

	assert_int_equal(kt_fs_mkdirs(deep, 0700, &err), KT_OK);
	assert_true(kt_fs_is_dir(deep));
	assert_false(kt_fs_is_file(deep));
	assert_int_equal(stat(mid, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(kt_fs_mkdirs(deep, 0700, &err), KT_OK);
	assert_int_equal(kt_fs_mkdirs("/", 0700, &err), KT_OK);
	put(file, "");
	assert_true(kt_fs_is_file(file));
	assert_int_equal(kt_fs_mkdirs(file, 0700, &err), KT_EIO);
	assert_int_equal(err.sys, ENOTDIR);
	assert_int_equal(kt_fs_mkdirs(below, 0700, &err), KT_EIO);
	assert_int_equal(kt_fs_mkdirs("", 0700, &err), KT_EINVAL);
}

static void test_read(void **state)
{
	static const size_t sizes[] = { 0, 1, 511, 512, 513, 4095, 4096, 5000 };
	KT_AUTOFREE char *path = at("read");
	struct kt_err err = KT_ERR_INIT;
	char data[5000];

	memset(data, 'r', sizeof(data));
	for (size_t i = 0; i < KT_ARRAY_LEN(sizes); i++) {
		size_t n = sizes[i];
		KT_AUTO_BUF struct kt_buf exact = KT_BUF_INIT(n + 2), tight = KT_BUF_INIT(n + 1);

		assert_int_equal(kt_fs_write_atomic(path, data, n, 0600, false, NULL), KT_OK);
		kt_buf_adds(&exact, "ab");
		assert_int_equal(kt_fs_read(path, &exact, &err), KT_OK);
		assert_int_equal(exact.len, n + 2);
		assert_memory_equal(exact.ptr + 2, data, n);
		kt_buf_adds(&tight, n ? "ab" : "a");
		assert_int_equal(kt_fs_read(path, &tight, &err), n ? KT_ELIMIT : KT_OK);
		assert_true(kt_buf_ok(&tight));
		assert_int_equal(tight.len, n ? 2 : 1);
	}
}

static void test_read_refuses(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(10);
	KT_AUTOFREE char *missing = at("nothing"), *fifo = at("fifo");
	struct kt_err err = KT_ERR_INIT;

	assert_int_equal(kt_fs_read(missing, &b, &err), KT_ENOTFOUND);
	assert_true(kt_str_ends(err.msg, "nothing': No such file or directory"));
	assert_int_equal(kt_fs_read(root, &b, &err), KT_EIO);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(kt_fs_read(fifo, &b, &err), KT_EIO);
	/* Size 0 by stat, and content: the limit must hold while reading. */
	assert_int_equal(kt_fs_read("/proc/self/status", &b, &err), KT_ELIMIT);
	assert_int_equal(b.len, 0);
	kt_buf_adds(&b, "12345678901");
	assert_false(kt_buf_ok(&b));
	assert_int_equal(kt_fs_read("/dev/null", &b, &err), KT_EIO);
}

static void test_write_atomic(void **state)
{
	KT_AUTOFREE char *dir = at("atomic"), *path = at("atomic/file"), *link = at("atomic/link");
	KT_AUTOFREE char *bad = at("atomic/none/file");
	struct kt_err err = KT_ERR_INIT;
	struct stat st;
	char **names;
	size_t n;

	assert_int_equal(kt_fs_mkdirs(dir, 0700, NULL), KT_OK);
	assert_int_equal(kt_fs_write_atomic(path, "one", 3, 0640, true, &err), KT_OK);
	check_content(path, "one");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(kt_fs_write_atomic(path, "second", 6, 0666, false, &err), KT_OK);
	check_content(path, "second");
	assert_int_equal(stat(path, &st), 0);
	/* The mode asked for, not what the umask leaves of it. */
	assert_int_equal(st.st_mode & 07777, 0666);
	/* A link is replaced, what it names is not touched. */
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(kt_fs_write_atomic(link, "third", 5, 0600, false, &err), KT_OK);
	check_content(link, "third");
	check_content(path, "second");
	assert_int_equal(kt_fs_write_atomic(bad, "x", 1, 0600, false, &err), KT_ENOTFOUND);
	/* A target that cannot be replaced: the folder. No temporary file stays. */
	assert_int_equal(kt_fs_write_atomic(dir, "x", 1, 0600, false, &err), KT_EIO);
	assert_int_equal(kt_fs_list(dir, &names, &n, &err), KT_OK);
	assert_int_equal(n, 2);
	kt_fs_names_free(names, n);
	assert_int_equal(kt_fs_list(root, &names, &n, &err), KT_OK);
	for (size_t i = 0; i < n; i++)
		assert_false(kt_str_starts(names[i], ".karta-tmp-"));
	kt_fs_names_free(names, n);
}

/* A full disk, played by the limit on file size: the old content stays, nothing is left behind. */
static void test_write_atomic_fails(void **state)
{
	KT_AUTOFREE char *dir = at("full"), *path = at("full/file");
	struct rlimit old, small;
	struct kt_err err = KT_ERR_INIT;
	char data[8192] = { 0 };
	enum kt_code code, code_new;
	KT_AUTOFREE char *fresh = at("full/new");
	char **names;
	size_t n;

	assert_int_equal(kt_fs_mkdirs(dir, 0700, NULL), KT_OK);
	put(path, "old");
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 4096;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	code = kt_fs_write_atomic(path, data, sizeof(data), 0600, false, &err);
	code_new = kt_fs_write_new(fresh, data, sizeof(data), 0600, NULL);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(code, KT_EIO);
	assert_int_equal(code_new, KT_EIO);
	assert_int_equal(err.sys, EFBIG);
	check_content(path, "old");
	assert_int_equal(kt_fs_list(dir, &names, &n, NULL), KT_OK);
	assert_int_equal(n, 1);
	kt_fs_names_free(names, n);
}

static void test_write_new(void **state)
{
	KT_AUTOFREE char *path = at("new"), *link = at("new-link"), *target = at("new-target");
	struct kt_err err = KT_ERR_INIT;

	assert_int_equal(kt_fs_write_new(path, "a", 1, 0600, &err), KT_OK);
	assert_int_equal(kt_fs_write_new(path, "b", 1, 0600, &err), KT_ECONFLICT);
	check_content(path, "a");
	/* A dangling link must not be written through. */
	assert_int_equal(symlink(target, link), 0);
	assert_int_equal(kt_fs_write_new(link, "b", 1, 0600, &err), KT_ECONFLICT);
	assert_false(kt_fs_is_file(target));
}

static void test_remove_tree(void **state)
{
	KT_AUTOFREE char *tree = at("tree"), *file = at("tree/a/b/file"), *ro = at("tree/ro");
	KT_AUTOFREE char *in_ro = at("tree/ro/file"), *link = at("tree/link"), *kept = at("kept");
	KT_AUTOFREE char *kept_file = at("kept/file"), *deep = at("tree/a/b"), *top_link = at("tl");
	struct kt_err err = KT_ERR_INIT;

	assert_int_equal(kt_fs_mkdirs(kept, 0700, NULL), KT_OK);
	put(kept_file, "kept");
	assert_int_equal(kt_fs_mkdirs(deep, 0700, NULL), KT_OK);
	assert_int_equal(kt_fs_mkdirs(ro, 0700, NULL), KT_OK);
	put(file, "x");
	put(in_ro, "x");
	assert_int_equal(chmod(ro, 0555), 0);
	assert_int_equal(symlink(kept, link), 0);
	assert_int_equal(kt_fs_remove_tree(tree, &err), KT_OK);
	assert_false(kt_fs_is_dir(tree));
	check_content(kept_file, "kept");
	assert_int_equal(kt_fs_remove_tree(tree, &err), KT_OK);
	assert_int_equal(symlink(kept, top_link), 0);
	assert_int_equal(kt_fs_remove_tree(top_link, &err), KT_OK);
	check_content(kept_file, "kept");
	assert_int_equal(kt_fs_remove_tree(kept_file, &err), KT_OK);
	assert_false(kt_fs_is_file(kept_file));
	assert_int_equal(kt_fs_remove_tree("/", &err), KT_EINVAL);
	assert_int_equal(kt_fs_remove_tree("//", &err), KT_EINVAL);
}

/* Deeper than descriptors and path lengths reach: 1500 folders with a file in each. */
static void test_remove_deep_tree(void **state)
{
	KT_AUTOFREE char *tree = at("deep");
	struct kt_err err = KT_ERR_INIT;
	int fd;

	assert_int_equal(kt_fs_mkdirs(tree, 0700, NULL), KT_OK);
	fd = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 1500; i++) {
		int next, file = openat(fd, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

		assert_true(file >= 0);
		close(file);
		assert_int_equal(mkdirat(fd, "d", 0700), 0);
		next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		close(fd);
		fd = next;
	}
	close(fd);
	assert_int_equal(kt_fs_remove_tree(tree, &err), KT_OK);
	assert_false(kt_fs_is_dir(tree));
}

static void test_list(void **state)
{
	static const char *const names[] = { "b", "a", "B", ".hidden", "\xc3\xa4", "a0" };
	static const char *const sorted[] = { ".hidden", "B", "a", "a0", "b", "\xc3\xa4" };
	KT_AUTOFREE char *dir = at("list"), *file = at("list/a"), *none = at("list/none");
	char **got = NULL;
	size_t n = 42;

	assert_int_equal(kt_fs_mkdirs(dir, 0700, NULL), KT_OK);
	assert_int_equal(kt_fs_list(dir, &got, &n, NULL), KT_OK);
	assert_int_equal(n, 0);
	kt_fs_names_free(got, n);
	for (size_t i = 0; i < KT_ARRAY_LEN(names); i++) {
		KT_AUTOFREE char *path = kt_path_join(dir, names[i]);

		put(path, "");
	}
	assert_int_equal(kt_fs_list(dir, &got, &n, NULL), KT_OK);
	assert_int_equal(n, KT_ARRAY_LEN(sorted));
	for (size_t i = 0; i < n; i++)
		assert_string_equal(got[i], sorted[i]);
	kt_fs_names_free(got, n);
	assert_int_equal(kt_fs_list(none, &got, &n, NULL), KT_ENOTFOUND);
	assert_int_equal(kt_fs_list(file, &got, &n, NULL), KT_ENOTFOUND);
}

static void test_which(void **state)
{
	KT_AUTOFREE char *bin = at("bin"), *prog = at("bin/prog"), *plain = at("bin/plain");
	KT_AUTOFREE char *folder = at("bin/folder");
	KT_AUTOFREE char *path = kt_asprintf(":/nowhere:.:%s", bin);
	char *got;

	assert_int_equal(kt_fs_mkdirs(folder, 0700, NULL), KT_OK);
	assert_int_equal(kt_fs_write_atomic(prog, "", 0, 0700, false, NULL), KT_OK);
	put(plain, "");
	setenv("PATH", path, 1);
	got = kt_fs_which("prog");
	assert_string_equal(got, prog);
	free(got);
	got = kt_fs_which(prog);
	assert_string_equal(got, prog);
	free(got);
	assert_null(kt_fs_which("plain"));
	assert_null(kt_fs_which("folder"));
	assert_null(kt_fs_which(plain));
	assert_null(kt_fs_which(""));
	assert_null(kt_fs_which("nothing"));
	/* Found relative to the folder at hand by a shell, but not here. */
	assert_int_equal(chdir(bin), 0);
	setenv("PATH", ":.", 1);
	assert_null(kt_fs_which("prog"));
	unsetenv("PATH");
	assert_null(kt_fs_which("prog"));
	assert_int_equal(chdir("/"), 0);
}

static void test_nonblock(void **state)
{
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(kt_fd_nonblock(fds[0], true, NULL), KT_OK);
	assert_true(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	assert_int_equal(kt_fd_nonblock(fds[0], true, NULL), KT_OK);
	assert_int_equal(kt_fd_nonblock(fds[0], false, NULL), KT_OK);
	assert_false(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	close(fds[0]);
	assert_int_equal(kt_fd_nonblock(fds[0], true, NULL), KT_EIO);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(kt_fs_write_all(fds[1], "x", 1, NULL), KT_EIO);
	assert_int_equal(kt_fs_write_all(fds[1], NULL, 0, NULL), KT_OK);
	close(fds[1]);
}

static void check_dir(char *(*fn)(void), const char *want)
{
	KT_AUTOFREE char *got = fn();

	assert_string_equal(got, want);
}

static void test_dirs(void **state)
{
	static const char *const names[] = { "KARTA_CONFIG_DIR", "KARTA_DATA", "XDG_CONFIG_HOME",
		"XDG_STATE_HOME", "XDG_DATA_HOME" };

	for (size_t i = 0; i < KT_ARRAY_LEN(names); i++)
		unsetenv(names[i]);
	setenv("HOME", "/home/u", 1);
	check_dir(kt_dir_config, "/home/u/.config/karta");
	check_dir(kt_dir_state, "/home/u/.local/state/karta");
	check_dir(kt_dir_data, "/home/u/.local/share/karta");
	setenv("XDG_CONFIG_HOME", "relative", 1);
	check_dir(kt_dir_config, "/home/u/.config/karta");
	setenv("XDG_CONFIG_HOME", "/xdg", 1);
	setenv("XDG_DATA_HOME", "/xdg", 1);
	check_dir(kt_dir_config, "/xdg/karta");
	setenv("KARTA_CONFIG_DIR", "/own", 1);
	setenv("KARTA_DATA", "/owndata", 1);
	check_dir(kt_dir_config, "/own");
	check_dir(kt_dir_data, "/owndata");
	setenv("HOME", "/", 1);
	check_dir(kt_dir_state, "/.local/state/karta");
}

static int set_up(void **state)
{
	umask(022);
	return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
	return kt_fs_remove_tree(root, NULL) == KT_OK && !kt_fs_is_dir(root) ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),        cmocka_unit_test(test_real),
		cmocka_unit_test(test_mkdirs),       cmocka_unit_test(test_read),
		cmocka_unit_test(test_read_refuses), cmocka_unit_test(test_write_atomic),
		cmocka_unit_test(test_write_atomic_fails), cmocka_unit_test(test_write_new),
		cmocka_unit_test(test_remove_tree),  cmocka_unit_test(test_remove_deep_tree),
		cmocka_unit_test(test_list),         cmocka_unit_test(test_which),
		cmocka_unit_test(test_nonblock),     cmocka_unit_test(test_dirs),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
