/* SPDX-License-Identifier: MIT */
/* Recorder of rehearsals; see record.h and docs/rehearsals.md. */
#include "harness/record_private.h"

#include "base/fs.h"
#include "base/inside.h"
#include "base/log.h"
#include "base/str.h"
#include "base/time.h"
#include "text/json.h"
#include "text/redact.h"

#include <string.h>

enum {
	RECORD_MAX_BYTES = 32 * 1024 * 1024, /* one turn; a longer one is not worth replaying */
	RECORD_MAX_FILES = 10000, /* numbers tried for one slug */
	SLUG_WORDS = 5,
	SLUG_TEXT_BYTES = 48,
};

struct kt_record {
	char *dir;
	char *harness;
	bool open;
	char *slug;
	int64_t began_us;
	struct kt_buf lines; /* redacted */
};

struct kt_record *kt_record_new(const char *dir, const char *harness)
{
	struct kt_record *r = kt_calloc(1, sizeof(*r));

	r->dir = kt_strdup(dir);
	r->harness = kt_strdup(harness);
	kt_buf_init(&r->lines, RECORD_MAX_BYTES);
	return r;
}

static void record_reset(struct kt_record *r)
{
	r->open = false;
	free(r->slug);
	r->slug = NULL;
	kt_buf_release(&r->lines);
	kt_buf_init(&r->lines, RECORD_MAX_BYTES);
}

void kt_record_free(struct kt_record *r)
{
	if (!r)
		return;
	record_reset(r);
	free(r->dir);
	free(r->harness);
	free(r);
}

/* A line is redacted as a whole: no credential holds a byte that JSON escapes. */
static void add_record_line(struct kt_record *r, const struct kt_buf *line)
{
	if (!kt_buf_ok(line)) {
		r->lines.overflow = true;
		return;
	}
	kt_redact_add(&r->lines, line->ptr, line->len);
	kt_buf_addc(&r->lines, '\n');
}

/* The first words of the text, as a file name. */
static char *slug_of(const char *text)
{
	char words[SLUG_TEXT_BYTES + 1];
	size_t len = 0;
	int n = 0;

	for (const char *p = text; *p && len < SLUG_TEXT_BYTES && n < SLUG_WORDS; p++) {
		bool blank = strchr(" \t\r\n", *p) != NULL;

		if (blank && len && words[len - 1] != ' ')
			n++;
		words[len++] = blank ? ' ' : *p;
	}
	words[len] = '\0';
	char *slug = kt_str_slugify(words);

	if (strcmp(slug, "app") != 0)
		return slug;
	free(slug);
	return kt_strdup("turn");
}

void kt_record_prompt(struct kt_record *r, const struct kt_prompt *p)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(RECORD_MAX_BYTES);
	struct kt_jw w;
	char now[40];

	if (!r)
		return;
	record_reset(r);
	r->open = true;
	r->slug = slug_of(p->text);
	r->began_us = kt_mono_us();
	kt_time_iso(kt_time_us(), false, now, sizeof(now));
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "karta_rehearsal", 1);
	kt_jw_obj(&w, "match");
	kt_jw_str(&w, "text", p->text);
	kt_jw_int(&w, "position", p->position);
	kt_jw_obj_end(&w);
	kt_jw_str(&w, "agent", p->agent);
	kt_jw_str(&w, "harness", r->harness);
	kt_jw_str(&w, "recorded_at", now);
	kt_jw_obj_end(&w);
	add_record_line(r, &b);
}

/* Begin an entry: {"t":<ms since the prompt> */
static void entry_begin(const struct kt_record *r, struct kt_jw *w, struct kt_buf *b)
{
	kt_jw_init(w, b);
	kt_jw_obj(w, NULL);
	kt_jw_int(w, "t", (kt_mono_us() - r->began_us) / 1000);
}

