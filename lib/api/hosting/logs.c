/* SPDX-License-Identifier: MIT */
/*
 * A project's log: what is kept, then what comes. Without filters the log's own bytes go out as
 * they are; with filters frame by frame those that match, each with its number, so that a reader
 * resumes where it was. Frames are looked at in slices: a large log must not hold up everybody
 * else.
 */
#include "api/hosting/hosting_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"
#include "text/json.h"

#include <string.h>

#define SLICE_BYTES (256 * 1024) /* of the log, looked at in one go: about a millisecond */
#define PIECE_BYTES (64 * 1024) /* after which what was found is sent */
#define MAX_LINES 10000
#define FRAME_BYTES (2 * KT_MAX_EVENT_BYTES + 65536)

struct filter {
	int level; /* at least this one of `levels`; 0 = all */
	char source[16], session[KT_ID_MAX], release[KT_ID_MAX]; /* "" = any */
	int64_t until_ms; /* INT64_MAX = for ever */
	bool set;
};

struct ask {
	struct filter filter;
	int64_t since_us; /* 0 = from the beginning */
	int64_t lines; /* -1 = all */
	uint64_t after;
	bool given; /* `after` is */
	bool follow, ndjson;
};

/* A filtered log on its way to a client. */
struct tail {
	struct kt_evpipe pipe;
	struct kt_evlog *log;
	struct ask ask;
	struct kt_slice look; /* at the next piece of the log */
	bool looked; /* nothing came of the last piece, and there is no more now */
	struct kt_timer *until; /* the time is over */
	struct kt_evwalk walk;
	struct kt_buf out;
	size_t sent; /* of out */
	uint64_t *last; /* ring: numbers of the last matching ones, while they are counted */
	uint64_t n_last;
	uint64_t counted; /* last number of the log when counting began */
	bool over; /* the time is */
};

static const char *const levels[] = { "debug", "info", "warn", "error" };

/* --- what is asked for ------------------------------------------------------------------- */

static bool refuse_log_query(struct kt_call *c, const char *detail)
{
	kt_api_fail(c, 400, "bad_query", detail, NULL);
	return false;
}

/* A time: RFC 3339, seconds since 1970, or a duration before now ("10m"). */
static bool read_time(struct kt_call *c, const char *name, int64_t *out_us)
{
	char text[64];
	int64_t ms, now = kt_time_us();
	size_t len;

	if (!kt_api_query(c, name, text, sizeof(text)))
		return false;
	len = strlen(text);
	if (!len || kt_time_parse(text, out_us))
		return true;
	if (strchr("smhd", text[len - 1]) && kt_str_duration_ms(text, &ms)) {
		/* Before all times is the first of them; 0 would be none at all. */
		*out_us = ms < now / 1000 ? now - ms * 1000 : 1;
		return true;
	}
	return refuse_log_query(
		c, "'since' and 'until' are times such as 2026-06-01T12:00:00Z, or 10m");
}

static bool read_words(struct kt_call *c, struct filter *f)
{
	static const char *const sources[] = { "build", "release", "session", "turn", "harness",
		"api" };
	char level[16], release[KT_ID_MAX];
	bool known = false;

	if (!kt_api_query(c, "level", level, sizeof(level)) ||
		!kt_api_query(c, "source", f->source, sizeof(f->source)) ||
		!kt_api_query(c, "session", f->session, sizeof(f->session)) ||
		!kt_api_query(c, "release", release, sizeof(release)))
		return false;
	for (size_t i = 0; level[0] && i < KT_ARRAY_LEN(levels); i++) {
		if (kt_str_eq(level, levels[i])) {
			f->level = (int)i;
			known = true;
		}
	}
	if (level[0] && !known)
		return refuse_log_query(c, "'level' can be debug, info, warn or error");
	known = !f->source[0];
	for (size_t i = 0; i < KT_ARRAY_LEN(sources); i++)
		known = known || kt_str_eq(f->source, sources[i]);
	if (!known)
		return refuse_log_query(
			c, "'source' can be build, release, session, turn, harness or api");
	if (release[0])
		snprintf(f->release, sizeof(f->release), "%s%.20s", release[0] == 'v' ? "" : "v",
			release);
	return true;
}

static bool read_ask(struct kt_call *c, struct ask *a)
{
	int64_t until_us = 0, follow = 1;

	memset(a, 0, sizeof(*a));
	a->lines = -1;
	if (!read_words(c, &a->filter) || !read_time(c, "since", &a->since_us) ||
		!read_time(c, "until", &until_us) ||
		!kt_api_query_int(c, "lines", 0, MAX_LINES, &a->lines) ||
		!kt_api_query_int(c, "follow", 0, 1, &follow) ||
		!kt_api_cursor(c, &a->after, &a->given))
		return false;
	a->ndjson = !kt_api_wants_stream(c->rq);
	a->follow = follow && !a->ndjson;
	a->filter.until_ms = until_us ? until_us / 1000 : INT64_MAX;
	if (until_us && until_us <= kt_time_us())
		a->follow = false;
	a->filter.set = a->filter.level || a->filter.source[0] || a->filter.session[0] ||
		a->filter.release[0] || until_us;
	return true;
}

