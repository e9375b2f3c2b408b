/* SPDX-License-Identifier: MIT */
/*
 * The client against a server of a few lines: problems become errors, and a stream that is cut
 * anywhere is joined without losing or doubling an event.
 */
#include "client/client.h"

#include "base/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define EVENTS 6
#define REQUESTS 64

/* What the server does; one thread serves one connection after the other. */
struct server {
	int fd, port;
	pthread_t thread;
	int status; /* of every answer that is no stream; 0 = streams */
	const char *body; /* of it */
	size_t cut; /* bytes of frames that the first stream gives before it is cut */
	bool double_old; /* resume one event too early */
	bool quit;
	int n; /* requests */
	char requests[REQUESTS][1024];
};

static void frame(struct kt_buf *b, int seq)
{
	const char *type = seq == EVENTS ? "done" : "text";

	kt_buf_addf(b,
		"id: %d\nevent: %s\ndata: {\"type\":\"%s\",\"seq\":%d,\"turn_id\":\"turn_1\","
		"\"data\":{\"part\":{\"text\":\"w\xc3\xb6rd %d\"}}}\n\n",
		seq, type, type, seq, seq);
}

static void read_request(struct server *s, int fd, char *out, size_t size)
{
	size_t len = 0, want = 0;
	char *end = NULL;

	while (len + 1 < size && (!end || len < want)) {
		ssize_t n = recv(fd, out + len, size - len - 1, 0);

		if (n <= 0)
			break;
		len += (size_t)n;
		out[len] = '\0';
		end = strstr(out, "\r\n\r\n");
		if (end) {
			const char *cl = strcasestr(out, "content-length:");
			int64_t body = 0;

			if (cl) {
				cl += strlen("content-length:");
				cl += *cl == ' ';
				assert_true(kt_str_int64n(cl, strcspn(cl, "\r"), 0, 100000, &body));
			}
			want = (size_t)(end - out) + 4 + (size_t)body;
		}
	}
	out[len] = '\0';
}

static void answer_stream(struct server *s, int fd, const char *rq, bool first)
{
	KT_AUTO_BUF struct kt_buf head = KT_BUF_INIT(4096);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
	const char *at = strstr(rq, "after=");
	int64_t after = 0;

	if (at)
		assert_true(kt_str_int64n(at + 6, strcspn(at + 6, "& "), 0, 1000, &after));
	/* With a length, a cut is an error to the HTTP library; without one, an end like any other. */
	kt_buf_addf(&head, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%s"
		"Connection: close\r\n\r\n", s->double_old ? "" : "Content-Length: 999999\r\n");
	if (after == EVENTS && strstr(rq, "until=idle")) {
		kt_buf_clear(&head);
		kt_buf_adds(&head, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
	}
	if (after && s->double_old)
		after--;
	kt_buf_adds(&b, "retry: 1000\n\n");
	for (int i = (int)after + 1; i <= EVENTS; i++)
		frame(&b, i);
	(void)send(fd, head.ptr, head.len, MSG_NOSIGNAL);
	if (head.ptr[9] == '2' && head.ptr[11] == '0')
		(void)send(fd, b.ptr, first ? KT_MIN(s->cut, b.len) : b.len, MSG_NOSIGNAL);
}

static void *serve(void *arg)
{
	struct server *s = arg;

	for (;;) {
		KT_AUTOFD int fd = accept(s->fd, NULL, NULL);
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
		char *rq = s->requests[s->n < REQUESTS ? s->n : REQUESTS - 1];

		if (fd < 0 || s->quit)
			return NULL;
		read_request(s, fd, rq, sizeof(s->requests[0]));
		s->n++;
		if (!s->status) {
			answer_stream(s, fd, rq, s->n == 1);
			continue;
		}
		kt_buf_addf(&b,
			"HTTP/1.1 %d X\r\nContent-Type: application/problem+json\r\nRetry-After: 7\r\n"
			"Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
			s->status, strlen(s->body), s->body);
		(void)send(fd, b.ptr, b.len, MSG_NOSIGNAL);
	}
}

static void start(struct server *s)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s->fd, 16), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
	s->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop(struct server *s)
{
	s->quit = true;
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
}

