/* SPDX-License-Identifier: MIT */
/* A server of threads on 127.0.0.1 that answers as its paths say. Only for the tests of this folder. */
#ifndef TEST_NET_SERVER_H
#define TEST_NET_SERVER_H

#include "base/str.h"
#include "tests/unit/patience.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BIG_BYTES (8 * 1024 * 1024)
#define MAX_CONNS 256

static struct {
	int fd, port;
	pthread_t thread;
	pthread_t threads[MAX_CONNS];
	int fds[MAX_CONNS];
	size_t n; /* connections; of the accepting thread until it is joined */
	atomic_size_t n_requests, n_conns;
	atomic_llong sent; /* bytes of bodies */
	atomic_bool over;
	pthread_mutex_t lock;
	char last[4096]; /* guarded by lock: the last request, for tests with one at a time */
} server = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool put(int fd, const char *s, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, s, len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		s += n;
		len -= (size_t)n;
	}
	return true;
}

static bool put_text(int fd, const char *s)
{
	return put(fd, s, strlen(s));
}

static void pause_ms(int ms)
{
	(void)usleep((useconds_t)ms * 1000);
}

#define OK_HEAD "HTTP/1.1 200 OK\r\nX-One: first\r\nX-ONE: second\r\nX-Empty:\r\n"

static bool redirect(int fd, const char *to)
{
	KT_AUTOFREE char *text = kt_asprintf(
		"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 4\r\n\r\nhere", to);

	return put_text(fd, text);
}

static bool answer_big(int fd)
{
	char piece[4096];

	if (!put_text(fd, OK_HEAD "Content-Length: 8388608\r\n\r\n"))
		return false;
	for (size_t at = 0; at < BIG_BYTES; at += sizeof(piece)) {
		for (size_t i = 0; i < sizeof(piece); i++)
			piece[i] = (char)('a' + (at + i) / 7 % 26);
		if (!put(fd, piece, sizeof(piece)))
			return false;
		server.sent += (long long)sizeof(piece);
	}
	return true;
}

static bool answer_slowly(int fd, const char *const *pieces, int ms)
{
	for (; *pieces; pieces++) {
		if (!put_text(fd, *pieces))
			return false;
		pause_ms(ms);
	}
	return true;
}

static bool answer_endless(int fd)
{
	bool ok = true;

	while (ok)
		ok = put_text(fd, "10\r\n0123456789abcdef\r\n");
	return false;
}

