/* SPDX-License-Identifier: MIT */
/*
 * Of the ACP driver: content blocks, and what a tool gave, in the form of events. Words alone are a
 * string. With anything beside them (a picture, a file, a link, a difference) it is a list of
 * blocks, each as the agent gave it, the words first.
 */
#include "harness/acp_private.h"

#include "base/limits.h"
#include "base/str.h"

#include <string.h>

char *kt_acp_block_text(const cJSON *block)
{
	const char *type = kt_json_str_or(block, "type", "text");
	const char *text = kt_json_str(block, "text");

	if (!strcmp(type, "text") && text)
		return kt_strdup(text);
	if (!strcmp(type, "resource_link") && kt_json_str(block, "uri"))
		return kt_asprintf("[%s](%s)",
			kt_json_str_or(block, "title",
				kt_json_str_or(block, "name", kt_json_str(block, "uri"))),
			kt_json_str(block, "uri"));
	text = kt_json_str(kt_json_obj(block, "resource"), "text");
	return !strcmp(type, "resource") ? kt_strdup_opt(text) : NULL;
}

/* A diff as text, for clients that show blocks only: the old lines, then the new ones. */
static char *diff_text(const cJSON *diff)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_EVENT_BYTES);
	static const char *const keys[] = { "oldText", "newText" };

	kt_buf_addf(&b, "%s\n", kt_json_str_or(diff, "path", ""));
	for (size_t i = 0; i < KT_ARRAY_LEN(keys); i++) {
		const char *p = kt_json_str_or(diff, keys[i], "");

		while (*p) {
			size_t n = strcspn(p, "\n");

			kt_buf_addc(&b, i ? '+' : '-');
			kt_buf_add(&b, p, n);
			kt_buf_addc(&b, '\n');
			p += n + (p[n] == '\n');
		}
	}
	return kt_buf_take(&b);
}

static bool is_diff(const cJSON *c)
{
	return kt_str_eq(kt_json_str(c, "type"), "diff");
}

bool kt_acp_has_diff(const cJSON *content)
{
	const cJSON *c;

	cJSON_ArrayForEach (c, content) {
		if (is_diff(c))
			return true;
	}
	return false;
}

static bool is_words(const cJSON *c)
{
	const cJSON *block = kt_json_obj(c, "content");

	return kt_str_eq(kt_json_str_or(block, "type", "text"), "text") &&
		kt_json_str(block, "text");
}

/* The words that content holds, joined; the caller's, NULL when there are none. */
static char *content_text(const cJSON *content)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(KT_MAX_LINE_BYTES);
	const cJSON *c;

	cJSON_ArrayForEach (c, content) {
		if (!is_words(c))
			continue;
		if (b.len > 0)
			kt_buf_addc(&b, '\n');
		kt_buf_adds(&b, kt_json_str(kt_json_obj(c, "content"), "text"));
	}
	return b.len > 0 ? kt_buf_take(&b) : NULL;
}

/* The words in rawOutput: agents give a string, or an object that holds one. */
static const char *raw_text(const cJSON *raw)
{
	static const char *const keys[] = { "output", "error", "formatted_output",
		"aggregated_output", "stdout" };

	if (cJSON_IsString(raw))
		return raw->valuestring;
	for (size_t i = 0; i < KT_ARRAY_LEN(keys); i++) {
		const char *s = kt_json_str(raw, keys[i]);

		if (s && *s)
			return s;
	}
	return NULL;
}

/* Append what content holds beside words; of diffs, only when they are wanted. */
static void add_blocks(cJSON *blocks, const cJSON *content, bool diffs)
{
	const cJSON *c;

	cJSON_ArrayForEach (c, content) {
		const cJSON *inner = kt_json_obj(c, "content");

		if (is_words(c) || (is_diff(c) && !diffs))
			continue;
		cJSON *block = cJSON_Duplicate(inner ? inner : c, true);
		KT_AUTOFREE char *shown = is_diff(c) ? diff_text(c) : NULL;

		kt_assert(block);
		if (shown)
			kt_assert(cJSON_AddStringToObject(block, "text", shown));
		kt_assert(cJSON_AddItemToArray(blocks, block));
	}
}

/*
 * OpenCode's content has the pictures of a result only; a file of another kind is among the
 * attachments of rawOutput: "data:MIME;base64,DATA".
 */
static void add_attachments(cJSON *blocks, const cJSON *raw)
{
	const cJSON *f;

	cJSON_ArrayForEach (f, kt_json_arr(raw, "attachments")) {
		const char *url = kt_json_str_or(f, "url", "");
		const char *mime = kt_json_str_or(f, "mime", "application/octet-stream");
		const char *data = strstr(url, ";base64,");
		cJSON *block;
		cJSON *resource;

		if (kt_str_starts(mime, "image/") || !kt_str_starts(url, "data:") || !data)
			continue;
		block = cJSON_CreateObject();
		resource = cJSON_AddObjectToObject(block, "resource");
		kt_assert(resource && cJSON_AddStringToObject(block, "type", "resource") &&
			cJSON_AddStringToObject(
				resource, "uri", kt_json_str_or(f, "filename", "attachment")) &&
			cJSON_AddStringToObject(resource, "mimeType", mime) &&
			cJSON_AddStringToObject(resource, "blob", data + strlen(";base64,")));
		kt_assert(cJSON_AddItemToArray(blocks, block));
	}
}

static bool is_filled(const cJSON *v)
{
	return (cJSON_IsObject(v) || cJSON_IsArray(v)) && v->child;
}

/* No words and no blocks: what rawOutput has, as it is or as text. */
static cJSON *raw_value(const cJSON *raw)
{
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(KT_MAX_LINE_BYTES);

	if (cJSON_IsArray(raw))
		return cJSON_Duplicate(raw, true);
	if (is_filled(raw) || cJSON_IsNumber(raw) || cJSON_IsBool(raw))
		kt_json_add(&text, raw);
	return cJSON_CreateString(text.ptr);
}

cJSON *kt_acp_output(const cJSON *update, const cJSON *before, bool failed)
{
	const cJSON *raw = kt_json_get(update, "rawOutput");
	const cJSON *content = kt_json_arr(update, "content");
	const cJSON *shown = is_filled(content) ? content : before;
	KT_AUTOFREE char *joined = content_text(shown);
	const char *text = raw_text(raw);
	cJSON *blocks = cJSON_CreateArray();

	kt_assert(blocks);
	if (!text)
		text = joined;
	add_blocks(blocks, shown, shown == content || !failed);
	/* Some agents show the diff of an edit only before it is made. */
	if (shown == content && !failed && !kt_acp_has_diff(content) && kt_acp_has_diff(before))
		add_blocks(blocks, before, true);
	add_attachments(blocks, raw);
	if (!blocks->child) {
		cJSON_Delete(blocks);
		return text ? cJSON_CreateString(text) : raw_value(raw);
	}
	if (text) {
		cJSON *block = cJSON_CreateObject();

		kt_assert(block && cJSON_AddStringToObject(block, "type", "text") &&
			cJSON_AddStringToObject(block, "text", text) &&
			cJSON_InsertItemInArray(blocks, 0, block));
	}
	return blocks;
}
