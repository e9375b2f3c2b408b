/* SPDX-License-Identifier: MIT */
/* Commits and folders as trees: what is in them, what is refused, and that both are the same. */
#include "repo_test.h"

#include "git/cache_private.h"

#include <fcntl.h>

static void expect_same(const char *dir, const char *rev, const char *sub)
{
	struct kt_tree *c = commit_tree(dir, rev, sub);
	struct kt_tree *f = folder_tree(dir, sub);

	assert_string_equal(kt_tree_manifest(c)->digest, kt_tree_manifest(f)->digest);
	kt_tree_free(c);
	kt_tree_free(f);
}

static void test_commit(void **state)
{
	sh(".",
		"git init -q one && cd one && mkdir -p d/e ü && echo hello >a && echo x >d/e/-b\n"
		"echo y >'ü/日本.md' && printf '#!/bin/sh\\n' >d/run && chmod 755 d/run\n"
		"ln -s ../a d/link && ln -s . d/e/here && : >empty && git add . && git commit -qm "
		"'First: ü'");
	struct kt_tree *t = commit_tree("one", "main", NULL);
	expect_paths(
		t, "a d/e/-b d/e/here d/link d/run empty \xc3\xbc/\xe6\x97\xa5\xe6\x9c\xac.md");
	const struct kt_manifest *m = kt_tree_manifest(t);
	assert_int_equal(kt_manifest_find(m, "d/run")->mode, KT_MODE_EXEC);
	assert_int_equal(kt_manifest_find(m, "a")->mode, KT_MODE_FILE);
	assert_int_equal(kt_manifest_find(m, "d/link")->mode, KT_MODE_LINK);
	expect_content(t, "a", "hello\n");
	expect_content(t, "d/link", "../a");
	expect_content(t, "empty", "");
	assert_string_equal(kt_tree_subject(t), "First: \xc3\xbc");
	kt_tree_free(t);
	expect_same("one", "HEAD", NULL);
	struct kt_tree *f = folder_tree("one", NULL);
	expect_content(f, "d/link", "../a");
	expect_content(f, "d/e/-b", "x\n");
	assert_string_equal(kt_tree_subject(f), "");
	kt_tree_free(f);
	/* The same files, made in another order, with another history, without git. */
	sh(".",
		"mkdir two && cd two && mkdir ü d && cp ../one/ü/* ü && cp -r ../one/d/e d\n"
		"cp ../one/empty . && cp -P ../one/d/link ../one/d/run d && cp ../one/a .");
	t = folder_tree("two", NULL);
	f = commit_tree("one", "HEAD", NULL);
	assert_string_equal(kt_tree_manifest(t)->digest, kt_tree_manifest(f)->digest);
	kt_tree_free(t);
	kt_tree_free(f);
	/* A loose and a packed repository, a bare one, a shallow one, a work tree: the same. */
	sh("one",
		"git repack -adq && echo 2 >a && git commit -qam two && git clone -q --bare . "
		"../b.git\n"
		"git worktree add -q ../wt HEAD && git clone -q --depth 1 \"file://$PWD\" ../sh");
	t = commit_tree("one", "HEAD", NULL);
	for (size_t i = 0; i < 3; i++) {
		static const char *const others[] = { "b.git", "wt", "sh" };
		f = commit_tree(others[i], "HEAD", NULL);
		assert_string_equal(kt_tree_manifest(t)->digest, kt_tree_manifest(f)->digest);
		kt_tree_free(f);
	}
	kt_tree_free(t);
	expect_same("wt", "HEAD", NULL);
}

