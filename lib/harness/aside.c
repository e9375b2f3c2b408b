/* SPDX-License-Identifier: MIT */
/*
 * While the thread has the driver, its sink is a recorder: each call becomes a `told`, with copies
 * of what it was given. Back on the loop they are played in their order, SLICE_BYTES or SLICE_CALLS
 * in a tick, so that a line of the largest size stops nobody for longer than a read does.
 */
#include "harness/aside_private.h"

#include "base/shared.h"
#include "base/str.h"
#include "net/work.h"

#include <string.h>

#define SLICE_BYTES (512 * 1024)
#define SLICE_CALLS 256
#define TOLD_BYTES (512 * 1024) /* of what a line causes, besides what it says itself */

enum tell {
	TELL_SEND,
	TELL_READY,
	TELL_SESSION,
	TELL_EVENT,
	TELL_UNSOLICITED,
	TELL_ASK,
	TELL_WITHDRAWN,
	TELL_TURN_END,
	TELL_TIMER,
	TELL_RESUME_FAILED,
	TELL_LINE_REFUSED,
};

/* One call of the driver; strings are copies. */
struct told {
	struct told *next;
	struct kt_aside *aside;
	enum tell what;
	size_t bytes;
	char *text; /* the string of most; the data of an event */
	struct kt_shared *input; /* of an ask */
	size_t len;
	char *more[12]; /* further strings */
	int64_t number;
	struct kt_turn_result result;
	enum kt_event_type type;
};

struct kt_aside {
	struct kt_loop *loop;
	struct kt_driver *driver;
	struct kt_driver_sink sink; /* the driver's own */
	char *line; /* or NULL: the prompt */
	size_t len;
	struct kt_prompt prompt;
	struct kt_work work;
	bool read; /* the thread is done with the driver */
	bool playing, freed;
	bool refused; /* it caused too much: what comes now is dropped */
	struct told *first, **last;
	size_t told; /* bytes of these */
	struct told *dropped; /* the last one, which its teller still fills */
	struct kt_timer *next; /* the next slice */
	struct kt_aside_owner owner;
};

/* --- writing down ------------------------------------------------------------------------ */

size_t kt_aside_cost(size_t len)
{
	return 3 * len + TOLD_BYTES;
}

static void add_bytes(struct told *t, size_t n)
{
	t->bytes += n;
	t->aside->told += n;
}

static char *told_copy(struct told *t, const char *s)
{
	if (!s)
		return NULL;
	add_bytes(t, strlen(s));
	return kt_strdup(s);
}

static void told_free(struct told *t)
{
	if (!t)
		return;
	t->aside->told -= t->bytes;
	free(t->text);
	kt_shared_unref(t->input);
	for (size_t i = 0; i < KT_ARRAY_LEN(t->more); i++)
		free(t->more[i]);
	free(t);
}

static void tell_line_refused(void *arg, const char *why);

static struct told *tell_aside(void *arg, enum tell what, const char *text)
{
	struct kt_aside *a = arg;
	struct told *t = kt_calloc(1, sizeof(*t));

	if (!a->refused && a->told > a->len + TOLD_BYTES) {
		a->refused = true;
		tell_line_refused(a, "it causes more than is kept of one line");
	}
	t->aside = a;
	t->what = what;
	add_bytes(t, sizeof(*t));
	t->text = told_copy(t, text);
	if (a->refused && what != TELL_LINE_REFUSED) {
		told_free(a->dropped);
		a->dropped = t;
		return t;
	}
	*a->last = t;
	a->last = &t->next;
	return t;
}

static void set_bytes(struct told *t, const char *data, size_t len)
{
	t->text = data ? kt_strndup(data, len) : NULL;
	t->len = len;
	add_bytes(t, len);
}

static void tell_send(void *arg, const char *line, size_t len)
{
	set_bytes(tell_aside(arg, TELL_SEND, NULL), line, len);
}

static void tell_ready(void *arg, const char *session)
{
	(void)tell_aside(arg, TELL_READY, session);
}

static void tell_session(void *arg, const char *session)
{
	(void)tell_aside(arg, TELL_SESSION, session);
}

static void tell_event(void *arg, const struct kt_event_draft *ev)
{
	struct told *t = tell_aside(arg, TELL_EVENT, NULL);

	t->type = ev->type;
	set_bytes(t, ev->data, ev->data_len);
	t->more[0] = told_copy(t, ev->parent_tool_use_id);
	t->more[1] = ev->raw ? kt_strndup(ev->raw, ev->raw_len) : NULL;
	t->number = (int64_t)ev->raw_len;
	if (ev->raw)
		add_bytes(t, ev->raw_len);
}

