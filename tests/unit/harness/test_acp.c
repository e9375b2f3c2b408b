/* SPDX-License-Identifier: MIT */
/*
 * The ACP driver against transcripts of real agents (tests/captures): what an agent wrote goes
 * through the driver line by line, what the transcript's client did is done through the driver's
 * operations, and both what comes up and what the driver sends are compared.
 */
#include "acp_world.h"

/* --- replaying --------------------------------------------------------------------------------- */

struct replay {
	struct world w;
	int64_t ids[64]; /* the driver's id for request i of the transcript, 0 = none */
	double last_t;
	const char *agent; /* for each prompt */
	bool no_resume; /* take session/resume out of what the agent offers */
	cJSON *options; /* of the last permission request */
	cJSON *ask_raw_id;
};

static const char *option_kind(const cJSON *options, const char *id)
{
	const cJSON *o;

	cJSON_ArrayForEach(o, options)
	{
		if (kt_str_eq(kt_json_str(o, "optionId"), id))
			return kt_json_str(o, "kind");
	}
	return "none";
}

/* The transcript's client answered a permission request: do so, and compare what goes out. */
static void replay_answer(struct replay *r, const cJSON *msg)
{
	const cJSON *outcome = kt_json_path(msg, "result.outcome");
	const char *chosen = kt_json_str(outcome, "optionId");
	const char *kind = chosen ? option_kind(r->options, chosen) : "cancelled";
	bool allow = kt_str_starts(kind, "allow");
	const cJSON *out;

	if (!r->ask_raw_id || !cJSON_Compare(r->ask_raw_id, kt_json_get(msg, "id"), true))
		return; /* the answer to fs/write_text_file */
	if (r->w.withdrawn == 0 || r->w.sent_seen == r->w.sent.len)
		r->w.d->ops->answer(r->w.d, r->w.ask_id, allow ? KT_APPROVE_ONCE : KT_DENY, NULL, NULL);
	out = sent(&r->w);
	assert_true(cJSON_Compare(kt_json_get(out, "id"), r->ask_raw_id, true));
	outcome = kt_json_path(out, "result.outcome");
	if (!strcmp(kind, "cancelled") && r->w.withdrawn > 0) {
		assert_string_equal(kt_json_str(outcome, "outcome"), "cancelled");
		return;
	}
	assert_string_equal(kt_json_str(outcome, "outcome"), "selected");
	assert_string_equal(option_kind(r->options, kt_json_str(outcome, "optionId")),
		allow ? "allow_once" : "reject_once");
}

static void same_request(struct replay *r, const cJSON *msg)
{
	const cJSON *out = sent(&r->w);
	const cJSON *want = kt_json_get(msg, "params"), *have = kt_json_get(out, "params");
	int64_t id = kt_json_int(msg, "id", 0);

	assert_string_equal(kt_json_str(out, "method"), kt_json_str(msg, "method"));
	if (!strcmp(kt_json_str(msg, "method"), "initialize")) {
		assert_int_equal(kt_json_int(have, "protocolVersion", 0), 1);
		assert_true(cJSON_Compare(kt_json_get(have, "clientCapabilities"),
			kt_json_get(want, "clientCapabilities"), true));
	} else {
		assert_true(cJSON_Compare(have, want, true));
	}
	if (id > 0 && id < 64)
		r->ids[id] = kt_json_int(out, "id", 0);
}

static void replay_in(struct replay *r, const cJSON *msg)
{
	const char *method = kt_json_str(msg, "method");
	const char *session = kt_json_str(kt_json_get(msg, "params"), "sessionId");
	const cJSON *block;

	if (!method) {
		replay_answer(r, msg);
	} else if (!strcmp(method, "initialize")) {
		r->w.d->ops->start(r->w.d);
		same_request(r, msg);
	} else if (!strcmp(method, "session/new") || !strcmp(method, "session/load")) {
		if (r->w.sent_seen < r->w.sent.len)
			same_request(r, msg);
	} else if (!strcmp(method, "session/cancel")) {
		r->w.d->ops->interrupt(r->w.d);
		same_request(r, msg);
	} else if (!strcmp(method, "session/prompt") && !r->w.in_turn &&
		   kt_str_eq(session, r->w.session)) {
		block = kt_json_arr(kt_json_get(msg, "params"), "prompt")->child;
		prompt_as(&r->w, kt_json_str(block, "text"), r->agent);
		same_request(r, msg);
	}
}

static void replay_out(struct replay *r, cJSON *msg, double t)
{
	int64_t id = kt_json_int(msg, "id", -1);
	bool request = kt_json_str(msg, "method") != NULL;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 22);

	if (r->w.timer_ms >= 0 && (t - r->last_t) * 1000 > (double)r->w.timer_ms) {
		r->w.timer_ms = -1;
		r->w.d->ops->timer(r->w.d);
	}
	if (!request) {
		if (id < 0 || id >= 64 || !r->ids[id])
			return;
		cJSON_SetNumberValue(cJSON_GetObjectItemCaseSensitive(msg, "id"), (double)r->ids[id]);
		if (r->no_resume)
			cJSON_DeleteItemFromObjectCaseSensitive(
				cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(
					cJSON_GetObjectItemCaseSensitive(msg, "result"),
					"agentCapabilities"), "sessionCapabilities"), "resume");
	} else if (kt_str_eq(kt_json_str(msg, "method"), "session/request_permission")) {
		cJSON_Delete(r->options);
		cJSON_Delete(r->ask_raw_id);
		r->options = cJSON_Duplicate(kt_json_path(msg, "params.options"), true);
		r->ask_raw_id = cJSON_Duplicate(kt_json_get(msg, "id"), true);
	}
	kt_json_add(&b, msg);
	r->w.d->ops->line(r->w.d, b.ptr, b.len);
	if (request && kt_json_get(msg, "id") &&
	    !kt_str_eq(kt_json_str(msg, "method"), "session/request_permission")) {
		const cJSON *out = sent(&r->w);

		assert_true(cJSON_Compare(kt_json_get(out, "id"), kt_json_get(msg, "id"), true));
		assert_int_equal(kt_json_int(kt_json_get(out, "error"), "code", 0), -32601);
	}
}

