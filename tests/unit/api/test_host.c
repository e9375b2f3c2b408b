/* SPDX-License-Identifier: MIT */
/* Where a call to a hosting server goes: names, paths, prefixes, and what a proxy says. */
#include "api/core/caller_private.h"

#include "base/str.h"
#include "net/trust.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* What is refused is answered, which needs a connection: tests/api/hosting.test.mjs has those. */
struct row {
	const char *host;
	int port;
	const char *path;
	enum kt_place_kind kind;
	const char *org, *name, *left;
	const char *base;
};

static struct kt_api *api_for(const char *url, const char *suffix, const struct kt_trust *trust)
{
	/* Only asked whether it is there. */
	static char control;
	const struct kt_api_config cfg = {
		.control = (struct kt_control *)(void *)&control,
		.public_url = url,
		.host_suffix = suffix,
		.trust = trust,
	};

	return kt_api_new(&cfg);
}

static void check(struct kt_api *api, const struct row *r, const struct kt_header *h, size_t n,
	struct kt_caller *by)
{
	struct kt_request rq = { .method = KT_GET, .path = r->path, .query = "", .host = r->host,
		.port = r->port, .headers = h, .n_headers = n, .peer = "192.0.2.1" };
	struct kt_call c = { api, NULL, &rq, false, by };
	struct kt_place place;

	memset(by, 0, sizeof(*by));
	assert_true(kt_api_place(&c, &place));
	assert_int_equal(place.kind, r->kind);
	if (r->org)
		assert_string_equal(place.org, r->org);
	if (r->name)
		assert_string_equal(place.name, r->name);
	assert_string_equal(place.path, r->left);
	if (r->base)
		assert_string_equal(by->base_url, r->base);
}

static void test_local(void **state)
{
	static const struct row rows[] = {
		{ "localhost", 8000, "/v1/sessions", KT_PLACE_OWN, NULL, NULL, "/v1/sessions",
			"http://localhost:8000" },
		{ "127.0.0.1", 80, "/", KT_PLACE_OWN, NULL, NULL, "/", "http://127.0.0.1:80" },
		{ "[::1]", 8000, "/", KT_PLACE_OWN, NULL, NULL, "/", "http://[::1]:8000" },
		{ "", 0, "/", KT_PLACE_OWN, NULL, NULL, "/", "http://localhost" },
		{ "bot.localhost", 8000, "/v1/sessions", KT_PLACE_LABEL, NULL, "bot",
			"/v1/sessions", "http://localhost:8000" },
		{ "bot-pr-7.localhost", 0, "/", KT_PLACE_LABEL, NULL, "bot-pr-7", "/",
			"http://localhost" },
		{ "localhost", 0, "/v1/projects/bot/sessions/x", KT_PLACE_REF, NULL, "bot",
			"/v1/sessions/x", NULL },
		{ "localhost", 0, "/v1/projects/bot/v1/agents", KT_PLACE_REF, NULL, "bot",
			"/v1/agents", NULL },
		{ "localhost", 0, "/v1/projects/bot/", KT_PLACE_REF, NULL, "bot", "/v1/", NULL },
		{ "localhost", 0, "/v1/projects/bot", KT_PLACE_OWN, NULL, NULL,
			"/v1/projects/bot", NULL },
		{ "localhost", 0, "/v1/projects//sessions", KT_PLACE_OWN, NULL, NULL,
			"/v1/projects//sessions", NULL },
		{ "localhost", 0, "/acme/bot/v1/sessions", KT_PLACE_PATH, "acme", "bot",
			"/v1/sessions", NULL },
		/* No organization can be called so. */
		{ "localhost", 0, "/v1/sessions/v1/events", KT_PLACE_OWN, NULL, NULL,
			"/v1/sessions/v1/events", NULL },
		{ "localhost", 0, "/agent_projects/bot/v1/x", KT_PLACE_OWN, NULL, NULL,
			"/agent_projects/bot/v1/x", NULL },
		{ "localhost", 0, "/agent_projects/bot/releases/v1/log", KT_PLACE_OWN, NULL, NULL,
			"/agent_projects/bot/releases/v1/log", NULL },
		/* Below a project's host nothing else is taken off. */
		{ "bot.localhost", 0, "/v1/projects/other/sessions", KT_PLACE_LABEL, NULL, "bot",
			"/v1/projects/other/sessions", NULL },
		/* Whoever looks after the server. */
		{ "10.0.0.7", 0, "/healthz", KT_PLACE_OWN, NULL, NULL, "/healthz", NULL },
	};
	struct kt_api *api = api_for(NULL, NULL, NULL);
	struct kt_caller by;

	(void)state;
	for (size_t i = 0; i < KT_ARRAY_LEN(rows); i++)
		check(api, &rows[i], NULL, 0, &by);
	kt_api_free(api);
}

