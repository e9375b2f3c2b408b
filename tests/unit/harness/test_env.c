/* SPDX-License-Identifier: MIT */
/* What of the server's own environment reaches a harness of a release: an allow-list, no password. */
#include "harness/harness_env.h"

#include "base/base.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define SECRET "s3cr3t-canary"

static bool has(const struct kt_vec *env, const char *entry)
{
	for (size_t i = 0; env->items[i]; i++)
		if (kt_str_eq(env->items[i], entry))
			return true;
	return false;
}

static void test_sealed(void **state)
{
	static const char *const secret[] = { "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
		"AWS_SESSION_TOKEN", "GITHUB_TOKEN", "GH_TOKEN", "GITLAB_TOKEN", "NPM_TOKEN",
		"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN",
		"GOOGLE_APPLICATION_CREDENTIALS", "AZURE_CLIENT_SECRET", "PGPASSWORD", "MYSQL_PWD",
		"DATABASE_URL", "REDIS_URL", "DB_PASSWORD", "SSH_AUTH_SOCK", "GPG_AGENT_INFO",
		"KUBECONFIG", "VAULT_TOKEN", "KARTA_API_KEY", "KARTA_SERVER", "NOTIFY_SOCKET",
		"LISTEN_FDS", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "ALL_PROXY", "all_proxy",
		"FTP_PROXY", "NODE_OPTIONS", "LD_PRELOAD", "GIT_ASKPASS", "SUDO_ASKPASS", "MAIL" };
	static const struct {
		const char *name, *value, *want;
	} proxies[] = {
		{ "HTTPS_PROXY", "http://user:" SECRET "@proxy.example:3128/", "http://proxy.example:3128/" },
		{ "https_proxy", "user:" SECRET "@proxy.example:3128", "proxy.example:3128" },
		{ "HTTP_PROXY", "socks5h://" SECRET "@10.0.0.1", "socks5h://10.0.0.1" },
		{ "http_proxy", "http://u:" SECRET "/@" SECRET "@[::1]:1", "http://[::1]:1" },
		{ "NO_PROXY", "localhost,.example.com", "localhost,.example.com" },
	};
	struct kt_vec none = KT_VEC_INIT, env = KT_VEC_INIT;
	char *extra[] = { (char[]){ "HTTP_PROXY=http://theirs:own@x" }, NULL };
	struct kt_arena *arena = kt_arena_new();
	struct kt_harness_env_parts parts = {
		.of_driver = &none, .sealed = true, .home = "/home/of/session"
	};

	(void)state;
	for (size_t i = 0; i < KT_ARRAY_LEN(secret); i++)
		assert_int_equal(setenv(secret[i], SECRET, 1), 0);
	for (size_t i = 0; i < KT_ARRAY_LEN(proxies); i++)
		assert_int_equal(setenv(proxies[i].name, proxies[i].value, 1), 0);
	kt_harness_env_build(arena, &parts, &env);
	for (size_t i = 0; env.items[i]; i++)
		if (strstr(env.items[i], SECRET))
			fail_msg("%s", (const char *)env.items[i]);
	for (size_t i = 0; i < KT_ARRAY_LEN(proxies); i++) {
		KT_AUTOFREE char *want = kt_asprintf("%s=%s", proxies[i].name, proxies[i].want);

		if (!has(&env, want))
			fail_msg("no %s", want);
	}
	assert_true(has(&env, "HOME=/home/of/session"));
	kt_vec_release(&env);
	/* What the project itself says is the project's. */
	parts.extra = extra;
	kt_harness_env_build(arena, &parts, &env);
	assert_true(has(&env, "HTTP_PROXY=http://theirs:own@x"));
	kt_vec_release(&env);
	/* On a user's own machine the harness has what it has without karta, but for karta's key. */
	parts = (struct kt_harness_env_parts){ .of_driver = &none };
	kt_harness_env_build(arena, &parts, &env);
	assert_true(has(&env, "https_proxy=user:" SECRET "@proxy.example:3128"));
	assert_true(has(&env, "ANTHROPIC_API_KEY=" SECRET));
	assert_false(has(&env, "KARTA_API_KEY=" SECRET));
	kt_vec_release(&env);
	kt_arena_free(arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_sealed) };

	return cmocka_run_group_tests_name("harness/env", tests, NULL, NULL);
}
