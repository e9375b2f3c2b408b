/* SPDX-License-Identifier: MIT */
/*
 * The rehearsal driver with a sink and a timer of the test's own: matching, timing, branches,
 * interrupts, malformed files, and the starter application's rehearsals.
 */
#include "base/env.h"
#include "base/fs.h"
#include "base/str.h"
#include "harness/driver.h"
#include "text/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
	struct kt_driver *d;
	char dir[64];
	struct kt_buf log; /* what came up, in words */
	char *session, *ask_id, *error_message, *text;
	int64_t timer_ms; /* -1 = none */
	int64_t clock_ms; /* sum of the timers that fired */
	int fired, readies, ended, open_tools;
	struct kt_usage usage;
};

static void set(char **slot, const char *s)
{
	char *copy = s ? kt_strdup(s) : NULL;

	free(*slot);
	*slot = copy;
}

static void w_send(void *arg, const char *line, size_t len)
{
	fail(); /* there is nobody to send to */
}

static void w_ready(void *arg, const char *session)
{
	struct world *w = arg;

	w->readies++;
	set(&w->session, session);
}

static void w_event(void *arg, const struct kt_event_draft *ev)
{
	struct world *w = arg;
	KT_AUTO_JSON cJSON *data = NULL;

	assert_int_equal(kt_json_parse(ev->data, ev->data_len, KT_JSON_STRICT, &data, NULL), KT_OK);
	switch (ev->type) {
	case KT_EV_TEXT:
		kt_buf_addf(&w->log, "%s", kt_json_str(kt_json_get(data, "part"), "text"));
		break;
	case KT_EV_TOOL_USE:
		w->open_tools += strcmp(kt_json_str(data, "state"), "pending") == 0;
		break;
	case KT_EV_TOOL_RESULT:
		w->open_tools--;
		kt_buf_addf(&w->log, "<%s %s>", kt_json_str(data, "tool_use_id"),
			kt_json_str(data, "status"));
		break;
	case KT_EV_ERROR:
		kt_buf_addf(&w->log, "<error %s %s>", kt_json_str(data, "code"),
			kt_json_str(data, "message"));
		break;
	case KT_EV_REASONING:
		kt_buf_adds(&w->log, "<thought>");
		break;
	case KT_EV_STEP_START:
	case KT_EV_STEP_FINISH:
	case KT_EV_STATUS:
	case KT_EV_SYSTEM:
		break;
	case KT_EV_INPUT_REQUIRED:
	case KT_EV_DONE:
	case KT_EV_GAP:
	case KT_EV_LOG:
	case KT_EV_RELEASE:
	case KT_EV_COUNT_:
		fail();
	}
}

static void w_ask(void *arg, const struct kt_ask *ask)
{
	struct world *w = arg;

	kt_buf_addf(&w->log, "<ask %s %s %s %s>", ask->kind, ask->tool,
		ask->command ? ask->command : ask->path ? ask->path : "-", ask->message);
	set(&w->ask_id, ask->id);
	assert_true(ask->input_len > 1);
}

static void w_withdrawn(void *arg, const char *ask_id)
{
	struct world *w = arg;

	assert_string_equal(ask_id, w->ask_id);
	kt_buf_adds(&w->log, "<withdrawn>");
}

static void w_turn_end(void *arg, const struct kt_turn_result *r)
{
	struct world *w = arg;

	kt_buf_addf(&w->log, "<end %s %s>", r->stop_reason, r->error_code ? r->error_code : "-");
	assert_int_equal(w->timer_ms, -1);
	set(&w->error_message, r->error_message);
	set(&w->text, r->text);
	w->usage = r->usage;
	w->ended++;
}

static void w_set_timer(void *arg, int64_t delay_ms)
{
	((struct world *)arg)->timer_ms = delay_ms;
}

static void file(const struct world *w, const char *name, const char *content)
{
	KT_AUTOFREE char *path = kt_asprintf("%s/rehearsals/%s", w->dir, name);

	assert_int_equal(kt_fs_write_atomic(path, content, strlen(content), 0600, false, NULL), KT_OK);
}

