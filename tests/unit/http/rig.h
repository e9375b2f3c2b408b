/* SPDX-License-Identifier: MIT */
/*
 * A server in a thread with handlers of known behavior, and a blocking client for it. Only for
 * the tests of this folder.
 */
#ifndef TEST_HTTP_RIG_H
#define TEST_HTTP_RIG_H

#include "http/http.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"

#include "tests/unit/patience.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATTERN_BYTES 100003 /* a prime, so that chunks do not line up with it */
#define BIG_BYTES (8 * 1024 * 1024)

static char *pattern; /* PATTERN_BYTES + one chunk, so that a peek never wraps */
static char *big;

struct rig {
	struct kt_loop *loop;
	struct kt_http_server *server;
	pthread_t thread;
	int port;
};

/* What the server's thread saw. n_pending: requests that wait for an answer. */
static atomic_int n_closed, n_gone, n_streams_open, n_drained, n_pending;

struct source {
	struct kt_exchange *ex;
	size_t at, end; /* bytes sent, bytes there are */
	size_t event; /* a boundary at each multiple; 0 = none but the end */
};

static size_t source_peek(void *arg, const char **out, size_t max)
{
	struct source *s = arg;
	size_t n = KT_MIN(max, s->end - s->at);

	if (s->event)
		n = KT_MIN(n, s->event - s->at % s->event);
	*out = pattern + s->at % PATTERN_BYTES;
	return n;
}

static void source_sent(void *arg, size_t n)
{
	struct source *s = arg;

	s->at += n;
}

static void source_closed(void *arg)
{
	free(arg);
	n_closed++;
	n_streams_open--;
}

static bool source_boundary(void *arg)
{
	const struct source *s = arg;

	return s->event ? s->at % s->event == 0 : s->at == s->end;
}

static const struct kt_stream_ops source_ops = { source_peek, source_sent, source_closed,
	source_boundary };

static void begin_source(
	struct kt_exchange *ex, int status, size_t bytes, size_t event, bool sse, bool end)
{
	struct source *s = kt_calloc(1, sizeof(*s));

	s->ex = ex;
	s->end = bytes;
	s->event = event;
	n_streams_open++;
	kt_stream_begin(ex, status, "application/octet-stream", sse, &source_ops, s);
	if (end)
		kt_stream_end(ex);
}

struct later {
	struct kt_exchange *ex;
	struct kt_timer *timer;
};
static struct later *held; /* begins to wait when the drain begins */

static void answer_later(void *arg)
{
	struct later *l = arg;

	n_pending--;
	kt_respond(l->ex, 200, "text/plain", "later", 5);
	kt_timer_free(l->timer);
	free(l);
}

static void client_gone(void *arg)
{
	n_gone++;
	n_pending--;
}

static void rig_stop_loop(void *arg)
{
	struct rig *r = arg;

	n_drained++;
	kt_loop_stop(r->loop);
}

/* Of the last upload: where it was; and which file is sent. */
static char spool_seen[256], spool_file[256];

/* The body as it is in the file, with its path in a header. */
static void answer_upload(struct kt_exchange *ex, const struct kt_request *rq, bool keep)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 << 20);
	struct kt_err err = KT_ERR_INIT;
	struct stat st;

	if (!rq->body_path) {
		kt_exchange_header(ex, "X-Spooled", "no");
		kt_respond(ex, 200, "text/plain", rq->body, rq->body_len);
		return;
	}
	assert_string_equal(rq->body, "");
	assert_int_equal(stat(rq->body_path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, rq->body_len);
	assert_int_equal(kt_fs_read(rq->body_path, &b, &err), KT_OK);
	kt_exchange_header(ex, "X-Spooled", rq->body_path);
	if (keep) {
		KT_AUTOFREE char *path = kt_exchange_take_body(ex);
		assert_non_null(path);
		assert_null(kt_exchange_take_body(ex));
		assert_null(rq->body_path);
		(void)kt_str_copy(spool_seen, sizeof(spool_seen), path);
	} else {
		(void)kt_str_copy(spool_seen, sizeof(spool_seen), rq->body_path);
	}
	kt_respond(ex, 200, "application/octet-stream", b.ptr, b.len);
}

