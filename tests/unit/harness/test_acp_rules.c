/* SPDX-License-Identifier: MIT */
/*
 * The ACP driver where no transcript helps: choices of agent and model, resuming, refused starts,
 * error codes, interrupts, garbage, and the environment for OpenCode.
 */
#include "acp_ready.h"

static void test_agents(void **state)
{
	struct world w;

	world_ready(&w, NULL);
	prompt_as(&w, "hi", "reviewer");
	const cJSON *out = sent(&w);

	assert_string_equal(kt_json_str(out, "method"), "session/set_config_option");
	assert_string_equal(kt_json_str(kt_json_get(out, "params"), "configId"), "mode");
	assert_string_equal(kt_json_str(kt_json_get(out, "params"), "value"), "reviewer");
	answer_last(&w, "\"result\":{\"configOptions\":[{\"id\":\"mode\",\"currentValue\":\"reviewer\","
			"\"options\":[{\"value\":\"build\"},{\"value\":\"reviewer\"}]}]}");
	expect_method(&w, "session/prompt");
	answer_last(&w, "\"result\":{\"stopReason\":\"end_turn\"}");
	/* The same again: nothing to choose. */
	prompt_as(&w, "hi", "reviewer");
	expect_method(&w, "session/prompt");
	answer_last(&w, "\"result\":{\"stopReason\":\"end_turn\"}");
	/* No agent named: back to the one of the start. */
	prompt_as(&w, "hi", NULL);
	out = sent(&w);
	assert_string_equal(kt_json_str(kt_json_get(out, "params"), "value"), "build");
	answer_last(&w, "\"error\":{\"code\":-32602,\"message\":\"mode not found: build\"}");
	assert_true(w.ended);
	assert_non_null(strstr(w.log.ptr, "error|agent_not_found|"));
	kt_buf_clear(&w.log);
	prompt_as(&w, "hi", "nobody");
	sent_nothing(&w);
	assert_string_equal(w.log.ptr,
		"error|agent_not_found||||0|-1/-1/-1|-1|think 0|replaced 0\n");
	assert_non_null(strstr(w.error_message, "'nobody'"));
	world_close(&w);
}

/* A mode that switches questions off is never taken for an agent. */
static void test_modes_are_no_agents(void **state)
{
	const struct kt_driver_config cfg = { .program = "/opt/gemini", .cwd = "/app",
		.permission_mode = "plan" };
	struct world w;

	world_open(&w, &cfg);
	w.d->ops->start(w.d);
	line(&w, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"protocolVersion\":1,"
		 "\"agentInfo\":{\"name\":\"gemini-cli\"}}}");
	answer_last(&w, "\"result\":{\"sessionId\":\"s1\",\"modes\":{\"currentModeId\":\"default\","
			"\"availableModes\":[{\"id\":\"default\"},{\"id\":\"yolo\"},{\"id\":\"plan\"}]}}");
	w.sent_seen = w.sent.len;
	prompt_as(&w, "hi", "yolo");
	const cJSON *out = sent(&w);

	assert_string_equal(kt_json_str(out, "method"), "session/set_mode");
	assert_string_equal(kt_json_str(kt_json_get(out, "params"), "modeId"), "plan");
	answer_last(&w, "\"result\":{}");
	assert_true(w.ended);
	assert_non_null(strstr(w.log.ptr, "error|agent_not_found|"));
	sent_nothing(&w);
	world_close(&w);
}