/* False: the connection is to be closed. rq is the whole request. */
static bool answer(int fd, const char *path, const char *rq)
{
	static const char *const slow[] = { OK_HEAD, "Content-Length: 6\r\n\r\n", "ab", "cd", "ef",
		NULL };
	char c;

	if (kt_str_eq(path, "/ok"))
		return put_text(fd, OK_HEAD "Content-Length: 5\r\n\r\nhello");
	if (kt_str_eq(path, "/echo")) {
		KT_AUTOFREE char *text = kt_asprintf(
			"HTTP/1.1 201 Created\r\nContent-Length: %zu\r\n\r\n%s", strlen(rq), rq);
		return put_text(fd, text);
	}
	if (kt_str_eq(path, "/head"))
		return put_text(fd, OK_HEAD "Content-Length: 5\r\n\r\n");
	if (kt_str_eq(path, "/none"))
		return put_text(fd, "HTTP/1.1 204 No Content\r\nX-One: first\r\n\r\n");
	if (kt_str_eq(path, "/404"))
		return put_text(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno");
	if (kt_str_eq(path, "/interim"))
		return put_text(fd, "HTTP/1.1 103 Early Hints\r\nX-One: early\r\n\r\n" OK_HEAD
				    "Content-Length: 5\r\n\r\nhello");
	if (kt_str_eq(path, "/trailer"))
		return put_text(fd, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"
					    "5\r\nhello\r\n0\r\nX-Late: yes\r\n\r\n");
	if (kt_str_eq(path, "/slow"))
		return answer_slowly(fd, slow, 30);
	if (kt_str_eq(path, "/big"))
		return answer_big(fd);
	if (kt_str_eq(path, "/endless"))
		return put_text(fd, OK_HEAD "Transfer-Encoding: chunked\r\n\r\n") &&
			answer_endless(fd);
	if (kt_str_eq(path, "/cut")) {
		(void)put_text(fd, OK_HEAD "Content-Length: 100\r\n\r\n0123456789");
		return false;
	}
	if (kt_str_eq(path, "/cut-head")) {
		(void)put_text(fd, "HTTP/1.1 200 OK\r\nX-O");
		return false;
	}
	if (kt_str_eq(path, "/nonsense")) {
		(void)put_text(fd, "SSH-2.0-OpenSSH_9.2\r\n\r\n");
		return false;
	}
	if (kt_str_eq(path, "/huge-head")) {
		bool ok = put_text(fd, OK_HEAD);

		for (int i = 0; i < 3000 && ok; i++)
			ok = put_text(fd, "X-Filler: 0123456789012345678901234567890123456789\r\n");
		return false;
	}
	if (kt_str_eq(path, "/silent-body"))
		(void)put_text(fd, OK_HEAD "Content-Length: 5\r\n\r\nhe");
	if (kt_str_eq(path, "/silent") || kt_str_eq(path, "/silent-body")) {
		while (recv(fd, &c, 1, 0) > 0)
			;
		return false;
	}
	if (kt_str_eq(path, "/loop"))
		return redirect(fd, "/loop");
	if (kt_str_eq(path, "/loop-endless"))
		return put_text(fd, "HTTP/1.1 302 Found\r\nLocation: /ok\r\n"
				    "Transfer-Encoding: chunked\r\n\r\n") &&
			answer_endless(fd);
	if (kt_str_starts(path, "/to?"))
		return redirect(fd, path + 4);
	return false;
}

/* Requests of one connection, one after the other. */
static void *serve_conn(void *arg)
{
	int fd = *(int *)arg;
	char rq[sizeof(server.last)];
	bool more = true;

	while (more) {
		size_t len = 0, want = sizeof(rq);
		char path[1024];

		while (len < want) {
			ssize_t n = recv(fd, rq + len, KT_MIN(want, sizeof(rq) - 1) - len, 0);
			const char *end, *size;
			int64_t body = 0;

			if (n <= 0)
				break;
			len += (size_t)n;
			rq[len] = '\0';
			end = strstr(rq, "\r\n\r\n");
			size = strstr(rq, "Content-Length: ");
			if (size)
				(void)!kt_str_int64n(size + 16, strcspn(size + 16, "\r"), 0, 2000, &body);
			if (end)
				want = (size_t)(end - rq) + 4 + (size_t)body;
		}
		if (len < want || sscanf(rq, "%*15s %1000s", path) != 1)
			break;
		(void)pthread_mutex_lock(&server.lock);
		memcpy(server.last, rq, len + 1);
		(void)pthread_mutex_unlock(&server.lock);
		server.n_requests++;
		more = answer(fd, path, rq);
	}
	(void)shutdown(fd, SHUT_RDWR);
	return NULL;
}

static void *serve(void *arg)
{
	for (;;) {
		int fd = accept(server.fd, NULL, NULL);

		if (fd < 0 || server.over || server.n == MAX_CONNS)
			return NULL;
		server.n_conns++;
		server.fds[server.n] = fd;
		if (pthread_create(&server.threads[server.n], NULL, serve_conn,
			    &server.fds[server.n]) != 0)
			return NULL;
		server.n++;
	}
}

static int listen_here(int *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static void server_start(void)
{
	server.over = false;
	server.n = 0;
	server.n_requests = server.n_conns = 0;
	server.fd = listen_here(&server.port);
	assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
}

static void server_stop(void)
{
	server.over = true;
	(void)shutdown(server.fd, SHUT_RDWR);
	assert_int_equal(pthread_join(server.thread, NULL), 0);
	close(server.fd);
	for (size_t i = 0; i < server.n; i++) {
		(void)shutdown(server.fds[i], SHUT_RDWR);
		assert_int_equal(pthread_join(server.threads[i], NULL), 0);
		close(server.fds[i]);
	}
}

#endif
