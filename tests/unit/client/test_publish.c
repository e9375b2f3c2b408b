/* SPDX-License-Identifier: MIT */
/*
 * Publishing against a server that gives the answers of a script, one a request: what is sent, what
 * is asked for again, and what each outcome means.
 */
#include "client/client.h"

#include "base/fs.h"
#include "base/str.h"
#include "crypto/crypto.h"
#include "git/git.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define STEPS 12
#define BIG_BYTES ((size_t)600 * 1024)

struct step {
	int status; /* 0 = close without an answer */
	const char *body; /* what begins with '{' is JSON, else an event stream */
	size_t take; /* close after so many bytes of the request; 0 = read it whole */
};

struct server {
	int fd, port;
	pthread_t thread;
	struct step steps[STEPS];
	int n; /* requests so far */
	struct kt_buf got[STEPS];
};

/* The request is whole: its length is told, or its last chunk is there. */
static bool is_whole(const struct kt_buf *b)
{
	const char *end = strstr(b->ptr, "\r\n\r\n");
	const char *cl = strcasestr(b->ptr, "\r\ncontent-length: ");
	int64_t n = 0;

	if (!end)
		return false;
	if (strcasestr(b->ptr, "\r\ntransfer-encoding: chunked"))
		return b->len >= 5 && !memcmp(b->ptr + b->len - 5, "0\r\n\r\n", 5);
	if (cl && cl < end)
		assert_true(kt_str_int64n(cl + 18, strcspn(cl + 18, "\r"), 0, 1 << 30, &n));
	return b->len >= (size_t)(end + 4 - b->ptr) + (size_t)n;
}

static void answer(int fd, const struct step *s)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	bool json = s->body && s->body[0] == '{';

	kt_buf_addf(&b,
		"HTTP/1.1 %d X\r\nContent-Type: %s\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
		s->status, json ? "application/json" : "text/event-stream",
		/* A stream's length is more than what comes: it was cut. */
		json || s->status == 204 ? strlen(s->body ? s->body : "") : (size_t)999999,
		s->body ? s->body : "");
	(void)send(fd, b.ptr, b.len, MSG_NOSIGNAL);
}

static void *serve(void *arg)
{
	struct server *s = arg;

	for (;;) {
		KT_AUTOFD int fd = accept(s->fd, NULL, NULL);
		const struct step *step = &s->steps[s->n];
		struct kt_buf *b = &s->got[s->n];

		if (fd < 0 || s->n == STEPS)
			return NULL;
		while (!is_whole(b) && (!step->take || b->len < step->take)) {
			char *to = kt_buf_reserve(b, 4096);
			ssize_t n = to ? recv(fd, to, 4096, 0) : -1;

			if (n <= 0)
				break;
			kt_buf_commit(b, (size_t)n);
		}
		s->n++;
		if (step->status)
			answer(fd, step);
		(void)shutdown(fd, SHUT_WR);
		if (!step->take)
			(void)recv(fd, &(char){ 0 }, 1, 0);
	}
}

static void start(struct server *s)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	for (int i = 0; i < STEPS; i++)
		kt_buf_init(&s->got[i], 16 << 20);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s->fd, 16), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &len), 0);
	s->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void stop(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	for (int i = 0; i < STEPS; i++)
		kt_buf_release(&s->got[i]);
}

/* --- a tree and a publish ----------------------------------------------------------------------- */

struct world {
	struct server s;
	char dir[64];
	struct kt_tree *tree;
	struct kt_client *c;
	struct kt_client_publish p;
	struct kt_buf log;
	int stop_after; /* lines of the log, then poll says stop */
	int lines;
	cJSON *out;
	struct kt_err err;
};

static void put(const struct world *w, const char *name, const char *data, size_t len)
{
	KT_AUTOFREE char *path = kt_path_join(w->dir, name);

	assert_int_equal(kt_fs_write_atomic(path, data, len, 0644, false, NULL), KT_OK);
}

static void open_tree(struct world *w)
{
	struct kt_tree_options opts = { .sub = "" };

	kt_tree_free(w->tree);
	kt_pack_limits_init(&opts.limits);
	assert_int_equal(kt_tree_folder(w->dir, &opts, &w->tree, &w->err), KT_OK);
	w->p.tree = w->tree;
}