static void world_open_at(struct world *w, const char *dir, double speed, uint32_t turns_before)
{
	const struct kt_driver_sink sink = {
		.arg = w, .send = w_send, .ready = w_ready, .event = w_event, .ask = w_ask,
		.ask_withdrawn = w_withdrawn, .turn_end = w_turn_end, .set_timer = w_set_timer,
	};
	const struct kt_driver_config cfg = { .cwd = dir, .speed = speed,
		.turns_before = turns_before, .new_id = "0-1" };

	*w = (struct world){ .timer_ms = -1 };
	kt_buf_init(&w->log, 1 << 20);
	w->d = kt_driver_rehearsal.open(&cfg, &sink);
	w->d->ops->start(w->d);
	assert_int_equal(w->readies, 1);
	assert_string_equal(w->session, "0-1");
}

/* A world with an empty folder of its own. */
static void world_open(struct world *w, double speed)
{
	char dir[] = "/tmp/karta-rehearsal-XXXXXX";

	assert_non_null(mkdtemp(dir));
	world_open_at(w, dir, speed, 0);
	kt_str_copy(w->dir, sizeof(w->dir), dir);
	KT_AUTOFREE char *folder = kt_path_join(dir, "rehearsals");

	assert_int_equal(kt_fs_mkdirs(folder, 0700, NULL), KT_OK);
}

static void world_close(struct world *w)
{
	w->d->ops->close(w->d);
	if (w->dir[0])
		assert_int_equal(kt_fs_remove_tree(w->dir, NULL), KT_OK);
	kt_buf_release(&w->log);
	free(w->session);
	free(w->ask_id);
	free(w->error_message);
	free(w->text);
}

static void ask_for(struct world *w, const char *text, uint32_t position, bool thinking)
{
	const struct kt_prompt p = { .text = text, .position = position, .thinking = thinking };

	kt_buf_clear(&w->log);
	w->clock_ms = w->fired = w->ended = 0;
	w->d->ops->prompt(w->d, &p);
	assert_int_equal(w->log.len, 0); /* nothing from within */
}

/* Let the time go by until the turn ends or waits for an answer. */
static void run(struct world *w)
{
	for (int i = 0; w->timer_ms >= 0; i++) {
		assert_true(i < 10000);
		w->clock_ms += w->timer_ms;
		w->timer_ms = -1;
		w->fired++;
		w->d->ops->timer(w->d);
	}
}

static void play(struct world *w, const char *text, uint32_t position)
{
	ask_for(w, text, position, false);
	run(w);
}

#define HEAD(match) "{\"karta_rehearsal\":1,\"match\":{" match "},\"agent\":null}\n"
#define SAY(t, text)                                                                               \
	"{\"t\":" t ",\"type\":\"text\",\"parent\":null,\"data\":{\"part\":{\"type\":\"text\","         \
	"\"text\":\"" text "\"},\"part_id\":\"p\"}}\n"
#define END(t) "{\"t\":" t ",\"end\":{\"stop_reason\":\"end_turn\"}}\n"
#define TURN(match, text) HEAD(match) SAY("1", text) END("2")

static void test_matching(void **state)
{
	static const struct {
		const char *text;
		uint32_t position;
		const char *said;
	} cases[] = {
		{ "hello", 1, "hello first" },
		{ "  HELLO\n", 1, "hello first" },
		{ "hello", 2, "hello any" },
		{ "hello", 7, "hello any" },
		{ "late", 9, "late at three" }, /* right text at another position is better than "*" */
		{ "where is\t my   order?", 1, "exact order" },
		{ "Tell me, where is my order now", 1, "part of order" },
		{ "something else", 1, "anything" },
		{ "something else", 4, "anything fourth" },
		{ "", 1, "anything" },
	};
	struct world w;

	world_open(&w, 0);
	file(&w, "b.jsonl", TURN("\"text\":\"*\"", "anything")
			    TURN("\"text\":\"*\",\"position\":4", "anything fourth")
			    TURN("\"contains\":\"Where is my order\"", "part of order"));
	file(&w, "a.jsonl", TURN("\"text\":\"Hello\"", "hello any")
			    TURN("\"text\":\"Hello\",\"position\":1", "hello first")
			    TURN("\"text\":\"late\",\"position\":3", "late at three")
			    TURN("\"text\":\"Where is my order?\"", "exact order"));
	file(&w, "notes.txt", "no rehearsal");
	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		KT_AUTOFREE char *want = kt_asprintf("%s<end end_turn ->", cases[i].said);

		play(&w, cases[i].text, cases[i].position);
		assert_string_equal(w.log.ptr, want);
		assert_string_equal(w.text, cases[i].said);
	}
	world_close(&w);
}

