/* SPDX-License-Identifier: MIT */
/* Streams, deadlines, slow and leaving clients, drain. */
#include "rig.h"

#include <sys/resource.h>

#define H "Host: a\r\n"

/* Undo the chunked coding of an answer's body into out; false when it is broken or has no end. */
static bool unchunk(const struct kt_buf *b, struct kt_buf *out)
{
	const char *p = strstr(b->ptr, "\r\n\r\n"), *end = b->ptr + b->len;

	if (!p)
		return false;
	p += 4;
	for (;;) {
		size_t n = 0;
		const char *q = p;
		while (q < end && *q != '\r') {
			n = n * 16 + (size_t)(*q <= '9' ? *q - '0' : *q - 'a' + 10);
			q++;
		}
		if (end - q < 4 || (size_t)(end - q) < n + 4 || memcmp(q + 2 + n, "\r\n", 2) != 0)
			return false;
		kt_buf_add(out, q + 2, n);
		p = q + 2 + n + 2;
		if (n == 0)
			return p == end;
	}
}

static void check_pattern(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] != pattern[i % PATTERN_BYTES])
			fail_msg("byte %zu of %zu differs", i, len);
}

/* A stream begins with any status and has the headers that were added. */
static void test_statuses(void **state)
{
	static const int statuses[] = { 200, 201, 202, 204, 304, 400, 404, 410, 503, 599 };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(65536);
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(65536);
	struct rig r;

	rig_start(&r, NULL);
	for (size_t i = 0; i < KT_ARRAY_LEN(statuses) * 6; i++) {
		int status = statuses[i / 6];
		bool sse = i % 2, old = i % 6 / 2 == 1, head = i % 6 / 2 == 2;
		bool bodiless = head || status == 204 || status == 304;
		KT_AUTOFREE char *q = kt_asprintf("%s /status%s?n=%d HTTP/1.%d\r\n" H "\r\n",
			head ? "HEAD" : "GET", sse ? "-events" : "", status, old ? 0 : 1);
		KT_AUTOFD int fd = dial(r.port);

		kt_buf_clear(&b);
		kt_buf_clear(&out);
		puts_to(fd, q);
		read_all(fd, &b);
		assert_int_equal(status_in(&b), status);
		assert_non_null(strstr(b.ptr, "\r\nX-Good: yes\r\n"));
		assert_non_null(strstr(b.ptr, "\r\nConnection: close\r\n"));
		assert_null(strstr(b.ptr, "Content-Length"));
		if (status == 204 || status == 304) {
			assert_null(strstr(b.ptr, "\nContent-Type:"));
			assert_null(strstr(b.ptr, "chunked"));
		} else {
			assert_non_null(strstr(b.ptr, sse ? "text/event-stream" : "octet-stream"));
			assert_int_equal(strstr(b.ptr, "chunked") != NULL, !old);
		}
		if (bodiless) {
			assert_string_equal(strstr(b.ptr, "\r\n\r\n"), "\r\n\r\n");
			continue;
		}
		if (old)
			kt_buf_adds(&out, strstr(b.ptr, "\r\n\r\n") + 4);
		else
			assert_true(unchunk(&b, &out));
		if (sse) {
			assert_int_equal(strncmp(out.ptr, "retry: ", 7), 0);
		} else {
			assert_int_equal(out.len, 1000);
			check_pattern(out.ptr, out.len);
		}
	}
	wait_for(&n_streams_open, 0);
	assert_int_equal(n_closed, KT_ARRAY_LEN(statuses) * 6);
	rig_stop(&r);
}

