/* SPDX-License-Identifier: MIT */
/*
 * karta logs: what happened in a project, and what happens. The lines are events with numbers, so
 * following goes on where it was after a lost connection or a restarted server.
 */
#include "cmd/cmd.h"

#include "base/str.h"
#include "base/time.h"
#include "cmd/remote.h"
#include "text/clean.h"

#include <string.h>

#define LINES_DEFAULT 100
#define LINES_MAX 10000 /* as the server has it */
#define LINE_BYTES ((size_t)1024 * 1024)
#define GRACE_US 1000000 /* for what was written at the last moment to arrive */

struct logs_args {
	const char *name;
	bool follow;
	const char *tail; /* "" alone, or the number of lines that docker and kubectl give it */
	int64_t lines;
	bool no_tail; /* fly's; it is what happens anyway */
	const char *since, *until;
	const char *level, *source, *session, *release;
};

static void logs_defaults(void *args)
{
	((struct logs_args *)args)->lines = -1;
}

static const char *const levels[] = { "debug", "info", "warn", "error", NULL };
static const char *const sources[] = { "build", "release", "session", "turn", "harness", "api",
	NULL };

static const struct kt_opt opts[] = {
	KT_OPT_ARG_("name", struct logs_args, name, 0, "the project (default: this folder's)"),
	KT_OPT_FLAG_(
		'f', "follow", struct logs_args, follow, "go on with what comes, until Ctrl-C"),
	{ KT_OPT_T_STR, 't', "tail", "N", offsetof(struct logs_args, tail),
		"same as --follow; --tail=N is --lines N", KT_OPT_BARE },
	KT_OPT_INT_('n', "lines", struct logs_args, lines, "N", 0, LINES_MAX,
		"at most so many of the past (default: 100)"),
	{ KT_OPT_T_INT, 0, "num", "N", offsetof(struct logs_args, lines), "as --lines",
		KT_OPT_HIDDEN, 0, LINES_MAX },
	{ KT_OPT_T_FLAG, 0, "no-tail", NULL, offsetof(struct logs_args, no_tail), "do not follow",
		KT_OPT_HIDDEN },
	KT_OPT_STR_(0, "since", struct logs_args, since, "TIME",
		"from then on: a time, or how long ago, as 10m"),
	KT_OPT_STR_(0, "until", struct logs_args, until, "TIME", "up to then"),
	KT_OPT_CHOICE_(
		0, "level", struct logs_args, level, "LEVEL", levels, "this level and above"),
	KT_OPT_CHOICE_(0, "source", struct logs_args, source, "SOURCE", sources, "only from there"),
	KT_OPT_STR_(0, "session", struct logs_args, session, "ID", "only of this session"),
	KT_OPT_STR_(0, "release", struct logs_args, release, "VERSION", "only of this release"),
	KT_OPT_END,
};

struct follow {
	const struct kt_ctx *ctx;
	int64_t until_us; /* INT64_MAX: for ever */
	bool lost;
};

static enum kt_style logs_level_style(const char *level)
{
	if (kt_str_eq(level, "error"))
		return KT_STYLE_RED;
	if (kt_str_eq(level, "warn"))
		return KT_STYLE_YELLOW;
	return KT_STYLE_NONE;
}

/*
 * "Jun  1 12:00:00 harness[v7]: text" for who reads, in the zone of the machine; in a pipe or file
 * "2026-06-01T12:00:00.120000+00:00 ...", which sorts and names its zone.
 */
static void print_line(const struct kt_ctx *ctx, const struct kt_client_event *ev)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(LINE_BYTES);
	KT_AUTO_BUF struct kt_buf head = KT_BUF_INIT(LINE_BYTES);
	const char *text = kt_json_str_or(ev->data, "text", "");
	const char *release = kt_json_str(ev->data, "release");
	const char *session = kt_json_str(ev->data, "session_id");
	const char *level = kt_json_str_or(ev->data, "level", "info");
	char at[64];

	if (ctx->out.is_tty)
		kt_time_log(ev->time_ms * 1000, at, sizeof(at));
	else
		kt_time_iso(ev->time_ms * 1000, true, at, sizeof(at));
	kt_clean_addf(&head, "%s %s", at, kt_json_str_or(ev->data, "source", "?"));
	if (release || session)
		kt_clean_addf(&head, "[%s%s%s]", release ? release : "",
			release && session ? " " : "", session ? session : "");
	kt_buf_addc(&head, ':');
	kt_term_add(&b, &ctx->out, KT_STYLE_DIM, head.ptr);
	kt_buf_addc(&b, ' ');
	if (ctx->out.color && logs_level_style(level) != KT_STYLE_NONE) {
		KT_AUTO_BUF struct kt_buf clean = KT_BUF_INIT(LINE_BYTES);

		kt_clean_add(&clean, text, strlen(text), true);
		kt_term_add(&b, &ctx->out, logs_level_style(level), clean.ptr);
	} else {
		kt_clean_add(&b, text, strlen(text), true);
	}
	kt_buf_addc(&b, '\n');
	kt_out(b.ptr, b.len);
}

static bool on_logs_event(void *arg, const struct kt_client_event *ev)
{
	const struct follow *f = arg;

	if (f->ctx->json)
		kt_remote_json_line(ev->json, ev->json_len);
	else if (kt_str_eq(ev->type, "gap"))
		kt_warn(f->ctx, "lines %lld to %lld are no longer kept",
			(long long)kt_json_int(ev->data, "first", 0),
			(long long)kt_json_int(ev->data, "last", 0));
	else if (kt_str_eq(ev->type, "log"))
		print_line(f->ctx, ev);
	return true;
}

static bool logs_are_over(const struct follow *f)
{
	return f->until_us != INT64_MAX && kt_time_us() > f->until_us + GRACE_US;
}

