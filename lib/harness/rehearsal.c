/* SPDX-License-Identifier: MIT */
/*
 * The rehearsal driver: plays recorded turns, so that a front end, a demo or a CI job needs no
 * harness, network, key or token. Nothing is sent anywhere; the only outside thing is the folder's
 * rehearsals/ directory. A turn is played from the one timer a driver has, in bursts, so that the
 * loop breathes even at speed 0.
 */
#include "harness/rehearsal_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/rand.h"
#include "base/str.h"

#include <string.h>

enum {
	BURST = 16, /* events played without going back to the loop */
	MAX_DELAY_MS = 3600 * 1000,
};

/* An ask that was answered. */
struct decided {
	char *id; /* as recorded */
	enum kt_decision decision;
};

struct rehearsal {
	struct kt_driver d; /* first: a struct kt_driver * is cast to this */
	char *dir;
	char *session;
	double speed;
	size_t max_values; /* of a turn */
	char nonce[KT_ID_MAX];
	uint32_t asks_made;
	uint32_t turns; /* prompts so far, with those before this driver */

	bool in_turn;
	bool thinking;
	char *prompt; /* text, for what is said without a match */
	struct rehearsal_found found;
	size_t at; /* next line of found.turn */
	double played_ms; /* recorded time of the last line */
	double owed_ms; /* fraction of a millisecond not waited yet */
	struct kt_vec decided; /* struct decided */
	char *ask_id; /* id given for the ask that is open, or NULL */
	const cJSON *ask; /* the open ask, in found.turn */
	struct kt_vec tools; /* char *: ids of tool calls without a result */
	struct kt_buf text; /* assembled */
	char *part_id; /* part that text's end belongs to, or NULL */
	size_t part_off; /* where it begins in text */
};

static struct rehearsal *rehearsal_of(struct kt_driver *d)
{
	return (struct rehearsal *)(void *)d;
}

static void set_timer(struct rehearsal *r, int64_t delay_ms)
{
	r->d.sink.set_timer(r->d.sink.arg, delay_ms);
}

/* --- the end of a turn ------------------------------------------------------------------------ */

static void forget_tool(struct rehearsal *r, const char *id)
{
	for (size_t i = 0; id && i < r->tools.len; i++) {
		if (!strcmp(r->tools.items[i], id)) {
			free(kt_vec_remove(&r->tools, i));
			return;
		}
	}
}

static void close_tools(struct rehearsal *r)
{
	while (r->tools.len > 0) {
		char *id = kt_vec_remove(&r->tools, 0);

		kt_emit_tool_result(&r->d, id, NULL, true, "cancelled", NULL);
		free(id);
	}
}

static void forget_turn(struct rehearsal *r)
{
	while (r->decided.len > 0) {
		struct decided *x = kt_vec_remove(&r->decided, 0);

		free(x->id);
		free(x);
	}
	while (r->tools.len > 0)
		free(kt_vec_remove(&r->tools, 0));
	kt_vec_release(&r->decided);
	kt_vec_release(&r->tools);
	kt_rehearsal_found_release(&r->found);
	r->d.kept = 0;
	kt_buf_release(&r->text);
	free(r->prompt);
	r->prompt = NULL;
	free(r->ask_id);
	r->ask_id = NULL;
	r->ask = NULL;
	free(r->part_id);
	r->part_id = NULL;
	r->part_off = 0;
	r->in_turn = false;
}

/* Close what is open and report. The sink may send the next prompt from within. */
static void rehearsal_end_turn(struct rehearsal *r, struct kt_turn_result result)
{
	KT_AUTOFREE char *text = NULL;

	set_timer(r, -1);
	close_tools(r);
	if (!result.text) {
		text = kt_buf_take(&r->text);
		result.text = text;
	}
	struct rehearsal_found keep = r->found; /* strings of result may live in it */

	memset(&r->found, 0, sizeof(r->found));
	kt_buf_init(&r->found.problems, 0);
	kt_buf_init(&r->found.files, 0);
	forget_turn(r);
	kt_emit_turn_end(&r->d, &result);
	kt_rehearsal_found_release(&keep);
}

