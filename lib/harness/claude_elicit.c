/* SPDX-License-Identifier: MIT */
/*
 * What an MCP server wants to know of the user (`elicitation`): a form of a few fields, a page to
 * visit, or a plain yes. Each field is a question for a person; the answers, which are words,
 * become the values that the server's schema asks for. What does not fit is declined, and that is
 * told.
 */
#include "harness/claude_private.h"

#include "base/limits.h"
#include "base/str.h"

#include <string.h>

enum { MESSAGE_BYTES = 2000 };

#define ACCEPT "Accept"
#define DECLINE "Decline"
#define LEFT_OUT "-" /* what a person types who wants to say nothing to an optional question */

/* --- the server's schema ----------------------------------------------------------------- */

static const cJSON *fields_of(const cJSON *request)
{
	return kt_json_obj(kt_json_obj(request, "requested_schema"), "properties");
}

static bool is_required(const cJSON *request, const char *name)
{
	const cJSON *v;

	cJSON_ArrayForEach (v, kt_json_arr(kt_json_obj(request, "requested_schema"), "required")) {
		if (cJSON_IsString(v) && !strcmp(v->valuestring, name))
			return true;
	}
	return false;
}

static bool is_list(const cJSON *field)
{
	return kt_str_eq(kt_json_str(field, "type"), "array");
}

/* Where the choices of a field stand: in itself, or in the items of a list. */
static const cJSON *chooser_of(const cJSON *field)
{
	return is_list(field) ? kt_json_obj(field, "items") : field;
}

/* Choice i of a field: its value and what a person reads; false when there is no such choice. */
static bool choice_at(const cJSON *field, int i, const char **value, const char **label)
{
	const cJSON *from = chooser_of(field);
	const cJSON *plain = kt_json_arr(from, "enum");
	const cJSON *named = kt_json_arr(from, "oneOf");
	const cJSON *v;

	if (!named)
		named = kt_json_arr(from, "anyOf");
	if (plain) {
		v = cJSON_GetArrayItem(plain, i);
		const cJSON *name = cJSON_GetArrayItem(kt_json_arr(from, "enumNames"), i);

		if (!cJSON_IsString(v))
			return false;
		*value = v->valuestring;
		*label = cJSON_IsString(name) ? name->valuestring : *value;
		return true;
	}
	v = cJSON_GetArrayItem(named, i);
	*value = kt_json_str(v, "const");
	*label = kt_json_str_or(v, "title", *value ? *value : "");
	return *value != NULL;
}

/* The question about a field, which is also the key of its answer. */
static char *question_of(const cJSON *request, const cJSON *field)
{
	const char *title = kt_json_str_or(field, "title", field->string);
	const char *more = kt_json_str(field, "description");
	const char *message = kt_json_str_or(request, "message", "");
	bool first = fields_of(request)->child == field;
	bool named_twice = false;
	const cJSON *other;

	cJSON_ArrayForEach (other, fields_of(request)) {
		if (other != field && !strcmp(kt_json_str_or(other, "title", other->string), title))
			named_twice = true;
	}
	return kt_asprintf("%s%s%s%s%s%s%s%s%s%s", first ? message : "",
		first && *message ? "\n" : "", title, named_twice ? " [" : "",
		named_twice ? field->string : "", named_twice ? "]" : "", more ? ": " : "",
		more ? more : "", is_required(request, field->string) ? "" : " (optional: ",
		is_required(request, field->string) ? "" : LEFT_OUT " leaves it out)");
}

/* A request without fields is answered by yes or no. */
static char *plain_question(const cJSON *request)
{
	const char *url = kt_json_str(request, "url");

	return kt_asprintf("%s%s%s",
		kt_json_str_or(request, "message", "The server asks to go on."), url ? "\n" : "",
		url ? url : "");
}

/* --- asking ------------------------------------------------------------------------------ */

static void write_option(struct kt_jw *w, const char *label)
{
	kt_jw_obj(w, NULL);
	kt_jw_str(w, "label", label);
	kt_jw_obj_end(w);
}

static void write_question(
	struct kt_jw *w, const cJSON *request, const char *text, const cJSON *field)
{
	const char *value, *label;

	kt_jw_obj(w, NULL);
	kt_jw_str(w, "question", text);
	kt_jw_str(w, "header", kt_json_str_or(request, "mcp_server_name", ""));
	kt_jw_arr(w, "options");
	if (!field || kt_str_eq(kt_json_str(field, "type"), "boolean")) {
		write_option(w, field ? "Yes" : ACCEPT);
		write_option(w, field ? "No" : DECLINE);
	}
	for (int i = 0; field && choice_at(field, i, &value, &label); i++)
		write_option(w, label);
	kt_jw_arr_end(w);
	kt_jw_bool(w, "multi", field && is_list(field));
	kt_jw_obj_end(w);
}