static void on_log(void *arg, const char *level, const char *text)
{
	struct world *w = arg;

	kt_buf_addf(&w->log, "%s: %s\n", level, text);
	w->lines++;
}

static bool on_poll(void *arg)
{
	const struct world *w = arg;

	return !w->stop_after || w->lines < w->stop_after;
}

static void begin(struct world *w)
{
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/karta-publish.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(kt_crypto_init(NULL), KT_OK);
	put(w, "CLAUDE.md", "be kind\n", 8);
	put(w, "karta.toml", "name = \"shop\"\n", 14);
	kt_buf_init(&w->log, 65536);
	open_tree(w);
	start(&w->s);
	KT_AUTOFREE char *url = kt_asprintf("http://127.0.0.1:%d", w->s.port);
	const struct kt_client_config cfg = { .url = url };

	assert_int_equal(kt_client_new(&cfg, &w->c, &w->err), KT_OK);
	w->p.project = "shop";
	w->p.source = "cli";
	w->p.log = on_log;
	w->p.poll = on_poll;
	w->p.arg = w;
}

static void end(struct world *w)
{
	kt_client_free(w->c);
	stop(&w->s);
	kt_tree_free(w->tree);
	cJSON_Delete(w->out);
	kt_buf_release(&w->log);
	assert_int_equal(kt_fs_remove_tree(w->dir, NULL), KT_OK);
}

static enum kt_code publish(struct world *w)
{
	cJSON_Delete(w->out);
	w->out = NULL;
	return kt_client_publish(w->c, &w->p, &w->out, &w->err);
}

static bool has(const struct world *w, int i, const char *text)
{
	const struct kt_buf *b = &w->s.got[i];

	return memmem(b->ptr, b->len, text, strlen(text)) != NULL;
}

/* The value of a request's Idempotency-Key. */
static char *key_of(const struct world *w, int i)
{
	const char *at = strstr(w->s.got[i].ptr, "\r\nIdempotency-Key: ");

	assert_non_null(at);
	return kt_strndup(at + 19, strcspn(at + 19, "\r"));
}

#define EVENT(n, type, data)                                                                       \
	"id: " #n "\nevent: " type "\ndata: {\"type\":\"" type "\",\"seq\":" #n                    \
	",\"release_id\":\"rel_1\",\"data\":" data "}\n\n"
#define LINE(n, text) EVENT(n, "log", "{\"level\":\"info\",\"text\":\"" text "\"}")
#define RELEASE(n, more)                                                                           \
	EVENT(n, "release",                                                                        \
		"{\"release\":{\"id\":\"rel_1\",\"version\":\"v1\",\"url\":\"http://x/\"," more "}," \
		"\"error\":null,\"activated\":true,\"pinned\":false,\"took_ms\":12}")
#define ACTIVE "\"state\":\"active\",\"active\":true"
#define NO_PROJECT { 404, "{\"code\":\"project_not_found\",\"detail\":\"no such project\"}" }

/* --- tests -------------------------------------------------------------------------------------- */