static struct kt_client *client_of(const struct server *s, const char *key)
{
	KT_AUTOFREE char *url = kt_asprintf("http://127.0.0.1:%d/", s->port);
	const struct kt_client_config cfg = { .url = url, .api_key = key };
	struct kt_err err = KT_ERR_INIT;
	struct kt_client *c = NULL;

	assert_int_equal(kt_client_new(&cfg, &c, &err), KT_OK);
	return c;
}

/* --- problems ------------------------------------------------------------------------------- */

#define TEXT "what went wrong"

static void test_problems(void **state)
{
	static const struct {
		int status;
		enum kt_code code;
		const char *words;
	} cases[] = {
		{ 400, KT_EIO, TEXT }, { 401, KT_EAUTH, TEXT }, { 402, KT_EBUDGET, TEXT },
		{ 403, KT_EDENIED, TEXT " (on http://127.0.0.1:" },
		{ 404, KT_ENOTFOUND, TEXT " (on http://127.0.0.1:" }, { 409, KT_ECONFLICT, TEXT },
		{ 422, KT_EIO, TEXT }, { 429, KT_EUNAVAIL, TEXT }, { 502, KT_EIO, TEXT },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		struct server s = { .status = cases[i].status,
			.body = "{\"title\":\"T\",\"detail\":\"" TEXT "\",\"code\":\"x\"}" };
		struct kt_err err = KT_ERR_INIT;
		cJSON *doc = NULL;

		start(&s);
		struct kt_client *c = client_of(&s, NULL);

		assert_int_equal(kt_client_delete(c, "sess_x", &err), cases[i].code);
		assert_true(kt_str_starts(err.msg, cases[i].words));
		assert_null(doc);
		assert_int_equal(s.n, 1);
		assert_non_null(strstr(s.requests[0], "DELETE /v1/sessions/sess_x HTTP/1.1\r\n"));
		kt_client_free(c);
		stop(&s);
	}
}

static void test_not_json(void **state)
{
	struct server s = { .status = 200, .body = "<html>" };
	struct kt_err err = KT_ERR_INIT;
	cJSON *doc = NULL;

	start(&s);
	struct kt_client *c = client_of(&s, NULL);

	assert_int_equal(kt_client_get(c, "sess_x", &doc, &err), KT_EPROTO);
	assert_true(err.hint[0] != '\0');
	kt_client_free(c);
	stop(&s);
}

static void test_nobody(void **state)
{
	const struct kt_client_config cfg = { .url = "http://127.0.0.1:1" };
	struct kt_client_follow f = { .session_id = "s" };
	struct kt_err err = KT_ERR_INIT;
	struct kt_client *c = NULL;
	cJSON *doc = NULL;

	assert_int_equal(kt_client_new(&cfg, &c, &err), KT_OK);
	assert_int_equal(kt_client_get(c, "s", &doc, &err), KT_EUNAVAIL);
	assert_string_equal(err.msg, "no karta server answers at http://127.0.0.1:1");
	assert_non_null(strstr(err.hint, "start one with 'karta dev'"));
	assert_int_equal(kt_client_follow(c, &f, &err), KT_EUNAVAIL);
	kt_client_free(c);
}

/* --- the key and the path ------------------------------------------------------------------- */