/* Where modes are agents, the permission mode is the agent of every turn; unknown ones are an error. */
static void test_permission_modes(void **state)
{
	struct kt_driver_config cfg = { .program = "/opt/opencode", .cwd = "/app",
		.permission_mode = "reviewer" };
	static const struct kt_app opencode = { .harness = KT_HARNESS_OPENCODE };
	static const struct kt_app other = { .harness = KT_HARNESS_ACP };
	struct kt_err err = KT_ERR_INIT;
	struct world w;

	world_open(&w, &cfg);
	w.d->ops->start(w.d);
	line(&w, INIT_ANSWER(""));
	answer_last(&w, "\"result\":{\"sessionId\":\"s1\"," OPTIONS "}");
	w.sent_seen = w.sent.len;
	prompt_as(&w, "hi", NULL);
	assert_string_equal(
		kt_json_str(kt_json_get(sent(&w), "params"), "value"), "reviewer");
	answer_last(&w, "\"result\":{\"configOptions\":[{\"id\":\"mode\",\"currentValue\":\"reviewer\","
			"\"options\":[{\"value\":\"build\"},{\"value\":\"reviewer\"}]}]}");
	expect_method(&w, "session/prompt");
	answer_last(&w, "\"result\":{\"stopReason\":\"end_turn\"}");
	/* It stays: not by silence, nor by another agent's name. */
	prompt_as(&w, "hi", NULL);
	expect_method(&w, "session/prompt");
	answer_last(&w, "\"result\":{\"stopReason\":\"end_turn\"}");
	prompt_as(&w, "hi", "reviewer");
	expect_method(&w, "session/prompt");
	answer_last(&w, "\"result\":{\"stopReason\":\"end_turn\"}");
	kt_buf_clear(&w.log);
	prompt_as(&w, "hi", "build");
	sent_nothing(&w);
	assert_true(kt_str_starts(w.log.ptr, "error|invalid_request|"));
	world_close(&w);

	cfg.permission_mode = "yolo";
	world_open(&w, &cfg);
	w.d->ops->start(w.d);
	line(&w, INIT_ANSWER(""));
	answer_last(&w, "\"result\":{\"sessionId\":\"s1\"," OPTIONS "}");
	w.sent_seen = w.sent.len;
	for (int i = 0; i < 2; i++) {
		kt_buf_clear(&w.log);
		prompt_as(&w, "hi", NULL);
		sent_nothing(&w);
		assert_true(kt_str_starts(w.log.ptr, "error|invalid_request|"));
		assert_non_null(strstr(w.error_message, "'yolo'; it has: build, reviewer"));
	}
	world_close(&w);

	/* What is known before is refused before. */
	assert_int_equal(kt_driver_check_mode(&opencode, "plan", NULL), KT_OK);
	assert_int_equal(kt_driver_check_mode(&opencode, NULL, NULL), KT_OK);
	assert_int_equal(kt_driver_check_mode(&opencode, "acceptEdits", &err), KT_EINVAL);
	assert_non_null(strstr(err.msg, "of opencode is one of: default, build, plan"));
	assert_int_equal(kt_driver_check_mode(&other, "acceptEdits", NULL), KT_OK);
}

static void test_model(void **state)
{
	struct world w;

	world_ready(&w, "m2");
	prompt_as(&w, "hi", NULL);
	const cJSON *out = sent(&w);

	assert_string_equal(kt_json_str(kt_json_get(out, "params"), "configId"), "model");
	assert_string_equal(kt_json_str(kt_json_get(out, "params"), "value"), "m2");
	answer_last(&w, "\"error\":{\"code\":-32602,\"message\":\"model not found: m2\"}");
	assert_non_null(strstr(w.log.ptr, "error|model_not_found|"));
	/* It is tried again, not forgotten. */
	prompt_as(&w, "hi", NULL);
	expect_method(&w, "session/set_config_option");
	answer_last(&w, "\"result\":{}");
	expect_method(&w, "session/prompt");
	world_close(&w);
}

