/* SPDX-License-Identifier: MIT */
/*
 * Reading of rehearsals, on a thread. All files are read anew for each prompt, so that an edit
 * counts at once. A turn with a malformed line is left out and reported with file and line.
 */
#include "harness/rehearsal_private.h"

#include "base/fs.h"
#include "base/limits.h"
#include "base/str.h"

#include <ctype.h>
#include <string.h>

enum {
	REHEARSAL_FILE_BYTES = 40 * 1024 * 1024, /* one file: the recorder stops at 32 MiB a turn */
	REHEARSAL_TOTAL_BYTES = 64 * 1024 * 1024, /* read for one prompt */
	REHEARSAL_FILES = 1000,
	REHEARSAL_PROBLEM_BYTES = 4096, /* more problems than that help nobody */
	SLUG_BYTES = 40,
};

static void rehearsal_turn_free(struct rehearsal_turn *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->lines.len; i++)
		cJSON_Delete(t->lines.items[i]);
	kt_vec_release(&t->lines);
	cJSON_Delete(t->head);
	free(t->file);
	free(t);
}

void kt_rehearsal_found_release(struct rehearsal_found *f)
{
	rehearsal_turn_free(f->turn);
	f->turn = NULL;
	kt_buf_release(&f->problems);
	kt_buf_release(&f->files);
}

char *kt_rehearsal_file_for(const char *text)
{
	KT_AUTOFREE char *head = kt_strndup(text, strnlen(text, 400));
	KT_AUTOFREE char *slug = kt_str_slugify(head);

	if (strlen(slug) > SLUG_BYTES) {
		char *end = slug + SLUG_BYTES;

		while (end > slug && *end != '-')
			end--;
		(end > slug ? end : slug + SLUG_BYTES)[0] = '\0';
	}
	return kt_asprintf("rehearsals/%s.jsonl", slug);
}

/* --- matching --------------------------------------------------------------------------------- */

/* Trimmed, ASCII letters in lower case, runs of blanks as one space. The caller's. */
static char *fold_text(const char *s)
{
	char *out = kt_malloc(strlen(s) + 1);
	size_t n = 0;

	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (!isspace(c))
			out[n++] = (char)(c < 0x80 ? tolower(c) : c);
		else if (n > 0 && out[n - 1] != ' ')
			out[n++] = ' ';
	}
	if (n > 0 && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
	return out;
}

/*
 * How well a turn fits: 0 not at all; the exact text before a part of it, that before "*", and
 * within each the right position before none given before another one.
 */
static int turn_fitness(
	const struct rehearsal_turn *t, const char *folded, const struct kt_prompt *p)
{
	const cJSON *match = kt_json_get(t->head, "match");
	const char *text = kt_json_str(match, "text");
	const char *contains = kt_json_str(match, "contains");
	const char *agent = kt_json_str(t->head, "agent");
	int64_t position = kt_json_int(match, "position", 0);
	int score = 0;

	if (agent && p->agent && strcmp(agent, p->agent) != 0)
		return 0;
	if (text && !strcmp(text, "*")) {
		score = 10;
	} else if (text) {
		KT_AUTOFREE char *want = fold_text(text);

		score = strcmp(want, folded) ? 0 : 30;
	}
	if (!score && contains) {
		KT_AUTOFREE char *part = fold_text(contains);

		score = *part && strstr(folded, part) ? 20 : 0;
	}
	if (!score)
		return 0;
	if (position <= 0)
		return score + 1;
	return position == p->position ? score + 2 : score;
}

/* --- reading ---------------------------------------------------------------------------------- */

struct reader {
	struct rehearsal_found *found;
	const struct kt_prompt *prompt;
	char *folded;
	int best; /* fitness of found->turn */
	size_t total; /* bytes read */
	const char *file;
	struct rehearsal_turn *turn; /* being read, or NULL */
	size_t turn_bytes; /* that it takes */
	size_t values, max_values; /* of it */
	bool bad; /* the turn being read has a malformed line */
};

static void add_problem(struct reader *r, int line, const char *what)
{
	kt_buf_addf(&r->found->problems, "%s:%d: %s\n", r->file, line, what);
	r->bad = true;
}

/* The turn being read is complete: keep it when it fits better than what there is. */
static void turn_read(struct reader *r)
{
	struct rehearsal_turn *t = r->turn;
	const cJSON *last = t && t->lines.len ? t->lines.items[t->lines.len - 1] : NULL;

	if (!t)
		return;
	if (!r->bad && !kt_json_obj(last, "end"))
		add_problem(r, t->line, "the turn that begins here has no \"end\" line");
	int score = r->bad ? 0 : turn_fitness(t, r->folded, r->prompt);

	r->turn = NULL;
	if (score > r->best) {
		r->best = score;
		r->found->bytes = r->turn_bytes;
		rehearsal_turn_free(r->found->turn);
		r->found->turn = t;
	} else {
		rehearsal_turn_free(t);
	}
}

