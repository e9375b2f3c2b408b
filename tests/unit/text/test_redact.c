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
		{ "https://x:ghp_0123456789abcdefABCD@github.com", "https://x:ghp_***ABCD@github.com" },
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_nul),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
