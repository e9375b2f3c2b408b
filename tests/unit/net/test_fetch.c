/* SPDX-License-Identifier: MIT */
/*
 * Requests on the loop, against a server of threads on 127.0.0.1 that answers as its paths say:
 * slow, endless, cut, elsewhere; and giving up at every moment of a request's way.
 */
#include "net/fetch.h"

#include "base/fs.h"
#include "base/str.h"
#include "net/curl_private.h"
#include "server.h"

#include <dlfcn.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SLOW_NAME "slow.example"
#define TWO_NAME "two.example" /* leads to 127.0.0.2, then to 127.0.0.1 */

/* --- the client -------------------------------------------------------------------------------- */

static struct kt_loop *loop;
static struct kt_reach *reach;
static struct kt_http_fetcher *fetcher;

enum moment { NEVER, IN_MAY, IN_HEAD, IN_DATA };

struct got {
	struct kt_http_fetch *f;
	enum moment cancel_in, fail_in, pause_in;
	struct got *cancel_other; /* in its end */
	int *left; /* the loop stops at 0 */
	bool starting;
	int heads, status, ended;
	struct kt_buf body;
	size_t bytes; /* of a body that is not kept */
	bool drop_body;
	char one[100], hops[500];
	enum kt_code rc;
	struct kt_err err;
};

static void gone(struct got *g)
{
	g->f = NULL;
	if (g->left && --*g->left == 0)
		kt_loop_stop(loop);
}

static enum kt_code at_moment(struct got *g, enum moment now, struct kt_err *err)
{
	assert_false(g->starting);
	assert_int_equal(g->ended, 0);
	if (g->pause_in == now)
		kt_http_fetch_pause(g->f, true);
	if (g->cancel_in == now) {
		kt_http_fetch_cancel(g->f);
		gone(g);
	}
	return g->fail_in == now ? kt_fail(err, KT_ECONFLICT, 0, "as told") : KT_OK;
}

static enum kt_code on_may(
	void *arg, const struct kt_url *to, const struct kt_url *from, struct kt_err *err)
{
	struct got *g = arg;
	size_t len = strlen(g->hops);

	snprintf(g->hops + len, sizeof(g->hops) - len, "%s>%s%s ", from ? from->path : "",
		to->host, to->path);
	return at_moment(g, IN_MAY, err);
}

static enum kt_code on_head(void *arg, int status, struct kt_err *err)
{
	struct got *g = arg;
	const char *one = kt_http_fetch_header(g->f, "x-one");

	g->heads++;
	g->status = status;
	kt_str_copy(g->one, sizeof(g->one), one ? one : "");
	assert_null(kt_http_fetch_header(g->f, "X-On"));
	assert_null(kt_http_fetch_header(g->f, "HTTP/1.1 200 OK"));
	assert_string_equal(kt_http_fetch_url(g->f)->host, "127.0.0.1");
	return at_moment(g, IN_HEAD, err);
}

static enum kt_code on_data(void *arg, const char *data, size_t len, struct kt_err *err)
{
	struct got *g = arg;

	assert_int_equal(g->heads, 1);
	assert_true(len > 0 && len <= 16384);
	if (!g->drop_body)
		kt_buf_add(&g->body, data, len);
	for (size_t i = 0; i < len && g->drop_body; i += 97)
		assert_int_equal(data[i], 'a' + (g->bytes + i) / 7 % 26);
	g->bytes += len;
	return at_moment(g, IN_DATA, err);
}

static void on_ended(void *arg, enum kt_code rc, const struct kt_err *err)
{
	struct got *g = arg;

	assert_false(g->starting);
	assert_int_equal(g->ended++, 0);
	g->rc = rc;
	g->err = *err;
	assert_int_equal(rc, err->code);
	if (g->cancel_other) {
		kt_http_fetch_cancel(g->cancel_other->f);
		gone(g->cancel_other);
	}
	gone(g);
}

static const struct kt_http_fetch_ops ops = { on_may, on_head, on_data, on_ended };