static void test_key(void **state)
{
	struct server s = { .status = 200, .body = "{\"id\":\"a\"}" };
	struct kt_client_config cfg = { .url = "http://example.com", .api_key = "kt_live_secret" };
	struct kt_err err = KT_ERR_INIT;
	struct kt_client *bad = NULL;
	KT_AUTO_JSON cJSON *doc = NULL;

	start(&s);
	struct kt_client *c = client_of(&s, "kt_live_secret");

	assert_int_equal(kt_client_get(c, "../a b?x", &doc, &err), KT_OK);
	assert_non_null(strstr(s.requests[0], "\r\nAuthorization: Bearer kt_live_secret\r\n"));
	/* An id cannot climb out of its place in the path. */
	assert_non_null(strstr(s.requests[0], "GET /v1/sessions/..%2Fa%20b%3Fx HTTP/1.1\r\n"));
	kt_client_free(c);
	stop(&s);

	assert_int_equal(kt_client_new(&cfg, &bad, &err), KT_EDENIED);
	assert_null(strstr(err.msg, "secret"));
	cfg.url = "https://example.com";
	cfg.api_key = "two\nlines";
	assert_int_equal(kt_client_new(&cfg, &bad, &err), KT_EINVAL);
	cfg.url = "https://user:pw@example.com";
	cfg.api_key = NULL;
	assert_int_equal(kt_client_new(&cfg, &bad, &err), KT_EINVAL);
	cfg.url = "ftp://example.com";
	assert_int_equal(kt_client_new(&cfg, &bad, &err), KT_EINVAL);
}

/* --- streams -------------------------------------------------------------------------------- */

struct seen {
	struct kt_buf b;
	int stop_at; /* sequence number after which to stop, 0 = never */
	int polls_left; /* stop polling then, 0 = never */
};

static bool on_event(void *arg, const struct kt_client_event *ev)
{
	struct seen *s = arg;

	kt_buf_addf(&s->b, "%llu %s %s\n", (unsigned long long)ev->seq, ev->type,
		kt_json_str_or(kt_json_obj(ev->data, "part"), "text", ""));
	return !s->stop_at || ev->seq < (uint64_t)s->stop_at;
}

static bool on_poll(void *arg)
{
	struct seen *s = arg;

	return !s->polls_left || --s->polls_left > 0;
}

static const char whole[] = "1 text w\xc3\xb6rd 1\n2 text w\xc3\xb6rd 2\n3 text w\xc3\xb6rd 3\n"
			    "4 text w\xc3\xb6rd 4\n5 text w\xc3\xb6rd 5\n6 done w\xc3\xb6rd 6\n";

static void follow_cut(size_t cut, bool double_old)
{
	struct server s = { .cut = cut, .double_old = double_old };
	struct seen seen = { .stop_at = EVENTS };
	struct kt_client_follow f = { .session_id = "sess_1", .event = on_event, .poll = on_poll,
		.arg = &seen };
	struct kt_err err = KT_ERR_INIT;

	kt_buf_init(&seen.b, 65536);
	start(&s);
	struct kt_client *c = client_of(&s, NULL);

	assert_int_equal(kt_client_follow(c, &f, &err), KT_ECANCEL);
	assert_string_equal(seen.b.ptr, whole);
	assert_int_equal(f.cursor, EVENTS);
	kt_client_free(c);
	kt_buf_release(&seen.b);
	stop(&s);
}

static void test_cut_everywhere(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);

	kt_buf_adds(&b, "retry: 1000\n\n");
	for (int i = 1; i <= EVENTS; i++)
		frame(&b, i);
	for (size_t cut = 0; cut < b.len; cut += 7)
		follow_cut(cut, cut % 2 == 0);
}

