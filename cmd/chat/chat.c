/* SPDX-License-Identifier: MIT */
/*
 * karta chat: a conversation in the terminal. One thread: the session's event stream is followed,
 * and its poll looks at the keys. What a key asks for (send, answer, interrupt) stops the stream,
 * is done, and the stream goes on at its cursor, so that nothing is lost or seen twice.
 */
#include "cmd/cmd.h"

#include "base/str.h"
#include "base/time.h"
#include "cmd/chat/chatwords.h"
#include "cmd/chat/lastsession.h"
#include "cmd/chat/question.h"
#include "cmd/chat/render.h"
#include "cmd/chat/screen.h"
#include "cmd/place.h"
#include "cmd/remote.h"
#include "event/assembly.h"

#include <poll.h>
#include <string.h>

#define HISTORY_EVENTS 2000 /* looked at for the turns before, when a session is gone on with */
#define HISTORY_TURNS 2 /* of them shown */
#define SESSIONS_SHOWN 10
#define FLUSH_BYTES ((size_t)64 * 1024)
#define WAIT_MS 200
#define PROMPT "> "

extern const struct kt_cmd kt_cmd_chat;

struct chat_args {
	const char *session;
	const char *agent;
	const char *mode;
	bool go_on;
	bool thinking;
	bool dev;
};

static const struct kt_opt opts[] = {
	KT_OPT_STR_('s', "session", struct chat_args, session, "ID", "go on with this session"),
	KT_OPT_FLAG_('c', "continue", struct chat_args, go_on, "go on with the last session"),
	KT_OPT_STR_('a', "agent", struct chat_args, agent, "NAME", "agent to talk to"),
	KT_OPT_STR_(0, "permission-mode", struct chat_args, mode, "MODE",
		"what the harness asks for in new sessions"),
	KT_OPT_FLAG_(
		0, "thinking", struct chat_args, thinking, "ask for the reasoning and show it"),
	{ KT_OPT_T_FLAG, 0, "dev", NULL, offsetof(struct chat_args, dev),
		"the server ends with this chat", KT_OPT_HIDDEN },
	KT_OPT_END,
};

/* What the stream is stopped for. */
enum action { ACT_NONE, ACT_LINE, ACT_ANSWER, ACT_WHOLE, ACT_INTERRUPT, ACT_REWATCH, ACT_LEAVE };

struct chat {
	struct kt_ctx *ctx;
	struct kt_client *client;
	struct kt_screen *screen;
	struct kt_render *render;
	struct kt_client_follow follow;
	char session[KT_CLIENT_ID_MAX]; /* "" until the first message */
	char own[KT_CLIENT_ID_MAX]; /* the turn of the message sent here, until it is done */
	cJSON *dev; /* what the server said at the beginning, or NULL */
	char *agent; /* or NULL */
	const char *mode; /* permission mode of new sessions, or NULL */
	const char *begun_with; /* "dev" or "chat" */
	bool thinking;
	bool running; /* some turn runs in the session */
	bool lost; /* reconnecting */
	bool interrupting; /* asked for, the turn has not ended */
	bool warned; /* Ctrl-C once at an empty prompt */
	bool failed; /* a turn failed; the exit status of a chat from a file */
	bool unanswered;
	struct kt_vec questions; /* struct kt_question *, open, the first is asked */
	bool asking;
	char *draft; /* set aside while asking */
	enum action action;
	struct kt_buf answer; /* body of ACT_ANSWER */
	char answer_to[KT_CLIENT_ID_MAX];
};

/* --- questions --------------------------------------------------------------------------- */

static struct kt_question *open_question(const struct chat *c)
{
	return c->questions.len ? c->questions.items[0] : NULL;
}

