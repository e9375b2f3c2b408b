/* SPDX-License-Identifier: MIT */
/* Bodies that go to a file, and answers that come from one. */
#include "rig.h"

#include <glob.h>
#include <signal.h>
#include <sys/resource.h>

#define H "Host: a\r\n"
#define MAX_SPOOL (20 * 1024 * 1024)

static atomic_int n_asked;
static char spool_dir[200]; /* where the uploads go */

static enum kt_spool_answer ask_spool(
	void *arg, struct kt_exchange *ex, const struct kt_request *rq, struct kt_spool *out)
{
	n_asked++;
	assert_int_equal(rq->body_len, 0);
	assert_null(rq->body_path);
	if (strcmp(rq->path, "/echo") == 0)
		return KT_SPOOL_MEMORY;
	if (strcmp(rq->path, "/no") == 0) {
		const struct kt_problem p = { .status = 401, .code = "unauthorized" };
		kt_exchange_header(ex, "WWW-Authenticate", "Bearer");
		kt_respond_problem(ex, &p);
		return KT_SPOOL_ANSWERED;
	}
	out->dir = strcmp(rq->path, "/upload-nowhere") == 0 ? "/nonexistent/folder" : spool_dir;
	out->max_bytes = MAX_SPOOL;
	return KT_SPOOL_FILE;
}

static void config(struct kt_http_config *cfg)
{
	kt_http_config_init(cfg);
	cfg->spool = ask_spool;
	n_asked = 0;
	spool_seen[0] = '\0';
}

/*
 * Names in the folder. glob() and not readdir(): libuv closes by a system call that the thread
 * sanitizer does not see, so it takes our use of the same number for a race.
 */
static int files_in(const char *dir)
{
	KT_AUTOFREE char *pattern_all = kt_path_join(dir, "*");
	glob_t g;
	int rc = glob(pattern_all, 0, NULL, &g);
	int n = rc == 0 ? (int)g.gl_pathc : 0;

	assert_true(rc == 0 || rc == GLOB_NOMATCH);
	globfree(&g);
	return n;
}

static void wait_files(int want)
{
	EVENTUALLY(files_in(spool_dir) == want);
}

static const char *body_of(const struct kt_buf *b)
{
	const char *p = strstr(b->ptr, "\r\n\r\n");

	assert_non_null(p);
	return p + 4;
}

static void test_length(void **state)
{
	static const size_t sizes[] = { 1, 100, 65536, 1000000, 9000001 };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(32 << 20);
	struct kt_http_config cfg;
	struct rig r;

	config(&cfg);
	rig_start(&r, &cfg);
	KT_AUTOFREE char *data = kt_malloc(9000001);
	for (size_t i = 0; i < 9000001; i++)
		data[i] = (char)(i * 31 + i / 251);
	for (size_t i = 0; i < KT_ARRAY_LEN(sizes); i++) {
		KT_AUTOFD int fd = dial(r.port);
		KT_AUTOFREE char *q = kt_asprintf("POST /upload HTTP/1.1\r\n" H
			"Content-Length: %zu\r\nConnection: close\r\n\r\n", sizes[i]);
		kt_buf_clear(&b);
		puts_to(fd, q);
		put(fd, data, sizes[i]);
		read_all(fd, &b);
		assert_int_equal(status_in(&b), 200);
		const char *body = body_of(&b);
		assert_int_equal(b.len - (size_t)(body - b.ptr), sizes[i]);
		assert_memory_equal(body, data, sizes[i]);
		assert_true(kt_str_starts(spool_seen, spool_dir));
		assert_non_null(strstr(spool_seen, "/upload-"));
		wait_files(0);
	}
	assert_int_equal(n_asked, KT_ARRAY_LEN(sizes));
	rig_stop(&r);
}

