/* SPDX-License-Identifier: MIT */
/*
 * Blobs: what is named is whole and has the bytes of its name, one organization does not see
 * another's, and no umask, crash or second upload changes that.
 */
#include "store_test.h"

#include "base/rand.h"
#include "base/time.h"
#include "crypto/crypto.h"
#include "store/blob_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct kt_blobs *blobs;

static int setup_blobs(void **state)
{
	struct kt_err err = KT_ERR_INIT;

	if (setup(state) != 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/blobs", dir);
	return kt_blobs_open(path, &blobs, &err) == KT_OK ? 0 : -1;
}

static int teardown_blobs(void **state)
{
	kt_blobs_close(blobs);
	return teardown(state);
}

static void put(const char *org, const char *text, char digest[KT_DIGEST_MAX])
{
	struct kt_err err = KT_ERR_INIT;

	assert_ok(kt_blobs_put(blobs, org, text, strlen(text), digest, &err), err);
}

static char *blob_path(const char *org, const char *digest, const char *suffix)
{
	return kt_asprintf("%s/%s/%.2s/%s%s", path, org, digest, digest, suffix);
}

static mode_t mode_of(const char *file)
{
	struct stat s;

	assert_int_equal(stat(file, &s), 0);
	return s.st_mode & 07777;
}

static void put_and_read(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	KT_AUTO_BUF struct kt_buf small = KT_BUF_INIT(4);
	struct kt_err err = KT_ERR_INIT;
	char digest[KT_DIGEST_MAX], empty[KT_DIGEST_MAX], again[KT_DIGEST_MAX];
	KT_AUTOFD int fd = -1;

	(void)state;
	(void)umask(0777); /* the worst one */
	put("org_1", "hello", digest);
	(void)umask(022);
	assert_string_equal(
		digest, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
	put("org_1", "hello", again);
	assert_string_equal(digest, again);
	put("org_1", "", empty);
	KT_AUTOFREE char *file = blob_path("org_1", digest, "");
	assert_int_equal(mode_of(file), 0444);
	assert_int_equal(mode_of(path), 0700);
	assert_ok(kt_blobs_read(blobs, "org_1", digest, &b, &err), err);
	assert_string_equal(b.ptr, "hello");
	assert_ok(kt_blobs_read(blobs, "org_1", empty, &b, &err), err);
	assert_int_equal(b.len, 5);
	assert_int_equal(kt_blobs_read(blobs, "org_1", digest, &small, &err), KT_ELIMIT);
	assert_ok(kt_blobs_fd(blobs, "org_1", digest, &fd, &err), err);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_ok(kt_blobs_verify(blobs, "org_1", digest, &err), err);
	assert_ok(kt_blobs_verify(blobs, "org_1", empty, &err), err);
}

static void not_there(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(100);
	struct kt_err err = KT_ERR_INIT;
	char digest[KT_DIGEST_MAX], none[KT_DIGEST_MAX];
	int fd = -1;

	(void)state;
	put("org_1", "x", digest);
	kt_sha256_of("nothing", 7, none);
	assert_true(kt_blobs_has(blobs, "org_1", digest));
	assert_false(kt_blobs_has(blobs, "org_1", none));
	assert_false(kt_blobs_has(blobs, "org_2", digest)); /* it is another's */
	assert_int_equal(kt_blobs_read(blobs, "org_2", digest, &b, &err), KT_ENOTFOUND);
	assert_int_equal(kt_blobs_fd(blobs, "org_2", digest, &fd, &err), KT_ENOTFOUND);
	assert_int_equal(
		kt_blobs_link(blobs, "org_2", digest, false, AT_FDCWD, "x", &err), KT_ENOTFOUND);
	assert_int_equal(
		kt_blobs_link(blobs, "org_2", digest, true, AT_FDCWD, "x", &err), KT_ENOTFOUND);
	assert_int_equal(kt_blobs_verify(blobs, "org_2", digest, &err), KT_ENOTFOUND);
	/* Names that could lead elsewhere are no names. */
	static const char *const orgs[] = { "", ".", "..", "../org_1", "org_1/..", "a/b",
		"org\n", "0123456789012345678901234567890123456789" };
	for (size_t i = 0; i < KT_ARRAY_LEN(orgs); i++) {
		assert_false(kt_blobs_has(blobs, orgs[i], digest));
		assert_int_equal(kt_blobs_put(blobs, orgs[i], "x", 1, none, &err), KT_EINVAL);
	}
	static const char *const digests[] = { "", "..", "../../../etc/passwd",
		"2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824" };
	for (size_t i = 0; i < KT_ARRAY_LEN(digests); i++) {
		assert_false(kt_blobs_has(blobs, "org_1", digests[i]));
		assert_int_equal(
			kt_blobs_read(blobs, "org_1", digests[i], &b, &err), KT_EINVAL);
	}
}

/* --- adopting ---------------------------------------------------------------------------------- */

static char *stage(const char *name, const char *text)
{
	KT_AUTOFREE char *staging = kt_path_join(dir, "staging");
	char *file = kt_path_join(staging, name);
	struct kt_err err = KT_ERR_INIT;

	assert_ok(kt_fs_mkdirs(staging, 0700, &err), err);
	assert_ok(kt_fs_write_new(file, text, strlen(text), 0600, &err), err);
	free(file);
	return kt_strdup(staging);
}

static size_t count_names(const char *folder)
{
	char **names = NULL;
	size_t n = 0;

	assert_int_equal(kt_fs_list(folder, &names, &n, NULL), KT_OK);
	kt_fs_names_free(names, n);
	return n;
}

static void adopt_some(size_t count)
{
	KT_AUTOFREE char *staging = kt_path_join(dir, "staging");
	struct kt_err err = KT_ERR_INIT;
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		char text[32], digest[KT_DIGEST_MAX];

		(void)snprintf(text, sizeof(text), "file %zu", i);
		kt_sha256_of(text, strlen(text), digest);
		free(stage(digest, text));
	}
	assert_ok(kt_blobs_adopt(blobs, "org_1", staging, &n, &err), err);
	assert_int_equal(n, count);
	assert_int_equal(count_names(staging), 0);
	for (size_t i = 0; i < count; i++) {
		char text[32], digest[KT_DIGEST_MAX];

		(void)snprintf(text, sizeof(text), "file %zu", i);
		kt_sha256_of(text, strlen(text), digest);
		assert_ok(kt_blobs_verify(blobs, "org_1", digest, &err), err);
		KT_AUTOFREE char *file = blob_path("org_1", digest, "");
		assert_int_equal(mode_of(file), 0444);
	}
}

static void adopt(void **state)
{
	(void)state;
	adopt_some(1);
	adopt_some(16); /* each synced; one is there already */
	adopt_some(400); /* synced together; 16 are there already */
}

static void adopt_refuses(void **state)
{
	char digest[KT_DIGEST_MAX], other[KT_DIGEST_MAX];
	struct kt_err err = KT_ERR_INIT;
	size_t n = 77;

	(void)state;
	kt_sha256_of("a", 1, digest);
	kt_sha256_of("b", 1, other);
	KT_AUTOFREE char *staging = stage(digest, "a");
	KT_AUTOFREE char *bad = kt_path_join(staging, other);
	/* What is no plain file must not get in, and nothing with it. */
	assert_int_equal(symlink("/etc/passwd", bad), 0);
	assert_int_equal(kt_blobs_adopt(blobs, "org_1", staging, &n, &err), KT_EIO);
	assert_int_equal(unlink(bad), 0);
	assert_int_equal(mkfifo(bad, 0600), 0);
	assert_int_equal(kt_blobs_adopt(blobs, "org_1", staging, &n, &err), KT_EPROTO);
	assert_int_equal(unlink(bad), 0);
	assert_int_equal(mkdir(bad, 0700), 0);
	assert_int_equal(kt_blobs_adopt(blobs, "org_1", staging, &n, &err), KT_EPROTO);
	assert_int_equal(rmdir(bad), 0);
	/* A second name elsewhere could be used to change it later. */
	KT_AUTOFREE char *one = kt_path_join(staging, digest);
	KT_AUTOFREE char *two = kt_path_join(dir, "second");
	assert_int_equal(link(one, two), 0);
	assert_int_equal(kt_blobs_adopt(blobs, "org_1", staging, &n, &err), KT_EPROTO);
	assert_int_equal(unlink(two), 0);
	assert_false(kt_blobs_has(blobs, "org_1", digest));
	assert_int_equal(n, 77);
	/* Files of other names are not ours. */
	free(stage("manifest", "m"));
	assert_ok(kt_blobs_adopt(blobs, "org_1", staging, &n, &err), err);
	assert_int_equal(n, 1);
	assert_int_equal(count_names(staging), 1);
	assert_int_equal(kt_blobs_adopt(blobs, "../x", staging, &n, &err), KT_EINVAL);
	assert_int_equal(kt_blobs_adopt(blobs, "org_1", "/tmp/kt-none", &n, &err), KT_ENOTFOUND);
}

/* --- links ------------------------------------------------------------------------------------- */

static void links(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	char digest[KT_DIGEST_MAX];
	KT_AUTOFD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	KT_AUTOFREE char *plain = kt_path_join(dir, "plain");
	KT_AUTOFREE char *exec = kt_path_join(dir, "exec");
	struct stat a, b;

	(void)state;
	put("org_1", "#!/bin/sh\nexit 7\n", digest);
	KT_AUTOFREE char *file = blob_path("org_1", digest, "");
	KT_AUTOFREE char *twin = blob_path("org_1", digest, ".x");
	assert_ok(kt_blobs_link(blobs, "org_1", digest, false, fd, "plain", &err), err);
	assert_int_equal(stat(plain, &a), 0);
	assert_int_equal(stat(file, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(mode_of(plain), 0444);
	assert_false(kt_fs_is_file(twin));

	(void)umask(0777);
	assert_ok(kt_blobs_link(blobs, "org_1", digest, true, fd, "exec", &err), err);
	(void)umask(022);
	assert_int_equal(mode_of(exec), 0555);
	assert_int_equal(mode_of(file), 0444);
	assert_int_equal(stat(exec, &a), 0);
	assert_int_equal(stat(twin, &b), 0);
	assert_int_equal(a.st_ino, b.st_ino);
	assert_int_equal(a.st_size, 17);
	/* It runs: nobody holds it open for writing. */
	pid_t pid = fork();
	if (pid == 0) {
		(void)execl(exec, exec, (char *)NULL);
		_exit(1);
	}
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 7);
	assert_ok(kt_blobs_verify(blobs, "org_1", digest, &err), err);

	/* What is there is not replaced, and a missing folder is no missing blob. */
	assert_int_equal(
		kt_blobs_link(blobs, "org_1", digest, false, fd, "plain", &err), KT_EIO);
	assert_int_equal(
		kt_blobs_link(blobs, "org_1", digest, false, fd, "none/x", &err), KT_EIO);
	assert_int_equal(
		kt_blobs_link(blobs, "org_1", digest, true, fd, "none/x", &err), KT_EIO);
}

/* Another file system: a copy. */
static void link_elsewhere(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	char digest[KT_DIGEST_MAX];
	char there[] = "/dev/shm/kt-blob-XXXXXX";
	struct stat a, b;

	(void)state;
	if (stat("/dev/shm", &a) != 0 || stat(dir, &b) != 0 || a.st_dev == b.st_dev ||
		mkdtemp(there) == NULL)
		skip();
	KT_AUTOFD int fd = open(there, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	KT_AUTOFREE char *plain = kt_path_join(there, "plain");
	KT_AUTOFREE char *exec = kt_path_join(there, "exec");
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(1 << 20);
	put("org_1", "copied", digest);
	assert_ok(kt_blobs_link(blobs, "org_1", digest, false, fd, "plain", &err), err);
	assert_ok(kt_blobs_link(blobs, "org_1", digest, true, fd, "exec", &err), err);
	assert_int_equal(mode_of(plain), 0444);
	assert_int_equal(mode_of(exec), 0555);
	assert_ok(kt_fs_read(exec, &text, &err), err);
	assert_string_equal(text.ptr, "copied");
	assert_int_equal(kt_blobs_link(blobs, "org_1", digest, false, fd, "plain", &err), KT_EIO);
	assert_ok(kt_fs_remove_tree(there, &err), err);
}

static void link_speed(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	char digest[KT_DIGEST_MAX];
	KT_AUTOFD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int64_t began;

	(void)state;
	put("org_1", "x", digest);
	began = kt_mono_us();
	for (int i = 0; i < 2000; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "l%d", i);
		assert_ok(kt_blobs_link(blobs, "org_1", digest, false, fd, name, &err), err);
	}
	print_message("# %.1f us a link\n", (double)(kt_mono_us() - began) / 2000);
}

/* --- damage and sweeping ----------------------------------------------------------------------- */

static void damage(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	char digest[KT_DIGEST_MAX];

	(void)state;
	put("org_1", "good bytes", digest);
	KT_AUTOFREE char *file = blob_path("org_1", digest, "");
	KT_AUTOFREE char *twin = blob_path("org_1", digest, ".x");
	assert_int_equal(chmod(file, 0644), 0);
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "B", 1, 5), 1);
	(void)close(fd);
	assert_int_equal(kt_blobs_verify(blobs, "org_1", digest, &err), KT_EPROTO);
	assert_non_null(strstr(err.msg, digest));
	/* One that was cut is replaced when its bytes come again. */
	assert_int_equal(truncate(file, 3), 0);
	assert_int_equal(kt_blobs_verify(blobs, "org_1", digest, &err), KT_EPROTO);
	put("org_1", "good bytes", digest);
	assert_ok(kt_blobs_verify(blobs, "org_1", digest, &err), err);
	/* The twin counts too: it is what runs. */
	assert_ok(kt_fs_write_new(twin, "evil bytes", 10, 0555, &err), err);
	assert_int_equal(kt_blobs_verify(blobs, "org_1", digest, &err), KT_EPROTO);
}

