/* SPDX-License-Identifier: MIT */
/*
 * What the tests of a hosting server's sessions share: a registry over a fake control plane, whose
 * releases are rehearsals.
 */
#ifndef KT_TESTS_UNIT_SESSION_HOSTING_H
#define KT_TESTS_UNIT_SESSION_HOSTING_H

#include "session/session.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"
#include "proc/proc.h"
#include "tests/unit/patience.h"
#include "text/json.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../harness/fake_harness.h"
#include "fake_control.h"
#include "common.h"

#define CONTROL ((struct kt_control *)&fake)

#pragma GCC diagnostic ignored "-Wunused-function"

static char self[4096];
static struct kt_spawner *spawner;

struct world {
	char dir[64];
	char *root, *data;
	struct kt_sessions *reg;
	struct kt_watch watch;
	int ended, gone;
	char *env[8];
	bool process; /* the harness is this program */
};

/* A release that answers everything with `says`. */
static void put_release(const struct world *w, const char *id, const char *says)
{
	KT_AUTOFREE char *dir = kt_path_join(w->root, id);
	KT_AUTOFREE char *file = kt_asprintf(
		"{\"karta_rehearsal\":1,\"match\":{\"text\":\"*\"}}\n"
		"{\"t\":1,\"type\":\"text\",\"parent\":null,\"data\":{\"part\":{\"type\":\"text\","
		"\"text\":\"%s\"},\"part_id\":\"p\"}}\n"
		"{\"t\":2,\"end\":{\"stop_reason\":\"end_turn\",\"text\":\"%s\",\"usage\":{"
		"\"total_tokens\":3}}}\n",
		says, says);

	put(dir, "CLAUDE.md", "x\n");
	put(dir, "rehearsals/any.jsonl", file);
}

static struct kt_target target(const char *project, const char *release, int version)
{
	struct kt_target t = { .version = version };

	(void)kt_str_copy(t.org_id, sizeof(t.org_id), "org_1");
	(void)kt_str_copy(t.org_slug, sizeof(t.org_slug), "default");
	(void)snprintf(t.project_id, sizeof(t.project_id), "prj_%s", project);
	(void)kt_str_copy(t.project, sizeof(t.project), project);
	(void)kt_str_copy(t.release_id, sizeof(t.release_id), release);
	return t;
}

static void open_registry(struct world *w)
{
	struct kt_sessions_config cfg = { .loop = the_loop,
		.spawner = spawner,
		.control = CONTROL,
		.data_dir = w->data,
		.offline = !w->process };
	struct kt_err err = KT_ERR_INIT;

	if (w->process)
		cfg.harness_program = self;
	if (kt_sessions_open(&cfg, &w->reg, &err) != KT_OK)
		fail_msg("%s", err.msg);
}

static void restart(struct world *w)
{
	kt_sessions_free(w->reg);
	assert_int_equal(fake.holds, 0);
	kt_map_release(&fake.counts);
	open_registry(w);
}

static int set_up(void **state)
{
	struct world *w = kt_calloc(1, sizeof(*w));

	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/karta-hosting-XXXXXX");
	if (!mkdtemp(w->dir))
		return -1;
	w->root = kt_path_join(w->dir, "releases");
	w->data = kt_path_join(w->dir, "data");
	fake.root = w->root;
	fake.env = w->env;
	kt_buf_init(&fake.log, 1 << 20);
	put_release(w, "rel_1", "one");
	put_release(w, "rel_2", "two");
	open_registry(w);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	kt_sessions_free(w->reg);
	assert_int_equal(fake.holds, 0);
	fake_release();
	for (size_t i = 0; w->env[i]; i++)
		free(w->env[i]);
	/* Jobs that are still on a thread use the folder. */
	kt_loop_run(the_loop);
	assert_int_equal(kt_fs_remove_tree(w->dir, NULL), KT_OK);
	free(w->root);
	free(w->data);
	free(w);
	return 0;
}

static void prepared(void *arg, enum kt_code rc, const struct kt_err *err)
{
	*(int *)arg = rc == KT_OK ? 1 : -(int)err->code;
}

static int prepare(struct world *w, const struct kt_target *t)
{
	int done = 0;

	kt_sessions_prepare(w->reg, t, prepared, &done);
	while (!done)
		run_ms(1);
	return done;
}

static struct kt_session *create(struct world *w, const struct kt_target *t)
{
	const struct kt_session_new n = { .metadata = "{\"a\":1}", .target = t };
	struct kt_session *s = NULL;

	assert_int_equal(prepare(w, t), 1);
	assert_int_equal(kt_session_create(w->reg, &n, &s, NULL), KT_OK);
	return s;
}

static void note(void *arg, enum kt_note what, const char *turn_id)
{
	struct world *w = arg;

	if (what == KT_NOTE_TURN_END) {
		w->ended++;
	} else if (what == KT_NOTE_GONE) {
		w->gone++;
		kt_watch_remove(&w->watch);
	}
	kt_loop_stop(the_loop);
}

static void watch(struct world *w, struct kt_session *s)
{
	w->watch.note = note;
	w->watch.arg = w;
	w->ended = 0;
	kt_watch_add(s, &w->watch);
}

/* Send and run until the turn has ended. */
static void talk(struct world *w, struct kt_session *s, const char *text)
{
	const struct kt_message m = { .text = text };
	struct kt_sent sent;

	watch(w, s);
	assert_int_equal(kt_session_send(s, &m, &sent, NULL), KT_OK);
	while (!w->ended)
		kt_loop_run(the_loop);
	kt_watch_remove(&w->watch);
}

/* All events of a session, as JSON. */
static void events(struct kt_session *s, struct kt_buf *b)
{
	struct kt_evlog *log;
	size_t n;
	uint64_t last;

	kt_buf_clear(b);
	assert_int_equal(kt_session_log(s, &log, NULL), KT_OK);
	assert_int_equal(kt_evlog_read(log, 0, 1000, 1 << 20, b, &n, &last, NULL), KT_OK);
}

static void on_synced(void *arg, enum kt_code rc, const struct kt_err *err)
{
	*(int *)arg = rc == KT_OK ? 1 : -(int)err->code;
	kt_loop_stop(the_loop);
}

static int sync_now(struct world *w)
{
	int done = 0;

	kt_sessions_sync(w->reg, on_synced, &done);
	while (!done)
		kt_loop_run(the_loop);
	return done;
}

static size_t journal_bytes(const struct world *w)
{
	KT_AUTOFREE char *path = kt_path_join(w->data, "sessions.jsonl");
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (size_t)st.st_size;
}

static void until_well(struct world *w)
{
	while (kt_sessions_health(w->reg, NULL) != KT_OK)
		run_ms(5);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

static int hosting_main(
	int argc, char **argv, const char *name, const struct CMUnitTest *tests, size_t n_tests)
{
	struct kt_err err = KT_ERR_INIT;

	if (argc > 1 && strcmp(argv[1], "-p") == 0)
		return fake_main(argc, argv);
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0)
		return 1;
	self[n] = '\0';
	if (kt_spawner_start(&spawner, &err) != KT_OK || kt_loop_new(&the_loop, &err) != KT_OK ||
		kt_spawner_attach(spawner, the_loop, &err) != KT_OK) {
		fprintf(stderr, "%s\n", err.msg);
		return 1;
	}
	int failed = _cmocka_run_group_tests(name, tests, n_tests, NULL, NULL);
	kt_spawner_free(spawner);
	kt_loop_free(the_loop);
	return failed;
}

#endif
