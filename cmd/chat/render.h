/* SPDX-License-Identifier: MIT */
/*
 * Events as lines for a terminal, shared by chat, send and sessions. Renders into the caller's
 * buffers and writes nothing. Everything that came from a server is sanitized here.
 */
#ifndef KT_CMD_CHAT_RENDER_H
#define KT_CMD_CHAT_RENDER_H

#include "base/map.h"
#include "base/vec.h"
#include "cli/markdown.h"
#include "cli/term.h"
#include "client/client.h"

#define KT_RENDER_MAX_BYTES ((size_t)32 * 1024 * 1024) /* one event drawn */

struct kt_render_config {
	const struct kt_term *text_term; /* of the assistant's text */
	const struct kt_term *side_term; /* of everything else */
	struct kt_buf *text, *side; /* may be one buffer; BORROWED */
	bool plain; /* text as it comes, not drawn: nothing is held, and nothing redrawn */
	bool show_text; /* false: text is not drawn (the caller prints the answer) */
	bool reasoning; /* draw reasoning */
	bool users; /* draw the messages of users, and who else queued one */
	bool inputs; /* draw approvals (false: the caller asks) */
};

struct kt_render;

/* New renderer; kt_render_free() ends it. */
KT_MUST_CHECK struct kt_render *kt_render_new(const struct kt_render_config *cfg);
void kt_render_free(struct kt_render *r);
/* Reasoning on or off from now on. */
void kt_render_set_reasoning(struct kt_render *r, bool on);
/* Append what an event looks like. */
void kt_render_event(struct kt_render *r, const struct kt_client_event *ev);
/* End what is open (a paragraph, a line of reasoning), so that other lines may follow. */
void kt_render_close(struct kt_render *r);
/*
 * Append what is open (a paragraph, a list), as whole lines, as far as it came: drawn below the
 * rest until there is more. False when nothing is.
 */
KT_MUST_CHECK bool kt_render_tail(const struct kt_render *r, struct kt_buf *b);
/* Take from a turn's beginning what is waited for; kt_render_event() does so itself. */
void kt_render_begun(struct kt_render *r, const struct kt_client_event *ev);
/*
 * Append what is waited for ("running Bash: npm test  12 s"), on one line without an end; with the
 * seconds after a while.
 */
void kt_render_waiting(const struct kt_render *r, struct kt_buf *b);

/* Append "1,234 in · 56 out · $0.0187 · 3.2 s" of a done event's data; nothing when all is absent.
 */
void kt_render_figures(struct kt_buf *b, const struct kt_term *t, const cJSON *done);

#endif
