/* SPDX-License-Identifier: MIT */
/* The loop: order of deferred calls, timers that free themselves, nothing left at the end. */
#include "net/loop.h"

#include "base/time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static char trail[256];

static void note(const char *s)
{
	size_t len = strlen(trail);
	size_t n = strlen(s);
	assert_true(len + n < sizeof(trail));
	memcpy(trail + len, s, n + 1);
}

static struct kt_loop *new_loop(void)
{
	struct kt_loop *loop = NULL;
	struct kt_err err = KT_ERR_INIT;
	trail[0] = '\0';
	assert_int_equal(kt_loop_new(&loop, &err), KT_OK);
	return loop;
}

static void say(void *arg)
{
	note(arg);
}

static void stop(void *arg)
{
	kt_loop_stop(arg);
}

static void defer_runs_once_in_order(void **state)
{
	(void)state;
	struct kt_loop *loop = new_loop();
	char text[3][2] = { "a", "b", "c" };
	struct kt_defer a = { .fn = say, .arg = text[0] };
	struct kt_defer b = { .fn = say, .arg = text[1] };
	struct kt_defer c = { .fn = say, .arg = text[2] };
	kt_loop_defer(loop, &a);
	kt_loop_defer(loop, &b);
	kt_loop_defer(loop, &a);
	kt_loop_defer(loop, &c);
	kt_loop_undefer(loop, &b);
	kt_loop_run(loop); /* ends by itself: nothing is left */
	assert_string_equal(trail, "ac");
	kt_loop_defer(loop, &b);
	kt_loop_undefer(loop, &b);
	kt_loop_run(loop);
	assert_string_equal(trail, "ac");
	kt_loop_defer(loop, &b);
	kt_loop_run(loop);
	assert_string_equal(trail, "acb");
	kt_loop_free(loop);
}

struct chain {
	struct kt_loop *loop;
	struct kt_defer d;
	struct kt_defer *drop;
	int left;
};

static void again(void *arg)
{
	struct chain *c = arg;
	note("x");
	if (c->drop != NULL)
		kt_loop_undefer(c->loop, c->drop);
	if (--c->left > 0)
		kt_loop_defer(c->loop, &c->d);
}

static void defer_from_defer_and_undefer_inside(void **state)
{
	(void)state;
	struct kt_loop *loop = new_loop();
	char no[] = "no";
	struct kt_defer victim = { .fn = say, .arg = no };
	struct chain c = { .loop = loop, .drop = &victim, .left = 3 };
	c.d.fn = again;
	c.d.arg = &c;
	kt_loop_defer(loop, &c.d);
	kt_loop_defer(loop, &victim);
	kt_loop_run(loop);
	assert_string_equal(trail, "xxx");
	kt_loop_free(loop);
}

static void on_pipe(uv_poll_t *h, int status, int events)
{
	(void)status;
	(void)events;
	char c;
	assert_int_equal(read(h->u.fd, &c, 1), 1);
	char text[2] = { c, '\0' };
	note(text);
	kt_loop_defer(h->data, (struct kt_defer *)h->u.reserved[1]);
	if (c == '2')
		uv_poll_stop(h);
}

static void defer_after_input_before_sleep(void **state)
{
	(void)state;
	struct kt_loop *loop = new_loop();
	char bar[] = "|";
	struct kt_defer flush = { .fn = say, .arg = bar };
	uv_poll_t polls[2];
	int fds[2][2];
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pipe(fds[i]), 0);
		assert_int_equal(uv_poll_init(kt_loop_uv(loop), &polls[i], fds[i][0]), 0);
		polls[i].data = loop;
		polls[i].u.fd = fds[i][0];
		polls[i].u.reserved[1] = &flush;
		assert_int_equal(uv_poll_start(&polls[i], UV_READABLE, on_pipe), 0);
		assert_int_equal(write(fds[i][1], "12", 2), 2);
	}
	kt_loop_run(loop);
	/* Both inputs of a tick are read before one flush. */
	assert_string_equal(trail, "11|22|");
	kt_loop_free(loop);
	for (int i = 0; i < 2; i++) {
		close(fds[i][0]);
		close(fds[i][1]);
	}
}

struct once {
	struct kt_timer *t;
	int runs;
};

static void free_itself(void *arg)
{
	struct once *o = arg;
	o->runs++;
	kt_timer_free(o->t);
}

static void tick(void *arg)
{
	struct once *o = arg;
	if (++o->runs == 3)
		kt_timer_stop(o->t);
}

static void timers(void **state)
{
	(void)state;
	struct kt_loop *loop = new_loop();
	struct once a = { NULL, 0 };
	struct once b = { NULL, 0 };
	a.t = kt_timer_new(loop, free_itself, &a);
	b.t = kt_timer_new(loop, tick, &b);
	assert_false(kt_timer_active(a.t));
	kt_timer_start(a.t, 5, 0);
	kt_timer_start(b.t, 1, 1);
	assert_true(kt_timer_active(b.t));
	int64_t before = kt_loop_now_ms(loop);
	kt_loop_run(loop);
	assert_int_equal(a.runs, 1);
	assert_int_equal(b.runs, 3);
	assert_false(kt_timer_active(b.t));
	assert_true(kt_loop_now_ms(loop) - before >= 5);
	/* b, and one that runs for ever, are left to kt_loop_free(); the leak checker watches. */
	struct once c = { NULL, 0 };
	c.t = kt_timer_new(loop, tick, &c);
	kt_timer_start(c.t, 1000000, 0);
	kt_timer_free(NULL);
	kt_loop_free(loop);
	kt_loop_free(NULL);
}