static void test_resume(void **state)
{
	static const struct {
		const char *caps;
		const char *method;
		bool works;
	} cases[] = {
		{ "\"loadSession\":true,\"sessionCapabilities\":{\"resume\":{}}", "session/resume", true },
		{ "\"loadSession\":true", "session/load", true },
		{ "\"loadSession\":true", "session/load", false },
		{ "\"loadSession\":false", "session/new", true },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		const struct kt_driver_config cfg = { .program = "/opt/agent", .cwd = "/app",
			.resume_id = "s1", .transcript = "User: before" };
		bool fresh = !strcmp(cases[i].method, "session/new") || !cases[i].works;
		KT_AUTOFREE char *init = kt_asprintf("{\"id\":1,\"result\":{\"agentCapabilities\":{%s}}}",
			cases[i].caps);
		struct world w;

		world_open(&w, &cfg);
		w.d->ops->start(w.d);
		(void)sent(&w);
		line(&w, init);
		const cJSON *out = sent(&w);

		assert_string_equal(kt_json_str(out, "method"), cases[i].method);
		assert_int_equal(kt_json_get(kt_json_get(out, "params"), "sessionId") != NULL,
			strcmp(cases[i].method, "session/new") != 0);
		line(&w, CHUNK("old", "replayed words")); /* swallowed: w_event() would complain */
		if (!cases[i].works) {
			answer_last(&w, "\"error\":{\"code\":-32603,\"message\":\"Internal error\","
					"\"data\":{\"details\":\"Invalid session identifier\"}}");
			assert_string_equal(w.resume_failed, "Invalid session identifier");
			expect_method(&w, "session/new");
		}
		answer_last(&w, fresh ? "\"result\":{\"sessionId\":\"s2\"}" : "\"result\":{}");
		assert_int_equal(w.readies, 1);
		assert_string_equal(w.session, fresh ? "s2" : "s1");
		prompt_as(&w, "now", NULL);
		out = kt_json_path(sent(&w), "params.prompt");
		assert_int_equal(cJSON_GetArraySize(out), fresh ? 2 : 1);
		assert_string_equal(kt_json_str(out->child, "text"), fresh ? "User: before" : "now");
		answer_last(&w, "\"result\":{\"stopReason\":\"end_turn\"}");
		prompt_as(&w, "again", NULL);
		out = kt_json_path(sent(&w), "params.prompt");
		assert_int_equal(cJSON_GetArraySize(out), 1); /* the preamble only once */
		world_close(&w);
	}
}

/* An agent that refuses the session: ready all the same, the reason at each prompt, tried again. */
static void test_start_refused(void **state)
{
	const struct kt_driver_config cfg = { .program = "/opt/agent", .cwd = "/app" };
	struct world w;

	world_open(&w, &cfg);
	w.d->ops->start(w.d);
	line(&w, INIT_ANSWER(""));
	answer_last(&w, "\"error\":{\"code\":-32000,\"message\":\"Authentication required\"}");
	assert_int_equal(w.readies, 1);
	assert_null(w.session);
	w.sent_seen = w.sent.len;
	prompt_as(&w, "hi", NULL);
	expect_method(&w, "session/new");
	answer_last(&w, "\"error\":{\"code\":-32000,\"message\":\"Authentication required\"}");
	assert_non_null(strstr(w.log.ptr, "error|auth_failed|"));
	prompt_as(&w, "hi", NULL);
	expect_method(&w, "session/new");
	answer_last(&w, "\"result\":{\"sessionId\":\"s1\"}");
	assert_string_equal(w.session, "s1");
	assert_int_equal(w.readies, 1);
	expect_method(&w, "session/prompt");
	world_close(&w);
}