static char *url_of(const char *path)
{
	return kt_asprintf("http://127.0.0.1:%d%s", server.port, path);
}

static void begin_at(struct got *g, const char *url, struct kt_http_fetch_spec spec)
{
	if (!spec.method)
		spec.method = "GET";
	spec.url = url;
	kt_buf_init(&g->body, 1024 * 1024);
	g->starting = true;
	g->f = kt_http_fetch_start(fetcher, &spec, &ops, g);
	g->starting = false;
}

static void begin(struct got *g, const char *path, struct kt_http_fetch_spec spec)
{
	KT_AUTOFREE char *url = url_of(path);

	begin_at(g, url, spec);
}

static void on_deadline(void *arg)
{
	fail_msg("the loop did not end in time");
}

static void run_loop(void)
{
	struct kt_timer *t = kt_timer_new(loop, on_deadline, NULL);

	kt_timer_start(t, slowed_ms(PATIENCE_MS), 0);
	kt_loop_run(loop);
	kt_timer_free(t);
}

static void stop_loop(void *arg)
{
	kt_loop_stop(loop);
}

/* Let the loop go on for a while. */
static void run_for(int ms)
{
	struct kt_timer *t = kt_timer_new(loop, stop_loop, NULL);

	kt_timer_start(t, ms, 0);
	kt_loop_run(loop);
	kt_timer_free(t);
}

/* Until it has ended, or was canceled. */
static void finish(struct got *g)
{
	int left = 1;

	g->left = &left;
	if (g->f)
		run_loop();
	g->left = NULL;
	if (g->body.ptr)
		kt_buf_addc(&g->body, '\0');
}

static void done_with(struct got *g)
{
	kt_buf_release(&g->body);
	*g = (struct got){ .ended = 0 };
}

static void expect(const char *path, struct kt_http_fetch_spec spec, enum kt_code rc, int status,
	const char *says)
{
	struct got g = { .ended = 0 };

	begin(&g, path, spec);
	finish(&g);
	if (g.rc != rc || g.status != status)
		fail_msg("%s: %s, status %d: %s", path, kt_code_name(g.rc), g.status, g.err.msg);
	if (!strstr(rc == KT_OK ? g.body.ptr : g.err.msg, says))
		fail_msg("%s: '%s' is not in '%s' or '%s'", path, says, g.err.msg, g.body.ptr);
	done_with(&g);
}

static const struct kt_http_fetch_spec plain = { .first_ms = 0 };

/* --- tests ------------------------------------------------------------------------------------- */

/* The first one of the process: libcurl is not there yet. */
static void canceled_while_it_loads(void **state)
{
	struct got g[3] = { { .ended = 0 } };
	int left = 1;

	assert_false(kt_curl_loaded());
	for (int i = 0; i < 3; i++)
		begin(&g[i], "/ok", plain);
	/* One before the tick ends, one while it loads. */
	kt_http_fetch_cancel(g[0].f);
	(void)uv_run(kt_loop_uv(loop), UV_RUN_NOWAIT);
	kt_http_fetch_cancel(g[1].f);
	g[2].left = &left;
	run_loop();
	assert_int_equal(g[0].ended + g[1].ended, 0);
	assert_int_equal(g[2].rc, KT_OK);
	assert_int_equal(server.n_requests, 1);
	for (int i = 0; i < 3; i++)
		done_with(&g[i]);
}

static void answers(void **state)
{
	struct got g = { .ended = 0 };

	begin(&g, "/ok", plain);
	finish(&g);
	assert_int_equal(g.rc, KT_OK);
	assert_int_equal(g.status, 200);
	assert_int_equal(g.heads, 1);
	assert_string_equal(g.body.ptr, "hello");
	assert_string_equal(g.one, "first");
	assert_string_equal(g.hops, ">127.0.0.1/ok ");
	done_with(&g);
	expect("/ok", plain, KT_OK, 200, "hello");
	expect("/404", plain, KT_OK, 404, "no");
	expect("/interim", plain, KT_OK, 200, "hello");
	expect("/trailer", plain, KT_OK, 200, "hello");
	begin(&g, "/interim", plain);
	finish(&g);
	assert_int_equal(g.heads, 1);
	assert_string_equal(g.one, "first");
	done_with(&g);
	begin(&g, "/none", plain);
	finish(&g);
	assert_int_equal(g.status, 204);
	assert_int_equal(g.bytes, 0);
	done_with(&g);
	begin(&g, "/head", (struct kt_http_fetch_spec){ .method = "HEAD" });
	finish(&g);
	assert_int_equal(g.rc, KT_OK);
	assert_int_equal(g.status, 200);
	assert_int_equal(g.bytes, 0);
	done_with(&g);
}

