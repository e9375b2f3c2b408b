/* SPDX-License-Identifier: MIT */
/*
 * What all drivers share: rendering an event's data and handing it to the sink, the words of
 * decisions, usage, and what an approval is about. Strings that would make
 * an event larger than KT_MAX_EVENT_BYTES are cut here and marked, so that the log never has to
 * replace an event as a whole. No state.
 */
#include "harness/driver.h"

#include "base/limits.h"
#include "base/str.h"
#include "text/json.h"
#include "text/seam.h"

#include <stdio.h>
#include <string.h>

enum {
	/* One text event carries at most this; longer text is several. Escaping makes 6 of 1. */
	EMIT_TEXT_BYTES = 128 * 1024,
	/* In an event that is too large, every string is cut to this. */
	EMIT_STRING_BYTES = 64 * 1024,
	/* If that was not enough (a thousand long strings), to this. */
	EMIT_STRING_SMALL_BYTES = 1024,
	/* Room for the envelope around the data. */
	EMIT_ENVELOPE_BYTES = 4096,
};

/* --- decisions --------------------------------------------------------------------------- */

const char *kt_decision_name(enum kt_decision d)
{
	switch (d) {
	case KT_APPROVE_ONCE:
		return "approve_once";
	case KT_APPROVE_SESSION:
		return "approve_session";
	case KT_APPROVE_COMMAND:
		return "approve_command";
	case KT_APPROVE_FILE:
		return "approve_file";
	case KT_APPROVE_FOLDER:
		return "approve_folder";
	case KT_DENY:
		return "deny";
	case KT_ANSWER:
		return "answer";
	}
	return "deny";
}

bool kt_decision_parse(const char *s, enum kt_decision *out)
{
	static const struct {
		const char *word;
		enum kt_decision decision;
	} words[] = {
		{ "approve_once", KT_APPROVE_ONCE },
		{ "allow", KT_APPROVE_ONCE },
		{ "once", KT_APPROVE_ONCE },
		{ "approve_session", KT_APPROVE_SESSION },
		{ "session", KT_APPROVE_SESSION },
		{ "approve_command", KT_APPROVE_COMMAND },
		{ "approve_file", KT_APPROVE_FILE },
		{ "approve_folder", KT_APPROVE_FOLDER },
		{ "deny", KT_DENY },
		{ "answer", KT_ANSWER },
	};

	for (size_t i = 0; s && i < KT_ARRAY_LEN(words); i++) {
		if (!strcmp(s, words[i].word)) {
			*out = words[i].decision;
			return true;
		}
	}
	return false;
}

/* --- what an approval is about ----------------------------------------------------------- */

static bool is_one_of(const char *word, const char *const *names)
{
	for (; *names; names++) {
		if (kt_str_eq(word, *names))
			return true;
	}
	return false;
}

/* Every member is one of names, and there once. */
static bool has_only(const cJSON *input, const char *const *names)
{
	const cJSON *m;

	cJSON_ArrayForEach (m, input) {
		if (!is_one_of(m->string, names) || kt_json_get(input, m->string) != m)
			return false;
	}
	return true;
}

void kt_ask_shape(struct kt_ask *ask, const char *tool, const cJSON *input)
{
	static const char *const shells[] = { "Bash", "bash", NULL };
	/* The driver knows what the last two mean; it has set ask->cwd. */
	static const char *const shell_members[] = { "command", "description", "timeout", "cwd",
		"workdir", NULL };
	static const char *const editors[] = { "Edit", "Write", "MultiEdit", "NotebookEdit", "edit",
		"write", NULL };
	static const char *const editor_members[] = { "file_path", "filePath", "notebook_path",
		"content", "old_string", "new_string", "replace_all", "edits", "oldString",
		"newString", "replaceAll", "new_source", "cell_id", "cell_type", "edit_mode",
		NULL };
	static const char *const paths[] = { "file_path", "filePath", "notebook_path", NULL };

	if (!cJSON_IsObject(input))
		return;
	if (is_one_of(tool, shells) && has_only(input, shell_members)) {
		ask->command = kt_json_str(input, "command");
		/* It would not be remembered. */
		if (ask->command && strlen(ask->command) > KT_MAX_REMEMBERED_BYTES)
			ask->command = NULL;
	} else if (is_one_of(tool, editors) && has_only(input, editor_members)) {
		for (size_t i = 0; paths[i]; i++) {
			const char *path = kt_json_str(input, paths[i]);

			/* Two paths, or one that is none: nobody knows which of them counts. */
			if (path && (ask->path || strlen(path) > KT_MAX_PATH_BYTES)) {
				ask->path = NULL;
				return;
			}
			if (path)
				ask->path = path;
		}
	}
}

/* --- usage ------------------------------------------------------------------------------- */

