/* SPDX-License-Identifier: MIT */
/*
 * Work beside the loop: organizations take turns, the kinds do not wait for each other, what waits
 * is bounded, giving up and the end of the loop.
 */
#include "net/work.h"

#include "base/base.h"
#include "base/limits.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* A gate that jobs wait at on their thread. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static bool open_gate;
static int at_gate;

static char trail[512];

struct job {
	struct kt_work work;
	char name[4];
	bool wait; /* at the gate */
	bool ran, done;
	struct kt_loop *loop;
	bool stop; /* the loop, when it is done */
};

static void run(struct kt_work *w)
{
	struct job *j = kt_container_of(w, struct job, work);

	pthread_mutex_lock(&mutex);
	if (j->wait) {
		at_gate++;
		pthread_cond_broadcast(&cond);
		while (!open_gate && !atomic_load(&w->canceled))
			pthread_cond_wait(&cond, &mutex);
	}
	pthread_mutex_unlock(&mutex);
	j->ran = true;
}

static void done(struct kt_work *w)
{
	struct job *j = kt_container_of(w, struct job, work);

	assert_null(w->tenant);
	j->done = true;
	kt_assert(strlen(trail) + strlen(j->name) < sizeof(trail));
	memcpy(trail + strlen(trail), j->name, strlen(j->name) + 1);
	if (j->stop)
		kt_loop_stop(j->loop);
}

static void set_gate(bool to)
{
	pthread_mutex_lock(&mutex);
	open_gate = to;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&mutex);
}

static void until_at_gate(int n)
{
	pthread_mutex_lock(&mutex);
	while (at_gate < n)
		pthread_cond_wait(&cond, &mutex);
	pthread_mutex_unlock(&mutex);
}

static struct kt_loop *new_loop(void)
{
	struct kt_loop *loop = NULL;

	trail[0] = '\0';
	at_gate = 0;
	set_gate(false);
	assert_int_equal(kt_loop_new(&loop, NULL), KT_OK);
	return loop;
}

static struct job *job_of(const char *name, bool wait)
{
	struct job *j = kt_calloc(1, sizeof(*j));

	(void)snprintf(j->name, sizeof(j->name), "%s", name);
	j->wait = wait;
	j->work.run = run;
	j->work.done = done;
	return j;
}

static void start(struct kt_loop *loop, enum kt_work_kind kind, const char *org, struct job *j)
{
	j->loop = loop;
	assert_int_equal(kt_work_start(loop, kind, org, &j->work, NULL), KT_OK);
}

#define N_MANY 100

static void organizations_take_turns(void **state)
{
	struct kt_loop *loop = new_loop();
	struct job *many[N_MANY], *one = job_of("b", false);

	(void)state;
	for (int i = 0; i < N_MANY; i++) {
		/* The threads are taken, so that the order of what waits is the queue's. */
		many[i] = job_of("a", i < 2);
		start(loop, KT_WORK_SHORT, "one", many[i]);
	}
	until_at_gate(2);
	start(loop, KT_WORK_SHORT, "other", one);
	set_gate(true);
	kt_loop_run(loop);
	assert_int_equal(strlen(trail), N_MANY + 1);
	/* Behind what has the threads, and one more that may have got the first of them. */
	assert_true(strchr(trail, 'b') - trail <= 4);
	for (int i = 0; i < N_MANY; i++)
		free(many[i]);
	free(one);
	kt_loop_free(loop);
}

static void long_work_leaves_a_thread_for_another_organization(void **state)
{
	struct kt_loop *loop = new_loop();
	struct job *a[4], *b = job_of("b", false);

	(void)state;
	for (int i = 0; i < 4; i++) {
		a[i] = job_of("a", true);
		start(loop, KT_WORK_LONG, "one", a[i]);
	}
	until_at_gate(2);
	start(loop, KT_WORK_LONG, "other", b);
	b->stop = true;
	kt_loop_run(loop);
	assert_true(b->done);
	assert_string_equal(trail, "b");
	set_gate(true);
	kt_loop_run(loop);
	assert_string_equal(trail, "baaaa");
	for (int i = 0; i < 4; i++)
		free(a[i]);
	free(b);
	kt_loop_free(loop);
}

static void kinds_do_not_wait_for_each_other(void **state)
{
	struct kt_loop *loop = new_loop();
	struct job *held[24], *quick[KT_WORK_KINDS];
	const char *orgs[] = { "a", "b", "c", "d", "e" };

	(void)state;
	for (int k = 0; k < KT_WORK_KINDS; k++) {
		/* All other kinds are full, of five organizations. */
		for (int i = 0; i < 24; i++) {
			held[i] = job_of("x", true);
			start(loop,
				(enum kt_work_kind)((k + 1 + i % (KT_WORK_KINDS - 1)) % KT_WORK_KINDS),
				orgs[i % 5], held[i]);
		}
		quick[k] = job_of("q", false);
		quick[k]->stop = true;
		start(loop, (enum kt_work_kind)k, "a", quick[k]);
		trail[0] = '\0';
		kt_loop_run(loop);
		assert_string_equal(trail, "q");
		set_gate(true);
		kt_loop_run(loop);
		set_gate(false);
		for (int i = 0; i < 24; i++) {
			assert_true(held[i]->done);
			free(held[i]);
		}
		free(quick[k]);
	}
	kt_loop_free(loop);
}