static void test_chunked_keep_alive(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_http_config cfg;
	struct rig r;

	config(&cfg);
	rig_start(&r, &cfg);
	KT_AUTOFD int fd = dial(r.port);
	/* Cut anywhere, pipelined, files and memory in turns. */
	const char *q = "POST /upload HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
			"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
			"POST /echo HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\nmemo"
			"POST /upload HTTP/1.1\r\n" H "Content-Length: 6\r\n\r\nsecond"
			"POST /upload HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n"
			"POST /upload HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n"
			"Connection: close\r\n\r\n0\r\n\r\n";
	for (const char *p = q; *p; p += KT_MIN((size_t)7, strlen(p))) {
		put(fd, p, KT_MIN((size_t)7, strlen(p)));
		(void)usleep(300);
	}
	read_all(fd, &b);
	assert_non_null(strstr(b.ptr, "\r\n\r\nhello world"));
	assert_non_null(strstr(b.ptr, "\r\n\r\nmemo"));
	assert_non_null(strstr(b.ptr, "\r\n\r\nsecond"));
	/* No body: nothing to ask. An empty chunked one is a file of no bytes. */
	assert_int_equal(n_asked, 4);
	assert_non_null(strstr(b.ptr, "X-Spooled: no"));
	wait_files(0);
	rig_stop(&r);
}

static void test_take(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	KT_AUTO_BUF struct kt_buf file = KT_BUF_INIT(1 << 20);
	const char *q = "PUT /keep HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc";
	struct kt_err err = KT_ERR_INIT;
	struct kt_http_config cfg;
	struct rig r;

	config(&cfg);
	rig_start(&r, &cfg);
	assert_int_equal(ask(r.port, q, strlen(q), &b), 200);
	rig_stop(&r);
	assert_int_equal(files_in(spool_dir), 1);
	assert_int_equal(kt_fs_read(spool_seen, &file, &err), KT_OK);
	assert_string_equal(file.ptr, "abc");
	assert_int_equal(unlink(spool_seen), 0);
}

static void test_limit(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_http_config cfg;
	struct rig r;

	config(&cfg);
	rig_start(&r, &cfg);
	KT_AUTOFREE char *told = kt_asprintf(
		"POST /upload HTTP/1.1\r\n" H "Content-Length: %d\r\n"
		"Expect: 100-continue\r\n\r\n", MAX_SPOOL + 1);
	assert_int_equal(ask(r.port, told, strlen(told), &b), 413);
	assert_non_null(strstr(b.ptr, "archive_too_large"));
	assert_null(strstr(b.ptr, "100 Continue"));

	KT_AUTOFD int fd = dial(r.port);
	KT_AUTOFREE char *mib = kt_calloc(1, 1 << 20);
	kt_buf_clear(&b);
	puts_to(fd, "POST /upload HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 21; i++) {
		puts_to(fd, "100000\r\n");
		put(fd, mib, 1 << 20);
		puts_to(fd, "\r\n");
	}
	(void)read_until(fd, &b, "archive_too_large");
	assert_int_equal(status_in(&b), 413);
	wait_files(0);
	/* A body in memory keeps its own limit. */
	KT_AUTOFREE char *memory = kt_asprintf("POST /echo HTTP/1.1\r\n" H
		"Content-Length: %d\r\n\r\n", KT_MAX_HTTP_BODY_BYTES + 1);
	assert_int_equal(ask(r.port, memory, strlen(memory), &b), 413);
	rig_stop(&r);
}

static void test_expect(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_http_config cfg;
	struct rig r;

	config(&cfg);
	rig_start(&r, &cfg);
	KT_AUTOFD int fd = dial(r.port);
	puts_to(fd, "POST /upload HTTP/1.1\r\n" H
		"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n");
	assert_true(read_until(fd, &b, "HTTP/1.1 100 Continue\r\n\r\n"));
	puts_to(fd, "12345");
	assert_true(read_until(fd, &b, "\r\n\r\n12345"));
	rig_stop(&r);
}

