/* SPDX-License-Identifier: MIT */
/*
 * karta send: one message, its answer on stdout, everything else on stderr. The turn is followed as
 * a stream in every mode, so that a lost connection, an approval and Ctrl-C are handled alike.
 */
#include "cmd/cmd.h"

#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"
#include "cmd/chat/lastsession.h"
#include "cmd/chat/question.h"
#include "cmd/chat/render.h"
#include "cmd/chat/screen.h"
#include "cmd/place.h"
#include "cmd/remote.h"
#include "event/assembly.h"
#include "text/clean.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define GIVE_UP_MS 60000 /* without a connection: the server is not coming back */
#define ANSWER_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define AGAIN "please answer with one of the words; ? explains them\n"
#define LINE_MAX_BYTES ((size_t)64 * 1024)

extern const struct kt_cmd kt_cmd_send;

struct send_args {
	const char *text;
	const char *session;
	const char *agent;
	const char *mode;
	bool go_on;
	bool thinking;
	bool stream;
	const char *on_busy;
	const char *key;
	const char *approve;
	bool once; /* of karta run: nothing is left of the session */
};

static const char *const busy_words[] = { "enqueue", "reject", "interrupt", NULL };
static const char *const approve_words[] = { "once", "session", "deny", NULL };

static const struct kt_opt opts[] = {
	KT_OPT_STR_('s', "session", struct send_args, session, "ID", "go on with this session"),
	KT_OPT_FLAG_('c', "continue", struct send_args, go_on, "go on with the last session"),
	KT_OPT_STR_('a', "agent", struct send_args, agent, "NAME", "agent to answer"),
	KT_OPT_STR_(0, "permission-mode", struct send_args, mode, "MODE",
		"what the harness asks for in a new session"),
	KT_OPT_FLAG_(
		0, "thinking", struct send_args, thinking, "ask for the reasoning and show it"),
	KT_OPT_FLAG_(0, "stream", struct send_args, stream, "print the events, one JSON line each"),
	KT_OPT_CHOICE_(0, "on-busy", struct send_args, on_busy, "POLICY", busy_words,
		"when a turn is running"),
	KT_OPT_STR_(0, "idempotency-key", struct send_args, key, "KEY",
		"send once only, however often it is repeated"),
	KT_OPT_CHOICE_(0, "approve", struct send_args, approve, "ANSWER", approve_words,
		"answer to every approval"),
	{ KT_OPT_T_FLAG, 0, "once", NULL, offsetof(struct send_args, once), "as karta run",
		KT_OPT_HIDDEN },
	KT_OPT_ARG_("text", struct send_args, text, 0, "the message; - reads standard input"),
	KT_OPT_END,
};

struct sending {
	struct kt_ctx *ctx;
	const struct send_args *args;
	struct kt_client *client;
	struct kt_dest dest;
	struct kt_client_follow follow;
	struct kt_render *render;
	struct kt_screen *screen; /* of the answer, when stdout is a terminal */
	struct kt_buf text, side; /* what does not go there and is not written yet */
	struct kt_buf printed; /* of the answer, where it is not drawn */
	char printed_part[64]; /* its last */
	bool printed_off; /* the answer no longer begins so */
	bool mid_line; /* what was printed does not end with its line */
	bool one_file; /* stdout and stderr are the same */
	struct kt_assembly reply; /* of the text events */
	struct kt_buf answer; /* the assistant's text, when the turn is done */
	bool whole; /* `answer` is the text of the done event */
	struct kt_buf typed; /* of the answer to a question */
	struct kt_question *question; /* open, or NULL */
	bool asking; /* on the terminal */
	int tty_fd; /* a second descriptor of stdin, 0 = none yet */
	bool started; /* the turn runs */
	bool done;
	bool lost; /* reconnecting */
	bool unanswered; /* nobody there to answer: the turn is being interrupted */
	int ints; /* Ctrl-C that were acted upon */
	int64_t deadline_us; /* 0 = none */
	bool timed_out;
	char stop_reason[32];
	struct kt_turn_error *failed; /* for the JSON of the error */
	char error_code[64];
	char *error; /* message, or NULL */
	char *last; /* the session that --continue is, or NULL */
};

/* --- output ------------------------------------------------------------------------------ */

/* Is all that is said in one place, on one terminal? */
static bool one_screen(const struct sending *s)
{
	return s->screen && s->ctx->errt.is_tty && !s->ctx->quiet;
}