/* Play a transcript; r is zeroed but for options; the caller ends with replay_close(). */
static void replay(struct replay *r, const char *name, const char *resume_id)
{
	const struct kt_driver_config cfg = { .program = "/opt/agent", .cwd = "/app",
		.resume_id = resume_id };
	KT_AUTOFREE char *path = kt_asprintf("tests/captures/%s.jsonl", name);
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(16 << 20);
	cJSON *early = NULL;

	world_open(&r->w, &cfg);
	assert_int_equal(kt_fs_read(path, &text, NULL), KT_OK);
	for (char *p = text.ptr; *p;) {
		size_t n = strcspn(p, "\n");
		KT_AUTO_JSON cJSON *doc = NULL;

		assert_int_equal(kt_json_parse(p, n, KT_JSON_LENIENT, &doc, NULL), KT_OK);
		cJSON *msg = cJSON_GetObjectItemCaseSensitive(doc, "line");
		const char *dir = kt_json_str(doc, "dir");
		double t = kt_json_num(doc, "t", 0);

		/* The answer came before the report that the question waits for. */
		if (!strcmp(dir, "in") && r->w.timer_ms > 0 && !kt_json_get(msg, "method")) {
			early = cJSON_DetachItemFromObjectCaseSensitive(doc, "line");
		} else if (!strcmp(dir, "in")) {
			replay_in(r, msg);
		} else if (!strcmp(dir, "out")) {
			replay_out(r, msg, t);
			if (early)
				replay_in(r, early);
			cJSON_Delete(early);
			early = NULL;
		} else if (!strcmp(dir, "err")) {
			(void)r->w.d->ops->err_line(r->w.d, kt_json_str(doc, "line"));
		}
		r->last_t = t;
		p += n + 1;
	}
	r->w.d->ops->gone(r->w.d, 0, 0, "last words");
}

static void replay_close(struct replay *r)
{
	cJSON_Delete(r->options);
	cJSON_Delete(r->ask_raw_id);
	world_close(&r->w);
}

static const struct {
	const char *name;
	const char *log;
} captures[] = {
#include "acp_expected.h"
};

static void test_captures(void **state)
{
	int differ = 0;

	for (size_t i = 0; i < KT_ARRAY_LEN(captures); i++) {
		struct replay r = { 0 };

		replay(&r, captures[i].name, NULL);
		assert_int_equal(r.w.readies, 1);
		if (strcmp(r.w.log.ptr, captures[i].log) != 0) {
			fprintf(stderr, "# %s\n%s", captures[i].name, r.w.log.ptr);
			differ++;
		}
		replay_close(&r);
	}
	assert_int_equal(differ, 0);
}

/* session/load in a new process: the replay is swallowed, the next turn is whole. */
static void test_capture_load(void **state)
{
	struct replay r = { .no_resume = true };

	replay(&r, "opencode-acp-07-load-b", "ses_dfd4cbdbbffe5GzqSVi2Qw9ZKu");
	assert_int_equal(r.w.readies, 1);
	assert_string_equal(r.w.session, "ses_dfd4cbdbbffe5GzqSVi2Qw9ZKu");
	/* What the turns before cost is not known, so this one's is neither. */
	assert_string_equal(r.w.log.ptr,
		"end_turn||after load|||1|7714/12/7826|-1|think 0|replaced 0\n");
	replay_close(&r);
}

/* gemini cannot load what it has just written: told, and a new session is asked for. */
static void test_capture_load_fails(void **state)
{
	struct replay r = { 0 };

	replay(&r, "gemini-acp-03-load", "52f30644-8659-44c1-8acf-cd7fad04bd66");
	assert_true(kt_str_starts(r.w.resume_failed, "Invalid session identifier"));
	assert_string_equal(kt_json_str(sent(&r.w), "method"), "session/new");
	assert_int_equal(r.w.readies, 0);
	replay_close(&r);
}

/* A mode that is current already is not set again. */
static void test_capture_modes(void **state)
{
	struct replay r = { .agent = "reviewer" };

	replay(&r, "opencode-acp-08-modes", NULL);
	assert_string_equal(r.w.log.ptr,
		"end_turn||in mode|||1|4131/9/4240|-1|think 0|replaced 0\n");
	replay_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_captures),
		cmocka_unit_test(test_capture_load),
		cmocka_unit_test(test_capture_load_fails),
		cmocka_unit_test(test_capture_modes),
	};

	/* Transcripts are named from the top of the tree, where make runs. */
	for (char **e = kt_env_all(); *e; e++) {
		if (kt_str_starts(*e, "KARTA_TEST_ROOT=") && chdir(strchr(*e, '=') + 1))
			return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