static void ask_chat_question(struct chat *c)
{
	struct kt_question *q = open_question(c);
	struct kt_buf *out = kt_screen_out(c->screen);

	if (!kt_screen_is_interactive(c->screen)) {
		c->unanswered = true;
		c->action = ACT_INTERRUPT;
		return;
	}
	if (!c->asking) {
		kt_screen_set_aside(c->screen, true);
		free(c->draft);
		c->draft = kt_strdup(kt_screen_draft(c->screen));
		kt_screen_set_draft(c->screen, "");
	}
	if (q->step == 0)
		kt_question_show(out, &c->ctx->out, q);
	if (!kt_buf_ok(out)) {
		kt_buf_clear(out);
		kt_buf_adds(out, "this is too large to show here\n");
	}
	kt_question_show_step(out, &c->ctx->out, q);
	c->asking = true;
}

/* The first question is over, whoever answered it. */
static void drop_question(struct chat *c, size_t at)
{
	kt_question_free(kt_vec_remove(&c->questions, at));
	if (at || !c->asking)
		return;
	c->asking = false;
	kt_screen_set_aside(c->screen, false);
	kt_screen_set_draft(c->screen, c->draft ? c->draft : "");
}

static void drop_questions(struct chat *c)
{
	while (c->questions.len)
		drop_question(c, 0);
}

static void question_resolved(struct chat *c, const cJSON *data)
{
	const char *id = kt_json_str(data, "request_id");
	const char *by = kt_json_str_or(data, "by", "user");

	for (size_t i = 0; i < c->questions.len; i++) {
		const struct kt_question *q = c->questions.items[i];

		if (!kt_str_eq(q->request_id, id))
			continue;
		if (i == 0 && c->asking)
			kt_screen_note(c->screen, KT_STYLE_YELLOW, "%s: %s",
				kt_str_eq(by, "user") ? "answered elsewhere" : "no longer asked",
				kt_question_done(kt_json_str(data, "decision")));
		drop_question(c, i);
		return;
	}
}

static void take_answer(struct chat *c, const char *line)
{
	struct kt_question *q = open_question(c);

	kt_buf_clear(&c->answer);
	switch (kt_question_take(q, line, &c->answer)) {
	case KT_TAKE_AGAIN:
		kt_screen_note(c->screen, KT_STYLE_DIM,
			"please answer with one of the words; ? explains them");
		break;
	case KT_TAKE_HELP:
		kt_question_help(kt_screen_out(c->screen), &c->ctx->out, q);
		break;
	case KT_TAKE_MORE:
		ask_chat_question(c);
		break;
	case KT_TAKE_WHOLE:
		c->action = ACT_WHOLE;
		break;
	case KT_TAKE_DONE:
		kt_str_copy(c->answer_to, sizeof(c->answer_to), q->request_id);
		c->action = ACT_ANSWER;
		drop_question(c, 0);
		break;
	}
}

/* --- events ------------------------------------------------------------------------------ */

static void on_chat_status(struct chat *c, const struct kt_client_event *ev)
{
	const char *state = kt_json_str_or(ev->data, "state", "");

	if (kt_str_eq(state, "turn_started"))
		c->running = true;
	else if (kt_str_eq(state, "input_resolved"))
		question_resolved(c, ev->data);
	/* Our own message stands at the prompt already. */
	if (ev->turn_id && kt_str_eq(ev->turn_id, c->own) &&
		(kt_str_eq(state, "turn_started") || kt_str_eq(state, "queued"))) {
		kt_render_begun(c->render, ev);
		return;
	}
	kt_render_event(c->render, ev);
}

static void on_done(struct chat *c, const struct kt_client_event *ev)
{
	kt_render_event(c->render, ev);
	kt_buf_addc(kt_screen_out(c->screen), '\n');
	c->running = false;
	c->interrupting = false;
	drop_questions(c);
	if (kt_str_eq(ev->turn_id, c->own))
		c->own[0] = '\0';
}

static bool on_chat_event(void *arg, const struct kt_client_event *ev)
{
	struct chat *c = arg;
	struct kt_question *q;

	if (kt_str_eq(ev->type, "status")) {
		on_chat_status(c, ev);
	} else if (kt_str_eq(ev->type, "done")) {
		on_done(c, ev);
	} else {
		kt_render_event(c->render, ev);
		if (kt_str_eq(ev->type, "input_required")) {
			q = kt_question_new(ev->data);
			if (q)
				kt_vec_push(&c->questions, q);
		}
		c->failed = c->failed || (kt_str_eq(ev->type, "error") && !ev->parent);
	}
	kt_screen_changed(c->screen);
	if (kt_screen_out(c->screen)->len > FLUSH_BYTES)
		kt_screen_update(c->screen);
	return true;
}