/* No match: named what would answer, the session goes on, and a file added then is found. */
static void test_no_match(void **state)
{
	struct world w;

	world_open(&w, 1);
	play(&w, "Where's my order?", 1);
	assert_string_equal(w.log.ptr, "<end error no_rehearsal>");
	assert_non_null(strstr(w.error_message, "rehearsals/where-s-my-order.jsonl would"));
	assert_non_null(strstr(w.error_message, "no file in rehearsals/ yet"));
	file(&w, "where-s-my-order.jsonl", TURN("\"text\":\"other\"", "x"));
	play(&w, "Where's my order?", 2);
	assert_non_null(strstr(w.error_message, "looked at where-s-my-order.jsonl"));
	file(&w, "where-s-my-order.jsonl", TURN("\"text\":\"Where's my order?\"", "here"));
	play(&w, "Where's my order?", 3);
	assert_string_equal(w.log.ptr, "here<end end_turn ->");
	world_close(&w);
}

static void test_timing(void **state)
{
	static const struct {
		double speed;
		int64_t ms;
		int fired;
	} cases[] = { { 1, 130, 3 }, { 2, 65, 3 }, { 0.5, 260, 3 }, { 0, 0, 1 } };

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		struct world w;

		world_open(&w, cases[i].speed);
		file(&w, "a.jsonl", HEAD("\"text\":\"*\"") SAY("30", "a") SAY("30", "b") SAY("80", "c")
				    SAY("40", "d") END("130"));
		play(&w, "x", 1);
		assert_string_equal(w.log.ptr, "abcd<end end_turn ->");
		assert_int_equal(w.clock_ms, cases[i].ms);
		assert_int_equal(w.fired, cases[i].fired);
		world_close(&w);
	}
}

/* At speed 0 the loop still gets its turn. */
static void test_bursts(void **state)
{
	struct world w;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(1 << 20);

	world_open(&w, 0);
	kt_buf_adds(&b, HEAD("\"text\":\"*\""));
	for (int i = 0; i < 100; i++)
		kt_buf_adds(&b, SAY("1", "x"));
	kt_buf_adds(&b, END("1"));
	file(&w, "a.jsonl", b.ptr);
	play(&w, "x", 1);
	assert_in_range(w.fired, 6, 8);
	assert_int_equal(strlen(w.text), 100);
	world_close(&w);
}

#define ASK(t)                                                                                     \
	"{\"t\":" t ",\"type\":\"tool_use\",\"data\":{\"tool_name\":\"Bash\",\"tool_input\":{},"       \
	"\"tool_use_id\":\"t1\",\"state\":\"pending\"}}\n"                                            \
	"{\"t\":" t ",\"ask\":{\"id\":\"A\",\"kind\":\"tool_use\",\"tool\":\"Bash\","                  \
	"\"tool_use_id\":\"t1\",\"message\":\"Allow Bash: ls?\",\"input\":{\"command\":\"ls\"}}}\n"
#define RESULT(t, when, status)                                                                    \
	"{\"t\":" t "," when "\"type\":\"tool_result\",\"data\":{\"tool_use_id\":\"t1\","              \
	"\"output\":\"x\",\"is_error\":false,\"status\":\"" status "\"}}\n"
#define ASKED "<ask tool_use Bash ls Allow Bash: ls?>"

static void decide(struct world *w, enum kt_decision d)
{
	w->d->ops->answer(w->d, w->ask_id, d, NULL, NULL);
	w->d->ops->answer(w->d, w->ask_id, d, NULL, NULL); /* a second answer changes nothing */
	run(w);
}

/* As recorded: an answer line, what follows is for its decision. */
static void test_recorded_answer(void **state)
{
	struct world w;

	world_open(&w, 1);
	file(&w, "a.jsonl", HEAD("\"text\":\"*\"") ASK("10")
			    "{\"t\":5010,\"answer\":{\"id\":\"A\",\"decision\":\"approve_session\"}}\n"
			    RESULT("5030", "", "completed") SAY("5040", "done") END("5050"));
	play(&w, "x", 1);
	assert_string_equal(w.log.ptr, ASKED);
	assert_int_equal(w.timer_ms, -1);
	decide(&w, KT_APPROVE_ONCE);
	assert_string_equal(w.log.ptr, ASKED "<t1 completed>done<end end_turn ->");
	assert_int_equal(w.clock_ms, 50); /* the 5 s of the one who recorded are not played */
	assert_int_equal(w.open_tools, 0);

	play(&w, "x", 2);
	decide(&w, KT_DENY);
	assert_true(kt_str_starts(w.log.ptr, ASKED "<t1 rejected>You chose deny, but this rehearsal only "
					      "goes on with approve_session."));
	assert_true(kt_str_ends(w.log.ptr, "\"when\": {\"A\": \"deny\"}.<end end_turn ->"));
	assert_int_equal(w.open_tools, 0);
	world_close(&w);
}

