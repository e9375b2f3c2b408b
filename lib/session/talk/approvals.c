/* SPDX-License-Identifier: MIT */
/*
 * What is remembered of approvals. An approval for the session covers one exact call: the same
 * tool, the same input, in the same folder. Three kinds cover more, each a choice of its own: a
 * command that can only read, a file, the files of a folder. Each is offered in words before it is
 * chosen, is listed under them afterwards, and can be revoked.
 *
 * An approval is matched by comparing keys. An ask is turned into the keys that would cover it in
 * the same way whether a person is to choose among them or one of them was chosen before: nothing
 * can be covered that was not offered in just these words.
 */
#include "session/talk/approvals_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"
#include "base/time.h"
#include "crypto/crypto.h"
#include "session/talk/talk_private.h"
#include "text/clean.h"
#include "text/json.h"

#include <stdio.h>
#include <string.h>

enum {
	SHOWN_INPUT_BYTES = 300, /* of an input in words; the whole is shown beside them */
	SHOWN_MAX_BYTES = 600,
	WORDS_MAX_BYTES = 8 * 1024,
	/* Of one that is kept: 256 of them are in each journal line of their session. */
	KEPT_WORDS_BYTES = 1024,
	KEPT_KEY_BYTES = 2048,
};

/* --- keys -------------------------------------------------------------------------------- */

/* An object's members in the order of their names; false when a name is there twice. */
static bool add_canonical(struct kt_buf *b, const cJSON *v);

static int by_name(const void *a, const void *b)
{
	const cJSON *const *x = a, *const *y = b;

	return strcmp((*x)->string, (*y)->string);
}

static bool add_object(struct kt_buf *b, const cJSON *v)
{
	size_t n = (size_t)cJSON_GetArraySize(v), i = 0;
	KT_AUTOFREE const cJSON **members = kt_calloc(n + 1, sizeof(*members));
	const cJSON *m;

	cJSON_ArrayForEach (m, v)
		members[i++] = m;
	qsort(members, n, sizeof(*members), by_name);
	kt_buf_addc(b, '{');
	for (i = 0; i < n; i++) {
		if (i && !strcmp(members[i - 1]->string, members[i]->string))
			return false;
		kt_buf_adds(b, i ? "," : "");
		kt_json_add_str(b, members[i]->string, strlen(members[i]->string));
		kt_buf_addc(b, ':');
		if (!add_canonical(b, members[i]))
			return false;
	}
	kt_buf_addc(b, '}');
	return true;
}

static bool add_canonical(struct kt_buf *b, const cJSON *v)
{
	const cJSON *item;

	if (cJSON_IsObject(v))
		return add_object(b, v);
	if (!cJSON_IsArray(v)) {
		kt_json_add(b, v);
		return true;
	}
	kt_buf_addc(b, '[');
	cJSON_ArrayForEach (item, v) {
		kt_buf_adds(b, item == v->child ? "" : ",");
		if (!add_canonical(b, item))
			return false;
	}
	kt_buf_addc(b, ']');
	return true;
}

/* U+FFFD stands for bytes that were no text: they may have been others. */
#define NOT_TEXT "\xef\xbf\xbd"

/* The key of an exact call; NULL when it is not certain that the same key is the same call. */
static char *exact_key(const struct kt_ask *ask)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(8 * KT_MAX_REMEMBERED_BYTES);
	KT_AUTO_JSON cJSON *input = NULL;
	char *digest;

	if (ask->partial || !ask->cwd || !ask->tool || !ask->input ||
		ask->input_len > KT_MAX_REMEMBERED_BYTES || strstr(ask->input, NOT_TEXT) ||
		kt_crypto_init(NULL) != KT_OK ||
		kt_json_parse(ask->input, ask->input_len, KT_JSON_DEEP, &input, NULL) != KT_OK)
		return NULL;
	/* No separator is needed that could be in a text: each is a JSON string. */
	kt_json_add_str(&b, ask->kind, strlen(ask->kind));
	kt_json_add_str(&b, ask->tool, strlen(ask->tool));
	kt_json_add_str(&b, ask->cwd, strlen(ask->cwd));
	if (!add_canonical(&b, input) || !kt_buf_ok(&b))
		return NULL;
	digest = kt_calloc(1, KT_DIGEST_MAX);
	kt_sha256_of(b.ptr, b.len, digest);
	return digest;
}