static void test_bytes(void **state)
{
	static const size_t sizes[] = { 0, 1, 32767, 32768, 32769, 1000000, 5000000 };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(32 << 20);
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(32 << 20);
	struct rig r;

	rig_start(&r, NULL);
	for (size_t i = 0; i < KT_ARRAY_LEN(sizes) * 2; i++) {
		size_t size = sizes[i / 2];
		bool old = i % 2;
		KT_AUTOFD int fd = dial(r.port);
		KT_AUTOFREE char *q = kt_asprintf("GET /bytes?n=%zu HTTP/1.%d\r\n" H "\r\n", size,
			old ? 0 : 1);
		kt_buf_clear(&b);
		kt_buf_clear(&out);
		puts_to(fd, q);
		read_all(fd, &b);
		assert_non_null(strstr(b.ptr, "\r\nConnection: close\r\n"));
		if (old) {
			assert_null(strstr(b.ptr, "chunked"));
			const char *body = strstr(b.ptr, "\r\n\r\n");
			assert_non_null(body);
			kt_buf_adds(&out, body + 4);
		} else {
			assert_true(unchunk(&b, &out));
		}
		assert_int_equal(out.len, size);
		check_pattern(out.ptr, out.len);
	}
	wait_for(&n_closed, KT_ARRAY_LEN(sizes) * 2);
	rig_stop(&r);
}

/* 200 streams at once, read in turns by small pieces. */
static void test_parallel(void **state)
{
	enum { N = 200, SIZE = 300000 };
	static struct kt_buf bufs[N];
	int fds[N];
	struct rig r;

	rig_start(&r, NULL);
	for (int i = 0; i < N; i++) {
		KT_AUTOFREE char *q =
			kt_asprintf("GET /bytes?n=%d HTTP/1.1\r\n" H "\r\n", SIZE + i);
		fds[i] = dial(r.port);
		kt_buf_init(&bufs[i], 1 << 20);
		puts_to(fds[i], q);
	}
	for (int open = N; open > 0;) {
		char piece[20000];
		for (int i = 0; i < N; i++) {
			if (fds[i] < 0)
				continue;
			ssize_t n = recv(fds[i], piece, sizeof(piece), 0);
			assert_true(n >= 0);
			kt_buf_add(&bufs[i], piece, (size_t)n);
			if (n == 0) {
				assert_int_equal(close(fds[i]), 0);
				fds[i] = -1;
				open--;
			}
		}
	}
	for (int i = 0; i < N; i++) {
		KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(1 << 20);
		assert_true(unchunk(&bufs[i], &out));
		assert_int_equal(out.len, SIZE + i);
		check_pattern(out.ptr, out.len);
		kt_buf_release(&bufs[i]);
	}
	wait_for(&n_closed, N);
	rig_stop(&r);
}

static void test_events(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct kt_http_config cfg;
	struct rig r;

	kt_http_config_init(&cfg);
	cfg.heartbeat_ms = 100;
	rig_start(&r, &cfg);
	int fd = dial(r.port);
	puts_to(fd, "GET /events HTTP/1.1\r\n" H "\r\n");
	assert_true(read_until(fd, &b, "8\r\n: ping\n\n\r\n8\r\n: ping\n\n\r\n"));
	assert_non_null(strstr(b.ptr, "\r\nContent-Type: text/event-stream\r\n"));
	assert_non_null(strstr(b.ptr, "\r\nCache-Control: no-store\r\n"));
	assert_non_null(strstr(b.ptr, "\r\nX-Accel-Buffering: no\r\n"));
	assert_non_null(strstr(b.ptr, "\r\n\r\nd\r\nretry: 1000\n\n\r\n"));
	/* Leaving is noticed, and more input is neither parsed nor kept. */
	puts_to(fd, "GET / HTTP/1.1\r\n" H "\r\n");
	(void)usleep(50000);
	assert_int_equal(n_closed, 0);
	assert_int_equal(close(fd), 0);
	wait_for(&n_closed, 1);
	/* A client that floods a stream is cut off. */
	KT_AUTOFD int loud = dial(r.port);
	puts_to(loud, "GET /events HTTP/1.1\r\n" H "\r\n");
	for (int i = 0; i < 30; i++)
		put(loud, big, 10000);
	wait_for(&n_closed, 2);
	rig_stop(&r);
}

static void test_leave_pending(void **state)
{
	struct rig r;

	rig_start(&r, NULL);
	int fd = dial(r.port);
	puts_to(fd, "GET /never HTTP/1.1\r\n" H "\r\n");
	wait_for(&n_pending, 1);
	assert_int_equal(n_gone, 0);
	assert_int_equal(close(fd), 0);
	wait_for(&n_gone, 1);
	rig_stop(&r);
}