static void test_first(void **state)
{
	struct world w = { .s.steps = { NO_PROJECT } };
	static char missing[256];
	const struct kt_manifest *m;

	begin(&w);
	m = kt_tree_manifest(w.tree);
	(void)snprintf(missing, sizeof(missing),
		"{\"code\":\"files_missing\",\"missing\":[\"%s\",\"%s\"],\"missing_total\":2}",
		m->files[0].digest, m->files[1].digest);
	w.s.steps[1] = (struct step){ 409, missing };
	w.s.steps[2] = (struct step){ 200, LINE(1, "-----> Unpacking") LINE(2, "two") RELEASE(3, ACTIVE) };
	w.p.commit_sha = "1a2b3c4";
	w.p.ref = "refs/heads/main";
	w.p.expected = "";
	w.p.env = (const char *const[]){ "A=1", "B=x=y", NULL };
	w.p.pr = 7;
	assert_int_equal(publish(&w), KT_OK);
	assert_int_equal(w.s.n, 3);
	assert_true(has(&w, 0, "GET /agent_projects/shop/refs HTTP/1.1\r\n"));
	assert_true(has(&w, 1, "POST /agent_projects/shop/releases HTTP/1.1\r\n"));
	assert_true(has(&w, 1, "Content-Type: application/json\r\n"));
	assert_true(has(&w, 1, "{\"manifest\":\"100644 8 "));
	assert_true(has(&w, 1, m->digest));
	assert_true(has(&w, 1, "\"commit_sha\":\"1a2b3c4\",\"ref\":\"refs/heads/main\""));
	assert_true(has(&w, 1, "\"env\":{\"A\":\"1\",\"B\":\"x=y\"},\"pr\":7,\"expected_commit\":\"\"}"));
	assert_false(has(&w, 1, "activate"));
	assert_false(has(&w, 1, "Accept-Encoding"));
	assert_true(has(&w, 2, "Content-Type: application/vnd.karta.bundle\r\n"));
	assert_true(has(&w, 2, "Content-Length: "));
	assert_true(has(&w, 2, "Accept: text/event-stream\r\n"));
	assert_string_equal(w.log.ptr, "info: -----> Unpacking\ninfo: two\n");
	assert_string_equal(kt_json_str(w.out, "version"), "v1");
	assert_int_equal(kt_json_int(w.out, "took_ms", 0), 12);
	assert_true(kt_json_bool(w.out, "activated", false));
	/* Another body is another attempt. */
	KT_AUTOFREE char *a = key_of(&w, 1);
	KT_AUTOFREE char *b = key_of(&w, 2);

	assert_string_not_equal(a, b);
	end(&w);
}

/* The build as lines: pieces of them, a longer text, a heartbeat; few fields of the release. */
static void test_brief(void **state)
{
	struct world w = { .s.steps = { { 200,
				"v4 rel_7\ninfo -----> Unpacked\n\n\terror: a\n\t  at b\nerror c\ninfo \n"
				"{\"state\":\"active\",\"url\":\"http://x/\",\"activated\":true,\"took_ms\":9}\n" } } };

	begin(&w);
	w.p.live_digest = "";
	w.p.brief = true;
	assert_int_equal(publish(&w), KT_OK);
	assert_int_equal(w.s.n, 1);
	assert_true(has(&w, 0, "Accept: text/plain, text/event-stream\r\n"));
	assert_string_equal(w.log.ptr, "info: -----> Unpacked\nerror: error: a\n  at b\nc\ninfo: \n");
	assert_string_equal(kt_json_str(w.out, "id"), "rel_7");
	assert_string_equal(kt_json_str(w.out, "version"), "v4");
	assert_string_equal(kt_json_str(w.out, "url"), "http://x/");
	assert_int_equal(kt_json_int(w.out, "took_ms", 0), 9);
	end(&w);
}

/* Its connection is lost in mid-line: the log goes on as events, each is told once. */
static void test_brief_lost(void **state)
{
	struct world w = { .s.steps = {
				   { 200, "v1 rel_1\ninfo one\ninfo two\ninf" },
				   { 200, LINE(2, "two") LINE(3, "three") RELEASE(4, ACTIVE) } } };

	begin(&w);
	w.p.live_digest = "";
	w.p.brief = true;
	assert_int_equal(publish(&w), KT_OK);
	assert_int_equal(w.s.n, 2);
	assert_true(has(&w, 1, "GET /agent_projects/shop/releases/rel_1/log?after=2 HTTP/1.1\r\n"));
	assert_string_equal(w.log.ptr, "info: one\ninfo: two\ninfo: three\n");
	end(&w);
}

/* A server that knows no lines; a build that failed; an outcome that cannot be read. */
static void test_brief_others(void **state)
{
	struct world w = {
		.s.steps = { { 200, LINE(1, "one") RELEASE(2, ACTIVE) },
			{ 200,
				"v2 rel_2\nerror  !     no\n{\"state\":\"failed\",\"error\":{\"code\":\"x\","
				"\"message\":\"no such harness\"},\"took_ms\":1}\n" },
			{ 200, "v3 rel_1\n{\"state\":\n" }, { 200, LINE(1, "one") RELEASE(2, ACTIVE) } }
	};

	begin(&w);
	w.p.live_digest = "";
	w.p.brief = true;
	assert_int_equal(publish(&w), KT_OK);
	assert_string_equal(kt_json_str(w.out, "id"), "rel_1");
	assert_int_equal(publish(&w), KT_EIO);
	assert_string_equal(w.err.msg, "v2 failed: no such harness");
	assert_string_equal(kt_json_str(w.out, "id"), "rel_2");
	assert_int_equal(publish(&w), KT_OK);
	assert_int_equal(w.s.n, 4);
	end(&w);
}