static void test_message(void **state)
{
	static const struct kt_client_message m = { .text = "hi \"you\"" };
	struct server s = { .cut = 300 };
	struct seen seen = { .stop_at = 0 };
	struct kt_client_follow f = { .session_id = "sess_1", .message = &m, .event = on_event,
		.poll = on_poll, .arg = &seen };
	struct kt_err err = KT_ERR_INIT;
	char key[128];

	kt_buf_init(&seen.b, 65536);
	start(&s);
	struct kt_client *c = client_of(&s, NULL);

	assert_int_equal(kt_client_follow(c, &f, &err), KT_OK);
	assert_string_equal(seen.b.ptr, whole);
	assert_string_equal(f.turn_id, "turn_1");
	snprintf(key, sizeof(key), "\r\nIdempotency-Key: %s\r\n", f.key);
	assert_non_null(strstr(s.requests[0], key));
	assert_non_null(strstr(s.requests[0], "POST /v1/sessions/sess_1/messages "));
	assert_non_null(strstr(s.requests[0], "{\"text\":\"hi \\\"you\\\"\"}"));
	assert_non_null(strstr(s.requests[1], "GET /v1/sessions/sess_1/events?after="));
	assert_non_null(strstr(s.requests[1], "until=idle"));
	kt_client_free(c);
	kt_buf_release(&seen.b);
	stop(&s);
}

/* The answer to the message is lost before its first event: the same message is sent again. */
static void test_message_lost(void **state)
{
	static const struct kt_client_message m = { .text = "hi", .idempotency_key = "key-1" };
	struct server s = { .cut = 5 };
	struct seen seen = { .stop_at = 0 };
	struct kt_client_follow f = { .session_id = "sess_1", .message = &m, .event = on_event,
		.arg = &seen };
	struct kt_err err = KT_ERR_INIT;

	kt_buf_init(&seen.b, 65536);
	start(&s);
	struct kt_client *c = client_of(&s, NULL);

	assert_int_equal(kt_client_follow(c, &f, &err), KT_OK);
	assert_string_equal(seen.b.ptr, whole);
	assert_int_equal(s.n, 2);
	for (int i = 0; i < 2; i++) {
		assert_non_null(strstr(s.requests[i], "POST /v1/sessions/sess_1/messages "));
		assert_non_null(strstr(s.requests[i], "\r\nIdempotency-Key: key-1\r\n"));
	}
	kt_client_free(c);
	kt_buf_release(&seen.b);
	stop(&s);
}

static void test_stop_and_go_on(void **state)
{
	struct server s = { .cut = SIZE_MAX };
	struct seen seen = { .stop_at = 3 };
	struct kt_client_follow f = { .session_id = "sess_1", .until_idle = true, .event = on_event,
		.poll = on_poll, .arg = &seen };
	struct kt_err err = KT_ERR_INIT;

	kt_buf_init(&seen.b, 65536);
	start(&s);
	struct kt_client *c = client_of(&s, NULL);

	assert_int_equal(kt_client_follow(c, &f, &err), KT_ECANCEL);
	assert_int_equal(f.cursor, 3);
	seen.stop_at = 0;
	/* To the end, then 204 says that no more comes. */
	assert_int_equal(kt_client_follow(c, &f, &err), KT_OK);
	assert_string_equal(seen.b.ptr, whole);
	/* A turn whose end is behind the cursor can no longer be seen ending. */
	kt_str_copy(f.turn_id, sizeof(f.turn_id), "turn_2");
	assert_int_equal(kt_client_follow(c, &f, &err), KT_EPROTO);
	kt_client_free(c);
	kt_buf_release(&seen.b);
	stop(&s);
}

static void test_poll_stops(void **state)
{
	struct server s = { .cut = 40 };
	struct seen seen = { .polls_left = 3 };
	struct kt_client_follow f = { .session_id = "sess_1", .cursor = EVENTS, .event = on_event,
		.poll = on_poll, .arg = &seen };
	struct kt_err err = KT_ERR_INIT;

	kt_buf_init(&seen.b, 65536);
	start(&s);
	struct kt_client *c = client_of(&s, NULL);

	/* The server has nothing and closes at once, again and again: only the poll ends it. */
	assert_int_equal(kt_client_follow(c, &f, &err), KT_ECANCEL);
	assert_string_equal(seen.b.ptr, "");
	kt_client_free(c);
	kt_buf_release(&seen.b);
	stop(&s);
}

