/* SPDX-License-Identifier: MIT */
/*
 * Runs commands in turn (A B A B ...) and prints, as JSON, wall time, CPU time and peak memory of
 * each run. It is small because a process starts its life with the peak of the one it came from.
 *
 *   runstat [-n ROUNDS] [-w WARM_UPS] -- COMMAND ARG... [-- COMMAND ARG...]...
 *   runstat [-n ROUNDS] -u PORT PATH -- SERVER ARG...
 *
 * With -u the wall time ends with the first "200" that PATH answers; then the server is stopped.
 */
#include "bench.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_COMMANDS 8
#define MAX_ROUNDS 200
#define READY_LIMIT_US (10 * 1e6)
#define STOP_LIMIT_US (5 * 1e6)
#define POLL_US 200

extern char **environ;

struct sample {
	double wall_ms;
	double cpu_ms;
	int64_t rss_kib;
};

struct command {
	char **argv;
	int status; /* of the last run: exit status, or 128 + signal */
	struct sample samples[MAX_ROUNDS];
};

static struct command commands[MAX_COMMANDS];
static int64_t port; /* 0 = the wall time ends with the process */
static const char *path;

/* True when GET path answers 200. */
static bool answers(void)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	KT_AUTOFD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[512];
	int len;

	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return false;
	len = snprintf(text, sizeof(text),
		"GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n", path,
		(int)port);
	if (write(fd, text, (size_t)len) != len)
		return false;
	len = (int)read(fd, text, sizeof(text) - 1);
	return len > 12 && memcmp(text + 9, "200", 3) == 0;
}

/* Wait for the answer, then end the server; its wall time is the time until the answer. */
static bool serve_until_ready(pid_t pid, double start_us, double *out_wall_ms)
{
	bool ready = false;

	while (!ready && bench_mono_us() - start_us < READY_LIMIT_US) {
		ready = answers();
		if (!ready)
			usleep(POLL_US);
	}
	*out_wall_ms = (bench_mono_us() - start_us) / 1e3;
	kill(pid, SIGTERM);
	return ready;
}

/* Reap pid; a server that does not stop in time is killed. */
static bool reap(pid_t pid, bool bounded, int *status, struct rusage *ru)
{
	double limit_us = bench_mono_us() + STOP_LIMIT_US;

	if (!bounded)
		return wait4(pid, status, 0, ru) == pid;
	while (bench_mono_us() < limit_us) {
		if (wait4(pid, status, WNOHANG, ru) == pid)
			return true;
		usleep(POLL_US);
	}
	kill(pid, SIGKILL);
	return wait4(pid, status, 0, ru) == pid;
}

static double ms_of(struct timeval t)
{
	return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

static bool run_once(struct command *c, struct sample *out, const posix_spawn_file_actions_t *fa)
{
	double start_us = bench_mono_us();
	struct rusage ru = { 0 };
	int status = 0;
	bool ready = true;
	pid_t pid;

	if (posix_spawnp(&pid, c->argv[0], fa, NULL, c->argv, environ) != 0)
		return false;
	if (port != 0)
		ready = serve_until_ready(pid, start_us, &out->wall_ms);
	if (!reap(pid, port != 0, &status, &ru) || !ready)
		return false;
	if (port == 0)
		out->wall_ms = (bench_mono_us() - start_us) / 1e3;
	out->cpu_ms = ms_of(ru.ru_utime) + ms_of(ru.ru_stime);
	out->rss_kib = ru.ru_maxrss;
	c->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	return true;
}

static void print_all(int n, int64_t rounds)
{
	printf("[");
	for (int i = 0; i < n; i++) {
		const struct command *c = &commands[i];

		printf("%s{\"status\":%d,\"wall_ms\":[", i > 0 ? "," : "", c->status);
		for (int64_t k = 0; k < rounds; k++)
			printf("%s%.3f", k > 0 ? "," : "", c->samples[k].wall_ms);
		printf("],\"cpu_ms\":[");
		for (int64_t k = 0; k < rounds; k++)
			printf("%s%.3f", k > 0 ? "," : "", c->samples[k].cpu_ms);
		printf("],\"rss_kib\":[");
		for (int64_t k = 0; k < rounds; k++)
			printf("%s%lld", k > 0 ? "," : "", (long long)c->samples[k].rss_kib);
		printf("]}");
	}
	printf("]\n");
}

static int usage(void)
{
	fprintf(stderr,
		"usage: runstat [-n N] [-w N] [-u PORT PATH] -- COMMAND... [-- COMMAND...]\n");
	return 2;
}

/* Split the rest of the line at "--" into commands; returns how many. */
static int split(int argc, char **argv, int from)
{
	int n = 0;

	for (int i = from; i < argc && n < MAX_COMMANDS; i++) {
		if (!kt_str_eq(argv[i], "--"))
			continue;
		argv[i] = NULL;
		if (i + 1 < argc)
			commands[n++].argv = &argv[i + 1];
	}
	return n;
}

int main(int argc, char **argv)
{
	int64_t rounds = 15, warm_ups = 2;
	posix_spawn_file_actions_t fa;
	struct sample ignored;
	int i = 1, n;

	for (; i < argc && !kt_str_eq(argv[i], "--"); i++) {
		bool ok = false;

		if (kt_str_eq(argv[i], "-n") && i + 1 < argc)
			ok = kt_str_int64(argv[++i], 1, MAX_ROUNDS, &rounds);
		else if (kt_str_eq(argv[i], "-w") && i + 1 < argc)
			ok = kt_str_int64(argv[++i], 0, MAX_ROUNDS, &warm_ups);
		else if (kt_str_eq(argv[i], "-u") && i + 2 < argc) {
			ok = kt_str_int64(argv[++i], 1, 65535, &port);
			path = argv[++i];
		}
		if (!ok)
			return usage();
	}
	n = split(argc, argv, i);
	if (n == 0)
		return usage();
	posix_spawn_file_actions_init(&fa);
	for (int fd = 0; fd <= 2; fd++)
		posix_spawn_file_actions_addopen(&fa, fd, "/dev/null", O_RDWR, 0);
	for (int64_t k = -warm_ups; k < rounds; k++)
		for (int c = 0; c < n; c++)
			if (!run_once(&commands[c], k < 0 ? &ignored : &commands[c].samples[k],
				    &fa)) {
				fprintf(stderr, "runstat: cannot run '%s'\n", commands[c].argv[0]);
				return 1;
			}
	print_all(n, rounds);
	return 0;
}
