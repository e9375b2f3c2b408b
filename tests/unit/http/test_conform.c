/* SPDX-License-Identifier: MIT */
/* The conformance table over a real socket, and the life of ordinary connections. */
#include "rig.h"

#define H "Host: a\r\n"
#define R "GET / HTTP/1.1\r\n"
#define P "POST /echo HTTP/1.1\r\n" H
#define CH P "Transfer-Encoding: chunked\r\n\r\n"

static void test_rows(void **state)
{
	static const struct {
		const char *name, *request;
		int status;
	} rows[] = {
		{ "TE+CL", P "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", 400 },
		{ "CL 3 + CL 4", P "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400 },
		{ "CL +3", P "Content-Length: +3\r\n\r\nabc", 400 },
		{ "CL 0x3", P "Content-Length: 0x3\r\n\r\nabc", 400 },
		{ "CL -3", P "Content-Length: -3\r\n\r\nabc", 400 },
		{ "TE: gzip, chunked + CL",
			P "Transfer-Encoding: gzip, chunked\r\nContent-Length: 3\r\n\r\nabc", 501 },
		{ "TE: xchunked",
			P "Transfer-Encoding: xchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 501 },
		{ "chunk size 0x3", CH "0x3\r\nabc\r\n0\r\n\r\n", 400 },
		{ "chunk size +3", CH "+3\r\nabc\r\n0\r\n\r\n", 400 },
		{ "chunk bare LF", CH "3\nabc\n0\n\n", 400 },
		{ "bare LF head", "GET / HTTP/1.1\nHost: a\n\n", 400 },
		{ "bare CR in value", R H "X: a\rb\r\n\r\n", 400 },
		{ "space before colon", R "Host : a\r\n\r\n", 400 },
		{ "obs-fold", R H "X: a\r\n b\r\n\r\n", 400 },
		{ "empty header name", R H ": a\r\n\r\n", 400 },
		{ "no Host 1.1", R "\r\n", 400 },
		{ "two Hosts", R H H "\r\n", 400 },
		{ "plain GET", R H "\r\n", 200 },
		{ "body 10 MB declared", P "Content-Length: 10000000\r\n\r\n", 413 },
		{ "chunked body", CH "3\r\nabc\r\n0\r\n\r\n", 202 },
		{ "absolute-form", "GET http://b/ HTTP/1.1\r\n" H "\r\n", 200 },
		{ "HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", 200 },
		{ "HTTP/2.0 version", "GET / HTTP/2.0\r\n" H "\r\n", 505 },
		{ "HTTP/1.1 lower method", "get / HTTP/1.1\r\n" H "\r\n", 400 },
		{ "method FOO", "FOO / HTTP/1.1\r\n" H "\r\n", 501 },
		{ "HEAD", "HEAD / HTTP/1.1\r\n" H "\r\n", 200 },
		{ "Expect 100", P "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n", 100 },
		{ "pipelined x2", R H "\r\n" R H "\r\n", 200 },
		{ "SSE HTTP/1.0", "GET /events HTTP/1.0\r\n\r\n", 200 },
		{ "SSE HEAD", "HEAD /events HTTP/1.1\r\n" H "\r\n", 200 },
		{ "garbage", "\001\002garbage\r\n\r\n", 400 },
		{ "garbage without line end", "\026\003\001\002", 400 },
	};
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	KT_AUTO_BUF struct kt_buf q = KT_BUF_INIT(1 << 20);
	struct rig r;

	rig_start(&r, NULL);
	for (size_t i = 0; i < KT_ARRAY_LEN(rows); i++) {
		int got = ask(r.port, rows[i].request, strlen(rows[i].request), &b);
		if (got != rows[i].status)
			fail_msg("%s: %d", rows[i].name, got);
		if (got >= 400)
			assert_non_null(strstr(b.ptr, "\r\nConnection: close\r\n"));
	}
	static const char nul[] = R H "X: a\0b\r\n\r\n";
	assert_int_equal(ask(r.port, nul, sizeof(nul) - 1, &b), 400);
	/* Header 64 KiB, header 8 KiB, 2000 headers, URL 20 KiB. */
	for (int row = 0; row < 4; row++) {
		kt_buf_clear(&q);
		kt_buf_adds(&q, row == 3 ? "GET /" : R H "X: ");
		for (int i = 0; row != 2 && i < (row == 0 ? 65536 : row == 1 ? 8192 : 20480); i++)
			kt_buf_addc(&q, 'a');
		kt_buf_adds(&q, row == 3 ? " HTTP/1.1\r\n" H : "\r\n");
		for (int i = 0; row == 2 && i < 2000; i++)
			kt_buf_addf(&q, "X%d: y\r\n", i);
		kt_buf_adds(&q, "\r\n");
		assert_int_equal(ask(r.port, q.ptr, q.len, &b), row == 1 ? 200 : 431);
	}
	kt_buf_clear(&q);
	kt_buf_adds(&q, "GET /");
	for (int i = 0; i < KT_MAX_HTTP_TARGET_BYTES; i++)
		kt_buf_addc(&q, 'a');
	kt_buf_adds(&q, " HTTP/1.1\r\n" H "\r\n");
	assert_int_equal(ask(r.port, q.ptr, q.len, &b), 414);
	rig_stop(&r);
}

static void test_answer(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_http_config cfg;
	struct rig r;

	kt_http_config_init(&cfg);
	cfg.server_headers = "X-Server: yes\r\n";
	rig_start(&r, &cfg);
	const char *get = "GET /header HTTP/1.1\r\n" H "Connection: close\r\n\r\n";
	KT_AUTOFD int fd = dial(r.port);
	puts_to(fd, get);
	read_all(fd, &b);
	assert_int_equal(status_in(&b), 200);
	assert_non_null(strstr(b.ptr, "\r\nDate: "));
	assert_non_null(strstr(b.ptr, " GMT\r\n"));
	assert_non_null(strstr(b.ptr, "\r\nRequest-Id: req_"));
	assert_non_null(strstr(b.ptr, "\r\nX-Content-Type-Options: nosniff\r\n"));
	assert_non_null(strstr(b.ptr, "\r\nX-Server: yes\r\n"));
	assert_non_null(strstr(b.ptr, "\r\nX-Good: yes\r\n"));
	assert_null(strstr(b.ptr, "X-Split"));
	assert_non_null(strstr(b.ptr, "\r\nContent-Length: 1\r\n"));
	assert_non_null(strstr(b.ptr, "\r\nConnection: close\r\n"));
	/* HEAD: the length of GET, no body; 204: neither. */
	KT_AUTOFD int fd2 = dial(r.port);
	kt_buf_clear(&b);
	puts_to(fd2, "HEAD / HTTP/1.1\r\n" H "\r\nGET /empty HTTP/1.0\r\n\r\n");
	read_all(fd2, &b);
	const char *end = strstr(b.ptr, "\r\n\r\n");
	assert_non_null(end);
	assert_memory_equal(end, "\r\n\r\nHTTP/1.1 204 No Content\r\n", 29);
	assert_non_null(strstr(b.ptr, "Content-Length: 11\r\n"));
	assert_null(strstr(end, "Content-Length"));
	/* A problem is JSON with the request's id. */
	const char *bad = "GET /%00 HTTP/1.1\r\n" H "\r\n";
	KT_AUTOFD int fd3 = dial(r.port);
	kt_buf_clear(&b);
	puts_to(fd3, bad);
	read_all(fd3, &b);
	assert_non_null(strstr(b.ptr, "Content-Type: application/problem+json\r\n"));
	assert_non_null(strstr(b.ptr, "\"type\":\"urn:karta:problem:bad_request\""));
	assert_non_null(strstr(b.ptr, "\"message\":\""));
	assert_non_null(strstr(b.ptr, "\"status\":400"));
	assert_non_null(strstr(b.ptr, "\"request_id\":\"req_"));
	rig_stop(&r);
}

static void test_absolute_host(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct rig r;

	rig_start(&r, NULL);
	KT_AUTOFD int fd = dial(r.port);
	puts_to(fd, "GET http://Other.example:8/host HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
	read_all(fd, &b);
	assert_non_null(strstr(b.ptr, "\r\n\r\nother.example"));
	rig_stop(&r);
}

static size_t count(const char *s, const char *what)
{
	size_t n = 0;

	while ((s = strstr(s, what))) {
		n++;
		s++;
	}
	return n;
}

/* Many requests in one go, late answers among them, come back in order. */
static void test_pipelining(void **state)
{
	KT_AUTO_BUF struct kt_buf q = KT_BUF_INIT(8 << 20);
	KT_AUTO_BUF struct kt_buf all = KT_BUF_INIT(8 << 20);
	struct rig r;

	rig_start(&r, NULL);
	KT_AUTOFD int fd = dial(r.port);
	for (int i = 0; i < 3000; i++) {
		if (i % 1000 == 500)
			kt_buf_adds(&q, "GET /later HTTP/1.1\r\n" H "\r\n");
		kt_buf_addf(&q, P "Content-Length: 9\r\n\r\n<%07d>", i);
		if (i % 3 == 0)
			kt_buf_addf(&q, CH "4\r\n<%03d\r\n5\r\n%04d>\r\n0\r\n\r\n", i / 10000, i);
	}
	kt_buf_adds(&q, "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
	put(fd, q.ptr, q.len);
	read_all(fd, &all);
	assert_int_equal(count(all.ptr, "HTTP/1.1 202 "), 4000);
	assert_int_equal(count(all.ptr, "\r\n\r\nlater"), 3);
	const char *p = all.ptr;
	for (int i = 0; i < 3000; i++) {
		char want[32];
		(void)snprintf(want, sizeof(want), "\r\n\r\n<%07d>HTTP", i);
		if (i % 1000 == 500) {
			p = strstr(p, "\r\n\r\nlaterHTTP");
			assert_non_null(p);
		}
		for (int twice = 0; twice < (i % 3 == 0 ? 2 : 1); twice++) {
			p = strstr(p, want);
			assert_non_null(p);
			p++;
		}
	}
	rig_stop(&r);
}

/* Byte by byte: keep-alive, body and next request survive every cut. */
static void test_bytewise(void **state)
{
	const char *q = P "Content-Length: 3\r\n\r\nabc" CH "3\r\ndef\r\n0\r\n\r\n"
		"GET /later HTTP/1.1\r\n" H "\r\nGET / HTTP/1.0\r\n\r\n";
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct rig r;

	rig_start(&r, NULL);
	KT_AUTOFD int fd = dial(r.port);
	for (const char *p = q; *p; p++) {
		put(fd, p, 1);
		(void)usleep(200);
	}
	read_all(fd, &b);
	assert_non_null(strstr(b.ptr, "\r\n\r\nabcHTTP/1.1 202"));
	assert_non_null(strstr(b.ptr, "\r\n\r\ndefHTTP/1.1 200"));
	assert_non_null(strstr(b.ptr, "\r\n\r\nlaterHTTP/1.1 200"));
	rig_stop(&r);
}

static void test_expect(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct rig r;

	rig_start(&r, NULL);
	KT_AUTOFD int fd = dial(r.port);
	puts_to(fd, P "Content-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n");
	assert_true(read_until(fd, &b, "HTTP/1.1 100 Continue\r\n\r\n"));
	puts_to(fd, "abc");
	kt_buf_clear(&b);
	read_all(fd, &b);
	assert_int_equal(status_in(&b), 202);
	/* Too large: the answer comes instead of the invitation. */
	const char *large = P "Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n";
	assert_int_equal(ask(r.port, large, strlen(large), &b), 413);
	rig_stop(&r);
}

/* A client in the middle of a refused upload reads the answer, not a reset. */
static void test_lingering(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	KT_AUTO_BUF struct kt_buf q = KT_BUF_INIT(4 << 20);
	struct rig r;

	rig_start(&r, NULL);
	for (int row = 0; row < 2; row++) {
		KT_AUTOFD int fd = dial(r.port);
		kt_buf_clear(&q);
		kt_buf_clear(&b);
		kt_buf_adds(&q, row == 0 ? P "Content-Length: 2000000\r\n\r\n" : CH "1e8480\r\n");
		for (int i = 0; i < 2000000; i++)
			kt_buf_addc(&q, 'x');
		put(fd, q.ptr, q.len);
		read_all(fd, &b);
		assert_int_equal(status_in(&b), 413);
	}
	rig_stop(&r);
}

static void test_half_close(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(32 << 20);
	struct rig r;

	rig_start(&r, NULL);
	const char *paths[] = { "/big", "/bigcopy" };
	for (size_t i = 0; i < 2; i++) {
		KT_AUTOFD int fd = dial(r.port);
		KT_AUTOFREE char *q = kt_asprintf("GET %s HTTP/1.1\r\n" H "\r\n", paths[i]);
		kt_buf_clear(&b);
		puts_to(fd, q);
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		(void)usleep(50000);
		read_all(fd, &b);
		const char *body = strstr(b.ptr, "\r\n\r\n");
		assert_non_null(body);
		assert_int_equal(b.len - (size_t)(body + 4 - b.ptr), BIG_BYTES);
		assert_memory_equal(body + 4, big, BIG_BYTES);
	}
	rig_stop(&r);
}

/* Heads that do not end: the oldest make room for the newest, and who asks at once is served. */
static void test_strangers(void **state)
{
	enum { MANY = 60, STRANGERS = 128 * 1024 };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_budget_config bc;
	struct kt_http_config cfg;
	struct rig r;
	char part[6000];
	int fds[MANY];

	kt_budget_config_init(&bc);
	bc.strangers = bc.stranger = STRANGERS;
	struct kt_budget *budget = kt_budget_new(&bc);
	kt_http_config_init(&cfg);
	cfg.budget = budget;
	rig_start(&r, &cfg);
	memset(part, 'a', sizeof(part));
	memcpy(part, "GET /x HTTP/1.1\r\nX: ", 20);
	part[sizeof(part) - 1] = '\0';
	for (int i = 0; i < MANY; i++) {
		fds[i] = dial(r.port);
		puts_to(fds[i], part);
		/* In their order. */
		KT_AUTOFD int fd = dial(r.port);
		puts_to(fd, R H "\r\n");
		kt_buf_clear(&b);
		assert_true(read_until(fd, &b, "true}"));
	}
	kt_buf_clear(&b);
	read_all(fds[0], &b);
	assert_non_null(strstr(b.ptr, "HTTP/1.1 503 "));
	assert_non_null(strstr(b.ptr, "Retry-After: "));
	assert_non_null(strstr(b.ptr, "newer requests without a key"));
	/* The newest is still waited for. */
	puts_to(fds[MANY - 1], "\r\n" H "\r\n");
	kt_buf_clear(&b);
	assert_true(read_until(fds[MANY - 1], &b, "true}"));
	for (int i = 0; i < MANY; i++)
		assert_int_equal(close(fds[i]), 0);
	rig_stop(&r);
	assert_true(kt_budget_peak(budget) <= STRANGERS);
	assert_int_equal(kt_budget_bytes(budget), 0);
	kt_budget_free(budget);
}

static void test_caps(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_http_config cfg;
	struct rig r;

	for (int row = 0; row < 2; row++) {
		kt_http_config_init(&cfg);
		if (row == 0)
			cfg.max_conns = 3;
		else
			cfg.max_conns_per_ip = 3;
		rig_start(&r, &cfg);
		int fds[3];
		for (int i = 0; i < 3; i++) {
			fds[i] = dial(r.port);
			puts_to(fds[i], R H "\r\n");
			kt_buf_clear(&b);
			assert_true(read_until(fds[i], &b, "true}"));
		}
		KT_AUTOFD int fd = dial(r.port);
		kt_buf_clear(&b);
		read_all(fd, &b);
		assert_int_equal(status_in(&b), 503);
		assert_non_null(strstr(b.ptr, "\r\nRetry-After: "));
		assert_non_null(strstr(b.ptr, "\r\nConnection: close\r\n"));
		for (int i = 0; i < 3; i++)
			assert_int_equal(close(fds[i]), 0);
		rig_stop(&r);
	}
}

static void drained(void *arg) { }

static void test_listen(void **state)
{
	struct kt_http_config cfg;
	struct kt_err err = KT_ERR_INIT;
	struct kt_http_server *s, *other;
	struct kt_loop *loop;
	struct kt_http_sockets sockets, none = { .n = 0 };
	int port;

	kt_http_config_init(&cfg);
	assert_int_equal(kt_loop_new(&loop, &err), KT_OK);
	assert_int_equal(kt_http_server_new(loop, &cfg, on_request, NULL, &s, &err), KT_OK);
	assert_int_equal(kt_http_server_new(loop, &cfg, on_request, NULL, &other, &err), KT_OK);
	port = serve_at(s, "localhost", 0);
	assert_true(port > 0);
	assert_int_equal(kt_http_bind("localhost", port, &none, &err), KT_ECONFLICT);
	assert_int_equal(kt_http_bind("127.0.0.1", port, &none, &err), KT_ECONFLICT);
	assert_int_equal(kt_http_bind("example.org", 0, &none, &err), KT_EINVAL);
	assert_int_equal(kt_http_bind("127.0.0.1", 70000, &none, &err), KT_EINVAL);
	assert_int_equal(none.n, 0);
	int fd = dial(port);
	assert_int_equal(close(fd), 0);
	/* A server that is drained takes none. */
	kt_http_drain(other, drained, NULL);
	assert_int_equal(kt_http_bind("localhost", 0, &sockets, &err), KT_OK);
	assert_int_equal(kt_http_serve(other, &sockets, 0, &err), KT_EUNAVAIL);
	assert_int_equal(sockets.n, 0);
	kt_http_server_free(other);
	kt_http_server_free(s);
	kt_loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows), cmocka_unit_test(test_answer),
		cmocka_unit_test(test_absolute_host), cmocka_unit_test(test_pipelining),
		cmocka_unit_test(test_bytewise), cmocka_unit_test(test_expect),
		cmocka_unit_test(test_lingering), cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_caps), cmocka_unit_test(test_listen),
		cmocka_unit_test(test_strangers),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(pattern);
	free(big);
	return failed;
}
