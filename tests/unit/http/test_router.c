/* SPDX-License-Identifier: MIT */
/* Routes, query parameters and header lookup. */
#include "http/http.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <string.h>

static const struct kt_route routes[] = {
	{ KT_GET, "/", NULL, "root" },
	{ KT_GET | KT_POST, "/v1/sessions", NULL, "list" },
	{ KT_GET | KT_DELETE, "/v1/sessions/{id}", NULL, "one" },
	{ KT_POST, "/v1/sessions/search", NULL, "search" },
	{ KT_GET, "/v1/sessions/mine", NULL, "mine" },
	{ KT_GET, "/v1/{kind}/mine/{id}", NULL, "kind" },
	{ KT_GET, "/v1/sessions/{a}/{b}", NULL, "pair" },
};

static const char *find(enum kt_method method, const char *path, struct kt_params *params,
	unsigned *allow)
{
	static char scratch[64];
	struct kt_request rq = { .method = method, .path = path };
	const struct kt_route *r = kt_route_find(routes, KT_ARRAY_LEN(routes), &rq, params, scratch,
		sizeof(scratch), allow);

	return r ? r->operation : "none";
}

static void test_find(void **state)
{
	struct kt_params p;
	unsigned allow;

	assert_string_equal(find(KT_GET, "/", &p, &allow), "root");
	assert_string_equal(find(KT_HEAD, "/v1/sessions", &p, &allow), "list");
	assert_string_equal(find(KT_GET, "/v1/sessions/", &p, &allow), "none");
	assert_int_equal(allow, 0);
	assert_string_equal(find(KT_GET, "/v1/sessions/a b", &p, &allow), "one");
	assert_int_equal(p.n, 1);
	assert_string_equal(p.value[0], "a b");
	/* Literals win, from the left, among the routes that know the method. */
	assert_string_equal(find(KT_GET, "/v1/sessions/mine", &p, &allow), "mine");
	assert_string_equal(find(KT_GET, "/v1/sessions/search", &p, &allow), "one");
	assert_string_equal(find(KT_GET, "/v1/sessions/mine/x", &p, &allow), "pair");
	assert_int_equal(p.n, 2);
	assert_string_equal(p.value[0], "mine");
	assert_string_equal(p.value[1], "x");
	assert_string_equal(find(KT_GET, "/v1/apps/mine/x", &p, &allow), "kind");
	assert_string_equal(find(KT_PUT, "/v1/sessions", &p, &allow), "none");
	assert_int_equal(allow, KT_GET | KT_HEAD | KT_POST);
	assert_string_equal(find(KT_GET, "/v1/sessionsx", &p, &allow), "none");
	assert_string_equal(find(KT_OPTIONS, "*", &p, &allow), "none");
	assert_int_equal(allow, 0);
	/* A value that the scratch cannot hold is not found, never cut. */
	char longer[200] = "/v1/sessions/";
	memset(longer + strlen(longer), 'x', 100);
	assert_string_equal(find(KT_GET, longer, &p, &allow), "none");
}

static void test_names(void **state)
{
	char out[64];

	kt_method_names(KT_GET | KT_POST, out, sizeof(out));
	assert_string_equal(out, "GET, HEAD, POST");
	kt_method_names(KT_GET | KT_POST, out, 6);
	assert_string_equal(out, "GET");
}

static void test_query(void **state)
{
	struct kt_request rq = { .query = "a=1&bb=x%20y+z&a=2&c&d=%zz&e=%00&f=" };
	char out[8];

	assert_true(kt_request_query(&rq, "a", out, sizeof(out)));
	assert_string_equal(out, "1");
	assert_true(kt_request_query(&rq, "bb", out, sizeof(out)));
	assert_string_equal(out, "x y z");
	assert_false(kt_request_query(&rq, "bb", out, 5));
	assert_true(kt_request_query(&rq, "c", out, sizeof(out)));
	assert_string_equal(out, "");
	assert_true(kt_request_query(&rq, "f", out, sizeof(out)));
	assert_false(kt_request_query(&rq, "d", out, sizeof(out)));
	assert_false(kt_request_query(&rq, "e", out, sizeof(out)));
	assert_false(kt_request_query(&rq, "b", out, sizeof(out)));
}

static void test_header(void **state)
{
	const struct kt_header h[] = { { "host", "a" }, { "x", "1" } };
	struct kt_request rq = { .headers = h, .n_headers = 2 };

	assert_string_equal(kt_request_header(&rq, "x"), "1");
	assert_null(kt_request_header(&rq, "y"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find), cmocka_unit_test(test_names),
		cmocka_unit_test(test_query), cmocka_unit_test(test_header),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
