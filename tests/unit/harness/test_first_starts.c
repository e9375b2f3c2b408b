/* SPDX-License-Identifier: MIT */
/* First starts that make a database: one after the other, and once more when that failed. */
#include "harness_world.h"

enum { FIRSTS = 3 };

struct firsts {
	struct world w[FIRSTS];
	char data[PATH_MAX];
};

/* Three harnesses of an application for OpenCode, whose database is not made yet. */
static void firsts_start(struct firsts *f, const struct kt_app *opencode, const char *mode)
{
	static unsigned n;
	struct kt_err err = KT_ERR_INIT;

	snprintf(f->data, sizeof(f->data), "XDG_DATA_HOME=%s/data%u", dir, n++);
	for (int i = 0; i < FIRSTS; i++) {
		const struct kt_harness_start start = {
			.driver = { .app = opencode, .program = self },
			.session_id = "sess_1",
		};

		world_init(&f->w[i], mode);
		f->w[i].extra[2] = f->data;
		(void)said(&f->w[i], "clash", true);
		/* What they share is one environment, as in a server. */
		assert_int_equal(kt_harness_start(&f->w[0].env, &start, &cbs, &f->w[i].o,
					 &f->w[i].o.h, &err), KT_OK);
	}
}

static void firsts_end(struct firsts *f)
{
	for (int i = 0; i < FIRSTS; i++)
		world_end(&f->w[i]);
	assert_int_equal(f->w[0].env.starts.list.len, 0);
}

static void test_first_starts(void **state)
{
	struct kt_app opencode = app;
	static struct firsts f;

	opencode.harness = KT_HARNESS_OPENCODE;
	/* All at once: one makes the database, the others wait for it and do not fail. */
	firsts_start(&f, &opencode, "acp");
	for (int i = 0; i < FIRSTS; i++)
		run_until(&f.w[i].o, &f.w[i].o.readies, 1);
	assert_false(said(&f.w[0], "clash", true));
	firsts_end(&f);
	/* Those that wait may be stopped or killed, and one that is killed holds nobody up. */
	firsts_start(&f, &opencode, "acp");
	kt_harness_stop(f.w[1].o.h);
	run_until(&f.w[1].o, &f.w[1].o.gones, 1);
	kt_harness_kill(f.w[2].o.h);
	f.w[2].o.h = NULL;
	run_until(&f.w[0].o, &f.w[0].o.readies, 1);
	firsts_end(&f);
}

/* Another program was at the database: the start is made once more, unseen by the owner. */
static void test_start_is_made_again(void **state)
{
	struct kt_app opencode = app;
	static struct firsts f;

	opencode.harness = KT_HARNESS_OPENCODE;
	firsts_start(&f, &opencode, "locked");
	for (int i = 0; i < FIRSTS; i++) {
		run_until(&f.w[i].o, &f.w[i].o.readies, 1);
		assert_int_equal(f.w[i].o.gones, 0);
	}
	assert_true(said(&f.w[0], "clash", true));
	firsts_end(&f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_starts),
		cmocka_unit_test(test_start_is_made_again),
	};
	int status = world_main(argc, argv);

	if (status >= 0)
		return status;
	status = cmocka_run_group_tests_name("harness/first_starts", tests, NULL, NULL);
	world_over();
	return status;
}
