/* SPDX-License-Identifier: MIT */
/* What the tests of trees and repositories share: a place of their own and git itself. */
#ifndef KT_TESTS_UNIT_GIT_REPO_TEST_H
#define KT_TESTS_UNIT_GIT_REPO_TEST_H

#include "base/fs.h"
#include "base/str.h"
#include "git/git.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

/*
 * libgit2 1.5 forgets what it allocates to match a regular expression, at each opening of a
 * repository of format 1. LeakSanitizer asks for this by name.
 */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libpcre2\n";
}

static char place[] = "/tmp/karta-pack-XXXXXX"; /* HOME, and where sh() works */

/* Run a script in a folder of the place; its exit status. KARTA_TEST_VERBOSE shows what it says. */
static inline int sh_in(const char *folder, const char *script)
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		if (chdir(place) != 0 || chdir(folder) != 0)
			_exit(126);
		if (!freopen("/dev/null", "w", stderr) || !freopen("/dev/null", "w", stdout))
			_exit(126);
		execl("/bin/sh", "sh", "-ec", script, (char *)NULL);
		_exit(127);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A script that must work, in folder `dir` of the place. */
#define sh(dir, script) assert_int_equal(sh_in((dir), (script)), 0)

/* place/name; the caller's. */
static inline char *at(const char *name)
{
	return kt_path_join(place, name);
}

static inline void write_file(const char *name, const void *data, size_t len)
{
	KT_AUTOFREE char *path = at(name);
	KT_AUTOFREE char *parent = kt_path_dir(path);

	assert_int_equal(kt_fs_mkdirs(parent, 0755, NULL), KT_OK);
	assert_int_equal(kt_fs_write_atomic(path, data, len, 0644, false, NULL), KT_OK);
}

/* Expect KT_OK, saying what was wrong. */
static inline void expect_ok(enum kt_code code, const struct kt_err *err)
{
	if (code != KT_OK)
		print_message("%s\n", err->msg);
	assert_int_equal(code, KT_OK);
}

static inline struct kt_tree_options options(const char *sub)
{
	struct kt_tree_options o = { .sub = sub };

	kt_pack_limits_init(&o.limits);
	return o;
}

static inline struct kt_tree *commit_tree(const char *dir, const char *rev, const char *sub)
{
	KT_AUTOFREE char *path = at(dir);
	struct kt_tree_options o = options(sub);
	struct kt_tree *t = NULL;
	struct kt_err err = KT_ERR_INIT;

	expect_ok(kt_tree_commit(path, rev, &o, &t, &err), &err);
	return t;
}

static inline struct kt_tree *folder_tree(const char *dir, const char *sub)
{
	KT_AUTOFREE char *path = at(dir);
	struct kt_tree_options o = options(sub);
	struct kt_tree *t = NULL;
	struct kt_err err = KT_ERR_INIT;

	expect_ok(kt_tree_folder(path, &o, &t, &err), &err);
	return t;
}

/* The paths of a tree with a blank between. */
static inline void expect_paths(const struct kt_tree *t, const char *paths)
{
	const struct kt_manifest *m = kt_tree_manifest(t);
	struct kt_buf b = KT_BUF_INIT(1 << 20);

	for (size_t i = 0; i < m->n_files; i++)
		kt_buf_addf(&b, "%s%s", i ? " " : "", m->files[i].path);
	assert_string_equal(b.ptr, paths);
	kt_buf_release(&b);
}

/* The refusal of a commit or (rev NULL) a folder: code, and words of its message. */
static inline void expect_refused(
	const char *dir, const char *rev, enum kt_code want, const char *words)
{
	KT_AUTOFREE char *path = at(dir);
	struct kt_tree_options o = options(NULL);
	struct kt_tree *t = NULL;
	struct kt_err err = KT_ERR_INIT;
	enum kt_code code = rev ? kt_tree_commit(path, rev, &o, &t, &err)
				: kt_tree_folder(path, &o, &t, &err);

	if (code != want || !strstr(err.msg, words))
		print_message("%d: %s (%s)\n", code, err.msg, err.hint);
	assert_int_equal(code, want);
	assert_non_null(strstr(err.msg, words));
	assert_null(t);
}

static inline void expect_content(struct kt_tree *t, const char *path, const char *content)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	const struct kt_file *f = kt_manifest_find(kt_tree_manifest(t), path);
	struct kt_err err = KT_ERR_INIT;

	assert_non_null(f);
	expect_ok(kt_tree_read(t, f, &b, &err), &err);
	assert_string_equal(b.ptr, content);
	assert_int_equal(f->size, b.len);
}

static inline int set_up_place(void **state)
{
	(void)state;
	if (!mkdtemp(place))
		return -1;
	setenv("HOME", place, 1);
	setenv("XDG_CONFIG_HOME", place, 1);
	setenv("GIT_CONFIG_NOSYSTEM", "1", 1);
	setenv("GIT_AUTHOR_NAME", "A", 1);
	setenv("GIT_AUTHOR_EMAIL", "a@example.com", 1);
	setenv("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z", 1);
	setenv("GIT_COMMITTER_NAME", "A", 1);
	setenv("GIT_COMMITTER_EMAIL", "a@example.com", 1);
	setenv("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z", 1);
	unsetenv("GIT_DIR");
	unsetenv("GIT_WORK_TREE");
	unsetenv("GIT_INDEX_FILE");
	umask(022);
	return sh_in(".",
		       "git config --global init.defaultBranch main\n"
		       "git config --global protocol.file.allow always") == 0
		? kt_crypto_init(NULL) == KT_OK ? 0 : -1
		: -1;
}

static inline int tear_down_place(void **state)
{
	(void)state;
	return kt_fs_remove_tree(place, NULL) == KT_OK ? 0 : -1;
}

#endif
