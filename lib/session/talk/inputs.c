/* SPDX-License-Identifier: MIT */
/*
 * Inputs: questions of the harness to a person. What is allowed beyond one call is karta's own
 * memory (approvals.c); the harness only ever hears "once", because what harnesses do with "always"
 * ranges from one pattern to switching every question off.
 */
#include "session/talk/approvals_private.h"
#include "session/talk/talk_private.h"

#include "base/limits.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "text/json.h"

#include <string.h>

static void input_free(struct kt_input *in)
{
	kt_timer_free(in->expiry);
	free(in->ask_id);
	kt_approvals_release(&in->offers);
	free(in->tool);
	kt_input_doc_unref(in->doc);
	free(in);
}

static void emit_resolved(struct kt_session *s, const char *request_id, const char *decision,
	const char *by, const struct kt_approval *made, const struct kt_origin *from)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(32 * 1024);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "state", "input_resolved");
	kt_jw_str(&w, "request_id", request_id);
	kt_jw_str(&w, "decision", decision);
	kt_jw_str(&w, "by", by);
	if (from)
		kt_origin_write(&w, "decided_by", from);
	if (made) {
		kt_jw_str(&w, "approval_id", made->id);
		kt_jw_str(&w, "remembers", made->words);
	}
	kt_jw_obj_end(&w);
	kt_session_emit(s, KT_EV_STATUS, s->turn, &b);
}

static void keep_answer(
	struct kt_session *s, const struct kt_input *in, enum kt_decision decision, const char *by)
{
	struct kt_answered *a;

	if (!s->answered)
		s->answered = kt_calloc(KT_ANSWERED_KEPT, sizeof(*s->answered));
	a = &s->answered[s->n_answered++ % KT_ANSWERED_KEPT];
	memcpy(a->request_id, in->request_id, sizeof(a->request_id));
	a->decision = decision;
	a->by = by;
}

/* Take an input off the open list, answer the harness, tell the readers. Frees in. */
static void resolve_input(struct kt_session *s, struct kt_input *in, enum kt_decision decision,
	const char *answers, const char *by, const struct kt_origin *from)
{
	const char *note = kt_str_eq(by, "expired") ? "Nobody answered in time."
						    : "The user said no.";
	struct kt_approval *chosen = kt_approvals_find(&in->offers, decision);
	const struct kt_approval *made = NULL;

	kt_vec_remove_ptr(&s->inputs, in);
	keep_answer(s, in, decision, by);
	if (chosen && from && from->who)
		chosen->by = kt_strdup(from->who);
	if (chosen)
		made = kt_approvals_add(s, &in->offers, chosen);
	emit_resolved(s, in->request_id, kt_decision_name(decision), by, made, from);
	kt_origin_audit(s, from, in, kt_decision_name(decision), made);
	if (s->turn && !s->inputs.len)
		s->turn->state = KT_TURN_RUNNING;
	if (s->harness)
		kt_harness_answer(s->harness, in->ask_id, decision, answers,
			decision == KT_DENY ? note : NULL);
	input_free(in);
}

static void on_input_expired(void *arg)
{
	struct kt_input *in = arg;
	struct kt_session *s = in->session;
	bool approve = !in->question && s->app &&
		s->app->app->approval_default == KT_INPUT_APPROVE_ONCE;

	kt_log(KT_LOG_WARN, "session",
		"%s: nobody answered %s in time (runtime.approval_timeout_seconds)", s->id,
		in->request_id);
	resolve_input(s, in, approve ? KT_APPROVE_ONCE : KT_DENY, NULL, "expired", NULL);
}

static bool policy_decides(const struct kt_session *s, const struct kt_ask *ask,
	enum kt_decision *out, const char **out_by)
{
	enum kt_input_policy p = s->app ? s->app->app->input_policy : KT_INPUT_PROMPT;

