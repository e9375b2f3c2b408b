/* SPDX-License-Identifier: MIT */
/* What git knows of a place: repositories made by git itself. */
#include "repo_test.h"

static struct kt_git_info info_of(const char *dir, bool with_status)
{
	KT_AUTOFREE char *path = at(dir);
	struct kt_git_info info;
	struct kt_err err = KT_ERR_INIT;

	expect_ok(kt_git_info(path, with_status, &info, &err), &err);
	return info;
}

static enum kt_code resolve(const char *dir, const char *rev, char *out, struct kt_err *err)
{
	KT_AUTOFREE char *path = at(dir);

	return kt_git_resolve(path, rev, out, err);
}

static void test_none(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	struct kt_git_info info;
	KT_AUTOFREE char *path = at("none");

	sh(".", "mkdir none");
	assert_int_equal(kt_git_info(path, false, &info, &err), KT_ENOTFOUND);
	assert_non_null(strstr(err.msg, "no git repository"));
	assert_non_null(strstr(err.hint, "git init"));
	expect_refused("none", "HEAD", KT_ENOTFOUND, "no git repository");
	expect_refused("not-there", "HEAD", KT_ENOTFOUND, "no git repository");
}

static void test_empty(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	char sha[80];

	sh(".", "git init -q empty");
	struct kt_git_info info = info_of("empty", true);
	assert_string_equal(info.head_sha, "");
	assert_string_equal(info.branch, "main");
	assert_false(info.dirty);
	assert_string_equal(info.object_format, "sha1");
	assert_int_equal(resolve("empty", "HEAD", sha, &err), KT_ENOTFOUND);
	assert_non_null(strstr(err.hint, "commit"));
	expect_refused("empty", "HEAD", KT_ENOTFOUND, "no commit 'HEAD'");
	sh("empty", "git commit -q --allow-empty -m nothing");
	struct kt_tree *t = commit_tree("empty", "HEAD", NULL);
	assert_int_equal(kt_tree_manifest(t)->n_files, 0);
	assert_string_equal(kt_tree_subject(t), "nothing");
	kt_tree_free(t);
}

static void test_info(void **state)
{
	char sha[80];
	char other[80];

	sh(".",
		"git init -q info && cd info && echo 1 >a && git add . && git commit -qm one\n"
		"git tag -a -m x v1 && git branch topic && echo 2 >a && git commit -qam two");
	struct kt_git_info info = info_of("info", true);
	assert_string_equal(info.branch, "main");
	assert_int_equal(strlen(info.head_sha), 40);
	assert_false(info.dirty);
	assert_false(info.shallow);
	assert_true(kt_str_ends(info.git_dir, "/info/.git/"));
	assert_true(kt_str_ends(info.work_dir, "/info/"));
	assert_int_equal(resolve("info", "HEAD", sha, NULL), KT_OK);
	assert_string_equal(sha, info.head_sha);
	assert_int_equal(resolve("info", "v1", sha, NULL), KT_OK);
	assert_int_equal(resolve("info", "main~1", other, NULL), KT_OK);
	assert_string_equal(sha, other);
	assert_int_equal(resolve("info", "topic", other, NULL), KT_OK);
	assert_string_equal(sha, other);
	sha[8] = '\0';
	assert_int_equal(resolve("info", sha, other, NULL), KT_OK);
	assert_int_equal(resolve("info", "nope", sha, NULL), KT_ENOTFOUND);
	assert_int_equal(resolve("info", "--all", sha, NULL), KT_ENOTFOUND);
	assert_int_equal(resolve("info", "HEAD:a", sha, NULL), KT_EINVAL);
	assert_int_equal(resolve("info", "HEAD^{tree}", sha, NULL), KT_EINVAL);
	assert_int_equal(resolve("info", "a..b", sha, NULL), KT_EINVAL);
	sh("info", "echo 3 >new");
	assert_true(info_of("info", true).dirty);
	assert_false(info_of("info", false).dirty);
	sh("info", "echo new >.git/info/exclude");
	assert_false(info_of("info", true).dirty);
	sh("info", "echo 3 >a");
	assert_true(info_of("info", true).dirty);
	sh("info", "git checkout -qf HEAD~1 && mkdir deep");
	info = info_of("info/deep", false);
	assert_string_equal(info.branch, "");
	assert_string_equal(info.head_sha, other);
	assert_true(kt_str_ends(info.work_dir, "/info/"));
}

