/* SPDX-License-Identifier: MIT */
/* Bundles and whole archives: read back by tar and by the guarded reader, always the same bytes. */
#include "repo_test.h"

#include "base/limits.h"
#include "tests/unit/patience.h"

#include <fcntl.h>
#include <unistd.h>

/* Digests of all files of a tree; the caller's array, which borrows from the tree. */
static const char **all_digests(const struct kt_tree *t, size_t *n)
{
	const struct kt_manifest *m = kt_tree_manifest(t);
	const char **d = kt_calloc(m->n_files + 1, sizeof(*d));

	for (size_t i = 0; i < m->n_files; i++)
		d[i] = m->files[i].digest;
	*n = m->n_files;
	return d;
}

static enum kt_code bundle(struct kt_tree *t, const char *const *digests, size_t n,
	const char *name, struct kt_err *err)
{
	KT_AUTOFREE char *path = at(name);
	KT_AUTOFD int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int64_t bytes = -1;

	assert_true(fd >= 0);
	enum kt_code code = kt_tree_bundle(
		t, "{\"ref\":\"refs/heads/main\"}", digests, n, fd, &bytes, err);
	if (code == KT_OK)
		assert_int_equal(bytes, lseek(fd, 0, SEEK_CUR));
	else
		assert_int_equal(bytes, -1);
	return code;
}

static void bundle_all(struct kt_tree *t, const char *name)
{
	size_t n = 0;
	KT_AUTOFREE const char **digests = all_digests(t, &n);
	struct kt_err err = KT_ERR_INIT;

	expect_ok(bundle(t, digests, n, name, &err), &err);
}

/* Unpack a file of the place; the manifest or the publish document is the caller's. */
static char *unpack(const char *name, const char *staging, bool is_bundle, int64_t n_files)
{
	KT_AUTOFREE char *path = at(name);
	KT_AUTOFREE char *dir = at(staging);
	KT_AUTOFREE char *text = kt_path_join(dir, is_bundle ? "publish.json" : "manifest");
	KT_AUTOFD int fd = open(path, O_RDONLY | O_CLOEXEC);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_MANIFEST_BYTES);
	struct kt_pack_limits l;
	struct kt_unpacked u;
	struct kt_err err = KT_ERR_INIT;

	assert_true(fd >= 0);
	kt_pack_limits_init(&l);
	l.max_ratio = 100000;
	assert_int_equal(kt_fs_remove_tree(dir, NULL), KT_OK);
	assert_int_equal(kt_fs_mkdirs(dir, 0700, NULL), KT_OK);
	expect_ok(kt_unpack(fd, dir, &l, &u, &err), &err);
	assert_int_equal(u.bundle, is_bundle);
	assert_int_equal(u.n_files, n_files);
	assert_int_equal(kt_fs_read(text, &b, NULL), KT_OK);
	return kt_buf_take(&b);
}

static void make_repository(void)
{
	KT_AUTOFREE char *big = kt_malloc(9 << 20);

	/* Half noise, half zeros: large enough for threads and for reading in pieces. */
	chance_bytes(big, 5 << 20);
	memset(big + (5 << 20), 0, 4 << 20);
	sh(".", "rm -rf r && git init -q r");
	write_file("r/big.bin", big, 9 << 20);
	sh("r",
		"mkdir -p ü/deep && for i in $(seq 200); do echo \"file $i\" >ü/f$i; done\n"
		"echo same >a && cp a b && cp a ü/deep/c && : >empty && ln -s ü/deep link && ln -s "
		"big.bin l2\n"
		"printf '#!/bin/sh\\n' >run && chmod 755 run\n"
		"n=ü/$(printf '%0120d' 7) && echo long >$n && git add . && git commit -qm one && "
		"git repack -adq");
}

static void test_whole(void **state)
{
	struct kt_tree *c = commit_tree("r", "HEAD", NULL);
	struct kt_tree *f = folder_tree("r", NULL);
	size_t n = kt_tree_manifest(c)->n_files;

	assert_string_equal(kt_tree_manifest(c)->digest, kt_tree_manifest(f)->digest);
	bundle_all(c, "c.zst");
	bundle_all(f, "f.zst");
	sh(".", "cmp c.zst f.zst");
	/* From the cache and not from memory: the same. */
	kt_tree_free(c);
	c = commit_tree("r", "HEAD", NULL);
	bundle_all(c, "c2.zst");
	sh(".", "cmp c.zst c2.zst");
	/* "same" three times is one blob; the first member is the document. */
	KT_AUTOFREE char *json = unpack("c.zst", "s", true, (int64_t)n - 2);
	assert_string_equal(json, "{\"ref\":\"refs/heads/main\"}");
	sh(".",
		"zstd -dqf c.zst -o c.tar && tar tf c.tar >l && head -1 l | grep -qx "
		"karta-publish.json\n"
		"test $(wc -l <l) = $(($(sort -u l | wc -l)))\n"
		"mkdir -p x && tar xf c.tar -C x && cd x/blobs && sha256sum * | awk '$1!=$2{exit "
		"1}'\n"
		"tar tvf ../../c.tar | awk '$2!=\"0/0\"||$4!=\"1970-01-01\"{exit 1}'");
	kt_tree_free(c);
	kt_tree_free(f);
}