static void test_sub(void **state)
{
	struct kt_tree_options o = options("nope");
	struct kt_tree *t = NULL;
	struct kt_err err = KT_ERR_INIT;
	KT_AUTOFREE char *path = at("sub");

	sh(".",
		"git init -q sub && cd sub && mkdir -p a/b/c ab && echo 1 >a/b/x && echo 2 "
		">a/b/c/y\n"
		"echo 3 >ab/z && echo '*.log' >.kartaignore && echo l >a/b/k.log && git add .\n"
		"ln -s ../../ab/z a/b/out && git commit -qm one");
	t = commit_tree("sub", "HEAD", "a/b/");
	expect_paths(t, "c/y x");
	kt_tree_free(t);
	sh("sub", "rm a/b/out");
	expect_same("sub", "HEAD", "a/b");
	expect_same("sub", "HEAD", "./a//b/");
	t = folder_tree("sub/a", "b");
	expect_paths(t, "c/y x");
	kt_tree_free(t);
	t = NULL;
	assert_int_equal(kt_tree_commit(path, "HEAD", &o, &t, &err), KT_ENOTFOUND);
	assert_int_equal(kt_tree_folder(path, &o, &t, &err), KT_ENOTFOUND);
	o.sub = "a/b/x";
	assert_int_equal(kt_tree_commit(path, "HEAD", &o, &t, &err), KT_ENOTFOUND);
	assert_int_equal(kt_tree_folder(path, &o, &t, &err), KT_EINVAL);
	o.sub = "a/../..";
	assert_int_equal(kt_tree_commit(path, "HEAD", &o, &t, &err), KT_EINVAL);
	o.sub = "/etc";
	assert_int_equal(kt_tree_folder(path, &o, &t, &err), KT_EINVAL);
	/* A link that is fine in the whole leaves the part. */
	sh("sub", "ln -s ../../ab/z a/b/out && git add . && git commit -qm two");
	o.sub = "a/b";
	assert_int_equal(kt_tree_commit(path, "HEAD", &o, &t, &err), KT_EINVAL);
	assert_non_null(strstr(err.msg, "'out'"));
}

static void test_left_out(void **state)
{
	sh(".",
		"git init -q out && cd out && mkdir -p keep/tests docs/api build node/deep\n"
		"touch a.md a.log keep/b.log keep/tests/t docs/x docs/api/y build/z node/deep/n "
		"keep/s\n"
		"printf '*.log\\n!keep/*.log\\n/docs\\nbuild/\\n' >.kartaignore\n"
		"printf 'tests\\n' >keep/.kartaignore\n"
		"printf 'node export-ignore\\n[attr]skip export-ignore\\nkeep/s skip\\n' "
		">.gitattributes\n"
		"git add . && git commit -qm one");
	struct kt_tree *t = commit_tree("out", "HEAD", NULL);
	expect_paths(t, ".gitattributes .kartaignore a.md keep/.kartaignore keep/b.log");
	kt_tree_free(t);
	expect_same("out", "HEAD", NULL);
	/* The folder that is asked for is not left out itself. */
	t = commit_tree("out", "HEAD", "docs");
	expect_paths(t, "api/y x");
	kt_tree_free(t);
	expect_same("out", "HEAD", "docs");
}

/* export-ignore: the same as what `git archive` leaves out. */
static void test_like_git_archive(void **state)
{
	sh(".",
		"git init -q ga && cd ga && mkdir -p a/b/c 'sp ace' d/a x/y\n"
		"for i in a/1 a/b/2 a/b/c/3 d/a/4 x/y/5 x/6 7 'sp ace/8' .hidden a/tests d/tests; "
		"do\n"
		"echo $i >\"$i\"; done\n"
		"printf '%s\\n' 'tests export-ignore' 'd/tests -export-ignore' '/7 export-ignore' "
		"\\\n"
		"'\"sp ace\" export-ignore' 'a/b/** export-ignore' 'a/b/2 !export-ignore' \\\n"
		"'[attr]gone export-ignore' 'x/y/ gone' 'x/6 export-ignore=no' '# 1 export-ignore' "
		"\\\n"
		"'!a export-ignore' '.hidden text export-ignore' >.gitattributes\n"
		"printf '4 export-ignore\\n' >d/.gitattributes\n"
		"git add . && git commit -qm one\n"
		"git archive HEAD | tar t | grep -v '/$' | LC_ALL=C sort | tr '\\n' ' ' "
		">../ga.list");
	KT_AUTOFREE char *path = at("ga.list");
	KT_AUTO_BUF struct kt_buf list = KT_BUF_INIT(4096);
	assert_int_equal(kt_fs_read(path, &list, NULL), KT_OK);
	kt_buf_truncate(&list, list.len - 1);
	list.ptr[list.len] = '\0';
	struct kt_tree *t = commit_tree("ga", "HEAD", NULL);
	expect_paths(t, list.ptr);
	kt_tree_free(t);
	expect_same("ga", "HEAD", NULL);
}