static void test_same(void **state)
{
	struct world w = { .s.steps = { { 200, RELEASE(1, ACTIVE) } } };

	begin(&w);
	w.p.live_digest = kt_tree_manifest(w.tree)->digest;
	assert_int_equal(publish(&w), KT_OK);
	assert_int_equal(w.s.n, 1);
	assert_false(has(&w, 0, "manifest"));
	assert_false(has(&w, 0, "delta"));
	assert_true(has(&w, 0, w.p.live_digest));
	end(&w);
}

/* The live release is remembered: the difference and the new file go in one request. */
static void test_delta(void **state)
{
	struct world w = { .s.steps = { { 200, RELEASE(1, ACTIVE) }, { 200, RELEASE(1, ACTIVE) },
				   { 409, "{\"code\":\"base_unknown\"}" },
				   { 200, RELEASE(1, ACTIVE) } } };
	char old[KT_DIGEST_MAX];

	begin(&w);
	KT_AUTOFREE char *git_dir = kt_path_join(w.dir, ".git");

	assert_int_equal(mkdir(git_dir, 0700), 0);
	w.p.git_dir = git_dir;
	w.p.live_digest = kt_tree_manifest(w.tree)->digest;
	assert_int_equal(publish(&w), KT_OK);
	(void)kt_str_copy(old, sizeof(old), w.p.live_digest);
	w.p.live_digest = old;
	put(&w, "NEW.md", "new\n", 4);
	open_tree(&w);
	assert_int_equal(publish(&w), KT_OK);
	assert_int_equal(w.s.n, 2);
	assert_true(has(&w, 1, "Content-Type: application/vnd.karta.bundle\r\n"));
	/* Nothing new to send: a document is enough. When the server has no such base, all of it. */
	put(&w, "karta.toml", "be kind\n", 8);
	KT_AUTOFREE char *gone = kt_path_join(w.dir, "NEW.md");

	assert_int_equal(unlink(gone), 0);
	open_tree(&w);
	assert_int_equal(publish(&w), KT_OK);
	assert_int_equal(w.s.n, 4);
	assert_true(has(&w, 2, "\"base\":\""));
	assert_true(has(&w, 2, "\"delta\":\"-karta.toml\\n+100644 8 ") ||
		has(&w, 2, "\"delta\":\"+100644 8 "));
	assert_true(has(&w, 3, "{\"manifest\":\"100644 8 "));
	end(&w);
}

static void test_log_cut(void **state)
{
	struct world w = { .s.steps = { { 200, LINE(1, "one") LINE(2, "two") },
				   { 200, LINE(2, "two") LINE(3, "three") "id: 4\neve" },
				   { 200, RELEASE(4, ACTIVE) } } };

	begin(&w);
	w.p.live_digest = "";
	assert_int_equal(publish(&w), KT_OK);
	assert_int_equal(w.s.n, 3);
	assert_string_equal(w.log.ptr, "info: one\ninfo: two\ninfo: three\n");
	assert_true(has(&w, 1, "GET /agent_projects/shop/releases/rel_1/log?after=2 "));
	assert_true(has(&w, 2, "GET /agent_projects/shop/releases/rel_1/log?after=3 "));
	end(&w);
}

/* The log is gone after a restart: the release itself is asked for. */
static void test_log_gone(void **state)
{
	struct world w = { .s.steps = { { 200, LINE(1, "one") }, { 404, "{\"code\":\"not_found\"}" },
				   { 200, "{\"id\":\"rel_1\",\"version\":\"v1\",\"state\":\"building\"}" },
				   { 200, "{\"id\":\"rel_1\",\"version\":\"v1\",\"state\":\"failed\","
					  "\"error\":{\"code\":\"interrupted\",\"message\":\"it was cut\"}}" } } };

	begin(&w);
	w.p.live_digest = "";
	assert_int_equal(publish(&w), KT_EIO);
	assert_int_equal(w.s.n, 4);
	assert_string_equal(w.err.msg, "v1 failed: it was cut");
	assert_true(has(&w, 3, "GET /agent_projects/shop/releases/rel_1 "));
	end(&w);
}