static void begin_turn(struct reader *r, cJSON *head, int line)
{
	const cJSON *match = kt_json_obj(head, "match");

	turn_read(r);
	r->bad = false;
	r->turn = kt_calloc(1, sizeof(*r->turn));
	r->turn->file = kt_strdup(r->file);
	r->turn->line = line;
	r->turn->head = head;
	r->turn_bytes = r->values = 0;
	if (kt_json_int(head, "karta_rehearsal", 0) != 1)
		add_problem(r, line, "\"karta_rehearsal\" is not 1: written by a newer karta?");
	else if (!kt_json_str(match, "text") && !kt_json_str(match, "contains"))
		add_problem(r, line, "\"match\" needs \"text\" or \"contains\"");
}

/* What is wrong with a line of a turn, or NULL. */
static const char *line_problem(const cJSON *doc)
{
	const cJSON *t = kt_json_get(doc, "t");
	const cJSON *ask = kt_json_obj(doc, "ask"), *answer = kt_json_obj(doc, "answer");
	const cJSON *when = kt_json_get(doc, "when"), *w;

	if (t && (!cJSON_IsNumber(t) || t->valuedouble < 0))
		return "\"t\" is no number of milliseconds";
	if (when && !cJSON_IsObject(when))
		return "\"when\" is no object {\"ASK ID\": \"DECISION\"}";
	cJSON_ArrayForEach (w, when) {
		if (!cJSON_IsString(w))
			return "\"when\" is no object {\"ASK ID\": \"DECISION\"}";
	}
	if (kt_json_get(doc, "ask"))
		return kt_json_str(ask, "id") ? NULL : "\"ask\" has no \"id\"";
	if (kt_json_get(doc, "answer"))
		return kt_json_str(answer, "id") && kt_json_str(answer, "decision")
			? NULL
			: "\"answer\" needs \"id\" and \"decision\"";
	if (kt_json_get(doc, "end"))
		return kt_json_obj(doc, "end") ? NULL : "\"end\" is no object";
	if (!kt_json_str(doc, "type"))
		return "neither an event (\"type\"), \"ask\", \"answer\" nor \"end\"";
	return kt_json_obj(doc, "data") ? NULL : "the event has no \"data\" object";
}

static size_t values_of(const cJSON *doc)
{
	const cJSON *m;
	size_t n = 1;

	cJSON_ArrayForEach (m, doc)
		n += values_of(m);
	return n;
}

static void take_rehearsal_line(struct reader *r, const char *s, size_t len, int line)
{
	cJSON *doc = NULL;
	struct kt_err err = KT_ERR_INIT;

	if (kt_json_parse(s, len, KT_JSON_LENIENT, &doc, &err) != KT_OK) {
		add_problem(r, line, err.msg);
		return;
	}
	if (kt_json_get(doc, "karta_rehearsal")) {
		begin_turn(r, doc, line);
		return;
	}
	const char *what = cJSON_IsObject(doc) ? line_problem(doc) : "not a JSON object";

	if (r->turn) {
		r->values += values_of(doc);
		r->turn_bytes += kt_json_memory(doc);
		if (r->values > r->max_values)
			what = "the turn has more values than one of a release may have (500,000)";
	}

	if (!r->turn && !r->bad)
		what = "the first line of a turn must have \"karta_rehearsal\"";
	if (what || !r->turn) {
		if (what)
			add_problem(r, line, what);
		cJSON_Delete(doc);
		return;
	}
	kt_vec_push(&r->turn->lines, doc);
}

static void read_file(struct reader *r, const char *path)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(REHEARSAL_FILE_BYTES);
	struct kt_err err = KT_ERR_INIT;
	int line = 0;

	r->bad = false;
	if (kt_fs_read(path, &text, &err) != KT_OK) {
		add_problem(r, 1, err.msg);
		return;
	}
	r->total += text.len;
	for (char *p = text.ptr, *end = text.ptr + text.len; p < end;) {
		char *lf = memchr(p, '\n', (size_t)(end - p));
		size_t n = lf ? (size_t)(lf - p) : (size_t)(end - p);
		size_t blank = 0;

		line++;
		while (blank < n && strchr(" \t\r", p[blank]))
			blank++;
		if (blank < n)
			take_rehearsal_line(r, p, n, line);
		p += n + 1;
	}
	turn_read(r);
}

void kt_rehearsal_find(
	const char *dir, const struct kt_prompt *p, size_t max_values, struct rehearsal_found *out)
{
	struct reader r = { .found = out, .prompt = p, .max_values = max_values };
	KT_AUTOFREE char *folder = kt_path_join(dir, "rehearsals");
	KT_AUTOFREE char *folded = fold_text(p->text);
	char **names = NULL;
	size_t n = 0;

	out->turn = NULL;
	kt_buf_init(&out->problems, REHEARSAL_PROBLEM_BYTES);
	kt_buf_init(&out->files, REHEARSAL_PROBLEM_BYTES);
	if (kt_fs_list(folder, &names, &n, NULL) != KT_OK)
		return;
	r.folded = folded;
	for (size_t i = 0, files = 0; i < n && files < REHEARSAL_FILES; i++) {
		if (!kt_str_ends(names[i], ".jsonl") || r.total > REHEARSAL_TOTAL_BYTES)
			continue;
		KT_AUTOFREE char *path = kt_path_join(folder, names[i]);
		KT_AUTOFREE char *shown = kt_path_join("rehearsals", names[i]);

		files++;
		r.file = shown;
		kt_buf_addf(&out->files, "%s%s", out->files.len ? ", " : "", names[i]);
		read_file(&r, path);
	}
	kt_fs_names_free(names, n);
}