static char *questions_of(const cJSON *request)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES / 4);
	const cJSON *fields = fields_of(request), *field;
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_arr(&w, NULL);
	cJSON_ArrayForEach (field, fields) {
		KT_AUTOFREE char *text = question_of(request, field);

		write_question(&w, request, text, field);
	}
	if (!fields || !fields->child) {
		KT_AUTOFREE char *text = plain_question(request);

		write_question(&w, request, text, NULL);
	}
	kt_jw_arr_end(&w);
	return kt_buf_ok(&b) ? kt_buf_take(&b) : NULL;
}

/* content: JSON text, or NULL. why: told when it is not the person's own word; or NULL. */
static void send_action(struct kt_claude *c, const char *id, const char *server, const char *action,
	const char *content, const char *why)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_LINE_BYTES);
	struct kt_jw w;

	if (why) {
		kt_jw_init(&w, &b);
		kt_jw_obj(&w, NULL);
		kt_jw_str(&w, "subtype", "elicitation");
		kt_jw_str(&w, "mcp_server_name", server);
		kt_jw_str(&w, "action", action);
		kt_jw_str(&w, "reason", why);
		kt_jw_obj_end(&w);
		if (kt_buf_ok(&b) && b.len < KT_MAX_EVENT_BYTES / 2)
			kt_emit(&c->d, KT_EV_SYSTEM, b.ptr, b.len, NULL);
		kt_buf_clear(&b);
	}
	kt_claude_reply_begin(&w, &b, id);
	kt_jw_str(&w, "action", action);
	if (content)
		kt_jw_raw(&w, "content", content, strlen(content));
	kt_claude_reply_end(c, &w);
}

void kt_claude_elicitation(struct kt_claude *c, const char *id, const cJSON *request)
{
	const char *server = kt_json_str_or(request, "mcp_server_name", "a server");
	KT_AUTO_BUF struct kt_buf message = KT_BUF_INIT(MESSAGE_BYTES);
	KT_AUTO_BUF struct kt_buf input = KT_BUF_INIT(KT_MAX_EVENT_BYTES / 2);
	KT_AUTOFREE char *questions = NULL;

	if (kt_claude_ask(c, id))
		return;
	if (c->state != CLAUDE_TURN) {
		send_action(c, id, server, "cancel", NULL, "no turn runs: nobody could be asked");
		return;
	}
	questions = questions_of(request);
	kt_json_add(&input, request);
	if (!questions || !kt_buf_ok(&input)) {
		send_action(c, id, server, "decline", NULL, "the form is too large to show");
		return;
	}
	struct claude_ask *a = kt_claude_ask_add(c, id, NULL, CLAUDE_ASK_ELICITATION, request);

	kt_buf_addf(&message, "%.200s asks: %.1500s", server,
		kt_json_str_or(request, "message", "go on?"));
	const struct kt_ask ask = {
		.id = a->id,
		.kind = "question",
		.tool = "elicitation",
		.message = message.ptr,
		.shared = a->input,
		.input = a->input->text,
		.input_len = a->input->len,
		.questions = questions,
	};

	c->d.sink.ask(c->d.sink.arg, &ask);
}

/* --- answering --------------------------------------------------------------------------- */

/* A choice by what a person reads or by its value. NULL when there is none such. */
static const char *chosen(const cJSON *field, const char *word)
{
	const char *value, *label;

	for (int i = 0; choice_at(field, i, &value, &label); i++) {
		if (kt_str_ieq(label, word) || !strcmp(value, word))
			return value;
	}
	return NULL;
}

static bool is_any(const char *word, const char *a, const char *b, const char *c)
{
	return kt_str_ieq(word, a) || kt_str_ieq(word, b) || kt_str_ieq(word, c);
}

/* One word as the value that the field asks for; false when it does not fit. */
static bool write_word(struct kt_jw *w, const char *key, const cJSON *field, const char *word)
{
	const char *type = kt_json_str_or(chooser_of(field), "type", "string");
	const char *value, *label;
	int64_t n;
	double d;

	if (choice_at(field, 0, &value, &label)) {
		value = chosen(field, word);
		if (value)
			kt_jw_str(w, key, value);
		return value != NULL;
	}
	if (!strcmp(type, "integer")) {
		if (!kt_str_int64(word, INT64_MIN, INT64_MAX, &n))
			return false;
		kt_jw_int(w, key, n);
	} else if (!strcmp(type, "number")) {
		if (!kt_str_double(word, &d))
			return false;
		kt_jw_num(w, key, d);
	} else if (!strcmp(type, "boolean")) {
		if (!is_any(word, "yes", "true", "y") && !is_any(word, "no", "false", "n"))
			return false;
		kt_jw_bool(w, key, is_any(word, "yes", "true", "y"));
	} else {
		kt_jw_str(w, key, word);
	}
	return true;
}