static void test_part(void **state)
{
	struct kt_tree *t = commit_tree("r", "HEAD", NULL);
	const struct kt_manifest *m = kt_tree_manifest(t);
	const char *digests[] = { kt_manifest_find(m, "run")->digest,
		kt_manifest_find(m, "a")->digest, kt_manifest_find(m, "b")->digest,
		kt_manifest_find(m, "link")->digest };
	struct kt_err err = KT_ERR_INIT;

	expect_ok(bundle(t, digests, 4, "p.zst", &err), &err);
	free(unpack("p.zst", "s", true, 3));
	expect_ok(bundle(t, NULL, 0, "p.zst", &err), &err);
	free(unpack("p.zst", "s", true, 0));
	digests[1] = "0000000000000000000000000000000000000000000000000000000000000000";
	assert_int_equal(bundle(t, digests, 4, "p.zst", &err), KT_EINVAL);
	assert_non_null(strstr(err.msg, "00000000"));
	kt_tree_free(t);
}

static void test_changed(void **state)
{
	static const char *const files[] = { "a", "big.bin", "l2" };
	static const char *const changes[] = { "printf diff >a && echo >>a",
		"printf x | dd of=big.bin bs=1 seek=8000000 conv=notrunc 2>/dev/null",
		"ln -sf a l2 && ln -sfn big.bix l2", "echo more >>a", "echo more >>big.bin",
		"rm l2", "rm a", "rm big.bin && mkfifo big.bin", "rm l2 && echo big.bin >l2" };

	for (size_t i = 0; i < KT_ARRAY_LEN(changes); i++) {
		sh("r", "git checkout -qf HEAD -- . && git clean -qfdx");
		struct kt_tree *t = folder_tree("r", NULL);
		size_t n = 0;
		struct kt_err err = KT_ERR_INIT;
		KT_AUTOFREE const char **digests = all_digests(t, &n);
		KT_AUTOFREE char *words = kt_asprintf(
			"'%s' changed while it was packed", files[i % 3]);
		sh("r", changes[i]);
		const struct kt_file *f = kt_manifest_find(kt_tree_manifest(t), files[i % 3]);
		const char *one = f->digest;
		if (bundle(t, digests, n, "x.zst", &err) != KT_ECONFLICT || !strstr(err.msg, words))
			print_message("%s: %s\n", changes[i], err.msg);
		assert_non_null(strstr(err.msg, words));
		/* And alone, without a thread that reads ahead. */
		assert_int_equal(bundle(t, &one, 1, "x.zst", &err), KT_ECONFLICT);
		kt_tree_free(t);
	}
	sh("r", "git checkout -qf HEAD -- . && git clean -qfdx");
}

static enum kt_code read_tree(
	void *arg, const struct kt_file *f, struct kt_buf *out, struct kt_err *err)
{
	return kt_tree_read(arg, f, out, err);
}

static enum kt_code archive(struct kt_tree *t, const char *format, const char *name,
	kt_file_read_fn read, struct kt_err *err)
{
	KT_AUTOFREE char *path = at(name);
	KT_AUTOFD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	return kt_archive_write(kt_tree_manifest(t), format, read, t, fd, err);
}

static void test_archive(void **state)
{
	static const char *const formats[] = { "tar", "tar.gz", "tar.zst" };
	struct kt_tree *t = commit_tree("r", "HEAD", NULL);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(1 << 20);
	struct kt_err err = KT_ERR_INIT;

	kt_manifest_render(kt_tree_manifest(t), &text);
	for (size_t i = 0; i < KT_ARRAY_LEN(formats); i++) {
		expect_ok(archive(t, formats[i], "a1", read_tree, &err), &err);
		expect_ok(archive(t, formats[i], "a2", read_tree, &err), &err);
		sh(".", "cmp a1 a2 && rm -rf y && mkdir y && tar xf a1 -C y");
		sh("r",
			"git clean -qfdx && git --work-tree=../y status --porcelain >../st && ! "
			"test -s ../st");
		/* Unpacked by the server: the same manifest, so the same digest. */
		KT_AUTOFREE char *manifest = unpack(
			"a1", "s", false, (int64_t)kt_tree_manifest(t)->n_files);
		assert_string_equal(manifest, text.ptr);
	}
	assert_int_equal(archive(t, "zip", "a1", read_tree, &err), KT_EINVAL);
	kt_tree_free(t);
}

