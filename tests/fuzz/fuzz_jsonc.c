/* SPDX-License-Identifier: MIT */
/*
 * JSONC: blanking keeps the length and the lines, what was taken is strict JSON afterwards and is
 * taken again, strict JSON is always JSONC, and a key that is there is found where it stands.
 */
#include "text/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_places(const char *s, size_t len, const cJSON *doc)
{
	int line, col;

	for (const cJSON *m = doc->child; m; m = m->next) {
		bool plain = m->string && m->string[0];

		/* Keys with dots or escapes cannot be named by a path. */
		for (const char *p = plain ? m->string : ""; *p; p++)
			plain = plain && *p > ' ' && *p < 0x7f && !strchr(".\"\\", *p);
		if (!plain || memchr(s, '\\', len))
			continue;
		if (!kt_jsonc_locate(s, len, m->string, &line, &col) || line < 1 || col < 1)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	KT_AUTOFREE char *s = kt_strndup(size ? (const char *)data : "", size);
	KT_AUTOFREE char *before = kt_malloc(size + 1);
	KT_AUTO_JSON cJSON *doc = NULL;
	bool strict = kt_json_check(s, size, KT_JSON_STRICT, NULL) == KT_OK;
	int line, col;
	enum kt_code code;

	memcpy(before, s, size + 1);
	(void)!kt_jsonc_locate(s, size, "a.b", &line, &col);
	code = kt_jsonc_parse(s, size, &doc, NULL);
	for (size_t i = 0; i < size; i++)
		if (s[i] != before[i] && (s[i] != ' ' || before[i] == '\n'))
			abort();
	if (strict && (code != KT_OK || memcmp(s, before, size) != 0))
		abort();
	if (code != KT_OK)
		return 0;
	if (kt_json_check(s, size, KT_JSON_STRICT, NULL) != KT_OK)
		abort();
	if (cJSON_IsObject(doc))
		check_places(before, size, doc);
	return 0;
}
