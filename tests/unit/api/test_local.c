/* SPDX-License-Identifier: MIT */
/* Which servers ask for keys, and what those that do not ask for one take. */
#include "api/core/caller_private.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* One bit for each sign, in the order of `words`. */
enum { HAD = 1, REQUIRE = 2, FILE_ = 4, URL = 8, PROXY = 16, SOCKET = 32, TOML = 64, LISTEN = 128, ALL = 255 };
static const char *const words[] = { "keys in its data folder", "require_keys", "--key-file", "public_url",
	"trust_proxy", "passed in", "settings file", "not of this machine" };

static const char *sign_of(unsigned bits)
{
	const struct kt_api_signs s = {
		.listen = bits & LISTEN ? "0.0.0.0" : "127.0.0.1",
		.had_keys = bits & HAD, .require_keys = bits & REQUIRE, .key_file = bits & FILE_,
		.public_url = bits & URL, .trust_proxy = bits & PROXY, .passed_socket = bits & SOCKET,
		.settings_file = bits & TOML,
	};

	return kt_api_hosting_sign(&s);
}

static void test_every_combination(void **state)
{
	(void)state;
	assert_null(sign_of(0));
	for (unsigned bits = 1; bits <= ALL; bits++) {
		const char *sign = sign_of(bits);
		size_t first = (size_t)__builtin_ctz(bits);

		assert_non_null(sign);
		assert_non_null(strstr(sign, words[first]));
	}
}

static void test_addresses(void **state)
{
	static const struct {
		const char *host;
		bool here;
	} rows[] = { { "127.0.0.1", true }, { "127.1.2.3", true }, { "::1", true }, { "localhost", true },
		{ "0.0.0.0", false }, { "::", false }, { "", false }, { "10.0.0.1", false },
		{ "128.0.0.1", false }, { "12.7.0.0", false }, { "::ffff:127.0.0.1", false }, { "::2", false },
		{ "127.0.0.1.example", false }, { "localhost.example", false }, { "karta.example", false },
		{ "127", false }, { "0127.0.0.1", false }, { "2130706433", false } };

	(void)state;
	for (size_t i = 0; i < KT_ARRAY_LEN(rows); i++) {
		const struct kt_api_signs s = { .listen = rows[i].host };

		if (kt_api_is_loopback_address(rows[i].host) != rows[i].here)
			fail_msg("%s", rows[i].host);
		assert_int_equal(kt_api_hosting_sign(&s) == NULL, rows[i].here);
	}
}

static void test_forwarded(void **state)
{
	static const char *const passed[] = { "forwarded", "via", "x-forwarded-for", "x-forwarded-host",
		"x_forwarded_for", "x-forward-for", "forwarded-for", "client-ip",
		"x_real_ip", "x-remote-addr", "x-cloud-trace-context", "do-connecting-ip", "x-vercel-id",
		"cloudfront-viewer-address", "x-auth-request-user", "proxy-connection", "x-varnish",
		"x-forwarded-proto", "x-forwarded", "x-real-ip", "x-client-ip", "x-original-url", "true-client-ip",
		"cf-ray", "cf-connecting-ip", "cdn-loop", "fly-client-ip", "tailscale-user-login",
		"x-envoy-external-address", "x-amzn-trace-id" };
	static const char *const direct[] = { "host", "accept", "authorization", "x-karta-session", "user-agent",
		"traceparent", "forward", "viable", "x-real", "cf", "x-request-id", "origin", "x-real-ipx" };

	(void)state;
	for (size_t i = 0; i < KT_ARRAY_LEN(passed); i++) {
		const struct kt_header h[] = { { "accept", "*/*" }, { passed[i], "x" } };
		const struct kt_request rq = { .headers = h, .n_headers = 2 };

		assert_string_equal(kt_api_forwarded_by(&rq), passed[i]);
	}
	for (size_t i = 0; i < KT_ARRAY_LEN(direct); i++) {
		const struct kt_header h[] = { { direct[i], "x" } };
		const struct kt_request rq = { .headers = h, .n_headers = 1 };

		if (kt_api_forwarded_by(&rq))
			fail_msg("%s", direct[i]);
	}
}

static void test_types(void **state)
{
	(void)state;
	assert_true(kt_api_is_simple_type(NULL));
	assert_true(kt_api_is_simple_type(""));
	assert_true(kt_api_is_simple_type("text/plain"));
	assert_true(kt_api_is_simple_type("Text/Plain;charset=x"));
	assert_true(kt_api_is_simple_type("multipart/form-data; boundary=x"));
	assert_true(kt_api_is_simple_type("application/x-www-form-urlencoded"));
	assert_true(kt_api_is_simple_type("text/plain, application/gzip"));
	assert_false(kt_api_is_simple_type("application/gzip"));
	assert_false(kt_api_is_simple_type("application/json"));
	assert_false(kt_api_is_simple_type("text/plainer"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_combination),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_forwarded),
		cmocka_unit_test(test_types),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