static void requests(void **state)
{
	static const char *const headers[] = { "X-A: b", "Content-Type: text/plain", NULL };
	static const char *const own[] = { "Authorization: Bearer x", NULL };
	static const char *const wrong[] = { "X: a\r\nY: b", NULL };
	char path[] = "/tmp/kt-fetch-XXXXXX";
	int fd = mkstemp(path);
	struct got g = { .ended = 0 };

	begin(&g, "/echo",
		(struct kt_http_fetch_spec){ .method = "POST",
			.headers = headers,
			.own_headers = own,
			.body = "the body",
			.body_len = 8 });
	finish(&g);
	assert_int_equal(g.status, 201);
	assert_true(kt_str_starts(g.body.ptr, "POST /echo HTTP/1.1\r\n"));
	assert_non_null(strstr(g.body.ptr, "\r\nX-A: b\r\n"));
	assert_non_null(strstr(g.body.ptr, "\r\nAuthorization: Bearer x\r\n"));
	assert_non_null(strstr(g.body.ptr, "\r\nContent-Type: text/plain\r\n"));
	assert_non_null(strstr(g.body.ptr, "\r\nUser-Agent: karta/"));
	assert_non_null(strstr(g.body.ptr, "\r\n\r\nthe body"));
	assert_null(strstr(g.body.ptr, "Expect"));
	done_with(&g);
	begin(&g, "/echo", (struct kt_http_fetch_spec){ .method = "POST" });
	finish(&g);
	assert_non_null(strstr(g.body.ptr, "\r\nContent-Length: 0\r\n"));
	assert_null(strstr(g.body.ptr, "Content-Type"));
	done_with(&g);
	/* A file from where it stands. */
	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(write(fd, "not this: of a file", 19), 19);
	assert_int_equal(lseek(fd, 10, SEEK_SET), 10);
	for (int i = 0; i < 2; i++) {
		begin(&g, "/echo", (struct kt_http_fetch_spec){ .method = "PUT", .body_fd = fd });
		finish(&g);
		assert_int_equal(g.rc, KT_OK);
		assert_non_null(strstr(g.body.ptr, "\r\nContent-Length: 9\r\n"));
		assert_non_null(strstr(g.body.ptr, "\r\n\r\nof a file"));
		done_with(&g);
	}
	close(fd);
	int fds[2];
	assert_int_equal(pipe(fds), 0);
	expect("/echo", (struct kt_http_fetch_spec){ .method = "PUT", .body_fd = fds[0] }, KT_EINVAL,
		0, "no file");
	close(fds[0]);
	close(fds[1]);
	expect("/echo", (struct kt_http_fetch_spec){ .headers = wrong }, KT_EINVAL, 0, "one line");
	expect("/echo", (struct kt_http_fetch_spec){ .own_headers = wrong }, KT_EINVAL, 0,
		"one line");
}

