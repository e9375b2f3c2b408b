/* SPDX-License-Identifier: MIT */
/* The master key's file: made once, refused when others may read it or it is something else. */
#include "crypto/crypto.h"

#include "base/fs.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/karta-test-master-XXXXXX";

static char *at(const char *name)
{
	return kt_path_join(root, name);
}

/* What the key makes of one API key: equal for equal keys. */
static void mark(const struct kt_master *m, unsigned char *out)
{
	kt_api_key_hash(m, "kt_live_x", out);
}

static void test_create(void **state)
{
	KT_AUTOFREE char *path = at("created");
	unsigned char a[KT_KEY_HASH_BYTES], b[KT_KEY_HASH_BYTES];
	struct kt_err err = KT_ERR_INIT;
	struct kt_master *m = NULL;
	char **names;
	struct stat st;
	mode_t old;
	size_t n;

	assert_int_equal(kt_master_open(path, false, &m, &err), KT_ENOTFOUND);
	assert_null(m);
	assert_non_null(strstr(err.msg, path));
	old = umask(0777);
	assert_int_equal(kt_master_open(path, true, &m, &err), KT_OK);
	(void)umask(old);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 32);
	mark(m, a);
	kt_master_free(m);
	for (int create = 0; create < 2; create++) {
		assert_int_equal(kt_master_open(path, create == 1, &m, &err), KT_OK);
		mark(m, b);
		assert_memory_equal(a, b, sizeof(a));
		kt_master_free(m);
	}
	/* Nothing is left beside it. */
	assert_int_equal(kt_fs_list(root, &names, &n, NULL), KT_OK);
	assert_int_equal(n, 1);
	kt_fs_names_free(names, n);
	kt_master_free(NULL);
}

static void test_modes(void **state)
{
	KT_AUTOFREE char *path = at("modes");
	struct kt_err err = KT_ERR_INIT;
	struct kt_master *m = NULL;

	assert_int_equal(kt_master_open(path, true, &m, &err), KT_OK);
	kt_master_free(m);
	m = NULL;
	for (mode_t bit = 1; bit <= 040; bit *= 2) {
		assert_int_equal(chmod(path, 0600 | bit), 0);
		assert_int_equal(kt_master_open(path, true, &m, &err), KT_EDENIED);
		assert_null(m);
		assert_non_null(strstr(err.hint, "chmod 600"));
	}
	assert_int_equal(chmod(path, 0400), 0);
	assert_int_equal(kt_master_open(path, false, &m, &err), KT_OK);
	kt_master_free(m);
}

static void test_no_key(void **state)
{
	KT_AUTOFREE char *fifo = at("fifo"), *folder = at("folder"), *missing = at("no/such/key");
	struct kt_err err = KT_ERR_INIT;
	struct kt_master *m = NULL;
	char bytes[33] = { 0 };

	for (size_t len = 0; len <= sizeof(bytes); len++) {
		KT_AUTOFREE char *path = at("short");

		assert_int_equal(
			kt_fs_write_atomic(path, bytes, len, 0600, false, NULL), KT_OK);
		assert_int_equal(
			kt_master_open(path, true, &m, &err), len == 32 ? KT_OK : KT_EIO);
		kt_master_free(m);
		m = NULL;
	}
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(kt_master_open(fifo, true, &m, &err), KT_EIO);
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(kt_master_open(folder, true, &m, &err), KT_EIO);
	assert_int_equal(kt_master_open(missing, true, &m, &err), KT_EIO);
	assert_int_equal(kt_master_open(missing, false, &m, &err), KT_ENOTFOUND);
	assert_null(m);
}

struct racer {
	pthread_t thread;
	const char *path;
	unsigned char mark[KT_KEY_HASH_BYTES];
	bool ok;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	struct kt_master *m = NULL;

	r->ok = kt_master_open(r->path, true, &m, NULL) == KT_OK;
	if (r->ok)
		mark(m, r->mark);
	kt_master_free(m);
	return NULL;
}

/* Servers that start at once all get the one key. */
static void test_race(void **state)
{
	for (int round = 0; round < 20; round++) {
		KT_AUTOFREE char *name = kt_asprintf("race-%d", round);
		KT_AUTOFREE char *path = at(name);
		struct racer racers[4];

		memset(racers, 0, sizeof(racers));
		for (size_t i = 0; i < KT_ARRAY_LEN(racers); i++) {
			racers[i].path = path;
			assert_int_equal(
				pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
		}
		for (size_t i = 0; i < KT_ARRAY_LEN(racers); i++) {
			assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
			assert_true(racers[i].ok);
		}
		for (size_t i = 1; i < KT_ARRAY_LEN(racers); i++)
			assert_memory_equal(
				racers[0].mark, racers[i].mark, sizeof(racers[0].mark));
	}
}

static int set_up(void **state)
{
	return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
	return kt_fs_remove_tree(root, NULL) == KT_OK ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_no_key),
		cmocka_unit_test(test_race),
	};
	return cmocka_run_group_tests_name("crypto/master", tests, set_up, tear_down);
}
