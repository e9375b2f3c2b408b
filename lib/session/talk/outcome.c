/* SPDX-License-Identifier: MIT */
/*
 * What became of an input that is not open and not among the last that were answered: read back
 * from the session's log, the only memory that outlives the server, on a thread. Who asks so is
 * late, and few are; an id that was never given is told apart by its form, or by reading to the
 * end.
 */
#include "session/talk/talk_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "text/json.h"

#include <string.h>

/* Of the thread while it runs. */
struct search {
	struct kt_session_job job;
	struct kt_evscan log;
	char session_id[KT_ID_MAX], request_id[KT_ID_MAX], turn_id[KT_ID_MAX], org[KT_ID_MAX];
	bool asked, ended, interrupted, resolved;
	struct kt_answered found;
	kt_outcome_fn fn;
	void *arg;
	enum kt_code rc;
	struct kt_err err;
};

/* The words of the log as they are told; of what has no answer "withdrawn". */
static void take_resolved(struct search *x, const cJSON *data)
{
	static const char *const by[] = { "user", "policy", "expired" };
	const char *who = kt_json_str_or(data, "by", "");

	x->resolved = true;
	x->found.by = "withdrawn";
	if (!kt_decision_parse(kt_json_str(data, "decision"), &x->found.decision))
		return;
	for (size_t i = 0; i < KT_ARRAY_LEN(by); i++) {
		if (kt_str_eq(who, by[i]))
			x->found.by = by[i];
	}
}

static void look_at_event(struct search *x, const struct kt_evframe *f)
{
	KT_AUTO_JSON cJSON *ev = NULL;
	const cJSON *data;
	const char *wanted = x->asked && f->type != KT_EV_STATUS ? x->turn_id : x->request_id;

	if (x->asked ? f->type != KT_EV_STATUS && f->type != KT_EV_ERROR && f->type != KT_EV_DONE
		     : f->type != KT_EV_INPUT_REQUIRED)
		return;
	if (!memmem(f->json, f->json_len, wanted, strlen(wanted)) ||
		kt_json_parse(f->json, f->json_len, KT_JSON_LENIENT, &ev, NULL) != KT_OK)
		return;
	data = kt_json_obj(ev, "data");
	if (f->type == KT_EV_INPUT_REQUIRED) {
		x->asked = kt_str_eq(kt_json_str(data, "request_id"), x->request_id);
		kt_str_copy(x->turn_id, sizeof(x->turn_id), kt_json_str_or(ev, "turn_id", ""));
	} else if (f->type == KT_EV_STATUS) {
		if (kt_str_eq(kt_json_str(data, "state"), "input_resolved") &&
			kt_str_eq(kt_json_str(data, "request_id"), x->request_id))
			take_resolved(x, data);
	} else if (kt_str_eq(kt_json_str(ev, "turn_id"), x->turn_id)) {
		x->ended = x->ended || f->type == KT_EV_DONE;
		x->interrupted = x->interrupted ||
			(f->type == KT_EV_ERROR &&
				kt_str_eq(kt_json_str(data, "code"), "interrupted"));
	}
}

static bool outcome_look_on(void *arg, const struct kt_evframe *f)
{
	struct search *x = arg;

	look_at_event(x, f);
	return !x->resolved && !x->ended;
}

static enum kt_code outcome_of(struct search *x)
{
	if (!x->asked)
		return kt_fail(&x->err, KT_ENOTFOUND, 0,
			"there is no input '%.60s' in this session", x->request_id);
	if (!x->resolved && x->interrupted)
		x->found.by = "interrupted";
	return kt_answered_fail(&x->found, &x->err);
}

static void run_search(struct kt_session_job *job)
{
	struct search *x = kt_container_of(job, struct search, job);

	x->rc = kt_evscan_run(&x->log, &job->work.canceled, outcome_look_on, x, &x->err);
	if (x->rc == KT_OK)
		x->rc = outcome_of(x);
}

static void search_free(struct search *x)
{
	kt_evscan_release(&x->log);
	free(x);
}

