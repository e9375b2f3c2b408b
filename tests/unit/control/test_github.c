/* SPDX-License-Identifier: MIT */
/*
 * GitHub's webhooks against a forge of our own: signatures, which deliveries do something, fetching
 * with and without redirects, and that the token goes to the forge only.
 */
#include "work.h"

#include "net/reach.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#define SECRET "hook-secret-0123456789"
#define TOKEN "ghp_tokentokentokentoken"
#define LOOP_SHA "dddddddddddddddddddddddddddddddddddddddd" /* redirected for ever */
#define SLOW_SHA "5555555555555555555555555555555555555555" /* answered when the test says */
#define GONE_SHA "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee" /* 404 */
#define BIG_SHA "ffffffffffffffffffffffffffffffffffffffff" /* larger than allowed */

/* --- the forge: the API on one port, the files on another ------------------------------------------------ */

static struct {
	int listen[2], port[2];
	pthread_t thread;
	atomic_bool stop;
	atomic_int api, files; /* requests */
	atomic_bool api_token, files_token; /* the token was seen */
	int held[16]; /* connections that wait for an answer */
	atomic_int n_held;
	atomic_bool let_go;
	char *archive;
	size_t archive_len;
} forge;

static void send_all(int fd, const char *s, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, s, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		s += n;
		len -= (size_t)n;
	}
}

static void send_text(int fd, const char *s)
{
	send_all(fd, s, strlen(s));
}