/* Refused at the head: no 100, nothing read, the answer arrives although the client sends on. */
static void test_answered(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_http_config cfg;
	struct rig r;

	config(&cfg);
	rig_start(&r, &cfg);
	const char *q = "POST /no HTTP/1.1\r\n" H
			"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n";
	KT_AUTOFD int fd = dial(r.port);
	puts_to(fd, q);
	read_all(fd, &b);
	assert_int_equal(status_in(&b), 401);
	assert_non_null(strstr(b.ptr, "WWW-Authenticate: Bearer\r\n"));
	assert_non_null(strstr(b.ptr, "Connection: close\r\n"));

	KT_AUTOFD int fd2 = dial(r.port);
	KT_AUTOFREE char *mib = kt_calloc(1, 1 << 20);
	kt_buf_clear(&b);
	puts_to(fd2, "POST /no HTTP/1.1\r\n" H "Content-Length: 4194304\r\n\r\n");
	for (int i = 0; i < 4; i++)
		put(fd2, mib, 1 << 20);
	read_all(fd2, &b);
	assert_int_equal(status_in(&b), 401);
	assert_null(strstr(b.ptr + 12, "HTTP/1.1 "));
	assert_int_equal(files_in(spool_dir), 0);
	rig_stop(&r);
}

static void test_client_leaves(void **state)
{
	struct kt_http_config cfg;
	struct rig r;

	config(&cfg);
	rig_start(&r, &cfg);
	/* In the middle of its body. */
	int fd = dial(r.port);
	puts_to(fd, "POST /upload HTTP/1.1\r\n" H "Content-Length: 50\r\n\r\nabc");
	wait_files(1);
	(void)close(fd);
	wait_files(0);
	/* Before the answer. */
	fd = dial(r.port);
	puts_to(fd, "POST /upload-never HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc");
	wait_files(1);
	(void)close(fd);
	wait_for(&n_gone, 1);
	wait_files(0);
	/* A stream keeps it to its end. */
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	fd = dial(r.port);
	puts_to(fd, "POST /upload-events HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc");
	assert_true(read_until(fd, &b, "retry:"));
	(void)usleep(30000);
	assert_int_equal(files_in(spool_dir), 1);
	(void)close(fd);
	wait_for(&n_closed, 1);
	wait_files(0);
	/* And the end of the server. */
	fd = dial(r.port);
	puts_to(fd, "POST /upload HTTP/1.1\r\n" H "Content-Length: 50\r\n\r\nabc");
	wait_files(1);
	rig_stop(&r);
	assert_int_equal(files_in(spool_dir), 0);
	(void)close(fd);
}

/* No deadline for the whole, but a least speed, also after a fast beginning. */
static void test_speed(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_http_config cfg;
	struct rig r;

	config(&cfg);
	cfg.body_ms = 20;
	cfg.upload_grace_ms = 100;
	cfg.upload_bytes_per_s = 1000;
	rig_start(&r, &cfg);
	KT_AUTOFD int slow = dial(r.port);
	KT_AUTOFREE char *data = kt_calloc(1, 100000);
	puts_to(slow, "POST /upload HTTP/1.1\r\n" H "Content-Length: 200000\r\n\r\n");
	put(slow, data, 100000);
	int64_t since = kt_mono_us();
	read_all(slow, &b);
	assert_int_equal(status_in(&b), 408);
	/* On the average it would be fast enough for 100 s. */
	assert_true(kt_mono_us() - since < 90000000);
	wait_files(0);
	rig_stop(&r);

	/* Forty times body_ms, and fast enough all the while. */
	cfg.upload_grace_ms = slowed_ms(PATIENCE_MS);
	cfg.upload_bytes_per_s = 1;
	rig_start(&r, &cfg);
	KT_AUTOFD int steady = dial(r.port);
	kt_buf_clear(&b);
	puts_to(steady, "POST /upload HTTP/1.1\r\n" H "Content-Length: 20000\r\n\r\n");
	for (int i = 0; i < 40; i++) {
		put(steady, data, 500);
		(void)usleep(20000);
	}
	assert_true(read_until(steady, &b, "\r\n\r\n"));
	assert_int_equal(status_in(&b), 200);
	rig_stop(&r);
}