static bool on_chat_tail(void *arg, struct kt_buf *b)
{
	return kt_render_tail(arg, b);
}

static void on_chat_state(void *arg, enum kt_client_state state)
{
	struct chat *c = arg;

	bool told = kt_screen_redraws(c->screen) && c->own[0]; /* by the line of state */

	if (state == KT_CLIENT_LOST && !c->lost && !told)
		kt_screen_note(c->screen, KT_STYLE_YELLOW, "connection lost, reconnecting...");
	else if (state == KT_CLIENT_OPEN && c->lost && !told)
		kt_screen_note(c->screen, KT_STYLE_DIM, "connected again");
	c->lost = state == KT_CLIENT_LOST;
}

/* --- keys -------------------------------------------------------------------------------- */

static void on_interrupt(struct chat *c)
{
	bool turn = c->own[0] || c->running;

	if (turn && !c->interrupting && (c->own[0] || c->asking || !*kt_screen_draft(c->screen))) {
		/* The line of state says so, where there is one. */
		if (!kt_screen_redraws(c->screen))
			kt_screen_note(
				c->screen, KT_STYLE_DIM, "interrupting; Ctrl-C again leaves");
		c->action = ACT_INTERRUPT;
	} else if (!c->own[0] && *kt_screen_draft(c->screen)) {
		kt_screen_set_draft(c->screen, "");
	} else if (c->warned || c->interrupting) {
		c->action = ACT_LEAVE;
	} else {
		c->warned = true;
		kt_screen_note(c->screen, KT_STYLE_DIM, "Ctrl-C again or Ctrl-D leaves");
	}
}

static void on_line(struct chat *c)
{
	const char *line = kt_screen_line(c->screen);

	c->warned = false;
	if (c->asking)
		take_answer(c, line);
	else if (line[strspn(line, " \t\n")])
		c->action = ACT_LINE;
}

static void on_chat_eof(struct chat *c)
{
	if (c->asking)
		take_answer(c, "/deny");
	else
		c->action = ACT_LEAVE;
}

static void show_chat_state(struct chat *c)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);
	if (c->lost)
		kt_buf_adds(&b, "reconnecting");
	else if (c->interrupting)
		kt_buf_adds(&b, "interrupting");
	else
		kt_render_waiting(c->render, &b);
	kt_buf_adds(&b, c->interrupting ? "  (Ctrl-C again leaves)" : "  (Ctrl-C interrupts)");
	kt_screen_state(c->screen, b.ptr);
}

/* Look at keys and draw; false when there is something to do that needs the stream stopped. */
static bool on_chat_poll(void *arg)
{
	struct chat *c = arg;
	int watched = kt_screen_fd(c->screen);
	enum kt_screen_key key = KT_KEY_NONE;

	if (kt_screen_terminated() || (c->unanswered && !c->own[0])) {
		c->action = ACT_LEAVE;
		return false;
	}
	if (c->questions.len && !c->asking && !c->interrupting)
		ask_chat_question(c);
	kt_screen_prompt(c->screen,
		c->asking ? kt_question_prompt(open_question(c)) : (c->own[0] ? NULL : PROMPT));
	show_chat_state(c);
	kt_screen_update(c->screen);
	if (c->action == ACT_NONE)
		key = kt_screen_read(c->screen);
	if (key == KT_KEY_LINE)
		on_line(c);
	else if (key == KT_KEY_INTERRUPT)
		on_interrupt(c);
	else if (key == KT_KEY_EOF)
		on_chat_eof(c);
	if (c->action == ACT_NONE && watched && !kt_screen_fd(c->screen))
		c->action = ACT_REWATCH;
	if (c->action == ACT_NONE)
		kt_screen_update(c->screen);
	return c->action == ACT_NONE;
}

/* --- actions ----------------------------------------------------------------------------- */