static void test_errors(void **state)
{
	static const struct {
		const char *error;
		const char *code;
		bool retryable;
		const char *message;
	} cases[] = {
		{ "{\"code\":-32603,\"message\":\"Internal error: stand-in error 401\",\"data\":{\"errorName\":\"APIError\"}}",
			"auth_failed", false, "stand-in error 401" },
		{ "{\"code\":403,\"message\":\"{\\\"error\\\":{\\\"code\\\":403,\\\"message\\\":\\\"no\\\"}}\"}",
			"auth_failed", false, "no" },
		{ "{\"code\":-32603,\"message\":\"Internal error: {\\\"message\\\":\\\"Overloaded\\\"}\"}",
			"overloaded", true, "Overloaded" },
		{ "{\"code\":429,\"message\":\"slow down\"}", "rate_limited", true, "slow down" },
		{ "{\"code\":-32603,\"message\":\"Internal error\",\"data\":{\"message\":\"unexpected status 500 Internal Server Error\"}}",
			"internal_error", true, "unexpected status 500 Internal Server Error" },
		{ "{\"code\":-32603,\"message\":\"API Error: 529 Overloaded\"}", "overloaded", true,
			"API Error: 529 Overloaded" },
		{ "{\"code\":-32603,\"message\":\"x\",\"data\":{\"errorKind\":\"rate_limit\"}}",
			"rate_limited", true, "x" },
		{ "{\"code\":-32603,\"message\":\"x\",\"data\":{\"errorKind\":\"billing_error\"}}",
			"budget_exceeded", false, "x" },
		{ "{\"code\":-32603,\"message\":\"Unable to connect. Is the computer able to access the url?\"}",
			"connection_failed", true, "Unable to connect. Is the computer able to access the url?" },
		{ "{\"code\":-32603,\"message\":\"Model not found: a/b\"}", "model_not_found", false,
			"Model not found: a/b" },
		{ "{\"code\":-32603,\"message\":\"room 401 is closed, 4012\"}", "internal_error", false,
			"room 401 is closed, 4012" },
		{ "{\"code\":-32603}", "internal_error", false, "the agent gave no reason" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTOFREE char *member = kt_asprintf("\"error\":%s", cases[i].error);
		KT_AUTOFREE char *log = kt_asprintf("error|%s|", cases[i].code);
		struct world w;

		world_ready(&w, NULL);
		prompt_as(&w, "hi", NULL);
		answer_last(&w, member);
		assert_true(kt_str_starts(w.log.ptr, log));
		assert_string_equal(w.error_message, cases[i].message);
		assert_int_equal(w.retryable, cases[i].retryable);
		world_close(&w);
	}
}

static void test_interrupt_while_choosing(void **state)
{
	struct world w;

	world_ready(&w, NULL);
	prompt_as(&w, "hi", "reviewer");
	w.d->ops->interrupt(w.d);
	w.sent_seen = w.sent.len;
	answer_last(&w, "\"result\":{}");
	assert_true(w.ended);
	assert_true(kt_str_starts(w.log.ptr, "interrupted||"));
	sent_nothing(&w); /* no prompt, no session/cancel */
	world_close(&w);
}

/* Two questions at once; the interrupt answers both; what comes later changes nothing. */
static void test_interrupt_with_asks(void **state)
{
	static const char ask[] =
		"{\"jsonrpc\":\"2.0\",\"id\":%s,\"method\":\"session/request_permission\",\"params\":{"
		"\"sessionId\":\"s1\",\"toolCall\":{\"toolCallId\":\"t%d\",\"kind\":\"execute\","
		"\"title\":\"rm x\",\"rawInput\":{\"command\":\"rm x\"}},\"options\":["
		"{\"optionId\":\"o\",\"kind\":\"allow_once\"}]}}";
	struct world w;

	world_ready(&w, NULL);
	prompt_as(&w, "hi", NULL);
	(void)sent(&w);
	for (int i = 0; i < 2; i++) {
		char text[600];

		snprintf(text, sizeof(text), ask, i ? "\"uuid-1\"" : "0", i);
		line(&w, text);
	}
	assert_int_equal(w.asks_made, 2);
	w.d->ops->answer(w.d, "no such ask", KT_DENY, NULL, NULL);
	sent_nothing(&w);
	w.d->ops->interrupt(w.d);
	w.d->ops->interrupt(w.d);
	expect_method(&w, "session/cancel");
	for (int i = 0; i < 2; i++) {
		const cJSON *out = sent(&w);
		KT_AUTO_BUF struct kt_buf id = KT_BUF_INIT(100);

		kt_json_add(&id, kt_json_get(out, "id"));
		assert_string_equal(id.ptr, i ? "\"uuid-1\"" : "0");
		assert_string_equal(kt_json_str(kt_json_path(out, "result.outcome"), "outcome"),
			"cancelled");
	}
	assert_string_equal(w.withdrawn_ids.ptr, w.ask_ids.ptr);
	/* Asked after the interrupt: answered at once, nobody hears of it. */
	line(&w, "{\"id\":5,\"method\":\"session/request_permission\",\"params\":{\"toolCall\":"
		 "{\"toolCallId\":\"t9\"}}}");
	assert_int_equal(kt_json_int(sent(&w), "id", 0), 5);
	assert_int_equal(w.asks_made, 2);
	line(&w, CHUNK("m1", "still "));
	line(&w, "{\"id\":3,\"error\":{\"code\":-32603,\"message\":\"aborted\"}}");
	assert_true(kt_str_starts(w.log.ptr, "interrupted||still | cancelled cancelled|"));
	line(&w, CHUNK("m1", "late words"));
	sent_nothing(&w);
	world_close(&w);
}

static void test_deny_without_option(void **state)
{
	struct world w;

	world_ready(&w, NULL);
	prompt_as(&w, "hi", NULL);
	(void)sent(&w);
	line(&w, "{\"jsonrpc\":\"2.0\",\"id\":\"u-1\",\"method\":\"session/request_permission\","
		 "\"params\":{\"sessionId\":\"s1\",\"toolCall\":{\"toolCallId\":\"t\",\"kind\":\"edit\","
		 "\"title\":\"Write a\",\"locations\":[{\"path\":\"/app/src/a.c\"}]},"
		 "\"options\":[{\"optionId\":\"o\",\"kind\":\"allow_once\"}]}}");
	assert_non_null(strstr(w.asks.ptr, "ask(edit|Allow edit: Write a?|?)"));
	assert_string_equal(w.input, "{\"title\":\"Write a\",\"path\":\"/app/src/a.c\"}");
	w.d->ops->answer(w.d, w.ask_id, KT_DENY, NULL, "no");
	const cJSON *out = sent(&w);

	assert_string_equal(kt_json_str(out, "id"), "u-1");
	assert_string_equal(kt_json_str(kt_json_path(out, "result.outcome"), "outcome"), "cancelled");
	answer_last(&w, "\"result\":{}"); /* an answer to nothing: ignored */
	line(&w, "{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"stopReason\":\"cancelled\"}}");
	/* Nobody interrupted: the agent ends its turn so when it is denied something. */
	assert_true(kt_str_starts(w.log.ptr, "end_turn|"));
	assert_non_null(strstr(w.log.ptr, " rejected|"));
	world_close(&w);
}

static void test_garbage(void **state)
{
	static const char *const lines[] = { "", "hello", "[]", "1", "{}", "{\"id\":7}",
		"{\"id\":3,\"result\":null}", "{\"method\":\"session/update\"}",
		"{\"method\":\"session/update\",\"params\":{\"sessionId\":\"s1\",\"update\":{}}}",
		"{\"method\":\"session/update\",\"params\":{\"sessionId\":\"s1\",\"update\":7}}",
		UPDATE("\"sessionUpdate\":\"tool_call\""), UPDATE("\"sessionUpdate\":\"tool_call_update\""),
		UPDATE("\"sessionUpdate\":\"agent_message_chunk\",\"content\":7"),
		UPDATE("\"sessionUpdate\":\"usage_update\",\"cost\":{\"amount\":\"x\"}"),
		UPDATE("\"sessionUpdate\":\"config_option_update\",\"configOptions\":[1,{},{\"id\":1}]"),
		UPDATE("\"sessionUpdate\":\"current_mode_update\",\"currentModeId\":7"),
		UPDATE("\"sessionUpdate\":\"brand_new\"") };
	struct world w;

	world_ready(&w, NULL);
	for (size_t i = 0; i < KT_ARRAY_LEN(lines); i++)
		line(&w, lines[i]);
	prompt_as(&w, "hi", NULL);
	w.sent_seen = w.sent.len;
	for (size_t i = 0; i < KT_ARRAY_LEN(lines); i++) {
		if (!strstr(lines[i], "\"id\":3"))
			line(&w, lines[i]);
	}
	sent_nothing(&w);
	/* A request without parameters is answered all the same. */
	line(&w, "{\"id\":9,\"method\":\"session/request_permission\"}");
	line(&w, "{\"id\":10,\"method\":\"terminal/create\",\"params\":{}}");
	assert_string_equal(kt_json_str(kt_json_path(sent(&w), "result.outcome"), "outcome"), "cancelled");
	assert_int_equal(kt_json_int(kt_json_get(sent(&w), "error"), "code", 0), -32601);
	w.d->ops->gone(w.d, -1, 9, "");
	assert_true(kt_str_starts(w.log.ptr, "error|harness_crashed|"));
	assert_string_equal(w.error_message, "the agent was ended by signal 9");
	world_close(&w);
}

/* --- starting OpenCode ------------------------------------------------------------------------- */

static const char *env_of(const struct kt_vec *env, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < env->len; i++) {
		const char *e = env->items[i];

		if (!strncmp(e, name, n) && e[n] == '=')
			return e + n + 1;
	}
	return NULL;
}

