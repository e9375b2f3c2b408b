/* SPDX-License-Identifier: MIT */
/*
 * What a person is asked, as data of an input_required event. A call whose input is larger than an
 * event is shown in part, with its size and digest; the whole of it stays here until it is
 * answered, for whoever wants to see it before deciding.
 */
#include "session/talk/talk_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"
#include "text/json.h"

#include <string.h>

/* The decisions that are taken, and of those that are remembered what they cover. */
static void write_options(struct kt_jw *w, const struct kt_input *in)
{
	kt_jw_arr(w, "options");
	kt_jw_str(w, NULL, in->question ? "answer" : "approve_once");
	for (size_t i = 0; i < in->offers.len; i++) {
		const struct kt_approval *a = in->offers.items[i];

		kt_jw_str(w, NULL, kt_decision_name(a->decision));
	}
	kt_jw_str(w, NULL, "deny");
	kt_jw_arr_end(w);
	kt_jw_arr(w, "remembers");
	for (size_t i = 0; i < in->offers.len; i++) {
		const struct kt_approval *a = in->offers.items[i];

		kt_jw_obj(w, NULL);
		kt_jw_str(w, "decision", kt_decision_name(a->decision));
		kt_jw_str(w, "words", a->words);
		kt_jw_obj_end(w);
	}
	kt_jw_arr_end(w);
}

void kt_origin_write(struct kt_jw *w, const char *key, const struct kt_origin *o)
{
	kt_jw_obj(w, key);
	kt_jw_str(w, "key", o->who);
	kt_jw_str(w, "address", o->address);
	kt_jw_obj_end(w);
}

/* At most so much of words that others choose: an entry is kept for ever. */
#define AUDIT_TEXT_BYTES 500

static void audit_text(struct kt_jw *w, const char *key, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	if (text)
		kt_jw_strn(w, key, text, kt_utf8_cut(text, len, AUDIT_TEXT_BYTES));
}

void kt_origin_audit(const struct kt_session *s, const struct kt_origin *from,
	const struct kt_input *in, const char *decision, const struct kt_approval *a)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(16384);
	char object[KT_ID_MAX + 16];
	struct kt_jw w;

	if (!s->reg->control || !from || !from->actor)
		return;
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "project", s->pin ? s->pin->target.project : NULL);
	if (in) {
		kt_jw_str(&w, "request_id", in->request_id);
		kt_jw_str(&w, "decision", decision);
		audit_text(&w, "tool", in->tool);
	} else if (a) {
		audit_text(&w, "tool", a->tool);
	}
	if (a) {
		kt_jw_str(&w, "approval_id", a->id);
		audit_text(&w, in ? "remembers" : "forgets", a->words);
	}
	kt_jw_obj_end(&w);
	snprintf(object, sizeof(object), "session/%s", s->id);
	kt_control_audit_decision(s->reg->control, from->actor,
		in ? "approval.decide" : "approval.revoke", object, b.ptr);
}

/* For whom it is asked: agent, session, project, and who sent the message of the turn. */
static void write_asker(struct kt_jw *w, const struct kt_session *s, const struct kt_ask *ask)
{
	const struct kt_turn *t = s->turn;

	kt_jw_obj(w, "asked_by");
	kt_jw_str(w, "agent", t && t->agent ? t->agent : s->current_agent);
	kt_jw_bool(w, "sub_agent", ask->parent_tool_use_id != NULL);
	kt_jw_str(w, "sub_agent_name", ask->sub_agent);
	kt_jw_str(w, "session_id", s->id);
	kt_jw_str(w, "project", s->pin ? s->pin->target.project : NULL);
	if (t) {
		const struct kt_origin from = { t->from_who, t->from_address, NULL };

		kt_origin_write(w, "message_from", &from);
	} else {
		kt_jw_null(w, "message_from");
	}
	kt_jw_obj_end(w);
}

/* How the input is shown. */
enum shown {
	SHOWN_WHOLE,
	SHOWN_PART, /* and what tells the whole of it */
	SHOWN_NOT, /* its place is in->doc->split */
};

static void write_ask(
	struct kt_buf *b, const struct kt_input *in, const struct kt_ask *ask, enum shown shown)
{
	char iso[40];
	struct kt_jw w;

	kt_time_iso(in->expires_us, false, iso, sizeof(iso));
	kt_buf_clear(b);
	kt_jw_init(&w, b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "request_id", in->request_id);
	kt_jw_str(&w, "kind", ask->kind);
	kt_jw_str(&w, "tool", ask->tool);
	if (shown == SHOWN_PART) {
		kt_jw_raw(&w, "tool_input", ask->part, strlen(ask->part));
		kt_jw_bool(&w, "truncated", true);
		kt_jw_int(&w, "tool_input_bytes", (int64_t)ask->input_len);
		kt_jw_str(&w, "tool_input_sha256", ask->sha256);
	} else if (shown == SHOWN_NOT) {
		kt_jw_raw(&w, "tool_input", "", 0);
		in->doc->split = b->len;
	} else if (ask->input) {
		kt_jw_raw(&w, "tool_input", ask->input, ask->input_len);
	} else {
		kt_jw_null(&w, "tool_input");
	}
	kt_jw_str(&w, "tool_use_id", ask->tool_use_id);
	kt_jw_str(&w, "message", ask->message);
	write_options(&w, in);
	write_asker(&w, in->session, ask);
	if (ask->questions)
		kt_jw_raw(&w, "questions", ask->questions, strlen(ask->questions));
	kt_jw_str(&w, "expires_at", iso);
	kt_jw_obj_end(&w);
}