static void usage_field(struct kt_jw *w, const char *key, int64_t v)
{
	if (v >= 0)
		kt_jw_int(w, key, v);
}

void kt_usage_write(struct kt_jw *w, const char *key, const struct kt_usage *u)
{
	kt_jw_obj(w, key);
	usage_field(w, "input_tokens", u->input_tokens);
	usage_field(w, "output_tokens", u->output_tokens);
	usage_field(w, "total_tokens", u->total_tokens);
	usage_field(w, "cache_read_tokens", u->cache_read_tokens);
	usage_field(w, "cache_write_tokens", u->cache_write_tokens);
	if (u->cost_microusd >= 0)
		kt_jw_num(w, "cost_usd", (double)u->cost_microusd / 1e6);
	kt_jw_obj_end(w);
}

/* --- events ------------------------------------------------------------------------------ */

void kt_emit(struct kt_driver *d, enum kt_event_type type, const char *data, size_t len,
	const char *parent)
{
	struct kt_event_draft ev = {
		.type = type,
		.parent_tool_use_id = parent,
		.data = data,
		.data_len = len,
	};

	d->sink.event(d->sink.arg, &ev);
}

/* The beginning of a character at the end of a part, which waits for the rest. */
struct held {
	char *part_id;
	char *parent; /* or NULL */
	bool reasoning;
	char bytes[4];
	size_t len;
};

static void held_event_free(struct held *h)
{
	free(h->part_id);
	free(h->parent);
	free(h);
}

/* One or more events for text that is not cut inside a character. */
static void send_text(
	struct kt_driver *d, const struct held *part, const char *text, size_t len, bool replace)
{
	do {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
		size_t n = kt_utf8_cut(text, len, EMIT_TEXT_BYTES);
		struct kt_jw w;

		kt_jw_init(&w, &b);
		kt_jw_obj(&w, NULL);
		kt_jw_obj(&w, "part");
		kt_jw_str(&w, "type", part->reasoning ? "reasoning" : "text");
		kt_jw_strn(&w, "text", text, n);
		kt_jw_obj_end(&w);
		kt_jw_str(&w, "part_id", part->part_id);
		if (replace)
			kt_jw_bool(&w, "replace", true);
		kt_jw_obj_end(&w);
		kt_emit(d, part->reasoning ? KT_EV_REASONING : KT_EV_TEXT, b.ptr, b.len,
			part->parent);
		replace = false; /* what follows is appended to the replacement */
		text += n;
		len -= n;
	} while (len > 0);
}

/*
 * The parts of parent are over; if it writes on in part `now`, only the others of that kind. What
 * waited has no rest.
 */
static void end_parts(struct kt_driver *d, const char *parent, const struct held *now)
{
	for (size_t i = d->held.len; i > 0; i--) {
		struct held *h = d->held.items[i - 1];

		if (!kt_str_eq(h->parent, parent) && (h->parent || parent))
			continue;
		if (now && (h->reasoning != now->reasoning || !strcmp(h->part_id, now->part_id)))
			continue;
		(void)kt_vec_remove(&d->held, i - 1);
		send_text(d, h, h->bytes, h->len, false);
		held_event_free(h);
	}
}

static struct held *held_take(struct kt_driver *d, bool reasoning, const char *part_id)
{
	for (size_t i = 0; i < d->held.len; i++) {
		struct held *h = d->held.items[i];

		if (h->reasoning == reasoning && !strcmp(h->part_id, part_id))
			return kt_vec_remove(&d->held, i);
	}
	return NULL;
}

void kt_emit_release(struct kt_driver *d)
{
	while (d->held.len)
		held_event_free(kt_vec_remove(&d->held, d->held.len - 1));
	kt_vec_release(&d->held);
}

void kt_emit_text(struct kt_driver *d, bool reasoning, const char *part_id, const char *text,
	size_t len, bool replace, const char *parent)
{
	const struct held part = { (char *)(uintptr_t)part_id, (char *)(uintptr_t)parent, reasoning,
		{ 0 }, 0 };
	KT_AUTO_BUF struct kt_buf joined = KT_BUF_INIT(KT_MAX_LINE_BYTES + sizeof(part.bytes));
	struct held *before = d->held.len ? held_take(d, reasoning, part_id) : NULL;
	size_t open = kt_seam_open(text, len);

	if (d->held.len)
		end_parts(d, parent, &part);
	if (before && !replace) {
		kt_buf_add(&joined, before->bytes, before->len);
		kt_seam_add(&joined, text, len);
		text = joined.ptr;
		len = joined.len;
		open = kt_seam_open(text, len);
	}
	if (before)
		held_event_free(before);
	if (len > open || replace)
		send_text(d, &part, text, len - open, replace);
	if (!open)
		return;
	struct held *h = kt_calloc(1, sizeof(*h));

	h->part_id = kt_strdup(part_id);
	h->parent = kt_strdup_opt(parent);
	h->reasoning = reasoning;
	h->len = open;
	memcpy(h->bytes, text + len - open, open);
	kt_vec_push(&d->held, h);
}

