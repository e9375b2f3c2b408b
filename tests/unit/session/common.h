/* SPDX-License-Identifier: MIT */
/* What every test of sessions needs: files, and a loop that turns for a while. */
#ifndef KT_TEST_SESSION_COMMON_H
#define KT_TEST_SESSION_COMMON_H

#include "base/fs.h"
#include "net/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

KT_UNUSED static struct kt_loop *the_loop;

KT_UNUSED static void put(const char *dir, const char *name, const char *text)
{
	KT_AUTOFREE char *path = kt_path_join(dir, name);
	KT_AUTOFREE char *parent = kt_path_dir(path);

	assert_int_equal(kt_fs_mkdirs(parent, 0700, NULL), KT_OK);
	assert_int_equal(kt_fs_write_atomic(path, text, strlen(text), 0600, false, NULL), KT_OK);
}

KT_UNUSED static void stop_loop(void *arg)
{
	*(bool *)arg = true;
	kt_loop_stop(the_loop);
}

KT_UNUSED static void run_ms(int64_t ms)
{
	bool over = false;
	struct kt_timer *t = kt_timer_new(the_loop, stop_loop, &over);

	kt_timer_start(t, ms, 0);
	while (!over)
		kt_loop_run(the_loop);
	kt_timer_free(t);
}

#endif
