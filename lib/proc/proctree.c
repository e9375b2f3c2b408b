/* SPDX-License-Identifier: MIT */
/*
 * The process tree as /proc shows it. A snapshot is never exact: callers repeat it until it stays
 * the same.
 */
#include "proc/wire_private.h"

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Deeper chains of parents than this are a loop made of pids that were reused in mid-walk. */
#define MAX_DEPTH 4096
/* Environments are at most a quarter of the stack limit, 2 MiB by default. */
#define MAX_ENVIRON_BYTES (4 * 1024 * 1024)

/* Number `index` (from 0) in a line of blanks and numbers. */
static bool number_at(const char *s, int index, uint64_t *out)
{
	for (;;) {
		while (*s == ' ')
			s++;
		size_t len = strcspn(s, " \n");
		if (len == 0)
			return false;
		if (index-- == 0) {
			int64_t v = 0;
			if (!kt_str_int64n(s, len, INT64_MIN, INT64_MAX, &v))
				return false;
			*out = (uint64_t)v;
			return true;
		}
		s += len;
	}
}

static bool read_stat(pid_t pid, struct kt_proctree_proc *out)
{
	char path[40];
	char text[1024];
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	KT_AUTOFD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	/* "pid (name) state ppid ..."; the name may hold blanks and parentheses. */
	char *rest = strrchr(text, ')');
	if (rest == NULL || rest[1] != ' ' || rest[2] == '\0')
		return false;
	char state = rest[2];
	uint64_t ppid = 0;
	uint64_t threads = 0;
	uint64_t start = 0;
	/* proc(5): ppid is field 4, num_threads 20, starttime 22; after the state comes field 4. */
	if (!number_at(rest + 3, 0, &ppid) || !number_at(rest + 3, 16, &threads) ||
		!number_at(rest + 3, 18, &start))
		return false;
	out->pid = pid;
	out->ppid = (pid_t)ppid;
	out->start = start;
	/* A first thread that ended while others run looks like a zombie. */
	out->alive = (state != 'Z' && state != 'X' && state != 'x') || threads > 1;
	out->target = false;
	return true;
}

static int by_pid(const void *a, const void *b)
{
	const struct kt_proctree_proc *x = a;
	const struct kt_proctree_proc *y = b;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

bool kt_proctree_scan(struct kt_proctree *t)
{
	t->n = 0;
	DIR *d = opendir("/proc");
	if (d == NULL)
		return false;
	for (;;) {
		const struct dirent *e = readdir(d);
		if (e == NULL)
			break;
		int64_t pid = 0;
		if (!kt_str_int64(e->d_name, 1, INT32_MAX, &pid))
			continue;
		void *procs = t->procs;
		kt_grow(&procs, &t->cap, t->n + 1, sizeof(*t->procs));
		t->procs = procs;
		if (read_stat((pid_t)pid, &t->procs[t->n]))
			t->n++;
	}
	(void)closedir(d);
	if (t->n > 0)
		qsort(t->procs, t->n, sizeof(*t->procs), by_pid);
	return t->n > 0;
}

struct kt_proctree_proc *kt_proctree_find(const struct kt_proctree *t, pid_t pid)
{
	struct kt_proctree_proc key = { .pid = pid };
	return t->n == 0 ? NULL : bsearch(&key, t->procs, t->n, sizeof(key), by_pid);
}

struct kt_proctree_proc *kt_proctree_branch(
	const struct kt_proctree *t, struct kt_proctree_proc *p, pid_t top)
{
	for (int depth = 0; p != NULL && depth < MAX_DEPTH; depth++) {
		if (p->ppid == top)
			return p;
		p = p->ppid > 0 ? kt_proctree_find(t, p->ppid) : NULL;
	}
	return NULL;
}

void kt_proctree_signal(const struct kt_proctree_proc *p, int signum)
{
	/*
	 * A pidfd holds the process; if its start time is still the one seen, it is the same
	 * process, and the signal cannot reach a newcomer with the same number.
	 */
	KT_AUTOFD int fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (fd < 0 && errno != ENOSYS)
		return;
	struct kt_proctree_proc now;
	if (!read_stat(p->pid, &now) || now.start != p->start)
		return;
	if (fd >= 0)
		(void)syscall(SYS_pidfd_send_signal, fd, signum, NULL, 0);
	else
		(void)kill(p->pid, signum);
}

static uint64_t marker_of(const char *text, size_t len)
{
	static const char marker[] = KT_WIRE_MARKER;
	const size_t mlen = sizeof(marker) - 1;
	for (size_t at = 0; at < len;) {
		size_t n = strnlen(text + at, len - at);
		int64_t id = 0;
		if (n > mlen && memcmp(text + at, marker, mlen) == 0 &&
			kt_str_int64n(text + at + mlen, n - mlen, 1, INT64_MAX, &id))
			return (uint64_t)id;
		at += n + 1;
	}
	return 0;
}

uint64_t kt_proctree_marker(pid_t pid)
{
	char path[40];
	(void)snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
	/* In the midst of execve() a process has no environment for a moment. */
	for (int tries = 0; tries < 3; tries++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(MAX_ENVIRON_BYTES);
		KT_AUTOFD int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return 0;
		for (;;) {
			char *to = kt_buf_reserve(&b, 16384);
			ssize_t n = to == NULL ? 0 : read(fd, to, 16384);
			if (n <= 0)
				break;
			kt_buf_commit(&b, (size_t)n);
		}
		if (b.len > 0)
			return marker_of(b.ptr, b.len);
		(void)usleep(500);
	}
	return 0;
}
