/* SPDX-License-Identifier: MIT */
/*
 * Of the ACP driver: what the model says, in parts and steps.
 *
 * ACP has no steps. A new one begins when the messageId changes, or with what comes first after a
 * tool has finished; codex and gemini have no messageId at all. Chunks that follow one another, of
 * one kind and messageId, are one part: a tool call or a thought between words ends it.
 *
 * OpenCode calls the model again when a call breaks off, and then its words come once more under
 * the same messageId: on the wire that is nothing else than a model that repeats itself. Its log
 * tells the two apart (see kt_acp_log_line()), and only the log is believed.
 */
#include "harness/acp_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "text/seam.h"

#include <string.h>

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : !a && !b;
}

/* --- steps and parts -------------------------------------------------------------------------- */

void kt_acp_end_part(struct acp *a)
{
	a->part = NULL;
	kt_buf_clear(&a->blank);
	kt_str_set(&a->blank_id, NULL);
}

void kt_acp_step(struct acp *a)
{
	kt_acp_end_part(a);
	if (a->steps > 0)
		kt_emit_step_finish(&a->d, a->steps, NULL, NULL);
	a->steps++;
	kt_emit_step_start(&a->d, a->steps, "Model call", NULL);
	a->step_over = false;
	a->step_spoke = false;
	kt_str_set(&a->message_id, NULL);
	kt_str_set(&a->thought_id, NULL);
}

static void acp_part_free(struct acp *a, struct acp_part *p)
{
	a->d.kept -= p->text.len;
	free(p->id);
	free(p->message_id);
	kt_buf_release(&p->text);
	free(p);
}

void kt_acp_forget_parts(struct acp *a)
{
	kt_acp_end_part(a);
	for (size_t i = 0; i < a->parts.len; i++)
		acp_part_free(a, a->parts.items[i]);
	kt_vec_release(&a->parts);
}

void kt_acp_turn_text(const struct acp *a, struct kt_buf *out)
{
	for (size_t i = 0; i < a->parts.len; i++) {
		const struct acp_part *p = a->parts.items[i];

		if (p->reasoning || p->text.len == 0)
			continue;
		if (out->len > 0)
			kt_buf_adds(out, "\n\n");
		kt_buf_add(out, p->text.ptr, p->text.len);
	}
}

static bool is_used(const struct acp *a, const char *id)
{
	for (size_t i = 0; i < a->parts.len; i++) {
		const struct acp_part *p = a->parts.items[i];

		if (!strcmp(p->id, id))
			return true;
	}
	return false;
}

/* The messageId is the part's id, but for its second part in the turn. */
static char *part_id(const struct acp *a, bool reasoning, const char *message_id)
{
	KT_AUTOFREE char *base = message_id ? kt_strdup(message_id)
					    : kt_asprintf("turn%u-step%d", a->position, a->steps);
	char *id = kt_asprintf("%s%s", base, reasoning ? "-thought" : "");

	if (!is_used(a, id))
		return id;
	free(id);
	return kt_asprintf("%s%s.%zu", base, reasoning ? "-thought" : "", a->parts.len);
}

static struct acp_part *begin_part(struct acp *a, bool reasoning, const char *message_id)
{
	struct acp_part *p = kt_calloc(1, sizeof(*p));

	p->id = part_id(a, reasoning, message_id);
	p->message_id = kt_strdup_opt(message_id);
	p->reasoning = reasoning;
	p->step = a->steps;
	kt_buf_init(&p->text, KT_MAX_LINE_BYTES);
	kt_vec_push(&a->parts, p);
	a->part = p;
	return p;
}

static void acp_say_text(struct acp *a, struct acp_part *p, const char *text, size_t len)
{
	if (len == 0 || (p->reasoning && !a->thinking))
		return;
	a->d.kept -= p->text.len;
	kt_seam_add(&p->text, text, len);
	a->d.kept += p->text.len;
	kt_emit_text(&a->d, p->reasoning, p->id, text, len, false, NULL);
}

static void take_back_part(struct acp *a, struct acp_part *p)
{
	if (p->text.len == 0)
		return;
	kt_emit_text(&a->d, p->reasoning, p->id, "", 0, true, NULL);
	a->d.kept -= p->text.len;
	kt_buf_release(&p->text);
}

void kt_acp_retract_error_text(struct acp *a, const char *message)
{
	struct acp_part *p = a->part;

	if (p && !p->reasoning && p->text.len && strstr(message, p->text.ptr))
		take_back_part(a, p);
}

/* --- chunks ----------------------------------------------------------------------------------- */

/* Chunks that are no words of the model; true when the chunk was one. */
static bool take_noise(struct acp *a, const cJSON *update, const char *text)
{
	bool noise = kt_str_starts(text, "[MODE_UPDATE] ");

	if ((a->quirks & ACP_PREFIX_NOISE) && !a->got_chunk)
		noise = noise || kt_str_starts(text, "Model metadata for `");
	if (noise)
		kt_acp_system(a, "notice", "message",
			kt_json_get(kt_json_get(update, "content"), "text"));
	return noise;
}

/*
 * Blank words alone are no part: they wait for the words that they stand before. True when text is
 * kept so.
 */
static bool keep_blank(struct acp *a, bool reasoning, const char *message_id, const char *text)
{
	if (text[strspn(text, " \t\r\n")])
		return false;
	if (a->blank_reasoning != reasoning || !same_text(a->blank_id, message_id))
		kt_buf_clear(&a->blank);
	a->blank_reasoning = reasoning;
	kt_str_set(&a->blank_id, message_id);
	kt_buf_adds(&a->blank, text);
	return true;
}