static void test_places(void **state)
{
	struct kt_git_info info;
	struct kt_err err = KT_ERR_INIT;
	KT_AUTOFREE char *git_dir = at("from/.git");

	sh(".",
		"git init -q from && cd from && echo 1 >a && git add . && git commit -qm one\n"
		"echo 2 >a && git commit -qam two\n"
		"git clone -q --bare . ../bare.git && git worktree add -q ../tree HEAD~1\n"
		"git clone -q --depth 1 \"file://$PWD\" ../shallow");
	info = info_of("bare.git", true);
	assert_string_equal(info.work_dir, "");
	assert_false(info.dirty);
	info = info_of("tree", true);
	assert_true(kt_str_ends(info.git_dir, "/from/.git/worktrees/tree/"));
	assert_true(kt_str_ends(info.work_dir, "/tree/"));
	assert_string_equal(info.branch, "");
	assert_true(info_of("shallow", true).shallow);
	/* A remote helper is started with GIT_DIR. */
	assert_int_equal(setenv("GIT_DIR", git_dir, 1), 0);
	expect_ok(kt_git_info("/", false, &info, &err), &err);
	assert_true(kt_str_ends(info.git_dir, "/from/.git/"));
	KT_AUTOFREE char *other = at("from/.git/worktrees/tree");
	assert_int_equal(setenv("GIT_DIR", other, 1), 0);
	assert_int_equal(setenv("GIT_WORK_TREE", "/", 1), 0);
	expect_ok(kt_git_info("/", false, &info, &err), &err);
	assert_true(kt_str_ends(info.git_dir, "/from/.git/worktrees/tree/"));
	assert_int_equal(unsetenv("GIT_DIR"), 0);
	assert_int_equal(unsetenv("GIT_WORK_TREE"), 0);
}

static void test_remote(void **state)
{
	KT_AUTOFREE char *path = at("remote");
	struct kt_err err = KT_ERR_INIT;
	char *url = NULL;
	char *old = NULL;

	sh(".", "git init -q remote");
	assert_int_equal(kt_git_remote_url(path, "karta", &url, &err), KT_ENOTFOUND);
	expect_ok(kt_git_remote_set(path, "karta", "karta::http://127.0.0.1/a", &old, &err), &err);
	assert_null(old);
	expect_ok(kt_git_remote_url(path, "karta", &url, &err), &err);
	assert_string_equal(url, "karta::http://127.0.0.1/a");
	free(url);
	expect_ok(kt_git_remote_set(path, "karta", "karta://example.com/b", &old, &err), &err);
	assert_string_equal(old, "karta::http://127.0.0.1/a");
	free(old);
	sh("remote", "test \"$(git remote get-url karta)\" = karta://example.com/b");
	expect_ok(kt_git_remote_set(path, "karta", "karta://example.com/c", NULL, &err), &err);
	assert_int_equal(kt_git_remote_set(path, "a b", "karta://x/y", &old, &err), KT_EINVAL);
	assert_int_equal(kt_git_remote_url(path, "", &url, &err), KT_EINVAL);
}

static void expect_apps(const char *dir, const char *rev, const char *want)
{
	KT_AUTOFREE char *path = at(dir);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);
	struct kt_err err = KT_ERR_INIT;
	char **names = NULL;
	size_t n = 0;

	expect_ok(kt_git_apps(path, rev, &names, &n, &err), &err);
	for (size_t i = 0; i < n; i++)
		kt_buf_addf(&b, "[%s]", names[i]);
	kt_fs_names_free(names, n);
	assert_string_equal(b.ptr, want);
}

static void test_apps(void **state)
{
	sh(".",
		"git init -q apps && cd apps && mkdir -p b a/x c dist && touch karta.toml "
		"b/karta.toml\n"
		"touch a/x/karta.toml c/Karta.toml && echo dist >.gitignore && touch "
		"dist/karta.toml\n"
		"mkdir l && ln -s ../karta.toml l/karta.toml && git add . && git commit -qm one\n"
		"mkdir new && touch new/karta.toml");
	expect_apps("apps", "HEAD", "[][a/x][b]");
	expect_apps("apps", NULL, "[][a/x][b][new]");
	expect_apps("apps/a", NULL, "[][a/x][b][new]");
	sh(".", "mkdir -p plain/p && touch plain/p/karta.toml");
	expect_apps("plain", NULL, "[p]");
}