static void times(void **state)
{
	struct kt_http_fetch_spec spec = { .first_ms = 20000, .stall_ms = 20000, .total_ms = 20000 };

	expect("/slow", spec, KT_OK, 200, "abcdef");
	expect("/silent", (struct kt_http_fetch_spec){ .first_ms = 100 }, KT_ETIMEOUT, 0,
		"nothing came for 0.1 seconds");
	/* The other limit is not meant. */
	expect("/silent", (struct kt_http_fetch_spec){ .stall_ms = 50, .total_ms = 200 }, KT_ETIMEOUT,
		0, "timed out");
	/* From the first byte on the second one counts. */
	int64_t began = kt_mono_us();
	expect("/silent-body", (struct kt_http_fetch_spec){ .first_ms = 60000, .stall_ms = 100 },
		KT_ETIMEOUT, 200, "nothing came for 0.1 seconds");
	assert_true(kt_mono_us() - began < 50000000);
	expect("/silent-body", (struct kt_http_fetch_spec){ .first_ms = 50, .total_ms = 300 },
		KT_ETIMEOUT, 200, "timed out");
	expect("/endless", (struct kt_http_fetch_spec){ .stall_ms = 20000, .total_ms = 300 },
		KT_ETIMEOUT, 200, "timed out");
}

static void limits(void **state)
{
	struct got g = { .ended = 0 };

	expect("/ok", (struct kt_http_fetch_spec){ .max_bytes = 5 }, KT_OK, 200, "hello");
	expect("/ok", (struct kt_http_fetch_spec){ .max_bytes = 4 }, KT_ELIMIT, 200, "too large");
	expect("/endless", (struct kt_http_fetch_spec){ .max_bytes = 100000 }, KT_ELIMIT, 200,
		"too large");
	expect("/huge-head", plain, KT_ELIMIT, 0, "headers");
	for (enum moment m = IN_MAY; m <= IN_DATA; m++) {
		g.fail_in = m;
		begin(&g, "/endless", plain);
		finish(&g);
		assert_int_equal(g.rc, KT_ECONFLICT);
		assert_string_equal(g.err.msg, "as told");
		done_with(&g);
	}
}

static void failures(void **state)
{
	struct got g = { .ended = 0 };
	int port, fd = listen_here(&port);
	KT_AUTOFREE char *nobody = kt_asprintf("http://127.0.0.1:%d/", port);
	static const struct {
		const char *url;
		enum kt_code rc;
	} wrong[] = {
		{ "ftp://127.0.0.1/", KT_EINVAL },
		{ "http://user@127.0.0.1/", KT_EINVAL },
		{ "", KT_EINVAL },
		{ "http://10.0.0.1/", KT_EDENIED },
		{ "http://2130706434/", KT_EDENIED },
		{ "http://[::1]/", KT_EDENIED },
		{ "http://127.0.0.2/", KT_EDENIED },
		{ "http://nothing.invalid/", KT_EUNAVAIL },
	};

	close(fd);
	expect("/cut", plain, KT_EUNAVAIL, 200, "");
	expect("/cut-head", plain, KT_EUNAVAIL, 0, "");
	expect("/closes", plain, KT_EUNAVAIL, 0, "");
	expect("/nonsense", plain, KT_EPROTO, 0, "");
	begin_at(&g, nobody, plain);
	finish(&g);
	assert_int_equal(g.rc, KT_EUNAVAIL);
	assert_true(g.err.hint[0] != '\0');
	done_with(&g);
	for (size_t i = 0; i < KT_ARRAY_LEN(wrong); i++) {
		begin_at(&g, wrong[i].url, plain);
		finish(&g);
		if (g.rc != wrong[i].rc)
			fail_msg("%s: %s: %s", wrong[i].url, kt_code_name(g.rc), g.err.msg);
		done_with(&g);
	}
}