/* --- words ------------------------------------------------------------------------------- */

/* A text on one line; false when it is not all there. */
static bool add_shown(struct kt_buf *b, const char *text)
{
	size_t line = strcspn(text, "\r\n"), n = kt_utf8_cut(text, line, SHOWN_INPUT_BYTES);

	kt_clean_add(b, text, n, true);
	return !text[n];
}

/* The members of an input that are words, as "name value". */
static bool add_members(struct kt_buf *b, const cJSON *input)
{
	size_t from = b->len;
	bool whole = true;

	for (const cJSON *m = input->child; m; m = m->next) {
		KT_AUTO_BUF struct kt_buf json = KT_BUF_INIT(64);

		if (b->len - from > SHOWN_INPUT_BYTES)
			return false;
		kt_buf_adds(b, m == input->child ? "" : ", ");
		kt_clean_add(b, m->string, strlen(m->string), true);
		kt_buf_addc(b, ' ');
		if (m->child)
			kt_buf_addf(&json, "(of %d)\n", cJSON_GetArraySize(m));
		else if (!cJSON_IsString(m))
			kt_json_add(&json, m);
		whole = add_shown(b, cJSON_IsString(m) ? m->valuestring : json.ptr) && whole;
	}
	return whole;
}

/*
 * What is asked for, in words: the command, the file, or what else is there; the whole stands
 * beside it when it is asked. What is not all there has its digest.
 */
static void add_input(struct kt_buf *b, const struct kt_ask *ask)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(64 * 1024);
	KT_AUTO_JSON cJSON *input = NULL;
	char digest[KT_DIGEST_MAX];
	bool whole = false;

	if (kt_json_parse(ask->input, ask->input_len, KT_JSON_DEEP, &input, NULL) != KT_OK)
		return;
	if (ask->command)
		whole = add_shown(&text, ask->command);
	else if (ask->path)
		(void)add_shown(&text, ask->path);
	else if (cJSON_IsObject(input))
		whole = add_members(&text, input);
	/* Characters that had to be spelled out may make it long. */
	if (text.len > SHOWN_MAX_BYTES || !kt_buf_ok(&text)) {
		whole = false;
		kt_buf_truncate(&text, kt_utf8_cut(text.ptr, text.len, SHOWN_INPUT_BYTES));
	}
	kt_buf_adds(b, text.len ? ": " : "");
	kt_buf_add(b, text.ptr, text.len);
	if (whole)
		return;
	kt_sha256_of(ask->input, ask->input_len, digest);
	kt_buf_addf(b, " (%zu bytes, sha256 %.16s...)", ask->input_len, digest);
}

/* " in sub/", "" in the session's folder itself. */
static void add_ask_place(struct kt_buf *b, const struct kt_inside *in, const struct kt_ask *ask)
{
	size_t n = strlen(in->root);

	if (!in->cwd)
		kt_buf_addf(b, ", in %s", ask->cwd);
	else if (in->cwd[n])
		kt_buf_addf(b, ", in %s", in->cwd + n + (n > 1));
}

/* --- offers ------------------------------------------------------------------------------ */

static void add_offer(struct kt_vec *out, const struct kt_session *s, const struct kt_ask *ask,
	enum kt_decision decision, char *key, const struct kt_buf *words)
{
	KT_AUTO_BUF struct kt_buf plain = KT_BUF_INIT(2 * WORDS_MAX_BYTES);
	const char *text = kt_session_plain(s, words->ptr, &plain);
	struct kt_approval *a;

	if (strlen(text) > KEPT_WORDS_BYTES || strlen(key) > KEPT_KEY_BYTES) {
		free(key);
		return;
	}
	a = kt_calloc(1, sizeof(*a));
	a->decision = decision;
	a->key = key;
	a->tool = kt_strdup(ask->tool);
	a->words = kt_strdup(text);
	kt_vec_push(out, a);
}