static bool write_list(struct kt_jw *w, const cJSON *field, const cJSON *answer)
{
	const cJSON *list = cJSON_IsArray(answer) ? answer : NULL, *v;
	bool fits = true;

	kt_jw_arr(w, field->string);
	if (cJSON_IsString(answer))
		fits = write_word(w, NULL, field, answer->valuestring);
	cJSON_ArrayForEach (v, list) {
		fits = fits && cJSON_IsString(v) && write_word(w, NULL, field, v->valuestring);
	}
	kt_jw_arr_end(w);
	return fits;
}

static bool write_value(struct kt_jw *w, const cJSON *field, const cJSON *answer)
{
	if (is_list(field))
		return write_list(w, field, answer);
	if (cJSON_IsArray(answer) && cJSON_GetArraySize(answer) == 1)
		answer = answer->child;
	if (cJSON_IsString(answer))
		return write_word(w, field->string, field, answer->valuestring);
	if (cJSON_IsNumber(answer) || cJSON_IsBool(answer)) {
		kt_jw_json(w, field->string, answer);
		return true;
	}
	return false;
}

/* By the question, as a person answers, or by the name of the field, as a program may. */
static const cJSON *answer_to(const cJSON *request, const cJSON *field, const cJSON *answers)
{
	KT_AUTOFREE char *question = question_of(request, field);
	const cJSON *given = kt_json_get(answers, question);

	if (!given)
		given = kt_json_get(answers, field->string);
	if (cJSON_IsString(given) &&
		(!given->valuestring[0] ||
			(!strcmp(given->valuestring, LEFT_OUT) &&
				!is_required(request, field->string))))
		return NULL;
	return given && !cJSON_IsNull(given) ? given : NULL;
}

/* The form's content as JSON; false, with the reason in why, when the answers do not fit. */
static bool write_content(
	struct kt_buf *out, const cJSON *request, const cJSON *answers, struct kt_buf *why)
{
	const cJSON *field;
	struct kt_jw w;

	kt_jw_init(&w, out);
	kt_jw_obj(&w, NULL);
	cJSON_ArrayForEach (field, fields_of(request)) {
		const cJSON *given = answer_to(request, field, answers);

		if (given ? !write_value(&w, field, given) : is_required(request, field->string)) {
			kt_buf_addf(why,
				given ? "the answer to '%s' does not fit" : "'%s' needs an answer",
				field->string);
			return false;
		}
	}
	kt_jw_obj_end(&w);
	return kt_buf_ok(out);
}

static bool says_yes(const cJSON *answers)
{
	const cJSON *first = answers ? answers->child : NULL;
	const char *word = cJSON_IsString(first) ? first->valuestring : "";

	return is_any(word, ACCEPT, "yes", "true");
}

void kt_claude_elicited(struct kt_claude *c, const struct claude_ask *a, enum kt_decision decision,
	const char *answers)
{
	KT_AUTO_BUF struct kt_buf content = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	KT_AUTO_BUF struct kt_buf why = KT_BUF_INIT(MESSAGE_BYTES);
	KT_AUTO_JSON cJSON *request = NULL;
	KT_AUTO_JSON cJSON *given = NULL;
	bool form;

	if (decision != KT_ANSWER || !answers ||
		kt_json_parse(a->input->text, a->input->len, KT_JSON_LENIENT, &request, NULL) !=
			KT_OK ||
		kt_json_parse(answers, strlen(answers), KT_JSON_DUP_KEYS, &given, NULL) != KT_OK) {
		send_action(c, a->id, "", decision == KT_DENY ? "decline" : "cancel", NULL, NULL);
		return;
	}
	form = fields_of(request) && fields_of(request)->child;
	if (form && !write_content(&content, request, given, &why))
		send_action(c, a->id, kt_json_str_or(request, "mcp_server_name", ""), "decline",
			NULL, why.len ? why.ptr : "the answers are too large");
	else if (form)
		send_action(c, a->id, "", "accept", content.ptr, NULL);
	else if (says_yes(given))
		send_action(c, a->id, "", "accept", "{}", NULL);
	else
		send_action(c, a->id, "", "decline", NULL, NULL);
}

void kt_claude_elicitation_void(struct kt_claude *c, const struct claude_ask *a)
{
	send_action(c, a->id, "", "cancel", NULL, NULL);
}