static void what_waits_is_bounded(void **state)
{
	struct kt_loop *loop = new_loop();
	struct job *jobs[KT_MAX_WORK_JOBS_EACH], *more = job_of("m", false);
	struct job *large[2], *admitted = job_of("o", false);
	struct kt_err err = KT_ERR_INIT;

	(void)state;
	for (int i = 0; i < KT_MAX_WORK_JOBS_EACH; i++) {
		jobs[i] = job_of("", i < 2);
		start(loop, KT_WORK_SHORT, "one", jobs[i]);
	}
	assert_int_equal(kt_work_start(loop, KT_WORK_LONG, "one", &more->work, &err), KT_ELIMIT);
	assert_non_null(strstr(err.msg, "jobs of this organization"));
	/* What another bound admitted is never refused. */
	kt_work_add(loop, KT_WORK_SHORT, "one", &admitted->work);
	for (int i = 0; i < 2; i++) {
		char org[16];

		(void)snprintf(org, sizeof(org), "l%d", i);
		large[i] = job_of("", false);
		large[i]->work.bytes = KT_MAX_WORK_BYTES_EACH;
		start(loop, KT_WORK_SHORT, org, large[i]);
		more->work.bytes = 1;
		assert_int_equal(
			kt_work_start(loop, KT_WORK_SHORT, org, &more->work, &err), KT_ELIMIT);
	}
	more->work.bytes = KT_MAX_WORK_BYTES - 2 * KT_MAX_WORK_BYTES_EACH + 1;
	assert_int_equal(kt_work_start(loop, KT_WORK_SHORT, "new", &more->work, &err), KT_ELIMIT);
	assert_non_null(strstr(err.msg, "the server has"));
	more->work.bytes--;
	start(loop, KT_WORK_SHORT, "new", more);
	set_gate(true);
	kt_loop_run(loop);
	assert_true(more->done && admitted->done);
	for (int i = 0; i < KT_MAX_WORK_JOBS_EACH; i++)
		free(jobs[i]);
	free(large[0]);
	free(large[1]);
	free(more);
	free(admitted);
	kt_loop_free(loop);
}

static void giving_up(void **state)
{
	struct kt_loop *loop = new_loop();
	struct job *j[6];

	(void)state;
	for (int i = 0; i < 6; i++) {
		j[i] = job_of((const char *[]){ "0", "1", "2", "3", "4", "5" }[i], i < 2);
		start(loop, KT_WORK_SHORT, i == 5 ? "b" : "a", j[i]);
	}
	until_at_gate(2);
	/* In the middle, the last of the queue, and the only one of an organization. */
	assert_true(kt_work_cancel(loop, &j[3]->work));
	assert_true(kt_work_cancel(loop, &j[4]->work));
	assert_true(kt_work_cancel(loop, &j[5]->work));
	/* One that runs sees it, and ends as ever. */
	assert_false(kt_work_cancel(loop, &j[0]->work));
	set_gate(true);
	/* The place behind the queue is free again. */
	start(loop, KT_WORK_SHORT, "a", j[4]);
	kt_loop_run(loop);
	assert_true(j[0]->done && j[1]->done && j[2]->done && j[4]->done);
	assert_false(j[3]->ran || j[3]->done || j[5]->ran || j[5]->done);
	for (int i = 0; i < 6; i++)
		free(j[i]);
	kt_loop_free(loop);
}

static void ending_waits_for_a_thread(void **state)
{
	struct kt_loop *loop = new_loop();
	struct job *j[4];

	(void)state;
	for (int i = 0; i < 4; i++) {
		j[i] = job_of("j", i < 2);
		start(loop, KT_WORK_SHORT, "a", j[i]);
	}
	until_at_gate(2);
	set_gate(true);
	assert_true(kt_work_end(loop, &j[0]->work));
	assert_true(j[0]->ran);
	assert_false(j[0]->done);
	free(j[0]);
	/* Its thread has the next, or will: either way it is not called. */
	(void)kt_work_end(loop, &j[2]->work);
	free(j[2]);
	kt_loop_run(loop);
	assert_string_equal(trail, "jj");
	free(j[1]);
	free(j[3]);
	kt_loop_free(loop);
}

static void the_end_of_the_loop_runs_what_waits(void **state)
{
	struct kt_loop *loop = new_loop();
	struct job *j[10];

	(void)state;
	for (int i = 0; i < 10; i++) {
		j[i] = job_of("j", false);
		kt_work_add(loop, KT_WORK_DISK, "", &j[i]->work);
	}
	kt_loop_free(loop);
	for (int i = 0; i < 10; i++) {
		assert_true(j[i]->done);
		free(j[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(organizations_take_turns),
		cmocka_unit_test(long_work_leaves_a_thread_for_another_organization),
		cmocka_unit_test(kinds_do_not_wait_for_each_other),
		cmocka_unit_test(what_waits_is_bounded),
		cmocka_unit_test(giving_up),
		cmocka_unit_test(ending_waits_for_a_thread),
		cmocka_unit_test(the_end_of_the_loop_runs_what_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