static void set_session(struct chat *c, const char *id, uint64_t cursor)
{
	kt_str_copy(c->session, sizeof(c->session), id);
	c->follow.session_id = c->session;
	c->follow.cursor = cursor;
	c->own[0] = '\0';
	c->running = false;
	c->interrupting = false;
	drop_questions(c);
	kt_render_close(c->render);
}

static void tell_error(struct chat *c, const struct kt_err *err)
{
	kt_screen_note(c->screen, KT_STYLE_RED, "%s", err->msg);
	if (err->hint[0])
		kt_screen_note(c->screen, KT_STYLE_DIM, "%s", err->hint);
}

/* Another release than the greeting named: the session is older, or there was a deploy meanwhile.
 */
static void tell_release(struct chat *c, const cJSON *session, bool is_new)
{
	const char *on = kt_json_str(session, "release"), *live = kt_json_str(c->dev, "release");

	if (!on || !live || kt_str_eq(on, live))
		return;
	kt_screen_note(c->screen, KT_STYLE_DIM,
		is_new ? "this session is on %s, which is live now"
		       : "this session stays on %s; %s is live",
		on, live);
	if (is_new)
		cJSON_ReplaceItemInObject(c->dev, "release", cJSON_CreateString(on));
}

static enum kt_code need_session(struct chat *c, struct kt_err *err)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	const char *id;
	enum kt_code rc;

	if (c->session[0])
		return KT_OK;
	rc = kt_client_create(c->client, c->mode, &doc, err);
	if (rc != KT_OK)
		return rc;
	id = kt_json_str_or(doc, "id", "");
	if (!*id || strlen(id) >= KT_CLIENT_ID_MAX)
		return kt_fail(err, KT_EPROTO, 0, "the server did not name the new session");
	tell_release(c, doc, true);
	set_session(c, id, 0);
	return KT_OK;
}

static void send_line(struct chat *c, const char *line)
{
	const struct kt_client_message m = {
		.text = line, .agent = c->agent, .thinking = c->thinking
	};
	KT_AUTOFREE char *text = kt_strdup(line);
	struct kt_err err = KT_ERR_INIT;
	enum kt_code rc = need_session(c, &err);

	kt_render_close(c->render);
	if (rc == KT_OK)
		rc = kt_client_post(c->client, c->session, &m, c->own, &err);
	if (rc == KT_OK) {
		c->interrupting = false;
		return;
	}
	tell_error(c, &err);
	/* It was not sent: it is there to be sent again. */
	kt_screen_set_draft(c->screen, text);
	c->failed = true;
}

static void show_sessions(struct chat *c)
{
	static const char *const head[] = { "ID", "TURNS", "TITLE" };
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_err err = KT_ERR_INIT;
	struct kt_table *tb;
	const cJSON *s;

	if (kt_client_list(c->client, SESSIONS_SHOWN, NULL, &doc, &err) != KT_OK) {
		tell_error(c, &err);
		return;
	}
	tb = kt_table_new(KT_ARRAY_LEN(head));
	kt_table_row(tb, head);
	cJSON_ArrayForEach (s, kt_json_arr(doc, "data")) {
		char turns[24];
		const char *cells[] = { kt_json_str_or(s, "id", "?"), turns,
			kt_json_str_or(s, "title", "") };

		snprintf(turns, sizeof(turns), "%lld", (long long)kt_json_int(s, "turns", 0));
		kt_table_row(tb, cells);
	}
	kt_table_render(kt_screen_out(c->screen), &c->ctx->out, tb);
	kt_table_free(tb);
}

static void set_chat_agent(struct chat *c, const char *name)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_err err = KT_ERR_INIT;
	const cJSON *a;

	if (kt_client_agents(c->client, &doc, &err) != KT_OK) {
		tell_error(c, &err);
		return;
	}
	cJSON_ArrayForEach (a, kt_json_arr(doc, "data")) {
		if (*name && kt_str_eq(kt_json_str(a, "name"), name)) {
			free(c->agent);
			c->agent = kt_strdup(name);
			kt_screen_note(c->screen, KT_STYLE_DIM,
				"talking to %s from the next message on", name);
			return;
		}
	}
	if (*name)
		kt_screen_note(
			c->screen, KT_STYLE_YELLOW, "there is no agent '%s'; there are:", name);
	cJSON_ArrayForEach (a, kt_json_arr(doc, "data"))
		kt_screen_note(c->screen, KT_STYLE_NONE, "  %-16s %s",
			kt_json_str_or(a, "name", "?"), kt_json_str_or(a, "description", ""));
}