void kt_record_event(struct kt_record *r, const struct kt_event_draft *ev)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(RECORD_MAX_BYTES);
	struct kt_jw w;

	if (!r || !r->open)
		return;
	entry_begin(r, &w, &b);
	kt_jw_str(&w, "type", kt_event_name(ev->type));
	kt_jw_str(&w, "parent", ev->parent_tool_use_id);
	kt_jw_raw(&w, "data", ev->data, ev->data_len);
	kt_jw_obj_end(&w);
	add_record_line(r, &b);
}

void kt_record_ask(struct kt_record *r, const struct kt_ask *ask)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(RECORD_MAX_BYTES);
	struct kt_jw w;

	if (!r || !r->open)
		return;
	entry_begin(r, &w, &b);
	kt_jw_obj(&w, "ask");
	kt_jw_str(&w, "id", ask->id);
	kt_jw_str(&w, "kind", ask->kind);
	kt_jw_str(&w, "tool", ask->tool);
	kt_jw_str(&w, "tool_use_id", ask->tool_use_id);
	kt_jw_str(&w, "parent", ask->parent_tool_use_id);
	kt_jw_str(&w, "message", ask->message);
	kt_jw_raw(&w, "input", ask->input, ask->input_len);
	if (ask->questions)
		kt_jw_raw(&w, "questions", ask->questions, strlen(ask->questions));
	else
		kt_jw_null(&w, "questions");
	kt_jw_obj_end(&w);
	kt_jw_obj_end(&w);
	add_record_line(r, &b);
}

void kt_record_answer(
	struct kt_record *r, const char *ask_id, enum kt_decision decision, const char *answers)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(RECORD_MAX_BYTES);
	struct kt_jw w;

	if (!r || !r->open)
		return;
	entry_begin(r, &w, &b);
	kt_jw_obj(&w, "answer");
	kt_jw_str(&w, "id", ask_id);
	kt_jw_str(&w, "decision", kt_decision_name(decision));
	if (answers)
		kt_jw_raw(&w, "answers", answers, strlen(answers));
	kt_jw_obj_end(&w);
	kt_jw_obj_end(&w);
	add_record_line(r, &b);
}

static enum kt_code write_file(const struct kt_record *r, struct kt_err *err)
{
	KT_AUTOFREE char *parent = kt_path_dir(r->dir);
	KT_AUTOFREE char *base = kt_path_base(r->dir);
	KT_AUTOFD int top = -1;

	if (!kt_buf_ok(&r->lines))
		return kt_fail(err, KT_ELIMIT, 0, "the turn is too long to be recorded (fixed)");
	/* The folder may be anybody's: what is written there stays in it. */
	if (kt_inside_open(parent, &top, err) != KT_OK)
		return err->code;
	for (int n = 1; n < RECORD_MAX_FILES; n++) {
		KT_AUTOFREE char *name = kt_asprintf("%s/%s-%d.jsonl", base, r->slug, n);

		if (kt_inside_write_new(top, name, r->lines.ptr, r->lines.len, 0644, err) == KT_OK)
			return KT_OK;
		if (err->code != KT_ECONFLICT)
			return err->code;
	}
	return kt_fail(err, KT_ELIMIT, 0, "too many recordings named '%s'", r->slug);
}

void kt_record_end(struct kt_record *r, const struct kt_turn_result *result)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(RECORD_MAX_BYTES);
	struct kt_err err = KT_ERR_INIT;
	struct kt_jw w;

	if (!r || !r->open)
		return;
	entry_begin(r, &w, &b);
	kt_jw_obj(&w, "end");
	kt_jw_str(&w, "stop_reason", result->stop_reason);
	kt_jw_str(&w, "error_code", result->error_code);
	kt_jw_str(&w, "error_message", result->error_message);
	kt_jw_bool(&w, "retryable", result->retryable);
	kt_jw_str(&w, "text", result->text ? result->text : "");
	kt_usage_write(&w, "usage", &result->usage);
	kt_jw_obj_end(&w);
	kt_jw_obj_end(&w);
	add_record_line(r, &b);
	if (write_file(r, &err) != KT_OK)
		kt_log(KT_LOG_WARN, "record", "the turn was not recorded: %s", err.msg);
	record_reset(r);
}
