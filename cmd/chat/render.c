/* SPDX-License-Identifier: MIT */
/*
 * Events as lines. Text is Markdown that is drawn block by block; a tool call is one line, drawn
 * when it ended, so that calls side by side do not tangle; a sub-agent's calls stand indented under
 * the call that started it.
 */
#include "cmd/chat/render.h"

#include "base/str.h"
#include "base/time.h"
#include "cmd/chat/question.h"
#include "cmd/chat/toolview.h"
#include "event/event.h"
#include "text/clean.h"

#include <string.h>

#define TOOLS_MAX 4096 /* open calls that are remembered in one turn */
#define DEPTH_MAX 8 /* of sub-agents, for indenting */
#define OUTPUT_LINES 4 /* of a result */
#define MODEL "waiting for the model"
#define SECONDS_AFTER_US 2000000 /* of waiting; they are told from then on */
#define DIFF_LINES 24 /* of an edit */

enum open_part { OPEN_NONE, OPEN_TEXT, OPEN_REASONING };

/* A call that has not ended, or that has sub-agents under it. */
struct tool {
	char *id, *name, *parent; /* parent may be NULL */
	char *gist;
	char *diff; /* of an edit, drawn; or NULL */
	struct kt_diff changes; /* its figures */
	bool asked; /* it was shown when it was asked for */
	int64_t began_ms;
	bool announced; /* stands on a line of its own already */
};

struct kt_render {
	struct kt_render_config cfg;
	struct kt_markdown *md, *thoughts;
	enum open_part open;
	char part[64];
	bool mid_line; /* what was written plainly left the cursor inside a line */
	struct kt_vec tools; /* struct tool *, open ones */
	char activity[160]; /* what is waited for */
	int64_t since_us; /* it is */
	char turn[KT_CLIENT_ID_MAX];
	bool wrote_text; /* of this turn */
	bool after_line; /* what was written last is a line of ours, not set off from text */
};

struct kt_render *kt_render_new(const struct kt_render_config *cfg)
{
	struct kt_render *r = kt_calloc(1, sizeof(*r));

	r->cfg = *cfg;
	r->md = kt_markdown_new(cfg->text_term, false);
	r->thoughts = kt_markdown_new(cfg->side_term, true);
	return r;
}

static void render_wait_for(struct kt_render *r, const char *words)
{
	if (!strncmp(r->activity, words, sizeof(r->activity) - 1))
		return;
	kt_str_copy(r->activity, sizeof(r->activity), words);
	r->since_us = kt_mono_us();
}

static void render_tool_free(struct tool *t)
{
	free(t->id);
	free(t->name);
	free(t->parent);
	free(t->gist);
	free(t->diff);
	free(t);
}

static void forget_tools(struct kt_render *r)
{
	while (r->tools.len)
		render_tool_free(kt_vec_remove(&r->tools, r->tools.len - 1));
}

void kt_render_free(struct kt_render *r)
{
	if (!r)
		return;
	forget_tools(r);
	kt_vec_release(&r->tools);
	kt_markdown_free(r->md);
	kt_markdown_free(r->thoughts);
	free(r);
}

void kt_render_set_reasoning(struct kt_render *r, bool on)
{
	r->cfg.reasoning = on;
}

/* --- pieces ------------------------------------------------------------------------------ */

/* A line on the side: an indent, a mark in its color, cleaned text dim. Takes its text ready. */
static void add_side_line(
	struct kt_render *r, int depth, enum kt_style style, const char *mark, const char *text)
{
	struct kt_buf *b = r->cfg.side;

	for (int i = 0; i < depth; i++)
		kt_buf_adds(b, "  ");
	if (mark) {
		kt_term_add(b, r->cfg.side_term, style, mark);
		kt_buf_addc(b, ' ');
	}
	kt_term_add(b, r->cfg.side_term, mark ? KT_STYLE_DIM : style, text);
	kt_buf_addc(b, '\n');
}

/* As add_side_line() without a mark, from text of unknown origin. */
static void add_note(struct kt_render *r, enum kt_style style, const char *before, const char *text)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_RENDER_MAX_BYTES);

	kt_buf_adds(&b, before);
	if (text)
		kt_clean_add(&b, text, strlen(text), true);
	kt_term_wrap(r->cfg.side, r->cfg.side_term, style, b.ptr, 2);
	kt_buf_addc(r->cfg.side, '\n');
}