	*out_by = "policy";
	if (p == KT_INPUT_PROMPT)
		return false;
	*out = p == KT_INPUT_DENY || p == KT_INPUT_ERROR ? KT_DENY : KT_APPROVE_ONCE;
	/* In a session that is to plan, nothing is done that nobody looked at. */
	if (*out != KT_DENY && kt_str_eq(s->permission_mode, "plan"))
		return false;
	/* A question has no yes: only a refusal can be given for a person. */
	return *out == KT_DENY || !kt_str_eq(ask->kind, "question");
}

static void auto_answer(struct kt_session *s, const struct kt_ask *ask, enum kt_decision decision,
	const char *by, const struct kt_approval *allowed, const char *why)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "state", decision == KT_DENY ? "auto_denied" : "auto_approved");
	kt_jw_str(&w, "tool", ask->tool);
	kt_jw_str(&w, "tool_use_id", ask->tool_use_id);
	kt_jw_str(&w, "message", ask->message);
	kt_jw_str(&w, "by", by);
	if (why)
		kt_jw_str(&w, "reason", why);
	if (allowed) {
		kt_jw_str(&w, "approval_id", allowed->id);
		kt_jw_str(&w, "remembers", allowed->words);
	}
	kt_jw_obj_end(&w);
	kt_session_emit(s, KT_EV_STATUS, s->turn, &b);
	kt_harness_answer(s->harness, ask->id, decision, NULL,
		why                           ? why
			: decision == KT_DENY ? "The policy of this application says no."
					      : NULL);
}

static void emit_input(struct kt_session *s, const struct kt_input *in, const struct kt_ask *ask)
{
	struct kt_evlog *log;
	struct kt_event_draft ev = {
		.type = KT_EV_INPUT_REQUIRED,
		.turn_id = s->turn ? s->turn->id : NULL,
		.parent_tool_use_id = ask->parent_tool_use_id,
		.data = in->doc->json,
		.data_len = strlen(in->doc->json),
	};

	if (kt_session_log(s, &log, NULL) == KT_OK)
		s->last_seq = kt_evlog_append(log, &ev);
}

/* True when nobody has to be asked; out_fails: and the turn has to end. */
static bool is_decided_ask(struct kt_session *s, const struct kt_ask *ask,
	const struct kt_approval *allowed, bool *out_fails)
{
	enum kt_decision decision;
	const char *by;

	*out_fails = false;
	if (allowed) {
		auto_answer(s, ask, KT_APPROVE_ONCE, "session", allowed, NULL);
		return true;
	}
	if (!policy_decides(s, ask, &decision, &by))
		return false;
	auto_answer(s, ask, decision, by, NULL, NULL);
	*out_fails = s->app->app->input_policy == KT_INPUT_ERROR && s->turn;
	if (*out_fails)
		s->turn->stop_code = "input_required";
	return true;
}

bool kt_session_asked(struct kt_session *s, const struct kt_ask *ask)
{
	int64_t wait_ms = s->app ? s->app->app->approval_timeout_ms : KT_APPROVAL_MS;
	struct kt_vec offers = KT_VEC_INIT;
	struct kt_input *in;
	const char *why;
	bool fails;

	if (!kt_session_may_log(s, KT_EV_INPUT_REQUIRED, ask->input_len))
		return false;
	kt_approvals_offer(s, ask, &offers);
	if (is_decided_ask(s, ask, kt_approvals_match(s, &offers), &fails)) {
		kt_approvals_release(&offers);
		return fails;
	}
	/* What would not be kept is not offered. */
	if (s->approvals.len >= KT_MAX_REMEMBERED)
		kt_approvals_release(&offers);
	in = kt_calloc(1, sizeof(*in));
	kt_rand_id("req_", in->request_id);
	in->session = s;
	in->question = kt_str_eq(ask->kind, "question");
	in->ask_id = kt_strdup(ask->id);
	in->tool = ask->tool ? kt_strdup(ask->tool) : NULL;
	in->offers = offers;
	in->expires_us = kt_time_us() + wait_ms * 1000;
	if (!kt_input_render(in, ask, &why)) {
		input_free(in);
		auto_answer(s, ask, KT_DENY, "limit", NULL, why);
		return false;
	}
	in->expiry = kt_timer_new(s->reg->loop, on_input_expired, in);
	kt_timer_start(in->expiry, wait_ms, 0);
	kt_vec_push(&s->inputs, in);
	emit_input(s, in, ask);
	if (s->turn)
		s->turn->state = KT_TURN_WAITING;
	kt_session_notify(s, KT_NOTE_PAUSED, s->turn ? s->turn->id : NULL);
	return false;
}