static void test_branches(void **state)
{
	struct world w;

	world_open(&w, 1);
	file(&w, "a.jsonl", HEAD("\"text\":\"*\"") ASK("10")
			    RESULT("20", "\"when\":{\"A\":\"approve_once\"},", "completed")
			    RESULT("20", "\"when\":{\"A\":\"deny\"},", "rejected")
			    "{\"t\":25,\"when\":{\"A\":\"any\"},\"type\":\"text\",\"data\":{\"part\":"
			    "{\"type\":\"text\",\"text\":\"either\"},\"part_id\":\"q\"}}\n"
			    "{\"t\":30,\"when\":{\"A\":\"deny\"},\"end\":{\"stop_reason\":\"end_turn\","
			    "\"text\":\"no\"}}\n"
			    "{\"t\":30,\"end\":{\"stop_reason\":\"end_turn\",\"text\":\"yes\","
			    "\"usage\":{\"input_tokens\":3,\"cost_usd\":0.25}}}\n");
	play(&w, "x", 1);
	decide(&w, KT_APPROVE_ONCE);
	assert_string_equal(w.log.ptr, ASKED "<t1 completed>either<end end_turn ->");
	assert_string_equal(w.text, "yes");
	assert_int_equal(w.usage.input_tokens, 3);
	assert_int_equal(w.usage.output_tokens, -1);
	assert_int_equal(w.usage.cost_microusd, 250000);
	play(&w, "x", 2);
	decide(&w, KT_DENY);
	assert_string_equal(w.log.ptr, ASKED "<t1 rejected>either<end end_turn ->");
	assert_string_equal(w.text, "no");
	/* Nothing is forgotten or kept between turns. */
	play(&w, "x", 3);
	decide(&w, KT_APPROVE_ONCE);
	assert_string_equal(w.text, "yes");
	world_close(&w);
}

static void test_question(void **state)
{
	struct world w;

	world_open(&w, 0);
	file(&w, "a.jsonl", HEAD("\"text\":\"*\"")
			    "{\"t\":1,\"ask\":{\"id\":\"Q\",\"kind\":\"question\",\"tool\":\"AskUserQuestion\","
			    "\"message\":\"Which?\",\"input\":{},\"questions\":[{\"question\":"
			    "\"Which?\",\"options\":[]}]}}\n"
			    "{\"t\":2,\"answer\":{\"id\":\"Q\",\"decision\":\"answer\"}}\n"
			    SAY("3", "Blue it is.") END("4"));
	play(&w, "x", 1);
	assert_string_equal(w.log.ptr, "<ask question AskUserQuestion - Which?>");
	decide(&w, KT_ANSWER);
	assert_true(kt_str_ends(w.log.ptr, "Blue it is.<end end_turn ->"));
	world_close(&w);
}

static void test_interrupt(void **state)
{
	struct world w;

	world_open(&w, 1);
	file(&w, "a.jsonl", HEAD("\"text\":\"*\"") SAY("5", "one ") ASK("10") SAY("20", "two") END("30"));
	w.d->ops->interrupt(w.d); /* no turn: nothing */
	assert_int_equal(w.log.len, 0);
	/* Before anything. */
	ask_for(&w, "x", 1, false);
	w.d->ops->interrupt(w.d);
	assert_string_equal(w.log.ptr, "<end interrupted ->");
	/* While it waits for an answer. */
	play(&w, "x", 2);
	w.d->ops->interrupt(w.d);
	assert_string_equal(w.log.ptr, "one " ASKED "<withdrawn><t1 cancelled><end interrupted ->");
	assert_string_equal(w.text, "one ");
	decide(&w, KT_APPROVE_ONCE); /* too late */
	assert_int_equal(w.ended, 1);
	w.d->ops->timer(w.d);
	assert_int_equal(w.ended, 1);
	world_close(&w);
}

