/* SPDX-License-Identifier: MIT */
/* Inputs on a terminal. Approvals take a whole word and Enter, so that stray keys approve nothing.
 */
#include "cmd/chat/question.h"

#include "base/str.h"
#include "cmd/chat/toolview.h"
#include "text/clean.h"

#include <stdio.h>
#include <string.h>

/* An input has 64 MiB at most, and each byte of it may be spelled out. */
#define SHOW_MAX_BYTES ((size_t)512 * 1024 * 1024)

struct kt_question *kt_question_new(const cJSON *data)
{
	const char *id = kt_json_str(data, "request_id");
	struct kt_question *q;

	if (!id || !*id || strlen(id) >= KT_CLIENT_ID_MAX)
		return NULL;
	q = kt_calloc(1, sizeof(*q));
	kt_str_copy(q->request_id, sizeof(q->request_id), id);
	q->data = cJSON_Duplicate(data, true);
	q->answers = cJSON_CreateObject();
	if (q->data && q->answers)
		return q;
	kt_question_free(q);
	return NULL;
}

void kt_question_free(struct kt_question *q)
{
	if (!q)
		return;
	cJSON_Delete(q->data);
	cJSON_Delete(q->answers);
	free(q);
}

static bool is_question(const struct kt_question *q)
{
	return kt_str_eq(kt_json_str(q->data, "kind"), "question");
}

static const cJSON *step_of(const struct kt_question *q)
{
	return cJSON_GetArrayItem(kt_json_arr(q->data, "questions"), q->step);
}

static bool question_allows(const struct kt_question *q, const char *option)
{
	const cJSON *it;

	cJSON_ArrayForEach (it, kt_json_arr(q->data, "options")) {
		if (cJSON_IsString(it) && kt_str_eq(it->valuestring, option))
			return true;
	}
	return false;
}

/* What may be said to an approval, in the order of the prompt; `deny` is the last. */
static const struct choice {
	const char *decision, *shown;
	const char *words[5];
	bool covers_more; /* than this call */
	const char *done; /* of an answer that was given */
	const char *help; /* of one that covers this call */
} choices[] = {
	{ "approve_once", "[o]nce", { "o", "once", "approve_once", "y", "yes" }, false,
		"approved once", "yes, this time; the next one is asked for again" },
	{ "approve_session", "[s]ession", { "s", "session", "approve_session" }, true,
		"approved for the session", NULL },
	{ "approve_command", "[c]ommand", { "c", "command", "approve_command" }, true,
		"approved, and others of the command", NULL },
	{ "approve_file", "[f]ile", { "f", "file", "approve_file" }, true,
		"approved, and others of the file", NULL },
	{ "approve_folder", "fo[l]der", { "l", "folder", "approve_folder" }, true,
		"approved, and others of the folder", NULL },
	{ "deny", "[d]eny", { "d", "deny", "/deny", "n", "no" }, false, "denied",
		"no; the agent is told so and goes on without it" },
};

const char *kt_question_done(const char *decision)
{
	for (size_t i = 0; i < KT_ARRAY_LEN(choices); i++) {
		if (kt_str_eq(decision, choices[i].decision))
			return choices[i].done;
	}
	return kt_str_eq(decision, "answer") || !decision ? "answered" : decision;
}

const char *kt_question_covers(const struct kt_question *q, const char *decision)
{
	const cJSON *it;

	cJSON_ArrayForEach (it, kt_json_arr(q->data, "remembers")) {
		if (kt_str_eq(kt_json_str(it, "decision"), decision))
			return kt_json_str(it, "words");
	}
	return NULL;
}

/* What covers more can be chosen when it was said what it covers. */
static bool question_takes(const struct kt_question *q, const struct choice *c)
{
	return question_allows(q, c->decision) &&
		(!c->covers_more || kt_question_covers(q, c->decision));
}

/* --- showing ----------------------------------------------------------------------------- */

/* The event shows a part of a large input; the rest can be asked for. */
static bool is_part(const struct kt_question *q)
{
	return kt_json_str(q->data, "tool_input_sha256") != NULL;
}