static void set_thinking(struct chat *c, const char *word)
{
	if (!kt_str_eq(word, "on") && !kt_str_eq(word, "off")) {
		kt_screen_note(c->screen, KT_STYLE_DIM,
			"thinking is %s; /thinking on or off changes it",
			c->thinking ? "on" : "off");
		return;
	}
	c->thinking = kt_str_eq(word, "on");
	kt_render_set_reasoning(c->render, c->thinking);
	kt_screen_note(c->screen, KT_STYLE_DIM, "thinking is %s", word);
}

static void show_chat_help(struct chat *c)
{
	kt_screen_note(c->screen, KT_STYLE_NONE,
		"/new              begin a new session\n"
		"/sessions         list the newest sessions\n"
		"/agent NAME       talk to another agent; without a name, list them\n"
		"/thinking on|off  show the reasoning or not\n"
		"/quit             leave (Ctrl-D too)\n"
		"Ctrl-C interrupts the turn. Alt-Enter begins another line. // sends a line that "
		"begins with /.");
}

/* A line that begins with "/": a command, or a mistake that must not become a message. */
static void do_command(struct chat *c, const char *line)
{
	size_t n = strcspn(line, " \t");
	KT_AUTOFREE char *typed = kt_strndup(line, n);
	const char *word = kt_chat_word(typed);
	KT_AUTOFREE char *rest = kt_strdup(line + n + strspn(line + n, " \t"));

	while (*rest && (rest[strlen(rest) - 1] == ' '))
		rest[strlen(rest) - 1] = '\0';
	if (kt_str_eq(word, "/help")) {
		show_chat_help(c);
	} else if (kt_str_eq(word, "/new")) {
		set_session(c, "", 0);
		kt_screen_note(c->screen, KT_STYLE_DIM, "the next message begins a new session");
	} else if (kt_str_eq(word, "/sessions")) {
		show_sessions(c);
	} else if (kt_str_eq(word, "/agent")) {
		set_chat_agent(c, rest);
	} else if (kt_str_eq(word, "/thinking")) {
		set_thinking(c, rest);
	} else if (kt_str_eq(word, "/quit")) {
		c->action = ACT_LEAVE;
	} else if (kt_str_eq(word, "/session")) {
		kt_screen_note(c->screen, KT_STYLE_YELLOW,
			"another session is chosen at the start; leave with /quit, then:\n"
			"karta %s --session %s",
			c->begun_with, *rest ? rest : "ID");
	} else {
		const char *near = kt_chat_near(typed);

		kt_screen_note(c->screen, KT_STYLE_YELLOW, "there is no command %s; %s%s%s", typed,
			near ? "did you mean " : "/help lists them", near ? near : "",
			near ? "?" : "");
	}
}

static void do_line(struct chat *c)
{
	KT_AUTOFREE char *line = kt_strdup(kt_screen_line(c->screen));

	kt_screen_remember(c->screen, line);
	if (kt_str_eq(line, "exit") || kt_str_eq(line, "quit"))
		c->action = ACT_LEAVE; /* as everywhere in a terminal; no agent is told that */
	else if (kt_str_starts(line, "//"))
		send_line(c, line + 1);
	else if (line[0] == '/')
		do_command(c, line);
	else
		send_line(c, line);
}

static void do_answer(struct chat *c)
{
	struct kt_err err = KT_ERR_INIT;

	if (kt_client_answer(c->client, c->session, c->answer_to, c->answer.ptr, &err) != KT_OK)
		tell_error(c, &err);
}