static void test_thinking(void **state)
{
	struct world w;

	world_open(&w, 0);
	file(&w, "a.jsonl", HEAD("\"text\":\"*\"")
			    "{\"t\":1,\"type\":\"reasoning\",\"data\":{\"part\":{\"type\":\"reasoning\","
			    "\"text\":\"hm\"},\"part_id\":\"r\"}}\n"
			    SAY("2", "a") END("3"));
	play(&w, "x", 1);
	assert_string_equal(w.log.ptr, "a<end end_turn ->");
	ask_for(&w, "x", 2, true);
	run(&w);
	assert_string_equal(w.log.ptr, "<thought>a<end end_turn ->");
	world_close(&w);
}

/* Parts are joined by blank lines, a replacement replaces its part only. */
static void test_text(void **state)
{
	struct world w;

	world_open(&w, 0);
	file(&w, "a.jsonl", HEAD("\"text\":\"*\"") SAY("1", "one") SAY("1", " two")
			    "{\"type\":\"text\",\"data\":{\"part\":{\"type\":\"text\",\"text\":\"thr\"},"
			    "\"part_id\":\"q\"}}\n"
			    "{\"type\":\"text\",\"parent\":\"t9\",\"data\":{\"part\":{\"type\":\"text\","
			    "\"text\":\"(sub)\"},\"part_id\":\"s\"}}\n"
			    "{\"type\":\"text\",\"data\":{\"part\":{\"type\":\"text\",\"text\":\"three\"},"
			    "\"part_id\":\"q\",\"replace\":true}}\n"
			    "{\"type\":\"done\",\"data\":{}}\n{\"type\":\"brand_new\",\"data\":{}}\n" END("9"));
	play(&w, "x", 1);
	assert_string_equal(w.text, "one two\n\nthree");
	world_close(&w);
}

/* The shortest turn there is: its end holds the text. */
static void test_end_only(void **state)
{
	struct world w;

	world_open(&w, 1);
	file(&w, "a.jsonl", HEAD("\"text\":\"*\"") "{\"t\":0,\"end\":{\"text\":\"Hello!\"}}\n");
	play(&w, "x", 1);
	assert_string_equal(w.log.ptr, "Hello!<end end_turn ->");
	assert_string_equal(w.text, "Hello!");
	world_close(&w);
}

static void test_recorded_error(void **state)
{
	struct world w;

	world_open(&w, 0);
	file(&w, "a.jsonl", HEAD("\"text\":\"*\"")
			    "{\"t\":1,\"end\":{\"error_code\":\"overloaded\",\"error_message\":\"busy\","
			    "\"retryable\":true}}\n");
	play(&w, "x", 1);
	assert_string_equal(w.log.ptr, "<end error overloaded>");
	assert_string_equal(w.error_message, "busy");
	world_close(&w);
}