static void api_answer(int fd, const char *sha)
{
	char head[400];

	forge.api++;
	if (kt_str_starts(sha, GONE_SHA)) {
		send_text(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
		return;
	}
	if (kt_str_starts(sha, LOOP_SHA))
		(void)snprintf(head, sizeof(head),
			"HTTP/1.1 302 Found\r\nLocation: /repos/acme/bot/tarball/%.40s\r\n"
			"Content-Length: 0\r\nConnection: close\r\n\r\n",
			sha);
	else
		(void)snprintf(head, sizeof(head),
			"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/files/%.40s?x=1\r\n"
			"Content-Length: 0\r\nConnection: close\r\n\r\n",
			forge.port[1], sha);
	send_text(fd, head);
}

static void files_answer(int fd, const char *sha)
{
	static const char zeros[65536];
	char head[200];
	size_t len = kt_str_starts(sha, BIG_SHA) ? 300000 : forge.archive_len;

	forge.files++;
	(void)snprintf(head, sizeof(head),
		"HTTP/1.1 200 OK\r\nContent-Type: application/x-gzip\r\nContent-Length: %zu\r\n"
		"Connection: close\r\n\r\n",
		len);
	send_text(fd, head);
	if (!kt_str_starts(sha, BIG_SHA))
		send_all(fd, forge.archive, len);
	for (size_t left = len; kt_str_starts(sha, BIG_SHA) && left > 0;) {
		size_t n = KT_MIN(left, sizeof(zeros));

		send_all(fd, zeros, n);
		left -= n;
	}
}

/* False: it keeps the connection. */
static bool serve_one(int fd, int which)
{
	char req[8192];
	size_t len = 0;

	while (len < sizeof(req) - 1) {
		ssize_t n = recv(fd, req + len, sizeof(req) - 1 - len, 0);

		if (n <= 0)
			return true;
		len += (size_t)n;
		req[len] = '\0';
		if (strstr(req, "\r\n\r\n"))
			break;
	}
	if (strstr(req, "Bearer " TOKEN))
		*(which ? &forge.files_token : &forge.api_token) = true;
	if (which == 0 && kt_str_starts(req, "GET /repos/acme/bot/tarball/" SLOW_SHA) &&
		!forge.let_go) {
		forge.held[forge.n_held] = fd;
		forge.n_held++;
		return false;
	}
	if (which == 0 && kt_str_starts(req, "GET /repos/acme/bot/tarball/"))
		api_answer(fd, req + strlen("GET /repos/acme/bot/tarball/"));
	else if (which == 1 && kt_str_starts(req, "GET /files/"))
		files_answer(fd, req + strlen("GET /files/"));
	else
		send_text(fd, "HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	return true;
}

static void *forge_thread(void *arg)
{
	(void)arg;
	while (!forge.stop) {
		while (forge.let_go && forge.n_held > 0)
			(void)close(forge.held[--forge.n_held]);
		struct pollfd p[2] = { { .fd = forge.listen[0], .events = POLLIN },
			{ .fd = forge.listen[1], .events = POLLIN } };

		if (poll(p, 2, 20) <= 0)
			continue;
		for (int i = 0; i < 2; i++) {
			int fd = p[i].revents ? accept(forge.listen[i], NULL, NULL) : -1;

			if (fd < 0)
				continue;
			if (serve_one(fd, i))
				(void)close(fd);
		}
	}
	return NULL;
}

static enum kt_code read_file(
	void *arg, const struct kt_file *f, struct kt_buf *out, struct kt_err *err)
{
	(void)arg;
	(void)err;
	kt_buf_adds(out, strcmp(f->path, "acme-bot-1/CLAUDE.md") == 0 ? "You are Beans.\n" : "");
	return KT_OK;
}

static void make_archive(void)
{
	const struct file f[] = { { "acme-bot-1/CLAUDE.md", "You are Beans.\n", 0 } };
	struct kt_manifest *m = manifest_of(f, 1);
	char name[] = "/tmp/kt-forge-XXXXXX";
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	KT_AUTOFD int fd = mkstemp(name);

	assert_true(fd >= 0);
	assert_int_equal(kt_archive_write(m, "tar.gz", read_file, NULL, fd, NULL), KT_OK);
	assert_int_equal(kt_fs_read(name, &b, NULL), KT_OK);
	(void)unlink(name);
	forge.archive_len = b.len;
	forge.archive = kt_malloc(b.len);
	memcpy(forge.archive, b.ptr, b.len);
	kt_manifest_free(m);
}

static int forge_start(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in sa = { .sin_family = AF_INET,
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t len = sizeof(sa);

		forge.listen[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (bind(forge.listen[i], (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
			listen(forge.listen[i], 16) != 0 ||
			getsockname(forge.listen[i], (struct sockaddr *)&sa, &len) != 0)
			return -1;
		forge.port[i] = ntohs(sa.sin_port);
	}
	make_archive();
	return pthread_create(&forge.thread, NULL, forge_thread, NULL);
}

static int forge_stop(void **state)
{
	(void)state;
	forge.stop = true;
	(void)pthread_join(forge.thread, NULL);
	(void)close(forge.listen[0]);
	(void)close(forge.listen[1]);
	free(forge.archive);
	return 0;
}

/* --- the rig -------------------------------------------------------------------------------------------------- */

static struct kt_spawner *spawner;

static void connect_forge(struct rig *r)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	assert_true(n > 0);
	self[n] = '\0';
	free(r->ctl->self);
	r->ctl->self = kt_strdup(self);
	r->ctl->github_url = kt_asprintf("http://127.0.0.1:%d/", forge.port[0]);
	r->ctl->cfg.spawner = spawner;
	kt_reach_free(r->ctl->reach);
	assert_int_equal(kt_reach_new("127.0.0.1", &r->ctl->reach, NULL), KT_OK);
}

static int setup(void **state)
{
	struct rig *r;

	if (rig_setup(state) != 0)
		return -1;
	r = *state;
	if (kt_spawner_start(&spawner, NULL) != KT_OK ||
		kt_spawner_attach(spawner, r->loop, NULL) != KT_OK)
		return -1;
	connect_forge(r);
	forge.api = forge.files = 0;
	forge.api_token = forge.files_token = false;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	kt_control_free(r->ctl);
	r->ctl = NULL;
	kt_spawner_free(spawner);
	return rig_teardown(state);
}

static void bind_repo(struct rig *r, const struct kt_actor *who, const char *slug,
	const char *url, const char *secret)
{
	struct answer a = { 0 };
	struct kt_project_change ch = { .repo_url = url, .repo_token = TOKEN,
		.webhook_secret = secret };

	make_project(r, who, slug);
	RUN(r, &a, kt_control_project_change(r->ctl, who, slug, &ch, NULL, on_answer, &a));
	ASSERT_STATUS(&a, 200);
	answer_clear(&a);
}

/* To the address of a project, or (NULL) to the one that names none. */
static void deliver_to(struct rig *r, struct answer *a, const char *project, const char *event,
	const char *body, const char *secret)
{
	char sig[7 + KT_DIGEST_MAX] = "sha256=";
	struct kt_actor nobody = { .remote_ip = "127.0.0.1", .request_id = "req_hook" };
	struct kt_github_delivery d = { .project = project, .event = event, .signature = sig,
		.body = body, .len = strlen(body) };

	kt_hmac_sha256_hex(secret, strlen(secret), body, strlen(body), sig + 7);
	RUN(r, a, kt_control_github(r->ctl, &nobody, &d, on_answer, a));
}

static void deliver(struct rig *r, struct answer *a, const char *event, const char *id,
	const char *body, const char *secret)
{
	(void)id;
	deliver_to(r, a, NULL, event, body, secret);
}

#define REPO_MEMBERS                                                                               \
	"\"full_name\":\"acme/bot\",\"clone_url\":\"https://github.com/acme/bot.git\","            \
	"\"html_url\":\"https://github.com/acme/bot\""
#define REPO "\"repository\":{" REPO_MEMBERS "}"
#define ZERO "0000000000000000000000000000000000000000"
#define PUSH_OF(ref, before, sha, repo)                                                            \
	"{\"ref\":\"" ref "\",\"before\":\"" before "\",\"after\":\"" sha                       \
	"\",\"deleted\":false,\"head_commit\":{\"message\":\"Better beans\\n\\nMore.\"}," repo "}"
/* at: seconds since 1970, of one digit: long ago. */
#define AT(at) "\"repository\":{\"pushed_at\":170000000" #at "," REPO_MEMBERS "}"
#define PUSH_AT(before, sha, at) PUSH_OF("refs/heads/main", before, sha, AT(at))
#define PUSH(ref, sha) PUSH_OF(ref, ZERO, sha, AT(1))
#define PULL_AT(action, sha, head, at)                                                             \
	"{\"action\":\"" action "\",\"number\":7,\"pull_request\":{\"title\":\"Try\","            \
	"\"updated_at\":\"2026-01-01T00:00:0" #at "Z\",\"head\":"                                  \
	"{\"ref\":\"main\",\"sha\":\"" sha "\",\"repo\":" head "},\"base\":{\"ref\":\"main\","     \
	"\"repo\":{\"full_name\":\"acme/bot\"}}}," REPO "}"
#define PULL(action, sha, head) PULL_AT(action, sha, head, 1)

/* Until the fetches are over, their publishes accepted and the builds done. */
static void settle_down(struct rig *r)
{
	int64_t until = kt_mono_us() + slowed_ms(PATIENCE_MS) * 1000;
	bool busy = true;

	while (busy && kt_mono_us() < until) {
		size_t pos = 0;
		const char *key;
		void *value;

		rig_turn(r, 5);
		busy = r->ctl->fetches.len > 0;
		while (kt_map_next(&r->ctl->builds, &pos, &key, &value))
			busy = busy || !((struct kt_build *)value)->over;
	}
	assert_false(busy);
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

/* The example of "Validating webhook deliveries". */
static void test_published_example(void **state)
{
	char mac[KT_DIGEST_MAX];

	(void)state;
	kt_hmac_sha256_hex("It's a Secret to Everybody", 26, "Hello, World!", 13, mac);
	assert_string_equal(
		mac, "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
}

static void test_signature(void **state)
{
	static const char *const bad[] = { NULL, "", "sha256=", "sha1=00", "sha256=zz",
		"sha256=0000000000000000000000000000000000000000000000000000000000000000" };
	struct rig *r = *state;
	struct answer a = { 0 };
	struct kt_actor nobody = { 0 };
	const char *body = PUSH("refs/heads/main", SHA_A);

	/* Nothing is bound. */
	deliver(r, &a, "push", "d1", body, SECRET);
	ASSERT_STATUS(&a, 401);
	bind_repo(r, &r->actor, "bot", "https://github.com/acme/bot", SECRET);
	make_project(r, &r->actor, "unbound");
	for (size_t i = 0; i < KT_ARRAY_LEN(bad); i++) {
		struct kt_github_delivery d = { .event = "push", .signature = bad[i], .body = body,
			.len = strlen(body) };

		RUN(r, &a, kt_control_github(r->ctl, &nobody, &d, on_answer, &a));
		ASSERT_STATUS(&a, 401);
		assert_string_equal(a.code, "bad_signature");
	}
	deliver(r, &a, "push", "d1", body, "another secret");
	ASSERT_STATUS(&a, 401);
	deliver(r, &a, "push", "d1", body, "");
	ASSERT_STATUS(&a, 401);
	/* Not parsed before: what is no JSON is told to who signed only. */
	deliver(r, &a, "push", "d1", "no json", "another secret");
	ASSERT_STATUS(&a, 401);
	deliver(r, &a, "push", "d1", "no json", SECRET);
	ASSERT_STATUS(&a, 400);
	settle_down(r);
	assert_int_equal(forge.api, 0);
	answer_clear(&a);
}

static void test_push(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };

	bind_repo(r, &r->actor, "bot", "https://github.com/acme/bot.git", SECRET);
	deliver(r, &a, "push", "d1", PUSH("refs/heads/main", SHA_A), SECRET);
	ASSERT_STATUS(&a, 202);
	assert_text(&a, "project", "bot");
	assert_text(&a, "commit_sha", SHA_A);
	settle_down(r);
	assert_int_equal(forge.api, 1);
	assert_int_equal(forge.files, 1);
	assert_true(forge.api_token);
	assert_false(forge.files_token);
	show(r, &a, "bot", "current");
	ASSERT_STATUS(&a, 200);
	assert_text(&a, "commit_sha", SHA_A);
	assert_text(&a, "source", "webhook");
	assert_text(&a, "message", "Better beans");
	assert_text(&a, "created_by", "github");
	/* The same delivery again; another one of the same commit is another push. */
	deliver(r, &a, "push", "d1", PUSH("refs/heads/main", SHA_A), SECRET);
	ASSERT_STATUS(&a, 200);
	assert_text(&a, "ignored", "this delivery was seen");
	settle_down(r);
	assert_int_equal(forge.api, 1);
	RUN(r, &a, kt_control_releases(r->ctl, &r->actor, "bot", 0, 10, on_answer, &a));
	assert_int_equal(cJSON_GetArraySize(kt_json_arr(a.doc, "data")), 1);
	assert_false(on_disk(r, TOKEN));
	answer_clear(&a);
}

static void test_ignored(void **state)
{
	static const struct {
		const char *event, *body;
	} cases[] = {
		{ "ping", "{\"zen\":\"x\"}" },
		{ "issues", "{\"action\":\"opened\"," REPO "}" },
		{ "push", PUSH("refs/heads/feature", SHA_A) },
		{ "push", PUSH("refs/tags/main", SHA_A) },
		{ "push", "{\"ref\":\"refs/heads/main\",\"deleted\":true,\"after\":"
			  "\"0000000000000000000000000000000000000000\"," REPO "}" },
		{ "push", PUSH("refs/heads/main", "../../../../../../etc/passwd") },
		{ "push", "{\"ref\":\"refs/heads/main\",\"after\":\"" SHA_A "\",\"repository\":"
			  "{\"full_name\":\"acme/other\"}}" },
		{ "push", "{\"ref\":\"refs/heads/main\",\"after\":\"" SHA_A "\"}" },
		{ "push", "{}" },
		{ "pull_request", PULL("labeled", SHA_A, "null") },
		{ "pull_request", PULL("closed", SHA_A, "null") },
		{ "pull_request", "{\"action\":\"opened\",\"number\":-1," REPO "}" },
		{ "pull_request", "{\"action\":\"opened\",\"number\":1," REPO "}" },
	};
	struct rig *r = *state;
	struct answer a = { 0 };

	bind_repo(r, &r->actor, "bot", "https://github.com/acme/bot", SECRET);
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		deliver(r, &a, cases[i].event, NULL, cases[i].body, SECRET);
		ASSERT_STATUS(&a, 200);
		assert_non_null(text_of(&a, "ignored"));
	}
	settle_down(r);
	assert_int_equal(forge.api, 0);
	answer_clear(&a);
}

static void test_pull_request(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	struct kt_target t;
	const char *own = PULL("opened", SHA_A, "{\"full_name\":\"acme/bot\"}");
	const char *fork = PULL_AT("synchronize", SHA_B, "{\"full_name\":\"evil/bot\"}", 2);

	bind_repo(r, &r->actor, "bot", "https://github.com/acme/bot", SECRET);
	deliver(r, &a, "pull_request", "d1", own, SECRET);
	ASSERT_STATUS(&a, 202);
	settle_down(r);
	assert_int_equal(kt_control_target_host(r->ctl, "bot-pr-7", &t, NULL), KT_OK);
	show(r, &a, "bot", t.release_id);
	assert_text(&a, "state", "preview");
	assert_false(kt_json_bool(a.doc, "fork", true));
	assert_int_equal(kt_json_int(a.doc, "pr", 0), 7);
	/* The same pull request, now with code from a fork. */
	deliver(r, &a, "pull_request", "d2", fork, SECRET);
	ASSERT_STATUS(&a, 202);
	settle_down(r);
	assert_int_equal(kt_control_target_host(r->ctl, "bot-pr-7", &t, NULL), KT_OK);
	show(r, &a, "bot", t.release_id);
	assert_text(&a, "commit_sha", SHA_B);
	assert_true(kt_json_bool(a.doc, "fork", false));
	/* Production has nothing of it. */
	assert_null(project_mem(r, "bot")->current);
	deliver(r, &a, "pull_request", "d3", PULL_AT("closed", SHA_B, "null", 3), SECRET);
	ASSERT_STATUS(&a, 202);
	assert_int_equal(kt_control_target_host(r->ctl, "bot-pr-7", &t, NULL), KT_ENOTFOUND);
	rig_restart(r);
	assert_int_equal(kt_control_target_host(r->ctl, "bot-pr-7", &t, NULL), KT_ENOTFOUND);
	answer_clear(&a);
}

/* What goes wrong afterwards stands in the project's log, and the delivery may come again. */
static void test_failures(void **state)
{
	static const struct {
		const char *body, *why;
	} cases[] = {
		{ PUSH("refs/heads/main", LOOP_SHA), "redirects too often" },
		{ PUSH_AT(ZERO, GONE_SHA, 2), "answered 404" },
		{ PUSH_AT(ZERO, BIG_SHA, 3), "larger than 200000 bytes" },
	};
	struct rig *r = *state;
	struct answer a = { 0 };

	bind_repo(r, &r->actor, "bot", "https://github.com/acme/bot", SECRET);
	r->ctl->limits.max_archive_bytes = 200000;
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		for (int again = 0; again < 2; again++) {
			KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
			struct kt_evlog *log;
			uint64_t last;
			size_t n;

			deliver(r, &a, "push", "d1", cases[i].body, SECRET);
			ASSERT_STATUS(&a, 202);
			settle_down(r);
			assert_int_equal(
				kt_control_project_log(r->ctl, &r->actor, "bot", &log, NULL),
				KT_OK);
			assert_int_equal(
				kt_evlog_read(log, 0, 1000, 1 << 20, &b, &n, &last, NULL), KT_OK);
			if (!strstr(b.ptr, cases[i].why))
				fail_msg("no '%s' in %s", cases[i].why, b.ptr);
			assert_null(strstr(b.ptr, TOKEN));
		}
	}
	/* No file is left. */
	KT_AUTOFREE char *tmp = kt_path_join(r->dir, "tmp");
	char **names;
	size_t n;

	assert_int_equal(kt_fs_list(tmp, &names, &n, NULL), KT_OK);
	assert_int_equal(n, 0);
	kt_fs_names_free(names, n);
	assert_int_equal(forge.api, 2 * (4 + 1 + 1));
	answer_clear(&a);
}

/* A secret opens its own project only, whatever the body says. */
static void test_two_organizations(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };

	bind_repo(r, &r->actor, "bot", "https://github.com/acme/bot", SECRET);
	bind_repo(r, &r->stranger, "theirs", "https://github.com/acme/theirs", "their own secret");
	deliver(r, &a, "push", "d1", PUSH("refs/heads/main", SHA_A), "their own secret");
	ASSERT_STATUS(&a, 200);
	assert_text(&a, "ignored", "not the bound repository");
	deliver(r, &a, "push", "d1", PUSH("refs/heads/main", SHA_A), SECRET);
	ASSERT_STATUS(&a, 202);
	assert_text(&a, "project", "bot");
	settle_down(r);
	answer_clear(&a);
}

/* The address names the project: nobody else's secret is tried, and nothing is told of who is there. */
static void test_named(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	char bot[KT_ID_MAX], theirs[KT_ID_MAX];
	const char *body = PUSH("refs/heads/main", SHA_A);

	bind_repo(r, &r->actor, "bot", "https://github.com/acme/bot", SECRET);
	bind_repo(r, &r->stranger, "theirs", "https://github.com/acme/bot", "their own secret");
	make_project(r, &r->actor, "unbound");
	(void)kt_str_copy(bot, sizeof(bot), project_mem(r, "bot")->id);
	(void)kt_str_copy(theirs, sizeof(theirs),
		kt_index_project(r->ctl, r->stranger.who->org_id, "theirs")->id);
	deliver_to(r, &a, theirs, "push", body, SECRET);
	ASSERT_STATUS(&a, 401);
	deliver_to(r, &a, project_mem(r, "unbound")->id, "push", body, SECRET);
	ASSERT_STATUS(&a, 401);
	deliver_to(r, &a, "proj_none", "push", body, SECRET);
	ASSERT_STATUS(&a, 401);
	assert_string_equal(a.code, "bad_signature");
	deliver_to(r, &a, bot, "push", body, SECRET);
	ASSERT_STATUS(&a, 202);
	assert_text(&a, "project", "bot");
	settle_down(r);
	answer_clear(&a);
}

#define MANY 300 /* over what is tried for an address that names no project */

static void test_many_bound(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	char id[KT_ID_MAX], slug[16];
	const char *body = PUSH("refs/heads/other", SHA_A);

	for (int i = 0; i < MANY; i++) {
		(void)snprintf(slug, sizeof(slug), "bot%d", i);
		bind_repo(r, &r->actor, slug, "https://github.com/acme/bot", "some other secret");
	}
	deliver(r, &a, "push", "d1", body, SECRET);
	ASSERT_STATUS(&a, 503);
	assert_non_null(strstr(a.message, "the address that names the project"));
	bind_repo(r, &r->actor, "last", "https://github.com/acme/bot", SECRET);
	(void)kt_str_copy(id, sizeof(id), project_mem(r, "last")->id);
	deliver_to(r, &a, id, "push", body, SECRET);
	ASSERT_STATUS(&a, 200);
	assert_text(&a, "ignored", "not the production branch");
	answer_clear(&a);
}

/* The server ends in the middle of a download. */
static void test_end_while_fetching(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };

	bind_repo(r, &r->actor, "bot", "https://github.com/acme/bot", SECRET);
	for (int i = 0; i < 8; i++) {
		KT_AUTOFREE char *body = kt_strdup(PUSH("refs/heads/main", SHA_A));
		char *digit = strstr(body, "1700000001");

		digit[9] = (char)('1' + i);
		deliver(r, &a, "push", "d1", body, SECRET);
		ASSERT_STATUS(&a, 202);
	}
	rig_restart(r);
	answer_clear(&a);
}

static int push_slow(struct rig *r, struct answer *a, int n)
{
	KT_AUTOFREE char *body = kt_strdup(PUSH("refs/heads/main", SLOW_SHA));
	char at[11];

	(void)snprintf(at, sizeof(at), "17%08d", n);
	memcpy(strstr(body, "1700000001"), at, 10);
	deliver(r, a, "push", "d", body, SECRET);
	return a->status;
}

/* An organization whose repository does not answer keeps no other from its own. */
static void test_turns(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	int64_t until = kt_mono_us() + slowed_ms(PATIENCE_MS) * 1000;

	forge.let_go = false;
	bind_repo(r, &r->actor, "bot", "https://github.com/acme/bot", SECRET);
	bind_repo(r, &r->stranger, "other", "https://github.com/acme/bot", "another secret of theirs");
	for (int i = 0; i < KT_MAX_FETCHES_QUEUED_ORG; i++)
		assert_int_equal(push_slow(r, &a, i), 202);
	assert_int_equal(push_slow(r, &a, KT_MAX_FETCHES_QUEUED_ORG), 503);
	assert_string_equal(a.code, "too_many_builds");
	while (forge.n_held < KT_MAX_FETCHES_ORG && kt_mono_us() < until)
		rig_turn(r, 5);
	deliver(r, &a, "push", "d", PUSH("refs/heads/main", SHA_A), "another secret of theirs");
	ASSERT_STATUS(&a, 202);
	while (r->ctl->fetches.len > KT_MAX_FETCHES_QUEUED_ORG && kt_mono_us() < until)
		rig_turn(r, 5);
	assert_int_equal(r->ctl->fetches.len, KT_MAX_FETCHES_QUEUED_ORG);
	assert_int_equal(forge.files, 1);
	/* No more of them than may, however many threads have nothing to do. */
	assert_int_equal(forge.n_held, KT_MAX_FETCHES_ORG);
	/* The end finds some that run and many that wait. */
	rig_restart(r);
	forge.let_go = true;
	answer_clear(&a);
}

/* --- deliveries that are sent again, by whom ever ------------------------------------------------------------------ */

/* X-GitHub-Delivery is what the sender of a copy likes it to be. */
static const char *other_id(void)
{
	static char id[16];
	static int n;

	(void)snprintf(id, sizeof(id), "copy%d", ++n);
	return id;
}

static void taken(struct rig *r, const char *event, const char *body)
{
	struct answer a = { 0 };

	deliver(r, &a, event, other_id(), body, SECRET);
	ASSERT_STATUS(&a, 202);
	settle_down(r);
	answer_clear(&a);
}

static void refused(struct rig *r, const char *event, const char *body, const char *why)
{
	struct answer a = { 0 };
	int asked = forge.api;

	deliver(r, &a, event, other_id(), body, SECRET);
	ASSERT_STATUS(&a, 200);
	if (!strstr(text_of(&a, "ignored"), why))
		fail_msg("'%s' instead of '%s'", text_of(&a, "ignored"), why);
	settle_down(r);
	assert_int_equal(forge.api, asked);
	answer_clear(&a);
}

static void live(struct rig *r, const char *sha)
{
	struct answer a = { 0 };

	show(r, &a, "bot", "current");
	ASSERT_STATUS(&a, 200);
	assert_text(&a, "commit_sha", sha);
	answer_clear(&a);
}

static enum kt_code forget_work(struct kt_tx *tx, void *arg, struct kt_err *err)
{
	char digest[KT_DIGEST_MAX];
	struct rig *r = ((void **)arg)[0];
	const char *body = ((void **)arg)[1];

	kt_sha256_of(body, strlen(body), digest);
	return kt_tx_delivery_end(tx, project_mem(r, "bot")->id, digest, false, err);
}

/* So many came since that its digest is not remembered any more. */
static void forget(struct rig *r, const char *body)
{
	void *arg[] = { r, kt_strdup(body) };

	assert_int_equal(kt_store_do(r->ctl->store, true, forget_work, arg, NULL), KT_OK);
	free(arg[1]);
}

static void test_old_push_again(void **state)
{
	static const char first[] = PUSH_AT(ZERO, SHA_A, 1), second[] = PUSH_AT(SHA_A, SHA_B, 2),
			  forced[] = PUSH_AT(SHA_B, SHA_C, 5);
	struct rig *r = *state;

	bind_repo(r, &r->actor, "bot", "https://github.com/acme/bot", SECRET);
	taken(r, "push", first);
	taken(r, "push", second);
	live(r, SHA_B);
	/* A copy of either, at once, after a restart, and when its digest is long forgotten. */
	for (int i = 0; i < 3; i++) {
		refused(r, "push", first, i < 2 ? "was seen" : "newer state");
		refused(r, "push", second, "was seen");
		if (i == 0) {
			rig_restart(r);
			connect_forge(r);
		} else {
			forget(r, first);
			forget(r, second);
		}
	}
	live(r, SHA_B);
	/* A newer one fails: it may come again, and what was before it may not. */
	for (int i = 0; i < 2; i++) {
		taken(r, "push", PUSH_AT(SHA_B, GONE_SHA, 3));
		refused(r, "push", second, "newer state");
	}
	/* One that overtook the one before it, a forced one, one whose predecessor never came. */
	taken(r, "push", forced); /* its predecessor is unknown */
	refused(r, "push", PUSH_AT(SHA_B, SHA_A, 4), "newer state");
	live(r, SHA_C);
	taken(r, "push", PUSH_AT("dddddddddddddddddddddddddddddddddddddddd", SHA_A, 6));
	live(r, SHA_A);
	/* Of the same second: the chain of commits tells. */
	taken(r, "push", PUSH_AT(SHA_A, SHA_B, 6));
	refused(r, "push", PUSH_AT(SHA_C, SHA_A, 6), "newer state");
	live(r, SHA_B);
	/* Without a time nothing else does. */
	refused(r, "push", PUSH_OF("refs/heads/main", SHA_A, SHA_C, REPO), "cannot be told");
	taken(r, "push", PUSH_OF("refs/heads/main", SHA_B, SHA_C, REPO));
	live(r, SHA_C);
}

static void test_deleted_and_again(void **state)
{
	static const char first[] = PUSH_AT(ZERO, SHA_A, 1);
	struct rig *r = *state;

	bind_repo(r, &r->actor, "bot", "https://github.com/acme/bot", SECRET);
	taken(r, "push", first);
	refused(r, "push",
		"{\"ref\":\"refs/heads/main\",\"deleted\":true,\"before\":\"" SHA_A
		"\",\"after\":\"" ZERO "\"," AT(2) "}",
		"nothing was pushed");
	forget(r, first);
	refused(r, "push", first, "newer state");
	taken(r, "push", PUSH_AT(ZERO, SHA_B, 3));
	live(r, SHA_B);
}

/* What was moved by another way is known from then on. */
static void test_moved_otherwise(void **state)
{
	static const char old[] = PUSH_AT(ZERO, SHA_A, 1);
	const struct file f[] = { { "CLAUDE.md", "by hand\n", 0 } };
	struct rig *r = *state;
	struct answer a = { 0 };

	bind_repo(r, &r->actor, "bot", "https://github.com/acme/bot", SECRET);
	taken(r, "push", old);
	deploy(r, &a, "bot", f, 1, "\"ref\":\"refs/heads/main\",\"commit_sha\":\"" SHA_C "\"");
	settle_down(r);
	live(r, SHA_C);
	forget(r, old);
	refused(r, "push", old, "newer state");
	refused(r, "push", PUSH_AT(SHA_A, SHA_B, 2), "newer state");
	live(r, SHA_C);
	/* A time is to come: 2033. */
	taken(r, "push",
		PUSH_OF("refs/heads/main", SHA_C, SHA_B,
			"\"repository\":{\"pushed_at\":2000000000," REPO_MEMBERS "}"));
	live(r, SHA_B);
	answer_clear(&a);
}

static void test_old_pull_request_again(void **state)
{
	static const char opened[] = PULL_AT("opened", SHA_A, "null", 1),
			  synced[] = PULL_AT("synchronize", SHA_B, "null", 2),
			  closed[] = PULL_AT("closed", SHA_B, "null", 3),
			  reopened[] = PULL_AT("reopened", SHA_B, "null", 4);
	struct rig *r = *state;
	struct kt_target t;

	bind_repo(r, &r->actor, "bot", "https://github.com/acme/bot", SECRET);
	taken(r, "pull_request", opened);
	taken(r, "pull_request", synced);
	refused(r, "pull_request", opened, "was seen");
	forget(r, opened);
	refused(r, "pull_request", opened, "newer state");
	taken(r, "pull_request", closed);
	assert_int_equal(kt_control_target_host(r->ctl, "bot-pr-7", &t, NULL), KT_ENOTFOUND);
	forget(r, synced);
	refused(r, "pull_request", synced, "was closed");
	taken(r, "pull_request", reopened);
	forget(r, closed);
	refused(r, "pull_request", closed, "newer state");
	assert_int_equal(kt_control_target_host(r->ctl, "bot-pr-7", &t, NULL), KT_OK);
}

/* The API redirects to a machine that is not public: nothing is sent there. */
static void test_redirect_to_private(void **state)
{
	struct rig *r = *state;
	struct answer a = { 0 };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_evlog *log;
	uint64_t last;
	size_t n;

	bind_repo(r, &r->actor, "bot", "https://github.com/acme/bot", SECRET);
	/* The address that is connected to counts: "localhost" is allowed by no name here. */
	kt_reach_free(r->ctl->reach);
	assert_int_equal(kt_reach_new("", &r->ctl->reach, NULL), KT_OK);
	assert_int_equal(kt_reach_add_name(r->ctl->reach, "localhost", NULL), KT_OK);
	free(r->ctl->github_url);
	r->ctl->github_url = kt_asprintf("http://localhost:%d", forge.port[0]);
	taken(r, "push", PUSH("refs/heads/main", SHA_A));
	assert_int_equal(forge.api, 1);
	assert_int_equal(forge.files, 0);
	assert_int_equal(kt_control_project_log(r->ctl, &r->actor, "bot", &log, NULL), KT_OK);
	assert_int_equal(kt_evlog_read(log, 0, 1000, 1 << 20, &b, &n, &last, NULL), KT_OK);
	assert_non_null(strstr(b.ptr, "in a network that is not public"));
	answer_clear(&a);
}

int main(int argc, char **argv)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published_example),
		T(test_signature),
		T(test_push),
		T(test_ignored),
		T(test_pull_request),
		T(test_failures),
		T(test_two_organizations),
		T(test_named),
		T(test_many_bound),
		T(test_end_while_fetching),
		T(test_turns),
		T(test_redirect_to_private),
		T(test_old_push_again),
		T(test_deleted_and_again),
		T(test_moved_otherwise),
		T(test_old_pull_request_again),
	};

	if (!strcmp(argv[0], "karta-unpack"))
		return kt_unpack_worker(argc, argv);
	return cmocka_run_group_tests_name("control/github", tests, forge_start, forge_stop);
}
