/* SPDX-License-Identifier: MIT */
/*
 * Walking over frames whose bytes come in pieces. A frame that is whole in a piece is given where it
 * lies; only what two pieces share is put together, and is looked through once, however many there
 * are.
 */
#include "event/log_private.h"

#include "base/base.h"

#include <string.h>

void kt_evwalk_init(struct kt_evwalk *w)
{
	kt_buf_init(&w->part, KT_EVLOG_FRAME_BYTES + 1024);
}

void kt_evwalk_release(struct kt_evwalk *w)
{
	kt_buf_release(&w->part);
}

/* Up to the end of the frame that earlier pieces began; *used bytes of this one. */
static enum kt_evwalked end_part(
	struct kt_evwalk *w, const char *p, size_t len, size_t *used, kt_evframe_fn fn, void *arg)
{
	struct kt_evframe f;
	const char *end = NULL;
	bool more;

	if (w->part.ptr[w->part.len - 1] == '\n' && *p == '\n')
		end = p + 1;
	else
		end = kt_evframe_end(p, len);
	*used = end ? (size_t)(end - p) : len;
	kt_buf_add(&w->part, p, *used);
	if (!kt_buf_ok(&w->part) || (end && kt_evframe_next(w->part.ptr, w->part.len, &f) != 1))
		return KT_WALK_DAMAGED;
	if (!end)
		return KT_WALK_END;
	more = fn(arg, &f);
	kt_buf_clear(&w->part);
	return more ? KT_WALK_END : KT_WALK_STOPPED;
}

enum kt_evwalked kt_evwalk_bytes(struct kt_evwalk *w, const char *p, size_t len, size_t *out_used,
	kt_evframe_fn fn, void *arg)
{
	enum kt_evwalked was = KT_WALK_END;
	size_t at = 0;

	if (w->part.len && len)
		was = end_part(w, p, len, &at, fn, arg);
	while (was == KT_WALK_END && at < len) {
		struct kt_evframe f;
		int rc = kt_evframe_next(p + at, len - at, &f);

		if (rc < 0) {
			was = KT_WALK_DAMAGED;
		} else if (rc == 0) {
			kt_buf_add(&w->part, p + at, len - at);
			at = len;
			was = kt_buf_ok(&w->part) ? KT_WALK_END : KT_WALK_DAMAGED;
		} else {
			at += f.len;
			was = fn(arg, &f) ? KT_WALK_END : KT_WALK_STOPPED;
		}
	}
	*out_used = at;
	return was;
}

enum kt_evwalked kt_evwalk_reader(
	struct kt_evwalk *w, struct kt_evreader *r, size_t max, kt_evframe_fn fn, void *arg)
{
	while (max > 0) {
		enum kt_evwalked was;
		const char *p;
		size_t used, n = kt_evreader_peek(r, &p, max);

		if (n == 0)
			return KT_WALK_END;
		was = kt_evwalk_bytes(w, p, n, &used, fn, arg);
		kt_evreader_advance(r, used);
		if (was != KT_WALK_END)
			return was;
		max -= used;
	}
	return KT_WALK_MORE;
}

struct each {
	kt_evframe_fn fn;
	void *arg;
	size_t left; /* bytes of envelopes */
};

static bool each_frame(void *arg, const struct kt_evframe *f)
{
	struct each *e = arg;

	e->left -= KT_MIN(e->left, f->json_len);
	return e->fn(e->arg, f) && e->left > 0;
}

enum kt_code kt_evlog_each(struct kt_evlog *log, uint64_t after_seq, size_t max_bytes,
	kt_evframe_fn fn, void *arg, struct kt_err *err)
{
	struct kt_evreader *r = kt_evreader_new(log, after_seq, NULL, NULL);
	struct each e = { fn, arg, max_bytes };
	struct kt_evwalk w;
	enum kt_evwalked was;

	kt_evwalk_init(&w);
	was = kt_evwalk_reader(&w, r, SIZE_MAX, each_frame, &e);
	kt_evwalk_release(&w);
	kt_evreader_free(r);
	if (was != KT_WALK_DAMAGED)
		return KT_OK;
	return kt_fail(err, KT_EIO, 0, "the event log of %s is damaged", kt_evlog_session(log));
}