static void redirects(void **state)
{
	static const char *const own[] = { "Authorization: Bearer x", NULL };
	struct kt_http_fetch_spec spec = { .max_redirects = 3, .own_headers = own };
	KT_AUTOFREE char *there = kt_asprintf("/to?http://localhost:%d", server.port);
	KT_AUTOFREE char *here = url_of("");
	size_t before = server.n_requests;
	struct got g = { .ended = 0 };

	expect("/loop", spec, KT_EPROTO, 0, "127.0.0.1 redirects too often");
	assert_int_equal(server.n_requests - before, 4);
	expect("/to?/to?/to?/ok", spec, KT_OK, 200, "hello");
	expect("/to?/to?/to?/to?/ok", spec, KT_EPROTO, 0, "too often");
	expect("/to?/404", spec, KT_OK, 404, "no");
	expect("/to?/ok", plain, KT_OK, 302, "here");
	expect("/to?/ok", (struct kt_http_fetch_spec){ .method = "POST", .max_redirects = 3 }, KT_OK,
		302, "here");
	expect("/to?ok", spec, KT_EPROTO, 0, "no usable address");
	expect("/to?//127.0.0.1/ok", spec, KT_EPROTO, 0, "no usable address");
	expect("/to?ftp://127.0.0.1/ok", spec, KT_EPROTO, 0, "no usable address");
	expect("/to?http://user:x@127.0.0.1/", spec, KT_EINVAL, 0, "");
	expect("/to?http://10.1.2.3/ok", spec, KT_EDENIED, 0, "10.1.2.3");
	expect("/to?http://169.254.169.254/latest", spec, KT_EDENIED, 0, "169.254.169.254");
	expect("/to?http://0x7f000002/ok", spec, KT_EDENIED, 0, "0x7f000002");
	expect("/loop-endless", spec, KT_ELIMIT, 0, "too large");
	/* Where from, where to; and each may be refused. */
	begin(&g, "/to?/to?/ok", spec);
	finish(&g);
	assert_string_equal(
		g.hops, ">127.0.0.1/to?/to?/ok /to?/to?/ok>127.0.0.1/to?/ok /to?/ok>127.0.0.1/ok ");
	assert_int_equal(g.heads, 1);
	assert_string_equal(g.body.ptr, "hello");
	done_with(&g);
	/* Credentials are for the first origin, also when the way there leads over another one. */
	KT_AUTOFREE char *and_back = kt_asprintf("%s/to?%s/echo", there, here);
	begin(&g, and_back, spec);
	finish(&g);
	assert_int_equal(g.status, 201);
	assert_non_null(strstr(g.body.ptr, "\r\nAuthorization: Bearer x\r\n"));
	done_with(&g);
}

/* A server that was led to at another origin, which is to see no credentials. */
static enum kt_code on_other_head(void *arg, int status, struct kt_err *err)
{
	struct got *g = arg;

	g->status = status;
	assert_string_equal(kt_http_fetch_url(g->f)->host, "localhost");
	return KT_OK;
}

static void credentials(void **state)
{
	static const struct kt_http_fetch_ops other = { NULL, on_other_head, NULL, on_ended };
	static const char *const own[] = { "Authorization: Bearer x", NULL };
	static const char *const headers[] = { "X-A: b", NULL };
	KT_AUTOFREE char *path = kt_asprintf("/to?http://localhost:%d/echo", server.port);
	KT_AUTOFREE char *url = url_of(path);
	const struct kt_http_fetch_spec spec = { .method = "GET",
		.url = url,
		.headers = headers,
		.own_headers = own,
		.max_redirects = 1 };
	struct got g = { .ended = 0 };

	g.f = kt_http_fetch_start(fetcher, &spec, &other, &g);
	finish(&g);
	assert_int_equal(g.rc, KT_OK);
	assert_int_equal(g.status, 201);
	assert_true(kt_str_starts(server.last, "GET /echo "));
	assert_non_null(strstr(server.last, "\r\nX-A: b\r\n"));
	assert_null(strstr(server.last, "Authorization"));
	done_with(&g);
}

static void resume(void *arg)
{
	struct got *g = arg;

	if (!g->f)
		return;
	kt_http_fetch_pause(g->f, false);
}