static void test_disk_full(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	const char *nowhere = "POST /upload-nowhere HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc";
	struct rlimit old, low;
	struct kt_http_config cfg;
	struct rig r;

	config(&cfg);
	rig_start(&r, &cfg);
	assert_int_equal(ask(r.port, nowhere, strlen(nowhere), &b), 507);
	/* A file that may not grow is the disk that is full, as far as write(2) goes. */
	assert_int_equal(sigaction(SIGXFSZ, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	low = old;
	low.rlim_cur = 8192;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	KT_AUTOFD int fd = dial(r.port);
	KT_AUTOFREE char *data = kt_calloc(1, 100000);
	kt_buf_clear(&b);
	puts_to(fd, "POST /upload HTTP/1.1\r\n" H "Content-Length: 100000\r\n\r\n");
	put(fd, data, 100000);
	read_all(fd, &b);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(status_in(&b), 507);
	assert_non_null(strstr(b.ptr, "storage_full"));
	wait_files(0);
	rig_stop(&r);
}

static void test_file(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(32 << 20);
	struct kt_err err = KT_ERR_INIT;
	struct rig r;

	rig_start(&r, NULL);
	(void)snprintf(spool_file, sizeof(spool_file), "%s/answer", spool_dir);
	static const size_t sizes[] = { 0, 1, 32768, 5000000 };
	for (size_t i = 0; i < KT_ARRAY_LEN(sizes); i++) {
		for (int old = 0; old < 2; old++) {
			assert_int_equal(kt_fs_write_atomic(spool_file, big, sizes[i], 0600, false,
				&err), KT_OK);
			KT_AUTOFD int fd = dial(r.port);
			KT_AUTOFREE char *q = kt_asprintf(
				"GET /file?n=%d HTTP/1.%d\r\n" H "\r\n", old, 1 - old);
			kt_buf_clear(&b);
			puts_to(fd, q);
			read_all(fd, &b);
			assert_int_equal(status_in(&b), 201);
			KT_AUTOFREE char *line = kt_asprintf("Content-Length: %zu\r\n", sizes[i]);
			assert_non_null(strstr(b.ptr, line));
			assert_non_null(strstr(b.ptr, "Content-Type: application/gzip\r\n"));
			assert_non_null(strstr(b.ptr, "Content-Disposition: attachment\r\n"));
			assert_null(strstr(b.ptr, "chunked"));
			const char *body = body_of(&b);
			assert_int_equal(b.len - (size_t)(body - b.ptr), sizes[i]);
			assert_memory_equal(body, big, sizes[i]);
			assert_int_equal(files_in(spool_dir), 1 - old);
		}
	}
	KT_AUTOFD int fd = dial(r.port);
	kt_buf_clear(&b);
	puts_to(fd, "GET /file HTTP/1.1\r\n" H "Connection: close\r\n\r\n");
	read_all(fd, &b);
	assert_int_equal(status_in(&b), 500);
	/* HEAD: the length and nothing else. */
	assert_int_equal(kt_fs_write_atomic(spool_file, "abc", 3, 0600, false, &err), KT_OK);
	KT_AUTOFD int head = dial(r.port);
	kt_buf_clear(&b);
	puts_to(head, "HEAD /file?n=1 HTTP/1.1\r\n" H "\r\n");
	read_all(head, &b);
	assert_non_null(strstr(b.ptr, "Content-Length: 3\r\n"));
	assert_string_equal(body_of(&b), "");
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_chunked_keep_alive),
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_expect),
		cmocka_unit_test(test_answered),
		cmocka_unit_test(test_client_leaves),
		cmocka_unit_test(test_speed),
		cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_file),
	};

	(void)snprintf(spool_dir, sizeof(spool_dir), "/tmp/kt-spool-XXXXXX");
	if (!mkdtemp(spool_dir))
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)rmdir(spool_dir);
	return failed;
}
