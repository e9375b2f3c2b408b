/* SPDX-License-Identifier: MIT */
/*
 * What a person is asked, as data of an input_required event. A call whose input is larger than an
 * event is shown in part, with its size and digest; the whole of it stays here until it is
 * answered, for whoever wants to see it before deciding.
 */
#include "session/session_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"
#include "crypto/crypto.h"
#include "text/json.h"

#include <string.h>

/* What is shown of a long string in an input that is too large for an event. */
static const size_t cuts[] = { 64 * 1024, 1024, 64 };

/* The input as far as it is shown, and what tells the whole of it. */
static void write_part(
	struct kt_jw *w, const cJSON *input, size_t cut, const char *digest, size_t bytes)
{
	kt_emit_cut_json(w, "tool_input", input, cut);
	kt_jw_bool(w, "truncated", true);
	kt_jw_int(w, "tool_input_bytes", (int64_t)bytes);
	kt_jw_str(w, "tool_input_sha256", digest);
}

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

/* input NULL: as the harness wrote it. */
static void write_ask(struct kt_buf *b, const struct kt_input *in, const struct kt_ask *ask,
	const cJSON *input, size_t cut, const char *digest)
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
	if (input)
		write_part(&w, input, cut, digest, ask->input_len);
	else if (ask->input)
		kt_jw_raw(&w, "tool_input", ask->input, ask->input_len);
	else
		kt_jw_null(&w, "tool_input");
	kt_jw_str(&w, "tool_use_id", ask->tool_use_id);
	kt_jw_str(&w, "message", ask->message);
	write_options(&w, in);
	write_asker(&w, in->session, ask);
	if (ask->questions)
		kt_jw_raw(&w, "questions", ask->questions, strlen(ask->questions));
	kt_jw_str(&w, "expires_at", iso);
	kt_jw_obj_end(&w);
}

/* False when there is no digest or even the part is too large. */
static bool write_large(struct kt_buf *b, struct kt_input *in, const struct kt_ask *ask)
{
	KT_AUTO_JSON cJSON *input = NULL;
	char digest[KT_DIGEST_MAX];

	if (!ask->input || in->question || kt_crypto_init(NULL) != KT_OK ||
		kt_json_parse(ask->input, ask->input_len, KT_JSON_LENIENT, &input, NULL) != KT_OK)
		return false;
	kt_sha256_of(ask->input, ask->input_len, digest);
	for (size_t i = 0; i < KT_ARRAY_LEN(cuts); i++) {
		write_ask(b, in, ask, input, cuts[i], digest);
		if (!kt_buf_ok(b))
			continue;
		in->whole = kt_strndup(ask->input, ask->input_len);
		return true;
	}
	return false;
}

char *kt_input_render(struct kt_input *in, const struct kt_ask *ask)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);

	write_ask(&b, in, ask, NULL, 0, NULL);
	if (kt_buf_ok(&b) || write_large(&b, in, ask))
		return kt_buf_take(&b);
	/* What cannot be shown must not be approved unseen: only its size is told. */
	in->deny_only = true;
	kt_buf_clear(&b);
	kt_buf_addf(&b, "{\"request_id\":\"%s\",\"kind\":\"tool_use\",\"tool\":", in->request_id);
	if (ask->tool && strlen(ask->tool) <= KT_MAX_NAME_BYTES)
		kt_json_add_str(&b, ask->tool, strlen(ask->tool));
	else
		kt_buf_adds(&b, "null");
	kt_buf_addf(&b,
		",\"tool_input\":{\"truncated\":true,\"bytes\":%zu},\"message\":"
		"\"the input of this tool call is too large to "
		"show\",\"options\":[\"deny\"],\"remembers\":[]}",
		ask->input_len);
	return kt_buf_take(&b);
}

enum kt_code kt_session_input(
	struct kt_session *s, const char *request_id, struct kt_buf *out, struct kt_err *err)
{
	static const char *const marks[] = { "truncated", "tool_input_bytes", "tool_input_sha256" };

	for (size_t i = 0; i < s->inputs.len; i++) {
		const struct kt_input *in = s->inputs.items[i];
		KT_AUTO_JSON cJSON *doc = NULL;
		const cJSON *m;
		struct kt_jw w;

		if (!kt_str_eq(in->request_id, request_id))
			continue;
		if (!in->whole) {
			kt_buf_adds(out, in->json);
			return KT_OK;
		}
		if (kt_json_parse(in->json, strlen(in->json), KT_JSON_LENIENT, &doc, err) != KT_OK)
			return kt_wrap(err, "open input");
		for (size_t k = 0; k < KT_ARRAY_LEN(marks); k++)
			cJSON_DeleteItemFromObjectCaseSensitive(doc, marks[k]);
		kt_jw_init(&w, out);
		kt_jw_obj(&w, NULL);
		cJSON_ArrayForEach (m, doc) {
			if (kt_str_eq(m->string, "tool_input"))
				kt_jw_raw(&w, "tool_input", in->whole, strlen(in->whole));
			else
				kt_jw_json(&w, m->string, m);
		}
		kt_jw_obj_end(&w);
		return KT_OK;
	}
	return kt_fail(
		err, KT_ENOTFOUND, 0, "there is no open input '%s' in this session", request_id);
}