static void pauses(void **state)
{
	struct kt_http_fetch_spec spec = { .first_ms = 20000, .stall_ms = 20000 };
	struct got g = { .drop_body = true, .pause_in = IN_DATA };
	struct kt_timer *t = kt_timer_new(loop, resume, &g);
	long long before = server.sent;
	size_t had;
	int left = 1;

	/* One piece, then nothing, and the server waits. */
	begin(&g, "/big", spec);
	while (g.bytes == 0)
		(void)uv_run(kt_loop_uv(loop), UV_RUN_ONCE);
	had = g.bytes;
	run_for(100);
	assert_int_equal(g.bytes, had);
	assert_true(server.sent - before < BIG_BYTES);
	/* On and off for each piece. */
	kt_timer_start(t, 1, 1);
	for (int i = 0; i < 20; i++) {
		had = g.bytes;
		while (g.bytes == had)
			(void)uv_run(kt_loop_uv(loop), UV_RUN_ONCE);
		assert_true(g.bytes - had <= 16384);
	}
	/* And to the end. */
	kt_timer_stop(t);
	g.pause_in = NEVER;
	kt_http_fetch_pause(g.f, false);
	g.left = &left;
	run_loop();
	assert_int_equal(g.rc, KT_OK);
	assert_int_equal(g.bytes, BIG_BYTES);
	done_with(&g);
	/* Before anything has come, and with the head: no body yet. */
	for (int i = 0; i < 2; i++) {
		g.pause_in = i ? IN_HEAD : NEVER;
		begin(&g, "/ok", spec);
		if (!i)
			kt_http_fetch_pause(g.f, true);
		while (g.heads == 0)
			(void)uv_run(kt_loop_uv(loop), UV_RUN_ONCE);
		run_for(50);
		assert_int_equal(g.bytes, 0);
		assert_int_equal(g.ended, 0);
		kt_http_fetch_pause(g.f, false);
		finish(&g);
		assert_string_equal(g.body.ptr, "hello");
		done_with(&g);
	}
	/* Who pauses is not too slow, but for the time of all. */
	g = (struct got){ .drop_body = true, .pause_in = IN_DATA };
	spec.stall_ms = 100;
	begin(&g, "/big", spec);
	while (g.bytes == 0)
		(void)uv_run(kt_loop_uv(loop), UV_RUN_ONCE);
	run_for(300);
	assert_int_equal(g.ended, 0);
	g.pause_in = NEVER;
	kt_http_fetch_pause(g.f, false);
	finish(&g);
	assert_int_equal(g.rc, KT_OK);
	assert_int_equal(g.bytes, BIG_BYTES);
	done_with(&g);
	g = (struct got){ .drop_body = true, .pause_in = IN_DATA };
	spec.total_ms = 300;
	begin(&g, "/big", spec);
	finish(&g);
	assert_int_equal(g.rc, KT_ETIMEOUT);
	done_with(&g);
	kt_timer_free(t);
}

/* In front of the C library's own, for libcurl and libuv too: a name server that is slow. */
static atomic_int asked;

__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
	const struct addrinfo *hints, struct addrinfo **res)
{
	static int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "getaddrinfo");
	if (node && strcmp(node, TWO_NAME) == 0 && !(hints && hints->ai_flags & AI_NUMERICHOST)) {
		int rc = next("127.0.0.2", service, hints, res);
		struct addrinfo *last = rc == 0 ? *res : NULL;

		while (last && last->ai_next)
			last = last->ai_next;
		return rc == 0 ? next("127.0.0.1", service, hints, &last->ai_next) : rc;
	}
	if (node && strcmp(node, SLOW_NAME) == 0 && !(hints && hints->ai_flags & AI_NUMERICHOST)) {
		asked++;
		pause_ms(1500);
		node = "127.0.0.1";
	}
	return next(node, service, hints, res);
}

/* The first address says nothing, and later that nobody is there; then the second one is asked. */
static void second_address(void **state)
{
	static const struct kt_http_fetch_ops any = { .ended = on_ended };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)server.port) };
	KT_AUTOFREE char *url = kt_asprintf("http://" TWO_NAME ":%d/ok", server.port);
	const struct kt_http_fetch_spec spec = { .method = "GET", .url = url, .connect_ms = 20000 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fill[3];
	int64_t began = kt_mono_us();
	struct got g = { .ended = 0 };

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 0), 0);
	/* Whoever comes when it is full is not answered. */
	for (size_t i = 0; i < KT_ARRAY_LEN(fill); i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)connect(fill[i], (struct sockaddr *)&a, sizeof(a));
	}
	g.f = kt_http_fetch_start(fetcher, &spec, &any, &g);
	run_for(300);
	assert_int_equal(g.ended, 0);
	for (size_t i = 0; i < KT_ARRAY_LEN(fill); i++)
		close(fill[i]);
	close(fd);
	finish(&g);
	assert_int_equal(g.rc, KT_OK);
	/* A part of connect_ms: it was told, and did not time out. */
	assert_true(kt_mono_us() - began < 8000000);
	done_with(&g);
}