/* Where the answer and what is beside it go to one file, what is beside it begins a line. */
static void break_line(struct sending *s)
{
	if (s->mid_line && s->one_file)
		kt_side("\n", 1);
	s->mid_line = s->mid_line && !s->one_file;
}

static bool is_one_file(void)
{
	struct stat out, err;

	return fstat(STDOUT_FILENO, &out) == 0 && fstat(STDERR_FILENO, &err) == 0 &&
		out.st_dev == err.st_dev && out.st_ino == err.st_ino;
}

static void flush_sending(struct sending *s)
{
	if (s->screen) {
		kt_screen_changed(s->screen);
		kt_screen_update(s->screen);
	}
	if (s->side.len && !s->ctx->quiet) {
		break_line(s);
		kt_side(s->side.ptr, s->side.len);
	}
	kt_buf_clear(&s->text);
	kt_buf_clear(&s->side);
}

/* Say something beside the answer. */
static void say_beside(struct sending *s, const char *fmt, ...) KT_PRINTF(2, 3);
static void say_beside(struct sending *s, const char *fmt, ...)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(LINE_MAX_BYTES);
	va_list ap;

	va_start(ap, fmt);
	kt_clean_vaddf(&b, fmt, ap);
	va_end(ap);
	if (one_screen(s)) {
		kt_screen_note(s->screen, KT_STYLE_NONE, "%s", b.ptr);
		kt_screen_update(s->screen);
	} else {
		kt_buf_addc(&b, '\n');
		if (!s->ctx->quiet)
			break_line(s);
		kt_say_built(s->ctx, &b);
	}
}

static bool sending_draws(const struct sending *s)
{
	return !s->args->stream && !s->ctx->json;
}

/*
 * The answer where it is not drawn: its text as it comes, for as long as that is how the answer
 * begins. What was written cannot be taken back.
 */
static void print_answer_text(struct sending *s, const cJSON *data)
{
	const char *text = kt_json_str_or(kt_json_obj(data, "part"), "text", "");
	const char *part = kt_json_str_or(data, "part_id", "");
	size_t start = s->printed.len;

	if (!sending_draws(s) || s->ctx->out.is_tty || s->printed_off)
		return;
	if (!kt_str_eq(part, s->printed_part) && kt_assembly_has(&s->reply, part))
		s->printed_off = true;
	if (kt_json_bool(data, "replace", false) && start)
		s->printed_off = true;
	if (s->printed_off || !*text)
		return;
	if (start && !kt_str_eq(part, s->printed_part))
		kt_buf_adds(&s->printed, "\n\n");
	kt_str_copy(s->printed_part, sizeof(s->printed_part), part);
	kt_buf_adds(&s->printed, text);
	kt_remote_text(s->printed.ptr + start, s->printed.len - start);
	s->mid_line = s->printed.ptr[s->printed.len - 1] != '\n';
}

static void take_done(struct sending *s, const cJSON *data)
{
	const cJSON *message = kt_json_obj(data, "message");
	const char *text = kt_json_str(message, "text");

	s->done = true;
	kt_str_copy(
		s->stop_reason, sizeof(s->stop_reason), kt_json_str_or(data, "stop_reason", ""));
	/* What the end says counts, unless it is only the beginning. */
	s->whole = text && !kt_json_bool(message, "truncated", false);
	if (s->whole)
		kt_buf_adds(&s->answer, text);
	else
		kt_assembly_join(&s->reply, &s->answer);
}

static void take_status(struct sending *s, const cJSON *data)
{
	const char *state = kt_json_str_or(data, "state", "");

	if (kt_str_eq(state, "turn_started")) {
		if (!s->started && !s->args->once)
			say_beside(s, "session %s (go on with: karta send --session %s \"...\")",
				s->follow.session_id, s->follow.session_id);
		s->started = true;
	} else if (kt_str_eq(state, "input_resolved") && s->question &&
		kt_str_eq(kt_json_str(data, "request_id"), s->question->request_id)) {
		if (s->asking)
			say_beside(s, "%s: %s",
				kt_str_eq(kt_json_str(data, "by"), "user") ? "answered elsewhere"
									   : "no longer asked",
				kt_question_done(kt_json_str(data, "decision")));
		kt_question_free(KT_STEAL(s->question));
		s->asking = false;
	}
}