static void test_public(void **state)
{
	static const char base[] = "https://karta.example/base";
	static const struct row rows[] = {
		{ "karta.example", 0, "/base/v1/keys", KT_PLACE_OWN, NULL, NULL, "/v1/keys", base },
		{ "karta.example", 0, "/v1/keys", KT_PLACE_OWN, NULL, NULL, "/v1/keys", base },
		{ "karta.example", 0, "/base", KT_PLACE_OWN, NULL, NULL, "/", base },
		{ "karta.example", 0, "/base/", KT_PLACE_OWN, NULL, NULL, "/", base },
		{ "karta.example", 0, "/basement", KT_PLACE_OWN, NULL, NULL, "/basement", base },
		{ "bot.karta.example", 0, "/base/v1/agents", KT_PLACE_LABEL, NULL, "bot",
			"/v1/agents", base },
		{ "bot.apps.example", 0, "/v1/agents", KT_PLACE_LABEL, NULL, "bot", "/v1/agents",
			base },
		{ "localhost", 8000, "/base/acme/bot/v1/agents", KT_PLACE_PATH, "acme", "bot",
			"/v1/agents", base },
	};
	struct kt_api *api = api_for("https://karta.example/base/", "apps.example", NULL);
	struct kt_caller by;

	(void)state;
	for (size_t i = 0; i < KT_ARRAY_LEN(rows); i++)
		check(api, &rows[i], NULL, 0, &by);
	kt_api_free(api);
}

static void test_proxy(void **state)
{
	static const struct kt_header said[] = {
		{ "x-forwarded-for", "198.51.100.7, 203.0.113.9" },
		{ "x-forwarded-proto", "https" },
		{ "x-forwarded-host", "Bot.localhost:444" },
	};
	static const struct kt_header odd[] = {
		{ "x-forwarded-for", "someone" },
		{ "x-forwarded-host", "a b" },
	};
	static const struct row plain = { "localhost", 8000, "/", KT_PLACE_OWN, NULL, NULL, "/",
		"http://localhost:8000" };
	static const struct row told = { "localhost", 8000, "/", KT_PLACE_LABEL, NULL, "bot", "/",
		"https://localhost:444" };
	struct kt_api *api = api_for(NULL, NULL, NULL);
	struct kt_trust *trust;
	struct kt_caller by;

	(void)state;
	check(api, &plain, NULL, 0, &by);
	assert_false(by.proxied);
	check(api, &plain, said, KT_ARRAY_LEN(said), &by);
	assert_string_equal(by.peer, "192.0.2.1");
	assert_true(by.proxied);
	kt_api_free(api);

	assert_int_equal(kt_trust_new("192.0.2.0/24", &trust, NULL), KT_OK);
	api = api_for(NULL, NULL, trust);
	check(api, &told, said, KT_ARRAY_LEN(said), &by);
	assert_string_equal(by.peer, "203.0.113.9");
	assert_true(by.told);
	check(api, &plain, odd, KT_ARRAY_LEN(odd), &by);
	assert_string_equal(by.peer, "192.0.2.1");
	assert_false(by.told);
	/* Behind a proxy nobody is at this machine, whatever it says or leaves out. */
	check(api, &plain, NULL, 0, &by);
	assert_true(by.proxied);
	kt_api_free(api);
	kt_trust_free(trust);

	/* What comes from elsewhere is not believed, and is not of this machine either. */
	assert_int_equal(kt_trust_new("", &trust, NULL), KT_OK);
	api = api_for(NULL, NULL, trust);
	check(api, &plain, said, KT_ARRAY_LEN(said), &by);
	assert_string_equal(by.peer, "192.0.2.1");
	assert_true(by.proxied);
	assert_false(by.told);
	kt_api_free(api);
	kt_trust_free(trust);
}

