/* SPDX-License-Identifier: MIT */
/* Listeners that come and go while a server runs, and the tags that tell them apart. */
#include "rig.h"

#define H "Host: a\r\n"
#define SHUT "Connection: close\r\n"

/* The body of an answer to GET path, which is 200. */
static void get(int port, const char *path, struct kt_buf *b, const char **body)
{
	KT_AUTOFREE char *q = kt_asprintf("GET %s HTTP/1.1\r\n" H SHUT "\r\n", path);
	KT_AUTOFD int fd = dial(port);

	kt_buf_clear(b);
	puts_to(fd, q);
	read_all(fd, b);
	assert_int_equal(status_in(b), 200);
	*body = strstr(b->ptr, "\r\n\r\n") + 4;
}

static void says(int port, const char *path, const char *what)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
	const char *body;

	get(port, path, &b, &body);
	assert_string_equal(body, what);
}

/* A further listener of the server that is at `port`. */
static int add(int port, int tag)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
	KT_AUTOFREE char *path = kt_asprintf("/serve?n=%d", tag);
	const char *body;
	int64_t got = 0;

	get(port, path, &b, &body);
	assert_true(kt_str_int64(body, 1, 65535, &got));
	return (int)got;
}

static bool refused(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	KT_AUTOFD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0 && errno == ECONNREFUSED;
}

static void test_tags(void **state)
{
	enum { N = 20 };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
	int ports[N];
	struct rig r;

	rig_start(&r, NULL);
	for (int i = 0; i < N; i++)
		ports[i] = add(r.port, i % 7);
	for (int i = 0; i < N; i++) {
		char want[20];
		(void)snprintf(want, sizeof(want), "tag %d", i % 7);
		says(ports[i], "/tag", want);
	}
	says(r.port, "/tag", "tag 0");
	/* Each request of a connection, pipelined or not. */
	KT_AUTOFD int fd = dial(ports[6]);
	for (int i = 0; i < 3; i++) {
		kt_buf_clear(&b);
		puts_to(fd, "GET /tag HTTP/1.1\r\n" H "\r\nGET /host HTTP/1.1\r\n" H
			    "\r\nGET /tag HTTP/1.1\r\n" H "\r\n");
		for (const char *p = NULL; !p;) {
			assert_true(read_until(fd, &b, "tag 6"));
			p = strstr(strstr(b.ptr, "tag 6") + 1, "tag 6");
			if (!p) {
				char more[4096];
				ssize_t n = recv(fd, more, sizeof(more), 0);
				assert_true(n > 0);
				kt_buf_add(&b, more, (size_t)n);
			}
		}
	}
	rig_stop(&r);
}

static void test_removed(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8 << 20);
	struct rig r;

	rig_start(&r, NULL);
	int port = add(r.port, 7), second = add(r.port, 7), other = add(r.port, 8);
	KT_AUTOFD int fresh = dial(port);
	KT_AUTOFD int idle = dial(port);
	KT_AUTOFD int half = dial(port);
	KT_AUTOFD int pending = dial(port);
	KT_AUTOFD int stream = dial(second);
	KT_AUTOFD int elsewhere = dial(other);

	puts_to(idle, "GET /tag HTTP/1.1\r\n" H "\r\n");
	assert_true(read_until(idle, &b, "tag 7"));
	kt_buf_clear(&b);
	puts_to(elsewhere, "GET /tag HTTP/1.1\r\n" H "\r\n");
	assert_true(read_until(elsewhere, &b, "tag 8"));
	puts_to(half, "GET /tag HTTP/1.1\r\n");
	puts_to(pending, "GET /later HTTP/1.1\r\n" H "\r\n");
	wait_for(&n_pending, 1);
	/* More than sockets hold, of which nothing is read yet. */
	puts_to(stream, "GET /bytes?n=5000000 HTTP/1.1\r\n" H "\r\n");
	wait_for(&n_streams_open, 1);
	says(r.port, "/unserve?n=7", "unserved");
	EVENTUALLY(refused(port));
	EVENTUALLY(refused(second));
	/* What runs is answered, as the connection's last. */
	kt_buf_clear(&b);
	read_all(pending, &b);
	assert_int_equal(status_in(&b), 200);
	assert_non_null(strstr(b.ptr, "\r\nConnection: close\r\n"));
	kt_buf_clear(&b);
	puts_to(half, H "\r\n");
	read_all(half, &b);
	assert_non_null(strstr(b.ptr, "\r\nConnection: close\r\n"));
	assert_non_null(strstr(b.ptr, "tag 7"));
	/* Those that are idle close; nothing came. */
	kt_buf_clear(&b);
	read_all(idle, &b);
	read_all(fresh, &b);
	assert_int_equal(b.len, 0);
	assert_int_equal(n_streams_open, 1);
	read_all(stream, &b);
	assert_true(b.len > 5000000);
	assert_memory_equal(b.ptr + b.len - 5, "0\r\n\r\n", 5);
	/* Other listeners are as they were, and a tag may come again. */
	kt_buf_clear(&b);
	puts_to(elsewhere, "GET /tag HTTP/1.1\r\n" H "\r\n");
	assert_true(read_until(elsewhere, &b, "tag 8"));
	assert_null(strstr(b.ptr, "Connection: close"));
	says(r.port, "/tag", "tag 0");
	says(add(r.port, 7), "/tag", "tag 7");
	says(r.port, "/unserve?n=1234", "unserved");
	rig_stop(&r);
}

/* By a request of its own; who has connected before is not reset. */
static void test_removes_itself(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
	struct rig r;

	rig_start(&r, NULL);
	for (int i = 0; i < 20; i++) {
		int port = add(r.port, 9);
		KT_AUTOFD int one = dial(port);
		KT_AUTOFD int two = dial(port);

		puts_to(one, "GET /unserve?n=9 HTTP/1.1\r\n" H "\r\nGET /tag HTTP/1.1\r\n" H "\r\n");
		puts_to(two, "GET /tag HTTP/1.1\r\n" H "\r\n");
		kt_buf_clear(&b);
		read_all(one, &b);
		assert_int_equal(status_in(&b), 200);
		assert_non_null(strstr(b.ptr, "\r\nConnection: close\r\n"));
		assert_null(strstr(b.ptr, "tag 9"));
		kt_buf_clear(&b);
		read_all(two, &b);
		assert_non_null(strstr(b.ptr, "tag 9"));
		EVENTUALLY(refused(port));
	}
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_removes_itself),
	};
	int failed = cmocka_run_group_tests_name("http/listeners", tests, NULL, NULL);

	free(pattern);
	free(big);
	return failed;
}