static void tell_unsolicited(void *arg)
{
	(void)tell_aside(arg, TELL_UNSOLICITED, NULL);
}

static void tell_ask(void *arg, const struct kt_ask *ask)
{
	struct told *t = tell_aside(arg, TELL_ASK, NULL);

	if (ask->shared)
		t->input = kt_shared_ref(ask->shared);
	else if (ask->input)
		t->input = kt_shared_new(kt_strndup(ask->input, ask->input_len), ask->input_len);
	add_bytes(t, ask->input_len);
	t->more[0] = told_copy(t, ask->id);
	t->more[1] = told_copy(t, ask->kind);
	t->more[2] = told_copy(t, ask->tool);
	t->more[3] = told_copy(t, ask->tool_use_id);
	t->more[4] = told_copy(t, ask->parent_tool_use_id);
	t->more[5] = told_copy(t, ask->message);
	t->more[6] = told_copy(t, ask->questions);
	t->more[7] = told_copy(t, ask->cwd);
	t->more[8] = told_copy(t, ask->command);
	t->more[9] = told_copy(t, ask->path);
	t->more[10] = told_copy(t, ask->part);
	t->more[11] = told_copy(t, ask->sha256);
	t->number = ask->partial;
}

static void tell_withdrawn(void *arg, const char *ask_id)
{
	(void)tell_aside(arg, TELL_WITHDRAWN, ask_id);
}

static void tell_turn_end(void *arg, const struct kt_turn_result *r)
{
	struct told *t = tell_aside(arg, TELL_TURN_END, r->text);

	t->result = *r;
	t->more[0] = told_copy(t, r->stop_reason);
	t->more[1] = told_copy(t, r->error_code);
	t->more[2] = told_copy(t, r->error_message);
}

static void tell_timer(void *arg, int64_t delay_ms)
{
	tell_aside(arg, TELL_TIMER, NULL)->number = delay_ms;
}

static void aside_resume_failed(void *arg, const char *why)
{
	(void)tell_aside(arg, TELL_RESUME_FAILED, why);
}

static void tell_line_refused(void *arg, const char *why)
{
	(void)tell_aside(arg, TELL_LINE_REFUSED, why);
}

static const struct kt_driver_sink recorder = {
	.send = tell_send,
	.ready = tell_ready,
	.session_id = tell_session,
	.event = tell_event,
	.unsolicited = tell_unsolicited,
	.ask = tell_ask,
	.ask_withdrawn = tell_withdrawn,
	.turn_end = tell_turn_end,
	.set_timer = tell_timer,
	.resume_failed = aside_resume_failed,
	.line_refused = tell_line_refused,
};

/* --- playing ----------------------------------------------------------------------------- */

static void play_told_event(const struct kt_driver_sink *s, const struct told *t)
{
	const struct kt_event_draft ev = {
		.type = t->type,
		.parent_tool_use_id = t->more[0],
		.data = t->text,
		.data_len = t->len,
		.raw = t->more[1],
		.raw_len = (size_t)t->number,
	};

	s->event(s->arg, &ev);
}

static void play_told_ask(const struct kt_driver_sink *s, const struct told *t)
{
	struct kt_ask ask = {
		.id = t->more[0],
		.kind = t->more[1],
		.tool = t->more[2],
		.tool_use_id = t->more[3],
		.parent_tool_use_id = t->more[4],
		.message = t->more[5],
		.questions = t->more[6],
		.cwd = t->more[7],
		.command = t->more[8],
		.path = t->more[9],
		.partial = t->number != 0,
		.part = t->more[10],
		.shared = t->input,
		.input = t->input ? t->input->text : NULL,
		.input_len = t->input ? t->input->len : 0,
	};

	(void)kt_str_copy(ask.sha256, sizeof(ask.sha256), t->more[11]);
	s->ask(s->arg, &ask);
}

static void play_turn_end(const struct kt_driver_sink *s, const struct told *t)
{
	struct kt_turn_result r = t->result;

	r.text = t->text;
	r.stop_reason = t->more[0];
	r.error_code = t->more[1];
	r.error_message = t->more[2];
	s->turn_end(s->arg, &r);
}

static void play_told(const struct kt_driver_sink *s, const struct told *t)
{
	switch (t->what) {
	case TELL_SEND:
		s->send(s->arg, t->text, t->len);
		break;
	case TELL_READY:
		s->ready(s->arg, t->text);
		break;
	case TELL_SESSION:
		s->session_id(s->arg, t->text);
		break;
	case TELL_EVENT:
		play_told_event(s, t);
		break;
	case TELL_UNSOLICITED:
		s->unsolicited(s->arg);
		break;
	case TELL_ASK:
		play_told_ask(s, t);
		break;
	case TELL_WITHDRAWN:
		s->ask_withdrawn(s->arg, t->text);
		break;
	case TELL_TURN_END:
		play_turn_end(s, t);
		break;
	case TELL_TIMER:
		s->set_timer(s->arg, t->number);
		break;
	case TELL_RESUME_FAILED:
		s->resume_failed(s->arg, t->text);
		break;
	case TELL_LINE_REFUSED:
		s->line_refused(s->arg, t->text);
		break;
	}
}

