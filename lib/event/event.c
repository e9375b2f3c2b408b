/* SPDX-License-Identifier: MIT */
/*
 * Event types, and frames: rendering one event as a frame of text/event-stream (WHATWG HTML 9.2),
 * and taking a frame apart. No state.
 */
#include "event/log_private.h"

#include "base/str.h"
#include "base/time.h"
#include "text/json.h"

#include <string.h>

static const char *const names[KT_EV_COUNT_] = {
	[KT_EV_TEXT] = "text",
	[KT_EV_TOOL_USE] = "tool_use",
	[KT_EV_TOOL_RESULT] = "tool_result",
	[KT_EV_REASONING] = "reasoning",
	[KT_EV_STEP_START] = "step_start",
	[KT_EV_STEP_FINISH] = "step_finish",
	[KT_EV_INPUT_REQUIRED] = "input_required",
	[KT_EV_ERROR] = "error",
	[KT_EV_DONE] = "done",
	[KT_EV_STATUS] = "status",
	[KT_EV_SYSTEM] = "system",
	[KT_EV_GAP] = "gap",
	[KT_EV_LOG] = "log",
	[KT_EV_RELEASE] = "release",
};

/* Identifiers are short; what a harness sends as one may be anything. */
/* Begins the line of a frame's check: a comment, which readers of event streams pass over. */
#define CHECK "\n: "
#define MAX_ID_BYTES 512

const char *kt_event_name(enum kt_event_type type)
{
	kt_assert(type >= 0 && type < KT_EV_COUNT_);
	return names[type];
}

static bool parse_event_name(const char *s, size_t len, enum kt_event_type *out)
{
	for (int i = 0; i < KT_EV_COUNT_; i++) {
		if (strlen(names[i]) == len && memcmp(names[i], s, len) == 0) {
			*out = (enum kt_event_type)i;
			return true;
		}
	}
	return false;
}

bool kt_event_parse_name(const char *name, enum kt_event_type *out)
{
	return parse_event_name(name, strlen(name), out);
}

static void add_id(struct kt_jw *w, const char *key, const char *id)
{
	if (id == NULL)
		kt_jw_null(w, key);
	else
		kt_jw_strn(w, key, id, strnlen(id, MAX_ID_BYTES));
}

/*
 * Line breaks are legal between JSON's tokens and only there, but they would end the frame's data
 * line: they become blanks.
 */
static void add_one_line(struct kt_jw *w, const char *key, const char *json, size_t len)
{
	kt_jw_raw(w, key, json, len);
	if (!kt_buf_ok(w->b))
		return;
	char *at = w->b->ptr + w->b->len - len;
	char *end = at + len;
	static const char breaks[] = "\n\r";
	for (int i = 0; i < 2; i++)
		for (char *p = at; (p = memchr(p, breaks[i], (size_t)(end - p))) != NULL;)
			*p++ = ' ';
}

static void add_event_data(struct kt_jw *w, const struct kt_event_draft *ev)
{
	if (ev->data == NULL || ev->data_len > KT_MAX_EVENT_BYTES) {
		kt_jw_obj(w, "data");
		if (ev->data != NULL) {
			kt_jw_bool(w, "truncated", true);
			kt_jw_int(w, "bytes", (int64_t)ev->data_len);
		}
		kt_jw_obj_end(w);
	} else {
		add_one_line(w, "data", ev->data, ev->data_len);
	}
	if (ev->raw == NULL || ev->raw_len > KT_MAX_EVENT_BYTES)
		kt_jw_null(w, "raw");
	else
		add_one_line(w, "raw", ev->raw, ev->raw_len);
}