/* What the open part is written to, and how. */
static struct kt_buf *part_out(const struct kt_render *r)
{
	return r->open == OPEN_REASONING ? r->cfg.side : r->cfg.text;
}

static struct kt_markdown *part_md(const struct kt_render *r)
{
	return r->open == OPEN_REASONING ? r->thoughts : r->md;
}

static bool part_shown(const struct kt_render *r)
{
	return r->open == OPEN_REASONING || (r->open == OPEN_TEXT && r->cfg.show_text);
}

void kt_render_close(struct kt_render *r)
{
	if (part_shown(r)) {
		kt_markdown_end(part_md(r), part_out(r));
		if (r->mid_line)
			kt_buf_addc(part_out(r), '\n');
		/* What follows is set off by a blank line where both go to one screen. */
		kt_buf_addc(part_out(r), '\n');
	}
	r->mid_line = false;
	r->open = OPEN_NONE;
	r->part[0] = '\0';
}

/* Begin, or go on with, a part. */
static void enter_part(struct kt_render *r, enum open_part what, const char *part)
{
	if (r->open == what && kt_str_eq(r->part, part))
		return;
	if (r->open != what)
		kt_render_close(r);
	else if (part_shown(r) && r->cfg.plain)
		kt_buf_adds(part_out(r), r->mid_line ? "\n\n" : "\n");
	else if (part_shown(r))
		/* Paragraphs of one answer: no line of its own between them but the blank one. */
		kt_markdown_break(part_md(r), part_out(r));
	if (r->after_line && r->cfg.text == r->cfg.side && (what != OPEN_TEXT || r->cfg.show_text))
		kt_buf_addc(r->cfg.side, '\n');
	r->after_line = false;
	r->mid_line = false;
	r->open = what;
	kt_str_copy(r->part, sizeof(r->part), part);
}

static void write_part(struct kt_render *r, const char *text)
{
	struct kt_buf *out = part_out(r);
	size_t len = strlen(text);

	if (!len)
		return;
	if (!r->cfg.plain) {
		kt_markdown_feed(part_md(r), out, text, len);
		return;
	}
	kt_clean_add(out, text, len, false);
	r->mid_line = text[len - 1] != '\n';
}

bool kt_render_tail(const struct kt_render *r, struct kt_buf *b)
{
	return part_shown(r) && !r->cfg.plain && kt_markdown_tail(part_md(r), b);
}

static void render_text(struct kt_render *r, const struct kt_client_event *ev)
{
	const char *text = kt_json_str_or(kt_json_obj(ev->data, "part"), "text", "");
	bool replace = kt_json_bool(ev->data, "replace", false);

	/* What a sub-agent says is between the agents; its calls are shown. */
	if (ev->parent)
		return;
	if (!*text && !replace)
		return;
	render_wait_for(r, "answering");
	enter_part(r, OPEN_TEXT, kt_json_str_or(ev->data, "part_id", ""));
	if (!r->cfg.show_text)
		return;
	if (replace && r->wrote_text) {
		kt_markdown_end(r->md, r->cfg.text);
		if (r->mid_line)
			kt_buf_addc(r->cfg.text, '\n');
		add_side_line(r, 0, KT_STYLE_DIM, NULL,
			*text ? "(the last part was replaced by:)"
			      : "(the last part was withdrawn)");
	}
	r->wrote_text = true;
	write_part(r, text);
}

static void render_reasoning(struct kt_render *r, const struct kt_client_event *ev)
{
	const char *text = kt_json_str_or(kt_json_obj(ev->data, "part"), "text", "");

	render_wait_for(r, "thinking");
	if (!r->cfg.reasoning || ev->parent || !*text)
		return;
	enter_part(r, OPEN_REASONING, kt_json_str_or(ev->data, "part_id", ""));
	write_part(r, text);
}

/* --- tools ------------------------------------------------------------------------------- */

static struct tool *tool_of(const struct kt_render *r, const char *id)
{
	for (size_t i = r->tools.len; id && i-- > 0;) {
		struct tool *t = r->tools.items[i];

		if (kt_str_eq(t->id, id))
			return t;
	}
	return NULL;
}

static int depth_of(const struct kt_render *r, const char *parent)
{
	int depth = 0;

	for (const struct tool *t = tool_of(r, parent); t && depth < DEPTH_MAX; depth++)
		t = tool_of(r, t->parent);
	return depth;
}