/* .kartaignore: the same as what .gitignore makes of it. */
static void test_like_gitignore(void **state)
{
	sh(".",
		"git init -q gi && cd gi && mkdir -p a/b/c/d f g/h 'e '\n"
		"for i in a/1 a/b/2 a/b/c/3 a/b/c/d/4 f/5 g/h/6 x.o g/x.o '#c' '!n' 'sp ' sp abc "
		"a+b g/k\n"
		"do echo \"$i\" >\"$i\"; done\n"
		"printf '%s\\n' '*.o' '!g/*.o' 'b/c' 'a/**/3' 'f/*' '!f/5' '\\#c' '\\!n' 'sp   ' "
		"'sp\\ ' \\\n"
		"'a[a-c]c' '# no' '' 'g/h/' '**/k' 'x.o/' >.gitignore\n"
		"printf '!k\\r\\n' >g/.gitignore && rm -f 'sp '\n"
		"git ls-files -o --exclude-standard -z | grep -zv gitignore | LC_ALL=C sort -z |\n"
		"tr '\\0' '\\n' >../gi.list\n"
		"mv .gitignore .kartaignore && mv g/.gitignore g/.kartaignore && git add . &&\n"
		"git commit -qm one");
	KT_AUTOFREE char *path = at("gi.list");
	KT_AUTO_BUF struct kt_buf list = KT_BUF_INIT(4096);
	KT_AUTO_BUF struct kt_buf mine = KT_BUF_INIT(4096);
	assert_int_equal(kt_fs_read(path, &list, NULL), KT_OK);
	struct kt_tree *t = commit_tree("gi", "HEAD", NULL);
	const struct kt_manifest *m = kt_tree_manifest(t);
	for (size_t i = 0; i < m->n_files; i++)
		if (!kt_str_ends(m->files[i].path, ".kartaignore"))
			kt_buf_addf(&mine, "%s\n", m->files[i].path);
	assert_string_equal(mine.ptr, list.ptr);
	kt_tree_free(t);
	expect_same("gi", "HEAD", NULL);
}

static void test_folder(void **state)
{
	sh(".",
		"git init -q fold && cd fold && echo '*.tmp' >.gitignore && mkdir d dist && echo 1 "
		">d/a\n"
		"echo t >forced.tmp && git add . && git add -f forced.tmp && git commit -qm one\n"
		"echo t >x.tmp && echo s >.env.tmp && echo a >d/.gitignore && echo ok "
		">.env.example\n"
		"echo new >new && echo dist >>.git/info/exclude && echo o >dist/o && echo t "
		">dist/o.tmp\n"
		"mkdir d/vendor && git -C d/vendor init -q && echo v >d/vendor/v && echo a "
		">d/vendor/a");
	struct kt_tree *t = folder_tree("fold", NULL);
	expect_paths(t, ".env.example .gitignore d/.gitignore d/a d/vendor/v forced.tmp new");
	/* x.tmp, .env.tmp, dist, d/vendor/a */
	assert_int_equal(kt_tree_left_out(t)->n_ignored, 4);
	kt_tree_free(t);
	/* What git ignores as a whole is asked for by name: all of it. */
	t = folder_tree("fold", "dist");
	expect_paths(t, "o o.tmp");
	kt_tree_free(t);
	/* Without a repository its own rules count, and each folder's. */
	sh(".",
		"mkdir -p plain/d && cd plain && echo a >a && printf 'b\\n.env\\n/c/\\n' "
		">.gitignore\n"
		"echo b >b && echo .env >.env && mkdir c && echo c >c/c && echo '!b' "
		">d/.gitignore\n"
		"echo b >d/b && echo c >d/c");
	t = folder_tree("plain", NULL);
	expect_paths(t, ".gitignore a d/.gitignore d/b d/c");
	kt_tree_free(t);
}