static void show_part(struct kt_buf *b, const struct kt_term *t, const cJSON *data)
{
	const char *digest = kt_json_str_or(data, "tool_input_sha256", "");

	kt_buf_addf(
		b, ", input: %lld bytes, ", (long long)kt_json_int(data, "tool_input_bytes", 0));
	kt_term_add(b, t, KT_STYLE_YELLOW, "shown in part");
	kt_buf_adds(b, "\n  sha256: ");
	kt_clean_add(b, digest, strlen(digest), true);
	kt_buf_addc(b, '\n');
}

void kt_question_whole(struct kt_question *q, const cJSON *data)
{
	cJSON *whole = cJSON_Duplicate(data, true);

	if (!whole)
		return;
	cJSON_Delete(q->data);
	q->data = whole;
}

/* Which agent asks, and for whose message when that came from elsewhere. */
static void add_asker(struct kt_buf *b, const cJSON *data)
{
	const cJSON *by = kt_json_obj(data, "asked_by"), *from = kt_json_obj(by, "message_from");
	const char *agent = kt_json_str(by, "agent"), *key = kt_json_str(from, "key");
	const char *address = kt_json_str(from, "address");
	const char *name = kt_json_str(by, "sub_agent_name");

	if (!agent)
		return;
	kt_buf_adds(b, "  asked by: ");
	kt_clean_add(b, agent, strlen(agent), true);
	if (kt_json_bool(by, "sub_agent", false))
		kt_buf_adds(b, name ? ", its sub-agent " : ", a sub-agent of it");
	if (name)
		kt_clean_add(b, name, strlen(name), true);
	if (key || address)
		kt_buf_adds(b, ", for a message from ");
	if (key)
		kt_clean_add(b, key, strlen(key), true);
	if (address) {
		kt_buf_adds(b, key ? " at " : "");
		kt_clean_add(b, address, strlen(address), true);
	}
	kt_buf_addc(b, '\n');
}

/* What each choice covers that is remembered: read before it is chosen. */
static void add_covers(struct kt_buf *b, const struct kt_term *t, const struct kt_question *q)
{
	for (size_t i = 0; i < KT_ARRAY_LEN(choices); i++) {
		const char *words = kt_question_covers(q, choices[i].decision);
		KT_AUTO_BUF struct kt_buf line = KT_BUF_INIT(SHOW_MAX_BYTES);

		if (!choices[i].covers_more || !question_takes(q, &choices[i]))
			continue;
		kt_clean_addf(
			&line, "  %s, from now on in this session: %s", choices[i].shown, words);
		kt_term_wrap(b, t, KT_STYLE_NONE, line.ptr, 4);
		kt_buf_addc(b, '\n');
	}
}

/* The input: of an edit what changes, of the rest each member. */
static void add_question_input(struct kt_buf *b, const struct kt_term *t, const cJSON *input)
{
	KT_AUTO_BUF struct kt_buf diff = KT_BUF_INIT(SHOW_MAX_BYTES);
	struct kt_diff d = { .context = SIZE_MAX, .max_lines = SIZE_MAX, .indent = 2 };
	bool edit = kt_tool_diff(&diff, t, input, &d);

	for (const cJSON *m = input->child; m; m = m->next) {
		if (!edit || !kt_tool_in_diff(input, m))
			kt_tool_member(b, t, m->string ? m->string : "", m);
	}
	kt_buf_add(b, diff.ptr, diff.len);
	if (!kt_buf_ok(&diff))
		kt_buf_adds(b, "  this is too large to show here\n");
}

void kt_question_show(struct kt_buf *b, const struct kt_term *t, const struct kt_question *q)
{
	const char *message = kt_json_str(q->data, "message");
	const char *tool = kt_json_str(q->data, "tool");
	const cJSON *input = kt_json_get(q->data, "tool_input");
	KT_AUTO_BUF struct kt_buf head = KT_BUF_INIT(SHOW_MAX_BYTES);
	KT_AUTO_BUF struct kt_buf exact = KT_BUF_INIT(SHOW_MAX_BYTES);

	if (is_question(q) && kt_json_arr(q->data, "questions"))
		return;
	if (message)
		kt_clean_add(&head, message, strlen(message), true);
	kt_term_wrap(b, t, KT_STYLE_YELLOW, message ? head.ptr : "an answer is needed", 2);
	kt_buf_addc(b, '\n');
	add_asker(b, q->data);
	kt_json_add(&exact, input);
	kt_buf_adds(b, "  tool: ");
	if (tool)
		kt_clean_add(b, tool, strlen(tool), true);
	else
		kt_buf_adds(b, "not named");
	if (is_part(q))
		show_part(b, t, q->data);
	else
		kt_buf_addf(b, ", input: %zu bytes\n", input ? exact.len : 0);
	if (cJSON_IsObject(input))
		add_question_input(b, t, input);
	else if (input && !cJSON_IsNull(input))
		kt_tool_member(b, t, "input", input);
	add_covers(b, t, q);
	if (is_question(q))
		return;
	kt_term_add(b, t, KT_STYLE_DIM, "  ? says what each answer means");
	kt_buf_addc(b, '\n');
}