/* All of an input that was shown in part, and the question again. */
static void do_whole(struct chat *c)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_err err = KT_ERR_INIT;
	struct kt_question *q = open_question(c);

	if (!q)
		return;
	if (kt_client_input(c->client, c->session, q->request_id, &doc, &err) != KT_OK) {
		tell_error(c, &err);
		return;
	}
	kt_question_whole(q, doc);
	ask_chat_question(c);
}

static void do_interrupt(struct chat *c)
{
	struct kt_err err = KT_ERR_INIT;
	bool was;

	c->interrupting = true;
	if (kt_client_interrupt(c->client, c->session, &was, &err) != KT_OK)
		tell_error(c, &err);
	else if (!was)
		c->interrupting = false;
}

/* Returns false when the chat is over. */
static bool act_in_chat(struct chat *c)
{
	enum action what = c->action;

	c->action = ACT_NONE;
	switch (what) {
	case ACT_LINE:
		do_line(c);
		break;
	case ACT_ANSWER:
		do_answer(c);
		break;
	case ACT_WHOLE:
		do_whole(c);
		break;
	case ACT_INTERRUPT:
		do_interrupt(c);
		break;
	case ACT_LEAVE:
		return false;
	case ACT_REWATCH:
	case ACT_NONE:
		break;
	}
	return c->action != ACT_LEAVE;
}

/* --- the beginning ----------------------------------------------------------------------- */

static void greet_user(struct chat *c, bool of_dev)
{
	const char *url = kt_client_url(c->client), *release, *problem;
	KT_AUTOFREE char *reason = NULL;
	struct kt_err err = KT_ERR_INIT;
	const cJSON *dev;

	if (kt_client_dev(c->client, &c->dev, &err) != KT_OK) {
		kt_screen_note(
			c->screen, KT_STYLE_DIM, "connected to %s; /help lists the commands", url);
		/* Nothing is live: known before the first message is written. */
		if (err.code == KT_ECONFLICT)
			tell_error(c, &err);
		return;
	}
	dev = c->dev;
	release = kt_json_str(dev, "release");
	reason = kt_place_reason(dev, NULL);
	problem = kt_json_str(dev, "problem");
	kt_screen_note(c->screen, KT_STYLE_BOLD, "%s%s%s%s%s  (%s)  %s/",
		kt_json_str_or(dev, "project", "?"), release ? " " : "", release ? release : "",
		reason ? ", " : "", reason ? reason : "", kt_json_str_or(dev, "harness", "?"), url);
	if (kt_str_eq(kt_json_str(dev, "mode"), "offline"))
		kt_screen_note(c->screen, KT_STYLE_YELLOW,
			"offline: replies are replayed from rehearsals/, no model is asked");
	if (problem)
		kt_screen_note(c->screen, KT_STYLE_YELLOW, "%s", problem);
	if (problem && of_dev)
		kt_screen_note(c->screen, KT_STYLE_DIM,
			"'karta dev --offline' works without: it replays rehearsals/");
	kt_screen_note(c->screen, KT_STYLE_DIM, "/help lists the commands");
}

/* The last turns of a session that is gone on with. */
struct past {
	struct chat *chat;
	cJSON *done[HISTORY_TURNS]; /* {user, text}, oldest first */
	struct kt_assembly reply; /* of the turn that has no end yet */
	char *user; /* of the turn that has no end yet, or NULL */
	uint64_t open_seq; /* before its first event, when one runs */
	bool open;
};