/* X-Forwarded-For of a chain of proxies, from its end. */
static void test_chain(void **state)
{
	static const struct {
		const char *trust, *said, *said_then, *peer;
	} rows[] = {
		{ "192.0.2.1", "198.51.100.7", NULL, "198.51.100.7" },
		{ "192.0.2.1", "10.0.0.1, 198.51.100.7", NULL, "198.51.100.7" },
		{ "192.0.2.1,203.0.113.0/24", "198.51.100.7, 203.0.113.9", NULL, "198.51.100.7" },
		{ "192.0.2.1 203.0.113.0/24", "6.6.6.6,198.51.100.7 ,203.0.113.9,203.0.113.8", NULL,
			"198.51.100.7" },
		/* Several lines are one list. */
		{ "192.0.2.1,203.0.113.9", "198.51.100.7", "203.0.113.9", "198.51.100.7" },
		{ "192.0.2.1,203.0.113.9", "198.51.100.7,198.51.100.8", "203.0.113.9",
			"198.51.100.8" },
		/* All trusted: the first of them. */
		{ "192.0.2.1,203.0.113.9", "203.0.113.9", NULL, "203.0.113.9" },
		/* What is no address ends the chain where it was. */
		{ "192.0.2.1,203.0.113.9", "unknown, 203.0.113.9", NULL, "203.0.113.9" },
		{ "192.0.2.1,203.0.113.9", "198.51.100.7,, 203.0.113.9", NULL, "203.0.113.9" },
		{ "192.0.2.1", "198.51.100.7:1234", NULL, "192.0.2.1" },
		{ "192.0.2.1", "", NULL, "192.0.2.1" },
		{ "192.0.2.1", "2001:db8::7", NULL, "2001:db8::7" },
		/* Nobody else is believed. */
		{ "192.0.2.2,unix,::1", "198.51.100.7", NULL, "192.0.2.1" },
	};

	(void)state;
	for (size_t i = 0; i < KT_ARRAY_LEN(rows); i++) {
		static const struct row plain = { "localhost", 0, "/", KT_PLACE_OWN, NULL, NULL, "/",
			NULL };
		const struct kt_header said[] = { { "x-forwarded-for", rows[i].said },
			{ "host", "localhost" }, { "x-forwarded-for", rows[i].said_then } };
		struct kt_trust *trust;
		struct kt_caller by;

		assert_int_equal(kt_trust_new(rows[i].trust, &trust, NULL), KT_OK);
		struct kt_api *api = api_for(NULL, NULL, trust);

		check(api, &plain, said, rows[i].said_then ? 3 : 1, &by);
		if (!kt_str_eq(by.peer, rows[i].peer))
			fail_msg("row %zu: %s", i, by.peer);
		kt_api_free(api);
		kt_trust_free(trust);
	}
}

static void test_origin(void **state)
{
	(void)state;
	assert_true(kt_api_same_origin("http://localhost:8000", "localhost", 8000));
	assert_true(kt_api_same_origin("https://Karta.example", "karta.example", 0));
	assert_false(kt_api_same_origin("http://localhost", "localhost", 8000));
	assert_false(kt_api_same_origin("http://localhost:8000.evil.example", "localhost", 8000));
	assert_false(kt_api_same_origin("ftp://localhost:8000", "localhost", 8000));
	assert_false(kt_api_same_origin("null", "null", 0));
	assert_false(kt_api_same_origin("http://", "", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_local),
		cmocka_unit_test(test_public),
		cmocka_unit_test(test_proxy),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_origin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
