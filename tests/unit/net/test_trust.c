/* SPDX-License-Identifier: MIT */
/* The proxies that are trusted, by address. */
#include "net/trust.h"

#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_peers(void **state)
{
	static const struct {
		const char *list, *peer;
		bool has, skips;
	} rows[] = {
		/* Without addresses: one proxy near by, whose word is the last. */
		{ "", "127.0.0.1", true, false },
		{ "", "127.1.2.3", true, false },
		{ "", "::1", true, false },
		{ "", "local", true, false },
		{ "", "10.255.0.1", true, false },
		{ "", "172.31.255.255", true, false },
		{ "", "172.32.0.0", false, false },
		{ "", "192.168.1.1", true, false },
		{ "", "192.169.1.1", false, false },
		{ "", "fd00::1", true, false },
		{ "", "fe80::1", true, false },
		{ "", "2001:db8::1", false, false },
		{ "", "203.0.113.9", false, false },
		{ "", "::ffff:10.0.0.1", true, false },
		{ "", "::ffff:203.0.113.9", false, false },
		{ "", "", false, false },
		{ "", "localhost", false, false },
		/* With addresses: those only. */
		{ "203.0.113.9", "203.0.113.9", true, true },
		{ "203.0.113.9", "203.0.113.8", false, false },
		{ "203.0.113.9", "127.0.0.1", false, false },
		{ "203.0.113.9", "local", false, false },
		{ "203.0.113.0/29, ::1", "203.0.113.7", true, true },
		{ "203.0.113.0/29, ::1", "203.0.113.8", false, false },
		{ "203.0.113.0/29, ::1", "::1", true, true },
		{ "2001:db8:1::/48", "2001:db8:1:2::3", true, true },
		{ "2001:db8:1::/48", "2001:db8:2::3", false, false },
		{ "0.0.0.0/0", "8.8.8.8", true, true },
		{ "0.0.0.0/0", "2001:db8::1", false, false },
		{ "unix", "local", true, true },
		{ "unix", "127.0.0.1", false, false },
	};

	(void)state;
	for (size_t i = 0; i < KT_ARRAY_LEN(rows); i++) {
		struct kt_trust *t;

		assert_int_equal(kt_trust_new(rows[i].list, &t, NULL), KT_OK);
		if (kt_trust_has(t, rows[i].peer) != rows[i].has ||
			kt_trust_skips(t, rows[i].peer) != rows[i].skips)
			fail_msg("'%s' and '%s'", rows[i].list, rows[i].peer);
		kt_trust_free(t);
	}
	assert_false(kt_trust_has(NULL, "127.0.0.1"));
	assert_false(kt_trust_skips(NULL, "127.0.0.1"));
}

static void test_refused(void **state)
{
	static const char *const lists[] = { ",", " ", "proxy.example", "10.0.0.0/33", "10.0.0/8",
		"10.0.0.0/-1", "10.0.0.0/", "::1/129", "10.0.0.1,nobody", "Unix", "127.0.0.1:80" };
	char many[65 * 8 + 1] = "";
	struct kt_trust *t;

	(void)state;
	for (size_t i = 0; i < KT_ARRAY_LEN(lists); i++) {
		struct kt_err err = KT_ERR_INIT;

		if (kt_trust_new(lists[i], &t, &err) != KT_EINVAL || !err.msg[0])
			fail_msg("'%s' is taken", lists[i]);
	}
	for (size_t i = 0; i < 65; i++)
		memcpy(many + i * 8, "1.1.1.1,", 9);
	assert_int_equal(kt_trust_new(many, &t, NULL), KT_EINVAL);
	many[64 * 8] = '\0';
	assert_int_equal(kt_trust_new(many, &t, NULL), KT_OK);
	kt_trust_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_peers),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