static bool on_send_event(void *arg, const struct kt_client_event *ev)
{
	struct sending *s = arg;

	/* Turns before ours in the queue are not ours to show. */
	if (ev->turn_id && !kt_str_eq(ev->turn_id, s->follow.turn_id))
		return true;
	if (s->args->stream) {
		kt_remote_json_line(ev->json, ev->json_len);
	} else if (sending_draws(s) && (!kt_str_eq(ev->type, "error") || ev->parent)) {
		/* What ends the turn is told by the command's own error, at its end. */
		kt_render_event(s->render, ev);
		/* The figures stand behind the answer, which is not whole yet. */
		if (s->screen || !kt_str_eq(ev->type, "done"))
			flush_sending(s);
	}
	if (kt_str_eq(ev->type, "text") && !ev->parent) {
		print_answer_text(s, ev->data);
		kt_assembly_add(&s->reply, ev->data);
	} else if (kt_str_eq(ev->type, "status")) {
		take_status(s, ev->data);
	} else if (kt_str_eq(ev->type, "done")) {
		take_done(s, ev->data);
	} else if (kt_str_eq(ev->type, "error") && !ev->parent) {
		free(s->error);
		s->error = kt_strdup(kt_json_str_or(ev->data, "message", "the turn failed"));
		kt_str_copy(s->error_code, sizeof(s->error_code),
			kt_json_str_or(ev->data, "code", "error"));
	} else if (kt_str_eq(ev->type, "input_required") && !s->question) {
		s->question = kt_question_new(ev->data);
		return s->question == NULL;
	}
	return true;
}

/* Is there a line of state, which says what goes on? */
static bool sending_states(const struct sending *s)
{
	return s->screen && kt_screen_redraws(s->screen);
}

static void on_send_state(void *arg, enum kt_client_state state)
{
	struct sending *s = arg;

	s->lost = state == KT_CLIENT_LOST;
	if (s->lost && !sending_states(s))
		say_beside(s, "connection lost, reconnecting...");
}

/* --- approvals --------------------------------------------------------------------------- */

static void ask_approval(struct sending *s)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(SIZE_MAX / 2); /* the input has its own limit */

	if (!s->asking && s->question->step == 0)
		kt_question_show(&b, &s->ctx->errt, s->question);
	/* What was typed before the question was seen does not answer it; what comes after the
	 * prompt does. */
	if (!s->asking) {
		(void)tcflush(STDIN_FILENO, TCIFLUSH);
		kt_buf_clear(&s->typed);
	}
	kt_question_show_step(&b, &s->ctx->errt, s->question);
	kt_buf_adds(&b, kt_question_prompt(s->question));
	if (s->screen) {
		kt_screen_state(s->screen, "");
		kt_screen_leave(s->screen);
	}
	kt_side(b.ptr, b.len);
	s->asking = true;
}

/* Give the answer to the server. One that came from elsewhere meanwhile is as good. */
static enum kt_code give_approval(struct sending *s, const char *body, struct kt_err *err)
{
	enum kt_code rc = kt_client_answer(
		s->client, s->follow.session_id, s->question->request_id, body, err);

	if (rc == KT_ECONFLICT || rc == KT_ENOTFOUND) {
		say_beside(s, "%s", err->msg);
		rc = KT_OK;
	}
	kt_question_free(KT_STEAL(s->question));
	s->asking = false;
	return rc;
}

static enum kt_code stop_turn(struct sending *s, struct kt_err *err)
{
	bool was;

	return kt_client_interrupt(s->client, s->follow.session_id, &was, err);
}

/* --approve session: what that covers from now on. */
static void tell_covers(struct sending *s)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(LINE_MAX_BYTES);
	const char *words = kt_str_eq(s->args->approve, "session")
		? kt_question_covers(s->question, "approve_session")
		: NULL;

	if (!words)
		return;
	kt_clean_add(&b, words, strlen(words), true);
	say_beside(s, "from now on in this session: %s", b.ptr);
}