static void aside_end(struct kt_aside *a)
{
	while (a->first) {
		struct told *t = a->first;

		a->first = t->next;
		told_free(t);
	}
	told_free(a->dropped);
	kt_timer_free(a->next);
	free(a->line);
	free(a);
}

/* Play up to so much. The sink may free a: then the last one out does. False: that happened. */
static bool play_some(struct kt_aside *a, size_t max_bytes, size_t max_calls)
{
	const struct kt_aside_owner owner = a->owner;
	bool freed;
	size_t bytes = 0;

	owner.enter(owner.arg);
	a->playing = true;
	for (size_t n = 0; a->first && !a->freed && n < max_calls && bytes < max_bytes; n++) {
		struct told *t = a->first;

		a->first = t->next;
		bytes += t->bytes;
		play_told(&a->sink, t);
		told_free(t);
	}
	a->playing = false;
	freed = a->freed;
	if (freed)
		aside_end(a);
	owner.leave(owner.arg);
	return !freed;
}

static void aside_slice(void *arg)
{
	struct kt_aside *a = arg;

	if (!play_some(a, SLICE_BYTES, SLICE_CALLS))
		return;
	if (a->first)
		kt_timer_start(a->next, 0, 0);
	else
		a->owner.over(a->owner.arg);
}

/* --- reading ----------------------------------------------------------------------------- */

static void aside_run(struct kt_work *w)
{
	struct kt_aside *a = kt_container_of(w, struct kt_aside, work);

	if (a->line)
		a->driver->ops->line(a->driver, a->line, a->len);
	else
		a->driver->ops->prompt(a->driver, &a->prompt);
}

static void aside_was_read(struct kt_aside *a)
{
	a->read = true;
	a->driver->sink = a->sink;
	free(KT_STEAL(a->line));
	kt_prompt_clear(&a->prompt);
}

static void aside_done(struct kt_work *w)
{
	struct kt_aside *a = kt_container_of(w, struct kt_aside, work);

	aside_was_read(a);
	aside_slice(a);
}

static struct kt_aside *aside_begin(struct kt_loop *loop, const char *org, struct kt_driver *d,
	const struct kt_aside_owner *owner, struct kt_aside *a)
{
	a->loop = loop;
	a->driver = d;
	a->sink = d->sink;
	a->last = &a->first;
	a->next = kt_timer_new(loop, aside_slice, a);
	a->owner = *owner;
	d->sink = recorder;
	d->sink.arg = a;
	a->work.run = aside_run;
	a->work.done = aside_done;
	/* Its memory is counted by who began it: there it need not wait for others' to be free. */
	kt_work_add(loop, KT_WORK_SHORT, org, &a->work);
	return a;
}

struct kt_aside *kt_aside_new(struct kt_loop *loop, const char *org, struct kt_driver *d,
	char *line, size_t len, const struct kt_aside_owner *owner)
{
	struct kt_aside *a = kt_calloc(1, sizeof(*a));

	a->line = line;
	a->len = len;
	return aside_begin(loop, org, d, owner, a);
}

struct kt_aside *kt_aside_prompt(struct kt_loop *loop, const char *org, struct kt_driver *d,
	const struct kt_prompt *p, const struct kt_aside_owner *owner)
{
	struct kt_aside *a = kt_calloc(1, sizeof(*a));

	kt_prompt_copy(p, &a->prompt);
	return aside_begin(loop, org, d, owner, a);
}

bool kt_aside_has_driver(const struct kt_aside *a)
{
	return !a->read;
}

size_t kt_aside_bytes(const struct kt_aside *a)
{
	return a->read ? a->told : kt_aside_cost(a->len);
}

void kt_aside_finish(struct kt_aside *a)
{
	if (!a->read) {
		if (!kt_work_end(a->loop, &a->work))
			aside_run(&a->work);
		aside_was_read(a);
	}
	if (play_some(a, SIZE_MAX, SIZE_MAX))
		aside_end(a);
}

void kt_aside_free(struct kt_aside *a)
{
	if (!a)
		return;
	if (a->playing) {
		a->freed = true;
		return;
	}
	if (!a->read) {
		(void)kt_work_end(a->loop, &a->work);
		aside_was_read(a);
	}
	aside_end(a);
}