static void test_gives_up(void **state)
{
	struct server s = { .cut = 100 };
	struct seen seen = { .stop_at = 0 };
	struct kt_client_follow f = { .session_id = "sess_1", .event = on_event, .arg = &seen,
		.give_up_ms = 300 };
	struct kt_err err = KT_ERR_INIT;
	KT_AUTO_JSON cJSON *doc = NULL;

	kt_buf_init(&seen.b, 65536);
	start(&s);
	struct kt_client *c = client_of(&s, NULL);

	s.status = 200;
	s.body = "{}";
	assert_int_equal(kt_client_get(c, "sess_1", &doc, &err), KT_OK);
	stop(&s);
	assert_int_equal(kt_client_follow(c, &f, &err), KT_EUNAVAIL);
	assert_non_null(strstr(err.msg, "lost the server"));
	kt_client_free(c);
	kt_buf_release(&seen.b);
}

/* --- the management API ---------------------------------------------------------------------- */

static void test_call(void **state)
{
	struct server s = { .status = 201, .body = "{\"id\":\"k1\"}" };
	struct kt_err err = KT_ERR_INIT;
	KT_AUTO_JSON cJSON *doc = NULL;
	KT_AUTO_BUF struct kt_buf path = KT_BUF_INIT(1000);

	start(&s);
	struct kt_client *c = client_of(&s, NULL);

	kt_buf_adds(&path, "/agent_projects/");
	kt_url_segment(&path, "a/b c");
	assert_int_equal(kt_client_call(c, "POST", path.ptr, "{\"x\":1}", &doc, &err), KT_OK);
	assert_string_equal(kt_json_str(doc, "id"), "k1");
	assert_non_null(strstr(s.requests[0], "POST /agent_projects/a%2Fb%20c HTTP/1.1\r\n"));
	assert_non_null(strstr(s.requests[0], "\r\nIdempotency-Key: cli_"));
	assert_non_null(strstr(s.requests[0], "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(s.requests[0], "\r\n\r\n{\"x\":1}"));
	/* The document of a failure stays until the next call. */
	s.status = 409;
	s.body = "{\"code\":\"pinned\",\"detail\":\"it is pinned\",\"version\":\"v3\"}";
	assert_int_equal(kt_client_call(c, "PATCH", "/x", "{}", NULL, &err), KT_ECONFLICT);
	assert_string_equal(kt_json_str(kt_client_problem(c), "code"), "pinned");
	assert_string_equal(kt_json_str(kt_client_problem(c), "version"), "v3");
	/* A server that starts again is waited for; a DELETE is not repeated. */
	s.status = 503;
	int before = s.n;

	assert_int_equal(kt_client_call(c, "DELETE", "/x", NULL, NULL, &err), KT_EUNAVAIL);
	assert_int_equal(s.n, before + 1);
	assert_null(strstr(s.requests[before], "Idempotency-Key"));
	assert_int_equal(kt_client_call(c, "PUT", "/x", "{}", NULL, &err), KT_EUNAVAIL);
	assert_true(s.n > before + 2);
	s.status = 200;
	s.body = "";
	cJSON *none = (cJSON *)&s;

	assert_int_equal(kt_client_call(c, "GET", "/x", NULL, &none, &err), KT_OK);
	assert_null(none);
	assert_null(kt_client_problem(c));
	kt_client_free(c);
	stop(&s);
}

static void test_download(void **state)
{
	struct server s = { .status = 200, .body = "the bytes of an archive" };
	char path[] = "/tmp/karta-client.XXXXXX";
	KT_AUTOFD int fd = mkstemp(path);
	struct kt_err err = KT_ERR_INIT;
	char got[64] = "";

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	start(&s);
	struct kt_client *c = client_of(&s, NULL);

	assert_int_equal(kt_client_download(c, "/archive", fd, &err), KT_OK);
	assert_int_equal(pread(fd, got, sizeof(got), 0), strlen(s.body));
	assert_string_equal(got, s.body);
	s.status = 404;
	s.body = "{\"code\":\"not_found\",\"detail\":\"no such release\"}";
	assert_int_equal(kt_client_download(c, "/archive", fd, &err), KT_ENOTFOUND);
	assert_true(kt_str_starts(err.msg, "no such release (on http://"));
	assert_string_equal(kt_json_str(kt_client_problem(c), "code"), "not_found");
	/* A descriptor that cannot be written to. */
	s.status = 200;
	s.body = "x";
	assert_int_equal(kt_client_download(c, "/archive", -1, &err), KT_EIO);
	kt_client_free(c);
	stop(&s);
}

static void tail_cut(size_t cut, bool double_old)
{
	struct server s = { .cut = cut, .double_old = double_old };
	struct seen seen = { .stop_at = EVENTS };
	struct kt_client_tail t = { .path = "/logs?level=info", .event = on_event, .poll = on_poll,
		.arg = &seen };
	struct kt_err err = KT_ERR_INIT;

	kt_buf_init(&seen.b, 65536);
	start(&s);
	struct kt_client *c = client_of(&s, NULL);

	assert_int_equal(kt_client_tail(c, &t, &err), KT_OK);
	assert_string_equal(seen.b.ptr, whole);
	assert_int_equal(t.cursor, EVENTS);
	assert_non_null(strstr(s.requests[0], "GET /logs?level=info HTTP/1.1\r\n"));
	if (s.n > 1 && t.cursor)
		assert_non_null(strstr(s.requests[s.n - 1], "GET /logs?level=info"));
	kt_client_free(c);
	kt_buf_release(&seen.b);
	stop(&s);
}

static void test_tail(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);

	kt_buf_adds(&b, "retry: 1000\n\n");
	for (int i = 1; i <= EVENTS; i++)
		frame(&b, i);
	for (size_t cut = 0; cut < b.len; cut += 13)
		tail_cut(cut, cut % 2 == 0);
}