/* --- which lines ------------------------------------------------------------------------- */

static bool same_release(const cJSON *data, const char *want)
{
	const char *have = kt_json_str(data, "release");

	return have && kt_str_eq(have, want);
}

static bool filter_matches(const struct filter *f, const struct kt_evframe *frame)
{
	KT_AUTO_JSON cJSON *ev = NULL;
	const cJSON *data;
	const char *level;
	int rank = 1;

	if (!f->set)
		return true;
	/* What is missing concerns every reader. */
	if (frame->type == KT_EV_GAP)
		return true;
	if (frame->type != KT_EV_LOG ||
		kt_json_parse(frame->json, frame->json_len, KT_JSON_LENIENT, &ev, NULL) != KT_OK)
		return false;
	data = kt_json_obj(ev, "data");
	level = kt_json_str_or(data, "level", "info");
	for (size_t i = 0; i < KT_ARRAY_LEN(levels); i++) {
		if (kt_str_eq(level, levels[i]))
			rank = (int)i;
	}
	return rank >= f->level && kt_json_int(ev, "timestamp", 0) <= f->until_ms &&
		(!f->source[0] || kt_str_eq(kt_json_str(data, "source"), f->source)) &&
		(!f->session[0] || kt_str_eq(kt_json_str(data, "session_id"), f->session)) &&
		(!f->release[0] || same_release(data, f->release));
}

/* --- a filtered log ---------------------------------------------------------------------- */

/* There is more in the log. */
static void tail_woke(void *arg)
{
	struct tail *t = arg;

	t->looked = false;
}

static void time_over(void *arg)
{
	struct tail *t = arg;

	/* What came until now is sent, then it ends. */
	t->over = true;
	kt_evreader_stop_here(t->pipe.reader);
	tail_woke(t);
	kt_stream_wake(t->pipe.ex);
}

/* The last ones were counted: begin with the first of them. */
static void begin_sending(struct tail *t)
{
	size_t size = (size_t)t->ask.lines;
	uint64_t first = t->n_last <= size ? 0 : t->n_last % size;
	/* What came while they were counted is sent too. */
	uint64_t after = t->n_last ? t->last[first] - 1 : t->counted;

	free(KT_STEAL(t->last));
	kt_evwalk_release(&t->walk);
	kt_evpipe_again(&t->pipe, t->log, after);
	if (!t->ask.follow || t->over)
		kt_evreader_stop_here(t->pipe.reader);
	/* Where a client goes on that loses the connection now. */
	if (!t->ask.ndjson)
		kt_buf_addf(&t->out, "id: %llu\n\n", (unsigned long long)after);
}

static bool take_log_frame(void *arg, const struct kt_evframe *f)
{
	struct tail *t = arg;

	if (!filter_matches(&t->ask.filter, f))
		return true;
	if (t->last) {
		t->last[t->n_last++ % (uint64_t)t->ask.lines] = f->seq;
	} else if (t->ask.ndjson) {
		kt_buf_add(&t->out, f->json, f->json_len);
		kt_buf_addc(&t->out, '\n');
	} else {
		kt_buf_add(&t->out, f->bytes, f->len);
	}
	return true;
}

static void fill_tail(struct tail *t)
{
	enum kt_evwalked was = KT_WALK_MORE;

	kt_buf_clear(&t->out);
	t->sent = 0;
	t->looked = false;
	for (size_t n = 0; n < SLICE_BYTES && !t->out.len && !t->looked; n += PIECE_BYTES) {
		was = kt_evwalk_reader(&t->walk, t->pipe.reader, PIECE_BYTES, take_log_frame, t);
		if (was == KT_WALK_END && t->last)
			begin_sending(t);
		else if (was != KT_WALK_MORE)
			t->looked = !t->out.len;
	}
	if (was == KT_WALK_DAMAGED || (!t->out.len && !t->last && kt_evreader_done(t->pipe.reader)))
		kt_evpipe_end(&t->pipe);
}

/* It is the turn of this one among all that look through logs. */
static void tail_look(void *arg)
{
	struct tail *t = arg;

	if (t->pipe.ended || t->sent < t->out.len)
		return;
	fill_tail(t);
	if (t->out.len)
		kt_stream_wake(t->pipe.ex);
	else if (!t->looked)
		kt_loop_slice(t->pipe.loop, &t->look);
}