static void tool_words(struct kt_buf *b, const struct tool *t)
{
	kt_clean_add(b, t->name, strlen(t->name), true);
	if (t->gist && *t->gist) {
		kt_buf_addc(b, ' ');
		kt_buf_adds(b, t->gist);
	}
}

/* The call gets a line now, because something of its own follows under it. */
static void announce_tool(struct kt_render *r, struct tool *t)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_RENDER_MAX_BYTES);
	struct tool *up = tool_of(r, t->parent);

	if (t->announced)
		return;
	t->announced = true;
	if (up && up != t)
		announce_tool(r, up);
	tool_words(&b, t);
	kt_render_close(r);
	add_side_line(r, depth_of(r, t->parent), KT_STYLE_CYAN, r->cfg.side_term->utf8 ? "▸" : ">",
		b.ptr);
}

static size_t gist_columns(const struct kt_render *r)
{
	return r->cfg.side_term->columns > 50 ? (size_t)r->cfg.side_term->columns - 34 : 24;
}

static void learn_edit(const struct kt_render *r, struct tool *t, const cJSON *input)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_RENDER_MAX_BYTES);
	struct kt_diff d = { .context = 2, .max_lines = DIFF_LINES, .indent = 2 };

	if (!kt_tool_diff(&b, r->cfg.side_term, input, &d))
		return;
	free(t->diff);
	t->diff = kt_buf_take(&b);
	t->changes = d;
}

static void render_tool_use(struct kt_render *r, const struct kt_client_event *ev)
{
	const char *id = kt_json_str_or(ev->data, "tool_use_id", "");
	struct tool *t = tool_of(r, id);
	bool pending = !kt_str_eq(kt_json_str(ev->data, "state"), "running");
	KT_AUTO_BUF struct kt_buf gist = KT_BUF_INIT(KT_RENDER_MAX_BYTES);
	KT_AUTO_BUF struct kt_buf now = KT_BUF_INIT(KT_RENDER_MAX_BYTES);

	if (!t) {
		if (r->tools.len >= TOOLS_MAX)
			return;
		t = kt_calloc(1, sizeof(*t));
		t->id = kt_strdup(id);
		t->parent = kt_strdup_opt(ev->parent);
		t->began_ms = ev->time_ms;
		kt_vec_push(&r->tools, t);
	}
	kt_tool_gist(&gist, kt_json_get(ev->data, "tool_input"), gist_columns(r));
	free(t->name);
	t->name = kt_strdup(kt_json_str_or(ev->data, "tool_name", "tool"));
	if (gist.len || !t->gist) {
		free(t->gist);
		t->gist = kt_buf_take(&gist);
	}
	learn_edit(r, t, kt_json_get(ev->data, "tool_input"));
	if (!pending)
		t->began_ms = ev->time_ms;
	kt_clean_addf(&now, pending ? "writing the call of %s" : "running %s", t->name);
	if (!pending && *t->gist) {
		kt_buf_adds(&now, ": ");
		kt_buf_adds(&now, t->gist);
	}
	render_wait_for(r, now.ptr);
}

static void add_seconds(struct kt_buf *b, int64_t ms)
{
	if (ms < 60000)
		kt_buf_addf(b, "%lld.%lld s", (long long)(ms / 1000), (long long)(ms % 1000 / 100));
	else
		kt_buf_addf(b, "%lld min %lld s", (long long)(ms / 60000),
			(long long)(ms % 60000 / 1000));
}

static void add_outcome(struct kt_buf *b, const cJSON *data, bool failed)
{
	const char *status = kt_json_str_or(data, "status", failed ? "failed" : "completed");

	if (!failed && kt_str_eq(status, "completed"))
		return;
	kt_buf_adds(b, ": ");
	kt_clean_add(b, status, strlen(status), true);
}

/* ACP: what an edit changed is known best when it is done. */
static void learn_done(const struct kt_render *r, struct tool *t, const cJSON *output)
{
	const cJSON *block;

	if (cJSON_IsArray(output) && !t->asked)
		cJSON_ArrayForEach (block, output) {
			if (kt_str_eq(kt_json_str(block, "type"), "diff"))
				learn_edit(r, t, block);
		}
}