/* Packages stay behind, but those that git has. */
static void test_modules(void **state)
{
	sh(".",
		"mkdir -p mod/node_modules/x mod/sub/node_modules && cd mod && echo 1 >a\n"
		"echo 1 >node_modules/x/i.js && echo 1 >sub/node_modules/j.js");
	struct kt_tree *t = folder_tree("mod", NULL);
	expect_paths(t, "a");
	assert_int_equal(kt_tree_left_out(t)->n_modules, 2);
	kt_tree_free(t);
	sh("mod", "git init -q && git add -f node_modules && git commit -qm one");
	t = folder_tree("mod", NULL);
	expect_paths(t, "a node_modules/x/i.js");
	kt_tree_free(t);
}

static struct kt_tree *with_include(const char *dir, const char *const *include)
{
	KT_AUTOFREE char *path = at(dir);
	struct kt_tree_options o = options(NULL);
	struct kt_tree *t = NULL;
	struct kt_err err = KT_ERR_INIT;

	o.include = include;
	expect_ok(kt_tree_folder(path, &o, &t, &err), &err);
	return t;
}

static void test_secrets(void **state)
{
	static const char *const secret[] = { ".env", ".env.local", "d/.env.production", ".envrc",
		"id_rsa", "keys/id_ed25519", "id_rsa.bak", "server.pem", "d/TLS.PEM", ".npmrc",
		".claude/settings.local.json", ".aws/credentials", "x/.ssh/config", ".netrc",
		"credentials.json", "client_secret_1.json", "service-account-prod.json", "prod.env", "kubeconfig", "infra/terraform.tfstate",
		"AuthKey_1.p8", "shop-firebase-adminsdk-x.json" };
	static const char *const fine[] = { ".env.example", ".env.sample", "d/.env.template",
		"id_rsa.pub", "environment", "credentials", "aws/credentials", "pem",
		".claude/settings.json", "settings.json", ".ssh/known_hosts", "npmrc", "example.env", "env", "auth.json" };

	for (size_t i = 0; i < KT_ARRAY_LEN(secret); i++) {
		if (!kt_pack_secret(secret[i]))
			print_message("%s\n", secret[i]);
		assert_true(kt_pack_secret(secret[i]));
	}
	for (size_t i = 0; i < KT_ARRAY_LEN(fine); i++) {
		if (kt_pack_secret(fine[i]))
			print_message("%s\n", fine[i]);
		assert_false(kt_pack_secret(fine[i]));
	}
	sh(".",
		"mkdir -p sec/certs/d && cd sec && echo a >a && for f in .env certs/x.pem "
		"certs/d/y.pem\n"
		"do echo s >$f; done");
	expect_refused("sec", NULL, KT_EINVAL, "'.env', 'certs/");
	static const char *const all[] = { "./.env", "certs/", NULL };
	struct kt_tree *t = with_include("sec", all);
	expect_paths(t, ".env a certs/d/y.pem certs/x.pem");
	kt_tree_free(t);
	static const char *const one[] = { "certs/d", NULL };
	sh("sec", "printf '.env\\ncerts\\n' >.gitignore");
	t = with_include("sec", one);
	expect_paths(t, ".gitignore a certs/d/y.pem");
	kt_tree_free(t);
	/* In a repository, too; never its own folder. */
	static const char *const git[] = { ".git", "certs/x.pem", NULL };
	sh("sec", "git init -q && git add . && git commit -qm one");
	t = with_include("sec", git);
	expect_paths(t, ".gitignore a certs/x.pem");
	kt_tree_free(t);
	/* A commit is what somebody chose: its files are not judged here. */
	sh("sec", "git add -f .env && git commit -qm two");
	t = commit_tree("sec", "HEAD", NULL);
	expect_paths(t, ".env .gitignore a");
	kt_tree_free(t);
	KT_AUTOFREE char *path = at("sec");
	static const char *const slip[] = { "cert", NULL }, *const out[] = { "../x", NULL };
	struct kt_tree_options o = options(NULL);
	struct kt_err err = KT_ERR_INIT;
	o.include = slip;
	assert_int_equal(kt_tree_folder(path, &o, &t, &err), KT_EINVAL);
	assert_non_null(strstr(err.msg, "'cert'"));
	o.include = out;
	assert_int_equal(kt_tree_folder(path, &o, &t, &err), KT_EINVAL);
}