/* A further listener; returns its port. */
static int serve_at(struct kt_http_server *s, const char *host, int tag)
{
	struct kt_http_sockets sockets;

	assert_int_equal(kt_http_bind(host, 0, &sockets, NULL), KT_OK);
	assert_int_equal(kt_http_serve(s, &sockets, tag, NULL), KT_OK);
	return sockets.port;
}

static void on_request(void *arg, struct kt_exchange *ex, const struct kt_request *rq)
{
	struct rig *r = arg;
	char n[32];
	int64_t bytes = 0;

	n[0] = '\0';
	if (kt_request_query(rq, "n", n, sizeof(n)))
		assert_true(kt_str_int64(n, 0, INT64_MAX, &bytes));
	if (strcmp(rq->path, "/echo") == 0) {
		assert_int_equal(rq->body[rq->body_len], '\0');
		kt_respond(ex, 202, "text/plain", rq->body, rq->body_len);
	} else if (strcmp(rq->path, "/host") == 0) {
		kt_respond(ex, 200, "text/plain", rq->host, strlen(rq->host));
	} else if (strcmp(rq->path, "/later") == 0 || strcmp(rq->path, "/held") == 0) {
		struct later *l = kt_calloc(1, sizeof(*l));
		l->ex = ex;
		l->timer = kt_timer_new(r->loop, answer_later, l);
		n_pending++;
		if (strcmp(rq->path, "/held") == 0)
			held = l;
		else
			kt_timer_start(l->timer, 50, 0);
	} else if (strcmp(rq->path, "/never") == 0) {
		kt_exchange_on_close(ex, client_gone, NULL);
		n_pending++;
	} else if (strcmp(rq->path, "/bytes") == 0) {
		begin_source(ex, 200, (size_t)bytes, 0, false, true);
	} else if (strcmp(rq->path, "/events") == 0) {
		begin_source(ex, 200, 0, 0, true, false);
	} else if (strcmp(rq->path, "/flood") == 0) {
		begin_source(ex, 200, SIZE_MAX, 70001, true, false);
	} else if (strcmp(rq->path, "/status") == 0 || strcmp(rq->path, "/status-events") == 0) {
		bool sse = strcmp(rq->path, "/status-events") == 0;
		kt_exchange_header(ex, "X-Good", "yes");
		begin_source(ex, (int)bytes, sse ? 0 : 1000, 0, sse, true);
	} else if (strcmp(rq->path, "/tag") == 0) {
		(void)snprintf(n, sizeof(n), "tag %d", rq->tag);
		kt_respond(ex, 200, "text/plain", n, strlen(n));
	} else if (strcmp(rq->path, "/serve") == 0) {
		(void)snprintf(n, sizeof(n), "%d", serve_at(r->server, "localhost", (int)bytes));
		kt_respond(ex, 200, "text/plain", n, strlen(n));
	} else if (strcmp(rq->path, "/unserve") == 0) {
		kt_http_unserve(r->server, (int)bytes);
		kt_respond(ex, 200, "text/plain", "unserved", 8);
	} else if (strcmp(rq->path, "/big") == 0) {
		kt_respond_static(ex, 200, "text/plain", big, BIG_BYTES);
	} else if (strcmp(rq->path, "/bigcopy") == 0) {
		kt_respond(ex, 200, "text/plain", big, BIG_BYTES);
	} else if (strcmp(rq->path, "/empty") == 0) {
		kt_respond(ex, 204, NULL, NULL, 0);
	} else if (strcmp(rq->path, "/header") == 0) {
		kt_exchange_header(ex, "X-Good", "yes");
		kt_exchange_header(ex, "X-Bad", "a\r\nX-Split: yes");
		kt_exchange_header(ex, "X-Bad\r\nX-Split", "yes");
		kt_respond(ex, 200, "text/plain", "h", 1);
	} else if (strcmp(rq->path, "/upload") == 0 || strcmp(rq->path, "/keep") == 0) {
		answer_upload(ex, rq, strcmp(rq->path, "/keep") == 0);
	} else if (strcmp(rq->path, "/upload-never") == 0) {
		(void)kt_str_copy(spool_seen, sizeof(spool_seen), rq->body_path);
		kt_exchange_on_close(ex, client_gone, NULL);
		n_pending++;
	} else if (strcmp(rq->path, "/upload-events") == 0) {
		(void)kt_str_copy(spool_seen, sizeof(spool_seen), rq->body_path);
		begin_source(ex, 200, 0, 0, true, false);
	} else if (strcmp(rq->path, "/file") == 0) {
		kt_exchange_header(ex, "Content-Disposition", "attachment");
		kt_respond_file(ex, 201, "application/gzip", spool_file, n[0] == '1');
	} else if (strcmp(rq->path, "/drain") == 0) {
		kt_respond(ex, 200, "text/plain", "drain", 5);
		kt_http_drain(r->server, rig_stop_loop, r);
		if (held)
			kt_timer_start(held->timer, 50, 0);
		held = NULL;
	} else if (strcmp(rq->path, "/quit") == 0) {
		kt_respond(ex, 200, "text/plain", "quit", 4);
		kt_loop_stop(r->loop);
	} else {
		kt_respond(ex, 200, "application/json", "{\"ok\":true}", 11);
	}
}