struct seen {
	char keep[KT_DIGEST_MAX];
	size_t n;
	int64_t bytes, min_age_s;
};

static bool keep_one(void *arg, const char *org_id, const char *digest, int64_t size, int64_t age_s)
{
	struct seen *s = arg;

	s->n++;
	s->bytes += size;
	assert_true(age_s >= 0);
	if (strcmp(digest, s->keep) == 0)
		assert_string_equal(org_id, "org_1");
	return strcmp(digest, s->keep) == 0 || age_s < s->min_age_s;
}

static void make_old(const char *file)
{
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

	assert_int_equal(utimensat(AT_FDCWD, file, old, 0), 0);
}

static void sweep(void **state)
{
	struct kt_err err = KT_ERR_INIT;
	struct seen s = { .min_age_s = 3600 };
	char young[KT_DIGEST_MAX], old[KT_DIGEST_MAX], used[KT_DIGEST_MAX];
	size_t deleted = 99;

	(void)state;
	assert_ok(kt_blobs_sweep(blobs, keep_one, &s, &deleted, &err), err);
	assert_int_equal(deleted, 0);
	put("org_1", "keep", s.keep);
	put("org_2", "young", young);
	put("org_2", "old", old);
	put("org_2", "used", used);
	KT_AUTOFREE char *keep_file = blob_path("org_1", s.keep, "");
	KT_AUTOFREE char *old_file = blob_path("org_2", old, "");
	KT_AUTOFREE char *old_twin = blob_path("org_2", old, ".x");
	KT_AUTOFREE char *used_file = blob_path("org_2", used, "");
	KT_AUTOFREE char *used_twin = blob_path("org_2", used, ".x");
	KT_AUTOFREE char *temp = kt_asprintf("%s/org_2/%.2s/.tmp-old", path, old);
	KT_AUTOFREE char *new_temp = kt_asprintf("%s/org_2/%.2s/.tmp-new", path, old);
	KT_AUTOFREE char *alien = kt_asprintf("%s/org_2/%.2s/README", path, old);
	for (int i = 0; i < 2; i++) {
		char name[8];

		(void)snprintf(name, sizeof(name), "x%d", i);
		KT_AUTOFD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_ok(kt_blobs_link(blobs, "org_2", i ? used : old, true, fd, name, &err), err);
	}
	assert_ok(kt_fs_write_new(temp, "t", 1, 0600, &err), err);
	assert_ok(kt_fs_write_new(new_temp, "t", 1, 0600, &err), err);
	assert_ok(kt_fs_write_new(alien, "t", 1, 0600, &err), err);
	make_old(keep_file);
	make_old(old_file);
	make_old(used_file);
	make_old(temp);
	assert_true(kt_blobs_has(blobs, "org_2", used)); /* somebody asks: young again */
	assert_ok(kt_blobs_sweep(blobs, keep_one, &s, &deleted, &err), err);
	assert_int_equal(s.n, 4);
	assert_int_equal(s.bytes, 4 + 5 + 3 + 4);
	assert_int_equal(deleted, 1);
	assert_true(kt_blobs_has(blobs, "org_1", s.keep));
	assert_true(kt_blobs_has(blobs, "org_2", young));
	assert_false(kt_fs_is_file(old_file));
	assert_false(kt_fs_is_file(old_twin));
	assert_true(kt_fs_is_file(used_twin));
	assert_false(kt_fs_is_file(temp));
	assert_true(kt_fs_is_file(new_temp));
	assert_true(kt_fs_is_file(alien));
	/* Sweeping itself is no use: the next one sees the age. */
	make_old(used_file);
	assert_ok(kt_blobs_sweep(blobs, keep_one, &s, &deleted, &err), err);
	assert_int_equal(deleted, 1);
	assert_false(kt_fs_is_file(used_twin));
}