/* What a commit cannot give, the folder where it is checked out can. */
static void test_elsewhere(void **state)
{
	KT_AUTOFREE char *path = NULL;
	struct kt_tree_options o = options(NULL);
	struct kt_tree *t = NULL;
	struct kt_err err = KT_ERR_INIT;
	bool elsewhere = false;

	sh(".",
		"git init -q dep && cd dep && echo d >d && git add . && git commit -qm d && cd .. "
		"&&\n"
		"git init -q subm && cd subm && echo a >a && git add . &&\n"
		"git -c protocol.file.allow=always submodule --quiet add ../dep dep &&\n"
		"git commit -qm one && git clone -q . ../bare-subm");
	path = at("subm");
	o.elsewhere = &elsewhere;
	assert_int_equal(kt_tree_commit(path, "HEAD", &o, &t, &err), KT_EINVAL);
	assert_non_null(strstr(err.msg, "'dep' is a submodule"));
	assert_true(elsewhere);
	t = folder_tree("subm", NULL);
	expect_paths(t, ".gitmodules a dep/d");
	kt_tree_free(t);
	expect_refused("bare-subm", NULL, KT_EINVAL, "submodule 'dep' is not checked out");
}

static void test_refused(void **state)
{
	sh(".",
		"git init -q bad && cd bad && echo 1 >a && git add . && git commit -qm a && git "
		"branch ok\n"
		"bad() { git commit -qm bad && git branch $1 && git reset -q --hard ok; }\n"
		"git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),mod && bad "
		"submodule\n"
		"git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),mod && echo mod "
		">.kartaignore\n"
		"git add .kartaignore && bad ignored\n"
		"printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:%064d\\nsize "
		"1\\n' 0 >big.bin\n"
		"git add . && bad lfs\n"
		"ln -s /etc/passwd l && git add . && bad absolute\n"
		"ln -s ../x l && git add . && bad outside\n"
		"git update-index --add --cacheinfo 100644,$(git rev-parse HEAD:a),-rf && bad "
		"dash\n"
		"git update-index --add --cacheinfo 100644,$(git rev-parse HEAD:a),A && bad case\n"
		"git update-index --add --cacheinfo \"100644,$(git rev-parse HEAD:a),x\\\\y\" && "
		"bad backslash\n"
		"git update-index --add --cacheinfo 100644,$(git rev-parse HEAD:a),$(printf "
		"'u\\314\\210') &&\n"
		"bad nfc\n"
		"git update-index --add --cacheinfo 100644,$(git rev-parse HEAD:a),$(printf "
		"'\\377') && bad bytes");
	expect_refused("bad", "submodule", KT_EINVAL, "'mod' is a submodule");
	struct kt_tree *t = commit_tree("bad", "ignored", NULL);
	expect_paths(t, ".kartaignore a");
	kt_tree_free(t);
	for (int i = 0; i < 2; i++) /* read, and remembered */
		expect_refused("bad", "lfs", KT_EINVAL, "'big.bin' is a Git LFS pointer");
	expect_refused("bad", "absolute", KT_EINVAL, "link 'l' has the absolute target");
	expect_refused("bad", "outside", KT_EINVAL, "link 'l' leaves the tree");
	expect_refused("bad", "dash", KT_EINVAL, "'-rf' begins with '-'");
	expect_refused("bad", "case", KT_EINVAL, "'A' and 'a'");
	expect_refused("bad", "backslash", KT_EINVAL, "backslash");
	expect_refused("bad", "nfc", KT_EINVAL, "normal form");
	expect_refused("bad", "bytes", KT_EINVAL, "not UTF-8");
	sh("bad", "git checkout -q lfs");
	expect_refused("bad", NULL, KT_EINVAL, "'big.bin' is a Git LFS pointer");
	sh("bad", "git checkout -q outside");
	expect_refused("bad", NULL, KT_EINVAL, "link 'l' leaves the tree");
	sh(".", "mkdir pipe && mkfifo pipe/p");
	expect_refused("pipe", NULL, KT_EINVAL, "'p' is neither");
	expect_refused("nowhere", NULL, KT_ENOTFOUND, "nowhere");
}