static void test_tail_ends(void **state)
{
	struct server s = { .status = 404, .body = "{\"code\":\"project_not_found\"}" };
	struct seen seen = { .stop_at = 0 };
	struct kt_client_tail t = { .path = "/agent_projects/a%20b/logs", .from_start_given = true, .event = on_event,
		.poll = on_poll, .arg = &seen };
	struct kt_err err = KT_ERR_INIT;

	kt_buf_init(&seen.b, 65536);
	start(&s);
	struct kt_client *c = client_of(&s, NULL);

	assert_int_equal(kt_client_tail(c, &t, &err), KT_ENOTFOUND);
	assert_true(kt_str_starts(err.msg, "there is no project 'a b' on http://"));
	assert_non_null(strstr(s.requests[0], "GET /agent_projects/a%20b/logs?after=0 "));
	s.status = 204;
	s.body = "";
	assert_int_equal(kt_client_tail(c, &t, &err), KT_OK);
	/* The server restarts and does not come back in time; and a poll that stops. */
	s.status = 503;
	t.give_up_ms = 300;
	assert_int_equal(kt_client_tail(c, &t, &err), KT_EUNAVAIL);
	t.give_up_ms = 0;
	seen.polls_left = 5;
	assert_int_equal(kt_client_tail(c, &t, &err), KT_ECANCEL);
	kt_client_free(c);
	kt_buf_release(&seen.b);
	stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_problems),
		cmocka_unit_test(test_not_json),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_cut_everywhere),
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_message_lost),
		cmocka_unit_test(test_stop_and_go_on),
		cmocka_unit_test(test_poll_stops),
		cmocka_unit_test(test_gives_up),
		cmocka_unit_test(test_call),
		cmocka_unit_test(test_download),
		cmocka_unit_test(test_tail),
		cmocka_unit_test(test_tail_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