/* Below the line of a call: what it changed, or the first lines that it gave back. */
static void add_result(struct kt_render *r, struct tool *t, const cJSON *data, bool failed)
{
	if (failed || !t->diff) {
		kt_tool_output(r->cfg.side, r->cfg.side_term, kt_json_get(data, "output"), 2,
			OUTPUT_LINES);
		return;
	}
	if (t->asked)
		return;
	kt_buf_adds(r->cfg.side, t->diff);
	if (t->changes.left_out)
		kt_buf_addf(r->cfg.side, "  ... %zu more lines\n", t->changes.left_out);
}

/* A call is over: another one may run, else it is the model's turn. */
static void wait_for_rest(struct kt_render *r)
{
	const struct tool *t = r->tools.len ? r->tools.items[r->tools.len - 1] : NULL;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_RENDER_MAX_BYTES);

	if (!t) {
		render_wait_for(r, MODEL);
		return;
	}
	kt_buf_adds(&b, "running ");
	tool_words(&b, t);
	render_wait_for(r, b.ptr);
}

static void render_tool_result(struct kt_render *r, const struct kt_client_event *ev)
{
	const char *id = kt_json_str_or(ev->data, "tool_use_id", "");
	const char *status = kt_json_str_or(ev->data, "status", "");
	bool failed = kt_json_bool(ev->data, "is_error", false) || kt_str_eq(status, "failed") ||
		kt_str_eq(status, "rejected") || kt_str_eq(status, "cancelled");
	bool utf8 = r->cfg.side_term->utf8;
	const char *good = utf8 ? "✓" : "ok", *bad = utf8 ? "✗" : "failed";
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_RENDER_MAX_BYTES);
	struct tool unknown = { .name = (char *)(uintptr_t) "tool" };
	struct tool *t = tool_of(r, id), *up;
	int depth;

	if (!t)
		t = &unknown;
	up = tool_of(r, t->parent ? t->parent : ev->parent);
	if (up)
		announce_tool(r, up);
	depth = depth_of(r, t->parent ? t->parent : ev->parent);
	if (!failed)
		learn_done(r, t, kt_json_get(ev->data, "output"));
	tool_words(&b, t);
	if (t->diff && !failed)
		kt_buf_addf(&b, " +%zu -%zu", t->changes.added, t->changes.removed);
	if (t->began_ms && ev->time_ms >= t->began_ms) {
		kt_buf_adds(&b, " (");
		add_seconds(&b, ev->time_ms - t->began_ms);
		kt_buf_addc(&b, ')');
	}
	add_outcome(&b, ev->data, failed);
	kt_render_close(r);
	add_side_line(r, depth, failed ? KT_STYLE_RED : KT_STYLE_GREEN, failed ? bad : good, b.ptr);
	r->after_line = true;
	/* Of sub-agents only the calls are told. */
	if (!depth)
		add_result(r, t, ev->data, failed);
	if (t == &unknown)
		free(t->diff);
	else if (kt_vec_remove_ptr(&r->tools, t))
		render_tool_free(t);
	wait_for_rest(r);
}

/* --- the rest ---------------------------------------------------------------------------- */

static void add_figure_number(struct kt_buf *b, int64_t v)
{
	if (v >= 1000)
		add_figure_number(b, v / 1000);
	kt_buf_addf(b, v >= 1000 ? ",%03lld" : "%lld", (long long)(v % 1000));
}

static void add_figure(struct kt_buf *b, const struct kt_term *t, size_t start)
{
	if (b->len > start)
		kt_buf_adds(b, t->utf8 ? " · " : ", ");
}

void kt_render_figures(struct kt_buf *b, const struct kt_term *t, const cJSON *done)
{
	const cJSON *usage = kt_json_obj(done, "usage");
	int64_t in = kt_json_int(usage, "input_tokens", -1);
	int64_t out = kt_json_int(usage, "output_tokens", -1);
	int64_t ms = kt_json_int(done, "duration_ms", -1);
	double cost = kt_json_num(usage, "cost_usd", -1);
	size_t start = b->len;

	if (in >= 0) {
		add_figure_number(b, in);
		kt_buf_adds(b, " tokens in");
	}
	if (out >= 0) {
		add_figure(b, t, start);
		add_figure_number(b, out);
		kt_buf_adds(b, " out");
	}
	if (cost >= 0) {
		add_figure(b, t, start);
		kt_buf_addf(b, "$%.4f", cost);
	}
	if (ms >= 0) {
		add_figure(b, t, start);
		add_seconds(b, ms);
	}
}