/* The configuration OpenCode would get in a folder with opencode.json and OPENCODE_CONFIG_CONTENT. */
static cJSON *opencode_config(const char *file, const char *content)
{
	char dir[] = "/tmp/karta-acp-XXXXXX";
	struct kt_agent agents[] = { { .name = "build", .primary = true }, { .name = "helper" } };
	struct kt_env_decl decl = { .name = "OPENCODE_CONFIG_CONTENT", .value = content };
	struct kt_app app = { .harness = KT_HARNESS_OPENCODE, .agents = agents, .n_agents = 2,
		.env = &decl, .n_env = content ? 1 : 0 };
	struct kt_vec argv = KT_VEC_INIT, env = KT_VEC_INIT;
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();
	cJSON *config = NULL;

	assert_non_null(mkdtemp(dir));
	KT_AUTOFREE char *path = kt_path_join(dir, "opencode.json");

	if (file)
		assert_int_equal(kt_fs_write_new(path, file, strlen(file), 0600, NULL), KT_OK);
	const struct kt_driver_config cfg = { .app = &app, .program = "/opt/opencode", .cwd = dir };

	kt_driver_acp.command(&cfg, arena, &argv, &env);
	assert_int_equal(argv.len, 2);
	assert_string_equal(argv.items[0], "/opt/opencode");
	assert_string_equal(argv.items[1], "acp");
	assert_true(strlen(env_of(&env, "OPENCODE_SERVER_PASSWORD")) >= 20);
	assert_string_equal(env_of(&env, "OPENCODE_DISABLE_AUTOUPDATE"), "1");
	assert_string_equal(env_of(&env, "OPENCODE_DISABLE_SHARE"), "1");
	const char *text = env_of(&env, "OPENCODE_CONFIG_CONTENT");

	if (text)
		assert_int_equal(kt_json_parse(text, strlen(text), KT_JSON_STRICT, &config, NULL), KT_OK);
	kt_vec_release(&argv);
	kt_vec_release(&env);
	assert_int_equal(kt_fs_remove_tree(dir, NULL), KT_OK);
	return config;
}