static void no_rehearsal(struct rehearsal *r)
{
	KT_AUTOFREE char *file = kt_rehearsal_file_for(r->prompt);
	const char *files = r->found.files.ptr;
	KT_AUTOFREE char *message = *files
		? kt_asprintf("no rehearsal answers this message; %s would (\"karta dev --record\" "
			      "writes "
			      "it, docs/rehearsals.md tells how to write it by hand); looked at %s",
			  file, files)
		: kt_asprintf("no rehearsal answers this message; %s would (\"karta dev --record\" "
			      "writes "
			      "it, docs/rehearsals.md tells how to write it by hand); there is no "
			      "file in "
			      "rehearsals/ yet",
			  file);
	const struct kt_turn_result result = {
		.stop_reason = "error",
		.error_code = "no_rehearsal",
		.error_message = message,
		.text = "",
		.usage = KT_USAGE_INIT,
	};

	rehearsal_end_turn(r, result);
}

static void read_usage(const cJSON *usage, struct kt_usage *u)
{
	double cost = kt_json_num(usage, "cost_usd", -1);

	*u = (struct kt_usage)KT_USAGE_INIT;
	u->input_tokens = kt_json_int(usage, "input_tokens", -1);
	u->output_tokens = kt_json_int(usage, "output_tokens", -1);
	u->cache_read_tokens = kt_json_int(usage, "cache_read_tokens", -1);
	u->cache_write_tokens = kt_json_int(usage, "cache_write_tokens", -1);
	u->total_tokens = kt_json_int(usage, "total_tokens", -1);
	u->cost_microusd = kt_json_int(usage, "cost_microusd", -1);
	if (u->cost_microusd < 0 && cost >= 0 && cost < 1e9)
		u->cost_microusd = (int64_t)(cost * 1e6 + 0.5);
}

static void play_end(struct rehearsal *r, const cJSON *end)
{
	struct kt_turn_result result = {
		.error_code = kt_json_str(end, "error_code"),
		.error_message = kt_json_str(end, "error_message"),
		.retryable = kt_json_bool(end, "retryable", false),
		.text = kt_json_str(end, "text"),
	};

	/* Written by hand, a turn may be nothing but its text. */
	if (result.text && *result.text && !result.error_code && r->text.len == 0)
		kt_emit_text(&r->d, false, "rehearsal-text", result.text, strlen(result.text),
			false, NULL);
	result.stop_reason = kt_json_str_or(
		end, "stop_reason", result.error_code ? "error" : "end_turn");
	read_usage(kt_json_obj(end, "usage"), &result.usage);
	rehearsal_end_turn(r, result);
}

/* --- branches --------------------------------------------------------------------------------- */

/* Decisions that lead to the same lines: 'a' approved, 'd' denied, 'q' a question's answer. */
static char group_of(const char *word)
{
	enum kt_decision d;

	if (!strcmp(word, "approve"))
		return 'a';
	if (!kt_decision_parse(word, &d))
		return '?';
	switch (d) {
	case KT_APPROVE_ONCE:
	case KT_APPROVE_SESSION:
	case KT_APPROVE_COMMAND:
	case KT_APPROVE_FILE:
	case KT_APPROVE_FOLDER:
		return 'a';
	case KT_DENY:
		return 'd';
	case KT_ANSWER:
		return 'q';
	}
	return '?';
}

/* What was recorded for an ask; approve_once when the recording does not tell. */
static const char *recorded_decision(const struct rehearsal_turn *t, const char *ask_id)
{
	for (size_t i = 0; i < t->lines.len; i++) {
		const cJSON *answer = kt_json_obj(t->lines.items[i], "answer");

		if (answer && kt_str_eq(kt_json_str(answer, "id"), ask_id))
			return kt_json_str(answer, "decision");
	}
	return "approve_once";
}

static bool was_answered(const struct rehearsal *r, const char *ask_id)
{
	for (size_t i = 0; i < r->decided.len; i++) {
		const struct decided *x = r->decided.items[i];

		if (kt_str_eq(x->id, ask_id))
			return true;
	}
	return false;
}

/*
 * True when a line is to be played after what was decided: for each answered ask, "when" must name
 * the decision (or "any"); a line that does not name the ask belongs to the recorded decision.
 */
static bool line_applies(const struct rehearsal *r, const cJSON *line)
{
	const cJSON *when = kt_json_obj(line, "when");
	const cJSON *w;

	cJSON_ArrayForEach (w, when) {
		if (!was_answered(r, w->string))
			return false;
	}
	for (size_t i = 0; i < r->decided.len; i++) {
		const struct decided *x = r->decided.items[i];
		const char *word = kt_json_str(when, x->id);

		if (!word)
			word = recorded_decision(r->found.turn, x->id);
		if (strcmp(word, "any") != 0 &&
			group_of(word) != group_of(kt_decision_name(x->decision)))
			return false;
	}
	return true;
}

