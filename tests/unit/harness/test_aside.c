/* SPDX-License-Identifier: MIT */
/* A line that is read on a thread causes what it causes on the loop, in the same order. */
#include "harness/aside_private.h"

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct kt_loop *loop;
static struct kt_buf heard; /* what the sink was told */
static size_t events, entered, overs;
static bool drop_in_event;
static struct kt_aside *aside;

static int setup(void **state)
{
	(void)state;
	kt_buf_init(&heard, 1 << 20);
	events = entered = overs = 0;
	drop_in_event = false;
	return kt_loop_new(&loop, NULL) == KT_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	kt_buf_release(&heard);
	kt_loop_free(loop);
	return 0;
}

/* --- a driver that does everything that a driver may do ------------------------------------ */

static void driver_line(struct kt_driver *d, char *line, size_t len)
{
	const struct kt_driver_sink *s = &d->sink;
	const struct kt_ask ask = { .id = "a1",
		.kind = "tool_use",
		.tool = "T",
		.message = "m?",
		.input = "{\"x\":1}",
		.input_len = 7,
		.partial = true,
		.cwd = "/w",
		.command = "c",
		.path = "p",
		.questions = "[]" };
	const struct kt_turn_result r = { .stop_reason = "error",
		.error_code = "e",
		.error_message = "em",
		.text = "words",
		.usage = KT_USAGE_INIT };
	char data[32];

	assert_int_equal(strlen(line), len);
	if (line[0] == 's')
		(void)usleep(50000);
	s->ready(s->arg, "id");
	s->session_id(s->arg, NULL);
	for (int i = 0; i < (line[0] == 'm' ? 1000000 : 1000); i++) {
		int n = snprintf(data, sizeof(data), "{\"n\":%d}", i);

		kt_emit(d, KT_EV_SYSTEM, data, (size_t)n, i ? NULL : "parent");
	}
	s->send(s->arg, line, 3);
	s->unsolicited(s->arg);
	s->ask(s->arg, &ask);
	s->ask_withdrawn(s->arg, "a1");
	s->set_timer(s->arg, -1);
	s->resume_failed(s->arg, "why");
	s->line_refused(s->arg, "large");
	s->turn_end(s->arg, &r);
	/* The line is the driver's to change. */
	memset(line, 'z', len);
}

static const struct kt_driver_ops ops = { .name = "test", .line = driver_line };

/* --- a sink that writes down --------------------------------------------------------------- */

static void on_send(void *arg, const char *line, size_t len)
{
	(void)arg;
	kt_buf_addf(&heard, "send %.*s\n", (int)len, line);
}

static void on_word(const char *what, const char *word)
{
	kt_buf_addf(&heard, "%s %s\n", what, word ? word : "-");
}

static void on_ready(void *arg, const char *s)
{
	(void)arg;
	on_word("ready", s);
}

static void on_session(void *arg, const char *s)
{
	(void)arg;
	on_word("session", s);
}

static void on_event(void *arg, const struct kt_event_draft *ev)
{
	char want[32];

	(void)arg;
	assert_int_equal(entered, 1);
	(void)snprintf(want, sizeof(want), "{\"n\":%zu}", events);
	assert_string_equal(ev->data, want);
	assert_int_equal(ev->data_len, strlen(want));
	if (events++ == 0)
		on_word("parent", ev->parent_tool_use_id);
	if (drop_in_event)
		kt_aside_free(aside);
}

static void on_unsolicited(void *arg)
{
	(void)arg;
	on_word("unsolicited", NULL);
}

static void on_ask(void *arg, const struct kt_ask *ask)
{
	(void)arg;
	assert_null(ask->tool_use_id);
	kt_buf_addf(&heard, "ask %s %s %s %s %.*s %d %s %s %s %s\n", ask->id, ask->kind, ask->tool,
		ask->message, (int)ask->input_len, ask->input, ask->partial, ask->cwd, ask->command,
		ask->path, ask->questions);
}

static void on_withdrawn(void *arg, const char *id)
{
	(void)arg;
	on_word("withdrawn", id);
}

