/* SPDX-License-Identifier: MIT */
/* Releases: lists, manifests, archives, and the logs of their builds. */
#include "api/hosting/hosting_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "text/json.h"

#include <string.h>
#include <unistd.h>

#define LIST_DEFAULT 20
#define LIST_MAX 200
#define LOOK_MS 2000 /* between two looks whether a silent build is over */
#define LINES_BYTES 32768 /* of the log, made text in one step */

void kt_api_releases_list(struct kt_call *c, const struct kt_params *p)
{
	int64_t before = 0, limit = LIST_DEFAULT;
	char text[32];
	struct kt_later *l;

	if (!kt_api_query(c, "before", text, sizeof(text)) ||
		!kt_api_query_int(c, "limit", 1, LIST_MAX, &limit))
		return;
	if (text[0] && !kt_str_int64(text[0] == 'v' ? text + 1 : text, 1, INT64_MAX, &before)) {
		kt_api_fail(c, 400, "bad_query", "'before' must be a version such as v7", NULL);
		return;
	}
	l = kt_api_later(c, NULL, NULL);
	kt_control_releases(c->api->cfg.control, &l->actor, p->value[0], before, (size_t)limit,
		kt_api_answered, l);
}

void kt_api_releases_get(struct kt_call *c, const struct kt_params *p)
{
	struct kt_later *l = kt_api_later(c, NULL, NULL);

	kt_control_release(c->api->cfg.control, &l->actor, p->value[0], p->value[1], false,
		kt_api_answered, l);
}

static void on_manifest(void *arg, const struct kt_result *r)
{
	struct kt_later *l = arg;

	if (!l->c.ex || r->rc != KT_OK || !r->json) {
		kt_api_answered(arg, r);
		return;
	}
	kt_respond(l->c.ex, 200, "text/plain; charset=utf-8", r->json, r->json_len);
	kt_api_later_free(l);
}

void kt_api_releases_manifest(struct kt_call *c, const struct kt_params *p)
{
	struct kt_later *l = kt_api_later(c, NULL, NULL);

	kt_control_release(
		c->api->cfg.control, &l->actor, p->value[0], p->value[1], true, on_manifest, l);
}

/* --- archives ---------------------------------------------------------------------------- */

struct archive {
	char name[160];
	bool zst;
};

static void on_release_archived(void *arg, const struct kt_result *r)
{
	struct kt_later *l = arg;
	const struct archive *a = l->data;
	char disposition[256];

	if (r->rc != KT_OK || !r->json) {
		kt_api_answered(arg, r);
		return;
	}
	if (l->c.ex) {
		snprintf(disposition, sizeof(disposition), "attachment; filename=\"%s\"", a->name);
		kt_exchange_header(l->c.ex, "Content-Disposition", disposition);
		kt_respond_file(l->c.ex, 200, a->zst ? "application/zstd" : "application/gzip",
			r->json, true);
	} else {
		(void)unlink(r->json);
	}
	kt_api_later_free(l);
}

void kt_api_releases_archive(struct kt_call *c, const struct kt_params *p)
{
	char format[16];
	struct archive *a;
	struct kt_later *l;

	if (!kt_api_query(c, "format", format, sizeof(format)))
		return;
	if (format[0] && !kt_str_eq(format, "tar.gz") && !kt_str_eq(format, "tar.zst")) {
		kt_api_fail(c, 400, "bad_query", "'format' can be tar.gz or tar.zst", NULL);
		return;
	}
	a = kt_calloc(1, sizeof(*a));
	a->zst = kt_str_eq(format, "tar.zst");
	snprintf(a->name, sizeof(a->name), "%.64s-%.64s.%s", p->value[0], p->value[1],
		a->zst ? "tar.zst" : "tar.gz");
	/* Both came by the path and may hold anything; in a header they are words. */
	for (char *s = a->name; *s; s++) {
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.",
			    *s))
			*s = '-';
	}
	l = kt_api_later(c, a, free);
	kt_control_release_archive(c->api->cfg.control, &l->actor, p->value[0], p->value[1],
		a->zst ? "tar.zst" : "tar.gz", on_release_archived, l);
}

/* --- logs of builds ---------------------------------------------------------------------- */

struct build_stream {
	struct kt_evpipe pipe;
	struct kt_control *ctl;
	struct kt_actor actor;
	struct kt_caller by;
	char request_id[40];
	char ref[64], release[KT_ID_MAX];
	struct kt_timer *look; /* a deleted project's build ends without a word */
	/* As lines: */
	struct kt_evwalk walk;
	struct kt_buf text; /* what is to be sent */
	size_t told; /* of it */
};