/* The turn waits: answer as told, ask, or give up. */
static enum kt_code answer_approval(struct sending *s, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf body = KT_BUF_INIT(4096);
	KT_AUTO_BUF struct kt_buf what = KT_BUF_INIT(LINE_MAX_BYTES);
	const char *message = kt_json_str_or(s->question->data, "message", "an approval");

	kt_clean_add(&what, message, KT_MIN(strlen(message), 1000), true);
	if (s->args->approve && kt_question_decide(s->question, s->args->approve, &body)) {
		say_beside(s, "%s %s", what.ptr, s->args->approve);
		tell_covers(s);
		return give_approval(s, body.ptr, err);
	}
	if (!s->ctx->no_input) {
		ask_approval(s);
		return KT_OK;
	}
	say_beside(s, "%s nobody is here to answer: interrupting", what.ptr);
	s->unanswered = true;
	kt_question_free(KT_STEAL(s->question));
	return stop_turn(s, err);
}

/* All of an input that was shown in part, and the question again. */
static void show_whole(struct sending *s)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_err err = KT_ERR_INIT;

	if (kt_client_input(s->client, s->follow.session_id, s->question->request_id, &doc, &err) !=
		KT_OK) {
		say_beside(s, "%s", err.msg);
		return;
	}
	kt_question_whole(s->question, doc);
	s->asking = false;
	ask_approval(s);
}

static void show_send_help(struct sending *s)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(SIZE_MAX / 2);

	kt_question_help(&b, &s->ctx->errt, s->question);
	kt_side(b.ptr, b.len);
}

/* What was typed so far; KT_OK also when the line is not whole. */
static enum kt_code read_typed(struct sending *s, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf body = KT_BUF_INIT(KT_MAX_TEXT_BYTES);
	char *nl = memchr(s->typed.ptr, '\n', s->typed.len);
	KT_AUTOFREE char *line = NULL;

	if (!nl || !s->question)
		return KT_OK;
	line = kt_strndup(s->typed.ptr, (size_t)(nl - s->typed.ptr));
	kt_buf_drop(&s->typed, (size_t)(nl - s->typed.ptr) + 1);
	switch (kt_question_take(s->question, line, &body)) {
	case KT_TAKE_DONE:
		return give_approval(s, body.ptr, err);
	case KT_TAKE_WHOLE:
		show_whole(s);
		return KT_OK;
	case KT_TAKE_HELP:
		show_send_help(s);
		break;
	case KT_TAKE_AGAIN:
		kt_side(AGAIN, strlen(AGAIN));
		break;
	case KT_TAKE_MORE:
		break;
	}
	ask_approval(s);
	return KT_OK;
}

/* --- the turn ---------------------------------------------------------------------------- */

static void show_send_state(struct sending *s)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(4096);

	if (s->ints)
		kt_buf_adds(&b, "interrupting");
	else if (s->lost)
		kt_buf_adds(&b, "connection lost, reconnecting");
	else
		kt_render_waiting(s->render, &b);
	kt_buf_adds(&b, s->ints ? "  (Ctrl-C again leaves)" : "  (Ctrl-C interrupts)");
	kt_screen_state(s->screen, b.ptr);
}

static bool on_send_tail(void *arg, struct kt_buf *b)
{
	return kt_render_tail(arg, b);
}

static bool on_send_poll(void *arg)
{
	struct sending *s = arg;
	struct pollfd p = { s->tty_fd, POLLIN, 0 };

	if (kt_remote_ints() > s->ints)
		return false;
	if (s->deadline_us && kt_mono_us() > s->deadline_us) {
		s->timed_out = true;
		return false;
	}
	if (s->screen && !s->asking) {
		show_send_state(s);
		kt_screen_update(s->screen);
	}
	if (!s->asking || poll(&p, 1, 0) <= 0)
		return true;
	char chunk[1024];
	ssize_t n = read(s->tty_fd, chunk, sizeof(chunk));

	if (n > 0)
		kt_buf_add(&s->typed, chunk, (size_t)n);
	/* Ctrl-D at the question: a refusal is the safe reading. */
	if (n == 0)
		kt_buf_adds(&s->typed, "/deny\n");
	return memchr(s->typed.ptr, '\n', s->typed.len) == NULL;
}

static enum kt_code sending_interrupted(struct sending *s, struct kt_err *err)
{
	s->ints++;
	if (s->ints > 1)
		return kt_fail(
			err, KT_ECANCEL, 0, "interrupted twice: the turn may still be ending");
	if (!s->started && s->follow.cursor)
		return kt_fail(err, KT_ECANCEL, 0,
			"interrupted; the message stays in the queue of %s", s->follow.session_id);
	if (!sending_states(s))
		say_beside(s, "interrupting the turn; Ctrl-C again leaves at once");
	return stop_turn(s, err);
}