static void test_limits(void **state)
{
	struct kt_tree_options o = options(NULL);
	struct kt_tree *t = NULL;
	struct kt_err err = KT_ERR_INIT;
	KT_AUTOFREE char *path = at("lim");

	sh(".",
		"git init -q lim && cd lim && echo 12345 >a && echo 12345 >b && git add . &&\n"
		"git commit -qm a");
	for (int i = 0; i < 6; i++) {
		const char *const words[] = { "max_release_files", "max_release_bytes",
			"max_file_bytes" };
		o = options(NULL);
		*(i / 2 == 0                 ? &o.limits.max_files
				: i / 2 == 1 ? &o.limits.max_bytes
					     : &o.limits.max_file_bytes) = i / 2 == 0 ? 1
			: i / 2 == 1                                                  ? 11
										      : 5;
		enum kt_code code = i % 2 ? kt_tree_commit(path, "HEAD", &o, &t, &err)
					  : kt_tree_folder(path, &o, &t, &err);
		assert_int_equal(code, KT_ELIMIT);
		assert_non_null(strstr(err.msg, words[i / 2]));
	}
}

static int64_t mtime_ns(const char *name)
{
	KT_AUTOFREE char *path = at(name);
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mtim.tv_sec * 1000000000LL + st.st_mtim.tv_nsec;
}

static void test_digest_cache(void **state)
{
	static const char cache[] = "cache/.git/karta/digests";
	char digest[KT_DIGEST_MAX];
	KT_AUTOFREE char *path = at(cache);

	sh(".",
		"git init -q cache && cd cache && for i in $(seq 300); do echo $i >f$i; done\n"
		"git add . && git commit -qm one");
	struct kt_tree *t = commit_tree("cache", "HEAD", NULL);
	memcpy(digest, kt_tree_manifest(t)->digest, sizeof(digest));
	kt_tree_free(t);
	/* Nothing new: the file stays as it is, and no blob is read (they are not even there). */
	int64_t before = mtime_ns(cache);
	sh("cache",
		"for i in 7 8 9; do o=$(git rev-parse HEAD:f$i)\n"
		"d=.git/objects/$(echo $o | cut -c-2)/; mv $d$(echo $o | cut -c3-) $d/gone; done");
	t = commit_tree("cache", "HEAD", NULL);
	assert_string_equal(kt_tree_manifest(t)->digest, digest);
	assert_int_equal(mtime_ns(cache), before);
	struct kt_err err = KT_ERR_INIT;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(100);
	const struct kt_file *f = kt_manifest_find(kt_tree_manifest(t), "f7");
	assert_int_equal(kt_tree_read(t, f, &b, &err), KT_ENOTFOUND);
	kt_tree_free(t);
	sh("cache",
		"for i in 7 8 9; do o=$(git rev-parse HEAD:f$i)\n"
		"d=.git/objects/$(echo $o | cut -c-2)/; mv $d/gone $d$(echo $o | cut -c3-); done");
	/* One bit anywhere: it is as if it were not there. */
	for (size_t i = 0; i < 12; i++) {
		KT_AUTO_BUF struct kt_buf file = KT_BUF_INIT(1 << 20);
		assert_int_equal(kt_fs_read(path, &file, NULL), KT_OK);
		file.ptr[(file.len - 1) * i / 11] ^= 1;
		assert_int_equal(kt_fs_write_atomic(path, file.ptr, i % 3 ? file.len : file.len - 1,
					 0644, false, NULL),
			KT_OK);
		t = commit_tree("cache", "HEAD", NULL);
		assert_string_equal(kt_tree_manifest(t)->digest, digest);
		kt_tree_free(t);
	}
	/* Not writable: works all the same. */
	sh("cache", "rm -r .git/karta && touch .git/karta");
	t = commit_tree("cache", "HEAD", NULL);
	assert_string_equal(kt_tree_manifest(t)->digest, digest);
	kt_tree_free(t);
}

