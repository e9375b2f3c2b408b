/* SPDX-License-Identifier: MIT */
/*
 * How much one turn and one session may write: events and bytes of the log. A harness that passes
 * it is killed and its turn ends with an error that says so; what was written stays to be read.
 */
#include "session/run/run_private.h"

#include "base/limits.h"

#include <stdio.h>

/* Of a frame, around its data. */
#define FRAME_BYTES 300

bool kt_session_is_full(struct kt_session *s)
{
	struct kt_evlog *log;

	return kt_session_log(s, &log, NULL) == KT_OK &&
		kt_evlog_bytes(log) >= KT_MAX_SESSION_BYTES;
}

static void fail_capped_turn(
	struct kt_session *s, const char *code, const char *what, const char *next)
{
	char text[240];

	(void)snprintf(text, sizeof(text), "%s (fixed); the harness was stopped. %s", what, next);
	if (s->turn)
		s->turn->over = true;
	if (s->harness)
		kt_harness_fail(s->harness, code, text);
}

bool kt_session_may_log(struct kt_session *s, enum kt_event_type type, size_t len)
{
	struct kt_turn *t = s->turn;
	char what[80];

	if (t && t->over)
		return type == KT_EV_TOOL_RESULT;
	if (t) {
		t->events++;
		t->bytes += len + FRAME_BYTES;
	}
	if (t && (t->events > KT_MAX_TURN_EVENTS || t->bytes > KT_MAX_TURN_BYTES)) {
		(void)snprintf(what, sizeof(what), "the turn has more than %d events or %d MiB",
			KT_MAX_TURN_EVENTS, KT_MAX_TURN_BYTES / (1024 * 1024));
		fail_capped_turn(s, "turn_too_large", what, "Let the agent do less in one turn");
		return false;
	}
	if (kt_session_is_full(s)) {
		(void)snprintf(what, sizeof(what), "the events of the session have %d MiB",
			KT_MAX_SESSION_BYTES / (1024 * 1024));
		fail_capped_turn(s, "session_too_large", what, "Go on in a new session");
		return false;
	}
	return true;
}