/* A reader that never reads costs nothing, holds up nobody, and is closed after stall_ms. */
static void test_slow_reader(void **state)
{
	enum { SLOW = 20 };
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8 << 20);
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(8 << 20);
	struct kt_http_config cfg;
	struct rig r;
	int slow[SLOW];

	/* First they are never closed: who reads is served while they are all there. */
	for (int closing = 0; closing < 2; closing++) {
		kt_http_config_init(&cfg);
		cfg.stall_ms = closing ? 1000 : slowed_ms(PATIENCE_MS) * 10;
		rig_start(&r, &cfg);
		for (int i = 0; i < SLOW; i++) {
			slow[i] = dial(r.port);
			puts_to(slow[i], "GET /flood HTTP/1.1\r\n" H "\r\n");
		}
		if (closing) {
			wait_for(&n_closed, SLOW);
		} else {
			wait_for(&n_streams_open, SLOW);
			KT_AUTOFD int fd = dial(r.port);
			puts_to(fd, "GET /bytes?n=3000000 HTTP/1.1\r\n" H "\r\n");
			read_all(fd, &b);
			assert_true(unchunk(&b, &out));
			assert_int_equal(out.len, 3000000);
			check_pattern(out.ptr, out.len);
			wait_for(&n_closed, 1);
			assert_int_equal(n_streams_open, SLOW);
		}
		for (int i = 0; i < SLOW; i++)
			assert_int_equal(close(slow[i]), 0);
		rig_stop(&r);
	}
}

static void test_deadlines(void **state)
{
	static const struct {
		const char *start;
		int status; /* 0 = closed without a word, after idle_ms */
	} rows[] = {
		{ "GET / HT", 408 },
		{ "POST /echo HTTP/1.1\r\n" H "Content-Length: 1000\r\n\r\n", 408 },
		{ "", 0 },
	};
	struct kt_http_config cfg;
	struct rig r;

	kt_http_config_init(&cfg);
	cfg.head_ms = cfg.body_ms = 400;
	for (size_t i = 0; i < KT_ARRAY_LEN(rows); i++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
		/* Who is late with the first byte is not idle meanwhile. */
		cfg.idle_ms = rows[i].status ? slowed_ms(PATIENCE_MS) : 400;
		rig_start(&r, &cfg);
		int64_t from = kt_mono_us();
		KT_AUTOFD int fd = dial(r.port);
		struct pollfd p = { .fd = fd, .events = POLLIN };
		puts_to(fd, rows[i].start);
		/* A byte now and then does not extend anything: as many as it takes. */
		for (int k = 0; *rows[i].start && poll(&p, 1, 40) == 0; k++) {
			put(fd, "T", 1);
			assert_true(k < 900); /* or the body is whole */
		}
		read_all(fd, &b);
		int64_t ms = (kt_mono_us() - from) / 1000;
		if (ms < 350 || status_in(&b) != rows[i].status)
			fail_msg("row %zu: status %d after %d ms", i, status_in(&b), (int)ms);
		rig_stop(&r);
	}
	/* Idle after an answer. (A client that was too slow to ask is only idle.) */
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	rig_start(&r, &cfg);
	for (int i = 0; b.len == 0 && i < 100; i++) {
		KT_AUTOFD int fd = dial(r.port);
		puts_to(fd, "GET / HTTP/1.1\r\n" H "\r\n");
		read_all(fd, &b);
	}
	assert_int_equal(status_in(&b), 200);
	assert_null(strstr(b.ptr, "408"));
	rig_stop(&r);
}