static void add_help(struct kt_buf *b, const struct kt_term *t, const char *word, const char *text)
{
	KT_AUTO_BUF struct kt_buf line = KT_BUF_INIT(SHOW_MAX_BYTES);

	kt_clean_addf(&line, "  %-11s%s", word, text);
	kt_term_wrap(b, t, KT_STYLE_NONE, line.ptr, 13);
	kt_buf_addc(b, '\n');
}

void kt_question_help(struct kt_buf *b, const struct kt_term *t, const struct kt_question *q)
{
	if (is_part(q))
		add_help(b, t, "[a]ll", "show all of the input, and ask again");
	for (size_t i = 0; i < KT_ARRAY_LEN(choices); i++) {
		const char *words = kt_question_covers(q, choices[i].decision);
		KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(SHOW_MAX_BYTES);

		if (!question_takes(q, &choices[i]))
			continue;
		if (choices[i].covers_more)
			kt_clean_addf(
				&text, "yes, and do not ask again in this session for %s", words);
		else
			kt_buf_adds(&text, choices[i].help);
		add_help(b, t, choices[i].shown, text.ptr);
	}
	kt_term_wrap(b, t, KT_STYLE_DIM,
		"  Type the word or its letter, then Enter. Ctrl-D denies, Ctrl-C interrupts the "
		"turn. `karta sessions approvals` lists and revokes what is not asked for any "
		"more.",
		2);
	kt_buf_addc(b, '\n');
}

static const char *label_of(const cJSON *option)
{
	return cJSON_IsString(option) ? option->valuestring : kt_json_str_or(option, "label", "");
}

void kt_question_show_step(struct kt_buf *b, const struct kt_term *t, const struct kt_question *q)
{
	const cJSON *step = step_of(q), *it;
	const char *text = kt_json_str_or(step, "question", kt_json_str_or(q->data, "message", ""));
	KT_AUTO_BUF struct kt_buf head = KT_BUF_INIT(SHOW_MAX_BYTES);
	int n = 0;

	if (!is_question(q))
		return;
	kt_clean_add(&head, text, strlen(text), false);
	kt_term_add_text(b, t, KT_STYLE_YELLOW, head.ptr);
	kt_buf_addc(b, '\n');
	cJSON_ArrayForEach (it, kt_json_arr(step, "options")) {
		const char *label = label_of(it), *more = kt_json_str(it, "description");

		kt_buf_addf(b, "  %d. ", ++n);
		kt_clean_add(b, label, strlen(label), true);
		if (more && *more) {
			KT_AUTO_BUF struct kt_buf dim = KT_BUF_INIT(SHOW_MAX_BYTES);

			kt_buf_adds(&dim, "  ");
			kt_clean_add(&dim, more, strlen(more), true);
			kt_term_add(b, t, KT_STYLE_DIM, dim.ptr);
		}
		kt_buf_addc(b, '\n');
	}
	kt_term_add(b, t, KT_STYLE_DIM,
		!n ? "  type an answer, or /deny"
			: kt_json_bool(step, "multi", false)
			? "  numbers (1,3), an answer of your own, or /deny"
			: "  a number, an answer of your own, or /deny");
	kt_buf_addc(b, '\n');
}

