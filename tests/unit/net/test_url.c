/* SPDX-License-Identifier: MIT */
/* Addresses: what is taken, what is refused, and that two spellings of one origin are equal. */
#include "net/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void taken(void **state)
{
	(void)state;
	static const struct {
		const char *text, *host, *path, *origin;
		int port;
		bool https, loopback;
	} cases[] = {
		{ "http://127.0.0.1:8080", "127.0.0.1", "/", "http://127.0.0.1:8080", 8080, false, true },
		{ "HTTPS://API.Example.com/v1?x=1#f", "api.example.com", "/v1?x=1",
			"https://api.example.com", 443, true, false },
		{ "http://localhost", "localhost", "/", "http://localhost", 80, false, true },
		{ "http://localhost:80/", "localhost", "/", "http://localhost", 80, false, true },
		{ "https://a.b:80?q", "a.b", "/?q", "https://a.b:80", 80, true, false },
		{ "http://[::1]:9/a%20b", "::1", "/a%20b", "http://[::1]:9", 9, false, true },
		{ "http://[2001:DB8:0::1]", "2001:db8::1", "/", "http://[2001:db8::1]", 80, false, false },
		{ "http://127.8.9.10/", "127.8.9.10", "/", "http://127.8.9.10", 80, false, true },
		{ "http://127.evil.example", "127.evil.example", "/", "http://127.evil.example", 80,
			false, false },
		{ "http://shop.localhost:8000/", "shop.localhost", "/", "http://shop.localhost:8000",
			8000, false, true },
		{ "http://localhost.evil.example", "localhost.evil.example", "/",
			"http://localhost.evil.example", 80, false, false },
	};
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		struct kt_url u;
		struct kt_err err = KT_ERR_INIT;
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1024);
		assert_int_equal(kt_url_parse(cases[i].text, &u, &err), KT_OK);
		assert_string_equal(u.host, cases[i].host);
		assert_string_equal(u.path, cases[i].path);
		assert_int_equal(u.port, cases[i].port);
		assert_int_equal(u.https, cases[i].https);
		assert_int_equal(u.loopback, cases[i].loopback);
		kt_url_add_origin(&b, &u);
		assert_string_equal(b.ptr, cases[i].origin);
		kt_url_release(&u);
	}
}

static void refused(void **state)
{
	(void)state;
	static const char *const cases[] = { "", "localhost:80", "ftp://a", "file:///etc/passwd",
		"http://", "http:///x", "http://user:secret@a/", "http://a@b", "http://a:0", "http://a:65536",
		"http://a:", "http://a:80x", "http://a b", "http://a/b c", "http://a/\n", "http://a\r\nb",
		"http://-o/", "http://a..b", "http://.a", "http://a_b", "http://a%2eb", "http://a\\b",
		"http://[::1", "http://[::1]x", "http://[zz]", "http://[]", "http://a/\"", "http://\xc3\xa4/",
		"http://a/\x7f", " http://a" };
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		struct kt_url u = { .port = 7 };
		struct kt_err err = KT_ERR_INIT;
		assert_int_equal(kt_url_parse(cases[i], &u, &err), KT_EINVAL);
		assert_int_equal(u.port, 7);
		assert_null(strstr(err.msg, "secret"));
	}
}

static void origins(void **state)
{
	(void)state;
	static const char *const same[][2] = { { "http://A:80/x", "http://a" },
		{ "https://a", "https://a:443/" }, { "http://[0:0::1]", "http://[::1]:80" } };
	static const char *const other[][2] = { { "http://a", "https://a" }, { "http://a", "http://b" },
		{ "http://a", "http://a:81" }, { "http://a:443", "https://a" } };
	for (size_t i = 0; i < KT_ARRAY_LEN(same) + KT_ARRAY_LEN(other); i++) {
		bool want = i < KT_ARRAY_LEN(same);
		const char *const *pair = want ? same[i] : other[i - KT_ARRAY_LEN(same)];
		struct kt_url a;
		struct kt_url b;
		struct kt_err err = KT_ERR_INIT;
		assert_int_equal(kt_url_parse(pair[0], &a, &err), KT_OK);
		assert_int_equal(kt_url_parse(pair[1], &b, &err), KT_OK);
		assert_int_equal(kt_url_same_origin(&a, &b), want);
		kt_url_release(&a);
		kt_url_release(&b);
	}
}

static void segments(void **state)
{
	(void)state;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1024);
	kt_url_add_segment(&b, "a-Z_0.~/ ?%\xc3\xa4&+..");
	assert_string_equal(b.ptr, "a-Z_0.~%2F%20%3F%25%C3%A4%26%2B..");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taken),
		cmocka_unit_test(refused),
		cmocka_unit_test(origins),
		cmocka_unit_test(segments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
