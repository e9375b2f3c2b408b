/* SPDX-License-Identifier: MIT */
/*
 * The conversation so far as text, for a harness that starts in a session with turns: it may be
 * that it cannot resume. Read from the whole log, on a thread; the turn waits for it (ready.c).
 */
#include "session/run/run_private.h"

#include "base/log.h"
#include "base/str.h"
#include "text/json.h"

#include <string.h>

#define TRANSCRIPT_BYTES (64 * 1024) /* enough to recall; far below any context window */

static const struct kt_err no_error = KT_ERR_INIT;

/* Of the thread while it runs. */
struct recall {
	struct kt_session_job job;
	struct kt_evscan log;
	char session_id[KT_ID_MAX], turn_id[KT_ID_MAX]; /* the turn that is beginning is left out */
	struct kt_buf text;
	kt_ready_fn on_recalled;
	enum kt_code rc;
	struct kt_err err;
};

/* One line of the transcript from an event's envelope. */
static void add_transcript_line(struct recall *r, const char *json, size_t len)
{
	struct kt_buf *b = &r->text;
	KT_AUTO_JSON cJSON *ev = NULL;
	const cJSON *data, *message;
	const char *role, *text;

	if (kt_json_parse(json, len, KT_JSON_LENIENT, &ev, NULL) != KT_OK)
		return;
	data = kt_json_obj(ev, "data");
	message = kt_json_obj(data, "message");
	role = kt_json_str(message, "role");
	text = kt_json_str(message, "text");
	if (!role || !text || !*text || kt_str_eq(kt_json_str(data, "state"), "queued") ||
		kt_str_eq(kt_json_str(ev, "turn_id"), r->turn_id))
		return;
	kt_buf_addf(b, "%s: %.*s\n\n", kt_str_eq(role, "user") ? "User" : "Assistant",
		TRANSCRIPT_BYTES / 8, text);
	/* The newest part is what counts. */
	if (b->len > TRANSCRIPT_BYTES) {
		const char *cut = strstr(b->ptr + (b->len - TRANSCRIPT_BYTES), "\n\n");

		kt_buf_drop(b, cut ? (size_t)(cut + 2 - b->ptr) : b->len);
	}
}

static bool transcript_look_on(void *arg, const struct kt_evframe *f)
{
	static const char word[] = "\"role\":";

	if ((f->type == KT_EV_STATUS || f->type == KT_EV_DONE) &&
		memmem(f->json, f->json_len, word, sizeof(word) - 1))
		add_transcript_line(arg, f->json, f->json_len);
	return true;
}

static void run_recall(struct kt_session_job *job)
{
	struct recall *r = kt_container_of(job, struct recall, job);

	r->rc = kt_evscan_run(&r->log, &job->work.canceled, transcript_look_on, r, &r->err);
}

static void recall_free(struct recall *r)
{
	kt_evscan_release(&r->log);
	kt_buf_release(&r->text);
	free(r);
}

static void recall_over(struct kt_session_job *job)
{
	struct recall *r = kt_container_of(job, struct recall, job);
	struct kt_session *s = job->reg ? kt_session_get(job->reg, r->session_id) : NULL;

	kt_session_job_end(job);
	if (!s) {
		recall_free(r);
		return;
	}
	/* A harness that resumes has no need of it; one that cannot knows what could be read. */
	if (r->rc != KT_OK)
		kt_log(KT_LOG_WARN, "session", "%s: the conversation so far: %s", s->id,
			r->err.msg);
	/* It says nothing of a turn that ended meanwhile: then the next one reads it anew. */
	if (s->turn && kt_str_eq(s->turn->id, r->turn_id)) {
		s->recalled = true;
		if (r->text.len)
			s->past = kt_asprintf(
				"The conversation so far, for your memory:\n\n%s", r->text.ptr);
	}
	r->on_recalled(s, KT_OK, &no_error);
	recall_free(r);
}

bool kt_transcript_needed(const struct kt_session *s)
{
	return s->prompted && s->turns && !s->recalled;
}

void kt_transcript_read(struct kt_session *s, kt_ready_fn on_recalled)
{
	struct recall *r = kt_calloc(1, sizeof(*r));
	struct kt_evlog *log;

	r->log = KT_EVSCAN_INIT;
	r->on_recalled = on_recalled;
	kt_buf_init(&r->text, (size_t)2 * TRANSCRIPT_BYTES);
	kt_str_copy(r->session_id, sizeof(r->session_id), s->id);
	kt_str_copy(r->turn_id, sizeof(r->turn_id), s->turn->id);
	r->rc = kt_session_log(s, &log, &r->err);
	if (r->rc == KT_OK)
		r->rc = kt_evscan_open(log, 0, &r->log, &r->err);
	if (r->rc != KT_OK) {
		kt_log(KT_LOG_WARN, "session", "%s: the conversation so far: %s", s->id,
			r->err.msg);
		s->recalled = true;
		recall_free(r);
		on_recalled(s, KT_OK, &no_error);
		return;
	}
	r->job.run = run_recall;
	r->job.done = recall_over;
	r->job.work.bytes = r->log.rest.len;
	kt_session_job_start(
		s->reg, kt_scan_kind(&r->log), s->pin ? s->pin->target.org_id : "", &r->job);
}

void kt_transcript_drop(struct kt_session *s)
{
	free(KT_STEAL(s->past));
	s->recalled = false;
}