static void offer_command(struct kt_vec *out, const struct kt_session *s, const struct kt_ask *ask,
	const struct kt_inside *in)
{
	KT_AUTO_BUF struct kt_buf name = KT_BUF_INIT(64);
	KT_AUTO_BUF struct kt_buf words = KT_BUF_INIT(WORDS_MAX_BYTES);

	if (!ask->command || !kt_readonly(in, ask->command, &name))
		return;
	kt_buf_addf(&words,
		"every `%s` that only reads: no option that writes, sends or runs something, %s",
		name.ptr,
		kt_str_starts(name.ptr, "git ")
			? "of what the repository in the session's folder has or had, hidden files "
			  "too"
			: "no content of hidden files, and nothing outside of the session's "
			  "folder");
	add_offer(out, s, ask, KT_APPROVE_COMMAND, kt_asprintf("%s\x1f%s", in->root, name.ptr),
		&words);
}

/* Is word the file rel of the session's folder? */
static bool is_file(const struct kt_inside *in, const char *word, const char *rel)
{
	KT_AUTOFREE char *path = word[0] == '/' ? kt_strdup(word)
						: kt_asprintf("%s/%s", in->root, word);
	KT_AUTOFREE char *real = NULL;
	size_t n = strlen(in->root);

	if (kt_path_real(path, &real, NULL) != KT_OK)
		return false;
	return !strncmp(real, in->root, n) && real[n] == '/' && !strcmp(real + n + 1, rel);
}

/* What karta itself starts in the folder: who may write that needs no approval any more. */
static bool is_started(const struct kt_session *s, const struct kt_inside *in, const char *rel)
{
	const struct kt_app *app = s->app->app;
	const char *program = s->app->program.path;
	size_t n = strlen(app->dir);

	if (app->setup && is_file(in, app->setup, rel))
		return true;
	/* A session's folder may be a copy of the application's. */
	if (!strncmp(program, app->dir, n) && program[n] == '/' &&
		is_file(in, program + n + 1, rel))
		return true;
	for (size_t i = 0; app->harness_command && app->harness_command[i]; i++) {
		if (is_file(in, app->harness_command[i], rel))
			return true;
	}
	return false;
}

static void offer_edits(struct kt_vec *out, const struct kt_session *s, const struct kt_ask *ask,
	const struct kt_inside *in)
{
	KT_AUTO_BUF struct kt_buf rel = KT_BUF_INIT(KT_MAX_PATH_BYTES);
	KT_AUTO_BUF struct kt_buf words = KT_BUF_INIT(WORDS_MAX_BYTES);
	const char *slash;
	size_t n;

	if (!ask->path || strstr(ask->path, NOT_TEXT) || !kt_inside(in, ask->path, true, &rel) ||
		!kt_buf_ok(&rel) || is_started(s, in, rel.ptr))
		return;
	kt_buf_addf(&words, "every edit of the file %s", rel.ptr);
	if (!kt_buf_ok(&words))
		return;
	add_offer(out, s, ask, KT_APPROVE_FILE, kt_asprintf("%s/%s", in->root, rel.ptr), &words);
	slash = strrchr(rel.ptr, '/');
	n = slash ? (size_t)(slash - rel.ptr) : 0;
	kt_buf_clear(&words);
	kt_buf_addf(&words, "every edit of a file that is directly in %.*s%s, ", n ? (int)n : 0,
		rel.ptr, n ? "/" : "the session's folder");
	kt_buf_adds(&words, "but not of hidden files, links and settings of the agent");
	add_offer(out, s, ask, KT_APPROVE_FOLDER, kt_asprintf("%s/%.*s", in->root, (int)n, rel.ptr),
		&words);
}

/* The session's folder, the caller's; NULL when it is not there (yet). */
static char *named_root(const struct kt_session *s)
{
	const struct kt_app *app = s->app ? s->app->app : NULL;

	if (!app)
		return NULL;
	if (s->pin && !s->app->folder && kt_driver_for(app->harness)->has_process)
		return kt_session_workspace(s);
	return kt_strdup(app->dir);
}

static bool is_below(const char *path, const char *root)
{
	size_t n = strlen(root);

	return !strncmp(path, root, n) && (n == 1 || !path[n] || path[n] == '/');
}

