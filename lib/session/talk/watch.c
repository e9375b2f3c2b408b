/* SPDX-License-Identifier: MIT */
/* Who waits for a session. */
#include "session/talk/talk_private.h"

void kt_session_notify(struct kt_session *s, enum kt_note note, const char *turn_id)
{
	struct kt_watch *next;

	for (struct kt_watch *w = s->watches; w; w = next) {
		next = w->next;
		w->note(w->arg, note, turn_id);
	}
}

void kt_watch_add(struct kt_session *s, struct kt_watch *w)
{
	w->session = s;
	w->prev = NULL;
	w->next = s->watches;
	if (s->watches)
		s->watches->prev = w;
	s->watches = w;
}

void kt_watch_remove(struct kt_watch *w)
{
	if (!w->session)
		return;
	if (w->prev)
		w->prev->next = w->next;
	else
		w->session->watches = w->next;
	if (w->next)
		w->next->prev = w->prev;
	w->session = NULL;
}