/* True when the recording goes on after the decision just made. */
static bool goes_on(const struct rehearsal *r)
{
	const struct kt_vec *lines = &r->found.turn->lines;

	for (size_t i = r->at; i < lines->len; i++) {
		if (!kt_json_get(lines->items[i], "answer") && line_applies(r, lines->items[i]))
			return true;
	}
	return false;
}

/* The person decided what was never recorded: say so, and end the turn as a model would. */
static void end_unrecorded(struct rehearsal *r, const cJSON *ask, enum kt_decision decision)
{
	const char *id = kt_json_str(ask, "id");
	const char *tool_id = kt_json_str(ask, "tool_use_id");
	KT_AUTOFREE char *why = kt_asprintf(
		"You chose %s, but this rehearsal only goes on with %s. "
		"To add a branch, give lines of %s \"when\": {\"%s\": \"%s\"}.",
		kt_decision_name(decision), recorded_decision(r->found.turn, id),
		r->found.turn->file, id, kt_decision_name(decision));
	KT_AUTO_JSON cJSON *output = cJSON_CreateString(why);
	const struct kt_turn_result result = { .stop_reason = "end_turn", .usage = KT_USAGE_INIT };

	kt_assert(output);
	if (tool_id) {
		kt_emit_tool_result(&r->d, tool_id, output, true, "rejected", NULL);
		forget_tool(r, tool_id);
	}
	kt_emit_text(&r->d, false, "rehearsal-unrecorded", why, strlen(why), false, NULL);
	if (r->text.len > 0)
		kt_buf_adds(&r->text, "\n\n");
	kt_buf_adds(&r->text, why);
	rehearsal_end_turn(r, result);
}

/* --- playing ---------------------------------------------------------------------------------- */

/* Keep the text of the turn for its result: parts joined by blank lines, replacements obeyed. */
static void keep_text(struct rehearsal *r, const cJSON *data)
{
	const char *text = kt_json_str(kt_json_get(data, "part"), "text");
	const char *part_id = kt_json_str_or(data, "part_id", "");

	if (!text)
		return;
	if (!kt_str_eq(part_id, r->part_id)) {
		if (r->text.len > 0)
			kt_buf_adds(&r->text, "\n\n");
		free(r->part_id);
		r->part_id = kt_strdup(part_id);
		r->part_off = r->text.len;
	}
	if (kt_json_bool(data, "replace", false))
		kt_buf_truncate(&r->text, r->part_off);
	kt_buf_adds(&r->text, text);
}

static void play_line_event(struct rehearsal *r, const cJSON *line)
{
	const char *name = kt_json_str(line, "type");
	const char *parent = kt_json_str(line, "parent");
	const cJSON *data = kt_json_obj(line, "data");
	const char *tool_id = kt_json_str(data, "tool_use_id");
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_LINE_BYTES);
	enum kt_event_type type;

	/* Made by the session itself: a recording of a whole event log may hold them. */
	if (!kt_event_parse_name(name, &type) || type == KT_EV_DONE || type == KT_EV_GAP ||
		type == KT_EV_INPUT_REQUIRED || (type == KT_EV_REASONING && !r->thinking))
		return;
	if (type == KT_EV_TEXT && !parent)
		keep_text(r, data);
	if (tool_id && type == KT_EV_TOOL_USE) {
		forget_tool(r, tool_id);
		kt_vec_push(&r->tools, kt_strdup(tool_id));
	} else if (tool_id && type == KT_EV_TOOL_RESULT) {
		forget_tool(r, tool_id);
	}
	kt_json_add(&b, data);
	kt_emit(&r->d, type, b.ptr, b.len, parent);
}