static void test_manifest_cache(void **state)
{
	KT_AUTOFREE char *dir = at("mc");
	struct kt_manifest *m[20];
	struct kt_manifest *got = NULL;
	struct kt_pack_limits l;

	kt_pack_limits_init(&l);
	sh(".", "mkdir mc");
	for (int i = 0; i < 20; i++) {
		struct kt_file f = { "a", KT_MODE_FILE, i, "" };
		kt_sha256_of(&i, sizeof(i), f.digest);
		assert_int_equal(kt_manifest_make(&f, 1, &l, &m[i], NULL), KT_OK);
		kt_manifest_cache_put(dir, m[i]);
		kt_manifest_cache_put("/proc/nowhere", m[i]); /* not writable: nothing happens */
	}
	assert_int_equal(kt_manifest_cache_get(dir, m[19]->digest, &got, NULL), KT_OK);
	assert_string_equal(got->digest, m[19]->digest);
	kt_manifest_free(got);
	assert_int_equal(kt_manifest_cache_get(dir, m[0]->digest, &got, NULL), KT_ENOTFOUND);
	assert_int_equal(kt_manifest_cache_get(dir, "../../etc/passwd", &got, NULL), KT_EINVAL);
	/* Damaged: gone, and can be put again. */
	KT_AUTOFREE char *name = kt_asprintf("mc/karta/manifests/%s", m[19]->digest);
	write_file(name, "100644 1 x", 10);
	assert_int_equal(kt_manifest_cache_get(dir, m[19]->digest, &got, NULL), KT_ENOTFOUND);
	kt_manifest_cache_put(dir, m[19]);
	assert_int_equal(kt_manifest_cache_get(dir, m[19]->digest, &got, NULL), KT_OK);
	kt_manifest_free(got);
	/* A link that came with the repository: nothing is put, or dropped, where it leads. */
	sh(".", "mkdir mine && for i in $(seq 40); do echo x >mine/$i; done && rm -r mc/karta && "
		"mkdir mc/karta && ln -s ../../mine mc/karta/manifests");
	for (int i = 0; i < 20; i++)
		kt_manifest_cache_put(dir, m[i]);
	assert_int_equal(kt_manifest_cache_get(dir, m[19]->digest, &got, NULL), KT_ENOTFOUND);
	sh(".", "test $(ls mine | wc -l) -eq 40 && rm -r mc/karta && ln -s ../mine mc/karta");
	kt_manifest_cache_put(dir, m[0]);
	sh(".", "test $(ls mine | wc -l) -eq 40");
	for (int i = 0; i < 20; i++)
		kt_manifest_free(m[i]);
}

static void count_progress(void *arg, size_t done, size_t total)
{
	size_t *n = arg;

	assert_true(done <= total);
	*n += 1;
}

static void test_progress(void **state)
{
	struct kt_tree_options o = options(NULL);
	struct kt_tree *t = NULL;
	struct kt_err err = KT_ERR_INIT;
	size_t n = 0;
	KT_AUTOFREE char *path = at("many");

	sh(".", "mkdir many && cd many && for i in $(seq 600); do echo $i >f$i; done");
	o.progress = count_progress;
	o.arg = &n;
	expect_ok(kt_tree_folder(path, &o, &t, &err), &err);
	assert_int_equal(kt_tree_manifest(t)->n_files, 600);
	kt_tree_free(t);
	assert_true(n > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commit),
		cmocka_unit_test(test_sub),
		cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_like_git_archive),
		cmocka_unit_test(test_like_gitignore),
		cmocka_unit_test(test_folder),
		cmocka_unit_test(test_modules),
		cmocka_unit_test(test_secrets),
		cmocka_unit_test(test_elsewhere),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_digest_cache),
		cmocka_unit_test(test_manifest_cache),
		cmocka_unit_test(test_progress),
	};

	return cmocka_run_group_tests(tests, set_up_place, tear_down_place);
}
