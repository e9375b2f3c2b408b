/* SPDX-License-Identifier: MIT */
/*
 * What it costs a server with much memory to start a child and see it end: by fork() and exec, by
 * posix_spawn(), and by karta's spawner process. Prints medians and minima in microseconds as JSON.
 *
 *   spawn RESIDENT_MIB ROUNDS
 */
#include "bench.h"

#include "base/str.h"
#include "net/loop.h"
#include "proc/proc.h"

#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ROUNDS 2000

extern char **environ;

static char program[] = "/bin/true";
static char *child_argv[] = { program, NULL };

struct spawned {
	struct kt_loop *loop;
	int start_error;
};

static void ignore(void *arg, const char *data, size_t len)
{
}

static void gone(void *arg, int exit_code, int term_signal, int start_error)
{
	struct spawned *s = arg;

	s->start_error = start_error;
	kt_loop_stop(s->loop);
}

static bool by_fork(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		execv(program, child_argv);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, NULL, 0) == pid;
}

static bool by_posix_spawn(void)
{
	pid_t pid;

	return posix_spawn(&pid, program, NULL, NULL, child_argv, environ) == 0 &&
		waitpid(pid, NULL, 0) == pid;
}

static bool by_spawner(struct kt_spawner *sp, struct kt_loop *loop)
{
	static const struct kt_child_ops ops = { .out = ignore, .err = ignore, .gone = gone };
	const struct kt_child_spec spec = { .argv = child_argv, .envp = environ, .cwd = "/" };
	struct spawned s = { .loop = loop };
	struct kt_child *child;
	struct kt_err err = KT_ERR_INIT;

	if (kt_child_spawn(sp, &spec, &ops, &s, &child, &err) != KT_OK)
		return false;
	kt_loop_run(loop);
	return s.start_error == 0;
}

static void print_times(const char *name, double *us, int64_t n, const char *end)
{
	qsort(us, (size_t)n, sizeof(*us), bench_cmp);
	printf("\"%s\":{\"median_us\":%.1f,\"min_us\":%.1f}%s", name, us[n / 2], us[0], end);
}

/* One round of each way in turn. */
static bool measure(int64_t rounds, struct kt_spawner *sp, struct kt_loop *loop)
{
	static double times[3][MAX_ROUNDS];

	for (int64_t i = 0; i < rounds; i++) {
		double t[4] = { bench_mono_us() };

		if (!by_fork())
			return false;
		t[1] = bench_mono_us();
		if (!by_posix_spawn())
			return false;
		t[2] = bench_mono_us();
		if (!by_spawner(sp, loop))
			return false;
		t[3] = bench_mono_us();
		for (int k = 0; k < 3; k++)
			times[k][i] = t[k + 1] - t[k];
	}
	printf("{");
	print_times("fork", times[0], rounds, ",");
	print_times("posix_spawn", times[1], rounds, ",");
	print_times("spawner", times[2], rounds, "}\n");
	return true;
}

int main(int argc, char **argv)
{
	int64_t mib, rounds;
	struct kt_spawner *sp;
	struct kt_loop *loop;
	struct kt_err err = KT_ERR_INIT;
	size_t size;
	void *resident;
	bool ok;

	if (argc != 3 || !kt_str_int64(argv[1], 1, 4096, &mib) ||
		!kt_str_int64(argv[2], 1, MAX_ROUNDS, &rounds)) {
		fprintf(stderr, "usage: spawn RESIDENT_MIB ROUNDS\n");
		return 2;
	}
	if (kt_spawner_start(&sp, &err) != KT_OK || kt_loop_new(&loop, &err) != KT_OK ||
		kt_spawner_attach(sp, loop, &err) != KT_OK) {
		fprintf(stderr, "spawn: %s\n", err.msg);
		return 1;
	}
	size = (size_t)mib << 20;
	resident = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (resident == MAP_FAILED)
		return 1;
	/* Small pages, as a heap of small objects has. */
	(void)madvise(resident, size, MADV_NOHUGEPAGE);
	memset(resident, 1, size);
	ok = measure(rounds, sp, loop);
	kt_spawner_free(sp);
	kt_loop_free(loop);
	return ok ? 0 : 1;
}
