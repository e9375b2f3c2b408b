/* SPDX-License-Identifier: MIT */
/* The bell: one look for many who ring, another for who comes meanwhile, nobody waits for ever. */
#include "net/bell.h"

#include "base/fs.h"
#include "base/str.h"
#include "net/loop.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/karta-bell-XXXXXX";

struct rig {
	struct kt_loop *loop;
	struct kt_bell *bell;
	int looks;
	bool done; /* what is answered */
	int late; /* who rings while the first look is on its way */
	pthread_t threads[8];
	enum kt_code codes[8];
	size_t n, ended;
};

static struct rig *the_rig; /* for threads */

static void *ring(void *arg)
{
	size_t i = (size_t)arg;

	the_rig->codes[i] = kt_bell_ring(dir, "bell", 60000, NULL);
	__atomic_add_fetch(&the_rig->ended, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void start_ringer(struct rig *r)
{
	size_t i = r->n++;

	assert_int_equal(pthread_create(&r->threads[i], NULL, ring, (void *)i), 0);
}

static void on_ring(void *arg)
{
	struct rig *r = arg;

	r->looks++;
	for (; r->late; r->late--)
		start_ringer(r);
	kt_bell_answer(r->bell, r->done);
}

static void look_ended(void *arg)
{
	struct rig *r = arg;

	if (__atomic_load_n(&r->ended, __ATOMIC_SEQ_CST) == r->n)
		kt_loop_stop(r->loop);
}

static void run(struct rig *r, size_t ringers)
{
	struct kt_timer *t;

	the_rig = r;
	assert_int_equal(kt_loop_new(&r->loop, NULL), KT_OK);
	assert_int_equal(kt_bell_new(r->loop, dir, "bell", on_ring, r, &r->bell, NULL), KT_OK);
	t = kt_timer_new(r->loop, look_ended, r);
	kt_timer_start(t, 0, 2);
	for (size_t i = 0; i < ringers; i++)
		start_ringer(r);
	kt_loop_run(r->loop);
	for (size_t i = 0; i < r->n; i++)
		assert_int_equal(pthread_join(r->threads[i], NULL), 0);
	kt_timer_free(t);
	kt_bell_free(r->bell);
	kt_loop_free(r->loop);
}

static void test_answers(void **state)
{
	struct rig r = { .done = true };

	(void)state;
	run(&r, 4);
	for (size_t i = 0; i < r.n; i++)
		assert_int_equal(r.codes[i], KT_OK);
	assert_in_range(r.looks, 1, 4);
}

static void test_late(void **state)
{
	struct rig r = { .done = true, .late = 3 };

	(void)state;
	run(&r, 1);
	assert_int_equal(r.n, 4);
	for (size_t i = 0; i < r.n; i++)
		assert_int_equal(r.codes[i], KT_OK);
	assert_in_range(r.looks, 2, 4);
}

static void test_failed(void **state)
{
	struct rig r = { .done = false };

	(void)state;
	run(&r, 1);
	assert_int_equal(r.codes[0], KT_EUNAVAIL);
}

static void test_nobody(void **state)
{
	KT_AUTOFREE char *path = kt_path_join(dir, "bell");
	struct rig r = { .done = true };
	struct kt_loop *loop;
	struct kt_bell *bell;
	struct stat st;

	(void)state;
	assert_int_equal(kt_bell_ring(dir, "bell", 1000, NULL), KT_ENOTFOUND);
	assert_int_equal(kt_bell_ring("/nonexistent", "bell", 1000, NULL), KT_ENOTFOUND);
	/* One that was left there by a server that was killed: nobody is behind it. */
	assert_int_equal(kt_loop_new(&loop, NULL), KT_OK);
	assert_int_equal(kt_bell_new(loop, dir, "bell", on_ring, &r, &bell, NULL), KT_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* A loop that does not run does not answer. */
	assert_int_equal(kt_bell_ring(dir, "bell", 1, NULL), KT_ETIMEOUT);
	kt_bell_free(bell);
	kt_loop_free(loop);
	assert_int_not_equal(stat(path, &st), 0);
}

/* A folder whose path does not fit into an address. */
static void test_long_path(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);
	struct rig r = { .done = true };
	struct kt_loop *loop;
	struct kt_bell *bell;

	(void)state;
	kt_buf_adds(&b, dir);
	for (int i = 0; i < 4; i++)
		kt_buf_adds(&b, "/a-folder-with-a-name-that-is-as-long-as-those-of-some-people");
	assert_int_equal(kt_fs_mkdirs(b.ptr, 0700, NULL), KT_OK);
	assert_int_equal(kt_loop_new(&loop, NULL), KT_OK);
	assert_int_equal(kt_bell_new(loop, b.ptr, "bell", on_ring, &r, &bell, NULL), KT_OK);
	assert_int_equal(kt_bell_ring(b.ptr, "bell", 1, NULL), KT_ETIMEOUT);
	kt_bell_free(bell);
	kt_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_late),
		cmocka_unit_test(test_failed),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_long_path),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)!kt_fs_remove_tree(dir, NULL);
	return failed;
}