static void write_cut(struct kt_jw *w, const char *key, const cJSON *v, size_t max, int depth);

static void write_cut_string(struct kt_jw *w, const char *key, const char *s, size_t max)
{
	size_t len = strlen(s);
	size_t keep = kt_utf8_cut(s, len, max);

	if (keep == len) {
		kt_jw_strn(w, key, s, len);
		return;
	}
	KT_AUTOFREE char *cut = kt_asprintf(
		"%.*s\n[... %zu more bytes were cut]", (int)keep, s, len - keep);

	kt_jw_str(w, key, cut);
}

/* A part of a picture or a file is worth nothing: it is left out, and its size is told. */
static bool is_file_data(const cJSON *block, const cJSON *c)
{
	return cJSON_IsObject(block) && cJSON_IsString(c) &&
		(!strcmp(c->string, "data") || !strcmp(c->string, "blob")) &&
		(kt_json_str(block, "mimeType") || kt_json_str(block, "media_type"));
}

static void write_cut_members(struct kt_jw *w, const cJSON *v, size_t max, int depth)
{
	size_t n = 0;

	for (const cJSON *c = v->child; c && n < 1000; c = c->next, n++)
		if (is_file_data(v, c) && strlen(c->valuestring) > max)
			kt_jw_int(w, "omitted_bytes", (int64_t)strlen(c->valuestring));
		else
			write_cut(w, cJSON_IsObject(v) ? c->string : NULL, c, max, depth + 1);
}

/* As kt_jw_json() with long strings cut, at most 1000 members a level and 16 levels. */
static void write_cut(struct kt_jw *w, const char *key, const cJSON *v, size_t max, int depth)
{
	if (cJSON_IsString(v)) {
		write_cut_string(w, key, v->valuestring, max);
	} else if (depth > 16 && (cJSON_IsObject(v) || cJSON_IsArray(v))) {
		kt_jw_str(w, key, "[... cut]");
	} else if (cJSON_IsObject(v)) {
		kt_jw_obj(w, key);
		write_cut_members(w, v, max, depth);
		kt_jw_obj_end(w);
	} else if (cJSON_IsArray(v)) {
		kt_jw_arr(w, key);
		write_cut_members(w, v, max, depth);
		kt_jw_arr_end(w);
	} else {
		kt_jw_json(w, key, v);
	}
}

/* A tool event: the value that may be large, and what else there is around it. */
struct tool_event {
	enum kt_event_type type;
	const char *id, *name, *state, *status, *parent;
	const cJSON *value;
	const cJSON *patch; /* of an edit, or NULL */
	bool is_error;
};

/* max_string 0: nothing is cut. */
static void write_tool(struct kt_buf *b, const struct tool_event *t, size_t max_string)
{
	bool use = t->type == KT_EV_TOOL_USE;
	const char *key = use ? "tool_input" : "output";
	struct kt_jw w;

	kt_jw_init(&w, b);
	kt_jw_obj(&w, NULL);
	if (use)
		kt_jw_str(&w, "tool_name", t->name);
	if (!max_string || !t->value)
		kt_jw_json(&w, key, t->value);
	else
		write_cut(&w, key, t->value, max_string, 0);
	kt_jw_str(&w, "tool_use_id", t->id);
	if (use) {
		kt_jw_str(&w, "state", t->state);
	} else {
		kt_jw_bool(&w, "is_error", t->is_error);
		kt_jw_str(&w, "status", t->status);
		/* Cut, it would say that something else was changed. */
		if (t->patch && !max_string)
			kt_jw_json(&w, "patch", t->patch);
	}
	if (max_string)
		kt_jw_bool(&w, "truncated", true);
	kt_jw_obj_end(&w);
}

void kt_emit_system(struct kt_driver *d, const cJSON *data, const char *parent)
{
	static const size_t cuts[] = { 0, EMIT_STRING_BYTES, EMIT_STRING_SMALL_BYTES, 64 };

	for (size_t i = 0; i < KT_ARRAY_LEN(cuts); i++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES - EMIT_ENVELOPE_BYTES);
		struct kt_jw w;

		if (!cuts[i]) {
			kt_json_add(&b, data);
		} else {
			kt_jw_init(&w, &b);
			kt_jw_obj(&w, NULL);
			write_cut_members(&w, data, cuts[i], 0);
			kt_jw_bool(&w, "truncated", true);
			kt_jw_obj_end(&w);
		}
		if (!kt_buf_ok(&b))
			continue;
		kt_emit(d, KT_EV_SYSTEM, b.ptr, b.len, parent);
		return;
	}
	/* A tree of a million tiny values. */
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	write_cut_string(&w, "subtype", kt_json_str_or(data, "subtype", "other"), 64);
	kt_jw_bool(&w, "truncated", true);
	kt_jw_obj_end(&w);
	kt_emit(d, KT_EV_SYSTEM, b.ptr, b.len, parent);
}

