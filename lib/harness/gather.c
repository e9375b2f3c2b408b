/* SPDX-License-Identifier: MIT */
/*
 * The first piece of text goes on at once; what comes within KT_GATHER_MS of the last one waits
 * until then. Pieces are joined as JSON: emit.c renders every text event in one form, in which the
 * text is the first string after a head that is always the same, and what is after it (part_id)
 * tells whether two belong together.
 */
#include "harness/gather_private.h"

#include "base/limits.h"
#include "base/str.h"
#include "text/json.h"

#include <string.h>

/* More does not wait: then a frame costs next to nothing. */
#define FULL_BYTES 16384

static const char text_head[] = "{\"part\":{\"type\":\"text\",\"text\":\"";
static const char reasoning_head[] = "{\"part\":{\"type\":\"reasoning\",\"text\":\"";

void kt_gather_init(struct kt_gather *g)
{
	*g = (struct kt_gather){ .sent_ms = INT64_MIN / 2 };
	kt_buf_init(&g->data, (size_t)4 * FULL_BYTES);
}

void kt_gather_release(struct kt_gather *g)
{
	kt_buf_release(&g->data);
	free(KT_STEAL(g->parent));
}

/* Where the text of a text event begins and ends; false when ev is none that may wait. */
static bool gather_find(const struct kt_event_draft *ev, size_t *out_from, size_t *out_to)
{
	bool text = ev->type == KT_EV_TEXT;
	const char *head = text ? text_head : reasoning_head;
	size_t at = text ? sizeof(text_head) - 1 : sizeof(reasoning_head) - 1;

	if ((!text && ev->type != KT_EV_REASONING) || ev->raw || ev->data_len > FULL_BYTES ||
		ev->data_len < at || memcmp(ev->data, head, at) != 0)
		return false;
	*out_from = at;
	while (at < ev->data_len && ev->data[at] != '"')
		at += ev->data[at] == '\\' ? 2 : 1;
	*out_to = at;
	return at < ev->data_len;
}

static bool gather_fits(const struct kt_gather *g, const struct kt_event_draft *ev, size_t to)
{
	size_t rest = ev->data_len - to;

	if (g->type != ev->type || g->data.len >= FULL_BYTES ||
		(!kt_str_eq(g->parent, ev->parent_tool_use_id) &&
			(g->parent || ev->parent_tool_use_id)))
		return false;
	return g->data.len - g->text_end == rest &&
		!memcmp(g->data.ptr + g->text_end, ev->data + to, rest) &&
		!memmem(ev->data + to, rest, "\"replace\":", 10);
}

bool kt_gather_take(struct kt_gather *g, const struct kt_event_draft *ev, int64_t now_ms)
{
	size_t from, to;

	if (!gather_find(ev, &from, &to))
		return false;
	if (g->data.len > 0) {
		if (!gather_fits(g, ev, to))
			return false;
		kt_buf_truncate(&g->data, g->text_end);
	} else if (now_ms - g->sent_ms >= KT_GATHER_MS) {
		g->sent_ms = now_ms;
		return false;
	} else {
		g->type = ev->type;
		g->parent = kt_strdup_opt(ev->parent_tool_use_id);
		from = 0;
	}
	kt_buf_add(&g->data, ev->data + from, to - from);
	g->text_end = g->data.len;
	kt_buf_add(&g->data, ev->data + to, ev->data_len - to);
	return true;
}

bool kt_gather_waits(const struct kt_gather *g)
{
	return g->data.len > 0;
}

void kt_gather_out(struct kt_gather *g, struct kt_gather *held, struct kt_event_draft *out)
{
	*held = *g;
	kt_gather_init(g);
	g->sent_ms = held->sent_ms;
	*out = (struct kt_event_draft){
		.type = held->type,
		.parent_tool_use_id = held->parent,
		.data = held->data.ptr,
		.data_len = held->data.len,
	};
}

void kt_tools_count(struct kt_map *tools, const struct kt_event_draft *ev, void *mark)
{
	KT_AUTO_JSON cJSON *data = NULL;
	const char *id;

	if (ev->type != KT_EV_TOOL_USE && ev->type != KT_EV_TOOL_RESULT)
		return;
	if (kt_json_parse(ev->data, ev->data_len, KT_JSON_LENIENT, &data, NULL) != KT_OK)
		return;
	id = kt_json_str(data, "tool_use_id");
	if (!id)
		return;
	if (ev->type == KT_EV_TOOL_RESULT)
		kt_map_del(tools, id);
	else if (kt_str_eq(kt_json_str(data, "state"), "running"))
		kt_map_set(tools, id, mark);
}