static bool on_logs_poll(void *arg)
{
	kt_out_check();
	return kt_remote_ints() == 0 && !logs_are_over(arg);
}

static void on_logs_state(void *arg, enum kt_client_state state)
{
	struct follow *f = arg;

	if (state == KT_CLIENT_LOST && !f->lost && kt_time_us() < f->until_us)
		kt_say(f->ctx, "(the connection broke; trying again)");
	f->lost = state == KT_CLIENT_LOST;
}

/* A time, or how long ago: appended to the query in RFC 3339. *out_us is set when it is given. */
static enum kt_code add_time(
	struct kt_buf *q, const char *name, const char *value, int64_t *out_us, struct kt_err *err)
{
	int64_t us, ms, now = kt_time_us();
	char at[64];

	if (!value)
		return KT_OK;
	if (kt_str_duration_ms(value, &ms) && value[strspn(value, "0123456789")])
		us = ms < now / 1000 ? now - ms * 1000 : 0;
	else if (!kt_time_parse(value, &us) && !kt_time_parse_local(value, now, &us)) {
		kt_fail(err, KT_EINVAL, 0, "--%s: '%s' is no time", name, value);
		return kt_hint(err,
			"write how long ago: 10m, 2h, 3d; or a time: 17:42, '2026-06-01 17:42', "
			"2026-06-01T12:00:00Z");
	}
	kt_time_iso(us, true, at, sizeof(at));
	kt_buf_addf(q, "&%s=", name);
	kt_url_segment(q, at);
	*out_us = us;
	return KT_OK;
}

static void add_logs_word(struct kt_buf *q, const char *name, const char *value)
{
	if (!value)
		return;
	kt_buf_addf(q, "&%s=", name);
	kt_url_segment(q, value);
}

static enum kt_code logs_query(
	const struct logs_args *a, struct kt_buf *q, int64_t *until_us, struct kt_err *err)
{
	int64_t lines = a->lines, since_us;
	enum kt_code rc;

	/* From a time on means all of it. */
	if (lines < 0 && !a->since)
		lines = LINES_DEFAULT;
	kt_buf_addf(q, "/logs?follow=%d", a->follow);
	if (lines >= 0)
		kt_buf_addf(q, "&lines=%lld", (long long)lines);
	rc = add_time(q, "since", a->since, &since_us, err);
	if (rc == KT_OK)
		rc = add_time(q, "until", a->until, until_us, err);
	add_logs_word(q, "level", a->level);
	add_logs_word(q, "source", a->source);
	add_logs_word(q, "session", a->session);
	add_logs_word(q, "release", a->release);
	return rc;
}

/*
 * --tail alone follows, as Heroku's. With a number, --tail=50 or --tail 50, it is that of docker
 * and kubectl: so many lines of the past.
 */
static enum kt_code take_tail(struct logs_args *a, struct kt_err *err)
{
	const char *count = a->tail && *a->tail ? a->tail : NULL;
	int64_t lines;

	if (a->tail && !count && a->name && *a->name && !a->name[strspn(a->name, "0123456789")]) {
		count = a->name;
		a->name = NULL;
	}
	if (!count) {
		a->follow = a->follow || a->tail;
		return KT_OK;
	}
	if (kt_str_eq(count, "all"))
		lines = LINES_MAX;
	else if (!kt_str_int64(count, 0, LINES_MAX, &lines))
		return kt_fail(
			err, KT_EINVAL, 0, "--tail: '%s' is no number up to %d", count, LINES_MAX);
	a->lines = lines;
	return KT_OK;
}

static enum kt_code logs_run(struct kt_ctx *ctx, const void *args, struct kt_err *err)
{
	struct logs_args given = *(const struct logs_args *)args, *a = &given;
	KT_AUTO_BUF struct kt_buf q = KT_BUF_INIT(65536);
	KT_AUTOFREE char *project = NULL;
	KT_AUTOFREE char *path = NULL;
	struct follow f = { .ctx = ctx, .until_us = INT64_MAX };
	struct kt_client_tail t = { .once = true,
		.give_up_ms = ctx->timeout_ms,
		.event = on_logs_event,
		.poll = on_logs_poll,
		.state = on_logs_state,
		.arg = &f };
	struct kt_client *c;
	enum kt_code rc = take_tail(a, err);

	t.once = !a->follow;
	if (rc == KT_OK)
		rc = logs_query(a, &q, &f.until_us, err);
	if (rc == KT_OK)
		rc = kt_remote_start(ctx, a->name, &c, &project, err);
	if (rc != KT_OK)
		return rc;
	path = kt_remote_path(project, q.ptr);
	t.path = path;
	kt_remote_catch_int();
	/* Of the past there is an end anyway. */
	if (t.once || f.until_us < kt_time_us()) {
		t.once = true;
		f.until_us = INT64_MAX;
	}
	rc = kt_client_tail(c, &t, err);
	kt_client_free(c);
	/* Ctrl-C is how one stops following; the time of --until is another end. */
	if (rc == KT_ECANCEL && kt_remote_ints())
		kt_remote_die_by_int();
	return rc == KT_ECANCEL && logs_are_over(&f) ? KT_OK : rc;
}

const struct kt_cmd kt_cmd_logs = {
	.name = "logs",
	.summary = "show what happens in a project",
	.group = KT_GROUP_SHIP,
	.opts = opts,
	.args_size = sizeof(struct logs_args),
	.defaults = logs_defaults,
	.run = logs_run,
	.examples = "karta logs --tail                     follow, across restarts\n"
		    "karta logs -n 20                      the last 20 lines\n"
		    "karta logs --since 1h --level error   what went wrong lately\n"
		    "karta logs --json | jq .data.text     one object a line\n",
};