/* Follow to the end of the turn through pauses. */
static enum kt_code follow_sending(struct sending *s, struct kt_err *err)
{
	for (;;) {
		/* Only while a question is open: input that nobody reads would wake us for ever. */
		s->follow.watch_fd = s->asking ? s->tty_fd : 0;
		enum kt_code rc = kt_client_follow(s->client, &s->follow, err);

		if (rc != KT_ECANCEL)
			return rc;
		if (s->timed_out && s->args->once)
			return kt_fail(
				err, KT_ETIMEOUT, 0, "no answer in time; the turn was ended");
		if (s->timed_out) {
			(void)kt_fail(err, KT_ETIMEOUT, 0,
				"no answer in time; the turn goes on in %s", s->follow.session_id);
			return kt_hint(
				err, "karta sessions tail --follow %s", s->follow.session_id);
		}
		if (kt_remote_ints() > s->ints)
			rc = sending_interrupted(s, err);
		else if (s->asking)
			rc = read_typed(s, err);
		else if (s->question)
			rc = answer_approval(s, err);
		else
			rc = KT_OK;
		if (s->asking && !s->tty_fd)
			s->tty_fd = KT_MAX(fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3), 0);
		if (rc != KT_OK)
			return rc;
	}
}

/* What was printed of an answer ends with its line. */
static void end_answer_line(struct sending *s)
{
	if (s->mid_line)
		kt_out("\n", 1);
	s->mid_line = false;
	kt_buf_clear(&s->printed);
}

/* An answer that was cut must not pass for a whole one. */
static enum kt_code print_answer(struct sending *s, struct kt_err *err)
{
	size_t from = s->printed.len;

	if (s->ctx->out.is_tty)
		return KT_OK; /* drawn already */
	if (s->printed_off || from > s->answer.len ||
		(from && memcmp(s->answer.ptr, s->printed.ptr, from) != 0)) {
		end_answer_line(s);
		kt_warn(s->ctx, "the answer began anew: what was printed first is no part of it");
		from = 0;
	}
	kt_remote_text(s->answer.ptr + from, s->answer.len - from);
	if (s->answer.len > from)
		s->mid_line = s->answer.ptr[s->answer.len - 1] != '\n';
	end_answer_line(s);
	if (s->whole || kt_assembly_whole(&s->reply))
		return KT_OK;
	(void)kt_fail(err, KT_ELIMIT, 0, "the answer has %zu bytes; the first %zu were printed",
		kt_assembly_bytes(&s->reply), s->answer.len);
	return kt_hint(err, "'karta sessions export %s' has all of it", s->follow.session_id);
}

static enum kt_code print_send_json(struct sending *s, struct kt_err *err)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(2 * ANSWER_MAX_BYTES);
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = kt_client_result(s->client, &s->follow, &doc, err);
	struct kt_jw w;

	if (rc != KT_OK)
		return rc;
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "schema_version", 1);
	for (const cJSON *m = doc ? doc->child : NULL; m; m = m->next)
		kt_jw_json(&w, m->string, m);
	kt_jw_obj_end(&w);
	if (!kt_buf_ok(&b))
		return kt_fail(
			err, KT_ELIMIT, 0, "the answer is larger than %zu bytes (fixed)", b.max);
	kt_remote_json_line(b.ptr, b.len);
	return KT_OK;
}

/* What the end of the turn means for the exit status. */
static enum kt_code sending_outcome(struct sending *s, struct kt_err *err)
{
	if (s->unanswered) {
		(void)kt_fail(
			err, KT_ECONFIRM, 0, "the turn needs an answer and there is no terminal");
		return kt_hint(err, "say --approve once, session or deny to answer every approval");
	}
	if (kt_str_eq(s->stop_reason, "interrupted") || s->ints)
		return kt_fail(err, KT_ECANCEL, 0, "the turn was interrupted");
	if (s->error) {
		kt_str_copy(s->failed->code, sizeof(s->failed->code), s->error_code);
		(void)kt_fail(err,
			kt_str_eq(s->error_code, "budget_exceeded") ? KT_EBUDGET : KT_EIO, 0,
			"the turn failed: %s (%s)", s->error, s->error_code);
		if (s->args->once && kt_str_eq(s->error_code, "harness_not_installed"))
			(void)kt_hint(
				err, "'karta run --offline' works without: it replays rehearsals/");
		return err->code;
	}
	if (s->args->stream)
		return KT_OK;
	if (s->ctx->json)
		return print_send_json(s, err);
	return print_answer(s, err);
}