/* --- threads and crashes ----------------------------------------------------------------------- */

static void *put_many(void *arg)
{
	KT_AUTOFD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (int i = 0; i < 40; i++) {
		char text[32], digest[KT_DIGEST_MAX], name[64];
		struct kt_err err = KT_ERR_INIT;

		(void)snprintf(text, sizeof(text), "shared %d", i);
		assert_ok(kt_blobs_put(blobs, "org_1", text, strlen(text), digest, &err), err);
		(void)snprintf(name, sizeof(name), "%s-%d", (const char *)arg, i);
		assert_ok(kt_blobs_link(blobs, "org_1", digest, i % 2, fd, name, &err), err);
		assert_ok(kt_blobs_verify(blobs, "org_1", digest, &err), err);
	}
	return NULL;
}

static void threads(void **state)
{
	static char names[4][2] = { "a", "b", "c", "d" };
	struct seen s = { .min_age_s = 3600 };
	struct kt_err err = KT_ERR_INIT;
	pthread_t t[4];
	size_t deleted;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, put_many, names[i]), 0);
	assert_ok(kt_blobs_sweep(blobs, keep_one, &s, &deleted, &err), err);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	assert_int_equal(deleted, 0);
	s.n = 0;
	assert_ok(kt_blobs_sweep(blobs, keep_one, &s, &deleted, &err), err);
	assert_int_equal(s.n, 40);
}

