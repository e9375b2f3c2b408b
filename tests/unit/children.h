/* SPDX-License-Identifier: MIT */
/* What /proc tells of a process's children; the spawner is the one that a test has itself. */
#ifndef TEST_CHILDREN_H
#define TEST_CHILDREN_H

#include "base/buf.h"
#include "base/fs.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* "12 34 ", in the order of their start; of those that the main thread of pid started. */
KT_UNUSED static void children_of(pid_t pid, struct kt_buf *out)
{
	KT_AUTOFREE char *path = kt_asprintf("/proc/%d/task/%d/children", (int)pid, (int)pid);

	kt_buf_clear(out);
	assert_int_equal(kt_fs_read(path, out, NULL), KT_OK);
}

/* 0 when there is none. */
KT_UNUSED static pid_t first_child_of(pid_t pid)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(4096);
	int64_t child = 0;

	children_of(pid, &text);
	if (!kt_str_int64n(text.ptr, strcspn(text.ptr, " "), 1, INT32_MAX, &child))
		return 0;
	return (pid_t)child;
}

KT_UNUSED static pid_t spawner_pid(void)
{
	pid_t pid = first_child_of(getpid());

	assert_true(pid > 0);
	return pid;
}

#endif