/* False when even the part is too large. */
static bool write_large(struct kt_buf *b, const struct kt_input *in, const struct kt_ask *ask)
{
	KT_AUTO_BUF struct kt_buf frame = KT_BUF_INIT(KT_MAX_EVENT_BYTES);

	if (!ask->part || in->question)
		return false;
	write_ask(b, in, ask, SHOWN_PART);
	write_ask(&frame, in, ask, SHOWN_NOT);
	if (!kt_buf_ok(b) || !kt_buf_ok(&frame))
		return false;
	in->doc->frame = kt_buf_take(&frame);
	in->doc->whole = ask->shared
		? kt_shared_ref(ask->shared)
		: kt_shared_new(kt_strndup(ask->input, ask->input_len), ask->input_len);
	return true;
}

/* What cannot be shown must not be approved unseen: only its size is told. */
static void write_size(struct kt_buf *b, const struct kt_input *in, const struct kt_ask *ask)
{
	kt_buf_clear(b);
	kt_buf_addf(b, "{\"request_id\":\"%s\",\"kind\":\"tool_use\",\"tool\":", in->request_id);
	if (ask->tool && strlen(ask->tool) <= KT_MAX_NAME_BYTES)
		kt_json_add_str(b, ask->tool, strlen(ask->tool));
	else
		kt_buf_adds(b, "null");
	kt_buf_addf(b,
		",\"tool_input\":{\"truncated\":true,\"bytes\":%zu},\"message\":"
		"\"the input of this tool call is too large to "
		"show\",\"options\":[\"deny\"],\"remembers\":[]}",
		ask->input_len);
}

/* Its texts, and the input that the driver keeps for the answer. */
static size_t bytes_of(const struct kt_input_doc *d, const struct kt_ask *ask)
{
	return sizeof(struct kt_input) + sizeof(*d) + strlen(d->json) +
		(d->frame ? strlen(d->frame) : 0) + ask->input_len;
}

bool kt_input_render(struct kt_input *in, const struct kt_ask *ask, const char **out_why)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	struct kt_input_doc *d = in->doc = kt_calloc(1, sizeof(*d));
	enum kt_budget_limit limit;

	d->refs = 1;
	kt_hold_like(&d->hold, kt_harness_hold(in->session->harness));
	write_ask(&b, in, ask, SHOWN_WHOLE);
	if (!kt_buf_ok(&b) && !write_large(&b, in, ask)) {
		in->deny_only = true;
		write_size(&b, in, ask);
	}
	d->json = kt_buf_take(&b);
	limit = kt_hold_more(&d->hold, bytes_of(d, ask));
	*out_why = limit == KT_BUDGET_ORG
		? "The sessions of this organization keep as much in memory as they may (fixed): "
		  "there is no room to ask a person about this call. Try it again later, or ask "
		  "for "
		  "less at once."
		: "The sessions of this server keep as much in memory as they may (fixed): there "
		  "is "
		  "no room to ask a person about this call. Try it again later, or ask for less at "
		  "once.";
	return limit == KT_BUDGET_FITS;
}

/* --- for clients ------------------------------------------------------------------------- */

enum kt_code kt_session_input(
	struct kt_session *s, const char *request_id, struct kt_input_doc **out, struct kt_err *err)
{
	for (size_t i = 0; i < s->inputs.len; i++) {
		const struct kt_input *in = s->inputs.items[i];

		if (!kt_str_eq(in->request_id, request_id))
			continue;
		in->doc->refs++;
		*out = in->doc;
		return KT_OK;
	}
	return kt_fail(
		err, KT_ENOTFOUND, 0, "there is no open input '%s' in this session", request_id);
}

size_t kt_input_doc_bytes(const struct kt_input_doc *d)
{
	return d->frame ? strlen(d->frame) + d->whole->len : strlen(d->json);
}

size_t kt_input_doc_at(const struct kt_input_doc *d, size_t at, const char **out)
{
	const char *text = d->frame ? d->frame : d->json;
	size_t end = d->frame ? d->split : strlen(text);

	if (d->frame && at >= end) {
		at -= end;
		text = d->whole->text;
		end = d->whole->len;
		if (at >= end) {
			at -= end;
			text = d->frame + d->split;
			end = strlen(text);
		}
	}
	*out = text + at;
	return end - at;
}

void kt_input_doc_unref(struct kt_input_doc *d)
{
	if (!d || --d->refs > 0)
		return;
	kt_hold_release(&d->hold);
	kt_shared_unref(d->whole);
	free(d->json);
	free(d->frame);
	free(d);
}