static struct kt_loop *signal_loop;

static void on_usr1(void *arg, int signum)
{
	(void)arg;
	note(signum == SIGUSR1 ? "s" : "?");
	kt_loop_stop(signal_loop);
}

static void signals_do_not_keep_it_running(void **state)
{
	(void)state;
	struct kt_loop *loop = new_loop();
	struct kt_err err = KT_ERR_INIT;
	struct kt_signal *s = NULL;
	signal_loop = loop;
	assert_int_equal(kt_signal_new(loop, SIGUSR1, on_usr1, NULL, &s, &err), KT_OK);
	kt_loop_run(loop);
	assert_string_equal(trail, "");
	struct kt_timer *t = kt_timer_new(loop, stop, loop);
	kt_timer_start(t, 60000, 0);
	assert_int_equal(raise(SIGUSR1), 0);
	kt_loop_run(loop);
	assert_string_equal(trail, "s");
	kt_signal_free(s);
	kt_timer_free(t);
	kt_signal_free(NULL);
	struct kt_signal *bad = NULL;
	assert_int_equal(kt_signal_new(loop, 0, on_usr1, NULL, &bad, &err), KT_EIO);
	kt_loop_free(loop);
}

/* --- in turn with everything else -------------------------------------------------------- */

struct worker {
	struct kt_loop *loop;
	struct kt_slice slice;
	struct kt_timer *timer;
	struct kt_defer defer;
	int done, most;
	bool quick;
};

static int rounds;

static void busy_ms(int ms)
{
	int64_t until = kt_mono_us() + 1000 * ms;
	while (kt_mono_us() < until)
		;
}

static void work_slice(void *arg)
{
	struct worker *w = arg;
	if (!w->quick)
		busy_ms(1);
	if (++w->done < w->most)
		kt_loop_slice(w->loop, &w->slice);
}

static void count_rounds(void *arg)
{
	struct worker *w = arg;
	rounds++;
	if (w->done < w->most)
		kt_loop_defer(w->loop, &w->defer);
}

/* However many have work to do, the loop looks at everything else in between. */
static void slices_take_turns(void **state)
{
	enum { N = 40, EACH = 5 };
	(void)state;
	struct kt_loop *loop = new_loop();
	struct worker w[N] = { 0 };
	for (int i = 0; i < N; i++) {
		w[i] = (struct worker){ .loop = loop, .most = EACH };
		w[i].slice = (struct kt_slice){ .fn = work_slice, .arg = &w[i] };
		kt_loop_slice(loop, &w[i].slice);
		kt_loop_slice(loop, &w[i].slice);
	}
	w[N - 1].defer = (struct kt_defer){ .fn = count_rounds, .arg = &w[N - 1] };
	rounds = 0;
	kt_loop_defer(loop, &w[N - 1].defer);
	/* One that gives up, in the middle and at the end. */
	kt_loop_unslice(loop, &w[7].slice);
	kt_loop_unslice(loop, &w[7].slice);
	kt_loop_unslice(loop, &w[N - 2].slice);
	kt_loop_run(loop);
	for (int i = 0; i < N; i++)
		assert_int_equal(w[i].done, i == 7 || i == N - 2 ? 0 : EACH);
	/* 190 ms of work, some two at a time. */
	assert_true(rounds > 40);
	/* Those that are done in no time. */
	for (int i = 0; i < 3; i++) {
		w[i].quick = true;
		w[i].done = 0;
		kt_loop_slice(loop, &w[i].slice);
	}
	kt_loop_run(loop);
	for (int i = 0; i < 3; i++)
		assert_int_equal(w[i].done, EACH);
	kt_loop_free(loop);
}

static void work_timer(void *arg)
{
	struct worker *w = arg;
	busy_ms(1);
	if (++w->done < w->most)
		kt_timer_start(w->timer, 0, 0);
}

/* Timers that are due again at once do not keep the loop from its input. */
static void timers_take_turns(void **state)
{
	enum { N = 5, EACH = 10 };
	(void)state;
	struct kt_loop *loop = new_loop();
	struct worker w[N];
	for (int i = 0; i < N; i++) {
		w[i] = (struct worker){ .loop = loop, .most = EACH };
		w[i].timer = kt_timer_new(loop, work_timer, &w[i]);
		kt_timer_start(w[i].timer, 0, 0);
	}
	w[0].defer = (struct kt_defer){ .fn = count_rounds, .arg = &w[0] };
	rounds = 0;
	kt_loop_defer(loop, &w[0].defer);
	kt_loop_run(loop);
	for (int i = 0; i < N; i++) {
		assert_int_equal(w[i].done, EACH);
		kt_timer_free(w[i].timer);
	}
	assert_true(rounds >= EACH);
	kt_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slices_take_turns),
		cmocka_unit_test(timers_take_turns),
		cmocka_unit_test(defer_runs_once_in_order),
		cmocka_unit_test(defer_from_defer_and_undefer_inside),
		cmocka_unit_test(defer_after_input_before_sleep),
		cmocka_unit_test(timers),
		cmocka_unit_test(signals_do_not_keep_it_running),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