static void on_searched(struct kt_session_job *job)
{
	struct search *x = kt_container_of(job, struct search, job);
	struct kt_sessions *reg = job->reg;

	kt_session_job_end(job);
	if (reg) {
		(void)kt_vec_remove_ptr(&reg->searches, x);
		x->fn(x->arg, x->rc, &x->found, &x->err);
	}
	search_free(x);
}

/* Reading costs a thread's time, and each holds a file open. */
static enum kt_code may_search(
	const struct kt_session *s, const struct search *x, struct kt_err *err)
{
	const struct kt_vec *all = &s->reg->searches;
	size_t of_session = 0, of_org = 0;

	for (size_t i = 0; i < all->len; i++) {
		const struct search *other = all->items[i];

		of_session += kt_str_eq(other->session_id, x->session_id);
		of_org += kt_str_eq(other->org, x->org);
	}
	if (of_session < KT_MAX_SESSION_SEARCHES && of_org < KT_MAX_SEARCHES_EACH &&
		all->len < KT_MAX_SEARCHES)
		return kt_work_room(s->reg->loop, x->org, x->job.work.bytes, err);
	return kt_fail(err, KT_ELIMIT, 0,
		"%zu searches through the logs of sessions are on their way (fixed): ask again "
		"when they are done",
		of_session < KT_MAX_SESSION_SEARCHES ? of_org : of_session);
}

enum kt_code kt_session_outcome(struct kt_session *s, const char *request_id, kt_outcome_fn fn,
	void *arg, struct kt_err *err)
{
	struct search *x;
	struct kt_evlog *log;
	enum kt_code rc;

	if (!kt_rand_is_id("req_", request_id))
		return kt_fail(err, KT_ENOTFOUND, 0, "there is no input '%.60s' in this session",
			request_id);
	x = kt_calloc(1, sizeof(*x));
	x->log = KT_EVSCAN_INIT;
	x->found = (struct kt_answered){ .decision = KT_DENY, .by = "withdrawn" };
	kt_str_copy(x->request_id, sizeof(x->request_id), request_id);
	kt_str_copy(x->found.request_id, sizeof(x->found.request_id), request_id);
	kt_str_copy(x->session_id, sizeof(x->session_id), s->id);
	kt_str_copy(x->org, sizeof(x->org), s->pin ? s->pin->target.org_id : "");
	x->fn = fn;
	x->arg = arg;
	x->job.run = run_search;
	x->job.done = on_searched;
	rc = may_search(s, x, err);
	if (rc == KT_OK)
		rc = kt_session_log(s, &log, err);
	if (rc == KT_OK)
		rc = kt_evscan_open(log, 0, &x->log, err);
	x->job.work.bytes = x->log.rest.len;
	if (rc == KT_OK)
		rc = may_search(s, x, err);
	if (rc != KT_OK) {
		search_free(x);
		return rc;
	}
	kt_vec_push(&s->reg->searches, x);
	kt_session_job_start(s->reg, kt_scan_kind(&x->log), x->org, &x->job);
	return KT_OK;
}

enum kt_code kt_answered_fail(const struct kt_answered *first, struct kt_err *err)
{
	if (kt_str_eq(first->by, "interrupted"))
		return kt_fail(err, KT_ECONFLICT, 0,
			"'%s' is no longer open: the server stopped while its turn was running; "
			"send a message to go on",
			first->request_id);
	if (kt_str_eq(first->by, "withdrawn"))
		return kt_fail(err, KT_ECONFLICT, 0,
			"'%s' was canceled: its turn ended, or the harness withdrew it",
			first->request_id);
	if (kt_str_eq(first->by, "expired"))
		return kt_fail(err, KT_ECONFLICT, 0,
			"nobody answered '%s' in time (runtime.approval_timeout_seconds): %s",
			first->request_id, kt_decision_name(first->decision));
	return kt_fail(err, KT_ECONFLICT, 0, "'%s' was answered already: %s", first->request_id,
		kt_decision_name(first->decision));
}