static void past_event(struct past *p, const cJSON *ev)
{
	const cJSON *data = kt_json_obj(ev, "data"), *m = kt_json_obj(data, "message");
	const char *type = kt_json_str_or(ev, "type", "");

	if (kt_str_eq(type, "status") && kt_str_eq(kt_json_str(data, "state"), "turn_started")) {
		free(p->user);
		kt_assembly_release(&p->reply);
		p->user = kt_strdup(kt_json_str_or(m, "text", ""));
		p->open_seq = (uint64_t)kt_json_int(ev, "seq", 1) - 1;
		p->open = true;
	} else if (kt_str_eq(type, "text") && !kt_json_str(ev, "parent_tool_use_id")) {
		kt_assembly_add(&p->reply, data);
	} else if (kt_str_eq(type, "done") && p->user) {
		KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(2 * KT_RENDER_MAX_BYTES);
		cJSON *one = cJSON_CreateObject();

		if (kt_json_bool(m, "truncated", false))
			kt_assembly_join(&p->reply, &text);
		else
			kt_buf_adds(&text, kt_json_str_or(m, "text", ""));
		cJSON_AddStringToObject(one, "user", p->user);
		cJSON_AddStringToObject(one, "text", text.ptr);
		cJSON_Delete(p->done[0]);
		memmove(&p->done[0], &p->done[1], sizeof(p->done) - sizeof(p->done[0]));
		p->done[HISTORY_TURNS - 1] = one;
		free(KT_STEAL(p->user));
		p->open = false;
	}
}

static void past_show(struct past *p)
{
	struct chat *c = p->chat;

	for (size_t i = 0; i < HISTORY_TURNS; i++) {
		const char *text = kt_json_str_or(p->done[i], "text", "");

		if (!p->done[i])
			continue;
		kt_screen_note(
			c->screen, KT_STYLE_BOLD, "> %s", kt_json_str_or(p->done[i], "user", ""));
		kt_markdown_render(kt_screen_out(c->screen), &c->ctx->out, text, strlen(text));
		kt_buf_addc(kt_screen_out(c->screen), '\n');
		cJSON_Delete(p->done[i]);
	}
	free(p->user);
	kt_assembly_release(&p->reply);
}

/* Go on with a session: show its last turns, and begin before the one that runs. */
static enum kt_code attach_session(struct chat *c, const char *id, struct kt_err *err)
{
	struct past p = { .chat = c };
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = kt_client_get(c->client, id, &doc, err);
	uint64_t last, at;
	bool more = true;

	if (rc != KT_OK)
		return kt_wrap(err, "'%s'", id);
	kt_assembly_init(&p.reply, KT_RENDER_MAX_BYTES);
	last = (uint64_t)kt_json_int(doc, "last_seq", 0);
	at = last > HISTORY_EVENTS ? last - HISTORY_EVENTS : 0;
	while (more && rc == KT_OK) {
		KT_AUTO_JSON cJSON *page = NULL;
		const cJSON *ev;
		uint64_t before = at;

		rc = kt_client_events(c->client, id, at, 1000, &page, err);
		cJSON_ArrayForEach (ev, kt_json_arr(page, "data"))
			past_event(&p, ev);
		at = KT_MAX(at, (uint64_t)kt_json_int(page, "last_seq", 0));
		more = kt_json_bool(page, "has_more", false) && at > before;
	}
	past_show(&p);
	tell_release(c, doc, false);
	if (rc == KT_OK)
		set_session(c, kt_json_str_or(doc, "id", id), p.open ? p.open_seq : at);
	return rc;
}

/* --- the loop ---------------------------------------------------------------------------- */

/* No session yet: only keys can happen. */
static enum kt_code wait_keys(struct chat *c)
{
	while (on_chat_poll(c)) {
		struct pollfd p = { kt_screen_fd(c->screen), POLLIN, 0 };

		(void)poll(&p, p.fd > 0, WAIT_MS);
	}
	return KT_ECANCEL;
}

static enum kt_code follow_chat(struct chat *c, struct kt_err *err)
{
	for (;;) {
		enum kt_code rc;

		c->follow.watch_fd = kt_screen_fd(c->screen);
		rc = c->session[0] ? kt_client_follow(c->client, &c->follow, err) : wait_keys(c);
		if (rc == KT_ENOTFOUND) {
			kt_screen_note(c->screen, KT_STYLE_YELLOW,
				"this session was deleted; the next message begins a new one");
			set_session(c, "", 0);
			continue;
		}
		if (rc != KT_ECANCEL)
			return rc;
		if (!act_in_chat(c))
			return KT_OK;
	}
}

/* Begin in the session that is wanted, if one is. */
static enum kt_code go_on_with_chat(struct chat *c, const struct chat_args *a, struct kt_err *err)
{
	KT_AUTOFREE char *last = NULL;
	enum kt_code rc = KT_OK;

