/* SPDX-License-Identifier: MIT */
/* A local server's sessions in a folder of their own, with the rehearsal driver. */
#ifndef KT_TEST_SESSION_LOCAL_H
#define KT_TEST_SESSION_LOCAL_H

#include "session/session.h"

#include "base/fs.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common.h"

struct world {
	char dir[64];
	char *app, *data;
	struct kt_loop *loop;
	struct kt_sessions *reg;
	struct kt_watch watch;
	int ended, paused;
	bool drained;
	bool running; /* the loop: one that is told to stop before it runs would stop at once */
};

static void open_registry(struct world *w)
{
	struct kt_sessions_config cfg = { 0 };
	struct kt_err err = KT_ERR_INIT;

	assert_int_equal(kt_loop_new(&w->loop, &err), KT_OK);
	cfg.loop = w->loop;
	cfg.dir = w->app;
	cfg.data_dir = w->data;
	cfg.app.harness = "rehearsal";
	if (kt_sessions_open(&cfg, &w->reg, &err) != KT_OK)
		fail_msg("%s", err.msg);
}

static void close_registry(struct world *w)
{
	kt_sessions_free(w->reg);
	kt_loop_free(w->loop);
}

/* The folders, with an application of one file; NULL when there is no room for them. */
static struct world *world_new(void)
{
	struct world *w = kt_calloc(1, sizeof(*w));

	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/karta-session-XXXXXX");
	if (!mkdtemp(w->dir)) {
		free(w);
		return NULL;
	}
	w->app = kt_path_join(w->dir, "app");
	w->data = kt_path_join(w->dir, "data");
	put(w->app, "CLAUDE.md", "x\n");
	return w;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	close_registry(w);
	assert_int_equal(kt_fs_remove_tree(w->dir, NULL), KT_OK);
	free(w->app);
	free(w->data);
	free(w);
	return 0;
}

#endif