static void add_u64(struct kt_buf *b, uint64_t v)
{
	char text[20];
	size_t at = sizeof(text);
	do {
		text[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	kt_buf_add(b, text + at, sizeof(text) - at);
}

void kt_evlog_render(struct kt_buf *b, const char *id_key, const char *id, uint64_t seq,
	const struct kt_event_draft *ev)
{
	const char *name = kt_event_name(ev->type);
	size_t from = b->len;
	char sum[9];
	struct kt_jw w;
	kt_buf_add(b, "id: ", 4);
	add_u64(b, seq);
	kt_buf_add(b, "\nevent: ", 8);
	kt_buf_adds(b, name);
	kt_buf_add(b, "\ndata: ", 7);
	kt_jw_init(&w, b);
	kt_jw_obj(&w, NULL);
	kt_jw_str(&w, "type", name);
	kt_jw_str(&w, "source", "karta");
	add_id(&w, id_key, id);
	kt_jw_int(&w, "timestamp", kt_time_us() / 1000);
	kt_jw_int(&w, "seq", (int64_t)seq);
	add_id(&w, "turn_id", ev->turn_id);
	add_id(&w, "parent_tool_use_id", ev->parent_tool_use_id);
	add_event_data(&w, ev);
	kt_jw_obj_end(&w);
	if (!kt_buf_ok(b))
		return;
	kt_linesum_text(b->ptr + from, b->len - from, sum);
	kt_buf_add(b, CHECK, sizeof(CHECK) - 1);
	kt_buf_add(b, sum, sizeof(sum) - 1);
	kt_buf_add(b, "\n\n", 2);
}

/* Skip `word` at *p; false when something else stands there. */
static bool skip_frame_word(const char **p, const char *end, const char *word)
{
	size_t n = strlen(word);
	if ((size_t)(end - *p) < n || memcmp(*p, word, n) != 0)
		return false;
	*p += n;
	return true;
}

/* Text up to the end of the line, which is skipped. */
static bool take_frame_line(const char **p, const char *end, const char **out, size_t *out_len)
{
	const char *lf = memchr(*p, '\n', (size_t)(end - *p));
	if (lf == NULL)
		return false;
	*out = *p;
	*out_len = (size_t)(lf - *p);
	*p = lf + 1;
	return true;
}

const char *kt_evframe_end(const char *p, size_t len)
{
	const char *end = p + len;
	/* Ten times as fast as memmem(): there are few lines, and they are long. */
	while ((p = memchr(p, '\n', (size_t)(end - p))) != NULL && p + 1 < end)
		if (*++p == '\n')
			return p + 1;
	return NULL;
}

int kt_evframe_next(const char *buf, size_t len, struct kt_evframe *out)
{
	const char *after = kt_evframe_end(buf, len);
	if (after == NULL)
		return 0;
	const char *end = after - 1; /* with the last line's LF */
	const char *p = buf;
	const char *text = NULL;
	size_t n = 0;
	int64_t seq = 0;
	struct kt_evframe frame = { .seq = 0 };
	if (!skip_frame_word(&p, end, "id: ") || !take_frame_line(&p, end, &text, &n) ||
		!kt_str_int64n(text, n, 1, INT64_MAX, &seq) ||
		!skip_frame_word(&p, end, "event: ") || !take_frame_line(&p, end, &text, &n) ||
		!parse_event_name(text, n, &frame.type) || !skip_frame_word(&p, end, "data: ") ||
		!take_frame_line(&p, end, &frame.json, &frame.json_len))
		return -1;
	/* The line of its check, which only who asks for it pays for. */
	if (p != end && (*p != ':' || !take_frame_line(&p, end, &text, &n) || p != end))
		return -1;
	frame.seq = (uint64_t)seq;
	frame.bytes = buf;
	frame.len = (size_t)(end - buf) + 1;
	*out = frame;
	return 1;
}

enum kt_linesum kt_evframe_check(const struct kt_evframe *f)
{
	const char *line = f->json + f->json_len; /* the LF before it */
	size_t n = (size_t)(f->bytes + f->len - 2 - line); /* without those at the end */
	char want[sizeof(CHECK) + 8] = CHECK;
	if (n == 0)
		return KT_LINESUM_NONE;
	kt_linesum_text(f->bytes, (size_t)(line - f->bytes), want + sizeof(CHECK) - 1);
	return n == sizeof(want) - 1 && memcmp(line, want, n) == 0 ? KT_LINESUM_OK : KT_LINESUM_BAD;
}