static void *rig_thread(void *arg)
{
	struct rig *r = arg;

	kt_loop_run(r->loop);
	return NULL;
}

static void rig_start(struct rig *r, const struct kt_http_config *cfg)
{
	struct kt_http_config dflt;
	struct kt_err err = KT_ERR_INIT;

	if (!pattern) {
		pattern = kt_malloc(PATTERN_BYTES + 65536);
		for (size_t i = 0; i < PATTERN_BYTES + 65536; i++)
			pattern[i] = (char)('a' + (i % PATTERN_BYTES) * 7 % 26);
		big = kt_malloc(BIG_BYTES);
		for (size_t i = 0; i < BIG_BYTES; i++)
			big[i] = (char)('a' + i % 23);
	}
	kt_http_config_init(&dflt);
	*r = (struct rig){ 0 };
	n_closed = n_gone = n_streams_open = n_drained = n_pending = 0;
	held = NULL;
	assert_int_equal(kt_loop_new(&r->loop, &err), KT_OK);
	assert_int_equal(kt_http_server_new(r->loop, cfg ? cfg : &dflt, on_request, r, &r->server,
		&err), KT_OK);
	r->port = serve_at(r->server, "127.0.0.1", 0);
	assert_int_equal(pthread_create(&r->thread, NULL, rig_thread, r), 0);
}

static int dial(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval tv = { .tv_sec = slowed_ms(PATIENCE_MS) / 1000 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* Send all; a server that refuses may have closed already, which is fine. */
static void put(int fd, const char *s, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, s, len, MSG_NOSIGNAL);
		if (n < 0)
			return;
		s += n;
		len -= (size_t)n;
	}
}

static void puts_to(int fd, const char *s)
{
	put(fd, s, strlen(s));
}

/* Read until b holds text, or the end; false at the end. */
static bool read_until(int fd, struct kt_buf *b, const char *text)
{
	char buf[65536];

	while (!strstr(b->ptr, text)) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		if (n <= 0)
			return false;
		kt_buf_add(b, buf, (size_t)n);
	}
	return true;
}

/* Read until the server closes; asserts that it is a clean close. */
static void read_all(int fd, struct kt_buf *b)
{
	char buf[65536];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		kt_buf_add(b, buf, (size_t)n);
	assert_int_equal(n, 0);
}

static int status_in(const struct kt_buf *b)
{
	int64_t v = 0;

	if (b->len < 12 || memcmp(b->ptr, "HTTP/1.1 ", 9) != 0 ||
		!kt_str_int64n(b->ptr + 9, 3, 100, 599, &v))
		return 0;
	return (int)v;
}

/* One request on a connection of its own; the first status, 0 when none came. */
static int ask(int port, const char *request, size_t len, struct kt_buf *b)
{
	KT_AUTOFD int fd = dial(port);

	kt_buf_clear(b);
	put(fd, request, len);
	(void)read_until(fd, b, "\r\n\r\n");
	return status_in(b);
}

static void rig_stop(struct rig *r)
{
	if (n_drained == 0) { /* a drain ends the loop by itself */
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
		const char *quit = "GET /quit HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
		/* 503: it has not noticed yet who has left. */
		EVENTUALLY(ask(r->port, quit, strlen(quit), &b) == 200);
	}
	assert_int_equal(pthread_join(r->thread, NULL), 0);
	kt_http_server_free(r->server);
	kt_loop_free(r->loop);
	assert_int_equal(n_streams_open, 0);
}

#define wait_for(v, want) EVENTUALLY(*(v) == (int)(want))

#endif
