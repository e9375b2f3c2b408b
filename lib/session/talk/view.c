/* SPDX-License-Identifier: MIT */
/* The session object of the API. */
#include "session/talk/talk_private.h"

#include "base/time.h"
#include "text/json.h"

#include <string.h>

static const char *turn_state_name(enum kt_turn_state state)
{
	switch (state) {
	case KT_TURN_QUEUED:
		return "queued";
	case KT_TURN_STARTING:
		return "starting";
	case KT_TURN_RUNNING:
		return "running";
	case KT_TURN_WAITING:
		return "waiting";
	}
	return "running";
}

void kt_session_write_pending(struct kt_jw *w, const char *key, const struct kt_session *s)
{
	const struct kt_input *in = s->inputs.len ? s->inputs.items[0] : NULL;

	if (in)
		kt_jw_raw(w, key, in->doc->json, strlen(in->doc->json));
	else
		kt_jw_null(w, key);
}

static void write_view_turn(struct kt_jw *w, const struct kt_session *s)
{
	/* Between two turns the next one is still in the queue: the session is not idle. */
	const struct kt_turn *t = s->turn ? s->turn : s->queue.len ? s->queue.items[0] : NULL;

	if (!t) {
		kt_jw_null(w, "turn");
		return;
	}
	kt_jw_obj(w, "turn");
	kt_jw_str(w, "id", t->id);
	kt_jw_str(w, "state", turn_state_name(t->state));
	kt_jw_int(w, "queued", (int64_t)s->queue.len - !s->turn);
	kt_jw_obj_end(w);
}

void kt_session_write(struct kt_jw *w, const struct kt_session *s)
{
	char iso[40];

	kt_jw_str(w, "id", s->id);
	kt_jw_raw(w, "metadata", s->metadata, strlen(s->metadata));
	kt_jw_str(w, "current_agent", s->current_agent);
	kt_jw_str(w, "status", "active");
	kt_time_iso(s->created_us, false, iso, sizeof(iso));
	kt_jw_str(w, "created_at", iso);
	kt_time_iso(s->updated_us, false, iso, sizeof(iso));
	kt_jw_str(w, "updated_at", iso);
	kt_jw_str(w, "parent_id", s->parent_id);
	kt_session_write_pending(w, "pending_input", s);
	kt_jw_str(w, "permission_mode", s->permission_mode);
	kt_jw_arr(w, "participants");
	for (size_t i = 0; i < s->participants.len; i++) {
		const struct kt_participant *p = s->participants.items[i];

		kt_jw_obj(w, NULL);
		kt_jw_str(w, "name", p->name);
		kt_jw_str(w, "type", p->type);
		kt_jw_obj_end(w);
	}
	kt_jw_arr_end(w);
	kt_jw_str(w, "title", s->title);
	write_view_turn(w, s);
	kt_jw_int(w, "turns", s->turns);
	kt_spent_write(w, "usage", &s->spent);
	kt_jw_int(w, "last_seq", (int64_t)kt_session_last_seq(s));
}