const char *kt_question_prompt(const struct kt_question *q)
{
	/* One for each set of decisions: a prompt stays where it is while it is on the screen. */
	static char prompts[1 << (KT_ARRAY_LEN(choices) + 1)][128];
	size_t set = is_part(q), n = 0;
	char *out;

	if (is_question(q))
		return "answer> ";
	for (size_t i = 0; i < KT_ARRAY_LEN(choices); i++)
		set |= (size_t)question_takes(q, &choices[i]) << (i + 1);
	out = prompts[set];
	if (out[0])
		return out;
	if ((set & 1) && set >> 2)
		n += (size_t)snprintf(out, sizeof(prompts[0]), "[a]ll of it / ");
	for (size_t i = 0; i < KT_ARRAY_LEN(choices); i++) {
		if (set & ((size_t)2 << i))
			n += (size_t)snprintf(out + n, sizeof(prompts[0]) - n, "%s%s",
				choices[i].shown, i + 1 < KT_ARRAY_LEN(choices) ? " / " : "> ");
	}
	return out;
}

/* --- answering --------------------------------------------------------------------------- */

static void add_decision(struct kt_buf *body, const char *decision, const cJSON *answers)
{
	struct kt_jw w;

	kt_jw_init(&w, body);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "decision", decision);
	if (answers)
		kt_jw_json(&w, "answers", answers);
	kt_jw_obj_end(&w);
}

bool kt_question_decide(const struct kt_question *q, const char *word, struct kt_buf *body)
{
	for (size_t i = 0; i < KT_ARRAY_LEN(choices); i++) {
		const struct choice *c = &choices[i];

		for (size_t k = 0;
			question_takes(q, c) && k < KT_ARRAY_LEN(c->words) && c->words[k]; k++) {
			if (!kt_str_ieq(word, c->words[k]))
				continue;
			add_decision(body, c->decision, NULL);
			return true;
		}
	}
	return false;
}

/* The option that number `text` names, or NULL. */
static const cJSON *option_at(const cJSON *options, const char *text, size_t len)
{
	int64_t n;

	if (!kt_str_int64n(text, len, 1, cJSON_GetArraySize(options), &n))
		return NULL;
	return cJSON_GetArrayItem(options, (int)n - 1);
}

/* "1,3" as an array of labels; NULL when one of them is no number of an option. */
static cJSON *pick_many(const cJSON *options, const char *line)
{
	cJSON *list = cJSON_CreateArray();

	while (list && *line) {
		size_t skip = strspn(line, ", "), n = strcspn(line + skip, ", ");
		const cJSON *option = n ? option_at(options, line + skip, n) : NULL;

		if (!option && n) {
			cJSON_Delete(list);
			return NULL;
		}
		if (option)
			cJSON_AddItemToArray(list, cJSON_CreateString(label_of(option)));
		line += skip + n;
	}
	return list;
}

static cJSON *read_question_answer(const struct kt_question *q, const char *line)
{
	const cJSON *step = step_of(q);
	const cJSON *options = kt_json_arr(step, "options"), *one;
	cJSON *many = NULL;

	if (kt_json_bool(step, "multi", false))
		many = pick_many(options, line);
	if (many)
		return many;
	one = option_at(options, line, strlen(line));
	return cJSON_CreateString(one ? label_of(one) : line);
}

enum kt_question_take kt_question_take(struct kt_question *q, const char *line, struct kt_buf *body)
{
	KT_AUTOFREE char *word = NULL;
	size_t len;
	const char *key;

	line += strspn(line, " \t");
	len = strlen(line);
	while (len && (line[len - 1] == ' ' || line[len - 1] == '\t'))
		len--;
	word = kt_strndup(line, len);
	if (!is_question(q) && is_part(q) && (kt_str_ieq(word, "a") || kt_str_ieq(word, "all")))
		return KT_TAKE_WHOLE;
	if (!is_question(q) && (kt_str_eq(word, "?") || kt_str_ieq(word, "help")))
		return KT_TAKE_HELP;
	if (!is_question(q))
		return kt_question_decide(q, word, body) ? KT_TAKE_DONE : KT_TAKE_AGAIN;
	if (!len)
		return KT_TAKE_AGAIN;
	if (kt_str_eq(word, "/deny")) {
		add_decision(body, "deny", NULL);
		return KT_TAKE_DONE;
	}
	key = kt_json_str_or(step_of(q), "question", kt_json_str_or(q->data, "message", "answer"));
	cJSON_DeleteItemFromObjectCaseSensitive(q->answers, key);
	cJSON_AddItemToObject(q->answers, key, read_question_answer(q, word));
	if (++q->step < cJSON_GetArraySize(kt_json_arr(q->data, "questions")))
		return KT_TAKE_MORE;
	add_decision(body, "answer", q->answers);
	return KT_TAKE_DONE;
}