static size_t tail_peek(void *arg, const char **out, size_t max)
{
	struct tail *t = arg;

	if (t->sent == t->out.len && !t->pipe.ended && !t->looked)
		kt_loop_slice(t->pipe.loop, &t->look);
	*out = t->out.ptr + t->sent;
	return KT_MIN(max, t->out.len - t->sent);
}

static void on_tail_sent(void *arg, size_t n)
{
	struct tail *t = arg;

	t->sent += n;
}

static bool tail_at_boundary(void *arg)
{
	const struct tail *t = arg;

	return t->sent == t->out.len;
}

static void on_tail_closed(void *arg)
{
	struct tail *t = arg;

	kt_loop_unslice(t->pipe.loop, &t->look);
	kt_timer_free(t->until);
	kt_evwalk_release(&t->walk);
	kt_buf_release(&t->out);
	free(t->last);
	free(t);
}

static const struct kt_evform tail_form = { tail_peek, on_tail_sent, tail_at_boundary, NULL };

static void send_filtered(
	struct kt_call *c, struct kt_evlog *log, const struct ask *a, uint64_t after, bool count)
{
	struct tail *t = kt_calloc(1, sizeof(*t));
	int64_t left_ms = a->filter.until_ms - kt_time_us() / 1000;

	t->pipe.form = &tail_form;
	t->pipe.type = a->ndjson ? "application/x-ndjson" : NULL;
	t->pipe.woke = tail_woke;
	kt_evpipe_open(&t->pipe, c, log, after, on_tail_closed, t);
	t->log = log;
	t->ask = *a;
	t->look = (struct kt_slice){ .fn = tail_look, .arg = t };
	kt_evwalk_init(&t->walk);
	kt_buf_init(&t->out, FRAME_BYTES + 65536);
	t->counted = kt_evlog_last_seq(log);
	if (count)
		t->last = kt_calloc((size_t)a->lines, sizeof(*t->last));
	if (count || !a->follow)
		kt_evreader_stop_here(t->pipe.reader);
	if (a->follow && a->filter.until_ms != INT64_MAX) {
		t->until = kt_timer_new(t->pipe.loop, time_over, t);
		kt_timer_start(t->until, KT_MAX(left_ms, 0), 0);
	}
	kt_evpipe_begin(&t->pipe);
}

/* --- the whole log ----------------------------------------------------------------------- */

static void pipe_closed(void *arg)
{
	free(arg);
}

static void send_whole_log(
	struct kt_call *c, struct kt_evlog *log, const struct ask *a, uint64_t after)
{
	struct kt_evpipe *pipe = kt_calloc(1, sizeof(*pipe));

	kt_evpipe_open(pipe, c, log, after, pipe_closed, pipe);
	if (!a->follow)
		kt_evreader_stop_here(pipe->reader);
	kt_evpipe_begin(pipe);
}

/* Where to begin: behind the number the client saw, at a time, or before the last lines. */
static bool find_start(struct kt_call *c, struct kt_evlog *log, const struct ask *a,
	uint64_t *out_after, bool *out_count)
{
	struct kt_err err = KT_ERR_INIT;
	uint64_t last = 0;

	*out_after = a->after;
	*out_count = false;
	if (a->given)
		return true;
	if (a->since_us && kt_evlog_seek_time(log, a->since_us, out_after, &err) != KT_OK)
		goto fail;
	if (a->lines < 0)
		return true;
	if (a->filter.set && a->lines > 0) {
		*out_count = true;
		return true;
	}
	if (kt_evlog_seek_last(log, (uint64_t)a->lines, &last, &err) != KT_OK)
		goto fail;
	*out_after = KT_MAX(*out_after, last);
	return true;
fail:
	kt_api_fail_err(c, &err);
	return false;
}

void kt_api_logs(struct kt_call *c, const struct kt_params *p)
{
	const struct kt_actor actor = kt_api_actor(c->by, c->rq->id);
	struct kt_err err = KT_ERR_INIT;
	struct kt_evlog *log;
	struct ask a;
	uint64_t after;
	bool count;

	if (!read_ask(c, &a) || !kt_api_resolve_ref(c, p->value[0]))
		return;
	if (kt_control_project_log(c->api->cfg.control, &actor, p->value[0], &log, &err) != KT_OK) {
		if (err.code == KT_ENOTFOUND)
			kt_api_fail(c, 404, "project_not_found", "there is no such project", NULL);
		else
			kt_api_fail_err(c, &err);
		return;
	}
	if (!find_start(c, log, &a, &after, &count))
		return;
	if (!a.given && !count)
		kt_stream_place(c->ex, KT_MAX(after, kt_evlog_first_seq(log) - 1));
	if (a.ndjson || a.filter.set)
		send_filtered(c, log, &a, after, count);
	else
		send_whole_log(c, log, &a, after);
}