static bool verify_each(
	void *arg, const char *org_id, const char *digest, int64_t size, int64_t age_s)
{
	struct kt_blobs *second = arg;

	(void)size;
	(void)age_s;
	assert_int_equal(kt_blobs_verify(second, org_id, digest, NULL), KT_OK);
	return true;
}

/* Killed at any moment: whatever has a name has its bytes, whatever was acknowledged has a name. */
static void killed(void **state)
{
	(void)state;
	for (int round = 0; round < 5; round++) {
		int fds[2], status;
		char digest[KT_DIGEST_MAX];
		size_t deleted, n = 0;
		struct kt_err err = KT_ERR_INIT;

		assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			for (int i = 0;; i++) {
				char text[64];

				(void)snprintf(text, sizeof(text), "%d of %d", i, round);
				if (kt_blobs_put(blobs, "org_1", text, strlen(text), digest, NULL) !=
						KT_OK ||
					write(fds[1], digest, sizeof(digest)) != sizeof(digest))
					_exit(1);
			}
		}
		(void)close(fds[1]);
		while (read(fds[0], digest, sizeof(digest)) == sizeof(digest)) {
			if (++n == 10 + (size_t)round * 3)
				assert_int_equal(kill(pid, SIGKILL), 0);
			assert_true(kt_blobs_has(blobs, "org_1", digest));
		}
		(void)close(fds[0]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(n >= 10);
		struct kt_blobs *second = NULL;
		assert_ok(kt_blobs_open(path, &second, &err), err);
		assert_ok(kt_blobs_sweep(blobs, verify_each, second, &deleted, &err), err);
		kt_blobs_close(second);
	}
}

#define BLOB_TEST(f) cmocka_unit_test_setup_teardown(f, setup_blobs, teardown_blobs)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BLOB_TEST(killed),
		BLOB_TEST(put_and_read),
		BLOB_TEST(not_there),
		BLOB_TEST(adopt),
		BLOB_TEST(adopt_refuses),
		BLOB_TEST(links),
		BLOB_TEST(link_elsewhere),
		BLOB_TEST(link_speed),
		BLOB_TEST(damage),
		BLOB_TEST(sweep),
		BLOB_TEST(threads),
	};
	return cmocka_run_group_tests_name("store/blob", tests, NULL, NULL);
}