	if (a->go_on)
		rc = kt_last_session(c->client, &last, err);
	if (rc != KT_OK)
		return rc;
	if (a->go_on && !last)
		kt_screen_note(c->screen, KT_STYLE_YELLOW,
			"there is no session to go on with; the next message begins one");
	if (a->session || last)
		return attach_session(c, a->session ? a->session : last, err);
	return KT_OK;
}

static enum kt_code hold_chat(struct chat *c, const struct chat_args *a, struct kt_err *err)
{
	enum kt_code rc;

	greet_user(c, a->dev);
	rc = go_on_with_chat(c, a, err);
	if (rc != KT_OK)
		return rc;
	rc = follow_chat(c, err);
	kt_render_close(c->render);
	if (c->session[0] && rc == KT_OK)
		kt_screen_note(c->screen, KT_STYLE_DIM, "go on with: karta %s --session %s",
			c->begun_with, c->session);
	if (rc == KT_OK && c->unanswered) {
		(void)kt_fail(
			err, KT_ECONFIRM, 0, "a turn needs an answer and there is no terminal");
		return kt_hint(err, "'karta send --approve once|session|deny' answers in advance");
	}
	if (rc == KT_OK && c->failed && !kt_screen_is_interactive(c->screen))
		return kt_fail(err, KT_EIO, 0, "a turn failed");
	return rc;
}

/* A missing server is told before the terminal is touched. */
static enum kt_code check_server(struct kt_client *client, struct kt_err *err)
{
	KT_AUTO_JSON cJSON *doc = NULL;

	return kt_client_list(client, 1, NULL, &doc, err);
}

static enum kt_code chat_run(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	const struct chat_args *a = args;
	struct chat c = { .ctx = ctx,
		.thinking = a->thinking,
		.agent = kt_strdup_opt(a->agent),
		.mode = a->mode,
		.begun_with = a->dev ? "dev" : "chat" };
	struct kt_render_config cfg = { .text_term = &ctx->out,
		.side_term = &ctx->out,
		.show_text = true,
		.reasoning = a->thinking,
		.users = true };
	enum kt_code rc;

	kt_buf_init(&c.answer, KT_RENDER_MAX_BYTES);
	rc = ctx->json
		? kt_fail(err, KT_EINVAL, 0, "chat has no JSON output; use karta send --stream")
		: kt_remote_check_mode(a->go_on, a->session, a->mode, err);
	if (rc == KT_OK)
		rc = kt_last_check(a->go_on, a->session, err);
	if (rc == KT_OK)
		rc = kt_remote_open(ctx, &c.client, err);
	if (rc == KT_OK)
		rc = check_server(c.client, err);
	if (rc == KT_OK)
		rc = kt_screen_open(ctx, true, &c.screen, err);
	if (rc == KT_OK) {
		cfg.text = cfg.side = kt_screen_out(c.screen);
		cfg.plain = !kt_screen_redraws(c.screen);
		c.render = kt_render_new(&cfg);
		kt_screen_tail(c.screen, on_chat_tail, c.render);
		c.follow = (struct kt_client_follow){ .event = on_chat_event,
			.poll = on_chat_poll,
			.state = on_chat_state,
			.arg = &c };
		rc = hold_chat(&c, a, err);
	}
	kt_screen_close(c.screen);
	kt_render_free(c.render);
	while (c.questions.len)
		kt_question_free(kt_vec_remove(&c.questions, 0));
	kt_vec_release(&c.questions);
	kt_buf_release(&c.answer);
	kt_client_free(c.client);
	cJSON_Delete(c.dev);
	free(c.agent);
	free(c.draft);
	return rc;
}

const struct kt_cmd kt_cmd_chat = {
	.name = "chat",
	.summary = "talk to the application in the terminal",
	.group = KT_GROUP_TALK,
	.opts = opts,
	.args_size = sizeof(struct chat_args),
	.run = chat_run,
	.examples = "karta chat\n"
		    "karta chat --continue\n"
		    "karta chat --session sess_4fQ --thinking\n",
};