static void render_user(struct kt_render *r, const struct kt_client_event *ev, bool queued)
{
	const cJSON *m = kt_json_obj(ev->data, "message");
	const char *name = kt_json_str(m, "participant_name");
	const char *text = kt_json_str_or(m, "text", "");
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_RENDER_MAX_BYTES);
	struct kt_buf *out = r->cfg.side;

	if (!r->cfg.users || !m)
		return;
	if (name)
		kt_clean_add(&b, name, strlen(name), true);
	else
		kt_buf_adds(&b, "user");
	kt_buf_adds(&b, queued ? " (queued)> " : "> ");
	kt_render_close(r);
	kt_term_add(out, r->cfg.side_term, KT_STYLE_BOLD, b.ptr);
	kt_clean_add(out, text, strlen(text), false);
	kt_buf_addc(out, '\n');
}

static void render_resolved(struct kt_render *r, const cJSON *data)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);
	const char *by = kt_json_str_or(data, "by", "user");

	if (!r->cfg.inputs)
		return;
	kt_clean_addf(&b, "%s, by %s", kt_question_done(kt_json_str(data, "decision")), by);
	kt_render_close(r);
	add_note(r, KT_STYLE_YELLOW, "answered: ", b.ptr);
}

static void render_handoff(struct kt_render *r, const cJSON *data)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);

	kt_clean_addf(
		&b, "%s to %s", kt_json_str_or(data, "from", "?"), kt_json_str_or(data, "to", "?"));
	kt_render_close(r);
	add_note(r, KT_STYLE_DIM, "agent: ", b.ptr);
}

/* The name that people know a harness by. */
static const char *harness_words(const char *harness)
{
	static const char *const names[][2] = {
		{ "claude-code", "Claude Code" },
		{ "opencode", "OpenCode" },
		{ "codex-cli", "Codex" },
		{ "gemini-cli", "Gemini CLI" },
		{ "rehearsal", "the rehearsal" },
	};

	for (size_t i = 0; i < KT_ARRAY_LEN(names); i++) {
		if (kt_str_eq(harness, names[i][0]))
			return names[i][1];
	}
	return harness ? harness : "the agent";
}

void kt_render_begun(struct kt_render *r, const struct kt_client_event *ev)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);

	if (kt_str_eq(kt_json_str(ev->data, "state"), "queued"))
		kt_buf_adds(&b, "waiting for the turn before");
	else
		kt_clean_addf(&b, "starting %s", harness_words(kt_json_str(ev->data, "harness")));
	render_wait_for(r, b.ptr);
}

static void render_status(struct kt_render *r, const struct kt_client_event *ev)
{
	const char *state = kt_json_str_or(ev->data, "state", "");
	const char *detail = kt_json_str(ev->data, "detail");

	if (kt_str_eq(state, "turn_started") || kt_str_eq(state, "queued")) {
		kt_render_begun(r, ev);
		render_user(r, ev, kt_str_eq(state, "queued"));
	} else if (kt_str_eq(state, "input_resolved")) {
		render_resolved(r, ev->data);
	} else if (kt_str_eq(state, "handoff")) {
		render_handoff(r, ev->data);
	} else if (kt_str_eq(state, "auto_approved") || kt_str_eq(state, "auto_denied")) {
		kt_render_close(r);
		add_note(r, KT_STYLE_DIM,
			kt_str_eq(state, "auto_denied") ? "denied without asking: "
							: "approved without asking: ",
			kt_json_str_or(ev->data, "message", kt_json_str_or(ev->data, "tool", "")));
		if (kt_json_str(ev->data, "reason"))
			add_note(r, KT_STYLE_YELLOW, "", kt_json_str(ev->data, "reason"));
	} else if (kt_str_eq(state, "resume_failed")) {
		kt_render_close(r);
		add_note(r, KT_STYLE_YELLOW, "the conversation could not be resumed: ",
			detail ? detail : "a fresh one was begun");
	} else if (kt_str_eq(state, "retrying")) {
		kt_render_close(r);
		add_note(r, KT_STYLE_DIM, "trying again: ",
			detail ? detail : kt_json_str_or(ev->data, "code", "the call failed"));
		render_wait_for(r, MODEL);
	} else if (kt_str_eq(state, "interrupting")) {
		render_wait_for(r, "interrupting");
	} else if (detail) {
		render_wait_for(r, detail);
	}
}

