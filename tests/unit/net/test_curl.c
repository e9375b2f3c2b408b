/* SPDX-License-Identifier: MIT */
/* The client against a server thread on 127.0.0.1 that sends what the test tells it to. */
#include "net/curl.h"

#include "base/str.h"
#include "tests/unit/patience.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* One answer: pieces with pauses between; then the connection is closed. */
struct server {
	int fd;
	int port;
	pthread_t thread;
	const char *pieces[8];
	int pause_ms;
	bool hang; /* after the last piece, until the client closes */
	const char *until; /* the request is whole when this was read, or NULL */
	char got[65536]; /* the request, once joined */
	atomic_size_t len; /* of it so far */
};

static void *serve(void *arg)
{
	struct server *s = arg;
	int fd = accept(s->fd, NULL, NULL);
	if (fd < 0)
		return NULL;
	size_t len = 0;
	size_t want = 0;
	while (len < sizeof(s->got) - 1 && (want == 0 || len < want)) {
		ssize_t n = recv(fd, s->got + len, sizeof(s->got) - 1 - len, 0);
		if (n <= 0)
			break;
		len += (size_t)n;
		s->got[len] = '\0';
		s->len = len;
		if (s->until != NULL && strstr(s->got, s->until) != NULL)
			break;
		const char *end = s->until == NULL ? strstr(s->got, "\r\n\r\n") : NULL;
		if (end == NULL)
			continue;
		int64_t body = 0;
		const char *cl = strstr(s->got, "Content-Length: ");
		if (cl != NULL)
			(void)!kt_str_int64n(cl + 16, strcspn(cl + 16, "\r"), 0, 60000, &body);
		want = (size_t)(end - s->got) + 4 + (size_t)body;
	}
	for (size_t i = 0; i < KT_ARRAY_LEN(s->pieces) && s->pieces[i] != NULL; i++) {
		if (i > 0 && s->pause_ms > 0)
			(void)usleep((useconds_t)s->pause_ms * 1000);
		if (send(fd, s->pieces[i], strlen(s->pieces[i]), MSG_NOSIGNAL) < 0)
			break;
	}
	char c;
	if (s->hang)
		while (recv(fd, &c, 1, 0) > 0)
			;
	close(fd);
	return NULL;
}

static void start(struct server *s, char url[64])
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(s->fd >= 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s->fd, 4), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
	s->port = ntohs(a.sin_port);
	(void)snprintf(url, 64, "http://127.0.0.1:%d/v1/x?y=1", s->port);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop(struct server *s)
{
	/* A client that gave up before it had connected is not waited for. */
	(void)shutdown(s->fd, SHUT_RDWR);
	assert_int_equal(pthread_join(s->thread, NULL), 0);
	close(s->fd);
}