static void play_line_ask(struct rehearsal *r, const cJSON *ask)
{
	const cJSON *input = kt_json_get(ask, "input"), *questions = kt_json_arr(ask, "questions");
	const char *tool = kt_json_str_or(ask, "tool", "tool");
	KT_AUTO_BUF struct kt_buf in = KT_BUF_INIT(KT_MAX_LINE_BYTES);
	KT_AUTO_BUF struct kt_buf qs = KT_BUF_INIT(KT_MAX_LINE_BYTES);
	KT_AUTO_BUF struct kt_buf part = KT_BUF_INIT(0);
	struct kt_shared *shared;
	size_t len;
	KT_AUTOFREE char *message = kt_asprintf("Allow %s?", tool);
	KT_AUTOFREE char *cwd = kt_path_join(r->dir, kt_json_str_or(ask, "cwd", ""));

	if (input)
		kt_json_add(&in, input);
	else
		kt_buf_adds(&in, "{}");
	if (questions)
		kt_json_add(&qs, questions);
	r->ask = ask;
	r->ask_id = kt_asprintf("%s-%u", r->nonce, ++r->asks_made);
	struct kt_ask out = {
		.id = r->ask_id,
		.kind = kt_json_str_or(ask, "kind", "tool_use"),
		.tool = tool,
		.tool_use_id = kt_json_str(ask, "tool_use_id"),
		.parent_tool_use_id = kt_json_str(ask, "parent"),
		.message = kt_json_str_or(ask, "message", message),
		.cwd = cwd,
		.questions = questions ? qs.ptr : NULL,
	};

	len = in.len;
	shared = kt_shared_new(kt_buf_take(&in), len);
	kt_ask_input(&out, shared, input, &part);
	kt_ask_shape(&out, tool, input);
	r->d.sink.ask(r->d.sink.arg, &out);
	kt_shared_unref(shared);
}

/* The next line to play, NULL at the end. Answers only set the clock. */
static const cJSON *next_rehearsal_line(struct rehearsal *r)
{
	const struct kt_vec *lines = &r->found.turn->lines;

	for (; r->at < lines->len; r->at++) {
		const cJSON *line = lines->items[r->at];

		if (!line_applies(r, line))
			continue;
		if (!kt_json_get(line, "answer"))
			return line;
		/* How long the person thought is not played: they thought just now. */
		r->played_ms = KT_MAX(r->played_ms, kt_json_num(line, "t", r->played_ms));
	}
	return NULL;
}

/* Milliseconds to wait before line, at the chosen speed. */
static int64_t delay_before(struct rehearsal *r, const cJSON *line)
{
	double t = kt_json_num(line, "t", r->played_ms);
	double wait = 0;

	if (t > r->played_ms && r->speed > 0)
		wait = (t - r->played_ms) / r->speed + r->owed_ms;
	if (t > r->played_ms)
		r->played_ms = t;
	if (wait > MAX_DELAY_MS)
		wait = MAX_DELAY_MS;
	r->owed_ms = wait - (double)(int64_t)wait;
	return (int64_t)wait;
}

/* Wait for the next line, or end the turn when a branch has no end of its own. */
static void schedule_line(struct rehearsal *r)
{
	const cJSON *line = next_rehearsal_line(r);
	const struct kt_turn_result plain = { .stop_reason = "end_turn", .usage = KT_USAGE_INIT };

	if (line)
		set_timer(r, delay_before(r, line));
	else
		rehearsal_end_turn(r, plain);
}

/* Tell of malformed files, once a turn. */
static void report_problems(struct rehearsal *r)
{
	for (char *p = r->found.problems.ptr; *p;) {
		size_t n = strcspn(p, "\n");
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
		struct kt_jw w;

		kt_jw_init(&w, &b);
		kt_jw_obj(&w, NULL);
		kt_jw_strn(&w, "message", p, n);
		kt_jw_str(&w, "code", "bad_rehearsal");
		kt_jw_bool(&w, "retryable", false);
		kt_jw_obj_end(&w);
		kt_emit(&r->d, KT_EV_ERROR, b.ptr, b.len, NULL);
		p += n + (p[n] == '\n');
	}
	kt_buf_clear(&r->found.problems);
}

/* The line that was waited for is due; what follows without a wait is played at once. */
static void rehearsal_timer(struct kt_driver *d)
{
	struct rehearsal *r = rehearsal_of(d);
	const cJSON *line;

	if (!r->in_turn || r->ask_id)
		return;
	report_problems(r);
	if (!r->found.turn) {
		no_rehearsal(r);
		return;
	}
	line = next_rehearsal_line(r);
	for (int n = 0; line; n++) {
		const cJSON *ask = kt_json_obj(line, "ask"), *end = kt_json_obj(line, "end");

		r->at++;
		if (end) {
			play_end(r, end);
			return;
		}
		if (ask) {
			play_line_ask(r, ask);
			return;
		}
		play_line_event(r, line);
		line = next_rehearsal_line(r);
		int64_t delay_ms = line ? delay_before(r, line) : 0;

		if (line && (delay_ms > 0 || n + 1 >= BURST)) {
			set_timer(r, delay_ms);
			return;
		}
	}
	schedule_line(r);
}

/* --- the other operations --------------------------------------------------------------------- */

static void rehearsal_command(const struct kt_driver_config *cfg, struct kt_arena *arena,
	struct kt_vec *argv, struct kt_vec *env)
{
	/* has_process is false: nothing is run. */
}