/* The step that a chunk belongs to. */
static void find_step(struct acp *a, bool reasoning, const char *id)
{
	bool logs = a->quirks & ACP_LOGS_CALLS;

	/* OpenCode has one messageId for each model call, whose tools may end while it speaks. */
	if (logs && !reasoning && id && kt_str_eq(id, a->message_id))
		a->step_over = false;
	bool other = !reasoning ? id && a->message_id && strcmp(id, a->message_id) != 0
				: !logs && a->step_spoke && id && !kt_str_eq(id, a->message_id) &&
			!kt_str_eq(id, a->thought_id);

	if (a->step_over || other)
		kt_acp_step(a);
	if (id && !kt_str_eq(id, reasoning ? a->thought_id : a->message_id))
		kt_str_set(reasoning ? &a->thought_id : &a->message_id, id);
	a->step_spoke = a->step_spoke || !reasoning;
}

void kt_acp_chunk(struct acp *a, const cJSON *update, bool reasoning)
{
	const cJSON *content = kt_json_get(update, "content");
	const char *id = kt_json_str(update, "messageId");
	KT_AUTOFREE char *text = kt_acp_block_text(content);
	struct acp_part *p = a->part;

	if (!text) {
		if (cJSON_IsObject(content))
			kt_acp_system(a, "content", "content", content);
		return;
	}
	if (!*text || (!reasoning && take_noise(a, update, text)))
		return;
	if (p && (p->reasoning != reasoning || !same_text(p->message_id, id)))
		p = NULL;
	if (!p && keep_blank(a, reasoning, id, text))
		return;
	if (!reasoning) {
		a->got_chunk = true;
		kt_acp_close_denied(a);
	}
	find_step(a, reasoning, id);
	/* A step may have ended it. */
	if (p && a->part == p) {
		acp_say_text(a, p, text, strlen(text));
		return;
	}
	p = begin_part(a, reasoning, id);
	if (a->blank_reasoning == reasoning && same_text(a->blank_id, id))
		acp_say_text(a, p, a->blank.ptr, a->blank.len);
	kt_buf_clear(&a->blank);
	acp_say_text(a, p, text, strlen(text));
}

/* Append the words of a string, a content block, a list of blocks, or a message that holds one. */
static void add_content_words(const cJSON *v, struct kt_buf *out, int depth)
{
	KT_AUTOFREE char *text = cJSON_IsObject(v) ? kt_acp_block_text(v) : NULL;
	const cJSON *c;

	if (cJSON_IsString(v))
		kt_buf_adds(out, v->valuestring);
	else if (text)
		kt_buf_adds(out, text);
	else if (cJSON_IsObject(v) && depth < 3)
		add_content_words(kt_json_get(v, "content"), out, depth + 1);
	if (!cJSON_IsArray(v) || depth >= 3)
		return;
	cJSON_ArrayForEach (c, v) {
		add_content_words(c, out, depth + 1);
	}
}

void kt_acp_answer_words(struct acp *a, const cJSON *result)
{
	static const char *const keys[] = { "content", "text", "message" };
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_LINE_BYTES);

	for (size_t i = 0; i < a->parts.len; i++) {
		const struct acp_part *p = a->parts.items[i];

		if (!p->reasoning)
			return;
	}
	for (size_t i = 0; i < KT_ARRAY_LEN(keys) && text.len == 0; i++)
		add_content_words(kt_json_get(result, keys[i]), &text, 0);
	if (text.len)
		acp_say_text(a, begin_part(a, false, NULL), text.ptr, text.len);
}

/* --- a model call that is made again ---------------------------------------------------------- */

/* The value of key (" session.id=") in a line of OpenCode's log; its length, 0 when not there. */
static size_t log_value(const char *line, const char *key, const char **out)
{
	const char *at = strstr(line, key);

	*out = at ? at + strlen(key) : "";
	return strcspn(*out, " ");
}

static bool log_is(const char *line, const char *key, const char *value)
{
	const char *at;
	size_t n = log_value(line, key, &at);

	return value && n == strlen(value) && !memcmp(at, value, n);
}

/*
 * The call whose words come in this step broke off and is made again: what it said is void. Its
 * tools stay: they ran, or OpenCode will say that they did not.
 */
static void void_message(struct acp *a)
{
	bool ours = a->message_id ? kt_str_eq(a->message_id, a->call_message)
				  : a->steps > 0 && !a->step_over;

	if (!a->prompted || !ours)
		return;
	kt_acp_end_part(a);
	for (size_t i = 0; i < a->parts.len; i++) {
		struct acp_part *p = a->parts.items[i];

		if (p->step == a->steps)
			take_back_part(a, p);
	}
	a->step_over = false;
}

bool kt_acp_log_line(struct acp *a, const char *line)
{
	const char *id;
	size_t n;

	if (!(a->quirks & ACP_LOGS_CALLS) || !kt_str_starts(line, "timestamp=") ||
		!strstr(line, " level="))
		return false;
	if (!log_is(line, " session.id=", a->session))
		return true;
	if (log_is(line, " message=", "process")) {
		/* A model call begins ... */
		n = log_value(line, " messageID=", &id);
		free(a->call_message);
		a->call_message = kt_strndup(id, n);
		a->call_tries = 0;
	} else if (log_is(line, " message=", "stream") && log_is(line, " small=", "false")) {
		/* ... and this is each try at it. */
		if (a->call_message && a->call_tries++ > 0)
			void_message(a);
	}
	return true;
}