static void build_closed(void *arg)
{
	struct build_stream *bs = arg;

	kt_timer_free(bs->look);
	kt_evwalk_release(&bs->walk);
	kt_buf_release(&bs->text);
	free(bs);
}

/* News: after the last of it there is no more. */
static void build_woke(void *arg)
{
	struct build_stream *bs = arg;
	struct kt_build_log log;

	if (kt_control_build_log(bs->ctl, &bs->actor, bs->ref, bs->release, &log, NULL) != KT_OK ||
		log.over)
		kt_evreader_stop_here(bs->pipe.reader);
}

static void build_look(void *arg)
{
	struct build_stream *bs = arg;

	build_woke(bs);
	if (kt_evreader_done(bs->pipe.reader))
		kt_evpipe_stop_here(&bs->pipe);
}

static bool open_log(
	struct kt_call *c, const char *ref, const char *release, struct kt_build_log *out)
{
	struct kt_actor actor = kt_api_actor(c->by, c->rq->id);
	struct kt_err err = KT_ERR_INIT;

	if (kt_control_build_log(c->api->cfg.control, &actor, ref, release, out, &err) == KT_OK)
		return true;
	if (err.code != KT_ENOTFOUND)
		kt_api_fail_err(c, &err);
	else if (kt_api_resolve_ref(c, ref))
		kt_api_fail(c, 404, "release_not_found", "there is no such release", NULL);
	return false;
}

/* What went before of a text of several lines: each goes out behind a tab, the last as `LEVEL TEXT`. */
static void tell_log(const cJSON *data, struct kt_buf *out)
{
	const char *text = kt_json_str_or(data, "text", ""), *end;

	while ((end = strchr(text, '\n'))) {
		kt_buf_addf(out, "\t%.*s\n", (int)(end - text), text);
		text = end + 1;
	}
	kt_buf_addf(out, "%s %s\n", kt_json_str_or(data, "level", "info"), text);
}

static void tell_str(struct kt_jw *w, const cJSON *of, const char *key)
{
	const char *s = kt_json_str(of, key);

	if (s)
		kt_jw_str(w, key, s);
}

/* The outcome in few fields; what is false or null is left out. */
static void tell_outcome(const cJSON *data, struct kt_buf *out)
{
	const cJSON *release = kt_json_obj(data, "release"), *error = kt_json_obj(data, "error");
	struct kt_jw w;

	kt_jw_init(&w, out);
	kt_jw_obj(&w, NULL);
	tell_str(&w, release, "state");
	tell_str(&w, release, "preview");
	tell_str(&w, release, "url");
	if (kt_json_bool(data, "activated", false))
		kt_jw_bool(&w, "activated", true);
	if (kt_json_bool(data, "pinned", false)) {
		kt_jw_bool(&w, "pinned", true);
		tell_str(&w, release, "pin_reason");
	}
	tell_str(&w, data, "replaced_by");
	if (error) {
		kt_jw_obj(&w, "error");
		tell_str(&w, error, "code");
		tell_str(&w, error, "message");
		kt_jw_obj_end(&w);
	}
	kt_jw_int(&w, "took_ms", kt_json_int(data, "took_ms", 0));
	kt_jw_obj_end(&w);
	kt_buf_addc(out, '\n');
}

static bool tell_build(void *arg, const struct kt_evframe *f)
{
	struct build_stream *bs = arg;
	KT_AUTO_JSON cJSON *ev = NULL;

	if (kt_json_parse(f->json, f->json_len, KT_JSON_LENIENT, &ev, NULL) != KT_OK)
		return true;
	if (f->type == KT_EV_LOG)
		tell_log(kt_json_obj(ev, "data"), &bs->text);
	else if (f->type == KT_EV_RELEASE)
		tell_outcome(kt_json_obj(ev, "data"), &bs->text);
	return true;
}

static size_t lines_peek(void *arg, const char **out, size_t max)
{
	struct build_stream *bs = arg;
	enum kt_evwalked was = KT_WALK_MORE;

	if (bs->told == bs->text.len) {
		kt_buf_clear(&bs->text);
		bs->told = 0;
	}
	while (bs->pipe.reader && was == KT_WALK_MORE && !bs->text.len)
		was = kt_evwalk_reader(&bs->walk, bs->pipe.reader, LINES_BYTES, tell_build, bs);
	if (was == KT_WALK_DAMAGED ||
		(bs->pipe.reader && !bs->text.len && kt_evreader_done(bs->pipe.reader)))
		kt_evpipe_end(&bs->pipe);
	*out = bs->text.ptr + bs->told;
	return KT_MIN(max, bs->text.len - bs->told);
}