void kt_emit_cut_json(struct kt_jw *w, const char *key, const cJSON *v, size_t max_string_bytes)
{
	write_cut(w, key, v, max_string_bytes, 0);
}

static void emit_tool(struct kt_driver *d, const struct tool_event *t)
{
	static const size_t cuts[] = { 0, EMIT_STRING_BYTES, EMIT_STRING_SMALL_BYTES, 64 };

	for (size_t i = 0; i < KT_ARRAY_LEN(cuts); i++) {
		KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES - EMIT_ENVELOPE_BYTES);

		write_tool(&b, t, cuts[i]);
		if (!kt_buf_ok(&b))
			continue;
		kt_emit(d, t->type, b.ptr, b.len, t->parent);
		return;
	}
	/* A tree of a million tiny values: say that something was there. */
	struct tool_event none = *t;

	none.value = NULL;
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);

	write_tool(&b, &none, EMIT_STRING_SMALL_BYTES);
	kt_emit(d, t->type, b.ptr, b.len, t->parent);
}

void kt_emit_tool_use(struct kt_driver *d, const char *id, const char *name, const cJSON *input,
	const char *state, const char *parent)
{
	const struct tool_event t = {
		.type = KT_EV_TOOL_USE,
		.id = id,
		.name = name,
		.value = input,
		.state = state,
		.parent = parent,
	};

	end_parts(d, parent, NULL);
	emit_tool(d, &t);
}

void kt_emit_tool_result(struct kt_driver *d, const char *id, const cJSON *output, bool is_error,
	const char *status, const char *parent)
{
	const struct tool_event t = {
		.type = KT_EV_TOOL_RESULT,
		.id = id,
		.value = output,
		.is_error = is_error,
		.status = status,
		.parent = parent,
	};

	emit_tool(d, &t);
}

void kt_emit_tool_edit(struct kt_driver *d, const char *id, const cJSON *output, const cJSON *patch,
	const char *parent)
{
	const struct tool_event t = {
		.type = KT_EV_TOOL_RESULT,
		.id = id,
		.value = output,
		.patch = patch,
		.status = "completed",
		.parent = parent,
	};

	emit_tool(d, &t);
}

void kt_emit_step_start(struct kt_driver *d, int step, const char *description, const char *parent)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	struct kt_jw w;

	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "step_index", step);
	kt_jw_str(&w, "description", description ? description : "");
	kt_jw_obj_end(&w);
	kt_emit(d, KT_EV_STEP_START, b.ptr, b.len, parent);
}

void kt_emit_step_finish(
	struct kt_driver *d, int step, const struct kt_usage *usage, const char *parent)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	struct kt_jw w;

	end_parts(d, parent, NULL);
	kt_jw_init(&w, &b);
	kt_jw_obj(&w, NULL);
	kt_jw_int(&w, "step_index", step);
	if (usage)
		kt_usage_write(&w, "usage", usage);
	kt_jw_obj_end(&w);
	kt_emit(d, KT_EV_STEP_FINISH, b.ptr, b.len, parent);
}

void kt_emit_turn_end(struct kt_driver *d, const struct kt_turn_result *result)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_LINE_BYTES);
	struct kt_turn_result r = *result;

	while (d->held.len) {
		const struct held *first = d->held.items[0];
		KT_AUTOFREE char *parent = kt_strdup_opt(first->parent);

		end_parts(d, parent, NULL);
	}
	if (r.text && !kt_utf8_valid(r.text, strlen(r.text))) {
		kt_seam_clean(&text, r.text, strlen(r.text));
		r.text = text.ptr;
	}
	d->sink.turn_end(d->sink.arg, &r);
}

void kt_emit_malformed(struct kt_driver *d, size_t len)
{
	char data[80];
	int n = snprintf(data, sizeof(data), "{\"subtype\":\"malformed_line\",\"bytes\":%zu}", len);

	kt_emit(d, KT_EV_SYSTEM, data, (size_t)n, NULL);
}

cJSON *kt_parse_line(struct kt_driver *d, const char *line, size_t len, bool *out_refused)
{
	struct kt_err err = KT_ERR_INIT;
	cJSON *out = NULL;
	enum kt_code rc = kt_json_parse_max(
		line, len, KT_JSON_HARNESS, KT_MAX_LINE_VALUES, &out, &err);

	*out_refused = rc == KT_ELIMIT;
	if (*out_refused)
		d->sink.line_refused(d->sink.arg, err.msg);
	if (rc == KT_OK && cJSON_IsObject(out))
		return out;
	cJSON_Delete(out);
	return NULL;
}