void kt_session_ask_withdrawn(struct kt_session *s, const char *ask_id)
{
	for (size_t i = 0; i < s->inputs.len; i++) {
		struct kt_input *in = s->inputs.items[i];

		if (!kt_str_eq(in->ask_id, ask_id))
			continue;
		kt_vec_remove(&s->inputs, i);
		keep_answer(s, in, KT_DENY, "withdrawn");
		emit_resolved(s, in->request_id, "canceled", "harness", NULL, NULL);
		input_free(in);
		if (s->turn && !s->inputs.len)
			s->turn->state = KT_TURN_RUNNING;
		return;
	}
}

void kt_session_drop_inputs(struct kt_session *s, const char *by)
{
	while (s->inputs.len) {
		struct kt_input *in = kt_vec_remove(&s->inputs, 0);

		keep_answer(s, in, KT_DENY, "withdrawn");
		if (by)
			emit_resolved(s, in->request_id, "canceled", by, NULL, NULL);
		input_free(in);
	}
}

static enum kt_code already_answered(struct kt_session *s, const char *request_id,
	struct kt_answered *out_first, struct kt_err *err)
{
	unsigned n = KT_MIN(s->n_answered, (unsigned)KT_ANSWERED_KEPT);

	for (unsigned i = 0; i < n; i++) {
		if (!kt_str_eq(s->answered[i].request_id, request_id))
			continue;
		*out_first = s->answered[i];
		return kt_answered_fail(out_first, err);
	}
	return kt_fail(err, KT_ENOTFOUND, 0, "input '%.60s' is not open", request_id);
}

static bool is_option(
	const struct kt_session *s, const struct kt_input *in, enum kt_decision decision)
{
	if (decision == KT_DENY)
		return true;
	if (in->question || in->deny_only || decision == KT_ANSWER)
		return in->question && decision == KT_ANSWER;
	if (decision == KT_APPROVE_ONCE)
		return true;
	/* Of many open ones each was offered the last place. */
	return kt_approvals_find(&in->offers, decision) && s->approvals.len < KT_MAX_REMEMBERED;
}

enum kt_code kt_session_answer(struct kt_session *s, const char *request_id,
	enum kt_decision decision, const char *answers, const struct kt_origin *from,
	struct kt_answered *out_first, struct kt_err *err)
{
	for (size_t i = 0; i < s->inputs.len; i++) {
		struct kt_input *in = s->inputs.items[i];

		if (!kt_str_eq(in->request_id, request_id))
			continue;
		if (!is_option(s, in, decision))
			return kt_fail(err, KT_EINVAL, 0,
				"decision '%s' is not one of this input's options",
				kt_decision_name(decision));
		if (decision == KT_ANSWER && !answers)
			return kt_fail(
				err, KT_EINVAL, 0, "'answers' is required to answer a question");
		kt_session_tell(s, "info", "session", "'%s' was answered with %s by %s from %s",
			request_id, kt_decision_name(decision),
			from && from->who ? from->who : "somebody",
			from && from->address ? from->address : "this machine");
		resolve_input(s, in, decision, answers, "user", from);
		return KT_OK;
	}
	return already_answered(s, request_id, out_first, err);
}