/* The answer is lost before it begins: the same request again, with its key. */
static void test_answer_lost(void **state)
{
	struct world w = { .s.steps = { NO_PROJECT, { 0 }, { 503, "{\"detail\":\"starting\"}" },
				   { 200, RELEASE(1, ACTIVE) } } };

	begin(&w);
	assert_int_equal(publish(&w), KT_OK);
	assert_int_equal(w.s.n, 4);
	KT_AUTOFREE char *a = key_of(&w, 1);
	KT_AUTOFREE char *b = key_of(&w, 3);

	assert_string_equal(a, b);
	end(&w);
}

/* A large file: packed while it is sent; cut in the middle, what is missing is asked for anew. */
static void test_upload_cut(void **state)
{
	struct world w = { .s.steps = { NO_PROJECT } };
	KT_AUTOFREE char *big = kt_malloc(BIG_BYTES);
	static char missing[256];
	const struct kt_manifest *m;
	uint32_t x = 1;

	/* Something that does not compress. */
	for (size_t i = 0; i < BIG_BYTES; i++) {
		x = x * 1664525 + 1013904223;
		big[i] = (char)(x >> 24);
	}
	begin(&w);
	put(&w, "big.bin", big, BIG_BYTES);
	open_tree(&w);
	m = kt_tree_manifest(w.tree);
	(void)snprintf(missing, sizeof(missing),
		"{\"code\":\"files_missing\",\"missing\":[\"%s\"],\"missing_total\":1}",
		kt_manifest_find(m, "big.bin")->digest);
	w.s.steps[1] = (struct step){ 409, missing };
	w.s.steps[2] = (struct step){ .take = 100000 };
	w.s.steps[3] = (struct step){ 409, missing };
	w.s.steps[4] = (struct step){ 200, RELEASE(1, ACTIVE) };
	assert_int_equal(publish(&w), KT_OK);
	assert_int_equal(w.s.n, 5);
	assert_true(has(&w, 2, "Transfer-Encoding: chunked\r\n"));
	assert_false(has(&w, 2, "Expect"));
	assert_true(has(&w, 3, "{\"manifest\":"));
	assert_true(w.s.got[4].len > BIG_BYTES);
	end(&w);
}

