/* SPDX-License-Identifier: MIT */
/*
 * A page of a log as JSON. How far it goes is measured first; then its bytes go from the log to
 * the socket as they are, so that a page that nobody takes costs a reader. A page that a socket
 * takes at once is built and answered as usual: its connection lives on.
 */
#include "api/core/log_private.h"

#include "base/limits.h"
#include "text/json.h"

#include <string.h>

/* Usual pages fit; no more of it waits for a client than the kernel would keep. */
#define SMALL_BYTES 65536

struct page {
	struct kt_evpipe pipe; /* without a reader once all was read */
	struct kt_watch watch; /* of a session's log */
	struct kt_evenv env;
	size_t commas; /* that were sent */
	struct kt_buf text; /* before the events, later what is after them */
	struct kt_buf tail;
	size_t at; /* of text */
};

/* Nothing more comes of the log: what is left is the end of the document. */
static void page_end_events(struct page *p)
{
	kt_evreader_free(KT_STEAL(p->pipe.reader));
	kt_buf_release(&p->text);
	p->text = p->tail;
	kt_buf_init(&p->tail, 0);
	p->at = 0;
}

/* Bytes of an envelope that are next, after stepping over what is none. */
static size_t page_envelope(struct page *p, const char **out, size_t max)
{
	static const char comma[] = ",";
	const char *bytes;
	size_t n;

	while ((n = kt_evreader_peek(p->pipe.reader, &bytes, KT_SSE_INFLIGHT_BYTES)) > 0) {
		bool envelope;

		n = kt_evenv_next(&p->env, bytes, n, &envelope);
		if (!envelope) {
			kt_evreader_advance(p->pipe.reader, n);
		} else if (p->commas + 1 < p->env.n) {
			*out = comma;
			return 1;
		} else {
			*out = bytes;
			return KT_MIN(n, max);
		}
	}
	return 0;
}

static size_t page_peek(void *arg, const char **out, size_t max)
{
	struct page *p = arg;
	size_t n;

	if (p->at == p->text.len && p->pipe.reader) {
		n = page_envelope(p, out, max);
		if (n)
			return n;
		page_end_events(p);
	}
	*out = p->text.ptr + p->at;
	if (p->at == p->text.len)
		kt_evpipe_end(&p->pipe);
	return KT_MIN(max, p->text.len - p->at);
}

static void page_sent(void *arg, size_t n)
{
	struct page *p = arg;

	if (p->at < p->text.len)
		p->at += n;
	else if (p->pipe.reader && p->commas + 1 < p->env.n)
		p->commas++;
	else if (p->pipe.reader)
		kt_evreader_advance(p->pipe.reader, n);
}

static void page_closed(void *arg)
{
	struct page *p = arg;

	kt_watch_remove(&p->watch);
	kt_buf_release(&p->text);
	kt_buf_release(&p->tail);
	free(p);
}

/* The rest will not come: the client finds that the document is cut. */
static void page_cut(void *arg)
{
	struct page *p = arg;

	kt_buf_clear(&p->text);
	kt_buf_clear(&p->tail);
	p->at = 0;
	kt_evpipe_drop(&p->pipe);
}

static void page_note(void *arg, enum kt_note what, const char *turn_id)
{
	struct page *p = arg;

	if (what != KT_NOTE_GONE)
		return;
	kt_watch_remove(&p->watch);
	page_cut(p);
}

static const struct kt_evform page_form = { page_peek, page_sent, NULL, page_cut };

/* TAKES the texts. */
static void page_stream(struct kt_call *c, const struct kt_page_of *of, uint64_t last,
	struct kt_buf *head, struct kt_buf *tail)
{
	struct page *p = kt_calloc(1, sizeof(*p));

	p->text = *head;
	p->tail = *tail;
	kt_buf_init(head, 0);
	kt_buf_init(tail, 0);
	p->pipe.form = &page_form;
	p->pipe.type = "application/json";
	kt_evpipe_open(&p->pipe, c, of->log, of->after, page_closed, p);
	kt_evpipe_stop_after(&p->pipe, last);
	if (of->session) {
		p->watch.note = page_note;
		p->watch.arg = p;
		kt_watch_add(of->session, &p->watch);
	}
	kt_evpipe_begin(&p->pipe);
}

void kt_api_page_of_log(struct kt_call *c, const struct kt_page_of *of)
{
	KT_AUTO_BUF struct kt_buf head = KT_BUF_INIT(SMALL_BYTES + 1024);
	KT_AUTO_BUF struct kt_buf tail = KT_BUF_INIT((size_t)2 * KT_MAX_PAGE_BYTES);
	struct kt_err err = KT_ERR_INIT;
	struct kt_evpage pg;
	uint64_t last;
	size_t n;

	if (kt_evpage_measure(of->log, of->after, of->max_events, KT_MAX_PAGE_BYTES, &pg, &err) !=
		KT_OK) {
		kt_api_fail_err(c, &err);
		return;
	}
	kt_buf_addf(&head, "{\"%s\":[", of->session_too ? "events" : "data");
	kt_buf_addf(&tail, "],\"has_more\":%s",
		of->growing || pg.last < kt_evlog_last_seq(of->log) ? "true" : "false");
	kt_buf_addf(&tail, ",\"last_seq\":%llu", (unsigned long long)pg.last);
	if (of->session_too) {
		struct kt_jw w;

		kt_buf_adds(&tail, ",\"session\":");
		kt_jw_init(&w, &tail);
		kt_jw_obj(&w, NULL);
		kt_api_write_session(&w, c, of->session);
		kt_jw_obj_end(&w);
	}
	kt_buf_addc(&tail, '}');
	if (pg.bytes + tail.len > SMALL_BYTES) {
		page_stream(c, of, pg.last, &head, &tail);
		return;
	}
	if (kt_evlog_read(of->log, of->after, pg.n, pg.bytes, &head, &n, &last, &err) != KT_OK) {
		kt_api_fail_err(c, &err);
		return;
	}
	kt_buf_add(&head, tail.ptr, tail.len);
	kt_respond_json(c->ex, 200, &head);
}
