/* SPDX-License-Identifier: MIT */
/*
 * Front matter: no crash; what is taken is an object that is strict JSON of bounded depth, and the
 * body begins behind it, within the text.
 */
#include "text/frontmatter.h"
#include "text/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *s, size_t len)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 * 1024 * 1024);
	KT_AUTO_JSON cJSON *doc = NULL;
	struct kt_err err = KT_ERR_INIT;
	size_t body = SIZE_MAX;

	if (kt_frontmatter_parse(s, len, &doc, &body, &err) != KT_OK) {
		if (doc || body != SIZE_MAX || err.code != KT_EINVAL || strchr(err.msg, '\n'))
			abort();
		return;
	}
	kt_json_add(&b, doc);
	if (!cJSON_IsObject(doc) || body > len ||
		kt_json_check(b.ptr, b.len, KT_JSON_STRICT, NULL) != KT_OK)
		abort();
}

/* The bytes as a whole file, and as YAML inside two lines of dashes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	KT_AUTO_BUF struct kt_buf b = KT_BUF_INIT(64 * 1024 * 1024);

	check(size ? (const char *)data : "", size);
	kt_buf_adds(&b, "---\n");
	kt_buf_add(&b, data, size);
	kt_buf_adds(&b, "\n---\n");
	check(b.ptr, b.len);
	return 0;
}