static void test_outcomes(void **state)
{
	static const struct {
		struct step step;
		enum kt_code code;
		bool has_release;
		const char *msg;
	} cases[] = {
		{ { 200, EVENT(1, "release", "{\"release\":{\"id\":\"rel_1\",\"version\":\"v2\","
			"\"state\":\"failed\"},\"error\":{\"code\":\"x\",\"message\":\"no name\"}}") },
			KT_EIO, true, "v2 failed: no name" },
		{ { 200, EVENT(1, "release", "{\"release\":{\"id\":\"rel_1\",\"version\":\"v2\","
			"\"state\":\"ready\"},\"error\":null,\"activated\":false,\"pinned\":true}") },
			KT_ECONFLICT, true, "v2 is stored but not live: the project is pinned to an "
			"earlier release (a rollback)" },
		{ { 200, EVENT(1, "release", "{\"release\":{\"id\":\"rel_1\",\"version\":\"v2\","
			"\"state\":\"ready\"},\"error\":null,\"activated\":false,\"pinned\":false}") },
			KT_ECONFLICT, true, "v2 is stored but not live: it is ready" },
		{ { 200, EVENT(1, "release", "{\"release\":{\"id\":\"rel_1\",\"version\":\"v2\","
			"\"state\":\"superseded\",\"activated_at\":\"2026-11-22T12:00:00Z\"},"
			"\"activated\":false}") }, KT_OK, true, NULL },
		{ { 200, EVENT(1, "release", "{\"release\":{\"id\":\"rel_1\",\"version\":\"v2\","
			"\"state\":\"preview\",\"preview\":\"shop-pr-7\"},\"activated\":false,"
			"\"pinned\":true}") }, KT_OK, true, NULL },
		{ { 200, EVENT(1, "release", "{\"release\":{\"id\":\"rel_1\",\"version\":\"v2\","
			"\"state\":\"expired\",\"preview\":\"shop-pr-7\"},\"activated\":false}") },
			KT_ECONFLICT, true, "v2 is not live: its preview is over, because the pull "
			"request was closed or the ref deleted" },
		{ { 201, "{\"id\":\"rel_1\",\"version\":\"v2\",\"state\":\"active\"}" }, KT_OK, true, NULL },
		{ { 422, "{\"code\":\"build_failed\",\"detail\":\"bad\",\"release\":{\"id\":\"r\"}}" },
			KT_EIO, true, "bad" },
		{ { 409, "{\"code\":\"ref_moved\",\"detail\":\"it moved\"}" }, KT_ECONFLICT, false,
			"it moved" },
		{ { 401, "{\"detail\":\"no key\"}" }, KT_EAUTH, false, "no key" },
		{ { 409, "{\"code\":\"files_missing\",\"missing\":[\"0000\"],\"missing_total\":1}" },
			KT_EPROTO, false, "the server asks for a file that is not in the release" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		struct world w = { .s.steps = { cases[i].step } };

		begin(&w);
		w.p.live_digest = "";
		assert_int_equal(publish(&w), cases[i].code);
		assert_int_equal(w.out != NULL, cases[i].has_release);
		if (cases[i].msg)
			assert_string_equal(w.err.msg, cases[i].msg);
		assert_int_equal(w.s.n, 1);
		end(&w);
	}
}

static void test_stuck(void **state)
{
	struct world w = { .s.n = 0 };
	static char missing[256];

	begin(&w);
	(void)snprintf(missing, sizeof(missing),
		"{\"code\":\"files_missing\",\"missing\":[\"%s\"],\"missing_total\":1}",
		kt_tree_manifest(w.tree)->files[0].digest);
	for (int i = 0; i < STEPS; i++)
		w.s.steps[i] = (struct step){ 409, missing };
	w.p.live_digest = "";
	assert_int_equal(publish(&w), KT_EPROTO);
	assert_true(w.s.n < STEPS);
	end(&w);
}

static void test_let_go(void **state)
{
	struct world w = { .s.steps = { { 200, LINE(1, "one") } }, .stop_after = 1 };

	begin(&w);
	w.p.live_digest = "";
	assert_int_equal(publish(&w), KT_ECANCEL);
	assert_string_equal(kt_json_str(w.out, "id"), "rel_1");
	end(&w);
}

static void test_no_wait(void **state)
{
	struct world w = { .s.steps = { { 202, "{\"accepted\":true,\"release\":{\"id\":\"rel_1\","
					       "\"version\":\"v1\",\"state\":\"queued\"}}" } } };

	begin(&w);
	w.p.live_digest = "";
	w.p.no_wait = true;
	assert_int_equal(publish(&w), KT_OK);
	assert_true(has(&w, 0, "Prefer: respond-async\r\n"));
	assert_string_equal(kt_json_str(w.out, "state"), "queued");
	end(&w);
}

static void test_redeploy(void **state)
{
	struct world w = { .s.steps = { { 202, "{\"accepted\":true,\"deploy\":{\"id\":\"rel_9\","
					       "\"state\":\"queued\"}}" },
				   { 200, LINE(1, "one") RELEASE(2, ACTIVE) } } };

	begin(&w);
	w.p.tree = NULL;
	w.p.commit_sha = "1a2b3c4";
	w.p.no_activate = true;
	assert_int_equal(publish(&w), KT_OK);
	assert_true(has(&w, 0, "POST /agent_projects/shop/deploys "));
	assert_true(has(&w, 0, "\"commit_sha\":\"1a2b3c4\""));
	assert_true(has(&w, 0, "\"activate\":false"));
	assert_true(has(&w, 1, "GET /agent_projects/shop/releases/rel_9/log"));
	assert_string_equal(w.log.ptr, "info: one\n");
	end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first),
		cmocka_unit_test(test_brief),
		cmocka_unit_test(test_brief_lost),
		cmocka_unit_test(test_brief_others),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_delta),
		cmocka_unit_test(test_log_cut),
		cmocka_unit_test(test_log_gone),
		cmocka_unit_test(test_answer_lost),
		cmocka_unit_test(test_upload_cut),
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_stuck),
		cmocka_unit_test(test_let_go),
		cmocka_unit_test(test_no_wait),
		cmocka_unit_test(test_redeploy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