static struct kt_driver *rehearsal_open(
	const struct kt_driver_config *cfg, const struct kt_driver_sink *sink)
{
	struct rehearsal *r = kt_calloc(1, sizeof(*r));
	char uuid[37];

	kt_rand_uuid(uuid);
	r->d.ops = &kt_driver_rehearsal;
	r->d.sink = *sink;
	r->dir = kt_strdup(cfg->cwd);
	r->session = kt_strdup(cfg->resume_id ? cfg->resume_id : cfg->new_id ? cfg->new_id : uuid);
	r->max_values = cfg->sealed ? KT_MAX_LINE_VALUES : SIZE_MAX;
	r->speed = cfg->speed;
	r->turns = cfg->turns_before;
	kt_rand_id("ask_", r->nonce);
	kt_buf_init(&r->text, KT_MAX_LINE_BYTES);
	kt_buf_init(&r->found.problems, 0);
	kt_buf_init(&r->found.files, 0);
	return &r->d;
}

static void rehearsal_start(struct kt_driver *d)
{
	struct rehearsal *r = rehearsal_of(d);

	r->d.sink.ready(r->d.sink.arg, r->session);
}

static void rehearsal_line(struct kt_driver *d, char *line, size_t len)
{
	/* There is nobody who writes. */
}

static void rehearsal_prompt(struct kt_driver *d, const struct kt_prompt *p)
{
	struct rehearsal *r = rehearsal_of(d);
	struct kt_prompt asked = *p;
	const cJSON *first;

	kt_assert(!r->in_turn);
	r->turns++;
	if (!asked.position)
		asked.position = r->turns;
	r->in_turn = true;
	r->thinking = p->thinking;
	r->prompt = kt_strdup(p->text);
	r->at = 0;
	r->played_ms = r->owed_ms = 0;
	kt_buf_init(&r->text, KT_MAX_LINE_BYTES);
	kt_rehearsal_find(r->dir, &asked, r->max_values, &r->found);
	r->d.kept = r->found.bytes;
	first = r->found.turn ? next_rehearsal_line(r) : NULL;
	set_timer(r, first ? delay_before(r, first) : 0);
}

static void rehearsal_answer(struct kt_driver *d, const char *ask_id, enum kt_decision decision,
	const char *answers, const char *note)
{
	struct rehearsal *r = rehearsal_of(d);
	const cJSON *ask = r->ask;
	struct decided *x;

	if (!r->ask_id || strcmp(r->ask_id, ask_id) != 0)
		return;
	x = kt_calloc(1, sizeof(*x));
	x->id = kt_strdup(kt_json_str_or(ask, "id", ""));
	x->decision = decision;
	kt_vec_push(&r->decided, x);
	free(r->ask_id);
	r->ask_id = NULL;
	r->ask = NULL;
	if (goes_on(r))
		schedule_line(r);
	else
		end_unrecorded(r, ask, decision);
}

static void rehearsal_interrupt(struct kt_driver *d)
{
	struct rehearsal *r = rehearsal_of(d);
	const struct kt_turn_result result = { .stop_reason = "interrupted",
		.usage = KT_USAGE_INIT };

	if (!r->in_turn)
		return;
	if (r->ask_id)
		r->d.sink.ask_withdrawn(r->d.sink.arg, r->ask_id);
	rehearsal_end_turn(r, result);
}

static void rehearsal_gone(
	struct kt_driver *d, int exit_code, int term_signal, const char *stderr_tail)
{
	/* No process, nothing to lose; a stop of the session ends an open turn all the same. */
	rehearsal_interrupt(d);
}

static bool rehearsal_exits_on_eof(const struct kt_driver *d)
{
	return true;
}

static void rehearsal_close(struct kt_driver *d)
{
	struct rehearsal *r = rehearsal_of(d);

	kt_emit_release(d);
	forget_turn(r);
	free(r->dir);
	free(r->session);
	free(r);
}

const struct kt_driver_ops kt_driver_rehearsal = {
	.name = "rehearsal",
	.has_process = false,
	.prompt_reads = true,
	.resumes = true,
	.command = rehearsal_command,
	.open = rehearsal_open,
	.start = rehearsal_start,
	.line = rehearsal_line,
	.prompt = rehearsal_prompt,
	.answer = rehearsal_answer,
	.interrupt = rehearsal_interrupt,
	.gone = rehearsal_gone,
	.timer = rehearsal_timer,
	.exits_on_eof = rehearsal_exits_on_eof,
	.close = rehearsal_close,
};