/* Drain: idle closes, a late answer still comes, streams end at a boundary with the last chunk. */
static void test_drain(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 << 20);
	KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(64 << 20);
	struct rig r;

	rig_start(&r, NULL);
	KT_AUTOFD int idle = dial(r.port);
	KT_AUTOFD int late = dial(r.port);
	KT_AUTOFD int flood = dial(r.port);
	KT_AUTOFD int events = dial(r.port);
	KT_AUTOFD int order = dial(r.port);
	puts_to(flood, "GET /flood HTTP/1.1\r\n" H "\r\n");
	puts_to(events, "GET /events HTTP/1.1\r\n" H "\r\n");
	assert_true(read_until(events, &b, "retry: 1000\n\n\r\n"));
	wait_for(&n_streams_open, 2);
	puts_to(late, "GET /held HTTP/1.1\r\n" H "\r\n");
	wait_for(&n_pending, 1);
	puts_to(order, "GET /drain HTTP/1.1\r\n" H "\r\n");
	read_all(idle, &out);
	assert_int_equal(out.len, 0);
	read_all(late, &out);
	assert_non_null(strstr(out.ptr, "\r\nConnection: close\r\n"));
	assert_non_null(strstr(out.ptr, "\r\n\r\nlater"));
	read_all(events, &b);
	kt_buf_clear(&out);
	assert_true(unchunk(&b, &out));
	assert_string_equal(out.ptr, "retry: 1000\n\n");
	kt_buf_clear(&b);
	kt_buf_clear(&out);
	read_all(flood, &b);
	assert_true(unchunk(&b, &out));
	assert_int_equal((out.len - strlen("retry: 1000\n\n")) % 70001, 0);
	check_pattern(out.ptr + strlen("retry: 1000\n\n"), out.len - strlen("retry: 1000\n\n"));
	kt_buf_clear(&b);
	read_all(order, &b);
	wait_for(&n_drained, 1);
	rig_stop(&r);
}

/* A drain gives up on what does not end. */
static void test_drain_late(void **state)
{
	struct kt_http_config cfg;
	struct rig r;

	kt_http_config_init(&cfg);
	cfg.drain_ms = 300;
	rig_start(&r, &cfg);
	KT_AUTOFD int never = dial(r.port);
	KT_AUTOFD int order = dial(r.port);
	puts_to(never, "GET /never HTTP/1.1\r\n" H "\r\n");
	wait_for(&n_pending, 1);
	puts_to(order, "GET /drain HTTP/1.1\r\n" H "\r\n");
	wait_for(&n_drained, 1);
	assert_int_equal(n_gone, 1);
	rig_stop(&r);
}

/* A server is freed under running streams and requests. */
static void test_free_running(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct rig r;

	rig_start(&r, NULL);
	KT_AUTOFD int a = dial(r.port);
	KT_AUTOFD int c = dial(r.port);
	KT_AUTOFD int d = dial(r.port);
	puts_to(a, "GET /flood HTTP/1.1\r\n" H "\r\n");
	puts_to(c, "GET /never HTTP/1.1\r\n" H "\r\n");
	puts_to(d, "GET /events HTTP/1.1\r\n" H "\r\n");
	assert_true(read_until(d, &b, "retry"));
	wait_for(&n_streams_open, 2);
	wait_for(&n_pending, 1);
	rig_stop(&r);
	assert_int_equal(n_closed, 2);
	assert_int_equal(n_gone, 1);
}

/* Without descriptors the server waits instead of spinning, and recovers. */
static void test_no_descriptors(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
	struct rlimit old, low;
	struct rig r;
	int fds[64];

	rig_start(&r, NULL);
	for (int i = 0; i < 64; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_true(fds[i] >= 0);
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = (rlim_t)fds[63] + 1;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)r.port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	clock_t cpu = clock();
	assert_int_equal(connect(fds[0], (struct sockaddr *)&to, sizeof(to)), 0);
	puts_to(fds[0], "GET / HTTP/1.1\r\n" H "\r\n");
	(void)usleep(500000);
	assert_true((clock() - cpu) * 1000 / CLOCKS_PER_SEC < 200);
	assert_int_equal(recv(fds[0], pattern, 1, MSG_DONTWAIT), -1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_true(read_until(fds[0], &b, "true}"));
	for (int i = 0; i < 64; i++)
		assert_int_equal(close(fds[i]), 0);
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes), cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_parallel),
		cmocka_unit_test(test_events), cmocka_unit_test(test_leave_pending),
		cmocka_unit_test(test_slow_reader), cmocka_unit_test(test_deadlines),
		cmocka_unit_test(test_drain), cmocka_unit_test(test_drain_late),
		cmocka_unit_test(test_free_running), cmocka_unit_test(test_no_descriptors),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(pattern);
	free(big);
	return failed;
}