static void assert_json(const cJSON *doc, const char *path, const char *want)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 16);

	kt_json_add(&b, kt_json_path(doc, path));
	assert_string_equal(b.ptr, want);
}

static void test_opencode_config(void **state)
{
	KT_AUTO_JSON cJSON *plain = opencode_config(NULL, NULL);

	assert_json(plain, "experimental.continue_loop_on_deny", "true");
	assert_json(plain, "agent.general.permission.doom_loop", "\"deny\"");
	assert_json(plain, "agent.explore.permission.external_directory", "\"deny\"");
	assert_json(plain, "agent.helper.permission.doom_loop", "\"deny\"");
	assert_json(plain, "agent.build", "null");
	assert_json(plain, "agent.general.permission.bash", "null");

	KT_AUTO_JSON cJSON *file = opencode_config("{\"permission\":{\"bash\":{\"*\":\"ask\",\"ls*\":"
						   "\"allow\"},\"edit\":\"ask\",\"webfetch\":\"allow\"}}",
		NULL);

	assert_json(file, "agent.general.permission.bash", "{\"*\":\"deny\",\"ls*\":\"allow\"}");
	assert_json(file, "agent.general.permission.edit", "\"deny\"");
	assert_json(file, "agent.general.permission.webfetch", "\"allow\"");
	assert_json(file, "permission", "null"); /* the main agent's stay in the file */

	KT_AUTO_JSON cJSON *agents = opencode_config("{\"permission\":{\"bash\":\"ask\"},\"agent\":{\"general\":"
						     "{\"permission\":{\"bash\":\"allow\",\"edit\":\"ask\"}}}}",
		NULL);

	assert_json(agents, "agent.general.permission.bash", "\"allow\"");
	assert_json(agents, "agent.general.permission.edit", "\"deny\"");
	assert_json(agents, "agent.explore.permission.bash", "\"deny\"");

	KT_AUTO_JSON cJSON *both = opencode_config("{\"permission\":{\"edit\":\"ask\"}}",
		"{\"model\":\"a/b\",\"permission\":{\"edit\":\"allow\",\"bash\":\"ask\"},"
		"\"agent\":{\"general\":{\"permission\":{\"bash\":\"allow\"}}},"
		"\"experimental\":{\"continue_loop_on_deny\":false}}");

	assert_json(both, "model", "\"a/b\"");
	assert_json(both, "permission.bash", "\"ask\"");
	assert_json(both, "agent.general.permission.bash", "\"allow\"");
	assert_json(both, "agent.general.permission.edit", "\"allow\"");
	assert_json(both, "agent.explore.permission.bash", "\"deny\"");
	assert_json(both, "experimental.continue_loop_on_deny", "false");

	/* Odd or broken content of the user is theirs: it is not replaced, and nothing crashes. */
	assert_null(opencode_config(NULL, "{broken"));
	assert_null(opencode_config(NULL, "[]"));
	KT_AUTO_JSON cJSON *odd = opencode_config("7", "{\"agent\":7,\"experimental\":[]}");

	assert_json(odd, "agent", "7");
	assert_json(odd, "experimental", "[]");
}