static void post_and_reply(void **state)
{
	(void)state;
	struct server s = { .pieces = { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\n"
					"content-type:  application/json \r\nREQUEST-ID: req_1\r\n"
					"Retry-After: 7\r\nContent-Length: 11\r\n\r\n{\"a\":", "[1,2]}" },
		.pause_ms = 20 };
	char url[64];
	start(&s, url);
	static const char *const headers[] = { "Authorization: Bearer kt_test_x", "X-A: b", NULL };
	struct kt_http_call call = { .method = "POST", .url = url, .headers = headers,
		.body = "{\"text\":1}", .body_len = 10 };
	struct kt_http_reply r;
	struct kt_err err = KT_ERR_INIT;
	/* A proxy of the environment must not see calls to this machine. */
	assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
	assert_int_equal(kt_http_do(&call, &r, &err), KT_OK);
	assert_int_equal(unsetenv("http_proxy"), 0);
	stop(&s);
	assert_int_equal(r.status, 202);
	assert_string_equal(r.content_type, "application/json");
	assert_string_equal(r.request_id, "req_1");
	assert_int_equal(r.retry_after_s, 7);
	assert_string_equal(r.body.ptr, "{\"a\":[1,2]}");
	kt_http_reply_release(&r);
	assert_true(kt_str_starts(s.got, "POST /v1/x?y=1 HTTP/1.1\r\n"));
	assert_non_null(strstr(s.got, "\r\nAuthorization: Bearer kt_test_x\r\n"));
	assert_non_null(strstr(s.got, "\r\nX-A: b\r\n"));
	assert_non_null(strstr(s.got, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(s.got, "\r\nUser-Agent: karta/"));
	assert_null(strstr(s.got, "Expect"));
	assert_true(kt_str_ends(s.got, "\r\n\r\n{\"text\":1}"));
}

static void methods(void **state)
{
	(void)state;
	static const char *const names[] = { "GET", "DELETE", "HEAD", "PATCH", "POST", "PUT" };
	for (size_t i = 0; i < KT_ARRAY_LEN(names); i++) {
		struct server s = { .pieces = { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" } };
		char url[64];
		char want[32];
		start(&s, url);
		struct kt_http_call call = { .method = names[i], .url = url };
		struct kt_http_reply r;
		struct kt_err err = KT_ERR_INIT;
		assert_int_equal(kt_http_do(&call, &r, &err), KT_OK);
		stop(&s);
		assert_int_equal(r.status, 200);
		assert_int_equal(r.retry_after_s, -1);
		assert_string_equal(r.request_id, "");
		kt_http_reply_release(&r);
		(void)snprintf(want, sizeof(want), "%s /v1/x?y=1 HTTP/1.1\r\n", names[i]);
		assert_true(kt_str_starts(s.got, want));
	}
}

static void redirects_are_not_followed(void **state)
{
	(void)state;
	struct server s = { .pieces = { "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
					"Content-Length: 3\r\n\r\nsee" } };
	char url[64];
	start(&s, url);
	struct kt_http_call call = { .method = "GET", .url = url };
	struct kt_http_reply r;
	struct kt_err err = KT_ERR_INIT;
	assert_int_equal(kt_http_do(&call, &r, &err), KT_OK);
	stop(&s);
	assert_int_equal(r.status, 302);
	assert_string_equal(r.body.ptr, "see");
	kt_http_reply_release(&r);
}

struct sink {
	struct kt_buf b;
	size_t stop_at;
	int polls;
	int stop_poll;
	int fd; /* on_poll gives up when it gets a byte, which it sends itself later */
	int peer;
	int64_t sent_us;
};

static bool on_data(void *arg, const char *data, size_t len)
{
	struct sink *k = arg;
	kt_buf_add(&k->b, data, len);
	return k->stop_at == 0 || k->b.len < k->stop_at;
}

static bool on_poll(void *arg)
{
	struct sink *k = arg;
	char c;
	if (k->fd > 0 && recv(k->fd, &c, 1, MSG_DONTWAIT) == 1) {
		k->sent_us = kt_mono_us() - k->sent_us;
		return false;
	}
	if (++k->polls == 3 && k->fd > 0) {
		assert_int_equal(send(k->peer, "q", 1, 0), 1);
		k->sent_us = kt_mono_us();
	}
	return k->polls != k->stop_poll;
}

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n"

static void streams(void **state)
{
	(void)state;
	struct server s = { .pieces = { CHUNKED, "5\r\nid: 1\r\n", "2\r\n\n\n\r\n", "0\r\n\r\n" },
		.pause_ms = 30 };
	char url[64];
	struct sink k = { .stop_at = 0 };
	struct kt_http_call call = { .method = "GET", .url = url, .on_data = on_data,
		.on_poll = on_poll, .arg = &k };
	struct kt_http_reply r;
	struct kt_err err = KT_ERR_INIT;
	kt_buf_init(&k.b, 1000);
	start(&s, url);
	assert_int_equal(kt_http_do(&call, &r, &err), KT_OK);
	stop(&s);
	assert_int_equal(r.status, 200);
	assert_int_equal(r.body.len, 0);
	assert_string_equal(k.b.ptr, "id: 1\n\n");
	kt_http_reply_release(&r);

	/* Stopped in the middle, and an error's body is kept. */
	kt_buf_clear(&k.b);
	k.stop_at = 3;
	s = (struct server){ .pieces = { CHUNKED, "5\r\nid: 1\r\n" }, .hang = true };
	start(&s, url);
	assert_int_equal(kt_http_do(&call, &r, &err), KT_ECANCEL);
	stop(&s);
	assert_string_equal(k.b.ptr, "id: 1");
	kt_buf_clear(&k.b);
	s = (struct server){ .pieces = {
				     "HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone" } };
	start(&s, url);
	assert_int_equal(kt_http_do(&call, &r, &err), KT_OK);
	stop(&s);
	assert_int_equal(r.status, 404);
	assert_string_equal(r.body.ptr, "gone");
	assert_int_equal(k.b.len, 0);
	kt_http_reply_release(&r);
	/* Cut in the middle. */
	k.stop_at = 0;
	s = (struct server){ .pieces = { CHUNKED, "5\r\nid" } };
	start(&s, url);
	assert_int_equal(kt_http_do(&call, &r, &err), KT_EUNAVAIL);
	stop(&s);
	kt_buf_release(&k.b);
}

static void given_up(void **state)
{
	(void)state;
	struct server s = { .pieces = { CHUNKED }, .hang = true };
	char url[64];
	struct sink k = { .stop_poll = 4 };
	struct kt_http_call call = { .method = "GET", .url = url, .on_data = on_data,
		.on_poll = on_poll, .arg = &k };
	struct kt_http_reply r;
	struct kt_err err = KT_ERR_INIT;
	start(&s, url);
	assert_int_equal(kt_http_do(&call, &r, &err), KT_ECANCEL);
	stop(&s);
	/* A descriptor that is readable wakes it before the 100 ms: it was the byte that caused the
	 * last question, not the passing of time. A busy machine may be late, but not each time. */
	int64_t best_us = INT64_MAX;
	for (int i = 0; i < 50 && best_us >= 95000; i++) {
		int fds[2];
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
		k = (struct sink){ .fd = fds[0], .peer = fds[1] };
		call.watch_fd = fds[0];
		s = (struct server){ .pieces = { CHUNKED }, .hang = true };
		start(&s, url);
		assert_int_equal(kt_http_do(&call, &r, &err), KT_ECANCEL);
		best_us = KT_MIN(best_us, k.sent_us);
		stop(&s);
		close(fds[0]);
		close(fds[1]);
	}
	assert_true(best_us < 95000);
}

static void failures(void **state)
{
	(void)state;
	char url[64];
	struct kt_http_reply r;
	struct kt_err err = KT_ERR_INIT;
	struct kt_http_call call = { .method = "GET", .url = url };
	/* Nobody listens: a port that was just given up. */
	struct server s = { .pieces = { "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" } };
	start(&s, url);
	assert_int_equal(kt_http_do(&call, &r, &err), KT_OK);
	kt_http_reply_release(&r);
	stop(&s);
	assert_int_equal(kt_http_do(&call, &r, &err), KT_EUNAVAIL);
	assert_true(err.hint[0] != '\0' && err.sys != 0);
	/* No such host (a name that RFC 2606 keeps free). */
	call.url = "http://nothing.invalid/";
	err = (struct kt_err)KT_ERR_INIT;
	assert_int_equal(kt_http_do(&call, &r, &err), KT_EUNAVAIL);
	assert_true(err.hint[0] != '\0');
	call.url = "ftp://127.0.0.1/";
	assert_int_equal(kt_http_do(&call, &r, &err), KT_EINVAL);
	/* A header that would be two. */
	static const char *const headers[] = { "X: a\r\nY: b", NULL };
	call.url = "http://127.0.0.1:1/";
	call.headers = headers;
	assert_int_equal(kt_http_do(&call, &r, &err), KT_EINVAL);
	call.headers = NULL;
	call.url = url;
	/* Too slow. */
	call.total_ms = 200;
	s = (struct server){ .pieces = { "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc" },
		.hang = true };
	start(&s, url);
	assert_int_equal(kt_http_do(&call, &r, &err), KT_ETIMEOUT);
	stop(&s);
	call.total_ms = 0;
	/* Too large. */
	call.max_body_bytes = 5;
	s = (struct server){ .pieces = { "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef" } };
	start(&s, url);
	assert_int_equal(kt_http_do(&call, &r, &err), KT_ELIMIT);
	stop(&s);
	call.max_body_bytes = 6;
	s = (struct server){ .pieces = { "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef" } };
	start(&s, url);
	assert_int_equal(kt_http_do(&call, &r, &err), KT_OK);
	assert_string_equal(r.body.ptr, "abcdef");
	kt_http_reply_release(&r);
	stop(&s);
	/* Closed without a word. */
	s = (struct server){ .pieces = { NULL } };
	start(&s, url);
	assert_int_equal(kt_http_do(&call, &r, &err), KT_EUNAVAIL);
	stop(&s);
	/* Something that is no HTTP/1. */
	s = (struct server){ .pieces = { "SSH-2.0-x\r\n" } };
	start(&s, url);
	assert_int_not_equal(kt_http_do(&call, &r, &err), KT_OK);
	stop(&s);
}

/* What a server of this machine says is read as strictly as what a client says to a server. */
static void strict(void **state)
{
	(void)state;
#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define CHUNKS OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"
	static const struct {
		const char *pieces[3];
		enum kt_code code;
		const char *body;
	} rows[] = {
		{ { "HTTP/1.1 200 OK\n", "Content-Length: 2\n", "\nhi" }, KT_OK, "hi" },
		{ { "HTTP/1.0 200 OK\r\n\r\n", "to the ", "end" }, KT_OK, "to the end" },
		{ { OK_HEAD "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi" }, KT_OK, "hi" },
		{ { CHUNKS, "2;x=y\r\nhi\r\n0\r\nTrailer: x\r\n", "\r\n" }, KT_OK, "hi" },
		{ { CHUNKS "0", "2\r", "\nhi\r\n000\r\n\r\n" }, KT_OK, "hi" },
		{ { OK_HEAD "Content-Length: 2\r\nContent-Length: 3\r\n\r\nhi!" }, KT_EPROTO, NULL },
		{ { OK_HEAD "Content-Length: -2\r\n\r\nhi" }, KT_EPROTO, NULL },
		{ { OK_HEAD "Content-Length: 2, 2\r\n\r\nhi" }, KT_EPROTO, NULL },
		{ { OK_HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n" }, KT_EPROTO, NULL },
		{ { CHUNKS "x\r\nhi\r\n" }, KT_EPROTO, NULL },
		{ { CHUNKS "-2\r\nhi\r\n" }, KT_EPROTO, NULL },
		{ { CHUNKS "ffffffffffffffff\r\nhi\r\n" }, KT_EPROTO, NULL },
		{ { CHUNKS "2\r\nhi!\r\n0\r\n\r\n" }, KT_EPROTO, NULL },
		{ { CHUNKS "2\r\nhi\r\n" }, KT_EUNAVAIL, NULL },
		{ { OK_HEAD "Content-Length: 3\r\n\r\nhi" }, KT_EUNAVAIL, NULL },
		{ { OK_HEAD }, KT_EUNAVAIL, NULL },
		{ { "HTTP/2 200\r\n\r\n" }, KT_EPROTO, NULL },
		{ { "HTTP/1.1 20 OK\r\n\r\n" }, KT_EPROTO, NULL },
		{ { "HTTP/1.1 2000 OK\r\n\r\n" }, KT_EPROTO, NULL },
	};
	for (size_t i = 0; i < KT_ARRAY_LEN(rows); i++) {
		struct server s = { .pause_ms = 5 };
		char url[64];
		memcpy(s.pieces, rows[i].pieces, sizeof(rows[i].pieces));
		start(&s, url);
		struct kt_http_call call = { .method = "GET", .url = url };
		struct kt_http_reply r;
		struct kt_err err = KT_ERR_INIT;
		enum kt_code rc = kt_http_do(&call, &r, &err);
		stop(&s);
		if (rc != rows[i].code)
			print_error("row %zu: %s\n", i, err.msg);
		assert_int_equal(rc, rows[i].code);
		if (rc != KT_OK)
			continue;
		assert_string_equal(r.body.ptr, rows[i].body);
		kt_http_reply_release(&r);
	}
	/* A head without an end. */
	static char line[1024];
	struct server s = { .pieces = { OK_HEAD "X: ", NULL } };
	char url[64];
	memset(line, 'x', sizeof(line) - 1);
	KT_AUTO_BUF struct kt_buf head = KT_BUF_INIT(1 << 20);
	for (int i = 0; i < 100; i++)
		kt_buf_adds(&head, line);
	s.pieces[1] = head.ptr;
	start(&s, url);
	struct kt_http_call call = { .method = "GET", .url = url };
	struct kt_http_reply r;
	assert_int_equal(kt_http_do(&call, &r, NULL), KT_EPROTO);
	stop(&s);
}

/* "localhost" is both addresses of this machine; the server here has one of them. */
static void by_name(void **state)
{
	(void)state;
	struct server s = { .pieces = { "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi" } };
	char url[64];
	char want[64];
	start(&s, url);
	(void)snprintf(url, sizeof(url), "http://shop.localhost:%d/", s.port);
	(void)snprintf(want, sizeof(want), "\r\nHost: shop.localhost:%d\r\n", s.port);
	struct kt_http_call call = { .method = "GET", .url = url };
	struct kt_http_reply r;
	struct kt_err err = KT_ERR_INIT;
	assert_int_equal(kt_http_do(&call, &r, &err), KT_OK);
	stop(&s);
	assert_non_null(strstr(s.got, want));
	kt_http_reply_release(&r);
}

/* --- bodies from a descriptor ------------------------------------------------------------------ */

struct feed {
	int fd;
	struct server *server;
};

/* Writes two pieces into a pipe, the second when the server has the first, then ends it. */
static void *feed(void *arg)
{
	struct feed *f = arg;
	assert_int_equal(write(f->fd, "first ", 6), 6);
	/* Of what is there already: the rest may be coming in. */
	EVENTUALLY(memmem(f->server->got, f->server->len, "first ", 6));
	size_t len = f->server->len;
	assert_int_equal(write(f->fd, "second", 6), 6);
	EVENTUALLY(f->server->len > len);
	close(f->fd);
	return NULL;
}

static void body_from_pipe(void **state)
{
	(void)state;
	struct server s = { .pieces = { "HTTP/1.1 201 Created\r\nETag: \"rel_1\"\r\n"
					"Content-Length: 2\r\n\r\n{}" },
		.until = "\r\n0\r\n\r\n" };
	char url[64];
	int fds[2];
	pthread_t thread;
	struct kt_http_sent sent = { .bytes = 99 };
	static const char *const headers[] = { "Content-Type: application/x", NULL };
	struct kt_http_reply r;
	struct kt_err err = KT_ERR_INIT;
	assert_int_equal(pipe(fds), 0);
	struct kt_http_call call = { .method = "POST", .url = url, .headers = headers,
		.body_fd = fds[0], .sent = &sent };
	start(&s, url);
	struct feed f = { fds[1], &s };
	assert_int_equal(pthread_create(&thread, NULL, feed, &f), 0);
	assert_int_equal(kt_http_do(&call, &r, &err), KT_OK);
	assert_int_equal(pthread_join(thread, NULL), 0);
	stop(&s);
	close(fds[0]);
	assert_int_equal(r.status, 201);
	assert_string_equal(r.etag, "\"rel_1\"");
	kt_http_reply_release(&r);
	assert_true(kt_str_starts(s.got, "POST /v1/x?y=1 HTTP/1.1\r\n"));
	assert_non_null(strstr(s.got, "\r\nTransfer-Encoding: chunked\r\n"));
	assert_non_null(strstr(s.got, "6\r\nfirst \r\n6\r\nsecond\r\n0\r\n\r\n"));
	assert_null(strstr(s.got, "Expect"));
	assert_null(strstr(s.got, "Accept-Encoding"));
	assert_int_equal(sent.bytes, 12);
	assert_true(sent.all);
}

static void body_from_file(void **state)
{
	(void)state;
	struct server s = { .pieces = { "HTTP/1.1 204 No Content\r\n\r\n" } };
	char url[64];
	char path[] = "/tmp/karta-curl.XXXXXX";
	int fd = mkstemp(path);
	struct kt_http_sent sent;
	struct kt_http_reply r;
	struct kt_err err = KT_ERR_INIT;
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(write(fd, "not this: content", 17), 17);
	assert_int_equal(lseek(fd, 10, SEEK_SET), 10);
	struct kt_http_call call = { .method = "PUT", .url = url, .body_fd = fd, .sent = &sent };
	start(&s, url);
	assert_int_equal(kt_http_do(&call, &r, &err), KT_OK);
	stop(&s);
	close(fd);
	kt_http_reply_release(&r);
	assert_non_null(strstr(s.got, "\r\nContent-Length: 7\r\n"));
	assert_null(strstr(s.got, "chunked"));
	assert_true(kt_str_ends(s.got, "\r\n\r\ncontent"));
	assert_int_equal(sent.bytes, 7);
	assert_true(sent.all);
}

/* The server refuses before it has read everything: its answer counts, the rest is not sent. */
static void refused_early(void **state)
{
	(void)state;
	struct server s = { .pieces = { "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n"
					"Connection: close\r\n\r\n{}" },
		.until = "first", .hang = true };
	char url[64];
	int fds[2];
	struct kt_http_sent sent;
	struct kt_http_reply r;
	struct kt_err err = KT_ERR_INIT;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "first", 5), 5);
	struct kt_http_call call = { .method = "POST", .url = url, .body_fd = fds[0],
		.sent = &sent };
	start(&s, url);
	assert_int_equal(kt_http_do(&call, &r, &err), KT_OK);
	stop(&s);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(r.status, 413);
	assert_false(sent.all);
	kt_http_reply_release(&r);
}

/* --- connections ------------------------------------------------------------------------------- */

struct keeper {
	int fd;
	int port;
	atomic_int connections, requests, closed;
	atomic_int open; /* the connection that is served */
	int each; /* requests on one connection, then it is closed */
};

static void *keep(void *arg)
{
	struct keeper *k = arg;
	static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	for (;;) {
		int fd = accept(k->fd, NULL, NULL);
		char buf[4096];
		if (fd < 0)
			return NULL;
		k->open = fd;
		k->connections++;
		for (int i = 0; i < k->each; i++) {
			if (recv(fd, buf, sizeof(buf), 0) <= 0)
				break;
			k->requests++;
			assert_true(send(fd, reply, sizeof(reply) - 1, MSG_NOSIGNAL) > 0);
		}
		close(fd);
		k->closed++;
	}
}

static bool call_inside(void *arg, const char *data, size_t len)
{
	struct kt_http_call *inner = arg;
	struct kt_http_reply r;
	assert_int_equal(kt_http_do(inner, &r, NULL), KT_OK);
	assert_string_equal(r.body.ptr, "ok");
	kt_http_reply_release(&r);
	return true;
}

static void connections_are_kept(void **state)
{
	(void)state;
	struct keeper k = { .each = 2 };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	pthread_t thread;
	char url[64];
	struct kt_http_reply r;
	struct kt_err err = KT_ERR_INIT;
	k.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(k.fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(k.fd, 4), 0);
	assert_int_equal(getsockname(k.fd, (struct sockaddr *)&a, &len), 0);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/", ntohs(a.sin_port));
	assert_int_equal(pthread_create(&thread, NULL, keep, &k), 0);
	struct kt_http_call call = { .method = "GET", .url = url };
	/* Two on the first connection; it is noticed that it is dead, the third has a new one. */
	for (int i = 0; i < 4; i++) {
		assert_int_equal(kt_http_do(&call, &r, &err), KT_OK);
		kt_http_reply_release(&r);
		EVENTUALLY(k.closed == (i + 1) / 2);
	}
	assert_int_equal(k.requests, 4);
	assert_int_equal(k.connections, 2);
	/* A call inside another's function has its own connection. */
	struct server s = { .pieces = { CHUNKED, "2\r\nhi\r\n", "0\r\n\r\n" }, .pause_ms = 30 };
	char outer_url[64];
	start(&s, outer_url);
	struct kt_http_call outer = { .method = "GET", .url = outer_url, .on_data = call_inside,
		.arg = &call };
	assert_int_equal(kt_http_do(&outer, &r, &err), KT_OK);
	kt_http_reply_release(&r);
	stop(&s);
	assert_int_equal(k.requests, 5);
	/* The last connection stays open on the client's side. */
	(void)shutdown(k.fd, SHUT_RDWR);
	(void)shutdown(k.open, SHUT_RDWR);
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(k.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(post_and_reply),
		cmocka_unit_test(methods),
		cmocka_unit_test(redirects_are_not_followed),
		cmocka_unit_test(streams),
		cmocka_unit_test(given_up),
		cmocka_unit_test(failures),
		cmocka_unit_test(strict),
		cmocka_unit_test(by_name),
		cmocka_unit_test(body_from_pipe),
		cmocka_unit_test(body_from_file),
		cmocka_unit_test(refused_early),
		cmocka_unit_test(connections_are_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