static void canceled(void **state)
{
	static const char *const paths[] = { "/silent", "/silent-body", "/endless", "/slow", "/loop",
		"/ok" };
	struct kt_http_fetch_spec spec = { .max_redirects = 1000 };
	struct got g = { .ended = 0 }, other = { .ended = 0 };

	for (enum moment m = IN_MAY; m <= IN_DATA; m++) {
		g.cancel_in = m;
		begin(&g, "/endless", spec);
		finish(&g);
		run_for(20);
		assert_int_equal(g.ended, 0);
		assert_int_equal(g.heads, m >= IN_HEAD);
		done_with(&g);
	}
	/* At any moment. */
	for (size_t i = 0; i < KT_ARRAY_LEN(paths) * 12; i++) {
		begin(&g, paths[i / 12], spec);
		if (i % 4 == 3)
			kt_http_fetch_pause(g.f, true);
		for (size_t turn = 0; turn < i % 12 && g.f; turn++)
			(void)uv_run(kt_loop_uv(loop), UV_RUN_NOWAIT);
		if (g.f)
			kt_http_fetch_cancel(g.f);
		(void)uv_run(kt_loop_uv(loop), UV_RUN_NOWAIT);
		assert_true(g.ended == 0 || kt_str_eq(paths[i / 12], "/ok"));
		done_with(&g);
	}
	/* Paused with something to read, and by the end of another. */
	g = (struct got){ .drop_body = true, .pause_in = IN_DATA };
	begin(&g, "/big", spec);
	while (g.bytes == 0)
		(void)uv_run(kt_loop_uv(loop), UV_RUN_ONCE);
	other.cancel_other = &g;
	begin(&other, "/ok", spec);
	finish(&other);
	run_for(20);
	assert_int_equal(other.rc, KT_OK);
	assert_int_equal(g.ended, 0);
	done_with(&g);
	done_with(&other);
}

/* While a name is looked up: giving up does not wait for the answer. */
static void canceled_while_it_asks(void **state)
{
	int64_t began = kt_mono_us();
	struct got g = { .ended = 0 };
	int before = asked;

	for (int proxy = 0; proxy < 2; proxy++) {
		if (proxy)
			assert_int_equal(setenv("http_proxy", "http://" SLOW_NAME ":1", 1), 0);
		begin_at(&g, proxy ? "http://example.com/" : "http://" SLOW_NAME "/", plain);
		before = asked;
		while (asked == before)
			(void)uv_run(kt_loop_uv(loop), UV_RUN_NOWAIT);
		kt_http_fetch_cancel(g.f);
		run_for(10);
		assert_int_equal(g.ended, 0);
		done_with(&g);
		/* Nor the time of all. */
		if (!proxy) {
			begin_at(&g, "http://" SLOW_NAME "/",
				(struct kt_http_fetch_spec){ .total_ms = 50 });
			finish(&g);
			assert_int_equal(g.rc, KT_ETIMEOUT);
			done_with(&g);
		}
		if (kt_mono_us() - began > slowed_ms(1000) * 1000)
			fail_msg("it took %lld us", (long long)(kt_mono_us() - began));
	}
	/* The next one is asked for when this one is known. */
	begin_at(&g, "http://example.com/", plain);
	finish(&g);
	assert_int_equal(g.rc, KT_EUNAVAIL); /* nobody is at port 1 */
	assert_int_equal(unsetenv("http_proxy"), 0);
	done_with(&g);
	/* The fetcher itself goes while one is looked up: see teardown. */
	assert_int_equal(setenv("http_proxy", "http://" SLOW_NAME ":1", 1), 0);
	begin_at(&g, "http://example.com/", plain);
	before = asked;
	while (asked == before)
		(void)uv_run(kt_loop_uv(loop), UV_RUN_NOWAIT);
	assert_int_equal(unsetenv("http_proxy"), 0);
	kt_buf_release(&g.body);
}

