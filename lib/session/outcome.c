/* SPDX-License-Identifier: MIT */
/*
 * What became of an input that is not open and not among the last that were answered: read back
 * from the session's log, the only memory that outlives the server. Who asks so is late, and few
 * are; an id that was never given is told apart by its form, or by reading to the end.
 */
#include "session/session_private.h"

#include "base/str.h"
#include "text/json.h"

#include <string.h>

struct search {
	const char *request_id;
	char turn_id[KT_ID_MAX];
	bool asked, ended, interrupted, resolved;
	struct kt_answered *out;
};

/* The words of the log as they are told; of what has no answer "withdrawn". */
static void take_resolved(struct search *x, const cJSON *data)
{
	static const char *const by[] = { "user", "policy", "expired" };
	const char *who = kt_json_str_or(data, "by", "");

	x->resolved = true;
	x->out->by = "withdrawn";
	if (!kt_decision_parse(kt_json_str(data, "decision"), &x->out->decision))
		return;
	for (size_t i = 0; i < KT_ARRAY_LEN(by); i++) {
		if (kt_str_eq(who, by[i]))
			x->out->by = by[i];
	}
}

static void look(struct search *x, const struct kt_evframe *f)
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

static bool look_on(void *arg, const struct kt_evframe *f)
{
	struct search *x = arg;

	look(x, f);
	return !x->resolved && !x->ended;
}

enum kt_code kt_input_outcome(struct kt_session *s, const char *request_id,
	struct kt_answered *out_first, struct kt_err *err)
{
	struct kt_answered found = { .decision = KT_DENY, .by = "withdrawn" };
	struct search x = { .request_id = request_id, .out = &found };
	struct kt_evlog *log;

	if (kt_str_starts(request_id, "req_") && strlen(request_id) < KT_ID_MAX &&
		kt_session_log(s, &log, NULL) == KT_OK)
		kt_evlog_each(log, 0, look_on, &x);
	if (!x.asked)
		return kt_fail(err, KT_ENOTFOUND, 0, "there is no input '%.60s' in this session",
			request_id);
	kt_str_copy(found.request_id, sizeof(found.request_id), request_id);
	if (!x.resolved && x.interrupted)
		found.by = "interrupted";
	*out_first = found;
	return kt_answered_fail(out_first, err);
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