static void render_error(struct kt_render *r, const struct kt_client_event *ev)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_RENDER_MAX_BYTES);

	kt_clean_addf(&b, "%s (%s)", kt_json_str_or(ev->data, "message", "something went wrong"),
		kt_json_str_or(ev->data, "code", "error"));
	kt_render_close(r);
	add_note(r, ev->parent ? KT_STYLE_DIM : KT_STYLE_RED,
		ev->parent ? "sub-agent error: " : "error: ", b.ptr);
}

static void render_turn_done(struct kt_render *r, const struct kt_client_event *ev)
{
	const char *stop = kt_json_str_or(ev->data, "stop_reason", "end_turn");
	const char *text = kt_json_str_or(kt_json_obj(ev->data, "message"), "text", "");
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);

	if (!r->wrote_text && *text && r->cfg.show_text) {
		enter_part(r, OPEN_TEXT, "");
		write_part(r, text);
	}
	kt_render_close(r);
	if (!kt_str_eq(stop, "end_turn") && !kt_str_eq(stop, "error"))
		kt_clean_addf(&b, "%s  ", stop);
	/* How long it took to fail before the model was asked is no news. */
	if (kt_json_int(kt_json_obj(ev->data, "usage"), "input_tokens", -1) >= 0 ||
		!kt_str_eq(stop, "error"))
		kt_render_figures(&b, r->cfg.side_term, ev->data);
	if (b.len)
		add_note(r, KT_STYLE_DIM, "", b.ptr);
	forget_tools(r);
	r->wrote_text = false;
	r->after_line = false;
	r->activity[0] = '\0';
}

static void render_input(struct kt_render *r, const struct kt_client_event *ev)
{
	struct tool *t = tool_of(r, kt_json_str(ev->data, "tool_use_id"));

	kt_render_close(r);
	if (r->cfg.inputs)
		add_note(r, KT_STYLE_YELLOW, "waiting for an answer: ",
			kt_json_str_or(ev->data, "message", "approval needed"));
	else if (t)
		t->asked = true;
}

static void render_gap(struct kt_render *r, const cJSON *data)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(256);

	kt_buf_addf(&b, "events %lld to %lld are no longer kept",
		(long long)kt_json_int(data, "first", 0), (long long)kt_json_int(data, "last", 0));
	kt_render_close(r);
	add_note(r, KT_STYLE_YELLOW, "", b.ptr);
}

void kt_render_event(struct kt_render *r, const struct kt_client_event *ev)
{
	enum kt_event_type type;

	/* A newer server may know types that this program does not. */
	if (!kt_event_parse_name(ev->type, &type))
		return;
	switch (type) {
	case KT_EV_TEXT:
		render_text(r, ev);
		break;
	case KT_EV_TOOL_USE:
		render_tool_use(r, ev);
		break;
	case KT_EV_TOOL_RESULT:
		render_tool_result(r, ev);
		break;
	case KT_EV_REASONING:
		render_reasoning(r, ev);
		break;
	case KT_EV_INPUT_REQUIRED:
		render_input(r, ev);
		break;
	case KT_EV_ERROR:
		render_error(r, ev);
		break;
	case KT_EV_DONE:
		render_turn_done(r, ev);
		break;
	case KT_EV_STATUS:
		render_status(r, ev);
		break;
	case KT_EV_GAP:
		render_gap(r, ev->data);
		break;
	case KT_EV_STEP_START:
		if (!ev->parent)
			render_wait_for(r, MODEL);
		break;
	case KT_EV_STEP_FINISH:
	case KT_EV_SYSTEM:
	case KT_EV_LOG: /* of projects and builds, never of a session */
	case KT_EV_RELEASE:
	case KT_EV_COUNT_:
		break;
	}
}

void kt_render_waiting(const struct kt_render *r, struct kt_buf *b)
{
	const char *words = r->activity[0] ? r->activity : "working";
	int64_t us = r->since_us ? kt_mono_us() - r->since_us : 0;
	size_t columns = (size_t)KT_MAX(r->cfg.side_term->columns, 60);

	kt_term_cut(b, words, strlen(words), columns - 36);
	if (us >= SECONDS_AFTER_US)
		kt_buf_addf(b, "  %lld s", (long long)(us / 1000000));
}
