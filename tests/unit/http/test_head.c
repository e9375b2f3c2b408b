/* SPDX-License-Identifier: MIT */
/* The head parser and the chunked decoder: verdicts, and that they do not depend on the cuts. */
#include "http/head_private.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

#define LINE "GET / HTTP/1.1\r\n"
#define HOST "Host: a\r\n"

/* Parse a copy of exactly len bytes, so that ASan sees any read beyond. */
static enum kt_head_result parse(
	const char *s, size_t len, struct kt_head *h, int *status, char **out_copy)
{
	*out_copy = kt_malloc(len ? len : 1);
	memcpy(*out_copy, s, len);
	*status = 0;
	return kt_head_parse(*out_copy, len, h, status);
}

static const struct {
	const char *name, *head;
	int status; /* 0 = good */
} cases[] = {
	{ "plain", LINE HOST "\r\n", 0 },
	{ "one empty line first", "\r\n" LINE HOST "\r\n", 0 },
	{ "two empty lines first", "\r\n\r\n" LINE HOST "\r\n", 400 },
	{ "1.0 without host", "GET / HTTP/1.0\r\n\r\n", 0 },
	{ "1.1 without host", LINE "\r\n", 400 },
	{ "two hosts", LINE HOST HOST "\r\n", 400 },
	{ "empty host", LINE "Host:\r\n\r\n", 400 },
	{ "host with user", LINE "Host: a@b\r\n\r\n", 400 },
	{ "host with slash", LINE "Host: a/b\r\n\r\n", 400 },
	{ "host with blank", LINE "Host: a b\r\n\r\n", 400 },
	{ "host list", LINE "Host: a, b\r\n\r\n", 400 },
	{ "bad port", LINE "Host: a:99999\r\n\r\n", 400 },
	{ "port zero", LINE "Host: a:0\r\n\r\n", 400 },
	{ "port with sign", LINE "Host: a:+80\r\n\r\n", 400 },
	{ "ipv6 host", LINE "Host: [::1]:80\r\n\r\n", 0 },
	{ "open bracket", LINE "Host: [::1\r\n\r\n", 400 },
	{ "bare LF head", "GET / HTTP/1.1\nHost: a\n\n", 400 },
	{ "bare LF in fields", LINE "Host: a\n\r\n", 400 },
	{ "bare CR in value", LINE "Host: a\r\nX: a\rb\r\n\r\n", 400 },
	{ "space before colon", LINE "Host : a\r\n\r\n", 400 },
	{ "obs-fold", LINE HOST "X: a\r\n b\r\n\r\n", 400 },
	{ "first field folded", LINE " X: a\r\n" HOST "\r\n", 400 },
	{ "empty name", LINE HOST ": a\r\n\r\n", 400 },
	{ "no colon", LINE HOST "abc\r\n\r\n", 400 },
	{ "name with blank", LINE HOST "a b: c\r\n\r\n", 400 },
	{ "control byte in value", LINE HOST "X: a\001b\r\n\r\n", 400 },
	{ "DEL in value", LINE HOST "X: a\177b\r\n\r\n", 400 },
	{ "latin1 in value", LINE HOST "X: a\351b\r\n\r\n", 0 },
	{ "tab in value", LINE HOST "X: a\tb\r\n\r\n", 0 },
	{ "TE and CL", LINE HOST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400 },
	{ "CL and TE", LINE HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
	{ "two TE", LINE HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		400 },
	{ "TE in 1.0", "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
	{ "TE gzip, chunked", LINE HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", 501 },
	{ "TE xchunked", LINE HOST "Transfer-Encoding: xchunked\r\n\r\n", 501 },
	{ "TE empty", LINE HOST "Transfer-Encoding:\r\n\r\n", 501 },
	{ "TE Chunked", LINE HOST "Transfer-Encoding: Chunked\r\n\r\n", 0 },
	{ "two CL", LINE HOST "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", 400 },
	{ "same CL twice", LINE HOST "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", 400 },
	{ "CL list", LINE HOST "Content-Length: 3, 3\r\n\r\n", 400 },
	{ "CL +3", LINE HOST "Content-Length: +3\r\n\r\n", 400 },
	{ "CL -3", LINE HOST "Content-Length: -3\r\n\r\n", 400 },
	{ "CL 0x3", LINE HOST "Content-Length: 0x3\r\n\r\n", 400 },
	{ "CL empty", LINE HOST "Content-Length:\r\n\r\n", 400 },
	{ "CL huge", LINE HOST "Content-Length: 99999999999999999999\r\n\r\n", 400 },
	{ "expect other", LINE HOST "Expect: 200-ok\r\n\r\n", 417 },
	{ "expect continue", LINE HOST "Expect: 100-Continue\r\n\r\n", 0 },
	{ "absolute", "GET http://b:81/x HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "absolute https", "GET https://b/x HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "absolute ftp", "GET ftp://b/x HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "absolute with user", "GET http://a@b/x HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "absolute no host", "GET http:///x HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "authority form", "GET a:80 HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "connect", "CONNECT a:80 HTTP/1.1\r\n" HOST "\r\n", 501 },
	{ "star", "GET * HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "options star", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "fragment", "GET /#a HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "backslash", "GET /\\a HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "raw UTF-8", "GET /\303\251 HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "escaped UTF-8", "GET /%C3%A9 HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "overlong UTF-8", "GET /%C0%AF HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "escaped NUL", "GET /a%00 HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "escaped LF", "GET /a%0a HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "escaped slash", "GET /a%2fb HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "escaped slash last", "GET /a%2F HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "cut escape", "GET /a%4 HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "bad escape", "GET /a%4g HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "bad escape in query", "GET /a?b=%4g HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "dot", "GET /./a HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "dot dot", "GET /a/.. HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "escaped dot dot", "GET /a/%2e%2E/b HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "dots in a name", "GET /a/..b/.c/d. HTTP/1.1\r\n" HOST "\r\n", 0 },
	{ "HTTP/2.0", "GET / HTTP/2.0\r\n" HOST "\r\n", 505 },
	{ "HTTP/1.2", "GET / HTTP/1.2\r\n" HOST "\r\n", 505 },
	{ "h2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505 },
	{ "HTTP/0.9", "GET /\r\n\r\n", 400 },
	{ "http/1.1 small", "GET / http/1.1\r\n" HOST "\r\n", 400 },
	{ "HTTP/1.10", "GET / HTTP/1.10\r\n" HOST "\r\n", 400 },
	{ "two blanks", "GET  / HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "two blanks later", "GET /  HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "tab", "GET\t/ HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "trailing blank", "GET / HTTP/1.1 \r\n" HOST "\r\n", 400 },
	{ "lower method", "get / HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "method FOO", "FOO / HTTP/1.1\r\n" HOST "\r\n", 501 },
	{ "no method", " / HTTP/1.1\r\n" HOST "\r\n", 400 },
	{ "TLS hello", "\026\003\001\002", 400 },
	{ "garbage", "\001garbage", 400 },
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTOFREE char *copy = NULL;
		struct kt_head h;
		int status;
		const char *s = cases[i].head;
		enum kt_head_result r = parse(s, strlen(s), &h, &status, &copy);
		if (r == KT_HEAD_OK)
			kt_head_release(&h);
		if (r != (cases[i].status ? KT_HEAD_BAD : KT_HEAD_OK) || status != cases[i].status)
			fail_msg("%s: result %d, status %d", cases[i].name, (int)r, status);
	}
}

/* Good heads say MORE for each proper prefix; bad ones say MORE or already the final verdict. */
static void test_prefixes(void **state)
{
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		for (size_t len = 0; len < strlen(cases[i].head); len++) {
			KT_AUTOFREE char *copy = NULL;
			struct kt_head h;
			int status;
			enum kt_head_result r = parse(cases[i].head, len, &h, &status, &copy);
			if (r == KT_HEAD_MORE) {
				assert_memory_equal(copy, cases[i].head, len);
				continue;
			}
			if (r == KT_HEAD_OK)
				kt_head_release(&h);
			if (r != KT_HEAD_BAD || status != cases[i].status)
				fail_msg("%s cut at %zu: result %d, status %d", cases[i].name, len,
					(int)r, status);
		}
	}
}

static void test_fields(void **state)
{
	const char *s = "POST /a%20b/c?x=1&y HTTP/1.1\r\nHoSt: ExAmple.ORG:8080\r\n"
			"X-Long:   some value \t \r\nContent-Length: 12\r\nX-Empty:\r\n"
			"Connection: Foo , CLOSE\r\n\r\nrest";
	KT_AUTOFREE char *copy = NULL;
	struct kt_head h;
	int status;

	assert_int_equal(parse(s, strlen(s), &h, &status, &copy), KT_HEAD_OK);
	assert_int_equal(h.method, KT_POST);
	assert_string_equal(h.target, "/a%20b/c?x=1&y");
	assert_string_equal(h.path, "/a b/c");
	assert_string_equal(h.query, "x=1&y");
	assert_string_equal(h.host, "example.org");
	assert_int_equal(h.port, 8080);
	assert_int_equal(h.n_headers, 5);
	assert_string_equal(h.headers[0].name, "host");
	assert_string_equal(h.headers[0].value, "ExAmple.ORG:8080");
	assert_string_equal(h.headers[1].value, "some value");
	assert_string_equal(h.headers[3].name, "x-empty");
	assert_string_equal(h.headers[3].value, "");
	assert_int_equal(h.content_length, 12);
	assert_false(h.keep_alive);
	assert_int_equal(h.head_len, strlen(s) - 4);
	kt_head_release(&h);
}

static void test_absolute(void **state)
{
	const char *s = "GET HTTP://B.example:81?q HTTP/1.1\r\nHost: other:9\r\n\r\n";
	KT_AUTOFREE char *copy = NULL;
	struct kt_head h;
	int status;

	assert_int_equal(parse(s, strlen(s), &h, &status, &copy), KT_HEAD_OK);
	assert_string_equal(h.host, "b.example");
	assert_int_equal(h.port, 81);
	assert_string_equal(h.path, "/");
	assert_string_equal(h.query, "q");
	assert_true(h.keep_alive);
	kt_head_release(&h);
}

static int status_of(const struct kt_buf *b)
{
	KT_AUTOFREE char *copy = NULL;
	struct kt_head h;
	int status;
	enum kt_head_result r = parse(b->ptr, b->len, &h, &status, &copy);

	if (r == KT_HEAD_OK)
		kt_head_release(&h);
	return r == KT_HEAD_OK ? 200 : r == KT_HEAD_MORE ? 100 : status;
}

static void fill(struct kt_buf *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		kt_buf_addc(b, 'a');
}

/* Each limit at the limit and one past it. */
static void test_limits(void **state)
{
	for (int past = 0; past < 2; past++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);
		kt_buf_adds(&b, LINE HOST);
		for (int i = 1; i < KT_MAX_HTTP_HEADERS + past; i++)
			kt_buf_addf(&b, "X%d: y\r\n", i);
		kt_buf_adds(&b, "\r\n");
		assert_int_equal(status_of(&b), past ? 431 : 200);

		kt_buf_clear(&b);
		kt_buf_adds(&b, "GET /");
		fill(&b, KT_MAX_HTTP_TARGET_BYTES - 1 + (size_t)past);
		kt_buf_adds(&b, " HTTP/1.1\r\n" HOST "\r\n");
		assert_int_equal(status_of(&b), past ? 414 : 200);

		kt_buf_clear(&b);
		kt_buf_adds(&b, LINE HOST "X: ");
		fill(&b, KT_MAX_HTTP_HEAD_BYTES - b.len - 4 + (size_t)past);
		kt_buf_adds(&b, "\r\n\r\n");
		assert_int_equal(status_of(&b), past ? 431 : 200);
	}
}

static void test_nul(void **state)
{
	static const char s[] = LINE HOST "X: a\0b\r\n\r\n";
	KT_AUTOFREE char *copy = NULL;
	struct kt_head h;
	int status;

	assert_int_equal(parse(s, sizeof(s) - 1, &h, &status, &copy), KT_HEAD_BAD);
	assert_int_equal(status, 400);
}

/* Decode s fed in pieces of `step` bytes; returns false when broken. */
static bool decode(const char *s, size_t step, struct kt_buf *out, bool *done, size_t *out_used)
{
	struct kt_chunked c = { 0 };
	size_t len = strlen(s), at = 0;

	while (at < len && !c.done) {
		size_t n = KT_MIN(step, len - at), body, used;
		KT_AUTOFREE char *piece = kt_malloc(n);
		memcpy(piece, s + at, n);
		if (!kt_chunked_feed(&c, piece, n, &body, &used))
			return false;
		assert_true(used <= n && body <= used);
		kt_buf_add(out, piece, body);
		at += used;
		if (!c.done)
			assert_int_equal(used, n);
	}
	*done = c.done;
	*out_used = at;
	return true;
}

static void test_chunked(void **state)
{
	static const struct {
		const char *raw, *body; /* NULL body = broken */
	} rows[] = {
		{ "3\r\nabc\r\n0\r\n\r\nGET", "abc" },
		{ "3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\n", "abc0123456789" },
		{ "0\r\n\r\n", "" },
		{ "0x3\r\nabc\r\n0\r\n\r\n", NULL },
		{ "+3\r\nabc\r\n0\r\n\r\n", NULL },
		{ "3\nabc\r\n0\r\n\r\n", NULL },
		{ "3\r\nabc\n0\r\n\r\n", NULL },
		{ "3\r\nabcd\r\n0\r\n\r\n", NULL },
		{ "3;a=b\r\nabc\r\n0\r\n\r\n", NULL },
		{ "3 \r\nabc\r\n0\r\n\r\n", NULL },
		{ "\r\nabc\r\n0\r\n\r\n", NULL },
		{ "000000001\r\na\r\n0\r\n\r\n", NULL },
		{ "3\r\nabc\r\n0\r\nX: y\r\n\r\n", NULL },
		{ "3\r\nabc\r\n0\r\n\n", NULL },
	};
	for (size_t i = 0; i < KT_ARRAY_LEN(rows); i++) {
		for (size_t step = 1; step < 40; step++) {
			KT_AUTO_BUF struct kt_buf out = KT_BUF_INIT(1000);
			bool done = false;
			size_t used = 0;
			bool ok = decode(rows[i].raw, step, &out, &done, &used);
			assert_int_equal(ok, rows[i].body != NULL);
			if (!ok)
				continue;
			assert_true(done);
			assert_string_equal(out.ptr, rows[i].body);
			if (i == 0)
				assert_int_equal(used, strlen(rows[i].raw) - 3);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_absolute),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_chunked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