static void test_refused_repositories(void **state)
{
	sh(".",
		"git init -q --object-format=sha256 sha256 && cd sha256\n"
		"echo 1 >a && git add . && git commit -qm one");
	expect_refused("sha256", "HEAD", KT_EINVAL, "SHA-256");
	sh(".",
		"git init -q future && cd future && git config core.repositoryformatversion 1\n"
		"git config extensions.unheardOf true");
	expect_refused("future", "HEAD", KT_EINVAL, "unheardof");
	/* As a folder the one that libgit2 cannot read says why, too: what git ignores is unknown.
	 */
	expect_refused("sha256", NULL, KT_EINVAL, "SHA-256");
}

static void test_owner(void **state)
{
	KT_AUTOFREE char *path = at("owned");
	struct kt_git_info info;
	struct kt_err err = KT_ERR_INIT;

	if (geteuid() != 0)
		skip();
	sh(".", "git init -q owned && chown -R 12345 owned");
	assert_int_equal(kt_git_info(path, false, &info, &err), KT_EDENIED);
	assert_non_null(strstr(err.msg, "dubious ownership"));
	assert_non_null(strstr(err.hint, "safe.directory"));
	sh(".", "git config --global --add safe.directory \"$PWD/owned\"");
	expect_ok(kt_git_info(path, false, &info, &err), &err);
	sh(".", "git config --global --unset-all safe.directory");
}

static void test_partial_clone(void **state)
{
	sh(".",
		"git init -q whole && cd whole && git config uploadpack.allowFilter true\n"
		"echo 1 >a && git add . && git commit -qm one\n"
		"git clone -q --no-checkout --filter=blob:none \"file://$PWD\" ../partial\n"
		"git -C ../partial config remote.origin.url /nowhere");
	expect_refused("partial", "HEAD", KT_ENOTFOUND, "content of 'a' is not in the repository");
}

/* A few objects that are ten thousand million files: it ends with a reason, whatever is left out. */
static void test_repeated_trees(void **state)
{
	(void)state;
	sh(".",
		"git init -q bomb && cd bomb\n"
		"b=$(echo x | git hash-object -w --stdin)\n"
		"make() {\n"
		"	t=$(printf '100644 blob %s\\t%s\\n' $b $1 | git mktree)\n"
		"	for i in 1 2 3 4 5 6 7 8 9; do\n"
		"		t=$(for n in 0 1 2 3 4 5 6 7 8 9; do printf '040000 tree %s\\td%s\\n' $t $n; done |\n"
		"			git mktree)\n"
		"	done\n"
		"	r=$(echo file | git hash-object -w --stdin)\n"
		"	t=$( (printf '100644 blob %s\\t.kartaignore\\n' $r; git ls-tree $t) | git mktree)\n"
		"	git tag $1 $(git commit-tree -m bomb $t)\n"
		"}\n"
		"make shown; make file\n"
		"t=$(printf '100644 blob %s\\tf\\n' $b | git mktree)\n"
		"for i in $(seq 300); do t=$(printf '040000 tree %s\\td\\n' $t | git mktree); done\n"
		"git tag deep $(git commit-tree -m deep $t)");
	expect_refused("bomb", "shown", KT_ELIMIT, "max_release_files");
	/* Each of the files is ignored. */
	expect_refused("bomb", "file", KT_ELIMIT, "1000000 files and folders");
	expect_refused("bomb", "deep", KT_ELIMIT, "deeper");
	/* Looking for applications in it. */
	KT_AUTOFREE char *dir = kt_path_join(place, "bomb");
	struct kt_err err = KT_ERR_INIT;
	char **names = NULL;
	size_t n = 0;
	assert_int_equal(kt_git_apps(dir, "shown", &names, &n, &err), KT_ELIMIT);
	assert_non_null(strstr(err.msg, "1000000 files and folders"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_remote),
		cmocka_unit_test(test_apps),
		cmocka_unit_test(test_refused_repositories),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_partial_clone),
		cmocka_unit_test(test_repeated_trees),
	};

	return cmocka_run_group_tests(tests, set_up_place, tear_down_place);
}