static void test_generic_command(void **state)
{
	char *words[] = { (char *)(uintptr_t)"gemini", (char *)(uintptr_t)"--acp", NULL };
	struct kt_app app = { .harness = KT_HARNESS_ACP, .harness_command = words };
	const struct kt_driver_config cfg = { .app = &app, .program = "/opt/gemini", .cwd = "/" };
	struct kt_vec argv = KT_VEC_INIT, env = KT_VEC_INIT;
	KT_AUTO_ARENA struct kt_arena *arena = kt_arena_new();

	kt_driver_acp.command(&cfg, arena, &argv, &env);
	assert_int_equal(argv.len, 2);
	assert_string_equal(argv.items[0], "/opt/gemini");
	assert_string_equal(argv.items[1], "--acp");
	assert_int_equal(env.len, 0);
	kt_vec_release(&argv);
	kt_vec_release(&env);
}

static void test_eof(void **state)
{
	static const struct {
		const char *program;
		bool exits;
	} cases[] = { { "/opt/opencode", true }, { "/opt/codex-acp", false }, { "/codex/agent", true } };

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		const struct kt_driver_config cfg = { .program = cases[i].program, .cwd = "/app" };
		struct world w;

		world_open(&w, &cfg);
		assert_int_equal(w.d->ops->exits_on_eof(w.d), cases[i].exits);
		world_close(&w);
	}
}

/* One bad byte costs one character, and halves of a character in two chunks are one. */
static void test_bad_bytes(void **state)
{
	struct world w;

	world_ready(&w, NULL);
	prompt_as(&w, "hi", NULL);
	expect_method(&w, "session/prompt");
	line(&w, CHUNK("m1", "grin \\ud83d"));
	line(&w, CHUNK("m1", "\\ude00 a\x01" "b\xff" "c\\u0000"));
	line(&w, CHUNK("m1", "\\ud83d"));
	line(&w, "{\"jsonrpc\": broken");
	line(&w, "a word of its own");
	answer_last(&w, "\"result\":{\"stopReason\":\"end_turn\"}");
	assert_true(w.ended);
	assert_non_null(strstr(w.log.ptr,
		"end_turn||grin \xf0\x9f\x98\x80 a\xef\xbf\xbd" "b\xef\xbf\xbd" "c\xef\xbf\xbd"
		"\xef\xbf\xbd||"));
	world_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_bytes),
		cmocka_unit_test(test_agents),
		cmocka_unit_test(test_modes_are_no_agents),
		cmocka_unit_test(test_permission_modes),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_resume),
		cmocka_unit_test(test_start_refused),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_interrupt_while_choosing),
		cmocka_unit_test(test_interrupt_with_asks),
		cmocka_unit_test(test_deny_without_option),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_opencode_config),
		cmocka_unit_test(test_generic_command),
		cmocka_unit_test(test_eof),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
