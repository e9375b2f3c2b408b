/* SPDX-License-Identifier: MIT */
/* Findings: what a load has to say about the files, in order of place. */
#include "app/app_private.h"

#include "base/buf.h"
#include "base/str.h"
#include "text/clean.h"
#include "text/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX_BYTES 1024

static int compare_findings(const struct kt_finding *a, const struct kt_finding *b)
{
	int c;

	if (!a->file || !b->file)
		return !!a->file - !!b->file;
	c = strcmp(a->file, b->file);
	if (c)
		return c;
	return a->line != b->line ? (a->line > b->line) - (a->line < b->line)
				  : (a->col > b->col) - (a->col < b->col);
}

static void insert_finding(struct kt_app *app, struct kt_finding *f)
{
	struct kt_finding **at = &app->findings;

	while (*at && compare_findings(*at, f) <= 0)
		at = &(*at)->next;
	f->next = *at;
	*at = f;
	app->n_errors += f->severity == KT_ERROR;
	app->n_warnings += f->severity == KT_WARNING;
}

void kt_load_note(struct kt_load *ld, enum kt_severity severity, const char *file, int line,
	int col, const char *fix, const char *fmt, ...)
{
	struct kt_arena *arena = ld->app->arena;
	struct kt_finding *f;
	char text[TEXT_MAX_BYTES];
	va_list ap;

	/* An error is never swallowed: it decides whether the folder can run. */
	if (ld->n_findings >= KT_APP_MAX_FINDINGS && (severity != KT_ERROR || ld->app->n_errors))
		return;
	ld->n_findings++;
	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0';
	va_end(ap);
	f = kt_arena_alloc(arena, sizeof(*f));
	f->severity = severity;
	f->file = file ? kt_arena_strdup(arena, file) : NULL;
	f->line = line;
	f->col = col;
	f->text = kt_arena_strdup(arena, text);
	f->fix = fix ? kt_arena_strdup(arena, fix) : NULL;
	insert_finding(ld->app, f);
}

void kt_load_note_err(struct kt_load *ld, enum kt_severity severity, const char *file,
	const char *fix, const struct kt_err *err)
{
	const char *msg = err->msg;
	size_t a = strspn(msg, "0123456789"), b;
	int64_t line = 0, col = 0;

	if (a && msg[a] == ':') {
		b = strspn(msg + a + 1, "0123456789");
		if (b && msg[a + 1 + b] == ':' && msg[a + 2 + b] == ' ' &&
			kt_str_int64n(msg, a, 1, INT32_MAX, &line) &&
			kt_str_int64n(msg + a + 1, b, 1, INT32_MAX, &col))
			msg += a + b + 3;
	}
	kt_load_note(ld, severity, file, (int)line, (int)col, fix, "%s", msg);
}

static const char *const words[] = { "note", "warning", "error" };

void kt_finding_add(struct kt_buf *b, const struct kt_finding *f)
{
	if (f->file) {
		kt_clean_add(b, f->file, strlen(f->file), true);
		if (f->line > 0)
			kt_buf_addf(b, ":%d", f->line);
		if (f->line > 0 && f->col > 0)
			kt_buf_addf(b, ":%d", f->col);
		kt_buf_adds(b, ": ");
	}
	kt_buf_addf(b, "%s: ", words[f->severity]);
	kt_clean_add(b, f->text, strlen(f->text), true);
}

void kt_app_findings_add(struct kt_buf *b, const struct kt_app *app)
{
	for (const struct kt_finding *f = app->findings; f; f = f->next) {
		kt_finding_add(b, f);
		kt_buf_addc(b, '\n');
		if (f->fix) {
			kt_buf_adds(b, "  fix: ");
			kt_clean_add(b, f->fix, strlen(f->fix), true);
			kt_buf_addc(b, '\n');
		}
	}
}

static void add_finding_place(struct kt_jw *w, const char *key, int v)
{
	if (v > 0)
		kt_jw_int(w, key, v);
	else
		kt_jw_null(w, key);
}

void kt_app_findings_json(struct kt_jw *w, const char *key, const struct kt_app *app)
{
	kt_jw_arr(w, key);
	for (const struct kt_finding *f = app->findings; f; f = f->next) {
		kt_jw_obj(w, NULL);
		kt_jw_str(w, "severity", words[f->severity]);
		kt_jw_str(w, "file", f->file);
		add_finding_place(w, "line", f->line);
		add_finding_place(w, "col", f->col);
		kt_jw_str(w, "text", f->text);
		kt_jw_str(w, "fix", f->fix);
		kt_jw_obj_end(w);
	}
	kt_jw_arr_end(w);
}