/* A bad turn is named with file and line and left out; the others of the file count. */
static void test_malformed(void **state)
{
	static const struct {
		const char *content, *problem;
	} cases[] = {
		{ HEAD("\"text\":\"x\"") "{broken\n" END("2"), "rehearsals/a.jsonl:2: " },
		{ HEAD("\"text\":\"x\"") SAY("1", "a"),
			"rehearsals/a.jsonl:1: the turn that begins here has no \"end\" line" },
		{ "\n\n" HEAD("\"position\":1") END("2"),
			"rehearsals/a.jsonl:3: \"match\" needs \"text\" or \"contains\"" },
		{ "{\"karta_rehearsal\":2,\"match\":{\"text\":\"x\"}}\n" END("2"),
			"rehearsals/a.jsonl:1: \"karta_rehearsal\" is not 1" },
		{ END("2"), "rehearsals/a.jsonl:1: the first line of a turn must have" },
		{ HEAD("\"text\":\"x\"") "[]\n" END("2"), "rehearsals/a.jsonl:2: not a JSON object" },
		{ HEAD("\"text\":\"x\"") "{\"t\":\"1\",\"type\":\"text\",\"data\":{}}\n" END("2"),
			"rehearsals/a.jsonl:2: \"t\" is no number" },
		{ HEAD("\"text\":\"x\"") "{\"t\":1,\"ask\":{}}\n" END("2"),
			"rehearsals/a.jsonl:2: \"ask\" has no \"id\"" },
		{ HEAD("\"text\":\"x\"") "{\"t\":1,\"answer\":{\"id\":\"A\"}}\n" END("2"),
			"rehearsals/a.jsonl:2: \"answer\" needs" },
		{ HEAD("\"text\":\"x\"") "{\"t\":1,\"type\":\"text\"}\n" END("2"),
			"rehearsals/a.jsonl:2: the event has no \"data\" object" },
		{ HEAD("\"text\":\"x\"") "{\"t\":1}\n" END("2"), "rehearsals/a.jsonl:2: neither an event" },
		{ HEAD("\"text\":\"x\"") "{\"t\":1,\"when\":{\"A\":1},\"type\":\"text\",\"data\":{}}\n" END("2"),
			"rehearsals/a.jsonl:2: \"when\" is no object" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		struct world w;
		KT_AUTOFREE char *content =
			kt_asprintf("%s" TURN("\"text\":\"x\"", "good"), cases[i].content);

		world_open(&w, 0);
		file(&w, "a.jsonl", content);
		play(&w, "x", 1);
		if (!strstr(w.log.ptr, cases[i].problem))
			print_message("# case %zu: %s\n", i, w.log.ptr);
		assert_non_null(strstr(w.log.ptr, cases[i].problem));
		assert_true(kt_str_starts(w.log.ptr, "<error bad_rehearsal rehearsals/"));
		assert_true(kt_str_ends(w.log.ptr, ">good<end end_turn ->"));
		world_close(&w);
	}
}

/* The position counts the turns before a restart when nobody says it. */
static void test_position_after_restart(void **state)
{
	struct world w;
	char dir[] = "/tmp/karta-rehearsal-XXXXXX";

	assert_non_null(mkdtemp(dir));
	KT_AUTOFREE char *folder = kt_path_join(dir, "rehearsals");

	assert_int_equal(kt_fs_mkdirs(folder, 0700, NULL), KT_OK);
	world_open_at(&w, dir, 0, 2);
	kt_str_copy(w.dir, sizeof(w.dir), dir);
	file(&w, "a.jsonl", TURN("\"text\":\"x\"", "any") TURN("\"text\":\"x\",\"position\":3", "third"));
	play(&w, "x", 0);
	assert_string_equal(w.text, "third");
	play(&w, "x", 0);
	assert_string_equal(w.text, "any");
	world_close(&w);
}

/* The starter: every turn plays to its end without a complaint, approved and denied. */
static void test_starter(void **state)
{
	static const struct {
		const char *text;
		bool asks;
		const char *approved, *denied;
	} cases[] = {
		{ "Hello", false, "I'm **Beans**", NULL },
		{ "Hi there!", false, "Beans here", NULL },
		{ "Thank you!", false, "very welcome", NULL },
		{ "what is love", false, "rehearsal", NULL },
		{ "Where is my order NB-1042?", false, "on its way", NULL },
		{ "where is my order?", false, "on its way", NULL },
		{ "My mug came broken, I'd like a refund for NB-1042", true, "three to five", "A colleague" },
		{ "can I have a refund", true, "three to five", "A colleague" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(cases); i++) {
		for (int deny = 0; deny <= (cases[i].asks ? 1 : 0); deny++) {
			struct world w;

			world_open_at(&w, "docs/examples/support-bot", 1, 0);
			ask_for(&w, cases[i].text, 1, i % 2 == 0);
			run(&w);
			if (cases[i].asks) {
				assert_null(strstr(w.log.ptr, "<end"));
				decide(&w, deny ? KT_DENY : KT_APPROVE_ONCE);
			}
			assert_null(strstr(w.log.ptr, "<error"));
			assert_true(kt_str_ends(w.log.ptr, "<end end_turn ->"));
			assert_int_equal(w.open_tools, 0);
			assert_non_null(strstr(w.text, deny ? cases[i].denied : cases[i].approved));
			assert_in_range(w.clock_ms, 800, 20000);
			world_close(&w);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matching),
		cmocka_unit_test(test_no_match),
		cmocka_unit_test(test_timing),
		cmocka_unit_test(test_bursts),
		cmocka_unit_test(test_recorded_answer),
		cmocka_unit_test(test_branches),
		cmocka_unit_test(test_question),
		cmocka_unit_test(test_interrupt),
		cmocka_unit_test(test_thinking),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_end_only),
		cmocka_unit_test(test_recorded_error),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_position_after_restart),
		cmocka_unit_test(test_starter),
	};

	/* The starter is named from the top of the tree, where make runs. */
	for (char **e = kt_env_all(); *e; e++) {
		if (kt_str_starts(*e, "KARTA_TEST_ROOT=") && chdir(strchr(*e, '=') + 1))
			return 1;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