static void on_lines_sent(void *arg, size_t n)
{
	struct build_stream *bs = arg;

	bs->told += n;
}

static bool lines_at_boundary(void *arg)
{
	const struct build_stream *bs = arg;

	return bs->told == bs->text.len;
}

static const struct kt_evform lines_form = { lines_peek, on_lines_sent, lines_at_boundary, NULL };

static struct build_stream *new_build_stream(struct kt_call *c, const char *ref,
	const char *release, const struct kt_build_log *log, uint64_t after)
{
	struct build_stream *bs = kt_calloc(1, sizeof(*bs));

	bs->ctl = c->api->cfg.control;
	bs->by = *c->by;
	kt_str_copy(bs->request_id, sizeof(bs->request_id), c->rq->id);
	bs->actor = kt_api_actor(&bs->by, bs->request_id);
	kt_str_copy(bs->ref, sizeof(bs->ref), ref);
	kt_str_copy(bs->release, sizeof(bs->release), release);
	kt_evwalk_init(&bs->walk);
	kt_buf_init(&bs->text, LINES_BYTES + 2 * KT_MAX_EVENT_BYTES);
	kt_evpipe_open(&bs->pipe, c, log->log, after, build_closed, bs);
	bs->pipe.woke = build_woke;
	bs->look = kt_timer_new(bs->pipe.loop, build_look, bs);
	kt_timer_start(bs->look, LOOK_MS, LOOK_MS);
	if (log->over)
		kt_evreader_stop_here(bs->pipe.reader);
	return bs;
}

void kt_api_build_stream(struct kt_call *c, const char *ref, const char *release)
{
	struct build_stream *bs;
	struct kt_build_log log;
	uint64_t after;
	bool given;

	if (!kt_api_cursor(c, &after, &given) || !open_log(c, ref, release, &log))
		return;
	/* All of it was seen: 204 makes an EventSource stop reconnecting. */
	if (log.over && given && after >= kt_evlog_last_seq(log.log)) {
		kt_respond(c->ex, 204, NULL, NULL, 0);
		return;
	}
	bs = new_build_stream(c, ref, release, &log, after);
	kt_exchange_header(c->ex, "Karta-Release", release);
	kt_evpipe_begin(&bs->pipe);
}

void kt_api_build_lines(struct kt_call *c, const char *ref, const char *release)
{
	struct build_stream *bs;
	struct kt_build_log log;

	if (!open_log(c, ref, release, &log))
		return;
	bs = new_build_stream(c, ref, release, &log, 0);
	bs->pipe.form = &lines_form;
	bs->pipe.type = "text/plain; charset=utf-8";
	kt_buf_addf(&bs->text, "v%lld %s\n", (long long)log.version, release);
	kt_stream_lines(c->ex);
	kt_evpipe_begin(&bs->pipe);
}

/* Which log a call wants, until it is known to be there. */
struct wanted_log {
	char ref[64], release[KT_ID_MAX];
};

static void log_found(void *arg, const struct kt_result *r)
{
	struct kt_later *l = arg;
	const struct wanted_log *want = l->data;
	struct kt_page_of page = { .max_events = SIZE_MAX };
	struct kt_build_log log;
	bool given;

	if (!l->c.ex || r->rc != KT_OK) {
		kt_api_answered(l, r);
		return;
	}
	kt_exchange_on_close(l->c.ex, NULL, NULL);
	if (kt_api_wants_stream(l->c.rq)) {
		kt_api_build_stream(&l->c, want->ref, want->release);
	} else if (kt_api_cursor(&l->c, &page.after, &given) &&
		open_log(&l->c, want->ref, want->release, &log)) {
		page.log = log.log;
		page.growing = !log.over;
		kt_api_page_of_log(&l->c, &page);
	}
	kt_api_later_free(l);
}

void kt_api_releases_log(struct kt_call *c, const struct kt_params *p)
{
	struct wanted_log *want;
	struct kt_later *l;

	if (strlen(p->value[0]) >= sizeof(want->ref) ||
		strlen(p->value[1]) >= sizeof(want->release)) {
		kt_api_fail(c, 404, "release_not_found", "there is no such release", NULL);
		return;
	}
	want = kt_calloc(1, sizeof(*want));
	(void)kt_str_copy(want->ref, sizeof(want->ref), p->value[0]);
	(void)kt_str_copy(want->release, sizeof(want->release), p->value[1]);
	l = kt_api_later(c, want, free);
	kt_control_build_find(
		c->api->cfg.control, &l->actor, want->ref, want->release, log_found, l);
}