/* Where an old session is: it may not be what the folder says. */
static void tell_session_place(const struct sending *s, const char *id)
{
	KT_AUTO_JSON cJSON *doc = NULL;

	if (!s->ctx->errt.is_tty || s->ctx->quiet || s->ctx->json)
		return;
	(void)!kt_client_get(s->client, id, &doc, NULL);
	kt_place_say(s->ctx, s->client, &s->dest, doc);
}

static enum kt_code open_send_session(struct sending *s, char *out_id, struct kt_err *err)
{
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc;

	if (s->args->go_on) {
		rc = kt_last_session(s->client, &s->last, err);
		if (rc != KT_OK)
			return rc;
		if (!s->last) {
			(void)kt_fail(err, KT_ENOTFOUND, 0, "there is no session to go on with");
			return kt_hint(err, "'karta send' without --continue begins one");
		}
	}
	if (s->args->session || s->last) {
		if (!kt_str_copy(out_id, KT_CLIENT_ID_MAX, s->last ? s->last : s->args->session))
			return kt_fail(err, KT_ENOTFOUND, 0, "there is no such session");
		tell_session_place(s, out_id);
		return KT_OK;
	}
	rc = kt_client_create(s->client, s->args->mode, &doc, err);
	kt_place_say(s->ctx, s->client, &s->dest, doc);
	if (rc != KT_OK)
		return rc;
	if (!kt_str_copy(out_id, KT_CLIENT_ID_MAX, kt_json_str_or(doc, "id", "")) || !*out_id)
		return kt_fail(err, KT_EPROTO, 0, "the server did not name the new session");
	return KT_OK;
}

/* Which turn it is, should it have no answer. */
static void name_turn(struct sending *s)
{
	kt_str_copy(s->failed->session_id, sizeof(s->failed->session_id), s->follow.session_id);
	kt_str_copy(s->failed->turn_id, sizeof(s->failed->turn_id), s->follow.turn_id);
}

static enum kt_code run_send_turn(struct sending *s, const char *text, struct kt_err *err)
{
	struct kt_ctx *ctx = s->ctx;
	const struct kt_client_message m = { .text = text,
		.agent = s->args->agent,
		.on_busy = s->args->on_busy,
		.idempotency_key = s->args->key,
		.thinking = s->args->thinking };
	struct kt_render_config rc_cfg = { .text_term = &ctx->out,
		.side_term = &ctx->errt,
		.text = &s->text,
		.side = &s->side,
		.show_text = ctx->out.is_tty,
		.reasoning = s->args->thinking };
	char id[KT_CLIENT_ID_MAX];
	enum kt_code rc = open_send_session(s, id, err);

	if (rc != KT_OK)
		return rc;
	if (ctx->out.is_tty && sending_draws(s))
		rc = kt_screen_open(s->ctx, false, &s->screen, err);
	if (rc != KT_OK)
		return rc;
	if (s->screen)
		rc_cfg.text = kt_screen_out(s->screen);
	if (one_screen(s))
		rc_cfg.side = rc_cfg.text;
	rc_cfg.plain = !s->screen || !kt_screen_redraws(s->screen);
	s->render = kt_render_new(&rc_cfg);
	if (s->screen)
		kt_screen_tail(s->screen, on_send_tail, s->render);
	s->follow = (struct kt_client_follow){ .session_id = id,
		.message = &m,
		.give_up_ms = GIVE_UP_MS,
		.event = on_send_event,
		.poll = on_send_poll,
		.state = on_send_state,
		.arg = s };
	if (ctx->timeout_ms)
		s->deadline_us = kt_mono_us() + ctx->timeout_ms * 1000;
	kt_remote_catch_int();
	rc = follow_sending(s, err);
	/* A message that was refused leaves no empty session behind. */
	if (!s->args->session && !s->last && !s->started && (rc == KT_EIO || rc == KT_ENOTFOUND))
		(void)!kt_client_delete(s->client, id, NULL);
	else if (s->follow.turn_id[0])
		name_turn(s);
	kt_render_close(s->render);
	if (s->screen)
		flush_sending(s);
	kt_screen_close(s->screen);
	s->screen = NULL;
	if (s->tty_fd)
		close(s->tty_fd);
	if (rc == KT_OK)
		rc = sending_outcome(s, err);
	end_answer_line(s);
	flush_sending(s);
	return rc;
}