static void on_turn_end(void *arg, const struct kt_turn_result *r)
{
	(void)arg;
	kt_buf_addf(&heard, "end %s %s %s %s %d\n", r->stop_reason, r->error_code, r->error_message,
		r->text, (int)r->usage.total_tokens);
}

static void on_timer(void *arg, int64_t ms)
{
	(void)arg;
	kt_buf_addf(&heard, "timer %d\n", (int)ms);
}

static void on_resume_failed(void *arg, const char *why)
{
	(void)arg;
	on_word("failed", why);
}

static void on_line_refused(void *arg, const char *why)
{
	(void)arg;
	on_word("refused", why);
}

static const struct kt_driver_sink sink = { NULL, on_send, on_ready, on_session, on_event,
	on_unsolicited, on_ask, on_withdrawn, on_turn_end, on_timer, on_resume_failed,
	on_line_refused };

static const char all[] = "ready id\nsession -\nparent parent\nsend lin\nunsolicited -\n"
			  "ask a1 tool_use T m? {\"x\":1} 1 /w c p []\nwithdrawn a1\ntimer "
			  "-1\nfailed why\nrefused large\n"
			  "end error e em words -1\n";

static void over(void *arg)
{
	(void)arg;
	overs++;
	kt_aside_free(aside);
	kt_loop_stop(loop);
}

static void enter(void *arg)
{
	(void)arg;
	entered++;
}

static void leave(void *arg)
{
	(void)arg;
	entered--;
	if (drop_in_event)
		kt_loop_stop(loop);
}

static void begin(struct kt_driver *d, const char *line)
{
	const struct kt_aside_owner owner = { over, enter, leave, NULL };

	*d = (struct kt_driver){ .ops = &ops, .sink = sink };
	aside = kt_aside_new(loop, "org", d, kt_strdup(line), strlen(line), &owner);
}

static void in_order_and_in_slices(void **state)
{
	struct kt_driver d;

	(void)state;
	begin(&d, "line");
	assert_int_equal(heard.len, 0);
	kt_loop_run(loop);
	assert_int_equal(overs, 1);
	assert_int_equal(events, 1000);
	assert_string_equal(heard.ptr, all);
	assert_ptr_equal(d.sink.event, on_event);
}

static void at_once_when_it_must(void **state)
{
	struct kt_driver d;

	(void)state;
	begin(&d, "line");
	kt_aside_finish(aside);
	assert_int_equal(overs, 0);
	assert_int_equal(events, 1000);
	assert_string_equal(heard.ptr, all);
	assert_ptr_equal(d.sink.event, on_event);
}

/* Of a line that causes without end only so much is kept, and it is told that this was not all. */
static void bounded(void **state)
{
	struct kt_driver d;

	(void)state;
	begin(&d, "many");
	assert_int_equal(kt_aside_bytes(aside), kt_aside_cost(4));
	kt_loop_run(loop);
	assert_int_equal(overs, 1);
	assert_in_range(events, 1000, kt_aside_cost(4) / sizeof(void *) / 10);
	assert_string_equal(heard.ptr,
		"ready id\nsession -\nparent parent\nrefused it causes more "
		"than is kept of one line\nrefused large\n");
}

static void given_up(void **state)
{
	struct kt_driver d;

	(void)state;
	/* Before, and while, the thread is at it. */
	for (int i = 0; i < 2; i++) {
		begin(&d, "slow");
		(void)usleep(i ? 20000 : 0);
		kt_aside_free(aside);
		assert_ptr_equal(d.sink.event, on_event);
	}
	assert_int_equal(events, 0);
	assert_int_equal(overs, 0);
}

static void given_up_from_within(void **state)
{
	struct kt_driver d;

	(void)state;
	drop_in_event = true;
	begin(&d, "line");
	kt_loop_run(loop);
	assert_int_equal(events, 1);
	assert_int_equal(overs, 0);
	assert_int_equal(entered, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(in_order_and_in_slices, setup, teardown),
		cmocka_unit_test_setup_teardown(at_once_when_it_must, setup, teardown),
		cmocka_unit_test_setup_teardown(bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(given_up, setup, teardown),
		cmocka_unit_test_setup_teardown(given_up_from_within, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
