/* SPDX-License-Identifier: MIT */
/*
 * JSON: the first byte chooses the flags. What the validator takes, cJSON must parse, and its text
 * written again must be valid and stay the same. What strict takes, lenient takes. The members of
 * an object are those of its tree. Any bytes as a string must give valid JSON.
 */
#include "text/json.h"

#include <stdlib.h>
#include <string.h>

#define ROOM (64 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_string(const char *s, size_t len)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(ROOM);

	kt_json_add_str(&b, s, len);
	if (kt_json_check(b.ptr, b.len, KT_JSON_NUL_ESCAPE, NULL) != KT_OK)
		abort();
}

struct walk {
	const cJSON *next;
};

static enum kt_code same_member(void *arg, const struct kt_json_member *m, struct kt_err *err)
{
	struct walk *w = arg;
	KT_AUTO_BUF struct kt_buf text = KT_BUF_INIT(ROOM);
	KT_AUTO_BUF struct kt_buf tree = KT_BUF_INIT(ROOM);
	KT_AUTO_JSON cJSON *value = NULL;
	size_t len;
	const char *s;

	if (!w->next || strcmp(w->next->string, m->key) != 0 ||
		kt_json_parse(m->value, m->len, KT_JSON_STRICT, &value, err) != KT_OK)
		abort();
	kt_json_add(&text, value);
	kt_json_add(&tree, w->next);
	s = kt_json_member_str(m, &len);
	if (text.len != tree.len || memcmp(text.ptr, tree.ptr, text.len) != 0 ||
		(s != NULL) != cJSON_IsString(w->next) ||
		(s && (strlen(s) != len || strcmp(s, w->next->valuestring) != 0)))
		abort();
	w->next = w->next->next;
	return KT_OK;
}

static void check_members(const char *s, size_t size)
{
	KT_AUTOFREE char *copy = kt_strndup(s, size);
	KT_AUTO_JSON cJSON *doc = NULL;
	enum kt_code rc = kt_json_parse(s, size, KT_JSON_STRICT, &doc, NULL);
	struct walk w = { doc ? doc->child : NULL };

	if ((kt_json_members(copy, size, SIZE_MAX, same_member, &w, NULL) == KT_OK) !=
			(rc == KT_OK && cJSON_IsObject(doc)) ||
		(cJSON_IsObject(doc) && w.next))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	KT_AUTO_BUF struct kt_buf a = KT_BUF_INIT(ROOM);
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(ROOM);
	KT_AUTO_JSON cJSON *doc = NULL;
	KT_AUTO_JSON cJSON *again = NULL;
	struct kt_err err = KT_ERR_INIT;
	const char *s;
	int flags;

	if (size == 0)
		return 0;
	flags = data[0] & KT_JSON_HARNESS;
	s = (const char *)data + 1;
	size--;
	check_string(s, size);
	if (flags == KT_JSON_STRICT)
		check_members(s, size);
	if (kt_json_parse(s, size, flags, &doc, &err) != KT_OK) {
		/* The only other failure is want of memory, which no input here may cause. */
		if ((err.code != KT_EINVAL && err.code != KT_ELIMIT) || err.msg[0] == '\0' || doc)
			abort();
		return 0;
	}
	if (kt_json_check(s, size, KT_JSON_HARNESS, NULL) != KT_OK)
		abort();
	kt_json_add(&a, doc);
	if (kt_json_parse(a.ptr, a.len, flags, &again, NULL) != KT_OK)
		abort();
	kt_json_add(&b, again);
	if (a.len != b.len || memcmp(a.ptr, b.ptr, a.len) != 0)
		abort();
	return 0;
}