static enum kt_code empty_text(const struct send_args *a, struct kt_err *err)
{
	bool from_stdin = !a->text || kt_str_eq(a->text, "-");

	(void)kt_fail(err, KT_EINVAL, 0, "the text to send is empty%s",
		from_stdin ? ": nothing came on standard input" : "");
	return from_stdin ? kt_hint(err, "'karta send \"...\"' sends a text") : KT_EINVAL;
}

/* The text of the argument or of stdin. */
static enum kt_code read_send_text(
	const struct kt_ctx *ctx, const struct send_args *a, struct kt_buf *b, struct kt_err *err)
{
	if (a->text && !kt_str_eq(a->text, "-")) {
		kt_buf_adds(b, a->text);
	} else if (!a->text && isatty(STDIN_FILENO)) {
		(void)kt_fail(err, KT_EINVAL, 0, "no text to send");
		return kt_hint(err, "karta send \"...\", or karta send - to read standard input");
	} else {
		char chunk[16384];
		ssize_t n;

		while ((n = read(STDIN_FILENO, chunk, sizeof(chunk))) != 0) {
			if (n < 0 && errno != EINTR)
				return kt_fail(err, KT_EIO, errno, "cannot read standard input");
			if (n > 0)
				kt_buf_add(b, chunk, (size_t)n);
		}
		while (b->len && (b->ptr[b->len - 1] == '\n' || b->ptr[b->len - 1] == '\r'))
			kt_buf_truncate(b, b->len - 1);
	}
	if (!kt_buf_ok(b))
		return kt_fail(err, KT_ELIMIT, 0, "the text is longer than %d bytes (fixed)",
			KT_MAX_TEXT_BYTES);
	if (!b->len)
		return empty_text(a, err);
	if (strlen(b->ptr) != b->len || !kt_utf8_valid(b->ptr, b->len))
		return kt_fail(err, KT_EINVAL, 0, "the text is not UTF-8");
	return KT_OK;
}

static enum kt_code send_run(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	struct sending s = {
		.ctx = ctx, .args = args, .failed = &ctx->turn, .one_file = is_one_file()
	};
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_TEXT_BYTES);
	enum kt_code rc = kt_remote_check_mode(s.args->go_on, s.args->session, s.args->mode, err);

	if (rc == KT_OK)
		rc = kt_last_check(s.args->go_on, s.args->session, err);
	if (rc == KT_OK)
		rc = read_send_text(ctx, args, &text, err);
	if (rc == KT_OK)
		rc = kt_dest_open(ctx, &s.dest, &s.client, err);
	if (rc != KT_OK) {
		kt_dest_release(&s.dest);
		return rc;
	}
	kt_buf_init(&s.text, KT_RENDER_MAX_BYTES);
	kt_buf_init(&s.side, KT_RENDER_MAX_BYTES);
	kt_assembly_init(&s.reply, ANSWER_MAX_BYTES);
	kt_buf_init(&s.answer, 2 * ANSWER_MAX_BYTES);
	kt_buf_init(&s.typed, LINE_MAX_BYTES);
	kt_buf_init(&s.printed, 2 * ANSWER_MAX_BYTES);
	rc = run_send_turn(&s, text.ptr, err);
	kt_render_free(s.render);
	kt_buf_release(&s.text);
	kt_buf_release(&s.side);
	kt_assembly_release(&s.reply);
	kt_buf_release(&s.answer);
	kt_buf_release(&s.typed);
	kt_buf_release(&s.printed);
	kt_question_free(s.question);
	kt_client_free(s.client);
	kt_dest_release(&s.dest);
	free(s.error);
	free(s.last);
	return rc;
}

const struct kt_cmd kt_cmd_send = {
	.name = "send",
	.summary = "send one message and print the answer",
	.group = KT_GROUP_TALK,
	.opts = opts,
	.args_size = sizeof(struct send_args),
	.run = send_run,
	.examples = "karta send \"Where is order NB-1042?\"\n"
		    "git diff | karta send - --session sess_4fQ\n"
		    "karta send --stream --approve deny \"Tidy up\" | jq .type\n",
};