static void many(void **state)
{
	enum { N = 30 };
	struct got *g = kt_calloc(N, sizeof(*g));
	size_t conns = server.n_conns;
	int left = N;

	for (int i = 0; i < N; i++) {
		g[i].left = &left;
		g[i].drop_body = true;
		begin(&g[i], i % 3 ? "/big" : "/endless",
			(struct kt_http_fetch_spec){ .max_bytes = i % 3 ? 0 : 1 });
		if (i % 3 == 0)
			g[i].fail_in = IN_HEAD;
	}
	run_loop();
	for (int i = 0; i < N; i++) {
		assert_int_equal(g[i].rc, i % 3 ? KT_OK : KT_ECONFLICT);
		assert_int_equal(g[i].bytes, i % 3 ? BIG_BYTES : 0);
		done_with(&g[i]);
	}
	/* Connections that are left are used again. */
	assert_true(server.n_conns - conns <= N);
	conns = server.n_conns;
	for (int i = 0; i < 10; i++)
		expect("/ok", plain, KT_OK, 200, "hello");
	assert_int_equal(server.n_conns, conns);
	free(g);
}

/* All that runs goes with the fetcher, without a word. */
static void freed_while_they_run(void **state)
{
	static const char *const paths[] = { "/silent", "/silent-body", "/endless", "/big", "/loop" };
	struct got g[KT_ARRAY_LEN(paths) * 3] = { { .ended = 0 } };

	for (size_t i = 0; i < KT_ARRAY_LEN(g); i++) {
		g[i].drop_body = kt_str_eq(paths[i % KT_ARRAY_LEN(paths)], "/big");
		g[i].pause_in = i % 2 ? IN_HEAD : NEVER;
		if (!kt_str_eq(paths[i % KT_ARRAY_LEN(paths)], "/endless"))
			begin(&g[i], paths[i % KT_ARRAY_LEN(paths)],
				(struct kt_http_fetch_spec){ .max_redirects = 100000, .first_ms = 60000 });
	}
	run_for(50);
	begin(&g[2], "/ok", plain);
	for (size_t i = 0; i < KT_ARRAY_LEN(g); i++)
		kt_buf_release(&g[i].body);
}

static int setup(void **state)
{
	server_start();
	if (kt_loop_new(&loop, NULL) != KT_OK ||
		kt_reach_new("127.0.0.1,localhost," SLOW_NAME "," TWO_NAME, &reach, NULL) != KT_OK)
		return -1;
	fetcher = kt_http_fetcher_new(loop, reach);
	return 0;
}

static int teardown(void **state)
{
	kt_http_fetcher_free(fetcher);
	kt_loop_free(loop);
	kt_reach_free(reach);
	server_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(canceled_while_it_loads, setup, teardown),
		cmocka_unit_test_setup_teardown(answers, setup, teardown),
		cmocka_unit_test_setup_teardown(requests, setup, teardown),
		cmocka_unit_test_setup_teardown(times, setup, teardown),
		cmocka_unit_test_setup_teardown(limits, setup, teardown),
		cmocka_unit_test_setup_teardown(failures, setup, teardown),
		cmocka_unit_test_setup_teardown(redirects, setup, teardown),
		cmocka_unit_test_setup_teardown(credentials, setup, teardown),
		cmocka_unit_test_setup_teardown(pauses, setup, teardown),
		cmocka_unit_test_setup_teardown(second_address, setup, teardown),
		cmocka_unit_test_setup_teardown(canceled, setup, teardown),
		cmocka_unit_test_setup_teardown(canceled_while_it_asks, setup, teardown),
		cmocka_unit_test_setup_teardown(many, setup, teardown),
		cmocka_unit_test_setup_teardown(freed_while_they_run, setup, teardown),
	};

	return cmocka_run_group_tests_name("net/fetch", tests, NULL, NULL);
}
