/* SPDX-License-Identifier: MIT */
/* Redaction of credentials. The keys here are made up. */
#include "text/redact.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_cases(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "", "" },
		{ "nothing here", "nothing here" },
		{ "kt_live_0123456789abcdef", "kt_live_***cdef" },
		{ "key=kt_test_0123456789abcdef, next", "key=kt_test_***cdef, next" },
		{ "\"sk-ant-api03-AAAA_bbbb-cccc9876\"", "\"sk-ant-***9876\"" },
		{ "sk-proj-0123456789abcdef", "sk-***cdef" },
		{ "use sk-learn or a task-0123456789abcdef",
			"use sk-learn or a task-0123456789abcdef" },
		{ "whsec_MfKQ9r8GKYqrTwjU", "whsec_***TwjU" },
		{ "whsec_MfKQ9r8GKYq/TwjUPD+Laz0=", "whsec_***az0=" },
		{ "Authorization: Bearer abc.def-ghi_jkl~m+n/o==",
			"Authorization: Bearer ***/o==" },
		{ "authorization: bearer \t short", "authorization: bearer \t ***" },
		{ "Bearer kt_live_0123456789abcdef.", "Bearer ***def." },
		{ "Bearer ", "Bearer " },
		{ "kt_live_", "kt_live_" },
		{ "kt_live_a", "kt_live_***" },
		{ "kt_live_0123456789abcdef kt_live_fedcba9876543210",
			"kt_live_***cdef kt_live_***3210" },
		{ "sk-ant-x", "sk-ant-***" },
		{ "kt_liv", "kt_liv" },
		{ "https://x:ghp_0123456789abcdefABCD@github.com",
			"https://x:ghp_***ABCD@github.com" },
		{ "github_pat_0123456789abcdefghij_KLMN", "github_pat_***KLMN" },
		{ "ghp_short and graphs_of_things", "ghp_short and graphs_of_things" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);

		kt_redact_add(&b, cases[i].text, strlen(cases[i].text));
		assert_string_equal(b.ptr, cases[i].want);
	}
}

static void test_nul(void **state)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64);

	kt_redact_add(&b, "a\0kt_live_0123456789abcd\0", 25);
	assert_int_equal(b.len, 18);
	assert_memory_equal(b.ptr, "a\0kt_live_***abcd\0", 18);
}

static void test_local_addresses(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "", "" },
		{ "http://127.0.0.1:45671/v1/messages: refused", "(local address) refused" },
		{ "cannot reach http://localhost:8000 (ECONNREFUSED)",
			"cannot reach (local address) (ECONNREFUSED)" },
		{ "connect ECONNREFUSED 127.0.0.1:4096", "connect ECONNREFUSED (local address)" },
		{ "\"url\":\"http://[::1]:9/x\",\"a\":1", "\"url\":\"(local address)\",\"a\":1" },
		{ "at 127.8.9.1, 0.0.0.0:80 and [::1]",
			"at (local address), (local address) and (local address)" },
		{ "localhost:3000.", "(local address)." },
		{ "WS://LOCALHOST/x y", "(local address) y" },
		/* Projects, words, other hosts and numbers. */
		{ "http://bot.localhost:8000/v1", "http://bot.localhost:8000/v1" },
		{ "the localhost is yours", "the localhost is yours" },
		{ "http://localhost.example.com/", "http://localhost.example.com/" },
		{ "https://api.example.com:443/127.0", "https://api.example.com:443/127.0" },
		{ "version 127.0 and 10.127.0.0.1", "version 127.0 and 10.127.0.0.1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct kt_buf b = KT_BUF_INIT(1000);

		kt_redact_local_add(&b, cases[i].text, strlen(cases[i].text));
		assert_string_equal(b.len ? b.ptr : "", cases[i].want);
		kt_buf_release(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_local_addresses),
		cmocka_unit_test(test_nul),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
