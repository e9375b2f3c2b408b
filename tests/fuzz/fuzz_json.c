/* SPDX-License-Identifier: MIT */
/*
 * JSON: the first byte chooses the flags. What the validator takes, cJSON must parse, and its text
 * written again must be valid and stay the same. What strict takes, lenient takes. Any bytes as a
 * string must give valid JSON.
 */
#include "text/json.h"

#include <stdlib.h>

#define ROOM (64 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_string(const char *s, size_t len)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(ROOM);

	kt_json_add_str(&b, s, len);
	if (kt_json_check(b.ptr, b.len, KT_JSON_NUL_ESCAPE, NULL) != KT_OK)
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
	if (kt_json_parse(s, size, flags, &doc, &err) != KT_OK) {
		/* The only other failure is want of memory, which no input here may cause. */
		if (err.code != KT_EINVAL || err.msg[0] == '\0' || doc)
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