void kt_approvals_offer(const struct kt_session *s, const struct kt_ask *ask, struct kt_vec *out)
{
	KT_AUTO_BUF struct kt_buf words = KT_BUF_INIT(WORDS_MAX_BYTES);
	KT_AUTOFREE char *named = named_root(s);
	KT_AUTOFREE char *root = NULL;
	KT_AUTOFREE char *cwd = NULL;
	char *key;

	if (kt_str_eq(ask->kind, "question") || !named || !ask->cwd ||
		kt_path_real(named, &root, NULL) != KT_OK ||
		kt_path_real(ask->cwd, &cwd, NULL) != KT_OK)
		return;
	const struct kt_inside in = { named, root, is_below(cwd, root) ? cwd : NULL };

	key = exact_key(ask);
	if (key) {
		kt_buf_addf(&words, "this exact call of %.200s", ask->tool);
		add_ask_place(&words, &in, ask);
		add_input(&words, ask);
		add_offer(out, s, ask, KT_APPROVE_SESSION, key, &words);
	}
	if (!in.cwd || ask->partial || !kt_str_eq(ask->kind, "tool_use"))
		return;
	offer_command(out, s, ask, &in);
	offer_edits(out, s, ask, &in);
}

/* --- the list ---------------------------------------------------------------------------- */

struct kt_approval *kt_approvals_find(const struct kt_vec *list, enum kt_decision decision)
{
	for (size_t i = 0; i < list->len; i++) {
		struct kt_approval *a = list->items[i];

		if (a->decision == decision)
			return a;
	}
	return NULL;
}

const struct kt_approval *kt_approvals_match(
	const struct kt_session *s, const struct kt_vec *offers)
{
	for (size_t i = 0; i < s->approvals.len; i++) {
		const struct kt_approval *a = s->approvals.items[i];
		const struct kt_approval *o = kt_approvals_find(offers, a->decision);

		if (o && !strcmp(a->key, o->key))
			return a;
	}
	return NULL;
}

const struct kt_approval *kt_approvals_add(
	struct kt_session *s, struct kt_vec *offers, struct kt_approval *offer)
{
	for (size_t i = 0; i < s->approvals.len; i++) {
		const struct kt_approval *a = s->approvals.items[i];

		if (a->decision == offer->decision && !strcmp(a->key, offer->key))
			return a;
	}
	(void)kt_vec_remove_ptr(offers, offer);
	kt_rand_id("appr_", offer->id);
	offer->at_us = kt_time_us();
	kt_vec_push(&s->approvals, offer);
	kt_journal_session(s->reg, s);
	return offer;
}

static void write_one(struct kt_jw *w, const struct kt_approval *a)
{
	char iso[40];

	kt_time_iso(a->at_us, false, iso, sizeof(iso));
	kt_jw_obj(w, NULL);
	kt_jw_str(w, "id", a->id);
	kt_jw_str(w, "decision", kt_decision_name(a->decision));
	kt_jw_str(w, "tool", a->tool);
	kt_jw_str(w, "words", a->words);
	kt_jw_str(w, "approved_by", a->by);
	kt_jw_str(w, "approved_at", iso);
	kt_jw_obj_end(w);
}

void kt_session_write_approvals(struct kt_jw *w, const char *key, const struct kt_session *s)
{
	kt_jw_arr(w, key);
	for (size_t i = 0; i < s->approvals.len; i++)
		write_one(w, s->approvals.items[i]);
	kt_jw_arr_end(w);
}

static void tell_revoked(struct kt_session *s, const struct kt_approval *a)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "state", "approval_revoked");
	kt_jw_str(&w, "approval_id", a->id);
	kt_jw_str(&w, "tool", a->tool);
	kt_jw_str(&w, "words", a->words);
	kt_jw_obj_end(&w);
	kt_session_emit(s, KT_EV_STATUS, s->turn, &b);
}

size_t kt_session_revoke(struct kt_session *s, const char *id, const struct kt_origin *from)
{
	size_t n = 0;

	for (size_t i = 0; i < s->approvals.len;) {
		struct kt_approval *a = s->approvals.items[i];

		if (id && strcmp(a->id, id) != 0) {
			i++;
			continue;
		}
		(void)kt_vec_remove(&s->approvals, i);
		tell_revoked(s, a);
		kt_origin_audit(s, from, NULL, NULL, a);
		kt_approval_free(a);
		n++;
	}
	if (n)
		kt_journal_session(s->reg, s);
	return n;
}

/* --- the journal ------------------------------------------------------------------------- */