static enum kt_code read_short(
	void *arg, const struct kt_file *f, struct kt_buf *out, struct kt_err *err)
{
	enum kt_code code = kt_tree_read(arg, f, out, err);

	if (out->len)
		kt_buf_truncate(out, out->len - 1);
	return code;
}

static enum kt_code read_fails(
	void *arg, const struct kt_file *f, struct kt_buf *out, struct kt_err *err)
{
	return kt_fail(err, KT_ENOTFOUND, 0, "no blob for '%s'", f->path);
}

static void test_failures(void **state)
{
	struct kt_tree *t = commit_tree("r", "HEAD", NULL);
	size_t n = 0;
	KT_AUTOFREE const char **digests = all_digests(t, &n);
	struct kt_err err = KT_ERR_INIT;
	int64_t bytes;
	KT_AUTOFD int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	assert_int_equal(archive(t, "tar.gz", "a1", read_short, &err), KT_EPROTO);
	assert_int_equal(archive(t, "tar.zst", "a1", read_fails, &err), KT_ENOTFOUND);
	assert_string_equal(err.msg, "no blob for 'a'");
	assert_int_equal(kt_tree_bundle(t, "{}", digests, n, full, &bytes, &err), KT_EIO);
	assert_non_null(strstr(err.msg, "No space left"));
	assert_int_equal(kt_tree_bundle(t, "{}", digests, 1, full, &bytes, &err), KT_EIO);
	assert_int_equal(
		kt_archive_write(kt_tree_manifest(t), "tar", read_tree, t, full, &err), KT_EIO);
	kt_tree_free(t);
}

static enum kt_code read_zeros(
	void *arg, const struct kt_file *f, struct kt_buf *out, struct kt_err *err)
{
	KT_AUTOFREE char *zeros = kt_calloc(1, (size_t)f->size);

	kt_buf_add(out, zeros, (size_t)f->size);
	return KT_OK;
}

/*
 * A disk that is full, wherever the archive was when it noticed: in a member's bytes, its padding,
 * the next head, the end. Nothing of the archive stays in memory (the leak check says so: several
 * rounds, since a pointer that still lies about on the stack hides the last one).
 */
static void test_disk_full(void **state)
{
	static const char *const formats[] = { "tar", "tar.gz", "tar.zst" };
	static const int sizes[] = { 700, 261532, 261632, 261633, 5000000 };
	KT_AUTOFD int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct kt_file files[3] = { { .path = "a" }, { .path = "b" }, { .path = "c" } };
	struct kt_manifest m = { .files = files, .n_files = 3 };

	for (size_t i = 0; i < KT_ARRAY_LEN(formats) * KT_ARRAY_LEN(sizes) * 4; i++) {
		struct kt_err err = KT_ERR_INIT;

		m.n_bytes = 0;
		for (size_t k = 0; k < 3; k++)
			m.n_bytes += files[k].size = sizes[i / 3 % KT_ARRAY_LEN(sizes)];
		assert_int_equal(
			kt_archive_write(&m, formats[i % 3], read_zeros, NULL, full, &err), KT_EIO);
		assert_non_null(strstr(err.msg, "No space left"));
	}
}

static int set_up(void **state)
{
	if (set_up_place(state) != 0)
		return -1;
	make_repository();
	return 0;
}

/* What a file was in an earlier commit: only when it is what the manifest of then says. */
static void test_read_at(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(100);
	struct kt_tree *old, *new;
	struct kt_err err = KT_ERR_INIT;
	struct kt_file f;

	sh(".",
		"rm -rf at && git init -q at && cd at && mkdir app && echo one >app/a && echo b >b\n"
		"git add . && git commit -qm one && echo two >app/a && git commit -qam two");
	old = commit_tree("at", "HEAD~1", "app");
	new = commit_tree("at", "HEAD", "app");
	f = kt_tree_manifest(old)->files[0];
	assert_int_equal(kt_tree_read_at(new, "HEAD~1", &f, &b, &err), KT_OK);
	assert_string_equal(b.ptr, "one\n");
	assert_int_equal(kt_tree_read_at(new, "HEAD", &f, &b, &err), KT_ECONFLICT);
	assert_int_equal(kt_tree_read_at(new, "1111111111111111111111111111111111111111", &f, &b, &err),
		KT_ENOTFOUND);
	f.path = (char *)(uintptr_t) "b";
	assert_int_equal(kt_tree_read_at(new, "HEAD~1", &f, &b, &err), KT_ENOTFOUND);
	kt_tree_free(new);
	new = folder_tree("at", "app");
	assert_int_equal(kt_tree_read_at(new, "HEAD", &f, &b, &err), KT_ENOTFOUND);
	kt_tree_free(new);
	kt_tree_free(old);
	assert_string_equal(b.ptr, "one\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_part),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_archive),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_read_at),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down_place);
}
